"""Making checkpoints: a small random Qwen2-VL with a tokenizer of its own, and giving any backbone a layout.

The small models are of the real classes with the real file formats, only small; everything that works on them works on
a 2B checkpoint by changing a path.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX, Qwen2Tokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from workbench.errors import BadCheckpoint
from workbench.models.backbone import Backbone
from workbench.models.families.qwen2_vl import Qwen2VLFamily, Qwen2VLProcessor
from workbench.models.layout import Layout
from workbench.models.reading import check_folder, read_hugging_face
from workbench.models.registries import Processor
from workbench.models.sequence import LayoutIds

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallSize:
    """Size of a small Qwen2-VL. Head width is width / heads; its half is split over the three M-RoPE axes."""

    width: int = 192
    layers: int = 5
    heads: int = 6
    key_value_heads: int = 2
    mlp: int = 448
    vision_width: int = 128
    vision_layers: int = 4
    vision_heads: int = 4
    vision_mlp_ratio: int = 3
    patch: int = 8
    merge: int = 2
    min_pixels: int = 80 * 80
    max_pixels: int = 128 * 128


def small_tokenizer(texts: Iterable[str], *, words: int = 2000) -> Qwen2Tokenizer:
    """Train a byte-level BPE tokenizer of Qwen2's kind: known words are one token, anything else falls back to bytes."""
    model = Tokenizer(BPE())
    model.normalizer = normalizers.NFC()  # pyright: ignore[reportAttributeAccessIssue] - stubs of tokenizers
    model.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    model.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=words, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    model.train_from_iterator([*texts, "user\nassistant\n"], trainer)
    bpe = json.loads(model.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=bpe["vocab"],
        merges=[tuple(pair) for pair in bpe["merges"]],  # pyright: ignore[reportArgumentType] - BPE takes pairs
        eos_token="<|im_end|>",
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(QWEN_SPECIAL)})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def small_backbone(
    size: SmallSize, tokenizer: Qwen2Tokenizer, *, seed: int = 0, vocabulary: int | None = None
) -> tuple[Any, Qwen2VLProcessor]:
    """A random Qwen2-VL of the given size and its processor. `vocabulary` makes room for more rows than the tokenizer has."""
    torch.manual_seed(seed)
    token = tokenizer.get_vocab().__getitem__
    half = size.width // size.heads // 2
    sections = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": vocabulary or len(tokenizer),
            "hidden_size": size.width,
            "intermediate_size": size.mlp,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.key_value_heads,
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections},
            "bos_token_id": None,
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
            "tie_word_embeddings": True,
            "use_sliding_window": False,
        },
        vision_config={
            "depth": size.vision_layers,
            "embed_dim": size.vision_width,
            "hidden_size": size.width,
            "num_heads": size.vision_heads,
            "mlp_ratio": size.vision_mlp_ratio,
            "patch_size": size.patch,
            "spatial_merge_size": size.merge,
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    model = Qwen2VLForConditionalGeneration(config)
    spread_weights(model)
    images = Qwen2VLImageProcessorPil(
        patch_size=size.patch,
        merge_size=size.merge,
        size={"shortest_edge": size.min_pixels, "longest_edge": size.max_pixels},
    )
    return model, Qwen2VLProcessor(tokenizer, images)


def spread_weights(model: torch.nn.Module) -> None:
    """Draw each linear map with a spread that fits its width, half of it where it adds to the residual stream.

    transformers' spread of 0.02 is meant for models of thousands of dimensions. At a hundred it is so small that the
    vision tower spent its first two hundred steps growing its weights (measured on Shapes).
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv3d) and "lm_head" not in name:
            fan_in = module.weight[0].numel()
            residual = name.endswith(("o_proj", "down_proj", "attn.proj", "mlp.fc2"))
            torch.nn.init.normal_(module.weight, std=(0.4 if residual else 0.8) * fan_in**-0.5)


def give_layout(model: Any, processor: Any, layout: Layout, *, seed: int = 0) -> Backbone:
    """Add the layout's tokens to tokenizer and model and return the backbone.

    New embedding rows start as the mean of the old ones plus small noise, so that the new tokens begin in distribution
    and yet differ from each other.
    """
    tokenizer = processor.tokenizer
    new = [name for name in layout.special_tokens if name not in tokenizer.get_vocab()]
    tokenizer.add_special_tokens({"additional_special_tokens": [*QWEN_SPECIAL, *layout.special_tokens]})
    table = model.get_input_embeddings().weight
    if len(tokenizer) > table.shape[0]:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        table = model.get_input_embeddings().weight
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        rows = tokenizer.convert_tokens_to_ids(new)
        old = table[: min(rows)] if rows else table
        mean, spread = old.float().mean(0).cpu(), old.float().std().item()
        for row in rows:
            value = mean + 0.5 * spread * torch.randn(table.shape[1], generator=noise)
            table[row] = value.to(table.dtype).to(table.device)
            head = model.get_output_embeddings().weight
            if head is not table:
                head[row] = table[row]
    return Backbone(
        model=model,
        family=Qwen2VLFamily(),
        processor=processor,
        layout=layout,
        ids=LayoutIds.find(layout, tokenizer),
    )


def save_backbone(
    backbone: Backbone,
    path: Path,
    *,
    weights: Mapping[str, torch.Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write model, tokenizer, image processor and chat template as ordinary Hugging Face files.

    `weights` stands in for the model's own, under the same names; `dtype` is what they are stored in.
    """
    given = backbone.model.state_dict() if weights is None else weights
    # Tied tables are one tensor under two names; converted apart they would be stored twice.
    cast: dict[Any, torch.Tensor] = {}
    kept = {
        name: cast.setdefault((value.data_ptr(), value.shape), value.detach().to(dtype or value.dtype))
        for name, value in given.items()
    }
    backbone.model.save_pretrained(path, state_dict=kept)
    backbone.processor.save(path)


def load_base(name: str) -> tuple[Any, Processor]:
    """Load a Qwen2-VL checkpoint (folder or hub id) to train from. Raises BadCheckpoint with one sentence."""
    folder = Path(name)
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"]))
        except Exception as error:  # the hub client raises a dozen kinds; all mean the same to the user
            raise BadCheckpoint(f"'{name}' is neither a folder nor a model that the hub gave: {error}.") from error
    check_folder(folder)
    beside = [file for file in ("decoder.safetensors", "adapters.safetensors") if (folder / file).is_file()]
    if beside:
        raise BadCheckpoint(
            f"'{name}' holds weights beside the model ({', '.join(beside)}), which a new run would leave out; resume the run that "
            "it is of, or begin from another checkpoint."
        )
    return read_hugging_face(Qwen2VLFamily(), folder, device=torch.device("cpu"), dtype=torch.float32)
