"""The table: every loss, in every dtype and form, at every input, beside the truth."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import mpmath
import torch

from lossbook.cards import Case
from lossbook.stability.entries import DTYPES, FORMS, Entry, entries
from lossbook.stability.verdicts import Verdict, error_in_ulps, judge, judge_gradient


@dataclass(frozen=True)
class Row:
    """One form of one loss, in one dtype, at one input: what it gave, what is true, and the two verdicts.

    Args:
        chapter: The number and slug of the loss's page.
        loss: The loss's name in the table.
        case: What the input is called.
        form: ``"on paper"``, ``"ours"`` or ``"PyTorch"``.
        dtype: The dtype's name, without ``torch.``
        value: The loss that came out.
        gradient: Its gradient by the input that came out.
        true_value: What the loss is at the input as rounded to the dtype, to double precision.
        true_gradient: What the gradient is there.
        ulps: How far the value is from the truth rounded to the dtype, in units of the last place.
        of_value: The value's verdict.
        of_gradient: The gradient's verdict, that of its worst entry.
        paper: The form on paper, as the table's heading shows it.
        why: Why ours is not right there, or nothing.

    """

    chapter: str
    loss: str
    case: str
    form: str
    dtype: str
    value: float
    gradient: tuple[float, ...]
    true_value: float
    true_gradient: tuple[float, ...]
    ulps: float
    of_value: Verdict
    of_gradient: Verdict
    paper: str
    why: str

    @property
    def right(self) -> bool:
        """Whether both the value and the gradient are right."""
        return self.of_value is self.of_gradient is Verdict.RIGHT


def table(chapter: str | None = None, losses: Iterable[Entry] | None = None) -> list[Row]:
    """Compute the table.

    Args:
        chapter: The number and slug of a page, such as ``"03-bce"``, for the losses of that page; None for all.
        losses: The entries to choose from, those of all cards unless given.

    Returns:
        A row for each entry, case, form that there is and dtype, in that order.

    Raises:
        ValueError: There is no loss of that chapter.

    """
    chosen = [loss for loss in (entries() if losses is None else losses) if chapter in (None, loss.chapter)]
    if not chosen:
        raise ValueError(f"chapter is {chapter!r}, and no loss of the table is of that chapter")
    return [row for loss in chosen for case in loss.cases for row in _rows(loss, case)]


def _rows(loss: Entry, case: Case) -> list[Row]:
    """Return the rows of one case, computing the truth once a dtype."""
    truths = {dtype: _truth(loss, case, dtype) for dtype in DTYPES}
    return [_row(loss, case, form, dtype, *truths[dtype]) for form in loss.forms for dtype in DTYPES]


def _truth(loss: Entry, case: Case, dtype: torch.dtype) -> tuple[mpmath.mpf, list[mpmath.mpf]]:
    """Return the exact loss and gradient at the input and target as rounded to a dtype."""
    x, y = (torch.tensor(values, dtype=dtype).tolist() for values in (case.input, case.target))
    return loss.truth(x, y, case.option)


def _row(loss: Entry, case: Case, form: str, dtype: torch.dtype, truth: mpmath.mpf, slopes: list[mpmath.mpf]) -> Row:
    """Compute one form in one dtype at one input, and judge it."""
    x = torch.tensor(case.input, dtype=dtype, requires_grad=True)
    y = torch.tensor(case.target, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broadcasting and of means, which no form here uses
        result = loss.forms[form](x, y, case.option)
        (gradient,) = torch.autograd.grad(result, x)
    value, slopes_found = result.item(), tuple(gradient.tolist())
    bound = None if form == FORMS[0] else loss.bound
    return Row(
        chapter=loss.chapter,
        loss=loss.name,
        case=case.label,
        form=form,
        dtype=str(dtype).removeprefix("torch."),
        value=value,
        gradient=slopes_found,
        true_value=float(truth),
        true_gradient=tuple(float(slope) for slope in slopes),
        ulps=error_in_ulps(value, truth, dtype),
        of_value=judge(value, truth, dtype, bound=bound),
        of_gradient=judge_gradient(slopes_found, slopes, dtype),
        paper=loss.paper,
        why=case.why,
    )
