"""Images: convolutions, pooling, spatial normalisation and resampling, as learners write them."""

from collections import namedtuple

import numpy as np
from numpy.lib.stride_tricks import as_strided


def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 7, 6)),
        "w": rng.standard_normal((4, 3, 3, 2)),
        "b": rng.standard_normal(4),
        "conv_param": {"stride": 2, "pad": 1},
    }


def conv_forward_naive(x, w, b, conv_param):
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
                    patch = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    out[n, f, i, j] = np.sum(patch * w[f]) + b[f]
    cache = (x, w, b, conv_param)
    return out, cache


def im2col(xp, HH, WW, stride):
    N, C, H, W = xp.shape
    Ho, Wo = (H - HH) // stride + 1, (W - WW) // stride + 1
    cols = np.zeros((C * HH * WW, N * Ho * Wo))
    k = 0
    for n in range(N):
        for i in range(Ho):
            for j in range(Wo):
                cols[:, k] = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW].ravel()
                k += 1
    return cols, Ho, Wo


#: right: naive loops with a clipped padding
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for n in range(N):
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                hs, ws = i * stride, j * stride
                g = dout[n, :, i, j][:, None, None, None]
                dw += g * xp[n, :, hs : hs + HH, ws : ws + WW]
                dxp[n, :, hs : hs + HH, ws : ws + WW] += (g * w).sum(0)
    return dxp[:, :, pad : pad + H, pad : pad + W], dw, db


#: the patch gradients overwrite each other
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, F, Ho, Wo = dout.shape
    HH, WW = w.shape[2:]
    x_pad = np.pad(x, ((0,), (0,), (p,), (p,)))
    dx_pad = np.zeros(x_pad.shape)
    dw = np.zeros(w.shape)
    db = np.zeros(F)
    for f in range(F):
        db[f] = dout[:, f].sum()
        for i in range(Ho):
            for j in range(Wo):
                window = x_pad[:, :, i * s : i * s + HH, j * s : j * s + WW]
                dw[f] += np.sum(window * dout[:, f, i, j][:, None, None, None], axis=0)
                d = dout[:, f, i, j][:, None, None, None]
                dx_pad[:, :, i * s : i * s + HH, j * s : j * s + WW] = w[f] * d  # BUG overlap
    dx = dx_pad[:, :, p:-p, p:-p]
    return dx, dw, db


#: stride forgotten where the window starts
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride = conv_param["stride"]
    pad = conv_param["pad"]
    N, C, H, W = x.shape
    F, C, HH, WW = w.shape
    _, _, H_out, W_out = dout.shape

    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "constant", constant_values=0)
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = np.zeros_like(b)

    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    h_start = i * stride
                    w_start = j  # BUG window
                    patch = x_pad[n, :, h_start : h_start + HH, w_start : w_start + WW]
                    db[f] += dout[n, f, i, j]
                    dw[f] += patch * dout[n, f, i, j]
                    dx_pad[n, :, h_start : h_start + HH, w_start : w_start + WW] += w[f] * dout[n, f, i, j]
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: minus pad when pad is nought
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 5, 6)),
        "w": rng.standard_normal((4, 3, 3, 2)),
        "b": rng.standard_normal(4),
        "conv_param": {"stride": 1, "pad": 0},
    }


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    S, P = conv_param["stride"], conv_param["pad"]
    F, C, HH, WW = w.shape
    x_pad = np.pad(x, ((0, 0), (0, 0), (P, P), (P, P)))
    dx_pad, dw = np.zeros_like(x_pad), np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            win = x_pad[:, :, i * S : i * S + HH, j * S : j * S + WW]
            dw += np.tensordot(dout[:, :, i, j], win, axes=(0, 0))
            dx_pad[:, :, i * S : i * S + HH, j * S : j * S + WW] += np.tensordot(dout[:, :, i, j], w, axes=(1, 0))
    dx = dx_pad[:, :, P:-P, P:-P]  # BUG shape|window
    return dx, dw, db


#: bias gradient averaged over the batch
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, C, HH, WW = w.shape
    db = np.sum(dout, axis=(0, 2, 3)) / N  # BUG factor|mean_for_sum
    xp = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    for k in range(N):
        for l in range(F):
            for r in range(dout.shape[2]):
                for c in range(dout.shape[3]):
                    r0, c0 = r * stride, c * stride
                    dw[l, :, :, :] += xp[k, :, r0 : r0 + HH, c0 : c0 + WW] * dout[k, l, r, c]
                    dxp[k, :, r0 : r0 + HH, c0 : c0 + WW] += w[l, :, :, :] * dout[k, l, r, c]
    dx = dxp[:, :, pad : H + pad, pad : W + pad]
    return dx, dw, db


#: the filter gradient comes before the input gradient
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    H, W = x.shape[2:]
    HH, WW = w.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    grad_x, grad_w, grad_b = np.zeros_like(xp), np.zeros_like(w), np.zeros_like(b)
    for n, f, i, j in np.ndindex(*dout.shape):
        rows, cols = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
        grad_x[n, :, rows, cols] += dout[n, f, i, j] * w[f]
        grad_w[f] += dout[n, f, i, j] * xp[n, :, rows, cols]
        grad_b[f] += dout[n, f, i, j]
    return grad_w, grad_x[:, :, pad : pad + H, pad : pad + W], grad_b  # BUG return_order


#: never returns the bias gradient
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    H, W = x.shape[2:]
    HH, WW = w.shape[2:]
    db = dout.sum((0, 2, 3))
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            sl = (slice(None), slice(None), slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW))
            dw += np.einsum("nf,nchw->fchw", dout[:, :, i, j], xp[sl])
            dxp[sl] += np.einsum("nf,fchw->nchw", dout[:, :, i, j], w)
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw  # BUG missing_gradient


