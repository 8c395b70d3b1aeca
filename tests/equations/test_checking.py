"""Every relation: true ones hold, their false neighbours are named, and what claims nothing is refused."""

import re
from collections.abc import Callable
from typing import Any

import pytest

SYMBOLS: dict[str, Any] = {
    "n, m": {"runs": "N"},
    "N": {"size": 3},
    "k, j": {"runs": "K"},
    "K": {"size": 4},
    "x, t": {"in": "real"},
    "s, c": {"in": "positive"},
    "p": {"in": "(0, 1)"},
    "b": {"in": r"\{0, 1\}"},
    "y_n": {"in": "real"},
    "y_k": {"in": "real"},
    "q_k": {"in": "probabilities"},
    "h_k": {"in": "one-hot"},
    "w": {"in": "random"},
    "T": {"in": "positive"},
    "g(x)": {"in": "function"},
    "r(x)": {"in": "positive function"},
    "f(x)": {"equals": "x^2 - 4 x"},
    "f(x, t)": {"equals": "x - t"},
    r"\bar{y}": {"equals": r"\frac{1}{N} \sum_{n=1}^{N} y_n"},
    r"\text{const}": {"constant": "x"},
    r"\propto": {"constant": "s"},
    "O(x)": {"tends": r"t \to 0"},
    r"\approx, \to": {"tends": r"T \to \infty"},
    "S": {"equals": r"\{1, 3\}"},
}
FALSE = "is false"

# A true display, a false neighbour, and what is said of that.
PAIRS: list[tuple[str, str, str]] = [
    (r"(x + t)^2 = x^2 + 2 x t + t^2", r"(x + t)^2 = x^2 + t^2", FALSE),
    (r"x^2 + t^2 \ge 2 x t", r"x^2 + t^2 \le 2 x t", FALSE),
    (r"2 x t \leq x^2 + t^2", r"2 x t \geq x^2 + t^2", FALSE),
    (r"p^2 < p", r"p^2 > p", FALSE),
    (r"p \gt p^2", r"p \lt p^2", FALSE),
    (r"x \ne x + 1", r"x + 1 \ne 1 + x", FALSE),
    (r"b \in \{0, 1, 2\}", r"b \in \{1, 2\}", "which is not in"),
    (r"0 < p < 1", r"0 < p < p^2", FALSE),
    (r"x = t + x - t = \frac{2 x}{2}", r"x = t + x - t = \frac{2 x}{3}", FALSE),
    (r"y_n - \bar{y} = \frac{1}{N} \sum_{m=1}^{N} (y_n - y_m)", r"y_n - \bar{y} = \sum_{m=1}^{N} (y_n - y_m)", FALSE),
    (r"\sum_k q_k = q_1 + q_2 + q_3 + q_4", r"\sum_k q_k = q_1 + q_2 + q_3", FALSE),
    (r"\sum_n y_n + y_K = y_N + y_K + \sum_{n=1}^{N-1} y_n", r"\sum_n y_n = \sum_k y_k", FALSE),
    (r"f(x) - f(t) = (x - t) (x + t) - 4 f(x, t)", r"f(x) - f(t) = (x - t) (x + t) - 4 f(t, x)", FALSE),
    # limits, remainders, constants
    (r"\log(1 + e^{T}) \approx T", r"\log(1 + e^{T}) \approx T^2", FALSE),
    (r"\frac{T}{T + 1} \to 1", r"\frac{T}{T + 1} \to 2", FALSE),
    (r"e^{t} = 1 + t + O(t^2)", r"e^{t} = 1 + t + O(t^3)", "times what O stands for"),
    (r"\cos t = 1 - \frac{t^2}{2} + O(t^4)", r"\cos t = 1 + \frac{t^2}{2} + O(t^4)", "times what O stands for"),
    (r"e^{t} = 1 + t + O(t^2)", r"e^{t} = 1 + t + \frac{t^2}{2} + O(t^2)", "times what O stands for"),
    (r"(x - t)^2 = x^2 - 2 x t + \text{const}", r"(x - t)^2 = x^2 - x t + \text{const}", "it is no constant"),
    (r"s^2 c \propto s^2", r"s^2 c \propto s", FALSE),
    # extremes
    (r"\operatorname*{arg\,min}_x f(x) = 2", r"\operatorname*{arg\,min}_x f(x) = -2", FALSE),
    (r"\operatorname*{arg\,max}_x (-f(x)) = 2", r"\operatorname*{arg\,max}_x f(x) = 2", FALSE),
    (r"\arg\min_x \sum_n (x - y_n)^2 = \bar{y}", r"\arg\min_x \sum_n (x - y_n)^2 = \sum_n y_n", FALSE),
    (r"\min_x f(x) = -4", r"\min_x f(x) = 4", FALSE),
    # implications
    (r"c x = t \iff x = \frac{t}{c}", r"c x = t \iff x = \frac{c}{t}", FALSE),
    (r"f'(x) = 0 \Longrightarrow x = 2", r"f'(x) = 0 \Longrightarrow x = 4", FALSE),
    (r"\log \frac{p}{1 - p} = x \implies p = \frac{1}{1 + e^{-x}}", r"\log \frac{p}{1 - p} = x \implies p = e^{x}", ""),
    (r"x^3 = t^3 \iff x = t", r"x^2 = t^2 \iff x = t", "solves it too"),
    (r"x > t \iff x - t > 0", r"x > t \iff x - t < 0", FALSE),
    (r"x > 1 \implies x > 0", r"x > 0 \implies x > 1", FALSE),
    (r"x > 1 \implies x > 0", r"x > 1 \iff x > 0", FALSE),
    # conditions
    (r"|x| = x \quad \text{if} \quad x > 0", r"|x| = x \quad \text{if} \quad x < 0", FALSE),
    (r"x t = t^2 \quad \text{where} \quad x = t", r"x t = x \quad \text{where} \quad x = t", FALSE),
    # derivatives and functions of any kind
    (r"\frac{d}{dx} g(x)^2 = 2 g(x) g'(x)", r"\frac{d}{dx} g(x)^2 = 2 g'(x)", FALSE),
    (r"\frac{d}{dx} \log r(x) = \frac{r'(x)}{r(x)}", r"\frac{d}{dx} \log r(x) = \frac{r(x)}{r'(x)}", FALSE),
    (
        r"\frac{\partial^2}{\partial x \, \partial t} x^2 t^3 = 6 x t^2",
        r"\frac{\partial^2}{\partial x \, \partial t} x^2 t^3 = 6 x t^3",
        FALSE,
    ),
    (r"\sum_k h_k \log q_k = \log \sum_k h_k q_k", r"\sum_k q_k \log q_k = \log \sum_k q_k q_k", FALSE),
]


