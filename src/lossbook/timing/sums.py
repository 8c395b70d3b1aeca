"""The race of every lesson, run: a loss reduced with Python's ``sum`` and with ``torch.sum``, on each device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lossbook.timing.measure import devices, measure
from lossbook.timing.race import NAMES, Limit, Row, SumRace
from lossbook.timing.speed import Machine, machine_speed, measure_anew
from lossbook.timing.trust import Tries, falling
from lossbook.timing.work import Work

SIZES = (100, 1_000, 10_000, 100_000)
LEAST = 2  # repeats of one contestant at one size in a try
SPREAD = 0.2  # the middle half of the repeats, as a part of the median, up to which they are calm
BUDGET = 0.6  # seconds after which a try ends; a calm one ends much earlier, one of a slow call later
TRIES = 5  # of one contestant at one size at most, and two at least
PATIENCE = 3.0  # seconds for the third tries and all later ones together
BEATEN = 2.0  # times as fast as the bound: then it is the bound that is wrong
SCALAR = 8  # bytes of the result, which a prediction may count: float64 at most


def called(function: Callable[..., Any]) -> str:
    """Return a function's name, as it is called in a message."""
    return str(getattr(function, "__name__", "your prediction"))


def what_is_missing(prediction: Callable[[int, float], float], n: int, size: int) -> str | None:
    """Say what keeps a prediction from being the bound of moving ``size`` bytes; None where it is that."""
    name = called(prediction)
    try:
        moved = [prediction(n, bandwidth) * bandwidth for bandwidth in (1e9, 1e12)]
        right = all(size * 0.999 <= float(amount) <= (size + SCALAR) * 1.001 for amount in moved)
    except NotImplementedError:
        return f"Write {name} first; then the race is run."
    except Exception:  # whatever is wrong with it, its check says it better
        right = False
    return None if right else f"{name} is not the bound yet: check it first; then the race is run."


