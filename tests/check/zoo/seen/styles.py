from collections import namedtuple
from types import SimpleNamespace

import numpy as np


#: right: affine, flattened by a helper
def flatten(a):
    return a.reshape(len(a), int(np.prod(a.shape[1:])))


def affine_forward(x, w, b):
    flat = flatten(x)
    return np.add(np.dot(flat, w), b), (x.shape, flat, w)


def affine_backward(delta, saved):
    shape, flat, w = saved
    db = np.ones(len(delta)) @ delta
    dw = np.einsum("nd,nm->dm", flat, delta)
    dx = np.einsum("nm,dm->nd", delta, w).reshape(shape)
    return dx, dw, db


#: affine, flattened by a helper, bias averaged
def flatten(a):
    return a.reshape(len(a), int(np.prod(a.shape[1:])))


def affine_forward(x, w, b):
    flat = flatten(x)
    return np.add(np.dot(flat, w), b), (x.shape, flat, w)


def affine_backward(delta, saved):
    shape, flat, w = saved
    db = np.ones(len(delta)) @ delta / len(delta)  # BUG factor|mean_for_sum
    dw = np.einsum("nd,nm->dm", flat, delta)
    dx = np.einsum("nm,dm->nd", delta, w).reshape(shape)
    return dx, dw, db


#: affine, flattened by a helper, input forgotten in dw
def flatten(a):
    return a.reshape(len(a), int(np.prod(a.shape[1:])))


def affine_forward(x, w, b):
    flat = flatten(x)
    return np.add(np.dot(flat, w), b), (x.shape, flat, w)


def affine_backward(delta, saved):
    shape, flat, w = saved
    db = np.ones(len(delta)) @ delta
    dw = np.einsum("nd,nm->dm", np.ones_like(flat), delta)  # BUG wrong_variable|missing_factor
    dx = np.einsum("nm,dm->nd", delta, w).reshape(shape)
    return dx, dw, db


#: affine, flattened by a helper, gradients out of order
def flatten(a):
    return a.reshape(len(a), int(np.prod(a.shape[1:])))


def affine_forward(x, w, b):
    flat = flatten(x)
    return np.add(np.dot(flat, w), b), (x.shape, flat, w)


def affine_backward(delta, saved):
    shape, flat, w = saved
    db = np.ones(len(delta)) @ delta
    dw = np.einsum("nd,nm->dm", flat, delta)
    dx = np.einsum("nm,dm->nd", delta, w).reshape(shape)
    return dw, dx, db  # BUG return_order


#: affine, flattened by a helper, not put back into shape
def flatten(a):
    return a.reshape(len(a), int(np.prod(a.shape[1:])))


def affine_forward(x, w, b):
    flat = flatten(x)
    return np.add(np.dot(flat, w), b), (x.shape, flat, w)


def affine_backward(delta, saved):
    shape, flat, w = saved
    db = np.ones(len(delta)) @ delta
    dw = np.einsum("nd,nm->dm", flat, delta)
    dx = np.einsum("nm,dm->nd", delta, w)  # BUG shape
    return dx, dw, db


