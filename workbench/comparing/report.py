"""The report of a comparison: which samples it shows in full, opened from the disk and handed to the renderer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from workbench.attribution import AttributionProbe
from workbench.comparing.making import Compared
from workbench.comparing.opening import open_sample
from workbench.comparison import Comparison, PairComparison, SampleView
from workbench.errors import BadInput
from workbench.images import open_image
from workbench.render import comparison_html as renderer

EACH = 4
"""Samples in full of each list: rank lost, rank gained, thought changed."""


def comparison_html(
    compared: Compared, *, first: str | None = None, method: AttributionProbe | None = None, notes: Sequence[str] = ()
) -> str:
    """One self-contained HTML file. Raises BadInput when a reading has gone since it was made.

    Args:
        compared: the comparison.
        first: id of the sample that comes first, where both could read it (else a note says why not); None: the first that
            both could read.
        method: whose maps are shown, of the samples that it was made for; a note says when these are not all.
        notes: said besides.
    """
    views = [
        open_sample(compared, sample, number, method=method)
        for number, samples in enumerate(shown_samples(compared, first=first))
        for sample in samples
    ]
    comparison = compared.comparison
    told = [*comparison.notes, *unread_notes(comparison, first), *notes]
    if method is not None:
        told += _unmade(views, method)
    shown, gone = _with_pictures(comparison, views)
    return renderer.comparison_html(replace(comparison, notes=(*told, *gone)), shown)


def _unmade(views: Sequence[SampleView], method: AttributionProbe) -> Iterator[str]:
    seen = [view for view in views if view.images]
    made = sum(view.attributed is not None for view in seen)
    if made < len(seen):
        yield (
            f"Maps of {method.title} were made for {made:,} of the {len(seen):,} samples with an image that are shown in full; the "
            "others show attention alone."
        )


def _with_pictures(
    comparison: Comparison, views: Sequence[SampleView]
) -> tuple[list[renderer.ShownSample], dict[str, None]]:
    """The samples with their pictures, and why some have none."""
    shown, gone = [], {}
    for view in views:
        try:
            pictures = tuple(open_image(image) for image in view.images)
        except BadInput as error:
            pictures = ()
            gone[f"Sample '{comparison.samples[view.sample].id}' is shown without its picture: {error}"] = None
        shown.append(renderer.ShownSample(view=view, pictures=pictures))
    return shown, gone


def shown_samples(compared: Compared, *, first: str | None = None) -> list[list[int]]:
    """For each pair, the samples that its report shows in full."""
    wanted = None if first is None else compared.comparison.place_of(first)
    return [choose_samples(pair, wanted) for pair in compared.comparison.pairs]


def unread_notes(comparison: Comparison, first: str | None) -> list[str]:
    """For each pair that cannot open with the sample asked for, why: one of both could not read it."""
    place = None if first is None else comparison.place_of(first)
    found = []
    for pair in comparison.pairs:
        sides = (pair.reference, pair.other)
        common = [change.sample for change in pair.changes]
        if place is None or place in common:
            continue
        names = [comparison.sides[side].name for side in sides]
        errors = [comparison.samples[place].errors[side] for side in sides]
        why = next(f"'{name}' could not read it: {error}" for name, error in zip(names, errors, strict=True) if error)
        found.append(
            f"Sample '{first}' was asked for, but {why} '{names[1]}' against '{names[0]}' opens with sample "
            f"'{comparison.samples[common[0]].id}' instead."
        )
    return found


def choose_samples(pair: PairComparison, first: int | None = None) -> list[int]:
    """The sample asked for, or the first, and those that changed most, each once."""

    def found() -> Iterator[int]:
        common = [change.sample for change in pair.changes]
        yield first if first in common else common[0]
        for _, changes in renderer.changed_lists(pair):
            yield from (change.sample for change in changes[:EACH])

    return list(dict.fromkeys(found()))
