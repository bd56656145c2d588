"""Six imagined learners in a workshop: one from the course, one of few words, one from PyTorch, one from MATLAB, one who loops, one who hurries."""
from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view


#: right: ana layernorm
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    std = np.sqrt(np.mean(xc**2, axis=1, keepdims=True) + eps)
    xhat = xc / std
    return gamma * xhat + beta, (xhat, std, gamma)


def layernorm_backward(dout, cache):
    xhat, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    dx = dxhat - dxhat.mean(axis=1, keepdims=True) - xhat * np.mean(dxhat * xhat, axis=1, keepdims=True)
    dx /= std
    return dx, dgamma, dbeta


#: ana layernorm means over the batch
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    std = np.sqrt(np.mean(xc**2, axis=1, keepdims=True) + eps)
    xhat = xc / std
    return gamma * xhat + beta, (xhat, std, gamma)


def layernorm_backward(dout, cache):
    xhat, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    m1 = dxhat.mean(axis=1, keepdims=True)
    m2 = np.mean(dxhat * xhat, axis=0, keepdims=True)  # BUG axis
    dx = (dxhat - m1 - xhat * m2) / std
    return dx, dgamma, dbeta


#: ana affine bias as a row
def affine_forward(x, w, b):
    rows = x.reshape(x.shape[0], -1)
    out = rows.dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0, keepdims=True)  # BUG shape|keepdims
    return dx, dw, db


#: ana batchnorm steps variance
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    cache = None
    if mode == "train":
        # step 1: mean
        mu = np.sum(x, axis=0) / N
        # step 2: centre
        xmu = x - mu
        # step 3: variance
        sq = xmu**2
        var = np.sum(sq, axis=0) / N
        # step 4: square root and inverse
        sqrtvar = np.sqrt(var + eps)
        ivar = 1.0 / sqrtvar
        # step 5: scale and shift
        xhat = xmu * ivar
        out = gamma * xhat + beta
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
        cache = (xhat, gamma, xmu, ivar, sqrtvar, var, eps)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1.0 / sqrtvar * divar  # BUG power
    dvar = 0.5 / np.sqrt(var + eps) * dsqrtvar
    dsq = np.ones((N, D)) / N * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -np.sum(dx1, axis=0)
    dx2 = np.ones((N, D)) / N * dmu
    dx = dx1 + dx2
    return dx, dgamma, dbeta


#: ana batchnorm keeps the sample variance
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D))
    running_var = bn_param.get("running_var", np.zeros(D))
    if mode == "train":
        mu, var = x.mean(axis=0), x.var(axis=0)
        inv = 1 / np.sqrt(var + eps)
        xhat = (x - mu) * inv
        out = gamma * xhat + beta
        cache = (xhat, inv, gamma)
        bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mu
        bn_param["running_var"] = momentum * running_var + (1 - momentum) * x.var(axis=0, ddof=1)  # BUG running_stats
    else:
        inv = 1 / np.sqrt(running_var + eps)
        xhat = (x - running_mean) * inv
        out = gamma * xhat + beta
        cache = (xhat, inv, gamma)
    return out, cache


def batchnorm_backward(dout, cache):
    xhat, inv, gamma = cache
    N = len(dout)
    dgamma = (dout * xhat).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dx = gamma * inv / N * (N * dout - dbeta - xhat * dgamma)
    return dx, dgamma, dbeta


#: ana dropout scales the test too
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    else:
        out = x * p  # BUG test_mode
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        return dout * mask
    return dout


#: ana conv bias of the last image
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 5, 6)),
        "w": rng.standard_normal((4, 3, 3, 2)),
        "b": rng.standard_normal(4),
        "conv_param": {"stride": 1, "pad": 1},
    }


def conv_forward(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    Ho = 1 + (H + 2 * pad - HH) // stride
    Wo = 1 + (W + 2 * pad - WW) // stride
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    out = np.zeros((N, F, Ho, Wo))
    for n in range(N):
        for f in range(F):
            for i in range(Ho):
                for j in range(Wo):
                    window = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return out, (x, w, b, conv_param)


def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, F, Ho, Wo = dout.shape
    HH, WW = w.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    db = np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            db[f] = np.sum(dout[n, f])  # BUG overlap|missing_sum
            for i in range(Ho):
                for j in range(Wo):
                    hs, ws = i * stride, j * stride
                    dw[f] += dout[n, f, i, j] * xp[n, :, hs : hs + HH, ws : ws + WW]
                    dxp[n, :, hs : hs + HH, ws : ws + WW] += dout[n, f, i, j] * w[f]
    H, W = x.shape[2:]
    return dxp[:, :, pad : pad + H, pad : pad + W], dw, db


#: bo dense over time
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((3, 5)), "b": rng.standard_normal(5)}


def dense_forward(x, w, b):
    return np.einsum("ntd,dm->ntm", x, w) + b, (x, w)


def dense_backward(g, cache):
    x, w = cache
    dx, dw = np.einsum("ntm,dm->ntd", g, w), np.einsum("ntd,ntm->dm", x, g)
    db = g.sum(0)  # BUG missing_sum|shape
    return dx, dw, db


#: bo softplus
def softplus_forward(x):
    return np.logaddexp(0, x), x


