"""The layer contract as functions: `check_xxx(layer, x_shape, path)` raises AssertionError where a layer breaks it.

`path` is "reference" or "kernel".  Every message names the layer, the case and the array.  The tests run the checks
over the registry; the zoo runs them over layers that are known to be broken, so that no check is there for show.
"""

from __future__ import annotations

import doctest
import inspect
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import backpass as bp
from backpass.errors import ShapeError
from backpass.layers.base import Layer

from .bound import VALUES, Array, Bound, Shape, bind, roundoff

HEADINGS = ("Source", "Derivation", "Shapes", "Dtype", "Cost", "Errors", "Conventions", "Example")
GROUPS = ("weight", "bias", "gamma", "beta")
PIECE = 16384  # elements that a kernel leaves on one thread

# Two programs of the same mathematics may differ by this many machine epsilons of what they round on the way.
SLACK = 16

Check = Callable[[Layer, Shape, str], None]


def fail(layer: Layer, x_shape: Shape, path: str, message: str) -> None:
    raise AssertionError(f"{layer!r} on x {x_shape}, {path}: {message}")


def expect_close(
    where: tuple[Layer, Shape, str],
    got: Mapping[str, Array],
    wanted: Mapping[str, Array],
    bounds: Mapping[str, float],
    what: str,
) -> None:
    """Every array of `wanted` is in `got` and differs by at most its bound; NaN only meets NaN."""
    for name, right in wanted.items():
        if name not in got:
            fail(*where, f"{what}: {name} is missing")
        left = got[name]
        if left.shape != right.shape:
            fail(*where, f"{what}: {name} has shape {left.shape}, expected {right.shape}")
        if np.iscomplexobj(left) or left.dtype == object:
            fail(*where, f"{what}: {name} has dtype {left.dtype}")
        a, b = left.astype("f8"), right.astype("f8")
        with np.errstate(invalid="ignore"):
            bad = ~((np.abs(a - b) <= bounds[name]) | (a == b) | (np.isnan(a) & np.isnan(b)))
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            fail(
                *where,
                f"{what}: {name}{list(at)} is {a[at]!r}, expected {b[at]!r} within {bounds[name]:.3g}; "
                f"{bad.sum()} of {bad.size} elements differ",
            )


def expect_same_bits(
    where: tuple[Layer, Shape, str], got: Mapping[str, Array], wanted: Mapping[str, Array], what: str
) -> None:
    for name, right in wanted.items():
        if got[name].tobytes() != right.tobytes():
            fail(*where, f"{what}: {name} is not the same to the last bit")


def bounds_for(sizes: Mapping[str, float], dtype: str) -> dict[str, float]:
    return {name: SLACK * float(np.finfo(dtype).eps) * size for name, size in sizes.items()}


class Spy:
    """Stands in for an array that a reference writes to, and keeps what was written: dtype and shape as they came."""

    value: Any = None

    def __getitem__(self, key: Any) -> int:
        return 0  # `g[...] += gradient` then stores the gradient itself

    def __setitem__(self, key: Any, value: Any) -> None:
        self.value = np.asarray(value)


def _raw_reference(b: Bound) -> dict[str, Array]:
    """What the reference functions return, before anything is cast or broadcast into the model's arrays."""
    out, infer, dx = Spy(), Spy(), Spy()
    g = SimpleNamespace(**{name: Spy() for name in vars(b.p)})
    b.layer.reference_infer(infer, b.x, b.p, b.s)
    b.layer.reference_forward(out, b.x, b.p, b.s, b.c)
    b.layer.reference_backward(dx, b.dout, b.p, g, b.c)
    found = {"out": out.value, "infer": infer.value, "dx": dx.value}
    return found | {f"d.{name}": spy.value for name, spy in vars(g).items()}


# -- what a layer declares -----------------------------------------------------------------------------------------


