"""Run somebody's file in a process of its own, with limits on time and memory; what goes wrong there becomes a finding.

The parent starts `python -m backpass.check.sandbox REQUEST` and reads one JSON line per event.  When a target takes
too long
the child is killed, the line where it hung is read from its last words, and a new child goes on with the next target.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import io
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backpass.check.instrument import relative_path
from backpass.check.report import Finding, Report
from backpass.errors import ArgumentError, BackpassError

PRINTS_KEPT = 2000  # characters


@dataclass(frozen=True)
class Request:
    """What the child is asked to do."""

    source: str  # a file, or the dotted name of a module
    only: str = ""  # the base or name of one target
    inputs: str = ""  # a .npz of arrays by name, or a .py with inputs(rng)
    skip: tuple[str, ...] = ()
    memory_mb: int = 4096
    timeout_s: float = 60.0
    budget_s: float = 3.0

    def to_json(self) -> str:
        """As text for the child's command line."""
        return json.dumps(self.__dict__)


def split_target(target: str) -> tuple[str, str]:
    """File (or module) and name.

    >>> split_target("layers.py:batchnorm"), split_target("layers.py")
    (('layers.py', 'batchnorm'), ('layers.py', ''))
    """
    if target.endswith(".py"):
        return target, ""
    head, separator, tail = target.rpartition(":")
    if separator and head.endswith(".py"):
        return head, tail
    return _split_dotted(target)


def _split_dotted(target: str) -> tuple[str, str]:
    parts = target.split(".")
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            found = None
        if found is not None:
            return name, ".".join(parts[count:])
    raise ArgumentError(
        f"{target!r} is neither a Python file nor the name of something importable; try my_layers.py or "
        "my_layers.py:batchnorm"
    )


def examine(
    target: str,
    *,
    inputs: str = "",
    timeout_s: float = 60.0,
    memory_mb: int = 4096,
    budget_s: float = 3.0,
    on_start: Any = None,
) -> list[Report]:
    """Check everything in a file (or one thing of it) in processes with limits.

    Parameters
    ----------
    target
        `my_layers.py`, `my_layers.py:batchnorm`, or the dotted name of a module or of something in one.
    inputs
        A `.npz` of arrays by argument name, or a `.py` with `inputs(rng)`; "" to use the file's own `inputs`, or
        build them.
    timeout_s
        Seconds of wall time for each target.
    memory_mb
        Megabytes of address space for the child.
    budget_s
        About how long, in seconds, to look for each fault.
    on_start
        Called with the name of each target as it begins.

    Returns
    -------
    list of Report
        One per target, in the order of the file.

    Raises
    ------
    ArgumentError
        Where the target does not exist or holds nothing that can be checked.
    """
    source, only = split_target(target)
    if source.endswith(".py") and not Path(source).is_file():
        raise ArgumentError(f"no file {source}")
    if inputs and not Path(inputs).is_file():
        raise ArgumentError(f"no file of inputs {inputs}")
    reports: list[Report] = []
    done: list[str] = []
    while True:
        request = Request(source, only, inputs, tuple(done), memory_mb, timeout_s, budget_s)
        finished, names = _one_child(request, reports, on_start)
        done += names
        if finished:
            break
    if not reports:
        what = f"nothing called {only}" if only else "no x_forward with x_backward, no loss, model or update rule"
        raise ArgumentError(f"{source} holds {what} to check")
    return reports


