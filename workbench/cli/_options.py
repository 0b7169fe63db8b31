"""Options that several commands take, declared and checked in one place, so that they are told in the same words."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from workbench.cli._arguments import UsageError
from workbench.errors import BadInput

REPORTS = (".html", ".json")
"""What a report may be written as."""


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """The checkpoint as the first word."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="bundled name or folder")


def add_checkpoint_option(parser: argparse.ArgumentParser) -> None:
    """The checkpoint as an option, where other words come first."""
    parser.add_argument(
        "--checkpoint", default="tte-flash", metavar="NAME|PATH", help="bundled name or folder (default: tte-flash)"
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """The data set that is read, and which part of it."""
    parser.add_argument("--data", required=True, metavar="DATASET", help="path, or reader:source, or 'shapes'")
    add_split(parser)


def add_split(parser: argparse.ArgumentParser) -> None:
    """Which part of a data set is read."""
    parser.add_argument("--split", default="test", help="part of the data (default: test)")


def add_report(parser: argparse.ArgumentParser) -> None:
    """Where a report goes, and where what was read for it is kept."""
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"report{' or report'.join(REPORTS)}")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where readings are kept (default: the user's cache)"
    )


def add_device(parser: argparse.ArgumentParser, *, further: str = "") -> None:
    """Where the model runs, and in which precision; `further` ends what is said of the default precision."""
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")
    parser.add_argument("--dtype", metavar="NAME", help=f"float32, bfloat16 or float16 (default: by device{further})")


def check_out(out: Path | None, suffixes: Sequence[str]) -> None:
    """Raises UsageError for a file of `--out` that cannot be written as its name asks, or not where it asks.

    Called before the work begins; nothing is left behind, and missing folders are not made yet.
    """
    if out is None:
        return
    if out.suffix not in suffixes:
        raise UsageError(f"--out is '{out}', but must end in {' or '.join(suffixes)}.")
    try:
        if out.is_dir():
            raise UsageError(f"--out is '{out}', which is a folder; name a file.")
        _try_writing(out.absolute().parent)
    except OSError as error:
        raise UsageError(f"--out is '{out}', but it cannot be written: {_reason(error)}. Name another file.") from error


def check_out_folder(out: Path, *, asked: str = "--out") -> None:
    """Raises UsageError for a folder that cannot be made or written into; `asked`: the option that named it.

    Called before the work begins; nothing is left behind.
    """
    try:
        if out.exists() and not out.is_dir():
            raise UsageError(f"{asked} is '{out}', which is a file; name a folder.")
        _try_writing(out.absolute())
    except OSError as error:
        raise UsageError(
            f"{asked} is '{out}', but it cannot be written into: {_reason(error)}. Name another folder."
        ) from error


def _try_writing(folder: Path) -> None:
    """Raises OSError where no file could be made in a folder, or in the nearest one above that is there."""
    # Only trying tells: a file system may be read-only, whatever the permissions of its folders say.
    with TemporaryFile(dir=next(one for one in (folder, *folder.parents) if one.exists())):
        pass


def write_out(out: Path, content: str | bytes) -> None:
    """Write a file that was asked for. Raises BadInput when that fails, as on a full disk."""
    from workbench.store import write_bytes_atomic

    with writing(out):
        write_bytes_atomic(out, content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Around what writes a file that was asked for, and nothing else. Raises BadInput when that fails."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"'{out}' cannot be written: {_reason(error)}. Free some space, or name another file."
        ) from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
