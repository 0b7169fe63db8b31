"""Thinkscope's own format: an ordinary Hugging Face directory with a `thinkscope.json` that holds the layout."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, final

import torch

from workbench.embedder import Embedder, EmbedderInfo
from workbench.errors import BadCheckpoint
from workbench.models.backbone import Backbone
from workbench.models.bottleneck_embedder import BottleneckEmbedder, with_decoder
from workbench.models.capture import ATTENTION
from workbench.models.latent_decoder import LatentDecoder
from workbench.models.latent_embedder import LatentEmbedder
from workbench.models.layout import Layout
from workbench.models.one_pass import OnePassEmbedder
from workbench.models.reading import checkpoint_hash, read_hugging_face, weights_hash
from workbench.models.registries import FAMILIES, FORMATS, Family, Format
from workbench.models.sequence import LayoutIds
from workbench.models.writing_embedder import WritingEmbedder
from workbench.types import Provenance

MANIFEST = "thinkscope.json"
FORMAT_VERSION = 1


def write_manifest(folder: Path, backbone: Backbone, about: dict[str, Any]) -> None:
    """Write `thinkscope.json`: format, family, layout, and what is to be known about the training."""
    manifest = {
        "format": "thinkscope",
        "version": FORMAT_VERSION,
        "family": backbone.family.name,
        "layout": backbone.layout.to_json(),
        **about,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check `thinkscope.json`. Raises BadCheckpoint with one sentence."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadCheckpoint(f"'{folder.name}' has no {MANIFEST}, so its think tokens are unknown.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadCheckpoint(f"{MANIFEST} of '{folder.name}' is not valid JSON: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "thinkscope":
        raise BadCheckpoint(f"{MANIFEST} of '{folder.name}' is not of Thinkscope's format.")
    if manifest.get("version") != FORMAT_VERSION:
        raise BadCheckpoint(
            f"{MANIFEST} of '{folder.name}' has version {manifest.get('version')}; this Thinkscope reads {FORMAT_VERSION}."
        )
    return manifest


@FORMATS.register("thinkscope")
@final
class NativeFormat(Format):
    """A Hugging Face directory with a thinkscope.json."""

    name = "thinkscope"
    about = "Hugging Face directory (safetensors) with a thinkscope.json that holds the layout"

    def recognises(self, path: Path) -> bool:
        return (path / MANIFEST).is_file()

    def layout(self, path: Path, /) -> Layout:
        return Layout.from_json(read_manifest(path).get("layout", {}))

    def load(self, path: Path, *, device: torch.device, dtype: torch.dtype) -> Embedder:
        manifest, layout = read_manifest(path), self.layout(path)
        family = FAMILIES.get(str(manifest.get("family")))()
        model, processor = read_hugging_face(family, path, device=device, dtype=dtype)
        ids = LayoutIds.find(layout, processor.tokenizer)
        rows = family.token_embedding(model).weight.shape[0]
        highest = max(*ids.think, *ids.embed, ids.start, ids.end, 0)
        if highest >= rows:
            raise BadCheckpoint(
                f"'{path.name}' has {rows} embedding rows, but its tokenizer needs {highest + 1}; "
                "weights and tokenizer are not from the same checkpoint."
            )
        _part_tokens(model, family, layout, path, manifest)
        model.set_attn_implementation({"text_config": ATTENTION})
        # Gradients are taken with respect to what the model sees; those of its weights would only cost memory.
        model.requires_grad_(False)
        backbone = Backbone(model=model, family=family, processor=processor, layout=layout, ids=ids)
        info = _info(path, backbone, device, dtype)
        if layout.decoder == "latent":
            decoder = LatentDecoder.load(path, manifest.get("decoder"), latent_width=backbone.width, vocabulary=rows)
            decoder = decoder.to(device, dtype).requires_grad_(False).eval()
            return BottleneckEmbedder(backbone, with_decoder(info, decoder), decoder)
        if layout.writes_first:
            return WritingEmbedder(backbone, info, _max_written(path, manifest))
        if not layout.contexts:
            return OnePassEmbedder(backbone, info)
        return LatentEmbedder(backbone, info)


def _part_tokens(model: Any, family: Family, layout: Layout, path: Path, manifest: dict[str, Any]) -> None:
    """Give a model what its layout's extraction needs, from the folder, in place. Raises BadCheckpoint."""
    n_layers = len(family.layers(model))
    if layout.exit_layer >= n_layers:
        raise BadCheckpoint(
            f"'{path.name}' reads its thoughts behind layer {layout.exit_layer}, but has {n_layers} layers; exit_layer must be below."
        )
    if layout.extraction == "dual_adapter":
        # Not above: peft takes a second to import, and few models need it.
        from workbench.models.dual_adapter import load_sets

        load_sets(model, path, manifest.get("adapters"))


def _max_written(path: Path, manifest: dict[str, Any]) -> int | None:
    found = manifest.get("max_written")
    if found is not None and (not isinstance(found, int) or isinstance(found, bool) or found < 1):
        raise BadCheckpoint(
            f"{MANIFEST} of '{path.name}' has max_written {found!r}; it must be a whole number above 0."
        )
    return found


def _info(path: Path, backbone: Backbone, device: torch.device, dtype: torch.dtype) -> EmbedderInfo:
    config = backbone.model.config.text_config
    return EmbedderInfo(
        name=path.name,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_think=backbone.layout.n_think,
        width=config.hidden_size,
        dim=config.hidden_size,
        n_parameters=sum(parameter.numel() for parameter in backbone.model.parameters()),
        think_tokens=backbone.layout.think_tokens,
        contexts=backbone.layout.contexts,
        tells=backbone.layout.tells,
        max_tokens=config.max_position_embeddings,
        provenance=Provenance(
            checkpoint=path.name,
            weights_sha256=weights_hash(path),
            checkpoint_sha256=checkpoint_hash(path),
            family=backbone.family.name,
            format=NativeFormat.name,
            dtype=str(dtype).removeprefix("torch."),
            device=str(device),
            processor=backbone.processor.settings(),
            versions=_versions("thinkscope", "torch", "transformers", "pillow", "numpy"),
        ),
    )


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
