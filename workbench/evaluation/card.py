"""A checkpoint's own papers: `evaluation.json` with what was measured, and a model card made from it and the manifest.

A card holds nothing that its folder does not say: settings come from `thinkscope.json`, numbers from the evaluations.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.embedder import EmbedderInfo
from workbench.errors import BadCheckpoint, BadInput
from workbench.evaluation.card_words import by_chance, limits, undefined, way
from workbench.evaluation.shapes import BY_TASK, ShapesReport
from workbench.models.formats.native import MANIFEST, read_manifest
from workbench.store import to_json, write_text_atomic

EVALUATION = "evaluation.json"
CARD = "README.md"
MARK = "<!-- written by `thinkscope evaluate --card`; the next evaluation replaces it -->"
SHARES: Mapping[str, str] = {
    "thought_exact": "every object in the decoded thought right (place, size, colour, shape), none missing or added",
    "answer_exact": "the answer in the decoded thought right, word for word",
    "target_exact": "the decoded thought is the target's text, word for word (of an image, its caption)",
    "hit_at_1": "the right target nearest to the embedding",
    "swapped_thought_exact": "control: as the first row, with the thought of another sample",
    "swapped_target_exact": "control: as the first row, with the thought of another sample",
}
"""The shares that an evaluation can hold, and what each says. Hit@1 is always there; the others where the model writes what
they are about."""
_SPLITS = {
    "test": "unseen scenes of the kind it was trained on",
    "compositional": "scenes with pairs of colour and shape that never occur in training",
    "validation": "scenes of the validation split",
}


def evaluation_json(report: ShapesReport, info: EmbedderInfo, *, data: str, command: str) -> dict[str, Any]:
    """One evaluation as plain JSON values: the shares at the top, each with its 95% bootstrap interval.

    What is not a share stands under `further`, because everything with an interval at the top is shown as per cent.
    """
    measures = {name: _interval(interval) for name, interval in report.metrics.items()}
    return {
        **{name: measures.pop(name) for name in SHARES if name in measures},
        **({"undefined": report.undefined} if report.undefined else {}),
        "n_candidates": report.n_candidates,
        **({} if report.chance_thought_exact is None else {"chance_thought_exact": report.chance_thought_exact}),
        "further": measures,
        "by_task": {
            task: {name: _interval(interval) for name, interval in rows.items()}
            for task, rows in report.by_task.items()
        },
        "checkpoint": info.name,
        "n_parameters": info.n_parameters,
        "data": data,
        "split": report.split,
        "command": command,
        "provenance": to_json(info.provenance),
    }


def read_evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    """What `write_card` wrote, by split; empty without an evaluation.json. Raises BadCheckpoint when it is torn."""
    path = folder / EVALUATION
    if not path.is_file():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        compositional = held.pop("compositional", None)
        found = {str(held["split"]): held}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadCheckpoint(f"'{path}' is not an evaluation; run `thinkscope evaluate {folder} --card`.") from error
    return found if compositional is None else {**found, "compositional": compositional}


def join_splits(evaluations: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The one object that stands in `evaluation.json`: the test split at the top, the compositional one inside it."""
    inner = {split: held for split, held in evaluations.items() if split == "compositional"}
    return {**evaluations["test"], **inner}


def check_card_place(folder: Path) -> None:
    """Refuse, before hours are spent, a folder whose card could not be written or would replace somebody's own.

    Raises:
        BadCheckpoint: for a folder without the manifest that a card is made from.
        BadInput: for a README.md that was not written here.
    """
    read_manifest(folder)
    card = folder / CARD
    if card.is_file() and MARK not in card.read_text(encoding="utf-8", errors="replace"):
        raise BadInput(
            f"'{card}' was not written by Thinkscope and would be lost; move it away to have a card written."
        )


