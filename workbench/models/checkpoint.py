"""From a folder to a loaded model: which device and dtype, which format, and every way in which a folder can be wrong."""

import gc
import os
import threading
from pathlib import Path

import torch

from workbench.embedder import Embedder
from workbench.errors import BadCheckpoint, BadInput
from workbench.models.reading import check_folder
from workbench.models.registries import FORMATS, Format

_LOADING = threading.Lock()
"""transformers sets torch's default dtype and how weights are made for the whole process while it loads: two loads at once
lose weights."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str | None = None, dtype: str | None = None) -> tuple[torch.device, torch.dtype]:
    """Device and dtype: as given, else THINKSCOPE_DEVICE and THINKSCOPE_DTYPE, else CUDA with bf16, else CPU with float32."""
    device = device or os.environ.get("THINKSCOPE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or os.environ.get("THINKSCOPE_DTYPE") or ("bfloat16" if device.startswith("cuda") else "float32")
    if dtype not in DTYPES:
        raise BadInput(f"The dtype '{dtype}' is unknown; choose one of {', '.join(DTYPES)}.")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BadInput(f"The device '{device}' is unknown; choose cpu, cuda or cuda:1.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise BadInput("The device 'cuda' was asked for, but torch sees no GPU here; choose cpu.")
    return chosen, DTYPES[dtype]


def find_format(folder: Path) -> Format | None:
    """The format that recognises a folder; None where none does."""
    return next((reader for _, kind in FORMATS.items() if (reader := kind()).recognises(folder)), None)


def check_format(folder: Path) -> Format:
    """The format that recognises a folder. Raises BadCheckpoint where none does."""
    reader = find_format(folder)
    if reader is None:
        raise BadCheckpoint(
            f"'{folder.name}' is of no known format ({', '.join(FORMATS.names())}); a Thinkscope checkpoint holds a "
            "thinkscope.json. `thinkscope train tte-flash --backbone FOLDER` makes one from a Qwen2-VL model."
        )
    return reader


def load_checkpoint(path: Path | str, *, device: str | None = None, dtype: str | None = None) -> Embedder:
    """Load a checkpoint folder, whatever its format; one at a time. Raises BadCheckpoint with one sentence.

    No other thread of the process should run a model meanwhile: torch's default dtype is that of the checkpoint until it is
    loaded.
    """
    folder = Path(path)
    check_folder(folder)
    chosen, precision = choose_device(device, dtype)
    reader = check_format(folder)
    with _LOADING:
        return reader.load(folder, device=chosen, dtype=precision)


def let_go() -> None:
    """Give back what models held that nobody uses any more, before another one is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