def softplus_backward(g, x):
    return g / (1 + np.exp(x))  # BUG function|sign


#: bo mish
def mish_forward(x):
    sp = np.log1p(np.exp(x))
    return x * np.tanh(sp), (x, sp)


def mish_backward(g, c):
    x, sp = c
    t, s = np.tanh(sp), 1 / (1 + np.exp(-x))
    return g * (t + (1 - t * t) * s)  # BUG missing_factor|function


#: right: bo mish by the book
def mish_forward(x):
    e = np.exp(x)
    return x * ((1 + e) ** 2 - 1) / ((1 + e) ** 2 + 1), x


def mish_backward(g, x):
    w = 4 * (x + 1) + 4 * np.exp(2 * x) + np.exp(3 * x) + np.exp(x) * (4 * x + 6)
    return g * np.exp(x) * w / (2 * np.exp(x) + np.exp(2 * x) + 2) ** 2


#: bo hard swish
def inputs(rng):
    return {"x": 4 * rng.standard_normal((5, 6))}


def hardswish_forward(x):
    return x * np.clip(x + 3, 0, 6) / 6, x


def hardswish_backward(g, x):
    return g * np.where(np.abs(x) < 3, (2 * x + 3) / 6, 0)  # BUG mask|missing_term|function


#: bo prelu
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "a": rng.uniform(0.1, 0.4, 3)}


def prelu_forward(x, a):
    return np.where(x > 0, x, a * x), (x, a)


def prelu_backward(g, cache):
    x, a = cache
    dx = g * np.where(x > 0, 1, a)
    da = (g * x * (x > 0)).sum(0)  # BUG mask|mask_inverted
    return dx, da


#: right: bo prelu images
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "a": rng.uniform(0.1, 0.4, 3)}


def prelu_forward(x, a):
    return np.maximum(x, 0) + a[:, None, None] * np.minimum(x, 0), (x, a)


def prelu_backward(g, cache):
    x, a = cache
    neg = x < 0
    return g * (~neg + neg * a[:, None, None]), np.einsum("nchw,nchw->c", g, np.minimum(x, 0))


#: bo dilated conv
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 7)), "w": rng.standard_normal((4, 3, 2, 3)), "b": rng.standard_normal(4)}


def conv2_forward(x, w, b):
    R, S = w.shape[2:]
    v = sliding_window_view(x, (2 * R - 1, 2 * S - 1), (2, 3))[..., ::2, ::2]
    return np.einsum("ncijrs,fcrs->nfij", v, w) + b[:, None, None], (x, v, w)


def conv2_backward(g, cache):
    x, v, w = cache
    dw, db, dx = np.einsum("nfij,ncijrs->fcrs", g, v), g.sum((0, 2, 3)), np.zeros_like(x)
    I, J = g.shape[2:]
    for r, s in np.ndindex(w.shape[2:]):
        dx[:, :, r : r + I, s : s + J] += np.einsum("nfij,fc->ncij", g, w[:, :, r, s])  # BUG window
    return dx, dw, db


#: bo softmax
def softmax_loss(x, y):
    z = x - x.max(1, keepdims=True)
    lp, n = z - np.log(np.exp(z).sum(1, keepdims=True)), np.arange(len(y))
    dx = np.exp(lp)  # OR
    dx[n, y] -= 1  # OR
    return -lp[n, y].mean(), dx  # BUG sum_for_mean|factor


#: bo squared distances
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "c": rng.standard_normal((5, 3))}


def sqdist_forward(x, c):
    return (x**2).sum(1)[:, None] + (c**2).sum(1) - 2 * x @ c.T, (x, c)


def sqdist_backward(g, cache):
    x, c = cache
    dx = 2 * (x * g.sum(1)[:, None] - g @ c)
    dc = 2 * (c * g.sum(0)[:, None] - x.T @ g)  # BUG transposed|exception
    return dx, dc


#: chidi rmsnorm
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "weight": 1 + 0.3 * rng.standard_normal(3)}


def rmsnorm_forward(x, weight, eps=1e-5):
    ctx = SimpleNamespace()
    ctx.rstd = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    ctx.x, ctx.weight = x, weight
    return x * ctx.rstd * weight, ctx


def rmsnorm_backward(grad_output, ctx):
    x_hat = ctx.x * ctx.rstd
    grad_weight = (grad_output * x_hat).sum(axis=(0, 1))
    wdy = grad_output * ctx.weight
    c1 = np.sum(x_hat * wdy, axis=-1, keepdims=True)  # BUG factor|mean_for_sum|sum_for_mean
    grad_input = (wdy - x_hat * c1) * ctx.rstd
    return grad_input, grad_weight


#: right: chidi rmsnorm
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "weight": 1 + 0.3 * rng.standard_normal(3)}


def rms_norm_forward(x, weight, eps=1e-6):
    variance = np.square(x).mean(-1, keepdims=True)
    rrms = (variance + eps) ** -0.5
    return weight * (x * rrms), SimpleNamespace(saved=(x, weight, rrms))


