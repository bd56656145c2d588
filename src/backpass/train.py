"""Training: the loop, the history, the best parameters, and a resume that is exact to the last bit.

    run = bp.Trainer(model, data, optimizer=bp.Adam(lr=1e-3), epochs=20, batch_size=64, out="runs/digits").fit()
    run.history["val_accuracy"], run.best

The position of a run is one integer, the step.  The order of samples is a function of (seed, epoch), augmentation of (seed,
epoch, sample), dropout of (seed, layer, step, element), the learning rate of the step; nothing else is random.  A
checkpoint holds the rest: parameters, their average, optimizer, running statistics, history and the best so far.  So a run
that is killed and resumed, with whatever number of threads, ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from . import checkpoint, native
from .average import Average, move_average_reference
from .callbacks import Callback, as_callbacks
from .data import Augmentation, Dataset, Preprocess, Split, augmented, load, order
from .data.augment import as_augmentations
from .errors import ArgumentError, CheckpointError, DivergenceError
from .filed import FiledVector
from .history import History
from .inspection import inspect_layers
from .layers.base import Array, Call, is_number, require
from .losses import Loss, SoftmaxLoss
from .model import Model
from .optim import Adam, Optimizer
from .optim.gradients import add_l2, clip_norm
from .schedule import Constant
from .spec import from_spec, to_spec

CHECKPOINT = "checkpoint.npz"
INSPECTED_SAMPLES = 256
TICK_S = 0.1
GATHERED = 128  # samples: copied together before they are evaluated
PIECE = 8192  # parameters


class Run:
    """What a training is and was: history, the best parameters so far, how it ended.

    Attributes
    ----------
    model : Model
        With the best parameters (and their running statistics) once the run has ended.
    history : History
        One row per epoch, and the loss of every step.
    best : dict
        The row of the best epoch by the monitored metric; empty before the first epoch has ended.
    status : str
        "running", "finished", "stopped early", "interrupted", or "failed" where an error ended it.
    reason : str
        Why it stopped, in words, where it did not simply finish.
    step, total_steps, epoch, epochs, steps_per_epoch : int
    loss : float
        Of the last step.
    samples_per_s : float
        Over the last second or so.
    out : Path or None
        The folder of checkpoint, history and report.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.model = trainer.model
        self.history = History()
        self.best: dict[str, float] = {}
        self.status = "running"
        self.reason = ""
        self.step = 0
        self.loss = math.nan
        self.samples_per_s = 0.0
        self.seconds = 0.0
        self.out = trainer.out
        self.epochs = trainer.epochs
        self.steps_per_epoch = trainer.steps_per_epoch
        self.total_steps = trainer.epochs * trainer.steps_per_epoch

    @property
    def epoch(self) -> int:
        """How many epochs have ended."""
        return self.step // self.steps_per_epoch

    def stop(self, reason: str) -> None:
        """Ask the run to end after this step (for callbacks).

        Parameters
        ----------
        reason : str
            Words for the user.
        """
        self.reason = reason

    def digest(self) -> str:
        """Return the SHA-256 of everything that training decided: parameters, optimizer, statistics, best, history.

        Times are left out; two runs with the same digest did the same, to the last bit.
        """
        arrays = self.trainer.arrays(self)
        import hashlib  # here, and not above: it loads OpenSSL, and `import backpass` stays quick

        total = hashlib.sha256()
        for name in sorted(arrays):
            if name not in ("history/seconds", "history/samples_per_s"):
                total.update(
                    f"{name} {arrays[name].shape} {arrays[name].dtype} {checkpoint.sha256(arrays[name])}".encode()
                )
        return total.hexdigest()

    def __repr__(self) -> str:
        best = f", best {self.trainer.monitor} {self.best[self.trainer.monitor]:.4f}" if self.best else ""
        return f"Run({self.status}, epoch {self.epoch}/{self.epochs}, step {self.step}/{self.total_steps}{best})"


