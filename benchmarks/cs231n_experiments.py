"""The course's experiments E1 to E24, run through `backpass.cs231n` on real CIFAR-10 with the course's settings.

    BACKPASS_DATA=FOLDER python -m benchmarks.cs231n_experiments            # all of them, prints the figures
    BACKPASS_DATA=FOLDER python -m benchmarks.cs231n_experiments E5 E6      # some
    python -m benchmarks.cs231n_experiments --record                        # and writes them into the page

Each experiment is a function that returns rows (setting, figures) and whether its bar is met; `--record` keeps the rows in
`docs/cs231n_experiments.json` and writes the table in `docs/cs231n.md` from that file.  Timings (E12, E17, E18) want a quiet
machine.  Where the course leaves settings free (E2, E3, E4, E7) they are ours, chosen on the validation pictures.
"""

# ruff: noqa: NPY002 (the course draws from NumPy's global random state)

from __future__ import annotations

import argparse
import functools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backpass.bench import Settings
from backpass.bench.cs231n import CASES
from backpass.bench.machine import describe
from backpass.bench.protocol import Workers, measure, peer_of
from backpass.cs231n import layers
from backpass.cs231n.classifiers.cnn import ThreeLayerConvNet
from backpass.cs231n.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from backpass.cs231n.data_utils import get_CIFAR10_data
from backpass.cs231n.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array, rel_error
from backpass.cs231n.solver import Solver
from backpass.cs231n.vis_utils import visualize_grid

DOCS = Path(__file__).resolve().parent.parent / "docs"
KEPT = DOCS / "cs231n_experiments.json"
PAGE = DOCS / "cs231n.md"
BEGIN, END = "<!-- experiments: written by benchmarks/cs231n_experiments.py -->", "<!-- end of experiments -->"

Rows = list[tuple[str, dict[str, float]]]


@dataclass(frozen=True)
class Experiment:
    what: str
    bar: str  # "" where the course states none and nothing has to come out
    run: Callable[[], tuple[Rows, bool]]


EXPERIMENTS: dict[str, Experiment] = {}


def experiment(what: str, bar: str) -> Callable[[Callable[[], tuple[Rows, bool]]], Callable[[], tuple[Rows, bool]]]:
    """Enter a function under its name, `e5` as E5."""

    def enter(run: Callable[[], tuple[Rows, bool]]) -> Callable[[], tuple[Rows, bool]]:
        EXPERIMENTS[run.__name__.upper()] = Experiment(what, bar, run)
        return run

    return enter


# -- what several of them do ---------------------------------------------------------------------------------------


@functools.cache
def cifar() -> dict[str, np.ndarray]:
    return get_CIFAR10_data()


def trained(net, count: int | None, **settings) -> Solver:
    """Train on the first `count` pictures."""
    data = cifar()
    solver = Solver(
        net, data | {"X_train": data["X_train"][:count], "y_train": data["y_train"][:count]}, verbose=False, **settings
    )
    solver.train()
    return solver


def figures(solver: Solver, batches: int = 10) -> dict[str, float]:
    last = float(np.mean(solver.loss_history[-batches:]))
    return {"loss": last, "train": max(solver.train_acc_history), "val": solver.best_val_acc}


def adam(rate: float) -> dict:
    return {"update_rule": "adam", "optim_config": {"learning_rate": rate}}


def gradient_errors(net, X, y, h: float = 1e-5) -> dict[str, float]:
    """Return a net's errors against centred differences: the course's `rel_error`, and the one relative to the largest.

    `rel_error` compares element by element, so an element whose gradient happens to be nearly 0 shows the rounding of
    the differences; relative to the largest element of its array, an error is an error.
    """
    _, grads = net.loss(X, y)
    numeric = {
        name: eval_numerical_gradient(lambda _: net.loss(X, y)[0], w, verbose=False, h=h)
        for name, w in net.params.items()
    }
    return {
        "rel_error": max(rel_error(grads[name], numeric[name]) for name in grads),
        "error / largest": max(float(abs(grads[n] - numeric[n]).max() / abs(numeric[n]).max()) for n in grads),
    }


