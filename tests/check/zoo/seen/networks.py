"""Images, sequences and whole models, as ten learners would write them."""
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view


#: conv_four_loops_assigns
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 6)), "w": rng.standard_normal((4, 3, 5, 2)),
            "b": rng.standard_normal(4), "conv_param": {"stride": 1, "pad": 1}}


def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    H_out = 1 + (H + 2 * pad - HH) // stride
    W_out = 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, F, H_out, W_out))
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    window = x_pad[n, :, i * stride:i * stride + HH, j * stride:j * stride + WW]
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    cache = (x, w, b, conv_param)
    return out, cache


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    _, _, H_out, W_out = dout.shape
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            db[f] += np.sum(dout[n, f])
            for i in range(H_out):
                for j in range(W_out):
                    top, left = i * stride, j * stride
                    dw[f] += x_pad[n, :, top:top + HH, left:left + WW] * dout[n, f, i, j]
                    dx_pad[n, :, top:top + HH, left:left + WW] = w[f] * dout[n, f, i, j]  # BUG overlap
    dx = dx_pad[:, :, pad:pad + H, pad:pad + W]
    return dx, dw, db


#: conv_im2col_sample_order
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 7)), "w": rng.standard_normal((5, 3, 2, 4)),
            "b": rng.standard_normal(5), "conv_param": {"stride": 2, "pad": 1}}


def indices(C, HH, WW, OH, OW, s):
    i0 = np.tile(np.repeat(np.arange(HH), WW), C)
    j0 = np.tile(np.arange(WW), HH * C)
    i1 = s * np.repeat(np.arange(OH), OW)
    j1 = s * np.tile(np.arange(OW), OH)
    k = np.repeat(np.arange(C), HH * WW).reshape(-1, 1)
    return k, i0.reshape(-1, 1) + i1.reshape(1, -1), j0.reshape(-1, 1) + j1.reshape(1, -1)


def conv_forward_im2col(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    OH, OW = (H + 2 * p - HH) // s + 1, (W + 2 * p - WW) // s + 1
    k, i, j = indices(C, HH, WW, OH, OW, s)
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    cols = xp[:, k, i, j].transpose(1, 2, 0).reshape(C * HH * WW, -1)
    out = w.reshape(F, -1).dot(cols) + b.reshape(-1, 1)
    out = out.reshape(F, OH, OW, N).transpose(3, 0, 1, 2)
    return out, (x, w, b, conv_param, cols)


def conv_backward_im2col(dout, cache):
    x, w, b, conv_param, cols = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    OH, OW = dout.shape[2:]
    db = np.sum(dout, axis=(0, 2, 3))
    dout_mat = dout.transpose(1, 0, 2, 3).reshape(F, -1)  # BUG transposed
    dw = dout_mat.dot(cols.T).reshape(w.shape)
    dcols = w.reshape(F, -1).T.dot(dout_mat)
    k, i, j = indices(C, HH, WW, OH, OW, s)
    dxp = np.zeros((N, C, H + 2 * p, W + 2 * p))
    np.add.at(dxp, (slice(None), k, i, j), dcols.reshape(C * HH * WW, -1, N).transpose(2, 0, 1))
    return dxp[:, :, p:p + H, p:p + W], dw, db


#: conv_einsum_bias
def inputs(rng):
    return {"images": rng.normal(size=(3, 2, 5, 7)), "filters": rng.normal(size=(6, 2, 4, 3)),
            "bias": rng.normal(size=6)}


def conv2d_forward(images, filters, bias):
    patches = sliding_window_view(images, filters.shape[2:], axis=(2, 3))
    return np.einsum("ncijrs,fcrs->nfij", patches, filters) + bias[None, :, None, None], (patches, filters)


def conv2d_backward(dout, cache):
    patches, filters = cache
    n, c, oh, ow, r, s = patches.shape
    dfilters = np.einsum("nfij,ncijrs->fcrs", dout, patches)
    dbias = np.einsum("nfij->", dout)  # BUG extra_sum|axis
    dimages = np.zeros((n, c, oh + r - 1, ow + s - 1))
    for a in range(r):
        for d in range(s):
            dimages[:, :, a:a + oh, d:d + ow] += np.einsum("nfij,fc->ncij", dout, filters[:, :, a, d])
    return dimages, dfilters, dbias


#: depthwise_conv_forgets_stride
def inputs(rng):
    return {"x": rng.standard_normal((4, 3, 6, 10)), "kernels": rng.standard_normal((3, 4, 2))}


Saved = namedtuple("Saved", "x kernels stride")


def depthwise_conv_forward(x, kernels, stride=2):
    """One kernel for each channel, no padding, no bias."""
    n, channels, height, width = x.shape
    _, kh, kw = kernels.shape
    rows = (height - kh) // stride + 1
    columns = (width - kw) // stride + 1
    result = np.empty((n, channels, rows, columns))
    for row in range(rows):
        for column in range(columns):
            y0, x0 = row * stride, column * stride
            patch = x[:, :, y0:y0 + kh, x0:x0 + kw]
            result[:, :, row, column] = (patch * kernels).sum(axis=(2, 3))
    return result, Saved(x, kernels, stride)


def depthwise_conv_backward(grad_result, saved):
    x, kernels, stride = saved.x, saved.kernels, saved.stride
    _, kh, kw = kernels.shape
    rows, columns = grad_result.shape[2:]
    grad_x = np.zeros(x.shape)
    grad_kernels = np.zeros(kernels.shape)
    for row in range(rows):
        for column in range(columns):
            g = grad_result[:, :, row, column][:, :, None, None]
            y0, x0 = row * stride, column * stride
            grad_x[:, :, y0:y0 + kh, x0:x0 + kw] += g * kernels
            patch = x[:, :, row:row + kh, column:column + kw]  # BUG window
            grad_kernels += (g * patch).sum(axis=0)
    return grad_x, grad_kernels


#: grouped_conv_first_group
def inputs(rng):
    return {"x": rng.standard_normal((2, 6, 4, 7)), "w": rng.standard_normal((8, 3, 2, 4)), "b": rng.standard_normal(8)}


def group_conv_forward(x, w, b, groups=2, pad=1):
    F, cg, R, S = w.shape
    fg = F // groups
    xp = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    win = sliding_window_view(xp, (R, S), (2, 3))
    parts = []
    for g in range(groups):
        wg = w[g * fg:(g + 1) * fg]
        parts.append(np.tensordot(win[:, g * cg:(g + 1) * cg], wg, axes=([1, 4, 5], [1, 2, 3])))
    out = np.concatenate(parts, axis=-1).transpose(0, 3, 1, 2) + b.reshape(1, F, 1, 1)
    return out, {"x": x, "w": w, "win": win, "groups": groups, "pad": pad}


def group_conv_backward(dout, cache):
    x, w, win, pad = cache["x"], cache["w"], cache["win"], cache["pad"]
    F, cg, R, S = w.shape
    fg = F // cache["groups"]
    N, C, H, W = x.shape
    OH, OW = dout.shape[-2:]
    db = dout.sum((0, 2, 3))
    dw = np.empty_like(w)
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad))
    for g in range(cache["groups"]):
        filters, chans = slice(g * fg, (g + 1) * fg), slice(g * cg, (g + 1) * cg)
        d = dout[:, filters]
        dw[filters] = np.tensordot(d, win[:, chans], axes=([0, 2, 3], [0, 2, 3]))
        wg = w[:fg]  # BUG wrong_variable|window
        for r in range(R):
            for s in range(S):
                dxp[:, chans, r:r + OH, s:s + OW] += np.einsum("nfij,fc->ncij", d, wg[:, :, r, s])
    return dxp[:, :, pad:pad + H, pad:pad + W], dw, db


