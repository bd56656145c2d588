"""The commands as a user types them; most within this process, the signals in one of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import backpass as bp
from backpass.cli import main
from backpass.cli.choices import named

SMALL = ["--hidden", "32", "--epochs", "2", "--no-report"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKPASS_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def typed(capsys):
    """Type a command; get status, standard output and standard error."""

    def type_(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return type_


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that the commands can look at."""
    folder = tmp_path_factory.mktemp("cli") / "digits"
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", *SMALL, "--quiet", "--out", str(folder)])
    assert not ended.value.code
    return folder


def process(*arguments, **variables):
    code = "from backpass.cli import main; main()"
    where = str(Path(bp.__file__).parents[1])  # also where the package is not installed
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": where, **variables},
    )


def finish(made):
    out, err = made.communicate(timeout=60)
    return made.returncode, out, err


def digest(folder):
    return bp.Trainer.resume(folder).run.digest()


# -- train -----------------------------------------------------------------------------------------------------------


def test_train_alone_does_everything_a_demo_should(typed, tmp_path):
    status, out, err = typed("train", "digits", "--seed", 3)
    assert (status, err) == (0, "")
    assert "train 1297, val 200, test 300" in out
    assert "1 BatchNorm" in out
    assert "finished: 20 epochs" in out
    accuracy = float(out.partition("test accuracy ")[2].partition(" %")[0])
    assert accuracy >= 98
    assert "report: runs/digits/report.html" in out.replace("\\", "/")
    assert (tmp_path / "runs/digits/report.html").stat().st_size > 100_000
    assert "\x1b" not in out
    _, manifest = bp.train.load_run(tmp_path / "runs/digits")
    assert manifest["note"]["command"][0] == "backpass"
    assert manifest["data"]["source"] == {"source": "digits"}
    assert manifest["model"]["seed"] == manifest["trainer"]["seed"] == 3


def test_train_takes_another_folder_rather_than_replace_a_run(typed, tmp_path):
    for _ in range(2):
        assert typed("train", "digits", *SMALL, "--epochs", 1, "-q") == (0, "", "")
    assert (tmp_path / "runs/digits/checkpoint.npz").exists()
    assert (tmp_path / "runs/digits-2/checkpoint.npz").exists()


