"""Stability, as a table: each loss on paper, ours and PyTorch's, in four dtypes, at extreme inputs, beside the truth.

``table`` computes it, ``draw`` draws it, and ``findings`` says it in words. The truth needs mpmath, which the losses
themselves do not.
"""

from lossbook.stability.declared import DTYPES, FORMS, LOSSES, Case, Declared
from lossbook.stability.picture import alternative, cells, draw, findings, wrong
from lossbook.stability.table import Row, table
from lossbook.stability.truths import DIGITS
from lossbook.stability.verdicts import ULPS, Verdict, judge, judge_gradient

__all__ = [
    "DIGITS",
    "DTYPES",
    "FORMS",
    "LOSSES",
    "ULPS",
    "Case",
    "Declared",
    "Row",
    "Verdict",
    "alternative",
    "cells",
    "draw",
    "findings",
    "judge",
    "judge_gradient",
    "table",
    "wrong",
]
