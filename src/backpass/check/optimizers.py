"""Update rules: `rule(w, dw, config) -> next_w, config` against the formula, over many steps and scales.

One tidy test case hides an epsilon in the wrong place, a correction that starts one step late, or a state that is
shared.
So the rule runs for many steps, on gradients from 1e-10 to 1e3, with other settings than the defaults, on two
parameters in turn.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.instrument import Program, relative_path
from backpass.check.report import Finding, Report
from backpass.errors import ArgumentError

Array = NDArray[np.float64]
State = dict[str, Any]


def _sgd(w: Array, g: Array, c: State, _: State) -> Array:
    return np.asarray(w - c["learning_rate"] * g)


def _momentum(w: Array, g: Array, c: State, s: State) -> Array:
    s["v"] = c["momentum"] * s.get("v", 0.0) - c["learning_rate"] * g
    return np.asarray(w + s["v"])


def _nesterov(w: Array, g: Array, c: State, s: State) -> Array:
    before = s.get("v", np.zeros_like(w))
    s["v"] = c["momentum"] * before - c["learning_rate"] * g
    return np.asarray(w - c["momentum"] * before + (1 + c["momentum"]) * s["v"])


def _adagrad(w: Array, g: Array, c: State, s: State) -> Array:
    s["c"] = s.get("c", 0.0) + g**2
    return np.asarray(w - c["learning_rate"] * g / (np.sqrt(s["c"]) + c["epsilon"]))


def _rmsprop(w: Array, g: Array, c: State, s: State) -> Array:
    s["c"] = c["decay_rate"] * s.get("c", 0.0) + (1 - c["decay_rate"]) * g**2
    return np.asarray(w - c["learning_rate"] * g / (np.sqrt(s["c"]) + c["epsilon"]))


def _adam_moments(g: Array, c: State, s: State) -> tuple[Array, Array]:
    s["t"] = s.get("t", 0) + 1
    s["m"] = c["beta1"] * s.get("m", 0.0) + (1 - c["beta1"]) * g
    s["v"] = c["beta2"] * s.get("v", 0.0) + (1 - c["beta2"]) * g**2
    return s["m"] / (1 - c["beta1"] ** s["t"]), s["v"] / (1 - c["beta2"] ** s["t"])


def _adam(w: Array, g: Array, c: State, s: State) -> Array:
    m, v = _adam_moments(g, c, s)
    return np.asarray(w - c["learning_rate"] * m / (np.sqrt(v) + c["epsilon"]))


def _adam_rescaled(w: Array, g: Array, c: State, s: State) -> Array:
    """Return the course's own form: the correction multiplies the step, so epsilon is not corrected with it."""
    m, v = _adam_moments(g, c, s)
    root = np.sqrt(1 - c["beta2"] ** s["t"])
    return np.asarray(w - c["learning_rate"] * m * root / (np.sqrt(v) * root + c["epsilon"]))


def _adamw(w: Array, g: Array, c: State, s: State) -> Array:
    return np.asarray(_adam(w, g, c, s) - c["learning_rate"] * c["weight_decay"] * w)


Formula = Callable[[Array, Array, State, State], Array]

# Name -> settings that differ from the defaults, and the accepted formulas.
FORMULAS: dict[str, tuple[State, list[Formula]]] = {
    "sgd": ({"learning_rate": 0.03}, [_sgd]),
    "sgd_momentum": ({"learning_rate": 0.03, "momentum": 0.8}, [_momentum]),
    "nesterov": ({"learning_rate": 0.03, "momentum": 0.8}, [_nesterov]),
    "adagrad": ({"learning_rate": 0.03, "epsilon": 1e-7}, [_adagrad]),
    "rmsprop": ({"learning_rate": 0.03, "decay_rate": 0.9, "epsilon": 1e-7}, [_rmsprop]),
    "adam": ({"learning_rate": 0.03, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-7}, [_adam, _adam_rescaled]),
    "adamw": ({"learning_rate": 0.03, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-7, "weight_decay": 0.1}, [_adamw]),
}

DEFAULTS: dict[str, State] = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}


