"""The house style, where a machine can hold it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_FILE = 400
MAX_FUNCTION = 60
SOURCES = sorted(path for room in ("workbench", "probes") for path in (ROOT / room).rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_there_is_something_to_hold() -> None:
    assert len(SOURCES) > 40


def test_files_hold_one_idea() -> None:
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := len(path.read_text().splitlines())) > MAX_FILE}
    assert long == {}


def test_functions_fit_on_a_screen() -> None:
    long = {f"{path.name}:{name}": n for path in SOURCES for name, n in functions(path) if n > MAX_FUNCTION}
    assert long == {}


def test_modules_are_named_for_what_they_hold() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert [str(path) for path in SOURCES if path.stem.strip("_") in vague] == []


def test_annotations_are_real() -> None:
    # Strings instead of types would hide shapes from the checks that run in tests.
    assert [str(path) for path in SOURCES if "from __future__ import annotations" in path.read_text()] == []


def test_nothing_unsafe_is_loaded() -> None:
    unsafe = ("import pickle", "torch.load(", "trust_remote_code=True", "weights_only=False", "allow_pickle=True")
    found = [f"{path.name}: {word}" for path in SOURCES for word in unsafe if word in path.read_text()]
    assert found == []
