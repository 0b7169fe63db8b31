"""Zip files from strangers: everything is checked by the list of contents before a byte is unpacked, and again meanwhile.

A zip is refused for what no honest one holds (paths that lead out, links, locked or nested archives) and for what would
fill the disk or the memory. Limits are told with the refusal.
"""

import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath

from workbench.errors import BadInput, Cancelled

MAX_FILES = 20_000
MAX_UNPACKED = 2 * 2**30
MAX_FILE = 200 * 2**20
"""A single file; images may be smaller still, which is told row by row."""
MAX_RATIO = 200
"""Unpacked over packed, of files that are larger than `SMALL`. Tables reach 20, drawings of one colour 1,000."""
SMALL = 2**20
MAX_DEPTH = 16
MAX_NAME = 200
"""Bytes of one part of a path; file systems take 255."""
MAX_LIST = 8 * 2**20
"""Bytes of the list of contents, which is read as a whole: 20,000 files take about 3 million."""

_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOCKED = 0x1
_CHUNK = 2**20
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    OverflowError,
    IndexError,
    struct.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a zip holds that passed the checks."""

    names: tuple[str, ...]
    """Files, relative, with / between; what systems add for themselves (__MACOSX, hidden files) is left out."""
    unpacked: int
    """Bytes."""


def check_zip(path: Path) -> Contents:
    """Look at a zip's list of contents; nothing is unpacked.

    Raises:
        BadInput: for a file that is no zip or may not be unpacked; one sentence that says which entry is why.
    """
    with _opened(path) as archive:
        wanted = _checked(archive.infolist())
    return Contents(names=tuple(name for name, _ in wanted), unpacked=sum(entry.file_size for _, entry in wanted))


def unpack_zip(
    path: Path,
    target: Path,
    *,
    tell: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Contents:
    """Check a zip and unpack it.

    Args:
        path: the zip.
        target: a folder that is not there yet.
        tell: is told the share that is unpacked.
        cancelled: asked between files.

    Raises:
        BadInput: as `check_zip`, for a damaged file, and for a disk that is too full; the target is then gone.
        Cancelled: when told so; the target is then gone too.
    """
    with _opened(path) as archive:
        wanted = _checked(archive.infolist())
        total = sum(entry.file_size for _, entry in wanted)
        target.mkdir(parents=True)
        try:
            _check_disk(target, total)
            done = 0
            for name, entry in wanted:
                if cancelled():
                    raise Cancelled("The unpacking of the zip was cancelled.")
                _unpack(archive, entry, target / name, name)
                done += entry.file_size
                if tell is not None:
                    tell(done / total if total else 1.0)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    return Contents(names=tuple(name for name, _ in wanted), unpacked=total)


class _Guarded(FileIO):
    """A file of which not too much is read at once: the list of contents is read as a whole, however long it says it is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_LIST:
            raise BadInput(f"The zip's list of contents is {size / 2**20:.0f} MB long; at most {_limits()}.")
        return super().read(-1 if size is None else size) or b""


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with _Guarded(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (*_DAMAGE, OSError) as error:
            if not _begins_as_zip(path):
                raise BadInput("The file is no zip; pack the images and their table as a .zip.") from error
            raise BadInput("The zip is damaged or was not uploaded whole; pack it again.") from error
        with archive:
            yield archive


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _checked(entries: Sequence[zipfile.ZipInfo]) -> list[tuple[str, zipfile.ZipInfo]]:
    if len(entries) > MAX_FILES:
        raise BadInput(f"The zip holds {len(entries):,} files; at most {_limits()}.")
    wanted: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = _safe_name(entry)
        if entry.is_dir() or name.endswith("/") or _is_of_the_system(name):
            continue
        _check_entry(entry, name)
        if name in wanted:
            raise BadInput(f"The zip holds '{_short(name)}' twice; pack it again with each file once.")
        wanted[name] = entry
    folders = {str(folder) for name in wanted for folder in PurePosixPath(name).parents}
    if both := next((name for name in wanted if name in folders), None):
        raise BadInput(f"The zip holds '{_short(both)}' as a file and as a folder; pack it again.")
    if not wanted:
        raise BadInput("The zip is empty; it should hold images and a CSV, TSV or JSONL.")
    total = sum(entry.file_size for entry in wanted.values())
    if total > MAX_UNPACKED:
        raise BadInput(f"The zip would unpack to {total / 2**30:.1f} GB; at most {_limits()}.")
    return list(wanted.items())


def _safe_name(entry: zipfile.ZipInfo) -> str:
    # Old Windows tools put \ between folders.
    name = entry.filename.replace("\\", "/")
    path = PurePosixPath(name)
    shown = _short(entry.orig_filename)
    if name.startswith("/") or (path.parts and path.parts[0][1:2] == ":"):
        raise BadInput(f"The zip holds '{shown}', a path from the top of a disk; pack the folder itself.")
    if ".." in path.parts:
        raise BadInput(f"The zip holds '{shown}', a path that leads out of its folder; pack it again.")
    if len(path.parts) > MAX_DEPTH or any(len(os.fsencode(part)) > MAX_NAME for part in path.parts):
        raise BadInput(f"The zip holds '{shown}', whose name is too long or in too many folders; rename it.")
    if not path.parts or any(not letter.isprintable() for letter in name):
        raise BadInput(f"The zip holds a file named '{shown}', which is no usable name; rename it.")
    return f"{path}/" if name.endswith("/") else str(path)


def _is_of_the_system(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return (
        "__MACOSX" in parts or any(part.startswith(".") for part in parts) or parts[-1] in ("Thumbs.db", "desktop.ini")
    )


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    shown, kind = _short(name), stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise BadInput(f"'{shown}' in the zip is a link; put the file itself there.")
    if kind not in (0, stat.S_IFREG):
        raise BadInput(f"'{shown}' in the zip is neither a file nor a folder; leave it out.")
    if entry.flag_bits & _LOCKED:
        raise BadInput(f"'{shown}' in the zip is locked with a password; pack it without one.")
    if entry.compress_type not in _METHODS:
        raise BadInput(f"'{shown}' in the zip is packed in an unusual way; pack it as an ordinary zip (deflate).")
    if PurePosixPath(name).suffix.lower() in _ARCHIVES:
        raise BadInput(f"'{shown}' in the zip is an archive itself; put its files there directly.")
    if entry.file_size > MAX_FILE:
        raise BadInput(f"'{shown}' in the zip is {entry.file_size / 2**20:,.0f} MB large; at most {_limits()}.")
    if entry.file_size > max(SMALL, entry.compress_size * MAX_RATIO):
        raise BadInput(
            f"'{shown}' in the zip unpacks to more than {MAX_RATIO} times its packed size, as no image or table does; "
            "leave it out."
        )


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, name: str) -> None:
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, target.open("xb") as file:
            while chunk := packed.read(_CHUNK):
                written += len(chunk)
                if written > entry.file_size:
                    raise BadInput(f"'{_short(name)}' in the zip is larger than the zip says; pack it again.")
                file.write(chunk)
    except _DAMAGE as error:
        raise BadInput(f"'{_short(name)}' in the zip is damaged; pack it again.") from error
    except OSError as error:
        raise BadInput(f"'{_short(name)}' of the zip could not be written: {error.strerror or error}.") from error
    if written != entry.file_size:
        raise BadInput(f"'{_short(name)}' in the zip is cut off; pack it again.")


def _check_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BadInput(
            f"The zip unpacks to {needed / 2**20:,.0f} MB, but the disk of the server has {free / 2**20:,.0f} MB left."
        )


def _limits() -> str:
    return (
        f"{MAX_FILES:,} files, {MAX_FILE // 2**20} MB each and {MAX_UNPACKED // 2**30} GB together are unpacked, so make "
        "several zips of it"
    )


def _short(name: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return printable if len(printable) <= 100 else f"{printable[:60]}…{printable[-39:]}"
