from __future__ import annotations

import numpy as np
import pytest
from cifar_files import ROWS

from backpass.data import cifar10


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """No data folder and an empty cache, whatever the machine has."""
    monkeypatch.delenv("BACKPASS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def small_cifar(monkeypatch, no_data):
    """CIFAR-10 files of 20 pictures in place of 10,000."""
    monkeypatch.setattr(cifar10, "ROWS", ROWS)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6 * ROWS, 3072), dtype=np.uint8)
    y = rng.integers(0, 10, 6 * ROWS)
    return x, y
