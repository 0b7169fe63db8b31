"""Every kind of image a stranger may give: the right pixels, or one sentence that names the file."""

import os
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from workbench import images
from workbench.errors import BadInput, Unreadable
from workbench.images import notes, open_image, refer
from workbench.types import ImageRef

CORNERS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 0, 0], [255, 255, 255]]], np.uint8)
"""2 rows, 3 columns, every pixel different, so that any turn or swap shows."""


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.effect_noise((width, height), 60)


def pixels(ref: ImageRef) -> np.ndarray:
    image = open_image(ref)
    assert image.mode == "RGB"
    return np.array(image)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "GIF", "JPEG"])
def test_each_format_keeps_size_and_orientation(kind: str) -> None:
    large = Image.fromarray(CORNERS.repeat(16, axis=0).repeat(16, axis=1))
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    ref = refer(encode(large, kind, **options))
    assert (ref.width, ref.height) == (48, 32)
    assert notes(ref) == ()
    centres = pixels(ref)[8::16, 8::16].astype(int)
    assert np.abs(centres - CORNERS).max() <= (12 if kind == "JPEG" else 0)


def test_a_file_is_referred_to_by_path_and_hash(tmp_path: Path) -> None:
    path = tmp_path / "corners.png"
    Image.fromarray(CORNERS).save(path)
    ref = refer(path)
    assert ref.path == path
    assert ref.data is None
    assert ref.name == "corners.png"
    assert ref.sha256 == refer(path.read_bytes()).sha256
    assert (pixels(ref) == CORNERS).all()


def test_the_content_decides_not_the_ending(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(Image.fromarray(CORNERS), "PNG"))
    assert (pixels(refer(path)) == CORNERS).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_are_applied_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    ref = refer(encode(Image.fromarray(CORNERS), "PNG", exif=exif))
    upright = {
        1: CORNERS,
        2: CORNERS[:, ::-1],
        3: CORNERS[::-1, ::-1],
        4: CORNERS[::-1],
        5: CORNERS.transpose(1, 0, 2),
        6: np.rot90(CORNERS, -1),
        7: CORNERS[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(CORNERS, 1),
    }[orientation]
    assert (ref.height, ref.width) == upright.shape[:2]
    assert (pixels(ref) == upright).all()
    assert notes(ref) == (() if orientation == 1 else ("image: turned as its EXIF entry says",))


def test_damaged_exif_does_not_cost_the_image() -> None:
    data = encode(Image.fromarray(CORNERS), "PNG", exif=b"Exif\x00\x00MM\x00*broken")
    assert (pixels(refer(data)) == CORNERS).all()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 257 * 100, 65535]], np.uint16)
    ref = refer(encode(Image.fromarray(values)))
    assert pixels(ref)[..., 0].tolist() == [[0, 100, 255]]
    assert notes(ref) == ("image: more than 8 bits per pixel, scaled to 8",)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [[0, 128, 255]]),
        (np.array([[-100, 0, 100]], np.int32), [[0, 128, 255]]),
        (np.array([[0, 100_000, 200_000]], np.int32), [[0, 128, 255]]),
        (np.array([[-7, -7]], np.int32), [[0, 0]]),
    ],
)
def test_wide_modes_use_their_whole_range(values: np.ndarray, expected: list[list[int]]) -> None:
    assert np.array(images._to_eight_bits(Image.fromarray(values))).tolist() == expected


