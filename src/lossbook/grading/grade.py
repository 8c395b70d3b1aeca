"""Grades a folder of submissions: read → run → judge → record, for each; then the report."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from lossbook.exercises import exercises
from lossbook.grading.census import Census, Looked, take
from lossbook.grading.copies import copied, published
from lossbook.grading.exam import Exam, Sitting, remarks
from lossbook.grading.keep.database import PATIENCE
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import BusyError, Record, Run, Waiting
from lossbook.grading.read import finding, reading
from lossbook.grading.read.finding import Found, LayoutError
from lossbook.grading.read.handed_out import Release, ReleaseError, releases
from lossbook.grading.read.naming import printable
from lossbook.grading.read.reading import UnreadableError
from lossbook.grading.run.isolation import NAMESPACES, IsolationError, course
from lossbook.grading.run.supervisor import Limits, Worker, WorkerError
from lossbook.grading.run.supervisor import Run as Ran
from lossbook.grading.tell import report
from lossbook.grading.tell.wording import plain

Progress = Callable[[int, int, Record], None]


@dataclass(frozen=True)
class Options:
    """What to grade, and how.

    Args:
        submissions: A folder or a zip archive of submissions.
        out: The folder of the grades.
        lessons: The folder of the lessons as they were handed out.
        lesson: The lesson that all submissions answer; told from each one's content unless given.
        jobs: How many submissions run at once.
        limits: How long one may take.
        isolation: ``namespaces`` or ``none``.
        seed: What the random cases are drawn from; drawn afresh unless given.
        regrade: Whether to grade again what is graded already.
        layout: How it is told whose a file is; one of ``layouts.NAMES``.
        pattern: A regular expression that finds the student in a file's path, perhaps the lesson and the attempt.
        force: Whether to grade what makes no sense.

    """

    submissions: Path
    out: Path
    lessons: Path
    lesson: str | None = None
    jobs: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    limits: Limits = field(default_factory=Limits)
    isolation: str = NAMESPACES
    seed: int | None = None
    regrade: bool = False
    layout: str = "auto"
    pattern: str = ""
    force: bool = False


@dataclass
class Done:
    """What a command has done.

    Args:
        graded: How many submissions it graded.
        found: How many there are.
        continued: Whether it went on with a run that had been cut short.

    """

    graded: int
    found: int
    continued: bool


class Grader:
    """Grades one submission after another with one worker."""

    def __init__(self, options: Options, given: dict[str, Release], run: Run, worker: Worker) -> None:
        self.options, self.given, self.run, self.worker = options, given, run, worker
        self.exams: dict[str, Exam] = {}
        self.solutions: dict[str, dict[str, str]] = {}
        self.unsure: set[str] = set()  # the submissions on which others, or a busy machine, may have had an influence
        self.reader = ThreadPoolExecutor(1, "reader")

    async def aside(self, pool: ThreadPoolExecutor, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in a thread: what takes long there keeps no other submission from its turn."""
        return await asyncio.get_running_loop().run_in_executor(pool, function, *args)

    def exam(self, lesson: str) -> Exam:
        """Return what is asked of a lesson in this run."""
        if lesson not in self.exams:
            made = Exam(self.given[lesson], self.run.seed)
            made.prepare()
            self.exams[lesson] = made
        return self.exams[lesson]

    async def record_always(self, found: Found) -> Record:
        """Return the record of one submission, even where the grader itself fails on it: the others go on."""
        try:
            return await self.record(found)
        except (IsolationError, ReleaseError):
            raise
        except Exception as error:
            whose = Waiting(found.key, found.student, self.lesson_by_name(found), found.attempt, found.late)
            reason = f"the grader itself failed on it, which is a fault to report: {type(error).__name__}: {error}"
            return replace(unreadable(whose, reason, self.options.isolation), state="killed")

    async def record(self, found: Found) -> Record:
        """Return the record of one submission, whatever it is."""
        started = time.monotonic()
        whose = Waiting(found.key, found.student, self.lesson_by_name(found), found.attempt, found.late)
        blank = unreadable(whose, "", self.options.isolation)
        try:
            data = await self.aside(self.reader, found.read)
            blank = replace(blank, sha256=hashlib.sha256(data).hexdigest())
            known = self.options.lesson or found.lesson or None
            submission = await self.aside(self.reader, reading.read, data, self.given, found.name, known)
        except UnreadableError as error:
            out_of = (await self.aside(self.worker.judge, self.exam, blank.lesson)).out_of if blank.lesson else 0.0
            return replace(blank, reason=str(error), out_of=out_of, seconds=time.monotonic() - started)
        exam = await self.aside(self.worker.judge, self.exam, submission.lesson)
        cells = list(zip(submission.numbers, submission.cells, strict=True))
        answered = with_misplaced(await self.answer(exam, cells), submission.misplaced)
        if answered.pop("again"):
            self.unsure.add(found.key)
        return replace(blank, lesson=exam.lesson, out_of=exam.out_of, seconds=time.monotonic() - started, **answered)

    def lesson_by_name(self, found: Found) -> str:
        """Return the lesson that a submission is for, as far as this is known without reading it."""
        return lesson_by_name(found, self.options, self.given)

    async def answer(self, exam: Exam, cells: list[tuple[int, str]]) -> dict[str, Any]:
        """Run and judge a submission's cells; return the fields of its record."""
        sitting = exam.sitting()
        ran = await self.run_twice(exam, cells, sitting) if cells else Ran()
        marks = await self.aside(self.worker.judge, sitting.marks, ran.curves)
        own = {source for _, source in cells}.difference(self.given[exam.lesson].given.values())
        state, reason = ran.state or "graded", "; ".join(ran.reasons)
        if not ran.state and all(mark.state == "not attempted" for mark in marks):
            state = "not attempted"
            reason = "no function that is asked for was written" if own else "the notebook is as it was handed out"
        return {
            "state": state,
            "reason": reason,
            "points": sum(mark.points for mark in marks),
            "marks": marks,
            "cell_errors": tuple(ran.cell_errors.items()),
            "remarks": await self.aside(self.reader, self.remarks, exam, cells, own, ran),
            "again": ran.again,
        }

    def remarks(self, exam: Exam, cells: list[tuple[int, str]], own: set[str], ran: Ran) -> tuple[str, ...]:
        """Return what the teacher may want to look at: what was seen in the sandbox, and what was copied."""
        numbers = {number for number, source in cells if source in own}
        return (*remarks(ran.seen, numbers), *copied(own, exam.exercises, self.solution(exam.lesson)))

    def solution(self, lesson: str) -> dict[str, str]:
        """Return the answers of the published solution of a lesson."""
        if lesson not in self.solutions:
            self.solutions[lesson] = published(self.options.lessons, lesson)
        return self.solutions[lesson]

    async def run_twice(self, exam: Exam, cells: list[tuple[int, str]], sitting: Sitting) -> Ran:
        """Run a submission, and once more where the worker went down meanwhile, perhaps because of another one."""
        for _ in range(2):
            try:
                sitting.verdicts.clear()
                sitting.lost.clear()
                return await self.worker.run(exam.cells(cells), exam.questions, sitting.judged)
            except WorkerError as error:
                why = str(error)
                await self.worker.revive()
        return Ran(state="killed", reasons=[f"twice, {why}"], again=True)

    async def grade_all(self, book: Book, todo: Sequence[Found], progress: Progress) -> int:
        """Grade submissions, several at once, and keep a record of each; return how many.

        What was timed out, or ended by the machine, runs once more at the end, alone, before its record is kept.
        """
        waiting, done = iter(todo), 0
        again: list[tuple[Found, Record]] = []

        async def keep(record: Record) -> None:
            nonlocal done
            await saved(book, self.run, record)
            done += 1
            progress(done, len(todo), record)

        async def one_after_another() -> None:
            for found in waiting:
                record = await self.record_always(found)
                if found.key in self.unsure:
                    again.append((found, record))
                else:
                    await keep(record)

        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, self.options.jobs)):
                group.create_task(one_after_another())
        for found, first in again:  # each alone, now that no other runs: the same cases, from the same seed
            await keep(better_founded(first, await self.record_always(found)))
        self.reader.shutdown()
        self.run = book.finish(self.run)
        return done


