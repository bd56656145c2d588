from __future__ import annotations

import numpy as np
import pytest

from backpass import data
from backpass.data import checks
from backpass.errors import ArgumentError, BackpassError, DataError, DataNotFoundError, DTypeError, ShapeError

N = 100
X = np.arange(N * 4, dtype=np.float32).reshape(N, 4)
Y = np.repeat(np.arange(5), N // 5)


def test_a_pair_is_cut_into_disjoint_stratified_splits():
    dataset = data.load((X, Y))
    rows = np.concatenate([s.x[:, 0] for s in dataset.splits.values()])
    assert sorted(rows) == X[:, 0].tolist()  # every sample once
    assert [len(s) for s in dataset.splits.values()] == [70, 10, 20]
    for split, each in zip(dataset.splits.values(), (14, 2, 4), strict=True):
        assert np.bincount(split.y).tolist() == [each] * 5
        np.testing.assert_array_equal(split.y, split.x[:, 0] // 80)  # labels travel with their samples
    # In random order: neither by class nor, as the cut itself goes, each class once in every five.
    assert (np.diff(dataset.train.y) < 0).any()
    assert any(len(set(dataset.train.y[i : i + 5])) < 5 for i in range(0, 70, 5))


def test_stratified_with_uneven_classes():
    y = np.array([0] * 70 + [1] * 20 + [2] * 10)
    dataset = data.load((X, y), train=60, val=20, test=20, seed=3)
    for split, total in zip(dataset.splits.values(), (60, 20, 20), strict=True):
        counts = np.bincount(split.y, minlength=3)
        assert np.abs(counts - total * np.array([0.7, 0.2, 0.1])).max() <= 1


def test_seeds_differ_and_repeat():
    a, b, c = (data.load((X, Y), seed=s) for s in (0, 0, 1))
    assert a.fingerprint() == b.fingerprint() == data.load((X, Y)).fingerprint()
    assert a.fingerprint() != c.fingerprint()


def test_fingerprint_sees_everything():
    base = {"X_train": X, "y_train": Y, "X_val": X[:10], "y_val": Y[:10]}
    variants = [
        base,
        {**base, "X_train": X + np.eye(N, 4, dtype=np.float32)},
        {**base, "X_train": X.astype(np.float64), "X_val": X[:10].astype(np.float64)},
        {**base, "X_train": X.reshape(N, 2, 2), "X_val": X[:10].reshape(10, 2, 2)},
        {**base, "y_train": Y[::-1]},
        {**base, "X_val": X[1:11]},
        {**base, "X_val": X[:9], "y_val": Y[:9]},
        {**base, "X_test": X[:1], "y_test": Y[:1]},
        {**base, "classes": ["a", "b", "c", "d", "e"]},
    ]
    prints = [data.load(v).fingerprint() for v in variants]
    assert len(set(prints)) == len(prints)
    assert prints[0] == data.load(base).fingerprint()


def test_splits_of_the_user_are_kept_in_order_and_not_copied():
    given = {"X_train": X, "y_train": Y, "X_val": X[:10], "y_val": Y[:10], "X_test": X[:7], "y_test": Y[:7]}
    dataset = data.load(given)
    np.testing.assert_array_equal(dataset.train.x, X)
    assert np.shares_memory(dataset.train.x, X)
    assert [len(s) for s in dataset.splits.values()] == [100, 10, 7]
    cut = data.load({"X_train": X, "y_train": Y})
    assert [np.bincount(s.y, minlength=5).tolist() for s in cut.splits.values()] == [[18] * 5, [2] * 5, [0] * 5]
    assert [len(s) for s in data.load({"X_train": X, "y_train": Y}, test=20, val=0).splits.values()] == [80, 0, 20]
    np.testing.assert_array_equal(data.load({"X_train": X, "y_train": Y}, val=0).train.x, X)


def test_a_dataset_cannot_be_written_and_the_users_arrays_can():
    x = X.copy()
    dataset = data.load({"X_train": x, "y_train": Y}, val=0)
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.x[0] = 0
    x[0] = 1
    with pytest.raises(AttributeError):
        dataset.name = "other"


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (X.astype(np.uint8), np.uint8),
        (X > 50, np.uint8),
        (X.astype(np.float16), np.float32),
        (X.astype(">f8"), np.float64),
        (X.astype(np.int64), np.float32),
        (X.astype(np.int64) * 2**30, np.float64),
        (np.asfortranarray(X), np.float32),
        (X.tolist(), np.float64),
    ],
)
def test_dtypes(given, dtype):
    x = data.load((given, Y)).train.x
    assert x.dtype == dtype
    assert x.dtype.isnative
    assert x.flags.c_contiguous


