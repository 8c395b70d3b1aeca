"""What the fused losses share: where their kernel can run, and what they make of targets and weights."""

from __future__ import annotations

import importlib.util
import os

import torch
from torch import Tensor

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class FusedFallback(UserWarning):
    """The fused kernel could not run, for the reason given; the reference did the work."""


def indices(target: Tensor, ignore_index: int) -> Tensor:
    """Return class indices as contiguous int64, the ignored ones still ``ignore_index``."""
    if target.dtype == torch.uint8:
        ignored = target == ignore_index
        target = target.long().masked_fill(ignored, ignore_index)
    return target.contiguous()


def total_weight(
    target: Tensor, weight: Tensor | None, ignore_index: int
) -> Tensor:
    """Return what a mean divides by: the weights of the targets that count, or their number, shape ``()``."""
    counted = target != ignore_index
    if weight is None:
        return counted.sum()
    w = weight[target.clamp(0, len(weight) - 1)] * counted
    return w.sum(dtype=real_dtype(weight))


def real_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype that sums over ``x`` are kept in."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def require_one_device(**arguments: Tensor | None) -> None:
    """Raise ``RuntimeError`` unless the tensors are all on the device of the first."""
    (first, expected), *others = arguments.items()
    assert expected is not None
    for name, value in others:
        if value is not None and value.device != expected.device:
            raise RuntimeError(
                f"{name} is on {value.device}; it must be on that of {first}, {expected.device}"
            )


def available(
    device: torch.device | str | None = None,
) -> tuple[bool, str]:
    """Say whether the fused kernel can run on a device, and why or why not.

    Args:
        device: Where the logits are; None for the GPU if there is one.

    Returns:
        Whether it can, and the reason in one sentence.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if importlib.util.find_spec("triton") is None:
        return False, "Triton is not installed; on Linux: pip install triton"
    if os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on"):
        from lossbook.losses import fused_kernels

        if fused_kernels.interpreted:
            return True, "Triton's interpreter runs it: right, but slow"
        if device.type != "cuda":
            return False, (
                "TRITON_INTERPRET was set after Triton had been imported; "
                "set it before Python starts"
            )
    if device.type != "cuda":
        return False, f"the input is on the {device.type}; it must be on a GPU"
    if torch.version.hip is not None:
        return False, "the kernel is written for NVIDIA's GPUs; this is AMD's"
    if not torch.cuda.is_available():
        return False, "PyTorch finds no GPU"
    name, capability = (
        torch.cuda.get_device_name(device),
        torch.cuda.get_device_capability(device),
    )
    if capability < (8, 0):
        return False, (
            f"{name} has compute capability {capability[0]}.{capability[1]}; "
            "it must be 8.0 or newer"
        )
    return True, f"Triton compiles it for {name}"
