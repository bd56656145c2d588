import numpy as np


def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    return dx, dw, dout.sum(axis=0)


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, cache):
    return dout * (cache > 0)


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    mean = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    var = bn_param.setdefault("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return gamma * (x - mean) / np.sqrt(var + eps) + beta, None
    mu, v = x.mean(axis=0), x.var(axis=0)
    bn_param["running_mean"] = momentum * mean + (1 - momentum) * mu
    bn_param["running_var"] = momentum * var + (1 - momentum) * v
    std = np.sqrt(v + eps)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (xhat, std, gamma)


def batchnorm_backward(dout, cache):
    xhat, std, gamma = cache
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / std
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "test":
        return x, (None, mode)
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = (np.random.rand(*x.shape) < p) / p
    return x * mask, (mask, mode)


def dropout_backward(dout, cache):
    mask, mode = cache
    return dout if mode == "test" else dout * mask


def softmax_loss(x, y):
    shifted = x - x.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    N = x.shape[0]
    dx = np.exp(log_p)
    dx[np.arange(N), y] -= 1
    return -log_p[np.arange(N), y].mean(), dx / N


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    R, S = w.shape[2:]
    H, W = (xp.shape[2] - R) // s + 1, (xp.shape[3] - S) // s + 1
    out = np.zeros((x.shape[0], w.shape[0], H, W))
    for i in range(H):
        for j in range(W):
            out[:, :, i, j] = np.tensordot(xp[:, :, i * s : i * s + R, j * s : j * s + S], w, ((1, 2, 3), (1, 2, 3))) + b
    return out, (x, w, b, conv_param)


def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    R, S = w.shape[2:]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            at = np.s_[:, :, i * s : i * s + R, j * s : j * s + S]
            dw += np.tensordot(dout[:, :, i, j], xp[at], (0, 0))
            dxp[at] += np.tensordot(dout[:, :, i, j], w, (1, 0))
    return dxp[:, :, p : p + x.shape[2], p : p + x.shape[3]], dw, dout.sum(axis=(0, 2, 3))


def max_pool_forward(x, pool_param):
    s = pool_param["stride"]
    N, C, H, W = x.shape
    six = x.reshape(N, C, H // s, s, W // s, s)
    return six.max(axis=(3, 5)), six


def max_pool_backward(dout, six):
    N, C, H, s, W, _ = six.shape
    flat = six.transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H, W, s * s)
    d = np.zeros_like(flat)
    np.put_along_axis(d, flat.argmax(axis=-1)[..., None], dout[..., None], axis=-1)
    return d.reshape(N, C, H, W, s, s).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H * s, W * s)


#: right: two-layer net, by hand
class TwoLayerNet:
    def __init__(self, input_dim=12, hidden_dim=7, num_classes=4, weight_scale=0.1, reg=0.0):
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
        p = softmax(scores)
        rows = np.arange(len(y))
        loss = -np.log(p[rows, y]).mean() + 0.5 * self.reg * ((W1**2).sum() + (W2**2).sum())
        p[rows, y] -= 1
        p /= len(y)
        dh = p @ W2.T
        dh[h <= 0] = 0
        return loss, {"W1": X.T @ dh + self.reg * W1, "b1": dh.sum(0), "W2": h.T @ p + self.reg * W2, "b2": p.sum(0)}


