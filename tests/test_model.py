"""A whole model: kernels against references, plans and their memory, batch sizes, seeds, words and errors."""

from __future__ import annotations

import gc
import itertools
import pickle
import resource
import sys
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from contract.bound import bind
from contract.cases import cases_of

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError, DTypeError, ShapeError
from backpass.layers.base import Cache, Declared, Reference
from backpass.layers.fusion import FUSIONS

needs_kernels = pytest.mark.skipif(not native.available, reason="the kernels are switched off")
FLAT = [bp.ReLU(), bp.BatchNorm()]  # layers that take and give (N, D)
FLAT += [getattr(bp, name)() for name in ("LayerNorm", "ELU", "GELU", "Tanh", "Flatten", "Swish") if hasattr(bp, name)]
FLAT += [bp.Dropout(0.3)] if hasattr(bp, "Dropout") else []
FLAT += [bp.Residual([bp.LayerNorm(), bp.ReLU(), bp.Dropout(0.2)]), bp.Residual([bp.BatchNorm()], [bp.GELU()])]


@dataclass(frozen=True)
class AsRow(bp.Layer):
    """A view: all features in one row, the memory untouched; with nothing that a kernel would read."""

    reference = Reference(
        lambda x: (x.reshape(len(x), -1), Cache(shape=x.shape)),
        lambda dout, cache: dout.reshape(cache.shape),
        lambda dout, cache: dout.reshape(cache.shape),
    )

    def declare(self, x):
        return Declared(out=(x[0], int(np.prod(x[1:]))), reads=())

    def is_view(self, *, training):
        return True


@dataclass(frozen=True)
class Square(bp.Layer):
    """x²: no kernel, and a reference that keeps x itself, whatever a kernel would read."""

    reference = Reference(
        lambda x: (x * x, Cache(x=x)), lambda dout, c: 2 * c.x * dout, lambda dout, c: dout * c.x + c.x * dout
    )

    def declare(self, x):
        return Declared(out=x, reads=())


for _cls in (AsRow, Square):
    del bp.Layer.registry[_cls.__name__]  # the registry is for real layers
FLAT += [AsRow(), Square()]


def random_net(seed: int) -> list[bp.Layer]:
    """Between 2 and 9 layers, an affine among every few; the first may have nothing to learn."""
    rng = np.random.default_rng([seed, 77])
    layers: list[bp.Layer] = [] if seed % 3 else [FLAT[int(rng.integers(len(FLAT)))]]
    for _ in range(int(rng.integers(1, 4))):
        layers.append(bp.Affine(int(rng.integers(1, 40))))
        layers += [FLAT[int(i)] for i in rng.integers(len(FLAT), size=int(rng.integers(0, 3)))]
    return [*layers, bp.Affine(3)]


def make(seed: int, dtype: str = "float64", *, kernels: bool = True) -> tuple[bp.Model, np.ndarray, np.ndarray]:
    """A random net with random parameters, a batch, and a random gradient of its scores."""
    model = bp.Model(random_net(seed), (13,), seed=seed, dtype=dtype, kernels=kernels)
    rng = np.random.default_rng(seed)
    model.params[...] += 0.3 * rng.standard_normal(model.params.size)
    return model, rng.standard_normal((11, 13)), rng.standard_normal((11, 3))


def step(model: bp.Model, x: np.ndarray, dscores: np.ndarray, order: str = "backward first") -> dict[str, np.ndarray]:
    scores = model.forward(x)
    if order == "update first":
        model.update()
    dx = model.backward(dscores)
    if order == "backward first":
        model.update()
    return {
        "scores": scores,
        "dx": dx,
        "grads": model.grads.copy(),
        "state": model.state.copy(),
        "infer": model.infer(x),
    }


def assert_close(a: dict[str, np.ndarray], b: dict[str, np.ndarray], tolerance: float) -> None:
    for name in a:
        scale = max(1.0, float(np.abs(b[name]).max(initial=0)))
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=tolerance * scale, err_msg=name)


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


def run(calls: list) -> None:
    for call in calls:
        call()


# -- kernels, references, fusion ---------------------------------------------------------------------------------------


