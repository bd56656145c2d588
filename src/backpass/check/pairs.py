"""Find what can be checked in a module, by name: pairs, losses, models, layer classes, update rules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backpass.errors import ArgumentError
from backpass.layers.base import Reference

FORWARD = re.compile(r"^(?P<base>.*?)_?(?:forward|fwd|fprop)(?:_(?P<tail>\w+))?$")
BACKWARD = re.compile(r"^(?P<base>.*?)_?(?:backward|bwd|bprop|backprop)(?:_(?P<tail>\w+))?$")
LOSS = re.compile(r"(loss|cross_?entropy|hinge)", re.I)
RULES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")


@dataclass
class Target:
    """Something to check: kind is pair, loss, model, layer (a class), rule, or own (a part of a bp.Layer and its like)."""

    kind: str
    name: str
    first: Any
    second: Callable[..., Any] | None = None


def find(namespace: dict[str, Any], module_name: str) -> list[Target]:
    """Everything in a module that can be checked; only what the module itself defines."""
    from backpass.check.models import loss_method
    from backpass.check.objects import methods_of
    from backpass.check.own import is_own  # own imports the doctor, which imports this module

    functions = {
        n: f
        for n, f in namespace.items()
        if inspect.isfunction(f) and getattr(f, "__module__", module_name) == module_name
    }
    forwards = {n: m for n in functions if (m := FORWARD.match(n))}
    backwards = {n: m for n in functions if (m := BACKWARD.match(n))}
    targets = []
    used: set[str] = set()
    for name, cls in namespace.items():
        if inspect.isclass(cls) and is_own(cls) and f"{cls.__module__}.".startswith(f"{module_name}."):
            used |= {n for n in functions if _belongs(n, functions[n], cls)}
            targets += _own_targets(name, cls)
    for name, match in backwards.items():
        if name in used:
            continue
        forward = _partner(match, forwards)
        if forward is not None:
            targets.append(Target("pair", name, functions[forward], functions[name]))
            used |= {name, forward}
    for name, function in functions.items():
        if name in used or name.startswith("_"):
            continue
        count = len([p for p in inspect.signature(function).parameters.values() if p.default is p.empty])
        if _is_rule(function):
            targets.append(Target("rule", name, function))
        elif LOSS.search(name) and count >= 2 and name not in forwards:
            targets.append(Target("loss", name, function))
    for name, cls in namespace.items():
        if inspect.isclass(cls) and cls.__module__ == module_name and loss_method(cls):
            targets.append(Target("model", name, cls))
        elif inspect.isclass(cls) and cls.__module__ == module_name and methods_of(cls) is not None:
            targets.append(Target("layer", name, cls))
    return targets


def _own_targets(name: str, cls: type) -> list[Target]:
    """Return the parts of a registered layer, loss or optimizer; one that has none says so when it is checked."""
    from backpass.check.own import parts

    try:
        return [Target("own", part, cls) for part, _ in parts(cls)]
    except ArgumentError:
        return [Target("own", name, cls)]


def _belongs(name: str, function: Any, cls: type) -> bool:
    """Whether a function is the reference, or the update rule, of a class that is checked as a whole."""
    reference = getattr(cls, "reference", None)
    if isinstance(reference, Reference):
        return function in vars(reference).values()
    return bool(FORWARD.match(name) or BACKWARD.match(name) or name.endswith("_update"))


def _partner(backward: re.Match[str], forwards: dict[str, re.Match[str]]) -> str | None:
    """Return the forward of a backward: same base and tail, else same base."""
    same = [n for n, m in forwards.items() if m["base"] == backward["base"]]
    exact = [n for n in same if forwards[n]["tail"] == backward["tail"]]
    plain = [n for n in same if forwards[n]["tail"] is None]
    return next(iter(exact + plain + same), None)


def _is_rule(function: Any) -> bool:
    """`rule(w, dw, config=None)`."""
    names = list(inspect.signature(function).parameters)
    return (
        len(names) >= 2
        and names[0].lower() in ("w", "x", "param", "theta")
        and names[1].lower() in ("dw", "dx", "grad", "g", "dtheta")
    )
