"""Does the map stay where it is when the image gets a little noise?"""

import hashlib
import io
from dataclasses import dataclass, replace
from typing import Annotated, final

import numpy as np
from PIL import Image

from workbench import stats
from workbench.attribution import Tick
from workbench.images import open_image
from workbench.perturbation import readable
from workbench.probe import Control, register_probe
from workbench.stages import part_of, quiet
from workbench.trust import MapCase, MapCheck
from workbench.types import Check, Encoded, ImageRef, Measure, ProbeResult
from workbench.views import Bars, Note, Panel

_ALIKE = 0.7
_MOVED = 0.1
_FINEST = 1024
"""Grains of noise along the longer side, at most."""


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Stability(MapCheck):
    """Make the map again for images with a little noise, and see how much it changes.

    Noise is uniform over the pixels, up to `grey` of 255 steps each way, less than people see. `sensitivity` is the largest
    change of a map, as a share of its own length (sensitivity-max, arXiv 1901.09392); `similarity` is the rank correlation
    of the cells, the lowest over the noisy images. The target is held: the same word, the same candidates, and the same text where a model
    writes before it embeds.

    It misleads alone: a map that is the same for all images is perfectly stable. And where the noise moves the target
    itself (`value_change`, in probability, cosine or projection units), a map that moves with it is right to do so.
    """

    name = "stability"
    title = "Stability of the map"
    version = 1
    reference = "sensitivity-max: Yeh et al., On the (In)fidelity and Sensitivity of Explanations (arXiv 1901.09392)"

    draws: Annotated[int, Control(help="How many noisy copies of the image.", low=1, high=100)] = 4
    grey: Annotated[int, Control(help="Largest change of a pixel, in grey steps of 255.", low=1, high=64)] = 4
    seed: Annotated[int, Control(help="Seed of the noise.", low=0)] = 0

    def judge(self, case: MapCase, tick: Tick = quiet) -> ProbeResult:
        own = case.relevance.astype(np.float64)
        start = _values(case, case.encoded)
        changes, alike, moved = [], [], []
        for draw in range(self.draws):
            mine = part_of(tick, draw / self.draws, 1 / self.draws, f"Noise {draw + 1} of {self.draws}")
            mine(0.0, "")
            noisy = _noisy(case, self.grey, (self.seed, draw))
            again = case.explain_again(encoded=noisy, tick=mine).astype(np.float64)
            changes.append(stats.relative_change(own, again))
            alike.append(stats.spearman(own, again))
            moved.append(np.abs(_values(case, noisy) - start))
        found = {
            "sensitivity": (np.max(changes, axis=0), "share of the map's length", "largest change of the map"),
            "similarity": (np.min(alike, axis=0), "rank correlation", "lowest agreement of the order of cells"),
            "value_change": (np.max(moved, axis=0), "value", "largest change of the target itself"),
        }
        measures = [
            Measure(
                name=name,
                values=values.astype(np.float32),
                dims=("target",),
                units=units,
                coords={"target": case.labels},
                better="higher" if name == "similarity" else "lower",
                about=f"{about} under {self.draws} draws of noise",
            )
            for name, (values, units, about) in found.items()
        ]
        return self.found(case, measures, _verdicts(np.min(alike, axis=0), np.max(moved, axis=0), case.labels))

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        panels: list[Panel] = [
            Bars(measure="similarity", x="target", title="Agreement with the maps of noisy images"),
            Bars(measure="sensitivity", x="target", title="Change of the map under noise"),
        ]
        kinds = {True: "info", False: "warning"}
        panels += [Note(text=f"{c.name}: {c.about}", kind=kinds[c.passed]) for c in result.checks]  # pyright: ignore[reportArgumentType]
        return tuple(panels)


def _verdicts(alike: np.ndarray, moved: np.ndarray, labels: tuple[str, ...]) -> list[Check]:
    worst = int(alike.argmin())
    return [
        Check(
            name="the map is stable under noise",
            value=float(alike.mean()),
            tolerance=_ALIKE,
            passed=bool(alike.mean() >= _ALIKE),
            about=f"the order of cells agrees by {alike.mean():.2f} on average, least for '{labels[worst]}' "
            f"({alike[worst]:.2f}); under {_ALIKE} the map shows noise",
        ),
        Check(
            name="the target is stable under noise",
            value=float(moved.max()),
            tolerance=_MOVED,
            passed=bool(moved.max() <= _MOVED),
            about=f"the noise moves the target itself by {moved.max():.3f} at most; over {_MOVED} the map may move too",
        ),
    ]


def _values(case: MapCase, encoded: Encoded) -> np.ndarray:
    objective = case.model.objective(encoded, case.targets, level="tokens", context=case.context)
    values = objective(objective.features[None])[0].detach().cpu().double().numpy()
    return readable(values, case.targets)


def _noisy(case: MapCase, grey: int, seed: tuple[int, int]) -> Encoded:
    generator = np.random.default_rng(seed)
    sample = case.encoded.sample
    images = tuple(_shake(image, grey, generator) for image in sample.images)
    return case.model.hold(case.model.prepare(replace(sample, images=images)), case.trace)


def _shake(ref: ImageRef, grey: int, generator: np.random.Generator) -> ImageRef:
    """The image with noise in it. Large images get it in blocks: finer noise would not survive being made smaller."""
    pixels = np.asarray(open_image(ref), dtype=np.int16)
    height, width, _ = pixels.shape
    block = -(-max(height, width) // _FINEST)
    drawn = generator.integers(-grey, grey, size=(-(-height // block), -(-width // block), 3), endpoint=True)
    noise = drawn.astype(np.int16).repeat(block, axis=0).repeat(block, axis=1)[:height, :width]
    file = io.BytesIO()
    changed = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    Image.fromarray(changed).save(file, format="PNG", compress_level=1)
    data = file.getvalue()
    # Not `refer`: noise does not compress, and the limit on file sizes is meant for what strangers send.
    return ImageRef(data=data, sha256=hashlib.sha256(data).hexdigest(), width=width, height=height, name=ref.name)
