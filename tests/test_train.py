"""The training loop: exact resume, best parameters, early stop, divergence, signals."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import backpass as bp
from backpass.errors import ArgumentError, CheckpointError, DivergenceError, ShapeError
from backpass.train import CHECKPOINT


@pytest.fixture(scope="module")
def data() -> bp.data.Dataset:
    return bp.data.load("digits").subset(train=230, val=100)


@pytest.fixture(params=["in memory", "in a file"])
def best_waits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the best parameters of these small nets in memory, or in a file as those of larger ones."""
    if request.param == "in a file":
        monkeypatch.setattr("backpass.filed.PIECE_BYTES", 1000)


def trainer(data, out=None, **more) -> bp.Trainer:
    layers = bp.models.fully_connected([24, 16], classes=10, norm=bp.BatchNorm(), drop_prob=0.25)
    model = bp.Model(layers, input_shape=data.shape, seed=3)
    settings = {
        "optimizer": bp.Adam(lr=2e-3),
        "schedule": bp.schedule.Cosine(),
        "epochs": 4,
        "batch_size": 50,
        "reg": 1e-3,
        "clip_norm": 1.0,
        "out": out,
    }
    return bp.Trainer(model, data, **(settings | more))


class Killed(BaseException):
    """Stands for a power cut: nothing of backpass catches it."""


class KillAt(bp.Callback):
    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, run: bp.Run) -> None:
        if run.step == self.at:
            raise Killed


@pytest.mark.usefixtures("best_waits")
def test_a_run_killed_at_any_step_and_resumed_ends_with_the_same_bits(data, tmp_path: Path) -> None:
    whole = trainer(data).fit()
    assert whole.status == "finished"
    steps = whole.total_steps
    for i, at in enumerate([1, 2, 4, 5, 6, 9, 10, 13, steps - 1, steps]):
        folder = tmp_path / str(at)
        bp.set_threads(1 + i % 3)
        with pytest.raises(Killed):
            trainer(data, folder, save_every_steps=1 + i % 3, callbacks=[KillAt(at)]).fit()
        bp.set_threads(1 + (i + 1) % 3)
        if (folder / CHECKPOINT).exists():
            again = bp.Trainer.resume(folder, data)
            assert 0 <= at - again.run.step <= 1 + i % 3
        else:
            again = trainer(data, folder)
        run = again.fit()
        assert run.digest() == whole.digest(), f"killed at step {at}"
        assert {path.name for path in folder.iterdir()} == {CHECKPOINT, "history.csv"}
        assert run.history["val_accuracy"] == whole.history["val_accuracy"]
    bp.set_threads(2)


@pytest.mark.parametrize("optimizer", [bp.SGD(), bp.Momentum(), bp.Nesterov(), bp.AdaGrad(), bp.RMSProp(), bp.AdamW()])
def test_every_optimizer_resumes_exactly(data, tmp_path: Path, optimizer) -> None:
    whole = trainer(data, optimizer=optimizer, epochs=2).fit()
    with pytest.raises(Killed):
        trainer(data, tmp_path, optimizer=optimizer, epochs=2, save_every_steps=2, callbacks=[KillAt(7)]).fit()
    assert bp.Trainer.resume(tmp_path, data).fit().digest() == whole.digest()


def test_the_same_bits_for_one_two_and_three_threads(data) -> None:
    digests = set()
    for threads in (1, 2, 3):
        bp.set_threads(threads)
        digests.add(trainer(data).fit().digest())
    bp.set_threads(2)
    assert len(digests) == 1


def test_the_digest_sees_a_single_bit(data) -> None:
    a = trainer(data, epochs=1).fit()
    before = a.digest()
    a.model.params[7] = np.nextafter(a.model.params[7], np.float32(9))
    assert a.digest() != before


def test_another_seed_gives_another_run(data) -> None:
    assert trainer(data, seed=1, epochs=1).fit().digest() != trainer(data, seed=2, epochs=1).fit().digest()


