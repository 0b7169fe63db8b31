"""What the text that a model writes is, for people: its reasoning, kept in latents or written out, or the target's words.

Whoever shows such a text calls it by this name and says this sentence with it. Nothing here looks at a text.
"""

from typing import Protocol, runtime_checkable

from workbench.embedder import EmbedderInfo
from workbench.types import Context


@runtime_checkable
class Writes(Protocol):
    """Whatever says what a model's text is: the facts about a loaded one, or a layout that is read without loading it."""

    @property
    def tells(self) -> str: ...

    @property
    def writes_first(self) -> bool: ...


def name_of_text(info: Writes) -> str:
    """What the model's text is called within a sentence."""
    if info.tells == "target":
        return "decoded target"
    return "written reasoning" if info.writes_first else "decoded thought"


def about_text(info: EmbedderInfo, context: Context) -> str:
    """Who wrote the text, what they saw, and what it was trained to say, as one sentence."""
    alone = context == "latents_only"
    if info.tells == "target":
        saw = "from the think tokens alone, without image or question" if alone else "with the whole input in view"
        return (
            "These are the words of the target that the model looks for, not its reasoning: a decoder that was trained to tell the "
            f"target wrote them {saw}."
        )
    if info.writes_first:
        return "Written out by the model, with question and image in view, before it embedded; the embedding was made from this text too."
    if alone:
        return "Written by the model from the think tokens alone: what wrote it saw neither the image nor the question."
    return "Written by the model with the whole input in view: what wrote it also saw the question and the image."


def way_of_thinking(info: EmbedderInfo) -> str:
    """What it thinks in, as a few words."""
    if info.n_think:
        return f"{info.n_think} think token{'' if info.n_think == 1 else 's'}"
    return "reasoning written as text" if info.writes_first else "no think tokens"
