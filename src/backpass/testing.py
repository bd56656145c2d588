"""Helpers for people's own tests: the gradient doctor as an assertion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.check import Report, check
from backpass.check.optimizers import check_optimizer


def assert_gradients(forward: Any, backward: Any = None, arguments: Any = None, **options: Any) -> Report:
    """Assert that a hand-written gradient is right; where it is not, the failure's message is the doctor's report.

    Takes what `backpass.check.check` takes: a forward and a backward, a loss, or a model with X and y.

    Raises
    ------
    AssertionError
        With the first wrong line, its cause and what to write instead.

    Examples
    --------
    >>> def double_forward(x):
    ...     return 2 * x, None
    >>> def double_backward(dout, cache):
    ...     return 2 * dout
    >>> bool(assert_gradients(double_forward, double_backward))
    True
    """
    __tracebackhide__ = True  # pytest: show the caller's line, not this one
    report = check(forward, backward, arguments, **options)
    if not report.ok:
        raise AssertionError("\n" + str(report))
    return report


def assert_update_rule(rule: Callable[..., Any], formula_name: str = "") -> Report:
    """Assert that an update rule `rule(w, dw, config)` follows its formula over many steps and scales.

    Raises
    ------
    AssertionError
        With the step and scale at which it departs, and the slip if it is a known one.

    Examples
    --------
    >>> def sgd(w, dw, config=None):
    ...     config = {"learning_rate": 1e-2, **(config or {})}
    ...     return w - config["learning_rate"] * dw, config
    >>> bool(assert_update_rule(sgd))
    True
    """
    __tracebackhide__ = True
    report = check_optimizer(rule, formula_name)
    if not report.ok:
        raise AssertionError("\n" + str(report))
    return report
