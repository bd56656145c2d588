"""Six imagined learners who study alone: one of helpers, one of objects, one of formulas, one of sequences, one of attention, one of whole nets."""
from collections import namedtuple

import numpy as np


#: goran instance norm
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": 1 + 0.3 * rng.standard_normal(3),
        "beta": rng.standard_normal(3),
    }


Saved = namedtuple("Saved", "xhat std gamma")


def per_channel(v):
    return v[np.newaxis, :, np.newaxis, np.newaxis]


def instancenorm_forward(x, gamma, beta, eps=1e-5):
    mean = x.mean(axis=(2, 3), keepdims=True)
    std = np.sqrt(x.var(axis=(2, 3), keepdims=True) + eps)
    xhat = (x - mean) / std
    return per_channel(gamma) * xhat + per_channel(beta), Saved(xhat, std, gamma)


def instancenorm_backward(dout, saved):
    dbeta = np.sum(dout, axis=(0, 2, 3))
    dgamma = np.sum(dout * saved.xhat, axis=(0, 2, 3))
    dxhat = dout * per_channel(saved.gamma)
    a = dxhat.mean(axis=(0, 2, 3), keepdims=True)  # BUG axis|extra_sum
    b = (dxhat * saved.xhat).mean(axis=(2, 3), keepdims=True)
    dx = (dxhat - a - saved.xhat * b) / saved.std
    return dx, dgamma, dbeta


#: right: goran instance norm
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": 1 + 0.3 * rng.standard_normal(3),
        "beta": rng.standard_normal(3),
    }


Cache = namedtuple("Cache", ["xc", "istd", "gamma", "n"])


def flat(x):
    return x.reshape(x.shape[0], x.shape[1], -1)


def instance_norm_forward(x, gamma, beta):
    f = flat(x)
    xc = f - f.mean(2, keepdims=True)
    istd = ((xc**2).mean(2, keepdims=True) + 1e-5) ** -0.5
    out = gamma[:, None] * xc * istd + beta[:, None]
    return out.reshape(x.shape), Cache(xc, istd, gamma, f.shape[2])


def instance_norm_backward(dout, c):
    g = flat(dout)
    dgamma = (g * c.xc * c.istd).sum((0, 2))
    dbeta = g.sum((0, 2))
    dy = g * c.gamma[:, None]
    distd = (dy * c.xc).sum(2, keepdims=True)
    dvar = -0.5 * c.istd**3 * distd
    dxc = dy * c.istd + 2 / c.n * c.xc * dvar
    dx = dxc - dxc.mean(2, keepdims=True)
    return dx.reshape(dout.shape), dgamma, dbeta


#: goran spatial batchnorm
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": 1 + 0.3 * rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "bn_param": {"mode": "train"},
    }


def standardise(x, gamma, beta, eps):
    mu, var = x.mean(0), x.var(0)
    inv = 1 / np.sqrt(var + eps)
    xhat = (x - mu) * inv
    return gamma * xhat + beta, (xhat, inv, gamma)


def standardise_grad(dout, cache):
    xhat, inv, gamma = cache
    dxhat = dout * gamma
    dx = inv * (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0))
    return dx, (dout * xhat).sum(0), dout.sum(0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    rows = x.transpose(0, 2, 3, 1).reshape(-1, C)
    if bn_param["mode"] == "test":
        inv = 1 / np.sqrt(bn_param["running_var"] + 1e-5)
        out, cache = gamma * (rows - bn_param["running_mean"]) * inv + beta, None
    else:
        out, cache = standardise(rows, gamma, beta, bn_param.get("eps", 1e-5))
        m = bn_param.get("momentum", 0.9)
        bn_param["running_mean"] = m * bn_param.get("running_mean", np.zeros(C)) + (1 - m) * rows.mean(0)
        bn_param["running_var"] = m * bn_param.get("running_var", np.zeros(C)) + (1 - m) * rows.var(0)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    rows = dout.reshape(-1, C)  # BUG transposed
    dx, dgamma, dbeta = standardise_grad(rows, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: goran gelu
def gelu_forward(x):
    k = np.sqrt(2 / np.pi)
    inner = k * (x + 0.044715 * x**3)
    t = np.tanh(inner)
    return 0.5 * x * (1 + t), (x, t, k)


def sech2_from_tanh(t):
    return 1 - t**2


def gelu_backward(dout, cache):
    x, t, k = cache
    d_inner = k * (1 + 0.044715 * x**2)  # BUG factor|function|power
    d = 0.5 * (1 + t) + 0.5 * x * sech2_from_tanh(t) * d_inner
    return dout * d


#: goran swish with a slope
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "slope": rng.uniform(0.5, 2, 3)}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def swish_forward(x, slope):
    s = sigmoid(slope * x)
    return x * s, (x, slope, s)


def swish_backward(dout, cache):
    x, slope, s = cache
    ds = dout * x
    dz = ds * s * (1 - s)
    dslope = (dz * x).sum(axis=0)
    dx = dz * slope  # BUG missing_term
    return dx, dslope


#: goran layernorm forgets the scale
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3)),
        "gamma": 1 + 0.5 * rng.standard_normal(3),
        "beta": rng.standard_normal(3),
    }


Norm = namedtuple("Norm", "y s g")


def center(a):
    return a - a.mean(-1, keepdims=True)


def layernorm_forward(x, gamma, beta):
    s = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    y = center(x) / s
    return gamma * y + beta, Norm(y, s, gamma)


def layernorm_backward(dout, n):
    dgamma = (dout * n.y).reshape(-1, n.g.size).sum(0)
    dbeta = dout.reshape(-1, n.g.size).sum(0)
    dy = center(dout)  # BUG gamma_missing|missing_factor
    dx = (dy - n.y * (dout * n.y).mean(-1, keepdims=True)) / n.s  # OR
    return dx, dgamma, dbeta


#: goran dropout keeps with the wrong chance
Drop = namedtuple("Drop", "mask keep mode")


def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if mode != "train":
        return x.copy(), Drop(None, keep, mode)
    rng = np.random.RandomState(dropout_param.get("seed"))
    mask = rng.uniform(size=x.shape) < keep
    return x * mask / keep, Drop(mask, keep, mode)


def dropout_backward(dout, saved):
    if saved.mode != "train":
        return dout.copy()
    return dout * saved.mask / (1 - saved.keep)  # BUG keep_prob


#: goran dropout draws again
def draw(shape, keep):
    return (np.random.random(shape) < keep) / keep


def dropout_forward(x, dropout_param):
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if dropout_param["mode"] == "test":
        return x, dropout_param
    return x * draw(x.shape, dropout_param["p"]), dropout_param


def dropout_backward(dout, dropout_param):
    if dropout_param["mode"] == "test":
        return dout
    mask = draw(dout.shape, dropout_param["p"])  # BUG randomness|mask|second_call
    return dout * mask


#: goran spatial dropout
def inputs(rng):
    return {"x": rng.standard_normal((4, 3, 2, 5)), "dropout_param": {"p": 0.6, "mode": "train", "seed": 7}}


def dropout2d_forward(x, dropout_param):
    if dropout_param["mode"] == "test":
        return x, None
    rng = np.random.default_rng(dropout_param.get("seed"))
    kept = rng.random(x.shape[:2]) < dropout_param["p"]
    scale = kept / dropout_param["p"]
    return x * scale[..., None, None], (kept, scale, dropout_param["p"])


def dropout2d_backward(dout, cache):
    if cache is None:
        return dout
    kept, scale, p = cache
    return dout * (1 - kept)[..., None, None] / p  # BUG mask_inverted|mask


