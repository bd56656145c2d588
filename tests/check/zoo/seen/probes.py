"""Probes: layers of other families, to see whether what was learnt from the held-out part holds beyond it."""

import numpy as np


def sig(z):
    return 1 / (1 + np.exp(-z))


#: right: dropout not inverted, test scaled
def dropout_forward(x, keep_prob=0.7, mode="train"):
    if mode == "test":
        return x * keep_prob, (None, keep_prob)
    m = np.random.rand(*x.shape) < keep_prob
    return x * m, (m, keep_prob)


def dropout_backward(dout, cache):
    m, keep_prob = cache
    return dout * (keep_prob if m is None else m)


#: right: log softmax
def log_softmax_forward(x):
    z = x - x.max(axis=1, keepdims=True)
    out = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return out, out


def log_softmax_backward(dout, out):
    return dout - np.exp(out) * dout.sum(axis=1, keepdims=True)


#: right: transposed convolution
def inputs(rng):
    return rng.standard_normal((2, 2, 3, 3)), rng.standard_normal((2, 3, 2, 2))


def conv_transpose_forward(x, w):
    N, C, H, W = x.shape
    _, F, R, S = w.shape
    out = np.zeros((N, F, H + R - 1, W + S - 1))
    for i in range(H):
        for j in range(W):
            out[:, :, i:i+R, j:j+S] += np.tensordot(x[:, :, i, j], w, axes=1)
    return out, (x, w)


def conv_transpose_backward(dout, cache):
    x, w = cache
    R, S = w.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            g = dout[:, :, i:i+R, j:j+S]
            dx[:, :, i, j] = np.einsum("nfrs,cfrs->nc", g, w)
            dw += np.einsum("nc,nfrs->cfrs", x[:, :, i, j], g)
    return dx, dw


#: right: gru cell
def inputs(rng):
    return rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), rng.standard_normal((3, 3)), rng.standard_normal((3, 3)), rng.standard_normal((3, 3))


def gru_forward(x, h, Wz, Wr, Wn):
    z, r = sig(x @ Wz + h), sig(x @ Wr + h)
    n = np.tanh(x @ Wn + r * h)
    return (1 - z) * n + z * h, (x, h, Wz, Wr, Wn, z, r, n)


def gru_backward(dout, cache):
    x, h, Wz, Wr, Wn, z, r, n = cache
    dz = dout * (h - n)
    dn = dout * (1 - z)
    dh = dout * z
    dan = dn * (1 - n * n)
    dr = dan * h
    dh = dh + dan * r
    daz, dar = dz * z * (1 - z), dr * r * (1 - r)
    dh = dh + daz + dar
    dx = daz @ Wz.T + dar @ Wr.T + dan @ Wn.T
    return dx, dh, x.T @ daz, x.T @ dar, x.T @ dan


#: gru cell, reset gate's slope lost
def inputs(rng):
    return rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), rng.standard_normal((3, 3)), rng.standard_normal((3, 3)), rng.standard_normal((3, 3))


def gru_forward(x, h, Wz, Wr, Wn):
    z, r = sig(x @ Wz + h), sig(x @ Wr + h)
    n = np.tanh(x @ Wn + r * h)
    return (1 - z) * n + z * h, (x, h, Wz, Wr, Wn, z, r, n)


def gru_backward(dout, cache):
    x, h, Wz, Wr, Wn, z, r, n = cache
    dz = dout * (h - n)
    dn = dout * (1 - z)
    dan = dn * (1 - n * n)
    dr = dan * h
    daz, dar = dz * z * (1 - z), dr * (1 - r)  # BUG missing_factor
    dh = dout * z + dan * r + daz + dar
    dx = daz @ Wz.T + dar @ Wr.T + dan @ Wn.T
    return dx, dh, x.T @ daz, x.T @ dar, x.T @ dan


#: l2 normalise, projection forgotten
def l2norm_forward(x):
    n = np.sqrt((x**2).sum(axis=1, keepdims=True))
    y = x / n
    return y, (y, n)


def l2norm_backward(dout, cache):
    y, n = cache
    dx = dout / n  # BUG missing_term
    return dx


#: right: circular convolution in one dimension
def inputs(rng):
    return rng.standard_normal(6), rng.standard_normal(6)


def circular_conv_forward(a, b):
    return np.fft.ifft(np.fft.fft(a) * np.fft.fft(b)).real, (a, b)


def circular_conv_backward(dout, cache):
    a, b = cache
    D = np.fft.fft(dout)
    return np.fft.ifft(D * np.conj(np.fft.fft(b))).real, np.fft.ifft(D * np.conj(np.fft.fft(a))).real


#: group norm, mean over one channel instead of the group
def inputs(rng):
    return rng.standard_normal((2, 4, 3, 2)), rng.standard_normal((1, 4, 1, 1)), rng.standard_normal((1, 4, 1, 1)), 2


