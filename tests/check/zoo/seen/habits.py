import numpy as np
from collections import namedtuple


#: right: linear as torch writes it
def inputs(rng):
    return {"input": rng.standard_normal((4, 5)), "weight": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)}


def linear_forward(input, weight, bias):
    output = input @ weight.T + bias
    saved_tensors = (input, weight)
    return output, saved_tensors


def linear_backward(grad_output, saved_tensors):
    input, weight = saved_tensors
    grad_input = grad_output @ weight
    grad_weight = grad_output.T @ input
    grad_bias = grad_output.sum(0)
    return grad_input, grad_weight, grad_bias


#: linear as torch writes it, weight transposed needlessly
def inputs(rng):
    return {"input": rng.standard_normal((4, 5)), "weight": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)}


def linear_forward(input, weight, bias):
    output = input @ weight.T + bias
    saved_tensors = (input, weight)
    return output, saved_tensors


def linear_backward(grad_output, saved_tensors):
    input, weight = saved_tensors
    grad_input = grad_output @ weight
    grad_weight = input.T @ grad_output  # BUG transposed|shape
    grad_bias = grad_output.sum(0)
    return grad_input, grad_weight, grad_bias


#: linear as torch writes it, bias kept two-dimensional
def inputs(rng):
    return {"input": rng.standard_normal((4, 5)), "weight": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)}


def linear_forward(input, weight, bias):
    output = input @ weight.T + bias
    saved_tensors = (input, weight)
    return output, saved_tensors


def linear_backward(grad_output, saved_tensors):
    input, weight = saved_tensors
    grad_input = grad_output @ weight
    grad_weight = grad_output.T @ input
    grad_bias = grad_output.sum(0, keepdims=True)  # BUG keepdims|shape
    return grad_input, grad_weight, grad_bias


#: linear as torch writes it, input multiplied by the transpose
def inputs(rng):
    return {"input": rng.standard_normal((4, 5)), "weight": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)}


def linear_forward(input, weight, bias):
    output = input @ weight.T + bias
    saved_tensors = (input, weight)
    return output, saved_tensors


def linear_backward(grad_output, saved_tensors):
    input, weight = saved_tensors
    grad_input = grad_output @ weight.T  # BUG transposed|exception
    grad_weight = grad_output.T @ input
    grad_bias = grad_output.sum(0)
    return grad_input, grad_weight, grad_bias


#: linear as torch writes it, bias over features
def inputs(rng):
    return {"input": rng.standard_normal((4, 5)), "weight": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)}


def linear_forward(input, weight, bias):
    output = input @ weight.T + bias
    saved_tensors = (input, weight)
    return output, saved_tensors


def linear_backward(grad_output, saved_tensors):
    input, weight = saved_tensors
    grad_input = grad_output @ weight
    grad_weight = grad_output.T @ input
    grad_bias = grad_output.sum(1)  # BUG axis|shape
    return grad_input, grad_weight, grad_bias


#: linear as torch writes it, weights by themselves
def inputs(rng):
    return {"input": rng.standard_normal((4, 5)), "weight": rng.standard_normal((3, 5)), "bias": rng.standard_normal(3)}


def linear_forward(input, weight, bias):
    output = input @ weight.T + bias
    saved_tensors = (input, weight)
    return output, saved_tensors


def linear_backward(grad_output, saved_tensors):
    input, weight = saved_tensors
    grad_input = grad_output @ weight
    grad_weight = np.ones_like(grad_output).T @ input  # BUG upstream_missing|wrong_variable
    grad_bias = grad_output.sum(0)
    return grad_input, grad_weight, grad_bias


#: right: elu, boolean indexing
def elu_forward(x, alpha=1.0):
    out = x.copy()
    neg = x < 0
    out[neg] = alpha * (np.exp(x[neg]) - 1)
    return out, (out, neg, alpha)


def elu_backward(dout, cache):
    out, neg, alpha = cache
    dx = dout.copy()
    dx[neg] = dx[neg] * (out[neg] + alpha)
    return dx


#: elu, boolean indexing, slope without alpha
def elu_forward(x, alpha=1.0):
    out = x.copy()
    neg = x < 0
    out[neg] = alpha * (np.exp(x[neg]) - 1)
    return out, (out, neg, alpha)


def elu_backward(dout, cache):
    out, neg, alpha = cache
    dx = dout.copy()
    dx[neg] = dx[neg] * out[neg]  # BUG missing_term
    return dx


#: elu, boolean indexing, positive side
def elu_forward(x, alpha=1.0):
    out = x.copy()
    neg = x < 0
    out[neg] = alpha * (np.exp(x[neg]) - 1)
    return out, (out, neg, alpha)


def elu_backward(dout, cache):
    out, neg, alpha = cache
    dx = dout.copy()
    dx[~neg] = dx[~neg] * (out[~neg] + alpha)  # BUG mask_inverted|mask
    return dx


#: elu, boolean indexing, upstream lost on the left
def elu_forward(x, alpha=1.0):
    out = x.copy()
    neg = x < 0
    out[neg] = alpha * (np.exp(x[neg]) - 1)
    return out, (out, neg, alpha)


