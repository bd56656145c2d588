"""A layer bound to arrays of its own, run through its reference or its kernels: what every check stands on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from backpass.layers.base import Cache, Declared, Layer

Array = np.ndarray
Shape = tuple[int, ...]

VALUES = ("random", "zeros", "constant", "ties", "large", "vast", "huge")


@dataclass
class Bound:
    """A layer and every array that it reads or writes, each a separate block of memory."""

    layer: Layer
    declared: Declared
    path: str  # "reference" or "kernel"
    x: Array
    dout: Array
    out: Array
    dx: Array
    p: Cache
    g: Cache
    s: Cache
    c: Cache

    def forward(self) -> None:
        """Run the training forward."""
        call = self.path == "kernel" and self.layer.forward_kernel(self.out, self.x, self.p, self.s, self.c)
        (call or partial(self.layer.reference_forward, self.out, self.x, self.p, self.s, self.c))()

    def backward(self, *, input_gradient: bool = True) -> None:
        """Run the backward; without an input gradient as the first layer of a net does."""
        dx = self.dx if input_gradient else None
        call = self.path == "kernel" and self.layer.backward_kernel(
            dx, self.dout, self.x, self.out, self.p, self.g, self.c
        )
        (call or partial(self.layer.reference_backward, dx, self.dout, self.p, self.g, self.c))()

    def infer(self) -> Array:
        """Predict into an array of its own and return it."""
        out = np.full_like(self.out, np.nan)
        call = self.path == "kernel" and self.layer.infer_kernel(out, self.x, self.p, self.s, self.c)
        (call or partial(self.layer.reference_infer, out, self.x, self.p, self.s))()
        return out

    def update(self) -> None:
        """Fold the batch into the running statistics."""
        call = self.path == "kernel" and self.layer.update_kernel(self.s, self.c)
        (call or partial(self.layer.update, self.s, self.c))()

    def inputs(self) -> dict[str, Array]:
        """What neither forward, backward nor infer may change, by name."""
        return {"x": self.x, "dout": self.dout} | _named("p", self.p) | _named("state", self.s)

    def saved(self) -> dict[str, Array]:
        """What a backward may only read, by name: the output, the declared cache and, of a reference, its own."""
        found = {"out": self.out} | _named("cache", self.c) | _named("saved", getattr(self.c, "reference", Cache()))
        return {name: array for name, array in found.items() if not name.endswith("_scratch")}

    def cached(self) -> set[str]:
        """The names of what is declared as cache, as `results` gives them."""
        return {f"cache.{name}" for name in self.declared.cache}

    def results(self) -> dict[str, Array]:
        """Run everything once; return a copy of every array that came out, by name."""
        predicted = self.infer()
        self.forward()
        found = {"out": self.out.copy(), "infer": predicted}
        found |= {name: array.copy() for name, array in _named("cache", self.c).items() if name in self.cached()}
        self.backward()
        found["dx"] = self.dx.copy()
        found |= {name: array.copy() for name, array in _named("d", self.g).items()}
        self.update()
        found |= {f"updated {name}": array.copy() for name, array in _named("state", self.s).items()}
        return found


def _named(prefix: str, space: Any) -> dict[str, Array]:
    """The arrays of a namespace as "prefix.name", with namespaces in it (layers made of layers) followed."""
    found: dict[str, Array] = {}
    for name, value in vars(space).items():
        if isinstance(value, np.ndarray):
            found[f"{prefix}.{name}"] = value
        elif isinstance(value, Cache) and name != "reference":
            found |= _named(f"{prefix}.{name}", value)
    return found


def bind(
    layer: Layer,
    x_shape: Shape,
    dtype: str = "float64",
    path: str = "reference",
    *,
    values: str = "random",
    seed: int = 0,
    fill: float = np.nan,
) -> Bound:
    """Bind a layer to random arrays; the same seed gives the same numbers, rounded to float32, for every dtype and path.

    Parameters are random, not the initialiser's: a gamma of ones and a beta of zeros would hide whoever forgets them.
    Outputs, caches and dx hold `fill` first, so that what is never written shows; gradients start at zero.
    """
    declared = layer.declare(x_shape)
    rng = np.random.default_rng([seed, *x_shape])

    def normal(shape: Shape) -> Array:
        return rng.standard_normal(shape).astype("f4").astype(dtype)

    noise = normal(x_shape)
    x = {
        "random": lambda: 2 * noise + 1,
        "zeros": lambda: np.zeros_like(noise),
        "constant": lambda: np.full_like(noise, 3),
        "ties": lambda: np.sign(np.round(noise)),  # -1, 0 and 1 only
        "large": lambda: noise * np.array(1e4, dtype),
        "vast": lambda: noise * np.array(1e15, dtype),  # its square is still a float32
        "huge": lambda: noise * np.array(np.float32(1e30), dtype),
    }[values]()
    dout = normal(declared.out)
    p = Cache()
    for name, param in declared.params.items():
        drawn = normal(param.shape)
        setattr(p, name, drawn + np.copysign(np.array(0.5, dtype), drawn))  # well away from zero
    s = Cache(**{name: np.abs(normal(shape)) + np.array(0.5, dtype) for name, (shape, _) in declared.state.items()})
    c = Cache()
    for name, spec in declared.cache.items():
        shape, kind = spec if spec and isinstance(spec[-1], str) else (spec, dtype)
        setattr(c, name, np.full(shape, fill if np.dtype(kind).kind == "f" else 1, kind))
    for name in ("forward_scratch", "backward_scratch", "infer_scratch"):
        if size := getattr(declared, name):
            setattr(c, name, np.full(size, fill, dtype))
    if declared.random:
        c.random = np.array([seed + 5, 3, 7], np.uint64)
    return Bound(
        layer=layer,
        declared=declared,
        path=path,
        x=x,
        dout=dout,
        out=np.full(declared.out, fill, dtype),
        dx=np.full(x_shape, fill, dtype),
        p=p,
        g=Cache(**{name: np.zeros_like(value) for name, value in vars(p).items()}),
        s=s,
        c=c,
    )


def roundoff(layer: Layer, x_shape: Shape, values: str = "random") -> dict[str, float]:
    """How large the numbers are whose rounding shows in each result: the yardstick of every comparison.

    Two correct programs differ by the machine epsilon times the size of what they round on the way, which can be far
    larger than the result (batch norm of two samples: dx is nearly zero, a difference of large terms).  That size is
    measured, as the largest error of the float32 reference against float64 over three draws, divided by the float32
    epsilon, plus the largest result itself; for dx also what the mean slope of the layer would give, for the
    float32 terms may happen to cancel exactly.
    """
    sizes: dict[str, float] = {}
    eps = np.finfo("f4").eps
    for seed in (0, 1, 2):
        with np.errstate(all="ignore"):
            single = bind(layer, x_shape, "float32", values=values, seed=seed)
            b = bind(layer, x_shape, "float64", values=values, seed=seed)
            single.x *= np.float32(1 + seed / 7)  # sums of threes and ones are exact: that would measure nothing
            b.x[...] = single.x
            single, double = single.results(), b.results()
            slope = np.ptp(b.out) / np.ptp(b.x) if np.ptp(b.x) > 0 else 0.0
            sizes["dx"] = max(sizes.get("dx", 0.0), float(np.abs(b.dout).max() * slope))
            for name, exact in double.items():
                error = np.abs(single[name].astype("f8") - exact).max(initial=0) / eps
                size = float(np.abs(exact).max(initial=0)) + (float(error) if np.isfinite(error) else 0.0)
                sizes[name] = max(sizes.get(name, 0.0), size)
    return sizes