def groupnorm_forward(x, gamma, beta, G):
    N, C, H, W = x.shape
    g = x.reshape(N, G, C // G, H, W)
    mu = g.mean(axis=(2, 3, 4), keepdims=True)
    rstd = 1 / np.sqrt(g.var(axis=(2, 3, 4), keepdims=True) + 1e-5)
    xhat = ((g - mu) * rstd).reshape(x.shape)
    return gamma * xhat + beta, (xhat, rstd, gamma, G)


def groupnorm_backward(dout, cache):
    xhat, rstd, gamma, G = cache
    N, C, H, W = dout.shape
    dgamma = (dout * xhat).sum(axis=(0, 2, 3), keepdims=True)
    dbeta = dout.sum(axis=(0, 2, 3), keepdims=True)
    dxhat = (dout * gamma).reshape(N, G, C // G, H, W)
    xh = xhat.reshape(dxhat.shape)
    m1 = dxhat.mean(axis=(3, 4), keepdims=True)  # BUG axis
    m2 = (dxhat * xh).mean(axis=(2, 3, 4), keepdims=True)
    dx = ((dxhat - m1 - xh * m2) * rstd).reshape(dout.shape)
    return dx, dgamma, dbeta


#: kl loss, log base
def inputs(rng):
    p = np.exp(rng.standard_normal((3, 4)))
    return {"logits": rng.standard_normal((3, 4)), "target": p / p.sum(axis=1, keepdims=True)}


def kl_loss(logits, target):
    z = logits - logits.max(axis=1, keepdims=True)
    logq = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    loss = (target * (np.log(target) - logq)).sum() / len(logits)
    dlogits = (target - np.exp(logq)) / len(logits)  # BUG sign
    return loss, dlogits


#: max pool, stride for the window
def max_pool_forward(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    Ho, Wo = (H - ph) // s + 1, (W - pw) // s + 1
    out = np.zeros((N, C, Ho, Wo))
    for i in range(Ho):
        for j in range(Wo):
            out[:, :, i, j] = x[:, :, i*s:i*s+ph, j*s:j*s+pw].max(axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    N, C, Ho, Wo = dout.shape
    for n in range(N):
        for c in range(C):
            for i in range(Ho):
                for j in range(Wo):
                    w = x[n, c, i*ph:i*ph+ph, j*pw:j*pw+pw]  # BUG window
                    m = w == w.max()
                    dx[n, c, i*s:i*s+ph, j*s:j*s+pw] += m * dout[n, c, i, j]  # OR
    return dx


#: layer norm, statistics over the batch in the test of variance
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1, keepdims=True)
    var = x.var(axis=1, keepdims=True)
    inv = (var + eps) ** -0.5
    xn = (x - mu) * inv
    return gamma * xn + beta, {"xn": xn, "inv": inv, "gamma": gamma}


def layernorm_backward(dout, cache):
    xn, inv, gamma = cache["xn"], cache["inv"], cache["gamma"]
    D = dout.shape[0]  # BUG factor|wrong_variable
    dg, db = (dout * xn).sum(0), dout.sum(0)
    dxn = dout * gamma
    dx = inv / D * (D * dxn - dxn.sum(1, keepdims=True) - xn * (dxn * xn).sum(1, keepdims=True))  # OR
    return dx, dg, db


#: net, second bias summed over classes
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=4, num_classes=4, weight_scale=0.5, reg=0.1):
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes)}
        self.reg = reg

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        h = np.tanh(X @ W1 + b1)
        s = h @ W2 + b2
        if y is None:
            return s
        s = s - s.max(axis=1, keepdims=True)
        p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean() + self.reg * ((W1**2).sum() + (W2**2).sum())
        p[np.arange(len(y)), y] -= 1
        p /= len(y)
        dh = p @ W2.T * (1 - h**2)
        g = {}
        g["W2"] = h.T @ p + 2 * self.reg * W2
        g["b2"] = p.sum(axis=1)[:4]  # BUG axis
        g["W1"] = X.T @ dh + 2 * self.reg * W1
        g["b1"] = dh.sum(axis=0)
        return loss, g


#: affine, helper with the arguments exchanged
def grad_w(a, g):
    return a.T @ g


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    flat = x.reshape(len(x), -1)
    dw = grad_w(dout, flat)  # BUG transposed|wrong_variable
    return (dout @ w.T).reshape(x.shape), dw, dout.sum(axis=0)


#: batch norm, second moment
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    mu = x.mean(0)
    second = (x * x).mean(0)
    var = second - mu * mu
    std = np.sqrt(var + eps)
    out = gamma * (x - mu) / std + beta
    return out, (x, gamma, mu, std)


def batchnorm_backward(dout, cache):
    x, gamma, mu, std = cache
    N = len(x)
    xc = x - mu
    dgamma, dbeta = (dout * xc / std).sum(0), dout.sum(0)
    dvar = -0.5 * (dout * gamma * xc).sum(0) / std**3
    dmu = -(dout * gamma).sum(0) / std + 2 * mu * dvar  # BUG sign
    dx = dout * gamma / std + dvar * 2 * x / N + dmu / N
    return dx, dgamma, dbeta
