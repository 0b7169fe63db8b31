"""Dense warm-up of the vision tower: each merged visual token names what it covers and where it lies.

Learned end to end, perception is the slow part of a small model; with the truth about every pixel at hand it takes
minutes. M-RoPE gives text tokens no absolute place in the image, so the visual tokens must carry it: hence the region.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from workbench.errors import BadInput
from workbench.models.backbone import Backbone
from workbench.models.registries import Prefix
from workbench.recipes.batches import IGNORE, Encoder, Row
from workbench.recipes.config import PerceptionSettings
from workbench.recipes.recipe import Report

N_REGIONS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseLabels:
    """The sizes, colours and shapes of a data set, as three sets of classes. Class 0 of each is background.

    Three small questions are learned in a fraction of the steps that one question with all combinations takes.
    """

    sizes: tuple[str, ...]
    colours: tuple[str, ...]
    shapes: tuple[str, ...]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Classes of each question, background included."""
        return 1 + len(self.sizes), 1 + len(self.colours), 1 + len(self.shapes)

    @classmethod
    def collect(cls, rows: Sequence[Row]) -> "DenseLabels":
        """Every size, colour and shape in the rows. Raises BadInput when the rows have no objects."""
        things = [thing for row in rows for thing in row.get("objects", ())]
        if not things:
            raise BadInput("A perception warm-up needs rows with 'objects'; set perception.steps to 0 for this data.")
        every = {key: tuple(sorted({thing[key] for thing in things})) for key in ("size", "colour", "shape")}
        return cls(sizes=every["size"], colours=every["colour"], shapes=every["shape"])

    def of(self, row: Row, prefix: Prefix) -> tuple[Int[Tensor, "questions tokens"], Int[Tensor, " tokens"]]:
        """Classes and region (0 ... 8, row-major thirds) of each merged token of the row's first image.

        A token of which an object covers only a corner is neither that object nor background: IGNORE.
        """
        _, rows, cols = prefix.grids[0]
        height, width = row["scene"]["height"] / rows, row["scene"]["width"] / cols
        objects = torch.zeros(3, rows, cols, dtype=torch.long)
        for thing in row["objects"]:
            top, left, bottom, right = thing["box"]
            covered = _overlap(rows, height, top, bottom)[:, None] * _overlap(cols, width, left, right)[None, :]
            classes = (
                self.sizes.index(thing["size"]), self.colours.index(thing["colour"]), self.shapes.index(thing["shape"])
            )
            objects[:, (covered > 0.02) & (covered <= 0.25) & (objects[0] == 0)] = IGNORE
            objects[:, covered > 0.25] = 1 + torch.tensor(classes)[:, None]
        third = lambda n: (torch.arange(n) + 0.5) * 3 / n  # noqa: E731
        regions = third(rows).long()[:, None] * 3 + third(cols).long()[None, :]
        return objects.flatten(1), regions.flatten()


def _overlap(n: int, size: float, low: float, high: float) -> Tensor:
    """Share of each of n cells of the given size that the span low ... high covers."""
    start = torch.arange(n) * size
    return ((start + size).clamp(max=high) - start.clamp(min=low)).clamp(min=0) / size


def warm_up(
    backbone: Backbone, rows: Sequence[Row], encoder: Encoder, settings: PerceptionSettings, *, seed: int, workers: int, report: Report
) -> None:
    """Train the vision tower in place for `settings.steps` steps; reports accuracy on the batches it trains on."""
    pictured = [row for row in rows if row.get("images")]
    labels = DenseLabels.collect(pictured)
    width = backbone.family.token_embedding(backbone.model).weight.shape[1]
    device = backbone.device
    torch.manual_seed(seed)
    names = nn.Linear(width, sum(labels.counts)).to(device)
    regions = nn.Linear(width, N_REGIONS).to(device)
    tower = backbone.family.vision_parameters(backbone.model)
    optimiser = torch.optim.AdamW([*tower, *names.parameters(), *regions.parameters()], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
    )
    batches = DataLoader(
        pictured,  # pyright: ignore[reportArgumentType] - a list is a data set
        batch_sampler=_indices(len(pictured), settings, seed),  # pyright: ignore[reportArgumentType]
        collate_fn=_Dense(encoder, labels),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    for step, batch in enumerate(batches):
        pixels, thw, things, places = (part.to(device) for part in batch)
        visual = backbone.family.visual_tokens(backbone.model, pixels, thw)
        named, placed = names(visual), regions(visual)
        # Background covers most tokens; without the weight the first hundred steps only learn to say "nothing".
        asked = list(zip(named.split(labels.counts, dim=1), things, strict=True))
        loss = functional.cross_entropy(placed, places) + sum(
            functional.cross_entropy(said, true, weight=_weights(said), ignore_index=IGNORE) for said, true in asked
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(tower, 1.0)
        optimiser.step()
        schedule.step()
        if step % 20 == 0 or step == settings.steps - 1:
            seen = things[0] > 0
            right = torch.stack([said.argmax(1) == true for said, true in asked])[:, seen].float()
            where = (placed.argmax(1) == places).float().mean().item()
            size, colour, shape = right.mean(1).tolist()
            report(
                f"perception {step + 1}/{settings.steps} loss {loss.item():.3f} object {right.amin(0).mean().item():.3f} "
                f"(size {size:.3f} colour {colour:.3f} shape {shape:.3f}) region {where:.3f}"
            )


def _weights(said: Tensor) -> Tensor:
    weight = torch.ones(said.shape[1], device=said.device)
    weight[0] = 0.2
    return weight


def _indices(n_rows: int, settings: PerceptionSettings, seed: int) -> list[list[int]]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(n_rows, (settings.batch,), generator=draw).tolist() for _ in range(settings.steps)]


@final
class _Dense:
    """Turns rows into pixels, grids and dense labels; picklable, runs in a loader's worker."""

    def __init__(self, encoder: Encoder, labels: DenseLabels) -> None:
        self.encoder = encoder
        self.labels = labels

    def __call__(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        encoder = self.encoder
        prefixes = [encoder.processor.encode(encoder.sample("", row["images"][:1], "document")) for row in rows]
        truth = [self.labels.of(row, prefix) for row, prefix in zip(rows, prefixes, strict=True)]
        return (
            torch.cat([prefix.pixels for prefix in prefixes if prefix.pixels is not None]),
            torch.cat([prefix.thw for prefix in prefixes]),
            torch.cat([one for one, _ in truth], dim=1),
            torch.cat([two for _, two in truth]),
        )
