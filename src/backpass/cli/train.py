"""`backpass train`: train a net, or go on with a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import threads as threads_in_use
from ..data import load
from ..data.augment import from_text
from ..errors import MissingExtraError
from ..model import Model
from ..report import require_plots, write_report
from ..train import CHECKPOINT, Run, Trainer, evaluate, load_data, load_run
from ..words import about, brief, count, label, percent
from . import choices
from .console import say
from .recipes import Recipe, default, recipe_of

DATA, NET, TRAINING, OUTPUT = "Data", "Net", "Training", "Output"
FIELDS = {field.name for field in fields(Recipe)}
WITH_RESUME = ("resume", "epochs", "threads", "data_dir", "report", "quiet")
EXIT_STATUS = {"by SIGINT": 130, "by SIGTERM": 143}  # 128 + the signal's number, as shells have it


def _option(panel: str, text: str, *names: str, recipe: str = "", **more: Any) -> Any:
    if recipe:
        more["show_default"] = default(recipe)
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def train(
    ctx: typer.Context,
    data: Annotated[
        str | None, typer.Argument(help="digits, cifar10, mnist, fashion-mnist, a folder of pictures, or an .npz file.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, to the last bit as if it had never stopped.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A whole training instead of the data set's defaults: fast is the net that learns CIFAR-10 in about ten epochs."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, _option(DATA, "Folder to look for the named data set in, before BACKPASS_DATA and the cache.")
    ] = None,
    val: Annotated[
        float | None, _option(DATA, "Validation samples: a count, or a fraction below 1.", show_default="as published")
    ] = None,
    test: Annotated[
        float | None, _option(DATA, "Test samples: a count, or a fraction below 1.", show_default="as published")
    ] = None,
    train_samples: Annotated[
        float | None, _option(DATA, "Training samples: a count, or a fraction below 1.", show_default="all")
    ] = None,
    image_size: Annotated[
        str | None, _option(DATA, "Height x width in pixels that a folder's pictures are resized to, such as 32x32.")
    ] = None,
    grey: Annotated[bool, _option(DATA, "Read a folder's pictures in grey.", "--grey")] = False,
    preprocess: Annotated[
        str | None,
        _option(
            DATA,
            "none, scale, mean-image, per-channel, standardise, pca or zca; kept with the net.",
            recipe="preprocess",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        _option(
            DATA,
            "What is done to training pictures, in this order: flip, alternating-flip, translate:2, translate:4:zero (a random "
            "crop), cutout:8, brightness:0.2, contrast:0.2; several with commas between.",
            recipe="augment",
        ),
    ] = None,
    model: Annotated[
        str | None,
        _option(NET, "fully-connected, three-layer-convnet, convnet, vgg or resnet.", recipe="model"),
    ] = None,
    spec: Annotated[
        str | None,
        _option(
            NET,
            "Words of a convnet: 64x2 two 3x3 convolutions of 64 filters, 64k5s2 a 5x5 one with stride 2, pool, avg, gap, fc100, "
            "drop.",
            recipe="spec",
        ),
    ] = None,
    depth: Annotated[
        int | None,
        _option(
            NET, "Layers of a vgg (11, 13, 16, 19) or a resnet (18, 34, or 6n + 2).", show_default="vgg 16, resnet 20"
        ),
    ] = None,
    width: Annotated[
        int | None, _option(NET, "Filters of a resnet's first stage.", show_default="16, or 64 for depth 18 and 34")
    ] = None,
    preactivation: Annotated[
        bool, _option(NET, "Norm and relu before the convolutions of a resnet.", "--preactivation")
    ] = False,
    hidden: Annotated[
        str | None,
        _option(
            NET,
            "Widths of the hidden layers, such as 100,100; 'none' for a linear classifier. Of the groups, for --recipe fast.",
            recipe="hidden",
        ),
    ] = None,
    norm: Annotated[
        str | None,
        _option(
            NET,
            "Norm before each activation: batch, layer or none; with convolutions batch, group (8 groups) or none.",
            recipe="norm",
        ),
    ] = None,
    activation: Annotated[
        str | None, _option(NET, "relu, leaky-relu, elu, gelu, sigmoid, tanh or swish.", recipe="activation")
    ] = None,
    drop_prob: Annotated[
        float | None,
        _option(
            NET,
            "Chance of a hidden activation to be zeroed in training, in [0, 1); a convnet has it at drop and before the scores.",
            recipe="drop_prob",
        ),
    ] = None,
    init: Annotated[
        str | None, _option(NET, "First weights: he, glorot, orthogonal, or normal:scale=0.01.", recipe="init")
    ] = None,
    dtype: Annotated[str, _option(NET, "float32 or float64.")] = "float32",
    optimizer: Annotated[
        str | None,
        _option(
            TRAINING,
            "sgd, momentum, nesterov, adagrad, rmsprop, adam or adamw; options follow a colon: momentum:momentum=0.95.",
            recipe="optimizer",
        ),
    ] = None,
    lr: Annotated[
        float | None, _option(TRAINING, "Learning rate; that of the optimizer, if you name another one.", recipe="lr")
    ] = None,
    weight_decay: Annotated[float | None, _option(TRAINING, "Weight decay of adamw.", recipe="weight_decay")] = None,
    schedule: Annotated[
        str | None,
        _option(
            TRAINING,
            "constant, cosine, step:every=0.3,gamma=0.1, exponential:gamma=0.9,every=100, triangular or one-cycle; lengths "
            "in steps, or fractions of the run below 1.",
            recipe="schedule",
        ),
    ] = None,
    warmup: Annotated[
        float | None, _option(TRAINING, "Linear warm-up, in steps, or a fraction of the run below 1.", recipe="warmup")
    ] = None,
    loss: Annotated[str | None, _option(TRAINING, "softmax or svm; mse for real targets.", recipe="loss")] = None,
    label_smoothing: Annotated[
        float | None, _option(TRAINING, "Of the softmax loss, in [0, 1).", recipe="label_smoothing")
    ] = None,
    reg: Annotated[
        float | None, _option(TRAINING, "L2 regularisation of the weights: adds 0.5 reg w².", recipe="reg")
    ] = None,
    average: Annotated[
        str | None,
        _option(
            TRAINING,
            "Evaluate, keep and predict with an average over the steps: ema:decay=0.999, lookahead:every=5,decay=0.5, or none.",
            recipe="average",
        ),
    ] = None,
    frozen: Annotated[
        list[str] | None,
        _option(
            TRAINING, "Parameters that are not trained: a name (0.w), a layer (0) or a group (gamma); may be repeated."
        ),
    ] = None,
    clip_norm: Annotated[
        float | None, _option(TRAINING, "Scale the gradient down to this norm where it is larger.")
    ] = None,
    epochs: Annotated[
        int | None,
        _option(
            TRAINING, "How often to go through the training samples; with --resume the new total.", recipe="epochs"
        ),
    ] = None,
    batch_size: Annotated[int | None, _option(TRAINING, "Samples in a step.", recipe="batch_size")] = None,
    monitor: Annotated[
        str | None,
        _option(
            TRAINING,
            "What says which epoch is best: val_accuracy, val_loss, train_accuracy or train_loss.",
            recipe="monitor",
        ),
    ] = None,
    patience: Annotated[int | None, _option(TRAINING, "Stop after so many epochs without a new best.")] = None,
    seed: Annotated[int, _option(TRAINING, "Decides the first weights, the order of the samples, and dropout.")] = 0,
    threads: Annotated[
        int | None, _option(TRAINING, "Threads of the kernels; results do not depend on it.", show_default="all cores")
    ] = None,
    out: Annotated[
        Path | None,
        _option(OUTPUT, "Folder for checkpoint, history and report.", show_default="runs/NAME, or runs/NAME-2 ..."),
    ] = None,
    overwrite: Annotated[bool, _option(OUTPUT, "Replace the run that is in the folder.", "--overwrite")] = False,
    save_every_s: Annotated[float, _option(OUTPUT, "Seconds between checkpoints.")] = 30.0,
    report: Annotated[
        bool | None,
        _option(OUTPUT, "Write report.html at the end.", "--report/--no-report", show_default="if matplotlib is there"),
    ] = None,
    quiet: Annotated[bool, _option(OUTPUT, "Print nothing but errors.", "--quiet", "-q")] = False,
) -> None:
    """Train a net, and write its checkpoint, history and report.

    The defaults suit the data set. Ctrl-C finishes the step, saves, and says how to go on.

    [bold]Examples[/bold]

    backpass train digits

    backpass train cifar10 --data-dir DIR --hidden 512,256,128 --norm batch --drop-prob 0.3 --epochs 20

    backpass train cifar10 --model resnet --depth 20 --epochs 20

    backpass train cifar10 --recipe fast

    backpass train cifar10 --model convnet --spec 32-pool-64-pool-128-pool-256-gap

    backpass train pictures/ --image-size 32x32 --optimizer momentum --lr 0.05 --schedule one-cycle

    backpass train --resume runs/digits --epochs 40
    """
    from .. import set_threads
    from ..progress import Progress

    typed = _typed(ctx)
    if (data is None) == (resume is None):
        raise typer.BadParameter(
            "name a data set to train on (backpass train digits), or a run to go on with (--resume runs/digits)"
        )
    if fixed := sorted(set(typed) - set(WITH_RESUME)) if resume else []:
        raise typer.BadParameter(
            f"{_options(fixed)}: a resumed run keeps its settings; only {_options(WITH_RESUME[1:])} go with --resume"
        )
    if report:
        require_plots()
    if threads is not None:
        set_threads(threads)

    callbacks = [] if quiet else [Progress()]
    if resume is not None:
        trainer = _resumed(resume, data_dir, epochs, callbacks)
    else:
        loaded = load(
            str(data),
            data_dir=data_dir,
            train=choices.size(train_samples),
            val=choices.size(val),
            test=choices.size(test),
            image_size=choices.pixels(image_size),
            channels=1 if grey else None,
        )
        kept: dict[str, Any] = {
            "seed": seed,
            "out": out or _free_folder(Path("runs") / loaded.name),
            "overwrite": overwrite,
            "patience": patience,
            "save_every_s": save_every_s,
            "callbacks": callbacks,
            "note": {"command": ["backpass", *sys.argv[1:]]},
        }
        if recipe is not None:
            trainer = choices.recipe(recipe, loaded, typed, kept)
        else:
            defaults = recipe_of(loaded.name, typed.get("model"))
            chosen = replace(defaults, **{name: typed[name] for name in typed if name in FIELDS})
            outputs = len(loaded.classes)
            if loaded.has_targets:
                outputs = loaded.train.y.shape[1]
                monitor = chosen.monitor.replace("accuracy", "loss")
                chosen = replace(chosen, loss=typed.get("loss", "mse"), monitor=monitor)
            preprocessing = loaded.fit_preprocess(chosen.preprocess)
            shape = preprocessing.output_shape(loaded.shape)
            trainer = Trainer(
                Model(choices.layers(chosen, outputs, typed), input_shape=shape, seed=seed, dtype=dtype),
                loaded,
                optimizer=choices.optimizer(chosen, typed, defaults),
                loss=choices.loss(chosen, typed),
                schedule=choices.schedule(chosen),
                epochs=chosen.epochs,
                batch_size=chosen.batch_size,
                reg=chosen.reg,
                clip_norm=clip_norm,
                preprocess=preprocessing,
                augment=from_text(chosen.augment),
                average=choices.average(chosen),
                frozen=frozen or (),
                monitor=chosen.monitor,
                **kept,
            )
        assert trainer.out is not None
        (trainer.out / "report.html").unlink(missing_ok=True)  # it showed the run that is replaced
    if not quiet:
        say(str(trainer.data), style="bold")
        say(trainer.model.summary(trainer.batch_size))
        say(_settings(trainer))
    if trainer.run.status != "running" and not quiet:
        again = f"--resume {trainer.out} --epochs {trainer.epochs + 10}"
        say(f"this run has ended already ({trainer.run.status}); to train on, give more epochs: backpass train {again}")
    run = trainer.fit()
    if run.status == "interrupted":
        if not quiet:
            say(f"saved; go on with: backpass train --resume {run.out}")
        raise typer.Exit(EXIT_STATUS.get(run.reason, 1))
    if not quiet:
        _tell_result(run)
    _report(run, wanted=report, quiet=quiet)


def _typed(ctx: typer.Context) -> dict[str, Any]:
    """Return the parameters that the user has typed."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name: ctx.params[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _options(names: Sequence[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)


