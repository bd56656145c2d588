"""Find the first wrong line of a backward.

The forward is nudged at every value it computes, which gives the true derivative of each of them.  Every value that
the backward
computes is then compared with all those derivatives: by name (`dvar` belongs to `var`), and by shape and value, for
people have their own names.  A line is *right* when its value is one of the true derivatives, *wrong* when its name
says which
derivative it should be and it is not, *open* otherwise.  An open line is a suspect only if the first wrong value
depends on it by a way that does not pass through a right one; that is found out by nudging the backward too.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import numeric
from backpass.check.pairs import BACKWARD, FORWARD
from backpass.check.recorder import Event, Site, is_real
from backpass.check.subject import Subject, stems

Array = NDArray[np.float64]
Key = tuple[int, int]


def directions(shape: tuple[int, ...]) -> list[Array]:
    """Two fixed random directions for a shape; a derivative's components along them are its signature."""
    rng = np.random.default_rng([len(shape), *shape, 5])
    return [rng.standard_normal(shape) for _ in range(2)]


def signature(value: Array) -> Array:
    """Components of an array along the two directions of its shape."""
    return np.array([float(np.sum(value * u)) for u in directions(np.shape(value))])


@dataclass
class Node:
    """A value of the forward together with what is known of its true derivative."""

    name: str
    path: str
    line: int
    function: str
    shape: tuple[int, ...]
    keys: list[Key]  # the values moved together (several uses of one variable)
    kind: str
    order: int
    value: Any = None
    signature: Array = field(default_factory=lambda: np.zeros(2))
    error: float = 0.0
    kink: bool = False
    moves_loss: bool = False
    full: Array | None = None


