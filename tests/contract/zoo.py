"""The zoo: layers with one planted bug each, and the checks that must catch it.

Three healthy layers with kernels in plain Python stand at the door; they keep the whole contract.  Every animal is one
of them with a single thing wrong, in its reference or in its kernels.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import backpass as bp
from backpass.errors import ShapeError
from backpass.init import Constant
from backpass.layers import affine, batchnorm, relu
from backpass.layers.base import Array, Cache, Call, Declared, Layer, Param, Reference, Shape, expect

from . import checks
from .checks import Check


def tame(cls: type[Layer]) -> type[Layer]:
    """Take a class out of the registry, which is for real layers."""
    del Layer.registry[cls.__name__]
    return cls


# -- healthy layers, kernels in Python ----------------------------------------------------------------------------------


def _overwrite(target: Array | None, value: Any) -> None:
    if target is not None:
        target[...] = value


@tame
@dataclass(frozen=True)
class PlainAffine(bp.Affine):
    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        return lambda: _overwrite(out, x.reshape(len(x), -1) @ p.w + p.b)

    def backward_kernel(
        self,
        dx: Array | None,
        dout: Array,
        x: Array,
        out: Array,
        p: Any,
        g: Any,
        c: Any,
        *,
        accumulate: bool = True,
    ) -> Call:
        def run() -> None:
            _overwrite(dx, (dout @ p.w.T).reshape(x.shape))
            if not accumulate:
                g.w[...] = 0
            g.w[...] += x.reshape(len(x), -1).T @ dout
            g.b[...] += dout.sum(axis=0)

        return run


@tame
@dataclass(frozen=True)
class PlainReLU(bp.ReLU):
    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        return lambda: _overwrite(out, np.maximum(x, 0))

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        return lambda: _overwrite(dx, np.where(out > 0, dout, 0))


@tame
@dataclass(frozen=True)
class PlainNorm(bp.BatchNorm):
    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        def run() -> None:
            result, saved = batchnorm.batchnorm_forward(x, p.gamma, p.beta, eps=self.eps)
            out[...] = result
            c.mean[...], c.var[...], c.rstd[...] = saved.mean, saved.var, saved.rstd

        return run

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        def run() -> None:
            saved = Cache(gamma=p.gamma, rstd=c.rstd, xhat=(x - c.mean) * c.rstd)
            result, dgamma, dbeta = batchnorm.batchnorm_backward(dout, saved)
            _overwrite(dx, result)
            g.gamma[...] += dgamma
            g.beta[...] += dbeta

        return run

    def infer_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        return lambda: self.reference_infer(out, x, p, s)

    def update_kernel(self, s: Any, c: Any) -> Call:
        return lambda: self.update(s, c)


def mask_forward(x: Array, *, random: Array, drop_prob: float) -> tuple[Array, Cache]:
    """Zero each element with probability drop_prob and divide the rest by 1 - drop_prob."""
    rng = np.random.Generator(np.random.Philox(key=random[:2], counter=[int(random[2]), 0, 0, 0]))
    mask = (rng.random(x.shape) >= drop_prob).astype(x.dtype) / x.dtype.type(1 - drop_prob)
    out = x * mask
    return out, Cache(mask=mask)


def mask_backward(dout: Array, cache: Cache) -> Array:
    return dout * cache.mask


@tame
@dataclass(frozen=True)
class PlainMask(Layer):
    """A dropout in plain NumPy: the healthy layer that draws."""

    drop_prob: float = 0.4

    reference = Reference(mask_forward, mask_backward, mask_backward, lambda x: x)

    def declare(self, x: Shape) -> Declared:
        return Declared(out=expect(self, x, "N ..."), random=True)

    def reference_forward(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
        out[...], c.reference = self.reference.forward(x, random=c.random, drop_prob=self.drop_prob)


HEALTHY: list[tuple[Layer, Shape]] = [
    (PlainAffine(7), (6, 2, 5)),
    (PlainReLU(), (5, 7)),
    (PlainNorm(), (6, 4)),
    (PlainNorm(eps=1e-3, decay=0.5), (2, 1)),
    (PlainMask(), (6, 5)),
]


# -- the animals -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Animal:
    """A broken layer: where the bug is, and the checks that must see it."""

    bug: str
    layer: Layer
    x_shape: Shape
    path: str
    caught_by: tuple[Check, ...]


ANIMALS: list[Animal] = []


def animal(
    bug: str,
    base: type[Layer],
    x_shape: Shape,
    path: str,
    caught_by: tuple[Check, ...],
    arguments: dict[str, Any] | None = None,
    **members: Any,
) -> None:
    """Make a layer like `base` with other members and put it in the zoo."""
    name = "".join(word.capitalize() for word in bug.replace("-", " ").replace("=", "").split())
    cls = dataclass(frozen=True)(type(name, (base,), {"__module__": __name__, "__annotations__": {}, **members}))
    setattr(sys.modules[__name__], name, tame(cls))  # where pickle finds it
    ANIMALS.append(Animal(bug, cls(**(arguments or {})), x_shape, path, caught_by))


WIDE = {"width": 7}
NORM, AFFINE = (6, 4), (6, 2, 5)


def norm_with(
    backward: Callable[..., Any] | None = None, staged: Callable[..., Any] | None = None, **other: Any
) -> Any:
    """The reference of batch norm with one function replaced; a broken backward is broken in both forms."""
    return Reference(
        other.get("forward", batchnorm.batchnorm_forward),
        backward or batchnorm.batchnorm_backward,
        staged or backward or batchnorm.batchnorm_backward_staged,
        other.get("infer", batchnorm.batchnorm_infer),
    )


def norm_backward(dx: Callable[..., Array], dgamma: Callable[..., Array] | None = None) -> Callable[..., Any]:
    """A backward of batch norm with another expression for dx or dgamma."""

    def backward(dout: Array, c: Cache) -> tuple[Array, Array, Array]:
        db, dg = dout.sum(axis=0), (dout * c.xhat).sum(axis=0)
        return dx(dout, c, db, dg, len(dout)), dgamma(dout, c) if dgamma else dg, db

    return backward


def good_dx(d: Array, c: Cache, db: Array, dg: Array, N: int) -> Array:
    return c.gamma * c.rstd * (d - db / N - c.xhat * dg / N)


for _bug, _dx, _dgamma in [
    ("norm without 1 over N", lambda d, c, db, dg, N: c.gamma * c.rstd * (d - db - c.xhat * dg), None),
    ("norm over N minus 1", lambda d, c, db, dg, N: c.gamma * c.rstd * (d - db / N - c.xhat * dg / (N - 1)), None),
    ("norm dropped variance path", lambda d, c, db, dg, N: c.gamma * c.rstd * (d - db / N), None),
    ("norm dropped mean path", lambda d, c, db, dg, N: c.gamma * c.rstd * (d - c.xhat * dg / N), None),
    ("norm forgot gamma", lambda d, c, db, dg, N: c.rstd * (d - db / N - c.xhat * dg / N), None),
    ("norm wrong sign", lambda d, c, db, dg, N: c.gamma * c.rstd * (d - db / N + c.xhat * dg / N), None),
    ("norm rstd squared", lambda d, c, db, dg, N: c.gamma * c.rstd**2 * (d - db / N - c.xhat * dg / N), None),
    ("norm dgamma times gamma", good_dx, lambda d, c: (d * c.xhat * c.gamma).sum(axis=0)),
    ("norm dgamma without xhat", good_dx, lambda d, c: d.sum(axis=0)),
]:
    animal(
        _bug,
        PlainNorm,
        NORM,
        "reference",
        (checks.check_directional,),
        reference=norm_with(norm_backward(_dx, _dgamma)),
    )


def norm_forward_eps_outside(x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Cache]:
    c = batchnorm.batchnorm_forward(x, gamma, beta, eps=0.0)[1]
    c.rstd = 1 / (np.sqrt(c.var) + eps)
    c.xhat = c.centered * c.rstd
    return gamma * c.xhat + beta, c


def norm_infer_batch(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float) -> Array:
    return batchnorm.batchnorm_forward(x, gamma, beta, eps=eps)[0]


def norm_forward_in_place(x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Cache]:
    out, c = batchnorm.batchnorm_forward(x, gamma, beta, eps=eps)
    x -= c.mean
    return out, c


def norm_backward_in_place(dout: Array, c: Cache) -> tuple[Array, Array, Array]:
    result = batchnorm.batchnorm_backward(dout, c)
    c.xhat *= c.gamma
    return result


def norm_staged_wrong(dout: Array, c: Cache) -> tuple[Array, Array, Array]:
    dx, dgamma, dbeta = batchnorm.batchnorm_backward_staged(dout, c)
    return dx * (1 + 1e-10), dgamma, dbeta


def norm_forward_wide(x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Cache]:
    out, c = batchnorm.batchnorm_forward(x, gamma, beta, eps=eps)
    c.rstd = c.rstd.astype("f8")
    return out, c


def norm_backward_swapped(dout: Array, c: Cache) -> tuple[Array, Array, Array]:
    dx, dgamma, dbeta = batchnorm.batchnorm_backward(dout, c)
    return dx, dbeta, dgamma


def norm_update_reversed(self: Any, s: Any, c: Any) -> None:
    s.mean[...] = (1 - self.decay) * s.mean + self.decay * c.mean
    s.var[...] = (1 - self.decay) * s.var + self.decay * c.var


def norm_update_deviation(self: Any, s: Any, c: Any) -> None:
    s.mean[...] = self.decay * s.mean + (1 - self.decay) * c.mean
    s.var[...] = self.decay * s.var + (1 - self.decay) * np.sqrt(c.var)


def norm_update_spends_cache(self: Any, s: Any, c: Any) -> None:
    bp.BatchNorm.update(self, s, c)
    c.mean[...] = 0


def norm_forward_updates(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
    bp.BatchNorm.reference_forward(self, out, x, p, s, c)
    s.mean[...] = c.mean


R, K = "reference", "kernel"
animal(
    "norm eps outside the root",
    PlainNorm,
    NORM,
    R,
    (checks.check_update,),
    reference=norm_with(forward=norm_forward_eps_outside),
    arguments={"eps": 0.1},
)
animal(
    "norm predicts with the batch",
    PlainNorm,
    NORM,
    R,
    (checks.check_infer,),
    reference=norm_with(infer=norm_infer_batch),
)
animal(
    "norm centres x in place",
    PlainNorm,
    NORM,
    R,
    (checks.check_untouched, checks.check_layouts),
    reference=norm_with(forward=norm_forward_in_place),
)
animal(
    "norm backward spends its cache",
    PlainNorm,
    NORM,
    R,
    (checks.check_untouched, checks.check_twice),
    reference=norm_with(norm_backward_in_place),
)
animal("norm staged differs", PlainNorm, NORM, R, (checks.check_staged,), reference=norm_with(staged=norm_staged_wrong))
animal(
    "norm cache grows to float64",
    PlainNorm,
    NORM,
    R,
    (checks.check_dtype,),
    reference=norm_with(forward=norm_forward_wide),
)
animal(
    "norm swaps dgamma and dbeta",
    PlainNorm,
    NORM,
    R,
    (checks.check_directional,),
    reference=norm_with(norm_backward_swapped),
)
animal("norm running statistics reversed", PlainNorm, NORM, R, (checks.check_update,), update=norm_update_reversed)
animal("norm running deviation", PlainNorm, NORM, R, (checks.check_update,), update=norm_update_deviation)
animal("norm update spends the cache", PlainNorm, NORM, R, (checks.check_untouched,), update=norm_update_spends_cache)
animal(
    "norm forward writes state",
    PlainNorm,
    NORM,
    R,
    (checks.check_untouched,),
    reference_forward=norm_forward_updates,
)
animal("norm accepts one sample", PlainNorm, NORM, R, (checks.check_batch_of_one,), check_batch=lambda self, x: None)


def refuse_without_a_name(self: Any, x: Shape) -> None:
    if x[0] < 2:
        raise ShapeError("bad batch")


animal("norm error without a name", PlainNorm, NORM, R, (checks.check_batch_of_one,), check_batch=refuse_without_a_name)
animal(
    "norm overflows without a word",
    PlainNorm,
    NORM,
    R,
    (checks.check_values,),
    reference=norm_with(forward=lambda x, gamma, beta, *, eps: batchnorm.batchnorm_forward(x, gamma, beta, eps=0.0)),
)


# Batch norm's kernels, broken.


def norm_kernel(change: Callable[..., None]) -> Callable[..., Call]:
    """The forward kernel, and then something that it should not do."""

    def forward_kernel(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        good = PlainNorm.forward_kernel(self, out, x, p, s, c)

        def run() -> None:
            good()
            change(self, out, x, p, s, c)

        return run

    return forward_kernel


def save_variance_as_rstd(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
    c.rstd[...] = c.var


def save_unbiased_variance(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
    c.var[...] *= len(x) / (len(x) - 1)


def save_nothing_of_var(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
    c.var[-1] = np.nan


def sum_per_thread(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
    parts = np.array_split(x, bp.threads())
    c.mean[...] = sum(part.sum(axis=0) for part in parts) / len(x)


def norm_infer_kernel_batch(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
    return lambda: _overwrite(out, batchnorm.batchnorm_forward(x, p.gamma, p.beta, eps=self.eps)[0])


def norm_infer_kernel_updates(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
    def run() -> None:
        self.reference_infer(out, x, p, s)
        s.mean[...] = x.mean(axis=0)

    return run


def norm_backward_kernel_reads_out(
    self: Any, dx: Any, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any
) -> Call:
    def run() -> None:
        xhat = (out - p.beta) / p.gamma
        result, dgamma, dbeta = batchnorm.batchnorm_backward(dout, Cache(gamma=p.gamma, rstd=c.rstd, xhat=xhat))
        _overwrite(dx, result)
        g.gamma[...] += dgamma
        g.beta[...] += dbeta

    return run


def norm_backward_kernel_adds_dx(self: Any, dx: Any, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
    good = PlainNorm.backward_kernel(self, dx, dout, x, out, p, g, c)

    def run() -> None:
        before = 0 if dx is None else dx.copy()
        good()
        if dx is not None:
            dx[...] += before

    return run


animal(
    "norm kernel saves var as rstd",
    PlainNorm,
    NORM,
    K,
    (checks.check_kernel,),
    forward_kernel=norm_kernel(save_variance_as_rstd),
)
animal(
    "norm kernel saves var over N minus 1",
    PlainNorm,
    NORM,
    K,
    (checks.check_kernel,),
    forward_kernel=norm_kernel(save_unbiased_variance),
)
animal(
    "norm kernel leaves a cache unwritten",
    PlainNorm,
    NORM,
    K,
    (checks.check_declared,),
    forward_kernel=norm_kernel(save_nothing_of_var),
)
animal(
    "norm kernel sums per thread",
    PlainNorm,
    NORM,
    K,
    (checks.check_threads,),
    forward_kernel=norm_kernel(sum_per_thread),
)
animal(
    "norm kernel predicts with the batch",
    PlainNorm,
    NORM,
    K,
    (checks.check_infer, checks.check_kernel),
    infer_kernel=norm_infer_kernel_batch,
)
animal(
    "norm kernel prediction writes state",
    PlainNorm,
    NORM,
    K,
    (checks.check_untouched,),
    infer_kernel=norm_infer_kernel_updates,
)
animal(
    "norm kernel reads out undeclared",
    PlainNorm,
    NORM,
    K,
    (checks.check_reads,),
    backward_kernel=norm_backward_kernel_reads_out,
)
animal(
    "norm kernel adds to dx",
    PlainNorm,
    NORM,
    K,
    (checks.check_accumulate,),
    backward_kernel=norm_backward_kernel_adds_dx,
)
animal(
    "norm kernel update reversed",
    PlainNorm,
    NORM,
    K,
    (checks.check_update, checks.check_kernel),
    update_kernel=lambda self, s, c: lambda: norm_update_reversed(self, s, c),
)


# Affine, broken.


def affine_with(**functions: Callable[..., Any]) -> Reference:
    backward = functions.get("backward", affine.affine_backward)
    return Reference(
        functions.get("forward", affine.affine_forward),
        backward,
        functions.get("backward", affine.affine_backward_staged),
    )


def affine_forward_bias_of_first(x: Array, w: Array, b: Array) -> tuple[Array, Cache]:
    out, c = affine.affine_forward(x, w, b)
    return out - b + b[0], c


def affine_backward_bias_total(dout: Array, c: Cache) -> tuple[Array, Array, Array]:
    dx, dw, db = affine.affine_backward(dout, c)
    return dx, dw, db.sum()


def affine_backward_bias_mean(dout: Array, c: Cache) -> tuple[Array, Array, Array]:
    dx, dw, _ = affine.affine_backward(dout, c)
    return dx, dw, dout.mean(axis=0)


def affine_forward_memory_order(x: Array, w: Array, b: Array) -> tuple[Array, Cache]:
    rows = x.ravel(order="K").reshape(len(x), -1)
    return rows @ w + b, Cache(x=x, w=w, rows=rows)


def affine_backward_kernel(change: Callable[..., None]) -> Callable[..., Call]:
    def backward_kernel(self: Any, dx: Any, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        good = PlainAffine.backward_kernel(self, dx, dout, x, out, p, g, c)
        return lambda: change(good, dx, dout, x, g)

    return backward_kernel


def always_add(self: Any, *arrays: Any, accumulate: bool = True) -> Call:
    return PlainAffine.backward_kernel(self, *arrays)


def overwrite_dw(good: Call, dx: Any, dout: Array, x: Array, g: Any) -> None:
    good()
    g.w[...] = x.reshape(len(x), -1).T @ dout


def need_dx(good: Call, dx: Any, dout: Array, x: Array, g: Any) -> None:
    if dx is not None:
        good()


def mask_dout(good: Call, dx: Any, dout: Array, x: Array, g: Any) -> None:
    good()
    dout[...] *= 0.5


def skip_last_row(good: Call, dx: Any, dout: Array, x: Array, g: Any) -> None:
    g.b[...] -= dout[-1]
    good()


animal(
    "affine bias broadcasts its first",
    PlainAffine,
    AFFINE,
    R,
    (checks.check_directional,),
    WIDE,
    reference=affine_with(forward=affine_forward_bias_of_first),
)
animal(
    "affine bias gradient broadcasts",
    PlainAffine,
    AFFINE,
    R,
    (checks.check_declared,),
    WIDE,
    reference=affine_with(backward=affine_backward_bias_total),
)
animal(
    "affine bias gradient is a mean",
    PlainAffine,
    AFFINE,
    R,
    (checks.check_directional,),
    WIDE,
    reference=affine_with(backward=affine_backward_bias_mean),
)
animal(
    "affine flattens in memory order",
    PlainAffine,
    AFFINE,
    R,
    (checks.check_layouts,),
    WIDE,
    reference=affine_with(forward=affine_forward_memory_order),
)
animal(
    "affine kernel overwrites dw",
    PlainAffine,
    AFFINE,
    K,
    (checks.check_accumulate, checks.check_twice),
    WIDE,
    backward_kernel=affine_backward_kernel(overwrite_dw),
)
animal(
    "affine kernel adds where it should overwrite",
    PlainAffine,
    AFFINE,
    K,
    (checks.check_overwrite,),
    WIDE,
    backward_kernel=always_add,
)
animal(
    "affine kernel needs dx",
    PlainAffine,
    AFFINE,
    K,
    (checks.check_first_layer,),
    WIDE,
    backward_kernel=affine_backward_kernel(need_dx),
)
animal(
    "affine kernel changes dout",
    PlainAffine,
    AFFINE,
    K,
    (checks.check_untouched, checks.check_twice),
    WIDE,
    backward_kernel=affine_backward_kernel(mask_dout),
)
animal(
    "affine kernel skips the last row",
    PlainAffine,
    AFFINE,
    K,
    (checks.check_directional, checks.check_kernel),
    WIDE,
    backward_kernel=affine_backward_kernel(skip_last_row),
)


def declare_by_batch(self: Any, x: Shape) -> Declared:
    d = bp.Affine.declare(self, x)
    return Declared(out=d.out, params={"w": d.params["w"], "b": Param((self.width,), Constant(float(x[0])), "bias")})


def declare_unchecked(self: Any, x: Shape) -> Declared:
    D = int(np.prod(x[1:]))
    return Declared(
        out=(*x[:1], self.width), params={"w": Param((D, self.width), self.init), "b": Param((self.width,), Constant())}
    )


animal("affine declares by the batch", PlainAffine, AFFINE, R, (checks.check_declared,), WIDE, declare=declare_by_batch)
animal("affine takes any shape", PlainAffine, AFFINE, R, (checks.check_shape_errors,), WIDE, declare=declare_unchecked)


# Relu and the mask, broken.


def relu_backward_at_zero(dout: Array, c: Cache) -> Array:
    return dout * (c.out >= 0)


def relu_backward_unmasked(dout: Array, c: Cache) -> Array:
    return dout.copy()


def relu_forward_swallows(x: Array) -> tuple[Array, Cache]:
    out = np.where(x > 0, x, np.zeros_like(x))
    return out, Cache(out=out)


def relu_forward_by_square(x: Array) -> tuple[Array, Cache]:
    out = ((x + np.sqrt(x**2)) / 2).astype(x.dtype)
    return out, Cache(out=out)


def relu_kernel_swallows(self: Any, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
    return lambda: _overwrite(out, np.where(x > 0, x, 0))


def relu_kernel_first_ties(self: Any, dx: Any, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
    return lambda: _overwrite(dx, np.where(out >= 0, np.where(x < 0, 0, dout), 0))


def relu_kernel_clears_first(self: Any, dx: Any, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
    def run() -> None:
        dx[...] = 0
        np.copyto(dx, dout, where=out > 0)

    return run


def relu_with(forward: Any = relu.relu_forward, backward: Any = relu.relu_backward) -> Reference:
    return Reference(forward, backward, relu.relu_backward_staged)


SQUARE = (5, 7)
animal(
    "relu mask not applied",
    PlainReLU,
    SQUARE,
    R,
    (checks.check_directional, checks.check_staged),
    reference=relu_with(backward=relu_backward_unmasked),
)
animal(
    "relu kernel clears dx before it reads dout",
    PlainReLU,
    SQUARE,
    K,
    (checks.check_in_place,),
    backward_kernel=relu_kernel_clears_first,
)
animal(
    "relu passes where out is zero",
    PlainReLU,
    SQUARE,
    R,
    (checks.check_staged,),
    reference=relu_with(backward=relu_backward_at_zero),
)
animal(
    "relu swallows nan", PlainReLU, SQUARE, R, (checks.check_nan,), reference=relu_with(forward=relu_forward_swallows)
)
animal(
    "relu squares", PlainReLU, SQUARE, R, (checks.check_values,), reference=relu_with(forward=relu_forward_by_square)
)
animal("relu kernel swallows nan", PlainReLU, SQUARE, K, (checks.check_nan,), forward_kernel=relu_kernel_swallows)
animal(
    "relu kernel takes the other side of zero",
    PlainReLU,
    SQUARE,
    K,
    (checks.check_kernel, checks.check_reads),
    backward_kernel=relu_kernel_first_ties,
)
animal("relu is a view", PlainReLU, SQUARE, R, (checks.check_view,), is_view=lambda self, *, training: True)
animal(
    "relu with an attribute",
    PlainReLU,
    SQUARE,
    R,
    (checks.check_object,),
    __post_init__=lambda self: object.__setattr__(self, "seen", 0),
)
animal("relu without a repr", PlainReLU, SQUARE, R, (checks.check_object,), __repr__=lambda self: "<a relu>")
animal(
    "relu equal by identity",
    PlainReLU,
    SQUARE,
    R,
    (checks.check_object,),
    __eq__=lambda self, other: self is other,
    __hash__=object.__hash__,
)


@tame
@dataclass(frozen=True)
class Counting(PlainReLU):
    """Counts its calls: every second forward is another one."""

    calls: list[int] = field(default_factory=lambda: [0], compare=False, hash=False)

    def reference_forward(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
        super().reference_forward(out, x, p, s, c)
        self.calls[0] += 1
        out[...] *= self.calls[0]


ANIMALS.append(
    Animal("relu counts its calls", Counting(), SQUARE, R, (checks.check_no_hidden_state, checks.check_repeats))
)


def mask_forward_undivided(x: Array, *, random: Array, drop_prob: float) -> tuple[Array, Cache]:
    out, c = mask_forward(x, random=random, drop_prob=drop_prob)
    return np.where(out == 0, out, x), c


def mask_forward_same_each_step(x: Array, *, random: Array, drop_prob: float) -> tuple[Array, Cache]:
    return mask_forward(x, random=np.array([random[0], random[1], 0], np.uint64), drop_prob=drop_prob)


def mask_forward_global(x: Array, *, random: Array, drop_prob: float) -> tuple[Array, Cache]:
    mask = (np.random.default_rng().random(x.shape) >= drop_prob) / (1 - drop_prob)
    return x * mask, Cache(mask=mask)


animal(
    "mask backward not divided",
    PlainMask,
    (6, 5),
    R,
    (checks.check_directional,),
    reference=Reference(mask_forward_undivided, mask_backward, mask_backward, lambda x: x),
)
animal(
    "mask not applied going back",
    PlainMask,
    (6, 5),
    R,
    (checks.check_directional,),
    reference=Reference(mask_forward, lambda dout, c: dout * 1, lambda dout, c: dout * 1, lambda x: x),
)
animal(
    "mask the same each step",
    PlainMask,
    (6, 5),
    R,
    (checks.check_repeats,),
    reference=Reference(mask_forward_same_each_step, mask_backward, mask_backward, lambda x: x),
)
animal(
    "mask drawn afresh",
    PlainMask,
    (6, 5),
    R,
    (checks.check_repeats,),
    reference=Reference(mask_forward_global, mask_backward, mask_backward, lambda x: x),
)


# Layers whose text is wrong: each in a module of its own.


def module_with(text: str) -> types.ModuleType:
    """A module like relu's, with another docstring."""
    module = types.ModuleType(f"{__name__}_{len(ANIMALS)}", text)
    sys.modules[module.__name__] = module
    return module


for _bug, _old, _new in [
    ("relu without a derivation", "Derivation\n", "Derived so\n"),
    ("relu example is wrong", "array([[0., 0., 2.]])", "array([[0., 0., 3.]])"),
]:
    assert _old in relu.__doc__
    _module = module_with(relu.__doc__.replace(_old, _new))
    animal(_bug, PlainReLU, SQUARE, R, (checks.check_docstring,))
    type(ANIMALS[-1].layer).__module__ = _module.__name__
    type(ANIMALS[-1].layer).__doc__ = bp.ReLU.__doc__
