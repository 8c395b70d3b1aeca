"""Checks every relation of a page's displays at random points."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, assert_never

import mpmath
import numpy as np
from lark import Token

from lossbook.equations import domains
from lossbook.equations.code_agreement import NONE, Functions, close, coded, computed, difference, read_code
from lossbook.equations.evaluating import (
    ALIASES,
    COMPARISONS,
    FACTOR,
    HELD,
    ORDERS,
    Differential,
    Env,
    UndefinedError,
    World,
    as_factors,
    dependencies,
    differential,
    evaluate,
    free_letters,
    place,
    real,
    root,
    truth,
    unbounded,
    uses_of_functions,
    variable,
)
from lossbook.equations.notation import NOTATIONS
from lossbook.equations.pages import Display, Page
from lossbook.equations.parsing import MathError, Node, name
from lossbook.equations.points import ALIKE, BEYOND, beyond, finite, numbered, resized, taken, together
from lossbook.equations.symbols import Symbol, Symbols, Table, is_place, pattern

DIGITS = 50  # of the working precision
POINTS = 6
MORE = 4  # times as many where a formula has branches: only some of the points are where two of them differ
BRANCHING = (r"\max", r"\min", r"\operatorname{sign}", r"\operatorname{round}")
EVALUATED = "both sides were evaluated"
FINE, FINEST = 200, 700  # digits: far out, and to tell very small numbers apart (those of float64 among them)
SAME = mpmath.mpf(10) ** -25  # the largest relative difference of two equal numbers: half of the digits
NOTHING = mpmath.mpf(10) ** -35
NEAR, FAR = 6, 9  # powers of ten at which a limit is looked at
TRIES = 200  # to find a point at which a condition holds
GRID = 24  # how many thirds from 0 another solution is looked for
NEARLY = mpmath.mpf(10) ** -12
WIDE = (mpmath.mpf(5), mpmath.mpf(1))  # how far off an extreme is compared too, where the domain has no end
SCALES = tuple(mpmath.mpf(10) ** -n for n in (1, 2, 4, 6, 8, 10))


@dataclass(frozen=True)
class Step:
    """One relation of a display that was found to hold.

    Attributes:
        left: The LaTeX on its left.
        relation: The LaTeX of the sign between them.
        right: The LaTeX on its right.
        points: At how many points both sides were evaluated.
        worst: The largest relative difference of the sides of an equality; the smallest gap of an inequality.
        how: What was compared, in words.
        code: The name of the function that the right side was held against, if any.
        derivative: Whether it was its derivative.
    """

    left: str
    relation: str
    right: str
    points: int
    worst: float
    how: str
    code: str = ""
    derivative: bool = False


@dataclass
class Record:
    """What was found of one display."""

    display: Display
    steps: list[Step] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    defines: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every relation was checked and found true."""
        return not self.faults


class FalseError(MathError):
    """A relation that does not hold."""


def check_page(page: Page, labels: set[str] | None = None, functions: Functions = NONE) -> tuple[Table, list[Record]]:
    """Check the displays of a page, and return its symbols and a record of each display.

    Args:
        page: The page.
        labels: Which displays; all unless given.
        functions: What the page's formulas are held against where its table of symbols names code.
    """
    table = Table(page)
    for row in page.rows:
        try:
            if "code" in row.fields:
                read_code(str(row.fields["code"]), functions)
        except MathError as error:
            table.faults.append(f"{page.name}, line {row.line}: symbol {row.symbol}: {error}")
    wanted = [display for display in page.displays if labels is None or display.label in labels]
    return table, [check_display(table, display, functions=functions) for display in wanted]


def check_display(
    table: Table,
    display: Display,
    tree: Node | None = None,
    points: int = POINTS,
    known: dict[Any, Any] | None = None,
    functions: Functions = NONE,
) -> Record:
    """Check one display of a page.

    Args:
        table: The page's symbols.
        display: The display.
        tree: What it says, if not what the page says.
        points: At how many points each relation is evaluated.
        known: Values of sides at points, kept from one check to the next: only where the symbols and the conditions
            stay what they are.
        functions: What formulas are held against where the table of symbols names code.
    """
    record = Record(display)
    tree = tree or table.trees.get(display.label)
    if tree is None:
        record.faults.append(f"it cannot be read: {table.unread[display.label]}")
        return record
    symbols = table.at(display.label)
    if any(part.kind not in ("big", "group") and breaks(part) for part in tree.walk()):
        points *= MORE
    checker = _Checker(table, display, symbols, points, record, functions)
    checker.known = known
    with mpmath.workdps(DIGITS):
        for item in tree.parts:
            try:
                checker.item(item)
            except MathError as error:
                if isinstance(error, FalseError) and (twofold := checker.twofold(item)):
                    error = twofold
                line, column = display.place(error.position)
                kind = "" if isinstance(error, FalseError) else "it cannot be checked: "
                record.faults.append(f"line {line}, column {column}: {kind}{error}")
            except Exception as error:  # whatever a display says, it is named
                line, column = display.place(item.start)
                what = f"it cannot be worked out ({type(error).__name__}: {error})"
                record.faults.append(f"line {line}, column {column}: {what}")
    if not record.steps and not record.defines and not record.faults and display.role != "assumption":
        record.faults.append("it claims nothing: it has no relation")
    return record


def environments(
    table: Table, display: Display, nodes: list[Node], conditions: list[Node], world: World
) -> list[Env] | None:
    """Return what formulas of a display can be evaluated in at a point: one for each value of their free indices.

    None if the point cannot be made one at which the conditions hold.
    """
    checker = _Checker(table, display, table.at(display.label), 1, Record(display))
    checker.chosen = [condition for condition in conditions if checker._chooses(condition)]
    met = checker._meet(world, conditions)
    return None if met is None else [*checker._envs(nodes, met)]


