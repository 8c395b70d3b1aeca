"""What is kept of a grading run: its circumstances, a record for each submission, a mark for each exercise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# graded: all was run and judged. partial: something ended the run early or was lost; what was judged counts.
# timed out, killed: likewise, with that cause. unreadable: no notebook could be read; the reason says why.
# not attempted: readable, and no exercise attempted.
STATES = ("graded", "partial", "timed out", "killed", "unreadable", "not attempted")
MARK_STATES = ("passed", "failed", "not attempted", "lost")


class RecordsError(RuntimeError):
    """The book of grades cannot be used; the message says why and what to do."""


class BusyError(RecordsError):
    """Another program holds the book just now."""


@dataclass(frozen=True)
class Mark:
    """What is kept of one exercise of one submission.

    Args:
        function: The name of the function asked for.
        state: ``passed``, ``failed``, ``not attempted``, or ``lost``: the run ended before it could be judged.
        points: Points won.
        out_of: Points that a full answer is worth.
        cases: How many cases were tried.
        failures: The first cases that differ: call, note and reason of each. The book keeps three.
        wrong: How many cases differ.
        misconception: The known mistake that the function makes on every case, or empty.
        advice: What would help with it.
        hint: A hint of the exercise's ladder.
        drawing: A ``lossbook.checks.judging.Drawing`` as a dict, or None.

    """

    function: str
    state: str
    points: float
    out_of: float
    cases: int
    failures: tuple[tuple[str, str, str], ...] = ()
    wrong: int = 0
    misconception: str = ""
    advice: str = ""
    hint: str = ""
    drawing: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.state not in MARK_STATES:
            raise ValueError(f"state is {self.state!r}; it must be one of {', '.join(MARK_STATES)}")


@dataclass(frozen=True)
class Record:
    """What is kept of one submission.

    Args:
        key: What names the submission's file within the folder of submissions; unique in a run.
        student: Who handed it in.
        lesson: The lesson's slug; empty where it could not be told.
        attempt: Which attempt it is; the highest counts.
        late: Whether it was handed in late.
        sha256: The file's digest, which tells whether it has changed.
        state: One of ``STATES``.
        reason: Why it could not be graded, or not wholly; empty otherwise.
        points: Points won.
        out_of: Points that full answers are worth.
        seconds: How long running and judging took.
        isolation: What kept the student's code from the marks: ``namespaces`` or ``none``.
        marks: One for each exercise, in the lesson's order.
        cell_errors: Number and one-line error of each cell that raised.
        remarks: For the teacher's eyes alone.

    """

    key: str
    student: str
    lesson: str
    attempt: int
    late: bool
    sha256: str
    state: str
    reason: str
    points: float
    out_of: float
    seconds: float
    isolation: str
    marks: tuple[Mark, ...] = ()
    cell_errors: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state is {self.state!r}; it must be one of {', '.join(STATES)}")


@dataclass(frozen=True)
class Waiting:
    """A submission that was found and is not graded yet; the fields are those of ``Record``."""

    key: str
    student: str
    lesson: str = ""
    attempt: int = 0
    late: bool = False
    sha256: str = ""


@dataclass(frozen=True)
class Listed:
    """What a census says of a file.

    Args:
        key: The file, as in ``Record``.
        student: Whose it is.
        rank: Its place among its student's files in the same root, from 1, the higher the newer; 0 if it is not used.
        why: Why it is not used, or what its rank rests on.

    """

    key: str
    student: str
    rank: int
    why: str = ""


@dataclass(frozen=True)
class Standing:
    """What becomes of a file of a root: whether its record counts, and if not, why.

    Args:
        root: The folder or archive that it lies in.
        key: The file, as in ``Record``.
        student: Whose it is.
        lesson: The lesson that it answers; empty where it could not be told.
        standing: ``counts``, ``superseded``, ``not used``, or ``waiting`` to be graded.
        why: Why it does not count.
        elsewhere: Whether what counts in its place lies in another root.

    """

    root: str
    key: str
    student: str
    lesson: str
    standing: str
    why: str = ""
    elsewhere: bool = False


@dataclass(frozen=True)
class Run:
    """One grading run and its circumstances. Times are UTC, as ISO 8601; ``finished`` is None until it ends."""

    id: int
    started: str
    finished: str | None
    seed: int
    isolation: str
    lossbook: str
    torch: str
    python: str
    root: str
    lessons: tuple[str, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """A record as it is kept: with its run, and when it was saved (UTC, ISO 8601)."""

    record: Record
    run: Run
    saved: str
