"""Normalisations: own stages, own names, own mistakes."""

import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, mom = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    D = x.shape[1]
    rm = bn_param.get("running_mean", np.zeros(D))
    rv = bn_param.get("running_var", np.zeros(D))
    saved = {}
    if mode == "train":
        m = np.sum(x, axis=0) / len(x)
        d = x - m
        v = np.sum(d * d, axis=0) / len(x)
        s = (v + eps) ** 0.5
        z = d / s
        rm, rv = mom * rm + (1 - mom) * m, mom * rv + (1 - mom) * v
        saved = dict(d=d, v=v, s=s, z=z, gamma=gamma, eps=eps)
    elif mode == "test":
        z = (x - rm) / np.sqrt(rv + eps)
    out = z * gamma + beta
    bn_param.update(running_mean=rm, running_var=rv)
    return out, saved


def norm_rows(x, gamma, beta, eps):
    mu = x.mean(-1, keepdims=True)
    sd = np.sqrt(x.var(-1, keepdims=True) + eps)
    return gamma * ((x - mu) / sd) + beta, mu, sd


def layernorm_forward(x, gamma, beta, ln_param):
    out, mu, sd = norm_rows(x, gamma, beta, ln_param.get("eps", 1e-5))
    return out, (x, mu, sd, gamma)


#: right: stage by stage
def batchnorm_backward(dout, cache):
    d, v, s, z, gamma, eps = (cache[k] for k in ("d", "v", "s", "z", "gamma", "eps"))
    n = len(dout)
    dz = dout * gamma
    ds = (dz * -d / s**2).sum(0)
    dv = ds * 0.5 / s
    dd = dz / s + 2 / n * d * dv
    dm = -dd.sum(0)
    return dd + dm / n, (dout * z).sum(0), dout.sum(0)


#: right: the projector
def batchnorm_backward(dout, cache):
    z, s, gamma = cache["z"], cache["s"], cache["gamma"]
    n = dout.shape[0]
    P = np.eye(n) - 1.0 / n
    dx = np.zeros_like(dout)
    for k in range(dout.shape[1]):
        M = P - np.outer(z[:, k], z[:, k]) / n
        dx[:, k] = gamma[k] / s[k] * (M @ dout[:, k])
    return dx, np.einsum("nd,nd->d", dout, z), dout.sum(0)


#: variance's factor two
def batchnorm_backward(dout, cache):
    d, s, z, gamma = cache["d"], cache["s"], cache["z"], cache["gamma"]
    n = len(dout)
    dz = dout * gamma
    ds = (dz * -d / s**2).sum(0)
    dv = ds * 0.5 / s
    dd = dz / s
    dd = dd + d * dv / n  # BUG factor
    dm = -dd.sum(0)
    dx = dd + dm / n
    return dx, (dout * z).sum(0), dout.sum(0)


#: root's one half
def batchnorm_backward(dout, cache):
    d, s, z, gamma = cache["d"], cache["s"], cache["z"], cache["gamma"]
    n = len(dout)
    dbeta = dout.sum(0)
    dgamma = (z * dout).sum(0)
    dz = dout * gamma
    ds = np.sum(-dz * d * s**-2, axis=0)
    dv = ds / s  # BUG factor
    dd = dz / s
    dd += 2.0 * d * dv / n
    dx = dd - np.mean(dd, axis=0)
    return dx, dgamma, dbeta


#: square of the deviation's denominator
def batchnorm_backward(dout, cache):
    d, s, z, gamma = cache["d"], cache["s"], cache["z"], cache["gamma"]
    n = len(dout)
    dz = dout * gamma
    ds = -(dz * d / s).sum(0)  # BUG power
    dv = 0.5 * ds / s
    dd = dz / s + 2 * d * dv / n
    dx = dd - dd.mean(0)
    return dx, (dout * z).sum(0), dout.sum(0)


#: stops at the deviation
def batchnorm_backward(dout, cache):
    d, s, z, gamma = cache["d"], cache["s"], cache["z"], cache["gamma"]
    n = len(dout)
    dz = dout * gamma
    ds = -(dz * d / s**2).sum(0)
    dv = 0.5 * ds / s
    dd = dz / s + 2 * d * dv / n
    dx = dd  # BUG missing_term
    return dx, (dout * z).sum(0), dout.sum(0)


#: scale and nothing else
def batchnorm_backward(dout, cache):
    s, z, gamma = cache["s"], cache["z"], cache["gamma"]
    dx = dout * (gamma / s)  # BUG missing_term
    dgamma = np.einsum("nd,nd->d", dout, z)
    dbeta = np.einsum("nd->d", dout)
    return dx, dgamma, dbeta


