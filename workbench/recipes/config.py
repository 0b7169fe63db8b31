"""The settings of a training run: dataclasses that are the TOML file, the command-line overrides and the record of the run."""

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from workbench.errors import BadInput, UnknownName
from workbench.models.layout import Dependency, Extraction
from workbench.types import Context

Method = Literal["adamw", "muon"]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What is trained."""

    backbone: str = ""
    """Folder or hub id of a Qwen2-VL checkpoint. Empty: a small random one of the sizes below."""
    think: int = 8
    """Number K of think tokens."""
    contexts: tuple[Context, ...] = ("latents_only",)
    """Decoder contexts, default first; several are mixed evenly over the steps."""
    width: int = 160
    layers: int = 5
    heads: int = 5
    key_value_heads: int = 1
    mlp: int = 400
    vision_width: int = 96
    vision_layers: int = 4
    vision_heads: int = 3
    freeze_vision: bool = False
    freeze_vision_steps: int = 0
    """The vision tower stays fixed for the first so many steps (useful after a perception warm-up)."""
    lora_rank: int = 0
    """0: full fine-tuning. Otherwise the rank of LoRA adapters on the text stack, merged when the result is written."""
    gradient_checkpointing: bool = False
    extraction: Extraction = "shared"
    """How think and embed tokens come from one backbone; recipe tte-flash. The values: `workbench/models/layout.py`."""
    exit_layer: int = 0
    """Of `early_exit`: layers, from the first, behind which the text is read. 0: half of them."""
    dependency: Dependency = "joint"
    """How the two tasks hang together in training; recipe tte-flash."""
    thoughts_first: float = 0.5
    """Of `sequential`: share of the steps in which the text's loss alone is trained."""
    adapter_rank: int = 8
    """Of `dual_adapter`: rank of both LoRA sets. They are kept beside the weights, never merged."""
    adapters_alone: bool = False
    """Of `dual_adapter`: the backbone stays as it is, and the two sets and the layout's token rows learn. For backbones that know
    something; one of random weights must learn too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """Rows in the JSONL form that `thinkscope shapes` writes; paths are relative to the configuration file's folder."""

    train: str = ""
    validation: str = ""
    validation_rows: int = 256
    max_reasoning_tokens: int = 256
    negatives: int = 1
    """Hard negatives taken at random from each row's list, per step."""
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """Weights of the parts of the loss (0 leaves a part out)."""

    text: float = 1.0
    """Cross-entropy of the reasoning, written from the think tokens (TTE-Flash's CoT generation loss), nats per token."""
    contrastive: float = 1.0
    """InfoNCE of the embeddings over the batch's targets and hard negatives, gathered over all processes."""
    readout: float = 0.0
    """Each think token's own final state predicts the words of its share (one K-th) of the reasoning. Not part of the
    paper: without it no loss ever touches the last layer's state at a think position, and a logit lens reads noise."""
    temperature: float = 0.05
    truncation: float = 0.0
    """Share of samples whose thoughts are hidden from a random k on, so that fewer thoughts still work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LameSettings:
    """Of the recipe LaME (arXiv 2606.13061) alone.

    Its abstract and model card say K reason tokens, a latent decoder, two stages; what they leave open is an option here, or
    stands in docs/design.md (section 6) with the reason why it is none.
    """

    warmup: float = 0.1
    """Share of the steps that are stage 1, the warm-up of the bottleneck, with the vision tower fixed. How long it was is not
    published; 0 leaves it out."""
    warmup_learns: Literal["bottleneck", "text"] = "bottleneck"
    """What learns in stage 1. `bottleneck`: rows of the reason and embed tokens, decoder and heads, as a summary of the paper
    has it; it needs a backbone that knows something. `text`: the whole text stack too, because a backbone of random weights
    has nothing yet that a bottleneck could gather."""
    warmup_contrastive: bool = True
    """Whether stage 1 has the contrastive loss too. The summary says both that stage 1 trains the supervision heads (more
    than one), and that the embed token comes in stage 2."""
    embed_sees: Literal["query_and_reason", "reason_only"] = "query_and_reason"
    """What the embed token gathers from. The first is plain causal attention, as in the backbone; with the second the
    embedding passes the bottleneck too."""
    image_targets: Literal["caption", "none"] = "caption"
    """What the decoder rebuilds of a target that is an image. The summary says that it rebuilds retrieval targets, not how an
    image is one in words. `caption`: the row's own words for it, where it has some. `none`: nothing, so that targets in words
    alone give this signal, and no words are asked for that a retrieval data set does not have."""
    decoder_learns: Literal["both_stages", "stage_1"] = "both_stages"
    """When the decoder and its projection learn. The card calls stage 2 "joint contrastive + decoder-supervised", which fits a
    decoder that goes on learning and one that is fixed by then. With `stage_1` it is, and its loss still reaches the reason
    tokens through it: they must stay readable to a reader that no longer adapts to them."""
    decoder: str = ""
    """Folder of a Qwen3 language model that the decoder begins as (the card: Qwen3-0.6B); a resumed run needs it again. Empty:
    random weights of the sizes below, since the bundled data have a vocabulary of their own and none are downloaded."""
    decoder_layers: int = 2
    decoder_width: int = 128
    decoder_heads: int = 4
    decoder_mlp: int = 320
    projection: int = 0
    """Hidden layer of the projection from think tokens to decoder, 0 for one linear map. The published configurations name
    a projection dimension (3584 for backbones of width 1536), but not where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """AdamW or Muon with a linear warm-up and a cosine decay to a tenth."""

    method: Method = "adamw"
    """`muon`: Muon (K. Jordan; Liu et al., arXiv 2502.16982) for the weight matrices, AdamW for the rest."""
    steps: int = 1000
    batch: int = 32
    """Queries in a step of each process."""
    learning_rate: float = 1e-3
    vision_scale: float = 0.5
    """Learning rate of the vision tower, as a share of the others'."""
    weight_decay: float = 0.01
    warmup: int = 100
    clip: float = 1.0
    seed: int = 0
    precision: Precision = "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptionSettings:
    """Dense warm-up of the vision tower: each merged visual token names the object and the region that it covers.

    Needs rows with `scene` (width, height) and `objects` (size, colour, shape, box: top, left, bottom, right), in pixels of
    the row's first image, as Shapes writes them; further images are not asked. Its two linear heads are thrown away after.
    """

    steps: int = 0
    tower: str = ""
    """Folder of a run whose vision tower and perception heads are taken instead of warming up anew, as its own warm-up left
    them (`tower.safetensors`). Recipes that are to be compared then see alike and differ in the rest; `steps` goes on saying
    how long the warm-up was. Of a run that had none, or of a state, it takes the tower as it is by now, later steps and all."""
    batch: int = 64
    learning_rate: float = 2e-3
    weight: float = 0.0
    """Weight of the same loss in the training proper, on the queries' images: perception goes on learning beside the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Where results go and how often."""

    folder: str = "runs/tte-flash"
    log_every: int = 20
    validate_every: int = 250
    save_every: int = 250
    early_at: float = 0.0
    """Also keep the checkpoint after this share of the steps (0: none), in `early/`."""
    store_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    title: str = ""
    knows: str = ""
    """One plain sentence for people: what the model has seen."""
    commands: tuple[str, ...] = ()
    """The commands that make the data and run this file, in order; they are kept with the checkpoint and on its card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A whole training run."""

    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    lame: LameSettings = field(default_factory=LameSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    perception: PerceptionSettings = field(default_factory=PerceptionSettings)
    output: OutputSettings = field(default_factory=OutputSettings)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def read_config(path: Path | None, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a TOML file and apply `section.key=value` overrides.

    Paths under `data`, `perception.tower` and `lame.decoder` become absolute, taken from the file's folder. Raises BadInput or
    UnknownName naming the file, the key and the value.
    """
    values: dict[str, dict[str, Any]] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise BadInput(f"There is no configuration file '{path}'.") from error
        except OSError as error:
            raise BadInput(f"'{path}' cannot be read as a configuration: {error.strerror or error}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"'{path}' is not valid TOML: {error}.") from error
        for section, key in (("data", "train"), ("data", "validation"), ("perception", "tower"), ("lame", "decoder")):
            held = values.get(section, {})
            given = held.get(key) if isinstance(held, dict) else None
            if isinstance(given, str) and given:
                values[section][key] = str((path.parent / given).resolve())
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.partition(".")
        if not equals or not dot:
            raise BadInput(f"'{override}' is not of the form section.key=value, for example optimiser.steps=500.")
        held = values.setdefault(section, {})
        if isinstance(held, dict):
            held[key] = _parse(text)
    config = _build(TrainConfig, values)
    _check_ranges(config)
    return config


_LEAST: Mapping[str, int] = {
    "optimiser.steps": 1,
    "optimiser.batch": 1,
    "optimiser.warmup": 0,
    "perception.steps": 0,
    "perception.batch": 1,
    "data.validation_rows": 1,
    "data.max_reasoning_tokens": 1,
    "data.negatives": 0,
    "data.workers": 0,
    "output.log_every": 1,
    "output.validate_every": 1,
    "output.save_every": 1,
    "model.think": 0,
    "model.lora_rank": 0,
}
"""Whole numbers below which a setting makes no sense."""


def _check_ranges(config: TrainConfig) -> None:
    for name, least in _LEAST.items():
        section, _, key = name.partition(".")
        if (given := getattr(getattr(config, section), key)) < least:
            raise BadInput(f"{name} is {given}, but must be {least} or more.")
    if not 0 <= config.output.early_at <= 1:
        raise BadInput(f"output.early_at is {config.output.early_at}, but must be a share from 0 to 1.")


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _build(kind: type, values: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    made = {}
    for key, value in values.items():
        if key not in hints:
            raise UnknownName(f"setting of {kind.__name__}", key, hints)
        if not dataclasses.is_dataclass(hints[key]):
            made[key] = _cast(key, value, hints[key])
        elif isinstance(value, dict):
            made[key] = _build(hints[key], value)
        else:
            raise BadInput(f"'{key}' is {value!r}, but must be a section of settings, [{key}].")
    return kind(**made)


def _cast(key: str, value: Any, hint: Any) -> Any:
    choices = get_args(hint)
    if get_origin(hint) is Literal:
        if value not in choices:
            raise BadInput(f"The setting '{key}' is '{value}', but must be one of {', '.join(choices)}.")
        return value
    if get_origin(hint) is tuple:
        return tuple(_cast(key, item, choices[0]) for item in (value if isinstance(value, list) else [value]))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise BadInput(f"The setting '{key}' is {value!r}, but must be of type {hint.__name__}.")
    return value
