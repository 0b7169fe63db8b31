"""Going on with a run that was stopped: only as what it began as, and what else differs is told."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from workbench.errors import BadInput
from workbench.models.backbone import Backbone
from workbench.recipes.config import TrainConfig
from workbench.recipes.recipe import Report
from workbench.recipes.run_state import RunState
from workbench.recipes.step import TrainingStep

_FREE = ("output", "data.train", "data.validation", "data.workers", "perception.tower")
"""Settings that may differ without a word: where things lie and how often it is told."""
_USUAL = "as usual"


def began_as(recipe: str, backbone: Backbone) -> dict[str, Any]:
    """What a run must not change on its way: recipe, layout, and which number stands for which piece of text."""
    vocabulary = sorted(backbone.processor.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    return {
        "recipe": recipe,
        "layout": json.loads(json.dumps(backbone.layout.to_json())),
        "vocabulary": hashlib.sha256(repr(vocabulary).encode()).hexdigest(),
    }


def go_on(state: RunState, module: TrainingStep, config: TrainConfig, wanted: Mapping[str, Any], say: Report) -> int:
    """Load the weights of a run that has begun; its first stage ends where it was to end then. Returns the step they are from.

    Args:
        state: of the run.
        module: gets the weights; its first stage is set.
        config: as asked for now.
        wanted: `began_as` of what is asked for now.
        say: told what differs from the settings that it was last saved with.

    Raises:
        BadInput: when it began as something else, or cannot take as many steps as asked for.
    """
    _check_same(state, wanted)
    start, steps = state.load_weights(module), config.optimiser.steps
    if start > steps:
        raise BadInput(
            f"The run in '{state.folder}' is at step {start} already; optimiser.steps must be at least that."
        )
    kept = state.settings()
    _say_changes(kept, config.to_json(), say)
    begun, asked = state.first_stage(), module.first_stage
    if begun is None or begun == asked:
        return start
    if (kept["model"]["dependency"], bool(kept["lame"]["warmup"])) != (
        config.model.dependency,
        bool(config.lame.warmup),
    ):
        raise BadInput(
            f"The run in '{state.folder}' began with a first stage of {begun} steps, and these settings give it {asked}; resume "
            "it with the model.dependency and lame.warmup that it began with."
        )
    if begun >= steps:
        raise BadInput(
            f"The first stage of the run in '{state.folder}' takes {begun} steps; optimiser.steps must be more than that."
        )
    module.first_stage = begun
    say(f"The first stage has {begun} steps, as when the run began; with these settings it would have {asked}.")
    return start


def _check_same(state: RunState, wanted: Mapping[str, Any]) -> None:
    begun = state.began_as()
    if begun is None:
        return  # of before this was kept
    if begun["recipe"] != wanted["recipe"]:
        raise BadInput(
            f"The run in '{state.folder}' is one of the recipe {begun['recipe']}, not of {wanted['recipe']}; choose another --out."
        )
    if begun["layout"] != wanted["layout"]:
        now, then = dict(wanted["layout"]), dict(begun["layout"])
        names = [name for name in dict.fromkeys((*then, *now)) if then.get(name) != now.get(name)]
        told = ", ".join(f"{name} was {then.get(name, _USUAL)} and is now {now.get(name, _USUAL)}" for name in names)
        raise BadInput(
            f"The run in '{state.folder}' has another layout: {told}; resume it with the settings it began with."
        )
    if begun["vocabulary"] != wanted["vocabulary"]:
        raise BadInput(
            f"The run in '{state.folder}' learned other words: its tokenizer was made from other data, or its backbone has "
            "changed. Resume it with the data and the backbone that it began with."
        )


def _say_changes(kept: Mapping[str, Any], asked: Mapping[str, Any], say: Report) -> None:
    """A change may be meant, such as more steps; but one that was forgotten on the command line must be seen."""
    changed = [
        f"{section}.{key} was {then} and is now {asked[section][key]}"
        for section, values in kept.items()
        for key, then in values.items()
        if not {section, f"{section}.{key}"} & set(_FREE)
        if key in asked.get(section, {}) and _plain(asked[section][key]) != _plain(then)
    ]
    if changed:
        say(f"Settings differ from those that the run was saved with: {'; '.join(changed)}.")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
