"""Put a name to what is wrong with a value, by trying what would explain it.

Given the true derivative T and the user's value V, each hypothesis predicts V from T and from values that have names: a
constant factor, a power of some intermediate, a missing sum, a path that was left out ...  The first that fits to nine
digits is the cause.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.edits import EPS, GAMMA, KEEP, is_mask
from backpass.check.numeric import relative_error

Array = NDArray[np.float64]
FITS = 2e-6
LAYOUT = re.compile(r"reshape|transpose|swapaxes|moveaxis|rollaxis|ravel|\.T\b|einsum")

# Cause -> what it usually means.  The key is what a program reads, the sentence what a person does.
CAUSES = {
    "factor": "a constant factor is wrong",
    "sign": "the sign is wrong",
    "upstream_missing": "the upstream gradient is not used: the chain rule multiplies by it, element by element",
    "upstream_twice": "the upstream gradient is used once too often: a gradient is linear in it",
    "missing_sum": "a sum is missing: what was broadcast in the forward is summed in the backward",
    "extra_sum": "there is a sum too many",
    "axis": "the sum runs over the wrong axis",
    "keepdims": "the shape is wrong: a gradient has exactly the shape of what it belongs to (keepdims)",
    "shape": "the shape is wrong: a gradient has exactly the shape of what it belongs to",
    "transposed": "an operand is transposed, or the two are in the wrong order",
    "missing_term": "a path is missing: the gradient is the sum over all ways in which the value reaches the output",
    "extra_term": "there is a term too many",
    "power": "a power is wrong",
    "eps": "epsilon is in the wrong place: it belongs under the square root, in forward and backward alike",
    "gamma_missing": "the scale gamma is forgotten",
    "missing_factor": "a factor is missing",
    "extra_factor": "there is a factor too many",
    "mask": "the mask is not the one that the forward used",
    "mask_missing": "the mask is not applied: what the forward zeroed has no gradient",
    "mask_twice": "the mask (or scale) is applied twice",
    "mask_inverted": "the mask is the wrong way round",
    "keep_prob": "the division by the probability of keeping is forgotten, or uses the wrong probability",
    "window": "the window is shifted: stride, padding or a bound is off",
    "overlap": "contributions overwrite each other: where windows or rows overlap, gradients add up (`+=`, not `=`)",
    "ties": "equal values share the maximum: giving each of them the whole gradient counts it more than once",
    "argmax": "the gradient goes to another element than the one that was the maximum",
    "mutation": "an array is changed in place",
    "second_call": "a second call gives another result",
    "dtype": "the number type changes on the way",
    "return_order": "the gradients are returned in the wrong order: it should be that of the forward's arguments",
    "regularisation": "the regularisation term is missing, doubled, or on a parameter that it does not belong to",
    "mean_for_sum": "a mean stands where a sum belongs",
    "sum_for_mean": "this is the gradient of the sum, but the loss is the mean over the batch",
    "running_stats": "the running statistics are updated wrongly",
    "test_mode": "test mode is not consistent with training mode",
    "forward_formula": "the forward does not compute the formula that its name promises",
    "wrong_variable": "another variable belongs here",
    "operation": "another operation belongs here",
    "function": "the derivative of another function is computed",
    "not_finite": "the result holds NaN or infinity",
    "exception": "the code raises an exception",
    "missing_gradient": "a gradient is missing",
    "extra_gradient": "there is a gradient of something that is not a parameter",
    "randomness": "random numbers differ between forward and backward",
    "unknown": "the cause has no name here",
}


@dataclass(frozen=True)
class Cause:
    """A cause: its key, a sentence with names and numbers, and how far-fetched it is."""

    key: str
    sentence: str
    cost: float = 1.0


@dataclass
class Context:
    """Values by name that may explain a difference."""

    arrays: dict[str, Any] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)
    upstream: list[Any] = field(default_factory=list)
    labels: Any = None
    loss: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Array] = field(default_factory=dict)  # true gradients of the other leaves
    code: str = ""  # the line that computes the value


def explain(name: str, yours: Any, true: Array, context: Context) -> Cause | None:
    """Return the best explanation of a wrong value, or None."""
    v, t = np.asarray(yours), np.asarray(true, dtype=np.float64)
    if v.dtype.kind in "iu" or (
        v.dtype.kind == "f" and v.dtype.itemsize < 8 and v.shape == t.shape and relative_error(v, t) < 1e-2
    ):
        return Cause("dtype", f"{name} is of {v.dtype}, so its values are cut off", 0.5)
    if v.dtype.kind not in "fb":
        return Cause("dtype", f"{name} is of {v.dtype}, not of floating-point numbers", 0.5)
    v = v.astype(np.float64)
    if not np.isfinite(v).all():
        return Cause("not_finite", f"{name} holds {'NaN' if np.isnan(v).any() else 'infinity'}", 0.5)
    found = _of_shape(name, v, t) if v.shape != t.shape else _of_value(name, v, t, context)
    if v.size == t.size and v.shape != t.shape and (found is None or found.cost > 2):
        found = _of_value(name, v.reshape(t.shape), t, context) or found
    return found


def _of_shape(name: str, v: Array, t: Array) -> Cause | None:
    shapes = f"{name} has shape {v.shape}, but should have {t.shape}"
    if v.size == t.size and relative_error(v.reshape(t.shape), t) < FITS:
        key = "keepdims" if tuple(s for s in v.shape if s != 1) == tuple(s for s in t.shape if s != 1) else "shape"
        return Cause(key, f"{shapes}; the numbers are right", 0.5)
    if v.T.shape == t.shape:
        fits = relative_error(v.T, t) < FITS
        return Cause(
            "transposed",
            f"{shapes}; {'transposed, it is right' if fits else 'the transposed shape'}",
            0.6 if fits else 2.0,
        )
    if v.ndim >= t.ndim:
        for axes in _axis_choices(v.ndim):
            for kept in (True, False):
                summed = v.sum(axis=axes, keepdims=kept)
                if summed.size == t.size and relative_error(summed.reshape(t.shape), t) < FITS:
                    return Cause("missing_sum", f"{shapes}; summed over {_axes(axes)} it is right", 0.5)
    if v.size == 0:
        return Cause("window", f"{name} is empty: what is cut out holds nothing, look at the bounds", 0.5)
    if v.size > t.size and (start := _part_of(t, v)) is not None:
        return Cause("shape", f"{shapes}; the part that begins at {start} is right: the border is not cut off", 0.5)
    if v.size < t.size and (start := _part_of(v, t)) is not None:
        return Cause("shape", f"{shapes}; it is right but for what is cut off", 0.5)
    if v.size < t.size:
        for axes in _axis_choices(t.ndim):
            summed = t.sum(axis=axes)
            if summed.shape == v.shape and relative_error(v, summed) < FITS:
                return Cause(
                    "extra_sum" if v.size > 1 or t.ndim > 1 else "axis",
                    f"{shapes}; it is summed over {_axes(axes)} as well",
                    0.7,
                )
        if v.size == 1 and relative_error(v.reshape(()), t.sum()) < FITS:
            return Cause("axis", f"{shapes}; it is summed over everything", 0.7)
        return Cause("axis", shapes, 2.5)
    return Cause("missing_sum", f"{shapes}; what was broadcast in the forward must be summed in the backward", 2.4)


def _axis_choices(ndim: int) -> list[tuple[int, ...]]:
    return [tuple(i for i in range(ndim) if bits >> i & 1) for bits in range(1, 2**ndim)]


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"


def _ratio(v: Array, t: Array) -> float | None:
    """K with V = k T, or None."""
    square = float(np.sum(t * t))
    if square == 0:
        return None
    k = float(np.sum(v * t)) / square
    return k if k != 0 and relative_error(v, k * t) < FITS else None


def _of_value(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    if not v.any():
        return Cause("missing_term", f"{name} is zero everywhere; nothing flows back into it", 1.5)
    k = _ratio(v, t)
    if k is not None and (t.size > 1 or _is_telling(k, context)):
        return _constant(name, k, context)
    if v.ndim == 2 and v.shape[0] == v.shape[1] and relative_error(v.T, t) < FITS:
        return Cause("transposed", f"{name} is the transpose of what it should be", 0.8)
    for other, true in context.others.items():
        if true.shape == v.shape and relative_error(v, true) < FITS:
            return Cause("return_order", f"{name} holds what {other} should be", 0.8)
    for u in map(np.asarray, context.upstream):
        all_of_it = abs(float(u.sum() - t.sum())) < FITS * float(np.abs(u).sum())
        if u.dtype.kind == "f" and v.size > 1 and u.size > v.size and all_of_it and np.isin(v, u).all():
            return Cause(
                "missing_sum",
                f"{name} holds {v.size} of the {u.size} numbers of the upstream gradient, not their sums",
                0.8,
            )
    hypotheses = (
        _elementwise,
        _regularised,
        _at_the_label,
        _shifted,
        _rearranged,
        _slopes,
        _unmasked,
        _softmax,
        _averaged,
        _term,
        _term_by_rows,
        _where_wrong,
        _in_part,
    )
    for hypothesis in hypotheses:
        found = hypothesis(name, v, t, context)
        if found is not None:
            return found
    if relative_error(v, t) < 1e-3:
        return Cause(
            "eps",
            f"{name} is off by {relative_error(v, t):.1g} only: look for epsilon in another place than in the forward",
            2.0,
        )
    return None


def _regularised(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """V = a T + b P, where P is the parameter itself: the data's part and the penalty's part have factors of their own."""
    for parameter, value in context.parameters.items():
        p = np.asarray(value, dtype=np.float64)
        if p.shape != t.shape or p.size < 3:
            continue
        (a, b), *_ = np.linalg.lstsq(np.stack([t.ravel(), p.ravel()], axis=1), v.ravel(), rcond=None)
        if abs(b) < 1e-9 or relative_error(v, a * t + b * p) > FITS:
            continue
        words, source = number_in_words(a, context) if a else ("0", "")
        if abs(a - 1) < 1e-6:
            return Cause("regularisation", f"{name} is off by {b:.4g} times {parameter}", 0.5)
        if source == "N" and words == "N":
            return Cause("sum_for_mean", f"{name} is N times what it should be, but for its regularisation", 1.0)
        if abs(a) > 1e-9:
            return Cause("factor", f"{name} is {words} times what it should be, but for its regularisation", 1.2)
    return None


def _at_the_label(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """Whether V is wrong only at the correct class of each row."""
    if context.labels is None or v.ndim != 2 or len(context.labels) != len(v) or context.labels.ndim != 1:
        return None
    if context.labels.min() < 0 or context.labels.max() >= v.shape[1]:
        return None  # whole numbers of another kind
    at = np.arange(len(v)), context.labels
    elsewhere = v - t
    elsewhere[at] = 0
    if np.abs(elsewhere).max() >= FITS * np.abs(t).max():
        return None
    sentence = f"{name} is wrong only at the correct class of each row"
    rows_sum_to_zero = np.abs(t.sum(axis=1)).max() < FITS * np.abs(t).max()
    if v[at].any() and np.ptp((v - t)[at]) > FITS and rows_sum_to_zero:
        return Cause("missing_sum", f"{sentence}: there it should be minus the sum of the rest of the row", 0.9)
    return Cause("missing_term", sentence, 1.0)


def _shifted(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """Whether one array is the other one shifted by a few places."""
    del context
    steps = [(0, 1, -1, 2, -2, 3, -3) if size > 3 else (0,) for size in v.shape]
    if v.ndim > 2:
        steps[0] = (0,)  # a batch is not shifted
    for step in itertools.product(*steps):
        if not any(step) or sum(map(bool, step)) > 2:
            continue
        here = tuple(slice(max(k, 0), n + min(k, 0)) for k, n in zip(step, v.shape, strict=True))
        there = tuple(slice(max(-k, 0), n + min(-k, 0)) for k, n in zip(step, v.shape, strict=True))
        if v[here].any() and np.ptp(t[there]) > 0 and relative_error(v[here], t[there]) < FITS:
            words = " and ".join(f"{k} along axis {axis}" for axis, k in enumerate(step) if k)
            return Cause("window", f"{name} is shifted by {words}", 0.8)
    return None


def _part_of(small: Array, large: Array) -> tuple[int, ...] | None:
    """Return where in a larger array a smaller one lies, or None."""
    if small.ndim != large.ndim or small.size < 2 or any(a > b for a, b in zip(small.shape, large.shape, strict=True)):
        return None
    for start in itertools.product(*(range(b - a + 1) for a, b in zip(small.shape, large.shape, strict=True))):
        at = tuple(slice(k, k + a) for k, a in zip(start, small.shape, strict=True))
        if relative_error(large[at], small) < FITS:
            return start
    return None


def _rearranged(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """Whether V holds the right numbers, each at another place."""
    if all(not np.setdiff1d(np.round(a, 6), (0, 1)).size for a in (v, t)):
        return Cause("wrong_variable", f"{name} marks other elements than it should", 0.8)
    if (
        v.size < 4
        or len(np.unique(np.round(t, 9))) < 3
        or np.abs(np.sort(v, axis=None) - np.sort(t, axis=None)).max() > FITS * (np.abs(t).max())
    ):
        return None
    sparse = np.count_nonzero(t) < 0.6 * t.size
    if sparse and not LAYOUT.search(context.code):
        return Cause("argmax", f"{name} holds the right numbers, but not where the forward took its values from", 0.8)
    return Cause("transposed", f"{name} holds the right numbers in the wrong order: its axes are mixed up", 0.8)


# Derivatives of activations, by the value that they are written with.
SLOPES: dict[str, Callable[[Array], Array]] = {
    "the slope of a sigmoid, {0} (1 - {0})": lambda a: a * (1 - a),
    "the slope of a tanh, 1 - {0}^2": lambda a: 1 - a * a,
    "1 - {0}": lambda a: 1 - a,
    "the mask {0} > 0": lambda a: (a > 0).astype(np.float64),
    "{0}": lambda a: a,
}


def _slopes(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """V = T s(a) / r(b): the slope of another function, or of the same one at another value, or one too many or few."""
    known: list[tuple[str, str, Array]] = [("", "", np.ones(v.shape))]
    for text, value in context.arrays.items():
        a = np.asarray(value)
        if a.shape == v.shape and a.dtype.kind == "f" and not text.startswith("the upstream"):
            slopes = ((words, slope(a.astype(np.float64))) for words, slope in SLOPES.items())
            known += [(text, words, s) for words, s in slopes if s.any() and np.ptp(s)]
    for used_at, used, s in known:
        for right_at, right, r in known:
            if (used_at, used) == (right_at, right) or relative_error(v * r, t * s) > FITS or not (t * s).any():
                continue
            if (v[s == 0] != 0).any() or (t[r == 0] != 0).any():
                continue  # the zeros of the two only hide the difference
            if right.startswith("the mask") and not used:
                key = "mask" if re.search(r"[<>]|mask|where", context.code) else "mask_missing"
                return Cause(key, f"{name} should be zero where {right_at} is not positive", 1.0)
            if not right and used.startswith("the slope") and used_at in context.parameters:
                sentence = f"{name} is the gradient of what {used_at} was computed from, not of {used_at} itself"
                return Cause("function", sentence, 1.0)
            if not right:
                return Cause("extra_factor", f"{name} is multiplied by {used.format(used_at)}, once too often", 1.0)
            if not used:
                return Cause("missing_factor", f"{name} lacks {right.format(right_at)}", 1.0)
            alike = used == right or {used, right} == {"{0}", "1 - {0}"}
            key = "wrong_variable" if alike else "function"
            sentence = f"{name} is multiplied by {used.format(used_at)}, but should be by {right.format(right_at)}"
            return Cause(key, sentence, 1.3)
    return None


def _unmasked(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """T is V, or a multiple of V, at some elements, and zero at the others."""
    zero = np.abs(t) <= 1e-9 * np.abs(t).max()  # what is solved for is zero but for rounding
    if not zero.any() or zero.all() or (v[zero] == 0).all():
        return None
    k = _ratio(t[~zero], v[~zero])
    if k is not None and k > 0 and abs(k - 1) > FITS and not re.search("mask|drop|keep", context.code):
        words = f"{number_in_words(k, context)[0]} times as large"
        return Cause(
            "mask_missing", f"{name} should be zero in {int(zero.sum())} of {v.size} elements, and else {words}", 1.0
        )
    if k is None or abs(k - 1) > FITS:
        return None
    key = "mask" if re.search(r"[<>]|mask|where", context.code) else "mask_missing"
    return Cause(
        key, f"{name} should be zero in {int((zero & (v != 0)).sum())} of {v.size} elements, and is right else", 1.0
    )


def _softmax(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """V = g a (1 - a) or g a, T = a (g - sum(g a)): of the softmax's derivative only a part."""
    for text, value in context.arrays.items():
        a = np.asarray(value)
        if a.shape != v.shape or a.dtype.kind != "f" or a.ndim == 0 or not ((a > 0) & (a < 1)).all():
            continue
        for slope, words in ((a * (1 - a), "the diagonal of"), (a, "a part of")):
            g = v / slope
            for axis in range(a.ndim):
                if relative_error(t, a * (g - (g * a).sum(axis=axis, keepdims=True))) < FITS:
                    sentence = (
                        f"{name} is only {words} the softmax's derivative: every element of {text} moves the others"
                    )
                    return Cause("missing_term", sentence, 0.9)
    return None


