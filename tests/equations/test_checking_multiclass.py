"""What chapter 4 needs of the checker: vectors as lists, conditions on an index, sums as conditions, entries."""

from pathlib import Path

import pytest

from lossbook.book.verify import verify

PAGE = """```{symbols}
j, k:
  is: the number of a class
  runs: K
K:
  is: how many classes there are
  size: 4
y:
  is: a class
  in: \\{1, \\dots, K\\}
p_k:
  is: probabilities
  in: probabilities
a_k, w_k:
  is: positive numbers
  in: positive
q_k:
  is: numbers
  in: real
f(z):
  is: a function of a vector
  equals: \\sum_k z_k
```

```{math}
:label: one
ROLE
FORMULA
```
"""


@pytest.fixture
def faults(tmp_path: Path):
    """Return what is wrong with one display."""

    def check(formula: str, role: str = "") -> list[str]:
        page = tmp_path / "page.md"
        option = f":class: {role}\n" if role else ""
        page.write_text(PAGE.replace("ROLE\n", option).replace("FORMULA", formula), encoding="utf-8")
        return verify(page).faults

    return check


BEST = r"\operatorname*{arg\,min}_{p} \Bigl( -\sum_k w_k a_k \log p_k \Bigr) = "


def test_a_list_with_dots_is_a_vector(faults) -> None:
    assert not faults(BEST + r"\frac{(w_1 a_1, \dots, w_K a_K)}{\sum_j w_j a_j}")
    assert not faults(BEST + r"\Bigl( \frac{w_1 a_1}{\sum_j w_j a_j}, \dots, \frac{w_K a_K}{\sum_j w_j a_j} \Bigr)")
    assert "is false" in faults(BEST + r"\frac{(a_1, \dots, a_K)}{\sum_j a_j}")[0]
    assert not faults(r"f(q) = f(a) + f \bigl( (q_1 - a_1, \dots, q_K - a_K) \bigr)")


@pytest.mark.parametrize("vector", [r"(w_1 a_1, \dots, w_K q_K)", r"(w_1, \dots, w_1)", r"(w_1 a_1, \dots, w_K a_3)"])
def test_the_ends_of_a_list_must_differ_in_one_number(faults, vector: str) -> None:
    assert "differ in one number alone" in faults(BEST + vector)[0]


def test_an_arg_min_must_lie_in_its_domain(faults) -> None:
    assert "not in probabilities" in faults(BEST + r"(w_1 a_1, \dots, w_K a_K)")[0]


def test_a_condition_on_an_index_says_for_which_values_a_claim_is_made(faults) -> None:
    assert not faults(r"[\, k = y \,] = 0 \quad \text{for } k \ne y")
    assert not faults(r"p_k < p_k + p_y - [\, k = y \,] p_k \quad \text{for } k \ne y")
    assert faults(r"[\, k = y \,] = 0 \quad \text{for } k \le y")
    assert "holds for no value" in faults(r"[\, k = y \,] = 1 \quad \text{for } k \ne k")[0]


def test_a_sum_may_be_a_condition(faults) -> None:
    assert not faults(r"q_k \sum_j q_j = q_k \quad \text{if } \sum_j q_j = 1")
    assert faults(r"q_k \sum_j q_j = q_k \quad \text{if } \sum_j q_j = 2")


def test_an_entry_of_what_a_row_defines_is_checked(faults) -> None:
    assert not faults(r"z_k = \log \frac{p_k}{p_K}, \qquad z_K = 0", "definition")
    assert "is false" in faults(r"z_k = \log \frac{p_k}{p_K}, \qquad z_K = 1", "definition")[0]
    assert not faults(r"\ell_k = p_k, \qquad \ell_{\text{all}} = \sum_k \ell_k", "definition")


def test_a_function_of_a_vector_refuses_a_number(faults) -> None:
    assert not faults(r"f(q) = \sum_j q_j")
    assert "takes a vector as its z" in faults(r"f(y) = \sum_j q_j")[0]
