"""Makes every small mistake that can be made in a display."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lossbook.equations.evaluating import World, dependencies, differential
from lossbook.equations.notation import NOTATIONS, Kind
from lossbook.equations.pages import Display
from lossbook.equations.parsing import MathError, Node, name, parse, subscripts
from lossbook.equations.symbols import Symbol, Table

KINDS = {
    "sign": "a sign flipped",
    "term": "a term dropped",
    "factor": "a factor dropped, or a numerator or a denominator",
    "fraction": "a fraction turned over",
    "number": "a number changed",
    "index": "an index swapped",
    "bound": "a bound moved by one",
    "exchange": "two symbols exchanged, or y and 1 − y",
    "log": "a logarithm or an exponential removed",
    "function": "another function removed",
    "exponent": "an exponent changed or dropped",
    "inequality": "an inequality reversed",
    "condition": "a condition turned into its opposite",
    "operator": "a sum made a product, a maximum a minimum",
    "derivative": "a derivative dropped, or taken by another variable",
    "case": "the values of two cases exchanged",
    "argument": "a function's argument left out",
    "row": "two statements run together, or a row begun with a sign",
}
_GAP = re.compile(r"(?:\s|\\[,;:! ]|\\q?quad(?![A-Za-z])|~)*$")
_TURNED = {"<": ">", ">": "<", r"\lt": ">", r"\gt": "<"}
_TURNED |= {r"\le": r"\ge", r"\ge": r"\le", r"\leq": r"\ge", r"\geq": r"\le"}
_OPPOSITE = {**_TURNED, "=": r"\ne", r"\ne": "=", r"\neq": "="}
_OPERATORS = {r"\sum": r"\prod", r"\prod": r"\sum", r"\max": r"\min", r"\min": r"\max"}
_UNIT = {"(0,1)", r"\{0,1\}", "[0,1]", "probabilities", "one-hot"}  # domains in which 1 − y lies as y does


@dataclass(frozen=True)
class Edit:
    """A piece of a display's LaTeX and what takes its place."""

    kind: str
    start: int
    end: int
    replacement: str

    def apply(self, text: str) -> str:
        """Return the LaTeX with the change made; commands and letters are kept apart."""
        before, after = text[: self.start], text[self.end :]
        return before + self.replacement + after


@dataclass(frozen=True)
class Mutant:
    """A display with one mistake in it.

    Attributes:
        kind: Which mistake: one of `KINDS`.
        start: Where the changed piece of the display's LaTeX starts.
        end: Where it ends.
        replacement: What stands in its place.
        text: The display's LaTeX with the mistake.
        tree: The same as a tree; None if it is refused as it stands.
        item: Which of the display's items has it.
    """

    kind: str
    start: int
    end: int
    replacement: str
    text: str
    tree: Node | None
    item: int