def rms_norm_backward(grad_output, ctx):
    x, weight, rrms = ctx.saved
    D = x.shape[-1]
    gx_hat = grad_output * weight
    grad_rrms = np.sum(gx_hat * x, axis=-1, keepdims=True)
    grad_variance = grad_rrms * -0.5 * rrms**3
    grad_x = gx_hat * rrms + grad_variance * 2 * x / D
    return grad_x, np.sum(grad_output * x * rrms, axis=0)


#: chidi groupnorm
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 6, 3, 5)),
        "weight": 1 + 0.3 * rng.standard_normal(6),
        "bias": rng.standard_normal(6),
    }


def group_norm_forward(x, weight, bias, num_groups=2, eps=1e-5):
    N, C, H, W = x.shape
    x_g = x.reshape(N, num_groups, -1)
    mean, var = x_g.mean(-1, keepdims=True), x_g.var(-1, keepdims=True)
    rstd = 1.0 / np.sqrt(var + eps)
    x_hat = ((x_g - mean) * rstd).reshape(N, C, H, W)
    ctx = {"x_hat": x_hat, "rstd": rstd, "weight": weight, "groups": num_groups}
    return x_hat * weight.reshape(1, C, 1, 1) + bias.reshape(1, C, 1, 1), ctx


def group_norm_backward(grad_output, ctx):
    N, C, H, W = grad_output.shape
    G = ctx["groups"]
    grad_bias = grad_output.sum((0, 2, 3))
    grad_weight = (grad_output * ctx["x_hat"]).sum((0, 2, 3))
    dxhat = grad_output * ctx["weight"].reshape(1, C, 1, 1)
    dxhat, x_hat = dxhat.reshape(N, G, -1), ctx["x_hat"].reshape(N, G, -1)
    n = C // G * H  # BUG factor
    s1 = dxhat.sum(-1, keepdims=True)
    s2 = (dxhat * x_hat).sum(-1, keepdims=True)
    grad_input = ctx["rstd"] * (dxhat - s1 / n - x_hat * s2 / n)
    return grad_input.reshape(N, C, H, W), grad_weight, grad_bias


#: chidi kl divergence
def inputs(rng):
    q = rng.uniform(0.2, 1, (4, 3))
    return {"x": rng.standard_normal((4, 3)), "y": q / q.sum(1, keepdims=True)}


def log_softmax(input, dim=-1):
    m = input.max(axis=dim, keepdims=True)
    return input - m - np.log(np.exp(input - m).sum(axis=dim, keepdims=True))


def kl_div_loss(x, y):
    """reduction='batchmean'; y are probabilities."""
    log_p = log_softmax(x)
    loss = np.sum(y * (np.log(y) - log_p)) / x.shape[0]
    grad_log_p = -y / x.size  # BUG factor|sum_for_mean|mean_for_sum
    grad = grad_log_p - np.exp(log_p) * grad_log_p.sum(-1, keepdims=True)
    return loss, grad


#: chidi huber
def inputs(rng):
    return {"x": 2 * rng.standard_normal((4, 3)), "y": rng.standard_normal((4, 3))}


def huber_loss(x, y, delta=1.0):
    error = x - y
    is_small = np.abs(error) < delta
    loss = np.where(is_small, 0.5 * error**2, delta * (np.abs(error) - 0.5 * delta)).mean()
    grad = np.where(is_small, error, delta)  # BUG missing_factor|sign
    return loss, grad / error.size


#: right: chidi smooth l1
def inputs(rng):
    return {"x": 2 * rng.standard_normal((5, 2)), "y": rng.standard_normal((5, 2))}


def smooth_l1_loss(x, y, beta=0.5):
    diff = x - y
    l1 = abs(diff)
    loss = np.where(l1 < beta, 0.5 * diff**2 / beta, l1 - 0.5 * beta)
    return loss.mean(), np.clip(diff / beta, -1, 1) / diff.size


#: chidi label smoothing
def label_smoothing_loss(x, y, smoothing=0.2):
    n, k = x.shape
    shifted = x - x.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    one_hot = np.eye(k)[y]
    true_dist = (1 - smoothing) * one_hot + smoothing / k
    loss = -(true_dist * log_probs).sum(axis=1).mean()
    grad = (np.exp(log_probs) - one_hot) / n  # BUG wrong_variable
    return loss, grad


#: chidi embedding
def inputs(rng):
    return {"x": np.array([[1, 0, 4], [2, 1, 1]]), "weight": rng.standard_normal((5, 4))}


def embedding_forward(x, weight):
    return weight[x], (x, weight.shape)


def embedding_backward(grad_output, ctx):
    x, shape = ctx
    grad_weight = np.zeros(shape)
    grad_weight[x.ravel()] += grad_output.reshape(-1, shape[1])  # BUG overlap
    return grad_weight


#: right: chidi embedding with padding
def inputs(rng):
    return {"x": np.array([[3, 0, 2, 2], [2, 1, 3, 0]]), "weight": rng.standard_normal((5, 3))}


def embedding_forward(x, weight, padding_idx=0):
    keep = (x != padding_idx)[..., None]
    return weight[x] * keep, (x, keep, weight)


def embedding_backward(grad_output, ctx):
    x, keep, weight = ctx
    grad_weight = np.zeros_like(weight)
    for idx, g in zip(x.reshape(-1), (grad_output * keep).reshape(-1, weight.shape[1])):
        grad_weight[idx] += g
    return grad_weight


