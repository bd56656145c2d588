"""A net, a batch and an optimizer: what the benchmarks of training and prediction are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..layers import Dropout
from ..layers.base import Array, Cache, Layer, Shape
from ..losses import SoftmaxLoss
from ..optim import Adam, Optimizer
from .group import Side, Unsuitable
from .layer_case import LayerCase
from .layer_case import work as layer_work

CHECKED_STEPS = 3


@dataclass(frozen=True)
class NetCase:
    """A net on a batch.

    Attributes
    ----------
    make : function() -> list of Layer
        A function, so that the list is made in the process that needs it.
    input_shape : tuple of int
    batch : int
    optimizer : Optimizer
    """

    make: Callable[[], list[Layer]]
    input_shape: Shape
    batch: int
    optimizer: Optimizer = Adam(lr=1e-3)  # noqa: RUF009 (frozen)

    def model(self, *, dropout: bool = True, kernels: bool = True, dtype: str = "float32") -> Any:
        """Return the model with the same first weights on every side; without dropout where sides are compared."""
        from ..model import Model

        layers = self.make()
        if not dropout:
            layers = [replace(layer, drop_prob=0.0) if isinstance(layer, Dropout) else layer for layer in layers]
        return Model(layers, self.input_shape, kernels=kernels, dtype=dtype)

    def data(self) -> tuple[Array, Array]:
        """Return the same batch for every side."""
        rng = np.random.default_rng(1)
        classes = self.model(kernels=False).output_shape[-1]
        x = rng.standard_normal((self.batch, *self.input_shape), np.float32)
        return x, rng.integers(0, classes, self.batch)


def work(case: NetCase) -> tuple[float, float]:
    """Return operations and bytes of a training step: the layers', and a pass of the optimizer."""
    model = case.model(kernels=False)
    flops, moved = layer_work(LayerCase(model.layers, (case.batch, *case.input_shape), dx=False))
    return flops, moved + 4.0 * model.params.size * (3 + 2 * len(case.optimizer.slots))


def prediction_work(case: NetCase) -> tuple[float, float]:
    """Return operations and bytes of a prediction."""
    model = case.model(kernels=False)
    return layer_work(LayerCase(model.layers, (case.batch, *case.input_shape), "forward"))


# -- ours ---------------------------------------------------------------------------------------------------------------


class Training:
    """A model that takes one step after another on the same batch: the programs that a Trainer runs."""

    def __init__(self, case: NetCase, *, dropout: bool, kernels: bool = True, dtype: str = "float32") -> None:
        from .. import native

        self.case, self.model = case, case.model(dropout=dropout, kernels=kernels, dtype=dtype)
        self.plan = plan = self.model.plan(case.batch, input_gradient=False)
        x, y = case.data()
        x = x.astype(dtype)
        self.first = self.model.params.copy()
        self.loss, self.control = np.zeros(1), np.array([case.optimizer.lr, 0.0, 1.0, 0.0])
        self.slots = case.optimizer.new_slots(self.model.params)
        loss = SoftmaxLoss()
        if self.model.kernels:  # a batch has to come from somewhere: a Trainer gathers it from the data set
            batch = (np.arange(len(x)), np.zeros(x.shape[1:], dtype), np.ones(x.shape[1:], dtype))
            fill: Any = native.gather_reals(plan.x, x, *batch)
            loss_call = loss.kernel(self.loss, plan.dscores, plan.scores, y, None)
            update: Any = case.optimizer.kernel
        else:
            fill = partial(plan.x.__setitem__, ..., x)
            loss_call = partial(self._reference_loss, loss, y)
            update = partial(partial, case.optimizer.reference_step)
        change = update(self.model.params, self.model.grads, self.slots, self.control, case.optimizer.options("weight"))
        calls = [fill, *plan.forward, loss_call, *plan.backward, change, *plan.update]
        self.program = native.Program(calls, plan.small)

    def _reference_loss(self, loss: Any, y: Array) -> None:
        self.loss[0], self.plan.dscores[...] = loss.reference(self.plan.scores, y, None)

    def step(self) -> None:
        """Make a step."""
        self.model.step += 1
        self.control[1] += 1
        self.program.run()

    def arrays(self) -> dict[str, Array]:
        """Return the gradients of the first step and the losses of the first few."""
        self.model.params[...] = self.first
        self.control[1] = 0
        for slot in self.slots.values():
            slot[...] = 0
        losses, found = [], {}
        for i in range(CHECKED_STEPS):
            self.step()
            losses.append(float(self.loss[0]))
            if i == 0:
                found = {f"d{name}": view.copy() for name, view in self.model.named_grads().items()}
        return {"losses": np.array(losses), **found}


def backpass(case: NetCase, *, alone: bool = True) -> Side:
    """Train with backpass; if `alone`, compared with its NumPy references on four samples before the peers are on all."""
    training = Training(case, dropout=True)
    alike = (
        Training(case, dropout=False)
        if any(isinstance(layer, Dropout) for layer in training.model.layers)
        else training
    )
    if alone:
        _compare_with_references(case)
    return Side(training.step, alike.arrays)


