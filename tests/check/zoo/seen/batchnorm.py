"""Batch normalisation: staged, compact and simplified backwards."""

from collections import namedtuple

import numpy as np

Saved = namedtuple("Saved", "xhat rstd gamma centered")


def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if mode == "train":
        mu = x.mean(axis=0)
        xc = x - mu
        var = np.mean(xc**2, axis=0)
        std = np.sqrt(var + eps)
        xhat = xc / std
        out = gamma * xhat + beta
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
        cache = (x, xc, var, std, xhat, gamma, eps)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def bn_forward(x, gamma, beta, eps=1e-2):
    mean = x.mean(axis=0)
    centered = x - mean
    var = (centered**2).mean(axis=0)
    rstd = 1 / np.sqrt(var + eps)
    xhat = centered * rstd
    out = gamma * xhat + beta
    return out, Saved(xhat, rstd, gamma, centered)


#: right: staged
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std
    dstd = -np.sum((dxhat * xc) / (std * std), axis=0)
    dvar = 0.5 * dstd / std
    dxc += (2.0 / N) * xc * dvar
    dmu = np.sum(dxc, axis=0)
    dx = dxc - dmu / N
    return dx, dgamma, dbeta


#: right: twelve small steps
def batchnorm_backward(dout, cache):
    x, xmu, var, sqrtvar, xhat, gamma, eps = cache
    N, D = dout.shape
    ivar = 1.0 / sqrtvar
    dbeta = np.sum(dout, axis=0)
    dgammax = dout
    dgamma = np.sum(dgammax * xhat, axis=0)
    dxhat = dgammax * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
    dsq = 1.0 / N * np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / N * np.ones((N, D)) * dmu
    dx = dx1 + dx2
    return dx, dgamma, dbeta


#: right: simplified
def batchnorm_backward_alt(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta, dgamma = dout.sum(axis=0), (dout * xhat).sum(axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta - xhat * dgamma)
    return dx, dgamma, dbeta


#: right: namedtuple, means
def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = np.einsum("nd,nd->d", dy, saved.xhat)
    dbeta = dy.sum(0)
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dgamma, dbeta


#: right: loop over features
def bn_backward(dout, saved):
    xhat, rstd, gamma, centered = saved
    N, D = dout.shape
    dx, dgamma, dbeta = np.empty_like(dout), np.empty(D), np.empty(D)
    for j in range(D):
        d = dout[:, j]
        h = xhat[:, j]
        dbeta[j] = d.sum()
        dgamma[j] = d @ h
        dx[:, j] = gamma[j] * rstd[j] / N * (N * d - dbeta[j] - h * dgamma[j])
    return dx, dgamma, dbeta


#: power of rstd
def bn_backward(dout, saved):
    xhat, rstd, gamma, centered = saved
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    drstd = (dxhat * centered).sum(axis=0)
    dvar = drstd * -0.5 * rstd**2  # BUG power
    dcentered = dxhat * rstd + 2 / N * centered * dvar
    dx = dcentered - dcentered.mean(axis=0)
    return dx, dgamma, dbeta


#: forgotten half
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std
    dstd = -np.sum((dxhat * xc) / (std * std), axis=0)
    dvar = dstd / std  # BUG factor
    dxc += (2.0 / N) * xc * dvar
    dmu = np.sum(dxc, axis=0)
    dx = dxc - dmu / N
    return dx, dgamma, dbeta


#: forgotten two
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std
    dstd = -np.sum((dxhat * xc) / (std * std), axis=0)
    dvar = 0.5 * dstd / std
    dxc += (1.0 / N) * xc * dvar  # BUG factor
    dmu = np.sum(dxc, axis=0)
    dx = dxc - dmu / N
    return dx, dgamma, dbeta


#: forgotten 1/N in the path of the mean
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std
    dstd = -np.sum((dxhat * xc) / (std * std), axis=0)
    dvar = 0.5 * dstd / std
    dxc += (2.0 / N) * xc * dvar
    dmu = np.sum(dxc, axis=0)
    dx = dxc - dmu  # BUG factor
    return dx, dgamma, dbeta


#: sign of dstd
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std
    dstd = np.sum((dxhat * xc) / (std * std), axis=0)  # BUG sign
    dvar = 0.5 * dstd / std
    dxc += (2.0 / N) * xc * dvar
    dmu = np.sum(dxc, axis=0)
    dx = dxc - dmu / N
    return dx, dgamma, dbeta


#: sign of the path of the mean
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std
    dstd = -np.sum((dxhat * xc) / (std * std), axis=0)
    dvar = 0.5 * dstd / std
    dxc += (2.0 / N) * xc * dvar
    dmu = np.sum(dxc, axis=0)  # OR
    dx = dxc + dmu / N  # BUG sign
    return dx, dgamma, dbeta


#: no path through the variance
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std  # BUG missing_term
    dmu = -np.sum(dxc, axis=0)
    dx = dxc + dmu / N  # OR
    return dx, dgamma, dbeta


#: no path through the mean
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xhat * dout, axis=0)
    dxhat = gamma * dout
    dxc = dxhat / std
    dstd = -np.sum((dxhat * xc) / (std * std), axis=0)
    dvar = 0.5 * dstd / std
    dxc += (2.0 / N) * xc * dvar
    dx = dxc  # BUG missing_term
    return dx, dgamma, dbeta