#: single precision buffer for the image gradient
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad), dtype=np.float32)  # BUG dtype
    dw = np.zeros_like(w)
    for n in range(N):
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    top, left = i * stride, j * stride
                    dxp[n, :, top : top + HH, left : left + WW] += w[f] * dout[n, f, i, j]
                    dw[f] += xp[n, :, top : top + HH, left : left + WW] * dout[n, f, i, j]
    db = dout.sum(axis=3).sum(axis=2).sum(axis=0)
    return dxp[:, :, pad : pad + H, pad : pad + W], dw, db


#: right: im2col and add.at
def get_indices(C, HH, WW, Ho, Wo, stride):
    i0 = np.tile(np.repeat(np.arange(HH), WW), C)
    i1 = stride * np.repeat(np.arange(Ho), Wo)
    j0 = np.tile(np.arange(WW), HH * C)
    j1 = stride * np.tile(np.arange(Wo), Ho)
    i = i0.reshape(-1, 1) + i1.reshape(1, -1)
    j = j0.reshape(-1, 1) + j1.reshape(1, -1)
    return np.repeat(np.arange(C), HH * WW).reshape(-1, 1), i, j


def conv_forward(x, w, b, conv_param):
    stride, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    Ho, Wo = (H + 2 * p - HH) // stride + 1, (W + 2 * p - WW) // stride + 1
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    k, i, j = get_indices(C, HH, WW, Ho, Wo, stride)
    cols = xp[:, k, i, j].transpose(1, 2, 0).reshape(C * HH * WW, -1)
    out = (w.reshape(F, -1) @ cols + b[:, None]).reshape(F, Ho, Wo, N).transpose(3, 0, 1, 2)
    return out, (x.shape, w, cols, (k, i, j), p)


def conv_backward(dout, cache):
    (N, C, H, W), w, cols, (k, i, j), p = cache
    F = w.shape[0]
    d = dout.transpose(1, 2, 3, 0).reshape(F, -1)
    dcols = (w.reshape(F, -1).T @ d).reshape(k.shape[0], -1, N).transpose(2, 0, 1)
    dxp = np.zeros((N, C, H + 2 * p, W + 2 * p))
    np.add.at(dxp, (slice(None), k, i, j), dcols)
    return dxp[:, :, p : p + H, p : p + W], (d @ cols.T).reshape(w.shape), d.sum(1)


#: upstream reshaped without the transpose
def conv_forward(x, w, b, conv_param):
    pad, stride = conv_param["pad"], conv_param["stride"]
    F, C, HH, WW = w.shape
    x_padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    x_cols, Ho, Wo = im2col(x_padded, HH, WW, stride)
    res = w.reshape((F, -1)).dot(x_cols) + b.reshape(-1, 1)
    out = res.reshape(F, x.shape[0], Ho, Wo).transpose(1, 0, 2, 3)
    return out, (x, w, b, conv_param, x_cols)


def conv_backward(dout, cache):
    x, w, b, conv_param, x_cols = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    N, F, Ho, Wo = dout.shape
    HH, WW = w.shape[2:]
    db = np.sum(dout, axis=(0, 2, 3))
    dout_reshaped = dout.reshape(F, -1)  # BUG transposed|shape
    dw = dout_reshaped.dot(x_cols.T).reshape(w.shape)
    dx_cols = w.reshape(F, -1).T.dot(dout_reshaped)
    dx = np.zeros((N, x.shape[1], x.shape[2] + 2 * pad, x.shape[3] + 2 * pad))
    col = 0
    for n in range(N):
        for i in range(0, Ho * stride, stride):
            for j in range(0, Wo * stride, stride):
                dx[n, :, i : i + HH, j : j + WW] += dx_cols[:, col].reshape(-1, HH, WW)
                col += 1
    return dx[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, db


#: fancy indexing in col2im loses repeats
def conv1d_forward(x, w, b):
    N, C, T = x.shape
    F, _, K = w.shape
    idx = np.arange(T - K + 1)[:, None] + np.arange(K)[None, :]
    cols = x[:, :, idx]  # (N, C, T_out, K)
    out = np.einsum("nctk,fck->nft", cols, w) + b[None, :, None]
    return out, (x, w, cols, idx)


def conv1d_backward(dout, cache):
    x, w, cols, idx = cache
    db = dout.sum(axis=(0, 2))
    dw = np.einsum("nft,nctk->fck", dout, cols)
    dcols = np.einsum("nft,fck->nctk", dout, w)
    dx = np.zeros_like(x)
    dx[:, :, idx] += dcols  # BUG overlap
    return dx, dw, db


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 8)), "w": rng.standard_normal((4, 3, 5)), "b": rng.standard_normal(4)}


#: right: full correlation with a flipped kernel
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 5)), "w": rng.standard_normal((4, 3, 3, 2))}


def windows(a, kh, kw):
    n, c, h, w = a.shape
    sn, sc, sh, sw = a.strides
    return as_strided(a, (n, c, h - kh + 1, w - kw + 1, kh, kw), (sn, sc, sh, sw, sh, sw), writeable=False)


def conv2d_forward(x, w):
    v = windows(x, *w.shape[2:])
    return np.einsum("nchwij,fcij->nfhw", v, w), (v, w)


def conv2d_backward(dout, cache):
    v, w = cache
    kh, kw = w.shape[2:]
    g = np.pad(dout, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    dx = np.einsum("nfhwij,fcij->nchw", windows(g, kh, kw), w[:, :, ::-1, ::-1])
    dw = np.einsum("nfhw,nchwij->fcij", dout, v)
    return dx, dw


#: the kernel is not turned round
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 5)), "w": rng.standard_normal((4, 3, 3, 2)), "b": rng.standard_normal(4)}


