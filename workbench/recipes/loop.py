"""The training loop that all recipes share: set-up, steps, log, validation, resumable state, finished checkpoints."""

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from workbench.errors import BadInput
from workbench.models.backbone import Backbone
from workbench.models.creation import save_backbone
from workbench.models.formats.native import write_manifest
from workbench.models.layout import Layout
from workbench.recipes.adapters import Adapters
from workbench.recipes.batches import Encoder, RowOrder, TrainBatch, loader
from workbench.recipes.config import TrainConfig
from workbench.recipes.dense import DenseLabels
from workbench.recipes.optimisers import make_optimisers
from workbench.recipes.parting import attach_dual
from workbench.recipes.perception import PerceptionHeads, adopt, keep_tower, warm_up
from workbench.recipes.processes import join_processes
from workbench.recipes.recipe import Report
from workbench.recipes.resuming import began_as, go_on
from workbench.recipes.rows import REASONED, Row, TextPlace, read_training_rows, row_length, row_text
from workbench.recipes.run_state import RunState
from workbench.recipes.setup import make_backbone
from workbench.recipes.step import TrainingStep
from workbench.types import Context

_NO_TEXT: tuple[Context, ...] = ("latents_only",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Where recipes differ, as the loop takes it."""

    name: str
    layout: Layout
    text: TextPlace
    """What of a row it learns to write, and so what a row must have."""
    sections: tuple[str, ...] = ()
    """Sections of the settings that only this recipe has."""
    make_step: Callable[[Backbone, TrainConfig, PerceptionHeads | None], TrainingStep]


def run_training(method: Method, config: TrainConfig, *, resume: bool, report: Report) -> Path:
    """Train as `config` says and return the folder of the finished checkpoint."""
    folder = Path(config.output.folder)
    state = RunState(folder)
    accelerator = join_processes(config.optimiser.precision)
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            state.recover()
        resumed = state.exists()
    # A slow process must not meet the state that the first one has begun to write.
    accelerator.wait_for_everyone()
    if resumed and not resume:
        raise BadInput(f"'{folder}' already holds a run; add --resume to go on with it, or choose another --out.")
    _check_parting(method, config)
    perceives = _check_perception(config)
    say: Report = report if accelerator.is_main_process else lambda _: None
    rows = read_training_rows(Path(config.data.train), perceived=perceives, text=method.text)
    _check_words(method, config, rows)
    held = _held_out_rows(method, config, perceived=perceives)
    backbone = make_backbone(config, rows, method.layout, method.text).to_device(accelerator.device)
    n_layers = len(backbone.family.layers(backbone.model))
    if method.layout.exit_layer >= n_layers:
        raise BadInput(
            f"model.exit_layer is {method.layout.exit_layer}, but the backbone has {n_layers} layers; it must be below."
        )
    adapters = Adapters.attach(backbone, config.model.lora_rank, seed=config.optimiser.seed + 2)
    if method.layout.extraction == "dual_adapter":
        adapters.tables = attach_dual(backbone, config)
    labels = DenseLabels.collect(rows) if perceives else None
    heads = None
    if labels:
        heads = PerceptionHeads.drawn(backbone.width, labels, config.optimiser.seed + 3).to(accelerator.device)
    encoder = Encoder(
        backbone.processor,
        backbone.ids,
        config.data,
        Path(config.data.train).parent,
        config.optimiser.seed,
        labels,
        text=method.text,
        device=accelerator.device,
    )
    module = method.make_step(backbone, config, heads).to(accelerator.device)
    if resumed:
        start = go_on(state, module, config, began_as(method.name, backbone), say)
    else:
        start = 0
        if heads is not None and config.perception.steps:
            if config.perception.tower:
                adopt(Path(config.perception.tower), backbone, heads, say)
            else:
                log = state.log if accelerator.is_main_process else lambda _: None
                warm_up(backbone, heads, rows, encoder, config, say, log)
            if accelerator.is_main_process:
                keep_tower(folder, backbone, heads)
    run = _Run(method, config, accelerator, backbone, adapters, encoder, state, say)
    return run.train(module, rows, held, start)


def _check_parting(method: Method, config: TrainConfig) -> None:
    asked = (config.model.extraction, config.model.dependency)
    if asked != (method.layout.extraction, method.layout.dependency):
        raise BadInput(
            f"The recipe {method.name} has shared weights trained jointly; model.extraction={asked[0]} and "
            f"model.dependency={asked[1]} are built for tte-flash."
        )
    if config.model.adapters_alone and method.layout.extraction != "dual_adapter":
        raise BadInput(
            f"model.adapters_alone is of dual_adapter, which the recipe {method.name} has not; for one set of adapters beside a "
            "backbone that stays as it is there is model.lora_rank."
        )
    if config.model.exit_layer and method.layout.extraction != "early_exit":
        raise BadInput(f"model.exit_layer is of early_exit; the recipe {method.name} has none as it is set.")


def _check_perception(config: TrainConfig) -> bool:
    """Whether perception is trained. Raises BadInput where the vision tower is to stay as it is."""
    perceives = bool(config.perception.steps or config.perception.weight)
    if perceives and (config.model.lora_rank or config.model.freeze_vision or config.model.adapters_alone):
        raise BadInput(
            "Perception trains the vision tower, which LoRA alone and model.freeze_vision keep as it is; "
            "set perception.steps and perception.weight to 0."
        )
    return perceives


def _check_words(method: Method, config: TrainConfig, rows: Sequence[Row]) -> None:
    """Refuse data in which there is nothing to write for a recipe that writes the targets."""
    apart = method.text not in (*REASONED, "none")
    if apart and config.loss.text and not any(row_text(row, method.text) for row in rows):
        raise BadInput(
            f"No target in '{Path(config.data.train).name}' has words that {method.name} could write: a 'text', or for an image "
            "a 'caption' where lame.image_targets is caption."
        )


def _held_out_rows(method: Method, config: TrainConfig, *, perceived: bool) -> list[Row]:
    """Rows of the validation data. Read before anything is trained, which may take hours."""
    if not config.data.validation:
        return []
    path, limit = Path(config.data.validation), config.data.validation_rows
    return read_training_rows(path, limit=limit, perceived=perceived, text=method.text)


class _Run:
    """One run in progress; exists so that its parts can share what they all need."""

    def __init__(
        self,
        method: Method,
        config: TrainConfig,
        accelerator: Accelerator,
        backbone: Backbone,
        adapters: Adapters,
        encoder: Encoder,
        state: RunState,
        say: Report,
    ) -> None:
        self.method = method
        self.config = config
        self.accelerator = accelerator
        self.backbone = backbone
        self.adapters = adapters
        self.encoder = encoder
        self.state = state
        self.say = say

    def train(self, plain: TrainingStep, rows: Sequence[Row], held: Sequence[Row], start: int) -> Path:
        """Run the steps from `start` on and write the checkpoint."""
        settings = self.config.optimiser
        if self.config.model.gradient_checkpointing:
            _recompute(self.backbone.model)
        optimisers = make_optimisers(
            self.backbone, plain, settings, (*self.adapters.tables, *plain.tables), plain.towers
        )
        spent = self.state.seconds() if start else 0.0
        if start:
            self.state.load_optimisers(optimisers, plain)
        else:
            self._save(0, plain, optimisers, 0.0)
        module, *optimisers = self.accelerator.prepare(plain, *optimisers)
        order = self._order(rows, start)
        held_out = self._held_out(held)
        module.train()
        begun, seen = time.monotonic(), 0
        for offset, batch in enumerate(loader(rows, self.encoder, order, workers=self.config.data.workers)):
            step = start + offset
            values = self._step(module, plain, optimisers, batch, step)
            seen += len(batch.positive) * self.accelerator.num_processes
            done = step + 1
            if done % self.config.output.log_every == 0 or done == settings.steps:
                self._log(done, values, seen / (time.monotonic() - begun), begun, start)
            if held_out and (done % self.config.output.validate_every == 0 or done == settings.steps):
                self._validate(module, held_out, done)
            # Before the state: a run that goes on from this very step does not come by here again.
            if done == round(settings.steps * self.config.output.early_at):
                self._export("early", done, plain)
            if done % self.config.output.save_every == 0 or done == settings.steps:
                # Time of steps that a stop makes a run take again is in no state.
                self._save(done, plain, optimisers, None if spent is None else spent + time.monotonic() - begun)
        return self._export("checkpoint", settings.steps, plain)

    def _step(
        self,
        module: nn.Module,
        plain: TrainingStep,
        optimisers: Sequence[Any],
        batch: TrainBatch,
        step: int,
    ) -> dict[str, float]:
        settings = self.config.optimiser
        rate = _rate(step, settings.steps, settings.warmup) * settings.learning_rate
        fixed = self.config.model.freeze_vision or step < self.config.model.freeze_vision_steps
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["scale"]
            optimiser.zero_grad(set_to_none=True)
        contexts = self.backbone.layout.contexts or _NO_TEXT
        draw = torch.Generator().manual_seed(settings.seed * 1_000_003 + step * 1009 + self.accelerator.process_index)
        limits = self._limits(len(batch.positive), draw)
        plain.begin(step)
        for parameter in plain.forgets(step):
            for optimiser in optimisers:
                optimiser.state.pop(parameter, None)
        values = module(batch.to(self.accelerator.device), contexts[step % len(contexts)], limits, fixed)
        self.accelerator.backward(values["loss"])
        plain.drop_gradients()
        norm = float(self.accelerator.clip_grad_norm_(module.parameters(), settings.clip) or 0.0)
        if not math.isfinite(values["loss"].item()):
            raise BadInput(
                f"The loss became {values['loss'].item()} at step {step + 1}; lower optimiser.learning_rate."
            )
        # A batch without anything to learn moves nothing, neither by decay nor by what the optimiser remembers.
        for optimiser in optimisers if norm else ():
            optimiser.step()
        return {**{name: value.item() for name, value in values.items()}, "gradient": norm, "rate": rate}

    def _limits(self, batch: int, draw: torch.Generator) -> torch.Tensor | None:
        share, n_think = self.config.loss.truncation, self.backbone.layout.n_think
        if not share or not n_think:
            return None
        limits = torch.randint(0, n_think, (batch,), generator=draw)
        keep = torch.rand(batch, generator=draw) >= share
        return torch.where(keep, torch.full_like(limits, n_think), limits).to(self.accelerator.device)

    def _order(self, rows: Sequence[Row], start: int) -> RowOrder:
        settings = self.config.optimiser
        return RowOrder(
            [row_length(row) for row in rows],
            batch=settings.batch,
            seed=settings.seed,
            start=start,
            stop=settings.steps,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )

    def _held_out(self, rows: Sequence[Row]) -> list[TrainBatch]:
        """Batches of like size: among fewer documents the right one is found more easily, and means are over batches."""
        encoder = Encoder(
            self.encoder.processor,
            self.encoder.ids,
            self.config.data,
            Path(self.config.data.validation).parent,
            self.config.optimiser.seed,
            self.encoder.dense,
            text=self.encoder.text,
            device=self.accelerator.device,
        )
        n = -(-len(rows) // self.config.optimiser.batch)
        ends = [len(rows) * part // n for part in range(n + 1)] if n else []
        return [encoder(list(enumerate(rows[begin:end]))) for begin, end in pairwise(ends)]

    def _validate(self, module: nn.Module, held_out: Sequence[TrainBatch], done: int) -> None:
        module.eval()
        found: list[dict[str, float]] = []
        with torch.no_grad():
            for batch in held_out:
                values = module(batch.to(self.accelerator.device), (self.backbone.layout.contexts or _NO_TEXT)[0])
                found.append({name: value.item() for name, value in values.items()})
        totals = {name: value for name, value in _means(found).items() if math.isfinite(value)}
        module.train()
        if not self.accelerator.is_main_process:
            return
        self.state.log({"step": done, "split": "validation", **totals})
        names = {"thought_exact": "thought_exact(teacher-forced)"}
        order = ("text", "contrastive", "token_accuracy", "object", "thought_exact", "batch_hit_at_1")
        shown = " ".join(f"{names.get(name, name)} {totals[name]:.3f}" for name in order if name in totals)
        self.say(f"validation {done} {shown}")

    def _log(self, done: int, own: dict[str, float], rate: float, begun: float, start: int) -> None:
        values = _means(gather_object([own]))
        if not self.accelerator.is_main_process:
            return
        steps = self.config.optimiser.steps
        left = (time.monotonic() - begun) / max(done - start, 1) * (steps - done)
        self.state.log({"step": done, "split": "train", "samples_per_second": rate, **values})
        parts = " ".join(
            f"{name} {values[name]:.3f}"
            for name in ("loss", "text", "contrastive", "readout", "object", "token_accuracy")
            if name in values
        )
        self.say(f"step {done}/{steps} {parts} {rate:.0f} samples/s {left / 60:.0f} min left")

    def _save(self, done: int, module: TrainingStep, optimisers: Sequence[Any], seconds: float | None) -> None:
        if self.accelerator.is_main_process:
            self.state.save(
                done,
                module,
                optimisers,
                self.config.to_json(),
                seconds=seconds,
                first_stage=module.first_stage,
                began_as=began_as(self.method.name, self.backbone),
            )
        self.accelerator.wait_for_everyone()

    def _export(self, name: str, done: int, module: TrainingStep) -> Path:
        target = self.state.folder / name
        if self.accelerator.is_main_process:
            dtype = getattr(torch, self.config.output.store_dtype)
            with self.adapters.merged(self.backbone) as weights, self.state.replacing(target) as folder:
                save_backbone(self.backbone, folder, weights=weights, dtype=dtype)
                further = module.save_further(folder, dtype)
                write_manifest(folder, self.backbone, {**further, **self._about(done, module)})
            self.say(f"wrote {target}")
        self.accelerator.wait_for_everyone()
        return target

    def _about(self, done: int, module: TrainingStep) -> dict[str, Any]:
        config = json.loads(json.dumps(self.config.to_json()))
        # What is of this machine alone is left out.
        data = {key: value for key, value in config["data"].items() if key not in ("train", "validation")}
        config["perception"].pop("tower")
        config["lame"]["decoder"] = Path(config["lame"]["decoder"]).name
        sections = ("model", "loss", *self.method.sections, "optimiser", "perception")
        # Of a run that was made longer on its way, the settings would tell another length.
        stages = {"first_stage": module.first_stage} if module.first_stage else {}
        writes = {"max_written": self.config.data.max_reasoning_tokens} if self.method.layout.writes_first else {}
        return {
            "title": self.config.output.title or self.method.name,
            "recipe": self.method.name,
            "step": done,
            "steps": self.config.optimiser.steps,
            **stages,
            **writes,
            "knows": self.config.output.knows,
            "commands": list(self.config.output.commands),
            "config": {"data": data} | {key: config[key] for key in sections},
        }


def _means(reported: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each number over those that have it; NaN where none does.

    A batch without images has no perception, one without words no text, and an accuracy over nothing is no number: none of
    them says anything of the other batches, or of the other processes.
    """
    names = dict.fromkeys(name for values in reported for name in values)
    known = {name: [v for values in reported if math.isfinite(v := values.get(name, math.nan))] for name in names}
    return {name: statistics.fmean(values) if values else math.nan for name, values in known.items()}


def _recompute(model: Any) -> None:
    """Let the model forget activations and make them again for the gradient."""
    again = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=again)
    else:  # transformers before the new name
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=again)


def _rate(step: int, steps: int, warmup: int) -> float:
    """Learning rate as a share of its peak: linear up, cosine down to a tenth."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
