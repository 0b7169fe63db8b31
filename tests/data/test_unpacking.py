"""Zips from strangers: what is honest comes out as it went in, everything else is refused in one sentence."""

import io
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.data import unpacking
from workbench.data.unpacking import check_zip, unpack_zip
from workbench.errors import BadInput, Cancelled

QUERIES = "query,image\nwhat ?,1.png\n"


def write(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes | str], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in entries:
            archive.writestr(name, content, compress_type=how)
    return path


def special(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


def refused(path: Path, sentence: str) -> None:
    """Both doors refuse it, and nothing is left."""
    for door in (check_zip, lambda given: unpack_zip(given, path.parent / "out")):
        with pytest.raises(BadInput, match=re.escape(sentence)) as caught:
            door(path)
        assert "\n" not in str(caught.value)
    assert not (path.parent / "out").exists()


def test_an_honest_zip_comes_out_as_it_went_in(tmp_path: Path) -> None:
    entries = (("photos/queries.csv", QUERIES), ("photos/img/1.png", b"\x89PNG"), ("photos/empty/", ""))
    junk = (("__MACOSX/photos/._1.png", "x"), ("photos/.DS_Store", "x"), ("photos/Thumbs.db", "x"))
    path, shares = write(tmp_path / "a.zip", *entries, *junk), []
    contents = unpack_zip(path, tmp_path / "out", tell=shares.append)
    assert contents == check_zip(path)
    assert contents.names == ("photos/queries.csv", "photos/img/1.png")
    assert (tmp_path / "out" / "photos" / "queries.csv").read_text() == QUERIES
    assert sorted(one.name for one in (tmp_path / "out").rglob("*") if one.is_file()) == ["1.png", "queries.csv"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_folders_of_old_windows_tools_are_folders(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", ("photos\\img\\1.png", b"x"))
    assert check_zip(path).names == ("photos/img/1.png",)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../evil.csv", "leads out"),
        ("a/../../evil.csv", "leads out"),
        ("..\\evil.csv", "leads out"),
        ("/etc/evil.csv", "from the top"),
        ("\\\\host\\evil.csv", "from the top"),
        ("C:\\evil.csv", "from the top"),
        ("c:evil.csv", "from the top"),
        ("a\nb.csv", "no usable name"),
        ("a\u202egnp.csv", "no usable name"),
        ("x" * 201, "too long"),
        ("a/" * 16 + "b.csv", "too long"),
        ("inner.zip", "an archive itself"),
        ("a/inner.TAR", "an archive itself"),
    ],
)
def test_names_that_no_honest_zip_holds_are_refused(tmp_path: Path, name: str, sentence: str) -> None:
    refused(write(tmp_path / "a.zip", ("queries.csv", QUERIES), (name, "x")), sentence)


@pytest.mark.parametrize(("mode", "sentence"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "neither a file")])
def test_links_and_pipes_are_refused(tmp_path: Path, mode: int, sentence: str) -> None:
    refused(write(tmp_path / "a.zip", (special("a.png", mode | 0o777), "/etc/passwd")), sentence)


def test_what_would_fill_the_disk_or_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = write(tmp_path / "bomb.zip", ("a.png", b"\0" * 3 * 2**20))
    refused(bomb, "200 times its packed size")
    monkeypatch.setattr(unpacking, "MAX_FILE", 1000)
    refused(write(tmp_path / "large.zip", ("a.png", b"x" * 1001)), "MB large; at most 20,000 files")
    monkeypatch.setattr(unpacking, "MAX_UNPACKED", 1500)
    refused(write(tmp_path / "sum.zip", ("a.png", b"x" * 900), ("b.png", b"x" * 900)), "The zip would unpack to")
    monkeypatch.setattr(unpacking, "MAX_FILES", 2)
    refused(
        write(tmp_path / "many.zip", *((f"{n}.png", "x") for n in range(3))), "The zip holds 3 files; at most 2 files"
    )
    monkeypatch.setattr(unpacking, "MAX_LIST", 100)
    refused(write(tmp_path / "list.zip", *((f"{n}.png", "x") for n in range(3))), "list of contents")