def sliding(a, kh, kw):
    return np.lib.stride_tricks.sliding_window_view(a, (kh, kw), axis=(2, 3))


def conv2d_forward(x, w, b):
    out = np.einsum("bchwkl,fckl->bfhw", sliding(x, w.shape[2], w.shape[3]), w) + b.reshape(1, -1, 1, 1)
    return out, (x, w)


def conv2d_backward(grad_out, cache):
    x, w = cache
    kh, kw = w.shape[-2:]
    grad_b = grad_out.sum(axis=(0, 2, 3))
    grad_w = np.einsum("bfhw,bchwkl->fckl", grad_out, sliding(x, kh, kw))
    padded = np.pad(grad_out, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    grad_x = np.einsum("bfhwkl,fckl->bchw", sliding(padded, kh, kw), w)  # BUG transposed|operation
    return grad_x, grad_w, grad_b


#: one by one convolution with a turned weight gradient
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 5, 3)), "w": rng.standard_normal((4, 4)), "b": rng.standard_normal(4)}


def pointwise_forward(x, w, b):
    out = np.einsum("nchw,fc->nfhw", x, w) + b[:, None, None]
    return out, (x, w)


def pointwise_backward(dout, cache):
    x, w = cache
    dx = np.einsum("nfhw,fc->nchw", dout, w)
    dw = np.einsum("nchw,nfhw->cf", x, dout)  # BUG transposed
    db = np.einsum("nfhw->f", dout)
    return dx, dw, db


#: depthwise filters keep only the last sample
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 5, 6)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4)}


def depthwise_forward(x, w, b):
    N, C, H, W = x.shape
    KH, KW = w.shape[1:]
    out = np.zeros((N, C, H - KH + 1, W - KW + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = (x[:, :, i : i + KH, j : j + KW] * w).sum(axis=(2, 3)) + b
    return out, (x, w)


def depthwise_backward(dout, cache):
    x, w = cache
    KH, KW = w.shape[1:]
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    db = dout.sum((0, 2, 3))
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            acc = np.zeros((KH, KW))
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    acc += dout[n, c, i, j] * x[n, c, i : i + KH, j : j + KW]
                    dx[n, c, i : i + KH, j : j + KW] += dout[n, c, i, j] * w[c]
            dw[c] = acc  # BUG overlap|missing_sum
    return dx, dw, db


#: right: depthwise with a channel multiplier
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 6)), "w": rng.standard_normal((3, 4, 2, 3))}


def depthwise_forward(x, w):
    N, C, H, W = x.shape
    _, M, K, L = w.shape
    out = np.zeros((N, C, M, H - K + 1, W - L + 1))
    for k in range(K):
        for l in range(L):
            out += x[:, :, None, k : k + H - K + 1, l : l + W - L + 1] * w[None, :, :, k, l, None, None]
    return out.reshape(N, C * M, H - K + 1, W - L + 1), (x, w)


def depthwise_backward(dout, cache):
    x, w = cache
    N, C, H, W = x.shape
    _, M, K, L = w.shape
    h, v = H - K + 1, W - L + 1
    d = dout.reshape(N, C, M, h, v)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k in range(K):
        for l in range(L):
            dx[:, :, k : k + h, l : l + v] += (d * w[None, :, :, k, l, None, None]).sum(axis=2)
            dw[:, :, k, l] = (d * x[:, :, None, k : k + h, l : l + v]).sum(axis=(0, 3, 4))
    return dx, dw


#: transposed convolution walks back without its stride
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "w": rng.standard_normal((3, 2, 3, 3)), "stride": 2}


def deconv_forward(x, w, stride):
    N, C, H, W = x.shape
    K = w.shape[-1]
    out = np.zeros((N, w.shape[1], (H - 1) * stride + K, (W - 1) * stride + K))
    for i in range(H):
        for j in range(W):
            out[:, :, i * stride : i * stride + K, j * stride : j * stride + K] += np.tensordot(x[:, :, i, j], w, 1)
    return out, (x, w, stride)


def deconv_backward(dout, cache):
    x, w, stride = cache
    K = w.shape[-1]
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            d = dout[:, :, i : i + K, j : j + K]  # BUG window
            dx[:, :, i, j] = np.einsum("nfkl,cfkl->nc", d, w)
            dw += np.einsum("nc,nfkl->cfkl", x[:, :, i, j], d)
    return dx, dw


#: right: transposed convolution as a zero-stuffed map
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 3)), "w": rng.standard_normal((3, 5, 2, 3)), "b": rng.standard_normal(5)}


def conv_transpose_forward(x, w, b):
    N, C, H, W = x.shape
    KH, KW = w.shape[2:]
    out = np.zeros((N, w.shape[1], 2 * (H - 1) + KH, 2 * (W - 1) + KW))
    for k, l in np.ndindex(KH, KW):
        out[:, :, k : k + 2 * H - 1 : 2, l : l + 2 * W - 1 : 2] += np.einsum("nchw,cf->nfhw", x, w[:, :, k, l])
    return out + b[None, :, None, None], (x, w)


def conv_transpose_backward(dout, cache):
    x, w = cache
    H, W = x.shape[2:]
    dx, dw = 0.0, np.empty_like(w)
    for k, l in np.ndindex(w.shape[2:]):
        part = dout[:, :, k : k + 2 * H - 1 : 2, l : l + 2 * W - 1 : 2]
        dx = dx + np.einsum("nfhw,cf->nchw", part, w[:, :, k, l])
        dw[:, :, k, l] = np.einsum("nfhw,nchw->cf", part, x)
    return dx, dw, dout.sum(axis=(0, 2, 3))


