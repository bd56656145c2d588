"""Are the annotations true?  Plain central differences, written without the doctor, say which animals are wrong.

`python truth.py heldout` lists every animal whose annotation is false.  The doctor plays no part here: the keeper only
cuts the files into animals.
"""

from __future__ import annotations

import copy
import re
import sys
import types
from typing import Any

import numpy as np

import keeper

USUAL = {
    "x": lambda r: r.standard_normal((4, 3)),
    "w": lambda r: r.standard_normal((3, 5)),
    "b": lambda r: r.standard_normal(5),
    "gamma": lambda r: r.standard_normal(3),
    "beta": lambda r: r.standard_normal(3),
    "bn_param": lambda r: {"mode": "train"},
    "ln_param": lambda r: {},
    "dropout_param": lambda r: {"p": 0.6, "mode": "train", "seed": 7},
    "pool_param": lambda r: {"pool_height": 2, "pool_width": 2, "stride": 2},
    "y": lambda r: r.integers(0, 3, 4),
}


def differences(function: Any, values: list[Any], upstream: list[Any]) -> list[Any]:
    """Central differences of sum(upstream * outputs), for every floating-point argument."""

    def total(arguments: list[Any]) -> float:
        return sum(float(np.sum(u * o)) for u, o in zip(upstream, function(copy.deepcopy(arguments)), strict=True))

    result = []
    for k, value in enumerate(values):
        if not (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
            continue
        slope = np.zeros_like(value)
        for i in np.ndindex(value.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = copy.deepcopy(values)
                moved[k][i] += step
                ends.append(total(moved))
            slope[i] = (ends[0] - ends[1]) / 2e-5
        result.append(slope)
    return result


def same(a: Any, b: Any) -> bool:
    """Deep equality of nested containers of arrays."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


def unequal(gradients: Any, truth: list[Any]) -> str:
    """What is wrong with these gradients, or nothing."""
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if len(gradients) != len(truth):
        return "number of gradients"
    for k, (g, t) in enumerate(zip(gradients, truth, strict=True)):
        if np.shape(g) != t.shape:
            return f"shape of gradient {k}: {np.shape(g)}, not {t.shape}"
        if g.dtype != np.float64:
            return f"dtype of gradient {k}: {g.dtype}"
        if not np.allclose(g, t, rtol=1e-5, atol=1e-7):
            return f"gradient {k} is off by {np.abs(g - t).max():.2g}"
    return ""


def tied(values: list[Any]) -> bool:
    return any(isinstance(v, np.ndarray) and v.ndim == 4 and len(np.unique(v)) < 0.8 * v.size for v in values)


def forward_is_not(stem: str, values: list[Any], out: Any, forward: Any, order: list[str]) -> str:
    """Compare the forward with the formula that its name promises, written out once more."""
    at = dict(zip(order, values, strict=True))
    if stem == "affine" and not np.allclose(out, at["x"].reshape(len(at["x"]), -1) @ at["w"] + at["b"]):
        return "not x w + b"
    if stem in ("conv", "conv_naive") and "conv_param" in at:
        p, s = at["conv_param"]["pad"], at["conv_param"]["stride"]
        xp, (F, _, R, S) = np.pad(at["x"], ((0, 0), (0, 0), (p, p), (p, p))), at["w"].shape
        for f, i, j in np.ndindex(F, *out.shape[2:]):
            window = xp[:, :, i * s : i * s + R, j * s : j * s + S]
            if not np.allclose(out[:, f, i, j], (window * at["w"][f]).sum((1, 2, 3)) + at["b"][f]):
                return "not the convolution"
    if stem == "batchnorm":
        x, m, v, e = at["x"], at["x"].mean(0), at["x"].var(0), at["bn_param"].get("eps", 1e-5)
        if not np.allclose(out, at["gamma"] * (x - m) / np.sqrt(v + e) + at["beta"]):
            return "not the batch norm"
        kept = {"mode": "train", "momentum": 0.8, "running_mean": m + 1, "running_var": v + 2}
        forward(x, at["gamma"], at["beta"], kept)
        if not np.allclose(kept["running_mean"], m + 0.8) or not np.allclose(kept["running_var"], v + 1.6):
            return "running statistics"
        kept["mode"], z = "test", (x - kept["running_mean"]) / np.sqrt(kept["running_var"] + 1e-5)
        if not np.allclose(forward(x, at["gamma"], at["beta"], kept)[0], at["gamma"] * z + at["beta"]):
            return "test mode"
    if stem == "dropout":
        ones = np.ones((400, 50))
        means = [forward(ones.copy(), {"p": 0.6, "mode": m, "seed": 1})[0].mean() for m in ("train", "test")]
        if abs(means[0] - 1) > 0.05 or means[1] != 1:
            return "expectation of train and test mode"
    return ""


def wrong_pair(module: types.ModuleType, stem: str, suffix: str) -> str:
    forward, backward = getattr(module, f"{stem}_forward{suffix}"), getattr(module, f"{stem}_backward{suffix}")
    code = forward.__code__
    order = list(code.co_varnames[: code.co_argcount - len(forward.__defaults__ or ())])
    rng = np.random.default_rng(5)
    if hasattr(module, "inputs"):
        given = module.inputs(rng)
        values = [given[n] for n in order if n in given] if isinstance(given, dict) else list(given)
    elif stem == "spatial_batchnorm":
        values = [rng.standard_normal((2, 3, 2, 4)), rng.standard_normal(3), rng.standard_normal(3), {"mode": "train"}]
    elif stem == "max_pool":
        values = [rng.standard_normal((2, 2, 4, 4)), USUAL["pool_param"](rng)]
    else:
        values = [USUAL[n](rng) for n in order if n in USUAL]
    order = order[: len(values)]
    used = copy.deepcopy(values)
    *outputs, cache = forward(*used)
    changed = [v for v in used if isinstance(v, np.ndarray)], [v for v in values if isinstance(v, np.ndarray)]
    if not same(*changed):
        return "the forward changes its arguments"
    upstream = [rng.standard_normal(np.shape(o)) for o in outputs]
    handed, kept = copy.deepcopy(upstream), copy.deepcopy(cache)
    gradients = copy.deepcopy(backward(*handed, cache))
    if not same(handed, upstream):
        return "the backward changes the upstream gradient"
    if not same(cache, kept):
        return "the backward changes the cache"
    if not same(gradients, backward(*handed, cache)):
        return "the second call differs"
    if tied(values):  # no derivative there: each output's gradient must arrive once
        return "" if np.isclose(gradients.sum(), upstream[0].sum()) else "ties are counted more than once"
    truth = differences(lambda v: forward(*v)[:-1], values, upstream)
    return unequal(gradients, truth) or forward_is_not(stem, values, outputs[0], forward, order)


def wrong_loss(module: types.ModuleType, name: str) -> str:
    function = getattr(module, name)
    rng = np.random.default_rng(5)
    if hasattr(module, "inputs"):
        values = list(module.inputs(rng).values())
        first = 1
    else:
        values, first = [2 * rng.standard_normal((4, 3)), USUAL["y"](rng)], 1
    used = copy.deepcopy(values)
    _, gradient = function(*used)
    if not same(used, values):
        return "the loss changes its arguments"
    truth = differences(lambda v: (function(*v)[0],), values, [1.0])
    return unequal(gradient, truth[:first])


def wrong_class(module: types.ModuleType, name: str) -> str:
    rng, cls = np.random.default_rng(5), getattr(module, name)
    np.random.seed(0)  # noqa: NPY002 - the models draw from it
    if name in ("Linear", "Sigmoid"):
        layer, x = cls(*((3, 2) if name == "Linear" else ())), rng.standard_normal((4, 3))
        g = rng.standard_normal(layer.forward(x).shape)
        parameters = [layer.W, layer.b] if name == "Linear" else []

        def run(values: list[Any]) -> tuple[Any]:
            for k, v in zip(("W", "b"), values[1:], strict=False):
                setattr(layer, k, v)
            return (layer.forward(values[0]),)

        truth = differences(run, [x, *parameters], [g])
        run([x, *parameters])
        found = []
        for _ in range(2):
            dx = layer.backward(g)
            found.append(unequal((dx, layer.dW, layer.db) if parameters else dx, truth))
        return found[0] or found[1]
    for arguments in ({}, {"hidden_dims": []}, {"hidden_dims": [4]}, {"hidden_dims": [4, 3, 4]}):
        if ("Fully" in name) != bool(arguments):
            continue
        model = cls(**arguments, input_dim=5, num_classes=3, weight_scale=0.7, reg=0.3)
        X, y = rng.standard_normal((6, 5)), rng.integers(0, 3, 6)
        names = sorted(model.params)

        def loss(values: list[Any], model: Any = model, X: Any = X, y: Any = y, names: Any = names) -> tuple[float]:
            model.params = dict(zip(names, values, strict=True))
            return (model.loss(X, y)[0],)

        values = [model.params[k] + 0.1 * rng.standard_normal(model.params[k].shape) for k in names]  # off the kinks
        truth = differences(loss, values, [1.0])
        model.params = dict(zip(names, values, strict=True))
        _, grads = model.loss(X, y)
        if fault := unequal(tuple(grads[k] for k in names), truth):
            return f"{arguments}: {fault}"
    return ""


def fault(animal: keeper.Animal) -> str:
    """What is wrong with this animal, by differences alone; nothing if it is right."""
    module = types.ModuleType("animal")
    exec(compile(animal.source, animal.id, "exec"), module.__dict__)
    own = animal.source[animal.source.rindex("#: ") :]
    try:
        if pair := re.findall(r"^def (\w+?)_(?:backward|forward)(\w*)", own, flags=re.M):
            return wrong_pair(module, *pair[-1])
        if loss := re.findall(r"^def (\w+_loss\w*)", own, flags=re.M):
            return wrong_loss(module, loss[-1])
        return wrong_class(module, re.findall(r"^class (\w+)", own, flags=re.M)[-1])
    except (ValueError, IndexError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    np.seterr(all="ignore")
    for each in keeper.animals(sys.argv[1]):
        reason = fault(each)
        if bool(reason) == each.right or "-v" in sys.argv:
            print(f"{'right' if each.right else 'broken'}  {each.id}: {reason or 'right'}")
