"""Somebody's file, in a process of its own: prints, exceptions, endless loops and greed become findings."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from typer.testing import CliRunner

from backpass.check.command import check as command
from backpass.check.sandbox import examine
from backpass.errors import ArgumentError

GOOD = """
    import numpy as np
    def relu_forward(x):
        return np.maximum(0, x), x
    def relu_backward(dout, x):
        return dout * (x > 0)
"""


def write(folder, text, name="layers.py"):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def run(*arguments):
    import typer

    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_a_file_with_everything(tmp_path):
    path = write(
        tmp_path,
        GOOD
        + """
    def tanh_forward(x):
        print("working")
        t = np.tanh(x)
        return t, t
    def tanh_backward(dout, t):
        return dout * (1 - t)
    def sigmoid_forward(x):
        s = 1 / (1 + np.exp(-x))
        return s, s
    def sigmoid_backward(dout, s):
        while True:
            pass
    def square_forward(x):
        return x * x, x
    def square_backward(dout, x):
        raise SystemExit("bye")
    def sgd(w, dw, config=None):
        config = {"learning_rate": 1e-2, **(config or {})}
        return w - config["learning_rate"] * dw, config
    def mystery_forward(x, riddle):
        return x, None
    def mystery_backward(dout, cache):
        return dout
    """,
    )
    reports = {r.name: r for r in examine(path, timeout_s=4)}
    assert list(reports) == [
        "relu_backward", "tanh_backward", "sigmoid_backward", "square_backward", "mystery_backward", "sgd",
    ]  # fmt: skip
    assert reports["relu_backward"].ok
    assert reports["tanh_backward"].findings[0].code == "return dout * (1 - t)"
    assert any(f.cause == "prints" and "working" in f.message for f in reports["tanh_backward"].findings)
    assert reports["sigmoid_backward"].findings[0].cause == "timeout"
    assert reports["sigmoid_backward"].findings[0].code in ("while True:", "pass")
    assert reports["square_backward"].findings[0].cause == "exception"
    assert reports["mystery_backward"].findings[0].cause == "not_checked"
    assert reports["sgd"].ok


LAYER_CLASS = """
    import numpy as np
    class Linear:
        def __init__(self, n_in, n_out):
            self.W = np.random.randn(n_in, n_out)
            self.b = np.zeros(n_out)
        def forward(self, x):
            self.x = x
            return x @ self.W + self.b
        def backward(self, grad):
            self.dW = self.x.T @ grad
            self.db = grad.sum(axis=0)
            return grad @ self.W.T
