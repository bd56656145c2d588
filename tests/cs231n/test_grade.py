"""The grader: right files pass, planted faults are named."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from backpass.cli.app import app
from backpass.cs231n.grade import FILES, grade


def write(folder, file, text=""):
    module = FILES[file]
    parent, _, name = module.rpartition(".")
    source = f"import numpy as np\nfrom backpass.cs231n.{module} import *\n"
    source += f"from backpass.cs231n{'.' + parent if parent else ''} import {name} as ours\n{text}"
    (folder / file).write_text(source)
    return folder / file


def test_right_files_pass(tmp_path):
    for file in FILES:
        write(tmp_path, file)
    grades = grade(tmp_path)
    assert {g.status for g in grades} == {"passed"}, [g for g in grades if g.status != "passed"]
    assert len(grades) > 25


PLANTED = {
    "shape": (
        "affine_backward",
        "def affine_backward(d, c):\n    a, b, e = ours.affine_backward(d, c)\n    return a, b, e[None]",
        "shape",
    ),
    "value": ("relu_backward", "def relu_backward(d, c):\n    return d * (c >= -9)", "values of dx"),
    "input": (
        "relu_forward",
        "def relu_forward(x):\n    old = x.copy()\n    x[x < 0] = 0\n    return x, old",
        "changes its input",
    ),
    "cache": (
        "batchnorm_backward",
        "def batchnorm_backward(d, c):\n    r = ours.batchnorm_backward(d, c)\n    c.xhat += 1\n    return r",
        "changes the cache",
    ),
    "test mode": (
        "batchnorm_forward",
        "def batchnorm_forward(x, g, b, p):\n    if p['mode'] == 'test':\n        return x, None\n"
        "    return ours.batchnorm_forward(x, g, b, p)",
        "test-mode formula",
    ),
    "unfinished": ("conv_forward_naive", "def conv_forward_naive(x, w, b, p):\n    return None, None", "nothing yet"),
    "missing": ("layernorm_forward", "del layernorm_forward", "has no layernorm_forward"),
    "raises": ("softmax_loss", "def softmax_loss(x, y):\n    return x.nothing", "AttributeError"),
    "hangs": ("max_pool_forward_naive", "def max_pool_forward_naive(x, p):\n    while True: pass", "did not end"),
    "dies": ("dropout_backward", "def dropout_backward(d, c):\n    import os\n    os._exit(3)", "ended the process"),
}


def test_planted_faults_in_layers(tmp_path):
    text = "\n".join(code for _, code, _ in PLANTED.values()) + "\n"
    found = {g.function: g for g in grade(write(tmp_path, "layers.py", text), timeout_s=3)}
    for function, _, words in PLANTED.values():
        assert found[function].status != "passed"
        assert words in found[function].sentence, found[function]
    assert found["affine_forward"].status == "passed"
    assert found["spatial_groupnorm_backward"].status == "passed"
    assert found["conv_forward_naive"].status == "not finished"
    assert found["layernorm_forward"].status == "missing"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "def __init__(s, *a, **k):\n  super().__init__(*a, **k)\n  s.params['b1'] = s.params['b1'][None]",
            "one-dimensional",
        ),
        (
            "def loss(s, X, y=None):\n  r = super().loss(X, y)\n  if y is None: return r\n"
            "  return r[0] + 0.5 * s.reg * (s.params['b1'] ** 2).sum(), r[1]",
            "with regularisation",
        ),
        (
            "def __init__(s, h, *a, **k):\n  assert len(h) > 1\n  super().__init__(h, *a, **k)",
            "AssertionError",
        ),
    ],
)
def test_planted_faults_in_nets(tmp_path, code, words):
    body = code.replace("\n", "\n    ")
    path = write(tmp_path, "fc_net.py", f"class FullyConnectedNet(ours.FullyConnectedNet):\n    {body}\n")
    found = {g.function: g for g in grade(path)}["FullyConnectedNet"]
    assert found.status == "wrong"
    assert words in found.sentence


def test_command(tmp_path):
    path = write(tmp_path, "optim.py", "def adam(w, dw, config=None):\n    return ours.sgd(w, dw, config)\n")
    result = CliRunner().invoke(app, ["cs231n", "grade", str(path), "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["passed"], told["of"]) == (3, 4)
    write(tmp_path, "optim.py")
    assert CliRunner().invoke(app, ["cs231n", "grade", str(path)]).exit_code == 0
    assert CliRunner().invoke(app, ["cs231n", "link", str(tmp_path)]).exit_code == 0
    assert CliRunner().invoke(app, ["cs231n", "unlink", str(tmp_path)]).exit_code == 0
