"""Recipes that write no reasoning ask for none, and rows that have it are trained on as ever."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import SMALL_RUN

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadInput
from workbench.models.checkpoint import load_checkpoint
from workbench.models.creation import small_tokenizer
from workbench.models.layout import lame
from workbench.recipes.config import read_config
from workbench.recipes.recipe import RECIPES
from workbench.recipes.rows import TextPlace, read_training_rows
from workbench.recipes.setup import make_backbone
from workbench.types import Sample

PLACES: tuple[TextPlace, ...] = (
    "reasoning_after",
    "reasoning_before",
    "target_apart",
    "target_text_apart",
    "none",
)
CAPTION, ANSWER = "a quaint zeppelin", "an amber dirigible"
BATCH = ("optimiser.batch=4", "optimiser.steps=2", "optimiser.warmup=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 16)


@pytest.fixture(scope="module")
def bare(data: Path) -> Path:
    """The same rows without reasoning; captions and answers are of words that stand nowhere else."""
    path = data.with_name("bare.jsonl")
    rows = [{**row} for row in read_training_rows(data)]
    for row in rows:
        del row["reasoning"]
        told = {"caption": CAPTION} if row["target"]["images"] else {"text": ANSWER}
        row["target"] = {**row["target"], **told}
        row.pop("target_id")
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["lame", "no-think"])
def test_they_train_and_validate_without(name: str, bare: Path, tmp_path: Path) -> None:
    paths = (f"data.train={bare}", f"data.validation={bare}", f"output.folder={tmp_path / 'run'}")
    config = read_config(None, [*SMALL_RUN, *BATCH, *paths])
    made = RECIPES.get(name)().train(config, resume=False, report=lambda line: None)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["split"] for line in log] == ["train", "train", "validation"]
    assert all(np.isfinite(line["loss"]) for line in log)
    model: Any = load_checkpoint(made, device="cpu", dtype="float32")
    [trace] = model.trace([model.prepare(Sample(id="a", text="What is at the centre?"))])
    assert np.linalg.norm(trace.embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["tte-flash", "explicit-cot"])
def test_the_others_say_that_they_need_it(name: str, bare: Path, tmp_path: Path) -> None:
    config = read_config(None, [*SMALL_RUN, f"data.train={bare}", f"output.folder={tmp_path / 'run'}"])
    with pytest.raises(BadInput, match=r"Row 1 of 'bare\.jsonl' lacks reasoning"):
        RECIPES.get(name)().train(config, resume=False, report=lambda line: None)


@pytest.mark.parametrize(("place", "known"), [("target_apart", True), ("target_text_apart", False), ("none", False)])
def test_a_new_tokenizer_knows_the_words_that_the_recipe_uses(place: TextPlace, known: bool, bare: Path) -> None:
    rows = read_training_rows(bare, text=place)
    tokenizer = make_backbone(read_config(None, SMALL_RUN), rows, lame(3), place).processor.tokenizer
    assert (len(tokenizer(" zeppelin")["input_ids"]) == 1) == known
    assert len(tokenizer(" dirigible")["input_ids"]) == 1


def test_rows_with_reasoning_give_every_recipe_one_tokenizer(data: Path) -> None:
    """And the one that they always gave, which the bundled checkpoints were made with."""
    rows = read_training_rows(data)
    texts = [text for row in rows for text in (row["query"], row["reasoning"], row["target"]["text"] or "")]
    expected = small_tokenizer(texts).get_vocab()
    for place in PLACES:
        found = make_backbone(read_config(None, SMALL_RUN), rows, lame(3), place).processor.tokenizer.get_vocab()
        assert expected.items() <= found.items()
        assert all(token.startswith("<|") for token in found.keys() - expected.keys())
