"""Inputs made from the names of a function and of its parameters.

`batchnorm_forward(x, gamma, beta, bn_param)` tells what it wants: `x` is a batch, `gamma` and `beta` are as long as
its rows,
`bn_param` is a dict with mode, eps and momentum.  Several *variants* are made (another stride, ties, a small scale, a
batch of
one), for many a slip shows in some of them only.  All sizes differ from each other, so that a wrong axis cannot hide.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EPS = 1e-2  # large on purpose: an epsilon in the wrong place shows


@dataclass
class Variant:
    """One set of arguments.

    `purpose` is main, stride, small, ties, one (a batch of one), single (an axis of size one), test or image.
    """

    purpose: str
    arguments: dict[str, Any]


# The kind of layer, by a pattern for the name without "_forward"; the first that fits.
KINDS: list[tuple[str, str]] = [
    (
        "sandwich",
        r"(conv.*(relu|pool|bn|norm)|(affine|linear|fc|dense)_?(relu|bn|norm|batch|layer|ln|drop|sigmoid|tanh))",
    ),
    ("groupnorm", r"(group_?norm|^gn$|gn_)"),
    ("instancenorm", r"instance_?norm"),
    ("spatial_batchnorm", r"(spatial_?(batch_?norm|bn)|batch_?norm_?2d|bn_?2d)"),
    ("layernorm", r"(layer_?norm|^ln$|^ln_|_ln$)"),
    ("rmsnorm", r"rms_?norm"),
    ("batchnorm", r"(batch_?norm|^bn|_bn$)"),
    ("dropout", r"drop"),
    ("conv", r"conv"),
    ("avgpool", r"(avg|average|mean)_?pool|pool_?(avg|average|mean)"),
    ("maxpool", r"pool"),
    ("softmax_loss", r"(softmax|cross_?entropy|xent|log_?loss|nll).*|.*_ce$|^ce_"),
    ("svm_loss", r"(svm|hinge)"),
    ("regression_loss", r"(mse|l2_?loss|squared|mae|l1_?loss|huber|regression)"),
    ("affine", r"(affine|(?<![a-z])linear|^fc|dense|fully_?connected|^gemm|matmul)"),
    ("embedding", r"embed"),
    (
        "elementwise",
        r"(relu|sigmoid|tanh|elu|gelu|silu|swish|softplus|mish|square|exp|log|abs|identity|activation|hardtanh|clip|sin|cos|sqrt|cube|scale|softsign|leaky)",
    ),
]


def kind_of(name: str) -> str:
    """Return the kind of layer that a name tells, or "".

    >>> kind_of("batchnorm_forward"), kind_of("max_pool_forward_naive"), kind_of("softmax_loss"), kind_of("frobnicate")
    ('batchnorm', 'maxpool', 'softmax_loss', '')
    """
    base = re.sub(r"_?(forward|fwd|fprop|backward|naive|fast|alt|staged)", "", name.lower())
    for kind, pattern in KINDS:
        if re.search(pattern, base):
            return kind
    return ""


X = re.compile(
    r"^(x|inp|inputs?|a|z|h|u|v|t|data|images?|feats?|features|arr|in_?|activations?|prev_?\w*|x_in|xs|s|logits|scores|pred\w*|y_?hat|x_batch|batch)$",
    re.I,
)
W = re.compile(r"^(w|w\d|weights?|kernels?|filters?|wt|theta|k|w_?mat|table|w_?emb\w*)$", re.I)
B = re.compile(r"^(b|b\d|bias(es)?|bs|offset)$", re.I)
SCALE = re.compile(r"^(gamma|scale|g|gam|gains?)$", re.I)
SHIFT = re.compile(r"^(beta|shift|bet|offsets?)$", re.I)
LABELS = re.compile(r"^(y|labels?|targets?|t|y_?true|ys|idx|classes|target_ids|y_batch)$", re.I)


def random_away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return normal numbers, none within 0.05 of zero and no two close: no kinks, no ties."""
    values = rng.standard_normal(shape) * 1.3
    return np.where(np.abs(values) < 0.05, np.copysign(0.05 + np.abs(values), values), values)