#: as if mean and variance were constants
def bn_backward(dout, saved):
    dgamma = (dout * saved.xhat).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dx = dout * saved.gamma * saved.rstd  # BUG missing_term
    return dx, dgamma, dbeta


#: gamma forgotten, simplified
def batchnorm_backward_alt(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta, dgamma = dout.sum(axis=0), (dout * xhat).sum(axis=0)
    dx = 1 / (N * std) * (N * dout - dbeta - xhat * dgamma)  # BUG gamma_missing
    return dx, dgamma, dbeta


#: gamma forgotten, staged
def bn_backward(dout, saved):
    xhat, rstd, gamma, centered = saved
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout  # BUG gamma_missing
    drstd = (dxhat * centered).sum(axis=0)
    dvar = drstd * -0.5 * rstd**3
    dcentered = dxhat * rstd + 2 / N * centered * dvar
    dx = dcentered - dcentered.mean(axis=0)
    return dx, dgamma, dbeta


#: gamma twice
def bn_backward(dout, saved):
    xhat, rstd, gamma, centered = saved
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    g = dout * gamma
    dx = gamma * rstd * (g - g.mean(0) - xhat * (g * xhat).mean(0))  # BUG extra_factor
    return dx, dgamma, dbeta


#: dgamma with gamma in it
def bn_backward(dout, saved):
    xhat, rstd, gamma, centered = saved
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat * gamma).sum(axis=0)  # BUG extra_factor
    g = dout * gamma
    dx = rstd * (g - g.mean(0) - xhat * (g * xhat).mean(0))
    return dx, dgamma, dbeta


#: dgamma from the centred values
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xc).sum(axis=0)  # BUG wrong_variable|extra_factor|missing_factor
    dx = gamma / (N * std) * (N * dout - dbeta - xhat * (dout * xhat).sum(axis=0))
    return dx, dgamma, dbeta


#: dgamma from x itself
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * x, axis=0)  # BUG wrong_variable
    dx = gamma / (N * std) * (N * dout - dbeta - xhat * (dout * xhat).sum(axis=0))
    return dx, dgamma, dbeta


#: dgamma not summed
def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = dy * saved.xhat  # BUG missing_sum
    dbeta = dy.sum(0)
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dgamma, dbeta


#: dbeta over the wrong axis
def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = np.sum(dy * saved.xhat, axis=0)
    dbeta = dy.sum(1)  # BUG axis
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dgamma, dbeta


#: keepdims in dgamma and dbeta
def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = np.sum(dy * saved.xhat, axis=0, keepdims=True)  # BUG keepdims
    dbeta = dy.sum(axis=0)
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dgamma, dbeta


