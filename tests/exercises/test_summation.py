"""The exercises of lesson 07: its solutions pass, right answers in every style do, and what is to be written is."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.exercises import check, exercises
from lossbook.exercises import summation as declared
from lossbook.losses import summation

NAMES = [name for name, declared in exercises().items() if declared.slug == "summation"]


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("07-summation")[name])
    assert report.passed, report


def filled(x, lanes):
    return F.pad(x, (0, -len(x) % lanes))


def halves_of(totals):
    while len(totals) > 1:
        totals = totals[: len(totals) // 2] + totals[len(totals) // 2 :]
    return totals[0]


def pairs_of(totals):
    while len(totals) > 1:
        totals = totals[0::2] + totals[1::2]
    return totals[0]


def one_by_one(x):
    total = x.new_zeros(())
    for term in x:
        total = total + term
    return total


def reading_of_a_device_that_waits_for_the_host(busy, queue, kernels, wait_before, wait_after):
    start = busy if wait_before else 0.0
    idle = max(busy, start + queue * len(kernels))
    for seconds in kernels:
        idle += seconds
    return (idle if wait_after else start + queue * len(kernels)) - start


# Beside the misconceptions that the exercises declare, which test_declared.py tests.
def in_lanes_alone(losses, lanes=64):
    total = losses.new_zeros(lanes)
    for row in losses.view(-1, lanes):
        total = total + row
    while len(total) > 1:
        total = total[: len(total) // 2] + total[len(total) // 2 :]
    return torch.cat([total, torch.zeros_like(total)])


def one_by_one_with_its_loss(losses):
    total, lost = losses.new_zeros(()), losses.new_zeros(())
    for term in losses:
        new = total + term
        lost = lost + ((total - new) + term)
        total = new
    return torch.stack([total, lost])


def promoted(losses):
    total = torch.zeros(64)
    for row in losses.view(-1, 64):
        total = total + row
    while len(total) > 1:
        total = total[: len(total) // 2] + total[len(total) // 2 :]
    return torch.cat([total, torch.zeros(1)])


WRONG = {
    "half a total: lanes alone": ("half_total", in_lanes_alone),
    "half a total: one by one": ("half_total", one_by_one_with_its_loss),
    "half a total: in float32": ("half_total", promoted),
    "half a total: one number": ("half_total", lambda losses: in_lanes_alone(losses)[:1]),
    "logarithm to base e": (
        "sum_ledger",
        lambda n, itemsize, way: [
            {"python": n, "pairs": round(math.log(n)), "torch": 1}[way],
            itemsize * {"python": 3 * n - 1, "pairs": 3 * (n - 1), "torch": n + 1}[way],
        ],
    ),
    "bytes first": (
        "sum_ledger",
        lambda n, itemsize, way: exercises()["sum_ledger"].reference(n, itemsize, way)[::-1],
    ),
    "the bandwidth in place of the peak": (
        "least_seconds",
        lambda dispatches, moved, work, launch, bandwidth, peak: (
            dispatches * launch + max(moved / bandwidth, work / bandwidth)
        ),
    ),
    "every dispatch moves all": (
        "least_seconds",
        lambda dispatches, moved, work, launch, bandwidth, peak: (
            dispatches * (launch + max(moved / bandwidth, work / peak))
        ),
    ),
    "one more than the share": ("bytes_for_share", lambda s, launch, bandwidth: s / (1 + s) * launch * bandwidth),
    "the device waits for the host": ("clock_reading", reading_of_a_device_that_waits_for_the_host),
    "the kernels alone": ("clock_reading", lambda busy, queue, kernels, before, after: float(sum(kernels))),
    "exact, whatever the lanes": ("lanes_sum", lambda x, lanes: torch.tensor(math.fsum(x.tolist()))),
    "one lane too many": ("lanes_sum", lambda x, lanes: pairs_of(filled(x, 2 * lanes).view(-1, 2 * lanes).clone()[0])),
    "the last lanes' totals lost": ("lanes_sum", lambda x, lanes: one_by_one(filled(x, lanes).view(-1, lanes)[:, 0])),
    "all at once, by Python's exact sum": ("compensated_sum_loop", lambda x: torch.tensor(math.fsum(x.tolist()))),
    "float64, one by one": ("compensated_sum_loop", lambda x: sum(x.double())),
    "sorted by size": ("compensated_sum_loop", lambda x: one_by_one(x[x.abs().argsort()])),
    "the largest first": ("compensated_sum_loop", lambda x: one_by_one(x[x.abs().argsort(descending=True)])),
    "the smallest number for the gap": (
        "sum_error_limit",
        lambda n, lanes, dtype: (math.ceil(n / lanes) - 1 + math.log2(lanes)) * torch.finfo(dtype).tiny,
    ),
    "rounded down": (
        "sum_error_limit",
        lambda n, lanes, dtype: (
            (off := (n // lanes - 1 + math.log2(lanes)) * torch.finfo(dtype).eps / 2) / max(1 - off, 1e-9)
        ),
    ),
    "a loop for torch.sum": ("summation_torch_sum", one_by_one),
    "torch.sum for Python's sum": ("summation_python_sum", lambda x: x.sum()),
    "two at a time": ("summation_python_sum", lambda x: sum(x[k] + x[k + 1] for k in range(0, len(x) - 1, 2))),
    "half the bytes": ("predict_summation_seconds", lambda n, bandwidth: 2 * n / bandwidth),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_people_get_wrong_fails(named, what):
    name, wrong = WRONG[what]
    report = check(named(name, wrong))
    assert report.state == "failed", f"{what}: {report}"


def ledger_by_walking(n, itemsize, way):
    """Count the operations one after the other."""
    if way == "torch":
        return 1, (n + 1) * itemsize
    if way == "python":
        return n, itemsize * sum(2 if k == 0 else 3 for k in range(n))
    additions = moved = 0
    while n > 1:
        additions, moved, n = additions + 1, moved + (n + n // 2) * itemsize, n // 2
    return additions, moved


def ledger_in_numpy(n, itemsize, way):
    rounds = int(np.log2(n))
    counts = {
        "python": (n, 2 + 3 * (n - 1)),
        "pairs": (rounds, sum(3 * n // 2**k for k in range(1, rounds + 1))),
        "torch": (1, n + 1),
    }
    return np.array(counts[way]) * np.array([1, itemsize])


def reading_by_times(busy, queue, kernels, wait_before, wait_after):
    """Note when each kernel is queued, and when each ends."""
    begin = busy if wait_before else 0.0
    queued = [begin + queue * (k + 1) for k in range(len(kernels))]
    ends = [busy]
    for at, seconds in zip(queued, kernels, strict=True):
        ends.append(max(ends[-1], at) + seconds)
    last = queued[-1] if queued else begin
    return (max(last, ends[-1]) if wait_after else last) - begin


def reading_by_the_longest_way(busy, queue, kernels, wait_before, wait_after):
    """The end is the latest of all ways through the queue: the host's up to some kernel, then the device's."""
    if wait_before:
        busy = 0.0
    ways = [busy + sum(kernels)]
    ways += [queue * (k + 1) + sum(kernels[k:]) for k in range(len(kernels))]
    return max(ways) if wait_after else queue * len(kernels)


def reading_by_idle_time(busy, queue, kernels, wait_before, wait_after):
    host = start = busy * wait_before
    left = busy - start
    for seconds in kernels:
        host += queue
        left = max(0.0, left - queue) + seconds
    return host - start + left * wait_after if kernels else left * wait_after


def lanes_by_slices(x, lanes):
    x = torch.cat([x, torch.zeros(-len(x) % lanes, dtype=x.dtype)])
    totals = x[:lanes]
    for at in range(lanes, len(x), lanes):
        totals = totals + x[at : at + lanes]
    return pairs_of(totals)


def lanes_in_place(x, lanes):
    totals = torch.zeros(lanes, dtype=x.dtype)
    for at in range(0, len(x), lanes):
        part = x[at : at + lanes]
        totals[: len(part)] += part
    while lanes > 1:
        lanes //= 2
        totals[:lanes] += totals[lanes : 2 * lanes]
    return totals[0]


def lanes_by_recursion(x, lanes):
    def added(totals):
        return totals[0] if len(totals) == 1 else added(totals[: len(totals) // 2] + totals[len(totals) // 2 :])

    return added(sum(filled(x, lanes).reshape(-1, lanes)))


def lanes_by_rows_last(x, lanes):
    columns = filled(x, lanes).view(-1, lanes).T
    totals = columns[:, 0]
    for k in range(1, columns.shape[1]):
        totals = totals + columns[:, k]
    return halves_of(totals)


def knuth(a, b):
    """Return a + b and what it lost, without asking which is the larger."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def compensated_without_asking(x):
    total, lost = x.new_zeros(()), x.new_zeros(())
    for term in x:
        total, error = knuth(total, term)
        lost += error
    return total + lost


