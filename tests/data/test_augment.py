"""Augmentation: the kernel against the reference bit for bit, hand cases, chances, and exact resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import backpass as bp
from backpass import native
from backpass.data import (
    AlternatingFlip,
    Brightness,
    Contrast,
    Cutout,
    Flip,
    Preprocess,
    Translate,
    augment,
    augmented,
)
from backpass.errors import ArgumentError, ShapeError
from backpass.spec import from_spec, to_spec
from backpass.train import _Reader

LISTS = [
    [Flip()],
    [AlternatingFlip()],
    [Translate(2)],
    [Flip(), Translate(2)],
    [Translate(2), Flip(), Translate(1), AlternatingFlip()],
    [Translate(1, fill="zero")],
    [Translate(9, fill="zero")],  # further than the picture is large
    [Cutout(3)],
    [Cutout(20)],
    [Brightness(0.4)],
    [Contrast(0.9)],
    [AlternatingFlip(), Translate(2), Cutout(2), Brightness(0.3), Contrast(0.3)],
    [Contrast(0.5), Translate(1, fill="zero"), Flip(), Flip(), Cutout(1), Brightness(1.0)],
]


@pytest.mark.skipif(not native.available, reason="no kernels")
@pytest.mark.parametrize("changes", LISTS, ids=str)
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 3, 7), (2, 32, 32), (1, 6, 37)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["bytes", "reals"])
def test_the_kernel_is_the_reference_bit_for_bit(changes, shape, dtype, kind) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (60, *shape), dtype=np.uint8)
    if kind == "reals":
        x = (x / 255).astype(dtype)
    fitted = Preprocess.fit("standardise", x)
    seed, indices = 2**40 + 17, rng.permutation(60)[:37]
    reader = _Reader(bp.data.Split(x, np.zeros(60, np.int64)), fitted, np.dtype(dtype), changes, seed)
    out = np.empty((37, *shape), dtype)
    (call,) = reader.calls(out, indices)
    for epoch in (0, 1, 7):
        reader.random[1] = epoch
        found = []
        for threads in (1, 2, 3):
            bp.set_threads(threads)
            out[...] = np.nan
            call()
            found.append(out.copy())
        wanted = augmented(
            x[indices].astype(dtype), changes, seed=seed, epoch=epoch, samples=indices, fill=reader.shift
        )
        np.testing.assert_array_equal(found[0], fitted.apply(wanted, out=np.empty_like(out)))
        assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def one_picture(*changes, epoch: int = 0, seed: int = 0, n: int = 500) -> np.ndarray:
    """The same picture of 1 ... 12 in rows of four, changed as n different samples."""
    x = np.arange(1.0, 13).reshape(1, 1, 3, 4).repeat(n, axis=0)
    return augmented(x, changes, seed=seed, epoch=epoch)[:, 0]


def test_flip_mirrors_half_of_the_samples() -> None:
    found = one_picture(Flip())
    plain, mirrored = np.arange(1.0, 13).reshape(3, 4), np.arange(1.0, 13).reshape(3, 4)[:, ::-1]
    flipped = (found == mirrored).all(axis=(1, 2))
    assert (flipped | (found == plain).all(axis=(1, 2))).all()
    assert 200 < flipped.sum() < 300  # 250 ± 4.5 standard deviations
    other = (one_picture(Flip(), epoch=1) == mirrored).all(axis=(1, 2))
    assert 200 < (flipped ^ other).sum() < 300


def test_alternating_flip_shows_each_sample_both_ways_in_two_epochs() -> None:
    epochs = np.stack([one_picture(AlternatingFlip(), epoch=e)[:, 0, 0] == 4 for e in range(4)])
    assert 200 < epochs[0].sum() < 300
    assert (epochs[0] ^ epochs[1]).all()
    assert (epochs[0] == epochs[2]).all()
    assert (epochs[1] == epochs[3]).all()


def test_translate_is_a_window_of_the_padded_picture() -> None:
    x = np.arange(1.0, 13).reshape(3, 4)
    for fill, mode in (("reflect", "reflect"), ("zero", "constant")):
        padded = np.pad(x, 2, mode=mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 4)).reshape(25, 3, 4)
        found = one_picture(Translate(2, fill), n=2500)
        which = (found[:, None] == windows).all(axis=(2, 3))
        assert which.any(axis=1).all()
        if fill == "zero":  # of the mirrored ones some are the same
            assert (which.sum(axis=1) == 1).all()
            # all 25 places alike: chi-square with 24 degrees of freedom, 99.9 % point 51.2
            assert ((which.sum(axis=0) - 100) ** 2 / 100).sum() < 51.2


def test_cutout_is_a_square_around_any_pixel() -> None:
    x = np.ones((2000, 2, 3, 4))
    found = augmented(x, [Cutout(2)], seed=0, epoch=0, fill=7.0)
    assert (found[:, 0] == found[:, 1]).all()
    seen = {(one == 7).tobytes() for one in found[:, 0]}
    wanted = set()
    for h in range(3):
        for w in range(4):
            hole = np.zeros((3, 4), bool)
            hole[max(h - 1, 0) : h + 1, max(w - 1, 0) : w + 1] = True
            wanted.add(hole.tobytes())
    assert seen == wanted


def test_light() -> None:
    x = np.array([[[[90.0, 110.0]]]]).repeat(500, axis=0)
    brighter = augmented(x, [Brightness(0.2)], seed=0, epoch=0)[:, 0, 0]
    np.testing.assert_allclose(brighter[:, 1] / brighter[:, 0], 110 / 90)
    factors = brighter[:, 0] / 90
    assert 0.8 <= factors.min() < 0.81
    assert 1.19 < factors.max() <= 1.2
    contrast = augmented(x, [Contrast(0.2)], seed=0, epoch=0)[:, 0, 0]
    np.testing.assert_allclose(contrast.mean(axis=1), 100)
    assert 0.8 <= (contrast[:, 1] - 100).min() / 10 < 0.81


def test_everything_depends_on_seed_epoch_sample_and_place() -> None:
    first = one_picture(Translate(2))
    assert (first != one_picture(Translate(2), seed=1)).any()
    assert (first != one_picture(Translate(2), seed=2**32)).any()
    assert (first != one_picture(Translate(2), epoch=1)).any()
    assert (first[0] != first).any()
    twice = one_picture(Flip(), Flip())[:, 0, 0]  # the second draws on its own
    assert 200 < (twice == 1).sum() < 300


def test_bad_input() -> None:
    for bad in (lambda: Translate(0), lambda: Translate(1.5), lambda: Translate(2, fill="edge"), lambda: Cutout(-1)):
        with pytest.raises(ArgumentError):
            bad()
    for bad in (lambda: Brightness(1.5), lambda: Contrast(float("nan")), lambda: augment.from_text("spin")):
        with pytest.raises(ArgumentError):
            bad()
    for text in ("translate:x", "translate:2:edge", "flip:1", "translate:2:zero:1", "cutout:0"):
        with pytest.raises(ArgumentError, match="augment"):
            augment.from_text(text)
    with pytest.raises(ShapeError, match=r"pictures of shape \(C, H, W\)"):
        augmented(np.ones((2, 5)), [Flip()], seed=0, epoch=0)
    with pytest.raises(ShapeError, match="pixels < 3 to reflect"):
        augmented(np.ones((2, 1, 3, 8)), [Translate(3)], seed=0, epoch=0)
    with pytest.raises(ArgumentError, match="augment: expected a list"):
        augmented(np.ones((2, 1, 3, 8)), [Flip], seed=0, epoch=0)
    data = bp.data.load("digits")
    model = bp.Model([bp.Affine(10)], input_shape=data.shape)
    with pytest.raises(ArgumentError, match="augment: expected a list"):
        bp.Trainer(model, data, augment=Flip())


def test_text_and_spec() -> None:
    changes = augment.from_text("flip,alternating-flip,translate:4:zero,cutout:5,brightness:0.5,contrast:0.25")
    assert from_spec(to_spec(changes)) == tuple(changes)
    assert augment.from_text("none") == []


class Killed(BaseException):
    """Stands for a power cut."""


class KillAt(bp.Callback):
    def step(self, run: bp.Run) -> None:
        if run.step == 7:
            raise Killed


def test_a_killed_run_sees_the_same_pictures(tmp_path: Path) -> None:
    data = bp.data.load("digits").subset(train=230, val=50)

    def trainer(**more) -> bp.Trainer:
        model = bp.Model([bp.Conv(4, 3), bp.ReLU(), bp.Flatten(), bp.Affine(10)], input_shape=data.shape)
        changes = [AlternatingFlip(), Translate(1), Cutout(2), Brightness(0.2)]
        return bp.Trainer(model, data, epochs=3, batch_size=50, **({"augment": changes} | more))

    whole = trainer().fit()
    with pytest.raises(Killed):
        trainer(out=tmp_path, save_every_steps=2, callbacks=[KillAt()]).fit()
    bp.set_threads(2)
    again = bp.Trainer.resume(tmp_path, data)
    assert again.augment == whole.trainer.augment
    assert again.fit().digest() == whole.digest()
    assert trainer(augment=()).fit().digest() != whole.digest()


def test_without_kernels_the_same_pictures_come() -> None:
    x = np.random.default_rng(0).integers(0, 256, (9, 3, 6, 6), dtype=np.uint8)
    fitted = Preprocess.fit("per-channel", x)
    reader = _Reader(bp.data.Split(x, np.zeros(9, np.int64)), fitted, np.dtype("f4"), LISTS[-1], 3)
    with_kernel, without = np.empty((4, 3, 6, 6), "f4"), np.empty((4, 3, 6, 6), "f4")
    indices = np.array([8, 0, 3, 3])
    reader.random[1] = 5
    for call in reader.calls(with_kernel, indices):
        call()
    reader._fill(without, indices)
    np.testing.assert_array_equal(with_kernel, without)
