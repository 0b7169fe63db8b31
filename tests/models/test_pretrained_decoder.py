"""A latent decoder that begins as a language model: it reads and writes as that model does, by the backbone's tokens."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import SMALL_RUN
from transformers import Qwen3Config, Qwen3ForCausalLM

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadCheckpoint
from workbench.models.checkpoint import load_checkpoint
from workbench.models.creation import small_tokenizer
from workbench.models.latent_decoder import LatentDecoder
from workbench.models.layout import lame
from workbench.models.pretrained_decoder import pretrained_decoder
from workbench.recipes.config import read_config
from workbench.recipes.recipe import RECIPES
from workbench.recipes.rows import read_training_rows
from workbench.recipes.setup import make_backbone

SIZE: dict[str, Any] = {"hidden_size": 40, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 2}
RED, BLUE = "Ġred", "Ġblue"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 12)


@pytest.fixture(scope="module")
def backbone(data: Path) -> Any:
    rows = read_training_rows(data)
    return make_backbone(read_config(None, SMALL_RUN), rows, lame(3), "target_apart")


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Qwen3 whose sizes follow from no other, and whose tokenizer has two words in each other's places."""
    path = tmp_path_factory.mktemp("qwen3") / "small"
    texts = [text for row in read_training_rows(data) for text in (row["query"], row["reasoning"])]
    tokenizer = small_tokenizer([*texts, *(row["target"]["text"] or "" for row in read_training_rows(data))])
    tokenizer.save_pretrained(path)
    held = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = held["model"]["vocab"]
    vocabulary[RED], vocabulary[BLUE] = vocabulary[BLUE], vocabulary[RED]
    (path / "tokenizer.json").write_text(json.dumps(held), encoding="utf-8")
    torch.manual_seed(5)
    config = Qwen3Config(
        **SIZE,
        vocab_size=len(tokenizer) + 7,
        num_key_value_heads=1,
        head_dim=24,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        tie_word_embeddings=True,
    )
    model: Any = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn_like(value))
    model.save_pretrained(path)
    return path


def test_it_predicts_what_the_given_model_predicts(folder: Path, backbone: Any) -> None:
    decoder = pretrained_decoder(folder, backbone, projection=0, seed=0)
    given: Any = Qwen3ForCausalLM.from_pretrained(folder)
    mine = backbone.processor.tokenizer.get_vocab()
    theirs = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert mine[RED] == theirs[BLUE] != theirs[RED]
    words = [RED, "Ġsmall", BLUE, "Ġstar"]
    with torch.no_grad():
        found = decoder.language(torch.tensor([[mine[word] for word in words]])).logits[0]
        expected = given(torch.tensor([[theirs[word] for word in words]])).logits[0]
    shared = sorted(theirs)
    torch.testing.assert_close(
        found[:, [mine[word] for word in shared]], expected[:, [theirs[word] for word in shared]], atol=1e-5, rtol=0
    )
    own = decoder.table[[mine[name] for name in backbone.layout.special_tokens]].detach()
    assert (own.std(dim=0) > 0).all(), "the layout's tokens differ"
    assert torch.equal(own, pretrained_decoder(folder, backbone, projection=0, seed=0).table[-len(own) :].detach())


def test_a_run_begins_with_it_and_its_checkpoint_needs_it_no_more(data: Path, folder: Path, tmp_path: Path) -> None:
    given = Path(shutil.copytree(folder, tmp_path / "given"))
    config = tmp_path / "run.toml"
    config.write_text('[lame]\ndecoder = "given"\nprojection = 24\n', encoding="utf-8")
    small = ("optimiser.batch=4", "optimiser.steps=2", "optimiser.learning_rate=1e-6", "output.store_dtype=float32")
    paths = (f"data.train={data}", f"output.folder={tmp_path / 'run'}")
    made = RECIPES.get("lame")().train(
        read_config(config, [*SMALL_RUN, *small, *paths]), resume=False, report=lambda line: None
    )
    expected: Any = Qwen3ForCausalLM.from_pretrained(given)
    shutil.rmtree(given)
    manifest = json.loads((made / "thinkscope.json").read_text(encoding="utf-8"))
    assert manifest["config"]["lame"]["decoder"] == "given"
    assert {"width": 40, "head_width": 24, "key_value_heads": 1, "rope_theta": 500.0}.items() <= manifest[
        "decoder"
    ].items()
    model: Any = load_checkpoint(made, device="cpu", dtype="float32")
    decoder: LatentDecoder = model._decoder
    assert [value.shape[0] for value in decoder.projection.parameters()] == [24, 24, 40, 40]
    held = dict(decoder.language.named_parameters())
    for name, value in expected.named_parameters():
        if "embed_tokens" not in name:
            torch.testing.assert_close(held[name], value, atol=1e-4, rtol=0)


def rewrite(folder: Path, **more: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | more), encoding="utf-8")


def untie(folder: Path) -> None:
    model: Any = Qwen3ForCausalLM(Qwen3Config.from_pretrained(folder, tie_word_embeddings=False))
    model.save_pretrained(folder)


def learn_other_words(folder: Path) -> None:
    small_tokenizer(["nothing of shapes"]).save_pretrained(folder)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (shutil.rmtree, "There is no checkpoint folder"),
        (lambda folder: rewrite(folder, model_type="qwen2"), "begins as a model of type 'qwen3'; 'copy' is of 'qwen2'"),
        (untie, "has another tie_word_embeddings than"),
        (lambda folder: rewrite(folder, rms_norm_eps=0.1), "has another rms_norm_eps than"),
        (lambda folder: rewrite(folder, num_hidden_layers=3), "cannot be read: .* must be equal to the number of"),
        (
            lambda folder: rewrite(folder, num_hidden_layers=3, layer_types=["full_attention"] * 3),
            "lacks .* weights of a Qwen3 model",
        ),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"torn"), "cannot be read"),
        (learn_other_words, "does not know .* of the backbone's .* tokens, '.*' among them"),
    ],
)
def test_what_cannot_be_a_decoder_is_one_sentence(
    spoil: Callable[[Path], Any], sentence: str, folder: Path, backbone: Any, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    spoil(copy)
    with pytest.raises(BadCheckpoint, match=sentence) as refused:
        pretrained_decoder(copy, backbone, projection=0, seed=0)
    assert "\n" not in str(refused.value)
