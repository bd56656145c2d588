"""A layer run through its kernels or its reference on arrays of its own, for the tests of single layers."""

from __future__ import annotations

import numpy as np

from backpass.layers.base import Cache


def run(layer, arrays, dtype, *, kernels=True, input_gradient=True, in_place=False, state=None):
    """Forward and backward; `arrays` holds x, dout and the parameters. Returns out, dx, d<param>, cache by name.

    `in_place` lets dx be written over dout.
    """
    cast = {name: np.array(value, dtype, order="C") for name, value in arrays.items() if value is not None}
    x, dout = cast.pop("x"), cast.pop("dout")
    declared = layer.declare(x.shape)
    p = Cache(**{name: cast[name] for name in declared.params})
    g = Cache(**{name: np.full(param.shape, 2, dtype) for name, param in declared.params.items()})  # accumulated to
    c = Cache()
    for name, spec in declared.cache.items():
        shape, kind = spec if isinstance(spec[-1], str) else (spec, dtype)
        setattr(c, name, np.full(shape, np.nan if np.dtype(kind).kind == "f" else 77, kind))
    s = Cache(**(state or {}))
    out, dx = np.full(declared.out, np.nan, dtype), np.full(x.shape, np.nan, dtype)
    if not input_gradient:
        dx = None
    if in_place:
        dx = dout
    if kernels:
        layer.forward_kernel(out, x, p, s, c)()
        layer.backward_kernel(dx, dout, x, out, p, g, c)()
    else:
        layer.reference_forward(out, x, p, s, c)
        layer.reference_backward(dx, dout, p, g, c)
    found = {"out": out} | ({"dx": dx} if input_gradient else {})
    found |= {f"d{name}": value - 2 for name, value in vars(g).items()}
    return found | {f"cache {name}": vars(c)[name] for name in declared.cache}


def scaled_errors(found, wanted):
    """The largest difference of each array, relative to its largest element."""
    errors = {}
    for name, want in wanted.items():
        got = np.asarray(found[name], np.float64)
        errors[name] = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-3))
    return errors
