"""The course's helpers for pictures: reading, scaling as SqueezeNet wants it and back, a gentle blur.

Examples
--------
>>> import numpy as np
>>> picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
>>> np.array_equal(deprocess_image(preprocess_image(picture)), picture)
True
"""

from __future__ import annotations

import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np

from ..data.folder import read_picture
from ..errors import ArgumentError, DownloadError, MissingExtraError, ShapeError
from ..layers.base import Array
from .fast_layers import conv_forward_fast

__all__ = [
    "SQUEEZENET_MEAN",
    "SQUEEZENET_STD",
    "blur_image",
    "deprocess_image",
    "image_from_url",
    "load_image",
    "preprocess_image",
]

SQUEEZENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
SQUEEZENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
LIMIT_BYTES = 50 * 2**20


def blur_image(X: Array) -> Array:
    """Return images (N, 3, H, W) blurred a little, each channel by itself: 94 % of a pixel, 6 % of its neighbours."""
    if X.ndim != 4 or X.shape[1] != 3:
        raise ShapeError(f"blur_image: expected images (N, 3, H, W), got {X.shape}")
    w = np.zeros((3, 3, 3, 3), X.dtype)
    for channel in range(3):
        w[channel, channel] = np.array([[1, 2, 1], [2, 188, 2], [1, 2, 1]]) / 200
    return conv_forward_fast(X, w, np.zeros(3, X.dtype), {"stride": 1, "pad": 1})[0]


def preprocess_image(img: Array) -> Array:
    """Return a picture (..., 3) of values to 255 as float32 with SqueezeNet's means and deviations taken out."""
    return (np.asarray(img, np.float32) / 255 - SQUEEZENET_MEAN) / SQUEEZENET_STD


def deprocess_image(img: Array, rescale: bool = False) -> Array:
    """Undo `preprocess_image`: uint8; `rescale` stretches the values over the whole range first."""
    img = np.asarray(img) * SQUEEZENET_STD + SQUEEZENET_MEAN
    if rescale:
        low, high = img.min(), img.max()
        img = (img - low) / (high - low) if high > low else np.zeros_like(img)
    return np.clip(np.rint(255 * img), 0, 255).astype(np.uint8)


def image_from_url(url: str) -> Array:
    """Return the picture (H, W, 3) uint8 at an http or https address, of at most 50 MB.

    Raises
    ------
    ArgumentError
        If the address is of another kind.
    DownloadError
        If it cannot be fetched.
    DataError
        If what is there is no picture.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ArgumentError(f"image_from_url: expected an address that begins with http:// or https://, got {url!r}")
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            raw = response.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise DownloadError(f"image_from_url: {url} cannot be fetched ({error})") from error
    if len(raw) > LIMIT_BYTES:
        raise DownloadError(f"image_from_url: {url} has more than {LIMIT_BYTES >> 20} MB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(raw)
        return read_picture(path).transpose(1, 2, 0)


def load_image(filename: str | Path, size: int | None = None) -> Array:
    """Return a picture file as (H, W, 3) uint8, its shorter edge scaled to `size` pixels if that is given."""
    picture = read_picture(Path(filename)).transpose(1, 2, 0)
    if size is None:
        return picture
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pictures need Pillow; type: pip install 'backpass[images]'") from None
    H, W, _ = picture.shape
    scale = size / min(H, W)
    return np.asarray(Image.fromarray(picture).resize((round(W * scale), round(H * scale)), Image.Resampling.BILINEAR))
