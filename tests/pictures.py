"""Random pictures, for tests."""

from io import BytesIO

import numpy as np
from PIL import Image

from workbench.images import refer
from workbench.types import ImageRef


def picture(width: int, height: int, seed: int = 0) -> ImageRef:
    """A random image of the given size."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return refer(file.getvalue(), name=f"{width}x{height}.png")
