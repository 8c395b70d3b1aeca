"""Evaluates a parsed formula at a point, in high precision."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from random import Random
from typing import Any, assert_never

import mpmath
import numpy as np

from lossbook.equations import domains
from lossbook.equations.domains import Chance, Value
from lossbook.equations.notation import NOTATIONS, Kind
from lossbook.equations.parsing import MathError, Node, name, subscripts
from lossbook.equations.symbols import Key, Symbol, Symbols, spread

CONSTANTS: dict[str, Callable[[], Value]] = {
    "e": lambda: mpmath.e + 0,
    r"\pi": lambda: mpmath.pi + 0,
    r"\infty": lambda: mpmath.inf,
}
ORDERS = "the orders of remainders"  # the key of a list among a world's values
RANDOM = "the random variable itself"  # the key, with the symbol's, of what an expectation has given a value
HELD = "the branches that were taken"  # the key of a set among a world's values
OTHERWISE = (r"\text{otherwise}", r"\text{else}")
SUBSCRIPTED = (r"\log", r"\ln", r"\mathbb{E}", r"\operatorname{Var}", r"\nabla")
UNRAISED = (r"\max", r"\min", r"\mathbb{E}", r"\operatorname{Var}", r"\nabla", r"\operatorname{diag}")
FACTOR = "write \\cdot before the bracket if it is a factor, else {} with its argument everywhere"
DEPTH = 25  # of definitions within definitions
INDICATORS = (r"\mathbb{1}", r"\mathbf{1}", r"\mathbb{I}", r"\boldsymbol{1}")
ELEMENTARY: dict[str, Callable[[Value], Value]] = {
    r"\operatorname{sign}": mpmath.sign,
    r"\operatorname{round}": mpmath.nint,
    r"\sin": mpmath.sin,
    r"\cos": mpmath.cos,
    r"\tanh": mpmath.tanh,
}
STEPS = 500_000  # at one point: many times what the longest display of the book takes
_mpf = mpmath.mpf
TERMS = 10_000  # of one sum
ORDER = 6  # of a derivative
MOVES = tuple(_mpf(10) ** n for n in (-2, 0, 3))  # by how much a number is moved to see what varies with it
BITS = 10**12  # of the exponent of a number: none is raised beyond 2 to that power
WHOLE = mpmath.mpf(10) ** -40  # how far from a whole number, relatively, what should be one may be
INTEGRAL = 30  # digits that integrals are taken with


class UndefinedError(MathError):
    """A value that does not exist at this point, such as the logarithm of a negative number."""


class CycleError(MathError):
    """A symbol that is defined by itself."""


class Values(dict[Any, Value]):
    """The values of variables at a point, and of what is derived from them, as far as it was worked out.

    A value that is replaced takes with it all that was derived.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.derived: dict[Any, Value] = {}

    def __setitem__(self, key: Any, value: Value) -> None:
        if key in self:
            self.derived.clear()
        super().__setitem__(key, value)


@dataclass(frozen=True, slots=True)
class _Read:
    """What a name with indices was found to stand for, unless a function has a parameter of that name."""

    node: Node
    names: tuple[str, str]  # with its indices, and without
    symbol: Symbol
    indices: list[Node]


@dataclass(frozen=True, slots=True)
class _Applied:
    """What a name before a bracket was found to stand for: a function, and what it is applied to."""

    part: Node
    after: Node
    function: Symbol
    arguments: tuple[Node, ...]
    primes: int
    whole: Node
    wraps: list[Node]


@dataclass
class World:
    """One point: the symbols that hold, and the values of the variables there."""

    symbols: Symbols
    seed: str
    point: int
    values: Values = field(default_factory=lambda: Values())
    by_base: dict[str, list[Symbol]] = field(default_factory=dict)
    ranges: dict[str, Value] = field(default_factory=dict)
    vectors: dict[Key, frozenset[str]] = field(default_factory=dict)
    read: dict[int, _Read] = field(default_factory=dict)  # by the node's id; each holds its node, so no other gets that
    applied: dict[tuple[int, int], _Applied] = field(default_factory=dict)  # the same, of a name and what follows it
    way: str = ""  # where values are drawn, if not anywhere: one of `domains.WAYS`
    spent: list[int] = field(default_factory=lambda: [0])  # how many formulas were evaluated here

    def __post_init__(self) -> None:
        if not self.by_base:
            for symbol in self.symbols.values():
                self.by_base.setdefault(symbol.base, []).append(symbol)
                if symbol.kind == "index":
                    self.ranges[symbol.base] = symbol.fields["runs"]

    def changed(self, key: Any, value: Value) -> World:
        """Return this point with one variable changed; what is derived from it follows."""
        values = Values({**self.values, key: value})
        kept = self.by_base, self.ranges, self.vectors, self.read, self.applied, self.way, self.spent
        return World(self.symbols, self.seed, self.point, values, *kept)

    def length(self, letter: str) -> int:
        """Return how far an index runs."""
        if letter not in self.ranges:
            raise MathError(f"{letter} is no index here", 0)
        runs = str(self.ranges[letter])
        if runs.isdecimal():
            return int(runs)
        sizes = [s for s in self.by_base.get(runs, []) if s.kind == "size"]
        if not sizes:
            raise MathError(f"the index {letter} runs to {runs}, which has no size in the table of symbols", 0)
        return int(sizes[-1].fields["size"])


@dataclass(slots=True, eq=False)
class Env:
    """Where a formula is evaluated: a point, the indices that are bound and the parameters of the function.

    None is ever changed: it is not frozen because one is made for each term of each sum, and this takes half the time.
    """

    world: World
    bound: dict[str, int] = field(default_factory=dict)
    params: dict[str, Value] = field(default_factory=dict)
    depth: int = 0
    inside: frozenset[Any] = frozenset()  # the definitions, without parameters, that are being evaluated
    ends: frozenset[str] = frozenset()  # the indices bound by a sum that says itself what they run through

    def bind(self, letter: str, value: int, *, says: bool = False) -> Env:
        """Return the same environment with one index bound; `says` if what binds it says what it runs through."""
        ends = self.ends | {letter} if says else self.ends
        bound = {**self.bound, letter: value}
        return Env(self.world, bound, self.params, self.depth, self.inside, ends)


def evaluate(node: Node, env: Env) -> Value:
    """Return the value of a formula: a number, or an array of numbers.

    Raises:
        MathError: A symbol is not declared, or the notation has no meaning; `position` tells where.
        UndefinedError: The value does not exist at this point.
    """
    handler = HANDLERS.get(node.kind)
    if handler is None:
        raise MathError("this cannot stand where a value must", node.start)
    spent = env.world.spent
    spent[0] += 1
    if spent[0] > STEPS:
        raise MathError(f"this takes more than {STEPS} steps to work out at one point", node.start)
    try:
        return handler(node, env)
    except MathError:
        raise
    except ArithmeticError as error:
        raise UndefinedError(f"this has no value: {error}", node.start) from error
    except mpmath.libmp.NoConvergence:
        raise UndefinedError("no value was found", node.start) from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise MathError(f"this has no value, because its parts do not fit together: {error}", node.start) from error


def truth(node: Node, env: Env) -> bool:
    """Say whether a condition holds; numbers are compared exactly."""
    if node.kind != "chain":
        raise MathError("a condition must be a relation, such as n = m", node.start)
    for left, relation, right in zip(node.parts, node.marks, node.parts[1:], strict=False):
        a = evaluate(left, env)
        if relation == r"\in":
            members = _set_members(right, env)
            holds = any(a == member for member in members)
        else:
            holds = COMPARISONS[_relation(str(relation), node)](a, evaluate(right, env))
            holds = bool(np.any(holds) if relation in (r"\ne", r"\neq") else np.all(holds))
        if not holds:
            return False
    return True


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    r"\ne": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    r"\le": lambda a, b: a <= b,
    r"\ge": lambda a, b: a >= b,
}
ALIASES = {r"\leq": r"\le", r"\geq": r"\ge", r"\neq": r"\ne", r"\lt": "<", r"\gt": ">"}


def _relation(text: str, node: Node) -> str:
    text = ALIASES.get(text, text)
    if text not in COMPARISONS:
        raise MathError(f"{text} cannot be used as a condition", node.start)
    return text


def _builder(node: Node) -> bool:
    r"""Say whether a set is given by a condition on an index: \{ k \mid q_k > 0 \}."""
    return [str(mark) for mark in node.marks] == [r"\mid"]


def _set_members(node: Node, env: Env) -> Sequence[Value]:
    if node.kind == "set" and _builder(node):
        letter = name(node.parts[0])
        if letter not in env.world.ranges:
            raise MathError(f"{letter} is not declared as an index", node.start)
        runs = range(1, env.world.length(letter) + 1)
        return [_mpf(i) for i in runs if truth(node.parts[1], env.bind(letter, i))]
    if node.kind == "set":
        return domains._members(node, lambda part: evaluate(part, env))
    value = evaluate(node, env)
    if not isinstance(value, np.ndarray):
        raise MathError("what follows ∈ must be a set", node.start)
    return list(value)


# numbers


def real(value: Value, node: Node) -> Value:
    """Return `value` if it is a real number."""
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return real(value.reshape(-1)[0], node)
        raise MathError(f"an array of shape {value.shape} stands where a number must", node.start)
    if isinstance(value, mpmath.mpc):
        raise UndefinedError("its value is not real", node.start)
    if isinstance(value, Chance):
        raise MathError("a random variable stands outside an expectation", node.start)
    return value if isinstance(value, mpmath.mpf) else _mpf(value)


def _each(function: Callable[[Value], Value], value: Value, node: Node) -> Value:
    """Apply a function of a number to each number of an array."""
    if isinstance(value, np.ndarray):
        out = np.empty(value.shape, dtype=object)
        for index in np.ndindex(*value.shape):
            out[index] = function(real(value[index], node))
        return out
    return function(real(value, node))


def _log(x: Value, node: Node) -> Value:
    if x == 0:
        return -mpmath.inf
    if not x > 0:
        raise UndefinedError("the logarithm of a number that is not positive", node.start)
    return mpmath.log(x)


