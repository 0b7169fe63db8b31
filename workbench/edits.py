"""What can be done to the think tokens of a sample before it is embedded: the record that crosses the seam.

A thought is what a think position holds: its residual stream at every *step*. Step 0 is its input (the learned token), step
l its state after layer l. Others read a thought as keys and values, which each layer makes from the step before it; so the
states of the last step are read by nobody but a decoder that reads final states (LaME).

Two kinds of edit, and what sees them:

- *Replacing states* (`states`, `replaced`): a think position holds the given state at the chosen steps; between them it goes on
  computing from what it holds. Later think tokens, embed tokens and decoder all read the edited position: the total effect.
- *Hiding* (`hidden`): embed tokens and decoder do not attend to the thought; later think tokens did, so what went through
  them stays: the direct effect, as `Trace.knockout`. *Blocking* (`blocked`) cuts attention from think or embed tokens to a
  kind of position, and leaves the decoder as it is.

The query before the thoughts is never changed, since nothing of it attends to them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

Reader = Literal["think", "embed"]
Read = Literal["image", "text", "think"]
"""Visual tokens of the query; all its other tokens; think tokens other than the reader itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """An edit of one sample. Without arguments it changes nothing."""

    states: Float[np.ndarray, "steps think width"] | None = None
    """Residual stream, one entry more than layers; only read where `replaced` says so."""
    replaced: Bool[np.ndarray, "steps think"] | None = None
    hidden: tuple[int, ...] = ()
    """Thoughts, from 0, that embed tokens and decoder do not see."""
    blocked: frozenset[tuple[Reader, Read]] = frozenset()
    positions: tuple[int, ...] = ()
    """Positions of the query that embed tokens do not see: the control that hides as many positions which are no thoughts."""

    @property
    def reaches_decoder(self) -> bool:
        """Whether what a decoder reads of the thoughts may be changed; where not, it says what it says without the edit."""
        return self.states is not None or bool(self.hidden) or any(reader == "think" for reader, _ in self.blocked)

    def __post_init__(self) -> None:
        if (self.states is None) != (self.replaced is None):
            raise ValueError("states and the steps at which they are put in go together")
        if self.states is not None and self.replaced is not None and self.states.shape[:2] != self.replaced.shape:
            raise ValueError(
                f"states of {self.states.shape[:2]} steps and thoughts, but replaced {self.replaced.shape}"
            )


def put(
    states: Float[np.ndarray, "steps think width"],
    *,
    thoughts: tuple[int, ...] | None = None,
    steps: tuple[int, ...] | None = None,
) -> Edit:
    """The edit that puts states in, at these thoughts and steps (None: at all)."""
    n_steps, n_think, _ = states.shape
    replaced = np.zeros((n_steps, n_think), dtype=bool)
    replaced[np.ix_(range(n_steps) if steps is None else steps, range(n_think) if thoughts is None else thoughts)] = (
        True
    )
    return Edit(states=states, replaced=replaced)
