"""The benchmarks' own logic, with sides that are made up; two real cases at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from backpass.bench import BenchmarkError, Group, Settings, compare, group, load, load_group, protocol, results, select
from backpass.bench.figures import BYTES_LIMIT, FLOPS_LIMIT, ratios, roofline, scaling
from backpass.bench.footprint import EPOCHS
from backpass.bench.protocol import measure
from backpass.bench.tables import markdown, tables
from backpass.bench.targets import TARGETS, figure_of, targets_of, verdict
from backpass.bench.worker import Worker, difference, numbers
from backpass.cli import main
from backpass.errors import ArgumentError, DataError

FAKE = Group(title="made up", cases={"one": None}, sides={"backpass": None, "torch eager": None, "numpy": None})


class Sides:
    """Answers in place of processes: each side's rounds, and what is wrong with it."""

    def __init__(self, rounds, *, missing=(), wrong=(), failed=()):
        self.rounds = {side: iter(times) for side, times in rounds.items()}
        self.missing, self.wrong, self.failed = missing, wrong, failed
        self.asked = []

    def __call__(self, side, do, **request):
        self.asked.append((side, do))
        peer = protocol.peer_of(side)
        if do == "time":
            seconds = next(self.rounds[side])
            return {"median_s": seconds, "blocks_s": [seconds]}
        if do == "build" and peer in self.missing:
            return {"skipped": f"No module named '{peer}'", "missing": peer}
        if do == "build" and peer in self.failed:
            return {"failed": "Traceback: out of cheese"}
        wrong = "dw has the length 2, expected 1" if peer in self.wrong else ""
        return {"setup_s": 0.1, "first_s": 0.2, "numbers": {"dw": [0.5, 1.0]}, "wrong": wrong}


@pytest.fixture(autouse=True)
def _fake_group(monkeypatch):
    monkeypatch.setattr(protocol, "load_group", lambda name: FAKE if name == "fake" else load_group(name))
    monkeypatch.setattr(protocol, "cores", lambda: [0, 1])
    monkeypatch.setattr(protocol.Watch, "load", lambda self: {"others": 0.0, "steal": 0.0})


def times(ours, torch_1, torch_2, numpy):
    return {
        "backpass@2": ours,
        "torch eager@1": torch_1,
        "torch eager@2": torch_2,
        "numpy@1": numpy,
        "numpy@2": [9.0] * 20,
    }


def test_ratios_are_taken_round_by_round_against_each_peers_best():
    sides = Sides(times([1, 1, 2, 4], [3, 3, 4, 9], [2.9, 2.5, 6, 8], [5] * 4))
    result = measure("fake", "one", Settings(rounds=3, repeats=0), sides)
    assert result["ratio"]["torch"]["rounds"] == [2.5, 2.0, 2.0]  # the first of each was the trial
    assert result["ratio"]["torch"]["median"] == 2.0
    assert result["ratio"]["numpy"]["rounds"] == [5, 2.5, 1.25]
    assert result["median"]["backpass@2"] == 2
    assert result["skipped"] == {}


def test_a_side_far_behind_its_peers_best_is_not_asked_again():
    sides = Sides(times([1] * 4, [10] * 4, [2] * 4, [3] * 4))
    result = measure("fake", "one", Settings(rounds=3, repeats=0), sides)
    assert sides.asked.count(("torch eager@1", "time")) == 1
    assert ("torch eager@1", "drop") in sides.asked
    assert result["sides"]["torch eager@1"]["tried_s"] == 10
    assert "torch eager@1" not in result["median"]


def test_a_noisy_run_is_repeated_and_the_best_attempt_counts():
    ours = [1, *[1, 2, 1], *[1, 1.01, 1]]
    sides = Sides(times(ours, [2] * 9, [2] * 9, [3] * 9))
    told = []
    result = measure("fake", "one", Settings(rounds=3, repeats=2), sides, tell=told.append)
    assert result["attempts"] == 2
    assert result["noise"] == ""
    assert result["sides"]["backpass@2"]["rounds"] == [1, 1.01, 1]
    assert any("noisy" in text for text in told)


