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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import numeric
from backpass.check.nested import stems
from backpass.check.pairs import BACKWARD, FORWARD
from backpass.check.recorder import Allowance, Event, Site, is_real
from backpass.check.subject import Layer, Subject

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
    rough: Array | None = None


class Truth:
    """The true derivatives of everything that the forward computes, measured on demand."""

    def __init__(self, subject: Subject, budget_s: float = 1.5) -> None:
        self.subject, self.budget_s = subject, budget_s
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
            subject.loss(subject.leaves)
            self.events = recorder.events or []
            once = recorder.reckoned(self._loss_unmoved)
            self.unmoved = self._loss_unmoved(), recorder.branches
            real = [
                e
                for e in self.events
                if is_real(e.value) and not (isinstance(e.value, float) and not isinstance(e.value, np.generic))
            ]
            named = [e for e in real if e.site.defines or e.site.kind == "argument"]
            others = [e for e in real if e.site.kind in ("use", "expression")]
            affordable = int(self.budget_s / (once * 8))
            chosen = _spread(named, affordable)
            chosen += _spread(others, affordable - len(chosen))
            self.complete = len(chosen) == len(real)
            safety = Allowance(recorder, 3 * self.budget_s)
            for event in sorted(chosen, key=lambda e: e.order):
                if not safety.left():
                    self.complete = False
                    break
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

        recorder.reset(nudge=(key[0], key[1], nudge))
        return self.subject.loss(self.subject.leaves)

    def _loss_unmoved(self) -> float:
        self.subject.program.recorder.reset()
        return self.subject.loss(self.subject.leaves)

    def _sign(self, node: Node) -> None:
        recorder = self.subject.program.recorder
        typical = float(np.sqrt(np.mean(np.square(np.asarray(node.value, dtype=np.float64))))) or 1.0
        components = []
        for u in directions(node.shape):
            losses: set[float] = set()

            def along(t: float, u: Array = u, seen: set[float] = losses) -> float:
                if t == 0:
                    loss, recorder.branches = self.unmoved
                else:
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
            if node.kind in ("use", "return") and node.name and node.moves_loss:
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
        self.quick(node)
        if node.full is None:
            with self.subject.program.watched("exact") as recorder:
                total = np.zeros(node.shape)
                for key in node.keys:
                    loss = partial(self._loss_at, key, node.value)
                    total = total + numeric.gradient(loss, lambda: recorder.branches, node.value).value
            node.full = total
        return node.full

    def quick(self, node: Node) -> Array:
        """Return the derivative of one value by plain differences: good to five digits at least, for trying out.

        It is the full one where it agrees, to eight digits, with the components that are known.
        """
        if node.full is not None:
            return node.full
        if node.rough is None:
            node.rough, same = np.zeros(node.shape), True
            with self.subject.program.watched("exact") as recorder:
                for key in node.keys:
                    loss = partial(self._loss_at, key, node.value)
                    value, steady = numeric.differences(loss, lambda: recorder.branches, node.value)
                    node.rough, same = node.rough + value, same and steady
            if same and not node.kink:
                near = 1e-8 * float(np.sqrt(np.sum(node.rough**2))) + 20 * node.error
                if np.abs(signature(node.rough) - node.signature).max() <= near:
                    node.full = node.rough
        return node.rough if node.full is None else node.full

    def _loss_at(self, key: Key, base: Any, moved: Array) -> float:
        return self._loss_with(key, moved - np.asarray(base, dtype=np.float64))

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
                and n.kind not in ("use", "uses")
                and n.moves_loss
                and n.name.lower().replace("_", "") == stem
                and int(np.prod(n.shape)) == size
            ]
            if found:  # what is returned may be used elsewhere as well: its return is one of the uses
                return [n for n in found if n.kind != "return"] or found
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
    exact: bool = False  # right, and the derivative of just what its name says
    named: list[Node] = field(default_factory=list)  # all values of the forward that its name may mean


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
            return events, keys - _handed_on(events, forward)
        subject.backward(lambda: recorder.reset(record=True, overrides=overrides), seed=1)
        other = {e.key: e.value for e in recorder.events or []}
        recorder.reset()
    if isinstance(subject, Layer) and not subject.binding.takes_upstream:
        return events, {e.key for e in events if is_real(e.value)}
    moving = {e.key for e in events if is_real(e.value) and not _same(e.value, other.get(e.key))}
    return events, moving


def _handed_on(events: list[Event], forward: set[Key]) -> set[Key]:
    """Find what a joint function takes from its own forward, as it was: unpacked from a cache, read from a list."""
    computed = {_exactly(e) for e in events if e.key in forward and is_real(e.value)}
    passing = (e for e in events if e.site.kind in ("assign", "item") and is_real(e.value))
    return {e.key for e in passing if _exactly(e) in computed}


