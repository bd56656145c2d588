"""Augmentation: pictures that are flipped, moved, cut and lit differently in every epoch, as functions of where they are used.

What happens to a sample follows from (seed, epoch, sample, place in the list) alone, through Philox: nothing is carried from
one batch to the next, so any thread can read any sample, and a resumed run sees the same pictures.  Training applies the
list in order while it gathers a batch (`native/gather.cpp`); uint8 samples stay uint8 in memory until then.  The classes
below are what that kernel is tested against, to the last bit, and what runs without kernels.

    bp.Trainer(model, data, augment=[bp.data.Flip(), bp.data.Translate(2)])

Pixels come in before the preprocessing.  Those that a translation or a cutout leaves without a value become what the
preprocessing turns into zero: with the default, the mean.

Source: Krizhevsky et al. 2012 (flips, translations, light); DeVries and Taylor 2017, arXiv:1708.04552 (cutout);
Jordan 2024, arXiv:2404.00498, section 3.6 (alternating flip).
"""

# ruff: noqa: ARG002 (few augmentations need everything that `apply` gets)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..basics import is_number, require
from ..errors import ArgumentError, ShapeError
from ..philox import philox4x32

LAST_STREAM = 2**32 - 1  # the list's places count down from here, the layers that draw (dropout) up from 0


class Augmentation:
    """The base of every augmentation; a subclass is a frozen dataclass and is registered by its name."""

    registry: ClassVar[dict[str, type[Augmentation]]] = {}

    def __init_subclass__(cls) -> None:
        Augmentation.registry[cls.__name__] = cls

    def apply(self, x: NDArray[Any], words: tuple[int, ...], epoch: int, fill: NDArray[Any]) -> NDArray[Any]:
        """Return a new picture.

        Parameters
        ----------
        x : ndarray (C, H, W), float32 or float64
        words : four int of 32 bits
            The random numbers of this sample and epoch (of epoch 0 where `draws_once`).
        epoch : int
        fill : ndarray (C, H, W)
            What stands for nothing.
        """
        raise TypeError(f"{type(self).__name__} must define apply(x, words, epoch, fill)")

    draws_once: ClassVar[bool] = False

    def code(self) -> tuple[int, float]:
        """Return what the kernel calls this: a number of `native/gather.cpp`, and the amount."""
        raise TypeError(f"{type(self).__name__} must define code()")

    def check(self, shape: Sequence[int]) -> None:
        """Raise ShapeError if this cannot be done to samples of `shape`."""
        if len(shape) != 3:
            raise ShapeError(
                f"{type(self).__name__}: expected pictures of shape (C, H, W), got samples of {tuple(shape)}"
            )


@dataclass(frozen=True)
class Flip(Augmentation):
    """Left and right are exchanged with probability 1/2.

    Examples
    --------
    >>> x = np.array([[[[1, 2, 3]]]], np.uint8)
    >>> [augmented(x, [Flip()], seed=2, epoch=e).ravel().tolist() for e in range(3)]
    [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]
    """

    def apply(self, x: NDArray[Any], words: tuple[int, ...], epoch: int, fill: NDArray[Any]) -> NDArray[Any]:
        """Return the picture or its mirror image."""
        return x[:, :, ::-1] if words[0] >> 31 else x

    def code(self) -> tuple[int, float]:
        """Return what the kernel calls this."""
        return 0, 0.0


@dataclass(frozen=True)
class AlternatingFlip(Augmentation):
    """Half of the samples are mirrored in epoch 0, the other half in epoch 1, and so on in turn.

    Each pair of epochs shows every sample both ways, where independent flips repeat one of them half of the time.

    Examples
    --------
    >>> x = np.array([[[[1, 2, 3]]]], np.uint8)
    >>> [augmented(x, [AlternatingFlip()], seed=0, epoch=e).ravel().tolist() for e in range(3)]
    [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]
    """

    draws_once: ClassVar[bool] = True

    def apply(self, x: NDArray[Any], words: tuple[int, ...], epoch: int, fill: NDArray[Any]) -> NDArray[Any]:
        """Return the picture or its mirror image."""
        return x[:, :, ::-1] if (words[0] >> 31) ^ (epoch & 1) else x

    def code(self) -> tuple[int, float]:
        """Return what the kernel calls this."""
        return 1, 0.0