def elu_backward(dout, cache):
    out, neg, alpha = cache
    dx = dout.copy()
    dx[neg] = out[neg] + alpha  # BUG upstream_missing
    return dx


#: elu, boolean indexing, no copy
def elu_forward(x, alpha=1.0):
    out = x.copy()
    neg = x < 0
    out[neg] = alpha * (np.exp(x[neg]) - 1)
    return out, (out, neg, alpha)


def elu_backward(dout, cache):
    out, neg, alpha = cache
    dx = dout
    dx[neg] = dx[neg] * (out[neg] + alpha)  # BUG mutation
    return dx
    dx[neg] = dx[neg] * (out[neg] + alpha)
    return dx


#: right: tanh gate, two outputs
def inputs(rng):
    return {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}


def gate_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    t = np.tanh(b)
    return s * t, s + t, (s, t)


def gate_backward(dprod, dsum, cache):
    s, t = cache
    ds = dprod * t + dsum
    dt = dprod * s + dsum
    da = ds * s * (1 - s)
    db = dt * (1 - t * t)
    return da, db


#: tanh gate, two outputs, one way forgotten
def inputs(rng):
    return {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}


def gate_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    t = np.tanh(b)
    return s * t, s + t, (s, t)


def gate_backward(dprod, dsum, cache):
    s, t = cache
    ds = dprod * t  # BUG missing_term
    dt = dprod * s + dsum
    da = ds * s * (1 - s)
    db = dt * (1 - t * t)
    return da, db


#: tanh gate, two outputs, factors exchanged
def inputs(rng):
    return {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}


def gate_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    t = np.tanh(b)
    return s * t, s + t, (s, t)


def gate_backward(dprod, dsum, cache):
    s, t = cache
    ds = dprod * t + dsum
    dt = dprod * t + dsum  # BUG wrong_variable
    da = ds * s * (1 - s)
    db = dt * (1 - t * t)
    return da, db


#: tanh gate, two outputs, tanh slope not squared
def inputs(rng):
    return {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}


def gate_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    t = np.tanh(b)
    return s * t, s + t, (s, t)


def gate_backward(dprod, dsum, cache):
    s, t = cache
    ds = dprod * t + dsum
    dt = dprod * s + dsum
    da = ds * s * (1 - s)
    db = dt * (1 - t)  # BUG power|function
    return da, db


#: tanh gate, two outputs, subtracted
def inputs(rng):
    return {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}


def gate_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    t = np.tanh(b)
    return s * t, s + t, (s, t)


def gate_backward(dprod, dsum, cache):
    s, t = cache
    ds = dprod * t + dsum
    dt = dprod * s - dsum  # BUG sign
    da = ds * s * (1 - s)
    db = dt * (1 - t * t)
    return da, db


#: tanh gate, two outputs, sigmoid slope half
def inputs(rng):
    return {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}


def gate_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    t = np.tanh(b)
    return s * t, s + t, (s, t)


def gate_backward(dprod, dsum, cache):
    s, t = cache
    ds = dprod * t + dsum
    dt = dprod * s + dsum
    da = ds * s  # BUG missing_factor|function
    db = dt * (1 - t * t)
    return da, db


#: tanh gate, two outputs, other way round
def inputs(rng):
    return {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}


def gate_forward(a, b):
    s = 1 / (1 + np.exp(-a))
    t = np.tanh(b)
    return s * t, s + t, (s, t)


def gate_backward(dprod, dsum, cache):
    s, t = cache
    ds = dprod * t + dsum
    dt = dprod * s + dsum
    da = ds * s * (1 - s)
    db = dt * (1 - t * t)
    return db, da  # BUG return_order


#: right: spatial batch norm over the flattened image
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / np.sqrt(rv + eps)
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * -0.5 * istd**3
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / N + dmean / N
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batch norm over the flattened image, exponent two
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / np.sqrt(rv + eps)
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * -0.5 * istd**2  # BUG power
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / N + dmean / N
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batch norm over the flattened image, variance with the wrong sign
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / np.sqrt(rv + eps)
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * 0.5 * istd**3  # BUG sign
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / N + dmean / N
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batch norm over the flattened image, variance path over one too few
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / np.sqrt(rv + eps)
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * -0.5 * istd**3
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / (N - 1) + dmean / N  # BUG factor
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batch norm over the flattened image, test mode with the variance as root
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / (np.sqrt(rv) + eps)  # BUG test_mode
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * -0.5 * istd**3
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / N + dmean / N
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batch norm over the flattened image, unbiased in the running variance
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / np.sqrt(rv + eps)
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var * len(x) / (len(x) - 1)  # BUG running_stats
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * -0.5 * istd**3
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / N + dmean / N
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batch norm over the flattened image, channels not last
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / np.sqrt(rv + eps)
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * -0.5 * istd**3
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / N + dmean / N
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.reshape(-1, C)  # BUG transposed
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batch norm over the flattened image, not turned back
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        xn = (x - rm) / np.sqrt(rv + eps)
        return gamma * xn + beta, None
    mean = np.sum(x, axis=0) / x.shape[0]
    xc = x - mean
    var = np.sum(xc**2, axis=0) / x.shape[0]
    istd = (var + eps) ** -0.5
    xn = xc * istd
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * var
    return gamma * xn + beta, (xn, xc, istd, gamma)


