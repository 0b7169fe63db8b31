"""An export of the page as it was asked for, after every part of it was checked."""

from dataclasses import dataclass
from pathlib import Path

PART_ROWS = 32
"""Few, because progress is told, and what is done is kept, part by part."""
ZIP_GONE = "The uploaded zip is no longer here; give it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """What was asked, checked."""

    title: str
    checkpoint_name: str
    checkpoint: str
    data: str
    """As `find_reader` takes it; empty for a zip."""
    split: str
    zip: Path | None
    n: int | None
    extras: tuple[str, ...]
    parquet: bool
    device: str | None
    dtype: str | None

    @property
    def command(self) -> tuple[str, ...]:
        """What makes the same records in the terminal; the data of a zip is named as the folder it would be unpacked to.

        Visitors see it, so a checkpoint goes by the name under which it is offered, which the terminal knows of bundled ones alone.
        """
        data = f"enclosed:{self.title.removesuffix('.zip')}" if self.zip else self.data
        parts = ["thinkscope", "export", data, "--checkpoint", self.checkpoint_name]
        parts += ["--split", self.split] if self.split != "test" else []
        parts += ["--n", str(self.n)] if self.n else []
        parts += ["--with", ",".join(self.extras)] if self.extras else []
        parts += ["--parquet"] if self.parquet else []
        parts += ["--device", self.device] if self.device else []
        parts += ["--dtype", self.dtype] if self.dtype else []
        parts += ["--part-rows", str(PART_ROWS), "--batch", str(PART_ROWS)]
        return (*parts, "--out", "thoughts.jsonl")
