"""The table as a picture and as text: what to look at, and the same in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lossbook.figures import BLUE, GREY, ORANGE, PURPLE, SKY, VERMILION, figure
from lossbook.stability.entries import DTYPES, FORMS, entries
from lossbook.stability.table import Row
from lossbook.stability.verdicts import Verdict

# A mark, its ground and its own colour: the marks alone tell all verdicts apart.
MARKS = {
    Verdict.RIGHT: ("∙", "white", GREY),
    Verdict.NAN: ("×", "black", "white"),
    Verdict.OVERFLOW: ("∞", VERMILION, "black"),
    Verdict.CLAMPED: ("⊤", SKY, "black"),
    Verdict.UNDERFLOW: ("0", BLUE, "white"),
    Verdict.CANCELLATION: ("≈", ORANGE, "black"),
    Verdict.WRONG_GRADIENT: ("≠", PURPLE, "black"),
}
MEANING = {
    Verdict.RIGHT: "right",
    Verdict.NAN: "nan",
    Verdict.OVERFLOW: "infinite, the truth is not",
    Verdict.CLAMPED: "held at a bound",
    Verdict.UNDERFLOW: "0, the truth is not",
    Verdict.CANCELLATION: "value: digits lost",
    Verdict.WRONG_GRADIENT: "gradient: digits wrong",
}
DTYPE_NAMES = tuple(str(dtype).removeprefix("torch.") for dtype in DTYPES)
SHORT = {"float64": "64", "float32": "32", "float16": "16", "bfloat16": "b16"}

CELL = 0.2  # inches: the side of half a cell
LABEL = 2.0  # inches for the names of the inputs
GAP = 0.1  # inches between the forms
HEADING = 0.3  # inches above the inputs of a loss
HEADER, FOOTER = 0.66, 0.56  # inches for the names of the columns, and for the legend
BLOCK = len(DTYPES) * 2 * CELL  # inches for one form
WIDTH = LABEL + len(FORMS) * BLOCK + (len(FORMS) - 1) * GAP
MARGIN = 0.03  # inches, right and left
SMALL, TINY = 8.5, 7.5  # points


def draw(rows: Sequence[Row]) -> Figure:
    """Draw the table: a line for each input, a block for each form, and in it two cells for each dtype.

    The left one of the two is the value's verdict, the right one the gradient's.

    Args:
        rows: Rows of ``table``, all of them for each input drawn.

    Raises:
        ValueError: There are no rows.

    """
    if not rows:
        raise ValueError("there are no rows to draw")
    cells = {(row.loss, row.case, row.form, row.dtype): row for row in rows}
    headings = {row.loss: row.paper for row in rows}
    cases = _cases(rows)
    height = HEADER + FOOTER + sum(HEADING + CELL * len(labels) for labels in cases.values())
    drawn, (axes,) = figure(height=height, width=WIDTH + 2 * MARGIN)
    drawn.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set(xlim=(-MARGIN, WIDTH + MARGIN), ylim=(height, 0))  # in inches, downwards
    axes.axis("off")

    _draw_header(axes)
    top = HEADER
    for loss, labels in cases.items():
        axes.text(0, top + HEADING - 0.05, loss, weight="bold", fontsize=SMALL, va="bottom")
        axes.text(WIDTH, top + HEADING - 0.05, f"on paper: {headings[loss]}", fontsize=TINY, va="bottom", ha="right")
        top += HEADING
        for label in labels:
            axes.text(0, top + CELL / 2, label, fontsize=TINY, va="center")
            for form in FORMS:
                for dtype in DTYPE_NAMES:
                    row = cells.get((loss, label, form, dtype))
                    if row is None:
                        continue  # PyTorch has no such loss
                    left = _left(form, dtype)
                    _draw_mark(axes, left, top, row.of_value)
                    _draw_mark(axes, left + CELL, top, row.of_gradient)
            top += CELL
        for form in FORMS:
            _draw_frame(axes, form, top - CELL * len(labels), top)
    _draw_legend(axes, top + 0.14)
    return drawn


def alternative(chapter: str) -> str:
    """Return the words that stand for a chapter's picture. They say how it is laid out, not what was found.

    The page's own alternative text is this one; what was found is in ``findings``, which a cell prints below it.
    """
    chosen = [entry for entry in entries() if entry.chapter == chapter]
    names = "; ".join(entry.name for entry in chosen)
    theirs = "PyTorch's" if all(entry.pytorch for entry in chosen) else "PyTorch's, where it has the loss"
    return (
        f"A table of marks. Its lines are extreme inputs of: {names}. Its columns are each loss "
        f"on paper, ours and {theirs}, each in {', '.join(DTYPE_NAMES[:-1])} and {DTYPE_NAMES[-1]}, with one mark for "
        "the value and one for the gradient. A dot is right; every other mark is a way to be wrong, and the text below "
        "counts them."
    )


def findings(rows: Sequence[Row]) -> str:
    """Say in words what the table shows: how often each form is wrong, where ours is and why, where PyTorch's differs.

    Args:
        rows: Rows of ``table``.

    """
    cases = _cases(rows)
    width = max(len(loss) for loss in cases)
    lines = [f"{'cells that are not right':<{width}}   {'of':>4}" + "".join(f"{form:>10}" for form in FORMS)]
    for loss in cases:
        mine = [row for row in rows if row.loss == loss]
        counts = "".join(f"{wrong(mine, form) if cells(mine, form) else '–':>10}" for form in FORMS)
        lines.append(f"{loss:<{width}}   {cells(mine, FORMS[0]):>4}{counts}")
    left = [line for loss, labels in cases.items() for line in _left_in_ours(loss, labels, rows)]
    if left:
        lines += ["", "Not right in ours:", *left]
    if not cells(rows, FORMS[2]):
        return "\n".join([*lines, "", "PyTorch has no such loss."])
    other = _pytorch_differs(rows)
    lines += ["", "PyTorch's verdicts " + ("differ from ours:" if other else "are the same as ours, in every cell.")]
    return "\n".join(lines + other)


def cells(rows: Sequence[Row], form: str) -> int:
    """Return how many verdicts there are on a form: one for each value and one for each gradient."""
    return sum(2 for row in rows if row.form == form)


def wrong(rows: Sequence[Row], form: str) -> int:
    """Return how many verdicts on a form are not ``RIGHT``."""
    mine = [row for row in rows if row.form == form]
    return sum(verdict is not Verdict.RIGHT for row in mine for verdict in (row.of_value, row.of_gradient))


def _cases(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the labels of each loss's inputs, in the table's order."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row.loss, {})[row.case] = None
    return {loss: list(labels) for loss, labels in found.items()}


def _left(form: str, dtype: str) -> float:
    """Return where the two cells of a form and a dtype begin, in inches."""
    return LABEL + FORMS.index(form) * (BLOCK + GAP) + DTYPE_NAMES.index(dtype) * 2 * CELL


def _draw_mark(axes: Axes, left: float, top: float, verdict: Verdict) -> None:
    """Draw one verdict in its half cell."""
    mark, ground, ink = MARKS[verdict]
    if verdict is not Verdict.RIGHT:
        axes.add_patch(Rectangle((left, top), CELL, CELL, facecolor=ground, edgecolor="white", linewidth=0.8))
    aligned = "center" if verdict is Verdict.RIGHT else "center_baseline"
    axes.text(left + CELL / 2, top + CELL / 2, mark, color=ink, fontsize=9, ha="center", va=aligned)


def _draw_frame(axes: Axes, form: str, top: float, bottom: float) -> None:
    """Frame one form of one loss, and rule off its dtypes."""
    left = _left(form, DTYPE_NAMES[0])
    axes.add_patch(Rectangle((left, top), BLOCK, bottom - top, fill=False, edgecolor=GREY, linewidth=0.8))
    for dtype in DTYPE_NAMES[1:]:
        axes.plot([_left(form, dtype)] * 2, [top, bottom], color="#BBBBBB", linestyle="-", linewidth=0.8)


def _draw_header(axes: Axes) -> None:
    """Name the columns: the form, the dtype, and the value (ℓ) or the gradient (∂)."""
    for form in FORMS:
        middle = _left(form, DTYPE_NAMES[0]) + BLOCK / 2
        axes.text(middle, 0.05, form, ha="center", va="top", fontsize=10, weight="bold")
        for dtype in DTYPE_NAMES:
            left = _left(form, dtype)
            axes.text(left + CELL, 0.27, SHORT[dtype], ha="center", va="top", fontsize=SMALL)
            for offset, name in ((0.5, "ℓ"), (1.5, "∂")):
                axes.text(left + offset * CELL, 0.45, name, ha="center", va="top", fontsize=TINY, color=GREY)
    axes.text(0, 0.27, "bits (b16: bfloat16)", va="top", fontsize=TINY, color=GREY)
    axes.text(0, 0.45, "ℓ value, ∂ gradient", va="top", fontsize=TINY, color=GREY)


def _draw_legend(axes: Axes, top: float) -> None:
    """Explain the marks, four to a line."""
    for index, (verdict, meaning) in enumerate(MEANING.items()):
        line, place = divmod(index, 4)
        left, y = place * WIDTH / 4, top + line * (CELL + 0.02)
        _draw_mark(axes, left, y, verdict)
        axes.text(left + CELL + 0.06, y + CELL / 2, meaning, fontsize=TINY, va="center")


def _left_in_ours(loss: str, labels: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return lines that say where our form of a loss is not right, one paragraph for each reason."""
    places: dict[str, list[str]] = {}
    for label in labels:
        mine = [r for r in rows if (r.loss, r.case, r.form) == (loss, label, FORMS[1]) and not r.right]
        if mine:
            reason = mine[0].why or "no reason is known"
            places.setdefault(reason, []).append(f"{label} ({_verdicts(mine)})")
    lines = [f"{loss}: {'; '.join(where)}. Why: {reason}." for reason, where in places.items()]
    return [part for line in lines for part in _wrapped(line)]