#: right: goran dropout
def dropout_forward(x, dropout_param):
    keep = dropout_param["p"]
    if dropout_param["mode"] == "test":
        return x, None
    state = np.random.RandomState(dropout_param.get("seed"))
    mask = state.binomial(1, keep, size=x.shape)
    return np.where(mask, x / keep, 0.0), (mask, keep)


def dropout_backward(dout, cache):
    if cache is None:
        return dout
    mask, keep = cache
    dx = np.zeros_like(dout)
    dx[mask == 1] = dout[mask == 1] / keep
    return dx


#: goran gaussian noise
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "sigma": rng.uniform(0.2, 0.9, 3)}


def noise_forward(x, sigma):
    eps = np.random.RandomState(3).standard_normal(x.shape)
    return x * (1 + sigma * eps), (x, sigma, eps)


def noise_backward(dout, cache):
    x, sigma, eps = cache
    dx = dout * (1 + sigma * eps)
    dsigma = np.sum(dout * eps, axis=0)  # BUG missing_factor
    return dx, dsigma


#: hana linear layer
class Linear:
    def __init__(self, in_features=3, out_features=5):
        self.W = np.random.randn(in_features, out_features) / np.sqrt(in_features)
        self.b = np.zeros(out_features)
        self.dW = None
        self.db = None

    def forward(self, x):
        self.x = x
        return x.dot(self.W) + self.b

    def backward(self, dout):
        self.dW = self.x.T.dot(dout) / len(self.x)  # BUG factor|mean_for_sum
        self.db = dout.sum(axis=0)
        return dout.dot(self.W.T)


#: hana sigmoid layer
class Sigmoid:
    def __init__(self):
        self.out = None

    def forward(self, x):
        self.out = 1.0 / (1.0 + np.exp(-x))
        return self.out

    def backward(self, dout):
        s = self.forward(self.out)  # BUG extra_factor|wrong_variable|function
        return dout * s * (1.0 - s)


#: right: hana linear layer
class Linear:
    def __init__(self, in_features=3, out_features=5):
        bound = 1 / np.sqrt(in_features)
        self.W = np.random.uniform(-bound, bound, (in_features, out_features))
        self.b = np.random.uniform(-bound, bound, out_features)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self._input = x.copy()
        return np.matmul(x, self.W) + self.b[None, :]

    def backward(self, upstream):
        self.dW[:] = np.matmul(self._input.T, upstream)
        self.db[:] = upstream.sum(0)
        return np.matmul(upstream, np.transpose(self.W))


#: right: hana sigmoid layer
class Sigmoid:
    def forward(self, x):
        self.out = np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))
        return self.out

    def backward(self, dout):
        return dout * (self.out - self.out**2)


#: ivo softmax jacobian
def softmax_forward(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    p = e / np.sum(e, axis=-1, keepdims=True)
    return p, p


def softmax_backward(delta, p):
    # J_ij = p_i (d_ij - p_j)
    grad = np.empty_like(p)
    for n in range(p.shape[0]):
        J = np.diag(p[n] * (1 - p[n]))  # BUG missing_term
        grad[n] = J @ delta[n]
    return grad


#: ivo log softmax
def logsoftmax_forward(x):
    m = x.max(axis=1, keepdims=True)
    out = x - m - np.log(np.sum(np.exp(x - m), axis=1, keepdims=True))
    return out, out


def logsoftmax_backward(delta, logp):
    p = np.exp(logp)
    return delta - p * delta  # BUG missing_sum


#: right: ivo log softmax jacobian
def logsoftmax_forward(x):
    z = x - x.max(axis=1, keepdims=True)
    lse = np.log(np.exp(z).sum(axis=1))
    return z - lse[:, None], z - lse[:, None]


def logsoftmax_backward(delta, a):
    N, K = a.shape
    J = np.eye(K)[None, :, :] - np.exp(a)[:, None, :]
    return np.einsum("ni,nij->nj", delta, J)


#: ivo focal loss
def focal_loss(x, y, gamma=2.0):
    n = np.arange(x.shape[0])
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    pt = p[n, y]
    loss = np.mean(-((1 - pt) ** gamma) * np.log(pt))
    dpt = -((1 - pt) ** gamma) / pt  # BUG missing_term
    dpt = dpt / len(n)
    dx = -p * (dpt * pt)[:, None]
    dx[n, y] += dpt * pt
    return loss, dx


#: right: ivo focal loss for yes and no
def inputs(rng):
    return {"x": 2 * rng.standard_normal((4, 3)), "y": rng.integers(0, 2, (4, 3))}


def focal_loss(x, y, gamma=2.0):
    s = np.where(y == 1, 1.0, -1.0)
    q = 1 / (1 + np.exp(-s * x))
    loss = -((1 - q) ** gamma) * np.log(q)
    dq = gamma * (1 - q) ** (gamma - 1) * np.log(q) - (1 - q) ** gamma / q
    return loss.sum(), dq * q * (1 - q) * s


#: ivo unit vectors
def l2normalize_forward(x):
    r = np.sqrt(np.sum(x**2, axis=1, keepdims=True))
    return x / r, (x, r)


def l2normalize_backward(delta, cache):
    x, r = cache
    s = np.sum(delta * x, axis=1, keepdims=True)
    return delta / r - x * s / r**2  # BUG power


#: ivo cosine
def inputs(rng):
    return {"a": rng.standard_normal((4, 3)), "b": rng.standard_normal((4, 3))}


def cosine_forward(a, b):
    na, nb = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    c = np.sum(a * b, axis=1) / (na * nb)
    return c, (a, b, na, nb, c)


def cosine_backward(delta, cache):
    a, b, na, nb, c = cache
    da = delta[:, None] * (b / (na * nb)[:, None] - c[:, None] * a / (na**2)[:, None])
    db = delta[:, None] * (a / (na * nb)[:, None] - c[:, None] * b / (na**2)[:, None])  # BUG wrong_variable
    return da, db


#: ivo bilinear form
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "A": rng.standard_normal((2, 3, 5)), "z": rng.standard_normal((4, 5))}


def bilinear_forward(x, A, z):
    return np.einsum("ni,kij,nj->nk", x, A, z), (x, A, z)


def bilinear_backward(delta, cache):
    x, A, z = cache
    dx = np.einsum("nk,kij,nj->ni", delta, A, z)
    dA = np.einsum("nk,ni,nj->kij", delta, x, z)
    dz = np.einsum("kij,ni->nj", A, x)  # BUG upstream_missing
    return dx, dA, dz


#: ivo quadratic form
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "A": rng.standard_normal((3, 3))}


def quadratic_forward(x, A):
    return np.einsum("ni,ij,nj->n", x, A, x), (x, A)


def quadratic_backward(delta, cache):
    x, A = cache
    dx = 2 * delta[:, None] * (x @ A)  # BUG missing_term|transposed
    dA = np.einsum("n,ni,nj->ij", delta, x, x)
    return dx, dA


#: ivo maxout
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "W": rng.standard_normal((2, 3, 5)), "b": rng.standard_normal((2, 5))}


def maxout_forward(x, W, b):
    z = np.einsum("nd,kdm->knm", x, W) + b[:, None, :]
    return z.max(axis=0), (x, W, z)


def maxout_backward(delta, cache):
    x, W, z = cache
    win = np.argmin(z, axis=0)  # BUG argmax|mask|mask_inverted
    dz = np.stack([delta * (win == k) for k in range(len(z))])
    return np.einsum("knm,kdm->nd", dz, W), np.einsum("nd,knm->kdm", x, dz), dz.sum(axis=1)


#: right: ivo maxout
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "W": rng.standard_normal((3, 10)), "b": rng.standard_normal(10)}


def maxout_forward(x, W, b):
    z = (x @ W + b).reshape(len(x), -1, 2)
    first = z[..., 0] > z[..., 1]
    return np.where(first, z[..., 0], z[..., 1]), (x, W, first)


