"""Reading the Hugging Face part of a checkpoint, with every failure turned into one sentence."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from workbench.errors import BadCheckpoint
from workbench.models.registries import Family, Processor


def read_hugging_face(
    family: Family, path: Path, *, device: torch.device, dtype: torch.dtype
) -> tuple[Any, Processor]:
    """Load model and processor. Raises BadCheckpoint naming what is missing, torn or of another model."""
    try:
        model = family.load_model(path, device=device, dtype=dtype)
    except SafetensorError as error:
        raise BadCheckpoint(f"The weights of '{path.name}' are damaged ({error}); copy the file again.") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadCheckpoint(f"The weights of '{path.name}' cannot be loaded: {_first_line(error)}") from error
    try:
        processor = family.load_processor(path)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BadCheckpoint(
            f"Tokenizer or image processor of '{path.name}' cannot be loaded: {_first_line(error)}"
        ) from error
    return model, processor


def weights_hash(folder: Path) -> str:
    """SHA-256 over the folder's weight files, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as content:
            for block in iter(lambda: content.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
