"""Bad input gives an error that says what was expected, what came and where; and nothing is changed by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import backpass as bp
from backpass import checkpoint
from backpass.errors import BackpassError

NAN, INF = math.nan, math.inf


def digits() -> bp.data.Dataset:
    return bp.data.load("digits").subset(train=60, val=20, test=20)


def small(**more) -> bp.Model:
    return bp.Model([bp.Affine(4), bp.BatchNorm(), bp.ReLU(), bp.Affine(3)], input_shape=(5,), **more)


def forward(x) -> Callable:
    return lambda: small().forward(x)


def train(**settings) -> Callable:
    def make():
        data = digits()
        return bp.Trainer(bp.Model([bp.Affine(10)], data.shape), data, **settings)

    return make


def loss(make: Callable, y, scores=None, **more) -> Callable:
    scores = np.zeros((3, 4)) if scores is None else scores
    return lambda: make(scores, y, **more)


def with_nan(value) -> np.ndarray:
    x = np.ones((4, 5))
    x[2, 3] = value
    return x


# what is done, the error's type, and words that its message must have: argument, expected, got
BAD: dict[str, tuple[Callable, type[Exception], str]] = {
    # layers
    "affine width 0": (lambda: bp.Affine(0), ValueError, r"Affine: width.*>= 1.*got 0"),
    "affine width -3": (lambda: bp.Affine(-3), ValueError, r"width.*got -3"),
    "affine width 2.5": (lambda: bp.Affine(2.5), ValueError, r"width.*whole number.*got 2.5"),
    "affine width True": (lambda: bp.Affine(True), ValueError, r"width.*got True"),
    "affine width text": (lambda: bp.Affine("10"), ValueError, r"width.*got '10'"),
    "affine init text": (lambda: bp.Affine(3, init="he"), ValueError, r"init.*got 'he'"),
    "batchnorm eps 0": (lambda: bp.BatchNorm(eps=0), ValueError, r"BatchNorm: eps.*> 0.*got 0"),
    "batchnorm eps nan": (lambda: bp.BatchNorm(eps=NAN), ValueError, r"eps.*got nan"),
    "batchnorm decay 1.5": (lambda: bp.BatchNorm(decay=1.5), ValueError, r"decay.*\[0, 1\].*got 1.5"),
    "batchnorm decay -1": (lambda: bp.BatchNorm(decay=-1), ValueError, r"decay.*got -1"),
    "layernorm eps -1": (lambda: bp.LayerNorm(eps=-1), ValueError, r"LayerNorm: eps.*got -1"),
    "dropout 1": (lambda: bp.Dropout(1.0), ValueError, r"Dropout: drop_prob.*\[0, 1\).*got 1.0"),
    "dropout -0.1": (lambda: bp.Dropout(-0.1), ValueError, r"drop_prob.*got -0.1"),
    "dropout nan": (lambda: bp.Dropout(NAN), ValueError, r"drop_prob.*got nan"),
    "leaky relu slope inf": (lambda: bp.LeakyReLU(INF), ValueError, r"LeakyReLU: slope.*got inf"),
    "elu alpha nan": (lambda: bp.ELU(NAN), ValueError, r"ELU: alpha.*got nan"),
    "init scale -1": (lambda: bp.init.Normal(-1.0), ValueError, r"Normal: scale.*got -1.0"),
    # models
    "no layers": (lambda: bp.Model([], (5,)), ValueError, r"Model: layers.*at least one"),
    "a class for a layer": (lambda: bp.Model([bp.ReLU], (5,)), ValueError, r"layer objects such as bp.ReLU\(\)"),
    "input shape a number": (lambda: bp.Model([bp.Affine(2)], 5), ValueError, r"input_shape.*tuple of sizes.*got 5"),
    "input shape zero": (lambda: bp.Model([bp.Affine(2)], (0,)), ValueError, r"input_shape.*at least 1.*\(0,\)"),
    "input shape empty": (lambda: bp.Model([bp.Affine(2)], ()), ValueError, r"input_shape.*got \(\)"),
    "dtype float16": (lambda: small(dtype="float16"), TypeError, r"dtype.*float32 or float64.*got 'float16'"),
    "dtype text": (lambda: small(dtype="real"), TypeError, r"dtype.*got 'real'"),
    "seed -1": (lambda: small(seed=-1), ValueError, r"seed.*>= 0.*got -1"),
    "batch norm on images": (
        lambda: bp.Model([bp.BatchNorm()], (3, 8, 8)),
        ValueError,
        r"BatchNorm \(layer 0, the first\): expected x of shape \(N, D\), got \(2, 3, 8, 8\); use SpatialBatchNorm",
    ),
    "hidden width 0": (lambda: bp.models.fully_connected([0], classes=3), ValueError, r"width.*got 0"),
    "hidden a number": (lambda: bp.models.fully_connected(100, classes=3), ValueError, r"hidden.*list.*got 100"),
    "classes 0": (lambda: bp.models.fully_connected([5], classes=0), ValueError, r"width.*got 0"),
    "norm a class": (
        lambda: bp.models.fully_connected([5], classes=3, norm=bp.BatchNorm),
        ValueError,
        r"norm.*layer object such as bp.BatchNorm\(\)",
    ),
    # running a model
    "x with nan": (forward(with_nan(NAN)), ValueError, r"finite float32 numbers in x, got nan at \(2, 3\)"),
    "x with infinity": (forward(with_nan(INF)), ValueError, r"got inf at \(2, 3\)"),
    "x of a wrong width": (forward(np.ones((4, 6))), ValueError, r"shape \(N, 5\), got \(4, 6\)"),
    "x without a batch": (forward(np.ones(5)), ValueError, r"shape \(N, 5\), got \(5,\)"),
    "x empty": (forward(np.ones((0, 5))), ValueError, r"at least one sample"),
    "x text": (forward([["a"] * 5]), TypeError, r"numbers, got dtype <U1"),
    "x complex": (forward(np.ones((4, 5), complex)), TypeError, r"numbers, got dtype complex128"),
    "batch of one": (forward(np.ones((1, 5))), ValueError, r"BatchNorm \(layer 1, after Affine\).*at least 2 samples"),
    "backward first": (lambda: small().backward(np.ones((4, 3))), ValueError, r"forward\(x\) before"),
    "update first": (lambda: small().update(), ValueError, r"forward\(x\) before"),
    "predict nan": (lambda: small().predict(with_nan(NAN)), ValueError, r"finite.*nan"),
    # losses
    "label too large": (loss(bp.softmax_loss, [0, 1, 4]), ValueError, r"y.*4"),
    "label negative": (loss(bp.softmax_loss, [0, -1, 1]), ValueError, r"y.*-1"),
    "label a fraction": (loss(bp.softmax_loss, [0, 0.5, 1]), (ValueError, TypeError), r"y.*whole"),
    "labels one-hot": (loss(bp.softmax_loss, np.eye(4)[:3]), ValueError, r"y.*\(3, 4\)"),
    "labels too few": (loss(bp.softmax_loss, [0, 1]), ValueError, r"y.*\(2,\)"),
    "labels text": (loss(bp.softmax_loss, ["a", "b", "c"]), TypeError, r"y.*dtype"),
    "no samples": (loss(bp.softmax_loss, [], np.zeros((0, 4))), ValueError, r"softmax|Softmax"),
    "svm label": (loss(bp.svm_loss, [0, 9, 0]), ValueError, r"y.*9"),
    "mse shape": (loss(bp.mse_loss, [0, 1, 2]), ValueError, r"y.*\(3, 4\).*\(3,\)"),
    "mse target nan": (loss(bp.mse_loss, np.full((3, 4), NAN)), ValueError, r"y.*nan"),
    "smoothing 1.5": (lambda: bp.SoftmaxLoss(label_smoothing=1.5), ValueError, r"label_smoothing.*got 1.5"),
    "class weights negative": (lambda: bp.SoftmaxLoss(class_weights=[1, -1]), ValueError, r"class_weights.*-1"),
    "sample weights zero": (loss(bp.softmax_loss, [0, 1, 2], sample_weights=[0, 0, 0]), ValueError, r"sample_weights"),
    "sample weights nan": (loss(bp.softmax_loss, [0, 1, 2], sample_weights=[NAN, 1, 1]), ValueError, r"sample_weights"),
    "svm margin": (lambda: bp.SVMLoss(margin=-1.0), ValueError, r"margin.*got -1.0"),
    # optimizers and schedules
    "lr 0": (lambda: bp.Adam(lr=0), ValueError, r"Adam: lr.*got 0"),
    "lr negative": (lambda: bp.SGD(lr=-1e-3), ValueError, r"SGD: lr.*got -0.001"),
    "lr nan": (lambda: bp.Adam(lr=NAN), ValueError, r"lr.*got nan"),
    "lr 1e10": (lambda: bp.Adam(lr=1e10), ValueError, r"lr.*got 10000000000"),
    "lr text": (lambda: bp.Adam(lr="fast"), ValueError, r"lr.*got 'fast'"),
    "beta 1": (lambda: bp.Adam(beta1=1.0), ValueError, r"beta1.*got 1.0"),
    "momentum 1": (lambda: bp.Momentum(momentum=1.0), ValueError, r"momentum.*got 1.0"),
    "adam eps 0": (lambda: bp.Adam(eps=0.0), ValueError, r"eps.*got 0.0"),
    "decay 2": (lambda: bp.RMSProp(decay=2), ValueError, r"decay.*got 2"),
    "unknown group": (lambda: bp.Adam(groups={"biases": {"lr_scale": 2}}), ValueError, r"groups.*bias.*'biases'"),
    "unknown option": (lambda: bp.Adam(groups={"bias": {"lr": 2}}), ValueError, r"lr_scale.*'lr'"),
    "optimizer name": (lambda: bp.optim.by_name("adm"), ValueError, r"adam.*got 'adm'"),
    "schedule name": (lambda: bp.schedule.by_name("cos"), ValueError, r"cosine.*got 'cos'"),
    # trainer
    "epochs 0": (train(epochs=0), ValueError, r"Trainer: epochs.*>= 1.*got 0"),
    "epochs 1.5": (train(epochs=1.5), ValueError, r"epochs.*got 1.5"),
    "batch size 0": (train(batch_size=0), ValueError, r"batch_size.*got 0"),
    "reg negative": (train(reg=-1), ValueError, r"reg.*got -1"),
    "reg nan": (train(reg=NAN), ValueError, r"reg.*got nan"),
    "clip 0": (train(clip_norm=0), ValueError, r"clip_norm.*got 0"),
    "patience 0": (train(patience=0), ValueError, r"patience.*got 0"),
    "monitor unknown": (train(monitor="val_acc"), ValueError, r"monitor.*val_accuracy.*got 'val_acc'"),
    "preprocess unknown": (train(preprocess="white"), ValueError, r"zca.*got 'white'"),
    "optimizer a name": (train(optimizer="adam"), ValueError, r"optimizer.*bp.Adam.*got 'adam'"),
    "loss a function": (train(loss=bp.softmax_loss), ValueError, r"loss.*SoftmaxLoss\(\)"),
    "callback a number": (train(callbacks=[3]), ValueError, r"callbacks.*got 3"),
    "too few scores": (
        lambda: bp.Trainer(bp.Model([bp.Affine(9)], digits().shape), digits()),
        ValueError,
        r"y.*9",
    ),
    "data of another shape": (
        lambda: bp.Trainer(bp.Model([bp.Affine(10)], (64,)), digits()),
        ValueError,
        r"samples of shape \(64,\).*\(1, 8, 8\).*input_shape=\(1, 8, 8\)",
    ),
    "threads 0": (lambda: bp.set_threads(0), ValueError, r"threads from 1 to 1024, got 0"),
    "threads text": (lambda: bp.set_threads("2"), ValueError, r"got '2'"),
    # data
    "data unknown": (lambda: bp.data.load("cifar11"), (ValueError, OSError), r"cifar11"),
    "data with nan": (lambda: bp.data.load((with_nan(NAN), [0, 1, 0, 1])), ValueError, r"NaN"),
    "data of two lengths": (lambda: bp.data.load((np.ones((4, 5)), [0, 1])), ValueError, r"4.*2"),
    "data with fractions for labels": (
        lambda: bp.Trainer(bp.Model([bp.Affine(3)], (5,)), bp.data.load((np.ones((40, 5)), [0.5] * 40))),
        (ValueError, TypeError),
        "class labels, got arrays with targets",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name: str) -> None:
    act, kind, words = BAD[name]
    with pytest.raises(BackpassError, match=words) as caught:
        act()
    assert isinstance(caught.value, kind)
    assert not isinstance(caught.value, AssertionError)
    assert len(str(caught.value)) < 500, "an error is read, not studied"


def test_the_table_is_as_long_as_promised() -> None:
    assert len(BAD) >= 60


def test_a_model_is_unchanged_by_what_it_refuses() -> None:
    model = small()
    model.forward(np.ones((4, 5)))
    before = [v.copy() for v in (model.params, model.grads, model.state)]
    scores = model.forward(np.arange(20.0).reshape(4, 5))
    for bad in (with_nan(NAN), np.ones((4, 6)), np.ones((0, 5)), np.ones((1, 5)), [["a"] * 5]):
        with pytest.raises(BackpassError):
            model.forward(bad)
    with pytest.raises(BackpassError, match=r"dscores.*\(4, 3\), got \(4, 2\)"):
        model.backward(np.ones((4, 2)))
    for old, new in zip(before, (model.params, model.grads, model.state), strict=True):
        np.testing.assert_array_equal(old, new)
    reference = small()
    reference.forward(np.arange(20.0).reshape(4, 5))
    np.testing.assert_array_equal(model.backward(scores), reference.backward(scores))  # the good forward still counts


def saved_run(folder: Path) -> bp.data.Dataset:
    data = digits()
    bp.Trainer(bp.Model([bp.Affine(10)], data.shape), data, epochs=1, out=folder).fit()
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a, m: m["model"]["layers"][0].update(type="Affin"), r"unknown type 'Affin'"),
        (lambda a, m: m["model"]["layers"][0].update(width=-1), r"Affine.*cannot be made|width"),
        (lambda a, m: m["model"]["layers"][0].update(depth=1), r"Affine.*cannot be made"),
        (lambda a, m: m["model"]["layers"][0].update(width=11), r"params: expected shape.*another net"),
        (lambda a, m: m["model"].update(layers=5), r"cannot be built"),
        (lambda a, m: m["model"].update(dtype="float16"), r"cannot be built.*dtype"),
        (lambda a, m: m.pop("trainer"), r"expected the checkpoint of a run"),
        (lambda a, m: m.update(kind="model"), r"expected the checkpoint of a run, got 'model'"),
        (lambda a, m: a.pop("params"), r"params: expected shape.*got none"),
        (lambda a, m: a.update(params=a["params"].astype("f8")), r"params: expected.*float32.*float64"),
        (lambda a, m: a.pop("optimizer/m"), r"optimizer/m: expected"),
        (lambda a, m: a.pop("history/step_loss"), r"history"),
        (lambda a, m: a.pop("preprocess/shift"), r"preprocess"),
        (lambda a, m: m["trainer"]["optimizer"].update(type="os.system"), r"unknown type 'os.system'"),
    ],
)
def test_a_wrong_checkpoint_is_refused_with_the_reason(tmp_path: Path, change: Callable, words: str) -> None:
    data = saved_run(tmp_path)
    path = tmp_path / "checkpoint.npz"
    arrays, manifest = checkpoint.load(path)
    change(arrays, manifest)
    manifest.pop("format"), manifest.pop("version")
    checkpoint.save(path, arrays, manifest)
    with pytest.raises(BackpassError, match=words):
        bp.Trainer.resume(tmp_path, data)


def test_a_folder_that_cannot_be_made_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackpassError, match=r"out: expected a folder that can be written to.*file"):
        train(out=tmp_path / "file" / "run")()


def test_every_error_is_also_a_builtin() -> None:
    found = [e for e in vars(bp.errors).values() if isinstance(e, type) and issubclass(e, BackpassError)]
    assert len(found) >= 9
    for error in found:
        if error is not BackpassError:
            assert [
                base
                for base in error.__mro__
                if base.__module__ == "builtins" and base not in (object, Exception, BaseException)
            ]
