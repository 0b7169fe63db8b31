"""`thinkscope audit`, from a command line to files."""

import json
from pathlib import Path

import pytest
from comparisons import shorten_audit

from workbench.auditing import making
from workbench.cli import main


def test_a_checkpoint_becomes_a_report(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_audit(monkeypatch)
    out, kept = tmp_path / "report.json", tmp_path / "kept"
    line = ["audit", str(tiny_checkpoint), "--data", "shapes", "--n", "4", "--keep", str(kept), "--device", "cpu"]
    line += ["--fit-split", "train"]
    assert main([*line, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text()) | {"seconds": printed["seconds"]}
    assert printed["schema"] == "thinkscope.audit"
    assert printed["verdict"]["kind"] == "inconclusive"
    assert printed["budget"]["fitted_on"] == "train"
    assert "--fit-split train" in printed["command"]
    assert printed["evidence"]["strength"] == "weak"
    assert set(printed["measures"]["hit_at_1"]) == {"value", "low", "high", "n"}

    # What was measured is kept: the second time no model is loaded.
    monkeypatch.setattr(making, "load_checkpoint", lambda *_, **__: pytest.fail("it was measured before"))
    page = tmp_path / "report.html"
    assert main([*line, "--out", str(page)]) == 0
    told = capsys.readouterr().out
    assert "(verdict: inconclusive; evidence: weak)" in told
    assert "swap-random.all" in told
    assert "Not tested" in told
    assert "<script" not in page.read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tte-flash"], "--data"),
        (["tte-flash", "--data", "shapes", "--out", "report.pdf"], ".html or .json"),
        (["tte-flash", "--data", "shapes", "--n", "0"], "1 to 5,000"),
        (["tte-flash", "--data", "shapes", "--seed", "-1"], "seed"),
        (["nowhere", "--data", "shapes"], "nowhere"),
        (["tte-flash", "--data", "/nowhere"], "nowhere"),
    ],
)
def test_bad_input_ends_with_one_sentence(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["audit", *words, "--keep", str(tmp_path)])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())
