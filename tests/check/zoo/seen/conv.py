"""Naive and im2col convolutions."""

import numpy as np


def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out = 1 + (H + 2 * pad - HH) // stride
    W_out = 1 + (W + 2 * pad - WW) // stride
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    out = np.zeros((N, F, H_out, W_out), dtype=x.dtype)
    for i in range(H_out):
        for j in range(W_out):
            window = x_pad[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            for f in range(F):
                out[:, f, i, j] = np.sum(window * w[f], axis=(1, 2, 3)) + b[f]
    return out, (x, w, b, conv_param)


def im2col(x, HH, WW, stride, pad):
    N, C, H, W = x.shape
    H_out, W_out = 1 + (H + 2 * pad - HH) // stride, 1 + (W + 2 * pad - WW) // stride
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    cols = np.empty((N, H_out, W_out, C, HH, WW), dtype=x.dtype)
    for a in range(HH):
        for c in range(WW):
            cols[:, :, :, :, a, c] = xp[:, :, a : a + stride * H_out : stride, c : c + stride * W_out : stride].transpose(0, 2, 3, 1)
    return cols.reshape(N * H_out * W_out, C * HH * WW), H_out, W_out


def conv_forward(x, w, b, stride=1, pad=0):
    N, F = x.shape[0], w.shape[0]
    cols, H_out, W_out = im2col(x, w.shape[2], w.shape[3], stride, pad)
    res = cols @ w.reshape(F, -1).T + b
    out = res.reshape(N, H_out, W_out, F).transpose(0, 3, 1, 2)
    return out, (x, w, b, stride, pad, cols)


#: right: windows over positions
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    F, _, HH, WW = w.shape
    H, W = x.shape[2:]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, columns = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
            window = x_pad[:, :, rows, columns]
            for f in range(F):
                d = dout[:, f, i, j][:, None, None, None]
                dw[f] += np.sum(window * d, axis=0)
                dx_pad[:, :, rows, columns] += w[f] * d
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: right: four loops
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], "constant")
    for n in range(N):
        dxn = np.zeros_like(xp[n])
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    y0, x0 = i * s, j * s
                    db[f] += dout[n, f, i, j]
                    dw[f] += xp[n, :, y0 : y0 + HH, x0 : x0 + WW] * dout[n, f, i, j]
                    dxn[:, y0 : y0 + HH, x0 : x0 + WW] += w[f] * dout[n, f, i, j]
        dx[n] = dxn[:, p : p + H, p : p + W]
    return dx, dw, db


#: right: im2col
def conv_backward(dout, cache):
    x, w, b, stride, pad, cols = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out, W_out = dout.shape[2:]
    drows = dout.transpose(0, 2, 3, 1).reshape(-1, F)
    db = drows.sum(axis=0)
    dw = (drows.T @ cols).reshape(w.shape)
    dcols = (drows @ w.reshape(F, -1)).reshape(N, H_out, W_out, C, HH, WW)
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad), dtype=x.dtype)
    for a in range(HH):
        for c in range(WW):
            dxp[:, :, a : a + stride * H_out : stride, c : c + stride * W_out : stride] += dcols[:, :, :, :, a, c].transpose(0, 3, 1, 2)
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: overlap overwritten in the input
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    F, _, HH, WW = w.shape
    H, W = x.shape[2:]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, columns = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
            window = x_pad[:, :, rows, columns]
            for f in range(F):
                d = dout[:, f, i, j][:, None, None, None]
                dw[f] += np.sum(window * d, axis=0)
                dx_pad[:, :, rows, columns] = w[f] * d  # BUG overlap
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: weights overwritten
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], "constant")
    for n in range(N):
        dxn = np.zeros_like(xp[n])
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    y0, x0 = i * s, j * s
                    db[f] += dout[n, f, i, j]
                    dw[f] = xp[n, :, y0 : y0 + HH, x0 : x0 + WW] * dout[n, f, i, j]  # BUG overlap
                    dxn[:, y0 : y0 + HH, x0 : x0 + WW] += w[f] * dout[n, f, i, j]
        dx[n] = dxn[:, p : p + H, p : p + W]
    return dx, dw, db


#: padding not removed
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    F, _, HH, WW = w.shape
    H, W = x.shape[2:]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, columns = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
            window = x_pad[:, :, rows, columns]
            for f in range(F):
                d = dout[:, f, i, j][:, None, None, None]
                dw[f] += np.sum(window * d, axis=0)
                dx_pad[:, :, rows, columns] += w[f] * d
    dx = dx_pad[:, :, :H, :W]  # BUG window
    return dx, dw, db


#: padding removed off by one
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], "constant")
    for n in range(N):
        dxn = np.zeros_like(xp[n])
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    y0, x0 = i * s, j * s
                    db[f] += dout[n, f, i, j]
                    dw[f] += xp[n, :, y0 : y0 + HH, x0 : x0 + WW] * dout[n, f, i, j]
                    dxn[:, y0 : y0 + HH, x0 : x0 + WW] += w[f] * dout[n, f, i, j]
        dx[n] = dxn[:, p - 1 : p - 1 + H, p : p + W]  # BUG window
    return dx, dw, db


#: stride forgotten in the rows
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], "constant")
    for n in range(N):
        dxn = np.zeros_like(xp[n])
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    y0, x0 = i, j * s  # BUG window
                    db[f] += dout[n, f, i, j]
                    dw[f] += xp[n, :, y0 : y0 + HH, x0 : x0 + WW] * dout[n, f, i, j]
                    dxn[:, y0 : y0 + HH, x0 : x0 + WW] += w[f] * dout[n, f, i, j]
        dx[n] = dxn[:, p : p + H, p : p + W]
    return dx, dw, db


