"""Training on real targets: what counts as targets, the metrics, exact resume, and clear words where loss and data differ."""

from __future__ import annotations

import numpy as np
import pytest

import backpass as bp
from backpass.errors import ArgumentError, DataError, ShapeError

X = np.random.default_rng(0).standard_normal((300, 4))
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)


def trainer(data, **more):
    model = bp.Model(bp.models.fully_connected([32], classes=data.train.y.shape[1]), data.shape)
    settings = {"loss": bp.MSELoss(), "optimizer": bp.Adam(lr=1e-2), "epochs": 6, "batch_size": 30}
    return bp.Trainer(model, data, **(settings | more))


@pytest.mark.parametrize(("y", "K"), [(Y, 2), (Y[:, 0], 1), (Y.astype("f4")[:, :1], 1), (np.zeros((300, 1)), 1)])
def test_floats_are_targets(y, K) -> None:
    data = bp.data.load((X, y))
    assert data.has_targets
    assert data.classes == ()
    assert data.train.y.shape == (210, K)
    assert data.train.y.dtype == np.float64
    assert f"{K} targets" in str(data)
    assert bp.data.describe(data)["splits"]["train"]["per_class"] == []


def test_whole_floats_are_still_classes() -> None:
    assert not bp.data.load((X, np.arange(300.0) % 3)).has_targets


def test_bad_targets_are_refused(tmp_path) -> None:
    bad = Y.copy()
    bad[7, 1] = np.nan
    with pytest.raises(DataError, match=r"train.y: expected finite targets.*sample 7"):
        bp.data.load((X, bad))
    with pytest.raises(ShapeError, match="expected one target for each of 300 samples, got 299"):
        bp.data.load((X, Y[:-1]))
    with pytest.raises(ShapeError, match=r"val.y: expected targets of shape \(2,\)"):
        bp.data.load({"X_train": X, "y_train": Y, "X_val": X, "y_val": Y[:, :1]})
    with pytest.raises(ArgumentError, match="classes: y holds real targets"):
        bp.data.load((X, Y), classes=["a", "b"])


def test_regression_trains_resumes_and_reports(tmp_path) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    data = bp.data.load(tmp_path / "mine.npz")
    whole = trainer(data).fit()
    assert whole.trainer.monitor == "val_loss"
    assert whole.history["val_r2"][-1] > whole.history["val_r2"][0]
    trainer(data, epochs=3, out=tmp_path / "run").fit()
    again = bp.Trainer.resume(tmp_path / "run", epochs=6).fit()
    assert again.digest() == whole.digest()
    found = bp.evaluate(whole.model, data.test, bp.MSELoss())
    scores, y = whole.model.predict_scores(data.test.x), data.test.y
    assert found["loss"] == pytest.approx(np.mean((scores - y) ** 2), rel=1e-6)
    assert found["r2"] == pytest.approx(1 - ((scores - y) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum(), rel=1e-6)


def test_loss_and_data_that_differ_are_named() -> None:
    with pytest.raises(
        ArgumentError, match=r"SoftmaxLoss expected data with class labels, got arrays with targets.*MSELoss"
    ):
        trainer(bp.data.load((X, Y)), loss=bp.SoftmaxLoss())
    with pytest.raises(ArgumentError, match="MSELoss expected data with targets, got digits with class labels"):
        bp.Trainer(bp.Model([bp.Affine(10)], (1, 8, 8)), bp.data.load("digits"), loss=bp.MSELoss())
    with pytest.raises(ArgumentError, match="monitor"):
        trainer(bp.data.load((X, Y)), monitor="val_accuracy")