def _compare_with_references(case: NetCase) -> None:
    """Raise ValueError if losses or gradients on four samples are not those of the NumPy references in float64."""
    few = replace(case, batch=4)
    wanted = Training(few, dropout=False, kernels=False, dtype="float64").arrays()
    for dtype, allowed in (("float64", 1e-6), ("float32", 0.1)):  # in float32 a ReLU near 0 may fall on either side
        for name, found in Training(few, dropout=False, dtype=dtype).arrays().items():
            length = max(float(np.linalg.norm(wanted[name])), 1e-3)
            error = float(np.linalg.norm(found - wanted[name])) / length
            if not error < allowed:
                raise ValueError(f"on four samples in {dtype} {name} differs from the NumPy reference by {error:.2g}")


def backpass_prediction(case: NetCase) -> Side:
    """Predict with backpass."""
    model, x = case.model(), case.data()[0]
    return Side(
        lambda: model.infer(x),
        lambda: {"scores": model.infer(x)},
        lambda: {"scores": case.model(kernels=False).infer(x)},
    )


# -- PyTorch ------------------------------------------------------------------------------------------------------------


def torch(case: NetCase, *, layout: str = "contiguous_format", compiled: bool = False) -> Side:
    """Train with PyTorch as its users write it, with its fused optimizer."""
    import torch
    from torch import nn

    from . import torch_twin

    if layout == "channels_last" and len(case.input_shape) != 3:
        raise Unsuitable("only images have channels")
    model = case.model(kernels=False)
    memory: dict[str, Any] = {"memory_format": getattr(torch, layout)}
    twin = torch_twin.twin(model)
    net = twin.net.to(**memory)
    first = {name: value.clone() for name, value in net.state_dict().items()}
    x, y = (torch.from_numpy(array) for array in case.data())
    x = x.to(**memory) if x.ndim == 4 else x
    run = torch.compile(net) if compiled else net
    optimizer = torch_twin.optimizer(case.optimizer, net.parameters())

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss: Any = nn.functional.cross_entropy(run(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def arrays() -> dict[str, Array]:
        nonlocal optimizer
        net.load_state_dict(first)
        kept, optimizer = optimizer, torch_twin.optimizer(case.optimizer, net.parameters())
        drops = [module for module in net if isinstance(module, nn.Dropout)]
        probabilities = [drop.p for drop in drops]
        for drop in drops:
            drop.p = 0.0
        losses, found = [], {}
        for i in range(CHECKED_STEPS):
            losses.append(float(step().detach()))
            if i == 0:
                found = {name: value.copy() for name, value in twin.gradients().items()}
        for drop, p in zip(drops, probabilities, strict=True):
            drop.p = p
        optimizer = kept
        return {"losses": np.array(losses), **found}

    return Side(step, arrays)


def torch_prediction(
    case: NetCase, *, layout: str = "contiguous_format", compiled: bool = False, frozen: bool = False
) -> Side:
    """Predict with PyTorch; if `frozen`, compiled with its parameters as constants, so that batch norms are folded."""
    import torch

    from . import torch_twin

    if layout == "channels_last" and len(case.input_shape) != 3:
        raise Unsuitable("only images have channels")
    memory: dict[str, Any] = {"memory_format": getattr(torch, layout)}
    net = torch_twin.twin(case.model(kernels=False)).net.eval().to(**memory)
    x = torch.from_numpy(case.data()[0])
    x = x.to(**memory) if x.ndim == 4 else x
    run = torch.compile(net, options={"freezing": frozen}) if compiled else net

    def step() -> Any:
        with torch.inference_mode():
            return run(x)

    return Side(step, lambda: {"scores": torch_twin.array(step())})


# -- JAX ------------------------------------------------------------------------------------------------------------------


def jax(case: NetCase) -> Side:
    """Train with JAX: loss, gradients and update compiled as one function."""
    from jax import numpy as jnp

    from . import jax_twin

    model = case.model(kernels=False)
    first = {name: jnp.asarray(value) for name, value in model.named_params().items()}
    zeros = {name: jnp.zeros_like(value) for name, value in first.items()}
    x, y = (jnp.asarray(array) for array in case.data())
    compiled = jax_twin.training_step(model.layers, case.optimizer)
    state: list[Any] = [first, zeros, zeros]
    t = 0

    def step() -> tuple[Any, Any]:
        nonlocal t
        t += 1
        loss, grads, *state[:] = compiled(*state, float(t), x, y)
        return loss.block_until_ready(), grads

    def arrays() -> dict[str, Array]:
        nonlocal t
        t, state[:] = 0, [first, zeros, zeros]
        steps = [step() for _ in range(CHECKED_STEPS)]
        grads = {f"d{name}": np.asarray(value) for name, value in steps[0][1].items()}
        return {"losses": np.array([float(loss) for loss, _ in steps]), **grads}

    return Side(step, arrays)


def jax_prediction(case: NetCase) -> Side:
    """Predict with JAX; nets with norms keep running statistics, which its twin has not."""
    import jax
    from jax import numpy as jnp

    from . import jax_twin

    model = case.model(kernels=False)
    if model.state.size:
        raise Unsuitable("no running statistics in the twin")
    params = {name: jnp.asarray(value) for name, value in model.named_params().items()}
    named, x = [(str(i), layer) for i, layer in enumerate(model.layers)], jnp.asarray(case.data()[0])
    predict = jax.jit(lambda params, x: jax_twin.apply(named, params, x))
    return Side(lambda: predict(params, x).block_until_ready(), lambda: {"scores": np.asarray(predict(params, x))})


# -- scikit-learn, NumPy ---------------------------------------------------------------------------------------------------


def sklearn(case: NetCase) -> Side:
    """Train with scikit-learn's MLPClassifier: one partial_fit of one batch."""
    from sklearn.neural_network import MLPClassifier

    model = case.model(kernels=False)
    if {type(layer).__name__ for layer in model.layers} - {"Affine", "ReLU"} or not isinstance(case.optimizer, Adam):
        raise Unsuitable("scikit-learn's MLPClassifier has affine layers and ReLU only")
    x, y = case.data()
    hidden = [layer.width for layer in model.layers[:-1] if hasattr(layer, "width")]
    mlp = MLPClassifier(hidden, alpha=0.0, batch_size=case.batch, learning_rate_init=case.optimizer.lr, shuffle=False)
    mlp.partial_fit(x, y, classes=np.arange(model.output_shape[-1]))

    def arrays() -> dict[str, Array]:
        affine = [p for p in model.p if vars(p)]
        for w, b, first in zip(mlp.coefs_, mlp.intercepts_, affine, strict=True):
            w[...], b[...] = first.w, first.b
        for moment in (*mlp._optimizer.ms, *mlp._optimizer.vs):
            moment[...] = 0
        mlp._optimizer.t = 0
        return {"losses": np.array([mlp.partial_fit(x, y).loss_ for _ in range(CHECKED_STEPS)])}

    return Side(lambda: mlp.partial_fit(x, y), arrays)


def numpy(case: NetCase) -> Side:
    """Train as the course does in plain NumPy: the layers' references, dictionaries of arrays, an update for each of them."""
    model, (x, y) = case.model(kernels=False), case.data()
    optimizer, rates = case.optimizer, case.optimizer.options("weight")
    params: dict[str, Array] = {}
    slots: dict[str, list[Array]] = {}
    t, comparing = 0, False
    plain = case.model(dropout=False, kernels=False).layers
    softmax = SoftmaxLoss()

    def restart() -> None:
        nonlocal t
        t = 0
        params.update({name: view.copy() for name, view in model.named_params().items()})
        slots.update({name: [np.zeros_like(w) for _ in optimizer.slots] for name, w in params.items()})

    def step() -> tuple[float, dict[str, Array]]:
        nonlocal t
        t += 1
        model.step += 1
        out, caches, grads = x, [], {}
        for i, layer in enumerate(plain if comparing else model.layers):
            p = Cache(**{name: params[f"{i}.{name}"] for name in vars(model.p[i])})
            arguments = layer.reference_arguments(
                layer.reference.forward, p, model.s[i], Cache(random=model._random[i])
            )
            out, cache = layer.reference.forward(out, **arguments)
            caches.append(cache)
        loss, dout = softmax.reference(out, y, None)
        for i, layer in reversed(list(enumerate(model.layers))):
            result = layer.reference.backward(dout, caches[i])
            dout, *rest = result if isinstance(result, tuple) else (result,)
            grads.update({f"{i}.{name}": dw for name, dw in zip(vars(model.p[i]), rest, strict=True)})
        for name, dw in grads.items():
            new = optimizer.update(params[name], dw, *slots[name], lr=optimizer.lr, t=t, options=rates)
            params[name], slots[name] = new[0], list(new[1:])
        return float(loss), grads

    def arrays() -> dict[str, Array]:
        nonlocal comparing
        comparing = True
        restart()
        steps = [step() for _ in range(CHECKED_STEPS)]
        comparing = False
        return {"losses": np.array([loss for loss, _ in steps]), **{f"d{k}": v for k, v in steps[0][1].items()}}

    restart()
    return Side(step, arrays)


LAYOUTS = {"NCHW": "contiguous_format", "channels_last": "channels_last"}
SIDES: dict[str, Callable[[NetCase], Side]] = {
    "backpass": backpass,
    **{f"torch eager {name}": partial(torch, layout=layout) for name, layout in LAYOUTS.items()},
    **{f"torch compile {name}": partial(torch, layout=layout, compiled=True) for name, layout in LAYOUTS.items()},
    "jax": jax,
    "numpy": numpy,
    "sklearn": sklearn,
}
PREDICTION_SIDES: dict[str, Callable[[NetCase], Side]] = {
    "backpass": backpass_prediction,
    **{f"torch eager {name}": partial(torch_prediction, layout=layout) for name, layout in LAYOUTS.items()},
    **{
        f"torch compile {word}{name}": partial(torch_prediction, layout=layout, compiled=True, frozen=bool(word))
        for word in ("", "frozen ")
        for name, layout in LAYOUTS.items()
    },
    "jax": jax_prediction,
}
