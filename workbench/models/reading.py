"""Reading the Hugging Face part of a checkpoint, with every failure turned into one sentence."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from workbench.errors import BadCheckpoint
from workbench.models.registries import Family, Processor


def read_hugging_face(family: Family, path: Path, *, device: torch.device, dtype: torch.dtype) -> tuple[Any, Processor]:
    """Load model and processor. Raises BadCheckpoint naming what is missing, torn or of another model."""
    kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind != family.name:
        # transformers would fill what the config does not say with the sizes of a 7B model, and allocate them.
        raise BadCheckpoint(f"config.json of '{path.name}' is of model type '{kind}'; expected '{family.name}'.")
    try:
        model = family.load_model(path, device=device, dtype=dtype)
    except SafetensorError as error:
        raise BadCheckpoint(f"The weights of '{path.name}' are damaged ({error}); copy the file again.") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BadCheckpoint(f"The weights of '{path.name}' cannot be loaded: {_first_line(error)}") from error
    if not any((path / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        # transformers would go on with an empty vocabulary.
        raise BadCheckpoint(f"'{path.name}' has neither tokenizer.json nor vocab.json; copy them from its base model.")
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
