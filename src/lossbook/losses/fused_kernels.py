"""Two Triton kernels: cross-entropy with its gradient, and a gradient scaled in place.

This module imports Triton, so nothing imports it before a kernel is wanted.
Where the variable ``TRITON_INTERPRET`` is 1 at that time, the kernels run in
Triton's interpreter, on any machine.
"""

# Triton reads a kernel's annotations itself: they must not become strings.

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

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

LOG2_E = tl.constexpr(1.4426950408889634)
INF = tl.constexpr(float("inf"))


@triton.jit
def _columns(R: tl.constexpr, T: tl.constexpr, E: tl.constexpr):  # type: ignore[no-untyped-def]
    """Columns of a block, (R, T E): thread t loads E neighbours, R times."""
    return tl.arange(0, R)[:, None] * (T * E) + tl.arange(0, T * E)[None, :]


@triton.jit
def _load(row, columns, stride, V, wanted, AGAIN: tl.constexpr):  # type: ignore[no-untyped-def]
    """Load a block of logits, -inf where there are none or none are wanted.

    What is read AGAIN is to stay in the cache; what is not, to go first.
    """
    return tl.load(
        row + columns.to(tl.int64) * stride,
        mask=columns < tl.where(wanted, V, 0),
        other=-INF,
        eviction_policy="evict_last" if AGAIN else "evict_first",
    )


