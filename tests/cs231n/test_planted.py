"""A bug planted in every function that the grader judges: each is found, none is blamed on another, most to the line."""

from __future__ import annotations

import re

import pytest
from test_grade import write

from backpass.cs231n.grade import FILES, OPTIONAL, grade, names_in

# Each text has one slip, in the line that ends in "# slip".
FORWARDS = {
    "affine_forward": "def affine_forward(x, w, b):\n    return x.reshape(len(x), -1).dot(w), (x, w, b)",
    "relu_forward": "def relu_forward(x):\n    return abs(x), x",
    "batchnorm_forward": """def batchnorm_forward(x, gamma, beta, bn_param):
    out, cache = ours.batchnorm_forward(x, gamma, beta, bn_param)
    bn_param["running_var"] = bn_param["running_var"] * len(x) / (len(x) - 1)
    return out, cache""",
    "layernorm_forward": """def layernorm_forward(x, gamma, beta, ln_param):
    return ours.batchnorm_forward(x, gamma, beta, {"mode": "train"})""",
    "dropout_forward": """def dropout_forward(x, dropout_param):
    out, cache = ours.dropout_forward(x, dropout_param)
    return out * dropout_param["p"], cache""",
    "conv_forward_naive": """def conv_forward_naive(x, w, b, conv_param):
    out, _ = ours.conv_forward_naive(x, w[:, :, ::-1, ::-1], b, conv_param)
    return out, (x, w, b, conv_param)""",
    "max_pool_forward_naive": """def max_pool_forward_naive(x, pool_param):
    square = dict(pool_param, pool_width=pool_param["pool_height"])
    return ours.max_pool_forward_naive(x, square)[0], (x, pool_param)""",
    "spatial_batchnorm_forward": """def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    out, cache = ours.spatial_batchnorm_forward(x, gamma, beta, bn_param)
    return (out if bn_param["mode"] == "train" else x), cache""",
    "spatial_groupnorm_forward": """def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    return ours.spatial_groupnorm_forward(x, gamma, beta, 1, gn_param)""",
}
BACKWARDS = {
    "affine_backward": """def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T.dot(dout)
    db = dout.mean(axis=0)  # slip
    return dx, dw, db""",
    "relu_backward": """def relu_backward(dout, cache):
    x = cache
    dx = dout * (x < 0)  # slip
    return dx""",
    "batchnorm_backward": """def batchnorm_backward(dout, cache):
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache.xhat).sum(axis=0)
    dxhat = dout * cache.gamma
    dvar = (dxhat * cache.centered).sum(axis=0) * -0.5 * cache.rstd**2  # slip
    dcentered = dxhat * cache.rstd + 2 / N * cache.centered * dvar
    dx = dcentered - dcentered.mean(axis=0)
    return dx, dgamma, dbeta""",
    "batchnorm_backward_alt": """def batchnorm_backward_alt(dout, cache):
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache.xhat).sum(axis=0)
    dx = cache.gamma * cache.rstd / N * (N * dout - dbeta + cache.xhat * dgamma)  # slip
    return dx, dgamma, dbeta""",
    "layernorm_backward": """def layernorm_backward(dout, cache):
    dx, dgamma, dbeta = ours.layernorm_backward(dout, cache)
    return dx, dgamma[None], dbeta  # slip""",
    "dropout_backward": """def dropout_backward(dout, cache):
    dropout_param, mask = cache
    dx = dout * (mask > 0)  # slip
    return dx""",
    "conv_backward_naive": """def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dxp, dw, db = np.zeros_like(xp), np.zeros_like(w), dout.sum(axis=(0, 2, 3))
    F, C, HH, WW = w.shape
    for n in range(len(x)):
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    dw[f] += xp[n, :, i * s : i * s + HH, j * s : j * s + WW] * dout[n, f, i, j]
                    dxp[n, :, i * s : i * s + HH, j * s : j * s + WW] = w[f] * dout[n, f, i, j]  # slip
    return dxp[:, :, p:-p, p:-p], dw, db""",
    "max_pool_backward_naive": """def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    h, w, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            window = x[:, :, i * s : i * s + h, j * s : j * s + w]
            top = window == window.max(axis=(2, 3), keepdims=True)
            dx[:, :, i * s : i * s + h, j * s : j * s + w] = top * dout[:, :, i : i + 1, j : j + 1]  # slip
    return dx""",
    "spatial_batchnorm_backward": """def spatial_batchnorm_backward(dout, cache):
    dx, dgamma, dbeta = ours.spatial_batchnorm_backward(dout, cache)
    dbeta = dout.sum(axis=(2, 3)).mean(axis=0)  # slip
    return dx, dgamma, dbeta""",
    "spatial_groupnorm_backward": """def spatial_groupnorm_backward(dout, cache):
    dx, dgamma, dbeta = ours.spatial_groupnorm_backward(dout, cache)
    dgamma = dgamma.reshape(-1)  # slip
    return dx, dgamma, dbeta""",
    "softmax_loss": """def softmax_loss(x, y):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    N = len(x)
    loss = -np.log(p[np.arange(N), y] + 1e-300).mean()
    dx = p.copy()
    dx[np.arange(N), y] -= 1  # slip
    return loss, dx""",
    "svm_loss": """def svm_loss(x, y):
    N = len(x)
    margins = np.maximum(0, x - x[np.arange(N), y][:, None] + 1)
    margins[np.arange(N), y] = 0
    loss = margins.sum() / N
    dx = (margins > 0) / N
    dx[np.arange(N), y] -= 1 / N  # slip
    return loss, dx""",
}
RULES = {
    "sgd": "def sgd(w, dw, config=None):\n    return w + config['learning_rate'] * dw, config",
    "sgd_momentum": """def sgd_momentum(w, dw, config=None):
    config = {} if config is None else config
    v = config.get("velocity", np.zeros_like(w))
    v = config.get("momentum", 0.9) * v + config.setdefault("learning_rate", 1e-2) * dw
    config.update(velocity=v, momentum=0.9)
    return w + v, config""",
    "rmsprop": """def rmsprop(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2), config.setdefault("decay_rate", 0.99), config.setdefault("epsilon", 1e-8)
    config["cache"] = config["decay_rate"] * config.get("cache", 0) + dw**2
    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"]), config""",
    "adam": """def adam(w, dw, config=None):
    config = {} if config is None else config
    for name, value in (("learning_rate", 1e-3), ("beta1", 0.9), ("beta2", 0.999), ("epsilon", 1e-8), ("t", 0)):
        config.setdefault(name, value)
    b1, b2 = config["beta1"], config["beta2"]
    config["m"] = b1 * config.get("m", 0) + (1 - b1) * dw
    config["v"] = b2 * config.get("v", 0) + (1 - b2) * dw**2
    config["t"] += 1
    return w - config["learning_rate"] * config["m"] / (np.sqrt(config["v"]) + config["epsilon"]), config""",
}


