"""A learner's half-finished files work together with ours, function by function."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backpass
from backpass.cs231n import layers, links

SOURCE = Path(backpass.__file__).resolve().parents[1]

# A learner's versions of one half of each pair whose cache the course documents.
MINE = """
import numpy as np

def affine_forward(x, w, b):
    return x.reshape(len(x), -1).dot(w) + b, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    return dout.dot(w.T).reshape(x.shape), x.reshape(len(x), -1).T.dot(dout), dout.sum(axis=0)

def relu_forward(x):
    return np.maximum(x, 0), x

def relu_backward(dout, cache):
    return dout * (cache > 0)

def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        x = x * mask
    return x, (dropout_param, mask)

def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param["mode"] == "train" else dout

def max_pool_forward_naive(x, pool_param):
    s = pool_param["stride"]
    corners = [x[:, :, i::s, j::s] for i in range(s) for j in range(s)]
    return np.max(corners, axis=0), (x, pool_param)

def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    x_pad = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    F, _, HH, WW = w.shape
    rows, cols = 1 + (x_pad.shape[2] - HH) // s, 1 + (x_pad.shape[3] - WW) // s
    out = np.zeros((len(x), F, rows, cols))
    for i in range(rows):
        for j in range(cols):
            window = x_pad[:, None, :, i * s : i * s + HH, j * s : j * s + WW]
            out[:, :, i, j] = (window * w).sum(axis=(2, 3, 4)) + b
    return out, (x, w, b, conv_param)
"""


def mine() -> dict:
    namespace: dict = {}
    exec(MINE, namespace)
    return namespace


def randn(*shape):
    return np.random.default_rng(list(shape)).standard_normal(shape)


PAIRS = {
    "affine": ("affine_forward", "affine_backward", (randn(4, 2, 3), randn(6, 5), randn(5))),
    "relu": ("relu_forward", "relu_backward", (randn(4, 5),)),
    "dropout": ("dropout_forward", "dropout_backward", (randn(4, 5), {"mode": "train", "p": 0.6, "seed": 4})),
    "dropout in test mode": ("dropout_forward", "dropout_backward", (randn(4, 5), {"mode": "test", "p": 0.6})),
    "pool": (
        "max_pool_forward_naive",
        "max_pool_backward_naive",
        (randn(2, 3, 4, 6), {"pool_height": 2, "pool_width": 2, "stride": 2}),
    ),
    "conv": (
        "conv_forward_naive",
        "conv_backward_naive",
        (randn(2, 3, 5, 7), randn(4, 3, 3, 2), randn(4), {"stride": 2, "pad": 1}),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_either_half_of_a_pair_can_be_theirs(name):
    forward, backward, arguments = PAIRS[name]
    theirs = mine()
    out, our_cache = getattr(layers, forward)(*arguments)
    their_out, their_cache = theirs[forward](*arguments)
    np.testing.assert_allclose(their_out, out, atol=1e-12)
    dout = np.random.default_rng(9).standard_normal(out.shape)
    wanted = getattr(layers, backward)(dout, our_cache)
    found = [getattr(layers, backward)(dout, their_cache)]
    found += [theirs[backward](dout, our_cache)] if backward in theirs else []
    for gradients in found:
        for g, w in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(g, w, atol=1e-12)


@pytest.mark.parametrize("kind", ["batchnorm", "layernorm", "spatial_batchnorm", "spatial_groupnorm"])
def test_a_cache_that_the_course_leaves_open_is_refused_in_words(kind):
    with pytest.raises(ValueError, match=rf"{kind}_backward: expected the cache of backpass's own.*both yours or both"):
        getattr(layers, f"{kind}_backward")(np.ones((2, 3)), (np.ones(3), 1e-5))


def run(folder: Path, code: str) -> str:
    env = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_own_layers_beside_linked_files(tmp_path):
    own = tmp_path / "cs231n" / "layers.py"
    own.parent.mkdir()
    own.write_text("from backpass.cs231n.layers import *\n" + MINE)
    links.link(tmp_path, keep=True)
    code = "from cs231n.classifiers.{} import *\nprint(affine_forward.__module__, batchnorm_forward.__module__)"
    for file in ("fc_net", "cnn"):  # notebooks take the layers from there: theirs has to come, not ours
        assert run(tmp_path, code.format(file)) == "cs231n.layers backpass.cs231n.layers"


def test_functions_that_return_nothing_yet_are_filled_by_one_line_at_the_end(tmp_path):
    own = tmp_path / "cs231n" / "layers.py"
    own.parent.mkdir()
    unfinished = (
        "\ndef batchnorm_forward(x, gamma, beta, bn_param):\n    out, cache = None, None\n    return out, cache\n"
    )
    own.write_text(MINE + unfinished + "\nfrom backpass.cs231n.layers import batchnorm_forward, softmax_loss\n")
    links.link(tmp_path, keep=True)
    code = "import numpy as np\nfrom cs231n.layers import *\n"
    code += "out, _ = batchnorm_forward(np.eye(3), np.ones(3), np.zeros(3), {'mode': 'train'})\nprint(out.shape)"
    assert run(tmp_path, code) == "(3, 3)"


def test_own_net_on_linked_layers_in_our_solver(tmp_path):
    """A learner's fc_net.py with relative imports, as the course's has, trains on our layers, rules and Solver."""
    own = tmp_path / "cs231n" / "classifiers" / "fc_net.py"
    own.parent.mkdir(parents=True)
    own.write_text(
        """import numpy as np
from ..layers import *
from ..layer_utils import *

class TwoLayerNet(object):
    def __init__(self, D, H, C):
        self.params = {"W1": 0.1 * np.random.randn(D, H), "b1": np.zeros(H), "W2": 0.1 * np.random.randn(H, C), "b2": np.zeros(C)}
    def loss(self, X, y=None):
        p = self.params
        h, c1 = affine_relu_forward(X, p["W1"], p["b1"])
        scores, c2 = affine_forward(h, p["W2"], p["b2"])
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        d, dW2, db2 = affine_backward(d, c2)
        _, dW1, db1 = affine_relu_backward(d, c1)
        return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
"""
    )
    links.link(tmp_path, keep=True)
    code = """import numpy as np
from cs231n.classifiers.fc_net import *
from cs231n.solver import Solver
np.random.seed(0)
X = np.random.randn(200, 6); y = (X[:, 0] > 0) + 2 * (X[:, 1] > 0)
solver = Solver(TwoLayerNet(6, 20, 4), {"X_train": X, "y_train": y, "X_val": X, "y_val": y}, update_rule="adam",
                optim_config={"learning_rate": 1e-2}, num_epochs=10, batch_size=20, verbose=False, checkpoint_name="mine")
solver.train()
print(solver.best_val_acc > 0.9)
"""
    assert run(tmp_path, code) == "True"
    assert (tmp_path / "mine_epoch_10.npz").exists()
