import numpy as np


#: right: prelu, one slope for each channel
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 2)), "slope": rng.uniform(0.1, 0.5, 4)}


def prelu_forward(x, slope):
    a = slope.reshape(1, -1, 1, 1)
    return np.maximum(0, x) + a * np.minimum(0, x), (x, a)


def prelu_backward(up, memo):
    x, a = memo
    dslope = (up * np.minimum(0, x)).sum(axis=(0, 2, 3))
    return np.where(x > 0, up, a * up), dslope


#: prelu, one slope for each channel, slope gradient over the batch only
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 2)), "slope": rng.uniform(0.1, 0.5, 4)}


def prelu_forward(x, slope):
    a = slope.reshape(1, -1, 1, 1)
    return np.maximum(0, x) + a * np.minimum(0, x), (x, a)


def prelu_backward(up, memo):
    x, a = memo
    dslope = (up * np.minimum(0, x)).sum(axis=0)  # BUG missing_sum|axis|shape
    return np.where(x > 0, up, a * up), dslope


#: prelu, one slope for each channel, positive part taken
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 2)), "slope": rng.uniform(0.1, 0.5, 4)}


def prelu_forward(x, slope):
    a = slope.reshape(1, -1, 1, 1)
    return np.maximum(0, x) + a * np.minimum(0, x), (x, a)


def prelu_backward(up, memo):
    x, a = memo
    dslope = (up * np.maximum(0, x)).sum(axis=(0, 2, 3))  # BUG wrong_variable|function|mask|mask_inverted
    return np.where(x > 0, up, a * up), dslope


#: prelu, one slope for each channel, negative side dead
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2, 2)), "slope": rng.uniform(0.1, 0.5, 4)}


def prelu_forward(x, slope):
    a = slope.reshape(1, -1, 1, 1)
    return np.maximum(0, x) + a * np.minimum(0, x), (x, a)


def prelu_backward(up, memo):
    x, a = memo
    dslope = (up * np.minimum(0, x)).sum(axis=(0, 2, 3))
    return np.where(x > 0, up, 0), dslope  # BUG missing_term|mask|missing_factor


#: right: instance norm in one statement
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def instance_norm_forward(x):
    m, v = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    s = np.sqrt(v + 1e-3)
    return (x - m) / s, ((x - m) / s, s)


def instance_norm_backward(G, cache):
    h, s = cache
    return (G - G.mean((2, 3), keepdims=True) - h * (G * h).mean((2, 3), keepdims=True)) / s


#: instance norm in one statement, over rows only
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def instance_norm_forward(x):
    m, v = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    s = np.sqrt(v + 1e-3)
    return (x - m) / s, ((x - m) / s, s)


def instance_norm_backward(G, cache):
    h, s = cache
    return (G - G.mean((2, 3), keepdims=True) - h * (G * h).mean(3, keepdims=True)) / s  # BUG axis


#: instance norm in one statement, plus for minus
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def instance_norm_forward(x):
    m, v = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    s = np.sqrt(v + 1e-3)
    return (x - m) / s, ((x - m) / s, s)


def instance_norm_backward(G, cache):
    h, s = cache
    return (G - G.mean((2, 3), keepdims=True) + h * (G * h).mean((2, 3), keepdims=True)) / s  # BUG sign


#: instance norm in one statement, second mean without h
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def instance_norm_forward(x):
    m, v = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    s = np.sqrt(v + 1e-3)
    return (x - m) / s, ((x - m) / s, s)


def instance_norm_backward(G, cache):
    h, s = cache
    return (G - G.mean((2, 3), keepdims=True) - h * G.mean((2, 3), keepdims=True)) / s  # BUG missing_factor


#: instance norm in one statement, eps added again
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5))}


def instance_norm_forward(x):
    m, v = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    s = np.sqrt(v + 1e-3)
    return (x - m) / s, ((x - m) / s, s)


