from __future__ import annotations

import numpy as np
import pytest
from test_figures import drawn

import backpass as bp
from backpass.errors import ArgumentError, ShapeError
from backpass.inspection import layer_outputs
from backpass.report import pictures


def wall_of(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


@pytest.mark.parametrize(
    ("count", "rows", "columns"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (5, 1, 5), (7, 2, 4), (10, 2, 5), (16, 4, 4), (32, 4, 8), (64, 8, 8)],
)
def test_a_grid_has_few_gaps(count, rows, columns):
    assert pictures.grid_shape(count) == (rows, columns)


def test_every_grid_holds_its_tiles_and_is_no_strip():
    for count in range(1, 200):
        rows, columns = pictures.grid_shape(count)
        assert (rows - 1) * columns < count <= rows * columns
        assert rows <= columns


def test_the_size_of_a_wall_by_hand():
    # 7 tiles of 5 x 5 in 2 rows of 4 with 1 pixel between them: 5 + 1 + 5 high, 4 * 5 + 3 wide
    wall = wall_of(pictures.filter_grid(np.ones((7, 1, 5, 5))))
    assert wall.shape == (11, 23, 4)
    assert wall[..., 3].sum() == 7 * 25  # clear between the tiles and in the place that is left over
    # 100 filters: the first 64; a fifteenth of 16 x 16 is 1 pixel: 8 * 16 + 7
    assert wall_of(pictures.filter_grid(np.ones((100, 3, 16, 16)))).shape == (135, 135, 4)


@pytest.mark.parametrize("count", [1, 2, 7, 32, 65])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5)])
def test_any_number_of_filters_channels_and_weights(count, channels, size):
    w = np.random.default_rng(0).normal(size=(count, channels, *size)).astype(np.float32)
    figure = pictures.filter_grid(w)
    if size == (3, 3):
        drawn(figure)
    wall = wall_of(figure)
    assert np.isfinite(wall).all()
    assert (wall.min(), wall.max()) >= (0, 0)
    assert wall.max() <= 1
    tiles = min(count, 64) if channels in (1, 3) else min(count, 16) * min(channels, 16)
    assert wall[..., 3].sum() == tiles * size[0] * size[1]


def test_a_filter_is_scaled_by_itself_and_grey_is_0():
    w = np.zeros((3, 1, 2, 2))
    w[1], w[2, 0] = 7.0, [[-2.0, 0.0], [1.0, 2.0]]
    with np.errstate(all="raise"):
        wall = wall_of(pictures.filter_grid(w))
    np.testing.assert_array_equal(wall[:2, :2, 0], 0.5)  # all zeros
    np.testing.assert_array_equal(wall[:2, 3:5, 0], 1.0)  # constant
    np.testing.assert_array_equal(wall[:2, 6:8, 0], [[0.0, 0.5], [0.75, 1.0]])
    assert wall[0, 2, 3] == 0


def test_three_channels_are_colours_and_two_are_tiles():
    w = np.zeros((2, 3, 1, 1))
    w[0, 0], w[1, 2] = 1, -1
    wall = wall_of(pictures.filter_grid(w))
    np.testing.assert_array_equal(wall[0, 0], [1, 0.5, 0.5, 1])
    np.testing.assert_array_equal(wall[0, 2], [0.5, 0.5, 0, 1])
    w = np.array([[4.0, -1.0], [0.0, 2.0]]).reshape(2, 2, 1, 1)  # a row for each filter, one scale in a row
    np.testing.assert_array_equal(wall_of(pictures.filter_grid(w))[::2, ::2, 0], [[1, 0.375], [0.5, 1]])


@pytest.mark.parametrize("w", [np.ones((3, 3)), np.ones((0, 1, 3, 3)), np.full((1, 1, 2, 2), np.nan)])
def test_what_is_no_filter_is_refused(w):
    with pytest.raises(ArgumentError, match="filter_grid: expected finite weights"):
        pictures.filter_grid(w)


def test_first_layer_weights_of_affine_layers_are_pictures():
    model = bp.Model([bp.Affine(3)], input_shape=(1, 2, 2))
    model.named_params()["0.w"][:, 2] = [-2.0, 0.0, 1.0, 2.0]
    figure = pictures.first_layer_weights(model)
    np.testing.assert_allclose(wall_of(figure)[:2, 6:8, 0], [[0.0, 0.5], [0.75, 1.0]])
    assert figure.axes[0].get_title() == "Weights of the first layer: 3"
    assert not pictures.has_filters(model)


def test_first_layer_weights_of_a_convolution_are_its_filters():
    model = bp.Model([bp.Flatten(), bp.Affine(3)], input_shape=(5, 4, 4))
    assert not pictures.has_picture_weights(model)
    model = bp.Model([bp.ReLU(), bp.Conv(6, 3), bp.Conv(2, 3)], input_shape=(5, 4, 4))
    assert pictures.has_filters(model)
    figure = pictures.first_layer_weights(model)
    assert figure.axes[0].get_title() == "Filters of the first layer: 6 (rows), 5 channels (columns)"
    np.testing.assert_array_equal(wall_of(figure), wall_of(pictures.filter_grid(model.named_params()["1.w"])))


def test_first_layer_weights_need_pictures():
    model = bp.Model([bp.Affine(3)], input_shape=(4,))
    assert not pictures.has_picture_weights(model)
    with pytest.raises(ArgumentError, match="pictures"):
        pictures.first_layer_weights(model)