def graded(folder, file, texts, follow=()):
    path = write(folder, file, "\n".join(texts.values()) + "\n")
    lines = path.read_text().splitlines()
    slips = {}
    for number, line in enumerate(lines, start=1):
        if line.startswith("def "):
            function = re.match(r"def (\w+)", line)[1]
        if line.endswith("# slip"):
            slips[function] = number
    grades = {g.function: g for g in grade(path, timeout_s=60)}
    assert {name for name, g in grades.items() if g.status != "passed"} == {*texts, *follow}, grades
    assert {grades[name].status for name in (*texts, *follow)} == {"wrong"}
    for name, g in grades.items():
        assert "should be `" not in g.sentence, f"{name} shows a solution: {g.sentence}"
    return grades, slips


def test_there_is_a_planted_bug_for_every_function():
    planted = {*FORWARDS, *BACKWARDS, *RULES, *(name for name, *_ in NETS)}
    assert planted == {name for file in FILES for name in names_in(file)} | set(OPTIONAL)


def test_forwards(tmp_path):
    follow = (
        "layernorm_backward",
        "max_pool_backward_naive",
        "spatial_groupnorm_backward",
    )  # their caches are of no use
    grades, _ = graded(tmp_path, "layers.py", FORWARDS, follow)
    print({name: grades[name].sentence for name in (*FORWARDS, *follow)})
    assert "running_var" in grades["batchnorm_forward"].sentence
    assert "test-mode formula" in grades["spatial_batchnorm_forward"].sentence
    assert "shape of out" in grades["max_pool_forward_naive"].sentence


