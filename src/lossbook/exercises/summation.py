"""The exercises of lesson 07: from Python's sum to the speed of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Generator, Tensor, tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise, for_each_sample
from lossbook.checks.exercise import (
    ADDING,
    BY_PYTHON,
    BY_TORCH,
    RACED,
    Case,
    Curve,
    Exercise,
    Misconception,
    Prediction,
    Score,
    Work,
    exact_sum_for_pythons,
    integers,
    normal,
    uniform,
)
from lossbook.data import randhie


def exact_sum(x: Tensor) -> Tensor:
    """Return the exact sum, rounded once, in the dtype of x."""
    return tensor(math.fsum(x.tolist()), dtype=x.dtype)


# ------------------------------------------------------------------------------------- sum_ledger


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


def _ledger(n: int, itemsize: int, way: str, **changes: tuple[int, int]) -> list[int]:
    """Return the additions and bytes of a way, with other additions and numbers where ``changes`` has them."""
    rounds = round(math.log2(n))
    right = {"python": (n, 3 * n - 1), "pairs": (rounds, 3 * (n - 1)), "torch": (1, n + 1)}
    operations, numbers = (right | changes)[way]
    return [operations, itemsize * numbers]


SUM_LEDGER = Exercise(
    "summation.sum_ledger",
    points=2,
    reference=ledger,
    cases=ledger_cases,
    predictions=(
        Prediction(
            "python",
            "the bytes of Python's sum over those of torch.sum",
            lambda: ledger(1024, 4, "python")[1] / ledger(1024, 4, "torch")[1],
            "Each addition reads the total and a number and writes a total again. torch.sum keeps its totals at hand.",
        ),
        Prediction(
            "pairs",
            "the bytes of pairs over those of torch.sum",
            lambda: ledger(1024, 4, "pairs")[1] / ledger(1024, 4, "torch")[1],
            "Each addition of two numbers reads two and writes one, however many of them are made at once.",
        ),
    ),
    hints=(
        "Do it on paper for four numbers. Each addition reads two tensors and writes one. How many numbers does"
        " each tensor hold?",
        "Pairs: the round that begins with $m$ numbers reads $m$ and writes $m / 2$. The first begins with $n$, the"
        " last with 2, and"
        "\n$n + n/2 + \\dots + 2 = 2 (n - 1)$. Python: its first addition reads one number, because the 0 is Python's"
        " own.",
    ),
    misconceptions=(
        Misconception(
            "each number read once, whatever the way",
            lambda n, itemsize, way: _ledger(n, itemsize, way, python=(n, n + 1), pairs=(round(math.log2(n)), n + 1)),
            "Only the last of the three reads each number once. The others write totals, and read them back.",
        ),
        Misconception(
            "numbers for bytes",
            lambda n, itemsize, way: _ledger(n, 1, way),
            "You count numbers, and each of them is `itemsize` bytes.",
        ),
        Misconception(
            "one addition fewer in Python's sum",
            lambda n, itemsize, way: _ledger(n, itemsize, way, python=(n - 1, 3 * (n - 1))),
            "Python's `sum` begins with 0: the first number is added to it, and that is dispatched as well.",
        ),
        Misconception(
            "a dispatch for every pair",
            lambda n, itemsize, way: _ledger(n, itemsize, way, pairs=(n - 1, 3 * (n - 1))),
            "`x[0::2] + x[1::2]` adds all pairs of a round in one operation. How many rounds are there?",
        ),
        Misconception(
            "the totals not counted as written",
            lambda n, itemsize, way: _ledger(
                n, itemsize, way, python=(n, 2 * n - 1), pairs=(round(math.log2(n)), 2 * (n - 1)), torch=(1, n)
            ),
            "You count what is read. Each addition also writes its result to memory.",
        ),
        Misconception(
            "only the first round of pairs",
            lambda n, itemsize, way: _ledger(n, itemsize, way, pairs=(round(math.log2(n)), n + n // 2)),
            "After the first round n / 2 numbers are left, and the next round moves these. Add up all rounds.",
        ),
        Misconception(
            "Python's 0 counted as a number of the tensor",
            lambda n, itemsize, way: _ledger(n, itemsize, way, python=(n, 3 * n)),
            "The 0 at the start is Python's own number: no tensor is read for it.",
        ),
    ),
)


# ---------------------------------------------------------------------------------- least_seconds


MICRO = 1e-6  # seconds


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


SMALL = "Times are a few millionths of a second, and the usual 1e-6 would forgive them whatever they are."


def _roof(dispatches: int, moved: float, work: float, launch: float, bandwidth: float, peak: float) -> list[float]:
    """Return the seconds of launching, of moving and of computing."""
    return [dispatches * launch, moved / bandwidth, work / peak]


LEAST_SECONDS = Exercise(
    "summation.least_seconds",
    points=2,
    reference=roof,
    cases=roof_cases,
    predictions=(
        Prediction(
            "empty",
            "the time of the operation that does nothing, in µs,",
            lambda: roof(1, 0, 0, 5 * MICRO, 1e10, 1e12) / MICRO,
            "It is launched all the same.",
        ),
        Prediction(
            "busy",
            "the time of the other, in µs,",
            lambda: roof(1, 30 * MICRO * 1e10, 20 * MICRO * 1e12, 5 * MICRO, 1e10, 1e12) / MICRO,
            "Moving and computing go on at once, and the longer of the two decides. The launch comes before both.",
        ),
    ),
    atol=0.0,
    why=SMALL,
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
    misconceptions=(
        Misconception(
            "moving and computing one after the other",
            lambda *given: sum(_roof(*given)),
            "While some numbers are added the next ones arrive: the two go on at once. Which of them ends last?",
        ),
        Misconception(
            "the shorter of the two",
            lambda *given: _roof(*given)[0] + min(_roof(*given)[1:]),
            "The call is over when both are done, and that is when the slower one is.",
        ),
        Misconception(
            "one launch, however many dispatches",
            lambda *given: given[3] + max(_roof(*given)[1:]),
            "Each dispatch is launched, and each launch takes its time.",
        ),
        Misconception(
            "the launches forgotten", lambda *given: max(_roof(*given)[1:]), "An empty call takes time as well."
        ),
        Misconception(
            "the launches hidden behind the work",
            lambda *given: max(_roof(*given)),
            "Nothing is moved before the call is launched: that time comes first, and is added.",
        ),
        Misconception(
            "the arithmetic forgotten",
            lambda *given: sum(_roof(*given)[:2]),
            "With many operations on few bytes it is the arithmetic that takes the time: give it its place.",
        ),
        Misconception(
            "rates for times",
            lambda dispatches, moved, work, launch, bandwidth, peak: (
                dispatches * launch + max(moved * bandwidth, work * peak)
            ),
            "A faster memory must make it shorter. Seconds are bytes over bytes per second.",
        ),
    ),
)


# -------------------------------------------------------------------------------- bytes_for_share


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


BYTES_FOR_SHARE = Exercise(
    "summation.bytes_for_share",
    points=2,
    reference=bytes_at,
    cases=share_cases,
    predictions=(
        Prediction(
            "larger",
            "the memory that needs the larger tensors",
            lambda: "fast" if bytes_at(0.5, 5 * MICRO, 3e12) > bytes_at(0.5, 5 * MICRO, 2e10) else "slow",
            "A fast memory is done with a small tensor long before the next launch.",
            ("fast", "slow"),
        ),
    ),
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
    misconceptions=(
        Misconception(
            "half speed, whatever the share",
            lambda share, launch, bandwidth: launch * bandwidth,
            "That is where the launch takes as long as the bytes. For a larger share the bytes must take longer.",
        ),
        Misconception(
            "the share of what half speed needs",
            lambda share, launch, bandwidth: share * launch * bandwidth,
            "Full speed would then be had at a finite size. With the launch in every call, it is never reached.",
        ),
        Misconception(
            "the share of the time that the launch takes",
            lambda share, launch, bandwidth: (1 - share) / share * launch * bandwidth if share else 0.0,
            "Yours falls as the share grows. The share is the part of the time in which bytes are moved.",
        ),
        Misconception(
            "the launch left out of the whole",
            lambda share, launch, bandwidth: launch * bandwidth / (1 - share),
            "At share 0 yours asks for bytes: you have the whole time, launch included. Multiply by the right part.",
        ),
        Misconception(
            "seconds for bytes",
            lambda share, launch, bandwidth: share / (1 - share) * launch,
            "That is how long the bytes take. How many are moved in that time?",
        ),
        Misconception(
            "divided by the bandwidth",
            lambda share, launch, bandwidth: share / (1 - share) * launch / bandwidth,
            "A faster memory has moved more while the launch goes on: it needs more bytes, not fewer.",
        ),
    ),
)


# ---------------------------------------------------------------------------------- clock_reading


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


CLOCK_READING = Exercise(
    "summation.clock_reading",
    points=3,
    reference=reading,
    cases=reading_cases,
    predictions=(
        Prediction(
            "nobody",
            "what the clock shows where nobody waits",
            lambda: reading(0.0, 2.0, [50.0], False, False),
            "It is read as soon as the kernel is queued, however long that then runs.",
        ),
        Prediction(
            "after",
            "what it shows where the host waits after",
            lambda: reading(0.0, 2.0, [50.0], False, True),
            "The device starts when the kernel has been queued, and the host waits for its end.",
        ),
    ),
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
    misconceptions=(
        Misconception(
            "the device never waited for",
            lambda busy, queue, kernels, before, after: queue * len(kernels),
            "Yours is the time to queue. Where `wait_after` is true, the host stops until the device is idle.",
        ),
        Misconception(
            "always waited for",
            lambda busy, queue, kernels, before, after: _clock(busy, queue, kernels, before, True),
            "Where `wait_after` is false, the clock is read as soon as the last kernel is queued.",
        ),
        Misconception(
            "earlier work forgotten",
            lambda busy, queue, kernels, before, after: _clock(0.0, queue, kernels, before, after),
            "Where nobody waits at first, the device does its earlier work before the new one, and the clock runs.",
        ),
        Misconception(
            "the clock started before the wait",
            lambda busy, queue, kernels, before, after: _clock(busy, queue, kernels, before, after) + before * busy,
            "The first reading comes after the wait: the time of waiting is not part of it.",
        ),
        Misconception(
            "the device starts when all is queued",
            lambda *given: _clock(*given, late=True),
            "The first kernel starts as soon as it is queued, while the host goes on to queue the next.",
        ),
        Misconception(
            "kernels one after the other without a gap",
            lambda *given: _clock(*given, early=True),
            "Where the kernels are short, the device is idle until the host has queued the next one.",
        ),
        Misconception(
            "queueing and running one after the other",
            lambda busy, queue, kernels, before, after: (
                queue * len(kernels) + (sum(kernels) + (0 if before else busy)) * after
            ),
            "The two overlap: while a kernel runs, the host queues the next ones.",
        ),
    ),
)


# -------------------------------------------------------------------------------------- lanes_sum


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


LANES_SUM = Exercise(
    "summation.lanes_sum",
    points=3,
    reference=in_lanes,
    cases=lane_cases,
    predictions=(
        Prediction(
            "additions",
            "the number of additions that the first of the numbers passes through",
            lambda: 1024 / 64 + math.log2(64),
            "Its lane takes one addition a row, the first of them to zero, and then the lanes are halved until one is "
            "left. In one lane it would be one addition for every number.",
            atol=1.0,  # who leaves out the addition to zero has seen the same
        ),
    ),
    forbidden=ADDING,  # the lesson: +, slices and shapes alone add the numbers up
    no_slope="What a sum loses is the subject; nothing is trained through it.",
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
    misconceptions=(
        Misconception(
            "one running total",
            lambda x, lanes: _running(x),
            "One total grows until the next term no longer changes it: keep as many totals as there are lanes.",
        ),
        Misconception(
            "the lanes' totals added one after the other",
            lambda x, lanes: _running(_running(_rows(x, lanes))),
            "The lanes are right. Added one by one, their totals go through as many roundings as there are lanes.",
        ),
        Misconception(
            "the last row dropped where it is not full",
            lambda x, lanes: _halves(_running(_rows(x[: len(x) // lanes * lanes], lanes)) if len(x) >= lanes else x),
            "Where `lanes` does not divide the length, the last numbers are left out: fill up with zeros.",
        ),
        Misconception(
            "zeros not filled up",
            lambda x, lanes: _halves(_running(x.view(-1, lanes))),
            "Where `lanes` does not divide the length, there is no such shape: fill up with zeros first.",
        ),
        Misconception(
            "the lanes not added up",
            lambda x, lanes: _running(_rows(x, lanes)),
            "These are the totals of the lanes. One number is wanted: halve them until one is left.",
        ),
        Misconception(
            "one number at a time",
            _lane_by_lane,
            "The number is right, and it takes an operation for each element: add to all lanes at once, row by row.",
        ),
        Misconception(
            "averaged over the lanes",
            lambda x, lanes: _halves(_running(_rows(x, lanes))) / lanes,
            "You divide by the number of lanes: only add.",
        ),
    ),
)


# --------------------------------------------------------------------------- compensated_sum_loop


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


SORTS = frozenset(["sort", "argsort", "msort", "topk"])


COMPENSATED_SUM_LOOP = Exercise(
    "summation.compensated_sum_loop",
    points=3,
    reference=exact_sum,
    cases=compensated_cases,
    predictions=(
        Prediction(
            "running",
            "what a running total in float64 makes of it",
            lambda: float(_running(tensor([1.0, 1e30, 1.0, -1e30], dtype=torch.float64))),
            "Each 1 is less than half the gap between neighbours at 10^30, in float64 too, and is lost.",
        ),
    ),
    forbidden=ADDING,  # the lesson: +, slices and shapes alone add the numbers up
    no_slope="What a sum loses is the subject; nothing is trained through it.",
    work=Work(lost_between_giants, vectorised=False, sizes=(10, 60)),
    curve=Curve(
        tuple(4.0 * k for k in range(1, 16)),
        lambda n: Case((grown(250.0, 1, int(n)),)),
        "ones in bfloat16, added to 250",
        "sum",
    ),
    hints=(
        "A small term is added to a large total, and rounded away in part. How can you tell, from the total before and"
        " after, how much of the term has arrived?",
        "Let `new = total + term`. Of the larger of the two nothing is lost; of the smaller, what arrived in the"
        " total is `new - larger`.",
        "So what was lost is `(larger - new) + smaller`, exactly. Add these up in a second variable.",
        "Which of total and term is the larger one in *size*, may change at each step: compare `abs`. At the end"
        " return the total plus what was lost.",
    ),
    misconceptions=(
        Misconception(
            "a running total alone",
            _running,
            "What each addition loses is lost for good: collect it in a second variable, and add that at the end.",
            calls=frozenset(["add"]),
            never=frozenset(["sub", "rsub", *SORTS]),
        ),
        Misconception(
            "what was lost computed, and lost again",
            lambda x: _compensated(x, "size", "forgotten"),
            "The result is that of a running total, though you compute what each addition loses. Is every loss added "
            "to those before it (`+=`, not `=`), and their sum to the total at the end?",
            calls=frozenset(["sub", "rsub"]),
            never=SORTS,
        ),
        Misconception(
            "the numbers sorted first",
            lambda x: _running(x[x.abs().argsort()]),
            "Sorting only changes which digits are lost. Take the numbers as they come, and keep what is lost.",
            calls=SORTS,
        ),
        Misconception(
            "the total taken for the larger one",
            lambda x: _compensated(x, "total"),
            "A term may be larger than the total, and then it is the total that loses digits. Ask which is larger.",
        ),
        Misconception(
            "the term taken for the larger one",
            lambda x: _compensated(x, "term"),
            "Mostly the total is the larger one, and it is the term that loses digits. Ask which is larger.",
        ),
        Misconception(
            "compared by sign and not by size",
            lambda x: _compensated(x, "signed"),
            "A large negative number loses nothing either: compare what `abs` gives.",
        ),
        Misconception(
            "what was lost taken away",
            lambda x: _compensated(x, "size", "taken away"),
            "What was lost has the sign with which it is missing: look again at the last line.",
        ),
        Misconception(
            "what was lost handed on to the next term",
            _kahan,
            "That is Kahan's sum: it holds as long as no term is larger than the total. Keep the loss apart instead.",
            calls=frozenset(["sub", "rsub"]),
        ),
        Misconception(
            "what was lost and nothing else",
            lambda x: _compensated(x, "size", "alone"),
            "That is the correction. Return the total with the correction added.",
        ),
        Misconception(
            "all in float64",
            lambda x: _running(x.double()),
            "A wider format moves the trouble and does not end it: 1e30 + 1 is 1e30 in float64 too.",
        ),
    ),
)


# -------------------------------------------------------------------------------- sum_error_limit


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


def _limit(roundings: float, unit: float) -> float:
    each = roundings * unit
    return _formula(each) if each < 1 else math.inf


def _formula(each: float) -> float:
    return each / (1 - each) if each != 1 else math.inf


def _depth(n: int, lanes: int) -> float:
    return math.ceil(n / lanes) - 1 + math.log2(lanes)


def _unit(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps / 2


SUM_ERROR_LIMIT = Exercise(
    "summation.sum_error_limit",
    points=2,
    reference=limit_of_error,
    cases=limit_cases,
    predictions=(
        Prediction(
            "most",
            "the largest count for which bfloat16 still promises something",
            lambda: max(n for n in range(1, 1000) if limit_of_error(n, 1, torch.bfloat16) < math.inf),
            "u is 2^−8, a number of n passes through n − 1 roundings, and (n − 1) u must be less than 1.",
        ),
    ),
    atol=0.0,
    why="Limits are as small as 1e-7, and the usual 1e-6 would forgive them whatever they are.",
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
    misconceptions=(
        Misconception(
            "one running total, whatever the lanes",
            lambda n, lanes, dtype: _limit(n - 1, _unit(dtype)),
            "With more lanes a number goes through fewer roundings. How many numbers are in a lane?",
        ),
        Misconception(
            "the lanes' totals added one after the other",
            lambda n, lanes, dtype: _limit(math.ceil(n / lanes) - 1 + lanes - 1, _unit(dtype)),
            "The totals are added in halves: how often can you halve `lanes` until one is left?",
        ),
        Misconception(
            "the halving forgotten",
            lambda n, lanes, dtype: _limit(math.ceil(n / lanes) - 1, _unit(dtype)),
            "That is what a number goes through in its lane. Then the lanes are added up.",
        ),
        Misconception(
            "the whole gap for half of it",
            lambda n, lanes, dtype: _limit(_depth(n, lanes), 2 * _unit(dtype)),
            "`eps` is the gap between neighbours. The nearest of two neighbours is never further than half of that.",
        ),
        Misconception(
            "one rounding more",
            lambda n, lanes, dtype: _limit(_depth(n, lanes) + 1, _unit(dtype)),
            "One number alone is not rounded at all: adding to zero is exact.",
        ),
        Misconception(
            "the first order alone",
            lambda n, lanes, dtype: _depth(n, lanes) * _unit(dtype),
            "Roundings of rounded numbers multiply up: the bound has k u below the line too.",
        ),
        Misconception(
            "below zero where nothing can be promised",
            lambda n, lanes, dtype: _formula(_depth(n, lanes) * _unit(dtype)),
            "Where k u is 1 or more, the formula divides by nothing or turns negative: the limit is infinite there.",
        ),
    ),
)


# --------------------------------------------------------------------------- summation_python_sum


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


SUMMATION_PYTHON_SUM = Exercise(
    "summation.summation_python_sum",
    points=1,
    reference=exact_sum,
    cases=plain_cases,
    number_too=RACED,
    no_slope=RACED,
    work=Work(SPEED.case, vectorised=False),
    hints=("Python's `sum` takes anything that can be walked through, a tensor of one dimension too.",),
    folded=0,
    misconceptions=(
        Misconception(
            "torch.sum for Python's sum",
            lambda x: torch.sum(x),
            "The number is right. This one is the slow way, on purpose: let Python's `sum` walk over the elements.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda x: math.fsum(x.tolist())),
        Misconception("divided by the number of elements", lambda x: sum(x) / len(x), "That is the mean: only add."),
        Misconception(
            "the first element left out",
            lambda x: sum(x[1:]),
            "Python counts from 0: `x[1:]` begins at the second element.",
        ),
        Misconception(
            "the last element left out",
            lambda x: sum(x[:-1]),
            "A range ends before its last number: `range(n - 1)` leaves one out.",
        ),
        Misconception(
            "the first element alone",
            lambda x: x[0] + 0,
            "A `return` inside the loop ends it after one turn: move it out to the left.",
        ),
        Misconception(
            "the number of elements", lambda x: sum(1 for _ in x), "You add 1 for each element: add the element."
        ),
    ),
)


# ---------------------------------------------------------------------------- summation_torch_sum


def wide_sum(x: Tensor) -> Tensor:
    """Return the sum, added up in float64, with its gradient."""
    return x.double().sum().to(x.dtype)


SUMMATION_TORCH_SUM = Exercise(
    "summation.summation_torch_sum",
    points=1,
    reference=wide_sum,
    cases=plain_cases,
    gradient=True,
    work=SPEED,
    hints=("It is the function above with one name changed: the sum is PyTorch's.",),
    folded=0,
    misconceptions=(
        Misconception(
            "Python's sum for torch.sum",
            lambda x: sum(x),
            "The number is right, and it is added up one element at a time: name the `sum` that is PyTorch's.",
            **BY_PYTHON,
        ),
        Misconception(
            "the mean in place of the sum", lambda x: x.mean(), "You divide by the number of elements: only add."
        ),
        Misconception(
            "a sum that keeps its dimension",
            lambda x: torch.sum(x, 0, keepdim=True),
            "The result is one number, of shape (): sum without `keepdim`.",
        ),
        Misconception(
            "all running totals",
            lambda x: torch.cumsum(x, 0),
            "`cumsum` gives the total after each element. One number is wanted: the last of them.",
        ),
        Misconception(
            "sizes in place of numbers",
            lambda x: x.abs().sum(),
            "Negative numbers count as negative: leave `abs` out.",
        ),
    ),
)


# ---------------------------------------------------------------------- predict_summation_seconds


PREDICT_SUMMATION_SECONDS = bound_exercise(
    "summation.predict_summation_seconds",
    Traffic(Array("x")),
    folded=0,
    misconceptions=(
        for_each_sample(
            12,
            "the running totals counted as read and written",
            "Python's `sum` moves them all. Must they go to memory? A program may keep its total in a register.",
        ),
    ),
)


# ------------------------------------------------------------------------------------- half_total


ADDED, AT_ONCE = 4096, 256  # losses, and numbers that a tensor may hold
# A conversion, a number taken out of its tensor, or written into one, could hide a wider format.
IN_HALF = ADDING | {"array", "local_scalar_dense", "numpy", "setitem", "to_copy", "tolist"}


@cache
def losses_of_visits() -> Tensor:
    """Return, in bfloat16, what a Poisson regression loses on each person-year of visits to the doctor."""
    table = randhie()
    y = table["visits"]
    x = torch.stack([table[name] for name in ("coinsurance", "deductible", "limited", "diseases", "health")], 1)
    x = torch.cat([(x - x.mean(0)) / x.std(0), torch.ones_like(y)[:, None]], 1)
    w = x.new_zeros(x.shape[1])
    w[-1] = y.mean().log()
    for _ in range(8):  # Newton's method
        mu = torch.exp(x @ w)
        w = w + torch.linalg.solve((x.T * mu) @ x, x.T @ (y - mu))
    mu = torch.exp(x @ w)
    return (mu - y * mu.log() + torch.lgamma(y + 1)).bfloat16()


def visit_cases(generator: Generator) -> Sequence[Case]:
    """Draw, three times, some of the losses; their exact sum is kept."""
    every = losses_of_visits()
    cases = []
    for number in ("first", "second", "third"):
        drawn = every[torch.randperm(len(every), generator=generator)[:ADDED]]
        cases.append(Case((drawn,), note=f"the {number} draw of losses", kept=math.fsum(drawn.tolist())))
    return cases


def some_losses(generator: Generator, n: int) -> Case:
    """Draw n times 64 numbers, on which nothing is scored."""
    return Case(((1 + 4 * uniform(generator, 64 * n)).bfloat16(),), note="fewer numbers, to see what is made")


def _exactly(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return a sum and what it lost, whichever of the two is the larger."""
    total = a + b
    arrived = total - a
    return total, (a - (total - arrived)) + (b - arrived)


