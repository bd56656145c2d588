"""What rewritten code talks to: it writes values down, nudges them, or puts others in their place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

HOOK = "__backpass__"  # the global through which rewritten code reaches the recorder

# What the doctor does must not depend on how fast a machine happens to be.  So its work is reckoned by what is done,
# in seconds of an ordinary machine: for each run, each value that passes, each element of these.
RUN_S, PASS_S, ELEMENT_S = 5e-5, 1e-6, 2e-9
SLOW = 8  # how many times slower a machine may be before the clock has a say


# Calls whose derivative jumps: name -> how the branch taken is read from the arguments.
KINKED = {
    "maximum",
    "minimum",
    "max",
    "min",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "abs",
    "absolute",
    "fabs",
    "sign",
    "clip",
}


@dataclass(frozen=True)
class Site:
    """One place in the source at which values pass: what is named there, and where it is."""

    key: int
    kind: str  # argument, assign, part (of an accumulation), after (a store or loop), use, expression, return, item
    name: str  # the variable, or "" for a nameless expression
    path: str
    line: int
    function: str
    in_loop: bool
    position: int = 0  # which element of a returned tuple

    @property
    def defines(self) -> bool:
        """Whether a value gets its name here (rather than being read)."""
        return self.kind in ("assign", "after", "part", "return", "item")


@dataclass
class Event:
    """One value that passed one site: the `occurrence`-th there, the `order`-th of all."""

    site: Site
    occurrence: int
    order: int
    value: Any
    ident: int = 0  # which object it was: one that is handed on, or a copy
    caller: tuple[str, int, str] | None = None  # of an argument: path, line and function of the call

    @property
    def key(self) -> tuple[int, int]:
        """The address of this value: site and occurrence."""
        return self.site.key, self.occurrence


def is_real(value: Any) -> bool:
    """Whether a value is a floating-point array or scalar, something that has a derivative.

    >>> is_real(np.zeros(3)), is_real(2.5), is_real(np.arange(3)), is_real(True)
    (True, True, False, False)
    """
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    return isinstance(value, float | np.floating)


def snapshot(value: Any) -> Any:
    """Copy of a value as it is now; containers are copied one level deep, foreign objects become None."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, int | float | np.generic | str) or value is None:
        return value
    if isinstance(value, dict):
        return {k: snapshot(v) for k, v in value.items() if not isinstance(v, dict | list | tuple)}
    return None


def contents(item: Any) -> Any:
    """Return what an array, list or dict holds now: a copy of the numbers, or the identities of the entries.

    >>> cache = [1, 2]
    >>> before = contents(cache)
    >>> _ = cache.pop()
    >>> same_contents(cache, before)
    False
    """
    if isinstance(item, list):
        return [id(v) for v in item]
    if isinstance(item, dict):
        return {k: id(v) for k, v in item.items()}
    return item.copy()


def same_contents(item: Any, before: Any) -> bool:
    """Whether an array, list or dict still holds what it did."""
    if isinstance(item, np.ndarray):
        return bool(np.array_equal(item, before, equal_nan=True))
    return bool(contents(item) == before)