def test_a_run_that_stays_noisy_says_so():
    sides = Sides(times([1, 2] * 9, [2] * 20, [2] * 20, [3] * 20))
    result = measure("fake", "one", Settings(rounds=2, repeats=2), sides)
    assert result["attempts"] == 3
    assert "spread" in result["noise"]


@pytest.mark.parametrize(("load", "word"), [("others", "other processes"), ("steal", "host")])
def test_the_machines_load_makes_a_run_noisy(monkeypatch, load, word):
    monkeypatch.setattr(protocol.Watch, "load", lambda self: {"others": 0.0, "steal": 0.0} | {load: 0.5})
    sides = Sides(times([1] * 9, [2] * 9, [2] * 9, [3] * 9))
    result = measure("fake", "one", Settings(rounds=2, repeats=1), sides)
    assert (result["attempts"], word in result["noise"]) == (2, True)


def test_a_missing_peer_is_skipped_and_named():
    sides = Sides(times([1] * 4, [], [], [3] * 4), missing=("torch",))
    result = measure("fake", "one", Settings(rounds=3), sides)
    assert result["skipped"] == {"torch": "torch is not installed"}
    assert list(result["ratio"]) == ["numpy"]
    assert ("torch eager@2", "build") not in sides.asked


@pytest.mark.parametrize(("peer", "against"), [("torch", "backpass@2"), ("backpass", "NumPy reference")])
def test_wrong_gradients_end_it_before_anything_is_timed(peer, against):
    sides = Sides(times([1] * 4, [2] * 4, [2] * 4, [3] * 4), wrong=(peer,))
    with pytest.raises(BenchmarkError, match=rf"{against}.*dw has the length 2"):
        measure("fake", "one", Settings(rounds=3), sides)
    assert not [side for side, do in sides.asked if do == "time" and side.startswith(peer)]


def test_a_broken_mode_of_a_peer_is_left_out_and_named():
    class Mode(Sides):
        def __call__(self, side, do, **request):
            answer = super().__call__(side, do, **request)
            return (
                answer | {"wrong": "dw has the length 0, expected 1"}
                if (side, do) == ("torch eager@2", "build")
                else answer
            )

    sides = Mode(times([1] * 4, [2] * 4, [], [3] * 4))
    result = measure("fake", "one", Settings(rounds=3, repeats=0), sides)
    assert "dw has the length 0" in result["skipped"]["torch eager@2"]
    assert result["ratio"]["torch"]["median"] == 2


def test_a_side_that_fails_is_an_error_with_its_message():
    with pytest.raises(BenchmarkError, match=r"fake/one: torch eager@1 failed.*out of cheese"):
        measure("fake", "one", Settings(rounds=3), Sides(times([1] * 4, [], [], [3] * 4), failed=("torch",)))


def test_only_peers_that_were_asked_for_run():
    sides = Sides(times([1] * 4, [], [], [3] * 4))
    assert list(measure("fake", "one", Settings(rounds=3, sides=("numpy",)), sides)["ratio"]) == ["numpy"]


# -- what a side's process checks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 1024, 5000])
def test_numbers_tell_arrays_apart(size):
    x = np.random.default_rng(0).standard_normal(size)
    turned = x.copy()
    turned[[0, 1]] = turned[[1, 0]]
    scaled, mirrored = 1.01 * x, -x
    expected = numbers({"x": x})
    assert difference(expected, numbers({"x": x * (1 + 1e-7)}), 1e-4) == ""
    for bad in (turned, scaled, mirrored):
        assert difference(expected, numbers({"x": bad}), 1e-4)
    # Rounding of 1 % passes at 2 %, in whatever direction it lies; 4 % does not.
    for seed in range(50):
        noise = np.random.default_rng(seed).standard_normal(size)
        noise *= np.linalg.norm(x) / np.linalg.norm(noise)
        assert difference(expected, numbers({"x": x + 0.01 * noise}), 0.02) == ""
        assert difference(expected, numbers({"x": x + 0.04 * noise}), 0.02)
    assert "expected some of x" in difference(expected, numbers({"y": x}), 1e-4)