#: chidi adaptive average pool
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 7)), "output_size": (2, 3)}


def bins(i, n_in, n_out):
    return slice(i * n_in // n_out, -(-(i + 1) * n_in // n_out))


def adaptive_avg_pool_forward(x, output_size):
    oh, ow = output_size
    H, W = x.shape[-2:]
    out = np.empty(x.shape[:2] + (oh, ow))
    for i in range(oh):
        for j in range(ow):
            out[:, :, i, j] = x[:, :, bins(i, H, oh), bins(j, W, ow)].mean(axis=(2, 3))
    return out, (x.shape, output_size)


def adaptive_avg_pool_backward(grad_output, ctx):
    in_shape, (oh, ow) = ctx
    H, W = in_shape[-2:]
    grad_input = np.zeros(in_shape)
    for i in range(oh):
        for j in range(ow):
            kh, kw = H // oh, W // ow  # BUG factor|wrong_variable|operation
            g = grad_output[:, :, i, j][:, :, None, None]
            grad_input[:, :, bins(i, H, oh), bins(j, W, ow)] += g / (kh * kw)  # OR
    return grad_input


#: chidi lp pool
def inputs(rng):
    return {"x": rng.uniform(0.2, 2, (2, 3, 4, 6)), "pool_param": {"kernel": 2}}


def lp_pool_forward(x, pool_param, p=3):
    k = pool_param["kernel"]
    N, C, H, W = x.shape
    windows = x.reshape(N, C, H // k, k, W // k, k)
    out = (windows**p).sum(axis=(3, 5)) ** (1 / p)
    return out, (windows, out, p, x.shape)


def lp_pool_backward(grad_output, ctx):
    windows, out, p, shape = ctx
    scale = grad_output / out ** (p - 1)
    grad = windows * scale[:, :, :, None, :, None]  # BUG power
    return grad.reshape(shape)


#: chidi transposed conv
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 2, 4)), "weight": rng.standard_normal((3, 5, 3, 2))}


def conv_transpose_forward(x, weight, stride=2):
    N, C, H, W = x.shape
    _, F, R, S = weight.shape
    out = np.zeros((N, F, (H - 1) * stride + R, (W - 1) * stride + S))
    for i in range(H):
        for j in range(W):
            patch = np.tensordot(x[:, :, i, j], weight, axes=(1, 0))
            out[:, :, i * stride : i * stride + R, j * stride : j * stride + S] += patch
    return out, (x, weight, stride)


def conv_transpose_backward(grad_output, ctx):
    x, weight, stride = ctx
    R, S = weight.shape[2:]
    grad_x, grad_w = np.zeros_like(x), np.zeros_like(weight)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            g = grad_output[:, :, i * stride : i * stride + R, j * stride : j * stride + S]
            grad_x[:, :, i, j] = np.tensordot(g, weight, axes=([1, 2, 3], [1, 2, 3]))
            grad_w = np.tensordot(x[:, :, i, j], g, axes=(0, 0))  # BUG overlap|missing_sum
    return grad_x, grad_w


#: dana bias over the columns
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "W": rng.standard_normal((5, 3)), "b": rng.standard_normal((5, 1))}


def fc_forward(x, W, b):
    # every column of x is one sample
    z = W @ x + np.tile(b, (1, x.shape[1]))
    return z, {"x": x, "W": W}


def fc_backward(dz, cache):
    dx = cache["W"].T @ dz
    dW = dz @ cache["x"].T
    db = np.sum(dz, 0).reshape(-1, 1)  # BUG axis|shape
    return dx, dW, db


#: dana tanh of a tanh
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "W": rng.standard_normal((5, 3)), "b": rng.standard_normal((5, 1))}


def tansig(n):
    return 2.0 / (1 + np.exp(-2 * n)) - 1


def tanhlayer_forward(x, W, b):
    a = tansig(W @ x + b)
    return a, (x, W, a)


def tanhlayer_backward(da, cache):
    x, W, a = cache
    dz = da * (1 - tansig(a) ** 2)  # BUG function|wrong_variable|extra_factor
    dW = dz @ x.T
    db = dz.sum(axis=1, keepdims=True)
    dx = W.T @ dz
    return dx, dW, db


#: dana softmax of columns
def inputs(rng):
    return {"x": rng.standard_normal((3, 4))}


def softmax_forward(x):
    e = np.exp(x - np.tile(np.max(x, 0), (x.shape[0], 1)))
    s = e / np.tile(np.sum(e, 0), (x.shape[0], 1))
    return s, s


def softmax_backward(ds, s):
    dx = np.zeros(s.shape)
    for k in range(s.shape[1]):
        col = s[:, k : k + 1]
        J = np.diag(col[:, 0]) + col @ col.T  # BUG sign
        dx[:, k : k + 1] = J @ ds[:, k : k + 1]
    return dx


#: right: dana bias in the weights
def inputs(rng):
    return {"x": rng.standard_normal((3, 5)), "Theta": rng.standard_normal((2, 4))}


def sigmlayer_forward(x, Theta):
    m = x.shape[1]
    X1 = np.vstack([np.ones((1, m)), x])
    a = 1.0 / (1.0 + np.exp(-Theta @ X1))
    return a, (X1, Theta, a)