def check_declared(layer: Layer, x_shape: Shape, path: str) -> None:
    """Declared shapes and dtypes are the real ones, and parameters and state do not depend on the batch size."""
    where = (layer, x_shape, path)
    for dtype in ("float32", "float64"):
        b = bind(layer, x_shape, dtype, path)
        wanted = {"out": b.declared.out, "infer": b.declared.out, "dx": x_shape}
        wanted |= {f"d.{name}": param.shape for name, param in b.declared.params.items()}
        for name, array in _raw_reference(b).items():
            if array.shape != tuple(wanted[name]):
                fail(*where, f"the reference's {name} has shape {array.shape}, declared {tuple(wanted[name])}")
        b = bind(layer, x_shape, dtype, path)
        for name, array in b.results().items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                fail(*where, f"{name} was not written everywhere, or is not finite, in {dtype}")
        saved = vars(getattr(b.c, "reference", SimpleNamespace()))
        for name in b.declared.cache if path == "reference" else ():
            if name not in saved:
                fail(*where, f"the cache {name} is declared, but the reference does not save it")
            if saved[name].shape != vars(b.c)[name].shape:
                fail(*where, f"the cache {name} is declared {vars(b.c)[name].shape}, saved {saved[name].shape}")
    if b.declared.out[0] != x_shape[0]:
        fail(*where, f"out has {b.declared.out[0]} rows for a batch of {x_shape[0]}")
    if not set(b.declared.reads) <= {"x", "out"}:
        fail(*where, f"reads is {b.declared.reads}, expected some of x and out")
    other = layer.declare((x_shape[0] + 3, *x_shape[1:]))
    if other.params != b.declared.params or other.state != b.declared.state:
        fail(*where, "parameters or state depend on the batch size")
    for name, param in b.declared.params.items():
        if param.group not in GROUPS:
            fail(*where, f"{name} is in the group {param.group!r}, expected one of {GROUPS}")
        first = np.asarray(param.init(np.random.default_rng(0), param.shape))
        if first.shape != param.shape or not np.isfinite(first).all():
            fail(*where, f"init of {name} drew shape {first.shape}, or numbers that are not finite")


def check_shape_errors(layer: Layer, x_shape: Shape, path: str) -> None:
    """An input of the wrong rank or without samples is a ShapeError that opens with the layer's name."""
    for bad in ((x_shape[0],), (0, *x_shape[1:]), (*x_shape[:-1], 0), ()):
        try:
            layer.declare(bad)
        except ShapeError as error:
            if not str(error).startswith(f"{type(layer).__name__}:") or str(bad) not in str(error):
                fail(layer, x_shape, path, f"the error for x {bad} does not name the layer and the shape: {error}")
        except Exception as error:
            raise AssertionError(f"{layer!r}: x {bad} raised {error!r}, expected a ShapeError") from error
        else:
            fail(layer, x_shape, path, f"x {bad} was accepted")


def check_reads(layer: Layer, x_shape: Shape, path: str) -> None:
    """The backward kernel reads x and out only where `reads` says so: the model gives their memory away else."""
    a, b = (bind(layer, x_shape, "float64", path) for _ in range(2))
    wanted = a.results()
    b.forward()
    for name in {"x", "out"} - set(b.declared.reads):
        vars(b)[name][...] = np.nan
    b.backward()
    got = {"dx": b.dx} | {f"d.{name}": g for name, g in vars(b.g).items()}
    expect_same_bits((layer, x_shape, path), got, {name: wanted[name] for name in got}, "without x and out")


def check_view(layer: Layer, x_shape: Shape, path: str) -> None:
    """Where a layer says that its output is the input's memory, its reference only reshapes."""
    b = bind(layer, x_shape)
    found = b.results()
    for training, name in ((True, "out"), (False, "infer")):
        if layer.is_view(training=training) and found[name].tobytes() != b.x.tobytes():
            fail(layer, x_shape, path, f"is_view(training={training}), but {name} is not x reshaped")
    if layer.is_view(training=True) and found["dx"].tobytes() != b.dout.tobytes():
        fail(layer, x_shape, path, "is_view(training=True), but dx is not dout reshaped")


# -- gradients -----------------------------------------------------------------------------------------------------


