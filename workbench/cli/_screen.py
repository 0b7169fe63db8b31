"""Writing to the terminal: plain text into files and pipes, colour only for people who look."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

_RESET = "\x1b[0m"


def write(text: str) -> None:
    """Write text and a line end to stdout; letters that the terminal cannot show become '?'."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding) + "\n")


def write_json(content: Any) -> None:
    """Write strict JSON."""
    write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def has_colour() -> bool:
    """Whether stdout is a terminal that wants colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str) -> str:
    """Text in the colour of an SGR code ("1" is bold, "38;5;208" orange) where stdout has colour."""
    return f"\x1b[{code}m{text}{_RESET}" if has_colour() and text else text


def plain(text: str) -> str:
    """Text from a model or a file without control characters, which could steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str]) -> str:
    """Left-aligned columns under a head, two spaces apart."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def show_progress(done: float, message: str) -> None:
    """Write one line of progress to stderr where a person looks at it; the last one wipes it."""
    if not sys.stderr.isatty():
        return
    sys.stderr.write("\r\x1b[K" if done >= 1 else f"\r\x1b[K{done:4.0%}  {message}")
    sys.stderr.flush()
