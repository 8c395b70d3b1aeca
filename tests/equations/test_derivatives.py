"""A derivative by a derived quantity is what the chain rule makes of it, or is refused: nothing is dropped."""

from collections.abc import Callable
from typing import Any

import pytest

SYMBOLS: dict[str, Any] = {
    "k, j, i": {"runs": "K"},
    "K": {"size": 3},
    "n": {"runs": "N"},
    "N": {"size": 2},
    "z_k": {"in": "real"},
    "q_k": {"in": "probabilities"},
    "T": {"in": "positive"},
    "a": {"in": "real"},
    "b": {"in": "(0, 1)"},
    "t_n": {"in": "real"},
    "u_k": {"equals": r"\frac{z_k}{T}"},
    "v_k": {"equals": "2 z_k"},
    "p_k": {"equals": r"\frac{e^{u_k}}{\sum_j e^{u_j}}"},
    r"\ell": {"equals": r"-\sum_k q_k \log p_k"},
    "M": {"equals": r"\max_k z_k"},
    "R": {"equals": r"\log \sum_k e^{z_k}"},
    "s": {"equals": r"\frac{1}{1 + e^{-a}}"},
    r"\rho(a)": {"equals": r"\frac{1}{1 + e^{-a}}"},
    "f": {"equals": r"-b \log s - (1 - b) \log (1 - s)"},
    "h": {"equals": r"\log (1 + e^{a}) - b a"},
    "g": {"equals": "a s"},
    r"\lambda_n": {"equals": "e^{t_n}"},
    "E": {"equals": r"\sum_n \lambda_n"},
}
WAYS = "can be read in two ways"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # a quantity that more than one number makes vary, and a function of it alone
        (r"\frac{\partial \ell}{\partial p_k} = -\frac{q_k}{p_k}", r"\frac{\partial \ell}{\partial p_k} = 0"),
        (
            r"\frac{\partial \ell}{\partial u_k} = p_k - q_k",
            r"\frac{\partial \ell}{\partial u_k} = \frac{p_k - q_k}{T}",
        ),
        (
            r"\frac{\partial \ell}{\partial z_k} = \frac{p_k - q_k}{T}",
            r"\frac{\partial \ell}{\partial z_k} = p_k - q_k",
        ),
        (
            r"\frac{\partial p_k}{\partial u_j} = p_k ([j = k] - p_j)",
            r"\frac{\partial p_k}{\partial u_j} = \frac{p_k}{T} ([j = k] - p_j)",
        ),
        (r"\frac{\partial p_k}{\partial p_j} = [j = k]", r"\frac{\partial p_k}{\partial p_j} = 1"),
        (
            r"\frac{\partial^2 \ell}{\partial u_j \, \partial u_k} = p_k ([j = k] - p_j)",
            r"\frac{\partial^2 \ell}{\partial u_j \, \partial u_k} = p_k [j = k]",
        ),
        (
            r"\frac{d \ell}{d z_j} = \sum_k \frac{\partial \ell}{\partial p_k} \frac{\partial p_k}{\partial z_j}",
            r"\frac{d \ell}{d z_j} = \frac{\partial \ell}{\partial p_j} \frac{\partial p_j}{\partial z_j}",
        ),
        (r"\frac{\partial \ell}{\partial \log p_k} = -q_k", r"\frac{\partial \ell}{\partial \log p_k} = p_k - q_k"),
        (r"\nabla_u \ell = p - q", r"\nabla_u \ell = \frac{p - q}{T}"),
        (r"\nabla_u \sum_k u_k^2 = 2 u", r"\nabla_u \sum_k u_k^2 = 0"),
        # a quantity that one number alone makes vary
        (r"\frac{\partial f}{\partial s} = \frac{s - b}{s (1 - s)}", r"\frac{\partial f}{\partial s} = s - b"),
        (r"\frac{\partial h}{\partial s} = \frac{s - b}{s (1 - s)}", r"\frac{\partial h}{\partial s} = -\frac{b}{s}"),
        (r"\frac{d f}{d \rho} = \frac{s - b}{s (1 - s)}", r"\frac{d f}{d \rho} = s - b"),
        (r"\frac{d a}{d s} = \frac{1}{s (1 - s)}", r"\frac{d a}{d s} = 0"),
        (r"\frac{d g}{d s} = a + \frac{1}{1 - s}", r"\frac{d g}{d s} = a"),
        (r"\frac{d^2 f}{d s^2} = \frac{b}{s^2} + \frac{1 - b}{(1 - s)^2}", r"\frac{d^2 f}{d s^2} = \frac{b}{s^2}"),
        (r"\frac{\partial z_k}{\partial v_j} = \frac12 [j = k]", r"\frac{\partial z_k}{\partial v_j} = 0"),
        (r"\frac{\partial E}{\partial \lambda_n} = 1", r"\frac{\partial E}{\partial \lambda_n} = \lambda_n"),
        (r"\frac{\partial E}{\partial \log \lambda_n} = \lambda_n", r"\frac{\partial E}{\partial \log \lambda_n} = 1"),
    ],
)
def test_a_derivative_by_a_derived_quantity(faults: Callable[..., list[str]], right: str, wrong: str) -> None:
    assert faults(SYMBOLS, right) == []
    (fault,) = faults(SYMBOLS, wrong)
    assert "is false" in fault