def check_staged(layer: Layer, x_shape: Shape, path: str) -> None:
    """The staged backward and the simplified one agree to 1e-12 in float64."""
    sizes = roundoff(layer, x_shape)
    b = bind(layer, x_shape)
    b.forward()
    names = ["dx", *(f"d.{name}" for name in vars(b.p))]
    found = []
    for function in (layer.reference.backward, layer.reference.staged):
        gradients = function(b.dout, b.c.reference)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(gradients) != len(names):
            fail(layer, x_shape, path, f"{function.__name__} returns {len(gradients)} gradients, expected {names}")
        found.append(dict(zip(names, map(np.asarray, gradients), strict=True)))
    bounds = {name: 1e-12 * sizes[name] for name in names}
    expect_close((layer, x_shape, path), found[1], found[0], bounds, "staged against simplified")


def check_directional(layer: Layer, x_shape: Shape, path: str) -> None:
    """Along random directions, out changes as the backward says: centred differences in float64.

    The upstream gradient is random (ones hide most mistakes).  Each array is stepped alone, so that the message names
    it.  A step across a kink (another sign in x or out, another zero in dx) says nothing about the derivative and is
    taken shorter; a direction that has no step without a kink is drawn again.
    """
    rng = np.random.default_rng(11)
    here = bind(layer, x_shape, "float64", path)
    here.forward()
    here.backward()
    rounding = 8 * np.finfo("f8").eps * float(np.abs(here.out * here.dout).sum())
    arrays = {"dx": here.x} | {f"d.{name}": value for name, value in vars(here.p).items()}
    gradients = {"dx": here.dx} | {f"d.{name}": value for name, value in vars(here.g).items()}

    def probe(array: Array, original: Array, move: Array) -> tuple[float, bytes]:
        array[...] = original + move
        b = here
        b.forward()
        value = float((b.out * b.dout).sum())
        kept = b.dx.copy(), {name: g.copy() for name, g in vars(b.g).items()}
        b.backward()
        pattern = np.concatenate([np.sign(b.x).ravel(), np.sign(b.out).ravel(), (b.dx == 0).ravel()]).tobytes()
        b.dx[...] = kept[0]
        for name, g in kept[1].items():
            vars(b.g)[name][...] = g
        array[...] = original
        return value, pattern

    for name, array in arrays.items():
        original, gradient = array.copy(), gradients[name].copy()
        compared = 0
        for _ in range(8):
            direction = rng.standard_normal(array.shape)
            analytic = float((gradient * direction).sum())
            tried = []
            for h in (1e-3, 1e-4, 1e-5, 1e-6):
                sides = [probe(array, original, step * h * direction) for step in (1, -1, 0.5, -0.5)]
                if len({pattern for _, pattern in sides}) > 1:
                    continue
                wide, near = (sides[0][0] - sides[1][0]) / (2 * h), (sides[2][0] - sides[3][0]) / h
                numeric = (4 * near - wide) / 3  # Richardson: the error falls with h to the fourth
                error = abs(numeric - analytic)
                tried.append((h, numeric, error))
                if error <= 1e-8 * (abs(numeric) + abs(analytic)) + rounding / h:
                    break
            else:
                if tried:
                    steps = ", ".join(f"h={h:g}: {numeric:.10g}" for h, numeric, _ in tried)
                    fail(layer, x_shape, path, f"{name} along a random direction is {analytic:.10g}, measured {steps}")
                continue
            compared += 1
            if compared == 2:
                break
        if compared < 2:
            fail(layer, x_shape, path, f"{name}: no direction without a kink was found")


