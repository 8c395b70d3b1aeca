"""Two exercises and a `check`, as small as the release allows: what the real ones look like from a lesson."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    name: str


@dataclass(frozen=True)
class Exercise:
    points: int
    reference: Callable[[float], float]
    hints: tuple[str, ...] = ()
    folded: int | None = None
    parameters: tuple[str, ...] = ("x",)
    predictions: tuple[Prediction, ...] = ()


EXERCISES = {
    "double": Exercise(2, lambda x: 2 * x, ("Add $x$ to itself.",), folded=0),
    "half": Exercise(1, lambda x: x / 2, predictions=(Prediction("at_four"), Prediction("sign"))),
    "square": Exercise(3, lambda x: x * x, ("Which product is $x^2$?", "`x * x`", "Not in the lesson."), folded=2),
}


@dataclass(frozen=True)
class Report:
    points: float
    message: str

    def __repr__(self) -> str:
        return self.message


def check(function: Callable[[float], float]) -> Report:
    name = function.__name__
    exercise = EXERCISES[name]
    try:
        passed = all(function(x) == exercise.reference(x) for x in (0.0, -1.5, 3.0))
    except NotImplementedError:
        return Report(0.0, f"○ {name}: not attempted yet.")
    return Report(float(exercise.points) if passed else 0.0, f"{'✓' if passed else '✗'} {name}")
