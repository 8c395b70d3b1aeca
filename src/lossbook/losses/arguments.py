"""What a loss is given: in which precision it computes with it, what is refused, and in which words.

Who steps into a loss passes through here. What losses begin with is therefore
flat: it asks in place, and enters another function only to word a refusal.
"""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any, cast

import torch
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")
HALVES = (torch.float16, torch.bfloat16)


def widened(x: Tensor) -> Tensor:
    """Return ``x`` in float32 where it is half precision: steps inside one formula are not rounded to 16 bits."""
    return x.float() if x.dtype in HALVES else x


def under_autocast(x: Tensor) -> bool:
    """Tell whether autocast is on for the device of ``x``: PyTorch's losses then compute in float32."""
    # PyTorch 2.6's compiler can't trace ``is_autocast_available``.
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def tensors(
    input: Tensor, target: Tensor, **weights: Tensor | None
) -> tuple[Any, ...]:
    """Return a loss's tensors as autocast hands them to PyTorch's losses.

    Where it is on, tensors in half precision become float32, as a loss needs
    more digits than a matrix product. All else stays as it is.

    Args:
        input: What the model said.
        target: What it is compared with.
        weights: By their names; None where there are none.

    Returns:
        The input, the target and the weights.

    Raises:
        TypeError: One is no tensor, nor, if it is a weight, None.
    """
    found: list[Any] = []
    for name, x in {"input": input, "target": target, **weights}.items():
        if isinstance(x, Tensor):
            half = x.dtype in HALVES and not x.is_meta
            if half and torch.is_autocast_enabled(x.device.type):
                x = x.float()
            found.append(x)
        elif x is None and name in weights:
            found.append(x)
        else:
            raise not_a_tensor(name, x)
    return tuple(found)


def class_indices(
    input: Tensor,
    target: Tensor,
    ignore_index: int | None,
    error: type[Exception] = IndexError,
) -> tuple[Tensor, bool]:
    """Return targets that name one class of ``input`` for each of its elements.

    Args:
        input: Numbers for the classes, shape ``(K,)`` or ``(N, K, *)``.
        target: Class indices, shape ``()`` or ``(1,)``, or ``(N, *)``.
        ignore_index: The class index of a target that does not count; None
            if the indices themselves are not to be looked at.
        error: What an input without a dimension raises.

    Returns:
        The indices in int64, shape ``()`` or ``(N, *)``; and whether all
        count, False where that was not found out.

    Raises:
        ValueError: The batch sizes differ.
        RuntimeError: The other sizes differ, the input is not floating-point,
            or the target not int64 (or uint8, without trailing dimensions).
        IndexError: An index lies outside [0, K) and is not ``ignore_index``.
            Where no value can be read (``values_of``), the lookup itself raises
            a RuntimeError.
    """
    if not input.ndim:
        raise no_classes(error)
    if not input.is_floating_point():
        raise not_floating("input", input)
    *batch, K = input.shape[:2]
    expected = (*batch, *input.shape[2:])
    if not expected and target.shape == (1,):
        target = target.reshape(())
    if target.shape != expected:
        same_batch = batch and target.shape[:1] == (*batch,)
        raise (RuntimeError if same_batch else ValueError)(
            f"target has shape {tuple(target.shape)}; it must be {expected}"
        )
    byte = input.ndim <= 2 or not target.numel()
    if target.dtype != torch.int64 and not (
        target.dtype == torch.uint8 and byte
    ):
        raise RuntimeError(
            f"target has dtype {target.dtype}; class indices must be torch.int64"
        )
    y = target.long()
    if ignore_index is None:
        return y, False
    if not y.numel():
        return y, True
    least, most = values_of(*y.aminmax())
    if least is None or most is None:
        return y, False
    if least >= 0 and most < K:
        return y, not least <= ignore_index <= most
    wrong = (y != ignore_index) & ((y < 0) | (y >= K))
    if wrong.any():
        raise IndexError(
            f"target has the class {y[wrong][0].item()}; it must be in [0, {K}) or ignore_index"
        )
    return y, False


def require_class_weights(
    input: Tensor, weight: Tensor, constant: bool = False
) -> None:
    """Raise ``RuntimeError`` unless there is one weight for each class of ``input``, ``(K,)`` or ``(N, K, *)``.

    Weights that must be ``constant``, as class indices want them, have the
    input's dtype as well, and require no gradient.
    """
    K = input.shape[:2][-1]
    if weight.shape != (K,):
        raise RuntimeError(
            f"weight has shape {tuple(weight.shape)}; it must be one weight a class, ({K},)"
        )
    if constant and weight.dtype != input.dtype:
        raise RuntimeError(
            f"weight has dtype {weight.dtype}; it must be the input's, {input.dtype}"
        )
    if constant and weight.requires_grad and torch.is_grad_enabled():
        raise not_constant("weight")


