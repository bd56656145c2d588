"""Grading a learner's own files of the assignment, function by function, without showing a solution.

The learner's code runs in a separate process with a time limit for each function and a memory limit; if the process dies
or hangs, that function has failed and the next process goes on behind it.  Truth is `backpass.cs231n`.  A learner's nets
are judged on correct layers (ours in place of theirs), so that one fault is reported once.

Where values are wrong, the gradient doctor (`backpass.check`) is asked for the line and the kind of slip; of what it says
only that is passed on, never its correction.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import inspect
import io
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..check.causes import CAUSES
from ..check.report import Report
from ..errors import ArgumentError
from ..layers.base import Array
from . import layers as right_layers
from . import optim as right_optim
from .classifiers import cnn as right_cnn
from .classifiers import fc_net as right_fc_net
from .links import MODULES

FILES = {
    "layers.py": "layers",
    "optim.py": "optim",
    "fc_net.py": "classifiers.fc_net",
    "cnn.py": "classifiers.cnn",
}
RULES = ("sgd", "sgd_momentum", "rmsprop", "adam")
OPTIONAL = ("svm_loss", "TwoLayerNet")  # not in every year
STATUSES = ("passed", "wrong", "missing", "not finished")


@dataclass
class Grade:
    """What came out for one function: its file, its name, a status, and a sentence.

    Where the gradient doctor found the fault, `cause` is its key in `backpass.check.causes.CAUSES` and `line` is its line.
    """

    file: str
    function: str
    status: str
    sentence: str
    cause: str = ""
    line: int = 0


class WrongError(Exception):
    """A learner's function differs; the message says in what."""


class WrongArrayError(WrongError):
    """An array has the wrong shape or values; for a net, `net` is the one that was judged, with its X and y."""

    def __init__(self, message: str, net: tuple[Any, Array, Array] | None = None) -> None:
        super().__init__(message)
        self.net = net


class UnfinishedError(Exception):
    """A learner's function returns nothing yet."""


# -- the questions -------------------------------------------------------------------------------------------------


def _randn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def _pairs() -> dict[str, tuple[str, tuple[Array, ...], Callable[[], tuple[Any, ...]]]]:
    """Return for each backward its forward, arrays and settings."""
    norm = (_randn(5, 4) * 3 + 2, _randn(4), _randn(4, seed=1))
    image = (_randn(2, 6, 4, 5) + 1, _randn(6), _randn(6, seed=1))
    group = (image[0], image[1].reshape(1, 6, 1, 1), image[2].reshape(1, 6, 1, 1))
    conv, pool = {"stride": 2, "pad": 1}, {"pool_height": 2, "pool_width": 3, "stride": 1}
    drop = {"mode": "train", "p": 0.6, "seed": 5}

    def train() -> tuple[Any, ...]:
        return ({"mode": "train"},)

    return {
        "affine_backward": ("affine_forward", (_randn(4, 2, 3), _randn(6, 5), _randn(5)), tuple),
        "relu_backward": ("relu_forward", (_randn(4, 2, 3),), tuple),
        "batchnorm_backward": ("batchnorm_forward", norm, train),
        "batchnorm_backward_alt": ("batchnorm_forward", norm, train),
        "layernorm_backward": ("layernorm_forward", norm, lambda: ({},)),
        "dropout_backward": ("dropout_forward", (_randn(6, 7),), lambda: (dict(drop),)),
        "conv_backward_naive": (
            "conv_forward_naive",
            (_randn(2, 3, 5, 7), _randn(4, 3, 3, 2), _randn(4)),
            lambda: (dict(conv),),
        ),
        "max_pool_backward_naive": ("max_pool_forward_naive", (_randn(2, 3, 4, 5),), lambda: (dict(pool),)),
        "spatial_batchnorm_backward": ("spatial_batchnorm_forward", image, train),
        "spatial_groupnorm_backward": ("spatial_groupnorm_forward", group, lambda: (3, {})),
    }