def batchnorm_backward(dout, cache):
    xn, xc, istd, gamma = cache
    N = len(dout)
    dxn = dout * gamma
    dvar = np.sum(dxn * xc, axis=0) * -0.5 * istd**3
    dmean = -np.sum(dxn * istd, axis=0)
    dx = dxn * istd + dvar * 2 * xc / N + dmean / N
    return dx, np.sum(dout * xn, axis=0), np.sum(dout, axis=0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    d2 = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(d2, cache)
    return dx.reshape(N, C, H, W), dgamma, dbeta  # BUG transposed|shape


#: right: rms norm
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "g": rng.standard_normal(6)}


def rmsnorm_forward(x, g):
    ms = np.mean(x**2, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + 1e-3)
    return g * x * r, {"x": x, "g": g, "r": r}


def rmsnorm_backward(dy, c):
    x, g, r = c["x"], c["g"], c["r"]
    D = x.shape[-1]
    dg = np.sum(dy * x * r, axis=0)
    dr = np.sum(dy * g * x, axis=-1, keepdims=True)
    dms = -0.5 * r**3 * dr
    dx = dy * g * r + dms * 2 * x / D
    return dx, dg


#: rms norm, no cube
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "g": rng.standard_normal(6)}


def rmsnorm_forward(x, g):
    ms = np.mean(x**2, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + 1e-3)
    return g * x * r, {"x": x, "g": g, "r": r}


def rmsnorm_backward(dy, c):
    x, g, r = c["x"], c["g"], c["r"]
    D = x.shape[-1]
    dg = np.sum(dy * x * r, axis=0)
    dr = np.sum(dy * g * x, axis=-1, keepdims=True)
    dms = -0.5 * r * dr  # BUG power
    dx = dy * g * r + dms * 2 * x / D
    return dx, dg


#: rms norm, mean not undone
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "g": rng.standard_normal(6)}


def rmsnorm_forward(x, g):
    ms = np.mean(x**2, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + 1e-3)
    return g * x * r, {"x": x, "g": g, "r": r}


def rmsnorm_backward(dy, c):
    x, g, r = c["x"], c["g"], c["r"]
    D = x.shape[-1]
    dg = np.sum(dy * x * r, axis=0)
    dr = np.sum(dy * g * x, axis=-1, keepdims=True)
    dms = -0.5 * r**3 * dr
    dx = dy * g * r + dms * 2 * x  # BUG factor|missing_factor
    return dx, dg


#: rms norm, direct path without scale
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "g": rng.standard_normal(6)}


def rmsnorm_forward(x, g):
    ms = np.mean(x**2, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + 1e-3)
    return g * x * r, {"x": x, "g": g, "r": r}


def rmsnorm_backward(dy, c):
    x, g, r = c["x"], c["g"], c["r"]
    D = x.shape[-1]
    dg = np.sum(dy * x * r, axis=0)
    dr = np.sum(dy * g * x, axis=-1, keepdims=True)
    dms = -0.5 * r**3 * dr
    dx = dy * r + dms * 2 * x / D  # BUG gamma_missing|missing_factor
    return dx, dg


#: rms norm, scale unnormalised
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "g": rng.standard_normal(6)}


def rmsnorm_forward(x, g):
    ms = np.mean(x**2, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + 1e-3)
    return g * x * r, {"x": x, "g": g, "r": r}


def rmsnorm_backward(dy, c):
    x, g, r = c["x"], c["g"], c["r"]
    D = x.shape[-1]
    dg = np.sum(dy * x, axis=0)  # BUG missing_factor
    dr = np.sum(dy * g * x, axis=-1, keepdims=True)
    dms = -0.5 * r**3 * dr
    dx = dy * g * r + dms * 2 * x / D
    return dx, dg


#: rms norm, path through r with plain upstream
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "g": rng.standard_normal(6)}


def rmsnorm_forward(x, g):
    ms = np.mean(x**2, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + 1e-3)
    return g * x * r, {"x": x, "g": g, "r": r}


def rmsnorm_backward(dy, c):
    x, g, r = c["x"], c["g"], c["r"]
    D = x.shape[-1]
    dg = np.sum(dy * x * r, axis=0)
    dr = np.sum(dy * x, axis=-1, keepdims=True)  # BUG gamma_missing|missing_factor
    dms = -0.5 * r**3 * dr
    dx = dy * g * r + dms * 2 * x / D
    return dx, dg


#: right: mse and mae
def mse_loss(x, y):
    diff = x - y
    loss = np.mean(diff**2)
    return loss, 2 * diff / diff.size