def test_string_labels_are_numbered():
    dataset = data.load({"X_train": X, "y_train": np.array(list("abcde"))[Y], "X_val": X[:2], "y_val": ["e", "a"]})
    assert dataset.classes == ("a", "b", "c", "d", "e")
    assert dataset.val.y.tolist() == [4, 0]
    named = data.load((X, np.array(list("abcde"))[Y]), classes=list("edcba"))
    assert named.classes == tuple("edcba")
    with pytest.raises(DataError, match="'z' is none of the classes"):
        data.load({"X_train": X[:2], "y_train": ["a", "b"], "X_val": X[:1], "y_val": ["z"]})


def with_value(value, dtype=np.float64):
    x = X.astype(dtype)
    x[37, 2] = value
    return x


BAD_PAIRS = {
    "NaN": (with_value(np.nan), Y, DataError, "sample 37 holds NaN"),
    "infinity": (with_value(-np.inf, np.float32), Y, DataError, "sample 37"),
    "infinity in float16": (with_value(np.inf, np.float16), Y, DataError, "sample 37"),
    "object x": (X.astype(object), Y, DTypeError, "dtype object"),
    "string x": (X.astype(str), Y, DTypeError, "dtype <U"),
    "complex x": (X.astype(complex), Y, DTypeError, "complex128"),
    "ragged x": ([[1, 2], [3]], [0, 1], DataError, "different shapes"),
    "flat x": (X[:, 0], Y, ShapeError, r"reshape\(-1, 1\)"),
    "no features": (X[:, :0], Y, ShapeError, "every sample is empty"),
    "no samples": (X[:0], Y[:0], DataError, "at least one sample"),
    "short y": (X, Y[:-1], ShapeError, "each of 100 samples, got 99"),
    "one-hot y": (X, np.eye(5)[Y], ShapeError, "argmax"),
    "column y": (X, Y[:, None], ShapeError, r"y.ravel\(\)"),
    "scalar y": (X, 3, ShapeError, r"shape \(N,\)"),
    "NaN target": (X, np.where(Y == 4, np.nan, Y + 0.5), DataError, "finite targets, got nan at sample 80"),
    "NaN label": (X, np.where(Y == 4, np.nan, Y), DataError, "got nan at sample 80"),
    "negative label": (X, Y - 1, DataError, "got -1 at sample 0"),
    "huge label": (X, Y * 10**6, DataError, "label 4000000 is out of range"),
    "uint64 label": (X, (Y == 4).astype(np.uint64) * np.uint64(2**64 - 1), DataError, "from 0"),
    "object y": (X, Y.astype(object), DTypeError, "dtype object"),
    "complex y": (X, Y + 1j, DTypeError, "complex"),
    "date y": (X, Y.astype("datetime64[D]"), DTypeError, "datetime64"),
}


@pytest.mark.parametrize("what", BAD_PAIRS)
def test_bad_pairs(what, monkeypatch):
    monkeypatch.setattr(checks, "CHUNK_BYTES", 10 * X.itemsize)
    x, y, error, message = BAD_PAIRS[what]
    with pytest.raises(error, match=message) as caught:
        data.load((x, y))
    assert isinstance(caught.value, BackpassError)
    assert str(caught.value).startswith("train.")


