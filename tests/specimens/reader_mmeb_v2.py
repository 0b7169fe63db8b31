"""Tasks of MMEB-v2 with three rows: ImageNet-1K, and ViDoRe for what only tables with ids can have."""

from pathlib import Path

from published import Rows, write_mmeb_image, write_picture, write_visdoc


def write(folder: Path) -> str:
    write_picture(folder / "image-tasks" / "ImageNet-1K" / "red.jpg")
    return write_mmeb_image(folder, "ImageNet-1K", [row(), row(["blue", "red"]), row(["green", "red", "blue"])])


def write_bad(folder: Path) -> tuple[str, int]:
    write(folder)
    return write_mmeb_image(folder, "ImageNet-1K", [row(), row([]), row()]), 2


def write_missing(folder: Path) -> tuple[str, int]:
    write(folder)
    rows: Rows = [row(), row() | {"qry_img_path": "ImageNet-1K/gone.jpg"}, row()]
    return write_mmeb_image(folder, "ImageNet-1K", rows), 2


def write_twice(folder: Path) -> tuple[str, int]:
    queries = [{"query-id": name, "query": "which page is red?"} for name in (4, 4, 5)]
    return write_visdoc(folder, queries=queries), 2


def row(labels: list[str] | None = None) -> dict[str, object]:
    """A row as ziyjiang/MMEB_Test_Instruct has it."""
    return {
        "qry_inst": "<|image_1|> Represent the given image for classification \n",
        "qry_text": "",
        "qry_img_path": "ImageNet-1K/red.jpg",
        "tgt_inst": "",
        "tgt_text": ["red", "blue"] if labels is None else labels,
        "tgt_img_path": [],
    }