class _Checker:
    def __init__(
        self,
        table: Table,
        display: Display,
        symbols: Symbols,
        points: int,
        record: Record,
        functions: Functions = NONE,
    ) -> None:
        self.table, self.display, self.symbols, self.points, self.record = table, display, symbols, points, record
        self.functions = functions
        self.by_base = World(symbols, "", 0).by_base
        self.known: dict[Any, Any] | None = None
        self.place = 0  # of the link that is being checked
        self.chosen: list[Node] = []  # the conditions that choose among the values of an index: k ≠ y
        self.kept: frozenset[str] = frozenset()  # the sizes that are what the page says at every point
        self.turning: list[Symbol] = []  # the numbers, each of a set, that go through all that they can be together

    # points

    def worlds(self, conditions: list[Node]) -> Iterator[World]:
        """Yield a point at which the conditions hold, as often as points are asked for."""
        among = "".join(f"/{symbol.base}" for symbol in self.turning)
        for point in range(together(World(self.symbols, "", 0), self.turning, self.points)):
            symbols = resized(self.symbols, point, self.kept)
            for trial in range(TRIES):
                world = World(symbols, f"{self.table.page.name}/{self.display.label}{among}/{trial}", point)
                taken(world, self.turning)
                met = self._meet(world, conditions)
                if met is not None:
                    yield met
                    break
            else:
                raise MathError("no point was found at which the condition holds", conditions[0].start)

    def _beyond(self, ways: tuple[tuple[str, int], ...], conditions: list[Node]) -> Iterator[World]:
        """Yield those points beside the drawn ones at which the conditions hold."""
        for world in beyond(self.symbols, f"{self.table.page.name}/{self.display.label}", ways, self.kept):
            with contextlib.suppress(UndefinedError):
                met = self._meet(world, conditions)
                if met is not None:
                    yield met

    def _meet(self, world: World, conditions: list[Node]) -> World | None:
        for condition in conditions:
            solved = self._solve(condition, Env(world)) if condition.kind == "chain" else None
            if solved is not None:
                world = solved
            elif condition not in self.chosen and not all(
                truth(condition, env) for env in self._envs([condition], world)
            ):
                return None
        return world

    def _envs(self, nodes: list[Node], world: World) -> Iterator[Env]:
        """Yield one environment for each value of the indices that nothing in the relation binds."""
        letters: list[str] = []
        for node in nodes:
            letters += [letter for letter in free_letters(node, world.ranges) if letter not in letters]
        runs = [range(1, world.length(letter) + 1) for letter in letters]
        for choice in itertools.product(*runs):
            env = Env(world, dict(zip(letters, choice, strict=True)))
            if all(truth(c, env) for c in self.chosen if set(free_letters(c, world.ranges)) <= set(letters)):
                yield env

    # items

    def item(self, item: Node) -> None:
        """Check what stands between two separators of a display."""
        claims, conditions = [item.parts[0]], []
        links: list[tuple[Node, Token, Node]] = []
        for token, part in zip(item.marks, item.parts[1:], strict=True):
            if token.type == "IF":
                conditions.append(part)
            else:
                links.append((claims[-1], token, part))
                claims.append(part)
        for claim in claims:
            if claim.kind != "chain":
                raise MathError("this claims nothing: it is no relation", claim.start)
        self._bare(claims)
        self.chosen = [condition for condition in conditions if self._chooses(condition)]
        self.kept = numbered([*claims, *conditions], self.symbols)
        for number, claim in enumerate(claims):
            if links and number == 0:
                self._identities(claim, conditions)
            given = number < len(claims) - 1 or (links and (claim.marks[0] != "=" or self._is_solution(claim)))
            self.chain(claim, conditions, skip_first=bool(given), skip_rest=number < len(claims) - 1)
        for number, (left, token, right) in enumerate(links):
            self.place = self._link(left, token, right, first=number == 0)
            self._implication(left, str(token), right, conditions)

    def twofold(self, item: Node) -> MathError | None:
        """Return what to say of a false item that holds if a bracket after a function's name is a factor."""
        world = World(self.symbols, "", 0)
        other = as_factors(item, Env(world))
        if other is item:
            return None
        checker = _Checker(self.table, self.display, self.symbols, self.points, Record(self.display), self.functions)
        try:
            checker.item(other)
        except Exception:  # whatever is wrong with it, it is not what was meant
            return None
        base, _, node = next(use for use in uses_of_functions(item, world) if use[1] and use[1].parts[0].kind == "add")
        return MathError(f"{base} before a bracket can be read in two ways here: {FACTOR.format(base)}", node.start)

    def _bare(self, claims: list[Node]) -> None:
        """Refuse a name before the bracket of a sum, if the name stands for a value elsewhere in the same statement."""
        world = World(self.symbols, "", 0)
        uses = [use for claim in claims for use in uses_of_functions(claim, world)]
        alone = {base for base, after, _ in uses if after is None}
        for base, after, node in uses:
            if base not in alone or after is None or [part.kind for part in after.parts] != ["add"]:
                continue
            if not any(used == base and group is None for used, group, _ in uses_of_functions(after.parts[0], world)):
                what = f"{base} stands without its argument too, so this bracket can be read in two ways"
                raise MathError(f"{what}: {FACTOR.format(base)}", node.start)

    def _chooses(self, condition: Node) -> bool:
        """Say whether a condition is of an index, as k ≠ y: it says for which of its values a claim is made."""
        return condition.kind == "chain" and any(part.text in self.table.letters for part in condition.parts)

    def _identities(self, chain: Node, conditions: list[Node]) -> None:
        """Check what an implication's premise says before its last relation: f'(x) = g(x), of f'(x) = g(x) = 0."""
        links = zip(chain.parts, chain.marks[:-1], chain.parts[1:], strict=False)
        for number, (left, sign, right) in enumerate(links):
            if str(sign) == "=":
                self.place = self._link(left, sign, right, first=number == 0)
                self._relation(left, str(sign), right, conditions)

    def chain(self, chain: Node, conditions: list[Node], *, skip_first: bool, skip_rest: bool) -> None:
        """Check the relations of a chain one by one; the first of a definition is what it defines."""
        for number, (left, sign, right) in enumerate(zip(chain.parts, chain.marks, chain.parts[1:], strict=False)):
            mark = str(sign)
            self.place = self._link(left, sign, right, first=number == 0)
            if number == 0 and mark == "=" and not skip_first and self._defines(chain):
                self._evaluable(right, conditions)
                self.record.defines.append(self._text(left))
                self._agrees(left, right, conditions)
            elif self.display.role == "assumption":
                self._evaluable(right, conditions)
            elif not (skip_first and number == 0) and not skip_rest:
                self._relation(left, mark, right, conditions)
        if not skip_rest:
            self._agreement(chain, conditions)

    def _link(self, left: Node, mark: Token, right: Node, *, first: bool) -> int:
        """Return the place of a link: where the chain begins if that is on its line, else where its relation is."""
        assert mark.start_pos is not None
        lines = [self.display.place(position)[0] for position in (left.start, mark.start_pos, right.start)]
        if first and lines[0] == lines[1]:
            return left.start
        return mark.start_pos if lines[1] == lines[2] else right.start

    def _agreement(self, chain: Node, conditions: list[Node]) -> None:
        """Hold what the page says code computes, or its derivative, against that code."""
        for at, node in enumerate(chain.parts):
            side = coded(node, self.table, self.display.label, self.functions)
            if side is None:
                continue
            if at + 1 < len(chain.parts) and chain.marks[at] == "=":
                other, link = chain.parts[at + 1], at
            elif at and chain.marks[at - 1] == "=":
                other, link = chain.parts[at - 1], at - 1
            else:
                continue
            self.place = self._link(chain.parts[link], chain.marks[link], chain.parts[link + 1], first=link == 0)
            worst, count = 0.0, 0
            nodes = [node, other]
            self.turning = []  # code is not run at more points for that
            for env in (env for world in self.worlds(conditions) for env in self._envs(nodes, world)):
                found = computed(side, env, self.functions)
                if found is not None:
                    shown = float(real(evaluate(other, env), other))
                    count += 1
                    for where_, (value, relative) in found.items():
                        if not close(value, shown, relative):
                            raise FalseError(
                                f"{self._text(node)} = {self._text(other)} is not what code computes: the formula "
                                f"gives {shown:.10g}, {where_}.{side.code} {value:.10g} at {where(env, [node, other])}",
                                self.place,
                            )
                        worst = max(worst, difference(value, shown))
            if not count:  # a derivative by what is no argument of the code
                continue
            own, others = self.functions.own, self.functions.twins(side.code.function)
            held = [f"{own.name}.{side.code}", *(library.title or library.name for library in others)]
            how = f"the formula was held against {' and '.join(held)}"
            step = Step(
                self._text(node),
                "=",
                self._text(other),
                count,
                worst,
                how,
                str(side.code),
                bool(side.by or side.code.by),
            )
            self.record.steps.append(step)

    def _defines(self, chain: Node) -> bool:
        if self.display.role not in ("definition", "formula"):
            return False
        left = pattern(chain.parts[0], self.table.letters)
        own = {s.base for s in self.symbols.values() if s.label == self.display.label}
        return left is not None and left.base in own

    def _agrees(self, left: Node, right: Node, conditions: list[Node]) -> None:
        """Hold a definition against what the table of symbols says that the same symbol is equal to."""
        told = pattern(left, self.table.letters)
        at = self.table.positions[self.display.label]
        if told is None:
            return
        before = [
            s
            for s in self.table.symbols
            if not s.label and (s.base, s.indices) == (told.base, told.indices) and s.first <= at <= s.last
        ]
        before = sorted((s for s in before if (s.params is None) == (told.params is None)), key=lambda s: s.first)
        if not before or before[-1].kind not in ("derived", "size", "index") or before[-1].params != told.params:
            return
        if before[-1].kind != "derived":
            raise MathError(f"{self._text(left)} is a {before[-1].kind} in the table of symbols already", left.start)
        own = {**self.symbols, before[-1].key: before[-1]}
        checker = _Checker(self.table, self.display, own, self.points, Record(self.display))
        checker.place = self.place
        checker._compare(left, "=", right, conditions)

    def _evaluable(self, node: Node, conditions: list[Node]) -> None:
        """See that a definition's right side has a value, parameters aside."""
        if node.kind == "set" or is_place(node):
            return
        for world in itertools.islice(self.worlds(conditions), 1):
            for env in itertools.islice(self._envs([node], world), 1):
                evaluate(node, env)

    def _text(self, *nodes: Node) -> str:
        text = self.display.text[nodes[0].start : nodes[-1].end]
        return " ".join(text.replace("&", " ").replace(r"\\", " ").split()).strip()

    # relations

    def _relation(self, left: Node, mark: str, right: Node, conditions: list[Node]) -> None:
        mark = ALIASES.get(mark, mark)
        nodes = [left, right]
        if _alike(left) == _alike(right):
            raise MathError("this claims nothing: both sides are the same formula", self.place)
        self._sound(nodes)
        self._turn([*nodes, *conditions])
        if mark in (r"\approx", r"\to", r"\longrightarrow"):
            self._limit(left, mark, right, conditions)
        elif mark == r"\propto":
            self._proportional(left, right, conditions)
        elif mark == r"\in":
            self._member(left, right, conditions)
        elif mark == "=" and any(part.kind == "big" and "arg" in part.text for part in nodes):
            self._extreme(left, right, conditions)
        elif mark == "=" and (constants := self._specials("constant", nodes)):
            self._up_to(left, right, constants, conditions)
        elif mark == "=" and self._specials("tends", nodes):
            self._remainder(left, right, conditions)
        elif mark in COMPARISONS:
            self._compare(left, mark, right, conditions)
        else:
            raise MathError(f"{mark} is no relation that can be checked", left.end)

    def _turn(self, nodes: list[Node]) -> None:
        """Have the numbers of sets that formulas depend on go through all that they can be together."""
        turning = finite(nodes, self.symbols)
        self.turning = turning if len(turning) > 1 else []

    def _sound(self, nodes: list[Node]) -> None:
        """Refuse what is true or false only by how it is written: a letter for two things, a derivative by nothing."""
        letters = frozenset(self.table.letters)
        free = frozenset(letter for node in nodes for letter in free_letters(node, letters))
        for node in nodes:
            for part, letter in _rebound(node, free):
                raise MathError(f"{letter} stands for two things here: rename the index of the sum", part.start)
            for operator, body in _derivatives(node):
                for target in operator.variables:
                    if not _bases(target, self.symbols) & _bases(body, self.symbols):
                        what = self._text(target)
                        raise MathError(f"a derivative by {what} of what does not depend on it", operator.node.start)

    def _specials(self, option: str, nodes: list[Node]) -> list[Symbol]:
        bases = {name(part) for node in nodes for part in node.walk() if part.kind in ("sym", "sub")}
        return [
            symbol
            for base in sorted(bases)
            for symbol in self.by_base.get(base, [])
            if symbol.kind == "special" and option in symbol.fields
        ]

    def _compare(self, left: Node, mark: str, right: Node, conditions: list[Node]) -> None:
        worst, count = mpmath.mpf(0 if mark == "=" else "inf"), 0
        branches = {} if conditions else _branches([left, right])
        held: set[tuple[int, bool]] = set()
        enough = together(World(self.symbols, "", 0), self.turning, self.points)
        small = False
        for number, world in enumerate(self._many(conditions) if branches else self.worlds(conditions)):
            if number >= enough and not {*branches} - held:
                break
            world.values[HELD] = held
            for env in self._envs([left, right], world):
                count += 1
                for x, y in zip(*self._both(left, right, env), strict=True):
                    gap = self._gap(x, mark, y)
                    if gap is None:
                        raise self._false(left, mark, right, x, y, env)
                    small |= bool(SAME * max(abs(x), abs(y)) < abs(x - y) <= NOTHING)
                    worst = max(worst, gap) if mark == "=" else min(worst, gap)
        if small:
            self._compare_finest(left, mark, right, conditions)
        if mark != "=" or self._jumps([left, right]):
            self._compare_beyond(left, mark, right, conditions, held)
        for branch, node in branches.items():
            if branch not in held:
                never = f"{self._text(node)} was {'never' if branch[1] else 'always'} what holds"
                raise MathError(f"{never} at the points that were drawn, so not all of this was checked", node.start)
        self._add(left, mark, right, count, worst, EVALUATED)

    def _jumps(self, nodes: list[Node]) -> bool:
        """Say whether formulas have pieces: an equality that holds in one of them says nothing of the others."""
        world = World(self.symbols, "", 0)
        bodies = [s.body for node in nodes for s in dependencies(node, world) if s.body is not None]
        parts = (part for node in (*nodes, *bodies) for part in node.walk())
        return any(breaks(part) and self._continuous(part) for part in parts)

    def _continuous(self, node: Node) -> bool:
        """Say whether a formula depends on a number that is of no set: all that those can be is tried already."""
        found = dependencies(node, World(self.symbols, "", 0))
        return any(s.kind == "variable" and s.params is None and domains.set_of(s.domain) is None for s in found)

    def _compare_finest(self, left: Node, mark: str, right: Node, conditions: list[Node]) -> None:
        """Compare numbers whose difference is next to nothing with so many digits that what is left of it counts."""
        known, self.known = self.known, None
        try:
            with mpmath.workdps(FINEST):
                some = itertools.islice(self.worlds(conditions), 2)
                for env in (env for world in some for env in self._envs([left, right], world)):
                    for x, y in zip(*self._both(left, right, env), strict=True):
                        if self._gap(x, mark, y) is None:
                            raise self._false(left, mark, right, x, y, env)
        finally:
            self.known = known

    def _compare_beyond(
        self, left: Node, mark: str, right: Node, conditions: list[Node], held: set[tuple[int, bool]]
    ) -> None:
        """Compare the sides at the points beside the drawn ones; those at which one has no value show nothing."""
        alike = ALIKE if mark not in ("=", r"\ne") else ()  # ≠ says of two formulas that they are not the same
        with mpmath.workdps(FINE):
            for world in self._beyond((*BEYOND, *alike), conditions):
                world.values[HELD] = held
                for env in self._envs([left, right], world):
                    try:
                        pairs = [*zip(*self._both(left, right, env), strict=True)]
                    except UndefinedError:
                        continue
                    for x, y in pairs:
                        # Far out two different numbers can be too near to be told apart.
                        told = world.way in dict(ALIKE) or not self._same(x, y)
                        if told and self._gap(x, mark, y) is None and mpmath.isfinite(abs(x) + abs(y)):
                            raise self._false(left, mark, right, x, y, env)

    def _side(self, node: Node, env: Env) -> Any:
        if self.known is None:
            return evaluate(node, env)
        key = id(node), env.world.seed, env.world.point, tuple(sorted(env.bound.items()))
        if key not in self.known:
            self.known[key] = node, evaluate(node, env)  # the node too, so that no other has its number
        return self.known[key][1]

    def _both(self, left: Node, right: Node, env: Env) -> tuple[list[Any], list[Any]]:
        """Return the numbers of both sides; a number stands for an array of it where the other side is one."""
        sides = [self._side(node, env) for node in (left, right)]
        shapes = [np.shape(side) if isinstance(side, np.ndarray) else () for side in sides]
        flat = [
            [real(x, node) for x in np.ravel(np.asarray(side, dtype=object))]
            for side, node in zip(sides, (left, right), strict=True)
        ]
        if shapes[0] != shapes[1]:
            if () not in shapes:
                raise FalseError(f"the sides have the shapes {shapes[0]} and {shapes[1]}", self.place)
            size = max(len(flat[0]), len(flat[1]))
            flat = [side * size if len(side) == 1 else side for side in flat]
        return flat[0], flat[1]

    def _gap(self, x: Any, mark: str, y: Any) -> Any:
        """Return by how much two numbers differ, relative to the larger; None if the relation is false."""
        scale = max(abs(x), abs(y))
        if not mpmath.isfinite(scale):
            return mpmath.mpf(0) if x == y and mark == "=" else None
        same = self._same(x, y)
        gap = abs(x - y) / scale if scale > NOTHING else mpmath.mpf(0)
        if mark == "=":
            return gap if same else None
        if mark == r"\ne":
            return None if same else gap
        if same:
            return mpmath.mpf(0) if mark in (r"\le", r"\ge") else None
        return gap if COMPARISONS[mark](x, y) else None

    def _same(self, x: Any, y: Any) -> bool:
        """Say whether two numbers are equal, as far as the digits that are worked with can tell."""
        if not mpmath.isfinite(abs(x) + abs(y)):
            return bool(x == y)
        digits = mpmath.mp.dps / mpmath.mpf(DIGITS)
        return bool(abs(x - y) <= max(SAME**digits * max(abs(x), abs(y)), NOTHING**digits))

    def _false(self, left: Node, mark: str, right: Node, x: Any, y: Any, env: Env) -> FalseError:
        values = f"the left side is {mpmath.nstr(x, 10)} and the right side {mpmath.nstr(y, 10)}"
        return FalseError(
            f"{self._text(left)} {mark} {self._text(right)} is false: {values} at {where(env, [left, right])}",
            self.place,
        )

    def _add(self, left: Node, mark: str, right: Node, count: int, worst: Any, how: str) -> None:
        if not count:
            raise MathError("it was evaluated nowhere: its condition holds for no value of its indices", left.start)
        self.record.steps.append(Step(self._text(left), mark, self._text(right), count, float(worst), how))

    def _member(self, left: Node, right: Node, conditions: list[Node]) -> None:
        chain = Node("chain", (left, right), "", left.start, right.end, marks=(Token("REL", r"\in"),))
        count = 0
        for world in self.worlds(conditions):
            for env in self._envs([left, right], world):
                count += 1
                if not truth(chain, env):
                    value = mpmath.nstr(evaluate(left, env), 10)
                    raise FalseError(f"{self._text(left)} is {value}, which is not in {self._text(right)}", self.place)
        self._add(left, r"\in", right, count, 0, "every value that is drawn is a member")

    def _up_to(self, left: Node, right: Node, constants: list[Symbol], conditions: list[Node]) -> None:
        """Check an equality up to a constant: the difference of the sides stays when the named variables change."""
        names = [n.strip() for symbol in constants for n in str(symbol.fields["constant"]).split(";")]
        worst, count, changes = mpmath.mpf(0), 0, False
        for world in self.worlds(conditions):
            for symbol in constants:
                world.values[symbol.key] = mpmath.mpf(0)
            for env in self._envs([left, right], world):
                before = evaluate(left, env)
                first = real(before, left) - real(evaluate(right, env), right)
                for other in self._redrawn(world, names):
                    there = replace(env, world=other)
                    after = evaluate(left, there)
                    second = real(after, left) - real(evaluate(right, there), right)
                    changes |= bool(np.any(before != after))
                    count += 1
                    gap = abs(first - second) / max(abs(first), abs(second), 1)
                    if gap > SAME:
                        shown = f"{mpmath.nstr(first, 10)} and {mpmath.nstr(second, 10)}"
                        raise FalseError(
                            f"{self._text(left)} = {self._text(right)} is false: the difference of the sides is "
                            f"{shown} at two values of {', '.join(names)}, so it is no constant",
                            self.place,
                        )
                    worst = max(worst, gap)
        if not changes:
            raise MathError(f"this claims nothing: the left side does not depend on {', '.join(names)}", self.place)
        self._add(left, "=", right, count, worst, f"the sides differ by one constant, whatever {', '.join(names)} is")

    def _proportional(self, left: Node, right: Node, conditions: list[Node]) -> None:
        own = [s for s in self.by_base.get(r"\propto", []) if "constant" in s.fields]
        if not own:
            raise MathError(r"\propto must be in the table of symbols, with the field 'constant'", left.end)
        names = [n.strip() for n in str(own[0].fields["constant"]).split(";")]
        worst, count, changes = mpmath.mpf(0), 0, False
        for world in self.worlds(conditions):
            for env in self._envs([left, right], world):
                a, b = self._both(left, right, env)
                if not all((*a, *b)):
                    raise FalseError(f"{self._text(left)} \\propto {self._text(right)}: a side is 0", self.place)
                for other in self._redrawn(world, names):
                    c, d = self._both(left, right, replace(env, world=other))
                    changes |= a != c
                    for w, x, y, z in zip(a, b, c, d, strict=True):
                        count += 1
                        gap = self._gap(w * z, "=", x * y)
                        if gap is None:
                            raise self._false(left, r"\propto", right, w, x, env)
                        worst = max(worst, gap)
        if not changes:
            raise MathError(f"this claims nothing: the left side does not depend on {', '.join(names)}", left.start)
        self._add(left, r"\propto", right, count, worst, f"the ratio stays the same, whatever {', '.join(names)} is")

    def _difference(self, left: Node, right: Node, env: Env) -> Any:
        return real(evaluate(left, env), left) - real(evaluate(right, env), right)

    def _redrawn(self, world: World, names: list[str]) -> Iterator[World]:
        """Yield the same point with other values of the named variables, one after the other and all at once."""
        keys = []
        for base in names:
            own = [s for s in self.by_base.get(base, []) if s.kind == "variable"]
            if not own:
                raise MathError(f"{base} is not a variable of the page", 0)
            keys.append(own[-1])
        for trial in range(2):
            other = world
            for symbol in keys:
                fresh = World(world.symbols, f"{world.seed}/again{trial}", world.point)
                other = other.changed(symbol.key, variable(symbol, Env(fresh), Node("sym", (), symbol.base)))
            yield other

    # limits

    def _approach(self, option_of: str) -> tuple[Symbol, bool]:
        """Return the variable that a limit is taken in, and whether it grows; the table of symbols says both."""
        own = [s for s in self.by_base.get(option_of, []) if "tends" in s.fields]
        if not own:
            raise MathError(
                f"{option_of} must be in the table of symbols, with the field 'tends', as in T \\to \\infty", 0
            )
        base, _, end = (part.strip() for part in str(own[-1].fields["tends"]).partition(r"\to"))
        symbols = [s for s in self.by_base.get(base, []) if s.kind in ("variable", "size")]
        symbols = [s for s in symbols if not s.indices] or symbols
        if len(symbols) != 1 or end not in ("0", r"\infty"):
            raise MathError(f"{base} \\to {end} must name one variable and 0 or \\infty", 0)
        return symbols[0], end == r"\infty"

    def _at(self, world: World, symbol: Symbol, grows: bool, power: int) -> World:
        if symbol.kind == "size":
            value = mpmath.mpf(symbol.fields["size"])
        else:
            value = variable(symbol, Env(world), Node("sym", (), symbol.base))
        factor = mpmath.mpf(10) ** (power if grows else -power)
        scaled = value * factor
        if r"\dots" in symbol.domain:
            scaled = mpmath.floor(scaled) + factor
        return world.changed(symbol.key, scaled)

    def _limit(self, left: Node, mark: str, right: Node, conditions: list[Node]) -> None:
        symbol, grows = self._approach(mark)
        worst, count = mpmath.mpf(0), 0
        for world in self.worlds(conditions):
            for env in self._envs([left, right], world):
                gaps = []
                for power in (NEAR, FAR):
                    inner = replace(env, world=self._at(world, symbol, grows, power))
                    with mpmath.workdps(2 * DIGITS):
                        a, b = (real(evaluate(node, inner), node) for node in (left, right))
                    gaps.append(abs(a - b) / (max(abs(a), abs(b)) or 1))
                    count += 1
                if gaps[1] > mpmath.mpf(10) ** -6 or gaps[1] > gaps[0] / 2:
                    raise self._false(left, mark, right, a, b, inner)
                worst = max(worst, gaps[1])
        how = f"the sides come together as {symbol.base} tends to {'infinity' if grows else '0'}"
        self._add(left, mark, right, count, worst, how)

    def _remainder(self, left: Node, right: Node, conditions: list[Node]) -> None:
        """Check an equality with a remainder: the difference shrinks as the remainder says, and no faster."""
        symbol, grows = self._approach("O")
        worst, count = mpmath.mpf(0), 0
        for world in self.worlds(conditions):
            for env in self._envs([left, right], world):
                ratios, orders = [], []
                for power in (NEAR, FAR):
                    inner = replace(env, world=self._at(world, symbol, grows, power))
                    inner.world.values[ORDERS] = []
                    with mpmath.workdps(3 * DIGITS):
                        difference = abs(self._difference(left, right, inner))
                        orders.append(max(inner.world.values[ORDERS], default=mpmath.mpf(0)))
                        ratios.append(difference / orders[-1])
                    count += 1
                if orders[0] == orders[1]:
                    raise MathError(f"what O stands for does not change with {symbol.base}", left.start)
                if not (ratios[0] / 4 <= ratios[1] <= ratios[0] * 4) or ratios[0] == 0:
                    shown = " and ".join(mpmath.nstr(ratio, 5) for ratio in ratios)
                    raise FalseError(
                        f"{self._text(left)} = {self._text(right)} is false: the difference of the sides is {shown} "
                        f"times what O stands for, at {symbol.base} of about 10^{NEAR if grows else -NEAR} and "
                        f"10^{FAR if grows else -FAR}",
                        self.place,
                    )
                worst = max(worst, difference)
        how = f"their difference shrinks as the remainder says as {symbol.base} tends to {'infinity' if grows else '0'}"
        self._add(left, "=", right, count, worst, how)

    # extremes

    def _extreme(self, left: Node, right: Node, conditions: list[Node]) -> None:
        """Check that one side is where the other's formula is least: near it and far from it, nothing is less."""
        operator, found = (left, right) if left.kind == "big" and "arg" in left.text else (right, left)
        assert operator.sub is not None
        sign = 1 if "min" in operator.text else -1
        target, count, closest = operator.sub, 0, mpmath.inf
        symbols = [s for s in self.by_base.get(name(target), []) if s.kind == "variable" and s.params is None]
        if len(symbols) != 1:
            raise MathError(f"{name(target)} is not one variable", target.start)
        symbol = symbols[0]
        for world in self.worlds(conditions):
            best = evaluate(found, Env(world))

            def value(candidate: Any, world: World = world) -> Any:
                inner = Env(world.changed(symbol.key, candidate))
                return sign * real(evaluate(operator.parts[0], inner), operator)

            if not all(_inside(x, symbol.domain) for x in ([best] if np.ndim(best) == 0 else [*best, best])):
                raise FalseError(
                    f"{self._text(left)} = {self._text(right)} is false: {_short(best)} is not in {symbol.domain}, at "
                    f"{where(Env(world), [left, right])}",
                    self.place,
                )
            least = value(best)
            for candidate in _around(best, symbol, Random(world.seed)):
                count += 1
                more = value(candidate) - least
                if more <= 0:
                    raise FalseError(
                        f"{self._text(left)} = {self._text(right)} is false: {self._text(operator.parts[0])} is "
                        f"{mpmath.nstr(sign * least, 15)} there and {mpmath.nstr(sign * value(candidate), 15)} nearby, "
                        f"at {where(Env(world), [left, right])}",
                        self.place,
                    )
                closest = min(closest, more)
        self._add(left, "=", right, count, closest, "no value near it or far from it is better")

    # implications

    def _is_solution(self, chain: Node) -> bool:
        """Say whether a claim gives the value of a variable, or of a formula of one variable."""
        left = chain.parts[0]
        node = left if left.kind in ("sym", "sub") else self._unknown(left)
        return chain.marks[0] == "=" and node is not None and self._is_variable(node)

    def _is_variable(self, node: Node) -> bool:
        return any(s.kind in ("variable", "size") and s.params is None for s in self.by_base.get(_base(node), []))

    def _unknown(self, node: Node) -> Node | None:
        """Return the one variable of a formula that an equation could be solved for; None if there are more."""
        found = {}
        for part in node.walk():
            if part.kind in ("sym", "sub") and any(
                s.kind in ("variable", "size") and s.params is None for s in self.by_base.get(_base(part), [])
            ):
                found[name(part)] = part
        outer = [part for key, part in found.items() if not any(key != k and key in k for k in found)]
        return outer[0] if len(outer) == 1 else None

    def _solve(self, chain: Node, env: Env) -> World | None:
        """Return the point with the variable on the left of an equality set so that the equality holds."""
        left, right = chain.parts[:2]
        node = left if left.kind in ("sym", "sub") else self._unknown(left)
        if chain.marks[0] != "=" or node is None:
            return None
        world = env.world
        whole = [s for s in self.by_base.get(name(node), []) if s.kind == "variable" and s.indices]
        if node is left and len(whole) == 1 and len(self.by_base[name(node)]) == 1:  # a vector or a matrix
            value = evaluate(right, env)
            if np.shape(value) != np.shape(variable(whole[0], env, node)):
                raise MathError(f"{name(node)} has another shape than what it is set to", right.start)
            return world.changed(whole[0].key, value)
        letters = [letter for letter in free_letters(left, world.ranges) if letter not in env.bound]
        if set(free_letters(node, world.ranges)) - {*letters, *env.bound}:  # as in Σ_j q_j = 1
            return self._scaled(left, node, right, env)
        runs = [range(1, world.length(letter) + 1) for letter in letters]
        for choice in itertools.product(*runs):
            bound = {**env.bound, **dict(zip(letters, choice, strict=True))}
            found = place(node, Env(world, bound))
            if found is None:
                return None
            value = real(evaluate(right, Env(env.world, bound)), right)
            if node is not left:
                value = self._root(left, node, value, found)
            world = found[1](value).world
        return world

    def _scaled(self, left: Node, node: Node, right: Node, env: Env) -> World | None:
        """Return the point with all numbers of an indexed variable multiplied by one so that an equality holds."""
        own = [s for s in self.by_base[_base(node)] if s.kind == "variable" and s.indices]
        if len(own) != 1 or own[0].domain not in ("real", "non-zero", "positive"):
            return None
        values = variable(own[0], env, node)

        def miss(factor: Any) -> Any:
            inner = replace(env, world=env.world.changed(own[0].key, values * factor))
            return real(evaluate(left, inner), left) - real(evaluate(right, inner), right)

        return env.world.changed(own[0].key, values * root(miss, left))

    def _root(self, left: Node, node: Node, value: Any, found: Any) -> Any:
        """Return the variable's value at which `left` has the given value, found from where the variable is."""
        single = [s for s in self.by_base[_base(node)] if s.kind == "variable" and not s.indices and not s.params]
        _, back = unbounded(single[0]) if single and node.kind == "sym" else (lambda x: [x], lambda x, start: x[0])

        def miss(t: Any) -> Any:
            return real(evaluate(left, found[1](back([t], found[0]))), left) - value

        return back([root(miss, left)], found[0])

    def _implication(self, left: Node, mark: str, right: Node, conditions: list[Node]) -> None:
        both = mark in (r"\Longleftrightarrow", r"\iff", r"\Leftrightarrow")
        if self._is_solution(right):
            done = self._solution(left, mark, right, conditions)
            if done:
                return
        self._turn([left, right, *conditions])
        seen = {True: 0, False: 0}
        count = 0
        for world in self._many(conditions):
            for env in self._envs([left, right], world):
                count += 1
                a, b = truth(left, env), truth(right, env)
                seen[a] += 1
                if (a and not b) or (both and a != b):
                    raise self._contradiction(left, mark, right, a, b, env)
        for world in self._beyond((*BEYOND, *ALIKE), conditions):
            for env in self._envs([left, right], world):
                with contextlib.suppress(UndefinedError):
                    a, b = truth(left, env), truth(right, env)
                    if (a and not b) or (both and a != b):
                        raise self._contradiction(left, mark, right, a, b, env)
        if not seen[True] or (both and not seen[False]):
            raise MathError("the implication was not tested: its left side was never true, or never false", self.place)
        self._add(left, mark, right, count, 0, "the sides are true and false together" if both else "it never fails")

    def _contradiction(self, left: Node, mark: str, right: Node, a: bool, b: bool, env: Env) -> FalseError:
        return FalseError(
            f"{self._text(left)} {mark} {self._text(right)} is false: the left side is "
            f"{str(a).lower()} and the right side {str(b).lower()} at {where(env, [left, right])}",
            self.place,
        )

    def _many(self, conditions: list[Node]) -> Iterator[World]:
        points, self.points = self.points, 8 * self.points
        try:
            yield from self.worlds(conditions)
        finally:
            self.points = points

    def _solution(self, left: Node, mark: str, right: Node, conditions: list[Node]) -> bool:
        """Check that what the right side gives a variable solves the left side, and that other values do not."""
        worst, count = mpmath.mpf(0), 0
        other_fails = False
        for world in self.worlds(conditions):
            letters = [*free_letters(left, world.ranges)]
            solved = self._solve(right, Env(world))
            if solved is None:
                return False
            for choice in itertools.product(*(range(1, world.length(letter) + 1) for letter in letters)):
                bound = dict(zip(letters, choice, strict=True))
                for a, relation, b in zip(left.parts, left.marks, left.parts[1:], strict=False):
                    count += 1
                    env, sign = Env(solved, bound), ALIASES.get(str(relation), str(relation))
                    for x, y in zip(*self._both(a, b, env), strict=True):
                        gap = self._gap(x, sign, y)
                        if gap is None:
                            raise FalseError(
                                f"{self._text(left)} {mark} {self._text(right)} is false: with that value the left "
                                f"side reads {mpmath.nstr(x, 10)} {relation} {mpmath.nstr(y, 10)} at "
                                f"{where(env, [left, right])}",
                                self.place,
                            )
                        worst = max(worst, gap)
                    pairs = zip(*self._both(a, b, Env(world, bound)), strict=True)
                    other_fails |= any(self._gap(x, sign, y) is None for x, y in pairs)
            if world.point < 2 and not letters and (other := self._another(left, right, world, solved)) is not None:
                raise FalseError(
                    f"{self._text(left)} {mark} {self._text(right)} is false: {mpmath.nstr(other, 10)} solves it too "
                    f"at {where(Env(world), [left, right])}",
                    self.place,
                )
        if not other_fails:
            raise FalseError(
                f"{self._text(left)} {mark} {self._text(right)}: the left side holds for other values too", self.place
            )
        self._add(left, mark, right, count, worst, "the value solves the equation; other values do not")
        return True

    def _another(self, left: Node, right: Node, world: World, solved: World) -> Any:
        """Return another value of the number that the right side gives, if it solves the left side too; else None."""
        node = right.parts[0]
        every = [s for s in self.by_base.get(name(node), []) if s.kind == "variable" and s.params is None]
        own = [s for s in every if not s.indices]
        if len(own) != 1 or any(str(mark) != "=" for mark in left.marks):
            return None
        if own[0].domain.replace(" ", "") not in ("real", "non-zero", "positive", "(0,1)"):
            return None
        symbol, (above, below) = own[0], left.parts[-2:]
        found = solved.values[symbol.key]
        back = unbounded(symbol)[1]

        def miss(t: Any) -> Any:
            return self._difference(above, below, Env(world.changed(symbol.key, back([t], found))))

        before: tuple[Any, Any] | None = None
        near = [mpmath.mpf(step) / 3 + mpmath.mpf(1) / 7 for step in range(-GRID, GRID + 1)]  # no round numbers
        out = [mpmath.mpf(3) / 2 * near[-1] * mpmath.mpf(3) ** (step / 2) for step in range(6)]
        for t in [*(-t for t in reversed(out)), *near, *out]:
            try:
                here = t, miss(t)
            except UndefinedError:
                before = None
                continue
            if before and before[1] * here[1] < 0:
                with contextlib.suppress(ValueError, ZeroDivisionError):
                    zero = mpmath.findroot(miss, (before[0], here[0]), solver="illinois", maxsteps=200)
                    value = back([zero], found)
                    size = max(abs(before[1]), abs(here[1]))
                    if abs(value - found) > NEARLY * max(abs(found), 1) and abs(miss(zero)) < NEARLY * size:
                        return value
            before = here
        return None


