"""LaME (arXiv 2606.13061): K reason tokens as a bottleneck of fixed capacity in a single pass, without CoT labels.

Two weak signals on separate heads, so that the contrastive and the autoregressive objective share no readout: a latent
decoder, a small language model behind a projection, rebuilds the text of the retrieval target from the reason tokens
alone; and an embed token gathers for the contrastive loss. First the bottleneck warms up with the vision tower fixed, then
everything learns together. Loss weights, lengths of the stages and sizes are not public; `LameSettings` holds what is open,
docs/design.md (section 6) what is open and fixed here.

Rows need no `reasoning`. A row whose target has no words has no such signal; a step without any, and without another loss,
moves nothing.
"""

from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from workbench.errors import BadInput
from workbench.models.backbone import Backbone
from workbench.models.latent_decoder import DecoderSize, LatentDecoder
from workbench.models.layout import lame
from workbench.models.pretrained_decoder import pretrained_decoder
from workbench.models.sequence import visibility
from workbench.recipes.batches import TrainBatch
from workbench.recipes.config import TrainConfig
from workbench.recipes.dense import IGNORE
from workbench.recipes.loop import Method, run_training
from workbench.recipes.objectives import readout_loss, text_loss
from workbench.recipes.perception import PerceptionHeads
from workbench.recipes.recipe import RECIPES, Recipe, Report
from workbench.recipes.run_state import RunState
from workbench.recipes.step import TrainingStep, told
from workbench.types import Context


@final
class LameStep(TrainingStep):
    """One pass over query, reason tokens and embed token, and one of the decoder over the target's text."""

    parts = ("text", "contrastive", "readout")

    def __init__(self, backbone: Backbone, config: TrainConfig, heads: PerceptionHeads | None) -> None:
        super().__init__(backbone, config, heads)
        self.decoder = _decoder(backbone, config)
        self.settings = config.lame
        self.first_stage = warmup_steps(config)
        self.at = 0

    @property
    def _warming(self) -> bool:
        """Whether this step is of stage 1."""
        return self.training and self.at < self.first_stage

    def begin(self, step: int, /) -> None:
        self.at = step

    def forward(
        self, batch: TrainBatch, context: Context, limits: Tensor | None = None, fixed_vision: bool = False
    ) -> dict[str, Tensor]:
        """Return `loss`, its parts, and counts for metrics."""
        backbone, queries = self.backbone, batch.queries
        fixed_vision = fixed_vision or self._warming
        mask = visibility(queries, backbone.layout, context, limits)
        visual = self.see(queries, fixed_vision)
        hidden = backbone.run(backbone.embed_tokens(queries, visual), queries.positions, mask)
        thoughts = hidden[:, queries.think]
        parts: dict[str, Tensor] = {}
        hits: dict[str, Tensor] = {}
        if not self._warming or self.settings.warmup_contrastive:
            parts["contrastive"], hits["batch_hit_at_1"] = self.contrast(
                backbone.pool(hidden[:, queries.embed]), batch, fixed_vision
            )
        said: dict[str, Tensor] = {}
        labels = self._words(batch.labels)
        written = self.decoder(thoughts, self._given(labels), _seen(limits, thoughts.shape[1]))
        text = text_loss(written, labels)
        if labels is batch.labels:
            parts["text"], said = text, told(written, labels)
            if self.weights["readout"]:
                parts["readout"] = readout_loss(self.decoder.readings(thoughts), batch.labels, batch.parts)
        perceived = self.perceive(visual, batch)
        if perceived:
            parts["perception"] = perceived.pop("perception")
        return {
            "loss": self.total(parts) if "text" in parts else self.total(parts) + 0 * text,
            **{name: value.detach() for name, value in (parts | perceived).items()},
            **said,
            **hits,
        }

    def _words(self, labels: Int[Tensor, "batch text"]) -> Int[Tensor, "batch some"]:
        """The labels; of a batch without words the end token in each row, of which nothing is to be learned.

        Processes exchange gradients in the order in which these come. So each goes back through the decoder, with words or
        without: if one left it out, its gradients of documents would meet another's of the decoder. A
        process without words counts as one whose text teaches nothing, so the mean over processes is smaller than that of one
        process with the same rows.
        """
        if (labels != IGNORE).any():
            return labels
        return labels.new_full((len(labels), 1), self.backbone.ids.end)

    def _given(self, labels: Int[Tensor, "batch text"]) -> Int[Tensor, "batch text"]:
        """What the decoder reads: the start token, then the text; padding behind it is read by nobody."""
        ids = self.backbone.ids
        start = torch.full_like(labels[:, :1], ids.start)
        return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORE, ids.pad)], dim=1)

    @property
    def towers(self) -> tuple[nn.Module, ...]:
        return (self.decoder,)

    @property
    def tables(self) -> tuple[nn.Parameter, ...]:
        # While the bottleneck warms up only some rows learn, and decay would shrink the others.
        return (self._table,) if self.first_stage and self.settings.warmup_learns == "bottleneck" else ()

    @property
    def _table(self) -> nn.Parameter:
        return self.backbone.family.token_embedding(self.backbone.model).weight  # pyright: ignore[reportReturnType]

    def drop_gradients(self) -> None:
        decoder = list(self.decoder.parameters())
        learns = self._warming or self.settings.decoder_learns == "both_stages"
        # Of a batch without words all are 0, and its optimiser would go on by decay and by what it remembers.
        if not learns or not any(weights.grad is not None and weights.grad.any() for weights in decoder):
            for weights in decoder:
                weights.grad = None
        if not self._warming:
            return
        table, ids = self._table, self.backbone.ids
        everything = self.settings.warmup_learns == "text"
        vision = {id(weights) for weights in self.backbone.family.vision_parameters(self.backbone.model)}
        for weights in self.model.parameters():
            if id(weights) in vision or not (everything or weights is table):
                weights.grad = None
        if not everything and table.grad is not None:
            learns = torch.zeros(len(table), 1, device=table.device, dtype=table.dtype)
            learns[[*ids.think, *ids.embed]] = 1
            table.grad.mul_(learns)

    def save_further(self, folder: Path, dtype: torch.dtype, /) -> dict[str, Any]:
        return self.decoder.save(folder, dtype)


