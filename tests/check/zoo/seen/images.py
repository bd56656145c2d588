from collections import namedtuple
from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view


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
                    patch = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    out[n, f, i, j] = np.sum(patch * w[f]) + b[f]
    return out, (x, w, b, conv_param)


def max_pool_forward(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    Ho, Wo = (H - ph) // s + 1, (W - pw) // s + 1
    out = np.empty((N, C, Ho, Wo))
    for i in range(Ho):
        for j in range(Wo):
            out[:, :, i, j] = x[:, :, i * s : i * s + ph, j * s : j * s + pw].max(axis=(2, 3))
    return out, (x, pool_param)


def avg_pool_forward(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    Ho, Wo = (H - ph) // s + 1, (W - pw) // s + 1
    out = np.empty((N, C, Ho, Wo))
    for i in range(Ho):
        for j in range(Wo):
            out[:, :, i, j] = x[:, :, i * s : i * s + ph, j * s : j * s + pw].mean(axis=(2, 3))
    return out, (x, pool_param)


def im2col(x, hh, ww, stride, pad):
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    N, C, H, W = xp.shape
    oh, ow = (H - hh) // stride + 1, (W - ww) // stride + 1
    cols = np.empty((C, hh, ww, N, oh, ow))
    for a in range(hh):
        for b in range(ww):
            part = xp[:, :, a : a + stride * oh : stride, b : b + stride * ow : stride]
            cols[:, a, b] = part.transpose(1, 0, 2, 3)
    return cols.reshape(C * hh * ww, -1), oh, ow


def col2im(cols, shape, hh, ww, stride, pad):
    N, C, H, W = shape
    oh, ow = (H + 2 * pad - hh) // stride + 1, (W + 2 * pad - ww) // stride + 1
    six = cols.reshape(C, hh, ww, N, oh, ow)
    xp = np.zeros((N, C, H + 2 * pad, W + 2 * pad))
    for a in range(hh):
        for b in range(ww):
            xp[:, :, a : a + stride * oh : stride, b : b + stride * ow : stride] += six[:, a, b].transpose(1, 0, 2, 3)
    return xp[:, :, pad : pad + H, pad : pad + W]


#: right: conv, four loops
def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, F, Ho, Wo = dout.shape
    HH, WW = w.shape[2:]
    xp = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)], "constant")
    dxp, dw, db = np.zeros(xp.shape), np.zeros(w.shape), np.zeros(b.shape)
    for n in range(N):
        for f in range(F):
            for i in range(Ho):
                for j in range(Wo):
                    rows, columns = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
                    g = dout[n, f, i, j]
                    dw[f] += g * xp[n, :, rows, columns]
                    dxp[n, :, rows, columns] += g * w[f]
                    db[f] += g
    return dxp[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, db


#: right: conv im2col with strides
def unfold(x, k1, k2, s):
    n, c, h, w = x.shape
    a, b, d, e = x.strides
    return as_strided(x, (n, c, (h - k1) // s + 1, (w - k2) // s + 1, k1, k2), (a, b, d * s, e * s, d, e), writeable=False)


def conv_forward(x, w, b, conv_param):
    p, s = conv_param["pad"], conv_param["stride"]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    win = unfold(xp, w.shape[2], w.shape[3], s)
    out = np.tensordot(win, w, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2) + b[:, None, None]
    return out, SimpleNamespace(win=win, w=w, s=s, p=p, shape=xp.shape)


def conv_backward(dout, cache):
    w, s, p = cache.w, cache.s, cache.p
    dw = np.tensordot(dout, cache.win, axes=((0, 2, 3), (0, 2, 3)))
    dwin = np.tensordot(dout, w, axes=(1, 0))
    dxp = np.zeros(cache.shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dxp[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]] += dwin[:, i, j]
    H, W = cache.shape[2:]
    return dxp[:, :, p : H - p, p : W - p], dw, dout.sum(axis=(0, 2, 3))


#: right: dilated convolution, kernel loop
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 7)), "w": rng.standard_normal((4, 3, 3, 2)), "dilation": 2}