#: mse and mae, two forgotten
def mse_loss(x, y):
    diff = x - y
    loss = np.mean(diff**2)
    return loss, diff / diff.size  # BUG factor


#: mse and mae, target minus prediction
def mse_loss(x, y):
    diff = x - y
    loss = np.mean(diff**2)
    return loss, 2 * (y - x) / diff.size  # BUG sign


#: mse and mae, not averaged
def mse_loss(x, y):
    diff = x - y
    loss = np.mean(diff**2)
    return loss, 2 * diff  # BUG sum_for_mean|factor


#: mse and mae, of the absolute error
def mse_loss(x, y):
    diff = x - y
    loss = np.mean(diff**2)
    return loss, np.sign(diff) / diff.size  # BUG function|missing_factor


#: right: softmax loss with weight decay and explicit weights
def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.2}


def softmax_loss_naive(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss -= np.log(p[y[i]])
        p[y[i]] -= 1
        for j in range(W.shape[1]):
            dW[:, j] += p[j] * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


#: softmax loss with weight decay and explicit weights, penalty once
def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.2}


def softmax_loss_naive(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss -= np.log(p[y[i]])
        p[y[i]] -= 1
        for j in range(W.shape[1]):
            dW[:, j] += p[j] * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + reg * W  # BUG regularisation|factor
    return loss, dW


#: softmax loss with weight decay and explicit weights, penalty none
def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.2}


def softmax_loss_naive(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss -= np.log(p[y[i]])
        p[y[i]] -= 1
        for j in range(W.shape[1]):
            dW[:, j] += p[j] * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train  # BUG regularisation
    return loss, dW


#: softmax loss with weight decay and explicit weights, last class assigned
def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.2}


def softmax_loss_naive(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss -= np.log(p[y[i]])
        p[y[i]] -= 1
        for j in range(W.shape[1]):
            dW[:, j] = p[j] * X[i]  # BUG overlap
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


#: softmax loss with weight decay and explicit weights, gradient of the sum
def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.2}


def softmax_loss_naive(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss -= np.log(p[y[i]])
        p[y[i]] -= 1
        for j in range(W.shape[1]):
            dW[:, j] += p[j] * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW + 2 * reg * W  # BUG sum_for_mean
    return loss, dW


#: softmax loss with weight decay and explicit weights, true class not lowered
def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.2}


def softmax_loss_naive(W, X, y, reg):
    num_train = X.shape[0]
    loss, dW = 0.0, np.zeros_like(W)
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))  # OR
        loss -= np.log(p[y[i]])
        pass  # BUG missing_term
        for j in range(W.shape[1]):
            dW[:, j] += p[j] * X[i]  # OR
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


#: right: conv in one dimension, loops over everything
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, T = x.shape
    F, _, K = w.shape
    L = (T - K) // stride + 1
    out = np.zeros((N, F, L))
    for n in range(N):
        for f in range(F):
            for l in range(L):
                out[n, f, l] = np.sum(x[n, :, l * stride : l * stride + K] * w[f]) + b[f]
    return out, (x, w, b, stride)


def conv1d_backward(dout, cache):
    x, w, b, stride = cache
    N, F, L = dout.shape
    K = w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            for l in range(L):
                g = dout[n, f, l]
                db[f] += g
                dw[f] += g * x[n, :, l * stride : l * stride + K]
                dx[n, :, l * stride : l * stride + K] += g * w[f]
    return dx, dw, db


#: conv in one dimension, loops over everything, one step late
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, T = x.shape
    F, _, K = w.shape
    L = (T - K) // stride + 1
    out = np.zeros((N, F, L))
    for n in range(N):
        for f in range(F):
            for l in range(L):
                out[n, f, l] = np.sum(x[n, :, l * stride : l * stride + K] * w[f]) + b[f]
    return out, (x, w, b, stride)


def conv1d_backward(dout, cache):
    x, w, b, stride = cache
    N, F, L = dout.shape
    K = w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            for l in range(L):
                g = dout[n, f, l]
                db[f] += g
                dw[f] += g * x[n, :, l * stride + 1 : l * stride + K + 1]  # BUG window
                dx[n, :, l * stride : l * stride + K] += g * w[f]
    return dx, dw, db


#: conv in one dimension, loops over everything, stride left out
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, T = x.shape
    F, _, K = w.shape
    L = (T - K) // stride + 1
    out = np.zeros((N, F, L))
    for n in range(N):
        for f in range(F):
            for l in range(L):
                out[n, f, l] = np.sum(x[n, :, l * stride : l * stride + K] * w[f]) + b[f]
    return out, (x, w, b, stride)


def conv1d_backward(dout, cache):
    x, w, b, stride = cache
    N, F, L = dout.shape
    K = w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            for l in range(L):
                g = dout[n, f, l]
                db[f] += g
                dw[f] += g * x[n, :, l * stride : l * stride + K]
                dx[n, :, l : l + K] += g * w[f]  # BUG window
    return dx, dw, db


