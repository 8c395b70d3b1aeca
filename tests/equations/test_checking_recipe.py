r"""What chapter 1 needs of the checker: premises, places of extremes, conditions with an index, `p(\text{data})`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lossbook.book.verify import verify

PAGE = """```{symbols}
n:
  is: the number of a sample
  runs: N
N:
  is: how many samples there are
  size: 3
y_n:
  is: labels
  in: real
a_n:
  is: numbers, some of them negative
  in: real
\\bar{y}:
  is: the mean of the labels
  equals: \\frac{1}{N} \\sum_{n=1}^{N} y_n
c, x:
  is: numbers
  in: real
p(x):
  is: a density
  in: positive function
p(\\text{data}):
  is: one number, whatever the density of the same name
  in: positive
\\operatorname{all}(y)_n:
  is: a vector that code computes
  code: reduce(y, 'none')
```

```{math}
:label: one
:class: definition
FORMULA
```
"""


@pytest.fixture
def faults(tmp_path: Path) -> Callable[[str], str]:
    """Return what is wrong with one display."""

    def check(formula: str) -> str:
        path = tmp_path / "page.md"
        path.write_text(PAGE.replace("FORMULA", formula), encoding="utf-8")
        return "\n".join(verify(path).faults)

    return check


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            r"m = x, \quad \frac{d}{dc} \sum_n (c - y_n)^2 = 2 N (c - \bar{y}) = 0 \Longrightarrow \quad c = \bar{y}",
            r"m = x, \quad \frac{d}{dc} \sum_n (c - y_n)^2 = 2 (c - \bar{y}) = 0 \Longrightarrow \quad c = \bar{y}",
            "is false",  # although both are zero there
        ),
        (
            r"m = x, \quad c^2 < 1 \quad \Longleftrightarrow \quad |c| < 1",
            r"m = x, \quad c^2 < 1 \quad \Longleftrightarrow \quad |c| < 2",
            "is false",
        ),
        (
            r"m = \operatorname*{arg\,min}_c \sum_n (c - y_n)^2 = \bar{y}, \quad N m = \sum_n y_n",
            r"m = \operatorname*{arg\,min}_c \sum_n (c - y_n)^2 = \bar{y}, \quad 2 m = \sum_n y_n",
            "is false",
        ),
        (
            r"m = \min_c \sum_n (c - y_n)^2 = \sum_n (\bar{y} - y_n)^2",
            r"m = \min_c \sum_n (\bar{y} - y_n)^2 = \sum_n (\bar{y} - y_n)^2",
            "the same whatever c is",
        ),
        (
            r"m = x, \quad \sum_n |a_n| = \sum_n a_n \quad \text{if} \quad a_n > 0",
            r"m = x, \quad \sum_n |a_n| = \sum_n a_n \quad \text{if} \quad a_1 > 0",
            "is false",
        ),
        (
            r"m = x^2, \quad 2 m = 2 c^2 \quad \text{at} \quad x = c",
            r"m = x^2, \quad 2 m = 2 c \quad \text{at} \quad x = c",
            "is false",
        ),
        (
            r"m = p(x), \quad \frac{p(x)}{p(\text{data})} p(\text{data}) = m",
            r"m = p(x), \quad \frac{p(x)}{p(\text{data})} p(c) = m",
            "is false",
        ),
        (r"\operatorname{all}(y)_n = y_n", r"\operatorname{all}(y)_n = -y_n", "lossbook.losses"),
        (r"m = x", r"m = \min_c (c - m)^2", "defined by itself"),
    ],
)
def test_wrong_forms_are_told_from_right_ones(faults: Callable[[str], str], right: str, wrong: str, said: str) -> None:
    """The right form holds, and the wrong one is named."""
    assert faults(right) == ""
    assert said in faults(wrong)
