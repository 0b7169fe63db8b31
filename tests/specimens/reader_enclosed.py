"""A folder of images with a CSV in a folder of its own, as people zip it."""

from pathlib import Path

from published import write_picture


def write(folder: Path) -> str:
    write_picture(folder / "photos" / "images" / "red.png")
    return _write(
        folder, ("id,query,image", "a,what ?,images/red.png", "b,which ?,", "c,and ?,../photos/images/red.png")
    )


def write_bad(folder: Path) -> tuple[str, int]:
    return _write(folder, ("query,answer", "fine,yes", "too,many,cells", "fine,no")), 2


def write_missing(folder: Path) -> tuple[str, int]:
    return _write(folder, ("query,image", "fine,", "what ?,gone.png", "fine too,")), 2


def write_twice(folder: Path) -> tuple[str, int]:
    return _write(folder, ("id,query", "a,one", "a,two", "b,three")), 2


def _write(folder: Path, lines: tuple[str, ...]) -> str:
    (folder / "photos").mkdir(exist_ok=True)
    (folder / "photos" / "my questions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)