def in_two_numbers(losses: Tensor) -> Tensor:
    """Return a sum in two numbers of its own format: totals in lanes, what each addition loses beside them."""
    total, lost = losses.new_zeros(64), losses.new_zeros(64)
    for row in losses.view(-1, 64):
        total, more = _exactly(total, row)
        lost = lost + more
    while len(total) > 1:
        half = len(total) // 2
        total, more = _exactly(total[:half], total[half:])
        lost = lost[:half] + lost[half:] + more
    return torch.cat([total, lost])


def _millionths(value: Tensor, exact: float | None) -> float:
    """Return how far two numbers together are off the exact sum; 0 where nothing is scored."""
    if exact is None:
        return 0.0
    if not _is_half(value):
        return math.inf
    return abs(float(value.double().sum()) - exact) / exact * 1e6


def _is_half(value: Tensor) -> bool:
    return bool((value == value.bfloat16().float()).all())


MILLIONTHS = 50.0


def _with_nothing_lost(first: Tensor) -> Tensor:
    return torch.stack([first, torch.zeros_like(first)])


def _lost_in_lanes(losses: Tensor) -> Tensor:
    """Keep what is lost in the lanes, and not what is lost where these are added up."""
    total, lost = losses.new_zeros(64), losses.new_zeros(64)
    for row in losses.view(-1, 64):
        total, more = _exactly(total, row)
        lost = lost + more
    return torch.stack([_halves(total), _halves(lost)])


