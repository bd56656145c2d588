from __future__ import annotations

import hashlib

import numpy as np

from backpass import data
from backpass.data.digits import FILE


def test_the_file_is_the_one_its_note_describes():
    with np.load(FILE, allow_pickle=False) as arrays:
        sha = hashlib.sha256(arrays["x"].tobytes() + arrays["y"].tobytes()).hexdigest()
    assert sha in FILE.with_suffix(".txt").read_text()


def test_splits_are_fixed_for_ever():
    digits = data.load("digits")
    assert [len(s) for s in digits.splits.values()] == [1297, 200, 300]
    assert digits.fingerprint() == "440bdbd7271c9dbc09b962cc01b4f4fb47f6ea31c0dd901a6c4e897a5384a008"
    assert (digits.train.x.dtype, digits.max_value, digits.train.x.max()) == (np.uint8, 16.0, 16)


def test_they_are_the_uci_digits():
    import pytest

    sklearn = pytest.importorskip("sklearn.datasets", reason="scikit-learn has an independent copy")
    x, y = sklearn.load_digits(return_X_y=True)
    digits = data.load("digits")
    ours = [np.append(s.x.reshape(-1, 64), s.y[:, None], axis=1) for s in digits.splits.values()]
    theirs = np.append(x, y[:, None], axis=1).astype(np.int64)
    assert sorted(map(tuple, np.concatenate(ours).tolist())) == sorted(map(tuple, theirs.tolist()))


def test_every_split_has_every_class_in_proportion():
    for split in data.load("digits").splits.values():
        share = np.bincount(split.y) / len(split)
        assert np.abs(share - 0.1).max() < 0.01
    for split in data.load("digits", val=300, seed=1).splits.values():
        assert np.abs(np.bincount(split.y) / len(split) - 0.1).max() < 0.01
