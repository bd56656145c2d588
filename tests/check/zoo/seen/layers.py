# Single layers and losses, written by ten imagined learners; held out.
import math
from collections import namedtuple
from types import SimpleNamespace

import numpy as np


def sigm(z):
    return 1.0 / (1.0 + np.exp(-z))


def rowwise_softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    return out, (x, w, b)


#: groups of channels
def inputs(rng):
    return {
        "x": rng.standard_normal((5, 6, 4)),
        "gamma": 1 + 0.3 * rng.standard_normal((1, 6, 1)),
        "beta": rng.standard_normal((1, 6, 1)),
        "G": 2,
        "gn_param": {"eps": 1e-5},
    }


def groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, L = x.shape
    xg = x.reshape(N, G, C // G, L)
    mu = xg.mean(axis=(2, 3), keepdims=True)
    var = xg.var(axis=(2, 3), keepdims=True)
    x_hat = ((xg - mu) / np.sqrt(var + eps)).reshape(N, C, L)
    out = gamma * x_hat + beta
    cache = (x_hat, gamma, var, G, eps)
    return out, cache


def groupnorm_backward(dout, cache):
    x_hat, gamma, var, G, eps = cache
    N, C, L = dout.shape
    dbeta = np.sum(dout, axis=(0, 2), keepdims=True)
    dgamma = np.sum(dout * x_hat, axis=(0, 2), keepdims=True)
    dx_hat = (dout * gamma).reshape(N, G, C // G, L)
    xh = x_hat.reshape(N, G, C // G, L)
    m1 = dx_hat.mean(axis=(2, 3), keepdims=True)
    m2 = (dx_hat * xh).mean(axis=(1, 2), keepdims=True)  # BUG axis
    dx = (dx_hat - m1 - xh * m2) / np.sqrt(var + eps)
    return dx.reshape(N, C, L), dgamma, dbeta


#: two inputs meet in a tensor
def inputs(rng):
    return {
        "left": rng.standard_normal((4, 3)),
        "right": rng.standard_normal((4, 6)),
        "kernel": rng.standard_normal((5, 3, 6)),
    }


def bilinear_forward(left, right, kernel):
    return np.einsum("ni,oij,nj->no", left, kernel, right), dict(l=left, r=right, k=kernel)


def bilinear_backward(grad, cache):
    l, r, k = cache["l"], cache["r"], cache["k"]
    d_left = np.einsum("no,oij,nj->ni", grad, k, r)
    d_right = np.einsum("no,oij,ni->nj", grad, k, l)
    d_kernel = np.einsum("no,ni,nj->oji", grad, l, r)  # BUG transposed
    return d_left, d_right, d_kernel


#: everything by hand
def affine_forward(x, w, b):
    n = x.shape[0]
    d = w.shape[0]
    m = w.shape[1]
    out = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            s = b[j]
            for k in range(d):
                s = s + x[i, k] * w[k, j]
            out[i, j] = s
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    n = x.shape[0]
    d = w.shape[0]
    m = w.shape[1]
    dx = np.zeros((n, d))
    dw = np.zeros((d, m))
    db = np.zeros(m)
    for i in range(n):
        for j in range(m):
            db[j] = db[j] + dout[i, j]
            for k in range(d):
                dx[i, k] = dx[i, k] + dout[i, j] * w[k, j]
                dw[k, j] = dw[k, j] + dout[i, j] * x[i, k]
    return dx, db, dw  # BUG return_order


#: learnable slopes
def inputs(rng):
    return {"x": rng.choice([-1.0, 1.0], (5, 3)) * rng.uniform(0.3, 2.0, (5, 3)), "alpha": rng.uniform(0.1, 0.4, 3)}


def prelu_forward(x, alpha):
    neg = x < 0
    out = x.copy()
    out[neg] = (x * alpha)[neg]
    return out, (neg, x, alpha)


def prelu_backward(dout, cache):
    neg, x, alpha = cache
    dx = dout.copy()
    dx[neg] = (dout * alpha)[neg]
    return dx  # BUG missing_gradient


#: unpacks what it remembers of the cache
def affine_backward(dout, cache):
    x, w = cache  # BUG exception
    X = x.reshape(len(x), -1)
    dx = (dout @ w.T).reshape(x.shape)
    dw = X.T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


#: shifted for stability
def softmax_loss(x, y):
    N = x.shape[0]
    x -= np.max(x, axis=1, keepdims=True)  # BUG mutation
    exp_scores = np.exp(x)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx


#: two lines are enough
def relu_forward(x): return np.maximum(x, 0), x
def relu_backward(dout, cache): return np.where(cache > 0, 0.0, dout)  # BUG mask_inverted


#: clipped at six
def inputs(rng):
    return {"x": rng.permutation(np.linspace(-4.3, 9.1, 20)).reshape(4, 5)}


def relu6_forward(x):
    out = np.minimum(np.maximum(x, 0), 6)
    return out, x


def relu6_backward(dout, cache):
    x = cache
    dx = dout.copy()
    dx[x < 0] = 0  # BUG mask
    return dx


#: derivative from the lecture before
def tanh_forward(x):
    """Squash x into (-1, 1)."""
    t = np.tanh(x)
    cache = {"t": t}
    return t, cache


def tanh_backward(dout, cache):
    """Chain rule through the squashing."""
    t = cache["t"]
    local_gradient = t * (1 - t)  # BUG function
    dx = dout * local_gradient
    return dx


#: gaussian error unit, ported
SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)


def gelu_forward(x):
    inner = SQRT_2_OVER_PI * (x + 0.044715 * x**3)
    tanh_inner = np.tanh(inner)
    ctx = SimpleNamespace(x=x, tanh_inner=tanh_inner)
    return 0.5 * x * (1.0 + tanh_inner), ctx


def gelu_backward(grad_output, ctx):
    grad_input = 0.5 * (1.0 + ctx.tanh_inner) * grad_output  # BUG missing_term
    return grad_input


#: logistic layer object
class Sigmoid:
    def __init__(self):
        self.out = None

    def forward(self, x):
        self.out = 1 / (1 + np.exp(-x))
        return self.out

    def backward(self, dout):
        return dout * self.out  # BUG missing_factor


#: smooth rectifier with a far outlier
def inputs(rng):
    x = rng.standard_normal((5, 4))
    x[2, 1] = 800.0
    return {"x": x}


def softplus_forward(x):
    return np.logaddexp(0.0, x), x


def softplus_backward(dout, cache):
    x = cache
    return dout * (np.exp(x) / (1 + np.exp(x)))  # BUG not_finite


#: x times its gate
def swish_forward(x):
    gate = sigm(x)
    return x * gate, (x, gate)


def swish_backward(dout, cache):
    x, gate = cache
    # product rule: one path through x, one through the gate
    dx = dout * gate
    dgate = dout * x
    # gate = sigmoid(x)
    dx = dx + dout * dgate * gate * (1 - gate)  # BUG upstream_twice
    return dx


#: the staircase
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if bn_param["mode"] == "train":
        # step 1
        mu = 1.0 / N * np.sum(x, axis=0)
        # step 2
        xmu = x - mu
        # step 3
        sq = xmu**2
        # step 4
        var = 1.0 / N * np.sum(sq, axis=0)
        # step 5
        sqrtvar = np.sqrt(var + eps)
        # step 6
        ivar = 1.0 / sqrtvar
        # step 7
        xhat = xmu * ivar
        # step 8
        out = gamma * xhat + beta
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
        cache = (xhat, gamma, xmu, ivar, sqrtvar, var, eps)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    # step 8
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    # step 7
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    # step 6
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    # step 5
    dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
    # step 4
    dsq = 1.0 / N * np.ones((N, D)) * dvar
    # step 3
    dxmu2 = xmu * dsq  # BUG factor
    # step 2
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    # step 1
    dx2 = 1.0 / N * np.ones((N, D)) * dmu
    # step 0
    dx = dx1 + dx2
    return dx, dgamma, dbeta


#: moving averages in a helper
def blend(old, new, momentum):
    return momentum * new + (1 - momentum) * old  # BUG running_stats


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return (x - rm) / np.sqrt(rv + eps) * gamma + beta, None
    mu, var = x.mean(0), x.var(0)
    bn_param["running_mean"] = blend(rm, mu, momentum)
    bn_param["running_var"] = blend(rv, var, momentum)
    rstd = (var + eps) ** -0.5
    xhat = (x - mu) * rstd
    return xhat * gamma + beta, (xhat, rstd, gamma)


def batchnorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    dx = rstd * gamma * (dout - dbeta / len(dout) - xhat * dgamma / len(dout))
    return dx, dgamma, dbeta


#: two branches, written a week apart
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))

    cache = {}
    if mode == "train":
        sample_mean = np.mean(x, axis=0)
        sample_var = np.var(x, axis=0)
        x_norm = (x - sample_mean) / np.sqrt(sample_var + eps)
        running_mean = momentum * running_mean + (1 - momentum) * sample_mean
        running_var = momentum * running_var + (1 - momentum) * sample_var
        cache["x_norm"], cache["gamma"] = x_norm, gamma
        cache["std"] = np.sqrt(sample_var + eps)
    elif mode == "test":
        x_norm = (x - running_mean) / (running_var + eps)  # BUG test_mode|power
    out = gamma * x_norm + beta

    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    x_norm, gamma, std = cache["x_norm"], cache["gamma"], cache["std"]
    N = dout.shape[0]
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(x_norm * dout, axis=0)
    dx_norm = dout * gamma
    dx = (N * dx_norm - np.sum(dx_norm, axis=0) - x_norm * np.sum(dx_norm * x_norm, axis=0)) / (N * std)
    return dx, dgamma, dbeta


