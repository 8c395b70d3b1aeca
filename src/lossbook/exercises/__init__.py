"""What the lessons ask, and ``check``, which tells a student how close the answer is.

There is a module for each chapter, and a section in it for each exercise: its cases, what people write wrong where that
needs more than a line, and the ``Exercise``. Whatever ``Exercise`` stands at the top of a module is asked for; there is
no list of them. ``bce`` is the model.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from lossbook.checks import predictions, report, showing
from lossbook.checks.exercise import Case, Exercise
from lossbook.checks.predictions import Kept
from lossbook.checks.report import Report
from lossbook.checks.trial import course_defaults

__all__ = ["Case", "Exercise", "Report", "check", "exercise", "exercises", "predict", "ready"]


@cache
def exercises() -> dict[str, Exercise]:
    """Return every exercise of the course by the name of the function that it asks for."""
    found: dict[str, Exercise] = {}
    with course_defaults():  # these modules hold tensors
        modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    for module in modules:
        for item in (value for value in vars(module).values() if isinstance(value, Exercise)):
            if item.slug != module.__name__.rpartition(".")[2]:
                raise ValueError(f"exercise {item.name!r} is declared in {module.__name__}; its name must say so")
            if item.function in found:
                raise ValueError(f"function {item.function!r} is asked for twice; names must differ across lessons")
            found[item.function] = item
    return found


def exercise(function: str) -> Exercise:
    """Return the exercise that asks for the function of this name.

    Raises:
        KeyError: No exercise asks for it.

    """
    try:
        return exercises()[function]
    except KeyError:
        raise KeyError(f"function is {function!r}; it must be one of {', '.join(sorted(exercises()))}") from None


def check(function: Any) -> Report:
    """Compare a student's function with the reference, and report. Never raises on a student's mistake.

    The exercise is found by the function's name. The report is readable as text; ``report.points`` is what it has won
    and ``report.passed`` says whether every case agrees; ``report.case(0)`` gives the arguments of the first case that
    failed. It runs under PyTorch's own defaults, float32 on the CPU, whatever has been set.

    Args:
        function: The function that the exercise asks for, under the name that the exercise gave it.

    """
    name = report.name_of(function)
    if name is None:
        return report.unknown(f"check takes a function, as in check(sigmoid); it was given {showing.show(function)}.")
    if name == "<lambda>":
        return report.unknown(
            "a lambda has no name to find its exercise by; write the function with `def`, under the lesson's name."
        )
    if name not in exercises():
        return report.unknown(f"no exercise asks for a function called {name!r}; keep the name that the lesson gives.")
    try:
        with course_defaults():
            return report.run(function, exercise(name), others=exercises())
    except KeyboardInterrupt:
        return report.interrupted(exercise(name))


def predict(function: str, **said: Any) -> Kept:
    """Keep what you expect before you try: ``check`` shows it against the truth when your function passes.

    Args:
        function: The name of the function that the exercise asks for.
        said: An answer to each question, under the name that the lesson gives it; None while it is open.

    """
    if not isinstance(function, str) or function not in exercises():
        return Kept(f"? no exercise asks for a function called {showing.show(function)}; keep the name in this cell.")
    with course_defaults():
        return predictions.keep(exercise(function), said)


def ready(*functions: Any) -> bool:
    """Return whether every function passes its check; where one does not, print one line that names it.

    A picture that needs a student's function begins with ``if ready(function):``, so a fresh lesson runs to the end.
    """
    for function in functions:
        if not check(function).passed:
            print(f"This part appears when check({report.name_of(function)}) passes.")
            return False
    return True
