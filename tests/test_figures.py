"""The one figure style: the same for every figure, and told apart without colour."""

import base64
import xml.etree.ElementTree as ET

import matplotlib
import matplotlib.pyplot as plt
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lossbook import figures
from lossbook.notebooks import kernels
from lossbook.notebooks.execute import execute

matplotlib.use("Agg")


def luminance(colour):
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def test_a_figure_has_the_panels_asked_for():
    drawn, axes = figures.figure(2, rows=2, height=5)
    assert len(axes) == 4
    assert drawn.get_size_inches().tolist() == [7.0, 5.0]
    plt.close(drawn)


def test_lines_differ_in_dash_and_not_in_colour_alone():
    drawn, (axes,) = figures.figure()
    lines = [axes.plot([0, 1], [i, i])[0] for i in range(5)]
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in lines}) == 5
    assert len({line.get_color() for line in lines}) == 5
    plt.close(drawn)


@pytest.mark.parametrize("colour", [figures.BLUE, figures.VERMILION, figures.GREEN, figures.GREY])
def test_line_colours_stand_out_from_the_page(colour):
    """Contrast of at least 3 to 1 against white, as WCAG 2.1 asks of graphics."""
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_the_ground_is_opaque_so_that_dark_mode_does_not_swallow_the_labels():
    drawn, _ = figures.figure()
    assert drawn.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    plt.close(drawn)


# Words for those who cannot see it


def test_kernels_show_described_figures_as_plain_ones():
    assert kernels.ENVIRONMENT[figures.PLAIN] == "1"


LIVE = """\
import os
os.environ["LOSSBOOK_PLAIN_PICTURES"] = {plain!r}
from lossbook.figures import describe, figure
drawn, (axes,) = figure(height=2)
_ = axes.plot([0, 1], [0, 1])
describe({words!r})
"""
WORDS = 'A "line" that rises from 0 to 1 & < 2'


def shown(plain, words=WORDS):
    """Return what a kernel sends to show a figure."""
    nb = new_notebook(cells=[new_code_cell(LIVE.format(plain=plain, words=words))])
    execute(nb)
    (output,) = nb.cells[0].outputs
    return output.data


def test_a_live_figure_is_an_image_with_its_words():
    data = shown("")
    assert data.keys() == {"text/html", "text/plain"}
    assert data["text/plain"] == WORDS
    (image,) = ET.fromstring(f"<p>{data['text/html'].removesuffix('>')}/></p>")
    assert image.get("alt") == WORDS
    assert base64.b64decode(image.get("src").removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


@pytest.mark.parametrize(("plain", "words"), [("1", WORDS), ("", "")], ids=["for a file", "not described"])
def test_a_figure_for_a_file_or_without_words_is_shown_as_ever(plain, words):
    assert shown(plain, words).keys() == {"image/png", "text/plain"}


def test_the_figure_drawn_last_is_described_and_nothing_where_there_is_none():
    plt.close("all")
    figures.describe("nothing is drawn")
    assert plt.get_fignums() == []
    first, _ = figures.figure()
    last, _ = figures.figure()
    figures.describe("the last")
    assert (first.words, last.words) == ("", "the last")
    plt.close("all")
    plt.figure()
    figures.describe("a figure of matplotlib's own")
    plt.close("all")


def test_it_is_told_in_a_notebook_as_any_figure():
    drawn, _ = figures.figure(2, height=3)
    assert repr(drawn) == "<Figure size 910x390 with 2 Axes>"
    plt.close(drawn)


@pytest.mark.parametrize("level", [None, 100.0])
def test_logarithmic_axes_without_a_number_are_drawn(level):
    drawn, (left, right) = figures.figure(2)
    for axes in (left, right):
        axes.plot([1, 2], [float("nan")] * 2, marker="o")
        axes.set(xscale="log", yscale="log")
    if level:
        right.axhline(level)
    drawn.canvas.draw()
    plt.close(drawn)


def test_logarithmic_axes_stay_so_where_there_are_numbers():
    drawn, (axes,) = figures.figure()
    axes.plot([1, 2, 30], [float("nan"), 5, 600])
    axes.set(xscale="log", yscale="log")
    drawn.canvas.draw()
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    plt.close(drawn)
