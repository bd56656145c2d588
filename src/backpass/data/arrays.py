"""Data sets from the user's own arrays: a pair, a dict by the course's names, or an `.npz` file of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backpass.data.dataset import Dataset, make_dataset
from backpass.errors import ArgumentError, DataError

KEYS = ("X_train", "y_train", "X_val", "y_val", "X_test", "y_test")


def load_arrays(
    arrays: Mapping[str, ArrayLike] | Sequence[ArrayLike],
    *,
    name: str = "arrays",
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    seed: int | None = None,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Return a data set of the user's own arrays.

    A pair ``(x, y)`` is shuffled and cut, by default 70 % to train, 10 % to validate and 20 % to test.  A dict has
    ``x`` and ``y``, which means the same, or the splits that the user has made: ``X_train y_train`` and, as far as
    they exist, ``X_val y_val`` and ``X_test y_test``.  A validation split that is not there is cut from training
    (10 %); a test split that is not there stays empty unless `test` asks for one.

    Raises
    ------
    ArgumentError
        Where the arrays are not given in one of these forms.
    DataError, DTypeError, ShapeError
        Where an array cannot be trained on.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> y = np.repeat(["cat", "dog"], 50)
    >>> print(load_arrays((x, y)))
    arrays: 2 classes, samples (4,) float64; train 70, val 10, test 20
    >>> print(load_arrays({"X_train": x, "y_train": y}))
    arrays: 2 classes, samples (4,) float64; train 90, val 10, test 0
    """
    if not isinstance(arrays, Mapping):
        if not isinstance(arrays, tuple | list):
            raise ArgumentError(
                f"expected a name, a path, a pair (x, y) or a dict of arrays, got {type(arrays).__name__}"
            )
        if len(arrays) != 2:
            raise ArgumentError(f"arrays: expected a pair (x, y), got {len(arrays)} things")
        arrays = {"x": arrays[0], "y": arrays[1]}
    found = {key: value for key, value in arrays.items() if key != "classes"}
    if classes is None and "classes" in arrays:
        classes = _names(arrays["classes"])
    splits_given = set(found) <= set(KEYS) and {"X_train", "y_train"} <= set(found)
    halves = [k for k in found if splits_given and k.translate({88: "y", 121: "X"}) not in found]
    if halves or not (splits_given or set(found) == {"x", "y"}):
        raise ArgumentError(f"arrays: expected x and y, or pairs among {', '.join(KEYS)}; got {', '.join(arrays)}")
    if not splits_given:
        return make_dataset(
            name,
            (found["x"], found["y"]),
            train=train,
            val=val,
            test=test,
            seed=0 if seed is None else seed,
            classes=classes,
        )
    return make_dataset(
        name,
        (found["X_train"], found["y_train"]),
        given_val=(found["X_val"], found["y_val"]) if "X_val" in found else None,
        given_test=(found["X_test"], found["y_test"]) if "X_test" in found else None,
        train=train,
        val=val,
        test=test,
        default_test=0,
        seed=_shuffle_seed(found, val, test, seed),
        classes=classes,
    )


def _shuffle_seed(found: Mapping[str, Any], val: float | None, test: float | None, seed: int | None) -> int | None:
    """Shuffle where something is cut from training, and keep the user's order where nothing is."""
    cuts_val = "X_val" not in found and val != 0
    cuts_test = "X_test" not in found and bool(test)
    return 0 if seed is None and (cuts_val or cuts_test) else seed


def _names(classes: ArrayLike) -> list[str]:
    names = np.asarray(classes)
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ArgumentError(f"classes: expected a list of strings, got dtype {names.dtype} and shape {names.shape}")
    return [str(name) for name in names]


def load_npz(
    path: Path,
    *,
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    seed: int | None = None,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Return a data set from an `.npz` file with the arrays that `load_arrays` takes.

    Raises
    ------
    DataError
        Where the file is damaged or holds Python objects, which are never unpickled.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "mine.npz", x=np.eye(10), y=np.arange(10) % 2)
    ...     print(load_npz(Path(folder) / "mine.npz"))
    mine: 2 classes, samples (10,) float64; train 7, val 1, test 2
    """
    import zipfile
    import zlib

    arrays: dict[str, Any] = {}
    try:
        with path.open("rb") as stream:  # np.load leaves a damaged file open when it opens it itself
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: expected an .npz file of several arrays, this is a single array")
            unknown = sorted(set(file.files) - {*KEYS, "x", "y", "classes"})
            if unknown:
                raise DataError(f"{path}: expected arrays x, y or {', '.join(KEYS)}; got {', '.join(file.files)}")
            for key in file.files:
                arrays[key] = file[key]
    except DataError:
        raise
    except (OSError, EOFError, ValueError, KeyError, MemoryError, zlib.error, zipfile.BadZipFile) as error:
        reason = "it holds Python objects, which are not read" if "allow_pickle" in str(error) else str(error)
        raise DataError(f"{path}: cannot be read as .npz ({reason})") from error
    return load_arrays(arrays, name=path.stem, train=train, val=val, test=test, seed=seed, classes=classes)
