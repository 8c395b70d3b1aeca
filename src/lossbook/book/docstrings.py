"""Reads the formulas in the docstrings of the reference implementations, as if each docstring were a page."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from lossbook import cards, losses
from lossbook.course import chapters
from lossbook.equations.pages import Display, Page, table_rows

OTHERS = ("fused", "fused_linear")  # they have functions of the same names
MODULES = tuple(chapter.slug for chapter in chapters() if chapter.slug not in OTHERS)
NAME = "docstring"  # of the pages that this module makes: docstring:mse_loss
_MATH = re.compile(r"^\.\. math::\n\n((?: {4}.*\n?|\n)+)", re.M)


def modules() -> list[ModuleType]:
    """Return the modules of the reference implementations."""
    return [import_module(f"lossbook.losses.{module}") for module in MODULES]


@cache
def functions() -> dict[str, Callable[..., Any]]:
    """Return the functions of `lossbook.losses`, public or not, by name."""
    return {name: value for module in modules() for name, value in _own(module)}


def documented() -> dict[str, Callable[..., Any]]:
    """Return those functions, and others' by their modules' names too: `fused.cross_entropy` is another."""
    others = {name: import_module(f"lossbook.losses.{name}") for name in OTHERS}
    return functions() | {f"{name}.{own}": value for name, module in others.items() for own, value in _own(module)}


def _own(module: ModuleType) -> list[tuple[str, Callable[..., Any]]]:
    """Return the functions that a module defines itself, with their names."""
    return [
        (name, value)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]


def pages() -> list[Page]:
    """Return one page for each docstring that has a formula, and for each public loss."""
    of_losses = {card.loss: card.symbols for card in cards.every().values()}
    of_others = cards.symbols()
    made = []
    for name, function in documented().items():
        text = inspect.getdoc(function) or ""
        formulas = _MATH.findall(text)
        missed = text.count(".. math::") - len(formulas)
        if not formulas and not missed and name not in losses.__all__:
            continue
        page = Page(f"{NAME}:{name}", Path(inspect.getfile(function)))
        if missed:
            what = "a formula that is not read: it must stand four columns in, below an empty line"
            page.faults.append(f"{page.name}: {what}")
        elif not formulas:
            page.faults.append(f"{page.name}: the docstring of a public loss must give its formula")
        first = inspect.getsourcelines(function)[1]
        for number, text in enumerate(formulas):
            label = name if not number else f"{name}-{number + 1}"
            page.parts.append(Display(page.name, label, "formula", textwrap.dedent(text), first))
        declared = of_losses.get(function) or of_others.get(name)
        if declared is None:
            module = function.__module__.rpartition(".")[2]
            where = cards.path(module if module in MODULES else "recipe")
            page.faults.append(f"{page.name}: its symbols are not declared in {where}")
        else:
            page.parts += table_rows(yaml.safe_load(declared), 1)
        made.append(page)
    unknown = sorted(set(of_others) - set(documented()))
    if unknown:
        made[0].faults.append(f"the cards declare symbols of {', '.join(unknown)}, which is no function")
    return made
