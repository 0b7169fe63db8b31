"""Records of an export, with their arrays, become the points of a map: what is known of a sample is told in one way only."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from workbench.errors import BadInput
from workbench.export.record import Record
from workbench.latent_map import NO_STEP, Column, MapSample, Of
from workbench.mapping.columns import ADDED, MAX_CATEGORIES, categorical, free_name, numbers
from workbench.mapping.points import Points, check_layer
from workbench.types import Provenance, Trace

_TEXT = 2_000
"""Characters of a query that a map keeps."""
_ANSWER = re.compile(r"\banswer\s*:\s*", re.IGNORECASE)
_CORRECT = (
    "Whether what the thought says after its last 'answer:' is the data's answer, word for word; a thought without one is "
    "right when it holds the answer."
)
_CORRECT_TARGET = (
    "Of a checkpoint whose text tells the target: whether it is the target's words, all of them and nothing else. Unknown where the "
    "data do not give the target in words."
)
_CONFIDENCE = (
    "Geometric mean of the probabilities of the decoded thought's tokens. How sure the decoder is of the text is not how right "
    "the text is."
)


@dataclass(slots=True)
class _Told:
    """What is known of each sample, one entry each."""

    answers: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    correct: list[str | None] = field(default_factory=list)
    confidence: list[float | None] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)


@final
class Gatherer:
    """Takes records one at a time and holds their vectors, not their arrays.

    Args:
        of: what a point is.
        layer: decoder layer, from 0 or from the end; None: the last.
        rows: how many records will come at most, so that memory is taken once.
        tells: what decoded thoughts are trained to say, as in `EmbedderInfo`; by it they are called right. None where it is
            not known, so that none is called anything.
        ids_tell: whether ids of targets hold their words, as those of Shapes do.
    """

    def __init__(self, of: Of, layer: int | None, rows: int, *, tells: str | None, ids_tell: bool = False) -> None:
        self._of: Of = of
        self._tells = tells
        self._ids_tell = ids_tell
        self._asked = layer
        self._layer: int | None = None
        self._rows = rows
        self._vectors: np.ndarray | None = None
        self._filled = 0
        self._steps: list[int] = []
        self._samples: list[MapSample] = []
        self._told = _Told()
        self._failed: list[str] = []

    def add(
        self,
        record: Record,
        read: Callable[[str], np.ndarray | None],
        *,
        image: str = "",
        thumbnail: bytes = b"",
        target: str = "",
    ) -> None:
        """Take a record in.

        Args:
            record: as `workbench.export.record` makes it; one with an error gives no point and is counted.
            read: the sample's array of this name ("latents", "embedding"), or None where there is none.
            image: path of its first image, or its name.
            thumbnail: JPEG.
            target: text of the document that should be found, where it is known and has one.

        Raises:
            BadInput: when the array that the map needs is not there, or a layer is asked for that there is not.
        """
        if record["error"] is not None:
            self._failed.append(record["error"])
            return
        vectors = self._vectors_of(read)
        if self._vectors is None:
            self._vectors = np.empty((self._rows * len(vectors), vectors.shape[1]), dtype=np.float32)
        end = self._filled + len(vectors)
        if vectors.shape[1] != self._vectors.shape[1] or end > len(self._vectors):
            raise BadInput(
                f"Sample '{record['id']}' has other latents than those before it; map one checkpoint at a time."
            )
        self._vectors[self._filled : end] = vectors
        self._filled = end
        self._steps.append(len(vectors))
        self._samples.append(_sample(record, image, thumbnail))
        self._tell(record, target)

    def add_trace(self, trace: Trace) -> None:
        """Take in a trace, of which no decoded thought is known."""
        arrays: Mapping[str, np.ndarray] = {"latents": trace.latents, "embedding": trace.embedding}
        sample = trace.sample
        record = {
            "id": sample.id,
            "row": 0,
            "role": sample.role,
            "text": sample.text,
            "images": [{"name": image.name} for image in sample.images],
            "metadata": [{"name": name, "value": _plain(value)} for name, value in sample.metadata.items()],
            "expected": None,
            "thought": None,
            "error": None,
        }
        first = sample.images[0] if sample.images else None
        self.add(record, arrays.get, image=str(first.path or first.name) if first else "")

    @property
    def failed(self) -> int:
        """Records that held an error."""
        return len(self._failed)

    def points(self, provenance: Provenance, *, source: Mapping[str, str], title: str, seconds: float) -> Points:
        """Everything that was taken in. Raises BadInput when there was nothing."""
        if self._vectors is None:
            why = f" The first reason: {self._failed[0]}" if self._failed else ""
            raise BadInput(f"There is nothing to map: no sample gave a latent.{why}")
        steps = np.array(self._steps)
        sample = np.repeat(np.arange(len(steps), dtype=np.int32), steps)
        notes = []
        if self._failed:
            notes.append(f"{len(self._failed):,} samples gave no point. The first reason: {self._failed[0]}")
        return Points(
            of=self._of,
            layer=self._layer,
            vectors=self._vectors[: self._filled],
            sample=sample,
            k=self._positions(steps),
            samples=tuple(self._samples),
            columns=_columns(self._told, _CORRECT_TARGET if self._tells == "target" else _CORRECT),
            provenance=provenance,
            source=source,
            title=title,
            notes=tuple(notes),
            seconds=seconds,
        )

    def _positions(self, steps: Int[np.ndarray, " samples"]) -> Int[np.ndarray, " points"]:
        if self._of != "thoughts":
            return np.full(self._filled, NO_STEP, dtype=np.int32)
        return (np.arange(self._filled) - np.repeat(np.cumsum(steps) - steps, steps)).astype(np.int32)

    def _vectors_of(self, read: Callable[[str], np.ndarray | None]) -> Float[np.ndarray, "points dim"]:
        name = "embedding" if self._of == "embedding" else "latents"
        array = read(name)
        if array is None or not array.size:
            raise BadInput(
                f"A map of {self._of} needs the {name}, which these samples lack; the checkpoint has no think tokens, or the "
                f"export was made without --with {name}."
            )
        if name == "embedding":
            return array[None]
        self._layer = check_layer(self._asked, len(array))
        states = array[self._layer]
        return states if self._of == "thoughts" else states.mean(axis=0, keepdims=True)

    def _tell(self, record: Record, target: str) -> None:
        told, expected, thought = self._told, record["expected"] or {}, record["thought"]
        answer = expected.get("answer") or ""
        told.answers.append(answer)
        told.labels.append(expected.get("target_id") or "")
        right = None
        if thought is not None and self._tells == "target":
            named = named_target(expected.get("target_id") or "") if self._ids_tell else ""
            right = tells_target(thought["text"], target or named)
        elif thought is not None and self._tells is not None and answer:
            right = is_right(thought["text"], answer)
        told.correct.append(None if right is None else "right" if right else "wrong")
        mean = None if thought is None else thought["mean_log_probability"]
        told.confidence.append(None if mean is None else math.exp(mean))
        told.metadata.append({entry["name"]: entry["value"] for entry in record["metadata"]})


def is_right(thought: str, answer: str) -> bool:
    """Whether a thought ends in the answer, or holds it where it marks no answer. Case, space and full stops do not count."""
    *_, said = _ANSWER.split(thought)
    wanted, given = _words(answer), _words(said)
    if _ANSWER.search(thought):
        return given == wanted
    return any(given[at : at + len(wanted)] == wanted for at in range(len(given) - len(wanted) + 1)) and bool(wanted)


def tells_target(thought: str, target: str) -> bool | None:
    """Whether a thought is a target's words, as `is_right` compares words; None where these are not known."""
    return _words(thought) == _words(target) if target else None