def build(function: Callable[..., Any], name: str = "", seed: int = 0) -> list[Variant]:
    """All variants of arguments for a function, the main one first; empty where a parameter's meaning is unknown.

    Weights are laid out as in the course, (in, out), or else, where the function raises with them, as in torch, (out,
    in).
    """
    variants = _build(function, name, seed, turned=False)
    if variants and any(
        isinstance(v, np.ndarray) and v.ndim == 2 and W.match(k) for k, v in variants[0].arguments.items()
    ):
        for turned in (False, True):
            tried = _build(function, name, seed, turned)
            try:
                function(**_copied(tried[0].arguments))
            except Exception:
                continue
            return tried
    return variants


def _copied(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: v.copy() if isinstance(v, np.ndarray | dict) else v for k, v in arguments.items()}


def _build(function: Callable[..., Any], name: str, seed: int, turned: bool) -> list[Variant]:
    kind = kind_of(name or getattr(function, "__name__", ""))
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    names = [p.name for p in parameters]
    if not kind:
        kind = _kind_from_parameters(names)
    variants: list[Variant] = []
    for purpose, settings in _settings(kind, names):
        rng = np.random.default_rng([seed, len(variants)])
        arguments = _arguments(kind, parameters, rng, {**settings, "turned": turned})
        if arguments is None:
            return []
        variants.append(Variant(purpose, arguments))
    return variants


def _kind_from_parameters(names: list[str]) -> str:
    low = {n.lower() for n in names}
    if {"gamma", "beta"} <= low:
        return "batchnorm" if any("bn" in n for n in low) else "layernorm"
    if any("conv" in n for n in low) or ({"stride"} & low and any(W.match(n) for n in names)):
        return "conv"
    if any("pool" in n for n in low):
        return "maxpool"
    if any(W.match(n) for n in names):
        return "affine"
    if len(names) == 2 and LABELS.match(names[1]):
        return "softmax_loss"
    return "elementwise"


