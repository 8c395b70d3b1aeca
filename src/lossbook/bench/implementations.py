"""Every way to compute a loss: by definition, the reference, compiled, fused, PyTorch's own, and Liger Kernel's."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, exp, log

from lossbook import losses
from lossbook.bench.plan import LOSSES

Function = Callable[..., Tensor]
FUSED = ("cross_entropy", "linear_cross_entropy")


class CantRunError(RuntimeError):
    """An implementation can't run here; the message says why, and what it would need."""


def _r(x: Tensor, y: Tensor) -> Tensor:
    return x - y


def _softmax(z: Tensor) -> Tensor:
    return exp(z) / exp(z).sum(1, keepdim=True)


def _at(p: Tensor, y: Tensor) -> Tensor:
    return p[torch.arange(len(y), device=y.device), y]


# The formula of each page, written down as it stands there and averaged.
DEFINITIONS: dict[str, Function] = {
    "mse_loss": lambda x, y: (_r(x, y) ** 2).mean(),
    "l1_loss": lambda x, y: _r(x, y).abs().mean(),
    "smooth_l1_loss": lambda x, y: torch.where(_r(x, y).abs() < 1, _r(x, y) ** 2 / 2, _r(x, y).abs() - 1 / 2).mean(),
    "huber_loss": lambda x, y: torch.where(_r(x, y).abs() <= 1, _r(x, y) ** 2 / 2, _r(x, y).abs() - 1 / 2).mean(),
    "gaussian_nll_loss": lambda x, y, v: -log(exp(-(_r(x, y) ** 2) / (2 * v)) / v.sqrt()).mean(),
    "binary_cross_entropy": lambda p, y: -(y * log(p) + (1 - y) * log(1 - p)).mean(),
    "binary_cross_entropy_with_logits": lambda z, y: (log(1 + exp(z)) - y * z).mean(),
    "poisson_nll_loss": lambda z, y: -log(exp(z) ** y * exp(-exp(z))).mean(),
    "cross_entropy": lambda z, y: -log(_at(_softmax(z), y)).mean(),
    "nll_loss": lambda log_p, y: -_at(log_p, y).mean(),
    "kl_div": lambda log_p, q: (q * (log(q) - log_p)).sum() / len(q),
    "linear_cross_entropy": lambda h, w, y: -log(_at(_softmax(h @ w.T), y)).mean(),
}


def _linear_reference(hidden: Tensor, vocabulary: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(hidden @ vocabulary.T, target)


def _linear_pytorch(hidden: Tensor, vocabulary: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, vocabulary), target)


def applies(loss: str, implementation: str) -> bool:
    """Return whether a loss has an implementation that can be had here: Liger's is used if it is installed."""
    if implementation == "fused":
        return loss in FUSED
    if implementation == "liger":
        return loss in FUSED and importlib.util.find_spec("liger_kernel") is not None
    return True


def compiler() -> str | None:
    """Return the C++ compiler that ``torch.compile`` would use for the CPU, or None where there is none."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["clang++"] if sys.platform == "darwin" else ["g++"]
    return next(filter(None, map(shutil.which, names)), None)


def _reference(loss: str) -> Function:
    if loss == "linear_cross_entropy":
        return _linear_reference
    return partial(getattr(losses, loss), **dict(LOSSES[loss].options))


def _pytorch(loss: str) -> Function:
    if loss == "linear_cross_entropy":
        return _linear_pytorch
    return partial(getattr(F, loss), **dict(LOSSES[loss].options))


def _compiled(function: Function, device: str) -> Function:
    """Return a function compiled afresh: no shape that was seen before makes this one's sizes variable."""
    if device == "cpu" and compiler() is None:
        wanted = os.environ.get("CXX") or "g++"
        raise CantRunError(f"torch.compile needs a C++ compiler on the CPU, and {wanted!r} was not found")
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        raise CantRunError("torch.compile needs Triton on a GPU, and it is not installed")
    torch.compiler.reset()
    return torch.compile(function)


def _fused(loss: str, device: str) -> Function:
    if loss not in FUSED:
        raise CantRunError(f"{loss} has no fused form; those that have are {', '.join(FUSED)}")
    from lossbook.losses import fused

    if loss == "linear_cross_entropy":
        linear: Function = fused.linear_cross_entropy
        return linear
    there, why = fused.available(device)
    if not there:
        raise CantRunError(why)
    function: Function = fused.cross_entropy
    return function


def _liger(loss: str, device: str) -> Function:
    if loss not in FUSED:
        raise CantRunError(f"Liger Kernel has no {loss} to compare with; it has {', '.join(FUSED)}")
    if device != "cuda":
        raise CantRunError(f"Liger Kernel needs a GPU; the device is {device}")
    try:
        liger = importlib.import_module("liger_kernel.transformers")
    except ImportError as error:
        raise CantRunError(f"Liger Kernel is not installed ({error}); get it with: pip install liger-kernel") from error
    if loss == "cross_entropy":
        function: Function = liger.LigerCrossEntropyLoss()
        return function
    linear = liger.LigerFusedLinearCrossEntropyLoss()
    return lambda hidden, vocabulary, target: linear(vocabulary, hidden, target)


def implementation(loss: str, name: str, device: str) -> Function:
    """Return the function that computes a loss in one way, given the loss's arguments.

    Raises:
        CantRunError: The loss has no such implementation, or it can't run on the device.

    """
    makers: dict[str, Callable[[], Function]] = {
        "definition": lambda: DEFINITIONS[loss],
        "reference": lambda: _reference(loss),
        "compiled": lambda: _compiled(_reference(loss), device),
        "fused": lambda: _fused(loss, device),
        "pytorch": lambda: _pytorch(loss),
        "pytorch compiled": lambda: _compiled(_pytorch(loss), device),
        "liger": lambda: _liger(loss, device),
    }
    return makers[name]()
