"""Benchwork of six more learners: pixels and pools, sequences, losses, whole nets, convolutions, blocks."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def one_hot(y, C):
    return np.eye(C)[y]


#: right: max_pool_first_of_equals
def max_pool_forward(x, pool_param):
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    OH, OW = 1 + (H - ph) // stride, 1 + (W - pw) // stride
    out = np.empty((N, C, OH, OW))
    for r in range(OH):
        for c in range(OW):
            window = x[:, :, r * stride : r * stride + ph, c * stride : c * stride + pw]
            out[:, :, r, c] = window.max(axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, OH, OW = dout.shape
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            for i in range(OH):
                for j in range(OW):
                    window = x[n, c, i * stride : i * stride + ph, j * stride : j * stride + pw]
                    a, b = np.unravel_index(np.argmax(window), window.shape)
                    dx[n, c, i * stride + a, j * stride + b] += dout[n, c, i, j]
    return dx


#: max_pool_overlap_assigned
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 2, 5, 4)),
        "pool_param": {"pool_height": 3, "pool_width": 2, "stride": 1},
    }


def max_pool_forward(x, pool_param):
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - ph) // stride + 1, (W - pw) // stride + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = x[:, :, i * stride : i * stride + ph, j * stride : j * stride + pw].max(axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward(dout, cache):
    x, pool_param = cache
    ph, pw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, OH, OW = dout.shape
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(N, C, OH, OW):
        window = x[n, c, i * stride : i * stride + ph, j * stride : j * stride + pw]
        k = window.argmax()
        dx[n, c, i * stride + k // pw, j * stride + k % pw] = dout[n, c, i, j]  # BUG overlap
    return dx


#: max_pool_row_and_column_from_the_height
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 5, 7)),
        "pool_param": {"pool_height": 2, "pool_width": 3, "stride": 2},
    }


def max_pool_forward(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    OH = (H - ph) // s + 1
    OW = (W - pw) // s + 1
    out = np.zeros((N, C, OH, OW))
    where = np.zeros((N, C, OH, OW), dtype=int)
    for i in range(OH):
        for j in range(OW):
            patch = x[:, :, i * s : i * s + ph, j * s : j * s + pw].reshape(N, C, ph * pw)
            out[:, :, i, j] = patch.max(axis=2)
            where[:, :, i, j] = patch.argmax(axis=2)
    return out, (x.shape, where, pool_param)


def max_pool_backward(dout, cache):
    shape, where, pool_param = cache
    pw, s = pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros(shape)
    for n, c, i, j in np.ndindex(*dout.shape):
        row, col = divmod(where[n, c, i, j], pool_param["pool_height"])  # BUG argmax|wrong_variable|window
        dx[n, c, i * s + row, j * s + col] += dout[n, c, i, j]
    return dx


#: avg_pool_counts_one_side
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 4, 6)),
        "pool_param": {"pool_height": 2, "pool_width": 3, "stride": 1},
    }


def avg_pool_forward(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    out = np.zeros((N, C, (H - ph) // s + 1, (W - pw) // s + 1))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = x[:, :, i * s : i * s + ph, j * s : j * s + pw].mean(axis=(2, 3))
    return out, (x.shape, ph, pw, s)


def avg_pool_backward(dout, cache):
    shape, ph, pw, s = cache
    dx = np.zeros(shape)
    share = dout / (ph * ph)  # BUG factor|wrong_variable
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dx[:, :, i * s : i * s + ph, j * s : j * s + pw] += share[:, :, i, j][:, :, None, None]
    return dx


#: right: global_average_pool
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 5))}


def gap_forward(x):
    return x.mean((2, 3)), x.shape


def gap_backward(dout, shape):
    N, C, H, W = shape
    return np.tile(dout[:, :, None, None] / (H * W), (1, 1, H, W))


#: global_average_pool_not_divided
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 5))}


def global_avg_pool_forward(x):
    out = np.mean(x, axis=(2, 3))
    cache = x.shape
    return out, cache


def global_avg_pool_backward(dout, cache):
    dx = np.ones(cache)
    dx = dx * dout[:, :, np.newaxis, np.newaxis]  # BUG sum_for_mean|factor
    return dx


#: blocks_max_all_equals
def inputs(rng):
    return {"x": np.round(2 * rng.standard_normal((2, 2, 4, 4)))}


def max_pool_forward_reshape(x):
    N, C, H, W = x.shape
    blocks = x.reshape(N, C, H // 2, 2, W // 2, 2)
    out = blocks.max(axis=3).max(axis=4)
    return out, (x, blocks, out)


def max_pool_backward_reshape(dout, cache):
    x, blocks, out = cache
    mask = blocks == out[:, :, :, None, :, None]  # OR
    spread = mask * dout[:, :, :, None, :, None]  # BUG ties
    return spread.reshape(x.shape)


#: lp_pool_outer_power
def inputs(rng):
    return {"x": rng.uniform(0.2, 2, (2, 3, 8)), "p": 3}


def lp_pool_forward(x, p):
    N, C, L = x.shape
    s = (x.reshape(N, C, L // 2, 2) ** p).sum(axis=3)
    return s ** (1 / p), (x, s, p)


def lp_pool_backward(dout, cache):
    x, s, p = cache
    ds = dout * s ** (1 / p)  # BUG power
    return np.repeat(ds, 2, axis=2) * x ** (p - 1)


#: upsample_nearest_one_corner
def inputs(rng):
    return {"x": rng.standard_normal((2, 2, 3, 4))}


def upsample_forward(x):
    return x.repeat(2, axis=2).repeat(2, axis=3), x.shape


def upsample_backward(dout, shape):
    dx = dout[:, :, ::2, ::2]  # BUG missing_sum|missing_term
    return dx.reshape(shape)


#: right: rnn_step
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 3)),
        "prev_h": rng.standard_normal((4, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)


#: rnn_over_time_first_steps_state
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 4, 3)),
        "h0": rng.standard_normal((2, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": 0.5 * rng.standard_normal((5, 5)),
        "b": rng.standard_normal(5),
    }


def rnn_forward(x, h0, Wx, Wh, b):
    h, hs = h0, []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        hs.append(h)
    return np.stack(hs, axis=1), (x, h0, Wx, Wh, hs)


def rnn_backward(dh, cache):
    x, h0, Wx, Wh, hs = cache
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[0])
    carry = np.zeros_like(h0)
    for t in reversed(range(x.shape[1])):
        da = (dh[:, t] + carry) * (1 - hs[t] ** 2)
        before = hs[t - 1]  # BUG wrong_variable|window
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += before.T @ da
        db += da.sum(axis=0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: rnn_over_time_nothing_carried
def inputs(rng):
    return {
        "x": rng.standard_normal((4, 2, 3)),
        "h0": rng.standard_normal((2, 5)),
        "Wx": rng.standard_normal((3, 5)),
        "Wh": 0.5 * rng.standard_normal((5, 5)),
    }


def rnn_forward(x, h0, Wx, Wh):
    T = len(x)
    hs = {-1: h0}
    for t in range(T):
        hs[t] = np.tanh(x[t] @ Wx + hs[t - 1] @ Wh)
    return np.array([hs[t] for t in range(T)]), (x, hs, Wx, Wh)


def rnn_backward(dout, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = (np.zeros_like(a) for a in (x, Wx, Wh))
    dnext = np.zeros_like(hs[-1])
    for t in range(len(x) - 1, -1, -1):
        dh = dout[t]  # BUG missing_term
        draw = (1 - hs[t] * hs[t]) * dh
        dx[t] = np.dot(draw, Wx.T)
        dWx += np.dot(x[t].T, draw)
        dWh += np.dot(hs[t - 1].T, draw)
        dnext = np.dot(draw, Wh.T)
    return dx, dnext, dWx, dWh


#: lstm_step_cell_gets_only_its_own
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 2)),
        "prev_h": rng.standard_normal((3, 4)),
        "prev_c": rng.standard_normal((3, 4)),
        "Wx": rng.standard_normal((2, 16)),
        "Wh": rng.standard_normal((4, 16)),
        "b": rng.standard_normal(16),
    }


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o, g = sigmoid(ai), sigmoid(af), sigmoid(ao), np.tanh(ag)
    next_c = f * prev_c + i * g
    tc = np.tanh(next_c)
    next_h = o * tc
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tc = cache
    do = dnext_h * tc
    dc = dnext_h * o * (1 - tc**2)  # BUG missing_term|upstream_missing
    df, dprev_c, di, dg = dc * prev_c, dc * f, dc * g, dc * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da.dot(Wx.T), da.dot(Wh.T), dprev_c, x.T.dot(da), prev_h.T.dot(da), da.sum(axis=0)


#: lstm_step_gates_in_another_order
def inputs(rng):
    return {
        "x": rng.standard_normal((3, 2)),
        "h": rng.standard_normal((3, 4)),
        "c": rng.standard_normal((3, 4)),
        "W": rng.standard_normal((6, 16)),
    }


def lstm_cell_forward(x, h, c, W):
    z = np.concatenate([x, h], axis=1)
    a = z @ W
    H = h.shape[1]
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    c2 = f * c + i * g
    return o * np.tanh(c2), c2, (z, c, W, i, f, o, g, c2, x.shape[1])


def lstm_cell_backward(dh2, dc2, cache):
    z, c, W, i, f, o, g, c2, D = cache
    t = np.tanh(c2)
    dc2 = dc2 + dh2 * o * (1 - t * t)
    da_i = dc2 * g * i * (1 - i)
    da_f = dc2 * c * f * (1 - f)
    da_o = dh2 * t * o * (1 - o)
    da_g = dc2 * i * (1 - g * g)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)  # BUG transposed|return_order|wrong_variable
    dz = da @ W.T
    return dz[:, :D], dz[:, D:], dc2 * f, z.T @ da


#: gru_cell_update_gate_sign
def inputs(rng):
    n = rng.standard_normal
    return {"x": n((3, 2)), "h": n((3, 4)), "Wz": n((6, 4)), "Wr": n((6, 4)), "Wn": n((6, 4))}


def gru_cell_forward(x, h, Wz, Wr, Wn):
    xh = np.hstack([x, h])
    z = sigmoid(xh @ Wz)
    r = sigmoid(xh @ Wr)
    xrh = np.hstack([x, r * h])
    n = np.tanh(xrh @ Wn)
    return (1 - z) * n + z * h, (x, h, xh, z, r, xrh, n, Wz, Wr, Wn)


def gru_cell_backward(dout, cache):
    x, h, xh, z, r, xrh, n, Wz, Wr, Wn = cache
    D = x.shape[1]
    dn = dout * (1 - z)
    dz = dout * (n - h)  # BUG sign
    dan = dn * (1 - n**2)
    dWn = xrh.T @ dan
    dxrh = dan @ Wn.T
    daz = dz * z * (1 - z)
    dr = dxrh[:, D:] * h
    dar = dr * r * (1 - r)
    dWz, dWr = xh.T @ daz, xh.T @ dar
    dxh = daz @ Wz.T + dar @ Wr.T
    dx = dxrh[:, :D] + dxh[:, :D]
    dh = dout * z + dxrh[:, D:] * r + dxh[:, D:]
    return dx, dh, dWz, dWr, dWn


#: right: word_embedding
def inputs(rng):
    return {"x": np.array([[0, 3, 1], [3, 3, 4]]), "W": rng.standard_normal((6, 2))}


def word_embedding_forward(x, W):
    return W[x], (x, W.shape)


def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    np.add.at(dW, x, dout)
    return dW


#: embedding_repeated_words_lost
def inputs(rng):
    return {"x": np.array([[0, 3, 1], [3, 3, 4]]), "W": rng.standard_normal((6, 2))}


def embed_forward(x, W):
    out = W[x]
    cache = (x, W)
    return out, cache


def embed_backward(dout, cache):
    x, W = cache
    dW = np.zeros_like(W)
    dW[x] += dout  # BUG overlap
    return dW


#: embedding_with_scale_and_position
def inputs(rng):
    ids = np.array([[0, 3, 1], [3, 3, 4]])
    return {"ids": ids, "E": rng.standard_normal((6, 4)), "P": rng.standard_normal((5, 4))}


def tokens_forward(ids, E, P):
    T = ids.shape[1]
    out = E[ids] * np.sqrt(E.shape[1]) + P[:T]
    return out, (ids, E.shape, P.shape)


def tokens_backward(dout, cache):
    ids, es, ps = cache
    dE, dP = np.zeros(es), np.zeros(ps)
    dP[: ids.shape[1]] = dout.sum(axis=0)
    for n, t in np.ndindex(*ids.shape):
        dE[ids[n, t]] += dout[n, t]  # BUG factor|missing_factor
    return dE, dP


#: right: smoothed_cross_entropy_loss
def inputs(rng):
    return {"x": rng.standard_normal((5, 4)), "y": rng.integers(0, 4, 5), "eps": 0.1}


def smoothed_loss(x, y, eps):
    N, C = x.shape
    target = (1 - eps) * one_hot(y, C) + eps / C
    logp = x - x.max(axis=1, keepdims=True)
    logp = logp - np.log(np.exp(logp).sum(axis=1, keepdims=True))
    loss = -(target * logp).sum() / N
    dx = (np.exp(logp) - target) / N
    return loss, dx


#: smoothing_forgotten_in_gradient
def inputs(rng):
    return {"x": rng.standard_normal((5, 4)), "y": rng.integers(0, 4, 5), "smoothing": 0.2}


def label_smoothing_loss(x, y, smoothing):
    N, C = x.shape
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    nll = -log_probs[np.arange(N), y].mean()
    uniform = -log_probs.mean(axis=1).mean()
    loss = (1 - smoothing) * nll + smoothing * uniform
    dx = np.exp(log_probs)
    dx[np.arange(N), y] -= 1 - smoothing
    dx -= smoothing  # BUG factor|missing_factor
    dx /= N
    return loss, dx


#: focal_loss_weight_held_constant
def focal_loss(x, y, gamma=2.0):
    N, C = x.shape
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(N)
    pt = p[rows, y]
    loss = np.mean(-((1 - pt) ** gamma) * np.log(pt))
    dpt = -((1 - pt) ** gamma) / pt  # BUG missing_term
    dx = -p * (dpt * pt)[:, None]
    dx[rows, y] += dpt * pt
    return loss, dx / N


#: huber_tails_without_delta
def inputs(rng):
    return {"x": 3 * rng.standard_normal((4, 3)), "y": rng.standard_normal((4, 3))}


def huber_loss(x, y, delta=1.5):
    r = x - y
    small = np.abs(r) <= delta
    values = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))
    loss = values.mean()
    dx = np.where(small, r, np.sign(r)) / r.size  # BUG factor|missing_factor
    return loss, dx


#: weighted_nll_divided_by_samples
def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "y": np.array([0, 2, 1, 1, 2]), "w": rng.uniform(0.5, 2, 3)}


def weighted_softmax_loss(x, y, w):
    n = len(y)
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    wi = w[y]
    loss = -np.sum(wi * np.log(p[range(n), y])) / wi.sum()
    d = p.copy()
    d[range(n), y] -= 1
    return loss, d * wi[:, None] / n  # BUG factor|wrong_variable


#: hinge_squared_linear_slope
def squared_hinge_loss(x, y):
    N = x.shape[0]
    rows = np.arange(N)
    margins = np.maximum(0, x - x[rows, y][:, None] + 1)
    margins[rows, y] = 0
    loss = np.sum(margins**2) / N
    d = 2 * (margins > 0)  # BUG function|power|missing_factor
    d = d.astype(float)
    d[rows, y] = -d.sum(axis=1)
    return loss, d / N


#: right: cosine_distance
def inputs(rng):
    return {"a": rng.standard_normal((3, 5)), "b": rng.standard_normal((3, 5))}


def cosine_forward(a, b):
    na = np.sqrt((a * a).sum(1, keepdims=True))
    nb = np.sqrt((b * b).sum(1, keepdims=True))
    cos = (a * b).sum(1, keepdims=True) / (na * nb)
    return 1 - cos[:, 0], (a, b, na, nb, cos)


def cosine_backward(dout, cache):
    a, b, na, nb, cos = cache
    g = -dout[:, None]
    da = g * (b / (na * nb) - cos * a / na**2)
    db = g * (a / (na * nb) - cos * b / nb**2)
    return da, db


#: cosine_norm_not_squared
def inputs(rng):
    return {"u": rng.standard_normal((3, 5)), "v": rng.standard_normal((3, 5))}


def cosine_similarity_forward(u, v):
    nu = np.linalg.norm(u, axis=1)
    nv = np.linalg.norm(v, axis=1)
    s = np.einsum("nd,nd->n", u, v) / (nu * nv)
    return s, (u, v, nu, nv, s)


def cosine_similarity_backward(ds, cache):
    u, v, nu, nv, s = cache
    outer = (ds / (nu * nv))[:, None]
    along_u = (ds * s / nu**2)[:, None]
    along_v = (ds * s / nv)[:, None]  # BUG power|missing_factor
    du = outer * v - along_u * u
    dv = outer * u - along_v * v
    return du, dv


#: contrastive_second_half_same_sign
def inputs(rng):
    a = rng.standard_normal((6, 3))
    return {"a": a, "b": a + 0.3 * rng.standard_normal((6, 3)), "same": np.array([1, 0, 1, 0, 0, 1]), "margin": 2.0}


def contrastive_forward(a, b, same, margin):
    diff = a - b
    d = np.sqrt((diff**2).sum(axis=1))
    hinge = np.maximum(0, margin - d)
    loss = 0.5 * np.mean(same * d**2 + (1 - same) * hinge**2)
    return loss, (diff, d, hinge, same)


def contrastive_backward(dloss, cache):
    diff, d, hinge, same = cache
    n = len(d)
    dd = same * d + (1 - same) * hinge  # BUG sign
    dd = dloss * dd / n
    da = (dd / d)[:, None] * diff
    db = -da
    return da, db


#: bce_with_logits_mean_forgotten
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "y": (rng.random((4, 3)) < 0.5).astype(float)}


def bce_loss(x, y):
    loss = np.mean(np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x))))
    dx = sigmoid(x) - y  # BUG sum_for_mean|factor
    return loss, dx


#: right: two_layer_course
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        X = X.reshape(len(X), -1)
        h = np.maximum(0, X @ W1 + b1)
        scores = h @ W2 + b2
        if y is None:
            return scores
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        N = len(X)
        loss = -np.log(p[range(N), y]).mean() + 0.5 * self.reg * ((W1**2).sum() + (W2**2).sum())
        p[range(N), y] -= 1
        p /= N
        dh = p @ W2.T * (h > 0)
        grads = {"W2": h.T @ p + self.reg * W2, "b2": p.sum(0), "W1": X.T @ dh + self.reg * W1, "b1": dh.sum(0)}
        return loss, grads


#: two_layer_penalty_doubled
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        self.params = {}
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N = X.shape[0]
        a1 = X.reshape(N, -1).dot(W1) + b1
        h1 = np.tanh(a1)
        scores = h1.dot(W2) + b2
        if y is None:
            return scores
        exp = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs = exp / exp.sum(axis=1, keepdims=True)
        loss = np.sum(-np.log(probs[np.arange(N), y])) / N
        loss += 0.5 * self.reg * np.sum(W1 * W1)
        loss += 0.5 * self.reg * np.sum(W2 * W2)
        grads = {}
        dscores = probs.copy()
        dscores[np.arange(N), y] -= 1
        dscores /= N
        grads["W2"] = h1.T.dot(dscores) + 2 * self.reg * W2  # BUG regularisation|factor
        grads["b2"] = dscores.sum(axis=0)
        da1 = dscores.dot(W2.T) * (1 - h1**2)
        grads["W1"] = X.reshape(N, -1).T.dot(da1) + self.reg * W1
        grads["b1"] = da1.sum(axis=0)
        return loss, grads


#: two_layer_hidden_bias_not_returned
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        rnd = np.random.randn
        self.params = dict(W1=weight_scale * rnd(input_dim, hidden_dim), b1=np.zeros(hidden_dim))
        self.params.update(W2=weight_scale * rnd(hidden_dim, num_classes), b2=np.zeros(num_classes))

    def loss(self, X, y=None):
        p = self.params
        X = X.reshape(X.shape[0], -1)
        z1 = X @ p["W1"] + p["b1"]
        a1 = np.where(z1 > 0, z1, 0.01 * z1)
        s = a1 @ p["W2"] + p["b2"]
        if y is None:
            return s
        s = s - s.max(axis=1, keepdims=True)
        logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(len(y)), y].mean()
        loss += 0.5 * self.reg * sum((p[k] ** 2).sum() for k in ("W1", "W2"))
        ds = (np.exp(logp) - one_hot(y, s.shape[1])) / len(y)
        dz1 = ds @ p["W2"].T * np.where(z1 > 0, 1, 0.01)
        dW1 = X.T @ dz1 + self.reg * p["W1"]
        db1 = dz1.sum(axis=0)
        dW2 = a1.T @ ds + self.reg * p["W2"]
        db2 = ds.sum(axis=0)
        grads = {"W1": dW1, "b1": db2, "W2": dW2, "b2": db2}  # BUG wrong_variable|shape
        return loss, grads


#: right: fully_connected_any_depth
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5, 4), input_dim=6, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        self.L = len(hidden_dims) + 1
        dims = [input_dim, *hidden_dims, num_classes]
        self.params = {}
        for i in range(self.L):
            self.params[f"W{i + 1}"] = weight_scale * np.random.randn(dims[i], dims[i + 1])
            self.params[f"b{i + 1}"] = np.zeros(dims[i + 1])

    def loss(self, X, y=None):
        acts = [X.reshape(len(X), -1)]
        for i in range(1, self.L + 1):
            z = acts[-1] @ self.params[f"W{i}"] + self.params[f"b{i}"]
            acts.append(np.maximum(z, 0) if i < self.L else z)
        s = acts[-1]
        if y is None:
            return s
        p = np.exp(s - s.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        N = len(y)
        loss = -np.log(p[np.arange(N), y]).sum() / N
        delta = (p - one_hot(y, p.shape[1])) / N
        grads = {}
        for i in range(self.L, 0, -1):
            W = self.params[f"W{i}"]
            loss += 0.5 * self.reg * np.sum(W**2)
            grads[f"W{i}"] = acts[i - 1].T @ delta + self.reg * W
            grads[f"b{i}"] = delta.sum(0)
            delta = (delta @ W.T) * (acts[i - 1] > 0)
        return loss, grads


#: fully_connected_mask_of_next_layer
class FullyConnectedNet:
    def __init__(self, hidden_dims=(4, 4), input_dim=6, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        self.num_layers = len(hidden_dims) + 1
        dims = [input_dim] + list(hidden_dims) + [num_classes]
        self.params = {}
        for i in range(1, self.num_layers + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def loss(self, X, y=None):
        n, L = X.shape[0], self.num_layers
        h, caches = X.reshape(n, -1), {}
        for i in range(1, L + 1):
            a = h.dot(self.params["W%d" % i]) + self.params["b%d" % i]
            caches[i] = (h, a)
            h = a if i == L else np.maximum(0, a)
        if y is None:
            return h
        h = h - h.max(axis=1, keepdims=True)
        probs = np.exp(h) / np.exp(h).sum(axis=1, keepdims=True)
        loss = -np.mean(np.log(probs[np.arange(n), y]))
        dh = probs
        dh[np.arange(n), y] -= 1
        dh /= n
        grads = {}
        for i in range(L, 0, -1):
            h, a = caches[i]
            if i < L:
                dh = dh * (a < 0)  # BUG mask_inverted|mask
            W = self.params["W%d" % i]
            loss += 0.5 * self.reg * np.sum(W * W)
            grads["W%d" % i] = h.T.dot(dh) + self.reg * W
            grads["b%d" % i] = dh.sum(axis=0)
            dh = dh.dot(W.T)
        return loss, grads


#: normalised_net_without_gamma
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5, 4), input_dim=6, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        self.params = {}
        dims = [input_dim] + list(hidden_dims) + [num_classes]
        self.n = len(dims) - 1
        for i in range(self.n):
            self.params[f"W{i + 1}"] = weight_scale * np.random.randn(dims[i], dims[i + 1])
            self.params[f"b{i + 1}"] = np.zeros(dims[i + 1])
            if i < self.n - 1:
                self.params[f"gamma{i + 1}"] = np.ones(dims[i + 1])
                self.params[f"beta{i + 1}"] = np.zeros(dims[i + 1])

    def norm(self, a, gamma, beta):
        mu = a.mean(axis=1, keepdims=True)
        std = np.sqrt(a.var(axis=1, keepdims=True) + 1e-5)
        n = (a - mu) / std
        return gamma * n + beta, (n, std, gamma)

    def norm_back(self, d, cache):
        n, std, gamma = cache
        dn = d  # BUG gamma_missing
        da = (dn - dn.mean(axis=1, keepdims=True) - n * (dn * n).mean(axis=1, keepdims=True)) / std
        return da, (d * n).sum(axis=0), d.sum(axis=0)

    def loss(self, X, y=None):
        P, h, caches = self.params, X.reshape(len(X), -1), []
        for i in range(1, self.n):
            z, c = self.norm(h @ P[f"W{i}"] + P[f"b{i}"], P[f"gamma{i}"], P[f"beta{i}"])
            caches.append((h, z, c))
            h = np.maximum(z, 0)
        s = h @ P[f"W{self.n}"] + P[f"b{self.n}"]
        if y is None:
            return s
        p = np.exp(s - s.max(1, keepdims=True))
        p = p / p.sum(1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        loss += 0.5 * self.reg * sum(np.sum(P[f"W{i}"] ** 2) for i in range(1, self.n + 1))
        d = (p - one_hot(y, p.shape[1])) / len(y)
        g = {f"W{self.n}": h.T @ d + self.reg * P[f"W{self.n}"], f"b{self.n}": d.sum(0)}
        d = d @ P[f"W{self.n}"].T
        for i in range(self.n - 1, 0, -1):
            h, z, c = caches.pop()
            d, g[f"gamma{i}"], g[f"beta{i}"] = self.norm_back(d * (z > 0), c)
            g[f"W{i}"] = h.T @ d + self.reg * P[f"W{i}"]
            g[f"b{i}"] = d.sum(0)
            d = d @ P[f"W{i}"].T
        return loss, g


#: right: im2col_convolution
def im2col(x, k, s):
    N, C, H, W = x.shape
    OH, OW = (H - k) // s + 1, (W - k) // s + 1
    cols = np.empty((C * k * k, N * OH * OW))
    for c in range(C):
        for a in range(k):
            for b in range(k):
                patch = x[:, c, a : a + s * (OH - 1) + 1 : s, b : b + s * (OW - 1) + 1 : s]
                cols[(c * k + a) * k + b] = patch.reshape(-1)
    return cols


def col2im(cols, shape, k, s):
    N, C, H, W = shape
    OH, OW = (H - k) // s + 1, (W - k) // s + 1
    x = np.zeros(shape)
    for c in range(C):
        for a in range(k):
            for b in range(k):
                patch = cols[(c * k + a) * k + b].reshape(N, OH, OW)
                x[:, c, a : a + s * (OH - 1) + 1 : s, b : b + s * (OW - 1) + 1 : s] += patch
    return x


def inputs(rng):
    w, b = rng.standard_normal((4, 3, 2, 2)), rng.standard_normal(4)
    return {"x": rng.standard_normal((2, 3, 5, 6)), "w": w, "b": b, "conv_param": {"stride": 2, "pad": 0}}


def conv_forward_im2col(x, w, b, conv_param):
    s, F, k = conv_param["stride"], w.shape[0], w.shape[2]
    cols = im2col(x, k, s)
    OH, OW = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
    out = (w.reshape(F, -1) @ cols + b[:, None]).reshape(F, len(x), OH, OW).transpose(1, 0, 2, 3)
    return out, (x.shape, w, cols, s)


def conv_backward_im2col(dout, cache):
    shape, w, cols, s = cache
    F = w.shape[0]
    flat = dout.transpose(1, 0, 2, 3).reshape(F, -1)
    dw = (flat @ cols.T).reshape(w.shape)
    dx = col2im(w.reshape(F, -1).T @ flat, shape, w.shape[2], s)
    return dx, dw, flat.sum(axis=1)


#: im2col_rows_in_another_order
def inputs(rng):
    w, b = rng.standard_normal((3, 2, 2, 3)), rng.standard_normal(3)
    return {"x": rng.standard_normal((2, 2, 4, 5)), "w": w, "b": b}


def unfold(x, kh, kw):
    N, C, H, W = x.shape
    rows = []
    for i in range(H - kh + 1):
        for j in range(W - kw + 1):
            rows.append(x[:, :, i : i + kh, j : j + kw].reshape(N, -1))
    return np.stack(rows, axis=1)


def conv2d_forward(x, w, b):
    F, C, kh, kw = w.shape
    N, _, H, W = x.shape
    rows = unfold(x, kh, kw)
    out = rows @ w.reshape(F, -1).T + b
    return out.transpose(0, 2, 1).reshape(N, F, H - kh + 1, W - kw + 1), (x, w, rows)


def conv2d_backward(dout, cache):
    x, w, rows = cache
    N, F, OH, OW = dout.shape
    _, C, kh, kw = w.shape
    d = dout.reshape(N, OH * OW, F)  # BUG transposed|shape
    dw = np.einsum("npf,npk->fk", d, rows).reshape(w.shape)
    drows = (d @ w.reshape(F, -1)).reshape(N, OH, OW, C, kh, kw)
    dx = np.zeros(x.shape)
    for i in range(OH):
        for j in range(OW):
            dx[:, :, i : i + kh, j : j + kw] += drows[:, i, j]
    return dx, dw, d.sum(axis=(0, 1))


#: dilated_conv_backward_dense
def inputs(rng):
    w, b = rng.standard_normal((2, 3, 3)), rng.standard_normal(2)
    return {"x": rng.standard_normal((4, 3, 9)), "w": w, "b": b, "dilation": 2}


def dilated_forward(x, w, b, dilation):
    F, C, K = w.shape
    T = x.shape[2] - dilation * (K - 1)
    out = np.zeros((x.shape[0], F, T)) + b[:, None]
    for k in range(K):
        out += np.einsum("nct,fc->nft", x[:, :, k * dilation : k * dilation + T], w[:, :, k])
    return out, (x, w, dilation)


def dilated_backward(dout, cache):
    x, w, dilation = cache
    T = dout.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k in range(w.shape[2]):
        dw[:, :, k] = np.einsum("nct,nft->fc", x[:, :, k * dilation : k * dilation + T], dout)
        dx[:, :, k : k + T] += np.einsum("nft,fc->nct", dout, w[:, :, k])  # BUG window
    return dx, dw, dout.sum(axis=(0, 2))


#: right: transposed_conv_by_pixels
def inputs(rng):
    w, b = rng.standard_normal((3, 4, 3, 2)), rng.standard_normal(4)
    return {"x": rng.standard_normal((2, 3, 3, 2)), "w": w, "b": b, "stride": 2}


def deconv_forward(x, w, b, stride):
    N, C, H, W = x.shape
    _, F, kh, kw = w.shape
    out = np.zeros((N, F, (H - 1) * stride + kh, (W - 1) * stride + kw))
    for i in range(H):
        for j in range(W):
            stamp = np.einsum("nc,cfab->nfab", x[:, :, i, j], w)
            out[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw] += stamp
    return out + b[:, None, None], (x, w, stride)


def deconv_backward(dout, cache):
    x, w, stride = cache
    kh, kw = w.shape[2:]
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            piece = dout[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
            dx[:, :, i, j] = np.einsum("nfab,cfab->nc", piece, w)
            dw += np.einsum("nc,nfab->cfab", x[:, :, i, j], piece)
    return dx, dw, dout.sum((0, 2, 3))


#: transposed_conv_stride_of_one
def inputs(rng):
    w, b = rng.standard_normal((3, 4, 3)), rng.standard_normal(4)
    return {"x": rng.standard_normal((2, 3, 5)), "w": w, "b": b, "stride": 2}


def conv_transpose1d_forward(x, w, b, stride):
    N, C, L = x.shape
    K = w.shape[2]
    out = np.zeros((N, w.shape[1], (L - 1) * stride + K))
    for l in range(L):
        out[:, :, l * stride : l * stride + K] += np.tensordot(x[:, :, l], w, axes=1)
    return out + b[None, :, None], (x, w, b, stride)


def conv_transpose1d_backward(dout, cache):
    x, w, b, stride = cache
    K = w.shape[2]
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for l in range(x.shape[2]):
        g = dout[:, :, l : l + K]  # BUG window
        dx[:, :, l] = np.tensordot(g, w, axes=([1, 2], [1, 2]))
        dw += np.tensordot(x[:, :, l], g, axes=([0], [0]))
    db = dout.sum(axis=(0, 2))
    return dx, dw, db


#: grouped_conv_always_the_first_group
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 7)), "w": rng.standard_normal((6, 2, 3)), "groups": 2}


def group_conv_forward(x, w, groups):
    N, C, L = x.shape
    F, c, K = w.shape
    f = F // groups
    out = np.zeros((N, F, L - K + 1))
    for g in range(groups):
        for k in range(K):
            xg = x[:, g * c : (g + 1) * c, k : k + L - K + 1]
            out[:, g * f : (g + 1) * f] += np.einsum("ncl,fc->nfl", xg, w[g * f : (g + 1) * f, :, k])
    return out, (x, w, groups)


def group_conv_backward(dout, cache):
    x, w, groups = cache
    F, c, K = w.shape
    f, T = F // groups, dout.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for g in range(groups):
        for k in range(K):
            d, wg = dout[:, g * f : (g + 1) * f], w[g * f : (g + 1) * f, :, k]
            dw[g * f : (g + 1) * f, :, k] = np.einsum("nfl,ncl->fc", d, x[:, g * c : (g + 1) * c, k : k + T])
            dx[:, :c, k : k + T] += np.einsum("nfl,fc->ncl", d, wg)  # BUG window|wrong_variable
    return dx, dw


#: depthwise_padding_cut_too_late
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "w": rng.standard_normal((3, 3, 3))}


def depthwise_forward(x, w):
    H, W = x.shape[2:]
    xp = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    out = sum(xp[:, :, a : a + H, b : b + W] * w[:, a, b, None, None] for a in range(3) for b in range(3))
    return out, (xp, w)


def depthwise_backward(dout, cache):
    xp, w = cache
    H, W = dout.shape[2:]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for a in range(3):
        for b in range(3):
            dw[:, a, b] = (dout * xp[:, :, a : a + H, b : b + W]).sum(axis=(0, 2, 3))
            dxp[:, :, a : a + H, b : b + W] += dout * w[:, a, b, None, None]
    return dxp[:, :, 2:, 2:], dw  # BUG window


#: right: residual_block
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "W1": rng.standard_normal((3, 5)), "W2": rng.standard_normal((5, 3))}


def res_forward(x, W1, W2):
    h = x @ W1
    a = np.maximum(h, 0)
    return x + a @ W2, (x, W1, W2, h, a)


def res_backward(dy, cache):
    x, W1, W2, h, a = cache
    dh = (dy @ W2.T) * (h > 0)
    return dy + dh @ W1.T, x.T @ dh, a.T @ dy


#: residual_shortcut_before_the_last_relu
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "W1": rng.standard_normal((3, 5)), "W2": rng.standard_normal((5, 3))}


def block_forward(x, W1, W2):
    h1 = x @ W1
    a1 = np.maximum(0, h1)
    s = a1 @ W2 + x
    return np.maximum(0, s), (x, W1, W2, h1, a1, s)


def block_backward(dout, cache):
    x, W1, W2, h1, a1, s = cache
    ds = dout * (s > 0)
    dW2 = a1.T @ ds
    da1 = ds @ W2.T
    dh1 = da1 * (h1 > 0)
    dW1 = x.T @ dh1
    dx = dh1 @ W1.T + dout  # BUG mask_missing|wrong_variable
    return dx, dW1, dW2


#: highway_carry_gate_lost
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "Wt": rng.standard_normal((3, 3)), "Wh": rng.standard_normal((3, 3))}


def highway_forward(x, Wt, Wh):
    t = sigmoid(x @ Wt)
    h = np.tanh(x @ Wh)
    return t * h + (1 - t) * x, (x, Wt, Wh, t, h)


def highway_backward(dout, cache):
    x, Wt, Wh, t, h = cache
    dt = dout * h  # BUG missing_term
    dzt = dt * t * (1 - t)
    dzh = dout * t * (1 - h**2)
    dx = dout * (1 - t) + dzt @ Wt.T + dzh @ Wh.T
    return dx, x.T @ dzt, x.T @ dzh


#: squeeze_excite_pool_path
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "w": rng.standard_normal((3, 3))}


def se_forward(x, w):
    z = x.mean(axis=(2, 3))
    s = sigmoid(z @ w)
    return x * s[:, :, None, None], (x, w, z, s)


def se_backward(dout, cache):
    x, w, z, s = cache
    H, W = x.shape[2:]
    ds = (dout * x).mean(axis=(2, 3))  # BUG mean_for_sum|factor
    da = ds * s * (1 - s)
    dz = da @ w.T
    dx = dout * s[:, :, None, None] + dz[:, :, None, None] / (H * W)
    return dx, z.T @ da


#: dense_block_concat_swapped
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 3))}


def dense_block_forward(x, w):
    a = np.tanh(x @ w)
    return np.concatenate([x, a], axis=1), (x, w, a)


def dense_block_backward(dout, cache):
    x, w, a = cache
    d_a, d_x = np.split(dout, [x.shape[1]], axis=1)  # BUG transposed|return_order|wrong_variable
    d_h = d_a * (1 - a**2)
    dw = x.T @ d_h
    d_x = d_x + d_h @ w.T
    return d_x, dw


#: functional_mlp_shared_weights_overwritten
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)}


def tied_mlp_forward(x, w, b, depth=3):
    hs = [x]
    for _ in range(depth):
        hs.append(np.tanh(hs[-1] @ w + b))
    return hs[-1], (hs, w)


def tied_mlp_backward(dout, cache):
    hs, w = cache
    dw, db = np.zeros_like(w), np.zeros(w.shape[1])
    g = dout
    for h_in, h_out in zip(hs[-2::-1], hs[:0:-1]):
        g = g * (1 - h_out**2)
        dw += h_in.T @ g
        db = g.sum(axis=0)  # BUG overlap|missing_sum
        g = g @ w.T
    return g, dw, db


#: right: svm_by_loops
def svm_loss(x, y):
    loss = 0.0
    dx = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(x.shape[1]):
            if j == y[i]:
                continue
            margin = x[i, j] - x[i, y[i]] + 1
            if margin > 0:
                loss += margin
                dx[i, j] += 1
                dx[i, y[i]] -= 1
    return loss / len(x), dx / len(x)


#: right: maxout_pieces
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 5, 2)), "b": rng.standard_normal((5, 2))}


def maxout_forward(x, w, b):
    z = np.tensordot(x, w, axes=1) + b
    k = z.argmax(axis=2)
    return z.max(axis=2), (x, w, k)


def maxout_backward(dout, cache):
    x, w, k = cache
    dz = (k[:, :, None] == np.arange(w.shape[2])) * dout[:, :, None]
    return np.einsum("nmk,dmk->nd", dz, w), np.einsum("nd,nmk->dmk", x, dz), dz.sum(axis=0)


#: right: small_convnet
class ThreeLayerConvNet:
    def __init__(
        self, input_dim=(2, 4, 6), num_filters=3, filter_size=3, hidden_dim=5, num_classes=4, weight_scale=1e-1, reg=0.0
    ):
        C, H, W = input_dim
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(num_filters, C, filter_size, filter_size),
            "b1": np.zeros(num_filters),
            "W2": weight_scale * np.random.randn(num_filters * (H // 2) * (W // 2), hidden_dim),
            "b2": np.zeros(hidden_dim),
            "W3": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b3": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, W2, W3 = self.params["W1"], self.params["W2"], self.params["W3"]
        N, C, H, W = X.shape
        k = W1.shape[2]
        p = (k - 1) // 2
        Xp = np.pad(X, ((0, 0), (0, 0), (p, p), (p, p)))
        view = np.lib.stride_tricks.sliding_window_view(Xp, (k, k), axis=(2, 3))
        conv = np.einsum("nchwab,fcab->nfhw", view, W1) + self.params["b1"][:, None, None]
        relu = np.maximum(conv, 0)
        blocks = relu.reshape(N, -1, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(N, -1, H // 2, W // 2, 4)
        pooled = blocks.max(axis=4)
        flat = pooled.reshape(N, -1)
        z = flat @ W2 + self.params["b2"]
        h = np.maximum(z, 0)
        scores = h @ W3 + self.params["b3"]
        if y is None:
            return scores
        prob = np.exp(scores - scores.max(axis=1, keepdims=True))
        prob /= prob.sum(axis=1, keepdims=True)
        loss = -np.log(prob[np.arange(N), y]).mean() + 0.5 * self.reg * sum((w**2).sum() for w in (W1, W2, W3))
        d = prob.copy()
        d[np.arange(N), y] -= 1
        d /= N
        grads = {"W3": h.T @ d + self.reg * W3, "b3": d.sum(axis=0)}
        d = (d @ W3.T) * (z > 0)
        grads["W2"], grads["b2"] = flat.T @ d + self.reg * W2, d.sum(axis=0)
        d = (d @ W2.T).reshape(pooled.shape)
        d = d[..., None] * (np.arange(4) == blocks.argmax(axis=4)[..., None])
        d = d.reshape(N, -1, H // 2, W // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(conv.shape)
        d = d * (conv > 0)
        grads["W1"] = np.einsum("nchwab,nfhw->fcab", view, d) + self.reg * W1
        grads["b1"] = d.sum(axis=(0, 2, 3))
        return loss, grads


#: two_layer_last_bias_left_none
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        P = self.params
        X = X.reshape(len(X), -1)
        h = sigmoid(X @ P["W1"] + P["b1"])
        out = h @ P["W2"] + P["b2"]
        if y is None:
            return out
        e = np.exp(out - out.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        loss += self.reg / 2 * ((P["W1"] ** 2).sum() + (P["W2"] ** 2).sum())
        d2 = (p - one_hot(y, p.shape[1])) / len(y)
        d1 = d2 @ P["W2"].T * h * (1 - h)
        dW1, db1 = X.T @ d1 + self.reg * P["W1"], d1.sum(axis=0)
        dW2, db2 = h.T @ d2 + self.reg * P["W2"], d2.sum(axis=0)
        grads = dict.fromkeys(P)
        grads.update(W1=dW1, b1=db1, W2=dW2)  # BUG missing_gradient
        return loss, grads


#: sigmoid_slope_once_too_often
def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "y": (rng.random((5, 3)) < 0.4).astype(float)}


def multilabel_loss(x, y):
    n = x.shape[0]
    p = sigmoid(x)
    loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum() / n
    dx = (p - y) * p * (1 - p) / n  # BUG extra_factor
    return loss, dx


#: lstm_history_popped
def inputs(rng):
    return {"x": rng.standard_normal((3, 2, 4)), "w": rng.standard_normal((4, 4)), "h0": rng.standard_normal((2, 4))}


def scan_forward(x, w, h0):
    steps, h = [h0], h0
    for xt in x:
        h = np.tanh(xt + h @ w)
        steps.append(h)
    return h, (steps, w)


def scan_backward(dh, cache):
    steps, w = cache
    dx, dw = [], np.zeros_like(w)
    while len(steps) > 1:
        h = steps.pop()  # BUG second_call|mutation
        da = dh * (1 - h**2)
        dx.insert(0, da)
        dw += steps[-1].T @ da
        dh = da @ w.T
    return np.array(dx), dw, dh


#: pool_gradient_in_single
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 6))}


def sum_pool_forward(x):
    return x[:, :, ::2] + x[:, :, 1::2], x.shape


def sum_pool_backward(dout, shape):
    dx = np.zeros(shape, np.float32)  # BUG dtype
    dx[:, :, ::2] = dout
    dx[:, :, 1::2] = dout
    return dx


#: gradient_for_the_labels_too
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "mask": np.array([[1], [0], [1], [1]]), "w": rng.standard_normal((3, 2))}


def masked_forward(x, mask, w):
    return (x * mask) @ w, (x, mask, w)


def masked_backward(dout, cache):
    x, mask, w = cache
    d = dout @ w.T
    dw = (x * mask).T @ dout
    db = dout.sum(axis=0)  # OR
    return d * mask, dw, db  # BUG extra_gradient