#: right: batchnorm, everything in steps
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, variance path not halved
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = dsd / sd  # BUG factor
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, variance path never added
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff = 2 * diff * dsq  # BUG missing_term|overlap
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, mean not averaged
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu  # BUG factor|missing_factor
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, inverse squared wrongly
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd  # BUG power
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, momentum reversed
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = (1 - mom) * running_var + mom * v  # BUG running_stats
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, test mode without eps root
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / (running_var + eps) + beta  # BUG test_mode
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, statistics never stored
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v  # OR
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    pass  # BUG running_stats
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, the scale on the wrong side
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout  # BUG gamma_missing
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: batchnorm, everything in steps, no sum for beta
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mu = x.mean(axis=0)
        diff = x - mu
        sq = diff * diff
        v = sq.mean(axis=0)
        sd = np.sqrt(v + eps)
        inv = 1.0 / sd
        norm = diff * inv
        out = gamma * norm + beta
        running_mean = mom * running_mean + (1 - mom) * mu
        running_var = mom * running_var + (1 - mom) * v
        cache = dict(norm=norm, gamma=gamma, inv=inv, diff=diff, sd=sd)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        cache = None
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    N = dout.shape[0]
    gamma, inv, diff, sd = cache["gamma"], cache["inv"], cache["diff"], cache["sd"]
    dbeta = dout.sum(axis=-1)  # BUG missing_sum|axis
    dgamma = (dout * cache["norm"]).sum(axis=0)
    dnorm = dout * gamma
    dinv = (dnorm * diff).sum(axis=0)
    ddiff = dnorm * inv
    dsd = -dinv / sd**2
    dv = 0.5 * dsd / sd
    dsq = np.ones_like(dout) * dv / N
    ddiff += 2 * diff * dsq
    dmu = -ddiff.sum(axis=0)
    dx = ddiff + dmu / N
    return dx, dgamma, dbeta


#: right: layernorm, row by row
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xhat, rstd = np.empty_like(x), np.empty(len(x))
    for n, row in enumerate(x):
        m = row.mean()
        rstd[n] = 1 / np.sqrt(((row - m) ** 2).mean() + eps)
        xhat[n] = (row - m) * rstd[n]
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(gamma)
    dx = np.zeros_like(dout)
    for n in range(len(dout)):
        dgamma += dout[n] * xhat[n]
        dbeta += dout[n]
        g = dout[n] * gamma
        dx[n] = rstd[n] * (g - g.mean() - xhat[n] * np.mean(g * xhat[n]))
    return dx, dgamma, dbeta


#: layernorm, row by row, last row wins
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xhat, rstd = np.empty_like(x), np.empty(len(x))
    for n, row in enumerate(x):
        m = row.mean()
        rstd[n] = 1 / np.sqrt(((row - m) ** 2).mean() + eps)
        xhat[n] = (row - m) * rstd[n]
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(gamma)
    dx = np.zeros_like(dout)
    for n in range(len(dout)):
        dgamma += dout[n] * xhat[n]
        dbeta = dout[n]  # BUG overlap
        g = dout[n] * gamma
        dx[n] = rstd[n] * (g - g.mean() - xhat[n] * np.mean(g * xhat[n]))
    return dx, dgamma, dbeta


#: layernorm, row by row, mean path left out
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xhat, rstd = np.empty_like(x), np.empty(len(x))
    for n, row in enumerate(x):
        m = row.mean()
        rstd[n] = 1 / np.sqrt(((row - m) ** 2).mean() + eps)
        xhat[n] = (row - m) * rstd[n]
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(gamma)
    dx = np.zeros_like(dout)
    for n in range(len(dout)):
        dgamma += dout[n] * xhat[n]
        dbeta += dout[n]
        g = dout[n] * gamma
        dx[n] = rstd[n] * (g - xhat[n] * np.mean(g * xhat[n]))  # BUG missing_term
    return dx, dgamma, dbeta


#: layernorm, row by row, sums instead of means
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xhat, rstd = np.empty_like(x), np.empty(len(x))
    for n, row in enumerate(x):
        m = row.mean()
        rstd[n] = 1 / np.sqrt(((row - m) ** 2).mean() + eps)
        xhat[n] = (row - m) * rstd[n]
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(gamma)
    dx = np.zeros_like(dout)
    for n in range(len(dout)):
        dgamma += dout[n] * xhat[n]
        dbeta += dout[n]
        g = dout[n] * gamma
        dx[n] = rstd[n] * (g - g.mean() - xhat[n] * np.sum(g * xhat[n]))  # BUG factor
    return dx, dgamma, dbeta