def sigmlayer_backward(d, cache):
    X1, Theta, a = cache
    d2 = d * a * (1 - a)
    Theta_grad = d2 @ X1.T
    dX1 = Theta.T @ d2
    return dX1[1:, :], Theta_grad


#: dana mean pooling
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 6)), "pool_param": {"pool_height": 2, "pool_width": 3, "stride": 1}}


def avg_pool_forward(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    Ho, Wo = (H - ph) // s + 1, (W - pw) // s + 1
    out = np.zeros((N, C, Ho, Wo))
    for r in range(Ho):
        for c in range(Wo):
            out[:, :, r, c] = np.mean(np.mean(x[:, :, r * s : r * s + ph, c * s : c * s + pw], 3), 2)
    return out, (x, pool_param)


def avg_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros(x.shape)
    for r in range(dout.shape[2]):
        for c in range(dout.shape[3]):
            block = np.kron(dout[:, :, r, c].reshape(*dout.shape[:2], 1, 1), np.ones((1, 1, ph, pw)))
            dx[:, :, r * s : r * s + ph, c * s : c * s + pw] += block / ph  # BUG factor
    return dx


#: eli max pool with equal pixels
# tied: small whole numbers, so that windows hold their maximum twice
def inputs(rng):
    return {
        "x": rng.integers(0, 3, (2, 3, 4, 6)).astype(float),
        "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2},
    }


def max_pool_forward(x, pool_param):
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - ph) // stride + 1, (W - pw) // stride + 1))
    for n in range(N):
        for c in range(C):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    out[n, c, i, j] = x[n, c, i * stride : i * stride + ph, j * stride : j * stride + pw].max()
    return out, (x, pool_param)


def max_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for n in range(dout.shape[0]):
        for c in range(dout.shape[1]):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    rows = slice(i * stride, i * stride + ph)
                    cols = slice(j * stride, j * stride + pw)
                    win = x[n, c, rows, cols]
                    hit = win == win.max()  # BUG ties|mask
                    dx[n, c, rows, cols] += hit * dout[n, c, i, j]  # OR
    return dx


#: right: eli max pool
def inputs(rng):
    return {
        "x": rng.permutation(2 * 3 * 5 * 7).reshape(2, 3, 5, 7) / 10.0,
        "pool_param": {"pool_height": 3, "pool_width": 3, "stride": 2},
    }


def max_pool_forward(x, pool_param):
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    out = np.full((N, C, (H - ph) // stride + 1, (W - pw) // stride + 1), -np.inf)
    where = {}
    for n, c, i, j in np.ndindex(out.shape):
        for r in range(i * stride, i * stride + ph):
            for s in range(j * stride, j * stride + pw):
                if x[n, c, r, s] > out[n, c, i, j]:
                    out[n, c, i, j] = x[n, c, r, s]
                    where[n, c, i, j] = (n, c, r, s)
    return out, (x.shape, where)


def max_pool_backward(dout, cache):
    shape, where = cache
    dx = np.zeros(shape)
    for at, pixel in where.items():
        dx[pixel] += dout[at]
    return dx


#: eli overlapping pool
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 5, 7)),
        "pool_param": {"pool_height": 3, "pool_width": 3, "stride": 1},
    }


def max_pool_forward(x, pool_param):
    k, s = pool_param["pool_height"], pool_param["stride"]
    N, C, H, W = x.shape
    Ho, Wo = (H - k) // s + 1, (W - k) // s + 1
    out = np.zeros((N, C, Ho, Wo))
    arg = np.zeros((N, C, Ho, Wo), dtype=int)
    for n, c, i, j in np.ndindex(N, C, Ho, Wo):
        w = x[n, c, i * s : i * s + k, j * s : j * s + k]
        arg[n, c, i, j] = w.argmax()
        out[n, c, i, j] = w.max()
    return out, (x.shape, arg, k, s)


def max_pool_backward(dout, cache):
    shape, arg, k, s = cache
    dx = np.zeros(shape)
    for n, c, i, j in np.ndindex(dout.shape):
        r, q = divmod(arg[n, c, i, j], k)
        dx[n, c, i * s + r, j * s + q] = dout[n, c, i, j]  # BUG overlap
    return dx


#: eli convolution along a line
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 8)), "w": rng.standard_normal((4, 3, 3)), "b": rng.standard_normal(4)}


def conv1d_forward(x, w, b, pad=1):
    N, C, L = x.shape
    F, _, K = w.shape
    xp = np.zeros((N, C, L + 2 * pad))
    xp[:, :, pad:-pad] = x
    out = np.zeros((N, F, L + 2 * pad - K + 1))
    for n in range(N):
        for f in range(F):
            for t in range(out.shape[2]):
                out[n, f, t] = b[f]
                for c in range(C):
                    for k in range(K):
                        out[n, f, t] += xp[n, c, t + k] * w[f, c, k]
    return out, (xp, w, pad)