def _sqrt(x: Value, node: Node) -> Value:
    if x < 0:
        raise UndefinedError("the square root of a negative number", node.start)
    return mpmath.sqrt(x)


def _exp(x: Value, node: Node) -> Value:
    if mpmath.isfinite(x) and x > BITS:
        raise MathError("a number that is too large to work out", node.start)
    return mpmath.exp(x) if x > -BITS else _mpf(0)


def _factorial(x: Value, node: Node) -> Value:
    if x < 0 and x == mpmath.floor(x):
        raise UndefinedError("the factorial of a negative number", node.start)
    if mpmath.isfinite(x) and abs(x) > BITS:
        raise MathError("a number that is too large to work out", node.start)
    return mpmath.factorial(x)


def _power(base: Value, exponent: Value, node: Node) -> Value:
    if not (mpmath.isfinite(base) and mpmath.isfinite(exponent)):
        return _mpf(base) ** exponent
    if base and abs(exponent) * (abs(mpmath.mag(base)) + 1) > BITS:
        raise MathError("a number that is too large to work out", node.start)
    if base == 0 and exponent < 0:
        raise UndefinedError("zero to a negative power", node.start)
    if base < 0 and exponent != int(exponent):
        raise UndefinedError("a fractional power of a negative number", node.start)
    if exponent == int(exponent) and abs(exponent) < 10**6:
        return _mpf(base) ** int(exponent)
    return _mpf(base) ** exponent


def _divide(a: Value, b: Value, node: Node) -> Value:
    if isinstance(b, np.ndarray) and b.size != 1:
        if not (isinstance(a, np.ndarray) and a.shape == b.shape):
            raise MathError("a division by an array", node.start)
        out = np.empty(b.shape, dtype=object)
        for index in np.ndindex(*b.shape):
            out[index] = _divide(a[index], b[index], node)
        return out
    b = real(b, node)
    if b == 0:
        raise UndefinedError("a division by zero", node.start)
    if isinstance(a, np.ndarray):
        return _each(lambda x: x / b, a, node)
    return real(a, node) / b


def _multiply(a: Value, b: Value, node: Node) -> Value:
    arrays = isinstance(a, np.ndarray), isinstance(b, np.ndarray)
    if not any(arrays):
        return real(a, node) * real(b, node)
    if not all(arrays):
        return a * b
    if a.ndim == 1 and b.ndim == 1:
        raise MathError("a product of two vectors: transpose one", node.start)
    if a.ndim == 1 and b.ndim == 2 and b.shape[0] == 1:
        return np.outer(a, b[0])
    if a.ndim == 1 and b.ndim == 2:
        raise MathError("a vector before a matrix: transpose it", node.start)
    try:
        out = a @ b
    except ValueError:
        raise MathError(f"a product of arrays of shapes {a.shape} and {b.shape}", node.start) from None
    return out.reshape(-1)[0] if out.size == 1 else out


def _plus(a: Value, b: Value, node: Node) -> Value:
    if isinstance(a, np.ndarray) != isinstance(b, np.ndarray) or (isinstance(a, np.ndarray) and a.shape != b.shape):
        raise MathError("a sum of a number and an array, or of arrays of different shapes", node.start)
    return a + b


# leaves and arithmetic


def _number(node: Node, env: Env) -> Value:
    return _constant(node.text, mpmath.mp.prec)


@cache
def _constant(text: str, precision: int) -> Value:
    return _mpf(text)


def _add(node: Node, env: Env) -> Value:
    total = evaluate(node.parts[0], env)
    for part in node.parts[1:]:
        total = _plus(total, evaluate(part, env), part)
    return total


def _neg(node: Node, env: Env) -> Value:
    value = evaluate(node.parts[0], env)
    return -value if isinstance(value, np.ndarray) else -real(value, node)


def _mul(node: Node, env: Env) -> Value:
    value = evaluate(node.parts[0], env)
    for mark, part in zip(node.marks, node.parts[1:], strict=True):
        other = evaluate(part, env)
        if mark == r"\odot":
            if np.shape(value) != np.shape(other):
                raise MathError(r"\odot stands between arrays of different shapes", node.start)
            value = value * other
        else:
            value = _multiply(value, other, node)
    return value


def _inner_product(node: Node, env: Env) -> Value:
    left, right = (evaluate(part, env) for part in node.parts)
    if not isinstance(left, np.ndarray) or left.ndim != 1 or np.shape(left) != np.shape(right):
        raise MathError("an inner product is of two vectors of one length", node.start)
    return mpmath.fsum(real(x * y, node) for x, y in zip(left, right, strict=True))


def _frac(node: Node, env: Env) -> Value:
    above, below = node.parts
    if operator := differential(node):
        if operator.body is None:
            raise MathError("a derivative of nothing", node.start)
        return derive(operator, operator.body, env)
    if node.text == "/" and below.kind == "juxt" and not _is_one(below, env) and not _tight(above, below):
        raise MathError("what a slash divides by can be read in two ways: bracket it", below.start)
    return _divide(evaluate(above, env), evaluate(below, env), node)


def _tight(above: Node, below: Node) -> bool:
    r"""Say whether no one reads a slash otherwise: in x^2 / 2 y all of 2 y is below; not so in 1/2 x and 1/N \sum."""
    bases = [part.parts[0] if part.kind == "pow" else part for part in below.parts]
    return above.kind != "num" and all(base.kind in ("num", "sym", "sub") for base in bases)


def _is_one(node: Node, env: Env) -> bool:
    """Say whether factors beside each other are one value: a function and its argument."""
    return len(node.parts) == 2 and _application(*node.parts, env) is not None


def _juxt(node: Node, env: Env) -> Value:
    parts = node.parts
    value: Value = None
    at = 0
    while at < len(parts):
        part = parts[at]
        operator = differential(part) if part.kind == "frac" else None
        if operator and operator.body is None:
            rest = parts[at + 1 :]
            if not rest:
                raise MathError("a derivative of nothing", part.start)
            body = rest[0] if len(rest) == 1 else replace(node, parts=rest, start=rest[0].start)
            one, at = derive(operator, body, env), len(parts)
        elif at + 1 < len(parts) and (applied := _application(part, parts[at + 1], env)) is not None:
            one, at = applied(), at + 2
        elif at + 1 < len(parts) and _indicator(part, parts[at + 1], env):
            one, at = _group(parts[at + 1], env), at + 2
        else:
            one, at = evaluate(part, env), at + 1
        value = one if value is None else _multiply(value, one, node)
    return value


def _indicator(part: Node, after: Node, env: Env) -> bool:
    r"""Say whether this is the indicator of a condition, such as \mathbb{1}[n = m]."""
    head = part.parts[0] if part.kind == "sub" else part
    if head.text not in INDICATORS or env.world.by_base.get(head.text):
        return False
    if part.kind == "sub" or after.kind not in ("group", "set") or len(after.parts) != 1:
        raise MathError(f"after {head.text} must stand a condition in brackets", part.start)
    return after.parts[0].kind == "chain"


def _pow(node: Node, env: Env) -> Value:
    base, exponent = node.parts
    if exponent.kind == "sym" and exponent.text == "T" and not (env.world.by_base.get("T") or "T" in env.params):
        return _transpose(node, env)
    if base.kind == "sym" and base.text == "e" and not (env.world.by_base.get("e") or "e" in env.params):
        return _each(lambda x: _exp(x, node), evaluate(exponent, env), node)
    return _raise(evaluate(base, env), evaluate(exponent, env), node)


def _raise(base: Value, exponent: Value, node: Node) -> Value:
    if isinstance(exponent, np.ndarray) and exponent.size > 1:
        return _each(lambda x: _power(real(base, node), x, node), exponent, node)
    power = real(exponent, node)
    if isinstance(base, np.ndarray) and base.ndim == 2:
        return _matrix_power(base, power, node)
    return _each(lambda x: _power(x, power, node), base, node)


def _matrix_power(base: Value, power: Value, node: Node) -> Value:
    if base.shape[0] != base.shape[1] or power != -1:
        raise MathError("of a matrix only the inverse is known: a square one to the power -1", node.start)
    try:
        inverse = mpmath.matrix(base.tolist()) ** -1
    except ZeroDivisionError:
        raise UndefinedError("the inverse of a singular matrix", node.start) from None
    out = np.empty(base.shape, dtype=object)
    for place in np.ndindex(*base.shape):
        out[place] = inverse[place]
    return out


def _transpose(node: Node, env: Env) -> Value:
    value = evaluate(node.parts[0], env)
    if not isinstance(value, np.ndarray):
        return value
    return value[None, :] if value.ndim == 1 else value.T


def _fact(node: Node, env: Env) -> Value:
    return _factorials(evaluate(node.parts[0], env), node)


def _factorials(value: Value, node: Node) -> Value:
    return _each(lambda x: _factorial(x, node), value, node)


def _set(node: Node, env: Env) -> Value:
    """Return the members of a set; braces around one formula are brackets."""
    if len(node.parts) == 1 and node.parts[0].kind != "dots":
        return _group(node, env)
    members = _set_members(node, env)
    out = np.empty(len(members), dtype=object)
    out[:] = members
    return out


def _group(node: Node, env: Env) -> Value:
    if len(node.parts) == 3 and node.text == "(" and node.parts[1].kind == "dots":
        return _vector(node, env)
    if len(node.parts) != 1:
        raise MathError("a list stands where a number must; is a function not declared?", node.start)
    inner = node.parts[0]
    if inner.kind == "chain":
        holds = truth(inner, env)
        _note(inner, env, holds)
        return _mpf(int(holds))
    return evaluate(inner, env)


def _vector(node: Node, env: Env) -> Value:
    r"""Return the vector that a list such as `(w_1 N_1, \dots, w_K N_K)` stands for."""
    first, _, last = node.parts
    ends = {(name(low), name(high)): (low, high) for low, high in _differing(first, last)}
    if len(ends) != 1:
        raise MathError("dots must stand between two formulas that differ in one number alone", node.start)
    ((low, high),) = ends.values()
    numbers = range(_index(low, env), _index(high, env) + 1)
    out = np.empty(len(numbers), dtype=object)
    for at, number in enumerate(numbers):
        out[at] = real(evaluate(_between(first, last, number), env), node)
    return out