def named_target(target_id: str) -> str:
    """The words in the id of a target of Shapes: a text, or the caption of an image. Ids of other data may only look like it."""
    kind, _, words = target_id.partition(":")
    return words if kind in ("text", "image") else ""


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def _sample(record: Record, image: str, thumbnail: bytes) -> MapSample:
    thought, expected = record["thought"], record["expected"] or {}
    text = record["text"] or ""
    return MapSample(
        id=record["id"],
        row=record["row"],
        role=record["role"] or "query",
        text=text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…",
        answer=expected.get("answer") or "",
        image=image or next((named["name"] for named in record["images"]), ""),
        thumbnail=thumbnail,
        thoughts=("" if thought is None else thought["text"],),
    )


def _columns(told: _Told, about_correct: str) -> tuple[Column, ...]:
    names = dict.fromkeys(name for known in told.metadata for name in known)
    own = [
        categorical("label", told.labels, about="Id of the document that the data want found."),
        categorical("answer", told.answers, about="What the data call right."),
        categorical("correct", told.correct, order=("right", "wrong"), about=about_correct),
        numbers("confidence", told.confidence, about=_CONFIDENCE),
    ]
    found = [column for column in own if column is not None]
    for name in names:
        called = free_name(name, {*ADDED, *(column.name for column in found)})
        column = _metadata(called, [known.get(name) for known in told.metadata])
        found += [] if column is None else [column]
    return tuple(found)


def _metadata(name: str, values: list[str | None]) -> Column | None:
    """Numbers where all values are numbers and too many to be names of kinds, kinds otherwise; one single kind tells nothing."""
    known = {value for value in values if value}
    if len(known) > MAX_CATEGORIES and all(map(_is_number, known)):
        return numbers(name, [float(value) if value else None for value in values])
    return categorical(name, values) if len(known) > 1 else None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def image_path(path: Path | None, name: str) -> str:
    """What a map remembers of an image: where it is, or what it is called."""
    return name if path is None else str(path)
