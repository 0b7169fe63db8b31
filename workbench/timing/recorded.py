"""Writing with each token's pass recorded once as a CUDA graph, so that the host asks for nothing between two tokens.

On a GPU a small batch's pass for one token waits for the host, which launches hundreds of operations one by one. Servers
record the pass instead and play it again. This is that, for texts whose length is told beforehand: the same layers with the
host out of the way. It is not the fastest that there is: no operations are fused by hand, each token attends to all columns
that are kept ready, and reading the queries and embedding behind the text are not recorded.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.models.backbone import Backbone
from workbench.models.columns import Columns
from workbench.models.one_query import AttendOne
from workbench.models.registries import Prefix
from workbench.models.spelling_out import embed_behind, read_queries

WARM_UP = 3
"""Times that a step runs before it is recorded, as PyTorch asks."""
Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes a step that reads and changes the same memory each time, and may run it WARM_UP times; returns what does the same again."""


def record_graph(step: Callable[[], None]) -> Callable[[], None]:
    """A CUDA graph of the step on the current GPU, for which it runs WARM_UP times."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=aside):
        step()
    return graph.replay


@final
class RecordedWriter:
    """Writes `tokens` tokens for each query and embeds behind them, as `write_and_embed` does with that many at least and most.

    Queries are read and embedded as there; the pass of a token is recorded when this is made, and its memory kept. `record`
    is for a test where no GPU is.
    """

    @torch.inference_mode()
    def __init__(
        self, backbone: Backbone, prefixes: Sequence[Prefix], *, tokens: int, record: Record = record_graph
    ) -> None:
        self._backbone, self._prefixes, self._tokens = backbone, prefixes, tokens
        begun, position, state = read_queries(backbone, prefixes)
        room = max(tokens, WARM_UP + 1)
        self._columns = Columns(begun, room=room + 1 + len(backbone.ids.embed))
        self._first = self._columns.filled
        device = backbone.device
        self._place = torch.tensor([self._first], device=device)
        self._number = torch.zeros(1, dtype=torch.long, device=device)
        self._position, self._state = position, state
        self._ids = torch.zeros(len(prefixes), room, dtype=torch.long, device=device)
        self._head = backbone.family.head(backbone.model)
        self._table = backbone.family.token_embedding(backbone.model)
        # A graph is of the current GPU, which need not be the one that the model is on.
        with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
            self._again = record(self._step)
        before = int(self._number)
        self._again()
        if int(self._number) != before + 1:
            raise RuntimeError("the recorded pass does nothing when it is played; was it recorded on another device?")

    @torch.inference_mode()
    def __call__(self) -> tuple[Int[Tensor, "n tokens"], Float[Tensor, "n dim"]]:
        """The tokens' ids, and the embeddings."""
        begun, position, state = read_queries(self._backbone, self._prefixes)
        self._columns.refill(begun)
        del begun
        self._place.fill_(self._first)
        self._number.zero_()
        self._position.copy_(position)
        self._state.copy_(state)
        for _ in range(self._tokens):
            self._again()
        self._columns.filled = self._first + self._tokens
        return self._ids[:, : self._tokens].clone(), embed_behind(self._backbone, self._columns, self._position)

    def _step(self) -> None:
        """One more token of every row: chosen from the state before, taken down, passed through the layers."""
        readings = self._head(self._state)
        readings[:, self._backbone.ids.end] = float("-inf")
        chosen = readings.argmax(-1)
        self._ids.index_copy_(1, self._number, chosen[:, None])
        places = self._position[None, :, None].expand(3, -1, 1)
        seen = AttendOne(self._columns.begin_at(self._place))
        hidden = self._backbone.run(self._table(chosen[:, None]), places, seen, past=self._columns)
        self._state.copy_(hidden[:, -1])
        self._position += 1
        self._place += 1
        self._number += 1