def with_misplaced(answered: dict[str, Any], misplaced: Sequence[tuple[str, int, str]]) -> dict[str, Any]:
    """Return the fields of a record that say, to student and teacher, which functions stand where nothing is run."""
    if not misplaced:
        return answered
    said = [
        (
            number,
            f"your function {name} stands in this cell, which is a {kind}: nothing in it is run. Make it a code cell",
        )
        for name, number, kind in misplaced
    ]
    told = [
        f"cell {number} is a {kind}: {name}, which stands in it, was not graded" for name, number, kind in misplaced
    ]
    reason = answered["reason"]
    if answered["state"] == "not attempted":
        reason = "; ".join(
            f"your function {name} stands in cell {number}, which is a {kind}" for name, number, kind in misplaced
        )
    return {
        **answered,
        "reason": reason,
        "cell_errors": tuple(sorted([*answered["cell_errors"], *said])),
        "remarks": (*told, *answered["remarks"]),
    }


async def saved(book: Book, run: Run, record: Record) -> None:
    """Save a record; while another program holds the book, wait without keeping the other submissions waiting."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return book.save(run, record, wait=0)
        except BusyError:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.05)


def better_founded(first: Record, alone: Record) -> Record:
    """Return the record that counts: that of the run without neighbours, unless the grader itself failed in it."""
    judged = any(mark.state != "lost" for mark in alone.marks)
    return alone if judged or not first.marks else first


def unreadable(whose: Waiting, reason: str, isolation: str) -> Record:
    """Return the record of a submission that could not be read."""
    return Record(
        whose.key,
        whose.student,
        whose.lesson,
        whose.attempt,
        whose.late,
        sha256="",
        state="unreadable",
        reason=reason,
        points=0.0,
        out_of=0.0,
        seconds=0.0,
        isolation=isolation,
    )


async def grade(options: Options, progress: Progress, announce: Callable[[Census], None] = lambda census: None) -> Done:
    """Grade what is to be graded, and keep a record of each in ``out/grades.sqlite``.

    A run that was cut short is continued; what is graded already and has not changed is left alone.

    Args:
        options: What to grade, and how.
        progress: Called with how many are done, of how many, and the last record.
        announce: Called with what was found, before anything runs.

    Raises:
        NotFoundError: There are no submissions.
        LayoutError: It cannot be told whose the submissions are.
        ReleaseError: The lessons cannot be used.
        RecordsError: The book of grades cannot be used.
        IsolationError: Submissions cannot be shut in on this machine.

    """
    torch.set_num_threads(1)  # results are small: the cores are the submissions'
    given = releases(options.lessons)
    if options.lesson is not None and options.lesson not in given:
        raise ReleaseError(f"lesson is {options.lesson!r}; it must be one of {', '.join(given)}")
    census = counted(options, given)
    with Book(options.out) as book:
        census = told_apart(book, options, given, census)
        found = {item.key: item for item in census.found}
        digests = cache(lambda: {key: digest(item) for key, item in found.items()})
        if place := book.follow(options.submissions, digests):
            census.notes.append(f"these files were graded in {printable(place)}, and are taken for those")
        book.census(options.submissions, census.listed, digests() if book.runs() else {})
        report.write_files(book, options.out)
        announce(census)
        cut_short = book.unfinished(options.submissions)
        fresh = [] if cut_short else to_grade(book, options, found, digests)
        if cut_short is None and not fresh:
            return Done(0, len(found), continued=False)
        secret = [*course(options.lessons), options.submissions, options.out]
        async with Worker(options.isolation, options.limits, allowed(given), secret) as worker:
            done = 0
            if cut_short is not None:
                done += await continue_run(Grader(options, given, cut_short, worker), book, found, progress)
                fresh = to_grade(book, replace(options, regrade=False), found, digests)
            if fresh:
                run = begin(book, options, given, fresh)
                done += await Grader(options, given, run, worker).grade_all(book, fresh, progress)
        return Done(done, len(found), continued=cut_short is not None)


def told_apart(book: Book, options: Options, given: Mapping[str, Release], census: Census) -> Census:
    """Return the census with students told apart from those of the same name whom the book knows, there as well."""
    numbers = book.numbers()
    for each in census.found:
        if each.number:
            numbers.setdefault(each.person, set()).add(each.number)
    several = {name: known for name, known in numbers.items() if len(known) > 1}
    renamed = book.tell_apart(several)
    if any(each.number and each.person in several and each.student == each.person for each in census.found):
        census = counted(options, given, several)
    if renamed:
        names = ", ".join(plain(name, 60) for name in renamed)
        census.notes.append(f"the platform has several students of one name; what was graded before is of {names}")
    return census


def counted(options: Options, given: Mapping[str, Release], known: finding.Known = finding.NOBODY) -> Census:
    """Return the census of the submissions. Raises LayoutError where it makes no sense, unless that is forced.

    Args:
        options: Where they are, and how it is told whose each is.
        given: The lessons as handed out.
        known: The platform's numbers of students met elsewhere.

    """
    words = frozenset(word for lesson in given for word in lesson.casefold().split("-") if word.isalpha())
    findings = finding.look(options.submissions, options.layout, options.pattern, words, known)
    told = [replace(item, lesson=lesson_of_pattern(item, given)) if item.lesson else item for item in findings.found]

    def looked(found: Found) -> Looked:
        try:
            read = reading.read(found.read(), given, found.name, options.lesson or found.lesson or None)
        except UnreadableError:
            return Looked(lesson_by_name(found, options, given), readable=False, written=False)
        return Looked(read.lesson, written=bool(read.written))

    census = take(replace(findings, found=told), looked, words)
    if not options.force:
        census.insist(str(options.submissions))
    return census


def lesson_by_name(found: Found, options: Options, given: Mapping[str, Release]) -> str:
    """Return the lesson that a submission is for, as far as this is known without reading it."""
    if options.lesson or found.lesson or len(given) == 1:
        return options.lesson or found.lesson or next(iter(given))
    stem = Path(found.name).stem
    return stem if stem in given else ""


def lesson_of_pattern(found: Found, given: Mapping[str, Release]) -> str:
    """Return the lesson that a pattern found in a path, by its name, its number or its word."""
    wanted = found.lesson.casefold()
    for lesson in given:
        number, _, word = lesson.casefold().partition("-")
        if wanted in (lesson.casefold(), number, number.lstrip("0"), word):
            return lesson
    raise LayoutError(
        f"--pattern finds the lesson {found.lesson!r} in {found.key}; it must be one of {', '.join(given)}, "
        "or its number or word"
    )


def to_grade(
    book: Book, options: Options, found: Mapping[str, Found], digests: Callable[[], Mapping[str, str]]
) -> list[Found]:
    """Return the submissions that are new, or are not as they were graded, or all of them where that is asked for."""
    if options.regrade or not book.runs():
        return list(found.values())
    now = (
        Waiting(key, item.student, options.lesson or item.lesson, sha256=digests()[key]) for key, item in found.items()
    )
    return [found[key] for key in book.changed(now, options.submissions)]


def digest(found: Found) -> str:
    """Return the sha256 of a submission; nothing where it cannot be read."""
    try:
        return hashlib.sha256(found.read()).hexdigest()
    except UnreadableError:
        return ""


def begin(book: Book, options: Options, given: Mapping[str, Release], fresh: list[Found]) -> Run:
    """Enter a new run and all its submissions into the book, before any is graded."""
    return book.begin(
        [Waiting(item.key, item.student, "", item.attempt, item.late) for item in fresh],
        seed=secrets.randbits(48) if options.seed is None else options.seed,
        isolation=options.isolation,
        root=options.submissions,
        lessons=sorted(given),
        options={
            "lesson": options.lesson,
            "jobs": options.jobs,
            **asdict(options.limits),
            "load": round(os.getloadavg()[0], 2),  # how busy the machine was: grades must not depend on it
        },
    )


async def continue_run(grader: Grader, book: Book, found: Mapping[str, Found], progress: Progress) -> int:
    """Grade what a run that was cut short has left, files that are gone since apart; return how many."""
    waiting = book.left(grader.run)
    for left in waiting:
        if left.key not in found:
            gone = "the file was there when grading began, and is gone"
            book.save(grader.run, unreadable(left, gone, grader.options.isolation))
    return await grader.grade_all(book, [found[left.key] for left in waiting if left.key in found], progress)


def allowed(given: Mapping[str, Release]) -> frozenset[str]:
    """Return PyTorch's losses that some exercise of some lesson allows."""
    known = exercises()
    names = (name for release in given.values() for name in release.functions if name in known)
    return frozenset[str]().union(*(known[name].allowed for name in names))