def maxout_backward(delta, cache):
    x, W, first = cache
    dz = np.empty(first.shape + (2,))
    dz[..., 0], dz[..., 1] = delta * first, delta * ~first
    dz = dz.reshape(len(x), -1)
    return dz @ W.T, x.T @ dz, dz.sum(axis=0)


#: ivo triplets
def inputs(rng):
    return {
        "anchor": rng.standard_normal((5, 3)),
        "positive": rng.standard_normal((5, 3)),
        "negative": rng.standard_normal((5, 3)),
    }


def triplet_forward(anchor, positive, negative, margin=0.5):
    d_ap = np.sum((anchor - positive) ** 2, axis=1)
    d_an = np.sum((anchor - negative) ** 2, axis=1)
    u = d_ap - d_an + margin
    return np.maximum(0, u), (anchor, positive, negative, u > 0)


def triplet_backward(delta, cache):
    anchor, positive, negative, active = cache
    d = (delta * active)[:, None]
    danchor = 2 * d * (negative - positive)
    dpositive = 2 * d * (positive - anchor)
    dnegative = 2 * d * (negative - anchor)  # BUG sign
    return danchor, dpositive, dnegative


#: ivo elu
def elu_forward(x, alpha=1.5):
    y = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))
    return y, (x, y, alpha)


def elu_backward(delta, cache):
    x, y, alpha = cache
    return delta * np.where(x > 0, 1, y + 1)  # BUG function|wrong_variable


#: jun rnn step
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "prev_h": rng.standard_normal((4, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    cache = x, prev_h, Wx, Wh, next_h
    return next_h, cache


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h * next_h)
    dprev_h = da @ Wh  # BUG transposed
    return da @ Wx.T, dprev_h, x.T @ da, prev_h.T @ da, da.sum(axis=0)


#: jun lstm step
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "prev_h": rng.standard_normal((4, 5)),
        "prev_c": rng.standard_normal((4, 5)),
        "Wx": 0.5 * rng.standard_normal((3, 20)),
        "Wh": 0.5 * rng.standard_normal((5, 20)),
        "b": rng.standard_normal(20),
    }


def sig(z):
    return 1 / (1 + np.exp(-z))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o, g = sig(ai), sig(af), sig(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    tc = np.tanh(next_c)
    next_h = o * tc
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    do = dnext_h * tc
    dc = dnext_h * o * (1 - tc**2)  # BUG missing_term
    df, di, dg = dc * prev_c, dc * g, dc * i
    dprev_c = dc * f
    da = np.hstack((di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)))
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(axis=0)


#: jun lstm gates in another order
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3)),
        "prev_h": rng.standard_normal((2, 4)),
        "prev_c": rng.standard_normal((2, 4)),
        "W": 0.5 * rng.standard_normal((7, 16)),
        "b": rng.standard_normal(16),
    }


def lstm_cell_forward(x, prev_h, prev_c, W, b):
    H = prev_h.shape[1]
    z = np.concatenate([x, prev_h], axis=1)
    a = z @ W + b
    ifo = 1 / (1 + np.exp(-a[:, : 3 * H]))
    i, f, o = ifo[:, :H], ifo[:, H : 2 * H], ifo[:, 2 * H :]
    g = np.tanh(a[:, 3 * H :])
    c = f * prev_c + i * g
    h = o * np.tanh(c)
    return h, c, dict(z=z, W=W, i=i, f=f, o=o, g=g, c=c, prev_c=prev_c, D=x.shape[1])


def lstm_cell_backward(dh, dc, k):
    tc = np.tanh(k["c"])
    dc = dc + dh * k["o"] * (1 - tc * tc)
    di = dc * k["g"] * k["i"] * (1 - k["i"])
    df = dc * k["prev_c"] * k["f"] * (1 - k["f"])
    do = dh * tc * k["o"] * (1 - k["o"])
    dg = dc * k["i"] * (1 - k["g"] ** 2)
    da = np.concatenate([df, di, do, dg], axis=1)  # BUG return_order|transposed|wrong_variable
    dz = da @ k["W"].T
    return dz[:, : k["D"]], dz[:, k["D"] :], dc * k["f"], k["z"].T @ da, da.sum(0)


#: right: jun lstm step
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3)),
        "prev_h": rng.standard_normal((2, 4)),
        "prev_c": rng.standard_normal((2, 4)),
        "W": 0.5 * rng.standard_normal((7, 16)),
        "b": rng.standard_normal(16),
    }


def lstm_step_forward(x, prev_h, prev_c, W, b):
    H = prev_h.shape[1]
    z = np.hstack([x, prev_h])
    a = (z @ W + b).reshape(len(x), 4, H)
    s = 1 / (1 + np.exp(-a[:, :3]))
    g = np.tanh(a[:, 3])
    c = s[:, 1] * prev_c + s[:, 0] * g
    t = np.tanh(c)
    return s[:, 2] * t, c, (z, W, prev_c, s, g, t, x.shape[1])


def lstm_step_backward(dh, dc, cache):
    z, W, prev_c, s, g, t, D = cache
    dct = dc + dh * s[:, 2] * (1 - t**2)
    ds = np.stack([dct * g, dct * prev_c, dh * t], axis=1) * s * (1 - s)
    dg = dct * s[:, 0] * (1 - g**2)
    da = np.concatenate([ds, dg[:, None]], axis=1).reshape(len(z), -1)
    dz = da @ W.T
    return dz[:, :D], dz[:, D:], dct * s[:, 1], z.T @ da, da.sum(0)


#: jun gru step
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "h": rng.standard_normal((4, 5)),
        "W": 0.5 * rng.standard_normal((3, 15)),
        "U": 0.5 * rng.standard_normal((5, 15)),
        "b": rng.standard_normal(15),
    }


def logistic(v):
    return 1.0 / (1.0 + np.exp(-v))


def gru_forward(x, h, W, U, b):
    Wz, Wr, Wn = np.split(W, 3, axis=1)
    Uz, Ur, Un = np.split(U, 3, axis=1)
    bz, br, bn = np.split(b, 3)
    z = logistic(x @ Wz + h @ Uz + bz)
    r = logistic(x @ Wr + h @ Ur + br)
    n = np.tanh(x @ Wn + (r * h) @ Un + bn)
    new = (1 - z) * n + z * h
    return new, (x, h, W, U, z, r, n)


def gru_backward(dnew, cache):
    x, h, W, U, z, r, n = cache
    Uz, Ur, Un = np.split(U, 3, axis=1)
    dz = dnew * (h - n) * z * (1 - z)
    dn = dnew * (1 - z) * (1 - n**2)
    drh = dn @ Un.T
    dr = drh * h * r * (1 - r)
    dh = dnew * z + dz @ Uz.T + dr @ Ur.T  # BUG missing_term
    da = np.hstack([dz, dr, dn])
    dU = np.hstack([h.T @ dz, h.T @ dr, (r * h).T @ dn])
    return da @ W.T, dh, x.T @ da, dU, da.sum(axis=0)


#: jun gru candidate
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "h": rng.standard_normal((4, 5)),
        "W": 0.5 * rng.standard_normal((3, 15)),
        "U": 0.5 * rng.standard_normal((5, 15)),
        "b": rng.standard_normal(15),
    }


def gru_cell_forward(x, h, W, U, b):
    """The other kind, where the reset gate comes after the product."""
    H = h.shape[1]
    gx, gh = x @ W + b, h @ U
    zr = 1 / (1 + np.exp(-(gx[:, : 2 * H] + gh[:, : 2 * H])))
    z, r = zr[:, :H], zr[:, H:]
    n = np.tanh(gx[:, 2 * H :] + r * gh[:, 2 * H :])
    return (1 - z) * n + z * h, (x, h, W, U, z, r, n, gh[:, 2 * H :])


