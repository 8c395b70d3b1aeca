r"""Cross-entropy at the limit: as few bytes read and written as loss and gradient need.

A Triton kernel (``fused_triton``) computes loss and gradient together, in the
forward pass. Where it can't run, the reference does the work and a warning
says why. Importing this module doesn't import Triton.
"""

from __future__ import annotations

import math
import warnings
from types import ModuleType
from typing import Any, Literal, NamedTuple, overload

import torch
from torch import Tensor, exp

from lossbook.losses import multiclass
from lossbook.losses.arguments import (
    class_indices,
    fraction,
    integer,
    number,
    require_class_weights,
    require_constant,
    require_reduction,
    require_tensors,
    require_tensors_or_none,
    under_autocast,
    widened,
)
from lossbook.losses.fused_linear import linear_cross_entropy
from lossbook.losses.fused_parts import (
    DTYPES,
    FusedFallback,
    available,
    differentiable_gradients,
    divisor_for,
    indices,
    real_dtype,
    require_one_device,
    require_weight_dtype,
    total_weight,
    why_not_plain,
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


class _Options(NamedTuple):
    """What is asked of every row."""

    target: Tensor
    weight: Tensor | None
    ignore_index: int
    reduction: str
    smoothing: float
    divisor: Tensor | None
    softcap: float
    z_loss: float
    dtype: torch.dtype


@overload
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None,
    ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0, *, divisor: float | Tensor | None = None,
    softcap: float | None = None, z_loss: float = 0.0,
    return_lse: Literal[False] = False,
) -> Tensor: ...  # fmt: skip
@overload
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None,
    ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0, *, divisor: float | Tensor | None = None,
    softcap: float | None = None, z_loss: float = 0.0,
    return_lse: Literal[True],
) -> tuple[Tensor, Tensor]: ...  # fmt: skip
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    divisor: float | Tensor | None = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Cross-entropy of logits, by one kernel that also computes the gradient.

    .. math::

        \ell(y) &= -w_y \log p_y, \qquad
        \log p_k = z_k - m - \log d, \\
        \frac{\partial \ell(y)}{\partial z_k} &= w_y (p_k - [k = y])

    Here m is a row's largest logit and d the sum of its :math:`e^{z_j - m}`,
    both found in one pass (``online_softmax``). The first six arguments, and
    what is refused, are those of ``lossbook.losses.cross_entropy``; the others
    are for what is otherwise done to a loss or to logits in passes of its own.

    The memory needed is that of the logits, of their gradient, and O(N). All
    sums are in float32, or in float64 for float64 logits. A row that does not
    count is not read: its gradient is 0 even where it holds ``nan``.

    The backward pass multiplies the gradient by the incoming one, which moves
    it once more, and does nothing if that is 1. So divide by ``divisor``, not
    by ``/``. In float16 it also divides there, and so always moves it, where
    there is a ``divisor`` or a mean. A second backward pass needs
    ``retain_graph=True`` in the first. With ``create_graph=True``, and where
    ``torch.func``, forward mode or ``torch.compile`` is at work, PyTorch's
    operations compute what the kernel can't.

    They compute as well, and a ``FusedFallback`` says so once for each reason,
    where the kernel isn't available, or the dtype is another. Of class
    probabilities the reference does. Logits of shape ``(N, K, *)`` are first
    copied, to have the classes last.

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
        divisor: What the loss is divided by after that, a number or a tensor of
            shape ``()``: a count of tokens for ``"sum"``, a number of batches
            whose gradients are added for ``"mean"``.
        softcap: Replace the logits by :math:`c \tanh(z / c)`, c positive. One
            of :math:`-\infty` becomes :math:`-c`: it masks no longer.
        z_loss: Add this times the square of a row's log-sum-exp to each loss
            that counts, before the reduction; class weights do not weigh it.
        return_lse: Whether to return the log-sum-exp of each row, too.

    Returns:
        The loss, of shape ``()`` in the input's dtype, or of the target's shape
        for ``"none"``. That, and under autocast either, is in float32 for
        logits in half precision. With ``return_lse`` the loss and the
        log-sum-exp of the (capped) logits, of the target's shape in the dtype
        of the sums, 0 where a target does not count. It has no gradient.

    Raises:
        TypeError: An argument is not a tensor, or an option not a number.
        ValueError: The batch sizes differ, ``reduction`` is unknown,
            ``softcap`` is not positive, or ``z_loss`` is negative.
        IndexError: A class index lies outside [0, K) and is not
            ``ignore_index``. On a GPU, to look would mean to wait: there, the
            loss and the gradient of such a row are ``nan``.
        RuntimeError: Another size, dtype or device does not fit,
            ``label_smoothing`` is above 1, ``weight`` or ``divisor`` requires a
            gradient, or an option after the sixth is given with probabilities.

    Source:
        Equations (fused-gradient), (fused-softcap-gradient) and
        (fused-z-gradient) of chapter 8.
    """
    require_tensors(input=input, target=target)
    require_tensors_or_none(weight=weight)
    if input.shape == target.shape:
        extra = divisor is not None or softcap is not None or z_loss != 0
        return _of_probabilities(
            input, target, weight, ignore_index, reduction, label_smoothing,
            extra or return_lse,
        )  # fmt: skip
    smoothing = fraction("label_smoothing", label_smoothing)
    ignore_index = integer("ignore_index", ignore_index)
    softcap, z_loss = _caps(softcap, z_loss)
    target, _ = class_indices(
        input, target, None if input.is_cuda else ignore_index
    )
    target = indices(target)
    if weight is not None:
        require_class_weights(input, weight)
        require_weight_dtype(input, weight)
        require_constant(weight=weight)
    require_reduction(reduction)
    require_one_device(input=input, target=target, weight=weight)

    z = input[None] if input.ndim == 1 else input
    if input.ndim > 2:
        z = input.movedim(1, -1).reshape(-1, input.shape[1])
    options = _Options(
        target.reshape(-1), weight, ignore_index, reduction,
        float(smoothing), divisor_for(input, divisor), softcap, z_loss,
        real_dtype(z) if under_autocast(z) else z.dtype,
    )  # fmt: skip
    kernels = _kernels_for(z, options)
    if kernels is None:
        loss, lse = _composed(z, options)
    else:
        loss, lse = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
            kernels, z, options, z.requires_grad and torch.is_grad_enabled()
        )
    if reduction == "none":
        loss = loss.reshape(target.shape)
    return (loss, lse.reshape(target.shape)) if return_lse else loss


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropy of logits (N, V) with its gradient, computed in forward; and the log-sum-exp."""

    @staticmethod
    def forward(
        ctx: Any,
        kernels: ModuleType,
        z: Tensor,
        options: _Options,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        o = options
        gradient = torch.empty_like(z) if wanted else None
        divisor = _divisor(o)
        # In float16 a gradient over N would underflow: it is divided once the
        # incoming one, which is large there, is known.
        late = divisor is not None and z.dtype == torch.float16
        lse = torch.empty(len(z), dtype=real_dtype(z), device=z.device)
        losses: Tensor = kernels.run_loss_and_gradient(
            z, o.target, o.weight, None if late else divisor, gradient,
            o.ignore_index, o.smoothing, o.softcap, o.z_loss, lse,
        )  # fmt: skip
        ctx.kernels, ctx.options, ctx.gradient = kernels, o, gradient
        ctx.divisor = divisor if late else None
        if wanted:
            ctx.save_for_backward(z)
        ctx.mark_non_differentiable(lse)
        return _reduced(losses, divisor, o), lse

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        options: _Options = ctx.options
        if torch.is_grad_enabled():  # somebody differentiates the gradient
            again = differentiable_gradients(
                lambda z: _composed(z, options)[0],
                ctx.saved_tensors, (True,), incoming[0],
            )  # fmt: skip
            return None, *again, None, None
        gradient: Tensor | None = ctx.gradient
        if gradient is None:
            raise RuntimeError(
                "the gradient was given away by the first backward pass; "
                "pass retain_graph=True to that one to have another"
            )
        factor = incoming[0]
        if ctx.divisor is not None:
            factor = factor.float() / ctx.divisor
        if why_not_plain(factor):  # a batch of incoming gradients
            counted = options.target != options.ignore_index
            factors = torch.where(counted, factor, 1)[:, None]
            return None, (gradient * factors).to(gradient.dtype), None, None
        if torch._C._autograd._get_current_graph_task_keep_graph():
            gradient = gradient.clone()
        else:
            ctx.gradient = None
        ctx.kernels.run_scale(
            gradient, factor, options.target, options.ignore_index
        )
        return None, gradient, None, None


def _divisor(o: _Options) -> Tensor | None:
    """Return what all losses are divided by, shape ``()``; None for 1."""
    if o.reduction != "mean":
        return o.divisor
    total = total_weight(o.target, o.weight, o.ignore_index)
    return total if o.divisor is None else total * o.divisor


def _reduced(losses: Tensor, divisor: Tensor | None, o: _Options) -> Tensor:
    """Return the losses as asked for: each in the dtype of sums, their sum in its own."""
    loss = losses if o.reduction == "none" else losses.sum()
    loss = loss if divisor is None else loss / divisor
    return loss if o.reduction == "none" else loss.to(o.dtype)


def _composed(z: Tensor, o: _Options) -> tuple[Tensor, Tensor]:
    """Return the loss and the log-sum-exp by PyTorch's operations, every derivative of which is right."""
    counted = o.target != o.ignore_index
    # Where a row does not count, no gradient comes back, not even a nan.
    z = torch.where(counted[:, None], widened(z), 0)
    if o.softcap:
        z = o.softcap * torch.tanh(z / o.softcap)
    weight = None if o.weight is None else widened(o.weight)
    losses = multiclass.cross_entropy(
        z, o.target, weight, o.ignore_index, "none", o.smoothing
    )
    lse = torch.where(counted, torch.logsumexp(z, 1), 0)
    if o.z_loss:
        losses = losses + o.z_loss * lse**2
    return _reduced(losses, _divisor(o), o), lse.detach()


def _of_probabilities(
    z: Tensor, q: Tensor, weight: Tensor | None, ignore_index: int,
    reduction: str, label_smoothing: float, extra: bool,
) -> Tensor:  # fmt: skip
    """Let the reference compute a cross-entropy with class probabilities."""
    if extra:
        raise RuntimeError(
            "target holds class probabilities; "
            "divisor, softcap, z_loss and return_lse need class indices"
        )
    _tell("the target holds class probabilities")
    if reduction == "none":
        z, q = widened(z), widened(q)
    return multiclass.cross_entropy(
        z, q, weight, ignore_index, reduction, label_smoothing
    )


def _caps(softcap: float | None, z_loss: float) -> tuple[float, float]:
    """Return both options as floats, 0 for none, or refuse them."""
    cap = 0.0 if softcap is None else float(number("softcap", softcap))
    if softcap is not None and not 0 < cap < math.inf:
        raise ValueError(f"softcap is {softcap}; it must be positive")
    factor = float(number("z_loss", z_loss))
    if not 0 <= factor < math.inf:
        raise ValueError(f"z_loss is {z_loss}; it must be 0 or positive")
    return cap, factor


def _kernels_for(z: Tensor, o: _Options) -> ModuleType | None:
    """Return the kernels, or None where PyTorch's operations must compute, and say why."""
    if torch.compiler.is_compiling() or not z.numel():
        return None
    possible, why = available(z.device)
    if possible and z.dtype not in DTYPES:
        possible, why = False, f"the input has dtype {z.dtype}"
    if possible:
        why = why_not_plain(z, o.target, o.weight, o.divisor)
        possible = not why
    if possible:
        from lossbook.losses import fused_kernels

        return fused_kernels
    _tell(why)
    return None


def _tell(why: str) -> None:
    """Warn once of each reason why the reference computes."""
    if why not in _told and not torch.compiler.is_compiling():
        _told.add(why)
        warnings.warn(
            f"the reference computes this cross-entropy: {why}",
            FusedFallback,
            stacklevel=4,
        )


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
    block = integer("block", block)
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

    Targets and losses, of O(N), are left out. The kernel reads a row twice: the
    second time from the cache, if one row for each multiprocessor fits there;
    else it moves up to half as many bytes again. An incoming gradient other than 1
    doubles them: give the ``divisor`` instead.

    Args:
        n: The number of rows.
        v: The number of classes.
        dtype: The dtype of the logits.

    Returns:
        Bytes, :math:`2 N V` times the size of an element.
    """
    return 2 * n * v * dtype.itemsize
