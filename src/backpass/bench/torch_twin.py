"""Our layers as PyTorch's users write them: a list of layers becomes an `nn.Sequential` with the same parameters.

A layer that is not in `MODULES` has no twin, and the benchmarks say so; an entry is a function (layer, shape of x) -> module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from ..layers.base import Array, Layer, Shape
from ..layers.conv import zeros_around
from ..layers.windows import as_pair
from ..model import Model
from .group import Unsuitable


class ChannelMean(nn.Module):
    """Global average pooling as nets write it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of each channel, (N, C)."""
        return x.mean((2, 3))


class Times(nn.Module):
    """A fixed factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        return x * self.factor


def affine(layer: Any, x: Shape) -> nn.Module:
    """Return a Linear, after a Flatten where the input is an image."""
    inputs = 1
    for size in x[1:]:
        inputs *= size
    linear = nn.Linear(inputs, layer.width)
    return linear if len(x) == 2 else nn.Sequential(nn.Flatten(), linear)


def conv(layer: Any, x: Shape) -> nn.Module:
    """Return a Conv2d; PyTorch has no uneven padding."""
    kernel, dilation = (
        as_pair(layer.kernel_size, "Conv", "kernel_size", 1),
        as_pair(layer.dilation, "Conv", "dilation", 1),
    )
    zeros = zeros_around(layer.padding, kernel, dilation)
    if any(before != after for before, after in zeros):
        raise Unsuitable("PyTorch's Conv2d pads both sides alike")
    padding = (zeros[0][0], zeros[1][0])
    stride = as_pair(layer.stride, "Conv", "stride", 1)
    return nn.Conv2d(x[1], layer.filters, kernel, stride, padding, dilation, layer.groups, bias=layer.bias)


def pool(made: Callable[..., nn.Module], layer: Any, x: Shape) -> nn.Module:
    """Return a MaxPool2d or an AvgPool2d."""
    return made(layer.size, layer.stride, layer.padding)


def norm(made: Callable[..., nn.Module], layer: Any, x: Shape) -> nn.Module:
    """Return a batch norm; PyTorch's momentum is the weight of the new value."""
    return made(x[1], layer.eps, 1 - layer.decay)


MODULES: dict[str, Callable[[Any, Shape], nn.Module]] = {
    "Affine": affine,
    "AveragePool": partial(pool, partial(nn.AvgPool2d, count_include_pad=False)),
    "BatchNorm": partial(norm, nn.BatchNorm1d),
    "Conv": conv,
    "Dropout": lambda layer, x: nn.Dropout(layer.drop_prob),
    "ELU": lambda layer, x: nn.ELU(layer.alpha),
    "Flatten": lambda layer, x: nn.Flatten(),
    "GELU": lambda layer, x: nn.GELU(),
    "GlobalAveragePool": lambda layer, x: ChannelMean(),
    "GroupNorm": lambda layer, x: nn.GroupNorm(layer.groups, x[1], layer.eps),
    "LayerNorm": lambda layer, x: nn.LayerNorm(x[1:], layer.eps),
    "LeakyReLU": lambda layer, x: nn.LeakyReLU(layer.slope),
    "MaxPool": partial(pool, nn.MaxPool2d),
    "ReLU": lambda layer, x: nn.ReLU(),
    "Scale": lambda layer, x: Times(layer.factor),
    "Sigmoid": lambda layer, x: nn.Sigmoid(),
    "SpatialBatchNorm": partial(norm, nn.BatchNorm2d),
    "Swish": lambda layer, x: nn.SiLU(),
    "Tanh": lambda layer, x: nn.Tanh(),
}
NAMES = {"w": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}


class Block(nn.Module):
    """Two chains on the same input, added up: a residual block."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return main(x) + shortcut(x)."""
        return self.main(x) + self.shortcut(x)


@dataclass(frozen=True)
class Twin:
    """A net in PyTorch, and its parameters by our names.

    Attributes
    ----------
    net : nn.Sequential
    params : dict of Parameter
    turned : set of str
        Those that are transposed: affine weights are (D, M) here and (M, D) there.
    """

    net: nn.Sequential
    params: dict[str, nn.Parameter]
    turned: set[str]

    def gradients(self) -> dict[str, Array]:
        """Return the gradients of the parameters by our names and in our shapes."""
        found = {}
        for name, param in self.params.items():
            assert param.grad is not None
            found[f"d{name}"] = array(param.grad.T if name in self.turned else param.grad)
        return found


