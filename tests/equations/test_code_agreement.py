"""Every loss that code computes is held against that code and PyTorch: a wrong formula, or a wrong call, is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossbook import losses
from lossbook.book import docstrings
from lossbook.book.verify import DOCSTRINGS, Report, references
from lossbook.equations.code_agreement import read_code
from lossbook.equations.pages import read

ROOT = Path(__file__).resolve().parents[2]
REAL: dict[str, Any] = {
    "n": {"runs": "N"},
    "N": {"size": 3},
    "k, j": {"runs": "K"},
    "K": {"size": 4},
    "x, y, z": {"in": "real"},
    "p, q": {"in": "(0, 1)"},
    "s, w, c": {"in": "positive"},
    "z_k": {"in": "real"},
    "r_k, u_k": {"in": "probabilities"},
    "a_n, t_n": {"in": "real"},
    "l": {"in": r"\{1, \dots, K\}"},
}
LSE = r"\log \sum_j e^{z_j}"

# The code, its formula, and a wrong formula.
LOSSES = [
    ("mse_loss(x, y)", "(x - y)^2", "(x - y)^2 / 2"),
    ("mse_loss(a_n, t_n)", r"\frac{1}{N} \sum_n (a_n - t_n)^2", r"\sum_n (a_n - t_n)^2"),
    ("l1_loss(x, y)", "|x - y|", "x - y"),
    (
        "huber_loss(x, y, delta=s)",
        r"\begin{cases} (x - y)^2 / 2 & |x - y| \le s \\ s (|x - y| - s / 2) & \text{otherwise} \end{cases}",
        r"\begin{cases} (x - y)^2 / 2 & |x - y| \le s \\ |x - y| - s / 2 & \text{otherwise} \end{cases}",
    ),
    (
        "smooth_l1_loss(x, y, beta=s)",
        r"\begin{cases} (x - y)^2 / 2 s & |x - y| < s \\ |x - y| - s / 2 & \text{otherwise} \end{cases}",
        r"\begin{cases} (x - y)^2 / 2 & |x - y| < s \\ |x - y| - s / 2 & \text{otherwise} \end{cases}",
    ),
    ("binary_cross_entropy(p, q)", r"-q \log p - (1 - q) \log(1 - p)", r"-p \log q - (1 - p) \log(1 - q)"),
    (
        "binary_cross_entropy_with_logits(z, q, pos_weight=c)",
        r"c q \log(1 + e^{-z}) + (1 - q) \log(1 + e^z)",
        r"q \log(1 + e^{-z}) + c (1 - q) \log(1 + e^z)",
    ),
    ("cross_entropy(z_k, l)", f"{LSE} - z_l", f"z_l - {LSE}"),
    ("cross_entropy(z_k, r_k)", f"{LSE} - \\sum_k r_k z_k", f"{LSE} - \\max_k z_k"),
    ("gaussian_nll_loss(x, y, s)", r"\frac{(x - y)^2}{2 s} + \frac12 \log s", r"\frac{(x - y)^2}{2 s} + \log s"),
    ("poisson_nll_loss(x, s)", "e^x - s x", "e^x - x"),
    (
        "kl_div(u_k, r_k, 'sum')",
        r"\sum_k r_k (\log r_k - u_k)",
        r"\sum_k u_k (\log u_k - r_k)",
    ),
]


@pytest.mark.parametrize(("code", "right", "wrong"), LOSSES, ids=[code for code, _, _ in LOSSES])
def test_a_formula_is_what_code_computes(checked: Callable[..., Any], code: str, right: str, wrong: str) -> None:
    symbols = {**REAL, "L": {"code": code}}
    _, found = checked(symbols, {"shown": f"definition: L = {right}"})
    assert found["shown"].holds, found["shown"].faults
    assert [step.code for step in found["shown"].steps] == [code.partition("(")[0]]
    assert found["shown"].steps[0].worst < 1e-9
    _, found = checked(symbols, {"shown": f"definition: L = {wrong}"})
    (fault,) = found["shown"].faults
    assert "is not what code computes: the formula gives" in fault
    assert f"lossbook.losses.{code.partition('(')[0]}" in fault


@pytest.mark.parametrize(
    ("code", "formula", "variable", "right", "wrong"),
    [
        ("mse_loss(x, y)", "(x - y)^2", "x", "2 (x - y)", "2 (y - x)"),
        (
            "binary_cross_entropy_with_logits(z, q)",
            r"\log(1 + e^z) - q z",
            "z",
            r"\frac{1}{1 + e^{-z}} - q",
            r"q - \frac{1}{1 + e^{-z}}",
        ),
        ("cross_entropy(z_k, l)", f"{LSE} - z_l", "z_k", r"\frac{e^{z_k}}{\sum_j e^{z_j}} - [k = l]", "[k = l]"),
    ],
)
def test_a_derivative_is_what_autograd_gives(
    checked: Callable[..., Any], code: str, formula: str, variable: str, right: str, wrong: str
) -> None:
    for shown, holds in ((right, True), (wrong, False)):
        _, found = checked(
            {**REAL, "L": {"code": code}},
            {"loss": f"definition: L = {formula}", "slope": rf"\frac{{\partial L}}{{\partial {variable}}} = {shown}"},
        )
        assert found["loss"].holds
        assert found["slope"].holds == holds
        if holds:
            assert [step.derivative for step in found["slope"].steps] == [False, True]


def test_a_formula_is_held_against_code_that_gives_something_else(checked: Callable[..., Any]) -> None:
    for code in ("mse_loss(y, x, 'sum')", "l1_loss(x, y)", "mse_loss(x, s)"):
        _, found = checked({**REAL, "L": {"code": code}}, {"shown": "definition: L = (x - y)^2"})
        assert found["shown"].holds == (code == "mse_loss(y, x, 'sum')")


def test_code_that_is_wrong_is_named(checked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(docstrings.functions(), "mse_loss", lambda input, target: (input - target) ** 2 * 2)
    _, found = checked({**REAL, "L": {"code": "mse_loss(x, y)"}}, {"shown": "definition: L = (x - y)^2"})
    assert "lossbook.losses.mse_loss" in found["shown"].faults[0]


@pytest.mark.xdist_group("equations")
def test_every_public_loss_is_held_against_a_formula(reports: dict[str, Report]) -> None:
    held = {step.code for record in reports[DOCSTRINGS].records for step in record.steps if step.code}
    assert set(losses.__all__) <= held


def test_every_code_of_the_book_can_be_read() -> None:
    rows = [row for path in sorted((ROOT / "book").glob("*.md")) for row in read(path).rows if "code" in row.fields]
    assert {read_code(row.fields["code"], references()).function for row in rows} >= set(losses.__all__)