def test_a_full_disk_is_told_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: (0, 0, 3))
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: type("U", (), {"free": 3}))
    path = write(tmp_path / "a.zip", ("a.png", "four"))
    with pytest.raises(BadInput, match="the disk of the server"):
        unpack_zip(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([], "The zip is empty"),
        ([("a/", ""), ("__MACOSX/x", "x")], "The zip is empty"),
        ([("a.png", "x"), ("a\\..\\a.png", "x")], "leads out"),
        ([("a/b.png", "x"), ("a\\b.png", "x")], "twice"),
        ([("a", "x"), ("a/b.png", "x")], "as a file and as a folder"),
    ],
)
def test_muddled_zips_are_refused(tmp_path: Path, entries: Sequence[tuple[str, str]], sentence: str) -> None:
    refused(write(tmp_path / "a.zip", *entries), sentence)


def lie_about_size(data: bytearray) -> None:
    """The entry says 1 byte, unpacked, in both lists."""
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + at, 1)


def lock(data: bytearray) -> None:
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1


def spoil(data: bytearray) -> None:
    data[data.index(b"queries.csv") + 15] ^= 0xFF


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(lie_about_size, "damaged"), (lock, "locked with a password"), (spoil, "damaged")],
)
def test_zips_that_lie_are_refused(tmp_path: Path, change: Callable[[bytearray], None], sentence: str) -> None:
    path = write(tmp_path / "a.zip", ("queries.csv", QUERIES * 50))
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=sentence):
        unpack_zip(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_whose_memory_cannot_be_bounded_are_refused(tmp_path: Path, how: int) -> None:
    refused(write(tmp_path / "a.zip", ("queries.csv", QUERIES), how=how), "packed in an unusual way")


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "is no zip"), (b"these are words", "is no zip"), (b"PK\x03\x04 cut", "damaged")]
)
def test_nonsense_is_no_zip(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", sentence)


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", *((f"{n}.png", "x") for n in range(5)))
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        unpack_zip(path, tmp_path / "out", cancelled=lambda: next(asked))
    assert not (tmp_path / "out").exists()


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
PATHS = st.lists(
    st.one_of(NAME, st.sampled_from(["..", "../x", "/x", "a/../../x", "C:/x", "a/b", "a\\..\\..\\x", ".", "a/", "~"])),
    min_size=1,
    max_size=4,
).map("/".join)
QUIET = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUIET
@given(paths=st.lists(PATHS, max_size=4))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_whatever_the_names_nothing_lies_outside(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> None:
    folder = tmp_path_factory.mktemp("zip")
    path = write(folder / "a.zip", *((name, "x") for name in paths))
    (folder / "box").mkdir()
    try:
        contents = unpack_zip(path, folder / "box" / "out")
    except BadInput:
        assert list((folder / "box").iterdir()) == []
        return
    found = {one.relative_to(folder / "box" / "out").as_posix() for one in (folder / "box").rglob("*") if one.is_file()}
    assert found == set(contents.names)
    assert sorted(one.name for one in folder.iterdir()) == ["a.zip", "box"]


@QUIET
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 200))
def test_whatever_is_damaged_ends_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: int
) -> None:
    folder, held = tmp_path_factory.mktemp("zip"), io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("queries.csv", QUERIES)
        archive.writestr("1.png", b"\x89PNG" * 9)
    data = bytearray(held.getvalue())
    data[place % len(data)] = value
    (folder / "a.zip").write_bytes(data[: len(data) - cut])
    try:
        unpack_zip(folder / "a.zip", folder / "out")
    except BadInput as error:
        assert "\n" not in str(error)
        assert not (folder / "out").exists()
