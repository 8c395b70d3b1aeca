r"""The recipe of every chapter: likelihood, log, negative, loss; and the parts that all losses share.

The shared parts are here once: how losses are reduced, how they are weighted,
which targets are ignored, in which precision they are computed, and what a
wrong argument is told.
"""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any, cast

import torch
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")


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
    require_reduction(reduction)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if total_weight is not None:
        return losses.sum() / total_weight
    # As losses.mean(), but the gradient is one quotient, not N equal ones.
    require_floating(losses=losses)
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


def widened(x: Tensor) -> Tensor:
    """Return ``x`` in float32 where it is half precision: steps inside one formula are not rounded to 16 bits."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def autocasted(*arguments: Any) -> tuple[Any, ...]:
    """Return the arguments as autocast hands them to PyTorch's losses.

    Where it is on, tensors in half precision become float32, as a loss needs
    more digits than a matrix product. All else stays as it is.
    """
    return tuple(
        x.float()
        if isinstance(x, Tensor)
        and x.dtype in (torch.float16, torch.bfloat16)
        and under_autocast(x)
        else x
        for x in arguments
    )


def under_autocast(x: Tensor) -> bool:
    """Tell whether autocast is on for the device of ``x``: PyTorch's losses then compute in float32."""
    # PyTorch 2.6's compiler can't trace ``is_autocast_available``.
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def value_of(x: Tensor) -> Any:
    """Return the value of a tensor of shape ``()``, or None where none can be read.

    That is so while PyTorch compiles, exports or traces with symbols, in
    ``vmap``, and for tensors without values, on the device ``meta`` or fake.
    """
    if torch.compiler.is_compiling():
        return None  # reading a value would end the graph
    try:
        value = x.item()
    except RuntimeError:
        return None
    return value if isinstance(value, (bool, int, float)) else None


def require_all(
    condition: Tensor, error: type[Exception], message: str
) -> None:
    """Raise an error unless a condition holds for every element.

    Compiled, the graph itself raises a ``RuntimeError`` with the same words.
    Nothing is raised where no value can be read (``value_of``).
    """
    everywhere = condition.all()
    if not torch.compiler.is_compiling():
        if value_of(everywhere) is False:
            raise error(message)
    elif not torch._C._are_functorch_transforms_active():
        torch._assert_async(everywhere, message)


def require_reduction(
    reduction: str, allowed: tuple[str, ...] = REDUCTIONS
) -> None:
    """Raise ``ValueError`` unless ``reduction`` is one of ``allowed``."""
    if reduction not in allowed:
        raise ValueError(
            f"reduction is {reduction!r}; it must be one of {', '.join(map(repr, allowed))}"
        )


def require_tensors(**arguments: object) -> None:
    """Raise ``TypeError`` unless every argument is a tensor."""
    for name, value in arguments.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} is a {type(value).__name__}; it must be a Tensor"
            )


def require_tensors_or_none(**arguments: object) -> None:
    """Raise ``TypeError`` unless every argument is a tensor or None."""
    require_tensors(
        **{
            name: value
            for name, value in arguments.items()
            if value is not None
        }
    )


def require_floating(**arguments: Tensor) -> None:
    """Raise ``NotImplementedError`` (a ``RuntimeError``) unless every tensor holds real floating-point numbers."""
    for name, value in arguments.items():
        if not value.is_floating_point():
            raise NotImplementedError(
                f"{name} has dtype {value.dtype}; it must be a floating-point dtype"
            )


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
        if value.ndim > len(shape) or any(
            mine not in (1, theirs) for mine, theirs in sizes
        ):
            raise RuntimeError(
                f"{name} has shape {tuple(value.shape)}; it must broadcast to the input's, {tuple(shape)}"
            )


def require_constant(**arguments: Tensor | None) -> None:
    """Raise ``RuntimeError`` if a tensor that only scales the loss asks for a gradient."""
    for name, value in arguments.items():
        if (
            value is not None
            and value.requires_grad
            and torch.is_grad_enabled()
        ):
            raise RuntimeError(
                f"{name} requires a gradient; it must not: the loss is not differentiable by it"
            )


