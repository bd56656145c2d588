"""Our layers as JAX's users write them: pure functions of parameters and input, differentiated and compiled as one step.

A layer that is not in `LAYERS` has no twin.  Running statistics are left out: what JAX does is a little less than what we do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

from ..layers.base import Layer
from ..layers.conv import zeros_around
from ..layers.windows import as_pair
from ..optim import Adam, Nesterov
from .group import Unsuitable

Params = dict[str, Any]


def conv(layer: Any, p: Params, x: Any) -> Any:
    """Return a convolution of NCHW images."""
    kernel, dilation = (
        as_pair(layer.kernel_size, "Conv", "kernel_size", 1),
        as_pair(layer.dilation, "Conv", "dilation", 1),
    )
    out = lax.conv_general_dilated(
        x,
        p["w"],
        as_pair(layer.stride, "Conv", "stride", 1),
        zeros_around(layer.padding, kernel, dilation),
        rhs_dilation=dilation,
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
        feature_group_count=layer.groups,
    )
    return out + p["b"][:, None, None] if layer.bias else out


def max_pool(layer: Any, p: Params, x: Any) -> Any:
    """Return max pooling without padding."""
    if layer.padding != 0:
        raise Unsuitable("no twin of padded pooling in JAX yet")
    window = (1, 1, *as_pair(layer.size, "MaxPool", "size", 1))
    strides = window if layer.stride is None else (1, 1, *as_pair(layer.stride, "MaxPool", "stride", 1))
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "VALID")


def batch_norm(layer: Any, p: Params, x: Any) -> Any:
    """Return batch norm over all axes but the channels'."""
    axes = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    xhat = (x - x.mean(axes, keepdims=True)) * lax.rsqrt(x.var(axes, keepdims=True) + layer.eps)
    return p["gamma"].reshape(shape) * xhat + p["beta"].reshape(shape)


LAYERS: dict[str, Callable[[Any, Params, Any], Any]] = {
    "Affine": lambda layer, p, x: x.reshape(len(x), -1) @ p["w"] + p["b"],
    "BatchNorm": batch_norm,
    "Conv": conv,
    "Flatten": lambda layer, p, x: x.reshape(len(x), -1),
    "GELU": lambda layer, p, x: jax.nn.gelu(x, approximate=False),
    "GlobalAveragePool": lambda layer, p, x: x.mean((2, 3)),
    "MaxPool": max_pool,
    "ReLU": lambda layer, p, x: jax.nn.relu(x),
    "Scale": lambda layer, p, x: layer.factor * x,
    "SpatialBatchNorm": batch_norm,
}


def apply(named: Sequence[tuple[str, Layer]], params: Params, x: Any) -> Any:
    """Return the scores of a chain of layers.

    Parameters
    ----------
    named : sequence of (name, Layer)
    params : dict
        By our names, "0.w".
    x : array (N, ...)

    Raises
    ------
    Unsuitable
        If a layer has no twin.
    """
    for name, layer in named:
        if parts := layer.parts(tuple(x.shape)):
            chains = {
                which: [(f"{name}.{at}", part) for at, part, _ in parts if at.startswith(f"{which}.")]
                for which in ("main", "shortcut")
            }
            x = apply(chains["main"], params, x) + apply(chains["shortcut"], params, x)
            continue
        kind = type(layer).__name__
        if kind not in LAYERS:
            raise Unsuitable(f"no twin of {kind} in JAX yet")
        own = {key.rpartition(".")[2]: value for key, value in params.items() if key.rpartition(".")[0] == name}
        x = LAYERS[kind](layer, own, x)
    return x


def cross_entropy(params: Params, named: Sequence[tuple[str, Layer]], x: Any, y: Any) -> Any:
    """Return the mean softmax cross-entropy."""
    log_probs = jax.nn.log_softmax(apply(named, params, x))
    return -jnp.take_along_axis(log_probs, y[:, None], 1).mean()


def training_step(layers: Sequence[Layer], optimizer: Any) -> Callable[..., Any]:
    """Return the compiled step: (params, m, v, t, x, y) -> loss, gradients, params, m, v.

    Raises
    ------
    Unsuitable
        If the optimizer is neither Adam nor Nesterov, or a layer has no twin.
    """
    if not isinstance(optimizer, (Adam, Nesterov)):
        raise Unsuitable(f"no twin of {type(optimizer).__name__} in JAX yet")
    named = [(str(i), layer) for i, layer in enumerate(layers)]

    def step(params: Params, m: Params, v: Params, t: Any, x: Any, y: Any) -> Any:
        loss, grads = jax.value_and_grad(cross_entropy)(params, named, x, y)
        if isinstance(optimizer, Adam):
            beta1, beta2 = optimizer.beta1, optimizer.beta2
            m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, grads)
            v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, grads)
            rate, root = optimizer.lr / (1 - beta1**t), jnp.sqrt(1 - beta2**t)
            params = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) / root + optimizer.eps), params, m, v)
        else:
            m = jax.tree.map(lambda m, g: optimizer.momentum * m + g, m, grads)
            params = jax.tree.map(lambda w, m, g: w - optimizer.lr * (g + optimizer.momentum * m), params, m, grads)
        return loss, grads, params, m, v

    return jax.jit(step)