def warmup_steps(config: TrainConfig) -> int:
    """Steps of stage 1. At least one step is left to stage 2, in which the embed token is sure to learn."""
    steps = config.optimiser.steps
    return max(0, min(round(config.lame.warmup * steps), steps - 1))


def _decoder(backbone: Backbone, config: TrainConfig) -> LatentDecoder:
    settings, seed = config.lame, config.optimiser.seed
    if settings.decoder:
        return pretrained_decoder(Path(settings.decoder), backbone, projection=settings.projection, seed=seed)
    size = DecoderSize(
        layers=settings.decoder_layers,
        width=settings.decoder_width,
        heads=settings.decoder_heads,
        mlp=settings.decoder_mlp,
        projection=settings.projection,
    )
    rows = len(backbone.family.token_embedding(backbone.model).weight)
    return LatentDecoder(size, latent_width=backbone.width, vocabulary=rows, seed=seed)


def _seen(limits: Int[Tensor, " batch"] | None, n_think: int) -> Bool[Tensor, "batch think"] | None:
    if limits is None:
        return None
    return torch.arange(n_think, device=limits.device)[None, :] < limits[:, None]


@RECIPES.register("lame")
@final
class Lame(Recipe):
    """Reason tokens as an information bottleneck: a latent decoder rebuilds the target's text, an embed token finds it."""

    name = "lame"
    about = (
        "reason tokens learn to tell the target to a small decoder, an embed token to find it; no reasoning is given"
    )
    reference = "LaME, arXiv 2606.13061"

    def train(self, config: TrainConfig, *, resume: bool, report: Report) -> Path:
        """Train and return the finished checkpoint's folder. Raises BadInput for settings that do not go together."""
        if not config.model.think:
            raise BadInput("LaME needs reason tokens: set model.think to 1 or more.")
        if config.model.contexts != ("latents_only",):
            raise BadInput("LaME's decoder sees the reason tokens alone; leave model.contexts at latents_only.")
        if not 0 <= config.lame.warmup < 1:
            raise BadInput(
                f"lame.warmup is {config.lame.warmup}, but must be a share of the steps: 0 or more, below 1."
            )
        goes_on = resume and RunState(Path(config.output.folder)).exists()
        if config.lame.decoder_learns == "stage_1" and not warmup_steps(config) and not goes_on:
            raise BadInput(
                "lame.decoder_learns is stage_1, but there is none; set lame.warmup above 0, or let the decoder learn in both."
            )
        layout = lame(config.model.think, embed_sees_query=config.lame.embed_sees == "query_and_reason")
        text = "target_apart" if config.lame.image_targets == "caption" else "target_text_apart"
        method = Method(name=self.name, layout=layout, text=text, sections=("lame",), make_step=LameStep)
        return run_training(method, config, resume=resume, report=report)
