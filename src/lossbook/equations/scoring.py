"""Tests the checker: tries the mutants of displays, and sees which of them it names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from lossbook.equations.checking import check_display
from lossbook.equations.code_agreement import NONE, Functions
from lossbook.equations.edits import Mutant, mutants, shape
from lossbook.equations.equal import Equality
from lossbook.equations.evaluating import World, dependencies
from lossbook.equations.pages import Display, Page
from lossbook.equations.parsing import MathError, Node
from lossbook.equations.symbols import DEFINING, Symbol, Table


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        display: The display.
        kind: Which mistake: one of `edits.KINDS`.
        text: The display's LaTeX with the mistake.
        row: The row of the display that has the change, as it reads with it.
        change: The change in words.
        verdict: `caught`, `equal` (it is no mistake: it says what the original says, or less) or `survived`.
        reason: The display that named it, or why it is no mistake.
    """

    display: Display
    kind: str
    text: str
    row: str
    change: str
    verdict: str
    reason: str


def _row(mutant: Mutant) -> str:
    row = mutant.text
    if mutant.tree is not None:
        item = mutant.tree.parts[mutant.item]
        row = row[item.start : item.end]
    return " ".join(re.sub(r"\\\\(\[[^\]]*\])?", " ", row).replace("&", " ").split())


def _change(display: Display, mutant: Mutant) -> str:
    old = display.text[mutant.start : mutant.end]
    old, new = (" ".join(text.split()) for text in (old, mutant.replacement))
    return f"{old or 'nothing'} -> {new or 'nothing'}"


def basis(page: Page, display: Display) -> list[Any]:
    """Return, as plain data, all of a page that what becomes of a display's mutants depends on.

    A mistake in a definition may be named by any later display. Any other is named by its own display or by none, so
    the displays that define nothing count only as places from which, or until which, a symbol holds.
    """
    named = {row.fields.get(option) for row in page.rows for option in ("from", "until")}
    displays = [
        [each.label, each.role, each.text] if each == display or DEFINING & {each.role, display.role} else [each.label]
        for each in page.displays
        if each == display or DEFINING & {each.role, display.role} or each.label in named
    ]
    return [page.name, display.label, displays, [[row.symbol, row.fields] for row in page.rows]]


