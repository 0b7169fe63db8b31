"""Small real things for the contract tests: one file for each family, format and reader, found by its name."""

import importlib
from typing import Any

import pytest


def specimen(kind: str, name: str, entry: object) -> Any:
    """The module `specimens/KIND_NAME.py`. A built-in without one fails its contract; somebody else's is skipped."""
    module = f"specimens.{kind}_{name.replace('-', '_')}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
    needed = f"the contract of {kind} '{name}' needs tests/{module.replace('.', '/')}.py; docs/extending.md says what it holds"
    if getattr(entry, "__module__", "").startswith("workbench."):
        pytest.fail(needed)
    pytest.skip(needed)