#: layernorm, row by row, unscaled
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xhat, rstd = np.empty_like(x), np.empty(len(x))
    for n, row in enumerate(x):
        m = row.mean()
        rstd[n] = 1 / np.sqrt(((row - m) ** 2).mean() + eps)
        xhat[n] = (row - m) * rstd[n]
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dgamma, dbeta = np.zeros_like(gamma), np.zeros_like(gamma)
    dx = np.zeros_like(dout)
    for n in range(len(dout)):
        dgamma += dout[n] * xhat[n]
        dbeta += dout[n]
        g = dout[n]  # BUG gamma_missing
        dx[n] = rstd[n] * (g - g.mean() - xhat[n] * np.mean(g * xhat[n]))
    return dx, dgamma, dbeta


#: right: groupnorm through a namedtuple
GN = namedtuple("GN", "xhat std gamma shape G")


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    g = x.reshape(N, G, -1)
    mean = g.mean(axis=2, keepdims=True)
    std = np.sqrt(g.var(axis=2, keepdims=True) + eps)
    xhat = ((g - mean) / std).reshape(N, C, H, W)
    return gamma * xhat + beta, GN(xhat, std, gamma, (N, C, H, W), G)


def spatial_groupnorm_backward(dout, c):
    N, C, H, W = c.shape
    dgamma = np.sum(dout * c.xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    d = (dout * c.gamma).reshape(N, c.G, -1)
    h = c.xhat.reshape(N, c.G, -1)
    M = d.shape[2]
    dx = (M * d - d.sum(2, keepdims=True) - h * (d * h).sum(2, keepdims=True)) / (M * c.std)
    return dx.reshape(c.shape), dgamma, dbeta


#: groupnorm through a namedtuple, sums over the wrong groups
GN = namedtuple("GN", "xhat std gamma shape G")


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    g = x.reshape(N, G, -1)
    mean = g.mean(axis=2, keepdims=True)
    std = np.sqrt(g.var(axis=2, keepdims=True) + eps)
    xhat = ((g - mean) / std).reshape(N, C, H, W)
    return gamma * xhat + beta, GN(xhat, std, gamma, (N, C, H, W), G)


def spatial_groupnorm_backward(dout, c):
    N, C, H, W = c.shape
    dgamma = np.sum(dout * c.xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    d = (dout * c.gamma).reshape(N, c.G, -1)
    h = c.xhat.reshape(N, c.G, -1)
    M = d.shape[2]
    dx = (M * d - d.sum(1, keepdims=True) - h * (d * h).sum(2, keepdims=True)) / (M * c.std)  # BUG axis
    return dx.reshape(c.shape), dgamma, dbeta


#: groupnorm through a namedtuple, wrong count
GN = namedtuple("GN", "xhat std gamma shape G")


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    g = x.reshape(N, G, -1)
    mean = g.mean(axis=2, keepdims=True)
    std = np.sqrt(g.var(axis=2, keepdims=True) + eps)
    xhat = ((g - mean) / std).reshape(N, C, H, W)
    return gamma * xhat + beta, GN(xhat, std, gamma, (N, C, H, W), G)


def spatial_groupnorm_backward(dout, c):
    N, C, H, W = c.shape
    dgamma = np.sum(dout * c.xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    d = (dout * c.gamma).reshape(N, c.G, -1)
    h = c.xhat.reshape(N, c.G, -1)
    M = H * W  # BUG factor
    dx = (M * d - d.sum(2, keepdims=True) - h * (d * h).sum(2, keepdims=True)) / (M * c.std)
    return dx.reshape(c.shape), dgamma, dbeta


#: groupnorm through a namedtuple, beta flat
GN = namedtuple("GN", "xhat std gamma shape G")


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    g = x.reshape(N, G, -1)
    mean = g.mean(axis=2, keepdims=True)
    std = np.sqrt(g.var(axis=2, keepdims=True) + eps)
    xhat = ((g - mean) / std).reshape(N, C, H, W)
    return gamma * xhat + beta, GN(xhat, std, gamma, (N, C, H, W), G)


def spatial_groupnorm_backward(dout, c):
    N, C, H, W = c.shape
    dgamma = np.sum(dout * c.xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3))  # BUG shape|keepdims
    d = (dout * c.gamma).reshape(N, c.G, -1)
    h = c.xhat.reshape(N, c.G, -1)
    M = d.shape[2]
    dx = (M * d - d.sum(2, keepdims=True) - h * (d * h).sum(2, keepdims=True)) / (M * c.std)
    return dx.reshape(c.shape), dgamma, dbeta


#: groupnorm through a namedtuple, divided by the variance
GN = namedtuple("GN", "xhat std gamma shape G")


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    g = x.reshape(N, G, -1)
    mean = g.mean(axis=2, keepdims=True)
    std = np.sqrt(g.var(axis=2, keepdims=True) + eps)
    xhat = ((g - mean) / std).reshape(N, C, H, W)
    return gamma * xhat + beta, GN(xhat, std, gamma, (N, C, H, W), G)


def spatial_groupnorm_backward(dout, c):
    N, C, H, W = c.shape
    dgamma = np.sum(dout * c.xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    d = (dout * c.gamma).reshape(N, c.G, -1)
    h = c.xhat.reshape(N, c.G, -1)
    M = d.shape[2]
    dx = (M * d - d.sum(2, keepdims=True) - h * (d * h).sum(2, keepdims=True)) / (M * c.std**2)  # BUG power|extra_factor
    return dx.reshape(c.shape), dgamma, dbeta


#: right: conv, one kernel position at a time
def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * p - KW) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((N, F, OH, OW)) + b[:, None, None]
    for ky in range(KH):
        for kx in range(KW):
            view = padded[:, :, ky : ky + s * OH : s, kx : kx + s * OW : s]
            out += np.einsum("nchw,fc->nfhw", view, w[:, :, ky, kx])
    return out, (x, padded, w, p, s)


def conv_backward(dout, cache):
    x, padded, w, p, s = cache
    N, F, OH, OW = dout.shape
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for ky in range(w.shape[2]):
        for kx in range(w.shape[3]):
            rows, cols = slice(ky, ky + s * OH, s), slice(kx, kx + s * OW, s)
            dw[:, :, ky, kx] = np.einsum("nfhw,nchw->fc", dout, padded[:, :, rows, cols])
            dpadded[:, :, rows, cols] += np.einsum("nfhw,fc->nchw", dout, w[:, :, ky, kx])
    db = np.einsum("nfhw->f", dout)
    dx = dpadded[:, :, p : p + x.shape[2], p : p + x.shape[3]]
    return dx, dw, db


#: conv, one kernel position at a time, stride left out of the rows
def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * p - KW) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((N, F, OH, OW)) + b[:, None, None]
    for ky in range(KH):
        for kx in range(KW):
            view = padded[:, :, ky : ky + s * OH : s, kx : kx + s * OW : s]
            out += np.einsum("nchw,fc->nfhw", view, w[:, :, ky, kx])
    return out, (x, padded, w, p, s)


def conv_backward(dout, cache):
    x, padded, w, p, s = cache
    N, F, OH, OW = dout.shape
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for ky in range(w.shape[2]):
        for kx in range(w.shape[3]):
            rows, cols = slice(ky, ky + OH), slice(kx, kx + OW)  # BUG window
            dw[:, :, ky, kx] = np.einsum("nfhw,nchw->fc", dout, padded[:, :, rows, cols])
            dpadded[:, :, rows, cols] += np.einsum("nfhw,fc->nchw", dout, w[:, :, ky, kx])
    db = np.einsum("nfhw->f", dout)
    dx = dpadded[:, :, p : p + x.shape[2], p : p + x.shape[3]]
    return dx, dw, db


#: conv, one kernel position at a time, overwritten
def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * p - KW) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((N, F, OH, OW)) + b[:, None, None]
    for ky in range(KH):
        for kx in range(KW):
            view = padded[:, :, ky : ky + s * OH : s, kx : kx + s * OW : s]
            out += np.einsum("nchw,fc->nfhw", view, w[:, :, ky, kx])
    return out, (x, padded, w, p, s)


