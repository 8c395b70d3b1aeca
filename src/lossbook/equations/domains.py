"""Draws values of declared symbols: where each is drawn from is what the page's table of symbols says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

import mpmath
import numpy as np

from lossbook.equations.parsing import MathError, Node, parse

SHARES = ("probabilities", "probabilities with a zero", "one-hot")
WORDS = ("real", "non-zero", "positive", *SHARES, "random", "function", "positive function", "joint")
FUNCTIONS = ("function", "positive function", "joint")
Value = Any  # a number of mpmath, an int, or a NumPy array of them
_INTERVAL = r"([(\[])(.+),(.+)([)\]])"
_WANTED = f"it must be a set, an interval or one of {', '.join(WORDS)}"
EDGES = 10  # from this point on, single values of an interval are drawn from near its ends too
MANY = 7  # of an infinite set of integers, the first so many are drawn
MOST = 10_000  # members of a set
WAYS = ("far", "near", "zero", "one", "minus", "alike")  # where values are drawn, if not anywhere in the domain
FAR, CLOSE = 2**5, 2**10  # by what numbers of either sign are multiplied there, and positive ones
EDGE = mpmath.mpf(2) ** -30  # how close to the end of an interval, in its length
COMMON = mpmath.mpf(5) / 8  # what all numbers are that are to be alike
LATER = 50  # how much further on in an infinite set of integers


class Chance:
    """A random variable: its finitely many values and their probabilities."""

    def __init__(self, atoms: list[Value], probabilities: list[Value]) -> None:
        self.atoms, self.probabilities = atoms, probabilities


@cache
def _formula(text: str) -> Node:
    return parse(text).parts[0].parts[0]


def uniform(rng: Random, low: float, high: float) -> Value:
    """Draw a number with few bits, so that it is the same in every precision."""
    return mpmath.mpf(rng.randrange(1, 2**20)) / 2**20 * (mpmath.mpf(high) - low) + low


def check(domain: str) -> None:
    """See that a text names a domain.

    Raises:
        MathError: It does not; the message says what does.
    """
    if domain in WORDS:
        return
    bounds = re.fullmatch(_INTERVAL, domain)
    nodes = [_formula(text) for text in (bounds.group(2, 3) if bounds else (domain,))]
    (node, *_) = nodes
    normal = node.kind == "juxt" and node.parts[0].text == r"\mathcal{N}" and len(node.parts[1].parts) == 2
    if not bounds and node.kind != "set" and not normal:
        raise MathError(f"{domain!r} is not a domain; {_WANTED}", 0)


def draw(
    domain: str,
    shape: tuple[int, ...],
    rng: Random,
    point: int,
    evaluate: Callable[[Node], Value],
    sign: int = 0,
) -> Value:
    r"""Return one value, or an array of `shape`, drawn from a domain.

    Args:
        domain: One of `WORDS`, or LaTeX: a set `\{0, 1\}`, `\{1, \dots, K\}`, `\{0, 1, \dots\}`, an interval
            `(0, 1)` or `[0, \infty)`, or `\mathcal{N}(\mu, \sigma^2)` for a random variable.
        shape: The lengths of the symbol's indices.
        rng: What it is drawn with.
        point: The number of the point: single values of a finite set take turns.
        evaluate: Gives the value of a bound.
        sign: What a single number of either sign is to have, 1 or -1; 0 if that is left to chance.

    Raises:
        MathError: The domain is none of these.
    """
    if domain in SHARES:
        if not shape:
            raise MathError(f"{domain!r} needs an index", 0)
        rows = [_simplex(domain, shape[-1], rng) for _ in range(int(np.prod(shape[:-1], dtype=int)))]
        return np.array(rows, dtype=object).reshape(shape)
    one = _single(domain, rng, point if not shape else None, evaluate)
    if not shape:
        value = next(one)
        return abs(value) * sign if sign and domain in ("real", "non-zero") else value
    values = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        values[index] = next(one)
    return values


def is_set(domain: str) -> bool:
    """Say whether a domain is a set of values, each of which can be named."""
    return set_of(domain) is not None


def set_of(domain: str) -> Node | None:
    """Return the set that a domain is; None if it is none."""
    if not domain or domain in WORDS or re.fullmatch(_INTERVAL, domain):
        return None
    node = _formula(domain)
    return node if node.kind == "set" else None


def moved(domain: str, value: Value, way: str, rng: Random, evaluate: Callable[[Node], Value]) -> Value:
    """Return what was drawn from a domain, taken to a place in it where what holds elsewhere may fail.

    Args:
        domain: The domain.
        value: A number, or an array of them.
        way: `far` out or to either end, `near` zero or either end, where it is `zero`, `one` or `minus` one if it can
            be, or `alike` for all symbols; empty if it is to stay.
        rng: What is drawn with.
        evaluate: Gives the value of a bound.
    """
    if not way or domain in ("random", "one-hot", *FUNCTIONS):
        return value
    if domain in ("probabilities", "probabilities with a zero"):
        return _reshared(value, way)
    one = _mover(domain, way, rng, evaluate)
    if not isinstance(value, np.ndarray):
        return one(value)
    out = np.empty(value.shape, dtype=object)
    for index in np.ndindex(*value.shape):
        out[index] = one(value[index])
    return out


def _reshared(value: Value, way: str) -> Value:
    """Return other shares of the same shape: one of them nearly all, nearly equal ones, or equal ones."""
    power = {"far": mpmath.mpf(FAR), "near": mpmath.mpf(1) / FAR}.get(way, mpmath.mpf(0))
    out = np.empty(value.shape, dtype=object)
    for row in np.ndindex(*value.shape[:-1]):
        parts = [share**power if share else share for share in value[row]]
        out[row] = [part / mpmath.fsum(parts) for part in parts]
    return out


def _mover(domain: str, way: str, rng: Random, evaluate: Callable[[Node], Value]) -> Callable[[Value], Value]:
    """Return how one number of a domain is moved."""
    fixed = {"zero": mpmath.mpf(0), "one": mpmath.mpf(1), "minus": mpmath.mpf(-1), "alike": COMMON}
    if domain in ("real", "non-zero"):
        fixed["zero"] = fixed["zero"] if domain == "real" else COMMON
        return lambda x: fixed[way] if way in fixed else x * FAR if way == "far" else x / CLOSE
    bounds = re.fullmatch(_INTERVAL, domain)
    if domain == "positive" or bounds:
        low, high = (evaluate(_formula(b)) for b in bounds.group(2, 3)) if bounds else (mpmath.mpf(0), mpmath.inf)
        closed = (bounds[1] == "[", bounds[4] == "]") if bounds else (False, False)
        return lambda x: _within(x, low, high, closed, way, rng, fixed)
    node = set_of(domain)
    if node is None:
        return lambda x: x
    values = _members(node, evaluate)
    if way == "far":
        endless = node.parts[-1].kind == "dots"
        return lambda x: x + LATER if endless else x
    return lambda x: x if way == "near" else fixed[way] if fixed[way] in values else values[0]


def _within(
    x: Value, low: Value, high: Value, closed: tuple[bool, bool], way: str, rng: Random, fixed: dict[str, Value]
) -> Value:
    """Move one number of an interval."""
    if way in fixed:
        wanted = fixed[way]
        inside = low < wanted < high or (wanted == low and closed[0]) or (wanted == high and closed[1])
        if inside:
            return wanted
        return low + COMMON * (high - low) if high - low < mpmath.inf else x
    if low == -mpmath.inf or high == mpmath.inf:
        middle = low if low > -mpmath.inf else high if high < mpmath.inf else mpmath.mpf(0)
        return middle + (x - middle) * (CLOSE if way == "far" else mpmath.mpf(1) / CLOSE)
    near = (high - low) * EDGE * uniform(rng, 0, 1)
    return low + near if (way == "near") == bool(rng.randrange(4)) else high - near


def _simplex(domain: str, size: int, rng: Random) -> list[Value]:
    if domain == "one-hot":
        hot = rng.randrange(size)
        return [mpmath.mpf(int(k == hot)) for k in range(size)]
    parts = [uniform(rng, 0.25, 3) for _ in range(size)]
    if domain == "probabilities with a zero":
        parts[rng.randrange(size)] = mpmath.mpf(0)
    total = mpmath.fsum(parts)
    return [part / total for part in parts]


def joint(sizes: tuple[int, ...], rng: Random) -> Value:
    """Return the probability of every outcome of several variables, of which no two are independent."""
    return np.array(_simplex("probabilities", int(np.prod(sizes, dtype=int)), rng), dtype=object).reshape(sizes)


def members(domain: str, evaluate: Callable[[Node], Value]) -> list[Value]:
    """Return the values of a domain that is a set.

    Raises:
        MathError: It is none.
    """
    node = _formula(domain) if domain and domain not in WORDS else None
    if node is None or node.kind != "set":
        raise MathError(f"the domain {domain!r} is no set of values", 0)
    return _members(node, evaluate)


def _single(domain: str, rng: Random, point: int | None, evaluate: Callable[[Node], Value]) -> Iterator[Value]:
    if domain == "real":
        return (uniform(rng, -3, 3) for _ in itertools.count())
    if domain == "non-zero":
        return (uniform(rng, 0.25, 3) * rng.choice((-1, 1)) for _ in itertools.count())
    if domain == "positive":
        return (uniform(rng, 0.125, 4) for _ in itertools.count())
    if domain == "random":
        return (_chance(rng) for _ in itertools.count())
    if bounds := re.fullmatch(_INTERVAL, domain):
        low, high = (evaluate(_formula(bound)) for bound in bounds.group(2, 3))
        ends = [end for end, sign in zip((low, high), bounds.group(1, 4), strict=True) if sign in "[]"]
        if ends and point is not None and point % 3:
            return (ends[(point % 3 - 1) % len(ends)] for _ in itertools.count())
        if point is not None and point >= EDGES and point % 2 and high > low > -mpmath.inf:
            return (_edge(rng, low, high) for _ in itertools.count())
        return (_between(rng, low, high) for _ in itertools.count())
    node = _formula(domain)
    if node.kind == "set":
        values = _members(node, evaluate)
        if point is not None:
            return (values[point % len(values)] for _ in itertools.count())
        return (rng.choice(values) for _ in itertools.count())
    if node.kind == "juxt" and node.parts[0].text == r"\mathcal{N}" and len(node.parts[1].parts) == 2:
        mean, variance = (evaluate(part) for part in node.parts[1].parts)
        return (_normal(mean, variance) for _ in itertools.count())
    raise MathError(f"{domain!r} is not a domain; {_WANTED}", 0)


def _members(node: Node, evaluate: Callable[[Node], Value]) -> list[Value]:
    parts = list(node.parts)
    if not any(part.kind == "dots" for part in parts):
        return [evaluate(part) for part in parts]
    at = next(i for i, part in enumerate(parts) if part.kind == "dots")
    if not at or len(parts) > at + 2:
        raise MathError("dots in a set must stand after its first members and before its last", node.start)
    first = int(evaluate(parts[at - 1]))
    last = int(evaluate(parts[at + 1])) if at + 1 < len(parts) else first + MANY - at
    if last - first > MOST:
        raise MathError(f"a set of more than {MOST} members", node.start)
    before = [evaluate(part) for part in parts[: at - 1]]
    return before + [mpmath.mpf(i) for i in range(first, last + 1)]


def _edge(rng: Random, low: Value, high: Value) -> Value:
    """Draw from near the ends of an interval."""
    near = mpmath.mpf(2) ** -rng.randrange(20, 60)
    return low + near * min(high - low, 1) if high == mpmath.inf or rng.random() < 0.5 else high - (high - low) * near


def _between(rng: Random, low: Value, high: Value) -> Value:
    if low == -mpmath.inf and high == mpmath.inf:
        return uniform(rng, -3, 3)
    if high == mpmath.inf:
        return low + uniform(rng, 0.125, 4)
    if low == -mpmath.inf:
        return high - uniform(rng, 0.125, 4)
    return low + uniform(rng, 0, 1) * (high - low)


def _chance(rng: Random) -> Chance:
    return Chance([uniform(rng, -3, 3) for _ in range(3)], _simplex("probabilities", 3, rng))


def _normal(mean: Value, variance: Value) -> Chance:
    """Return three values that have the normal distribution's moments up to the fifth (Gauss and Hermite's nodes)."""
    far = mpmath.sqrt(3 * variance)
    sixth = mpmath.mpf(1) / 6
    return Chance([mean - far, mean, mean + far], [sixth, 4 * sixth, sixth])


def smooth_function(rng: Random, arguments: int, positive: bool) -> Callable[..., Value]:
    """Return a function without symmetries, of scalars and arrays, for a symbol that stands for any function."""
    waves = [(uniform(rng, 0.5, 1.5), uniform(rng, -2, 2)) for _ in range(2)]
    slopes = [[uniform(rng, 0.3, 1.3) for _ in range(arguments)] for _ in range(2)]

    def value(*given: Value) -> Value:
        total = mpmath.mpf(0)
        for (height, shift), own in zip(waves, slopes, strict=True):
            inner = shift
            for slope, argument in zip(own, given, strict=True):
                for place, entry in enumerate(np.ravel(np.asarray(argument, dtype=object)), 1):
                    inner += slope * place * entry
            total += height * mpmath.sin(inner)
        return mpmath.exp(total) if positive else total

    return value