def write_card(folder: Path, evaluations: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `evaluation.json` and `README.md` beside the checkpoint's weights.

    Args:
        folder: a checkpoint of Thinkscope's own format.
        evaluations: by split, as `evaluation_json` makes them; `test` is needed, `compositional` may be there.

    Raises:
        BadCheckpoint: as `check_card_place`.
        BadInput: as `check_card_place`, without `test`, or when the folder cannot be written to.
    """
    check_card_place(folder)
    if "test" not in evaluations:
        raise BadInput(
            f"A card needs an evaluation on the test split, but only these are given: {', '.join(evaluations)}."
        )
    try:
        write_text_atomic(
            folder / EVALUATION,
            json.dumps(join_splits(evaluations), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        )
        write_text_atomic(folder / CARD, card_text(folder))
    except OSError as error:
        raise BadInput(f"'{folder}' cannot be written to: {error.strerror}.") from error


def card_text(folder: Path) -> str:
    """The model card (Markdown under YAML) that follows from the folder's files."""
    manifest, evaluations = read_manifest(folder), read_evaluations(folder)
    settings = manifest.get("config", {})
    backbone = str(settings.get("model", {}).get("backbone", ""))
    sections = (
        _front_matter(manifest, backbone),
        f"{MARK}\n# {manifest.get('title') or folder.name}",
        _what(manifest, evaluations, backbone),
        _layout(manifest["layout"]),
        _training(manifest, settings),
        "## Measured quality\n\n" + "\n\n".join(_quality(split, held) for split, held in evaluations.items()),
        limits(manifest, backbone),
        _files(folder),
    )
    return "\n\n".join(sections) + "\n"


def percent(interval: Mapping[str, Any]) -> str:
    """A share with its interval, as it stands in every table."""
    return f"{interval['value']:.1%} ({interval['low']:.1%} to {interval['high']:.1%})"


def _interval(interval: Any) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


def _front_matter(manifest: Mapping[str, Any], backbone: str) -> str:
    # Weights that grew out of somebody else's keep that licence, which the manifest does not know.
    owner = (
        f"license: other\nlicense_name: as-base-model\nbase_model: {json.dumps(backbone)}"
        if backbone
        else "license: apache-2.0"
    )
    tags = ["thinkscope", manifest.get("recipe", ""), manifest["family"], "multimodal-embedding"]
    if manifest["layout"]["think_tokens"]:
        tags.append("latent-reasoning")
    listed = "\n".join(f"  - {tag}" for tag in tags if tag and tag != "none")
    return f"---\n{owner}\nlibrary_name: thinkscope\ntags:\n{listed}\n---"


def _what(manifest: Mapping[str, Any], evaluations: Mapping[str, Mapping[str, Any]], backbone: str) -> str:
    layout = manifest["layout"]
    n_parameters = next((held["n_parameters"] for held in evaluations.values()), None)
    size = f" of {n_parameters:,} parameters" if n_parameters else ""
    text = f"A `{manifest['family']}` model{size} {way(layout)}"
    step, steps = manifest.get("step", 0), manifest.get("steps", 0)
    if 0 < step < steps:
        text += f" This is an early checkpoint, after {step} of {steps} steps, kept for comparison."
    origin = f"Trained from {backbone}." if backbone else "Trained from random weights."
    return f"{text}\n\n{origin if steps else 'Not trained.'} What it knows: {manifest.get('knows') or 'not said.'}"


def _layout(layout: Mapping[str, Any]) -> str:
    thinks, writes_first = bool(layout["think_tokens"]), "reasoning" in layout.get("order", ())

    # Written reasoning stands where think tokens would, and its attention is causal as theirs is.
    names = {"think": "reasoning"} if writes_first else {}
    absent = () if thinks or writes_first else ("think",)

    def there(segments: Iterable[str]) -> list[str]:
        return [names.get(segment, segment) for segment in segments if segment not in absent]

    def told(attends: Mapping[str, Iterable[str]]) -> str:
        """Who sees whom."""
        known = {segment: seen for segment, seen in attends.items() if segment not in absent}
        return "; ".join(
            f"{names.get(segment, segment)} to {', '.join(there(seen))}" for segment, seen in known.items()
        )

    rows = {
        "think tokens (K)": str(len(layout["think_tokens"])),
        "embed tokens": str(len(layout["embed_tokens"])),
        "order": ", ".join(there(layout.get("order", ()))),
        "attends, causally": told(layout.get("attends", {})),
    }
    if thinks:
        rows |= {
            "fill of the think tokens": layout.get("fill", ""),
            "extraction (how both come from one backbone)": layout.get("extraction", ""),
            "dependency (how the two tasks hang together)": layout.get("dependency", ""),
        }
    rows |= {"pooling of the embed tokens": layout.get("pooling", "")}
    if not writes_first:
        rows |= {"decoder contexts, default first": ", ".join(layout.get("contexts", ())) or "none"}
    if layout.get("exit_layer"):
        rows |= {"layers behind which text is read from the thoughts": str(layout["exit_layer"])}
    for switch in layout.get("switches", ()):
        rows[f"instead, where the query holds {' or '.join(switch['tokens'])}"] = told(switch["attends"])
    if layout.get("decoder", "backbone") != "backbone":
        rows |= {"decoder": layout["decoder"], "what decoded thoughts tell": layout.get("tells", "")}
    return "## Layout\n\n" + _table(("what", "value"), rows.items())


def _training(manifest: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]) -> str:
    if not settings:
        return "## Training\n\nThis checkpoint's files hold no training settings."
    commands = manifest.get("commands") or [
        f"thinkscope train {manifest.get('recipe', 'RECIPE')} --config settings.toml --data train.jsonl --out runs/again"
    ]
    shown = "\n".join(map(str, commands))
    step, steps = manifest.get("step", 0), manifest.get("steps", 0)
    behind = "The last of these commands runs on past it and leaves this checkpoint in `early/` on its way (`output.early_at`). "
    early = behind if 0 < step < steps else ""
    return (
        f"## Training\n\n```\n{shown}\n```\n\nIt was trained for {step} of {steps} steps. {early}"
        f"All settings, as `{MANIFEST}` holds them (`settings.toml`):\n\n```toml\n{_toml(settings)}\n```"
    )