def dilated_conv_forward(x, w, dilation):
    R, S = w.shape[2:]
    H, W = x.shape[2] - dilation * (R - 1), x.shape[3] - dilation * (S - 1)
    out = 0
    for r in range(R):
        for s in range(S):
            out = out + np.einsum("nchw,fc->nfhw", x[:, :, r * dilation :, s * dilation :][:, :, :H, :W], w[:, :, r, s])
    return out, (x, w, dilation)


def dilated_conv_backward(grad, cache):
    x, w, dilation = cache
    H, W = grad.shape[2:]
    gx, gw = np.zeros_like(x), np.zeros_like(w)
    for r in range(w.shape[2]):
        for s in range(w.shape[3]):
            where = (slice(None), slice(None), slice(r * dilation, r * dilation + H), slice(s * dilation, s * dilation + W))
            gw[:, :, r, s] = np.einsum("nfhw,nchw->fc", grad, x[where])
            gx[where] += np.einsum("nfhw,fc->nchw", grad, w[:, :, r, s])
    return gx, gw


#: right: depthwise convolution
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 6, 5)), "w": rng.standard_normal((4, 3, 2)), "b": rng.standard_normal(4)}


def depthwise_conv_forward(x, w, b):
    v = sliding_window_view(x, w.shape[1:], axis=(2, 3))
    return np.einsum("nchwij,cij->nchw", v, w) + b.reshape(1, -1, 1, 1), (x, w)


def depthwise_conv_backward(dy, cache):
    x, w = cache
    k, l = w.shape[1:]
    dw = np.einsum("nchwij,nchw->cij", sliding_window_view(x, (k, l), axis=(2, 3)), dy)
    full = np.pad(dy, ((0, 0), (0, 0), (k - 1, k - 1), (l - 1, l - 1)))
    dx = np.einsum("nchwij,cij->nchw", sliding_window_view(full, (k, l), axis=(2, 3)), w[:, ::-1, ::-1])
    return dx, dw, dy.sum((0, 2, 3))


#: right: transposed convolution
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "w": rng.standard_normal((3, 4, 3, 2)), "b": rng.standard_normal(4), "stride": 2}


def conv_transpose_forward(x, w, b, stride):
    N, C, H, W = x.shape
    _, F, R, S = w.shape
    out = np.zeros((N, F, (H - 1) * stride + R, (W - 1) * stride + S))
    for i in range(H):
        for j in range(W):
            out[:, :, i * stride : i * stride + R, j * stride : j * stride + S] += np.tensordot(x[:, :, i, j], w, 1)
    return out + b[None, :, None, None], (x, w, b, stride)


def conv_transpose_backward(dout, cache):
    x, w, b, stride = cache
    R, S = w.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            piece = dout[:, :, i * stride : i * stride + R, j * stride : j * stride + S]
            dx[:, :, i, j] = np.einsum("nfrs,cfrs->nc", piece, w)
            dw += np.einsum("nc,nfrs->cfrs", x[:, :, i, j], piece)
    return dx, dw, np.sum(dout, axis=(0, 2, 3))


#: right: max pool, argmax switches
def max_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*dout.shape):
        block = x[n, c, i * s : i * s + ph, j * s : j * s + pw]
        r, q = np.unravel_index(np.argmax(block), block.shape)
        dx[n, c, i * s + r, j * s + q] += dout[n, c, i, j]
    return dx


#: right: average pool by repeating
def avg_pool_forward(x, pool_param):
    k, l = pool_param["pool_height"], pool_param["pool_width"]
    assert pool_param["stride"] == k == l
    N, C, H, W = x.shape
    return x.reshape(N, C, H // k, k, W // l, l).mean((3, 5)), (k, l)


def avg_pool_backward(dout, cache):
    k, l = cache
    return np.repeat(np.repeat(dout, k, axis=2), l, axis=3) / (k * l)


def inputs(rng):
    return {"x": rng.standard_normal((3, 2, 4, 6)), "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2}}


#: right: conv1d
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 8)), "w": rng.standard_normal((5, 3, 4)), "b": rng.standard_normal(5)}