def conv_backward(dout, cache):
    x, padded, w, p, s = cache
    N, F, OH, OW = dout.shape
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for ky in range(w.shape[2]):
        for kx in range(w.shape[3]):
            rows, cols = slice(ky, ky + s * OH, s), slice(kx, kx + s * OW, s)
            dw[:, :, ky, kx] = np.einsum("nfhw,nchw->fc", dout, padded[:, :, rows, cols])
            dpadded[:, :, rows, cols] = np.einsum("nfhw,fc->nchw", dout, w[:, :, ky, kx])  # BUG overlap
    db = np.einsum("nfhw->f", dout)
    dx = dpadded[:, :, p : p + x.shape[2], p : p + x.shape[3]]
    return dx, dw, db


#: conv, one kernel position at a time, kernel turned round
def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * p - KW) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((N, F, OH, OW)) + b[:, None, None]
    for ky in range(KH):
        for kx in range(KW):
            view = padded[:, :, ky : ky + s * OH : s, kx : kx + s * OW : s]
            out += np.einsum("nchw,fc->nfhw", view, w[:, :, ky, kx])
    return out, (x, padded, w, p, s)


def conv_backward(dout, cache):
    x, padded, w, p, s = cache
    N, F, OH, OW = dout.shape
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for ky in range(w.shape[2]):
        for kx in range(w.shape[3]):
            rows, cols = slice(ky, ky + s * OH, s), slice(kx, kx + s * OW, s)
            dw[:, :, ky, kx] = np.einsum("nfhw,nchw->fc", dout, padded[:, :, rows, cols])
            dpadded[:, :, rows, cols] += np.einsum("nfhw,fc->nchw", dout, w[:, :, -1 - ky, -1 - kx])  # BUG window|transposed|wrong_variable
    db = np.einsum("nfhw->f", dout)
    dx = dpadded[:, :, p : p + x.shape[2], p : p + x.shape[3]]
    return dx, dw, db


