"""What a loss is given: in which precision it computes with it, what is refused, and in which words."""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any, cast

import torch
from torch import Tensor

from lossbook.losses.weighting import class_dim

REDUCTIONS = ("none", "mean", "sum")


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
