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

from lossbook.bench.plan import LOSSES
from lossbook.cards import Function, every

# The losses that have a fused form, with its card.
FUSED = {card.name.rpartition(".")[2]: card for card in every().values() if card.unfused}


class CantRunError(RuntimeError):
    """An implementation can't run here; the message says why, and what it would need."""


def applies(loss: str, implementation: str) -> bool:
    """Return whether a loss has an implementation that can be had here: Liger's is used if it is installed."""
    if implementation in ("pytorch", "pytorch compiled"):
        return LOSSES[loss].twin is not None
    if implementation == "fused":
        return loss in FUSED
    if implementation == "liger":
        return loss in FUSED and importlib.util.find_spec("liger_kernel") is not None
    return True


def compiler() -> str | None:
    """Return the C++ compiler that ``torch.compile`` would use for the CPU, or None where there is none."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["clang++"] if sys.platform == "darwin" else ["g++"]
    return next(filter(None, map(shutil.which, names)), None)


def _definition(loss: str) -> Function:
    """Return the formula of the page, written down as it stands there, and reduced."""
    card = LOSSES[loss]
    return partial(card.on_paper, **card.options)


def _reference(loss: str) -> Function:
    card = LOSSES[loss]
    return partial(card.unfused or card.loss, **card.options)


def _pytorch(loss: str) -> Function:
    card = LOSSES[loss]
    if card.twin is None:
        raise CantRunError(f"PyTorch has no {loss}")
    return partial(card.twin, **card.options)


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
    if loss == "cross_entropy":
        from lossbook.losses import fused

        there, why = fused.available(device)
        if not there:
            raise CantRunError(why)
    return FUSED[loss].loss


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
        "definition": lambda: _definition(loss),
        "reference": lambda: _reference(loss),
        "compiled": lambda: _compiled(_reference(loss), device),
        "fused": lambda: _fused(loss, device),
        "pytorch": lambda: _pytorch(loss),
        "pytorch compiled": lambda: _compiled(_pytorch(loss), device),
        "liger": lambda: _liger(loss, device),
    }
    return makers[name]()