class Recorder:
    """What rewritten code talks to; one per program."""

    def __init__(self) -> None:
        self.sites: dict[int, Site] = {}
        self.work = 0.0  # of all runs together, in seconds of an ordinary machine
        self.reset()

    def reset(
        self,
        *,
        record: bool = False,
        nudge: tuple[int, int | None, Callable[[Any], Any]] | None = None,
        overrides: dict[tuple[int, int], Any] | None = None,
        watch: list[Any] | None = None,
        limit: int = 30_000,
    ) -> None:
        """Begin a run: `nudge` is (site, occurrence or None for all, function of the value)."""
        self.work += RUN_S
        self.events: list[Event] | None = [] if record else None
        nothing: tuple[int, int | None, Callable[[Any], Any]] = (-1, None, lambda value: value)
        self.nudge_site, self.nudge_occurrence, self.nudge = nudge or nothing
        self.overrides = overrides or {}
        self.overridden = {site for site, _ in self.overrides}
        self.counts: dict[int, int] = {}
        self.branches = 0
        self.limit = limit
        self.watched = [(item, contents(item)) for item in watch or []]
        self.changed: list[tuple[int, str, int]] = []  # (index of the watched array, path, line)

    def value(self, site: int, value: Any, name: str = "") -> Any:
        """Let a value pass its site; `name` is that of the entry where the text alone does not tell it."""
        self.work += PASS_S + ELEMENT_S * value.size if isinstance(value, np.ndarray) else PASS_S
        if self.events is None and site != self.nudge_site and site not in self.overridden:
            return value
        n = self.counts.get(site, 0)
        self.counts[site] = n + 1
        if site == self.nudge_site and (self.nudge_occurrence is None or n == self.nudge_occurrence) and is_real(value):
            value = self.nudge(value)
        if self.overrides and (site, n) in self.overrides:
            value = self.overrides[site, n]
        if self.events is not None and len(self.events) < self.limit:
            place = self.sites[site]
            if name:
                place = replace(place, name=str(name))
            event = Event(place, n, len(self.events), snapshot(value), id(value))
            if place.kind == "argument":
                frame = sys._getframe(2)
                event.caller = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
            self.events.append(event)
        return value

    def reckoned(self, run: Callable[[], Any]) -> float:
        """Return the work of a run that is watched; by the clock if what passes tells little, as with slow libraries."""
        work, started = self.work, time.thread_time()
        with suppress(Exception):  # then as far as it got
            run()
        work, seconds = self.work - work, time.thread_time() - started
        return seconds if seconds > SLOW * work else work

    def entry(self, site: int, container: Any, index: Any) -> None:
        """Let an entry pass its site, if the container is a dict."""
        if isinstance(container, dict) and index in container:
            self.value(site, container[index], index if isinstance(index, str) else "")

    def branch(self, value: Any) -> Any:
        """Let the result of a comparison pass, and remember which way it went."""
        self.branches = hash((self.branches, value.tobytes() if isinstance(value, np.ndarray) else bool(value)))
        return value

    def kinked(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function with a kink (max, abs ...) and remember on which side of it each element was."""
        result = function(*args, **kwargs)
        owner = getattr(function, "__self__", None)
        operands = (owner, *args) if isinstance(owner, np.ndarray) else args
        try:
            side = _side_of_kink(name, operands, kwargs)
        except (TypeError, ValueError, IndexError):
            return result
        self.branches = hash((self.branches, np.asarray(side).tobytes()))
        return result

    def tick(self, path: str, line: int) -> None:
        """Look, after a statement, whether it has changed a watched array."""
        for index, (item, before) in enumerate(self.watched):
            if not same_contents(item, before):
                self.changed.append((index, path, line))
                self.watched[index] = (item, contents(item))


class Allowance:
    """Work that may be done from now on; the clock is only a safety net."""

    def __init__(self, recorder: Recorder, seconds: float) -> None:
        self.recorder = recorder
        self.end, self.latest = recorder.work + seconds, time.thread_time() + SLOW * seconds

    def left(self) -> float:
        """Return how much of it is left, in seconds of an ordinary machine."""
        return 0.0 if time.thread_time() > self.latest else max(0.0, self.end - self.recorder.work)


def _side_of_kink(name: str, operands: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name in ("maximum", "minimum") or (name in ("max", "min") and len(operands) > 1 and np.ndim(operands[0]) == 0):
        return np.greater(operands[0], operands[1])
    if name in ("abs", "absolute", "fabs", "sign"):
        return np.sign(operands[0])
    if name == "clip":
        low = operands[1] if len(operands) > 1 else kwargs.get("a_min", kwargs.get("min"))
        high = operands[2] if len(operands) > 2 else kwargs.get("a_max", kwargs.get("max"))
        return [
            np.less(operands[0], -np.inf if low is None else low),
            np.greater(operands[0], np.inf if high is None else high),
        ]
    array = np.asarray(operands[0])
    axis = operands[1] if len(operands) > 1 else kwargs.get("axis")
    extreme = array.max(axis=axis, keepdims=True) if "max" in name else array.min(axis=axis, keepdims=True)
    return array == extreme
