"""Stability, as a table: each loss on paper, ours and PyTorch's, in four dtypes, at extreme inputs, beside the truth.

What is tried, and the truth, stand on the cards of the losses. ``table`` computes it, ``draw`` draws it, and
``findings`` says it in words. The truth needs mpmath, which the losses themselves do not.
"""

from lossbook.stability.entries import DIGITS, DTYPES, FORMS, Entry, entries, entries_of
from lossbook.stability.picture import alternative, cells, draw, findings, wrong
from lossbook.stability.table import Row, table
from lossbook.stability.verdicts import ULPS, Verdict, judge, judge_gradient

__all__ = [
    "DIGITS",
    "DTYPES",
    "FORMS",
    "ULPS",
    "Entry",
    "Row",
    "Verdict",
    "alternative",
    "cells",
    "draw",
    "entries",
    "entries_of",
    "findings",
    "judge",
    "judge_gradient",
    "table",
    "wrong",
]
