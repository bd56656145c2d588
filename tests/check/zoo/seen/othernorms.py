"""Layer, group, spatial batch and RMS normalisation."""

import numpy as np


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1, keepdims=True)
    var = x.var(axis=1, keepdims=True)
    inv_std = 1.0 / np.sqrt(var + eps)
    x_hat = (x - mu) * inv_std
    out = gamma * x_hat + beta
    return out, {"x_hat": x_hat, "inv_std": inv_std, "gamma": gamma, "x": x, "mu": mu}


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    groups = x.reshape(N, G, C // G * H * W)
    mean = groups.mean(axis=2, keepdims=True)
    var = groups.var(axis=2, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    xhat = ((groups - mean) * rstd).reshape(N, C, H, W)
    out = gamma * xhat + beta
    return out, (G, xhat, rstd, gamma)


def _bn2(x, gamma, beta, eps):
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    rstd = 1 / np.sqrt(var + eps)
    xhat = (x - mean) * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def _bn2_back(dout, cache):
    xhat, rstd, gamma = cache
    g = dout * gamma
    dx = rstd * (g - g.mean(0) - xhat * (g * xhat).mean(0))
    return dx, (dout * xhat).sum(0), dout.sum(0)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    rows = x.transpose(0, 2, 3, 1).reshape(-1, C)
    out, cache = _bn2(rows, gamma, beta, bn_param["eps"])
    out = out.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return out, cache


#: right: layer norm
def layernorm_backward(dout, cache):
    x_hat, inv_std, gamma = cache["x_hat"], cache["inv_std"], cache["gamma"]
    D = x_hat.shape[1]
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout * gamma
    dx = inv_std / D * (D * dx_hat - dx_hat.sum(axis=1, keepdims=True) - x_hat * np.sum(dx_hat * x_hat, axis=1, keepdims=True))
    return dx, dgamma, dbeta


#: right: layer norm by transposing
def layernorm_backward(dout, cache):
    x_hat, inv_std, gamma = cache["x_hat"].T, cache["inv_std"].T, cache["gamma"]
    dgamma = (dout * x_hat.T).sum(axis=0)
    dbeta = dout.sum(axis=0)
    g = (dout * gamma).T
    dxT = inv_std * (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0))
    return dxT.T, dgamma, dbeta


#: right: layer norm, staged
def layernorm_backward(dout, cache):
    x, mu, inv_std, gamma, x_hat = cache["x"], cache["mu"], cache["inv_std"], cache["gamma"], cache["x_hat"]
    N, D = x.shape
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dinv_std = np.sum(dx_hat * (x - mu), axis=1, keepdims=True)
    dvar = -0.5 * inv_std**3 * dinv_std
    dmu = -np.sum(dx_hat * inv_std, axis=1, keepdims=True)
    dx = dx_hat * inv_std + dvar * 2 * (x - mu) / D + dmu / D
    return dx, dgamma, dbeta


#: right: group norm
def spatial_groupnorm_backward(dout, cache):
    G, xhat, rstd, gamma = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g = (dout * gamma).reshape(N, G, -1)
    h = xhat.reshape(N, G, -1)
    dx = rstd * (g - g.mean(axis=2, keepdims=True) - h * (g * h).mean(axis=2, keepdims=True))
    return dx.reshape(N, C, H, W), dgamma, dbeta


#: right: spatial batch norm
def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    drows = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = _bn2_back(drows, cache)
    dx = dx.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return dx, dgamma, dbeta


#: right: rms norm
def rmsnorm_forward(x, gamma, eps=1e-2):
    ms = np.mean(x * x, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + eps)
    return x * r * gamma, (x, r, gamma)


def rmsnorm_backward(dout, cache):
    x, r, gamma = cache
    g = dout * gamma
    dgamma = np.sum(dout * x * r, axis=0)
    dr = np.sum(g * x, axis=-1, keepdims=True)
    dms = -0.5 * r**3 * dr
    dx = g * r + dms * 2 * x / x.shape[-1]
    return dx, dgamma


#: layer norm, dgamma over the wrong axis
def layernorm_backward(dout, cache):
    x_hat, inv_std, gamma = cache["x_hat"], cache["inv_std"], cache["gamma"]
    D = x_hat.shape[1]
    dgamma = np.sum(dout * x_hat, axis=1)  # BUG axis
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout * gamma
    dx = inv_std / D * (D * dx_hat - dx_hat.sum(axis=1, keepdims=True) - x_hat * np.sum(dx_hat * x_hat, axis=1, keepdims=True))
    return dx, dgamma, dbeta


#: layer norm with the sums of batch norm
def layernorm_backward(dout, cache):
    x_hat, inv_std, gamma = cache["x_hat"], cache["inv_std"], cache["gamma"]
    D = x_hat.shape[1]
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout * gamma
    dx = inv_std / D * (D * dx_hat - dx_hat.sum(axis=0, keepdims=True) - x_hat * np.sum(dx_hat * x_hat, axis=1, keepdims=True))  # BUG axis
    return dx, dgamma, dbeta


#: layer norm divided by the batch
def layernorm_backward(dout, cache):
    x_hat, inv_std, gamma = cache["x_hat"], cache["inv_std"], cache["gamma"]
    N, D = x_hat.shape
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout * gamma
    dx = inv_std / N * (D * dx_hat - dx_hat.sum(axis=1, keepdims=True) - x_hat * np.sum(dx_hat * x_hat, axis=1, keepdims=True))  # BUG factor
    return dx, dgamma, dbeta


#: layer norm, gamma applied after
def layernorm_backward(dout, cache):
    x_hat, inv_std, gamma = cache["x_hat"], cache["inv_std"], cache["gamma"]
    D = x_hat.shape[1]
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout  # BUG gamma_missing
    dx = inv_std / D * (D * dx_hat - dx_hat.sum(axis=1, keepdims=True) - x_hat * np.sum(dx_hat * x_hat, axis=1, keepdims=True))
    return dx, dgamma, dbeta


#: layer norm, staged, the variance's path lost
def layernorm_backward(dout, cache):
    x, mu, inv_std, gamma, x_hat = cache["x"], cache["mu"], cache["inv_std"], cache["gamma"], cache["x_hat"]
    N, D = x.shape
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dmu = -np.sum(dx_hat * inv_std, axis=1, keepdims=True)
    dx = dx_hat * inv_std + dmu / D  # BUG missing_term
    return dx, dgamma, dbeta


#: layer norm, staged, the mean's path lost
def layernorm_backward(dout, cache):
    x, mu, inv_std, gamma, x_hat = cache["x"], cache["mu"], cache["inv_std"], cache["gamma"], cache["x_hat"]
    N, D = x.shape
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dinv_std = np.sum(dx_hat * (x - mu), axis=1, keepdims=True)
    dvar = -0.5 * inv_std**3 * dinv_std
    dx = dx_hat * inv_std + dvar * 2 * (x - mu) / D  # BUG missing_term
    return dx, dgamma, dbeta


#: layer norm, staged, power
def layernorm_backward(dout, cache):
    x, mu, inv_std, gamma, x_hat = cache["x"], cache["mu"], cache["inv_std"], cache["gamma"], cache["x_hat"]
    N, D = x.shape
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dinv_std = np.sum(dx_hat * (x - mu), axis=1, keepdims=True)
    dvar = -0.5 * inv_std * dinv_std  # BUG power
    dmu = -np.sum(dx_hat * inv_std, axis=1, keepdims=True)
    dx = dx_hat * inv_std + dvar * 2 * (x - mu) / D + dmu / D
    return dx, dgamma, dbeta


#: layer norm, staged, sign of dmu
def layernorm_backward(dout, cache):
    x, mu, inv_std, gamma, x_hat = cache["x"], cache["mu"], cache["inv_std"], cache["gamma"], cache["x_hat"]
    N, D = x.shape
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    dinv_std = np.sum(dx_hat * (x - mu), axis=1, keepdims=True)
    dvar = -0.5 * inv_std**3 * dinv_std
    dmu = np.sum(dx_hat * inv_std, axis=1, keepdims=True)  # BUG sign
    dx = dx_hat * inv_std + dvar * 2 * (x - mu) / D + dmu / D
    return dx, dgamma, dbeta


#: layer norm forward over the batch
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1, keepdims=True)
    var = np.mean((x - mu) ** 2, axis=1, keepdims=True)
    inv_std = 1.0 / (var + eps)  # BUG forward_formula|power
    x_hat = (x - mu) * inv_std
    out = gamma * x_hat + beta
    return out, {"x_hat": x_hat, "inv_std": inv_std, "gamma": gamma}