def shape(node: Node | None, called: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Return what a tree says, wherever it stands: two displays of one shape are one display.

    Args:
        node: The tree.
        called: Names that some symbols are called by instead of their own.
    """
    if node is None:
        return None
    marks = tuple(str(mark) for mark in node.marks)
    parts = tuple(shape(part, called) for part in node.parts)
    text = called.get(node.text, node.text)
    return node.kind, text, marks, parts, shape(node.sub, called), shape(node.sup, called)


def mutants(display: Display, tree: Node, table: Table) -> list[Mutant]:
    """Return the display with each small mistake that can be made in it, none of them twice.

    Args:
        display: The display.
        tree: What it says.
        table: The page's symbols.

    Raises:
        MathError: A change made it unreadable, which no change may.
    """
    seen = {shape(tree)}
    found = []
    every = dict.fromkeys(_Editor(display, tree, table).edits())  # no set: the first of two that say the same is kept
    for edit in sorted(every, key=lambda e: list(KINDS).index(e.kind)):
        item = max(i for i, part in enumerate(tree.parts) if part.start <= edit.start)
        text = edit.apply(display.text)
        mutated: Node | None
        try:
            mutated = parse(text)
        except MathError:
            mutated = None
        if edit.kind != "row" and (mutated is None or len(mutated.parts) != len(tree.parts)):
            # A sign at the start of a row: the row goes on the one above, or that cannot be told.
            edit = _bracketed(display.text, edit, tree.parts[item].parts[0])
            text, mutated = _read(display.text, edit)
        key = shape(mutated) if mutated else text
        if key in seen:
            continue
        seen.add(key)
        found.append(Mutant(edit.kind, edit.start, edit.end, edit.replacement, text, mutated, item))
    return sorted(found, key=lambda m: (m.start, m.end, m.replacement))


def _read(text: str, edit: Edit) -> tuple[str, Node]:
    changed = edit.apply(text)
    try:
        return changed, parse(changed)
    except MathError as error:
        raise MathError(f"{edit} cannot be read: {error}: {changed}", edit.start) from None


def _other(number: str) -> str:
    """Return a number near another, of as many digits: LaTeX takes one digit alone where there are no braces."""
    if "." in number:
        return number + "1"
    return str(int(number) - 1 if number.endswith("9") else int(number) + 1)


def _bracketed(text: str, edit: Edit, chain: Node) -> Edit:
    """Return the same change with the side of the relation that it is made in put in brackets."""
    side = next(part for part in (chain.parts if chain.kind == "chain" else (chain,)) if edit.end <= part.end)
    inner = text[side.start : edit.start] + edit.replacement + text[edit.end : side.end]
    return Edit(edit.kind, side.start, side.end, f"({inner})")


def _binding(node: Node) -> str:
    notation = NOTATIONS.get(node.kind)
    return notation.binding if notation else "close"


class _Editor:
    """Walks through a display and yields the changes that make mistakes."""

    def __init__(self, display: Display, tree: Node, table: Table) -> None:
        self.text, self.tree, self.table = display.text, tree, table
        self.bodies = {id(s.body) for s in table.symbols if s.label == display.label}
        self.bare = {(node.start, node.end) for node in self.unbraced()}
        world = World(table.at(display.label), "", 0)
        self.world, self.by_base, self.ranges = world, world.by_base, world.ranges
        self.names = list(dict.fromkeys(name(node) for node in tree.walk() if node.kind in ("sym", "sub", "prime")))

    def edits(self) -> Iterator[Edit]:
        for item in self.tree.parts:
            for chain in item.parts:
                yield from self.chain(chain)
        yield from self.rows()

    def rows(self) -> Iterator[Edit]:
        r"""Yield statements run together, and rows that begin with a sign in place of a relation."""
        for one, two in itertools.pairwise(self.tree.parts):
            between = self.text[one.end : two.start]
            yield self.edit("row", one.end, two.start, re.sub(r"\\\\(\[[^\]]*\])?|,", " ", between))
        for chain in (chain for item in self.tree.parts for chain in item.parts if chain.kind == "chain"):
            for left, mark in zip(chain.parts, chain.marks, strict=False):
                assert mark.start_pos is not None
                if r"\\" in self.text[left.end : mark.start_pos]:
                    yield self.edit("row", mark.start_pos, mark.start_pos + len(mark), "-")

    # text

    def edit(self, kind: str, start: int, end: int, replacement: str) -> Edit:
        before, after = self.text[:start], self.text[end:]
        if re.search(r"\\[A-Za-z]+$", before) and re.match(r"[A-Za-z]", replacement or after):
            replacement = " " + replacement
        if re.search(r"\\[A-Za-z]+$", replacement) and re.match(r"[A-Za-z]", after):
            replacement += " "
        if re.search(r"\d$", replacement or before) and re.match(r"[\d.]", after) and (replacement or before):
            replacement += " "
        return Edit(kind, start, end, replacement)

    def source(self, node: Node) -> str:
        return self.text[node.start : node.end]

    def unbraced(self) -> Iterator[Node]:
        r"""Yield what stands without braces after ^, _ or \frac: it needs them when it becomes more than one token."""
        for node in self.tree.walk():
            ones = [node.sub, node.sup]
            if node.kind in ("frac", "binom") and node.text != "/":
                ones += node.parts
            elif node.kind == "pow" or (node.kind == "sub" and len(node.parts) == 2):
                ones.append(node.parts[1])
            elif node.kind == "sqrt":
                ones += node.parts
            for one in ones:
                if one is not None and not _GAP.sub("", self.text[: one.start]).endswith("{"):
                    yield one

    def put(self, kind: str, node: Node, replacement: str, *, alone: bool = False) -> Edit:
        """Replace a node by a formula, in brackets or braces where these are needed."""
        if (node.start, node.end) in self.bare:
            replacement = "{" + replacement + "}"
        elif not alone:
            replacement = "(" + replacement + ")"
        return self.edit(kind, node.start, node.end, replacement)

    def name_put(self, kind: str, node: Node, other: str) -> Edit:
        """Replace a symbol by another."""
        if (node.start, node.end) in self.bare and not re.fullmatch(r"\\?[A-Za-z]+", other):
            other = "{" + other + "}"
        return self.edit(kind, node.start, node.end, other)

    def unwrap(self, kind: str, node: Node, inner: Node) -> Edit:
        """Replace a node by one of its parts."""
        source = self.source(inner)
        if _binding(inner) != "close":
            source = f"({source})"
        return self.edit(kind, node.start, node.end, source)

    # relations

    def chain(self, chain: Node, turned: dict[str, str] = _TURNED) -> Iterator[Edit]:
        if chain.kind != "chain":
            yield from self.side(chain)
            return
        for mark in chain.marks:
            if str(mark) in turned:
                kind = "inequality" if str(mark) in _TURNED else "condition"
                assert mark.start_pos is not None
                assert mark.end_pos is not None
                yield self.edit(kind, mark.start_pos, mark.end_pos, turned[str(mark)] + " ")
        defined = any(id(part) in self.bodies for part in chain.parts)
        for part in chain.parts[1 if defined else 0 :]:
            yield from self.side(part)

    def side(self, node: Node) -> Iterator[Edit]:
        """Yield the changes of one side of a relation."""
        yield from self.value(node, alone=True)
        yield from self.swapped(node)

    # values

    def value(self, node: Node | None, *, alone: bool = False) -> Iterator[Edit]:
        """Yield the changes of a formula; `alone` says that nothing stands beside it, so that its sign counts."""
        if node is None:
            return
        if alone and node.kind != "add":
            yield from self.negated(node)
        yield from EDITS[node.kind](self, node, alone)

    def _parts(self, node: Node, alone: bool) -> Iterator[Edit]:
        for part in node.parts:
            yield from self.value(part)

    def negated(self, node: Node) -> Iterator[Edit]:
        if node.kind == "neg":
            yield self.edit("sign", node.start, node.parts[0].start, "")
        elif node.kind in NOTATIONS and NOTATIONS[node.kind].signed and self.source(node) not in ("0", r"\infty"):
            if node.kind == "sym" and (node.text.startswith(r"\text") or node.text in self.ranges):
                return
            yield self.put("sign", node, "-" + self.source(node), alone=True)

    def _num(self, node: Node, alone: bool) -> Iterator[Edit]:
        yield self.edit("number", node.start, node.end, _other(node.text))

    def _sym(self, node: Node, alone: bool) -> Iterator[Edit]:
        if node.text in self.ranges:
            yield from self.letter(node)
            return
        yield from self.exchanged(node, node.text, alone)

    def _sub(self, node: Node, alone: bool) -> Iterator[Edit]:
        exact = name(node)
        if exact in self.by_base:
            yield from self.exchanged(node, exact, alone)
            return
        base, *indices = node.parts
        if base.kind in ("sym", "prime"):
            yield from self.exchanged(base, name(base), alone, whole=node, count=len(subscripts(indices)))
        else:
            yield from self.value(base)
        for part in indices:
            yield from self.index(part)

    def index(self, node: Node) -> Iterator[Edit]:
        """Yield the changes of what stands in a subscript."""
        if node.kind == "juxt":
            for part in node.parts:
                yield from self.index(part)
        elif node.kind == "num":
            yield self.edit("index", node.start, node.end, str(int(node.text) + 1))
        elif node.kind == "sym" and node.text in self.ranges:
            yield from self.letter(node)
        elif node.kind in ("sym", "sub"):
            yield from self.value(node)
        else:
            for part in node.parts:
                yield from self.index(part)

    def letter(self, node: Node) -> Iterator[Edit]:
        """Yield an index swapped for another of its range, and for one of another range."""
        others = [letter for letter in self.ranges if letter != node.text]
        own = str(self.ranges[node.text])
        for group in (
            [o for o in others if str(self.ranges[o]) == own],
            [o for o in others if str(self.ranges[o]) != own],
        ):
            for other in [o for o in group if o in self.names] or group[:1]:
                yield self.edit("index", node.start, node.end, other)

    def declared(self, base: str, count: int | None = None) -> list[Symbol]:
        """Return the meanings of a name that are no functions; with so many indices, if that is told."""
        own = [s for s in self.by_base.get(base, []) if s.params is None and s.kind not in ("index", "special")]
        return own if count is None else [s for s in own if len(s.indices) == count] or own

    def like(self, base: str, count: int | None = None) -> list[str]:
        """Return the other names in the display that stand for something of the same shape."""
        shapes = {self.dims(s) for s in self.declared(base, count)}
        return [
            other
            for other in {re.sub(r"_\{.*", "", n) if n not in self.by_base else n: None for n in self.names}
            if other != base and any(self.dims(s) in shapes for s in self.declared(other))
        ]

    def dims(self, symbol: Symbol) -> tuple[str, ...]:
        return ("size" if symbol.kind == "size" else "", *(str(self.ranges[i]) for i in symbol.indices))

    def exchanged(
        self, base: Node, written: str, alone: bool, whole: Node | None = None, count: int | None = None
    ) -> Iterator[Edit]:
        """Yield a symbol replaced by each other one of its shape, and by 1 minus itself where that is one like it."""
        for other in self.like(written, count):
            yield self.name_put("exchange", base, other)
        if self.complements(written, count):
            node = whole or base
            yield self.put("exchange", node, "1 - " + self.source(node), alone=alone)

    def complements(self, base: str, count: int | None = None) -> bool:
        own = {s.indices for s in self.declared(base, count)}
        return any(
            s.base == base and s.indices in own and s.params is None and s.domain.replace(" ", "") in _UNIT
            for s in self.table.symbols
        )

    def swapped(self, side: Node) -> Iterator[Edit]:
        """Yield a side with two symbols exchanged throughout, or y and 1 − y."""
        places: dict[str, list[tuple[Node, Node]]] = {}
        for node in self.values_in(side):
            base = node.parts[0] if node.kind == "sub" and name(node) not in self.by_base else node
            if self.declared(name(base)):
                places.setdefault(name(base), []).append((base, node))
        for one, two in itertools.combinations(places, 2):
            if two in self.like(one):
                changes = [(n, two) for n, _ in places[one]] + [(n, one) for n, _ in places[two]]
                yield from self.rewritten(side, changes)
        for one, own in places.items():
            if self.complements(one) and len(own) > 1:
                changes = []
                for _, node in own:
                    put = self.put("exchange", node, "1 - " + self.source(node))
                    changes.append((node, put.replacement))
                yield from self.rewritten(side, changes)

    def rewritten(self, side: Node, changes: list[tuple[Node, str]]) -> Iterator[Edit]:
        text, at = "", side.start
        for node, replacement in sorted(changes, key=lambda change: change[0].start):
            if node.start < at:
                return
            put = self.name_put("exchange", node, replacement)
            text, at = text + self.text[at : node.start] + put.replacement, node.end
        yield self.edit("exchange", side.start, side.end, text + self.text[at : side.end])

    def values_in(self, node: Node | None) -> Iterator[Node]:
        """Yield the symbols of a formula that stand for values: no indices, no names of functions."""
        if node is None:
            return
        if node.kind in ("sym", "sub", "prime"):
            yield node
            return
        if node.kind == "frac" and (operator := differential(node)):
            yield from self.values_in(operator.body)
            return
        parts: list[Node] = []
        if node.kind == "juxt":
            for unit in self.units(node):
                if len(unit) == 2:
                    yield from self.values_in(unit[1])
                else:
                    parts += unit
        else:
            parts = list(node.parts)
        for part in parts:
            yield from self.values_in(part)

    # sums and products

    def _add(self, node: Node, alone: bool) -> Iterator[Edit]:
        for at, part in enumerate(node.parts):
            inner = part.parts[0] if part.kind == "neg" else part
            sign = part.start
            if at == 0:
                following = node.parts[1]
                yield self.edit("sign", part.start, inner.start, "" if part.kind == "neg" else "-")
                yield self.edit("term", part.start, following.start, "")
            else:
                if part.kind != "neg":
                    sign = self.text.rindex("+", node.parts[at - 1].end, part.start)
                yield self.edit("sign", sign, sign + 1, "+" if part.kind == "neg" else "-")
                yield self.edit("term", self.from_row(node.parts[at - 1].end, sign, part.end), part.end, "")
            yield from self.value(inner)

    def from_row(self, before: int, start: int, end: int) -> int:
        """Return where to begin if a piece goes: a row that has nothing else goes with it."""
        rest = re.match(r"[^\\\w]*(\\\\|\\end|$)", self.text[end:])
        return before if rest and r"\\" in self.text[before:start] else start

    def _neg(self, node: Node, alone: bool) -> Iterator[Edit]:
        yield from self.value(node.parts[0])

    def _mul(self, node: Node, alone: bool) -> Iterator[Edit]:
        for at, part in enumerate(node.parts):
            if at + 1 < len(node.parts):
                yield self.edit("factor", part.start, node.parts[at + 1].start, "")
            else:
                yield self.edit("factor", node.parts[at - 1].end, part.end, "")
            yield from self.value(part)

    def units(self, node: Node) -> list[tuple[Node, ...]]:
        """Return the factors of a product; a function and its arguments are one."""
        units: list[tuple[Node, ...]] = []
        parts = list(node.parts)
        while parts:
            width = 2 if len(parts) > 1 and self.applied(parts[0], parts[1]) else 1
            units.append(tuple(parts[:width]))
            parts = parts[width:]
        return units

    def applied(self, head: Node, after: Node) -> bool:
        group = after
        while group.kind in ("pow", "sub", "transpose", "fact"):
            group = group.parts[0]
        if group.kind != "group" or group.text != "(":
            return False
        if name(Node("juxt", (head, group))) in self.by_base:
            return True
        names = {name(head)} | ({name(head.parts[0])} if head.kind in ("sub", "prime") else set())
        return any(s.params is not None or s.kind == "special" for n in names for s in self.by_base.get(n, []))

    def _juxt(self, node: Node, alone: bool) -> Iterator[Edit]:
        units = self.units(node)
        for unit in units:
            start, end = unit[0].start, unit[-1].end
            operator = differential(unit[0]) if unit[0].kind == "frac" else None
            if len(units) > 1:
                yield self.edit("derivative" if operator else "factor", start, end, "")
            if len(unit) == 2:
                yield from self.application(*unit)
            else:
                yield from self.value(unit[0], alone=alone and len(units) == 1)

    def application(self, head: Node, after: Node) -> Iterator[Edit]:
        """Yield the changes of a function with its arguments."""
        group = after
        while group.kind != "group":
            if group.kind == "pow":
                yield from self.exponent(group)
            elif group.kind == "sub":
                for part in group.parts[1:]:
                    yield from self.index(part)
            else:
                yield self.edit("exponent", group.parts[0].end, group.end, "")
            group = group.parts[0]
        if name(Node("juxt", (head, group))) in self.by_base:
            return
        if head.kind == "prime":
            yield self.edit("derivative", head.parts[0].end, head.end, "")
        base = head.parts[0] if head.kind == "prime" else head
        if base.kind == "sub" and name(base) not in self.by_base:
            base = base.parts[0]
        arity = len(group.parts)
        for other in self.names:
            if other != name(base) and any(
                s.params is not None and len(s.params) == arity for s in self.by_base.get(other, [])
            ):
                yield self.name_put("exchange", base, other)
        if head.kind == "sub" and base is not head:
            for part in head.parts[1:]:
                yield from self.index(part)
        yield self.edit("argument", group.start, group.end, "")
        if any(part.kind == "dots" for part in group.parts):
            return
        if arity == 1:
            yield self.edit("function", head.start, group.start, "")
        yield from self.arguments(group)

    def arguments(self, group: Node) -> Iterator[Edit]:
        for one, two in itertools.pairwise(group.parts):
            between = self.text[one.end : two.start]
            yield self.edit("exchange", one.start, two.end, self.source(two) + between + self.source(one))
        for part in group.parts:
            if part.kind == "chain":
                yield from self.chain(part, _OPPOSITE)
            else:
                yield from self.value(part, alone=True)

    def _group(self, node: Node, alone: bool) -> Iterator[Edit]:
        for part in node.parts:
            if part.kind == "chain":
                yield from self.chain(part, _OPPOSITE)
            else:
                yield from self.value(part)

    def _set(self, node: Node, alone: bool) -> Iterator[Edit]:
        for part in node.parts:
            if part.kind != "dots":
                yield from self.value(part)

    # fractions and powers

    def _frac(self, node: Node, alone: bool) -> Iterator[Edit]:
        operator = differential(node)
        if operator:
            yield from self.derivative(node)
            return
        above, below = node.parts
        tops, bottoms = self.source(above), self.source(below)
        if node.text == "/":
            between = self.text[above.end : below.start]
            yield self.edit("fraction", node.start, node.end, bottoms + between + tops)
            yield self.edit("factor", above.end, node.end, "")
            if tops != "1":
                yield self.edit("factor", above.start, above.end, "1")
        else:
            yield self.edit("fraction", node.start, node.end, rf"\frac{{{bottoms}}}{{{tops}}}")
            yield self.unwrap("factor", node, above)
            if tops != "1":
                yield self.put("factor", above, "1", alone=True)
        yield from self.value(above)
        yield from self.value(below)

    def derivative(self, node: Node) -> Iterator[Edit]:
        """Yield the changes of a derivative: one order less, or by another variable."""
        operator = differential(node)
        assert operator is not None
        sign = "d" if re.match(r"\\[td]?frac\s*\{\s*d", self.source(node)) else r"\partial"
        body = self.source(operator.body) if operator.body else ""
        wrapped = f"({body})" if operator.body is not None and _binding(operator.body) == "sum" else body
        left = len(operator.variables) - 1
        if left:
            for kept in {tuple(map(self.source, c)): c for c in itertools.combinations(operator.variables, left)}:
                order = f"^{left}" if left > 1 else ""
                below = r" \, ".join(f"{sign} {variable}" for variable in kept)
                yield self.edit("derivative", node.start, node.end, rf"\frac{{{sign}{order} {wrapped}}}{{{below}}}")
        elif body:
            yield self.edit("derivative", node.start, node.end, wrapped)
        for target in dict.fromkeys(operator.variables):
            base = target.parts[0] if target.kind == "sub" and name(target) not in self.by_base else target
            for other in (*self.like(name(base)), *self.beneath(name(base))):
                yield self.name_put("derivative", base, other)
            if base is not target:
                for part in target.parts[1:]:
                    yield from self.index(part)
        yield from self.value(operator.body)

    def beneath(self, base: str) -> list[str]:
        """Return the derived quantities of one shape with a name that the display depends on and does not show."""
        shapes = {self.dims(s) for s in self.declared(base)}
        own = [s for s in dependencies(self.tree, self.world) if s.kind == "derived" and s.params is None]
        shown = {*self.names, *(re.sub(r"_\{.*", "", n) for n in self.names), base}
        return [s.base for s in own if s.base not in shown and self.dims(s) in shapes]

    def _pow(self, node: Node, alone: bool) -> Iterator[Edit]:
        base, exponent = node.parts
        if base.kind == "sym" and base.text == "e":
            yield self.unwrap("log", node, exponent)
        yield from self.exponent(node)
        yield from self.value(base)

    def exponent(self, node: Node) -> Iterator[Edit]:
        base, exponent = node.parts
        if not (base.kind == "sym" and base.text == "e"):
            yield self.edit("exponent", base.end, node.end, "")
        if exponent.kind == "num":
            yield self.edit("exponent", exponent.start, exponent.end, str(int(exponent.text) + 1))
        else:
            yield from self.value(exponent, alone=True)

    def _transpose(self, node: Node, alone: bool) -> Iterator[Edit]:
        yield self.edit("exponent", node.parts[0].end, node.end, "")
        yield from self.value(node.parts[0])

    def _fact(self, node: Node, alone: bool) -> Iterator[Edit]:
        yield self.edit("function", node.parts[0].end, node.end, "")
        yield from self.value(node.parts[0])

    def _binom(self, node: Node, alone: bool) -> Iterator[Edit]:
        above, below = map(self.source, node.parts)
        yield self.edit("fraction", node.start, node.end, rf"\binom{{{below}}}{{{above}}}")
        yield from self.value(node.parts[0])
        yield from self.value(node.parts[1])

    # functions

    def _prime(self, node: Node, alone: bool) -> Iterator[Edit]:
        if name(node) in self.by_base:
            yield from self.exchanged(node, name(node), alone)
        else:
            yield self.edit("derivative", node.parts[0].end, node.end, "")

    def _abs(self, node: Node, alone: bool) -> Iterator[Edit]:
        yield self.edit("function", node.start, node.end, f"({self.source(node.parts[0])})")
        yield from self.value(node.parts[0])

    def _inner(self, node: Node, alone: bool) -> Iterator[Edit]:
        left, right = node.parts
        for kept, other in ((left, right), (right, left)):  # one vector alone is no number: a factor is 1 in each place
            yield self.put("factor", node, rf"({self.source(kept)})^\top ({self.source(other)})^0")
            yield from self.value(kept, alone=True)

    def _underbrace(self, node: Node, alone: bool) -> Iterator[Edit]:
        yield from self.value(node.parts[0])

    def _count(self, node: Node, alone: bool) -> Iterator[Edit]:
        for part in node.parts:
            yield from self.chain(part, _OPPOSITE)

    def _cases(self, node: Node, alone: bool) -> Iterator[Edit]:
        for one, two in itertools.pairwise(node.parts):
            a, b = one.parts[0], two.parts[0]
            text = self.source(b) + self.text[a.end : b.start] + self.source(a)
            yield self.edit("case", a.start, b.end, text)
        for case in node.parts:
            yield from self.value(case.parts[0], alone=True)
            yield from self.chain(case.parts[1], _OPPOSITE)

    def _call(self, node: Node, alone: bool) -> Iterator[Edit]:
        body = node.parts[0]
        end = node.start + len(re.match(r"\\[A-Za-z]+\*?", self.text[node.start :]).group())  # type: ignore[union-attr]
        if node.text in (r"\max", r"\min"):
            yield self.edit("operator", node.start, end, _OPERATORS[node.text])
            for part in body.parts:
                yield from self.value(part, alone=True)
            return
        kind = "log" if node.text in (r"\log", r"\ln", r"\exp") else "function"
        if not (body.kind == "group" and len(body.parts) > 1):
            yield self.edit("derivative" if node.text == r"\nabla" else kind, node.start, body.start, "")
        if node.sup is not None and node.sup.kind == "num":
            yield self.edit("exponent", node.sup.start, node.sup.end, str(int(node.sup.text) + 1))
        yield from self.value(node.sub)
        # What a function is of can be negated: a bracket's content, or what follows it without one.
        inner = body.parts[0] if body.kind == "group" and len(body.parts) == 1 else body
        if inner is body and inner.kind != "group" and inner.kind != "add":
            yield self.put("sign", inner, "-" + self.source(inner))
            yield from self.value(inner)
        else:
            yield from self.value(inner, alone=True)

    def _big(self, node: Node, alone: bool) -> Iterator[Edit]:
        end = node.start + len(node.text)
        text = node.text
        if text in _OPERATORS:
            yield self.edit("operator", node.start, end, _OPERATORS[text])
        elif "arg" in text:
            other = text.replace("min", "max") if "min" in text else text.replace("max", "min")
            yield self.edit("operator", node.start, end, other)
        for sub in () if node.sub is None else node.sub.parts if node.sub.kind == "args" else (node.sub,):
            yield from self.binding(sub, text)
        if node.sup is not None:
            yield from self.bound(node.sup)
        body = node.parts[0]
        if text == r"\int":
            rest = body.parts[:-2]
            body = rest[0] if len(rest) == 1 else Node("juxt", rest, "", rest[0].start, rest[-1].end)
        yield from self.value(body)

    def binding(self, sub: Node, text: str) -> Iterator[Edit]:
        if text == r"\int":
            yield from self.bound(sub)
        elif sub.kind != "chain":
            yield from self.value(sub)
        elif sub.marks[0] == "=":
            yield from self.value(sub.parts[0])
            yield from self.bound(sub.parts[1])
        else:
            yield from self.chain(sub, _OPPOSITE)

    def bound(self, node: Node) -> Iterator[Edit]:
        if node.kind == "num":
            for number in (int(node.text) - 1, int(node.text) + 1):
                yield self.put("bound", node, str(number), alone=True)
        elif self.source(node).strip("- ") != r"\infty":
            for step in ("- 1", "+ 1"):
                yield self.put("bound", node, f"{self.source(node)} {step}", alone=True)


# How mistakes are made in each kind of formula, and in what may stand beside formulas in brackets.
EDITS: dict[Kind, Callable[[_Editor, Node, bool], Iterator[Edit]]] = {
    "num": _Editor._num,
    "sym": _Editor._sym,
    "sub": _Editor._sub,
    "prime": _Editor._prime,
    "add": _Editor._add,
    "neg": _Editor._neg,
    "mul": _Editor._mul,
    "inner": _Editor._inner,
    "frac": _Editor._frac,
    "juxt": _Editor._juxt,
    "pow": _Editor._pow,
    "transpose": _Editor._transpose,
    "fact": _Editor._fact,
    "group": _Editor._group,
    "set": _Editor._set,
    "abs": _Editor._abs,
    "ceil": _Editor._abs,
    "norm": _Editor._abs,
    "sqrt": _Editor._abs,
    "binom": _Editor._binom,
    "cases": _Editor._cases,
    "underbrace": _Editor._underbrace,
    "count": _Editor._count,
    "call": _Editor._call,
    "big": _Editor._big,
    "args": _Editor._parts,
    "chain": _Editor._parts,
    "dots": _Editor._parts,
    "top": _Editor._parts,
}
