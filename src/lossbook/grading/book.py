"""The book of grades: one SQLite file that keeps every run and every record, and loses none that was saved.

A record is saved in a transaction of its own, in SQLite's write-ahead mode. A process killed at any moment leaves the
file whole, with every record whose ``save`` had returned. (After a power cut the last few may be waiting again; nothing
else is lost.) No run overwrites another's records: regrading adds to them, and the newest counts.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

from lossbook.grading.database import lock, opened, raw
from lossbook.grading.records import Kept, Mark, Record, RecordsError, Run, Waiting

KEPT_FAILURES, KEPT_OTHERS = 3, 50  # failures of a mark; cell errors, and remarks, of a record
LONGEST = 4000  # characters of any one text: a student's error may be megabytes long, the file need not be
MANY = 2**62

HEADING = "run, key, student, lesson, attempt, late, sha256"
FIELDS = f"{HEADING}, state, reason, points, out_of, seconds, isolation, marks, cell_errors, remarks, saved"
# Names and keys may hold what is no Unicode, as file names do. They go in as bytes, so that each comes out as it was.
NAME = "CAST(? AS TEXT)"
SAVE = f"INSERT OR REPLACE INTO submissions ({FIELDS}) VALUES (?, {NAME}, {NAME}, {NAME}{', ?' * 4}, {NAME}{', ?' * 8})"

# A record counts unless another of the same student and lesson has a higher attempt or a newer run, or the same file
# was graded again since and turned out to be of another student or lesson.
COUNTING = f"""
    SELECT {FIELDS} FROM submissions AS s WHERE saved IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM submissions AS other WHERE other.saved IS NOT NULL AND other.student = s.student
        AND other.lesson = s.lesson AND (other.attempt, other.run, other.key) > (s.attempt, s.run, s.key))
    AND NOT EXISTS (
        SELECT 1 FROM submissions AS again WHERE again.saved IS NOT NULL AND again.key = s.key AND again.run > s.run)
    ORDER BY student, lesson