def race(kind: str, rounds: int, **names: str) -> tuple[str, dict[str, float]]:
    """Return the machine, and of a case of `src/backpass/bench/cs231n.py` milliseconds and ratios to ours, under `names`.

    All sides compute the same numbers, within 1e-9: the harness stops where they do not.
    """
    case = next(name for name, value in CASES.items() if value == kind)
    with Workers() as workers:
        result = measure("cs231n", case, Settings(rounds=rounds), workers.ask)
    times: dict[str, float] = {}
    for side, seconds in result["median"].items():
        name = f"{names[peer_of(side)]} ms"
        times[name] = min(1e3 * seconds, times.get(name, np.inf))
    ratios = {f"{names[peer]} / {names['backpass']}": ratio["median"] for peer, ratio in result["ratio"].items()}
    machine = describe()
    return f"float64; {machine['processor']}, {machine['cores']} cores, {machine['instruction_set']}", times | ratios


# -- fully connected nets ------------------------------------------------------------------------------------------


@experiment(
    "initial loss and gradients, [20, 30], float64", "loss near ln 10 without reg; gradients within 1e-6 of the largest"
)
def e1():
    rows = []
    for reg in (0, 3.14):
        np.random.seed(231)
        X, y = np.random.randn(2, 15), np.random.randint(10, size=2)
        net = FullyConnectedNet([20, 30], 15, 10, reg=reg, weight_scale=5e-2, dtype=np.float64)
        rows.append((f"reg {reg}", {"initial loss": net.loss(X, y)[0]} | gradient_errors(net, X, y)))
    near = abs(rows[0][1]["initial loss"] - np.log(10)) < 0.05
    return rows, near and all(f["error / largest"] < 1e-6 for _, f in rows)


@experiment("TwoLayerNet by the Solver, full training set", "val at least 0.5")
def e2():
    net = TwoLayerNet(hidden_dim=200, reg=0.3)
    solver = trained(net, None, optim_config={"learning_rate": 1e-3}, lr_decay=0.95, num_epochs=10, batch_size=100)
    return [("hidden 200, sgd 1e-3, decay 0.95, reg 0.3, 10 epochs", figures(solver))], solver.best_val_acc >= 0.5


def overfit_50(hidden: int, scale: float, rate: float):
    net = FullyConnectedNet([100] * hidden, weight_scale=scale, dtype=np.float64)
    solver = trained(net, 50, num_epochs=20, batch_size=25, optim_config={"learning_rate": rate})
    return [(f"scale {scale:g}, sgd {rate:g}", figures(solver))], max(solver.train_acc_history) == 1.0


@experiment("overfit 50 pictures, [100, 100], 20 epochs", "train reaches 1")
def e3():
    return overfit_50(2, 1e-2, 1e-2)


@experiment("overfit 50 pictures, [100] * 4, 20 epochs", "train reaches 1")
def e4():
    return overfit_50(4, 5e-2, 3e-3)


def by_rule(rates: dict[str, float]) -> Rows:
    rows = []
    for rule, rate in rates.items():
        np.random.seed(231)
        net = FullyConnectedNet([100] * 5, weight_scale=5e-2)
        config = {"update_rule": rule, "optim_config": {"learning_rate": rate}}
        rows.append((f"{rule} {rate:g}", figures(trained(net, 4000, num_epochs=5, batch_size=100, **config))))
    return rows


@experiment("update rules, [100] * 5, 4,000 pictures, 5 epochs", "momentum's loss below sgd's, at both rates")
def e5():
    rows = [row for rate in (1e-2, 5e-3) for row in by_rule({"sgd": rate, "sgd_momentum": rate})]
    losses = [f["loss"] for _, f in rows]
    return rows, losses[1] < losses[0] and losses[3] < losses[2]


@experiment("the same with rmsprop and adam", "adam's and rmsprop's loss below sgd's")
def e6():
    rows = by_rule({"sgd": 5e-3, "sgd_momentum": 5e-3, "rmsprop": 1e-4, "adam": 1e-3})
    losses = [f["loss"] for _, f in rows]
    return rows, max(losses[2:]) < losses[0]