def test_kernels_and_references_train_alike(data) -> None:
    runs = []
    for kernels in (True, False):
        layers = bp.models.fully_connected([24, 16], classes=10, norm=bp.BatchNorm(), drop_prob=0.25)
        model = bp.Model(layers, input_shape=data.shape, seed=3, dtype="float64", kernels=kernels)
        runs.append(bp.Trainer(model, data, epochs=2, batch_size=50, reg=1e-3, clip_norm=1.0).fit())
    np.testing.assert_allclose(runs[0].history.step_loss, runs[1].history.step_loss, rtol=1e-9)
    np.testing.assert_allclose(runs[0].model.params, runs[1].model.params, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("name", ["SGD", "Nesterov", "RMSProp", "AdamW"])
def test_a_measured_step_has_the_bits_of_any_other(data, name, kernels, monkeypatch) -> None:
    monkeypatch.setattr("backpass.train.PIECE", 192)
    found = []
    for measure in (False, True):
        model = bp.Model(
            bp.models.fully_connected([37], classes=10, norm=bp.BatchNorm()), data.shape, seed=3, kernels=kernels
        )
        made = bp.Trainer(model, data, optimizer=getattr(bp, name)(lr=0.01), batch_size=50, clip_norm=0.5)
        step = bp.train._Step(made, 50)
        before = model.params.astype(np.float64)
        step.run(np.arange(50), made.run, measure=measure)
        found.append((model.params.tobytes(), model.state.tobytes()))
    assert found[0] == found[1]
    moved = np.linalg.norm(model.params - before)
    assert step.update_ratio == pytest.approx(moved / np.linalg.norm(before), rel=1e-12)
    assert step.gradient_norm == pytest.approx(np.linalg.norm(model.grads.astype(np.float64)), rel=1e-12)


def test_each_epoch_visits_every_sample_once_in_a_new_order(data) -> None:
    seen: list[np.ndarray] = []

    class Watch(bp.Callback):
        def step(self, run: bp.Run) -> None:
            size = 50 if run.step % run.steps_per_epoch else 30
            seen.append(next(s for s in steps if len(s.indices) == size).indices.copy())

    import backpass.train as train

    steps: list[train._Step] = []
    made = train._Step.__init__

    def keep(self, *args) -> None:
        made(self, *args)
        steps.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train._Step, "__init__", keep)
        trainer(data, epochs=2, callbacks=[Watch()]).fit()
    first, second = np.concatenate(seen[:5]), np.concatenate(seen[5:])
    assert sorted(first) == sorted(second) == list(range(230))
    assert (first != second).any()


@pytest.mark.usefixtures("best_waits")
def test_the_model_ends_with_the_best_parameters_and_their_running_statistics(data) -> None:
    kept = {}

    def note(run: bp.Run) -> None:
        kept[run.epoch] = (run.model.params.copy(), run.model.state.copy())

    # A learning rate that is far too high at the end makes the last epoch a bad one.
    run = trainer(data, schedule=bp.schedule.Constant(), optimizer=bp.SGD(lr=0.5), epochs=6, callbacks=[note]).fit()
    accuracy = run.history["val_accuracy"]
    best = 1 + accuracy.index(max(accuracy))
    assert run.best["epoch"] == best
    assert best < 6, "the test needs a best epoch before the last one"
    np.testing.assert_array_equal(run.model.params, kept[best][0])
    np.testing.assert_array_equal(run.model.state, kept[best][1])
    assert bp.evaluate(run.model, data.val)["accuracy"] == max(accuracy)


def test_evaluation_needs_no_memory_beside_that_of_a_step(data) -> None:
    run = trainer(data, epochs=1, batch_size=115, evaluate_train=200, inspect=False)
    arena = run.model._arena
    run.fit()
    assert run.model._arena is arena
    assert run.model._infer_arena.size == 0


def test_early_stopping_counts_epochs_without_a_new_best(data, tmp_path: Path) -> None:
    run = trainer(data, tmp_path, optimizer=bp.SGD(lr=1e-9), epochs=50, patience=3, monitor="val_accuracy").fit()
    assert (run.status, run.epoch) == ("stopped early", run.best["epoch"] + 3)
    assert "has not improved for 3 epochs" in run.reason
    again = bp.Trainer.resume(tmp_path, data).fit()
    assert (again.status, again.epoch, again.digest()) == (run.status, run.epoch, run.digest())