def _exactly(event: Event) -> tuple[int, tuple[int, ...], bytes]:
    return event.ident, np.shape(event.value), np.asarray(event.value).tobytes()


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
        place = event.site.key, event.site.name
        if not is_real(event.value) and place not in final_sites:
            continue
        if event.site.defines and (event.key in moving or place in final_sites):
            by_site.setdefault(place, []).append(event)
        elif (
            event.site.kind == "argument"
            and event.key in moving
            and event.caller
            and event.caller[0] in subject.program.files
        ):
            by_site.setdefault((event.site.key, event.caller), []).append(event)
    last: dict[tuple[str, str], Event] = {}
    for site_events in by_site.values():
        event = site_events[-1]
        if event.site.kind not in ("part", "return", "argument"):
            name = (event.site.function, event.site.name)
            last[name] = max(last.get(name, event), event, key=lambda e: e.order)
    right = [(np.asarray(yours), true) for yours, true in outputs.values() if is_real(yours)]
    verdicts = []
    for site_events in _calls_apart(by_site):
        site = site_events[0].site
        if site.kind == "argument":
            argument = _judge_argument(truth, site_events)
            if argument is not None:
                verdicts.append(argument)
            continue
        final = site.kind == "return" or (site.kind != "part" and last[site.function, site.name].site.key == site.key)
        verdict = Verdict(site, "open", site_events[0].order, site_events, final=final)
        verdicts.append(verdict)
        if (site.key, site.name) in final_sites:
            leaf, output = final_sites[site.key, site.name]
            if output not in site_events:
                verdicts.pop()  # the same line for another layer
                continue
            verdict.events, verdict.order = [output], output.order
            nodes = [n for n in truth.nodes if n.kind == "argument" and n.name == leaf]
            verdict.status, verdict.node, verdict.leaf = "wrong", nodes[0] if nodes else None, leaf
            verdict.still = output.key not in moving
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
            verdict.exact = exact
            some = verdict.node is not None and verdict.node.kind in ("use", "uses", "return")
            if some and whole and exact and not _agrees_with(site_events[-1].value, whole[0]):
                # Right as far as it goes, but not the derivative that the name promises: a part may be missing.
                verdict.status, verdict.partial, verdict.node, verdict.named = "open", True, whole[0], whole
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


def _calls_apart(by_site: dict[Any, list[Event]], few: int = 8) -> Iterator[list[Event]]:
    """Take the values of one place one by one, where they are few: a helper called for each layer, a step in time."""
    for events in by_site.values():
        if len(events) <= few and events[0].site.kind not in ("part", "argument"):
            yield from ([e] for e in events)
        else:
            yield events


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


def _sites_of_outputs(events: list[Event], wrong: dict[str, Any]) -> dict[tuple[int, str], tuple[str, Event]]:
    """Find the places that named the wrong outputs: by the name if it fits, else by value.

    The last before the return.
    """
    sites: dict[tuple[int, str], tuple[str, Event]] = {}
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
            sites.setdefault((event.site.key, event.site.name), (leaf, event))
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
    verdict.named = candidates
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
        which = verdict.events[0].occurrence if len(verdict.events) == 1 else None
        with subject.program.watched("values"), np.errstate(all="ignore"):
            try:
                got = subject.backward(
                    lambda: recorder.reset(record=True, nudge=(verdict.site.key, which, _shaken), overrides=held)
                )
            except Exception:
                return set(), set(wrong_outputs)
        changed = {e.key for e in recorder.events or [] if e.key in plain and not _same(plain[e.key], e.value)}
        return changed, {leaf for leaf in wrong_outputs if leaf in got and not _same(base.get(leaf), got[leaf])}

    with subject.program.watched("values"):
        base = subject.backward(lambda: recorder.reset(overrides={**right, **overrides}))
    cure = Cure(subject, truth, wrong_outputs, overrides, truths)
    cure.found = [v.node.signature for v in verdicts if v.status == "right" and v.node is not None]
    for verdict in verdicts:
        unsure = verdict.status != "right" and not verdict.leaf
        if unsure and verdict.node is not None and len(verdict.events) == 1 and not cure.late():
            _confirm_by_cure(cure, verdict)
    doubtful = [v for v in verdicts if v.status in ("open", "wrong")]
    reach = {id(v): effects(v) for v in doubtful}
    doubtful = [v for v in doubtful if reach[id(v)][1] or (v.status == "wrong" and v.leaf in wrong_outputs)]
    stored = {}  # names whose arrays are changed in place, and when last
    for event in events:
        if event.site.kind == "after":
            stored[event.site.function, event.site.name] = event.order
    for verdict in doubtful:
        if verdict.status == "wrong" and not verdict.leaf:
            break
        unfinished = stored.get((verdict.site.function, verdict.site.name), -1) > verdict.order
        if verdict.status == "open" and not unfinished and _is_wrong_unnamed(cure, verdict):
            break
    wrong = [v for v in doubtful if v.status == "wrong"]
    first = wrong[0] if wrong else None
    suspects = doubtful
    if first is not None:
        keys = {e.key for e in first.events}
        suspects = [v for v in doubtful if v is first or (v.order < first.order and reach[id(v)][0] & keys)]
        # A return or `after` only passes on what a line before it computed, where such a line is under suspicion too.
        for later in wrong[1:]:
            later.follows = bool(reach[id(first)][0] & {e.key for e in later.events})
    return Location(suspects, first, verdicts)