def _averaged(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """T = V summed, or averaged, over further axes."""
    del context
    for axes in _axis_choices(v.ndim):
        for collected in (v.mean(axis=axes, keepdims=True), v.sum(axis=axes, keepdims=True)):
            if collected.size < v.size and relative_error(np.broadcast_to(collected, v.shape), t) < FITS:
                return Cause("axis", f"{name} should be taken over {_axes(axes)} as well", 0.8)
    return None


def _term(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """V - T = k A: a term with a name is missing, or one too many."""
    for text, value in context.arrays.items():
        a = np.asarray(value)
        if a.shape != v.shape or a.dtype.kind != "f" or a.size < 3:
            continue
        k = _ratio(v - t, a.astype(np.float64))
        if k is not None:
            factor = "" if abs(abs(k) - 1) < 1e-6 else f"{number_in_words(abs(k), context)[0]} times "
            if relative_error(v, t) > 1e-3:
                return Cause("missing_term", f"{name} differs from what it should be by {factor}{text}", 1.3)
    return None


def _term_by_rows(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """V - T = A b, where b is the same along an axis: a term lacks a factor of its row, like the sum of the upstream."""
    plain = {k: np.asarray(a) for k, a in context.arrays.items() if np.asarray(a).dtype.kind == "f"}
    powers = {f"exp({k})": np.exp(a) for k, a in plain.items() if a.shape == v.shape and a.max() < 30}
    fallback: Cause | None = None
    for text, a in (plain | powers).items():
        if a.shape != v.shape or a.ndim < 2 or not a.all():
            continue
        factor = (v - t) / a
        for axis in range(a.ndim):
            row = factor.mean(axis=axis, keepdims=True)
            if a.shape[axis] < 3 or row.size < 2 or relative_error(a * row, v - t) > FITS:
                continue
            sums = next((np.sum(u, axis=axis, keepdims=True) for u in context.upstream if np.shape(u) == v.shape), None)
            if sums is not None and min(relative_error(row, 1 - sums), relative_error(row, sums - 1)) < FITS:
                sentence = f"in {name}, the sum of the upstream gradient over axis {axis} does not multiply {text}"
                return Cause("upstream_missing", sentence, 1.0)
            sentence = f"in {name}, the term with {text} lacks a factor that is the same along axis {axis}"
            fallback = fallback or Cause("missing_factor", sentence, 1.4)
    return fallback


def _where_wrong(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """Whether V is right at many elements, and wrong in one and the same way at all others."""
    wrong = np.abs(v - t) > FITS * np.abs(t).max()
    count = int(wrong.sum())
    if not 3 <= count <= 0.9 * v.size:
        return None
    where = f"{name}, in {count} of {v.size} elements,"
    got, right = v[wrong], t[wrong]
    if relative_error(got, -right) < FITS:
        return Cause("sign", f"{where} has the wrong sign", 2.0)
    for upstream in context.upstream:
        u = np.asarray(upstream)
        if u.shape == v.shape:
            if relative_error(got * u[wrong], right) < FITS:
                return Cause("upstream_missing", f"{where} is not multiplied by the upstream gradient", 0.9)
            if relative_error(got, right * u[wrong]) < FITS:
                return Cause("upstream_twice", f"{where} is multiplied by the upstream gradient twice", 0.9)
            ratio = _ratio(got - right, u[wrong])
            if ratio is not None:
                words = number_in_words(abs(ratio), context)[0]
                return Cause("missing_term", f"{where} is off by {words} times the upstream gradient", 1.1)
    ratio = _ratio(got, right)
    if ratio is not None:
        return Cause("factor", f"{where} is {number_in_words(abs(ratio), context)[0]} times what it should be", 1.1)
    if float(np.ptp(got - right)) < FITS * float(np.abs(t).max()):
        return Cause("missing_term", f"{where} is off by the same number, {np.mean(got - right):.6g}", 1.2)
    return None


def _in_part(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """Whether V is right at some indices of an axis and wrong at all others."""
    del context
    near = np.abs(v - t) < FITS * np.abs(t).max()
    for axis in range(v.ndim):
        others = tuple(i for i in range(v.ndim) if i != axis)
        right = near.all(axis=others)
        if right.any() and not right.all():
            where = ", ".join(map(str, np.flatnonzero(right)[:6]))
            return Cause("unknown", f"{name} is right at index {where} of axis {axis} only", 1.9)
    return None


def number_in_words(k: float, context: Context) -> tuple[str, str]:
    """Return a number in words (`N`, `1/keep`), and the name that it has."""
    for text, value in context.scalars.items():
        if not isinstance(value, int | float | np.generic) or value in (0, 1):
            continue
        if abs(k - value) < 1e-6 * abs(k):
            return text, text
        if abs(k * value - 1) < 1e-6:
            return f"1/{text}", text
        if 0 < value < 1 and abs(k * (1 - value) - 1) < 1e-6:
            return f"1/(1 - {text})", text
        if 0 < value < 1 and abs(k - (1 - value)) < 1e-6:
            return f"(1 - {text})", text
        if abs(k - value * value) < 1e-6 * abs(k):
            return f"{text}^2", text
        if abs(k * value * value - 1) < 1e-6:
            return f"1/{text}^2", text
        if 0 < value < 1 and abs(k - value / (1 - value)) < 1e-6:
            return f"{text}/(1 - {text})", text
        if 0 < value < 1 and abs(k - (1 - value) / value) < 1e-6:
            return f"(1 - {text})/{text}", text
        batch = isinstance(value, int) and value > 2 and text[:1] in "NnMm"
        if batch and abs(k - value / (value - 1)) < 1e-6:
            return f"{text}/({text} - 1)", text
        if batch and abs(k - (value - 1) / value) < 1e-6:
            return f"({text} - 1)/{text}", text
    whole = {t: v for t, v in context.scalars.items() if isinstance(v, int) and v > 1}
    for (a, m), (b, n) in itertools.permutations(whole.items(), 2):
        if m % n and n % m and abs(k - m / n) < 1e-6:
            return f"{a}/{b}", ""
    if abs(1 / k - round(1 / k)) < 1e-6 and abs(k) < 1:
        return f"1/{round(1 / k)}", ""
    return f"{k:.6g}", ""


def _is_telling(k: float, context: Context) -> bool:
    """Whether a number is one that people write: any single number is some multiple of any other."""
    plain = any(abs(c - round(c)) < 1e-6 * abs(c) and abs(c) < 100 for c in (k, 1 / k))
    return plain or bool(number_in_words(abs(k), context)[1])


def _constant(name: str, k: float, context: Context) -> Cause:
    if abs(k + 1) < 1e-6:
        return Cause("sign", f"{name} has the wrong sign", 0.3)
    words, source = number_in_words(abs(k), context)
    sign = "" if k > 0 else ", and of the wrong sign"
    if source and KEEP.search(source) and not source.isupper():
        return Cause("keep_prob", f"{name} is {words} times what it should be{sign}", 0.4)
    if context.loss and source == "N" and words == "N":
        return Cause(
            "sum_for_mean",
            f"{name} is N times what it should be{sign}: the gradient of the sum instead of the mean",
            0.3,
        )
    return Cause("factor", f"{name} is {words} times what it should be{sign}", 0.4)


def _elementwise(name: str, v: Array, t: Array, context: Context) -> Cause | None:
    """V = T times a power of something that has a name."""
    for text, value in context.arrays.items():
        a = np.asarray(value)
        if a.dtype.kind not in "fb" or a.ndim == 0 or np.array_equal(a, v):
            continue
        a = a.astype(np.float64)
        for view in _broadcast(a, v.shape):
            for power, words in (
                (1, text),
                (-1, f"1/{text}"),
                (2, f"{text}^2"),
                (-2, f"1/{text}^2"),
                (0.5, f"sqrt({text})"),
                (-0.5, f"1/sqrt({text})"),
            ):
                if power != int(power) and (a < 0).any():
                    continue
                with np.errstate(all="ignore"):
                    predicted = t * view**power if power > 0 else t / view**-power
                    other_way = v * view**-power if power < 0 else v
                both = (
                    relative_error(v, predicted)
                    if np.isfinite(predicted).all()
                    else relative_error(other_way, t)
                    if power < 0
                    else 1.0
                )
                if both < FITS and relative_error(v, t) > FITS:
                    return _power_cause(name, text, power, words, is_mask(text, value))
    return None


def _broadcast(a: Array, shape: tuple[int, ...]) -> list[Array]:
    views = []
    candidates = [a]
    if a.ndim == 1 and len(shape) == 2:
        candidates.append(a[:, None])
    if a.ndim == 1 and len(shape) == 4:
        candidates.append(a[None, :, None, None])
    for candidate in candidates:
        try:
            view = np.broadcast_to(candidate, shape)
        except ValueError:
            continue
        views.append(np.asarray(view))
    return views


def _power_cause(name: str, text: str, power: float, words: str, mask: bool) -> Cause:
    if power < 0:
        sentence = f"{name} should be {words.removeprefix('1/')} times larger, element by element"
    else:
        sentence = f"{name} is {words} times what it should be, element by element"
    if mask:
        return Cause("mask_twice" if power > 0 else "mask_missing", sentence, 0.9)
    if GAMMA.match(text):
        return Cause("gamma_missing" if power == -1 else "extra_factor", sentence, 0.9)
    if EPS.match(text):
        return Cause("eps", sentence, 0.9)
    if text.startswith("the upstream"):
        return Cause("upstream_twice" if power > 0 else "upstream_missing", sentence, 0.9)
    if abs(power) == 1:
        return Cause("extra_factor" if power > 0 else "missing_factor", sentence, 1.0)
    return Cause("power", sentence, 1.0)