BAD_CALLS = {
    "one array": (((X,),), {}, ArgumentError, "a pair"),
    "x alone": ((X,), {}, ArgumentError, "got ndarray"),
    "nothing": ((None,), {}, ArgumentError, "got NoneType"),
    "three arrays": (((X, Y, Y),), {}, ArgumentError, "got 3"),
    "unknown key": (({"X_train": X, "y_train": Y, "X_dev": X},), {}, ArgumentError, "X_dev"),
    "x without y": (({"X_train": X, "y_train": Y, "X_val": X},), {}, ArgumentError, "pairs among"),
    "no train": (({"X_val": X, "y_val": Y},), {}, ArgumentError, "pairs among"),
    "empty dict": (({},), {}, ArgumentError, "pairs among"),
    "val of another shape": (
        ({"X_train": X, "y_train": Y, "X_val": X[:, :3], "y_val": Y},), {}, ShapeError, r"val.x: .* shape \(4,\)"),
    "val of another dtype": (
        ({"X_train": X, "y_train": Y, "X_val": X.astype(float), "y_val": Y},), {}, DTypeError, "dtype float32"),
    "empty val": (({"X_train": X, "y_train": Y, "X_val": X[:0], "y_val": Y[:0]},), {}, DataError, "val.x"),
    "val label unknown": (
        ({"X_train": X, "y_train": Y, "X_val": X[:1], "y_val": [5]},), {}, DataError, "labels 0 to 4"),
    "too few classes": (((X, Y),), {"classes": ["a"]}, DataError, "labels 0 to 0"),
    "same class twice": (((X, Y),), {"classes": list("aabcd")}, ArgumentError, "different names"),
    "too much": (((X, Y),), {"train": 90}, ArgumentError, "do not fit"),
    "too large": (((X, Y),), {"val": 101}, ArgumentError, "101 samples"),
    "fraction of 1": (((X, Y),), {"val": 1.0}, ArgumentError, "between 0 and 1"),
    "NaN": (((X, Y),), {"val": float("nan")}, ArgumentError, "between 0 and 1"),
    "negative": (((X, Y),), {"test": -1}, ArgumentError, "at least 0"),
    "text": (((X, Y),), {"test": "10"}, ArgumentError, "whole number"),
    "no training": (((X, Y),), {"train": 0}, ArgumentError, "do not fit"),
    "negative seed": (((X, Y),), {"seed": -1}, ArgumentError, "seed"),
    "huge seed": (((X, Y),), {"seed": 2**64}, ArgumentError, "seed"),
    "data_dir for arrays": (((X, Y),), {"data_dir": "x"}, ArgumentError, "data_dir"),
    "image_size for arrays": (((X, Y),), {"image_size": (8, 8)}, ArgumentError, "image_size"),
    "classes for digits": (("digits",), {"classes": list("abcdefghij")}, ArgumentError, "classes"),
    "data_dir for digits": (("digits",), {"data_dir": "x"}, ArgumentError, "data_dir"),
    "channels for digits": (("digits",), {"channels": 1}, ArgumentError, "channels"),
    "unknown name": (("cifar11",), {}, DataNotFoundError, "neither a known name"),
    "missing path": (("no/such/file.npz",), {}, DataNotFoundError, "neither"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_CALLS)
def test_bad_calls(what):
    arguments, options, error, message = BAD_CALLS[what]
    with pytest.raises(error, match=message):
        data.load(*arguments, **options)


def test_npz(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, X_train=X, y_train=Y, X_test=X[:3], y_test=Y[:3], classes=list("abcde"))
    dataset = data.load(path)
    assert (dataset.name, dataset.classes, len(dataset.test)) == ("mine", tuple("abcde"), 3)
    assert data.load(str(path), test=2).test.y.tolist() == [0, 0]


def test_bad_npz(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.array([{}], object), y=[0])
    with pytest.raises(DataError, match="holds Python objects"):
        data.load(path)
    np.savez(path, x=X, y=Y)
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 3] ^= 0xFF
    for content in (b"", b"not a zip", good[: len(good) // 2], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            data.load(path)
    np.savez(path, x=X, y=Y, z=Y)
    with pytest.raises(DataError, match="got x, y, z"):
        data.load(path)
    with path.open("wb") as out:
        np.save(out, X)
    with pytest.raises(DataError, match="a single array"):
        data.load(path)
    text = tmp_path / "a.csv"
    text.write_text("1,2")
    with pytest.raises(ArgumentError, match=r"expected an .npz"):
        data.load(text)


def test_subset():
    dataset = data.load({"X_train": X, "y_train": Y, "X_val": X[:10], "y_val": Y[:10]})
    small = dataset.subset(train=10, val=0.5)
    np.testing.assert_array_equal(small.train.x, X[:10])
    assert (len(small.val), len(small.test)) == (5, 0)
    assert np.shares_memory(small.train.x, X)
    drawn = dataset.subset(train=10, seed=0)
    assert len(set(drawn.train.x[:, 0])) == 10
    assert (np.diff(drawn.train.x[:, 0]) > 0).all()
    assert drawn.train.x[-1, 0] > X[30, 0]  # not the first ones
    epoch0 = np.sort(data.order(N, seed=0, epoch=0)[:10])
    assert drawn.train.x[:, 0].tolist() != X[epoch0, 0].tolist()  # nor those that training sees first
    np.testing.assert_array_equal(drawn.train.y, drawn.train.x[:, 0] // 80)
    for wrong in ({"train": 101}, {"train": 0}, {"val": -1}, {"val": 0.0}, {"train": 5, "seed": -1}):
        with pytest.raises(ArgumentError):
            dataset.subset(**wrong)


def test_describe():
    info = data.describe(data.load({"X_train": X, "y_train": Y}, val=0))
    train = info["splits"]["train"]
    assert train == {"count": 100, "per_class": [20] * 5, "min": 0.0, "max": 399.0, "mean": 199.5}
    assert info["splits"]["test"] == {"count": 0, "per_class": [0] * 5, "min": None, "max": None, "mean": None}
    assert info["size_bytes"] == X.nbytes + 100 * 8
    import json

    json.dumps(info)