class Trainer:
    """Trains a model on a data set; the successor of the course's Solver.

    Parameters
    ----------
    model : Model
    data : Dataset
        As `bp.data.load` returns it.
    optimizer : Optimizer
        Such as `bp.Adam(lr=1e-3)`.
    loss : Loss
        Such as `bp.SoftmaxLoss()`.
    schedule : schedule object
        Multiplies the learning rate; a pure function of the step.
    epochs, batch_size : int
        Each epoch visits every training sample once, in a new order; the last batch may be smaller.
    reg : float
        L2 regularisation of weights only: the loss gains 0.5·reg·Σ w².
    clip_norm : float, optional
        Gradients whose global norm is larger are scaled down to it.
    preprocess : str or Preprocess
        Fitted on the training data and kept with the model: "none", "scale", "mean-image", "per-channel", "standardise",
        "pca", "zca".
    augment : sequence of Augmentation
        Done to the training samples while batches are gathered, before the preprocessing, such as
        ``[bp.data.Flip(), bp.data.Translate(2)]``.
    seed : int
        Decides the order of the samples, and the augmentation.
    out : str or Path, optional
        Folder for checkpoint and history; None writes none.  The best parameters so far wait in a file without a name there,
        or in the system's folder for temporary files, so that they take no memory.
    overwrite : bool
        Whether a run that is already in `out` may be replaced.
    monitor : str, optional
        Which column of the history says what is best: "val_accuracy" if None, for a regression "val_loss", and "train_..."
        without a validation split.
    patience : int, optional
        Stop after so many epochs without a new best; None never does.
    evaluate_train : int
        On how many training samples the training accuracy is measured.
    save_every_steps : int, optional
    save_every_s : float, optional
        How often to write a checkpoint; one is always written at the end and when interrupted.
    average : Average, optional
        Such as ``bp.EMA(0.999)`` or ``bp.Lookahead()``: evaluation, the best parameters and prediction then use the average of
        the parameters over the steps.
    frozen : sequence of str
        Parameters that keep their values: by name ("0.w"), by layer ("0"), or a whole group ("gamma").
    callbacks : sequence of Callback or functions of the run
        A plain function is called after each epoch.
    inspect : bool
        Record histograms of activations and gradients each epoch, for the report.
    note : dict, optional
        Anything that JSON can say, kept in the checkpoint and shown in the report, such as the command line.

    Raises
    ------
    ArgumentError, ShapeError
        If something does not fit; nothing is changed then.

    Examples
    --------
    >>> import backpass as bp
    >>> data = bp.data.load("digits")
    >>> model = bp.Model(bp.models.fully_connected([32], classes=10), input_shape=data.shape)
    >>> run = bp.Trainer(model, data, epochs=2, batch_size=100).fit()
    >>> run.status, len(run.history)
    ('finished', 2)
    """

    def __init__(
        self,
        model: Model,
        data: Dataset,
        *,
        optimizer: Optimizer | None = None,
        loss: Loss | None = None,
        schedule: Any = None,
        epochs: int = 10,
        batch_size: int = 64,
        reg: float = 0.0,
        clip_norm: float | None = None,
        preprocess: str | Preprocess = "standardise",
        augment: Sequence[Augmentation] = (),
        seed: int = 0,
        out: str | Path | None = None,
        overwrite: bool = False,
        monitor: str | None = None,
        patience: int | None = None,
        evaluate_train: int = 1000,
        save_every_steps: int | None = None,
        save_every_s: float | None = 30.0,
        average: Average | None = None,
        frozen: Sequence[str] = (),
        callbacks: Sequence[Callback | Callable[[Run], object]] = (),
        inspect: bool = True,
        note: Mapping[str, Any] | None = None,
    ) -> None:
        require(isinstance(model, Model), self, "model", "a bp.Model", model)
        require(isinstance(data, Dataset), self, "data", "a data set such as bp.data.load('digits') returns", data)
        optimizer, loss = optimizer or Adam(), loss or SoftmaxLoss()
        require(isinstance(optimizer, Optimizer), self, "optimizer", "an optimizer such as bp.Adam(lr=1e-3)", optimizer)
        require(isinstance(loss, Loss), self, "loss", "a loss such as bp.SoftmaxLoss()", loss)
        require(_whole(epochs, 1), self, "epochs", "a whole number >= 1", epochs)
        require(_whole(batch_size, 1), self, "batch_size", "a whole number >= 1", batch_size)
        require(is_number(reg) and reg >= 0, self, "reg", "a finite number >= 0", reg)
        require(
            clip_norm is None or (is_number(clip_norm) and clip_norm > 0), self, "clip_norm", "a number > 0", clip_norm
        )
        require(_whole(seed, 0), self, "seed", "a whole number >= 0", seed)
        require(patience is None or _whole(patience, 1), self, "patience", "a whole number of epochs >= 1", patience)
        require(_whole(evaluate_train, 1), self, "evaluate_train", "a whole number >= 1", evaluate_train)
        require(
            save_every_steps is None or _whole(save_every_steps, 1),
            self,
            "save_every_steps",
            "at least 1",
            save_every_steps,
        )
        require(
            save_every_s is None or (is_number(save_every_s) and save_every_s >= 0),
            self,
            "save_every_s",
            ">= 0",
            save_every_s,
        )
        self.model, self.data, self.optimizer, self.loss = model, data, optimizer, loss
        self.schedule = schedule or Constant()
        self.epochs, self.batch_size, self.reg, self.clip_norm = int(epochs), int(batch_size), float(reg), clip_norm
        self.seed, self.patience, self.evaluate_train, self.inspect = int(seed), patience, int(evaluate_train), inspect
        self.save_every_steps, self.save_every_s = save_every_steps, save_every_s
        self.out = None if out is None else Path(out)
        self.callbacks = as_callbacks(callbacks)
        self.note = to_spec(dict(note or {}))
        self.augment = as_augmentations(self, augment, data.shape)
        require(average is None or isinstance(average, Average), self, "average", "such as bp.EMA(0.999)", average)
        self.average, self.frozen = average, tuple(frozen)
        self.trained = _trained(model, self.frozen)

        if (loss.wants == "targets") != data.has_targets:
            has = "targets (real numbers)" if data.has_targets else "class labels"
            other = "bp.MSELoss()" if data.has_targets else "bp.SoftmaxLoss() or float targets (N, K)"
            raise ArgumentError(
                f"Trainer: loss: {type(loss).__name__} expected data with {loss.wants}, got {data.name} with {has}; use {other}"
            )
        for split in (data.train, data.val, data.test):
            if len(split):
                loss.check((len(split), *model.output_shape), split.y)
        best_by = "loss" if data.has_targets else "accuracy"
        self.monitor = monitor or f"{'val' if len(data.val) else 'train'}_{best_by}"
        missing = ("val",) * (not len(data.val)) + ("accuracy" if data.has_targets else "r2",)
        columns = [c for c in History.METRICS if not any(word in c for word in missing)]
        require(self.monitor in columns, self, "monitor", f"one of {', '.join(columns)}", self.monitor)

        # Everything that can be wrong is found before the model changes.
        samples = len(data.train.x)
        self.steps_per_epoch = -(-samples // self.batch_size)
        self.last_batch = samples - (self.steps_per_epoch - 1) * self.batch_size
        fitted = preprocess
        if isinstance(preprocess, str):
            fitted = data.fit_preprocess(preprocess)
        require(isinstance(fitted, Preprocess), self, "preprocess", "a name or a Preprocess", preprocess)
        assert isinstance(fitted, Preprocess)
        made = tuple(fitted.output_shape(data.shape))
        if made != model.input_shape:
            raise ArgumentError(
                f"Trainer: the model takes samples of shape {model.input_shape}, the data after preprocess={fitted.kind!r} "
                f"has {made}; build the model with input_shape={made}"
            )
        for batch in (
            min(self.batch_size, samples),
            self.last_batch,
        ):  # the larger first: the other one fits into its memory
            model.plan(batch, input_gradient=False)
        if self.out is not None:
            if (self.out / CHECKPOINT).exists() and not overwrite:
                raise ArgumentError(
                    f"Trainer: out: there is already a run in {self.out}; continue it with Trainer.resume (backpass train "
                    f"--resume {self.out}), replace it with overwrite=True (--overwrite), or choose another folder"
                )
            _make_folder(self.out)
        model.preprocess = fitted
        model.step = 0
        self.slots = optimizer.new_slots(model.params)
        self.best_state = np.zeros(0, model.dtype)
        self.best_params = FiledVector(self.best_state)  # in a file: they are as long as the parameters and rarely read
        self.averages = {} if average is None else {"params": model.params.copy(), "state": model.state.copy()}
        self.average_weight = np.zeros(1)
        self._move_average = self._averaging()
        self._measured = np.sort(order(samples, seed=self.seed, epoch=2**31 - 1)[: self.evaluate_train])
        self.run = Run(self)
        self._reader = _Reader(data.train, fitted, model.dtype, self.augment, self.seed)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def fit(self) -> Run:
        """Train to the end, or until stopped or interrupted, and return the run.

        SIGINT and SIGTERM finish the step, save and return; a second SIGINT breaks off at once.

        Raises
        ------
        DivergenceError
            If the loss, a gradient or a parameter is no longer finite; the last checkpoint stays.
        CheckpointError
            If a checkpoint cannot be written.
        """
        run = self.run
        if run.status != "running":
            return run
        try:
            self._loop(run)
        except BaseException as error:
            run.status, run.reason = "failed", str(error) or type(error).__name__
            self._call("end")
            raise
        self._call("end")
        return run

    def _loop(self, run: Run) -> None:
        steps = {batch: _Step(self, batch) for batch in {self.last_batch, min(self.batch_size, len(self.data.train.x))}}
        started = last_save = last_tick = time.perf_counter()
        seconds_before, epoch_started, tick_step = run.seconds, started, run.step
        order_epoch, samples = -1, np.zeros(0, np.int64)
        every_step = [c for c in self.callbacks if type(c).step is not Callback.step]
        interrupt = _Interrupt()
        with interrupt:
            self._call("start")
            while run.step < run.total_steps and not run.reason and not interrupt.name:
                epoch, k = divmod(run.step, run.steps_per_epoch)
                if epoch != order_epoch:
                    samples, order_epoch = order(len(self.data.train.x), seed=self.seed, epoch=epoch), epoch
                rows = samples[k * self.batch_size : (k + 1) * self.batch_size]
                ends_epoch = k == run.steps_per_epoch - 1
                run.loss = steps[len(rows)].run(rows, run, measure=ends_epoch)
                run.step += 1
                if self.average is not None:
                    self.average_weight[0] = self.average.weight(run.step, run.total_steps)
                    if self.average_weight[0]:
                        self._move_average.run()
                run.history.add_step(run.loss)
                now = time.perf_counter()
                run.seconds = seconds_before + now - started
                for callback in every_step:
                    callback.step(run)
                if ends_epoch:
                    with self._averaged():
                        self._end_epoch(run, steps[len(rows)], now - epoch_started)
                        epoch_started = now = time.perf_counter()
                        self._call("epoch")
                if now - last_tick >= TICK_S:
                    run.samples_per_s = (run.step - tick_step) * self.batch_size / (now - last_tick)
                    last_tick, tick_step = now, run.step
                    self._call("tick")
                due = self.save_every_s is not None and now - last_save >= self.save_every_s
                if due or (self.save_every_steps and run.step % self.save_every_steps == 0):
                    self.save()
                    last_save = time.perf_counter()
            run.seconds = seconds_before + time.perf_counter() - started
            if run.step >= run.total_steps:
                run.status = "finished"
            elif run.reason:
                run.status = "stopped early"
            else:
                run.status, run.reason = "interrupted", f"by {interrupt.name}"
            self.save()
            if run.status != "interrupted" and run.best:
                self._take_best()

    def _averaging(self) -> Any:
        """Return the program that moves the averages."""
        calls: list[Call] = []
        for name, average in self.averages.items():
            assert self.average is not None
            value, back = getattr(self.model, name), self.average.writes_back
            if self.model.kernels:
                calls.append(native.move_average(average, value, self.average_weight, int(back)))
            else:
                calls.append(partial(move_average_reference, average, value, self.average_weight, back=back))
        return native.Program(calls)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Let the model compute with the averages inside, and with its own parameters again after."""
        own = {name: getattr(self.model, name).copy() for name in self.averages}
        for name, average in self.averages.items():
            getattr(self.model, name)[...] = average
        try:
            yield
        finally:
            for name, values in own.items():
                getattr(self.model, name)[...] = values

    def _call(self, hook: str) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self.run)

    def _end_epoch(self, run: Run, step: _Step, seconds: float) -> None:
        """Evaluate, keep the best, and write the history's row."""
        train, val = self.data.train, self.data.val
        some = self._measured

        def prefixed(prefix: str, values: dict[str, float]) -> dict[str, float]:
            return {prefix + name: value for name, value in values.items()}

        row = {
            "epoch": run.epoch,
            "step": run.step,
            "loss": run.history.mean_loss(run.steps_per_epoch),
            **prefixed("train_", _metrics(self.loss, self._scores(some), train.y[some])),
            **(prefixed("val_", evaluate(self.model, val, self.loss)) if len(val) else {}),
            "lr": float(step.control[0]),
            "update_ratio": step.update_ratio,
            "gradient_norm": step.gradient_norm,
            "seconds": seconds,
            "samples_per_s": len(train.x) / seconds,
        }
        inspected = None
        if self.inspect:
            few = some[: min(INSPECTED_SAMPLES, self.batch_size)]  # so that it needs no more memory than a step
            inspected = inspect_layers(self.model, train.x[few], train.y[few], self.loss)
        run.history.add_epoch(row, inspected)
        sign = -1 if self.monitor.endswith("loss") else 1
        if not run.best or sign * row[self.monitor] > sign * run.best[self.monitor]:
            run.best = row
            self.best_params, self.best_state = FiledVector(self.model.params, self.out), self.model.state.copy()
        elif self.patience and run.epoch - run.best["epoch"] >= self.patience:
            run.stop(f"{self.monitor} has not improved for {self.patience} epochs")

    def _scores(self, samples: Array) -> Array:
        """Return the scores of training samples, gathered some at a time: they are never in memory together."""
        x, at = self.data.train.x, range(0, len(samples), GATHERED)
        return np.concatenate([self.model.predict_scores(x[samples[i : i + GATHERED]]) for i in at])

    def _take_best(self) -> None:
        """Give the model its best parameters and their running statistics."""
        self.best_params.read_into(self.model.params)
        self.model.state[...] = self.best_state

    # -- checkpoints ------------------------------------------------------------------------------------------------

    def arrays(self, run: Run) -> dict[str, Array | FiledVector]:
        """Return every array that a checkpoint holds, by name."""
        assert self.model.preprocess is not None
        return {
            "params": self.model.params,
            "state": self.model.state,
            "best_params": self.best_params,
            "best_state": self.best_state,
            **{f"optimizer/{name}": slot for name, slot in self.slots.items()},
            **{f"average/{name}": array for name, array in self.averages.items()},
            **{f"preprocess/{name}": array for name, array in self.model.preprocess.to_arrays().items()},
            **{f"history/{name}": array for name, array in run.history.to_arrays().items()},
        }

    def save(self) -> None:
        """Write the checkpoint and history.csv into `out` (nothing without `out`)."""
        if self.out is None:
            return
        self.run.history.write_csv(self.out / "history.csv")
        checkpoint.save(self.out / CHECKPOINT, self.arrays(self.run), self.manifest())

    def manifest(self) -> dict[str, Any]:
        """Return what a checkpoint says beside its arrays, as JSON data: model, settings, data, machine, position."""
        run = self.run
        return {
            "kind": "run",
            "versions": {"backpass": _version(), "numpy": np.__version__, "python": platform.python_version()},
            "machine": {
                "system": f"{platform.system()} {platform.machine()}",
                "instruction_set": native.isa,
                "threads": native.threads(),
            },
            "model": model_spec(self.model),
            "trainer": self._settings(),
            "data": {
                "fingerprint": self._fingerprint,
                "name": self.data.name,
                "classes": list(self.data.classes),
                "max_value": self.data.max_value,
                "source": self.data.source,
                "samples": {name: len(split) for name, split in self.data.splits.items()},
            },
            "note": self.note,
            "step": run.step,
            "status": run.status,
            "reason": run.reason,
            "seconds": run.seconds,
            "best": run.best,
        }

    def _settings(self) -> dict[str, Any]:
        names = (
            "optimizer",
            "loss",
            "schedule",
            "epochs",
            "batch_size",
            "reg",
            "clip_norm",
            "augment",
            "average",
            "frozen",
            "seed",
            "monitor",
            "patience",
        )
        more = ("evaluate_train", "save_every_steps", "save_every_s", "inspect")
        return {name: to_spec(getattr(self, name)) for name in (*names, *more)}

    @cached_property
    def _fingerprint(self) -> str:
        return self.data.fingerprint()  # data sets never change; half a second for CIFAR-10

    @classmethod
    def resume(
        cls,
        out: str | Path,
        data: Dataset | None = None,
        *,
        epochs: int | None = None,
        callbacks: Sequence[Callback | Callable[[Run], object]] = (),
    ) -> Trainer:
        """Return a trainer that goes on where the checkpoint in a folder stops.

        Parameters
        ----------
        out : str or Path
            The run's folder.
        data : Dataset, optional
            The same data as before; its fingerprint is checked.  None loads it from where `bp.data.load` found it.
        epochs : int, optional
            Train for another number of epochs altogether (schedules that depend on the total then change).
        callbacks : sequence
            As for a new trainer; they are not saved.

        Raises
        ------
        CheckpointError
            If the checkpoint is damaged, of another format, or the data is not what the run was trained on.

        Examples
        --------
        >>> import tempfile
        >>> import backpass as bp
        >>> data = bp.data.load("digits")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model = bp.Model([bp.Affine(10)], input_shape=data.shape)
        ...     run = bp.Trainer(model, data, epochs=1, out=folder).fit()
        ...     longer = bp.Trainer.resume(folder, data, epochs=2).fit()
        >>> longer.epoch
        2
        """
        folder = Path(out)
        arrays, manifest = load_run(folder)
        data = load_data(manifest["data"], folder) if data is None else data
        if data.fingerprint() != manifest["data"]["fingerprint"]:
            raise CheckpointError(
                f"{folder}: the run was trained on other data ({manifest['data']['name']}, fingerprint "
                f"{manifest['data']['fingerprint'][:12]}), got {data.name} with {data.fingerprint()[:12]}; load the same files "
                "with the same splits"
            )
        model = model_from(manifest["model"], arrays, folder)
        settings = {name: from_spec(value) for name, value in manifest["trainer"].items()}
        if epochs is not None:
            settings["epochs"] = epochs
        trainer = cls(
            model,
            data,
            preprocess=_preprocess_of(arrays, folder),
            callbacks=callbacks,
            note=manifest.get("note"),
            **settings,
        )
        trainer.out = trainer.run.out = folder
        run = trainer.run
        for name, slot in trainer.slots.items():
            _fill(slot, arrays, f"optimizer/{name}", folder)
        for name, average in trainer.averages.items():
            _fill(average, arrays, f"average/{name}", folder)
        model.params[...], model.state[...] = arrays["params"], arrays["state"]
        trainer.best_params, trainer.best_state = FiledVector(arrays["best_params"], folder), arrays["best_state"]
        run.history = history_of(arrays)
        run.step, run.best, run.seconds = int(manifest["step"]), dict(manifest["best"]), float(manifest["seconds"])
        model.step = run.step
        if run.step >= run.total_steps or (manifest["status"] == "stopped early" and epochs is None):
            run.status, run.reason = manifest["status"], manifest["reason"]
            if run.best:
                trainer._take_best()
        return trainer


class _Reader:
    """Reads training batches: gathers rows, augments and preprocesses them into the model's input."""

    def __init__(
        self, split: Split, preprocess: Preprocess, dtype: np.dtype, augment: Sequence[Augmentation], seed: int
    ) -> None:
        self.y = split.y
        self.x = split.x if split.x.dtype == np.uint8 else np.ascontiguousarray(split.x, dtype)
        self.preprocess = preprocess
        self.shift = np.ascontiguousarray(preprocess.shift, dtype)
        self.scale = np.ascontiguousarray(preprocess.scale, dtype)
        self.matrix = None if preprocess.matrix is None else np.ascontiguousarray(preprocess.matrix, dtype)
        self.augment = augment
        self.codes = np.array([one.code() for one in augment], np.float64).reshape(-1, 2)
        self.random = np.array([seed, 0], np.uint64)  # seed and epoch; the loop writes the epoch

    def calls(self, into: Array, indices: Array) -> list[Call]:
        """Return the calls that fill `into` with the samples at `indices`."""
        if not native.available:
            return [partial(self._fill, into, indices)]
        plain = into if self.matrix is None else np.empty((len(indices), self.matrix.shape[0]), into.dtype)
        kind = "bytes" if self.x.dtype == np.uint8 else "reals"
        arguments = (plain, self.x, indices, self.shift, self.scale)
        if self.augment:
            calls = [getattr(native, f"augment_{kind}")(*arguments, self.random, self.codes)]
        else:
            calls = [getattr(native, f"gather_{kind}")(*arguments)]
        if self.matrix is not None:
            calls.append(native.matrix_product(into.reshape(len(indices), -1), plain, self.matrix, 0, 0))
        return calls

    def _fill(self, into: Array, indices: Array) -> None:
        x = self.x[indices]
        if self.augment:
            seed, epoch = map(int, self.random)
            x = augmented(x, self.augment, seed=seed, epoch=epoch, samples=indices, fill=self.shift)
        self.preprocess.apply(x, out=into)


class _Step:
    """A training step for one batch size: its buffers, and the two programs around the check of the loss."""

    def __init__(self, trainer: Trainer, batch: int) -> None:
        model = trainer.model
        self.trainer = trainer
        self.plan = plan = model.plan(batch, input_gradient=False)
        self.indices = np.zeros(batch, np.int64)
        y = trainer.loss.check((batch, *model.output_shape), trainer.data.train.y[:batch])
        self.y = np.array(y)
        self.loss = np.zeros(1)
        self.control = np.array([0.0, 0.0, 1.0, 0.0])  # learning rate, t, factor on gradients, not finite
        self.norm = np.zeros(1)
        self.gradient_norm = self.update_ratio = 0.0
        reader, loss = trainer._reader, trainer.loss
        loss_call: Call = partial(_reference_loss, loss, self.loss, plan.dscores, plan.scores, self.y)
        if model.kernels:
            loss_call = loss.kernel(self.loss, plan.dscores, plan.scores, self.y, None)
        calls = [*reader.calls(plan.x, self.indices), *plan.forward, loss_call, *plan.backward]
        for group, where in trainer.trained:
            if group == "weight" and trainer.reg:
                w, dw = model.params[where], model.grads[where]
                calls.append(add_l2(self.loss, dw, w, trainer.reg, kernels=model.kernels))
        for where in _between([where for _, where in trainer.trained], model.params.size):
            calls.append(
                native.fill_zeros(model.grads[where]) if model.kernels else partial(model.grads[where].fill, 0)
            )
        self.gradients = native.Program(calls, plan.small)

        self.clip: list[Call] = []
        if trainer.clip_norm:
            self.clip = [clip_norm(self.control, self.norm, model.grads, trainer.clip_norm, kernels=model.kernels)]
        self.groups = _merged(trainer.trained, trainer.optimizer)
        changes = [self._change(group, where) for group, where in self.groups]
        self.change = native.Program([*self.clip, *changes, *plan.update], plan.small)

    def _change(self, group: str, where: slice) -> Call:
        """Return the call of the optimizer that changes a piece of the parameters."""
        trainer, model = self.trainer, self.trainer.model
        slots = {name: slot[where] for name, slot in trainer.slots.items()}
        arguments = (
            model.params[where],
            model.grads[where],
            slots,
            self.control,
            trainer.optimizer.options(group),
        )
        if model.kernels:
            return trainer.optimizer.kernel(*arguments)
        return partial(trainer.optimizer.reference_step, *arguments)

    def run(self, rows: Array, run: Run, *, measure: bool) -> float:
        """Make the step on the samples `rows`; `measure` also takes the norms of gradient and update."""
        trainer, model = self.trainer, self.trainer.model
        self.indices[...] = rows
        trainer._reader.random[1] = run.epoch
        np.take(trainer.data.train.y, rows, axis=0, out=self.y)
        model.step = run.step
        self.control[0] = trainer.optimizer.lr * trainer.schedule(run.step, run.total_steps)
        self.control[1] = run.step + 1
        self.gradients.run()
        loss = float(self.loss[0])
        if not math.isfinite(loss):
            raise DivergenceError(self._diagnosis(run.step, f"the loss is {loss}"))
        if measure:
            self._change_and_measure()
        else:
            self.change.run()
        if self.control[3] != 0:
            raise DivergenceError(self._diagnosis(run.step, "a gradient or parameter is not finite"))
        return loss

    def _change_and_measure(self) -> None:
        """Do what `change` does piece by piece: to measure it, no copy of all parameters is needed."""
        params, grads = self.trainer.model.params, self.trainer.model.grads
        squares = np.zeros(3)  # of the parameters, their change, and the gradient
        for call in self.clip:
            call()
        for group, where in self.groups:
            for start in range(where.start, where.stop, PIECE):
                piece = slice(start, min(start + PIECE, where.stop))
                before = params[piece].astype(np.float64)
                self._change(group, piece)()
                for i, vector in enumerate((before, params[piece] - before, grads[piece].astype(np.float64))):
                    squares[i] += np.square(vector).sum()  # NumPy's pairwise sum: one value for any number of threads
        for call in self.plan.update:
            call()
        length, change, self.gradient_norm = np.sqrt(squares).tolist()
        self.update_ratio = change / max(length, 1e-30)

    def _diagnosis(self, step: int, what: str) -> str:
        """Say in words where numbers first went wrong in this step, layer by layer."""
        trainer, model = self.trainer, self.trainer.model
        where = "in the loss itself"
        plan = model.inspection_plan(len(self.indices))
        with np.errstate(all="ignore"):
            for call in [*trainer._reader.calls(plan.x, self.indices), *plan.forward]:
                call()
        bad_params = [name for name, p in model.named_params().items() if not np.isfinite(p).all()]
        bad_grads = [name for name, g in model.named_grads().items() if not np.isfinite(g).all()]
        if not np.isfinite(plan.x).all():
            where = "in the preprocessed input"
        elif bad := [i for i, out in enumerate(plan.outs) if out is not None and not np.isfinite(out).all()]:
            where = f"first in the output of layer {bad[0]} ({type(model.layers[bad[0]]).__name__})"
        elif bad_grads:
            i = int(bad_grads[-1].split(".")[0])  # the backward met this one first
            where = f"first in the gradient of {bad_grads[-1]} (layer {i}, {type(model.layers[i]).__name__})"
        if bad_params:
            i = int(bad_params[0].split(".")[0])
            where += f"; parameter {bad_params[0]} (layer {i}, {type(model.layers[i]).__name__}) is not finite"
        kept = (
            f"; the last checkpoint in {trainer.out} is kept"
            if trainer.out and (trainer.out / CHECKPOINT).exists()
            else ""
        )
        lr = self.control[0]
        return (
            f"training diverged at step {step + 1}: {what}, {where}. Try a smaller learning rate (it was {lr:g}), "
            f"clip_norm, or another init{kept}"
        )


class _Interrupt:
    """Turns the first SIGINT or SIGTERM into a flag; a second SIGINT breaks off at once."""

    def __init__(self) -> None:
        self.name = ""
        self._old: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)

    def _handle(self, number: int, _: object) -> None:
        self.name = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)


