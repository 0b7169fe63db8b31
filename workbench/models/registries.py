"""The registries of families and formats, and what an entry of each must offer."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.embedder import Embedder
from workbench.models.layout import Layout
from workbench.registry import Registry
from workbench.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionLayer:
    """What one layer of a vision tower attends by: queries and keys after any rotation or norm."""

    query: Float[Tensor, "heads patches width"]
    key: Float[Tensor, "heads patches width"]
    scaling: float
    lengths: tuple[int, ...]
    """Patches see each other within runs of these lengths (an image, a frame, a window), one run after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionPass:
    """One pass of the vision tower over a sample's images."""

    cells: Int[Tensor, " patches"]
    """The merged token, counted over all images, of each patch. Patches stand in the tower's own order throughout."""
    layers: tuple[Callable[[], VisionLayer], ...]
    """First to last. Queries and keys are made when asked for, so that one layer's are held at a time."""


class Family(abc.ABC):
    """What differs between vision-language families, and nothing else. Stateless: models are passed in."""

    name: ClassVar[str]
    """transformers' `model_type`."""

    @abc.abstractmethod
    def load_model(self, path: Path, *, device: torch.device, dtype: torch.dtype) -> Any:
        """Load the weights of an ordinary Hugging Face directory (safetensors only, no remote code)."""

    @abc.abstractmethod
    def load_processor(self, path: Path) -> "Processor":
        """Load tokenizer, image processor and chat template."""

    @abc.abstractmethod
    def visual_tokens(
        self, model: Any, pixels: Tensor, grids: Int[Tensor, "images 3"]
    ) -> Float[Tensor, "tokens width"]:
        """Merged visual tokens of all images, in order."""

    @abc.abstractmethod
    def vision_pass(self, model: Any, pixels: Tensor, grids: Int[Tensor, "images 3"]) -> VisionPass:
        """Run the vision tower as `visual_tokens` does and keep what its layers attend by."""

    @abc.abstractmethod
    def token_embedding(self, model: Any) -> torch.nn.Embedding:
        """The input embedding."""

    @abc.abstractmethod
    def text_stack(self, model: Any) -> Any:
        """The decoder: called with inputs_embeds, position_ids, attention_mask (a mask of ours) and past_key_values.

        Where a layout reads thoughts at a middle layer also with `stop`: the number of layers to run before the final norm. A
        cache that it is given may do no more than `update`.
        """

    @abc.abstractmethod
    def layers(self, model: Any) -> torch.nn.ModuleList:
        """The decoder layers, first to last; each returns its residual stream."""

    @abc.abstractmethod
    def run_layer(
        self, model: Any, index: int, states: Float[Tensor, "batch seq width"], positions: Tensor, mask: Any
    ) -> Float[Tensor, "batch seq width"]:
        """The residual stream after one decoder layer, from that before it. `mask` as for `text_stack`."""

    @abc.abstractmethod
    def final_norm(self, model: Any) -> torch.nn.Module:
        """The norm before the generation head."""

    @abc.abstractmethod
    def head(self, model: Any) -> torch.nn.Linear:
        """The generation head."""

    @abc.abstractmethod
    def rotate(
        self, model: Any, keys: Float[Tensor, "heads seq width"], shift: int
    ) -> Float[Tensor, "heads seq width"]:
        """Rotary keys as they would be `shift` text positions further on."""

    @abc.abstractmethod
    def vision_parameters(self, model: Any) -> list[torch.nn.Parameter]:
        """Parameters of the vision tower (what freezing it freezes)."""


class Processor(abc.ABC):
    """A family's way from a sample to token ids, pixels and positions."""

    tokenizer: Any

    @abc.abstractmethod
    def encode(self, sample: Sample) -> "Prefix":
        """Everything before the think tokens. Raises BadInput."""

    def length(self, sample: Sample) -> int:
        """About how many tokens `encode` makes; a processor that can tell without opening images does. Raises BadInput."""
        return len(self.encode(sample).ids)

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """What of the processing decides about numbers: patch and merge size, pixel limits, normalisation."""

    @abc.abstractmethod
    def save(self, path: Path) -> None:
        """Write tokenizer, image processor and chat template as ordinary Hugging Face files."""


class Prefix:
    """Tokens before the think tokens: ids, 3-D positions, pixels and merged grids with their places."""

    __slots__ = ("grids", "ids", "pixels", "positions", "spans", "thw")

    def __init__(
        self,
        *,
        ids: Int[Tensor, " seq"],
        positions: Int[Tensor, "3 seq"],
        pixels: Float[Tensor, "patches values"] | None,
        thw: Int[Tensor, "images 3"],
        grids: list[tuple[int, int, int]],
        spans: list[int],
    ) -> None:
        self.ids = ids
        self.positions = positions
        self.pixels = pixels
        self.thw = thw
        self.grids = grids
        """Merged grid (frames, rows, cols) of each image."""
        self.spans = spans
        """Position of each image's first visual token."""


class Format(abc.ABC):
    """One way in which checkpoints lie on disk."""

    name: ClassVar[str]
    about: ClassVar[str]

    @abc.abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether the folder is of this format, from file names and JSON alone."""

    def layout(self, _path: Path, /) -> Layout | None:
        """What the folder says of think and embed tokens, from JSON alone; None where that needs the weights.

        Raises BadCheckpoint with one sentence. With it, what a layout rules out is refused before anything is loaded.
        """
        return None

    @abc.abstractmethod
    def load(self, path: Path, *, device: torch.device, dtype: torch.dtype) -> Embedder:
        """Load it. Raises BadCheckpoint with one sentence."""


FAMILIES: Registry[type[Family]] = Registry("family", package="workbench.models.families", group="thinkscope.families")
FORMATS: Registry[type[Format]] = Registry("format", package="workbench.models.formats", group="thinkscope.formats")
