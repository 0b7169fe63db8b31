"""The fact of each kind, shown on random weights without the audit: what the masks forbid has no effect, to the last bit.

The world of the tests has two pictures of one size and two questions of one length, so that exchanging them moves nothing.
"""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import write_tiny
from PIL import Image

from workbench.edits import Edit
from workbench.images import refer
from workbench.models.checkpoint import load_checkpoint
from workbench.models.sequence import pack, visibility
from workbench.planting.kinds import KINDS, N_THINK, Plant, make_plants, planted_token, thinking_task
from workbench.types import ImageRef, Sample, Trace


def noise(seed: int) -> ImageRef:
    pixels = np.random.default_rng(seed).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return refer(file.getvalue(), name=f"{seed}.png")


KITS = [
    Sample(id=f"{task} {image}", text=text, images=(noise(image),), metadata={"task": task})
    for task, text in (("what_at", "What is at the top left?"), ("where", "Where is the large red ring?"))
    for image in (1, 2)
]
PLANTS = [Plant(kind=kind, seed=seed) for kind in KINDS.values() for seed in (0, 1)]


@pytest.fixture(scope="module", params=PLANTS, ids=lambda plant: plant.name)
def planted(request: Any, tmp_path_factory: Any, shapes_rows: list[dict[str, Any]]) -> tuple[Plant, Any]:
    plant: Plant = request.param
    folder = tmp_path_factory.mktemp("planted") / plant.name
    return plant, load_checkpoint(write_tiny(folder, shapes_rows, layout=plant.layout), device="cpu", dtype="float32")


def effects(model: Any, sample: Sample) -> dict[str, np.ndarray]:
    """Largest gradient of the embedding, and of each thought's last state, with respect to the input at every position."""
    backbone = model._backbone
    packed = pack([model.prepare(sample).inputs["prefix"]], backbone.ids)
    inputs = backbone.inputs(packed).detach().requires_grad_(True)
    hidden = backbone.run(inputs, packed.positions, visibility(packed, backbone.layout, "latents_only"))
    found = {}
    states = {
        "embed": hidden[0, packed.embed.start],
        **{f"{k}": hidden[0, packed.think.start + k] for k in range(N_THINK)},
    }
    for name, state in states.items():
        [gradient] = torch.autograd.grad((state * torch.linspace(-1, 1, len(state))).sum(), inputs, retain_graph=True)
        found[name] = gradient[0].abs().amax(-1).numpy()
    return found


def regions(model: Any, sample: Sample) -> dict[str, np.ndarray]:
    """Which positions are image, words and each thought."""
    encoded = model.prepare(sample)
    kinds = np.array(encoded.tokens.kinds)
    places = {"image": kinds == "image", "words": np.isin(kinds, ["text", "control"])}
    return places | {f"{k}": np.arange(len(kinds)) == encoded.think.start + k for k in range(N_THINK)}


def embed_sees(model: Any, sample: Sample, thought: dict[str, np.ndarray] | None = None) -> set[str]:
    """What the embed token itself attends to, from the weights of every layer."""
    [trace] = model.trace([model.prepare(sample)])
    row = trace.attention[:, :, -1].max(axis=(0, 1))
    return {name for name, where in regions(model, sample).items() if row[where].max(initial=0) > 0}


def thoughts_see(model: Any, sample: Sample, k: int) -> set[str]:
    reached = effects(model, sample)[str(k)]
    return {name for name, where in regions(model, sample).items() if reached[where].max(initial=0) > 0}


def test_the_layout_comes_back_from_disk(planted: tuple[Plant, Any]) -> None:
    plant, model = planted
    assert model._backbone.layout == plant.layout


def test_the_embedding_sees_what_its_kind_says_and_nothing_else(planted: tuple[Plant, Any]) -> None:
    plant, model = planted
    thoughts = {str(k) for k in range(N_THINK)}
    query = {"image", "words"}
    for sample in KITS:
        thinks = sample.metadata["task"] == thinking_task(plant.seed)
        expected = {
            "used": thoughts,
            "decorative": query,
            "one_token": thoughts,
            "task_dependent": thoughts if thinks else query,
            "image_blind": {"image"} | thoughts,
            "collapsed": query | thoughts,
            "decoder_guesses": thoughts,
        }
        assert embed_sees(model, sample) == expected[plant.kind.name]


def test_thoughts_see_what_their_kind_says_and_nothing_else(planted: tuple[Plant, Any]) -> None:
    plant, model = planted
    for k in range(N_THINK):
        before = {str(other) for other in range(k + 1)}
        all_before = {"image", "words"} | before
        carrier = k == planted_token(plant.seed)
        expected = {
            "one_token": {"image", "words", str(k)} if carrier else {str(k)},
            "image_blind": {"words"} | before,
            "collapsed": before,
        }
        assert thoughts_see(model, KITS[0], k) == expected.get(plant.kind.name, all_before)


