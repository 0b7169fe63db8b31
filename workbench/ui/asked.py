"""Single values that a browser sent, checked: nothing of what it sends is taken as it comes."""

from workbench.errors import BadInput

_LONGEST_SPLIT = 100


def whole_of(value: object, what: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`; `what` begins the sentence. Raises BadInput for anything else."""
    if value in (None, ""):
        raise BadInput(f"{what} is empty; give a whole number from {low:,} to {high:,}.")
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not value.is_integer())
    ):
        raise BadInput(f"{what} must be a whole number, not '{str(value)[:50]}'.")
    number = int(value)
    if not low <= number <= high:
        raise BadInput(f"{what} is {f'{number:,}'[:50]}, but must lie between {low:,} and {high:,}.")
    return number


def split_of(value: object) -> str:
    """The name of a part of a data set, which only its reader can say more of. Raises BadInput for anything else."""
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST_SPLIT:
        raise BadInput("The split is empty or too long; 'test' is the usual one.")
    return value.strip()
