"""Recurrent steps, attention, embeddings, gates."""

import numpy as np


def sigma(v):
    return 1 / (1 + np.exp(-v))


def rnn_inputs(rng):
    return rng.standard_normal((3, 4)), rng.standard_normal((3, 2)), rng.standard_normal((4, 2)), rng.standard_normal((2, 2)), rng.standard_normal(2)


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(np.hstack([x, prev_h]) @ np.vstack([Wx, Wh]) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def lstm_inputs(rng):
    shapes = (2, 3), (2, 2), (2, 2), (3, 8), (2, 8), (8,)
    return tuple(rng.standard_normal(s) for s in shapes)


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i, f, o = sigma(a[:, :H]), sigma(a[:, H : 2 * H]), sigma(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    tc = np.tanh(next_c)
    next_h = o * tc
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc)


def word_inputs(rng):
    return np.array([[0, 2, 2], [1, 0, 2]]), rng.standard_normal((4, 3))


def word_embedding_forward(x, W):
    return W[x], (x, W.shape)


def attention_inputs(rng):
    return {"Q": rng.standard_normal((3, 4)), "K": rng.standard_normal((5, 4)), "V": rng.standard_normal((5, 2))}


def attention_forward(Q, K, V):
    scale = 1 / np.sqrt(Q.shape[1])
    S = Q @ K.T * scale
    E = np.exp(S - S.max(1, keepdims=True))
    A = E / E.sum(1, keepdims=True)
    return A @ V, (Q, K, V, A, scale)


#: right: rnn by stacking
inputs = rnn_inputs


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h * next_h)
    both = da @ np.vstack([Wx, Wh]).T
    dW = np.hstack([x, prev_h]).T @ da
    D = x.shape[1]
    return both[:, :D], both[:, D:], dW[:D], dW[D:], da.sum(0)


#: rnn, slope forgotten
inputs = rnn_inputs


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h  # BUG missing_factor
    dx = da @ Wx.T
    dprev_h = da @ Wh.T
    dWx = x.T @ da
    dWh = prev_h.T @ da
    db = da.sum(0)
    return dx, dprev_h, dWx, dWh, db


#: rnn, hidden weights not turned
inputs = rnn_inputs


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = (1 - next_h**2) * dnext_h
    dx, dWx = da.dot(Wx.T), x.T.dot(da)
    dprev_h = da.dot(Wh)  # BUG transposed
    dWh, db = prev_h.T.dot(da), da.sum(axis=0)
    return dx, dprev_h, dWx, dWh, db


#: rnn, next state for the weights
inputs = rnn_inputs


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = (1 - next_h**2) * dnext_h
    dWh = next_h.T @ da  # BUG wrong_variable
    return da @ Wx.T, da @ Wh.T, x.T @ da, dWh, da.sum(0)


#: rnn, weights returned before the state
inputs = rnn_inputs


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = (1 - next_h**2) * dnext_h
    dx, dprev_h = da @ Wx.T, da @ Wh.T
    dWx, dWh = x.T @ da, prev_h.T @ da
    db = np.sum(da, axis=0)
    return dx, dWx, dprev_h, dWh, db  # BUG return_order


#: right: lstm, gates in a list
inputs = lstm_inputs


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    dc = dnext_c + dnext_h * o * (1 - tc**2)
    gates = [dc * g * i * (1 - i), dc * prev_c * f * (1 - f), dnext_h * tc * o * (1 - o), dc * i * (1 - g**2)]
    da = np.hstack(gates)
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(0)


#: lstm, cell through the output only
inputs = lstm_inputs


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    do = dnext_h * tc
    dtc = dnext_h * o
    dc = dtc * (1 - tc**2)  # BUG missing_term
    di, df, dg = dc * g, dc * prev_c, dc * i
    da = np.hstack((di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)))
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(0)


#: lstm, tanh treated as a sigmoid
inputs = lstm_inputs


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    dc = dnext_c + dnext_h * o * (1 - tc**2)
    dai = dc * g * i * (1 - i)
    daf = dc * prev_c * f * (1 - f)
    dao = dnext_h * tc * o * (1 - o)
    dag = dc * i * g * (1 - g)  # BUG function|power|missing_factor
    da = np.concatenate([dai, daf, dao, dag], axis=1)
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(0)


#: lstm, gates exchanged
inputs = lstm_inputs


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    dc = dnext_c + dnext_h * o * (1 - tc**2)
    dai = dc * g * i * (1 - i)
    daf = dc * prev_c * f * (1 - f)
    dao = dnext_h * tc * o * (1 - o)
    dag = dc * i * (1 - g**2)
    da = np.concatenate([daf, dai, dao, dag], axis=1)  # BUG wrong_variable|return_order|transposed
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(0)


