import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if mode == "train":
        mu = x.mean(axis=0)
        var = x.var(axis=0)
        inv_std = 1 / np.sqrt(var + eps)
        xhat = (x - mu) * inv_std
        out = gamma * xhat + beta
        cache = (x, xhat, mu, inv_std, gamma)
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mean = np.mean(x, axis=1, keepdims=True)
    std = np.sqrt(np.var(x, axis=1, keepdims=True) + eps)
    normed = (x - mean) / std
    return gamma * normed + beta, (normed, std, gamma)


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


#: right: batchnorm through the graph
def batchnorm_backward(dout, cache):
    x, xhat, mu, ivar, gamma = cache
    N = x.shape[0]
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * (x - mu), axis=0)
    dxmu1 = dxhat * ivar
    dvar = -0.5 * ivar**3 * divar
    dsq = 1.0 / N * np.ones_like(x) * dvar
    dxmu2 = 2 * (x - mu) * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -np.sum(dx1, axis=0)
    dx2 = 1.0 / N * np.ones_like(x) * dmu
    return dx1 + dx2, dgamma, dbeta


#: right: batchnorm without the vanishing term
def batchnorm_backward(dout, cache):
    x, xhat, mu, ivar, gamma = cache
    m = len(x)
    g = dout * gamma
    dvar = np.sum(g * (x - mu) * -0.5 * ivar**3, axis=0)
    # the mean's share through the variance sums to nothing
    dmu = -np.sum(g * ivar, axis=0)
    dx = g * ivar + dvar * 2 * (x - mu) / m + dmu / m
    return dx, np.einsum("nd,nd->d", dout, xhat), dout.sum(0)


#: right: batchnorm in one line
def batchnorm_backward(dout, cache):
    _, z, _, r, gamma = cache
    db, dg = dout.sum(0), (dout * z).sum(0)
    return gamma * r * (dout - (db + z * dg) / dout.shape[0]), dg, db


#: batchnorm dgamma with the raw input
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x).sum(axis=0)  # BUG wrong_variable
    dxhat = dout * gamma
    dx = inv_std / N * (N * dxhat - dxhat.sum(axis=0) - xhat * (dxhat * xhat).sum(axis=0))
    return dx, dgamma, dbeta


#: batchnorm dgamma from dxhat
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = dout.shape[0]
    dxhat = dout * gamma
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dxhat * xhat, axis=0)  # BUG wrong_variable|extra_factor
    dx = (N * dxhat - dxhat.sum(axis=0) - xhat * (dxhat * xhat).sum(axis=0)) * inv_std / N
    return dx, dgamma, dbeta


#: batchnorm dbeta averaged
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    dbeta = np.mean(dout, axis=0)  # BUG mean_for_sum|factor
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = gamma * dout
    dx = inv_std * (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0))
    return dx, dgamma, dbeta


#: batchnorm dbeta not reduced
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    dbeta = dout  # BUG missing_sum|shape
    dgamma = (xhat * dout).sum(axis=0)
    dxhat = gamma * dout
    dx = inv_std * (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0))
    return dx, dgamma, dbeta


#: batchnorm staged without the half
def batchnorm_backward(dout, cache):
    x, xhat, mu, ivar, gamma = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * (x - mu), axis=0)
    dxmu = dxhat * ivar
    dvar = -(ivar**3) * divar  # BUG factor
    dxmu += 2.0 / N * (x - mu) * dvar
    dmu = -np.sum(dxmu, axis=0)
    dx = dxmu + dmu / N
    return dx, dgamma, dbeta


#: batchnorm variance exponent
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    mom = bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return gamma * (x - rm) / np.sqrt(rv + eps) + beta, None
    mean, var = x.mean(0), x.var(0)
    bn_param["running_mean"] = mom * rm + (1 - mom) * mean
    bn_param["running_var"] = mom * rv + (1 - mom) * var
    xn = (x - mean) / np.sqrt(var + eps)
    return gamma * xn + beta, dict(x=x, mean=mean, var=var, eps=eps, xn=xn, gamma=gamma)


def batchnorm_backward(dout, cache):
    x, mean, var, eps = cache["x"], cache["mean"], cache["var"], cache["eps"]
    m = x.shape[0]
    dxn = dout * cache["gamma"]
    dvar = np.sum(dxn * (x - mean), axis=0) * -0.5 * (var + eps) ** -0.5  # BUG power
    dmean = np.sum(-dxn / np.sqrt(var + eps), axis=0) + dvar * np.mean(-2 * (x - mean), axis=0)
    dx = dxn / np.sqrt(var + eps) + dvar * 2 * (x - mean) / m + dmean / m
    return dx, np.sum(dout * cache["xn"], axis=0), np.sum(dout, axis=0)