def _resumed(folder: Path, data_dir: Path | None, epochs: int | None, callbacks: list[Any]) -> Trainer:
    _, manifest = load_run(folder)
    data = load_data(manifest["data"], folder, data_dir=data_dir)
    return Trainer.resume(folder, data, epochs=epochs, callbacks=callbacks)


def _free_folder(folder: Path) -> Path:
    """Return the folder, or the first of folder-2, folder-3 ... without a run in it."""
    free, number = folder, 1
    while (free / CHECKPOINT).exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _settings(trainer: Trainer) -> str:
    parts = ", ".join(map(brief, (trainer.optimizer, trainer.schedule, trainer.loss, *trainer.augment)))
    parts += f", {brief(trainer.average)}" if trainer.average else ""
    return (
        f"{parts}; {count(trainer.epochs, 'epoch')} of "
        f"{count(trainer.steps_per_epoch, 'step')}, batch {trainer.batch_size}, seed {trainer.seed}, "
        f"{count(threads_in_use(), 'thread')}, folder {trainer.out}"
    )


def _tell_result(run: Run) -> None:
    trainer = run.trainer
    name = "test" if len(trainer.data.test) else "validation"
    split = trainer.data.test if len(trainer.data.test) else trainer.data.val
    best = f"epoch {run.best['epoch']}, the best by {label(trainer.monitor)}" if run.best else "no epoch has ended"
    if len(split):
        result = evaluate(run.model, split, trainer.loss)
        if "r2" in result:
            say(f"{name} loss {about(result['loss'])}, r2 {about(result['r2'])} ({best})", style="bold green")
            return
        right = round(result["accuracy"] * len(split))
        say(
            f"{name} accuracy {percent(result['accuracy'])} ({right:,} of {len(split):,} right; {best})",
            style="bold green",
        )


def _report(run: Run, *, wanted: bool | None, quiet: bool) -> None:
    """Write the report; without matplotlib only if it was asked for."""
    if wanted is False:
        return
    try:
        require_plots()
    except MissingExtraError as error:
        if wanted:
            raise
        if not quiet:
            say(f"no report: {error}")
        return
    path = write_report(run)
    if not quiet:
        say(f"report: {path}")
