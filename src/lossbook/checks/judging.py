"""Compares what a student's function returned with what is right, and says in words what differs.

It sees data alone: the outcomes of calls, wherever they were made. No student's code runs here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Generator, Tensor

from lossbook.checks import patience, trial
from lossbook.checks.advice import advise
from lossbook.checks.exercise import Case, Curve, Exercise, Misconception, Score, number_in
from lossbook.checks.showing import LONG, show, show_call
from lossbook.checks.trial import LOST, MISSING, RAISED, RETURNED, STOPPED, UNWRITTEN, Other, Outcome

PASSED, FAILED, NOT_ATTEMPTED, UNKNOWN = "passed", "failed", "not attempted", "unknown"


@dataclass(frozen=True)
class Failure:
    """One case that a function got wrong.

    Args:
        call: The call, as text.
        note: What it was there to catch.
        reason: What happened, in words.
        printed: What the function printed.
        case: The call itself.

    """

    call: str
    note: str
    reason: str
    printed: str = ""
    case: Case | None = None


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
        score: The worst score of a passing answer to an open task.

    """

    exercise: str
    state: str
    points: float
    out_of: float
    cases: int
    failures: tuple[Failure, ...] = ()
    misconception: Misconception | None = None
    score: float | None = None


@dataclass(frozen=True)
class Call:
    """One call to make: its case, and what to note beside the value.

    Args:
        case: The case.
        gradient: The argument, from 1, to which the gradient is taken; 0 for none.
        count: Whether steps are counted.
        cache: How many numbers can be at hand, where it is watched what is read; 0 for no watching.

    """

    case: Case
    gradient: int = 0
    count: bool = False
    cache: int = 0


@lru_cache(maxsize=256)
def calls(exercise: Exercise, seed: int) -> tuple[Call, ...]:
    """Return the calls that decide about an exercise: its cases, and where steps count, a call at each size."""
    generator = Generator().manual_seed(seed)
    found = [Call(case, gradient=case.slope if exercise.gradient else 0) for case in exercise.cases(generator)]
    if exercise.work is not None:
        work = exercise.work
        watched = {work.sizes[-1]: work.cache}
        found += [Call(work.case(generator, n), count=True, cache=watched.get(n, 0)) for n in work.sizes]
    return tuple(found)


def attempts(function: Any, exercise: Exercise, wanted: Sequence[Call], forbidden: frozenset[str]) -> Iterator[Outcome]:
    """Make the calls in this process, each when it is asked for; none after one that was stopped."""
    last = None
    for call in wanted:
        if last is None or last.state != STOPPED:
            last = trial.attempt(
                function,
                call.case.args,
                call.case.kwargs,
                gradient=call.gradient,
                forbidden=forbidden,
                count=call.count,
                cache=call.cache,
                limit=patience.limit,
            )
        yield last


def try_out(function: Any, exercise: Exercise, wanted: Sequence[Call], forbidden: frozenset[str]) -> list[Outcome]:
    """Make the calls in this process, for functions that may be trusted with it; none after one that was stopped."""
    return list(attempts(function, exercise, wanted, forbidden))


class Mistaken:
    """The outcomes of a wrong function, each computed when it is first looked at: the first often tells enough."""

    def __init__(self, made: Iterator[Outcome]) -> None:
        """Take the outcomes from ``made`` as they are needed."""
        self._made, self._found = made, list[Outcome]()

    def __iter__(self) -> Iterator[Outcome]:
        """Yield the outcomes in order."""
        for index in itertools.count():
            if index == len(self._found):
                self._found.extend(itertools.islice(self._made, 1))
            if index == len(self._found):
                return
            yield self._found[index]


@lru_cache(maxsize=256)
def expected(exercise: Exercise, seed: int) -> tuple[Outcome, ...]:
    """Return the right outcomes of the calls of an exercise."""
    right = try_out(exercise.reference, exercise, calls(exercise, seed), frozenset())
    for outcome in right:
        if outcome.state != RETURNED:
            raise AssertionError(f"the reference of {exercise.name} {outcome.error or outcome.state}")
    return tuple(right)


@lru_cache(maxsize=1024)
def mistaken(exercise: Exercise, misconception: Misconception, seed: int) -> Mistaken:
    """Return the outcomes of one wrong function."""
    return Mistaken(attempts(misconception.wrong, exercise, calls(exercise, seed), frozenset()))


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


