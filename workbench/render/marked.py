"""Blocks of a Markdown page that a command fills: `<!-- NAME:begin -->` ... `<!-- NAME:end -->`."""

from pathlib import Path

from workbench.errors import BadInput


def marks(name: str) -> tuple[str, str]:
    """The lines around a block."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def fill(page: str, name: str, text: str) -> str:
    """The page with a block made anew. Raises ValueError when its marks are not there once each."""
    begin, end = marks(name)
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page needs {begin} and {end} once each")
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def read_page(path: Path, name: str) -> str:
    """A page that has the block. Raises BadInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The page '{path}' cannot be read: {error}.") from error
    begin, end = marks(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise BadInput(f"The page '{path}' needs the lines {begin} and {end} once each, where the tables are to stand.")
    return text