def conv1d_forward(x, w, b):
    T = x.shape[2] - w.shape[2] + 1
    out = np.stack([np.tensordot(x[:, :, t : t + w.shape[2]], w, ([1, 2], [1, 2])) + b for t in range(T)], axis=2)
    return out, (x, w)


def conv1d_backward(delta, cache):
    x, w = cache
    K = w.shape[-1]
    dw = np.zeros(w.shape)
    dx = np.zeros(x.shape)
    for t in range(delta.shape[2]):
        dw += np.einsum("nf,nck->fck", delta[:, :, t], x[:, :, t : t + K])
        dx[:, :, t : t + K] += np.einsum("nf,fck->nck", delta[:, :, t], w)
    db = delta.sum(axis=2).sum(axis=0)
    return dx, dw, db


#: right: bilinear upsampling by matrices
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def interpolation(n):
    position = np.linspace(0, n - 1, 2 * n)
    low = np.minimum(position.astype(int), n - 2)
    part = position - low
    m = np.zeros((2 * n, n))
    m[np.arange(2 * n), low] = 1 - part
    m[np.arange(2 * n), low + 1] += part
    return m


def upsample_forward(x):
    A, B = interpolation(x.shape[2]), interpolation(x.shape[3])
    return A @ x @ B.T, (A, B)


def upsample_backward(dout, cache):
    A, B = cache
    return A.T @ dout @ B


#: right: circular padding
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 4)), "p": 2}


def wrap_pad_forward(x, p):
    return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="wrap"), (x.shape, p)


def wrap_pad_backward(dout, cache):
    (N, C, H, W), p = cache
    dx = np.zeros((N, C, H, W))
    rows, cols = np.arange(-p, H + p) % H, np.arange(-p, W + p) % W
    np.add.at(dx, (slice(None), slice(None), rows[:, None], cols[None, :]), dout)
    return dx


#: conv loops, dx assigned
def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    _, _, Ho, Wo = dout.shape
    db = np.sum(dout, axis=(0, 2, 3))
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    for n in range(N):
        for f in range(F):
            for i in range(Ho):
                for j in range(Wo):
                    hs, ws = i * stride, j * stride
                    dw[f] += xp[n, :, hs : hs + HH, ws : ws + WW] * dout[n, f, i, j]
                    dxp[n, :, hs : hs + HH, ws : ws + WW] = w[f] * dout[n, f, i, j]  # BUG overlap
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: conv loops, dw without upstream
def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    xpad = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dxpad = np.zeros(xpad.shape)
    dw = np.zeros(w.shape)
    db = np.zeros(b.shape)
    hh, ww = w.shape[2], w.shape[3]
    for n in range(dout.shape[0]):
        for f in range(dout.shape[1]):
            db[f] += dout[n, f].sum()
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    dw[f] += xpad[n, :, i * s : i * s + hh, j * s : j * s + ww]  # BUG upstream_missing
                    dxpad[n, :, i * s : i * s + hh, j * s : j * s + ww] += dout[n, f, i, j] * w[f]
    return dxpad[:, :, p : p + x.shape[2], p : p + x.shape[3]], dw, db


#: conv loops, crop fails without padding
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 5, 6)),
        "w": rng.standard_normal((4, 3, 3, 2)),
        "b": rng.standard_normal(4),
        "conv_param": {"stride": 1, "pad": 0},
    }


