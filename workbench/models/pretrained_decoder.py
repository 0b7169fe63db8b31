"""A latent decoder that begins as a given Qwen3 language model, as LaME's begins as Qwen3-0.6B (arXiv 2606.13061).

It writes with the backbone's tokens, so each of them takes the word embedding that the given model has for the same token, by
name. Nothing is downloaded: the model is a folder. Tried on small models of the class; not on Qwen3-0.6B itself.
"""

import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoTokenizer, Qwen3ForCausalLM

from workbench.errors import BadCheckpoint
from workbench.models.backbone import Backbone
from workbench.models.latent_decoder import DecoderSize, LatentDecoder, language_config
from workbench.models.reading import check_folder

KIND = "qwen3"
_SIZES = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "mlp": "intermediate_size",
    "key_value_heads": "num_key_value_heads",
    "head_width": "head_dim",
}
_ALIKE = ("hidden_act", "rms_norm_eps", "attention_bias", "tie_word_embeddings", "rope_parameters", "layer_types")
"""What a decoder of ours has in one way only. A given model that has it otherwise would compute other numbers in it."""


def pretrained_decoder(folder: Path, backbone: Backbone, *, projection: int, seed: int) -> LatentDecoder:
    """The decoder, its projection drawn anew. Raises BadCheckpoint with one sentence."""
    check_folder(folder)
    given, names = _read(folder)
    config = given.config
    theta = float(config.rope_parameters["rope_theta"])
    sizes = {name: getattr(config, key) for name, key in _SIZES.items()}
    size = DecoderSize(**sizes, projection=projection, rope_theta=theta)
    ours = language_config(size, config.vocab_size)
    other = [key for key in _ALIKE if getattr(ours, key) != getattr(config, key)]
    if other:
        raise BadCheckpoint(
            f"'{folder.name}' cannot be a latent decoder: it has another {', '.join(other)} than one of Thinkscope's."
        )
    rows = len(backbone.family.token_embedding(backbone.model).weight)
    decoder = LatentDecoder(size, latent_width=backbone.width, vocabulary=rows, seed=seed)
    theirs = dict(given.named_parameters())
    table = _words(given.get_input_embeddings().weight.detach(), names, backbone, rows, folder, seed)
    with torch.no_grad():
        for name, value in decoder.language.named_parameters():
            value.copy_(table if value is decoder.table else theirs[name])
    return decoder


def _read(folder: Path) -> tuple[Any, dict[str, int]]:
    """The language model, and the row of each of its tokens."""
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind != KIND:
        raise BadCheckpoint(f"A latent decoder begins as a model of type '{KIND}'; '{folder.name}' is of '{kind}'.")
    try:
        loaded: Any = Qwen3ForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        names = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False).get_vocab()
    except (SafetensorError, StrictDataclassError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadCheckpoint(f"'{folder.name}' cannot be read: {' '.join(str(error).split())}") from error
    model, told = loaded
    lost = sorted(told["missing_keys"]) + sorted(str(key) for key in told["mismatched_keys"])
    if lost:
        raise BadCheckpoint(f"'{folder.name}' lacks {len(lost)} weights of a Qwen3 model, {lost[0]} among them.")
    return model, names


def _words(given: Tensor, names: dict[str, int], backbone: Backbone, rows: int, folder: Path, seed: int) -> Tensor:
    """The decoder's word embeddings: the given model's, in the order of the backbone's tokens.

    The layout's own tokens, which no other model knows, begin at the mean with some noise; rows without a token at the mean.
    """
    tokens = backbone.processor.tokenizer.get_vocab()
    own = set(backbone.layout.special_tokens)
    unknown = sorted(token for token in tokens.keys() - own if names.get(token, len(given)) >= len(given))
    if unknown:
        raise BadCheckpoint(
            f"'{folder.name}' does not know {len(unknown)} of the backbone's {len(tokens)} tokens, {unknown[0]!r} among them; a "
            "decoder and its backbone need one vocabulary."
        )
    mean = given.mean(dim=0)
    table = mean.repeat(rows, 1)
    known = [(row, names[token]) for token, row in tokens.items() if token not in own]
    table[[row for row, _ in known]] = given[[row for _, row in known]]
    noise = torch.Generator().manual_seed(seed)
    for row in (tokens[token] for token in backbone.layout.special_tokens):
        table[row] = mean + 0.5 * given.std() * torch.randn(given.shape[1], generator=noise)
    return table