@needs_kernels
@pytest.mark.parametrize("order", ["backward first", "update first"])
@pytest.mark.parametrize("seed", range(24))
def test_kernels_equal_references(seed, order):
    results = []
    for kernels in (True, False):
        model, x, dscores = make(seed, kernels=kernels)
        results.append([step(model, x, dscores, order) for _ in range(2)])
    for fast, slow in zip(*results, strict=True):
        assert_close(fast, slow, 1e-11)


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
@pytest.mark.parametrize("seed", range(24))
def test_fused_plan_in_shared_memory_equals_the_inspection_plan(seed, kernels):
    model, x, dscores = make(seed, kernels=kernels)
    plan = model.inspection_plan(len(x))
    plan.x[...], plan.dscores[...] = x, dscores
    model.grads[...] = 0
    run(plan.forward)
    run(plan.backward)
    state = model.state.copy()
    run(plan.update)
    assert plan.dx is not None
    kept = {"scores": plan.scores, "dx": plan.dx, "grads": model.grads.copy(), "state": model.state.copy()}
    model.state[...] = state
    found = step(model, x, dscores)
    del found["infer"]
    shared = model.plan(len(x))
    assert not np.shares_memory(shared.scores, shared.dscores), "a loss reads the scores while it writes their gradient"
    (assert_close if kernels else lambda a, b, _: assert_same(a, b))(found, kept, 1e-11)
    for before, after in zip(plan.outs, plan.outs[1:], strict=False):
        assert before is not None
        assert after is not None


@needs_kernels
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        pytest.param([layer, *(cls() for cls in pair[1:])], shape, id=f"{'+'.join(cls.__name__ for cls in pair)}-{i}")
        for pair in FUSIONS
        if pair[-1] is not bp.MaxPool
        for i, (layer, shape) in enumerate(cases_of(pair[0]))
    ]
    + [
        pytest.param([bp.ReLU(), layer], shape, id=f"ReLU+MaxPool-{i}")
        for i, (layer, shape) in enumerate(cases_of(bp.MaxPool))
    ],
)
def test_every_fusion_equals_its_layers(layers, shape, dtype):
    layer = layers[0]
    model = bp.Model(layers, shape[1:], dtype=dtype)
    b = bind(layer, shape, dtype)
    for name, value in vars(b.p).items():
        vars(model.p[0])[name][...] = value
    for name, value in vars(b.s).items():
        vars(model.s[0])[name][...] = value
    names = [p.name for p in [*model.plan(shape[0]).forward] if hasattr(p, "name")]
    pooled = isinstance(layers[-1], bp.MaxPool)  # the pooling comes first, and makes the relu's work small
    assert names[0].startswith("maxpool") if pooled else "relu_forward" not in names[-1:], f"got {names}"
    if isinstance(layers[-1], bp.Dropout):
        assert names == ["batchnorm_forward", "dropout_forward"]
    else:
        assert len(names) == 1 or pooled or layer.parts(shape), f"expected one fused call, got {names}"
    dscores = np.random.default_rng(0).standard_normal((shape[0], *model.output_shape))
    slow = bp.Model(layers, shape[1:], dtype="float64", kernels=False)
    slow.params[...], slow.state[...] = model.params, model.state
    # relu's branch must be the same: numbers within rounding of zero would be compared across a kink
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    assert_close(step(model, b.x, dscores), step(slow, b.x, dscores.astype(dtype)), tolerance)
    rows = bind(layers[0], (50, *shape[1:]), dtype).x  # so many that some outputs are positive
    assert_close({"infer": model.infer(rows)}, {"infer": slow.infer(rows)}, tolerance)