def test_overwrite_replaces_the_run_and_its_report(typed, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r/report.html").write_text("old")
    assert typed("train", "digits", *SMALL, "-q", "--out", "r")[0] == 0
    assert not (tmp_path / "r/report.html").exists()
    status, _, err = typed("train", "digits", *SMALL, "--out", "r")
    assert status == 1
    assert "--overwrite" in err
    assert typed("train", "digits", *SMALL, "-q", "--out", "r", "--overwrite")[0] == 0


def test_every_option_reaches_the_run(typed, tmp_path):
    options = (
        "--hidden 20,10 --norm none --activation leaky-relu --drop-prob 0.1 --init normal:scale=0.1 --dtype float64 "
        "--optimizer momentum:momentum=0.8 --lr 0.02 --schedule step:every=0.5,gamma=0.2 --warmup 5 --loss svm --reg 0.001 "
        "--clip-norm 2 --epochs 2 --batch-size 50 --monitor train_loss --patience 7 --seed 9 --threads 1 --save-every-s 9 "
        "--preprocess pca --val 100 --test 0.1 --train-samples 500"
    )
    assert typed("train", "digits", *options.split(), "--out", "r", "--no-report", "-q") == (0, "", "")
    _, manifest = bp.train.load_run(tmp_path / "r")
    kinds = [layer["type"] for layer in manifest["model"]["layers"]]
    assert kinds == ["Affine", "LeakyReLU", "Dropout"] * 2 + ["Affine"]
    assert [layer["width"] for layer in manifest["model"]["layers"] if "width" in layer] == [20, 10, 10]
    assert manifest["model"]["layers"][0]["init"]["scale"] == 0.1
    assert manifest["model"]["layers"][2]["drop_prob"] == 0.1
    assert manifest["model"]["dtype"] == "float64"
    trainer = manifest["trainer"]
    assert trainer["optimizer"]["type"] == "Momentum"
    assert trainer["optimizer"]["momentum"] == 0.8
    assert trainer["optimizer"]["lr"] == 0.02
    assert trainer["schedule"]["steps"] == 5
    assert (trainer["schedule"]["then"]["every"], trainer["schedule"]["then"]["gamma"]) == (0.5, 0.2)
    assert trainer["loss"]["type"] == "SVMLoss"
    plain = {
        name: trainer[name] for name in ("reg", "clip_norm", "epochs", "batch_size", "monitor", "patience", "seed")
    }
    assert plain == {
        "reg": 0.001,
        "clip_norm": 2,
        "epochs": 2,
        "batch_size": 50,
        "monitor": "train_loss",
        "patience": 7,
        "seed": 9,
    }
    assert trainer["save_every_s"] == 9
    assert manifest["model"]["preprocess"] == "pca"
    assert manifest["data"]["samples"] == {"train": 500, "val": 100, "test": 180}
    assert manifest["machine"]["threads"] == 1


def test_another_optimizer_comes_with_its_own_rate(typed, tmp_path):
    assert typed("train", "digits", *SMALL, "-q", "--optimizer", "sgd", "--out", "r")[0] == 0
    assert bp.train.load_run(tmp_path / "r")[1]["trainer"]["optimizer"]["lr"] == bp.SGD().lr


def test_options_with_a_colon():
    assert named("step:every=10,gamma=0.5") == ("step", {"every": 10.0, "gamma": 0.5})


def test_an_npz_file_and_a_folder_of_pictures(typed, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", x=rng.normal(size=(90, 5)), y=np.arange(90) % 3)
    status, out, _ = typed("train", "mine.npz", *SMALL)
    assert status == 0
    assert "test accuracy" in out
    assert (tmp_path / "runs/mine/checkpoint.npz").exists()
    for name in ("black", "white"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 100, (9, 9)) + 150 * (name == "white")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / name / f"{i}.png")
    status, out, _ = typed("train", "pictures", *SMALL, "--image-size", "6x6", "--grey", "--batch-size", 8)
    assert status == 0
    assert "samples (1, 6, 6)" in out
    status, out, _ = typed("train", "--resume", "runs/pictures", "--epochs", 3, "--no-report")
    assert (status, "finished: 3 epochs" in out) == (0, True)


# -- resume ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "r"
    with pytest.raises(SystemExit):
        main(["train", "digits", "--hidden", "64", "--epochs", "150", "--no-report", "-q", "--out", str(folder)])
    return digest(folder)


LONG = ["train", "digits", "--hidden", "64", "--epochs", "150", "--no-report", "--save-every-s", "0.05", "--out", "r"]


def wait_for_checkpoint(made, folder):
    until = time.monotonic() + 30
    while not (folder / "checkpoint.npz").exists():
        assert made.poll() is None, made.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    time.sleep(0.1)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_and_says_how_to_go_on(name, tmp_path, undisturbed, typed):
    made = process(*LONG)
    wait_for_checkpoint(made, tmp_path / "r")
    made.send_signal(getattr(signal, name))
    status, out, err = finish(made)
    assert status == 128 + getattr(signal, name)
    assert err == ""
    assert f"by {name}" in out
    assert "backpass train --resume r" in out
    status, out, err = typed("train", "--resume", "r", "--threads", 1, "--no-report")
    assert (status, err) == (0, "")
    assert digest(tmp_path / "r") == undisturbed


def test_killed_and_resumed_with_other_threads_ends_with_the_same_bits(tmp_path, undisturbed):
    arguments = LONG
    for threads in ("1", "2"):
        made = process(*arguments, BACKPASS_THREADS=threads)
        wait_for_checkpoint(made, tmp_path / "r")
        time.sleep(0.2)
        made.kill()
        made.communicate()
        arguments = ["train", "--resume", "r", "--no-report"]
    status, _, err = finish(process(*arguments))
    assert (status, err) == (0, "")
    assert digest(tmp_path / "r") == undisturbed


def test_a_finished_run_says_how_to_train_on(typed, run):
    status, out, _ = typed("train", "--resume", run, "--no-report")
    assert status == 0
    assert "ended already" in out
    assert "--epochs 12" in out


def test_resume_refuses_settings_that_would_change_the_run(typed, run):
    status, _, err = typed("train", "--resume", run, "--lr", 0.1, "--hidden", 5)
    assert status == 2
    assert "--hidden, --lr" in err


# -- evaluate, predict, report ------------------------------------------------------------------------------------


def test_evaluate_prints_what_the_library_computes(typed, run):
    data = bp.data.load("digits")
    expected = bp.evaluate(bp.load_model(run), data.val, bp.SoftmaxLoss(label_smoothing=0.1))
    status, out, _ = typed("evaluate", run, "--split", "val", "--json")
    said = json.loads(out)
    assert status == 0
    assert said["accuracy"] == expected["accuracy"]
    assert said["loss"] == expected["loss"]
    assert sum(row["right"] for row in said["per_class"]) == round(200 * expected["accuracy"])
    assert said["accuracy_95"][0] < said["accuracy"] < said["accuracy_95"][1]
    status, out, _ = typed("evaluate", run, "--split", "val")
    assert f"{100 * expected['accuracy']:.1f} %" in out


def test_evaluate_on_other_data(typed, run, tmp_path):
    digits = bp.data.load("digits")
    arrays = {"X_train": digits.train.x, "y_train": digits.train.y, "X_test": digits.test.x, "y_test": digits.test.y}
    np.savez(tmp_path / "again.npz", **arrays)
    said = json.loads(typed("evaluate", run, "--data", "again.npz", "--json")[1])
    assert said["accuracy"] == json.loads(typed("evaluate", run, "--json")[1])["accuracy"]
    np.savez(tmp_path / "other.npz", X_train=digits.train.x, y_train=digits.train.y % 2)
    status, _, err = typed("evaluate", run, "--data", "other.npz")
    assert (status, "expected the classes" in err) == (1, True)


def test_predict_arrays_and_pictures_agree(typed, run, tmp_path):
    digits = bp.data.load("digits")
    x = digits.test.x[:5]
    np.save(tmp_path / "five.npy", x)
    np.savez(tmp_path / "one.npz", x=x[0])
    # 16 levels become 255 exactly and back, so that the picture is the sample.
    Image.fromarray((x[0, 0] * 15.9375).round().astype(np.uint8)).save(tmp_path / "one.png")
    Image.fromarray(255 - (x[0, 0] * 15.9375).round().astype(np.uint8)).save(tmp_path / "negative.png")
    said = json.loads(typed("predict", run, "five.npy", "one.npz", "one.png", "--top", 3, "--json")[1])
    expected = bp.load_model(run).predict(x)
    assert [one["prediction"][0]["class"] for one in said[:5]] == [digits.classes[i] for i in expected]
    assert said[0]["file"] == "five.npy[0]"
    first, array, picture = said[0], said[5], said[6]
    assert array["file"] == "one.npz:x"
    assert len(first["prediction"]) == 3
    for other in (array, picture):
        for a, b in zip(first["prediction"], other["prediction"], strict=True):
            assert a["class"] == b["class"]
            assert a["probability"] == pytest.approx(b["probability"], rel=0.02)
    status, out, _ = typed("predict", run, "negative.png", "--invert")
    assert status == 0
    assert out.startswith(f"negative.png: {first['prediction'][0]['class']} ")


def test_predict_says_what_it_did_to_a_picture(typed, run, tmp_path):
    Image.new("RGB", (40, 30), "white").save(tmp_path / "large.png")
    status, out, err = typed("predict", run, "large.png")
    assert (status, err) == (0, "")
    assert "resized from 40 x 30 to 8 x 8 pixels" in out
    assert "values from 0 to 255 brought to 0 to 16" in out


def test_report_is_written_again(typed, run):
    status, out, _ = typed("report", run)
    assert status == 0
    assert str(run / "report.html") in out.replace("\n", "")
    assert (run / "report.html").exists()


# -- data, info, help -----------------------------------------------------------------------------------------------


def test_data_list_and_show(typed):
    rows = json.loads(typed("data", "list", "--json")[1])
    assert [row["name"] for row in rows][:2] == ["digits", "cifar10"]
    assert "digits.npz" in typed("data", "list")[1]
    said = json.loads(typed("data", "show", "digits", "--json")[1])
    assert said["splits"]["test"]["count"] == 300
    assert "1,297" in typed("data", "show", "digits")[1]
    assert "ships with the package" in typed("data", "get", "digits")[1]


def test_info_and_version(typed):
    said = json.loads(typed("info", "--json")[1])
    assert said["numpy"] == np.__version__
    assert said["instruction set"] == bp.native.isa
    assert said["threads"].startswith(str(bp.threads()))
    assert typed("--version")[1] == f"backpass {bp.__version__}\n"


def test_augment_is_drawn_and_trained_with(typed, tmp_path):
    assert typed("data", "show", "digits", "--augment", "flip,translate:1")[0] == 0
    with Image.open("augmented.png") as shown:
        assert shown.size[0] > 500
    made = typed("train", "digits", *SMALL, "--augment", "translate:1,cutout:2", "--out", tmp_path / "run")
    assert made[0] == 0
    assert "Translate" in made[1]  # among the settings
    _, manifest = bp.train.load_run(tmp_path / "run")
    assert [one["type"] for one in manifest["trainer"]["augment"]] == ["data.Translate", "data.Cutout"]
    assert "such as flip,translate:2" in typed("train", "digits", "--augment", "spin")[2]


def test_train_a_recipe(typed, tmp_path):
    small = ["--train-samples", "300", "--hidden", "8,8", "--epochs", "1", "--batch-size", "100", "--no-report"]
    made = typed("train", "digits", "--recipe", "fast", *small, "--augment", "translate:1", "--out", tmp_path / "run")
    assert made[0] == 0
    assert "Lookahead" in made[1]
    _, manifest = bp.train.load_run(tmp_path / "run")
    assert manifest["trainer"]["frozen"] == ["0.w", "gamma"]
    assert [one["type"] for one in manifest["trainer"]["augment"]] == ["data.Translate"]
    accuracy = [
        json.loads(typed("evaluate", tmp_path / "run", "--tta", tta, "--json")[1])["accuracy"]
        for tta in ("none", "flip")
    ]
    assert accuracy[0] != accuracy[1]
    assert "--recipe fast decides it" in typed("train", "digits", "--recipe", "fast", "--norm", "batch")[2].replace(
        "\n", " "
    )
    assert "expected one of fast" in typed("train", "digits", "--recipe", "slow")[2]


def test_train_with_an_average_and_frozen_parameters(typed, tmp_path):
    options = ["--average", "ema:decay=0.9", "--frozen", "0.w", "--frozen", "gamma", "--out", tmp_path / "run"]
    assert typed("train", "digits", *SMALL, *options)[0] == 0
    trainer = bp.Trainer.resume(tmp_path / "run")
    assert (trainer.average, trainer.frozen) == (bp.EMA(0.9), ("0.w", "gamma"))


def test_help_shows_every_option_with_its_default(typed):
    status, out, _ = typed("train", "--help")
    assert status == 0
    for words in (
        "Examples",
        "backpass train digits",
        "Data",
        "Net",
        "Training",
        "Output",
        "cifar10: adam",
        "--save-every-s",
    ):
        assert words in out


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "report", "data", "info"])
def test_every_command_has_help(command, typed):
    status, out, _ = typed(command, "--help")
    assert (status, "Usage: backpass" in out) == (0, True)


