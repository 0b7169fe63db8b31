"""Comparisons whose every figure is known: planted models that read a small data set of pictures and words."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from planted import N_THINK, PROVENANCE, PlantedModel

from workbench.comparing.kept import Kept
from workbench.comparing.making import Compared, Setup, choose, make_comparison
from workbench.comparing.question import Question, pose
from workbench.embedder import Embedder, Keep
from workbench.errors import BadInput
from workbench.types import Encoded, Sample, Trace

WORDS = ("red", "blue", "square", "left", "right")


class WordModel(PlantedModel):
    """Thinks the known words of its question, and embeds by them.

    Args:
        name: of the checkpoint.
        swaps: word of a question -> the word that it takes it for.
        finer: cuts images into twice as many rows and columns.
        refuses: texts that it cannot read.
        fails_at: number of the trace, counted from 1, at which memory runs out.
        noise: length of random vectors added to its thoughts' states, so that spaces differ.
        noise_of: name of the model whose random vectors they are; empty for its own.
        looks: first word of a question -> the patch that it looks at; (0, 1) for the others.
    """

    def __init__(
        self,
        name: str = "word",
        *,
        swaps: dict[str, str] | None = None,
        finer: bool = False,
        refuses: Collection[str] = (),
        fails_at: int = 0,
        noise: float = 0.0,
        noise_of: str = "",
        looks: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self.info = replace(PlantedModel.info, name=name, provenance=replace(PROVENANCE, checkpoint=name))
        self.swaps, self.finer, self.refuses = swaps or {}, finer, refuses
        self.fails_at, self.noise, self.looks = fails_at, noise, looks or {}
        self.noise_of = noise_of or name
        self.traced = 0
        self.error: Exception = MemoryError()

    def prepare(self, sample: Sample) -> Encoded:
        if sample.text in self.refuses:
            raise BadInput(f"'{sample.text}' is not for {self.info.name}.")
        swaps = self.swaps if sample.role == "query" else {}
        words = [swaps.get(word, word) for word in sample.text.split()]
        known = tuple(f" {word}" for word in words if word in WORDS)[:N_THINK]
        scale = 2 if self.finer else 1
        images = tuple(replace(one, width=one.width * scale, height=one.height * scale) for one in sample.images)
        hot = self.looks.get(sample.text.split()[0], (0, 1)) if images else None
        return super().prepare(replace(sample, images=images, metadata={"thought": known, "hot": hot}))

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        self.traced += 1
        if self.traced == self.fails_at:
            raise self.error
        return [self._noisy(trace) for trace in super().trace(batch, keep)]

    def embed(self, batch: Sequence[Encoded]) -> np.ndarray:
        return np.stack([self._trace(one).embedding for one in batch])

    def _noisy(self, trace: Trace) -> Trace:
        if not self.noise:
            return trace
        seed = [ord(letter) for letter in trace.sample.text + self.noise_of]
        drawn = np.random.default_rng(seed).normal(size=trace.latents.shape).astype(np.float32)
        return replace(trace, latents=trace.latents + self.noise * drawn)


QUERIES = (
    "red square left",
    "blue square left",
    "red square right",
    "blue square right",
    "red left of the right",
    "blue left of the right",
)


def write_data(folder: Path, queries: Sequence[str] = QUERIES, *, images: bool = True, **more: Any) -> Path:
    """A data set that asks these questions; the right document of each is its own words."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, query in enumerate(queries):
        Image.new("RGB", (50, 30), (40 * number % 256, 90, 90)).save(folder / f"{number}.png")
        words = " ".join(word for word in query.split() if word in WORDS)
        row = {"id": f"q{number}", "query": query, "answer": words.split()[-1], "target": {"text": words}, **more}
        rows.append(row | ({"images": [f"{number}.png"]} if images else {}))
    path = folder / "test.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def write_checkpoint(folder: Path) -> Path:
    """A folder that passes for a checkpoint until somebody loads it; differs by its name."""
    folder.mkdir(parents=True)
    for name in ("config.json", "thinkscope.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(folder.name.encode())
    return folder


def setup(folder: Path, *models: WordModel) -> tuple[list[str], Setup]:
    """Folders of checkpoints, one for each model, and how they are loaded."""
    known: dict[Path, Embedder] = {}
    for model in models:
        path = folder / "checkpoints" / model.info.name
        known[path if path.is_dir() else write_checkpoint(path)] = model
    load: Callable[[Path], Embedder] = known.__getitem__
    return [str(path) for path in known], Setup(kept=Kept(folder / "kept"), device="cpu", dtype="float32", load=load)


def compare(folder: Path, *models: WordModel, question: Question | None = None, **how: Any) -> Compared:
    """A comparison of planted models over the small data set, or over a question."""
    names, where = setup(folder, *models)
    asked = question or pose(str(write_data(folder / "data")))
    return make_comparison(choose(names), asked, where, **how)


def shorten(monkeypatch: Any, *, candidates: int = 20, tokens: int = 8) -> None:
    """Let random models write a few words only, and rank a few candidates: what they say is nonsense at any length."""
    from workbench.comparing import question, tracing
    from workbench.evaluation import shapes
    from workbench.models import writing_embedder

    monkeypatch.setattr(tracing, "MAX_TOKENS", tokens)
    monkeypatch.setattr(writing_embedder, "MAX_WRITTEN", tokens)
    for module in (question, shapes):
        monkeypatch.setattr(module, "MIN_CANDIDATES", candidates)


def shorten_audit(monkeypatch: Any, *, tokens: int = 4, part: int = 4, fit_rows: int = 24) -> None:
    """The same for an audit, which also has small parts, so that few rows make several of them."""
    from workbench.auditing import fitting, making, measuring, parts, texts

    shorten(monkeypatch, tokens=tokens)
    monkeypatch.setattr(texts, "MAX_TOKENS", tokens)
    monkeypatch.setattr(fitting, "ROWS", fit_rows)
    for module in (fitting, making, measuring, parts):
        monkeypatch.setattr(module, "SIZE", part)
