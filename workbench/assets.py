"""What ships with the workbench: bundled checkpoints, their cards, and example inputs. Reads JSON, loads no model.

In a wheel the assets lie inside the package, in a checkout beside it.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import BadCheckpoint, BadInput

DEFAULT_CHECKPOINT = "tte-flash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An input that the bundled checkpoint knows how to read."""

    image: Path
    query: str
    title: str
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A measured number with its 95% interval and the number of samples."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCard:
    """What a checkpoint is and how good it was measured to be, as its own files say."""

    name: str
    path: Path
    title: str
    description: str
    knows: str
    """What it was trained on, in plain words; empty when its files do not say."""
    family: str = ""
    format: str = ""
    layout: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)


def assets_dir() -> Path:
    """The folder of checkpoints and examples. Raises BadInput when this installation has none."""
    folder = _find_assets()
    if folder is None:
        raise BadInput("This installation holds no bundled checkpoints and examples; install thinkscope again.")
    return folder


def read_vendored(package: str, file: str) -> str:
    """A built file of somebody else's package that ships with the workbench. Raises BadInput when it is not there."""
    path = assets_dir() / "vendor" / package / file
    if not path.is_file():
        raise BadInput(f"This installation lacks '{package}/{file}'; install thinkscope again.")
    return path.read_text(encoding="utf-8")


def bundled_checkpoints() -> dict[str, Path]:
    """Every bundled checkpoint by name, sorted; empty when there are none."""
    assets = _find_assets()
    if assets is None or not (assets / "checkpoints").is_dir():
        return {}
    folders = sorted((assets / "checkpoints").iterdir())
    return {folder.name: folder for folder in folders if (folder / "config.json").is_file()}


def resolve_checkpoint(name_or_path: str) -> Path:
    """The folder of a bundled checkpoint's name, or of a path.

    Raises:
        BadCheckpoint: when there is no such folder, or when it holds no `config.json`. What is in it is not looked at.
    """
    bundled = bundled_checkpoints()
    if name_or_path in bundled:
        return bundled[name_or_path]
    path = Path(name_or_path).expanduser()
    try:
        if path.is_file():
            raise BadCheckpoint(
                f"'{path}' is a file; a checkpoint is the folder that holds config.json and its weights."
            )
        if not name_or_path.strip() or not path.is_dir():
            raise BadCheckpoint(_missing(name_or_path, bundled))
        if not any(path.iterdir()):
            raise BadCheckpoint(f"The checkpoint folder '{path}' is empty.")
    except (OSError, ValueError) as error:
        raise BadCheckpoint(
            f"The checkpoint '{name_or_path[:200]}' cannot be opened: {getattr(error, 'strerror', '') or 'it is not a path'}."
        ) from error
    if not (path / "config.json").is_file():
        raise BadCheckpoint(f"The folder '{path}' holds no config.json, so it is not a Hugging Face checkpoint.")
    return path


def examples() -> tuple[Example, ...]:
    """The bundled example inputs, in order; empty when there are none."""
    assets = _find_assets()
    if assets is None or not (assets / "examples" / "examples.json").is_file():
        return ()
    folder = assets / "examples"
    listing = folder / "examples.json"
    return tuple(
        Example(
            image=folder / row["image"],
            query=row["query"],
            title=row.get("title", row["query"]),
            task=row.get("task", ""),
        )
        for row in json.loads(listing.read_text(encoding="utf-8"))
    )


def read_card(path: Path) -> CheckpointCard:
    """Read a checkpoint folder's `thinkscope.json` and `evaluation.json`; what a file does not say stays empty.

    Raises:
        BadCheckpoint: when one of them is not the JSON that it should be.
    """
    about = _read_json(path / "thinkscope.json")
    measured = _read_json(path / "evaluation.json")
    layout = about.get("layout")
    return CheckpointCard(
        name=str(about.get("name") or path.name),
        path=path,
        title=str(about.get("title") or about.get("name") or path.name),
        description=str(about.get("description", "")),
        knows=str(about.get("knows", "")),
        family=str(about.get("family", "")),
        format=str(about.get("format", "")),
        layout=layout if isinstance(layout, dict) else {},
        metrics={name: metric for name, row in measured.items() if (metric := _metric(row)) is not None},
    )


def _find_assets() -> Path | None:
    here = Path(__file__).resolve().parent
    return next((folder for folder in (here / "_assets", here.parent / "assets") if folder.is_dir()), None)


def _missing(name: str, bundled: Mapping[str, Path]) -> str:
    near = difflib.get_close_matches(name, bundled, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    known = ", ".join(bundled) or "none"
    return f"There is no checkpoint '{name[:200]}': neither a bundled name nor a folder.{hint} Bundled: {known}."


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"'{path}' is not readable JSON: {error}.") from error
    if not isinstance(content, dict):
        raise BadCheckpoint(f"'{path}' holds a {type(content).__name__}; expected a JSON object.")
    return content


def _metric(row: Any) -> Metric | None:
    if not isinstance(row, dict) or not {"value", "low", "high", "n"} <= row.keys():
        return None
    return Metric(value=float(row["value"]), low=float(row["low"]), high=float(row["high"]), n=int(row["n"]))
