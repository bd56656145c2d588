"""What a user sees: the report of a check, its forms, and the limits of what it claims."""

import ast
import json
import time
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest

from backpass import errors
from backpass.check import Report, check, check_optimizer, numeric
from backpass.check.instrument import Program
from backpass.check.subject import Layer, stems
from backpass.testing import assert_gradients, assert_update_rule


def norm_forward(x, gamma, beta):
    mean = x.mean(axis=0)
    centered = x - mean
    var = (centered**2).mean(axis=0)
    rstd = 1 / np.sqrt(var + 1e-5)
    xhat = centered * rstd
    out = gamma * xhat + beta
    return out, (centered, rstd, xhat, gamma)


def norm_backward(dout, cache):
    centered, rstd, xhat, gamma = cache
    n = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    drstd = (dxhat * centered).sum(axis=0)
    dvar = drstd * -0.5 * rstd**2  # the slip
    dcentered = dxhat * rstd + 2 / n * centered * dvar
    dx = dcentered - dcentered.mean(axis=0)
    return dx, dgamma, dbeta


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, x):
    return dout * (x > 0)


@pytest.fixture(scope="module")
def wrong():
    return check(norm_forward, norm_backward)


def test_the_issues_own_example(wrong):
    finding = wrong.findings[0]
    assert not wrong.ok
    assert not wrong
    assert finding.code.startswith("dvar = drstd * -0.5 * rstd**2")
    assert finding.quantity == "dvar"
    assert finding.cause == "power"
    assert "`rstd ** 3`" in finding.fix
    assert {g.name: g.status for g in wrong.gradients} == {"x": "wrong", "gamma": "right", "beta": "right"}
    text = str(wrong)
    assert "first wrong line" in text
    assert "dvar should be rstd times larger" in text
    assert "dbeta, dgamma, drstd, dxhat are right; dcentered, dx are wrong because of it" in text


def test_lines_are_marked(wrong):
    marks = {m.quantity: m.status for m in wrong.lines if m.quantity in ("dxhat", "dvar", "dcentered")}
    assert marks == {"dxhat": "right", "dvar": "fault", "dcentered": "follows"}


def test_json_goes_round(wrong):
    data = json.loads(wrong.to_json())
    assert data["ok"] is False
    assert data["findings"][0]["line"] == wrong.findings[0].line
    data.pop("ok")
    assert Report.from_dict(data).to_json() == wrong.to_json()


def test_html_is_one_well_formed_page_with_nothing_to_fetch(wrong):
    page = wrong.to_html()
    open_tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("script", "link", "img")
            if tag not in ("meta",):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Reader().feed(page.removeprefix("<!doctype html>"))
    assert not open_tags
    assert 'class="row fault"' in page
    assert "dvar = drstd * -0.5 * rstd**2" in page


def test_html_escapes_what_the_user_wrote():
    page = Report("<b>&", sources={"a": {"path": "a", "first": 1, "text": ["x < y  # <script>"]}}).to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_package_itself_can_be_called():
    import backpass.check

    assert backpass.check(relu_forward, relu_backward).ok


def test_right_is_right():
    report = check(relu_forward, relu_backward)
    assert report.ok
    assert report.findings == []
    assert all(g.error < 1e-9 for g in report.gradients)


def test_the_functions_are_as_before_afterwards():
    code, names = norm_backward.__code__, set(norm_backward.__globals__)
    check(norm_forward, norm_backward)
    assert norm_backward.__code__ is code
    assert set(norm_backward.__globals__) == names
    assert np.random.default_rng is np.random.default_rng
    assert type(np.random.default_rng).__name__ != "Unseeded"


def test_the_functions_are_as_before_even_when_they_raise():
    def bad_forward(x):
        raise KeyError("inside")

    code = bad_forward.__code__
    report = check(bad_forward, relu_backward, (np.ones(3),))
    assert bad_forward.__code__ is code
    assert report.findings[0].cause == "exception"
    assert "inside" in report.findings[0].message


