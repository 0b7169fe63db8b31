import json
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.evaluation import known_maps


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["benchmark-maps", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_bad_input_is_one_sentence(capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, tmp_path: Path) -> None:
    tiny = str(tiny_checkpoint)
    assert "between 1 and" in refusal(capsys, tiny, "--n", "0")
    assert "invalid int" in refusal(capsys, tiny, "--n", "many")
    assert "Did you mean 'saliency'" in refusal(capsys, tiny, "--methods", "salience")
    assert "No method" in refusal(capsys, tiny, "--methods", ",")
    assert "Did you mean 'test'" in refusal(capsys, tiny, "--split", "tests")
    assert "planted:FOLDER" in refusal(capsys, tiny, "--data", "coco")
    assert "no folder" in refusal(capsys, tiny, "--html", str(tmp_path / "none" / "board.html"))
    assert "not a folder" in refusal(capsys, tiny, "--data", f"planted:{tmp_path / 'none'}", "--n", "1")


def test_json_and_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    # A random model leads by next to nothing.
    monkeypatch.setattr(known_maps, "LEAST_LEAD", 1e-9)
    page = tmp_path / "board.html"
    words = ["benchmark-maps", str(tiny_checkpoint), "--n", "4", "--methods", "saliency,input_x_gradient"]
    assert main([*words, "--json", "--html", str(page)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["method"] for row in rows} == {"saliency", "input_x_gradient"}
    assert "<table>" in page.read_text(encoding="utf-8")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "control: random maps" in said
    assert "95% bootstrap intervals" in said