"""


class Book:
    """The grades of a folder, in its ``grades.sqlite``: for one process at a time, in one thread, under ``with``."""

    def __init__(self, out: Path | str) -> None:
        """Open the book of a folder, or begin one.

        Args:
            out: The folder; it is made where there is none.

        Raises:
            RecordsError: Another process has the book open, or ``grades.sqlite`` is not a whole book that this version
                knows. The file is left as it was.

        """
        self.out = Path(out)
        self.path = self.out / "grades.sqlite"
        self._runs: dict[int, Run] = {}
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise RecordsError(f"out is {self.out}, a file; it must be a folder") from None
        except OSError as error:
            raise RecordsError(f"out is {self.out}, which cannot be made: {error.strerror}") from None
        self._lock = lock(self.out / "grades.lock")
        try:
            self._file = opened(self.path)
        except BaseException:
            self._lock.close()
            raise

    def begin(
        self,
        waiting: Iterable[Waiting],
        *,
        seed: int,
        isolation: str,
        root: Path | str,
        lessons: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Run:
        """Begin a run: it and all its submissions are written at once, as waiting, before any is graded.

        Args:
            waiting: The submissions to grade. Their keys must differ.
            seed: The seed of the cases; it must fit 64 bits.
            isolation: ``namespaces`` or ``none``.
            root: The folder of submissions, by which the run is found again.
            lessons: The lessons that are graded.
            options: The command's options, as JSON can hold them.

        """
        if not -(2**63) <= seed < 2**63:
            raise ValueError(f"seed is {seed}; it must fit 64 bits")
        entries = list(waiting)
        for key, times in Counter(found.key for found in entries).items():
            if times > 1:
                raise ValueError(f"waiting has the key {key!r} {times} times; keys must differ")
        versions = _version("lossbook"), _version("torch"), platform.python_version()
        lists = json.dumps(list(lessons)), json.dumps(dict(options or {}), default=str)
        with self._guarded(), self._file:
            self._file.execute("BEGIN IMMEDIATE")
            made = self._file.execute(
                "INSERT INTO runs (started, seed, isolation, lossbook, torch, python, root, lessons, options)"
                f" VALUES (?, ?, ?, ?, ?, ?, {NAME}, ?, ?)",
                (_now(), seed, isolation, *versions, _place(root), *lists),
            )
            entry = f"INSERT INTO submissions ({HEADING}) VALUES (?, {NAME}, {NAME}, {NAME}, ?, ?, ?)"
            self._file.executemany(entry, (_heading(made.lastrowid, found) for found in entries))
        assert made.lastrowid is not None, "SQLite numbers each row"
        return self.run(made.lastrowid)

    def save(self, run: Run, record: Record) -> None:
        """Save a submission's record. Once this returns, no end of the process can lose it.

        Texts are cut to 4,000 characters; of failures the first three are kept, of errors and remarks the first fifty.
        """
        with self._guarded():
            self._file.execute(SAVE, (*_heading(run.id, record), *_body(record), _now()))

    def finish(self, run: Run) -> Run:
        """Note that a run has ended, and return it as it is then."""
        with self._guarded():
            self._file.execute("UPDATE runs SET finished = ? WHERE id = ?", (_now(), run.id))
        self._runs.pop(run.id, None)
        return self.run(run.id)

    def run(self, number: int) -> Run:
        """Return the run of this number."""
        if number not in self._runs:
            rows = self._read("SELECT * FROM runs WHERE id = ?", (number,))
            for row in rows:
                values: list[Any] = [*row[:9], tuple(json.loads(row[9])), json.loads(row[10])]
                self._runs[number] = Run(*values)
        return self._runs[number]

    def runs(self) -> list[Run]:
        """Return every run, the newest first."""
        return [self.run(number) for (number,) in list(self._read("SELECT id FROM runs ORDER BY id DESC"))]

    def unfinished(self, root: Path | str | None = None) -> Run | None:
        """Return the newest run if it never finished, so that it can be continued; None where there is none such.

        Args:
            root: The folder of submissions whose newest run is meant; any unless given.

        """
        where, values = ("", ()) if root is None else (f"WHERE root = {NAME}", (_place(root),))
        for number, finished in self._read(f"SELECT id, finished FROM runs {where} ORDER BY id DESC LIMIT 1", values):
            return None if finished else self.run(number)
        return None

    def waiting(self, run: Run) -> list[str]:
        """Return the keys of a run's submissions that have no record yet, in the order in which they were entered."""
        return [found.key for found in self.left(run)]

    def left(self, run: Run) -> list[Waiting]:
        """Return a run's submissions that have no record yet, as they were entered, in that order."""
        wanted = f"SELECT {HEADING} FROM submissions WHERE run = ? AND saved IS NULL ORDER BY id"
        rows = self._read(wanted, (run.id,))
        return [
            Waiting(key, student, lesson, attempt, bool(late), digest)
            for _, key, student, lesson, attempt, late, digest in rows
        ]

    def changed(self, files: Mapping[str, str]) -> list[str]:
        """Return which files are new, or have changed since the last record of their key.

        Args:
            files: The sha256 of each file, by key.

        """
        wanted = f"SELECT sha256 FROM submissions WHERE key = {NAME} AND saved IS NOT NULL ORDER BY run DESC LIMIT 1"
        return [key for key, sha256 in files.items() if list(self._read(wanted, (raw(key),))) != [(sha256,)]]

    def newest(self) -> Iterator[Kept]:
        """Yield the records that count, one at a time, by student and then lesson: for each, the newest.

        That is the one of the highest attempt, and among these the one of the newest run.
        """
        return (self._kept(row) for row in self._read(COUNTING))

    def history(self, student: str, lesson: str) -> list[Kept]:
        """Return every record of a student and lesson: first the one that counts, then those it stands for."""
        wanted = f"""SELECT {FIELDS} FROM submissions WHERE saved IS NOT NULL AND student = {NAME} AND lesson = {NAME}
            ORDER BY attempt DESC, run DESC, key DESC"""
        return [self._kept(row) for row in self._read(wanted, (raw(student), raw(lesson)))]

    def close(self) -> None:
        """Close the file and let others open it."""
        self._file.close()
        self._lock.close()

    def __enter__(self) -> Book:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, wanted: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        with self._guarded():
            yield from self._file.execute(wanted, values)

    def _kept(self, row: Sequence[Any]) -> Kept:
        return Kept(_record(row), self.run(row[0]), row[16])

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RecordsError(f"{self.path}: {error}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _place(root: Path | str) -> bytes:
    return raw(os.path.abspath(root))


def _heading(run: int | None, found: Waiting | Record) -> tuple[Any, ...]:
    names = raw(found.key), raw(found.student), raw(found.lesson)
    attempt = min(max(found.attempt, -MANY), MANY)  # a file's name may claim any number; SQLite's have 64 bits
    return run, *names, attempt, int(found.late), found.sha256


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _mark(mark: Mark) -> dict[str, Any]:
    kept = [[_cut(text) for text in failure] for failure in mark.failures[:KEPT_FAILURES]]
    words = {name: _cut(getattr(mark, name)) for name in ("misconception", "advice", "hint")}
    return {**vars(mark), **words, "failures": kept}


def _body(record: Record) -> tuple[Any, ...]:
    """Return the values of a row behind its heading. JSON writes what is no Unicode as escapes, in ASCII."""
    counted = record.points, record.out_of, record.seconds, record.isolation
    marks = [_mark(mark) for mark in record.marks]
    errors = [(number, _cut(text)) for number, text in record.cell_errors[:KEPT_OTHERS]]
    remarks = [_cut(text) for text in record.remarks[:KEPT_OTHERS]]
    return record.state, raw(_cut(record.reason)), *counted, *map(json.dumps, (marks, errors, remarks))


def _record(row: Sequence[Any]) -> Record:
    """Return the record of a row of ``FIELDS``, which stand in the order of the record's own."""
    marks, errors, remarks = (json.loads(text) for text in row[13:16])
    values: list[Any] = list(row[1:13])
    values[4] = bool(values[4])
    values.append(tuple(Mark(**{**mark, "failures": tuple(map(tuple, mark["failures"]))}) for mark in marks))
    values += [tuple(map(tuple, errors)), tuple(remarks)]
    return Record(*values)