def test_kinks_are_left_out_and_said():
    x = np.array([[-1.0, 0.0, 2.0], [0.0, 1.0, -3.0]])
    report = check(relu_forward, relu_backward, (x,))
    assert report.ok
    assert report.gradients[0].kinks == 2
    assert any(f.cause == "kink" and f.severity == "note" for f in report.findings)


def test_a_kink_does_not_hide_a_fault_elsewhere():
    def shifted_backward(dout, x):
        return dout * (x > 0) * np.where(x > 1.5, 1.01, 1.0)

    x = np.array([[-1.0, 0.0, 2.0], [0.0, 1.0, -3.0]])
    assert not check(relu_forward, shifted_backward, (x,)).ok


@pytest.mark.parametrize("slip", [1e-5, 1e-4, 1e-2])
def test_small_slips_are_found(slip):
    def slightly_wrong(dout, x):
        return dout * (x > 0) * (1 + slip)

    assert not check(relu_forward, slightly_wrong).ok


def test_float32_inside_is_not_called_wrong():
    def soft_forward(x):
        x = x.astype(np.float32)
        t = np.tanh(x)
        return t, t

    def soft_backward(dout, t):
        return dout * (1 - t**2)

    report = check(soft_forward, soft_backward)
    assert report.ok, str(report)


def test_dropout_that_draws_anew_is_held_fast():
    def my_dropout_forward(x, keep_prob=0.6):
        mask = (np.random.default_rng().random(x.shape) < keep_prob) / keep_prob
        return x * mask, mask

    def my_dropout_backward(dout, mask):
        return dout * mask

    assert check(my_dropout_forward, my_dropout_backward).ok


def test_without_source_the_numbers_are_still_judged():
    space = {"np": np}
    exec("def f_forward(x):\n    return x**2, x\ndef f_backward(dout, x):\n    return dout * x", space)
    report = check(space["f_forward"], space["f_backward"], (np.array([1.0, 2.0, -3.0]),))
    assert not report.ok
    assert report.findings[0].line == 0
    assert report.findings[0].cause == "factor"
    assert "source is not at hand" in report.findings[0].message


def test_closures_and_lambdas():
    def make(scale):
        def scaled_forward(x):
            y = x * scale
            return y**2, y

        def scaled_backward(dout, y):
            dy = dout * 2 * y
            return dy / scale

        return scaled_forward, scaled_backward

    report = check(*make(3.0), (np.array([[1.0, 2.0, -1.5]]),))
    assert not report.ok
    assert report.findings[0].code == "return dy / scale"


def test_inputs_by_name_by_tuple_and_by_function():
    x = np.linspace(-2, 2, 7)
    for arguments in ((x,), {"x": x}, lambda rng: (rng.standard_normal(5),)):
        assert check(relu_forward, relu_backward, arguments).ok


def test_what_cannot_be_guessed_is_said():
    def odd_forward(x, enigma):
        return x * enigma, enigma

    with pytest.raises(errors.ArgumentError, match="inputs"):
        check(odd_forward, relu_backward)
    with pytest.raises(errors.ArgumentError, match="2 arguments"):
        check(odd_forward, relu_backward, (1.0, 2.0, 3.0))