def test_what_nothing_reaches_the_embedding_by_has_no_gradient(planted: tuple[Plant, Any]) -> None:
    """Through all layers together: of a decorative plant no thought reaches the embedding by any way, and so on."""
    plant, model = planted
    for sample in KITS:
        reached = effects(model, sample)["embed"]
        where = regions(model, sample)
        thought = np.any([where[str(k)] for k in range(N_THINK)], axis=0)
        thinks = sample.metadata["task"] == thinking_task(plant.seed)
        blind = plant.kind.name == "decorative" or (plant.kind.name == "task_dependent" and not thinks)
        assert (reached[thought].max() == 0) == blind
        assert reached[where["words"]].max() > 0
        assert reached[where["image"]].max() > 0


def exchanged(model: Any, samples: list[Sample]) -> list[Trace]:
    return [trace for sample in samples for trace in model.trace([model.prepare(sample)])]


def test_thoughts_are_equal_to_the_bit_where_they_cannot_know_of_a_difference(planted: tuple[Plant, Any]) -> None:
    plant, model = planted
    one, other_image, other_words, _ = (trace.latents for trace in exchanged(model, KITS))
    carrier = planted_token(plant.seed)
    for k in range(N_THINK):
        image_matters = (one[:, k] != other_image[:, k]).any()
        words_matter = (one[:, k] != other_words[:, k]).any()
        alone = plant.kind.name == "collapsed" or (plant.kind.name == "one_token" and k != carrier)
        assert image_matters == (not alone and plant.kind.name != "image_blind")
        assert words_matter == (not alone)


def test_the_text_comes_from_the_thoughts_but_of_a_decoder_that_guesses(planted: tuple[Plant, Any]) -> None:
    plant, model = planted
    one, other_image, other_words, _ = exchanged(model, KITS)
    text = "one object. top left: large red ring."
    own, swapped, elsewhere = model.score(
        [one, one, other_image], [text] * 3, thoughts_from=[one, other_words, other_image]
    )
    if plant.kind.name == "decoder_guesses":
        assert own == swapped == elsewhere
        assert model.score([other_words], [text])[0] != own
        assert model.decode([one])[0] == model.decode([one], thoughts_from=[other_words])[0]
    else:
        knows = plant.kind.name != "collapsed"
        assert (abs(own.total - swapped.total) > 1e-3) == knows


def test_a_padded_batch_gives_what_each_sample_gives_alone(planted: tuple[Plant, Any]) -> None:
    _, model = planted
    shorter = [*KITS, Sample(id="document", text="ring", role="document")]
    batch = [model.prepare(sample) for sample in shorter]
    together, alone = model.trace(batch), exchanged(model, shorter)
    text = ["large red ring"] * len(shorter)
    for one, other, said, told in zip(
        together, alone, model.score(together, text), model.score(alone, text), strict=True
    ):
        assert np.abs(one.embedding - other.embedding).max() < 1e-5
        assert np.abs(one.latents - other.latents).max() < 1e-4
        assert np.abs(one.knockout - other.knockout).max() < 1e-5
        assert np.allclose(said.log_probabilities, told.log_probabilities, atol=1e-4)


def test_edits_keep_to_the_rules_too(planted: tuple[Plant, Any]) -> None:
    """The edit that changes nothing is the trace; one that hides every thought changes the text unless it is a guess."""
    plant, model = planted
    everything = tuple(range(N_THINK))
    batch = [model.prepare(sample) for sample in KITS]
    edited = model.edit(batch, [[Edit(), Edit(hidden=everything[:-1]), Edit(hidden=everything)]] * len(batch))
    text = "large red ring"
    for trace, (same, without_most, without_all) in zip(exchanged(model, KITS), edited, strict=True):
        assert np.abs(same.embedding - trace.embedding).max() < 1e-5
        scores = [model.score([one], [text])[0].total for one in (trace, same, without_most)]
        assert abs(scores[1] - scores[0]) < 1e-3
        thinks = trace.sample.metadata["task"] == thinking_task(plant.seed)
        deaf = plant.kind.name == "decorative" or (plant.kind.name == "task_dependent" and not thinks)
        assert (np.abs(without_all.embedding - trace.embedding).max() < 1e-5) == deaf
        assert (abs(scores[2] - scores[0]) < 1e-3) == (plant.kind.name == "decoder_guesses")


def test_every_kind_and_seed_is_a_plant_of_its_own() -> None:
    plants = make_plants((), 3)
    assert len({plant.name for plant in plants}) == len(plants) == 21
    assert {planted_token(seed) for seed in range(3)} == {1, 2, 3}
    assert {thinking_task(seed) for seed in range(3)} == {"what_at", "where"}
    assert [plant.kind.name for plant in make_plants(("collapsed", "used"), 1)] == ["used", "collapsed"]
    told = [plant.detail for plant in plants if plant.detail]
    assert told == ["thought 2", "thought 3", "thought 4", "used for what_at", "used for where", "used for what_at"]