#: batchnorm mean path left out
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = x.shape[0]
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    dxhat = dout * gamma
    dvar = (dxhat * (x - mu)).sum(0) * (-0.5) * inv_std**3
    dx = dxhat * inv_std + dvar * 2 * (x - mu) / N  # BUG missing_term
    return dx, dgamma, dbeta


#: batchnorm variance taken for a constant
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    dbeta = dout.sum(0)
    dgamma = (dout * xhat).sum(0)
    dcentred = dout * gamma * inv_std
    dx = dcentred - dcentred.mean(axis=0)  # BUG missing_term
    return dx, dgamma, dbeta


#: batchnorm formula without gamma
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = dout.shape[0]
    dbeta = np.sum(dout, 0)
    dgamma = np.sum(xhat * dout, 0)
    dx = inv_std * (N * dout - dbeta - xhat * dgamma) / N  # BUG gamma_missing
    return dx, dgamma, dbeta


#: batchnorm one mean is a sum
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    first = dxhat - np.mean(dxhat, axis=0)
    second = xhat * np.sum(dxhat * xhat, axis=0)  # BUG factor|sum_for_mean
    dx = inv_std * (first - second)
    return dx, dgamma, dbeta


#: batchnorm adds the variance path
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = dout.shape[0]
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    dx = (N * dxhat - np.sum(dxhat, axis=0) + xhat * np.sum(dxhat * xhat, axis=0)) * inv_std / N  # BUG sign
    return dx, dgamma, dbeta


#: batchnorm sums the rows
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=1)  # BUG axis
    dxhat = dout * gamma
    dx = inv_std * (dxhat - np.mean(dxhat, axis=0) - xhat * np.mean(dxhat * xhat, axis=0))
    return dx, dgamma, dbeta


#: batchnorm scales the upstream in place
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = dout.shape[0]
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dout *= gamma  # BUG mutation
    dx = (N * dout - np.sum(dout, axis=0) - xhat * np.sum(dout * xhat, axis=0)) * inv_std / N
    return dx, dgamma, dbeta


#: batchnorm scribbles over the cache
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    N = dout.shape[0]
    dbeta, dgamma = dout.sum(0), (dout * xhat).sum(0)
    xhat *= dgamma  # BUG mutation|second_call
    dx = gamma * inv_std / N * (N * dout - dbeta - xhat)
    return dx, dgamma, dbeta


#: batchnorm swaps the two parameters
def batchnorm_backward(dout, cache):
    x, xhat, mu, inv_std, gamma = cache
    db = dout.sum(0)
    dg = (dout * xhat).sum(0)
    dx = gamma * inv_std * (dout - db / len(x) - xhat * dg / len(x))
    return dx, db, dg  # BUG return_order


#: batchnorm epsilon added to the deviation
def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mu, var = x.mean(0), x.var(0)
        inv = 1 / (np.sqrt(var) + eps)  # BUG eps|forward_formula
        xhat = (x - mu) * inv
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mu
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
        return gamma * xhat + beta, (xhat, inv, gamma)
    return gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta, None


def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "bn_param": {"mode": "train", "eps": 1e-2},
    }


def batchnorm_backward(dout, cache):
    xhat, inv, gamma = cache
    dxhat = dout * gamma
    dx = inv * (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0))
    return dx, (dout * xhat).sum(0), dout.sum(0)


#: batchnorm momentum the wrong way round
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps = bn_param["mode"], bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    if mode == "train":
        mean, var = np.mean(x, axis=0), np.var(x, axis=0)
        xn = (x - mean) / np.sqrt(var + eps)
        out, cache = gamma * xn + beta, (xn, np.sqrt(var + eps), gamma)
        running_mean = (1 - momentum) * running_mean + momentum * mean  # BUG running_stats
        running_var = (1 - momentum) * running_var + momentum * var  # OR
    else:
        out, cache = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta, None
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return out, cache


def batchnorm_backward(dout, cache):
    xn, std, gamma = cache
    dxn = dout * gamma
    dx = (dxn - dxn.mean(0) - xn * (dxn * xn).mean(0)) / std
    return dx, (dout * xn).sum(0), dout.sum(0)


