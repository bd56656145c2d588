"""Convolutions: naive, by columns, by shifts, depthwise, in one dimension."""

import numpy as np


def conv_forward_naive(x, w, b, conv_param):
    pad, stride = conv_param["pad"], conv_param["stride"]
    (N, C, H, W), (F, _, R, S) = x.shape, w.shape
    xp = np.zeros((N, C, H + 2 * pad, W + 2 * pad))
    xp[:, :, pad : H + pad, pad : W + pad] = x
    OH, OW = (H + 2 * pad - R) // stride + 1, (W + 2 * pad - S) // stride + 1
    out = np.zeros((N, F, OH, OW))
    for n in range(N):
        for f in range(F):
            for i in range(OH):
                for j in range(OW):
                    patch = xp[n, :, i * stride : i * stride + R, j * stride : j * stride + S]
                    out[n, f, i, j] = (patch * w[f]).sum() + b[f]
    return out, (x, w, b, conv_param)


def conv_inputs(rng):
    return rng.standard_normal((2, 2, 4, 4)), rng.standard_normal((2, 2, 3, 3)), rng.standard_normal(2), {"stride": 1, "pad": 1}


def patches(xp, R, S, stride):
    N, C, H, W = xp.shape
    OH, OW = (H - R) // stride + 1, (W - S) // stride + 1
    cols = np.zeros((C * R * S, N * OH * OW))
    k = 0
    for n in range(N):
        for i in range(OH):
            for j in range(OW):
                cols[:, k] = xp[n, :, i * stride : i * stride + R, j * stride : j * stride + S].ravel()
                k += 1
    return cols, OH, OW


def conv_forward_cols(x, w, b, stride=2, pad=1):
    xp = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    cols, OH, OW = patches(xp, w.shape[2], w.shape[3], stride)
    y = w.reshape(len(w), -1) @ cols + b[:, None]
    return y.reshape(len(w), len(x), OH, OW).swapaxes(0, 1), dict(x=x, w=w, cols=cols, xp=xp, stride=stride, pad=pad)


def cols_inputs(rng):
    return rng.standard_normal((2, 2, 5, 5)), rng.standard_normal((3, 2, 3, 3)), rng.standard_normal(3)


#: right: naive, one position after the other
inputs = conv_inputs


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    R, S = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)))
    dxp, dw, db = np.zeros_like(xp), np.zeros_like(w), np.zeros_like(b)
    for (n, f, i, j), g in np.ndenumerate(dout):
        here = np.s_[n, :, i * stride : i * stride + R, j * stride : j * stride + S]
        dw[f] += g * xp[here]
        dxp[here] += g * w[f]
        db[f] += g
    dx = dxp[:, :, pad:-pad, pad:-pad] if pad else dxp
    return dx, dw, db


#: right: columns
inputs = cols_inputs


def conv_backward_cols(dout, cache):
    x, w, cols, stride, pad = (cache[k] for k in ("x", "w", "cols", "stride", "pad"))
    F, C, R, S = w.shape
    dy = dout.swapaxes(0, 1).reshape(F, -1)
    dw = (dy @ cols.T).reshape(w.shape)
    dcols = w.reshape(F, -1).T @ dy
    dxp = np.zeros_like(cache["xp"])
    N, _, OH, OW = dout.shape
    k = 0
    for n in range(N):
        for i in range(OH):
            for j in range(OW):
                dxp[n, :, i * stride : i * stride + R, j * stride : j * stride + S] += dcols[:, k].reshape(C, R, S)
                k += 1
    return dxp[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, dy.sum(1)


#: windows of dx overwritten
inputs = conv_inputs


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    R, S = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)))
    dxp, dw, db = np.zeros_like(xp), np.zeros_like(w), np.zeros_like(b)
    for (n, f, i, j), g in np.ndenumerate(dout):
        here = np.s_[n, :, i * stride : i * stride + R, j * stride : j * stride + S]
        dw[f] += g * xp[here]
        dxp[here] = g * w[f]  # BUG overlap
        db[f] += g
    dx = dxp[:, :, pad:-pad, pad:-pad] if pad else dxp
    return dx, dw, db


#: filters overwritten
inputs = conv_inputs


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    N, F, OH, OW = dout.shape
    R, S = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)))
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    db = dout.sum((0, 2, 3))
    for n in range(N):
        for f in range(F):
            for i in range(OH):
                for j in range(OW):
                    r, c = i * stride, j * stride
                    dw[f] = xp[n, :, r : r + R, c : c + S] * dout[n, f, i, j]  # BUG overlap
                    dxp[n, :, r : r + R, c : c + S] += w[f] * dout[n, f, i, j]
    dx = dxp[:, :, pad:-pad, pad:-pad]
    return dx, dw, db


