"""Time one call of a function on a device, so that the number can be trusted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from lossbook.timing.circumstances import devices, known_device, machine, wait_for
from lossbook.timing.clocks import Clock, clock_for
from lossbook.timing.result import Measurement
from lossbook.timing.speed import machine_speed, require_cache
from lossbook.timing.texts import counted_text, quartiles, seconds_text, share_text
from lossbook.timing.work import TooLong, Work, counted

__all__ = ["Measurement", "devices", "machine", "measure", "wait_for"]

GRAINS = 2000  # of the clock, that a block lasts at least
SLICE = 0.05  # seconds that the repeats last together at least: several turns of the operating system's scheduler
BATCH = 0.02  # seconds of blocks that are queued on a GPU before it is waited for
# A share of the bound above this shows an error. Up to it a call may only read: a copy also fetches what it overwrites.
TRUSTED = 2.0


def measure(
    function: Callable[..., Any],
    *args: Any,
    device: torch.device | str = "cpu",
    cache: str = "warm",
    warmup: int = 1,
    budget: float = 2.0,
    spread: float = 0.05,
    least: int = 5,
    most: int = 1000,
    repeats: int | None = None,
    work: bool | Work = True,
    own: bool = False,
    tries: int = 1,
) -> Measurement:
    """Time ``function(*args)``.

    The first ``warmup`` calls are not counted: they pay for caches, memory and kernels that later calls find ready.
    Calls are timed in blocks, so long that the clock's grain does not matter, by ``torch.utils.benchmark`` on the CPU
    and by pairs of events on a GPU. Blocks are repeated until their interquartile range is a small part of their
    median, or the budget is spent. The median is reported, because one interruption by the operating system moves a
    mean and leaves a median where it was. Then the work of one more call is counted, and compared with what the device
    can do.

    Args:
        function: What to time.
        *args: Its arguments, already on the device.
        device: Where the work runs.
        cache: ``"warm"``: calls follow one another, and find in the caches what the one before left there. ``"cold"``:
            the caches are flushed before each call, which is a block of its own.
        warmup: Calls that are not counted, at least 0. With 0 nothing runs before the first counted call, and every
            block is one call.
        budget: Seconds after which no further block is started. At least one is always counted.
        spread: The interquartile range, as a part of the median, at which the repeats are enough.
        least: Blocks that are counted at least, if the budget allows; fewer earn a warning.
        most: Blocks that are counted at most.
        repeats: Exactly so many blocks, whatever their spread, if the budget allows. It replaces ``least`` and
            ``most``.
        work: Whether to count the work of one more call and compare the time with the bound. A ``Work`` is taken as it
            is: state it for a kernel that PyTorch's dispatcher does not see.
        own: On the CPU, whether to count the time that this thread had the processor, and not the time on the wall. It
            is the same where nothing else runs, and right where other programs do, for a call that computes on one
            thread and waits for nothing. Where the system keeps no such time, or keeps it coarsely, the wall's counts.
        tries: How often it is all done, at most: while the repeats are noisy, it is done again. Of several tries the
            calm one counts, or the fastest.

    Returns:
        The measurement: it prints as a table, draws as a picture and saves as JSON.

    Raises:
        TypeError: ``function`` is not callable.
        ValueError: An option is out of its range, ``device`` is unknown or absent, or an argument is on another.

    """
    if not callable(function):
        raise TypeError(f"function is a {type(function).__name__}; it must be callable")
    require_cache(cache)
    _require(warmup=(warmup, 0), budget=(budget, 0), spread=(spread, 0), least=(least, 1), most=(most, least))
    _require(tries=(tries, 1))
    if repeats is not None:
        _require(repeats=(repeats, 1))
        most = repeats
    there = known_device(device)
    _require_there(args, there)
    found: list[Measurement] = []
    while not found or (found[-1].noisy and len(found) < tries):
        found.append(_try(function, args, there, cache, warmup, budget, spread, (least, most), repeats, work, own))
    return min(found, key=lambda each: (each.noisy, each.median))


def _try(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    there: torch.device,
    cache: str,
    warmup: int,
    budget: float,
    spread: float,
    counts: tuple[int, int],
    repeats: int | None,
    work: bool | Work,
    own: bool,
) -> Measurement:
    """Measure once; the arguments are those of ``measure``."""
    keeper = _Keeper(function)
    with _current(there):
        clock = clock_for(function if warmup else keeper, args, there, cold=cache == "cold", own=own)
        begin = time.perf_counter()
        _warm_up(keeper, args, there, warmup, begin + budget / 2)
        calls = _calls(clock, begin + budget / 2) if warmup and cache == "warm" else 1
        clock.interrupted = 0
        times = _repeat(clock, calls, there, counts, spread if repeats is None else None, begin + budget)
        found, remarks = _count(function, args, there, work, budget)
    bound = machine_speed(there).bound(found, cache=cache) if found is not None else None
    median, iqr = statistics.median(times), interquartile_range(times)
    doubts = _doubts(times, calls, spread, counts[0], clock)
    if bound and bound.seconds > TRUSTED * median:
        remarks.append(
            f"the median is {bound.seconds / median:.1f} times as fast as the bound, {seconds_text(bound.seconds)}: "
            "the work was optimised away, or its bytes and operations are not those counted"
        )
    return Measurement(
        median=median,
        fastest=min(times),
        slowest=max(times),
        repeats=len(times),
        value=keeper.value,
        iqr=iqr,
        times=tuple(times),
        calls=calls,
        device=there.type,
        threads=torch.get_num_threads(),
        cache=cache,
        work=found,
        bound=bound,
        noisy=bool(doubts),
        warnings=(*doubts, *remarks),
        name=getattr(function, "__name__", type(function).__name__),
    )


class _Keeper:
    """A function that keeps what it returned last."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.value = function, None

    def __call__(self, *args: Any) -> None:
        self.value = self.function(*args)