#: N - 1 in the simplified form
def batchnorm_backward_alt(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dx = gamma / std * (dout - dbeta / N - xhat * dgamma / (N - 1))  # BUG factor
    return dx, dgamma, dbeta


#: features for samples
def batchnorm_backward_alt(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = x.shape[1]  # BUG factor|axis
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta - xhat * dgamma)
    return dx, dgamma, dbeta


#: plus in the simplified form
def batchnorm_backward_alt(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta + xhat * dgamma)  # BUG sign
    return dx, dgamma, dbeta


#: xhat forgotten in the simplified form
def batchnorm_backward_alt(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dx = gamma / (N * std) * (N * dout - dbeta - dgamma)  # BUG missing_factor
    return dx, dgamma, dbeta


#: variance for standard deviation
def batchnorm_backward_alt(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dx = gamma / (N * var) * (N * dout - dbeta - xhat * dgamma)  # BUG wrong_variable|power|eps
    return dx, dgamma, dbeta


#: epsilon forgotten in the backward
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    inv = 1 / np.sqrt(var)  # BUG eps
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    dx = inv / N * (N * dxhat - dxhat.sum(axis=0) - xhat * np.sum(dxhat * xhat, axis=0))
    return dx, dgamma, dbeta


#: epsilon outside the root in the backward
def batchnorm_backward(dout, cache):
    x, xc, var, std, xhat, gamma, eps = cache
    N = len(x)
    inv = 1 / (np.sqrt(var) + eps)  # BUG eps
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    dx = inv / N * (N * dxhat - dxhat.sum(axis=0) - xhat * np.sum(dxhat * xhat, axis=0))
    return dx, dgamma, dbeta


#: epsilon outside the root in the forward
def bn_forward(x, gamma, beta, eps=1e-2):
    mean = x.mean(axis=0)
    centered = x - mean
    var = (centered**2).mean(axis=0)
    rstd = 1 / (np.sqrt(var) + eps)  # BUG forward_formula|eps
    xhat = centered * rstd
    out = gamma * xhat + beta
    return out, Saved(xhat, rstd, gamma, centered)


def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = np.sum(dy * saved.xhat, axis=0)
    dbeta = dy.sum(axis=0)
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dgamma, dbeta


#: unbiased variance in the forward
def bn_forward(x, gamma, beta, eps=1e-2):
    mean = x.mean(axis=0)
    centered = x - mean
    var = x.var(axis=0, ddof=1)  # BUG forward_formula
    rstd = 1 / np.sqrt(var + eps)
    xhat = centered * rstd
    out = gamma * xhat + beta
    return out, Saved(xhat, rstd, gamma, centered)


def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = np.sum(dy * saved.xhat, axis=0)
    dbeta = dy.sum(axis=0)
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dgamma, dbeta


#: upstream gradient missing in dgamma
def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = saved.xhat.sum(axis=0)  # BUG upstream_missing
    dbeta = dy.sum(axis=0)
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dgamma, dbeta


#: gamma and beta swapped
def bn_backward(dy, saved):
    g = dy * saved.gamma
    dgamma = np.sum(dy * saved.xhat, axis=0)
    dbeta = dy.sum(axis=0)
    dx = saved.rstd * (g - g.mean(0) - saved.xhat * (g * saved.xhat).mean(0))
    return dx, dbeta, dgamma  # BUG return_order


#: twelve small steps, one power too many
def batchnorm_backward(dout, cache):
    x, xmu, var, sqrtvar, xhat, gamma, eps = cache
    N, D = dout.shape
    ivar = 1.0 / sqrtvar
    dbeta = np.sum(dout, axis=0)
    dgammax = dout
    dgamma = np.sum(dgammax * xhat, axis=0)
    dxhat = dgammax * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / sqrtvar * divar  # BUG power
    dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
    dsq = 1.0 / N * np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / N * np.ones((N, D)) * dmu
    dx = dx1 + dx2
    return dx, dgamma, dbeta


#: twelve small steps, a path of the mean lost
def batchnorm_backward(dout, cache):
    x, xmu, var, sqrtvar, xhat, gamma, eps = cache
    N, D = dout.shape
    ivar = 1.0 / sqrtvar
    dbeta = np.sum(dout, axis=0)
    dgammax = dout
    dgamma = np.sum(dgammax * xhat, axis=0)
    dxhat = dgammax * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
    dsq = 1.0 / N * np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / N * np.ones((N, D)) * dmu
    dx = dx1  # BUG missing_term
    return dx, dgamma, dbeta


#: twelve small steps, the ones forgotten to divide
def batchnorm_backward(dout, cache):
    x, xmu, var, sqrtvar, xhat, gamma, eps = cache
    N, D = dout.shape
    ivar = 1.0 / sqrtvar
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / (sqrtvar**2) * divar
    dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar
    dsq = np.ones((N, D)) * dvar  # BUG factor
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1.0 / N * np.ones((N, D)) * dmu
    dx = dx1 + dx2
    return dx, dgamma, dbeta


#: loop over features, division by the wrong size
def bn_backward(dout, saved):
    xhat, rstd, gamma, centered = saved
    N, D = dout.shape
    dx, dgamma, dbeta = np.empty_like(dout), np.empty(D), np.empty(D)
    for j in range(D):
        d = dout[:, j]
        h = xhat[:, j]
        dbeta[j] = d.sum()
        dgamma[j] = d @ h
        dx[:, j] = gamma[j] * rstd[j] / D * (N * d - dbeta[j] - h * dgamma[j])  # BUG factor
    return dx, dgamma, dbeta


#: running mean, momentum the wrong way round
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if mode == "train":
        mu = x.mean(axis=0)
        var = x.var(axis=0)
        std = np.sqrt(var + eps)
        xhat = (x - mu) / std
        out = gamma * xhat + beta
        running_mean = (1 - momentum) * running_mean + momentum * mu  # BUG running_stats
        running_var = momentum * running_var + (1 - momentum) * var
        cache = (std, xhat, gamma)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    std, xhat, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std
    return dx, (dout * xhat).sum(0), dout.sum(0)


#: running variance unbiased
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if bn_param["mode"] == "train":
        mu = x.mean(axis=0)
        var = x.var(axis=0)
        std = np.sqrt(var + eps)
        xhat = (x - mu) / std
        out = gamma * xhat + beta
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mu
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * x.var(axis=0, ddof=1)  # BUG running_stats
        cache = (std, xhat, gamma)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    return out, cache


def batchnorm_backward(dout, cache):
    std, xhat, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std
    return dx, (dout * xhat).sum(0), dout.sum(0)


#: running standard deviation
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if bn_param["mode"] == "train":
        mu = x.mean(axis=0)
        var = x.var(axis=0)
        std = np.sqrt(var + eps)
        xhat = (x - mu) / std
        out = gamma * xhat + beta
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * std  # BUG running_stats
        cache = (std, xhat, gamma)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return out, cache


def batchnorm_backward(dout, cache):
    std, xhat, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std
    return dx, (dout * xhat).sum(0), dout.sum(0)


#: test mode uses the batch's own statistics
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if bn_param["mode"] == "train":
        mu = x.mean(axis=0)
        var = x.var(axis=0)
        std = np.sqrt(var + eps)
        xhat = (x - mu) / std
        out = gamma * xhat + beta
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
        cache = (std, xhat, gamma)
    else:
        xhat = (x - x.mean(axis=0)) / np.sqrt(running_var + eps)  # BUG test_mode
        out = gamma * xhat + beta
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return out, cache


def batchnorm_backward(dout, cache):
    std, xhat, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std
    return dx, (dout * xhat).sum(0), dout.sum(0)


#: test mode divides by the variance
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if bn_param["mode"] == "train":
        mu = x.mean(axis=0)
        var = x.var(axis=0)
        std = np.sqrt(var + eps)
        xhat = (x - mu) / std
        out = gamma * xhat + beta
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
        cache = (std, xhat, gamma)
    else:
        out = gamma * (x - running_mean) / (running_var + eps) + beta  # BUG test_mode
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return out, cache


def batchnorm_backward(dout, cache):
    std, xhat, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std
    return dx, (dout * xhat).sum(0), dout.sum(0)
