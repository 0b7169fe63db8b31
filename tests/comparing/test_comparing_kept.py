"""Readings that lie in the cache: found again, bounded, and private."""

import os
import shutil
import time
from pathlib import Path

import pytest

from workbench.comparing import kept
from workbench.comparing.kept import Kept, default_root, mark_used
from workbench.errors import BadInput


def lay(kept: Kept, letter: str, size: int, age: float) -> Path:
    folder = kept.open(letter * 32)
    (folder / "rows").write_bytes(b"x" * size)
    os.utime(folder, (time.time() - age, time.time() - age))
    return folder


def test_a_key_has_one_folder_for_its_owner_alone(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept")
    assert kept.open("a") == kept.open("a")
    assert kept.open("a").stat().st_mode & 0o077 == 0


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    kept = Kept(tmp_path, max_bytes=250)
    oldest, old, spared = lay(kept, "a", 100, 9_000), lay(kept, "b", 100, 8_000), lay(kept, "c", 100, 9_500)
    fresh = lay(kept, "d", 100, 10)
    kept.tidy({"c" * 32})
    assert [one.is_dir() for one in (oldest, old, spared, fresh)] == [False, False, True, True]


@pytest.mark.parametrize("name", ["tte-flash", "a", "photos", "A" * 32, "fit-", ".git"])
def test_folders_of_somebody_else_are_never_deleted_and_do_not_count(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.mkdir()
    (mine / "model.safetensors").write_bytes(b"x" * 1_000)
    os.utime(mine, (0, 0))
    kept = Kept(tmp_path, max_bytes=150)
    reading, edits = lay(kept, "a", 100, 9_000), kept.open(f"audit-{'b' * 32}")
    kept.tidy()
    assert mine.is_dir()
    assert reading.is_dir()
    lay(kept, "c", 100, 8_000)
    (edits / "part").write_bytes(b"x" * 100)
    os.utime(edits, (0, 0))
    kept.tidy()
    assert mine.is_dir()
    assert not edits.is_dir()
    assert not reading.is_dir()


def test_what_is_in_use_stays_whatever_it_weighs(tmp_path: Path) -> None:
    kept = Kept(tmp_path, max_bytes=10)
    fresh = lay(kept, "a", 100, 10)
    kept.tidy()
    assert fresh.is_dir()
    Kept(tmp_path / "never made").tidy()


def test_a_folder_that_another_process_takes_away_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Kept(tmp_path, max_bytes=150)
    gone, oldest, old = lay(store, "a", 100, 9_000), lay(store, "b", 100, 8_000), lay(store, "c", 100, 7_000)
    look = kept._used

    def used(folder: Path) -> float:
        if gone.is_dir():
            shutil.rmtree(gone)
        return look(folder)

    monkeypatch.setattr(kept, "_used", used)
    store.tidy()
    assert [one.is_dir() for one in (gone, oldest, old)] == [False, False, True]


def test_what_is_marked_is_in_use(tmp_path: Path) -> None:
    store = Kept(tmp_path, max_bytes=10)
    one, other = lay(store, "a", 100, 9_000), lay(store, "b", 100, 9_000)
    mark_used([one, tmp_path / "gone"])
    store.tidy()
    assert [folder.is_dir() for folder in (one, other)] == [True, False]


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be kept in .*--keep"):
        Kept(tmp_path / "file").open("a")


def test_it_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "thinkscope" / "compare"
