"""The 36 image tasks: tables of `ziyjiang/MMEB_Test_Instruct`, pictures of `TIGER-Lab/MMEB-V2/image-tasks`.

A row ranks its own candidates, of which the first is right. An image's token and the space after it belong to the model,
so a text here begins where that code's text goes on after them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.data.mmeb.row import Parsed, Side, one_right, text, texts

_TOKEN = "<|image_1|>"


def parse_to_text(values: Mapping[str, Any], root: Path, *, question: bool) -> Parsed:
    """Classification, question answering (`question`) and image-to-text retrieval: candidates are texts."""
    candidates = tuple(Side(name=one, text=one) for one in texts(values, "tgt_text"))
    return _parsed(_pictured_query(values, root, question=question), candidates)


def parse_text_to_image(values: Mapping[str, Any], root: Path, *, dialogue: bool) -> Parsed:
    """Text-to-image retrieval; `dialogue` (VisDial) ends with a second line end."""
    instruction = text(values, "qry_inst").replace(_TOKEN, "")
    query = Side(text=f"{instruction} {text(values, 'qry_text')}\n" + "\n" * dialogue)
    paths = texts(values, "tgt_img_path")
    written = _target_texts(values, len(paths), end="\n")
    sides = zip(paths, written, strict=True)
    return _parsed(query, tuple(Side(name=path, text=line, images=(root / path,)) for path, line in sides))


def parse_image_to_image(values: Mapping[str, Any], root: Path) -> Parsed:
    """Image-to-image retrieval and grounding; a candidate is named by its picture and its caption."""
    paths, captions = texts(values, "tgt_img_path"), texts(values, "tgt_text")
    sides = zip(paths, captions, _target_texts(values, len(paths), end=""), strict=True)
    candidates = tuple(
        Side(name="{}:{}".format(path, caption.strip('"')), text=line, images=(root / path,))
        for path, caption, line in sides
    )
    return _parsed(_pictured_query(values, root, question=True), candidates)


def _pictured_query(values: Mapping[str, Any], root: Path, *, question: bool) -> Side:
    instruction = text(values, "qry_inst").replace(_TOKEN, "")
    if question:
        instruction = "\n" + instruction.strip()
    asked = text(values, "qry_text") if values.get("qry_text") is not None else ""
    return Side(
        text=_after_token(f"{instruction} {asked}" if asked else instruction, end="\n"),
        images=(root / text(values, "qry_img_path"),),
    )


def _target_texts(values: Mapping[str, Any], n: int, *, end: str) -> list[str]:
    """The texts of the candidates; all have the instruction alone where the first has no caption."""
    instruction, captions = text(values, "tgt_inst").replace(_TOKEN, ""), texts(values, "tgt_text")
    if captions[0].strip():
        return [_after_token(f"{instruction} {caption}", end="\n") for caption in captions]
    return [_after_token(instruction, end=end)] * n


def _after_token(prompt: str, *, end: str) -> str:
    """The published clean-up, made to the text with its token's space, which is then taken off again."""
    cleaned = f" {prompt}".replace(" \n", "\n") + end
    return cleaned.removeprefix(" ")


def _parsed(query: Side, candidates: tuple[Side, ...]) -> Parsed:
    return Parsed(query=query, candidates=candidates, right=one_right(candidates, candidates[0].name))
