"""The report of a comparison: which samples it shows in full, opened from the disk and handed to the renderer."""

from collections.abc import Iterator

from workbench.attribution import AttributionProbe
from workbench.comparing.making import Compared
from workbench.comparing.opening import open_sample
from workbench.comparison import PairComparison
from workbench.images import open_image
from workbench.render import comparison_html as renderer

EACH = 4
"""Samples in full of each list: rank lost, rank gained, thought changed."""


def comparison_html(compared: Compared, *, first: str | None = None, method: AttributionProbe | None = None) -> str:
    """One self-contained HTML file. Raises BadInput when an image has gone or changed since it was read.

    Args:
        compared: the comparison.
        first: id of the sample that comes first; None: the first that both could read.
        method: whose maps are shown, of the samples that it was made for.
    """
    shown = [
        renderer.ShownSample(view=view, pictures=tuple(open_image(image) for image in view.images))
        for number, samples in enumerate(shown_samples(compared, first=first))
        for view in (open_sample(compared, sample, number, method=method) for sample in samples)
    ]
    return renderer.comparison_html(compared.comparison, shown)


def shown_samples(compared: Compared, *, first: str | None = None) -> list[list[int]]:
    """For each pair, the samples that its report shows in full."""
    wanted = None if first is None else compared.comparison.place_of(first)
    return [choose_samples(pair, wanted) for pair in compared.comparison.pairs]


def choose_samples(pair: PairComparison, first: int | None = None) -> list[int]:
    """The sample asked for, or the first, and those that changed most, each once."""

    def found() -> Iterator[int]:
        common = [change.sample for change in pair.changes]
        yield first if first in common else common[0]
        for _, changes in renderer.changed_lists(pair):
            yield from (change.sample for change in changes[:EACH])

    return list(dict.fromkeys(found()))
