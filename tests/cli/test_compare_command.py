"""`thinkscope compare`, from a command line to files."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from checkpoints import write_tiny
from comparisons import WordModel, setup, shorten, write_data

from workbench.cli import main
from workbench.comparing import making
from workbench.comparing.document import schema
from workbench.models.layout import no_think


def test_two_checkpoints_become_a_report(
    tiny_checkpoint: Path,
    shapes_rows: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten(monkeypatch)
    bare = write_tiny(tmp_path / "bare", shapes_rows, layout=no_think())
    out = tmp_path / "report.json"
    line = [
        "compare",
        str(tiny_checkpoint),
        str(bare),
        "--data",
        "shapes",
        "--n",
        "5",
        "--keep",
        str(tmp_path / "kept"),
    ]
    assert main([*line, "--out", str(out), "--device", "cpu", "--dtype", "float32", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text()) | {"seconds": printed["seconds"]}
    jsonschema.Draft202012Validator(schema()).validate(printed)
    assert [side["n_think"] for side in printed["sides"]] == [4, 0]

    # What was read is kept: the second time no model is loaded.
    monkeypatch.setattr(making, "load_checkpoint", lambda *_, **__: pytest.fail("it was read before"))
    page = tmp_path / "report.html"
    how = ["--out", str(page), "--sample", "test-000002", "--device", "cpu", "--dtype", "float32"]
    assert main([*line, *how]) == 0
    told = capsys.readouterr().out
    assert "Not compared" in told
    assert "'bare' has no think tokens" in told
    assert "likeness of" in told
    assert 'id="p0s2" open' in page.read_text()
    assert "What the patches add" not in page.read_text()

    # Maps are of their own: models are loaded again, one after the other.
    monkeypatch.undo()
    shorten(monkeypatch)
    assert main([*line, *how, "--method", "input_x_gradient"]) == 0
    assert "What the patches add to them: Input x gradient" in page.read_text()
    capsys.readouterr()
    for more, told in (
        (["--method", "input_x_gradient"], "--method makes maps for the HTML report"),
        (["--method", "input_x_gradient", "--out", "a.json"], "--method makes maps for the HTML report"),
        (["--method", "gradient", "--out", "a.html"], "no attribution method"),
    ):
        assert main([*line, *more]) == 2
        assert told in capsys.readouterr().err


def test_memory_that_runs_out_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = WordModel("first"), WordModel("second", fails_at=1)
    names, how = setup(tmp_path, first, second)
    monkeypatch.setattr(making, "load_checkpoint", lambda path, **_: how.load(path) if how.load else None)
    line = ["compare", *names, "--data", str(write_data(tmp_path / "data")), "--keep", str(tmp_path / "kept")]
    out = tmp_path / "report.html"
    assert main([*line, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "Memory ran out while 'second' was read" in error
    assert error.count("\n") == 1
    assert not out.exists()
    traced = first.traced
    assert main([*line, "--out", str(out)]) == 0
    assert first.traced == traced
    assert out.is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tte-flash", "--data", "shapes"], "two checkpoints or more"),
        (["tte-flash", "tte-flash", "--data", "shapes"], "given twice"),
        (["tte-flash", "nothing", "--data", "shapes"], "no checkpoint 'nothing'"),
        (["tte-flash", "data", "--data", "shapes"], "holds no config.json"),
        (["tte-flash", "tte-flash-early", "--data", "shapes", "--out", "report.png"], "must end in .html or .json"),
        (["tte-flash", "tte-flash-early", "--data", "shapes", "--n", "0"], "must be 1 to 5,000"),
        (["tte-flash", "tte-flash-early", "--data", "nowhere"], "neither a file or folder nor a reader"),
        (["tte-flash", "tte-flash-early", "--data", "shapes", "--split", "x"], "split"),
        (["tte-flash", "tte-flash-early", "--data", "data/test.jsonl", "--sample", "q99"], "none of the 6 samples"),
        (["tte-flash", "tte-flash-early"], "--data"),
    ],
)
def test_a_wrong_line_ends_in_one_sentence(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words, "--keep", "kept"]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