def test_a_worker_reports_a_wrong_gradient(monkeypatch):
    def broken(case):
        good = group.Side(lambda: None, lambda: {"dw": np.ones(3)})
        return group.Side(good.step, lambda: {"dw": np.array([1.0, 1.0, 1.1])}, good.arrays)

    monkeypatch.setattr(
        "backpass.bench.worker.load_group", lambda _: Group("made up", {"one": None}, {"backpass": broken})
    )
    answer = Worker().build("backpass@1", "fake", "one", None)
    assert answer["wrong"].startswith("dw has the length")


def test_a_worker_reports_nan(monkeypatch):
    side = group.Side(lambda: None, lambda: {"out": np.array([np.nan])})
    monkeypatch.setattr(
        "backpass.bench.worker.load_group", lambda _: Group("made up", {"one": None}, {"torch": lambda _: side})
    )
    assert "NaN" in Worker().build("torch@1", "fake", "one", None)["wrong"]


# -- cases --------------------------------------------------------------------------------------------------------------


def test_every_layer_and_optimizer_is_found():
    from backpass.layers.base import Layer
    from backpass.optim import Optimizer

    names = {name.split()[0] for name in load_group("layers").cases}
    ours = {name for name, cls in Layer.registry.items() if cls.__module__.startswith("backpass.")}
    assert ours - names <= {"Flatten"}, "a layer without a benchmark: its first CASES cannot be enlarged"
    assert {name.split()[0] for name in load_group("optimizers").cases} >= {
        name for name, cls in Optimizer.registry.items() if cls.__module__.startswith("backpass.")
    }


def test_every_kernel_is_beside_its_limit():
    from backpass.layers.base import Layer
    from backpass.losses.base import Loss
    from backpass.optim import Optimizer

    known = load_group("roofline")
    names = {name.split()[0] for name in known.cases}
    ours = {
        name
        for kind in (Layer, Optimizer, Loss)
        for name, cls in kind.registry.items()
        if "backpass." in cls.__module__
    }
    assert ours - names == {"Flatten", "Residual"}  # no kernel of its own; made of others
    assert any(name.startswith("gather") for name in known.cases)
    rates = {"multiply_add_flops": 1e11, "copy_bytes": 1e10}
    for name, case in known.cases.items():
        flops, moved = known.work(case)
        assert results.least_seconds({"flops": flops, "bytes": moved, "sides": {}}, rates), name
        assert [target.peer for target in targets_of(f"roofline/{name}")] == ["share"], name


def test_every_target_has_its_case():
    names = [f"{name}/{case}" for name in group.GROUPS for case in load_group(name).cases]
    for target in TARGETS:
        assert any(name.startswith(target.case) for name in names), target


def test_quick_and_full_name_cases_and_sides_that_exist():
    for name in group.GROUPS:
        known = load_group(name)
        assert set(known.quick) <= set(known.cases), name
        assert set(known.full) <= set(known.cases), name
        assert {side.partition("@")[0] for side in known.full_sides} <= set(known.sides), name


def test_selection():
    assert ("conv", "pool max 2x2") in select([], ["POOL MAX"])
    assert select(["conv"], [], "quick") == [("conv", case) for case in load_group("conv").quick]
    with pytest.raises(ArgumentError, match="expected a benchmark among"):
        select(["convolution"], [])
    with pytest.raises(ArgumentError, match="--list"):
        select(["conv"], ["nothing like this"])


# -- results --------------------------------------------------------------------------------------------------------------


