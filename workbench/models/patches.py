"""Patches of an image as transformers' Qwen2-VL processor cuts them, to the last bit, at a fraction of its time.

A pixel has 256 values, so scaling and normalising is a table, made once by the processor's own functions; and bytes are put
into the patches' order before they become floats, not after.
"""

from typing import final

import numpy as np
from jaxtyping import Float
from PIL import Image
from transformers.image_utils import PILImageResampling
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize


@final
class Patcher:
    """Cuts images for one processor, whose settings are read here and must not change afterwards."""

    def __init__(self, images: Qwen2VLImageProcessorPil) -> None:
        self._images = images
        # A processor of another class, or told to leave out a step, does as it is told.
        plain = type(images) is Qwen2VLImageProcessorPil
        self._usual = plain and images.do_convert_rgb and images.do_resize and images.do_rescale and images.do_normalize
        if self._usual:
            values = np.arange(256, dtype=np.uint8)[None, None].repeat(3, axis=0)
            scaled = images.rescale(values, images.rescale_factor)
            self._table = images.normalize(scaled, images.image_mean, images.image_std).astype(np.float32)[:, 0]

    def cut(self, image: Image.Image) -> tuple[Float[np.ndarray, "patches values"], tuple[int, int, int]]:
        """Patches of an RGB image, and its grid of (frames, rows, cols) patches. Raises ValueError for too long a side."""
        images = self._images
        if not self._usual:
            made = images(images=[image], return_tensors="np")
            frames, rows, cols = made["image_grid_thw"][0].tolist()
            return np.asarray(made["pixel_values"], dtype=np.float32), (frames, rows, cols)
        side, merge = images.patch_size, images.merge_size
        height, width = smart_resize(
            image.height,
            image.width,
            factor=side * merge,
            min_pixels=images.size["shortest_edge"],
            max_pixels=images.size["longest_edge"],
        )
        resample = PILImageResampling.BILINEAR if images.resample is None else images.resample
        pixels = np.asarray(image.resize((width, height), resample=resample))
        rows, cols = height // side, width // side
        blocks = pixels.reshape(rows // merge, merge, side, cols // merge, merge, side, 3)
        ordered = blocks.transpose(6, 0, 3, 1, 4, 2, 5).reshape(3, rows * cols, 1, side * side)
        # A still image is the same in every frame of a patch.
        patches = np.empty((rows * cols, 3, images.temporal_patch_size, side * side), dtype=np.float32)
        for channel, levels in enumerate(self._table):
            patches[:, channel] = levels[ordered[channel]]
        return patches.reshape(rows * cols, -1), (1, rows, cols)
