"""Dense warm-up of the vision tower: each merged visual token names what it covers and where it lies.

Learned end to end, perception is the slow part of a small model; with the truth about every pixel at hand it takes
minutes. M-RoPE gives text tokens no absolute place in the image, so the visual tokens must carry it: hence the region.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import BadInput
from workbench.models.backbone import Backbone
from workbench.recipes.batches import Encoder, encoded
from workbench.recipes.config import PerceptionSettings, TrainConfig
from workbench.recipes.dense import IGNORE, N_REGIONS, DenseLabels, DenseTruth
from workbench.recipes.recipe import Report
from workbench.recipes.rows import Row
from workbench.store import write_bytes_atomic


@final
class PerceptionHeads(nn.Module):
    """Linear readings of a visual token: size, colour and shape of what it covers, and its region."""

    def __init__(self, width: int, labels: DenseLabels) -> None:
        super().__init__()
        self.counts = labels.counts
        self.names = nn.Linear(width, sum(labels.counts))
        self.regions = nn.Linear(width, N_REGIONS)

    @classmethod
    def drawn(cls, width: int, labels: DenseLabels, seed: int) -> "PerceptionHeads":
        """Heads whose first weights follow from the seed alone, whatever was drawn before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(width, labels)

    def forward(self, visual: Tensor, truth: DenseTruth) -> dict[str, Tensor]:
        """Return the loss (nats, summed over the four questions) and the share of right readings of each."""
        asked = list(zip(self.names(visual).split(self.counts, dim=1), truth.things, strict=True))
        placed = self.regions(visual)
        # Background covers most tokens; without the weight the first hundred steps only learn to say "nothing".
        loss = functional.cross_entropy(placed, truth.places, ignore_index=IGNORE)
        for said, true in asked:
            weight = torch.ones(said.shape[1], device=said.device)
            weight[0] = 0.2
            loss = loss + functional.cross_entropy(said, true, weight=weight, ignore_index=IGNORE)
        seen = truth.things[0] > 0
        right = torch.stack([said.argmax(1) == true for said, true in asked])[:, seen].float()
        size, colour, shape = right.mean(1)
        return {
            "perception": loss,
            "object": right.amin(0).mean(),
            "size": size,
            "colour": colour,
            "shape": shape,
            "region": (placed.argmax(1) == truth.places)[truth.places != IGNORE].float().mean(),
        }


TOWER = "tower.safetensors"
"""What a run keeps of its warm-up."""


def warm_up(
    backbone: Backbone,
    heads: PerceptionHeads,
    rows: Sequence[Row],
    encoder: Encoder,
    config: TrainConfig,
    report: Report,
    log: Callable[[dict[str, Any]], None],
) -> None:
    """Train vision tower and heads in place for `config.perception.steps` steps.

    `report` and `log` are told the loss and the accuracy on the batches that it trains on.
    """
    settings, workers = config.perception, config.data.workers
    pictured = [row for row in rows if row.get("images")]
    device = backbone.device
    tower = backbone.family.vision_parameters(backbone.model)
    optimiser = torch.optim.AdamW([*tower, *heads.parameters()], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
    )
    batches = encoded(
        pictured,
        _indices(len(pictured), settings, config.optimiser.seed),
        _Dense(encoder),
        workers=workers,
    )
    begun = time.monotonic()
    for done, (pixels, thw, truth) in enumerate(batches, start=1):
        visual = backbone.family.visual_tokens(backbone.model, pixels.to(device), thw.to(device))
        values = heads(visual, truth.to(device))
        optimiser.zero_grad(set_to_none=True)
        values["perception"].backward()
        nn.utils.clip_grad_norm_(tower, 1.0)
        optimiser.step()
        schedule.step()
        if done % config.output.log_every == 0 or done == settings.steps:
            spent = time.monotonic() - begun
            told = {name: value.item() for name, value in values.items()}
            rate = done * settings.batch / spent
            log({"step": done, "split": "perception", "samples_per_second": rate, **told})
            shown = " ".join(f"{name} {value:.3f}" for name, value in told.items())
            left = spent / done * (settings.steps - done)
            report(f"perception {done}/{settings.steps} {shown} {rate:.0f} samples/s {left / 60:.0f} min left")


def adopt(folder: Path, backbone: Backbone, heads: PerceptionHeads, report: Report) -> None:
    """Take the vision tower and the perception heads of another run, in place. Raises BadInput when they do not fit."""
    places = (folder / TOWER, folder / "state" / "model.safetensors", folder / "model.safetensors")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise BadInput(
            f"perception.tower is '{folder}', which holds no run: there is no state/model.safetensors in it."
        )
    wanted = _tower(backbone, heads)
    found = load_file(path)
    wrong = [name for name, value in wanted.items() if name not in found or found[name].shape != value.shape]
    if wrong:
        raise BadInput(
            f"The run in '{folder}' has another vision tower or other perception heads ({len(wrong)} of {len(wanted)} tensors "
            f"are missing or of another shape, {wrong[0]} among them); take a run of the same model sizes and data."
        )
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(found[name])
    report(f"vision tower and perception heads taken from {folder}")


def keep_tower(folder: Path, backbone: Backbone, heads: PerceptionHeads) -> None:
    """Write the warmed-up tower and heads into a run's folder, for other runs to adopt whatever this one makes of them later."""
    folder.mkdir(parents=True, exist_ok=True)
    held = {name: value.detach().cpu().contiguous() for name, value in _tower(backbone, heads).items()}
    write_bytes_atomic(folder / TOWER, save(held))


def _tower(backbone: Backbone, heads: PerceptionHeads) -> dict[str, nn.Parameter]:
    """Vision tower and heads, by their names in a run's state."""
    tower = {id(parameter) for parameter in backbone.family.vision_parameters(backbone.model)}
    found = {f"model.{name}": value for name, value in backbone.model.named_parameters() if id(value) in tower}
    return found | {f"heads.{name}": value for name, value in heads.named_parameters()}


def _indices(n_rows: int, settings: PerceptionSettings, seed: int) -> list[list[int]]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(n_rows, (settings.batch,), generator=draw).tolist() for _ in range(settings.steps)]


@final
class _Dense:
    """Turns rows into pixels, grids and dense truth; picklable, runs in a loader's worker."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def __call__(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor, DenseTruth]:
        encoder = self.encoder
        prefixes = [encoder.processor.encode(encoder.sample("", row["images"][:1], "document")) for row in rows]
        truth = encoder.dense_truth(rows, prefixes)
        assert truth is not None
        pixels = torch.cat([prefix.pixels for prefix in prefixes if prefix.pixels is not None])
        return pixels, torch.cat([prefix.thw for prefix in prefixes]), truth