def evaluate(model: Model, split: Split, loss: Loss | None = None, *, tta: str = "none") -> dict[str, float]:
    """Return the loss and the accuracy of a model on a split, for targets the loss and r2.

    r2 = 1 - Σ (y - scores)² / Σ (y - mean of y)², the part of the targets' variance that the model explains: 1 is perfect, 0
    no better than their mean.

    Parameters
    ----------
    model : Model
    split : Split
        Raw samples; the model's `preprocess` is applied.
    loss : Loss
        SoftmaxLoss() by default.
    tta : {"none", "flip", "flip+translate"}
        Test-time augmentation, as for `Model.predict_scores`.

    Examples
    --------
    >>> import backpass as bp
    >>> data = bp.data.load("digits")
    >>> model = bp.Model([bp.Affine(10)], input_shape=data.shape)
    >>> sorted(bp.evaluate(model, data.test))
    ['accuracy', 'loss']
    """
    return _metrics(loss or SoftmaxLoss(), model.predict_scores(split.x, tta=tta), split.y)


def _metrics(loss: Loss, scores: Array, labels: Array) -> dict[str, float]:
    y = loss.check(scores.shape, labels)
    value, _ = loss.reference(scores, y, None)
    if loss.wants == "targets":
        spread = np.square(y - y.mean(axis=0)).sum()
        missed = np.square(y - scores).sum()
        return {"loss": float(value), "r2": float(1 - missed / spread) if spread > 0 else 0.0}
    return {"loss": float(value), "accuracy": float((scores.argmax(axis=1) == labels).mean())}


