from __future__ import annotations

import sys

import numpy as np
import pytest

import backpass as bp
from backpass.errors import ArgumentError, MissingExtraError
from backpass.report import figures

CURVES = [figures.loss_curve, figures.accuracy_curve, figures.learning_rate, figures.update_ratio]
HISTOGRAMS = [figures.activation_histograms, figures.gradient_histograms]


def drawn(figure):
    """The picture itself: drawing is where a figure breaks."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


@pytest.mark.parametrize("function", CURVES)
@pytest.mark.parametrize("source", ["run", "folder"])
def test_curves_have_titles_labels_and_data(function, source, run):
    figure = function(run if source == "run" else run.out)
    (axes,) = figure.axes
    assert axes.get_title()
    assert axes.get_xlabel() == "epoch"
    assert axes.get_ylabel()
    assert any(len(line.get_xdata()) for line in axes.lines)
    assert len(np.unique(drawn(figure).reshape(-1, 4), axis=0)) > 10


def test_the_accuracy_curve_shows_the_history_in_percent(run):
    lines = {line.get_label(): line.get_ydata() for line in figures.accuracy_curve(run).axes[0].lines}
    np.testing.assert_allclose(lines["validation"], 100 * np.array(run.history["val_accuracy"]))
    np.testing.assert_allclose(lines["best, kept"], 100 * run.best["val_accuracy"])


def test_a_long_loss_curve_is_drawn_as_mean_and_range(run):
    record = bp.report.record_of(run)
    history = bp.History()
    for step in range(5000):
        history.add_step(1 + (step % 2))
    for epoch in range(1, 6):
        history.add_epoch({"epoch": epoch, "step": 1000 * epoch, "val_loss": 1.5})
    (axes,) = figures.loss_curve(bp.report.Record(history, record.manifest, record.model, None)).axes
    line = axes.lines[0]
    assert len(line.get_xdata()) == figures.BLOCKS
    assert line.get_xdata()[-1] == 5
    assert np.abs(line.get_ydata() - 1.5).max() < 0.05
    assert len(axes.collections) == 1


@pytest.mark.parametrize("function", HISTOGRAMS)
def test_histograms_have_a_panel_for_each_layer_that_computes(function, run):
    figure = function(run)
    assert [axes.get_title(loc="right") for axes in figure.axes] == ["0 Affine", "1 BatchNorm", "2 ReLU", "4 Affine"]
    assert figure.axes[-1].get_xlabel() == "epoch"
    drawn(figure)


def test_histograms_keep_their_counts_when_they_are_brought_to_common_edges():
    counts = np.array([[0, 100, 0, 0], [50, 0, 0, 50]])
    opacity, low, high = figures._over_time(counts, np.array([[0.0, 4.0], [0.0, 8.0]]), bins=8)
    assert (low, high) == (0.0, 8.0)
    np.testing.assert_array_equal(opacity[:, 0] > 0, [0, 1, 0, 0, 0, 0, 0, 0])  # 1 to 2
    np.testing.assert_array_equal(opacity[:, 1] > 0, [1, 1, 0, 0, 0, 0, 1, 1])  # 0 to 2 and 6 to 8


def test_histograms_of_a_run_that_did_not_look_are_an_error(data):
    model = bp.Model([bp.Affine(10)], input_shape=data.shape)
    blind = bp.Trainer(model, data, epochs=1, inspect=False).fit()
    with pytest.raises(ArgumentError, match="inspect=True"):
        figures.activation_histograms(blind)


def test_confusion_matrix_counts_by_true_row_and_predicted_column():
    counts = figures.confusion_counts(np.array([0, 0, 1]), np.array([1, 1, 1]), 2)
    np.testing.assert_array_equal(counts, [[0, 2], [0, 1]])
    figure = figures.confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), ["cat", "dog"])
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "dog"]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {((1, 0), "2"), ((1, 1), "1")}
    drawn(figure)


def test_confusion_matrix_of_many_classes_and_of_an_absent_class():
    y = np.arange(100) % 99  # none of class 99, two of class 0
    figure = figures.confusion_matrix(y, y, [f"a class with a long name {i}" for i in range(100)])
    (axes,) = figure.axes
    opacity = np.ma.getdata(axes.images[0].get_array())[..., 3]  # of a cell: the share of its class that is right
    np.testing.assert_array_equal(opacity, np.diag([1.0] * 99 + [0.0]))
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(names) <= 40
    assert max(map(len, names)) <= 12
    drawn(figure)


@pytest.mark.parametrize("bad", [[0, 1, 2], [0, -1, 1], [0, 1], [0.0, 1.0, 0.0]])
def test_confusion_matrix_refuses_what_is_no_class(bad):
    with pytest.raises(ArgumentError, match="class numbers from 0 to 1"):
        figures.confusion_matrix(np.array([0, 1, 0]), np.array(bad), ["a", "b"])


def test_worst_mistakes_are_the_surest_ones():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9]])
    y = np.array([0, 0, 0, 0])
    np.testing.assert_array_equal(figures.worst(y, probabilities, 2), [3, 1])
    figure = figures.worst_mistakes(np.zeros((4, 3, 6, 5), np.uint8), y, probabilities, ["cat", "dog"])
    assert figure.axes[0].texts[0].get_text() == "cat\nnot dog\n90 % sure"
    assert len(figure.axes[0].images) == 3
    drawn(figure)


def test_worst_mistakes_of_a_perfect_net_say_so():
    figure = figures.worst_mistakes(np.zeros((1, 1, 2, 2)), np.array([0]), np.array([[1.0, 0.0]]), ["a", "b"])
    assert figure.axes[0].get_title() == "No mistakes"
    drawn(figure)


def test_figures_leave_the_state_of_pyplot_alone(run):
    figures.loss_curve(run)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_without_matplotlib_the_error_names_the_extra(run, monkeypatch):
    for name in ("matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"backpass\[plots\]"):
        figures.loss_curve(run)


def test_augmented_samples_shows_pictures_before_and_after():
    data = bp.data.load("digits")
    changes = [bp.data.Flip(), bp.data.Cutout(3)]
    (axes,) = figures.augmented_samples(data, changes, samples=2, epochs=3, seed=4).axes
    shown = [image.get_array() for image in axes.images]  # column by column
    np.testing.assert_allclose(shown[1], data.train.x[1, 0] / 16)
    wanted = bp.data.augmented(data.train.x[:2], changes, seed=4, epoch=2)
    np.testing.assert_allclose(shown[7], wanted[1, 0] / 16)
    assert len(shown) == 8
    drawn(axes.figure)
    with pytest.raises(ArgumentError, match="pictures"):
        figures.augmented_samples(bp.data.load((np.ones((20, 2)), np.arange(20) % 2)), changes)