@pytest.mark.parametrize(("right", "wrong", "said"), PAIRS, ids=[right + " / " + wrong for right, wrong, _ in PAIRS])
def test_a_true_display_holds_and_its_false_neighbour_is_named(
    faults: Callable[..., list[str]], right: str, wrong: str, said: str
) -> None:
    assert faults(SYMBOLS, right) == []
    (fault,) = faults(SYMBOLS, wrong)
    assert said in fault
    assert re.match(r"line \d+, column \d+: ", fault)


def test_a_fault_names_the_line_both_values_and_the_point(check_one: Callable[..., Any]) -> None:
    (fault,) = check_one({"x": {"in": "real"}}, "2 x = x + x \\\\\n3 x = x + x").faults
    match = re.fullmatch(
        r"line 12, column 1: 3 x = x \+ x is false: the left side is (-?[\d.]+) and the right side (-?[\d.]+) "
        r"at x = (-?[\d.]+)",
        fault,
    )
    assert match
    left, right, x = (float(number) for number in match.groups())
    assert left == pytest.approx(3 * x, rel=1e-4)
    assert right == pytest.approx(2 * x, rel=1e-4)


@pytest.fixture
def check_one(checked: Callable[..., Any]) -> Callable[..., Any]:
    return lambda symbols, latex: checked(symbols, {"shown": latex})[1]["shown"]


