"""Where an export lies: one file with what belongs to it beside it, or a folder of parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.errors import BadInput
from workbench.export.plan import ARRAYS, Plan

MANIFEST = "manifest.json"
FileKind = Literal["jsonl", "parquet", "arrays"]
_TABLES = (".parquet", ".json", ".csv", ".tsv", ".gz", ".zst", ".txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The files of one export. Paths are absolute, since workers may stand elsewhere."""

    out: Path
    """As it was named: `thoughts.jsonl`, or a folder."""
    joined: bool
    """Whether the parts become one file in the end."""

    @classmethod
    def of(cls, out: Path) -> "Place":
        """The place of what a person names. Raises BadInput for a name that can be neither."""
        if not out.name:
            raise BadInput(f"'{out}' is no place for an export; name a .jsonl file or a new folder.")
        path = out.expanduser().absolute()
        if path.suffix == ".jsonl":
            return cls(out=path, joined=True)
        if path.suffix in _TABLES:
            raise BadInput(
                f"--out is '{out}', but must be a .jsonl file or a folder; --parquet writes Parquet beside it."
            )
        return cls(out=path, joined=False)

    @property
    def folder(self) -> Path:
        """Where parts are written."""
        return self.out.with_suffix(".parts") if self.joined else self.out

    @property
    def arrays_name(self) -> str:
        """The folder of arrays as records name it."""
        return f"{self.out.stem}.{ARRAYS}" if self.joined else ARRAYS

    @property
    def arrays(self) -> Path:
        """Where arrays lie in the end."""
        return self.out.parent / self.arrays_name if self.joined else self.out / self.arrays_name

    @property
    def parquet(self) -> Path:
        """The Parquet file of a joined export."""
        return self.out.with_suffix(".parquet")

    @property
    def begun(self) -> Path:
        """The manifest while the export runs."""
        return self.folder / MANIFEST

    @property
    def manifest(self) -> Path:
        """The manifest of the finished export."""
        return self.out.with_suffix(".manifest.json") if self.joined else self.begun


def part_name(part: int) -> str:
    """What the files of a part are called, without their ends."""
    return f"part-{part:05d}"


def part_files(plan: Plan, part: int) -> dict[FileKind, Path]:
    """Where the files of a part lie, as far as it has them."""
    name = part_name(part)
    return {
        "jsonl": plan.folder / f"{name}.jsonl",
        "parquet": plan.folder / f"{name}.parquet",
        "arrays": plan.arrays_folder / f"{name}.safetensors",
    }