class Truth:
    """The true derivatives of everything that the forward computes, measured on demand."""

    def __init__(self, subject: Subject, budget_s: float = 1.5, frozen: dict[Key, Any] | None = None) -> None:
        self.subject, self.budget_s = subject, budget_s
        self.frozen = frozen or {}
        self.events: list[Event] = []
        self.nodes: list[Node] = []
        self.complete = True
        self.aliases: dict[str, list[Node]] = {}  # the backward's own names for values of the forward
        self._measure()

    # -- measuring ----------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        subject, program = self.subject, self.subject.program
        with program.watched("exact") as recorder:
            recorder.reset(record=True)
            started = time.thread_time()
            subject.loss(subject.leaves)
            once_s = time.thread_time() - started
            self.events = recorder.events or []
            real = [
                e
                for e in self.events
                if is_real(e.value) and not (isinstance(e.value, float) and not isinstance(e.value, np.generic))
            ]
            named = [e for e in real if e.site.defines or e.site.kind == "argument"]
            others = [e for e in real if e.site.kind in ("use", "expression")]
            affordable = int(self.budget_s / (once_s * 8 + 1e-5))
            chosen = _spread(named, affordable)
            chosen += _spread(others, affordable - len(chosen))
            self.complete = len(chosen) == len(real)
            for event in sorted(chosen, key=lambda e: e.order):
                node = self._node(event)
                self._sign(node)
                self.nodes.append(node)
        self._add_sums_of_uses()
        self.scale = max((float(np.abs(n.signature).max()) for n in self.nodes), default=1.0) or 1.0

    def _node(self, event: Event) -> Node:
        site = event.site
        return Node(
            site.name,
            site.path,
            site.line,
            site.function,
            np.shape(event.value),
            [event.key],
            site.kind,
            event.order,
            event.value,
        )

    def _loss_with(self, key: Key, delta: Array) -> float:
        recorder = self.subject.program.recorder

        def nudge(value: Any) -> Any:
            return value + delta.astype(value.dtype) if isinstance(value, np.ndarray) else value + float(delta)

        recorder.reset(nudge=(key[0], key[1], nudge), overrides=self.frozen)
        return self.subject.loss(self.subject.leaves)

    def _sign(self, node: Node) -> None:
        recorder = self.subject.program.recorder
        typical = float(np.sqrt(np.mean(np.square(np.asarray(node.value, dtype=np.float64))))) or 1.0
        components = []
        for u in directions(node.shape):
            losses: set[float] = set()

            def along(t: float, u: Array = u, seen: set[float] = losses) -> float:
                loss = self._loss_with(node.keys[0], t * u)
                seen.add(loss)
                return loss

            d = numeric.derivative_along(along, lambda: recorder.branches, scale=typical, steps=(1e-4, 1e-5, 1e-6))
            components.append(d.value)
            node.error = max(node.error, d.error)
            node.kink = node.kink or d.kink
            node.moves_loss = node.moves_loss or len(losses) > 1
            if not node.moves_loss:
                break
        node.signature = np.array((components * 2)[:2])

    def _add_sums_of_uses(self) -> None:
        """Add, for a variable that is used in several places, the derivative along each choice of its uses."""
        groups: dict[tuple[str, str, bytes], list[Node]] = {}
        for node in self.nodes:
            if node.kind == "use" and node.moves_loss:
                groups.setdefault((node.function, node.name, np.asarray(node.value).tobytes()), []).append(node)
        for (function, name, _), uses in groups.items():
            if not 2 < len(uses) <= 5:
                continue
            for count in range(2, len(uses)):
                for some in itertools.combinations(uses, count):
                    sums = sum((n.signature for n in some), np.zeros(2))
                    node = Node(
                        name,
                        some[0].path,
                        some[0].line,
                        function,
                        some[0].shape,
                        [k for n in some for k in n.keys],
                        "uses",
                        some[0].order,
                    )
                    node.value, node.signature, node.moves_loss = some[0].value, sums, True
                    node.error = sum(n.error for n in some)
                    self.nodes.append(node)

    def full(self, node: Node) -> Array:
        """Return the whole derivative of one value, element by element."""
        if node.full is None:
            with self.subject.program.watched("exact") as recorder:
                total = np.zeros(node.shape)
                for key in node.keys:
                    base = np.asarray(node.value, dtype=np.float64)

                    def loss(moved: Array, key: Key = key, base: Array = base) -> float:
                        return self._loss_with(key, moved - base)

                    total = total + numeric.gradient(loss, lambda: recorder.branches, base).value
            node.full = total
        return node.full

    def learn_aliases(self, events: list[Event], moving: set[Key]) -> None:
        """Values that the backward got from the cache under another name than the forward gave them."""
        own = {n.name.lower().replace("_", "") for n in self.nodes}
        for event in events:
            name = event.site.name.lower().replace("_", "")
            if (
                event.key in moving
                or event.site.kind not in ("assign", "argument")
                or not is_real(event.value)
                or name in own
                or not name
            ):
                continue
            same = [
                n
                for n in self.nodes
                if n.kind in ("assign", "after", "argument")
                and n.moves_loss
                and n.shape == np.shape(event.value)
                and np.array_equal(n.value, event.value)
            ]
            if same:
                self.aliases.setdefault(name, same)

    # -- looking up ---------------------------------------------------------------------------------------------

    def match(self, value: Any) -> Node | None:
        """Return the node whose true derivative this value is, or None."""
        array = np.asarray(value, dtype=np.float64)
        if not np.isfinite(array).all():
            return None
        size = float(np.abs(array).max())
        if size < 1e-11 * self.scale:
            return None
        signatures: dict[tuple[int, ...], list[Array]] = {}
        best: Node | None = None
        for node in self.nodes:
            if int(np.prod(node.shape)) != array.size or not node.moves_loss:
                continue
            if node.shape not in signatures:
                views = [array.reshape(node.shape)]
                if array.ndim > 1 and array.shape != node.shape:
                    views.append(array.T.reshape(node.shape))
                signatures[node.shape] = [signature(v) for v in views]
            norm = float(np.sqrt(np.sum(array**2))) * np.sqrt(2)
            for s in signatures[node.shape]:
                if np.abs(s - node.signature).max() <= 2e-6 * norm + 20 * node.error and (
                    best is None or _rank(node) < _rank(best)
                ):
                    best = node
        return best

    def named(self, name: str, size: int) -> list[Node]:
        """Nodes that a gradient of this name may belong to."""
        for stem in stems(name):
            if stem in self.aliases:
                found = [n for n in self.aliases[stem] if int(np.prod(n.shape)) == size]
                if found:
                    return found
            found = [
                n
                for n in self.nodes
                if n.name
                and n.kind != "use"
                and n.kind != "uses"
                and n.moves_loss
                and n.name.lower().replace("_", "") == stem
                and int(np.prod(n.shape)) == size
            ]
            if found:
                return found
        return []


def _rank(node: Node) -> int:
    """Named values before nameless ones, when several have the same derivative."""
    return {"argument": 0, "assign": 0, "after": 0, "item": 1, "part": 1, "return": 2, "use": 3, "uses": 4}.get(
        node.kind, 5
    )


def _spread(events: list[Event], count: int) -> list[Event]:
    """At most `count` events: all those outside loops, and as many rounds of the loops as can be afforded."""
    if count <= 0:
        return []
    return sorted(events, key=lambda e: (e.occurrence, e.order))[:count]


# ---------------------------------------------------------------------------------------------------------------
# Judging the backward