def _differing(a: Node | None, b: Node | None) -> list[tuple[Node, Node]]:
    """Return the places at which two formulas differ, with what stands there in each."""
    if a is None or b is None:
        return []
    if a.kind != b.kind or len(a.parts) != len(b.parts) or (not a.parts and a.text != b.text):
        return [(a, b)]
    pairs = [*zip(a.parts, b.parts, strict=True), (a.sub, b.sub), (a.sup, b.sup)]
    return [pair for one, other in pairs for pair in _differing(one, other)]


def _between(a: Node, b: Node, number: int) -> Node:
    """Return a formula with a number in the places at which it differs from another."""
    if _differing(a, b) == [(a, b)]:
        return Node("num", (), str(number), a.start, a.end)
    inner = tuple(_between(one, other, number) for one, other in zip(a.parts, b.parts, strict=True))
    sub = _between(a.sub, b.sub, number) if a.sub and b.sub else a.sub
    sup = _between(a.sup, b.sup, number) if a.sup and b.sup else a.sup
    return replace(a, parts=inner, sub=sub, sup=sup)


def _abs(node: Node, env: Env) -> Value:
    return _each(abs, evaluate(node.parts[0], env), node)


def _ceil(node: Node, env: Env) -> Value:
    """Round up; what is a whole number but for the last digits of the working precision stays: ⌈log₂ 8⌉ is 3."""

    def up(x: Value) -> Value:
        near = mpmath.nint(x) if mpmath.isfinite(x) else x
        return near if x == near or abs(x - near) <= WHOLE * max(1, abs(x)) else mpmath.ceil(x)

    return _each(up, evaluate(node.parts[0], env), node)


def _norm(node: Node, env: Env, order: str = "2") -> Value:
    value = np.ravel(np.asarray(evaluate(node.parts[0], env), dtype=object))
    if order == "1":
        return mpmath.fsum(abs(real(x, node)) for x in value)
    if order == r"\infty":
        return max(abs(real(x, node)) for x in value)
    if order != "2":
        raise MathError("the norms that are known are 1, 2 and \\infty", node.start)
    return mpmath.sqrt(mpmath.fsum(real(x, node) ** 2 for x in value))


def _root(node: Node, env: Env) -> Value:
    return _each(lambda x: _sqrt(x, node), evaluate(node.parts[0], env), node)


def _binom(node: Node, env: Env) -> Value:
    above, below = (real(evaluate(part, env), node) for part in node.parts)
    return mpmath.binomial(above, below)


def _otherwise(case: Node) -> bool:
    return case.parts[1].text.replace(".", "") in OTHERWISE


def _cases(node: Node, env: Env) -> Value:
    stated = [case for case in node.parts if not _otherwise(case)]
    held = [case.parts[0] for case in stated if truth(case.parts[1], env)]
    if not held:
        held = [case.parts[0] for case in node.parts if _otherwise(case)]
    if len(held) != 1:
        raise MathError(f"{len(held)} of the cases hold at once; exactly one must", node.start)
    _note(held[0], env)
    return evaluate(held[0], env)


def _note(branch: Node, env: Env, held: bool = True) -> None:
    """Note which branch of a formula was taken here, where that is asked for."""
    if HELD in env.world.values:
        env.world.values[HELD].add((id(branch), held))


def _underbrace(node: Node, env: Env) -> Value:
    if name(node.parts[1]).startswith(r"\text"):
        return evaluate(node.parts[0], env)
    raise MathError(r"what stands under a brace must be \text", node.parts[1].start)


def _count(node: Node, env: Env) -> Value:
    condition = node.parts[0]
    letters = [letter for letter in free_letters(condition, env.world.ranges) if letter not in env.bound]
    if len(letters) != 1:
        raise MathError("what is counted must have one index that is not bound", node.start)
    runs = range(1, env.world.length(letters[0]) + 1)
    return _mpf(sum(truth(condition, env.bind(letters[0], i)) for i in runs))


# symbols


def _sym(node: Node, env: Env) -> Value:
    return _named(node.text, node, env)


def _named(base: str, node: Node, env: Env) -> Value:
    if base in env.bound:
        return _mpf(env.bound[base])
    if base in env.params:
        return env.params[base]
    own = env.world.by_base.get(base, [])
    for symbol in own:
        if symbol.params is None and not symbol.indices:
            return _value(symbol, (), node, env)
    arrays = [s for s in own if s.params is None]
    if len(arrays) == 1:
        return _array(arrays[0], (), node, env)
    if len(arrays) > 1:
        raise MathError(f"{base} could be {' or '.join(_shown(s) for s in arrays)}: give its index", node.start)
    functions = [s for s in own if s.params is not None]
    if len(functions) == 1 and functions[0].kind == "derived":
        return _array(functions[0], (), node, env)
    if base in CONSTANTS:
        return CONSTANTS[base]()
    raise MathError(f"{base} is not declared", node.start)


def _prime(node: Node, env: Env) -> Value:
    r"""Return the value of a symbol that is written with a prime, or of the derivative of a function: \sigma'."""
    whole, base = name(node), node.parts[0]
    functions = [s for s in env.world.by_base.get(name(base), []) if s.params is not None]
    if whole in env.world.by_base or whole in env.params or len(functions) != 1 or not _stands_alone(functions, env):
        return _named(whole, node, env)
    (function,) = functions
    if len(function.params or ()) != 1:
        raise MathError(f"{whole} could be a derivative by each of {', '.join(function.params or ())}", node.start)
    argument = Node("sym", (), (function.params or ("",))[0], node.start, node.end)
    return _call_symbol((function, ()), (argument,), len(node.text), node, env)


def _shown(symbol: Symbol) -> str:
    return symbol.base + (f"_{{{''.join(symbol.indices)}}}" if symbol.indices else "")


def _sub(node: Node, env: Env) -> Value:
    read = env.world.read.get(id(node))
    if read is not None and env.params.keys().isdisjoint(read.names):
        _fits(read.symbol, read.indices, env)
        return _array(read.symbol, tuple(_index(i, env) for i in read.indices), node, env)
    if node.parts[0].kind == "norm" and len(node.parts) == 2:
        return _norm(node.parts[0], env, node.parts[1].text)
    exact = name(node)
    own = env.world.by_base.get(exact, [])
    if exact in env.params or any(s.params is None for s in own) or (own and exact not in env.bound):
        return _named(exact, node, env)
    base, *given = node.parts
    indices: list[Node] = []
    for part in given:
        indices += part.parts if part.kind == "juxt" and not _is_symbol(part, env) else [part]
    base_name = name(base) if base.kind in ("sym", "prime") else ""
    if base_name in env.params:
        value = env.params[base_name]
        if isinstance(value, np.ndarray) and value.ndim >= len(indices):
            return _pick(value, [_index(i, env) for i in indices], node)
    candidates = [
        s for s in env.world.by_base.get(base_name, []) if s.params is None and len(s.indices) >= len(indices)
    ]
    if len(candidates) > 1:
        wanted = [_range_of(i, env) for i in indices]
        candidates = [
            s
            for s in candidates
            if all(w is None or w == str(env.world.ranges[own]) for w, own in zip(wanted, s.indices, strict=False))
        ]
    candidates = [s for s in candidates if len(s.indices) == len(indices)] or candidates
    if len(candidates) > 1:
        letters = tuple(name(i) for i in indices)
        candidates = [s for s in candidates if s.indices[: len(letters)] == letters] or candidates
    if len(candidates) == 1:
        _fits(candidates[0], indices, env)
        if not own:
            env.world.read[id(node)] = _Read(node, (exact, base_name), candidates[0], indices)
        return _array(candidates[0], tuple(_index(i, env) for i in indices), node, env)
    if len(candidates) > 1:
        raise MathError(f"{exact} could be {' or '.join(_shown(s) for s in candidates)}", node.start)
    if base.kind in ("group", "juxt", "call") or base_name in env.world.by_base:
        value = evaluate(base, env)
        if isinstance(value, np.ndarray):
            return _pick(value, [_index(i, env) for i in indices], node)
    raise MathError(f"{exact} is not declared", node.start)


def _is_symbol(part: Node, env: Env) -> bool:
    return name(part) in env.world.by_base


def _range_of(node: Node, env: Env) -> str | None:
    """Return what an index runs to, as the table of symbols says it; None if it can't be told."""
    if node.kind == "sym":
        if node.text in env.world.ranges:
            return str(env.world.ranges[node.text])
        for symbol in env.world.by_base.get(node.text, []):
            if symbol.kind == "size":
                return symbol.base
    if node.kind == "add":
        letters = free_letters(node, env.world.ranges)
        return str(env.world.ranges[letters[0]]) if len(letters) == 1 else None
    base = node.parts[0].text if node.kind == "sub" else node.text
    for symbol in env.world.by_base.get(base, []):
        if symbol.domain.endswith(r"\}") and r"\dots" in symbol.domain:
            return symbol.domain[:-2].rpartition(",")[2].strip()
    return None


def _fits(symbol: Symbol, indices: Sequence[Node], env: Env) -> None:
    """Refuse an index that runs through something else than the symbol's own does: p_n, where p is one of classes."""
    for given, letter in zip(indices, symbol.indices, strict=False):
        if given.kind == "sym" and given.text in env.world.ranges and given.text not in env.ends:
            runs, own = env.world.ranges[given.text], env.world.ranges[letter]
            if str(runs) != str(own):
                what = f"the index {given.text} runs to {runs}, but that of {_shown(symbol)} runs to {own}"
                raise MathError(what, given.start)


def _index(node: Node, env: Env) -> int:
    if node.kind == "sym" and node.text in env.bound:
        return env.bound[node.text]
    value = real(evaluate(node, env), node)
    if not abs(value) < 2**62:
        raise UndefinedError("an index that is too large", node.start)
    if value != int(value):
        raise UndefinedError(f"the index {mpmath.nstr(value, 5)} is not a whole number", node.start)
    return int(value)


def _pick(value: Value, indices: Sequence[int], node: Node) -> Value:
    for index in indices:
        if not 1 <= index <= value.shape[0]:
            raise UndefinedError(f"the index {index} is outside 1, …, {value.shape[0]}", node.start)
        value = value[index - 1]
    return value