@needs_kernels
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("conv", "x_shape"),
    [
        (bp.Conv(32, 7), (2, 3, 32, 32)),
        (bp.Conv(40, 7, bias=False), (9, 3, 15, 9)),  # outputs that no window reads, more filters than vectors
        (bp.Conv(32, 7, padding=0), (1, 3, 31, 20)),  # few images: parts of one
        (bp.Conv(33, 7, padding=(0, 3)), (3, 3, 40, 51)),
        (bp.Conv(35, 7), (2, 3, 67, 150)),  # several tiles of sums, blocks of parts of an image
        (bp.Conv(5, 6, padding=3, algorithm="winograd"), (10, 3, 8, 13)),
    ],
    ids=str,
)
def test_a_convolution_of_three_channels_pools_along(conv, x_shape, dtype):
    layers = [conv, bp.ReLU(), bp.MaxPool(2), bp.Affine(3)]
    rng = np.random.default_rng(0)
    x, dscores = rng.standard_normal(x_shape), rng.standard_normal((x_shape[0], 3))
    fast = bp.Model(layers, x_shape[1:], dtype=dtype)
    slow = bp.Model(layers, x_shape[1:], dtype="float64", kernels=False)
    slow.params[...] = fast.params
    results = []
    before = bp.threads()
    try:
        for count in (1, 2, 3):
            bp.set_threads(count)
            results.append(step(fast, x, dscores))
    finally:
        bp.set_threads(before)
    assert_close(results[0], step(slow, x, dscores), 1e-11 if dtype == "float64" else 2e-4)
    for other in results[1:]:
        assert_same(other, results[0])
    pooled = bp.Model(layers[:3], x_shape[1:], dtype=dtype)
    np.testing.assert_array_equal(pooled.infer(x[:1]), pooled.infer(x)[:1])
    plan = fast.plan(len(x), input_gradient=False)
    assert [call.name for call in plan.forward] == ["winograd_pool_forward", "affine_forward"]
    plan.x[...] = x
    run(plan.forward)
    plan.dscores[...] = dscores
    run(plan.backward)
    assert_same({"grads": fast.grads}, {"grads": results[0]["grads"]})


@needs_kernels
def test_pooling_along_takes_the_first_of_ties_and_nothing_from_below_zero():
    model = bp.Model([bp.Conv(32, 7), bp.ReLU(), bp.MaxPool(2)], (3, 8, 10), dtype="float64")
    w, b = (model.named_params()[name] for name in ("0.w", "0.b"))
    w[...] = 0
    b[...] = np.resize([1, 0, -1], 32)
    out = model.forward(np.ones((2, 3, 8, 10)))
    np.testing.assert_array_equal(out, np.broadcast_to(np.maximum(b, 0)[:, None, None], out.shape))
    model.backward(np.ones(out.shape))
    np.testing.assert_array_equal(model.named_grads()["0.b"], np.where(b > 0, 2 * 4 * 5, 0))
    # The pixel of kernel element (3, 3) is that of the output, inside every image; windows begin at even rows and columns.
    corner = np.zeros((2, 3, 8, 10))
    corner[:, :, ::2, ::2] = 1
    model.forward(corner)
    model.backward(np.ones(out.shape))
    np.testing.assert_allclose(model.named_grads()["0.w"][:, 0, 3, 3], np.where(b > 0, 40, 0), atol=1e-12)


@needs_kernels
@pytest.mark.parametrize(
    ("conv", "pool", "shape", "computed"),
    [
        (bp.Conv(24, 3), bp.MaxPool(2), (16, 15, 7), (14, 6)),
        (bp.Conv(24, 3), bp.MaxPool(2), (16, 8, 7), (8, 6)),
        (bp.Conv(24, 5), bp.MaxPool(3), (16, 17, 16), (15, 15)),
        (bp.Conv(24, 7), bp.MaxPool(3, stride=4, padding=1), (16, 19, 18), (18, 18)),
        (bp.Conv(24, 3), bp.MaxPool(3), (16, 17, 16), (17, 16)),  # two rows left out would leave a row of inputs out
        (bp.Conv(16, 3, padding=0), bp.MaxPool(2), (16, 9, 8), (7, 6)),
        (bp.Conv(24, 3, algorithm="direct"), bp.MaxPool(2), (16, 15, 7), (15, 7)),
    ],
)
def test_a_convolution_leaves_out_what_the_pooling_behind_it_never_reads(conv, pool, shape, computed):
    layers = [conv, pool, bp.Conv(8, 3), bp.Flatten(), bp.Affine(3)]
    fast, slow = (bp.Model(layers, shape, dtype="float64", kernels=kernels) for kernels in (True, False))
    rng = np.random.default_rng(0)
    x, dscores = rng.standard_normal((5, *shape)), rng.standard_normal((5, 3))
    assert fast.plan(5).outs[0].shape[2:] == computed
    assert_close(step(fast, x, dscores), step(slow, x, dscores), 1e-12)
    assert fast.inspection_plan(5).outs[0].shape == slow.inspection_plan(5).outs[0].shape