def compensated_in_python(x):
    total = lost = 0.0
    for term in x.tolist():
        new = total + term
        big, small = (total, term) if abs(total) > abs(term) else (term, total)
        lost += (big - new) + small
        total = new
    return torch.tensor(total + lost)


def compensated_by_where(x):
    total, lost = x[0] * 0, x[0] * 0
    for term in x:
        new = total + term
        larger = term.abs() > total.abs()
        lost = lost + torch.where(larger, (term - new) + total, (total - new) + term)
        total = new
    return total + lost


def compensated_in_numpy(x):
    numbers = x.double().numpy()
    total = lost = np.float64(0)
    for k in range(len(numbers)):
        new = total + numbers[k]
        big, small = sorted((total, numbers[k]), key=abs, reverse=True)
        lost = lost + ((big - new) + small)
        total = new
    return torch.tensor(total + lost)


def by_fractions(x):
    total = Fraction(0)
    for term in x.tolist():
        total += Fraction(term)
    return torch.tensor(float(total))


def limit_by_steps(n, lanes, dtype):
    roundings = -(-n // lanes) - 1
    while lanes > 1:
        roundings, lanes = roundings + 1, lanes // 2
    ku = roundings * torch.finfo(dtype).eps * 0.5
    if ku >= 1:
        return float("inf")
    return ku / (1 - ku)


def unit(dtype):
    return {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}[dtype]


def limit_in_torch(n, lanes, dtype):
    ku = torch.tensor((math.ceil(n / lanes) - 1 + lanes.bit_length() - 1) * unit(dtype), dtype=torch.float64)
    return torch.where(ku < 1, 1 / (1 / ku - 1), torch.inf)


def python_sum_by_loop(x):
    total = 0.0
    for term in x:
        total += term
    return total


def by_size(a, b):
    """Return a sum and what it lost, by asking which of the two is the larger."""
    new = a + b
    big, small = torch.where(a.abs() >= b.abs(), a, b), torch.where(a.abs() >= b.abs(), b, a)
    return new, (big - new) + small


def half_with_slices(losses, lanes=128):
    total = losses.new_zeros(lanes)
    lost = torch.zeros_like(total)
    for at in range(0, len(losses) // lanes * lanes, lanes):
        total, more = by_size(total, losses[at : at + lanes])
        lost = lost + more
    if len(losses) % lanes:
        rest = torch.cat([losses[-(len(losses) % lanes) :], losses.new_zeros(lanes - len(losses) % lanes)])
        total, more = by_size(total, rest)
        lost = lost + more
    while len(total) > 1:
        total, more = by_size(total[0::2], total[1::2])
        lost = lost[0::2] + lost[1::2] + more
    return torch.cat([total, lost])


def half_renormalised(losses):
    """Keep each lane's two numbers apart in size after every step."""
    high = losses.new_zeros(32)
    low = losses.new_zeros(32)
    for row in losses.view(-1, 32):
        new, more = by_size(high, row)
        high, low = by_size(new, low + more)
    while len(high) > 1:
        half = len(high) // 2
        new, more = by_size(high[:half], high[half:])
        high, low = by_size(new, low[:half] + low[half:] + more)
    return torch.stack([high[0], low[0]])


def half_with_numbers(losses):
    """Use Python's numbers beside tensors, which PyTorch converts inside of its operations."""
    total, lost = 0.0 * losses[:64], 0.0 * losses[:64]
    for row in losses.view(-1, 64):
        total, more = by_size(total, 1.0 * row)
        lost = lost + torch.where(more == 0, 0.0, more)
    while len(total) > 1:
        half = len(total) // 2
        total, more = by_size(total[:half], total[half:])
        lost = lost[:half] + lost[half:] + more
    return torch.cat([total, lost])


RIGHT = {
    "half_total": {
        "slices": half_with_slices,
        "renormalised": half_renormalised,
        "numbers beside tensors": half_with_numbers,
    },
    "sum_ledger": {
        "counted": ledger_by_walking,
        "numpy": ledger_in_numpy,
        "a tensor": lambda n, itemsize, way: torch.tensor(ledger_by_walking(n, itemsize, way)),
    },
    "least_seconds": {
        "where": lambda d, b, o, launch, bandwidth, peak: (
            d * launch + (b / bandwidth if b * peak > o * bandwidth else o / peak)
        ),
        "a tensor": lambda d, b, o, launch, bandwidth, peak: (
            torch.tensor([b / bandwidth, o / peak], dtype=torch.float64).max() + d * launch
        ),
        "numpy": lambda d, b, o, launch, bandwidth, peak: np.maximum(b / bandwidth, o / peak) + d * launch,
        "each launch apart": lambda d, b, o, launch, bandwidth, peak: (
            math.fsum([launch] * d) + max([b / bandwidth, o / peak])
        ),
        "float32": lambda d, b, o, launch, bandwidth, peak: torch.tensor(
            d * launch + max(b / bandwidth, o / peak), dtype=torch.float32
        ),
    },
    "bytes_for_share": {
        "time first": lambda s, launch, bandwidth: (launch / (1 - s) - launch) * bandwidth,
        "one over": lambda s, launch, bandwidth: launch * bandwidth * (1 / (1 - s) - 1),
        "a tensor": lambda s, launch, bandwidth: torch.tensor(s * launch * bandwidth / (1 - s)),
        "negative powers": lambda s, launch, bandwidth: s * launch * bandwidth * (1 - s) ** -1,
    },
    "clock_reading": {
        "times noted": reading_by_times,
        "the longest way": reading_by_the_longest_way,
        "work left": reading_by_idle_time,
        "a tensor": lambda *given: torch.tensor(reading_by_times(*given)),
    },
    "lanes_sum": {
        "slices": lanes_by_slices,
        "in place": lanes_in_place,
        "recursion": lanes_by_recursion,
        "columns": lanes_by_rows_last,
        "rows by split": lambda x, lanes: pairs_of(sum(filled(x, lanes).split(lanes))),
    },
    "compensated_sum_loop": {
        "without asking": compensated_without_asking,
        "Python's numbers": compensated_in_python,
        "where": compensated_by_where,
        "numpy": compensated_in_numpy,
        "fractions": by_fractions,
    },
    "sum_error_limit": {
        "counted": limit_by_steps,
        "a tensor": limit_in_torch,
        "a table of formats": lambda n, lanes, dtype: (
            math.inf
            if (k := math.ceil(n / lanes) - 1 + round(math.log2(lanes))) * unit(dtype) >= 1
            else k * unit(dtype) / (1 - k * unit(dtype))
        ),
    },
    "summation_python_sum": {
        "a loop": python_sum_by_loop,
        "a list of floats": lambda x: sum(x.tolist()),
        "a generator": lambda x: sum(term for term in x),
        "a range": lambda x: sum(x[k] for k in range(len(x))),
        "numpy": lambda x: sum(x.numpy()),
    },
    "summation_torch_sum": {
        "a method": lambda x: x.sum(),
        "over a dimension": lambda x: torch.sum(x, 0),
        "a product with ones": lambda x: x @ torch.ones_like(x),
        "einsum": lambda x: torch.einsum("n->", x),
        "float64": lambda x: x.double().sum(),
    },
    "predict_summation_seconds": {
        "the scalar too": lambda n, bandwidth: 4 * (n + 1) / bandwidth,
        "by the dtype": lambda n, bandwidth: torch.float32.itemsize * n / bandwidth,
        "bits": lambda n, bandwidth: (32 * n) / (8 * bandwidth),
        "a tensor": lambda n, bandwidth: torch.tensor(4 * n / bandwidth, dtype=torch.float64),
    },
}


@pytest.mark.parametrize(("name", "style"), [(name, style) for name, styles in RIGHT.items() for style in styles])
def test_every_right_style_passes(named, name, style):
    report = check(named(name, RIGHT[name][style]))
    assert report.passed, report


FORBIDDEN = {
    "torch.sum": ("lanes_sum", lambda x, lanes: x.sum()),
    "rows summed": ("lanes_sum", lambda x, lanes: pairs_of(filled(x, lanes).view(-1, lanes).sum(0))),
    "lanes summed": ("lanes_sum", lambda x, lanes: one_by_one(filled(x, lanes).view(-1, lanes)).sum()),
    "a mean": ("lanes_sum", lambda x, lanes: x.mean() * len(x)),
    "a running total": ("lanes_sum", lambda x, lanes: x.cumsum(0)[-1]),
    "a product": ("lanes_sum", lambda x, lanes: x @ torch.ones_like(x)),
    "an operator of matrices": ("lanes_sum", lambda x, lanes: pairs_of(torch.ones(1, 1) @ x[None])),
    "einsum": ("lanes_sum", lambda x, lanes: torch.einsum("n->", x)),
    "an index": ("lanes_sum", lambda x, lanes: x.new_zeros(1).index_add(0, torch.zeros(len(x), dtype=int), x)[0]),
    "a sum in float64": ("compensated_sum_loop", lambda x: x.double().sum()),
    "a dot product": ("compensated_sum_loop", lambda x: torch.dot(x, torch.ones_like(x))),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_is_to_be_written_may_not_be_called(named, what):
    name, borrowed = FORBIDDEN[what]
    report = check(named(name, borrowed))
    assert report.state == "failed"
    assert "asks you to write" in repr(report)


compensated_sum, sequential_sum = summation.compensated_sum, summation.sequential_sum


def compensated_sum_loop(x):
    return compensated_sum(x)


def summation_python_sum(x):
    return sequential_sum(x)


@pytest.mark.parametrize("borrowing", [compensated_sum_loop, summation_python_sum], ids=lambda f: f.__name__)
def test_the_courses_own_answer_is_refused(borrowing):
    report = check(borrowing)
    assert report.state == "failed"
    assert "borrowed" in report.message


def test_no_answer_of_the_lanes_hides_what_a_short_format_loses():
    """A number of lanes is a promise of what is lost: an exact sum in place of two stuck totals is told apart."""
    (stuck,) = {
        float(exercises()["lanes_sum"].reference(*case.args))
        for case in exercises()["lanes_sum"].cases(torch.Generator().manual_seed(1))
        if case.args[1:] == (2,) and case.args[0].dtype == torch.bfloat16
    }
    assert stuck == 512


def test_the_limit_holds_for_every_sum_in_lanes():
    generator = torch.Generator().manual_seed(3)
    lanes_sum, limit = (exercises()[name].reference for name in ("lanes_sum", "sum_error_limit"))
    for dtype, n, lanes in itertools.product((torch.float32, torch.float16, torch.bfloat16), (7, 100), (1, 4)):
        x = torch.randn(n, generator=generator).to(dtype)
        off = abs(math.fsum(x.tolist()) - float(lanes_sum(x, lanes)))
        assert off <= limit(n, lanes, dtype) * math.fsum(x.abs().tolist())


NAMED = {
    "lanes alone": (in_lanes_alone, "the second number not used"),
    "more lanes": (lambda losses: in_lanes_alone(losses, 256), "the second number not used"),
    "one by one": (one_by_one_with_its_loss, "a total that stops growing"),
    "Python's sum": (lambda losses: torch.stack([sum(losses), losses.new_zeros(())]), "a total that stops growing"),
    "in float32": (promoted, "numbers that are no bfloat16"),
    "taken away": (lambda losses: half_with_slices(losses) * losses.new_tensor([1, -1]), "what was lost taken away"),
    "a mean": (lambda losses: half_with_slices(losses) / len(losses), "the mean in place of the sum"),
}


@pytest.mark.parametrize("what", NAMED)
def test_a_total_that_misses_the_score_is_told_why(named, what):
    wrong, told = NAMED[what]
    report = check(named("half_total", wrong))
    assert report.state == "failed"
    assert report.misconception == told, report


def halves_of_all(losses):
    """Add neighbours in pairs, with what each round loses: right, and half of the losses are held at once."""
    lost = torch.zeros_like(losses)
    while len(losses) > 1:
        losses, more = by_size(losses[0::2], losses[1::2])
        lost = lost[0::2] + lost[1::2] + more
    return torch.cat([losses, lost])


def written_into(losses):
    kept = losses.new_zeros(2)
    total = torch.zeros(64)
    for row in losses.view(-1, 64):
        total = total + row
    while len(total) > 1:
        total = total[: len(total) // 2] + total[len(total) // 2 :]
    kept[0] = total[0]
    kept[1] = total[0] - kept[0]
    return kept


REFUSED = {
    "a conversion": (lambda losses: half_with_slices(losses.float()), "called "),
    "to float64": (lambda losses: half_with_slices(losses.to(torch.float64)), "called "),
    "PyTorch's sum": (lambda losses: torch.stack([losses.sum(), losses.new_zeros(())]), "called sum"),
    "Python's numbers": (lambda losses: losses.new_tensor([math.fsum(losses.tolist()), 0.0]), "called tolist"),
    "an exact sum": (lambda losses: losses.new_tensor([math.fsum(losses), 0.0]), "called "),
    "written into": (written_into, "called setitem"),
    "too much at once": (halves_of_all, "a tensor of 1,024 numbers was made, and 256 are enough here"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_total_that_hides_a_wider_format_or_keeps_too_much_is_refused(named, what):
    wrong, said = REFUSED[what]
    report = check(named("half_total", wrong))
    assert report.state == "failed"
    assert said in report.failures[0].reason


def test_a_total_in_half_precision_is_within_the_score_with_room():
    found, lazy = [], []
    for seed in range(50):
        for case in declared.visit_cases(torch.Generator().manual_seed(seed)):
            found.append(declared._millionths(declared.in_two_numbers(*case.args).float(), case.kept))
            lazy.append(declared._millionths(in_lanes_alone(*case.args).float(), case.kept))
    assert max(found) < declared.MILLIONTHS * 0.8
    assert all(max(lazy[at : at + 3]) > 2 * declared.MILLIONTHS for at in range(0, 150, 3))