def _array(symbol: Symbol, indices: tuple[int, ...], node: Node, env: Env) -> Value:
    """Return the entry of an indexed symbol, or the array of all that the given indices leave open."""
    if symbol.kind == "variable":
        return _pick(_value(symbol, (), node, env), indices, node)
    for index, letter in zip(indices, symbol.indices, strict=False):
        if not 1 <= index <= env.world.length(letter):
            raise UndefinedError(f"the index {index} is outside 1, …, {env.world.length(letter)}", node.start)
    left = symbol.indices[len(indices) :]
    if not left:
        return _value(symbol, indices, node, env)
    lengths = [env.world.length(letter) for letter in left]
    out = np.empty(lengths, dtype=object)
    for place in np.ndindex(*lengths):
        out[place] = _value(symbol, (*indices, *(i + 1 for i in place)), node, env)
    return out


def _value(symbol: Symbol, indices: tuple[int, ...], node: Node, env: Env) -> Value:
    if symbol.kind == "derived":
        if env.depth > DEPTH:
            raise CycleError(f"{symbol.base} is defined by itself", node.start)
        assert symbol.body is not None
        bound = dict(zip(symbol.indices, indices, strict=True))
        inside = env.inside
        if symbol.params is None:
            own = symbol.key, indices
            if own in inside:
                raise CycleError(f"{symbol.base} is defined by itself", node.start)
            inside = inside | {own}
        known = env.world.values.derived
        place = None if env.params or symbol.params is not None else (symbol.key, indices, mpmath.mp.prec)
        if place in known:
            return known[place]
        try:
            value = evaluate(symbol.body, Env(env.world, bound, env.params, env.depth + 1, inside))
            if place is not None:
                known[place] = value
            return value
        except CycleError as error:
            raise CycleError(str(error), node.start) from None
        except UndefinedError as error:
            raise UndefinedError(f"in {_shown(symbol)}: {error}", node.start) from None
        except MathError as error:
            raise MathError(f"in {_shown(symbol)}: {error}", node.start) from None
    if symbol.kind == "size":
        return env.world.values.get(symbol.key, _mpf(symbol.fields["size"]))
    if symbol.kind == "variable":
        value = variable(symbol, env, node)
        if isinstance(value.flat[0] if isinstance(value, np.ndarray) and value.size else value, Chance):
            raise MathError(f"the random variable {symbol.base} stands outside an expectation", node.start)
        return value
    if symbol.kind == "index":
        raise MathError(f"the index {symbol.base} is bound by nothing", node.start)
    if symbol.key in env.world.values:
        return env.world.values[symbol.key]
    raise MathError(f"{symbol.base} has no value here", node.start)


def variable(symbol: Symbol, env: Env, node: Node) -> Value:
    """Return the value of a variable at this point, drawn when it is first asked for."""
    values = env.world.values
    if symbol.key not in values:
        shape = tuple(env.world.length(letter) for letter in symbol.indices)
        rng = Random(f"{env.world.seed}/{env.world.point}/{symbol.key}")
        outside, point = Env(env.world), env.world.point
        first = Random(f"{env.world.seed}/{point // 2}/{symbol.key}").choice((1, -1))  # of two points; then the other

        def bound(part: Node) -> Value:
            return real(evaluate(part, outside), part)

        value = domains.draw(symbol.domain, shape, rng, point, bound, first if point % 2 else -first)
        values[symbol.key] = domains.moved(symbol.domain, value, env.world.way, rng, bound)
    return values[symbol.key]


# functions


def _application(part: Node, after: Node, env: Env) -> Callable[[], Value] | None:
    r"""Return how to evaluate `f(x)`, `f(x)^2`, `f(x)_k` or `f'(x)` if `part` is a declared function; else None."""
    known = env.world.applied.get((id(part), id(after)))
    if known is not None:
        return partial(_applied, partial(_call_known, known, env), known.wraps, env)
    wraps: list[Node] = []
    group = after
    while group.kind in ("pow", "sub", "transpose", "fact"):
        wraps.append(group)
        group = group.parts[0]
    if group.kind not in ("group", "set") or not _may_be_argument(part, group, env) or group.text != "(":
        return None
    if part.kind == "pow":
        base = name(part.parts[0])
        own = env.world.by_base.get(base, [])
        if base not in env.params and any(s.params is not None for s in own) and all(s.params is not None for s in own):
            raise MathError(f"an exponent between {base} and its argument: write it after the bracket", part.start)
    primes, head = 0, part
    if part.kind == "prime" and not env.world.by_base.get(name(part)):
        primes, head = len(part.text), part.parts[0]
    whole = Node("juxt", (part, group), "", part.start, group.end)
    exact = name(whole)
    function: Callable[[], Value]
    if any(s.params is None for s in env.world.by_base.get(exact, [])):
        function = lambda: _named(exact, whole, env)  # noqa: E731
    elif (probability := _joint(head, group, env)) is not None:
        function = probability
    else:
        arguments = spread(group.parts)
        found = _function(head, len(arguments), env)
        if found is None:
            return None
        function = lambda: _call_symbol(found, arguments, primes, whole, env)  # noqa: E731
        if _whatever_the_parameters(part, group, found, env):
            kept = _Applied(part, after, found[0], arguments, primes, whole, wraps)
            env.world.applied[id(part), id(after)] = kept
    return partial(_applied, function, wraps, env)


def _whatever_the_parameters(part: Node, group: Node, found: tuple[Symbol, tuple[int, ...]], env: Env) -> bool:
    """Say whether a bracket is the argument of this function within whatever function it stands."""
    could_be_factor = len(group.parts) == 1 and group.parts[0].kind == "add"  # see `_may_be_argument`
    joint = any(s.domain == "joint" for s in env.world.by_base.get(found[0].base, []))
    return part.kind in ("sym", "prime") and not could_be_factor and not joint and not found[1]


def _call_known(known: _Applied, env: Env) -> Value:
    return _call_symbol((known.function, ()), known.arguments, known.primes, known.whole, env)


def _applied(function: Callable[[], Value], wraps: Sequence[Node], env: Env) -> Value:
    """Return the value of a function, and of what stands behind its bracket: an exponent, an index."""
    value = function()
    for wrap in reversed(wraps):
        if wrap.kind == "pow":
            value = _raise(value, evaluate(wrap.parts[1], env), wrap)
        elif wrap.kind == "sub":
            value = _pick(value, [_index(i, env) for i in wrap.parts[1:]], wrap)
        elif wrap.kind == "fact":
            value = _factorials(value, wrap)
        else:
            value = value[None, :] if value.ndim == 1 else value.T
    return value


def _may_be_argument(part: Node, group: Node, env: Env) -> bool:
    r"""Say whether a bracket after a name can hold its argument: not in \sigma (1 - \sigma), where \sigma is a value.

    Raises:
        MathError: It can hold its argument, and be a factor as well.
    """
    head = part.parts[0] if part.kind in ("pow", "prime") else part
    base, own = name(head), env.world.by_base.get(name(head), [])
    functions = [s for s in own if s.params is not None and s.domain != "joint"]
    if len(group.parts) != 1 or not any(len(s.params or ()) == 1 for s in functions):
        return True
    inner = group.parts[0]
    uses = [after for used, after, _ in uses_of_functions(inner, env.world) if used == base]
    if any(after is None for after in uses):
        return False
    value_too = base in env.params or len(functions) < len(own) or part.kind == "pow"
    how = FACTOR.format(base)
    if group.text != "(" and inner.kind != "chain" and not value_too and _stands_alone(functions, env):
        raise MathError(f"{base} before such a bracket can be read in two ways: {how}", part.start)
    if (
        group.text == "("
        and inner.kind == "add"
        and part.kind != "pow"
        and (value_too or (uses and _stands_alone(functions, env)))
    ):
        raise MathError(f"{base} before this bracket can be read in two ways: {how}", part.start)
    return True


def _stands_alone(functions: list[Symbol], env: Env) -> bool:
    """Say whether a function has a value without its argument: that at the variables its parameters are called by."""
    if len(functions) != 1 or functions[0].kind != "derived":
        return False
    given = {parameter.partition("^")[0] for parameter in functions[0].params or ()}
    return all(base in env.params or base in env.world.by_base for base in given)


def uses_of_functions(node: Node | None, world: World) -> Iterator[tuple[str, Node | None, Node]]:
    """Yield each use of a function's name: the name, the bracket with its arguments (None if bare), and its place."""
    if node is None:
        return
    if node.kind in ("sym", "sub", "prime"):
        base = node.parts[0] if node.kind == "prime" and name(node) not in world.by_base else node
        if any(s.params is not None for s in world.by_base.get(name(base), [])):
            yield name(base), None, node
        return
    parts: list[Node] = []
    at = 0
    while at < len(node.parts):
        part, after = node.parts[at], node.parts[at + 1] if at + 1 < len(node.parts) else None
        group = after
        while group is not None and group.kind in ("pow", "sub", "transpose", "fact"):
            group = group.parts[0]
        head = part.parts[0] if part.kind == "prime" and name(part) not in world.by_base else part
        own = world.by_base.get(name(head), []) if node.kind == "juxt" and head.kind in ("sym", "sub", "prime") else []
        functions = [s for s in own if s.params is not None]
        if functions and group is not None and group.kind == "group" and group.text == "(":
            arity = len(spread(group.parts))
            if any(len(s.params or ()) == arity for s in functions):
                yield name(head), group, part
                parts += group.parts
                at += 2
                continue
        parts.append(part)
        at += 1
    scripts = [node.sup] if node.kind in ("big", "call") else [node.sub, node.sup]
    for inner in (*parts, *scripts):
        yield from uses_of_functions(inner, world)


def as_factors(node: Node, env: Env) -> Node:
    r"""Return a formula with \sigma in each \sigma (1 - x) a factor, if it can stand alone; else the same."""
    parts = [as_factors(part, env) for part in node.parts]
    for at, (part, after) in enumerate(itertools.pairwise(parts) if node.kind == "juxt" else ()):
        functions = [s for s in env.world.by_base.get(name(part), []) if s.params is not None]
        group = after.parts[0] if after.kind == "pow" else after
        of_a_sum = group.kind == "group" and group.text == "(" and [inner.kind for inner in group.parts] == ["add"]
        if of_a_sum and _stands_alone(functions, env) and len(functions[0].params or ()) == 1:
            parts[at] = Node("group", (part,), "{", part.start, part.end)
    if all(new is old for new, old in zip(parts, node.parts, strict=True)):
        return node
    return replace(node, parts=tuple(parts))


