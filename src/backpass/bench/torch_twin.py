"""Our layers as PyTorch's users write them: a list of layers becomes an `nn.Sequential` with the same parameters.

A layer that is not in `MODULES` has no twin, and the benchmarks say so; an entry is a function (layer, shape of x) -> module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    "Sigmoid": lambda layer, x: nn.Sigmoid(),
    "SpatialBatchNorm": partial(norm, nn.BatchNorm2d),
    "Swish": lambda layer, x: nn.SiLU(),
    "Tanh": lambda layer, x: nn.Tanh(),
}
NAMES = {"w": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}

Gradients = Callable[[], dict[str, Array]]


def module_of(layer: Layer, x: Shape) -> nn.Module:
    """Return the twin of a layer for an input of shape `x`.

    Raises
    ------
    Unsuitable
        If it has none.

    Examples
    --------
    >>> import backpass as bp
    >>> module_of(bp.Affine(3), (2, 4))
    Linear(in_features=4, out_features=3, bias=True)
    """
    name = type(layer).__name__
    if name not in MODULES:
        raise Unsuitable(f"no twin of {name} in PyTorch yet")
    return MODULES[name](layer, x)


def twin(model: Model) -> nn.Sequential:
    """Return a net with the layers and parameters of a model.

    Examples
    --------
    >>> import backpass as bp
    >>> len(list(twin(bp.Model([bp.Affine(8), bp.ReLU(), bp.Affine(3)], (4,))).parameters()))
    4
    """
    modules = [module_of(layer, x) for layer, (x, _) in zip(model.layers, model._declare(2), strict=True)]
    for i, module in enumerate(modules):
        if i and isinstance(module, nn.ReLU):
            modules[i] = nn.ReLU(inplace=True)  # as PyTorch's own nets do
    net = nn.Sequential(*modules)
    with torch.no_grad():
        for name, param in named_params(net, model.layers).items():
            value = torch.from_numpy(model.named_params()[name])
            param.copy_(value.T if _is_affine(model.layers, name) else value.reshape(param.shape))
    return net


def named_params(net: nn.Sequential, layers: Sequence[Layer]) -> dict[str, nn.Parameter]:
    """Return the parameters by our names: "0.w"."""
    found = {}
    for i, (module, layer) in enumerate(zip(net, layers, strict=True)):
        inner = module[-1] if isinstance(module, nn.Sequential) else module
        for ours in ("gamma", "beta") if "Norm" in type(layer).__name__ else ("w", "b"):
            param = getattr(inner, NAMES[ours], None)
            if isinstance(param, nn.Parameter):
                found[f"{i}.{ours}"] = param
    return found


def gradients(net: nn.Sequential, layers: Sequence[Layer]) -> dict[str, Array]:
    """Return the gradients of the parameters by our names and in our shapes."""
    found = {}
    for name, param in named_params(net, layers).items():
        assert param.grad is not None
        found[f"d{name}"] = array(param.grad.T if _is_affine(layers, name) else param.grad)
    return found


def array(tensor: torch.Tensor) -> Array:
    """Return a tensor's values in C order, whatever its layout is."""
    return tensor.detach().contiguous().numpy()


def _is_affine(layers: Sequence[Layer], name: str) -> bool:
    return name.endswith(".w") and type(layers[int(name.split(".")[0])]).__name__ == "Affine"


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