def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "constant")
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    HH, WW = w.shape[2:]
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            h0, w0 = i * stride, j * stride
            g = dout[:, :, i, j]
            dw += np.einsum("nf,nchw->fchw", g, xp[:, :, h0 : h0 + HH, w0 : w0 + WW])
            dxp[:, :, h0 : h0 + HH, w0 : w0 + WW] += np.einsum("nf,fchw->nchw", g, w)
    db = dout.sum((0, 2, 3))
    dx = dxp[:, :, pad:-pad, pad:-pad]  # BUG window|shape
    return dx, dw, db


#: conv loops, stride forgotten in dw
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 7, 6)),
        "w": rng.standard_normal((4, 3, 3, 2)),
        "b": rng.standard_normal(4),
        "conv_param": {"stride": 2, "pad": 1},
    }


def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    S, P = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, C, HH, WW = w.shape
    x_pad = np.pad(x, ((0, 0), (0, 0), (P, P), (P, P)), "constant")
    dx_pad, dw, db = np.zeros_like(x_pad), np.zeros_like(w), np.zeros_like(b)
    for f in range(F):
        db[f] = dout[:, f].sum()
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                g = dout[:, f, i, j][:, None, None, None]
                dw[f] += (x_pad[:, :, i : i + HH, j : j + WW] * g).sum(axis=0)  # BUG window
                dx_pad[:, :, i * S : i * S + HH, j * S : j * S + WW] += w[f] * g
    return dx_pad[:, :, P : P + H, P : P + W], dw, db


#: conv im2col, bias axes
def conv_forward(x, w, b, conv_param):
    cols, oh, ow = im2col(x, w.shape[2], w.shape[3], conv_param["stride"], conv_param["pad"])
    out = w.reshape(len(w), -1) @ cols + b.reshape(-1, 1)
    return out.reshape(len(w), len(x), oh, ow).transpose(1, 0, 2, 3), (x, w, cols, conv_param)


def conv_backward(dout, cache):
    x, w, cols, conv_param = cache
    db = dout.sum(axis=(1, 2, 3))  # BUG axis|shape
    d = dout.transpose(1, 0, 2, 3).reshape(w.shape[0], -1)
    dw = (d @ cols.T).reshape(w.shape)
    dx = col2im(w.reshape(len(w), -1).T @ d, x.shape, w.shape[2], w.shape[3], conv_param["stride"], conv_param["pad"])
    return dx, dw, db


#: conv im2col, upstream not transposed before the reshape
def conv_forward(x, w, b, conv_param):
    cols, oh, ow = im2col(x, w.shape[2], w.shape[3], conv_param["stride"], conv_param["pad"])
    out = w.reshape(len(w), -1) @ cols + b.reshape(-1, 1)
    return out.reshape(len(w), len(x), oh, ow).transpose(1, 0, 2, 3), (x, w, b, conv_param, cols)


def conv_backward(dout, cache):
    x, w, b, conv_param, cols = cache
    F, C, HH, WW = w.shape
    db = np.sum(dout, axis=(0, 2, 3))
    dout_flat = dout.reshape(F, -1)  # BUG transposed
    dw = dout_flat.dot(cols.T).reshape(w.shape)
    dcols = w.reshape(F, -1).T.dot(dout_flat)
    dx = col2im(dcols, x.shape, HH, WW, conv_param["stride"], conv_param["pad"])
    return dx, dw, db


#: conv im2col, dw reshaped from its transpose
def conv_forward(x, w, b, conv_param):
    cols, oh, ow = im2col(x, w.shape[2], w.shape[3], conv_param["stride"], conv_param["pad"])
    out = w.reshape(len(w), -1) @ cols + b[:, np.newaxis]
    cache = {"cols": cols, "w": w, "shape": x.shape, "conv_param": conv_param}
    return out.reshape(len(w), len(x), oh, ow).transpose(1, 0, 2, 3), cache