# -- models and runs on disk ---------------------------------------------------------------------------------------


def model_spec(model: Model) -> dict[str, Any]:
    """Return what a model is made of, as JSON data (without its numbers)."""
    return {
        "layers": to_spec(model.layers),
        "input_shape": list(model.input_shape),
        "seed": model.seed,
        "dtype": model.dtype.name,
        "preprocess": None if model.preprocess is None else model.preprocess.kind,
    }


def model_from(spec: dict[str, Any], arrays: dict[str, Array], where: Path) -> Model:
    """Return the model that `model_spec` described, with `params` and `state` from arrays."""
    try:
        layers, shape = from_spec(spec["layers"]), spec["input_shape"]
        model = Model(layers, shape, seed=spec["seed"], dtype=spec["dtype"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: its model cannot be built: {error}") from error
    _fill(model.params, arrays, "params", where)
    _fill(model.state, arrays, "state", where)
    if spec.get("preprocess") is not None:
        model.preprocess = _preprocess_of(arrays, where)
    return model


def load_run(folder: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and manifest of the run in a folder."""
    path = Path(folder) / CHECKPOINT
    if not path.exists():
        raise CheckpointError(f"{folder}: expected a run with a {CHECKPOINT} in it, found none")
    arrays, manifest = checkpoint.load(path)
    wanted = ("model", "trainer", "data", "step", "status", "reason", "seconds", "best")
    missing = [key for key in wanted if key not in manifest]
    if manifest.get("kind") != "run" or missing:
        raise CheckpointError(
            f"{path}: expected the checkpoint of a run, got {manifest.get('kind')!r}, without {missing}"
        )
    return arrays, manifest


def load_data(about: dict[str, Any], folder: str | Path, *, data_dir: str | Path | None = None) -> Dataset:
    """Return the data that a run was trained on, loaded once more from where it came.

    Parameters
    ----------
    about : dict
        What the run's manifest says under "data".
    folder : str or Path
        The run's folder, for messages.
    data_dir : str or Path, optional
        Where the data is now, if it was a named set that has moved.

    Raises
    ------
    CheckpointError
        If the data was made of arrays, which nobody can load again.
    DataNotFoundError
        If it is no longer there.
    """
    source = about.get("source")
    if not source:
        raise CheckpointError(
            f"{folder}: the run was trained on arrays ({about['name']}), which cannot be loaded from their name; "
            "hand the same data over: Trainer.resume(folder, data)"
        )
    return load(**(source | ({} if data_dir is None else {"data_dir": str(data_dir)})))


def best_model(arrays: dict[str, Array], manifest: dict[str, Any], where: Path) -> Model:
    """Return the best model of a run that `load_run` has read."""
    if len(arrays.get("best_params", ())):
        arrays = {**arrays, "params": arrays["best_params"], "state": arrays["best_state"]}
    return model_from(manifest["model"], arrays, where)


def history_of(arrays: dict[str, Array]) -> History:
    """Return the history of a run that `load_run` has read."""
    return History.from_arrays(_under(arrays, "history/"))


def load_model(path: str | Path) -> Model:
    """Return the best model of a run's folder, or the model that `save_model` wrote to a file.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> import backpass as bp
    >>> model = bp.Model([bp.Affine(10)], input_shape=(4,), seed=5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bp.save_model(model, folder + "/model.npz")
    ...     again = bp.load_model(folder + "/model.npz")
    >>> bool((again.params == model.params).all())
    True
    """
    path = Path(path)
    if path.is_dir():
        return best_model(*load_run(path), path)
    arrays, manifest = checkpoint.load(path)
    if "model" not in manifest:
        raise CheckpointError(f"{path}: expected a model in the checkpoint, found none")
    return model_from(manifest["model"], arrays, path)


def save_model(model: Model, path: str | Path) -> None:
    """Write a model (layers, parameters, running statistics, preprocessing) to one .npz file.

    Examples
    --------
    See `load_model`.
    """
    arrays = {"params": model.params, "state": model.state}
    if model.preprocess is not None:
        arrays |= {f"preprocess/{name}": array for name, array in model.preprocess.to_arrays().items()}
    checkpoint.save(path, arrays, {"kind": "model", "model": model_spec(model)})


# -- small things ----------------------------------------------------------------------------------------------------


def _whole(value: object, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def _trained(model: Model, frozen: Sequence[str]) -> list[tuple[str, slice]]:
    """Return (group, slice) of the flat vector for all that is not frozen, in order."""
    named = model.named_params()
    for name in frozen:
        known = isinstance(name, str) and (
            name in model.groups or any(f"{one}.".startswith(f"{name}.") for one in named)
        )
        first = next(iter(named), "0.w")
        expected = f"parameters such as {first!r}, layers that have some, or groups ({', '.join(model.groups)})"
        require(known, "Trainer", "frozen", expected, name)
    still = []
    for one, view in named.items():
        start = (view.ctypes.data - model.params.ctypes.data) // view.itemsize
        group = next(name for name, where in model.groups.items() if where.start <= start < where.stop)
        if group in frozen or any(f"{one}.".startswith(f"{name}.") for name in frozen):
            still.append(slice(start, start + view.size))
    still.sort(key=lambda where: where.start)
    return [
        (group, slice(max(piece.start, where.start), min(piece.stop, where.stop)))
        for group, where in model.groups.items()
        for piece in _between(still, model.params.size)
        if max(piece.start, where.start) < min(piece.stop, where.stop)
    ]


def _between(pieces: Sequence[slice], size: int) -> list[slice]:
    """Return the slices of 0 ... size that the given ones, in order, leave out."""
    edges = [0, *(edge for piece in pieces for edge in (piece.start, piece.stop)), size]
    return [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]


def _merged(pieces: Sequence[tuple[str, slice]], optimizer: Optimizer) -> list[tuple[str, slice]]:
    """Return the pieces with those put together that touch and have the same options."""
    merged: list[tuple[str, slice]] = []
    for group, where in pieces:
        before, last = merged[-1] if merged else (group, slice(0, -1))
        if last.stop == where.start and optimizer.options(before) == optimizer.options(group):
            merged[-1] = (before, slice(last.start, where.stop))
        else:
            merged.append((group, where))
    return merged


def _reference_loss(loss: Loss, value: Array, dscores: Array, scores: Array, y: Array) -> None:
    value[0], dscores[...] = loss.reference(scores, y, None)


def _under(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _preprocess_of(arrays: dict[str, Array], where: Path) -> Preprocess:
    try:
        return Preprocess.from_arrays(_under(arrays, "preprocess/"))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{where}: its preprocessing cannot be read ({error})") from None


def _fill(into: Array, arrays: dict[str, Array], name: str, where: Path) -> None:
    found = arrays.get(name)
    if found is None or found.shape != into.shape or found.dtype != into.dtype:
        got = "none" if found is None else f"shape {found.shape}, {found.dtype}"
        raise CheckpointError(
            f"{where}: {name}: expected shape {into.shape}, {into.dtype} for this net, got {got}; "
            "is it the checkpoint of another net?"
        )
    into[...] = found


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CheckpointError(
            f"Trainer: out: expected a folder that can be written to, got {folder} ({error.strerror})"
        ) from error


def _version() -> str:
    from . import __version__

    return __version__