def twin(model: Model) -> Twin:
    """Return a net with the layers and parameters of a model.

    Raises
    ------
    Unsuitable
        If a layer has no twin.

    Examples
    --------
    >>> import backpass as bp
    >>> list(twin(bp.Model([bp.Affine(8), bp.ReLU(), bp.Affine(3)], (4,))).params)
    ['0.w', '0.b', '2.w', '2.b']
    """
    made = Twin(nn.Sequential(), {}, set())
    made.net.extend(
        _modules([(str(i), *known) for i, known in enumerate(_with_shapes(model.layers, model.input_shape))], made)
    )
    with torch.no_grad():
        for name, value in model.named_params().items():
            values = torch.from_numpy(value)
            param = made.params[name]
            param.copy_(values.T if name in made.turned else values.reshape(param.shape))
    return made


def _with_shapes(layers: Sequence[Layer], sample: Shape) -> list[tuple[Layer, Shape]]:
    found, x = [], (2, *sample)
    for layer in layers:
        found.append((layer, x))
        x = layer.declare(x).out
    return found


def _modules(named: Sequence[tuple[str, Layer, Shape]], made: Twin) -> list[nn.Module]:
    """Return the twins of a chain of layers and enter their parameters."""
    modules: list[nn.Module] = []
    for name, layer, x in named:
        kind = type(layer).__name__
        if parts := layer.parts(x):
            chains = {
                which: nn.Sequential(
                    *_modules(
                        [(f"{name}.{at}", part, shape) for at, part, shape in parts if at.startswith(f"{which}.")], made
                    )
                )
                for which in ("main", "shortcut")
            }
            modules.append(Block(**chains))
            continue
        if kind not in MODULES:
            raise Unsuitable(f"no twin of {kind} in PyTorch yet")
        module = MODULES[kind](layer, x)
        if modules and isinstance(module, nn.ReLU):
            module = nn.ReLU(inplace=True)  # as PyTorch's own nets do
        modules.append(module)
        inner = module[-1] if isinstance(module, nn.Sequential) else module
        for ours in layer.declare(x).params:
            made.params[f"{name}.{ours}"] = getattr(inner, NAMES[ours])
        if kind == "Affine":
            made.turned.add(f"{name}.w")
    return modules


def array(tensor: torch.Tensor) -> Array:
    """Return a tensor's values in C order, whatever its layout is.

    Examples
    --------
    >>> array(torch.ones(2))
    array([1., 1.], dtype=float32)
    """
    return tensor.detach().contiguous().numpy()


OPTIMIZERS: dict[str, Callable[[Any, Any], torch.optim.Optimizer]] = {
    "SGD": lambda params, ours: torch.optim.SGD(params, ours.lr, fused=True),
    "Momentum": lambda params, ours: torch.optim.SGD(params, ours.lr, ours.momentum, fused=True),
    "Nesterov": lambda params, ours: torch.optim.SGD(params, ours.lr, ours.momentum, nesterov=True, fused=True),
    "AdaGrad": lambda params, ours: torch.optim.Adagrad(params, ours.lr, eps=ours.eps, fused=True),
    "RMSProp": lambda params, ours: torch.optim.RMSprop(params, ours.lr, ours.decay, ours.eps),
    "Adam": lambda params, ours: torch.optim.Adam(params, ours.lr, (ours.beta1, ours.beta2), ours.eps, fused=True),
    "AdamW": lambda params, ours: torch.optim.AdamW(
        params, ours.lr, (ours.beta1, ours.beta2), ours.eps, ours.weight_decay, fused=True
    ),
}


def optimizer(ours: Any, params: Any) -> torch.optim.Optimizer:
    """Return PyTorch's optimizer with the same settings, fused where it has that.

    Raises
    ------
    Unsuitable
        If it has no such optimizer.

    Examples
    --------
    >>> import backpass as bp
    >>> type(optimizer(bp.Adam(), [torch.zeros(2)])).__name__
    'Adam'
    """
    name = type(ours).__name__
    if name not in OPTIMIZERS:
        raise Unsuitable(f"no twin of {name} in PyTorch yet")
    return OPTIMIZERS[name](params, ours)
