"""The images of a result as the page shows them: the very pixels that the model was given, made no larger than needed."""

import base64
from io import BytesIO

from PIL import Image

MAX_SIDE = 1024
_LOSSLESS_SIDE = 512


def data_uri(image: Image.Image) -> str:
    """Encode an image for an `src` attribute."""
    small = image.copy()
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = BytesIO()
    # Flat drawings stay sharp as PNG; photographs would be heavy.
    kind = "png" if max(small.size) <= _LOSSLESS_SIDE else "jpeg"
    small.save(buffer, format=kind.upper(), **({} if kind == "png" else {"quality": 90}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
