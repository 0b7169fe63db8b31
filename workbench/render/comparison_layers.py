"""Likeness of thoughts layer by layer and token by token as HTML fragments: tables of colours, and figures at like depth."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from workbench.comparison import Grid, Likeness, PairComparison
from workbench.render import comparison_parts as parts
from workbench.render import heat
from workbench.render.html import escape


def grids_html(pair: PairComparison, names: tuple[str, str]) -> str:
    """Layers, single think tokens, and matched ones by depth.

    All layers and tokens of one are set against all of the other by value alone; chance, p and Procrustes are told where the
    two stand at like depth.
    """
    if pair.layers is None or pair.steps is None or pair.depths is None:
        return ""
    pooled = [one for one in pair.by_depth if one.of == "thoughts"]
    single = [one for one in pair.by_depth if one.of == "thought"]
    where = f"Rows: {names[0]}; columns: {names[1]}."
    layers = _part("Layer by layer", f"Mean of the think tokens' states after each layer. {where}", _heats(pair.layers))
    like = "Layers of like depth, each beside what it reads when samples are shuffled:"
    rows = [[escape(_layer(one)), *parts.likeness_cells(one)] for one in pooled]
    table = f'<p class="cp-soft">{like}</p>{parts.table_html(parts.LIKENESS, rows, numbers=range(1, 9))}'
    steps = _part("Think token by think token", f"States at the last layer. {where}", _heats(pair.steps))
    depths = ""
    if pair.depths.cols:
        about = f"{_matched(pair)} Small beside each figure: p, as it is told above; of the unexplained what is unexplained by chance."
        depths = _part("Matched think tokens at every depth", about, _deep(pair.depths, single))
    return f"{layers}{table}{steps}{depths}"


def _part(title: str, about: str, tables: Sequence[str]) -> str:
    return f'<h4>{title}</h4><p class="cp-soft">{escape(about)}</p><div class="cp-heats">{"".join(tables)}</div>'


def _heats(grid: Grid) -> list[str]:
    return [_kept(grid, ()), _cka(grid, ())]


def _deep(grid: Grid, found: Sequence[Likeness]) -> list[str]:
    """The same with p, and what Procrustes leaves unexplained; `found` row by row."""
    left = np.array([one.residual for one in found]).reshape(grid.overlap.shape)
    by_chance = np.array([one.residual_chance for one in found]).reshape(grid.overlap.shape)
    explained = np.divide(by_chance - left, by_chance, out=np.zeros_like(left), where=by_chance > 0)
    return [
        _kept(grid, [f"p {parts.p_value(one.overlap_p)}" for one in found]),
        _cka(grid, [f"p {parts.p_value(one.cka_p)}" for one in found]),
        _heat("Unexplained", grid, left, _colour(explained, 0.0), [f"of {one.residual_chance:.2f}" for one in found]),
    ]


def _kept(grid: Grid, beside: Sequence[str]) -> str:
    chance = grid.overlap_chance
    return _heat(f"Neighbours kept, {chance:.2f} by chance", grid, grid.overlap, _colour(grid.overlap, chance), beside)


def _cka(grid: Grid, beside: Sequence[str]) -> str:
    return _heat("CKA, 0 by chance", grid, grid.cka, _colour(grid.cka, 0.0), beside)


def _colour(values: Float[np.ndarray, "rows cols"], chance: float) -> UInt8[np.ndarray, "rows cols 3"]:
    return heat.colours(np.maximum(values, chance), low=chance, high=1.0)


def _heat(
    title: str,
    grid: Grid,
    numbers: Float[np.ndarray, "rows cols"],
    rgb: UInt8[np.ndarray, "rows cols 3"],
    beside: Sequence[str],
) -> str:
    """A table of coloured numbers, with small words beside each of them, row by row, or none."""
    head = "<th></th>" + "".join(f"<th>{escape(_short(name))}</th>" for name in grid.cols)
    rows = []
    for row, name in enumerate(grid.rows):
        cells = []
        for col, (value, one) in enumerate(zip(numbers[row].tolist(), rgb[row], strict=True)):
            more = f" <small>{escape(beside[row * len(grid.cols) + col])}</small>" if beside else ""
            look = f"background:rgb({','.join(map(str, one))});color:{heat.ink(one)}"
            cells.append(f'<td style="{look}">{parts.two_decimals(value)}{more}</td>')
        rows.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    table = f'<div class="cp-wide"><table class="cp-heat"><tr>{head}</tr>{"".join(rows)}</table></div>'
    return f"<div><small>{escape(title)}</small>{table}</div>"


def _short(name: str) -> str:
    return name.removeprefix("layer ").removeprefix("think ")


def _layer(one: Likeness) -> str:
    a, b = one.layer
    return f"Layer {a}" if a == b else f"Layer {a} and layer {b}"


def _matched(pair: PairComparison) -> str:
    if pair.matched == "position":
        return "Both have equally many think tokens, so each goes with the one at its place."
    return (
        "The checkpoints have different numbers of think tokens, so they were matched: each with one of the other, such that the "
        "neighbours kept at the last layer sum to the most (Hungarian method). What is left over has no counterpart. Chance and p "
        "are those of a best match: the tokens are matched anew in each shuffle of the samples."
    )