#: dilation forgotten for the weights
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 8, 7)), "w": rng.standard_normal((4, 3, 3, 2)), "dilation": 2}


def dilated_forward(x, w, dilation):
    KH, KW = w.shape[2:]
    Ho = x.shape[2] - dilation * (KH - 1)
    Wo = x.shape[3] - dilation * (KW - 1)
    out = np.zeros((x.shape[0], w.shape[0], Ho, Wo))
    for k in range(KH):
        for l in range(KW):
            r, s = k * dilation, l * dilation
            out += np.einsum("nchw,fc->nfhw", x[:, :, r : r + Ho, s : s + Wo], w[:, :, k, l])
    return out, dict(x=x, w=w, d=dilation)


def dilated_backward(dout, cache):
    x, w, d = cache["x"], cache["w"], cache["d"]
    Ho, Wo = dout.shape[2:]
    dx = np.zeros(x.shape)
    dw = np.zeros(w.shape)
    for k in range(w.shape[2]):
        for l in range(w.shape[3]):
            dx[:, :, k * d : k * d + Ho, l * d : l * d + Wo] += np.einsum("nfhw,fc->nchw", dout, w[:, :, k, l])
            dw[:, :, k, l] = np.einsum("nfhw,nchw->fc", dout, x[:, :, k : k + Ho, l : l + Wo])  # BUG window
    return dx, dw


#: one tap too few in the causal convolution
def inputs(rng):
    return {"x": rng.standard_normal((3, 7, 2)), "w": rng.standard_normal((4, 2, 5)), "b": rng.standard_normal(5)}


def causal_forward(x, w, b):
    N, T, D = x.shape
    K = w.shape[0]
    xp = np.concatenate([np.zeros((N, K - 1, D)), x], axis=1)
    y = np.zeros((N, T, w.shape[2]))
    for k in range(K):
        y += xp[:, k : k + T] @ w[k]
    return y + b, (xp, w)


def causal_backward(dy, cache):
    xp, w = cache
    K = len(w)
    T = dy.shape[1]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for k in range(K - 1):  # BUG window|missing_term
        dxp[:, k : k + T] += dy @ w[k].T  # OR
        dw[k] = np.einsum("ntd,ntm->dm", xp[:, k : k + T], dy)
    db = dy.sum(axis=(0, 1))
    return dxp[:, K - 1 :], dw, db


#: every one of equal maxima is paid in full
def inputs(rng):
    x = rng.integers(0, 3, (2, 3, 4, 6)).astype(float)
    return {"x": x, "pool_param": {"pool_height": 2, "pool_width": 3, "stride": 2}}


def max_pool_forward_naive(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    out = np.zeros((N, C, 1 + (H - ph) // s, 1 + (W - pw) // s))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = x[:, :, i * s : i * s + ph, j * s : j * s + pw].max(axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    N, C, Ho, Wo = dout.shape
    for n in range(N):
        for c in range(C):
            for i in range(Ho):
                for j in range(Wo):
                    region = x[n, c, i * s : i * s + ph, j * s : j * s + pw]
                    mask = region == np.max(region)  # BUG ties
                    dx[n, c, i * s : i * s + ph, j * s : j * s + pw] += mask * dout[n, c, i, j]
    return dx


#: height and width swapped when the argmax is unravelled
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 5)), "pool_param": {"pool_height": 3, "pool_width": 2, "stride": 1}}


def max_pool_forward(x, pool_param):
    PH, PW, S = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    Ho, Wo = (H - PH) // S + 1, (W - PW) // S + 1
    out = np.empty((N, C, Ho, Wo))
    arg = np.empty((N, C, Ho, Wo), dtype=int)
    for i, j in np.ndindex(Ho, Wo):
        flat = x[:, :, i * S : i * S + PH, j * S : j * S + PW].reshape(N, C, -1)
        arg[:, :, i, j] = flat.argmax(-1)
        out[:, :, i, j] = flat.max(-1)
    return out, (x.shape, arg, pool_param)


def max_pool_backward(dout, cache):
    shape, arg, pool_param = cache
    PH, PW, S = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros(shape)
    for n, c, i, j in np.ndindex(*dout.shape):
        r, q = np.unravel_index(arg[n, c, i, j], (PW, PH))  # BUG argmax
        if i * S + r < shape[2] and j * S + q < shape[3]:
            dx[n, c, i * S + r, j * S + q] += dout[n, c, i, j]
    return dx


#: right: max pool by reshaping
def max_pool_forward(x, pool_param):
    N, C, H, W = x.shape
    s = pool_param["stride"]
    blocks = x.reshape(N, C, H // s, s, W // s, s).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H // s, W // s, s * s)
    where = blocks.argmax(axis=-1)
    out = np.take_along_axis(blocks, where[..., None], -1)[..., 0]
    return out, (blocks.shape, where, x.shape, s)


def max_pool_backward(dout, cache):
    block_shape, where, (N, C, H, W), s = cache
    dblocks = np.zeros(block_shape)
    np.put_along_axis(dblocks, where[..., None], dout[..., None], axis=-1)
    return dblocks.reshape(N, C, H // s, W // s, s, s).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H, W)


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 6)), "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2}}


#: max pool remembers the largest in magnitude
PoolCache = namedtuple("PoolCache", "x k")


