"""How much memory a call needs, and how much there is."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from lossbook.bench.plan import BOTH, DTYPES, Case
from lossbook.cards import Size

# Copies of the largest array that each implementation holds at once, at most, on the CPU, where what is too much for
# the machine can't be caught afterwards. On a GPU it can, and only what every implementation needs is asked for.
COPIES = {"pytorch": 6, "pytorch compiled": 6, "liger": 3}
MANY = 12
HOW = {
    "cpu": "bytes that PyTorch's allocator held at once beyond the arguments, from torch.profiler",
    "cuda": "torch.cuda.max_memory_allocated less what the arguments held",
}


def keep_freed() -> bool:
    """Have the C library keep the memory that is freed, and say whether it does.

    The GNU C library gives large blocks back to the system and asks for them again. Each page then costs a fault at its
    first use: for a loss of a million numbers several times what the loss costs, and more for whoever makes more
    intermediate tensors. PyTorch's own allocator for GPUs keeps what is freed, too.
    """
    trim_threshold, mmap_max = -1, -4
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(trim_threshold, 2**31 - 1) and mallopt(mmap_max, 0))


def needed(case: Case) -> int:
    """Return an estimate of the bytes that a case needs: on the CPU never too few, on a GPU never too many."""
    itemsize = DTYPES[case.dtype].itemsize
    elements, largest = _elements(case.size)
    if case.device == "cuda":
        return elements * itemsize * (2 if case.passes == BOTH else 1)
    return elements * itemsize + largest * max(itemsize, 4) * (2 + COPIES.get(case.implementation, MANY))


def _elements(size: Size) -> tuple[int, int]:
    """Return how many numbers the arguments hold together, and the largest array of the computation."""
    if len(size) == 1:
        return 3 * size[0], size[0]
    if len(size) == 2:
        return size[0] * size[1], size[0] * size[1]
    N, D, V = size
    return (N + V) * D, max(N * V, N * D, V * D)


def available(device: str) -> int | None:
    """Return the bytes of memory that a device has free, or None where the system does not say."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0]) + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    found = [value for value in (_free(), _allowed()) if value is not None]
    return min(found, default=None)


def _free() -> int | None:
    """Return what the system could give, as Linux says, or else all that the machine has."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _allowed() -> int | None:
    """Return what the control group of this process leaves it, or None where it sets no limit."""
    group = Path("/sys/fs/cgroup")
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def is_too_little(error: Exception) -> bool:
    """Return whether an exception says that memory ran out, on either device."""
    said = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in said or "not enough memory" in said)
    )


def peak(call: Callable[[], object], device: str) -> int:
    """Return the bytes that a call holds at once beyond what there was before it, its results included.

    Args:
        call: What is called, once. It was called before, so that nothing is compiled now.
        device: Where it computes.

    """
    if device == "cuda":
        gc.collect()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    return _profiled(call)


def _profiled(call: Callable[[], object]) -> int:
    """Add up what the CPU's allocator gave and took back, in order, and return the highest total."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else the profiler tells of its own start and end
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]" and event["args"]["Device Type"] == 0]
    held: dict[int, int] = {}
    now = highest = 0
    for event in sorted(changes, key=lambda event: (event["ts"], event["args"]["Ev Idx"])):
        place, size = event["args"]["Addr"], event["args"]["Bytes"]
        if size > 0:
            held[place] = size
        now += size if size > 0 else -held.pop(place, 0)  # what was there before the call and goes in it does not count
        highest = max(highest, now)
    return highest