def _function(head: Node, arity: int, env: Env) -> tuple[Symbol, tuple[int, ...]] | None:
    """Return the function that a name and a number of arguments stand for, with its indices' values."""
    for symbol in env.world.by_base.get(name(head), []):
        if symbol.params is not None and len(symbol.params) == arity and not symbol.indices:
            return symbol, ()
    if name(head) in env.world.by_base:
        for symbol in env.world.by_base[name(head)]:
            if symbol.params is not None and len(symbol.params) == arity:
                return symbol, ()
    if head.kind == "sub":
        for symbol in env.world.by_base.get(name(head.parts[0]), []):
            if symbol.params is not None and len(symbol.params) == arity and len(symbol.indices) == len(head.parts) - 1:
                return symbol, tuple(_index(i, env) for i in head.parts[1:])
    return None


def _joint(head: Node, group: Node, env: Env) -> Callable[[], Value] | None:
    r"""Return how to evaluate P(a, b) or P(a \mid b) if P is a joint distribution and a and b are its variables."""
    symbol = next((s for s in env.world.by_base.get(name(head), []) if s.domain == "joint"), None)
    if symbol is None:
        return None
    every = _listed(symbol.variables, list(env.world.symbols.values()), Env(env.world))
    if every is None:
        raise MathError(f"{symbol.base} must be the joint distribution of variables of the page", head.start)
    bar = next((at for at, mark in enumerate(group.marks, 1) if mark == r"\mid"), len(group.parts))
    own = [variable for variable, _ in every]
    asked, given = _listed(group.parts[:bar], own, env), _listed(group.parts[bar:], own, env)
    if asked is None or given is None:
        return None
    if outside := {*asked, *given} - {*every}:
        raise UndefinedError(f"{symbol.base} has no variable {min(i for _, i in outside)}", group.start)

    def probability() -> Value:
        table, at = _outcomes(symbol, every, head, env)
        shares = [
            np.sum(table[tuple(at[v] if v in fixed else slice(None) for v in every)])
            for fixed in ({*asked, *given}, {*given})
        ]
        return shares[0] / shares[1]

    return probability


def _listed(parts: tuple[Node, ...], symbols: list[Symbol], env: Env) -> list[tuple[Symbol, int]] | None:
    r"""Return the variables that arguments name, each with its index, or 0; `y_1, \dots, y_T` are T of them.

    None if one is no variable among `symbols`.
    """
    found: list[tuple[Symbol, int]] = []
    for at, part in enumerate(parts):
        if part.kind == "dots" or (at + 1 < len(parts) and parts[at + 1].kind == "dots"):
            continue  # the last after the dots stands for them all
        base, *indices = part.parts if part.kind == "sub" else (part,)
        own = {s for s in symbols if s.base == name(base) and s.kind == "variable" and s.params is None}
        own = {s for s in own if len(s.indices) == len(indices) < 2}
        if indices:
            runs = _range_of(indices[0], env)
            own = {s for s in own if runs in (None, str(env.world.ranges[s.indices[0]]))}
        if len(own) != 1:
            return None
        last = first = _index(indices[0], env) if indices else 0
        if at and parts[at - 1].kind == "dots":
            spread(parts[max(at - 2, 0) : at + 1])  # complains if these are not the ends of one symbol
            first = _index(parts[at - 2].parts[1], env)
        found += [(symbol, i) for symbol in own for i in range(first, last + 1)]
    return found


def _outcomes(
    symbol: Symbol, every: list[tuple[Symbol, int]], node: Node, env: Env
) -> tuple[Value, dict[tuple[Symbol, int], int]]:
    """Return a joint distribution's table, and the place in it of the value that each variable has now."""
    key = (*symbol.key, "joint")
    if key not in env.world.values:
        rng, outside = Random(f"{env.world.seed}/{env.world.point}/{symbol.key}"), Env(env.world)
        values = [domains.members(own.domain, lambda part: evaluate(part, outside)) for own, _ in every]
        env.world.values[key] = domains.joint(tuple(len(own) for own in values), rng), values
    table, values = env.world.values[key]
    places = {}
    for (own, index), each in zip(every, values, strict=True):
        now = env.params.get(own.base)
        now = variable(own, env, node) if now is None else now
        places[own, index] = each.index(now[index - 1] if index else now)
    return table, places


def _call_symbol(
    found: tuple[Symbol, tuple[int, ...]], arguments: tuple[Node, ...], primes: int, node: Node, env: Env
) -> Value:
    symbol, indices = found
    given = [_argument(argument, env) for argument in arguments]

    def call(*values: Value) -> Value:
        if symbol.kind == "variable":
            return _unknown(symbol, env)(*values)
        if symbol.kind == "special":
            return _remainder(symbol, values, node, env)
        own = parameters(symbol, values, node)
        for parameter in _vectors(symbol, env.world):
            if not isinstance(own[parameter], np.ndarray):
                raise MathError(f"{_shown(symbol)} takes a vector as its {parameter}, not a number", node.start)
        params = {**env.params, **own}
        inner = Env(env.world, env.bound, params, env.depth + 1, env.inside, env.ends)
        return _array(symbol, indices, node, inner)

    if not primes:
        return call(*given)
    if len(given) > 1:
        raise MathError(f"a prime of {_shown(symbol)} could be a derivative by each of its arguments", node.start)
    first = real(given[0], node)
    return mpmath.diff(lambda x: real(call(x, *given[1:]), node), first, primes)


def _vectors(symbol: Symbol, world: World) -> frozenset[str]:
    """Return the parameters of a function that stand nowhere without an index where it is worked out."""
    if symbol.key not in world.vectors:
        assert symbol.body is not None
        inner = [s.body for s in dependencies(symbol.body, world) if s.body is not None and s.params is None]
        uses = {use for body in (symbol.body, *inner) for use in _uses(body)}
        world.vectors[symbol.key] = frozenset(
            parameter
            for parameter in symbol.params or ()
            if (parameter, True) in uses
            and (parameter, False) not in uses
            and all(s.indices or s.params is not None for s in world.by_base.get(parameter, []))
        )
    return world.vectors[symbol.key]


def _uses(node: Node | None) -> Iterator[tuple[str, bool]]:
    """Yield the symbols of a formula, and whether they have an index there."""
    if node is None:
        return
    parts = node.parts
    if node.kind == "sub" and parts[0].kind == "sym":
        yield parts[0].text, True
        parts = parts[1:]
    elif node.kind == "sym":
        yield node.text, False
    for part in (*parts, node.sub, node.sup):
        yield from _uses(part)


def parameters(symbol: Symbol, values: Sequence[Value], node: Node) -> dict[str, Value]:
    r"""Return the values of a function's parameters: one written `\sigma^2` makes \sigma the root of what is given."""
    found = {}
    for parameter, value in zip(symbol.params or (), values, strict=True):
        base, _, power = parameter.partition("^")
        found[base] = _nth_root(value, int(power), node) if power else value
    return found


def _nth_root(value: Value, n: int, node: Node) -> Value:
    def root(x: Value) -> Value:
        if x < 0:
            raise UndefinedError("the root of a negative number", node.start)
        return mpmath.root(x, n)

    return _each(root, value, node)


def _remainder(symbol: Symbol, values: Sequence[Value], node: Node, env: Env) -> Value:
    """Return 0 for a remainder such as O(x²), and note how large it may be, where that is asked for."""
    if symbol.base != "O" or ORDERS not in env.world.values:
        raise MathError(f"{symbol.base} has no value here", node.start)
    env.world.values[ORDERS].append(abs(real(values[0], node)))
    return _mpf(0)


def _argument(node: Node, env: Env) -> Value:
    if node.kind == "sym" and node.text.startswith(r"\text") and node.text not in env.world.by_base:
        return np.empty(0, dtype=object)  # a word: what a function is told besides its numbers
    return evaluate(node, env)


def _unknown(symbol: Symbol, env: Env) -> Callable[..., Value]:
    if symbol.domain not in ("function", "positive function"):
        raise MathError(f"{symbol.base} has arguments, so it must be in 'function', 'positive function' or 'joint'", 0)
    key = (*symbol.key, "function")
    if key not in env.world.values:
        rng = Random(f"{env.world.seed}/{env.world.point}/{symbol.key}")
        arity = len(symbol.params or ())
        env.world.values[key] = domains.smooth_function(rng, arity, symbol.domain.startswith("positive"))
    function: Callable[..., Value] = env.world.values[key]
    return function


def _call(node: Node, env: Env) -> Value:
    text, argument = node.text, node.parts[0]
    scripted = [node.sub is not None and text not in SUBSCRIPTED, node.sup is not None and text in UNRAISED]
    if any(scripted):
        raise MathError(f"{text} with {'a subscript' if scripted[0] else 'an exponent'} has no meaning", node.start)
    if text in (r"\max", r"\min"):
        values = [evaluate(part, env) for part in spread(argument.parts)]
        numbers = [real(x, node) for value in values for x in np.ravel(np.asarray(value, dtype=object))]
        best = max(numbers) if text == r"\max" else min(numbers)
        if len(numbers) == len(argument.parts):
            _note(argument.parts[numbers.index(best)], env)
        return best
    if text in (r"\mathbb{E}", r"\operatorname{Var}"):
        return _moment(node, env)
    if text == r"\nabla":
        return _gradient(node, env)
    value = evaluate(argument, env)
    if text == r"\operatorname{diag}":
        out = np.full((len(value), len(value)), _mpf(0), dtype=object)
        for i, entry in enumerate(value):
            out[i, i] = entry
        return out
    if text in (r"\log", r"\ln"):
        logs = _each(lambda x: _log(x, node), value, node)
        if node.sub is not None:
            base = _log(real(evaluate(node.sub, env), node), node)
            logs = _each(lambda x: x / base, logs, node)
        value = logs
    elif text == r"\exp":
        value = _each(lambda x: _exp(x, node), value, node)
    elif text in (r"\sinh", r"\cosh"):
        sign = -1 if text == r"\sinh" else 1
        value = _each(lambda x: (_exp(x, node) + sign * _exp(-x, node)) / 2, value, node)
    elif text in ELEMENTARY:
        value = _each(ELEMENTARY[text], value, node)
    else:
        raise MathError(f"{text} is no function that is known", node.start)
    return value if node.sup is None else _raise(value, evaluate(node.sup, env), node)


