"""Qwen2-VL, through transformers' own classes.

Images go through the PIL backend, so that torchvision is not needed. Merged visual tokens are in raster order (rows of
`pixel_values` are not: they come in 2x2 merge blocks); M-RoPE positions are computed here for one sample at a time, so
that no call depends on the state which the transformers model keeps between calls (`rope_deltas`).
"""

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision
from transformers.utils import logging

from workbench.errors import BadCheckpoint, BadInput
from workbench.images import open_image
from workbench.models.capture import Call, overheard
from workbench.models.lean_qwen2_vl import LeanStack, lean_
from workbench.models.patches import Patcher
from workbench.models.registries import FAMILIES, Family, Prefix, Processor, VisionLayer, VisionPass
from workbench.types import Sample

# Its bars would be drawn into `--json` runs and logs; our own progress says what is loaded.
logging.disable_progress_bar()
IMAGE_PAD = "<|image_pad|>"
_PATCHES_ON_CPU = 1_280
"""Patches that pass the vision tower together: their activations then stay in a core's cache."""


def mrope_positions(is_image: list[bool], grids: list[tuple[int, int, int]]) -> tuple[Int[Tensor, "3 seq"], int]:
    """Return temporal, row and column positions of each token, and the position that comes next.

    Text counts up on all three axes; an image's tokens take (frame, row, col) from where the text stood, and the text
    goes on after the larger side (Qwen2-VL, arXiv 2409.12191 section 2.1).

    Args:
        is_image: for each token, whether it is a visual token.
        grids: merged (frames, rows, cols) of each image, in order.
    """
    parts: list[Tensor] = []
    place, at, image = 0, 0, 0
    while place < len(is_image):
        if not is_image[place]:
            end = next((i for i in range(place, len(is_image)) if is_image[i]), len(is_image))
            parts.append((torch.arange(end - place) + at).expand(3, -1))
            at += end - place
            place = end
        else:
            frames, rows, cols = grids[image]
            cells = torch.meshgrid(torch.arange(frames), torch.arange(rows), torch.arange(cols), indexing="ij")
            parts.append(torch.stack(cells).reshape(3, -1) + at)
            place += frames * rows * cols
            at += max(rows, cols)
            image += 1
    return torch.cat(parts, dim=1) if parts else torch.zeros(3, 0, dtype=torch.long), at


