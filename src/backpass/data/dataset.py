"""A data set: three splits, the names of the classes, and nothing hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backpass.data.checks import check_positive_int, check_targets, check_x, check_y, chunk_rows, is_targets
from backpass.data.preprocess import Preprocess
from backpass.data.sampling import order
from backpass.errors import ArgumentError, DataError, DTypeError, ShapeError

Pair = tuple[ArrayLike, ArrayLike]  # samples (N, *shape) and labels (N,)


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and their labels, both read-only.

    Attributes
    ----------
    x : ndarray (N, *shape), uint8, float32 or float64
        The samples, C-contiguous; pictures are (N, C, H, W).
    y : ndarray (N,), int64, or (N, K), float64
        The class number of each sample, or its K targets.

    Examples
    --------
    >>> split = Split(np.zeros((2, 3), np.float32), np.array([0, 1]))
    >>> len(split)
    2
    """

    x: NDArray[Any]
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of samples with the names of their classes; made by `load`.

    Attributes
    ----------
    name : str
        What the set is called.
    train, val, test : Split
        The splits; `val` and `test` may have no samples where that was asked for.
    classes : tuple of str
        The name of class 0, 1, ...; none where `y` holds targets of a regression.
    max_value : float or None
        The largest value that a sample can hold (255 for 8-bit pictures), or None where nothing says so.
    source : dict or None
        The arguments with which `load` loads the same set again; None where it was made of arrays.

    Examples
    --------
    >>> import backpass.data as data
    >>> digits = data.load("digits")
    >>> digits.shape, len(digits.train), digits.classes[:3]
    ((1, 8, 8), 1297, ('0', '1', '2'))
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    max_value: float | None = None
    source: dict[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, such as (3, 32, 32)."""
        return self.train.x.shape[1:]

    @property
    def has_targets(self) -> bool:
        """Whether `y` holds real targets (N, K) for a regression instead of class numbers."""
        return self.train.y.dtype.kind == "f"

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {len(split)}" for name, split in self.splits.items())
        kind = f"{self.train.y.shape[1]} targets" if self.has_targets else f"{len(self.classes)} classes"
        return f"{self.name}: {kind}, samples {self.shape} {self.train.x.dtype}; {counts}"

    def __repr__(self) -> str:
        return f"<Dataset {self}>"

    def fingerprint(self) -> str:
        """Return the SHA-256 of every sample and label, their order, shapes and dtypes, and the classes.

        Two sets with the same fingerprint give the same training run; exact resume compares it.

        Examples
        --------
        >>> import backpass.data as data
        >>> digits = data.load("digits")
        >>> digits.fingerprint() == digits.subset(train=100).fingerprint()
        False
        """
        import hashlib  # here, and not above: it loads OpenSSL, and `import backpass` stays quick

        sha = hashlib.sha256()
        sha.update(repr(self.classes).encode())
        for name, split in self.splits.items():
            for array in (split.x, split.y):
                sha.update(f"{name} {array.dtype.str} {array.shape};".encode())
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    def subset(
        self,
        *,
        train: float | None = None,
        val: float | None = None,
        test: float | None = None,
        seed: int | None = None,
    ) -> Dataset:
        """Return the same set with fewer samples.

        Parameters
        ----------
        train, val, test : int or float, optional
            How many samples of that split to keep: a count, or a fraction between 0 and 1.
            None keeps all of it.
        seed : int, optional
            Draw the samples at random (their order is kept); None keeps the first ones, without a copy.

        Raises
        ------
        ArgumentError
            Where more is asked for than there is.

        Examples
        --------
        >>> import backpass.data as data
        >>> print(data.load("digits").subset(train=100, val=0.5))
        digits: 10 classes, samples (1, 8, 8) uint8; train 100, val 100, test 300
        """
        wanted = {"train": train, "val": val, "test": test}
        chosen: dict[str, Split] = {}
        for number, (name, split) in enumerate(self.splits.items()):
            size = wanted[name]
            if size is None:
                chosen[name] = split
                continue
            count = count_of(size, len(split), name)
            if name == "train" and count == 0:
                raise ArgumentError("train: a data set needs at least one training sample, got 0")
            if seed is None:
                chosen[name] = Split(split.x[:count], split.y[:count])
            else:
                keep = np.sort(_shuffle(len(split), seed, number)[:count])
                chosen[name] = _frozen(split.x[keep], split.y[keep])
        return replace(self, train=chosen["train"], val=chosen["val"], test=chosen["test"], source=None)

    def fit_preprocess(self, kind: str, *, n_components: int | None = None, eps: float = 1e-2) -> Preprocess:
        """Fit a preprocessing to the training samples of this set; see `Preprocess.fit`.

        Examples
        --------
        >>> import backpass.data as data
        >>> print(data.load("digits").fit_preprocess("scale"))
        scale: (x - 0) * 0.0625
        """
        return Preprocess.fit(kind, self.train.x, max_value=self.max_value, n_components=n_components, eps=eps)


def count_of(size: object, total: int, where: str) -> int:
    """Turn a count (int) or a fraction between 0 and 1 (float) into a count of at most `total`.

    Raises
    ------
    ArgumentError
        Where `size` is neither, or more than there is.

    Examples
    --------
    >>> count_of(0.25, 200, "val"), count_of(30, 200, "val")
    (50, 30)
    """
    if isinstance(size, float | np.floating):
        if not 0.0 < size < 1.0:
            raise ArgumentError(
                f"{where}: a fraction must lie between 0 and 1, got {size}; give a count as a whole number"
            )
        return max(1, round(size * total))
    count = check_positive_int(size, where, least=0)
    if count > total:
        raise ArgumentError(f"{where}: {count} samples were asked for, but only {total} are there")
    return count


def make_dataset(
    name: str,
    pool: Pair,
    *,
    given_val: Pair | None = None,
    given_test: Pair | None = None,
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    default_val: float = 0.1,
    default_test: float = 0.2,
    seed: int | None = None,
    classes: Sequence[str] | None = None,
    max_value: float | None = None,
) -> Dataset:
    """Check the arrays of a source and cut them into splits.

    The pool holds the training samples and every split that was not given.  It is cut in the order
    train, val, test, as the course does for CIFAR-10, so that the defaults leave the *last* samples to
    validation and no picture is copied.

    Parameters
    ----------
    pool : pair of arrays
        Samples (N, *shape) and labels (N,), or real targets (see `is_targets`), to cut.
    given_val, given_test : pair of arrays, optional
        Splits that the source has fixed already; a smaller size keeps their first samples.
    train, val, test : int or float, optional
        Counts, or fractions of what the split is cut from.  None is the source's default; training
        takes whatever is left.
    default_val, default_test : int or float
        Sizes of the splits that have to be cut from the pool.
    seed : int, optional
        Shuffle the pool before it is cut, class by class, so that every split holds the classes in
        the same proportions; None cuts it in the order in which it came.
    classes : sequence of str, optional
        Names of the classes; their numbers, or the sorted strings in the labels, if None.
    max_value : float, optional
        See `Dataset`; 255 where the samples are uint8 and None is given.

    Raises
    ------
    ArgumentError, DataError, DTypeError, ShapeError
        Where sizes do not fit or an array cannot be trained on.

    Examples
    --------
    >>> x, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    >>> print(make_dataset("mine", (x, y), val=2, test=0.3, seed=0))
    mine: 2 classes, samples (2,) float64; train 5, val 2, test 3
    """
    given = {"train": pool, "val": given_val, "test": given_test}
    pairs = {split: pair for split, pair in given.items() if pair is not None}
    labels, classes = _numbered({split: np.asarray(y) for split, (_, y) in pairs.items()}, classes)
    targets = is_targets(labels["train"])
    if targets and classes is not None:
        raise ArgumentError(
            f"classes: y holds real targets {labels['train'].shape}, which have no classes; leave it out"
        )
    arrays: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for split, (samples, _) in pairs.items():
        x = check_x(samples, f"{split}.x")
        if len(x) == 0:
            raise DataError(f"{split}.x: expected at least one sample, got shape {x.shape}")
        check = check_targets if targets else check_y
        arrays[split] = x, check(labels[split], f"{split}.y", len(x))
    _check_alike(arrays)
    names = () if targets else _class_names(arrays, classes)

    pool_x, pool_y = arrays["train"]
    total = len(pool_y)
    n_val = count_of(default_val if val is None else val, total, "val") if given_val is None else 0
    n_test = count_of(default_test if test is None else test, total, "test") if given_test is None else 0
    rest = total - n_val - n_test
    n_train = rest if train is None else count_of(train, total, "train")
    if n_train < 1 or n_train > rest:
        raise ArgumentError(
            f"the splits do not fit: {total} samples cannot be cut into train {n_train}, val {n_val}, test {n_test}; "
            "ask for fewer, or leave train unset to give it the rest"
        )
    index: list[slice] | list[NDArray[np.int64]]
    if seed is not None:
        alike = np.zeros(total, np.int64) if targets else pool_y  # a regression has no classes to keep in proportion
        index = _stratified(alike, (n_train, n_val, n_test), seed)
    else:
        index = [slice(0, n_train), slice(n_train, n_train + n_val), slice(n_train + n_val, n_train + n_val + n_test)]
    splits = [_frozen(pool_x[i], pool_y[i]) for i in index]
    for position, split, size in ((1, "val", val), (2, "test", test)):
        if split in arrays:
            x, y = arrays[split]
            count = len(y) if size is None else count_of(size, len(y), split)
            splits[position] = _frozen(x[:count], y[:count])
    if max_value is None and pool_x.dtype == np.uint8:
        max_value = 255.0
    return Dataset(name, splits[0], splits[1], splits[2], names, max_value)


def _numbered(
    labels: dict[str, NDArray[Any]], classes: Sequence[str] | None
) -> tuple[dict[str, NDArray[Any]], Sequence[str] | None]:
    """Turn labels that are strings into numbers, in the order of `classes` or sorted."""
    if not all(y.dtype.kind == "U" and y.ndim == 1 for y in labels.values()):
        return labels, classes
    names = sorted(set(labels["train"].tolist())) if classes is None else [str(c) for c in classes]
    number = {name: i for i, name in enumerate(names)}
    for split, y in labels.items():
        unknown = sorted(set(y.tolist()) - set(number))
        if unknown:
            raise DataError(f"{split}.y: {unknown[0]!r} is none of the classes {names[:20]}")
    return {split: np.array([number[v] for v in y.tolist()], np.int64) for split, y in labels.items()}, names


def _check_alike(arrays: dict[str, tuple[NDArray[Any], NDArray[Any]]]) -> None:
    train, labels = arrays["train"]
    for split, (x, y) in arrays.items():
        if x.shape[1:] != train.shape[1:]:
            raise ShapeError(f"{split}.x: expected samples of shape {train.shape[1:]} as in train, got {x.shape[1:]}")
        if y.shape[1:] != labels.shape[1:]:
            raise ShapeError(f"{split}.y: expected targets of shape {labels.shape[1:]} as in train, got {y.shape[1:]}")
        if x.dtype != train.dtype:
            raise DTypeError(f"{split}.x: expected dtype {train.dtype} as in train, got {x.dtype}")


def _class_names(
    arrays: dict[str, tuple[NDArray[Any], NDArray[Any]]], classes: Sequence[str] | None
) -> tuple[str, ...]:
    largest = int(arrays["train"][1].max())
    if classes is None:
        if largest >= len(arrays["train"][1]):
            raise DataError(
                f"train.y: label {largest} is out of range for {len(arrays['train'][1])} samples; labels are class "
                "numbers from 0 (numpy.unique(y, return_inverse=True)[1] numbers them), or name the classes"
            )
        classes = [str(i) for i in range(largest + 1)]
    names = tuple(str(name) for name in classes)
    if len(set(names)) != len(names):
        raise ArgumentError(f"classes: expected different names, got {list(names)[:20]}")
    for split, (_, y) in arrays.items():
        if len(y) and int(y.max()) >= len(names):
            i = int(np.argmax(y))
            raise DataError(
                f"{split}.y: expected labels 0 to {len(names) - 1} ({len(names)} classes), got {y[i]} at sample {i}"
            )
    return names


def _shuffle(n: int, seed: int, stream: int) -> NDArray[np.int64]:
    # Counted down from the last epoch, so that no epoch of a run with the same seed repeats this order.
    return order(n, seed=seed, epoch=2**64 - 1 - stream) if n else np.arange(0)


def _stratified(y: NDArray[np.int64], sizes: tuple[int, int, int], seed: int) -> list[NDArray[np.int64]]:
    """Draw `sizes` samples for each split, each with the classes in the pool's proportions; shuffled."""
    shuffled = _shuffle(len(y), seed, 0)
    labels = y[shuffled]
    # Sample k of the n of its class stands at (k + 1/2) / n on the line from 0 to 1.  Walking that line
    # meets the classes in their proportions all the way, so that every piece of the walk is stratified.
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(y)) - np.repeat(starts, counts)
    place = np.empty(len(y))
    place[by_class] = (rank + 0.5) / np.repeat(counts, counts)
    walk = shuffled[np.argsort(place, kind="stable")]
    # The walk is regular in the classes; a last shuffle inside each split makes its order random.
    pieces = np.split(walk[: sum(sizes)], np.cumsum(sizes)[:-1])
    return [piece[_shuffle(len(piece), seed, 1 + i)] for i, piece in enumerate(pieces)]