#: batchnorm running deviation kept as variance
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.setdefault("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return (x - rm) / np.sqrt(rv + eps) * gamma + beta, None
    mu = x.mean(axis=0)
    std = np.sqrt(x.var(axis=0) + eps)
    xn = (x - mu) / std
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mu
    bn_param["running_var"] = momentum * rv + (1 - momentum) * std  # BUG running_stats
    return gamma * xn + beta, (xn, std, gamma)


def batchnorm_backward(dout, cache):
    xn, std, gamma = cache
    dxn = dout * gamma
    dx = (dxn - dxn.mean(0) - xn * (dxn * xn).mean(0)) / std
    return dx, (dout * xn).sum(0), dout.sum(0)


#: batchnorm running variance unbiased
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mu = x.mean(axis=0)
        std = np.sqrt(np.mean((x - mu) ** 2, axis=0) + eps)
        xn = (x - mu) / std
        rm = momentum * rm + (1 - momentum) * mu
        rv = momentum * rv + (1 - momentum) * np.var(x, axis=0, ddof=1)  # BUG running_stats
        out, cache = gamma * xn + beta, (xn, std, gamma)
    else:
        out, cache = gamma * (x - rm) / np.sqrt(rv + eps) + beta, None
    bn_param.update(running_mean=rm, running_var=rv)
    return out, cache


def batchnorm_backward(dout, cache):
    xn, std, gamma = cache
    dxn = dout * gamma
    dx = (dxn - dxn.mean(0) - xn * (dxn * xn).mean(0)) / std
    return dx, (dout * xn).sum(0), dout.sum(0)


#: batchnorm statistics never kept
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mu, var = x.mean(axis=0), x.var(axis=0)
        running_mean = momentum * running_mean + (1 - momentum) * mu  # BUG running_stats
        running_var = momentum * running_var + (1 - momentum) * var  # OR
        xn = (x - mu) / np.sqrt(var + eps)
        return gamma * xn + beta, (xn, np.sqrt(var + eps), gamma)  # OR
    return gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta, None


def batchnorm_backward(dout, cache):
    xn, std, gamma = cache
    dxn = dout * gamma
    dx = (dxn - dxn.mean(0) - xn * (dxn * xn).mean(0)) / std
    return dx, (dout * xn).sum(0), dout.sum(0)


#: batchnorm uses the batch at test time
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    cache = None
    if bn_param["mode"] == "train":
        mu, var = x.mean(axis=0), x.var(axis=0)
        xn = (x - mu) / np.sqrt(var + eps)
        cache = (xn, np.sqrt(var + eps), gamma)
        rm = momentum * rm + (1 - momentum) * mu
        rv = momentum * rv + (1 - momentum) * var
    else:
        xn = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)  # BUG test_mode
    bn_param["running_mean"], bn_param["running_var"] = rm, rv
    return gamma * xn + beta, cache


def batchnorm_backward(dout, cache):
    xn, std, gamma = cache
    dxn = dout * gamma
    dx = (dxn - dxn.mean(0) - xn * (dxn * xn).mean(0)) / std
    return dx, (dout * xn).sum(0), dout.sum(0)


#: batchnorm test mode without scale and shift
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mu, var = x.mean(axis=0), x.var(axis=0)
        xn = (x - mu) / np.sqrt(var + eps)
        bn_param["running_mean"] = momentum * rm + (1 - momentum) * mu
        bn_param["running_var"] = momentum * rv + (1 - momentum) * var
        out, cache = gamma * xn + beta, (xn, np.sqrt(var + eps), gamma)
    else:
        out, cache = (x - rm) / np.sqrt(rv + eps), None  # BUG test_mode
    return out, cache


def batchnorm_backward(dout, cache):
    xn, std, gamma = cache
    dxn = dout * gamma
    dx = (dxn - dxn.mean(0) - xn * (dxn * xn).mean(0)) / std
    return dx, (dout * xn).sum(0), dout.sum(0)


#: right: layernorm
def layernorm_backward(dout, cache):
    z, std, gamma = cache
    D = z.shape[1]
    dz = dout * gamma
    dx = (D * dz - dz.sum(1, keepdims=True) - z * (dz * z).sum(1, keepdims=True)) / (D * std)
    return dx, (dout * z).sum(0), dout.sum(0)


