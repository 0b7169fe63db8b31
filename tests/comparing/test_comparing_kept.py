"""Readings that lie in the cache: found again, bounded, and private."""

import os
import time
from pathlib import Path

import pytest

from workbench.comparing.kept import Kept, default_root
from workbench.errors import BadInput


def lay(kept: Kept, key: str, size: int, age: float) -> Path:
    folder = kept.open(key)
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
    kept.tidy({"c"})
    assert [one.is_dir() for one in (oldest, old, spared, fresh)] == [False, False, True, True]


def test_what_is_in_use_stays_whatever_it_weighs(tmp_path: Path) -> None:
    kept = Kept(tmp_path, max_bytes=10)
    fresh = lay(kept, "a", 100, 10)
    kept.tidy()
    assert fresh.is_dir()
    Kept(tmp_path / "never made").tidy()


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be kept in .*--keep"):
        Kept(tmp_path / "file").open("a")


def test_it_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "thinkscope" / "compare"
