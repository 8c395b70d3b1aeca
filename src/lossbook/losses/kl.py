r"""The Kullback-Leibler divergence: what a model's distribution costs beyond the target's own entropy."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, exp

from lossbook.losses.arguments import (
    REDUCTIONS,
    require_flags,
    require_reduction,
    tensors,
)
from lossbook.losses.recipe import reduce


def kl_div(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    r"""Kullback-Leibler divergence of a model from a target, elementwise.

    .. math::

        \ell_k = q_k \, (\log q_k - \log p_k), \qquad
        D_{\mathrm{KL}}(q \,\|\, p) = \sum_{k=1}^{K} \ell_k, \qquad
        \frac{\partial \ell_k}{\partial \log p_k} = -q_k

    A target of 0 costs nothing: :math:`0 \log 0 = 0`. Where the model rules the
    class out as well, with ``-inf``, it is ``nan``, as in PyTorch; so is a
    target of ``-inf`` with ``log_target``.

    Args:
        input: Log-probabilities :math:`\log p`, shape ``(*)``.
        target: Probabilities :math:`q`, or :math:`\log q` if ``log_target``, of
            a shape that broadcasts with it.
        reduction: ``"none"``, ``"mean"`` (over all elements, which is no
            divergence, and warns), ``"sum"``, or ``"batchmean"``: the sum,
            divided by the first size of the input.
        log_target: Whether the target is the log of the probabilities.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor, or ``log_target`` not a bool.
        ValueError: ``reduction`` is unknown.
        RuntimeError: The shapes do not broadcast, or a dtype is not
            floating-point.

    Source:
        Equation (kl) of chapter 6; Kullback & Leibler (1951).
    """
    log_p, target = tensors(input, target)
    _require_distributions(input, target, reduction, log_target)

    if log_target:
        log_q = target
        losses = exp(log_q) * (log_q - log_p)
    else:
        q = target
        losses = torch.xlogy(q, q) - q * log_p

    if reduction == "batchmean":
        batch = input.shape[0] if input.ndim else 1
        return reduce(losses, total_weight=batch)
    return reduce(losses, reduction)


def _require_distributions(
    input: Tensor, target: Tensor, reduction: str, log_target: bool
) -> None:
    """Refuse what ``kl_div`` does not accept, and warn of a mean that is no divergence."""
    require_flags(log_target=log_target)
    require_reduction(reduction, (*REDUCTIONS, "batchmean"))
    # The compiler can't trace a warning.
    if reduction == "mean" and not torch.compiler.is_compiling():
        warnings.warn(
            "reduction is 'mean', which divides by the number of elements; 'batchmean' divides by the batch, as the "
            "divergence does",
            stacklevel=3,
        )
    for name, value in (("input", input), ("target", target)):
        if not value.is_floating_point():
            raise RuntimeError(
                f"{name} has dtype {value.dtype}; it must be a floating-point dtype"
            )
