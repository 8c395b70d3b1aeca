"""Cross-entropy of a linear layer's logits, of which only a chunk of rows exists at a time, and its gradients.

It is an operation of PyTorch's own kind, so that ``torch.compile`` calls it as
it is instead of unrolling its loop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, log
from torch.autograd import forward_ad

from lossbook.losses import multiclass
from lossbook.losses.arguments import class_indices, widened
from lossbook.losses.fused_parts import (
    DTYPES,
    available,
    differentiable_gradients,
    real_dtype,
)
from lossbook.losses.weighting import at_class

# PyTorch 2.8 and newer sum half-precision products in float32, on a GPU.
SUMS_WIDE = hasattr(torch.ops.aten.addmm, "dtype_out")

# Fewer rows than this keep no device busy: a GPU has more multiprocessors.
BUSY = 128

Gradients = list[Tensor | None]
Needs = tuple[bool, ...]


class Options(NamedTuple):
    """What is asked of every row."""

    classes: int
    ignore_index: int
    smoothing: float
    dtype: torch.dtype  # of the logits
    chunk: int | None  # how many rows of logits exist at a time


@torch.library.custom_op(
    "lossbook::linear_cross_entropy",
    mutates_args=(),
    schema="(Tensor input, Tensor table, Tensor? bias, Tensor target, "
    "Tensor? weight, Tensor? factors, bool each, bool[] needs, "
    "SymInt classes, SymInt ignore_index, float smoothing, ScalarType dtype, "
    "SymInt? chunk) -> (Tensor, Tensor, Tensor, Tensor)",
)
def in_chunks(
    input: Tensor, table: Tensor, bias: Tensor | None, target: Tensor,
    weight: Tensor | None, factors: Tensor | None, each: bool,
    needs: list[bool], *options: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the losses of all rows, or their sum, and the gradients of the sum.

    The layer may have several logits for each class, at P places of its output:
    its table then holds the classes of the first place, those of the second,
    and so on, and V is K P.

    Args:
        input: What the layer is given, shape ``(N, D)``.
        table: The layer's matrix, shape ``(V, D)``.
        bias: The layer's bias, shape ``(V,)``, or None.
        target: Class indices, int64, shape ``(N P,)``.
        weight: The weight of each class, shape ``(K,)``, or None.
        factors: What each loss in the sum is multiplied by for the gradients,
            shape ``(N P,)``; None for 1.
        each: Whether the losses are wanted, and not their sum.
        needs: Which gradients are needed: by input, table and bias.
        options: Those of ``Options``.

    Returns:
        Losses, shape ``(N P,)``, or their sum, ``()``, and the gradients of the
        first three arguments, with their shapes; those not needed are empty.
        All in float32, or float64 for a float64 input.

    Raises:
        IndexError: A class index lies outside [0, K) and is not
            ``ignore_index``. On a GPU such a row's loss is ``nan``.
    """
    asked = Options(*options)
    if factors is None and not input.is_cuda:
        shape = torch.empty(len(target), asked.classes, device="meta")
        class_indices(shape, target, asked.ignore_index)
    with torch.autocast(input.device.type, enabled=False):
        losses, gradients = _walk(
            input, table.to(asked.dtype),
            None if bias is None else bias.to(asked.dtype),
            target, weight, factors, tuple(needs), asked,
        )  # fmt: skip
    g = [losses.new_empty(0) if g is None else g for g in gradients]
    return losses if each else losses.sum(), g[0], g[1], g[2]