def conv_backward(upstream, cache):
    w, cols = cache["w"], cache["cols"]
    stride, pad = cache["conv_param"]["stride"], cache["conv_param"]["pad"]
    flat = upstream.swapaxes(0, 1).reshape(w.shape[0], -1)
    grad_b = flat.sum(axis=1)
    grad_w = cols.dot(flat.T).reshape(w.shape)  # BUG transposed|shape
    grad_cols = np.dot(w.reshape(w.shape[0], -1).T, flat)
    grad_x = col2im(grad_cols, cache["shape"], w.shape[2], w.shape[3], stride, pad)
    return grad_x, grad_w, grad_b


#: conv einsum, kernel not flipped
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 6)), "w": rng.standard_normal((4, 3, 3, 2))}


def conv2d_forward(x, w):
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, w), (windows, w)


def conv2d_backward(dout, cache):
    windows, w = cache
    i, j = w.shape[2:]
    dw = np.einsum("nchwij,nfhw->fcij", windows, dout)
    padded = np.pad(dout, ((0, 0), (0, 0), (i - 1, i - 1), (j - 1, j - 1)))
    dwindows = sliding_window_view(padded, (i, j), axis=(2, 3))
    dx = np.einsum("nfhwij,fcij->nchw", dwindows, w)  # BUG transposed|operation
    return dx, dw


#: conv bias over the batch only
def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    H, W = x.shape[2:]
    HH, WW = w.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "constant")
    dw, dxp = np.zeros_like(w), np.zeros_like(xp)
    db = dout.sum(axis=0)  # BUG missing_sum|axis|shape
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            h, v = i * stride, j * stride
            dw += np.tensordot(dout[:, :, i, j], xp[:, :, h : h + HH, v : v + WW], axes=(0, 0))
            dxp[:, :, h : h + HH, v : v + WW] += np.tensordot(dout[:, :, i, j], w, axes=(1, 0))
    return dxp[:, :, pad : H + pad, pad : W + pad], dw, db


#: conv in single precision
def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    n, c, height, width = x.shape
    f, _, kh, kw = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    grad_padded = np.zeros_like(padded)
    grad_w = np.zeros(w.shape, dtype=np.float32)  # BUG dtype
    for row in range(dout.shape[2]):
        for col in range(dout.shape[3]):
            top, left = row * stride, col * stride
            window = padded[:, :, top : top + kh, left : left + kw]
            for k in range(f):
                g = dout[:, k, row, col].reshape(n, 1, 1, 1)
                grad_w[k] += np.sum(window * g, axis=0)
                grad_padded[:, :, top : top + kh, left : left + kw] += w[k] * g
    grad_x = grad_padded[:, :, pad : pad + height, pad : pad + width]
    return grad_x, grad_w, dout.sum(axis=(0, 2, 3))


#: conv forward loses the last row
def conv_forward(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    Ho = (H + 2 * pad - HH) // stride  # BUG forward_formula|window|shape
    Wo = (W + 2 * pad - WW) // stride + 1
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    out = np.zeros((N, F, Ho, Wo))
    for i in range(Ho):
        for j in range(Wo):
            patch = xp[:, None, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            out[:, :, i, j] = np.sum(patch * w, axis=(2, 3, 4)) + b
    return out, (x, w, b, conv_param)


def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    HH, WW = w.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    dw, dxp = np.zeros_like(w), np.zeros_like(xp)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            h, v = i * stride, j * stride
            g = dout[:, :, i, j, None, None, None]
            dw += np.sum(g * xp[:, None, :, h : h + HH, v : v + WW], axis=0)
            dxp[:, :, h : h + HH, v : v + WW] += np.sum(g * w, axis=1)
    return dxp[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, np.sum(dout, axis=(0, 2, 3))


#: conv cache popped
def conv_forward(x, w, b, conv_param):
    cols, oh, ow = im2col(x, *w.shape[2:], conv_param["stride"], conv_param["pad"])
    out = (w.reshape(len(w), -1) @ cols + b[:, None]).reshape(len(w), len(x), oh, ow).transpose(1, 0, 2, 3)
    return out, [conv_param, x.shape, w, cols]


def conv_backward(dout, cache):
    cols = cache.pop()  # BUG mutation|second_call
    conv_param, shape, w = cache[:3]
    g = dout.transpose(1, 0, 2, 3).reshape(len(w), -1)
    dx = col2im(w.reshape(len(w), -1).T @ g, shape, *w.shape[2:], conv_param["stride"], conv_param["pad"])
    return dx, (g @ cols.T).reshape(w.shape), g.sum(1)


#: pointwise convolution, channels left last
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 6)), "w": rng.standard_normal((4, 3))}