#: conv1d_signal_toolbox
def inputs(rng):
    return {"x": rng.standard_normal((3, 2, 8)), "w": rng.standard_normal((4, 2, 3)), "b": rng.standard_normal(4)}


def conv1d_forward(x, w, b):
    N, L, F, K = x.shape[0], x.shape[2], w.shape[0], w.shape[2]
    y = np.zeros((N, F, L - K + 1))
    for n in range(N):
        for f in range(F):
            y[n, f] = sum(np.correlate(x[n, c], w[f, c], "valid") for c in range(x.shape[1])) + b[f]
    return y, (x, w)


def conv1d_backward(dy, cache):
    x, w = cache
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), dy.sum(axis=0).sum(axis=1)
    for n in range(len(x)):
        for f in range(len(w)):
            for c in range(x.shape[1]):
                dw[f, c] += np.correlate(x[n, c], dy[n, f], "valid")
                dx[n, c] += np.correlate(dy[n, f], w[f, c], "full")  # BUG operation|transposed
    return dx, dw, db


#: max_pool_mask_of_equals
def inputs(rng):
    return {"x": rng.integers(0, 3, (2, 3, 8, 10)).astype(float),
            "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2}}


def max_pool_forward(x, pool_param):
    ph, pw = pool_param["pool_height"], pool_param["pool_width"]
    N, C, H, W = x.shape
    tiles = x.reshape(N, C, H // ph, ph, W // pw, pw)
    out = tiles.max(axis=3).max(axis=4)
    return out, (x, tiles, out)


def max_pool_backward(dout, cache):
    x, tiles, out = cache
    is_max = tiles == out[:, :, :, None, :, None]  # BUG ties
    dtiles = is_max * dout[:, :, :, None, :, None]  # OR
    return dtiles.reshape(x.shape)


#: max_pool_row_and_column
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 6, 8)), "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2}}


def max_pool_forward_naive(x, pool_param):
    HH, WW, S = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - HH) // S + 1, (W - WW) // S + 1))
    for n in range(N):
        for c in range(C):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    out[n, c, i, j] = np.max(x[n, c, i*S:i*S+HH, j*S:j*S+WW])
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    HH, WW, S = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, OH, OW = dout.shape
    dx = np.zeros(x.shape)
    for n in range(N):
        for c in range(C):
            for i in range(OH):
                for j in range(OW):
                    patch = x[n, c, i*S:i*S+HH, j*S:j*S+WW]
                    where = np.argmax(patch)
                    v, u = np.unravel_index(where, patch.shape)  # BUG argmax|transposed
                    dx[n, c, i*S+u, j*S+v] += dout[n, c, i, j]
    return dx


#: avg_pool_one_side
def inputs(rng):
    return {"a": rng.uniform(-2, 2, (2, 6, 7, 3))}


def average_pool_forward(a, k=3, step=1):
    """Channels last."""
    m, _, h, w = a.shape[0], a.shape[3], a.shape[1], a.shape[2]
    rows = 1 + (h - k) // step; cols = 1 + (w - k) // step
    z = np.zeros((m, rows, cols, a.shape[3]))
    for r in range(rows):
        for c in range(cols):
            z[:, r, c, :] = np.mean(a[:, r*step:r*step+k, c*step:c*step+k, :], axis=(1, 2))
    return z, (a.shape, k, step)


def average_pool_backward(dz, cache):
    shape, k, step = cache
    da = np.zeros(shape)
    for r in range(dz.shape[1]):
        for c in range(dz.shape[2]):
            share = dz[:, r, c, :] / k  # BUG factor
            da[:, r*step:r*step+k, c*step:c*step+k, :] += share[:, None, None, :]
    return da


#: global_avg_pool_oneliners
def inputs(rng):
    return {"feat": rng.standard_normal((3, 4, 2, 5))}


def global_avg_pool_forward(feat):
    return feat.mean((2, 3)), feat.shape


def global_avg_pool_backward(g, shape):
    return np.broadcast_to(g[..., None, None], shape).copy()  # BUG sum_for_mean|factor


#: spatial_batchnorm_straight_through_scale
def inputs(rng):
    return {"x": 2 * rng.standard_normal((3, 2, 4, 5)) + 1, "gamma": 1 + rng.uniform(0, 1, 2),
            "beta": rng.standard_normal(2), "bn_param": {"mode": "train"}}


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    eps, mom = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    C = x.shape[1]
    bn_param.setdefault("running_mean", np.zeros(C))
    bn_param.setdefault("running_var", np.zeros(C))
    chan = lambda v: v.reshape(1, C, 1, 1)
    if bn_param["mode"] == "test":
        xhat = (x - chan(bn_param["running_mean"])) / np.sqrt(chan(bn_param["running_var"]) + eps)
        return chan(gamma) * xhat + chan(beta), None
    mu, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    bn_param["running_mean"] = mom * bn_param["running_mean"] + (1 - mom) * mu
    bn_param["running_var"] = mom * bn_param["running_var"] + (1 - mom) * var
    istd = 1 / np.sqrt(chan(var) + eps)
    xhat = (x - chan(mu)) * istd
    return chan(gamma) * xhat + chan(beta), (xhat, istd, gamma)


def spatial_batchnorm_backward(dout, cache):
    xhat, istd, gamma = cache
    ax = (0, 2, 3)
    dbeta = dout.sum(ax)
    dgamma = (dout * xhat).sum(ax)
    dxhat = dout  # BUG gamma_missing
    mean_d = dxhat.mean(ax, keepdims=True)
    mean_dx = (dxhat * xhat).mean(ax, keepdims=True)
    return istd * (dxhat - mean_d - xhat * mean_dx), dgamma, dbeta


#: spatial_batchnorm_momentum
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 3, 5)), "gamma": rng.standard_normal(4), "beta": rng.standard_normal(4),
            "bn_param": {"mode": "train"}}