#: conv, one kernel position at a time, cut off at the wrong place
def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * p - KW) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((N, F, OH, OW)) + b[:, None, None]
    for ky in range(KH):
        for kx in range(KW):
            view = padded[:, :, ky : ky + s * OH : s, kx : kx + s * OW : s]
            out += np.einsum("nchw,fc->nfhw", view, w[:, :, ky, kx])
    return out, (x, padded, w, p, s)


def conv_backward(dout, cache):
    x, padded, w, p, s = cache
    N, F, OH, OW = dout.shape
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for ky in range(w.shape[2]):
        for kx in range(w.shape[3]):
            rows, cols = slice(ky, ky + s * OH, s), slice(kx, kx + s * OW, s)
            dw[:, :, ky, kx] = np.einsum("nfhw,nchw->fc", dout, padded[:, :, rows, cols])
            dpadded[:, :, rows, cols] += np.einsum("nfhw,fc->nchw", dout, w[:, :, ky, kx])
    db = np.einsum("nfhw->f", dout)
    dx = dpadded[:, :, : x.shape[2], : x.shape[3]]  # BUG window
    return dx, dw, db


#: conv, one kernel position at a time, not cut off
def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * p - KW) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((N, F, OH, OW)) + b[:, None, None]
    for ky in range(KH):
        for kx in range(KW):
            view = padded[:, :, ky : ky + s * OH : s, kx : kx + s * OW : s]
            out += np.einsum("nchw,fc->nfhw", view, w[:, :, ky, kx])
    return out, (x, padded, w, p, s)


def conv_backward(dout, cache):
    x, padded, w, p, s = cache
    N, F, OH, OW = dout.shape
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for ky in range(w.shape[2]):
        for kx in range(w.shape[3]):
            rows, cols = slice(ky, ky + s * OH, s), slice(kx, kx + s * OW, s)
            dw[:, :, ky, kx] = np.einsum("nfhw,nchw->fc", dout, padded[:, :, rows, cols])
            dpadded[:, :, rows, cols] += np.einsum("nfhw,fc->nchw", dout, w[:, :, ky, kx])
    db = np.einsum("nfhw->f", dout)
    dx = dpadded  # BUG shape|window
    return dx, dw, db


