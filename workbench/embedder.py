"""The seam: what a model of think tokens can be asked, whoever built it.

An `Embedder` embeds and leaves traces. Everything beyond is an ability of its own, checked with `isinstance`; a probe
that needs an ability which the model lacks is refused with the reason. Implementations live in `workbench.models`, the
only room that knows transformers. NumPy in, NumPy out; the one exception is `Objective`, whose purpose is a gradient.
"""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from workbench.edits import Edit
from workbench.targets import Target
from workbench.types import Context, DecodedThought, Encoded, PatchGrid, Provenance, Sample, TextScore, Trace

if TYPE_CHECKING:
    # Only for annotations: listing checkpoints or probes must not wait for torch.
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What a trace keeps. Everything is there by default; leaving things out saves memory, not passes."""

    latents: bool = True
    attention: bool = True
    edits: bool = True
    """stepwise and knockout"""
    continuation: bool = True
    """The cache that decoding goes on from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderInfo:
    """Facts about a loaded model that probes and pages may read."""

    name: str
    n_layers: int
    n_heads: int
    n_think: int
    width: int
    dim: int
    n_parameters: int
    think_tokens: tuple[str, ...]
    contexts: tuple[Context, ...]
    """Decoder contexts the model was trained for; the first is the default. Empty when it cannot decode."""
    tells: Literal["reasoning", "target"] = "reasoning"
    """What a decoded thought is trained to say: the reasoning, or the text of the retrieval target."""
    max_tokens: int
    """Longest input sequence, tokens."""
    provenance: Provenance

    @property
    def writes_first(self) -> bool:
        """Whether it writes its reasoning as text before it embeds a query (explicit CoT), instead of thinking in latents."""
        return bool(self.contexts) and not self.n_think


class Embedder(abc.ABC):
    """A model with a layout of think and embed tokens."""

    info: EmbedderInfo

    @abc.abstractmethod
    def prepare(self, sample: Sample) -> Encoded:
        """Turn a sample into model inputs. Raises BadInput or Unsupported with one sentence."""

    def length(self, sample: Sample) -> int:
        """About how many positions the sample will take, for sorting: a model that can tell without opening images does.

        Raises as `prepare` does.
        """
        return len(self.prepare(sample).tokens.ids)

    @abc.abstractmethod
    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        """Run the batch once and return one trace each, in order."""

    @abc.abstractmethod
    def embed(self, batch: Sequence[Encoded]) -> Float[np.ndarray, "n dim"]:
        """Unit-length embeddings of the batch, in order, and nothing else."""


