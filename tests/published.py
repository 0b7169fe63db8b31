"""Small data sets in the layouts in which other people publish theirs."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

Rows = Sequence[Mapping[str, Any]]


def picture(colour: str = "red", size: tuple[int, int] = (50, 30)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def write_picture(path: Path, colour: str = "red", size: tuple[int, int] = (50, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def encoded(colour: str = "red") -> dict[str, Any]:
    """An image as a Parquet file of the hub holds it."""
    return {"bytes": picture(colour), "path": None}


def write_table(path: Path, rows: Rows) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_mmeb_image(folder: Path, task: str, rows: Rows) -> str:
    """The table as `hf download` of ziyjiang/MMEB_Test_Instruct leaves it."""
    write_table(folder / "ziyjiang" / "MMEB_Test_Instruct" / task / "test-00000-of-00001.parquet", rows)
    return str(folder / task)


def write_mmeb_video(folder: Path, task: str, repository: str, table: str, rows: Rows) -> str:
    write_table(folder / repository / f"{table}-00000-of-00001.parquet", rows)
    return str(folder / task)


def write_frames(folder: Path, n: int = 2) -> None:
    """Frames whose width tells which they are."""
    for place in range(1, n + 1):
        write_picture(folder / f"frame_{place}.jpg", size=(40 + place, 40))


def write_beir(folder: Path, *, queries: Rows, corpus: Rows, qrels: Rows, split: str = "test") -> None:
    for config, rows in (("queries", queries), ("corpus", corpus), ("qrels", qrels)):
        write_table(folder / config / f"{split}-00000-of-00001.parquet", rows)


def write_visdoc(folder: Path, *, queries: Rows, pages: Sequence[str] = ("red", "blue"), grade: int = 1) -> str:
    """ViDoRe_arxivqa: queries of the first page, which is `pages[0]`, and the pictures inside the corpus."""
    write_beir(
        folder / "vidore" / "arxivqa_test_subsampled_beir",
        queries=queries,
        corpus=[{"corpus-id": place, "image": encoded(colour)} for place, colour in enumerate(pages)],
        qrels=[{"query-id": row["query-id"], "corpus-id": 0, "score": grade} for row in queries],
    )
    return str(folder / "ViDoRe_arxivqa")


def write_mrmr(folder: Path, part: str, *, queries: Rows, corpus: Rows, qrels: Rows) -> str:
    """One repository, named after its part."""
    for config, rows in (("query", queries), ("corpus", corpus), ("qrels", qrels)):
        write_table(folder / part / config / "test-00000-of-00001.parquet", rows)
    return str(folder / part)
