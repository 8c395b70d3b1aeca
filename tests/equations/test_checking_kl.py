"""What chapter 6 needs of the checker: sets by a condition, zeros, named averages, remainders of vectors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lossbook.book.verify import verify

PAGE = """```{symbols}
k:
  is: the number of an outcome
  runs: K
K:
  is: how many outcomes there are
  size: 4
q_k:
  is: probabilities, one of which is zero
  in: probabilities with a zero
S:
  is: the outcomes that happen
  equals: \\{ k \\mid q_k > 0 \\}
\\mu, m:
  is: means
  in: real
s:
  is: a standard deviation
  in: positive
x:
  is: what q draws
  in: \\mathcal{N}(m, s^2)
  by: q
w:
  is: what r draws
  in: random
  by: r
\\delta_k:
  is: a small change
  in: real
O(x):
  is: a remainder
  tends: \\delta \\to 0
D(\\mathcal{N}(m, s^2)):
  is: a call that is itself a symbol
  equals: m^2 + s^2
D(a):
  is: a function of the same name, which code computes
  equals: (a - m)^2
  code: mse_loss(a, m)
```

```{math}
:label: one
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
    "formula",
    [
        r"\sum_{k \in S} q_k = 1",
        r"\sum_{k \in S} 1 = \#\{ q_k > 0 \} = K - 1",
        r"\sum_{k \in S} q_k \log q_k < 0",
        r"\mathbb{E}_q [ (x - \mu)^2 ] = s^2 + (m - \mu)^2 = D(\mathcal{N}(m, s^2)) - 2 m \mu + \mu^2",
        r"\mathbb{E}_q [ x^2 ] = D(\mathcal{N}(m, s^2))",
        r"D(s) = (m - s)^2",
        r"\sum_k e^{\delta_k} = K + \sum_k \delta_k + O(\lVert \delta \rVert^2)",
    ],
)
def test_what_is_true_holds(faults: Callable[[str], str], formula: str) -> None:
    assert faults(formula) == ""


@pytest.mark.parametrize(
    ("formula", "fault"),
    [
        (r"\sum_{k \in S} 1 = K", "is false"),
        (r"\sum_{k} q_k \log q_k < 0", "the left side is nan"),
        (r"\mathbb{E}_q [ (x - \mu)^2 ] = s^2", "is false"),
        (r"\mathbb{E}_r [ x ] = m", "r is not declared"),  # x is not drawn by r
        (r"x = m", "the random variable x stands outside an expectation"),
        (r"\mathbb{E}_q [ x ] + w = m", "the random variable w stands outside an expectation"),
        (r"\sum_k e^{\delta_k} = K + O(\lVert \delta \rVert^2)", "is false"),
        (r"\sum_k e^{\delta_k} = K + \sum_k \delta_k + O(\lVert \delta \rVert^3)", "is false"),
        (r"\sum_k e^{\delta_k} = O(K)", "what O stands for does not change with"),
        (r"\mathbb{E}_q [ x ] = \{ n \mid n > 0 \}", "n is not declared as an index"),
    ],
)
def test_what_is_wrong_is_named(faults: Callable[[str], str], formula: str, fault: str) -> None:
    assert fault in faults(formula)
