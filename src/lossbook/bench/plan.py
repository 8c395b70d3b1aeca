"""What is measured: losses, their sizes and inputs, and the cases that a command asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Size = tuple[int, ...]
Inputs = tuple[Tensor, ...]

DEVICES = ("cpu", "cuda")
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
PASSES = ("forward", "forward + backward")
FORWARD, BOTH = PASSES
IMPLEMENTATIONS = ("definition", "reference", "compiled", "fused", "pytorch", "pytorch compiled", "liger")

# What a kind's size is called, and the sizes measured on each device unless others are asked for.
KINDS = {"elements": ("N",), "classes": ("N", "K"), "vocabulary": ("N", "D", "V")}
SIZES: dict[str, dict[str, tuple[Size, ...]]] = {
    "cpu": {
        "elements": ((1_000,), (1_000_000,)),
        "classes": ((100, 10), (4096, 1000)),
        "vocabulary": ((256, 64, 1000), (1024, 256, 8192)),
    },
    "cuda": {
        "elements": ((1_000_000,), (1 << 26,)),
        "classes": ((4096, 1000), (8192, 131_072)),
        "vocabulary": ((1024, 256, 8192), (8192, 4096, 131_072)),
    },
}
QUICK_SIZES: dict[str, dict[str, tuple[Size, ...]]] = {
    "cpu": {"elements": ((1_000_000,),), "classes": ((4096, 1000),), "vocabulary": ((256, 64, 8192),)},
    "cuda": {"elements": ((1 << 24,),), "classes": ((8192, 32_768),), "vocabulary": ((4096, 1024, 32_768),)},
}
# The classes of language models: a kernel may be fast for one and slow for the next, which is odd or fills no cache.
VOCABULARIES = (32_000, 50_257, 128_256, 151_936, 262_144)
MORE_SIZES: dict[tuple[str, str], tuple[Size, ...]] = {
    ("cross_entropy", "cuda"): tuple((8192, V) for V in VOCABULARIES),
}
DEFAULT_DTYPES = {"cpu": ("float32",), "cuda": ("float32", "bfloat16")}


class WrongCommandError(ValueError):
    """What was asked for can't be measured anywhere; the message says what must be given."""


@dataclass(frozen=True)
class Loss:
    """A loss to measure.

    Args:
        name: Its name, that of ``torch.nn.functional`` where PyTorch has it.
        kind: One of ``KINDS``: what its size counts.
        make: Given a size, a dtype and a generator on the CPU, its arguments there.
        differentiated: How many of its arguments, from the first, need a gradient.
        options: Its options, the same for every implementation.

    """

    name: str
    kind: str
    make: Callable[[Size, torch.dtype, torch.Generator], Inputs]
    differentiated: int = 1
    options: tuple[tuple[str, Any], ...] = ()


def _normal(size: Sequence[int], dtype: torch.dtype, g: torch.Generator) -> Tensor:
    return torch.randn(*size, generator=g, dtype=torch.float32).to(dtype)


def _uniform(size: Sequence[int], dtype: torch.dtype, g: torch.Generator) -> Tensor:
    """Return numbers in [0.05, 0.95]: probabilities that are 0 or 1 in no dtype."""
    return (torch.rand(*size, generator=g, dtype=torch.float32) * 0.9 + 0.05).to(dtype)


