"""A folder of images with a CSV."""

from pathlib import Path

from published import write_picture


def write(folder: Path) -> str:
    write_picture(folder / "images" / "red.png")
    lines = (
        "id,query,image,answer,target",
        'a,"what colour, exactly ?",images/red.png,red,red',
        "b,which colour is the sky ?,,blue,blue",
        "c,what colour ?,images/red.png,red,red",
    )
    return _write(folder, lines)


def write_bad(folder: Path) -> tuple[str, int]:
    return _write(folder, ("query,answer", "fine,yes", "too,many,cells", "fine,no")), 2


def write_missing(folder: Path) -> tuple[str, int]:
    return _write(folder, ("query,image", "fine,", "what ?,gone.png", "fine too,")), 2


def write_twice(folder: Path) -> tuple[str, int]:
    return _write(folder, ("id,query", "a,one", "a,two", "b,three")), 2


def _write(folder: Path, lines: tuple[str, ...]) -> str:
    (folder / "test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)
