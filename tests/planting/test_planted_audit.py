"""The whole way, small: a tower, two trained plants and the audit of each, by the command.

Of the seven kinds these are `used` and `decorative`, of the three seeds one: about a minute on one core. All 21 are
`thinkscope planted --seeds 3`, whose table stands in docs/planted.md.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.cli import main
from workbench.planting import cases
from workbench.planting.growing import Growth
from workbench.planting.world import WorldSize

WORLD = WorldSize(tower=1500, train=2400, test=60)
STEPS = {"used": 75, "decorative": 20}
"""Thoughts that are all that the embedding sees must have learned something to be missed."""


@pytest.mark.slow
def test_the_audit_finds_what_was_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, steps in STEPS.items():
        scale = cases.Scale(world=WORLD, growth=Growth(tower_steps=110, steps=steps), n=WORLD.test)
        with monkeypatch.context() as patch:
            patch.setattr(cases, "Scale", lambda scale=scale: scale)
            code = main(["planted", "--kinds", kind, "--seeds", "1", "--out", str(tmp_path), "--json"])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert (code, found["right"], found["total"]) == (0, 1, 1)
        [case] = found["cases"]
        assert (case["kind"], case["seed"], case["verdict"], case["right"]) == (kind, 0, kind, True)
        if kind == "used":
            # More than knowing the task alone gives, so there was something to lose.
            assert case["hit_at_1_low"] > case["chance"]


def test_wrong_words_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for words, told in (
        (["--kinds", "usd"], "Did you mean 'used'"),
        (["--seeds", "0"], "seeds is 0"),
        (["--n", "1"], "needs 2 samples"),
        (["--out", str(tmp_path / "file")], "which is a file; name a folder"),
    ):
        assert main(["planted", *words]) == 2
        assert told in capsys.readouterr().err
