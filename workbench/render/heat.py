"""Numbers as colours: palettes, heatmaps over images and colour bars. NumPy and Pillow, nothing else."""

from typing import Literal

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image

Palette = Literal["viridis", "cividis", "diverging"]

# Anchors of matplotlib's viridis and cividis (van der Walt, Smith; Nuñez, Anderton, Renslow 2018) and of ColorBrewer's
# RdBu turned round: blue is negative. All three read right with the common colour blindnesses.
_ANCHORS: dict[Palette, str] = {
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "diverging": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
}


def colours(
    values: Num[np.ndarray, "*axes"], *, low: float, high: float, palette: Palette = "viridis"
) -> UInt8[np.ndarray, "*axes 3"]:
    """RGB of each value; values beyond the ends take the colour of the end, NaN is mid grey.

    A scale without width (low = high) gives every value the lowest colour: there is nothing to tell apart.
    """
    table = _table(palette)
    width = high - low
    scaled = (
        np.clip((np.asarray(values, dtype=np.float64) - low) / width, 0, 1) if width > 0 else np.zeros(values.shape)
    )
    rgb = table[np.rint(np.nan_to_num(scaled) * 255).astype(np.intp)]
    return np.where(np.isnan(values)[..., None], np.uint8(128), rgb)


def overlay(
    image: Image.Image,
    values: Num[np.ndarray, "rows cols"],
    *,
    low: float,
    high: float,
    opacity: float = 0.6,
    smooth: bool = False,
    palette: Palette = "viridis",
) -> Image.Image:
    """Lay a map over an image, at the image's size. NaN patches are left clear.

    Patches stay squares of one colour unless `smooth`, which interpolates between patch centres: softer to look at, but it
    shows values that were never measured.
    """
    base = image.convert("RGB")
    layer = picture(values, base.size, low=low, high=high, smooth=smooth, palette=palette)
    clear = Image.fromarray(np.where(np.isnan(values), 0, round(255 * opacity)).astype(np.uint8))
    return Image.composite(layer, base, clear.resize(base.size, Image.Resampling.NEAREST))


def picture(
    values: Num[np.ndarray, "rows cols"],
    size: tuple[int, int],
    *,
    low: float,
    high: float,
    smooth: bool = False,
    palette: Palette = "viridis",
) -> Image.Image:
    """A map alone, enlarged to `size` = (width, height) pixels."""
    if not smooth:
        flat = Image.fromarray(colours(values, low=low, high=high, palette=palette))
        return flat.resize(size, Image.Resampling.NEAREST)
    known = np.nan_to_num(np.asarray(values, dtype=np.float32), nan=low)
    # The numbers are interpolated, not the colours, so that every pixel's colour is on the colour bar.
    between = np.asarray(Image.fromarray(known).resize(size, Image.Resampling.BILINEAR))
    return Image.fromarray(colours(between, low=low, high=high, palette=palette))


def colour_bar(size: tuple[int, int], *, palette: Palette = "viridis") -> Image.Image:
    """The palette from its low end at the left to its high end at the right, `size` = (width, height) pixels."""
    ramp = np.linspace(0, 1, size[0], dtype=np.float32)[None, :]
    return Image.fromarray(colours(np.repeat(ramp, size[1], axis=0), low=0, high=1, palette=palette))


def css_gradient(palette: Palette = "viridis") -> str:
    """The same palette as a CSS background."""
    return f"linear-gradient(90deg,{','.join(f'#{anchor}' for anchor in _ANCHORS[palette].split())})"


def ink(rgb: UInt8[np.ndarray, " 3"]) -> Literal["#000", "#fff"]:
    """Black or white, whichever has the higher contrast on this colour (WCAG 2 relative luminance)."""
    part = rgb.astype(np.float64) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return "#000" if luminance > 0.179 else "#fff"


def _table(palette: Palette) -> UInt8[np.ndarray, "256 3"]:
    anchors = np.array([list(bytes.fromhex(anchor)) for anchor in _ANCHORS[palette].split()], dtype=np.float64)
    places = np.linspace(0, 1, len(anchors))
    fine = np.linspace(0, 1, 256)
    return np.stack([np.interp(fine, places, anchors[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)
