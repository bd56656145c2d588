"""The course's model interface over a `backpass.Model`: `.params` is a dict that users may change, `.loss(X, y=None)`.

Every loss reads the arrays in `params` once more (whoever replaces one, or changes it in place, is heard), copies them
into the model's flat vectors and runs its kernels.  Dropout draws from NumPy's global random state, as the course's does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...layers import BatchNorm, Dropout
from ...layers.base import Array, Call, Layer, Shape
from ...losses import SoftmaxLoss
from ...model import Model
from ...optim.gradients import add_l2
from ..layers import draw_mask


@dataclass(frozen=True)
class CourseDropout(Dropout):
    """Dropout by NumPy's global random state (seeded before each forward if there is a seed).

    Examples
    --------
    >>> CourseDropout(0.25, seed=3).drop_prob
    0.25
    """

    seed: int | None = None

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:  # noqa: ARG002
        """Return a call that draws the mask in Python; the backward kernel of Dropout reads it."""

        def call() -> None:
            mask = draw_mask(x.shape, x.dtype, 1 - self.drop_prob, self.seed)
            np.multiply(x, mask, out=out)
            c.kept[...] = mask != 0

        return call

    def reference_forward(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:  # noqa: ARG002
        """Run the same without kernels."""
        mask = draw_mask(x.shape, x.dtype, 1 - self.drop_prob, self.seed)
        out[...] = x * mask
        c.factor = mask

    def reference_backward(self, dx: Array | None, dout: Array, p: Any, g: Any, c: Any) -> None:  # noqa: ARG002
        """Go back through the product."""
        if dx is not None:
            dx[...] = dout * c.factor


del Layer.registry["CourseDropout"]  # it keeps the course's contract and is not in the catalogue of layers


class ModelNet:
    """A net with the course's interface; a subclass says its layers and where each parameter of `params` goes.

    Attributes
    ----------
    params : dict of ndarray
        Read at every loss.
    reg : float
        Factor of 0.5·ΣW², weights only.
    dtype : dtype
        Of all computing; X is cast to it.
    """

    params: dict[str, Array]
    reg: float
    dtype: Any
    input_shape: Shape
    bn_params: list[dict[str, Any]]

    def _layers(self) -> list[Layer]:
        """Return the layers as they are wanted now."""
        raise TypeError(f"{type(self).__name__} must define _layers()")

    def _places(self) -> dict[str, tuple[int, str]]:
        """Return for each key of `params` the layer's number and the parameter's name there."""
        raise TypeError(f"{type(self).__name__} must define _places()")

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make a net of the same sizes, as JSON can say them."""
        raise TypeError(f"{type(self).__name__} must define settings()")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the model: it is made again from params when it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_model"}

    def _loaded(self) -> Model:
        """Return the model with the present parameters and running statistics in it."""
        layers = tuple(self._layers())
        model: Model | None = self.__dict__.get("_model")
        if model is None or model.layers != layers or model.dtype != self.dtype:
            model = self._model = Model(layers, self.input_shape, dtype=np.dtype(self.dtype))
        for key, (i, name) in self._places().items():
            view, given = vars(model.p[i])[name], np.asarray(self.params[key])
            if given.shape != view.shape:
                raise ShapeError(
                    f"{type(self).__name__}: params[{key!r}]: expected shape {view.shape}, got {given.shape}"
                )
            view[...] = given
        for i, bn_param in self._normalised():
            model.s[i].mean[...] = bn_param.get("running_mean", 0.0)
            model.s[i].var[...] = bn_param.get("running_var", 0.0)
        return model

    def _normalised(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the number of each batch norm layer and its dictionary."""
        numbers = [i for i, layer in enumerate(self._layers()) if isinstance(layer, BatchNorm)]
        return list(zip(numbers, self.bn_params, strict=True)) if numbers else []

    def loss(self, X: Array, y: Array | None = None) -> Any:
        """Return the scores (N, C) in test mode if y is None; else the loss and its gradients, by the keys of `params`.

        Parameters
        ----------
        X : array (N, d1, ..., dk)
        y : array (N,), optional
            Labels.
        """
        model = self._loaded()
        for bn_param in self.bn_params:
            bn_param["mode"] = "test" if y is None else "train"
        X = np.asarray(X)
        if len(model.input_shape) == 1 and X.ndim > 1:
            X = X.reshape(len(X), -1)
        if y is None:
            return model.infer(X)
        X = model._check_input(X)
        kind = SoftmaxLoss()
        labels = kind.check((len(X), *model.output_shape), y)
        plan = model.plan(len(X), input_gradient=False)
        plan.x[...] = X
        _run(plan.forward)
        loss = np.zeros(1)
        loss[0], plan.dscores[...] = kind.reference(plan.scores, labels)
        _run(plan.backward)
        if self.reg:
            weights = model.groups["weight"]
            add_l2(loss, model.grads[weights], model.params[weights], float(self.reg), kernels=model.kernels)()
        for i, bn_param in self._normalised():
            momentum = float(bn_param.get("momentum", 0.9))
            for name in ("mean", "var"):
                batch, old = vars(plan.caches[i])[name], vars(model.s[i])[name]
                bn_param[f"running_{name}"] = momentum * old + (1 - momentum) * batch
        return float(loss[0]), {key: vars(model.g[i])[name].copy() for key, (i, name) in self._places().items()}


def _run(calls: list[Call]) -> None:
    for call in calls:
        call()
