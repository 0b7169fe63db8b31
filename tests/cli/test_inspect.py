"""`thinkscope inspect` on a real, tiny checkpoint."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from workbench import runner
from workbench.cli import main
from workbench.cli._report import report
from workbench.runner import Session
from workbench.samples import make_sample
from workbench.words import END

NUMBER = {"type": "number"}
TEXT = {"type": "string"}
SCHEMA = {
    "type": "object",
    "required": ["sample", "checkpoint", "think_tokens", "embedding", "skipped", "notes", "provenance"],
    "properties": {
        "schema": {"const": "thinkscope.inspection"},
        "version": {"const": 1},
        "thought": {
            "type": "object",
            "required": ["text", "tokens", "finish", "context"],
            "properties": {
                "text": TEXT,
                "finish": {"enum": ["end", "length"]},
                "context": {"enum": ["latents_only", "query_and_latents"]},
                "tokens": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["text", "log_probability"],
                        "properties": {"text": TEXT, "log_probability": {"type": "number", "maximum": 0}},
                    },
                },
            },
        },
        "think_tokens": {
            "type": "array",
            "minItems": 4,
            "maxItems": 4,
            "items": {
                "required": ["think", "words", "probabilities", "entropy"],
                "properties": {"words": {"type": "array", "items": TEXT}, "entropy": NUMBER},
            },
        },
        "ranking": {"type": "array", "items": {"required": ["rank", "id", "text", "image", "score"]}},
        "results": {"type": "object", "required": ["attention", "decode", "lens"]},
        "seconds": {"type": "object", "required": ["load", "trace", "total"], "additionalProperties": NUMBER},
    },
}


@pytest.fixture(autouse=True)
def one_model_for_all(monkeypatch: pytest.MonkeyPatch, shared: Session) -> None:
    """Loading takes most of the time, and how a session loads is tested elsewhere."""
    monkeypatch.setattr(runner, "Session", lambda **_: shared)


@pytest.fixture(scope="session")
def shared() -> Session:
    return Session()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.effect_noise((96, 64), 80).convert("RGB").save(path)
    return path


@pytest.fixture
def inspect(tiny_checkpoint: Path) -> Callable[..., int]:
    return lambda *words: main(["inspect", *map(str, words), "--checkpoint", str(tiny_checkpoint)])


def test_text_for_people(inspect: Callable[..., int], picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(picture, "what is at the top left?") == 0
    text = capsys.readouterr().out
    for part in (
        "Decoded thought",
        "Think tokens",
        "Attention on picture.png",
        "think 4",
        "embed",
        "Nothing.",
    ):
        assert part in text
    assert "\x1b" not in text


def test_text_for_people_tells_the_end_of_a_text_in_words(shared: Session, tiny_checkpoint: Path) -> None:
    inspection = shared.inspect(make_sample([], "a red star"), checkpoint=str(tiny_checkpoint))
    lens = inspection.results["lens"]
    measures = tuple(
        replace(one, values=np.full(one.values.shape, END)) if one.name == "word" else one for one in lens.measures
    )
    text = report(replace(inspection, results={**inspection.results, "lens": replace(lens, measures=measures)}))
    assert "(text end)" in text
    assert END not in text


@pytest.mark.parametrize(
    ("kind", "tells", "said"),
    [
        ("lame", "target", ("3 think tokens", "Decoded target\n", "not its reasoning")),
        ("explicit-cot", "reasoning", ("reasoning written as text", "Written reasoning\n", "before it embedded")),
        ("no-think", None, ("no think tokens", "This checkpoint writes no thoughts.")),
    ],
)
def test_text_json_and_report_say_what_the_text_is(
    tiny_kinds: dict[str, Path],
    tmp_path: Path,
    kind: str,
    tells: str | None,
    said: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["inspect", "a red star", "--checkpoint", str(tiny_kinds[kind])]
    words += ["--decode.max_tokens", "8"] if tells else []
    assert main(words) == 0
    text = capsys.readouterr().out
    for part in said:
        assert part in text
    assert " 0 think tokens" not in text
    assert "Decoded thought\n" not in text
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["checkpoint"]["tells"] == tells
    assert main([*words, "--html", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert "Attention of the think tokens" not in page
    if found["thought"] is None:
        return
    about = found["thought"]["about"]
    assert said[-1] in about
    assert about in page
    assert f"<h2>{said[1].strip()}</h2>" in page
    assert "Decoded thought" not in page


def test_json_for_programs(
    inspect: Callable[..., int], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.txt").write_text("a red star\na blue circle\n")
    assert inspect(picture, "what?", "--json", "--candidates", tmp_path / "c.txt") == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    jsonschema.validate(found, SCHEMA)
    thought = found["thought"]
    assert "".join(token["text"] for token in thought["tokens"]) == thought["text"]
    assert [row["rank"] for row in found["ranking"]] == [1, 2]
    assert found["ranking"][0]["score"] >= found["ranking"][1]["score"]
    assert np.linalg.norm(found["embedding"]) == pytest.approx(1, abs=1e-5)
    assert found["provenance"]["weights_sha256"]
    assert found["sample"]["images"][0] | {"sha256": ""} == {
        "name": "picture.png",
        "sha256": "",
        "width": 96,
        "height": 64,
    }


def test_html_is_one_file_that_needs_no_other(
    inspect: Callable[..., int], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect(picture, "<script>alert(1)</script>", "--html", tmp_path / "r.html") == 0
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "data:image/png;base64," in page
    for fetched in ('src="http', "src='http", "@import", "url(http", "<link"):
        assert fetched not in page
    assert [path.name for path in tmp_path.iterdir() if path.name != "picture.png"] == ["r.html"]


def test_a_query_needs_no_image(inspect: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("a red star", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sample"]["images"] == []


def test_several_images_and_options_between_them(
    inspect: Callable[..., int], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = tmp_path / "tall.png"
    Image.effect_noise((48, 96), 80).save(second)
    assert inspect(picture, "--json", second, "which?") == 0
    found = json.loads(capsys.readouterr().out)
    assert [image["name"] for image in found["sample"]["images"]] == ["picture.png", "tall.png"]
    names = [measure["name"] for measure in found["results"]["attention"]["measures"]]
    assert {"attention_image_0", "attention_image_1"} <= set(names)


def test_flags_of_a_probe_reach_it(
    inspect: Callable[..., int], picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        inspect("--attention.layer", 2, picture, "what?", "--json", "--lens.top_k=3", "--attention.drop-sinks", "yes")
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["results"]["attention"]["parameters"]["layer"] == 2
    assert found["results"]["attention"]["parameters"]["drop_sinks"] is True
    assert len(found["think_tokens"][0]["words"]) == 3


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--attentoin.layer", "1"], "Did you mean 'attention'"),
        (["--attention.lair", "1"], "Did you mean 'layer'"),
        (["--attention.layer", "one"], "must be a whole number"),
        (["--lens.top_k", "0"], "between 1"),
        (["--attention.drop_sinks", "maybe"], "must be true or false"),
        (["--attention.reduce", "median"], "must be one of mean, max, top"),
        (["--attention.layer", "99"], "--attention.layer: There is no layer 99"),
    ],
)
def test_a_wrong_flag_of_a_probe_is_told(
    inspect: Callable[..., int], picture: Path, flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect(picture, "what?", *flags) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.effect_noise((96, 64), 50).convert("RGB"), "JPEG", exif=exif)


def animated() -> bytes:
    frames = [Image.effect_noise((64, 48), spread) for spread in (10, 60, 90)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (encoded(Image.fromarray(np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16))), "8 bits"),
        (encoded(Image.effect_noise((64, 48), 50).convert("CMYK"), "JPEG"), "CMYK"),
        (encoded(Image.effect_noise((64, 48), 50).convert("P"), "PNG", transparency=3), "transparent"),
        (animated(), "first of 3 frames"),
        (turned(), "EXIF"),
    ],
    ids=["16-bit", "cmyk", "palette", "animated", "turned"],
)
def test_an_unusual_image_works_and_says_what_was_done(
    inspect: Callable[..., int], tmp_path: Path, data: bytes, note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd").write_bytes(data)
    assert inspect(tmp_path / "odd", "what?") == 0
    assert note in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"hello", "is a text file"),
        (encoded(Image.effect_noise((64, 48), 50))[:900], "damaged or cut off"),
        (encoded(Image.new("1", (19_000, 19_000))), "at most 40 million pixels"),
        (b"", "is empty"),
        (encoded(Image.new("RGB", (20_000, 10))), "at most 200 times the other"),
    ],
    ids=["no-image", "truncated", "bomb", "zero", "ribbon"],
)
def test_an_unusable_image_is_one_sentence_and_exit_code_2(
    inspect: Callable[..., int], tmp_path: Path, data: bytes, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").write_bytes(data)
    assert inspect(tmp_path / "bad", "what?") == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize(
    ("query", "sentence"),
    [("", "neither an image nor a query"), ("x" * 100_000, "100,000 characters"), ("a\x00b", "control character")],
)
def test_an_unusable_query_is_one_sentence(
    inspect: Callable[..., int], query: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect(query) == 2
    assert sentence in capsys.readouterr().err


def test_an_image_without_a_query_is_told(
    inspect: Callable[..., int], picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect(picture) == 2
    assert "add the query, or '' to ask nothing" in capsys.readouterr().err
    assert inspect(picture, "") == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", None),
        ("config.json", None),
        ("thinkscope.json", None),
        ("tokenizer.json", None),
        ("model.safetensors", b"not tensors"),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "bert"}'),
        ("thinkscope.json", b"[]"),
    ],
)
def test_a_checkpoint_with_a_missing_or_foreign_file_is_one_sentence(
    tiny_checkpoint: Path, tmp_path: Path, name: str, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    (broken / name).unlink()
    if content is not None:
        (broken / name).write_bytes(content)
    assert main(["inspect", "what?", "--checkpoint", str(broken)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("thinkscope: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