def _differences(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    return _normal(size, dtype, g), _normal(size, dtype, g)


def _with_variances(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    return (*_differences(size, dtype, g), _uniform(size, dtype, g) + 0.5)


def _labels(size: Size, dtype: torch.dtype, g: torch.Generator) -> Tensor:
    return torch.randint(0, 2, size, generator=g).to(dtype)


def _probabilities(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    return _uniform(size, dtype, g), _labels(size, dtype, g)


def _logits(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    return _normal(size, dtype, g), _labels(size, dtype, g)


def _counts(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    return _normal(size, dtype, g) / 2, torch.randint(0, 5, size, generator=g).to(dtype)


def _classes(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    return _normal(size, dtype, g), torch.randint(0, size[-1], size[:1], generator=g)


def _log_probabilities(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    z, y = _classes(size, torch.float32, g)
    return torch.log_softmax(z, 1).to(dtype), y


def _distributions(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    log_p, _ = _log_probabilities(size, dtype, g)
    return log_p, torch.softmax(_normal(size, torch.float32, g), 1).to(dtype)


def _hidden(size: Size, dtype: torch.dtype, g: torch.Generator) -> Inputs:
    N, D, V = size
    vocabulary = _normal((V, D), torch.float32, g) / math.sqrt(D)
    return _normal((N, D), dtype, g), vocabulary.to(dtype), torch.randint(0, V, (N,), generator=g)


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("mse_loss", "elements", _differences),
        Loss("l1_loss", "elements", _differences),
        Loss("smooth_l1_loss", "elements", _differences),
        Loss("huber_loss", "elements", _differences),
        Loss("gaussian_nll_loss", "elements", _with_variances),
        Loss("binary_cross_entropy", "elements", _probabilities),
        Loss("binary_cross_entropy_with_logits", "elements", _logits),
        Loss("poisson_nll_loss", "elements", _counts),
        Loss("cross_entropy", "classes", _classes),
        Loss("nll_loss", "classes", _log_probabilities),
        Loss("kl_div", "classes", _distributions, options=(("reduction", "batchmean"),)),
        Loss("linear_cross_entropy", "vocabulary", _hidden, differentiated=2),
    )
}


@dataclass(frozen=True)
class Case:
    """One thing to measure. Its fields are words and numbers, so that a case can be kept and found again."""

    loss: str
    implementation: str
    device: str
    size: Size
    dtype: str
    passes: str

    def __str__(self) -> str:
        return f"{self.loss}, {self.implementation}, {self.device}, {shown(self.size)}, {self.dtype}, {self.passes}"


def shown(size: Size) -> str:
    """Return a size as it is typed: ``4096x1000``."""
    return "x".join(map(str, size))


def spaced(size: Size) -> str:
    """Return a size as it is read: ``1,000,000``, ``4,096 × 1,000``."""
    return " × ".join(f"{part:,}" for part in size)


def parse_size(text: str) -> Size:
    """Return the size that a text such as ``1000000`` or ``4096x1000`` gives.

    Raises:
        WrongCommandError: It is no such text. A size below 1 is read: it is refused case by case.

    """
    if not re.fullmatch(r"[-+]?[0-9]{1,15}(x[-+]?[0-9]{1,15}){0,2}", text):
        raise WrongCommandError(
            f"--size is {text!r}; it must be whole numbers, 1 or more: N, such as 1000000, for the losses of elements; "
            "NxK, such as 4096x1000, for those of classes; NxDxV, such as 1024x256x8192, for linear_cross_entropy"
        )
    return tuple(int(part) for part in text.split("x"))


def chosen(what: str, names: Sequence[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Return the names without repetition, all of them if none are given.

    Raises:
        WrongCommandError: A name is not among those allowed.

    """
    allowed = tuple(allowed)
    for name in names:
        if name not in allowed:
            raise WrongCommandError(f"{what} is {name!r}; it must be one of {', '.join(allowed)}")
    return tuple(dict.fromkeys(names)) or allowed


def make_inputs(loss: Loss, size: Size, dtype: str, device: str) -> Inputs:
    """Return the arguments of a loss: the same numbers each time, on a device, without a gradient."""
    g = torch.Generator().manual_seed(420)
    return tuple(item.to(device) for item in loss.make(size, DTYPES[dtype], g))


def sizes_for(loss: Loss, device: str, sizes: Sequence[Size], quick: bool) -> tuple[Size, ...]:
    """Return the sizes at which a loss is measured: those asked for that fit its kind, or the device's usual ones."""
    if not sizes:
        if quick:
            return QUICK_SIZES[device][loss.kind]
        return SIZES[device][loss.kind] + MORE_SIZES.get((loss.name, device), ())
    return tuple(dict.fromkeys(size for size in sizes if len(size) == len(KINDS[loss.kind])))


def cases(
    losses: Sequence[str] = (),
    implementations: Sequence[str] = (),
    devices: Sequence[str] = ("cpu",),
    sizes: Sequence[Size] = (),
    dtypes: Sequence[str] = (),
    *,
    quick: bool = False,
    applies: Callable[[str, str], bool] = lambda loss, implementation: True,
) -> list[Case]:
    """Return what is to be measured, the implementations of one loss side by side.

    Args:
        losses: Names of losses; all unless given.
        implementations: Names of implementations; unless given, those that apply to each loss, of
            PyTorch's own without compiling it.
        devices: Where to measure.
        sizes: Sizes; each loss takes those of its kind. Unless given, the usual ones of the device.
        dtypes: Names of dtypes; unless given, the usual ones of the device.
        quick: Fewer usual sizes.
        applies: Whether a loss has an implementation.

    Raises:
        WrongCommandError: A name is unknown, or no size fits a loss that was named, or any loss.

    """
    chosen("--device", devices, DEVICES)
    chosen("--dtype", dtypes, DTYPES)
    names = chosen("LOSS", losses, LOSSES)
    asked = chosen("--implementation", implementations, IMPLEMENTATIONS) if implementations else ()
    for name in names:
        kind = LOSSES[name].kind
        if losses and sizes and not any(len(size) == len(KINDS[kind]) for size in sizes):
            raise WrongCommandError(
                f"--size is {' '.join(map(shown, sizes))}; one must have the form {'x'.join(KINDS[kind])} for {name}"
            )

    def of(name: str) -> Iterator[str]:
        for each in asked or IMPLEMENTATIONS:
            if asked or (each != "pytorch compiled" and applies(name, each)):
                yield each

    return [
        Case(name, each, device, size, dtype, passes)
        for device in dict.fromkeys(devices)
        for name in names
        for size in sizes_for(LOSSES[name], device, sizes, quick)
        for dtype in dict.fromkeys(dtypes or DEFAULT_DTYPES[device])
        for passes in PASSES
        for each in of(name)
    ]


def traffic(loss: Loss, inputs: Inputs, passes: str) -> int:
    """Return the bytes that no implementation can do without: each input read once, each result written once.

    ``nll_loss`` needs one entry of each row alone; its gradient is written whole all the same.
    """
    size = sum(item.numel() * item.element_size() for item in inputs)
    if loss.name == "nll_loss":
        log_p, y = inputs
        size = y.numel() * (log_p.element_size() + y.element_size())
    if passes == BOTH:
        size += sum(item.numel() * item.element_size() for item in inputs[: loss.differentiated])
    return size + inputs[0].element_size()
