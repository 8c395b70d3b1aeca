"""Says whether a mutant of a display is no mistake: whether it says the same, or follows from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, assert_never

import mpmath
import numpy as np

from lossbook.equations.checking import DIGITS, NOTHING, SAME, breaks, environments
from lossbook.equations.edits import shape
from lossbook.equations.evaluating import ALIASES, ORDERS, Env, World, differential, evaluate, real
from lossbook.equations.notation import NOTATIONS
from lossbook.equations.pages import Display
from lossbook.equations.parsing import MathError, Node, name
from lossbook.equations.symbols import Symbol, Table


class Equality:
    """Says whether a mutant is no mistake: whether it says what the original says, or follows from it.

    The two are compared at points far more general than those at which a display is checked: the sizes are others, the
    variables are drawn from wider domains, where a formula has branches very near to 0 and 1 and far from them, and at
    first every symbol is taken to be free, whatever it stands for.
    """

    POINTS = 4  # for each domain; one where each takes long
    SOME = 6  # values of the indices left free, where each point takes long
    EDGES = 32  # near to the edges of branches, and far from them
    FINE = 12 * DIGITS  # digits, for numbers very near to 0 and 1
    KEPT = ("function", "positive function", "random", "joint")

    def __init__(self, table: Table, display: Display) -> None:
        self.table, self.display, self.symbols = table, display, table.at(display.label)
        self.by_base = World(self.symbols, "", 0).by_base

    def reason(self, tree: Node, mutated: Node) -> str:
        """Return why a mutant is no mistake; empty if that could not be shown."""
        changes = self.changes(tree, mutated)
        if not changes:
            return ""
        if self.renamed(tree, mutated):
            return "the same, with another letter for an index"
        if not any(self.varies(node) for one, two, *_ in changes for node in (one, two)) and all(
            self.compare(one, two, derived=False) == "=" for one, two, *_ in changes
        ):
            return "the same function, whatever its symbols stand for"
        if all(self.compare(one, two, derived=True) == "=" for one, two, *_ in changes):
            return "the same function of the page's variables"
        if all(given and self.compare(one, two, given) == "=" for one, two, _, given in changes):
            return "the same function where the condition holds"
        if all(way and self.compare(one, two, given) in ("=", way) for one, two, way, given in changes):
            return "a weaker inequality, which follows from the original"
        return ""

    def renamed(self, tree: Node, mutated: Node) -> bool:
        """Say whether one letter of an index became another of its range, wherever it stood."""
        ranges = {s.base: str(s.fields["runs"]) for s in self.symbols.values() if s.kind == "index"}
        items = next(pair for pair in zip(tree.parts, mutated.parts, strict=True) if shape(pair[0]) != shape(pair[1]))
        used = [{part.text for part in item.walk() if part.kind == "sym" and part.text in ranges} for item in items]
        return any(
            ranges[old] == ranges[new] and new not in used[0] and shape(items[0], {old: new}) == shape(items[1])
            for old in used[0]
            for new in used[1] - used[0]
        )

    def varies(self, node: Node) -> bool:
        """Say whether a formula looks at a symbol at other values than its own, so that what it stands for counts."""
        return any(self._varies(part) for part in node.walk())

    def _varies(self, node: Node) -> bool:
        notation = NOTATIONS.get(node.kind)
        when = notation.varies if notation else "never"
        match when:
            case "never":
                return False
            case "by its name":
                return node.text in (r"\nabla", r"\mathbb{E}", r"\operatorname{Var}")
            case "unless summed":
                return node.text not in (r"\sum", r"\prod")
            case "as a derivative":
                return differential(node) is not None
            case "unless declared":
                return name(node) not in self.by_base
            case _:
                assert_never(when)

    def changes(self, tree: Node, mutated: Node) -> list[tuple[Node, Node, str, list[Node]]]:
        """Return the sides that differ; with each, the way in which it may move, and its conditions."""
        found = []
        if len(tree.parts) != len(mutated.parts):
            return []
        for item, other in zip(tree.parts, mutated.parts, strict=True):
            if len(item.parts) != len(other.parts) or list(map(str, item.marks)) != list(map(str, other.marks)):
                return []
            given = [part for mark, part in zip(item.marks, item.parts[1:], strict=True) if mark.type == "IF"]
            for one, two in zip(item.parts, other.parts, strict=True):
                if shape(one) == shape(two):
                    continue
                sides = [chain.parts if chain.kind == "chain" else (chain,) for chain in (one, two)]
                if list(map(str, one.marks)) != list(map(str, two.marks)) or len(sides[0]) != len(sides[1]):
                    return []
                for at, (left, right) in enumerate(zip(*sides, strict=True)):
                    if shape(left) != shape(right):
                        # A condition that changes can't be taken for granted; nor a claim that another follows from.
                        own = [] if one in given else given
                        links = len(item.parts) > 1 + len(given) or one in given
                        found.append((*self.inner(left, right), "" if links else self.way(one, at), own))
        return found

    def inner(self, one: Node, two: Node) -> tuple[Node, Node]:
        """Return two formulas; of two that say where something is least, what is to be least."""
        if one.kind == two.kind == "big" and "arg" in one.text == two.text and shape(one.sub) == shape(two.sub):
            return one.parts[0], two.parts[0]
        return one, two

    def way(self, chain: Node, at: int) -> str:
        """Return `<` or `>` if a side of a chain that becomes less, or more, can only make its relations weaker."""
        ways = set()
        for beside, up, down in ((at - 1, (r"\le", "<"), (r"\ge", ">")), (at, (r"\ge", ">"), (r"\le", "<"))):
            if 0 <= beside < len(chain.marks):
                mark = str(chain.marks[beside])
                mark = ALIASES.get(mark, mark)
                ways.add(">" if mark in up else "<" if mark in down else "")
        return ways.pop() if len(ways) == 1 else ""

    def worlds(self, nodes: tuple[Node, ...], derived: bool) -> Iterator[World]:
        """Yield the points: of each domain some, and if a formula has branches, points near their edges."""
        slow = any(self.varies(node) for node in nodes)
        points = 1 if slow else self.POINTS
        branches = not slow and any(
            (part.kind != "group" and breaks(part))
            or (part.kind == "group" and any(inner.kind == "chain" and "=" not in inner.marks for inner in part.parts))
            for node in nodes
            for part in node.walk()
        )
        still = {  # what an extreme is taken over keeps its domain
            name(part.sub)
            for node in nodes
            for part in node.walk()
            if part.kind == "big" and part.sub is not None and part.sub.kind in ("sym", "sub")
        }
        domains = ("(0, 1)", "real", "positive")
        for domain in (*domains, *(("near", "far") if branches else ())):
            symbols, sizes, free = {}, set[int](), []
            for key, symbol in self.symbols.items():
                own = symbol
                if symbol.kind == "size":
                    size = int(symbol.fields["size"]) + 1
                    while size in sizes:
                        size += 1
                    sizes.add(size)
                    own = replace(symbol, fields={**symbol.fields, "size": size})
                elif symbol.params is None and (
                    (symbol.kind == "variable" and symbol.base not in still and not self._kept(symbol))
                    or (symbol.kind == "derived" and not derived)
                ):
                    own = replace(symbol, kind="variable", domain=domain, body=None)
                    free.append(own)
                symbols[key] = own
            for point in range(points if domain in domains else self.EDGES):
                world = World(symbols, f"{self.display.label}/{domain}", point)
                for symbol in symbols.values():
                    if symbol.kind == "special" and "constant" in symbol.fields:
                        world.values[symbol.key] = mpmath.mpf(0)
                if domain in ("near", "far"):
                    for symbol in free:
                        world.values[symbol.key] = self.extreme(world, symbol, domain)
                yield world

    def extreme(self, world: World, symbol: Symbol, domain: str) -> Any:
        """Return values very near to 0 and to 1, or from there to very far away."""
        rng = Random(f"{world.seed}/{world.point}/{symbol.key}")
        out = np.empty(tuple(world.length(letter) for letter in symbol.indices), dtype=object)
        with mpmath.workdps(self.FINE):
            for index in np.ndindex(*out.shape):
                size = mpmath.exp(mpmath.mpf(rng.uniform(-300, 0 if domain == "near" else 300)))
                near = 1 - size if rng.random() < 0.5 else size
                out[index] = near if domain == "near" else size * rng.choice((-1, 1))
        return out if out.shape else out[()]

    def _kept(self, symbol: Symbol) -> bool:
        return symbol.domain in self.KEPT or r"\dots" in symbol.domain or r"\mathcal" in symbol.domain

    def compare(self, one: Node, two: Node, given: list[Node] | None = None, *, derived: bool = True) -> str:
        """Return how the second formula is to the first at every point: `=`, `<`, `>`, or nothing if it varies."""
        compared, relations = 0, {"="}
        with contextlib.suppress(MathError), mpmath.workdps(DIGITS):
            for world in self.worlds((one, two), derived):
                far = world.seed.endswith(("near", "far"))
                with mpmath.workdps(self.FINE if far else DIGITS):
                    envs = environments(self.table, self.display, [one, two], given or [], world)
                    if envs is None:
                        continue
                    for values in self.values(one, two, envs):
                        if values[0] is None or values[1] is None or len(values[0]) != len(values[1]):
                            return ""
                        compared += 1
                        for x, y in zip(*values, strict=True):
                            if abs(x - y) > SAME * max(abs(x), abs(y)) and abs(x - y) > NOTHING ** (4 if far else 1):
                                relations.add("<" if y < x else ">")
            if compared >= 2 and len(relations) <= 2:
                return next(iter(relations - {"="}), "=")
        return ""

    def values(self, one: Node, two: Node, envs: list[Env]) -> Iterator[tuple[Any, Any]]:
        """Yield the numbers of two formulas for all values of the indices left free, where either has some."""
        if envs and any(self.varies(node) for node in (one, two)):
            envs = Random(envs[0].world.seed).sample(envs, min(self.SOME, len(envs)))
        for env in envs:
            left, right = self.numbers(one, env), self.numbers(two, env)
            if left is not None or right is not None:
                yield left, right

    def numbers(self, node: Node, env: Env) -> list[Any] | None:
        """Return the numbers that a formula comes to; None if it has no value here."""
        try:
            orders: list[Any] = []  # a remainder counts as 0; what bounds it must be the same
            world = env.world.changed(ORDERS, orders)
            value = evaluate(node, replace(env, world=world))
            return [*(real(x, node) for x in np.ravel(np.asarray(value, dtype=object))), *sorted(orders)]
        except (MathError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
            return None