def names_in(file: str) -> list[str]:
    """Return what is graded in a file of the course.

    Examples
    --------
    >>> names_in("optim.py")
    ['sgd', 'sgd_momentum', 'rmsprop', 'adam']
    """
    if file == "optim.py":
        return list(RULES)
    if file == "layers.py":
        both = [name for back, (forward, *_) in _pairs().items() for name in (forward, back)]
        return [*dict.fromkeys(both), "softmax_loss", "svm_loss"]
    return ["TwoLayerNet", "FullyConnectedNet"] if file == "fc_net.py" else ["ThreeLayerConvNet"]


def _call(function: Callable[..., Any], *arguments: Any, parts: int) -> tuple[Any, ...]:
    """Call a learner's function and return its results, `parts` of them."""
    result = function(*arguments)
    given = (result,) if parts == 1 else result
    if result is None or (isinstance(given, tuple) and given and given[0] is None):
        raise UnfinishedError
    if not isinstance(given, tuple) or len(given) != parts:
        raise WrongError(
            f"It should return {parts} values and returned {len(given) if isinstance(given, tuple) else 1}."
        )
    return given


def _same(what: str, mine: Any, truth: Any, tolerance: float = 1e-6) -> None:
    """Raise WrongArrayError that says how an array differs."""
    truth = np.asarray(truth)
    if mine is None:
        raise UnfinishedError
    mine = np.asarray(mine)
    if mine.shape != truth.shape:
        raise WrongArrayError(f"The shape of {what} is {mine.shape} and should be {truth.shape}.")
    if mine.dtype.kind not in "fiu":
        raise WrongArrayError(f"The dtype of {what} is {mine.dtype} and should be {truth.dtype}.")
    error = np.abs(mine - truth)
    if not np.isfinite(mine).all():
        raise WrongArrayError(f"{what} holds NaN or infinity.")
    if error.size and (error > tolerance * (1 + np.abs(truth))).any():
        share = (error > tolerance * (1 + np.abs(truth))).mean()
        raise WrongArrayError(
            f"The values of {what} are wrong ({share:.0%} of its elements, by up to {error.max():.2g})."
        )


def _frozen(value: Any) -> Any:
    """Return a copy that comparing tells from a changed original."""
    return copy.deepcopy(value)


def _changed(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray):
        return not (isinstance(after, np.ndarray) and np.array_equal(before, after, equal_nan=True))
    if isinstance(before, dict):
        return before.keys() != after.keys() or any(_changed(before[k], after[k]) for k in before)
    if isinstance(before, (tuple, list)):
        return len(before) != len(after) or any(map(_changed, before, after))
    if hasattr(before, "__dict__"):
        return _changed(vars(before), vars(after))
    return isinstance(before, (int, float, str)) and before != after


def _grade_forward(module: ModuleType, name: str) -> None:
    _, arrays, settings = next((b, a, s) for b, (f, a, s) in _pairs().items() if f == name)
    mine, truth = getattr(module, name), getattr(right_layers, name)
    given, before = [a.copy() for a in arrays], [a.copy() for a in arrays]
    chosen, right = settings(), settings()
    wanted, _ = truth(*arrays, *right)
    out, _ = _call(mine, *given, *chosen, parts=2)
    _same("out", out, wanted)
    if _changed(before, given):
        raise WrongError("It changes its input arrays.")
    if "batchnorm" in name:
        for key in ("running_mean", "running_var"):
            if key not in chosen[0]:
                raise WrongError(f"It does not store {key} in bn_param.")
            _same(key, chosen[0][key], right[0][key])
    else:
        again, _ = _call(mine, *given, *settings(), parts=2)
        if _changed(np.asarray(out), np.asarray(again)):
            raise WrongError("A second call with the same arguments gives another result.")
    ordered = [np.asfortranarray(a) for a in arrays]
    _same("out for an input that is not contiguous", _call(mine, *ordered, *settings(), parts=2)[0], wanted)
    single = [a.astype(np.float32) for a in arrays]
    kind = np.asarray(_call(mine, *single, *settings(), parts=2)[0]).dtype
    if name in ("affine_forward", "relu_forward", "dropout_forward") and kind != np.float32:
        raise WrongError(f"The dtype of out is {kind} for float32 inputs and should be float32.")
    if right and isinstance(right[0], dict) and "mode" in right[0]:
        tests = [{**r[0], "mode": "test"} for r in (right, right)]
        wanted, _ = truth(*arrays, tests[0])
        result = mine(*given, tests[1])
        try:
            _same("out in test mode", result[0] if isinstance(result, tuple) else None, wanted)
        except WrongError as error:
            raise WrongError(f"Training is right, the test-mode formula is not: {error}") from None