def file(**rounds):
    cases = {
        f"conv/{name}": {
            "ours": "backpass@2",
            "unit": "s",
            "median": {"backpass@2": sorted(times)[len(times) // 2], "torch@1": 3.0},
            "sides": {"backpass@2": {"rounds": times}},
            "ratio": {"torch": {"median": 3.0, "low": 2.5, "high": 3.5, "rounds": [2.5, 3.0, 3.5]}},
            "skipped": {"jax": "jax is not installed"},
            "noise": "",
            "share": None,
        }
        for name, times in rounds.items()
    }
    machine = {"processor": "an abacus", "cores": 2}
    return {"format": 1, "machine": machine, "settings": {"rounds": 3}, "limits": None, "cases": cases}


def test_compare_tells_what_lies_beyond_the_rounds():
    old = file(a=[1.0, 1.1, 1.2], b=[1.0, 1.1, 1.2], c=[1.0, 1.1, 1.2], gone=[1.0])
    new = file(a=[1.3, 1.4, 1.5], b=[1.15, 1.2, 1.25], c=[0.5, 0.6, 0.7], here=[1.0])
    assert {row["name"]: row["verdict"] for row in compare(old, new)} == {
        "conv/a": "slower",
        "conv/b": "same",
        "conv/c": "faster",
    }


def test_a_file_comes_back_and_others_are_refused(tmp_path):
    path = tmp_path / "deep" / "a.json"
    results.save(file(a=[1.0]), path)
    assert load(path)["cases"]["conv/a"]["median"]["backpass@2"] == 1.0
    for text, message in (("{", "something else"), ("[]", "something else"), ('{"format": 9, "cases": {}}', "format")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            load(path)


def test_the_share_of_what_was_copied_in_turn_is_taken_round_by_round():
    sides = {"backpass@2": {"rounds": [1.0, 2.0, 4.0]}, "backpass copy@2": {"rounds": [0.5, 1.6, 2.4]}}
    result = {"ours": "backpass@2", "median": {"backpass@2": 2.0}, "sides": sides, "flops": 0.0, "bytes": 1e9}
    faster_once = {"multiply_add_flops": 1e11, "copy_bytes": 1e12}
    assert results.share_of_limit(result, faster_once) == 0.6  # of 0.5, 0.8, 0.6: not 0.8, the share of the medians


def test_tables_say_reached_or_missed_in_the_same_place():
    found = file(**{"pool max 2x2": [1.0], "norm group norm, 8 groups": [1.0]})
    found["cases"]["conv/pool max 2x2"]["ratio"]["torch"]["median"] = 1.5
    ((_, columns, rows),) = tables(found)
    verdicts = {row[0]: row[columns.index("target")] for row in rows}
    assert verdicts["pool max 2x2"] == "MISSED: at least 2 x torch"
    assert verdicts["norm group norm, 8 groups"] == "reached: at least 2 x torch"
    assert "MISSED: at least 2 x torch" in markdown(found)
    assert "jax is not installed" in markdown(found)


def test_brief_tables_fit_into_80_columns():
    found = file(**{"pool max 2x2": [1.0], "norm group norm, 8 groups": [1.0]})
    found["cases"]["conv/pool max 2x2"]["noise"] = "the rounds spread by 30 %"
    ((_, columns, rows),) = tables(found, brief=True)
    assert columns == ["case", "backpass", "torch", "target"]
    assert rows == [["pool max 2x2", "~1 s", "3 x", "reached"], ["norm group norm, 8 groups", "1 s", "3 x", "reached"]]


def test_figure_of_each_kind_of_target():
    result = {"ratio": {"torch": {"median": 2.0}}, "share": 0.5, "median": {"b": 70.0}, "ours": "b"}
    figures = {target.peer: figure_of(target, result) for target in TARGETS}
    assert (figures["torch"], figures["share"], figures["value"], figures["sklearn"]) == (2.0, 0.5, 70.0, None)
    assert verdict("footprint/import, over that of NumPy", result) == "MISSED: at most 60"
    assert [target.bound for target in targets_of("roofline/ReLU forward")] == [0.7]


def test_pictures():
    pytest.importorskip("matplotlib")
    found = file(a=[1.0], b=[2.0])
    assert len(ratios(found).axes[0].get_yticks()) == 2
    assert next(mark.get_label() for mark in ratios(found).legends[0].get_lines()) == "torch"
    rates = {"multiply_add_flops": 1e11, "matrix_product_flops": 1e11, "copy_bytes": 1e10}
    case = found["cases"]["conv/a"] | {"flops": 1e9, "bytes": 1e9, "share": 0.1}
    found |= {"limits": rates, "cases": {f"scaling/depth of it: {n}": case for n in (1, 2)} | {"roofline/ReLU": case}}
    assert roofline(found).axes[0].get_xlim()[1] >= 100
    depth, threads = scaling(found).axes
    assert (depth.get_title(loc="left"), depth.get_xlabel()) == ("depth of it", "depth")
    assert "threads" in threads.get_title(loc="left")
    limits = {line.get_label(): list(line.get_ydata()) for line in depth.lines if "limit" in line.get_label()}
    assert limits == {FLOPS_LIMIT: [10.0, 10.0], BYTES_LIMIT: [100.0, 100.0]}  # 1e9 flops at 1e11, 1e9 bytes at 1e10
    case["bytes"] = 1e6  # what the caches hold has no limit in the rate of copying
    assert not any(len(line.get_ydata()) for line in scaling(found).axes[0].lines if line.get_label() == BYTES_LIMIT)


@pytest.mark.parametrize("name", EPOCHS)
def test_both_sides_train_the_same_net_where_memory_is_measured(name):
    pytest.importorskip("torch")
    epoch = replace(EPOCHS[name], samples=130)
    (ours, our_peak), (theirs, their_peak) = (epoch.parameters_and_peak(peer) for peer in ("backpass", "torch"))
    assert ours == theirs
    assert 20 < our_peak < their_peak


# -- the command ------------------------------------------------------------------------------------------------------------


def typed(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["bench", *map(str, arguments)])
    shown = capsys.readouterr()
    return ended.value.code or 0, shown.out, shown.err


def test_the_command_measures_shows_and_compares(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "new.json"
    brief = [
        "--only",
        "64 square",
        "--sides",
        "numpy",
        "--rounds",
        1,
        "--seconds",
        0.001,
        "--repeats",
        0,
        "--no-picture",
    ]
    status, shown, _ = typed(capsys, "matrix_product", *brief, "--out", out)
    assert status == 0
    assert "64 square" in shown
    assert "numpy takes" in shown
    kept = load(out)
    assert kept["machine"]["cores"] >= 1
    assert kept["cases"]["matrix_product/64 square"]["sides"]["numpy@1"]["setup_s"] > 0

    old = tmp_path / "old.json"
    for side in kept["cases"]["matrix_product/64 square"]["sides"].values():
        side["rounds"] = [1e-9]
    kept["cases"]["matrix_product/64 square"]["median"] = dict.fromkeys(
        kept["cases"]["matrix_product/64 square"]["median"], 1e-9
    )
    old.write_text(json.dumps(kept))
    status, shown, _ = typed(capsys, "--show", out, "--compare", old, "--no-picture")
    assert (status, "slower" in shown) == (3, True)
    status, shown, _ = typed(capsys, "--show", out, "--compare", out, "--no-picture")
    assert (status, "0 changed" in shown) == (0, True)

    before = load(out)["cases"]
    status, _, err = typed(capsys, "matrix_product", *brief, "--out", out)
    assert (status, load(out)["cases"]) == (1, before)
    assert all(option in err for option in (str(out), "--resume", "--again", "--overwrite", "--out"))
    status, _, _ = typed(capsys, "matrix_product", *brief, "--out", out, "--resume")
    assert (status, load(out)["cases"]) == (0, before)

    again = load(out)
    again["cases"]["matrix_product/made up"] = before["matrix_product/64 square"]
    out.write_text(json.dumps(again))
    status, _, _ = typed(capsys, "matrix_product", *brief, "--out", out, "--again")
    after = load(out)["cases"]
    assert (status, after["matrix_product/made up"]["sides"]) == (0, before["matrix_product/64 square"]["sides"])
    assert after["matrix_product/64 square"]["sides"] != before["matrix_product/64 square"]["sides"]

    status, _, _ = typed(capsys, "matrix_product", *brief, "--out", out, "--overwrite")
    assert (status, list(load(out)["cases"])) == (0, ["matrix_product/64 square"])


def test_wrong_commands_are_clear_errors(capsys, tmp_path):
    status, _, err = typed(capsys, "speeed")
    assert status == 1
    assert "expected a benchmark among" in err
    status, _, err = typed(capsys, "--quick", "--full")
    assert (status, "got both" in err) == (1, True)
    status, _, err = typed(capsys, "--resume", "--again")
    assert (status, "got more" in err) == (1, True)
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    status, _, err = typed(capsys, "--show", bad)
    assert (status, "backpass bench --out" in err) == (1, True)


def test_nothing_of_it_is_imported_with_backpass():
    code = "import sys, backpass, backpass.cli.app; print([m for m in sys.modules if m.startswith('backpass.bench')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
