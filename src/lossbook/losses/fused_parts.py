"""What the fused losses share: where their kernel runs, their targets, weights and options, and second derivatives."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lossbook.losses.arguments import (
    number,
    require_constant,
    under_autocast,
    widened,
)

# The key of a tensor in ``torch.autograd.grad(..., is_grads_batched=True)``.
_BATCHED = torch._C._dispatch_key_parse("Batched")

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class FusedFallback(UserWarning):
    """The fused kernel could not run, for the reason given; the reference did the work."""


def indices(target: Tensor) -> Tensor:
    """Return class indices as contiguous int64: in uint8 an ignored -100 would be the class 156."""
    return target.long().contiguous()


def total_weight(
    target: Tensor, weight: Tensor | None, ignore_index: int
) -> Tensor:
    """Return what a mean divides by: the weights of the targets that count, or their number, shape ``()``."""
    target = target.long()
    counted = target != ignore_index
    if weight is None:
        return counted.sum()
    w = weight[target.clamp(0, len(weight) - 1)]
    # Times 0, the infinite weight of an absent class would be nan.
    return torch.where(counted, w, 0).sum(dtype=real_dtype(weight))


def differentiable_gradients(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor | None],
    needed: Sequence[bool],
    incoming: Tensor,
) -> tuple[Tensor | None, ...]:
    """Return gradients that can be differentiated again, for the backward pass of a fused loss.

    A kernel knows first derivatives alone: to autograd its gradient is a
    constant. So with ``create_graph=True`` a penalty on it would add nothing,
    and nobody would be told. ``once_differentiable`` does not help: it objects
    only where the *incoming* gradient has a graph, and that of ``backward()``
    is a plain 1. Therefore a fused ``backward`` begins with ::

        if torch.is_grad_enabled():  # somebody differentiates the gradient
            return *differentiable_gradients(...), None, ...

    Grad mode is on in a backward pass exactly when ``create_graph`` is. The
    inputs come from ``ctx.saved_tensors``, which have their graph.

    Args:
        function: The loss by PyTorch's operations, whose every derivative is
            right; takes the inputs.
        inputs: What it is differentiated by; None where there is none.
        needed: Of which of them the gradient is asked for.
        incoming: The gradient by the loss, of the loss's shape.

    Returns:
        The gradients, None where not needed.
    """
    wanted = [
        x
        for x, need in zip(inputs, needed, strict=True)
        if need and x is not None
    ]
    with torch.enable_grad():
        loss = function(*inputs)
        found = iter(
            torch.autograd.grad(
                loss, wanted, incoming.to(loss.dtype), create_graph=True
            )
        )
    return tuple(
        next(found) if need and x is not None else None
        for x, need in zip(inputs, needed, strict=True)
    )


def real_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype that sums over ``x`` are kept in."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def divisor_for(x: Tensor, divisor: object) -> Tensor | None:
    """Return what a loss is divided by, shape ``()``, where ``x`` is and in the dtype of its sums.

    A tensor stays on its device: its value is not asked for.

    Raises:
        TypeError: It is neither a number nor a tensor.
        RuntimeError: It is a tensor of another shape, or requires a gradient.
    """
    if divisor is None:
        return None
    if not isinstance(divisor, Tensor):
        value = number("divisor", divisor)
        return torch.full((), value, dtype=real_dtype(x), device=x.device)
    if divisor.ndim:
        raise RuntimeError(
            f"divisor has shape {tuple(divisor.shape)}; it must be one number, ()"
        )
    require_constant(divisor=divisor)
    return divisor.to(x.device, real_dtype(x))


def require_weight_dtype(x: Tensor, weight: Tensor | None) -> None:
    """Raise ``RuntimeError`` unless the weights have the dtype of ``x``; under autocast, both as widened."""
    if weight is None:
        return
    given, expected = weight.dtype, x.dtype
    if under_autocast(x):
        given, expected = widened(weight).dtype, widened(x).dtype
    if given != expected:
        raise RuntimeError(
            f"weight has dtype {weight.dtype}; it must be the input's, {x.dtype}"
        )


def why_not_plain(*tensors: Tensor | None) -> str:
    """Say why a kernel, which needs plain tensors, can't take these; nothing where it can."""
    if torch._C._are_functorch_transforms_active():
        return "a transform of torch.func is at work"
    for x in tensors:
        if x is None:
            continue
        if type(x) not in (Tensor, torch.nn.Parameter):
            return f"a tensor is a {type(x).__name__}"
        if x.is_meta:
            return "a tensor on the meta device has no values"
        if torch._C._dispatch_keys(x).has(_BATCHED):
            return "a tensor is a batch of tensors"
        dual = forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]
        if dual.tangent is not None:
            return "a tensor carries a tangent of forward mode"
    return ""


def require_one_device(**arguments: Tensor | None) -> None:
    """Raise ``RuntimeError`` unless the tensors are all on the device of the first."""
    (first, expected), *others = arguments.items()
    assert expected is not None
    for name, value in others:
        if value is not None and value.device != expected.device:
            raise RuntimeError(
                f"{name} is on {value.device}; it must be on that of {first}, {expected.device}"
            )


def available(
    device: torch.device | str | None = None,
) -> tuple[bool, str]:
    """Say whether the fused kernel can run on a device, and why or why not.

    Args:
        device: Where the logits are; None for the GPU if there is one.

    Returns:
        Whether it can, and the reason in one sentence.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if importlib.util.find_spec("triton") is None:
        return False, "Triton is not installed; on Linux: pip install triton"
    if os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on"):
        from lossbook.losses import fused_kernels

        if fused_kernels.interpreted:
            return True, "Triton's interpreter runs it: right, but slow"
        if device.type != "cuda":
            return False, (
                "TRITON_INTERPRET was set after Triton had been imported; "
                "set it before Python starts"
            )
    if device.type != "cuda":
        return False, f"the input is on the {device.type}; it must be on a GPU"
    if torch.version.hip is not None:
        return False, "the kernel is written for NVIDIA's GPUs; this is AMD's"
    if not torch.cuda.is_available():
        return False, "PyTorch finds no GPU"
    name, capability = (
        torch.cuda.get_device_name(device),
        torch.cuda.get_device_capability(device),
    )
    if capability < (8, 0):
        return False, (
            f"{name} has compute capability {capability[0]}.{capability[1]}; "
            "it must be 8.0 or newer"
        )
    return True, f"Triton compiles it for {name}"
