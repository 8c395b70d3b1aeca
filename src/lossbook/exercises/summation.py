"""The exercises of lesson 07: from Python's sum to the speed of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import ADDING, RACED, Case, Curve, Exercise, Work, integers, normal, uniform
from lossbook.exercises.misconceptions.summation import MISCONCEPTIONS

MICRO = 1e-6  # seconds


def ledger(n: int, itemsize: int, way: str) -> list[int]:
    """Return the additions dispatched and the bytes that they move, for one way to add up n numbers."""
    if way == "python":
        return [n, itemsize * (3 * n - 1)]
    if way == "pairs":
        return [round(math.log2(n)), itemsize * 3 * (n - 1)]
    return [1, itemsize * (n + 1)]


def ledger_cases(generator: Generator) -> Sequence[Case]:
    """Draw sizes, formats and ways."""
    large = 2 ** (10 + int(integers(generator, 15)))
    return [
        Case((4, 4, "python"), note="four additions, the first to Python's 0"),
        Case((4, 4, "pairs"), note="4 numbers → 2 → 1: two additions of whole tensors"),
        Case((4, 4, "torch"), note="four numbers read, one written"),
        Case((1, 4, "python"), note="one number is added to 0"),
        Case((1, 2, "pairs"), note="one number has no partner: nothing to do"),
        Case((1, 2, "torch"), note="one read, one written"),
        Case((1024, 2, "pairs"), note="numbers of two bytes"),
        *(Case((large, 4, way), note="a random power of two") for way in ("python", "pairs", "torch")),
    ]


def roof(dispatches: int, bytes_moved: float, operations: float, launch: float, bandwidth: float, peak: float) -> float:
    """Return the least seconds: every launch, and the longer of moving and computing."""
    return dispatches * launch + max(bytes_moved / bandwidth, operations / peak)


def roof_cases(generator: Generator) -> Sequence[Case]:
    """Draw work and machines."""
    some = (1 + uniform(generator, 4)).tolist()
    return [
        Case((1, 8e6, 1e6, 2 * MICRO, 8e9, 1e12), note="8 MB at 8 GB/s, and one launch"),
        Case((1, 8e6, 4e9, 2 * MICRO, 8e9, 1e12), note="so many operations that the arithmetic takes longer"),
        Case((1, 0, 0, 5 * MICRO, 8e9, 1e12), note="an empty call is launched too"),
        Case((100, 8e6, 1e6, 2 * MICRO, 8e9, 1e12), note="a hundred calls: each is launched"),
        Case((3, 4e8, 2e11, 0.0, 1e11, 2e13), note="a launch that costs nothing"),
        Case((7, some[0] * 1e7, 1e6, some[1] * MICRO, some[2] * 1e10, some[3] * 1e12), note="random, bytes decide"),
        Case((7, 1e4, some[0] * 1e9, some[1] * MICRO, some[2] * 1e10, some[3] * 1e12), note="random, arithmetic does"),
    ]


def bytes_at(share: float, launch: float, bandwidth: float) -> float:
    """Return the bytes of a call that reaches a share of the bandwidth."""
    return share / (1 - share) * launch * bandwidth


def share_cases(generator: Generator) -> Sequence[Case]:
    """Draw shares and machines."""
    some = uniform(generator, 3, low=0.1, high=0.95).tolist()
    return [
        Case((0.5, 2 * MICRO, 8e9), note="half speed: the launch takes as long as the bytes"),
        Case((0.9, 2 * MICRO, 8e9), note="nine tenths: the bytes take nine times as long as the launch"),
        Case((0.25, 5 * MICRO, 1e10), note="a quarter"),
        Case((0.0, 5 * MICRO, 1e10), note="no bytes, no share"),
        Case((0.9, 5 * MICRO, 3e12), note="a GPU: megabytes before it is worth the launch"),
        Case((some[0], (1 + some[1]) * MICRO, some[2] * 1e11), note="random"),
        Case((some[2], (1 + some[0]) * MICRO, some[1] * 1e12), note="random"),
    ]


def reading(busy: float, queue: float, kernels: Sequence[float], wait_before: bool, wait_after: bool) -> float:
    """Return what the clock shows between its two readings: the host queues, and the device follows in its time."""
    host, device = 0.0, busy
    if wait_before:
        host = device
    start = host
    for seconds in kernels:
        host += queue
        device = max(device, host) + seconds
    if wait_after:
        host = max(host, device)
    return host - start


def reading_cases(generator: Generator) -> Sequence[Case]:
    """Draw what the device still has to do, the time to queue, the kernels and the waits. All times in microseconds."""
    drawn = [round(value, 1) for value in uniform(generator, 6, low=1.0, high=30.0).tolist()]
    return [
        Case((0.0, 2.0, [50.0], False, False), note="no waiting: the clock sees the queueing alone"),
        Case((0.0, 2.0, [50.0], True, True), note="queued after 2, done after 52"),
        Case((40.0, 2.0, [50.0], False, True), note="the device is busy at first, and the clock counts that too"),
        Case((40.0, 2.0, [50.0], True, True), note="the same, waited for before the first reading"),
        Case((40.0, 2.0, [50.0], True, False), note="waited for before, and not after"),
        Case((0.0, 10.0, [3.0, 3.0, 3.0], True, True), note="short kernels: the device waits for the host"),
        Case((0.0, 2.0, [10.0, 1.0, 1.0], True, True), note="queued meanwhile: the later ones start at once"),
        Case((0.0, 4.0, [1.0, 1.0, 20.0], True, True), note="gaps first, and then a long one"),
        Case((5.0, 4.0, [6.0, 3.0], False, True), note="busy until 5, while the first is queued until 4"),
        Case((30.0, 2.0, [], False, True), note="nothing queued: only earlier work to wait for"),
        Case((drawn[0], 3.0, drawn[1:4], False, True), note="random"),
        Case((drawn[1], drawn[4], drawn[1:], True, True), note="random"),
        Case((drawn[2], drawn[5], drawn[:3], True, False), note="random"),
        Case((drawn[3], 12.0, drawn[2:], False, True), note="random, with gaps"),
    ]


def in_lanes(x: Tensor, lanes: int) -> Tensor:
    """Return the sum of x: a running total in each lane, then the lanes' totals in halves, all in the dtype of x."""
    padded = torch.cat([x, x.new_zeros(-len(x) % lanes)])
    totals = x.new_zeros(lanes)
    for row in padded.view(-1, lanes):
        totals = totals + row
    while len(totals) > 1:
        totals = totals[: len(totals) // 2] + totals[len(totals) // 2 :]
    return totals[0]


def grown(start: float, lanes: int, n: int) -> Tensor:
    """Return, in bfloat16, a number for each lane and n ones: as if the lanes had been filled for a long time."""
    return torch.cat([torch.full((lanes,), start), torch.ones(n)]).to(torch.bfloat16)


def lane_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers to add, and numbers of lanes."""
    ones = torch.ones
    return [
        Case((tensor([1.0, 2.0, 3.0, 4.0]), 2), note="lanes 1 + 3 and 2 + 4, then 4 + 6"),
        Case((tensor([5.0, -2.0, 3.0]), 1), note="one lane: a running total"),
        Case((tensor([5.0, -2.0, 3.0]), 2), note="the second lane gets one number fewer"),
        Case((tensor([7.0, 3.0]), 8), note="more lanes than numbers"),
        Case((tensor([7.0]), 1), note="one number, one lane"),
        Case((grown(256.0, 1, 20), 1), note="in bfloat16 a running total stops at 256: 256 + 1 is 256"),
        Case((grown(255.0, 2, 20), 2), note="two lanes stop at 256 each"),
        Case((ones(1024, dtype=torch.bfloat16), 64), note="64 lanes: no total stops"),
        Case((ones(512, dtype=torch.bfloat16), 512), note="512 lanes: one by one, their totals would stop at 256"),
        Case((uniform(generator, 100), 8), note="random, the last row not full"),
        Case((normal(generator, 64), 16), note="random"),
    ]


def exact_sum(x: Tensor) -> Tensor:
    """Return the exact sum, rounded once, in the dtype of x."""
    return tensor(math.fsum(x.tolist()), dtype=x.dtype)


def wide_sum(x: Tensor) -> Tensor:
    """Return the sum, added up in float64, with its gradient."""
    return x.double().sum().to(x.dtype)


def compensated_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers whose small parts a running total loses."""
    return [
        Case((tensor([1.0, 2.0, 3.0]),), note="nothing is lost"),
        Case((tensor([7.0]),), note="one number"),
        Case((tensor([1e8, 1.0, -1e8]),), note="1e8 + 1 is 1e8 in float32: the 1 is lost"),
        Case((tensor([1.0, 1e30, 1.0, -1e30]),), note="the term is larger than the total, and float64 is no help"),
        Case((tensor([-1.0, -1e30, 3.0, 1e30]),), note="the same, with negative numbers: compare sizes, not signs"),
        Case((grown(1024.0, 1, 64),), note="in bfloat16 1024 + 1 is 1024, 64 times"),
        Case((grown(256.0, 1, 40),), note="and 256 + 1 is 256"),
        Case((1e6 * normal(generator, 1).repeat(2) * tensor([1.0, -1.0]) + tensor([0.0, 1e-3]),), note="random"),
        Case((torch.cat([tensor([2e30]), normal(generator, 10), tensor([-2e30])]),), note="random, between two giants"),
    ]


def lost_between_giants(generator: Generator, n: int) -> Case:
    """Draw n numbers, of which the first and the last cancel and swallow all between."""
    return Case((torch.cat([tensor([1e30]), uniform(generator, n - 2), tensor([-1e30])]),))


def limit_of_error(n: int, lanes: int, dtype: torch.dtype) -> float:
    """Return the bound on the error of a sum in lanes, relative to the sum of the terms' sizes."""
    roundings = math.ceil(n / lanes) - 1 + math.log2(lanes)
    each = roundings * torch.finfo(dtype).eps / 2
    return each / (1 - each) if each < 1 else math.inf


def limit_cases(generator: Generator) -> Sequence[Case]:
    """Draw counts, lanes and formats."""
    n = 100 + int(integers(generator, 900))
    lanes = 2 ** (1 + int(integers(generator, 5)))
    return [
        Case((2, 1, torch.float32), note="two numbers: one rounding"),
        Case((1, 1, torch.float32), note="one number: none"),
        Case((1024, 1, torch.float32), note="one running total: 1023 roundings"),
        Case((1024, 1024, torch.float32), note="halves of halves: ten roundings"),
        Case((1024, 32, torch.float16), note="31 in each lane, 5 over the lanes"),
        Case((1000, 64, torch.float16), note="the last row is not full"),
        Case((200, 1, torch.bfloat16), note="bfloat16: not far from no bound at all"),
        Case((257, 1, torch.bfloat16), note="256 roundings of 2^-8: nothing can be promised"),
        Case((10_000, 2, torch.bfloat16), note="nor here"),
        Case((n, lanes, torch.float32), note="random"),
        Case((n, lanes, torch.float16), note="random"),
    ]


def plain_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers to add."""
    return [
        Case((tensor([1.0, 2.0, 4.0]),), note="three numbers"),
        Case((tensor([7.0]),), note="one number"),
        Case((tensor([3.0, -5.0]),), note="a negative one"),
        Case((uniform(generator, 50),), note="random"),
        Case((1 + normal(generator, 200, scale=0.5),), note="200 of them"),
    ]


SPEED = Work(lambda generator, n: Case((uniform(generator, n),)), vectorised=True)
COUNTED_IN_PYTHON = Work(SPEED.case, vectorised=False)
SMALL = "Times are a few millionths of a second, and the usual 1e-6 would forgive them whatever they are."

EXERCISES = (
    Exercise(
        "summation.sum_ledger",
        2,
        ledger,
        ledger_cases,
        signature="(n, itemsize, way)",
        misconceptions=MISCONCEPTIONS["sum_ledger"],
        hints=(
            "Do it on paper for four numbers. Each addition reads two tensors and writes one. How many numbers does"
            " each tensor hold?",
            "Pairs: the round that begins with $m$ numbers reads $m$ and writes $m / 2$. The first begins with $n$, the"
            " last with 2, and $n + n/2 + \\dots + 2 = 2 (n - 1)$. Python: its first addition reads one number, because"
            " the 0 is Python's own.",
        ),
    ),
    Exercise(
        "summation.least_seconds",
        2,
        roof,
        roof_cases,
        signature="(dispatches, bytes_moved, operations, launch, bandwidth, peak)",
        atol=0.0,
        why=SMALL,
        misconceptions=MISCONCEPTIONS["least_seconds"],
        curve=Curve(
            tuple(10.0 * k for k in range(41)),
            lambda kilobytes: Case((1, 1000 * kilobytes, 1e6, 2 * MICRO, 1e10, 1e11)),
            "kilobytes moved, with a million operations",
            "seconds",
        ),
        hints=(
            "Bytes over bytes per second are seconds, and so are operations over operations per second. Which of the"
            " two counts when both go on at once?",
            "The longer of the two. The launches come before, one for each dispatch, and nothing else hides them.",
        ),
    ),
    Exercise(
        "summation.bytes_for_share",
        2,
        bytes_at,
        share_cases,
        signature="(share, launch, bandwidth)",
        misconceptions=MISCONCEPTIONS["bytes_for_share"],
        curve=Curve(
            tuple(0.03 * k for k in range(1, 32)),
            lambda share: Case((share, 2 * MICRO, 8e9)),
            "share of the bandwidth",
            "bytes",
        ),
        hints=(
            r"A call with $B$ bytes takes $L + B / \beta$ seconds, of which $B / \beta$ are spent moving. The share is"
            " the second over the first.",
            r"Solve $s = \frac{B / \beta}{L + B / \beta}$ for $B$: multiply by the denominator and collect $B$. At"
            r" $s = ½$ the two times are equal, and $B = L \beta$.",
        ),
    ),
    Exercise(
        "summation.clock_reading",
        3,
        reading,
        reading_cases,
        signature="(busy, queue, kernels, wait_before, wait_after)",
        misconceptions=MISCONCEPTIONS["clock_reading"],
        curve=Curve(
            tuple(0.5 * k for k in range(41)),
            lambda queue: Case((0.0, queue, [8.0, 8.0, 8.0, 8.0], True, True)),
            "microseconds to queue a kernel of 8, four times",
            "reading",
        ),
        hints=(
            "Keep two numbers: the time at which the host is, and the time at which the device will be idle. At first"
            " they are 0 and `busy`.",
            "A kernel starts when it has been queued *and* the device is idle: at the later of the two times.",
            "To wait is to move the host's time on to the device's, if that is later. The reading is the host's time at"
            " the end minus the host's time at the start.",
        ),
    ),
    Exercise(
        "summation.lanes_sum",
        3,
        in_lanes,
        lane_cases,
        signature="(x, lanes)",
        forbidden=ADDING,  # the lesson: +, slices and shapes alone add the numbers up
        no_slope="What a sum loses is the subject; nothing is trained through it.",
        misconceptions=MISCONCEPTIONS["lanes_sum"],
        work=Work(lambda generator, n: Case((uniform(generator, n), n // 4)), vectorised=True, sizes=(512, 2048)),
        curve=Curve(
            tuple(4.0 * k for k in range(1, 17)),
            lambda n: Case((grown(248.0, 4, int(n)), 4)),
            "ones in bfloat16, added to four lanes that hold 248",
            "sum",
        ),
        hints=(
            "Fill up with zeros until the length is a multiple of `lanes`; then `view(-1, lanes)` has a row for each"
            " step and a column for each lane.",
            "Start with `x.new_zeros(lanes)` and add one row after the other: each addition serves all lanes at once.",
            "While more than one total is left, add the first half of the totals to the second half.",
        ),
    ),
    Exercise(
        "summation.compensated_sum_loop",
        3,
        exact_sum,
        compensated_cases,
        signature="(x)",
        forbidden=ADDING,  # the lesson: +, slices and shapes alone add the numbers up
        no_slope="What a sum loses is the subject; nothing is trained through it.",
        misconceptions=MISCONCEPTIONS["compensated_sum_loop"],
        work=Work(lost_between_giants, vectorised=False, sizes=(10, 60)),
        curve=Curve(
            tuple(4.0 * k for k in range(1, 16)),
            lambda n: Case((grown(250.0, 1, int(n)),)),
            "ones in bfloat16, added to 250",
            "sum",
        ),
        hints=(
            "Let `new = total + term`. Of the larger of the two nothing is lost; of the smaller, what arrived in the"
            " total is `new - larger`.",
            "So what was lost is `(larger - new) + smaller`, exactly. Add these up in a second variable.",
            "Which of total and term is the larger one in *size*, may change at each step: compare `abs`. At the end"
            " return the total plus what was lost.",
        ),
    ),
    Exercise(
        "summation.sum_error_limit",
        2,
        limit_of_error,
        limit_cases,
        signature="(n, lanes, dtype)",
        atol=0.0,
        why="Limits are as small as 1e-7, and the usual 1e-6 would forgive them whatever they are.",
        misconceptions=MISCONCEPTIONS["sum_error_limit"],
        curve=Curve(
            tuple(25.0 * k for k in range(1, 41)),
            lambda n: Case((int(n), 1, torch.float16)),
            "numbers in float16, one running total",
            "limit",
        ),
        hints=(
            "In its lane a number meets at most $\\lceil n / \\text{lanes} \\rceil - 1$ roundings: the first addition,"
            " to zero, is exact. Then the lanes are halved until one is left.",
            "`torch.finfo(dtype).eps` is the gap above 1. Rounding to the nearest errs by half a gap at most.",
        ),
    ),
    Exercise(
        "summation.summation_python_sum",
        1,
        exact_sum,
        plain_cases,
        signature="(x)",
        number_too=RACED,
        no_slope=RACED,
        misconceptions=MISCONCEPTIONS["summation_python_sum"],
        work=COUNTED_IN_PYTHON,
        hints=("Python's `sum` takes anything that can be walked through, a tensor of one dimension too.",),
    ),
    Exercise(
        "summation.summation_torch_sum",
        1,
        wide_sum,
        plain_cases,
        signature="(x)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["summation_torch_sum"],
        work=SPEED,
        hints=("It is the function above with one name changed: the sum is PyTorch's.",),
    ),
    bound_exercise(
        "summation.predict_summation_seconds",
        Traffic(Array("x")),
        misconceptions=MISCONCEPTIONS["predict_summation_seconds"],
    ),
)
