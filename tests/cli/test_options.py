"""Options that several commands take are told in the same words, and a file that cannot be written is refused at once."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from workbench.cli import main
from workbench.cli._arguments import UsageError
from workbench.cli._main import make_parser
from workbench.cli._options import REPORTS, check_out, check_out_folder, write_out, writing
from workbench.errors import BadInput


def told(flag: str) -> dict[str, set[str]]:
    """Which commands have an option, by what their help says of it."""
    found: dict[str, set[str]] = {}
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                for option in parser._actions:
                    if flag in option.option_strings:
                        found.setdefault(str(option.help), set()).add(name)
    return found


@pytest.mark.parametrize(
    ("flag", "others"),
    [
        # A command that means something else by a flag says so, and is named here.
        ("--device", {"ablate"}),
        ("--dtype", {"bench-embed"}),
        ("--keep", set()),
    ],
)
def test_the_same_option_is_told_in_the_same_words(flag: str, others: set[str]) -> None:
    shared = [names for names in told(flag).values() if not names <= others]
    assert len(shared) == 1
    assert {"audit", "compare"} <= shared[0]


def test_a_report_ends_in_what_can_be_written(tmp_path: Path) -> None:
    check_out(None, REPORTS)
    check_out(tmp_path / "report.html", REPORTS)
    check_out(tmp_path / "report.json", REPORTS)
    with pytest.raises(UsageError, match=r"report\.pdf', but must end in \.html or \.json"):
        check_out(tmp_path / "report.pdf", REPORTS)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match="which is a folder; name a file"):
        check_out(tmp_path / "folder.html", REPORTS)


@pytest.mark.parametrize("name", ["file/report.html", "file/new/report.html", f"{'a' * 300}.html"])
def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"but it cannot be written: .+\. Name another file"):
        check_out(tmp_path / name, REPORTS)
    check_out(tmp_path / "new" / "newer" / "report.html", REPORTS)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["file/run", "file/new/run", "a" * 300])
def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out is '.*', but it cannot be written into: .+\. Name another folder"):
        check_out_folder(tmp_path / name)
    with pytest.raises(UsageError, match=r"output\.folder is '.*', which is a file; name a folder"):
        check_out_folder(tmp_path / "file", asked="output.folder")
    check_out_folder(tmp_path / "new" / "newer")
    check_out_folder(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "words",
    [
        ["planted", "--out"],
        ["ablate", "--out"],
        ["train", "tte-flash", "--config", "{file}", "--data", "{file}", "--out"],
        ["train", "tte-flash", "--config", "{file}", "--data", "{file}", "--set", "output.folder="],
    ],
)
def test_commands_look_at_their_folder_first(tmp_path: Path, words: list[str], capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    *before, last = (word.format(file=tmp_path / "file") for word in words)
    place = str(tmp_path / "file" / "run")
    asked = [*before, last + place] if last.endswith("=") else [*before, last, place]
    assert main(asked) == 2
    assert "cannot be written into" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_after_all_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(BadInput, match=r"report\.html' cannot be written: Is a directory\. Free some space"):
        write_out(tmp_path / "report.html", "text")
    write_out(tmp_path / "new" / "report.html", "text")
    assert (tmp_path / "new" / "report.html").read_text() == "text"
    with pytest.raises(ValueError, match="not of the file"), writing(tmp_path):
        raise ValueError("not of the file")