def _pytorch_differs(rows: Sequence[Row]) -> list[str]:
    """Return lines that say where PyTorch's verdicts are not ours."""
    ours = {(r.loss, r.case, r.dtype): (r.of_value, r.of_gradient) for r in rows if r.form == FORMS[1]}
    other: dict[str, list[Row]] = {}
    for row in rows:
        if row.form == FORMS[2] and ours[row.loss, row.case, row.dtype] != (row.of_value, row.of_gradient):
            other.setdefault(f"{row.loss}: {row.case}", []).append(row)
    lines = [f"{where} ({_verdicts(mine)})." for where, mine in other.items()]
    return [part for line in lines for part in _wrapped(line)]


def _verdicts(rows: Sequence[Row]) -> str:
    """Return the verdicts of one input in words: those that are not right, with the dtypes that have them."""
    found: dict[str, list[str]] = {}
    for row in rows:
        value, gradient = row.of_value.value, row.of_gradient.value
        if row.of_value is row.of_gradient:
            words = "right" if row.right else f"{value} in value and gradient"
        elif Verdict.WRONG_GRADIENT is row.of_gradient:
            words = gradient if row.of_value is Verdict.RIGHT else f"{value}, {gradient}"
        elif row.of_gradient is Verdict.RIGHT:
            words = value
        elif row.of_value is Verdict.RIGHT:
            words = f"{gradient} in the gradient"
        else:
            words = f"{value}, {gradient} in the gradient"
        found.setdefault(words, []).append(row.dtype)
    return "; ".join(
        f"{'every dtype' if len(dtypes) == len(DTYPES) else ', '.join(dtypes)}: {words}"
        for words, dtypes in found.items()
    )


def _wrapped(line: str) -> list[str]:
    """Break a line to the page's width, its continuation indented."""
    return textwrap.wrap(line, 88, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