def layernorm_backward(dout, cache):
    x_hat, inv_std, gamma = cache["x_hat"], cache["inv_std"], cache["gamma"]
    D = x_hat.shape[1]
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout * gamma
    dx = inv_std / D * (D * dx_hat - dx_hat.sum(axis=1, keepdims=True) - x_hat * np.sum(dx_hat * x_hat, axis=1, keepdims=True))
    return dx, dgamma, dbeta


#: group norm, flat dgamma
def spatial_groupnorm_backward(dout, cache):
    G, xhat, rstd, gamma = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3))  # BUG keepdims
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g = (dout * gamma).reshape(N, G, -1)
    h = xhat.reshape(N, G, -1)
    dx = rstd * (g - g.mean(axis=2, keepdims=True) - h * (g * h).mean(axis=2, keepdims=True))
    return dx.reshape(N, C, H, W), dgamma, dbeta


#: group norm, the sum for the mean
def spatial_groupnorm_backward(dout, cache):
    G, xhat, rstd, gamma = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g = (dout * gamma).reshape(N, G, -1)
    h = xhat.reshape(N, G, -1)
    dx = rstd * (g - g.mean(axis=2, keepdims=True) - h * (g * h).sum(axis=2, keepdims=True))  # BUG factor|mean_for_sum
    return dx.reshape(N, C, H, W), dgamma, dbeta