def shapes(value: Any) -> str:
    """Return a list of numbers and tensors in words: their shapes, where they have any."""
    items = [item for item in value if isinstance(item, Tensor)] if isinstance(value, (list, tuple)) else []
    if not items or len(items) < len(value):
        return show(value)
    return f"{len(items)} tensors of the shapes " + ", ".join(str(tuple(item.shape)) for item in items)


def _of_another_shape(got: Any, right: Any) -> str | None:
    """Say in what a result is no tensor of the right shape; None where it is one, or stands for one."""
    if got is None:
        return "got None: does every way through the function end with return?"
    if isinstance(got, Other) and isinstance(right, Tensor) and got.what.startswith(("a list of", "a tuple of")):
        return f"got {got.what}; return a tensor, made by PyTorch's operations"
    if isinstance(got, Other):
        return f"got {got.what}, expected {show(right)}"
    expected_tensor, mine = as_tensor(right), as_tensor(got)
    assert expected_tensor is not None, "a reference returns numbers"
    if mine is None:
        return f"got {shapes(got)}, expected {shapes(right)}"
    if mine.shape != expected_tensor.shape:
        wanted = "(), one number" if expected_tensor.ndim == 0 else tuple(expected_tensor.shape)
        return f"got shape {tuple(mine.shape)}, expected shape {wanted}"
    return None


def scored(value: Any, score: Score, case: Case) -> float:
    """Return the score of a result of the right shape; infinity where it has none."""
    mine = as_tensor(value)
    assert mine is not None
    number = float("nan") if mine.is_complex() else float(score.of(mine.detach().cpu().float(), case.kept))
    return math.inf if math.isnan(number) else number


def _not_beaten(value: Any, score: Score, case: Case) -> str | None:
    """Say by how much a result misses the score to beat; None where it does not."""
    number = scored(value, score, case)
    if number < score.beat:
        return None
    return f"{score.what}: {number:.4f}\nto beat: {score.beat:.4f}"


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
    if said := _of_another_shape(got, right):
        return f"{label}{said}"
    expected_tensor, mine = as_tensor(right), as_tensor(got)
    assert expected_tensor is not None
    assert mine is not None
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


NUMBERS = frozenset(["int", "float", "float16", "float32", "float64", "ndarray"])
CALLED = {"ndarray": "a NumPy array", "int": "an int"}


def of_another_kind(got: str, wanted: str, right: Any, exercise: Exercise) -> str | None:
    """Say what is wrong with the kind of a result where a tensor is wanted, or tensors; None where nothing is.

    Args:
        got: What the student's function returned, as ``trial.kind_of`` says it.
        wanted: What the reference returned.
        right: The reference's result.
        exercise: Says where a number may stand for a tensor.

    """
    outer, _, inner = got.partition("[")
    several = wanted in ("tuple[Tensor]", "list[Tensor]")
    if not (wanted == "Tensor" or several) or got == "Tensor" or (several and inner == "Tensor]"):
        return None
    if exercise.number_too and got in NUMBERS:
        return None
    if several:
        inside = "" if not inner else f" of {inner.removesuffix(']')}"
        return f"got {CALLED.get(outer, f'a {outer}')}{inside}; return {len(right)} tensors, without `.item()` or NumPy"
    if outer in ("list", "tuple"):
        what = "a list" if outer == "list" else "a tuple"
        if set(inner.removesuffix("]").split(", ")) == {"Tensor"}:
            said = f"got {what} of tensors; return one tensor, of shape {tuple(right.shape)}"
            return said if right.ndim == 0 else f"{said}: `torch.stack` puts tensors together"
        return f"got {what}; return a tensor, made by PyTorch's operations"
    if got == "ndarray" or got in NUMBERS - {"int", "float"}:
        return f"got {CALLED.get(got, 'a NumPy number')}; return a tensor: stay with PyTorch's operations"
    made = " `.item()`, `float` and the functions of `math` make plain numbers" if got in ("int", "float") else ""
    return f"got {CALLED.get(got, f'a {got}')}; return a tensor, made by PyTorch's operations{made and ':' + made}"


NAN_SLOPE = (
    "A gradient of nan where the value is right often comes from a branch that `torch.where` leaves out: its slope is "
    "multiplied by 0, and 0 · ∞ is nan. Make the numbers harmless before the function that they go through."
)