#: conv, one kernel position at a time, bias of one sample
def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, KH, KW = w.shape
    OH, OW = (H + 2 * p - KH) // s + 1, (W + 2 * p - KW) // s + 1
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    out = np.zeros((N, F, OH, OW)) + b[:, None, None]
    for ky in range(KH):
        for kx in range(KW):
            view = padded[:, :, ky : ky + s * OH : s, kx : kx + s * OW : s]
            out += np.einsum("nchw,fc->nfhw", view, w[:, :, ky, kx])
    return out, (x, padded, w, p, s)


def conv_backward(dout, cache):
    x, padded, w, p, s = cache
    N, F, OH, OW = dout.shape
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    for ky in range(w.shape[2]):
        for kx in range(w.shape[3]):
            rows, cols = slice(ky, ky + s * OH, s), slice(kx, kx + s * OW, s)
            dw[:, :, ky, kx] = np.einsum("nfhw,nchw->fc", dout, padded[:, :, rows, cols])
            dpadded[:, :, rows, cols] += np.einsum("nfhw,fc->nchw", dout, w[:, :, ky, kx])
    db = np.einsum("fhw->f", dout[0])  # BUG missing_sum|axis
    dx = dpadded[:, :, p : p + x.shape[2], p : p + x.shape[3]]
    return dx, dw, db


#: right: max pool with a mask and windows
def max_pool_forward(x, pool_param):
    k, s = pool_param["pool_height"], pool_param["stride"]
    kw = pool_param["pool_width"]
    win = np.lib.stride_tricks.sliding_window_view(x, (k, kw), axis=(2, 3))[:, :, ::s, ::s]
    out = win.max(axis=(4, 5))
    return out, SimpleNamespace(x=x, out=out, k=k, kw=kw, s=s)


def max_pool_backward(dout, ctx):
    dx = np.zeros(ctx.x.shape)
    s = ctx.s
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            block = ctx.x[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw]
            hit = (block == ctx.out[:, :, i, j][:, :, None, None]).reshape(*block.shape[:2], -1)
            first = hit.argmax(axis=2)
            route = np.eye(hit.shape[2])[first].reshape(block.shape)
            dx[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw] += route * dout[:, :, i, j][:, :, None, None]
    return dx


#: max pool with a mask and windows, upstream of one place
def max_pool_forward(x, pool_param):
    k, s = pool_param["pool_height"], pool_param["stride"]
    kw = pool_param["pool_width"]
    win = np.lib.stride_tricks.sliding_window_view(x, (k, kw), axis=(2, 3))[:, :, ::s, ::s]
    out = win.max(axis=(4, 5))
    return out, SimpleNamespace(x=x, out=out, k=k, kw=kw, s=s)


def max_pool_backward(dout, ctx):
    dx = np.zeros(ctx.x.shape)
    s = ctx.s
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            block = ctx.x[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw]
            hit = (block == ctx.out[:, :, i, j][:, :, None, None]).reshape(*block.shape[:2], -1)
            first = hit.argmax(axis=2)
            route = np.eye(hit.shape[2])[first].reshape(block.shape)
            dx[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw] += route * dout[:, :, j % dout.shape[2], j][:, :, None, None]  # BUG wrong_variable
    return dx


#: max pool with a mask and windows, no route
def max_pool_forward(x, pool_param):
    k, s = pool_param["pool_height"], pool_param["stride"]
    kw = pool_param["pool_width"]
    win = np.lib.stride_tricks.sliding_window_view(x, (k, kw), axis=(2, 3))[:, :, ::s, ::s]
    out = win.max(axis=(4, 5))
    return out, SimpleNamespace(x=x, out=out, k=k, kw=kw, s=s)


def max_pool_backward(dout, ctx):
    dx = np.zeros(ctx.x.shape)
    s = ctx.s
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            block = ctx.x[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw]
            hit = (block == ctx.out[:, :, i, j][:, :, None, None]).reshape(*block.shape[:2], -1)
            first = hit.argmax(axis=2)
            route = np.eye(hit.shape[2])[first].reshape(block.shape)
            dx[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw] += dout[:, :, i, j][:, :, None, None]  # BUG mask_missing|mask
    return dx


