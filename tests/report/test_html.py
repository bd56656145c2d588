from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import backpass as bp
from backpass.errors import ArgumentError, CheckpointError, MissingExtraError
from backpass.report import html

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Text, attributes and pictures of a page; every element must be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


@pytest.fixture(scope="module")
def page(run):
    path = bp.report.write_report(run)
    assert path == run.out / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_opens_with_the_result_in_words(page, run, data):
    accuracy = bp.evaluate(run.model, data.test)["accuracy"]
    (headline,) = [text for text in page.text if text.startswith("digits:")][-1:]
    assert f"{100 * accuracy:.1f} % of the test samples right" in headline
    words = " ".join(" ".join(page.text).split())
    assert f"{round(300 * accuracy)} of 300 test samples" in words
    assert f"The best epoch was {run.best['epoch']} of 3" in words
    assert "a b" in words  # the command line, quoted
    assert run.trainer.manifest()["data"]["fingerprint"] in words


def test_the_page_has_every_section_in_order(page):
    sections = [attrs["id"] for attrs in page.all("section")]
    assert sections == ["curves", "health", "layers", "answers", "mistakes", "net", "settings"]


def test_the_page_needs_no_network(page):
    for tag, attrs in page.seen:
        assert tag not in ("link", "script", "iframe")
        for name in ("src", "href", "xlink:href", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:image/"))
    assert "@import" not in "".join(page.text)


def test_every_picture_decodes_and_is_described(page, run, data):
    pictures = page.all("img")
    wrong = (run.model.predict(data.test.x) != data.test.y).sum()
    assert len(pictures) == min(wrong, html.MISTAKES) > 0
    for attrs in [*pictures, *page.all("image")]:
        source = attrs.get("src") or attrs["xlink:href"]
        kind, _, encoded = source.partition(";base64,")
        assert kind == "data:image/png"
        image = Image.open(io.BytesIO(base64.b64decode(re.sub(r"\s", "", encoded), validate=True)))
        image.load()
    assert all("taken for" in attrs["alt"] for attrs in pictures)
    drawings = page.all("svg")
    assert len(drawings) == 8
    assert all(attrs["role"] == "img" and attrs["aria-label"].endswith(".") for attrs in drawings)


def test_names_inside_the_page_are_unique(page):
    names = [attrs["id"] for _, attrs in page.seen if "id" in attrs]
    assert len(names) == len(set(names))


def test_the_page_fits_telephones_and_dark_screens(run, page):
    text = (run.out / "report.html").read_text(encoding="utf-8")
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert "prefers-color-scheme: dark" in text
    assert html.figures.INK not in text.partition("<body>")[2]  # figures take the page's colours


def test_the_figures_lie_beside_it_as_png(page, run):
    assert not [name for name in ("filters", "maps") if (run.out / f"{name}.png").exists()]  # it convolves nothing
    for name in set(html.FIGURES) - {"filters", "maps"}:
        with Image.open(run.out / f"{name}.png") as image:
            image.load()
            assert min(image.size) > 300


def test_a_net_that_convolves_has_its_filters_and_feature_maps(tmp_path, data):
    model = bp.Model(bp.models.three_layer_convnet(classes=10, filters=6, kernel_size=3), input_shape=data.shape)
    run = bp.Trainer(model, data, epochs=1, out=tmp_path / "r").fit()
    page = Page(bp.report.write_report(run).read_text(encoding="utf-8"))
    sections = [attrs["id"] for attrs in page.all("section")]
    assert sections == ["curves", "health", "layers", "filters", "maps", "answers", "mistakes", "net", "settings"]
    names = [attrs["id"] for _, attrs in page.seen if "id" in attrs]
    assert len(names) == len(set(names))
    assert {"filters.png", "maps.png"} <= {path.name for path in run.out.glob("*.png")}
    assert not (run.out / "weights.png").exists()


def test_a_folder_gives_the_same_page_as_the_live_run(page, run):
    text = bp.report.write_report(run.out).read_text(encoding="utf-8")
    assert Page(text).text == page.text


def test_other_data_is_refused(run):
    with pytest.raises(ArgumentError, match="expected the data of the run"):
        bp.report.write_report(run, bp.data.load("digits", train=100))


def test_a_run_in_memory_has_no_place_for_a_report(data):
    run = bp.Trainer(bp.Model([bp.Affine(10)], input_shape=data.shape), data, epochs=1).fit()
    with pytest.raises(ArgumentError, match="out="):
        bp.report.write_report(run)


def test_no_run_in_the_folder(tmp_path):
    with pytest.raises(CheckpointError, match="found none"):
        bp.report.write_report(tmp_path)


def test_names_from_data_cannot_inject_markup(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 4)), np.repeat([0, 1], 60)
    data = bp.data.load((x, y), classes=["<script>alert(1)</script>", "a & b"])
    run = bp.Trainer(bp.Model([bp.Affine(2)], (4,)), data, epochs=1, out=tmp_path / "r").fit()
    page = Page(bp.report.write_report(run).read_text(encoding="utf-8"))
    assert not page.all("script")
    assert "<script>alert(1)</script>" in "".join(page.text)
    assert "mistakes" not in [attrs["id"] for attrs in page.all("section")]  # no pictures


def test_a_run_stopped_within_its_first_epoch_and_without_a_test_split(tmp_path, data):
    class Stop(bp.Callback):
        def step(self, run):
            run.stop("enough")

    few = bp.data.load("digits", test=0)
    model = bp.Model([bp.Affine(10)], input_shape=data.shape)
    run = bp.Trainer(model, few, epochs=2, out=tmp_path / "r", callbacks=[Stop()]).fit()
    page = Page(bp.report.write_report(run).read_text(encoding="utf-8"))
    words = " ".join(" ".join(page.text).split())
    assert "of the validation samples right" in words
    assert "It was stopped early: enough" in words
    assert "Too early" in words


def test_without_matplotlib_or_jinja_the_error_names_the_extra(run, monkeypatch):
    monkeypatch.setattr(html, "find_spec", lambda name: None if name == "jinja2" else object())
    with pytest.raises(MissingExtraError, match=r"jinja2; type: pip install 'backpass\[plots\]'"):
        bp.report.write_report(run)