def batchnorm_rows(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        z = (x - running_mean) / np.sqrt(running_var + eps)
        return z * gamma + beta, None
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    std = np.sqrt(var + eps)
    z = (x - mean) / std
    bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mean
    bn_param["running_var"] = momentum * var + (1 - momentum) * running_var  # BUG running_stats
    return z * gamma + beta, (z, std, gamma)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = batchnorm_rows(np.moveaxis(x, 1, -1).reshape(-1, C), gamma, beta, bn_param)
    return np.moveaxis(out.reshape(N, H, W, C), -1, 1), cache


def spatial_batchnorm_backward(dout, cache):
    z, std, gamma = cache
    N, C, H, W = dout.shape
    d = np.moveaxis(dout, 1, -1).reshape(-1, C)
    dbeta = d.sum(axis=0)
    dgamma = (d * z).sum(axis=0)
    M = N * H * W
    dx = gamma / (M * std) * (M * d - dbeta - z * dgamma)
    return np.moveaxis(dx.reshape(N, H, W, C), -1, 1), dgamma, dbeta


#: spatial_batchnorm_at_test
def inputs(rng):
    return {"x": 3 * rng.standard_normal((4, 3, 2, 5)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3),
            "bn_param": {"mode": "train"}}


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, C, H, W = x.shape
    rm = bn_param.get("running_mean", np.zeros(C, dtype=x.dtype))
    rv = bn_param.get("running_var", np.zeros(C, dtype=x.dtype))
    G = gamma[np.newaxis, :, np.newaxis, np.newaxis]
    B = beta[np.newaxis, :, np.newaxis, np.newaxis]
    cache = None
    if mode == "train":
        sample_mean = np.mean(x, axis=(0, 2, 3), keepdims=True)
        centred = x - sample_mean
        sample_var = np.mean(centred ** 2, axis=(0, 2, 3), keepdims=True)
        std = np.sqrt(sample_var + eps)
        x_norm = centred / std
        out = G * x_norm + B
        rm = momentum * rm + (1 - momentum) * sample_mean.ravel()
        rv = momentum * rv + (1 - momentum) * sample_var.ravel()
        cache = (G, centred, std, x_norm)
    else:
        x_norm = (x - rm[:, None, None]) / (rv[:, None, None] + eps)  # BUG test_mode|power
        out = G * x_norm + B
    bn_param["running_mean"] = rm
    bn_param["running_var"] = rv
    return out, cache


def spatial_batchnorm_backward(dout, cache):
    G, centred, std, x_norm = cache
    N, C, H, W = dout.shape
    m = N * H * W
    axes = (0, 2, 3)
    dgamma = np.sum(dout * x_norm, axis=axes)
    dbeta = np.sum(dout, axis=axes)
    dx_norm = dout * G
    dvar = np.sum(dx_norm * centred, axis=axes, keepdims=True) * -0.5 * std ** -3
    dmean = -np.sum(dx_norm / std, axis=axes, keepdims=True)
    dx = dx_norm / std + dvar * 2 * centred / m + dmean / m
    return dx, dgamma, dbeta


#: spatial_groupnorm_eps_outside
def inputs(rng):
    return {"x": rng.standard_normal((2, 6, 3, 4)), "gamma": rng.standard_normal((1, 6, 1, 1)),
            "beta": rng.standard_normal((1, 6, 1, 1)), "G": 2, "gn_param": {"eps": 0.03}}


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    xg = x.reshape(N, G, -1)
    mu = xg.mean(axis=2, keepdims=True)
    var = xg.var(axis=2, keepdims=True)
    xhat = ((xg - mu) / np.sqrt(var + eps)).reshape(x.shape)
    return gamma * xhat + beta, (xhat, var, gamma, G, eps)


def spatial_groupnorm_backward(dout, cache):
    xhat, var, gamma, G, eps = cache
    N = dout.shape[0]
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    d = (dout * gamma).reshape(N, G, -1)
    h = xhat.reshape(N, G, -1)
    scale = 1 / (np.sqrt(var) + eps)  # BUG eps
    dx = scale * (d - d.mean(axis=2, keepdims=True) - h * (d * h).mean(axis=2, keepdims=True))
    return dx.reshape(dout.shape), dgamma, dbeta


#: spatial_groupnorm_graph_steps
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 5)), "gamma": rng.standard_normal((1, 4, 1, 1)),
            "beta": rng.standard_normal((1, 4, 1, 1)), "G": 2, "gn_param": {}}


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    eps = gn_param.get("eps", 1e-5)
    # step 1: groups to the front, everything else into one row
    rows = x.reshape(N * G, C // G * H * W).T
    # step 2: centre
    mu = np.mean(rows, axis=0)
    centred = rows - mu
    # step 3: variance and its square root
    var = np.mean(centred ** 2, axis=0)
    root = np.sqrt(var + eps)
    # step 4: normalise, reshape, scale and shift
    normed = centred / root
    xn = normed.T.reshape(N, C, H, W)
    out = xn * gamma + beta
    cache = dict(xn=xn, centred=centred, root=root, gamma=gamma, G=G)
    return out, cache


def spatial_groupnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    G, centred, root = cache["G"], cache["centred"], cache["root"]
    # step 4
    dbeta = dout.sum(axis=(0, 2, 3)).reshape(1, C, 1, 1)
    dgamma = (dout * cache["xn"]).sum(axis=(0, 2, 3)).reshape(1, C, 1, 1)
    dnormed = (dout * cache["gamma"]).reshape(N * G, C // G * H * W).T
    m = dnormed.shape[0]
    # step 3
    droot = -np.sum(dnormed * centred, axis=0) / root  # BUG power|missing_factor
    dvar = 0.5 * droot / root
    # step 2
    dcentred = dnormed / root + 2.0 / m * centred * dvar
    dmu = -np.sum(dcentred, axis=0)
    drows = dcentred + dmu / m
    # step 1
    return drows.T.reshape(N, C, H, W), dgamma, dbeta


#: upsample_nearest_subsamples
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def upsample_forward(x, scale=2):
    return np.repeat(np.repeat(x, scale, axis=2), scale, axis=3), scale


def upsample_backward(grad_output, scale):
    return grad_output[:, :, ::scale, ::scale].copy()  # BUG missing_sum|window


#: two_layer_net_decay_by_hand
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.2):
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
        N = X.shape[0]
        h = np.maximum(0, X @ W1 + b1)
        s = h @ W2 + b2
        if y is None:
            return s
        s = s - s.max(axis=1, keepdims=True)
        P = np.exp(s)
        P /= P.sum(axis=1, keepdims=True)
        loss = -np.log(P[np.arange(N), y]).mean() + self.reg * ((W1 ** 2).sum() + (W2 ** 2).sum())
        ds = P.copy()
        ds[np.arange(N), y] -= 1
        ds /= N
        dW2 = h.T @ ds + 2 * self.reg * W2
        db2 = ds.sum(axis=0)
        dh = ds @ W2.T
        dh[h <= 0] = 0
        dW1 = X.T @ dh + self.reg * W1  # BUG regularisation|factor
        db1 = dh.sum(axis=0)
        return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


#: deep_net_dropout_scale
def softmax_loss(x, y):
    shifted = x - x.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    N = x.shape[0]
    dx = np.exp(logp)
    dx[np.arange(N), y] -= 1
    return -logp[np.arange(N), y].sum() / N, dx / N


class FullyConnectedNet(object):
    def __init__(self, hidden_dims=(5, 4), input_dim=7, num_classes=3, dropout_keep_ratio=0.7, reg=0.0,
                 weight_scale=0.6, seed=11):
        self.keep, self.reg, self.seed = dropout_keep_ratio, reg, seed
        dims = [input_dim] + list(hidden_dims) + [num_classes]
        self.L = len(dims) - 1
        self.params = {}
        rs = np.random.RandomState(3)
        for i in range(self.L):
            self.params["W%d" % (i + 1)] = weight_scale * rs.randn(dims[i], dims[i + 1])
            self.params["b%d" % (i + 1)] = 0.1 * rs.randn(dims[i + 1])

    def loss(self, X, y=None):
        p, rs, memory, a = self.params, np.random.RandomState(self.seed), [], X.reshape(len(X), -1)
        for i in range(1, self.L):
            z = a.dot(p["W%d" % i]) + p["b%d" % i]
            kept = np.ones(z.shape) if y is None else (rs.rand(*z.shape) < self.keep)
            memory.append((a, z, kept))
            a = np.maximum(z, 0) * kept
            if y is not None:
                a = a / self.keep
        scores = a.dot(p["W%d" % self.L]) + p["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: a.T.dot(d), "b%d" % self.L: d.sum(0)}
        d = d.dot(p["W%d" % self.L].T)
        for i in range(self.L - 1, 0, -1):
            a, z, kept = memory.pop()
            d = d * kept  # BUG keep_prob
            d = d * (z > 0)
            grads["W%d" % i], grads["b%d" % i] = a.T.dot(d), d.sum(0)
            d = d.dot(p["W%d" % i].T)
        for i in range(1, self.L + 1):
            loss += 0.5 * self.reg * np.sum(p["W%d" % i] ** 2)
            grads["W%d" % i] = grads["W%d" % i] + self.reg * p["W%d" % i]
        return loss, grads


#: three_layer_convnet_no_relu_gradient
def conv_f(x, w, b):
    p = (w.shape[2] - 1) // 2
    win = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))), w.shape[2:], (2, 3))
    return np.einsum("nchwij,fcij->nfhw", win, w, optimize=True) + b[:, None, None], (win, w)


