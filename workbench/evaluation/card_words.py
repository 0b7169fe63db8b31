"""Sentences of a model card that depend on how a model thinks: in tokens, in text, or not at all."""

from collections.abc import Mapping
from typing import Any


def way(layout: Mapping[str, Any]) -> str:
    """How it comes to its embedding, as the end of a sentence."""
    thinks, embeds = len(layout["think_tokens"]), len(layout["embed_tokens"])
    if layout.get("pooling", "last") != "last":
        return f"with {thinks} think tokens, whose embedding is the mean of {embeds} embed tokens."
    last = "the hidden state of the last embed token is the embedding."
    if "reasoning" in layout.get("order", ()):
        return (
            "that writes its reasoning before it embeds a query: after the query comes the text that it writes, then "
            f"{count(embeds, 'embed token')}, which attends to both; the hidden state of the last one is the embedding. Documents "
            "are embedded without reasoning."
        )
    if not thinks:
        return (
            f"that does not think: after the query comes {count(embeds, 'embed token')}, and the hidden state of the last one is "
            "the embedding. It writes nothing."
        )
    if layout.get("decoder", "backbone") == "latent":
        return (
            f"that thinks before it embeds: after the query come {count(thinks, 'learned reason token')} (LaME's name for think tokens), "
            f"then {count(embeds, 'embed token')}. A small decoder writes the target's text from the reason tokens' hidden states alone; "
            f"{last}"
        )
    return (
        f"that thinks before it embeds: after the query come {count(thinks, 'learned think token')}, then "
        f"{count(embeds, 'embed token')}. The hidden states of the think tokens can be decoded as text by the model's own generation "
        f"head; {_apart(layout)}{last}"
    )


def _apart(layout: Mapping[str, Any]) -> str:
    """How think and embed tokens are kept apart, if they are."""
    match layout.get("extraction", "shared"):
        case "dual_adapter":
            return "think and embed tokens have LoRA sets of their own; "
        case "early_exit":
            return f"the text is read behind layer {layout['exit_layer']}; "
        case "two_pass":
            return "the embed token sees the thoughts as inputs of a second pass; "
        case _:
            return ""


def by_chance(held: Mapping[str, Any]) -> str:
    """What the control would be by luck; empty where nothing is written."""
    if "chance_thought_exact" not in held:
        return ""
    what = "lists the right objects" if "thought_exact" in held else "tells the right target"
    return (
        f"The control takes the thought of the next sample; were all thoughts true, it would be one that {what} in "
        f"{held['chance_thought_exact']:.2%} of samples, by luck. A control far above that would mean that the text does not come "
        "from the thought. "
    )


def undefined(held: Mapping[str, Any]) -> tuple[str, ...]:
    """Why measures of other models are not there, one sentence for each reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in held.get("undefined", {}).items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    return tuple(f"Not defined: {', '.join(names)}. {reason}" for reason, names in reasons.items())


def limits(manifest: Mapping[str, Any], backbone: str) -> str:
    """The section on limits and intended use."""
    layout = manifest["layout"]
    writes = bool(layout.get("contexts", True))
    tells = layout.get("decoder") == "latent"
    reach = (
        "It was measured on Shapes alone; how good it is on anything else is not known."
        if backbone
        else "It knows nothing but what is named above. On any other image or question it still "
        + (
            f"{'tells a target' if tells else 'writes a thought'}, which then says nothing about the image."
            if writes
            else "gives an embedding."
        )
    )
    own = (
        "A written reasoning is the text that the embed token attends to. That it is right does not show that the embedding was "
        "made from it."
        if "reasoning" in layout.get("order", ())
        else f"A decoded {'target is what the latent decoder' if tells else 'thought is what the generation head'} writes from the "
        "think tokens. That it is right does not show that the embedding was made from it."
    )
    text = f"\n\n{own} The text is the output of a model: show it as text, never run it." if writes else ""
    return (
        f"## Limits and intended use\n\n{reach} It is meant for trying the workbench and for calibrating its probes where "
        f"the truth is known, not for search or for decisions.{text}"
    )


def count(n: int, what: str) -> str:
    """The number with its noun."""
    return f"{n} {what}{'' if n == 1 else 's'}"