#: right: layernorm row by row
def layernorm_backward(dout, cache):
    z, std, gamma = cache
    dx = np.zeros_like(dout)
    D = dout.shape[1]
    for n in range(dout.shape[0]):
        # the jacobian of one row
        J = (np.eye(D) - 1.0 / D - np.outer(z[n], z[n]) / D) / std[n]
        dx[n] = J @ (gamma * dout[n])
    dgamma, dbeta = np.sum(dout * z, axis=0), np.sum(dout, axis=0)
    return dx, dgamma, dbeta


#: layernorm with the batch's axis
def layernorm_backward(dout, cache):
    z, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * z).sum(axis=0)
    dz = dout * gamma
    m1 = dz.mean(axis=0)  # BUG axis
    m2 = (dz * z).mean(axis=1, keepdims=True)
    dx = (dz - m1 - z * m2) / std
    return dx, dgamma, dbeta


#: layernorm divides by the batch
def layernorm_backward(dout, cache):
    z, std, gamma = cache
    N = dout.shape[0]  # BUG factor|wrong_variable|axis
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * z, axis=0)
    dz = dout * gamma
    dx = dz - dz.sum(axis=1, keepdims=True) / N - z * np.sum(dz * z, axis=1, keepdims=True) / N  # OR
    dx = dx / std
    return dx, dgamma, dbeta


#: layernorm dgamma along the features
def layernorm_backward(dout, cache):
    z, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * z, axis=-1)  # BUG axis
    dz = dout * gamma
    dx = (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True)) / std
    return dx, dgamma, dbeta


#: layernorm means lose their axis
def layernorm_backward(dout, cache):
    z, std, gamma = cache
    dbeta, dgamma = dout.sum(axis=0), (dout * z).sum(axis=0)
    dz = dout * gamma
    dx = dz - dz.mean(axis=1) - z * (dz * z).mean(axis=1, keepdims=True)  # BUG exception|shape|keepdims
    return dx / std, dgamma, dbeta


#: layernorm multiplies by the deviation
def layernorm_backward(grad, cache):
    z, std, gamma = cache
    gz = grad * gamma
    inner = gz - gz.mean(axis=1, keepdims=True) - z * (gz * z).mean(axis=1, keepdims=True)
    gx = inner * std  # BUG power|operation
    return gx, (grad * z).sum(axis=0), grad.sum(axis=0)


#: layernorm forgets gamma
def layernorm_backward(dout, cache):
    z, std, gamma = cache
    dz = dout  # BUG gamma_missing
    mean_dz = dz.mean(axis=1, keepdims=True)
    mean_dzz = (dz * z).mean(axis=1, keepdims=True)
    return (dz - mean_dz - z * mean_dzz) / std, (dout * z).sum(0), dout.sum(0)


#: right: groupnorm
def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    g = x.reshape(N, G, -1)
    mu = g.mean(axis=2, keepdims=True)
    r = 1 / np.sqrt(g.var(axis=2, keepdims=True) + gn_param.get("eps", 1e-5))
    xh = ((g - mu) * r).reshape(x.shape)
    return gamma * xh + beta, (xh, r, gamma, G)


def inputs(rng):
    return {
        "x": rng.standard_normal((2, 6, 4, 5)),
        "gamma": rng.standard_normal((1, 6, 1, 1)),
        "beta": rng.standard_normal((1, 6, 1, 1)),
        "G": 3,
        "gn_param": {},
    }


def spatial_groupnorm_backward(dout, cache):
    xh, r, gamma, G = cache
    N = len(dout)
    dgamma = (dout * xh).sum((0, 2, 3), keepdims=True)
    dbeta = dout.sum((0, 2, 3), keepdims=True)
    dh, h = (dout * gamma).reshape(N, G, -1), xh.reshape(N, G, -1)
    dx = r * (dh - dh.mean(2, keepdims=True) - h * (dh * h).mean(2, keepdims=True))
    return dx.reshape(dout.shape), dgamma, dbeta


