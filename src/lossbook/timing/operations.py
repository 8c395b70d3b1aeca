"""How many floating-point operations one ATen operation stands for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

# They move numbers and compute none.
NONE = frozenset(
    [
        "_to_copy",
        "alias",
        "arange",
        "as_strided",
        "bernoulli_",
        "cat",
        "clone",
        "constant_pad_nd",
        "copy",
        "copy_",
        "detach",
        "embedding",
        "empty",
        "empty_like",
        "empty_strided",
        "expand",
        "eye",
        "fill",
        "fill_",
        "flip",
        "full",
        "full_like",
        "gather",
        "index",
        "index_put_",
        "index_select",
        "_local_scalar_dense",
        "masked_fill",
        "masked_fill_",
        "masked_scatter",
        "masked_select",
        "new_empty",
        "new_empty_strided",
        "new_full",
        "new_ones",
        "new_zeros",
        "normal_",
        "one_hot",
        "ones",
        "ones_like",
        "rand",
        "rand_like",
        "randint",
        "randn",
        "randn_like",
        "randperm",
        "random_",
        "repeat",
        "roll",
        "scatter",
        "scatter_",
        "select_backward",
        "select_scatter",
        "slice_backward",
        "slice_scatter",
        "split",
        "stack",
        "take",
        "tril",
        "triu",
        "unfold",
        "uniform_",
        "where",
        "zero_",
        "zeros",
        "zeros_like",
        "isnan",
        "isinf",
        "isfinite",
        "nll_loss_backward",
        "nll_loss2d_backward",
    ]
)

# Reductions: an addition or a comparison for each element but the first of each result.
REDUCTIONS = frozenset(("sum", "mean", "amax", "amin", "max", "min", "prod", "argmax", "argmin", "nansum"))

# Operations of several steps: how many for each element of the largest tensor.
STEPS = {
    "_softmax": 5,  # maximum, subtract, exp, add, divide
    "_log_softmax": 5,  # maximum, subtract, exp, add, subtract
    "_softmax_backward_data": 4,  # multiply, add, multiply, subtract
    "_log_softmax_backward_data": 4,  # add, exp, multiply, subtract
    "logsumexp": 4,
    "var": 3,
    "std": 3,
    "linalg_vector_norm": 2,
    "dot": 2,
    "mse_loss": 3,
    "mse_loss_backward": 3,
    "smooth_l1_loss": 6,
    "smooth_l1_loss_backward": 5,
    "huber_loss": 6,
    "huber_loss_backward": 5,
    "binary_cross_entropy": 8,
    "binary_cross_entropy_backward": 6,
    "binary_cross_entropy_with_logits": 8,
    "log_sigmoid_forward": 5,
    "sigmoid_backward": 3,
    "tanh_backward": 3,
}


def operations_of(func: Any, args: Any, kwargs: Any, result: Any, inputs: list[Tensor]) -> int:
    """Return the floating-point operations of one dispatched operation.

    Matrix products, convolutions and attention are counted by ``torch.utils.flop_counter``; a reduction of n numbers to
    one takes n − 1; everything else is one for each element of the largest tensor, unless the table above knows better.
    Integers and truth values are free.
    """
    packet = func._overloadpacket
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result))
    name = func._schema.name.removeprefix("aten::")
    outputs = [
        value for value in (result if isinstance(result, list | tuple) else [result]) if isinstance(value, Tensor)
    ]
    tensors = [t for t in (*inputs, *outputs) if t.is_floating_point() or t.is_complex()]
    if name in NONE or not tensors:
        return 0
    if name in REDUCTIONS and len(inputs) == 1:
        return max(0, inputs[0].numel() - outputs[0].numel()) if inputs[0].is_floating_point() else 0
    if torch.Tag.pointwise in func.tags and outputs:
        return outputs[0].numel() * STEPS.get(name, 1)
    return max(t.numel() for t in tensors) * STEPS.get(name, 1)