def test_a_lower_loss_is_better(data) -> None:
    run = trainer(data, monitor="val_loss").fit()
    assert run.best["val_loss"] == min(run.history["val_loss"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_returns(data, tmp_path: Path, number: int) -> None:
    class Send(bp.Callback):
        def step(self, run: bp.Run) -> None:
            if run.step == 7:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    run = trainer(data, tmp_path, callbacks=[Send()]).fit()
    assert (run.status, run.step) == ("interrupted", 7)
    assert signal.Signals(number).name in run.reason
    assert signal.getsignal(number) is before
    assert bp.Trainer.resume(tmp_path, data).fit().digest() == trainer(data).fit().digest()


def test_a_finished_run_can_be_trained_further(data, tmp_path: Path) -> None:
    constant = {"schedule": bp.schedule.Constant()}
    long = trainer(data, epochs=5, **constant).fit()
    trainer(data, tmp_path, epochs=2, **constant).fit()
    assert bp.Trainer.resume(tmp_path, data, epochs=5).fit().digest() == long.digest()


def test_a_plain_function_is_called_after_each_epoch_and_may_stop_the_run(data) -> None:
    seen = []

    def stop_at_two(run: bp.Run) -> None:
        seen.append(run.history["epoch"][-1])
        if run.epoch == 2:
            run.stop("enough")

    run = trainer(data, callbacks=[stop_at_two]).fit()
    assert (seen, run.status, run.reason) == ([1, 2], "stopped early", "enough")


def test_divergence_names_step_and_layer_and_keeps_the_checkpoint(data, tmp_path: Path) -> None:
    # A weight overflows in the third step: layer 1 (batch norm) is where the numbers break first.
    class Break(bp.Callback):
        def step(self, run: bp.Run) -> None:
            if run.step == 2:
                run.model.named_params()["0.w"][0, 0] = np.inf

    t = trainer(data, tmp_path, save_every_steps=1, callbacks=[Break()], inspect=False)
    with pytest.raises(
        DivergenceError, match=r"step 3: the loss is nan, first in the output of layer 0 \(Affine\)"
    ) as e:
        t.fit()
    assert "smaller learning rate" in str(e.value)
    assert "is kept" in str(e.value)
    assert bp.Trainer.resume(tmp_path, data).run.step == 2 or math.isnan(t.run.loss)


def test_a_learning_rate_that_blows_up_is_divergence_not_nan(data) -> None:
    layers = bp.models.fully_connected([30, 30, 30], classes=10)
    model = bp.Model(layers, input_shape=data.shape)
    with pytest.raises(DivergenceError, match="training diverged at step"):
        bp.Trainer(model, data, optimizer=bp.SGD(lr=900.0), epochs=30).fit()


def test_a_run_in_the_folder_is_not_overwritten_by_accident(data, tmp_path: Path) -> None:
    run = trainer(data, tmp_path, epochs=1).fit()
    with pytest.raises(ArgumentError, match="already a run"):
        trainer(data, tmp_path, epochs=1)
    assert bp.Trainer.resume(tmp_path, data).run.digest() == run.digest()
    assert trainer(data, tmp_path, epochs=1, overwrite=True).fit().digest() == run.digest()


def test_other_data_and_other_nets_are_refused_on_resume(data, tmp_path: Path) -> None:
    trainer(data, tmp_path, epochs=1).fit()
    with pytest.raises(CheckpointError, match="trained on other data"):
        bp.Trainer.resume(tmp_path, data.subset(train=229))
    with pytest.raises(CheckpointError, match="expected a run"):
        bp.Trainer.resume(tmp_path / "nowhere", data)


def test_a_last_batch_of_one_is_found_before_training(data) -> None:
    layers = bp.models.fully_connected([8], classes=10, norm=bp.BatchNorm())
    model = bp.Model(layers, input_shape=data.shape)
    before = model.params.copy()
    with pytest.raises(ShapeError, match="batch of at least 2"):
        bp.Trainer(model, data, batch_size=229)
    np.testing.assert_array_equal(model.params, before)


def test_history_csv_has_a_row_per_epoch(data, tmp_path: Path) -> None:
    run = trainer(data, tmp_path).fit()
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].split(",") == [name for name in bp.History.COLUMNS if not name.endswith("r2")]
    assert [int(line.split(",")[0]) for line in lines[1:]] == [1, 2, 3, 4]
    assert float(lines[4].split(",")[2]) == pytest.approx(run.history["loss"][3], rel=1e-8)
    assert len(run.history.step_loss) == run.total_steps


def test_the_loss_of_an_epoch_is_the_mean_over_its_steps_with_regularisation(data) -> None:
    run = trainer(data, reg=0.5, optimizer=bp.SGD(lr=1e-12), schedule=bp.schedule.Constant(), epochs=1).fit()
    weights = run.model.params[run.model.groups["weight"]].astype(np.float64)
    assert run.history["loss"][0] - run.history["train_loss"][0] > 0.9 * 0.25 * (weights**2).sum()
    assert run.history["loss"][0] == pytest.approx(run.history.step_loss.mean())


@pytest.mark.parametrize("kind", ["none", "scale", "mean-image", "standardise", "pca", "zca"])
def test_predict_repeats_the_preprocessing_of_training(data, tmp_path: Path, kind: str) -> None:
    shape = (64,) if kind == "pca" else data.shape
    model = bp.Model([bp.Affine(32), bp.ReLU(), bp.Affine(10)], input_shape=shape)
    adam = bp.Adam(lr=1e-2)
    run = bp.Trainer(model, data, preprocess=kind, optimizer=adam, epochs=8, batch_size=50, out=tmp_path).fit()
    expected = model.infer(model.preprocess.apply(data.test.x)).argmax(axis=1)
    np.testing.assert_array_equal(model.predict(data.test.x), expected)
    np.testing.assert_array_equal(bp.load_model(tmp_path).predict(data.test.x), expected)
    assert run.history["train_accuracy"][-1] > 0.8


def test_training_beats_chance_by_far_on_digits() -> None:
    data = bp.data.load("digits")
    model = bp.Model(bp.models.fully_connected([100], classes=10, norm=bp.BatchNorm()), data.shape)
    bp.Trainer(model, data, optimizer=bp.Adam(lr=3e-3), epochs=10, batch_size=64).fit()
    assert bp.evaluate(model, data.test)["accuracy"] > 0.95
