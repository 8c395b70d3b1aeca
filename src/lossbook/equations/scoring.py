"""Tests the checker: tries the mutants of displays, and sees which of them it names."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from lossbook.equations.checking import check_display
from lossbook.equations.edits import Mutant, mutants, shape
from lossbook.equations.equal import _Same
from lossbook.equations.evaluating import World, dependencies
from lossbook.equations.pages import Display, Page
from lossbook.equations.parsing import MathError, Node
from lossbook.equations.symbols import Symbol, Table


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        display: The display.
        mutant: The mutant.
        verdict: `caught`, `equal` (it is no mistake: it says what the original says, or less) or `survived`.
        reason: The display that named it, or why it is no mistake.
    """

    display: Display
    mutant: Mutant
    verdict: str
    reason: str

    @property
    def row(self) -> str:
        """The row of the display that has the change, as it reads with it."""
        if self.mutant.tree is None:
            row = self.mutant.text
        else:
            item = self.mutant.tree.parts[self.mutant.item]
            row = self.mutant.text[item.start : item.end]
        return " ".join(re.sub(r"\\\\(\[[^\]]*\])?", " ", row).replace("&", " ").split())

    @property
    def change(self) -> str:
        """The change in words."""
        old = self.display.text[self.mutant.start : self.mutant.end]
        old, new = (" ".join(text.split()) for text in (old, self.mutant.replacement))
        return f"{old or 'nothing'} -> {new or 'nothing'}"


class _Scorer:
    """Tries the mutants of one page."""

    def __init__(self, page: Page) -> None:
        self.page, self.table = page, Table(page)
        self.used: dict[str, list[Symbol]] = {}  # by each display that holds as it stands
        self.seconds: dict[str, float] = {}
        self.failing: list[str] = []
        self.known: dict[Any, dict[Any, Any]] = {}  # the values of the sides that a mutant leaves as they were
        for display in page.displays:
            start = time.perf_counter()
            tree = self.table.trees.get(display.label)
            if tree is None or check_display(self.table, display).faults:
                self.failing.append(display.label)
                continue
            self.used[display.label] = dependencies(tree, World(self.table.at(display.label), "", 0))
            self.seconds[display.label] = time.perf_counter() - start

    def outcomes(self, labels: Collection[str] = ()) -> Iterator[Outcome]:
        for display in self.page.displays:
            if display.label not in self.used or (labels and display.label not in labels):
                continue
            tree = self.table.trees[display.label]
            for mutant in mutants(display, tree, self.table):
                if not self.outside(display, tree, mutant):
                    yield self.outcome(display, tree, mutant)

    def outside(self, display: Display, tree: Node, mutant: Mutant) -> bool:
        """Say whether a mutant is of an assumption that defines nothing: it makes no claim that could be false."""
        return display.role == "assumption" and not self.defined(display, tree, mutant.item)

    def defined(self, display: Display, tree: Node, item: int) -> list[Symbol]:
        """Return what an item of a display defines."""
        sides = {id(part) for part in tree.parts[item].parts[0].parts}
        return [s for s in self.table.symbols if s.label == display.label and id(s.body) in sides]

    def outcome(self, display: Display, tree: Node, mutant: Mutant) -> Outcome:
        if mutant.tree is None:
            return Outcome(display, mutant, "caught", display.label)
        by = self.caught(display, tree, mutant, mutant.tree)
        if by:
            return Outcome(display, mutant, "caught", by)
        reason = _Same(self.table, display).reason(tree, mutant.tree)
        return Outcome(display, mutant, "equal" if reason else "survived", reason)

    def caught(self, display: Display, tree: Node, mutant: Mutant, mutated: Node) -> str:
        """Return what names a mutant: the display itself, or a later one; empty if nothing does."""
        own = self.defined(display, tree, mutant.item)
        if not own:
            part = replace(mutated, parts=(self.around(display, mutant, mutated),))
            known = (
                self.known.setdefault((display.label, mutant.item), {})
                if self.same_conditions(tree, mutant, mutated)
                else None
            )
            return display.label if check_display(self.table, display, part, known=known).faults else ""
        table = copy(self.table)
        table.faults = []
        others = [s for s in self.table.symbols if s.label != display.label]
        try:
            table.symbols = others + table.defined(display, mutated)
        except MathError:
            return display.label
        table.trees = {**self.table.trees, display.label: mutated}
        later = self.dependents(display.label, {s.key for s in own})
        for each in sorted((display, *later), key=lambda d: self.seconds[d.label]):  # the fastest first
            if check_display(table, each).faults:
                return each.label
        return ""

    def around(self, display: Display, mutant: Mutant, mutated: Node) -> Node:
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

    def same_conditions(self, tree: Node, mutant: Mutant, mutated: Node) -> bool:
        """Say whether only the relations of an item changed, so that what was left as it was has the same values."""
        old, new = tree.parts[mutant.item], mutated.parts[mutant.item]
        return list(map(shape, old.parts[1:])) == list(map(shape, new.parts[1:]))

    def dependents(self, label: str, keys: set[Any]) -> list[Display]:
        """Return the later displays that say something about what a display defines."""
        at = self.table.positions[label]
        return [
            display
            for display in self.page.displays
            if self.table.positions[display.label] > at
            and any(s.label == label and s.key in keys for s in self.used.get(display.label, ()))
        ]
