"""The published form of an audit's JSON (`workbench.audit.Audit.to_json` makes it)."""

import json
from importlib.resources import files
from typing import Any

from workbench.audit import VERSION


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12)."""
    file = files("workbench.auditing") / "schema" / f"audit.v{VERSION}.schema.json"
    return json.loads(file.read_text(encoding="utf-8"))
