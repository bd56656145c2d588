"""Reading a batch: gathering pictures of uint8 into the model's input, standardised, with and without augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arena import aligned_bytes
from ..data import Augmentation, Cutout, Flip, Translate, augmented
from ..layers.base import Array
from .group import Group, Side
from .limits import copying
from .results import COPY

PICTURES, SHAPE = 50_000, (3, 32, 32)
LARGE = 4096  # pictures of a batch that is beyond the caches
MEAN, STD = np.array([125, 123, 114], np.float32), np.array([63, 62, 67], np.float32)  # of CIFAR-10


@dataclass(frozen=True)
class BatchCase:
    """So many pictures of 50,000, in random order, with augmentations."""

    batch: int
    augment: tuple[Augmentation, ...] = ()

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Return the pictures, which of them to gather, and shift and scale of each value."""
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, (PICTURES, *SHAPE), np.uint8)
        indices = rng.permutation(PICTURES)[: self.batch]
        shift = np.broadcast_to(MEAN[:, None, None], SHAPE).copy()
        scale = np.broadcast_to(1 / STD[:, None, None], SHAPE).copy()
        return x, indices, shift, scale


def work(case: BatchCase) -> tuple[float, float]:
    """Return no operations to speak of, and bytes: a byte read and four written for each value."""
    return 0.0, 5.0 * case.batch * float(np.prod(SHAPE))


def _spread(out: Array) -> dict[str, Array]:
    """Return what can be compared where every side draws its own random numbers."""
    return {"spread": np.array([round(float(out.std()), 1)])}


def backpass(case: BatchCase) -> Side:
    """Run the kernel with which a Trainer reads a batch."""
    from .. import native

    x, indices, shift, scale = case.arrays()
    out = (
        aligned_bytes(4 * case.batch * int(np.prod(SHAPE))).view(np.float32).reshape(case.batch, *SHAPE)
    )  # as in an arena
    random = np.array([0, 1], np.uint64)  # seed and epoch
    if case.augment:
        codes = np.array([one.code() for one in case.augment], np.float64)
        call = native.augment_bytes(out, x, indices, shift, scale, random, codes)
    else:
        call = native.gather_bytes(out, x, indices, shift, scale)
    program = native.Program([call])

    def arrays() -> dict[str, Array]:
        program.run()
        return _spread(out) if case.augment else {"out": out}

    def reference() -> dict[str, Array]:
        pictures = augmented(x[indices], case.augment, seed=0, epoch=1, samples=indices, fill=shift)
        found = (pictures - shift) * scale
        return _spread(found) if case.augment else {"out": found}

    return Side(program.run, arrays, reference)


def numpy(case: BatchCase) -> Side:
    """Gather and standardise in NumPy; flip, move and cut picture by picture with slices."""
    x, indices, shift, scale = case.arrays()
    rng = np.random.default_rng(2)

    def step() -> Array:
        out = (x[indices] - shift) * scale
        for one in case.augment:
            if isinstance(one, Flip):
                flipped = rng.random(len(out)) < 0.5
                out[flipped] = out[flipped, :, :, ::-1]
            elif isinstance(one, Translate):
                out = _moved(out, one.pixels, rng)
            elif isinstance(one, Cutout):
                rows, cols = rng.integers(0, SHAPE[1], (2, len(out)))
                for picture, row, col in zip(out, rows, cols, strict=True):
                    half = one.size // 2
                    picture[:, max(0, row - half) : row + half, max(0, col - half) : col + half] = 0
        return out

    return _random_side(step, case)


def _moved(out: Array, pixels: int, rng: Any) -> Array:
    around = (pixels, pixels)
    padded = np.pad(out, ((0, 0), (0, 0), around, around), mode="reflect")
    places = rng.integers(0, 2 * pixels + 1, (len(out), 2))
    H, W = SHAPE[1:]
    return np.stack([picture[:, r : r + H, c : c + W] for picture, (r, c) in zip(padded, places, strict=True)])


def torch(case: BatchCase) -> Side:
    """Gather and standardise in PyTorch; flip, move and cut whole batches at once, as fast CIFAR-10 programs do."""
    import torch
    from torch.nn import functional

    x, indices, shift, scale = (torch.from_numpy(array) for array in case.arrays())

    def step() -> torch.Tensor:
        out = (x[indices] - shift) * scale
        N, H, W = len(out), *SHAPE[1:]
        for one in case.augment:
            if isinstance(one, Flip):
                out = torch.where(torch.rand(N, 1, 1, 1) < 0.5, out.flip(-1), out)
            elif isinstance(one, Translate):
                padded = functional.pad(out, (one.pixels,) * 4, "reflect")
                places = torch.randint(0, 2 * one.pixels + 1, (2, N, 1, 1, 1))
                rows, cols = places[0] + torch.arange(H)[:, None], places[1] + torch.arange(W)
                out = padded[torch.arange(N)[:, None, None, None], torch.arange(3)[:, None, None], rows, cols]
            elif isinstance(one, Cutout):
                centre = torch.randint(0, H, (2, N, 1, 1, 1))
                rows, cols = torch.arange(H)[:, None] - centre[0], torch.arange(W) - centre[1]
                inside = [(offset >= -one.size // 2) & (offset < one.size // 2) for offset in (rows, cols)]
                out = out.masked_fill(inside[0] & inside[1], 0.0)
        return out

    return _random_side(lambda: step().numpy(), case)


def _random_side(step: Callable[[], Array], case: BatchCase) -> Side:
    return Side(step, lambda: _spread(step()) if case.augment else {"out": step()})


CASES = {
    "gather 256 pictures": BatchCase(256),
    "256 pictures, flip, translate 2": BatchCase(256, (Flip(), Translate(2))),
    "256 pictures, flip, translate 4, cutout 8": BatchCase(256, (Flip(), Translate(4), Cutout(8))),
    f"gather {LARGE} pictures": BatchCase(LARGE),
    f"{LARGE} pictures, flip, translate 2": BatchCase(LARGE, (Flip(), Translate(2))),
}

GROUP = Group(
    title="reading a batch of CIFAR-10's size: uint8 in memory, float32 standardised out",
    cases=CASES,
    sides={"backpass": backpass, "torch": torch, "numpy": numpy, COPY: copying(work)},
    work=work,
    quick=("256 pictures, flip, translate 2",),
    full_sides=(f"{COPY}@1",),
    full=(f"{LARGE} pictures, flip, translate 2",),  # seconds for each step of a peer; ours is in the roofline as well
)
