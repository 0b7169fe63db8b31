"""The report of a comparison: which samples it shows in full, opened from the disk and handed to the renderer."""

from collections.abc import Iterator

from workbench.comparing.making import Compared
from workbench.comparing.opening import open_sample
from workbench.comparison import PairComparison
from workbench.images import open_image
from workbench.render import comparison_html as renderer

EACH = 4
"""Samples in full of each list: rank lost, rank gained, thought changed."""


def comparison_html(compared: Compared, *, first: str | None = None) -> str:
    """One self-contained HTML file. Raises BadInput when an image has gone or changed since it was read.

    Args:
        compared: the comparison.
        first: id of the sample that comes first; None: the first that both could read.
    """
    wanted = None if first is None else compared.comparison.place_of(first)
    shown = [
        renderer.ShownSample(view=view, pictures=tuple(open_image(image) for image in view.images))
        for number, pair in enumerate(compared.comparison.pairs)
        for view in (open_sample(compared, sample, number) for sample in choose_samples(pair, wanted))
    ]
    return renderer.comparison_html(compared.comparison, shown)


def choose_samples(pair: PairComparison, first: int | None = None) -> list[int]:
    """The sample asked for, or the first, and those that changed most, each once."""

    def found() -> Iterator[int]:
        common = [change.sample for change in pair.changes]
        yield first if first in common else common[0]
        for _, changes in renderer.changed_lists(pair):
            yield from (change.sample for change in changes[:EACH])

    return list(dict.fromkeys(found()))