def _alike(node: Node) -> str:
    """Return a formula as a text that is the same for formulas that differ in brackets and fonts of signs alone."""
    if node.kind == "group" and len(node.parts) == 1 and node.parts[0].kind != "chain":
        return _alike(node.parts[0])
    text = {r"\ln": r"\log", "/": "", "(": "[", "{": "["}.get(node.text, node.text)
    if node.kind in ("juxt", "mul") and r"\odot" not in node.marks:
        kind, marks = "product", ""
    else:
        kind, marks = node.kind, ",".join(ALIASES.get(str(mark), str(mark)) for mark in node.marks)
    inner = [_alike(part) if part else "" for part in (*node.parts, node.sub, node.sup)]
    return f"{kind} {text} {marks}({';'.join(inner)})"


def breaks(node: Node) -> bool:
    """Say whether a formula is another one on either side of some value."""
    notation = NOTATIONS.get(node.kind)
    when = notation.breaks if notation else "never"
    match when:
        case "never":
            return False
        case "always":
            return True
        case "by its name":
            return node.text in BRANCHING
        case "at a condition":
            return len(node.parts) == 1 and node.parts[0].kind == "chain"
        case _:
            assert_never(when)


def _branches(nodes: list[Node]) -> dict[tuple[int, bool], Node]:
    """Return what must hold at some point: cases, arguments of a maximum, a condition and its opposite."""
    found: dict[tuple[int, bool], Node] = {}
    for node in nodes:
        for part in node.walk():
            if part.kind == "cases":
                found |= {(id(case.parts[0]), True): case.parts[0] for case in part.parts}
            elif part.kind == "call" and part.text in (r"\max", r"\min") and len(part.parts[0].parts) > 1:
                if not any(inner.kind == "dots" for inner in part.parts[0].parts):
                    found |= {(id(inner), True): inner for inner in part.parts[0].parts}
            elif part.kind == "group" and len(part.parts) == 1 and part.parts[0].kind == "chain":
                found |= {(id(part.parts[0]), held): part.parts[0] for held in (True, False)}
    return found


