"""What each visual token covers, against boxes drawn by hand."""

import torch

from workbench.models.registries import Prefix
from workbench.recipes.dense import IGNORE, DenseLabels

LABELS = DenseLabels(sizes=("large", "small"), colours=("blue", "red"), shapes=("star",))


def prefix(*grids: tuple[int, int, int]) -> Prefix:
    ids, thw = torch.zeros(0, dtype=torch.long), torch.zeros(0, 3, dtype=torch.long)
    return Prefix(ids=ids, positions=ids.expand(3, -1), pixels=None, thw=thw, grids=list(grids), spans=[])


def row(*boxes: list[float], colour: str = "red") -> dict[str, object]:
    things = [{"size": "small", "colour": colour, "shape": "star", "box": box} for box in boxes]
    return {"scene": {"height": 40, "width": 60}, "objects": things}


def test_tokens_name_what_covers_them_and_leave_out_what_is_touched() -> None:
    # Two rows and three columns of 20 px. The box covers cell (0, 1) whole and a quarter of (0, 2) and of (1, 1).
    things, places = LABELS.of(row([0, 20, 25, 45]), prefix((1, 2, 3)))
    assert things[0].tolist() == [0, 2, IGNORE, 0, IGNORE, IGNORE]
    assert things[1].tolist() == [0, 2, IGNORE, 0, IGNORE, IGNORE]
    assert things[2].tolist() == [0, 1, IGNORE, 0, IGNORE, IGNORE]
    # Two rows of cells: their middles lie in the top and the bottom third.
    assert places.tolist() == [0, 1, 2, 6, 7, 8]


def test_a_small_object_is_named_where_its_centre_lies() -> None:
    things, _ = LABELS.of(row([22, 2, 28, 8]), prefix((1, 2, 3)))
    assert things[0].tolist() == [0, 0, 0, 2, 0, 0]


def test_further_images_are_left_out() -> None:
    """`scene` and `objects` describe the first image only; tokens of the second count neither as background nor as object."""
    things, places = LABELS.of(row([0, 20, 25, 45]), prefix((1, 2, 3), (1, 1, 2)))
    assert things.shape == (3, 8)
    assert (things[:, 6:] == IGNORE).all()
    assert places[6:].tolist() == [IGNORE, IGNORE]


def test_a_colour_that_training_never_showed_is_not_asked() -> None:
    things, _ = LABELS.of(row([0, 20, 20, 40], colour="mauve"), prefix((1, 2, 3)))
    assert things[:, 1].tolist() == [2, IGNORE, 1]