@experiment("the best fully connected net, full training set", "val at least 0.5 (0.55 is possible)")
def e7():
    net = FullyConnectedNet([512, 256, 128], dropout_keep_ratio=0.75, normalization="batchnorm", weight_scale=3e-2)
    solver = trained(net, None, **adam(1e-3), lr_decay=0.85, num_epochs=15, batch_size=200)
    data = cifar()
    test = solver.check_accuracy(data["X_test"], data["y_test"])
    setting = "[512, 256, 128], batch norm, keep 0.75, adam 1e-3, decay 0.85, 15 epochs of batches of 200"
    return [(setting, figures(solver) | {"test": test})], solver.best_val_acc >= 0.5


# -- normalisation and dropout -------------------------------------------------------------------------------------


@experiment("[100] * 5 with and without batch norm, 1,000 pictures, 10 epochs", "train is higher with")
def e8():
    rows = []
    for norm in (None, "batchnorm"):
        net = FullyConnectedNet([100] * 5, weight_scale=2e-2, normalization=norm)
        rows.append((norm or "none", figures(trained(net, 1000, num_epochs=10, batch_size=50, **adam(1e-3)))))
    return rows, rows[1][1]["train"] > rows[0][1]["train"]


@experiment(
    "weight scales 1e-4 to 1 (20 of them), [50] * 7, 1,000 pictures, 10 epochs",
    "at both ends val is higher with batch norm",
)
def e9():
    found: dict[str | None, list[dict[str, float]]] = {}
    scales = np.logspace(-4, 0, num=20)
    for norm in (None, "batchnorm"):
        found[norm] = []
        for scale in scales:
            net = FullyConnectedNet([50] * 7, weight_scale=scale, normalization=norm)
            found[norm].append(figures(trained(net, 1000, num_epochs=10, batch_size=50, **adam(1e-3)), 100))
    rows = [
        (f"{norm or 'none'}, scale {scales[i]:.2g}", found[norm][i])
        for i in (0, 5, 10, 15, 19)
        for norm in (None, "batchnorm")
    ]
    return rows, all(found["batchnorm"][i]["val"] > found[None][i]["val"] for i in (0, 1, 2, -2, -1))


def batch_sizes(norm: str):
    rows = []
    for size, kind in ((5, None), (5, norm), (10, norm), (50, norm)):
        net = FullyConnectedNet([100] * 5, weight_scale=2e-2, normalization=kind)
        solver = trained(net, 1000, num_epochs=10, batch_size=size, **adam(10**-3.5))
        rows.append((f"{kind or 'none'}, batch {size}", figures(solver)))
    return rows


@experiment("batch sizes with batch norm, [100] * 5, 1,000 pictures", "train rises with the batch size")
def e10():
    rows = batch_sizes("batchnorm")
    train = [f["train"] for _, f in rows]
    return rows, train[1] < train[2] < train[3]


@experiment("the same with layer norm", "train at batch 5 is above batch norm's")
def e11():
    rows = batch_sizes("layernorm")
    np.random.seed(231)
    net = FullyConnectedNet([100] * 5, weight_scale=2e-2, normalization="batchnorm")
    batch_norm = trained(net, 1000, num_epochs=10, batch_size=5, **adam(10**-3.5))
    return rows, rows[1][1]["train"] > max(batch_norm.train_acc_history)


@experiment("batchnorm_backward against _alt, (100, 500)", "the simplified one is faster")
def e12():
    setting, found = race("batchnorm", 5, backpass="kernel", numpy="_alt", steps="staged")
    staged_to_simplified = found["staged ms"] / found["_alt ms"]
    return [(setting, found | {"staged / _alt": staged_to_simplified})], staged_to_simplified > 1


@experiment("dropout on randn(500, 500) + 10", "means within 0.15 of 10; zeros within 0.01 of 1 - p")
def e13():
    x, rows = np.random.randn(500, 500) + 10, []
    for p in (0.25, 0.4, 0.7):
        out, _ = layers.dropout_forward(x, {"mode": "train", "p": p})
        rows.append((f"p {p}", {"mean": float(out.mean()), "zeros": float((out == 0).mean()), "zeros wanted": 1 - p}))
    return rows, all(abs(f["mean"] - 10) < 0.15 and abs(f["zeros"] - f["zeros wanted"]) < 0.01 for _, f in rows)