def _one_child(request: Request, reports: list[Report], on_start: Any) -> tuple[bool, list[str]]:
    """Run one child; returns whether it got to the end, and the names of the targets that it began."""
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    with tempfile.TemporaryFile() as words:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "backpass.check.sandbox", request.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
        )
        lines: queue.Queue[bytes | None] = queue.Queue()
        assert child.stdout is not None
        reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
        reader.start()
        begun: list[str] = []
        finished = False
        deadline = time.monotonic() + request.timeout_s + 15  # the import of the file counts as well
        why = ""
        while True:
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                why = "timeout"
                break
            if line is None:
                why = "" if finished else "died"
                break
            event = json.loads(line)
            if event["event"] == "start":
                begun.append(event["name"])
                deadline = time.monotonic() + request.timeout_s + 2
                if on_start is not None:
                    on_start(event["name"])
            elif event["event"] == "report":
                reports.append(Report.from_dict(event["report"]))
                deadline = time.monotonic() + request.timeout_s + 2
            elif event["event"] == "end":
                finished = True
        child.kill()
        child.wait()
        reader.join()
        child.stdout.close()
        words.seek(0)
        last_words = words.read().decode(errors="replace")
    if why:
        reports.append(_obituary(request, begun, why, child.returncode, last_words))
        # Nothing was begun: the file itself could not be read, and trying again would not help.
        return not begun, begun
    return True, begun


def _read(pipe: Any, lines: queue.Queue[bytes | None]) -> None:
    for line in pipe:
        if line.startswith(b'{"event"'):
            lines.put(line)
    lines.put(None)


def _obituary(request: Request, begun: list[str], why: str, code: int | None, words: str) -> Report:
    """Return a report about a target that was killed, or killed its process."""
    name = begun[-1] if begun else request.source
    path = request.source
    frames = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', words)
    place = next(
        ((p, int(n), f) for p, n, f in frames if request.source.endswith(".py") and Path(p).name == Path(path).name),
        None,
    )
    if why == "timeout":
        message = f"did not finish in {request.timeout_s:g} s: an endless loop, or far too much work"
        cause = "timeout"
    else:
        message, cause = f"the process ended with code {code}: {_last_line(words)}", "exception"
    finding = Finding("wrong", cause, message)
    if place is not None:
        finding.path, finding.line, finding.function = relative_path(place[0]), place[1], place[2]
        source = Path(place[0]).read_text(errors="replace").splitlines()
        finding.code = source[place[1] - 1].strip() if place[1] <= len(source) else ""
    return Report(name, [finding])