@needs_kernels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_has_the_same_bits_for_any_number_of_threads(dtype):
    x = np.random.default_rng(0).standard_normal((300, 130))
    y = np.random.default_rng(1).standard_normal((300, 9))
    results = []
    for threads in (1, 2, 3):
        bp.set_threads(threads)
        model = bp.Model(
            [bp.Affine(200), bp.BatchNorm(), bp.ReLU(), bp.Affine(150), bp.ReLU(), bp.Affine(9)], (130,), dtype=dtype
        )
        for _ in range(3):
            found = step(model, x, y)
            model.params[...] -= model.dtype.type(0.01) * model.grads
        results.append(found | {"params": model.params.copy()})
    assert_same(results[1], results[0])
    assert_same(results[2], results[0])


@pytest.mark.parametrize("seed", range(6))
def test_gradients_of_the_whole_model(seed):
    model, x, dscores = make(seed)
    dx = step(model, x, dscores)["dx"]
    model.step = 0  # dropout draws the same again
    rng = np.random.default_rng(5)
    dx_way, dp_way = rng.standard_normal(x.shape), rng.standard_normal(model.params.size)
    analytic = float((dx * dx_way).sum() + (model.grads * dp_way).sum())
    start, h = model.params.copy(), 1e-6
    values = []
    for side in (h, -h):
        model.params[...] = start + side * dp_way
        values.append(float((model.forward(x + side * dx_way) * dscores).sum()))
    assert (values[0] - values[1]) / (2 * h) == pytest.approx(analytic, rel=2e-6)


# -- plans and memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_read_that_this_step_did_not_write(seed, kernels):
    clean, x, dscores = make(seed, kernels=kernels)
    poisoned, _, _ = make(seed, kernels=kernels)
    for _ in range(2):
        wanted = step(clean, x, dscores)
        poisoned._arena[...] = 255  # all ones: NaN in either dtype
        poisoned._infer_arena[...] = 255
        assert_same(step(poisoned, x, dscores), wanted)


@needs_kernels
@pytest.mark.parametrize(
    "layers", [[bp.GELU()], [bp.SpatialBatchNorm(), bp.ReLU()], [bp.GroupNorm(2), bp.ReLU()]], ids=str
)
def test_gradients_take_each_others_place_but_not_that_of_the_scores(layers):
    x = np.random.default_rng(0).standard_normal((40, 3, 32, 15))
    for after in ([bp.Conv(2, 3)], []):
        net = [bp.Conv(4, 3), *layers, *after]
        model = bp.Model(net, x.shape[1:], dtype="float64")
        dscores = np.random.default_rng(1).standard_normal((len(x), *model.output_shape))
        plan = model.plan(len(x))
        assert np.shares_memory(plan.douts[0], plan.douts[len(layers)]) == bool(after)
        slow = bp.Model(net, x.shape[1:], dtype="float64", kernels=False)
        assert_close(step(model, x, dscores), step(slow, x, dscores), 1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_plans_do_not_disturb_each_other(seed):
    alone, x, dscores = make(seed)
    crowded, _, _ = make(seed)
    wanted = step(alone, x, dscores)
    for batch in (5, 30, 2):  # smaller, larger: the arena grows under the plan
        crowded.forward(np.ones((batch, 13)))
    scores = crowded.forward(x)
    for rows in (2, 700):
        crowded.infer(np.ones((rows, 13)))
    crowded.plan(64)
    inspection = crowded.inspection_plan(4)
    inspection.x[...] = 1
    run(inspection.forward)
    dx = crowded.backward(dscores)
    assert_same({"scores": scores, "dx": dx, "grads": crowded.grads}, wanted)


def test_smaller_last_batch():
    model, x, dscores = make(1)
    wanted = [step(make(1)[0], x[:n], dscores[:n])["grads"] for n in (11, 4, 11)]
    for n, grads in zip((11, 4, 11), wanted, strict=True):
        model.forward(x[:n])
        model.backward(dscores[:n])
        assert model.grads.tobytes() == grads.tobytes()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
@pytest.mark.parametrize("rows", [0, 1, 255, 256, 257, 1000])
def test_prediction_of_any_batch_size(rows, kernels):
    model, _, _ = make(4, kernels=kernels)
    x = np.random.default_rng(0).standard_normal((1000, 13))
    together = model.infer(x)
    assert together.shape == (1000, 3)
    found = model.infer(x[:rows])
    assert found.shape == (rows, 3)
    np.testing.assert_allclose(found, together[:rows], rtol=1e-11, atol=1e-11)
    assert (model.predict(x[:rows]) == together[:rows].argmax(axis=1)).all()


def test_many_batch_sizes_keep_few_plans():
    model, _, _ = make(0)
    for batch in range(2, 40):
        model.forward(np.ones((batch, 13)))
        model.infer(np.ones((batch, 13)))
    assert len(model._plans) <= 8
    assert all(np.shares_memory(plan.x, model._arena) for plan in model._plans.values()), "no plan holds an old arena"
    assert len(model._infer_plans) <= 8


def test_results_are_copies():
    model, x, _ = make(2)
    scores = model.forward(x)
    predicted = model.infer(x)
    kept = scores.copy(), predicted.copy()
    model.forward(x + 1)
    model.infer(x + 1)
    assert (scores == kept[0]).all()
    assert (predicted == kept[1]).all()


@needs_kernels
def test_a_steady_step_allocates_nothing():
    model = bp.Model([bp.Affine(64), bp.BatchNorm(), bp.ReLU(), bp.Affine(10)], (32,), seed=0)
    plan = model.plan(128, input_gradient=False)
    plan.x[...], plan.dscores[...] = 1, 0.1
    program = native.Program([*plan.forward, *plan.backward, *plan.update])
    assert all(name != "python" for name in program.names)
    program.run()
    gc.collect()
    tracemalloc.start()  # sees NumPy's memory too
    try:
        program.run()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(20):
            program.run()
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1024
    assert now - before < 1024
    for _ in range(200):
        program.run()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2000):
        program.run()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 2**20, f"2,000 steps took {grown} bytes more"