#: cropped at the wrong end
inputs = conv_inputs


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    N, F, OH, OW = dout.shape
    _, C, R, S = w.shape
    H, W = x.shape[-2:]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(OH):
        for j in range(OW):
            r, c = i * stride, j * stride
            dw += np.einsum("nf,ncrs->fcrs", dout[:, :, i, j], xp[:, :, r : r + R, c : c + S])
            dxp[:, :, r : r + R, c : c + S] += np.einsum("nf,fcrs->ncrs", dout[:, :, i, j], w)
    dx = dxp[:, :, :H, :W]  # BUG window
    return dx, dw, np.einsum("nfij->f", dout)


#: stride forgotten in the backward
def inputs(rng):
    return rng.standard_normal((2, 2, 5, 5)), rng.standard_normal((2, 2, 3, 3)), rng.standard_normal(2), {"stride": 2, "pad": 1}


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    pad = conv_param["pad"]
    N, F, OH, OW = dout.shape
    _, C, R, S = w.shape
    H, W = x.shape[-2:]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(OH):
        for j in range(OW):
            dw += np.einsum("nf,ncrs->fcrs", dout[:, :, i, j], xp[:, :, i : i + R, j : j + S])  # BUG window
            dxp[:, :, i : i + R, j : j + S] += np.einsum("nf,fcrs->ncrs", dout[:, :, i, j], w)  # OR
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, np.einsum("nfij->f", dout)


#: input padded on one side only
inputs = conv_inputs


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    N, F, OH, OW = dout.shape
    _, C, R, S = w.shape
    H, W = x.shape[-2:]
    xp = np.pad(x, ((0, 0), (0, 0), (0, 2 * pad), (0, 2 * pad)))  # BUG window
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(OH):
        for j in range(OW):
            r, c = i * stride, j * stride
            dw += np.einsum("nf,ncrs->fcrs", dout[:, :, i, j], xp[:, :, r : r + R, c : c + S])  # OR
            dxp[:, :, r : r + R, c : c + S] += np.einsum("nf,fcrs->ncrs", dout[:, :, i, j], w)
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, np.einsum("nfij->f", dout)


#: bias by batch only
def inputs(rng):
    return rng.standard_normal((2, 2, 4, 4)), rng.standard_normal((2, 2, 3, 3)), rng.standard_normal(2), {"stride": 1, "pad": 0}


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    R, S = w.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for (n, f, i, j), g in np.ndenumerate(dout):
        dw[f] += g * x[n, :, i : i + R, j : j + S]
        dx[n, :, i : i + R, j : j + S] += g * w[f]
    db = dout.sum(axis=(0, 1, 2))  # BUG axis
    return dx, dw, db


#: mean over positions
inputs = cols_inputs


def conv_backward_cols(dout, cache):
    x, w, cols, stride, pad = (cache[k] for k in ("x", "w", "cols", "stride", "pad"))
    F, C, R, S = w.shape
    dy = dout.swapaxes(0, 1).reshape(F, -1)
    dw = (dy @ cols.T).reshape(w.shape)
    db = dy.mean(axis=1)  # BUG mean_for_sum|factor
    dcols = w.reshape(F, -1).T @ dy
    dxp = np.zeros_like(cache["xp"])
    N, _, OH, OW = dout.shape
    for k in range(N * OH * OW):
        n, i, j = np.unravel_index(k, (N, OH, OW))
        dxp[n, :, i * stride : i * stride + R, j * stride : j * stride + S] += dcols[:, k].reshape(C, R, S)
    return dxp[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, db


#: batch and filters not exchanged
def inputs(rng):
    return rng.standard_normal((3, 2, 5, 5)), rng.standard_normal((3, 2, 3, 3)), rng.standard_normal(3)


def conv_backward_cols(dout, cache):
    x, w, cols, stride, pad = (cache[k] for k in ("x", "w", "cols", "stride", "pad"))
    F, C, R, S = w.shape
    dy = dout.reshape(F, -1)  # BUG transposed|axis
    dw = (dy @ cols.T).reshape(w.shape)  # OR
    dcols = w.reshape(F, -1).T @ dy
    dxp = np.zeros_like(cache["xp"])
    N, _, OH, OW = dout.shape
    for k in range(N * OH * OW):
        n, i, j = np.unravel_index(k, (N, OH, OW))
        dxp[n, :, i * stride : i * stride + R, j * stride : j * stride + S] += dcols[:, k].reshape(C, R, S)
    return dxp[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]], dw, dout.sum((0, 2, 3))


#: columns back with =
inputs = conv_inputs


def conv_forward(x, w, b, conv_param):
    pad = conv_param["pad"]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)))
    cols, OH, OW = patches(xp, w.shape[2], w.shape[3], conv_param["stride"])
    y = w.reshape(len(w), -1) @ cols + b[:, None]
    return y.reshape(len(w), len(x), OH, OW).swapaxes(0, 1), (x, w, cols, conv_param)