HALF_TOTAL = Exercise(
    "summation.half_total",
    points=3,
    reference=in_two_numbers,
    cases=visit_cases,
    forbidden=IN_HALF,
    score=Score("the error in millionths of the sum", _millionths, MILLIONTHS),
    no_slope="What a sum loses is the subject; nothing is trained through it.",
    work=Work(
        some_losses,
        vectorised=False,
        sizes=(4, 16),
        of="64 losses",
        cache=8,
        largest=lambda n: AT_ONCE,
        table="take the losses piece by piece, and keep a few numbers for each place of a piece",
    ),
    predictions=(
        Prediction(
            "stops",
            "where a running total of threes stops",
            lambda: float(_running(torch.full((2000,), 3.0).bfloat16())),
            "From 1,024 on neighbours in bfloat16 are 8 apart, and 3 is less than half of that.",
        ),
    ),
    hints=(
        "One total of 4,096 losses stops growing, and so does one sum of what it lost. What stays small can be kept: "
        "let each of 64 lanes have a total and a loss of its own.",
        "Exercise 6 asks which of the two is the larger. Without the question: `new = a + b`, `arrived = new - a`, and "
        "what was lost is `(a - (new - arrived)) + (b - arrived)`. It works on whole tensors.",
        "Where the lanes are added up in halves, their additions lose something as well: collect that too. At the end "
        "`torch.cat([total, lost])`.",
    ),
    misconceptions=(
        Misconception(
            "numbers that are not finite",
            lambda losses: in_two_numbers(losses) / 0,
            "The result is infinite or nan. Is there a division in it?",
            sign=lambda value, exact: not bool(value.isfinite().all()),
        ),
        Misconception(
            "numbers that are no bfloat16",
            lambda losses: torch.stack([_running(losses + torch.zeros(1)), torch.zeros(())]),
            "The result does not fit into bfloat16: somewhere a tensor of another format came in, and what is added to "
            "it takes its format. `losses.new_zeros(…)` has that of the losses.",
            sign=lambda value, exact: exact is None or not _is_half(value),
        ),
        Misconception(
            "a total that stops growing",
            lambda losses: _with_nothing_lost(_running(losses)),
            "A good part of the sum is missing: a total grows until the next loss is less than half the gap between "
            "its neighbours, and so does a sum of what was lost. Keep many of both.",
            sign=lambda value, exact: exact is None or 0.02 < float(value.sum()) / exact < 0.95,
        ),
        Misconception(
            "the mean in place of the sum",
            lambda losses: in_two_numbers(losses) / ADDED,
            "That is the mean: only add.",
            sign=lambda value, exact: exact is None or 0.9 < float(value.sum()) * ADDED / exact < 1.1,
        ),
        Misconception(
            "the second number not used",
            lambda losses: _with_nothing_lost(_halves(_running(losses.view(-1, 64)))),
            "Your second number is 0. One number in bfloat16 has 8 digits of binary, and can't say the sum any better: "
            "what the additions lost belongs into the other.",
            sign=lambda value, exact: exact is None or bool((value == 0).any()),
        ),
        Misconception(
            "what was lost taken away",
            lambda losses: in_two_numbers(losses) * tensor([1.0, -1.0], dtype=losses.dtype),
            "With the opposite sign your second number would do: what was lost has the sign with which it is missing.",
            sign=lambda value, exact: (
                exact is None
                or _millionths(value * tensor([1.0, -1.0]), exact) < MILLIONTHS < _millionths(value, exact)
            ),
        ),
        Misconception(
            "what is lost on the way, lost",
            _lost_in_lanes,
            "Most of what was lost is there. Which additions lose something that you do not collect? Those in which "
            "the lanes are added up, or those of what was lost itself.",
            sign=lambda value, exact: exact is None or 0.95 < float(value.sum()) / exact < 1.05,
        ),
    ),
)
