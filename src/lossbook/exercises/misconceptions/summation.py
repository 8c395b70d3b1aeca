"""What people really write wrong in lesson 07: from Python's sum to the speed of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lossbook.checks.bounds import for_each_sample
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, exact_sum_for_pythons
from lossbook.checks.exercise import Misconception as Wrong


def _ledger(n: int, itemsize: int, way: str, **changes: tuple[int, int]) -> list[int]:
    """Return the additions and bytes of a way, with other additions and numbers where ``changes`` has them."""
    rounds = round(math.log2(n))
    right = {"python": (n, 3 * n - 1), "pairs": (rounds, 3 * (n - 1)), "torch": (1, n + 1)}
    operations, numbers = (right | changes)[way]
    return [operations, itemsize * numbers]


def _roof(dispatches: int, moved: float, work: float, launch: float, bandwidth: float, peak: float) -> list[float]:
    """Return the seconds of launching, of moving and of computing."""
    return [dispatches * launch, moved / bandwidth, work / peak]


def _clock(
    busy: float,
    queue: float,
    kernels: Sequence[float],
    wait_before: bool,
    wait_after: bool,
    *,
    late: bool = False,
    early: bool = False,
) -> float:
    """Read the clock on a device that starts only when all is queued (late), or as if queued at once (early)."""
    host, device = 0.0, busy
    start = host = device if wait_before else host
    if late:
        device = max(device, host + queue * len(kernels))
    for seconds in kernels:
        host += queue
        device = (device if late or early else max(device, host)) + seconds
    return (max(host, device) if wait_after else host) - start


def _rows(x: Tensor, lanes: int) -> Tensor:
    return torch.cat([x, x.new_zeros(-len(x) % lanes)]).view(-1, lanes)


def _running(x: Tensor) -> Tensor:
    """Add up along the first dimension, one after the other, in the dtype of x."""
    total = torch.zeros_like(x[0])
    for term in x:
        total = total + term
    return total


def _halves(x: Tensor) -> Tensor:
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


def _lane_by_lane(x: Tensor, lanes: int) -> Tensor:
    totals = [_running(x[lane::lanes]) if lane < len(x) else x.new_zeros(()) for lane in range(lanes)]
    return _halves(torch.stack(totals))


def _compensated(x: Tensor, larger: str, at_the_end: str = "added") -> Tensor:
    """Add up with what was lost kept apart; with something wrong in which is the larger, or at the end."""
    total, lost = x.new_zeros(()), x.new_zeros(())
    for term in x:
        new = total + term
        first = {"total": True, "term": False, "signed": bool(total >= term), "size": bool(total.abs() >= term.abs())}
        big, small = (total, term) if first[larger] else (term, total)
        lost = lost + ((big - new) + small)
        total = new
    return {"added": total + lost, "taken away": total - lost, "forgotten": total, "alone": lost}[at_the_end]


def _kahan(x: Tensor) -> Tensor:
    total, lost = x.new_zeros(()), x.new_zeros(())
    for term in x:
        term = term - lost
        new = total + term
        lost = (new - total) - term
        total = new
    return total


def _limit(roundings: float, unit: float) -> float:
    each = roundings * unit
    return _formula(each) if each < 1 else math.inf


def _formula(each: float) -> float:
    return each / (1 - each) if each != 1 else math.inf


def _depth(n: int, lanes: int) -> float:
    return math.ceil(n / lanes) - 1 + math.log2(lanes)


def _unit(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps / 2


SORTS = frozenset(["sort", "argsort", "msort", "topk"])

MISCONCEPTIONS: dict[str, tuple[Wrong, ...]] = {
    "sum_ledger": (
        Wrong(
            "each number read once, whatever the way",
            lambda n, itemsize, way: _ledger(n, itemsize, way, python=(n, n + 1), pairs=(round(math.log2(n)), n + 1)),
            "Only the last of the three reads each number once. The others write totals, and read them back.",
        ),
        Wrong(
            "numbers for bytes",
            lambda n, itemsize, way: _ledger(n, 1, way),
            "You count numbers, and each of them is `itemsize` bytes.",
        ),
        Wrong(
            "one addition fewer in Python's sum",
            lambda n, itemsize, way: _ledger(n, itemsize, way, python=(n - 1, 3 * (n - 1))),
            "Python's `sum` begins with 0: the first number is added to it, and that is dispatched as well.",
        ),
        Wrong(
            "a dispatch for every pair",
            lambda n, itemsize, way: _ledger(n, itemsize, way, pairs=(n - 1, 3 * (n - 1))),
            "`x[0::2] + x[1::2]` adds all pairs of a round in one operation. How many rounds are there?",
        ),
        Wrong(
            "the totals not counted as written",
            lambda n, itemsize, way: _ledger(
                n, itemsize, way, python=(n, 2 * n - 1), pairs=(round(math.log2(n)), 2 * (n - 1)), torch=(1, n)
            ),
            "You count what is read. Each addition also writes its result to memory.",
        ),
        Wrong(
            "only the first round of pairs",
            lambda n, itemsize, way: _ledger(n, itemsize, way, pairs=(round(math.log2(n)), n + n // 2)),
            "After the first round n / 2 numbers are left, and the next round moves these. Add up all rounds.",
        ),
        Wrong(
            "Python's 0 counted as a number of the tensor",
            lambda n, itemsize, way: _ledger(n, itemsize, way, python=(n, 3 * n)),
            "The 0 at the start is Python's own number: no tensor is read for it.",
        ),
    ),
    "least_seconds": (
        Wrong(
            "moving and computing one after the other",
            lambda *given: sum(_roof(*given)),
            "While some numbers are added the next ones arrive: the two go on at once. Which of them ends last?",
        ),
        Wrong(
            "the shorter of the two",
            lambda *given: _roof(*given)[0] + min(_roof(*given)[1:]),
            "The call is over when both are done, and that is when the slower one is.",
        ),
        Wrong(
            "one launch, however many dispatches",
            lambda *given: given[3] + max(_roof(*given)[1:]),
            "Each dispatch is launched, and each launch takes its time.",
        ),
        Wrong("the launches forgotten", lambda *given: max(_roof(*given)[1:]), "An empty call takes time as well."),
        Wrong(
            "the launches hidden behind the work",
            lambda *given: max(_roof(*given)),
            "Nothing is moved before the call is launched: that time comes first, and is added.",
        ),
        Wrong(
            "the arithmetic forgotten",
            lambda *given: sum(_roof(*given)[:2]),
            "With many operations on few bytes it is the arithmetic that takes the time: give it its place.",
        ),
        Wrong(
            "rates for times",
            lambda dispatches, moved, work, launch, bandwidth, peak: (
                dispatches * launch + max(moved * bandwidth, work * peak)
            ),
            "A faster memory must make it shorter. Seconds are bytes over bytes per second.",
        ),
    ),
    "bytes_for_share": (
        Wrong(
            "half speed, whatever the share",
            lambda share, launch, bandwidth: launch * bandwidth,
            "That is where the launch takes as long as the bytes. For a larger share the bytes must take longer.",
        ),
        Wrong(
            "the share of what half speed needs",
            lambda share, launch, bandwidth: share * launch * bandwidth,
            "Full speed would then be had at a finite size. With the launch in every call, it is never reached.",
        ),
        Wrong(
            "the share of the time that the launch takes",
            lambda share, launch, bandwidth: (1 - share) / share * launch * bandwidth if share else 0.0,
            "Yours falls as the share grows. The share is the part of the time in which bytes are moved.",
        ),
        Wrong(
            "the launch left out of the whole",
            lambda share, launch, bandwidth: launch * bandwidth / (1 - share),
            "At share 0 yours asks for bytes: you have the whole time, launch included. Multiply by the right part.",
        ),
        Wrong(
            "seconds for bytes",
            lambda share, launch, bandwidth: share / (1 - share) * launch,
            "That is how long the bytes take. How many are moved in that time?",
        ),
        Wrong(
            "divided by the bandwidth",
            lambda share, launch, bandwidth: share / (1 - share) * launch / bandwidth,
            "A faster memory has moved more while the launch goes on: it needs more bytes, not fewer.",
        ),
    ),
    "clock_reading": (
        Wrong(
            "the device never waited for",
            lambda busy, queue, kernels, before, after: queue * len(kernels),
            "Yours is the time to queue. Where `wait_after` is true, the host stops until the device is idle.",
        ),
        Wrong(
            "always waited for",
            lambda busy, queue, kernels, before, after: _clock(busy, queue, kernels, before, True),
            "Where `wait_after` is false, the clock is read as soon as the last kernel is queued.",
        ),
        Wrong(
            "earlier work forgotten",
            lambda busy, queue, kernels, before, after: _clock(0.0, queue, kernels, before, after),
            "Where nobody waits at first, the device does its earlier work before the new one, and the clock runs.",
        ),
        Wrong(
            "the clock started before the wait",
            lambda busy, queue, kernels, before, after: _clock(busy, queue, kernels, before, after) + before * busy,
            "The first reading comes after the wait: the time of waiting is not part of it.",
        ),
        Wrong(
            "the device starts when all is queued",
            lambda *given: _clock(*given, late=True),
            "The first kernel starts as soon as it is queued, while the host goes on to queue the next.",
        ),
        Wrong(
            "kernels one after the other without a gap",
            lambda *given: _clock(*given, early=True),
            "Where the kernels are short, the device is idle until the host has queued the next one.",
        ),
        Wrong(
            "queueing and running one after the other",
            lambda busy, queue, kernels, before, after: (
                queue * len(kernels) + (sum(kernels) + (0 if before else busy)) * after
            ),
            "The two overlap: while a kernel runs, the host queues the next ones.",
        ),
    ),
    "lanes_sum": (
        Wrong(
            "one running total",
            lambda x, lanes: _running(x),
            "One total grows until the next term no longer changes it: keep as many totals as there are lanes.",
        ),
        Wrong(
            "the lanes' totals added one after the other",
            lambda x, lanes: _running(_running(_rows(x, lanes))),
            "The lanes are right. Added one by one, their totals go through as many roundings as there are lanes.",
        ),
        Wrong(
            "the last row dropped where it is not full",
            lambda x, lanes: _halves(_running(_rows(x[: len(x) // lanes * lanes], lanes)) if len(x) >= lanes else x),
            "Where `lanes` does not divide the length, the last numbers are left out: fill up with zeros.",
        ),
        Wrong(
            "zeros not filled up",
            lambda x, lanes: _halves(_running(x.view(-1, lanes))),
            "Where `lanes` does not divide the length, there is no such shape: fill up with zeros first.",
        ),
        Wrong(
            "the lanes not added up",
            lambda x, lanes: _running(_rows(x, lanes)),
            "These are the totals of the lanes. One number is wanted: halve them until one is left.",
        ),
        Wrong(
            "one number at a time",
            _lane_by_lane,
            "The number is right, and it takes an operation for each element: add to all lanes at once, row by row.",
        ),
        Wrong(
            "averaged over the lanes",
            lambda x, lanes: _halves(_running(_rows(x, lanes))) / lanes,
            "You divide by the number of lanes: only add.",
        ),
    ),
    "compensated_sum_loop": (
        Wrong(
            "a running total alone",
            _running,
            "What each addition loses is lost for good: collect it in a second variable, and add that at the end.",
            calls=frozenset(["add"]),
            never=frozenset(["sub", "rsub", *SORTS]),
        ),
        Wrong(
            "what was lost computed, and lost again",
            lambda x: _compensated(x, "size", "forgotten"),
            "The result is that of a running total, though you compute what each addition loses. Is every loss added "
            "to those before it (`+=`, not `=`), and their sum to the total at the end?",
            calls=frozenset(["sub", "rsub"]),
            never=SORTS,
        ),
        Wrong(
            "the numbers sorted first",
            lambda x: _running(x[x.abs().argsort()]),
            "Sorting only changes which digits are lost. Take the numbers as they come, and keep what is lost.",
            calls=SORTS,
        ),
        Wrong(
            "the total taken for the larger one",
            lambda x: _compensated(x, "total"),
            "A term may be larger than the total, and then it is the total that loses digits. Ask which is larger.",
        ),
        Wrong(
            "the term taken for the larger one",
            lambda x: _compensated(x, "term"),
            "Mostly the total is the larger one, and it is the term that loses digits. Ask which is larger.",
        ),
        Wrong(
            "compared by sign and not by size",
            lambda x: _compensated(x, "signed"),
            "A large negative number loses nothing either: compare what `abs` gives.",
        ),
        Wrong(
            "what was lost taken away",
            lambda x: _compensated(x, "size", "taken away"),
            "What was lost has the sign with which it is missing: look again at the last line.",
        ),
        Wrong(
            "what was lost handed on to the next term",
            _kahan,
            "That is Kahan's sum: it holds as long as no term is larger than the total. Keep the loss apart instead.",
            calls=frozenset(["sub", "rsub"]),
        ),
        Wrong(
            "what was lost and nothing else",
            lambda x: _compensated(x, "size", "alone"),
            "That is the correction. Return the total with the correction added.",
        ),
        Wrong(
            "all in float64",
            lambda x: _running(x.double()),
            "A wider format moves the trouble and does not end it: 1e30 + 1 is 1e30 in float64 too.",
        ),
    ),
    "sum_error_limit": (
        Wrong(
            "one running total, whatever the lanes",
            lambda n, lanes, dtype: _limit(n - 1, _unit(dtype)),
            "With more lanes a number goes through fewer roundings. How many numbers are in a lane?",
        ),
        Wrong(
            "the lanes' totals added one after the other",
            lambda n, lanes, dtype: _limit(math.ceil(n / lanes) - 1 + lanes - 1, _unit(dtype)),
            "The totals are added in halves: how often can you halve `lanes` until one is left?",
        ),
        Wrong(
            "the halving forgotten",
            lambda n, lanes, dtype: _limit(math.ceil(n / lanes) - 1, _unit(dtype)),
            "That is what a number goes through in its lane. Then the lanes are added up.",
        ),
        Wrong(
            "the whole gap for half of it",
            lambda n, lanes, dtype: _limit(_depth(n, lanes), 2 * _unit(dtype)),
            "`eps` is the gap between neighbours. The nearest of two neighbours is never further than half of that.",
        ),
        Wrong(
            "one rounding more",
            lambda n, lanes, dtype: _limit(_depth(n, lanes) + 1, _unit(dtype)),
            "One number alone is not rounded at all: adding to zero is exact.",
        ),
        Wrong(
            "the first order alone",
            lambda n, lanes, dtype: _depth(n, lanes) * _unit(dtype),
            "Roundings of rounded numbers multiply up: the bound has k u below the line too.",
        ),
        Wrong(
            "below zero where nothing can be promised",
            lambda n, lanes, dtype: _formula(_depth(n, lanes) * _unit(dtype)),
            "Where k u is 1 or more, the formula divides by nothing or turns negative: the limit is infinite there.",
        ),
    ),
    "summation_python_sum": (
        Wrong(
            "torch.sum for Python's sum",
            lambda x: torch.sum(x),
            "The number is right. This one is the slow way, on purpose: let Python's `sum` walk over the elements.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda x: math.fsum(x.tolist())),
        Wrong("divided by the number of elements", lambda x: sum(x) / len(x), "That is the mean: only add."),
        Wrong(
            "the first element left out",
            lambda x: sum(x[1:]),
            "Python counts from 0: `x[1:]` begins at the second element.",
        ),
        Wrong(
            "the last element left out",
            lambda x: sum(x[:-1]),
            "A range ends before its last number: `range(n - 1)` leaves one out.",
        ),
        Wrong(
            "the first element alone",
            lambda x: x[0] + 0,
            "A `return` inside the loop ends it after one turn: move it out to the left.",
        ),
        Wrong("the number of elements", lambda x: sum(1 for _ in x), "You add 1 for each element: add the element."),
    ),
    "summation_torch_sum": (
        Wrong(
            "Python's sum for torch.sum",
            lambda x: sum(x),
            "The number is right, and it is added up one element at a time: name the `sum` that is PyTorch's.",
            **BY_PYTHON,
        ),
        Wrong("the mean in place of the sum", lambda x: x.mean(), "You divide by the number of elements: only add."),
        Wrong(
            "a sum that keeps its dimension",
            lambda x: torch.sum(x, 0, keepdim=True),
            "The result is one number, of shape (): sum without `keepdim`.",
        ),
        Wrong(
            "all running totals",
            lambda x: torch.cumsum(x, 0),
            "`cumsum` gives the total after each element. One number is wanted: the last of them.",
        ),
        Wrong(
            "sizes in place of numbers",
            lambda x: x.abs().sum(),
            "Negative numbers count as negative: leave `abs` out.",
        ),
    ),
    "predict_summation_seconds": (
        for_each_sample(
            12,
            "the running totals counted as read and written",
            "Python's `sum` moves them all. Must they go to memory? A program may keep its total in a register.",
        ),
    ),
}