#: compact, one mean missing
def batchnorm_backward(dout, cache):
    s, z, gamma = cache["s"], cache["z"], cache["gamma"]
    g = dout * gamma
    dgamma, dbeta = (dout * z).sum(0), dout.sum(0)
    dx = (g - g.mean(0) - z * (g * z).sum(0)) / s  # BUG mean_for_sum|factor|sum_for_mean
    return dx, dgamma, dbeta


#: compact, no scale
def batchnorm_backward(dout, cache):
    s, z = cache["s"], cache["z"]
    dgamma, dbeta = (dout * z).sum(0), dout.sum(0)
    n = dout.shape[0]
    dx = (n * dout - dbeta - z * dgamma) / (n * s)  # BUG gamma_missing
    return dx, dgamma, dbeta


#: deviation divided again
def batchnorm_backward(dout, cache):
    s, z, gamma = cache["s"], cache["z"], cache["gamma"]
    n = dout.shape[0]
    dgamma, dbeta = (dout * z).sum(0), dout.sum(0)
    dx = gamma / (n * s**2) * (n * dout - dbeta - z * dgamma)  # BUG power
    return dx, dgamma, dbeta


#: eps beside the root
def batchnorm_backward(dout, cache):
    v, z, gamma, eps = cache["v"], cache["z"], cache["gamma"], cache["eps"]
    g = dout * gamma
    s = np.sqrt(v) + eps  # BUG eps
    dx = (g - g.mean(0) - z * (g * z).mean(0)) / s
    return dx, (dout * z).sum(0), dout.sum(0)