#: always keeps its axes
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = np.mean(x, axis=1, keepdims=True)
    var = np.mean((x - mu) ** 2, axis=1, keepdims=True)
    istd = 1 / np.sqrt(var + eps)
    x_ = (x - mu) * istd
    return x_ * gamma + beta, (x_, istd, gamma)


def layernorm_backward(dout, cache):
    x_, istd, gamma = cache
    dgamma = np.sum(dout * x_, axis=0, keepdims=True)  # BUG keepdims
    dbeta = np.sum(dout, axis=0)
    dx_ = dout * gamma
    a = np.mean(dx_, axis=1, keepdims=True)
    c = np.mean(dx_ * x_, axis=1, keepdims=True)
    dx = istd * (dx_ - a - x_ * c)
    return dx, dgamma, dbeta


#: rows one at a time
LNCache = namedtuple("LNCache", "rows scale shape")


def _normalise_row(row, eps):
    centred = row - row.sum() / row.size
    sigma = math.sqrt((centred * centred).sum() / row.size + eps)
    return centred / sigma, sigma


def layernorm_forward(x, gamma, beta, ln_param):
    rows = [_normalise_row(row, ln_param.get("eps", 1e-5)) for row in x]
    out = np.array([gamma * xh + beta for xh, _ in rows])
    return out, LNCache(rows, gamma, x.shape)


