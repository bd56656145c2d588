"""The course's fully connected nets.

Examples
--------
>>> import numpy as np
>>> net = FullyConnectedNet([20, 30], input_dim=15, normalization="batchnorm", reg=0.1)
>>> sorted(net.params)
['W1', 'W2', 'W3', 'b1', 'b2', 'b3', 'beta1', 'beta2', 'gamma1', 'gamma2']
>>> loss, grads = net.loss(np.ones((2, 15)), np.array([0, 1]))
>>> grads.keys() == net.params.keys()
True
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ...layers import Affine, BatchNorm, LayerNorm, ReLU
from ...layers.base import Layer
from .. import layer_utils, layers
from ..layer_utils import *  # noqa: F403 (notebooks take the layers from here: from cs231n.classifiers.fc_net import *)
from ..layers import *  # noqa: F403
from .model_net import CourseDropout, ModelNet

__all__ = ["FullyConnectedNet", "TwoLayerNet"]
__all__ += layers.__all__
__all__ += layer_utils.__all__


class FullyConnectedNet(ModelNet):
    """Net of {affine - [batch/layer norm] - relu - [dropout]} x (L - 1) - affine - softmax.

    Parameters
    ----------
    hidden_dims : sequence of int
        May have one entry only.
    input_dim, num_classes : int
    dropout_keep_ratio : float
        Probability of keeping a value; 1 for no dropout. `dropout` is its older name.
    normalization : {None, "batchnorm", "layernorm"}
    reg : float
    weight_scale : float
        Standard deviation of the first weights, drawn from NumPy's global random state.
    dtype : dtype
    seed : int, optional
        Makes dropout repeatable: it seeds the global random state before each mask.

    Attributes
    ----------
    params : dict
        W1, b1, [gamma1, beta1], W2 ...; b (M,); gamma and beta for hidden layers only.
    num_layers, normalization, use_dropout, reg, dtype, dropout_param, bn_params
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout_keep_ratio: float = 1,
        normalization: str | None = None,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: Any = np.float32,
        seed: int | None = None,
        *,
        dropout: float | None = None,
    ) -> None:
        if normalization not in (None, "batchnorm", "layernorm"):
            raise ArgumentError(
                f"FullyConnectedNet: normalization: expected None, 'batchnorm' or 'layernorm', got {normalization!r}"
            )
        keep = dropout_keep_ratio if dropout is None else dropout
        if not 0 < keep <= 1:
            raise ArgumentError(
                f"FullyConnectedNet: dropout_keep_ratio: expected a probability in (0, 1], got {keep!r}"
            )
        self.normalization = normalization
        self.use_dropout = keep != 1
        self.reg = reg
        self.num_layers = 1 + len(hidden_dims)
        self.dtype = dtype
        self.input_shape = (int(input_dim),)
        self.params = {}
        sizes = [int(input_dim), *map(int, hidden_dims), int(num_classes)]
        self._widths = sizes[1:]
        for i, (D, M) in enumerate(pairwise(sizes), start=1):
            self.params[f"W{i}"] = float(weight_scale) * np.random.randn(D, M)  # noqa: NPY002 (the contract)
            self.params[f"b{i}"] = np.zeros(M)
            if normalization and i < self.num_layers:
                self.params[f"gamma{i}"], self.params[f"beta{i}"] = np.ones(M), np.zeros(M)
        self.params = {name: value.astype(dtype) for name, value in self.params.items()}
        self.dropout_param: dict[str, Any] = {}
        if self.use_dropout:
            self.dropout_param = {"mode": "train", "p": keep} | ({} if seed is None else {"seed": seed})
        self.bn_params = []
        if normalization == "batchnorm":
            self.bn_params = [{"mode": "train"} for _ in hidden_dims]
        elif normalization == "layernorm":
            self.bn_params = [{} for _ in hidden_dims]

    def loss(self, X: Any, y: Any = None) -> Any:
        """Return the scores in test mode if y is None; else the loss and its gradients, by the keys of `params`."""
        if self.use_dropout:
            self.dropout_param["mode"] = "test" if y is None else "train"
        result = super().loss(X, y)
        if self.normalization == "layernorm":
            for ln_param in self.bn_params:
                ln_param.pop("mode", None)
        return result

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make a net of the same sizes, as JSON can say them."""
        return {
            "hidden_dims": self._widths[:-1],
            "input_dim": self.input_shape[0],
            "num_classes": self._widths[-1],
            "dropout_keep_ratio": float(self.dropout_param.get("p", 1)),
            "normalization": self.normalization,
            "reg": float(self.reg),
            "dtype": np.dtype(self.dtype).name,
            "seed": self.dropout_param.get("seed"),
        }

    def _layers(self) -> list[Layer]:
        found: list[Layer] = []
        for i, width in enumerate(self._widths[:-1]):
            found.append(Affine(width))
            if self.normalization == "batchnorm":
                found.append(BatchNorm(eps=float(self.bn_params[i].get("eps", 1e-5))))
            elif self.normalization == "layernorm":
                found.append(LayerNorm(eps=float(self.bn_params[i].get("eps", 1e-5))))
            found.append(ReLU())
            if self.use_dropout:
                found.append(CourseDropout(1 - float(self.dropout_param["p"]), seed=self.dropout_param.get("seed")))
        return [*found, Affine(self._widths[-1])]

    def _places(self) -> dict[str, tuple[int, str]]:
        per_layer = 2 + bool(self.normalization) + self.use_dropout
        places: dict[str, tuple[int, str]] = {}
        for i in range(1, self.num_layers + 1):
            at = (i - 1) * per_layer
            places |= {f"W{i}": (at, "w"), f"b{i}": (at, "b")}
            if self.normalization and i < self.num_layers:
                places |= {f"gamma{i}": (at + 1, "gamma"), f"beta{i}": (at + 1, "beta")}
        return places


class TwoLayerNet(FullyConnectedNet):
    """Net of affine - relu - affine - softmax.

    Parameters
    ----------
    input_dim, hidden_dim, num_classes : int
    weight_scale, reg : float

    Examples
    --------
    >>> TwoLayerNet(input_dim=5, hidden_dim=4, num_classes=3).params["W2"].shape
    (4, 3)
    """

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
    ) -> None:
        super().__init__(
            [hidden_dim], input_dim, num_classes, reg=reg, weight_scale=weight_scale, dtype=np.float64
        )  # the course's has no dtype: NumPy's own

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make a net of the same sizes, as JSON can say them."""
        hidden, classes = self._widths
        return {
            "input_dim": self.input_shape[0],
            "hidden_dim": hidden,
            "num_classes": classes,
            "reg": float(self.reg),
        }