@pytest.mark.parametrize(
    ("latex", "said"),
    [
        (r"\frac{\partial z_k}{\partial u_k} = 0", "u_k depends on z_1 and T, and so does what is differentiated"),
        (r"\frac{\partial z_k}{\partial u_k} = T", WAYS),
        (r"\frac{d z_k}{d u_k} = T", WAYS),
        (r"\frac{\partial z_1}{\partial u_1} = 0", WAYS),
        (r"\frac{\partial T}{\partial u_k} = 0", WAYS),
        (r"\frac{\partial}{\partial u_k} z_k u_k = z_k", WAYS),
        (r"\frac{\partial z_k}{\partial p_k} = 0", WAYS),
        (r"\frac{\partial \log \sum_k e^{z_k}}{\partial M} = 1", WAYS),  # M varies with the largest alone, here
        (r"\frac{\partial R}{\partial M} = p_1", WAYS),
        (r"\frac{\partial g}{\partial s} = a", WAYS),  # a held fixed, or not
        (r"\frac{\partial^2 \ell}{\partial u_j \, \partial z_k} = 0", "on which it depends"),
        (r"\frac{\partial^2 \ell}{\partial z_k \, \partial u_j} = 0", "on which it depends"),
        (r"\frac{\partial}{\partial u_k} \frac{\partial \ell}{\partial z_j} = 0", WAYS),
        (r"\nabla_u \sum_k z_k^2 = 0", WAYS),
        (r"\frac{\partial \ell}{\partial (T u_k)} = 0", "a formula of T and u_k"),
        (r"\frac{\partial u_1}{\partial (z_1 - z_2)} = 0", "a formula of z_1 and z_2"),
        (r"\frac{\partial \ell}{\partial p} = 0", "not one variable"),
        (r"\frac{\partial \ell}{\partial z} = 0", "not one variable"),
        (r"\frac{\partial \ell}{\partial u_4} = 0", "an index outside its range"),
        (r"\frac{\partial \ell}{\partial a} = 0", "what does not depend on it"),
    ],
)
def test_a_derivative_that_says_too_little_is_refused(faults: Callable[..., list[str]], latex: str, said: str) -> None:
    (fault,) = faults(SYMBOLS, latex)
    assert said in fault
    assert "is false" not in fault


def test_a_definition_is_no_way_around(checked: Callable[..., Any]) -> None:
    _, records = checked(SYMBOLS, {"shown": r"definition: D_k = \frac{\partial z_k}{\partial u_k}", "then": "D_k = 0"})
    assert all(WAYS in record.faults[0] for record in records.values())
