r"""What chapter 2 needs of the checker: powers as parameters and in derivatives, inverses, equations for vectors."""

from pathlib import Path

import pytest

from lossbook.book.verify import verify

PAGE = r"""```{symbols}
n:
  is: the number of a sample
  runs: N
j:
  is: the number of a feature
  runs: D
N:
  is: how many samples there are
  size: 3
D:
  is: how many features there are
  size: 2
X_{nj}, y_n, w_j:
  is: features, labels and weights
  in: real
\sigma, v:
  is: a width and a variance
  in: positive
r, u:
  is: errors
  in: real
f(r, \sigma^2):
  is: minus the logarithm of a density, without its constant
  equals: \frac{1}{2} \log \sigma^2 + \frac{r^2}{2 \sigma^2}
  code: gaussian_nll_loss(r, 0.0, \sigma^2, reduction='none')
```

```{math}
:label: one
FORMULA
```
"""


@pytest.fixture
def faults(tmp_path: Path):
    """Return what is wrong with one display."""

    def of(formula: str) -> list[str]:
        path = tmp_path / "page.md"
        path.write_text(PAGE.replace("FORMULA", formula), encoding="utf-8")
        return verify(path).faults

    return of


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"f(u, v) = \frac{1}{2} \log v + \frac{u^2}{2 v}", r"f(u, v) = \frac{1}{2} \log v + \frac{u^2}{2 v^2}"),
        (r"f(r, \sigma^2) = f(-r, \sigma^2)", r"f(r, \sigma^2) = f(r, \sigma)"),
        (
            r"\frac{\partial f}{\partial \sigma^2} = \frac{1}{2 \sigma^2} - \frac{r^2}{2 \sigma^4}",
            r"\frac{\partial f}{\partial \sigma} = \frac{1}{2 \sigma^2} - \frac{r^2}{2 \sigma^4}",
        ),
        (r"\frac{d^2}{d \sigma^2} \sigma^3 = 6 \sigma", r"\frac{d}{d \sigma^2} \sigma^4 = 4 \sigma^3"),
        (
            r"X^{\top} X w = X^{\top} y \iff w = (X^{\top} X)^{-1} X^{\top} y",
            r"X^{\top} X w = X^{\top} y \iff w = - (X^{\top} X)^{-1} X^{\top} y",
        ),
        (r"r + u = u + r, - u = u - 2 u", r"r + u = u + r, - u = u"),
        (
            r"\begin{aligned} u + r &= r \\ + u &= u + 1 r \end{aligned}",
            r"\begin{aligned} u + r &= r \\ - u &= u + 1 r \end{aligned}",
        ),
    ],
)
def test_the_right_one_holds_and_the_wrong_one_is_false(faults, right: str, wrong: str) -> None:
    assert faults(right) == []
    assert "false" in faults(wrong)[0]


@pytest.mark.parametrize("formula", [r"(X^{\top} X)^2 = X^{\top} X", r"X^{-1} = X"])
def test_of_a_matrix_only_the_inverse_is_known(faults, formula: str) -> None:
    assert "only the inverse is known" in faults(formula)[0]