def conv_b(d, cache):  # the gradient of the pixels is never asked for: it is the first layer
    win, w = cache
    return np.einsum("nchwij,nfhw->fcij", win, d, optimize=True), d.sum((0, 2, 3))


def pool_f(x):
    n, c, h, w = x.shape
    t = x.reshape(n, c, h // 2, 2, w // 2, 2).swapaxes(3, 4).reshape(n, c, h // 2, w // 2, 4)
    k = t.argmax(-1)
    return np.take_along_axis(t, k[..., None], -1)[..., 0], (x.shape, k)


def pool_b(d, cache):
    (n, c, h, w), k = cache
    t = np.zeros(d.shape + (4,))
    np.put_along_axis(t, k[..., None], d[..., None], -1)
    return t.reshape(n, c, h // 2, w // 2, 2, 2).swapaxes(3, 4).reshape(n, c, h, w)


class ThreeLayerConvNet:
    def __init__(self, input_dim=(2, 4, 6), num_filters=3, filter_size=3, hidden_dim=5, num_classes=4,
                 weight_scale=0.3, reg=0.1):
        C, H, W = input_dim
        g = np.random.default_rng(1)
        self.reg = reg
        self.params = dict(
            W1=weight_scale * g.standard_normal((num_filters, C, filter_size, filter_size)),
            b1=np.zeros(num_filters),
            W2=weight_scale * g.standard_normal((num_filters * (H // 2) * (W // 2), hidden_dim)),
            b2=np.zeros(hidden_dim),
            W3=weight_scale * g.standard_normal((hidden_dim, num_classes)), b3=np.zeros(num_classes))

    def loss(self, X, y=None):
        W1, b1, W2, b2, W3, b3 = [self.params[k] for k in "W1 b1 W2 b2 W3 b3".split()]
        c, cache1 = conv_f(X, W1, b1)
        r = np.maximum(c, 0)
        q, cache2 = pool_f(r)
        flat = q.reshape(len(q), -1)
        z = flat @ W2 + b2
        h = np.maximum(z, 0)
        s = h @ W3 + b3
        if y is None:
            return s
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        rows = np.arange(len(y))
        loss = -np.log(p[rows, y]).mean()
        loss += 0.5 * self.reg * sum(np.sum(self.params[k] ** 2) for k in ("W1", "W2", "W3"))
        ds = (p - np.eye(s.shape[1])[y]) / len(y)
        grads = {"W3": h.T @ ds + self.reg * W3, "b3": ds.sum(0)}
        dz = (ds @ W3.T) * (z > 0)
        grads["W2"], grads["b2"] = flat.T @ dz + self.reg * W2, dz.sum(0)
        dr = pool_b((dz @ W2.T).reshape(q.shape), cache2)
        dc = dr  # BUG mask_missing
        dW1, grads["b1"] = conv_b(dc, cache1)
        grads["W1"] = dW1 + self.reg * W1
        return loss, grads


#: small_convnet_bias_forgotten
class ConvNet:
    """conv 3x3 - tanh - global average pool - softmax, in plain loops"""

    def __init__(self, input_dim=(2, 5, 4), num_filters=4, num_classes=3, weight_scale=0.4, reg=0.05):
        self.reg = reg
        self.params = {}
        self.params["W1"] = np.random.normal(0, weight_scale, (num_filters, input_dim[0], 3, 3))
        self.params["b1"] = np.random.normal(0, weight_scale, num_filters)
        self.params["W2"] = np.random.normal(0, weight_scale, (num_filters, num_classes))
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        W1, b1, W2, b2 = self.params["W1"], self.params["b1"], self.params["W2"], self.params["b2"]
        N, C, H, W = X.shape
        F = W1.shape[0]
        a = np.zeros((N, F, H - 2, W - 2))
        for i in range(H - 2):
            for j in range(W - 2):
                a[:, :, i, j] = np.tensordot(X[:, :, i:i + 3, j:j + 3], W1, ([1, 2, 3], [1, 2, 3])) + b1
        h = np.tanh(a)
        pooled = h.mean(axis=(2, 3))
        scores = pooled.dot(W2) + b2
        if y is None:
            return scores
        exps = np.exp(scores - np.max(scores))
        probs = exps / np.sum(exps, axis=1, keepdims=True)
        loss = -np.mean(np.log(probs[range(N), y])) + self.reg * np.sum(W1 * W1) + self.reg * np.sum(W2 * W2)

        probs[range(N), y] -= 1
        dscores = probs / N
        grads = {}  # OR
        grads["W2"] = pooled.T.dot(dscores) + 2 * self.reg * W2
        grads["b2"] = dscores.sum(axis=0)
        dpooled = dscores.dot(W2.T)
        dh = np.ones_like(h) * dpooled[:, :, None, None] / ((H - 2) * (W - 2))
        da = dh * (1 - h * h)
        dW1 = np.zeros_like(W1)
        for i in range(H - 2):
            for j in range(W - 2):
                dW1 += np.tensordot(da[:, :, i, j], X[:, :, i:i + 3, j:j + 3], ([0], [0]))
        grads["W1"] = dW1 + 2 * self.reg * W1  # OR
        return loss, grads  # BUG missing_gradient


#: residual_net_skip_lost
class ResidualNet:
    def __init__(self, input_dim=5, num_blocks=2, num_classes=3, weight_scale=0.5, reg=0.0):
        rng = np.random.default_rng(4)
        self.num_blocks, self.reg, self.params = num_blocks, reg, {}
        for k in range(num_blocks):
            self.params[f"U{k}"] = weight_scale * rng.standard_normal((input_dim, input_dim))
            self.params[f"c{k}"] = weight_scale * rng.standard_normal(input_dim)
        self.params["V"] = weight_scale * rng.standard_normal((input_dim, num_classes))

    def loss(self, X, y=None):
        P = self.params
        acts = [X]
        branches = []
        for k in range(self.num_blocks):
            branches.append(np.tanh(acts[-1] @ P[f"U{k}"] + P[f"c{k}"]))
            acts.append(acts[-1] + branches[-1])
        scores = acts[-1] @ P["V"]
        if y is None:
            return scores
        m = scores.max(1, keepdims=True)
        lse = m + np.log(np.exp(scores - m).sum(1, keepdims=True))
        rows = np.arange(X.shape[0])
        decay = 0.5 * self.reg * sum((p * p).sum() for p in P.values() if p.ndim == 2)
        loss = np.mean(lse[:, 0] - scores[rows, y]) + decay
        d = np.exp(scores - lse)
        d[rows, y] -= 1
        d /= X.shape[0]
        grads = {"V": acts[-1].T @ d + self.reg * P["V"]}
        d = d @ P["V"].T
        for k in reversed(range(self.num_blocks)):
            dpre = d * (1 - branches[k] ** 2)
            grads[f"U{k}"] = acts[k].T @ dpre + self.reg * P[f"U{k}"]
            grads[f"c{k}"] = dpre.sum(0)
            d = dpre @ P[f"U{k}"].T  # BUG missing_term
        return loss, grads


#: logistic_regression_from_octave
def inputs(rng):
    return {"X": rng.standard_normal((7, 4)), "y": rng.integers(0, 2, 7)}


class LogisticRegression:
    def __init__(self, input_dim=4, reg=0.3, weight_scale=0.8):
        self.lam = reg;
        self.params = {'theta': weight_scale * np.random.randn(input_dim, 1), 'theta0': np.zeros((1,))};

    def loss(self, X, y=None):
        theta = self.params['theta']; theta0 = self.params['theta0'];
        m = X.shape[0];
        z = np.dot(X, theta) + theta0;
        h = 1.0 / (1.0 + np.exp(-z));
        if y is None:
            return h;
        t = np.reshape(y, (m, 1));
        J = -(1.0 / m) * np.sum(t * np.log(h) + (1 - t) * np.log(1 - h));
        J = J + self.lam / (2.0 * m) * np.sum(np.power(theta, 2));
        delta = (h - t) * h * (1 - h);  # BUG extra_factor
        grad = (1.0 / m) * np.dot(X.T, delta) + self.lam / m * theta;
        grad0 = (1.0 / m) * np.sum(delta, axis=0);
        return J, {'theta': grad, 'theta0': grad0};


#: masked_mean_of_empty_sequence
def inputs(rng):
    return {"tokens": rng.standard_normal((4, 5, 3)), "lengths": np.array([5, 0, 2, 3])}


def masked_mean_forward(tokens, lengths):
    """Mean over the first lengths[n] steps; an empty sequence gives zeros."""
    present = np.arange(tokens.shape[1])[None, :] < lengths[:, None]
    total = np.einsum("ntd,nt->nd", tokens, present.astype(float))
    mean = total / np.maximum(lengths, 1)[:, None]
    return mean, (present, lengths)


def masked_mean_backward(dmean, cache):
    present, lengths = cache
    dtotal = dmean / lengths[:, None]  # BUG not_finite
    return dtotal[:, None, :] * present[:, :, None]


#: lstm_step_candidate_slope
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "prev_h": rng.standard_normal((3, 2)),
            "prev_c": rng.standard_normal((3, 2)), "Wx": rng.standard_normal((4, 8)), "Wh": rng.standard_normal((2, 8)),
            "b": rng.standard_normal(8)}


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o, g = sigmoid(ai), sigmoid(af), sigmoid(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    cache = (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)
    return next_h, next_c, cache


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    tc = np.tanh(next_c)
    dc = dnext_c + dnext_h * o * (1 - tc ** 2)
    dprev_c = dc * f
    dai = dc * g * i * (1 - i)
    daf = dc * prev_c * f * (1 - f)
    dao = dnext_h * tc * o * (1 - o)
    dag = dc * i * g * (1 - g)  # BUG function
    da = np.hstack((dai, daf, dao, dag))
    dx = da.dot(Wx.T)
    dprev_h = da.dot(Wh.T)
    dWx = x.T.dot(da)
    dWh = prev_h.T.dot(da)
    db = da.sum(axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


#: lstm_step_cell_upstream
def inputs(rng):
    return {"inp": rng.standard_normal((2, 3)), "h": rng.standard_normal((2, 4)), "c": rng.standard_normal((2, 4)),
            "W": rng.standard_normal((7, 16)), "bias": rng.standard_normal(16)}


def lstm_cell_forward(inp, h, c, W, bias):
    sig = lambda t: 1 / (1 + np.exp(-t))
    H = h.shape[1]
    joined = np.concatenate([inp, h], axis=1)
    pre = joined @ W + bias
    gates = sig(pre[:, :3 * H])
    i, f, o = gates[:, :H], gates[:, H:2 * H], gates[:, 2 * H:]
    u = np.tanh(pre[:, 3 * H:])
    c_new = i * u + f * c
    th = np.tanh(c_new)
    return o * th, c_new, SimpleNamespace(joined=joined, W=W, i=i, f=f, o=o, u=u, c=c, th=th, D=inp.shape[1])


def lstm_cell_backward(dh_new, dc_new, S):
    do = dh_new * S.th
    dc = dh_new * S.o * (1 - S.th * S.th)  # BUG upstream_missing|missing_term
    dpre = np.concatenate([dc * S.u * S.i * (1 - S.i), dc * S.c * S.f * (1 - S.f), do * S.o * (1 - S.o),
                           dc * S.i * (1 - S.u * S.u)], axis=1)
    djoined = dpre @ S.W.T
    return djoined[:, :S.D], djoined[:, S.D:], dc * S.f, S.joined.T @ dpre, dpre.sum(0)


#: gru_step_update_gate
def inputs(rng):
    r = rng.standard_normal
    return {"x": r((3, 2)), "h": r((3, 4)), "Wz": r((6, 4)), "Wr": r((6, 4)), "Wn": r((6, 4))}


def gru_step_forward(x, h, Wz, Wr, Wn):
    """z, r: gates; n: candidate; h' = (1 - z) n + z h"""
    xh = np.hstack([x, h])
    z = 1. / (1. + np.exp(-xh.dot(Wz)))
    r = 1. / (1. + np.exp(-xh.dot(Wr)))
    xrh = np.hstack([x, r * h])
    n = np.tanh(xrh.dot(Wn))
    out = (1 - z) * n + z * h
    return out, (x, h, Wz, Wr, Wn, xh, xrh, z, r, n)


def gru_step_backward(dout, cache):
    x, h, Wz, Wr, Wn, xh, xrh, z, r, n = cache
    D = x.shape[1]
    dn = dout * (1 - z)
    dz = dout * (n - h)  # BUG sign
    dh = dout * z
    dan = dn * (1 - n ** 2)
    dWn = xrh.T.dot(dan)
    dxrh = dan.dot(Wn.T)
    dx = dxrh[:, :D].copy()
    drh = dxrh[:, D:]
    dr = drh * h
    dh = dh + drh * r
    daz = dz * z * (1 - z)
    dar = dr * r * (1 - r)
    dWz = xh.T.dot(daz)
    dWr = xh.T.dot(dar)
    dxh = daz.dot(Wz.T) + dar.dot(Wr.T)
    dx += dxh[:, :D]
    dh += dxh[:, D:]
    return dx, dh, dWz, dWr, dWn


#: rnn_step_linear_gradient
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "prev_h": rng.standard_normal((4, 5)), "Wx": rng.standard_normal((3, 5)),
            "Wh": rng.standard_normal((5, 5)), "b": rng.standard_normal(5)}


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(np.dot(x, Wx) + np.dot(prev_h, Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    dx = np.dot(dnext_h, Wx.T)  # BUG missing_factor|function
    dprev_h = np.dot(dnext_h, Wh.T)
    dWx = np.dot(x.T, dnext_h)
    dWh = np.dot(prev_h.T, dnext_h)
    db = np.sum(dnext_h, axis=0)
    return dx, dprev_h, dWx, dWh, db


#: attention_softmax_over_queries
def inputs(rng):
    return {"q": rng.standard_normal((2, 4, 3)), "k": rng.standard_normal((2, 5, 3)),
            "v": rng.standard_normal((2, 5, 6))}


def attention_forward(q, k, v):
    scale = 1 / np.sqrt(q.shape[-1])
    logits = np.einsum("bqd,bkd->bqk", q, k) * scale
    logits -= logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits)
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("bqk,bke->bqe", weights, v), (q, k, v, weights, scale)


def attention_backward(dout, cache):
    q, k, v, weights, scale = cache
    dv = np.einsum("bqk,bqe->bke", weights, dout)
    dweights = np.einsum("bqe,bke->bqk", dout, v)
    inner = (dweights * weights).sum(axis=1, keepdims=True)  # BUG axis
    dlogits = weights * (dweights - inner) * scale
    dq = np.einsum("bqk,bkd->bqd", dlogits, k)
    dk = np.einsum("bqk,bqd->bkd", dlogits, q)
    return dq, dk, dv


#: positions_and_channel_scale
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "pos": rng.standard_normal((1, 4, 2)),
            "scale": rng.standard_normal((2,))}


def position_forward(x, pos, scale):
    s = x + pos
    return s * scale, (s, scale)


def position_backward(grad, ctx):
    s, scale = ctx
    grad_scale = (grad * s).sum(axis=(0, 1))
    grad_x = grad * scale
    grad_pos = grad_x.sum(axis=0)  # BUG keepdims|shape
    return grad_x, grad_pos, grad_scale


#: pointwise_conv_layer_accumulates
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


class PointwiseConv:
    def __init__(self, in_channels=3, out_channels=4):
        rng = np.random.default_rng(8)
        self.W = rng.standard_normal((out_channels, in_channels)) / np.sqrt(in_channels)
        self.b = np.zeros(out_channels)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return np.einsum("oc,nchw->nohw", self.W, x) + self.b[None, :, None, None]

    def backward(self, grad_out):
        self.dW += np.einsum("nohw,nchw->oc", grad_out, self.x)  # BUG second_call
        self.db = grad_out.sum(axis=(0, 2, 3))
        return np.einsum("oc,nohw->nchw", self.W, grad_out)


#: add_relu_in_place
def inputs(rng):
    return {"branch": rng.standard_normal((2, 3, 4, 5)), "shortcut": rng.standard_normal((2, 3, 4, 5))}


def add_relu_forward(branch, shortcut):
    total = branch + shortcut
    out = np.maximum(total, 0.0)
    return out, out


def add_relu_backward(grad_output, out):
    grad_output[out == 0] = 0  # BUG mutation
    return grad_output.copy(), grad_output.copy()


#: max_pool_1d_single_precision
def inputs(rng):
    return {"x": rng.standard_normal((3, 2, 9))}


class MaxPool1d:
    def __init__(self, kernel_size=3):
        self.kernel_size = kernel_size

    def forward(self, x):
        n, c, length = x.shape
        self.shape = x.shape
        blocks = x.reshape(n, c, length // self.kernel_size, self.kernel_size)
        self.winner = blocks.argmax(axis=3)
        return blocks.max(axis=3)

    def backward(self, grad_out):
        grad = np.zeros(grad_out.shape + (self.kernel_size,), dtype=np.float32)  # BUG dtype
        a, b, c = np.indices(self.winner.shape)
        grad[a, b, c, self.winner] = grad_out
        return grad.reshape(self.shape)


#: conv1x1_returns_bias_second
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 3, 6)), "weight": rng.standard_normal((5, 4)),
            "bias": rng.standard_normal(5)}


def conv1x1_forward(x, weight, bias):
    flat = x.transpose(0, 2, 3, 1)
    out = flat @ weight.T + bias
    return out.transpose(0, 3, 1, 2), (flat, weight)


def conv1x1_backward(grad_output, saved_tensors):
    flat, weight = saved_tensors
    g = grad_output.transpose(0, 2, 3, 1)
    grad_input = (g @ weight).transpose(0, 3, 1, 2)
    grad_weight = np.tensordot(g, flat, axes=[(0, 1, 2), (0, 1, 2)])
    grad_bias = g.sum((0, 1, 2))
    return grad_input, grad_bias, grad_weight  # BUG return_order


#: avg_pool_1d_zeros
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9))}


