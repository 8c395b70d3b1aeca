"""``check(function)``: what a student sees of the judgement, as text and in a notebook."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, NamedTuple

from lossbook.checks import judging, predictions
from lossbook.checks.exercise import Exercise
from lossbook.checks.judging import FAILED, NOT_ATTEMPTED, PASSED, UNKNOWN, Drawing, Failure, Verdict
from lossbook.checks.showing import picture
from lossbook.checks.trial import STOPPED, fresh

SEED = 20
SHOWN_FAILURES = 2
_asked: dict[str, int] = {}  # hints asked for so far, by exercise


class Arguments(NamedTuple):
    """The arguments of one call: ``f(*args, **kwargs)``."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


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
        note: What else is to be said, in one line.
        told: What was predicted, beside the truth, a line each.

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
    note: str = ""
    told: tuple[str, ...] = ()

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

    def case(self, number: int = 0) -> Arguments:
        """Return the arguments of a case that failed, as fresh copies, to be tried by hand: ``args, kwargs``.

        Args:
            number: Which of the cases that failed, from 0, in the order of ``failures``.

        Raises:
            TypeError: ``number`` is no integer.
            IndexError: So many cases did not fail.

        """
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"number is {number!r}; it must be an integer: 0 for the first case that failed")
        cases = [failure.case for failure in self.failures if failure.case is not None]
        if not cases:
            raise IndexError(f"number is {number}; there is no case to return, since none failed with arguments")
        if not 0 <= number < len(cases):
            raise IndexError(f"number is {number}; it must be 0 to {len(cases) - 1}, for {len(cases)} failed")
        chosen = cases[number]
        return Arguments(fresh(chosen.args), {key: fresh(value) for key, value in chosen.kwargs.items()})

    def _shown(self) -> Iterator[tuple[Failure, int]]:
        """Yield the failures to show, each with the number of others that say the same."""
        if not any(failure.reason.startswith(ALONE) for failure in self.failures[-1:]):
            yield from judging.apart(self.failures)[:SHOWN_FAILURES]

    def _hidden(self) -> int:
        if self.failures and not list(self._shown()):
            return 0
        return len(self.failures) - sum(1 + more for _, more in self._shown())

    def _footer(self) -> str:
        name = (self.exercise or "").partition(".")[2]
        return f"check({name}).hint() gives the next hint." if self.hints and self.state == FAILED else ""

    def __repr__(self) -> str:
        lines = [self.message, *(f"  {line}" for line in self.told)]
        if self.note:
            lines += ["", f"  {self.note}"]
        if self.misconception:
            lines += ["", f"  It looks like: {self.misconception}.", f"  {self.advice}"]
        for failure, more in self._shown():
            said = [failure.call + (f"    # {failure.note}" if failure.note else "")]
            said += [f"  {line}" for line in failure.reason.splitlines()]
            said += [f"  {same_again(more)}"] if more else []
            lines += ["", *(f"  {line}" for line in said)]
        if printed := self._printed():
            lines += ["", f"  {self._printer()} printed:", *(f"    {line}" for line in printed.splitlines())]
        if self._hidden() > 0:
            lines += ["", f"  … and {self._hidden()} more."]
        if self._footer():
            lines += ["", f"  {self._footer()}"]
        return "\n".join(lines)

    def _printed(self) -> str:
        chosen = self.failures[:1] if list(self._shown()) else self.failures[-1:]
        return next((failure.printed for failure in chosen), "")

    def _printer(self) -> str:
        return "The first of these calls" if list(self._shown()) else "It"

    def _repr_html_(self) -> str:
        quoted = html.escape
        if self.state != FAILED:
            wrapped = ' style="white-space:pre-wrap"' if self.told else ""
            return f'<pre class="lossbook-check"{wrapped}>{quoted(repr(self))}</pre>'
        parts = [f'<div class="lossbook-check"><p><strong>{quoted(self.message)}</strong></p>']
        if self.note:
            parts.append(f"<p>{_with_code(self.note)}</p>")
        if self.misconception:
            parts.append(
                '<p style="border-left:3px solid #d55e00;padding-left:.7em">'
                f"It looks like: <strong>{quoted(self.misconception)}</strong>.<br>{_with_code(self.advice)}</p>"
            )
        for failure, more in self._shown():
            note = f'\n<span style="opacity:.7">{quoted(failure.note)}</span>' if failure.note else ""
            again = f"\n{same_again(more)}" if more else ""
            parts.append(
                '<pre style="white-space:pre-wrap;margin-bottom:1em">'
                f"{quoted(failure.call)}{note}\n{quoted(failure.reason)}{again}</pre>"
            )
        if printed := self._printed():
            style = "white-space:pre-wrap;border-left:3px solid #777;padding-left:.7em"
            parts.append(f'<p>{self._printer()} printed:</p><pre style="{style}">{quoted(printed)}</pre>')
        if self._hidden() > 0:
            parts.append(f"<p>… and {self._hidden()} more.</p>")
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