def trained(net, data, batch=32):
    """A model after a few steps, so that running statistics are not their first values."""
    model = bp.Model(net, input_shape=data.shape)
    model.preprocess = bp.data.Preprocess.fit("per-channel", data.train.x)
    for start in range(0, 4 * batch, batch):
        scores = model.forward(model.preprocess.apply(data.train.x[start : start + batch]))
        _, dscores = bp.softmax_loss(scores, data.train.y[start : start + batch])
        model.backward(dscores)
        model.update()
    return model


NETS = {
    "convnet": lambda: bp.models.convnet("4-pool-6-gap", classes=10, drop_prob=0.5),
    "resnet": lambda: bp.models.resnet(8, classes=10, width=4),
    "batch norm": lambda: bp.models.fully_connected([12], classes=10, norm=bp.BatchNorm(), drop_prob=0.5),
}


@pytest.mark.parametrize("name", NETS)
def test_layer_outputs_end_with_the_scores_of_a_prediction(name, data):
    model = trained(NETS[name](), data)
    outs = layer_outputs(model, data.test.x[:1])
    assert len(outs) == len(model.layers)
    assert all(out.dtype == model.dtype for out in outs)
    np.testing.assert_allclose(outs[-1], model.predict_scores(data.test.x[:1]), rtol=1e-4, atol=1e-5)
    residuals = [out.shape for layer, out in zip(model.layers, outs, strict=True) if isinstance(layer, bp.Residual)]
    assert residuals == ([(1, 4, 8, 8), (1, 8, 4, 4), (1, 16, 2, 2)] if name == "resnet" else [])


@pytest.mark.parametrize("name", NETS)
def test_feature_maps_have_a_row_for_each_layer(name, data):
    model = trained(NETS[name](), data)
    figure = pictures.feature_maps(model, data.test.x[0], max_value=16)
    drawn(figure)
    named = [text.get_text().split("\n")[0] for text in figure.axes[0].texts]
    wanted = [f"{i} {type(layer).__name__}" for i, layer in enumerate(model.layers)]
    wanted = [name for name in wanted if not name.endswith(("Flatten", "Dropout"))]
    assert named == ["the picture", *wanted][: pictures.MOST_PANELS + 1]


def test_feature_maps_show_the_sign_and_the_strength_of_a_layer():
    model = bp.Model([bp.Conv(2, 1, bias=False)], input_shape=(1, 1, 2))
    model.named_params()["0.w"][...] = np.array([1.0, -0.5]).reshape(2, 1, 1, 1)
    picture, blue, orange = pictures.feature_maps(model, np.array([[[0.0, 1.0]]])).axes[0].images
    np.testing.assert_array_equal(picture.get_array()[..., 0], [[0, 1]])
    np.testing.assert_array_equal(blue.get_array()[0, 0], [1, 1, 1])  # 0 is white
    np.testing.assert_allclose(blue.get_array()[0, 1], pictures._rgb(pictures.BLUE), atol=0.03)
    half = (1 + np.array(pictures._rgb(pictures.ORANGE))) / 2
    np.testing.assert_allclose(orange.get_array()[0, 1], half, atol=0.03)


def test_feature_maps_of_a_deep_net_leave_layers_out_but_not_the_last():
    model = bp.Model(bp.models.resnet(20, classes=10, width=4), input_shape=(3, 8, 12))
    texts = pictures.feature_maps(model, np.zeros((3, 8, 12))).axes[0].texts
    assert len(texts) == 1 + pictures.MOST_PANELS
    assert texts[1].get_text() == "0 Conv\n4, 8 x 12"
    assert texts[-1].get_text() == "22 Affine\n10 values"


def test_feature_maps_refuse_what_the_model_does_not_take(data):
    model = trained(NETS["convnet"](), data)
    with pytest.raises(ArgumentError, match=r"one picture \(C, H, W\)"):
        pictures.feature_maps(model, data.test.x[:1])
    with pytest.raises(ShapeError, match="expected"):
        pictures.feature_maps(model, np.zeros((1, 9, 9)))


def test_the_lesson_by_hand():
    x = np.zeros((1, 3, 5, 5))
    x[0, 1, 2, 2] = 255  # one green pixel
    axes = pictures.image_filters(x, max_value=255).axes[0]
    picture, grey, edges, blur = (image.get_array() for image in axes.images)
    np.testing.assert_array_equal(picture[2, 2], [0, 1, 0])
    np.testing.assert_allclose(grey[2, 2], 0.587, rtol=1e-6)
    np.testing.assert_allclose(edges[1:4, 1:4] - 0.5, 0.587 * pictures.EDGES, atol=1e-6)
    np.testing.assert_allclose(blur[1:4, 1:4], 0.587 * pictures.BLUR, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_even_picture_has_no_edges_not_even_at_its_border(channels):
    axes = pictures.image_filters(np.full((2, channels, 4, 6), 3.0), max_value=4).axes[0]
    drawn(axes.figure)
    for image, value in zip(axes.images[2:], [0.75] * 2 + [0.5] * 2 + [0.75] * 2, strict=True):
        np.testing.assert_allclose(image.get_array(), value, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 2, 8, 8), (0, 1, 8, 8)])
def test_the_lesson_refuses_what_is_no_picture(shape):
    with pytest.raises(ArgumentError, match=r"pictures \(N, C, H, W\)"):
        pictures.image_filters(np.zeros(shape))
