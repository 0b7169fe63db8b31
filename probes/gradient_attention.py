"""Gradient x attention: what the reading rows look at, where looking there mattered to the target."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

from workbench.attribution import Attribution, AttributionProbe, Tick
from workbench.embedder import Objective
from workbench.probe import Control, register_probe
from workbench.stages import quiet


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GradientAttention(AttributionProbe):
    """Weigh the attention of the rows that read the image by the target's gradient with respect to it.

    Units: the target's own units, as a first-order share: what the target would lose if this attention were taken away.
    The rows are the think tokens, or the text that was written before the embedding, and those that the target itself is
    read from (embed token, decoded text): everything behind the query that looks at the image, for text is often written
    from the thoughts alone. Per head and layer the
    product is kept where it is positive; heads are averaged and rows and layers summed. Source: the single-layer term of
    Chefer, Gur and Wolf 2021 (arXiv 2103.15679).

    It misleads where the query's words read the image first and the thoughts then read the query: that way is not
    followed, `chefer` follows it. It shows support only, and the vision tower has mixed each token with its neighbours.
    """

    name = "gradient_attention"
    title = "Gradient x attention of the reading rows"
    version = 2
    reference = "one-layer term of Chefer, Gur and Wolf 2021, arXiv 2103.15679"
    signed = False

    level: Annotated[Literal["tokens"], Control(help="Attention ends at the visual tokens.")] = "tokens"

    def attribute(self, objective: Objective, tick: Tick = quiet) -> Attribution:
        columns, n_targets = list(objective.columns), len(objective.targets)
        rows = [sorted({*objective.thoughts, *own}) for own in objective.readers]
        relevance = objective.features.new_zeros(n_targets, len(columns))
        for done, (target, attention, gradient) in enumerate(objective.attention_gradients()):
            product = attention[:, rows[target]] * gradient[:, rows[target]]
            relevance[target] += product[..., columns].clamp(min=0).mean(dim=0).sum(dim=0)
            tick((done + 1) / (n_targets * objective.n_layers), f"Layer {objective.n_layers - done // n_targets}")
        return Attribution(relevance=relevance.cpu().numpy(), passes=2)
