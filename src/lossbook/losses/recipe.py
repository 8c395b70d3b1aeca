r"""The recipe of every chapter: likelihood, log, negative, loss; and the parts that all losses share.

The shared parts are here once: how losses are reduced, how they are weighted, which targets are ignored, in which
precision they are computed, and what a wrong argument is told.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")


def reduce(losses: Tensor, reduction: str = "mean") -> Tensor:
    r"""Turn the losses of single elements into what the caller asked for.

    .. math::

        \text{none}: \ell_n, \qquad \text{sum}: \sum_n \ell_n, \qquad \text{mean}: \frac{1}{N} \sum_n \ell_n

    Args:
        losses: The losses, shape ``(*)``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The losses themselves, shape ``(*)``, or their mean or sum, shape ``()``. The mean of nothing is ``nan``.

    Raises:
        ValueError: ``reduction`` is none of the three.

    Source:
        Equation (reductions) of chapter 1.
    """
    require_reduction(reduction)
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    return losses


def weighted(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Scale each loss by its weight, in the losses' own dtype; no weight leaves them alone."""
    if weight is None:
        return losses
    return (losses * weight).to(losses.dtype)


def widened(x: Tensor) -> Tensor:
    """Return ``x`` in float32 where it is half precision: steps inside one formula are not rounded to 16 bits."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class _WithGradients(torch.autograd.Function):
    """The identity on a value, with its derivatives supplied (see :func:`with_gradients`)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, *pairs: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[2::2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gradients: list[Tensor | None] = [None]
        for derivative in ctx.saved_tensors:
            gradients += [grads[0] * derivative, None]
        return tuple(gradients)


def with_gradients(losses: Tensor, *pairs: tuple[Tensor, Tensor]) -> Tensor:
    """Give each loss the gradient on the page, where differentiating the code would give another.

    The chain rule, applied to a formula made safe by a clamp or an absolute value, returns the gradient of the
    clamp. The gradient of the loss is known in closed form, so it is stated.

    Args:
        losses: The losses, shape ``(*)``.
        pairs: For each variable, shape ``(*)``, the derivative of its loss by it, shape ``(*)``.

    Returns:
        The same losses, shape ``(*)``, with those derivatives and no others.
    """
    flat = [tensor for pair in pairs for tensor in pair]
    result: Tensor = _WithGradients.apply(losses, *flat)  # type: ignore[no-untyped-call]
    return result


def require_reduction(reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise ``ValueError`` unless ``reduction`` is one of ``allowed``."""
    if reduction not in allowed:
        raise ValueError(f"reduction is {reduction!r}; it must be one of {', '.join(map(repr, allowed))}")


def require_tensors(**arguments: object) -> None:
    """Raise ``TypeError`` unless every argument is a tensor or None."""
    for name, value in arguments.items():
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}; it must be a Tensor")


def require_floating(**arguments: Tensor) -> None:
    """Raise ``NotImplementedError`` (a ``RuntimeError``) unless every tensor holds real floating-point numbers."""
    for name, value in arguments.items():
        if not value.is_floating_point():
            raise NotImplementedError(f"{name} has dtype {value.dtype}; it must be a floating-point dtype")


def require_same_shape(**arguments: Tensor) -> None:
    """Raise ``ValueError`` unless the tensors all have the shape of the first."""
    (first, expected), *others = arguments.items()
    for name, value in others:
        if value.shape != expected.shape:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}; it must be that of {first}, {tuple(expected.shape)}"
            )


def require_expandable(shape: torch.Size, **arguments: Tensor | None) -> None:
    """Raise ``RuntimeError`` unless every tensor broadcasts to ``shape`` without enlarging it."""
    for name, value in arguments.items():
        if value is None:
            continue
        sizes = zip(reversed(value.shape), reversed(shape), strict=False)
        if value.ndim > len(shape) or any(mine not in (1, theirs) for mine, theirs in sizes):
            raise RuntimeError(
                f"{name} has shape {tuple(value.shape)}; it must broadcast to the input's, {tuple(shape)}"
            )


def require_constant(**arguments: Tensor | None) -> None:
    """Raise ``RuntimeError`` if a tensor that only scales the loss asks for a gradient."""
    for name, value in arguments.items():
        if value is not None and value.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(f"{name} requires a gradient; it must not: the loss is not differentiable by it")
