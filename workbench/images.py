"""Image files from strangers: checked before they are decoded, and turned into plain RGB in one way only.

`refer` answers "may this be opened, and how large is it?"; `open_image` gives the pixels that the model, the heatmaps and
the reports all see; `notes` says what had to be changed on the way. Pillow's global settings are never touched.
"""

import hashlib
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image

from workbench.errors import BadInput, Unreadable
from workbench.types import ImageRef

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_BYTES = 25 * 2**20
MAX_PIXELS = 40_000_000
MAX_RATIO = 200
"""Longer side over shorter side; beyond it a Qwen2-VL processor refuses the image."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
# What Pillow's decoders raise on hostile or damaged bytes; anything else is our bug and shows itself.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, OverflowError)
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"RIFF", "WEBP"),
)
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"PK\x03\x04", "a ZIP archive"),
)
# Filters of `warnings` belong to the process, so that one opening at a time may change them.
_WARNINGS_LOCK = threading.Lock()


def refer(source: Path | str | bytes, *, name: str | None = None) -> ImageRef:
    """Check an image file or its bytes, and return a reference to it.

    The content decides what it is, not the file's ending. The image is decoded once, so that a truncated file fails here.

    Args:
        source: a path, or the encoded bytes.
        name: what messages call it; the file's name when not given.

    Raises:
        BadInput: with one sentence that names the file.
    """
    if isinstance(source, bytes):
        path, data, called = None, source, _tidy(name or "image")
    else:
        path = Path(source)
        called = _tidy(name or path.name or str(path))
        data = _read(path, called)
    _check_bytes(data, called)
    with _opened(data, called) as image:
        _check_size(image.width, image.height, called)
        width, height = image.size
        if _orientation(image) in _SWAPS_SIDES:
            width, height = height, width
        _check_whole(image, data, called)
    return ImageRef(
        path=path.resolve() if path is not None else None,
        data=data if path is None else None,
        sha256=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        name=called,
    )


def open_image(ref: ImageRef) -> Image.Image:
    """Decode to RGB, 8 bits: first frame, EXIF turn applied once, transparency laid on white, 16 bits scaled down.

    Raises:
        Unreadable: when the file has gone or has changed since it was checked.
    """
    with _opened(_bytes_of(ref), ref.name) as image:
        try:
            image.load()
        except _DAMAGE as error:
            raise BadInput(_broken(ref.name)) from error
        turn = _TURNS.get(_orientation(image))
        flat = _to_rgb(image)
    return flat.transpose(turn) if turn is not None else flat


def notes(ref: ImageRef) -> tuple[str, ...]:
    """What `open_image` changes about this image, as short sentences for people; empty for an ordinary RGB image."""
    with _opened(_bytes_of(ref), ref.name) as image:
        found = []
        if getattr(image, "is_animated", False):
            found.append(f"{ref.name}: animated, only the first {_frames(image)} is used")
        if _orientation(image) in _TURNS:
            found.append(f"{ref.name}: turned as its EXIF entry says")
        if image.has_transparency_data:
            found.append(f"{ref.name}: transparent, shown on white")
        if image.mode.startswith(("I", "F")):
            found.append(f"{ref.name}: more than 8 bits per pixel, scaled to 8")
        if image.mode == "CMYK":
            found.append(f"{ref.name}: CMYK, converted to RGB without a colour profile")
    return tuple(found)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Open without decoding. Errors of the body pass through untouched."""
    try:
        with _quietly():
            image = Image.open(BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInput(_too_large(name, "too many pixels")) from error
    except _DAMAGE as error:
        raise BadInput(_unreadable(data, name)) from error
    with image:
        yield image


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Pillow's remarks on odd headers from the user, and make its warning of a bomb an error."""
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _read(path: Path, name: str) -> bytes:
    if str(path).startswith(("http:/", "https:/")):
        raise BadInput(f"'{path}' is a web address; save the image to a file first.")
    try:
        if path.is_dir():
            raise BadInput(f"'{name}' is a folder, not an image file.")
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(_too_heavy(name, path.stat().st_size))
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Unreadable(f"There is no file '{path}'; check the path of the image.") from error
    except (OSError, ValueError) as error:
        raise Unreadable(f"'{name}' cannot be read: {error}.") from error


def _bytes_of(ref: ImageRef) -> bytes:
    if ref.data is not None:
        return ref.data
    assert ref.path is not None
    data = _read(ref.path, ref.name)
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise Unreadable(f"'{ref.name}' has changed on disk since it was checked; give it again.")
    return data


def _check_bytes(data: bytes, name: str) -> None:
    if not data:
        raise BadInput(f"'{name}' is empty (0 bytes), not an image.")
    if len(data) > MAX_BYTES:
        raise BadInput(_too_heavy(name, len(data)))


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise BadInput(f"'{name}' is {width} × {height} pixels: there is nothing in it to look at.")
    if width * height > MAX_PIXELS:
        raise BadInput(_too_large(name, f"{width} × {height} pixels"))
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BadInput(
            f"'{name}' is {width} × {height} pixels; one side may be at most {MAX_RATIO} times the other, so crop it."
        )


def _check_whole(image: Image.Image, data: bytes, name: str) -> None:
    """Decode once for real. `verify` finds damage that decoding forgives, and leaves its image unusable."""
    try:
        with _opened(data, name) as other:
            other.verify()
        image.load()
    except _DAMAGE as error:
        raise BadInput(_broken(name)) from error


def _orientation(image: Image.Image) -> int:
    try:
        with _quietly():
            return int(image.getexif().get(_ORIENTATION, 1))
    except (*_DAMAGE, TypeError):
        return 1  # a damaged EXIF block says nothing about the pixels, which are fine


def _frames(image: Image.Image) -> str:
    try:
        return f"of {getattr(image, 'n_frames', 1)} frames"
    except _DAMAGE:
        return "frame"  # a later frame is damaged; the first, which is the one used, was decoded


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _to_eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale the full range of the format to 0 ... 255, where Pillow's own conversion would clip to white."""
    wide = image.convert("F")
    low, high = wide.getextrema()
    assert isinstance(low, float)
    assert isinstance(high, float)
    if low >= 0 and high <= 1 and image.mode == "F":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scale = 255 / (high - low) if high > low else 0.0
    return wide.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _tidy(name: str) -> str:
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    return printable if len(printable) <= 120 else f"{printable[:80]}…{printable[-39:]}"


def _unreadable(data: bytes, name: str) -> str:
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return f"'{name}' begins like a {kind} image but is damaged or cut off; export it again."
    return f"'{name}' is {_kind(data)}, not an image that can be read; give a JPEG, PNG, WebP, GIF or BMP file."


def _kind(data: bytes) -> str:
    for signature, kind in _FOREIGN:
        if data.startswith(signature):
            return kind
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "a HEIC or AVIF image"
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"<svg" in head:
        return "an SVG drawing"
    try:
        data[:4096].decode()
    except UnicodeDecodeError as error:
        if error.start < min(len(data), 4096) - 4:
            return "a file of unknown kind"
    return "a text file" if b"\x00" not in data[:4096] else "a file of unknown kind"


def _broken(name: str) -> str:
    return f"'{name}' is damaged or cut off: its pixels cannot all be decoded; export or download it again."


def _too_heavy(name: str, size: int) -> str:
    return (
        f"'{name}' is {size / 2**20:.0f} MB; image files may have at most {MAX_BYTES // 2**20} MB, so make it smaller."
    )


def _too_large(name: str, size: str) -> str:
    return f"'{name}' has {size}; at most {MAX_PIXELS // 1_000_000} million pixels are opened, so make it smaller."
