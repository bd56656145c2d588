"""Data sets: where they come from, how they are split, shuffled, preprocessed and checked.

A data set is a frozen `Dataset` of three splits; pictures stay uint8 in memory until a batch is
gathered.  Importing this package imports NumPy only; archives, downloads and pictures bring in what
they need when they are asked for.

Examples
--------
>>> import backpass.data as data
>>> digits = data.load("digits")
>>> print(digits)
digits: 10 classes, samples (1, 8, 8) uint8; train 1297, val 200, test 300
>>> scale = digits.fit_preprocess("scale")
>>> batch = scale.apply(digits.train.x[:64])
>>> batch.shape, batch.dtype, float(batch.max())
((64, 1, 8, 8), dtype('float32'), 1.0)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backpass.data.dataset import Dataset, Split, describe
from backpass.data.places import cache_dir
from backpass.data.preprocess import Preprocess
from backpass.data.sampling import batches, gather, order
from backpass.data.sources import NAMES, Available, available, load

if TYPE_CHECKING:
    from backpass.data.augment import (
        AlternatingFlip,
        Augmentation,
        Brightness,
        Contrast,
        Cutout,
        Flip,
        Translate,
        augmented,
    )
    from backpass.data.fetch import download
    from backpass.data.folder import read_picture

__all__ = [
    "NAMES",
    "AlternatingFlip",
    "Augmentation",
    "Available",
    "Brightness",
    "Contrast",
    "Cutout",
    "Dataset",
    "Flip",
    "Preprocess",
    "Split",
    "Translate",
    "augmented",
    "available",
    "batches",
    "cache_dir",
    "describe",
    "download",
    "gather",
    "load",
    "order",
    "read_picture",
]

_AUGMENT = ("AlternatingFlip", "Augmentation", "Brightness", "Contrast", "Cutout", "Flip", "Translate", "augmented")
_LATER = {"download": "fetch", "read_picture": "folder", **dict.fromkeys(_AUGMENT, "augment")}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        globals()[name] = found = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