class Scorer:
    """Tries the mutants of one page."""

    def __init__(self, page: Page, functions: Functions = NONE) -> None:
        self.page, self.table, self.functions = page, Table(page), functions
        self.seconds: dict[str, float | None] = {}  # that it takes to check a display; None if it does not hold
        self.used: dict[str, list[Symbol]] = {}  # by each display
        self.known: dict[Any, dict[Any, Any]] = {}  # the values of the sides that a mutant leaves as they were

    def holds(self, display: Display) -> bool:
        """Say whether a display holds as it stands: else nothing can be said of its mutants."""
        if display.label not in self.seconds:
            start = time.perf_counter()
            holds = display.label in self.table.trees and not self._faults(self.table, display)
            self.seconds[display.label] = time.perf_counter() - start if holds else None
        return self.seconds[display.label] is not None

    def outcomes(self, display: Display) -> Iterator[Outcome]:
        """Yield what becomes of each mutant of a display; nothing if it does not hold as it stands."""
        if not self.holds(display):
            return
        tree = self.table.trees[display.label]
        for mutant in mutants(display, tree, self.table):
            if not self._outside(display, tree, mutant):
                verdict, reason = self._verdict(display, tree, mutant)
                row, change = _row(mutant), _change(display, mutant)
                yield Outcome(display, mutant.kind, mutant.text, row, change, verdict, reason)

    def _faults(self, table: Table, display: Display, tree: Node | None = None, **known: Any) -> list[str]:
        return check_display(table, display, tree, functions=self.functions, **known).faults

    def _outside(self, display: Display, tree: Node, mutant: Mutant) -> bool:
        """Say whether a mutant is of an assumption that defines nothing: it makes no claim that could be false."""
        return display.role == "assumption" and not self._defined(display, tree, mutant.item)

    def _defined(self, display: Display, tree: Node, item: int) -> list[Symbol]:
        """Return what an item of a display defines."""
        sides = {id(part) for part in tree.parts[item].parts[0].parts}
        return [s for s in self.table.symbols if s.label == display.label and id(s.body) in sides]

    def _verdict(self, display: Display, tree: Node, mutant: Mutant) -> tuple[str, str]:
        if mutant.tree is None:
            return "caught", display.label
        by = self._caught(display, tree, mutant, mutant.tree)
        if by:
            return "caught", by
        reason = Equality(self.table, display).reason(tree, mutant.tree)
        return ("equal" if reason else "survived"), reason

    def _caught(self, display: Display, tree: Node, mutant: Mutant, mutated: Node) -> str:
        """Return what names a mutant: the display itself, or a later one; empty if nothing does."""
        own = self._defined(display, tree, mutant.item)
        if not own:
            part = replace(mutated, parts=(self._around(display, mutant, mutated),))
            known = (
                self.known.setdefault((display.label, mutant.item), {})
                if self._same_conditions(tree, mutant, mutated)
                else None
            )
            return display.label if self._faults(self.table, display, part, known=known) else ""
        table = copy(self.table)
        table.faults = []
        others = [s for s in self.table.symbols if s.label != display.label]
        try:
            table.symbols = others + table.defined(display, mutated)
        except MathError:
            return display.label
        table.trees = {**self.table.trees, display.label: mutated}
        later = self._dependents(display.label, {s.key for s in own})
        for each in sorted((display, *later), key=lambda d: self.seconds[d.label] or 0):  # the fastest first
            if self._faults(table, each):
                return each.label
        return ""

    def _around(self, display: Display, mutant: Mutant, mutated: Node) -> Node:
        """Return the mutated item; of a chain that nothing follows from, the relations that the changed part is in."""
        item = mutated.parts[mutant.item]
        before = self.table.trees[display.label].parts[mutant.item]
        chain, old = item.parts[0], before.parts[0]
        kinds = [mark.type for mark in item.marks]
        if display.role or set(kinds) - {"IF"} or kinds != [mark.type for mark in before.marks]:
            return item
        if chain.kind != "chain" or list(map(str, old.marks)) != list(map(str, chain.marks)):
            return item
        if any(shape(one) != shape(two) for one, two in zip(before.parts[1:], item.parts[1:], strict=True)):
            return item
        sides = [one if shape(one) == shape(two) else two for one, two in zip(old.parts, chain.parts, strict=True)]
        changed = [at for at, side in enumerate(sides) if side is not old.parts[at]]
        first, last = max(changed[0] - 1, 0), changed[-1] + 1
        small = replace(chain, parts=tuple(sides[first : last + 1]), marks=chain.marks[first:last])
        return replace(item, parts=(small, *item.parts[1:]))

    def _same_conditions(self, tree: Node, mutant: Mutant, mutated: Node) -> bool:
        """Say whether only the relations of an item changed, so that what was left as it was has the same values."""
        old, new = tree.parts[mutant.item], mutated.parts[mutant.item]
        return list(map(shape, old.parts[1:])) == list(map(shape, new.parts[1:]))

    def _dependents(self, label: str, keys: set[Any]) -> list[Display]:
        """Return the later displays that say something about what a display defines, and hold as they stand."""
        at = self.table.positions[label]
        return [
            display
            for display in self.page.displays
            if self.table.positions[display.label] > at
            and any(s.label == label and s.key in keys for s in self._uses(display))
            and self.holds(display)
        ]

    def _uses(self, display: Display) -> list[Symbol]:
        """Return the symbols that a display depends on."""
        if display.label not in self.used:
            tree, symbols = self.table.trees.get(display.label), self.table.at(display.label)
            self.used[display.label] = dependencies(tree, World(symbols, "", 0)) if tree else []
        return self.used[display.label]