NETS = {
    "three-layer-convnet": ("", "Conv ReLU MaxPool Affine ReLU Affine"),
    "convnet": (
        "--spec 8-pool-8k5s2-drop-fc9 --norm none --drop-prob 0.1 --activation gelu",
        "Conv GELU MaxPool Conv GELU Dropout Affine GELU Dropout Affine",
    ),
    "resnet": (
        "--depth 8 --width 8 --norm group --preactivation",
        "Conv GroupNorm ReLU Residual GroupNorm ReLU Residual GroupNorm ReLU Residual GroupNorm ReLU GlobalAveragePool Affine",
    ),
}


@pytest.mark.parametrize("net", NETS)
def test_every_net_trains_resumes_and_predicts(typed, tmp_path, net):
    options, kinds = NETS[net]
    few = "--epochs 1 --train-samples 60 --val 30 --test 30 --batch-size 20 --out r --no-report -q"
    assert typed("train", "digits", "--model", net, *options.split(), *few.split()) == (0, "", "")
    _, manifest = bp.train.load_run(tmp_path / "r")
    assert " ".join(layer["type"] for layer in manifest["model"]["layers"]) == kinds
    assert manifest["trainer"]["schedule"]["type"] == "schedule.OneCycle"
    assert typed("train", "--resume", "r", "--epochs", 2, "--no-report", "-q") == (0, "", "")
    status, out, _ = typed("evaluate", "r")
    assert (status, "accuracy" in out) == (0, True)
    assert bp.load_model(tmp_path / "r/checkpoint.npz").layers == bp.spec.from_spec(manifest["model"]["layers"])


