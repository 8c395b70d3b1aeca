"""What is measured: the losses that have cards, at which sizes, and the cases that a command asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from lossbook.cards import KINDS as KINDS
from lossbook.cards import Card, Draw, Inputs, Size, every

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

# The sizes measured on each device unless others are asked for, by the kind of what they count.
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


SEED = 420


def _losses() -> dict[str, Card]:
    """Return the cards by what is measured: a fused loss is the fused implementation of the one of its name."""
    found: dict[str, Card] = {}
    for card in sorted(every().values(), key=lambda card: list(KINDS).index(card.kind)):
        found.setdefault(card.name.rpartition(".")[2], card)
    return found


LOSSES = _losses()


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


def make_inputs(loss: Card, size: Size, dtype: str, device: str) -> Inputs:
    """Return the arguments of a loss: the same numbers each time, on a device, without a gradient."""
    return tuple(item.to(device) for item in loss.inputs(Draw.seeded(size, DTYPES[dtype], SEED)))


def sizes_for(loss: Card, device: str, sizes: Sequence[Size], quick: bool) -> tuple[Size, ...]:
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


def traffic(loss: Card, inputs: Inputs, passes: str) -> int:
    """Return the bytes that no implementation can do without: each input read once, each result written once.

    A loss that picks needs one entry of each row alone; its gradient is written whole all the same.
    """
    size = sum(item.numel() * item.element_size() for item in inputs)
    if loss.picks:
        log_p, y = inputs
        size = y.numel() * (log_p.element_size() + y.element_size())
    if passes == BOTH:
        size += sum(item.numel() * item.element_size() for item in inputs[: loss.differentiated])
    return size + inputs[0].element_size()
