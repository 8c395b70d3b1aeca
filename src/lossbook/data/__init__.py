"""Real data for the book's pages. Nothing is downloaded: it comes with scikit-learn, or lies beside this file.

A lesson imports PyTorch, NumPy and Matplotlib alone: `digits` needs scikit-learn, so no lesson calls it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

Table = dict[str, torch.Tensor]  # the columns by name, each float64 and as long as the table


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the handwritten digits that come with scikit-learn: the pictures and what each of them is.

    They are the test set of *Optical Recognition of Handwritten Digits* (E. Alpaydin and C. Kaynak, UCI Machine
    Learning Repository, 1998, licence CC BY 4.0): 1,797 pictures of 8 by 8 pixels.

    Returns:
        The pixels, shape (1797, 64), float64 from 0 (paper) to 1 (ink), and the digits, shape (1797,), int64.

    """
    from sklearn.datasets import load_digits  # slow to import: only where there is something to read

    pixels, digit = load_digits(return_X_y=True)
    return torch.from_numpy(pixels / 16), torch.from_numpy(digit).long()


def engel() -> Table:
    """Return what 235 Belgian working-class households earned and spent on food in 1857.

    Ernst Engel's table, as R. Koenker and G. Bassett used it, *Robust Tests for Heteroscedasticity Based on Regression
    Quantiles*, Econometrica 50 (1982) 43-61. Public domain; taken from statsmodels.

    Returns:
        The columns ``income`` and ``food``, francs a year each.

    """
    return _table("engel")


def stackloss() -> Table:
    """Return 21 days of a plant that oxidises ammonia to nitric acid. Some of the days are outliers.

    K. A. Brownlee, *Statistical Theory and Methodology in Science and Engineering*, 2nd edition, Wiley, 1965.
    Public domain; taken from statsmodels.

    Returns:
        The columns ``loss`` (the ammonia that escapes, in tenths of a per cent), ``air`` (the flow of cooling air),
        ``temperature`` (of the cooling water, °C) and ``acid`` (its concentration, 10 · (per cent - 50)).

    """
    return _table("stackloss")


def randhie() -> Table:
    """Return how often people went to the doctor in a year, 20,190 times, in the RAND Health Insurance Experiment.

    As in A. C. Cameron and P. K. Trivedi, *Microeconometrics: Methods and Applications*, Cambridge University Press,
    2005, chapter 20. Public domain; taken from statsmodels. What is derived from other columns is left out, and three
    columns of zeros and ones are one, ``health``. One person may be in several rows, a row for each year.

    Returns:
        The columns ``visits`` (to a doctor, in the year), ``coinsurance`` (the share that the patient pays, in per
        cent), ``deductible`` (1 if the plan has one for the person), ``limited`` (1 if physically limited; for some
        people, where it was not known, a share), ``diseases`` (an index of chronic diseases) and ``health`` (as they
        rate it: 0 excellent, 1 good, 2 fair, 3 poor).

    """
    return _table("randhie")


def anes96() -> Table:
    """Return what 944 people said before the American election of 1996.

    A part of *The American National Election Studies*, 1996. Public domain; taken from statsmodels.

    Returns:
        The columns ``population`` (of the place, thousands), ``news`` (days a week with television news), ``leaning``,
        ``clinton`` and ``dole`` (where they place themselves and the candidates, 1 extremely liberal to 7 extremely
        conservative), ``party`` (0 strong Democrat to 6 strong Republican), ``age`` (years), ``education`` (1 to 8
        grades to 7 doctorate), ``income`` (24 brackets, from 1, below $3,000, to 24, from $105,000) and ``vote``
        (0 Clinton, 1 Dole).

    """
    return _table("anes96")


def modechoice() -> Table:
    """Return how 210 people travelled between Sydney, Canberra and Melbourne in 1987: four rows each, a way a row.

    Table F18-2 of W. H. Greene, *Econometric Analysis*, 7th edition, Prentice Hall, 2011, from D. Hensher. Public
    domain; taken from statsmodels. The rarer ways were sampled more often than they are travelled.

    Returns:
        The columns ``traveller`` (1 to 210), ``mode`` (1 air, 2 train, 3 bus, 4 car), ``chosen`` (1 for the way taken),
        ``wait`` (at the terminal, minutes; 0 for a car), ``cost`` (in the vehicle, dollars), ``time`` (in the vehicle,
        minutes), ``generalised`` (the cost with the time priced, dollars), ``income`` (of the household, thousands of
        dollars) and ``people`` (who travel together).

    """
    return _table("modechoice")


def prose() -> str:
    """Return some prose, to model one character at a time: what the project's own pages said in November 2026.

    Paragraphs and captions of the book, the lessons and the guides, without code, tables and formulas; a sentence with
    a sign that is not kept is left out, and none stands twice. The paragraphs are shuffled, so that any part is like
    any other. The text is frozen: it does not follow the pages. Its licence is theirs, CC BY 4.0 (`LICENSE-text`).

    Returns:
        121,065 characters, each one byte, of 35 kinds: the small letters, space, ``.,:;?'-``, and a newline at the end
        of each of the 885 paragraphs.

    """
    return Path(__file__).with_name("prose.txt").read_text(encoding="ascii")


def _table(name: str) -> Table:
    path = Path(__file__).with_name(f"{name}.csv")
    with path.open(encoding="utf-8") as lines:
        names = lines.readline().strip().split(",")
        rows = torch.from_numpy(np.loadtxt(lines, delimiter=","))
    return {name: column.contiguous() for name, column in zip(names, rows.T, strict=True)}