def layernorm_backward(dout, cache):
    dx = np.empty(cache.shape)
    dgamma = np.zeros(cache.shape[1])
    dbeta = np.zeros(cache.shape[1])
    for n, (xh, sigma) in enumerate(cache.rows):
        dgamma += dout[n] * xh
        dbeta += dout[n]
        g = dout[n]  # BUG gamma_missing
        dx[n] = (g - g.mean() - xh * (g * xh).mean()) / sigma
    return dx, dgamma, dbeta


#: recomputes its standard deviation
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 5)),
        "gamma": rng.uniform(0.5, 1.5, 5),
        "beta": rng.standard_normal(5),
        "ln_param": {"eps": 0.2},
    }


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=-1)[:, None]
    var = x.var(axis=-1)[:, None]
    out = gamma * (x - mu) / np.sqrt(var + eps) + beta
    return out, [x, gamma, mu, var, eps]


def layernorm_backward(dout, cache):
    x, gamma, mu, var, eps = cache
    std = np.sqrt(var) + eps  # BUG eps
    D = x.shape[-1]
    xc = x - mu
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xc / std).sum(axis=0)
    dxh = dout * gamma
    dvar = -0.5 * (dxh * xc).sum(axis=-1)[:, None] / std**3
    dmu = -(dxh / std).sum(axis=-1)[:, None]
    dx = dxh / std + 2 * dvar * xc / D + dmu / D
    return dx, dgamma, dbeta


#: draws and draws again
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    else:
        out = x
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "train":
        keep = (np.random.rand(*dout.shape) < p) / p  # BUG randomness|mask
        dx = dout * keep
    else:
        dx = dout
    return dx


#: boolean survivors
def dropout_forward(x, dropout_param):
    rs = np.random.RandomState(dropout_param.get("seed"))
    if dropout_param["mode"] == "test":
        return x.copy(), {"mode": "test"}
    alive = rs.random_sample(x.shape) < dropout_param["p"]
    out = np.where(alive, x / dropout_param["p"], 0)
    return out, {"mode": "train", "alive": alive, "p": dropout_param["p"]}


