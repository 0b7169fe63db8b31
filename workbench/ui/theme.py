"""How the page looks: Gradio's theme with fonts of the system, and our own style sheet. Nothing is fetched from outside."""

from importlib.resources import files

from gradio.themes import Base, Soft, colors

from workbench.render.static import read_static

_STATIC = files("workbench.ui") / "static"
_FAINT, _FAINT_DARK = "#566274", "#a3b0c2"


def make_theme() -> Base:
    """A quiet theme; fonts are those of the system, because Gradio's default ones come from a web address."""
    return Soft(
        primary_hue=colors.blue,
        neutral_hue=colors.slate,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        # Gradio's own grey for explanations is too faint to read on white; these pass WCAG's 4.5 to 1.
        block_info_text_color=_FAINT,
        block_info_text_color_dark=_FAINT_DARK,
        body_text_color_subdued=_FAINT,
        body_text_color_subdued_dark=_FAINT_DARK,
        # `set` falls back to the base theme's white here; a tinted page lets the panels stand out.
        background_fill_primary="*neutral_50",
        block_border_width="1px",
        block_border_width_dark="1px",
        block_radius="12px",
        input_border_width="1px",
        input_border_width_dark="1px",
        block_title_background_fill="none",
        block_title_background_fill_dark="none",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_title_padding="0",
    )


def read_style(name: str) -> str:
    """A style sheet of this package."""
    return (_STATIC / name).read_text(encoding="utf-8")


def read_script(prefix: str, *also: str, shared: bool = True) -> str:
    """What a component runs, as one script.

    The builders that pages share with saved files (left out where they come along with something else), `page.js`, further
    shared scripts by name, then the component's own numbered ones in order.
    """
    parts = sorted(
        (entry for entry in (_STATIC / prefix).iterdir() if entry.name.endswith(".js")), key=lambda entry: entry.name
    )
    parts = [_STATIC / "page.js", *(_STATIC / name for name in also), *parts]
    own = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    return f"{read_static('elements.js')}\n{own}" if shared else own