def _grade_backward(module: ModuleType, name: str) -> None:
    forward, arrays, settings = _pairs()[name]
    if not callable(getattr(module, forward, None)):
        raise WrongError(f"It cannot be judged before {forward} exists.")
    out, cache = _call(getattr(module, forward), *(a.copy() for a in arrays), *settings(), parts=2)
    wanted_out, right_cache = getattr(right_layers, forward)(*arrays, *settings())
    dout = _randn(*wanted_out.shape, seed=7)
    wanted = getattr(right_layers, name)(dout, right_cache)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    if np.shape(out) != wanted_out.shape:
        raise WrongError(f"It cannot be judged before {forward} returns the right shape.")
    before, upstream = _frozen(cache), dout.copy()
    mine = getattr(module, name)
    found = _call(mine, upstream, cache, parts=len(wanted))
    names = ("dx", "dgamma", "dbeta") if "norm" in name else ("dx", "dw", "db")
    for what, got, truth in zip(names, found, wanted, strict=False):
        _same(what, got, truth, 1e-5)
    found = tuple(np.array(g) for g in found)
    if _changed(dout, upstream):
        raise WrongError("It changes dout, which belongs to the caller.")
    if _changed(before, cache):
        raise WrongError("It changes the cache, so that a second backward on it would be wrong.")
    if _changed(found, tuple(np.asarray(g) for g in _call(mine, upstream, cache, parts=len(wanted)))):
        raise WrongError("A second call with the same arguments gives another result.")


def _loss_case() -> tuple[Array, Array]:
    return _randn(6, 4) * 3, np.array([0, 1, 2, 3, 3, 0])


def _grade_loss(module: ModuleType, name: str) -> None:
    x, y = _loss_case()
    given = x.copy()
    loss, dx = _call(getattr(module, name), given, y, parts=2)
    wanted, gradient = getattr(right_layers, name)(x, y)
    _same("the loss", loss, wanted)
    _same("dx", dx, gradient)
    if _changed(x, given):
        raise WrongError("It changes the scores it was given.")
    if name == "softmax_loss":
        with np.errstate(all="ignore"):
            far, _ = _call(getattr(module, name), x * 1e4, y, parts=2)
        _same("the loss of scores around 10,000", far, right_layers.softmax_loss(x * 1e4, y)[0])


def _grade_rule(module: ModuleType, name: str) -> None:
    w = _randn(4, 3)
    mine, truth, config, right = w.copy(), w.copy(), {"learning_rate": 0.05}, {"learning_rate": 0.05}
    for step in range(3):
        dw = _randn(4, 3, seed=step)
        mine, config = _call(getattr(module, name), mine, dw, config, parts=2)
        truth, right = getattr(right_optim, name)(truth, dw, right)
        _same(f"next_w after step {step + 1}", mine, truth, 1e-5)
        for key, value in right.items():
            if key not in config:
                raise WrongError(f"The config it returns has no {key!r}.")
            _same(f"config[{key!r}] after step {step + 1}", config[key], value, 1e-5)
    _call(getattr(module, name), w.copy(), w, parts=2)  # without a config


