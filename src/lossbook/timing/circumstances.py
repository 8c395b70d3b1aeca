"""What a measurement was made on: device, processor, threads, driver, versions and date."""

from __future__ import annotations

import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNKNOWN_CACHE = 64 * 2**20


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


def known_device(device: torch.device | str) -> torch.device:
    """Return the device to measure on.

    Raises:
        ValueError: It is neither the CPU nor a CUDA device of this machine.

    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f"device is {device!r}; it must be 'cpu' or 'cuda'") from None
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"device is '{found}'; it must be 'cpu' or 'cuda'")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is '{found}'; this machine has no CUDA device")
    if found.type == "cuda" and found.index is not None and found.index >= torch.cuda.device_count():
        raise ValueError(f"device is '{found}'; this machine has CUDA devices 0 to {torch.cuda.device_count() - 1}")
    return found


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished all the work that was queued.

    A call on a GPU returns before the GPU has done the work: a clock read without this measures the queueing.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or platform.machine()


def device_name(device: torch.device) -> str:
    """Return the name of the processor or of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def driver() -> str | None:
    """Return the version of the NVIDIA driver, or None where ``nvidia-smi`` does not say."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


# What nvidia-smi is asked for, and what a reader is told.
GPU_STATE = {
    "clocks.sm": "processor clock",
    "clocks.max.sm": "processor clock at most",
    "clocks.mem": "memory clock",
    "power.limit": "power limit",
    "temperature.gpu": "temperature in °C",
    "ecc.mode.current": "ECC",
    "mig.mode.current": "MIG",
}


def gpu_state(device: torch.device) -> dict[str, str]:
    """Return the GPU's clocks, power limit, temperature, ECC and MIG at this moment; empty where nobody tells.

    Args:
        device: The GPU.

    """
    identity = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    which = f"GPU-{identity}" if identity else str(device.index or 0)
    query = ["nvidia-smi", f"--id={which}", f"--query-gpu={','.join(GPU_STATE)}", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in said.split(",")]
    told = zip(GPU_STATE.values(), values, strict=False)
    return {name: value for name, value in told if value and value.strip("[]") not in ("N/A", "Not Supported")}


def installed(package: str) -> str | None:
    """Return the version of an installed package, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def last_level_cache(device: torch.device) -> int:
    """Return the size in bytes of the cache nearest to the memory: the CPU's last level, the GPU's L2.

    Where the system does not tell, 64 MiB are assumed.
    """
    if device.type == "cuda":
        return int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", UNKNOWN_CACHE))
    sizes = []
    for path in CACHES.glob("index*/size"):
        found = re.fullmatch(r"(\d+)([KMG]?)", path.read_text().strip())
        if found:
            sizes.append(int(found[1]) * 1024 ** " KMG".index(found[2] or " "))
    return max(sizes, default=UNKNOWN_CACHE)


def circumstances(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return what a reader needs to judge a measurement made now: all of it plain data, ready for JSON.

    Args:
        device: The device measured on.

    Returns:
        ``device`` and ``processor``, by their names; ``threads`` of PyTorch on the CPU; ``driver``, of the GPU or None;
        ``gpu``, its state at this moment; ``versions`` of Python, PyTorch, CUDA, NumPy, Triton and Liger Kernel, None
        for what is absent; ``date``, as ISO 8601 writes it, in UTC.

    """
    there = known_device(device)
    gpu = there.type == "cuda"
    return {
        "device": device_name(there),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "driver": driver() if gpu else None,
        "gpu": gpu_state(there) if gpu else None,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "cuda": torch.version.cuda if gpu else None,
            "numpy": np.__version__,
            "triton": installed("triton"),
            "liger-kernel": installed("liger-kernel"),
        },
        "date": datetime.now(UTC).date().isoformat(),
    }
