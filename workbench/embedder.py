"""The seam: what a model of think tokens can be asked, whoever built it.

An `Embedder` embeds and leaves traces. Everything beyond is an ability of its own, checked with `isinstance`; a probe
that needs an ability which the model lacks is refused with the reason. Implementations live in `workbench.models`, the
only room that knows transformers. Tensors never cross the seam: NumPy in, NumPy out.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from workbench.types import Context, DecodedThought, Encoded, Provenance, Sample, TextScore, Trace


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
    max_tokens: int
    """Longest input sequence, tokens."""
    provenance: Provenance


class Embedder(abc.ABC):
    """A model with a layout of think and embed tokens."""

    info: EmbedderInfo

    @abc.abstractmethod
    def prepare(self, sample: Sample) -> Encoded:
        """Turn a sample into model inputs. Raises BadInput or Unsupported with one sentence."""

    @abc.abstractmethod
    def trace(self, batch: Sequence[Encoded], keep: Keep = Keep()) -> list[Trace]:
        """Run the batch once and return one trace each, in order."""

    @abc.abstractmethod
    def embed(self, batch: Sequence[Encoded]) -> Float[np.ndarray, "n dim"]:
        """Unit-length embeddings of the batch, in order, and nothing else."""


class DecodesThoughts(abc.ABC):
    """The model can write text from a thought."""

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


class ReadsVocabulary(abc.ABC):
    """A hidden state can be read as a distribution over words."""

    @abc.abstractmethod
    def vocabulary(self, hidden: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n vocab"]:
        """Logits of residual-stream states through the final norm and the generation head (the logit lens)."""

    @abc.abstractmethod
    def words(self, ids: Int[np.ndarray, " n"]) -> list[str]:
        """The text of each vocabulary entry, special tokens by name."""
