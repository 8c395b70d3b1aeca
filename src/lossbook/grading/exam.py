"""What is asked of a submission of one lesson, and the judgement of what comes back. No student's code runs here."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import Any

from torch import Tensor

from lossbook.checks import judging
from lossbook.checks.exercise import Exercise
from lossbook.checks.judging import FAILED, Call, Verdict
from lossbook.checks.report import same_again
from lossbook.checks.trial import LOST, Outcome
from lossbook.exercises import exercises
from lossbook.grading.keep.records import Mark
from lossbook.grading.read.handed_out import Release, ReleaseError
from lossbook.grading.run.sandbox.wire import Room, pack
from lossbook.grading.run.supervisor import Questions


class Exam:
    """One lesson's exercises with the cases that a seed draws, ready to be sent and to be judged."""

    def __init__(self, release: Release, seed: int) -> None:
        """Draw the cases and compute what is right.

        Args:
            release: The lesson as it was handed out.
            seed: What the random cases are drawn from.

        Raises:
            ReleaseError: The lesson asks for a function that no exercise declares.

        """
        self.seed, self.lesson = seed, release.lesson
        known = exercises()
        for name in release.functions:
            if name not in known:
                raise ReleaseError(f"lesson {release.lesson} asks for {name!r}, which no exercise declares")
        self.exercises = {name: known[name] for name in release.functions}
        self.setup = release.setup
        self.out_of = float(sum(exercise.points for exercise in self.exercises.values()))
        self.allowed = frozenset[str]().union(*(exercise.allowed for exercise in self.exercises.values()))
        self.questions = [self._questions(exercise) for exercise in self.exercises.values()]

    def prepare(self) -> None:
        """Compute what known mistakes give, once for all: no submission is to pay for it."""
        for exercise in self.exercises.values():
            for misconception in exercise.misconceptions:
                list(judging.mistaken(exercise, misconception, self.seed))  # each is computed when it is looked at

    def _questions(self, exercise: Exercise) -> Questions:
        right = judging.expected(exercise, self.seed)
        return self._packed(exercise, judging.calls(exercise, self.seed), right)

    def _packed(self, exercise: Exercise, calls: Sequence[Call], right: Sequence[Outcome] = ()) -> Questions:
        sizes = [size_of(call, answer) for call, answer in zip_longest(calls, right)]
        # PyTorch's losses are taken away as such; what is watched for call by call is the rest.
        watched = exercise.forbidden | (self.allowed - exercise.allowed if exercise.allowed else frozenset())
        asked = [
            [
                size,
                [
                    exercise.function,
                    list(call.case.args),
                    dict(call.case.kwargs),
                    call.gradient,
                    sorted(watched),
                    call.count,
                    call.cache,
                ],
            ]
            for call, size in zip(calls, sizes, strict=True)
        ]
        rooms = tuple(map(Room, sizes))
        return Questions(exercise.function, pack(asked), rooms, exercise.allowed, exercise.forbidden)

    def cells(self, cells: Iterable[tuple[int, str]]) -> dict[int, str]:
        """Return what is run of a submission: the release's imports, as cells 0, −1, …, then the student's cells."""
        opening = {-place: source for place, source in enumerate(self.setup)}
        return {**opening, **dict(cells)}

    def sitting(self) -> Sitting:
        """Return what notes the judgement of one submission."""
        return Sitting(self)


def size_of(call: Call, right: Outcome | None) -> int:
    """Return how many numbers the largest argument or right result of a call holds, rounded up to a power of two."""
    values = [*call.case.args, *call.case.kwargs.values(), *((right.value,) if right else ())]
    return 1 << (max(map(_numbers, values), default=1) - 1).bit_length()


def _numbers(value: Any) -> int:
    if isinstance(value, Tensor):
        return max(1, value.numel())
    return max(1, *map(_numbers, value), len(value)) if isinstance(value, (list, tuple)) and value else 1


class Sitting:
    """The judgement of one submission, as its outcomes come in."""

    def __init__(self, exam: Exam) -> None:
        self.exam = exam
        self.verdicts: dict[str, Verdict] = {}
        self.lost: set[str] = set()

    def judged(self, function: str, outcomes: list[Outcome]) -> Questions | None:
        """Judge a function; return the questions of its curve where a picture would help."""
        exercise = self.exam.exercises[function]
        verdict = judging.judge(exercise, self.exam.seed, outcomes)
        self.verdicts[function] = verdict
        if any(outcome.state == LOST for outcome in outcomes):
            self.lost.add(function)
        elif verdict.state == FAILED and exercise.curve is not None:
            return self.exam._packed(exercise, judging.curve_calls(exercise.curve))
        return None

    def marks(self, curves: dict[str, list[Outcome]]) -> tuple[Mark, ...]:
        """Return a mark for each exercise, in the lesson's order."""
        return tuple(self._mark(name, curves.get(name, [])) for name in self.exam.exercises)

    def _mark(self, name: str, curve: list[Outcome]) -> Mark:
        exercise, verdict = self.exam.exercises[name], self.verdicts.get(name)
        if verdict is None:
            return Mark(name, "not attempted", 0.0, exercise.points, 0)
        drawing = judging.drawing(exercise, curve) if curve else None
        misconception, told = verdict.misconception, judging.apart(verdict.failures)
        return Mark(
            name,
            "lost" if name in self.lost else verdict.state,
            verdict.points,
            verdict.out_of,
            verdict.cases,
            tuple((failure.call, failure.note, _said(failure.reason, more)) for failure, more in told[:3]),
            len(verdict.failures),
            misconception.name if misconception else "",
            misconception.advice if misconception else "",
            exercise.hints[0] if verdict.state == FAILED and exercise.hints else "",
            dataclasses.asdict(drawing) if drawing else None,
        )


def _said(reason: str, more: int) -> str:
    return f"{reason}\n{same_again(more)}" if more else reason


def remarks(seen: Iterable[tuple[int, str]], own: Collection[int]) -> tuple[str, ...]:
    """Return what the teacher may want to look at, in words, and the cells it stands in.

    Args:
        seen: What the sandbox saw: the number of a cell, 0 where it is unknown, and what.
        own: The numbers of the cells that the student wrote. What was handed out is none of theirs.

    """
    found: dict[str, list[int]] = {}
    for number, what in seen:
        if number == 0 or number in own:
            found.setdefault(what, []).append(number)
    return tuple(f"{_cells([number for number in where if number])} {what}" for what, where in found.items())


def _cells(numbers: Sequence[int]) -> str:
    if not numbers:
        return "while it ran, it"
    return f"cell{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:5]))}"
