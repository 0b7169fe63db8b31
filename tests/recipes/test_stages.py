"""A run of two stages that goes on with other settings: the first stage ends where it was to end when the run began."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import SMALL_RUN
from safetensors.torch import load_file

from workbench.data.shapes import ShapesConfig, write_shapes
from workbench.errors import BadInput
from workbench.models.checkpoint import load_checkpoint
from workbench.recipes.config import TrainConfig, read_config
from workbench.recipes.recipe import RECIPES
from workbench.types import Sample

SMALL = (*SMALL_RUN, "optimiser.batch=4", "optimiser.warmup=1", "output.save_every=1")
SEQUENTIAL = ("model.dependency=sequential",)
WARMED = ("lame.warmup=0.5", "lame.warmup_contrastive=false")
TABLE = "model.embed_tokens.weight"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes"), ShapesConfig(), "train", 16)


def configure(data: Path, folder: Path, steps: int, *more: str) -> TrainConfig:
    return read_config(
        None, [*SMALL, f"data.train={data}", f"output.folder={folder}", f"optimiser.steps={steps}", *more]
    )


def train(name: str, config: TrainConfig, *, resume: bool = False) -> tuple[Path, list[str]]:
    lines: list[str] = []
    return RECIPES.get(name)().train(config, resume=resume, report=lines.append), lines


def stop(name: str, config: TrainConfig, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until a step is saved, and no further."""
    from workbench.recipes import loop

    def cut(run: Any, done: int, *rest: Any) -> None:
        saved(run, done, *rest)
        if done == at:
            raise KeyboardInterrupt

    saved = loop._Run._save
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Run, "_save", cut)
        train(name, config)


def logged(folder: Path, part: str) -> list[int]:
    """Steps whose loss has a part."""
    lines = map(json.loads, (folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["step"] for line in lines if part in line]


def latents(folder: Path) -> np.ndarray:
    model: Any = load_checkpoint(folder, device="cpu", dtype="float32")
    return model.trace([model.prepare(Sample(id="a", text="What is at the centre?"))])[0].latents


def test_thoughts_that_were_frozen_stay_so_when_the_run_is_made_longer(data: Path, tmp_path: Path) -> None:
    made, _ = train("tte-flash", configure(data, tmp_path, 4, *SEQUENTIAL))
    before = latents(made)
    # Half of twelve steps would begin the text's stage again.
    made, lines = train("tte-flash", configure(data, tmp_path, 12, *SEQUENTIAL), resume=True)
    assert (logged(tmp_path, "text"), logged(tmp_path, "contrastive")) == ([1, 2], list(range(3, 13)))
    np.testing.assert_array_equal(latents(made), before)
    assert [line for line in lines if "first stage has 2 steps" in line and "it would have 6" in line]
    assert json.loads((made / "thinkscope.json").read_text(encoding="utf-8"))["first_stage"] == 2


def test_a_run_that_is_made_shorter_in_its_first_stage_finishes_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of five steps would be past already, with an optimiser that remembers rows which are to stay as they are."""
    stop("tte-flash", configure(data, tmp_path, 8, *SEQUENTIAL), 3, monkeypatch)
    short = configure(data, tmp_path, 5, *SEQUENTIAL, "output.early_at=0.8")
    made, _ = train("tte-flash", short, resume=True)
    assert (logged(tmp_path, "text"), logged(tmp_path, "contrastive")) == ([1, 2, 3, 4], [5])
    before, after = (load_file(folder / "model.safetensors")[TABLE] for folder in (tmp_path / "early", made))
    model: Any = load_checkpoint(made, device="cpu")
    assert (before != after).any(dim=1).nonzero()[:, 0].tolist() == list(model._backbone.ids.embed)


def test_a_bottleneck_is_not_warmed_up_again(data: Path, tmp_path: Path) -> None:
    train("lame", configure(data, tmp_path, 4, *WARMED))
    train("lame", configure(data, tmp_path, 12, *WARMED), resume=True)
    assert logged(tmp_path, "contrastive") == list(range(3, 13))


def test_a_state_from_before_stages_were_kept_goes_on_by_its_settings(data: Path, tmp_path: Path) -> None:
    train("lame", configure(data, tmp_path, 4, *WARMED))
    path = tmp_path / "state" / "state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({key: state[key] for key in ("step", "config")}), encoding="utf-8")
    train("lame", configure(data, tmp_path, 12, *WARMED), resume=True)
    assert logged(tmp_path, "contrastive") == [3, 4, *range(7, 13)]
    assert json.loads(path.read_text(encoding="utf-8"))["first_stage"] == 6


def test_a_warm_up_too_short_for_a_step_stays_none_when_the_run_is_made_longer(data: Path, tmp_path: Path) -> None:
    """A tenth of four steps is none; the share is the same as before, so there is nothing to refuse."""
    tenth = ("lame.warmup=0.1", "lame.warmup_contrastive=false")
    train("lame", configure(data, tmp_path, 4, *tenth))
    train("lame", configure(data, tmp_path, 12, *tenth), resume=True)
    assert logged(tmp_path, "contrastive") == list(range(1, 13))


@pytest.mark.parametrize(
    ("name", "begun", "resumed", "steps", "sentence"),
    [
        ("lame", WARMED, ("lame.warmup=0.05",), 4, "first stage of the run in '.*' takes 4 steps"),
        ("tte-flash", SEQUENTIAL, SEQUENTIAL, 4, "first stage of the run in '.*' takes 4 steps"),
        ("tte-flash", SEQUENTIAL, (), 8, "has another layout: dependency was sequential and is now joint; resume it"),
        ("lame", ("lame.warmup=0",), WARMED, 8, "first stage of 0 steps, and these settings give it 4"),
    ],
)
def test_stages_that_do_not_go_together_are_one_sentence(
    name: str,
    begun: tuple[str, ...],
    resumed: tuple[str, ...],
    steps: int,
    sentence: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop(name, configure(data, tmp_path, 8, *begun), 1, monkeypatch)
    with pytest.raises(BadInput, match=sentence) as refused:
        train(name, configure(data, tmp_path, steps, *resumed), resume=True)
    assert "\n" not in str(refused.value)