#: lstm, previous cell gets everything
inputs = lstm_inputs


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    dc = dnext_c + dnext_h * o * (1 - tc**2)
    dprev_c = dc.copy()  # BUG missing_factor
    da = np.hstack([dc * g * i * (1 - i), dc * prev_c * f * (1 - f), dnext_h * tc * o * (1 - o), dc * i * (1 - g**2)])
    dx, dprev_h = da @ Wx.T, da @ Wh.T
    return dx, dprev_h, dprev_c, x.T @ da, prev_h.T @ da, da.sum(0)


#: embedding, repeated words overwrite
inputs = word_inputs


def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    dW[x] = dout  # BUG overlap
    return dW


#: embedding, fancy plus-equals
inputs = word_inputs


def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    dW[x] += dout  # BUG overlap
    return dW


#: right: embedding by one-hot
inputs = word_inputs


def word_embedding_backward(dout, cache):
    x, shape = cache
    onehot = np.eye(shape[0])[x.ravel()]
    return onehot.T @ dout.reshape(-1, shape[1])


#: right: attention
inputs = attention_inputs


def attention_backward(dout, cache):
    Q, K, V, A, scale = cache
    dV = A.T @ dout
    dA = dout @ V.T
    dS = A * (dA - np.einsum("qk,qk->q", dA, A)[:, None])
    dS = dS * scale
    return dS @ K, dS.T @ Q, dV


#: attention, scale only in the forward
inputs = attention_inputs


def attention_backward(dout, cache):
    Q, K, V, A, scale = cache
    dV = A.T @ dout
    dA = dout @ V.T
    dS = A * (dA - (dA * A).sum(1, keepdims=True))
    dQ = dS @ K  # BUG factor|missing_factor
    dK = dS.T @ Q  # OR
    return dQ, dK, dV


#: attention, softmax as if it were elementwise
inputs = attention_inputs


def attention_backward(dout, cache):
    Q, K, V, A, scale = cache
    dV = A.T @ dout
    dA = dout @ V.T
    dS = dA * A * (1 - A)  # BUG missing_term|function|wrong_variable
    dQ, dK = scale * dS @ K, scale * dS.T @ Q
    return dQ, dK, dV


#: attention, normalised along the queries
inputs = attention_inputs


def attention_backward(dout, cache):
    Q, K, V, A, scale = cache
    dV = A.T @ dout
    dA = dout @ V.T
    dS = A * (dA - (dA * A).sum(axis=0))  # BUG axis
    dQ, dK = scale * dS @ K, scale * dS.T @ Q
    return dQ, dK, dV


#: attention, keys from keys
def inputs(rng):
    return {"Q": rng.standard_normal((4, 4)), "K": rng.standard_normal((4, 4)), "V": rng.standard_normal((4, 2))}


def attention_backward(dout, cache):
    Q, K, V, A, scale = cache
    dV = A @ dout  # BUG transposed
    dA = dout @ V.T
    dS = A * (dA - (dA * A).sum(1, keepdims=True))
    return scale * dS @ K, scale * dS.T @ Q, dV


#: highway, carry lost
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 3)), rng.standard_normal((3, 3))


def highway_forward(x, Wt, Wh):
    t = sigma(x @ Wt)
    h = np.maximum(0, x @ Wh)
    return t * h + (1 - t) * x, (x, Wt, Wh, t, h)


def highway_backward(dout, cache):
    x, Wt, Wh, t, h = cache
    dt = dout * (h - x)
    dh = dout * t
    dzt = dt * t * (1 - t)
    dzh = dh * (h > 0)
    dx = dzt @ Wt.T + dzh @ Wh.T  # BUG missing_term
    return dx, x.T @ dzt, x.T @ dzh


#: residual block, shortcut counted twice
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 3))


def residual_forward(x, w):
    a = np.tanh(x @ w)
    return x + a, (x, w, a)


def residual_backward(dout, cache):
    x, w, a = cache
    da = dout * (1 - a**2)
    dw = x.T @ da
    dx = da @ w.T
    dx += 2 * dout  # BUG factor|extra_term
    return dx, dw


#: right: residual block
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 3))


def residual_forward(x, w):
    a = np.tanh(x @ w)
    return x + a, (x, w, a)


def residual_backward(dout, cache):
    x, w, a = cache
    dz = dout * (1 - a * a)
    return dout + dz @ w.T, x.T @ dz