def gru_cell_backward(dout, cache):
    x, h, W, U, z, r, n, ghn = cache
    dn = dout * (1 - z) * (1 - n**2)
    dz = dout * (h - n) * z * (1 - z)
    dr = dn * h * r * (1 - r)  # BUG wrong_variable
    dgx = np.concatenate([dz, dr, dn], axis=1)
    dgh = np.concatenate([dz, dr, dn * r], axis=1)
    return dgx @ W.T, dgh @ U.T + dout * z, x.T @ dgx, h.T @ dgh, dgx.sum(0)


#: right: jun gru step
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3)),
        "h": rng.standard_normal((2, 4)),
        "W": 0.5 * rng.standard_normal((3, 12)),
        "U": 0.5 * rng.standard_normal((4, 12)),
        "b": rng.standard_normal(12),
    }


def gru_forward(x, h, W, U, b):
    H = h.shape[1]
    xs = x @ W + b
    gates = 1 / (1 + np.exp(-(xs[:, : 2 * H] + h @ U[:, : 2 * H])))
    u, r = np.split(gates, 2, axis=1)
    cand = np.tanh(xs[:, 2 * H :] + (r * h) @ U[:, 2 * H :])
    return u * h + (1 - u) * cand, (x, h, W, U, u, r, cand)


def gru_backward(dout, cache):
    x, h, W, U, u, r, cand = cache
    H = h.shape[1]
    dcand = dout * (1 - u) * (1 - cand * cand)
    du = dout * (h - cand) * u * (1 - u)
    drh = dcand @ U[:, 2 * H :].T
    dr = drh * h * r * (1 - r)
    dxs = np.concatenate([du, dr, dcand], axis=1)
    dU = np.concatenate([h.T @ du, h.T @ dr, (r * h).T @ dcand], axis=1)
    dh = dout * u + drh * r + dxs[:, : 2 * H] @ U[:, : 2 * H].T
    return dxs @ W.T, dh, x.T @ dxs, dU, dxs.sum(axis=0)


#: jun rnn over a sentence
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3)),
        "h0": rng.standard_normal((2, 5)),
        "Wx": 0.5 * rng.standard_normal((3, 5)),
        "Wh": 0.5 * rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_forward(x, h0, Wx, Wh, b):
    hs, h = [], h0
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        hs.append(h)
    return np.stack(hs, axis=1), (x, [h0] + hs, Wx, Wh)


def rnn_backward(dhs, cache):
    x, hs, Wx, Wh = cache
    dx = np.zeros_like(x)
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wx.shape[1])
    dh = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        da = (dhs[:, t] + dh) * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        db += da.sum(0)
        dh += da @ Wh.T  # BUG extra_term|extra_sum
    return dx, dh, dWx, dWh, db


#: jun words with padding
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 3)), "y": np.array([[1, 2, 0, 0], [2, 1, 1, 0]])}


def temporal_softmax_loss(x, y):
    """Label 0 is <NULL> and does not count."""
    N, T, V = x.shape
    rows, labels = x.reshape(N * T, V), y.reshape(N * T)
    mask = labels != 0
    p = np.exp(rows - rows.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(mask * np.log(p[np.arange(N * T), labels])) / N
    drows = p.copy()  # OR
    drows[np.arange(N * T), labels] -= 1  # OR
    drows /= N  # BUG mask_missing
    return loss, drows.reshape(N, T, V)


#: kim attention
def inputs(rng):
    return {
        "q": rng.standard_normal((2, 4, 3)),
        "k": rng.standard_normal((2, 5, 3)),
        "v": rng.standard_normal((2, 5, 6)),
    }


def attention_forward(q, k, v):
    scale = 1 / np.sqrt(q.shape[-1])
    s = q @ k.transpose(0, 2, 1) * scale
    e = np.exp(s - s.max(-1, keepdims=True))
    a = e / e.sum(-1, keepdims=True)
    return a @ v, (q, k, v, a, scale)


def attention_backward(g, cache):
    q, k, v, a, scale = cache
    dv = a.transpose(0, 2, 1) @ g
    da = g @ v.transpose(0, 2, 1)
    ds = a * (da - (da * a).sum(-1, keepdims=True))
    dq = ds @ k  # BUG missing_factor|factor
    dk = ds.transpose(0, 2, 1) @ q * scale
    return dq, dk, dv


#: kim attention sums over the queries
def inputs(rng):
    return {
        "q": rng.standard_normal((4, 3)),
        "k": rng.standard_normal((5, 3)),
        "v": rng.standard_normal((5, 6)),
    }


def softmax_rows(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_rows_grad(a, da):
    return a * (da - np.sum(da * a, axis=0, keepdims=True))  # BUG axis


def attention_forward(q, k, v):
    a = softmax_rows(q @ k.T / np.sqrt(k.shape[1]))
    return a @ v, (q, k, v, a)


def attention_backward(g, cache):
    q, k, v, a = cache
    ds = softmax_rows_grad(a, g @ v.T) / np.sqrt(k.shape[1])
    return ds @ k, ds.T @ q, a.T @ g


#: kim heads
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4)),
        "Wq": 0.5 * rng.standard_normal((4, 4)),
        "Wk": 0.5 * rng.standard_normal((4, 4)),
        "Wv": 0.5 * rng.standard_normal((4, 4)),
    }


def split_heads(t, h):
    B, T, D = t.shape
    return t.reshape(B, T, h, D // h).transpose(0, 2, 1, 3)


def merge_heads(t):
    B, h, T, d = t.shape
    return t.transpose(0, 2, 1, 3).reshape(B, T, h * d)


def self_attention_forward(x, Wq, Wk, Wv, heads=2):
    q, k, v = (split_heads(x @ W, heads) for W in (Wq, Wk, Wv))
    s = np.einsum("bhtd,bhsd->bhts", q, k) / q.shape[-1] ** 0.5
    s = s + np.triu(np.full(s.shape[-2:], -1e9), 1)
    a = np.exp(s - s.max(axis=3, keepdims=True))
    a = a / a.sum(axis=3, keepdims=True)
    return merge_heads(np.einsum("bhts,bhsd->bhtd", a, v)), (x, Wq, Wk, Wv, q, k, v, a, heads)


def self_attention_backward(g, cache):
    x, Wq, Wk, Wv, q, k, v, a, heads = cache
    B, T, D = g.shape
    go = g.reshape(B, heads, T, D // heads)  # BUG transposed|shape
    dv = np.einsum("bhts,bhtd->bhsd", a, go)
    da = np.einsum("bhtd,bhsd->bhts", go, v)
    ds = a * (da - (da * a).sum(axis=3, keepdims=True)) / q.shape[-1] ** 0.5
    dq = merge_heads(np.einsum("bhts,bhsd->bhtd", ds, k))
    dk = merge_heads(np.einsum("bhts,bhtd->bhsd", ds, q))
    dv = merge_heads(dv)
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    dWq, dWk, dWv = (np.einsum("btd,bte->de", x, d) for d in (dq, dk, dv))
    return dx, dWq, dWk, dWv


#: kim self attention leaves out the keys
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4)),
        "Wq": 0.5 * rng.standard_normal((4, 5)),
        "Wk": 0.5 * rng.standard_normal((4, 5)),
        "Wv": 0.5 * rng.standard_normal((4, 6)),
    }


def selfattn_forward(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])
    p = np.exp(s - s.max(2, keepdims=True))
    p /= p.sum(2, keepdims=True)
    return p @ v, {"x": x, "w": (Wq, Wk, Wv), "qkv": (q, k, v), "p": p}


