"""What chapter 5 needs of the checker: joint distributions, integrals, symbols told apart by their indices' ranges."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lossbook.book.verify import verify

PAGE = r"""```{symbols}
n:
  is: the number of a sample
  runs: N
k:
  is: the number of a class
  runs: K
t:
  is: a place in a sentence
  runs: T
N:
  is: how many samples there are
  size: 2
K:
  is: how many classes there are
  size: 3
T:
  is: how many words there are
  size: 4
y_n:
  is: the class of sample n
  in: \{1, \dots, K\}
y_t:
  is: the word at place t
  in: \{1, \dots, K\}
x, u:
  is: two outcomes
  in: \{0, 1\}
P(y_1, \dots, y_T):
  is: any distribution over sentences
  in: joint
Q(x, u):
  is: any distribution over pairs
  in: joint
p_k:
  is: probabilities
  in: probabilities
p_{nk}:
  is: other probabilities
  in: probabilities
s:
  is: a width
  in: positive
f(p):
  is: the sum of a row
  equals: \sum_{k=1}^{K} k \, p_k
```

```{math}
:label: one
FORMULA
```
"""


@pytest.fixture
def faults(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return what is wrong with one display."""

    def of(formula: str) -> list[str]:
        page = tmp_path / "page.md"
        page.write_text(PAGE.replace("FORMULA", formula), encoding="utf-8")
        return verify(page).faults

    return of


@pytest.mark.parametrize(
    "formula",
    [
        r"P(y_1, \dots, y_T) = \prod_{t=1}^{T} P(y_t \mid y_1, \dots, y_{t-1})",
        r"P(y_1, \dots, y_T) = P(y_2 \mid y_1, y_3, y_4) \, P(y_1, y_3, y_4)",
        r"P(y_2 \mid y_1) = \frac{P(y_1 \mid y_2) \, P(y_2)}{P(y_1)}",
        r"P(y_1, y_2) \ne P(y_1) \, P(y_2)",
        r"P(y_1) < 1",
        r"Q(x, u) = Q(x \mid u) \, Q(u) = Q(u \mid x) \, Q(x)",
        r"f(p_n) = \sum_{k=1}^{K} k \, p_{nk}",
        r"\int_{-\infty}^{\infty} e^{-t^2 / (2 s)} \, d t = \sqrt{2 \pi s}",
        r"\int_{0}^{1} n t^2 \, d t = \frac{n}{3}",
        r"\int_{-\infty}^{\infty} e^{-x^2 / 10^{12}} \, d x = 10^6 \sqrt{\pi}",
    ],
)
def test_what_is_true_holds(faults: Callable[[str], list[str]], formula: str) -> None:
    assert faults(formula) == []


@pytest.mark.parametrize(
    "formula",
    [
        r"P(y_1, \dots, y_T) = \prod_{t=1}^{T} P(y_t)",
        r"P(y_1, \dots, y_T) = \prod_{t=1}^{T} P(y_t \mid y_1, \dots, y_t)",
        r"P(y_1, \dots, y_T) = \prod_{t=2}^{T} P(y_t \mid y_1, \dots, y_{t-1})",
        r"P(y_1, \dots, y_T) = \prod_{t=1}^{K} P(y_t \mid y_1, \dots, y_{t-1})",
        r"P(y_2 \mid y_1) = \frac{P(y_1 \mid y_2) \, P(y_1)}{P(y_2)}",
        r"P(y_2 \mid y_1) = P(y_1 \mid y_2)",
        r"Q(x, u) = Q(x) \, Q(u)",
        r"f(p_n) = \sum_{k=1}^{K} p_{nk}",
        r"\int_{-\infty}^{\infty} e^{-t^2 / (2 s)} \, d t = \sqrt{\pi s}",
    ],
)
def test_what_is_false_is_named(faults: Callable[[str], list[str]], formula: str) -> None:
    (fault,) = faults(formula)
    assert "is false" in fault


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (r"P(y_t \mid y_1, \dots, y_{t+1}) = 1", "P has no variable 5"),
        (r"P(y_t \mid y_0) = 1", "P has no variable 0"),
        (r"P(y_n) = 1", "so it must be in 'function', 'positive function' or 'joint'"),
        (r"\int_{0}^{1} \frac{1}{t} \, d t = 1", "an integral whose value was not found"),
    ],
)
def test_what_cannot_be_worked_out_says_why(faults: Callable[[str], list[str]], formula: str, words: str) -> None:
    (fault,) = faults(formula)
    assert words in fault


def test_a_joint_distribution_names_its_variables(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("Q(x, u):", "Q:").replace("FORMULA", "1 = 1"), encoding="utf-8")
    assert any("Q must name the variables that it is the joint distribution of" in f for f in verify(page).faults)
    page.write_text(PAGE.replace("Q(x, u):", "Q(x, v):").replace("FORMULA", "Q(x) < 1"), encoding="utf-8")
    assert any("Q must be the joint distribution of variables of the page" in f for f in verify(page).faults)
