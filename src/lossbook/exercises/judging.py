"""Compares what a student's function returned with what is right, and says in words what differs.

It sees data alone: the outcomes of calls, wherever they were made. No student's code runs here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Generator, Tensor

from lossbook.exercises import trial
from lossbook.exercises.core import Case, Curve, Exercise, Misconception
from lossbook.exercises.showing import LONG, show, show_call
from lossbook.exercises.trial import LOST, MISSING, RETURNED, UNWRITTEN, Other, Outcome

PASSED, FAILED, NOT_ATTEMPTED, UNKNOWN = "passed", "failed", "not attempted", "unknown"


@dataclass(frozen=True)
class Failure:
    """One case that a function got wrong: which call, what it was there to catch, and in words what happened."""

    call: str
    note: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one function.

    Args:
        exercise: The exercise's name.
        state: ``passed``, ``failed`` or ``not attempted``.
        points: Points won: all or none.
        out_of: Points that a full answer is worth.
        cases: How many cases were tried.
        failures: The cases that differ.
        misconception: The wrong function that this one equals on every case, if there is one.

    """

    exercise: str
    state: str
    points: float
    out_of: float
    cases: int
    failures: tuple[Failure, ...] = ()
    misconception: Misconception | None = None


@dataclass(frozen=True)
class Call:
    """One call to make: its case, and what to note beside the value: the gradient to an argument, from 1, or steps."""

    case: Case
    gradient: int = 0
    count: bool = False


@lru_cache(maxsize=256)
def calls(exercise: Exercise, seed: int) -> tuple[Call, ...]:
    """Return the calls that decide about an exercise: its cases, and where steps count, a call at each size."""
    generator = Generator().manual_seed(seed)
    found = [Call(case, gradient=case.slope if exercise.gradient else 0) for case in exercise.cases(generator)]
    if exercise.work is not None:
        found += [Call(exercise.work.case(generator, n), count=True) for n in exercise.work.sizes]
    return tuple(found)


def try_out(function: Any, exercise: Exercise, wanted: Sequence[Call], forbidden: frozenset[str]) -> list[Outcome]:
    """Make the calls in this process, for functions that may be trusted with it."""
    return [
        trial.attempt(
            function, call.case.args, call.case.kwargs, gradient=call.gradient, forbidden=forbidden, count=call.count
        )
        for call in wanted
    ]


@lru_cache(maxsize=256)
def expected(exercise: Exercise, seed: int) -> tuple[Outcome, ...]:
    """Return the right outcomes of the calls of an exercise."""
    right = try_out(exercise.reference, exercise, calls(exercise, seed), frozenset())
    for outcome in right:
        if outcome.state != RETURNED:
            raise AssertionError(f"the reference of {exercise.name} {outcome.error or outcome.state}")
    return tuple(right)


@lru_cache(maxsize=1024)
def mistaken(exercise: Exercise, misconception: Misconception, seed: int) -> tuple[Outcome, ...]:
    """Return the outcomes of one wrong function."""
    return tuple(try_out(misconception.wrong, exercise, calls(exercise, seed), frozenset()))


def as_tensor(value: Any) -> Tensor | None:
    """Return a number, tensor or list of them as one tensor, or None where it is none of these."""
    if isinstance(value, Tensor):
        return value
    try:
        if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            return torch.stack([torch.as_tensor(item) for item in value])
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def close(mine: Tensor, right: Tensor, exercise: Exercise) -> Tensor:
    """Return where two float64 tensors of one shape agree within the exercise's tolerances."""
    return torch.isclose(mine, right, rtol=exercise.rtol, atol=exercise.atol, equal_nan=True)