#: conv in one dimension, loops over everything, first sample's input
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, T = x.shape
    F, _, K = w.shape
    L = (T - K) // stride + 1
    out = np.zeros((N, F, L))
    for n in range(N):
        for f in range(F):
            for l in range(L):
                out[n, f, l] = np.sum(x[n, :, l * stride : l * stride + K] * w[f]) + b[f]
    return out, (x, w, b, stride)


def conv1d_backward(dout, cache):
    x, w, b, stride = cache
    N, F, L = dout.shape
    K = w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            for l in range(L):
                g = dout[n, f, l]
                db[f] += g
                dw[f] += g * x[0, :, l * stride : l * stride + K]  # BUG wrong_variable|window
                dx[n, :, l * stride : l * stride + K] += g * w[f]
    return dx, dw, db


#: conv in one dimension, loops over everything, one place too few
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, T = x.shape
    F, _, K = w.shape
    L = (T - K) // stride + 1
    out = np.zeros((N, F, L))
    for n in range(N):
        for f in range(F):
            for l in range(L):
                out[n, f, l] = np.sum(x[n, :, l * stride : l * stride + K] * w[f]) + b[f]
    return out, (x, w, b, stride)


def conv1d_backward(dout, cache):
    x, w, b, stride = cache
    N, F, L = dout.shape
    K = w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            for l in range(L - 1):  # BUG window
                g = dout[n, f, l]
                db[f] += g
                dw[f] += g * x[n, :, l * stride : l * stride + K]
                dx[n, :, l * stride : l * stride + K] += g * w[f]
    return dx, dw, db


#: conv in one dimension, loops over everything, bias by one
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, T = x.shape
    F, _, K = w.shape
    L = (T - K) // stride + 1
    out = np.zeros((N, F, L))
    for n in range(N):
        for f in range(F):
            for l in range(L):
                out[n, f, l] = np.sum(x[n, :, l * stride : l * stride + K] * w[f]) + b[f]
    return out, (x, w, b, stride)


def conv1d_backward(dout, cache):
    x, w, b, stride = cache
    N, F, L = dout.shape
    K = w.shape[2]
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            for l in range(L):
                g = dout[n, f, l]
                db[f] += 1  # BUG upstream_missing
                dw[f] += g * x[n, :, l * stride : l * stride + K]
                dx[n, :, l * stride : l * stride + K] += g * w[f]
    return dx, dw, db


#: right: max pool over time
def inputs(rng):
    return {"x": rng.standard_normal((3, 5, 4))}


def time_pool_forward(x):
    idx = x.argmax(axis=1)
    N, T, D = x.shape
    out = x[np.arange(N)[:, None], idx, np.arange(D)]
    return out, (idx, x.shape)


def time_pool_backward(dout, cache):
    idx, (N, T, D) = cache
    dx = np.zeros((N, T, D))
    dx[np.arange(N)[:, None], idx, np.arange(D)] = dout
    return dx


#: max pool over time, to the first step
def inputs(rng):
    return {"x": rng.standard_normal((3, 5, 4))}


def time_pool_forward(x):
    idx = x.argmax(axis=1)
    N, T, D = x.shape
    out = x[np.arange(N)[:, None], idx, np.arange(D)]
    return out, (idx, x.shape)


def time_pool_backward(dout, cache):
    idx, (N, T, D) = cache
    dx = np.zeros((N, T, D))
    dx[np.arange(N)[:, None], 0, np.arange(D)] = dout  # BUG argmax|wrong_variable
    return dx


#: max pool over time, to all steps
def inputs(rng):
    return {"x": rng.standard_normal((3, 5, 4))}


def time_pool_forward(x):
    idx = x.argmax(axis=1)
    N, T, D = x.shape
    out = x[np.arange(N)[:, None], idx, np.arange(D)]
    return out, (idx, x.shape)


def time_pool_backward(dout, cache):
    idx, (N, T, D) = cache
    dx = np.zeros((N, T, D))
    dx[:] = dout[:, None, :]  # BUG mask_missing|argmax
    return dx


#: max pool over time, averaged
def inputs(rng):
    return {"x": rng.standard_normal((3, 5, 4))}


def time_pool_forward(x):
    idx = x.argmax(axis=1)
    N, T, D = x.shape
    out = x[np.arange(N)[:, None], idx, np.arange(D)]
    return out, (idx, x.shape)


def time_pool_backward(dout, cache):
    idx, (N, T, D) = cache
    dx = np.zeros((N, T, D))
    dx[np.arange(N)[:, None], idx, np.arange(D)] = dout / T  # BUG factor|function|extra_factor
    return dx


#: right: dropout layer class with a switch
class Dropout:
    def __init__(self, p=0.4, seed=1):
        self.p, self.seed, self.training = p, seed, True

    def forward(self, x):
        if not self.training:
            return x
        self.mask = np.random.default_rng(self.seed).random(x.shape) > self.p
        return x * self.mask / (1 - self.p)

    def backward(self, dout):
        return dout * self.mask / (1 - self.p)