@dataclass
class Verdict:
    """What is known of one place of the backward."""

    site: Site
    status: str  # right, wrong, open, aside (does not depend on the upstream gradient)
    order: int
    events: list[Event]
    node: Node | None = None  # the value of the forward whose derivative this is, or should be
    error: float = 0.0
    final: bool = True
    follows: bool = False  # wrong only because an earlier line is
    leaf: str = ""  # the wrong output that this is
    partial: bool = False  # the derivative along some uses of the variable only
    still: bool = False  # does not move with the upstream gradient


@dataclass
class Location:
    """Where the fault is: suspects in the order of execution, and the first value known to be wrong."""

    suspects: list[Verdict]
    first_wrong: Verdict | None
    verdicts: list[Verdict]


def backward_events(subject: Subject, truth: Truth, overrides: dict[Key, Any]) -> tuple[list[Event], set[Key]]:
    """Record the backward, and tell which of its values depend on the upstream gradient."""
    recorder = subject.program.recorder
    with subject.program.watched("values"):
        subject.backward(lambda: recorder.reset(record=True, overrides=overrides))
        events = recorder.events or []
        recorder.reset()
        if subject.joint:
            forward = {k for n in truth.nodes if n.moves_loss for k in n.keys}
            known = {k for n in truth.nodes for k in n.keys}
            keys = {e.key for e in events if e.key not in forward and (e.key in known or not truth.complete)}
            return events, keys
        subject.backward(lambda: recorder.reset(record=True, overrides=overrides), seed=1)
        other = {e.key: e.value for e in recorder.events or []}
        recorder.reset()
    moving = {e.key for e in events if is_real(e.value) and not _same(e.value, other.get(e.key))}
    return events, moving


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) or isinstance(b, dict):
        return True  # what is in a dict is recorded where it is used
    if a is None or b is None or np.shape(a) != np.shape(b):
        return a is b
    return bool(np.array_equal(a, b, equal_nan=is_real(a) and is_real(b)))


def judge(
    subject: Subject, truth: Truth, events: list[Event], moving: set[Key], outputs: dict[str, tuple[Any, Array]]
) -> list[Verdict]:
    """Return a verdict for each place where the backward names a value; `outputs` maps a leaf to (yours, true)."""
    wrong = {leaf: np.asarray(yours) for leaf, (yours, true) in outputs.items() if not _agrees(yours, true)}
    truth.learn_aliases(events, moving)
    final_sites = _sites_of_outputs(events, wrong)
    by_site: dict[Any, list[Event]] = {}
    for event in events:
        if not is_real(event.value) and event.site.key not in final_sites:
            continue
        if event.site.defines and (event.key in moving or event.site.key in final_sites):
            by_site.setdefault(event.site.key, []).append(event)
        elif (
            event.site.kind == "argument"
            and event.key in moving
            and event.caller
            and event.caller[0] in subject.program.files
        ):
            by_site.setdefault((event.site.key, event.caller), []).append(event)
    last: dict[tuple[str, str], int] = {}
    for site_events in by_site.values():
        site = site_events[0].site
        if site.kind not in ("part", "return", "argument"):
            name = (site.function, site.name)
            last[name] = max(last.get(name, -1), site_events[-1].order)
    right = [(np.asarray(yours), true) for yours, true in outputs.values() if is_real(yours)]
    verdicts = []
    for site_events in by_site.values():
        site = site_events[0].site
        if site.kind == "argument":
            argument = _judge_argument(truth, site_events)
            if argument is not None:
                verdicts.append(argument)
            continue
        final = site.kind == "return" or (
            site.kind != "part" and last[site.function, site.name] == site_events[-1].order
        )
        verdict = Verdict(site, "open", site_events[0].order, site_events, final=final)
        verdicts.append(verdict)
        if site.key in final_sites:
            leaf, place = final_sites[site.key]
            verdict.events, verdict.order = [place], place.order
            nodes = [n for n in truth.nodes if n.kind == "argument" and n.name == leaf]
            verdict.status, verdict.node, verdict.leaf = "wrong", nodes[0] if nodes else None, leaf
            verdict.still = place.key not in moving
            continue
        sample = (
            site_events
            if len(site_events) <= 12
            else [site_events[i] for i in np.linspace(0, len(site_events) - 1, 12).astype(int)]
        )
        matches = [_is_output(e.value, right) or truth.match(e.value) for e in sample]
        if all(m is not None for m in matches):
            verdict.status, verdict.node = "right", matches[-1] if isinstance(matches[-1], Node) else None
            whole = truth.named(site.name, np.size(site_events[-1].value)) if final and site.kind != "part" else []
            exact = bool(whole) and (stems(site.name) or [""])[0] in (
                whole[0].name.lower().replace("_", ""),
                *truth.aliases,
            )
            if verdict.node is not None and verdict.node.kind in ("use", "uses") and whole and exact:
                # Right as far as it goes, but not the derivative that the name promises: a part may be missing.
                verdict.status, verdict.partial, verdict.node = "open", True, whole[0]
            elif (
                whole
                and exact
                and verdict.node is not None
                and not any(_agrees_with(site_events[-1].value, n) for n in whole)
            ):
                # The derivative of something else than the name says.
                verdict.status, verdict.node = "open", whole[0]
        elif final and site.kind not in ("part", "return"):
            _judge_by_name(verdict, truth)
    return sorted(verdicts, key=lambda v: v.order)


