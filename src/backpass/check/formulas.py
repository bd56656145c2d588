"""Plain forwards of the usual layers, to compare a forward with what its name promises.

Each takes the user's own arguments (a dict by name) and returns the output, or None where it does not apply.
Conventions
differ, so most layers have several accepted formulas; a forward is faulted only if it equals none of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.inputs import SCALE, SHIFT, B, W, X

Array = NDArray[np.float64]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "swish", "sigmoid", "tanh", "softplus")

# Words in the name of a convolution or pooling that promise something else than the usual formula.
OTHER_KINDS = re.compile(
    r"circular|cyclic|periodic|wrap|reflect|symmetric|mirror|edge|replicate|same|causal|transpose|deconv|dilat|atrous"
    r"|depthwise|separable|group|true|flip|adaptive|global|sum|lp_?pool|l2"
)


def find_array(arguments: dict[str, Any], pattern: Any) -> Any:
    """Return the first array whose name fits a pattern, or None."""
    return next((v for k, v in arguments.items() if pattern.match(k) and isinstance(v, np.ndarray)), None)


def _setting(arguments: dict[str, Any], *names: str) -> Any:
    """Return the first argument, or entry of a dict among the arguments, of one of the names."""
    plain = {k.lower(): v for k, v in arguments.items() if not isinstance(v, np.ndarray)}
    for value in arguments.values():
        if isinstance(value, dict):
            plain = {**{str(k).lower(): v for k, v in value.items()}, **plain}
    return next((plain[n.lower()] for n in names if n.lower() in plain), None)


def _normalised(x: Array, axes: tuple[int, ...], arguments: dict[str, Any]) -> Iterator[Array]:
    given = _setting(arguments, "eps", "epsilon")
    for eps in (given,) if given is not None else (1e-5, 1e-8, 1e-6, 1e-7, 1e-3, 1e-12, 1e-4, 1e-10, 0.0):
        mean = x.mean(axis=axes, keepdims=True)
        yield (x - mean) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def _scaled(arguments: dict[str, Any], xhat: Array, per_channel: bool) -> Array:
    scale, shift = find_array(arguments, SCALE), find_array(arguments, SHIFT)
    if scale is None:
        scale = find_array(arguments, W)
    if shift is None:
        shift = find_array(arguments, B)

    def fit(a: Array) -> Array:
        return a.reshape(1, -1, 1, 1) if per_channel and a.ndim == 1 else a

    out = xhat if scale is None else fit(scale) * xhat
    return out if shift is None else out + fit(shift)


def expected(kind: str, name: str, arguments: dict[str, Any]) -> Iterator[Array]:
    """Return the accepted outputs of a layer of a kind."""
    x = find_array(arguments, X)
    if (
        x is None
        or x.dtype.kind != "f"
        or _setting(arguments, "mode") == "test"
        or _setting(arguments, "training", "train", "is_training") is False
    ):
        return
    if step := re.match(r"(rnn|lstm)_?(step|cell)$", _plain(name)):
        yield from _recurrent(step[1], arguments)
        return
    w, b = find_array(arguments, W), find_array(arguments, B)
    understood = [x]
    if kind in ("affine", "conv") or "norm" in kind:
        understood += [w, b, find_array(arguments, SCALE), find_array(arguments, SHIFT)]
    floats = (v for k, v in arguments.items() if not k.lower().startswith(("running", "moving")))
    if any(isinstance(v, np.ndarray) and v.dtype.kind == "f" and all(v is not u for u in understood) for v in floats):
        return  # an array more than the formula knows of
    if kind == "affine" and w is not None and w.ndim == 2:
        flat = x.reshape(len(x), -1)
        shift = 0.0 if b is None else b
        if flat.shape[1] == w.shape[0]:
            yield flat @ w + shift
        if flat.shape[1] == w.shape[1]:
            yield flat @ w.T + shift
    elif kind == "batchnorm" and x.ndim == 2:
        for xhat in _normalised(x, (0,), arguments):
            yield _scaled(arguments, xhat, False)
    elif kind == "layernorm" and x.ndim == 2:
        for xhat in _normalised(x, (1,), arguments):
            yield _scaled(arguments, xhat, False)
    elif kind == "spatial_batchnorm" and x.ndim == 4:
        for xhat in _normalised(x, (0, 2, 3), arguments):
            yield _scaled(arguments, xhat, True)
    elif kind == "groupnorm" and x.ndim == 4:
        groups = _setting(arguments, "G", "groups", "num_groups", "n_groups")
        if isinstance(groups, int) and x.shape[1] % groups == 0:
            n, c, h, width = x.shape
            for xhat in _normalised(x.reshape(n, groups, c // groups, h, width), (2, 3, 4), arguments):
                yield _scaled(arguments, xhat.reshape(x.shape), True)
    elif OTHER_KINDS.search(name.lower()):
        return
    elif kind == "conv" and w is not None and w.ndim == 4 and x.ndim == 4:
        yield from _convolved(x, w, b, arguments)
    elif kind in ("maxpool", "avgpool") and x.ndim == 4:
        yield from _pooled(x, arguments, np.max if kind == "maxpool" else np.mean)
    elif kind == "elementwise":
        yield from _elementwise(_plain(name), x, arguments)


def of_the_family(kind: str, name: str, references: list[Array], arguments: dict[str, Any], out: Array) -> bool:
    """Whether an output is that of a layer of the kind all the same.

    An activation may have a constant of its author's own (elu with alpha 1.5 is an elu), and a dense layer its activation.
    """
    if kind == "affine":
        made = (one for name in ACTIVATIONS for scores in references for one in _elementwise(name, scores, {}))
        return any(one.shape == out.shape and bool(np.allclose(one, out, rtol=1e-6, atol=0)) for one in made)
    x = find_array(arguments, X)
    if x is None or _setting(arguments, "alpha", "slope", "negative_slope", "leak", "beta") is not None:
        return False
    low = x < 0
    with np.errstate(all="ignore"):
        if _plain(name) in ("silu", "swish"):
            return _steady(-np.log(x / out - 1) / x)
        if _plain(name) == "elu":
            found = out[low] / np.expm1(x[low])
        elif _plain(name) in ("leaky_relu", "leakyrelu", "lrelu"):
            found = out[low] / x[low]
        else:
            return False
    return _steady(found) and bool(np.array_equal(out[~low], x[~low]))


def _recurrent(kind: str, arguments: dict[str, Any]) -> Iterator[Array]:
    """Return the next hidden state of a recurrent step, where the arguments have the course's names.

    The four gates of an LSTM lie in one matrix, in whatever order; the course's comes first.
    """
    names = ["x", "prev_h", "Wx", "Wh", "b", *(["prev_c"] if kind == "lstm" else [])]
    if set(arguments) != set(names):
        return
    x, h, wx, wh, b = (arguments[name] for name in names[:5])
    scores = x @ wx + h @ wh + b
    if kind == "rnn":
        yield np.tanh(scores)
        return
    for order in permutations(np.split(scores, 4, axis=1)):
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in order[:3])
        yield o * np.tanh(f * arguments["prev_c"] + i * np.tanh(order[3]))


def _steady(found: Array) -> bool:
    """Whether all elements are the same number."""
    return found.size > 1 and bool(np.isfinite(found).all()) and float(np.ptp(found)) < 1e-6


def _convolved(x: Array, w: Array, b: Array | None, arguments: dict[str, Any]) -> Iterator[Array]:
    stride, pad = _setting(arguments, "stride") or 1, _setting(arguments, "pad", "padding") or 0
    plain = all((_setting(arguments, name) or 1) == 1 for name in ("dilation", "groups"))
    if not isinstance(stride, int) or not isinstance(pad, int) or w.shape[1] != x.shape[1] or not plain:
        return
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    out = np.einsum("nchwij,fcij->nfhw", windows, w)
    yield out if b is None else out + b.reshape(1, -1, 1, 1)


def _pooled(x: Array, arguments: dict[str, Any], function: Any) -> Iterator[Array]:
    size = _setting(arguments, "pool_size", "size", "k", "kernel_size", "window")
    height = _setting(arguments, "pool_height", "pool_h", "ph") or size
    width = _setting(arguments, "pool_width", "pool_w", "pw") or size
    if not isinstance(height, int) or not isinstance(width, int):
        return
    stride = _setting(arguments, "stride", "s") or height
    if _setting(arguments, "pad", "padding") not in (None, 0) or height > x.shape[2] or width > x.shape[3]:
        return
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(2, 3))[:, :, ::stride, ::stride]
    yield function(windows, axis=(4, 5))


def _plain(name: str) -> str:
    """Return the name of a function without the words that say nothing about what it computes.

    >>> _plain("my_relu_forward_v2"), _plain("relu_clipped_forward"), _plain("Tanh.forward")
    ('relu', 'relu_clipped', 'tanh')
    """
    words = re.split(r"[_.]", name.lower())
    idle = r"my|forward|fwd|fprop|naive|fast|loop|vectori[sz]ed|simple|layer|act|activation|function|fn|np|numpy|v?\d*"
    return "_".join(w for w in words if not re.fullmatch(idle, w))


def _elementwise(name: str, x: Array, arguments: dict[str, Any]) -> Iterator[Array]:
    slope = _setting(arguments, "alpha", "slope", "negative_slope", "leak")
    with np.errstate(all="ignore"):
        sigmoid = 1 / (1 + np.exp(-x))
        if name in ("leaky_relu", "leakyrelu", "lrelu"):
            for a in (slope,) if slope is not None else (0.01, 0.1, 0.2, 0.05, 0.001):
                yield np.where(x > 0, x, a * x)
        elif name == "gelu":
            yield 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
            yield 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
            yield x / (1 + np.exp(-1.702 * x))
        elif name in ("silu", "swish"):
            beta = _setting(arguments, "beta") or 1.0
            yield x / (1 + np.exp(-beta * x))
        elif name == "elu":
            a = slope if slope is not None else 1.0
            yield np.where(x > 0, x, a * (np.exp(x) - 1))
        elif name == "relu" and slope is None:
            yield np.maximum(x, 0)
        elif name in ("sigmoid", "logistic"):
            yield sigmoid
        elif name == "tanh":
            yield np.tanh(x)
        elif name == "softplus":
            yield np.log1p(np.exp(x))