#: dropout layer class with a switch, by the wrong probability
class Dropout:
    def __init__(self, p=0.4, seed=1):
        self.p, self.seed, self.training = p, seed, True

    def forward(self, x):
        if not self.training:
            return x
        self.mask = np.random.default_rng(self.seed).random(x.shape) > self.p
        return x * self.mask / (1 - self.p)

    def backward(self, dout):
        return dout * self.mask / self.p  # BUG keep_prob


#: dropout layer class with a switch, mask forgotten
class Dropout:
    def __init__(self, p=0.4, seed=1):
        self.p, self.seed, self.training = p, seed, True

    def forward(self, x):
        if not self.training:
            return x
        self.mask = np.random.default_rng(self.seed).random(x.shape) > self.p
        return x * self.mask / (1 - self.p)

    def backward(self, dout):
        return dout / (1 - self.p)  # BUG mask_missing


#: dropout layer class with a switch, a fresh mask
class Dropout:
    def __init__(self, p=0.4, seed=1):
        self.p, self.seed, self.training = p, seed, True

    def forward(self, x):
        if not self.training:
            return x
        self.mask = np.random.default_rng(self.seed).random(x.shape) > self.p
        return x * self.mask / (1 - self.p)

    def backward(self, dout):
        return dout * (np.random.random(dout.shape) > self.p) / (1 - self.p)  # BUG randomness|mask


#: right: gru, one step, with helper
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r + dnext * z
    return dx, dh, dW, dU


#: gru, one step, with helper, gates exchanged
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dr * r * (1 - r), dz * z * (1 - z)], axis=1)  # BUG wrong_variable|transposed
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r + dnext * z
    return dx, dh, dW, dU


#: gru, one step, with helper, candidate's path to x
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D]  # BUG missing_term
    dh = dxh[:, D:] + dxrh[:, D:] * r + dnext * z
    return dx, dh, dW, dU


#: gru, one step, with helper, direct path
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r  # BUG missing_term
    return dx, dh, dW, dU


#: gru, one step, with helper, update gate the wrong way
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (c - h)  # BUG sign
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r + dnext * z
    return dx, dh, dW, dU


#: gru, one step, with helper, reset forgotten
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] + dnext * z  # BUG missing_factor
    return dx, dh, dW, dU


#: gru, one step, with helper, candidate scaled by z
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * z  # BUG wrong_variable|factor
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r + dnext * z
    return dx, dh, dW, dU


#: gru, one step, with helper, wrong half
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xrh.T @ da
    dxrh = da @ U.T
    dr = dxrh[:, :4] * h  # BUG window|wrong_variable
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r + dnext * z
    return dx, dh, dW, dU


#: gru, one step, with helper, layer input for reset one
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "h": rng.standard_normal((3, 4)), "W": rng.standard_normal((6, 8)), "U": rng.standard_normal((6, 4))}


def sig(a):
    return 1 / (1 + np.exp(-a))


def gru_forward(x, h, W, U):
    xh = np.concatenate([x, h], axis=1)
    z, r = np.split(sig(xh @ W), 2, axis=1)
    xrh = np.concatenate([x, r * h], axis=1)
    c = np.tanh(xrh @ U)
    return z * h + (1 - z) * c, (x, h, W, U, xh, z, r, xrh, c)


def gru_backward(dnext, cache):
    x, h, W, U, xh, z, r, xrh, c = cache
    D = x.shape[1]
    dz = dnext * (h - c)
    dc = dnext * (1 - z)
    da = dc * (1 - c**2)
    dU = xh.T @ da  # BUG wrong_variable
    dxrh = da @ U.T
    dr = dxrh[:, D:] * h
    dgates = np.concatenate([dz * z * (1 - z), dr * r * (1 - r)], axis=1)
    dW = xh.T @ dgates
    dxh = dgates @ W.T
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r + dnext * z
    return dx, dh, dW, dU


#: right: three-layer net with helper pairs
def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def leaky_forward(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dout, x):
    return np.where(x > 0, dout, 0.1 * dout)


class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.4, reg=0.3):
        self.reg, self.params = reg, {}
        for i, (a, b) in enumerate([(input_dim, hidden_dim), (hidden_dim, hidden_dim), (hidden_dim, num_classes)]):
            self.params["W" + str(i + 1)] = np.random.randn(a, b) * weight_scale
            self.params["b" + str(i + 1)] = np.zeros(b)

    def loss(self, X, y=None):
        p = self.params
        a1, c1 = affine_forward(X, p["W1"], p["b1"])
        h1, r1 = leaky_forward(a1)
        a2, c2 = affine_forward(h1, p["W2"], p["b2"])
        h2, r2 = leaky_forward(a2)
        scores, c3 = affine_forward(h2, p["W3"], p["b3"])
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(len(y)), y]).mean()
        for i in "123":
            loss += 0.5 * self.reg * np.sum(p["W" + i] ** 2)
        dscores = probs.copy()
        dscores[np.arange(len(y)), y] -= 1
        dscores /= len(y)
        g = {}
        dh2, g["W3"], g["b3"] = affine_backward(dscores, c3)
        da2 = leaky_backward(dh2, r2)
        dh1, g["W2"], g["b2"] = affine_backward(da2, c2)
        da1 = leaky_backward(dh1, r1)
        _, g["W1"], g["b1"] = affine_backward(da1, c1)
        for i in "123":
            g["W" + i] += self.reg * p["W" + i]
        return loss, g