def selfattn_backward(g, cache):
    x, p = cache["x"], cache["p"]
    Wq, Wk, Wv = cache["w"]
    q, k, v = cache["qkv"]
    gv = p.swapaxes(1, 2) @ g
    gp = g @ v.swapaxes(1, 2)
    gs = p * (gp - (gp * p).sum(2, keepdims=True)) / np.sqrt(q.shape[2])
    gq, gk = gs @ k, gs.swapaxes(1, 2) @ q
    gWq = (x.swapaxes(1, 2) @ gq).sum(0)
    gWk = (x.swapaxes(1, 2) @ gk).sum(0)
    gWv = (x.swapaxes(1, 2) @ gv).sum(0)
    gx = gq @ Wq.T + gv @ Wv.T  # BUG missing_term
    return gx, gWq, gWk, gWv


#: right: kim attention over other words
def inputs(rng):
    return {
        "q": rng.standard_normal((2, 4, 3)),
        "k": rng.standard_normal((2, 5, 3)),
        "v": rng.standard_normal((2, 5, 6)),
    }


def cross_attention_forward(q, k, v):
    d = q.shape[-1]
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(d)
    w = np.exp(s) / np.exp(s).sum(-1)[..., None]
    return np.einsum("bts,bse->bte", w, v), (q, k, v, w, d)


def cross_attention_backward(g, cache):
    q, k, v, w, d = cache
    gw = np.einsum("bte,bse->bts", g, v)
    inner = np.einsum("bts,bts->bt", gw, w)
    gs = w * (gw - inner[:, :, None]) / np.sqrt(d)
    return np.einsum("bts,bsd->btd", gs, k), np.einsum("bts,btd->bsd", gs, q), np.einsum("bts,bte->bse", w, g)


#: kim layernorm without eps
def inputs(rng):
    return {
        "x": 0.3 * rng.standard_normal((4, 3)),
        "gamma": 1 + 0.3 * rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "ln_param": {"eps": 0.01},
    }


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    return xhat * gamma + beta, (xhat, var, eps, gamma)


def layernorm_backward(g, cache):
    xhat, var, eps, gamma = cache
    ghat = g * gamma
    rstd = 1 / (np.sqrt(var) + eps)  # BUG eps
    gx = rstd * (ghat - ghat.mean(-1, keepdims=True) - xhat * (ghat * xhat).mean(-1, keepdims=True))
    return gx, (g * xhat).sum(0), g.sum(0)


#: kim gated linear unit
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "W": rng.standard_normal((3, 10)), "b": rng.standard_normal(10)}


def glu_forward(x, W, b):
    a, c = np.split(x @ W + b, 2, axis=-1)
    s = 1 / (1 + np.exp(-c))
    return a * s, (x, W, a, s)


def glu_backward(g, cache):
    x, W, a, s = cache
    gz = np.concatenate([g * s, g * s * (1 - s)], axis=-1)  # BUG missing_factor
    return gz @ W.T, x.T @ gz, gz.sum(0)


#: kim residual block
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "W1": rng.standard_normal((3, 5)),
        "b1": rng.standard_normal(5),
        "W2": rng.standard_normal((5, 3)),
        "b2": rng.standard_normal(3),
    }


def mlp_block_forward(x, W1, b1, W2, b2):
    pre = x @ W1 + b1
    mid = np.maximum(0, pre)
    return x + mid @ W2 + b2, (x, W1, W2, pre, mid)


def mlp_block_backward(g, cache):
    x, W1, W2, pre, mid = cache
    gb2, gW2 = g.sum(0), mid.T @ g
    gpre = (g @ W2.T) * (pre > 0)
    gW1, gb1 = x.T @ gpre, gpre.sum(0)
    gx = gpre @ W1.T  # BUG missing_term
    return gx, gW1, gb1, gW2, gb2


#: kim tied words
def inputs(rng):
    return {"idx": np.array([[1, 3, 1], [0, 4, 2]]), "E": rng.standard_normal((5, 4))}


def tied_forward(idx, E):
    h = np.tanh(E[idx])
    return h @ E.T, (idx, E, h)


def tied_backward(g, cache):
    idx, E, h = cache
    gE = np.einsum("btv,btd->vd", g, h)
    gh = g @ E
    ge = gh * (1 - h**2)
    np.add.at(gE, idx, gh)  # BUG wrong_variable|missing_factor
    return gE


#: lea two layers
class TwoLayerNet:
    def __init__(self, input_dim=3 * 32 * 32, hidden_dim=7, num_classes=10, weight_scale=1e-3, reg=0.0):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        X = X.reshape(X.shape[0], -1)
        h = np.maximum(0, X @ W1 + b1)
        scores = h @ W2 + b2
        if y is None:
            return scores
        N = len(y)
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        loss = -np.log(p[np.arange(N), y]).mean() + 0.5 * self.reg * ((W1**2).sum() + (W2**2).sum())
        d = p.copy()
        d[np.arange(N), y] -= 1
        d /= N
        grads = {}
        grads["W2"] = h.T @ d + self.reg * W2
        grads["b2"] = d.sum(0)
        dh = d @ W2.T
        dh[h <= 0] = 0
        grads["W1"] = X.T @ dh + 2 * self.reg * W1  # BUG regularisation|factor
        grads["b1"] = dh.sum(0)
        return loss, grads


#: lea two layers and the bias
class TwoLayerNet:
    def __init__(self, input_dim=48, hidden_dim=6, num_classes=10, weight_scale=0.01, reg=0.0):
        self.params, self.reg = {}, reg
        self.params["W1"] = np.random.normal(0, weight_scale, (input_dim, hidden_dim))
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = np.random.normal(0, weight_scale, (hidden_dim, num_classes))
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        P, reg = self.params, self.reg
        x = X.reshape(len(X), -1)
        a = np.tanh(x @ P["W1"] + P["b1"])
        s = a @ P["W2"] + P["b2"]
        if y is None:
            return s
        n = np.arange(len(y))
        s = s - s.max(axis=1, keepdims=True)
        logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        loss = -logp[n, y].sum() / len(y)
        loss += reg * (np.sum(P["W1"] ** 2) + np.sum(P["W2"] ** 2))
        ds = np.exp(logp)
        ds[n, y] -= 1
        ds /= len(y)
        da = ds @ P["W2"].T * (1 - a**2)
        grads = {"W2": a.T @ ds, "b2": ds.sum(0), "W1": x.T @ da, "b1": da.sum(0)}
        for name in grads:
            grads[name] = grads[name] + 2 * reg * P[name]  # BUG regularisation
        return loss, grads


#: right: lea two layers
class TwoLayerNet:
    def __init__(self, input_dim=48, hidden_dim=6, num_classes=10, weight_scale=0.01, reg=0.0):
        self.reg = reg
        sizes = [input_dim, hidden_dim, num_classes]
        self.params = {}
        for i in (1, 2):
            self.params[f"W{i}"] = weight_scale * np.random.randn(sizes[i - 1], sizes[i])
            self.params[f"b{i}"] = np.zeros(sizes[i])

    def loss(self, X, y=None):
        p = self.params
        x = X.reshape(len(X), -1)
        z = x @ p["W1"] + p["b1"]
        h = np.where(z > 0, z, 0.1 * z)
        out = h @ p["W2"] + p["b2"]
        if y is None:
            return out
        m = np.maximum(0, out - out[np.arange(len(y)), y][:, None] + 1)
        m[np.arange(len(y)), y] = 0
        loss = m.sum() / len(y) + 0.5 * self.reg * sum((p[k] ** 2).sum() for k in ("W1", "W2"))
        dout = (m > 0) / len(y)
        dout[np.arange(len(y)), y] = -dout.sum(1)
        dz = dout @ p["W2"].T * np.where(z > 0, 1, 0.1)
        return loss, {
            "W1": x.T @ dz + self.reg * p["W1"],
            "b1": dz.sum(0),
            "W2": h.T @ dout + self.reg * p["W2"],
            "b2": dout.sum(0),
        }