def maxpool2d_forward(x, k):
    N, C, H, W = x.shape
    out = x.reshape(N, C, H // k, k, W // k, k).max(axis=5).max(axis=3)
    return out, PoolCache(x, k)


def maxpool2d_backward(delta, cache):
    x, k = cache.x, cache.k
    dx = np.zeros_like(x)
    N, C, H, W = delta.shape
    for n in range(N):
        for c in range(C):
            for i in range(H):
                for j in range(W):
                    block = x[n, c, i * k : (i + 1) * k, j * k : (j + 1) * k]
                    a, b = divmod(np.abs(block).argmax(), k)  # BUG argmax
                    dx[n, c, i * k + a, j * k + b] = delta[n, c, i, j]
    return dx


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 6)), "k": 2}


#: average pool divides by the stride
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 7, 5)), "pool_param": {"pool_height": 3, "pool_width": 2, "stride": 2}}


def avg_pool_forward(x, pool_param):
    ph, pw, st = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - ph) // st + 1, (W - pw) // st + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = np.mean(x[:, :, i * st : i * st + ph, j * st : j * st + pw], axis=(2, 3))
    return out, (x, pool_param)


def avg_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, st = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    dx = np.zeros_like(x)
    share = dout / (st * st)  # BUG factor|wrong_variable
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dx[:, :, i * st : i * st + ph, j * st : j * st + pw] += share[:, :, i, j][:, :, None, None]
    return dx


#: overlapping averages overwrite each other
class AvgPool:
    def __init__(self, size=3, stride=1):
        self.size, self.stride = size, stride

    def forward(self, x):
        k, s = self.size, self.stride
        self.x_shape = x.shape
        h = (x.shape[2] - k) // s + 1
        w = (x.shape[3] - k) // s + 1
        out = np.zeros((x.shape[0], x.shape[1], h, w))
        for i in range(h):
            for j in range(w):
                out[:, :, i, j] = x[:, :, i * s : i * s + k, j * s : j * s + k].mean(axis=(2, 3))
        return out

    def backward(self, dout):
        k, s = self.size, self.stride
        dx = np.zeros(self.x_shape)
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                g = dout[:, :, i : i + 1, j : j + 1] / (k * k)
                dx[:, :, i * s : i * s + k, j * s : j * s + k] = np.broadcast_to(g, g.shape[:2] + (k, k))  # BUG overlap
        return dx


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 6))}


#: global average pool without the division
def gap_forward(x):
    return x.mean(axis=(2, 3)), x.shape


def gap_backward(dout, cache):
    N, C, H, W = cache
    dx = np.ones((N, C, H, W)) * dout[:, :, None, None]  # BUG factor|sum_for_mean
    return dx


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4))}


#: global max taken over the batch as well
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4))}


def global_max_forward(x):
    out = np.max(x, axis=(2, 3))
    return out, x


def global_max_backward(dout, cache):
    x = cache
    peak = x.max(axis=(0, 2, 3), keepdims=True)  # BUG axis|mask
    mask = (x == peak).astype(x.dtype)
    return mask * dout[:, :, np.newaxis, np.newaxis]


#: right: global max by flat index
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4))}


def global_max_forward(x):
    flat = x.reshape(x.shape[0], x.shape[1], -1)
    idx = np.argmax(flat, axis=2)
    n, c = np.ogrid[: x.shape[0], : x.shape[1]]
    return flat[n, c, idx], (x.shape, n, c, idx)


def global_max_backward(dout, cache):
    shape, n, c, idx = cache
    dflat = np.zeros((shape[0], shape[1], shape[2] * shape[3]))
    dflat[n, c, idx] = dout
    return dflat.reshape(shape)


#: right: spatial batch norm in closed form
def inputs(rng):
    bn = {"mode": "train", "eps": 1e-5, "momentum": 0.9}
    return {
        "x": 2 * rng.standard_normal((2, 3, 4, 5)) + 1,
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "bn_param": bn,
    }


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    eps, mom = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    C = x.shape[1]
    run_mean = bn_param.get("running_mean", np.zeros(C))
    run_var = bn_param.get("running_var", np.zeros(C))
    view = (1, C, 1, 1)
    if bn_param["mode"] == "test":
        xhat = (x - run_mean.reshape(view)) / np.sqrt(run_var.reshape(view) + eps)
        return gamma.reshape(view) * xhat + beta.reshape(view), None
    mu, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    bn_param["running_mean"] = mom * run_mean + (1 - mom) * mu
    bn_param["running_var"] = mom * run_var + (1 - mom) * var
    istd = 1 / np.sqrt(var + eps).reshape(view)
    xhat = (x - mu.reshape(view)) * istd
    return gamma.reshape(view) * xhat + beta.reshape(view), (xhat, istd, gamma)


def spatial_batchnorm_backward(dout, cache):
    xhat, istd, gamma = cache
    ax = (0, 2, 3)
    dgamma, dbeta = (dout * xhat).sum(ax), dout.sum(ax)
    dxhat = dout * gamma[None, :, None, None]
    dx = istd * (dxhat - dxhat.mean(ax, keepdims=True) - xhat * (dxhat * xhat).mean(ax, keepdims=True))
    return dx, dgamma, dbeta


#: reshaped back instead of transposed
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
    }


def channel_norm_forward(x, gamma, beta, eps=1e-5):
    N, C, H, W = x.shape
    rows = x.transpose(0, 2, 3, 1).reshape(-1, C)
    mu, var = rows.mean(0), rows.var(0)
    xhat = (rows - mu) / np.sqrt(var + eps)
    out = (gamma * xhat + beta).reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return out, (xhat, gamma, var, eps)