def test_profile_of_a_net_and_of_a_run(typed):
    status, out, _ = typed(
        "profile", "resnet", "--depth", 8, "--width", 4, "--input", "1x8x8", "--batch", 4, "--rounds", 1
    )
    assert (status, "main.3 Conv" in out, "samples/s" in out) == (0, True, True)
    assert typed("train", "digits", *SMALL, "-q", "--out", "r")[0] == 0
    status, out, _ = typed("profile", "r", "--batch", 8, "--by-time", "--threads", 1)
    assert (status, "Affine" in out, "1 thread" in out) == (0, True, True)


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("train nosuch", 1, "neither a known name"),
        ("train digits --hidden 1,x", 1, "--hidden: expected widths"),
        ("train digits --hidden 0", 1, "width"),
        ("train digits --norm spectral", 1, "--norm: expected one of none, batch, layer"),
        ("profile nosuch", 1, "expected the folder of a run or one of fully-connected"),
        ("profile resnet --input 3,32", 1, "--input: expected sizes"),
        ("train digits --model perceptron", 1, "--model: expected one of fully-connected"),
        ("train digits --model resnet --hidden 10", 1, "--hidden: belongs to --model fully-connected"),
        ("train digits --depth 20", 1, "--depth: belongs to --model vgg, resnet"),
        ("train digits --model resnet --norm layer", 1, "--norm: expected one of none, batch, group"),
        ("train digits --model resnet --depth 21", 1, "depth: expected 18, 34"),
        ("train digits --model convnet --spec 8-pol", 1, "'pol'"),
        ("train digits --activation softplus", 1, "--activation: expected one of relu"),
        ("train digits --optimizer lion", 1, "optimizer: expected one of"),
        ("train digits --optimizer adam:beta=1", 1, "expected options among"),
        ("train digits --optimizer adam:beta1", 1, "name:option=number"),
        ("train digits --schedule step", 1, "every"),
        ("train digits --lr 0", 1, "lr: expected a learning rate"),
        ("train digits --lr nan", 1, "lr: expected a learning rate"),
        ("train digits --drop-prob 1", 1, "drop_prob"),
        ("train digits --loss svm --label-smoothing 0.1", 1, "belongs to --loss softmax"),
        ("train digits --preprocess whiten", 1, "expected one of none, scale"),
        ("train digits --image-size 32", 1, "--image-size: expected height x width"),
        ("train digits --threads 0", 1, "threads"),
        ("train digits --dtype float16", 1, "float32 or float64"),
        ("train digits --monitor f1", 1, "monitor"),
        ("train cifar10 --data-dir nowhere", 1, "backpass data get cifar10"),
        ("train digits --epochs two", 2, "integer"),
        ("train", 2, "name a data set"),
        ("train digits --resume r", 2, "name a data set"),
        ("train --resume nowhere", 1, "found none"),
        ("evaluate nowhere", 1, "found none"),
        ("predict RUN nowhere.png", 1, "found no such file"),
        ("predict RUN notes.txt", 1, "expected a picture"),
        ("predict RUN broken.png", 1, "cannot be read as a picture"),
        ("predict RUN broken.npy", 1, "cannot be read as an array"),
        ("predict RUN wrong.npy", 1, "expected a sample of shape (1, 8, 8)"),
        ("evaluate RUN --split holdout", 1, "expected train, val or test"),
        ("data show nosuch", 1, "neither a known name"),
        ("data get imagenet", 1, "imagenet"),
        ("frobnicate", 2, "frobnicate"),
    ],
)
def test_errors_are_one_clear_line_and_leave_nothing(command, status, words, typed, run, tmp_path):
    for name in ("notes.txt", "broken.png", "broken.npy"):
        (tmp_path / name).write_text("no such thing")
    np.save(tmp_path / "wrong.npy", np.zeros((3, 3)))
    before = sorted(tmp_path.iterdir())
    got, out, err = typed(*[str(run) if word == "RUN" else word for word in command.split()])
    assert got == status
    assert out == ""
    assert words in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    if status == 1:
        assert err.startswith("error: ")
        assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_debug_shows_the_traceback(run):
    with pytest.raises(bp.errors.DataNotFoundError):
        main(["--debug", "train", "nosuch"])


def test_a_defect_is_called_one_and_shows_no_traceback(typed, monkeypatch, run):
    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(bp.train, "load_run", broken)
    status, _, err = typed("evaluate", run)
    assert status == 1
    assert "defect of backpass" in err
    assert "planted" in err


def test_divergence_is_an_error_and_not_a_result(typed):
    status, out, err = typed("train", "digits", "--norm", "none", "--optimizer", "sgd", "--lr", 1000, "--no-report")
    assert status == 1
    assert "diverged at step" in err
    assert "test accuracy" not in out


def test_without_matplotlib_training_works_and_says_so(typed, monkeypatch):
    monkeypatch.setattr(bp.report.html, "find_spec", lambda name: None)
    status, out, _ = typed("train", "digits", "--hidden", 16, "--epochs", 1)
    assert status == 0
    assert "no report: reports need matplotlib" in out
    assert "backpass[plots]" in out
    status, out, err = typed("train", "digits", "--report")
    assert (status, out) == (1, "")
    assert "backpass[plots]" in err


def test_a_reader_that_goes_away_is_no_error():
    made = process("data", "show", "digits")
    made.stdout.close()
    made.wait(timeout=30)
    assert "Traceback" not in made.stderr.read()
    made.stderr.close()
