"""The course's Solver: trains any model with `.params` and `.loss(X, y=None)`, with its printing and histories.

What it does not repeat: a checkpoint is an .npz with a checksum for each array, never a pickle, and `Solver.resume` goes
on from it bit by bit; the best parameters come back with their running statistics; a net whose accuracy never rises above
0 keeps its parameters; a dropout seed does not make the batches repeat; a loss that is NaN or infinite ends the training
with a RuntimeWarning that says where, and the best parameters so far.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import checkpoint
from ..errors import ArgumentError, CheckpointError
from ..layers.base import Array
from . import optim
from .classifiers.cnn import ThreeLayerConvNet
from .classifiers.fc_net import FullyConnectedNet, TwoLayerNet

__all__ = ["Solver"]

NETS = (TwoLayerNet, FullyConnectedNet, ThreeLayerConvNet)  # what a checkpoint can be turned back into by itself
KIND = "cs231n solver"
DATA = ("X_train", "y_train", "X_val", "y_val")


class Solver:
    """Train a model by minibatch gradient descent.

    Parameters
    ----------
    model : object
        With `params` (dict of ndarray) and `loss(X, y)`.
    data : dict
        X_train, y_train, X_val, y_val.
    update_rule : {"sgd", "sgd_momentum", "rmsprop", "adam"}
    optim_config : dict
        Such as {"learning_rate": 1e-3}; copied for each parameter.
    lr_decay : float
        Factor on the learning rate after each epoch.
    batch_size, num_epochs, print_every : int
    verbose : bool
    num_train_samples, num_val_samples : int or None
        How many to measure accuracy on; None for all.
    checkpoint_name : str, optional
        Writes `<name>_epoch_<k>.npz` at every accuracy check.
    with_replacement : bool
        True draws batches as the course does; False makes an epoch a pass over all samples, in a new order each.

    Attributes
    ----------
    loss_history, train_acc_history, val_acc_history : list of float
    best_val_acc : float
    best_params : dict
    epoch : int
    optim_configs : dict

    Examples
    --------
    >>> import numpy as np
    >>> from backpass.cs231n.classifiers.fc_net import TwoLayerNet
    >>> X, y = np.eye(4), np.arange(4)
    >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    >>> net = TwoLayerNet(input_dim=4, hidden_dim=20, num_classes=4, weight_scale=0.5)
    >>> solver = Solver(net, data, update_rule="adam", num_epochs=60, batch_size=4, verbose=False)
    >>> solver.train()
    >>> len(solver.loss_history), len(solver.val_acc_history)
    (60, 60)
    """

    def __init__(self, model: Any, data: dict[str, Any], **kwargs: Any) -> None:
        self.model = model
        missing = [name for name in DATA if name not in data]
        if missing:
            raise ArgumentError(f"Solver: data: expected {', '.join(DATA)}, without {', '.join(missing)}")
        self.X_train, self.y_train, self.X_val, self.y_val = (data[name] for name in DATA)
        for X, y, name in ((self.X_train, self.y_train, "train"), (self.X_val, self.y_val, "val")):
            if len(X) != len(y) or len(X) == 0:
                raise ArgumentError(
                    f"Solver: expected as many y_{name} as X_{name}, at least one, got {len(y)}, {len(X)}"
                )
        self.update_rule = kwargs.pop("update_rule", "sgd")
        self.optim_config = kwargs.pop("optim_config", {})
        self.lr_decay = kwargs.pop("lr_decay", 1.0)
        self.batch_size = kwargs.pop("batch_size", 100)
        self.num_epochs = kwargs.pop("num_epochs", 10)
        self.num_train_samples = kwargs.pop("num_train_samples", 1000)
        self.num_val_samples = kwargs.pop("num_val_samples", None)
        self.checkpoint_name = kwargs.pop("checkpoint_name", None)
        self.print_every = kwargs.pop("print_every", 10)
        self.verbose = kwargs.pop("verbose", True)
        self.with_replacement = kwargs.pop("with_replacement", True)
        if kwargs:
            raise ArgumentError(f"Solver: unknown arguments: {', '.join(sorted(kwargs))}")
        if self.update_rule not in optim.__all__:
            raise ArgumentError(
                f"Solver: update_rule: expected one of {', '.join(optim.__all__)}, got {self.update_rule!r}"
            )
        for name in ("batch_size", "num_epochs", "print_every"):
            if getattr(self, name) < (1 if name != "num_epochs" else 0):
                raise ArgumentError(f"Solver: {name}: expected a positive whole number, got {getattr(self, name)!r}")
        self._rule: Callable[..., tuple[Array, dict[str, Any]]] = getattr(optim, self.update_rule)
        self._reset()

    def _reset(self) -> None:
        self.epoch = 0
        self.best_val_acc = 0.0
        self.best_params: dict[str, Array] = {}
        self._best_statistics: list[dict[str, Array]] = []
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        self.optim_configs = {name: dict(self.optim_config) for name in self.model.params}
        self._begun = 0  # iterations of this train() that are done: 0 but after a resume
        self._order = np.zeros(0, np.int64)

    def _batch(self, t: int, per_epoch: int) -> Array:
        """Return the numbers of the samples of iteration t."""
        N = len(self.X_train)
        if self.with_replacement:
            return np.random.choice(N, self.batch_size)  # noqa: NPY002 (the contract: learners compare numbers)
        if t % per_epoch == 0 or len(self._order) != N:
            self._order = np.random.permutation(N)  # noqa: NPY002
        start = t % per_epoch * self.batch_size
        stop = N if (t + 1) % per_epoch == 0 else start + self.batch_size
        return self._order[start:stop]

    def _step(self, t: int, per_epoch: int) -> bool:
        """Do iteration t; return False, and leave the parameters as they are, if the loss is not finite."""
        rows = self._batch(t, per_epoch)
        seeded = (getattr(self.model, "dropout_param", None) or {}).get("seed") is not None
        state = np.random.get_state() if seeded else None  # noqa: NPY002
        loss, grads = self.model.loss(self.X_train[rows], self.y_train[rows])
        if state is not None:
            np.random.set_state(state)  # noqa: NPY002 (the mask's seed must not choose the next batch)
        self.loss_history.append(float(loss))
        if not np.isfinite(loss):
            return False
        for name, w in self.model.params.items():
            next_w, config = self._rule(w, grads[name], self.optim_configs[name])
            self.model.params[name] = next_w
            self.optim_configs[name] = config
        return True

    def check_accuracy(self, X: Array, y: Array, num_samples: int | None = None, batch_size: int = 100) -> float:
        """Return the fraction of samples whose highest score is at the label.

        Parameters
        ----------
        X, y : arrays (N, ...), (N,)
        num_samples : int, optional
            Measure on so many, drawn at random.
        batch_size : int
            Samples for each call of the model.
        """
        if num_samples is not None and len(X) > num_samples:
            rows = np.random.choice(len(X), num_samples, replace=self.with_replacement)  # noqa: NPY002
            X, y = X[rows], y[rows]
        parts = [self.model.loss(X[i : i + batch_size]) for i in range(0, len(X), batch_size)]
        return float(np.mean(np.concatenate([scores.argmax(axis=1) for scores in parts]) == y))

    def train(self) -> None:
        """Run `num_epochs` epochs; the model ends with the parameters (and running statistics) of the best check.

        A loss that is NaN or infinite ends it early, with a RuntimeWarning: no later step could repair the parameters.
        The histories then end with that loss and one more check, and no checkpoint is written over a good one.
        """
        per_epoch = max(len(self.X_train) // self.batch_size, 1)
        total = self.num_epochs * per_epoch
        for t in range(self._begun, total):
            finite = self._step(t, per_epoch)
            if self.verbose and t % self.print_every == 0:
                print(f"(Iteration {t + 1} / {total}) loss: {self.loss_history[-1]:f}")
            if not finite:
                self._check()
                warnings.warn(self._diverged(t, total), RuntimeWarning, stacklevel=2)
                break
            epoch_end = (t + 1) % per_epoch == 0
            if epoch_end:
                self.epoch += 1
                for config in self.optim_configs.values():
                    config["learning_rate"] *= self.lr_decay
            if t == 0 or t == total - 1 or epoch_end:
                self._check()
                self._save_checkpoint(t + 1)
                if self.verbose:
                    accuracies = f"train acc: {self.train_acc_history[-1]:f}; val_acc: {self.val_acc_history[-1]:f}"
                    print(f"(Epoch {self.epoch} / {self.num_epochs}) {accuracies}")
        self._begun = 0
        if self.best_params:
            self.model.params = {name: value.copy() for name, value in self.best_params.items()}
            for param, best in zip(self._statistics(), self._best_statistics, strict=True):
                param.update({name: value.copy() for name, value in best.items()})

    def _statistics(self) -> list[dict[str, Any]]:
        """Return the dictionaries that hold the model's running statistics, if it has any."""
        return list(getattr(self.model, "bn_params", None) or [])

    def _diverged(self, t: int, total: int) -> str:
        """Return what there is to say about a loss that is not finite."""
        params = self.model.params
        spoilt = [name for name, w in params.items() if not np.isfinite(w).all()]
        largest = max(params, key=lambda name: abs(params[name]).max())
        rate = next(iter(self.optim_configs.values()), {}).get("learning_rate")
        return (
            f"Solver: the loss is {self.loss_history[-1]} at iteration {t + 1} of {total}, so training ends here. "
            + (
                f"params[{spoilt[0]!r}] is not finite since the step before. "
                if spoilt
                else f"All params are finite; the largest value is {abs(params[largest]).max():.2g}, in {largest!r}. "
            )
            + (f"The model gets its best parameters back (val_acc {self.best_val_acc:g}). " if self.best_params else "")
            + f"Try a smaller learning rate (now {rate}) or weight_scale, and look at the data for NaN."
        )

    def _check(self) -> None:
        """Measure both accuracies and note the best parameters, if they are finite."""
        train_acc = self.check_accuracy(self.X_train, self.y_train, num_samples=self.num_train_samples)
        val_acc = self.check_accuracy(self.X_val, self.y_val, num_samples=self.num_val_samples)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        finite = all(np.isfinite(w).all() for w in self.model.params.values())
        if finite and (not self.best_params or val_acc > self.best_val_acc):
            self.best_val_acc = val_acc
            self.best_params = {name: np.array(value) for name, value in self.model.params.items()}
            self._best_statistics = _arrays_of(self._statistics())

    # -- files ------------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, done: int) -> None:
        if self.checkpoint_name is None:
            return
        arrays: dict[str, Array] = {f"params/{name}": np.asarray(w) for name, w in self.model.params.items()}
        arrays |= {f"best_params/{name}": w for name, w in self.best_params.items()}
        for kind, dicts in (("statistics", _arrays_of(self._statistics())), ("best_statistics", self._best_statistics)):
            arrays |= {f"{kind}/{i}/{name}": value for i, param in enumerate(dicts) for name, value in param.items()}
        numbers: dict[str, dict[str, float]] = {}
        for name, config in self.optim_configs.items():
            numbers[name] = {k: _number(v) for k, v in config.items() if np.ndim(v) == 0}
            arrays |= {f"optim/{name}/{k}": np.asarray(v) for k, v in config.items() if np.ndim(v) > 0}
        for kind in ("loss", "train_acc", "val_acc"):
            arrays[f"history/{kind}"] = np.array(getattr(self, f"{kind}_history"), np.float64)
        _, key, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
        arrays |= {"random/key": np.asarray(key).astype(np.uint64), "order": self._order.astype(np.int64)}
        arrays["random/rest"] = np.array([position, has_gauss, gauss], np.float64)
        manifest = {
            "kind": KIND,
            "model": type(self.model).__name__,
            "update_rule": self.update_rule,
            "lr_decay": float(self.lr_decay),
            "optim_config": {k: _number(v) for k, v in self.optim_config.items() if np.ndim(v) == 0},
            "optim_numbers": numbers,
            "batch_size": int(self.batch_size),
            "num_epochs": int(self.num_epochs),
            "num_train_samples": self.num_train_samples,
            "num_val_samples": self.num_val_samples,
            "with_replacement": bool(self.with_replacement),
            "checkpoint_name": str(self.checkpoint_name),
            "epoch": self.epoch,
            "iterations": done,
            "best_val_acc": float(self.best_val_acc),
            "net": self.model.settings() if type(self.model) in NETS else None,
            "bn_params": [{k: v for k, v in d.items() if np.ndim(v) == 0} for d in self._statistics()],
        }
        path = Path(f"{self.checkpoint_name}_epoch_{self.epoch}.npz")
        if self.verbose:
            print(f'Saving checkpoint to "{path}"')
        checkpoint.save(path, arrays, manifest)

    @classmethod
    def resume(cls, path: str | Path, model: Any, data: dict[str, Any], **kwargs: Any) -> Solver:
        """Return a Solver that goes on where the checkpoint was written; `train()` then ends as if never interrupted.

        Parameters
        ----------
        path : str or Path
            A file that `checkpoint_name` wrote.
        model : object
            Of the same sizes; its parameters and running statistics are replaced.
        data : dict
            The same data.
        **kwargs
            What to change, such as `num_epochs`, or `optim_config` (a smaller learning_rate, say, after a run that
            diverged); everything else is as it was.

        Raises
        ------
        CheckpointError
            If the file is damaged or of another model; the model is unchanged then.

        Examples
        --------
        See `Solver`.
        """
        path = Path(path)
        arrays, saved = _load(path)
        params = _params_for(model, arrays, path)
        settings: tuple[str, ...] = (
            "update_rule",
            "lr_decay",
            "optim_config",
            "batch_size",
            "num_epochs",
            "num_train_samples",
        )
        settings = (*settings, "num_val_samples", "with_replacement", "checkpoint_name")
        solver = cls(model, data, **({name: saved[name] for name in settings} | kwargs))
        model.params = params
        for name in solver.optim_configs:
            kept = saved["optim_numbers"][name] | _under(arrays, f"optim/{name}/")
            solver.optim_configs[name] = kept | kwargs.get("optim_config", {})
        for i, param in enumerate(solver._statistics()):
            param.update(_under(arrays, f"statistics/{i}/"))
            solver._best_statistics.append(_under(arrays, f"best_statistics/{i}/"))
        solver.best_params, solver.best_val_acc = _under(arrays, "best_params/"), saved["best_val_acc"]
        for kind in ("loss", "train_acc", "val_acc"):
            getattr(solver, f"{kind}_history").extend(arrays[f"history/{kind}"].tolist())
        solver.epoch, solver._begun, solver._order = saved["epoch"], saved["iterations"], arrays["order"]
        position, has_gauss, gauss = arrays["random/rest"].tolist()
        key = arrays["random/key"].astype(np.uint32)
        np.random.set_state(("MT19937", key, int(position), int(has_gauss), gauss))  # noqa: NPY002
        return solver


