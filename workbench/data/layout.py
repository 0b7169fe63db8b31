"""Where the tables of a Hugging Face data set repository lie once it is on disk."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workbench.errors import BadInput

TABLES = (".parquet", ".jsonl")


def find_tables(folder: Path, config: str | None, split: str) -> tuple[Path, ...]:
    """The tables of one split of one configuration, in the order in which they are to be read; none when there are none.

    The `configs` in the head of the data set's README.md decide, as they do for `datasets`; without them the files are
    looked for where the hub puts them: `CONFIG/SPLIT-*.parquet`, `data/SPLIT-*.parquet`, `SPLIT*.parquet`,
    `CONFIG/SPLIT/*.parquet`; the same with `.jsonl`.
    """
    named = _named_by_card(folder, config, split)
    if named:
        return _sorted(path for pattern in named for path in folder.glob(pattern) if path.suffix in TABLES)
    for place in (config, f"data/{config}") if config else ("data", "default", "."):
        for ending in TABLES:
            tables = (folder / place).glob(f"{split}*{ending}")
            # The hub's own conversion has a folder for the split.
            converted = (folder / place / split).glob(f"*{ending}")
            if found := [path for path in tables if _is_split(path, split)] or list(converted):
                return _sorted(found)
    return ()


def need_tables(
    folders: Iterable[Path], config: str | None, split: str, *, repository: str, revision: str
) -> tuple[Path, tuple[Path, ...]]:
    """The first of several folders that holds the tables, and the tables.

    Raises BadInput with the line that downloads them into the first.
    """
    looked = list(folders)
    for folder in looked:
        if folder.is_dir() and (found := find_tables(folder, config, split)):
            return folder, found
    what = f"{config}/{split}-*.parquet" if config else f"{split}-*.parquet"
    at = f" --revision {revision}" if revision else ""
    places = " or ".join(f"'{folder}'" for folder in looked)
    raise BadInput(
        f"There is no table {what} in {places}; to download it: "
        f"hf download --repo-type dataset {repository}{at} --local-dir {looked[0]}"
    )


def _is_split(path: Path, split: str) -> bool:
    """Not the table of a split whose name only begins alike."""
    return re.fullmatch(rf"{re.escape(split)}([-.].*)?", path.stem) is not None


def _sorted(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(set(paths)))


def _named_by_card(folder: Path, config: str | None, split: str) -> list[str]:
    for entry in read_configs(folder):
        if config not in (None, entry.get("config_name")) or (config is None and not _is_default(entry)):
            continue
        files = entry.get("data_files")
        if isinstance(files, list):
            files = [item.get("path") for item in files if isinstance(item, dict) and item.get("split") == split]
            patterns = [one for item in files for one in (item if isinstance(item, list) else [item])]
            return [pattern for pattern in patterns if isinstance(pattern, str) and not _leaves(pattern)]
    return []


def read_configs(folder: Path) -> list[dict[str, Any]]:
    """The `configs` of the head of README.md; none where there is no head, or one that is not YAML."""
    card = folder / "README.md"
    if not card.is_file():
        return []
    import yaml  # comes with huggingface-hub

    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return []
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return []
    configs = head.get("configs") if isinstance(head, dict) else None
    return [entry for entry in configs if isinstance(entry, dict)] if isinstance(configs, list) else []


def _is_default(entry: dict[str, Any]) -> bool:
    return entry.get("config_name") == "default" or bool(entry.get("default"))


def _leaves(pattern: str) -> bool:
    return pattern.startswith(("/", "~")) or ".." in Path(pattern).parts
