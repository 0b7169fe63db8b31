"""The texts of an audit: how likely the decoded thought is under every edit, and what is written under some."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from workbench.auditing.parts import Held
from workbench.auditing.planned import Planned, places
from workbench.comparing.reading import Reading
from workbench.comparing.tracing import MAX_TOKENS
from workbench.edits import Edit
from workbench.embedder import DecodesThoughts, Embedder
from workbench.types import TextScore, Trace
from workbench.words import changed_words

FIRST_ROWS = 128
"""First rows, whose texts are scored under every edit and written under some; those of the others under edits of all thoughts."""
WRITTEN = ("zero.all", "noise.all", "mean.all", "swap-random.all", "swap-image.all")
_FOLLOWED = ("none", "swap-random", "patch")
"""Edits under which the text of the sample that the thoughts come from is scored too."""
_TOGETHER = 8
"""Rows whose texts are written together."""
_SCORED_TOGETHER = 32
"""Texts that are scored together: the readings of all their tokens are held at once."""


@final
class Telling:
    """Texts under the edits of a part's rows. Nothing for a model that writes none."""

    def __init__(self, model: Embedder, reading: Reading, planned: Sequence[Planned], held: Held) -> None:
        self._decoder = model if isinstance(model, DecodesThoughts) and model.info.contexts else None
        self._reading = reading
        self._planned = planned
        self._whole = {column for column, one in enumerate(planned) if one.thought is None and one.kind != "block"}
        self._written = [places(planned)[name] for name in WRITTEN]
        self._held = held
        self._waiting: list[tuple[int, int, Mapping[int, Trace]]] = []

    def tell(self, row: int, place: int, other: int, edits: Sequence[Edit | None], traces: Sequence[Trace]) -> None:
        """Score the row's text, and that of the row `other` (-1: none), under its edits; None stands for one that was not made."""
        thought = self._reading.rows[row].thought
        if self._decoder is None or thought is None:
            return
        made = {column: edit for column, edit in enumerate(edits) if edit is not None}
        is_first = row < FIRST_ROWS
        reached = [
            column for column, edit in made.items() if edit.reaches_decoder and (is_first or column in self._whole)
        ]
        held = self._held
        for column, one in self._score(thought.text, [0, *reached], traces).items():
            held.own[place, column] = _mean(one)
            if one.tokens[:-1] == thought.tokens:
                # A text that was cut goes on, so its end is not asked for.
                held.kept[place, column] = all(one.likeliest if thought.finish == "end" else one.likeliest[:-1])
        for column, edit in made.items():
            if not edit.reaches_decoder:
                held.own[place, column], held.kept[place, column] = held.own[place, 0], held.kept[place, 0]
        theirs = self._reading.rows[other].thought if other >= 0 else None
        if theirs is not None:
            followed = [column for column in (0, *reached) if self._planned[column].kind in _FOLLOWED]
            for column, one in self._score(theirs.text, followed, traces).items():
                held.other[place, column] = _mean(one)
        if is_first:
            self._waiting.append((row, place, {column: traces[column] for column in self._written if column in made}))
        if len(self._waiting) == _TOGETHER:
            self.write()

    def write(self) -> None:
        """Write what waits to be written."""
        asked = [
            (row, place, column, trace)
            for row, place, traces in self._waiting
            for column, trace in traces.items()
            if trace.continuation is not None
        ]
        self._waiting = []
        if not asked:
            return
        assert self._decoder is not None
        written = self._decoder.decode([trace for *_, trace in asked], max_tokens=MAX_TOKENS)
        for (row, place, column, _), thought in zip(asked, written, strict=True):
            own = self._reading.rows[row].thought
            assert own is not None
            at = self._written.index(column)
            self._held.words[place, at] = changed_words(own.text, thought.text)
            logs = thought.log_probabilities
            self._held.fluency[place, at] = np.mean(logs) if logs else np.nan

    def _score(self, text: str, columns: Sequence[int], traces: Sequence[Trace]) -> dict[int, TextScore]:
        assert self._decoder is not None
        known = [column for column in columns if traces[column].continuation is not None]
        found: dict[int, TextScore] = {}
        for begin in range(0, len(known), _SCORED_TOGETHER):
            some = known[begin : begin + _SCORED_TOGETHER]
            scores = self._decoder.score([traces[column] for column in some], [text] * len(some))
            found |= dict(zip(some, scores, strict=True))
        return found


def _mean(score: TextScore) -> float:
    return score.total / len(score.log_probabilities)
