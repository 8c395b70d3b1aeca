"""``check(function)``: compare a student's function with the reference and say in words what differs."""

from __future__ import annotations

import contextlib
import inspect
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossbook.exercises.core import Case, Exercise, fresh

SEED = 20
SHOWN_FAILURES = 2
LONG = 8  # elements beyond which a tensor is not shown whole


@dataclass(frozen=True)
class Failure:
    """One case that a function got wrong: which call, and in words what happened."""

    call: str
    note: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What ``check`` found.

    Args:
        exercise: The exercise's name, or None where no exercise fits.
        state: ``passed``, ``failed``, ``not attempted`` or ``unknown``.
        points: Points won: all or none.
        out_of: Points that a full answer is worth.
        cases: How many cases were tried.
        failures: The cases that differ.
        message: The one line that says it all.

    """

    exercise: str | None
    state: str
    points: float
    out_of: float
    cases: int
    failures: tuple[Failure, ...]
    message: str

    @property
    def passed(self) -> bool:
        """Whether every case agrees."""
        return self.state == "passed"

    def __repr__(self) -> str:
        lines = [self.message]
        for failure in self.failures[:SHOWN_FAILURES]:
            lines += ["", f"  {failure.call}" + (f"    # {failure.note}" if failure.note else "")]
            lines += [f"    {line}" for line in failure.reason.splitlines()]
        hidden = len(self.failures) - SHOWN_FAILURES
        if hidden > 0:
            lines += ["", f"  … and {hidden} more."]
        return "\n".join(lines)


def show(value: Any, digits: int = 4) -> str:
    """Return a value as short text: numbers to so many significant digits, long tensors cut."""
    if isinstance(value, Tensor):
        value = value.detach()
        if value.numel() > LONG:
            return f"tensor of shape {tuple(value.shape)}, first {show(value.flatten()[:4], digits)}"
        return show(value.tolist(), digits)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(show(item, digits) for item in value) + "]"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def show_call(name: str, case: Case) -> str:
    """Return the call of a case as text."""
    arguments = [show(value) for value in case.args]
    arguments += [f"{key}={show(value)}" for key, value in case.kwargs.items()]
    return f"{name}({', '.join(arguments)})"


def as_tensor(value: Any) -> Tensor | None:
    """Return a number, array, tensor or list of them as one tensor, or None where it is none of these."""
    if isinstance(value, Tensor):
        return value
    try:
        if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            return torch.stack([torch.as_tensor(item) for item in value])
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def difference(got: Any, expected: Any, exercise: Exercise, what: str = "") -> str | None:
    """Say how two results differ, or return None where they agree within the exercise's tolerance.

    Args:
        got: What the student's function returned.
        expected: What the reference returned.
        exercise: Gives the tolerances.
        what: What is compared, such as ``gradient``; empty for the value.

    """
    label = f"{what}: " if what else ""
    if got is None:
        return f"{label}got None: does the function end with return?"
    right = as_tensor(expected)
    mine = as_tensor(got)
    assert right is not None, "a reference returns numbers"
    if mine is None:
        return f"{label}got a {type(got).__name__}, expected {show(expected)}"
    if mine.shape != right.shape:
        return f"{label}got shape {tuple(mine.shape)}, expected shape {tuple(right.shape)}"
    mine, right = mine.detach().cpu().to(torch.float64), right.detach().cpu().to(torch.float64)
    if torch.allclose(mine, right, rtol=exercise.rtol, atol=exercise.atol, equal_nan=True):
        return None
    place = ""
    if mine.numel() > LONG:
        wrong = ~torch.isclose(mine, right, rtol=exercise.rtol, atol=exercise.atol, equal_nan=True)
        index = tuple(wrong.nonzero()[0].tolist())
        mine, right = mine[index], right[index]
        place = f" at {list(index)}"
    shown = show(mine), show(right)
    if shown[0] == shown[1]:  # they differ beyond the digits shown
        shown = show(mine, 9), show(right, 9)
    return f"{label}got{place}      {shown[0]}\n{label}expected{place} {shown[1]}"


def gradient(function: Callable[..., Any], case: Case) -> tuple[Any, Tensor | None]:
    """Call a function on a case; return its value and the gradient of its sum to the first argument, if any."""
    first = fresh(case.args[0], requires_grad=True)
    value = function(first, *(fresh(item) for item in case.args[1:]), **dict(case.kwargs))
    if not (isinstance(value, Tensor) and value.requires_grad):
        return value, None
    (slope,) = torch.autograd.grad(value.sum(), first, allow_unused=True)
    return value, slope


def failure_on(function: Callable[..., Any], case: Case, exercise: Exercise) -> str | None:
    """Say what the function gets wrong on one case, or return None. Raises NotImplementedError where a stub does."""
    if exercise.judge is not None:
        return exercise.judge(function(*fresh(case.args), **dict(case.kwargs)))
    if not exercise.gradient:
        expected = exercise.reference(*fresh(case.args), **dict(case.kwargs))
        return difference(function(*fresh(case.args), **dict(case.kwargs)), expected, exercise)
    expected, right_slope = gradient(exercise.reference, case)
    value, slope = gradient(function, case)
    wrong = difference(value, expected, exercise)
    if wrong or right_slope is None:
        return wrong
    if slope is None:
        return "gradient: the result does not depend on the first argument through PyTorch operations"
    return difference(slope, right_slope, exercise, "gradient")


def describe(error: BaseException) -> str:
    """Return an error as one line a student can act on."""
    text = str(error).strip().splitlines()
    return f"raised {type(error).__name__}" + (f": {text[0]}" if text else "")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Hold back what a student's function prints and warns of: it is called many times, and neither is a fault."""
    sink = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        yield


def points_of(exercise: Exercise) -> str:
    """Return the exercise's points in words."""
    return "1 point" if exercise.points == 1 else f"{exercise.points} points"


def run(function: Callable[..., Any], exercise: Exercise, seed: int = SEED) -> Report:
    """Compare a function with an exercise's reference on all its cases. Never raises on a student's mistake."""
    cases: Sequence[Case] = exercise.cases(torch.Generator().manual_seed(seed))
    failures = []
    for case in cases:
        try:
            with quietly():
                reason = failure_on(function, case, exercise)
        except NotImplementedError:
            message = f"○ {exercise.function}: not attempted yet ({points_of(exercise)})."
            return Report(exercise.name, "not attempted", 0.0, exercise.points, len(cases), (), message)
        except (
            Exception,
            SystemExit,
        ) as error:  # a student's mistake, whatever it is, is reported and never raised
            reason = describe(error)
        if reason:
            failures.append(Failure(show_call(exercise.function, case), case.note, reason))
    if failures:
        verb = "differs" if len(failures) == 1 else "differ"
        differ = "the case differs" if len(cases) == 1 else f"{len(failures)} of {len(cases)} cases {verb}"
        message = f"✗ {exercise.function}: {differ}."
        return Report(exercise.name, "failed", 0.0, exercise.points, len(cases), tuple(failures), message)
    agree = "done" if len(cases) == 1 else f"all {len(cases)} cases agree"
    message = f"✓ {exercise.function}: {agree} ({points_of(exercise)})."
    return Report(exercise.name, "passed", float(exercise.points), exercise.points, len(cases), (), message)


def unknown(message: str) -> Report:
    """Return the report for something that is no exercise."""
    return Report(None, "unknown", 0.0, 0.0, 0, (), f"? {message}")


def name_of(function: Any) -> str | None:
    """Return the name that a function was defined under, or None for what is no function."""
    if not callable(function) or inspect.isclass(function):
        return None
    return getattr(function, "__name__", None)