def avg_pool1d_forward(x, size=3, stride=2):
    N, C, L = x.shape
    steps = (L - size) // stride + 1
    out = np.zeros((N, C, steps))
    for t in range(steps):
        out[:, :, t] = np.sum(x[:, :, t * stride:t * stride + size], axis=2) / size
    return out, (x.shape, size, stride)


def avg_pool1d_backward(dout, cache):
    (N, C, L), size, stride = cache
    dx = np.zeros(N, C, L)  # BUG exception
    for t in range(dout.shape[2]):
        dx[:, :, t * stride:t * stride + size] += dout[:, :, t:t + 1] / size
    return dx


#: channel_dropout_draws_again
def inputs(rng):
    return {"x": rng.standard_normal((6, 5, 2, 3)), "dropout_param": {"p": 0.6, "mode": "train", "seed": 5}}


def channel_dropout_forward(x, dropout_param):
    """Whole feature maps are kept with probability p."""
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode != "train":
        return x, (p, mode)
    keep = np.random.rand(x.shape[0], x.shape[1], 1, 1) < p
    return x * keep / p, (p, mode)  # OR


def channel_dropout_backward(dout, cache):
    p, mode = cache
    if mode != "train":
        return dout
    keep = np.random.rand(dout.shape[0], dout.shape[1], 1, 1) < p  # BUG randomness|mask
    return dout * keep / p


