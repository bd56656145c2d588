"""The course's convolutional net.

Examples
--------
>>> import numpy as np
>>> net = ThreeLayerConvNet((3, 8, 8), num_filters=4, filter_size=3, hidden_dim=5)
>>> {name: value.shape for name, value in net.params.items() if name.startswith("W")}
{'W1': (4, 3, 3, 3), 'W2': (64, 5), 'W3': (5, 10)}
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Affine, Conv, MaxPool, ReLU
from ...layers.base import Layer, Shape
from .. import fast_layers, layer_utils, layers
from ..fast_layers import *  # noqa: F403 (as in the course: from cs231n.classifiers.cnn import * brings the layers)
from ..layer_utils import *  # noqa: F403
from ..layers import *  # noqa: F403
from .model_net import ModelNet

__all__ = ["ThreeLayerConvNet"]
__all__ += layers.__all__
__all__ += fast_layers.__all__
__all__ += layer_utils.__all__


class ThreeLayerConvNet(ModelNet):
    """Net of conv - relu - 2x2 max pool - affine - relu - affine - softmax.

    Parameters
    ----------
    input_dim : tuple of int
        (C, H, W).
    num_filters, filter_size, hidden_dim, num_classes : int
        The convolution has stride 1 and (filter_size - 1) // 2 zeros on each side.
    weight_scale, reg : float
    dtype : dtype
        Also X is computed with in this dtype.

    Attributes
    ----------
    params : dict
        W1 (F, C, size, size), b1, W2, b2, W3, b3.
    reg, dtype
    """

    def __init__(
        self,
        input_dim: Shape = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float32,
    ) -> None:
        self.reg, self.dtype, self.bn_params = reg, dtype, []
        self.input_shape = tuple(int(size) for size in input_dim)
        self._sizes = (int(num_filters), int(filter_size), int(hidden_dim), int(num_classes))
        self.params = {}
        shape: Shape = (1, *self.input_shape)
        number = 0
        for layer in self._layers():
            declared = layer.declare(shape)
            if declared.params:
                number += 1
                size = declared.params["w"].shape
                self.params[f"W{number}"] = float(weight_scale) * np.random.randn(*size)  # noqa: NPY002 (the contract)
                self.params[f"b{number}"] = np.zeros(declared.params["b"].shape)
            shape = declared.out
        self.params = {name: value.astype(dtype) for name, value in self.params.items()}

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make a net of the same sizes, as JSON can say them."""
        filters, size, hidden, classes = self._sizes
        return {
            "input_dim": list(self.input_shape),
            "num_filters": filters,
            "filter_size": size,
            "hidden_dim": hidden,
            "num_classes": classes,
            "reg": float(self.reg),
            "dtype": np.dtype(self.dtype).name,
        }

    def _layers(self) -> list[Layer]:
        filters, size, hidden, classes = self._sizes
        conv = Conv(filters, size, padding=(size - 1) // 2)
        return [conv, ReLU(), MaxPool(2), Affine(hidden), ReLU(), Affine(classes)]

    def _places(self) -> dict[str, tuple[int, str]]:
        return {f"{key}{n}": (i, name) for n, i in ((1, 0), (2, 3), (3, 5)) for key, name in (("W", "w"), ("b", "b"))}