def _frozen(x: NDArray[Any], y: NDArray[Any]) -> Split:
    x, y = x.view(), y.view()  # a view, so that the caller's own arrays stay writeable
    x.flags.writeable = y.flags.writeable = False
    return Split(x, y)


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return what there is to say about a data set as plain data (for a table or JSON).

    Returns
    -------
    dict
        ``name``, ``shape``, ``dtype``, ``classes``, ``max_value``, ``size_bytes``, ``fingerprint`` and
        ``splits``: for each split its ``count``, the count ``per_class``, and the ``min``, ``max`` and
        ``mean`` of its values (None where it has no samples).

    Examples
    --------
    >>> import backpass.data as data
    >>> info = describe(data.load("digits"))
    >>> info["splits"]["test"]["per_class"]
    [30, 31, 29, 30, 30, 31, 30, 30, 29, 30]
    """
    return {
        "name": dataset.name,
        "shape": list(dataset.shape),
        "dtype": str(dataset.train.x.dtype),
        "classes": list(dataset.classes),
        "max_value": dataset.max_value,
        "size_bytes": sum(split.x.nbytes + split.y.nbytes for split in dataset.splits.values()),
        "fingerprint": dataset.fingerprint(),
        "splits": {
            name: {
                "count": len(split),
                "per_class": []
                if dataset.has_targets
                else np.bincount(split.y, minlength=len(dataset.classes)).tolist(),
                **_range(split.x),
            }
            for name, split in dataset.splits.items()
        },
    }


def _range(x: NDArray[Any]) -> dict[str, float | None]:
    if len(x) == 0:
        return {"min": None, "max": None, "mean": None}
    rows = chunk_rows(x)
    chunks = [x[start : start + rows] for start in range(0, len(x), rows)]
    return {
        "min": float(min(chunk.min() for chunk in chunks)),
        "max": float(max(chunk.max() for chunk in chunks)),
        "mean": float(sum(chunk.sum(dtype=np.float64) for chunk in chunks) / x.size),
    }
