"""What a device can do, measured on it, and the bound that this sets to a call."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from lossbook.timing.circumstances import device_name, known_device, last_level_cache
from lossbook.timing.clocks import clock_for
from lossbook.timing.work import Work

CACHES = ("warm", "cold")
SMALLEST = 2**18
PATIENCE = 0.05  # seconds
LARGEST = {"cpu": 2**30, "cuda": 2**32}


@dataclass(frozen=True)
class Bound:
    """The time that no call can beat by much.

    Args:
        seconds: The launch, and the longer of memory and compute, which run side by side.
        launch: Seconds of the smallest operation.
        memory: Seconds for the compulsory bytes at the device's copy bandwidth.
        compute: Seconds for the operations at the speed of a matrix product.
        by: Which of the three is the largest: ``"launch"``, ``"memory"`` or ``"compute"``.

    """

    seconds: float
    launch: float
    memory: float
    compute: float
    by: str


@dataclass(frozen=True)
class Machine:
    """What a device can do, as measured on it.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        name: The processor's or the GPU's name.
        threads: PyTorch's threads on the CPU.
        bandwidths: For growing footprints in bytes, the bytes a second of a copy whose source and destination together
            have that footprint. The bytes are those read and those written.
        launch: Seconds of the smallest operation.
        peak: Operations a second of a matrix product in float32.

    """

    device: str
    name: str
    threads: int
    bandwidths: tuple[tuple[int, float], ...]
    launch: float
    peak: float

    @property
    def bandwidth(self) -> float:
        """The memory's own bandwidth in bytes a second, at the largest footprint, where no cache helps."""
        return self.bandwidths[-1][1]

    def bandwidth_at(self, footprint: int) -> float:
        """Return the bytes a second that a copy of this footprint reached, interpolated between those measured."""
        sizes = [math.log(size) for size, _ in self.bandwidths]
        speeds = [math.log(speed) for _, speed in self.bandwidths]
        at = math.log(max(footprint, 1))
        if at <= sizes[0] or len(sizes) == 1:
            return math.exp(speeds[0])
        for i in range(1, len(sizes)):
            if at <= sizes[i]:
                part = (at - sizes[i - 1]) / (sizes[i] - sizes[i - 1])
                return math.exp(speeds[i - 1] + part * (speeds[i] - speeds[i - 1]))
        return math.exp(speeds[-1])

    def bound(self, work: Work, *, cache: str = "warm") -> Bound:
        """Return the time that this work cannot beat by much on this device.

        Args:
            work: What a call must do.
            cache: ``"warm"``: what fits into a cache is there, and the bandwidth is that of a copy with the footprint
                of the work. ``"cold"``: nothing is there, and it is the memory's own.

        Raises:
            ValueError: ``cache`` is neither.

        """
        require_cache(cache)
        memory = work.bytes / (self.bandwidth if cache == "cold" else self.bandwidth_at(work.bytes))
        compute = work.operations / self.peak
        parts = {"launch": self.launch, "memory": memory, "compute": compute}
        by = max(parts, key=lambda part: parts[part])
        return Bound(self.launch + max(memory, compute), self.launch, memory, compute, by)


def require_cache(cache: object) -> None:
    """Raise ``ValueError`` unless the cache is ``"warm"`` or ``"cold"``."""
    if cache not in CACHES:
        raise ValueError(f"cache is {cache!r}; it must be 'warm' or 'cold'")


def machine_speed(device: torch.device | str = "cpu") -> Machine:
    """Measure what a device can do: about a second the first time, then at once.

    Copy bandwidth is measured at footprints from a fraction of the cache to several times the largest one, the launch
    as an addition of one element, the peak as a product of two float32 matrices. Of several tries the fastest counts:
    what else the machine did can only have slowed the others.

    Args:
        device: The device to measure.

    Raises:
        ValueError: The device is unknown or absent.

    """
    return _speed(str(known_device(device)), torch.get_num_threads())


def measure_anew(device: torch.device | str = "cpu") -> Machine:
    """Measure what a device can do once more, where the last measurement can't be right.

    Args:
        device: The device to measure.

    """
    _speed.cache_clear()
    return machine_speed(device)


@functools.cache
def _speed(device: str, threads: int) -> Machine:
    there = torch.device(device)
    with torch.no_grad():
        launch = _launch(there)
        bandwidths = _monotone([(size, _copy(there, size, launch)) for size in footprints(there)])
        peak = _peak(there, launch)
    return Machine(there.type, device_name(there), threads, bandwidths, launch, peak)


def footprints(device: torch.device) -> list[int]:
    """Return the footprints to copy, each four times the one before, the last well beyond the largest cache."""
    wanted = 4 * last_level_cache(device)
    if device.type == "cuda":
        wanted, room = LARGEST["cuda"], torch.cuda.mem_get_info(device)[0] // 4
    else:
        room = memory_free() // 8
    largest = max(min(wanted, LARGEST[device.type], room), 4 * SMALLEST)
    count = math.ceil(math.log(largest / SMALLEST, 4))
    return [SMALLEST * 4**i for i in range(count + 1)]


def memory_free() -> int:
    """Return the bytes of memory that are free, or 2 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**31


def _fastest(function: Callable[..., Any], args: tuple[Any, ...], device: torch.device) -> float:
    """Return the seconds of one call in the fastest block, with all of PyTorch's threads or with one.

    Blocks are short, for a short one is seldom interrupted. They go on until none has been faster for a while. One
    thread is tried too: it is faster for little data, and where other programs keep the processor's cores busy.
    """
    from torch.utils import benchmark  # what it brings beyond a clock takes a while to import

    fastest = math.inf
    for threads in {torch.get_num_threads(), 1} if device.type == "cpu" else {1}:
        with benchmark.set_torch_threads(threads) if device.type == "cpu" else nullcontext():
            clock = clock_for(function, args, device, cold=False)
            fastest = min(fastest, *clock.blocks(1, 3))
            calls = max(1, min(1000, round(500 * clock.grain / fastest)))
            begin = found = time.perf_counter()
            while time.perf_counter() < min(found + PATIENCE, begin + 3 * PATIENCE):
                now = clock.blocks(calls, 1)[0]
                if now < 0.98 * fastest:
                    found = time.perf_counter()
                fastest = min(fastest, now)
    return fastest


def _launch(device: torch.device) -> float:
    one = torch.ones(1, device=device)
    return _fastest(torch.add, (one, one), device)


def _copy(device: torch.device, footprint: int, launch: float) -> float:
    source = torch.zeros(footprint // 8, device=device)
    destination = torch.zeros_like(source)
    seconds = _fastest(destination.copy_, (source,), device)
    return footprint / max(seconds - launch, seconds / 2)


def _peak(device: torch.device, launch: float) -> float:
    n = 8192 if device.type == "cuda" else 512
    left, right = torch.ones(n, n, device=device), torch.ones(n, n, device=device)
    seconds = _fastest(torch.mm, (left, right), device)
    return 2 * n**3 / max(seconds - launch, seconds / 2)


def _monotone(bandwidths: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Return the bandwidths, held so that a larger copy never takes less time than a smaller one."""
    kept: list[tuple[int, float]] = []
    for size, speed in bandwidths:
        least = kept[-1][0] / kept[-1][1] if kept else 0.0
        kept.append((size, size / max(size / speed, least)))
    return tuple(kept)
