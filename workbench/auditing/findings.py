"""From the figures of an audit to what the verdict rule looks at, and to the list of what could not be tested."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from workbench.audit import EditFigures, Geometry, NotTested, TaskFigures
from workbench.auditing.budgets import curve
from workbench.auditing.figures import estimates, shares
from workbench.auditing.parts import Measured
from workbench.auditing.planned import Planned
from workbench.auditing.verdict import Findings
from workbench.comparing.question import Question
from workbench.comparison import Estimate
from workbench.embedder import EmbedderInfo

LEAST_OF_A_TASK = 10


def find(
    info: EmbedderInfo,
    edits: Sequence[EditFigures],
    measures: Mapping[str, Estimate],
    lost: Mapping[str, Estimate],
    tasks: Sequence[TaskFigures],
    geometry: Sequence[Geometry],
    *,
    reads_last: bool,
) -> Findings:
    """What the rule looks at.

    Args:
        info: the model's facts.
        edits: figures of every edit.
        measures: figures of no single edit.
        lost: shares lost by edit.
        tasks: figures of every task.
        geometry: of every layer.
        reads_last: whether somebody reads the state after the last layer.
    """
    seen = geometry if reads_last or len(geometry) < 2 else geometry[:-1]
    crossed = [one for one in seen if one.by_position is not None and one.by_position.value < 1]
    return Findings(
        hit_at_1=measures.get("hit_at_1"),
        chance=measures["chance_hit_at_1"].value if "chance_hit_at_1" in measures else 0.0,
        shares=lost,
        hits={one.name: one.measures["hit_at_1"] for one in edits if "hit_at_1" in one.measures},
        n_think=info.n_think,
        spreads=[one.spread.value for one in seen if one.spread is not None],
        image_shares=[_of_rest(one, one.by_image, one.by_both) for one in crossed],
        query_shares=[_of_rest(one, one.by_query) for one in crossed],
        thought_dependence=measures.get("thought_dependence"),
        image_dependence=measures.get("image_dependence"),
        text_specificity=measures.get("text_specificity"),
        writes="text_specificity" in measures,
        tasks=tasks,
    )


def task_figures(
    question: Question, measured: Measured, planned: Sequence[Planned], n_candidates: int, seed: int
) -> tuple[TaskFigures, ...]:
    """Figures by the task that the data give their rows; empty where they name fewer than two. Refused candidates do not count."""
    names = np.array([str(row.pair.query.metadata.get("task", "")) if row.pair else "" for row in question.rows])
    known = measured.rank[:, 0] > 0
    tasks = [name for name in np.unique(names[known]) if name and (known & (names == name)).sum() >= LEAST_OF_A_TASK]
    if len(tasks) < 2:
        return ()
    found = []
    for name in tasks:
        rows = known & (names == name)
        lost = shares(measured, planned, n_candidates, seed, rows)
        hits = estimates({"hit": (measured.rank[rows, 0] == 1).astype(float)}, seed)
        found.append(
            TaskFigures(
                task=str(name),
                n=int(rows.sum()),
                hit_at_1=hits["hit"],
                shares={edit: one for edit, one in lost.items() if edit.endswith(".all")},
                curve=curve(measured, planned, seed, rows),
            )
        )
    return tuple(found)


def not_tested(
    info: EmbedderInfo,
    question: Question,
    edits: Sequence[EditFigures],
    measures: Mapping[str, Estimate],
    tasks: Sequence[TaskFigures],
) -> Iterator[NotTested]:
    """What could not be answered, each with its reason."""
    if "round_trip_agrees" not in measures:
        yield NotTested(what="Round trip", why="It needs a decoded thought, and candidates to rank.")
    if "hit_at_1" not in measures:
        yield NotTested(what="Ranks", why="No sample has a right candidate that could be ranked.")
    for one in edits:
        if "embedding_change" not in one.measures and one.thought in (None, 1):
            yield NotTested(what=one.name, why=_why_not(one.kind))
    if not info.contexts:
        yield NotTested(what="Decoded thoughts", why=f"'{info.name}' does not write its thoughts.")
    elif "image_dependence" not in measures:
        yield NotTested(
            what="Dependence of the decoded thought on the image",
            why="No two samples with a text and images to exchange.",
        )
    if _is_mute(edits, measures):
        yield NotTested(
            what="Decoded thoughts while some are hidden",
            why=f"The decoder of '{info.name}' was trained to read all thoughts at once and has no place for fewer, so where thoughts "
            "are hidden no text is written or scored.",
        )
    if "bm25_query" not in measures:
        yield NotTested(
            what="Simulatability",
            why="It needs candidates that are texts alone, and a decoded thought; there are none.",
        )
    if not any(row.pair and row.pair.query.metadata.get("task") for row in question.rows):
        yield NotTested(what="Tasks", why="The data do not name tasks (a field 'task' in each row).")
    elif not tasks:
        why = f"No two tasks have {LEAST_OF_A_TASK} samples or more whose right candidate is ranked."
        yield NotTested(what="Tasks", why=why)


def _is_mute(edits: Sequence[EditFigures], measures: Mapping[str, Estimate]) -> bool:
    """Whether the model writes, but not where thoughts are hidden."""
    hidden = next((one.measures for one in edits if one.name == "hide.all"), {})
    texts = "own_log_probability" in measures and "log_probability_change" not in hidden
    return texts and "embedding_change" in hidden


def _why_not(kind: str) -> str:
    if kind == "swap-image":
        return "No two samples with a text and images to exchange."
    if kind == "control":
        return "The queries have no position that could be hidden instead."
    return "No other sample with another right candidate."


def _of_rest(one: Geometry, *parts: Estimate | None) -> float:
    """As a share of what is not by position."""
    assert one.by_position is not None
    return sum(part.value for part in parts if part is not None) / max(1e-12, 1 - one.by_position.value)
