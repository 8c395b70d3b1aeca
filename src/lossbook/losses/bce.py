r"""Binary cross-entropy: the negative log-likelihood of a yes or a no, from a probability or a logit."""

from __future__ import annotations

import torch
from torch import Tensor, exp, log, log1p

from lossbook.losses.arguments import (
    not_constant,
    not_floating,
    require_all,
    tensors,
    values_of,
    widened,
)
from lossbook.losses.recipe import reduce
from lossbook.losses.weighting import weighted

# PyTorch writes 1e-12 as a float32 constant, for every dtype.
EPSILON = 9.999999960041972e-13


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
    1e-12: it does not vanish where the logarithm is held. The second derivative
    by p is that of the loss at p = 0 and p = 1 too, up to 1e24. By y, the
    derivative is the difference of the held logarithms.

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
    p, y, weight = tensors(input, target, weight=weight)
    _require_pair(p, y, weight=weight)
    _require_probabilities(p, y)

    dtype = p.dtype
    log_p, log_not_p = _held_logs(widened(p))
    y = widened(y)
    losses = (y - 1) * log_not_p - y * log_p
    return reduce(weighted(losses.to(dtype), weight), reduction)


def _held_logs(p: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p and log (1 - p), held where they would leave all bounds.

    Next to 0 and 1 the chain rule would return the slope of what holds them.
    There each is replaced by a parabola, whose value, slope and curvature are
    stated.
    """
    not_p = 1 - p
    inside = p * not_p > EPSILON
    (everywhere,) = values_of(inside.all())
    if everywhere:
        return log(p), log1p(-p)
    safe = torch.where(inside, p, 0.5)
    step = p - p.detach()  # 0, but its slope is 1
    log_p = _parabola(log(p), p, not_p, step)
    log_not_p = _parabola(log1p(-p), not_p, p, -step)
    return (
        torch.where(inside, log(safe), log_p),
        torch.where(inside, log1p(-safe), log_not_p),
    )


def _parabola(log_p: Tensor, p: Tensor, not_p: Tensor, step: Tensor) -> Tensor:
    """Return log p next to p = 0 and p = 1, held at or above -100.

    Its slope is (1 - p) / (p (1 - p)), the denominator held at 1e-12, and its
    curvature -1 / p², p held at or above 1e-12.
    """
    held = log_p.detach().clamp(min=-100)
    slope = not_p.detach() / EPSILON
    bend = (step / p.detach().clamp(min=EPSILON)) ** 2
    return held + slope * step - bend / 2


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
        + \max(-z, 0) \bigr) \bigr],
        \qquad l = 1 + (w_{\text{+}} - 1) y, \\
        \frac{\partial \ell}{\partial z}
        &= w \bigl[ l \, \sigma(z) - w_{\text{+}} y \bigr]

    Without ``pos_weight``, :math:`w_{\text{+}} = 1` and the gradient is what
    the model said minus what happened, :math:`\sigma(z) - y`.

    Args:
        input: Logits :math:`z`, shape ``(*)``.
        target: Labels :math:`y`, shape ``(*)``; the loss has their dtype.
        weight: Weights :math:`w`, of a shape that broadcasts to ``(*)``.
        reduction: ``"none"``, ``"mean"`` (over all elements) or ``"sum"``.
        pos_weight: Weights :math:`w_{\text{+}}` of the positive labels, of a
            shape that broadcasts to ``(*)``.

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
    z, y, weight, pos_weight = tensors(
        input, target, weight=weight, pos_weight=pos_weight
    )
    _require_pair(z, y, weight=weight, pos_weight=pos_weight)
    dtype = y.dtype
    z, y = widened(z), widened(y)

    # Slopes at 0 are those from the right, in every term. The two that hold z
    # exclude each other, so that none cancels another.
    right = (z >= 0).to(z.dtype)
    positive = y if pos_weight is None else pos_weight * y
    straight = (right * (1 - y) - (1 - right) * positive) * z
    bent = log1p(exp((1 - 2 * right) * z))  # log(1 + exp(-|z|))
    if pos_weight is not None:
        bent = (1 + (pos_weight - 1) * y) * bent
    losses = straight + bent
    return reduce(weighted(losses.to(dtype), weight), reduction)


def _require_pair(
    input: Tensor, target: Tensor, **weights: Tensor | None
) -> None:
    """Refuse what neither loss accepts, before any arithmetic."""
    if target.shape != input.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)}; it must be that of input, {tuple(input.shape)}"
        )
    for name, value in (("input", input), ("target", target)):
        if not value.is_floating_point():
            raise not_floating(name, value)
    for name, weight in weights.items():
        if weight is None:
            continue
        fits = weight.ndim <= input.ndim
        trailing = input.shape[input.ndim - weight.ndim :]
        for mine, theirs in zip(weight.shape, trailing, strict=fits):
            fits = fits and mine in (1, theirs)
        if not fits:
            raise RuntimeError(
                f"{name} has shape {tuple(weight.shape)}; it must broadcast to the input's, {tuple(input.shape)}"
            )
        if weight.requires_grad and torch.is_grad_enabled():
            raise not_constant(name)


def _require_probabilities(input: Tensor, target: Tensor) -> None:
    """Refuse dtypes that differ, and anything outside [0, 1]: nan is outside too."""
    if input.dtype != target.dtype:
        raise RuntimeError(
            f"target has dtype {target.dtype}; it must be the input's, {input.dtype}"
        )
    require_all(
        RuntimeError,
        "has elements outside [0, 1]; every one must be a probability",
        input=(input >= 0) & (input <= 1),
        target=(target >= 0) & (target <= 1),
    )
