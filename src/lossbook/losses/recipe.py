r"""The recipe of every chapter: likelihood, log, negative, loss; what it is reduced to, and the scores to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbook.losses.arguments import (
    not_floating,
    require_tensors,
    unknown_reduction,
    widened,
)


def negative_log_likelihood(
    log_likelihood: Tensor, reduction: str = "mean"
) -> Tensor:
    r"""Negate what a model thought of what happened: the recipe's last line.

    .. math::

        \ell_n = -\log p(y_n \mid x_n)

    Args:
        log_likelihood: Log-likelihoods of the observations, shape ``(*)``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: ``log_likelihood`` is not a tensor.
        ValueError: ``reduction`` is unknown.

    Source:
        Equation (recipe) of chapter 1.
    """
    require_tensors(log_likelihood=log_likelihood)
    return reduce(-log_likelihood, reduction)


def reduce(
    losses: Tensor,
    reduction: str = "mean",
    total_weight: Tensor | int | None = None,
) -> Tensor:
    r"""Turn the losses of single elements into what the caller asked for.

    .. math::

        \ell_{\text{sum}} = \sum_n \ell_n, \qquad
        \ell_{\text{mean}} = \frac{1}{N} \sum_n \ell_n, \qquad
        \ell_{\text{weighted}} = \frac{\sum_n w_n \ell_n}{\sum_n w_n}

    Args:
        losses: The losses, each already times its weight, shape ``(*)``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        total_weight: The sum of the weights, by which a weighted mean divides.
            None divides by the number of losses.

    Returns:
        The losses themselves, shape ``(*)``, or their mean or sum, shape
        ``()``. The mean of nothing is ``nan``.

    Raises:
        ValueError: ``reduction`` is none of the three.
        RuntimeError: The losses have no floating-point dtype, and no mean.

    Source:
        Equation (reductions) of chapter 1.
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction != "mean":
        raise unknown_reduction(reduction)
    if total_weight is not None:
        return losses.sum() / total_weight
    # As losses.mean(), but the gradient is one quotient, not N equal ones.
    if not losses.is_floating_point():
        raise not_floating("losses", losses)
    mean = losses.sum(dtype=widened(losses).dtype) / losses.numel()
    return mean.to(losses.dtype)


def best_constant_mse(y: Tensor) -> Tensor:
    r"""Mean squared error of the best constant, the mean: the variance.

    .. math::

        \min_c \frac{1}{N} \sum_n (c - y_n)^2 = \frac{1}{N} \sum_n (y_n -
        \bar{y})^2

    Args:
        y: Labels, shape ``(*)``.

    Returns:
        The loss that a model must beat, shape ``()``.

    Source:
        Equation (baseline-mse) of chapter 1.
    """
    return ((y - y.mean()) ** 2).mean()


def best_constant_bce(y: Tensor) -> Tensor:
    r"""Binary cross-entropy of the best constant, the base rate: its entropy.

    .. math::

        \min_p \ell(p) = -\bar{y} \log \bar{y} - (1 - \bar{y}) \log (1 -
        \bar{y})

    Args:
        y: Labels in [0, 1], floating-point, shape ``(*)``.

    Returns:
        The loss that a model must beat, shape ``()``. It is log 2 = 0.6931 for
        balanced labels.

    Source:
        Equation (baseline-bce) of chapter 1.
    """
    p = y.mean()
    return 0 - torch.xlogy(p, p) - torch.xlogy(1 - p, 1 - p)


def best_constant_cross_entropy(y: Tensor, K: int) -> Tensor:
    r"""Cross-entropy of the best constant, the frequencies: their entropy.

    .. math::

        \min_p \ell(p) = -\sum_{k=1}^{K} \hat{q}_k \log \hat{q}_k, \qquad
        \hat{q}_k = \frac{1}{N} \sum_n [y_n = k]

    Args:
        y: Class indices in [0, K), shape ``(*)``.
        K: The number of classes.

    Returns:
        The loss that a model must beat, shape ``()``. It is log K for uniform
        labels.

    Source:
        Equation (baseline-cross-entropy) of chapter 1.
    """
    q = torch.bincount(y.flatten(), minlength=K) / y.numel()
    return 0 - torch.xlogy(q, q).sum()