@dataclass(frozen=True)
class Translate(Augmentation):
    """The picture is moved by up to `pixels` in each direction: what others call a random crop with padding.

    Parameters
    ----------
    pixels : int
        Vertical and horizontal shift are drawn from -pixels ... pixels, all alike.
    fill : {"reflect", "zero"}
        What comes in at the edge: the picture mirrored at its outermost pixels, or nothing.

    Examples
    --------
    >>> x = np.arange(1, 4, dtype=np.uint8).reshape(1, 1, 1, 3).repeat(3, axis=2)
    >>> augmented(x, [Translate(1, fill="zero")], seed=4, epoch=0)[0, 0]
    array([[0., 1., 2.],
           [0., 1., 2.],
           [0., 0., 0.]], dtype=float32)
    """

    pixels: int = 2
    fill: str = "reflect"

    def __post_init__(self) -> None:
        _require_whole(self, "pixels", self.pixels)
        require(self.fill in ("reflect", "zero"), self, "fill", "'reflect' or 'zero'", self.fill)

    def check(self, shape: Sequence[int]) -> None:
        """Raise ShapeError if the picture has no pixels to reflect so far from its edge."""
        super().check(shape)
        if self.fill == "reflect" and self.pixels >= min(shape[1:]):
            raise ShapeError(
                f"Translate: expected pixels < {min(shape[1:])} to reflect in samples of shape {tuple(shape)}, got "
                f"{self.pixels}; or use fill='zero'"
            )

    def apply(self, x: NDArray[Any], words: tuple[int, ...], epoch: int, fill: NDArray[Any]) -> NDArray[Any]:
        """Return the picture, moved."""
        down, right = (
            _below(2 * self.pixels + 1, words[0]) - self.pixels,
            _below(2 * self.pixels + 1, words[1]) - self.pixels,
        )
        H, W = x.shape[1:]
        rows, cols = np.arange(H) - down, np.arange(W) - right  # where each pixel comes from
        if self.fill == "reflect":
            return x[:, _reflected(rows, H)][:, :, _reflected(cols, W)]
        inside = ((rows >= 0) & (rows < H))[:, None] & ((cols >= 0) & (cols < W))
        return np.where(inside, x[:, rows.clip(0, H - 1)][:, :, cols.clip(0, W - 1)], fill)

    def code(self) -> tuple[int, float]:
        """Return what the kernel calls this."""
        return (2 if self.fill == "reflect" else 3), float(self.pixels)


@dataclass(frozen=True)
class Cutout(Augmentation):
    """A square is blanked; its centre is any pixel, so at the edges only a part of the square is in the picture.

    Parameters
    ----------
    size : int
        Of the square's side, in pixels.

    Examples
    --------
    >>> augmented(np.ones((1, 1, 3, 4), np.uint8), [Cutout(2)], seed=0, epoch=0)[0, 0]
    array([[1., 1., 1., 1.],
           [0., 1., 1., 1.],
           [0., 1., 1., 1.]], dtype=float32)
    """

    size: int = 8

    def __post_init__(self) -> None:
        _require_whole(self, "size", self.size)

    def apply(self, x: NDArray[Any], words: tuple[int, ...], epoch: int, fill: NDArray[Any]) -> NDArray[Any]:
        """Return the picture with a hole."""
        H, W = x.shape[1:]
        top, left = _below(H, words[0]) - self.size // 2, _below(W, words[1]) - self.size // 2
        hole = (slice(None), slice(max(top, 0), top + self.size), slice(max(left, 0), left + self.size))
        x = x.copy()
        x[hole] = fill[hole]
        return x

    def code(self) -> tuple[int, float]:
        """Return what the kernel calls this."""
        return 4, float(self.size)


@dataclass(frozen=True)
class Brightness(Augmentation):
    """Every value is multiplied by one factor from 1 - amount to 1 + amount; nothing is clipped.

    Parameters
    ----------
    amount : float
        In [0, 1].

    Examples
    --------
    >>> augmented(np.full((1, 1, 1, 2), 100, np.uint8), [Brightness(0.2)], seed=0, epoch=0).ravel().round()
    array([118., 118.], dtype=float32)
    """

    amount: float = 0.2

    def __post_init__(self) -> None:
        _require_fraction(self, self.amount)

    def apply(self, x: NDArray[Any], words: tuple[int, ...], epoch: int, fill: NDArray[Any]) -> NDArray[Any]:
        """Return the picture, lighter or darker."""
        return x * x.dtype.type(_factor(self.amount, words[0]))

    def code(self) -> tuple[int, float]:
        """Return what the kernel calls this."""
        return 5, float(self.amount)


@dataclass(frozen=True)
class Contrast(Augmentation):
    """The distance of every value from the picture's mean is multiplied by one factor from 1 - amount to 1 + amount.

    Parameters
    ----------
    amount : float
        In [0, 1].

    Examples
    --------
    >>> augmented(np.array([[[[90, 110]]]], np.uint8), [Contrast(0.5)], seed=0, epoch=0).ravel().round()
    array([ 85., 115.], dtype=float32)
    """

    amount: float = 0.2

    def __post_init__(self) -> None:
        _require_fraction(self, self.amount)

    def apply(self, x: NDArray[Any], words: tuple[int, ...], epoch: int, fill: NDArray[Any]) -> NDArray[Any]:
        """Return the picture with more or less contrast."""
        total = x.astype(np.float64).ravel().cumsum()[-1]  # one after the other, as the kernel does
        mean = x.dtype.type(total / x.size)
        return (x - mean) * x.dtype.type(_factor(self.amount, words[0])) + mean

    def code(self) -> tuple[int, float]:
        """Return what the kernel calls this."""
        return 6, float(self.amount)


