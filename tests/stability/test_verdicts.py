"""Each verdict is given where it should be, and nowhere else, in every dtype."""

import math

import mpmath
import pytest
import torch

from lossbook.stability import DTYPES, ULPS, Verdict, judge, judge_gradient
from lossbook.stability.verdicts import SEVERITY, error_in_ulps, rounded, spacing

INF, NAN = math.inf, math.nan


@pytest.fixture(params=DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def dtype(request):
    return request.param


def smallest(dtype):
    return torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps


def test_the_unit_in_the_last_place_is_the_distance_to_the_next_number(dtype):
    info = torch.finfo(dtype)
    for x in (1.0, 1.5, 0.1, 1000.0, info.smallest_normal, info.smallest_normal / 4, smallest(dtype)):
        here = torch.tensor(x, dtype=dtype)
        gap = torch.nextafter(here, torch.tensor(INF, dtype=dtype)).double() - here.double()
        assert float(spacing(mpmath.mpf(here.item()), dtype)) == gap.item()


def test_rounding_is_that_of_the_dtype(dtype):
    torch.manual_seed(0)
    numbers = torch.randn(200, dtype=torch.float64) * 10.0 ** torch.randint(-9, 9, (200,))
    info = torch.finfo(dtype)
    edges = [info.max, info.max * (1 + info.eps / 8), 1 + info.eps / 2, 1 + 1.5 * info.eps, smallest(dtype) * 0.75, 0.0]
    for x in numbers.tolist() + [edge for edge in edges if math.isfinite(edge)]:
        assert float(rounded(mpmath.mpf(x), dtype)) == torch.tensor(x, dtype=torch.float64).to(dtype).item()
    assert rounded(mpmath.mpf(2) ** 1024, dtype) == mpmath.inf
    assert rounded(-(mpmath.mpf(2) ** 1024), dtype) == -mpmath.inf
    assert rounded(mpmath.mpf(2) ** -2000, dtype) == 0


def test_a_result_is_right_up_to_the_limit_and_not_beyond(dtype):
    eps = torch.finfo(dtype).eps
    assert judge(1.0, mpmath.mpf(1), dtype) is Verdict.RIGHT
    assert judge(1 + ULPS * eps, mpmath.mpf(1), dtype) is Verdict.RIGHT
    assert judge(1 + (ULPS + 1) * eps, mpmath.mpf(1), dtype) is Verdict.CANCELLATION
    assert judge(-1.0, mpmath.mpf(1), dtype) is Verdict.CANCELLATION


def test_what_the_dtype_cannot_hold_is_right_as_it_rounds(dtype):
    assert judge(INF, mpmath.mpf(10) ** 400, dtype) is Verdict.RIGHT
    assert judge(-INF, -(mpmath.mpf(10) ** 400), dtype) is Verdict.RIGHT
    assert judge(0.0, mpmath.mpf(10) ** -400, dtype) is Verdict.RIGHT
    assert judge(INF, mpmath.inf, dtype) is Verdict.RIGHT


def test_nan(dtype):
    assert judge(NAN, mpmath.mpf(1), dtype) is Verdict.NAN
    assert judge(NAN, mpmath.inf, dtype) is Verdict.NAN


def test_overflow(dtype):
    assert judge(INF, mpmath.mpf(1), dtype) is Verdict.OVERFLOW
    assert judge(INF, mpmath.mpf(torch.finfo(dtype).max), dtype) is Verdict.OVERFLOW
    assert judge(-INF, mpmath.inf, dtype) is Verdict.OVERFLOW


def test_underflow(dtype):
    assert judge(0.0, mpmath.mpf(1e-3), dtype) is Verdict.UNDERFLOW
    assert judge(0.0, mpmath.mpf(2 * smallest(dtype)), dtype) is Verdict.UNDERFLOW
    assert judge(0.0, mpmath.mpf(0.6 * smallest(dtype)), dtype) is Verdict.RIGHT


def test_cancellation(dtype):
    assert judge(1.5, mpmath.mpf(1), dtype) is Verdict.CANCELLATION
    assert judge(1e-3, mpmath.mpf(0), dtype) is Verdict.CANCELLATION
    assert judge(1.0, mpmath.mpf(10) ** 400, dtype) is Verdict.CANCELLATION


def test_clamped(dtype):
    assert judge(100.0, mpmath.inf, dtype) is Verdict.CLAMPED
    assert judge(100.0, mpmath.mpf(200), dtype, bound=100.0) is Verdict.CLAMPED
    assert judge(100.0, mpmath.mpf(200), dtype) is Verdict.CANCELLATION
    assert judge(100.0, mpmath.mpf(100), dtype, bound=100.0) is Verdict.RIGHT


def test_a_gradient_is_as_good_as_its_worst_entry(dtype):
    one, zero = mpmath.mpf(1), mpmath.mpf(0)
    assert judge_gradient([1.0, 0.0], [one, zero], dtype) is Verdict.RIGHT
    assert judge_gradient([1.0, 0.5], [one, one], dtype) is Verdict.WRONG_GRADIENT
    assert judge_gradient([1.0, 0.0], [one, one], dtype) is Verdict.UNDERFLOW
    assert judge_gradient([0.0, 0.5], [one, one], dtype) is Verdict.WRONG_GRADIENT
    assert judge_gradient([INF, 0.5], [one, one], dtype) is Verdict.OVERFLOW
    assert judge_gradient([INF, NAN], [one, one], dtype) is Verdict.NAN
    assert judge_gradient([1e12], [mpmath.inf], dtype) is Verdict.CLAMPED
    with pytest.raises(ValueError, match="zip"):
        judge_gradient([1.0], [one, one], dtype)


def test_an_error_is_counted_in_units_of_the_last_place(dtype):
    eps = torch.finfo(dtype).eps
    assert error_in_ulps(1.0, mpmath.mpf(1), dtype) == 0
    assert error_in_ulps(1 + 3 * eps, mpmath.mpf(1), dtype) == 3
    assert error_in_ulps(NAN, mpmath.mpf(1), dtype) == INF
    assert error_in_ulps(INF, mpmath.mpf(1), dtype) == INF


def test_nothing_is_judged_by_a_truth_that_is_nan(dtype):
    with pytest.raises(ValueError, match="truth is nan"):
        judge(1.0, mpmath.nan, dtype)


def test_every_verdict_has_its_place():
    assert set(SEVERITY) == set(Verdict)
    assert len(SEVERITY) == len(Verdict)