#: three-layer net with helper pairs, one activation skipped
def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def leaky_forward(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dout, x):
    return np.where(x > 0, dout, 0.1 * dout)


class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.4, reg=0.3):
        self.reg, self.params = reg, {}
        for i, (a, b) in enumerate([(input_dim, hidden_dim), (hidden_dim, hidden_dim), (hidden_dim, num_classes)]):
            self.params["W" + str(i + 1)] = np.random.randn(a, b) * weight_scale
            self.params["b" + str(i + 1)] = np.zeros(b)

    def loss(self, X, y=None):
        p = self.params
        a1, c1 = affine_forward(X, p["W1"], p["b1"])
        h1, r1 = leaky_forward(a1)
        a2, c2 = affine_forward(h1, p["W2"], p["b2"])
        h2, r2 = leaky_forward(a2)
        scores, c3 = affine_forward(h2, p["W3"], p["b3"])
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(len(y)), y]).mean()
        for i in "123":
            loss += 0.5 * self.reg * np.sum(p["W" + i] ** 2)
        dscores = probs.copy()
        dscores[np.arange(len(y)), y] -= 1
        dscores /= len(y)
        g = {}
        dh2, g["W3"], g["b3"] = affine_backward(dscores, c3)
        da2 = leaky_backward(dh2, r2)
        dh1, g["W2"], g["b2"] = affine_backward(da2, c2)
        da1 = leaky_backward(dh1, r1)
        _, g["W1"], g["b1"] = affine_backward(dh1, c1)  # BUG wrong_variable|mask_missing|missing_factor
        for i in "123":
            g["W" + i] += self.reg * p["W" + i]
        return loss, g


#: three-layer net with helper pairs, wrong cache of the activation
def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def leaky_forward(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dout, x):
    return np.where(x > 0, dout, 0.1 * dout)


class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.4, reg=0.3):
        self.reg, self.params = reg, {}
        for i, (a, b) in enumerate([(input_dim, hidden_dim), (hidden_dim, hidden_dim), (hidden_dim, num_classes)]):
            self.params["W" + str(i + 1)] = np.random.randn(a, b) * weight_scale
            self.params["b" + str(i + 1)] = np.zeros(b)

    def loss(self, X, y=None):
        p = self.params
        a1, c1 = affine_forward(X, p["W1"], p["b1"])
        h1, r1 = leaky_forward(a1)
        a2, c2 = affine_forward(h1, p["W2"], p["b2"])
        h2, r2 = leaky_forward(a2)
        scores, c3 = affine_forward(h2, p["W3"], p["b3"])
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(len(y)), y]).mean()
        for i in "123":
            loss += 0.5 * self.reg * np.sum(p["W" + i] ** 2)
        dscores = probs.copy()
        dscores[np.arange(len(y)), y] -= 1
        dscores /= len(y)
        g = {}
        dh2, g["W3"], g["b3"] = affine_backward(dscores, c3)
        da2 = leaky_backward(dh2, r1)  # BUG wrong_variable|mask
        dh1, g["W2"], g["b2"] = affine_backward(da2, c2)
        da1 = leaky_backward(dh1, r1)
        _, g["W1"], g["b1"] = affine_backward(da1, c1)
        for i in "123":
            g["W" + i] += self.reg * p["W" + i]
        return loss, g


#: three-layer net with helper pairs, slope on the wrong side
def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def leaky_forward(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dout, x):
    return np.where(x > 0, 0.1 * dout, dout)  # BUG mask_inverted|mask


class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.4, reg=0.3):
        self.reg, self.params = reg, {}
        for i, (a, b) in enumerate([(input_dim, hidden_dim), (hidden_dim, hidden_dim), (hidden_dim, num_classes)]):
            self.params["W" + str(i + 1)] = np.random.randn(a, b) * weight_scale
            self.params["b" + str(i + 1)] = np.zeros(b)

    def loss(self, X, y=None):
        p = self.params
        a1, c1 = affine_forward(X, p["W1"], p["b1"])
        h1, r1 = leaky_forward(a1)
        a2, c2 = affine_forward(h1, p["W2"], p["b2"])
        h2, r2 = leaky_forward(a2)
        scores, c3 = affine_forward(h2, p["W3"], p["b3"])
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(len(y)), y]).mean()
        for i in "123":
            loss += 0.5 * self.reg * np.sum(p["W" + i] ** 2)
        dscores = probs.copy()
        dscores[np.arange(len(y)), y] -= 1
        dscores /= len(y)
        g = {}
        dh2, g["W3"], g["b3"] = affine_backward(dscores, c3)
        da2 = leaky_backward(dh2, r2)
        dh1, g["W2"], g["b2"] = affine_backward(da2, c2)
        da1 = leaky_backward(dh1, r1)
        _, g["W1"], g["b1"] = affine_backward(da1, c1)
        for i in "123":
            g["W" + i] += self.reg * p["W" + i]
        return loss, g