def race_sums(
    python_sum: Callable[..., Any],
    torch_sum: Callable[..., Any],
    make_inputs: Callable[[int], Sequence[Tensor]],
    prediction: Callable[[int, float], float] | None = None,
    sizes: Sequence[int] = SIZES,
) -> SumRace:
    """Time one loss reduced in two ways, on the CPU and on the GPU where there is one, and compare with the bound.

    The bound is the launch cost and the time that the inputs' bytes take, each read once, at the bandwidth measured on
    the device. Results on the way are no part of it: they could stay in registers.

    On the CPU both run on one thread, and its own time is counted: what other programs take from it is not. Python's
    ``sum`` has no use for a second thread; and where the processor is busy, a thread that waits for its turn keeps the
    others waiting, a thousand times as long as the call.

    All are measured twice, by turns. What is noisy is measured again, some times and some seconds at most. What stays
    noisy is marked, and no ratio is made of it. A time is noisy where its repeats differ, where other programs took the
    processor, where the measurements disagree, or where a larger N took far less time.

    Args:
        python_sum: The loss, reduced with Python's built-in ``sum``.
        torch_sum: The same loss, reduced with ``torch.sum``.
        make_inputs: Given N, the loss's arguments: tensors on the CPU, the first of float32.
        prediction: Given N and a bandwidth in bytes a second, the shortest time in seconds that moving the inputs can
            take. Nothing is measured before it is right: the result then says what to do first. Without one the bound
            is counted from the inputs.
        sizes: The numbers of samples N.

    Raises:
        TypeError: The prediction is no function.
        ValueError: There is no size, or one is less than 1.

    """
    if prediction is not None and not callable(prediction):
        raise TypeError(f"prediction is {prediction!r}; it must be a function of n and bandwidth")
    if not sizes or min(sizes) < 1:
        raise ValueError(f"sizes is {tuple(sizes)}; it must hold numbers of samples, each at least 1")
    inputs = {n: make_inputs(n) for n in sizes}
    moved = {n: sum(item.numel() * item.element_size() for item in mine) for n, mine in inputs.items()}
    if prediction is not None and (missing := what_is_missing(prediction, max(sizes), moved[max(sizes)])):
        return SumRace((), message=missing)
    losses = dict(zip(NAMES, (python_sum, torch_sum), strict=True))
    for loss in losses.values():
        try:
            scalar = loss(*inputs[sizes[0]])
        except NotImplementedError:
            return SumRace((), message=f"Write {called(loss)} first; then the race is run.")
    exact = {
        n: float(torch_sum(*(item.double() if item.is_floating_point() else item for item in mine)))
        for n, mine in inputs.items()
    }
    rows: list[Row] = []
    limits: list[Limit] = []
    for device in devices():
        speed = machine_speed(device)
        tried = _timed(losses, inputs, device)
        lost = _falling(tried)
        for (n, name), mine in tried.items():
            error = abs(float(mine.best.value) - exact[n]) / abs(exact[n]) if exact[n] else math.nan
            noisy = mine.noisy or (n, name) in lost
            rows.append(Row(device.type, n, name, mine.best.median, error, mine.fastest, noisy))
        found = [_limit(device, n, moved[n] + scalar.element_size(), speed, prediction, tried) for n in sizes]
        if any(limit.noisy for limit in found):  # the speed was measured while the machine was busy
            speed = measure_anew(device)
            found = [_limit(device, n, moved[n] + scalar.element_size(), speed, prediction, tried) for n in sizes]
        limits += found
    return SumRace(tuple(rows), tuple(limits))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch compute on one of the CPU's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _timed(
    losses: dict[str, Callable[..., Any]], inputs: dict[int, Sequence[Tensor]], device: torch.device
) -> dict[tuple[int, str], Tries]:
    """Time each contestant at each size twice, by turns, and again those that are noisy."""
    tried = {(n, name): Tries() for n in inputs for name in losses}
    took: dict[tuple[int, str], float] = {}
    with _one_thread():
        for turn in range(TRIES):
            if turn <= 2:
                begin = time.perf_counter()
            lost = _falling(tried)
            again = [key for key, mine in tried.items() if mine.noisy or key in lost]
            for n, name in again:
                mine = tried[n, name]
                if turn > 1 and time.perf_counter() - begin > PATIENCE:
                    return tried
                # On a busy machine the budget is soon spent: what has too few repeats gets more time.
                few = bool(mine.done) and mine.done[-1].repeats <= LEAST
                budget = min(max(BUDGET, 4 * took[n, name]), PATIENCE) if few else BUDGET
                args = [item.to(device) for item in inputs[n]]
                options: dict[str, Any] = {
                    "budget": budget,
                    "least": LEAST,
                    "spread": SPREAD,
                    "work": False,
                    "own": True,
                }
                start = time.perf_counter()
                mine.done.append(measure(losses[name], *args, device=device, **options))
                took[n, name] = time.perf_counter() - start
    return tried


def _falling(tried: dict[tuple[int, str], Tries]) -> set[tuple[int, str]]:
    """Return the sizes and contestants whose time can't be right, because a larger size took far less."""
    names = {name for _, name in tried}
    seconds = {
        name: {n: mine.best.median for (n, whose), mine in tried.items() if whose == name and mine.done}
        for name in names
    }
    return {(n, name) for name in names for n in falling(seconds[name])}


def _limit(
    device: torch.device,
    n: int,
    size: int,
    speed: Machine,
    prediction: Callable[[int, float], float] | None,
    tried: dict[tuple[int, str], Tries],
) -> Limit:
    """Return what a device allows at one size, where so many bytes must be moved."""
    bound = speed.bound(Work(bytes=size, moved=size, operations=0, dispatches=1))
    bandwidth = size / bound.memory
    stated = None if prediction is None else float(prediction(n, bandwidth))
    beaten = any(BEATEN * mine.best.median < bound.seconds for (m, _), mine in tried.items() if m == n)
    return Limit(device.type, n, size, bandwidth, bound.launch, bound.seconds, bound.by, stated, beaten)
