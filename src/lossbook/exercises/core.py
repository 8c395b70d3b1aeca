"""What an exercise is: a function to write, the cases it must get right, and the reference that says what is right."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Case:
    """One call of the student's function.

    Args:
        args: The positional arguments, in order.
        kwargs: The keyword arguments.
        note: What this case is there to catch, in a few words; shown when it fails.

    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Exercise:
    """One function that a lesson asks for.

    Args:
        name: ``slug.function``, such as ``bce.sigmoid``.
        points: What a full answer is worth.
        reference: The right function, called with the same arguments.
        cases: Given a seeded generator, the cases: fixed ones, edges, and random ones drawn from the generator.
        gradient: Whether the gradient to the first argument is compared too.
        rtol: Relative tolerance. The default allows any order of summation of a few thousand float32 terms.
        atol: Absolute tolerance, for results near zero.
        hints: From the gentlest to the plainest; shown one at a time.
        judge: Where many answers are right: given a result, what is wrong with it in words, or None. It takes the
            reference's place.

    """

    name: str
    points: int
    reference: Callable[..., Any]
    cases: Callable[[Generator], Sequence[Case]]
    gradient: bool = False
    rtol: float = 1e-4
    atol: float = 1e-6
    hints: tuple[str, ...] = ()
    judge: Callable[[Any], str | None] | None = None

    @property
    def function(self) -> str:
        """The name of the function that the student writes."""
        return self.name.partition(".")[2]

    @property
    def slug(self) -> str:
        """The chapter's slug."""
        return self.name.partition(".")[0]


def fresh(value: Any, *, requires_grad: bool = False) -> Any:
    """Return a copy that a student's function may overwrite without touching the original.

    Args:
        value: A tensor (copied), a list or tuple (copied element by element), or anything else (returned as it is).
        requires_grad: Whether a floating-point tensor is to record gradients.

    """
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        return copy.requires_grad_(requires_grad and copy.is_floating_point())
    if isinstance(value, (list, tuple)):
        return type(value)(fresh(item) for item in value)
    return value


def not_a_positive_number(value: Any) -> str | None:
    """Say what keeps a value from being a positive, finite number; None where it is one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= sys.float_info.max:
        return None
    return f"got {value!r}; a prediction is a positive number"


def prediction(name: str) -> Exercise:
    """Return the exercise of writing a prediction down before measuring: any positive number is right.

    Args:
        name: ``slug.function``, where the function takes nothing and returns the prediction.

    """
    return Exercise(name, 1, float, lambda generator: [Case(())], judge=not_a_positive_number)


def uniform(generator: Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw a float32 tensor of this shape, uniform on [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def normal(generator: Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Draw a float32 tensor of this shape from a Gaussian of mean 0 and standard deviation ``scale``."""
    return scale * torch.randn(shape, generator=generator)


def integers(generator: Generator, high: int, *shape: int) -> Tensor:
    """Draw an int64 tensor of this shape, uniform on 0, …, high − 1."""
    return torch.randint(high, shape, generator=generator)