def test_wrt_names_the_order():
    def product_forward(a, b):
        return a * b, (a, b)

    def product_backward(dout, cache):
        return dout * cache[0], dout * cache[1]

    pair = (np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    assert not check(product_forward, product_backward, pair).ok
    assert check(product_forward, product_backward, pair, wrt=["b", "a"]).ok


def test_assert_gradients_fails_with_the_report():
    with pytest.raises(AssertionError, match="first wrong line"):
        assert_gradients(norm_forward, norm_backward)
    assert assert_gradients(relu_forward, relu_backward).ok


def test_the_two_faults_of_one_function_are_both_reported():
    def affine_forward(x, w, b):
        return x @ w + b, (x, w, b)

    def affine_backward(dout, cache):
        x, w, _ = cache
        dx = dout @ w.T
        dw = 2 * (x.T @ dout)
        db = -dout.sum(axis=0)
        return dx, dw, db

    report = check(affine_forward, affine_backward)
    assert [f.quantity for f in report.findings] == ["dw", "db"]
    assert [f.cause for f in report.findings] == ["factor", "sign"]


# -- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "slope"), [(np.exp, np.exp(0.7)), (np.sin, np.cos(0.7)), (lambda v: v**5, 5 * 0.7**4)]
)
def test_derivatives_are_good_to_ten_digits(function, slope):
    d = numeric.derivative_along(lambda t: float(function(0.7 + t)), lambda: 0)
    assert abs(d.value - slope) < 1e-10 * abs(slope)
    assert not d.kink


def test_a_kink_nearby_is_walked_around_and_one_on_the_spot_is_seen():
    near = numeric.derivative_along(lambda t: abs(2e-4 + t), lambda: 0)
    assert not near.kink
    assert near.value == pytest.approx(1.0)
    assert numeric.derivative_along(abs, lambda: 0).kink


def test_branches_tell_of_kinks_before_slopes_do():
    last = [0.0]

    def f(t):
        last[0] = t
        return t * t if t < 1e-5 else t * t + 1e-12 * t

    d = numeric.derivative_along(f, lambda: int(last[0] < 1e-5))
    assert not d.kink


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("dx", "x"),
        ("grad_gamma", "gamma"),
        ("dL_dz", "z"),
        ("w_grad", "w"),
        ("dx2", "x"),
        ("delta_h", "h"),
        ("dLdw", "w"),
    ],
)
def test_names_of_gradients(name, stem):
    assert stem in stems(name)


# -- update rules -------------------------------------------------------------------------------------------------


def adam(w, dw, config=None, *, inside=False, late=False, forget=False):
    config = {} if config is None else config
    for key, value in (("learning_rate", 1e-3), ("beta1", 0.9), ("beta2", 0.999), ("epsilon", 1e-8), ("t", 0)):
        config.setdefault(key, value)
    m, v = config.get("m", np.zeros_like(w)), config.get("v", np.zeros_like(w))
    if not late:
        config["t"] += 1
    m = config["beta1"] * m + (1 - config["beta1"]) * dw
    v = config["beta2"] * v + (1 - config["beta2"]) * dw**2
    t = max(config["t"], 1)
    m_hat, v_hat = m / (1 - config["beta1"] ** t), v / (1 - config["beta2"] ** t)
    if late:
        config["t"] += 1
    if not forget:
        config["m"], config["v"] = m, v
    root = np.sqrt(v_hat + config["epsilon"]) if inside else np.sqrt(v_hat) + config["epsilon"]
    return w - config["learning_rate"] * m_hat / root, config


def variant(**slip):
    def rule(w, dw, config=None):
        return adam(w, dw, config, **slip)

    return rule


def test_adam_is_adam():
    assert check_optimizer(adam).ok
    assert assert_update_rule(variant(), "adam").ok


@pytest.mark.parametrize(("slip", "cause"), [("inside", "eps"), ("forget", "second_call"), ("late", "forward_formula")])
def test_slips_of_adam_are_named(slip, cause):
    report = check_optimizer(variant(**{slip: True}), "adam")
    assert report.findings[0].cause == cause
    assert "step" in report.findings[0].message


def test_the_courses_own_adam_is_right_too():
    def rule(w, dw, config):
        c = config
        c["t"] = c.get("t", 0) + 1
        c["m"] = c["beta1"] * c.get("m", 0) + (1 - c["beta1"]) * dw
        c["v"] = c["beta2"] * c.get("v", 0) + (1 - c["beta2"]) * dw**2
        rate = c["learning_rate"] * np.sqrt(1 - c["beta2"] ** c["t"]) / (1 - c["beta1"] ** c["t"])
        return w - rate * c["m"] / (np.sqrt(c["v"]) + c["epsilon"]), c

    assert check_optimizer(rule, "adam").ok


