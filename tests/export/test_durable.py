"""Files that a killed process may leave: folders of the dead go, and a name is given once."""

import errno
from pathlib import Path

import pytest

from workbench.export import durable


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    (tmp_path / ".making-dead").mkdir()
    with durable.making_folder(tmp_path) as living:
        durable.remove_leftovers(tmp_path)
        assert living.is_dir()
        assert not (tmp_path / ".making-dead").exists()
    assert not living.exists()


def test_a_name_is_given_once(tmp_path: Path) -> None:
    assert durable.create_once(tmp_path / "name", b"first")
    assert not durable.create_once(tmp_path / "name", b"second")
    assert (tmp_path / "name").read_bytes() == b"first"


def test_a_name_is_given_once_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(durable.os, "link", refuse)
    test_a_name_is_given_once(tmp_path)