def instance_norm_backward(G, cache):
    h, s = cache
    return (G - G.mean((2, 3), keepdims=True) - h * (G * h).mean((2, 3), keepdims=True)) / (s + 1e-3)  # BUG eps


#: right: affine and relu and dropout together
def affine_relu_drop_forward(x, w, b, seed=4):
    z = x.dot(w) + b
    a = z * (z > 0)
    m = (np.random.RandomState(seed).rand(*a.shape) < 0.75) / 0.75
    return a * m, (x, w, z, m)


def affine_relu_drop_backward(dout, cache):
    x, w, z, m = cache
    da = dout * m
    dz = da * (z > 0)
    dx = dz.dot(w.T)
    dw = x.T.dot(dz)
    db = dz.sum(0)
    return dx, dw, db


#: affine and relu and dropout together, dropout twice
def affine_relu_drop_forward(x, w, b, seed=4):
    z = x.dot(w) + b
    a = z * (z > 0)
    m = (np.random.RandomState(seed).rand(*a.shape) < 0.75) / 0.75
    return a * m, (x, w, z, m)


def affine_relu_drop_backward(dout, cache):
    x, w, z, m = cache
    da = dout * m * m  # BUG mask_twice|keep_prob
    dz = da * (z > 0)
    dx = dz.dot(w.T)
    dw = x.T.dot(dz)
    db = dz.sum(0)
    return dx, dw, db


#: affine and relu and dropout together, mask of the wrong sign
def affine_relu_drop_forward(x, w, b, seed=4):
    z = x.dot(w) + b
    a = z * (z > 0)
    m = (np.random.RandomState(seed).rand(*a.shape) < 0.75) / 0.75
    return a * m, (x, w, z, m)


def affine_relu_drop_backward(dout, cache):
    x, w, z, m = cache
    da = dout * m
    dz = da * (z < 0)  # BUG mask_inverted
    dx = dz.dot(w.T)
    dw = x.T.dot(dz)
    db = dz.sum(0)
    return dx, dw, db


#: affine and relu and dropout together, bias before relu
def affine_relu_drop_forward(x, w, b, seed=4):
    z = x.dot(w) + b
    a = z * (z > 0)
    m = (np.random.RandomState(seed).rand(*a.shape) < 0.75) / 0.75
    return a * m, (x, w, z, m)


def affine_relu_drop_backward(dout, cache):
    x, w, z, m = cache
    da = dout * m
    dz = da * (z > 0)
    dx = dz.dot(w.T)
    dw = x.T.dot(dz)
    db = da.sum(0)  # BUG wrong_variable|mask_missing
    return dx, dw, db


#: affine and relu and dropout together, scale without mask
def affine_relu_drop_forward(x, w, b, seed=4):
    z = x.dot(w) + b
    a = z * (z > 0)
    m = (np.random.RandomState(seed).rand(*a.shape) < 0.75) / 0.75
    return a * m, (x, w, z, m)


def affine_relu_drop_backward(dout, cache):
    x, w, z, m = cache
    da = dout / 0.75  # BUG mask_missing|mask
    dz = da * (z > 0)
    dx = dz.dot(w.T)
    dw = x.T.dot(dz)
    db = dz.sum(0)
    return dx, dw, db


#: right: log softmax with nll over time, masked
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "y": rng.integers(0, 4, (2, 3)), "mask": np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)}


def temporal_softmax_loss(x, y, mask):
    N, T, V = x.shape
    xf, yf, mf = x.reshape(N * T, V), y.reshape(-1), mask.reshape(-1)
    p = np.exp(xf - xf.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(mf * np.log(p[np.arange(N * T), yf])) / N
    d = p.copy()
    d[np.arange(N * T), yf] -= 1
    d /= N
    d *= mf[:, None]
    return loss, d.reshape(N, T, V)


#: log softmax with nll over time, masked, padding learns too
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "y": rng.integers(0, 4, (2, 3)), "mask": np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)}