@pytest.mark.parametrize("name", ["sgd", "sgd_momentum", "rmsprop"])
def test_other_rules_and_going_uphill(name):
    from backpass.check.optimizers import FORMULAS

    formula = FORMULAS[name][1][0]

    def rule(w, dw, config, sign=1.0):
        state = config.setdefault("state", {})
        return formula(w, sign * dw, config, state), config

    assert check_optimizer(rule, name).ok
    report = check_optimizer(lambda w, dw, config: rule(w, dw, config, -1.0), name)
    assert report.findings[0].cause == "sign"


def test_an_unknown_rule_is_an_error():
    with pytest.raises(errors.ArgumentError, match="known: sgd"):
        check_optimizer(lambda w, dw, config: (w, config), "frob")


def test_a_search_that_breaks_down_still_says_that_the_gradient_is_wrong(monkeypatch):
    from backpass.check import doctor

    def stumble(*_, **__):
        raise ValueError("stumbled")

    monkeypatch.setattr(doctor, "Truth", stumble)
    report = check(relu_forward, lambda dout, x: 2 * dout * (x > 0))
    assert [f.severity for f in report.findings] == ["wrong"]
    assert "ValueError: stumbled" in report.findings[0].message


def test_a_step_that_breaks_down_is_said_and_the_rest_goes_on(monkeypatch):
    from backpass.check import examine

    def stumble(*_, **__):
        raise ValueError("stumbled")

    monkeypatch.setattr(examine, "examine_formula", stumble)

    def spoil(dout, x):
        dout *= x > 0
        return dout

    report = check(relu_forward, spoil)
    assert [(f.severity, f.cause) for f in report.findings] == [("wrong", "mutation"), ("warning", "not_checked")]


def test_the_users_own_inputs_are_tried_with_their_first_row_only():
    def shift_forward(x, shift):
        return x + shift, x.shape

    def shift_backward(dout, shape):
        return dout.reshape(shape).squeeze(), dout.sum(axis=0)

    given = {"x": np.ones((4, 3)), "shift": np.arange(3.0)}
    report = check(shift_forward, shift_backward, given)
    assert report.findings[0].cause == "keepdims"
    assert "with a batch of one" in report.findings[0].message
    assert check(shift_forward, shift_backward, {"x": np.ones((3, 3)), "shift": np.arange(3.0)}).ok  # which 3 is it?


def test_a_cache_object_is_not_taken_for_the_output():
    from types import SimpleNamespace

    def tanh_forward(x):
        t = np.tanh(x)
        return t, SimpleNamespace(t=t)

    def tanh_backward(dout, S):
        return dout * (1 - S.t**2)

    assert check(tanh_forward, tanh_backward).ok


def test_a_gate_with_a_parameter_of_its_own_is_not_compared_with_the_plain_one():
    def swish_forward(x, beta):
        s = 1 / (1 + np.exp(-beta * x))
        return x * s, (x, beta, s)

    def swish_backward(dout, cache):
        x, beta, s = cache
        return dout * (s + beta * x * s * (1 - s)), (dout * x * x * s * (1 - s)).sum(axis=0)

    assert check(swish_forward, swish_backward, lambda rng: (rng.standard_normal((4, 3)), rng.uniform(0.5, 2, 3))).ok


def test_a_loss_without_a_gradient_is_said_to_be_one():
    def square_loss(x, y):
        return ((x - y) ** 2).sum(), None

    report = check(square_loss, None, (np.ones(3), np.zeros(3)))
    assert "returned no gradient" in report.findings[0].message


