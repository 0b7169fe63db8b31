"""Every command takes every kind of checkpoint: thinking, with a decoder beside it, writing first, and not thinking at all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write_tiny
from PIL import Image

from workbench.cli import main
from workbench.models import writing_embedder
from workbench.models.checkpoint import load_checkpoint
from workbench.models.layout import Layout, explicit_cot, lame, no_think, tte_flash
from workbench.samples import make_sample
from workbench.targets import words_of

LAYOUTS: dict[str, Layout] = {
    "tte-flash": tte_flash(3),
    "lame": lame(3),
    "explicit-cot": explicit_cot(),
    "no-think": no_think(),
}
QUESTION = "Name the object at the top."


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """A random model writes until it is cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing_embedder, "MAX_WRITTEN", 6)
        yield


@pytest.fixture(scope="module", params=LAYOUTS)
def checkpoint(
    request: pytest.FixtureRequest,
    image: Path,
    tmp_path_factory: pytest.TempPathFactory,
    shapes_rows: list[dict[str, Any]],
) -> Path:
    """One that says two words to the image, if it says anything: many random ones write marks alone."""
    layout, folder = LAYOUTS[request.param], tmp_path_factory.mktemp("layouts")
    for seed in range(1, 40):
        path = write_tiny(folder / str(seed) / request.param, shapes_rows, layout=layout, seed=seed)
        if not layout.contexts:
            return path
        model: Any = load_checkpoint(path, device="cpu")
        traces = model.trace([model.prepare(make_sample([image], QUESTION))])
        if len(words_of(model.decode(traces, max_tokens=6)[0].tokens)) > 1:
            return path
    pytest.fail("no random checkpoint writes words")


@pytest.fixture
def layout(checkpoint: Path) -> Layout:
    return LAYOUTS[checkpoint.name]


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_inspect(checkpoint: Path, layout: Layout, image: Path, tmp_path: Path, capsys: Any) -> None:
    found = told(capsys, "inspect", image, QUESTION, "--checkpoint", checkpoint, "--json")
    assert len(found["think_tokens"]) == layout.n_think
    assert ("thought" in found and found["thought"] is not None) == bool(layout.contexts)
    for output in ("--html", None):
        more = [output, str(tmp_path / "page.html")] if output else []
        assert main(["inspect", str(image), QUESTION, "--checkpoint", str(checkpoint), *more]) == 0


def test_attribute(checkpoint: Path, layout: Layout, image: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "candidates.txt").write_text("red circle\nblue star\ngreen ring\n", encoding="utf-8")
    method = ("--method", "saliency", "--checkpoint", checkpoint, "--json")
    asked = ["embedding", *(["word:2"] if layout.contexts else []), *(["think"] if layout.n_think else [])]
    for target in asked:
        given = ("--candidates", tmp_path / "candidates.txt") if target == "embedding" else ()
        found = told(capsys, "attribute", image, QUESTION, "--target", target, *given, *method)
        assert len(found["targets"]) == (layout.n_think if target == "think" else 1)
        held = [note for note in found["notes"] if "holds that text as it is" in note]
        assert len(held) == int(layout.writes_first)


def test_words_of_a_model_without_any_are_refused_with_what_to_ask_instead(
    checkpoint: Path, layout: Layout, image: Path, capsys: Any
) -> None:
    if layout.contexts:
        pytest.skip("it writes")
    assert main(["attribute", str(image), QUESTION, "--checkpoint", str(checkpoint)]) == 2
    assert "choose the target embedding" in capsys.readouterr().err


def test_a_map_is_put_to_every_test(checkpoint: Path, layout: Layout, image: Path, capsys: Any) -> None:
    if not layout.contexts:
        pytest.skip("it writes no word")
    words = ("--method", "saliency", "--target", "word:1", "--check", "all", "--checkpoint", checkpoint, "--json")
    found = told(capsys, "attribute", image, QUESTION, *words)
    assert {"faithfulness", "sanity", "stability"} <= found["judged"].keys()


def test_export(checkpoint: Path, layout: Layout, tmp_path: Path) -> None:
    out = tmp_path / "thoughts.jsonl"
    arrays = "lens,embedding" if layout.n_think else "embedding"
    words = ["export", "shapes", "--n", "3", "--checkpoint", checkpoint, "--out", out, "--with", arrays]
    assert main([str(word) for word in (*words, "--engine", "single")]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 3
    assert all(("thought" in row and row["thought"] is not None) == bool(layout.contexts) for row in rows)


def test_evaluate_with_a_card(checkpoint: Path, layout: Layout, capsys: Any) -> None:
    found = told(capsys, "evaluate", checkpoint, "--n", "8", "--card", "--json")
    names = {name for name, metric in {**found, **found["further"]}.items() if metric is not None}
    assert ("thought_exact" in names) == (bool(layout.contexts) and layout.tells == "reasoning")
    assert ("target_exact" in names) == (layout.tells == "target")
    card = (checkpoint / "README.md").read_text(encoding="utf-8")
    assert ("latent-reasoning" in card) == bool(layout.n_think)


def test_audit(checkpoint: Path, layout: Layout, tmp_path: Path, capsys: Any) -> None:
    code = main(["audit", str(checkpoint), "--data", "shapes", "--n", "8", "--out", str(tmp_path / "audit.html")])
    said = capsys.readouterr()
    assert code == (0 if layout.n_think else 2)
    assert "Traceback" not in said.err


def test_map(checkpoint: Path, layout: Layout, tmp_path: Path, capsys: Any) -> None:
    words = ("map", "shapes", "--n", "12", "--projection", "pca", "--json", "--checkpoint", checkpoint)
    for of in ("embedding", *(["thoughts"] if layout.n_think else [])):
        told(capsys, *words, "--of", of, "--out", tmp_path / f"{of}.html")
