"""``check(function)``: what a student sees of the judgement, as text and in a notebook."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lossbook.exercises import judging
from lossbook.exercises.core import Exercise
from lossbook.exercises.judging import FAILED, NOT_ATTEMPTED, PASSED, UNKNOWN, Drawing, Failure, Verdict
from lossbook.exercises.showing import picture

SEED = 20
SHOWN_FAILURES = 2
_asked: dict[str, int] = {}  # hints asked for so far, by exercise


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
        misconception: What went wrong, in a few words, where the function equals a known wrong one on every case.
        advice: What would help with that.
        hints: The ladder that ``hint()`` climbs.
        drawing: The student's curve and the right one.

    """

    exercise: str | None
    state: str
    points: float
    out_of: float
    cases: int
    failures: tuple[Failure, ...]
    message: str
    misconception: str | None = None
    advice: str = ""
    hints: tuple[str, ...] = ()
    drawing: Drawing | None = None

    @property
    def passed(self) -> bool:
        """Whether every case agrees."""
        return self.state == PASSED

    def hint(self) -> Hint:
        """Return the next hint: each call climbs one step of the ladder, and after the last it begins again."""
        name = (self.exercise or "").partition(".")[2]
        if not self.hints:
            return Hint("There is no hint for this one." if name else "There is no exercise to hint at.", "")
        step = _asked.get(name, 0) % len(self.hints)
        _asked[name] = step + 1
        return Hint(self.hints[step], f"Hint {step + 1} of {len(self.hints)}")

    def _footer(self) -> str:
        name = (self.exercise or "").partition(".")[2]
        return f"check({name}).hint() gives the next hint." if self.hints and self.state == FAILED else ""

    def __repr__(self) -> str:
        lines = [self.message]
        if self.misconception:
            lines += ["", f"  It looks like: {self.misconception}.", f"  {self.advice}"]
        for failure in self.failures[:SHOWN_FAILURES]:
            lines += ["", f"  {failure.call}" + (f"    # {failure.note}" if failure.note else "")]
            lines += [f"    {line}" for line in failure.reason.splitlines()]
        hidden = len(self.failures) - SHOWN_FAILURES
        if hidden > 0:
            lines += ["", f"  … and {hidden} more."]
        if self._footer():
            lines += ["", f"  {self._footer()}"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        quoted = html.escape
        if self.state != FAILED:
            return f'<pre class="lossbook-check">{quoted(repr(self))}</pre>'
        parts = [f'<div class="lossbook-check"><p><strong>{quoted(self.message)}</strong></p>']
        if self.misconception:
            code = re.sub(r"`([^`]+)`", r"<code>\1</code>", quoted(self.advice))
            parts.append(
                '<p style="border-left:3px solid #d55e00;padding-left:.7em">'
                f"It looks like: <strong>{quoted(self.misconception)}</strong>.<br>{code}</p>"
            )
        for failure in self.failures[:SHOWN_FAILURES]:
            note = f'\n<span style="opacity:.7">{quoted(failure.note)}</span>' if failure.note else ""
            parts.append(
                '<pre style="white-space:pre-wrap;margin-bottom:1em">'
                f"{quoted(failure.call)}{note}\n{quoted(failure.reason)}</pre>"
            )
        hidden = len(self.failures) - SHOWN_FAILURES
        if hidden > 0:
            parts.append(f"<p>… and {hidden} more.</p>")
        if self.drawing is not None:
            drawn = self.drawing
            parts.append(picture(drawn.x, drawn.mine, drawn.right, drawn.xlabel, drawn.ylabel))
        if self._footer():
            parts.append(f"<p><small>{quoted(self._footer())}</small></p>")
        return "".join([*parts, "</div>"])


@dataclass(frozen=True)
class Hint:
    """One hint: mathematics is typeset in a notebook."""

    text: str
    title: str

    def __repr__(self) -> str:
        return f"{self.title}: {self.text}" if self.title else self.text

    def _repr_markdown_(self) -> str:
        return f"**{self.title}.** {self.text}" if self.title else self.text


def points_of(exercise: Exercise) -> str:
    """Return the exercise's points in words."""
    return "1 point" if exercise.points == 1 else f"{exercise.points} points"


def message(exercise: Exercise, verdict: Verdict) -> str:
    """Return a verdict in one line."""
    name = exercise.function
    if verdict.state == NOT_ATTEMPTED:
        return f"○ {name}: not attempted yet ({points_of(exercise)})."
    if verdict.state == PASSED:
        agree = "done" if verdict.cases == 1 else f"all {verdict.cases} cases agree"
        return f"✓ {name}: {agree} ({points_of(exercise)})."
    wrong = len(verdict.failures)
    verb = "differs" if wrong == 1 else "differ"
    return f"✗ {name}: " + ("the case differs." if verdict.cases == 1 else f"{wrong} of {verdict.cases} cases {verb}.")


def borrowed(function: Any) -> str | None:
    """Return the course's own reference that a function names, or None."""
    code = getattr(function, "__code__", None)
    scope = getattr(function, "__globals__", {})
    for name in getattr(code, "co_names", ()):
        if str(getattr(scope.get(name), "__module__", "")).startswith("lossbook.losses"):
            return str(name)
    return None


def run(function: Callable[..., Any], exercise: Exercise, seed: int = SEED) -> Report:
    """Compare a function with an exercise's reference on all its cases. Never raises on a student's mistake."""
    forbidden = exercise.barred
    outcomes = judging.try_out(function, exercise, judging.calls(exercise, seed), forbidden)
    verdict = judging.judge(exercise, seed, outcomes)
    reference = borrowed(function)
    if reference and verdict.state == PASSED:
        reason = f"{reference} is the course's own answer; this exercise asks you to write it"
        failure = Failure(f"{exercise.function}(…)", "", reason)
        said = f"✗ {exercise.function}: the answer is borrowed."
        return Report(exercise.name, FAILED, 0.0, exercise.points, verdict.cases, (failure,), said)
    misconception, drawn = verdict.misconception, None
    if verdict.state == FAILED and exercise.curve is not None:
        heights = judging.try_out(function, exercise, judging.curve_calls(exercise.curve), forbidden)
        drawn = judging.drawing(exercise, heights)
    return Report(
        exercise.name,
        verdict.state,
        verdict.points,
        verdict.out_of,
        verdict.cases,
        verdict.failures,
        message(exercise, verdict),
        misconception.name if misconception else None,
        misconception.advice if misconception else "",
        exercise.hints,
        drawn,
    )


def unknown(message: str) -> Report:
    """Return the report for something that is no exercise."""
    return Report(None, UNKNOWN, 0.0, 0.0, 0, (), f"? {message}")


def name_of(function: Any) -> str | None:
    """Return the name that a function was defined under, or None for what is no function."""
    try:
        if not callable(function) or inspect.isclass(function):
            return None
        name = getattr(function, "__name__", None)
    except Exception:  # an object of the student's own
        return None
    return name if isinstance(name, str) else None
