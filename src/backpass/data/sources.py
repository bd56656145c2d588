"""`load`: one function for every source; `available`: what there is on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from backpass.data.arrays import load_arrays, load_npz
from backpass.data.dataset import Dataset
from backpass.data.places import places
from backpass.errors import ArgumentError, DataNotFoundError

NAMES = {
    "digits": "1,797 grey digits (1, 8, 8) from 0 to 16, 10 classes; ships with the package",
    "cifar10": "60,000 colour pictures (3, 32, 32), 10 classes; 170 MB",
    "mnist": "70,000 grey digits (1, 28, 28), 10 classes; 12 MB",
    "fashion-mnist": "70,000 grey clothes (1, 28, 28), 10 classes; 31 MB",
}


def load(
    source: str | os.PathLike[str] | Mapping[str, ArrayLike] | Sequence[ArrayLike],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    seed: int | None = None,
    classes: Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> Dataset:
    """Load a data set from its name, a path, or arrays.

    Parameters
    ----------
    source : str, path, dict or pair of arrays
        - A name: ``digits``, ``cifar10``, ``mnist``, ``fashion-mnist``.
        - A folder of pictures, ``CLASS/picture.png`` or ``train/CLASS/picture.png`` with ``val`` and ``test``
          optional, or a folder or archive of CIFAR-10.
        - An ``.npz`` file, or a dict, of arrays ``x y`` or ``X_train y_train [X_val y_val] [X_test y_test]``.
        - A pair of arrays ``(x, y)``: samples (N, *shape), pictures as (N, C, H, W), and class numbers or names (N,),
          or the real targets of a regression, float (N, K); float (N,) counts as targets if not all are whole.
    data_dir : path, optional
        The folder to look for a name in; else the folder that ``BACKPASS_DATA`` names and then the user's cache.
    train, val, test : int or float, optional
        How many samples each split gets: a count, or a fraction between 0 and 1 of what it is cut from.  Training
        takes the rest if None; ``val=0`` and ``test=0`` make no such split.  A split that the source has fixed keeps
        its first samples.
    seed : int, optional
        Shuffle before cutting, with the classes in proportion.  If None, the named sets are cut in their published
        order (49,000 / 1,000 / 10,000 of CIFAR-10, as the course does) and everything else is shuffled with seed 0.
    classes : sequence of str, optional
        The names of the classes, for arrays and ``.npz``.
    image_size : (int, int), optional
        Height and width to resize a folder's pictures to.
    channels : int, optional
        3 (colour, the default) or 1 (grey), for a folder of pictures.

    Returns
    -------
    Dataset
        uint8 pictures stay uint8.

    Raises
    ------
    ArgumentError
        Where an option does not fit the source.
    DataNotFoundError
        Where the set is not on this machine; the message says what to type.
    DataError, DTypeError, ShapeError
        Where the data are damaged or cannot be trained on.

    Examples
    --------
    >>> print(load("digits", train=1000, val=100))
    digits: 10 classes, samples (1, 8, 8) uint8; train 1000, val 100, test 300
    >>> load("imagenet")
    Traceback (most recent call last):
    backpass.errors.DataNotFoundError: 'imagenet' is neither a known name (digits, cifar10, mnist, fashion-mnist) \
nor a file or folder
    """
    is_path = isinstance(source, str | os.PathLike)
    path = Path(source).expanduser() if isinstance(source, str | os.PathLike) else Path()
    named = isinstance(source, str) and source in NAMES
    of_cifar10 = is_path and not named and path.exists() and _is_cifar10(path)
    pictures = is_path and not named and not of_cifar10 and path.is_dir()
    for name, value, fits in (
        ("data_dir", data_dir, named and source != "digits"),
        ("classes", classes, not is_path or path.suffix == ".npz"),
        ("image_size", image_size, pictures),
        ("channels", channels, pictures),
    ):
        if value is not None and not fits:
            raise ArgumentError(f"{name}: does not apply to {source if is_path else 'arrays'}; leave it out")

    cuts: dict[str, Any] = {"train": train, "val": val, "test": test, "seed": seed}
    if not isinstance(source, str | os.PathLike):
        return load_arrays(source, classes=classes, **cuts)
    if source == "digits":
        from backpass.data.digits import load_digits  # each reader is imported where it is needed

        found = load_digits(**cuts)
    elif source == "cifar10" or of_cifar10:
        from backpass.data.cifar10 import load_cifar10

        found = load_cifar10([path] if of_cifar10 else places(data_dir), **cuts)
    elif isinstance(source, str) and source in ("mnist", "fashion-mnist"):
        from backpass.data.idx import load_idx_set

        found = load_idx_set(source, places(data_dir), direct=data_dir is not None, **cuts)
    elif pictures:
        from backpass.data.folder import load_folder

        found = load_folder(path, image_size=image_size, channels=3 if channels is None else channels, **cuts)
    elif path.is_file() and path.suffix == ".npz":
        found = load_npz(path, classes=classes, **cuts)
    elif path.is_file():
        raise ArgumentError(f"{path}: expected an .npz file, a CIFAR-10 archive, or a folder of pictures")
    else:
        raise DataNotFoundError(f"{str(source)!r} is neither a known name ({', '.join(NAMES)}) nor a file or folder")
    # Paths are made absolute: a run is resumed from other folders too.
    arguments = {
        "source": source if named else str(path.resolve()),
        "data_dir": None if data_dir is None else str(Path(data_dir).expanduser().resolve()),
        **cuts,
        "classes": None if classes is None else list(classes),
        "image_size": None if image_size is None else list(image_size),
        "channels": channels,
    }
    return replace(found, source={name: value for name, value in arguments.items() if value is not None})


def _is_cifar10(path: Path) -> bool:
    from backpass.data.cifar10 import find_cifar10

    return find_cifar10([path]) is not None if path.is_dir() else path.name.endswith((".tar.gz", ".tgz"))


@dataclass(frozen=True)
class Available:
    """A named data set, and where it was found.

    Attributes
    ----------
    name, description : str
        What it is called and holds.
    location : Path or None
        The file or folder that it would be loaded from, or None where it is not on this machine.
    command : str or None
        What to type to get it, where it is not.
    """

    name: str
    description: str
    location: Path | None
    command: str | None


def available(data_dir: str | os.PathLike[str] | None = None) -> list[Available]:
    """Return the named data sets and where they were found; nothing is read or downloaded.

    Parameters
    ----------
    data_dir : path, optional
        Where to look, as for `load`.

    Examples
    --------
    >>> [(found.name, found.command) for found in available("no such folder")][:2]
    [('digits', None), ('cifar10', 'backpass data get cifar10')]
    """
    from backpass.data.cifar10 import find_cifar10
    from backpass.data.digits import FILE
    from backpass.data.idx import find_idx_set

    looked_in = places(data_dir)
    locations = {
        "digits": FILE,
        "cifar10": find_cifar10(looked_in),
        "mnist": find_idx_set("mnist", looked_in),
        "fashion-mnist": find_idx_set("fashion-mnist", looked_in),
    }
    return [
        Available(name, text, locations[name], None if locations[name] else f"backpass data get {name}")
        for name, text in NAMES.items()
    ]