def conv1x1_forward(x, w):
    return np.moveaxis(np.tensordot(x, w, axes=([1], [1])), -1, 1), (x, w)


def conv1x1_backward(dout, cache):
    x, w = cache
    dw = np.tensordot(dout, x, axes=([0, 2, 3], [0, 2, 3]))
    dx = np.tensordot(dout, w, axes=([1], [0]))  # BUG shape|transposed
    return dx, dw


#: depthwise, last sample only
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 6, 5)), "w": rng.standard_normal((4, 3, 2))}


def depthwise_forward(x, w):
    N, C, H, W = x.shape
    _, kh, kw = w.shape
    out = np.zeros((N, C, H - kh + 1, W - kw + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = (x[:, :, i : i + kh, j : j + kw] * w).sum(axis=(-1, -2))
    return out, (x, w)


def depthwise_backward(dout, cache):
    x, w = cache
    _, kh, kw = w.shape
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for a in range(kh):
                for b in range(kw):
                    piece = x[n, c, a : a + dout.shape[2], b : b + dout.shape[3]]
                    dw[c, a, b] = np.sum(piece * dout[n, c])  # BUG overlap|missing_sum
                    dx[n, c, a : a + dout.shape[2], b : b + dout.shape[3]] += w[c, a, b] * dout[n, c]
    return dx, dw


#: separable, pointwise weights from the input
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6, 5)), "dw": rng.standard_normal((3, 2)), "pw": rng.standard_normal((4, 3))}


SepCache = namedtuple("SepCache", "x mid dw pw")


def separable_forward(x, dw, pw):
    W = x.shape[3] - dw.shape[1] + 1
    mid = sum(x[..., k : k + W] * dw[:, k].reshape(-1, 1, 1) for k in range(dw.shape[1]))
    return np.einsum("fc,nchw->nfhw", pw, mid), SepCache(x, mid, dw, pw)


def separable_backward(g, cache):
    W = g.shape[3]
    g_pw = np.einsum("nfhw,nchw->fc", g, cache.x[..., :W])  # BUG wrong_variable
    g_mid = np.einsum("fc,nfhw->nchw", cache.pw, g)
    g_x, g_dw = np.zeros_like(cache.x), np.zeros_like(cache.dw)
    for k in range(cache.dw.shape[1]):
        g_x[..., k : k + W] += g_mid * cache.dw[:, k].reshape(-1, 1, 1)
        g_dw[:, k] = np.sum(g_mid * cache.x[..., k : k + W], axis=(0, 2, 3))
    return g_x, g_dw, g_pw


#: transposed convolution, stride forgotten
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "w": rng.standard_normal((3, 4, 3, 2)), "stride": 2}


def deconv_forward(x, w, stride):
    N, C, H, W = x.shape
    _, F, R, S = w.shape
    out = np.zeros((N, F, (H - 1) * stride + R, (W - 1) * stride + S))
    for n in range(N):
        for i in range(H):
            for j in range(W):
                for c in range(C):
                    out[n, :, i * stride : i * stride + R, j * stride : j * stride + S] += x[n, c, i, j] * w[c]
    return out, (x, w, stride)


def deconv_backward(dout, cache):
    x, w, stride = cache
    R, S = w.shape[2:]
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    patch = dout[n, :, i : i + R, j : j + S]  # BUG window
                    dx[n, c, i, j] = np.sum(patch * w[c])
                    dw[c] += patch * x[n, c, i, j]
    return dx, dw