#: group norm, xhat forgotten in the second term
def spatial_groupnorm_backward(dout, cache):
    G, xhat, rstd, gamma = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g = (dout * gamma).reshape(N, G, -1)
    h = xhat.reshape(N, G, -1)
    dx = rstd * (g - g.mean(axis=2, keepdims=True) - (g * h).mean(axis=2, keepdims=True))  # BUG missing_factor
    return dx.reshape(N, C, H, W), dgamma, dbeta


#: group norm, dbeta over channels as well
def spatial_groupnorm_backward(dout, cache):
    G, xhat, rstd, gamma = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(2, 3), keepdims=True)  # BUG axis|missing_sum
    g = (dout * gamma).reshape(N, G, -1)
    h = xhat.reshape(N, G, -1)
    dx = rstd * (g - g.mean(axis=2, keepdims=True) - h * (g * h).mean(axis=2, keepdims=True))
    return dx.reshape(N, C, H, W), dgamma, dbeta


#: group norm, gamma not in g
def spatial_groupnorm_backward(dout, cache):
    G, xhat, rstd, gamma = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    g = dout.reshape(N, G, -1)  # BUG gamma_missing
    h = xhat.reshape(N, G, -1)
    dx = rstd * (g - g.mean(axis=2, keepdims=True) - h * (g * h).mean(axis=2, keepdims=True))
    return dx.reshape(N, C, H, W), dgamma, dbeta


#: spatial batch norm, axes back in the wrong order
def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    drows = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = _bn2_back(drows, cache)
    dx = dx.reshape(N, H, W, C).transpose(0, 3, 2, 1)  # BUG transposed|shape
    return dx, dgamma, dbeta


#: spatial batch norm, rows of the wrong order
def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    drows = dout.transpose(0, 3, 2, 1).reshape(-1, C)  # BUG transposed
    dx, dgamma, dbeta = _bn2_back(drows, cache)
    dx = dx.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return dx, dgamma, dbeta


#: spatial batch norm, dgamma in a direct form
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    var = x.var(axis=(0, 2, 3), keepdims=True)
    rstd = 1 / np.sqrt(var + bn_param["eps"])
    xhat = (x - mean) * rstd
    out = gamma[:, None, None] * xhat + beta[:, None, None]
    return out, (xhat, rstd, gamma)


def spatial_batchnorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    m = dout.size // dout.shape[1]
    dbeta = dout.sum(axis=(0, 2, 3))
    dgamma = (dout * xhat).sum(axis=(0, 2, 3))
    dxhat = dout * gamma[:, None, None]
    s1 = dxhat.sum(axis=(0, 2, 3), keepdims=True)
    s2 = (dxhat * xhat).sum(axis=(0, 2, 3), keepdims=True)
    dx = rstd / m * (m * dxhat - s1 + xhat * s2)  # BUG sign
    return dx, dgamma, dbeta


#: spatial batch norm, direct form, count of rows only
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    var = x.var(axis=(0, 2, 3), keepdims=True)
    rstd = 1 / np.sqrt(var + bn_param["eps"])
    xhat = (x - mean) * rstd
    out = gamma[:, None, None] * xhat + beta[:, None, None]
    return out, (xhat, rstd, gamma)


def spatial_batchnorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    m = dout.shape[0]  # BUG factor|window
    dbeta = dout.sum(axis=(0, 2, 3))
    dgamma = (dout * xhat).sum(axis=(0, 2, 3))
    dxhat = dout * gamma[:, None, None]
    s1 = dxhat.sum(axis=(0, 2, 3), keepdims=True)
    s2 = (dxhat * xhat).sum(axis=(0, 2, 3), keepdims=True)
    dx = rstd / m * (m * dxhat - s1 - xhat * s2)
    return dx, dgamma, dbeta


#: rms norm, factor two
def rmsnorm_forward(x, gamma, eps=1e-2):
    ms = np.mean(x * x, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + eps)
    return x * r * gamma, (x, r, gamma)


def rmsnorm_backward(dout, cache):
    x, r, gamma = cache
    g = dout * gamma
    dgamma = np.sum(dout * x * r, axis=0)
    dr = np.sum(g * x, axis=-1, keepdims=True)
    dms = -0.5 * r**3 * dr
    dx = g * r + dms * x / x.shape[-1]  # BUG factor
    return dx, dgamma


#: rms norm, r forgotten in dgamma
def rmsnorm_forward(x, gamma, eps=1e-2):
    ms = np.mean(x * x, axis=-1, keepdims=True)
    r = 1 / np.sqrt(ms + eps)
    return x * r * gamma, (x, r, gamma)


def rmsnorm_backward(dout, cache):
    x, r, gamma = cache
    g = dout * gamma
    dgamma = np.sum(dout * x, axis=0)  # BUG missing_factor
    dr = np.sum(g * x, axis=-1, keepdims=True)
    dms = -0.5 * r**3 * dr
    dx = g * r + dms * 2 * x / x.shape[-1]
    return dx, dgamma
