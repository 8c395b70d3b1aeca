"""The sums are Python's to the bit, exact where they should be, within their bounds, and refuse what is no sum."""

import itertools
import math
import re
from fractions import Fraction

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbook.losses import compensated_sum, pairwise_sum, sequential_sum, sum_error_bound, unit_roundoff
from lossbook.timing import devices

SUMS = (sequential_sum, pairwise_sum, compensated_sum)
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
LAW = settings(deadline=None, max_examples=40, derandomize=True)
# Whole multiples of powers of two: in every dtype some sums are exact, some cancel and some swamp others.
TERMS = st.lists(st.builds(math.ldexp, st.integers(-255, 255), st.integers(-12, 0)), max_size=40)


def exact(x):
    """Return the sum of a tensor's numbers, and of their absolute values, without any rounding."""
    numbers = [Fraction(number) for number in x.double().tolist()]
    return sum(numbers, Fraction(0)), sum(map(abs, numbers), Fraction(0))


def error(sum_, x, *options):
    return abs(Fraction(sum_(x, *options).item()) - exact(x)[0])


def adversarial(dtype, n):
    """Return terms that hurt: one large and many lost, growing, falling, cancelling, and each at a rounding tie."""
    u = unit_roundoff(dtype)
    large = torch.cat([torch.ones(1), torch.full((n - 1,), u)])
    index = torch.arange(1, n + 1).double()
    return [
        x.to(dtype)
        for x in (
            large.double(),
            large.double().flip(0),
            torch.cat([large, -large]).double(),
            1 / index,
            index / n,
            (-1) ** index * index / n,
            torch.full((n,), 1 + 2 * u, dtype=torch.float64),
            torch.full((n,), 0.1, dtype=torch.float64),
        )
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_error_beyond_its_bound_on_terms_that_hurt(dtype):
    for n in (2, 3, 17, 64, 100):
        for x in adversarial(dtype, n):
            of_all, N = exact(x)[1], len(x)
            assert error(sequential_sum, x) <= Fraction(sum_error_bound(N, dtype, "sequential")) * of_all
            for block in (1, 2, 7, 128):
                bound = sum_error_bound(N, dtype, "pairwise", block)
                assert bound == math.inf or error(pairwise_sum, x, block) <= Fraction(bound) * of_all


@LAW
@given(TERMS, st.sampled_from(DTYPES), st.integers(1, 9))
def test_no_error_beyond_its_bound(terms, dtype, block):
    x = torch.tensor(terms, dtype=torch.float64).to(dtype)
    of_all = exact(x)[1]
    assert error(sequential_sum, x) <= Fraction(sum_error_bound(len(x), dtype, "sequential")) * of_all
    assert error(pairwise_sum, x) <= Fraction(sum_error_bound(len(x), dtype, "pairwise")) * of_all
    assert error(pairwise_sum, x, block) <= Fraction(sum_error_bound(len(x), dtype, "pairwise", block)) * of_all


@LAW
@given(TERMS, st.sampled_from(DTYPES))
def test_a_compensated_sum_is_rounded_as_if_once(terms, dtype):
    x = torch.tensor(terms, dtype=torch.float64).to(dtype)
    (whole, of_all), u = exact(x), Fraction(unit_roundoff(dtype))
    gamma = Fraction(sum_error_bound(len(x), dtype, "sequential"))
    assert error(compensated_sum, x) <= u * abs(whole) + gamma**2 * of_all  # Ogita, Rump & Oishi (2005)


@LAW
@given(TERMS, st.sampled_from(DTYPES))
def test_sequential_is_pythons_sum_to_the_bit(terms, dtype):
    x = torch.tensor([*terms, 0.1], dtype=torch.float64).to(dtype)
    assert sequential_sum(x).dtype == dtype
    assert torch.equal(sequential_sum(x), sum(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_sequential_block_is_the_sequential_sum(dtype):
    torch.manual_seed(0)
    for n in (1, 2, 9, 50):
        x = torch.randn(n).to(dtype)
        for block in (n, n + 1, 10**9):
            assert torch.equal(pairwise_sum(x, block), sequential_sum(x))


def in_pairs(numbers, dtype):
    """Add neighbours by hand, one addition at a time; what has no neighbour waits."""
    while len(numbers) > 1:
        pairs = [numbers[i : i + 2] for i in range(0, len(numbers), 2)]
        numbers = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
    return numbers[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_pairwise_is_a_tree_of_additions(dtype):
    torch.manual_seed(1)
    for n in (1, 2, 3, 5, 8, 13, 33):
        x = torch.randn(n).to(dtype)
        assert torch.equal(pairwise_sum(x), in_pairs(list(x), dtype))
        blocks = [sequential_sum(part) for part in x.split(4)]
        assert torch.equal(pairwise_sum(x, 4), in_pairs(blocks, dtype))


def test_whole_numbers_are_added_without_error():
    x = torch.arange(-40, 100)
    for dtype, sum_ in itertools.product(DTYPES[:3], SUMS):
        assert sum_(x.to(dtype)[::5]).item() == x[::5].sum().item()
    assert pairwise_sum(torch.ones(100_001)).item() == 100_001


def test_against_many_digits():
    torch.manual_seed(2)
    x = torch.randn(300, dtype=torch.float64).exp()
    with mpmath.workdps(60):
        truth = mpmath.fsum(mpmath.mpf(number) for number in x.tolist())
        assert compensated_sum(x).item() == float(truth)
        for sum_, method in ((sequential_sum, "sequential"), (pairwise_sum, "pairwise")):
            assert abs(sum_(x).item() - truth) <= sum_error_bound(300, x.dtype, method) * truth


def test_what_each_is_for():
    tenth = torch.full((4096,), 0.1, dtype=torch.float16)
    truth = exact(tenth)[0]
    assert sequential_sum(tenth) == 256  # 256 + 0.1 rounds to 256: the total stands still
    assert abs(pairwise_sum(tenth) - float(truth)) < 0.25
    wide = torch.full((4096,), 0.1)
    nearest = torch.tensor(float(exact(wide)[0]))
    assert compensated_sum(wide) == nearest != sequential_sum(wide)
    for dtype in DTYPES:
        big = 4 / unit_roundoff(dtype) if dtype != torch.float16 else 8192.0
        x = torch.tensor([1.0, big, 1.0, -big]).to(dtype)
        assert (sequential_sum(x).item(), compensated_sum(x).item()) == (0, 2)


@pytest.mark.parametrize("device", devices())
def test_nothing_one_thing_and_no_number(device):
    for dtype, sum_ in itertools.product(DTYPES, SUMS):
        empty = sum_(torch.zeros(0, dtype=dtype, device=device))
        assert (empty.item(), empty.shape, empty.dtype, empty.device.type) == (0, (), dtype, device.type)
        one = torch.tensor([0.1], dtype=dtype, device=device)
        assert torch.equal(sum_(one), one[0])
        for terms, truth in (([math.inf, 1.0], math.inf), ([1.0, -math.inf, 2.0], -math.inf), ([3e38] * 3, math.inf)):
            if dtype != torch.float64 or max(terms) != 3e38:
                assert sum_(torch.tensor(terms, device=device).to(dtype)).item() == truth
        for terms in ([math.nan, 1.0], [math.inf, -math.inf]):
            assert math.isnan(sum_(torch.tensor(terms, dtype=dtype, device=device)).item())


def test_every_term_has_gradient_one():
    for sum_ in SUMS:
        x = torch.randn(7, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(sum_(x), x)
        torch.testing.assert_close(gradient, torch.ones_like(x))


def test_unit_roundoff_is_where_one_plus_it_is_one():
    for dtype, bits in zip(DTYPES, (53, 24, 11, 8), strict=True):
        u = unit_roundoff(dtype)
        assert u == 2.0**-bits
        one = torch.ones((), dtype=dtype)
        assert one + u == one
        assert one + 2 * u > one
        assert one + u * (1 + 2**-6) > one or dtype == torch.bfloat16


def test_bounds():
    u = 2.0**-24
    assert sum_error_bound(0, torch.float32, "sequential") == sum_error_bound(1, torch.float32, "pairwise") == 0
    assert sum_error_bound(4, torch.float32, "sequential") == 3 * u / (1 - 3 * u)
    for n, depth in ((2, 1), (3, 2), (4, 2), (5, 3), (1024, 10), (1025, 11)):
        assert sum_error_bound(n, torch.float32, "pairwise") == depth * u / (1 - depth * u)
    assert sum_error_bound(1000, torch.float32, "pairwise", 128) == 130 * u / (1 - 130 * u)
    assert sum_error_bound(256, torch.bfloat16, "sequential") < math.inf
    assert sum_error_bound(257, torch.bfloat16, "sequential") == math.inf


@pytest.mark.parametrize("sum_", SUMS)
def test_refuses_what_is_no_sum(sum_):
    with pytest.raises(TypeError, match=r"x is a list; it must be a Tensor"):
        sum_([1.0, 2.0])
    for shape in ((), (2, 3)):
        with pytest.raises(ValueError, match=re.escape(f"x has shape {shape}; it must be one-dimensional")):
            sum_(torch.zeros(shape))
    for dtype in (torch.int64, torch.bool, torch.complex64):
        with pytest.raises(NotImplementedError, match=f"x has dtype {dtype}; it must be a floating-point dtype"):
            sum_(torch.zeros(3).to(dtype))


def test_refuses_other_arguments():
    for block in (0, -1):
        with pytest.raises(ValueError, match=f"block is {block}; it must be at least 1"):
            pairwise_sum(torch.ones(3), block)
        with pytest.raises(ValueError, match=f"block is {block}; it must be at least 1"):
            sum_error_bound(3, torch.float32, "pairwise", block)
    for block in (2.0, True, None):
        with pytest.raises(TypeError, match=r"block is a .*; it must be an int"):
            pairwise_sum(torch.ones(3), block)
    with pytest.raises(ValueError, match="n is -1; it must be at least 0"):
        sum_error_bound(-1, torch.float32, "sequential")
    with pytest.raises(TypeError, match="n is a float; it must be an int"):
        sum_error_bound(3.0, torch.float32, "sequential")
    with pytest.raises(ValueError, match="method is 'kahan'; it must be one of 'sequential', 'pairwise'"):
        sum_error_bound(3, torch.float32, "kahan")
    for dtype in (torch.int64, "float32", None):
        with pytest.raises(TypeError, match=r"dtype is .*; it must be a floating-point torch\.dtype"):
            unit_roundoff(dtype)