def inputs(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal(3), {"mode": "train", "eps": 0.05}


#: eps left behind
def batchnorm_backward(dout, cache):
    d, v, z, gamma = cache["d"], cache["v"], cache["z"], cache["gamma"]
    n = len(d)
    dz = dout * gamma
    rstd = v**-0.5  # BUG eps
    dv = np.sum(dz * d, axis=0) * -0.5 * rstd**3
    dm = np.sum(-dz * rstd, axis=0)
    dx = dz * rstd + dv * 2 * d / n + dm / n
    return dx, (dout * z).sum(0), dout.sum(0)


def inputs(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal(3), {"mode": "train", "eps": 0.1}


#: dgamma from the unnormalised
def batchnorm_backward(dout, cache):
    d, s, z, gamma = cache["d"], cache["s"], cache["z"], cache["gamma"]
    dgamma = np.sum(dout * d, axis=0)  # BUG wrong_variable|missing_factor
    dbeta = np.sum(dout, axis=0)
    g = dout * gamma
    dx = (g - g.mean(0) - z * (g * z).mean(0)) / s
    return dx, dgamma, dbeta


#: momentum on the new
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, mom = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return gamma * (x - rm) / np.sqrt(rv + eps) + beta, None
    m, v = x.mean(0), x.var(0)
    s = np.sqrt(v + eps)
    z = (x - m) / s
    bn_param["running_mean"] = (1 - mom) * rm + mom * m  # BUG running_stats
    bn_param["running_var"] = (1 - mom) * rv + mom * v  # OR
    return gamma * z + beta, (z, s, gamma)


def batchnorm_backward(dout, cache):
    z, s, gamma = cache
    g = dout * gamma
    return (g - g.mean(0) - z * (g * z).mean(0)) / s, (dout * z).sum(0), dout.sum(0)


#: running variance from the running mean
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, mom = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return gamma * (x - rm) / np.sqrt(rv + eps) + beta, None
    m, v = x.mean(0), x.var(0)
    s = np.sqrt(v + eps)
    z = (x - m) / s
    bn_param["running_mean"] = mom * rm + (1 - mom) * m
    bn_param["running_var"] = mom * rm + (1 - mom) * v  # BUG running_stats
    return gamma * z + beta, (z, s, gamma)


def batchnorm_backward(dout, cache):
    z, s, gamma = cache
    g = dout * gamma
    return (g - g.mean(0) - z * (g * z).mean(0)) / s, (dout * z).sum(0), dout.sum(0)


#: test mode without shift
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, mom = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return gamma * (x - rm) / np.sqrt(rv + eps), None  # BUG test_mode
    m, v = x.mean(0), x.var(0)
    s = np.sqrt(v + eps)
    z = (x - m) / s
    bn_param["running_mean"] = mom * rm + (1 - mom) * m
    bn_param["running_var"] = mom * rv + (1 - mom) * v
    return gamma * z + beta, (z, s, gamma)


def batchnorm_backward(dout, cache):
    z, s, gamma = cache
    g = dout * gamma
    return (g - g.mean(0) - z * (g * z).mean(0)) / s, (dout * z).sum(0), dout.sum(0)


#: test mode takes the batch's variance
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, mom = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    m, v = x.mean(0), x.var(0)
    s = np.sqrt(v + eps)
    if bn_param["mode"] == "test":
        return gamma * (x - rm) / s + beta, None  # BUG test_mode
    z = (x - m) / s
    bn_param["running_mean"] = mom * rm + (1 - mom) * m
    bn_param["running_var"] = mom * rv + (1 - mom) * v
    return gamma * z + beta, (z, s, gamma)


def batchnorm_backward(dout, cache):
    z, s, gamma = cache
    g = dout * gamma
    return (g - g.mean(0) - z * (g * z).mean(0)) / s, (dout * z).sum(0), dout.sum(0)


#: divides by the variance throughout
def batchnorm_forward(x, gamma, beta, bn_param):
    d = x - x.mean(0)
    v = (d * d).mean(0) + bn_param.get("eps", 1e-5)  # OR
    z = d / v  # BUG forward_formula
    return gamma * z + beta, (d, v, z, gamma)


def batchnorm_backward(dout, cache):
    d, v, z, gamma = cache
    dz = dout * gamma
    dv = -np.sum(dz * d / v**2, axis=0)
    dd = dz / v + 2 * d * dv / len(d)
    return dd - dd.mean(0), (dout * z).sum(0), dout.sum(0)


def inputs(rng):
    return 2 * rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal(3), {"mode": "train"}


#: right: layer norm by rows
def layernorm_backward(dout, cache):
    x, mu, sd, gamma = cache
    dx = np.zeros_like(x)
    dgamma = np.zeros_like(gamma)
    for n in range(x.shape[0]):
        xh = (x[n] - mu[n]) / sd[n]
        dgamma += dout[n] * xh
        g = dout[n] * gamma
        dx[n] = (g - g.mean() - xh * (g @ xh) / xh.size) / sd[n]
    return dx, dgamma, dout.sum(0)


#: layer norm down the batch
def layernorm_backward(dout, cache):
    x, mu, sd, gamma = cache
    xh = (x - mu) / sd
    g = dout * gamma
    a = g.mean(axis=0, keepdims=True)  # BUG axis
    b = (g * xh).mean(axis=1, keepdims=True)
    dx = (g - a - b * xh) / sd
    return dx, (dout * xh).sum(axis=0), dout.sum(axis=0)


#: layer norm by rows, the mean's path only
def layernorm_backward(dout, cache):
    x, mu, sd, gamma = cache
    dx = np.zeros_like(x)
    dgamma = np.zeros_like(gamma)
    for n in range(x.shape[0]):
        xh = (x[n] - mu[n]) / sd[n]
        dgamma += dout[n] * xh
        g = dout[n] * gamma
        dx[n] = (g - g.mean()) / sd[n]  # BUG missing_term
    return dx, dgamma, dout.sum(0)


#: layer norm, gamma's gradient along the features
def inputs(rng):
    return rng.standard_normal((4, 4)), rng.standard_normal(4), rng.standard_normal(4), {}


def layernorm_backward(dout, cache):
    x, mu, sd, gamma = cache
    xh = (x - mu) / sd
    dgamma = (dout * xh).sum(axis=1)  # BUG axis
    dbeta = dout.sum(axis=0)
    g = gamma * dout
    dx = (g - g.mean(1, keepdims=True) - xh * (g * xh).mean(1, keepdims=True)) / sd
    return dx, dgamma, dbeta


#: layer norm, staged, no gamma on the way to the mean
def layernorm_backward(dout, cache):
    x, mu, sd, gamma = cache
    c = x - mu
    D = x.shape[1]
    dxh = dout * gamma
    dsd = -np.sum(dxh * c / sd**2, axis=1, keepdims=True)
    dvar = dsd / (2 * sd)
    dmu = -np.sum(dout / sd, axis=1, keepdims=True)  # BUG gamma_missing|wrong_variable
    dx = dxh / sd + dvar * 2 * c / D + dmu / D
    return dx, (dout * c / sd).sum(0), dout.sum(0)


#: group norm in float64, shapes of gamma lost
def inputs(rng):
    return rng.standard_normal((2, 4, 2, 2)), rng.standard_normal((1, 4, 1, 1)), rng.standard_normal((1, 4, 1, 1)), 2


def groupnorm_forward(x, gamma, beta, G):
    y = x.reshape(x.shape[0], G, -1)
    sd = np.sqrt(y.var(2, keepdims=True) + 1e-5)
    xh = ((y - y.mean(2, keepdims=True)) / sd).reshape(x.shape)
    return gamma * xh + beta, (xh, sd, gamma, G)


def groupnorm_backward(dout, cache):
    xh, sd, gamma, G = cache
    dgamma = np.sum(dout * xh, axis=(0, 2, 3))  # BUG keepdims
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g, h = ((a * b).reshape(len(xh), G, -1) for a, b in ((dout, gamma), (xh, 1)))
    dx = (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True)) / sd
    return dx.reshape(xh.shape), dgamma, dbeta


#: group norm, divided by all channels
def inputs(rng):
    return rng.standard_normal((2, 4, 2, 2)), rng.standard_normal((1, 4, 1, 1)), rng.standard_normal((1, 4, 1, 1)), 2


def groupnorm_forward(x, gamma, beta, G):
    y = x.reshape(x.shape[0], G, -1)
    sd = np.sqrt(y.var(2, keepdims=True) + 1e-5)
    xh = ((y - y.mean(2, keepdims=True)) / sd).reshape(x.shape)
    return gamma * xh + beta, (xh, sd, gamma, G)


def groupnorm_backward(dout, cache):
    xh, sd, gamma, G = cache
    N, C, H, W = xh.shape
    M = C * H * W  # BUG factor
    dgamma = np.sum(dout * xh, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g, h = (dout * gamma).reshape(N, G, -1), xh.reshape(N, G, -1)
    dx = (g - g.sum(2, keepdims=True) / M - h * np.sum(g * h, axis=2, keepdims=True) / M) / sd  # OR
    return dx.reshape(xh.shape), dgamma, dbeta


#: right: group norm by loops
def inputs(rng):
    return rng.standard_normal((2, 4, 2, 2)), rng.standard_normal((1, 4, 1, 1)), rng.standard_normal((1, 4, 1, 1)), 2


def groupnorm_forward(x, gamma, beta, G):
    y = x.reshape(x.shape[0], G, -1)
    sd = np.sqrt(y.var(2, keepdims=True) + 1e-5)
    xh = ((y - y.mean(2, keepdims=True)) / sd).reshape(x.shape)
    return gamma * xh + beta, (xh, sd, gamma, G)


def groupnorm_backward(dout, cache):
    xh, sd, gamma, G = cache
    N, C = xh.shape[:2]
    k = C // G
    dx = np.zeros(xh.shape)
    for n in range(N):
        for q in range(G):
            part = slice(q * k, (q + 1) * k)
            g, h = (dout * gamma)[n, part], xh[n, part]
            dx[n, part] = (g - g.mean() - h * (g * h).mean()) / sd[n, q]
    return dx, (dout * xh).sum((0, 2, 3), keepdims=True), dout.sum((0, 2, 3), keepdims=True)


#: spatial batch norm, axes mixed on the way back
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    flat = np.moveaxis(x, 1, -1).reshape(N * H * W, C)
    out, saved = batchnorm_forward(flat, gamma, beta, bn_param)
    return np.moveaxis(out.reshape(N, H, W, C), -1, 1), saved


def spatial_batchnorm_backward(dout, saved):
    z, s, gamma = saved["z"], saved["s"], saved["gamma"]
    N, C, H, W = dout.shape
    g = np.moveaxis(dout, 1, -1).reshape(-1, C)
    dgamma, dbeta = (g * z).sum(0), g.sum(0)
    rows = (gamma / s) * (g - g.mean(0) - z * (g * z).mean(0))
    dx = rows.reshape(N, C, H, W)  # BUG transposed|axis|shape
    return dx, dgamma, dbeta


#: spatial batch norm, N for N H W
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    flat = np.moveaxis(x, 1, -1).reshape(N * H * W, C)
    out, saved = batchnorm_forward(flat, gamma, beta, bn_param)
    return np.moveaxis(out.reshape(N, H, W, C), -1, 1), saved


def spatial_batchnorm_backward(dout, saved):
    z, s, gamma = saved["z"], saved["s"], saved["gamma"]
    N, C, H, W = dout.shape
    g = np.moveaxis(dout, 1, -1).reshape(-1, C)
    dgamma, dbeta = (g * z).sum(0), g.sum(0)
    rows = gamma / s * (g - dbeta / N - z * dgamma / N)  # BUG factor
    return np.moveaxis(rows.reshape(N, H, W, C), -1, 1), dgamma, dbeta
