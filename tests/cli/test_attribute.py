"""`thinkscope attribute` on a real, tiny checkpoint."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
from PIL import Image

from workbench import runner
from workbench.attribution import Attribution, AttributionProbe
from workbench.cli import main
from workbench.embedder import DecodesThoughts
from workbench.probe import PROBES
from workbench.runner import Session
from workbench.stages import quiet


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NotANumber(AttributionProbe):
    """Gives NaN, as gradients in half precision can. In nats; it misleads always."""

    name = "not_a_number"
    title = "Not a number"
    version = 1
    reference = "none"
    signed = True

    def attribute(self, objective: Any, tick: Any = quiet) -> Attribution:
        cells = sum(grid.n_tokens for grid in objective.grids)
        return Attribution(relevance=np.full((len(objective.targets), cells), np.nan, np.float32), passes=1)


@pytest.fixture(scope="module")
def shared() -> Session:
    return Session()


@pytest.fixture(autouse=True)
def one_model_for_all(monkeypatch: pytest.MonkeyPatch, shared: Session) -> None:
    """Loading takes most of the time, and how a session loads is tested elsewhere."""
    monkeypatch.setattr(runner, "Session", lambda **_: shared)
    PROBES.names()
    monkeypatch.setitem(PROBES._entries, "not_a_number", NotANumber)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.effect_noise((96, 64), 80).convert("RGB").save(path)
    return path


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "candidates.txt"
    path.write_text("a red star\na blue circle\n")
    return path


@pytest.fixture
def attribute(tiny_checkpoint: Path) -> Callable[..., int]:
    return lambda *words: main(["attribute", *map(str, words), "--checkpoint", str(tiny_checkpoint)])


def test_text_for_people(attribute: Callable[..., int], picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attribute(picture, "what?", "--target", "think:2", "--method", "saliency") == 0
    text = capsys.readouterr().out
    for part in ("Words of the decoded thought", "think 2: reads", "value", "visual tokens", "not in which direction"):
        assert part in text
    assert "\x1b" not in text


def test_words_of_the_target_are_not_called_a_thought(
    tiny_kinds: dict[str, Path], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["attribute", str(picture), "what?", "--target", "think:2", "--method", "saliency"]
    words += ["--checkpoint", str(tiny_kinds["lame"])]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "Words of the decoded target\n" in text
    assert "not its reasoning" in text
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["checkpoint"]["tells"] == "target"
    assert "not its reasoning" in found["thought_about"]
    assert main([*words, "--html", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert "<th>decoded target</th>" in page
    assert found["thought_about"] in page


def test_json_for_programs(
    attribute: Callable[..., int], picture: Path, listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        attribute(picture, "what?", "--target", "embedding", "--candidates", listed, "--json", "--set", "steps=4") == 0
    )
    found = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert (found["schema"], found["version"]) == ("thinkscope.explanation", 1)
    assert found["target"] == "embedding"
    assert [row["label"] for row in found["targets"]] == ["embedding: contrast"]
    assert found["method"]["name"] == "integrated_gradients"
    assert found["method"]["parameters"]["steps"] == 4
    [image] = [measure for measure in found["result"]["measures"] if measure["name"] == "attribution_image_0"]
    assert image["dims"] == ["target", "rows", "cols"]


def test_a_report_and_a_picture(attribute: Callable[..., int], picture: Path, tmp_path: Path) -> None:
    words = (picture, "<b>what</b>", "--target", "think", "--method", "saliency")
    assert attribute(*words, "--html", tmp_path / "r.html") == 0
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page and "<b>what" not in page
    assert attribute(*words, "--png", tmp_path / "new" / "m.png") == 0
    with Image.open(tmp_path / "new" / "m.png") as drawn:
        # Four think tokens, a row each of an image 384 pixels wide and 256 high.
        assert drawn.height > 4 * 256
        assert drawn.format == "PNG"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--target", "word"], "names no word"),
        (["--target", "word:0"], "counts from 1"),
        (["--target", "think:99"], "There is no think token 99: this checkpoint has 4"),
        (["--target", "eyes"], "There is no target 'eyes'"),
        (["--target", "embedding"], "compares with candidates"),
        (["--method", "salience"], "Did you mean 'saliency'"),
        (["--method", "saliency", "--level", "atoms"], "must be one of tokens, pixels"),
        (["--set", "steps"], "--set takes KEY=VALUE"),
        (["--set", "steps=many"], "--set steps is 'many', but must be a whole number"),
        (["--set", "stepps=3"], "Did you mean 'steps'"),
        (["--check", "faith"], "Did you mean 'faithfulness'"),
        (["--target", "think", "--method", "not_a_number"], "numbers that are not finite"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    attribute: Callable[..., int], picture: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attribute(picture, "what?", *words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("thinkscope: ")
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_contrast_of_a_word_with_itself_is_told(
    attribute: Callable[..., int],
    picture: Path,
    shared: Session,
    tiny_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from workbench.runner import make_sample
    from workbench.targets import words_of

    model = shared.model(str(tiny_checkpoint))
    assert isinstance(model, DecodesThoughts)
    [trace] = model.trace([model.prepare(make_sample([picture], "what?"))])
    words = words_of(model.decode([trace])[0].tokens)
    if not words:
        pytest.skip("the random model wrote no word")
    assert attribute(picture, "what?", "--target", f"word:1/{words[0].text}") == 2
    assert "compared with itself" in capsys.readouterr().err
    assert attribute(picture, "what?", "--target", f"word:{len(words) + 1}") == 2
    assert f"There is no word {len(words) + 1}" in capsys.readouterr().err


def test_a_sample_without_an_image_is_refused(
    attribute: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert attribute("what is it?") == 2
    assert "There is no image" in capsys.readouterr().err


def test_a_method_is_not_a_flag_of_inspect(
    picture: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["inspect", str(picture), "what?", "--saliency.level", "pixels", "--checkpoint", str(tiny_checkpoint)]
    assert main(words) == 2
    assert "thinkscope attribute --method saliency" in capsys.readouterr().err
