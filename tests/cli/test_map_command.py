"""`thinkscope map`, from a command line to files."""

import json
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.mapping.map_parquet import read_map

FAST = ["--projection", "pca", "--neighbours", "3"]


def test_a_data_set_becomes_a_map(tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "map.parquet"
    line = ["map", "shapes", "--n", "6", "--checkpoint", str(tiny_checkpoint), "--of", "thoughts", "--layer", "0"]
    assert main([*line, "--out", str(out), "--json", *FAST]) == 0
    summary = json.loads(capsys.readouterr().out)
    found = read_map(out)
    assert summary["points"] == len(found) == 24
    assert summary["layer"] == found.layer == 0
    assert summary["samples"] == 6
    assert summary["shown"] == "pca"
    assert summary["parameters"]["n_neighbours"] == 3
    assert {figure["name"] for figure in summary["figures"]} == {"trustworthiness", "neighbours kept"}
    page = tmp_path / "map.html"
    assert main(["map", str(out), "--out", str(page)]) == 0
    told = capsys.readouterr().out
    assert "24 points of 6 samples" in told
    assert "trustworthiness" in told
    assert page.read_text().startswith("<!doctype html>")


def test_two_checkpoints_on_one_map(tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--checkpoint", str(tiny_checkpoint), "--checkpoint", str(tiny_checkpoint)]
    out = tmp_path / "two.parquet"
    assert main(["map", "shapes", "--n", "5", "--of", "embedding", *both, "--out", str(out), "--json", *FAST]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["alignment"] == {"pca": "procrustes"}
    assert summary["points"] == 10
    # The same checkpoint twice: nothing can have moved.
    assert {mover["change"] for mover in summary["movers"]} == {0.0}


def test_thoughts_of_a_checkpoint_without_any_are_refused_before_a_model_is_loaded(
    tiny_checkpoint: Path,
    tiny_kinds: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr("workbench.models.checkpoint.load_checkpoint", lambda path, **_: loaded.append(path))
    both = ["--checkpoint", str(tiny_checkpoint), "--checkpoint", str(tiny_kinds["explicit-cot"])]
    assert main(["map", "shapes", "--n", "4", *both, "--out", str(tmp_path / "two.html")]) == 2
    told = capsys.readouterr().err
    assert "'explicit-cot' has no think tokens" in told
    assert "--of embedding" in told
    assert loaded == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["shapes", "--out", "map.png"], "must end in .html or .parquet"),
        (["shapes", "--n", "2", "--of", "words", "--out", "map.html"], "not of 'words'"),
        (["shapes", "--n", "2", "--projection", "tsne", "--out", "map.html"], "must be umap or pca"),
        (["nowhere", "--out", "map.html"], "neither a file or folder nor a reader"),
        (["shapes", "--n", "2", *(["--checkpoint", "x"] * 3), "--out", "map.html"], "two checkpoints at most"),
        (["shapes", "shapes", "--n", "2", "--out", "map.html"], "on one data set, or by two exports"),
        (["shapes", "--limit", "0", "--out", "map.html"], "--limit is 0"),
        (["shapes", "--checkpoint", "nothing", "--n", "2", "--out", "map.html"], "nothing"),
    ],
)
def test_a_wrong_line_ends_in_one_sentence(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["map", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