def _agrees(yours: Any, true: Array) -> bool:
    value = np.asarray(yours)
    if value.shape != true.shape or value.dtype.kind != "f":
        return False
    return numeric.relative_error(value, np.where(np.isnan(true), value, true)) <= 10 * numeric.RIGHT


def _is_output(value: Any, outputs: list[tuple[Array, Array]]) -> bool | None:
    array = np.asarray(value)
    for _, true in outputs:
        if array.shape == true.shape and _agrees(array, true) and true.any():
            return True
    return None


def _sites_of_outputs(events: list[Event], wrong: dict[str, Any]) -> dict[int, tuple[str, Event]]:
    """Find the places that named the wrong outputs: by the name if it fits, else by value.

    The last before the return.
    """
    sites: dict[int, tuple[str, Event]] = {}
    for leaf, value in wrong.items():
        same = [
            e
            for e in events
            if e.site.defines
            and e.site.kind != "part"
            and isinstance(e.value, np.ndarray | np.generic)
            and np.shape(e.value) == value.shape
            and np.asarray(e.value).dtype == value.dtype
            and np.array_equal(e.value, value, equal_nan=True)
        ]
        plain = leaf.lower().replace("_", "")
        named = [e for e in same if stems(e.site.name)[:1] == [plain] or e.site.name.lower().replace("_", "") == plain]
        named = named or [e for e in same if plain in stems(e.site.name)][-1:]
        assigned = [
            e for e in same if e.site.kind in ("assign", "after") and not stems_of_another(e.site.name, leaf, wrong)
        ]
        returned = [e for e in same if e.site.kind == "return"]
        for event in (named or assigned[-1:])[:1] + returned[-1:]:
            sites.setdefault(event.site.key, (leaf, event))
    return sites


def stems_of_another(name: str, leaf: str, leaves: Iterable[str]) -> bool:
    """Whether a name says that it is the gradient of another leaf."""
    said = stems(name)
    return any(other != leaf and other.lower().replace("_", "") in said for other in leaves)


def _judge_argument(truth: Truth, events: list[Event]) -> Verdict | None:
    """Judge the gradient given to a helper `x_backward`: it should be that of what `x_forward` returned."""
    first = events[0]
    assert first.caller is not None
    match = BACKWARD.match(first.site.function.rpartition(".")[2])
    if match is None:
        return None
    partners = [
        n
        for n in truth.nodes
        if n.kind == "return"
        and n.moves_loss
        and n.shape == np.shape(first.value)
        and (m := FORWARD.match(n.function.rpartition(".")[2]))
        and m["base"] == match["base"]
    ]
    if not partners:
        return None
    path, line, function = first.caller
    site = Site(first.site.key, "argument", first.site.name, path, line, function, False)
    astray = [e for e in events if not any(fits(e.value, n) for n in partners)]
    if astray:
        return Verdict(site, "wrong", astray[0].order, astray[:1], partners[0])
    return Verdict(site, "right", first.order, events, partners[0])


def fits(value: Any, node: Node) -> bool:
    """Whether a value is the true derivative of a node of its shape."""
    array = np.asarray(value, dtype=np.float64)
    norm = float(np.sqrt(np.sum(array**2))) * np.sqrt(2)
    return bool(np.abs(signature(array) - node.signature).max() <= 2e-6 * norm + 20 * node.error)


def _agrees_with(value: Any, node: Node) -> bool:
    return fits(np.asarray(value).reshape(node.shape), node)