def check_accumulate(layer: Layer, x_shape: Shape, path: str) -> None:
    """Parameter gradients are added to; out, dx and caches are overwritten, whatever they held."""
    where = (layer, x_shape, path)
    sizes = roundoff(layer, x_shape)
    for dtype in ("float32", "float64"):
        clean = bind(layer, x_shape, dtype, path).results()
        used = bind(layer, x_shape, dtype, path, fill=7.0)
        rng = np.random.default_rng(3)
        before = {name: rng.standard_normal(g.shape).astype(dtype) for name, g in vars(used.g).items()}
        for name, g in vars(used.g).items():
            g[...] = before[name]
        found = used.results()
        overwritten = {name: array for name, array in clean.items() if not name.startswith("d.")}
        expect_same_bits(where, found, overwritten, "over 7 instead of NaN")
        for name, start in before.items():
            wanted = {f"d.{name}": start + clean[f"d.{name}"]}
            bound = {f"d.{name}": SLACK * float(np.finfo(dtype).eps) * (sizes[f"d.{name}"] + 4)}
            expect_close(where, found, wanted, bound, "added to what was there")


def check_overwrite(layer: Layer, x_shape: Shape, path: str) -> None:
    """The gradients that a kernel says it can overwrite hold nothing of what was there; the others are still added to."""
    where = (layer, x_shape, path)
    for dtype in ("float32", "float64") if layer.overwrites else ():
        clean = bind(layer, x_shape, dtype, path)
        used = bind(layer, x_shape, dtype, path)
        for name, g in vars(used.g).items():
            g[...] = 7 if name in layer.overwrites else 0
        found = {}
        for how, b in (("clean", clean), ("used", used)):
            b.forward()
            dx = None if how == "used" else b.dx  # as for the first layer of a net
            accumulate = {"accumulate": False} if how == "used" else {}
            layer.backward_kernel(dx, b.dout, b.x, b.out, b.p, b.g, b.c, **accumulate)()
            found[how] = {f"d.{name}": g.copy() for name, g in vars(b.g).items()}
        expect_same_bits(where, found["used"], found["clean"], "over 7 instead of 0")


