"""Whether thoughts can be edited is known from the folder's JSON, in the words that the loaded model would use."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from apart import APART, SAMPLES

from workbench.edits import Edit
from workbench.errors import BadCheckpoint, Unsupported
from workbench.models.editable import check_editable, why_not_editable
from workbench.models.layout import Layout, explicit_cot, lame, no_think, tte_flash


def folder_of(path: Path, layout: Layout) -> Path:
    """A folder that holds nothing but the layout: no weights, no tokenizer."""
    path.mkdir()
    about = {"format": "thinkscope", "version": 1, "family": "qwen2_vl", "layout": layout.to_json()}
    (path / "thinkscope.json").write_text(json.dumps(about))
    return path


@pytest.mark.parametrize("layout", [tte_flash(1), lame(3), tte_flash(2, extraction="early_exit", exit_layer=1)])
def test_models_that_think_in_one_pass_are_taken(layout: Layout, tmp_path: Path) -> None:
    assert why_not_editable(layout, "mine") is None
    check_editable(folder_of(tmp_path / "mine", layout))


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (no_think(), "'mine' has no think tokens (K = 0), so it has no thoughts to edit or audit"),
        (explicit_cot(), "'mine' has no think tokens (K = 0)"),
        (replace(tte_flash(2), contexts=()), "'mine' writes no text from its thoughts"),
        (tte_flash(2, extraction="two_pass"), "'mine' has the extraction two_pass, and edits"),
        (tte_flash(2, extraction="dual_adapter"), "'mine' has the extraction dual_adapter, and edits"),
    ],
)
def test_others_are_refused_without_weights(layout: Layout, told: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=re.escape(told)) as refused:
        check_editable(folder_of(tmp_path / "mine", layout))
    assert "\n" not in str(refused.value)


def test_a_dependency_of_training_alone_is_no_reason() -> None:
    for dependency in ("joint", "stop_gradient", "sequential"):
        assert why_not_editable(tte_flash(2, dependency=dependency), "mine") is None


@pytest.mark.parametrize("name", APART)
def test_folder_and_model_agree(name: str, apart_folders: dict[str, Path], apart_models: dict[str, Any]) -> None:
    model = apart_models[name]
    outcomes = []
    for attempt in (
        lambda: check_editable(apart_folders[name]),
        lambda: model.edit([model.prepare(SAMPLES[1])], [[Edit()]]),
    ):
        try:
            attempt()
        except Unsupported as error:
            outcomes.append(str(error))
        else:
            outcomes.append("")
    assert outcomes[0] == outcomes[1]
    assert bool(outcomes[0]) == (name != "early_exit")


def test_what_the_folder_does_not_tell_is_left_to_loading(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}')
    check_editable(tmp_path)


def test_a_layout_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", tte_flash(2))
    (folder / "thinkscope.json").write_text("{torn")
    with pytest.raises(BadCheckpoint, match=r"thinkscope\.json of 'mine' is not valid JSON"):
        check_editable(folder)