def _moment(node: Node, env: Env) -> Value:
    """Return an expectation or a variance: under the weights of the subscript, of random variables, or of data."""
    body = node.parts[0]
    inner = body.parts[0] if body.kind == "group" and len(body.parts) == 1 else body
    outcomes: list[tuple[Value, Value]] = []
    if node.sub is not None and (chances := _chances(inner, env, name(node.sub))):
        outcomes = [(weight, real(evaluate(inner, replace(env, world=w)), node)) for weight, w in chances]
    elif node.sub is not None:
        weights, values = evaluate(node.sub, env), evaluate(inner, env)
        if not (isinstance(weights, np.ndarray) and isinstance(values, np.ndarray) and weights.shape == values.shape):
            raise MathError("under an expectation over weights must stand one value for each of them", node.start)
        outcomes = list(zip(weights, values, strict=True))
    else:
        chances = _chances(inner, env)
        if chances:
            outcomes = [(weight, real(evaluate(inner, replace(env, world=w)), node)) for weight, w in chances]
        elif node.text == r"\operatorname{Var}":
            data = evaluate(inner, env)
            if not isinstance(data, np.ndarray):
                raise MathError("the variance of one number", node.start)
            outcomes = [(_mpf(1) / data.size, x) for x in data.reshape(-1)]
        else:
            raise MathError("an expectation of what is not random", node.start)
    mean = mpmath.fsum(weight * value for weight, value in outcomes)
    if node.text == r"\mathbb{E}":
        return mean
    return mpmath.fsum(weight * (value - mean) ** 2 for weight, value in outcomes)


def _chances(node: Node, env: Env, by: str = "") -> list[tuple[Value, World]]:
    """Return every outcome of the random variables that a formula depends on, with its probability.

    Args:
        node: The formula.
        env: Where it stands.
        by: The subscript of the expectation: only what the table of symbols says is drawn by it; empty for all.
    """
    random = []
    for symbol in dependencies(node, env.world):
        if symbol.kind == "variable" and by in ("", symbol.fields.get("by")):
            value = env.world.values.get((RANDOM, symbol.key))  # within another expectation it has a value already
            value = variable(symbol, env, node) if value is None else value
            entries = np.ravel(np.asarray(value, dtype=object)) if isinstance(value, np.ndarray) else [value]
            if len(entries) and isinstance(entries[0], Chance):
                random.append((symbol, value, list(entries)))
    if not random:
        return []
    outcomes = []
    every = [chance for _, _, entries in random for chance in entries]
    for choice in itertools.product(*(range(len(chance.atoms)) for chance in every)):
        weight, world, at = _mpf(1), env.world, 0
        for symbol, value, entries in random:
            drawn = []
            world = world.changed((RANDOM, symbol.key), value)
            for chance in entries:
                weight *= chance.probabilities[choice[at]]
                drawn.append(chance.atoms[choice[at]])
                at += 1
            if isinstance(value, np.ndarray):
                array = np.empty(len(drawn), dtype=object)
                array[:] = drawn
                world = world.changed(symbol.key, array.reshape(value.shape))
            else:
                world = world.changed(symbol.key, drawn[0])
        outcomes.append((weight, world))
    return outcomes


# sums, products, extremes, integrals


def _big(node: Node, env: Env) -> Value:
    body, text = node.parts[0], node.text
    if text == r"\int":
        return _integral(node, env)
    if "arg" in text:
        raise MathError(f"{text} has no value of its own: it may only stand beside an equality sign", node.start)
    if node.sub is None:
        raise MathError(f"{text} has no index under it", node.start)
    starts = node.sub.kind == "chain" and node.sub.marks[0] == "="
    if node.sup is not None and not starts:
        raise MathError(f"{text} has an upper end, so below must stand where it begins, as in n = 1", node.start)
    if node.sub.kind == "chain" and starts and len(node.sub.parts) > 2:
        raise MathError(f"under {text} stands more than one relation", node.start)
    if text in (r"\min", r"\max") and node.sub.kind in ("sym", "sub") and node.sub.text not in env.world.ranges:
        return extreme(node, env)
    values = [evaluate(body, inner) for inner in _runs(node, env)]
    if text == r"\sum":
        if not values:
            return _mpf(0)
        total = values[0]
        for value in values[1:]:
            total = _plus(total, value, node)
        return total
    if text == r"\prod":
        product: Value = _mpf(1)
        for value in values:
            product = product * real(value, node)
        return product
    if text in (r"\max", r"\min"):
        numbers = [real(value, node) for value in values]
        return max(numbers) if text == r"\max" else min(numbers)
    raise MathError(f"{text} has no value of its own: it may only stand beside an equality sign", node.start)


def _runs(node: Node, env: Env) -> Iterator[Env]:
    """Yield the environment of each term of a sum or a product."""
    sub = node.sub
    assert sub is not None
    if sub.kind == "args":
        envs: list[Env] = [env]
        for part in sub.parts:
            envs = [inner for one in envs for inner in _runs(replace(node, sub=part), one)]
        yield from envs
        return
    if sub.kind == "chain":
        letter, relation = name(sub.parts[0]), str(sub.marks[0])
        if relation == "=":
            if node.sup is None:
                raise MathError(f"the sum over {letter} has no upper end", node.start)
            low, high = _index(sub.parts[1], env), _index(node.sup, env)
            if high - low > TERMS:
                raise MathError(f"a sum of more than {TERMS} terms", node.start)
            yield from (env.bind(letter, i, says=True) for i in range(low, high + 1))
            return
        if relation == r"\in":
            yield from (env.bind(letter, int(i), says=True) for i in _set_members(sub.parts[1], env))
            return
        everything = range(1, env.world.length(letter) + 1)
        yield from (inner for inner in (env.bind(letter, i) for i in everything) if truth(sub, inner))
        return
    letter = name(sub)
    if letter not in env.world.ranges:
        raise MathError(f"{letter} is not declared as an index", sub.start)
    yield from (env.bind(letter, i) for i in range(1, env.world.length(letter) + 1))


def _integral(node: Node, env: Env) -> Value:
    body = node.parts[0]
    if body.kind != "juxt" or len(body.parts) < 3 or body.parts[-2].text != "d" or body.parts[-1].kind != "sym":
        raise MathError("an integral must end with d and its variable", node.start)
    letter = body.parts[-1].text
    rest = body.parts[:-2]
    inner = rest[0] if len(rest) == 1 else replace(body, parts=rest)
    if node.sub is None or node.sup is None:
        raise MathError("an integral must have both its limits", node.start)
    limits = [real(evaluate(end, env), node) for end in (node.sub, node.sup)]
    env = replace(env, bound={own: value for own, value in env.bound.items() if own != letter})

    def integrand(x: Value) -> Value:
        return real(evaluate(inner, replace(env, params={**env.params, letter: x})), node)

    with mpmath.workdps(min(mpmath.mp.dps, INTEGRAL)):
        unit = _mpf(1)
        if limits == [-mpmath.inf, mpmath.inf]:  # measured in the width of what is integrated
            unit = max(
                (_mpf(4) ** n for n in range(-10, 21)), key=lambda x: x * (abs(integrand(x)) + abs(integrand(-x)))
            )
        value, error = mpmath.quad(lambda x: integrand(x * unit) * unit, limits, error=True)
    if error > mpmath.mpf(10) ** -25 * max(1, abs(value)):
        raise UndefinedError("an integral whose value was not found", node.start)
    return value


# derivatives


@dataclass(frozen=True)
class Differential:
    """A derivative as it is written: of `body` (None if it follows the fraction), by each of `variables`."""

    body: Node | None
    variables: tuple[Node, ...]
    node: Node


def differential(node: Node) -> Differential | None:
    r"""Return what a fraction such as \frac{\partial^2 f}{\partial x \, \partial y} differentiates; None if nothing."""
    above, below = node.parts
    if node.kind != "frac" or node.text == "/":
        return None
    top, bottom = _factors(above), _factors(below)
    sign, order = _sign(top[0])
    if not sign or len(bottom) < 2 or _sign(bottom[0])[0] != sign:
        return None
    variables: list[Node] = []
    whole: list[Node] = []  # with the exponents as parts of the variables
    at = 0
    while at < len(bottom):
        if _sign(bottom[at]) != (sign, 1):
            raise MathError(f"each variable below must follow its own {sign}", bottom[at].start)
        at += 1
        own = []
        while at < len(bottom) and not _sign(bottom[at])[0]:
            own.append(bottom[at])
            at += 1
        if len(own) != 1:
            raise MathError(f"what follows {sign} below must be one variable", node.start)
        target, times = own[0], 1
        whole.append(target)
        if target.kind == "pow":
            times = int(target.parts[1].text) if target.parts[1].text.isdecimal() else 0
            target = target.parts[0]
        if times > ORDER or order > ORDER:
            raise MathError(f"a derivative of a higher order than {ORDER}", node.start)
        variables += [target] * times
    if len(variables) != order and len(whole) == order:  # by \sigma^2, once
        variables = whole
    if len(variables) != order:
        raise MathError(f"a derivative of order {order} by {len(variables)} variables", node.start)
    rest = top[1:]
    if not rest:
        return Differential(None, tuple(variables), node)
    body = rest[0] if len(rest) == 1 else replace(above, parts=rest, start=rest[0].start)
    return Differential(body, tuple(variables), node)


def _factors(node: Node) -> tuple[Node, ...]:
    return node.parts if node.kind == "juxt" else (node,)


def _sign(node: Node) -> tuple[str, int]:
    if node.kind == "sym" and node.text in ("d", r"\partial"):
        return node.text, 1
    if node.kind == "pow" and node.parts[0].text in ("d", r"\partial") and node.parts[1].text.isdecimal():
        return node.parts[0].text, int(node.parts[1].text)
    return "", 0