"""


def test_layers_written_as_classes(tmp_path):
    (report,) = examine(write(tmp_path, LAYER_CLASS))
    assert report.ok
    assert [g.name for g in report.gradients] == ["x", "W", "b"]
    (report,) = examine(write(tmp_path, LAYER_CLASS.replace("sum(axis=0)", "mean(axis=0)"), "wrong.py"))
    assert report.findings[0].code == "self.db = grad.mean(axis=0)"
    assert report.findings[0].cause == "mean_for_sum"


def test_classes_with_inputs_of_any_form(tmp_path):
    """A dict of arrays, or x alone, is enough where the constructor has defaults; nothing of it breaks the doctor down."""
    path = write(
        tmp_path,
        """
    import numpy as np
    def inputs(rng):
        return {"X": rng.standard_normal((5, 3)), "y": rng.standard_normal((5, 3))}
    class Halve:
        def forward(self, x):
            return x / 2
        def backward(self, dout):
            return dout
    class Line:
        def __init__(self, width=3):
            self.params = {"w": np.linspace(1.0, 2.0, width), "shift": np.zeros(1)}
        def loss(self, X, y):
            error = X * self.params["w"] + self.params["shift"] - y
            return (error**2).sum(), {"w": (2 * X * error).sum(axis=0), "shift": np.array([error.sum()])}
    """,
    )
    line, halve = sorted(examine(path), key=lambda r: r.name, reverse=True)
    assert (line.findings[0].quantity, line.findings[0].cause) == ("dshift", "factor")
    assert (halve.findings[0].line, halve.findings[0].cause) == (9, "factor")


def test_a_breakdown_of_the_doctor_is_not_held_against_the_user(tmp_path, monkeypatch):
    from backpass.check.pairs import Target
    from backpass.check.sandbox import _check_target

    def relu_forward(x):
        return np.maximum(0, x), x

    def relu_backward(dout, x):
        return dout * (x > 0)

    monkeypatch.setattr("backpass.check.examine.Program", None)
    report = _check_target(Target("pair", "relu_backward", relu_forward, relu_backward), None, 1.0)
    assert report.ok
    assert "please report it" in report.findings[0].message


def test_memory_is_limited(tmp_path):
    path = write(
        tmp_path,
        """
        import numpy as np
        def greedy_forward(x):
            hoard = np.ones(200_000_000)
            return x * hoard[0], None
        def greedy_backward(dout, cache):
            return dout
        """,
    )
    (report,) = examine(path, memory_mb=1024)
    assert not report.ok
    assert "emory" in report.findings[0].message


def test_a_file_that_cannot_be_imported(tmp_path):
    (report,) = examine(write(tmp_path, "import numpy as np\nx = 1 / 0\n"))
    assert report.findings[0].line == 2
    assert "ZeroDivisionError" in report.findings[0].message
    (report,) = examine(write(tmp_path, "def f(:\n    pass\n", "broken.py"))
    assert "SyntaxError" in report.findings[0].message
    assert (report.findings[0].line, report.findings[0].code) == (1, "def f(:")  # not that of Python's importer


def test_what_is_printed_below_python_does_not_break_the_channel(tmp_path):
    path = write(
        tmp_path,
        """
        import os
        import numpy as np
        def relu_forward(x):
            os.write(1, b'{"event": "end"}\\n')
            return np.maximum(0, x), x
        def relu_backward(dout, x):
            return dout * (x > 0)
        """,
    )
    (report,) = examine(path)
    assert report.ok


def test_one_of_many_and_none(tmp_path):
    path = write(tmp_path, GOOD)
    assert [r.name for r in examine(path + ":relu")] == ["relu_backward"]
    with pytest.raises(ArgumentError, match="nothing called"):
        examine(path + ":batchnorm")
    with pytest.raises(ArgumentError, match="no file"):
        examine(str(tmp_path / "absent.py"))


def test_inputs_from_the_file_from_npz_and_from_another_file(tmp_path):
    text = """
        def scale_it_forward(thing, other):
            return thing * other, (thing, other)
        def scale_it_backward(dout, cache):
            thing, other = cache
            return dout * other, dout * thing
    """
    path = write(tmp_path, text)
    assert examine(path)[0].findings[0].cause == "not_checked"
    np.savez(tmp_path / "in.npz", thing=np.array([1.0, 2.0]), other=np.array([3.0, -1.0]), bystander=np.ones(2))
    assert examine(path, inputs=str(tmp_path / "in.npz"))[0].gradients[0].status == "right"
    other = write(tmp_path, "def inputs(rng):\n    return rng.random(3), rng.random(3)\n", "given.py")
    assert examine(path, inputs=other)[0].gradients[0].status == "right"
    own = textwrap.dedent(text) + "def inputs(rng):\n    return rng.random(3), rng.random(3)\n"
    assert examine(write(tmp_path, own, "own.py"))[0].gradients[0].status == "right"


def test_command_line(tmp_path):
    good = write(tmp_path, GOOD)
    bad = write(tmp_path, GOOD.replace("(x > 0)", "(x < 0)"), "bad.py")
    result = run(good)
    assert result.exit_code == 0
    assert "1 right" in result.output
    result = run(bad, "--html", str(tmp_path / "report.html"))
    assert result.exit_code == 1
    assert "first wrong line 6" in result.output
    assert "Gradient check" in (tmp_path / "report.html").read_text()
    result = run(bad, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["findings"][0]["cause"] == "mask_inverted"
    assert run(str(tmp_path / "absent.py")).exit_code == 2


def test_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "backpass.check", write(tmp_path, GOOD)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1 right" in done.stdout