def _with_code(text: str) -> str:
    """Return a text as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def same_again(more: int) -> str:
    """Say that other cases failed in the same way."""
    return f"The same in {more} more case{'' if more == 1 else 's'}."


NOT_WRITTEN = ("it calls ", "written, but ")
ALONE = (*NOT_WRITTEN, "given up ", "stopped ")  # what says it all, and is to stand in the first line


def message(exercise: Exercise, verdict: Verdict) -> str:
    """Return a verdict in one line."""
    name = exercise.function
    if verdict.state == NOT_ATTEMPTED:
        return f"○ {name}: not attempted yet ({points_of(exercise)})."
    if verdict.state == PASSED:
        agree = "done" if verdict.cases == 1 else f"all {verdict.cases} cases agree"
        if exercise.score is not None:
            agree = f"{exercise.score.what} is {verdict.score:.4f}; to beat: {exercise.score.beat:.4f}"
        return f"✓ {name}: {agree} ({points_of(exercise)})."
    last = verdict.failures[-1]
    if last.reason.startswith(ALONE):
        said, _, line = last.reason.partition("\n")
        if last.reason.startswith(NOT_WRITTEN):
            return f"✗ {name}: {said}."
        place = line.removeprefix("in ") if line.startswith("in line") else line
        return f"✗ {name}: {said}, in {last.call}" + (f", {place}" if place else ".")
    if exercise.score is not None:
        return f"✗ {name}: the score to beat is not reached."
    wrong = len(verdict.failures)
    verb = "differs" if wrong == 1 else "differ"
    return f"✗ {name}: " + ("the case differs." if verdict.cases == 1 else f"{wrong} of {verdict.cases} cases {verb}.")


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def helper_that_fails(function: Any, others: Mapping[str, Exercise]) -> str:
    """Say which other exercise's function a function calls, where that fails its own check; empty where none does.

    Args:
        function: The function that failed.
        others: The other exercises, by the name of their function.

    """
    code, scope = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    for name in dict.fromkeys(_names_in(code)) if isinstance(code, CodeType) else ():
        called = scope.get(name)
        if name not in others or called is function or name_of(called) != name:
            continue
        other = others[name]
        outcomes = judging.try_out(called, other, judging.calls(other, SEED), other.barred)
        if judging.judge(other, SEED, outcomes).state == FAILED:
            return f"It calls `{name}`, which fails its own check: begin there, with `check({name})`."
    return ""


def run(
    function: Callable[..., Any], exercise: Exercise, seed: int = SEED, others: Mapping[str, Exercise] | None = None
) -> Report:
    """Compare a function with an exercise's reference on all its cases. Never raises on a student's mistake.

    Args:
        function: The function.
        exercise: The exercise.
        seed: What the random cases are drawn from.
        others: The exercises of the course by the name of their function, where the function is a student's: then what
            it calls of these is looked at too, and nothing of the course's own may do the work.

    """
    forbidden = exercise.barred
    outcomes = judging.try_out(function, exercise, judging.calls(exercise, seed), forbidden)
    verdict = judging.judge(exercise, seed, outcomes)
    borrowed = next((outcome.borrowed for outcome in outcomes if outcome.borrowed), "") if others is not None else ""
    if borrowed:
        reason = f"{borrowed} is the course's own answer; this exercise asks you to write it"
        failure = Failure(f"{exercise.function}(…)", "", reason)
        said = f"✗ {exercise.function}: the answer is borrowed."
        return Report(exercise.name, FAILED, 0.0, exercise.points, verdict.cases, (failure,), said)
    misconception, drawn, note = verdict.misconception, None, ""
    stopped = any(outcome.state == STOPPED for outcome in outcomes)
    alone = verdict.state == FAILED and verdict.failures[-1].reason.startswith(ALONE)
    if verdict.state == FAILED and exercise.curve is not None and not stopped and not alone:
        heights = judging.try_out(function, exercise, judging.curve_calls(exercise.curve), forbidden)
        drawn = judging.drawing(exercise, heights)
    if verdict.state == FAILED and others is not None and not stopped and not alone:
        note = helper_that_fails(function, others)
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
        note,
        predictions.told(exercise) if verdict.state == PASSED else (),
    )


def interrupted(exercise: Exercise) -> Report:
    """Return the report of a check that was interrupted outside the student's function."""
    said = f"✗ {exercise.function}: stopped by an interrupt before the check had ended."
    return Report(exercise.name, FAILED, 0.0, exercise.points, 0, (), said)


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
