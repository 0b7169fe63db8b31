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


def check_folder(folder: Path) -> None:
    """Refuse a folder that is no checkpoint, or one that could run code, before transformers reads it."""
    if not folder.exists():
        raise BadCheckpoint(f"There is no checkpoint folder '{folder}'.")
    if not folder.is_dir():
        raise BadCheckpoint(f"'{folder}' is a file; a checkpoint is a folder.")
    config = folder / "config.json"
    if not config.is_file():
        raise BadCheckpoint(f"'{folder.name}' has no config.json; a Hugging Face model directory is needed.")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadCheckpoint(f"config.json of '{folder.name}' is not valid JSON: {error}.") from error
    if not isinstance(settings, dict):
        raise BadCheckpoint(f"config.json of '{folder.name}' is not a JSON object.")
    # A config can name code to run (CVE-2026-4372 and its kind); such a folder is refused before transformers reads it.
    named = sorted(key for key in _keys(settings) if key == "auto_map" or key.startswith("_attn_implementation"))
    if named:
        raise BadCheckpoint(
            f"config.json of '{folder.name}' holds {', '.join(named)}, which can run foreign code; remove it to load the model."
        )
    if not list(folder.glob("*.safetensors")):
        found = [file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt"))]
        hint = f" It holds {found[0]}, which can run code when loaded; convert it to safetensors." if found else ""
        raise BadCheckpoint(f"'{folder.name}' has no model.safetensors.{hint}")


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in _keys(inner)}
    if isinstance(value, list):
        return {key for inner in value for key in _keys(inner)}
    return set()


def weights_hash(folder: Path) -> str:
    """SHA-256 over the folder's weight files, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as content:
            for block in iter(lambda: content.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


def checkpoint_hash(folder: Path) -> str:
    """SHA-256 over everything in the folder that decides its results: weights, settings, tokenizer, layout."""
    digest = hashlib.sha256(weights_hash(folder).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt", ".jinja") and file.name != "evaluation.json":
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
