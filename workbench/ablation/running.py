"""Every cell is a run folder of its own; what is finished is not trained again, what was stopped goes on.

All cells share the data, the sizes, the number of steps, and one vision tower, which was taught to name what it sees once and
then stays as it is: cells differ in how they think. `result.json` comes last and says that a cell is finished.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workbench.ablation.cells import Cell
from workbench.ablation.sessions import ran_at_once
from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.embedder import Embedder, ReadsVocabulary
from workbench.errors import BadInput
from workbench.evaluation.shapes import ShapesReport, evaluate_shapes
from workbench.models.checkpoint import load_checkpoint
from workbench.recipes.config import (
    DataSettings,
    LossSettings,
    ModelSettings,
    OptimiserSettings,
    OutputSettings,
    PerceptionSettings,
    TrainConfig,
)
from workbench.recipes.recipe import RECIPES
from workbench.recipes.run_state import RunState
from workbench.store import write_text_atomic

Report = Callable[[str], None]
RESULT = "result.json"
VALIDATION_ROWS = 192
WORKERS = 1
"""Processes that prepare batches ahead; they change no number."""
ROOM = 16
"""Tokens that a decoded thought may be longer than the longest reasoning of the training rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything. Equal for all cells of one folder."""

    steps: int = 600
    batch: int = 16
    rows: int = 8000
    """Training rows."""
    tower_steps: int = 1500
    """Steps of the perception warm-up that all cells share."""
    test: int = 400
    """Unseen samples that each finished run is evaluated on."""
    fewest: int = 1
    most: int = 1
    """Objects in a scene. With a second one the thoughts of so few steps are hardly ever right, and tell cells apart by their
    losses alone."""

    @property
    def world(self) -> ShapesConfig:
        return ShapesConfig(objects=(self.fewest, self.most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One finished run."""

    cell: str
    seed: int
    hit_at_1: float
    thought_exact: float | None
    """None for a model that writes nothing."""
    answer_exact: float | None
    swapped_thought_exact: float | None
    text: float | None
    """Held-out cross-entropy of the reasoning from the thoughts, nats per token."""
    contrastive: float
    """Held-out contrastive loss, nats."""
    n_test: int
    n_candidates: int
    seconds: float | None
    """Of training and evaluation; None where a session of it did not keep its time."""
    training_seconds: float | None = None
    """Of all sessions together, without the steps that a stop made the run take again."""

    @property
    def thought_worth(self) -> float | None:
        """Share of thoughts that are right, less that of the swapped thoughts: what the text does not get without its own."""
        if self.thought_exact is None or self.swapped_thought_exact is None:
            return None
        return self.thought_exact - self.swapped_thought_exact


def run_cells(
    cells: Sequence[Cell], seeds: Sequence[int], scale: Scale, out: Path, *, device: str | None, report: Report
) -> None:
    """Train and evaluate what is not finished yet. Raises BadInput for a folder made at another scale."""
    _claim(out, scale)
    todo = [(cell, seed) for seed in seeds for cell in cells if not (_folder(out, cell, seed) / RESULT).is_file()]
    report(f"{len(cells) * len(seeds) - len(todo)} of {len(cells) * len(seeds)} runs are finished")
    if not todo:
        return
    data = _data(out, scale, report)
    tower = _tower(out, scale, data, report)
    for number, (cell, seed) in enumerate(todo, start=1):
        report(f"run {number} of {len(todo)}: {cell.name}, seed {seed}")
        result = _run(cell, seed, scale, out, data, tower, device, report)
        write_text_atomic(_folder(out, cell, seed) / RESULT, json.dumps(asdict(result), indent=2) + "\n")