#: right: conv_strided_view
def inputs(rng):
    return {"x": rng.standard_normal((3, 2, 9, 6)), "w": rng.standard_normal((4, 2, 3, 5)), "b": rng.standard_normal(4),
            "conv_param": {"stride": 2, "pad": 1}}


def _columns(xp, R, S, stride):
    n, c, H, W = xp.shape
    a, b_, i, j = xp.strides
    shape = (n, (H - R) // stride + 1, (W - S) // stride + 1, c, R, S)
    return as_strided(xp, shape, (a, i * stride, j * stride, b_, i, j), writeable=False)


def conv_forward_strides(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    view = _columns(xp, w.shape[2], w.shape[3], s)
    n, oh, ow = view.shape[:3]
    cols = view.reshape(n * oh * ow, -1)
    out = (cols @ w.reshape(len(w), -1).T + b).reshape(n, oh, ow, -1).transpose(0, 3, 1, 2)
    return out, (x.shape, w, cols, p, s)


def conv_backward_strides(dout, cache):
    (n, c, H, W), w, cols, p, s = cache
    F, _, R, S = w.shape
    rows = dout.transpose(0, 2, 3, 1).reshape(-1, F)
    db = rows.sum(0)
    dw = (rows.T @ cols).reshape(w.shape)
    dcols = (rows @ w.reshape(F, -1)).reshape(n, dout.shape[2], dout.shape[3], c, R, S)
    dxp = np.zeros((n, c, H + 2 * p, W + 2 * p))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dxp[:, :, i * s:i * s + R, j * s:j * s + S] += dcols[:, i, j]
    return dxp[:, :, p:p + H, p:p + W], dw, db


#: right: conv_full_correlation
def inputs(rng):
    return {"image": rng.standard_normal((3, 2, 6, 5)), "kernel": rng.standard_normal((6, 2, 3, 4))}


def correlate_forward(image, kernel):
    win = sliding_window_view(image, kernel.shape[-2:], axis=(-2, -1))
    return np.einsum("ncyxij,fcij->nfyx", win, kernel), (image, kernel)


def correlate_backward(delta, memory):
    image, kernel = memory
    r, s = kernel.shape[-2:]
    dkernel = np.einsum("ncijyx,nfyx->fcij", sliding_window_view(image, delta.shape[-2:], (-2, -1)), delta)
    wide = np.pad(delta, ((0, 0), (0, 0), (r - 1, r - 1), (s - 1, s - 1)))
    flipped = kernel[:, :, ::-1, ::-1]
    dimage = np.einsum("nfyxij,fcij->ncyx", sliding_window_view(wide, (r, s), (-2, -1)), flipped)
    return dimage, dkernel


#: right: causal_dilated_conv1d
def inputs(rng):
    return {"seq": rng.standard_normal((2, 7, 5)), "taps": rng.standard_normal((3, 5, 4)),
            "offset": rng.standard_normal(4)}


def causal_conv_forward(seq, taps, offset, dilation=2):
    K = len(taps)
    T = seq.shape[1]
    out = np.tile(offset, seq.shape[:2] + (1,))
    for k in range(K):
        back = (K - 1 - k) * dilation
        out[:, back:] += seq[:, :T - back] @ taps[k]
    return out, (seq, taps, dilation)


def causal_conv_backward(g, cache):
    seq, taps, dilation = cache
    K, T = len(taps), seq.shape[1]
    dseq, dtaps = np.zeros_like(seq), []
    for k in range(K):
        back = (K - 1 - k) * dilation
        late, early = g[:, back:], seq[:, :T - back]
        dseq[:, :T - back] += late @ taps[k].T
        dtaps.append(np.einsum("ntd,nte->de", early, late))
    return dseq, np.array(dtaps), g.sum((0, 1))


#: right: max_pool_overlapping
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 7, 5)), "pool_param": {"pool_height": 3, "pool_width": 2, "stride": 1}}