def derive(operator: Differential, body: Node, env: Env) -> Value:
    """Return the derivative of a formula at this point.

    Raises:
        MathError: It is by what is not one quantity, or what is to be held fixed can be read in two ways.
    """
    _independent(operator, env)

    def by(variables: tuple[Node, ...], env: Env) -> Value:
        if not variables:
            return real(evaluate(body, env), body)
        total = _sign(_factors(operator.node.parts[1])[0])[0] == "d"
        of = _Of(body, lambda inner: by(variables[1:], inner), total)
        return _by_one(of, variables[0], env)

    return by(operator.variables, env)


_Number = tuple[Symbol, str, Value, Callable[[Value], Env]]  # whose it is, its name and value, and how to change it


@dataclass(frozen=True)
class _Of:
    """What a derivative is of: the formula, the value of it or of its derivative, and whether that is a total one."""

    body: Node
    value: Callable[[Env], Value]
    total: bool


def _independent(operator: Differential, env: Env) -> None:
    """Refuse a derivative by a quantity and by what that quantity depends on: the order would matter."""
    for target in operator.variables:
        below = {s.key for s in _beneath(target, env)}
        for other in operator.variables:
            own = _quantity(other, env)
            if own is not None and own[0].key in below:
                raise MathError(
                    f"a derivative by {_written(target)} and by {_written(other)}, on which it depends, can be read in "
                    "two ways: write one derivative of the other",
                    operator.node.start,
                )


def _beneath(target: Node, env: Env) -> list[Symbol]:
    """Return what a derived quantity, or a formula of one, depends on; nothing if it is a variable itself."""
    own = _quantity(target, env)
    if own is None:
        inner = [leaf for leaf in _leaves(target, env) if leaf[1] != target]
        return [s for symbol, leaf in inner for s in (symbol, *_beneath(leaf, env))]
    return dependencies(own[0].body, env.world) if own[0].body is not None else []


def _by_one(of: _Of, target: Node, env: Env) -> Value:
    if (found := place(target, env)) is not None:
        get, put = found
        return mpmath.diff(lambda x: real(of.value(put(x)), target), real(get, target))
    if (own := _quantity(target, env)) is not None and own[0].kind == "derived":
        return _by_derived(of, target, *own, env)
    # By a formula of one quantity: df/dg = (df/dx) / (dg/dx).
    leaves = _leaves(target, env)
    if len(leaves) != 1 or leaves[0][1] == target:
        shown = " and ".join(sorted({_written(leaf) for _, leaf in leaves})) or "nothing that varies"
        raise MathError(f"a derivative by what is not one variable: it is a formula of {shown}", target.start)
    leaf = leaves[0][1]
    above = _by_one(of, leaf, env)
    below = _by_one(_Of(target, lambda inner: real(evaluate(target, inner), target), of.total), leaf, env)
    return _divide(above, below, target)


def _by_derived(of: _Of, target: Node, symbol: Symbol, where: tuple[int, ...], env: Env) -> Value:
    """Return the derivative by a quantity that the page derives from its variables.

    Where one number alone makes it vary, this is (df/dx) / (dg/dx). Where more do, it is an argument of its own, if the
    formula depends on them in no other way; else what is held fixed can be read in two ways.
    """
    numbers = _moving(target, symbol, env)
    through, mixed = _ways(of.body, symbol, numbers, env)
    if len(numbers) == 1 and not (through and mixed and not of.total):
        _, _, get, put = numbers[0]
        above = mpmath.diff(lambda x: real(of.value(put(x)), target), get)
        below = mpmath.diff(lambda x: real(evaluate(target, put(x)), target), get)
        return _divide(above, below, target)
    values = _own_argument(of.body, target, symbol, numbers, env)
    free = partial(_freed, env, symbol)
    if not where:
        return mpmath.diff(lambda x: real(of.value(free(x)), target), real(values, target))
    return mpmath.diff(lambda x: real(of.value(free(_with(values, where, x))), target), real(values[where], target))


def _ways(body: Node, symbol: Symbol, numbers: list[_Number], env: Env) -> tuple[bool, bool]:
    """Say whether a formula depends on a quantity, and whether it depends in another way on what the quantity does."""
    otherwise = {s.key for s in dependencies(body, env.world, without=symbol)}
    through = any(s.key == symbol.key for s in dependencies(body, env.world))
    return through, bool(otherwise & {own.key for own, _, _, _ in numbers})


def _own_argument(body: Node, target: Node, symbol: Symbol, numbers: list[_Number], env: Env) -> Value:
    """Return the values of a quantity that a formula is a function of.

    Raises:
        MathError: It is not, or not of it alone.
    """
    through, mixed = _ways(body, symbol, numbers, env)
    if through and not mixed and numbers and symbol.params is None:
        return _array(symbol, (), target, env)
    shown = list(dict.fromkeys(shown for _, shown, _, _ in numbers))
    what = _written(target)
    if not shown:
        raise MathError(f"a derivative by {what}, which no variable of the page changes", target.start)
    on = " and ".join(shown) if len(shown) < 4 else f"{shown[0]}, …, {shown[-1]}"
    so = "so does what is differentiated, and not through it alone" if mixed else "what is differentiated does not"
    raise MathError(
        f"a derivative by {what} can be read in two ways: {what} depends on {on}, and {so}; "
        f"differentiate by a variable, or write what is differentiated as a function of {what}",
        target.start,
    )


def _freed(env: Env, symbol: Symbol, value: Value) -> Env:
    """Return the same environment with a derived quantity a variable that has a value of its own."""
    own = replace(symbol, kind="variable", body=None, domain="real")
    symbols = {key: own if each is symbol else each for key, each in env.world.symbols.items()}
    values = Values({**env.world.values, own.key: value})
    world = replace(env.world, symbols=symbols, values=values, by_base={}, vectors={}, read={}, applied={})
    return replace(env, world=world)


def _changed(env: Env, symbol: Symbol, value: Value) -> Env:
    """Return the same environment with another value of a variable."""
    return replace(env, world=env.world.changed(symbol.key, value))


def _quantity(target: Node, env: Env) -> tuple[Symbol, tuple[int, ...]] | None:
    """Return the one quantity of the page that a target names, and its place in it; None if it names none, or two."""
    whole = name(target)
    own = [s for s in env.world.by_base.get(whole, []) if s.kind in ("variable", "size", "derived") and not s.indices]
    plain = [s for s in own if s.params is None] or [s for s in own if s.kind == "derived"]
    if plain and whole not in env.bound:
        return (plain[0], ()) if len(plain) == 1 else None
    if target.kind != "sub":
        return None
    base, *given = target.parts
    indices = subscripts(given)
    wanted = [_range_of(i, env) for i in indices]
    fitting = [
        s
        for s in env.world.by_base.get(name(base), [])
        if s.params is None
        and s.kind in ("variable", "derived")
        and len(s.indices) == len(indices)
        and all(w in (None, str(env.world.ranges[i])) for w, i in zip(wanted, s.indices, strict=True))
    ]
    if len(fitting) != 1:
        return None
    where = tuple(_index(i, env) - 1 for i in indices)
    lengths = [env.world.length(letter) for letter in fitting[0].indices]
    if any(not 0 <= i < length for i, length in zip(where, lengths, strict=True)):
        raise UndefinedError("an index outside its range", target.start)
    return fitting[0], where


def _leaves(target: Node, env: Env) -> list[tuple[Symbol, Node]]:
    """Return the quantities that a formula is written with, each once; sizes only if there is nothing else."""
    found: dict[str, tuple[Symbol, Node]] = {}

    def visit(node: Node, after: Node | None = None) -> None:
        applied = after is not None and _application(node, after, env) is not None
        if node.kind in ("sym", "sub", "prime") and not applied:
            for symbol in env.world.by_base.get(name(node), []) or env.world.by_base.get(name(node.parts[0]), []):
                if symbol.kind in ("variable", "size", "derived"):
                    found.setdefault(name(node), (symbol, node))
            return
        inner = [part for part in (*node.parts, node.sub, node.sup) if part is not None]
        for at, part in enumerate(inner):
            visit(part, inner[at + 1] if node.kind == "juxt" and at + 1 < len(inner) else None)

    visit(target)
    varying = [leaf for leaf in found.values() if leaf[0].kind != "size"]
    return varying or list(found.values())


def _moving(target: Node, symbol: Symbol, env: Env) -> list[_Number]:
    """Return each number that a derived quantity varies with: its symbol, what to call it, its value, how to change it.

    A number that does nothing here may do so elsewhere, as those do that are not the largest; so it is moved far, too.
    """
    assert symbol.body is not None
    before = evaluate(target, env)
    found: list[_Number] = []
    sizes: list[_Number] = []
    for own in dependencies(symbol.body, env.world):
        if own.params is not None or own.kind not in ("variable", "size"):
            continue
        value = _value(own, (), target, env)
        for where in np.ndindex(*np.shape(value)):
            number = value[where] if where else value

            def put(x: Value, own: Symbol = own, value: Value = value, where: tuple[int, ...] = where) -> Env:
                new = _with(value, where, x) if where else x
                return replace(env, world=env.world.changed(own.key, new))

            if _moves(target, before, number, put):
                indices = tuple(Node("num", (), str(i + 1)) for i in where)
                base = Node("sym", (), own.base)
                shown = _written(Node("sub", (base, *indices)) if where else base)
                (sizes if own.kind == "size" else found).append((own, shown, number, put))
    return found or sizes


def _moves(target: Node, before: Value, number: Value, put: Callable[[Value], Env]) -> bool:
    """Say whether a quantity changes, or is no longer defined, where one number is moved near or far."""
    for step in MOVES:
        for other in (number + step, number - step):
            try:
                if np.any(evaluate(target, put(other)) != before):
                    return True
            except UndefinedError:
                return True
    return False


