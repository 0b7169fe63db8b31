from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import write_tiny

from workbench.embedder import Differentiable, Randomisable
from workbench.errors import UnknownName
from workbench.models.checkpoint import load_checkpoint
from workbench.models.layout import lame
from workbench.samples import make_sample
from workbench.targets import WordTarget

SAMPLE = make_sample([], "what is at the top left?")


def embedded(model: Any) -> np.ndarray:
    return model.embed([model.prepare(SAMPLE)])[0]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return dict(model._backbone.model.named_parameters())


def test_parts_go_from_the_output_down(tiny_model: Any) -> None:
    assert tiny_model.parts == ("head", "layer 3", "layer 2", "layer 1", "word embeddings", "vision tower")


def test_only_the_named_parts_are_drawn_and_the_rest_is_shared(tiny_model: Any) -> None:
    before = {name: value.clone() for name, value in weights(tiny_model).items()}
    start = embedded(tiny_model)
    other = tiny_model.randomised(("layer 2",), 0)
    for name, value in weights(other).items():
        changed = ".layers.1." in name and "visual" not in name
        assert (value is not weights(tiny_model)[name]) == changed, name
        if changed and value.std() > 0:
            assert not torch.equal(value, before[name]), name
            assert value.float().std() == pytest.approx(before[name].float().std(), rel=0.25)
    assert np.abs(embedded(other) - start).max() > 1e-3
    # The model that is shared by everybody is as it was.
    np.testing.assert_array_equal(embedded(tiny_model), start)
    assert all(torch.equal(value, before[name]) for name, value in weights(tiny_model).items())


def test_equal_seeds_give_equal_weights_whatever_is_drawn_beside(tiny_model: Any) -> None:
    one, again = (tiny_model.randomised(("layer 1",), 3) for _ in range(2))
    np.testing.assert_array_equal(embedded(one), embedded(again))
    both = tiny_model.randomised(("layer 1", "vision tower"), 3)
    np.testing.assert_array_equal(embedded(one), embedded(both))
    assert np.abs(embedded(tiny_model.randomised(("layer 1",), 4)) - embedded(one)).max() > 1e-3


def test_the_copy_has_the_abilities_and_another_name(tiny_model: Any) -> None:
    other = tiny_model.randomised(tiny_model.parts, 1)
    assert isinstance(other, Differentiable)
    assert isinstance(other, Randomisable)
    assert "random" in other.info.name
    assert other.info.provenance.checkpoint_sha256 != tiny_model.info.provenance.checkpoint_sha256
    assert not any(value.requires_grad for value in weights(other).values())
    assert all(value is not weights(tiny_model)[name] for name, value in weights(other).items() if "merger" in name)


def test_a_part_that_there_is_not_is_refused(tiny_model: Any) -> None:
    with pytest.raises(UnknownName, match="layer 1"):
        tiny_model.randomised(("layer 9",), 0)


def test_maps_of_the_copy_can_be_made(tiny_model: Any) -> None:
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.effect_noise((96, 64), 80).convert("RGB").save(file, format="PNG")
    other = tiny_model.randomised(tiny_model.parts, 1)
    encoded = tiny_model.prepare(make_sample([file.getvalue()], "what?"))
    target = WordTarget(label="w", tokens=tiny_model.text_ids("red"), start=0, stop=1)
    values = [model.objective(encoded, (target,)) for model in (tiny_model, other)]
    first, second = (float(objective(objective.features[None])[0, 0]) for objective in values)
    assert np.isfinite([first, second]).all()
    assert first != second


def test_a_latent_decoder_is_the_part_nearest_to_the_words(
    tmp_path: Path, shapes_rows: list[dict[str, Any]], tiny_model: Any
) -> None:
    """Drawn alone it changes what is written and not what is embedded; the original keeps its own."""
    model: Any = load_checkpoint(write_tiny(tmp_path / "lame", shapes_rows, layout=lame(3)), device="cpu")
    assert model.parts == ("latent decoder", *tiny_model.parts)
    [trace] = model.trace([model.prepare(SAMPLE)])
    before = model.score([trace], ["red star"])[0].total
    other, again = (model.randomised(("latent decoder",), 2) for _ in range(2))
    [theirs] = other.trace([other.prepare(SAMPLE)])
    np.testing.assert_array_equal(theirs.embedding, trace.embedding)
    changed = other.score([theirs], ["red star"])[0].total
    assert abs(changed - before) > 1e-3
    assert changed == again.score([theirs], ["red star"])[0].total
    assert model.score([trace], ["red star"])[0].total == before
    assert model.randomised(("layer 1",), 2)._decoder is model._decoder
    with pytest.raises(UnknownName):
        model.randomised(("latent decoder", "layer 9"), 0)