#: conv1d, bias keeps its dimensions
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 7)), "w": rng.standard_normal((5, 3, 4)), "b": rng.standard_normal(5)}


def conv1d_forward(x, w, b):
    win = sliding_window_view(x, w.shape[2], axis=2)
    return np.einsum("nctk,fck->nft", win, w) + b[None, :, None], (x, w, win)


def conv1d_backward(dout, cache):
    x, w, win = cache
    db = np.sum(dout, axis=(0, 2), keepdims=True)  # BUG shape|keepdims
    dw = np.einsum("nft,nctk->fck", dout, win)
    dx = np.zeros_like(x)
    for k in range(w.shape[2]):
        dx[:, :, k : k + dout.shape[2]] += np.einsum("nft,fc->nct", dout, w[:, :, k])
    return dx, dw, db


#: causal conv1d, wrong end cut off
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 7)), "kernel": rng.standard_normal((5, 3, 4))}


def causal_conv_forward(x, kernel):
    K = kernel.shape[-1]
    xp = np.concatenate([np.zeros(x.shape[:2] + (K - 1,)), x], axis=2)
    out = np.zeros((x.shape[0], kernel.shape[0], x.shape[2]))
    for t in range(x.shape[2]):
        out[:, :, t] = np.einsum("nck,fck->nf", xp[:, :, t : t + K], kernel)
    return out, (xp, kernel)


def causal_conv_backward(dout, cache):
    xp, kernel = cache
    K, T = kernel.shape[-1], dout.shape[-1]
    dkernel, dxp = np.zeros_like(kernel), np.zeros_like(xp)
    for t in range(T):
        dkernel += np.einsum("nf,nck->fck", dout[:, :, t], xp[:, :, t : t + K])
        dxp[:, :, t : t + K] += np.einsum("nf,fck->nck", dout[:, :, t], kernel)
    dx = dxp[:, :, :T]  # BUG window
    return dx, dkernel


#: max pool, every tie paid
def max_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for n in range(dout.shape[0]):
        for c in range(dout.shape[1]):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    window = x[n, c, i * stride : i * stride + ph, j * stride : j * stride + pw]
                    mask = window == np.max(window)  # BUG ties
                    dx[n, c, i * stride : i * stride + ph, j * stride : j * stride + pw] += mask * dout[n, c, i, j]
    return dx


#: max pool, flat index split by the height
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 9)), "pool_param": {"pool_height": 2, "pool_width": 3, "stride": 2}}


def max_pool_backward(dout, cache):
    x, p = cache
    s = p["stride"]
    dx = np.zeros(x.shape)
    for n in range(dout.shape[0]):
        for c in range(dout.shape[1]):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    flat = x[n, c, i * s : i * s + p["pool_height"], j * s : j * s + p["pool_width"]].argmax()
                    r, q = divmod(flat, p["pool_height"])  # BUG argmax|wrong_variable
                    dx[n, c, i * s + r, j * s + q] += dout[n, c, i, j]
    return dx


#: max pool, overlapping windows assigned
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5, 7)), "pool_param": {"pool_height": 3, "pool_width": 3, "stride": 1}}


