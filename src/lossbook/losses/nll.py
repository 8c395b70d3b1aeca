r"""Negative log-likelihoods, written out: of classes from log-probabilities, and of counts."""

from __future__ import annotations

import math

from torch import Tensor, exp, log

from lossbook.losses.arguments import (
    class_indices,
    integer,
    number,
    require_class_weights,
    require_flags,
    require_reduction,
    tensors,
)
from lossbook.losses.recipe import reduce
from lossbook.losses.weighting import (
    at_class,
    class_dim,
    counted_losses,
    counted_targets,
)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    r"""Negative log-likelihood of classes. It takes no logarithm.

    .. math::

        \ell_n = -w_{y_n} \log p_{n, y_n}, \qquad
        \ell_{\text{mean}} = \frac{\sum_n \ell_n}{\sum_n w_{y_n}}

    Args:
        input: Log-probabilities :math:`\log p`, shape ``(K,)``, ``(N, K)`` or
            ``(N, K, *)``.
        target: Class indices :math:`y`, shape ``()``, ``(N,)`` or ``(N, *)``.
        weight: The weight :math:`w_k` of each class, shape ``(K,)``.
        ignore_index: The class index of a target that does not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean divides by the
            sum of the weights of the targets that count, not by N.

    Returns:
        The loss, of shape ``()``, or that of the target for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor, or ``ignore_index`` not an
            integer.
        ValueError: The batch sizes differ, the input has no dimension, or
            ``reduction`` is unknown.
        IndexError: A class index lies outside [0, K) and is not
            ``ignore_index``.
        RuntimeError: Another size or a dtype does not fit, or ``weight``
            requires a gradient.

    Source:
        Equation (nll) of chapter 5.
    """
    ignore_index = integer("ignore_index", ignore_index)
    log_p, _, weight = tensors(input, target, weight=weight)
    target, all_count = class_indices(
        log_p, target, ignore_index, error=ValueError
    )
    if weight is not None:
        require_class_weights(log_p, weight, constant=True)

    y, counted, w = counted_targets(target, ignore_index, weight, all_count)
    losses = -at_class(log_p, y, class_dim(log_p))
    losses, total_weight = counted_losses(losses, counted, w)
    return reduce(losses, reduction, total_weight)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    r"""Negative log-likelihood of counts: Poisson, less its constant.

    .. math::

        \ell(z) = e^z - y z, \qquad
        \ell(\lambda) = \lambda - y \log (\lambda + \varepsilon)

    With ``full``, Stirling's approximation of :math:`\log y!` is added where
    :math:`y > 1`:

    .. math::

        \ell_{\text{full}} = e^z - y z + y \log y - y
        + \tfrac{1}{2} \log (2 \pi y)

    Args:
        input: The log-rate :math:`z = \log \lambda`, or the rate
            :math:`\lambda` if not ``log_input``, shape ``(*)``.
        target: Counts :math:`y`, of a shape that broadcasts with it.
        log_input: Whether the input is the log of the rate.
        full: Whether to add Stirling's approximation of :math:`\log y!`.
        eps: What keeps the logarithm of a rate of 0 finite,
            :math:`\varepsilon`.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss, of shape ``()``, or ``(*)`` for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor, or an option of another kind
            than its default.
        ValueError: ``reduction`` is unknown.
        RuntimeError: The shapes do not broadcast.

    Source:
        Equation (poisson-nll) of chapter 5.
    """
    x, y = tensors(input, target)
    require_flags(log_input=log_input, full=full)
    eps = number("eps", eps)
    require_reduction(reduction)

    losses = exp(x) - y * x if log_input else x - y * log(x + eps)
    if full:
        log_factorial = y * log(y) - y + log(2 * math.pi * y) / 2
        losses = losses + log_factorial.masked_fill(y <= 1, 0).to(losses.dtype)
    return reduce(losses, reduction)