@experiment("gradients with dropout, [20, 30], seed 123, float64", "within 1e-6 of the largest gradient")
def e14():
    rows = []
    for keep in (1, 0.75, 0.5):
        np.random.seed(231)
        X, y = np.random.randn(2, 15), np.random.randint(10, size=2)
        net = FullyConnectedNet([20, 30], 15, 10, keep, weight_scale=5e-2, dtype=np.float64, seed=123)
        rows.append((f"keep {keep}", {"initial loss": net.loss(X, y)[0]} | gradient_errors(net, X, y)))
    return rows, all(f["error / largest"] < 1e-6 for _, f in rows)


@experiment("[500] with and without dropout, 500 pictures, 25 epochs", "train at the end is lower with, val is not")
def e15():
    rows = []
    for keep in (1, 0.25):
        net = FullyConnectedNet([500], dropout_keep_ratio=keep)
        solver = trained(net, 500, num_epochs=25, batch_size=100, **adam(5e-4))
        ends = {"train at the end": solver.train_acc_history[-1], "val at the end": solver.val_acc_history[-1]}
        rows.append((f"keep {keep}", figures(solver) | ends))
    without, with_dropout = rows[0][1], rows[1][1]
    lower = with_dropout["train at the end"] <= without["train at the end"]
    return rows, lower and with_dropout["val"] > without["val"] - 0.02


# -- convolutional nets --------------------------------------------------------------------------------------------