def interquartile_range(times: Sequence[float]) -> float:
    """Return the width of the middle half of the times."""
    low, high = quartiles(times)
    return high - low


def _require(**options: tuple[float, float]) -> None:
    """Raise ``ValueError`` unless every option is a number that is at least its limit."""
    for name, (value, limit) in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= limit:
            raise ValueError(f"{name} is {value!r}; it must be at least {limit}")


def _require_there(args: tuple[Any, ...], device: torch.device) -> None:
    """Raise ``ValueError`` if an argument is on another device; a single number may be on the CPU."""
    for i, tensor in enumerate(leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)):
        if tensor.device.type != device.type and not (tensor.ndim == 0 and tensor.device.type == "cpu"):
            raise ValueError(f"tensor {i} of the arguments is on '{tensor.device}'; it must be on '{device}'")


def _current(device: torch.device) -> AbstractContextManager[Any]:
    """Make a numbered GPU the current one."""
    return nullcontext() if device.index is None else torch.cuda.device(device)


def _warm_up(function: Callable[..., Any], args: tuple[Any, ...], device: torch.device, calls: int, end: float) -> None:
    """Call until ``calls`` are done or the time is over."""
    for _ in range(calls):
        function(*args)
        wait_for(device)
        if time.perf_counter() > end:
            break


def _calls(clock: Clock, end: float) -> int:
    """Return how many calls make a block long enough. Trying it out is warm-up too."""
    calls = 1
    while time.perf_counter() < end:
        seconds = _undisturbed(clock, calls)
        if seconds * calls >= GRAINS * clock.grain:
            break
        calls = min(10 * calls, max(calls + 1, round(1.2 * GRAINS * clock.grain / seconds)))
    return calls


def _undisturbed(clock: Clock, calls: int) -> float:
    """Return the seconds of a call in a block, tried again where another program came between."""
    times: list[float] = []
    for _ in range(5):
        earlier = clock.interrupted
        times += clock.blocks(calls, 1)
        if clock.interrupted == earlier or sum(times) * calls > SLICE:
            break
    return min(times)


def _repeat(
    clock: Clock, calls: int, device: torch.device, counts: tuple[int, int], spread: float | None, end: float
) -> list[float]:
    """Time blocks until they agree, or there are enough, or the time is over; return each one's seconds a call."""
    least, most = counts
    times: list[float] = []
    begin = time.perf_counter()
    while not times or (len(times) < most and time.perf_counter() < end):
        long = len(times) >= least and time.perf_counter() - begin >= SLICE
        calm = 2 * clock.interrupted <= len(times)
        if spread is not None and long and calm and interquartile_range(times) <= spread * statistics.median(times):
            break
        queued = 1
        if device.type == "cuda" and times:
            queued = max(1, min(most - len(times), int(BATCH / (times[-1] * calls))))
        times += clock.blocks(calls, queued)
    return times


def _count(
    function: Callable[..., Any], args: tuple[Any, ...], device: torch.device, work: bool | Work, budget: float
) -> tuple[Work | None, list[str]]:
    """Count the work of one more call, in no more than the budget; say what went wrong."""
    if isinstance(work, Work) or not work:
        return work or None, []
    try:
        found, seen, _ = counted(function, *args, limit=budget)
    except TooLong:
        return None, ["the work was not counted: that would have taken longer than the budget"]
    except Exception as error:
        return None, [f"the work was not counted: {type(error).__name__} in the call that counts ({error})"]
    others = sorted(seen - {device.type, "meta"})
    if others and device.type not in seen:
        return None, [f"the work ran on {others[0]}, and the clock is that of {device.type}: this is not its time"]
    return found, []


def _doubts(times: Sequence[float], calls: int, spread: float, least: int, clock: Clock) -> list[str]:
    """Say in plain words why the median is not to be trusted; nothing if it is."""
    median, width = statistics.median(times), interquartile_range(times)
    found = []
    if len(times) < least:
        found.append(f"{counted_text(len(times), 'repeat', 's')}: fewer than {least} do not show how the time varies")
    if width > spread * median:
        found.append(
            f"the middle half of the repeats is {share_text(width / median)} of the median wide, and should be "
            f"{share_text(spread)} at most"
        )
    if 2 * clock.interrupted > len(times):
        found.append(f"other programs took the processor during {clock.interrupted} of {len(times)} repeats")
    if median * calls < 20 * clock.grain:
        found.append(
            f"a block lasts {seconds_text(median * calls)}, and the clock tells apart {seconds_text(clock.grain)}: too "
            "short to tell the time to 5 %"
        )
    return found
