"""What was found, counted before anything runs: whose each file is, which is superseded, and what is not used.

A census that makes no sense is refused, with the ways to say what the files are: a class that passes for one student,
or students whose names are those of weeks and folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from lossbook.grading.keep.records import Listed
from lossbook.grading.read.finding import Findings, Found, LayoutError
from lossbook.grading.read.layouts import Aside
from lossbook.grading.read.naming import NOTEBOOKS, is_place, numbers
from lossbook.grading.tell.wording import counted, plain

MOST_READ = 200  # files of one student that are read to know their lessons: more are too many anyway
FEW = 3  # notebooks of one lesson that one student may have handed in; more look like a class's
SHOWN = 20  # files that are named on a terminal
NAMED = 8  # students that are: whoever knows the class sees from some whether they are its names
SAME_TIME = 2.0  # seconds: an archive keeps no finer time
_COPIED = re.compile(r"^copy of |(?:[ _-]+copy)?[ _-]*(?:\(\d{1,3}\))?$")
WAYS = """\
Say what it is: --layout folders, where each student has a folder (folders:2, where these lie one level further down);
--layout files, where each notebook's name is its student's; --layout canvas, moodle or nbgrader; or
--pattern '(?P<student>...)', a regular expression for the path of each notebook.
--force grades the files as they were read."""


@dataclass(frozen=True)
class Census:
    """What was found.

    Args:
        found: The submissions.
        listed: What is said of each file, for the book.
        superseded: The submissions for which a newer one of the same student and lesson counts.
        aside: What nothing is made of.
        notes: What the teacher should know of how it was read.
        doubts: Why the whole makes no sense; empty where it does.

    """

    found: list[Found]
    listed: list[Listed]
    superseded: list[Found] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def total(self) -> str:
        """Return all in one line."""
        notebooks = sum(each.name.casefold().endswith(NOTEBOOKS) for each in self.found)
        parts = [counted(len({each.student for each in self.found}), "student")]
        parts += [f"{len(self.superseded):,} superseded"] if self.superseded else []
        parts += [f"{len(self.found) - notebooks:,} without a notebook"] if notebooks < len(self.found) else []
        parts += [f"{counted(len(self.aside), 'file')} not used"] if self.aside else []
        return f"{counted(notebooks, 'notebook')}: {', '.join(parts)}."

    def lines(self, most: int = SHOWN) -> Iterator[str]:
        """Yield all in one line, whose it is, the notes, and what does not count, each by name, up to so many."""
        yield self.total()
        students = list(dict.fromkeys(each.student for each in self.found))
        yield f"  {_names(students, NAMED)}"
        yield from (f"  Note: {note}" for note in self.notes)
        why = {each.key: each.why for each in self.listed}
        named = [f"  superseded: {each.key} ({plain(each.student, 80)}); {why[each.key]}" for each in self.superseded]
        named += [f"  not used: {each.key}; {each.why}" for each in self.aside]
        yield from named[:most]
        if len(named) > most:
            yield f"  and {len(named) - most:,} more: files.csv names all of them"

    def insist(self, root: str) -> None:
        """Raise LayoutError where the whole makes no sense, with the ways to say what it is."""
        if self.doubts:
            raise LayoutError(
                f"root is {root!r}, and it can't be told whose its files are:\n  "
                + "\n  ".join([*self.doubts, *WAYS.splitlines()])
            )


@dataclass(frozen=True)
class Looked:
    """What a look into a file shows.

    Args:
        lesson: The lesson that it answers, or nothing.
        readable: Whether it can be read.
        written: Whether anything is written in it that the lesson asks for.

    """

    lesson: str
    readable: bool = True
    written: bool = True


def take(findings: Findings, look: Callable[[Found], Looked], lessons: frozenset[str] = frozenset()) -> Census:
    """Return the census of what was found.

    Args:
        findings: What was found.
        look: Looks into a file; asked only where a student has several.
        lessons: Words of the lessons' names, which are nobody's.

    """
    students: dict[str, list[Found]] = {}
    for each in findings.found:
        students.setdefault(each.student, []).append(each)
    listed: list[Listed] = []
    superseded: list[Found] = []
    doubts = [*findings.doubts]
    for student, files in students.items():
        looked = {each.key: look(each) for each in files} if 1 < len(files) <= MOST_READ else {}
        for lesson, group in _by_lesson(files, looked).items():
            doubts += _too_many(student, lesson, group, len(findings.found))
            order, why = in_order(group, looked)
            counts = order[-1]
            superseded += order[:-1]
            for rank, each in enumerate(order, 1):
                told = why if each is counts else _passed_over(each, counts, looked) or f"{counts.key} counts: {why}"
                listed.append(Listed(each.key, student, rank, told))
    listed += [Listed(each.key, "", 0, each.why) for each in findings.aside]
    nobodys = [student for student, files in students.items() if _is_nobodys(student, files, lessons)]
    if 2 * len(nobodys) > len(students):
        names = _names(nobodys, 5)
        doubts.append(
            f"{len(nobodys)} of {counted(len(students), 'student')} would have a name that is no person's: {names}."
        )
    notes = [*findings.notes, *_notes(students, nobodys)]
    return Census(findings.found, listed, superseded, findings.aside, notes, doubts)


def _passed_over(file: Found, counts: Found, looked: Mapping[str, Looked]) -> str:
    """Return why a file does not count in which there is less than in the one that does; nothing where there is not."""
    of, other = looked.get(file.key), looked.get(counts.key)
    if of is None or other is None or (of.readable == other.readable and of.written >= other.written):
        return ""
    lacks = "it can't be read" if not of.readable else "nothing is written in it"
    return f"{lacks}, and {counts.key} counts"


def _by_lesson(files: list[Found], looked: Mapping[str, Looked]) -> dict[str, list[Found]]:
    lessons: dict[str, list[Found]] = {}
    for each in files:
        lessons.setdefault(looked[each.key].lesson if looked else "", []).append(each)
    return lessons


def _too_many(student: str, lesson: str, group: Sequence[Found], of: int) -> Iterator[str]:
    """Yield what is wrong with a student who would have more files of one lesson than anybody hands in.

    Where a platform's names seem to say so, it is wrong if these are most of all files: by hand, a class's may look so.
    """
    unsure = [each for each in group if not (each.told if 2 * len(group) > of else each.sure)]
    if len(unsure) > FEW:
        what = f"notebooks of {lesson}" if lesson else "files"
        names = ", ".join(each.key for each in unsure[:FEW])
        yield f"{plain(student, 60)} would be one student with {len(unsure)} {what}: {names}, …"


def _is_nobodys(student: str, files: Sequence[Found], lessons: frozenset[str]) -> bool:
    return not any(each.sure for each in files) and is_place(student, lessons)


def _notes(students: dict[str, list[Found]], nobodys: Sequence[str]) -> Iterator[str]:
    if nobodys:
        named = [f"{plain(student, 60)} ({students[student][0].key})" for student in nobodys[:SHOWN]]
        yield "no person's name, and graded as one: " + ", ".join(named) + (", …" if len(nobodys) > SHOWN else "")
    for student, other in _perhaps_one(students):
        yield f"{plain(student, 60)} may be {plain(other, 60)}, and is graded as another student"
    apart = {student.partition("/")[0] for student, files in students.items() if "/" in student and not files[0].sure}
    for folder in sorted(apart):
        yield f"{folder}/ lies among students' folders and holds some itself: they are graded as {folder}/NAME"


def _perhaps_one(students: dict[str, list[Found]]) -> Iterator[tuple[str, str]]:
    """Yield students whose name is another's with what a browser, a drive or a system adds to that of a copy."""
    folded = {student.casefold(): student for student in students}
    for student, files in students.items():
        other = folded.get(_COPIED.sub("", student.casefold()), student)
        if other != student and not any(each.sure for each in files):
            yield student, other


