"""The one figure style of the book: readable on screen, in print, in dark mode and by colour-blind readers."""

from __future__ import annotations

import base64
import html
import io
import math
import os

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

# The colour set of Okabe and Ito (2008), ordered so that neighbours also differ in lightness when printed grey.
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GREY = "#666666"
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)

# Every line also has its own dash pattern: colour is never the only thing that tells two curves apart.
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), "-")

# Where this is set, described figures are shown as plain ones: a committed notebook keeps its words beside the picture,
# and two machines' pictures can be compared.
PLAIN = "LOSSBOOK_PLAIN_PICTURES"

STYLE: dict[str, object] = {
    "figure.figsize": (7.0, 3.8),
    "figure.dpi": 130,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "image.cmap": "cividis",
    "svg.hashsalt": "lossbook",
}


def use_style() -> None:
    """Make the book's style matplotlib's default for this process."""
    mpl.rcdefaults()
    mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
    mpl.rcParams["axes.prop_cycle"] = cycler(color=COLOURS) + cycler(linestyle=DASHES)


class Described(Figure):
    """A figure that a notebook shows with words for those who cannot see it.

    Jupyter's own way with a picture has no place for words; an image element has.
    """

    words = ""

    def __repr__(self) -> str:
        return super().__repr__().replace(type(self).__name__, "Figure", 1)  # a notebook keeps it as the picture's text

    def draw(self, renderer: RendererBase) -> None:
        """Draw it all. An axis with nothing on it is not logarithmic: matplotlib finds no limits for one."""
        for axes in self.axes:
            for axis, change in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
                empty = min(axis.get_view_interval()) <= 0 and not math.isfinite(axis.get_minpos())
                if axis.get_scale() == "log" and empty:
                    change("linear")
        super().draw(renderer)

    def _ipython_display_(self) -> None:
        if not self.words or os.environ.get(PLAIN):
            raise NotImplementedError  # then IPython shows it in its own way
        from IPython.display import display

        picture = io.BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        data = base64.b64encode(picture.getvalue()).decode()
        element = f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.words)}">'
        display({"text/html": element, "text/plain": self.words}, raw=True)  # type: ignore[no-untyped-call]


def describe(words: str) -> None:
    """Give the figure that was drawn last its alternative text; do nothing where none is drawn.

    Args:
        words: What the figure shows, for those who cannot see it.

    """
    drawn = plt.figure(max(plt.get_fignums())) if plt.get_fignums() else None
    if isinstance(drawn, Described):
        drawn.words = words


def figure(columns: int = 1, *, rows: int = 1, height: float = 3.8, width: float = 7.0) -> tuple[Figure, list[Axes]]:
    """Return a figure in the book's style and its axes as a flat list.

    Args:
        columns: Panels side by side.
        rows: Rows of panels.
        height: Height of the whole figure, in inches.
        width: Width of the whole figure, in inches; 7 is the width of the text.

    """
    use_style()
    drawn, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, FigureClass=Described)
    return drawn, list(axes.flat)