def _judge_by_name(verdict: Verdict, truth: Truth) -> None:
    """Wrong, if its name says what it should be and it is not."""
    value = np.asarray(verdict.events[-1].value, dtype=np.float64)
    candidates = truth.named(verdict.site.name, value.size)
    if not candidates:
        return
    if len(verdict.events) > 1 and len(candidates) % len(verdict.events) == 0 and not verdict.site.in_loop:
        # One call per layer, in the opposite order: the last candidate belongs to the first event.
        candidates = [candidates[-1 - i] for i in range(0, len(candidates), len(candidates) // len(verdict.events))]
        for event, node in zip(verdict.events, candidates, strict=False):
            if np.shape(event.value) == node.shape and truth.match(event.value) is None:
                verdict.status, verdict.node = "wrong", node
                verdict.events, verdict.order = [event], event.order
                return
    verdict.status = "wrong"
    verdict.node = min(candidates, key=lambda n: float(np.abs(signature(value.reshape(n.shape)) - n.signature).max()))


def locate(
    subject: Subject,
    truth: Truth,
    verdicts: list[Verdict],
    events: list[Event],
    wrong_outputs: Iterable[str],
    overrides: dict[Key, Any],
    truths: dict[str, Array],
) -> Location:
    """Narrow the fault down to as few places as the values allow."""
    wrong_outputs = list(wrong_outputs)
    recorder = subject.program.recorder
    right = {e.key: e.value for v in verdicts if v.status == "right" for e in v.events}
    plain = {e.key: e.value for e in events}

    def effects(verdict: Verdict) -> tuple[set[Key], set[str]]:
        """Return what changes, among values and outputs, when this one does (right values held fast)."""
        held = {**right, **overrides}
        with subject.program.watched("values"), np.errstate(all="ignore"):
            try:
                got = subject.backward(
                    lambda: recorder.reset(record=True, nudge=(verdict.site.key, None, _shaken), overrides=held)
                )
            except Exception:
                return set(), set(wrong_outputs)
        changed = {e.key for e in recorder.events or [] if e.key in plain and not _same(plain[e.key], e.value)}
        return changed, {leaf for leaf in wrong_outputs if leaf in got and not _same(base.get(leaf), got[leaf])}

    with subject.program.watched("values"):
        base = subject.backward(lambda: recorder.reset(overrides={**right, **overrides}))
    for verdict in verdicts:
        if verdict.status != "right" and not verdict.leaf and verdict.node is not None and len(verdict.events) == 1:
            _confirm_by_cure(subject, truth, verdict, wrong_outputs, overrides, truths)
    doubtful = [v for v in verdicts if v.status in ("open", "wrong")]
    reach: dict[int, tuple[set[Key], set[str]]] = {}
    for verdict in doubtful:
        reach[verdict.site.key] = effects(verdict)
    doubtful = [v for v in doubtful if reach[v.site.key][1] or (v.status == "wrong" and v.leaf in wrong_outputs)]
    wrong = [v for v in doubtful if v.status == "wrong"]
    first = wrong[0] if wrong else None
    suspects = doubtful
    if first is not None:
        keys = {e.key for e in first.events}
        suspects = [v for v in doubtful if v is first or (v.order < first.order and reach[v.site.key][0] & keys)]
        # A return or `after` only passes on what a line before it computed, where such a line is under suspicion too.
        for later in wrong[1:]:
            later.follows = bool(reach[first.site.key][0] & {e.key for e in later.events})
    return Location(suspects, first, verdicts)


def _confirm_by_cure(
    subject: Subject,
    truth: Truth,
    verdict: Verdict,
    wrong: list[str],
    overrides: dict[Key, Any],
    truths: dict[str, Array],
) -> None:
    """Call a value wrong if putting the true derivative in its place cures an output.

    A `dmu` of the opposite sign may be meant so, and subtracted later: then the true one cures nothing.
    """
    node = verdict.node
    value = np.asarray(verdict.events[0].value)
    if node is None or node.shape != value.shape:
        return
    opposite = fits(-value, node)
    cured = _cures(subject, verdict.events[0].key, truth.full(node), wrong, overrides, truths)
    verdict.status = "wrong" if cured else "right" if opposite else "open"


def _cures(
    subject: Subject, key: Key, value: Array, wrong: list[str], overrides: dict[Key, Any], truths: dict[str, Array]
) -> bool:
    recorder = subject.program.recorder
    with subject.program.watched("values"), np.errstate(all="ignore"):
        try:
            got = subject.backward(lambda: recorder.reset(overrides={**overrides, key: value}))
        except Exception:
            return False
    return any(leaf in got and _agrees(got[leaf], truths[leaf]) for leaf in wrong)


def _shaken(value: Any) -> Any:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(np.shape(value))
    size = float(np.sqrt(np.mean(np.square(np.asarray(value, dtype=np.float64))))) or 1.0
    shaken = value * 1.25 + 0.5 * size * noise
    return shaken.astype(value.dtype) if isinstance(value, np.ndarray) else float(shaken)
