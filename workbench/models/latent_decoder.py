"""A small language model that writes text from think tokens alone (LaME, arXiv 2606.13061).

The think tokens' final states pass a projection and stand before the text as its only context: a bottleneck of fixed
capacity. The paper's decoder is Qwen3-0.6B; here it is of the same class, of any size, with the backbone's tokenizer, of random
weights or of a given model's (`pretrained_decoder.py`).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import DynamicCache, Qwen3Config, Qwen3ForCausalLM

from workbench.errors import BadCheckpoint
from workbench.models.creation import spread_weights
from workbench.models.decoding import Written, choose
from workbench.models.sequence import LayoutIds

WEIGHTS = "decoder.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSize:
    """Size of a latent decoder."""

    layers: int = 2
    width: int = 128
    heads: int = 4
    mlp: int = 320
    projection: int = 0
    """Width of a hidden layer in the projection, 0 for one linear map. LaME's configurations name a projection dimension
    that is neither the backbone's nor the decoder's width, so there is a layer of that width somewhere; where is not known."""
    key_value_heads: int = 0
    """0: as many as heads."""
    head_width: int = 0
    """0: width / heads."""
    rope_theta: float = 10_000.0


@final
class LatentDecoder(nn.Module):
    """Projection and language model, of random weights."""

    def __init__(self, size: DecoderSize, *, latent_width: int, vocabulary: int, seed: int = 0) -> None:
        super().__init__()
        self.size = size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projection = _projection(latent_width, size)
            self.language: Any = Qwen3ForCausalLM(language_config(size, vocabulary))
            spread_weights(self)

    @property
    def table(self) -> nn.Parameter:
        """The word embeddings, which are the head too."""
        return self.language.get_input_embeddings().weight

    def forward(
        self,
        latents: Float[Tensor, "batch think width"],
        ids: Int[Tensor, "batch text"],
        seen: Bool[Tensor, "batch think"] | None = None,
    ) -> Float[Tensor, "batch text vocab"]:
        """Logits of the token after each of `ids` (the start token, then text). `seen` hides thoughts where it is False."""
        inputs = torch.cat([self.soft(latents), self.language.get_input_embeddings()(ids)], dim=1)
        mask = None if seen is None else torch.cat([seen, torch.ones_like(ids, dtype=torch.bool)], dim=1)
        hidden = self.language.model(inputs_embeds=inputs, attention_mask=mask, use_cache=False).last_hidden_state
        return self.language.lm_head(hidden[:, latents.shape[1] :])

    def soft(self, latents: Float[Tensor, "*n width"]) -> Float[Tensor, "*n decoder"]:
        """Think tokens as the language model's inputs."""
        return self.projection(latents.to(self.table.dtype))

    def readings(self, latents: Float[Tensor, "*n width"]) -> Float[Tensor, "*n vocab"]:
        """Logits of each think token by itself: its projection read by the language model's head."""
        return self.language.lm_head(self.soft(latents))

    @torch.inference_mode()
    def write(
        self,
        latents: Float[Tensor, "batch think width"],
        ids: LayoutIds,
        *,
        max_tokens: int,
        temperature: float,
        seed: int,
    ) -> list[Written]:
        """Write from all thoughts together; rows that reach the end token leave the batch."""
        cache, draw = DynamicCache(), torch.Generator(device="cpu").manual_seed(seed)
        table = self.language.get_input_embeddings()
        start = torch.full((len(latents), 1), ids.start, device=latents.device)
        inputs = torch.cat([self.soft(latents), table(start)], dim=1)
        texts: list[list[int]] = [[] for _ in latents]
        scores: list[list[float]] = [[] for _ in latents]
        ended = [False] * len(latents)
        alive = list(range(len(latents)))
        while alive:
            hidden = self.language.model(inputs_embeds=inputs, past_key_values=cache, use_cache=True).last_hidden_state
            readings = self.language.lm_head(hidden[:, -1]).float().log_softmax(-1)
            chosen = choose(readings, temperature, draw)
            going = []
            for place, (row, identity) in enumerate(zip(alive, chosen.tolist(), strict=True)):
                ended[row] = identity == ids.end
                if not ended[row] and len(texts[row]) < max_tokens:
                    texts[row].append(identity)
                    scores[row].append(float(readings[place, identity]))
                    going.append(place)
            if going and len(going) < len(alive):
                cache.batch_select_indices(torch.tensor(going, device=latents.device))
            alive = [alive[place] for place in going]
            inputs = table(chosen[going, None])
        return [
            Written(ids=tuple(text), log_probabilities=tuple(score), ended=end)
            for text, score, end in zip(texts, scores, ended, strict=True)
        ]

    def save(self, folder: Path, dtype: torch.dtype) -> dict[str, Any]:
        """Write the weights beside the backbone's; returns what the manifest says."""
        save_file(
            {name: value.detach().to(dtype).contiguous() for name, value in self.named_parameters()}, folder / WEIGHTS
        )
        return {"decoder": asdict(self.size)}

    @classmethod
    def load(cls, folder: Path, said: Any, *, latent_width: int, vocabulary: int) -> "LatentDecoder":
        """Read it as `save` wrote it. Raises BadCheckpoint with one sentence."""
        try:
            decoder = cls(DecoderSize(**said), latent_width=latent_width, vocabulary=vocabulary)
        except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
            raise BadCheckpoint(
                f"'{folder.name}' has a latent decoder, but its 'decoder' in thinkscope.json is no size of one: {json.dumps(said)}."
            ) from error
        try:
            found = load_file(folder / WEIGHTS)
        except FileNotFoundError as error:
            raise BadCheckpoint(f"'{folder.name}' has no {WEIGHTS}, so its thoughts cannot be decoded.") from error
        except SafetensorError as error:
            raise BadCheckpoint(f"{WEIGHTS} of '{folder.name}' is damaged ({error}); copy the file again.") from error
        mine = dict(decoder.named_parameters())
        if {name: value.shape for name, value in found.items()} != {name: value.shape for name, value in mine.items()}:
            raise BadCheckpoint(f"{WEIGHTS} of '{folder.name}' is of another decoder than its thinkscope.json says.")
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(found[name])
        return decoder


def _projection(latent_width: int, size: DecoderSize) -> nn.Module:
    if not size.projection:
        return nn.Linear(latent_width, size.width)
    return nn.Sequential(nn.Linear(latent_width, size.projection), nn.GELU(), nn.Linear(size.projection, size.width))


def language_config(size: DecoderSize, vocabulary: int) -> Qwen3Config:
    """The language model's settings, as transformers takes them."""
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads or size.heads,
        head_dim=size.head_width or size.width // size.heads,
        rope_parameters={"rope_type": "default", "rope_theta": size.rope_theta},
        tie_word_embeddings=True,
    )
