"""Data sets from folders of pictures, one folder for each class (needs Pillow: the extra `images`)."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.data.checks import check_positive_int
from backpass.data.dataset import Dataset, make_dataset
from backpass.errors import ArgumentError, DataError, MissingExtraError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def load_folder(
    path: Path,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int = 3,
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    seed: int | None = None,
) -> Dataset:
    """Return the pictures of a folder: ``CLASS/picture.png``, or ``train/CLASS/...``, ``val/...`` and ``test/...``.

    Parameters
    ----------
    path : Path
        The folder.  Files that are no pictures and hidden files are passed over.
    image_size : (int, int), optional
        Height and width to resize every picture to; None expects that all have one size.
    channels : int
        3 for colour, 1 for grey; pictures are converted.
    train, val, test, seed
        As for `load`.  Without split folders 10 % go to validation and 20 % to testing; with a ``train`` folder a
        missing validation split is cut from it (10 %) and a missing test split stays empty.  What is cut is shuffled
        first, with seed 0 if None.

    Returns
    -------
    Dataset
        With samples (channels, H, W) uint8, and the sorted names of the folders as classes.

    Raises
    ------
    DataError
        Where a picture cannot be read or has another size, or a class has no pictures.
    MissingExtraError
        Where Pillow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (8, 6), (255, 0, 0)).save(f"{folder}/red.png")
    ...     picture = read_picture(Path(folder, "red.png"), image_size=(3, 4))
    >>> picture.shape, int(picture[0].min()), int(picture[1].max())
    ((3, 3, 4), 255, 0)
    """
    if channels not in (1, 3):
        raise ArgumentError(f"channels: expected 3 (colour) or 1 (grey), got {channels!r}")
    if image_size is not None:
        if len(image_size) != 2:
            raise ArgumentError(f"image_size: expected (height, width), got {image_size!r}")
        image_size = (check_positive_int(image_size[0], "height"), check_positive_int(image_size[1], "width"))
    folders: dict[str, Path] = {}
    for split, names in SPLIT_FOLDERS.items():
        found = [path / name for name in names if (path / name).is_dir()]
        if len(found) > 1:
            raise DataError(f"{path}: both {found[0].name} and {found[1].name} are there; keep one")
        folders.update({split: found[0]} if found else {})
    splits_given = "train" in folders
    if not splits_given:
        folders = {"train": path}
    classes = _subfolders(folders["train"])
    if not classes:
        raise DataError(f"{folders['train']}: expected a folder of pictures for each class, found no folders")

    pairs = {}
    for split, folder in folders.items():
        unknown = sorted(set(_subfolders(folder)) - set(classes))
        if unknown:
            raise DataError(f"{folder / unknown[0]}: is none of the classes in {folders['train']}")
        files, labels = _files(folder, classes, need_all=split == "train")
        x = _read_all(files, image_size, channels)
        image_size = x.shape[2:]  # the other splits must have, or are brought to, the same size
        pairs[split] = x, np.array(labels, np.int64)
    something_is_cut = not splits_given or ("val" not in folders and val != 0) or ("test" not in folders and bool(test))
    return make_dataset(
        path.resolve().name or "folder",
        pairs["train"],
        given_val=pairs.get("val"),
        given_test=pairs.get("test"),
        train=train,
        val=val,
        test=test,
        default_test=0 if splits_given else 0.2,
        seed=0 if seed is None and something_is_cut else seed,
        classes=classes,
    )


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _files(folder: Path, classes: list[str], *, need_all: bool) -> tuple[list[Path], list[int]]:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        entries = sorted((folder / name).iterdir()) if (folder / name).is_dir() else []
        pictures = [e for e in entries if e.suffix.lower() in SUFFIXES and not e.name.startswith(".") and e.is_file()]
        if need_all and not pictures:
            raise DataError(f"{folder / name}: no pictures ({', '.join(SUFFIXES)}) in the folder of a class")
        files += pictures
        labels += [label] * len(pictures)
    if not files:
        raise DataError(f"{folder}: no pictures ({', '.join(SUFFIXES)}) in the folders of its classes")
    return files, labels


def _read_all(files: list[Path], image_size: tuple[int, int] | None, channels: int) -> NDArray[np.uint8]:
    from rich.console import Console
    from rich.progress import track

    first = read_picture(files[0], image_size=image_size, channels=channels)
    out = np.empty((len(files), *first.shape), np.uint8)
    quiet = len(files) < 1000 or not sys.stderr.isatty()
    for i, file in enumerate(
        track(files, "reading pictures", console=Console(stderr=True), transient=True, disable=quiet)
    ):
        picture = read_picture(file, image_size=image_size, channels=channels)
        if picture.shape != first.shape:
            raise DataError(
                f"{file}: expected {first.shape[2]} x {first.shape[1]} pixels like {files[0].name}, got "
                f"{picture.shape[2]} x {picture.shape[1]}; give image_size=(height, width) to resize all"
            )
        out[i] = picture
    return out


def read_picture(path: Path, *, image_size: tuple[int, int] | None = None, channels: int = 3) -> NDArray[np.uint8]:
    """Return a picture file as (channels, H, W) uint8, upright, resized to `image_size` (height, width) if given.

    Raises
    ------
    DataError
        Where the file is damaged, no picture, larger than Pillow's limit, or has more than 8 bits a channel.
    MissingExtraError
        Where Pillow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (4, 3), "red").save(Path(folder, "red.png"))
    ...     read_picture(Path(folder, "red.png"))[:, 0, 0]
    array([255,   0,   0], dtype=uint8)
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("pictures need Pillow; type: pip install 'backpass[images]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                if opened.mode.startswith(("I", "F")):
                    raise DataError(f"{path}: expected 8 bits a channel, got mode {opened.mode}; convert it first")
                image: Any = ImageOps.exif_transpose(opened).convert("RGB" if channels == 3 else "L")
        if image_size is not None and image.size != (image_size[1], image_size[0]):
            image = image.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read as a picture ({error})") from error
    pixels = np.asarray(image, np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if channels == 3 else pixels[None].copy()
