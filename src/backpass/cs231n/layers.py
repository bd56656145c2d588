"""The course's layer functions, `forward(...) -> (out, cache)` and `backward(dout, cache) -> gradients`.

Each is a thin adapter over the reference of the same layer in `backpass.layers`, where formula and derivation stand.
Caches that the course documents have its form, so that a function of a learner's can be put in place of one of ours:
affine (x, w, b), relu x, convolution (x, w, b, conv_param), pooling (x, pool_param), dropout (dropout_param, mask).

Examples
--------
>>> import numpy as np
>>> from backpass.cs231n.layers import affine_backward, affine_forward
>>> out, cache = affine_forward(np.ones((2, 1, 3)), np.ones((3, 4)), np.zeros(4))
>>> dx, dw, db = affine_backward(out, cache)
>>> out.shape, dx.shape, dw.shape, db.shape
((2, 4), (2, 1, 3), (3, 4), (4,))
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..layers import affine, batchnorm, conv, groupnorm, layernorm, maxpool, relu, spatial_batchnorm
from ..layers.base import Array, Cache, Shape
from ..losses import SoftmaxLoss, SVMLoss
from ..losses.base import Loss
from ._arrays import mode_of, reals, setting

__all__ = [
    "affine_backward",
    "affine_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "conv_backward_naive",
    "conv_forward_naive",
    "dropout_backward",
    "dropout_forward",
    "layernorm_backward",
    "layernorm_forward",
    "max_pool_backward_naive",
    "max_pool_forward_naive",
    "relu_backward",
    "relu_forward",
    "softmax_loss",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
    "svm_loss",
]

Gradients3 = tuple[Array, Array, Array]


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, Any]:
    """Return x w + b for x (N, d1, ..., dk), w (D, M), b (M,), and the cache (x, w, b)."""
    out, _ = affine.affine_forward(x, w, b)
    return out, (x, w, b)


def affine_backward(dout: Array, cache: Any) -> Gradients3:
    """Return dx (N, d1, ..., dk), dw (D, M) and db (M,)."""
    x, w, _ = cache
    return affine.affine_backward(dout, Cache(x=x, w=w, rows=x.reshape(len(x), -1)))


def relu_forward(x: Array) -> tuple[Array, Any]:
    """Return max(x, 0), any shape, and the cache x."""
    return relu.relu_forward(x)[0], x


def relu_backward(dout: Array, cache: Any) -> Array:
    """Return dx: dout where x was positive."""
    return relu.relu_backward(dout, Cache(out=cache))


def _loss(kind: Loss, x: Array, y: Array) -> tuple[float, Array]:
    """Return loss and dx; scores that are not finite give a loss that is not, as the course's notebooks expect."""
    (scores,) = reals(x)
    return kind.reference(scores, kind.check(scores.shape, y))


def softmax_loss(x: Array, y: Array) -> tuple[float, Array]:
    """Return the mean cross-entropy of scores x (N, C) with labels y (N,), and dx."""
    return _loss(SoftmaxLoss(), x, y)


def svm_loss(x: Array, y: Array) -> tuple[float, Array]:
    """Return the mean multiclass hinge loss (margin 1) of scores x (N, C) with labels y (N,), and dx."""
    return _loss(SVMLoss(), x, y)


def _normalise(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any], module: Any, D: int) -> tuple[Array, Any]:
    """Do what vanilla and spatial batch normalisation share: the modes and the running statistics."""
    mode = mode_of(bn_param, "bn_param")
    name = module.__name__.rpartition(".")[2]
    eps, momentum = float(bn_param.get("eps", 1e-5)), float(bn_param.get("momentum", 0.9))
    mean = bn_param.get("running_mean", np.zeros(D, x.dtype))
    var = bn_param.get("running_var", np.zeros(D, x.dtype))
    cache = None
    if mode == "train":
        out, cache = getattr(module, f"{name}_forward")(x, gamma, beta, eps=eps)
        mean = momentum * mean + (1 - momentum) * cache.mean
        var = momentum * var + (1 - momentum) * cache.var
    else:
        out = getattr(module, f"{name}_infer")(x, gamma, beta, mean, var, eps=eps)
    bn_param["running_mean"], bn_param["running_var"] = mean, var
    return out, cache


def batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any]) -> tuple[Array, Any]:
    """Normalise x (N, D) over the batch, or with running statistics; `bn_param` receives the new running statistics.

    `bn_param` holds `mode` ("train" or "test"), `eps` (1e-5), `momentum` (weight of the old value, 0.9), `running_mean` and
    `running_var` (D,), zeros at first. The variance is biased. The cache is None in test mode.
    """
    return _normalise(x, gamma, beta, bn_param, batchnorm, x.shape[1])


def _with_cache(cache: Any, name: str) -> Any:
    if cache is None:
        raise ArgumentError(f"{name}: expected the cache of a forward in mode 'train', got None (mode 'test')")
    return _ours(cache, name)


def _ours(cache: Any, name: str) -> Cache:
    if not isinstance(cache, Cache):
        raise ArgumentError(
            f"{name}: expected the cache of backpass's own forward, got a {type(cache).__name__}; the course leaves open what "
            "this cache holds, so forward and backward of a normalisation have to be both yours or both ours"
        )
    return cache


def batchnorm_backward(dout: Array, cache: Any) -> Gradients3:
    """Return dx (N, D), dgamma (D,), dbeta (D,): step by step through the graph."""
    return batchnorm.batchnorm_backward_staged(dout, _with_cache(cache, "batchnorm_backward"))


def batchnorm_backward_alt(dout: Array, cache: Any) -> Gradients3:
    """Return dx (N, D), dgamma (D,), dbeta (D,): the simplified formula, on the same cache."""
    return batchnorm.batchnorm_backward(dout, _with_cache(cache, "batchnorm_backward_alt"))


def layernorm_forward(x: Array, gamma: Array, beta: Array, ln_param: dict[str, Any]) -> tuple[Array, Any]:
    """Normalise each sample of x (N, D) over its features; `ln_param` may hold `eps` (1e-5)."""
    return layernorm.layernorm_forward(x, gamma, beta, eps=float(ln_param.get("eps", 1e-5)))


def layernorm_backward(dout: Array, cache: Any) -> Gradients3:
    """Return dx (N, D), dgamma (D,), dbeta (D,)."""
    return layernorm.layernorm_backward(dout, _ours(cache, "layernorm_backward"))


def draw_mask(shape: Shape, dtype: Any, p: float, seed: int | None) -> Array:
    """Return a dropout mask from NumPy's global random state: 1/p where kept, 0 elsewhere.

    With a seed the global state is seeded first; the course's contract says so, and learners compare printed numbers.
    (The Solver keeps its own draws apart from that.)
    """
    if seed is not None:
        np.random.seed(seed)  # noqa: NPY002 (the contract)
    kept = np.random.rand(*shape) < p  # noqa: NPY002
    return kept.astype(dtype) / np.dtype(dtype).type(p)


def dropout_forward(x: Array, dropout_param: dict[str, Any]) -> tuple[Array, Any]:
    """Keep each value with probability `p`, divided by p (inverted dropout); in test mode return x.

    `dropout_param` holds `p`, `mode` and optionally `seed`, which seeds NumPy's global random state.
    """
    p, mask = dropout_param["p"], None
    out = x
    if not 0 < p <= 1:
        raise ArgumentError(f"dropout_param: expected p, the probability of keeping a value, in (0, 1], got {p!r}")
    if mode_of(dropout_param, "dropout_param") == "train":
        (x,) = reals(x)
        mask = draw_mask(x.shape, x.dtype, float(p), dropout_param.get("seed"))
        out = x * mask
    return out, (dropout_param, mask)


def dropout_backward(dout: Array, cache: Any) -> Array:
    """Return dx, in the dtype of dout: dout times the mask, or dout itself in test mode."""
    _, mask = cache
    return dout if mask is None else dout * mask.astype(np.result_type(dout, np.float32), copy=False)


def conv_forward_naive(x: Array, w: Array, b: Array, conv_param: dict[str, Any]) -> tuple[Array, Any]:
    """Convolve x (N, C, H, W) with w (F, C, HH, WW), b (F,) by loops, as it is defined; cache (x, w, b, conv_param).

    `conv_param` holds `stride` and `pad` (zeros on each side); out is (N, F, H', W') with H' = 1 + (H + 2 pad - HH) / stride.
    """
    stride, pad = window_settings(conv_param)
    check_window(x, w.shape[2:], pad, w.shape[1])
    images, filters, biases = reals(x, w, b)
    out, _ = conv.conv_forward_naive(images, filters, biases, stride=stride, padding=pad, dilation=1, groups=1)
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout: Array, cache: Any) -> Gradients3:
    """Return dx, dw and db by the same loops."""
    x, w, _, conv_param = cache
    stride, pad = window_settings(conv_param)
    x, w = reals(x, w)
    xpad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    saved = Cache(x=x, w=w, xpad=xpad, stride=stride, padding=pad, dilation=1, groups=1)
    return conv.conv_backward_naive(dout, saved)


