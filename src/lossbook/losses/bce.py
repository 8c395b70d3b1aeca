r"""Binary cross-entropy: the negative log-likelihood of a coin, from a probability or from a logit."""

from __future__ import annotations

import torch
from torch import Tensor, exp, log, log1p

from lossbook.losses.recipe import (
    reduce,
    require_constant,
    require_expandable,
    require_floating,
    require_same_shape,
    require_tensors,
    require_tensors_or_none,
    weighted,
    widened,
    with_gradients,
)

# PyTorch writes 1e-12 as a float32 constant, for every dtype: 9.99999996e-13.
EPSILON = torch.tensor(1e-12, dtype=torch.float32).item()


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Binary cross-entropy of probabilities.

    .. math::

        \ell = -w \bigl[ y \log p + (1 - y) \log (1 - p) \bigr],
        \qquad \frac{\partial \ell}{\partial p} = w \, \frac{p - y}{p (1 - p)}

    Each logarithm is held at or above -100, so that a certain and wrong model
    costs 100 and not infinity. The gradient's denominator is held at or above
    1e-12: it does not vanish where the logarithm is held.

    Args:
        input: Probabilities :math:`p` in [0, 1], shape ``(*)``.
        target: Labels :math:`y` in [0, 1], shape ``(*)``, of the input's dtype.
        weight: Weights :math:`w`, of a shape that broadcasts to ``(*)``.
        reduction: ``"none"``, ``"mean"`` (over all elements) or ``"sum"``.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: The shapes differ, or ``reduction`` is unknown.
        RuntimeError: A probability or label lies outside [0, 1], the dtypes
            differ, or ``weight`` does not broadcast to the input or requires a
            gradient.

    Source:
        Equation (bce-clamped) of chapter 3.
    """
    _require_pair(input, target, weight=weight)
    _require_probabilities(input, target)
    p, y = input, target

    log_p = log(p).clamp(min=-100)
    log_not_p = log1p(-p).clamp(min=-100)
    losses = (y - 1) * log_not_p - y * log_p

    by_p = (p - y) / (p * (1 - p)).clamp(min=EPSILON)
    by_y = -torch.logit(p)
    losses = with_gradients(losses, (p, by_p), (y, by_y))
    return reduce(weighted(losses, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    r"""Binary cross-entropy of logits: stable, as no probability is formed.

    .. math::

        \ell &= w \bigl[ (1 - y) z + l \, \bigl( \log (1 + e^{-|z|})
        + \max(-z, 0) \bigr) \bigr], \qquad l = 1 + (c - 1) y, \\
        \frac{\partial \ell}{\partial z}
        &= w \bigl[ l \, \sigma(z) - c y \bigr]

    Without ``pos_weight``, :math:`c = 1` and the gradient is what the model
    said minus what happened, :math:`\sigma(z) - y`.

    Args:
        input: Logits :math:`z`, shape ``(*)``.
        target: Labels :math:`y`, shape ``(*)``; the loss has their dtype.
        weight: Weights :math:`w`, of a shape that broadcasts to ``(*)``.
        reduction: ``"none"``, ``"mean"`` (over all elements) or ``"sum"``.
        pos_weight: Weights :math:`c` of the positive labels, of a shape that
            broadcasts to ``(*)``.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: The shapes differ, or ``reduction`` is unknown.
        RuntimeError: A dtype is not floating-point, or a weight does not
            broadcast to the input or requires a gradient.

    Source:
        Equation (bce-stable) of chapter 3.
    """
    _require_pair(input, target, weight=weight, pos_weight=pos_weight)
    z, y = input, target

    l = 1 if pos_weight is None else 1 + (pos_weight - 1) * y
    losses = (1 - y) * z + l * neg_log_sigmoid(z)

    positive = y if pos_weight is None else pos_weight * y
    by_z = l * torch.sigmoid(z) - positive
    by_y = (
        -z
        if pos_weight is None
        else pos_weight * neg_log_sigmoid(z) - neg_log_sigmoid(-z)
    )
    losses = with_gradients(losses.to(y.dtype), (z, by_z), (y, by_y))
    return reduce(weighted(losses, weight), reduction)


def neg_log_sigmoid(z: Tensor) -> Tensor:
    r"""Negative log of the sigmoid, whose exponential never overflows.

    .. math::

        -\log \sigma(z) = \log (1 + e^{-z}) = \log (1 + e^{-|z|}) + \max(-z, 0)

    Args:
        z: Logits, shape ``(*)``.

    Returns:
        The negative log-probabilities of a positive label, shape ``(*)``.

    Source:
        Equation (softplus-stable) of chapter 3.
    """
    wide = widened(z)
    return (log1p(exp(-wide.abs())) + (-wide).clamp(min=0)).to(z.dtype)


def _require_pair(
    input: Tensor, target: Tensor, **weights: Tensor | None
) -> None:
    """Refuse what neither loss accepts, before any arithmetic."""
    require_tensors(input=input, target=target)
    require_tensors_or_none(**weights)
    require_same_shape(input=input, target=target)
    require_floating(input=input, target=target)
    require_expandable(input.shape, **weights)
    require_constant(**weights)


def _require_probabilities(input: Tensor, target: Tensor) -> None:
    """Refuse dtypes that differ, and anything outside [0, 1]: nan is outside too."""
    if input.dtype != target.dtype:
        raise RuntimeError(
            f"target has dtype {target.dtype}; it must be the input's, {input.dtype}"
        )
    for name, value in (("input", input), ("target", target)):
        if not ((value >= 0) & (value <= 1)).all():
            raise RuntimeError(
                f"{name} has elements outside [0, 1]; every one must be a probability"
            )