#: lea any depth
class FullyConnectedNet:
    def __init__(self, hidden_dims, input_dim=48, num_classes=10, weight_scale=0.01, reg=0.0):
        self.reg, self.L = reg, len(hidden_dims) + 1
        dims = [input_dim, *hidden_dims, num_classes]
        self.params = {}
        for i in range(self.L):
            self.params["W" + str(i + 1)] = weight_scale * np.random.randn(dims[i], dims[i + 1])
            self.params["b" + str(i + 1)] = np.zeros(dims[i + 1])

    def loss(self, X, y=None):
        a = X.reshape(len(X), -1)
        inputs, pres = [], []
        for i in range(1, self.L + 1):
            inputs.append(a)
            z = a @ self.params["W%d" % i] + self.params["b%d" % i]
            pres.append(z)
            a = np.maximum(z, 0) if i < self.L else z
        if y is None:
            return a
        N = len(y)
        e = np.exp(a - a.max(axis=1, keepdims=True))
        probs = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(probs[range(N), y]).mean()
        delta = (probs - np.eye(probs.shape[1])[y]) / N
        grads = {}
        for i in range(self.L, 0, -1):
            W = self.params["W%d" % i]
            loss += 0.5 * self.reg * np.sum(W * W)
            if i < self.L:
                delta = delta * (pres[i] > 0)  # BUG mask|wrong_variable|exception
            grads["W%d" % i] = inputs[i - 1].T @ delta + self.reg * W
            grads["b%d" % i] = delta.sum(axis=0)
            delta = delta @ W.T
        return loss, grads


#: lea any depth with norm and dropout
def bn(x, g, b, par):
    if par["mode"] == "test":
        return g * (x - par["m"]) / np.sqrt(par["v"] + 1e-5) + b, None
    m, v = x.mean(0), x.var(0)
    par["m"], par["v"] = 0.9 * par.get("m", 0) + 0.1 * m, 0.9 * par.get("v", 0) + 0.1 * v
    xh = (x - m) / np.sqrt(v + 1e-5)
    return g * xh + b, (xh, v, g)


def bn_back(d, c):
    xh, v, g = c
    dg = (d * xh).sum(0)
    dx = g / np.sqrt(v + 1e-5) * (d - d.mean(0) - xh * dg / len(d))
    return dx, dg, d.sum(0)