@experiment("grey and edges by conv_forward_naive, two pictures at 200 x 200", "equal to the sums written out")
def e16():
    data = get_CIFAR10_data(
        1000, 10, 10, subtract_mean=False
    )  # a cat and a dog of CIFAR-10 for the kitten and the puppy
    found = [next(x for x, y in zip(data["X_train"], data["y_train"], strict=True) if y == label) for label in (3, 5)]
    x = np.stack([picture.repeat(7, axis=1).repeat(7, axis=2)[:, 12:212, 12:212] for picture in found])
    w = np.zeros((2, 3, 3, 3))
    w[0, :, 1, 1] = 0.3, 0.6, 0.1
    w[1, 2] = [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    out, _ = layers.conv_forward_naive(x, w, np.array([0, 128]), {"stride": 1, "pad": 1})
    grey = 0.3 * x[:, 0] + 0.6 * x[:, 1] + 0.1 * x[:, 2]
    blue = np.pad(x[:, 2], ((0, 0), (1, 1), (1, 1)))
    across = blue[:, :, :-2] + 2 * blue[:, :, 1:-1] + blue[:, :, 2:]
    edges = across[:, :-2] - across[:, 2:] + 128
    errors = {"grey error": float(abs(out[:, 0] - grey).max()), "edge error": float(abs(out[:, 1] - edges).max())}
    return [("3 x 3, pad 1, on values to 255", errors)], max(errors.values()) < 1e-9


@experiment("naive against fast convolution, (100, 3, 31, 31)", "at least 200 x the loops' speed")
def e17():
    setting, found = race("conv", 2, backpass="fast", numpy="strides", steps="naive")
    return [(f"forward + backward, {setting}", found)], found["naive / fast"] >= 200


@experiment("naive against fast pooling, (100, 3, 32, 32)", "fast is faster")
def e18():
    setting, found = race("pool", 3, backpass="fast", steps="naive")
    return [(f"forward + backward, {setting}", found)], found["naive / fast"] > 1


@experiment("initial loss of ThreeLayerConvNet, 50 random pictures", "near ln 10; higher with reg")
def e19():
    X, y = np.random.randn(50, 3, 32, 32), np.random.randint(10, size=50)
    net, rows = ThreeLayerConvNet(), []
    for net.reg in (0, 0.5):
        rows.append((f"reg {net.reg}", {"initial loss": net.loss(X, y)[0]}))
    first, second = (f["initial loss"] for _, f in rows)
    return rows, abs(first - np.log(10)) < 0.01 and second > first


@experiment("gradients of ThreeLayerConvNet, (3, 16, 16), float64", "within 1e-3 of the largest gradient")
def e20():
    np.random.seed(231)
    X, y = np.random.randn(2, 3, 16, 16), np.random.randint(10, size=2)
    net = ThreeLayerConvNet((3, 16, 16), 3, 3, 7, dtype=np.float64)
    errors = gradient_errors(net, X, y, h=1e-6)
    return [("3 filters 3 x 3, hidden 7, h 1e-6", errors)], errors["error / largest"] < 1e-3


@experiment("overfit 100 pictures with ThreeLayerConvNet, 15 epochs", "train above 0.8, far above val")
def e21():
    solver = trained(ThreeLayerConvNet(weight_scale=1e-2), 100, num_epochs=15, batch_size=50, **adam(1e-3))
    train = max(solver.train_acc_history)
    return [("scale 1e-2, adam 1e-3, batch 50", figures(solver))], train > 0.8 and train > 2 * solver.best_val_acc


@functools.cache
def one_epoch() -> Solver:
    np.random.seed(231)
    net = ThreeLayerConvNet(weight_scale=1e-3, hidden_dim=500, reg=1e-3)
    return trained(net, None, num_epochs=1, batch_size=50, **adam(1e-3))


@experiment("one epoch of ThreeLayerConvNet, full training set", "train over 0.4")
def e22():
    solver = one_epoch()
    return [("scale 1e-3, hidden 500, reg 1e-3, adam 1e-3, batch 50", figures(solver))], solver.train_acc_history[
        -1
    ] > 0.4


@experiment("first filters of that net, as a picture", "a 47 x 47 grid; training made them smooth")
def e23():
    filters = one_epoch().model.params["W1"].transpose(0, 2, 3, 1)
    grid = visualize_grid(filters)

    def alike(w: np.ndarray) -> float:  # of neighbours in a filter: 0 for noise
        return float(np.corrcoef(w[:, :, 1:].ravel(), w[:, :, :-1].ravel())[0, 1])

    noise = alike(np.random.randn(*filters.shape))
    rows = [("32 filters 7 x 7", {"grid": grid.shape[0], "neighbours alike": alike(filters), "in noise": noise})]
    good = grid.shape == (47, 47, 3) and np.isfinite(grid).all() and alike(filters) > 0.3 > noise
    return rows, bool(good)


@experiment(
    "statistics and gradients of spatial batch norm and group norm",
    "statistics within 1e-3 (0.1 in test mode), gradients within 1e-6",
)
def e24():
    np.random.seed(231)
    rows = []
    x = 4 * np.random.randn(2, 3, 4, 5) + 10
    for gamma, beta in ((np.ones(3), np.zeros(3)), (np.array([3.0, 4.0, 5.0]), np.array([6.0, 7.0, 8.0]))):
        out, _ = layers.spatial_batchnorm_forward(x, gamma, beta, {"mode": "train"})
        off = max(abs(out.mean(axis=(0, 2, 3)) - beta).max(), abs(out.std(axis=(0, 2, 3)) / gamma - 1).max())
        rows.append((f"spatial batch norm, gamma {gamma.astype(int).tolist()}", {"off by": float(off)}))
    settings = {"mode": "train"}
    for _ in range(50):
        layers.spatial_batchnorm_forward(2.3 * np.random.randn(10, 4, 11, 12) + 13, np.ones(4), np.zeros(4), settings)
    settings["mode"] = "test"
    late = 2.3 * np.random.randn(10, 4, 11, 12) + 13
    out, _ = layers.spatial_batchnorm_forward(late, np.ones(4), np.zeros(4), settings)
    off = max(abs(out.mean(axis=(0, 2, 3))).max(), abs(out.std(axis=(0, 2, 3)) - 1).max())
    rows.append(("the same in test mode after 50 batches", {"off by": float(off)}))
    x, gamma, beta = 4 * np.random.randn(2, 6, 4, 5) + 10, np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1))
    out, _ = layers.spatial_groupnorm_forward(x, gamma, beta, 2, {})
    groups = out.reshape(4, -1)
    off = max(abs(groups.mean(axis=1)).max(), abs(groups.std(axis=1) - 1).max())
    rows.append(("group norm, G 2", {"off by": float(off)}))
    tests = (
        ("spatial_batchnorm", (5 * x[:, :3] + 12, np.random.randn(3), np.random.randn(3)), ({"mode": "train"},)),
        ("spatial_groupnorm", (5 * x + 12, np.random.randn(1, 6, 1, 1), np.random.randn(1, 6, 1, 1)), (2, {})),
    )
    for name, arrays, more in tests:
        forward, backward = (getattr(layers, f"{name}_{which}") for which in ("forward", "backward"))
        out, cache = forward(*arrays, *more)
        dout = np.random.randn(*out.shape)
        numeric = [
            eval_numerical_gradient_array(lambda _, f=forward, a=arrays, m=more: f(*a, *m)[0], array, dout)
            for array in arrays
        ]
        error = max(rel_error(mine, n) for mine, n in zip(backward(dout, cache), numeric, strict=True))
        rows.append((f"{name}_backward", {"gradient error": error}))
    right = all(f.get("off by", 0) < (0.1 if "test mode" in said else 1e-3) for said, f in rows)
    return rows, right and all(f.get("gradient error", 0) < 1e-6 for _, f in rows)


