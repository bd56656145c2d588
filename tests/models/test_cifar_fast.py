"""The fast net: PyTorch's version in float64, its whitening, its recipe on a few digits, and test-time views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import backpass as bp
from backpass.errors import ArgumentError, ShapeError
from backpass.models import cifar_fast, whiten
from backpass.views import views


@pytest.fixture
def pictures() -> np.ndarray:
    """Noise in which neighbours and channels are alike, as in photographs."""
    x = np.random.default_rng(0).standard_normal((40, 3, 17, 17))
    return x.cumsum(axis=2).cumsum(axis=3) / 8 + x.mean(axis=1, keepdims=True)


def test_the_whole_net_is_that_of_pytorch(pictures) -> None:
    torch = pytest.importorskip("torch", reason="independent values need PyTorch")
    nn = torch.nn

    def group(c: int, f: int) -> list:
        norms = [nn.BatchNorm2d(f, eps=1e-12, momentum=0.4) for _ in range(2)]
        first, second = nn.Conv2d(c, f, 3, padding="same", bias=False), nn.Conv2d(f, f, 3, padding="same", bias=False)
        return [first, nn.MaxPool2d(2), norms[0], nn.GELU(), second, norms[1], nn.GELU()]

    net = nn.Sequential(
        nn.Conv2d(3, 24, 2), nn.GELU(), *group(24, 5), *group(5, 9), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(9, 7)
    )
    net = net.double()
    model = bp.Model(cifar_fast((5, 9), classes=7, input_shape=(3, 17, 17)), (3, 17, 17), dtype="float64", seed=5)
    whiten(model, pictures)
    rng = np.random.default_rng(1)
    model.params += 0.1 * rng.standard_normal(model.params.size)
    parts = [part for part in net if any(True for _ in part.parameters())]
    ours = [space for space in model.p if vars(space)]
    names = {"w": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}
    with torch.no_grad():
        for part, space in zip(parts, ours, strict=True):
            for name, value in vars(space).items():
                turned = value.T if value.ndim == 2 else value
                getattr(part, names[name]).copy_(torch.from_numpy(turned.copy()))
    x = torch.from_numpy(pictures).requires_grad_()
    scores = net(x) / 9
    np.testing.assert_allclose(model.forward(pictures), scores.detach().numpy(), atol=1e-10)
    dscores = rng.standard_normal(scores.shape)
    scores.backward(torch.from_numpy(dscores))
    dx = model.backward(dscores)
    np.testing.assert_allclose(dx, x.grad.numpy(), atol=1e-9 * np.abs(dx).max())
    gradients = [space for space in model.g if vars(space)]
    for part, space in zip(parts, gradients, strict=True):
        for name, value in vars(space).items():
            wanted = getattr(part, names[name]).grad.numpy()
            np.testing.assert_allclose(
                value, wanted.T if value.ndim == 2 else wanted, atol=1e-9 * np.abs(wanted).max() + 1e-10
            )


def test_whitened_patches_are_uncorrelated(pictures) -> None:
    model = bp.Model(cifar_fast((4,), classes=2, input_shape=(3, 17, 17)), (3, 17, 17), dtype="float64")
    whiten(model, pictures, eps=0.0)
    w = model.named_params()["0.w"]
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (2, 2), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    out = patches @ w.reshape(24, 12).T
    np.testing.assert_allclose(out[:, :12].T @ out[:, :12] / len(out), np.eye(12), atol=1e-8)
    np.testing.assert_array_equal(w[12:], -w[:12])
    lengths = np.square(w[:12]).sum(axis=(1, 2, 3))
    assert (np.diff(lengths) > 0).all()  # the direction of most variance first
    flipped = bp.Model(cifar_fast((4,), classes=2, input_shape=(3, 17, 17)), (3, 17, 17), dtype="float64")
    whiten(flipped, -pictures, eps=0.0)  # the same covariance: no sign by chance
    np.testing.assert_allclose(flipped.named_params()["0.w"], w, rtol=1e-6)


def test_bad_input(pictures) -> None:
    for widths in ((), 64, (0,), (2.5,)):
        with pytest.raises(ArgumentError):
            cifar_fast(widths, classes=10)
    with pytest.raises(ArgumentError, match="halved 3 times"):
        cifar_fast(classes=10, input_shape=(1, 8, 8))
    model = bp.Model([bp.Conv(24, 3), bp.Flatten(), bp.Affine(2)], (3, 17, 17))
    with pytest.raises(ArgumentError, match="2·C·HH·WW filters"):
        whiten(model, pictures)
    model = bp.Model(cifar_fast((4,), classes=2), (3, 32, 32))
    with pytest.raises(ArgumentError, match=r"expected pictures \(N, 3, 32, 32\)"):
        whiten(model, pictures)
    with pytest.raises(ArgumentError, match="expected pictures"):
        bp.recipes.fast(bp.data.load((np.ones((30, 4)), np.arange(30) % 3)))


def test_the_recipe_learns_and_resumes(tmp_path: Path) -> None:
    data = bp.data.load("digits").subset(train=500)

    def trainer(**more) -> bp.Trainer:
        settings = {"epochs": 5, "batch_size": 50, "lr": 100.0}  # the rate is made for a hundred times as many samples
        return bp.recipes.fast(data, widths=(16, 32), augment=[bp.data.Translate(1)], **settings, **more)

    def stop(run: bp.Run) -> None:
        run.trainer.save()
        raise KeyboardInterrupt

    whole = trainer()
    first = whole.model.named_params()["0.w"].copy()
    run = whole.fit()
    assert run.best["val_accuracy"] > 0.8
    np.testing.assert_array_equal(whole.model.named_params()["0.w"], first)
    with pytest.raises(KeyboardInterrupt):
        trainer(out=tmp_path, callbacks=[stop]).fit()
    assert bp.Trainer.resume(tmp_path, data).fit().digest() == run.digest()


# -- test-time views -----------------------------------------------------------------------------------------------


def test_views() -> None:
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    assert [(weight, view is x) for weight, view in views(x, "none")] == [(1.0, True)]
    found = list(views(x, "flip+translate"))
    assert sum(weight for weight, _ in found) == 1
    assert [weight for weight, _ in found] == [0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    np.testing.assert_array_equal(found[1][1], x[..., ::-1])
    up_left, down_right = found[2][1][0, 0], found[4][1][0, 0]
    np.testing.assert_array_equal(up_left, [[5, 6, 7, 6], [9, 10, 11, 10], [5, 6, 7, 6]])
    np.testing.assert_array_equal(down_right, [[5, 4, 5, 6], [1, 0, 1, 2], [5, 4, 5, 6]])
    np.testing.assert_array_equal(found[3][1][0, 0], up_left[:, ::-1])
    np.testing.assert_array_equal(found[5][1][0, 0], down_right[:, ::-1])
    with pytest.raises(ArgumentError, match="tta"):
        list(views(x, "spin"))
    with pytest.raises(ShapeError, match="expected pictures"):
        list(views(np.ones((2, 3)), "flip"))


def test_scores_are_the_mean_over_the_views() -> None:
    data = bp.data.load("digits")
    model = bp.Model([bp.Conv(3, 3), bp.ReLU(), bp.Flatten(), bp.Affine(10)], data.shape, dtype="float64")
    model.preprocess = data.fit_preprocess("scale")
    x = data.test.x[:20]
    plain, mirrored = model.predict_scores(x), model.predict_scores(x[..., ::-1])
    np.testing.assert_allclose(model.predict_scores(x, tta="flip"), (plain + mirrored) / 2)
    wanted = sum(weight * model.predict_scores(view) for weight, view in views(x, "flip+translate"))
    found = model.predict_scores(x, tta="flip+translate")
    np.testing.assert_allclose(found, wanted)
    np.testing.assert_array_equal(model.predict(x, tta="flip+translate"), found.argmax(axis=1))
    right = (model.predict(data.test.x, tta="flip") == data.test.y).mean()
    assert bp.evaluate(model, data.test, tta="flip")["accuracy"] == right