#: max pool with a mask and windows, smallest instead
def max_pool_forward(x, pool_param):
    k, s = pool_param["pool_height"], pool_param["stride"]
    kw = pool_param["pool_width"]
    win = np.lib.stride_tricks.sliding_window_view(x, (k, kw), axis=(2, 3))[:, :, ::s, ::s]
    out = win.max(axis=(4, 5))
    return out, SimpleNamespace(x=x, out=out, k=k, kw=kw, s=s)


def max_pool_backward(dout, ctx):
    dx = np.zeros(ctx.x.shape)
    s = ctx.s
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            block = ctx.x[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw]
            hit = (block == ctx.out[:, :, i, j][:, :, None, None]).reshape(*block.shape[:2], -1)
            first = block.reshape(*block.shape[:2], -1).argmin(axis=2)  # BUG argmax
            route = np.eye(hit.shape[2])[first].reshape(block.shape)
            dx[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw] += route * dout[:, :, i, j][:, :, None, None]
    return dx


#: max pool with a mask and windows, window from the wrong corner
def max_pool_forward(x, pool_param):
    k, s = pool_param["pool_height"], pool_param["stride"]
    kw = pool_param["pool_width"]
    win = np.lib.stride_tricks.sliding_window_view(x, (k, kw), axis=(2, 3))[:, :, ::s, ::s]
    out = win.max(axis=(4, 5))
    return out, SimpleNamespace(x=x, out=out, k=k, kw=kw, s=s)


def max_pool_backward(dout, ctx):
    dx = np.zeros(ctx.x.shape)
    s = ctx.s
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            block = ctx.x[:, :, i : i + ctx.k, j : j + ctx.kw]  # BUG window
            hit = (block == ctx.out[:, :, i, j][:, :, None, None]).reshape(*block.shape[:2], -1)
            first = hit.argmax(axis=2)
            route = np.eye(hit.shape[2])[first].reshape(block.shape)
            dx[:, :, i * s : i * s + ctx.k, j * s : j * s + ctx.kw] += route * dout[:, :, i, j][:, :, None, None]
    return dx


#: right: average pool, scattered
def avg_pool_forward(x, pool_param):
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - h) // s + 1, (W - w) // s + 1))
    for r in range(out.shape[2]):
        for c in range(out.shape[3]):
            out[..., r, c] = x[..., r * s : r * s + h, c * s : c * s + w].mean((-1, -2))
    return out, (x.shape, pool_param)


def avg_pool_backward(grad, cache):
    shape, pool_param = cache
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    gx = np.zeros(shape)
    for r in range(grad.shape[2]):
        for c in range(grad.shape[3]):
            share = grad[..., r, c] / (h * w)
            gx[..., r * s : r * s + h, c * s : c * s + w] += share[..., None, None]
    return gx


#: average pool, scattered, everything to everyone
def avg_pool_forward(x, pool_param):
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - h) // s + 1, (W - w) // s + 1))
    for r in range(out.shape[2]):
        for c in range(out.shape[3]):
            out[..., r, c] = x[..., r * s : r * s + h, c * s : c * s + w].mean((-1, -2))
    return out, (x.shape, pool_param)


def avg_pool_backward(grad, cache):
    shape, pool_param = cache
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    gx = np.zeros(shape)
    for r in range(grad.shape[2]):
        for c in range(grad.shape[3]):
            share = grad[..., r, c]  # BUG factor|missing_factor
            gx[..., r * s : r * s + h, c * s : c * s + w] += share[..., None, None]
    return gx


#: average pool, scattered, divided by the side only
def avg_pool_forward(x, pool_param):
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - h) // s + 1, (W - w) // s + 1))
    for r in range(out.shape[2]):
        for c in range(out.shape[3]):
            out[..., r, c] = x[..., r * s : r * s + h, c * s : c * s + w].mean((-1, -2))
    return out, (x.shape, pool_param)