def _rebound(node: Node, bound: frozenset[str]) -> Iterator[tuple[Node, str]]:
    """Yield the sums whose index has another meaning already where they stand."""
    own: frozenset[str] = frozenset()
    if node.kind == "big" and node.sub is not None and node.text in (r"\sum", r"\prod", r"\max", r"\min"):
        bindings = node.sub.parts if node.sub.kind == "args" else (node.sub,)
        own = frozenset(name(b.parts[0]) if b.kind == "chain" else name(b) for b in bindings)
        yield from ((node, letter) for letter in sorted(own & bound))
    for part in node.parts:
        yield from _rebound(part, bound | own)


def _derivatives(node: Node) -> Iterator[tuple[Differential, Node]]:
    """Yield the derivatives in a formula, each with what it is of."""
    for part in node.walk():
        if part.kind == "frac" and (operator := differential(part)) and operator.body is not None:
            yield operator, operator.body
        elif part.kind == "juxt":
            for at, factor in enumerate(part.parts[:-1], 1):
                if factor.kind == "frac" and (operator := differential(factor)) and operator.body is None:
                    yield operator, replace(part, parts=part.parts[at:])


def _bases(node: Node, symbols: Symbols) -> set[str]:
    """Return the names of what a formula depends on, without their indices."""
    world = World(symbols, "", 0)
    found = {name(part) for part in node.walk() if part.kind in ("sym", "sub", "prime")}
    found |= {name(part.parts[0]) for part in node.walk() if part.kind == "sub"}
    for symbol in dependencies(node, world):
        found |= {symbol.base, *(symbol.params or ())}
        found |= {parameter.partition("^")[0] for parameter in symbol.params or ()}
        if symbol.body is not None:
            found |= {name(part) for part in symbol.body.walk() if part.kind in ("sym", "sub", "prime")}
    return found - set(world.ranges) - {"e", r"\pi"}