def dropout_backward(dout, cache):
    if cache["mode"] == "test":
        return dout.copy()
    return np.where(cache["alive"], dout, 0)  # BUG keep_prob


#: leak on the way down
LEAK = 0.1


def leaky_relu_forward(x):
    slope = np.where(x > 0, 1.0, LEAK)
    return x * slope, (x, slope)


def leaky_relu_backward(delta, cache):
    x, slope = cache
    delta = delta * slope
    delta[x <= 0] *= LEAK  # BUG mask_twice
    return delta


#: margins counted in loops
def svm_loss(x, y):
    N, C = x.shape
    loss = 0.0
    dx = np.zeros_like(x)
    for i in range(N):
        for j in range(C):
            if j == y[i]:
                continue
            margin = x[i, j] - x[i, y[i]] + 1
            if margin > 0:
                loss += margin
            dx[i, j] += 1  # BUG mask_missing
            dx[i, y[i]] -= 1  # OR
    return loss / N, dx / N


#: log likelihood against one hot rows
def cross_entropy_loss(x, y):
    N, C = x.shape
    target = np.eye(C)[y]
    shifted = x - x.max(1)[:, None]
    logp = shifted - np.log(np.exp(shifted).sum(1))[:, None]
    loss = -(target * logp).sum() / N
    dx = np.exp(logp) - target  # BUG sum_for_mean
    return loss, dx  # OR


#: counts
def inputs(rng):
    return {"x": rng.standard_normal((6, 4)), "y": rng.poisson(2.0, (6, 4)).astype(float)}


def poisson_loss(x, y):
    rate = np.exp(x)
    loss = np.sum(rate - y * x)
    return loss, (rate - y) / x.shape[0]  # BUG mean_for_sum


#: one linear layer with decay
class SoftmaxRegression:
    def __init__(self, input_dim=6, num_classes=4, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W": weight_scale * np.random.randn(input_dim, num_classes),
            "b": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W, b = self.params["W"], self.params["b"]
        X2 = X.reshape(X.shape[0], -1)
        scores = X2 @ W + b
        if y is None:
            return scores
        N = len(y)
        P = rowwise_softmax(scores)
        loss = -np.log(P[range(N), y]).mean() + 0.5 * self.reg * np.sum(W**2)
        P[range(N), y] -= 1
        P /= N
        grads = {}
        grads["b"] = P.sum(axis=0)
        grads["W"] = X2.T @ P + 2 * self.reg * W  # BUG regularisation
        return loss, grads


#: probabilities out
def softmax_forward(x):
    p = rowwise_softmax(x)
    return p, p


def softmax_backward(dout, cache):
    p = cache
    return dout * p * (1 - p)  # BUG missing_term|function


#: log of the probabilities out
def log_softmax_forward(x):
    m = x.max(axis=1, keepdims=True)
    lse = m + np.log(np.exp(x - m).sum(axis=1, keepdims=True))
    return x - lse, (x, lse)


def log_softmax_backward(dout, cache):
    x, lse = cache
    dx = dout.copy()
    # lse' = softmax
    dlse = -dout  # BUG missing_sum
    dx += dlse * np.exp(x - lse)
    return dx


#: a gain and a shift for each feature
def inputs(rng):
    return {"x": rng.standard_normal((5, 4)), "gain": rng.standard_normal(4), "shift": rng.standard_normal(4)}


def scale_forward(x, gain, shift):
    return x * gain + shift, (x, gain)


def scale_backward(g, cache):
    x, gain = cache
    dgain = np.sum(g * x)  # BUG extra_sum
    dshift = np.sum(g, axis=0)
    return g * gain, dgain, dshift


#: robust regression
def inputs(rng):
    y = rng.standard_normal((5, 3))
    r = rng.permutation(np.linspace(-3.1, 2.9, 15)).reshape(5, 3)
    return {"x": y + r, "y": y}


def huber_loss(x, y, delta=1.0):
    r = y - x
    small = np.abs(r) <= delta
    loss = np.mean(np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)))
    dx = np.where(small, r, delta * np.sign(r)) / r.size  # BUG sign
    return loss, dx


#: yes or no
def inputs(rng):
    return {"x": rng.standard_normal((6, 3)), "y": (rng.random((6, 3)) < 0.5) * 1.0}


def bce_with_logits_loss(x, y):
    p = sigm(x)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    # derivative of the sigmoid is p (1 - p)
    dx = (p - y) * p * (1 - p) / x.size  # BUG extra_factor
    return loss, dx