def _names(students: Sequence[str], most: int) -> str:
    return ", ".join(plain(name, 60) for name in students[:most]) + (", …" if len(students) > most else "")


def in_order(files: Sequence[Found], looked: Mapping[str, Looked] = MappingProxyType({})) -> tuple[list[Found], str]:
    """Return one student's files of one lesson, the one that counts last, and what tells that it does.

    It is one that can be read, and the newest. The platform's numbers of the files tell which is; else those of the
    attempts; else the numbers in names that are the same otherwise, as in ``hw.ipynb`` and ``hw (1).ipynb``; else the
    times. Where no attempt and no time tells it, one as it was handed out is none that was handed in; else, for want of
    anything better, the names tell it.

    Args:
        files: The files.
        looked: What was seen in them, by key, as far as it is known.

    """
    if len(files) < 2:
        return list(files), ""
    damaged = [each for each in files if each.key in looked and not looked[each.key].readable]
    if 0 < len(damaged) < len(files):
        order, why = in_order([each for each in files if each not in damaged], looked)
        return [*in_order(damaged)[0], *order], why or "no other can be read"
    if all(each.serial for each in files) and len({each.serial for each in files}) == len(files):
        return sorted(files, key=lambda each: each.serial), "the platform numbered it later"
    times = {each.key: each.time for each in files}
    told = all(times.values()) and max(times.values()) - min(times.values()) > SAME_TIME
    if not told or len({bool(each.place.members) for each in files}) > 1:  # an archive's times have no time zone
        times = dict.fromkeys(times, 0.0)
    series: dict[str, float] = {}
    for each in files:
        name, _ = numbers(each.key)
        series[name] = max(series.get(name, 0.0), times[each.key])

    def place(each: Found) -> tuple[int, float, bool, str, tuple[int, ...], str]:
        name, order = numbers(each.key)
        written = each.key not in looked or looked[each.key].written
        return each.attempt, series[name], written, name, order, each.key

    order = sorted(files, key=place)
    (attempt, time, written, name, number, _) = place(order[-1])
    (before, earlier, wrote, other, smaller, _) = place(order[-2])
    if attempt != before:
        why = f"it is attempt {attempt}"
    elif time == earlier and written != wrote:
        why = "nothing is written in the other"
    elif name == other and number != smaller:
        why = "its name has the higher number"
    elif time != earlier:
        why = "it was changed later"
    else:
        why = "no number and no time tells which is newer, and its name comes last"
    return order, why
