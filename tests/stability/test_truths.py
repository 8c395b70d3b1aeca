"""The truths are true: against Python's own decimal arithmetic, on the formula as it stands, to 300 digits or 700.

The two routes share nothing: another library, another formula, and the slope by a difference quotient.
"""

import decimal
import math
from decimal import Decimal

import mpmath
import pytest
import torch

from lossbook.stability import LOSSES
from lossbook.stability.truths import DIGITS

INF = math.inf
ONE = Decimal(1)


def mix(q, log):
    """Sum q times log, where q is not 0."""
    return sum((weight * value for weight, value in zip(q, log, strict=True) if weight), Decimal(0))


def log_softmax(z):
    total = sum(v.exp() for v in z)
    return [(v.exp() / total).ln() for v in z]


def one_hot(x, y):
    return [Decimal(k == int(y[0])) for k in range(len(x))]


def sigmoid(x):
    return ONE / (ONE + (-x[0]).exp())


def huber(x, y, c):
    r = abs(x[0] - y[0])
    return r * r / 2 if r <= c else c * (r - c / 2)


PLAIN = {
    "likelihood": lambda x, y, c: -math.prod(x[:1] * len(x)).ln(),
    "mse_loss": lambda x, y, c: (x[0] - y[0]) ** 2,
    "l1_loss": lambda x, y, c: ((x[0] - y[0]) ** 2).sqrt(),
    "smooth_l1_loss": lambda x, y, c: huber(x, y, c) / c,
    "huber_loss": huber,
    "gaussian_nll_loss": lambda x, y, c: (
        -((-((x[0] - y[0]) ** 2) / (2 * max(y[1], c))).exp() / max(y[1], c).sqrt()).ln()
    ),
    "binary_cross_entropy": lambda x, y, c: -mix([ONE], [(x[0] if y[0] else 1 - x[0]).ln()]),
    "binary_cross_entropy(sigmoid(z))": lambda x, y, c: -(1 - sigmoid(x)).ln(),
    "binary_cross_entropy_with_logits": lambda x, y, c: -(sigmoid(x) if y[0] else 1 - sigmoid(x)).ln(),
    "cross_entropy": lambda x, y, c: -mix(one_hot(x, y), log_softmax(x)),
    "cross_entropy, target q": lambda x, y, c: -mix(y, log_softmax(x)),
    "cross_entropy, label_smoothing": lambda x, y, c: (
        -mix([(1 - c) * q + c / len(x) for q in one_hot(x, y)], log_softmax(x))
    ),
    "log_softmax, nll_loss": lambda x, y, c: -mix(one_hot(x, y), log_softmax(x)),
    "poisson_nll_loss": lambda x, y, c: x[0].exp() - y[0] * x[0],
    "poisson_nll_loss, log_input=False": lambda x, y, c: x[0] - y[0] * (x[0] + c).ln(),
    "kl_div": lambda x, y, c: sum(q * (q / p.exp()).ln() for p, q in zip(x, y, strict=True) if q),
    "kl_div, log_target=True": lambda x, y, c: sum(
        q.exp() * (q.exp() / p.exp()).ln() for p, q in zip(x, y, strict=True)
    ),
}
# Where the value is infinite or the slope is one-sided the difference quotient has nothing to say; nor at an infinity,
# whose limit has a test of its own.
SILENT = {("binary_cross_entropy", "p = 0, y = 1"), ("binary_cross_entropy", "p = 1, y = 0")}


def entries(values, dtype):
    return torch.tensor(values, dtype=dtype).tolist()


CASES = [
    (loss, case, dtype)
    for loss in LOSSES
    for case in loss.cases
    for dtype in (torch.float64, torch.bfloat16)
    if all(map(math.isfinite, case.input + case.target)) and (loss.name, case.label) not in SILENT
    if dtype == torch.float64 or entries(case.input + case.target, dtype) != [*case.input, *case.target]
]


def close(truth, plain):
    """Equal to 60 digits."""
    with mpmath.workdps(DIGITS):
        other = mpmath.mpf(str(plain))
        return abs(truth - other) <= mpmath.mpf(10) ** -60 * abs(other)


@pytest.mark.parametrize(
    ("loss", "case", "dtype"), CASES, ids=lambda x: getattr(x, "name", getattr(x, "label", str(x)[6:]))
)
def test_the_truth_is_that_of_decimal_arithmetic(loss, case, dtype):
    x, y = entries(case.input, dtype), entries(case.target, dtype)
    value, slopes = loss.truth([*map(mpmath.mpf, x)], [*map(mpmath.mpf, y)], mpmath.mpf(case.option))
    with decimal.localcontext() as context:
        # 1 + e^−1000 needs 435 digits to differ from 1, the quotient a hundred more, and 60 are compared.
        context.prec = 700 if max(map(abs, x)) > 100 else 300
        context.Emax, context.Emin = decimal.MAX_EMAX, decimal.MIN_EMIN
        point, target, option = [*map(Decimal, x)], [*map(Decimal, y)], Decimal(case.option)
        plain = PLAIN[loss.name]
        assert close(value, plain(point, target, option))
        if len(point) > 2:
            return  # a thousand equal probabilities: only their product is formed by the plain route
        for k, slope in enumerate(slopes):
            h = Decimal(10) ** -100
            ahead, behind = ([v + s * h * (j == k) for j, v in enumerate(point)] for s in (1, -1))
            assert close(slope, (plain(ahead, target, option) - plain(behind, target, option)) / (2 * h))


LIMITS = [
    ("binary_cross_entropy", (0.0,), (1.0,), INF, (-INF,)),
    ("binary_cross_entropy", (1.0,), (0.0,), INF, (INF,)),
    ("binary_cross_entropy", (0.0,), (0.0,), 0, (1,)),
    ("binary_cross_entropy_with_logits", (INF,), (1.0,), 0, (0,)),
    ("binary_cross_entropy_with_logits", (-INF,), (0.0,), 0, (0,)),
    ("binary_cross_entropy_with_logits", (INF,), (0.0,), INF, (1,)),
    ("cross_entropy", (INF, 0.0), (0.0,), 0, (0, 0)),
    ("cross_entropy", (0.0, -INF), (0.0,), 0, (0, 0)),
    ("cross_entropy", (0.0, -INF), (1.0,), INF, (1, -1)),
    ("cross_entropy, target q", (0.0, -INF), (1.0, 0.0), 0, (0, 0)),
    ("poisson_nll_loss", (-INF,), (0.0,), 0, (0,)),
    ("poisson_nll_loss", (-INF,), (1.0,), INF, (-1,)),
    ("kl_div", (-INF,), (0.0,), 0, (0,)),
    ("kl_div", (-INF,), (0.5,), INF, (-0.5,)),
    ("kl_div, log_target=True", (-1.0,), (-INF,), 0, (0,)),
]


@pytest.mark.parametrize(("name", "x", "y", "value", "slopes"), LIMITS)
def test_the_truth_at_the_ends_is_the_limit(name, x, y, value, slopes):
    (loss,) = (loss for loss in LOSSES if loss.name == name)
    result = loss.truth([*map(mpmath.mpf, x)], [*map(mpmath.mpf, y)], mpmath.mpf(0))
    assert result == (value, list(slopes))


def test_each_loss_has_a_plain_form():
    assert set(PLAIN) == {loss.name for loss in LOSSES}
