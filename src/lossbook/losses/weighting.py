"""How much each target counts: weights of elements and of classes, and targets that are ignored."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted(losses: Tensor, weight: Tensor | None) -> Tensor:
    """Scale each loss by its weight, in the losses' own dtype; no weight leaves them alone."""
    if weight is None:
        return losses
    return (losses * weight).to(losses.dtype)


def counted_targets(
    target: Tensor,
    ignore_index: int,
    weight: Tensor | None,
    all_count: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Say which targets count, and how much.

    Args:
        target: Class indices, shape ``(*)``.
        ignore_index: The class index of a target that does not count.
        weight: The weight of each class, shape ``(K,)``; None for 1.
        all_count: Whether it is known that every target counts.

    Returns:
        Class indices that are safe to look up; which of them count, or None
        where all do; and the weight of each target's class, 0 where it does
        not count, or None without weights; each of shape ``(*)``.
    """
    y = target.long()  # in uint8, -100 would be 156
    counted = None if all_count else y != ignore_index
    if counted is not None:
        y = torch.where(counted, y, 0)
    w = None
    if weight is not None:
        w = at_class(weight.expand(*y.shape, -1), y, -1)
    if w is not None and counted is not None:
        # Times 0 would not do: the weight of class 0 may be infinite.
        w = torch.where(counted, w, 0)
    return y, counted, w


def counted_losses(
    losses: Tensor, counted: Tensor | None, w: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Weigh the losses, and put 0 where a target does not count.

    Args:
        losses: The loss of each target, shape ``(*)``.
        counted: Which targets count, shape ``(*)``; None where all do.
        w: The weights of the targets, shape ``(*)``; None for 1.

    Returns:
        The losses, shape ``(*)``, and what their mean divides by, the sum of
        the weights, shape ``()``, in the dtype of the losses.
    """
    if w is not None:
        losses, total = w * losses, w.sum()
    elif counted is not None:
        total = counted.sum()
    else:
        total = losses.new_full((), float(losses.numel()))
    if counted is not None:
        losses = torch.where(counted, losses, 0)
    return losses, total.to(losses.dtype)


def at_class(x: Tensor, y: Tensor, dim: int) -> Tensor:
    """Pick from ``x``, shape ``(N, K, *)``, its entries at ``y``, ``(N, *)``.

    They are 0 where there are no classes, and so no y that counts.
    """
    if not x.shape[dim]:
        return x.sum(dim)
    return x.gather(dim, y.unsqueeze(dim)).squeeze(dim)


def class_dim(x: Tensor) -> int:
    """Return the dimension of the classes: 0 of ``(K,)``, 1 of ``(N, K, *)``."""
    return 0 if x.ndim == 1 else 1


def per_class(weight: Tensor, x: Tensor) -> Tensor:
    """Shape class weights ``(K,)`` to broadcast along the classes of ``x``, ``(K,)`` or ``(N, K, *)``."""
    return weight.reshape(-1, *[1] * (x.ndim - 2))