def _last_line(words: str) -> str:
    lines = [line for line in words.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message (memory used up?)"


# ---------------------------------------------------------------------------------------------------------------
# The child


def _limit(request: Request) -> None:
    try:
        import resource
    except ImportError:  # not on Windows; the parent's clock still holds
        return
    size = request.memory_mb * 2**20
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def load(source: str) -> types.ModuleType:
    """Import a file (with its folder on the path, as `python file.py` would have it) or a module."""
    if not source.endswith(".py"):
        return importlib.import_module(source)
    path = Path(source).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _defining(module: types.ModuleType, only: str) -> tuple[types.ModuleType, str]:
    """Return the module that defines what a package re-exports, and its name there.

    >>> import backpass.layers
    >>> _defining(backpass.layers, "BatchNorm")[0].__name__
    'backpass.layers.batchnorm'
    """
    found = getattr(module, only, None)
    home = sys.modules.get(getattr(found, "__module__", None) or "", module)
    return (home, str(getattr(found, "__name__", only))) if found is not None else (module, only)


def _inputs_of(request: Request, module: types.ModuleType) -> Any:
    found: Any
    if request.inputs.endswith(".npz"):
        with np.load(request.inputs, allow_pickle=False) as file:
            found = {k: (file[k].item() if file[k].ndim == 0 else file[k]) for k in file.files}
    elif request.inputs:
        found = load(request.inputs).inputs
    else:
        found = getattr(module, "inputs", None)
    # A function: it serves whatever the file has, and not each of its functions takes all of it.
    return (lambda _: dict(found)) if isinstance(found, dict) else found


def _serve(request: Request, out: Any) -> None:
    from backpass.check.pairs import find

    def say(event: str, **more: Any) -> None:
        out.write(json.dumps({"event": event, **more}, default=str) + "\n")
        out.flush()

    with _captured() as printed:
        try:
            module, only = _defining(load(request.source), request.only)
        except BaseException as error:
            from backpass.check.findings import exception_finding

            say(
                "report",
                report=_as_plain(Report(request.source, [exception_finding(error, None, "importing the file raised")])),
            )
            say("end")
            return
        inputs = _inputs_of(request, module)
    targets = find(vars(module), module.__name__)
    if only:
        wanted = only.lower()
        targets = [t for t in targets if wanted in (t.name.lower(), getattr(t.first, "__name__", "").lower())] or [
            t for t in targets if wanted.replace("_", "") in t.name.lower().replace("_", "")
        ]
    for target in targets:
        if target.name in request.skip:
            continue
        say("start", name=target.name)
        faulthandler.dump_traceback_later(request.timeout_s, exit=False)
        with _captured() as printed:
            report = _check_target(target, inputs, request.budget_s)
        faulthandler.cancel_dump_traceback_later()
        text = printed.getvalue().strip()
        if text:
            first = text.splitlines()[0][:80]
            report.findings.append(Finding("note", "prints", f"it prints while it runs, for instance: {first}"))
        say("report", report=_as_plain(report))
    say("end")


def _as_plain(report: Report) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(report.to_json(None))
    data.pop("ok")
    return data


def _check_target(target: Any, inputs: Any, budget_s: float) -> Report:
    from backpass.check.examine import check, check_layer_class
    from backpass.check.findings import exception_finding
    from backpass.check.models import check_model_class
    from backpass.check.optimizers import check_optimizer, formula_of
    from backpass.check.own import parts

    try:
        chosen = inputs.get(target.name) if isinstance(inputs, dict) and callable(inputs.get(target.name)) else inputs
        if target.kind == "own":
            return dict(parts(target.first, budget_s=budget_s))[target.name]()
        if target.kind == "pair":
            return check(target.first, target.second, chosen, name=target.name, budget_s=budget_s)
        if target.kind == "loss":
            return check(target.first, None, chosen, name=target.name, budget_s=budget_s)
        if target.kind == "model":
            return check_model_class(target.first, chosen, name=target.name, budget_s=budget_s)
        if target.kind == "layer":
            return check_layer_class(target.first, chosen, name=target.name, budget_s=budget_s)
        if not formula_of(target.name):
            return Report(
                target.name,
                [
                    Finding(
                        "note",
                        "not_checked",
                        "an update rule whose name tells no formula; use check_optimizer(rule, formula_name)",
                    )
                ],
            )
        return check_optimizer(target.first)
    except ArgumentError as error:
        return Report(target.name, [Finding("note", "not_checked", str(error))])
    except BackpassError as error:
        return Report(target.name, [Finding("wrong", "exception", str(error))])
    except MemoryError:
        return Report(target.name, [Finding("wrong", "exception", "the memory limit was reached")])
    except BaseException as error:
        finding = exception_finding(error, None, "it raised")
        if not finding.line:  # nothing of the user's raised it, so it says nothing about the user's code
            stopped = f"the examination itself broke down ({type(error).__name__}: {error}); please report it"
            finding = Finding("note", "not_checked", stopped)
        return Report(target.name, [finding])


@contextlib.contextmanager
def _captured() -> Iterator[io.StringIO]:
    """Keep what is printed (the beginning of it) away from the channel to the parent."""
    kept = _Short()
    with contextlib.redirect_stdout(kept), contextlib.redirect_stderr(kept):
        yield kept


class _Short(io.StringIO):
    """Text that stops growing."""

    def write(self, text: str) -> int:
        if self.tell() < PRINTS_KEPT:
            super().write(text[:PRINTS_KEPT])
        return len(text)


def main() -> None:
    """Entry of the child."""
    data = json.loads(sys.argv[1])
    request = Request(**{**data, "skip": tuple(data["skip"])})
    _limit(request)
    # The channel gets a descriptor of its own; whatever C code or child processes print goes to stderr.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _serve(request, channel)


if __name__ == "__main__":
    main()
