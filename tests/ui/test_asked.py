"""Single values from the browser: what is taken, and the sentence for what is not."""

import pytest

from workbench.errors import BadInput
from workbench.ui.asked import split_of, whole_of


@pytest.mark.parametrize(("value", "taken"), [(2, 2), (2.0, 2), (50, 50), (-0.0, 0)])
def test_whole_numbers_are_taken(value: object, taken: int) -> None:
    found = whole_of(value, "The number", 0, 50)
    assert found == taken
    assert type(found) is int


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "The number is empty; give a whole number from 1 to 2,000."),
        ("", "The number is empty; give a whole number from 1 to 2,000."),
        ("7", "The number must be a whole number, not '7'."),
        (True, "The number must be a whole number, not 'True'."),
        (1.5, "The number must be a whole number, not '1.5'."),
        (float("nan"), "The number must be a whole number, not 'nan'."),
        (float("inf"), "The number must be a whole number, not 'inf'."),
        ([3], "The number must be a whole number, not '[3]'."),
        ("x" * 900, f"The number must be a whole number, not '{'x' * 50}'."),
        (0, "The number is 0, but must lie between 1 and 2,000."),
        (2001.0, "The number is 2,001, but must lie between 1 and 2,000."),
        # Beyond what a float can hold.
        (10**400, f"The number is 10,{'000,' * 11}000, but must lie between 1 and 2,000."),
    ],
)
def test_anything_else_gets_a_sentence(value: object, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        whole_of(value, "The number", 1, 2_000)
    assert str(caught.value) == told


def test_a_split_is_a_short_name() -> None:
    assert split_of("  test ") == "test"
    for value in (None, "", "   ", 3, ["test"], "x" * 101):
        with pytest.raises(BadInput, match="The split is empty or too long; 'test' is the usual one"):
            split_of(value)