@final
class Qwen2VLProcessor(Processor):
    """Tokenizer, PIL image processor and chat template of one checkpoint."""

    def __init__(self, tokenizer: Any, images: Qwen2VLImageProcessorPil) -> None:
        self.tokenizer = tokenizer
        self.images = images
        self._patcher = Patcher(images)
        self._pad = tokenizer.convert_tokens_to_ids(IMAGE_PAD)
        if self._pad is None or self._pad == tokenizer.unk_token_id:
            raise BadCheckpoint(f"The tokenizer has no {IMAGE_PAD} token; this is not a Qwen2-VL checkpoint.")

    def encode(self, sample: Sample) -> Prefix:
        pixels, thw = self._pixels(sample)
        merge = self.images.merge_size
        grids = [(int(t), int(h) // merge, int(w) // merge) for t, h, w in thw.tolist()]
        content: list[dict[str, str]] = [{"type": "image"} for _ in sample.images]
        if sample.text:
            # Special tokens typed by a user stay plain text: they must not become think or image positions.
            content.append({"type": "text", "text": _defuse(sample.text, self.tokenizer)})
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        pieces = text.split(IMAGE_PAD)
        if len(pieces) != len(grids) + 1:
            raise BadCheckpoint(
                f"The chat template made room for {len(pieces) - 1} images, but the sample has {len(grids)}."
            )
        ids: list[int] = []
        spans: list[int] = []
        for index, piece in enumerate(self.tokenizer(pieces, add_special_tokens=False)["input_ids"]):
            ids += piece
            if index < len(grids):
                spans.append(len(ids))
                ids += [self._pad] * math.prod(grids[index])
        positions, _ = mrope_positions([i == self._pad for i in ids], grids)
        return Prefix(ids=torch.tensor(ids), positions=positions, pixels=pixels, thw=thw, grids=grids, spans=spans)

    def length(self, sample: Sample) -> int:
        merged = self.images.merge_size**2
        try:
            visual = [self.images.get_number_of_image_patches(ref.height, ref.width) // merged for ref in sample.images]
        except ValueError as error:
            raise BadInput(f"An image of the sample '{sample.id}' cannot be cut into patches: {error}.") from error
        # What the chat template adds is the same for all.
        return sum(visual) + len(self.tokenizer(sample.text, add_special_tokens=False)["input_ids"])

    def _pixels(self, sample: Sample) -> tuple[Float[Tensor, "patches values"] | None, Int[Tensor, "images 3"]]:
        if not sample.images:
            return None, torch.zeros(0, 3, dtype=torch.long)
        patches, grids = [], []
        for ref in sample.images:
            try:
                cut, grid = self._patcher.cut(open_image(ref))
            except ValueError as error:
                raise BadInput(
                    f"The image '{ref.name}' ({ref.width} x {ref.height}) cannot be cut into patches: {error}."
                ) from error
            patches.append(cut)
            grids.append(grid)
        return torch.from_numpy(np.concatenate(patches)), torch.tensor(grids)

    def settings(self) -> dict[str, Any]:
        return {
            "patch_size": self.images.patch_size,
            "merge_size": self.images.merge_size,
            "min_pixels": self.images.size["shortest_edge"],
            "max_pixels": self.images.size["longest_edge"],
            "image_mean": list(self.images.image_mean),
            "image_std": list(self.images.image_std),
            "chat_template": self.tokenizer.chat_template,
        }

    def save(self, path: Path) -> None:
        self.tokenizer.save_pretrained(path)
        self.images.save_pretrained(path)


@FAMILIES.register("qwen2_vl")
@final
class Qwen2VLFamily(Family):
    """Qwen2-VL 2B, 7B, 72B and everything trained from them."""

    name = "qwen2_vl"

    def load_model(self, path: Path, *, device: torch.device, dtype: torch.dtype) -> Qwen2VLForConditionalGeneration:
        loaded: Any = Qwen2VLForConditionalGeneration.from_pretrained(
            path,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, told = loaded
        # transformers fills missing weights with noise and goes on; a search at Hit@1 0.001 is how people find out.
        lost = sorted(told["missing_keys"]) + sorted(str(key) for key in told["mismatched_keys"])
        if lost:
            raise BadCheckpoint(f"'{path.name}' lacks {len(lost)} weights of a Qwen2-VL model, {lost[0]} among them.")
        kinds = set(model.config.text_config.layer_types)
        if kinds != {"full_attention"}:
            raise BadCheckpoint(f"'{path.name}' uses {', '.join(sorted(kinds))} layers; only full attention is built.")
        lean_(model)
        return model.to(device).eval()  # pyright: ignore[reportArgumentType] - transformers wraps `to`

    def load_processor(self, path: Path) -> Qwen2VLProcessor:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        template = path / "chat_template.json"
        if tokenizer.chat_template is None and template.is_file():
            tokenizer.chat_template = json.loads(template.read_text(encoding="utf-8"))["chat_template"]
        if tokenizer.chat_template is None:
            raise BadCheckpoint(f"'{path.name}' has no chat template; copy chat_template.jinja from its base model.")
        return Qwen2VLProcessor(tokenizer, Qwen2VLImageProcessorPil.from_pretrained(path, local_files_only=True))

    def visual_tokens(
        self, model: Any, pixels: Tensor, grids: Int[Tensor, "images 3"]
    ) -> Float[Tensor, "tokens width"]:
        if torch.is_grad_enabled() or pixels.device.type != "cpu":
            return _see(model, pixels, grids)
        sizes = grids.prod(dim=1).tolist()
        seen = [
            _see(model, pixels[sum(sizes[: run.start]) : sum(sizes[: run.stop])], grids[run])
            for run in _runs(sizes, _PATCHES_ON_CPU)
        ]
        return seen[0] if len(seen) == 1 else torch.cat(seen)

    def vision_pass(self, model: Any, pixels: Tensor, grids: Int[Tensor, "images 3"]) -> VisionPass:
        tower = model.model.visual
        modules = [block.attn for block in tower.blocks]
        with overheard(modules) as calls:
            _see(model, pixels, grids)
        # Full attention everywhere, so no windows: patches stand in merge blocks, cell by cell, row by row.
        merged = tower.spatial_merge_size**2
        cells = torch.arange(len(pixels) // merged, device=pixels.device).repeat_interleave(merged)
        layers = tuple(partial(_vision_layer, module, call) for module, call in zip(modules, calls, strict=True))
        return VisionPass(cells=cells, layers=layers)

    def token_embedding(self, model: Any) -> torch.nn.Embedding:
        return model.get_input_embeddings()

    def text_stack(self, model: Any) -> Any:
        return LeanStack(model.model.language_model)

    def layers(self, model: Any) -> torch.nn.ModuleList:
        return model.model.language_model.layers

    def run_layer(
        self, model: Any, index: int, states: Float[Tensor, "batch seq width"], positions: Tensor, mask: Any
    ) -> Float[Tensor, "batch seq width"]:
        stack = model.model.language_model
        rotary = stack.rotary_emb(states, positions)
        out = stack.layers[index](states, attention_mask=mask, position_embeddings=rotary)
        return out[0] if isinstance(out, tuple) else out

    def final_norm(self, model: Any) -> torch.nn.Module:
        return model.model.language_model.norm

    def head(self, model: Any) -> torch.nn.Linear:
        return model.lm_head

    def rotate(
        self, model: Any, keys: Float[Tensor, "heads seq width"], shift: int
    ) -> Float[Tensor, "heads seq width"]:
        # Text tokens stand at the same place on all three M-RoPE axes, so the sections do not matter here.
        angles = model.model.language_model.rotary_emb.inv_freq.float() * shift
        cos, sin = torch.cat([angles.cos()] * 2), torch.cat([angles.sin()] * 2)
        first, second = keys.float().chunk(2, dim=-1)
        return (keys.float() * cos + torch.cat([-second, first], dim=-1) * sin).to(keys.dtype)

    def vision_parameters(self, model: Any) -> list[torch.nn.Parameter]:
        return list(model.model.visual.parameters())


def _see(model: Any, pixels: Tensor, grids: Int[Tensor, "images 3"]) -> Float[Tensor, "tokens width"]:
    tower = model.model.visual
    return tower(pixels.to(tower.dtype), grid_thw=grids).pooler_output


def _runs(sizes: list[int], room: int) -> Iterator[slice]:
    """Images side by side that have at most `room` patches together; at least one in each run."""
    begin, held = 0, 0
    for image, size in enumerate(sizes):
        if image > begin and held + size > room:
            yield slice(begin, image)
            begin, held = image, 0
        held += size
    yield slice(begin, len(sizes))


def _vision_layer(attention: Any, call: Call) -> VisionLayer:
    [states] = call.arguments
    cos, sin = call.options["position_embeddings"]
    parts = attention.qkv(states).reshape(len(states), 3, attention.num_heads, -1)
    query, key = apply_rotary_pos_emb_vision(parts[:, 0], parts[:, 1], cos, sin)
    lengths = call.options["cu_seqlens"].diff().tolist()
    return VisionLayer(
        query=query.transpose(0, 1), key=key.transpose(0, 1), scaling=attention.scaling, lengths=tuple(lengths)
    )


def _defuse(text: str, tokenizer: Any) -> str:
    """Break up special-token names inside user text, so that they are read as the characters they are."""
    for token in tokenizer.get_added_vocab():
        if token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