def temporal_softmax_loss(x, y, mask):
    N, T, V = x.shape
    xf, yf, mf = x.reshape(N * T, V), y.reshape(-1), mask.reshape(-1)
    p = np.exp(xf - xf.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(mf * np.log(p[np.arange(N * T), yf])) / N
    d = p.copy()
    d[np.arange(N * T), yf] -= 1
    d /= N
    d *= 1.0  # BUG mask_missing
    return loss, d.reshape(N, T, V)


#: log softmax with nll over time, masked, over all words
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "y": rng.integers(0, 4, (2, 3)), "mask": np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)}


def temporal_softmax_loss(x, y, mask):
    N, T, V = x.shape
    xf, yf, mf = x.reshape(N * T, V), y.reshape(-1), mask.reshape(-1)
    p = np.exp(xf - xf.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(mf * np.log(p[np.arange(N * T), yf])) / N
    d = p.copy()
    d[np.arange(N * T), yf] -= 1
    d /= N * T  # BUG factor
    d *= mf[:, None]
    return loss, d.reshape(N, T, V)


#: log softmax with nll over time, masked, inverted padding
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "y": rng.integers(0, 4, (2, 3)), "mask": np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)}


def temporal_softmax_loss(x, y, mask):
    N, T, V = x.shape
    xf, yf, mf = x.reshape(N * T, V), y.reshape(-1), mask.reshape(-1)
    p = np.exp(xf - xf.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(mf * np.log(p[np.arange(N * T), yf])) / N
    d = p.copy()
    d[np.arange(N * T), yf] -= 1
    d /= N
    d *= ~mf[:, None]  # BUG mask_inverted
    return loss, d.reshape(N, T, V)


#: log softmax with nll over time, masked, reshaped the wrong way
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "y": rng.integers(0, 4, (2, 3)), "mask": np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)}