def difference(got: Any, right: Any, exercise: Exercise, what: str = "") -> str | None:
    """Say how two results differ, or return None where they agree within the exercise's tolerance.

    A result may be more precise than was asked, and a number may stand for a tensor without dimensions; a half format
    may not stand for float32.

    Args:
        got: What the student's function returned.
        right: What the reference returned.
        exercise: Gives the tolerances.
        what: What is compared, such as ``gradient``; empty for the value.

    """
    label = f"{what}: " if what else ""
    if got is None:
        return f"{label}got None: does the function end with return?"
    if isinstance(got, Other):
        return f"{label}got {got.what}, expected {show(right)}"
    expected_tensor, mine = as_tensor(right), as_tensor(got)
    assert expected_tensor is not None, "a reference returns numbers"
    if mine is None:
        return f"{label}got a {type(got).__name__}, expected {show(right)}"
    if mine.shape != expected_tensor.shape:
        return f"{label}got shape {tuple(mine.shape)}, expected shape {tuple(expected_tensor.shape)}"
    if isinstance(got, Tensor) and isinstance(right, Tensor):
        coarse = mine.dtype in (torch.float16, torch.bfloat16) and expected_tensor.dtype != mine.dtype
        boolean = (mine.dtype == torch.bool) != (expected_tensor.dtype == torch.bool)
        if coarse or boolean:
            return f"{label}got dtype {mine.dtype}, expected {expected_tensor.dtype}"
    mine, wide = mine.detach().cpu().to(torch.float64), expected_tensor.detach().cpu().to(torch.float64)
    agree = close(mine, wide, exercise)
    if bool(agree.all()):
        return None
    place = ""
    if mine.numel() > LONG:
        index = tuple((~agree).nonzero()[0].tolist())
        mine, wide = mine[index], wide[index]
        place = f" at {list(index)}"
    shown = show(mine), show(wide)
    if shown[0] == shown[1]:  # they differ beyond the digits shown
        shown = show(mine, 9), show(wide, 9)
    return f"{label}got{place}      {shown[0]}\n{label}expected{place} {shown[1]}"


def what_is_wrong(outcome: Outcome, right: Outcome, exercise: Exercise, slope: int = 1) -> str | None:
    """Say what is wrong with the outcome of one call, or return None; ``slope`` is what the gradient is taken to."""
    if outcome.state != RETURNED:
        return outcome.error or outcome.state
    if exercise.judge is not None:
        return exercise.judge(outcome.value)
    wrong = difference(outcome.value, right.value, exercise)
    if wrong or right.gradient is None:
        return wrong
    if outcome.gradient is None:
        which = ("first", "second", "third")[slope - 1]
        return f"gradient: the result does not depend on the {which} argument through PyTorch operations"
    return difference(outcome.gradient, right.gradient, exercise, "gradient")


def too_much_work(exercise: Exercise, outcomes: Sequence[Outcome]) -> str | None:
    """Say what is wrong with the number of steps at the two sizes, or return None."""
    assert exercise.work is not None
    few, many = exercise.work.sizes
    first, last = (outcome.work for outcome in outcomes)
    if first is None or last is None:
        return "the steps could not be counted"
    counted = f"{first:,} steps for {few:,} elements and {last:,} for {many:,}"
    if exercise.work.vectorised and last > first + (many - few) // 10:
        return f"{counted}: the steps grow with the elements. Whole tensors at once take the same number at any size"
    if not exercise.work.vectorised and (first < few or last < many):
        return f"{counted}: fewer than one an element. This answer is to add them up one at a time, in Python"
    return None


def kind(value: Any) -> str:
    """Return what sort of answer a value is, where any number of a sort is as wrong as another."""
    if isinstance(value, Other):
        return value.what.partition(",")[0]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "nan" if value != value else f"{(value > 0) - (value < 0)} {abs(value) == float('inf')}"
    return type(value).__name__


def same(mine: Outcome, other: Outcome, exercise: Exercise) -> bool:
    """Tell whether two outcomes are the same: equal results, or errors of one kind."""
    if mine.state != other.state:
        return False
    if mine.state != RETURNED:
        return mine.error.partition(":")[0] == other.error.partition(":")[0]
    if exercise.judge is not None:
        return kind(mine.value) == kind(other.value)
    if (mine.gradient is None) != (other.gradient is None):
        return False
    if mine.gradient is not None and difference(mine.gradient, other.gradient, exercise) is not None:
        return False
    if other.value is None or isinstance(other.value, Other) or as_tensor(other.value) is None:
        return bool(type(mine.value) is type(other.value) and repr(mine.value) == repr(other.value))
    return difference(mine.value, other.value, exercise) is None


