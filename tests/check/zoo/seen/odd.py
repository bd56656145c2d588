"""Other habits: camel case, einsum, Jacobians, gates, classes."""

import numpy as np


#: batchnorm, camel case, object cache
class Ctx:
    def __init__(self, **kw):
        self.__dict__.update(kw)


def batchNormForward(X, Gamma, Beta, Eps=1e-3):
    Mu = np.mean(X, 0)
    Xmu = X - Mu
    Var = np.mean(Xmu**2, 0)
    SqrtVar = np.sqrt(Var + Eps)
    IVar = 1.0 / SqrtVar
    XHat = Xmu * IVar
    return Gamma * XHat + Beta, Ctx(XHat=XHat, Gamma=Gamma, Xmu=Xmu, IVar=IVar, SqrtVar=SqrtVar)


batch_norm_forward = batchNormForward
batch_norm_forward.__name__ = "batch_norm_forward"


def batch_norm_backward(dY, ctx):
    N = dY.shape[0]
    dBeta = np.sum(dY, 0)
    dGamma = np.sum(dY * ctx.XHat, 0)
    dXHat = dY * ctx.Gamma
    dIVar = np.sum(dXHat * ctx.Xmu, 0)
    dXmu1 = dXHat * ctx.IVar
    dSqrtVar = -1.0 / ctx.SqrtVar**2 * dIVar
    dVar = 0.5 / ctx.SqrtVar * dSqrtVar
    dXmu2 = 2 * ctx.Xmu * dVar / N
    dX1 = dXmu1 - dXmu2  # BUG sign
    dMu = -np.sum(dX1, 0)
    dX = dX1 + dMu / N
    return dX, dGamma, dBeta


#: conv with np.einsum, flipped kernel in dx
def conv_forward(x, w, b, stride=1, pad=0):
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    v = np.lib.stride_tricks.sliding_window_view(xp, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwij,fcij->nfhw", v, w) + b[None, :, None, None], (x.shape, v, w, stride, pad)


def conv_backward(g, saved):
    shape, v, w, stride, pad = saved
    N, C, H, W = shape
    db = g.sum((0, 2, 3))
    dw = np.einsum("nchwij,nfhw->fcij", v, g)
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad))
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            part = np.einsum("nfhw,fc->nchw", g, w[:, :, j, i])  # BUG exception|window|transposed|wrong_variable
            dxp[:, :, i : i + stride * g.shape[2] : stride, j : j + stride * g.shape[3] : stride] += part
    return dxp[:, :, pad : pad + H, pad : pad + W], dw, db


#: maxout-ish abs
def abs_forward(x):
    return np.abs(x), x


def abs_backward(dout, x):
    return dout * np.abs(x)  # BUG function|extra_factor


#: softmax layer jacobian
def softmax_forward(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dout, out):
    return out * (dout - dout.sum(axis=1, keepdims=True))  # BUG missing_factor