def temporal_softmax_loss(x, y, mask):
    N, T, V = x.shape
    xf, yf, mf = x.reshape(N * T, V), y.reshape(-1), mask.reshape(-1)
    p = np.exp(xf - xf.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(mf * np.log(p[np.arange(N * T), yf])) / N
    d = p.copy()
    d[np.arange(N * T), yf] -= 1
    d /= N
    d *= mf[:, None]
    return loss, d.reshape(T, N, V).transpose(1, 0, 2)  # BUG transposed|shape


#: right: bilinear form
def inputs(rng):
    return {"u": rng.standard_normal((4, 3)), "A": rng.standard_normal((3, 5)), "v": rng.standard_normal((4, 5))}


def bilinear_forward(u, A, v):
    uA = u @ A
    return (uA * v).sum(1), (u, A, v, uA)


def bilinear_backward(dy, cache):
    u, A, v, uA = cache
    g = dy[:, None]
    dv = g * uA
    duA = g * v
    du = duA @ A.T
    dA = u.T @ duA
    return du, dA, dv


#: bilinear form, matrix left out
def inputs(rng):
    return {"u": rng.standard_normal((4, 3)), "A": rng.standard_normal((3, 5)), "v": rng.standard_normal((4, 5))}


def bilinear_forward(u, A, v):
    uA = u @ A
    return (uA * v).sum(1), (u, A, v, uA)


def bilinear_backward(dy, cache):
    u, A, v, uA = cache
    g = dy[:, None]
    dv = g * v  # BUG missing_factor|wrong_variable
    duA = g * v
    du = duA @ A.T
    dA = u.T @ duA
    return du, dA, dv


#: bilinear form, not transposed
def inputs(rng):
    return {"u": rng.standard_normal((4, 3)), "A": rng.standard_normal((3, 5)), "v": rng.standard_normal((4, 5))}


def bilinear_forward(u, A, v):
    uA = u @ A
    return (uA * v).sum(1), (u, A, v, uA)


def bilinear_backward(dy, cache):
    u, A, v, uA = cache
    g = dy[:, None]
    dv = g * uA
    duA = g * v
    du = duA @ A  # BUG transposed|exception
    dA = u.T @ duA
    return du, dA, dv


#: bilinear form, outer product of the wrong ones
def inputs(rng):
    return {"u": rng.standard_normal((4, 3)), "A": rng.standard_normal((3, 5)), "v": rng.standard_normal((4, 5))}


def bilinear_forward(u, A, v):
    uA = u @ A
    return (uA * v).sum(1), (u, A, v, uA)


def bilinear_backward(dy, cache):
    u, A, v, uA = cache
    g = dy[:, None]
    dv = g * uA
    duA = g * v
    du = duA @ A.T
    dA = u.T @ dv  # BUG wrong_variable
    return du, dA, dv


#: bilinear form, upstream dropped
def inputs(rng):
    return {"u": rng.standard_normal((4, 3)), "A": rng.standard_normal((3, 5)), "v": rng.standard_normal((4, 5))}


def bilinear_forward(u, A, v):
    uA = u @ A
    return (uA * v).sum(1), (u, A, v, uA)


def bilinear_backward(dy, cache):
    u, A, v, uA = cache
    g = dy[:, None]
    dv = g * uA
    duA = v  # BUG upstream_missing
    du = duA @ A.T
    dA = u.T @ duA
    return du, dA, dv


#: bilinear form, upstream summed
def inputs(rng):
    return {"u": rng.standard_normal((4, 3)), "A": rng.standard_normal((3, 5)), "v": rng.standard_normal((4, 5))}


def bilinear_forward(u, A, v):
    uA = u @ A
    return (uA * v).sum(1), (u, A, v, uA)


def bilinear_backward(dy, cache):
    u, A, v, uA = cache
    g = dy.sum()  # BUG extra_sum|keepdims|axis
    dv = g * uA
    duA = g * v
    du = duA @ A.T
    dA = u.T @ duA
    return du, dA, dv


#: right: max of three, ties by order
def inputs(rng):
    return {"a": rng.standard_normal((5, 4)), "b": rng.standard_normal((5, 4)), "c": rng.standard_normal((5, 4))}


def maxout_forward(a, b, c):
    s = np.stack([a, b, c])
    k = s.argmax(0)
    return s.max(0), k


def maxout_backward(dout, k):
    da, db, dc = (dout * (k == i) for i in range(3))
    return da, db, dc


#: max of three, ties by order, counts from one
def inputs(rng):
    return {"a": rng.standard_normal((5, 4)), "b": rng.standard_normal((5, 4)), "c": rng.standard_normal((5, 4))}


def maxout_forward(a, b, c):
    s = np.stack([a, b, c])
    k = s.argmax(0)
    return s.max(0), k


def maxout_backward(dout, k):
    da, db, dc = (dout * (k == i + 1) for i in range(3))  # BUG wrong_variable|argmax|window|mask
    return da, db, dc


#: max of three, ties by order, last two exchanged
def inputs(rng):
    return {"a": rng.standard_normal((5, 4)), "b": rng.standard_normal((5, 4)), "c": rng.standard_normal((5, 4))}


def maxout_forward(a, b, c):
    s = np.stack([a, b, c])
    k = s.argmax(0)
    return s.max(0), k


def maxout_backward(dout, k):
    da, db, dc = (dout * (k == i) for i in range(3))
    return da, dc, db  # BUG return_order


#: right: lstm-like memory over time
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 3)), "f": rng.uniform(0.2, 0.9, 3)}


def leaky_memory_forward(x, f):
    N, T, D = x.shape
    c = np.zeros((N, T + 1, D))
    for t in range(T):
        c[:, t + 1] = f * c[:, t] + (1 - f) * x[:, t]
    return c[:, 1:], (x, f, c)