@in_chunks.register_fake
def _(
    input: Tensor, table: Tensor, bias: Tensor | None, target: Tensor,
    weight: Tensor | None, factors: Tensor | None, each: bool,
    needs: list[bool], *options: Any,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Return what is returned, without its values."""
    real = real_dtype(input)
    shapes: list[Any] = [target.shape if each else ()]
    for x, needed in zip((input, table, bias), needs, strict=True):
        shapes.append(x.shape if needed and x is not None else (0,))
    return tuple(input.new_empty(shape, dtype=real) for shape in shapes)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, _, ctx.each, _ = inputs[:8]
    ctx.options = Options(*inputs[8:])
    ctx.save_for_backward(*tensors, *(() if ctx.each else output[1:]))
    ctx.set_materialize_grads(False)


def _backward(
    ctx: Any, incoming: Tensor | None, *others: None
) -> tuple[Tensor | None, ...]:
    """Scale the gradients, or find those that the forward pass could not yet know."""
    if incoming is None:
        return (None,) * 13
    input, table, bias, target, weight, *gradients = ctx.saved_tensors
    layer, needs = (input, table, bias), ctx.needs_input_grad[:3]
    if torch.is_grad_enabled() or transformed():
        reduction = "none" if ctx.each else "sum"

        def loss(x: Tensor, table: Tensor, bias: Tensor | None) -> Tensor:
            return at_once(
                x, table, bias, target, weight, reduction, ctx.options
            )

        found = differentiable_gradients(loss, layer, needs, incoming)
        return *found, *[None] * 10
    if ctx.each:
        _, *gradients = in_chunks(
            *layer, target, weight, incoming, False, list(needs), *ctx.options
        )
    else:
        gradients = [_scaled(g.detach(), incoming) for g in gradients]
    return *(
        g.to(x.dtype) if needed else None
        for g, x, needed in zip(gradients, layer, needs, strict=True)
    ), *[None] * 10


in_chunks.register_autograd(_backward, setup_context=_setup_context)


def transformed(*tensors: Tensor | None) -> bool:
    """Say whether a transform of ``torch.func`` is at work, a trace, or forward mode on one of the tensors."""
    traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if traced or torch._C._are_functorch_transforms_active():
        return True
    return any(
        x is not None and forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]
        for x in tensors
    )


def at_once(
    input: Tensor, table: Tensor, bias: Tensor | None, target: Tensor,
    weight: Tensor | None, reduction: str, options: Options,
) -> Tensor:  # fmt: skip
    """Return what the chunks do, from all logits at once: it can be differentiated in every way."""
    K, ignore_index, smoothing, dtype, _ = options
    with torch.autocast(input.device.type, enabled=False):
        z = F.linear(
            input.to(dtype),
            table.to(dtype),
            None if bias is None else bias.to(dtype),
        )
        z = widened(z).reshape(len(target), K)
        return multiclass.cross_entropy(
            z, target, None if weight is None else widened(weight),
            ignore_index, reduction, smoothing,
        )  # fmt: skip


def _scaled(g: Tensor, factor: Tensor) -> Tensor:
    """Multiply a gradient: in place, unless it is traced, batched, or needed by a second backward pass."""
    kept = torch._C._autograd._get_current_graph_task_keep_graph()
    batched = torch._C._functorch.is_legacy_batchedtensor(factor)
    if kept or batched or type(g) is not Tensor:
        return g * factor
    return g.mul_(factor)


def default_chunk(N: int, V: int, D: int, dtype: torch.dtype) -> int:
    """Return how many rows of logits take a quarter of what is held anyway, input or gradient; at least BUSY."""
    real = 8 if dtype == torch.float64 else 4
    held = max(N * D, V * D * real // dtype.itemsize)
    return min(max(held // (4 * max(V, 1)), BUSY), max(N, 1))


def _walk(
    input: Tensor, table: Tensor, bias: Tensor | None, target: Tensor,
    weight: Tensor | None, factors: Tensor | None, needs: Needs,
    options: Options,
) -> tuple[Tensor, Gradients]:  # fmt: skip
    """Return the losses of all rows, and what of the gradients is needed, chunk by chunk."""
    real, (N, D), V = real_dtype(input), input.shape, len(table)
    chunk = options.chunk or default_chunk(N, V, D, options.dtype)
    losses = torch.zeros(len(target), dtype=real, device=input.device)
    gradients = [
        torch.zeros_like(x, dtype=real, memory_format=torch.contiguous_format)
        if needed and x is not None
        else None
        for x, needed in zip((input, table, bias), needs, strict=True)
    ]
    of_input, of_table, of_bias = gradients
    if not V:
        return losses, gradients
    P = V // options.classes
    for start in range(0, N, chunk):
        rows = slice(start, start + chunk)
        places = slice(start * P, (start + chunk) * P)
        x = input[rows].to(options.dtype)
        z = F.linear(x, table, bias).view(-1, options.classes)
        losses[places], g = _loss_and_gradient(
            z, target[places], weight, options, any(needs)
        )
        del z
        if not any(needs):
            continue
        if factors is not None:
            g *= factors[places, None]
        g = g.view(len(x), V)
        if of_input is not None:
            _add_product(of_input[rows], g, table)
        if of_table is not None:
            _add_product(of_table, g.T, x)
        if of_bias is not None:
            of_bias += g.sum(0, dtype=real)
        del g
    return losses, gradients


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a product to a total, without rounding it to half precision first."""
    real = total.dtype
    if a.dtype == b.dtype == real:
        total.addmm_(a, b)
    elif a.dtype == b.dtype and a.is_cuda and SUMS_WIDE:
        torch.addmm(total, a, b, out_dtype=real, out=total)
    else:  # Widened in pieces, none of which takes more memory than a chunk.
        step = max(a.numel() // max(b.shape[1], 1), 1)
        for start in range(0, len(b), step):
            part = slice(start, start + step)
            total.addmm_(a[:, part].to(real), b[part].to(real))


def _loss_and_gradient(
    z: Tensor, target: Tensor, weight: Tensor | None, options: Options,
    wanted: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the losses of rows of logits, (n, K), and their gradient, which the kernel puts in the logits' place."""
    _, ignore_index, smoothing, *_ = options
    if z.numel() and z.dtype in DTYPES and available(z.device)[0]:
        from lossbook.losses import fused_kernels

        losses: Tensor = fused_kernels.run_loss_and_gradient(
            z, target, weight, None, z if wanted else None, ignore_index,
            smoothing,
        )  # fmt: skip
        return losses, z
    return _plain(widened(z), target, weight, ignore_index, smoothing)


def _plain(
    z: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int,
    smoothing: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Do in PyTorch's operations, in place, what the kernel does."""
    K, counted = z.shape[1], target != ignore_index
    y = torch.where(counted, target, 0)
    w = counted.to(z.dtype)
    if weight is not None:
        weight = weight.to(z.dtype)
        w = torch.where(counted, weight[y], 0)
    z -= z.amax(1, keepdim=True)
    z_y = at_class(z, y, 1)

    # The loss, and its gradient: a p - b w, less c at the label.
    a = c = (1 - smoothing) * w
    losses = -c * z_y
    if smoothing:
        of_all = z.new_ones(K) if weight is None else weight
        b = smoothing / K
        a = c + b * of_all.sum()
        losses -= b * (z @ of_all)
    p = z.exp_()
    total = p.sum(1)
    losses += a * log(total)
    g = p.mul_((a / total)[:, None])
    if smoothing:
        g -= b * of_all
    g.scatter_add_(1, y[:, None], -c[:, None])
    g.masked_fill_(~counted[:, None], 0)
    return losses.masked_fill_(~counted, 0), g