# -- keeping and showing -------------------------------------------------------------------------------------------


def run(name: str) -> dict:
    """Run one experiment from a fixed seed and return what is kept of it."""
    np.random.seed(231)
    start = time.perf_counter()
    rows, met = EXPERIMENTS[name].run()
    rows = [[setting, {what: float(value) for what, value in found.items()}] for setting, found in rows]
    return {"rows": rows, "met": bool(met), "seconds": round(time.perf_counter() - start, 1)}


def shown(value: float) -> str:
    """Return a figure for people: 3 digits, large ones whole."""
    if (value == int(value) or abs(value) >= 100) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.1e}" if abs(value) < 1e-2 else f"{value:.3g}"


def described(found: dict[str, float]) -> str:
    return ", ".join(f"{what} {shown(value)}" for what, value in found.items())


def table(kept: dict[str, dict]) -> str:
    """Return the table of the page, from what is kept."""
    lines = ["| # | what | bar | setting | figures |", "|---|---|---|---|---|"]
    for name, told in EXPERIMENTS.items():
        if name not in kept:
            continue
        bar = f"{told.bar}: {'met' if kept[name]['met'] else 'NOT MET'}"
        for n, (setting, found) in enumerate(kept[name]["rows"]):
            head = f"{name} | {told.what} | {bar}" if n == 0 else " | |"
            lines.append(f"| {head} | {setting} | {described(found)} |")
    return "\n".join(lines)


def record(name: str, result: dict) -> None:
    """Keep a result, and write the page's table anew."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    kept[name] = result
    ordered = {n: kept[n] for n in EXPERIMENTS if n in kept}
    KEPT.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not between.search(page):
        raise SystemExit(f"{PAGE} has no place for the table: {BEGIN} ... {END}")
    PAGE.write_text(between.sub(lambda _: f"{BEGIN}\n\n{table(ordered)}\n\n{END}", page), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(EXPERIMENTS)}; all without")
    parser.add_argument("--record", action="store_true", help=f"write {KEPT.name} and the table in {PAGE.name}")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"expected some of {', '.join(EXPERIMENTS)}, got {', '.join(unknown)}")
    missed = []
    for name in asked.names or EXPERIMENTS:
        result = run(name)
        told = EXPERIMENTS[name]
        print(f"{name}: {told.what} ({result['seconds']} s); {told.bar}: {'met' if result['met'] else 'NOT MET'}")
        for setting, found in result["rows"]:
            print(f"  {setting}: {described(found)}", flush=True)
        if asked.record:
            record(name, result)
        if not result["met"]:
            missed.append(name)
    if missed:
        raise SystemExit(f"not met: {', '.join(missed)}")


if __name__ == "__main__":
    main()
