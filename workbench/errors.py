"""What can go wrong for a user, as exceptions whose text is one clear sentence.

Every message says what was given, what was expected and what to do. The terminal prints it and exits with 2, the page
shows it; any other exception is a bug of ours and is not caught.
"""

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """Base of every error that is the input's fault, not ours."""


class BadInput(WorkbenchError):
    """An image, a text, a file or an option that cannot be used as given."""


class Unreadable(BadInput):
    """A file that cannot be read at the moment: it has gone or has changed, or its disk does not answer. That may pass."""


class BadCheckpoint(WorkbenchError):
    """A checkpoint folder that is missing, incomplete, foreign or unsafe to load."""


class Unsupported(WorkbenchError):
    """The model cannot do what was asked of it (no image, no decoder, no such context)."""


class OutOfMemory(WorkbenchError):
    """This machine, or its GPU, has too little memory for what was asked; what was made before is kept."""


class Cancelled(WorkbenchError):
    """Work that nobody waits for any more: its user pressed Cancel or left."""


class MissingExtra(WorkbenchError):
    """An optional package is not installed; the message holds the exact install line."""


class UnknownName(WorkbenchError):
    """A name that is not registered; the message suggests the nearest one and lists the valid ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        valid = sorted(known)
        near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        super().__init__(f"There is no {kind} named '{name}'.{hint} Known: {', '.join(valid) or 'none'}.")