def max_pool_forward_fast(x, pool_param):
    R, S, t = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    win = sliding_window_view(x, (R, S), (2, 3))[:, :, ::t, ::t]
    flat = win.reshape(win.shape[:4] + (R * S,))
    return flat.max(-1), (x.shape, flat.argmax(-1), S, t)


def max_pool_backward_fast(dout, cache):
    shape, best, S, t = cache
    n, c, i, j = np.ogrid[tuple(map(slice, best.shape))]
    dx = np.zeros(shape)
    np.add.at(dx, (n, c, i * t + best // S, j * t + best % S), dout)
    return dx


#: right: spatial_batchnorm_compact
def inputs(rng):
    return {"x": 2 + rng.standard_normal((3, 4, 2, 5)), "gamma": rng.standard_normal(4), "beta": rng.standard_normal(4),
            "bn_param": {"mode": "train"}}


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    m, eps, C = bn_param.get("momentum", 0.9), bn_param.get("eps", 1e-5), x.shape[1]
    train = bn_param["mode"] == "train"
    cols = x.swapaxes(0, 1).reshape(C, -1)
    old = bn_param.get("running_mean", np.zeros(C)), bn_param.get("running_var", np.zeros(C))
    mu, var = (cols.mean(1), cols.var(1)) if train else old
    if train:
        bn_param["running_mean"] = old[0] + (1 - m) * (mu - old[0])
        bn_param["running_var"] = old[1] + (1 - m) * (var - old[1])
    s = (var + eps) ** -0.5
    hat = (cols - mu[:, None]) * s[:, None]
    out = gamma[:, None] * hat + beta[:, None]
    return out.reshape(C, len(x), *x.shape[2:]).swapaxes(0, 1), (hat, s, gamma)


def spatial_batchnorm_backward(dout, cache):
    hat, s, gamma = cache
    C, M = hat.shape
    d = dout.swapaxes(0, 1).reshape(C, -1)
    dgamma, dbeta = np.einsum("cm,cm->c", d, hat), d.sum(1)
    dx = (gamma * s / M)[:, None] * (M * d - hat * dgamma[:, None] - dbeta[:, None])
    return dx.reshape(C, len(dout), *dout.shape[2:]).swapaxes(0, 1), dgamma, dbeta


#: right: spatial_groupnorm_by_loops
def inputs(rng):
    return {"x": rng.standard_normal((2, 6, 4, 3)), "gamma": rng.standard_normal((1, 6, 1, 1)),
            "beta": rng.standard_normal((1, 6, 1, 1)), "G": 3, "gn_param": {}}


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    e = gn_param.get("eps", 1e-5)
    size = x.shape[1] // G
    normal, roots = np.empty(x.shape), {}
    for n in range(x.shape[0]):
        for g in range(G):
            part = x[n, g * size:(g + 1) * size]
            roots[n, g] = np.sqrt(part.var() + e)
            normal[n, g * size:(g + 1) * size] = (part - part.mean()) / roots[n, g]
    return normal * gamma + beta, (normal, roots, gamma, size)


def spatial_groupnorm_backward(dout, cache):
    normal, roots, gamma, size = cache
    dgamma = np.sum(normal * dout, (0, 2, 3)).reshape(gamma.shape)
    dbeta = np.sum(dout, (0, 2, 3)).reshape(gamma.shape)
    dx = dout * gamma
    for (n, g), root in roots.items():
        block = slice(g * size, (g + 1) * size)
        d, z = dx[n, block], normal[n, block]
        dx[n, block] = (d - np.mean(d) - z * np.mean(d * z)) / root
    return dx, dgamma, dbeta


#: right: bilinear_upsample_matrices
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4))}


def interpolation(n, m):
    A = np.zeros((m, n))
    for i, u in enumerate(np.linspace(0, n - 1, m)):
        k = min(int(u), n - 2)
        A[i, k] = 1 - (u - k)
        A[i, k + 1] = u - k
    return A


def bilinear_forward(x, factor=2):
    R = interpolation(x.shape[2], factor * x.shape[2])
    C = interpolation(x.shape[3], factor * x.shape[3])
    return R @ x @ C.T, (R, C)


def bilinear_backward(dout, cache):
    R, C = cache
    return R.T @ dout @ C