def _load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays, saved = checkpoint.load(path)
    if saved.get("kind") != KIND:
        raise CheckpointError(f"{path}: expected a checkpoint of a Solver, got {saved.get('kind')!r}")
    return arrays, saved


def _params_for(model: Any, arrays: dict[str, Array], path: Path) -> dict[str, Array]:
    """Return the parameters of a checkpoint, which must be those of the model."""
    params = _under(arrays, "params/")
    for name, w in model.params.items():
        if name not in params or params[name].shape != w.shape:
            got = params[name].shape if name in params else "none"
            raise CheckpointError(f"{path}: params[{name!r}]: expected shape {w.shape}, got {got}; another model?")
    return {name: params[name] for name in model.params}


def net_of(path: str | Path) -> Any:
    """Return the net of a checkpoint with its parameters and running statistics; None if its class is not the course's.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    path = Path(path)
    arrays, saved = _load(path)
    cls = {net.__name__: net for net in NETS}.get(saved["model"])
    if cls is None or saved.get("net") is None:
        return None
    state = np.random.get_state()  # noqa: NPY002 (a net draws its first weights, which are not wanted here)
    net = cls(**saved["net"])
    np.random.set_state(state)  # noqa: NPY002
    net.params = _params_for(net, arrays, path)
    for i, (param, numbers) in enumerate(zip(net.bn_params, saved["bn_params"], strict=True)):
        param.update(numbers | _under(arrays, f"statistics/{i}/"))
    return net


def _number(value: Any) -> float:
    number = np.asarray(value).item()
    if not isinstance(number, (int, float)) or not np.isfinite(number):
        raise ArgumentError(f"Solver: optim_config: expected finite numbers, got {value!r}")
    return number


def _arrays_of(dicts: list[dict[str, Any]]) -> list[dict[str, Array]]:
    """Return copies of what is an array in each dictionary."""
    return [{name: value.copy() for name, value in d.items() if isinstance(value, np.ndarray)} for d in dicts]


def _under(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
