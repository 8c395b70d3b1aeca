r"""Squared error and its relatives: the negative log-likelihoods of noise around a prediction."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor
from torch.nn.functional import hardtanh

from lossbook.losses.arguments import (
    not_a_tensor,
    not_floating,
    number,
    require_all,
    require_reduction,
    require_tensors,
    require_tensors_or_none,
    tensors,
    widened,
)
from lossbook.losses.recipe import reduce


def mse_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    r"""Squared error: Gaussian noise of constant variance.

    .. math::

        \ell = w \, (\hat{y} - y)^2, \qquad
        \frac{\partial \ell}{\partial \hat{y}} = 2 w \, (\hat{y} - y)

    Args:
        input: Predictions :math:`\hat{y}`, shape ``(*)``.
        target: Observations :math:`y`, shape ``(*)``, or one that broadcasts
            with it, which earns a warning.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. A weighted mean divides
            by the sum of ``weight``.
        weight: Weights :math:`w`, of the input's shape.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: ``weight`` has another shape than the input, or
            ``reduction`` is unknown.
        RuntimeError: The shapes do not broadcast, or neither dtype is
            floating-point.

    Source:
        Equation (mse) of chapter 2.
    """
    y_hat, y = _broadcast(input, target, weight, autocast=weight is None)
    if weight is None:
        y_hat, y = _promoted(y_hat, y)
    r = y_hat - y
    return _reduce_weighted(r * r, reduction, weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    r"""Absolute error: Laplace noise.

    .. math::

        \ell = w \, |\hat{y} - y|, \qquad
        \frac{\partial \ell}{\partial \hat{y}}
        = w \operatorname{sign}(\hat{y} - y), \quad \operatorname{sign}(0) = 0

    Args:
        input: Predictions :math:`\hat{y}`, shape ``(*)``.
        target: Observations :math:`y`, shape ``(*)``, or one that broadcasts
            with it, which earns a warning.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. A weighted mean divides
            by the sum of ``weight``.
        weight: Weights :math:`w`, of the input's shape.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: ``weight`` has another shape than the input, or
            ``reduction`` is unknown.
        RuntimeError: The shapes do not broadcast, or a dtype is boolean.

    Source:
        Equation (l1) of chapter 2.
    """
    y_hat, y = _broadcast(input, target, weight, autocast=weight is None)
    return _reduce_weighted((y_hat - y).abs(), reduction, weight)


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    r"""Absolute error, its corner rounded to a parabola of curvature 1/β.

    .. math::

        \ell &= \begin{cases} r^2 / 2 \beta & |r| < \beta \\
        |r| - \beta / 2 & \text{otherwise} \end{cases},
        \qquad r = \hat{y} - y, \\
        \frac{\partial \ell}{\partial \hat{y}} &= \max(-1, \min(1, r / \beta))

    Args:
        input: Predictions :math:`\hat{y}`, shape ``(*)``.
        target: Observations :math:`y`, shape ``(*)``, or one that broadcasts
            with it, which earns a warning.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        beta: Where the parabola ends, at least 0; 0 is the absolute error.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor, or ``beta`` is not a number.
        ValueError: ``reduction`` is unknown.
        RuntimeError: The shapes do not broadcast, no dtype is floating-point,
            or ``beta`` is negative.

    Source:
        Equation (smooth-l1) of chapter 2.
    """
    beta = number("beta", beta)
    y_hat, y = _broadcast(input, target)
    if beta == 0:
        return reduce((y_hat - y).abs(), reduction)
    if not beta > 0:
        raise RuntimeError(f"beta is {beta}; it must be at least 0")

    y_hat, y = _promoted(y_hat, y)
    r = widened(y_hat) - widened(y)
    c = hardtanh(r, -beta, beta)  # as clamp, but at ±β its slope is 0
    losses = torch.sub(r, c, alpha=0.5) * (c if beta == 1 else c / beta)
    return reduce(losses.to(y_hat.dtype), reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Squared error with a clipped gradient: none pulls harder than δ.

    .. math::

        \ell &= w \begin{cases} r^2 / 2 & |r| \le \delta \\
        \delta \, (|r| - \delta / 2) & \text{otherwise} \end{cases},
        \qquad r = \hat{y} - y, \\
        \frac{\partial \ell}{\partial \hat{y}}
        &= w \max(-\delta, \min(\delta, r))

    Args:
        input: Predictions :math:`\hat{y}`, shape ``(*)``; the loss has their
            dtype.
        target: Observations :math:`y`, shape ``(*)``, or one that broadcasts
            with it, which earns a warning.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. Unlike in ``mse_loss``,
            a weighted mean divides by N.
        delta: Where the gradient is clipped, above 0.
        weight: Weights :math:`w`, of the input's shape.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor, or ``delta`` is not a number.
        ValueError: ``weight`` has another shape than the input, or
            ``reduction`` is unknown.
        RuntimeError: The shapes do not broadcast, the input is not
            floating-point, or ``delta`` is not positive.

    Source:
        Equation (huber) of chapter 2; Huber (1964).
    """
    delta = number("delta", delta)
    y_hat, y = _broadcast(input, target, weight)
    if not input.is_floating_point():
        raise not_floating("input", input)
    if not delta > 0:
        raise RuntimeError(f"delta is {delta}; it must be above 0")

    dtype = y_hat.dtype
    y_hat, y = _promoted(y_hat, y)
    r = widened(y_hat) - widened(y)
    c = r.clamp(-delta, delta)  # r in the parabola, and ±δ outside it
    losses = (torch.sub(r, c, alpha=0.5) * c).to(dtype)
    return reduce(losses if weight is None else losses * weight, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    r"""Gaussian noise whose variance is predicted too.

    .. math::

        \ell = \frac{1}{2} \left( \log v + \frac{(\mu - y)^2}{v} \right)
        + \frac{a}{2} \log (2 \pi), \qquad v = \max(\mathrm{var}, \varepsilon)

    where :math:`a` is 1 if ``full`` and 0 if not.

    The gradient passes through the maximum as if it were not there.

    Args:
        input: Predicted means :math:`\mu`, shape ``(*)``.
        target: Observations :math:`y`, of a shape that broadcasts with the
            input's.
        var: Predicted variances, of the input's shape, or without
            its last dimension, or with one dimension of size 1; or one float
            for all.
        full: Whether to add the constant.
        eps: The smallest variance :math:`\varepsilon`.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is neither a tensor nor, for ``var``, a float.
        ValueError: ``var`` is negative somewhere or has the wrong shape, or
            ``reduction`` is unknown.
        RuntimeError: The shapes do not broadcast, or ``var`` is not
            floating-point.

    Source:
        Equation (gaussian-nll) of chapter 2; Nix & Weigend (1994).
    """
    require_tensors(input=input, target=target)
    eps = number("eps", eps)
    require_reduction(reduction)
    mu, y = input, target
    v = _at_least(_variance(var, input), eps)

    losses = (torch.log(v) + (mu - y) ** 2 / v) / 2
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce(losses, reduction)


def _variance(var: Tensor | float, input: Tensor) -> Tensor:
    """Return the variances in a shape that broadcasts with ``input``; refuse negative ones."""
    negative = "has negative elements; a variance must be at least 0"
    if isinstance(var, float):
        if var < 0:
            raise ValueError(f"var {negative}")
        var = var * torch.ones_like(input)
    if not isinstance(var, Tensor):
        raise not_a_tensor("var", var)
    # nan passes, as in PyTorch.
    require_all(ValueError, negative, var=~(var < 0))
    short = var.shape == input.shape[:-1] and var.shape != input.shape
    mismatched = [
        v for v, x in zip(var.shape, input.shape, strict=False) if v != x
    ]
    if not short and (var.ndim != input.ndim or mismatched not in ([], [1])):
        raise ValueError(
            f"var has shape {tuple(var.shape)}; it must be the input's, {tuple(input.shape)}, without its last "
            "dimension, or with one dimension of size 1"
        )
    if not var.is_floating_point():
        raise not_floating("var", var)
    return var.unsqueeze(-1) if short else var


def _at_least(var: Tensor, eps: float) -> Tensor:
    """Raise every variance to ``eps``, out of the gradient's sight: it sees the identity."""
    v = var.clone()
    with torch.no_grad():
        v.clamp_(min=eps)
    return v


def _broadcast(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    autocast: bool = True,
) -> tuple[Tensor, Tensor]:
    """Bring predictions and observations to one shape, with a warning if they had two; cast as autocast does."""
    require_tensors(input=input, target=target)
    require_tensors_or_none(weight=weight)
    # The compiler can't trace a warning.
    if target.shape != input.shape and not torch.compiler.is_compiling():
        warnings.warn(
            f"target has shape {tuple(target.shape)} and input {tuple(input.shape)}: they broadcast, and the loss "
            "compares each with each. It is seldom what was meant.",
            stacklevel=3,
        )
    y_hat, y = torch.broadcast_tensors(input, target)  # type: ignore[no-untyped-call]
    if weight is not None and weight.shape != input.shape:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; it must be the input's, {tuple(input.shape)}"
        )
    return tensors(y_hat, y) if autocast else (y_hat, y)


def _promoted(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Bring predictions and observations to one floating-point dtype, the wider."""
    dtype = torch.promote_types(y_hat.dtype, y.dtype)
    y_hat, y = y_hat.to(dtype), y.to(dtype)
    if not dtype.is_floating_point:
        raise not_floating("input", y_hat)
    return y_hat, y


def _reduce_weighted(
    losses: Tensor, reduction: str, weight: Tensor | None
) -> Tensor:
    """Weigh the losses, whose mean is then by the sum of the weights."""
    if weight is None:
        return reduce(losses, reduction)
    return reduce(losses * weight, reduction, total_weight=weight.sum())