def _base(node: Node) -> str:
    return name(node.parts[0]) if node.kind == "sub" else name(node)


def _around(best: Any, symbol: Symbol, rng: Random) -> Iterator[Any]:
    """Yield values near a value and far from it, in its domain."""
    wide = symbol.domain in ("real", "positive", "probabilities")
    for scale in (*WIDE, *SCALES) if wide else SCALES:
        for _ in range(2):
            if symbol.domain == "probabilities":
                parts = [p * mpmath.exp(scale * domains.uniform(rng, -1, 1)) for p in best]
                out = np.empty(len(parts), dtype=object)
                out[:] = [part / mpmath.fsum(parts) for part in parts]
                yield out
            elif isinstance(best, np.ndarray):
                out = best.copy()
                for index in np.ndindex(*out.shape):
                    out[index] += scale * domains.uniform(rng, -1, 1)
                yield out
            else:
                step = scale * domains.uniform(rng, 0.5, 1)
                for candidate in (best + step, best - step):
                    if _inside(candidate, symbol.domain):
                        yield candidate


def _inside(x: Any, domain: str) -> bool:
    if isinstance(x, np.ndarray):
        return "probabilities" not in domain or bool(abs(mpmath.fsum(x) - 1) <= SAME)
    if "probabilities" in domain:
        return bool(x >= 0)
    if domain in ("positive",) or domain.startswith("(0,"):
        return bool(x > 0 and not (domain.replace(" ", "") == "(0,1)" and x >= 1))
    return True


def where(env: Env, nodes: list[Node]) -> str:
    """Name a point: the indices that are bound, and the variables that the relation depends on."""
    shown = [f"{letter} = {value}" for letter, value in env.bound.items()]
    seen = set()
    for node in nodes:
        for symbol in dependencies(node, env.world):
            if symbol.key in env.world.values and symbol.key not in seen and symbol.params is None:
                seen.add(symbol.key)
                shown.append(f"{symbol.base} = {_short(env.world.values[symbol.key])}")
    return ", ".join(shown) or "every point"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "[" + ", ".join(_short(entry) for entry in value) + "]"
    if isinstance(value, domains.Chance):
        return "random"
    return str(mpmath.nstr(value, 5))
