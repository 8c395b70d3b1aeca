"""Cross-entropy of a linear layer's logits, of which only a few rows exist at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, log
from torch.autograd.function import once_differentiable

from lossbook.losses import multiclass
from lossbook.losses.fused_parts import (
    DTYPES,
    available,
    indices,
    real_dtype,
    require_one_device,
    total_weight,
)
from lossbook.losses.recipe import (
    at_class,
    counted_targets,
    require_class_indices,
    require_class_weights,
    require_constant,
    require_floating,
    require_indices_for,
    require_integers,
    require_reduction,
    require_same_dtype,
    require_tensors,
    require_tensors_or_none,
    widened,
)


class _Options(NamedTuple):
    """What is asked of every chunk."""

    target: Tensor
    weight: Tensor | None
    ignore_index: int
    smoothing: float
    chunk: int


def linear_cross_entropy(
    hidden: Tensor,
    vocabulary: Tensor,
    target: Tensor,
    bias: Tensor | None = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    chunk: int | None = None,
) -> Tensor:
    r"""Cross-entropy of the logits of a linear layer, without holding them all.

    .. math::

        z_{nk} &= \sum_{i=1}^{D} h_{ni} v_{ki} + b_k, \qquad
        \frac{\partial \ell}{\partial h_{ni}} = \sum_{k=1}^{V} g_{nk} v_{ki}, \\
        \frac{\partial \ell}{\partial v_{ki}} &= \sum_{n=1}^{N} g_{nk} h_{ni},
        \qquad \frac{\partial \ell}{\partial b_k} = \sum_{n=1}^{N} g_{nk}

    The logits z are made for some rows at a time, turned in place into their
    gradient g, multiplied into the gradients above, and freed. So the gradients
    exist after the forward pass, and the backward one only scales them. With
    ``reduction="none"`` it can't, and makes the logits again.

    It runs on every device: by the fused kernel where that is available, else
    by PyTorch's operations. Gradients of several rows are summed in float32, or
    in float64 for float64.

    Args:
        hidden: What the layer is given, :math:`h`, shape ``(N, D)``.
        vocabulary: The layer's matrix, :math:`v`, shape ``(V, D)``.
        target: Class indices, shape ``(N,)``.
        bias: The layer's bias :math:`b`, shape ``(V,)``.
        weight: The weight of each class, shape ``(V,)``.
        ignore_index: The class index of a target that does not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``, as for
            ``cross_entropy``.
        label_smoothing: The share of the label given to all classes alike.
        chunk: How many rows of logits exist at a time. By default as many as
            take no more memory than the larger of hidden and vocabulary.

    Returns:
        The loss, of shape ``()``, or ``(N,)`` for ``"none"``, in the dtype of
        ``hidden``.

    Raises:
        TypeError: An argument is not a tensor, or an option not a number.
        ValueError: The numbers of rows differ, ``chunk`` is below 1, or
            ``reduction`` is unknown.
        IndexError: A class index lies outside [0, V) and is not
            ``ignore_index``. On a GPU such a row's loss is ``nan``.
        RuntimeError: A size, dtype or device does not fit, ``label_smoothing``
            is above 1, or ``weight`` requires a gradient.

    Source:
        Equation (fused-linear) of chapter 8, after Hsu et al. (2024), whose
        chunks take the memory of hidden, and Wijmans et al. (2024).
    """
    multiclass._require_options(ignore_index, label_smoothing)
    require_tensors(hidden=hidden, vocabulary=vocabulary, target=target)
    require_tensors_or_none(bias=bias, weight=weight)
    _require_layer(hidden, vocabulary, bias)
    (N, D), V = hidden.shape, len(vocabulary)
    shape = torch.empty(N, V, device="meta")
    require_indices_for(shape, target)
    require_class_weights(shape, weight)
    require_same_dtype(hidden, weight)
    require_constant(weight=weight)
    require_reduction(reduction)
    require_one_device(
        hidden=hidden,
        vocabulary=vocabulary,
        target=target,
        bias=bias,
        weight=weight,
    )
    if not hidden.is_cuda:
        require_class_indices(shape, target, ignore_index)
    if chunk is None:
        chunk = default_chunk(N, V, D)
    require_integers(chunk=chunk)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")

    target = indices(target)
    smoothing = label_smoothing if label_smoothing > 0 else 0.0
    options = _Options(target, weight, ignore_index, smoothing, chunk)
    needs = tuple(
        torch.is_grad_enabled() and x is not None and x.requires_grad
        for x in (hidden, vocabulary, bias)
    )
    loss: Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, vocabulary, bias, options, reduction, needs
    )
    return loss


def default_chunk(N: int, V: int, D: int) -> int:
    """Return how many rows of V logits take the memory of hidden, (N, D), or of the vocabulary, (V, D)."""
    return min(max(D, N * D // max(V, 1), 1), max(N, 1))


class _LinearCrossEntropy(torch.autograd.Function):
    """The loss, and with it the gradients that several rows share."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, vocabulary: Tensor, bias: Tensor | None,
        options: _Options, reduction: str, needs: tuple[bool, ...],
    ) -> Tensor:  # fmt: skip
        target, weight, ignore_index, *_ = options
        divisor = None
        if reduction == "mean":
            divisor = total_weight(target, weight, ignore_index)
        once = reduction != "none"
        losses, ctx.gradients = _walk(
            hidden, vocabulary, bias, options,
            needs if once else (False,) * 3, None,
        )  # fmt: skip
        ctx.divisor, ctx.options, ctx.needs = divisor, options, needs
        ctx.dtype, ctx.once = hidden.dtype, once
        if not once:
            ctx.save_for_backward(hidden, vocabulary, bias)
            return losses.to(hidden.dtype)
        loss = losses.sum()
        return (loss if divisor is None else loss / divisor).to(hidden.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.once:
            layer: tuple[Tensor, Tensor, Tensor | None] = ctx.saved_tensors
            _, gradients = _walk(*layer, ctx.options, ctx.needs, incoming[0])
            return *_in_dtype(gradients, ctx.dtype), None, None, None
        if ctx.gradients is None:
            raise RuntimeError(
                "the gradients were given away by the first backward pass; "
                "pass retain_graph=True to that one to have another"
            )
        gradients = ctx.gradients
        factor = widened(incoming[0])
        if ctx.divisor is not None:
            factor = factor / ctx.divisor
        if torch._C._autograd._get_current_graph_task_keep_graph():
            gradients = [None if g is None else g * factor for g in gradients]
        else:
            ctx.gradients = None
            gradients = [
                None if g is None else g.mul_(factor) for g in gradients
            ]
        return *_in_dtype(gradients, ctx.dtype), None, None, None


def _walk(
    hidden: Tensor, vocabulary: Tensor, bias: Tensor | None, options: _Options,
    needs: tuple[bool, ...], factors: Tensor | None,
) -> tuple[Tensor, list[Tensor | None]]:  # fmt: skip
    """Return the losses of all rows, and what of the gradients is needed, chunk by chunk.

    Args:
        hidden: Shape ``(N, D)``.
        vocabulary: Shape ``(V, D)``.
        bias: Shape ``(V,)``, or None.
        options: What is asked of every chunk.
        needs: Whether the gradients by the three are needed.
        factors: What the gradient of each row is multiplied by, shape ``(N,)``.

    Returns:
        Losses, shape ``(N,)``, and gradients of their sum, with the shapes of
        the three; None where not needed.
    """
    real = real_dtype(hidden)
    losses = torch.empty(len(hidden), dtype=real, device=hidden.device)
    gradients = [
        torch.zeros_like(x, dtype=real) if needed and x is not None else None
        for x, needed in zip((hidden, vocabulary, bias), needs, strict=True)
    ]
    of_hidden, of_vocabulary, of_bias = gradients
    target, weight, ignore_index, smoothing, chunk = options
    for start in range(0, len(hidden), chunk):
        rows = slice(start, start + chunk)
        h = hidden[rows]
        z = h @ vocabulary.T
        if bias is not None:
            z += bias
        losses[rows], g = _loss_and_gradient(
            z, target[rows], weight, ignore_index, smoothing, any(needs)
        )
        del z
        if not any(needs):
            continue
        if factors is not None:
            g *= factors[rows, None]
        if of_hidden is not None:
            of_hidden[rows] = g @ vocabulary
        if of_vocabulary is not None:
            if of_vocabulary.dtype == g.dtype:
                of_vocabulary.addmm_(g.T, h)
            else:
                of_vocabulary += g.T @ h
        if of_bias is not None:
            of_bias += g.sum(0, dtype=real)
        del g
    return losses, gradients


def _loss_and_gradient(
    z: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int,
    smoothing: float, wanted: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the losses of a chunk's rows, (n,), and its gradient, (n, V), in the place of the logits."""
    if z.numel() and z.dtype in DTYPES and available(z.device)[0]:
        from lossbook.losses import fused_kernels

        losses: Tensor = fused_kernels.run_loss_and_gradient(
            z, target, weight, None, z if wanted else None, ignore_index,
            smoothing,
        )  # fmt: skip
        return losses, z
    return _plain(z, target, weight, ignore_index, smoothing)


def _plain(
    z: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int,
    smoothing: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Do in PyTorch's operations, in place, what the kernel does."""
    dtype, V, z = z.dtype, z.shape[1], widened(z)
    weight = None if weight is None else widened(weight)
    y, counted, w = counted_targets(target, ignore_index, weight)
    assert counted is not None, "it was not said that all count"
    w = counted if w is None else w
    z -= z.amax(1, keepdim=True)
    z_y = at_class(z, y, 1)
    of_all = torch.ones(V, dtype=z.dtype, device=z.device)
    of_all = of_all if weight is None else weight
    weighed = z @ of_all if smoothing else 0
    p = z.exp_()
    total = p.sum(1)

    # The loss, and its gradient: a p - b w, less c at the label.
    b, c = smoothing / V, (1 - smoothing) * w.to(z.dtype)
    a = c + b * of_all.sum()
    losses = a * log(total) - c * z_y - b * weighed
    g = p.mul_((a / total)[:, None])
    if smoothing:
        g -= b * of_all
    g.scatter_add_(1, y[:, None], -c[:, None])
    g.masked_fill_(~counted[:, None], 0)
    return losses.masked_fill(~counted, 0), g.to(dtype)


def _in_dtype(
    gradients: list[Tensor | None], dtype: torch.dtype
) -> list[Tensor | None]:
    """Round the gradients to the dtype of what they are gradients by."""
    return [None if g is None else g.to(dtype) for g in gradients]


def _require_layer(
    hidden: Tensor, vocabulary: Tensor, bias: Tensor | None
) -> None:
    """Refuse a layer whose sizes or dtypes do not fit."""
    require_floating(hidden=hidden, vocabulary=vocabulary)
    for name, value, shape in (
        ("hidden", hidden, "(N, D)"),
        ("vocabulary", vocabulary, "(V, D)"),
    ):
        if value.ndim != 2:
            raise RuntimeError(
                f"{name} has shape {tuple(value.shape)}; it must be {shape}"
            )
    D, V = hidden.shape[1], len(vocabulary)
    if vocabulary.shape[1] != D:
        raise RuntimeError(
            f"vocabulary has shape {tuple(vocabulary.shape)}; it must be (V, {D}), as wide as hidden"
        )
    if bias is not None and bias.shape != (V,):
        raise RuntimeError(
            f"bias has shape {tuple(bias.shape)}; it must be one number a class, ({V},)"
        )
    for name, other in (("vocabulary", vocabulary), ("bias", bias)):
        if other is not None and other.dtype != hidden.dtype:
            raise RuntimeError(
                f"{name} has dtype {other.dtype}; it must be that of hidden, {hidden.dtype}"
            )