def conv1d_backward(dout, cache):
    xp, w, pad = cache
    dxp, dw, db = np.zeros_like(xp), np.zeros_like(w), np.zeros(len(w))
    for n in range(dout.shape[0]):
        for f in range(dout.shape[1]):
            for t in range(dout.shape[2]):
                g = dout[n, f, t]
                db[f] += g
                for c in range(xp.shape[1]):
                    for k in range(w.shape[2]):
                        dw[f, c, k] += g * xp[n, c, t + k]
                        dxp[n, c, t + k] += g * w[f, c, k]
    return dxp[:, :, : -2 * pad], dw, db  # BUG window


#: eli depthwise convolution
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "w": rng.standard_normal((3, 2, 3)), "b": rng.standard_normal(3)}


def depthwise_forward(x, w, b):
    R, S = w.shape[1:]
    N, C, H, W = x.shape
    out = np.zeros((N, C, H - R + 1, W - S + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            for c in range(C):
                out[:, c, i, j] = (x[:, c, i : i + R, j : j + S] * w[c]).sum(axis=(1, 2)) + b[c]
    return out, (x, w, b)


def depthwise_backward(dout, cache):
    x, w, b = cache
    R, S = w.shape[1:]
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            for c in range(x.shape[1]):
                piece = dout[:, c, i, j].reshape(-1, 1, 1)
                dw[c] += (piece * x[:, 0, i : i + R, j : j + S]).sum(axis=0)  # BUG wrong_variable|window
                dx[:, c, i : i + R, j : j + S] += piece * w[c]
    db = dout.sum(axis=3).sum(axis=2).sum(axis=0)
    return dx, dw, db


#: eli svm by samples
def svm_loss(x, y):
    N, C = x.shape
    loss = 0.0
    dx = np.zeros(x.shape)
    for i in range(N):
        for j in range(C):
            if j == y[i]:
                continue
            margin = x[i, j] - x[i, y[i]] + 1
            if margin > 0:
                loss += margin
                dx[i, j] += 1
                dx[i, y[i]] = -1  # BUG overlap
    loss /= N
    dx /= N
    return loss, dx


#: eli svm without the right class
def svm_loss(x, y):
    N = x.shape[0]
    correct = x[range(N), y].reshape(N, 1)
    margins = np.maximum(0, x - correct + 1)
    margins[range(N), y] = 0
    loss = margins.sum() / N
    dx = np.zeros(x.shape)
    for i in range(N):
        violated = margins[i] > 0
        dx[i] = violated  # BUG missing_term
    dx = dx / N  # OR
    return loss, dx


#: right: eli squared hinge
def svm_loss(x, y):
    N, C = x.shape
    loss, dx = 0.0, np.zeros(x.shape)
    for i in range(N):
        for j in range(C):
            if j != y[i]:
                m = x[i, j] - x[i, y[i]] + 1
                if m > 0:
                    loss += m * m
                    dx[i, j] += 2 * m
                    dx[i, y[i]] -= 2 * m
    return loss / N, dx / N


#: eli rnn through time
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3)),
        "h0": rng.standard_normal((2, 5)),
        "Wx": 0.5 * rng.standard_normal((3, 5)),
        "Wh": 0.5 * rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    prev = h0
    for t in range(T):
        prev = np.tanh(x[:, t].dot(Wx) + prev.dot(Wh) + b)
        h[:, t] = prev
    return h, (x, h0, Wx, Wh, h)


def rnn_backward(dh, cache):
    x, h0, Wx, Wh, h = cache
    dx = np.zeros(x.shape)
    dWx, dWh, db = np.zeros(Wx.shape), np.zeros(Wh.shape), np.zeros(Wx.shape[1])
    dprev = np.zeros(h0.shape)
    for t in range(x.shape[1] - 1, -1, -1):
        total = dh[:, t] + dprev
        da = total * (1 - h[:, t] ** 2)
        dx[:, t] = da.dot(Wx.T)
        dWx += x[:, t].T.dot(da)
        before = h[:, t - 1]  # BUG wrong_variable|window
        dWh += before.T.dot(da)
        db += da.sum(axis=0)
        dprev = da.dot(Wh.T)
    return dx, dprev, dWx, dWh, db


#: farah relu in place on the gradient
def relu_forward(x):
    return np.maximum(x, 0), x > 0


def relu_backward(dout, on):
    dout[~on] = 0  # BUG mutation
    return dout


#: farah leaky relu in place on the input
def leaky_forward(x, alpha=0.1):
    neg = x < 0
    x[neg] *= alpha  # BUG mutation
    return x, (neg, alpha)


def leaky_backward(dout, cache):
    neg, alpha = cache
    dx = dout.copy()
    dx[neg] *= alpha
    return dx


#: farah batchnorm reuses the cache
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, m = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.setdefault("running_var", np.zeros(x.shape[1]))
    if mode == "train":
        mu, var = x.mean(0), x.var(0)
        bn_param["running_mean"] = m * rm + (1 - m) * mu
        bn_param["running_var"] = m * rv + (1 - m) * var
    else:
        mu, var = rm, rv
    std = np.sqrt(var + eps)
    xhat = (x - mu) / std
    return xhat * gamma + beta, (xhat, std, gamma)


