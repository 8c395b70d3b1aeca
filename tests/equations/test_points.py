"""Where relations are tried: at other sizes, at all that sets allow, far out, at coincidences, with digits enough."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest

from lossbook.equations.checking import Record

SYMBOLS = {
    "n, m": {"runs": "N"},
    "N": {"size": 3},
    "k, j": {"runs": "K"},
    "K": {"size": 4},
    "x, z, b": {"in": "real"},
    "u, v": {"in": r"\{0, 1\}"},
    "c, h": {"in": r"\{1, \dots, K\}"},
    "r, i, l": {"in": r"\{0, 1, \dots\}"},
    "p, y": {"in": "(0, 1)"},
    "s, t": {"in": "positive"},
    "a": {"in": r"[0, \infty)"},
    "z_k, w_k": {"in": "real"},
    "x_n": {"in": "real"},
    "q_k, g_k": {"in": "probabilities"},
    "o_k": {"in": "non-zero"},
    r"\sigma(z)": {"equals": r"\frac{1}{1 + e^{-z}}"},
    "f(x)": {"equals": r"|x - 4|"},
    r"D(q, g)": {"equals": r"\sum_{k=1}^{K} q_k \log \frac{q_k}{g_k}"},
}

FALSE = {
    "a size that is a number": [
        "N = 3",
        r"\sum_k 1 = 4",
        r"\frac{N (N - 1)}{2} = N",
        r"\sum_{n=1}^{N} n = 2 N",
        r"\log_2 K = 2",
        "K = N + 1",
        r"\frac{1}{N - 1} \sum_n x_n^2 = \frac{1}{2} \sum_n x_n^2",
        r"\max_k q_k \ge \frac{1}{4}",
    ],
    "sets of more values than there are points": [
        "i = l",
        "i! = 1",
        "l! = 1",
        "i! l! = i! r!",
        "(i - l)(r - l)(i - r) = 0",
    ],
    "sets that go together": [
        "u = v",
        "c = h",
        "u (1 - v) = 0",
        "u + v = 2 u v",
        r"(c - h)^2 = 0",
        r"u = v \iff 1 - u = v",
        r"u \le v",
    ],
    "a bound that only holds nearby": [
        r"x \le 3",
        "z^2 < 10",
        r"\sigma(z) > 0.04",
        r"-\log p < 8",
        r"p (1 - p) > 0.001",
        "s < 5",
        r"\frac{1}{s} \le 8",
        "q_k > 0.01",
        "a < 5",
        r"r \le 6",
        r"\sum_k z_k^2 < 100",
        r"x > 0 \Longrightarrow x < 3",
        r"x^2 = 100 \iff x = 10",
    ],
    "pieces that only lie elsewhere": [
        "|x - 4| = 4 - x",
        r"\operatorname{sign}(x - 4) = -1",
        r"\lceil s / 5 \rceil = 1",
        r"\operatorname{round}(s / 20) = 0",
        "f(x) = 4 - x",
        r"\max(z, 5) = 5",
    ],
    "a strict sign where values coincide": [
        "x^2 > 0",
        "e^x > 1 + x",
        r"\log s < s - 1",
        "D(q, g) > 0",
        r"(x - z)^2 > 0",
        r"-\sum_k q_k \log q_k < \log K",
        r"\max_k z_k < \sum_k |z_k|",
        r"s + t > 2 \sqrt{s t}",
        r"x \ge 0 \iff x > 0",
    ],
    "very small numbers": [
        r"2^{-126} = 2^{-149}",
        "e^{-100} = 0",
        r"2^{-1074} = 0",
        r"10^{-40} x = 10^{-50} x",
        r"\frac{q_k}{10^{60}} = \frac{g_k}{10^{60}}",
    ],
}
TRUE = [
    r"D(q, g) \ne D(g, q)",
    "u^2 = u",
    r"\sum_{n=1}^{N} n = \frac{N (N + 1)}{2}",
    r"\sum_k q_k - 1 = 0",
    r"2^{-149} \cdot 2^{-149} = 2^{-298}",
    r"x^2 \ge 0",
    r"e^x \ge 1 + x",
    r"D(q, g) \ge 0",
    r"0 < \sigma(z) < 1",
    "e^{-x^2} > 0",
    r"-\sum_k q_k \log q_k \le \log K",
    r"x^2 > 0 \quad \text{if } x \ne 0",
    r"|x z| = |x| |z|",
    r"\frac{d}{dx} |x| = \operatorname{sign}(x)",
    r"\log(1 + e^{z}) = \max(z, 0) + \log(1 + e^{-|z|})",
    r"x_1 + x_2 + x_3 = \sum_n x_n",
    r"u v \le u",
    r"o_k^2 > 0",
    r"\frac{1}{s} > 0",
    r"r \ge 0",
]


@pytest.mark.parametrize("latex", [latex for group in FALSE.values() for latex in group])
def test_what_holds_by_chance_alone_is_false(faults: Callable[..., list[str]], latex: str) -> None:
    (told,) = faults(SYMBOLS, latex)
    assert "is false" in told


@pytest.mark.parametrize("latex", TRUE)
def test_what_holds_everywhere_is_true(faults: Callable[..., list[str]], latex: str) -> None:
    assert faults(SYMBOLS, latex) == []


def test_a_list_of_numbered_terms_fixes_its_size_and_no_other(faults: Callable[..., list[str]]) -> None:
    assert faults(SYMBOLS, r"\frac{1}{N} (x_1 + x_2 + x_3) = \frac{1}{3} \sum_n x_n") == []
    assert "is false" in faults(SYMBOLS, r"K (x_1 + x_2 + x_3) = 4 \sum_n x_n")[0]


@pytest.mark.parametrize(
    ("latex", "told"),
    [
        (r"\sigma(z) = \frac{1}{1 + e^{z}}", "is false"),
        (r"f(x) = |x - 4|, \\ f(x) = x", "is defined twice in this display"),
        ("B = x, \\quad B = x + 1", "is defined twice in this display"),
        ("N = 7", "N is a size in the table of symbols already"),
        (r"\sigma(z) = \frac{e^{z}}{1 + e^{z}}", ""),
        ("B = x, \\quad A = x + 1", ""),
    ],
)
def test_a_definition_contradicts_neither_the_table_nor_itself(
    checked: Callable[..., tuple[list[str], dict[str, Record]]], latex: str, told: str
) -> None:
    wrong, records = checked(SYMBOLS, {"shown": f"definition: {latex}"})
    found: list[Any] = [*wrong, *records["shown"].faults]
    assert any(told in fault for fault in found) if told else found == []


def test_the_working_precision_is_left_as_it_was(faults: Callable[..., list[str]]) -> None:
    before = mpmath.mp.dps
    faults(SYMBOLS, "x^2 > 0")
    faults(SYMBOLS, "e^{-100} = 0")
    assert mpmath.mp.dps == before