def conv_backward(dout, cache):
    x, w, cols, conv_param = cache
    pad, s = conv_param["pad"], conv_param["stride"]
    (F, C, R, S), (N, _, OH, OW) = w.shape, dout.shape
    dy = dout.swapaxes(0, 1).reshape(F, -1)
    dcols = (w.reshape(F, -1).T @ dy).reshape(C, R, S, N, OH, OW)
    dxp = np.zeros((N, C, x.shape[2] + 2 * pad, x.shape[3] + 2 * pad))
    for r in range(R):
        for c in range(S):
            dxp[:, :, r : r + s * OH : s, c : c + s * OW : s] = dcols[:, r, c].swapaxes(0, 1)  # BUG overlap
    dx = dxp[:, :, pad:-pad, pad:-pad]
    return dx, (dy @ cols.T).reshape(w.shape), dy.sum(1)


#: right: columns back with +=
inputs = conv_inputs


def conv_forward(x, w, b, conv_param):
    pad = conv_param["pad"]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)))
    cols, OH, OW = patches(xp, w.shape[2], w.shape[3], conv_param["stride"])
    y = w.reshape(len(w), -1) @ cols + b[:, None]
    return y.reshape(len(w), len(x), OH, OW).swapaxes(0, 1), (x, w, cols, conv_param)


def conv_backward(dout, cache):
    x, w, cols, conv_param = cache
    pad, s = conv_param["pad"], conv_param["stride"]
    (F, C, R, S), (N, _, OH, OW) = w.shape, dout.shape
    dy = dout.swapaxes(0, 1).reshape(F, -1)
    dcols = (w.reshape(F, -1).T @ dy).reshape(C, R, S, N, OH, OW)
    dxp = np.zeros((N, C, x.shape[2] + 2 * pad, x.shape[3] + 2 * pad))
    for r in range(R):
        for c in range(S):
            dxp[:, :, r : r + s * OH : s, c : c + s * OW : s] += dcols[:, r, c].swapaxes(0, 1)
    dx = dxp[:, :, pad:-pad, pad:-pad]
    return dx, (dy @ cols.T).reshape(w.shape), dy.sum(1)


#: depthwise, one channel's filter for all
def inputs(rng):
    return rng.standard_normal((2, 3, 4, 4)), rng.standard_normal((3, 2, 2))


def depthwise_forward(x, w):
    out = 0
    for r in range(2):
        for c in range(2):
            out = out + x[:, :, r : r + 3, c : c + 3] * w[:, r, c][:, None, None]
    return out, (x, w)


def depthwise_backward(dout, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for r in range(2):
        for c in range(2):
            dw[:, r, c] = np.sum(dout * x[:, :, r : r + 3, c : c + 3], axis=(0, 2, 3))
            dx[:, :, r : r + 3, c : c + 3] += dout * w[0, r, c]  # BUG wrong_variable
    return dx, dw


#: convolution in one dimension, kernel not flipped
def inputs(rng):
    return rng.standard_normal(7), rng.standard_normal(3)


def conv1d_forward(signal, kernel):
    n, k = len(signal), len(kernel)
    y = np.array([signal[i : i + k] @ kernel for i in range(n - k + 1)])
    return y, (signal, kernel)


def conv1d_backward(dy, cache):
    signal, kernel = cache
    dsignal = np.convolve(dy, kernel[::-1], mode="full")  # BUG transposed|window|wrong_variable
    dkernel = np.correlate(signal, dy, mode="valid")
    return dsignal, dkernel


#: right: convolution in one dimension
def inputs(rng):
    return rng.standard_normal(7), rng.standard_normal(3)


def conv1d_forward(signal, kernel):
    n, k = len(signal), len(kernel)
    y = np.array([signal[i : i + k] @ kernel for i in range(n - k + 1)])
    return y, (signal, kernel)


def conv1d_backward(dy, cache):
    signal, kernel = cache
    dsignal = np.convolve(dy, kernel, mode="full")
    dkernel = np.correlate(signal, dy, mode="valid")
    return dsignal, dkernel


#: padded with the edge instead of zeros
inputs = conv_inputs


def conv_forward_naive(x, w, b, conv_param):
    pad, s = conv_param["pad"], conv_param["stride"]
    xp = np.pad(x, ((0,), (0,), (pad,), (pad,)), mode="edge")  # BUG forward_formula
    cols, OH, OW = patches(xp, w.shape[2], w.shape[3], s)
    y = w.reshape(len(w), -1) @ cols + b[:, None]
    return y.reshape(len(w), len(x), OH, OW).swapaxes(0, 1), (x, w, cols, pad, s)


def conv_backward_naive(dout, cache):
    x, w, cols, pad, s = cache
    (F, C, R, S), (N, _, OH, OW) = w.shape, dout.shape
    dy = dout.swapaxes(0, 1).reshape(F, -1)
    dcols = (w.reshape(F, -1).T @ dy).reshape(C, R, S, N, OH, OW)
    H, W = x.shape[2:]
    rows, columns = np.clip(np.arange(-pad, H + pad), 0, H - 1), np.clip(np.arange(-pad, W + pad), 0, W - 1)
    dx = np.zeros_like(x)
    for r in range(R):
        for c in range(S):
            for i in range(OH):
                for j in range(OW):
                    dx[:, :, rows[r + s * i], columns[c + s * j]] += dcols[:, r, c, :, i, j].T
    return dx, (dy @ cols.T).reshape(w.shape), dy.sum(1)
