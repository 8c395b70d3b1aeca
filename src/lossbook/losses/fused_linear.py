"""Cross-entropy of a linear layer's logits, of which few exist at a time: its arguments, and what is refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lossbook.losses.arguments import (
    class_indices,
    integer,
    number,
    require_class_weights,
    require_constant,
    require_floating,
    require_reduction,
    require_tensors,
    require_tensors_or_none,
    under_autocast,
)
from lossbook.losses.fused_chunks import (
    Options,
    at_once,
    in_chunks,
    transformed,
)
from lossbook.losses.fused_parts import (
    indices,
    require_one_device,
    require_weight_dtype,
    total_weight,
)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    chunk: int | None = None,
) -> Tensor:
    r"""Cross-entropy of the logits of a linear layer, without holding them all.

    .. math::

        z_{nk} &= \sum_{i=1}^{D} h_{ni} v_{ki} + b_k, \qquad
        \frac{\partial \ell}{\partial h_{ni}} = \sum_{k=1}^{V} g_{nk} v_{ki}, \\
        \frac{\partial \ell}{\partial v_{ki}} &= \sum_{n=1}^{N} g_{nk} h_{ni},
        \qquad \frac{\partial \ell}{\partial b_k} = \sum_{n=1}^{N} g_{nk}

    The arguments are PyTorch's, and ``chunk``. The logits z are made for some
    rows at a time, turned in place into their gradient g, multiplied into the
    gradients above, and freed. So the gradients exist after the forward pass,
    and the backward one only scales them. With ``reduction="none"`` it can't,
    and makes the logits again.

    It runs on every device: by the fused kernel where that is available, else
    by PyTorch's operations. The gradients of the layer are summed over all rows
    in float32, or in float64 for float64, and rounded once to the dtype of what
    they are gradients by. Where no target counts, or all weigh 0, those of the mean
    are 0.

    All logits are held at once, as PyTorch does without ``options``, where
    chunks can't help or don't suffice: for class probabilities, which are as
    large themselves; for second derivatives (``create_graph=True``); and under
    the transforms of ``torch.func`` and forward mode.

    Under ``torch.autocast`` layer and input are multiplied in its dtype, and
    the loss is float32. Float32 parameters get gradients that were never
    rounded to half precision.

    Args:
        input: What the layer is given, :math:`h`, shape ``(D,)`` or ``(N, D)``.
        linear_weight: The layer's matrix, :math:`v`, shape ``(V, D)``, or, with
            an input ``(N, D)``, ``(V, *, D)``: a layer for each place of ``*``.
        target: Class indices, shape ``()``, ``(N,)`` or ``(N, *)``, or class
            probabilities, shape ``(V,)``, ``(N, V)`` or ``(N, V, *)``.
        linear_bias: The layer's bias :math:`b`, shape ``(V,)`` or ``(V, *)``.
        weight: The weight of each class, shape ``(V,)``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``, as for
            ``cross_entropy``.
        ignore_index: The class index of a target that does not count; None for
            -100. With class probabilities it must be None.
        label_smoothing: The share of the label given to all classes alike.
        options: PyTorch's ``LinearCrossEntropyOptions``. Its
            ``batch_chunk_size`` is ``chunk``. The rest chooses between
            precision, memory and a second backward pass, and has no effect
            here: sums are precise, and ``retain_graph=True`` is always allowed.
        chunk: How many rows of logits exist at a time. By default as many as
            take a quarter of the memory that is held anyway, of the input or of
            the gradient of ``linear_weight``; but at least 128, for speed.

    Returns:
        The loss, of shape ``()``, or that of the class indices for ``"none"``.
        In the input's dtype, but in float32 for ``"none"`` in half precision:
        who asks for each token's loss sums or compares them, and a bfloat16 has
        three digits. There PyTorch's is in the input's dtype.

    Raises:
        TypeError: An argument is not a tensor, or an option not a number.
        ValueError: The numbers of rows differ, ``chunk`` is below 1 or is not
            that of ``options``, or ``reduction`` is unknown.
        IndexError: A class index lies outside [0, V) and is not
            ``ignore_index``. On a GPU such a row's loss is ``nan``.
        RuntimeError: A size, dtype or device does not fit, ``label_smoothing``
            is above 1, ``ignore_index`` is given with probabilities, or
            ``weight`` requires a gradient with indices.

    Source:
        Equation (fused-linear) of chapter 8, after Hsu et al. (2024), whose
        chunks take the memory of hidden, and Wijmans et al. (2024).
    """
    require_tensors(input=input, linear_weight=linear_weight, target=target)
    require_tensors_or_none(linear_bias=linear_bias, weight=weight)
    require_reduction(reduction)
    _require_layer(input, linear_weight, linear_bias)
    require_one_device(
        input=input, linear_weight=linear_weight, target=target,
        linear_bias=linear_bias, weight=weight,
    )  # fmt: skip
    chunk = _chunk_asked_for(chunk, options)
    K, *places = linear_weight.shape[:-1]
    shape = (*input.shape[:-1], K, *places)
    probabilities = target.shape == shape
    if probabilities and ignore_index is not None:
        raise RuntimeError(
            f"ignore_index is {ignore_index}; no class probability can be "
            "ignored: leave it out"
        )
    ignored = integer(
        "ignore_index", -100 if ignore_index is None else ignore_index
    )
    smoothing = float(number("label_smoothing", label_smoothing))
    if smoothing > 1:
        raise RuntimeError(
            f"label_smoothing is {smoothing}; it must be between 0 and 1"
        )

    autocast = under_autocast(input)
    dtype = _product_dtype(autocast, input, linear_weight, linear_bias)
    asked = Options(K, ignored, max(smoothing, 0.0), dtype, chunk)
    layer = _flattened(input, linear_weight, linear_bias)
    if probabilities:
        q = target.movedim(-1 - len(places), -1).reshape(-1, K)
        loss = at_once(*layer, q, weight, reduction, asked)
        for x in (target, weight):
            dtype = dtype if x is None else torch.promote_types(dtype, x.dtype)
    else:
        logits = input.new_empty((), dtype=dtype).expand(shape)
        target = _checked_indices(logits, target, weight)
        loss = _of_indices(layer, target, weight, reduction, asked)
    if reduction == "none":
        return loss.reshape((*shape[: input.ndim - 1], *places))
    return loss if autocast else loss.to(dtype)


def _of_indices(
    layer: tuple[Tensor, Tensor, Tensor | None], target: Tensor,
    weight: Tensor | None, reduction: str, options: Options,
) -> Tensor:  # fmt: skip
    """Return the losses of class indices, (N P,), or their mean or sum, not yet rounded."""
    each = reduction == "none"
    if transformed(*layer):
        loss = at_once(
            *layer, target, weight, "none" if each else "sum", options
        )
    else:
        needs = [
            torch.is_grad_enabled() and x is not None and x.requires_grad
            for x in layer
        ]
        loss, *_ = in_chunks(
            *layer, target, weight, None, each,
            [False] * 3 if each else needs, *options,
        )  # fmt: skip
    if reduction != "mean":
        return loss
    # Where nothing weighs anything the mean is nan and its gradient 0.
    divisor = total_weight(target, weight, options.ignore_index)
    nothing = divisor == 0
    mean = loss / divisor.masked_fill(nothing, 1)
    return mean.masked_fill(nothing, torch.nan)


def _flattened(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the layer as matrices: input (N, D), weight (P K, D), the classes of each place together, bias (P K,)."""
    V, D = linear_weight.shape[:-1].numel(), input.shape[-1]
    return (
        input[None] if input.ndim == 1 else input,
        linear_weight.movedim(0, -2).reshape(V, D),
        None if linear_bias is None else linear_bias.movedim(0, -1).reshape(V),
    )


