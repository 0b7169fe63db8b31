"""What a model's text is called and said to be follows from the model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.models.checkpoint import load_checkpoint
from workbench.telling import about_text, name_of_text, way_of_thinking


def test_reasoning_from_latents_is_told_by_what_its_writer_saw(tiny_model: Any) -> None:
    info = tiny_model.info
    assert name_of_text(info) == "decoded thought"
    assert "from the think tokens alone" in about_text(info, "latents_only")
    assert "the whole input in view" in about_text(info, "query_and_latents")
    assert way_of_thinking(info) == "4 think tokens"
    assert way_of_thinking(replace(info, n_think=1)) == "1 think token"


@pytest.mark.parametrize(
    ("kind", "name", "about", "way"),
    [
        ("lame", "decoded target", "not its reasoning", "3 think tokens"),
        ("explicit-cot", "written reasoning", "before it embedded", "reasoning written as text"),
        ("no-think", "decoded thought", "", "no think tokens"),
    ],
)
def test_other_kinds_of_model_write_something_else(
    tiny_kinds: dict[str, Path], kind: str, name: str, about: str, way: str
) -> None:
    info = load_checkpoint(tiny_kinds[kind], device="cpu").info
    assert name_of_text(info) == name
    assert way_of_thinking(info) == way
    if info.contexts:
        assert about in about_text(info, info.contexts[0])


def test_the_targets_words_are_never_called_reasoning(tiny_model: Any) -> None:
    info = replace(tiny_model.info, tells="target")
    assert "without image or question" in about_text(info, "latents_only")
    assert "the whole input in view" in about_text(info, "query_and_latents")
    assert "alone" not in about_text(info, "query_and_latents")