def window_settings(conv_param: dict[str, Any]) -> tuple[int, int]:
    """Return stride and pad of a `conv_param`."""
    stride, pad = setting(conv_param, "stride", "conv_param"), setting(conv_param, "pad", "conv_param")
    if stride < 1:
        raise ArgumentError(f"conv_param: expected a stride of at least 1, got {stride}")
    return stride, pad


def check_window(x: Array, size: Shape, pad: int, channels: int | None) -> None:
    """Raise ShapeError unless x is (N, C, H, W), has these channels, and is at least as large as the window."""
    if x.ndim != 4 or (channels is not None and x.shape[1] != channels):
        wanted = "C" if channels is None else channels
        raise ShapeError(f"expected x of shape (N, {wanted}, H, W), got {x.shape}")
    if x.shape[2] + 2 * pad < size[0] or x.shape[3] + 2 * pad < size[1]:
        raise ShapeError(
            f"expected images at least as large as the window {tuple(size)}, got {x.shape[2:]} and pad {pad}"
        )


def pool_settings(pool_param: dict[str, Any]) -> tuple[int, int, int]:
    """Return pool_height, pool_width and stride of a `pool_param`."""
    height, width, stride = (setting(pool_param, k, "pool_param") for k in ("pool_height", "pool_width", "stride"))
    if min(height, width, stride) < 1:
        raise ArgumentError(f"pool_param: expected sizes and stride of at least 1, got {pool_param}")
    return height, width, stride


def _pooled(x: Array, pool_param: dict[str, Any]) -> tuple[Array, Cache]:
    height, width, stride = pool_settings(pool_param)
    check_window(x, (height, width), 0, None)
    (x,) = reals(x)
    return maxpool.maxpool_forward(x, size=(height, width), stride=(stride, stride), padding=0)


def max_pool_forward_naive(x: Array, pool_param: dict[str, Any]) -> tuple[Array, Any]:
    """Return the maximum of each window of x (N, C, H, W), and the cache (x, pool_param).

    `pool_param` holds `pool_height`, `pool_width` and `stride`.
    """
    return _pooled(x, pool_param)[0], (x, pool_param)


def max_pool_backward_naive(dout: Array, cache: Any) -> Array:
    """Return dx: each dout at its maximum, the first one where values tie."""
    return maxpool.maxpool_backward(dout, _pooled(*cache)[1])


def spatial_batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any]) -> tuple[Array, Any]:
    """Normalise each channel of x (N, C, H, W) over batch and pixels; `bn_param` as in `batchnorm_forward`, (C,)."""
    return _normalise(x, gamma, beta, bn_param, spatial_batchnorm, x.shape[1])


def spatial_batchnorm_backward(dout: Array, cache: Any) -> Gradients3:
    """Return dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    return spatial_batchnorm.spatial_batchnorm_backward(dout, _with_cache(cache, "spatial_batchnorm_backward"))


def spatial_groupnorm_forward(
    x: Array, gamma: Array, beta: Array, G: int, gn_param: dict[str, Any]
) -> tuple[Array, Any]:
    """Normalise G groups of neighbouring channels of each image; gamma and beta are (C,) or (1, C, 1, 1)."""
    C = x.shape[1]
    if G < 1 or C % G:
        raise ArgumentError(f"spatial_groupnorm_forward: expected G to divide the {C} channels, got {G}")
    eps = float(gn_param.get("eps", 1e-5))
    out, saved = groupnorm.groupnorm_forward(x, gamma.reshape(C), beta.reshape(C), groups=G, eps=eps)
    return out, Cache(**vars(saved), gamma_shape=gamma.shape, beta_shape=beta.shape)


def spatial_groupnorm_backward(dout: Array, cache: Any) -> Gradients3:
    """Return dx (N, C, H, W), and dgamma and dbeta in the shapes of gamma and beta."""
    saved = _ours(cache, "spatial_groupnorm_backward")
    dx, dgamma, dbeta = groupnorm.groupnorm_backward(dout, saved)
    return dx, dgamma.reshape(saved.gamma_shape), dbeta.reshape(saved.beta_shape)