def test_cmyk_becomes_rgb() -> None:
    ref = refer(encode(Image.new("CMYK", (16, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert np.abs(pixels(ref).astype(int) - [255, 0, 0]).max() <= 3
    assert "CMYK" in notes(ref)[0]


def test_transparency_is_laid_on_white() -> None:
    layer = Image.new("RGBA", (3, 2), (255, 0, 0, 0))
    layer.putpixel((1, 0), (0, 0, 255, 255))
    layer.putpixel((2, 0), (0, 0, 0, 128))
    found = pixels(ref := refer(encode(layer)))
    assert found[0].tolist() == [[255, 255, 255], [0, 0, 255], [127, 127, 127]]
    assert notes(ref) == ("image: transparent, shown on white",)


def test_a_palette_with_transparency_is_laid_on_white() -> None:
    image = Image.new("P", (3, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    found = pixels(ref := refer(encode(image, "PNG", transparency=0)))
    assert found[0].tolist() == [[255, 255, 255], [200, 100, 50], [255, 255, 255]]
    assert notes(ref) == ("image: transparent, shown on white",)


@pytest.mark.parametrize(("mode", "colour", "expected"), [("1", 1, 255), ("L", 90, 90), ("LA", (90, 255), 90)])
def test_grey_modes_become_rgb(mode: str, colour: int | tuple[int, int], expected: int) -> None:
    assert (pixels(refer(encode(Image.new(mode, (3, 2), colour)))) == expected).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_used_and_told(kind: str) -> None:
    frames = [Image.new("RGB", (8, 4), colour) for colour in ("red", "green", "blue")]
    ref = refer(encode(frames[0], kind, save_all=True, append_images=frames[1:]), name="moving")
    assert np.abs(pixels(ref).astype(int) - [255, 0, 0]).max() <= 4
    assert notes(ref) == ("moving: animated, only the first of 3 frames is used",)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"a shopping list\n", "is a text file, not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"<?xml version='1.0'?>\n<svg/>", "is an SVG drawing"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"%PDF-1.7 ...", "is a PDF document"),
        (b"PK\x03\x04....", "is a ZIP archive"),
        (bytes(range(256)), "is a file of unknown kind"),
        (encode(noise(), "TIFF"), "is a TIFF image"),
        (b"\xff\xd8\xff\xe0 and no more", "begins like a JPEG image but is damaged"),
        (b"GIF89a\x00\x00\x00\x00\x00\x00\x00", "begins like a GIF image but is damaged"),
        (encode(Image.new("RGB", (20_000, 10))), "20000 × 10 pixels; one side may be at most 200 times the other"),
        (encode(Image.new("1", (7000, 7000))), "7000 × 7000 pixels; at most 40 million"),
        (encode(Image.new("1", (13_000, 13_000))), "at most 40 million"),
        (encode(Image.new("1", (19_000, 19_000))), "at most 40 million"),
    ],
)
def test_what_is_no_usable_image_is_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        refer(data, name="it.png")
    message = str(caught.value)
    assert sentence in message
    assert "'it.png'" in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused(kind: str, share: float) -> None:
    data = encode(noise().convert("RGB"), kind)
    with pytest.raises(BadInput, match="damaged or cut off"):
        refer(data[: int(len(data) * share)])


def test_zero_size_is_refused() -> None:
    data = bytearray(encode(Image.new("RGB", (4, 4)), "BMP"))
    data[18:22] = (0).to_bytes(4, "little")
    with pytest.raises(BadInput):
        refer(bytes(data))


def test_a_heavy_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "heavy.png"
    with path.open("wb") as file:
        os.truncate(file.fileno(), images.MAX_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    with pytest.raises(BadInput, match="may have at most 25 MB"):
        refer(path)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("nowhere.png", "There is no file"), (".", "is a folder"), ("https://a.example/b.png", "is a web address")],
)
def test_a_path_that_cannot_be_read_is_told(path: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        refer(path)


def test_a_file_that_may_be_back_is_told_from_one_that_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.fromarray(CORNERS)))
    ref = refer(path)
    path.unlink()
    with pytest.raises(Unreadable, match="There is no file"):
        open_image(ref)
    path.write_bytes(encode(noise()))
    with pytest.raises(Unreadable, match="has changed on disk"):
        open_image(ref)
    # What the system says of a path without looking, as of one on a share that does not answer.
    with pytest.raises(Unreadable, match=r"cannot be read: .*File name too long"):
        refer(tmp_path / f"{'a' * 300}.png")
    path.write_bytes(b"text")
    with pytest.raises(BadInput) as told:
        refer(path)
    assert not isinstance(told.value, Unreadable)


def test_a_file_that_changed_after_the_check_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.fromarray(CORNERS)))
    ref = refer(path)
    path.write_bytes(encode(noise()))
    with pytest.raises(BadInput, match="has changed on disk"):
        open_image(ref)


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    with pytest.raises(BadInput) as caught:
        refer(b"text", name="a\x1b[31m\nb.png")
    assert str(caught.value).startswith("'a?[31m?b.png'")


def test_pillow_is_left_as_it_was() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    refer(encode(noise()))
    with pytest.raises(BadInput):
        refer(encode(Image.new("1", (13_000, 13_000))))
    assert limit == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_pixels_or_a_sentence_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]))
    original = bytearray(encode(Image.fromarray(CORNERS.repeat(9, axis=0).repeat(7, axis=1)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    try:
        ref = refer(bytes(original))
        assert open_image(ref).size == (ref.width, ref.height)
        notes(ref)
    except BadInput as error:
        assert "\n" not in str(error)