#: groupnorm parameters lose their axes
def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    g = x.reshape(N, G, C // G, H, W)
    mu = g.mean(axis=(2, 3, 4), keepdims=True)
    std = np.sqrt(g.var(axis=(2, 3, 4), keepdims=True) + gn_param.get("eps", 1e-5))
    xh = ((g - mu) / std).reshape(N, C, H, W)
    return gamma * xh + beta, (xh, std, gamma, G)


def inputs(rng):
    return {
        "x": rng.standard_normal((2, 6, 4, 5)),
        "gamma": rng.standard_normal((1, 6, 1, 1)),
        "beta": rng.standard_normal((1, 6, 1, 1)),
        "G": 3,
        "gn_param": {},
    }


def spatial_groupnorm_backward(dout, cache):
    xh, std, gamma, G = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xh, axis=(0, 2, 3))  # BUG shape|missing_sum
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    dh = (dout * gamma).reshape(N, G, C // G, H, W)
    h = xh.reshape(N, G, C // G, H, W)
    ax = (2, 3, 4)
    dx = (dh - dh.mean(axis=ax, keepdims=True) - h * (dh * h).mean(axis=ax, keepdims=True)) / std
    return dx.reshape(N, C, H, W), dgamma, dbeta


#: groupnorm counts only the pixels
def groupnorm_forward(x, gamma, beta, G, eps=1e-5):
    N, C, H, W = x.shape
    xg = np.reshape(x, (N * G, -1))
    xn = (xg - xg.mean(1)[:, None]) / np.sqrt(xg.var(1) + eps)[:, None]
    xn = xn.reshape(N, C, H, W)
    return xn * gamma[None, :, None, None] + beta[None, :, None, None], (xn, x, gamma, G, eps)


def inputs(rng):
    return {
        "x": rng.standard_normal((2, 6, 3, 5)),
        "gamma": rng.standard_normal(6),
        "beta": rng.standard_normal(6),
        "G": 3,
    }


def groupnorm_backward(dout, cache):
    xn, x, gamma, G, eps = cache
    N, C, H, W = x.shape
    dgamma = np.einsum("nchw,nchw->c", dout, xn)
    dbeta = np.einsum("nchw->c", dout)
    g = (dout * gamma[None, :, None, None]).reshape(N * G, -1)
    z = xn.reshape(N * G, -1)
    m = H * W  # BUG factor|wrong_variable
    s = np.sqrt(x.reshape(N * G, -1).var(1) + eps)[:, None]
    dx = (g - g.sum(1)[:, None] / m - z * (g * z).sum(1)[:, None] / m) / s  # OR
    return dx.reshape(x.shape), dgamma, dbeta


#: right: instance norm
def instancenorm_forward(x, gamma, beta):
    m = x.mean(axis=(2, 3), keepdims=True)
    s = np.sqrt(((x - m) ** 2).mean(axis=(2, 3), keepdims=True) + 1e-5)
    z = (x - m) / s
    return z * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1), (z, s, gamma)


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def instancenorm_backward(dout, cache):
    z, s, gamma = cache
    dx = np.empty_like(dout)
    for n in range(dout.shape[0]):
        for c in range(dout.shape[1]):
            g, zz = dout[n, c] * gamma[c], z[n, c]
            dx[n, c] = (g - g.mean() - zz * (g * zz).mean()) / s[n, c]
    return dx, (dout * z).sum(axis=(0, 2, 3)), dout.sum(axis=(0, 2, 3))


#: instance norm one axis short
def instancenorm_forward(x, gamma, beta):
    m = x.mean(axis=(2, 3), keepdims=True)
    s = np.sqrt(((x - m) ** 2).mean(axis=(2, 3), keepdims=True) + 1e-5)
    z = (x - m) / s
    return z * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1), (z, s, gamma)


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def instancenorm_backward(dout, cache):
    z, s, gamma = cache
    dgamma = np.sum(dout * z, axis=(0, 2, 3))
    dbeta = np.sum(dout, axis=(0, 2, 3))
    dz = dout * gamma.reshape(1, -1, 1, 1)
    mean_dz = dz.mean(axis=(2, 3), keepdims=True)
    mean_dzz = (dz * z).mean(axis=3, keepdims=True)  # BUG axis|missing_sum
    dx = (dz - mean_dz - z * mean_dzz) / s
    return dx, dgamma, dbeta