@pytest.mark.parametrize(
    ("latex", "said"),
    [
        (r"x + t = (x + t)", "this claims nothing: both sides are the same formula"),
        (r"\ln s \cdot c = \log (s) c", "this claims nothing"),
        (r"x", "this claims nothing: it is no relation"),
        (r"x = t + x - t, \quad t", "this claims nothing: it is no relation"),
        (r"s = c + \text{const}", "it claims nothing|this claims nothing: the left side does not depend on x"),
        (r"2 c \propto c", "this claims nothing: the left side does not depend on s"),
        (r"0 \propto s", "a side is 0"),
        (r"\frac{\partial}{\partial t} s^3 = 0", "a derivative by t of what does not depend on it"),
        (r"\frac{\partial x^2}{\partial c} = 0", "a derivative by c of what does not depend on it"),
        (r"q_k = \sum_{k=1}^{K} q_k", "k stands for two things here"),
        (r"\sum_n \sum_n y_n = N \sum_n y_n", "n stands for two things here"),
        (r"\frac{q_k}{\sum_k q_k} = q_k", "k stands for two things here"),
        (r"s = \begin{cases} s & s > 0 \\ x & \text{otherwise} \end{cases}", "x was never what holds"),
        (r"s \, [s > 0] = s", "s > 0 was always what holds"),
        (r"x = t \quad \text{if} \quad s < 0", "no point was found at which the condition holds"),
        (r"s < 0 \implies x > 0", "was never true"),
        (r"x > x \iff t > t", "was never true"),
        (r"x - x = 0 \implies x = 3", "holds for other values too"),
        (r"1 = 1 \implies x = 3", ""),
        (r"x = z", "z is not declared"),
        (r"x = \text{something}", r"\text{something} is not declared"),
        (r"x \longrightarrow t", "must be in the table of symbols, with the field 'tends'"),
        (r"x = \log(-1 - x^2)", "the logarithm of a number that is not positive"),
        (r"y_n = q_k", FALSE),
        (r"q = y_n y_n^{\top}", ""),
        (r"x \sim t", "no relation"),
        (r"s = \sum_{n=1}^{10^9} n", "more than 10000 terms"),
    ],
)
def test_what_claims_nothing_or_has_no_meaning_is_refused(
    faults: Callable[..., list[str]], latex: str, said: str
) -> None:
    (fault, *_) = faults(SYMBOLS, latex)
    assert any(one in fault for one in said.split("|")), fault
    assert re.match(r"line \d+, column \d+: ", fault)


def test_definitions_hold_from_where_they_stand_and_later_ones_hide_them(checked: Callable[..., Any]) -> None:
    wrong, records = checked(
        {"x": {"in": "real"}, "a": [{"equals": "1"}, {"equals": "2", "from": "six"}]},
        {
            "one": "definition: u = x + a",
            "two": "v = u + 1",
            "three": r"definition: v = 2 u = 2 x + 2",
            "four": "v - u = x + 1",
            "five": "definition: u = x - a",
            "six": "v = 2 x - 4",
            "seven": "v = 2 x - 2",
        },
    )
    assert not wrong
    faults = {label: record.faults for label, record in records.items() if record.faults}
    assert set(faults) == {"two", "seven"}
    assert "v is not declared" in faults["two"][0]
    assert "is false" in faults["seven"][0]
    assert records["three"].defines == ["v"]
    assert [step.right for step in records["three"].steps] == ["2 x + 2"]


def test_a_meaning_ends_where_the_table_says(checked: Callable[..., Any]) -> None:
    meanings = [{"in": "real", "until": "one"}, {"equals": "3", "from": "three", "until": "three"}]
    _, records = checked({"x": meanings}, {"one": "x + 1 > x", "two": "x + 1 > x", "three": "x = 3"})
    assert [record.holds for record in records.values()] == [True, False, True]
    assert "x is not declared" in records["two"].faults[0]


