"""The book of grades: one SQLite file that keeps every run and every record, and loses none that was saved.

A record is saved in a transaction of its own, in SQLite's write-ahead mode. A process killed at any moment leaves the
file whole, with every record whose ``save`` had returned. (After a power cut the last few may be waiting again; nothing
else is lost.) No run overwrites another's records: regrading adds to them. Which of them counts is
told in ``counting``.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from lossbook.grading.keep.counting import CANDIDATES, GONE, Candidate, ordered, settled, standings
from lossbook.grading.keep.database import PATIENCE, lock, opened, raw, told
from lossbook.grading.keep.records import Kept, Listed, Mark, Record, RecordsError, Run, Standing, Waiting
from lossbook.grading.read.naming import numbered, printable, recorded

KEPT_FAILURES, KEPT_OTHERS = 3, 50  # failures of a mark; cell errors, and remarks, of a record
LONGEST = 4000  # characters of any one text: a student's error may be megabytes long, the file need not be
MANY = 2**62
KINDS = {
    "key": str, "student": str, "lesson": str, "attempt": int, "late": int, "sha256": str, "state": str, "reason": str,
    "points": float, "out_of": float, "seconds": float, "isolation": str,
}  # fmt: skip
LISTS = ("marks", "cell_errors", "remarks")
MARK_KINDS = {
    "function": str, "points": float, "out_of": float, "cases": int, "wrong": int, "misconception": str, "advice": str,
    "hint": str,
}  # fmt: skip

HEADING = "run, key, student, lesson, attempt, late, sha256"
LISTED = """SELECT root, key, student, rank, why FROM files WHERE rank = 0 OR NOT EXISTS (
    SELECT 1 FROM submissions AS s CROSS JOIN runs ON runs.id = s.run
    WHERE s.key = files.key AND s.saved IS NOT NULL AND runs.root = files.root) ORDER BY root, key"""
FIELDS = f"{HEADING}, state, reason, points, out_of, seconds, isolation, marks, cell_errors, remarks, saved"
# Names and keys may hold what is no Unicode, as file names do. They go in as bytes, so that each comes out as it was.
NAME = "CAST(? AS TEXT)"
SAVE = f"INSERT OR REPLACE INTO submissions ({FIELDS}) VALUES (?, {NAME}, {NAME}, {NAME}{', ?' * 4}, {NAME}{', ?' * 8})"

# A record's place is its file's, and -1 where that is gone already. A census lowers all places of its root, and then
# says those of what is there.
KEY = "CAST(?2 AS TEXT)"
PLACE = f"""INSERT OR REPLACE INTO places VALUES (?1, {KEY},
    coalesce((SELECT rank FROM files WHERE key = {KEY} AND root = CAST(?3 AS TEXT)), -1),
    coalesce((SELECT why FROM files WHERE key = {KEY} AND root = CAST(?3 AS TEXT)), ''))"""
LOWER = f"UPDATE places SET rank = rank - ? WHERE run IN (SELECT id FROM runs WHERE root = {NAME})"
FOUND = f"""INSERT OR REPLACE INTO places SELECT s.run, s.key, ?, {NAME}
    FROM submissions AS s CROSS JOIN runs ON runs.id = s.run
    WHERE runs.root = {NAME} AND s.key = {NAME} AND s.saved IS NOT NULL AND (? IS NULL OR s.sha256 = ?)"""


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

    def save(self, run: Run, record: Record, wait: float = PATIENCE) -> None:
        """Save a submission's record. Once this returns, no end of the process can lose it.

        Texts are cut to 4,000 characters; of failures the first three are kept, of errors and remarks the first fifty.

        Args:
            run: The run that made it.
            record: The record.
            wait: Seconds that another program's lock on the file is waited for.

        Raises:
            BusyError: Another program held the file all the while. Nothing was saved.

        """
        with self._guarded():
            self._file.execute(f"PRAGMA busy_timeout = {int(1000 * wait)}")
            with self._file:
                self._file.execute("BEGIN IMMEDIATE")
                self._file.execute(SAVE, (*_heading(run.id, record), *_body(record), _now()))
                self._file.execute(PLACE, (run.id, raw(record.key), raw(run.root)))

    def census(
        self, root: Path | str, files: Iterable[Listed], digests: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Note what a census says of every file of a root, in place of what the last one said.

        What it does not find keeps the order that it had, behind all that is there.

        Args:
            root: The folder or archive of submissions.
            files: What it says. Their keys must differ.
            digests: The sha256 of each file, by key, which tells whether it is the one that was graded. A file without
                one is taken for it.

        """
        place, entry = _place(root), f"INSERT INTO files VALUES ({NAME}, {NAME}, {NAME}, ?, {NAME})"
        listed = list(files)
        with self._guarded(), self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute(f"DELETE FROM files WHERE root = {NAME}", (place,))
            rows = ((place, raw(file.key), raw(file.student), file.rank, raw(_cut(file.why))) for file in listed)
            self._file.executemany(entry, rows)
            self._file.execute(LOWER, (GONE, place))
            found = (
                (file.rank, raw(_cut(file.why)), place, raw(file.key), digests.get(file.key), digests.get(file.key))
                for file in listed
                if file.rank
            )
            self._file.executemany(FOUND, found)

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
                with self._as_saved(f"run {number}"):
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

    def follow(self, root: Path | str, files: Callable[[], Mapping[str, str]]) -> str:
        """Take a root for one that was graded in another place, where it is that folder or archive, moved.

        It is where the book does not know it, nothing is left in the other place, and every file that was graded there
        is here unchanged.

        Args:
            root: The folder or archive of submissions.
            files: Gives the sha256 of each file in it, by key; asked only where it matters.

        Returns:
            The other place; nothing if it was not moved.

        """
        known = [place for (place,) in self._read("SELECT DISTINCT root FROM runs ORDER BY id DESC")]
        here = _place(root).decode("utf-8", "surrogatepass")
        gone = [] if here in known else [place for place in known if not os.path.lexists(place)]
        digests = files() if gone else {}
        for place in gone:
            of_there = "FROM submissions AS s CROSS JOIN runs ON runs.id = s.run WHERE s.saved IS NOT NULL"
            there = self._read(
                f"SELECT s.key, s.sha256 {of_there} AND runs.root = {NAME} ORDER BY s.run", (raw(place),)
            )
            graded = {row[0]: row[1] for row in there}
            if graded and graded.items() <= digests.items():
                with self._guarded(), self._file:
                    self._file.execute("BEGIN IMMEDIATE")
                    for table in ("runs", "files"):
                        change = f"UPDATE {table} SET root = {NAME} WHERE root = {NAME}"
                        self._file.execute(change, (raw(here), raw(place)))
                self._runs.clear()
                return str(place)
        return ""

    def numbers(self) -> dict[str, set[str]]:
        """Return the platform's lasting numbers of the students of each name, as far as the files' names say them."""
        known: dict[str, set[str]] = {}
        for student, key in self._read("SELECT student, key FROM submissions"):
            if named := recorded(student, key):
                known.setdefault(named.student, set()).add(named.number)
        return known

    def tell_apart(self, names: Iterable[str]) -> list[str]:
        """Give the platform's number to each student of a name that others have, too; return whose records changed.

        Args:
            names: The names that several students have.

        """
        changed = {}
        for name in names:
            for table in ("submissions", "files"):
                for key in {
                    key for (key,) in self._read(f"SELECT key FROM {table} WHERE student = {NAME}", (raw(name),))
                }:
                    if (named := recorded(name, key)) and named.student == name:
                        changed[table, name, key] = numbered(name, named.number)
        with self._guarded(), self._file:
            self._file.execute("BEGIN IMMEDIATE")
            for (table, name, key), student in changed.items():
                change = f"UPDATE {table} SET student = {NAME} WHERE student = {NAME} AND key = {NAME}"
                self._file.execute(change, (raw(student), raw(name), raw(key)))
        return sorted({student for (table, _, _), student in changed.items() if table == "submissions"})

    def changed(self, files: Iterable[Waiting], root: Path | str | None = None) -> list[str]:
        """Return the keys of files that are new, or are not what the last record of their key says.

        Such is a file whose content has changed, which is another student's than was thought, or answers another
        lesson.

        Args:
            files: The files, with their sha256; their lesson only where it is given and not told from the content.
            root: The folder or archive that they lie in; any unless given.

        """
        where, values = ("", ()) if root is None else (f"AND runs.root = {NAME}", (_place(root),))
        wanted = f"""SELECT sha256, student, lesson FROM submissions AS s CROSS JOIN runs ON runs.id = s.run
            WHERE s.key = {NAME} AND s.saved IS NOT NULL {where} ORDER BY s.run DESC LIMIT 1"""
        changed = []
        for file in files:
            last = next(self._read(wanted, (raw(file.key), *values)), (None, "", ""))
            if last != (file.sha256, file.student, file.lesson or last[2]):
                changed.append(file.key)
        return changed

    def newest(self) -> Iterator[Kept]:
        """Yield the records that count, one at a time, by student and then lesson: for each, one."""
        return (self._record(group[0].id) for group in self._groups())

    def history(self, student: str, lesson: str) -> list[Kept]:
        """Return every record of a student and lesson: first the one that counts, then the others, the newest first."""
        of_them = f"student = {NAME} AND lesson = {NAME} ORDER BY"
        values = raw(student), raw(lesson)
        counting = {
            group[0].id for group in self._groups(f"AND s.student = {NAME} AND s.lesson = {NAME} ORDER BY", values)
        }
        wanted = f"""SELECT id, {FIELDS} FROM submissions WHERE saved IS NOT NULL AND {of_them}
            run DESC, attempt DESC, key DESC"""
        rows = list(self._read(wanted, values))
        return [self._kept(row[1:]) for row in sorted(rows, key=lambda row: row[0] not in counting)]

    def standings(self) -> Iterator[Standing]:
        """Yield what becomes of each file: first of those that have a record, by student, then of the others."""
        for group in self._groups():
            yield from standings(group)
        for root, key, student, rank, why in self._read(LISTED):
            yield Standing(root, key, student, "", "waiting" if rank else "not used", why)

    def _groups(self, where: str = "ORDER BY", values: tuple[bytes, ...] = ()) -> Iterator[list[Candidate]]:
        """Yield the records of each student and lesson, the one that counts first."""
        rows = (Candidate(*row) for row in self._read(CANDIDATES.replace("ORDER BY", where), values))
        for _, own in groupby(rows, key=lambda each: each.student):
            yield from settled(ordered(group) for _, group in groupby(own, key=lambda each: each.lesson))

    def _record(self, number: int) -> Kept:
        (row,) = self._read(f"SELECT {FIELDS} FROM submissions WHERE id = ?", (number,))
        return self._kept(row)

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
            cursor = self._file.execute(wanted, values)
            while row := cursor.fetchone():  # `yield from` would close the cursor, perhaps after the file
                yield row

    def _kept(self, row: Sequence[Any]) -> Kept:
        run = self.run(row[0])
        with self._as_saved(f"the record of {printable(str(row[1]))} in run {row[0]}"):
            return Kept(_record(row), run, _checked("saved", row[16], str))

    @contextmanager
    def _as_saved(self, what: str) -> Iterator[None]:
        """Say what was changed by hand, where something cannot be as it was saved."""
        try:
            yield
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise RecordsError(
                f"{self.path}: {what} is not as it was saved ({printable(str(error))}); "
                "bring back a copy of the file, or give --regrade, which grades anew and keeps all records"
            ) from None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise told(self.path, error) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _place(root: Path | str) -> bytes:
    try:
        return raw(os.path.realpath(root))  # one folder has one name, by whatever way it is reached
    except (OSError, ValueError):  # a name that no file can have
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
    marks, errors, remarks = (
        _checked(name, json.loads(text), list) for name, text in zip(LISTS, row[13:16], strict=True)
    )
    values: list[Any] = [
        _checked(name, value, kind) for (name, kind), value in zip(KINDS.items(), row[1:13], strict=True)
    ]
    values[4] = bool(values[4])
    read = tuple((_checked("cell", number, int), _checked("error", text, str)) for number, text in errors)
    values += [tuple(map(_read_mark, marks)), read, tuple(_checked("remark", text, str) for text in remarks)]
    return Record(*values)


def _read_mark(mark: dict[str, Any]) -> Mark:
    fields = {**_checked("mark", mark, dict)}
    failures = _checked("failures", fields.pop("failures", []), list)
    made = Mark(**fields, failures=tuple((str(call), str(note), str(reason)) for call, note, reason in failures))
    for name, kind in MARK_KINDS.items():
        _checked(name, getattr(made, name), kind)
    if made.drawing is not None:
        _checked("drawing", made.drawing, dict)
    return made


def _checked(name: str, value: Any, kind: type[Any]) -> Any:
    """Return a value that was read. Raises ValueError where it is not of its kind, as no saved one is."""
    if not isinstance(value, (int, float) if kind is float else kind):
        raise ValueError(f"{name} is {str(value)[:40]!r}; it must be a {kind.__name__}")
    if kind is float and not math.isfinite(value):
        raise ValueError(f"{name} is {value}; it must be finite")
    return value
