"""The gradient doctor: says whether a hand-written backward is right, and if not, where and why.

>>> import numpy as np
>>> from backpass.check import check
>>> def tanh_forward(x):
...     out = np.tanh(x)
...     return out, out
>>> def tanh_backward(dout, out):
...     return dout * (1 - out**2)
>>> check(tanh_forward, tanh_backward).ok
True
"""

from __future__ import annotations

import sys
import types
from typing import Any

from backpass.check.examine import check
from backpass.check.models import check_model, check_model_class
from backpass.check.optimizers import check_optimizer
from backpass.check.report import Finding, GradientRow, LineMark, Report

__all__ = [
    "Finding",
    "GradientRow",
    "LineMark",
    "Report",
    "check",
    "check_model",
    "check_model_class",
    "check_optimizer",
]


class _CallablePackage(types.ModuleType):
    """`backpass.check(...)` is `backpass.check.check(...)`, though `backpass.check` is also the package."""

    def __call__(self, *arguments: Any, **options: Any) -> Report:
        return check(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