#: rows of a table
def inputs(rng):
    return {"idx": np.array([2, 0, 2, 5, 0, 2, 1]), "table": rng.standard_normal((6, 4))}


def embedding_forward(idx, table):
    return table[idx], (idx, table.shape)


def embedding_backward(grad_out, cache):
    idx, shape = cache
    grad_table = np.zeros(shape)
    grad_table[idx] += grad_out  # BUG overlap
    return grad_table


#: exponential tail in loops
def elu_forward(x):
    out = np.zeros(x.shape)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] if x[i, j] > 0 else math.exp(x[i, j]) - 1
    return out, (x, out)


def elu_backward(dout, cache):
    x, out = cache
    dx = np.zeros(x.shape, dtype=np.float32)  # BUG dtype
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] > 0:
                dx[i, j] = dout[i, j]
            else:
                dx[i, j] = dout[i, j] * (out[i, j] + 1)
    return dx


#: best of several pieces
def inputs(rng):
    x = rng.permutation(np.linspace(-2.0, 2.0, 60)).reshape(3, 4, 5)
    x[0, 1, 2] = x[0, 1, 4] = 3.0
    x[2, 3, 0] = x[2, 3, 1] = x[2, 3, 3] = 2.5
    return {"x": x}


def maxout_forward(x):
    out = x.max(axis=2)
    return out, (x, out)


def maxout_backward(dout, cache):
    x, out = cache
    dx = np.where(x == out[:, :, None], dout[:, :, None], 0.0)  # BUG ties
    return dx


#: strongest moment of a sequence
def inputs(rng):
    return {"x": rng.permutation(np.linspace(-1.5, 2.5, 60)).reshape(3, 5, 4)}


def max_over_time_forward(x):
    return x.max(axis=1), x


def max_over_time_backward(dout, x):
    N, T, D = x.shape
    when = np.argsort(x, axis=1)[:, 0]  # BUG argmax
    dx = np.zeros((N, T, D))
    n, d = np.ogrid[:N, :D]
    dx[n, when, d] = dout
    return dx


#: length and direction
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "v": rng.standard_normal((3, 5)),
        "g": rng.uniform(1.5, 3, 5),
        "b": rng.standard_normal(5),
    }


def weightnorm_forward(x, v, g, b):
    norm = np.sqrt(np.einsum("dm,dm->m", v, v))
    vhat = v / norm
    w = g * vhat
    out = x @ w + b
    return out, (x, v, w, vhat, norm, g)


def weightnorm_backward(dout, cache):
    x, v, w, vhat, norm, g = cache
    dw = np.einsum("nd,nm->dm", x, dout)
    dg = np.einsum("dm,dm->m", dw, vhat)
    dvhat = dw * g
    dv = (dvhat - vhat * np.einsum("dm,dm->m", dvhat, vhat)) / norm
    db = np.einsum("nm->m", dout)
    dx = np.einsum("nm,dm->nd", dout, v)  # BUG wrong_variable
    return dx, dv, dg, db


#: shortcut with a scale per feature
def inputs(rng):
    return {
        "x": rng.standard_normal((5, 4)),
        "weight": 0.5 * rng.standard_normal((4, 4)),
        "scale": rng.uniform(0.2, 0.9, 4),
    }


def residual_forward(x, weight, scale):
    branch = np.tanh(np.matmul(x, weight))
    output = x + scale * branch
    saved = {"input": x, "weight": weight, "scale": scale, "branch": branch}
    return output, saved


def residual_backward(grad_output, saved):
    x, weight, scale, branch = saved["input"], saved["weight"], saved["scale"], saved["branch"]
    grad_scale = branch.sum(axis=0)  # BUG upstream_missing
    grad_branch = grad_output * scale
    grad_pre = grad_branch * (1 - np.square(branch))
    grad_weight = np.matmul(x.T, grad_pre)
    grad_input = grad_output + np.matmul(grad_pre, weight.T)
    return grad_input, grad_weight, grad_scale


#: root mean square only
def inputs(rng):
    return {"x": 0.4 + rng.standard_normal((4, 6)), "gamma": rng.uniform(0.5, 1.5, 6)}


def rmsnorm_forward(x, gamma):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    n = x * r
    return gamma * n, (n, r, gamma)