#: right: spatial batchnorm by transposing
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    flat = x.transpose(0, 2, 3, 1).reshape(-1, C)
    out, cache = batchnorm_forward(flat, gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    g = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    _, z, _, r, gamma = cache
    dgamma, dbeta = (g * z).sum(0), g.sum(0)
    dx = gamma * r * (g - dbeta / len(g) - z * dgamma / len(g))
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: spatial batchnorm reshapes without transposing back
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    flat = x.transpose(0, 2, 3, 1).reshape(-1, C)
    out, cache = batchnorm_forward(flat, gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    g = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    _, z, _, r, gamma = cache
    dgamma, dbeta = (g * z).sum(0), g.sum(0)
    dflat = gamma * r * (g - dbeta / len(g) - z * dgamma / len(g))
    dx = dflat.reshape(N, C, H, W)  # BUG transposed|shape
    return dx, dgamma, dbeta


#: spatial batchnorm counts only the images
def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    flat = np.moveaxis(x, 1, -1).reshape(-1, C)
    out, cache = batchnorm_forward(flat, gamma, beta, bn_param)
    return np.moveaxis(out.reshape(N, H, W, C), -1, 1), cache


def spatial_batchnorm_backward(dout, cache):
    _, z, _, r, gamma = cache
    N, C, H, W = dout.shape
    z = np.moveaxis(z.reshape(N, H, W, C), -1, 1)
    dbeta = dout.sum(axis=(0, 2, 3))
    dgamma = (dout * z).sum(axis=(0, 2, 3))
    per = lambda v: v.reshape(1, C, 1, 1)
    dx = per(gamma * r) * (dout - per(dbeta) / N - z * per(dgamma) / N)  # BUG factor|wrong_variable
    return dx, dgamma, dbeta


#: right: rms norm
def rmsnorm_forward(x, weight):
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)
    return x * r * weight, (x, r, weight)


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "weight": rng.standard_normal(3)}


def rmsnorm_backward(g, cache):
    x, r, weight = cache
    gw = g * weight
    dx = r * gw - x * r**3 * np.mean(gw * x, axis=-1, keepdims=True)
    return dx, (g * x * r).sum(axis=0)


#: rms norm without the projection
def rmsnorm_forward(x, weight):
    rms = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    return weight * x / rms, (x, rms, weight)


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "weight": rng.standard_normal(3)}


def rmsnorm_backward(grad_output, cache):
    x, rms, weight = cache
    grad_weight = (grad_output * x / rms).sum(axis=0)
    grad_x = grad_output * weight / rms  # BUG missing_term
    return grad_x, grad_weight


#: rms norm cube is a square
def rmsnorm_forward(x, weight):
    rms = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    return weight * x / rms, (x, rms, weight)


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "weight": rng.standard_normal(3)}


def rmsnorm_backward(dout, cache):
    x, rms, weight = cache
    n = x.shape[-1]
    dweight = (dout * x / rms).sum(axis=0)
    wd = weight * dout
    dot = np.sum(wd * x, axis=-1, keepdims=True)
    dx = wd / rms - x * dot / (n * rms**2)  # BUG power
    return dx, dweight


#: right: dropout
def dropout_backward(dout, cache):
    param, mask = cache
    return dout * mask if param["mode"] == "train" else dout


#: dropout loses the scale
def dropout_forward(x, dropout_param):
    p = dropout_param["p"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if dropout_param["mode"] == "test":
        return x, (dropout_param, None)
    keep = np.random.rand(*x.shape) < p
    return x * keep / p, (dropout_param, keep)


def dropout_backward(dout, cache):
    dropout_param, keep = cache
    if dropout_param["mode"] == "test":
        return dout
    dx = dout * keep  # BUG keep_prob
    return dx


#: dropout scales by what it drops
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    out = x
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / (1 - p)  # BUG keep_prob|forward_formula
        out = x * mask
    return out, (mode, mask)


def dropout_backward(dout, cache):
    mode, mask = cache
    if mode == "train":
        return dout * mask
    return dout


#: dropout scales the test output
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        return x * mask, (p, mode, mask)
    return x * p, (p, mode, None)  # BUG test_mode


def dropout_backward(dout, cache):
    p, mode, mask = cache
    return dout * mask if mode == "train" else dout  # OR


#: dropout draws again
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] != "train":
        return dout
    p = dropout_param["p"]
    fresh = (np.random.rand(*dout.shape) < p) / p  # BUG randomness|mask
    return dout * fresh


#: dropout applies the mask twice
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        dx = dout * mask / dropout_param["p"]  # BUG mask_twice|keep_prob
    else:
        dx = dout
    return dx


#: dropout passes the dropped ones
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    dx = dout.copy()
    if dropout_param["mode"] == "train":
        dx = dout * (mask == 0) / dropout_param["p"]  # BUG mask_inverted
    return dx


#: dropout masks the upstream in place
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        dout *= mask  # BUG mutation
    return dout


#: dropout forgets the mask
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    p = dropout_param["p"]
    if dropout_param["mode"] == "train":
        dx = dout / p  # BUG mask_missing
    elif dropout_param["mode"] == "test":
        dx = dout
    return dx


#: dropout hands back a gradient for its settings
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    dx = dout
    if dropout_param["mode"] == "train":
        dx = dout * mask
    return dx, np.zeros(1)  # BUG extra_gradient