def read_results(out: Path) -> tuple[Scale, list[Result]]:
    """What is finished in a folder, and at which scale. Raises BadInput where there is no ablation.

    Results of before tell the seconds of the process that finished the run; where that was not the whole run they are None.
    """
    try:
        scale = Scale(**json.loads((out / "scale.json").read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise BadInput(f"'{out}' holds no ablation: there is no scale.json in it.") from error
    except (TypeError, ValueError) as error:
        raise BadInput(f"scale.json of '{out}' is not one that this version writes; choose another --out.") from error
    return scale, [_read_result(file, scale) for file in sorted(out.glob(f"runs/*/*/{RESULT}"))]


def _read_result(file: Path, scale: Scale) -> Result:
    values = json.loads(file.read_text(encoding="utf-8"))
    result = Result(**values)
    if "training_seconds" in values or result.seconds is None:
        return result
    whole = ran_at_once(file.with_name("log.jsonl"), result.seconds, steps=scale.steps, batch=scale.batch)
    return result if whole else replace(result, seconds=None)


def settings_of(cell: Cell, seed: int, scale: Scale, data: Path, tower: Path, folder: Path) -> TrainConfig:
    """The training run of one cell."""
    return TrainConfig(
        model=ModelSettings(
            think=cell.think,
            contexts=cell.contexts,
            extraction=cell.extraction,
            dependency=cell.dependency,
            width=96,
            layers=4,
            heads=3,
            key_value_heads=3,
            mlp=256,
            vision_width=64,
            vision_layers=3,
            vision_heads=2,
            freeze_vision_steps=scale.steps,
            adapter_rank=16,
        ),
        data=DataSettings(
            train=str(data / "train.jsonl"),
            validation=str(data / "validation.jsonl"),
            validation_rows=VALIDATION_ROWS,
            workers=WORKERS,
        ),
        loss=LossSettings(),
        optimiser=OptimiserSettings(
            method="muon",
            steps=scale.steps,
            batch=scale.batch,
            learning_rate=4e-3,
            warmup=min(50, scale.steps),
            seed=seed,
        ),
        perception=PerceptionSettings(steps=scale.tower_steps, tower=str(tower), batch=24, learning_rate=1.5e-3),
        output=OutputSettings(
            folder=str(folder), log_every=50, validate_every=max(1, scale.steps), save_every=max(1, scale.steps // 4)
        ),
    )


def _run(
    cell: Cell, seed: int, scale: Scale, out: Path, data: Path, tower: Path, device: str | None, report: Report
) -> Result:
    folder = _folder(out, cell, seed)
    config = settings_of(cell, seed, scale, data, tower, folder)
    checkpoint = RECIPES.get(cell.recipe)().train(config, resume=True, report=report)
    trained = RunState(folder).seconds()
    begun = time.monotonic()
    model = load_checkpoint(checkpoint, device=device)
    found = evaluate_shapes(model, n=scale.test, max_tokens=_longest_text(model, data), world=scale.world)
    held_out = _validation(folder)
    return Result(
        cell=cell.name,
        seed=seed,
        hit_at_1=found.metrics["hit_at_1"].value,
        thought_exact=_share(found, "thought_exact"),
        answer_exact=_share(found, "answer_exact"),
        swapped_thought_exact=_share(found, "swapped_thought_exact"),
        text=held_out.get("text"),
        contrastive=held_out["contrastive"],
        n_test=scale.test,
        n_candidates=found.n_candidates,
        seconds=None if trained is None else trained + time.monotonic() - begun,
        training_seconds=trained,
    )


def _longest_text(model: Embedder, data: Path) -> int:
    """Tokens that a decoded thought may have, so that no right one is cut."""
    if not isinstance(model, ReadsVocabulary):
        return ROOM
    rows = (data / "train.jsonl").read_text(encoding="utf-8").splitlines()
    texts = {json.loads(row)["reasoning"] for row in rows}
    return ROOM + max(len(model.text_ids(text)) for text in texts)


def _share(found: ShapesReport, name: str) -> float | None:
    return found.metrics[name].value if name in found.metrics else None


def _validation(folder: Path) -> dict[str, Any]:
    """The last held-out losses that a run logged."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["split"] == "validation"][-1]


def _folder(out: Path, cell: Cell, seed: int) -> Path:
    return out / "runs" / cell.name / f"seed-{seed}"


def _claim(out: Path, scale: Scale) -> None:
    """Take the folder for this scale, or find that it is of another."""
    if (out / "scale.json").is_file():
        known, _ = read_results(out)
        if known != scale:
            other = next(name for name, value in asdict(known).items() if value != getattr(scale, name))
            raise BadInput(
                f"'{out}' was begun with {other.replace('_', ' ')} {getattr(known, other)}, not {getattr(scale, other)}; runs of "
                "different scale cannot be compared, so give the same or choose another --out."
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    write_text_atomic(out / "scale.json", json.dumps(asdict(scale), indent=2) + "\n")


def _data(out: Path, scale: Scale, report: Report) -> Path:
    folder = out / "data"
    for split, n in (("train", scale.rows), ("validation", VALIDATION_ROWS)):
        if not (folder / f"{split}.jsonl").is_file():
            report(f"drawing {n} scenes for {split}")
            write_shapes(folder, scale.world, split, n)
    return folder


def _tower(out: Path, scale: Scale, data: Path, report: Report) -> Path:
    """A run that is the warm-up and one step with the tower fixed."""
    folder = out / "tower"
    if not (folder / "checkpoint").is_dir():
        report(f"warming up the vision tower that all runs share, {scale.tower_steps} steps")
        whole = settings_of(Cell(), 0, scale, data, folder, folder)
        config = replace(
            whole,
            data=replace(whole.data, validation=""),
            optimiser=replace(whole.optimiser, steps=1, warmup=1),
            perception=replace(whole.perception, tower=""),
        )
        RECIPES.get("tte-flash")().train(config, resume=True, report=report)
    return folder
