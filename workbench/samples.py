"""From what a person gives to records: a checked sample, and a list of candidates to rank."""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import BadInput
from workbench.images import refer
from workbench.jsonl import JsonRow, parse_jsonl
from workbench.types import ImageRef, Role, Sample

MAX_CHARACTERS = 20_000
MAX_CANDIDATES = 10_000
MAX_LIST_BYTES = 50 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A document that a query may find."""

    id: str
    text: str = ""
    image: ImageRef | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for candidates of equal name and content."""
        return self.id, self.text, self.image.sha256 if self.image else ""


def make_sample(images: Sequence[Path | str | bytes | ImageRef], query: str, *, role: Role = "query") -> Sample:
    """Check images and text, and make a sample whose id is a hash of its content.

    Raises:
        BadInput: for an image that cannot be read, no input at all, a text that is too long or not plain text.
    """
    refs = tuple(image if isinstance(image, ImageRef) else refer(image) for image in images)
    text = check_text(query, "The query")
    if not text and not refs:
        raise BadInput("There is neither an image nor a query; give at least one of them.")
    content = json.dumps([role, text, [ref.sha256 for ref in refs]], ensure_ascii=False)
    return Sample(id=hashlib.sha256(content.encode()).hexdigest()[:16], text=text, images=refs, role=role)


def check_text(text: str, what: str) -> str:
    """Return the text without surrounding space and with plain line ends; `what` begins the sentence of an error."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"{what} has {len(text):,} characters; at most {MAX_CHARACTERS:,} are taken, so shorten it.")
    if text.isprintable():
        return (
            text  # neither controls nor halves of surrogate pairs are printable, and letters are slow to look at singly
        )
    for place, letter in enumerate(text, start=1):
        kind = unicodedata.category(letter)
        if kind == "Cs":
            raise BadInput(f"{what} is not valid Unicode text (character {place}); give it as UTF-8.")
        if kind == "Cc" and letter not in "\n\t":
            raise BadInput(f"{what} holds the control character U+{ord(letter):04X} at character {place}; remove it.")
    return text


def text_candidates(texts: Sequence[str]) -> tuple[Candidate, ...]:
    """Candidates from plain texts, numbered from 1; empty ones are left out.

    Raises BadInput for a text that cannot be used, naming its number, or for none at all.
    """
    found = [
        Candidate(id=str(number), text=text)
        for number, line in enumerate(texts, start=1)
        if (text := check_text(line, f"Candidate {number}"))
    ]
    return _checked(found, "The list of candidates")


def read_candidates(path: Path) -> tuple[Candidate, ...]:
    """Read candidates from a `.txt` file (one text a line) or `.jsonl` (objects with `id`, `text`, `image`).

    Image paths are relative to the file.

    Raises:
        BadInput: naming the file and the line.
    """
    if path.suffix.lower() not in (".txt", ".jsonl"):
        raise BadInput(f"Candidates are read from a .txt or .jsonl file, not '{path.name}'.")
    text = _read_text(path)
    if path.suffix.lower() == ".txt":
        return _checked(list(_text_rows(path, text)), f"'{path.name}'")
    rows = parse_jsonl(text.split("\n"), path.name, expected="'text' or 'image'")
    return _checked([_candidate(path.parent, row) for row in rows], f"'{path.name}'")


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise BadInput(f"'{path.name}' is larger than {MAX_LIST_BYTES // 2**20} MB; give fewer candidates.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"There is no file '{path}'; check the path of the candidates.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"'{path.name}' is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"'{path.name}' cannot be read: {error}.") from error


def _text_rows(path: Path, text: str) -> Iterator[Candidate]:
    for number, line in enumerate(text.split("\n"), start=1):
        if checked := check_text(line, f"Line {number} of '{path.name}'"):
            yield Candidate(id=str(number), text=checked)


def _candidate(folder: Path, given: JsonRow) -> Candidate:
    row, where = given.values, given.where
    if unknown := sorted(row.keys() - {"id", "text", "image"}):
        raise BadInput(f"{where} has the unknown key '{unknown[0]}'; known: id, text, image.")
    text, image = row.get("text") or "", row.get("image")
    if not isinstance(text, str) or not isinstance(image, str | None):
        raise BadInput(f"{where}: 'text' and 'image' must be strings.")
    text = check_text(text, where)
    if not text and not image:
        raise BadInput(f"{where} has neither 'text' nor 'image'.")
    try:
        ref = refer(folder / image) if image else None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    return Candidate(id=str(row.get("id", given.number)), text=text, image=ref)


def _checked(candidates: list[Candidate], what: str) -> tuple[Candidate, ...]:
    if not candidates:
        raise BadInput(f"{what} holds no candidates; give at least one.")
    if len(candidates) > MAX_CANDIDATES:
        raise BadInput(f"{what} holds {len(candidates):,} candidates; at most {MAX_CANDIDATES:,} are ranked.")
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.id in seen:
            raise BadInput(f"{what} uses the id '{candidate.id}' twice; ids must differ.")
        seen.add(candidate.id)
    return tuple(candidates)
