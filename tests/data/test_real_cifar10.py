"""The same on the real pictures, where the machine has them (BACKPASS_DATA)."""

from __future__ import annotations

import numpy as np
import pytest

from backpass import data
from backpass.data.cifar10 import find_cifar10, read_cifar10
from backpass.data.places import places

FOUND = find_cifar10(places(None))
pytestmark = pytest.mark.skipif(FOUND is None, reason="CIFAR-10 is not on this machine (set BACKPASS_DATA)")


@pytest.fixture(scope="module")
def cifar10():
    return data.load("cifar10")


def test_the_course_split(cifar10):
    assert str(cifar10) == "cifar10: 10 classes, samples (3, 32, 32) uint8; train 49000, val 1000, test 10000"
    counts = sum(np.bincount(split.y) for split in (cifar10.train, cifar10.val))
    assert counts.tolist() == [5000] * 10
    assert np.bincount(cifar10.test.y).tolist() == [1000] * 10


def test_the_mean_is_cifar10s(cifar10):
    # Published per-channel means and deviations of the 50,000: 0.4914 0.4822 0.4465 and 0.2470 0.2435 0.2616
    # (within 1 %, for a copy of the pictures that went through JPEG).
    fitted = cifar10.fit_preprocess("per-channel")
    mean, std = fitted.shift[:, 0, 0] / 255, 1 / fitted.scale[:, 0, 0] / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], rtol=0.01)
    np.testing.assert_allclose(std, [0.2470, 0.2435, 0.2616], rtol=0.01)
    some = cifar10.subset(train=2000)
    fitted = some.fit_preprocess("per-channel")
    pixels = some.train.x / 255.0
    np.testing.assert_allclose(fitted.shift[:, 0, 0] / 255, pixels.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(1 / fitted.scale[:, 0, 0] / 255, pixels.std(axis=(0, 2, 3)), rtol=1e-6)


def test_both_layouts_hold_the_same(cifar10):
    python = next((f for place in places(None) for f in (place / "cifar-10-batches-py",) if f.is_dir()), None)
    if python is None:
        pytest.skip("the python layout is not beside the binary one")
    (x, y), (test_x, test_y) = read_cifar10(python)
    np.testing.assert_array_equal(x[:49_000], cifar10.train.x)
    np.testing.assert_array_equal(y[49_000:], cifar10.val.y)
    np.testing.assert_array_equal(test_x, cifar10.test.x)
    np.testing.assert_array_equal(test_y, cifar10.test.y)