def _product_dtype(
    autocast: bool, input: Tensor, linear_weight: Tensor,
    linear_bias: Tensor | None,
) -> torch.dtype:  # fmt: skip
    """Return the dtype of the logits; raise ``RuntimeError`` if the layer has several."""

    def dtype(x: Tensor) -> torch.dtype:
        if autocast and x.dtype != torch.float64:
            return torch.get_autocast_dtype(x.device.type)
        return x.dtype

    for name, x in (
        ("linear_weight", linear_weight),
        ("linear_bias", linear_bias),
    ):
        if x is not None and dtype(x) != dtype(input):
            raise RuntimeError(
                f"{name} has dtype {x.dtype}; it must be that of input, {input.dtype}"
            )
    return dtype(input)


def _checked_indices(
    logits: Tensor, target: Tensor, weight: Tensor | None
) -> Tensor:
    """Refuse targets and weights that do not fit the logits; return the targets as int64, shape ``(N P,)``."""
    target, _ = class_indices(logits, target, None)
    if weight is not None:
        require_class_weights(logits, weight)
        require_weight_dtype(logits, weight)
        require_constant(weight=weight)
    return indices(target.flatten())


def _chunk_asked_for(chunk: int | None, options: Any) -> int | None:
    """Return how many rows a chunk is asked to have, or None if it isn't said."""
    theirs = None
    if options is not None:
        wanted = getattr(torch.nn, "LinearCrossEntropyOptions", None)
        if wanted is None or not isinstance(options, wanted):
            raise TypeError(
                f"options is a {type(options).__name__}; it must be a "
                "LinearCrossEntropyOptions of torch.nn, from PyTorch 2.13 on, "
                "or None"
            )
        theirs = options.batch_chunk_size
    if chunk is None:
        return theirs
    chunk = integer("chunk", chunk)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    if theirs not in (None, chunk):
        raise ValueError(
            f"chunk is {chunk}; it must be the batch_chunk_size of options, "
            f"{theirs}, where that is given"
        )
    return chunk


def _require_layer(
    input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None
) -> None:
    """Refuse a layer whose sizes do not fit, or that holds no real numbers."""
    require_floating(input=input, linear_weight=linear_weight)
    if input.ndim not in (1, 2):
        raise RuntimeError(
            f"input has shape {tuple(input.shape)}; it must be (D,) or (N, D)"
        )
    sizes = tuple(linear_weight.shape)
    D = input.shape[-1]
    if linear_weight.ndim < 2 or sizes[-1] != D:
        raise RuntimeError(
            f"linear_weight has shape {sizes}; it must be (V, {D}) or "
            f"(V, *, {D}), as wide as input"
        )
    if linear_weight.ndim > 2 and input.ndim == 1:
        raise RuntimeError(
            f"input has shape {tuple(input.shape)}; with a linear_weight of "
            f"shape {sizes} it must be (N, {D})"
        )
    if linear_bias is not None and linear_bias.shape != sizes[:-1]:
        raise RuntimeError(
            f"linear_bias has shape {tuple(linear_bias.shape)}; it must be "
            f"{sizes[:-1]}, one number for each logit of a row"
        )