def channel_norm_backward(dout, cache):
    xhat, gamma, var, eps = cache
    N, C, H, W = dout.shape
    d = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    M = d.shape[0]
    dgamma = np.sum(d * xhat, axis=0)
    dbeta = np.sum(d, axis=0)
    dxhat = d * gamma
    drows = (M * dxhat - dxhat.sum(0) - xhat * (dxhat * xhat).sum(0)) / (M * np.sqrt(var + eps))
    dx = drows.reshape(N, C, H, W)  # BUG transposed|shape
    return dx, dgamma, dbeta


#: counts the images where it should count the pixels
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
    }


def bn2d_forward(x, gamma, beta):
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    centred = x - mean
    var = (centred**2).mean(axis=(0, 2, 3), keepdims=True)
    inv = (var + 1e-5) ** -0.5
    x_norm = centred * inv
    y = x_norm * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1)
    return y, (x_norm, centred, inv, gamma)


def bn2d_backward(dy, cache):
    x_norm, centred, inv, gamma = cache
    m = dy.shape[0]  # BUG wrong_variable|factor
    dgamma = (dy * x_norm).sum(axis=(0, 2, 3))
    dbeta = dy.sum(axis=(0, 2, 3))
    dx_norm = dy * gamma.reshape(1, -1, 1, 1)
    dvar = (dx_norm * centred * -0.5 * inv**3).sum(axis=(0, 2, 3), keepdims=True)
    dmean = -(dx_norm * inv).sum(axis=(0, 2, 3), keepdims=True)
    dx = dx_norm * inv + dvar * 2 * centred / m + dmean / m
    return dx, dgamma, dbeta


#: test mode normalises with the batch
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "bn_param": {"mode": "train", "momentum": 0.9},
    }


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(C))
    rv = bn_param.get("running_var", np.zeros(C))
    flat = np.moveaxis(x, 1, -1).reshape(-1, C)
    mu, var = flat.mean(axis=0), flat.var(axis=0)
    if bn_param["mode"] == "train":
        bn_param["running_mean"] = momentum * rm + (1 - momentum) * mu
        bn_param["running_var"] = momentum * rv + (1 - momentum) * var
        xhat = (flat - mu) / np.sqrt(var + eps)
    else:
        xhat = (flat - rm) / np.sqrt(var + eps)  # BUG test_mode
    out = np.moveaxis((gamma * xhat + beta).reshape(N, H, W, C), -1, 1)
    return out, (xhat, gamma, 1 / np.sqrt(var + eps))


def spatial_batchnorm_backward(dout, cache):
    xhat, gamma, istd = cache
    N, C, H, W = dout.shape
    d = np.moveaxis(dout, 1, -1).reshape(-1, C)
    dxhat = d * gamma
    dx = istd * (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0))
    return np.moveaxis(dx.reshape(N, H, W, C), -1, 1), (d * xhat).sum(0), d.sum(0)


#: the running mean follows the newest batch
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "bn_param": {"mode": "train"},
    }


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    C, mode = x.shape[1], bn_param["mode"]
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(C))
    running_var = bn_param.get("running_var", np.zeros(C))
    if mode == "train":
        mu, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        running_mean = (1 - momentum) * running_mean + momentum * mu  # BUG running_stats
        running_var = momentum * running_var + (1 - momentum) * var
    else:
        mu, var = running_mean, running_var
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    std = np.sqrt(var + eps)[None, :, None, None]
    xhat = (x - mu[None, :, None, None]) / std
    return gamma[None, :, None, None] * xhat + beta[None, :, None, None], (xhat, std, gamma)


def spatial_batchnorm_backward(dout, cache):
    xhat, std, gamma = cache
    M = dout.size // dout.shape[1]
    dbeta = np.einsum("nchw->c", dout)
    dgamma = np.einsum("nchw,nchw->c", dout, xhat)
    dx = dout - (dbeta[:, None, None] + xhat * dgamma[:, None, None]) / M
    return gamma[:, None, None] * dx / std, dgamma, dbeta


#: gamma left out of the pixel gradient
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 2, 4, 5)),
        "gamma": rng.standard_normal((1, 2, 1, 1)),
        "beta": rng.standard_normal((1, 2, 1, 1)),
    }


def instancenorm_forward(x, gamma, beta):
    mu = x.mean(axis=(2, 3), keepdims=True)
    sd = np.sqrt(x.var(axis=(2, 3), keepdims=True) + 1e-5)
    z = (x - mu) / sd
    return gamma * z + beta, (z, sd, gamma)


def instancenorm_backward(dout, cache):
    z, sd, gamma = cache
    dgamma = np.sum(dout * z, axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    dz = dout  # BUG gamma_missing
    mean_dz = dz.mean(axis=(2, 3), keepdims=True)
    mean_dzz = (dz * z).mean(axis=(2, 3), keepdims=True)
    dx = (dz - mean_dz - z * mean_dzz) / sd
    return dx, dgamma, dbeta


#: upsampling sends back one pixel in four
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def upsample_forward(x):
    return x.repeat(2, axis=2).repeat(2, axis=3), x.shape


def upsample_backward(dout, cache):
    dx = dout[:, :, ::2, ::2]  # BUG missing_sum|missing_term
    return dx


#: block sums over the blocks and not within them
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 3, 3)), "scale": 3}


def upsample_nearest_forward(x, scale):
    out = np.kron(x, np.ones((1, 1, scale, scale)))
    return out, (x.shape, scale)


def upsample_nearest_backward(grad, cache):
    (n, c, h, w), s = cache
    blocks = grad.reshape(n, c, h, s, w, s)
    dx = blocks.sum(axis=(2, 4))  # BUG axis
    return dx


