"""Sequences and blocks: recurrent steps, attention, embeddings, residual and gated blocks, and small autograd classes."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


#: right: rnn step
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "prev_h": rng.standard_normal((4, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x.dot(Wx) + prev_h.dot(Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h) * (1 + next_h)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(0)


#: rnn step squares nothing
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "prev_h": rng.standard_normal((4, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    a = np.dot(x, Wx) + np.dot(prev_h, Wh) + b
    next_h = np.tanh(a)
    cache = (x, prev_h, Wx, Wh, next_h)
    return next_h, cache


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h)  # BUG power|function
    db = np.sum(da, axis=0)
    dWx = np.dot(x.T, da)
    dWh = np.dot(prev_h.T, da)
    dx = np.dot(da, Wx.T)
    dprev_h = np.dot(da, Wh.T)
    return dx, dprev_h, dWx, dWh, db


#: the square recurrent matrix is not turned
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 4)),
        "h": rng.standard_normal((3, 6)),
        "W": rng.standard_normal((4, 6)),
        "U": rng.standard_normal((6, 6)),
        "b": rng.standard_normal(6),
    }


def elman_forward(x, h, W, U, b):
    s = np.tanh(x @ W + h @ U + b)
    return s, {"x": x, "h": h, "W": W, "U": U, "s": s}


def elman_backward(ds, cache):
    s = cache["s"]
    dz = (1 - s * s) * ds
    dW = cache["x"].T @ dz
    dU = cache["h"].T @ dz
    db = dz.sum(axis=0)
    dx = dz @ cache["W"].T
    dh = dz @ cache["U"]  # BUG transposed
    return dx, dh, dW, dU, db


#: right: whole rnn
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3)),
        "h0": rng.standard_normal((2, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": 0.5 * rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh, db = np.empty_like(x), 0, 0, 0
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        da = (dh[:, t] + carry) * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx = dWx + x[:, t].T @ da
        dWh = dWh + hs[t].T @ da
        db = db + da.sum(0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: nothing flows back through time
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3)),
        "h0": rng.standard_normal((2, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": 0.5 * rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    prev = h0
    for t in range(T):
        prev = np.tanh(x[:, t, :] @ Wx + prev @ Wh + b)
        h[:, t, :] = prev
    return h, (x, h0, h, Wx, Wh)


def rnn_backward(dh, cache):
    x, h0, h, Wx, Wh = cache
    N, T, H = dh.shape
    dx = np.zeros_like(x)
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(H)
    dprev = np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        dcur = dh[:, t, :]  # BUG missing_term
        da = dcur * (1 - h[:, t, :] ** 2)
        last = h0 if t == 0 else h[:, t - 1, :]
        dx[:, t, :] = da @ Wx.T
        dWx += x[:, t, :].T @ da
        dWh += last.T @ da
        db += da.sum(axis=0)
        dprev = da @ Wh.T
    return dx, dprev, dWx, dWh, db


#: only the first step teaches the recurrent matrix
def inputs(rng):
    return {
        "xs": rng.standard_normal((5, 3)),
        "Wxh": rng.standard_normal((4, 3)),
        "Whh": 0.4 * rng.standard_normal((4, 4)),
    }


def charrnn_forward(xs, Wxh, Whh):
    hs = {-1: np.zeros(len(Whh))}
    for t in range(len(xs)):
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]))
    return np.array([hs[t] for t in range(len(xs))]), (xs, hs, Wxh, Whh)


def charrnn_backward(dhs, cache):
    xs, hs, Wxh, Whh = cache
    dxs, dWxh, dWhh = np.zeros_like(xs), np.zeros_like(Wxh), np.zeros_like(Whh)
    dhnext = np.zeros_like(hs[0])
    for t in reversed(range(len(xs))):
        dh = dhs[t] + dhnext  # backprop into h
        dhraw = (1 - hs[t] * hs[t]) * dh
        dWxh += np.outer(dhraw, xs[t])
        dWhh = np.outer(dhraw, hs[t - 1])  # BUG overlap|missing_sum
        dxs[t] = np.dot(Wxh.T, dhraw)
        dhnext = np.dot(Whh.T, dhraw)
    return dxs, dWxh, dWhh


#: this state where the last one belongs
def inputs(rng):
    return {
        "xs": rng.standard_normal((5, 3)),
        "Wxh": rng.standard_normal((4, 3)),
        "Whh": 0.4 * rng.standard_normal((4, 4)),
    }


def vanilla_forward(xs, Wxh, Whh):
    h = np.zeros((len(xs) + 1, len(Whh)))
    for t, x in enumerate(xs):
        h[t + 1] = np.tanh(Wxh @ x + Whh @ h[t])
    return h[1:], (xs, h, Wxh, Whh)


def vanilla_backward(grad_h, cache):
    xs, h, Wxh, Whh = cache
    grads = np.zeros_like(h)
    grads[1:] = grad_h
    delta = np.zeros_like(grad_h)
    for t in range(len(xs) - 1, -1, -1):
        delta[t] = grads[t + 1] * (1 - h[t + 1] ** 2)
        grads[t] += Whh.T @ delta[t]
    dxs = delta @ Wxh
    dWxh = delta.T @ xs
    dWhh = delta.T @ h[1:]  # BUG wrong_variable|window
    return dxs, dWxh, dWhh


#: the caches are popped and gone
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3)),
        "W": rng.standard_normal((3, 5)),
        "U": 0.5 * rng.standard_normal((5, 5)),
    }


def step_forward(x, h, W, U):
    new = np.tanh(x @ W + h @ U)
    return new, (x, h, W, U, new)


def step_backward(d, cache):
    x, h, W, U, new = cache
    da = d * (1 - new * new)
    return da @ W.T, da @ U.T, x.T @ da, h.T @ da


def unrolled_forward(x, W, U):
    h, out, caches = np.zeros((len(x), len(U))), [], []
    for t in range(x.shape[1]):
        h, c = step_forward(x[:, t], h, W, U)
        out.append(h)
        caches.append(c)
    return np.stack(out, 1), (x.shape, W, U, caches)


def unrolled_backward(dout, cache):
    shape, W, U, caches = cache
    dx, dW, dU = np.zeros(shape), np.zeros_like(W), np.zeros_like(U)
    dh = np.zeros((shape[0], len(U)))
    for t in reversed(range(shape[1])):
        dx[:, t], dh, dw_t, du_t = step_backward(dout[:, t] + dh, caches.pop())  # BUG mutation|second_call
        dW += dw_t
        dU += du_t
    return dx, dW, dU


#: the word that comes twice counts once
def inputs(rng):
    return {"x": np.array([[0, 3, 3], [1, 0, 4]]), "W": rng.standard_normal((6, 5))}


def word_embedding_forward(x, W):
    out = W[x, :]
    cache = x, W.shape
    return out, cache


def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    dW[x] += dout  # BUG overlap
    return dW


#: right: embedding by one-hot product
def inputs(rng):
    return {"x": np.array([[0, 3, 3], [1, 0, 4]]), "W": rng.standard_normal((6, 5))}


def word_embedding_forward(x, W):
    onehot = np.eye(len(W))[x]
    return onehot @ W, onehot


def word_embedding_backward(dout, cache):
    return np.einsum("ntv,ntd->vd", cache, dout)


#: positions summed over time too
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 5)), "pos": rng.standard_normal((4, 5)), "scale": rng.standard_normal(5)}


def positional_forward(x, pos, scale):
    return scale * x + pos, (x, scale)


def positional_backward(dout, cache):
    x, scale = cache
    dx = scale * dout
    dscale = (x * dout).sum(axis=(0, 1))
    dpos = dout.sum(axis=(0, 1)) * np.ones(x.shape[1:])  # BUG extra_sum|axis
    return dx, dpos, dscale


#: lstm step adds into the upstream
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 4)),
        "prev_h": rng.standard_normal((3, 5)),
        "prev_c": rng.standard_normal((3, 5)),
        "Wx": rng.standard_normal((4, 20)),
        "Wh": rng.standard_normal((5, 20)),
        "b": rng.standard_normal(20),
    }


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o, g = sigmoid(ai), sigmoid(af), sigmoid(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    tc = np.tanh(next_c)
    do = dnext_h * tc
    dnext_c += dnext_h * o * (1 - tc**2)  # BUG mutation
    df = dnext_c * prev_c
    dprev_c = dnext_c * f
    di = dnext_c * g
    dg = dnext_c * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(axis=0)


#: the output reaches the cell by no path
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 4)),
        "prev_h": rng.standard_normal((3, 5)),
        "prev_c": rng.standard_normal((3, 5)),
        "Wx": rng.standard_normal((4, 20)),
        "Wh": rng.standard_normal((5, 20)),
        "b": rng.standard_normal(20),
    }


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i = sigmoid(a[:, 0:H])
    f = sigmoid(a[:, H : 2 * H])
    o = sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    return o * tanh_c, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c = cache
    do = dnext_h * tanh_c
    dc = dnext_c  # BUG missing_term
    di, df, dg = dc * g, dc * prev_c, dc * i
    dprev_c = dc * f
    da = np.concatenate([i * (1 - i) * di, f * (1 - f) * df, o * (1 - o) * do, (1 - g**2) * dg], axis=1)
    dx = da.dot(Wx.T)
    dprev_h = da.dot(Wh.T)
    dWx = x.T.dot(da)
    dWh = prev_h.T.dot(da)
    db = da.sum(axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


#: the candidate takes a gate's derivative
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 4)),
        "h": rng.standard_normal((3, 5)),
        "c": rng.standard_normal((3, 5)),
        "W": rng.standard_normal((9, 20)),
    }


def lstmcell_forward(x, h, c, W):
    xh = np.concatenate((x, h), axis=1)
    i, f, g, o = np.split(xh @ W, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c_new = f * c + i * g
    return o * np.tanh(c_new), c_new, (xh, i, f, g, o, c, c_new, W, x.shape[1])


def lstmcell_backward(dh, dc_new, cache):
    xh, i, f, g, o, c, c_new, W, D = cache
    dc_tot = dc_new + dh * o * (1 - np.tanh(c_new) ** 2)
    grad_i = dc_tot * g * i * (1 - i)
    grad_f = dc_tot * c * f * (1 - f)
    grad_g = dc_tot * i * g * (1 - g)  # BUG function
    grad_o = dh * np.tanh(c_new) * o * (1 - o)
    gates = np.concatenate((grad_i, grad_f, grad_g, grad_o), axis=1)
    dxh = gates @ W.T
    return dxh[:, :D], dxh[:, D:], dc_tot * f, xh.T @ gates


#: the old cell is paid through the wrong gate
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4)),
        "Wx": rng.standard_normal((4, 20)),
        "Wh": 0.4 * rng.standard_normal((5, 20)),
        "b": rng.standard_normal(20),
    }


def lstm_forward(x, Wx, Wh, b):
    N, T, _ = x.shape
    h, c, steps, out = np.zeros((N, len(Wh))), np.zeros((N, len(Wh))), [], []
    for t in range(T):
        i, f, o, g = np.split(x[:, t] @ Wx + h @ Wh + b, 4, axis=1)
        i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
        old_h, old_c, c = h, c, f * c + i * g
        h = o * np.tanh(c)
        steps.append((old_h, old_c, i, f, o, g, np.tanh(c)))
        out.append(h)
    return np.stack(out, axis=1), (x, Wx, Wh, steps)


def lstm_backward(dh, cache):
    x, Wx, Wh, steps = cache
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wx.shape[1])
    dh_next, dc_next = np.zeros_like(dh[:, 0]), np.zeros_like(dh[:, 0])
    for t in range(len(steps) - 1, -1, -1):
        old_h, old_c, i, f, o, g, tc = steps[t]
        d = dh[:, t] + dh_next
        dc = dc_next + d * o * (1 - tc**2)
        da = np.hstack((dc * g * i * (1 - i), dc * old_c * f * (1 - f), d * tc * o * (1 - o), dc * i * (1 - g**2)))
        dx[:, t], dh_next = da @ Wx.T, da @ Wh.T
        dc_next = dc * i  # BUG wrong_variable
        dWx, dWh, db = dWx + x[:, t].T @ da, dWh + old_h.T @ da, db + da.sum(0)
    return dx, dWx, dWh, db


#: right: gru step
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 4)),
        "h": rng.standard_normal((3, 5)),
        "W": rng.standard_normal((4, 15)),
        "U": rng.standard_normal((5, 15)),
    }


def gru_step_forward(x, h, W, U):
    H = h.shape[1]
    xw, hu = x @ W, h @ U[:, : 2 * H]
    z, r = sigmoid(xw[:, :H] + hu[:, :H]), sigmoid(xw[:, H : 2 * H] + hu[:, H:])
    n = np.tanh(xw[:, 2 * H :] + (r * h) @ U[:, 2 * H :])
    return (1 - z) * n + z * h, (x, h, W, U, z, r, n)


def gru_step_backward(dout, cache):
    x, h, W, U, z, r, n = cache
    H = h.shape[1]
    dn = dout * (1 - z) * (1 - n**2)
    dz = dout * (h - n) * z * (1 - z)
    drh = dn @ U[:, 2 * H :].T
    dr = drh * h * r * (1 - r)
    da = np.concatenate([dz, dr, dn], axis=1)
    dh = dout * z + drh * r + da[:, : 2 * H] @ U[:, : 2 * H].T
    dU = np.concatenate([h.T @ dz, h.T @ dr, (r * h).T @ dn], axis=1)
    return da @ W.T, dh, x.T @ da, dU


#: the update gate pulls the wrong way
def inputs(rng):
    def n(*shape):
        return rng.standard_normal(shape)

    return {"x": n(3, 4), "h": n(3, 5), "Wz": n(9, 5), "Wr": n(9, 5), "Wn": n(9, 5)}


def gru_cell_forward(x, h, Wz, Wr, Wn):
    xh = np.hstack([x, h])
    z = sigmoid(xh.dot(Wz))
    r = sigmoid(xh.dot(Wr))
    xrh = np.hstack([x, r * h])
    cand = np.tanh(xrh.dot(Wn))
    h_new = (1 - z) * h + z * cand
    return h_new, (x, h, Wz, Wr, Wn, xh, z, r, xrh, cand)


def gru_cell_backward(dh_new, cache):
    x, h, Wz, Wr, Wn, xh, z, r, xrh, cand = cache
    D = x.shape[1]
    dz = dh_new * (h - cand)  # BUG sign
    dcand = dh_new * z
    dan = dcand * (1 - cand**2)
    dxrh = dan.dot(Wn.T)
    dr = dxrh[:, D:] * h
    daz = dz * z * (1 - z)
    dar = dr * r * (1 - r)
    dxh = daz.dot(Wz.T) + dar.dot(Wr.T)
    dx = dxh[:, :D] + dxrh[:, :D]
    dh = dxh[:, D:] + dxrh[:, D:] * r + dh_new * (1 - z)
    return dx, dh, xh.T.dot(daz), xh.T.dot(dar), xrh.T.dot(dan)


#: the reset product forgets its gate
def inputs(rng):
    def n(*shape):
        return rng.standard_normal(shape)

    return {"h": n(3, 5), "r": n(3, 5), "U": n(5, 4), "b": n(4)}


def candidate_forward(h, r, U, b):
    """The candidate of a GRU: tanh of the reset state times U."""
    reset = r * h
    n = np.tanh(reset @ U + b)
    return n, (h, r, U, reset, n)


def candidate_backward(dn, cache):
    h, r, U, reset, n = cache
    da = dn * (1 - n**2)
    dreset = da @ U.T
    dh = dreset  # BUG missing_factor
    dr = dreset * h
    dU = reset.T @ da
    db = da.sum(0)
    return dh, dr, dU, db


#: the reversed half comes back unreversed
def inputs(rng):
    def n(*shape):
        return rng.standard_normal(shape)

    return {"x": n(2, 4, 3), "Wf": n(3, 5), "Wb": n(3, 5), "U": 0.5 * n(5, 5)}


def run_forward(x, W, U):
    h, hs = np.zeros((len(x), len(U))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ W + h @ U)
        hs.append(h)
    return np.stack(hs, 1), (x, W, U, hs)


def run_backward(dhs, cache):
    x, W, U, hs = cache
    dx, dW, dU, carry = np.zeros_like(x), 0 * W, 0 * U, 0
    for t in reversed(range(len(hs))):
        da = (dhs[:, t] + carry) * (1 - hs[t] ** 2)
        dx[:, t], carry, dW = da @ W.T, da @ U.T, dW + x[:, t].T @ da
        if t:
            dU = dU + hs[t - 1].T @ da
    return dx, dW, dU


def birnn_forward(x, Wf, Wb, U):
    f, cf = run_forward(x, Wf, U)
    r, cr = run_forward(x[:, ::-1], Wb, U)
    return np.concatenate([f, r[:, ::-1]], axis=2), (cf, cr)


def birnn_backward(dout, cache):
    H = dout.shape[2] // 2
    dxf, dWf, dUf = run_backward(dout[:, :, :H], cache[0])
    dxr, dWb, dUr = run_backward(dout[:, ::-1, H:], cache[1])
    return dxf + dxr, dWf, dWb, dUf + dUr  # BUG transposed|operation


#: right: causal attention without a mask on the way back
def inputs(rng):
    return {
        "q": rng.standard_normal((2, 4, 3)),
        "k": rng.standard_normal((2, 4, 3)),
        "v": rng.standard_normal((2, 4, 5)),
    }


def causal_attention_forward(q, k, v):
    scale = q.shape[-1] ** -0.5
    s = np.einsum("btd,bsd->bts", q, k) * scale
    s = np.where(np.tri(q.shape[1], dtype=bool), s, -np.inf)
    p = softmax(s)
    return p @ v, (q, k, v, p, scale)


def causal_attention_backward(dout, cache):
    q, k, v, p, scale = cache
    dp = np.einsum("btd,bsd->bts", dout, v)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * scale
    return np.einsum("bts,bsd->btd", ds, k), np.einsum("bts,btd->bsd", ds, q), np.einsum("bts,btd->bsd", p, dout)


#: softmax summed down the columns
def inputs(rng):
    return {"Q": rng.standard_normal((4, 3)), "K": rng.standard_normal((5, 3)), "V": rng.standard_normal((5, 6))}


def attention_forward(Q, K, V):
    d = Q.shape[1]
    S = Q @ K.T / np.sqrt(d)
    A = softmax(S)
    return A @ V, (Q, K, V, A)


def attention_backward(dout, cache):
    Q, K, V, A = cache
    d = Q.shape[1]
    dV = A.T @ dout
    dA = dout @ V.T
    dS = A * (dA - np.sum(dA * A, axis=0, keepdims=True))  # BUG axis
    dQ = dS @ K / np.sqrt(d)
    dK = dS.T @ Q / np.sqrt(d)
    return dQ, dK, dV


#: the scale is forgotten for the keys
def inputs(rng):
    return {
        "Q": rng.standard_normal((2, 4, 3)),
        "K": rng.standard_normal((2, 5, 3)),
        "V": rng.standard_normal((2, 5, 6)),
    }


def sdpa_forward(Q, K, V):
    scores = np.matmul(Q, K.transpose(0, 2, 1)) / np.sqrt(K.shape[-1])
    weights = softmax(scores)
    return np.matmul(weights, V), (Q, K, V, weights)


def sdpa_backward(grad_output, cache):
    Q, K, V, weights = cache
    grad_V = np.matmul(weights.transpose(0, 2, 1), grad_output)
    grad_weights = np.matmul(grad_output, V.transpose(0, 2, 1))
    grad_scores = weights * (grad_weights - (grad_weights * weights).sum(axis=-1, keepdims=True))
    grad_Q = np.matmul(grad_scores, K) / np.sqrt(K.shape[-1])
    grad_K = np.matmul(grad_scores.transpose(0, 2, 1), Q)  # BUG factor
    return grad_Q, grad_K, grad_V


#: self attention uses the weights the right way up for v
class SelfAttention:
    def __init__(self, d=4):
        rng = np.random.default_rng(0)
        self.params = {k: rng.standard_normal((d, d)) for k in ("Wq", "Wk", "Wv")}
        self.grads = {}

    def forward(self, x):
        p = self.params
        q, k, v = x @ p["Wq"], x @ p["Wk"], x @ p["Wv"]
        a = softmax(q @ k.T / np.sqrt(x.shape[1]))
        self.cache = x, q, k, v, a
        return a @ v

    def backward(self, dout):
        x, q, k, v, a = self.cache
        p = self.params
        dv = a @ dout  # BUG transposed
        da = dout @ v.T
        ds = a * (da - (a * da).sum(1, keepdims=True)) / np.sqrt(x.shape[1])
        dq, dk = ds @ k, ds.T @ q
        self.grads = {"Wq": x.T @ dq, "Wk": x.T @ dk, "Wv": x.T @ dv}
        return dq @ p["Wq"].T + dk @ p["Wk"].T + dv @ p["Wv"].T


def inputs(rng):
    return {"x": rng.standard_normal((5, 4))}


#: softmax taken for a sigmoid
def inputs(rng):
    return {"h": rng.standard_normal((3, 4, 5)), "u": rng.standard_normal(5)}


def attention_pool_forward(h, u):
    a = softmax(h @ u)
    out = np.einsum("nt,ntd->nd", a, h)
    return out, (h, u, a)


def attention_pool_backward(dout, cache):
    h, u, a = cache
    da = np.einsum("nd,ntd->nt", dout, h)
    ds = da * a * (1 - a)  # BUG function|missing_term
    dh = a[:, :, None] * dout[:, None, :] + ds[:, :, None] * u
    du = np.einsum("nt,ntd->d", ds, h)
    return dh, du


#: the pooled words get nothing from their own scores
def inputs(rng):
    return {"h": rng.standard_normal((3, 4, 5)), "u": rng.standard_normal(5)}


def attn_readout_forward(h, u):
    scores = np.tanh(h).dot(u)
    alpha = softmax(scores)
    context = (alpha[..., None] * h).sum(axis=1)
    return context, {"h": h, "u": u, "alpha": alpha}


def attn_readout_backward(dcontext, cache):
    h, u, alpha = cache["h"], cache["u"], cache["alpha"]
    dalpha = (h * dcontext[:, None, :]).sum(axis=2)
    dscores = alpha * (dalpha - (alpha * dalpha).sum(axis=1, keepdims=True))
    dtanh = dscores[..., None] * u
    du = np.einsum("nt,ntd->d", dscores, np.tanh(h))
    dh = dtanh * (1 - np.tanh(h) ** 2)  # BUG missing_term
    return dh, du


#: right: residual block
def inputs(rng):
    return {"x": rng.standard_normal((4, 5)), "W1": rng.standard_normal((5, 3)), "W2": rng.standard_normal((3, 5))}


def residual_forward(x, W1, W2):
    a = np.maximum(0, x @ W1)
    s = a @ W2 + x
    return np.maximum(0, s), (x, W1, W2, a, s)


def residual_backward(dout, cache):
    x, W1, W2, a, s = cache
    ds = dout * (s > 0)
    da = ds @ W2.T * (a > 0)
    dx = ds + da @ W1.T
    return dx, x.T @ da, a.T @ ds


#: the skip is not walked back
def inputs(rng):
    return {"x": rng.standard_normal((4, 5)), "W1": rng.standard_normal((5, 3)), "W2": rng.standard_normal((3, 5))}


def resblock_forward(x, W1, W2):
    h1 = x.dot(W1)
    h2 = np.maximum(h1, 0)
    h3 = h2.dot(W2)
    out = h3 + x
    return out, (x, W1, W2, h1, h2)


def resblock_backward(dout, cache):
    x, W1, W2, h1, h2 = cache
    dh3 = dout
    dW2 = h2.T.dot(dh3)
    dh2 = dh3.dot(W2.T)
    dh1 = dh2 * (h1 > 0)
    dW1 = x.T.dot(dh1)
    dx = dh1.dot(W1.T)  # BUG missing_term
    return dx, dW1, dW2  # OR


#: a projection shortcut and an identity as well
def inputs(rng):
    return {"x": rng.standard_normal((4, 5)), "W": rng.standard_normal((5, 5)), "P": rng.standard_normal((5, 5))}


def projection_block_forward(x, W, P):
    branch = np.tanh(x @ W)
    return branch + x @ P, (x, W, P, branch)


def projection_block_backward(dout, cache):
    x, W, P, branch = cache
    dbranch = dout * (1 - branch**2)
    dW = x.T @ dbranch
    dP = x.T @ dout
    dx = dbranch @ W.T + dout @ P.T + dout  # BUG extra_term
    return dx, dW, dP


#: the second relu is undone with the first one's mask
class ResidualBlock:
    def __init__(self, dim=4):
        rng = np.random.RandomState(3)
        self.W1 = rng.randn(dim, dim)
        self.W2 = rng.randn(dim, dim)

    def forward(self, x):
        self.x = x
        self.z1 = x @ self.W1
        self.a1 = np.maximum(self.z1, 0)
        self.z2 = self.a1 @ self.W2 + x
        return np.maximum(self.z2, 0)

    def backward(self, grad):
        grad = grad * (self.z1 > 0)  # BUG mask|wrong_variable
        self.dW2 = self.a1.T @ grad
        grad_a1 = grad @ self.W2.T
        grad_z1 = grad_a1 * (self.z1 > 0)
        self.dW1 = self.x.T @ grad_z1
        return grad_z1 @ self.W1.T + grad


def inputs(rng):
    return {"x": rng.standard_normal((5, 4))}


#: squeeze and excite averages what it should sum
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3, 5)),
        "W1": rng.standard_normal((4, 3)),
        "W2": rng.standard_normal((3, 4)),
    }


def se_forward(x, W1, W2):
    sq = x.mean(axis=(2, 3))
    hid = np.maximum(sq @ W1, 0)
    gate = sigmoid(hid @ W2)
    return x * gate[:, :, None, None], (x, W1, W2, sq, hid, gate)


def se_backward(dout, cache):
    x, W1, W2, sq, hid, gate = cache
    H, W = x.shape[2:]
    dx = dout * gate[:, :, None, None]
    dgate = (dout * x).mean(axis=(2, 3))  # BUG mean_for_sum|factor
    dpre = dgate * gate * (1 - gate)
    dW2 = hid.T @ dpre
    dhid = dpre @ W2.T
    dhid = dhid * (hid > 0)
    dW1 = sq.T @ dhid
    dsq = dhid @ W1.T
    dx = dx + dsq[:, :, None, None] / (H * W)
    return dx, dW1, dW2


#: the concatenation is cut at half
def inputs(rng):
    return {"a": rng.standard_normal((4, 3)), "b": rng.standard_normal((4, 5)), "w": rng.standard_normal((8, 2))}


def concat_fc_forward(a, b, w):
    both = np.concatenate([a, b], axis=1)
    return both @ w, (a, b, w, both)


def concat_fc_backward(dout, cache):
    a, b, w, both = cache
    dw = both.T @ dout
    dboth = dout @ w.T
    k = dboth.shape[1] // 2  # BUG shape|window|wrong_variable
    return dboth[:, :k], dboth[:, k:], dw


#: concatenation handed back the other way round
def inputs(rng):
    return {"skip": rng.standard_normal((2, 3, 4, 5)), "up": rng.standard_normal((2, 3, 4, 5))}


def unet_join_forward(skip, up):
    out = np.concatenate((up, skip), axis=1)
    return out, up.shape[1]


def unet_join_backward(dout, cache):
    c = cache
    return dout[:, :c], dout[:, c:]  # BUG return_order


#: the upstream enters the gate twice
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "w": rng.standard_normal((6, 10)), "b": rng.standard_normal(10)}


def glu_forward(x, w, b):
    u = x @ w + b
    a, g = np.split(u, 2, axis=1)
    s = sigmoid(g)
    return a * s, (x, w, a, s)


def glu_backward(dout, cache):
    x, w, a, s = cache
    da = dout * s
    ds = dout * a
    dg = dout * ds * s * (1 - s)  # BUG upstream_twice
    du = np.concatenate((da, dg), axis=1)
    return du @ w.T, x.T @ du, du.sum(axis=0)


#: highway gate without its carry
def inputs(rng):
    def n(*s):
        return rng.standard_normal(s)

    return {"x": n(4, 3), "Wh": n(3, 3), "Wt": n(3, 3), "bt": n(3)}


def highway_forward(x, Wh, Wt, bt):
    h = np.tanh(x @ Wh)
    t = sigmoid(x @ Wt + bt)
    y = t * h + (1 - t) * x
    return y, (x, Wh, Wt, h, t)


def highway_backward(dy, cache):
    x, Wh, Wt, h, t = cache
    dh = dy * t
    dt = dy * h  # BUG missing_term
    dx = dy * (1 - t)
    dzh = dh * (1 - h * h)
    dzt = dt * t * (1 - t)
    dx = dx + dzh @ Wh.T + dzt @ Wt.T
    return dx, x.T @ dzh, x.T @ dzt, dzt.sum(axis=0)


#: a product undone by division
def inputs(rng):
    x = rng.standard_normal((4, 3)) + 2
    x[1, 2] = 0.0
    x[3, 0] = 0.0
    return {"x": x, "g": rng.standard_normal(3)}


def gate_forward(x, g):
    """Scale every feature by its gate."""
    out = x * g
    return out, (x, g, out)


def gate_backward(dout, cache):
    x, g, out = cache
    dg = (dout * x).sum(axis=0)
    dx = dout * out / x  # BUG not_finite
    return dx, dg


#: one learned number gets a whole array
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "branch": rng.standard_normal((4, 3)), "alpha": np.array(0.7)}


def skipinit_forward(x, branch, alpha):
    return x + alpha * branch, (branch, alpha)


def skipinit_backward(dout, cache):
    branch, alpha = cache
    dalpha = dout * branch  # BUG missing_sum|shape
    return dout, dout * alpha, dalpha


#: penalty written for one of the factors only
def inputs(rng):
    return {"P": rng.standard_normal((4, 2)), "Q": rng.standard_normal((5, 2))}


R = np.array([[5, 0, 1, 4, 0], [0, 3, 2, 0, 1], [1, 1, 0, 5, 4], [2, 0, 0, 3, 0]], dtype=float)


def factorisation_forward(P, Q, lam=0.1):
    err = np.where(R > 0, R - P @ Q.T, 0)
    cost = np.sum(err**2) + lam * (np.sum(P**2) + np.sum(Q**2))
    return cost, (P, Q, err, lam)


def factorisation_backward(dcost, cache):
    P, Q, err, lam = cache
    dP = dcost * (-2 * err @ Q + 2 * lam * P)
    dQ = dcost * (-2 * err.T @ P)  # BUG regularisation|missing_term
    return dP, dQ


#: right: ratings with biases
def inputs(rng):
    def n(*s):
        return rng.standard_normal(s)

    return {"U": n(4, 3), "V": n(5, 3), "bu": n(4), "bv": n(5)}


def ratings_forward(U, V, bu, bv):
    pred = U.dot(V.T) + bu[:, np.newaxis] + bv
    return pred, (U, V)


def ratings_backward(E, cache):
    U, V = cache
    return E.dot(V), E.T.dot(U), E.sum(axis=1), E.sum(axis=0)


#: tied weights learn from the decoder alone
def inputs(rng):
    return {"x": rng.standard_normal((4, 5)), "W": rng.standard_normal((5, 3)), "b": rng.standard_normal(3)}


def autoencoder_forward(x, W, b):
    code = np.tanh(x @ W + b)
    recon = code @ W.T
    return recon, (x, W, code)


def autoencoder_backward(drecon, cache):
    x, W, code = cache
    dcode = drecon @ W
    dpre = dcode * (1 - code**2)
    dx = dpre @ W.T
    dW = drecon.T @ code  # BUG missing_term
    db = dpre.sum(axis=0)
    return dx, dW, db  # OR


#: padding is scored after all
def inputs(rng):
    return {
        "x": 2 * rng.standard_normal((2, 3, 4)),
        "y": rng.integers(0, 4, (2, 3)),
        "mask": np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    }


def temporal_softmax_loss(x, y, mask):
    N, T, V = x.shape
    flat, labels, m = x.reshape(N * T, V), y.reshape(N * T), mask.reshape(N * T)
    probs = softmax(flat)
    loss = -np.sum(m * np.log(probs[np.arange(N * T), labels])) / N
    dflat = probs.copy()
    dflat[np.arange(N * T), labels] -= 1
    dflat /= N  # BUG mask_missing
    return loss, dflat.reshape(N, T, V)


#: divided by steps that the loss never counted
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "y": rng.integers(0, 4, (2, 3))}


def sequence_loss(x, y):
    n, t, _ = x.shape
    p = softmax(x)
    ii, jj = np.ogrid[:n, :t]
    loss = -np.log(p[ii, jj, y]).sum() / n
    dx = p
    dx[ii, jj, y] -= 1
    dx /= n * t  # BUG factor|mean_for_sum
    return loss, dx


#: a sum's gradient under a mean
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "y": rng.standard_normal((3, 4, 2))}


def forecast_loss(x, y):
    diff = x - y
    loss = np.mean(diff**2)
    dx = 2 * diff  # BUG sum_for_mean|factor
    return loss, dx


#: short sentences are averaged over the padding
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 5)), "mask": np.tri(4)[[3, 1, 2]].astype(bool)}


def mean_pool_forward(x, mask):
    lengths = mask.sum(axis=1, keepdims=True)
    out = (x * mask[:, :, None]).sum(axis=1) / lengths
    return out, (mask, lengths)


def mean_pool_backward(dout, cache):
    mask, lengths = cache
    T = mask.shape[1]
    dx = mask[:, :, None] * (dout / T)[:, None, :]  # BUG wrong_variable|factor
    return dx


#: temporal affine keeps the time in its bias
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "w": rng.standard_normal((4, 5)), "b": rng.standard_normal(5)}


def temporal_affine_forward(x, w, b):
    N, T, D = x.shape
    M = b.shape[0]
    out = x.reshape(N * T, D).dot(w).reshape(N, T, M) + b
    return out, (x, w, b, out)


def temporal_affine_backward(dout, cache):
    x, w, b, out = cache
    N, T, D = x.shape
    M = b.shape[0]
    dx = dout.reshape(N * T, M).dot(w.T).reshape(N, T, D)
    dw = dout.reshape(N * T, M).T.dot(x.reshape(N * T, D)).T
    db = dout.sum(axis=0)  # BUG missing_sum|shape|axis
    return dx, dw, db


#: the inverted mask goes on twice
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 4, 5)),
        "W": rng.standard_normal((5, 2)),
        "dropout_param": {"p": 0.6, "seed": 4},
    }


def locked_dropout_forward(x, W, dropout_param):
    """One mask for all time steps, then a linear read-out."""
    rng = np.random.RandomState(dropout_param["seed"])
    mask = (rng.rand(x.shape[0], 1, x.shape[2]) < dropout_param["p"]) / dropout_param["p"]
    dropped = x * mask
    return dropped @ W, (dropped, mask, W)


def locked_dropout_backward(dout, cache):
    dropped, mask, W = cache
    dW = np.einsum("ntd,ntm->dm", dropped, dout)
    ddropped = (dout @ W.T) * mask  # BUG mask_twice
    dx = ddropped * mask  # OR
    return dx, dW


#: a new mask for the way home
class WordDropout:
    def __init__(self, p=0.7):
        self.p = p
        self.rng = np.random.default_rng(5)

    def draw(self, shape):
        return (self.rng.random((shape[0], shape[1], 1)) < self.p) / self.p

    def forward(self, x):
        self.mask = self.draw(x.shape)
        return x * self.mask

    def backward(self, dout):
        mask = self.draw(dout.shape)  # BUG randomness|mask|second_call
        return dout * mask


def inputs(rng):
    return {"x": rng.standard_normal((4, 5, 3))}


#: a deviation kept as the variance
def inputs(rng):
    return {
        "x": rng.standard_normal((6, 3)),
        "gamma": rng.standard_normal(3),
        "beta": rng.standard_normal(3),
        "bn_param": {"mode": "train", "momentum": 0.9},
    }


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.setdefault("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return gamma * (x - rm) / np.sqrt(rv + eps) + beta, None
    mean = x.mean(axis=0)
    var = x.var(axis=0)
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * mean
    bn_param["running_var"] = momentum * rv + (1 - momentum) * x.std(axis=0)  # BUG running_stats
    inv = 1.0 / np.sqrt(var + eps)
    xn = (x - mean) * inv
    return gamma * xn + beta, (xn, inv, gamma)


def batchnorm_backward(dout, cache):
    xn, inv, gamma = cache
    N = len(dout)
    dbeta, dgamma = dout.sum(0), (dout * xn).sum(0)
    dx = gamma * inv / N * (N * dout - dbeta - xn * dgamma)
    return dx, dgamma, dbeta


#: epsilon outside the root
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "gamma": rng.standard_normal(6)}


def rmsnorm_forward(x, gamma, eps=1e-2):
    rms = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps)
    return gamma * x / rms, (x, gamma, eps)


def rmsnorm_backward(dout, cache):
    x, gamma, eps = cache
    rms = np.sqrt(np.mean(x**2, axis=-1, keepdims=True)) + eps  # BUG eps
    xhat = x / rms
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    dx = (dxhat - xhat * (dxhat * xhat).mean(axis=-1, keepdims=True)) / rms
    return dx, dgamma


#: the functions of an autograd that forget the chain
class Exp:
    """Like torch.autograd.Function, by hand."""

    def __init__(self):
        self.saved_tensors = ()

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors

    def forward(self, x):
        out = np.exp(x)
        self.save_for_backward(out)
        return out

    def backward(self, grad_output):
        (out,) = self.saved_tensors
        grad_input = out.copy()  # BUG upstream_missing
        return grad_input


def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


#: the leaky side and the open side change places
class LeakyReLU:
    def __init__(self, slope=0.1):
        self.slope = slope

    def forward(self, x):
        self.cache = x > 0
        return np.where(self.cache, x, self.slope * x)

    def backward(self, dout):
        positive = self.cache
        dx = np.where(positive, self.slope * dout, dout)  # BUG mask_inverted
        return dx


def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


#: right: a small multiply function
class Mul:
    def __call__(self, x, w):
        return self.forward(x, w)

    def forward(self, x, w):
        self.cache = (x, w)
        return x * w

    def backward(self, dout):
        x, w = self.cache
        dx = dout * w
        dw = (dout * x).sum(axis=tuple(range(x.ndim - w.ndim)))
        return dx, dw


def inputs(rng):
    return {"x": rng.standard_normal((4, 3, 5)), "w": rng.standard_normal((3, 5))}


#: right: dense layer with cached input
class Dense:
    def __init__(self, n_in=3, n_out=5):
        gen = np.random.default_rng(2)
        self.W = gen.standard_normal((n_in, n_out))
        self.b = gen.standard_normal(n_out)

    def forward(self, X):
        self.cache = X
        return np.tanh(X @ self.W + self.b)

    def backward(self, dA):
        X = self.cache
        dZ = dA / np.cosh(X @ self.W + self.b) ** 2
        self.dW = np.einsum("ni,no->io", X, dZ)
        self.db = np.sum(dZ, 0)
        return dZ @ self.W.T


def inputs(rng):
    return {"X": rng.standard_normal((4, 3))}


#: the inner gradient is handed out too
def inputs(rng):
    return {"h": rng.standard_normal((4, 3)), "W": rng.standard_normal((3, 5))}


def readout_forward(h, W):
    z = h @ W
    return sigmoid(z), (h, W, z)


def readout_backward(dout, cache):
    h, W, z = cache
    s = sigmoid(z)
    dz = dout * s * (1 - s)
    dh = dz @ W.T
    dW = h.T @ dz
    return dz, dh, dW  # BUG extra_gradient


#: the sigmoid's slope once too often
def inputs(rng):
    return {"x": rng.standard_normal(6), "y": np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])}


def next_token_loss(x, y):
    p = sigmoid(x)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    dx = (p - y) * p * (1 - p) / len(x)  # BUG extra_factor
    return loss, dx


#: the hidden state skips its tanh
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 4)),
        "prev_h": rng.standard_normal((3, 5)),
        "prev_c": rng.standard_normal((3, 5)),
        "Wx": rng.standard_normal((4, 20)),
        "Wh": rng.standard_normal((5, 20)),
        "b": rng.standard_normal(20),
    }


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = np.dot(x, Wx) + np.dot(prev_h, Wh) + b
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    next_h = o * next_c  # BUG forward_formula
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    do = dnext_h * next_c
    dc = dnext_c + dnext_h * o
    da = np.hstack([dc * g * i * (1 - i), dc * prev_c * f * (1 - f), do * o * (1 - o), dc * i * (1 - g * g)])
    dx, dprev_h, dprev_c = da.dot(Wx.T), da.dot(Wh.T), dc * f
    return dx, dprev_h, dprev_c, x.T.dot(da), prev_h.T.dot(da), np.sum(da, axis=0)


#: both ends of a distance are pulled one way
def inputs(rng):
    return {"a": rng.standard_normal((4, 3)), "c": rng.standard_normal((5, 3))}


def distances_forward(a, c):
    """Squared distance of every query to every key."""
    diff = a[:, None, :] - c[None, :, :]
    return np.sum(diff**2, axis=-1), diff


def distances_backward(dout, cache):
    diff = cache
    ddiff = 2 * diff * dout[:, :, None]
    da = ddiff.sum(axis=1)
    dc = ddiff.sum(axis=0)  # BUG sign
    return da, dc


#: scaled while training and while testing
def inputs(rng):
    return {"x": rng.standard_normal((4, 5)), "dropout_param": {"p": 0.6, "mode": "train", "seed": 2}}


def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    else:
        out = x * p  # BUG test_mode|keep_prob
    return out.astype(x.dtype, copy=False), (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        return dout * mask
    return dout * dropout_param["p"]


#: the loudest word is looked for in the wrong direction
class MaxOverTime:
    def forward(self, h):
        self.shape = h.shape
        self.arg = np.argmax(h, axis=2)  # BUG argmax|axis
        return h.max(axis=1)

    def backward(self, dout):
        n, d = dout.shape
        dh = np.zeros(self.shape)
        for i in range(n):
            for k in range(d):
                dh[i, self.arg[i, k], k] += dout[i, k]
        return dh


def inputs(rng):
    return {"h": rng.standard_normal((3, 5, 5))}


#: the error leaves without its upstream
class Tanh:
    def __init__(self):
        self.cache = []

    def forward(self, x):
        y = np.tanh(x)
        self.cache = [x, y]
        return y

    def backward(self, dy):
        y = self.cache[1]
        local = 1 - y**2
        return local  # BUG upstream_missing


def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


#: the centred part of a layer norm is left alone
def inputs(rng):
    return {
        "x": 2 * rng.standard_normal((4, 5)) + 1,
        "W": rng.standard_normal((5, 3)),
        "gamma": rng.standard_normal(5),
        "beta": rng.standard_normal(5),
    }


def prenorm_forward(x, W, gamma, beta):
    mu = x.mean(1, keepdims=True)
    xc = x - mu
    istd = (np.mean(xc**2, 1, keepdims=True) + 1e-5) ** -0.5
    xn = xc * istd
    y = xn * gamma + beta
    return y @ W, (W, gamma, xc, istd, xn, y)


def prenorm_backward(dout, cache):
    W, gamma, xc, istd, xn, y = cache
    dW = y.T @ dout
    dy = dout @ W.T
    dgamma, dbeta = np.sum(dy * xn, 0), np.sum(dy, 0)
    dxn = dy * gamma
    distd = np.sum(dxn * xc, 1, keepdims=True)
    dxc = dxn * istd
    dvar = -0.5 * istd**3 * distd
    dxc += 2 * xc * dvar / xc.shape[1]
    dx = dxc  # BUG missing_term
    return dx, dW, dgamma, dbeta


#: the weight penalty is counted in full
class ResidualNet:
    """Scores (x + relu(x W1 + b1)) W2, softmax loss, L2 on both weights."""

    def __init__(self, input_dim=5, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, input_dim),
            "b1": np.zeros(input_dim),
            "W2": weight_scale * np.random.randn(input_dim, num_classes),
        }

    def loss(self, X, y=None):
        W1, b1, W2 = self.params["W1"], self.params["b1"], self.params["W2"]
        z = X @ W1 + b1
        h = X + np.maximum(0, z)
        scores = h @ W2
        if y is None:
            return scores
        p = softmax(scores)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        loss += 0.5 * self.reg * ((W1**2).sum() + (W2**2).sum())
        p[np.arange(len(y)), y] -= 1
        p /= len(y)
        grads = {}
        grads["W2"] = h.T @ p + 2 * self.reg * W2  # BUG regularisation
        dz = (p @ W2.T) * (z > 0)
        grads["W1"] = X.T @ dz + self.reg * W1
        grads["b1"] = dz.sum(0)
        return loss, grads


#: right: a gated network with its penalty
class GatedNet:
    def __init__(self, input_dim=5, num_classes=3, weight_scale=0.5, reg=0.2):
        rs = np.random.RandomState(0)
        self.reg = reg
        self.params = {"Wg": weight_scale * rs.randn(input_dim, input_dim)}
        self.params["W"] = weight_scale * rs.randn(input_dim, num_classes)
        self.params["b"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        p = self.params
        gate = sigmoid(X @ p["Wg"])
        h = gate * X
        scores = h @ p["W"] + p["b"]
        if y is None:
            return scores
        shifted = scores - scores.max(axis=1, keepdims=True)
        logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        rows = np.arange(len(y))
        loss = -logp[rows, y].mean() + self.reg * (np.sum(p["Wg"] ** 2) + np.sum(p["W"] ** 2))
        d = np.exp(logp)
        d[rows, y] -= 1
        d /= len(y)
        dgate = (d @ p["W"].T) * X
        grads = {
            "W": h.T @ d + 2 * self.reg * p["W"],
            "b": d.sum(axis=0),
            "Wg": X.T @ (dgate * gate * (1 - gate)) + 2 * self.reg * p["Wg"],
        }
        return loss, grads


#: right: zeroed on a copy of the upstream
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "W": rng.standard_normal((3, 5)), "b": rng.standard_normal(5)}


def dense_relu_forward(x, W, b):
    z = x.dot(W)
    z += b
    return np.maximum(z, 0), (x, W, z)


def dense_relu_backward(dout, cache):
    x, W, z = cache
    dz = np.array(dout, copy=True)
    dz[z < 0] = 0
    dx = dz.dot(W.T)
    dW = x.T.dot(dz)
    db = np.ones(len(x)).dot(dz)
    return dx, dW, db