def test_backwards_and_losses_to_the_line(tmp_path):
    grades, slips = graded(tmp_path, "layers.py", BACKWARDS)
    found = {name: grades[name].line for name in BACKWARDS}
    assert found == slips | {"spatial_groupnorm_backward": 0}  # its shape is wrong, which says enough
    causes = {name: grades[name].cause for name in BACKWARDS}
    assert causes["affine_backward"] == "mean_for_sum"
    assert causes["batchnorm_backward"] == "power"
    assert causes["conv_backward_naive"] == "overlap"
    assert causes["softmax_loss"] == "sum_for_mean"
    assert f"Look at line {slips['affine_backward']}, `db = dout.mean(axis=0)" in grades["affine_backward"].sentence


def test_rules(tmp_path):
    grades, _ = graded(tmp_path, "optim.py", RULES)
    assert "Likely the sign is wrong." in grades["sgd"].sentence
    for name in RULES:
        assert grades[name].cause, grades[name]


NET = "def loss(s, X, y=None):\n  r = super().loss(X, y)\n  if y is None: return r\n  loss, grads = r\n  "
INIT = "def __init__(s, *a, {}, **k):\n  super().__init__(*a, {}**k)"
NETS = [  # class, file, methods, what the grader says
    ("TwoLayerNet", "fc_net.py", NET + "grads['W2'] -= s.reg * s.params['W2']\n  return r", "regularisation"),
    ("FullyConnectedNet", "fc_net.py", NET + "grads['b2'] /= 2\n  return r", "grads['b2']"),
    ("FullyConnectedNet", "fc_net.py", INIT.format("dropout_keep_ratio=1", ""), "dropout_keep_ratio=0.5"),
    ("FullyConnectedNet", "fc_net.py", INIT.format("dtype=None", "dtype=np.float64, "), "float32"),
    ("FullyConnectedNet", "fc_net.py", NET + "grads.pop('gamma1', 0)\n  return r", "no 'gamma1'"),
    (
        "ThreeLayerConvNet",
        "cnn.py",
        NET + "return loss + 0.5 * s.reg * (s.params['b3'] ** 2).sum(), grads",
        "with regularisation",
    ),
    (
        "ThreeLayerConvNet",
        "cnn.py",
        "def loss(s, X, y=None):\n  return super().loss(X[..., ::-1], y)",
        "the loss without",
    ),
]


@pytest.mark.parametrize(("function", "file", "code", "words"), NETS)
def test_nets(tmp_path, function, file, code, words):
    text = f"class {function}(ours.{function}):\n    " + code.replace("\n", "\n    ")
    grades, _ = graded(tmp_path, file, {function: text})
    assert words in grades[function].sentence, grades[function]


def test_a_function_without_end_or_with_too_much_memory_stops_only_itself(tmp_path):
    text = """
def affine_forward(x, w, b):
    return np.zeros(10**11), None

def relu_backward(dout, cache):
    print("still there")
    while True:
        pass

def softmax_loss(x, y):
    import sys
    sys.exit(0)
"""
    found = {g.function: g for g in grade(write(tmp_path, "layers.py", text), timeout_s=3, memory_mb=1024)}
    assert "more memory than is allowed" in found["affine_forward"].sentence
    assert "did not end within 3 seconds" in found["relu_backward"].sentence
    assert "ended the process" in found["softmax_loss"].sentence
    assert sum(g.status == "passed" for g in found.values()) == len(found) - 4  # affine_backward needs its forward


def test_a_wrong_forward_is_named_where_its_backward_is_judged(tmp_path):
    text = """
def relu_forward(x):
    return 2 * np.maximum(x, 0), x

def relu_backward(dout, cache):
    return 2 * dout * (cache > 0)
"""
    found = {g.function: g for g in grade(write(tmp_path, "layers.py", text))}
    words = "Look at line 6, `return 2 * np.maximum(x, 0), x`: the forward does not compute the formula that its name promises."
    assert words in found["relu_backward"].sentence