def leaky_memory_backward(dc, cache):
    x, f, c = cache
    N, T, D = x.shape
    dx, df = np.zeros_like(x), np.zeros_like(f)
    carry = np.zeros((N, D))
    for t in range(T - 1, -1, -1):
        g = dc[:, t] + carry
        dx[:, t] = g * (1 - f)
        df += (g * (c[:, t] - x[:, t])).sum(0)
        carry = g * f
    return dx, df


#: lstm-like memory over time, carried undamped
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 3)), "f": rng.uniform(0.2, 0.9, 3)}


def leaky_memory_forward(x, f):
    N, T, D = x.shape
    c = np.zeros((N, T + 1, D))
    for t in range(T):
        c[:, t + 1] = f * c[:, t] + (1 - f) * x[:, t]
    return c[:, 1:], (x, f, c)


def leaky_memory_backward(dc, cache):
    x, f, c = cache
    N, T, D = x.shape
    dx, df = np.zeros_like(x), np.zeros_like(f)
    carry = np.zeros((N, D))
    for t in range(T - 1, -1, -1):
        g = dc[:, t] + carry
        dx[:, t] = g * (1 - f)
        df += (g * (c[:, t] - x[:, t])).sum(0)
        carry = g  # BUG missing_factor
    return dx, df


#: lstm-like memory over time, no memory
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 3)), "f": rng.uniform(0.2, 0.9, 3)}


def leaky_memory_forward(x, f):
    N, T, D = x.shape
    c = np.zeros((N, T + 1, D))
    for t in range(T):
        c[:, t + 1] = f * c[:, t] + (1 - f) * x[:, t]
    return c[:, 1:], (x, f, c)


def leaky_memory_backward(dc, cache):
    x, f, c = cache
    N, T, D = x.shape
    dx, df = np.zeros_like(x), np.zeros_like(f)
    carry = np.zeros((N, D))
    for t in range(T - 1, -1, -1):
        g = dc[:, t]  # BUG missing_term
        dx[:, t] = g * (1 - f)
        df += (g * (c[:, t] - x[:, t])).sum(0)
        carry = g * f
    return dx, df


#: lstm-like memory over time, state after instead of before
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 3)), "f": rng.uniform(0.2, 0.9, 3)}


def leaky_memory_forward(x, f):
    N, T, D = x.shape
    c = np.zeros((N, T + 1, D))
    for t in range(T):
        c[:, t + 1] = f * c[:, t] + (1 - f) * x[:, t]
    return c[:, 1:], (x, f, c)


def leaky_memory_backward(dc, cache):
    x, f, c = cache
    N, T, D = x.shape
    dx, df = np.zeros_like(x), np.zeros_like(f)
    carry = np.zeros((N, D))
    for t in range(T - 1, -1, -1):
        g = dc[:, t] + carry
        dx[:, t] = g * (1 - f)
        df += (g * (c[:, t + 1] - x[:, t])).sum(0)  # BUG wrong_variable|window
        carry = g * f
    return dx, df


#: lstm-like memory over time, input's share left out
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 3)), "f": rng.uniform(0.2, 0.9, 3)}


def leaky_memory_forward(x, f):
    N, T, D = x.shape
    c = np.zeros((N, T + 1, D))
    for t in range(T):
        c[:, t + 1] = f * c[:, t] + (1 - f) * x[:, t]
    return c[:, 1:], (x, f, c)


def leaky_memory_backward(dc, cache):
    x, f, c = cache
    N, T, D = x.shape
    dx, df = np.zeros_like(x), np.zeros_like(f)
    carry = np.zeros((N, D))
    for t in range(T - 1, -1, -1):
        g = dc[:, t] + carry
        dx[:, t] = g * (1 - f)
        df += (g * c[:, t]).sum(0)  # BUG missing_term
        carry = g * f
    return dx, df


#: lstm-like memory over time, forwards in time
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 3)), "f": rng.uniform(0.2, 0.9, 3)}