def _toml(settings: Mapping[str, Mapping[str, Any]]) -> str:
    # JSON's strings, numbers, truth values and lists are written alike in TOML.
    parts = (
        f"[{section}]\n"
        + "\n".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
        for section, values in settings.items()
    )
    return "\n\n".join(parts)


def _quality(split: str, held: Mapping[str, Any]) -> str:
    shares = [name for name in SHARES if name in held]
    rows = [(name, SHARES[name], percent(held[name]), str(held[name]["n"])) for name in shares]
    by_task = held["by_task"]
    columns = [name for name in BY_TASK if any(name in found for found in by_task.values())]
    tasks = [
        (task, *(percent(found[name]) for name in columns), str(found["hit_at_1"]["n"]))
        for task, found in by_task.items()
    ]
    return "\n\n".join(
        (
            f"### {split}: {_SPLITS.get(split, 'samples of this split')}",
            f"```\n{held['command']}\n```",
            _table(("measure", "what it says", "share (95% interval)", "n"), rows),
            f"Hit@1 is against {held['n_candidates']} candidates, so chance is {1 / held['n_candidates']:.2%}. {by_chance(held)}"
            "Intervals are percentile bootstraps over samples; one "
            "without width only means that all n samples were alike, which leaves true shares of up to about 3/n open.",
            *undefined(held),
            _table(("task", *(_HEADS[name] for name in columns), "n"), tasks),
        )
    )


_HEADS = {
    "thought_exact": "thought exact",
    "answer_exact": "answer exact",
    "target_exact": "target exact",
    "hit_at_1": "Hit@1",
}


def _files(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CARD and path.name[0] != ".")
    rows = [(f"`{path.name}`", f"{path.stat().st_size:,}") for path in files]
    return "## Files\n\n" + _table(("file", "bytes"), rows)


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
