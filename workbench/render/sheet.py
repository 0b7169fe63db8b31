"""Maps over their images as one picture file: a row for each target, and the colour scale below."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from workbench.render import heat, values
from workbench.types import Measure, ProbeResult
from workbench.views import Overlay

_SIDE = 384
"""Longest side of an image in the picture, pixels."""
_GAP = 12
_LINE = 24
_BAR = (240, 14)
_OPACITY = 0.6


def explanation_png(result: ProbeResult, images: Sequence[Image.Image]) -> bytes:
    """Lay each target's maps over the images, as PNG. All maps of the picture share one colour scale.

    Args:
        result: of an attribution method; its measures `attribution_image_N` belong to `images[N]`.
        images: as the model saw them, in the sample's order.
    """
    measures = [result.measure(f"attribution_image_{number}") for number in range(len(images))]
    palette: heat.Palette = "diverging" if measures[0].signed else "viridis"
    low, high = values.limits(measures[0], np.concatenate([measure.values.ravel() for measure in measures]))
    small = [_fitted(image) for image in images]
    columns = [
        [
            (found.name, found.values)
            for found in values.maps(measure, Overlay(measure=measure.name, image=i, each="target"))
        ]
        for i, measure in enumerate(measures)
    ]
    rows = []
    for cells in zip(*columns, strict=True):
        drawn = [
            heat.overlay(picture, cell, low=low, high=high, opacity=_OPACITY, palette=palette)
            for picture, (_, cell) in zip(small, cells, strict=True)
        ]
        rows.append(_labelled(cells[0][0], _beside(drawn)))
    rows.append(_scale(measures[0], low, high, palette))
    buffer = io.BytesIO()
    _below(rows).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _fitted(image: Image.Image) -> Image.Image:
    scale = _SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    # A small picture is shown as the pixels that it has.
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BICUBIC)


def _labelled(label: str, picture: Image.Image) -> Image.Image:
    font = ImageFont.load_default(16)
    width = max(picture.width, int(font.getlength(label)) + 1)
    canvas = Image.new("RGB", (width, picture.height + _LINE), "white")
    ImageDraw.Draw(canvas).text((0, 2), label, fill="black", font=font)
    canvas.paste(picture, (0, _LINE))
    return canvas


def _scale(measure: Measure, low: float, high: float, palette: heat.Palette) -> Image.Image:
    canvas = Image.new("RGB", (_BAR[0] + 420, _LINE), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    left, right = values.number(low), f"{values.number(high)}  {measure.units}"
    begin = int(font.getlength(left)) + 8
    pen.text((0, 2), left, fill="black", font=font)
    canvas.paste(heat.colour_bar(_BAR, palette=palette), (begin, 5))
    pen.text((begin + _BAR[0] + 8, 2), right, fill="black", font=font)
    return canvas


def _beside(pictures: Sequence[Image.Image]) -> Image.Image:
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) - 1)
    canvas, at = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white"), 0
    for picture in pictures:
        canvas.paste(picture, (at, 0))
        at += picture.width + _GAP
    return canvas


def _below(rows: Sequence[Image.Image]) -> Image.Image:
    height = sum(row.height for row in rows) + _GAP * (len(rows) + 1)
    canvas, at = Image.new("RGB", (max(row.width for row in rows) + 2 * _GAP, height), "white"), _GAP
    for row in rows:
        canvas.paste(row, (_GAP, at))
        at += row.height + _GAP
    return canvas
