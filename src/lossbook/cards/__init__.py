"""The cards of all losses, a module a chapter: each says all that is said of its losses.

A chapter's module holds ``CARDS`` and may hold ``SYMBOLS``, those of the
docstrings of other functions by their names, and ``HARD``, entries of the
stability table that are of no card. What a lesson imports needs none of this.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from types import ModuleType

from lossbook import losses
from lossbook.cards.card import (
    KINDS,
    REDUCTIONS,
    Card,
    Case,
    Draw,
    Exact,
    Form,
    Function,
    Hard,
    Inputs,
    Limit,
    Number,
    Numbers,
    Size,
    Trial,
)
from lossbook.course import Chapter, chapters

__all__ = [
    "KINDS",
    "REDUCTIONS",
    "Card",
    "Case",
    "Draw",
    "Exact",
    "Form",
    "Function",
    "Hard",
    "Inputs",
    "Limit",
    "Number",
    "Numbers",
    "Size",
    "Trial",
    "by_chapter",
    "every",
    "of",
    "path",
    "symbols",
]


def path(slug: str) -> str:
    """Return the path, in the project, of a chapter's cards."""
    return f"src/lossbook/cards/{slug}.py"


@cache
def _modules() -> dict[Chapter, ModuleType]:
    """Return the modules of the cards by chapter, in the course's order."""
    found = {}
    for chapter in chapters():
        name = f"{__name__}.{chapter.slug}"
        if find_spec(name) is None:
            raise ModuleNotFoundError(
                f"chapter {chapter.number} has no cards: write {path(chapter.slug)}",
                name=name,
            )
        found[chapter] = import_module(name)
    return found


def by_chapter() -> dict[Chapter, tuple[tuple[Card, ...], tuple[Hard, ...]]]:
    """Return each chapter's cards, and its entries of the stability table that are of no card."""
    return {
        chapter: (getattr(module, "CARDS", ()), getattr(module, "HARD", ()))
        for chapter, module in _modules().items()
    }


def of(name: str) -> Card:
    """Return the card of a public loss.

    Args:
        name: Its name in ``lossbook.losses``.

    Raises:
        LookupError: It has none; the message says where to write it.

    """
    if name not in every():
        module = attrgetter(name)(losses).__module__.rpartition(".")[2]
        raise LookupError(f"{name} has no card: write it in {path(module)}")
    return every()[name]


@cache
def every() -> dict[str, Card]:
    """Return all cards by the names of their losses, in the course's order."""
    return {
        card.name: card for cards, _ in by_chapter().values() for card in cards
    }


def symbols() -> dict[str, str]:
    """Return the symbols, in YAML, of the docstrings of functions that are no losses, by the functions' names."""
    return {
        name: text
        for module in _modules().values()
        for name, text in getattr(module, "SYMBOLS", {}).items()
    }
