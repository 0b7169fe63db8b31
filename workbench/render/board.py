"""The scoreboard of maps as terminal table, Markdown and one HTML page, with the sentence that names the best method."""

from typing import Any

from workbench.attribution import CONVERGED
from workbench.evaluation.scoreboard import RANDOM, SCORES, Board, BoardRow
from workbench.render.html import STYLE, escape
from workbench.stats import Interval

GOALS = {"words": 0.95, "embedding": 0.90}
"""What the best method's pointing game should reach."""
HEAD = ("target", "method", "pointing game", "relevance mass", "insertion", "deletion", "seconds per map")
_TITLE = "Scoreboard of maps"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_PAGE_STYLE = """
:root{color-scheme:light dark}
body{margin:0 auto;max-width:72em;padding:1.2em;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff}
h1{font-size:1.5em}.ts-best td{font-weight:600}.ts-control td{color:var(--ts-soft)}
@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#14171a}
.ts{--ts-soft:#9aa4af;--ts-line:#3d444d;--ts-warn:#d8a53a}}
""".strip()


def board_json(board: Board) -> list[dict[str, Any]]:
    """One object for each method and target, best first within a target."""
    return [
        {
            "method": row.method,
            "target": row.target,
            **{score: _bounds(row.scores[score]) for score in SCORES},
            "seconds_per_map": round(row.seconds_per_map, 6),
        }
        for row in board.rows
    ]


def board_cells(board: Board) -> list[tuple[str, ...]]:
    """The rows of the table as text under `HEAD`, controls after the methods of each target."""
    return [_cells(row, control) for row, control in _in_order(board)]


def board_markdown(board: Board) -> str:
    """A table and what it says, as Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *board_cells(board)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
    return (
        "\n\n".join((statement(board), table, reading(board), *(f"- {_plain(line)}" for line in board.remarks))) + "\n"
    )


def board_html(board: Board) -> str:
    """One self-contained page without scripts."""
    best = {row.target: row.method for row in reversed(board.rows)}
    body = []
    for row, control in _in_order(board):
        mark = ' class="ts-control"' if control else ' class="ts-best"' if best[row.target] == row.method else ""
        body.append(f"<tr{mark}>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(row, control)) + "</tr>")
    head = "".join(f"<th>{escape(cell)}</th>" for cell in HEAD)
    remarks = "".join(f"<li>{escape(line)}</li>" for line in board.remarks)
    origin = board.provenance
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_TITLE}</title><style>{STYLE}\n{_PAGE_STYLE}</style></head><body><h1>{_TITLE}</h1>"
        f"<p>{escape(statement(board))}</p>"
        f'<div class="ts ts-wide"><table><tr>{head}</tr>{"".join(body)}</table></div>'
        f"<p>{escape(reading(board))}</p>{f'<ul>{remarks}</ul>' if remarks else ''}"
        f'<p class="ts ts-soft">Checkpoint {escape(origin.checkpoint)}, weights {escape(origin.weights_sha256)}, '
        f"{escape(origin.dtype)} on {escape(origin.device)}.</p></body></html>\n"
    )


def statement(board: Board) -> str:
    """Which method to use by default and why, and whether the goals are met, in plain words."""
    standings = board.standings
    if not standings:
        return "No method could be scored for every kind of target, so none is recommended."
    (first, score), *rest = standings
    best, means = board.default or first, dict(standings)
    if best != first:
        said = (
            f"Use {best} by default: its scores for words and embedding have a mean of {means[best]:.3f}, which is as good as the "
            f"{score:.3f} of {first}; and {_converging(board, best)}, {_converging(board, first)}"
        )
    else:
        said = f"Use {best} by default: its scores for words and embedding have the highest mean, {score:.3f}"
        if rest:
            said += f", before {rest[0][0]} with {rest[0][1]:.3f}"
    return " ".join((said + ".", *_against_goals(board), *_against_chance(board, best), *_by_hinging(board, best)))


def _converging(board: Board, method: str) -> str:
    share = board.converged.get(method)
    if share is None:
        return f"no map of {method} can be checked so"
    return f"{share:.0%} of the maps of {method} account for their target's value to within {CONVERGED:.0%}"


def reading(board: Board) -> str:
    """What the columns are and what was counted."""
    used = ", ".join(f"{kind} {count}" for kind, count in board.used.items())
    hinging = ", ".join(f"{kind} {share:.0%}" for kind, share in board.hinging.items())
    return (
        f"{board.data[:1].upper()}{board.data[1:]}, {board.n} samples, of which had a target of known evidence: {used}. Means over "
        "samples with 95% bootstrap intervals. Pointing game: share of maps whose top cell touches the object that decides "
        "the target. Relevance mass: share of the positive relevance on that object's pixels; cells are coarser than "
        "objects, so 1 cannot be reached. Insertion (high is good) and deletion (low is good): area under the curve of the "
        "target while the best cells are shown or filled first, as a share of what filling the whole image takes, with "
        "blur and with the mean colour. Ranked by the mean of the four, deletion turned round. Targets are only words, "
        "answers and readings that the checkpoint gets right. Targets that lose half their value or "
        f"more when that object alone is filled: {hinging}; of the others it is not sure that the checkpoint uses the object, "
        "and a map that points elsewhere may be right. Seconds are for the targets of a sample together, shared out."
    )


def _in_order(board: Board) -> list[tuple[BoardRow, bool]]:
    kinds = dict.fromkeys(row.target for row in board.rows)
    return [
        (row, control)
        for kind in kinds
        for rows, control in ((board.rows, False), (board.controls, True))
        for row in rows
        if row.target == kind
    ]


def _cells(row: BoardRow, control: bool) -> tuple[str, ...]:
    name = f"control: {row.method}" if control else row.method
    seconds = "" if control else f"{row.seconds_per_map:.3f}"
    return (row.target, name, *(_share(row.scores[score]) for score in SCORES), seconds)


def _share(found: Interval | None) -> str:
    return "not measured" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _bounds(found: Interval | None) -> dict[str, float | None]:
    if found is None:
        return {"value": None, "low": None, "high": None}
    return {name: round(getattr(found, name), 6) for name in ("value", "low", "high")}


def _against_goals(board: Board) -> list[str]:
    said = []
    for kind, goal in GOALS.items():
        found = [(row.scores["pointing_game"], row.method) for row in board.rows if row.target == kind]
        scored = [(interval, method) for interval, method in found if interval is not None]
        if scored:
            top, method = max(scored, key=lambda pair: pair[0].value)
            met = "reaches" if top.value >= goal else "misses"
            said.append(f"For {kind} the best pointing game is {top.value:.3f} ({method}); that {met} {goal:.2f}.")
    return said


def _against_chance(board: Board, best: str) -> list[str]:
    own = {row.target: row.scores["pointing_game"] for row in board.rows if row.method == best}
    luck = {row.target: row.scores["pointing_game"] for row in board.controls if row.method == RANDOM}
    pairs = [(kind, own.get(kind), luck.get(kind)) for kind in GOALS]
    return [
        f"Random maps hit {chance.value:.3f} for {kind}, {best} {hit.value:.3f}."
        for kind, hit, chance in pairs
        if hit is not None and chance is not None
    ]


def _by_hinging(board: Board, best: str) -> list[str]:
    found = [(row.target, *row.by_hinging) for row in board.rows if row.method == best and row.target in GOALS]
    return [
        f"Of targets of {kind} that lose half their value when their object alone is filled, {best} hits {_share(hinging)}; of the "
        f"others, {_share(other)}."
        for kind, hinging, other in found
        if hinging is not None and other is not None
    ]


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