#: windows of x without padding
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    F, _, HH, WW = w.shape
    H, W = x.shape[2:]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, columns = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
            window = x_pad[:, :, rows, columns]
            for f in range(F):
                d = dout[:, f, i, j][:, None, None, None]
                dw[f] += np.sum(window * d, axis=0)
                dx_pad[:, :, rows, columns] += w[f] + d  # BUG operation
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: bias summed over too little
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    F, _, HH, WW = w.shape
    H, W = x.shape[2:]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = dout.sum(axis=(2, 3))  # BUG axis|missing_sum
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, columns = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
            window = x_pad[:, :, rows, columns]
            for f in range(F):
                d = dout[:, f, i, j][:, None, None, None]
                dw[f] += np.sum(window * d, axis=0)
                dx_pad[:, :, rows, columns] += w[f] * d
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: only the first sample in dw
def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    F, _, HH, WW = w.shape
    H, W = x.shape[2:]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad = np.zeros_like(x_pad)
    dw = np.zeros_like(w)
    db = dout.sum(axis=(0, 2, 3))
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, columns = slice(i * stride, i * stride + HH), slice(j * stride, j * stride + WW)
            window = x_pad[:, :, rows, columns]
            for f in range(F):
                d = dout[:, f, i, j][:, None, None, None]
                dw[f] += np.mean(window * d, axis=0)  # BUG mean_for_sum|factor
                dx_pad[:, :, rows, columns] += w[f] * d
    dx = dx_pad[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: im2col, dw transposed before the reshape
def conv_backward(dout, cache):
    x, w, b, stride, pad, cols = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out, W_out = dout.shape[2:]
    drows = dout.transpose(0, 2, 3, 1).reshape(-1, F)
    db = drows.sum(axis=0)
    dw = (cols.T @ drows).reshape(w.shape)  # BUG transposed
    dcols = (drows @ w.reshape(F, -1)).reshape(N, H_out, W_out, C, HH, WW)
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad), dtype=x.dtype)
    for a in range(HH):
        for c in range(WW):
            dxp[:, :, a : a + stride * H_out : stride, c : c + stride * W_out : stride] += dcols[:, :, :, :, a, c].transpose(0, 3, 1, 2)
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: im2col, rows of the upstream gradient in the wrong order
def conv_backward(dout, cache):
    x, w, b, stride, pad, cols = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out, W_out = dout.shape[2:]
    drows = dout.transpose(2, 3, 0, 1).reshape(-1, F)  # BUG transposed
    db = drows.sum(axis=0)
    dw = (drows.T @ cols).reshape(w.shape)
    dcols = (drows @ w.reshape(F, -1)).reshape(N, H_out, W_out, C, HH, WW)
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad), dtype=x.dtype)
    for a in range(HH):
        for c in range(WW):
            dxp[:, :, a : a + stride * H_out : stride, c : c + stride * W_out : stride] += dcols[:, :, :, :, a, c].transpose(0, 3, 1, 2)
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: im2col, columns put back without adding
def conv_backward(dout, cache):
    x, w, b, stride, pad, cols = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out, W_out = dout.shape[2:]
    drows = dout.transpose(0, 2, 3, 1).reshape(-1, F)
    db = drows.sum(axis=0)
    dw = (drows.T @ cols).reshape(w.shape)
    dcols = (drows @ w.reshape(F, -1)).reshape(N, H_out, W_out, C, HH, WW)
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad), dtype=x.dtype)
    for a in range(HH):
        for c in range(WW):
            dxp[:, :, a : a + stride * H_out : stride, c : c + stride * W_out : stride] = dcols[:, :, :, :, a, c].transpose(0, 3, 1, 2)  # BUG overlap
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: im2col, kernel height and width swapped on the way back
def conv_backward(dout, cache):
    x, w, b, stride, pad, cols = cache
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out, W_out = dout.shape[2:]
    drows = dout.transpose(0, 2, 3, 1).reshape(-1, F)
    db = drows.sum(axis=0) / N  # BUG factor
    dw = (drows.T @ cols).reshape(w.shape)
    dcols = (drows @ w.reshape(F, -1)).reshape(N, H_out, W_out, C, HH, WW)
    dxp = np.zeros((N, C, H + 2 * pad, W + 2 * pad), dtype=x.dtype)
    for a in range(HH):
        for c in range(WW):
            dxp[:, :, a : a + stride * H_out : stride, c : c + stride * W_out : stride] += dcols[:, :, :, :, a, c].transpose(0, 3, 1, 2)
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: forward pads on one side only in effect
def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out = 1 + (H + 2 * pad - HH) // stride
    W_out = 1 + (W + 2 * pad - WW) // stride
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    out = np.zeros((N, F, H_out, W_out), dtype=x.dtype)
    for i in range(H_out):
        for j in range(W_out):
            window = x_pad[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            for f in range(F):
                out[:, f, i, j] = np.sum(window * w[f], axis=(1, 2, 3)) - b[f]  # BUG forward_formula
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], "constant")
    for n in range(N):
        dxn = np.zeros_like(xp[n])
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    db[f] -= dout[n, f, i, j]
                    dw[f] += xp[n, :, i * s : i * s + HH, j * s : j * s + WW] * dout[n, f, i, j]
                    dxn[:, i * s : i * s + HH, j * s : j * s + WW] += w[f] * dout[n, f, i, j]
        dx[n] = dxn[:, p : p + H, p : p + W]
    return dx, dw, db
