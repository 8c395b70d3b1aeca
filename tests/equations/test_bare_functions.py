"""A function's name before a bracket: its argument, a factor, or refused where it could be either."""

from collections.abc import Callable
from typing import Any

import pytest

SYMBOLS: dict[str, Any] = {
    "k": {"runs": "K"},
    "K": {"size": 3},
    "z, a": {"in": "real"},
    r"\sigma(z)": {"equals": r"\frac{1}{1 + e^{-z}}"},
    "p": {"equals": r"\sigma(z)"},
    "w": {"in": "(0, 1)"},
    "w(a)": {"equals": "a^2"},
    "q_k": {"in": "probabilities"},
    "q(a)": {"equals": "a^2"},
    "f(z, a)": {"equals": "z a"},
    "g(t)": {"equals": "t^2"},
    "h(z)": {"in": "function"},
}
WAYS = "can be read in two ways"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"\frac{d \sigma}{d z} = \sigma (1 - \sigma)", r"\frac{d \sigma}{d z} = \sigma (1 + \sigma)"),
        (r"\sigma' = \sigma \bigl( 1 - \sigma \bigr)", r"\sigma' = \sigma (\sigma - 1)"),
        (r"\sigma'' = \sigma' (1 - 2 \sigma)", r"\sigma'' = \sigma' (1 - \sigma)"),
        (r"\sigma'' = \sigma (1 - \sigma) (1 - 2 \sigma)", r"\sigma'' = \sigma (1 - \sigma)^2"),
        (r"\sigma'(z) = \sigma(z) (1 - \sigma)", r"\sigma'(z) = \sigma(-z) (1 - \sigma)"),
        (r"\sigma^2 (1 - \sigma) = p^2 (1 - p)", r"\sigma^2 (1 - \sigma) = p (1 - p)"),
        (r"\sigma [1 - \sigma] = p (1 - p)", r"\sigma [1 - \sigma] = 1 - p"),
        (r"e^{\sigma (1 - \sigma)} = e^{p (1 - p)}", r"e^{\sigma (1 - \sigma)} = e^{p}"),
        (r"\frac{d \sigma}{d z} = \sigma \cdot (1 - p)", r"\frac{d \sigma}{d z} = \sigma \cdot (1 + p)"),
        (r"\frac{d \sigma}{d z} = \sigma(z) \, \sigma(-z)", r"\frac{d \sigma}{d z} = \sigma(z) \, \sigma(z)"),
        (r"1 - \sigma = \sigma(-z)", r"1 - \sigma = \sigma(2 z)"),
        (r"\sigma(z + a) = \frac{1}{1 + e^{-z - a}}", r"\sigma(z + a) = \frac{1}{1 + e^{-z}}"),
        (r"\sigma(\sigma(z)) = \frac{1}{1 + e^{-p}}", r"\sigma(\sigma(z)) = p^2"),
        (r"w (1 - w) = w - w^2", r"w (1 - w) = (1 - w)^2"),  # w is a number, and a function too
        (r"w(a) = a^2", r"w(a) = 2 w \cdot a"),
        (r"w \cdot (1 - a) = w - w a", r"w \cdot (1 - a) = w"),
        (r"q_k (1 - q_k) = q_k - q_k^2", r"q_k (1 - q_k) = q_k"),
        (r"f(a, z) = z a = f", r"f(a, z) = z = f"),
    ],
)
def test_a_bracket_is_an_argument_or_a_factor(faults: Callable[..., list[str]], right: str, wrong: str) -> None:
    assert faults(SYMBOLS, right) == []
    (fault,) = faults(SYMBOLS, wrong)
    assert "is false" in fault


@pytest.mark.parametrize(
    ("latex", "said"),
    [
        (r"\frac{d \sigma}{d z} = \sigma (1 - p)", WAYS),  # true of a product, and the name stands alone elsewhere
        (r"\frac{d p}{d z} = \sigma (1 - p)", WAYS),  # false of the function, true of a product
        (r"\frac{d \sigma}{d z} = \sigma(z) \cdot \sigma(1 - p)", WAYS),
        (r"\sigma'(z) = \sigma (1 - \sigma(z))", WAYS),
        (r"\sigma [z] = p", WAYS),
        (r"\sigma \{ 1 - p \} = p (1 - p)", WAYS),
        (r"w (1 - a) = (1 - a)^2", WAYS),
        (r"a = w(1 - a)", WAYS),
        (r"q(a - 1) = (a - 1)^2", WAYS),
        (r"g (1 - g) = 0", "t is not declared"),
        (r"h (1 - h) = 0", "h is not declared"),
        (r"f' = a", "a derivative by each of z, a"),
    ],
)
def test_what_could_be_either_is_refused(faults: Callable[..., list[str]], latex: str, said: str) -> None:
    (fault,) = faults(SYMBOLS, latex)
    assert said in fault
    assert "is false" not in fault


def test_a_definition_and_a_table_are_read_in_the_same_way(checked: Callable[..., Any]) -> None:
    symbols = {**SYMBOLS, "t": {"equals": r"\sigma (1 - \sigma)"}}
    wrong, records = checked(symbols, {"shown": r"definition: s = \sigma (1 - \sigma)", "then": r"s = t = p (1 - p)"})
    assert not wrong
    assert all(record.holds for record in records.values())
    _, records = checked(symbols, {"shown": r"definition: s = \sigma (1 - \sigma(z))", "then": "s = p"})
    assert all(WAYS in record.faults[0] for record in records.values())
