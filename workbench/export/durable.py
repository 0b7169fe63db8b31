"""Files that are whole or not there, also after a kill or a power cut: made in a folder of their own, then renamed.

The folder is locked while its maker lives, so that what a killed one left can be told from what another is making.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, leftovers stay
    fcntl = None

_PREFIX = ".making-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def making_folder(folder: Path) -> Iterator[Path]:
    """A new folder within `folder` to make files in; gone afterwards, with what was not renamed out of it."""
    path, handle = _locked(folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def write_whole(folder: Path, files: Mapping[Path, bytes]) -> None:
    """Write files, all on the disk before the first of them appears. Replaces older ones.

    They are made within `folder`, which must lie on the same file system. Raises OSError when the disk does not take them.
    """
    with making_folder(folder) as beside:
        made = {beside / str(number): path for number, path in enumerate(files)}
        for path, content in zip(made, files.values(), strict=True):
            with path.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        move(made)


def move(files: Mapping[Path, Path]) -> None:
    """Rename files that are on the disk, and have their new names on the disk too."""
    for made, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        made.replace(path)
    for folder in {path.parent for path in files.values()}:
        sync_folder(folder)


def create_once(path: Path, content: bytes) -> bool:
    """Write a file unless there is one of this name; whether it was written. Of several processes one succeeds."""
    with making_folder(path.parent) as beside:
        made = beside / path.name
        with made.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(made, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
                raise
            # A file system without hard links: whoever looks in this moment may see half of the file.
            try:
                with path.open("xb") as file:
                    file.write(content)
            except FileExistsError:
                return False
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_leftover(path: Path) -> bool:
    """Whether something is the folder of a maker, dead or alive."""
    return path.name.startswith(_PREFIX)


def remove_leftovers(folder: Path) -> None:
    """Remove what makers left that were killed. What a living one makes is locked and stays."""
    if fcntl is None:
        return
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its maker lives, or the file system has no locks
            continue
        else:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)


def told(error: OSError, what: str) -> str:
    """One sentence on a file that could not be written or read; `what` says what did not happen because of it."""
    where = f" '{error.filename}'" if error.filename else ""
    if error.errno in _FULL:
        return f"The disk is full{where and f' at{where}'}, so {what}; free some space and go on with --resume."
    reason = error.strerror or str(error)
    return f"The system says '{reason}'{where and f' of{where}'}, so {what}; mend that and go on with --resume."


def _locked(folder: Path) -> tuple[Path, int | None]:
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(6)}"
        path.mkdir()
        if fcntl is None:
            return path, None
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # taken for a leftover before it was locked
            continue
        if _take(fcntl, handle) and path.exists():
            return path, handle
        os.close(handle)


def _take(locks: ModuleType, handle: int) -> bool:
    try:
        locks.flock(handle, locks.LOCK_EX | locks.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            raise
    return True