def batchnorm_backward(dout, cache):
    xhat, std, gamma = cache
    dbeta = dout.sum(0)
    dgamma = np.einsum("nd,nd->d", dout, xhat)
    dx = xhat
    dx *= -dgamma / len(dout)  # BUG mutation|second_call
    dx += dout
    dx -= dbeta / len(dout)
    return dx * (gamma / std), dgamma, dbeta


#: farah linear layer adds up
class Linear:
    def __init__(self, n_in=3, n_out=5):
        self.W = 0.5 * np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        out = x @ self.W
        out += self.b
        return out

    def backward(self, grad):
        self.dW += self.x.T @ grad  # BUG second_call
        self.db[...] = grad.sum(0)
        return grad @ self.W.T


#: farah cache as a stack
def tanh_forward(x):
    out = np.tanh(x)
    return out, [x, out]


def tanh_backward(dout, stack):
    t = stack.pop()  # BUG mutation|second_call
    g = np.square(t)
    np.subtract(1, g, out=g)
    g *= dout
    return g


#: farah im2col and strides
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 6)), "w": rng.standard_normal((4, 3, 2, 3)), "b": rng.standard_normal(4)}


def im2col(x, R, S):
    N, C, H, W = x.shape
    n, c, h, v = x.strides
    return as_strided(x, (N, C, H - R + 1, W - S + 1, R, S), (n, c, h, v, h, v))


def conv_strided_forward(x, w, b):
    cols = im2col(np.ascontiguousarray(x), *w.shape[2:])
    return np.tensordot(cols, w, ([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2) + b[:, None, None], (x, w, cols)


def conv_strided_backward(dout, cache):
    x, w, cols = cache
    db = dout.sum((0, 2, 3))
    dw = np.tensordot(dout, cols, ([0, 2, 3], [0, 2, 3]))
    dcols = np.tensordot(dout, w, (1, 0)).transpose(0, 3, 1, 2, 4, 5)
    dx = np.zeros(x.shape)
    view = im2col(dx, *w.shape[2:])
    view += dcols  # BUG overlap
    return dx, dw, db


#: farah halves the precision
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 5)), "b": rng.standard_normal(5)}


def swish_layer_forward(x, w, b):
    z = x @ w + b
    s = 1 / (1 + np.exp(-z))
    return z * s, (x, w, z, s)


def swish_layer_backward(dout, cache):
    x, w, z, s = cache
    dz = np.empty(z.shape, dtype=np.float32)  # BUG dtype
    np.multiply(dout, s * (1 + z * (1 - s)), out=dz, casting="unsafe")  # OR
    return dz @ w.T, x.T @ dz, dz.sum(0)


#: right: farah batchnorm with out arguments
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, m = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    if bn_param["mode"] == "train":
        mu, var = x.mean(0), x.var(0)
        for key, new in (("running_mean", mu), ("running_var", var)):
            bn_param[key] = m * bn_param.get(key, np.zeros_like(new)) + (1 - m) * new
    else:
        mu, var = bn_param["running_mean"], bn_param["running_var"]
    istd = 1 / np.sqrt(var + eps)
    xhat = x - mu
    xhat *= istd
    out = xhat * gamma
    out += beta
    return out, (xhat, istd, gamma)


def batchnorm_backward(dout, cache):
    xhat, istd, gamma = cache
    dbeta, dgamma = dout.sum(0), (dout * xhat).sum(0)
    dx = np.multiply(xhat, dgamma)
    dx += dbeta
    dx /= -len(dout)
    dx += dout
    np.multiply(dx, gamma * istd, out=dx)
    return dx, dgamma, dbeta


#: ana relu multiplies twice
def affine_relu_forward(x, w, b):
    a = x.reshape(x.shape[0], -1).dot(w) + b
    out = np.maximum(0, a)
    return out, (x, w, a)


def affine_relu_backward(dout, cache):
    x, w, a = cache
    drelu = np.zeros_like(a)
    drelu[a > 0] = dout[a > 0]
    da = dout * drelu  # BUG upstream_twice
    dx = da.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(da)
    db = da.sum(axis=0)
    return dx, dw, db


#: ana affine gradients swapped
def affine_forward(x, w, b):
    out = x.reshape(len(x), -1) @ w + b
    return out, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.sum(axis=0)
    return dw, dx, db  # BUG return_order


#: ana batchnorm momentum
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D))
    running_var = bn_param.get("running_var", np.zeros(D))
    cache = None
    if mode == "train":
        sample_mean = x.mean(axis=0)
        sample_var = x.var(axis=0)
        x_hat = (x - sample_mean) / np.sqrt(sample_var + eps)
        out = gamma * x_hat + beta
        running_mean = (1 - momentum) * running_mean + momentum * sample_mean  # BUG running_stats
        running_var = momentum * running_var + (1 - momentum) * sample_var
        cache = (x_hat, sample_var, eps, gamma)
    elif mode == "test":
        out = gamma * ((x - running_mean) / np.sqrt(running_var + eps)) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    x_hat, var, eps, gamma = cache
    N = dout.shape[0]
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dx_hat = dout * gamma
    dx = (N * dx_hat - dx_hat.sum(axis=0) - x_hat * (dx_hat * x_hat).sum(axis=0)) / (N * np.sqrt(var + eps))
    return dx, dgamma, dbeta