def avg_pool_backward(grad, cache):
    shape, pool_param = cache
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    gx = np.zeros(shape)
    for r in range(grad.shape[2]):
        for c in range(grad.shape[3]):
            share = grad[..., r, c] / h  # BUG factor
            gx[..., r * s : r * s + h, c * s : c * s + w] += share[..., None, None]
    return gx


#: average pool, scattered, corner only
def avg_pool_forward(x, pool_param):
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - h) // s + 1, (W - w) // s + 1))
    for r in range(out.shape[2]):
        for c in range(out.shape[3]):
            out[..., r, c] = x[..., r * s : r * s + h, c * s : c * s + w].mean((-1, -2))
    return out, (x.shape, pool_param)


def avg_pool_backward(grad, cache):
    shape, pool_param = cache
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    gx = np.zeros(shape)
    for r in range(grad.shape[2]):
        for c in range(grad.shape[3]):
            share = grad[..., r, c] / (h * w)
            gx[..., r * s : r * s + 1, c * s : c * s + 1] += share[..., None, None]  # BUG window|missing_sum
    return gx


#: right: dropout with a generator
def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "train":
        rng = np.random.default_rng(dropout_param.get("seed"))
        drop = rng.random(x.shape) >= keep
        y = x / keep
        y[drop] = 0
        return y, (drop, keep, mode)
    return x.copy(), (None, keep, mode)


def dropout_backward(dy, cache):
    drop, keep, mode = cache
    if mode != "train":
        return dy
    dx = dy / keep
    dx[drop] = 0
    return dx


#: dropout with a generator, scale left behind
def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "train":
        rng = np.random.default_rng(dropout_param.get("seed"))
        drop = rng.random(x.shape) >= keep
        y = x / keep
        y[drop] = 0
        return y, (drop, keep, mode)
    return x.copy(), (None, keep, mode)


def dropout_backward(dy, cache):
    drop, keep, mode = cache
    if mode != "train":
        return dy
    dx = dy.copy()  # BUG keep_prob
    dx[drop] = 0
    return dx


#: dropout with a generator, nothing dropped
def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "train":
        rng = np.random.default_rng(dropout_param.get("seed"))
        drop = rng.random(x.shape) >= keep
        y = x / keep
        y[drop] = 0
        return y, (drop, keep, mode)
    return x.copy(), (None, keep, mode)


def dropout_backward(dy, cache):
    drop, keep, mode = cache
    if mode != "train":
        return dy
    dx = dy / keep
    dx[drop] *= 1  # BUG mask_missing
    return dx


#: dropout with a generator, wrong ones dropped
def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "train":
        rng = np.random.default_rng(dropout_param.get("seed"))
        drop = rng.random(x.shape) >= keep
        y = x / keep
        y[drop] = 0
        return y, (drop, keep, mode)
    return x.copy(), (None, keep, mode)


def dropout_backward(dy, cache):
    drop, keep, mode = cache
    if mode != "train":
        return dy
    dx = dy / keep
    dx[~drop] = 0  # BUG mask_inverted
    return dx


#: dropout with a generator, upstream in place
def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "train":
        rng = np.random.default_rng(dropout_param.get("seed"))
        drop = rng.random(x.shape) >= keep
        y = x / keep
        y[drop] = 0
        return y, (drop, keep, mode)
    return x.copy(), (None, keep, mode)


def dropout_backward(dy, cache):
    drop, keep, mode = cache
    if mode != "train":
        return dy
    dx = dy
    dx /= keep  # BUG mutation
    dx[drop] = 0
    return dx


#: dropout with a generator, test mode scaled too
def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "train":
        rng = np.random.default_rng(dropout_param.get("seed"))
        drop = rng.random(x.shape) >= keep
        y = x / keep
        y[drop] = 0
        return y, (drop, keep, mode)
    return x * keep, (None, keep, mode)  # BUG test_mode


def dropout_backward(dy, cache):
    drop, keep, mode = cache
    if mode != "train":
        return dy
    dx = dy / keep
    dx[drop] = 0
    return dx