def _eps_inside(formula: Formula) -> Formula:
    """Return the same rule with epsilon under the root."""

    def rule(w: Array, g: Array, c: State, s: State) -> Array:
        if formula is _adam:
            m, v = _adam_moments(g, c, s)
            return np.asarray(w - c["learning_rate"] * m / np.sqrt(v + c["epsilon"]))
        formula(w, g, c, s)
        return np.asarray(w - c["learning_rate"] * g / np.sqrt(s["c"] + c["epsilon"]))

    return rule


def _no_eps(formula: Formula) -> Formula:
    return lambda w, g, c, s: formula(w, g, {**c, "epsilon": 0.0}, s)


def _late(formula: Formula, start: int) -> Formula:
    def rule(w: Array, g: Array, c: State, s: State) -> Array:
        s.setdefault("t", start)
        return formula(w, g, c, s)

    return rule


def _uncorrected(w: Array, g: Array, c: State, s: State) -> Array:
    _adam_moments(g, c, s)
    return np.asarray(w - c["learning_rate"] * s["m"] / (np.sqrt(s["v"]) + c["epsilon"]))


def _half_corrected(w: Array, g: Array, c: State, s: State) -> Array:
    m, _ = _adam_moments(g, c, s)
    return np.asarray(w - c["learning_rate"] * m / (np.sqrt(s["v"]) + c["epsilon"]))


def _other_half_corrected(w: Array, g: Array, c: State, s: State) -> Array:
    _, v = _adam_moments(g, c, s)
    return np.asarray(w - c["learning_rate"] * s["m"] / (np.sqrt(v) + c["epsilon"]))


def _weights_swapped(formula: Formula, *names: str) -> Formula:
    return lambda w, g, c, s: formula(w, g, {**c, **{n: 1 - c[n] for n in names}}, s)


def _ascending(formula: Formula) -> Formula:
    return lambda w, g, c, s: 2 * w - formula(w, g, c, s)


def _no_root(w: Array, g: Array, c: State, s: State) -> Array:
    _rmsprop(w, g, c, s)
    return np.asarray(w - c["learning_rate"] * g / (s["c"] + c["epsilon"]))


def _no_state(formula: Formula) -> Formula:
    return lambda w, g, c, _: formula(w, g, c, {})


def _nesterov_as_momentum(w: Array, g: Array, c: State, s: State) -> Array:
    return _nesterov(w, g, c, s)


def _momentum_plus(w: Array, g: Array, c: State, s: State) -> Array:
    s["v"] = c["momentum"] * s.get("v", 0.0) + c["learning_rate"] * g
    return np.asarray(w + s["v"])


def _damped(w: Array, g: Array, c: State, s: State) -> Array:
    s["v"] = c["momentum"] * s.get("v", 0.0) - (1 - c["momentum"]) * c["learning_rate"] * g
    return np.asarray(w + s["v"])


def _forgetful(w: Array, g: Array, c: State, s: State) -> Array:
    s.pop("m", None)
    s.pop("v", None)
    return _adam(w, g, c, s)


def _swapped_betas(w: Array, g: Array, c: State, s: State) -> Array:
    return _adam(w, g, {**c, "beta1": c["beta2"], "beta2": c["beta1"]}, s)