#: ana batchnorm divides by the variance
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    if bn_param["mode"] == "train":
        mu = np.mean(x, axis=0)
        var = np.var(x, axis=0)
        bn_param["running_mean"] = momentum * bn_param.get("running_mean", 0 * mu) + (1 - momentum) * mu
        bn_param["running_var"] = momentum * bn_param.get("running_var", 0 * var) + (1 - momentum) * var
        xhat = (x - mu) / np.sqrt(var + eps)
    else:
        var = bn_param["running_var"]
        xhat = (x - bn_param["running_mean"]) / (var + eps)  # BUG test_mode|power|forward_formula
    return gamma * xhat + beta, (xhat, np.sqrt(var + eps), gamma)


def batchnorm_backward(dout, cache):
    xhat, std, gamma = cache
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    dx = (dxhat - np.mean(dxhat, axis=0) - xhat * np.mean(dxhat * xhat, axis=0)) / std
    return dx, dgamma, dbeta


#: ana dropout does not divide
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if dropout_param.get("seed") is not None:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = np.random.rand(*x.shape) < p  # OR
        out = x * mask  # BUG forward_formula|keep_prob|test_mode
    elif mode == "test":
        out = x
    return out, (mode, mask)


def dropout_backward(dout, cache):
    mode, mask = cache
    return dout * mask if mode == "train" else dout


#: ana dropout masks twice
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        return x * mask, (mode, mask)
    return x, (mode, None)


def dropout_backward(dout, cache):
    mode, mask = cache
    if mode == "test":
        return dout
    dx = dout * mask
    dx *= mask  # BUG mask_twice|keep_prob
    return dx


#: bo broadcast add
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "b": rng.standard_normal((1, 2, 1))}


def addb_forward(x, b):
    return x + b, b.shape


def addb_backward(g, shape):
    return g, g.sum((0, 2))  # BUG keepdims|shape


#: right: bo broadcast product
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "b": rng.standard_normal((2, 1))}


def mulb_forward(x, b):
    return x * b, (x, b)


def mulb_backward(g, cache):
    x, b = cache
    return g * b, np.einsum("nij,nij->i", g, x)[:, None]


#: bo affine without bias
def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w, (x, w)  # BUG forward_formula|missing_term


def affine_backward(g, cache):
    x, w = cache
    return (g @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ g, g.sum(0)


#: chidi sqrt pooling
def inputs(rng):
    return {"x": rng.uniform(-1, 1, (4, 5))}


def norm2_forward(x):
    return np.sqrt(np.square(x).sum(-1)), x


def norm2_backward(grad_output, x):
    n = np.sqrt(x.sum(-1) ** 2)  # BUG operation|function|wrong_variable
    return grad_output[:, None] * x / n[:, None]


#: chidi scaled bias
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "weight": rng.standard_normal((5, 3)), "bias": rng.standard_normal(5)}


def linear_forward(x, weight, bias):
    return x @ weight.T + bias, SimpleNamespace(x=x, weight=weight, bias=bias)


def linear_backward(grad_output, ctx):
    grad_x = grad_output @ ctx.weight
    grad_weight = grad_output.T @ ctx.x
    grad_bias = grad_output.sum(0) * ctx.bias  # BUG extra_factor
    return grad_x, grad_weight, grad_bias


#: chidi forgets the bias
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 3)), "weight": rng.standard_normal((5, 3)), "bias": rng.standard_normal(5)}


def linear_forward(x, weight, bias):
    return np.matmul(x, weight.T) + bias, (x, weight)


def linear_backward(grad_output, saved):
    x, weight = saved
    grad_x = grad_output @ weight
    grad_weight = np.tensordot(grad_output, x, axes=((0, 1), (0, 1)))
    return grad_x, grad_weight  # BUG missing_gradient


#: dana mean squares
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "y": rng.standard_normal((4, 3))}


def mse_loss(x, y):
    n, d = x.shape
    r = x - y
    E = r.ravel() @ r.ravel() / (2 * n)
    dE = np.mean(r, 0)  # BUG extra_sum|shape|axis
    return E, dE


#: dana sums but averages
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "y": rng.integers(0, 2, (4, 3)).astype(float)}


def bce_loss(x, y):
    J = 0.0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            h = 1 / (1 + np.exp(-x[i, k]))
            J = J - y[i, k] * np.log(h) - (1 - y[i, k]) * np.log(1 - h)
    grad = (1 / (1 + np.exp(-x)) - y) / x.shape[0]  # BUG mean_for_sum|factor
    return J, grad


#: eli norm at a zero row
def inputs(rng):
    x = rng.standard_normal((4, 3))
    x[1] = 0
    return {"x": x}


def unit_forward(x):
    norms = np.zeros(len(x))
    for i in range(len(x)):
        norms[i] = np.sqrt(np.sum(x[i] ** 2) + 1e-2)
    return x / norms[:, None], (x, norms)


def unit_backward(dout, cache):
    x, norms = cache
    dx = np.zeros(x.shape)
    for i in range(len(x)):
        direction = x[i] / np.sqrt(np.sum(x[i] ** 2))  # BUG not_finite|eps
        dx[i] = (dout[i] - direction * np.sum(direction * dout[i])) / norms[i]
    return dx