def _grade_net(make: Callable[[], Any], truth: Any, X: Array, y: Array, *, reg: float = 0.7) -> None:
    """Compare a learner's net with ours, which gets the learner's parameters."""
    net = make()
    if not getattr(net, "params", None):
        raise UnfinishedError
    for name, value in truth.params.items():
        if name not in net.params:
            raise WrongError(f"params has no {name!r}.")
        if np.shape(net.params[name]) != value.shape:
            what = "A bias should be one-dimensional" if name[0] == "b" else "Its shape is wrong"
            raise WrongError(f"params[{name!r}] has the shape {np.shape(net.params[name])}, not {value.shape}. {what}.")
    extra = sorted(net.params.keys() - truth.params.keys())
    if extra:
        raise WrongError(f"params has {extra[0]!r}, which the net does not need (the last layer is not normalised).")
    try:
        _compare_nets(net, truth, X, y, reg)
    except WrongArrayError as error:
        raise WrongArrayError(str(error), (net, X, y)) from None


def _compare_nets(net: Any, truth: Any, X: Array, y: Array, reg: float) -> None:
    rng = np.random.default_rng(3)
    for name in truth.params:
        value = 0.3 * rng.standard_normal(truth.params[name].shape)
        truth.params[name], net.params[name] = value, value.copy()
    truth.reg = net.reg = 0.0
    loss, grads = truth.loss(X, y)
    found = _call(net.loss, X, y, parts=2)
    _same("the loss without regularisation", found[0], loss, 1e-5)
    for name, gradient in grads.items():
        if name not in found[1]:
            raise WrongError(f"grads has no {name!r}.")
        _same(f"grads[{name!r}]", found[1][name], gradient, 1e-5)
    truth.reg = net.reg = reg
    loss, grads = truth.loss(X, y)
    value, found_grads = _call(net.loss, X, y, parts=2)
    _same("the loss with regularisation (weights only, factor 0.5; not biases, gamma or beta)", value, loss, 1e-5)
    for name, gradient in grads.items():
        _same(f"grads[{name!r}] with regularisation", found_grads[name], gradient, 1e-5)
    _same("the scores in test mode", net.loss(X), truth.loss(X), 1e-5)


def _grade_fc(module: ModuleType, name: str) -> None:
    X, y = _randn(5, 6), np.array([0, 1, 2, 2, 1])
    cls = getattr(module, name)
    if name == "TwoLayerNet":
        sizes: dict[str, Any] = {"input_dim": 6, "hidden_dim": 5, "num_classes": 3}
        _grade_net(partial(cls, **sizes), right_fc_net.TwoLayerNet(**sizes), X, y)
        return
    for hidden in ([5, 4], [5]):
        for norm in (None, "batchnorm", "layernorm"):
            settings: dict[str, Any] = {"input_dim": 6, "num_classes": 3, "normalization": norm, "dtype": np.float64}
            said = f"{len(hidden)} hidden layer{'s' * (len(hidden) > 1)}, normalization={norm!r}"
            truth = right_fc_net.FullyConnectedNet(hidden, **settings)
            _in_words(f"With {said}: ", lambda truth=truth: _grade_net(partial(cls, hidden, **settings), truth, X, y))  # type: ignore[misc] # noqa: B023
    keyword = "dropout" if "dropout" in inspect.signature(cls).parameters else "dropout_keep_ratio"
    settings = {"input_dim": 6, "num_classes": 3, "dtype": np.float64, "seed": 123}
    truth = right_fc_net.FullyConnectedNet([5, 4], dropout_keep_ratio=0.5, **settings)
    make = partial(cls, [5, 4], **{keyword: 0.5}, **settings)
    _in_words(f"With {keyword}=0.5 and seed=123: ", lambda: _grade_net(make, truth, X, y))
    net = cls([5], input_dim=6, num_classes=3, dtype=np.float32)
    wrong = [name for name, value in net.params.items() if value.dtype != np.float32]
    if wrong:
        raise WrongError(f"With dtype=np.float32: params[{wrong[0]!r}] is of {net.params[wrong[0]].dtype}.")


def _in_words(words: str, check: Callable[[], None]) -> None:
    """Run a check; let what it finds begin with words that say where."""
    try:
        check()
    except WrongArrayError as error:
        raise WrongArrayError(words + str(error), error.net) from None
    except WrongError as error:
        raise WrongError(words + str(error)) from None


