"""What an audit lays down: made anew when a file comes back that it lacked, and marked as used while it runs."""

import os
import time
from pathlib import Path

import pytest
from comparisons import shorten_audit, write_data
from PIL import Image

from workbench.auditing import run_audit
from workbench.auditing.making import ask, make_audit
from workbench.comparing.kept import Kept
from workbench.comparing.making import Setup

N = 6


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_audit(monkeypatch)


def test_a_row_whose_file_comes_back_is_audited_like_the_others(tiny_checkpoint: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    wanted = ask(tiny_checkpoint, str(data), split="test", n=N, seed=0)
    here, away = tmp_path / "data" / "0.png", tmp_path / "away.png"
    expected = make_audit(wanted, Setup(kept=Kept(tmp_path / "other"), device="cpu", dtype="float32"))
    assert expected.is_whole
    where = Setup(kept=Kept(tmp_path / "kept"), device="cpu", dtype="float32")
    here.rename(away)
    first = make_audit(wanted, where)
    assert any(note.startswith("1 of 6 samples could not be read") for note in first.notes)
    assert not first.is_whole
    away.rename(here)
    again = make_audit(wanted, where)
    assert again.is_whole
    assert (again.edits, again.measures, again.notes) == (expected.edits, expected.measures, expected.notes)
    assert first.edits != again.edits
    assert "is_whole" not in again.to_json()


def test_rows_of_the_policy_that_cannot_be_read_are_left_out_and_counted(tiny_checkpoint: Path, tmp_path: Path) -> None:
    words = [f"{one} square {side}" for one in ("red", "blue") for side in ("left", "right")]
    write_data(tmp_path / "data", words * 6).rename(tmp_path / "data" / "validation.jsonl")
    write_data(tmp_path / "data")
    for number, path in enumerate(sorted((tmp_path / "data").glob("*.png"), key=lambda one: int(one.stem))):
        Image.new("RGB", (50, 30), (9 * number, 90, 90)).save(path)
    wanted = ask(tiny_checkpoint, str(tmp_path / "data"), split="test", n=N, seed=0)
    assert wanted.fit is not None
    n = len(wanted.fit.rows)
    (tmp_path / "data" / "23.png").unlink()
    audit = make_audit(wanted, Setup(kept=Kept(tmp_path / "kept"), device="cpu", dtype="float32"))
    assert any(note.startswith(f"1 of {n} rows of the split validation") for note in audit.notes)


def test_what_an_audit_goes_on_from_is_marked_as_used(tiny_checkpoint: Path, tmp_path: Path) -> None:
    hour = 3600.0
    kept = tmp_path / "kept"
    held: set[str] = set()
    ages: list[float] = []

    def tell(done: float, message: str) -> None:
        """Hours pass at each step."""
        if message != "Editing thoughts":
            return
        for folder in kept.iterdir():
            held.add(folder.name.split("-")[0])
            ages.append(time.time() - folder.stat().st_mtime)
            os.utime(folder, (time.time() - 9 * hour, time.time() - 9 * hour))

    run_audit(tiny_checkpoint, "shapes", split="test", n=N, kept=kept, tell=tell)
    assert {"audit", "fit"} < held
    assert len(ages) > 2 * 3
    assert max(ages) < hour
