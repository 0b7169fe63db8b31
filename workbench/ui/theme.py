"""How the page looks: Gradio's theme with fonts of the system, and our own style sheet. Nothing is fetched from outside."""

from importlib.resources import files

from gradio.themes import Base, Soft, colors

_STATIC = files("workbench.ui") / "static"


def make_theme() -> Base:
    """A quiet theme; fonts are those of the system, because Gradio's default ones come from a web address."""
    return Soft(
        primary_hue=colors.blue,
        neutral_hue=colors.slate,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def read_style(name: str) -> str:
    """A style sheet of this package."""
    return (_STATIC / name).read_text(encoding="utf-8")


def read_script(prefix: str) -> str:
    """The numbered scripts of a component in order, as one."""
    parts = sorted(
        (entry for entry in (_STATIC / prefix).iterdir() if entry.name.endswith(".js")), key=lambda entry: entry.name
    )
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)