def rmsnorm_backward(dout, cache):
    n, r, gamma = cache
    dn = dout * gamma
    m = lambda a: a.mean(-1, keepdims=True)
    dx = r * (dn - m(dn) - n * m(dn * n))  # BUG extra_term
    return dx, (dout * n).sum(0)


#: angle between two vectors
def inputs(rng):
    return {"u": 1.5 * rng.standard_normal((4, 5)), "v": rng.standard_normal((4, 5))}


def cosine_similarity_forward(u, v):
    nu = np.linalg.norm(u, axis=1)
    nv = np.linalg.norm(v, axis=1)
    cos = (u * v).sum(axis=1) / (nu * nv)
    return cos, (u, v, nu, nv, cos)


def cosine_similarity_backward(dcos, cache):
    u, v, nu, nv, cos = cache
    n = len(u)
    du, dv = np.empty_like(u), np.empty_like(v)
    for i in range(n):
        du[i] = dcos[i] * (v[i] / (nu[i] * nv[i]) - cos[i] * u[i] / nu[i])  # BUG power
        dv[i] = dcos[i] * (u[i] / (nu[i] * nv[i]) - cos[i] * v[i] / nv[i] ** 2)
    return du, dv


#: dense layer object
class Linear:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * np.sqrt(2 / n_in)
        self.b = np.zeros(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad):
        self.dW += self.x.T @ grad  # BUG second_call
        self.db = grad.sum(axis=0)
        return grad @ self.W.T


#: flattens and forgets
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((6, 5)), "b": rng.standard_normal(5)}


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    x_row = x.reshape(N, -1)
    dx = dout.dot(w.T)  # BUG shape
    dw = x_row.T.dot(dout)
    db = np.ones(N).dot(dout)
    return dx, dw, db


#: no bias here
def linear_forward(x, w):
    return np.dot(x, w), (x, w)


def linear_backward(dout, cache):
    (x, w) = cache
    dx = np.dot(dout, w.T)
    dw = np.dot(x.T, dout)
    db = np.sum(dout, axis=0)  # OR
    return dx, dw, db  # BUG extra_gradient


#: sample statistics
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    dof = x.shape[1] - 1  # BUG forward_formula
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred**2).sum(axis=1, keepdims=True) / dof
    inv = 1 / np.sqrt(variance + eps)
    return gamma * centred * inv + beta, (centred, inv, gamma, dof)


def layernorm_backward(dout, cache):
    centred, inv, gamma, dof = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * centred * inv).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * centred).sum(axis=1, keepdims=True)
    dvariance = -0.5 * inv**3 * dinv
    dcentred = dnorm * inv + 2 * centred * dvariance / dof
    dx = dcentred - dcentred.mean(axis=1, keepdims=True)
    return dx, dgamma, dbeta


#: moving average of a signal
WIDTH = 3


def inputs(rng):
    return {"x": rng.standard_normal((5, 6))}


def moving_average_forward(x):
    n, length = x.shape
    out = np.zeros((n, length - WIDTH + 1))
    for t in range(length - WIDTH + 1):
        out[:, t] = x[:, t : t + WIDTH].mean(axis=1)
    return out, x.shape


def moving_average_backward(dout, cache):
    n, length = cache
    dx = np.zeros((n, length))
    for t in range(length - WIDTH):  # BUG window
        dx[:, t : t + WIDTH] += dout[:, t, None] / WIDTH
    return dx


#: zero mean and unit spread
def inputs(rng):
    return {"x": 2 * rng.standard_normal((4, 6)) + 1}


def standardise_forward(x):
    spread = x.std(1, keepdims=True)
    z = (x - x.mean(1, keepdims=True)) / spread
    return z, (z, spread)


def standardise_backward(dz, cache):
    z, spread = cache
    h = dz - dz.mean(1, keepdims=True)
    h -= z * (z * dz).mean(1, keepdims=True)
    h *= spread  # BUG operation|power
    return h


#: right: affine by einsum
Saved = namedtuple("Saved", ["flat", "w", "shape"])


def affine_forward(x, w, b):
    flat = x.reshape(x.shape[0], -1)
    return np.einsum("nd,dm->nm", flat, w) + b, Saved(flat, w, x.shape)


def affine_backward(dout, c):
    dx = np.einsum("nm,dm->nd", dout, c.w)
    dw = np.einsum("nm,nd->dm", dout, c.flat)
    return dx.reshape(c.shape), dw, np.einsum("nm->m", dout)


