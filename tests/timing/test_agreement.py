"""Our times are those of ``torch.utils.benchmark`` and, on a GPU, of ``triton.testing.do_bench``, to 5 %."""

import statistics

import pytest
import torch
from torch.utils import benchmark

from lossbook.timing import clocks, measure

pytestmark = pytest.mark.wall_clock
TOLERANCE = 0.05


def agree(ours, theirs, tries=6, pairs=7):
    """Whether two ways to time agree to 5 %, measured in turns, so that both meet the same machine.

    Other programs may spoil a try, but they do not make a wrong clock agree: what is compared is the median of ratios
    of neighbours, and one try that agrees is enough.
    """
    ratios = []
    for _ in range(tries):
        ratios.append(statistics.median(ours() / theirs() for _ in range(pairs)))
        if abs(ratios[-1] - 1) <= TOLERANCE:
            return True
    print(ratios)
    return False


# One thread works on so few numbers: a second one would wait for its turn on a busy machine.
X = torch.rand(20_000)


def ours():
    return measure(torch.exp, X, budget=0.06, work=False).median


def theirs():
    timer = benchmark.Timer("exp(x)", globals={"exp": torch.exp, "x": X}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=0.02).median


def test_it_agrees_with_pytorchs_benchmark():
    assert agree(ours, theirs)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_clock_that_is_wrong_does_not_agree(monkeypatch, factor):
    right = clocks.HostClock.blocks
    monkeypatch.setattr(clocks.HostClock, "blocks", lambda *args: [factor * t for t in right(*args)])
    assert not agree(ours, theirs, tries=1, pairs=5)


def test_a_clock_that_counts_the_queueing_alone_does_not_agree():
    """The commonest mistake: the time in which work is handed over, for the time in which it is done."""
    assert not agree(lambda: measure(lambda: X, budget=0.06, work=False).median, theirs, tries=1, pairs=5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="do_bench measures GPUs, and this machine has none")
@pytest.mark.parametrize("n", [2**20, 2**26])
def test_it_agrees_with_tritons_benchmark(n):
    testing = pytest.importorskip("triton.testing", reason="triton is not installed")
    x = torch.rand(n, device="cuda")

    def triton_seconds():
        return testing.do_bench(lambda: torch.exp(x), return_mode="median") / 1e3

    assert agree(lambda: measure(torch.exp, x, device="cuda", cache="cold", work=False).median, triton_seconds)
