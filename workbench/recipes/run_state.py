"""What a training run keeps on disk so that it can go on after a stop: weights, optimiser, step, log."""

import contextlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from workbench.errors import BadInput


@final
class RunState:
    """The folder of one run. What it holds is written beside its place and renamed, so a stop leaves the old or the new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / "state"

    def exists(self) -> bool:
        """Whether there is a state to go on from."""
        return (self._state / "state.json").is_file()

    def save(
        self,
        step: int,
        module: nn.Module,
        optimisers: Sequence[Any],
        config: dict[str, Any],
        *,
        seconds: float | None = None,
        first_stage: int = 0,
        began_as: Mapping[str, Any] | None = None,
    ) -> None:
        """Write weights, optimiser moments and step.

        Args:
            step: steps that are done.
            module: what is trained.
            optimisers: what trains it.
            config: the settings, for people.
            seconds: what all steps up to this one took; None where it is not known.
            first_stage: steps of the first of two stages; 0 where there is one.
            began_as: what the run must not change on its way (`resuming.began_as`).
        """
        with self.replacing(self._state) as folder:
            save_file(
                {name: value.contiguous() for name, value in _weights(module).items()}, folder / "model.safetensors"
            )
            moments = {
                f"{key}/{name}": torch.as_tensor(value).detach().cpu().contiguous()
                for name, parameter in module.named_parameters()
                for optimiser in optimisers
                for key, value in optimiser.state.get(parameter, {}).items()
            }
            save_file(moments, folder / "optimiser.safetensors")
            held = {"step": step, "seconds": seconds, "first_stage": first_stage, "config": config}
            held["began_as"] = began_as
            (folder / "state.json").write_text(json.dumps(held, indent=2), encoding="utf-8")

    def load_weights(self, module: nn.Module) -> int:
        """Load the weights into the module and return the step they are from."""
        weights = load_file(self._state / "model.safetensors")
        mine = _weights(module)
        if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in mine.items()}:
            raise BadInput(
                f"The run in '{self.folder}' has a model of another shape; resume it with the settings it began with."
            )
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(weights[name])
        return int(self._held()["step"])

    def seconds(self) -> float | None:
        """What the steps up to the state took, all sessions together; None where one of them did not keep it."""
        return self._held().get("seconds")

    def first_stage(self) -> int | None:
        """Steps of the first of two stages, as the run began with them; None of a state from before they were kept."""
        return self._held().get("first_stage")

    def began_as(self) -> dict[str, Any] | None:
        """What the run must not change on its way; None of a state from before it was kept."""
        return self._held().get("began_as")

    def settings(self) -> dict[str, Any]:
        """The settings of the run when the state was written, section by section."""
        return self._held()["config"]

    def load_optimisers(self, optimisers: Sequence[Any], module: nn.Module) -> None:
        """Load what the optimisers had gathered. Raises BadInput when it is of another optimiser."""
        names = {parameter: name for name, parameter in module.named_parameters()}
        saved: dict[str, dict[str, torch.Tensor]] = {}
        for entry, value in load_file(self._state / "optimiser.safetensors").items():
            key, _, name = entry.partition("/")
            saved.setdefault(name, {})[key] = value
        for optimiser in optimisers:
            gathers = (
                {"momentum_buffer"} if isinstance(optimiser, torch.optim.Muon) else {"step", "exp_avg", "exp_avg_sq"}
            )
            for parameter in (member for group in optimiser.param_groups for member in group["params"]):
                found = saved.get(names[parameter])
                if found is None:
                    continue
                if set(found) != gathers:
                    raise BadInput(
                        f"The run in '{self.folder}' was trained with another optimiser.method; resume it with the one it began with."
                    )
                optimiser.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in found.items()
                }

    def log(self, record: dict[str, Any]) -> None:
        """Add one line to log.jsonl; a number that is not finite (an accuracy over nothing) becomes null."""
        record = {name: value if _is_json(value) else None for name, value in record.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")

    def recover(self) -> None:
        """Finish a replacement that a stop cut between its two renames, and remove what other stops left behind.

        One process calls it, before anything is read.
        """
        for old in sorted(self.folder.glob(".*.old")):
            target = old.with_name(old.stem[1:])
            fresh = _beside(target, "new")
            if not target.exists():
                # The old one goes aside only when the new one is complete.
                (fresh if fresh.exists() else old).rename(target)
        for left in (*self.folder.glob(".*.old"), *self.folder.glob(".*.new")):
            shutil.rmtree(left)

    def _held(self) -> dict[str, Any]:
        return json.loads((self._state / "state.json").read_text(encoding="utf-8"))

    @contextlib.contextmanager
    def replacing(self, target: Path) -> Iterator[Path]:
        """Give a new folder that takes the place of `target` when the block ends without an error.

        A folder cannot be renamed over another, so for a moment there is none; `recover` mends a stop in that moment.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh, old = _beside(target, "new"), _beside(target, "old")
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir()
        try:
            yield fresh
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _beside(target: Path, age: str) -> Path:
    return target.with_name(f".{target.name}.{age}")


def _weights(module: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter once, by name (tied ones under their first name)."""
    return dict(module.named_parameters())