def test_an_edit_that_asks_for_all_memory_is_given_up():
    resource = pytest.importorskip("resource")

    def limits_and_peak():
        return resource.getrlimit(resource.RLIMIT_AS), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    limits, peak = limits_and_peak()
    report = check(spread_forward, spread_backward, {"feat": np.random.default_rng(0).standard_normal((3, 4, 2, 5))})
    assert not report.ok
    assert limits_and_peak()[0] == limits
    assert limits_and_peak()[1] - peak < 1.2e6  # KiB on Linux; the shape three times over would take 1.7 GB


def spread_forward(feat):
    return feat.mean((2, 3)), feat.shape


def spread_backward(g, shape):
    return np.broadcast_to(g[..., None, None], shape).copy()


def _masked(returned):
    """Return a masked affine layer whose backward returns what `returned` makes of dx, dmask, dw and db."""

    def masked_forward(x, mask, w):
        return (x * mask) @ w, (x, mask, w)

    def masked_backward(dout, cache):
        x, mask, w = cache
        dx, dw = (dout @ w.T) * mask, (x * mask).T @ dout
        return returned(dx, (dout @ w.T * x).sum(axis=1, keepdims=True), dw, dout.sum(axis=0))

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((4, 3)), np.array([[1], [0], [1], [1]]), rng.standard_normal((3, 2))
    return check(masked_forward, masked_backward, inputs)


@pytest.mark.parametrize(
    "habit",
    [
        lambda dx, dmask, dw, db: (dx, dw),
        lambda dx, dmask, dw, db: (dx, None, dw),
        lambda dx, dmask, dw, db: (dx, np.zeros(4), dw),
        lambda dx, dmask, dw, db: (dx, dmask, dw),
        lambda dx, dmask, dw, db: (dx, dw, dmask),
    ],
)
def test_data_may_be_given_a_gradient_or_none(habit):
    assert _masked(habit).ok


def test_a_gradient_of_nothing_is_one_too_many_next_to_data():
    report = _masked(lambda dx, dmask, dw, db: (dx, dw, db))
    assert [f.cause for f in report.findings if f.severity == "wrong"] == ["extra_gradient"]


def test_two_lambdas_in_one_line_are_not_taken_for_each_other():
    triple, slope = (lambda x: x * 3), (lambda x: 3.0)

    def scaled_forward(x):
        return triple(x), x

    def scaled_backward(dout, x):
        return dout * slope(x)

    assert check(scaled_forward, scaled_backward, (np.array([1.0, -2.0]),)).ok


def test_the_line_that_makes_a_wrong_value_is_blamed_rather_than_the_one_that_uses_it():
    def norm_of_rows_forward(x):
        s = (x**2).sum(axis=1)
        return s**0.5, (x, s)

    def norm_of_rows_backward(dout, cache):
        x, s = cache
        ds = dout * s**0.5
        return ds[:, None] * x

    report = check(norm_of_rows_forward, norm_of_rows_backward, (np.random.default_rng(0).uniform(1, 2, (4, 3)),))
    assert report.findings[0].code.startswith("ds =")