class DecodesThoughts(abc.ABC):
    """The model can write text from a thought."""

    ability = "writes its thoughts as text"

    @abc.abstractmethod
    def decode(
        self,
        traces: Sequence[Trace],
        *,
        context: Context | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[DecodedThought]:
        """Write one text for each trace, all in one batch, going on from the traces' continuations.

        `thoughts_from[i]`, when given, replaces the thoughts of trace i by those of another trace (the query stays, where
        the context shows it at all).

        `context=None` takes the model's own. Temperature 0 is greedy. Raises Unsupported for a context that the model
        was not trained for, BadInput for a trace without continuation.
        """

    @abc.abstractmethod
    def score(
        self,
        traces: Sequence[Trace],
        texts: Sequence[str],
        *,
        context: Context | None = None,
        thoughts_from: Sequence[Trace] | None = None,
    ) -> list[TextScore]:
        """Teacher-forced log-probabilities of `texts[i]` under trace i, the end token included as last token.

        `thoughts_from` as in `decode`.
        """


class Editable(abc.ABC):
    """Thoughts can be changed before the embedding and the decoder read them."""

    ability = "lets its thoughts be changed"

    @property
    @abc.abstractmethod
    def learned(self) -> Float[np.ndarray, "think width"]:
        """What each think position holds before the first layer: step 0 of every thought."""

    @property
    @abc.abstractmethod
    def dummy(self) -> Float[np.ndarray, " width"]:
        """A learned token that never stands at a think position: the one that begins a written thought."""

    @abc.abstractmethod
    def edit(
        self, batch: Sequence[Encoded], edits: Sequence[Sequence[Edit]], *, latents: bool = False
    ) -> list[list[Trace]]:
        """One trace for each edit of each sample, in order: what a pass of its own under that edit would leave.

        Each edit costs the model the think and embed positions alone. The traces hold the embedding, latents where asked
        for, and a continuation that sees the edited thoughts, those that the edit hides left out; it is None where
        the decoder cannot do without them. They have no attention, and `stepwise` holds the embedding alone.

        Args:
            batch: samples; at least one.
            edits: for each sample as many as for the others; at least one.
            latents: whether states after each layer are kept.
        """


class ReadsVocabulary(abc.ABC):
    """A hidden state can be read as a distribution over words."""

    ability = "reads its hidden states as words"

    @abc.abstractmethod
    def vocabulary(self, hidden: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n vocab"]:
        """Logits of residual-stream states through the final norm and the generation head (the logit lens)."""

    @abc.abstractmethod
    def words(self, ids: Int[np.ndarray, " n"]) -> list[str]:
        """The text of each vocabulary entry, special tokens by name."""

    @abc.abstractmethod
    def text_ids(self, text: str) -> tuple[int, ...]:
        """Vocabulary ids of a text, as the model would read it; special tokens typed in it are read as such."""


Level = Literal["tokens", "pixels"]
Filling = Literal["blur", "mean"]


class Objective(abc.ABC):
    """Numbers of one sample as differentiable functions of its visual features. The one place where tensors cross the seam.

    A *unit* is what one relevance belongs to: a merged visual token (`tokens`; the vision tower has run once, before) or a
    patch of pixels (`pixels`; every call runs the tower). A *cell* is a place of the merged grids, all images one after the
    other, row-major; at the level of tokens units are cells. Batches of features are independent of each other.
    """

    level: Level
    targets: tuple[Target, ...]
    grids: tuple[PatchGrid, ...]
    features: "Float[Tensor, 'units dim']"
    """The sample's own features, on the model's device, float32, without gradient."""
    n_layers: int
    """Layers of the decoder."""
    length: int
    """Positions of the sequence that the values are read from."""

    @abc.abstractmethod
    def __call__(self, features: "Float[Tensor, 'batch units dim']") -> "Float[Tensor, 'batch targets']":
        """The targets' values. Differentiable; where `features` needs no gradient, no graph is kept."""

    @abc.abstractmethod
    def baseline(self, filling: Filling) -> "Float[Tensor, 'units dim']":
        """Features without what the images show: of the blurred images, or of their mean colour (at `tokens`: the mean token)."""

    @abc.abstractmethod
    def noise(self, n: int, seed: int) -> "Float[Tensor, 'n units dim']":
        """Features drawn with the mean and spread of the sample's own, each dimension by itself."""

    @abc.abstractmethod
    def spread(self, cells: "Shaped[Tensor, '*batch cells']") -> "Shaped[Tensor, '*batch units']":
        """A value of each cell, given to every unit of it."""

    @abc.abstractmethod
    def gather(self, units: "Float[Tensor, '*batch units']") -> "Float[Tensor, '*batch cells']":
        """The sum over the units of each cell."""

    @property
    @abc.abstractmethod
    def columns(self) -> tuple[int, ...]:
        """Sequence position of each cell's visual token."""

    @property
    @abc.abstractmethod
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each target, the sequence positions whose final states its value is read from."""

    def reading(self) -> "Float[Tensor, 'targets seq']":
        """One row for each target, which sums to 1: equal parts at its readers."""
        rows = self.features.new_zeros(len(self.targets), self.length)
        for row, places in zip(rows, self.readers, strict=True):
            row[list(places)] = 1 / len(places)
        return rows

    @property
    @abc.abstractmethod
    def thoughts(self) -> tuple[int, ...]:
        """Sequence positions of the thought: the think tokens, or the text that a model wrote before it embeds."""

    @abc.abstractmethod
    def attention(self) -> "Iterator[Float[Tensor, 'heads seq seq']]":
        """Attention of each decoder layer, last to first. One layer is held at a time.

        After the sample's own positions come those of the decoded text and of whatever else the targets need; nothing of
        the sample attends to them.
        """

    @abc.abstractmethod
    def attention_gradients(
        self,
    ) -> "Iterator[tuple[int, Float[Tensor, 'heads seq seq'], Float[Tensor, 'heads seq seq']]]":
        """A target's number, a layer's attention, and the target's gradient with respect to that attention.

        All targets of the last layer come first, those of the first layer last. Positions as in `attention`. One gradient
        is held at a time.
        """

    @abc.abstractmethod
    def through_vision(self, rows: "Float[Tensor, 'rows cells']") -> "Float[Tensor, 'rows cells']":
        """As `ComposesVision.through_vision`, for this sample."""


class Differentiable(abc.ABC):
    """The model's numbers have gradients with respect to what it sees."""

    ability = "has gradients with respect to what it sees"

    @abc.abstractmethod
    def objective(
        self, encoded: Encoded, targets: Sequence[Target], *, level: Level = "tokens", context: Context | None = None
    ) -> Objective:
        """Open a sample for attribution. Raises Unsupported for a sample without images.

        A model that writes before it embeds is opened with its text held as it is (`hold`): how the image changes the
        embedding by changing what is written is not in the gradient, nor in what filled cells do.
        """

    def hold(self, encoded: Encoded, trace: Trace) -> Encoded:
        """The inputs with what the model wrote before it embedded, as the trace has it: it will not write anew.

        `encoded` may be of a changed image, as long as its query takes as many positions. A model that writes nothing first
        gives the inputs back as they are.
        """
        del trace
        return encoded


class ComposesVision(abc.ABC):
    """Attention on merged tokens can be followed back through the vision tower."""

    ability = "lets attention be followed through its vision tower"

    @abc.abstractmethod
    def through_vision(
        self, encoded: Encoded, rows: Float[np.ndarray, "rows cells"]
    ) -> Float[np.ndarray, "rows cells"]:
        """Row-vector attention rollout (arXiv 2005.00928) of each row from the merged tokens to the patches, as cells.

        Each layer counts half as attention, mean over heads, and half as residual. Mass is kept: rows keep their sums.
        """


class Randomisable(abc.ABC):
    """Weights can be drawn anew, in a copy: a map that survives this does not show what the model has learned."""

    ability = "lets its weights be drawn anew"

    @property
    @abc.abstractmethod
    def parts(self) -> tuple[str, ...]:
        """Parts of the model, from the output down to the input."""

    @abc.abstractmethod
    def randomised(self, parts: Sequence[str], seed: int) -> Embedder:
        """A model of the same abilities with the weights of these parts drawn anew; this one stays as it is.

        The copy shares all other weights, so it costs memory for the drawn parts alone. Equal seeds give equal weights, and
        a part gets the same weights whatever is drawn with it. Raises UnknownName for a part that there is not.
        """