#: three-layer net with helper pairs, penalty on the last only
def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def leaky_forward(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dout, x):
    return np.where(x > 0, dout, 0.1 * dout)


class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.4, reg=0.3):
        self.reg, self.params = reg, {}
        for i, (a, b) in enumerate([(input_dim, hidden_dim), (hidden_dim, hidden_dim), (hidden_dim, num_classes)]):
            self.params["W" + str(i + 1)] = np.random.randn(a, b) * weight_scale
            self.params["b" + str(i + 1)] = np.zeros(b)

    def loss(self, X, y=None):
        p = self.params
        a1, c1 = affine_forward(X, p["W1"], p["b1"])
        h1, r1 = leaky_forward(a1)
        a2, c2 = affine_forward(h1, p["W2"], p["b2"])
        h2, r2 = leaky_forward(a2)
        scores, c3 = affine_forward(h2, p["W3"], p["b3"])
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(len(y)), y]).mean()
        for i in "123":
            loss += 0.5 * self.reg * np.sum(p["W" + i] ** 2)
        dscores = probs.copy()
        dscores[np.arange(len(y)), y] -= 1
        dscores /= len(y)
        g = {}
        dh2, g["W3"], g["b3"] = affine_backward(dscores, c3)
        da2 = leaky_backward(dh2, r2)
        dh1, g["W2"], g["b2"] = affine_backward(da2, c2)  # OR
        da1 = leaky_backward(dh1, r1)
        _, g["W1"], g["b1"] = affine_backward(da1, c1)  # OR
        for i in "3":  # BUG regularisation
            g["W" + i] += self.reg * p["W" + i]  # OR
        return loss, g  # OR


#: three-layer net with helper pairs, bias gradients not summed over the batch
def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout[0]  # BUG missing_sum|axis|shape


def leaky_forward(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dout, x):
    return np.where(x > 0, dout, 0.1 * dout)


class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.4, reg=0.3):
        self.reg, self.params = reg, {}
        for i, (a, b) in enumerate([(input_dim, hidden_dim), (hidden_dim, hidden_dim), (hidden_dim, num_classes)]):
            self.params["W" + str(i + 1)] = np.random.randn(a, b) * weight_scale
            self.params["b" + str(i + 1)] = np.zeros(b)

    def loss(self, X, y=None):
        p = self.params
        a1, c1 = affine_forward(X, p["W1"], p["b1"])
        h1, r1 = leaky_forward(a1)
        a2, c2 = affine_forward(h1, p["W2"], p["b2"])
        h2, r2 = leaky_forward(a2)
        scores, c3 = affine_forward(h2, p["W3"], p["b3"])
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(len(y)), y]).mean()
        for i in "123":
            loss += 0.5 * self.reg * np.sum(p["W" + i] ** 2)
        dscores = probs.copy()
        dscores[np.arange(len(y)), y] -= 1
        dscores /= len(y)
        g = {}
        dh2, g["W3"], g["b3"] = affine_backward(dscores, c3)
        da2 = leaky_backward(dh2, r2)
        dh1, g["W2"], g["b2"] = affine_backward(da2, c2)
        da1 = leaky_backward(dh1, r1)
        _, g["W1"], g["b1"] = affine_backward(da1, c1)
        for i in "123":
            g["W" + i] += self.reg * p["W" + i]
        return loss, g


#: three-layer net with helper pairs, skipped layer
def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def leaky_forward(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dout, x):
    return np.where(x > 0, dout, 0.1 * dout)


class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.4, reg=0.3):
        self.reg, self.params = reg, {}
        for i, (a, b) in enumerate([(input_dim, hidden_dim), (hidden_dim, hidden_dim), (hidden_dim, num_classes)]):
            self.params["W" + str(i + 1)] = np.random.randn(a, b) * weight_scale
            self.params["b" + str(i + 1)] = np.zeros(b)

    def loss(self, X, y=None):
        p = self.params
        a1, c1 = affine_forward(X, p["W1"], p["b1"])
        h1, r1 = leaky_forward(a1)
        a2, c2 = affine_forward(h1, p["W2"], p["b2"])
        h2, r2 = leaky_forward(a2)
        scores, c3 = affine_forward(h2, p["W3"], p["b3"])
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(len(y)), y]).mean()
        for i in "123":
            loss += 0.5 * self.reg * np.sum(p["W" + i] ** 2)
        dscores = probs.copy()
        dscores[np.arange(len(y)), y] -= 1
        dscores /= len(y)
        g = {}
        dh2, g["W3"], g["b3"] = affine_backward(dscores, c3)
        da2 = leaky_backward(dh2, r2)
        dh1, g["W2"], g["b2"] = affine_backward(dh2, c2)  # BUG wrong_variable|exception|transposed
        da1 = leaky_backward(dh1, r1)
        _, g["W1"], g["b1"] = affine_backward(da1, c1)
        for i in "123":
            g["W" + i] += self.reg * p["W" + i]
        return loss, g
