"""`python docs/tables.py`: fill the README's table and the bundled model cards from each checkpoint's `evaluation.json`.

The numbers stand in one place, beside the weights that they were measured on; a test holds that the pages still say them.
"""

from pathlib import Path
from typing import Any

from workbench.assets import bundled_checkpoints
from workbench.evaluation.card import CARD, card_text, percent, read_evaluations
from workbench.store import write_text_atomic

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- evaluation:begin -->", "<!-- evaluation:end -->"
COLUMNS = ("thought_exact", "answer_exact", "hit_at_1", "swapped_thought_exact")
HEAD = ("checkpoint", "split", "thought right", "answer right", "Hit@1", "control: swapped thought", "n")
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
    if not folders:
        return NONE
    rows, commands, candidates = [], [], set()
    for folder in folders:
        for split, held in read_evaluations(folder).items():
            rows.append(
                (
                    f"`{folder.name}`",
                    split,
                    *(percent(held[name]) if name in held else "-" for name in COLUMNS),
                    str(held["hit_at_1"]["n"]),
                )
            )
            commands.append(held["command"])
            candidates.add(held["n_candidates"])
    return "\n\n".join((table(rows), note(candidates), "```\n" + "\n".join(commands) + "\n```"))


def note(candidates: set[Any]) -> str:
    """What the columns are, in words."""
    low, high = min(candidates), max(candidates)
    against = str(low) if low == high else f"{low} to {high}"
    return (
        "With 95% bootstrap intervals; one without width means that all n samples were alike, and leaves about 3/n open. *Thought right*: every object in the decoded thought has the right place, size, "
        f"colour and shape, and none is missing or added. *Hit@1* is against {against} candidates. *Control*: the same as "
        "the first column, with the thought of another sample. *compositional*: pairs of colour and shape that never "
        "occur in training. A checkpoint that writes no reasoning has a dash for what is read in it. Measured by"
    )


def table(rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (HEAD, tuple("---" for _ in HEAD), *rows))


if __name__ == "__main__":
    main()