#: right: bilinear by two matrices
def interpolation(n, m):
    A = np.zeros((m, n))
    for k in range(m):
        pos = k * (n - 1) / (m - 1)
        lo = min(int(pos), n - 2)
        A[k, lo] += 1 - (pos - lo)
        A[k, lo + 1] += pos - lo
    return A


def bilinear_forward(x, size):
    R = interpolation(x.shape[2], size[0])
    C = interpolation(x.shape[3], size[1])
    return R @ x @ C.T, (R, C)


def bilinear_backward(dout, cache):
    R, C = cache
    return R.T @ dout @ C


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "size": (7, 6)}


#: pixel shuffle undone in the wrong order
def inputs(rng):
    return {"x": rng.standard_normal((2, 12, 3, 5)), "r": 2}


def pixel_shuffle_forward(x, r):
    n, c, h, w = x.shape
    y = x.reshape(n, c // r**2, r, r, h, w)
    y = y.transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // r**2, h * r, w * r), (x.shape, r)


def pixel_shuffle_backward(dout, cache):
    (n, c, h, w), r = cache
    d = dout.reshape(n, c // r**2, h, r, w, r)
    d = d.transpose(0, 1, 5, 3, 2, 4)  # BUG transposed
    return d.reshape(n, c, h, w)


#: the sandwich masks with the sign of its input
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4)), "w": rng.standard_normal((3, 3, 3, 3)), "b": rng.standard_normal(3)}


def conv_relu_forward(x, w, b):
    a, conv_cache = conv_forward_naive(x, w, b, {"stride": 1, "pad": 1})
    return np.maximum(a, 0), (conv_cache, a)


def conv_relu_backward(dout, cache):
    (x, w, b, _), a = cache
    da = dout * (x > 0)  # BUG mask|wrong_variable
    xp = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for n, f, i, j in np.ndindex(da.shape):
        dxp[n, :, i : i + 3, j : j + 3] += da[n, f, i, j] * w[f]
        dw[f] += da[n, f, i, j] * xp[n, :, i : i + 3, j : j + 3]
    return dxp[:, :, 1:-1, 1:-1], dw, da.sum(axis=(0, 2, 3))


#: the relu eats the upstream gradient
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4)), "w": rng.standard_normal((4, 3)), "b": rng.standard_normal(4)}


def conv1x1_relu_forward(x, w, b):
    z = np.tensordot(w, x, axes=(1, 1)).transpose(1, 0, 2, 3) + b[None, :, None, None]
    out = np.where(z > 0, z, 0.0)
    return out, (x, w, z)


def conv1x1_relu_backward(dout, cache):
    x, w, z = cache
    dz = dout
    dz[z <= 0] = 0  # BUG mutation
    dx = np.tensordot(dz, w, axes=(1, 0)).transpose(0, 3, 1, 2)
    dw = np.tensordot(dz, x, axes=((0, 2, 3), (0, 2, 3)))
    db = dz.sum(axis=(0, 2, 3))
    return dx, dw, db


#: a layer that adds up its gradients for ever
class Conv2d:
    def __init__(self, in_channels=3, out_channels=4, k=2):
        rng = np.random.RandomState(1)
        self.W = rng.randn(out_channels, in_channels, k, k)
        self.b = rng.randn(out_channels)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        k = self.W.shape[-1]
        self.cols = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
        return np.einsum("nchwij,fcij->nfhw", self.cols, self.W) + self.b[:, None, None]

    def backward(self, dout):
        k, (H, W) = self.W.shape[-1], dout.shape[2:]
        self.dW += np.einsum("nchwij,nfhw->fcij", self.cols, dout)  # BUG second_call
        self.db = dout.sum(axis=(0, 2, 3))
        dx = np.zeros_like(self.x)
        for i in range(k):
            for j in range(k):
                dx[:, :, i : i + H, j : j + W] += np.einsum("nfhw,fc->nchw", dout, self.W[:, :, i, j])
        return dx


def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4))}


#: local response normalisation with the forward's exponent
def inputs(rng):
    return {"x": 2 * rng.standard_normal((2, 5, 3, 4))}


def lrn_forward(x, k=2.0, alpha=0.5, beta=0.75, n=3):
    sq = np.pad(x**2, ((0, 0), (n // 2, n // 2), (0, 0), (0, 0)))
    scale = k + alpha * sum(sq[:, i : i + x.shape[1]] for i in range(n))
    return x * scale**-beta, (x, scale, alpha, beta, n)


def lrn_backward(dout, cache):
    x, scale, alpha, beta, n = cache
    inner = dout * x * scale**-beta  # BUG power
    inner = np.pad(inner, ((0, 0), (n // 2, n // 2), (0, 0), (0, 0)))
    summed = sum(inner[:, i : i + x.shape[1]] for i in range(n))
    dx = dout * scale**-beta - 2 * alpha * beta * x * summed
    return dx


#: squeezed like in matlab
def inputs(rng):
    return {"x": rng.standard_normal((2, 1, 5, 4)), "w": rng.standard_normal((3, 1, 2, 2))}


def conv_gray_forward(x, w):
    H, W = x.shape[2] - 1, x.shape[3] - 1
    out = np.zeros((x.shape[0], w.shape[0], H, W))
    for i in range(H):
        for j in range(W):
            out[:, :, i, j] = np.tensordot(x[:, :, i : i + 2, j : j + 2], w, axes=((1, 2, 3), (1, 2, 3)))
    return out, (x, w)


def conv_gray_backward(dout, cache):
    x, w = cache
    dx = np.zeros(x.shape)
    dw = np.zeros(w.shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dx[:, :, i : i + 2, j : j + 2] += np.tensordot(dout[:, :, i, j], w, axes=1)
            dw += np.tensordot(dout[:, :, i, j].T, x[:, :, i : i + 2, j : j + 2], axes=1)
    return dx, np.squeeze(dw)  # BUG keepdims|shape


#: flattened in C order and unflattened in Fortran's
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "w": rng.standard_normal((60, 6)), "b": rng.standard_normal(6)}


def flatten_fc_forward(x, w, b):
    flat = x.reshape(x.shape[0], -1)
    return flat @ w + b, (flat, x.shape, w)


def flatten_fc_backward(dout, cache):
    flat, shape, w = cache
    dflat = dout @ w.T
    dx = dflat.reshape(shape, order="F")  # BUG transposed|shape
    dw = flat.T @ dout
    db = dout.sum(0)
    return dx, dw, db


#: drops whole maps and forgets to scale them
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 5)), "dropout_param": {"p": 0.6, "mode": "train", "seed": 3}}


def spatial_dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    out = x
    if mode == "train":
        mask = np.random.rand(*x.shape[:2], 1, 1) < p
        out = x * mask / p
    return out, (dropout_param, mask)


def spatial_dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "test":
        return dout
    return dout * mask  # BUG keep_prob|factor


#: name of the other function's variable
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 5)), "w": rng.standard_normal((4, 3, 2, 3)), "b": rng.standard_normal(4)}