#: right: rectifier on a copy
def relu_forward(x):
    out = np.array(x)
    out[out < 0] = 0
    return out, out


def relu_backward(dout, cache):
    dx = np.array(dout)
    dx[cache <= 0] = 0
    return dx


#: right: exact gaussian unit
erf = np.vectorize(math.erf, otypes=[float])


def inputs(rng):
    return {"x": rng.standard_normal((4, 5))}


def gelu_exact_forward(x):
    cdf = 0.5 * (1 + erf(x / math.sqrt(2)))
    return x * cdf, (x, cdf)


def gelu_exact_backward(dout, cache):
    x, cdf = cache
    pdf = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return dout * (cdf + x * pdf)


#: right: compact batch norm
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    if bn_param["mode"] == "train":
        mu, var = x.mean(0), x.var(0)
        bn_param["running_mean"] = momentum * bn_param.get("running_mean", 0 * mu) + (1 - momentum) * mu
        bn_param["running_var"] = momentum * bn_param.get("running_var", 0 * var) + (1 - momentum) * var
    else:
        mu, var = bn_param["running_mean"], bn_param["running_var"]
    s = np.sqrt(var + eps)
    z = (x - mu) / s
    return gamma * z + beta, (z, s, gamma)


def batchnorm_backward(dout, cache):
    z, s, gamma = cache
    dz = gamma * dout
    dx = (dz - dz.mean(0) - z * (z * dz).mean(0)) / s
    return dx, (z * dout).sum(0), dout.sum(0)


#: right: batch norm in unhurried steps
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if bn_param["mode"] == "train":
        mean = x.mean(axis=0)
        centred = x - mean
        var = (centred * centred).mean(axis=0)
        inv_std = 1.0 / np.sqrt(var + eps)
        normalised = centred * inv_std
        out = normalised * gamma
        out += beta
        cache = (centred, inv_std, normalised, gamma)
        # what is left of the old value is momentum
        running_mean = running_mean + (1 - momentum) * (mean - running_mean)
        running_var = running_var - (1 - momentum) * (running_var - var)
    else:
        a = gamma / np.sqrt(running_var + eps)
        out = a * x + (beta - a * running_mean)
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    centred, inv_std, normalised, gamma = cache
    m = centred.shape[0]
    grad_beta = dout.sum(axis=0)
    grad_gamma = (dout * normalised).sum(axis=0)
    grad_normalised = dout * gamma
    grad_inv_std = (grad_normalised * centred).sum(axis=0)
    grad_var = -0.5 * grad_inv_std * inv_std**3
    grad_centred = grad_normalised * inv_std
    grad_centred += 2.0 / m * centred * grad_var
    grad_mean = -grad_centred.sum(axis=0)
    grad_x = grad_centred + grad_mean / m
    return grad_x, grad_gamma, grad_beta


#: right: layer norm by way of columns
def layernorm_forward(x, gamma, beta, ln_param):
    xt = x.T
    mu, var = xt.mean(axis=0), xt.var(axis=0)
    rstd = (var + ln_param.get("eps", 1e-5)) ** -0.5
    xn = (xt - mu) * rstd
    return (gamma[:, None] * xn + beta[:, None]).T, (xn, rstd, gamma)


def layernorm_backward(dout, cache):
    xn, rstd, gamma = cache
    D = xn.shape[0]
    g = dout.T * gamma[:, None]
    dxt = rstd / D * (D * g - g.sum(axis=0) - xn * (g * xn).sum(axis=0))
    return dxt.T, (dout.T * xn).sum(axis=1), dout.sum(axis=0)


#: right: group norm, group after group
def inputs(rng):
    return {"x": rng.standard_normal((5, 6, 4)), "gamma": rng.uniform(0.5, 1.5, 6), "beta": rng.standard_normal(6)}


def group_norm_forward(x, gamma, beta, groups=2):
    size = x.shape[1] // groups
    out, saved = np.empty_like(x), []
    for n in range(x.shape[0]):
        for k in range(groups):
            piece = slice(k * size, (k + 1) * size)
            block = x[n, piece]
            s = np.sqrt(block.var() + 1e-5)
            h = (block - block.mean()) / s
            out[n, piece] = h * gamma[piece, None] + beta[piece, None]
            saved.append((n, piece, h, s))
    return out, (saved, gamma)


