"""What people read: a table of grades, a page for each student, and the class at a glance for the teacher.

``grades.csv`` is UTF-8 with a byte-order mark, because without one Excel takes names for another alphabet's; pandas,
LibreOffice and the learning platforms read it as well. ``grades-excel.csv`` is the same for an Excel that separates by
semicolons. A text that a spreadsheet would take for a formula gets an apostrophe in front. Nothing that a student wrote
reaches a page unescaped, and the pages forbid every script besides.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lossbook import files
from lossbook.checks import showing
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import STATES, Kept, Mark, Record, Run, Standing
from lossbook.grading.tell import wording
from lossbook.grading.tell.charts import Group, bar

FORMULA = "=+@\uff1d\uff0b\uff0d\uff20-"  # four of them are wide, and count as well
# Where a spreadsheet takes another sign than the comma for the separator, a formula may begin in the middle of a field.
HIDDEN = re.compile(rf"([;|\t][\s\"']*)(?=[{FORMULA}])")
HEADINGS = (
    "student", "lesson", "points", "out_of", "percent", "state", "reason", "late", "attempt", "graded_at", "seed",
    "isolation",
)  # fmt: skip
PAGE = re.compile(r"[a-z0-9-]+-[0-9a-f]{16}\.html")
LABELS = {"xlabel": 44, "ylabel": 28}  # characters of a drawing's labels that fit below it on one line
FILE_HEADINGS = ("root", "file", "student", "lesson", "standing", "why")
EXERCISE_HEADINGS = ("student", "lesson", "exercise", "state", "points", "out_of", "misconception")


@dataclass(frozen=True)
class Summary:
    """What a report was written of.

    Args:
        students: How many students have a page.
        records: How many records count: one for each student and lesson.
        states: How many of these are in each state; states that none is in are left out.
        waiting: How many submissions of an unfinished run are not graded yet.
        idle: The files that do not count, superseded or not used.
        forgeable: How many records were made without isolation, so that their marks may be forged.
        points: Points won by all.
        out_of: Points that all could have won.
        index: The teacher's page.
        grades: The table.

    """

    students: int
    records: int
    states: Mapping[str, int]
    waiting: int
    idle: Sequence[Standing]
    forgeable: int
    points: float
    out_of: float
    index: Path
    grades: Path


@dataclass(frozen=True)
class Cell:
    """What the teacher's table says of one student's lesson."""

    points: float
    out_of: float
    state: str
    late: bool
    attempt: int


@dataclass
class _Class:
    """What is kept in memory while the records go by: a few numbers of each, no drawings."""

    titles: Mapping[str, str]
    groups: dict[str, Group] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    grades: list[list[Any]] = field(default_factory=list)
    marks: list[list[list[Any]]] = field(default_factory=list)
    runs: Counter[int] = field(default_factory=Counter)
    forgeable: int = 0

    def add(self, student: str, kept: Sequence[Kept], page: str) -> None:
        cells = {}
        for one in kept:
            record = one.record
            group = self.groups.setdefault(record.lesson, Group(record.lesson, _title(self.titles, record.lesson)))
            group.add(record, page)
            cells[record.lesson] = Cell(record.points, record.out_of, record.state, record.late, record.attempt)
            self.runs[one.run.id] += 1
            self.forgeable += record.isolation == "none"
            self.grades.append(_grade(one))
            self.marks.append(_marks(record))
        self.rows.append({"student": student, "page": page, "cells": cells})

    @property
    def lessons(self) -> list[Group]:
        return [self.groups[slug] for slug in sorted(self.groups, key=lambda slug: (not slug, slug))]


def write(book: Book, out: Path | None = None, titles: Mapping[str, str] | None = None) -> Summary:
    """Write ``grades.csv``, ``index.html`` and ``students/*.html`` from the records that count, and ``files.csv``.

    Each file is replaced at once, so that whoever reads it meanwhile sees the old one or the new one, whole.

    Args:
        book: The book of grades.
        out: The folder to write to; the book's own unless given.
        titles: The title of each lesson, by slug; the slug itself unless given.

    """
    out = book.out if out is None else out
    (out / "students").mkdir(parents=True, exist_ok=True)
    seen = _Class(titles or {})
    template = environment().get_template("student.html.j2")
    for student, group in groupby(book.newest(), key=lambda kept: kept.record.student):
        kept, page = list(group), f"students/{page_name(student)}"
        shown = [(one, _title(seen.titles, one.record.lesson)) for one in kept]
        files.replace(out / page, _encoded(template.render(student=student, shown=shown)))
        seen.add(student, kept, page)
    _clear_pages(out / "students", {Path(row["page"]).name for row in seen.rows})
    _write_tables(seen, out)
    unfinished = book.unfinished()
    waiting = len(book.waiting(unfinished)) if unfinished else 0
    runs = [(book.run(number), count) for number, count in sorted(seen.runs.items(), reverse=True)]
    files.replace(out / "index.html", _encoded(_index(seen, runs, waiting, idle := write_files(book, out))))
    return _summary(seen, waiting, idle, out)


def _title(titles: Mapping[str, str], lesson: str) -> str:
    return titles.get(lesson, lesson) or "Lesson unknown"


def _summary(seen: _Class, waiting: int, idle: Sequence[Standing], out: Path) -> Summary:
    states = sum((group.states for group in seen.groups.values()), Counter[str]())
    cells = [cell for row in seen.rows for cell in row["cells"].values()]
    return Summary(
        students=len(seen.rows),
        records=len(cells),
        states={state: states[state] for state in STATES if states[state]},
        waiting=waiting,
        idle=idle,
        forgeable=seen.forgeable,
        points=sum(cell.points for cell in cells),
        out_of=sum(cell.out_of for cell in cells),
        index=out / "index.html",
        grades=out / "grades.csv",
    )


def page_name(student: str) -> str:
    """Return the name of a student's page: safe on any disk, the same each time, and nobody else's.

    The digest tells apart names that differ only in case or in what is left out of the first part.
    """
    letters = unicodedata.normalize("NFKD", student[:200]).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^a-z0-9]+", "-", letters.lower())[:60].strip("-")
    digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{readable or 'student'}-{digest}.html"


def _clear_pages(folder: Path, written: Set[str]) -> None:
    """Take away pages of earlier reports that are nobody's now: of a student who was read wrong, or half written."""
    for path in folder.iterdir():
        if PAGE.fullmatch(files.whole(path.name)) and path.name not in written:
            path.unlink()


def guarded(text: str) -> str:
    """Return a text as a spreadsheet may safely have it: one line, and no formula."""
    line = HIDDEN.sub(r"\1'", wording.plain(text, 500).strip())
    return f"'{line}" if line.lstrip("\"' ").startswith(tuple(FORMULA)) else line


def _grade(kept: Kept) -> list[Any]:
    record = kept.record
    share = wording.percent(record.points, record.out_of, 1)
    scored = [wording.number(record.points), wording.number(record.out_of), share, record.state]
    told = [guarded(record.reason), "yes" if record.late else "no", record.attempt, kept.saved]
    return [guarded(record.student), guarded(record.lesson), *scored, *told, kept.run.seed, record.isolation]


def _marks(record: Record) -> list[list[Any]]:
    return [
        [guarded(mark.function), mark.state, _won(mark), wording.number(mark.out_of), guarded(mark.misconception)]
        for mark in record.marks
    ]


def _won(mark: Mark) -> str:
    return "" if mark.state == "lost" else wording.number(mark.points)  # what was not judged is no zero


def _write_tables(seen: _Class, out: Path) -> None:
    if len(set(seen.groups) - {""}) > 1:
        long = ([*grade[:2], *mark] for grade, marks in zip(seen.grades, seen.marks, strict=True) for mark in marks)
        _write_table(out / "exercises.csv", EXERCISE_HEADINGS, long)
        _write_table(out / "grades.csv", HEADINGS, seen.grades, excel=True)
        return
    (out / "exercises.csv").unlink(missing_ok=True)  # of a time when there were several lessons
    functions = list(dict.fromkeys(mark[0] for marks in seen.marks for mark in marks))
    _write_table(out / "grades.csv", [*HEADINGS, *functions], _wide(seen, functions), excel=True)


def _wide(seen: _Class, functions: Sequence[str]) -> Iterator[list[Any]]:
    for grade, marks in zip(seen.grades, seen.marks, strict=True):
        points = {mark[0]: mark[2] for mark in marks}
        yield [*grade, *(points.get(function, "") for function in functions)]


def _write_table(path: Path, headings: Sequence[str], rows: Iterable[Sequence[Any]], *, excel: bool = False) -> None:
    """Write a table, every field quoted; and for a spreadsheet once more, separated by tabs and in UTF-16.

    Excel separates by commas or by semicolons, as its country does, but takes this for what it is everywhere.
    """
    kept = [headings, *rows]
    files.replace(path, _encoded("\ufeff" + _separated(kept, ",")))
    if excel:
        tabbed = _encoded("\ufeff" + _separated(kept, "\t"), "utf-16-le")
        files.replace(path.with_name(f"{path.stem}-excel.csv"), tabbed)


def _encoded(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding, "backslashreplace")  # names of files may hold what no encoding has


def _separated(rows: Iterable[Sequence[Any]], separator: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue()


def write_files(book: Book, out: Path) -> list[Standing]:
    """Write ``files.csv``, which names every file that was found and what becomes of it; return what does not count."""
    told = list(book.standings())
    rows = [
        [guarded(text) for text in (each.root, each.key, each.student, each.lesson, each.standing, each.why)]
        for each in told
    ]
    _write_table(out / "files.csv", FILE_HEADINGS, rows)
    return [each for each in told if each.standing in ("superseded", "not used")]


def _alphabetical(name: str) -> tuple[str, str]:
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return bare.casefold(), name


def _index(seen: _Class, runs: Sequence[tuple[Run, int]], waiting: int, idle: Sequence[Standing]) -> str:
    rows = sorted(seen.rows, key=lambda row: _alphabetical(row["student"]))
    for group in seen.groups.values():
        for listed in (group.troubles, group.remarks):
            listed.sort(key=lambda trouble: _alphabetical(trouble.student))
    template = environment().get_template("index.html.j2")
    return template.render(
        lessons=seen.lessons, rows=rows, runs=runs, waiting=waiting, idle=idle, forgeable=seen.forgeable
    )


def drawn(drawing: Mapping[str, Any] | None) -> Markup | None:
    """Return the picture of a kept drawing, or None where there is none that can be drawn.

    Args:
        drawing: Labels and numbers. What is no finite number is left out of the curve.

    """
    if drawing is None:
        return None
    x, mine, right = (_numbers(drawing.get(name)) for name in ("x", "mine", "right"))
    labels = [escape(wording.plain(str(drawing.get(name, "")), most)) for name, most in LABELS.items()]
    if not x or None in x or len({len(x), len(mine), len(right)}) > 1 or set(right) == {None}:
        return None
    across = [value for value in x if value is not None]
    try:
        return Markup(showing.svg(across, mine, right, *labels))
    except (ArithmeticError, ValueError):  # numbers too large to find a scale for
        return None


def caption(drawing: Mapping[str, Any]) -> str:
    """Return what a drawing shows, where its labels are too long to stand in it whole; else nothing."""
    across, up = (str(drawing.get(name, "")) for name in LABELS)
    fits = len(across) <= LABELS["xlabel"] and len(up) <= LABELS["ylabel"]
    return "" if fits else f"From left to right: {across}. Upwards: {up}."


def _numbers(values: Any) -> list[float | None]:
    return [
        float(value) if isinstance(value, (int, float)) and abs(value) < 1e300 and math.isfinite(value) else None
        for value in (values if isinstance(values, (list, tuple)) else ())
    ]


@cache
def environment() -> Environment:
    """Return the templates' environment, in which everything is escaped and a missing name is an error."""
    made = Environment(
        loader=PackageLoader("lossbook.grading.tell"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        line=wording.plain,
        named=wording.named,
        lines=wording.several,
        told=wording.told,
        number=wording.number,
        stamp=wording.stamp,
    )
    made.globals.update(
        percent=wording.percent, counted=wording.counted, why=wording.why, encouragement=wording.encouragement,
        picture=drawn, caption=caption, bar=bar, states=STATES,
    )  # fmt: skip
    return made