@pytest.mark.parametrize(
    ("symbols", "latex"),
    [
        ({"a": {"equals": "b + 1"}, "b": {"equals": "a - 1"}}, "a = 2"),
        ({"a": {"equals": "a"}}, "a = 2"),
        ({"x": {"in": "real"}, "f(x)": {"equals": "f(x) + f(x)"}}, "f(1) = 2"),
        ({"x": {"in": "real"}}, "definition: u = u + 1"),
        ({"x": {"in": "real"}}, "definition: u = 2 u = u + u"),
    ],
)
def test_what_is_defined_by_itself_is_refused(faults: Callable[..., list[str]], symbols: Any, latex: str) -> None:
    (fault, *_) = faults(symbols, latex)
    assert "is defined by itself" in fault
    assert len(fault) < 200


def test_a_definition_must_define(faults: Callable[..., list[str]]) -> None:
    found = faults({"x": {"in": "real"}}, "definition: x + 1 = 2")
    assert any("it defines nothing" in fault for fault in found)


def test_an_assumption_must_be_readable(faults: Callable[..., list[str]]) -> None:
    assert faults({"x, t": {"in": "real"}}, "assumption: x = 2 t") == []
    assert faults({"x": {"in": "real"}}, "assumption: u = z")


def test_every_index_is_checked_for_all_its_values(faults: Callable[..., list[str]]) -> None:
    symbols = {"n": {"runs": "N"}, "N": {"size": 3}, "y_n": {"in": "real"}}
    assert faults(symbols, r"y_n \, [n < 3] = y_n - y_n \, [n = 3]") == []
    (fault,) = faults(symbols, r"y_n = y_n \, [n < 3]")
    assert "n = 3" in fault


def test_each_argument_of_a_maximum_must_be_the_greatest_somewhere(faults: Callable[..., list[str]]) -> None:
    symbols = {"s": {"in": "positive"}, "p": {"in": "(0, 1)"}}
    assert faults(symbols, r"\max(s, 1) + \min(s, 1) = s + 1") == []
    (fault,) = faults(symbols, r"\max(s, -1) = s")
    assert "-1 was never what holds" in fault
    (fault,) = faults(symbols, r"\max(p, 10^{-9}) = p")  # drawn near the ends too
    assert "is false" in fault


@pytest.mark.parametrize(
    ("latex", "wrong"),
    [
        (r"2 x = 3 x \\ -x = 2 x", 2),
        (r"2 x = x + x \\ -x = x - 2 x", 0),
        (r"2 x &= x + x \\ -x &= 2 x", 1),
        (r"\log s \le s - 1 \\ -\log s \ge 1 - s", 0),
        (r"\log s \le s - 1 \\ -\log s \le 1 - s", 1),
        (r"2 x = 3 x \\ - x", 0),  # one sum
        (r"3 x &= 2 x \\ &\quad - x", 1),
        (r"x &= 3 x \\ &\quad - 2 x \\ &= x \cdot 1", 0),
    ],
)
def test_a_row_that_begins_with_a_sign_is_a_statement_of_its_own_or_goes_on(faults, latex, wrong):
    found = faults(SYMBOLS, latex)
    assert len(found) == wrong
    assert all("is false" in fault for fault in found)


@pytest.mark.parametrize(
    ("latex", "line", "column"),
    [
        ("2 x = x + x = 3 x", 1, 13),
        ("2 x &= x + x \\\\\n&= 2 x \\\\\n&= 3 x", 3, 2),
        ("2 x &= 3 x \\\\\n&= x + x", 1, 1),
        ("2 x\n= 3 x", 2, 1),
        ("2 x =\nx + x =\n3 x", 3, 1),
        ("2 x = x + x,\n\\qquad x = t", 2, 8),
        ("f'(x)\n= 2 x - 4 = 0\n\\Longrightarrow x = 4", 3, 1),
        ("x = t - 1\n\\iff\nx + 1 = 2 t", 3, 1),
        ("\\operatorname*{arg\\,min}_x f(x)\n= 2\n= 3", 3, 1),
        ("0 < p\n< p^2", 2, 1),
        ("e^{t} = 1 + t\n+ O(t^2)\n= 1 + O(t^3)", 3, 1),
    ],
)
def test_the_place_that_is_named_is_that_of_the_false_link(check_one, latex, line, column):
    record = check_one(SYMBOLS, latex)
    (wrong,) = record.faults
    assert wrong.startswith(f"line {record.display.line + line - 1}, column {column}: ")
    assert "is false" in wrong