#: right: softmax layer jacobian by loops
def softmax_forward(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p


def softmax_backward(dout, p):
    dz = np.empty_like(p)
    for k, (row, g) in enumerate(zip(p, dout)):
        J = np.diag(row) - np.outer(row, row)
        dz[k] = J @ g
    return dz


#: weight gradient accumulates outer products the wrong way
def linear_forward(x, w, b):
    return np.array([w.T @ r + b for r in x]), dict(x=x, w=w)


def linear_backward(dout, cache):
    dw = sum(np.outer(g, r) for r, g in zip(cache["x"], dout))  # BUG transposed
    dx = np.stack([cache["w"] @ g for g in dout])
    return dx, dw, dout.sum(0)


#: sigmoid with lost negation
def sigmoid_forward(x):
    return 1 / (1 + np.exp(-x)), x


def sigmoid_backward(dout, x):
    e = np.exp(-x)
    return dout * e / (1 + e)  # BUG power


#: layer norm, sd instead of var in the tail
def layernorm_forward(x, gamma, beta, eps=1e-2):
    m = x.mean(-1, keepdims=True)
    c = x - m
    s = np.sqrt((c * c).mean(-1, keepdims=True) + eps)
    n = c / s
    return n * gamma + beta, (n, s, gamma)


def layernorm_backward(dout, cache):
    n, s, gamma = cache
    dn = dout * gamma
    t1 = dn.mean(-1, keepdims=True)
    t2 = (dn * n).mean(-1, keepdims=True)
    dx = (dn - t1 - n * t2) / s**2  # BUG power
    return dx, (dout * n).sum(0), dout.sum(0)


#: layer norm, t1 with the wrong thing
def layernorm_forward(x, gamma, beta, eps=1e-2):
    m = x.mean(-1, keepdims=True)
    c = x - m
    s = np.sqrt((c * c).mean(-1, keepdims=True) + eps)
    n = c / s
    return n * gamma + beta, (n, s, gamma)


def layernorm_backward(dout, cache):
    n, s, gamma = cache
    dn = dout * gamma
    t1 = dout.mean(-1, keepdims=True)  # BUG wrong_variable|gamma_missing
    t2 = (dn * n).mean(-1, keepdims=True)
    dx = (dn - t1 - n * t2) / s
    return dx, (dout * n).sum(0), dout.sum(0)


#: hinge with the margin not masked
def svm_loss(scores, y):
    n = scores.shape[0]
    m = scores - scores[range(n), y].reshape(-1, 1) + 1
    m[range(n), y] = 0
    loss = m[m > 0].sum() / n
    d = (m != 0).astype(float)  # BUG mask|mask_inverted|operation
    d[range(n), y] = -d.sum(1)
    return loss, d / n


#: mse with weights
def mse_loss(X, w, y):
    r = X @ w - y
    return 0.5 * np.mean(r**2), X.T @ r  # BUG factor|sum_for_mean


def inputs(rng):
    return {"X": rng.standard_normal((6, 3)), "w": rng.standard_normal(3), "y": rng.standard_normal(6)}


#: gru-like gate
def gate_forward(x, h, w):
    z = 1 / (1 + np.exp(-(x @ w)))
    out = (1 - z) * h + z * x
    return out, (x, h, w, z)


def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal((3, 3))


def gate_backward(dout, cache):
    x, h, w, z = cache
    dh = dout * (1 - z)
    dz = dout * (h - x)  # BUG sign
    da = dz * z * (1 - z)
    dx = dout * z + da @ w.T
    dw = x.T @ da
    return dx, dh, dw


#: gru-like gate, path through the weights lost
def gate_forward(x, h, w):
    z = 1 / (1 + np.exp(-(x @ w)))
    out = (1 - z) * h + z * x
    return out, (x, h, w, z)


def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal((3, 3))


def gate_backward(dout, cache):
    x, h, w, z = cache
    dh = dout * (1 - z)
    dz = dout * (x - h)
    da = dz * z * (1 - z)
    dx = dout * z  # BUG missing_term
    dw = x.T @ da
    return dx, dh, dw


#: right: gate
def gate_forward(x, h, w):
    z = 1 / (1 + np.exp(-(x @ w)))
    out = (1 - z) * h + z * x
    return out, (x, h, w, z)


def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal((3, 3))


def gate_backward(dout, cache):
    x, h, w, z = cache
    dh = dout * (1 - z)
    dz = dout * (x - h)
    da = dz * z * (1 - z)
    dx = dout * z
    dx += da @ w.T
    dw = x.T @ da
    return dx, dh, dw


#: avg pool reshape with forgotten division
def avgpool_forward(x):
    N, C, H, W = x.shape
    return x.reshape(N, C, H // 2, 2, W // 2, 2).mean(axis=(3, 5)), x.shape


def inputs(rng):
    return (rng.standard_normal((2, 3, 4, 6)),)


def avgpool_backward(dout, shape):
    return np.repeat(np.repeat(dout, 2, axis=2), 2, axis=3) / 2  # BUG factor


#: elu uses out instead of out plus alpha
def elu_forward(x, alpha=0.5):
    out = np.where(x > 0, x, alpha * (np.exp(x) - 1))
    return out, (x, out, alpha)


def elu_backward(dout, cache):
    x, out, alpha = cache
    dx = np.where(x > 0, dout, dout * out)  # BUG missing_term|missing_factor|extra_term
    return dx


#: class with a bias forgotten
class Dense:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.ones((n_in, n_out)), np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, g):
        self.dW = self.x.T @ g / len(g)  # BUG factor
        self.db = g.sum(0)
        return g @ self.W.T


#: class relu with inverted mask
class ReLU:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dx = dout.copy()
        dx[~self.mask] = 0  # BUG mask_inverted
        return dx