def max_pool_backward(dout, cache):
    x, pool_param = cache
    HH, WW, S = [pool_param[k] for k in ("pool_height", "pool_width", "stride")]
    N, C, Ho, Wo = dout.shape
    dx = np.zeros_like(x)
    ns, cs = np.ogrid[:N, :C]
    for i in range(Ho):
        for j in range(Wo):
            idx = x[:, :, i * S : i * S + HH, j * S : j * S + WW].reshape(N, C, -1).argmax(axis=2)
            dx[ns, cs, i * S + idx // WW, j * S + idx % WW] = dout[:, :, i, j]  # BUG overlap
    return dx


#: max pool, cached input shifted in place
def max_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        window = x[n, c, i * s : i * s + ph, j * s : j * s + pw]
        window -= window.max()  # BUG mutation
        best = np.argmax(window)
        dx[n, c, i * s + best // pw, j * s + best % pw] += dout[n, c, i, j]
    return dx


#: max pool by reshaping, upstream forgotten
def inputs(rng):
    return {"x": rng.standard_normal((3, 2, 4, 6)), "pool_param": {"pool_height": 2, "pool_width": 2, "stride": 2}}


def max_pool_forward(x, pool_param):
    k = pool_param["stride"]
    N, C, H, W = x.shape
    blocks = x.reshape(N, C, H // k, k, W // k, k)
    out = blocks.max(axis=3).max(axis=4)
    return out, (x, blocks, out)


def max_pool_backward(dout, cache):
    x, blocks, out = cache
    mask = blocks == out[:, :, :, None, :, None]
    share = mask / mask.sum(axis=(3, 5), keepdims=True)
    dx = (share * np.ones_like(dout)[:, :, :, None, :, None]).reshape(x.shape)  # BUG upstream_missing
    return dx


#: average pool, not divided
def avg_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dx[:, :, i * s : i * s + ph, j * s : j * s + pw] += dout[:, :, i : i + 1, j : j + 1]  # BUG factor|sum_for_mean
    return dx


#: average pool, height squared
def inputs(rng):
    return {"x": rng.standard_normal((3, 2, 4, 7)), "pool_param": {"pool_height": 2, "pool_width": 3, "stride": 2}}


def avg_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    g = dout / (ph * ph)  # BUG factor|wrong_variable
    for a in range(ph):
        for b in range(pw):
            dx[:, :, a : a + s * g.shape[2] : s, b : b + s * g.shape[3] : s] += g
    return dx


#: global average, divided by the whole batch
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def global_avg_pool_forward(x):
    return x.mean(axis=(2, 3)), x


def global_avg_pool_backward(dout, x):
    return np.ones_like(x) * dout[:, :, None, None] / x[0].size  # BUG factor


#: global max, maximum over the channels
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def global_max_pool_forward(x):
    out = np.max(x, axis=(2, 3))
    return out, (x, out)


def global_max_pool_backward(dout, cache):
    x, out = cache
    mask = x == np.max(x, axis=1, keepdims=True)  # BUG mask|axis|argmax
    return mask * dout[:, :, np.newaxis, np.newaxis]


#: nearest upsampling, one of four
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "scale": 2}


def upsample_forward(x, scale):
    return x.repeat(scale, axis=2).repeat(scale, axis=3), scale


def upsample_backward(dout, scale):
    return dout[:, :, ::scale, ::scale]  # BUG missing_sum|missing_term


#: nearest upsampling, mean
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "k": 3}


def unpool_forward(x, k):
    return np.kron(x, np.ones((k, k))), (x.shape, k)


def unpool_backward(delta, cache):
    (N, C, H, W), k = cache
    return delta.reshape(N, C, H, k, W, k).mean(axis=(3, 5))  # BUG mean_for_sum|factor


#: padding layer, height for width
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "pads": (1, 2)}


def zero_pad_forward(x, pads):
    a, b = pads
    out = np.zeros((x.shape[0], x.shape[1], x.shape[2] + 2 * a, x.shape[3] + 2 * b))
    out[:, :, a : a + x.shape[2], b : b + x.shape[3]] = x
    return out, (x.shape, pads)


def zero_pad_backward(dout, cache):
    (N, C, H, W), (a, b) = cache
    dx = dout[:, :, a : a + H, a : a + W].copy()  # BUG window|wrong_variable
    return dx


#: reflection padding, border forgotten
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 5))}


def reflect_pad_forward(x):
    return np.concatenate([x[:, :, 1:2], x, x[:, :, -2:-1]], axis=2), x.shape


def reflect_pad_backward(dout, shape):
    dx = np.zeros(shape)
    dx += dout[:, :, 1:-1]  # OR
    dx[:, :, 1] += dout[:, :, 0]  # OR
    return dx  # BUG missing_term