def _written(node: Node) -> str:
    """Return how a quantity is written, as far as its tree tells."""
    if node.kind == "pow":
        return f"{_written(node.parts[0])}^{_written(node.parts[1])}"
    if node.kind == "call":
        return f"{node.text} {_written(node.parts[0])}"
    if node.kind == "sub":
        inner = ",".join(_written(part) for part in node.parts[1:])
        return f"{_written(node.parts[0])}_{inner if len(inner) == 1 else '{' + inner + '}'}"
    return name(node)


def place(target: Node, env: Env) -> tuple[Value, Callable[[Value], Env]] | None:
    """Return a variable's value here and how to change it; None if the target is not a variable."""
    whole = name(target)
    if whole in env.params:
        return env.params[whole], lambda x: replace(env, params={**env.params, whole: x})
    for symbol in env.world.by_base.get(whole, []):
        if symbol.kind in ("variable", "size") and symbol.params is None and not symbol.indices:
            value = _value(symbol, (), target, env)
            return value, lambda x, key=symbol.key: replace(env, world=env.world.changed(key, x))
    if target.kind != "sub":
        return None
    base, *given = target.parts
    indices = subscripts(given)
    where = tuple(_index(i, env) - 1 for i in indices)
    if isinstance(env.params.get(name(base)), np.ndarray):
        array = env.params[name(base)]
        return array[where], lambda x: replace(env, params={**env.params, name(base): _with(array, where, x)})
    wanted = [_range_of(i, env) for i in indices]
    own = [
        s
        for s in env.world.by_base.get(name(base), [])
        if s.params is None
        and len(s.indices) == len(indices)
        and all(w in (None, str(env.world.ranges[i])) for w, i in zip(wanted, s.indices, strict=True))
    ]
    if len(own) != 1 or own[0].kind != "variable":
        return None
    values = variable(own[0], env, target)
    if any(not 0 <= i < length for i, length in zip(where, values.shape, strict=True)):
        raise UndefinedError("an index outside its range", target.start)
    return values[where], lambda x: replace(env, world=env.world.changed(own[0].key, _with(values, where, x)))


def _with(array: Value, where: tuple[int, ...], value: Value) -> Value:
    out = array.copy()
    out[where] = value
    return out


def _gradient(node: Node, env: Env) -> Value:
    r"""Return the gradient by the variable that the table of symbols names for \nabla."""
    own = env.world.by_base.get(r"\nabla", [])
    if node.sub is not None:
        base = name(node.sub)
    elif own and "by" in own[0].fields:
        base = str(own[0].fields["by"])
    else:
        raise MathError(r"\nabla has no variable: write it as its subscript", node.start)
    symbols = [s for s in env.world.by_base.get(base, []) if s.kind in ("variable", "derived") and s.params is None]
    if len(symbols) != 1:
        raise MathError(f"{base} is not one variable", node.start)
    symbol, body = symbols[0], node.parts[0]
    if symbol.kind == "variable":
        values = variable(symbol, env, node)
        free = partial(_changed, env, symbol)
    else:
        target = Node("sym", (), base, node.start, node.end)
        values = _own_argument(body, target, symbol, _moving(target, symbol, env), env)
        free = partial(_freed, env, symbol)
    if not isinstance(values, np.ndarray):
        return mpmath.diff(lambda x: real(evaluate(body, free(x)), node), values)
    out = np.empty(values.shape, dtype=object)
    for where in np.ndindex(*values.shape):
        out[where] = mpmath.diff(
            lambda x, where=where: real(evaluate(body, free(_with(values, where, x))), node), values[where]
        )
    return out


# extremes over a variable


def extreme(node: Node, env: Env) -> Value:
    """Return the least (or greatest) value of a smooth formula over a variable, by Newton's method."""
    assert node.sub is not None
    target = node.sub
    sign = 1 if node.text == r"\min" else -1
    symbols = [s for s in env.world.by_base.get(name(target), []) if s.kind == "variable" and s.params is None]
    if len(symbols) != 1:
        raise MathError(f"{name(target)} is not one variable", target.start)
    symbol = symbols[0]
    start = variable(symbol, env, node)
    spread_out, unspread = unbounded(symbol)

    def value(*free: Value) -> Value:
        world = env.world.changed(symbol.key, unspread(list(free), start))
        return sign * real(evaluate(node.parts[0], replace(env, world=world)), node)

    first = spread_out(start)
    orders = [tuple(int(i == j) for j in range(len(first))) for i in range(len(first))]
    slopes = [lambda *x, order=order: mpmath.diff(value, x, order) for order in orders]
    try:
        if len(first) == 1:
            best = [root(lambda x: mpmath.diff(value, x), node)]
        else:
            with mpmath.workdps(mpmath.mp.dps):
                best = list(mpmath.findroot(slopes, first))
    except (ValueError, ZeroDivisionError) as error:
        if isinstance(error, MathError) and not isinstance(error, UndefinedError):
            raise
        raise UndefinedError("no extreme was found", node.start) from None
    least = value(*best)
    rng = Random(env.world.seed)
    others = [value(*(x + domains.uniform(rng, -1, 1) for x in best)) for _ in range(5)]
    if any(other < least for other in others):
        raise UndefinedError("the stationary point is no extreme", node.start)
    if all(other == least for other in others):
        raise MathError(f"what is to be least or greatest is the same whatever {name(target)} is", node.start)
    return sign * least


def root(function: Callable[[Value], Value], node: Node) -> Value:
    """Return where a function of one number, without bounds, is zero: a change of sign is looked for, then narrowed.

    Raises:
        UndefinedError: None was found.
    """
    last: dict[bool, tuple[Value, Value]] = {}  # on each side of 0, from where the search goes outwards
    for t in sorted(range(-30, 31), key=abs):
        try:
            here = _mpf(t), function(_mpf(t))
        except UndefinedError:
            continue
        if here[1] == 0:
            return here[0]
        before = last.get(t > 0)
        if before and before[1] * here[1] < 0:
            return mpmath.findroot(function, (before[0], here[0]), solver="illinois", maxsteps=200)
        last[t > 0] = here
        last.setdefault(t <= 0, here)
    raise UndefinedError("no value was found that solves this", node.start)


def unbounded(symbol: Symbol) -> tuple[Callable[[Value], list[Value]], Callable[[list[Value], Value], Value]]:
    """Return the maps from a domain to numbers without bounds and back."""
    if symbol.domain == "probabilities":

        def back(free: list[Value], start: Value) -> Value:
            powers = [mpmath.exp(x) for x in (*free, 0)]
            out = np.empty(len(powers), dtype=object)
            out[:] = [power / mpmath.fsum(powers) for power in powers]
            return out

        return lambda p: [mpmath.log(x / p[-1]) for x in p[:-1]], back
    if symbol.indices:
        raise MathError(f"an extreme over {symbol.base} is known for single numbers and for probabilities", 0)
    if symbol.domain.replace(" ", "") == "(0,1)":
        return lambda p: [mpmath.log(p / (1 - p))], lambda x, start: 1 / (1 + mpmath.exp(-x[0]))
    if symbol.domain == "positive":
        return lambda p: [mpmath.log(p)], lambda x, start: mpmath.exp(x[0])
    return lambda p: [p], lambda x, start: x[0]


# what a formula depends on


def dependencies(node: Node, world: World, without: Symbol | None = None) -> list[Symbol]:
    """Return the symbols that occur in a formula or in what they are equal to.

    Args:
        node: The formula.
        world: Whose symbols they are.
        without: One symbol that counts neither itself nor as what it is equal to.
    """
    found: dict[Any, Symbol] = {}
    seen: set[str] = set()

    def visit(part: Node) -> None:
        for inner in part.walk():
            names = [inner.text] if inner.kind == "sym" else [name(inner)] if inner.kind in ("sub", "prime") else []
            if inner.kind == "juxt":
                names += [name(replace(inner, parts=pair)) for pair in itertools.pairwise(inner.parts)]
            for written in names:
                if written in seen:
                    continue
                seen.add(written)
                for symbol in world.by_base.get(written, []):
                    if symbol.key not in found and symbol is not without:
                        found[symbol.key] = symbol
                        if symbol.body is not None:
                            visit(symbol.body)

    visit(node)
    return list(found.values())


def free_letters(node: Node | None, letters: Any, bound: frozenset[str] = frozenset()) -> list[str]:
    """Return the indices of a formula that no sum, product or count binds, in their order."""
    if node is None:
        return []
    if node.kind == "sym":
        return [node.text] if node.text in letters and node.text not in bound else []
    own = bound_by(node)
    if own is None:
        return []
    inner = bound | own
    found: list[str] = []
    pieces: list[tuple[Node | None, frozenset[str]]] = [(part, inner) for part in node.parts]
    pieces += [(node.sub, inner), (node.sup, bound)]
    for piece, around in pieces:
        found += [letter for letter in free_letters(piece, letters, around) if letter not in found]
    return found


def bound_by(node: Node) -> frozenset[str] | None:
    """Return the letters that a formula itself binds in its parts; None if it leaves none free."""
    notation = NOTATIONS.get(node.kind)
    binds = notation.binds if notation else "nothing"
    match binds:
        case "nothing":
            return frozenset()
        case "all":
            return None
        case "what its condition is of":
            return frozenset({name(node.parts[0])} if _builder(node) else ())
        case "what is under it":
            under = () if node.sub is None else node.sub.parts if node.sub.kind == "args" else (node.sub,)
            letters = frozenset(name(b.parts[0]) if b.kind == "chain" else name(b) for b in under)
            if node.text == r"\int" and node.parts[0].kind == "juxt":
                letters |= {name(node.parts[0].parts[-1])}
            return letters
        case _:
            assert_never(binds)


HANDLERS: dict[Kind, Callable[[Node, Env], Value]] = {
    "num": _number,
    "sym": _sym,
    "sub": _sub,
    "prime": _prime,
    "add": _add,
    "neg": _neg,
    "mul": _mul,
    "inner": _inner_product,
    "frac": _frac,
    "juxt": _juxt,
    "pow": _pow,
    "transpose": _transpose,
    "fact": _fact,
    "group": _group,
    "set": _set,
    "abs": _abs,
    "ceil": _ceil,
    "norm": _norm,
    "sqrt": _root,
    "binom": _binom,
    "cases": _cases,
    "underbrace": _underbrace,
    "count": _count,
    "call": _call,
    "big": _big,
}
