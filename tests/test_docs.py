"""The pages say what the files say: numbers, links, commands and paths."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from docs import tables
from workbench.assets import bundled_checkpoints
from workbench.cli._main import make_parser
from workbench.evaluation.card import CARD, EVALUATION, SHARES, card_text

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/design.md",
        "docs/audit.md",
        "docs/ablation.md",
        "docs/bench-embed.md",
        "docs/compare.md",
        "docs/data.md",
        "docs/export.md",
        "docs/extending.md",
        "docs/map.md",
        "docs/scaling.md",
    )
]
BUNDLED = sorted(bundled_checkpoints().items())


def held(split: str, value: float, *, target: bool = False) -> dict[str, Any]:
    row = {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 1000}
    command = f"thinkscope evaluate some --data shapes --split {split} --n 1000"
    shares = [name for name in SHARES if name == "hit_at_1" or ("target" in name) == target]
    return {**dict.fromkeys(shares, row), "n_candidates": 612, "command": command, "split": split}


def test_the_readme_holds_the_measured_numbers() -> None:
    text = tables.README.read_text(encoding="utf-8")
    assert text == tables.fill(text), "run: python docs/tables.py"


@pytest.mark.parametrize(("name", "folder"), BUNDLED, ids=[name for name, _ in BUNDLED])
def test_a_bundled_card_holds_what_its_folder_says(name: str, folder: Path) -> None:
    assert (folder / CARD).read_text(encoding="utf-8") == card_text(folder), "run: python docs/tables.py"


@pytest.mark.parametrize(("name", "folder"), BUNDLED, ids=[name for name, _ in BUNDLED])
def test_a_bundled_evaluation_is_of_the_bundled_weights(name: str, folder: Path) -> None:
    from workbench.models.reading import weights_hash

    stored = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    for measured in (stored, stored["compositional"]):
        assert measured["provenance"]["weights_sha256"] == weights_hash(folder)
        assert f"thinkscope evaluate {name} " in measured["command"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000


def test_the_block_is_made_from_evaluations(tmp_path: Path) -> None:
    (tmp_path / EVALUATION).write_text(json.dumps(held("test", 0.9) | {"compositional": held("compositional", 0.5)}))
    block = tables.block([tmp_path])
    assert f"| `{tmp_path.name}` | test | " + "90.0% (89.0% to 91.0%) | " * 4 + "1000 |" in block
    assert f"| `{tmp_path.name}` | compositional | " + "50.0% (49.0% to 51.0%) | " * 4 + "1000 |" in block
    assert "against 612 candidates" in block
    assert block.count("thinkscope evaluate some --data shapes --split") == 2
    assert "target told" not in block
    assert "*Control*: the same as the first column" in block
    assert tables.block([]) == tables.NONE


def test_a_checkpoint_that_tells_the_target_fills_a_column_of_its_own(tmp_path: Path) -> None:
    thinks, tells, silent = (tmp_path / name for name in ("thinks", "tells", "silent"))
    bare = {name: value for name, value in held("test", 0.25).items() if name not in SHARES or name == "hit_at_1"}
    for folder, found in ((thinks, held("test", 0.9)), (tells, held("test", 0.5, target=True)), (silent, bare)):
        folder.mkdir()
        (folder / EVALUATION).write_text(json.dumps(found))
    block = tables.block([thinks, tells, silent])
    heads = ["checkpoint", "split", "thought right", "answer right", "target told", "Hit@1", "control: swapped thought"]
    assert block.startswith(f"| {' | '.join(heads)} | n |\n")
    nine, five, quarter = "90.0% (89.0% to 91.0%)", "50.0% (49.0% to 51.0%)", "25.0% (24.0% to 26.0%)"
    assert f"| `thinks` | test | {nine} | {nine} | - | {nine} | {nine} | 1000 |" in block
    assert f"| `tells` | test | - | - | {five} | {five} | {five} | 1000 |" in block
    assert f"| `silent` | test | - | - | - | {quarter} | - | 1000 |" in block
    assert "*Target told*: the text is the words of the target" in block
    assert "*Control*: *thought right*, or *target told*, with the thought of another sample" in block


def test_marks_that_were_lost_are_told() -> None:
    with pytest.raises(ValueError, match="once each"):
        tables.fill("# A page without marks")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [*re.findall(r"\]\(([^)#]+)\)", text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)]
    lost = [name for name in named if not name.startswith("https://") and not (page.parent / name).exists()]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rooms = "workbench|probes|tests|docs|benchmarks|assets"
    named = set(re.findall(rf"`((?:{rooms})/[\w./-]+)`", text)) - {"probes/drift.py"}
    lost = [name for name in named if "NAME" not in name and not (ROOT / name).exists()]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path) -> None:
    lines = re.findall(r"^(?:.*; do )?(thinkscope [^>;\n]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    for line in lines:
        words = [word for word in shlex.split(line, comments=True)[1:] if not word.startswith("--drift.")]
        _, rest = make_parser().parse_known_args(words)
        assert not [word for word in rest if word.startswith("-")], rest


def test_make_targets_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b[`\s]", as_code(page))}
    assert named
    assert named <= targets


def as_code(page: Path) -> str:
    """Only what stands in code, so that "make sure" is not a target."""
    text = page.read_text(encoding="utf-8")
    return "\n".join([*re.findall(r"```\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]) + "\n"


def test_the_citation_is_of_this_version() -> None:
    from workbench import __version__

    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in cited
    assert "\nlicense: Apache-2.0\n" in cited