#: right: fully connected net with batch norm and dropout
class FullyConnectedNet:
    def __init__(
        self,
        hidden_dims=(6, 5),
        input_dim=8,
        num_classes=4,
        dropout_keep_ratio=0.8,
        normalization="batchnorm",
        reg=0.0,
        weight_scale=0.3,
        dtype=np.float64,
        seed=11,
    ):
        self.normalization, self.reg, self.num_layers = normalization, reg, len(hidden_dims) + 1
        self.use_dropout = dropout_keep_ratio != 1
        self.params = {}
        dims = [input_dim, *hidden_dims, num_classes]
        for i, (a, b) in enumerate(zip(dims[:-1], dims[1:]), 1):
            self.params[f"W{i}"] = (weight_scale * np.random.randn(a, b)).astype(dtype)
            self.params[f"b{i}"] = np.zeros(b, dtype=dtype)
            if normalization and i < self.num_layers:
                self.params[f"gamma{i}"], self.params[f"beta{i}"] = np.ones(b, dtype=dtype), np.zeros(b, dtype=dtype)
        self.dropout_param = {"mode": "train", "p": dropout_keep_ratio, "seed": seed}
        self.bn_params = [{"mode": "train"} for _ in hidden_dims]

    def loss(self, X, y=None):
        mode = "test" if y is None else "train"
        self.dropout_param["mode"] = mode
        for bn_param in self.bn_params:
            bn_param["mode"] = mode
        h, caches = X, []
        for i in range(1, self.num_layers):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            bn = drop = None
            if self.normalization:
                h, bn = batchnorm_forward(h, self.params[f"gamma{i}"], self.params[f"beta{i}"], self.bn_params[i - 1])
            h, relu = relu_forward(h)
            if self.use_dropout:
                h, drop = dropout_forward(h, self.dropout_param)
            caches.append((fc, bn, relu, drop))
        L = self.num_layers
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        if mode == "test":
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {}
        d, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(d, last)
        for i in range(L - 1, 0, -1):
            fc, bn, relu, drop = caches[i - 1]
            if self.use_dropout:
                d = dropout_backward(d, drop)
            d = relu_backward(d, relu)
            if self.normalization:
                d, grads[f"gamma{i}"], grads[f"beta{i}"] = batchnorm_backward(d, bn)
            d, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(d, fc)
        for i in range(1, L + 1):
            W = self.params[f"W{i}"]
            loss += 0.5 * self.reg * np.sum(W * W)
            grads[f"W{i}"] += self.reg * W
        return loss, grads


