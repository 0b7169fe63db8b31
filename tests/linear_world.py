"""A model that is linear in what the image shows, so that every map and every test of a map can be worked out by hand.

A cell of the image is `SIDE` pixels to a side and shows one number, its mean brightness (0 to 1). The value of
`ThinkState(word=w)` is the sum over cells of `weights[w]` times that number. A unit is a cell at both levels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, final

import numpy as np
import torch
from PIL import Image, ImageFilter

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Differentiable, Embedder, EmbedderInfo, Keep, Objective, Randomisable
from workbench.images import open_image
from workbench.samples import make_sample
from workbench.stages import quiet
from workbench.targets import Target, ThinkState
from workbench.trust import MapCase, make_case
from workbench.types import Encoded, PatchGrid, Provenance, Sample, TokenTable, Trace

SIDE = 8
PROVENANCE = Provenance(
    checkpoint="linear", weights_sha256="0" * 64, family="linear", format="none", dtype="float64", device="cpu"
)


def picture(cells: np.ndarray) -> bytes:
    """A PNG whose cells have these brightnesses, 0 to 1."""
    grey = np.kron(np.round(cells * 255), np.ones((SIDE, SIDE))).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(grey).convert("RGB").save(file, format="PNG")
    return file.getvalue()


def think(word: int) -> ThinkState:
    return ThinkState(label=f"row {word}", think=0, word=word)


class LinearObjective(Objective):
    def __init__(self, weights: np.ndarray, encoded: Encoded, targets: Sequence[Target], level: Any) -> None:
        self.level, self.targets, self.grids, self.n_layers = level, tuple(targets), encoded.grids, 0
        self.features = torch.tensor(encoded.inputs["cells"])[:, None]
        self._encoded = encoded
        rows = [weights[target.word] for target in targets if isinstance(target, ThinkState)]
        self._weights = torch.tensor(np.stack(rows), dtype=torch.float32)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        return features[..., 0] @ self._weights.T

    def baseline(self, filling: str) -> torch.Tensor:
        if filling == "mean":
            return self.features.mean(dim=0, keepdim=True).expand_as(self.features).clone()
        return torch.tensor(_cells(self._encoded.sample, blurred=True))[:, None]

    def noise(self, n: int, seed: int) -> torch.Tensor:
        return torch.randn((n, *self.features.shape), generator=torch.Generator().manual_seed(seed))

    def spread(self, cells: torch.Tensor) -> torch.Tensor:
        return cells

    def gather(self, units: torch.Tensor) -> torch.Tensor:
        return units

    @property
    def columns(self) -> tuple[int, ...]:
        return tuple(range(len(self.features)))

    @property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        return ((0,),) * len(self.targets)

    @property
    def thoughts(self) -> tuple[int, ...]:
        return ()

    def attention(self) -> Iterator[torch.Tensor]:
        raise NotImplementedError

    def attention_gradients(self) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        raise NotImplementedError

    def through_vision(self, rows: torch.Tensor) -> torch.Tensor:
        return rows


class LinearModel(Embedder, Differentiable, Randomisable):
    """Weights (words, cells); `parts` are its halves, each a half of the cells."""

    info = EmbedderInfo(
        name="linear",
        n_layers=0,
        n_heads=0,
        n_think=1,
        width=1,
        dim=1,
        n_parameters=0,
        think_tokens=("t",),
        contexts=(),
        max_tokens=9,
        provenance=PROVENANCE,
    )

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def prepare(self, sample: Sample) -> Encoded:
        grids, start = [], 0
        for image in sample.images:
            grids.append(PatchGrid(frames=1, rows=image.height // SIDE, cols=image.width // SIDE, start=start))
            start += grids[-1].n_tokens
        tokens = TokenTable(ids=np.arange(start), texts=("x",) * start, kinds=("image",) * start)
        cells = _cells(sample)
        return Encoded(
            sample=sample,
            inputs={"cells": cells},
            tokens=tokens,
            grids=tuple(grids),
            think=slice(start, start),
            embed=start,
        )

    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        return [linear_trace(encoded) for encoded in batch]

    def embed(self, batch: Sequence[Encoded]) -> np.ndarray:
        return np.stack([encoded.inputs["cells"] for encoded in batch])

    def objective(self, encoded: Encoded, targets: Sequence[Target], *, level: Any = "tokens", context: Any = None):
        return LinearObjective(self.weights, encoded, targets, level)

    @property
    def parts(self) -> tuple[str, ...]:
        return ("second half", "first half")

    def randomised(self, parts: Sequence[str], seed: int) -> Any:
        half = self.weights.shape[1] // 2
        drawn = np.random.default_rng(seed).normal(size=self.weights.shape)
        changed = self.weights.copy()
        for part in parts:
            at = slice(half, None) if part == "second half" else slice(half)
            changed[:, at] = drawn[:, at]
        return LinearModel(changed)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ToyMap(AttributionProbe):
    """Maps of known worth: `perfect` is weight times what the fill would change."""

    name = "toy"
    title = "Toy"
    version = 1
    reference = "none"
    signed = True
    kind: Literal["perfect", "inverted", "even", "image", "noisy"] = "perfect"

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        tick(0.0, "toy")
        own, n = objective.features, len(objective.targets)
        if self.kind == "even":
            found = torch.ones(n, len(own))
        elif self.kind == "image":
            found = own[:, 0].expand(n, -1)
        elif self.kind == "noisy":
            seed = int(own.double().sum().mul(1e6)) % 2**31
            found = torch.randn(n, len(own), generator=torch.Generator().manual_seed(seed))
        else:
            start = own[None].clone().requires_grad_()
            values = objective(start)[0]
            slopes = torch.stack([torch.autograd.grad(value, start, retain_graph=True)[0][0, :, 0] for value in values])
            found = slopes * (own - objective.baseline("blur"))[:, 0]
        relevance = found.double().numpy() * (-1 if self.kind == "inverted" else 1)
        return Attribution(relevance=relevance, passes=1)


def linear_case(
    weights: np.ndarray, *images: np.ndarray, kind: Any = "perfect", truth: np.ndarray | None = None
) -> MapCase:
    """A map of the linear model: one target for each row of weights, images given as brightnesses of their cells."""
    model = LinearModel(weights)
    sample = make_sample([picture(cells) for cells in images], "what is it?")
    encoded = model.prepare(sample)
    targets = [think(row) for row in range(len(weights))]
    return make_case(model, encoded, linear_trace(encoded), targets, ToyMap(kind=kind), truth=truth)


def linear_trace(encoded: Encoded) -> Trace:
    empty = np.zeros((1, 1), dtype=np.float32)
    return Trace(
        sample=encoded.sample,
        tokens=encoded.tokens,
        grids=encoded.grids,
        think=encoded.think,
        embed=encoded.embed,
        latents=empty[None],
        attention=empty[None, None],
        embedding=empty[0],
        stepwise=empty,
        knockout=empty,
        provenance=PROVENANCE,
    )


def _cells(sample: Sample, *, blurred: bool = False) -> np.ndarray:
    found = []
    for ref in sample.images:
        image = open_image(ref).convert("L")
        if blurred:
            image = image.filter(ImageFilter.GaussianBlur(max(image.size)))
        pixels = np.asarray(image, dtype=np.float32) / 255
        rows, cols = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
        found.append(pixels.reshape(rows, SIDE, cols, SIDE).mean(axis=(1, 3)).reshape(-1))
    return np.concatenate(found)
