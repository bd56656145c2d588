"""The 1,797 UCI digits that ship with the package; `digits.txt` beside this file gives source and licence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backpass.data.dataset import Dataset, make_dataset

FILE = Path(__file__).with_name("digits.npz")


def load_digits(
    *, train: float | None = None, val: float | None = None, test: float | None = None, seed: int | None = None
) -> Dataset:
    """Return the digits: samples (1, 8, 8) uint8 from 0 to 16; 1297 to train, 200 to validate, 300 to test.

    Examples
    --------
    >>> load_digits(val=0.1).max_value
    16.0
    """
    with np.load(FILE, allow_pickle=False) as arrays:
        x, y = arrays["x"][:, None], arrays["y"]
    return make_dataset(
        "digits",
        (x, y),
        train=train,
        val=val,
        test=test,
        default_val=200,
        default_test=300,
        seed=seed,
        classes=[str(i) for i in range(10)],
        max_value=16.0,
    )