class FullyConnectedNet:
    def __init__(self, hidden_dims, input_dim=48, num_classes=10, keep=0.7, weight_scale=0.01, reg=0.0, seed=3):
        self.reg, self.n, self.keep, self.seed = reg, len(hidden_dims), keep, seed
        self.bns = [{"mode": "train"} for _ in hidden_dims]
        dims = [input_dim] + list(hidden_dims) + [num_classes]
        self.params = {}
        for i, (a, b) in enumerate(zip(dims, dims[1:]), 1):
            self.params[f"W{i}"] = np.random.randn(a, b) * weight_scale
            self.params[f"b{i}"] = np.zeros(b)
            if i <= self.n:
                self.params[f"gamma{i}"], self.params[f"beta{i}"] = np.ones(b), np.zeros(b)

    def loss(self, X, y=None):
        P, mode = self.params, "test" if y is None else "train"
        rng = np.random.default_rng(self.seed)
        h, caches = X.reshape(len(X), -1), []
        for i in range(1, self.n + 1):
            self.bns[i - 1]["mode"] = mode
            z, c = bn(h @ P[f"W{i}"] + P[f"b{i}"], P[f"gamma{i}"], P[f"beta{i}"], self.bns[i - 1])
            r = np.maximum(z, 0)
            mask = (rng.random(r.shape) < self.keep) / self.keep if mode == "train" else 1.0
            caches.append((h, c, z, mask))
            h = r * mask
        W, b = P[f"W{self.n + 1}"], P[f"b{self.n + 1}"]
        scores = h @ W + b
        if y is None:
            return scores
        s = scores - scores.max(1, keepdims=True)
        p = np.exp(s) / np.exp(s).sum(1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        loss += 0.5 * self.reg * sum(np.sum(P[f"W{i}"] ** 2) for i in range(1, self.n + 2))
        p[np.arange(len(y)), y] -= 1
        d = p / len(y)
        grads = {f"W{self.n + 1}": h.T @ d + self.reg * W, f"b{self.n + 1}": d.sum(0)}
        d = d @ W.T
        for i in range(self.n, 0, -1):
            x, c, z, mask = caches[i - 1]
            d = d * (z > 0)  # BUG mask_missing
            d, grads[f"gamma{i}"], grads[f"beta{i}"] = bn_back(d, c)
            grads[f"W{i}"] = x.T @ d + self.reg * P[f"W{i}"]
            grads[f"b{i}"] = d.sum(0)
            d = d @ P[f"W{i}"].T
        return loss, grads


#: right: lea any depth with layernorm
class FullyConnectedNet:
    def __init__(self, hidden_dims, input_dim=48, num_classes=10, weight_scale=0.01, reg=0.0):
        self.reg, self.params = reg, {}
        self.num_layers = len(hidden_dims) + 1
        last = input_dim
        for i, size in enumerate(list(hidden_dims) + [num_classes]):
            self.params[f"W{i + 1}"] = weight_scale * np.random.randn(last, size)
            self.params[f"b{i + 1}"] = np.zeros(size)
            if i < len(hidden_dims):
                self.params[f"gamma{i + 1}"] = np.ones(size)
                self.params[f"beta{i + 1}"] = np.zeros(size)
            last = size

    def loss(self, X, y=None):
        p, out, saved = self.params, X.reshape(X.shape[0], -1), []
        for i in range(1, self.num_layers):
            z = out @ p[f"W{i}"] + p[f"b{i}"]
            rstd = 1 / np.sqrt(z.var(1, keepdims=True) + 1e-5)
            zh = (z - z.mean(1, keepdims=True)) * rstd
            n = p[f"gamma{i}"] * zh + p[f"beta{i}"]
            saved.append((out, zh, rstd, n > 0))
            out = np.maximum(n, 0)
        L = self.num_layers
        scores = out @ p[f"W{L}"] + p[f"b{L}"]
        if y is None:
            return scores
        e = np.exp(scores - scores.max(1, keepdims=True))
        e /= e.sum(1, keepdims=True)
        loss = -np.mean(np.log(e[np.arange(len(y)), y]))
        e[np.arange(len(y)), y] -= 1
        e /= len(y)
        g = {f"W{L}": out.T @ e, f"b{L}": e.sum(0)}
        d = e @ p[f"W{L}"].T
        for i, (x, zh, rstd, on) in zip(range(L - 1, 0, -1), saved[::-1]):
            d = d * on
            g[f"gamma{i}"], g[f"beta{i}"] = (d * zh).sum(0), d.sum(0)
            dh = d * p[f"gamma{i}"]
            dz = rstd * (dh - dh.mean(1, keepdims=True) - zh * (dh * zh).mean(1, keepdims=True))
            g[f"W{i}"], g[f"b{i}"] = x.T @ dz, dz.sum(0)
            d = dz @ p[f"W{i}"].T
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(p[f"W{i}"] ** 2)
            g[f"W{i}"] += self.reg * p[f"W{i}"]
        return loss, g


#: lea conv net
def conv(x, w, b):
    k = w.shape[2] // 2
    xp = np.pad(x, ((0, 0), (0, 0), (k, k), (k, k)))
    win = np.lib.stride_tricks.sliding_window_view(xp, w.shape[2:], (2, 3))
    return np.einsum("nchwij,fcij->nfhw", win, w) + b[None, :, None, None], win


class ThreeLayerConvNet:
    def __init__(
        self, input_dim=(3, 8, 8), num_filters=4, filter_size=3, hidden_dim=5, num_classes=10, weight_scale=0.01, reg=0.0
    ):
        C, H, W = input_dim
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(num_filters, C, filter_size, filter_size),
            "b1": np.zeros(num_filters),
            "W2": weight_scale * np.random.randn(num_filters * (H // 2) * (W // 2), hidden_dim),
            "b2": np.zeros(hidden_dim),
            "W3": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b3": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2, W3, b3 = (self.params[k] for k in ("W1", "b1", "W2", "b2", "W3", "b3"))
        z1, win = conv(X, W1, b1)
        a1 = np.maximum(z1, 0)
        N, F, H, W = a1.shape
        pool = a1.reshape(N, F, H // 2, 2, W // 2, 2).mean(axis=(3, 5))
        flat = pool.reshape(N, -1)
        z2 = flat @ W2 + b2
        a2 = np.maximum(z2, 0)
        scores = a2 @ W3 + b3
        if y is None:
            return scores
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        loss = -np.log(p[np.arange(N), y]).mean()
        loss += 0.5 * self.reg * sum((w * w).sum() for w in (W1, W2, W3))
        p[np.arange(N), y] -= 1
        d = p / N
        grads = {"W3": a2.T @ d + self.reg * W3, "b3": d.sum(0)}
        d = (d @ W3.T) * (z2 > 0)
        grads["W2"], grads["b2"] = flat.T @ d + self.reg * W2, d.sum(0)
        d = (d @ W2.T).reshape(pool.shape)
        d = d.repeat(2, axis=2).repeat(2, axis=3) / 4
        d = d * (a1 > 0)
        grads["W1"] = np.einsum("nfhw,nchwij->fcij", d, win)  # BUG regularisation|missing_term
        grads["b1"] = d.sum(axis=(0, 2, 3))
        return loss, grads


#: right: lea conv net
def im2col(x, k):
    N, C, H, W = x.shape
    cols = np.zeros((N, C, k, k, H - k + 1, W - k + 1))
    for i in range(k):
        for j in range(k):
            cols[:, :, i, j] = x[:, :, i : i + H - k + 1, j : j + W - k + 1]
    return cols.reshape(N, C * k * k, -1)


class SmallConvNet:
    def __init__(self, input_dim=(3, 8, 8), num_filters=4, filter_size=3, num_classes=10, weight_scale=0.01, reg=0.0):
        C, H, W = input_dim
        self.k, self.reg = filter_size, reg
        self.params = {
            "W1": weight_scale * np.random.randn(num_filters, C, filter_size, filter_size),
            "b1": np.zeros(num_filters),
            "W2": weight_scale * np.random.randn(num_filters, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        p = self.params
        F = len(p["b1"])
        cols = im2col(X, self.k)
        z = np.matmul(p["W1"].reshape(F, -1), cols) + p["b1"][:, None]
        a = np.maximum(z, 0)
        pooled = a.mean(axis=2)
        scores = pooled @ p["W2"] + p["b2"]
        if y is None:
            return scores
        N = len(y)
        m = scores.max(1)
        lse = m + np.log(np.exp(scores - m[:, None]).sum(1))
        loss = (lse - scores[np.arange(N), y]).mean()
        loss += 0.5 * self.reg * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))
        d = np.exp(scores - lse[:, None])
        d[np.arange(N), y] -= 1
        d /= N
        da = (d @ p["W2"].T)[:, :, None] / z.shape[2] * (z > 0)
        dW1 = sum(da[n] @ cols[n].T for n in range(N)).reshape(p["W1"].shape)
        grads = {"W2": pooled.T @ d + self.reg * p["W2"], "b2": d.sum(axis=0)}
        grads["W1"], grads["b1"] = dW1 + self.reg * p["W1"], da.sum(axis=(0, 2))
        return loss, grads


#: hana scale and shift
class ScaleShift:
    def __init__(self, features=3):
        self.gamma = 1 + 0.2 * np.random.randn(features)
        self.beta = np.zeros(features)
        self.dgamma = np.zeros(features)
        self.dbeta = np.zeros(features)

    def forward(self, x):
        self.x = x
        return self.gamma * x + self.beta

    def backward(self, dout):
        self.dgamma = np.sum(dout, axis=0)  # BUG missing_factor|wrong_variable
        self.dbeta = np.sum(dout, axis=0)
        return dout * self.gamma


#: right: goran weight norm
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "V": rng.standard_normal((3, 5)), "g": rng.uniform(0.5, 2, 5)}


Parts = namedtuple("Parts", "x V g r U")


def weightnorm_forward(x, V, g):
    r = np.linalg.norm(V, axis=0)
    U = V / r
    return x @ (g * U), Parts(x, V, g, r, U)


def weightnorm_backward(dout, c):
    dW = c.x.T @ dout
    dg = np.sum(dW * c.U, axis=0)
    dV = c.g / c.r * (dW - c.U * dg)
    return dout @ (c.g * c.U).T, dV, dg


#: goran weight norm
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "V": rng.standard_normal((3, 5)), "g": rng.uniform(0.5, 2, 5)}


def weightnorm_forward(x, V, g):
    r = np.linalg.norm(V, axis=0)
    W = g * V / r
    return x @ W, (x, V, g, r, W)


def weightnorm_backward(dout, cache):
    x, V, g, r, W = cache
    dx = dout @ W.T
    dW = x.T @ dout
    dg = (dW * V / r).sum(axis=0)
    dV = g / r * dW  # BUG missing_term
    return dx, dV, dg


#: ivo too many gradients
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 5))}


def linearmap_forward(x, w):
    return x @ w, (x, w)


def linearmap_backward(delta, cache):
    x, w = cache
    dx = delta @ w.T
    dw = x.T @ delta
    db = delta.sum(axis=0)
    return dx, dw, db  # BUG extra_gradient


#: ivo softsign
def softsign_forward(x):
    a = 1 + np.abs(x)
    return x / a, a


def softsign_backward(delta, a):
    return delta / a  # BUG power|missing_factor


#: right: jun words with padding
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 3)), "y": np.array([[1, 2, 0, 0], [2, 1, 1, 0]])}


def temporal_softmax_loss(x, y):
    keep = (y != 0)[..., None]
    z = x - x.max(-1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(-1, keepdims=True))
    target = np.eye(x.shape[-1])[y]
    loss = -(keep * target * logp).sum() / keep.sum()
    return loss, keep * (np.exp(logp) - target) / keep.sum()


#: kim positions
def inputs(rng):
    return {"idx": np.array([[1, 3, 1], [0, 4, 2]]), "E": rng.standard_normal((5, 4)), "P": rng.standard_normal((3, 4))}


def tokens_forward(idx, E, P):
    return E[idx] * np.sqrt(E.shape[1]) + P[: idx.shape[1]], (idx, E, P)


def tokens_backward(g, cache):
    idx, E, P = cache
    gE = np.zeros_like(E)
    np.add.at(gE, idx, g * np.sqrt(E.shape[1]))
    gP = np.zeros(P.shape)
    gP[: idx.shape[1]] = g.mean(axis=0)  # BUG mean_for_sum|factor
    return gE, gP


#: kim attention with a bare loop
def inputs(rng):
    return {"q": rng.standard_normal((4, 3)), "k": rng.standard_normal((5, 3)), "v": rng.standard_normal((5, 2))}


def attention_forward(q, k, v):
    out, A = [], []
    for row in q:
        s = k @ row
        a = np.exp(s - s.max())
        a /= a.sum()
        A.append(a)
        out.append(a @ v)
    return np.array(out), (q, k, v, np.array(A))


def attention_backward(g, cache):
    q, k, v, A = cache
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for t in range(len(q)):
        da = v @ g[t]
        ds = A[t] * (da - A[t] @ da)
        dq[t] = ds @ k
        dk = np.outer(ds, q[t])  # BUG overlap|missing_sum
        dv += np.outer(A[t], g[t])
    return dq, dk, dv


