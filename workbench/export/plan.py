"""What an export is asked to do: everything that a worker on any machine must know to make any part of it.

An export is a row of parts. Part p holds rows `p * part_rows` up to `(p + 1) * part_rows` of the data set, bad rows
included, and is made by one worker with nothing but the plan and its number. Equal plans give equal parts, byte for byte,
on one kind of machine: batches are formed within a part, and a worker's number of threads is part of the plan.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.data.sifting import OnError
from workbench.types import Context

Extra = Literal["latents", "embedding", "attention", "lens", "knockout"]
EXTRAS: tuple[Extra, ...] = ("latents", "embedding", "attention", "lens", "knockout")
"""What an export holds beside the decoded thoughts when asked; arrays go into files beside the records."""

Tells = Literal["reasoning", "target", "nothing"]
"""What decoded thoughts are trained to say: the reasoning, or the words of the retrieval target; nothing where none is written."""

ARRAYS = "arrays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An export. What is not in `DECIDING` says only where and how it is made."""

    data: str
    """As `find_reader` takes it."""
    split: str = "test"
    n: int | None = None
    """How many rows, bad ones included; None: all."""
    data_revision: str = ""
    """`DataInfo.revision` when the export was begun."""
    data_title: str = ""
    data_rows: int | None = None
    """How many rows the data has, as far as that is known without reading them."""
    checkpoint: Path
    checkpoint_sha256: str
    """`Provenance.checkpoint_sha256` when the export was begun."""
    tells: Tells | None = None
    """None where only the loaded model could say."""
    text: str = "decoded thought"
    """What the text is called, as `telling.name_of_text` has it."""
    folder: Path
    """Where parts and manifest are written; all workers reach it."""
    arrays: str = ARRAYS
    """Folder of the arrays' files as records name it: within the folder of the parts, or, under another name, beside it,
    where the parts become one file in the end."""
    extras: tuple[Extra, ...] = ()
    parquet: bool = False
    on_error: OnError = "skip"
    context: Context | None = None
    max_tokens: int = 256
    top: int = 5
    """Words told of each think token."""
    part_rows: int = 256
    batch: int = 256
    """Samples that run through the model together, at most; long ones are fewer (`making`)."""
    seed: int = 0
    device: str | None = None
    dtype: str | None = None
    threads: int = 1
    """CPU threads of each worker. More of them change the last bits of a result, so a worker never takes what is free."""
    ahead: int = 2
    """Batches whose images are decoded while the model is busy."""

    @property
    def arrays_folder(self) -> Path:
        """Where arrays are written."""
        return (self.folder if self.arrays == ARRAYS else self.folder.parent) / self.arrays


DECIDING = (
    "checkpoint_sha256",
    "data_revision",
    "split",
    "n",
    "extras",
    "parquet",
    "on_error",
    "context",
    "max_tokens",
    "top",
    "part_rows",
    "batch",
    "seed",
    "dtype",
    "threads",
    "arrays",
)
"""Fields that decide what the files of an export are. Data and checkpoint count by content, not by where they lie."""