def slips(name: str) -> list[tuple[str, str, Formula]]:
    """Known slips of a rule: cause, sentence, and the rule with the slip in it."""
    formula = FORMULAS[name][1][0]
    found: list[tuple[str, str, Formula]] = [
        ("sign", "it goes up the gradient, not down", _ascending(formula)),
        ("second_call", "the state is not kept between steps: write it back into config", _no_state(formula)),
    ]
    if name in ("rmsprop", "adam", "adagrad"):
        found.append(("eps", "epsilon is under the square root, not added to it", _eps_inside(formula)))
        found.append(("eps", "epsilon is missing: a gradient of zero divides by zero", _no_eps(formula)))
    if name == "sgd_momentum":
        found += [
            ("sign", "the velocity grows along the gradient instead of against it", _momentum_plus),
            ("factor", "the gradient is weighted by 1 - momentum", _damped),
            ("forward_formula", "this is Nesterov's momentum", _nesterov_as_momentum),
            ("running_stats", "momentum and 1 - momentum are exchanged", _weights_swapped(formula, "momentum")),
        ]
    if name == "rmsprop":
        found += [
            ("running_stats", "decay_rate and 1 - decay_rate are exchanged", _weights_swapped(formula, "decay_rate")),
            ("power", "the square root is missing", _no_root),
            ("forward_formula", "the cache only grows: this is AdaGrad", _adagrad),
        ]
    if name == "adam":
        found += [
            ("missing_term", "there is no bias correction", _uncorrected),
            ("missing_term", "the second moment is not bias-corrected", _half_corrected),
            ("missing_term", "the first moment is not bias-corrected", _other_half_corrected),
            ("second_call", "the moments are not kept between steps: write them back into config", _forgetful),
            ("window", "t is increased after the correction: the first step must count as t = 1", _late(formula, 1)),
            ("wrong_variable", "beta1 and beta2 are exchanged", _swapped_betas),
            ("running_stats", "beta and 1 - beta are exchanged", _weights_swapped(formula, "beta1", "beta2")),
        ]
    return found


def formula_of(name: str) -> str:
    """Return the formula that the name of a rule tells, or "".

    >>> formula_of("sgd_momentum"), formula_of("my_adam_step"), formula_of("frob")
    ('sgd_momentum', 'adam', '')
    """
    low = name.lower()
    for pattern, formula in (
        ("adamw", "adamw"),
        ("adam", "adam"),
        ("rms", "rmsprop"),
        ("adagrad", "adagrad"),
        ("nesterov", "nesterov"),
        ("nag", "nesterov"),
        ("momentum", "sgd_momentum"),
        ("sgd", "sgd"),
        ("gradient_descent", "sgd"),
    ):
        if pattern in low:
            return formula
    return ""