def test_plans_are_freed_with_the_model():
    import weakref

    model, x, dscores = make(3, kernels=False)
    step(model, x, dscores)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


# -- seeds, dtypes, words -------------------------------------------------------------------------------------------------------


def test_seeds_decide_the_first_weights():
    net = [bp.Affine(8), bp.BatchNorm(), bp.ReLU(), bp.Affine(3)]
    first, again, other = (bp.Model(net, (5,), seed=seed) for seed in (1, 1, 2))
    assert (first.params == again.params).all()
    assert (first.p[0].w != other.p[0].w).all()
    longer = bp.Model([*net, bp.ReLU(), bp.Affine(2)], (5,), seed=1)
    assert (longer.p[0].w == first.p[0].w).all(), "a layer's weights do not depend on the layers behind it"
    assert (first.p[1].gamma == 1).all()
    assert (first.s[1].var == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_has_the_models_dtype(dtype):
    model, x, dscores = make(5, dtype)
    for name, array in (step(model, x, dscores) | {"params": model.params}).items():
        assert array.dtype == dtype, name
    assert model.forward(x.astype("f2")).dtype == dtype
    assert model.forward(x > 0).dtype == dtype
    assert model.forward(x.astype("i8")).dtype == dtype


def test_flat_vectors_and_views_are_the_same_memory():
    model, _, _ = make(0)
    for flat, named in (
        (model.params, model.named_params()),
        (model.grads, model.named_grads()),
        (model.state, model.named_state()),
    ):
        assert sum(view.size for view in named.values()) == flat.size
        assert all(np.shares_memory(view, flat) for view in named.values())
    ends = [(where.start, where.stop) for where in model.groups.values()]
    assert ends[0][0] == 0
    assert ends[-1][1] == model.params.size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))


def test_repr_and_summary():
    model = bp.Model([bp.Affine(8), bp.BatchNorm(), bp.ReLU(), bp.Affine(3)], (5,), seed=7)
    names = vars(bp) | vars(bp.init)
    assert eval(repr(model), dict(names)).params.tobytes() == model.params.tobytes()
    lines = model.summary(batch=16).splitlines()
    assert len(lines) == 4 + 2
    assert "(N, 8)" in lines[1]
    assert f"{5 * 8 + 8}" in lines[1]
    assert f"{model.params.size:,} parameters" in lines[-1]
    assert "batch 16" in lines[-1]


def test_layers_pickle_inside_lists():
    net = random_net(3)
    assert pickle.loads(pickle.dumps(net)) == net


