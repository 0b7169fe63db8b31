"""A part made in a worker: the plan comes as text, the outcome goes as plain values, and told errors become outcomes."""

from dataclasses import asdict
from typing import Any, final

from workbench import store
from workbench.errors import WorkbenchError
from workbench.export.engine import Making, Outcome, load_maker
from workbench.export.plan import Plan


@final
class Attempt:
    """Makes parts in this process with what `maker` names; the model is loaded for the first and kept."""

    def __init__(self, maker: str, plan: str) -> None:
        self._maker = maker
        self._plan = store.loads(Plan, plan)
        self._making: Making | None = None

    def __call__(self, part: int) -> dict[str, Any]:
        """Make one part and return its outcome's fields."""
        try:
            if self._making is None:
                self._making = load_maker(self._maker)(self._plan)
            return asdict(self._making(part))
        except WorkbenchError as error:
            return asdict(Outcome(part=part, rows=0, problem=str(error)))