def _nan_in(mine: Any, right: Any) -> bool:
    """Tell whether a gradient is nan where the right one is a number."""
    if not (isinstance(mine, Tensor) and isinstance(right, Tensor)) or mine.shape != right.shape:
        return False
    return bool((mine.isnan() & ~right.isnan()).any())


def _where(line: str) -> str:
    """Return the place of an error as it is told; a line inside another function says so itself."""
    return f"in {line}" if line and not line.startswith("in ") else line


def fault(outcome: Outcome, right: Outcome, exercise: Exercise, case: Case) -> tuple[str, str] | None:
    """Say what is wrong with the outcome of one call, in one word and in a text; None where nothing is."""
    if outcome.state != RETURNED:
        said = outcome.error or outcome.state
        parts = [said, _where(outcome.line), advise(said) if outcome.state == RAISED else ""]
        return outcome.state, "\n".join(part for part in parts if part)
    if exercise.judge is not None:
        said = exercise.judge(outcome.value) or ""
        return ("judged", said) if said else None
    if outcome.value is not None and not isinstance(outcome.value, Other):
        other = of_another_kind(outcome.kind, right.kind, right.value, exercise)
        if other:
            return "kind", other
    if exercise.score is not None:
        wrong = _of_another_shape(outcome.value, right.value) or _not_beaten(outcome.value, exercise.score, case)
    else:
        wrong = difference(outcome.value, right.value, exercise)
    if wrong:
        return "value", wrong
    if right.gradient is not None:
        if outcome.gradient is None:
            which = ("first", "second", "third")[case.slope - 1]
            return "slope", f"gradient: the result does not depend on the {which} argument through PyTorch operations"
        wrong = difference(outcome.gradient, right.gradient, exercise, "gradient")
        if wrong:
            return "slope", f"{wrong}\n{NAN_SLOPE}" if _nan_in(outcome.gradient, right.gradient) else wrong
    if outcome.changed:
        return "changed", changed(outcome.changed, exercise)
    return None


def changed(arguments: Sequence[str], exercise: Exercise) -> str:
    """Say that a call has changed some of its arguments."""
    parameters = exercise.parameters
    names = [
        parameters[int(each) - 1] if each.isdigit() and int(each) <= len(parameters) else each for each in arguments
    ]
    said = " and ".join(f"`{name}`" for name in names)
    return f"it changes {said}: leave the arguments as they are, for whoever called still needs them. Work on a copy"


def what_is_wrong(outcome: Outcome, right: Outcome, exercise: Exercise, case: Case) -> str | None:
    """Say what is wrong with the outcome of one call, or return None."""
    found = fault(outcome, right, exercise, case)
    return found[1] if found else None


def too_much_work(exercise: Exercise, outcomes: Sequence[Outcome]) -> tuple[str, str] | None:
    """Say what is wrong with the cost of the calls at the two sizes: in one word, and in a text; None where nothing is.

    Args:
        exercise: One that limits its work.
        outcomes: Those of the calls in which steps are counted.

    """
    work = exercise.work
    assert work is not None
    first, last = (outcome.work for outcome in outcomes)
    if first is None or last is None:
        return "steps", "the steps could not be counted"
    return next(_reading(exercise, outcomes[-1]), None) or _steps(exercise, first, last)


