"""Time one call of a function on a device, so that the number can be trusted."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Measurement:
    """The time of one call.

    Args:
        median: Median of the repeats, in seconds.
        fastest: Shortest repeat, in seconds.
        slowest: Longest repeat, in seconds.
        repeats: How many calls were counted.
        value: What the last call returned.

    """

    median: float
    fastest: float
    slowest: float
    repeats: int
    value: Any


def devices() -> list[torch.device]:
    """Return the devices to measure on: the CPU, then the GPU where there is one."""
    found = [torch.device("cpu")]
    if torch.cuda.is_available():
        found.append(torch.device("cuda"))
    return found


def machine() -> str:
    """Return in one line what the times below were measured on: processor, threads, GPU, PyTorch's version."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    count = torch.get_num_threads()
    threads = "1 thread" if count == 1 else f"{count} threads"
    return f"{platform.machine()} CPU, {threads}, {gpu}, torch {torch.__version__}"


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished all the work that was queued.

    A call on a GPU returns before the GPU has done the work: a clock read without this measures the queueing.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    function: Callable[..., Any],
    *args: Any,
    device: torch.device | str = "cpu",
    warmup: int = 1,
    repeats: int = 5,
    budget: float = 2.0,
) -> Measurement:
    """Time ``function(*args)``.

    The first ``warmup`` calls are not counted: they pay for caches, memory and kernels that later calls find ready.
    Each counted call starts and ends with the device idle. The median is reported, because one interruption by the
    operating system moves a mean and leaves a median where it was.

    Args:
        function: What to time.
        *args: Its arguments, already on the device.
        device: Where the work runs.
        warmup: Calls that are not counted, at least 0.
        repeats: Calls that are counted, at least 1. Fewer are made once ``budget`` is spent.
        budget: Seconds after which no further call is started. At least one call is always counted.

    Raises:
        ValueError: ``warmup`` is negative or ``repeats`` is less than 1.

    """
    if warmup < 0:
        raise ValueError(f"warmup is {warmup}; it must be at least 0")
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it must be at least 1")
    device = torch.device(device)
    begin = time.perf_counter()
    for _ in range(warmup):
        function(*args)
        wait_for(device)
        if time.perf_counter() - begin > budget / 2:
            break
    times: list[float] = []
    value = None
    while len(times) < repeats and (not times or time.perf_counter() - begin < budget):
        wait_for(device)
        start = time.perf_counter()
        value = function(*args)
        wait_for(device)
        times.append(time.perf_counter() - start)
    return Measurement(statistics.median(times), min(times), max(times), len(times), value)