def leaky_memory_forward(x, f):
    N, T, D = x.shape
    c = np.zeros((N, T + 1, D))
    for t in range(T):
        c[:, t + 1] = f * c[:, t] + (1 - f) * x[:, t]
    return c[:, 1:], (x, f, c)


def leaky_memory_backward(dc, cache):
    x, f, c = cache
    N, T, D = x.shape
    dx, df = np.zeros_like(x), np.zeros_like(f)
    carry = np.zeros((N, D))
    for t in range(T):  # BUG window|operation|wrong_variable
        g = dc[:, t] + carry  # OR
        dx[:, t] = g * (1 - f)
        df += (g * (c[:, t] - x[:, t])).sum(0)
        carry = g * f
    return dx, df


#: lstm-like memory over time, f for 1 - f
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 3)), "f": rng.uniform(0.2, 0.9, 3)}


def leaky_memory_forward(x, f):
    N, T, D = x.shape
    c = np.zeros((N, T + 1, D))
    for t in range(T):
        c[:, t + 1] = f * c[:, t] + (1 - f) * x[:, t]
    return c[:, 1:], (x, f, c)


def leaky_memory_backward(dc, cache):
    x, f, c = cache
    N, T, D = x.shape
    dx, df = np.zeros_like(x), np.zeros_like(f)
    carry = np.zeros((N, D))
    for t in range(T - 1, -1, -1):
        g = dc[:, t] + carry
        dx[:, t] = g * f  # BUG wrong_variable|factor|missing_factor|function
        df += (g * (c[:, t] - x[:, t])).sum(0)
        carry = g * f
    return dx, df


#: right: conv by tensordot, patches kept
def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    h, v = (xp.shape[2] - kh) // s + 1, (xp.shape[3] - kw) // s + 1
    patches = np.stack([[xp[:, :, i * s : i * s + kh, j * s : j * s + kw] for j in range(v)] for i in range(h)])
    out = np.einsum("ijncab,fcab->nfij", patches, w) + b.reshape(-1, 1, 1)
    return out, (patches, w, xp.shape, s, p)


def conv_backward(dz, cache):
    patches, w, shape, s, p = cache
    dw = np.einsum("nfij,ijncab->fcab", dz, patches)
    db = dz.sum((0, 2, 3))
    dp = np.einsum("nfij,fcab->ijncab", dz, w)
    dxp = np.zeros(shape)
    for i in range(dp.shape[0]):
        for j in range(dp.shape[1]):
            dxp[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]] += dp[i, j]
    return dxp[:, :, p : shape[2] - p, p : shape[3] - p], dw, db


#: conv by tensordot, patches kept, rows for columns
def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    h, v = (xp.shape[2] - kh) // s + 1, (xp.shape[3] - kw) // s + 1
    patches = np.stack([[xp[:, :, i * s : i * s + kh, j * s : j * s + kw] for j in range(v)] for i in range(h)])
    out = np.einsum("ijncab,fcab->nfij", patches, w) + b.reshape(-1, 1, 1)
    return out, (patches, w, xp.shape, s, p)


def conv_backward(dz, cache):
    patches, w, shape, s, p = cache
    dw = np.einsum("nfji,ijncab->fcab", dz.swapaxes(2, 3)[:, :, : dz.shape[3], : dz.shape[2]], patches[:, :, :, :, ::-1])  # BUG transposed
    db = dz.sum((0, 2, 3))
    dp = np.einsum("nfij,fcab->ijncab", dz, w)
    dxp = np.zeros(shape)
    for i in range(dp.shape[0]):
        for j in range(dp.shape[1]):
            dxp[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]] += dp[i, j]
    return dxp[:, :, p : shape[2] - p, p : shape[3] - p], dw, db