def augmented(
    x: ArrayLike,
    augment: Sequence[Augmentation],
    *,
    seed: int,
    epoch: int,
    samples: ArrayLike | None = None,
    fill: ArrayLike = 0.0,
) -> NDArray[Any]:
    """Return samples as training sees them in an epoch, before the preprocessing.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
        uint8 or float.
    augment : sequence of Augmentation
        Applied in this order.
    seed, epoch : int
        seed is the Trainer's, from 0 to 2**64 - 1; epoch from 0 to 2**32 - 1.
    samples : sequence of N int, optional
        Which sample of the training set each one is; 0 ... N - 1 by default.
    fill : float, or ndarray (C, H, W)
        What stands for nothing; training takes the value that the preprocessing turns into zero.

    Returns
    -------
    ndarray (N, C, H, W)
        float64 where x is float64, else float32.

    Raises
    ------
    ShapeError, ArgumentError
        Where something does not fit.

    Examples
    --------
    >>> import backpass as bp
    >>> x = bp.data.load("digits").train.x[:3]
    >>> bp.data.augmented(x, [bp.data.Translate(1)], seed=0, epoch=5).shape
    (3, 1, 8, 8)
    """
    given = np.asarray(x)
    augment = as_augmentations("augmented", augment, given.shape[1:])
    out = np.array(given, np.float64 if given.dtype == np.float64 else np.float32)
    where = np.arange(len(out)) if samples is None else np.asarray(samples)
    if where.shape != (len(out),):
        raise ShapeError(f"augmented: samples: expected {len(out)} numbers, got shape {where.shape}")
    blank = np.broadcast_to(np.asarray(fill, out.dtype), out.shape[1:])
    for place, one in enumerate(augment):
        words = _words(where, seed, 0 if one.draws_once else epoch, place)
        for i, drawn in enumerate(words):
            out[i] = one.apply(out[i], drawn, epoch, blank)
    return out


def as_augmentations(owner: object, augment: Any, shape: Sequence[int]) -> tuple[Augmentation, ...]:
    """Return the augmentations as a tuple, after checking that they are some and fit samples of `shape`."""
    fits = isinstance(augment, (list, tuple)) and all(isinstance(one, Augmentation) for one in augment)
    require(fits, owner, "augment", "a list such as [bp.data.Flip(), bp.data.Translate(2)]", augment)
    for one in augment:
        one.check(shape)
    return tuple(augment)


NAMED = {
    "flip": Flip,
    "alternating-flip": AlternatingFlip,
    "translate": Translate,
    "cutout": Cutout,
    "brightness": Brightness,
    "contrast": Contrast,
}


def from_text(text: str) -> list[Augmentation]:
    """Return the augmentations in "flip,translate:2": names, a number after a colon, and translate:4:zero for zeros.

    Raises
    ------
    ArgumentError
        Where a name is not known, or a number does not fit.

    Examples
    --------
    >>> from_text("flip,translate:4:zero,cutout:8")
    [Flip(), Translate(pixels=4, fill='zero'), Cutout(size=8)]
    """
    found: list[Augmentation] = []
    for part in text.split(",") if text not in ("", "none") else []:
        name, *options = part.strip().split(":")
        if name not in NAMED:
            raise ArgumentError(
                f"augment: expected names among {', '.join(NAMED)}, such as flip,translate:2, got {part!r}"
            )
        try:
            numbers: list[Any] = [float(one) if "." in one else int(one) for one in options[:1]]
            found.append(NAMED[name](*numbers, *options[1:]))
        except (TypeError, ValueError) as error:
            reason = error if isinstance(error, ArgumentError) else "such as flip,translate:2,cutout:8,brightness:0.2"
            raise ArgumentError(f"augment: {part!r}: {reason}") from None
    return found


def _words(samples: NDArray[Any], seed: int, epoch: int, place: int) -> list[tuple[int, ...]]:
    """Return four random words for each sample; `native/gather.cpp` draws the same."""
    counter = np.zeros((len(samples), 4), np.uint64)
    counter[:, 0], counter[:, 1], counter[:, 2] = samples, LAST_STREAM - place, epoch
    return [tuple(map(int, row)) for row in philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))]


def _below(n: int, word: int) -> int:
    """Return a whole number from 0 to n - 1: the upper half of the product."""
    return n * word >> 32


def _factor(amount: float, word: int) -> float:
    """Return a number in [1 - amount, 1 + amount]."""
    return 1.0 + float(np.float32(amount * (word / 2**31 - 1.0)))  # rounded in between: no compiler may fuse it


def _reflected(at: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return positions inside 0 ... n - 1: those outside are mirrored at the outermost one."""
    at = np.abs(at)
    return np.where(at >= n, 2 * (n - 1) - at, at)


def _require_whole(owner: object, name: str, value: Any) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    require(whole and value >= 1, owner, name, "a whole number >= 1", value)


def _require_fraction(owner: object, value: Any) -> None:
    require(is_number(value) and 0 <= value <= 1, owner, "amount", "a number in [0, 1]", value)