@triton.jit
def _online(m, d, z, E: tl.constexpr):  # type: ignore[no-untyped-def]
    """Step the online softmax: each thread for itself, on what it holds."""
    z = tl.reshape(z, (z.shape[0], z.shape[1] // E, E))
    top = tl.maximum(m, tl.max(tl.max(z, 2), 0))
    base = tl.where(top == -INF, 0.0, top)
    e = tl.exp2((z - base[None, :, None]) * LOG2_E)
    return top, d * tl.exp2((m - base) * LOG2_E) + tl.sum(tl.sum(e, 2), 0)


@triton.jit
def _weighed(  # type: ignore[no-untyped-def]
    s, z, shift, weight_ptr, columns, V, WEIGHTED: tl.constexpr, E: tl.constexpr
):
    """Add the weighed logits, less a shift, to each thread's sum."""
    z = tl.where(columns < V, z - shift, 0.0)
    if WEIGHTED:
        z = z * tl.load(weight_ptr + columns, columns < V, 0).to(z.dtype)
    z = tl.reshape(z, (z.shape[0], z.shape[1] // E, E))
    return s + tl.sum(tl.sum(z, 2), 0)


@triton.jit
def _store(  # type: ignore[no-untyped-def]
    row, columns, stride, V, z, top, a, b, weight_ptr,
    SMOOTH: tl.constexpr, WEIGHTED: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """Store a block of the gradient, a exp(z - top) - b w."""
    g = tl.exp2((z - top) * LOG2_E) * a
    if SMOOTH and WEIGHTED:
        g -= b * tl.load(weight_ptr + columns, columns < V, 0).to(z.dtype)
    elif SMOOTH:
        g -= b
    tl.store(
        row + columns.to(tl.int64) * stride,
        g.to(row.dtype.element_ty),
        mask=None if EVEN else columns < V,
        eviction_policy="evict_first",
    )


@triton.jit(do_not_specialize=["N", "ignore_index"])
def loss_and_gradient(  # type: ignore[no-untyped-def]
    z_ptr, z_row, z_column, gradient_ptr, gradient_row, gradient_column,
    target_ptr, weight_ptr, weight_sum_ptr, divisor_ptr, losses_ptr,
    N, V, ignore_index, SMOOTHING: tl.constexpr, WEIGHTED: tl.constexpr,
    MEAN: tl.constexpr, GRADIENT: tl.constexpr, DIVIDED: tl.constexpr,
    EVEN: tl.constexpr, R: tl.constexpr, T: tl.constexpr, E: tl.constexpr,
):  # fmt: skip
    """Write the loss of every row, and its gradient by the row's logits.

    The programs deal the rows among them. A row is read forwards for the
    online softmax, then backwards for the gradient: what was read last is
    still at hand, in registers first and then in the caches. Gradient and
    logits may be the same memory.
    """
    real = losses_ptr.dtype.element_ty
    # Which the compiler must see to load E at once.
    V, z_row, gradient_row = V // E * E, z_row // E * E, gradient_row // E * E
    smooth: tl.constexpr = SMOOTHING > 0
    block: tl.constexpr = R * T * E
    blocks = tl.cdiv(V, block)
    columns = _columns(R, T, E)
    first, step = tl.program_id(0), tl.num_programs(0)

    y = tl.load(target_ptr + first)
    here = z_ptr + first.to(tl.int64) * z_row
    there = gradient_ptr + first.to(tl.int64) * gradient_row
    z = _load(here, columns, z_column, V, y != ignore_index, GRADIENT)
    for row in range(first, N, step):
        counted = y != ignore_index
        named = counted & (y >= 0) & (y < V)
        z_y = tl.load(here + y * z_column, named, 0).to(real)
        w_y = tl.full((), 1, real)
        if WEIGHTED:
            w_y = tl.load(weight_ptr + y, named, 0).to(real)
        # A target that names no class poisons its row.
        w_y = tl.where(counted & (named == 0), float("nan"), w_y)
        shift = tl.where(tl.abs(z_y) < INF, z_y, 0.0)

        m, d = tl.full((T,), -INF, real), tl.zeros((T,), real)
        m, d = _online(m, d, z.to(real), E)
        s = tl.zeros((T,), real)
        if smooth:
            s = _weighed(
                s, z.to(real), shift, weight_ptr, columns, V, WEIGHTED, E
            )
        for i in range(1, blocks):
            at = i * block + columns
            z = _load(here, at, z_column, V, counted, GRADIENT)
            m, d = _online(m, d, z.to(real), E)
            if smooth:
                s = _weighed(
                    s, z.to(real), shift, weight_ptr, at, V, WEIGHTED, E
                )

        top = tl.max(m, 0)
        base = tl.where(top == -INF, 0.0, top)
        total = tl.sum(d * tl.exp2((m - base) * LOG2_E), 0)
        # The row's loss, and its gradient: a p - b w, less f at the label.
        f = w_y * (1 - SMOOTHING)
        loss = f * (tl.log(total) + (top - z_y))
        a, b = f, tl.zeros((), real)
        if smooth:
            b += SMOOTHING
            b /= V
            w = tl.full((), V, real)
            if WEIGHTED:
                w = tl.load(weight_sum_ptr).to(real)
            a += b * w
            spread = w * (tl.log(total) + (top - shift)) - tl.sum(s, 0)
            loss += b * spread
        loss = tl.where(counted, loss, 0.0)
        if MEAN:
            divisor = tl.load(divisor_ptr).to(real)
            loss /= divisor
            if DIVIDED:
                a, b, f = a / divisor, b / divisor, f / divisor
        tl.store(losses_ptr + row, loss)
        # Of a row that does not count, each logit was read as -inf: with top 0
        # its exponential is 0, and so is the gradient.
        a = tl.where(counted, a / total, 0.0)
        b = tl.where(counted, b, 0.0)
        top = tl.where(counted, top, 0.0)

        if GRADIENT:
            at = (blocks - 1) * block + columns
            _store(
                there, at, gradient_column, V, z.to(real), top, a, b,
                weight_ptr, smooth, WEIGHTED, EVEN,
            )  # fmt: skip
        # The next row sets out while this one ends.
        y_next = tl.load(target_ptr + row + step, row + step < N, ignore_index)
        next_row = here + step.to(tl.int64) * z_row
        early = _load(
            next_row, columns, z_column, V, y_next != ignore_index, GRADIENT
        )
        if GRADIENT:
            for i in range(1, blocks):
                at = (blocks - 1 - i) * block + columns
                z = _load(here, at, z_column, V, counted, False)
                _store(
                    there, at, gradient_column, V, z.to(real), top, a, b,
                    weight_ptr, smooth, WEIGHTED, EVEN,
                )  # fmt: skip
            # The label's entry again, after every thread has stored its own.
            tl.debug_barrier()
            g = tl.exp2((z_y - top) * LOG2_E) * a - f
            if smooth and WEIGHTED:
                b *= tl.load(weight_ptr + y, named, 0).to(real)
            tl.store(there + y * gradient_column, g - b, mask=named)
        here = next_row
        there += step.to(tl.int64) * gradient_row
        z, y = early, y_next


@triton.jit(do_not_specialize=["N"])
def scale(  # type: ignore[no-untyped-def]
    gradient_ptr, row_stride, column_stride, factor_ptr, factor_stride, N, V,
    REAL: tl.constexpr, EVEN: tl.constexpr,
    R: tl.constexpr, T: tl.constexpr, E: tl.constexpr,
):  # fmt: skip
    """Multiply rows by factors, in place; leave those alone whose factor is 1."""
    V, row_stride = V // E * E, row_stride // E * E
    columns = _columns(R, T, E)
    first, step = tl.program_id(0), tl.num_programs(0)
    here = gradient_ptr + first.to(tl.int64) * row_stride
    for row in range(first, N, step):
        factor = tl.load(factor_ptr + row * factor_stride).to(REAL)
        if factor != 1:
            for i in range(tl.cdiv(V, R * T * E)):
                at = i * (R * T * E) + columns
                where = here + at.to(tl.int64) * column_stride
                present = None if EVEN else at < V
                g = tl.load(where, present, eviction_policy="evict_first")
                g = (g.to(REAL) * factor).to(g.dtype)
                tl.store(where, g, present, eviction_policy="evict_first")
        here += step.to(tl.int64) * row_stride


# The interpreter must be asked for before anything imports Triton.
interpreted = not any(
    isinstance(f, triton.JITFunction) for f in (tl.sum, loss_and_gradient)
)


def plan(x: Tensor) -> tuple[int, int, int]:
    """Return a block's sizes (R, T, E) for rows of ``x``, shape ``(N, V)``.

    E neighbours are 16 bytes where every row starts, and ends, at a multiple of
    16 bytes.
    """
    size = x.element_size()
    starts = (x.shape[1] * size, x.stride(0) * size, x.data_ptr())
    aligned = x.stride(1) == 1 and all(n % VECTOR_BYTES == 0 for n in starts)
    E = VECTOR_BYTES // size if aligned else 1
    elements = min(
        triton.next_power_of_2(x.shape[1]), BLOCK, BLOCK_BYTES // size
    )
    T = min(max(elements // EACH, 32), WARPS * 32)
    return max(elements // (T * E), 1), T, E


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


def _options(x: Tensor) -> tuple[dict[str, Any], Any]:
    """Return what both launches pass on, and what to launch them inside."""
    R, T, E = plan(x)
    even = x.shape[1] % (R * T * E) == 0
    options = {"EVEN": even, "R": R, "T": T, "E": E, "num_warps": T // 32}
    # The interpreter is numpy, which would warn of each nan and infinity.
    around = (
        torch.cuda.device(x.device) if x.is_cuda else np.errstate(all="ignore")
    )
    return options, around


def run_loss_and_gradient(
    z: Tensor, target: Tensor, weight: Tensor | None, divisor: Tensor | None,
    gradient: Tensor | None, ignore_index: int, smoothing: float, divided: bool,
) -> Tensor:  # fmt: skip
    """Return the loss of each row; fill the gradient, if one is given.

    Args:
        z: Logits, shape ``(N, V)``, N and V at least 1, of any strides.
        target: Class indices, int64, shape ``(N,)``.
        weight: The weight of each class, shape ``(V,)``.
        divisor: What the losses are divided by, shape ``()``; None for 1.
        gradient: Where the gradient goes, shape ``(N, V)``; may be ``z``.
        ignore_index: The target of rows that do not count.
        smoothing: The share of the label that all classes get alike.
        divided: Whether the gradient is divided, too.

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
    options, around = _options(z)
    with around:
        loss_and_gradient[(programs(N, options["T"], z.device),)](
            z, *z.stride(), g, *g.stride(), target,
            w, w_sum, losses if divisor is None else divisor, losses, N, V, ignore_index,
            SMOOTHING=smoothing, WEIGHTED=weight is not None,
            MEAN=divisor is not None, GRADIENT=gradient is not None,
            DIVIDED=divided, **options,
        )  # fmt: skip
    return losses


def run_scale(gradient: Tensor, factor: Tensor) -> None:
    """Multiply a gradient, ``(N, V)``, in place, by a factor ``()`` or ``(N,)``."""
    N, V = gradient.shape
    options, around = _options(gradient)
    real = tl.float64 if gradient.dtype == torch.float64 else tl.float32
    same = factor.ndim == 0
    count = programs(N, options["T"], gradient.device) if same else N
    with around:
        scale[(count,)](
            gradient, *gradient.stride(), factor,
            0 if same else factor.stride(0), N, V, REAL=real, **options,
        )  # fmt: skip
