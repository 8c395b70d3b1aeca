"""Every construct has the value that plain Python, NumPy or mpmath gives it."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from lossbook.equations import evaluating
from lossbook.equations.evaluating import Env, UndefinedError, World, evaluate, real, variable
from lossbook.equations.pages import Display, Page, table_rows
from lossbook.equations.parsing import MathError, Node, parse
from lossbook.equations.symbols import Table

ROWS: dict[str, Any] = {
    "n, m": {"runs": "N"},
    "N": {"size": 3},
    "k, j": {"runs": "K"},
    "K": {"size": 4},
    "x, t": {"in": "real"},
    "s": {"in": "positive"},
    "y_n": {"in": "real"},
    "y_k": {"in": "real"},
    "q_k": {"in": "probabilities"},
    "A_{nk}": {"in": "real"},
    "B_{nm}": {"in": "real"},
    "c": {"in": r"\{1, \dots, K\}"},
    "w": {"in": "random"},
    "v_n": {"in": "random"},
    "f(x)": {"equals": "x^3 - s x"},
    "f(x, t)": {"equals": "x - 2 t"},
    "g(x, t)": {"equals": r"x^2 t^3 + e^{x t}"},
    "h(s)_k": {"equals": "s q_k^2"},
    "a_n": {"equals": "y_n^2 + n"},
    r"r(\sigma^2)": {"equals": r"\sigma + 1"},
    "u": [{"equals": "x + 1"}, {"equals": "x + 2", "from": "two"}],
}


@pytest.fixture(scope="module")
def world() -> World:
    page = Page("page", None)  # type: ignore[arg-type]
    page.parts = [Display("page", label, "", "1 = 1", 1) for label in ("one", "two")]
    page.parts += table_rows({key: _meant(value) for key, value in ROWS.items()}, 1)
    table = Table(page)
    assert not table.faults
    with mpmath.workdps(50):
        world = World(table.at("one"), "seed", 0)
        for symbol in world.symbols.values():
            if symbol.kind == "variable":
                variable(symbol, Env(world), Node("sym", (), symbol.base))
        return world


def _meant(value: Any) -> Any:
    return [_meant(one) for one in value] if isinstance(value, list) else {"is": "a symbol", **value}


class Values:
    """The numbers of the point, as floats and arrays of floats, which count from 0."""

    def __init__(self, world: World) -> None:
        for (base, indices, _), value in world.values.items():
            name = base + "".join(indices) if base == "y" else base
            setattr(
                self, name, np.array(value, dtype=float) if isinstance(value, np.ndarray) and base != "v" else value
            )
        for name in ("x", "t", "s"):
            setattr(self, name, float(getattr(self, name)))
        self.c = int(self.c)  # type: ignore[has-type]


def sigma(terms: Any) -> float:
    return math.fsum(terms)


# LaTeX, and the same in Python.
CASES: list[tuple[str, Callable[[Any], Any]]] = [
    (r"1 + 2 \cdot 3 - 4 / 8", lambda v: 6.5),
    (r"-2^2", lambda v: -4),
    (r"2 x t", lambda v: 2 * v.x * v.t),
    (r"a_2", lambda v: v.yn[1] ** 2 + 2),
    (r"8 / 4 / 2", lambda v: 1),
    (r"x^2 / 2 s", lambda v: v.x**2 / (2 * v.s)),
    (r"\frac{x}{s} t", lambda v: v.x / v.s * v.t),
    (r"\tfrac12 x", lambda v: v.x / 2),
    (r"\sqrt{s} + |x| + \lvert t \rvert", lambda v: math.sqrt(v.s) + abs(v.x) + abs(v.t)),
    (r"\lceil 2.1 \rceil + \bigl\lceil \log_2 8 \bigr\rceil + \lceil -0.5 \rceil", lambda v: 6),
    (r"\lceil \log_2 1025 \rceil", lambda v: 11),
    (r"5! + \binom{7}{3}", lambda v: 155),
    (r"\log s + \ln s", lambda v: 2 * math.log(v.s)),
    (r"\log_2 s", lambda v: math.log2(v.s)),
    (r"\log^2 s", lambda v: math.log(v.s) ** 2),
    (r"\log s^2", lambda v: math.log(v.s**2)),
    (r"\log(s) x", lambda v: math.log(v.s) * v.x),
    (r"\exp\{x\} t", lambda v: math.exp(v.x) * v.t),
    (r"e^{-x} + \exp(x)", lambda v: math.exp(-v.x) + math.exp(v.x)),
    (
        r"\sin x + \cos x + \tanh x + \sinh x + \cosh x",
        lambda v: math.sin(v.x) + math.cos(v.x) + math.tanh(v.x) + math.sinh(v.x) + math.cosh(v.x),
    ),
    (r"\operatorname{sign}(x) + \operatorname{sgn}(t)", lambda v: np.sign(v.x) + np.sign(v.t)),
    (r"\operatorname{round}(2.6)", lambda v: 3),
    (r"2 \pi", lambda v: 2 * math.pi),
    (r"\max(x, t) - \min\{x, t, 0\}", lambda v: max(v.x, v.t) - min(v.x, v.t, 0)),
    (r"\max(q_1, \dots, q_K)", lambda v: v.q.max()),
    (r"[x < 100] + [x > 100]", lambda v: 1),
    (r"\mathbb{1}[c = c] + \mathbf{1}(c \ne c)", lambda v: 1),
    (r"\#\{ y_n < 0 \}", lambda v: sum(v.yn < 0)),
    (r"\begin{cases} 1 & x < t \\ 2 & x > t \\ 3 & \text{otherwise} \end{cases}", lambda v: 1 if v.x < v.t else 2),
    # indices
    (r"\sum_n y_n", lambda v: sigma(v.yn)),
    (r"\sum_k y_k", lambda v: sigma(v.yk)),
    (r"y_N + y_K", lambda v: v.yn[2] + v.yk[3]),
    (r"y_c", lambda v: v.yk[v.c - 1]),
    (r"\sum_{n=2}^{N} y_n", lambda v: sigma(v.yn[1:])),
    (r"\sum_{n=1}^{N-1} (y_{n+1} - y_n)", lambda v: v.yn[2] - v.yn[0]),
    (r"\sum_{k \ne c} q_k", lambda v: 1 - v.q[v.c - 1]),
    (r"\sum_{k \in \{1, 3\}} q_k", lambda v: v.q[0] + v.q[2]),
    (r"\sum_{n, k} A_{nk}", lambda v: v.A.sum()),
    (r"\sum_{n=1}^{N} \sum_{k=1}^{n} A_{nk}", lambda v: sigma(v.A[n, k] for n in range(3) for k in range(n + 1))),
    (r"\prod_k q_k", lambda v: np.prod(v.q)),
    (r"\max_k y_k - \min_k y_k", lambda v: v.yk.max() - v.yk.min()),
    (r"\max_{n,k} A_{nk}", lambda v: v.A.max()),
    (r"\sum_n a_n", lambda v: sigma(v.yn**2) + 6),
    (r"\sum_{n=1}^{0} y_n", lambda v: 0),
    # functions
    (r"f(2)", lambda v: 8 - 2 * v.s),
    (r"f(x, 3)", lambda v: v.x - 6),
    (r"f(2)^2", lambda v: (8 - 2 * v.s) ** 2),
    (r"f'(x) + f''(x)", lambda v: 3 * v.x**2 - v.s + 6 * v.x),
    (r"h(2)_3", lambda v: 2 * v.q[2] ** 2),
    (r"\sum_k h(s)_k", lambda v: v.s * sigma(v.q**2)),
    (r"r(s)", lambda v: math.sqrt(v.s) + 1),
    (r"u", lambda v: v.x + 1),
    # derivatives
    (r"\frac{d}{dx} x^3", lambda v: 3 * v.x**2),
    (r"\frac{d f(x)}{d x}", lambda v: 3 * v.x**2 - v.s),
    (r"\frac{\partial^2}{\partial x^2} x^4", lambda v: 12 * v.x**2),
    (
        r"\frac{\partial^2 g(x, t)}{\partial x \, \partial t}",
        lambda v: 6 * v.x * v.t**2 + (1 + v.x * v.t) * math.exp(v.x * v.t),
    ),
    (r"\frac{\partial}{\partial A_{2,3}} \sum_{n,k} A_{nk}^3", lambda v: 3 * v.A[1, 2] ** 2),
    (r"\frac{\partial u}{\partial x}", lambda v: 1),
    (r"\frac{d \, s^2}{d \log s}", lambda v: 2 * v.s**2),
    (r"\frac{d}{d s^2} s^4", lambda v: 2 * v.s**2),
    (r"\int_0^2 t^2 \, dt", lambda v: 8 / 3),
    (r"\int_{-\infty}^{\infty} e^{-t^2} \, \mathrm{d} t", lambda v: math.sqrt(math.pi)),
    (r"\min_x (x - s)^2 + s", lambda v: v.s),
    # expectations
    (r"\mathbb{E}[w]", lambda v: _mean(v.w, lambda a: a)),
    (r"\mathbb{E}[w^2] + t", lambda v: _mean(v.w, lambda a: a**2) + v.t),
    (r"\operatorname{Var}(w)", lambda v: _mean(v.w, lambda a: a**2) - _mean(v.w, lambda a: a) ** 2),
    (r"\mathbb{E}[(w - \mathbb{E}[w])^2]", lambda v: _mean(v.w, lambda a: a**2) - _mean(v.w, lambda a: a) ** 2),
    (r"\mathbb{E}[v_1 v_2]", lambda v: _mean(v.v[0], lambda a: a) * _mean(v.v[1], lambda a: a)),
    (r"\mathbb{E}_q[q]", lambda v: v.q @ v.q),
    (r"\operatorname{Var}(A)", lambda v: v.A.var()),
    # arrays
    (r"\lVert A \rVert^2", lambda v: (v.A**2).sum()),
    (r"\|q\|_1 + \|q\|_\infty + \|q\|_2", lambda v: 1 + v.q.max() + math.sqrt((v.q**2).sum())),
    (r"q^{\top} q + \langle q, q \rangle", lambda v: 2 * v.q @ v.q),
    (r"q^T q", lambda v: v.q @ v.q),
    (r"\sum_k (q \odot q)_k", lambda v: (v.q**2).sum()),
    (r"A_2^{\top} q", lambda v: v.A[1] @ v.q),
    (r"(A q)_3", lambda v: (v.A @ v.q)[2]),
    (r"(B^{-1})_{1,2}", lambda v: np.linalg.inv(v.B)[0, 1]),
    (r"(\operatorname{diag}(q) - q q^{\top})_{1,2}", lambda v: -v.q[0] * v.q[1]),
]


def _mean(chance: Any, function: Callable[[float], float]) -> float:
    atoms, shares = ([float(x) for x in xs] for xs in (chance.atoms, chance.probabilities))
    return sigma(share * function(atom) for atom, share in zip(atoms, shares, strict=True))


@pytest.mark.parametrize(("latex", "expected"), CASES, ids=[latex for latex, _ in CASES])
def test_a_formula_has_the_value_that_python_gives_it(world: World, latex: str, expected: Callable[[Any], Any]) -> None:
    with mpmath.workdps(50):
        (node,) = parse(latex).parts[0].parts
        value = float(evaluate(node, Env(world)))
    assert value == pytest.approx(float(expected(Values(world))), rel=1e-12, abs=1e-14)


def test_a_later_meaning_hides_an_earlier_one(world: World) -> None:
    page = Page("page", None)  # type: ignore[arg-type]
    page.parts = [Display("page", label, "", "1 = 1", 1) for label in ("one", "two")]
    page.parts += table_rows({key: _meant(value) for key, value in ROWS.items()}, 1)
    later = World(Table(page).at("two"), "seed", 0)
    node = parse("u - x").parts[0].parts[0]
    assert [float(evaluate(node, Env(point))) for point in (world, later)] == [1, 2]


@pytest.mark.parametrize(
    ("latex", "error", "said"),
    [
        (r"\log(-1)", UndefinedError, "the logarithm of a number that is not positive"),
        (r"\sqrt{-1}", UndefinedError, "square root"),
        (r"1 / 0", UndefinedError, "a division by zero"),
        (r"0^{-1}", UndefinedError, "zero to a negative power"),
        (r"(-1)^{0.5}", UndefinedError, "fractional power"),
        (r"(-2)!", UndefinedError, "factorial of a negative number"),
        (r"A_{7}", UndefinedError, "outside 1, …, 3"),
        (r"q_{0}", UndefinedError, "outside 1, …, 4"),
        (r"A_{1.5}", UndefinedError, "not a whole number"),
        (r"z", MathError, "z is not declared"),
        (r"y", MathError, "could be"),
        (r"w", MathError, "w stands outside an expectation"),
        (r"x_1", MathError, "x_{1} is not declared"),
        (r"q q", MathError, "a product of two vectors"),
        (r"q A^{\top}", MathError, "a vector before a matrix: transpose it"),
        (r"f'(x, t)", MathError, "could be a derivative by each of its arguments"),
        (r"q + 1", MathError, "a sum of a number and an array"),
        (r"q + y_n", MathError, ""),
        (r"A A", MathError, "a product of arrays of shapes"),
        (r"f^2(x)", MathError, "an exponent between f and its argument"),
        (r"f^{-1}(x)", MathError, "an exponent between f and its argument"),
        (r"1/2 x", MathError, "a slash divides by can be read in two ways"),
        (r"1/N \sum_n y_n", MathError, "a slash divides by can be read in two ways"),
        (r"\nabla^2 x", MathError, r"\nabla with an exponent has no meaning"),
        (r"\mathbb{E}^2[w]", MathError, "with an exponent has no meaning"),
        (r"\exp_2 x", MathError, "with a subscript has no meaning"),
        (r"\sum_n^{2} y_n", MathError, "below must stand where it begins"),
        (r"\sum y_n", MathError, "no index under it"),
        (r"\sum_{n=1} y_n", MathError, "no upper end"),
        (r"\sum_{n = m = 1}^{N} y_n", MathError, "more than one relation"),
        (r"\sum_i y_i", MathError, "i is not declared as an index"),
        (r"\sum_{n=1}^{10^9} n", MathError, "more than 10000 terms"),
        (r"\sum_{n=1}^{10^{10^9}} n", UndefinedError, "too large"),
        (r"\sum_{n=1}^{9999} \sum_{m=1}^{9999} 1", MathError, "steps to work out"),
        (r"10^{10^{10^{10}}}", MathError, "too large to work out"),
        (r"e^{e^{e^{e^{e}}}}", MathError, "too large to work out"),
        (r"(10^{99})!", MathError, "too large to work out"),
        (r"\frac{d^9}{dx^9} x^9", MathError, "a higher order than 6"),
        (r"\frac{d}{dx}", MathError, "a derivative of nothing"),
        (r"\frac{d^2}{dx} x", MathError, "order 2 by 1 variables"),
        (r"\frac{d}{d(x + t)} x", MathError, "what is not one variable"),
        (r"\mathbb{E}[x]", MathError, "not random"),
        (r"\operatorname*{arg\,min}_x x^2", MathError, "no value of its own"),
        (r"\begin{cases} 1 & x < t \\ 2 & x < t \end{cases}", MathError, "of the cases hold at once"),
        (r"\begin{cases} 1 & t \end{cases}", MathError, "a condition must be a relation"),
        (r"\#\{ x < t \}", MathError, "one index that is not bound"),
        (r"\langle q, 1 \rangle", MathError, "of two vectors"),
        (r"q \odot A", MathError, "different shapes"),
        (r"B^3", MathError, "only the inverse is known"),
        (r"\underbrace{x}_{2}", MathError, "under a brace"),
    ],
)
def test_what_has_no_value_says_why(
    world: World, monkeypatch: pytest.MonkeyPatch, latex: str, error: type[MathError], said: str
) -> None:
    monkeypatch.setattr(evaluating, "STEPS", 20_000)  # test_robust.py goes to the real end
    node = parse(latex).parts[0].parts[0]
    fresh = World(world.symbols, "seed", 0, dict(world.values))
    with mpmath.workdps(50), pytest.raises(error) as caught:
        real(evaluate(node, Env(fresh)), node)
    assert said in str(caught.value)


def test_both_signs_are_drawn_as_often(world: World) -> None:
    for base in ("x", "t"):
        signs = []
        for point in range(6):
            fresh = World(world.symbols, "another", point)
            signs.append(evaluate(parse(base).parts[0].parts[0], Env(fresh)) > 0)
        assert sum(signs) == 3
        assert all(one != other for one, other in zip(signs[::2], signs[1::2], strict=True))