#: lea two layers in wholes
class TwoLayerNet:
    def __init__(self, input_dim=48, hidden_dim=6, num_classes=10, weight_scale=0.01, reg=0.0):
        self.reg = reg
        self.params = {
            "W1": np.random.randn(input_dim, hidden_dim) * weight_scale,
            "b1": np.zeros(hidden_dim),
            "W2": np.random.randn(hidden_dim, num_classes) * weight_scale,
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        a1 = X @ W1 + b1
        h1 = np.where(a1 > 0, a1, 0)
        out = h1 @ W2 + b2
        if y is None:
            return out
        N = X.shape[0]
        out = out - out.max(axis=1, keepdims=True)
        prob = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
        loss = -np.log(prob[range(N), y]).sum() / N + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dout = np.zeros(prob.shape, dtype=int)  # BUG dtype
        for i in range(N):
            dout[i] = prob[i]  # OR
            dout[i, y[i]] -= 1
        dout = dout / N
        dh = dout @ W2.T
        da = dh * (a1 > 0)
        return loss, {
            "W1": X.T @ da + 2 * self.reg * W1,
            "b1": da.sum(axis=0),
            "W2": h1.T @ dout + 2 * self.reg * W2,
            "b2": dout.sum(axis=0),
        }


#: lea forgets a bias
class TwoLayerNet:
    def __init__(self, input_dim=48, hidden_dim=6, num_classes=10, weight_scale=0.01, reg=0.0):
        self.reg = reg
        self.params = {
            "W1": np.random.randn(input_dim, hidden_dim) * weight_scale,
            "b1": np.zeros(hidden_dim),
            "W2": np.random.randn(hidden_dim, num_classes) * weight_scale,
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        x, p = X.reshape(X.shape[0], -1), self.params
        h = x @ p["W1"] + p["b1"]
        s = 1 / (1 + np.exp(-h))
        scores = (h * s) @ p["W2"] + p["b2"]
        if y is None:
            return scores
        grads = {}
        lse = np.log(np.exp(scores).sum(1, keepdims=True))
        loss = (lse[:, 0] - scores[np.arange(len(y)), y]).mean()
        loss += 0.5 * self.reg * (p["W1"] ** 2).sum() + 0.5 * self.reg * (p["W2"] ** 2).sum()
        d = np.exp(scores - lse)
        d[np.arange(len(y)), y] -= 1
        d /= len(y)
        grads["W2"] = (h * s).T @ d + self.reg * p["W2"]
        grads["b2"] = d.sum(axis=0)
        dh = d @ p["W2"].T * (s + h * s * (1 - s))
        grads["W1"] = x.T @ dh + self.reg * p["W1"]
        return loss, grads  # BUG missing_gradient


#: lea conv net pools the largest
def pad1(x):
    return np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])


class ThreeLayerConvNet:
    def __init__(
        self, input_dim=(3, 8, 8), num_filters=4, filter_size=3, hidden_dim=5, num_classes=10, weight_scale=0.01, reg=0.0
    ):
        C, H, W = input_dim
        shapes = [(num_filters, C, 3, 3), (num_filters * H * W // 4, hidden_dim), (hidden_dim, num_classes)]
        self.reg, self.params = reg, {}
        for i, s in enumerate(shapes, 1):
            self.params[f"W{i}"] = np.random.normal(scale=weight_scale, size=s)
            self.params[f"b{i}"] = np.zeros(s[0] if i == 1 else s[1])

    def loss(self, X, y=None):
        p = self.params
        N, C, H, W = X.shape
        xp = pad1(X)
        z = np.zeros((N, len(p["b1"]), H, W)) + p["b1"][:, None, None]
        for i in range(3):
            for j in range(3):
                z += np.einsum("nchw,fc->nfhw", xp[:, :, i : i + H, j : j + W], p["W1"][:, :, i, j])
        a = np.maximum(z, 0)
        blocks = a.reshape(N, -1, H // 2, 2, W // 2, 2)
        m = blocks.max(axis=(3, 5))
        flat = m.reshape(N, -1)
        h = np.maximum(flat @ p["W2"] + p["b2"], 0)
        s = h @ p["W3"] + p["b3"]
        if y is None:
            return s
        e = np.exp(s - s.max(1, keepdims=True))
        q = e / e.sum(1, keepdims=True)
        loss = -np.log(q[np.arange(N), y]).sum() / N
        g = {}
        d = (q - np.eye(q.shape[1])[y]) / N
        g["W3"], g["b3"] = h.T @ d, d.sum(0)
        d = d @ p["W3"].T * (h > 0)
        g["W2"], g["b2"] = flat.T @ d, d.sum(0)
        d = (d @ p["W2"].T).reshape(m.shape)[:, :, :, None, :, None]
        d = np.broadcast_to(d, blocks.shape).reshape(a.shape)  # BUG mask_missing|missing_factor
        d = d * (z > 0)
        g["b1"] = d.sum((0, 2, 3))
        g["W1"] = np.zeros_like(p["W1"])
        for i in range(3):
            for j in range(3):
                g["W1"][:, :, i, j] = np.einsum("nfhw,nchw->fc", d, xp[:, :, i : i + H, j : j + W])
        for k in ("W1", "W2", "W3"):
            loss += 0.5 * self.reg * np.sum(p[k] ** 2)
            g[k] += self.reg * p[k]
        return loss, g


#: right: ivo huber in pieces
def inputs(rng):
    return {"x": 2 * rng.standard_normal((4, 3)), "y": rng.standard_normal((4, 3))}


def huber_loss(x, y, k=0.8):
    r = x - y
    psi = np.where(np.abs(r) <= k, r, k * np.sign(r))
    rho = np.where(np.abs(r) <= k, r**2 / 2, k * np.abs(r) - k**2 / 2)
    return rho.sum(axis=1).mean(), psi / x.shape[0]


#: right: lea two layers with dropout
class TwoLayerNet:
    def __init__(self, input_dim=48, hidden_dim=8, num_classes=10, weight_scale=0.01, reg=0.0, keep=0.75, seed=11):
        self.reg, self.keep, self.seed = reg, keep, seed
        self.params = dict(
            W1=weight_scale * np.random.randn(input_dim, hidden_dim),
            b1=np.zeros(hidden_dim),
            W2=weight_scale * np.random.randn(hidden_dim, num_classes),
            b2=np.zeros(num_classes),
        )

    def loss(self, X, y=None):
        W1, b1, W2, b2 = [self.params[k] for k in ["W1", "b1", "W2", "b2"]]
        X = X.reshape(len(X), -1)
        h = np.tanh(X @ W1 + b1)
        if y is None:
            return h @ W2 + b2
        mask = (np.random.RandomState(self.seed).rand(*h.shape) < self.keep) / self.keep
        hd = h * mask
        scores = hd @ W2 + b2
        correct = scores[np.arange(len(y)), y][:, np.newaxis]
        margins = np.maximum(0, scores - correct + 1.0)
        margins[np.arange(len(y)), y] = 0
        loss = margins.sum() / len(y) + self.reg * (np.sum(W1**2) + np.sum(W2**2))
        ds = np.where(margins > 0, 1.0, 0.0)
        ds[np.arange(len(y)), y] -= ds.sum(axis=1)
        ds /= len(y)
        dh = ds.dot(W2.T) * mask
        dz = dh * (1 - h**2)
        return loss, {
            "W2": hd.T.dot(ds) + 2 * self.reg * W2,
            "b2": ds.sum(axis=0),
            "W1": X.T.dot(dz) + 2 * self.reg * W1,
            "b1": dz.sum(axis=0),
        }
