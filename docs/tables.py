"""`python docs/tables.py`: fill the README's table and the bundled model cards from each checkpoint's `evaluation.json`.

The numbers stand in one place, beside the weights that they were measured on; a test holds that the pages still say them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.assets import bundled_checkpoints
from workbench.evaluation.card import CARD, card_text, percent, read_evaluations
from workbench.store import write_text_atomic

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- evaluation:begin -->", "<!-- evaluation:end -->"
TARGET = "target told"
COLUMNS = {
    "thought right": ("thought_exact",),
    "answer right": ("answer_exact",),
    TARGET: ("target_exact",),
    "Hit@1": ("hit_at_1",),
    "control: swapped thought": ("swapped_thought_exact", "swapped_target_exact"),
}
"""Head of each column, and the measures that it shows: of several a checkpoint has one at most. A column that no checkpoint
fills is left out."""
NONE = "No checkpoint with measurements is bundled yet."


def main() -> None:
    """Write the README and the cards."""
    write_text_atomic(README, fill(README.read_text(encoding="utf-8")))
    print(f"wrote {README}")
    for folder in measured():
        write_text_atomic(folder / CARD, card_text(folder))
        print(f"wrote {folder / CARD}")


def measured() -> list[Path]:
    """The bundled checkpoints that were evaluated."""
    return [folder for folder in bundled_checkpoints().values() if read_evaluations(folder)]


def fill(text: str) -> str:
    """The README with its block made anew. Raises ValueError when the marks are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"README.md needs {BEGIN} and {END} once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{block(measured())}\n{END}{rest.split(END)[1]}"


def block(folders: list[Path]) -> str:
    """One row for each checkpoint and split, and the commands that measured them."""
    held = [(folder, split, one) for folder in folders for split, one in read_evaluations(folder).items()]
    if not held:
        return NONE
    columns = [head for head in COLUMNS if any(_measure(one, head) for _, _, one in held)]
    rows = [
        (f"`{folder.name}`", split, *(_measure(one, head) or "-" for head in columns), str(one["hit_at_1"]["n"]))
        for folder, split, one in held
    ]
    commands = [one["command"] for _, _, one in held]
    told = note(columns, {one["n_candidates"] for _, _, one in held})
    return "\n\n".join(
        (table(("checkpoint", "split", *columns, "n"), rows), told, "```\n" + "\n".join(commands) + "\n```")
    )


def note(columns: Sequence[str], candidates: set[Any]) -> str:
    """What the columns are, in words."""
    low, high = min(candidates), max(candidates)
    against = str(low) if low == high else f"{low} to {high}"
    target, control = "", "the same as the first column"
    if TARGET in columns:
        target = "*Target told*: the text is the words of the target, all of them, in a checkpoint whose decoder tells these and no reasoning. "
        control = "*thought right*, or *target told*"
    return (
        "With 95% bootstrap intervals; one without width means that all n samples were alike, and leaves about 3/n open. *Thought right*: every object in the decoded thought has the right place, size, "
        f"colour and shape, and none is missing or added. {target}*Hit@1* is against {against} candidates. *Control*: {control}, "
        "with the thought of another sample. *compositional*: pairs of colour and shape that never "
        "occur in training. A checkpoint that writes no reasoning has a dash for what is read in it. Measured by"
    )


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, tuple("---" for _ in head), *rows))


def _measure(held: Mapping[str, Any], head: str) -> str | None:
    return next((percent(held[name]) for name in COLUMNS[head] if name in held), None)


if __name__ == "__main__":
    main()