def number(name: str, value: Any) -> float:
    """Return an option as a Python number.

    Args:
        name: The option's name.
        value: A real number, Python's or NumPy's, or a tensor of shape ``()``
            that requires no gradient.

    Raises:
        TypeError: It is nothing of this kind.
    """
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Tensor):
        if value.ndim == 0 and not value.requires_grad | value.is_complex():
            return cast(float, value.item())
    elif isinstance(value, Real) or _is_numpys_bool(value):
        return float(value)
    raise TypeError(f"{name} is {_kind(value)}; it must be a real number")


def integer(name: str, value: Any) -> int:
    """Return an option as a Python integer.

    Args:
        name: The option's name.
        value: What Python takes as an index, a NumPy integer or a tensor of
            one integer included. True and False are none.

    Raises:
        TypeError: It is nothing of this kind.
    """
    if not (
        isinstance(value, bool)
        or (isinstance(value, Tensor) and value.dtype == torch.bool)
    ):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} is {_kind(value)}; it must be an integer")


def _is_numpys_bool(value: object) -> bool:
    """Tell whether a value is NumPy's True or False, which is no number to Python."""
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")


def _kind(value: object) -> str:
    """Say what an option is, in words that tell NumPy's types from Python's."""
    if isinstance(value, Tensor):
        wanted = ", requiring a gradient" if value.requires_grad else ""
        return (
            f"a tensor of shape {tuple(value.shape)} and {value.dtype}{wanted}"
        )
    kind = type(value)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a {prefix}{kind.__name__}"


def require_flags(**arguments: object) -> None:
    """Raise ``TypeError`` unless every argument is True or False."""
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {_kind(value)}; it must be a bool")


def require_class_indices(
    input: Tensor, target: Tensor, ignore_index: int
) -> bool:
    """Refuse targets that do not name one class of ``input``, ``(K,)`` or ``(N, K, *)``, for each of its elements.

    Returns:
        Whether all targets count; False where that was not found out.

    Raises:
        ValueError: The batch sizes differ.
        RuntimeError: The other sizes differ, or the dtype is not int64 (or
            uint8, without trailing dimensions).
        IndexError: An index lies outside [0, K) and is not ``ignore_index``.
            Where no value can be read (``value_of``), the lookup itself raises
            a RuntimeError.
    """
    require_indices_for(input, target)
    K = input.shape[class_dim(input)]
    if not target.numel():
        return True
    y = target.long()
    least, most = (value_of(extreme) for extreme in y.aminmax())
    if least is None or most is None:
        return False
    if least >= 0 and most < K:
        return not least <= ignore_index <= most
    wrong = (y != ignore_index) & ((y < 0) | (y >= K))
    if wrong.any():
        raise IndexError(
            f"target has the class {y[wrong][0].item()}; it must be in [0, {K}) or ignore_index"
        )
    return False


def require_indices_for(input: Tensor, target: Tensor) -> None:
    """Refuse targets of a wrong shape or dtype, as ``require_class_indices`` does, without reading them."""
    expected = (
        input.shape[:1] + input.shape[2:] if input.ndim > 1 else torch.Size()
    )
    if target.shape != expected:
        error = (
            ValueError
            if input.ndim == 1 or target.shape[:1] != expected[:1]
            else RuntimeError
        )
        raise error(
            f"target has shape {tuple(target.shape)}; it must be {tuple(expected)}"
        )
    byte = input.ndim <= 2 or not target.numel()
    if target.dtype != torch.int64 and not (
        target.dtype == torch.uint8 and byte
    ):
        raise RuntimeError(
            f"target has dtype {target.dtype}; class indices must be torch.int64"
        )


def require_class_weights(input: Tensor, weight: Tensor | None) -> None:
    """Raise ``RuntimeError`` unless there is one weight for each class of ``input``, ``(K,)`` or ``(N, K, *)``."""
    K = input.shape[class_dim(input)]
    if weight is not None and weight.shape != (K,):
        raise RuntimeError(
            f"weight has shape {tuple(weight.shape)}; it must be one weight a class, ({K},)"
        )


def require_same_dtype(input: Tensor, weight: Tensor | None) -> None:
    """Raise ``RuntimeError`` unless the weights have the input's dtype."""
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            f"weight has dtype {weight.dtype}; it must be the input's, {input.dtype}"
        )