#: right: three_layer_convnet_modular
class ThreeLayerConvNet(object):
    def __init__(self, input_dim=(2, 6, 4), num_filters=3, filter_size=3, hidden_dim=4, num_classes=5,
                 weight_scale=0.4, reg=0.2, dtype=np.float64):
        self.params, self.reg, self.dtype = {}, reg, dtype
        C, H, W = input_dim
        rs = np.random.RandomState(17)
        self.params["W1"] = weight_scale * rs.randn(num_filters, C, filter_size, filter_size)
        self.params["b1"] = np.zeros(num_filters)
        self.params["W2"] = weight_scale * rs.randn(num_filters * (H // 2) * (W // 2), hidden_dim)
        self.params["b2"] = np.zeros(hidden_dim)
        self.params["W3"] = weight_scale * rs.randn(hidden_dim, num_classes)
        self.params["b3"] = np.zeros(num_classes)
        for k, v in self.params.items():
            self.params[k] = v.astype(dtype)

    def conv(self, x, w, b):
        pad = (w.shape[2] - 1) // 2
        xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        out = np.zeros((x.shape[0], w.shape[0], x.shape[2], x.shape[3]))
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                patch = xp[:, None, :, i:i + w.shape[2], j:j + w.shape[3]]
                out[:, :, i, j] = (patch * w).sum((2, 3, 4)) + b
        return out, xp

    def loss(self, X, y=None):
        X = X.astype(self.dtype)
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        W3, b3 = self.params["W3"], self.params["b3"]
        conv_out, xp = self.conv(X, W1, b1)
        relu1 = np.maximum(conv_out, 0)
        N, F, H, W = relu1.shape
        even, odd = relu1[:, :, ::2], relu1[:, :, 1::2]
        quads = np.stack([even[..., ::2], even[..., 1::2], odd[..., ::2], odd[..., 1::2]])
        winner = quads.argmax(0)
        pooled = quads.max(0)
        hidden_pre = pooled.reshape(N, -1).dot(W2) + b2
        hidden = np.maximum(hidden_pre, 0)
        scores = hidden.dot(W3) + b3
        if y is None:
            return scores
        loss, grads = 0.0, {}
        logp = scores - scores.max(1, keepdims=True)
        logp = logp - np.log(np.exp(logp).sum(1, keepdims=True))
        loss = -logp[np.arange(N), y].mean()
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2) + np.sum(W3 * W3))
        dscores = np.exp(logp)
        dscores[np.arange(N), y] -= 1
        dscores /= N
        grads["W3"] = hidden.T.dot(dscores) + self.reg * W3
        grads["b3"] = dscores.sum(0)
        dhidden = dscores.dot(W3.T)
        dhidden[hidden_pre <= 0] = 0
        grads["W2"] = pooled.reshape(N, -1).T.dot(dhidden) + self.reg * W2
        grads["b2"] = dhidden.sum(0)
        dpooled = dhidden.dot(W2.T).reshape(pooled.shape)
        dconv = np.zeros(relu1.shape)
        for q in range(4):
            dconv[:, :, q // 2::2, q % 2::2] = dpooled * (winner == q)
        dconv *= conv_out > 0
        dW1 = np.zeros_like(W1)
        for i in range(W1.shape[2]):
            for j in range(W1.shape[3]):
                dW1[:, :, i, j] = np.tensordot(dconv, xp[:, :, i:i + H, j:j + W], axes=([0, 2, 3], [0, 2, 3]))
        grads["W1"] = dW1 + self.reg * W1
        grads["b1"] = dconv.sum((0, 2, 3))
        return loss, grads


#: right: deep_net_norm_and_dropout
def block(x, W, b, gamma, beta, bn, keep, rng):
    a = x @ W + b
    if bn["mode"] == "train":
        mu, var = a.mean(0), a.var(0)
        bn["mean"] = 0.9 * bn["mean"] + 0.1 * mu
        bn["var"] = 0.9 * bn["var"] + 0.1 * var
    else:
        mu, var = bn["mean"], bn["var"]
    inv = 1 / np.sqrt(var + 1e-5)
    hat = (a - mu) * inv
    z = gamma * hat + beta
    mask = (rng.random(z.shape) < keep) / keep if bn["mode"] == "train" else 1.0
    return np.maximum(z, 0) * mask, (x, W, gamma, inv, hat, z, mask)


def block_gradient(d, cache):
    x, W, gamma, inv, hat, z, mask = cache
    d = d * mask * (z > 0)
    dgamma, dbeta = (d * hat).sum(0), d.sum(0)
    dhat = d * gamma
    da = inv * (dhat - dhat.mean(0) - hat * (dhat * hat).mean(0))
    return da @ W.T, x.T @ da, da.sum(0), dgamma, dbeta


class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=4, num_classes=3, dropout_keep_ratio=0.8, reg=0.1,
                 weight_scale=0.7, seed=2):
        rng = np.random.default_rng(seed)
        dims = [input_dim, *hidden_dims, num_classes]
        self.layers, self.keep, self.reg, self.seed = len(dims) - 1, dropout_keep_ratio, reg, seed
        self.params, self.bn = {}, []
        for i, (m, n) in enumerate(zip(dims[:-1], dims[1:]), start=1):
            self.params[f"W{i}"] = weight_scale * rng.standard_normal((m, n))
            self.params[f"b{i}"] = np.zeros(n)
            if i < self.layers:
                self.params[f"gamma{i}"], self.params[f"beta{i}"] = np.ones(n), 0.2 * rng.standard_normal(n)
                self.bn.append({"mean": np.zeros(n), "var": np.zeros(n)})

    def loss(self, X, y=None):
        P, rng, h, caches = self.params, np.random.default_rng(self.seed), X.reshape(len(X), -1), []
        for i in range(1, self.layers):
            bn = self.bn[i - 1]
            bn["mode"] = "test" if y is None else "train"
            h, cache = block(h, P[f"W{i}"], P[f"b{i}"], P[f"gamma{i}"], P[f"beta{i}"], bn, self.keep, rng)
            caches.append(cache)
        L = self.layers
        scores = h @ P[f"W{L}"] + P[f"b{L}"]
        if y is None:
            return scores
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        N = len(y)
        loss = -np.log(p[np.arange(N), y]).mean()
        p[np.arange(N), y] -= 1
        p /= N
        grads = {f"W{L}": h.T @ p, f"b{L}": p.sum(0)}
        d = p @ P[f"W{L}"].T
        for i in range(L - 1, 0, -1):
            d, *g = block_gradient(d, caches[i - 1])
            grads.update(zip((f"W{i}", f"b{i}", f"gamma{i}", f"beta{i}"), g))
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(P[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * P[f"W{i}"]
        return loss, grads


#: right: residual_projection_block
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "W1": rng.standard_normal((4, 6)), "W2": rng.standard_normal((6, 5)),
            "Wskip": rng.standard_normal((4, 5))}


def residual_forward(x, W1, W2, Wskip):
    u = x @ W1
    h = u * (u > 0)
    s = h @ W2 + x @ Wskip
    return np.where(s > 0, s, 0.1 * s), {"x": x, "W1": W1, "W2": W2, "Wskip": Wskip, "h": h, "s": s}


def residual_backward(dout, cache):
    x, h = cache["x"], cache["h"]
    ds = np.where(cache["s"] > 0, dout, 0.1 * dout)
    dWskip = x.T @ ds
    dx = ds @ cache["Wskip"].T
    dW2 = h.T @ ds
    dh = ds @ cache["W2"].T
    dh[h == 0] = 0
    dW1 = x.T @ dh
    dx += dh @ cache["W1"].T
    return dx, dW1, dW2, dWskip


#: right: rnn_through_time
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 3)), "h0": rng.standard_normal((2, 5)),
            "Wx": 0.5 * rng.standard_normal((3, 5)), "Wh": 0.5 * rng.standard_normal((5, 5)),
            "b": rng.standard_normal(5)}


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    h = np.stack(hs[1:], axis=1)
    return h, (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx = np.empty_like(x)
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[1])
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        da = (dh[:, t] + carry) * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        db += da.sum(0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: right: multi_head_causal_attention
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 6)), "Wqkv": 0.6 * rng.standard_normal((6, 18)),
            "Wo": rng.standard_normal((6, 6))}


def self_attention_forward(x, Wqkv, Wo, heads=2):
    B, T, E = x.shape
    D = E // heads
    q, k, v = (x @ Wqkv).reshape(B, T, 3, heads, D).transpose(2, 0, 3, 1, 4)
    s = q @ k.swapaxes(-1, -2) / D ** 0.5
    s[..., np.triu(np.ones((T, T), dtype=bool), 1)] = -np.inf
    s = np.exp(s - s.max(-1, keepdims=True))
    A = s / s.sum(-1, keepdims=True)
    y = (A @ v).swapaxes(1, 2).reshape(B, T, E)
    return y @ Wo, (x, Wqkv, Wo, q, k, v, A, y)


def self_attention_backward(dout, cache):
    x, Wqkv, Wo, q, k, v, A, y = cache
    B, T, E = x.shape
    heads, D = q.shape[1], q.shape[3]
    dWo = np.einsum("bte,btf->ef", y, dout)
    dy = (dout @ Wo.T).reshape(B, T, heads, D).swapaxes(1, 2)
    dA = dy @ v.swapaxes(-1, -2)
    ds = A * (dA - (dA * A).sum(-1, keepdims=True)) / D ** 0.5
    dqkv = np.stack([ds @ k, ds.swapaxes(-1, -2) @ q, A.swapaxes(-1, -2) @ dy])
    dflat = dqkv.transpose(1, 3, 0, 2, 4).reshape(B, T, 3 * E)
    return dflat @ Wqkv.T, np.einsum("bte,btf->ef", x, dflat), dWo