def group_norm_backward(dout, cache):
    saved, gamma = cache
    dx = np.zeros(dout.shape)
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(gamma)
    for n, piece, h, s in saved:
        up = dout[n, piece]
        dgamma[piece] += (up * h).sum(axis=1)
        dbeta[piece] += up.sum(axis=1)
        e = up * gamma[piece, None]
        dx[n, piece] = (e - e.mean() - h * (e * h).mean()) / s
    return dx, dgamma, dbeta


#: right: dropout with its own generator
def dropout_forward(x, dropout_param):
    keep = dropout_param["p"]
    if dropout_param["mode"] != "train":
        return x, (None, keep)
    generator = np.random.default_rng(dropout_param.get("seed"))
    survivors = generator.random(x.shape) < keep
    return x * survivors / keep, (survivors, keep)


def dropout_backward(dout, cache):
    survivors, keep = cache
    if survivors is None:
        return dout
    dx = np.zeros_like(dout)
    dx[survivors] = dout[survivors] / keep
    return dx


#: right: softmax loss in loops
def softmax_loss(x, y):
    N = x.shape[0]
    C = x.shape[1]
    loss = 0.0
    dx = np.zeros(x.shape)
    for i in range(N):
        top = max(x[i, c] for c in range(C))
        total = 0.0
        for c in range(C):
            total += math.exp(x[i, c] - top)
        loss += math.log(total) + top - x[i, y[i]]
        for c in range(C):
            dx[i, c] = math.exp(x[i, c] - top) / total
            if c == y[i]:
                dx[i, c] -= 1
    loss /= N
    dx /= N
    return loss, dx


#: right: squared hinge all at once
def squared_hinge_loss(x, y):
    rows = np.arange(len(x))
    margins = np.maximum(0, x - x[rows, y][:, None] + 1)
    margins[rows, y] = 0
    loss = (margins**2).sum() / len(x)
    margins *= 2 / len(x)
    margins[rows, y] = -margins.sum(axis=1)
    return loss, margins


#: right: table rows with add at
def inputs(rng):
    return {"idx": np.array([[1, 4, 1], [0, 1, 3]]), "table": rng.standard_normal((5, 4))}


def embedding_forward(idx, table):
    return table[idx], (idx, table)


def embedding_backward(dout, cache):
    idx, table = cache
    dtable = np.zeros_like(table)
    np.add.at(dtable, idx, dout)
    return dtable


#: right: cosine through unit vectors
def inputs(rng):
    return {"u": rng.standard_normal((4, 5)), "v": rng.standard_normal((4, 5))}


def _unit(a):
    r = np.sqrt((a * a).sum(axis=1, keepdims=True))
    return a / r, r


def cosine_similarity_forward(u, v):
    (uh, ru), (vh, rv) = _unit(u), _unit(v)
    return np.sum(uh * vh, axis=1), (uh, ru, vh, rv)


def cosine_similarity_backward(dcos, cache):
    uh, ru, vh, rv = cache
    g = dcos[:, np.newaxis]
    project = lambda d, h: d - h * (d * h).sum(axis=1, keepdims=True)
    return project(g * vh, uh) / ru, project(g * uh, vh) / rv


#: right: softmax through its whole Jacobian
def softmax_forward(x):
    p = rowwise_softmax(x)
    return p, {"p": p}


def softmax_backward(dout, cache):
    p = cache["p"]
    dx = np.zeros_like(p)
    for i in range(p.shape[0]):
        pi = p[i].reshape(-1, 1)
        J = np.diagflat(pi) - pi @ pi.T
        dx[i] = J.T @ dout[i]
    return dx


#: right: swish with a learned beta
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "beta": rng.uniform(0.5, 2, 3)}


def swish_forward(x, beta):
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, (x, beta, s)


def swish_backward(dout, cache):
    x, beta, s = cache
    out = x * s
    dx = dout * (beta * out + s * (1 - beta * out))
    dbeta = np.sum(dout * x * x * s * (1 - s), axis=0)
    return dx, dbeta


#: right: dense layer object with views
class Linear:
    def __init__(self, in_features, out_features):
        self.W = np.random.normal(0, 0.3, size=(in_features, out_features))
        self.b = np.zeros(out_features)

    def forward(self, x):
        self._saved = x
        y = np.matmul(x, self.W)
        y += self.b
        return y

    def backward(self, gy):
        x = self._saved
        self.dW = np.matmul(x.swapaxes(0, 1), gy)
        self.db = np.add.reduce(gy, axis=0)
        gx = np.matmul(gy, self.W.swapaxes(0, 1))
        return gx