def _grade_cnn(module: ModuleType, name: str) -> None:
    X, y = _randn(2, 3, 8, 8), np.array([0, 3])
    sizes: dict[str, Any] = {"input_dim": (3, 8, 8), "num_filters": 4, "filter_size": 3, "hidden_dim": 5}
    settings = sizes | {"num_classes": 4, "dtype": np.float64}
    truth = right_cnn.ThreeLayerConvNet(**settings)
    _grade_net(partial(getattr(module, name), **settings), truth, X, y)


def _judge(module: ModuleType, file: str, name: str) -> tuple[Grade, Callable[[], Report] | None]:
    """Return the grade, and where it may help a call that asks the doctor."""
    if not callable(getattr(module, name, None)):
        return Grade(file, name, "missing", f"{file} has no {name}."), None
    if file == "layers.py":
        check = _grade_backward if name in _pairs() else _grade_loss if name.endswith("_loss") else _grade_forward
    else:
        check = {"optim.py": _grade_rule, "fc_net.py": _grade_fc, "cnn.py": _grade_cnn}[file]
    doctor = None
    try:
        check(module, name)
        return Grade(file, name, "passed", ""), None
    except WrongArrayError as error:
        status, sentence = "wrong", str(error)
        doctor = partial(_ask_the_doctor, module, name, error.net)
    except WrongError as error:
        status, sentence = "wrong", str(error)
    except (UnfinishedError, NotImplementedError):
        status, sentence = "not finished", "It returns nothing yet."
    except MemoryError:
        status, sentence = "wrong", "It needs more memory than is allowed."
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        status, sentence = "wrong", f"It raises {type(error).__name__}: {words}{_where(error, module)}"
    return Grade(file, name, status, sentence), doctor


def _where(error: Exception, module: ModuleType) -> str:
    """Return the learner's line in which an exception came up."""
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == module.__file__]
    return f" (line {lines[-1].lineno}, `{str(lines[-1].line)[:60]}`)" if lines else ""


def _ask_the_doctor(module: ModuleType, name: str, net: tuple[Any, Array, Array] | None) -> Report:
    from ..check import check, check_model, check_optimizer

    if net is not None:
        return check_model(*net, name=name)
    if name in RULES:
        return check_optimizer(getattr(module, name), name)
    if name.endswith("_loss"):
        return check(getattr(module, name), None, _loss_case(), name=name)
    if name not in _pairs():
        return Report(name)
    forward, arrays, settings = _pairs()[name]
    return check(getattr(module, forward), getattr(module, name), (*arrays, *settings()), name=name)


def _hint(report: Report, name: str, path: Path) -> tuple[str, str, int]:
    """Return the doctor's first finding as a sentence without its correction, with its cause and line."""
    finding = next((f for f in report.findings if f.severity == "wrong"), None)
    if finding is None:
        if report.gradients and name in _pairs():
            return f" It fits your own {_pairs()[name][0]}, so put that right first.", "", 0
        return "", "", 0
    # What stands in brackets there is code to write.
    kind = "" if finding.cause == "unknown" else re.sub(r" \(.*?\)", "", CAUSES.get(finding.cause, ""))
    # Of an update rule the doctor knows the step, not the line; and a line elsewhere is not the learner's.
    if not finding.line or name in RULES or Path(finding.path).resolve() != path:
        return (f" Likely {kind}." if kind else ""), finding.cause, 0
    others = "".join(f" or {line}" for line in finding.other_lines)
    code = finding.code if len(finding.code) <= 60 else finding.code[:57] + "..."
    return f" Look at line {finding.line}{others}, `{code}`{': ' + kind if kind else ''}.", finding.cause, finding.line


# -- the process of the learner's code ---------------------------------------------------------------------------------


