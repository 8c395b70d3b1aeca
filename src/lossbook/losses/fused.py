r"""Cross-entropy at the limit: on a GPU, each logit read once and each gradient written once.

A Triton kernel (``fused_kernels``) computes loss and gradient together, in the
forward pass. Where it can't run, the reference does the work and a warning
says why. Importing this module doesn't import Triton.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, exp
from torch.autograd.function import once_differentiable

from lossbook.losses import multiclass
from lossbook.losses.fused_linear import linear_cross_entropy
from lossbook.losses.fused_parts import (
    DTYPES,
    FusedFallback,
    available,
    indices,
    require_one_device,
    total_weight,
)
from lossbook.losses.recipe import (
    require_class_indices,
    require_class_weights,
    require_constant,
    require_indices_for,
    require_integers,
    require_reduction,
    require_same_dtype,
    require_tensors,
)

__all__ = [
    "FusedFallback",
    "available",
    "bytes_moved",
    "cross_entropy",
    "linear_cross_entropy",
    "online_softmax",
]

_told: set[str] = set()


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Cross-entropy of logits, by one kernel that also computes the gradient.

    .. math::

        \ell(y) &= -w_y \log p_y, \qquad
        \log p_k = z_k - m - \log d, \\
        \frac{\partial \ell(y)}{\partial z_k} &= w_y (p_k - [k = y])

    Here m is a row's largest logit and d the sum of its :math:`e^{z_j - m}`,
    both found in one pass (``online_softmax``). The options, and what is
    returned and refused, are those of ``lossbook.losses.cross_entropy``.

    The memory needed is that of the logits, of their gradient, and O(N). All
    sums are in float32, or in float64 for float64 logits. A row that does not
    count is not read: its gradient is 0 even where it holds ``nan``. The
    backward pass multiplies the gradient by the incoming one, and does nothing
    if that is 1. A second backward pass needs ``retain_graph=True`` in the
    first; a second derivative is refused.

    The reference computes, and a ``FusedFallback`` says so once for each
    reason, where the kernel isn't available, the target holds probabilities, or
    the dtype is another. Logits of shape ``(N, K, *)`` are first copied, to
    have the classes last.

    Args:
        input: Logits :math:`z`, shape ``(K,)``, ``(N, K)`` or ``(N, K, *)``, of
            any strides.
        target: Class indices :math:`y`, shape ``()``, ``(N,)`` or ``(N, *)``,
            or class probabilities, of the input's shape.
        weight: The weight :math:`w_k` of each class, shape ``(K,)``.
        ignore_index: The class index of a target that does not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean divides by the
            sum of the weights of the targets that count.
        label_smoothing: The share of the label given to all classes alike.

    Returns:
        The loss, of shape ``()``, or that of the class indices for ``"none"``,
        in the input's dtype.

    Raises:
        TypeError: An argument is not a tensor, or an option not a number.
        ValueError: The batch sizes differ, or ``reduction`` is unknown.
        IndexError: A class index lies outside [0, K) and is not
            ``ignore_index``. On a GPU, to look would mean to wait: there, the
            loss and the gradient of such a row are ``nan``.
        RuntimeError: Another size, dtype or device does not fit,
            ``label_smoothing`` is above 1, or ``weight`` requires a gradient.

    Source:
        Equation (fused-gradient) of chapter 8.
    """
    kernels = _kernels_for(input, target)
    if kernels is None:
        return multiclass.cross_entropy(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
    multiclass._require_options(ignore_index, label_smoothing)
    if weight is not None:
        require_tensors(weight=weight)
    if input.ndim == 1 and target.shape == (1,):
        target = target.reshape(())
    require_indices_for(input, target)
    require_class_weights(input, weight)
    require_same_dtype(input, weight)
    require_constant(weight=weight)
    require_reduction(reduction)
    require_one_device(input=input, target=target, weight=weight)
    if not input.is_cuda:
        require_class_indices(input, target, ignore_index)

    z = input[None] if input.ndim == 1 else input
    if input.ndim > 2:
        z = input.movedim(1, -1).reshape(-1, input.shape[1])
    smoothing = label_smoothing if label_smoothing > 0 else 0.0
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        kernels, z, target.reshape(-1), weight, ignore_index, reduction,
        smoothing, z.requires_grad and torch.is_grad_enabled(),
    )  # fmt: skip
    return loss.reshape(target.shape) if reduction == "none" else loss


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropy of logits (N, V) with its gradient, computed in forward."""

    @staticmethod
    def forward(
        ctx: Any, kernels: ModuleType, z: Tensor, target: Tensor,
        weight: Tensor | None, ignore_index: int, reduction: str,
        smoothing: float, wanted: bool,
    ) -> Tensor:  # fmt: skip
        ctx.kernels = kernels
        ctx.gradient = torch.empty_like(z) if wanted else None
        target = indices(target)
        divisor = None
        if reduction == "mean":
            divisor = total_weight(target, weight, ignore_index)
        # In float16 a gradient over N would underflow: it is divided once the
        # incoming one, which is large there, is known.
        ctx.divisor = divisor if z.dtype == torch.float16 else None
        losses: Tensor = kernels.run_loss_and_gradient(
            z, target, weight, divisor, ctx.gradient, ignore_index,
            smoothing, ctx.divisor is None,
        )  # fmt: skip
        loss = losses if reduction == "none" else losses.sum()
        return loss.to(z.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        gradient: Tensor | None = ctx.gradient
        if gradient is None:
            raise RuntimeError(
                "the gradient was given away by the first backward pass; "
                "pass retain_graph=True to that one to have another"
            )
        if torch._C._autograd._get_current_graph_task_keep_graph():
            gradient = gradient.clone()
        else:
            ctx.gradient = None
        factor = incoming[0]
        if ctx.divisor is not None:
            factor = factor.float() / ctx.divisor
        ctx.kernels.run_scale(gradient, factor)
        return None, gradient, *[None] * 6


def _kernels_for(input: Tensor, target: Tensor) -> ModuleType | None:
    """Return the kernels, or None where the reference must compute, and say why."""
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        return None  # which the reference refuses
    if input.ndim == 0 or input.numel() == 0 or not input.is_floating_point():
        return None  # nothing to compute, or refused
    possible, why = available(input.device)
    if possible and input.shape == target.shape:
        possible, why = False, "the target holds class probabilities"
    if possible and input.dtype not in DTYPES:
        possible, why = False, f"the input has dtype {input.dtype}"
    if possible:
        from lossbook.losses import fused_kernels

        return fused_kernels
    if why not in _told:
        _told.add(why)
        warnings.warn(
            f"the reference computes this cross-entropy: {why}",
            FusedFallback,
            stacklevel=3,
        )
    return None


def online_softmax(z: Tensor, block: int = 1) -> tuple[Tensor, Tensor]:
    r"""Largest logit and sum of exponentials, in one pass over blocks.

    .. math::

        m' &= \max(m, z_k) = m + \max(0, z_k - m), \\
        d' &= d \, e^{m - m'} + e^{z_k - m'}, \qquad
        d \, e^{m} + e^{z_k} = d' e^{m'}

    Args:
        z: Logits, floating-point, shape ``(*, V)``.
        block: How many logits one step takes.

    Returns:
        The largest logit m and :math:`d = \sum_k e^{z_k - m}`, each of shape
        ``(*)``. Of no logits, m is ``-inf`` and d is 0.

    Raises:
        TypeError: ``z`` is not a tensor, or ``block`` not an int.
        ValueError: ``block`` is below 1.

    Source:
        Equation (fused-online) of chapter 8, after Milakov and Gimelshein
        (2018).
    """
    require_tensors(z=z)
    require_integers(block=block)
    if block < 1:
        raise ValueError(f"block is {block}; it must be at least 1")
    m = torch.full(z.shape[:-1], -torch.inf, dtype=z.dtype, device=z.device)
    d = torch.zeros_like(m)
    for piece in torch.split(z, block, dim=-1) if z.shape[-1] else ():
        top = torch.maximum(m, piece.amax(-1))
        # Before the first finite logit there is nothing to subtract.
        base = top.masked_fill(top == -torch.inf, 0)
        d = d * exp(m - base) + exp(piece - base[..., None]).sum(-1)
        m = top
    return m, d


def bytes_moved(n: int, v: int, dtype: torch.dtype) -> int:
    """Count the bytes that loss and gradient must move: each logit read once, each gradient written once.

    Targets and losses, of O(N), are left out. The kernel reads a row twice,
    the second time from its registers and the caches: a program holds one row
    at a time, and all that run at once hold about 33 MB of 131072 logits in
    bfloat16 on an H100, whose caches take 50 MB and 30 MB more.

    Args:
        n: The number of rows.
        v: The number of classes.
        dtype: The dtype of the logits.

    Returns:
        Bytes, :math:`2 N V` times the size of an element.
    """
    return 2 * n * v * dtype.itemsize
