"""A checkpoint's card says what its files say, and replaces nobody's own."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_tiny

from workbench.assets import read_card
from workbench.cli import main
from workbench.errors import BadCheckpoint, BadInput
from workbench.evaluation.card import CARD, EVALUATION, SHARES, card_text, read_evaluations, write_card
from workbench.models.layout import no_think
from workbench.recipes.config import TrainConfig, read_config

REASONING = [name for name in SHARES if "target" not in name]


def held(split: str, value: float = 0.5, command: str = "thinkscope evaluate x") -> dict[str, Any]:
    row = {"value": value, "low": value - 0.25, "high": value + 0.125, "n": 8}
    return {
        **dict.fromkeys(REASONING, row),
        "n_candidates": 250,
        "chance_thought_exact": 0.001,
        "further": {},
        "by_task": {"where": dict.fromkeys(("thought_exact", "answer_exact", "hit_at_1"), row)},
        "n_parameters": 1234567,
        "split": split,
        "command": command,
    }


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred candidates are the slow part, and no test here is about ranks."""
    monkeypatch.setattr("workbench.evaluation.shapes.MIN_CANDIDATES", 4)


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def change(folder: Path, **values: Any) -> None:
    path = folder / "thinkscope.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_evaluate_writes_what_the_page_and_the_card_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(folder), "--n", "3", "--device", "cpu", "--card", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    assert printed == stored
    assert set(read_card(folder).metrics) == set(REASONING)
    assert (stored["split"], stored["compositional"]["split"]) == ("test", "compositional")
    assert stored["command"] == "thinkscope evaluate copy --data shapes --split test --n 3"
    assert stored["provenance"]["weights_sha256"]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    text = (folder / CARD).read_text(encoding="utf-8")
    assert text == card_text(folder)
    assert text.startswith("---\nlicense: apache-2.0\n")
    for split in ("test", "compositional"):
        assert f"thinkscope evaluate copy --data shapes --split {split} --n 3" in text


