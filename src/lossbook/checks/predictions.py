"""What a student says before trying: kept by ``predict``, and shown against the truth when the check passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossbook.checks.exercise import Exercise, Prediction, number_in
from lossbook.checks.showing import show
from lossbook.checks.trial import Other

_said: dict[str, dict[str, Any]] = {}  # by exercise; an answer that was not given is None


@dataclass(frozen=True)
class Kept:
    """What ``predict`` answers.

    Args:
        message: What is kept and what is still open, or what is wrong with an answer, in words.

    """

    message: str

    def __repr__(self) -> str:
        return self.message


def not_an_answer(prediction: Prediction, value: Any) -> str:
    """Say what keeps a value from being an answer; empty where nothing does."""
    if prediction.among:
        if isinstance(value, str) and value in prediction.among:
            return ""
        words = ", ".join(f'"{word}"' for word in prediction.among)
        return f"{prediction.name} is {_quoted(value)}; it must be one of {words}"
    number = number_in(value)
    if number is None or math.isnan(number):
        return f"{prediction.name} is {_quoted(value)}; it must be a number"
    return ""


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else show(value)


def keep(exercise: Exercise, said: Mapping[str, Any]) -> Kept:
    """Keep what a student says of an exercise, None for what is open. Never raises.

    Args:
        exercise: The exercise, which declares what is predicted.
        said: The answers, by the names of the predictions.

    """
    known = {prediction.name: prediction for prediction in exercise.predictions}
    wrong = [
        f"{name} is not asked here; what is asked is {', '.join(known) or 'nothing'}"
        for name in said
        if name not in known
    ]
    kept = {name: said.get(name) for name in known}
    for name, value in kept.items():
        if value is not None and (fault := not_an_answer(known[name], value)):
            wrong.append(fault)
            kept[name] = None
    _said[exercise.name] = kept
    if wrong:
        return Kept("? " + "\n? ".join(wrong) + ".")
    missing = [name for name, value in kept.items() if value is None]
    if not missing:
        return Kept(f"Kept: check({exercise.function}) shows it beside the truth when it passes.")
    return Kept(f"Not predicted yet: {', '.join(missing)}. Your answer goes in place of None.")


def told(exercise: Exercise) -> tuple[str, ...]:
    """Return, a line a prediction, what was said beside what is true, and why."""
    said = _said.get(exercise.name, {})
    return tuple(_line(prediction, said.get(prediction.name)) for prediction in exercise.predictions)


def right(prediction: Prediction, value: Any) -> bool:
    """Return whether an answer is right, within the prediction's tolerance where it is a number."""
    truth = prediction.truth()
    if prediction.among:
        return bool(value == truth)
    number = number_in(value)
    assert number is not None
    assert not isinstance(truth, str)
    return math.isclose(number, truth, rel_tol=prediction.rtol, abs_tol=prediction.atol)


def _line(prediction: Prediction, value: Any) -> str:
    truth = prediction.truth()
    shown = truth if isinstance(truth, str) else show(float(truth))
    why = f" {prediction.why}"
    if value is None or isinstance(value, Other):
        return f"Not predicted: {prediction.what} is {shown}.{why}"
    if right(prediction, value):
        return f"As you predicted, {prediction.what} is {shown}.{why}"
    yours = value if isinstance(value, str) else show(float(value))
    return f"You predicted {yours}, but {prediction.what} is {shown}.{why}"
