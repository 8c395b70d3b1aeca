"""What the symbols of a page stand for: declared in its table, or defined by its displays."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from lossbook.equations import domains
from lossbook.equations.pages import Display, Page, Row
from lossbook.equations.parsing import MathError, Node, name, parse, subscripts

DEFINING = {"definition", "assumption", "formula"}  # a docstring's formula defines what it can
LARGEST = 20  # size of anything
Meant = Literal["index", "size", "variable", "derived", "special"]
KINDS: dict[str, Meant] = {"runs": "index", "size": "size", "equals": "derived", "in": "variable"}  # by the first field
Key = tuple[str, tuple[str, ...], int | None]  # what tells symbols apart: their names, indices and number of arguments
RELATIONS = (r"\approx", r"\propto", r"\to", r"\longrightarrow", r"\nabla")  # what a page may say the meaning of


@dataclass(frozen=True, eq=False)
class Symbol:
    """One meaning of one symbol.

    Attributes:
        base: The name without indices and arguments, such as `p` for `p_{nk}`.
        kind: `index`, `size`, `variable`, `derived` or `special` (const, O and the like, by `fields`).
        indices: The letters of its indices.
        params: The parameters if it is a function, else None.
        body: What it is equal to, if derived.
        domain: Where its values are drawn from, if a variable.
        first: The position on the page from which it holds; a later one of the same key hides it.
        last: The last position at which it holds.
        label: The display that defines it; empty if the table does.
        variables: What a joint distribution is of, as it is declared.
    """

    base: str
    kind: Meant
    indices: tuple[str, ...] = ()
    params: tuple[str, ...] | None = None
    body: Node | None = None
    domain: str = ""
    first: int = -1
    last: int = 10**9
    label: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    variables: tuple[Node, ...] = ()

    @cached_property  # it is asked for at every evaluation
    def key(self) -> Key:
        """What tells it from other symbols: `H`, `H(q)` and `H(q, p)` are three, `y_n` and `y_k` two."""
        return self.base, self.indices, None if self.params is None else len(self.params)


Symbols = dict[Key, Symbol]


@dataclass
class Pattern:
    """The left side of a definition taken apart."""

    base: str
    indices: tuple[str, ...]
    params: tuple[str, ...] | None


def pattern(node: Node, letters: set[str]) -> Pattern | None:
    r"""Take the left side of a definition apart; None if it has not the form of one.

    Args:
        node: The left side: `BCE`, `\ell_n`, `L(p_1, \dots, p_N)` or `\operatorname{softmax}(z)_k`.
        letters: The letters that are declared as indices.
    """
    if node.kind == "juxt" and len(node.parts) == 2:
        head, group = node.parts
        outer: tuple[str, ...] = ()
        if group.kind == "sub":
            outer = tuple(name(part) for part in group.parts[1:])
            group = group.parts[0]
        base = pattern(head, letters)
        if base is None or base.params is not None or group.kind != "group" or group.text != "(":
            return None
        params = _parameters(group)
        if params is None or not set(outer) <= letters:
            return None
        if not outer and all(param.startswith(r"\text") for param in params):  # p(\text{data}): words, so one number
            return Pattern(name(node), (), None)
        return Pattern(base.base, base.indices + outer, params)
    if node.kind == "sym":
        return Pattern(node.text, (), None)
    if node.kind in ("sub", "prime"):
        indices = _letters(node.parts[1:]) if node.kind == "sub" else []
        if indices and set(indices) <= letters:
            inner = name(node.parts[0])
            return Pattern(inner, tuple(indices), None)
        return Pattern(name(node), (), None)
    return None


def is_place(node: Node) -> bool:
    """Say whether a formula is an arg min or an arg max: its value is what the display says it is equal to."""
    return node.kind == "big" and "arg" in node.text


def _letters(parts: tuple[Node, ...]) -> list[str]:
    """Return the letters of a subscript."""
    return [name(part) for part in subscripts(parts)]


def _parameters(group: Node) -> tuple[str, ...] | None:
    r"""Return the names of the parameters; `p_1, \dots, p_N` is the one parameter `p`, and `\sigma^2` is `\sigma^2`."""
    names: list[str] = []
    for part in spread(group.parts):
        power = ""
        if part.kind == "pow" and part.parts[1].text.isdecimal():
            part, power = part.parts[0], f"^{part.parts[1].text}"
        if part.kind not in ("sym", "sub", "prime"):
            return None
        names.append(name(part) + power)
    return tuple(names)


def spread(parts: tuple[Node, ...]) -> tuple[Node, ...]:
    r"""Replace `a_1, \dots, a_N` by `a`."""
    out = list(parts)
    while any(part.kind == "dots" for part in out):
        at = next(i for i, part in enumerate(out) if part.kind == "dots")
        first, last = (out[at - 1] if at else None), (out[at + 1] if at + 1 < len(out) else None)
        if not (first and last and first.kind == last.kind == "sub" and name(first.parts[0]) == name(last.parts[0])):
            where = out[at].start
            raise MathError("dots must stand between the first and the last of one symbol, as in p_1, …, p_N", where)
        out[at - 1 : at + 2] = [first.parts[0]]
    return tuple(out)


class Table:
    """The symbols of a page, and which of them hold at a display."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.symbols: list[Symbol] = []
        self.positions = {display.label: at for at, display in enumerate(page.displays)}
        self.trees: dict[str, Node] = {}
        self.unread: dict[str, str] = {}  # what is wrong with the displays that are no mathematics
        for display in page.displays:
            try:
                self.trees[display.label] = parse(display.text)
            except MathError as error:
                line, column = display.place(error.position)
                self.unread[display.label] = f"line {line}, column {column}: {error}"
                self.faults.append(f"{page.name}, {display.label}, {self.unread[display.label]}")
        self.letters = {n for row in page.rows if "runs" in row.fields for n in _names(row.symbol)}
        for row in page.rows:
            try:
                self.symbols += self._declared(row)
            except (MathError, KeyError) as error:
                self.faults.append(f"{page.name}, line {row.line}: symbol {row.symbol}: {error}")
        for display in page.displays:
            if display.role in DEFINING and display.label in self.trees:
                try:
                    self.symbols += self.defined(display, self.trees[display.label])
                except MathError as error:
                    line, column = display.place(error.position)
                    self.faults.append(f"{page.name}, {display.label}, line {line}, column {column}: {error}")

    def at(self, label: str) -> Symbols:
        """Return the symbols that hold at a display, its own definitions included, by key."""
        position = self.positions[label]
        holding = [s for s in self.symbols if s.first <= position <= s.last]
        return {s.key: s for s in sorted(holding, key=lambda s: s.first)}

    def defined(self, display: Display, tree: Node) -> list[Symbol]:
        """Return what a definition defines: the left side of each of its rows."""
        found: list[Symbol] = []
        for item in tree.parts:
            chain = item.parts[0]
            if chain.kind != "chain" or chain.marks[0] != "=":
                continue
            left = pattern(chain.parts[0], self.letters)
            if left is None or self._instance(chain.parts[0], found):  # a relation that follows: it is checked
                continue
            if any((s.base, s.indices, s.params) == (left.base, left.indices, left.params) for s in found):
                raise MathError(f"{name(chain.parts[0])} is defined twice in this display", chain.start)
            found.append(
                Symbol(
                    left.base,
                    "derived",
                    left.indices,
                    left.params,
                    next((part for part in chain.parts[1:] if not is_place(part)), chain.parts[1]),
                    first=self.positions[display.label],
                    label=display.label,
                )
            )
        if not found and display.role == "definition":
            self.faults.append(
                f"{self.page.name}, {display.label}, line {display.line}: it defines nothing: a definition's left side "
                "must be a symbol, with indices or with arguments"
            )
        return found

    def _instance(self, node: Node, found: list[Symbol]) -> bool:
        """Say whether a display has already defined what stands here: z_K, where it begins by defining z_k."""
        if node.kind != "sub" or not any(s.base == name(node.parts[0]) and s.indices for s in found):
            return False
        sizes = {written for row in self.page.rows if "size" in row.fields for written in _names(row.symbol)}
        return all(part.kind == "num" or name(part) in sizes for part in node.parts[1:])

    def _declared(self, row: Row) -> list[Symbol]:
        fields = row.fields
        first, last = self._span(fields)
        self._valid(fields)
        symbols = []
        for written in _names(row.symbol):
            if written in RELATIONS:
                symbols.append(Symbol(written, "special", first=first, last=last, fields=fields))
                continue
            node = formula(written)
            left = pattern(node, self.letters)
            if left is None:
                left = Pattern(name(node), (), None)
            body = formula(str(fields["equals"])) if "equals" in fields else None
            kind: Meant = next((kind for field, kind in KINDS.items() if field in fields), "special")
            domain = str(fields.get("in", ""))
            if domain == "joint" and left.params is None:
                raise MathError(f"{left.base} must name the variables that it is the joint distribution of", 0)
            variables = node.parts[1].parts if domain == "joint" else ()
            if kind == "variable" and (left.params is None) == (domain in domains.FUNCTIONS):
                raise MathError(f"{domain!r} is where {'functions' if left.params is None else 'numbers'} come from", 0)
            if domain in domains.SHARES and not left.indices:
                raise MathError(f"{domain!r} needs an index", 0)
            symbol = Symbol(
                left.base, kind, left.indices, left.params, body, domain, first, last, "", fields, variables
            )
            before = [s for s in [*self.symbols, *symbols] if s.key == symbol.key and s.params == symbol.params]
            if any(s.first == first for s in before):
                raise MathError(f"{written} is declared twice from the same place on", 0)
            symbols.append(symbol)
        return symbols

    def _span(self, fields: dict[str, Any]) -> tuple[int, int]:
        """Return the positions of the displays between which a row holds."""
        for option in ("from", "until"):
            label = fields.get(option)
            if label is not None and label not in self.positions:
                raise MathError(f"{option} is {label!r}; it must be the label of a display of the page", 0)
        first = self.positions[fields["from"]] if "from" in fields else -1
        last = self.positions[fields["until"]] if "until" in fields else 10**9
        if last < first:
            raise MathError(f"until is {fields['until']!r}, which stands before {fields['from']!r}", 0)
        return first, last

    def _valid(self, fields: dict[str, Any]) -> None:
        """See that the fields of a row say what such fields can say.

        Raises:
            MathError: One does not; the message says what it must be.
        """
        if "in" in fields:
            domains.check(str(fields["in"]))
        if "size" in fields and not (str(fields["size"]).isdecimal() and 1 <= int(fields["size"]) <= LARGEST):
            raise MathError(f"size is {fields['size']!r}; it must be a whole number from 1 to {LARGEST}", 0)
        sizes = {written for row in self.page.rows if "size" in row.fields for written in _names(row.symbol)}
        if "runs" in fields and str(fields["runs"]) not in sizes:
            raise MathError(f"runs is {fields['runs']!r}; it must be a symbol with the field 'size'", 0)
        if "tends" in fields and not re.fullmatch(r".+\\to\s*(0|\\infty)\s*", str(fields["tends"])):
            raise MathError(f"tends is {fields['tends']!r}; it must be as in T \\to \\infty or in T \\to 0", 0)


def formula(text: str) -> Node:
    """Read one formula: what a symbol is, or what it is equal to.

    Raises:
        MathError: It is none, or a relation, or more than one.
    """
    tree = parse(text)
    item = tree.parts[0]
    if len(tree.parts) > 1 or len(item.parts) > 1 or item.parts[0].kind == "chain":
        raise MathError(f"{text!r} must be one formula", 0)
    return item.parts[0]


def _names(written: str) -> list[str]:
    """Split the symbols that share one row: `i, j, k`; commas in brackets and braces separate nothing."""
    parts, depth, current = [], 0, ""
    for char in written:
        depth += (char in "({") - (char in ")}")
        if char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [part for part in (*parts, current.strip()) if part and not re.fullmatch(r"\\q?quad", part)]
