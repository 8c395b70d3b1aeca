"""The truths are true: against Python's own decimal arithmetic, on the form on paper, to 300 digits or 700.

The two routes share nothing: another library, the formula as it stands on the card, and the slope by a difference
quotient. The form on paper is written for PyTorch; here it is given numbers of another kind.
"""

import dataclasses
import decimal
import math
import operator as op
from decimal import Decimal

import mpmath
import numpy as np
import pytest
import torch

from lossbook.stability import DIGITS, entries

INF = math.inf


def times(a, b):
    """Multiply. What has no weight is not there, be it infinite or no number."""
    return Decimal(0) if a == 0 or b == 0 else a * b


def log(x):
    return Decimal("nan") if x < 0 else x.ln()


def elementwise(function, *args):
    return Decimals(np.frompyfunc(function, len(args), 1)(*map(plain, args)))


def plain(x):
    return x.values if isinstance(x, Decimals) else x.numpy() if isinstance(x, torch.Tensor) else x


class Decimals:
    """An array of decimals that PyTorch's functions take for a tensor."""

    def __init__(self, values):
        self.values = np.array(values, dtype=object)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return FUNCTIONS[func](*args, **(kwargs or {}))

    def __getitem__(self, place):
        places = place if isinstance(place, tuple) else (place,)
        return Decimals(self.values[tuple(map(plain, places))])

    def __setitem__(self, place, value):
        self.values[place] = plain(value)[()]

    def __len__(self):
        return len(self.values)

    def __int__(self):
        return int(self.values[()])

    def sum(self, dim=None, keepdim=False):
        return Decimals(self.values.sum(axis=dim, keepdims=keepdim))

    def prod(self):
        return Decimals(self.values.prod())

    def clamp(self, min):
        return elementwise(lambda x: max(x, min), self)

    def long(self):
        return torch.tensor(self.values.astype(int))


def operator(function, swapped=False):
    if swapped:
        return lambda a, b: elementwise(lambda a, b: function(b, a), a, b)
    return lambda *args: elementwise(function, *args)


for name in ("add", "sub", "truediv", "pow", "lt", "le", "neg", "abs"):
    setattr(Decimals, f"__{name}__", operator(getattr(op, name)))
for name in ("add", "sub", "truediv"):
    setattr(Decimals, f"__r{name}__", operator(getattr(op, name), swapped=True))
Decimals.__mul__ = Decimals.__rmul__ = operator(times)


def softmax(z, dim):
    return torch.exp(z) / torch.exp(z).sum(dim, keepdim=True)


FUNCTIONS = {
    torch.exp: lambda x: elementwise(Decimal.exp, x),
    torch.log: lambda x: elementwise(log, x),
    torch.sqrt: lambda x: elementwise(Decimal.sqrt, x),
    torch.where: lambda *args: elementwise(lambda c, a, b: a if c else b, *args),
    torch.softmax: softmax,
    torch.zeros_like: lambda like: Decimals([Decimal(0)] * len(like)),
}


# Where the form on paper leaves even the exponents that decimals have: the same, simplified.
SIMPLER = {
    ("poisson_nll_loss", "z = 200, y = 3"): lambda x, y, option: x[0].exp() - y[0] * x[0],
    ("poisson_nll_loss", "z = 1000, y = 3"): lambda x, y, option: x[0].exp() - y[0] * x[0],
}


def on_paper(entry, case, x, y, option):
    """Return the form on paper as one decimal."""
    if simpler := SIMPLER.get((entry.name, case.label)):
        return simpler(x, y, option)
    return entry.on_paper(Decimals(x), Decimals(y), option).values[()]


def rounded(values, dtype):
    return torch.tensor(values, dtype=dtype).tolist()


CASES = [
    (entry, case, dtype)
    for entry in entries()
    for case in entry.cases
    for dtype in (torch.float64, torch.bfloat16)
    if all(map(math.isfinite, case.input + case.target))
    if dtype == torch.float64 or rounded(case.input + case.target, dtype) != [*case.input, *case.target]
]


def close(truth, plain):
    """Equal to 60 digits."""
    with mpmath.workdps(DIGITS):
        other = mpmath.mpf(str(plain).lower().replace("infinity", "inf"))
        return truth == other or abs(truth - other) <= mpmath.mpf(10) ** -60 * abs(other)


@pytest.mark.parametrize(
    ("entry", "case", "dtype"), CASES, ids=lambda x: getattr(x, "name", getattr(x, "label", str(x)[6:]))
)
def test_the_truth_is_that_of_decimal_arithmetic(entry, case, dtype):
    x, y = rounded(case.input, dtype), rounded(case.target, dtype)
    value, slopes = entry.truth(x, y, case.option)
    with decimal.localcontext() as context:
        # 1 + e^−1000 needs 435 digits to differ from 1, the quotient a hundred more, and 60 are compared.
        context.prec = 700 if max(map(abs, x)) > 100 else 300
        context.Emax, context.Emin = decimal.MAX_EMAX, decimal.MIN_EMIN
        point, target, option = [*map(Decimal, x)], [*map(Decimal, y)], Decimal(case.option)
        assert close(value, on_paper(entry, case, point, target, option))
        if len(point) > 2 or mpmath.isinf(value):
            return  # a thousand equal probabilities, or no slope but from one side: a limit, which has a test below
        for k, slope in enumerate(slopes):
            h = Decimal(10) ** -100
            ahead, behind = ([v + s * h * (j == k) for j, v in enumerate(point)] for s in (1, -1))
            rise = on_paper(entry, case, ahead, target, option) - on_paper(entry, case, behind, target, option)
            assert close(slope, rise / (2 * h))


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
    (entry,) = (entry for entry in entries() if entry.name == name)
    assert entry.truth(x, y, 0.0) == (value, list(slopes))


def test_an_infinite_truth_at_a_finite_input_is_among_the_limits():
    infinite = {
        (entry.name, case.input, case.target)
        for entry, case, dtype in CASES
        if dtype == torch.float64 and mpmath.isinf(entry.truth(case.input, case.target, case.option)[0])
    }
    assert infinite <= {(name, x, y) for name, x, y, _, _ in LIMITS}


@pytest.mark.parametrize("wrong", [lambda v, s: (2 * v, s), lambda v, s: (v, [-x for x in s])])
def test_a_wrong_truth_is_seen(wrong):
    """The value twice, and the slope with the wrong sign."""
    (entry,) = (entry for entry in entries() if entry.name == "kl_div")
    broken = dataclasses.replace(entry, exact=lambda x, y, option: wrong(*entry.exact(x, y, option)))
    with pytest.raises(AssertionError):
        test_the_truth_is_that_of_decimal_arithmetic(broken, entry.cases[0], torch.float64)
