"""How the two Triton kernels are launched: on which blocks, by how many programs.

This module imports Triton, so nothing imports it before a kernel is wanted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from lossbook.losses.fused_triton import loss_and_gradient, scale

# What a program holds of a row at a time: 16 logits for each of 1024 threads,
# which have 64 registers each. So one program fills a multiprocessor, and the
# rows that are being read at one time fit the caches.
BLOCK = 16_384
BLOCK_BYTES = 65_536
VECTOR_BYTES = 16
EACH = 16
WARPS = 32
# How many programs share the rows in the interpreter, which runs one at a time.
INTERPRETED = 2

# The interpreter must be asked for before anything imports Triton.
interpreted = not any(
    isinstance(f, triton.JITFunction) for f in (tl.sum, loss_and_gradient)
)


class Plan(NamedTuple):
    """How a row is read: R times, T threads take E neighbours each.

    Of PEELED rows the first starts at ``start`` in a piece of E.
    """

    R: int
    T: int
    E: int
    PEELED: bool = False
    start: int = 0


def plan(x: Tensor, y: Tensor | None = None, heavy: bool = False) -> Plan:
    """Say how to read rows of ``x`` and write those of ``y``, both ``(N, V)``.

    E neighbours are 16 bytes. Where rows don't all start and end at a multiple
    of 16 bytes, as those of 50257 classes, they are peeled. That takes rows
    that start in ``x`` and in ``y`` at the same place inside 16 bytes.

    Args:
        x: What is read.
        y: What is written; None for the same.
        heavy: Whether so much is kept for each logit that a thread has
            registers for half as many.
    """
    V, size = x.shape[1], x.element_size()
    both = (x, x if y is None else y)
    E, start = VECTOR_BYTES // size, x.data_ptr() % VECTOR_BYTES // size
    places = {(r.stride(0) % E, r.data_ptr() % VECTOR_BYTES) for r in both}
    peeled = V % E != 0 or places != {(0, 0)}
    reachable = all(start <= r.storage_offset() for r in both)
    if any(r.stride(1) != 1 for r in both) or (
        peeled and not (reachable and len(places) == 1)
    ):
        E, peeled, start = 1, False, 0
    longest = V + E - 1 if peeled else V
    elements = min(triton.next_power_of_2(longest), BLOCK, BLOCK_BYTES // size)
    T = min(max(elements // EACH, 32), WARPS * 32)
    R = max(elements // (2 * T * E if heavy else T * E), 1)
    return Plan(R, T, E, peeled, start)


def _from_piece(x: Tensor, start: int) -> Tensor:
    """Return ``x`` from the start of its first piece, a multiple of 16 bytes."""
    return x.as_strided((1,), (1,), x.storage_offset() - start) if start else x


def programs(N: int, T: int, device: torch.device) -> int:
    """Return how many programs share N rows: as many as run at once, at most.

    Of the largest numbers, the one that leaves fewest idle in the last round.
    """
    most = INTERPRETED
    if device.type == "cuda":
        properties: Any = torch.cuda.get_device_properties(device)
        most = properties.multi_processor_count * (WARPS * 32 // T)
    if most >= N:
        return N
    return min(range(most, most * 7 // 8, -1), key=lambda p: -N % p)


def _around(x: Tensor) -> Any:
    """Return what to launch a kernel inside."""
    if x.is_cuda:
        return torch.cuda.device(x.device)
    # The interpreter is numpy, which would warn of each nan and infinity.
    return np.errstate(all="ignore")


def run_loss_and_gradient(
    z: Tensor, target: Tensor, weight: Tensor | None, divisor: Tensor | None,
    gradient: Tensor | None, ignore_index: int, smoothing: float,
    softcap: float = 0.0, z_loss: float = 0.0, lse: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the loss of each row; fill the gradient, if one is given.

    Args:
        z: Logits, shape ``(N, V)``, N and V at least 1, of any strides.
        target: Class indices, int64, shape ``(N,)``.
        weight: The weight of each class, shape ``(V,)``.
        divisor: What the gradient is divided by, shape ``()``; None for 1.
        gradient: Where the gradient goes, shape ``(N, V)``; may be ``z``.
        ignore_index: The target of rows that do not count.
        smoothing: The share of the label that all classes get alike.
        softcap: Where logits are capped; 0 for nowhere.
        z_loss: What the squared log-sum-exp is multiplied by.
        lse: Where the log-sum-exp of each row goes, shape ``(N,)``; 0 of rows
            that do not count.

    Returns:
        Losses, float32, or float64 for float64 logits, shape ``(N,)``.
    """
    N, V = z.shape
    real = torch.float64 if z.dtype == torch.float64 else torch.float32
    losses = torch.empty(N, dtype=real, device=z.device)
    g = z if gradient is None else gradient
    w, w_sum = losses, losses  # where none is wanted, any pointer will do
    if weight is not None:
        w = weight.contiguous()
        w_sum = w.sum(dtype=real) if smoothing > 0 else w
    R, T, E, peeled, start = plan(
        z, g, heavy=weight is not None and smoothing > 0
    )
    with _around(z):
        loss_and_gradient[(programs(N, T, z.device),)](
            _from_piece(z, start), *z.stride(),
            _from_piece(g, start), *g.stride(), start, target, w, w_sum,
            losses if divisor is None else divisor, losses,
            losses if lse is None else lse, N, V, ignore_index,
            SMOOTHING=smoothing, WEIGHTED=weight is not None, CAP=softcap,
            Z_LOSS=z_loss, DIVIDED=divisor is not None,
            LSE=lse is not None, GRADIENT=gradient is not None,
            EVEN=not peeled and V % (R * T * E) == 0, PEELED=peeled,
            R=R, T=T, E=E, num_warps=T // 32,
        )  # fmt: skip
    return losses


def run_scale(
    gradient: Tensor, factor: Tensor, target: Tensor, ignore_index: int
) -> None:
    """Multiply the rows of a gradient that count, in place.

    Args:
        gradient: Shape ``(N, V)``.
        factor: Shape ``()`` or ``(N,)``.
        target: Class indices, int64, shape ``(N,)``.
        ignore_index: The target of rows that do not count.
    """
    N, V = gradient.shape
    real = tl.float64 if gradient.dtype == torch.float64 else tl.float32
    same = factor.ndim == 0
    R, T, E, peeled, start = plan(gradient)
    count = programs(N, T, gradient.device) if same else N
    with _around(gradient):
        scale[(count,)](
            _from_piece(gradient, start), *gradient.stride(), start, factor,
            0 if same else factor.stride(0), target, ignore_index, N, V,
            REAL=real,
            EVEN=not peeled and V % (R * T * E) == 0, PEELED=peeled,
            R=R, T=T, E=E, num_warps=T // 32,
        )  # fmt: skip
