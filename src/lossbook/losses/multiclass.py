r"""Cross-entropy: the negative log-likelihood of one class among K, from logits."""

from __future__ import annotations

from torch import Tensor, exp, log

from lossbook.losses.arguments import (
    class_indices,
    fraction,
    integer,
    no_classes,
    not_floating,
    require_class_weights,
    tensors,
    widened,
)
from lossbook.losses.recipe import reduce
from lossbook.losses.weighting import (
    at_class,
    class_dim,
    counted_losses,
    counted_targets,
    per_class,
)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Cross-entropy of logits with class indices, or with class probabilities.

    .. math::

        \ell(y) &= -w_y \log p_y, \qquad
        \ell(q) = -\sum_{k=1}^{K} w_k q_k \log p_k, \\
        \log p_k &= z_k - \log \sum_{j=1}^{K} e^{z_j}, \qquad
        \frac{\partial \ell(q)}{\partial z_k}
        = p_k \sum_{j=1}^{K} w_j q_j - w_k q_k

    A target of the input's shape holds probabilities; any other holds indices.
    Label smoothing replaces the target's distribution q by :math:`(1 -
    \varepsilon) q + \varepsilon / K`.

    Args:
        input: Logits :math:`z`, shape ``(K,)``, ``(N, K)`` or ``(N, K, *)``.
        target: Class indices :math:`y`, shape ``()``, ``(N,)`` or ``(N, *)``,
            or class probabilities :math:`q`, of the input's shape.
        weight: The weight :math:`w_k` of each class, shape ``(K,)``.
        ignore_index: The class index of a target that does not count.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean divides by the
            sum of the weights of the targets that count for indices, and by the
            number of targets for probabilities.
        label_smoothing: The share :math:`\varepsilon` of the label given to all
            classes alike, at most 1.

    Returns:
        The loss, of shape ``()``, or that of the class indices for ``"none"``.

    Raises:
        TypeError: An argument is not a tensor, or an option not a number.
        ValueError: The batch sizes differ, or ``reduction`` is unknown.
        IndexError: A class index lies outside [0, K) and is not
            ``ignore_index``, or the input has no dimension.
        RuntimeError: Another size or a dtype does not fit, ``label_smoothing``
            is above 1, ``ignore_index`` is at least 0 with probabilities, or
            ``weight`` requires a gradient with indices.

    Source:
        Equation (cross-entropy) of chapter 4.
    """
    smoothing = fraction("label_smoothing", label_smoothing)
    ignore_index = integer("ignore_index", ignore_index)
    z, target, weight = tensors(input, target, weight=weight)
    if z.shape == target.shape:
        return _with_probabilities(
            z, target, weight, ignore_index, reduction, smoothing
        )
    target, all_count = class_indices(z, target, ignore_index)
    if weight is not None:
        require_class_weights(z, weight, constant=True)

    k = class_dim(z)
    log_p = log_softmax(z, k)
    y, counted, w = counted_targets(target, ignore_index, weight, all_count)
    losses, total_weight = counted_losses(-at_class(log_p, y, k), counted, w)
    loss = reduce(losses, reduction, total_weight)
    if not smoothing:
        return loss

    spread = -log_p if weight is None else -log_p * per_class(weight, log_p)
    spread, _ = counted_losses(spread.sum(k), counted, None)
    spread = reduce(spread, reduction, total_weight)
    # Of a tensor without dimensions, times a number, PyTorch's tangent is in
    # float64: they get one.
    loss, spread = loss[None], spread[None]
    share = smoothing / max(log_p.shape[k], 1)
    return ((1 - smoothing) * loss + share * spread)[0]


def _with_probabilities(
    z: Tensor,
    q: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    r"""Cross-entropy with class probabilities: minus the mean under them."""
    if not q.is_floating_point():
        raise RuntimeError(
            f"target has dtype {q.dtype}; "
            "class probabilities must be floating-point"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index is {ignore_index}; "
            "no class probability can be ignored: leave it out"
        )
    if not z.ndim:
        raise no_classes(IndexError)
    if not z.is_floating_point():
        raise not_floating("input", z)
    if weight is not None:
        require_class_weights(z, weight)

    k = class_dim(z)
    K = z.shape[k]
    if smoothing > 0:
        q = q * (1 - smoothing) + smoothing / max(K, 1)
    products = log_softmax(z, k) * q
    if weight is not None:
        products = products * per_class(weight, products)
    losses = -products.sum(k)
    return reduce(losses, reduction, total_weight=losses.numel())


def log_softmax(z: Tensor, dim: int) -> Tensor:
    r"""Log-probabilities from logits, whose exponentials never overflow.

    .. math::

        \log p_k = z_k - m - \log \sum_{j=1}^{K} e^{z_j - m},
        \qquad m = \max_j z_j

    Args:
        z: Logits, shape ``(*)``.
        dim: The dimension of the classes.

    Returns:
        Log-probabilities, shape ``(*)``, in the dtype of the logits.

    Source:
        Equation (log-softmax) of chapter 4.
    """
    shifted = z - widened(largest(z, dim))
    return (shifted - log(exp(shifted).sum(dim, keepdim=True))).to(z.dtype)


def logsumexp(z: Tensor, dim: int) -> Tensor:
    r"""Log of a sum of exponentials, none of which overflows.

    .. math::

        \log \sum_{j=1}^{K} e^{z_j} = m + \log \sum_{j=1}^{K} e^{z_j - m},
        \qquad m = \max_j z_j

    Args:
        z: Logits, shape ``(*)``.
        dim: The dimension of the classes, which the result keeps with size 1.

    Returns:
        The log-sum-exp, shape ``(*)`` with size 1 at ``dim``; ``nan`` where the
        largest logit is infinite.

    Source:
        Equation (logsumexp) of chapter 4.
    """
    m = largest(z, dim)
    return m + log(exp(z - m).sum(dim, keepdim=True))


def largest(z: Tensor, dim: int) -> Tensor:
    """Return the largest logit along ``dim``, kept; 0 of none. No gradient."""
    return (
        z.detach().amax(dim, keepdim=True)
        if z.shape[dim]
        else z.detach().sum(dim, keepdim=True)
    )
