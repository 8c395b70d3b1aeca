"""The entries of the table, from the cards: each loss in its forms, its exact value, and where it is tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import mpmath
import torch
from torch import Tensor

from lossbook.cards import (
    Card,
    Case,
    Exact,
    Form,
    Function,
    Hard,
    Number,
    by_chapter,
)

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
FORMS = ("on paper", "ours", "PyTorch")
DIGITS = 120  # of the exact values


@dataclass(frozen=True)
class Entry:
    """One entry: what it is called, how it is computed in up to three ways, the truth, and where it is tried.

    Args:
        name: Its name in the table.
        chapter: The number and slug of its page.
        paper: The form on paper, as the table's heading shows it.
        on_paper: That form, as a function of input, target and option.
        ours: The form of ``lossbook.losses``.
        pytorch: PyTorch's form, or None where PyTorch has none.
        exact: The exact loss and its gradient by the input.
        cases: The inputs.
        bound: The size beyond which ours and PyTorch's let no value go, if they have one.

    """

    name: str
    chapter: str
    paper: str
    on_paper: Form
    ours: Form
    pytorch: Form | None
    exact: Exact
    cases: tuple[Case, ...]
    bound: float | None = None

    @property
    def forms(self) -> dict[str, Form]:
        """The forms that there are, by their names in ``FORMS``."""
        forms = zip(FORMS, (self.on_paper, self.ours, self.pytorch), strict=True)
        return {name: form for name, form in forms if form is not None}

    def truth(self, x: Sequence[float], y: Sequence[float], option: float) -> tuple[Number, list[Number]]:
        """Return the exact loss and gradient to ``DIGITS`` digits, whatever the precision outside.

        A term of weight 0 is not there, so that 0 · ∞ never arises. An infinite input has the limit of the loss.

        Args:
            x: The input's entries, taken exactly.
            y: The target's.
            option: The option.

        """
        with mpmath.workdps(DIGITS):
            value, gradient = self.exact([*map(mpmath.mpf, x)], [*map(mpmath.mpf, y)], mpmath.mpf(option))
            return +value, [+entry for entry in gradient]


def entries_of(chapter: str, card: Card) -> list[Entry]:
    """Return a card's entries.

    Args:
        chapter: The number and slug of its page.
        card: The card.

    """
    return [_entry(chapter, hard, card) for hard in card.hard]


@cache
def entries() -> tuple[Entry, ...]:
    """Return the entries of all chapters, in the course's order."""
    found: list[Entry] = []
    for chapter, (cards, loose) in by_chapter().items():
        found += [_entry(chapter.row, hard, None) for hard in loose]
        for card in cards:
            found += entries_of(chapter.row, card)
    return tuple(found)


def _entry(chapter: str, hard: Hard, card: Card | None) -> Entry:
    """Return one entry: its forms are those that it gives itself, and the card's where it gives none."""
    ours, pytorch = hard.ours, hard.pytorch
    on_paper = hard.on_paper
    if card is not None:
        on_paper = on_paper or _called(hard, card.definition)
        if ours is None:
            ours = _called(hard, partial(card.loss, reduction="sum"))
            if card.twin is not None:
                pytorch = _called(hard, partial(card.twin, reduction="sum"))
    name = hard.name or (card.name if card else "")
    if not name or on_paper is None or ours is None:
        raise ValueError(f"{chapter}: the entry {name or hard.paper!r} has no card, and must give its name and forms")
    return Entry(
        name, chapter, hard.paper, _summed(on_paper), _summed(ours), pytorch and _summed(pytorch),
        hard.exact, hard.cases, hard.bound,
    )  # fmt: skip


def _called(hard: Hard, loss: Function) -> Form:
    return lambda x, y, option: hard.call(loss, x, y, option)


def _summed(form: Form) -> Form:
    def summed(x: Tensor, y: Tensor, option: float) -> Tensor:
        return form(x, y, option).sum()

    return summed