#: conv by tensordot, patches kept, kernel mirrored
def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    h, v = (xp.shape[2] - kh) // s + 1, (xp.shape[3] - kw) // s + 1
    patches = np.stack([[xp[:, :, i * s : i * s + kh, j * s : j * s + kw] for j in range(v)] for i in range(h)])
    out = np.einsum("ijncab,fcab->nfij", patches, w) + b.reshape(-1, 1, 1)
    return out, (patches, w, xp.shape, s, p)


def conv_backward(dz, cache):
    patches, w, shape, s, p = cache
    dw = np.einsum("nfij,ijncab->fcab", dz, patches)
    db = dz.sum((0, 2, 3))
    dp = np.einsum("nfij,fcab->ijncab", dz, w[:, :, ::-1])  # BUG transposed|window
    dxp = np.zeros(shape)
    for i in range(dp.shape[0]):
        for j in range(dp.shape[1]):
            dxp[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]] += dp[i, j]
    return dxp[:, :, p : shape[2] - p, p : shape[3] - p], dw, db


#: conv by tensordot, patches kept, patch of the wrong place
def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    h, v = (xp.shape[2] - kh) // s + 1, (xp.shape[3] - kw) // s + 1
    patches = np.stack([[xp[:, :, i * s : i * s + kh, j * s : j * s + kw] for j in range(v)] for i in range(h)])
    out = np.einsum("ijncab,fcab->nfij", patches, w) + b.reshape(-1, 1, 1)
    return out, (patches, w, xp.shape, s, p)


def conv_backward(dz, cache):
    patches, w, shape, s, p = cache
    dw = np.einsum("nfij,ijncab->fcab", dz, patches)
    db = dz.sum((0, 2, 3))
    dp = np.einsum("nfij,fcab->ijncab", dz, w)
    dxp = np.zeros(shape)
    for i in range(dp.shape[0]):
        for j in range(dp.shape[1]):
            dxp[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]] += dp[i, 0]  # BUG window|wrong_variable|transposed
    return dxp[:, :, p : shape[2] - p, p : shape[3] - p], dw, db


#: conv by tensordot, patches kept, bias averaged
def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    h, v = (xp.shape[2] - kh) // s + 1, (xp.shape[3] - kw) // s + 1
    patches = np.stack([[xp[:, :, i * s : i * s + kh, j * s : j * s + kw] for j in range(v)] for i in range(h)])
    out = np.einsum("ijncab,fcab->nfij", patches, w) + b.reshape(-1, 1, 1)
    return out, (patches, w, xp.shape, s, p)


def conv_backward(dz, cache):
    patches, w, shape, s, p = cache
    dw = np.einsum("nfij,ijncab->fcab", dz, patches)
    db = dz.mean((0, 2, 3))  # BUG factor|mean_for_sum
    dp = np.einsum("nfij,fcab->ijncab", dz, w)
    dxp = np.zeros(shape)
    for i in range(dp.shape[0]):
        for j in range(dp.shape[1]):
            dxp[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]] += dp[i, j]
    return dxp[:, :, p : shape[2] - p, p : shape[3] - p], dw, db


#: conv by tensordot, patches kept, cut on one side
def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    h, v = (xp.shape[2] - kh) // s + 1, (xp.shape[3] - kw) // s + 1
    patches = np.stack([[xp[:, :, i * s : i * s + kh, j * s : j * s + kw] for j in range(v)] for i in range(h)])
    out = np.einsum("ijncab,fcab->nfij", patches, w) + b.reshape(-1, 1, 1)
    return out, (patches, w, xp.shape, s, p)


def conv_backward(dz, cache):
    patches, w, shape, s, p = cache
    dw = np.einsum("nfij,ijncab->fcab", dz, patches)
    db = dz.sum((0, 2, 3))
    dp = np.einsum("nfij,fcab->ijncab", dz, w)
    dxp = np.zeros(shape)
    for i in range(dp.shape[0]):
        for j in range(dp.shape[1]):
            dxp[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]] += dp[i, j]
    return dxp[:, :, 2 * p :, 2 * p :], dw, db  # BUG window|shape