def _reading(exercise: Exercise, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Say what is wrong with what was read and made in the call of the larger size."""
    work = exercise.work
    assert work is not None
    if not work.cache or outcome.state != RETURNED:
        return
    if outcome.largest < 0 or len(outcome.fetched) < max(work.once, default=0):
        yield "outside", "it goes on in NumPy, where what is read cannot be seen: stay with PyTorch's operations"
        return
    case = work.case(Generator().manual_seed(0), work.sizes[1])
    for number in work.once:
        count, fetched = case.args[number - 1].numel(), outcome.fetched[number - 1]
        if fetched > 1.5 * count:
            name = exercise.parameters[number - 1]
            yield (
                "reads",
                f"`{name}` has {count:,} numbers here, and {fetched:,} are read: each is to be read once, and what is "
                "needed of it kept",
            )
    if work.largest is not None and outcome.largest > (most := work.largest(work.sizes[1])):
        yield (
            "largest",
            f"a tensor of {outcome.largest:,} numbers was made, and {most:,} are enough here: {work.table}",
        )


def _steps(exercise: Exercise, first: int, last: int) -> tuple[str, str] | None:
    """Say what is wrong with the numbers of steps at the two sizes, or return None."""
    work = exercise.work
    assert work is not None
    few, many = work.sizes
    counted = f"{first:,} steps for {few:,} {work.of}s and {last:,} for {many:,}"
    if work.vectorised and last > first + (many - few) // 10:
        said = f"the steps grow with the {work.of}s. Whole tensors at once take the same number at any size"
        return "steps", f"{counted}: {said}"
    if not work.vectorised and (first < few or last < many):
        said = "This answer is to add them up one at a time, in Python"
        if work.of != "element":
            said = f"This answer is to take one {work.of} after the other"
        return "steps", f"{counted}: fewer than one {'an' if work.of == 'element' else 'a'} {work.of}. {said}"
    return None


def kind(value: Any) -> str:
    """Return what sort of answer a value is, where any number of a sort is as wrong as another."""
    if isinstance(value, Other):
        return value.what.partition(",")[0]
    if isinstance(value, list):
        return f"list of {sorted({kind(item)[:3] for item in value})}"
    value = value if (number := number_in(value)) is None else number
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "nan" if value != value else f"{(value > 0) - (value < 0)} {abs(value) == float('inf')}"
    return type(value).__name__


def _equal_slopes(mine: Any, other: Any, exercise: Exercise, *, finite: bool) -> bool:
    """Tell whether two gradients are equal; ``finite`` leaves out where either is infinite or nan."""
    if mine is None or other is None:
        return mine is other
    if finite and isinstance(mine, Tensor) and isinstance(other, Tensor) and mine.shape == other.shape:
        both = mine.isfinite() & other.isfinite()
        mine, other = mine[both], other[both]
    return difference(mine, other, exercise) is None


def same(mine: Outcome, other: Outcome, exercise: Exercise, *, finite: bool = False) -> bool:
    """Tell whether two outcomes are the same: equal results, or errors of one kind.

    Args:
        mine: One outcome.
        other: The other.
        exercise: Gives the tolerances.
        finite: Whether gradients are compared only where they and the results are finite: a wrong formula that is
            written in two ways has other slopes where it breaks.

    """
    if mine.state != other.state:
        return False
    if mine.state != RETURNED:
        return mine.error.partition(":")[0] == other.error.partition(":")[0]
    if exercise.judge is not None:
        return kind(mine.value) == kind(other.value)
    broken = finite and isinstance(other.value, Tensor) and not bool(other.value.isfinite().all())
    if not broken and not _equal_slopes(mine.gradient, other.gradient, exercise, finite=finite):
        return False
    if other.value is None or isinstance(other.value, Other) or as_tensor(other.value) is None:
        return bool(type(mine.value) is type(other.value) and repr(mine.value) == repr(other.value))
    return difference(mine.value, other.value, exercise) is None


def faults(exercise: Exercise, seed: int, outcomes: Sequence[Outcome]) -> frozenset[str]:
    """Return of what sorts the faults of a function are; its cost counts where nothing else is wrong.

    What is read and made comes before the number of steps, which then says no more.
    """
    right = expected(exercise, seed)
    pairs = zip(calls(exercise, seed), outcomes, right, strict=True)
    found = [fault(outcome, answer, exercise, call.case) for call, outcome, answer in pairs]
    if not any(found) and exercise.work is not None:
        found = [*_reading(exercise, outcomes[-1])] or [too_much_work(exercise, outcomes[-2:])]
    return frozenset(item[0] for item in found if item)


UNSEEN = frozenset(["kind", "slope", "changed", "steps", "reads", "largest", "outside"])  # the numbers are right
READ = frozenset(["reads", "largest"])  # who makes the whole table may have read everything twice as well


def named_misconception(exercise: Exercise, seed: int, outcomes: Sequence[Outcome]) -> Misconception | None:
    """Return the misconception that a function equals on every case, or None.

    Where the numbers are right, it must have the misconception's own fault; and where that says what was called, it
    must have called it. Where they are wrong, one that differs in gradients alone, where these are not finite, will do.
    """
    if exercise.score is not None:
        return _by_its_sign(exercise, seed, outcomes)
    return _named(exercise, seed, outcomes, finite=False) or _named(exercise, seed, outcomes, finite=True)


def _by_its_sign(exercise: Exercise, seed: int, outcomes: Sequence[Outcome]) -> Misconception | None:
    """Return the first misconception whose sign every result bears, or None."""
    pairs = list(zip(outcomes, expected(exercise, seed), strict=True))
    if any(mine.state != RETURNED or _of_another_shape(mine.value, right.value) for mine, right in pairs):
        return None
    if faults(exercise, seed, outcomes) <= UNSEEN:  # the score is beaten
        return None
    values = [
        (as_tensor(mine.value), call.case.kept) for (mine, _), call in zip(pairs, calls(exercise, seed), strict=True)
    ]
    for misconception in exercise.misconceptions:
        sign = misconception.sign
        if sign is not None and all(value is not None and sign(value, kept) for value, kept in values):
            return misconception
    return None


def _named(exercise: Exercise, seed: int, outcomes: Sequence[Outcome], *, finite: bool) -> Misconception | None:
    mine = None
    for misconception in exercise.misconceptions:
        theirs = mistaken(exercise, misconception, seed)
        if not all(same(one, other, exercise, finite=finite) for one, other in zip(outcomes, theirs, strict=True)):
            continue
        if exercise.judge is not None:
            return misconception
        seen = frozenset(outcomes[-1].seen)
        if (misconception.calls and not misconception.calls & seen) or misconception.never & seen:
            continue
        wrong = faults(exercise, seed, list(theirs))
        mine = faults(exercise, seed, outcomes) if mine is None else mine
        if wrong <= UNSEEN:
            if finite:
                continue
            if mine == wrong or (wrong & READ and wrong <= mine):
                return misconception
        elif exercise.work is None or _vectorised(exercise, outcomes) == _vectorised(exercise, list(theirs)):
            return misconception
    return None


def _vectorised(exercise: Exercise, outcomes: Sequence[Outcome]) -> bool:
    first, last = (outcome.work for outcome in outcomes[-2:])
    return first is None or last is None or _steps(exercise, first, last) is None


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

    def failed(call: Call, outcome: Outcome, reason: str, note: str = "") -> None:
        shown = show_call(exercise.function, call.case.args, call.case.kwargs)
        failures.append(Failure(shown, note or call.case.note, reason, outcome.printed, call.case))

    for call, outcome, answer in zip(wanted, outcomes, right, strict=True):
        if call.count and failures:
            break
        reason = what_is_wrong(outcome, answer, exercise, call.case)
        if reason:
            failed(call, outcome, reason)
        if outcome.state == STOPPED:
            break
    if not failures and exercise.work is not None:
        excess = too_much_work(exercise, outcomes[plain:])
        if excess:
            note = "steps are counted, at two sizes" if excess[0] == "steps" else "what is read and made is counted"
            failed(wanted[-1], outcomes[-1], excess[1], note)
    if not failures:
        score = exercise.score
        pairs = zip(wanted, outcomes, strict=True)
        most = max(scored(outcome.value, score, call.case) for call, outcome in pairs) if score else None
        return Verdict(exercise.name, PASSED, float(exercise.points), exercise.points, cases, score=most)
    misconception = None
    if not any(outcome.state in (LOST, STOPPED) for outcome in outcomes):
        misconception = named_misconception(exercise, seed, outcomes)
    return Verdict(exercise.name, FAILED, 0.0, exercise.points, cases, tuple(failures), misconception)


def apart(failures: Sequence[Failure]) -> list[tuple[Failure, int]]:
    """Return failures without those that say the same of another call, and how often each is said again."""
    first: dict[str, Failure] = {}
    for failure in failures:
        first.setdefault(failure.reason, failure)
    reasons = [failure.reason for failure in failures]
    return [(failure, reasons.count(reason) - 1) for reason, failure in first.items()]


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


@lru_cache(maxsize=256)
def right_heights(exercise: Exercise) -> tuple[float | None, ...]:
    """Return the heights of an exercise's curve where the answer is right."""
    assert exercise.curve is not None
    answers = try_out(exercise.reference, exercise, curve_calls(exercise.curve), frozenset())
    return tuple(height(outcome) for outcome in answers)


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
    right = right_heights(exercise)
    if all(
        y == other or (y and other and abs(y - other) <= 1e-3 * abs(other))
        for y, other in zip(mine, right, strict=True)
    ):
        return None  # what is wrong does not show: the number of steps, say
    return Drawing(curve.xlabel, curve.ylabel, curve.x, mine, right)