def values_of(*scalars: Tensor) -> tuple[Any, ...]:
    """Return the values of tensors of shape ``()``, None for each that can't be read.

    That is so while PyTorch compiles, exports or traces with symbols, in
    ``vmap``, and for tensors without values, on the device ``meta`` or fake.
    """
    if torch.compiler.is_compiling():
        return (None,) * len(scalars)  # reading a value would end the graph
    values = []
    for x in scalars:
        try:
            value = x.item()
        except RuntimeError:
            value = None
        readable = isinstance(value, (bool, int, float))
        values.append(value if readable else None)
    return tuple(values)


def require_all(
    error: type[Exception], complaint: str, **conditions: Tensor
) -> None:
    """Raise an error unless what is asked of each argument holds for every element.

    Compiled, the graph itself raises a ``RuntimeError`` with the same words.
    Nothing is raised where no value can be read (``values_of``).

    Args:
        error: What is raised.
        complaint: What it says after the name of the argument.
        conditions: What is asked, by the name of the argument.
    """
    everywhere = tuple(map(Tensor.all, conditions.values()))
    values = values_of(*everywhere)
    in_graph = (
        torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )
    for name, holds, value in zip(conditions, everywhere, values, strict=True):
        if value is False:
            raise error(f"{name} {complaint}")
        if in_graph:
            torch._assert_async(holds, f"{name} {complaint}")


def require_reduction(
    reduction: str, allowed: tuple[str, ...] = REDUCTIONS
) -> None:
    """Raise ``ValueError`` unless ``reduction`` is one of ``allowed``."""
    if reduction not in allowed:
        raise unknown_reduction(reduction, allowed)


def require_tensors(**arguments: object) -> None:
    """Raise ``TypeError`` unless every argument is a tensor."""
    for name, value in arguments.items():
        if not isinstance(value, Tensor):
            raise not_a_tensor(name, value)


def require_tensors_or_none(**arguments: object) -> None:
    """Raise ``TypeError`` unless every argument is a tensor or None."""
    for name, value in arguments.items():
        if value is not None and not isinstance(value, Tensor):
            raise not_a_tensor(name, value)


def require_floating(**arguments: Tensor) -> None:
    """Raise ``NotImplementedError`` (a ``RuntimeError``) unless every tensor holds real floating-point numbers."""
    for name, value in arguments.items():
        if not value.is_floating_point():
            raise not_floating(name, value)


def require_constant(**arguments: Tensor | None) -> None:
    """Raise ``RuntimeError`` if a tensor that only scales the loss asks for a gradient."""
    for name, value in arguments.items():
        if (
            value is not None
            and value.requires_grad
            and torch.is_grad_enabled()
        ):
            raise not_constant(name)


def require_flags(**arguments: object) -> None:
    """Raise ``TypeError`` unless every argument is True or False."""
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {_kind(value)}; it must be a bool")


def not_a_tensor(name: str, value: object) -> TypeError:
    """Return the error for what must be a tensor."""
    return TypeError(f"{name} is a {type(value).__name__}; it must be a Tensor")


def not_floating(name: str, value: Tensor) -> NotImplementedError:
    """Return the error, a ``RuntimeError``, for a tensor that must hold real floating-point numbers."""
    return NotImplementedError(
        f"{name} has dtype {value.dtype}; it must be a floating-point dtype"
    )


def no_classes(error: type[Exception]) -> Exception:
    """Return the error for an input without a dimension of classes."""
    return error(
        "input has no dimension; it must have one of classes: (K,) or (N, K, *)"
    )


def not_constant(name: str) -> RuntimeError:
    """Return the error for a tensor that only scales the loss, and asks for a gradient."""
    return RuntimeError(
        f"{name} requires a gradient; it must not: the loss is not differentiable by it"
    )


def unknown_reduction(
    reduction: object, allowed: tuple[str, ...] = REDUCTIONS
) -> ValueError:
    """Return the error for a reduction that is none of ``allowed``."""
    return ValueError(
        f"reduction is {reduction!r}; it must be one of {', '.join(map(repr, allowed))}"
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


def fraction(name: str, value: Any) -> float:
    """Return an option that is a part of 1 as a Python number; one below 0 is 0, as in PyTorch.

    Raises:
        TypeError: It is no number, as ``number`` says.
        RuntimeError: It is above 1.
    """
    if not isinstance(value, (int, float)):
        value = number(name, value)
    if value > 1:
        raise RuntimeError(f"{name} is {value}; it must be between 0 and 1")
    return value if value > 0 else 0.0


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