def _load(path: Path, file: str) -> ModuleType:
    """Return the learner's file as a module of a package `cs231n` whose other modules are ours."""
    package = ModuleType("cs231n")
    package.__path__ = []
    sys.modules["cs231n"] = package
    for name in MODULES:
        sys.modules[f"cs231n.{name}"] = importlib.import_module(f"backpass.cs231n.{name}")
    name = f"cs231n.{FILES[file]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _serve(path: str, file: str, names: list[str], memory_mb: int) -> None:
    """Grade names in one file, a line of JSON for each, on the real standard output."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:

        def tell(event: dict[str, Any]) -> None:
            out.write(json.dumps(event) + "\n")
            out.flush()

        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            try:
                module = _load(Path(path), file)
            except BaseException as error:
                words = f"{file} cannot be imported: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
                for name in names:
                    tell(asdict(Grade(file, name, "wrong", words)))
                return
            for name in names:
                tell({"start": name})
                grade, doctor = _judge(module, file, name)
                tell(asdict(grade))
                if doctor is not None:
                    with contextlib.suppress(Exception):  # the grade stands, whatever the doctor makes of the code
                        sentence, cause, line = _hint(doctor(), name, Path(path).resolve())
                        tell({"hint": grade.sentence + sentence, "cause": cause, "line": line})


def _events(child: subprocess.Popen[bytes], timeout_s: float) -> Iterator[dict[str, Any]]:
    """Yield the child's events; end at its end, or after `timeout_s` without one."""
    lines: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(b"")

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + timeout_s + 10  # the import counts as well
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return
        if not line:
            return
        yield json.loads(line)
        deadline = time.monotonic() + timeout_s


def _grade_file(path: Path, file: str, timeout_s: float, memory_mb: int) -> list[Grade]:
    left, grades, begun = names_in(file), [], ""
    while left:
        request = json.dumps([str(path), file, left, memory_mb])
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "BACKPASS_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-m", "backpass.cs231n.grade", request]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        ) as child:
            for event in _events(child, timeout_s):
                if "start" in event:
                    begun = event["start"]
                elif "status" in event:
                    grades.append(Grade(**event))
                    left.remove(event["function"])
                else:
                    last = grades[-1]
                    last.sentence, last.cause, last.line = event["hint"], event["cause"], event["line"]
            hung = child.poll() is None
            if hung and left:
                time.sleep(0.2)
                hung = child.poll() is None
            child.kill()
        # A process that ended while the doctor looked has told its grade: the next one goes on behind it.
        if left and begun not in {g.function for g in grades}:
            words = f"It did not end within {timeout_s:g} seconds." if hung else "It ended the process."
            grades.append(Grade(file, left.pop(0), "wrong", words))
    return [g for g in grades if not (g.status == "missing" and g.function in OPTIONAL)]


def grade(target: str | Path, *, timeout_s: float = 20.0, memory_mb: int = 4096) -> list[Grade]:
    r"""Grade a learner's layers.py, optim.py, fc_net.py or cnn.py, or a folder of them.

    Parameters
    ----------
    target : str or Path
        A file of one of these names, or a folder with all of them (fc_net.py and cnn.py may lie in classifiers/).
    timeout_s : float
        For each function.
    memory_mb : int
        Address space of the process, in megabytes.

    Returns
    -------
    list of Grade
        One for each function; a file that a folder does not have counts as missing.

    Raises
    ------
    ArgumentError
        If there is nothing to grade.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "optim.py"
    ...     _ = path.write_text("def sgd(w, dw, config=None):\n    return w - dw, config\n")
    ...     [g.status for g in grade(path)]
    ['wrong', 'missing', 'missing', 'missing']
    """
    target = Path(target)
    if target.is_file() and target.name in FILES:
        return _grade_file(target.resolve(), target.name, timeout_s, memory_mb)
    found = {f: p for f in FILES for p in (target / "classifiers" / f, target / f) if p.is_file()}
    if not found:
        raise ArgumentError(f"grade: expected {', '.join(FILES)}, or a folder with them, got {target}")
    grades: list[Grade] = []
    for file in FILES:
        if file in found:
            grades += _grade_file(found[file].resolve(), file, timeout_s, memory_mb)
        else:
            missing = (name for name in names_in(file) if name not in OPTIONAL)
            grades += [Grade(file, name, "missing", f"There is no {file}.") for name in missing]
    return grades


if __name__ == "__main__":
    _serve(*json.loads(sys.argv[1]))
