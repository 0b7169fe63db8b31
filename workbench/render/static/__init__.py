"""Scripts and style sheets that the page and saved files share."""

from importlib.resources import files


def read_static(name: str) -> str:
    """One file of this folder; of a folder in it, all scripts in the order of their names, as one."""
    entry = files("workbench.render.static") / name
    if entry.is_file():
        return entry.read_text(encoding="utf-8")
    parts = sorted((part for part in entry.iterdir() if part.name.endswith(".js")), key=lambda part: part.name)
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)
