"""The backbone that a run starts from: any Qwen2-VL checkpoint given a layout, or a small random one."""

from collections.abc import Iterator, Sequence

from workbench.models.backbone import Backbone
from workbench.models.creation import SmallSize, give_layout, load_base, small_backbone, small_tokenizer
from workbench.models.layout import Layout
from workbench.recipes.config import ModelSettings, TrainConfig
from workbench.recipes.rows import Row, TextPlace, row_text


def make_backbone(config: TrainConfig, rows: Sequence[Row], layout: Layout, text: TextPlace) -> Backbone:
    """Load or make the model of `config` and add the layout's tokens. A new tokenizer learns the words of `rows`."""
    settings = config.model
    if settings.backbone:
        model, processor = load_base(settings.backbone)
    else:
        model, processor = small_backbone(
            _size(settings), small_tokenizer(_texts(rows, text)), seed=config.optimiser.seed
        )
    return give_layout(model, processor, layout, seed=config.optimiser.seed)


def _size(settings: ModelSettings) -> SmallSize:
    return SmallSize(
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        key_value_heads=settings.key_value_heads,
        mlp=settings.mlp,
        vision_width=settings.vision_width,
        vision_layers=settings.vision_layers,
        vision_heads=settings.vision_heads,
    )


def _texts(rows: Sequence[Row], text: TextPlace, limit: int = 20_000) -> Iterator[str]:
    """What the tokenizer learns its words from.

    Rows with reasoning give it whether the recipe writes it or not, so that recipes that are compared on them share one
    tokenizer and one set of first weights. Rows without give what the recipe writes or finds.
    """
    for row in rows[:limit]:
        yield row["query"]
        if isinstance(reasoning := row.get("reasoning"), str):
            yield reasoning
            yield row["target"].get("text") or ""
        else:
            yield row_text(row, text) or row["target"].get("text") or ""