def test_evaluate_of_one_split_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert main(["evaluate", str(folder), "--n", "2", "--device", "cpu", "--split", "validation", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["split"] == "validation"
    assert all(set(printed[name]) == {"value", "low", "high", "n"} for name in REASONING)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_tables_hold_the_numbers(folder: Path) -> None:
    write_card(folder, {"test": held("test"), "compositional": held("compositional", 0.25)})
    assert read_evaluations(folder) == {"test": held("test"), "compositional": held("compositional", 0.25)}
    text = (folder / CARD).read_text(encoding="utf-8")
    assert text.count("| 50.0% (25.0% to 62.5%) | 8 |") == len(REASONING) + 1
    assert text.count("| 25.0% (0.0% to 37.5%) | 8 |") == len(REASONING) + 1
    assert "1,234,567 parameters" in text
    assert "250 candidates, so chance is 0.40%" in text
    assert f"| `model.safetensors` | {(folder / 'model.safetensors').stat().st_size:,} |" in text


def test_settings_of_the_card_train_again(folder: Path, tmp_path: Path) -> None:
    config = json.loads(json.dumps(TrainConfig().to_json()))
    del config["data"], config["output"]
    change(folder, recipe="tte-flash", step=15, steps=100, config=config, commands=["thinkscope shapes --out data"])
    write_card(folder, {"test": held("test")})
    text = (folder / CARD).read_text(encoding="utf-8")
    assert "early checkpoint, after 15 of 100 steps" in text
    assert "thinkscope shapes --out data" in text
    settings = text.split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(settings) == config
    (tmp_path / "settings.toml").write_text(settings)
    assert read_config(tmp_path / "settings.toml") == TrainConfig()


def test_other_rules_for_some_queries_stand_on_the_card(folder: Path) -> None:
    layout = json.loads((folder / "thinkscope.json").read_text(encoding="utf-8"))["layout"]
    switch = {"tokens": ["Where", "In"], "attends": {"embed": ["query", "embed"], "words": ["words"]}}
    change(folder, layout={**layout, "switches": [switch]})
    write_card(folder, {"test": held("test")})
    text = (folder / CARD).read_text(encoding="utf-8")
    assert "| instead, where the query holds Where or In | embed to query, embed; words to words |" in text


def test_weights_of_others_keep_their_licence(folder: Path) -> None:
    change(folder, steps=10, config={"model": {"backbone": "Qwen/Qwen2-VL-2B-Instruct"}})
    write_card(folder, {"test": held("test")})
    text = (folder / CARD).read_text(encoding="utf-8")
    assert "apache" not in text
    assert 'base_model: "Qwen/Qwen2-VL-2B-Instruct"' in text
    assert "Trained from Qwen/Qwen2-VL-2B-Instruct." in text


def test_a_card_is_written_again_but_somebody_elses_is_not_lost(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_card(folder, {"test": held("test")})
    write_card(folder, {"test": held("test", 0.75)})
    assert "75.0%" in (folder / CARD).read_text(encoding="utf-8")
    (folder / CARD).write_text("my own notes")
    assert main(["evaluate", str(folder), "--n", "2", "--card"]) == 2
    assert "move it away" in capsys.readouterr().err
    assert (folder / CARD).read_text() == "my own notes"


def test_a_card_that_cannot_be_written_or_asks_for_a_split_is_told_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.models.checkpoint.load_checkpoint", lambda *_, **__: pytest.fail("it began"))
    assert main(["evaluate", str(folder), "--card", "--split", "validation"]) == 2
    assert "--card measures the splits test and compositional" in capsys.readouterr().err

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("workbench.cli._options._try_writing", refuse)
    assert main(["evaluate", str(folder), "--card"]) == 2
    assert "cannot be written into: Permission denied" in capsys.readouterr().err


def test_a_card_of_a_model_that_does_not_think_says_so(
    shapes_rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_tiny(tmp_path / "silent", shapes_rows[:8], layout=no_think())
    assert main(["evaluate", str(folder), "--n", "3", "--device", "cpu", "--card"]) == 0
    printed = capsys.readouterr().out
    assert "hit_at_1 by task" in printed
    assert "Not defined: thought_exact, answer_exact, swapped_thought_exact." in printed
    text = (folder / CARD).read_text(encoding="utf-8")
    assert "that does not think" in text
    assert "Not defined: `thought_exact`" in text
    assert "swapped thought lists" not in text
    assert "| attends, causally | query to query; embed to query, embed |" in text
    assert "fill of the think tokens" not in text
    assert "then says nothing about the image" not in text
    assert list(read_card(folder).metrics) == ["hit_at_1"]


def test_a_card_of_written_reasoning_names_it_where_it_is_seen(tiny_kinds: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_kinds["explicit-cot"], tmp_path / "written"))
    write_card(folder, {"test": held("test")})
    text = (folder / CARD).read_text(encoding="utf-8")
    seen = "query to query; reasoning to query, reasoning; embed to query, reasoning, embed"
    assert f"| attends, causally | {seen} |" in text
    assert "| order | query, reasoning, embed |" in text
    assert "decoder contexts" not in text
    assert "latents" not in text.split("## Training")[0].split("## Layout")[1]


def test_only_what_thinks_in_tokens_is_tagged_as_latent_reasoning(
    folder: Path, tiny_kinds: dict[str, Path], tmp_path: Path
) -> None:
    write_card(folder, {"test": held("test")})
    tagged = {"tte-flash": (folder / CARD).read_text(encoding="utf-8")}
    for name, made in tiny_kinds.items():
        copied = Path(shutil.copytree(made, tmp_path / name))
        write_card(copied, {"test": held("test")})
        tagged[name] = (copied / CARD).read_text(encoding="utf-8")
    assert [name for name, text in tagged.items() if "  - latent-reasoning\n" in text] == ["tte-flash", "lame"]
    assert all("  - multimodal-embedding\n" in text for text in tagged.values())


@pytest.mark.parametrize(
    ("kind", "measures"),
    [("tte-flash", ["thought_exact", "answer_exact", "hit_at_1"]), ("lame", ["target_exact", "hit_at_1"])],
)
def test_evaluate_tells_every_task_by_what_is_defined(
    folder: Path, tiny_kinds: dict[str, Path], kind: str, measures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = tiny_kinds.get(kind, folder)
    assert main(["evaluate", str(made), "--n", "3", "--device", "cpu", "--split", "validation"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if " by task " in line] == measures


def test_refusals(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs an evaluation on the test split"):
        write_card(folder, {"compositional": held("compositional")})
    assert read_evaluations(folder) == {}
    (folder / EVALUATION).write_text("[1]")
    with pytest.raises(BadCheckpoint, match="is not an evaluation"):
        read_evaluations(folder)
    (folder / "thinkscope.json").unlink()
    with pytest.raises(BadCheckpoint, match=r"has no thinkscope\.json"):
        write_card(folder, {"test": held("test")})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"extraction": "early_exit", "exit_layer": 2}, "the text is read behind layer 2; "),
        ({"extraction": "dual_adapter"}, "think and embed tokens have LoRA sets of their own; "),
        ({"extraction": "two_pass"}, "as inputs of a second pass; "),
    ],
)
def test_a_card_says_how_think_and_embed_tokens_are_parted(
    folder: Path, settings: dict[str, Any], sentence: str
) -> None:
    layout = json.loads((folder / "thinkscope.json").read_text())["layout"]
    change(folder, layout=layout | settings)
    (folder / EVALUATION).write_text(json.dumps(held("test") | {"compositional": held("compositional")}))
    text = card_text(folder)
    assert sentence in text
    assert settings["extraction"] in text
    assert ("layers behind which text is read" in text) == ("exit_layer" in settings)
