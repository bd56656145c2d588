"""The course's update rules: `rule(w, dw, config=None) -> (next_w, config)`.

Formulas and sources stand in `backpass.optim`.  The passed dictionary receives the defaults and the new state; w, dw and
the old state arrays are left as they are.  The result has the dtype of w, whatever type the rates have.

Examples
--------
>>> import numpy as np
>>> config = {"learning_rate": 0.1}
>>> w, config = sgd_momentum(np.zeros(2), np.array([1.0, 2.0]), config)
>>> w, config["velocity"]
(array([-0.1, -0.2]), array([-0.1, -0.2]))
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import native
from ..layers.base import Array
from ..optim.adam import adam_update
from ..optim.momentum import momentum_update
from ..optim.rmsprop import rmsprop_update
from ..optim.sgd import sgd_update
from ._arrays import reals

__all__ = ["adam", "rmsprop", "sgd", "sgd_momentum"]

Config = dict[str, Any]


def _begin(w: Array, dw: Array, config: Config | None, slots: tuple[str, ...], **defaults: float) -> tuple[Config, Any]:
    """Return the config with its defaults, and new contiguous arrays: w, dw and the slots, for a kernel to work on."""
    config = {} if config is None else config
    for name, value in defaults.items():
        config.setdefault(name, value)
    (w,) = reals(w)
    for name in slots:
        if name not in config:
            config[name] = np.zeros_like(w)
    dw = np.ascontiguousarray(dw, dtype=w.dtype)
    copies = [np.array(a, dtype=w.dtype, order="C") for a in (w, *(config[name] for name in slots))]
    return config, (copies[0], dw, *copies[1:])


def _control(config: Config, t: float = 1.0) -> Array:
    """Return what a native update reads at run time: learning rate, t, factor on the gradient, not finite."""
    return np.array([config["learning_rate"], t, 1.0, 0.0])


def sgd(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Plain gradient descent; config: learning_rate 1e-2."""
    config, (w, dw) = _begin(w, dw, config, (), learning_rate=1e-2)
    if not native.available:
        return sgd_update(w, dw, lr=float(config["learning_rate"])), config
    native.sgd(w, dw, _control(config), 1.0)()
    return w, config


def sgd_momentum(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Gradient descent with momentum; config: learning_rate 1e-2, momentum 0.9, velocity 0."""
    config, (w, dw, v) = _begin(w, dw, config, ("velocity",), learning_rate=1e-2, momentum=0.9)
    momentum = float(config["momentum"])
    if native.available:
        native.momentum(w, v, dw, _control(config), 1.0, momentum)()
    else:
        w, v = momentum_update(w, dw, v, lr=float(config["learning_rate"]), momentum=momentum)
    config["velocity"] = v
    return w, config


def rmsprop(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """RMSProp; config: learning_rate 1e-2, decay_rate 0.99, epsilon 1e-8, cache 0."""
    config, (w, dw, s) = _begin(w, dw, config, ("cache",), learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
    decay, eps = float(config["decay_rate"]), float(config["epsilon"])
    if native.available:
        native.rmsprop(w, s, dw, _control(config), 1.0, decay, eps)()
    else:
        w, s = rmsprop_update(w, dw, s, lr=float(config["learning_rate"]), decay=decay, eps=eps)
    config["cache"] = s
    return w, config


def adam(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Adam with bias correction; config: learning_rate 1e-3, beta1 0.9, beta2 0.999, epsilon 1e-8, m 0, v 0, t 0."""
    rates = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0}
    config, (w, dw, m, v) = _begin(w, dw, config, ("m", "v"), **rates)
    t = config["t"] + 1
    beta1, beta2, eps = float(config["beta1"]), float(config["beta2"]), float(config["epsilon"])
    if native.available:
        native.adam(w, m, v, dw, _control(config, t), 1.0, beta1, beta2, eps, 0.0)()
    else:
        lr = float(config["learning_rate"])
        w, m, v = adam_update(w, dw, m, v, lr=lr, beta1=beta1, beta2=beta2, eps=eps, t=float(t))
    config |= {"m": m, "v": v, "t": t}
    return w, config