# -- errors ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make_model", "error", "words"),
    [
        (lambda: bp.Model([], (3,)), ArgumentError, "layers"),
        (lambda: bp.Model([bp.ReLU], (3,)), ArgumentError, "layer objects"),
        (lambda: bp.Model([bp.Affine(2)], (0,)), ShapeError, "input_shape"),
        (lambda: bp.Model([bp.Affine(2)], ()), ShapeError, "input_shape"),
        (lambda: bp.Model([bp.Affine(2)], 3), ShapeError, "input_shape"),
        (lambda: bp.Model([bp.Affine(2)], (3,), seed=-1), ArgumentError, "seed"),
        (lambda: bp.Model([bp.Affine(2)], (3,), seed=0.5), ArgumentError, "seed"),
        (lambda: bp.Model([bp.Affine(2)], (3,), dtype="float16"), DTypeError, "dtype"),
        (lambda: bp.Model([bp.Affine(2)], (3,), dtype="floaty"), DTypeError, "dtype"),
        (
            lambda: bp.Model([bp.ReLU(), bp.BatchNorm()], (3, 4, 4)),
            ShapeError,
            "BatchNorm (layer 1, after ReLU): expected x of shape (N, D)",
        ),
    ],
)
def test_bad_models_say_what_and_where(make_model, error, words):
    with pytest.raises(error) as raised:
        make_model()
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((4, 12)), ShapeError, "(N, 13)"),
        (np.zeros(13), ShapeError, "(N, 13)"),
        (np.zeros((0, 13)), ShapeError, "at least one sample"),
        (np.full((4, 13), np.nan), ArgumentError, "nan at (0, 0)"),
        (np.where(np.arange(52).reshape(4, 13) == 15, np.inf, 0), ArgumentError, "inf at (1, 2)"),
        (np.full((4, 13), 1e300), ArgumentError, "1e+300 at (0, 0)"),
        (np.full((4, 13), "a"), DTypeError, "numbers"),
        (np.full((4, 13), 1j), DTypeError, "numbers"),
        (np.full((4, 13), None), DTypeError, "numbers"),
        (np.zeros((1, 13)), ShapeError, "BatchNorm (layer 1, after Affine): expected a training batch of at least 2"),
    ],
)
def test_bad_input_changes_nothing(x, error, words):
    model = bp.Model([bp.Affine(5), bp.BatchNorm(), bp.ReLU(), bp.Affine(3)], (13,))
    good, dscores = np.random.default_rng(0).standard_normal((6, 13)), np.ones((6, 3))
    wanted = step(bp.Model(model.layers, (13,)), good, dscores)
    scores = model.forward(good)
    with pytest.raises(error) as raised:
        model.forward(x)
    assert words in str(raised.value)
    dx = model.backward(dscores)  # of the forward before
    assert_same({"scores": scores, "dx": dx, "grads": model.grads}, wanted)


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_prediction_refuses_what_is_not_finite(dtype, kernels):
    model = bp.Model([bp.Affine(5), bp.ReLU(), bp.Affine(3)], (13,), kernels=kernels)
    x = np.zeros((700, 13), dtype)
    good = model.infer(x)
    for bad, words in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
        x[600, 7] = bad  # ReLU makes 0 of -inf: the scores would not show it
        with pytest.raises(ArgumentError, match=rf"got {words} at \(600, 7\)"):
            model.infer(x)
    x[600, 7] = 0
    assert (model.infer(x) == good).all()
    if dtype == "float64":
        with pytest.raises(ArgumentError, match=r"finite float32 numbers in x, got 1e\+300"):
            model.infer(np.full((1, 13), 1e300))


@needs_kernels
def test_prediction_refuses_what_preprocessing_makes_infinite():
    shift, scale = np.zeros(13, np.float32), np.full(13, 10, np.float32)
    model = bp.Model([bp.Affine(3)], (13,), preprocess=bp.data.Preprocess("scale", shift, scale))
    with np.errstate(over="ignore"), pytest.raises(ArgumentError, match="finite after preprocessing"):
        model.predict(np.full((2, 13), 3e38, np.float32))


def test_calls_in_the_wrong_order():
    model, x, dscores = make(0)
    for call in (lambda: model.backward(dscores), model.update):
        with pytest.raises(ArgumentError, match="expected a forward"):
            call()
    model.forward(x)
    with pytest.raises(ShapeError, match=r"expected dscores .*\(11, 3\), got \(3,\)"):
        model.backward(dscores[0])
    model.backward(dscores)
    with pytest.raises(ArgumentError, match="second backward"):
        model.backward(dscores)  # the gradients lie where the activations were
    model.update()
    assert model.step == 1
