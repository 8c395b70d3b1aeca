"""The one figure style: the same for every figure, and told apart without colour."""

import matplotlib
import matplotlib.pyplot as plt
import pytest

from lossbook import figures

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