class Cure:
    """Whether a true derivative, put in the place of a value of the backward, makes wrong gradients right."""

    def __init__(
        self,
        subject: Subject,
        truth: Truth,
        wrong: list[str],
        overrides: dict[Key, Any],
        truths: dict[str, Array],
        budget_s: float = 0.8,
    ) -> None:
        self.subject, self.truth, self.wrong = subject, truth, wrong
        self.overrides, self.truths = overrides, truths
        self.base = self._run({})
        self.found: list[Array] = []  # signatures of derivatives that the backward has computed rightly
        self.allowance = Allowance(subject.program.recorder, budget_s)

    def _run(self, more: dict[Key, Any]) -> dict[str, Any]:
        recorder = self.subject.program.recorder
        with self.subject.program.watched("values"), np.errstate(all="ignore"):
            try:
                return self.subject.backward(lambda: recorder.reset(overrides={**self.overrides, **more}))
            except Exception:
                return {}

    def by(self, key: Key, value: Array) -> bool:
        """Whether, with this value, some output changes where it was wrong, and is right wherever it changes."""
        got = self._run({key: value})
        for leaf, true in self.truths.items():
            if leaf not in self.wrong and leaf in got and not _agrees(got[leaf], true):
                return False  # it spoils what was right
        for leaf in self.wrong:
            true, before, after = self.truths[leaf], self.base.get(leaf), got.get(leaf)
            if before is None or after is None or np.shape(before) != true.shape or np.shape(after) != true.shape:
                if after is not None and _agrees(after, true):
                    return True
                continue
            near = 1e-5 * float(np.nanmax(np.abs(true), initial=0.0))
            changed = np.abs(np.asarray(after) - before) > near
            if changed.any() and not (np.abs(np.asarray(after) - true)[changed] > near).any():
                return True
        return False

    def late(self) -> bool:
        """Whether enough has been done."""
        return not self.allowance.left()


def _confirm_by_cure(cure: Cure, verdict: Verdict) -> None:
    """Call a value wrong if putting the true derivative in its place cures an output.

    A `dmu` of the opposite sign may be meant so, and subtracted later: then the true one cures nothing.
    """
    value = np.asarray(verdict.events[0].value)
    nodes = [n for n in [*verdict.named, verdict.node] if n is not None and n.shape == value.shape]
    if not nodes:
        return
    for node in nodes:
        if cure.by(verdict.events[0].key, cure.truth.quick(node)):
            verdict.status, verdict.node = "wrong", node
            return
    verdict.status = "right" if any(fits(-value, n) for n in nodes) else "open"


def _is_wrong_unnamed(cure: Cure, verdict: Verdict, most: int = 200) -> bool:
    """Whether a value should have been the derivative of some value of the forward, whatever either is called."""
    event = next((e for e in verdict.events if is_real(e.value) and cure.truth.match(e.value) is None), None)
    if event is None or verdict.site.kind != "assign" or not 1 < np.size(event.value) <= most:
        return False
    if cure.truth.match(-np.asarray(event.value)) is not None:
        return False  # of the opposite sign on purpose: of `-x` in the forward, or to be subtracted
    tried = list(cure.found)
    for node in cure.truth.nodes:
        if node.shape != np.shape(event.value) or not node.moves_loss or node.kink:
            continue
        if any(np.allclose(node.signature, s, rtol=1e-6, atol=0) for s in tried):
            continue
        if cure.late():
            return False
        tried.append(node.signature)
        if cure.by(event.key, cure.truth.quick(node)):
            verdict.status, verdict.node, verdict.events, verdict.order = "wrong", node, [event], event.order
            return True
    return False


def _shaken(value: Any) -> Any:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(np.shape(value))
    size = float(np.sqrt(np.mean(np.square(np.asarray(value, dtype=np.float64))))) or 1.0
    shaken = value * 1.25 + 0.5 * size * noise
    return shaken.astype(value.dtype) if isinstance(value, np.ndarray) else float(shaken)
