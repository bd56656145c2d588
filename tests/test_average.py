"""Averages of the parameters and frozen parameters: against the formula, in evaluation, through a kill and a resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import backpass as bp
from backpass.errors import ArgumentError
from backpass.train import _between, load_run


@pytest.fixture(scope="module")
def data() -> bp.data.Dataset:
    return bp.data.load("digits").subset(train=230, val=100)


def trainer(data, **more) -> bp.Trainer:
    layers = bp.models.fully_connected([24, 16], classes=10, norm=bp.BatchNorm(), drop_prob=0.25)
    model = bp.Model(layers, input_shape=data.shape, seed=3, kernels=more.pop("kernels", True))
    settings = {"optimizer": bp.Nesterov(lr=0.05), "epochs": 3, "batch_size": 50}
    return bp.Trainer(model, data, **(settings | more))


class Follow(bp.Callback):
    """Takes the exponential average in float64, and holds the trainer to it."""

    def start(self, run: bp.Run) -> None:
        self.params, self.state = run.model.params.astype(float), run.model.state.astype(float)

    def step(self, run: bp.Run) -> None:
        weight = run.trainer.average.weight(run.step, run.total_steps)
        self.params += weight * (run.model.params - self.params)
        self.state += weight * (run.model.state - self.state)
        np.testing.assert_allclose(run.trainer.averages["params"], self.params, atol=1e-6)
        np.testing.assert_allclose(run.trainer.averages["state"], self.state, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kernels", [True, False])
def test_ema_is_the_formula(data, kernels) -> None:
    made = trainer(data, average=bp.EMA(0.9), callbacks=[Follow()], kernels=kernels)
    made.fit()
    assert made.run.step == 15


@pytest.mark.parametrize("kernels", [True, False])
def test_lookahead_sets_the_parameters_back(data, kernels) -> None:
    average = bp.Lookahead(every=4, decay=0.6, power=2)
    made = trainer(data, average=average, kernels=kernels)
    model, slow = made.model, made.model.params.astype(float)

    class Watch(bp.Callback):
        def step(self, run: bp.Run) -> None:
            kept = run.trainer.averages["params"]
            if run.step % 4 == 0:
                weight = 1 - 0.6 * (run.step / 15) ** 2
                slow[...] += weight * (self.fast - slow)
                np.testing.assert_allclose(kept, slow, atol=1e-6)
                np.testing.assert_array_equal(model.params, kept)
            else:
                np.testing.assert_allclose(kept, slow, atol=1e-6)
                assert (model.params != kept).any()

    watch = Watch()
    made.callbacks.append(watch)
    move = made._move_average

    class Before:
        def run(self) -> None:
            watch.fast = model.params.astype(float)
            move.run()

    made._move_average = Before()
    made.fit()


def test_the_average_is_what_is_evaluated_kept_and_predicted_with(data, tmp_path: Path) -> None:
    made = trainer(data, average=bp.EMA(0.9), out=tmp_path)
    run = made.fit()
    arrays, _ = load_run(tmp_path)
    assert (arrays["params"] != arrays["average/params"]).any()
    last = run.history.rows[-1]
    model = made.model
    model.params[...], model.state[...] = arrays["average/params"], arrays["average/state"]
    assert bp.evaluate(model, data.val)["loss"] == pytest.approx(last["val_loss"], rel=1e-6)
    model.params[...], model.state[...] = arrays["params"], arrays["state"]
    assert bp.evaluate(model, data.val)["loss"] != pytest.approx(last["val_loss"], rel=1e-6)
    again = bp.load_model(tmp_path)
    assert bp.evaluate(again, data.val)["accuracy"] == run.best["val_accuracy"]


class Killed(BaseException):
    """Stands for a power cut."""


class KillAt(bp.Callback):
    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, run: bp.Run) -> None:
        if run.step == self.at:
            raise Killed


@pytest.mark.parametrize("average", [bp.EMA(0.8), bp.Lookahead(every=3, decay=0.7, power=1)], ids=str)
@pytest.mark.parametrize("at", [3, 5, 6, 11])
def test_a_killed_run_resumes_with_its_average(data, tmp_path, average, at) -> None:
    more = {"average": average, "frozen": ["0.w", "gamma"]}
    whole = trainer(data, **more).fit()
    bp.set_threads(1)
    with pytest.raises(Killed):
        trainer(data, **more, out=tmp_path, save_every_steps=2, callbacks=[KillAt(at)]).fit()
    bp.set_threads(3)
    again = bp.Trainer.resume(tmp_path, data)
    assert (again.average, again.frozen) == (average, ("0.w", "gamma"))
    assert again.fit().digest() == whole.digest()
    assert trainer(data, frozen=["0.w", "gamma"]).fit().digest() != whole.digest()


def test_weights() -> None:
    assert [bp.Lookahead(every=3).weight(step, 9) for step in range(1, 7)] == [0, 0, 0.5, 0, 0, 0.5]
    assert bp.Lookahead(every=1, decay=0.9, power=3).weight(4, 8) == pytest.approx(1 - 0.9 / 8)
    assert bp.EMA(0.99).weight(1, 100) == pytest.approx(9 / 11)
    assert bp.EMA(0.99).weight(5000, 10_000) == pytest.approx(0.01)
    for bad in (
        lambda: bp.EMA(1.0),
        lambda: bp.EMA(-0.1),
        lambda: bp.Lookahead(every=0),
        lambda: bp.Lookahead(every=2.5),
        lambda: bp.Lookahead(decay=1.0),
        lambda: bp.Lookahead(power=-1),
    ):
        with pytest.raises(ArgumentError):
            bad()


@pytest.mark.parametrize("kernels", [True, False])
def test_frozen_parameters_keep_their_values_and_the_others_learn(data, kernels) -> None:
    optimizer = bp.AdamW(lr=1e-2, weight_decay=0.1)
    settings = {"optimizer": optimizer, "reg": 0.1, "clip_norm": 1.0, "inspect": False}
    made = trainer(data, frozen=["1", "4.w", "beta"], kernels=kernels, **settings)
    before = {name: values.copy() for name, values in made.model.named_params().items()}
    made.fit()
    moved = {name for name, values in made.model.named_params().items() if (values != before[name]).any()}
    assert moved == {"0.w", "0.b", "4.b", "5.gamma", "8.w", "8.b"}
    grads = made.model.named_grads()
    assert not grads["4.w"].any()  # so the clipped norm is that of the others
    assert grads["0.w"].any()


def test_nothing_frozen_is_one_slice_for_one_kind_of_options(data) -> None:
    made = trainer(data)
    assert [group for group, _ in made.trained] == ["weight", "bias", "gamma", "beta"]
    assert sum(where.stop - where.start for _, where in made.trained) == made.model.params.size
    assert _between([slice(0, 2), slice(5, 6)], 6) == [slice(2, 5)]
    assert _between([slice(1, 2)], 4) == [slice(0, 1), slice(2, 4)]


def test_bad_input(data) -> None:
    for bad in ("9", "0.v", "0.", "weights", 0, "3"):
        with pytest.raises(ArgumentError, match=r"frozen: expected parameters such as '0\.w'"):
            trainer(data, frozen=[bad])
    with pytest.raises(ArgumentError, match="average"):
        trainer(data, average=0.99)