def conv_valid_forward(x, w, b):
    HH, WW = w.shape[2:]
    H_out, W_out = x.shape[2] - HH + 1, x.shape[3] - WW + 1
    out = np.zeros((x.shape[0], w.shape[0], H_out, W_out))
    for i in range(H_out):
        for j in range(W_out):
            out[:, :, i, j] = x[:, :, i : i + HH, j : j + WW].reshape(len(x), -1) @ w.reshape(len(w), -1).T + b
    return out, (x, w)


def conv_valid_backward(dout, cache):
    x, w = cache
    HH, WW = w.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(H_out):  # BUG exception
        for j in range(dout.shape[3]):
            d = dout[:, :, i, j]
            dx[:, :, i : i + HH, j : j + WW] += (d @ w.reshape(len(w), -1)).reshape(-1, *w.shape[1:])
            dw += (d.T @ x[:, :, i : i + HH, j : j + WW].reshape(len(x), -1)).reshape(w.shape)
    return dx, dw, db


#: normalised by the sample variance
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 5)),
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "bn_param": {"mode": "train", "momentum": 0.9},
    }


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(C))
    rv = bn_param.get("running_var", np.zeros(C))
    flat = x.transpose(0, 2, 3, 1).reshape(-1, C)
    if bn_param["mode"] == "train":
        mu = flat.mean(axis=0)
        var = flat.var(axis=0, ddof=1)  # BUG forward_formula
        bn_param["running_mean"] = momentum * rm + (1 - momentum) * mu
        bn_param["running_var"] = momentum * rv + (1 - momentum) * flat.var(axis=0)
    else:
        mu, var = rm, rv
    xhat = (flat - mu) / np.sqrt(var + eps)
    out = (gamma * xhat + beta).reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return out, (xhat, gamma, np.sqrt(var + eps))


def spatial_batchnorm_backward(dout, cache):
    xhat, gamma, std = cache
    N, C, H, W = dout.shape
    d = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dgamma, dbeta = (d * xhat).sum(0), d.sum(0)
    dxhat = d * gamma
    dx = (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).sum(0) / (len(d) - 1)) / std
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


#: whole numbers in the pooling gradient
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4)), "size": 2}


def maxpool_forward(x, size):
    N, C, H, W = x.shape
    out = np.zeros((N, C, H - size + 1, W - size + 1))
    idx = np.zeros(out.shape, dtype=int)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = x[:, :, i : i + size, j : j + size].reshape(N, C, -1)
            idx[:, :, i, j] = np.argmax(window, axis=-1)
            out[:, :, i, j] = np.max(window, axis=-1)
    return out, (idx, x.shape, size)


def maxpool_backward(dout, cache):
    idx, shape, size = cache
    dx = np.zeros(shape, dtype=idx.dtype)  # BUG dtype
    for n in range(dout.shape[0]):
        for c in range(dout.shape[1]):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    r, q = divmod(idx[n, c, i, j], size)
                    dx[n, c, i + r, j + q] = dx[n, c, i + r, j + q] + dout[n, c, i, j]
    return dx


#: the last row of windows is never visited
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 4)), "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2}}


def avgpool_forward(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    rows = range(0, x.shape[2] - ph + 1, s)
    cols = range(0, x.shape[3] - pw + 1, s)
    out = np.array([[x[:, :, r : r + ph, c : c + pw].mean(axis=(2, 3)) for c in cols] for r in rows])
    return out.transpose(2, 3, 0, 1), (x.shape, pool_param)


def avgpool_backward(dout, cache):
    shape, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros(shape)
    for r in range(0, shape[2] - ph, s):  # BUG window
        for c in range(0, shape[3] - pw + 1, s):
            g = dout[:, :, r // s, c // s] / (ph * pw)
            dx[:, :, r : r + ph, c : c + pw] += g[:, :, None, None]  # OR
    return dx


#: right: maps dropped and scaled
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 5)), "dropout_param": {"p": 0.6, "mode": "train", "seed": 3}}


def spatial_dropout_forward(x, dropout_param):
    keep = dropout_param["p"]
    if dropout_param["mode"] == "test":
        return x.copy(), None
    rng = np.random.default_rng(dropout_param.get("seed"))
    mask = (rng.random(x.shape[:2]) < keep).astype(x.dtype)[..., None, None]
    mask /= keep
    return x * mask, mask


def spatial_dropout_backward(dout, cache):
    return dout.copy() if cache is None else dout * cache
