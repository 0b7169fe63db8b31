"""From JSONL rows to training batches: queries with their reasoning, and the distinct documents they are to find.

The order of rows is a pure function of seed and step, so that a resumed run sees what an uninterrupted one would have.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from workbench.errors import BadInput, WorkbenchError
from workbench.images import refer
from workbench.models.registries import Prefix, Processor
from workbench.models.runs import runs
from workbench.models.sequence import LayoutIds, Packed, pack, with_text
from workbench.recipes.config import DataSettings
from workbench.recipes.dense import IGNORE, DenseLabels, DenseTruth
from workbench.recipes.rows import Row, TextPlace, document_key, row_text, target_key
from workbench.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBatch:
    """One step's tensors. Documents are distinct by target id."""

    queries: Packed
    labels: Int[Tensor, "batch text"]
    """Token that each text column is to predict; IGNORE where there is none."""
    parts: Int[Tensor, "batch text"]
    """For each text column, the think token (0 ... K-1) whose share of the reasoning its label belongs to."""
    documents: tuple[Packed, ...]
    """Like beside like: texts before images, the short before the long, no more in one pass than suits the device."""
    positive: Int[Tensor, " batch"]
    """For each query, the index of its document."""
    keys: Int[Tensor, "documents 2"]
    """Hashes of each document's target id and of its content. Equal in either, two documents are the same candidate,
    whichever process or row offers them."""
    dense: DenseTruth | None
    """What the queries' visual tokens cover, when that is trained."""

    def to(self, device: torch.device) -> "TrainBatch":
        """The same batch on another device."""
        return TrainBatch(
            queries=self.queries.to(device),
            labels=self.labels.to(device),
            parts=self.parts.to(device),
            documents=tuple(part.to(device) for part in self.documents),
            positive=self.positive.to(device),
            keys=self.keys.to(device),
            dense=None if self.dense is None else self.dense.to(device),
        )


_CPU = torch.device("cpu")
T = TypeVar("T")


@final
class Encoder:
    """Turns lists of rows into TrainBatches, cut for `device`; picklable, runs in a loader's worker."""

    def __init__(
        self,
        processor: Processor,
        ids: LayoutIds,
        settings: DataSettings,
        folder: Path,
        seed: int,
        dense: DenseLabels | None = None,
        *,
        text: TextPlace = "reasoning_after",
        device: torch.device = _CPU,
    ) -> None:
        self.text: TextPlace = text
        self.device = device
        self.processor = processor
        self.ids = ids
        self.settings = settings
        self.folder = folder
        self.seed = seed
        self.dense = dense

    def sample(self, text: str | None, images: Sequence[str], role: Any) -> Sample:
        """A sample of the data set's folder."""
        refs = tuple(refer(self.folder / name) for name in images)
        return Sample(id=text or str(images), text=text or "", images=refs, role=role)

    def reasoning(self, text: str) -> Int[Tensor, " tokens"]:
        """Token ids of a reasoning text with the end token; one that is cut at `max_reasoning_tokens` does not end.

        Names of special tokens in it are the letters that they are: a text cannot end early or ask for an image.
        """
        ids = self.processor.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return torch.tensor([*ids, self.ids.end][: self.settings.max_reasoning_tokens])

    def __call__(self, rows: Sequence[tuple[int, Row]]) -> TrainBatch:
        """Encode rows given as (step-unique number, row)."""
        prefixes = [self.processor.encode(self.sample(r["query"], r.get("images") or (), "query")) for _, r in rows]
        queries, labels, parts = self._written(prefixes, [row for _, row in rows])
        documents = self._documents(rows)
        order, parts_of_documents = self._encoded(documents)
        place = {key: index for index, key in enumerate(order)}
        return TrainBatch(
            queries=queries,
            labels=labels,
            parts=parts,
            documents=parts_of_documents,
            positive=torch.tensor([place[target_key(row)] for _, row in rows]),
            keys=torch.tensor([[_hash(key), _hash(document_key(documents[key]))] for key in order]),
            dense=self.dense_truth([row for _, row in rows], prefixes),
        )

    def dense_truth(self, rows: Sequence[Row], prefixes: Sequence[Prefix]) -> DenseTruth | None:
        """What the visual tokens of the rows' images cover; None when it is not trained or there is no image."""
        pictured = [(row, prefix) for row, prefix in zip(rows, prefixes, strict=True) if prefix.grids]
        if self.dense is None or not pictured:
            return None
        found = [self.dense.of(row, prefix) for row, prefix in pictured]
        return DenseTruth(
            things=torch.cat([things for things, _ in found], dim=1), places=torch.cat([places for _, places in found])
        )

    def _written(self, prefixes: Sequence[Prefix], rows: Sequence[Row]) -> tuple[Packed, Tensor, Tensor]:
        """The queries with their text where it belongs; its labels and parts."""
        match self.text:
            case "reasoning_after":
                texts = [self.reasoning(row_text(row, self.text)) for row in rows]
                # The end token is only ever a label: nothing is predicted after it.
                return pack(prefixes, self.ids, [text[:-1] for text in texts]), *self._labels(texts)
            case "reasoning_before":
                texts = [self.reasoning(row_text(row, self.text)) for row in rows]
                longer = [with_text(prefix, text, self.ids) for prefix, text in zip(prefixes, texts, strict=True)]
                # A text that was cut gets an end too, so that the embed token follows one; the end is then no label.
                cut = torch.tensor([IGNORE])
                said = [text if text[-1] == self.ids.end else torch.cat([text, cut]) for text in texts]
                return pack(longer, self.ids), *self._labels(said, at_right=True)
            case "target_apart" | "target_text_apart" | "none":
                words = [row_text(row, self.text) for row in rows]
                return pack(prefixes, self.ids), *self._labels([self.reasoning(w) if w else _NO_TEXT for w in words])

    def _labels(self, texts: Sequence[Tensor], *, at_right: bool = False) -> tuple[Tensor, Tensor]:
        n_text = max(len(text) for text in texts)
        labels = torch.full((len(texts), n_text), IGNORE)
        parts = torch.zeros_like(labels)
        n_think = max(len(self.ids.think), 1)
        for row, text in enumerate(texts):
            place = slice(n_text - len(text), n_text) if at_right else slice(len(text))
            labels[row, place] = text
            parts[row, place] = torch.arange(len(text)) * n_think // max(len(text), 1)
        return labels, parts

    def _documents(self, rows: Sequence[tuple[int, Row]]) -> dict[str, Row]:
        found: dict[str, Row] = {target_key(row): row["target"] for _, row in rows}
        # A target may carry an id: the same text among the negatives, which carry none, is still that target.
        targets = {document_key(row["target"]) for _, row in rows}
        for number, row in rows:
            offered = list(row.get("negatives") or ())
            draw = random.Random(f"{self.seed} {number}")
            for negative in draw.sample(offered, min(self.settings.negatives, len(offered))):
                if (key := document_key(negative)) not in targets:
                    found.setdefault(key, negative)
        return found

    def _encoded(self, documents: Mapping[str, Row]) -> tuple[list[str], tuple[Packed, ...]]:
        """The documents' keys in their order, and what passes the model at a time."""
        encoded = {
            key: self.processor.encode(self.sample(item.get("text"), item.get("images") or (), "document"))
            for key, item in documents.items()
        }
        kinds = [
            [key for key in encoded if bool(documents[key].get("images")) is pictured] for pictured in (False, True)
        ]
        order, parts = [], []
        for kind in kinds:
            kind.sort(key=lambda key: len(encoded[key].ids))
            order += kind
            lengths = [len(encoded[key].ids) + len(self.ids.think) + len(self.ids.embed) for key in kind]
            parts += [pack([encoded[key] for key in some], self.ids) for some in runs(kind, lengths, self.device)]
        return order, tuple(parts)


