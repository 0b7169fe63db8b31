"""Making and judging plants: one tower for all, nothing twice, and a folder in which a stopped run goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from workbench.audit import Verdict
from workbench.errors import BadInput, UnknownName
from workbench.planting.cases import Case, Question, Scale, judge_plants, summary
from workbench.planting.growing import Growth
from workbench.planting.kinds import ASKS, make_plants
from workbench.planting.world import WorldSize, make_world

SCALE = Scale(
    world=WorldSize(tower=120, train=160, test=12),
    growth=Growth(tower_steps=1, steps=3, batch=4, width=48, layers=1, vision_width=48, vision_layers=1),
    n=12,
)
PLANTS = make_plants(("used", "image_blind"), 1)


class Judge:
    """Names every plant 'used', and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def __call__(self, question: Question) -> Verdict:
        self.asked.append(question)
        return Verdict(kind="used", sentence="So it seems.", strength="weak", evidence=())


def judged(folder: Path, judge: Judge, say: Any = lambda line: None) -> list[Case]:
    return list(judge_plants(PLANTS, folder, judge, say, SCALE))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Judge, list[Case]]:
    folder, judge = tmp_path_factory.mktemp("planted"), Judge()
    return folder, judge, judged(folder, judge)


def test_cases_say_what_was_planted_and_what_was_found(made: tuple[Path, Judge, list[Case]]) -> None:
    folder, judge, cases = made
    found = summary(cases)
    assert (found["right"], found["total"]) == (1, 2)
    assert [(c["kind"], c["seed"], c["expected"], c["verdict"], c["right"]) for c in found["cases"]] == [
        ("used", 0, "used", "used", True),
        ("image_blind", 0, "image_blind", "used", False),
    ]
    for case, question in zip(cases, judge.asked, strict=True):
        assert (case.n, question.n, question.split) == (12, 12, "test")
        assert 0 <= case.hit_at_1_low <= case.hit_at_1 <= case.hit_at_1_high <= 1
        assert 1 / 62 < case.chance < 1
        assert question.data == str(folder / "world" / "asked")


def test_all_have_one_vision_tower_and_learn_the_rest_themselves(made: tuple[Path, Judge, list[Case]]) -> None:
    folder, judge, _ = made
    tower, used, blind = (
        load_file(path / "model.safetensors")
        for path in (folder / "tower" / "checkpoint", *(question.checkpoint for question in judge.asked))
    )
    vision = [name for name in used if "visual" in name]
    assert len(vision) > 10
    for name in vision:
        assert torch.equal(used[name], tower[name])
        assert torch.equal(blind[name], tower[name])
    layer = next(name for name in used if "layers.0.self_attn.q_proj.weight" in name and name not in vision)
    assert not torch.equal(used[layer], blind[layer])


def test_what_is_there_is_not_made_again(made: tuple[Path, Judge, list[Case]]) -> None:
    folder, _, cases = made
    told: list[str] = []
    again = judged(folder, Judge(), told.append)
    assert [case.checkpoint_sha256 for case in again] == [case.checkpoint_sha256 for case in cases]
    assert not [line for line in told if "step" in line or "perception" in line]
    assert [line for line in told if line.endswith("verdict used, wrong: So it seems.")]


def test_a_stopped_run_goes_on(tmp_path: Path, made: tuple[Path, Judge, list[Case]]) -> None:
    """Stopped in the tower, then in the training of the first plant: the same checkpoints as without a stop."""

    def stop_at(word: str) -> Any:
        def report(line: str) -> None:
            if word in line:
                raise KeyboardInterrupt

        return report

    for word in ("perception 1/1", "step 3/3"):
        with pytest.raises(KeyboardInterrupt):
            list(judge_plants(PLANTS[:1], tmp_path, Judge(), stop_at(word), SCALE))
    list(judge_plants(PLANTS[:1], tmp_path, Judge(), lambda line: None, SCALE))
    whole, stopped = (load_file(f / "used-0/checkpoint/model.safetensors") for f in (made[0], tmp_path))
    assert max((whole[name] - value).abs().max().item() for name, value in stopped.items()) < 1e-5
    assert not (tmp_path / "image_blind-0").exists()


def test_thoughts_that_copy_the_query_are_trained_to(made: tuple[Path, Judge, list[Case]]) -> None:
    world = make_world(made[0] / "world", SCALE.world)
    for tells in ("reasoning", "echo"):
        rows = [json.loads(line) for line in world.train(tells).read_text(encoding="utf-8").splitlines()]
        assert len(rows) == SCALE.world.train
        assert all((row["reasoning"] == row["query"]) == (tells == "echo") for row in rows)


def test_first_words_tell_the_tasks_of_the_world_apart(made: tuple[Path, Judge, list[Case]]) -> None:
    """What turns a task_dependent plant's switch on is in every question of the one task and nowhere else."""
    world = make_world(made[0] / "world", SCALE.world)
    for path in (world.train("reasoning"), world.audited / "test.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            words = row["query"].replace("?", "").replace(".", "").split()
            assert [task for task, first in ASKS.items() if set(first) & set(words)] == [row["task"]]
            said = " ".join([row["target"]["text"], *(negative["text"] for negative in row["negatives"])]).split()
            assert not {word for first in ASKS.values() for word in first} & set(said)


def test_names_and_numbers_that_do_not_exist() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'decorative'"):
        make_plants(("decoration",), 1)
    with pytest.raises(BadInput, match="seeds is 0"):
        make_plants((), 0)
