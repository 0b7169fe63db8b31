"""Which words each think token reads as at each layer: the logit lens."""

from dataclasses import asdict, dataclass
from typing import Annotated, final

import numpy as np
from jaxtyping import Float

from workbench.embedder import ReadsVocabulary
from workbench.errors import BadInput
from workbench.probe import Control, ModelProbe, Subject, register_probe
from workbench.types import Check, Measure, ProbeResult
from workbench.views import Bars, Heatmap, Note, Panel
from workbench.vocabulary import read_states

_SEED = 0


@register_probe
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lens(ModelProbe):
    """Read every layer of every think token through the final norm and the head that writes, as if it were the last.

    The head is the model's own; where a decoder beside it writes the text (LaME), its head behind the projection to it.

    Units: probability, and nats of entropy over the vocabulary. Source: the logit lens (nostalgebraist 2020). Control: the
    same lens on random directions of the same norms; a reading no sharper than that of noise is no reading.

    It misleads where intermediate layers keep their content in another basis than the head's: words there are then noise,
    or absent though the content is present (tuned lens, arXiv 2303.08112). Only positions that were trained to predict
    words are calibrated: a think token that decodes well through the decoder may show nothing here, and a low entropy is
    not confidence.
    """

    name = "lens"
    title = "Logit lens"
    version = 1
    reference = "nostalgebraist 2020, 'interpreting GPT: the logit lens'; its limits: arXiv 2303.08112"
    needs = (ReadsVocabulary,)

    top_k: Annotated[int, Control(help="How many words to keep for each think token and layer.", low=1, high=50)] = 5

    def measure(self, subject: Subject, model: ReadsVocabulary) -> ProbeResult:
        latents = subject.trace.latents
        if not subject.trace.n_think:
            raise BadInput("This model has no think tokens, so there is nothing to read as words.")
        if not latents.size:
            raise BadInput("This trace holds no latents; trace the sample again with latents kept.")
        n_layers, n_think, width = latents.shape
        states = latents.reshape(-1, width)
        ids, probabilities, entropies = read_states(model, np.concatenate([states, _noise(states)]), self.top_k)
        n = len(states)
        words = np.array(model.words(ids[:n].ravel()), dtype=np.str_)
        coords = {
            "layer": tuple(range(1, n_layers + 1)),
            "think": tuple(f"think {k}" for k in range(1, n_think + 1)),
        }
        ranked = coords | {"rank": tuple(range(1, ids.shape[1] + 1))}
        shape = (n_layers, n_think)
        entropy, control = entropies[:n].reshape(shape), entropies[n:].reshape(shape)
        probability = probabilities[:n].reshape(*shape, -1)
        axes, deep = ("layer", "think"), ("layer", "think", "rank")
        about = "the same lens on random directions of the same norms"
        return ProbeResult(
            probe=self.name,
            version=self.version,
            sample_id=subject.trace.sample.id,
            parameters=asdict(self),
            measures=(
                Measure(
                    name="word", values=words.reshape(*shape, -1), dims=deep, units="vocabulary entry", coords=ranked
                ),
                Measure(name="probability", values=probability, dims=deep, units="probability", coords=ranked),
                Measure(name="entropy", values=entropy, dims=axes, units="nats", coords=coords),
                Measure(name="control_entropy", values=control, dims=axes, units="nats", coords=coords, about=about),
            ),
            checks=(_against_noise(entropy[-1], control[-1]),),
            provenance=subject.trace.provenance,
        )

    def view(self, result: ProbeResult) -> tuple[Panel, ...]:
        warnings = [Note(text=f"{c.name}: {c.about}", kind="warning") for c in result.checks if not c.passed]
        return (
            Heatmap(
                measure="probability", rows="layer", cols="think", words="word", title="What each think token reads as"
            ),
            *warnings,
            Bars(measure="entropy", x="layer", series="think", title="Entropy of the reading"),
            Note(text="Layers may keep their content in another basis; only trained word positions are calibrated."),
        )


def _noise(states: Float[np.ndarray, "n width"]) -> Float[np.ndarray, "n width"]:
    directions = np.random.default_rng(_SEED).normal(size=states.shape).astype(np.float32)
    return (
        directions * np.linalg.norm(states, axis=-1, keepdims=True) / np.linalg.norm(directions, axis=-1, keepdims=True)
    )


def _against_noise(entropy: Float[np.ndarray, " think"], control: Float[np.ndarray, " think"]) -> Check:
    gain = float((control - entropy).mean())
    about = (
        f"at the last layer the reading is {abs(gain):.2f} nats {'sharper' if gain > 0 else 'blunter'} than that of random "
        "latents of the same norms; a reading no sharper than noise says nothing"
    )
    return Check(name="entropy against random latents", value=gain, tolerance=0.0, passed=gain > 0, about=about)
