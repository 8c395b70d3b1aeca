"""Chooses the points at which a relation is tried: what all its symbols are there, together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from lossbook.equations import domains
from lossbook.equations.evaluating import Env, World, dependencies, evaluate, real
from lossbook.equations.parsing import MathError, Node, name, subscripts
from lossbook.equations.symbols import Symbol, Symbols

RESIZED = (4, 5)  # the points with other sizes
MOST = 8  # points for the values that symbols of finite sets can have together
# The points beside those drawn: how values are drawn there, and the number of the point, which turns the signs.
BEYOND = (("far", 0), ("far", 1), ("near", 0))
ALIKE = (("zero", 0), ("one", 0), ("minus", 0), ("alike", 0), ("alike", RESIZED[0]))


def resized(symbols: Symbols, point: int, kept: frozenset[str] = frozenset()) -> Symbols:
    """Return the symbols with other sizes at some of the points: what holds for N = 3 alone is no law of N.

    Args:
        symbols: The symbols that hold.
        point: The number of the point.
        kept: The sizes that stay what the page says.
    """
    sizes = sorted((s for s in symbols.values() if s.kind == "size"), key=lambda s: int(s.fields["size"]))
    if point not in RESIZED:
        return symbols
    out = dict(symbols)
    for place, symbol in enumerate(sizes):
        if symbol.base not in kept:
            more = 1 if point == RESIZED[0] else min(place, 1) if len(sizes) > 1 else 2  # so that the larger stay so
            out[symbol.key] = replace(symbol, fields={**symbol.fields, "size": int(symbol.fields["size"]) + more})
    return out


def numbered(nodes: Iterable[Node], symbols: Symbols) -> frozenset[str]:
    """Return the sizes that formulas fix by naming terms with numbers, as in x_1 + x_2 + x_3 and in [n = 3]."""
    world = World(symbols, "", 0)
    own = [*nodes]
    for symbol in {s.key: s for node in own for s in dependencies(node, world)}.values():
        own += [symbol.body] if symbol.body is not None else []
        own += [node] if (node := domains.set_of(symbol.domain)) is not None else []
    every = [part for node in own for part in node.walk()]
    begins = {id(part.sub) for part in every if part.kind == "big"}  # a sum may begin at 2 whatever N is
    pairs: list[tuple[Node, str]] = []
    for part in every:
        if part.kind == "sub":
            for symbol in world.by_base.get(name(part.parts[0]), []):
                pairs += zip(subscripts(part.parts[1:]), symbol.indices, strict=False)
        elif part.kind == "chain" and id(part) not in begins:
            pairs += [(right, left.text) for left, right in pairwise(part.parts) if left.text in world.ranges]
    return frozenset(
        str(world.ranges[letter])
        for index, letter in pairs
        if index.kind == "num" and index.text.isdecimal() and int(index.text) > 1
    )


def finite(nodes: Iterable[Node], symbols: Symbols) -> list[Symbol]:
    """Return the single numbers, each of a set, that formulas depend on."""
    world = World(symbols, "", 0)
    found = {symbol.key: symbol for node in nodes for symbol in dependencies(node, world)}
    return [s for s in found.values() if s.kind == "variable" and not s.indices and domains.is_set(s.domain)]


def taken(world: World, symbols: list[Symbol]) -> None:
    """Give symbols of sets values, so that the points one after another go through all that they can be together.

    Where that is too much, each goes through its own values, and no two of them in step.
    """
    env, point, rest = Env(world), world.point, world.point
    every = [domains.members(s.domain, lambda part: real(evaluate(part, env), part)) for s in symbols]
    few = math.prod(map(len, every)) <= MOST
    for place, (symbol, values) in enumerate(zip(symbols, every, strict=True)):
        index = rest if few else point + place * (1 + point // len(values))
        world.values[symbol.key] = values[index % len(values)]
        rest //= len(values)


def together(world: World, symbols: list[Symbol], points: int) -> int:
    """Return how many points it takes to go through all that symbols of sets can be together, within reason."""
    env, count = Env(world), 1
    for symbol in symbols:
        try:
            count *= len(domains.members(symbol.domain, lambda part: real(evaluate(part, env), part)))
        except MathError:  # said where its value is asked for
            return points
    return max(points, min(count, MOST))


def beyond(symbols: Symbols, seed: str, ways: Iterable[tuple[str, int]], kept: frozenset[str]) -> Iterator[World]:
    """Yield the points beside those drawn: far out, close to an end, or where values coincide."""
    for way, point in ways:
        yield World(resized(symbols, point, kept), f"{seed}/{way}", point, way=way)
