"""Record the race on this machine as a file of data, with all that a reader needs to judge it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbook import files
from lossbook.timing.circumstances import circumstances
from lossbook.timing.sums import SIZES, race_sums

RECORDED_SIZES = (*SIZES, 1_000_000)


def python_sum(log_p: Tensor) -> Tensor:
    """Return the mean negative log-likelihood, added up by Python's sum."""
    total: Tensor = sum(-log_p)  # type: ignore[assignment]
    return total / len(log_p)


def torch_sum(log_p: Tensor) -> Tensor:
    """Return the mean negative log-likelihood, added up by torch.sum."""
    return torch.sum(-log_p) / len(log_p)


def log_probabilities(n: int) -> tuple[Tensor]:
    """Return the logarithms of n probabilities drawn uniformly from [0.05, 0.95), float32, the same each time."""
    generator = torch.Generator().manual_seed(420)
    return (torch.log(torch.rand(n, generator=generator) * 0.9 + 0.05),)


def shortest_time(n: int, bandwidth: float) -> float:
    """Return the seconds that reading n float32 numbers takes at a bandwidth in bytes a second."""
    return 4 * n / bandwidth


def recording(command: str, sizes: Sequence[int] = RECORDED_SIZES) -> dict[str, Any]:
    """Run the race on the CPU, and on the GPU where there is one; return the measurements and their circumstances.

    Args:
        command: The command that a reader would give to measure the same.
        sizes: The numbers of samples N.

    """
    race = race_sums(python_sum, torch_sum, log_probabilities, shortest_time, sizes)
    return {
        **circumstances("cuda" if torch.cuda.is_available() else "cpu"),
        "race_threads": 1,  # on the CPU: see race_sums
        "command": command,
        "rows": [asdict(row) for row in race.rows],
    }


def record(folder: Path, command: str, sizes: Sequence[int] = RECORDED_SIZES) -> Path:
    """Record the race and write it to ``folder``, in a file named after the device; return the file.

    Args:
        folder: Where recordings are kept; made if it is missing. A recording of the same device is replaced.
        command: The command that a reader would give to measure the same.
        sizes: The numbers of samples N.

    """
    data = recording(command, sizes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (re.sub(r"[^a-z0-9]+", "-", data["device"].lower()).strip("-") + ".json")
    files.replace(path, json.dumps(data, indent=1) + "\n")
    return path