_NO_TEXT = torch.zeros(0, dtype=torch.long)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)


@final
class RowOrder:
    """Batches of (number, index) pairs from a given step on, rows of similar length together."""

    def __init__(
        self, lengths: Sequence[int], *, batch: int, seed: int, start: int, stop: int, rank: int = 0, world: int = 1
    ) -> None:
        self.lengths = lengths
        self.batch = min(batch, max(1, len(lengths) // world))
        self.seed = seed
        self.range = range(start, stop)
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        return len(self.range)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch_at, batches = -1, []
        for step in self.range:
            epoch, place = divmod(step, self.per_epoch)
            if epoch != epoch_at:
                epoch_at, batches = epoch, self._epoch(epoch)
            mine = batches[place][self.rank :: self.world]
            yield [(step * self.batch * self.world + index, index) for index in mine]

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the rows."""
        return max(1, len(self.lengths) // (self.batch * self.world))

    def _epoch(self, epoch: int) -> list[list[int]]:
        draw = random.Random(f"{self.seed} {epoch}")
        order = list(range(len(self.lengths)))
        draw.shuffle(order)
        size = self.batch * self.world
        # Sorting inside chunks of 16 batches keeps padding low and the batches still random.
        batches = []
        for begin in range(0, self.per_epoch * size, size * 16):
            chunk = sorted(order[begin : min(begin + size * 16, self.per_epoch * size)], key=self.lengths.__getitem__)
            batches += [chunk[at : at + size] for at in range(0, len(chunk), size)]
        draw.shuffle(batches)
        for batch in batches:
            draw.shuffle(batch)
        return batches


@final
class _Rows(Dataset[tuple[int, Row]]):
    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __getitem__(self, item: tuple[int, int]) -> tuple[int, Row]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return item[0], self.rows[item[1]]

    def __len__(self) -> int:
        return len(self.rows)


def loader(rows: Sequence[Row], encoder: Encoder, order: RowOrder, *, workers: int) -> Iterator[TrainBatch]:
    """Batches of `rows` in `order`, encoded ahead in worker processes. Raises BadInput for an image that cannot be used."""
    return encoded(_Rows(rows), order, encoder, workers=workers)


def encoded(data: Any, order: Iterable[Any], encode: Callable[[Any], T], *, workers: int) -> Iterator[T]:
    """What `encode` makes of the entries of a data set or a list, batch by batch, ahead in worker processes."""
    batches = DataLoader(
        data,
        batch_sampler=order,  # pyright: ignore[reportArgumentType] - yields lists of whatever the data take
        collate_fn=_Telling(encode),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    for made in batches:
        if isinstance(made, _Refused):
            raise BadInput(made.why)
        yield made


@final
@dataclass(frozen=True, slots=True)
class _Refused:
    why: str


@final
class _Telling:
    """Gives back what cannot be used as a value: an error that leaves a worker carries its traceback as its sentence."""

    def __init__(self, encode: Callable[[Any], Any]) -> None:
        self.encode = encode

    def __call__(self, entries: Any) -> Any:
        try:
            return self.encode(entries)
        except WorkbenchError as error:
            return _Refused(str(error))