#: right: small convnet
class ThreeLayerConvNet:
    def __init__(
        self, input_dim=(3, 6, 8), num_filters=4, filter_size=3, hidden_dim=5, num_classes=3, weight_scale=0.2, reg=0.0, dtype=np.float64
    ):
        C, H, W = input_dim
        self.reg, self.dtype = reg, dtype
        p = {}
        p["W1"] = np.random.normal(0, weight_scale, (num_filters, C, filter_size, filter_size))
        p["b1"] = np.zeros(num_filters)
        p["W2"] = np.random.normal(0, weight_scale, (num_filters * (H // 2) * (W // 2), hidden_dim))
        p["b2"] = np.zeros(hidden_dim)
        p["W3"] = np.random.normal(0, weight_scale, (hidden_dim, num_classes))
        p["b3"] = np.zeros(num_classes)
        self.params = {k: v.astype(dtype) for k, v in p.items()}

    def loss(self, X, y=None):
        p = self.params
        conv_param = {"stride": 1, "pad": (p["W1"].shape[2] - 1) // 2}
        a1, conv = conv_forward(X, p["W1"], p["b1"], conv_param)
        r1, relu1 = relu_forward(a1)
        p1, pool = max_pool_forward(r1, {"pool_height": 2, "pool_width": 2, "stride": 2})
        a2, fc1 = affine_forward(p1, p["W2"], p["b2"])
        r2, relu2 = relu_forward(a2)
        scores, fc2 = affine_forward(r2, p["W3"], p["b3"])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * sum(np.sum(p[k] ** 2) for k in ("W1", "W2", "W3"))
        grads = {}
        dr2, grads["W3"], grads["b3"] = affine_backward(dscores, fc2)
        dp1, grads["W2"], grads["b2"] = affine_backward(relu_backward(dr2, relu2), fc1)
        da1 = relu_backward(max_pool_backward(dp1, pool), relu1)
        _, grads["W1"], grads["b1"] = conv_backward(da1, conv)
        for k in ("W1", "W2", "W3"):
            grads[k] += self.reg * p[k]
        return loss, grads


#: right: layer class, linear
class Linear:
    def __init__(self, in_features=3, out_features=5):
        self.W = np.random.randn(in_features, out_features) * 0.1
        self.b = np.zeros(out_features)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad):
        self.dW = self.x.T @ grad
        self.db = grad.sum(axis=0)
        return grad @ self.W.T


#: right: recurrent step
def inputs(rng):
    N, D, H = 4, 3, 5
    sizes = {"x": (N, D), "prev_h": (N, H), "Wx": (D, H), "Wh": (H, H), "b": (H,)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(np.dot(x, Wx) + np.dot(prev_h, Wh) + b)
    return next_h, {"x": x, "prev_h": prev_h, "Wx": Wx, "Wh": Wh, "h": next_h}


def rnn_step_backward(dnext_h, cache):
    da = dnext_h * (1 - cache["h"] ** 2)
    return da @ cache["Wx"].T, da @ cache["Wh"].T, cache["x"].T @ da, cache["prev_h"].T @ da, da.sum(axis=0)


#: right: LSTM step
def inputs(rng):
    N, D, H = 3, 4, 5
    sizes = {"x": (N, D), "prev_h": (N, H), "prev_c": (N, H), "Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    i, f, o, g = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    t = np.tanh(next_c)
    dc = dnext_c + dnext_h * o * (1 - t * t)
    da = np.hstack([dc * g * i * (1 - i), dc * prev_c * f * (1 - f), dnext_h * t * o * (1 - o), dc * i * (1 - g * g)])
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(0)


#: right: multi-head attention
def inputs(rng):
    return {k: rng.standard_normal((2, 3, t, 4)) for k, t in (("q", 5), ("k", 6), ("v", 6))}


def attention_forward(q, k, v):
    a = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
    return a @ v, (q, k, v, a)


def attention_backward(dout, cache):
    q, k, v, a = cache
    da = np.einsum("nhqd,nhkd->nhqk", dout, v)
    ds = a * (da - np.sum(da * a, axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    return ds @ k, np.einsum("nhqk,nhqd->nhkd", ds, q), np.einsum("nhqk,nhqd->nhkd", a, dout)


#: right: word embedding
def inputs(rng):
    return {"x": np.array([[0, 3, 3, 1], [2, 0, 3, 5], [1, 1, 0, 2]]), "W": rng.standard_normal((6, 5))}


def word_embedding_forward(x, W):
    return W[x, :], (x, W)


def word_embedding_backward(dout, cache):
    x, W = cache
    dW = np.zeros(W.shape)
    np.add.at(dW, x, dout)
    return dW


#: two-layer net, relu not masked
class TwoLayerNet:
    def __init__(self, input_dim=12, hidden_dim=7, num_classes=4, weight_scale=0.1, reg=0.0):
        self.params = {}
        self.params["W1"] = np.random.normal(0, weight_scale, (input_dim, hidden_dim))
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = np.random.normal(0, weight_scale, (hidden_dim, num_classes))
        self.params["b2"] = np.zeros(num_classes)
        self.reg = reg

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        h, cache1 = affine_forward(X, W1, b1)
        a, cache_relu = relu_forward(h)
        scores, cache2 = affine_forward(a, W2, b2)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        da, dW2, db2 = affine_backward(dscores, cache2)
        dX, dW1, db1 = affine_backward(da, cache1)  # BUG mask_missing
        grads = {"W1": dW1 + self.reg * W1, "b1": db1, "W2": dW2 + self.reg * W2, "b2": db2}
        return loss, grads


#: two-layer net, second weights not regularised
class TwoLayerNet(object):
    def __init__(self, input_dim=12, hidden_dim=7, num_classes=4, weight_scale=0.1, reg=0.5):
        self.params, self.reg = {}, reg
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        params = self.params
        hidden, fc1 = affine_forward(X, params["W1"], params["b1"])
        hidden, relu = relu_forward(hidden)
        scores, fc2 = affine_forward(hidden, params["W2"], params["b2"])
        if y is None:
            return scores
        grads = {}
        loss, dout = softmax_loss(scores, y)
        loss += 0.5 * self.reg * np.sum(params["W1"] ** 2)
        loss += 0.5 * self.reg * np.sum(params["W2"] ** 2)
        dout, grads["W2"], grads["b2"] = affine_backward(dout, fc2)  # BUG regularisation
        dout = relu_backward(dout, relu)
        dout, grads["W1"], grads["b1"] = affine_backward(dout, fc1)
        grads["W1"] += self.reg * params["W1"]  # OR
        return loss, grads  # OR


#: two-layer net, regularisation doubled
class TwoLayerNet:
    def __init__(self, input_dim=10, hidden_dim=6, num_classes=5, weight_scale=1e-1, reg=0.3):
        self.reg = reg
        self.params = dict(
            W1=weight_scale * np.random.standard_normal((input_dim, hidden_dim)),
            b1=np.zeros(hidden_dim),
            W2=weight_scale * np.random.standard_normal((hidden_dim, num_classes)),
            b2=np.zeros(num_classes),
        )

    def loss(self, X, y=None):
        W1, b1, W2, b2 = self.params["W1"], self.params["b1"], self.params["W2"], self.params["b2"]
        Z1 = X.reshape(X.shape[0], -1).dot(W1) + b1
        A1 = Z1 * (Z1 > 0)
        Z2 = A1.dot(W2) + b2
        if y is None:
            return Z2
        m = X.shape[0]
        P = softmax(Z2)
        loss = -np.sum(np.log(P[np.arange(m), y])) / m + 0.5 * self.reg * (np.sum(W1**2) + np.sum(W2**2))
        dZ2 = P.copy()
        dZ2[np.arange(m), y] -= 1
        dZ2 /= m
        dW2 = A1.T.dot(dZ2) + self.reg * W2
        db2 = dZ2.sum(axis=0)
        dZ1 = dZ2.dot(W2.T) * (Z1 > 0)
        dW1 = X.reshape(m, -1).T.dot(dZ1) + 2 * self.reg * W1  # BUG regularisation|factor
        db1 = dZ1.sum(axis=0)
        return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


#: two-layer net, gradient not averaged
class TwoLayerNet:
    def __init__(self, input_dim=10, hidden_dim=6, num_classes=5, weight_scale=0.2, reg=0.0):
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }
        self.reg = reg

    def forward(self, X):
        z = X.reshape(X.shape[0], -1) @ self.params["W1"] + self.params["b1"]
        return np.tanh(z), np.tanh(z) @ self.params["W2"] + self.params["b2"]

    def loss(self, X, y=None):
        hidden, scores = self.forward(X)
        if y is None:
            return scores
        num_train = X.shape[0]
        probs = softmax(scores)
        data_loss = -np.log(probs[range(num_train), y]).sum() / num_train
        reg_loss = self.reg * sum(np.sum(self.params[k] ** 2) for k in ["W1", "W2"])
        delta = probs  # BUG sum_for_mean|factor
        delta[range(num_train), y] -= 1  # OR
        grads = {}
        grads["W2"] = hidden.T @ delta + 2 * self.reg * self.params["W2"]
        grads["b2"] = np.sum(delta, axis=0)
        delta = (delta @ self.params["W2"].T) * (1 - hidden**2)
        grads["W1"] = X.reshape(num_train, -1).T @ delta + 2 * self.reg * self.params["W1"]
        grads["b1"] = np.sum(delta, axis=0)
        return data_loss + reg_loss, grads


#: deep net, mask of the wrong layer
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 6, 6), input_dim=8, num_classes=4, reg=0.0, weight_scale=0.4, dtype=np.float64):
        self.reg, self.L = reg, len(hidden_dims) + 1
        sizes = [input_dim] + list(hidden_dims) + [num_classes]
        self.params = {}
        for l in range(self.L):
            self.params["W%d" % (l + 1)] = (weight_scale * np.random.randn(sizes[l], sizes[l + 1])).astype(dtype)
            self.params["b%d" % (l + 1)] = np.zeros(sizes[l + 1], dtype=dtype)

    def loss(self, X, y=None):
        a = [X.reshape(X.shape[0], -1)]
        z = []
        for l in range(1, self.L + 1):
            z.append(a[-1] @ self.params["W%d" % l] + self.params["b%d" % l])
            a.append(np.maximum(z[-1], 0) if l < self.L else z[-1])
        if y is None:
            return a[-1]
        loss, delta = softmax_loss(a[-1], y)
        grads = {}
        for l in range(self.L, 0, -1):
            W = self.params["W%d" % l]
            loss += 0.5 * self.reg * np.sum(W * W)
            grads["W%d" % l] = a[l - 1].T @ delta + self.reg * W
            grads["b%d" % l] = delta.sum(axis=0)
            if l > 1:
                delta = (delta @ W.T) * (z[min(l - 1, self.L - 2)] > 0)  # BUG mask|wrong_variable
        return loss, grads


#: deep net with batch norm, no gradient for beta
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, reg=0.0, weight_scale=0.4, normalization="batchnorm"):
        self.reg, self.num_layers, self.normalization = reg, len(hidden_dims) + 1, normalization
        dims = [input_dim] + list(hidden_dims) + [num_classes]
        self.params = {}
        for i in range(self.num_layers):
            self.params["W" + str(i + 1)] = np.random.normal(scale=weight_scale, size=(dims[i], dims[i + 1]))
            self.params["b" + str(i + 1)] = np.zeros(dims[i + 1])
            if i < self.num_layers - 1:
                self.params["gamma" + str(i + 1)] = np.ones(dims[i + 1])
                self.params["beta" + str(i + 1)] = np.zeros(dims[i + 1])
        self.bn_params = [{"mode": "train"} for i in range(self.num_layers - 1)]

    def loss(self, X, y=None):
        for bn_param in self.bn_params:
            bn_param["mode"] = "test" if y is None else "train"
        caches = {}
        out = X
        for i in range(1, self.num_layers):
            k = str(i)
            out, caches["fc" + k] = affine_forward(out, self.params["W" + k], self.params["b" + k])
            out, caches["bn" + k] = batchnorm_forward(
                out, self.params["gamma" + k], self.params["beta" + k], self.bn_params[i - 1]
            )
            out, caches["relu" + k] = relu_forward(out)
        k = str(self.num_layers)
        scores, caches["fc" + k] = affine_forward(out, self.params["W" + k], self.params["b" + k])
        if y is None:
            return scores
        loss, dout = softmax_loss(scores, y)
        grads = {}
        dout, grads["W" + k], grads["b" + k] = affine_backward(dout, caches["fc" + k])
        for i in reversed(range(1, self.num_layers)):
            k = str(i)
            dout = relu_backward(dout, caches["relu" + k])
            dout, grads["gamma" + k], _ = batchnorm_backward(dout, caches["bn" + k])  # BUG missing_gradient
            dout, grads["W" + k], grads["b" + k] = affine_backward(dout, caches["fc" + k])
        for i in range(1, self.num_layers + 1):
            W = self.params["W" + str(i)]
            loss += 0.5 * self.reg * np.sum(W**2)
            grads["W" + str(i)] += self.reg * W
        return loss, grads  # OR


#: deep net with dropout, not undone
class FullyConnectedNet:
    def __init__(self, hidden_dims=(9, 7), input_dim=8, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=5):
        self.reg, self.n = reg, len(hidden_dims) + 1
        dims = (input_dim, *hidden_dims, num_classes)
        self.params = {}
        for i in range(1, self.n + 1):
            self.params[f"W{i}"] = np.random.randn(dims[i - 1], dims[i]) * weight_scale
            self.params[f"b{i}"] = np.zeros(dims[i])
        self.dropout_param = {"mode": "train", "p": dropout_keep_ratio, "seed": seed}

    def loss(self, X, y=None):
        self.dropout_param["mode"] = "test" if y is None else "train"
        x, stack = X, []
        for i in range(1, self.n):
            x, fc = affine_forward(x, self.params[f"W{i}"], self.params[f"b{i}"])
            x, relu = relu_forward(x)
            x, drop = dropout_forward(x, self.dropout_param)
            stack.append((fc, relu, drop))
        x, fc = affine_forward(x, self.params[f"W{self.n}"], self.params[f"b{self.n}"])
        if y is None:
            return x
        loss, dx = softmax_loss(x, y)
        grads = {}
        dx, grads[f"W{self.n}"], grads[f"b{self.n}"] = affine_backward(dx, fc)
        for i in range(self.n - 1, 0, -1):
            fc, relu, drop = stack.pop()
            dx = relu_backward(dx, relu)  # BUG mask_missing|keep_prob|missing_factor|missing_term
            dx, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(dx, fc)
        for k, v in self.params.items():
            if k.startswith("W"):
                loss += 0.5 * self.reg * (v * v).sum()
                grads[k] = grads[k] + self.reg * v
        return loss, grads


#: deep net, biases regularised in the gradient only
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=7, num_classes=3, reg=0.1, weight_scale=0.4):
        dims = np.hstack((input_dim, hidden_dims, num_classes)).astype(int)
        self.params = {}
        self.reg = reg
        self.num_layers = len(dims) - 1
        for i in range(self.num_layers):
            self.params["W%d" % (i + 1)] = weight_scale * np.random.randn(dims[i], dims[i + 1])
            self.params["b%d" % (i + 1)] = 0.1 * np.random.randn(dims[i + 1])

    def loss(self, X, y=None):
        caches, h = [], X
        for i in range(self.num_layers):
            h, fc = affine_forward(h, self.params["W%d" % (i + 1)], self.params["b%d" % (i + 1)])
            relu = None
            if i < self.num_layers - 1:
                h, relu = relu_forward(h)
            caches.append((fc, relu))
        if y is None:
            return h
        loss, dh = softmax_loss(h, y)
        loss += 0.5 * self.reg * sum(np.sum(np.square(v)) for k, v in self.params.items() if k[0] == "W")
        grads = {}
        for i in range(self.num_layers - 1, -1, -1):
            fc, relu = caches[i]
            if relu is not None:
                dh = relu_backward(dh, relu)
            dh, grads["W%d" % (i + 1)], grads["b%d" % (i + 1)] = affine_backward(dh, fc)
        for k in self.params:
            grads[k] += self.reg * self.params[k]  # BUG regularisation|extra_term
        return loss, grads


#: convnet, relu forgotten after the pool
class ThreeLayerConvNet:
    def __init__(
        self, input_dim=(3, 6, 8), num_filters=4, filter_size=3, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.0, dtype=np.float64
    ):
        self.params = {}
        self.reg = reg
        C, H, W = input_dim
        self.params["W1"] = weight_scale * np.random.randn(num_filters, C, filter_size, filter_size)
        self.params["b1"] = np.zeros(num_filters)
        self.params["W2"] = weight_scale * np.random.randn(num_filters * H * W // 4, hidden_dim)
        self.params["b2"] = np.zeros(hidden_dim)
        self.params["W3"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b3"] = np.zeros(num_classes)
        for k, v in self.params.items():
            self.params[k] = v.astype(dtype)

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        W3, b3 = self.params["W3"], self.params["b3"]
        conv_param = {"stride": 1, "pad": (W1.shape[2] - 1) // 2}
        pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
        conv_out, conv_cache = conv_forward(X, W1, b1, conv_param)
        relu1_out, relu1_cache = relu_forward(conv_out)
        pool_out, pool_cache = max_pool_forward(relu1_out, pool_param)
        fc1_out, fc1_cache = affine_forward(pool_out, W2, b2)
        relu2_out, relu2_cache = relu_forward(fc1_out)
        scores, fc2_cache = affine_forward(relu2_out, W3, b3)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(W1**2) + np.sum(W2**2) + np.sum(W3**2))
        drelu2, dW3, db3 = affine_backward(dscores, fc2_cache)
        dfc1 = relu_backward(drelu2, relu2_cache)
        dpool, dW2, db2 = affine_backward(dfc1, fc1_cache)
        drelu1 = max_pool_backward(dpool, pool_cache)
        dconv = relu_backward(drelu1, relu1_cache)
        dx, dW1, db1 = conv_backward(drelu1, conv_cache)  # BUG wrong_variable|mask_missing
        grads = {"W1": dW1 + self.reg * W1, "b1": db1, "W2": dW2 + self.reg * W2, "b2": db2, "W3": dW3 + self.reg * W3, "b3": db3}
        return loss, grads


#: layer class, gradient piles up
class Linear:
    def __init__(self, in_features=3, out_features=5):
        self.W = np.random.randn(in_features, out_features) / np.sqrt(in_features)
        self.b = np.zeros(out_features)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        self.dW += np.dot(self.x.T, dout)  # BUG second_call
        self.db = np.sum(dout, axis=0)
        return np.dot(dout, self.W.T)


#: layer class, sigmoid slope at the input
class Sigmoid:
    def __init__(self):
        self.x = None

    def forward(self, x):
        self.x = x
        self.out = 1.0 / (1.0 + np.exp(-x))
        return self.out

    def backward(self, dout):
        return dout * self.x * (1 - self.x)  # BUG wrong_variable|function


#: recurrent step, slope of tanh not squared
def inputs(rng):
    N, D, H = 4, 3, 5
    sizes = {"x": (N, D), "prev_h": (N, H), "Wx": (D, H), "Wh": (H, H), "b": (H,)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x.dot(Wx) + prev_h.dot(Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    draw = dnext_h * (1 - next_h)  # BUG power|function
    dx = draw.dot(Wx.T)
    dprev_h = draw.dot(Wh.T)
    dWx = x.T.dot(draw)
    dWh = prev_h.T.dot(draw)
    db = draw.sum(axis=0)
    return dx, dprev_h, dWx, dWh, db


#: recurrent step, recurrent weights not transposed
def inputs(rng):
    N, D, H = 4, 3, 5
    sizes = {"x": (N, D), "prev_h": (N, H), "Wx": (D, H), "Wh": (H, H), "b": (H,)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    return np.tanh(a), (x, prev_h, Wx, Wh, a)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, a = cache
    da = dnext_h / np.cosh(a) ** 2
    dWx, dWh, db = x.T @ da, prev_h.T @ da, np.sum(da, axis=0)
    dprev_h = da @ Wh  # BUG transposed
    dx = da @ Wx.T
    return dx, dprev_h, dWx, dWh, db


#: recurrent net, later steps do not reach back
def inputs(rng):
    N, T, D, H = 2, 4, 3, 5
    sizes = {"x": (N, T, D), "h0": (N, H), "Wx": (D, H), "Wh": (H, H), "b": (H,)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h = np.zeros((N, T + 1, h0.shape[1]))
    h[:, -1] = h0
    for t in range(T):
        h[:, t] = np.tanh(x[:, t] @ Wx + h[:, t - 1] @ Wh + b)
    return h[:, :T], (x, h, Wx, Wh)


def rnn_backward(dh, cache):
    x, h, Wx, Wh = cache
    dx = np.zeros_like(x)
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[1])
    dprev = np.zeros_like(dh[:, 0])
    for t in reversed(range(x.shape[1])):
        da = dh[:, t] * (1 - h[:, t] ** 2)  # BUG missing_term
        dx[:, t] = da @ Wx.T
        dprev = da @ Wh.T
        dWx += x[:, t].T @ da
        dWh += h[:, t - 1].T @ da
        db += da.sum(axis=0)
    return dx, dprev, dWx, dWh, db


#: LSTM step, upstream changed in place
def inputs(rng):
    N, D, H = 3, 4, 5
    sizes = {"x": (N, D), "prev_h": (N, H), "prev_c": (N, H), "Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i = sigmoid(a[:, 0:H])
    f = sigmoid(a[:, H : 2 * H])
    o = sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H : 4 * H])
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    do = dnext_h * np.tanh(next_c)
    dnext_c += dnext_h * o * (1 - np.tanh(next_c) ** 2)  # BUG mutation
    df = dnext_c * prev_c
    dprev_c = dnext_c * f
    di = dnext_c * g
    dg = dnext_c * i
    da = np.concatenate((di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)), axis=1)
    dx = da.dot(Wx.T)
    dprev_h = da.dot(Wh.T)
    dWx = x.T.dot(da)
    dWh = prev_h.T.dot(da)
    db = np.sum(da, axis=0)
    return dx, dprev_h, dprev_c, dWx, dWh, db


#: LSTM step, hidden state does not reach the cell
def inputs(rng):
    N, D, H = 3, 4, 5
    sizes = {"x": (N, D), "prev_h": (N, H), "prev_c": (N, H), "Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    i, f, o, g = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    c = f * prev_c + i * g
    return o * np.tanh(c), c, dict(x=x, h=prev_h, c0=prev_c, Wx=Wx, Wh=Wh, i=i, f=f, o=o, g=g, c=c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    i, f, o, g, c = (cache[k] for k in "ifogc")
    do = dnext_h * np.tanh(c)
    dc = dnext_c.copy()  # BUG missing_term
    di, dg, df = dc * g, dc * i, dc * cache["c0"]
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g * g)])
    return da @ cache["Wx"].T, da @ cache["Wh"].T, dc * f, cache["x"].T @ da, cache["h"].T @ da, da.sum(axis=0)


#: attention, softmax summed over the queries
def inputs(rng):
    return {"q": rng.standard_normal((2, 5, 4)), "k": rng.standard_normal((2, 6, 4)), "v": rng.standard_normal((2, 6, 3))}


def attention_forward(q, k, v):
    scale = 1 / np.sqrt(q.shape[-1])
    weights = softmax(np.einsum("bid,bjd->bij", q, k) * scale)
    return np.einsum("bij,bjd->bid", weights, v), (q, k, v, weights, scale)


def attention_backward(grad_out, cache):
    q, k, v, weights, scale = cache
    grad_v = np.einsum("bij,bid->bjd", weights, grad_out)
    grad_weights = np.einsum("bid,bjd->bij", grad_out, v)
    inner = (grad_weights * weights).sum(axis=1, keepdims=True)  # BUG axis
    grad_scores = weights * (grad_weights - inner) * scale
    grad_q = np.einsum("bij,bjd->bid", grad_scores, k)
    grad_k = np.einsum("bij,bid->bjd", grad_scores, q)
    return grad_q, grad_k, grad_v


#: attention, keys not scaled
def inputs(rng):
    return {"q": rng.standard_normal((5, 4)), "k": rng.standard_normal((6, 4)), "v": rng.standard_normal((6, 3))}


def attention_forward(q, k, v):
    s = q @ k.T / np.sqrt(k.shape[1])
    p = softmax(s)
    return p @ v, (q, k, v, p)


def attention_backward(dout, cache):
    q, k, v, p = cache
    dv = p.T @ dout
    dp = dout @ v.T
    ds = np.zeros_like(p)
    for row in range(p.shape[0]):
        jacobian = np.diag(p[row]) - np.outer(p[row], p[row])
        ds[row] = jacobian @ dp[row]
    dq = ds @ k / np.sqrt(k.shape[1])
    dk = ds.T @ q  # BUG factor
    return dq, dk, dv


#: word embedding, repeated words counted once
def inputs(rng):
    return {"x": np.array([[0, 3, 3, 1], [2, 0, 3, 5], [1, 1, 0, 2]]), "W": rng.standard_normal((6, 5))}


def word_embedding_forward(x, W):
    out = W[x]
    return out, (x, W.shape)


def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    dW[x] += dout  # BUG overlap
    return dW


#: deep net with batch norm, always in training mode
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, reg=0.0, weight_scale=0.4):
        self.reg, self.depth = reg, len(hidden_dims)
        self.params, last = {}, input_dim
        for i, size in enumerate(hidden_dims, start=1):
            self.params[f"W{i}"], self.params[f"b{i}"] = weight_scale * np.random.randn(last, size), np.zeros(size)
            self.params[f"gamma{i}"], self.params[f"beta{i}"] = np.ones(size), np.zeros(size)
            last = size
        i = self.depth + 1
        self.params[f"W{i}"], self.params[f"b{i}"] = weight_scale * np.random.randn(last, num_classes), np.zeros(num_classes)
        self.bn_params = [{} for _ in hidden_dims]

    def loss(self, X, y=None):
        p, tape, h = self.params, [], X
        for i in range(1, self.depth + 1):
            self.bn_params[i - 1]["mode"] = "train"  # BUG test_mode
            h, c1 = affine_forward(h, p[f"W{i}"], p[f"b{i}"])
            h, c2 = batchnorm_forward(h, p[f"gamma{i}"], p[f"beta{i}"], self.bn_params[i - 1])
            h, c3 = relu_forward(h)
            tape.append((c1, c2, c3))
        i = self.depth + 1
        scores, top = affine_forward(h, p[f"W{i}"], p[f"b{i}"])
        if y is None:
            return scores
        loss, g = softmax_loss(scores, y)
        grads = {}
        g, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(g, top)
        while tape:
            c1, c2, c3 = tape.pop()
            i -= 1
            g, grads[f"gamma{i}"], grads[f"beta{i}"] = batchnorm_backward(relu_backward(g, c3), c2)
            g, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(g, c1)
        for i in range(1, self.depth + 2):
            loss += 0.5 * self.reg * np.sum(p[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * p[f"W{i}"]
        return loss, grads


#: layer class, dropout not rescaled
class Dropout:
    def __init__(self, p=0.6, seed=3):
        self.p, self.seed = p, seed

    def forward(self, x):
        self.kept = np.random.RandomState(self.seed).rand(*x.shape) < self.p
        return x * self.kept / self.p

    def backward(self, grad):
        return grad * self.kept  # BUG keep_prob|factor


#: affine block, cache unpacked short
def affine_relu_forward(x, w, b):
    a = x @ w + b
    return np.maximum(a, 0), (x, w, b, a)


def affine_relu_backward(dout, cache):
    x, w, b = cache  # BUG exception
    da = dout * (x @ w + b > 0)
    return da @ w.T, x.T @ da, da.sum(axis=0)


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 5)), "b": rng.standard_normal(5)}


#: right: gated recurrent step
def inputs(rng):
    N, D, H = 4, 3, 5
    sizes = {"x": (N, D), "prev_h": (N, H), "Wx": (D, 3 * H), "Wh": (H, 3 * H)}
    return {k: rng.standard_normal(s) for k, s in sizes.items()}


def gru_step_forward(x, prev_h, Wx, Wh):
    H = prev_h.shape[1]
    ax, ah = x @ Wx, prev_h @ Wh
    r, z = sigmoid(ax[:, :H] + ah[:, :H]), sigmoid(ax[:, H : 2 * H] + ah[:, H : 2 * H])
    n = np.tanh(ax[:, 2 * H :] + r * ah[:, 2 * H :])
    return (1 - z) * n + z * prev_h, (x, prev_h, Wx, Wh, r, z, n, ah[:, 2 * H :])


def gru_step_backward(dh, cache):
    x, prev_h, Wx, Wh, r, z, n, ahn = cache
    dn = dh * (1 - z) * (1 - n**2)
    dz = dh * (prev_h - n) * z * (1 - z)
    dr = dn * ahn * r * (1 - r)
    dax = np.concatenate([dr, dz, dn], axis=1)
    dah = np.concatenate([dr, dz, dn * r], axis=1)
    return dax @ Wx.T, dh * z + dah @ Wh.T, x.T @ dax, prev_h.T @ dah
