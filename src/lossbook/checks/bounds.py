"""Predictions of a time from bytes and bandwidth: the exercise that comes before every race.

The bytes that a loss must move over the bytes that a device moves in a second: no program can be faster, on any device.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Generator

from lossbook.checks.exercise import Case, Curve, Exercise, Misconception, uniform

TOLERANCE = 1e-3
WHY = (
    "A short time is a small number, so that only the relative error counts. One part in a thousand leaves it open "
    "whether the scalar that is written counts."
)
SIZES = ((100_000,), (1_000_000,), (10_000,), (2**28,))
BANDWIDTHS = (  # bytes a second, and where such a bandwidth is met
    (1e10, "10 GB a second: the memory of a small processor"),
    (2e11, "200 GB a second: a processor's cache"),
    (1e9, "1 GB a second"),
    (3.35e12, "3.35 TB a second: the memory of a large GPU"),
)
RANDOM = 3

HINTS = (
    "Time is an amount over a rate: here bytes, over bytes a second. Which bytes must be moved, however clever the "
    "program is?",
    "The inputs have to be read, once. What is computed on the way can stay in the processor's registers, and the "
    "one number at the end is too small to\nmatter. So: how many numbers are read for each term of the sum, and "
    "how many bytes has each? The name of the dtype, float32 or int64, says how many\nbits; a byte is eight of "
    "them.",
)


@dataclass(frozen=True)
class Array:
    """One input of a loss.

    Args:
        name: Its name in the lesson, such as ``y``.
        columns: How many numbers it holds for each sample, such as K.
        width: Bytes of a number: 4 for float32, 8 for int64.

    """

    name: str
    columns: int = 1
    width: int = 4

    @property
    def bytes(self) -> int:
        """Bytes for each sample."""
        return self.columns * self.width


class Traffic:
    """The bytes of a loss's inputs, as a function of the number of samples.

    Args:
        *arrays: The inputs.

    """

    def __init__(self, *arrays: Array) -> None:
        self.arrays = arrays

    def __call__(self, n: int) -> int:
        """Return the bytes of n samples: every input once."""
        return n * sum(array.bytes for array in self.arrays)


def moving(bytes_of: Callable[..., float], name: str, advice: str, factor: float = 1.0) -> Misconception:
    """Return the misconception of moving other bytes than must be moved.

    Args:
        bytes_of: The bytes that it moves, from the numbers of samples.
        name: What went wrong.
        advice: What would help.
        factor: What the time is multiplied by besides.

    """
    return Misconception(name, lambda *given: factor * bytes_of(*given[:-1]) / given[-1], advice)


def for_each_sample(count: float, name: str, advice: str) -> Misconception:
    """Return the misconception of moving this many bytes for each sample."""
    return moving(lambda n: count * n, name, advice)


def operation_by_operation(count: int) -> Misconception:
    """Return the misconception of counting what each operation of a chain reads and writes: so many bytes a term."""
    return for_each_sample(
        count,
        "the results on the way counted, operation by operation",
        "What each operation reads and writes depends on how the loss is written, and a fused program keeps the "
        "results on the way in registers. What must any program read?",
    )


def mistakes_of(bytes_of: Callable[..., int]) -> tuple[Misconception, ...]:
    """Return the wrong times that can be had from the right bytes."""
    return (
        moving(
            lambda *sizes: 8 * bytes_of(*sizes),
            "bits for bytes",
            "A bandwidth is in bytes a second here, so the amount must be in bytes. What is a byte?",
        ),
        Misconception(
            "multiplied by the bandwidth",
            lambda *given: float(bytes_of(*given[:-1])) * given[-1],
            "Try a device of twice the bandwidth: is yours the faster or the slower for it?",
        ),
        Misconception(
            "upside down",
            lambda *given: given[-1] / bytes_of(*given[:-1]),
            "Twice as many terms must take twice the time. Try it with yours.",
        ),
        Misconception(
            "the bytes for the time",
            lambda *given: bytes_of(*given[:-1]),
            "That is an amount, in bytes. How long does a device take that moves `bandwidth` of them a second?",
        ),
        moving(
            bytes_of,
            "in milliseconds",
            "The unit is the second. Bytes over bytes a second have it already: what is your last factor for?",
            factor=1e3,
        ),
        moving(
            lambda *sizes: bytes_of(*(1 for _ in sizes)),
            "the time of one term",
            "Yours is the same for a hundred terms and for a million. Which argument has no part in it?",
        ),
        moving(
            bytes_of,
            "the bandwidth taken for gigabytes a second",
            "`bandwidth` is in bytes a second as it comes: 1e10 for 10 GB a second. It needs no factor.",
            factor=1e-9,
        ),
        Misconception(
            "printed or computed, and not returned",
            lambda *given: None,
            "The function gave back nothing: put the time behind `return`.",
        ),
    )


def mistakes_in(arrays: Sequence[Array]) -> tuple[Misconception, ...]:
    """Return the wrong counts of the bytes of these inputs, all of n samples."""
    total = sum(array.bytes for array in arrays)
    wide = sum(array.columns * 8 for array in arrays)
    numbers = sum(array.columns for array in arrays)
    found = [
        for_each_sample(
            wide,
            "eight bytes for a float32",
            "What is the dtype of the inputs, and how many bytes has one such number? If it was not that: what you "
            "counted besides the inputs need not go through memory.",
        ),
        for_each_sample(
            numbers,
            "one byte for a number",
            "You counted numbers. How many bytes is one of them, in its dtype?",
        ),
    ]
    if len(arrays) > 1:
        alike = len({array.bytes for array in arrays}) == 1
        found += [
            for_each_sample(
                total - array.bytes,
                "one of the inputs forgotten" if alike else f"{array.name} forgotten",
                "The loss depends on each of its arguments. Are all of them in your count?",
            )
            for array in arrays
        ]
    if any(array.width == 8 for array in arrays):
        found.append(
            for_each_sample(
                numbers * 4,
                "four bytes for an index",
                "Class indices are not float32. Look at their dtype: how many bits has it?",
            )
        )
    found += [
        for_each_sample(
            total + 4,
            "the terms of the sum counted as written",
            "Must each term go to memory? A program may add it to a total as soon as it has it.",
        ),
        for_each_sample(
            total + 8,
            "the terms of the sum counted as written and read back",
            "Must each term go to memory and come back? A program may add it to a total as soon as it has it.",
        ),
    ]
    return tuple(found)


def told_apart(
    bytes_of: Callable[..., int], wrong: Sequence[Misconception], sizes: tuple[int, ...]
) -> tuple[Misconception, ...]:
    """Return the misconceptions that differ from the right time and from those before them.

    Which do depends on the inputs: of two float32, for one, both forgetting one and counting float16 halve the bytes.
    """
    bandwidth = 7e9
    seen: list[float] = [bytes_of(*sizes) / bandwidth]
    found = []
    for item in wrong:
        value: Any = item.wrong(*sizes, bandwidth)
        if value is not None:
            if any(math.isclose(value, other, rel_tol=2 * TOLERANCE) for other in seen):
                continue
            seen.append(value)
        found.append(item)
    return tuple(found)


def bound_exercise(
    name: str,
    bytes_of: Callable[..., int],
    *,
    points: int = 1,
    sizes: Sequence[tuple[int, ...]] = SIZES,
    misconceptions: Sequence[Misconception] = (),
    hints: Sequence[str] = HINTS,
    folded: int | None = None,
) -> Exercise:
    """Return the exercise of stating the shortest possible time of a loss from bytes and bandwidth.

    Its function takes the sizes and the bandwidth in bytes a second, and returns ``bytes / bandwidth`` in seconds.
    It is compared at several sizes and bandwidths, fixed ones and random ones. Nothing is measured.

    Args:
        name: ``slug.function``.
        bytes_of: Given the sizes, the bytes that any program must move. Its parameters are called as in the lesson. A
            ``Traffic`` knows the inputs one by one, so that what is miscounted of them can be named.
        points: What a right answer is worth.
        sizes: The sizes to try, one tuple a case; random ones are drawn between the smallest and the largest.
        misconceptions: Those of this lesson alone. They come before the shared ones.
        hints: The ladder of hints.
        folded: How many of them the lesson folds away: all unless given.

    """
    parameters = tuple(inspect.signature(bytes_of).parameters)
    low, high = ([edge(column) for column in zip(*sizes, strict=True)] for edge in (min, max))

    def draw(generator: Generator) -> Sequence[Case]:
        found = []
        for place, given in enumerate(sizes):
            bandwidth, note = BANDWIDTHS[place % len(BANDWIDTHS)]
            found.append(Case((*given, bandwidth), note=note))
        for _ in range(RANDOM):
            at = uniform(generator, len(low) + 1).tolist()
            drawn = [round(a ** (1 - t) * b**t) for a, b, t in zip(low, high, at, strict=False)]
            found.append(Case((*drawn, float(round(10 ** (9 + 3.5 * at[-1])))), note="random"))
        return found

    def least_seconds(*given: float) -> float:
        return bytes_of(*given[:-1]) / given[-1]

    named = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in (*parameters, "bandwidth")]
    least_seconds.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    inputs = mistakes_in(bytes_of.arrays) if isinstance(bytes_of, Traffic) else ()
    return Exercise(
        name,
        points,
        least_seconds,
        draw,
        rtol=TOLERANCE,
        atol=0.0,
        why=WHY,
        misconceptions=told_apart(bytes_of, (*misconceptions, *inputs, *mistakes_of(bytes_of)), sizes[0]),
        curve=Curve(
            tuple(10.0 + 5 * step for step in range(39)),
            lambda x: Case((*sizes[0], x * 1e9)),
            f"bandwidth in GB a second, at {', '.join(parameters)} = {', '.join(f'{size:,}' for size in sizes[0])}",
            "seconds",
        ),
        hints=tuple(hints),
        folded=folded,
    )