def conv_forward(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    N, _, H, W = xp.shape
    F, _, h, v = w.shape
    out = np.zeros((N, F, 1 + (H - h) // s, 1 + (W - v) // s))
    for n, f, i, j in np.ndindex(out.shape):
        out[n, f, i, j] = np.sum(xp[n, :, i * s : i * s + h, j * s : j * s + v] * w[f]) + b[f]
    return out, (x, w, b, conv_param)


def conv_backward(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dxp, dw, db = np.zeros(xp.shape), np.zeros(w.shape), np.zeros(b.shape)
    h, v = w.shape[2:]
    for n, f, i, j in np.ndindex(dout.shape):
        db[f] += dout[n, f, i, j]
        dw[f] += xp[n, :, i * s : i * s + h, j * s : j * s + v]  # the slip: the upstream gradient is not used
        dxp[n, :, i * s : i * s + h, j * s : j * s + v] += dout[n, f, i, j] * w[f]
    return dxp[:, :, p : p + x.shape[2], p : p + x.shape[3]], dw, db


def _runs_of(monkeypatch, speed):
    """Check the naive convolution by a clock that goes as much too fast or slow; return the runs made and the report."""
    clock, runs = time.thread_time, Counter()
    monkeypatch.setattr(time, "thread_time", lambda: speed * clock())
    for name in ("run_forward", "call_backward"):
        method = getattr(Layer, name)

        def counted(self, *arguments, name=name, method=method):
            runs[name] += 1
            return method(self, *arguments)

        monkeypatch.setattr(Layer, name, counted)
    report = check(conv_forward, conv_backward)
    monkeypatch.undo()
    return runs, report


def test_what_is_done_does_not_depend_on_how_fast_the_machine_is(monkeypatch):
    runs, report = _runs_of(monkeypatch, speed=1e-3)
    again, other = _runs_of(monkeypatch, speed=0.5)
    assert again == runs
    assert [f.message for f in other.findings] == [f.message for f in report.findings]
    assert report.findings[0].cause == "upstream_missing"
    assert "* dout[n, f, i, j]" in report.findings[0].fix
    assert 200 < runs["run_forward"] < 600  # some hundred runs of a slow function are all that five seconds hold
    assert 100 < runs["call_backward"] < 900


def test_no_factor_is_tried_on_a_shape(monkeypatch):
    """`w.shape * 4` is a shape, but of an array that takes seconds to fill."""
    written = []
    compiled = Program.compile_definition

    def listed(self, function, node):
        written.append(ast.unparse(node))
        return compiled(self, function, node)

    monkeypatch.setattr(Program, "compile_definition", listed)
    check(conv_forward, conv_backward)
    assert len(written) > 100
    assert not [text for text in written if ".shape *" in text]


def logs_forward(x):
    y = np.log(x)  # of negative numbers too
    return y * 2, x


def logs_backward(dout, x):
    return dout * 2 / x


def test_a_forward_that_is_not_finite_is_blamed_where_that_begins():
    finding = check(logs_forward, logs_backward, {"x": np.array([1.0, -2.0, 3.0])}).findings[0]
    assert finding.cause == "not_finite"
    assert finding.code.startswith("y = np.log(x)")
    assert "the first to hold one is y" in finding.message


def test_one_set_of_inputs_may_serve_several_functions():
    """Each takes what it names; where something is missing, it is not checked, and that is said."""
    rng = np.random.default_rng(0)
    shared = {"x": rng.standard_normal((4, 3)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}
    assert check(relu_forward, relu_backward, lambda _: shared).ok
    assert not check(norm_forward, norm_backward, lambda _: shared).ok
    with pytest.raises(errors.ArgumentError, match="relu_forward takes x, and the dict holds gamma, beta as well"):
        check(relu_forward, relu_backward, shared)  # a dict for this one alone: a slip of the pen would go unseen
    with pytest.raises(errors.ArgumentError, match="norm_forward needs gamma, beta as well, but the inputs are x"):
        check(norm_forward, norm_backward, {"x": shared["x"]})


class Centring:
    """A softmax classifier that moves the middle of the batch it is lent."""

    def __init__(self):
        self.params = {"W": np.random.default_rng(0).standard_normal((4, 3))}

    def loss(self, X, y=None):
        X -= X.mean(axis=0)
        scores = X @ self.params["W"]
        if y is None:
            return scores
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        p[np.arange(len(y)), y] -= 1
        return loss, {"W": X.T @ p / len(y)}


def test_a_model_that_changes_its_batch_is_blamed_where_it_does():
    x = np.random.default_rng(1).standard_normal((5, 4))
    report = check(Centring(), x, np.array([0, 1, 2, 0, 1]))
    assert [(f.cause, f.code) for f in report.findings if f.severity == "wrong"] == [
        ("mutation", "X -= X.mean(axis=0)")
    ]
