"""Two clocks: PyTorch's benchmark timer for the CPU, pairs of device events for a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import torch

from lossbook.timing.circumstances import last_level_cache, wait_for

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# A CUDA event is recorded to about half a microsecond (CUDA Runtime API, cudaEventElapsedTime).
EVENT_GRAIN = 0.5e-6

# Windows counts a thread's time in ticks of some 16 ms: too coarse to time a call.
THREAD_GRAIN = 1e-6

# A second of a program that has the processor to itself sees fewer.
INTERRUPTIONS = 50


class Clock(Protocol):
    """What measures blocks of calls on one device.

    ``grain`` is the shortest time that it tells apart; ``interrupted`` counts the blocks in which the operating system
    gave the processor to other programs.
    """

    grain: float
    interrupted: int

    def blocks(self, calls: int, count: int) -> list[float]:
        """Return the seconds of one call, in each of ``count`` blocks of ``calls`` calls."""
        ...


@cache
def _timer() -> Any:
    """Return PyTorch's timer, with a block that is timed and not warmed up again.

    ``Timer.timeit`` calls twice more before each block: three times the cost for a block of one slow call. It is
    imported when something is timed: what it can do beyond a clock brings PyTorch's tools for building extensions.
    """
    from torch.utils import benchmark

    class Timer(benchmark.Timer):
        def block(self, calls: int) -> float:
            """Return the seconds of one call in a block of ``calls``."""
            return self._timeit(calls) / calls

    return Timer


class HostClock:
    """Reads the processor's clock before and after a block, by ``torch.utils.benchmark``.

    Args:
        function: What to time.
        args: Its arguments.
        before: What to do before each block, outside the time; None for nothing.
        read: What reads the clock; None for the one on the wall.

    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        before: Callable[[], Any] | None,
        read: Callable[[], float] | None = None,
    ) -> None:
        self.grain, self.interrupted = host_grain(read or time.perf_counter), 0
        self._counts = read is None  # an interruption is no part of a thread's own time
        self._timer = _timer()(
            stmt="function(*args)",
            setup="before()" if before else "pass",
            globals={"function": function, "args": args, "before": before},
            num_threads=torch.get_num_threads(),
            **({"timer": read} if read else {}),
        )

    def blocks(self, calls: int, count: int) -> list[float]:
        """Return the seconds of one call, in each of ``count`` blocks."""
        times = []
        for _ in range(count):
            before = interruptions()
            seconds = self._timer.block(calls)
            self.interrupted += self._counts and interruptions() - before > INTERRUPTIONS * seconds * calls
            times.append(seconds)
        return times


class EventClock:
    """Records an event in the GPU's queue before and after a block, and reads both when the GPU is done.

    The blocks are queued one behind the other, so that the GPU does not idle between them.

    Args:
        function: What to time.
        args: Its arguments.
        before: What to queue before each block, outside the time; None for nothing.
        device: The GPU.

    """

    grain = EVENT_GRAIN
    interrupted = 0  # the GPU's clock does not see the processor

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        before: Callable[[], Any] | None,
        device: torch.device,
    ) -> None:
        self._function, self._args, self._before, self._device = function, args, before, device

    def blocks(self, calls: int, count: int) -> list[float]:
        """Return the seconds of one call, in each of ``count`` blocks."""
        function, args = self._function, self._args
        starts = [torch.cuda.Event(enable_timing=True) for _ in range(count)]  # type: ignore[no-untyped-call]
        ends = [torch.cuda.Event(enable_timing=True) for _ in range(count)]  # type: ignore[no-untyped-call]
        stream = torch.cuda.current_stream(self._device)
        wait_for(self._device)
        for start, end in zip(starts, ends, strict=True):
            if self._before:
                self._before()
            start.record(stream)
            for _ in range(calls):
                function(*args)
            end.record(stream)
        wait_for(self._device)
        return [
            max(start.elapsed_time(end), 1e-6) / 1e3 / calls for start, end in zip(starts, ends, strict=True)
        ]  # elapsed_time is in milliseconds


def interruptions() -> int:
    """Return how often the operating system has taken the processor from this program; 0 where it does not tell."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0


def thread_clock() -> Callable[[], float] | None:
    """Return what reads the processor time of this thread, or None where the system keeps it too coarsely."""
    try:
        fine = time.get_clock_info("thread_time").resolution <= THREAD_GRAIN
    except ValueError:  # the system keeps none
        return None
    return time.thread_time if fine else None


def host_grain(read: Callable[[], float] = time.perf_counter) -> float:
    """Return the shortest time that a clock of the processor tells apart, reading it included."""
    shortest = float("inf")
    for _ in range(50):
        start = now = read()
        while now == start:
            now = read()
        shortest = min(shortest, now - start)
    return shortest


def flusher(device: torch.device) -> Callable[[], Any]:
    """Return a function that drives everything out of the caches: it writes twice what the largest of them holds.

    On the CPU it reads what it writes, because long runs of writes alone go past the cache.
    """
    buffer = torch.zeros(2 * last_level_cache(device), dtype=torch.int8, device=device)
    return buffer.zero_ if device.type == "cuda" else lambda: buffer.add_(1)


def clock_for(
    function: Callable[..., Any], args: tuple[Any, ...], device: torch.device, *, cold: bool, own: bool = False
) -> HostClock | EventClock:
    """Return the clock of a device, for warm caches or for cold ones.

    Args:
        function: What to time.
        args: Its arguments.
        device: Where it runs.
        cold: Whether the caches are flushed before each block.
        own: Whether to read this thread's own time on the CPU, where the system tells it.

    """
    before = flusher(device) if cold else None
    if device.type == "cuda":
        return EventClock(function, args, before, device)
    return HostClock(function, args, before, thread_clock() if own else None)