def check_in_place(layer: Layer, x_shape: Shape, path: str) -> None:
    """A kernel that says so gives the same where dx and dout are the same memory; one piece of work, and several."""
    several = (max(x_shape[0], 3 * PIECE // int(np.prod(x_shape[1:])) + 5), *x_shape[1:])
    for shape in (x_shape, several) if layer.goes_back_in_place(x_shape) else ():
        for dtype in ("float32", "float64"):
            apart, shared = bind(layer, shape, dtype, path), bind(layer, shape, dtype, path)
            shared.dx = shared.dout
            for b in (apart, shared):
                b.forward()
                b.backward()
            found, wanted = ({"dx": b.dx} | {f"d.{n}": g for n, g in vars(b.g).items()} for b in (shared, apart))
            expect_same_bits((layer, shape, path), found, wanted, "dx in the memory of dout")


def check_twice(layer: Layer, x_shape: Shape, path: str) -> None:
    """A second backward gives the same dx and adds the same again: the first has used nothing up."""
    where = (layer, x_shape, path)
    b = bind(layer, x_shape, "float64", path)
    b.forward()
    b.backward()
    first = b.dx.copy(), {name: g.copy() for name, g in vars(b.g).items()}
    b.dx[...] = np.nan
    b.backward()
    expect_same_bits(where, {"dx": b.dx}, {"dx": first[0]}, "second backward")
    sizes = roundoff(layer, x_shape)
    for name, g in first[1].items():
        bound = {f"d.{name}": 4 * SLACK * np.finfo("f8").eps * sizes[f"d.{name}"]}
        expect_close(where, {f"d.{name}": vars(b.g)[name]}, {f"d.{name}": 2 * g}, bound, "second backward adds")


def check_first_layer(layer: Layer, x_shape: Shape, path: str) -> None:
    """Without an input gradient (dx is None) the parameter gradients are the same."""
    a, b = (bind(layer, x_shape, "float64", path) for _ in range(2))
    if not vars(a.p):
        return  # a model does not go back through a first layer that has nothing to learn
    for bound, input_gradient in ((a, True), (b, False)):
        bound.forward()
        bound.backward(input_gradient=input_gradient)
    expect_same_bits((layer, x_shape, path), vars(b.g), vars(a.g), "without dx")


# -- kernels against the reference -----------------------------------------------------------------------------------


def check_kernel(layer: Layer, x_shape: Shape, path: str) -> None:
    """Kernel and reference agree by name: outputs, caches, gradients, prediction, running statistics.

    The truth is the reference in float64; see `roundoff` for the bounds.
    """
    for values in VALUES:
        with np.errstate(all="ignore"):
            sizes = roundoff(layer, x_shape, values)
            for seed in (0, 1):
                truth = bind(layer, x_shape, "float64", values=values, seed=seed).results()
                for dtype in dtypes_for(values, layer, x_shape):
                    got = bind(layer, x_shape, dtype, path, values=values, seed=seed).results()
                    bounds = bounds_for(sizes, dtype)
                    expect_close((layer, x_shape, path), got, truth, bounds, f"{dtype} kernel, {values} values")


def dtypes_for(values: str, layer: Layer, x_shape: Shape) -> tuple[str, ...]:
    """The dtypes in which a case has an answer: the variance of numbers of 1e30 is no float32."""
    if values != "huge":
        return ("float64", "float32")
    b = bind(layer, x_shape, values=values)
    found = b.results()
    normalises = any(name.endswith("rstd") for name in vars(getattr(b.c, "reference", SimpleNamespace())))
    largest = max(np.abs(array).max(initial=0) for array in found.values() if array.dtype.kind == "f")
    return ("float64",) if normalises or largest > np.finfo("f4").max else ("float64", "float32")


def check_threads(layer: Layer, x_shape: Shape, path: str) -> None:
    """1, 2 and 3 threads give the same bits, on a batch so large that the work is cut into several pieces."""
    per_sample = int(np.prod(x_shape[1:]))
    large = (max(x_shape[0], 3 * PIECE // per_sample + 5), *x_shape[1:])
    before = bp.threads()
    try:
        for dtype in ("float32", "float64"):
            bp.set_threads(1)
            alone = bind(layer, large, dtype, path).results()
            for count in (2, 3):
                bp.set_threads(count)
                for _ in range(2):
                    found = bind(layer, large, dtype, path).results()
                    expect_same_bits((layer, large, path), found, alone, f"{count} threads against 1, {dtype}")
    finally:
        bp.set_threads(before)


# -- nothing else changes ---------------------------------------------------------------------------------------------


def check_untouched(layer: Layer, x_shape: Shape, path: str) -> None:
    """Inputs, parameters, state and caches stay as they are: only update writes state, only forward writes caches."""
    b = bind(layer, x_shape, "float64", path)

    def unchanged(step: str, run: Callable[[], object], arrays: Mapping[str, Array]) -> None:
        before = {name: array.copy() for name, array in arrays.items()}
        run()
        expect_same_bits((layer, x_shape, path), arrays, before, f"{step} changed what it may only read")

    unchanged("infer", b.infer, b.inputs())
    unchanged("forward", b.forward, b.inputs())
    unchanged("backward", b.backward, b.inputs() | b.saved())
    statistics = {name for name in b.inputs() if name.startswith("state.")}
    others = {name: array for name, array in b.inputs().items() if name not in statistics}
    unchanged("update", b.update, others | b.saved() | {"dx": b.dx} | {f"d.{n}": g for n, g in vars(b.g).items()})


def check_repeats(layer: Layer, x_shape: Shape, path: str) -> None:
    """The same numbers give the same bits again; where a layer draws, seed, layer and step alone decide."""
    first = bind(layer, x_shape, "float64", path).results()
    expect_same_bits((layer, x_shape, path), bind(layer, x_shape, "float64", path).results(), first, "run again")
    b = bind(layer, x_shape, "float64", path)
    b.forward()
    b.infer()
    b.forward()
    expect_same_bits((layer, x_shape, path), {"out": b.out}, {"out": first["out"]}, "after another prediction")
    if not b.declared.random or getattr(layer, "drop_prob", 0.5) == 0:
        return
    large = (max(x_shape[0], 64), *x_shape[1:])  # so many numbers that two draws do not agree by chance
    b = bind(layer, large, "float64", path)
    b.forward()
    for i, name in enumerate(("seed", "layer", "step")):
        other = bind(layer, large, "float64", path)
        other.c.random[i] += 1
        other.forward()
        if other.out.tobytes() == b.out.tobytes():
            fail(layer, x_shape, path, f"another {name} draws the same numbers")


def check_layouts(layer: Layer, x_shape: Shape, path: str) -> None:
    """A reference takes Fortran-ordered, strided and read-only arrays and computes the same."""
    where = (layer, x_shape, path)
    bounds = bounds_for(roundoff(layer, x_shape), "float64")
    wanted = bind(layer, x_shape).results()

    def strided(a: Array) -> Array:
        wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan)
        wide[..., ::2] = a
        return wide[..., ::2]

    def read_only(a: Array) -> Array:
        a = a.copy()
        a.flags.writeable = False
        return a

    for what, change in (("Fortran order", np.asfortranarray), ("strided", strided), ("read-only", read_only)):
        b = bind(layer, x_shape)
        b.x, b.dout = change(b.x), change(b.dout)
        if what == "read-only":
            for space in (b.p, b.s):
                for array in vars(space).values():
                    array.flags.writeable = False
            b.layer.reference_infer(np.empty_like(b.out), b.x, b.p, b.s)
            for array in vars(b.s).values():
                array.flags.writeable = True
        try:
            found = b.results()
        except ValueError as error:
            raise AssertionError(f"{layer!r} on x {x_shape}: {what} arrays: {error}") from error
        expect_close(where, found, wanted, bounds, what)


def check_dtype(layer: Layer, x_shape: Shape, path: str) -> None:
    """float32 stays float32 and float64 float64, in results, gradients and everything that is saved."""
    for dtype in ("float32", "float64"):
        b = bind(layer, x_shape, dtype)
        found = _raw_reference(b) | {f"saved {n}": a for n, a in vars(b.c.reference).items() if hasattr(a, "dtype")}
        for name, array in found.items():
            if array.dtype.kind == "f" and array.dtype != dtype:
                fail(layer, x_shape, path, f"{name} is {array.dtype}, expected {dtype}")


# -- special values ----------------------------------------------------------------------------------------------------


def check_values(layer: Layer, x_shape: Shape, path: str) -> None:
    """Zeros, constants, ties, values of 1e4 and 1e30: finite numbers and no warning where the mathematics has a value."""
    for values in VALUES:
        with np.errstate(all="ignore"):
            dtypes = dtypes_for(values, layer, x_shape)
        for dtype in dtypes:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    found = bind(layer, x_shape, dtype, path, values=values).results()
                except RuntimeWarning as warning:
                    raise AssertionError(f"{layer!r} on x {x_shape}, {path}: {values} {dtype}: {warning}") from warning
            for name, array in found.items():
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    fail(
                        layer, x_shape, path, f"{values} values in {dtype} make {name} {array[~np.isfinite(array)][0]}"
                    )


def check_nan(layer: Layer, x_shape: Shape, path: str) -> None:
    """NaN does not vanish: a diverged net shows.  Kernels have it wherever the reference has it, in the same samples."""
    where = (layer, x_shape, path)
    with np.errstate(all="ignore"):
        for dtype in ("float64", "float32"):
            b = bind(layer, x_shape, dtype, path)
            b.x[0] = np.nan
            predicted = b.infer()
            b.forward()
            for name, array in (("out", b.out), ("infer", predicted)):
                if not np.isnan(array[0]).any():
                    fail(*where, f"a sample of NaN leaves no NaN in {name}")
            b = bind(layer, x_shape, dtype, path)
            b.dout[...] = np.nan
            b.forward()
            b.backward()
            for name, array in [("dx", b.dx), *((f"d.{name}", g) for name, g in vars(b.g).items())]:
                if not np.isnan(array).any():
                    fail(*where, f"an upstream gradient of NaN leaves no NaN in {name}")
            size = b.x.size
            for at in sorted({0, size // 3, size // 2, size - 1}):
                found = []
                for way in ("reference", path):
                    b = bind(layer, x_shape, dtype, way)
                    b.x.flat[at] = np.nan
                    predicted = b.infer()
                    b.forward()
                    found.append({"out": np.isnan(b.out), "infer": np.isnan(predicted)})
                parts = [(layer, x_shape), *((part, shape) for _, part, shape in layer.parts(x_shape))]
                if not any("winograd" in part.runs_as(shape) for part, shape in parts):
                    expect_same_bits(where, found[1], found[0], f"where NaN at {at} shows, {dtype}")
                    continue
                for name, wanted in found[
                    0
                ].items():  # a NaN may spread within a sample: the kernel mixes tiles of pixels
                    got = found[1][name]
                    if (wanted & ~got).any():
                        fail(*where, f"NaN at {at} of x vanishes from {name}, {dtype}")
                    touched = wanted.reshape(len(wanted), -1).any(axis=1)
                    if got[~touched].any():
                        fail(*where, f"NaN at {at} of x reaches {name} of other samples, {dtype}")


def check_batch_of_one(layer: Layer, x_shape: Shape, path: str) -> None:
    """One sample works like any batch, or `check_batch` says why not; prediction works always."""
    one = (1, *x_shape[1:])
    layer.check_batch(x_shape)  # a CASE is a batch that can be trained on
    predicted = bind(layer, one, "float64", path).infer()
    if not np.isfinite(predicted).all():
        fail(layer, one, path, "the prediction of one sample is not finite")
    try:
        layer.check_batch(one)
    except ShapeError as error:
        if not any(cls.__name__ in str(error) for cls in type(layer).__mro__[:-2]):
            fail(layer, one, path, f"the error for one sample does not name the layer: {error}")
        return
    check_directional(layer, one, path)
    truth = bind(layer, one).results()
    bounds = bounds_for(roundoff(layer, one), "float64")
    expect_close((layer, one, path), bind(layer, one, "float64", path).results(), truth, bounds, "one sample")
    outs = []
    for seed in range(4):
        b = bind(layer, one, "float64", path)
        b.x[...] = bind(layer, one, seed=seed).x
        b.forward()
        outs.append(b.out.tobytes())
    if int(np.prod(one)) > 2 and len(set(outs)) == 1:
        fail(
            layer,
            one,
            path,
            "the output of one sample is the same whatever the sample is; check_batch should refuse it",
        )


# -- prediction and running statistics -----------------------------------------------------------------------------------


def check_infer(layer: Layer, x_shape: Shape, path: str) -> None:
    """The prediction of a sample does not depend on the samples beside it."""
    b = bind(layer, x_shape, "float64", path)
    together = b.infer()
    bounds = bounds_for(roundoff(layer, x_shape), "float64")
    for n in sorted({0, 1 % x_shape[0], x_shape[0] - 1}):
        alone = bind(layer, (1, *x_shape[1:]), "float64", path)
        alone.x, alone.p, alone.s = b.x[n : n + 1].copy(), b.p, b.s
        got = {"infer": alone.infer()}
        expect_close((layer, x_shape, path), got, {"infer": together[n : n + 1]}, bounds, f"sample {n} alone")


def check_update(layer: Layer, x_shape: Shape, path: str) -> None:
    """running = decay · running + (1 - decay) · batch; and they lead prediction to what training computes."""
    where = (layer, x_shape, path)
    b = bind(layer, x_shape, "float64", path)
    if not vars(b.s):
        return
    b.forward()
    decay = getattr(layer, "decay", None)
    if decay is not None:
        wanted = {name: decay * old + (1 - decay) * vars(b.c)[name] for name, old in vars(b.s).items()}
        b.update()
        bounds = {name: 1e-14 * float(np.abs(value).max()) for name, value in wanted.items()}
        expect_close(where, vars(b.s), wanted, bounds, "running statistics after one update")
    if decay == 1:
        return
    for _ in range(4000):
        before = {name: array.copy() for name, array in vars(b.s).items()}
        b.update()
        if all((before[name] == array).all() for name, array in vars(b.s).items()):
            break
    bounds = {"infer": 1e-9 * float(np.abs(b.out).max())}
    expect_close(where, {"infer": b.infer()}, {"infer": b.out}, bounds, "after many updates on one batch")


# -- the object and its text -----------------------------------------------------------------------------------------------


def check_object(layer: Layer, x_shape: Shape, path: str) -> None:
    """A layer is a frozen dataclass: comparable, hashable, picklable, and its repr makes it again."""
    where = (layer, x_shape, path)
    cls = type(layer)
    if not is_dataclass(cls) or not cls.__dataclass_params__.frozen:
        fail(*where, "is not a frozen dataclass")
    if vars(layer).keys() - {f.name for f in fields(cls)}:
        fail(*where, f"keeps more than its hyperparameters: {vars(layer).keys() - {f.name for f in fields(cls)}}")
    copy = pickle.loads(pickle.dumps(layer))
    if copy != layer or hash(copy) != hash(layer):
        fail(*where, "pickling changes it, or its hash")
    names = vars(bp.init) | vars(bp) | {cls.__name__: cls}
    try:
        again = eval(repr(layer), dict(names))
    except Exception as error:
        raise AssertionError(f"{cls.__name__}: the repr {layer!r} does not make it again: {error!r}") from error
    if again != layer:
        fail(*where, "the repr makes another layer")
    if Layer.__eq__(layer, object()) is True or layer == object():
        fail(*where, "equals any object")


def check_no_hidden_state(layer: Layer, x_shape: Shape, path: str) -> None:
    """Running a layer leaves the object, and its class, as they were."""
    cls = type(layer)
    before, class_before = pickle.dumps(vars(layer)), set(vars(cls))
    bind(layer, x_shape, "float64", path).results()
    if pickle.dumps(vars(layer)) != before or set(vars(cls)) != class_before:
        fail(layer, x_shape, path, "running it changed the object or its class")


def check_docstring(layer: Layer, x_shape: Shape, path: str) -> None:
    """The module's docstring has every heading, in order, with words below; its examples run."""
    module = inspect.getmodule(type(layer))
    text = inspect.getdoc(module) or ""
    found = re.findall(r"^([A-Z][a-z]+)\n    \S", text, re.MULTILINE)
    wanted = [heading for heading in found if heading in HEADINGS]
    if tuple(wanted) != HEADINGS:
        fail(layer, x_shape, path, f"the docstring of {module.__name__} has {wanted}, expected {HEADINGS}")
    if not re.match(r"[A-Z].*[.:]", text.splitlines()[0]):
        fail(layer, x_shape, path, f"the docstring of {module.__name__} does not open with a sentence")
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    tests = [
        doctest.DocTestParser().get_doctest(doc or "", dict(vars(module)), name, None, None)
        for name, doc in ((module.__name__, text), (type(layer).__name__, inspect.getdoc(type(layer))))
    ]
    for test in tests:
        if not test.examples:
            fail(layer, x_shape, path, f"the docstring of {test.name} has no example")
        if runner.run(test, out=said.append).failed:
            fail(layer, x_shape, path, f"the example of {test.name} fails:\n" + "".join(said))


PATH_CHECKS: tuple[Check, ...] = (
    check_declared,
    check_directional,
    check_accumulate,
    check_twice,
    check_first_layer,
    check_untouched,
    check_repeats,
    check_values,
    check_nan,
    check_batch_of_one,
    check_infer,
    check_update,
    check_no_hidden_state,
)
REFERENCE_CHECKS: tuple[Check, ...] = (
    check_shape_errors,
    check_view,
    check_staged,
    check_layouts,
    check_dtype,
    check_object,
    check_docstring,
)
KERNEL_CHECKS: tuple[Check, ...] = (check_kernel, check_overwrite, check_in_place, check_reads, check_threads)


def checks_for(path: str) -> tuple[Check, ...]:
    """The checks of one implementation."""
    return PATH_CHECKS + (REFERENCE_CHECKS if path == "reference" else KERNEL_CHECKS)