def named_misconception(exercise: Exercise, seed: int, outcomes: Sequence[Outcome]) -> Misconception | None:
    """Return the misconception that a function equals on every case, steps included, or None."""
    for misconception in exercise.misconceptions:
        theirs = mistaken(exercise, misconception, seed)
        pairs = list(zip(outcomes, theirs, strict=True))
        if not all(same(mine, other, exercise) for mine, other in pairs):
            continue
        if exercise.work is None or exercise.judge is not None:
            return misconception
        split = len(outcomes) - len(exercise.work.sizes)
        mine_slow = too_much_work(exercise, outcomes[split:]) is None
        if mine_slow == (too_much_work(exercise, theirs[split:]) is None):
            return misconception
    return None


def judge(exercise: Exercise, seed: int, outcomes: Sequence[Outcome]) -> Verdict:
    """Return the verdict on a function from the outcomes of the calls of ``calls(exercise, seed)``, in order.

    Raises:
        ValueError: There is not one outcome for each call.

    """
    wanted = calls(exercise, seed)
    if len(outcomes) != len(wanted):
        raise ValueError(f"outcomes are {len(outcomes)}; there must be {len(wanted)}, one for each call")
    plain = len(wanted) - (len(exercise.work.sizes) if exercise.work else 0)
    cases = plain + (exercise.work is not None)  # the steps at two sizes are one case more
    if outcomes[0].state == MISSING or any(outcome.state == UNWRITTEN for outcome in outcomes):
        return Verdict(exercise.name, NOT_ATTEMPTED, 0.0, exercise.points, cases)
    right = expected(exercise, seed)
    failures: list[Failure] = []
    for call, outcome, answer in zip(wanted, outcomes, right, strict=True):
        if call.count and failures:
            break
        reason = what_is_wrong(outcome, answer, exercise, call.case.slope)
        if reason:
            failures.append(Failure(show_call(exercise.function, call.case), call.case.note, reason))
    if not failures and exercise.work is not None:
        reason = too_much_work(exercise, outcomes[plain:])
        if reason:
            note = "steps are counted, at two sizes"
            failures.append(Failure(show_call(exercise.function, wanted[-1].case), note, reason))
    if not failures:
        return Verdict(exercise.name, PASSED, float(exercise.points), exercise.points, cases)
    misconception = None
    if not any(outcome.state == LOST for outcome in outcomes):
        misconception = named_misconception(exercise, seed, outcomes)
    return Verdict(exercise.name, FAILED, 0.0, exercise.points, cases, tuple(failures), misconception)


def height(outcome: Outcome) -> float | None:
    """Return the first number of a result, as the height of a curve; None where it is none or not finite."""
    value = as_tensor(outcome.value) if outcome.state == RETURNED and outcome.value is not None else None
    if value is None or value.numel() == 0 or value.is_complex():
        return None
    number = float(value.flatten()[0])
    return number if math.isfinite(number) else None


def seen_as_one(mine: Sequence[float | None], right: Sequence[float | None]) -> bool:
    """Tell whether two curves can't be told apart in a picture: they are within a hundredth of its height."""
    known = [height for height in right if height is not None]
    line = (max(known) - min(known)) / 100
    return all(
        y is other or (y is not None and other is not None and abs(y - other) <= line)
        for y, other in zip(mine, right, strict=True)
    )


def curve_calls(curve: Curve) -> list[Call]:
    """Return the calls whose results are the heights of a curve."""
    return [Call(curve.case(x)) for x in curve.x]


@dataclass(frozen=True)
class Drawing:
    """A student's curve and the right one, as numbers: None where there is no finite height."""

    xlabel: str
    ylabel: str
    x: tuple[float, ...]
    mine: tuple[float | None, ...]
    right: tuple[float | None, ...]


def drawing(exercise: Exercise, outcomes: Sequence[Outcome]) -> Drawing | None:
    """Return the drawing of an exercise's curve from the outcomes of its calls; None where there is nothing to see."""
    curve = exercise.curve
    if curve is None:
        return None
    mine = tuple(height(outcome) for outcome in outcomes)
    if all(y is None for y in mine):
        return None
    answers = try_out(exercise.reference, exercise, curve_calls(curve), frozenset())
    right = tuple(height(outcome) for outcome in answers)
    if all(
        y == other or (y and other and abs(y - other) <= 1e-3 * abs(other))
        for y, other in zip(mine, right, strict=True)
    ):
        return None  # what is wrong does not show: the number of steps, say
    return Drawing(curve.xlabel, curve.ylabel, curve.x, mine, right)