def _settings(kind: str, names: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Shapes and hyperparameters of each variant."""
    conv = {"shape": (2, 3, 4, 5), "filters": (4, 3, 3, 2), "stride": 1, "pad": 1}
    pool = {"shape": (2, 3, 4, 6), "pool": (2, 2), "stride": 2}
    image = {"shape": (2, 6, 4, 3), "G": 3}
    rows = {"shape": (5, 4)}
    if kind == "sandwich" and any(n.lower().startswith(("conv", "pool")) for n in names):
        both = {"shape": (2, 3, 6, 4), "filters": (4, 3, 3, 3), "stride": 1, "pad": 1, "pool": (2, 2), "pool_stride": 2}
        return [("main", both), ("one", {**both, "shape": (1, 3, 6, 4)})]
    if kind == "conv":
        return [
            ("main", conv),
            ("stride", {"shape": (2, 2, 5, 8), "filters": (3, 2, 3, 4), "stride": 2, "pad": 1}),
            ("stride", {"shape": (2, 2, 5, 5), "filters": (3, 2, 3, 3), "stride": 1, "pad": 0}),
            ("stride", {"shape": (1, 2, 4, 4), "filters": (2, 2, 2, 2), "stride": 1, "pad": 2}),
            ("single", {"shape": (2, 1, 3, 4), "filters": (1, 1, 2, 2), "stride": 1, "pad": 0}),
        ]
    if kind in ("maxpool", "avgpool"):
        variants = [
            ("main", pool),
            ("stride", {"shape": (2, 2, 5, 7), "pool": (3, 3), "stride": 2}),
            ("stride", {"shape": (2, 2, 6, 6), "pool": (2, 3), "stride": 1}),
            ("single", {"shape": (1, 1, 4, 4), "pool": (2, 2), "stride": 2}),
        ]
        return variants + ([("ties", {**pool, "ties": True})] if kind == "maxpool" else [])
    if kind in ("groupnorm", "spatial_batchnorm", "instancenorm"):
        return [("main", image), ("small", {**image, "size": 0.1}), ("one", {**image, "shape": (1, 6, 4, 3)})]
    if kind in ("batchnorm", "layernorm", "rmsnorm"):
        variants = [("main", {"shape": (6, 4)}), ("small", {"shape": (6, 4), "size": 0.1})]
        return [*variants, ("one", {"shape": (1, 4)}) if kind != "batchnorm" else ("single", {"shape": (5, 1)})]
    if kind == "affine":
        return [
            ("main", {"shape": (5, 4), "outputs": 3}),
            ("image", {"shape": (3, 2, 4), "outputs": 5}),
            ("one", {"shape": (1, 4), "outputs": 3}),
            ("single", {"shape": (3, 4), "outputs": 1}),
            ("single", {"shape": (3, 1), "outputs": 2}),
        ]
    if kind == "sandwich":
        return [("main", {"shape": (5, 4), "outputs": 3, "G": 1}), ("one", {"shape": (2, 4), "outputs": 3, "G": 1})]
    if kind in ("softmax_loss", "svm_loss"):
        size = 2.5 if kind == "svm_loss" else 1.0  # so that margins of both signs occur
        return [
            ("main", {"shape": (5, 4), "classes": 4, "outputs": 3, "size": size}),
            ("one", {"shape": (1, 4), "classes": 4, "outputs": 3}),
        ]
    if kind == "regression_loss":
        return [("main", {"shape": (5, 3)}), ("one", {"shape": (1, 3)})]
    if kind == "dropout":
        return [("main", {"shape": (6, 7)}), ("test", {"shape": (6, 7), "mode": "test"})]
    if kind == "elementwise":
        return [("main", rows), ("image", {"shape": (2, 3, 2, 3)}), ("one", {"shape": (1, 4)})]
    return [("main", rows)]


def _arguments(
    kind: str, parameters: list[inspect.Parameter], rng: np.random.Generator, settings: dict[str, Any]
) -> dict[str, Any] | None:
    shape = settings["shape"]
    given: dict[str, Any] = {}
    labels_seen = False
    for position, parameter in enumerate(parameters):
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name == "self":
            continue
        known, value = _one(kind, name, position, rng, settings, labels_seen)
        if isinstance(value, np.ndarray) and isinstance(parameter.default, int | float):
            continue  # a number by its default, whatever else has this name
        if known:
            given[name] = value
            labels_seen = labels_seen or (isinstance(value, np.ndarray) and value.dtype.kind == "i")
        elif parameter.default is parameter.empty:
            if position == 0:
                given[name] = _batch(rng, shape, settings)
            else:
                return None
    return given


def _batch(rng: np.random.Generator, shape: tuple[int, ...], settings: dict[str, Any]) -> Array:
    if settings.get("ties"):
        return rng.integers(0, 3, shape).astype(np.float64)
    size: float = settings.get("size", 1.0)
    return random_away_from_zero(rng, shape) * size


def _one(
    kind: str, name: str, position: int, rng: np.random.Generator, settings: dict[str, Any], labels_seen: bool
) -> tuple[bool, Any]:
    """Whether a parameter is understood, and a value for it."""
    low = name.lower()
    shape = settings["shape"]
    classes = settings.get("classes", 4)
    losses = kind in ("softmax_loss", "svm_loss")
    if low.endswith(("_param", "_params", "_cfg", "_config", "param", "conf")) or low in (
        "opts",
        "options",
        "cfg",
        "config",
        "hp",
        "params",
    ):
        return True, _dictionary(kind, low, settings)
    if losses and LABELS.match(name) and position > 0 and not labels_seen:
        return True, rng.integers(0, classes, shape[0])
    if kind == "regression_loss" and position > 0 and LABELS.match(name):
        return True, rng.standard_normal(shape)
    if kind == "embedding" and position == 0:
        return True, rng.integers(0, 5, (3, 4))
    if W.match(name) and kind in (
        "affine",
        "conv",
        "sandwich",
        "softmax_loss",
        "svm_loss",
        "embedding",
        "layernorm",
        "rmsnorm",
        "batchnorm",
    ):
        return True, _weights(kind, rng, settings, losses, classes)
    if B.match(name) and kind in (
        "affine",
        "conv",
        "sandwich",
        "layernorm",
        "batchnorm",
        "groupnorm",
        "spatial_batchnorm",
    ):
        size = (
            settings["filters"][0]
            if "filters" in settings
            else settings.get("outputs", shape[1] if len(shape) > 1 else shape[0])
        )
        return True, rng.standard_normal(size)
    if name == "G":
        return True, settings.get("G", 2)
    if SCALE.match(name) or (SHIFT.match(name) and kind != "elementwise"):
        channels = (
            settings["filters"][0]
            if "filters" in settings
            else settings["outputs"]
            if "outputs" in settings
            else shape[1]
        )
        full = (1, channels, 1, 1) if kind == "groupnorm" else (channels,)
        return True, (
            rng.uniform(0.5, 2.0, full) * rng.choice([-1, 1], full) if SCALE.match(name) else rng.standard_normal(full)
        )
    scalars: list[tuple[str, Any]] = [
        (r"^(stride|s|strides|step)$", settings.get("stride", 1)),
        (r"^(pad|padding|p)$" if kind == "conv" else r"^(pad|padding)$", settings.get("pad", 0)),
        (r"^(pool_?height|pool_?h|ph|kh|hh)$", settings.get("pool", (2, 2))[0]),
        (r"^(pool_?width|pool_?w|pw|kw|ww)$", settings.get("pool", (2, 2))[1]),
        (r"^(pool_?size|k|kernel_?size|size|f|window)$", min(settings.get("pool", (2, 2)))),
        (r"^(g|groups?|num_?groups|n_?groups)$", settings.get("G", 2)),
        (r"^(eps|epsilon)$", EPS),
        (
            r"^(p|keep|keep_?prob|p_keep|drop_?prob|rate|drop(_?rate|out)?|prob|ratio|keep_?ratio|dropout_?(rate|prob|p))$",
            0.7 if "keep" in low or low == "p" else 0.3,
        ),
        (r"^(mode)$", settings.get("mode", "train")),
        (r"^(train(ing)?|is_?train(ing)?)$", settings.get("mode", "train") == "train"),
        (r"^(momentum|decay)$", 0.8),
        (r"^(alpha|slope|negative_?slope|leak)$", 0.1),
        (r"^(delta|margin)$", 1.0),
        (r"^(beta)$", 1.5),
        (r"^(reg|lam(bda)?_?|l2|weight_?decay)$", 0.3),
        (r"^(seed|random_?state)$", 3),
        (r"^(lo(w)?|a_min|min_val)$", -1.0),
        (r"^(hi(gh)?|a_max|max_val)$", 1.0),
        (r"^(c|scale)$", 1.7),
    ]
    if low in ("rng", "generator"):
        return True, np.random.default_rng(3)
    if low.startswith(("running_", "moving_")):
        return True, np.zeros(shape[1]) if "mean" in low else np.ones(shape[1])
    for pattern, value in scalars:
        if re.match(pattern, low) and position > 0:
            return True, value
    if X.match(name) and not (losses and position > 0 and labels_seen):
        return True, _batch(rng, shape, settings)
    if LABELS.match(name) and position > 0:
        return True, rng.integers(0, classes, shape[0])
    return False, None


def _weights(kind: str, rng: np.random.Generator, settings: dict[str, Any], losses: bool, classes: int) -> Array:
    shape: tuple[int, ...] = settings["shape"]
    if "filters" in settings:
        filters: tuple[int, ...] = settings["filters"]
        return rng.standard_normal(filters)
    if losses:
        return rng.standard_normal((shape[1], classes)) * 0.7
    if kind == "embedding":
        return rng.standard_normal((6, 3))
    if kind in ("layernorm", "rmsnorm", "batchnorm"):
        return rng.uniform(0.5, 2.0, shape[-1])
    outputs: int = settings.get("outputs", 3)
    weights = rng.standard_normal((int(np.prod(shape[1:])), outputs))
    return weights.T.copy() if settings.get("turned") else weights


def _dictionary(kind: str, low: str, settings: dict[str, Any]) -> dict[str, Any]:
    if low.startswith("conv") or (kind == "conv" and not low.startswith(("bn", "pool"))):
        return {"stride": settings.get("stride", 1), "pad": settings.get("pad", 0)}
    if low.startswith("pool") or kind in ("maxpool", "avgpool"):
        height, width = settings.get("pool", (2, 2))
        return {
            "pool_height": height,
            "pool_width": width,
            "stride": settings.get("pool_stride", settings.get("stride", 2)),
        }
    if low.startswith("drop") or kind == "dropout":
        return {"p": 0.7, "mode": settings.get("mode", "train"), "seed": 3}
    return {"mode": settings.get("mode", "train"), "eps": EPS, "momentum": 0.8}
