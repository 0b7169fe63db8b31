"""`thinkscope compare`, from a command line to files."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from checkpoints import write_tiny
from comparisons import QUERIES, WordModel, setup, shorten, write_data
from PIL import Image

from workbench.cli import main
from workbench.comparing import attributing, making
from workbench.comparing.document import schema
from workbench.errors import OutOfMemory
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
    assert "likeness over 5 samples" in told
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


def line_of(folder: Path, *models: WordModel, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line that compares planted models."""
    names, how = setup(folder, *models)
    monkeypatch.setattr(making, "load_checkpoint", lambda path, **_: how.load(path) if how.load else None)
    return ["compare", *names, "--data", str(write_data(folder / "data")), "--keep", str(folder / "kept")]


def test_what_failed_is_told_beside_what_was_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = WordModel("first"), WordModel("second", swaps={"red": "blue"}), WordModel("third", fails_at=1)
    out = tmp_path / "report.html"
    assert main([*line_of(tmp_path, *models, monkeypatch=monkeypatch), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "second against first" in told
    assert "third against first" not in told
    assert "Not compared with first\n- third: Memory ran out while 'third' was read" in told
    assert "was not compared. Memory ran out" in out.read_text()


def test_a_report_that_cannot_be_written_costs_no_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = WordModel("first"), WordModel("second")
    line = line_of(tmp_path, first, second, monkeypatch=monkeypatch)
    (tmp_path / "file").write_text("")
    assert main([*line, "--out", str(tmp_path / "file" / "report.html")]) == 2
    error = capsys.readouterr().err
    assert "cannot be written: Not a directory" in error
    assert error.count("\n") == 1
    assert first.traced == 0
    # One whose place is taken while the models read: what came out is told all the same.
    out = tmp_path / "report.html"

    class Slow(WordModel):
        def embed(self, batch: Any) -> Any:
            out.mkdir(exist_ok=True)
            return super().embed(batch)

    line = line_of(tmp_path / "slow", Slow("first"), second, monkeypatch=monkeypatch)
    assert main([*line, "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert "second against first" in told.out
    assert "report.html' cannot be written: Is a directory" in told.err
    assert told.err.count("\n") == 1


def test_maps_that_fail_do_not_cost_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(tmp_path, WordModel("first"), WordModel("second", swaps={"red": "blue"}), monkeypatch=monkeypatch)
    out = tmp_path / "report.html"

    def fail(*_: Any, **__: Any) -> None:
        raise OutOfMemory("Memory ran out while 'first' was attributed.")

    monkeypatch.setattr(attributing, "attribute_samples", fail)
    assert main([*line, "--out", str(out), "--method", "input_x_gradient"]) == 2
    told = capsys.readouterr()
    assert told.err == "thinkscope: Memory ran out while 'first' was attributed.\n"
    page = out.read_text()
    assert "Attribution ended early: Memory ran out while &#x27;first&#x27; was attributed." in page
    assert "Maps of Input x gradient were made for 0 of the " in page


def test_a_sample_that_cannot_come_first_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = WordModel("first"), WordModel("second", refuses=QUERIES[3:4])
    line = [*line_of(tmp_path, *models, monkeypatch=monkeypatch), "--sample", "q3"]
    assert main([*line, "--out", str(tmp_path / "report.html")]) == 0
    told = capsys.readouterr().out
    assert "- Sample 'q3' was asked for, but 'second' could not read it" in told
    assert told.endswith(f"{tmp_path / 'report.html'}\n")


def test_every_table_says_of_how_many_samples_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = WordModel("one", noise=1), WordModel("other", noise=1, swaps={"red": "blue"})
    line = line_of(tmp_path, *models, monkeypatch=monkeypatch)
    Image.new("RGB", (30, 60)).save(tmp_path / "data" / "0.png")  # cut as no other image is
    assert main(line) == 0
    tables = {
        part.splitlines()[0].split("  ")[0]: [re.split("  +", line) for line in part.splitlines()]
        for part in capsys.readouterr().out.split("\n\n")
    }
    head, hit, *_ = tables["difference"]
    assert hit[head.index("samples")] == "6"
    assert "likeness over 6 samples" in tables
    assert "rankings of 6 samples" in tables
    # At each of the three layers, of the averaged thoughts and of the four single ones, with p and Procrustes.
    for name, figures in (
        ("thoughts, averaged", r"0\.\d{3}"),
        ("each thought, least to most", r"0\.\d{3} to 0\.\d{3}"),
    ):
        head, *rows = tables[name]
        assert [row[0] for row in rows] == ["layer 1", "layer 2", "layer 3"]
        assert all(len(row) == len(head) for row in rows)
        assert all(re.fullmatch(figures, row[head.index("Procrustes residual")]) for row in rows)
        assert all(0 < float(row[place]) <= 1 for row in rows for place, title in enumerate(head) if title[-1] == "p")
    head, first, *_ = tables["attention on the same patches"]
    assert head[2:5] == ["samples", "where chance is known", "samples"]
    assert first[2:5] == ["6", "1.000", "5"]


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
        (
            ["tte-flash", "tte-flash-early", "--data", "shapes", "--sample", "test-000000"],
            "--sample opens the HTML report",
        ),
        (
            ["tte-flash", "tte-flash-early", "--data", "data/test.jsonl", "--sample", "q99", "--out", "report.html"],
            "none of the 6 samples",
        ),
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