def _course(scale: float, steps: int, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    gradients = [scale * rng.standard_normal((3, 4)) for _ in range(steps)]
    gradients[steps // 2][0, 0] = 0.0
    return gradients


def _walk(rule: Callable[..., Any], config: State | None, gradients: list[Array]) -> list[Array]:
    w = np.linspace(-1, 1, 12).reshape(3, 4)
    path = []
    for gradient in gradients:
        returned = rule(w.copy(), gradient.copy(), config)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ArgumentError("the rule should return (next_w, config)")
        w, config = returned
        w = np.array(w)
        path.append(w)
    return path


def _reference(formula: Formula, config: State, gradients: list[Array]) -> list[Array]:
    w, state, path = np.linspace(-1, 1, 12).reshape(3, 4), {}, []  # type: ignore[var-annotated]
    for gradient in gradients:
        w = formula(w, gradient, config, state)
        path.append(w)
    return path


def _differs(yours: list[Array], true: list[Array]) -> int | None:
    """Return the first step at which two courses differ, or None; compared by the steps made, not by where they led."""
    start = np.linspace(-1, 1, 12).reshape(3, 4)
    for k, (a, b) in enumerate(zip(yours, true, strict=True)):
        moved = b - (true[k - 1] if k else start)
        size = float(np.abs(moved[np.isfinite(moved)]).max(initial=0.0))
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-12, atol=1e-7 * size + 1e-14, equal_nan=True):
            return k + 1
    return None


SCALES = (1.0, 1e-4, 1e-7, 1e-10, 1e3)


def check_optimizer(rule: Callable[..., Any], formula_name: str = "", *, steps: int = 30) -> Report:
    """Check an update rule against its formula.

    Parameters
    ----------
    rule
        `rule(w, dw, config=None) -> (next_w, config)`; it may change w in place.
    formula_name
        sgd, sgd_momentum, nesterov, adagrad, rmsprop, adam or adamw; "" to go by the rule's name.
    steps
        How many steps to run, at each of five scales of the gradient.

    Returns
    -------
    Report
        Its first finding tells the step and scale at which the rule parts from the formula, and the slip if it is a
        known one.

    Raises
    ------
    ArgumentError
        For a formula that is not known.

    Examples
    --------
    >>> def sgd(w, dw, config=None):
    ...     return w + config["learning_rate"] * dw, config
    >>> check_optimizer(sgd).findings[0].cause
    'sign'
    """
    started = time.perf_counter()
    name = formula_name or formula_of(getattr(rule, "__name__", ""))
    if name not in FORMULAS:
        raise ArgumentError(f"no formula {name or getattr(rule, '__name__', 'rule')!r}; known: {', '.join(FORMULAS)}")
    settings, accepted = FORMULAS[name]
    report = Report(getattr(rule, "__name__", name))
    program = Program([rule])
    source = program.source(rule)
    path, line, code = "", 0, ""
    if source is not None:
        file, node, _ = source
        path, line, code = relative_path(file.path), node.lineno, file.lines[node.lineno - 1].strip()
        report.sources[f"{path}:{node.name}"] = {
            "path": path,
            "first": line,
            "text": file.lines[line - 1 : node.end_lineno],
        }

    def blame(cause: str, message: str) -> None:
        report.findings.append(Finding("wrong", cause, message, getattr(rule, "__name__", name), path, line, code))

    runs: dict[float, list[Array]] = {}
    try:
        with np.errstate(all="ignore"):
            for scale in SCALES:
                runs[scale] = _walk(rule, dict(settings), _course(scale, steps, 1))
    except ArgumentError:
        raise
    except Exception as error:
        blame("exception", f"raised {type(error).__name__}: {error}")
        report.seconds = time.perf_counter() - started
        return report
    with np.errstate(all="ignore"):
        if not any(_agree(runs, formula, settings, steps) for formula in accepted):
            known = next((s for s in slips(name) if _agree(runs, s[2], settings, steps)), None)
            true = {scale: _reference(accepted[0], settings, _course(scale, steps, 1)) for scale in SCALES}
            scale, step = next((s, k) for s in SCALES if (k := _differs(runs[s], true[s])) is not None)
            where = f"from step {step} on, with gradients of size {scale:g}"
            cause, why = (known[0], known[1]) if known else ("forward_formula", "it is not the formula of " + name)
            blame(cause, f"{why} ({where})")
        else:
            _defaults_and_manners(rule, name, settings, blame)
    report.checked += [f"{steps} steps with gradients of size {scale:g}" for scale in SCALES]
    report.seconds = time.perf_counter() - started
    return report


def _agree(runs: dict[float, list[Array]], formula: Formula, settings: State, steps: int) -> bool:
    return all(
        _differs(path, _reference(formula, settings, _course(scale, steps, 1))) is None for scale, path in runs.items()
    )


def _defaults_and_manners(
    rule: Callable[..., Any], name: str, settings: State, blame: Callable[[str, str], None]
) -> None:
    parameters = list(inspect.signature(rule).parameters.values())
    if name in DEFAULTS and len(parameters) > 2 and parameters[2].default is None:
        gradients = _course(1.0, 5, 2)
        try:
            yours = _walk(rule, None, gradients)
        except Exception as error:
            blame("exception", f"without a config it raised {type(error).__name__}: {error}")
            return
        if all(_differs(yours, _reference(f, DEFAULTS[name], gradients)) is not None for f in FORMULAS[name][1]):
            usual = ", ".join(f"{k} {v:g}" for k, v in DEFAULTS[name].items())
            blame("factor", f"the defaults are not the usual ones ({usual})")
    one, two = _course(1.0, 6, 3), _course(1.0, 6, 4)
    w1 = w2 = np.linspace(-1, 1, 12).reshape(3, 4)
    c1: Any = dict(settings)
    c2: Any = dict(settings)
    for g1, g2 in zip(one, two, strict=True):
        kept = g1.copy()
        w1, c1 = rule(np.array(w1), g1, c1)
        w2, c2 = rule(np.array(w2), g2, c2)
        if not np.array_equal(kept, g1):
            blame("mutation", "it changes the gradient in place")
            return
        w1, w2 = np.array(w1), np.array(w2)
    if not any(np.allclose(w1, _reference(f, settings, one)[-1], rtol=1e-9) for f in FORMULAS[name][1]):
        blame("second_call", "the state is shared between parameters: keep it in config")
