"""Which files are submissions, and whose: told from names and places alone, with no notebook opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from lossbook.grading.read import archives, layouts
from lossbook.grading.read.archives import Item, Place
from lossbook.grading.read.layouts import Aside, Holding, LayoutError, instead, stem
from lossbook.grading.read.members import is_archive
from lossbook.grading.read.naming import bare, numbered, printable, sections
from lossbook.grading.read.reading import LARGEST, UnreadableError

__all__ = ["LARGEST", "Findings", "Found", "LayoutError", "NotFoundError", "UnreadableError", "find", "look"]


class NotFoundError(ValueError):
    """There is no submission where some were looked for; the message names the place."""


@dataclass(frozen=True)
class Found:
    """A submission, not yet opened.

    Args:
        key: The path from the root, unique below it, in printable characters.
        student: Who handed it in.
        name: The file's own name, without what a learning platform put around it.
        attempt: The platform's number of the attempt, 0 where it gives none.
        late: Whether the platform says that it came late.
        problem: Why it cannot be read, as far as this is known without opening it, or nothing.
        size: The number of bytes, as far as this is known.
        serial: The platform's number of the file, the higher the later, or 0.
        time: When it was last changed, in seconds; 0 where that is not known.
        sure: Whether a platform or the teacher says whose it is.
        lesson: The lesson that it answers, where the teacher's pattern says so.
        told: Whether the teacher says whose it is.
        person: The student's name, without the number that tells two of one name apart.
        number: The platform's number of the student, where it is the same in every assignment.

    """

    key: str
    student: str
    name: str
    attempt: int
    late: bool
    problem: str
    size: int
    place: Place = field(default=Place(""), repr=False)
    serial: int = 0
    time: float = 0.0
    sure: bool = False
    lesson: str = ""
    told: bool = False
    person: str = ""
    number: str = ""

    def read(self) -> bytes:
        """Return the bytes of the file. Raises UnreadableError with the reason where it cannot be read."""
        if self.problem:
            raise UnreadableError(self.problem)
        return archives.read(self.place)


@dataclass(frozen=True)
class Findings:
    """What is below a folder or in an archive: submissions, sorted by key; what is none; what to say, and to doubt."""

    found: list[Found]
    aside: list[Aside]
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def find(root: Path) -> list[Found]:
    """Return the submissions below a folder or in a zip archive, sorted by key; see ``look``."""
    return look(root).found


Known = Mapping[str, Set[str]]  # the platform's lasting numbers of the students of each name
NOBODY: Known = MappingProxyType({})


def look(
    root: Path,
    layout: str = "auto",
    pattern: str = "",
    lessons: frozenset[str] = frozenset(),
    known: Known = NOBODY,
) -> Findings:
    """Return what is below a folder or in a zip archive.

    A folder per student, the flat files and archives of Canvas and Moodle, nbgrader's folders, and archives of any of
    these are told apart by their names and places.

    Args:
        root: The folder or archive.
        layout: One of ``layouts.NAMES``, or ``folders:2`` and so on.
        pattern: A regular expression with the group ``student``, perhaps ``lesson`` and ``attempt``, which is searched
            for in each path; it goes before the layout.
        lessons: Words of the lessons' names, which are nobody's.
        known: The numbers of students who were met elsewhere: two of one name are told apart by them.

    Raises:
        NotFoundError: There is no such folder or archive, it cannot be opened, or it holds no submission.
        LayoutError: The layout or the pattern is none.

    """
    root = Path(root)
    own = os.path.basename(os.path.realpath(root))
    read = list(layouts.read(_items(root), stem(own) if is_archive(own) else own, layout, pattern, lessons))
    holdings = [each for each in read if isinstance(each, Holding)]
    notes = [each for each in read if isinstance(each, str)]
    aside = [each for each in read if isinstance(each, Aside)]
    having = {(holding.named.student, holding.named.number) for holding in holdings if holding.notebooks}
    wanted = []
    for holding in holdings:
        if _is_beside(holding) and (holding.named.student, holding.named.number) in having:
            aside.append(Aside(_key(holding), f"it is no notebook, and {holding.named.student} handed in one"))
        else:
            wanted.append(holding)
    if not wanted:
        told = [f"{each.key} ({each.why})" for each in aside[:3]] + ["…"] * (len(aside) > 3)
        there = ": " + ", ".join(told) if told else ""
        raise NotFoundError(f"root is {str(root)!r}; it must hold submissions, and no file in it is one{there}")
    names = _apart(wanted, known)
    found = sorted(
        (each for holding in wanted for each in _found(holding, names)), key=lambda each: (each.key, each.place.members)
    )
    keys: set[str] = set()
    unique = [replace(each, key=_new(each.key, keys)) for each in found]
    return Findings(
        sorted(unique, key=lambda each: each.key),
        [replace(each, key=_new(each.key, keys)) for each in aside],
        notes,
        list(_in_two_sections(wanted)),
    )


def _in_two_sections(holdings: list[Holding]) -> Iterator[str]:
    """Yield who would be one student although two parts of the class, such as its groups, each have one so called."""
    parts: dict[str, dict[tuple[str, ...], str]] = {}
    for holding in holdings:
        above = holding.items[0].parts[: holding.depth]
        if not holding.sure and (own := sections(above)):
            parts.setdefault(holding.named.student, {}).setdefault(own, printable("/".join(above)))
    for student, places in parts.items():
        if len(places) > 1:
            first, second, *_ = places.values()
            yield (
                f"{student} is in {first}/ and in {second}/. For two persons, give a --pattern whose student takes "
                "both names, as in '^(?P<student>[^/]+/[^/.]+)'; --force takes them for one."
            )


def _is_beside(holding: Holding) -> bool:
    """Return whether something without a notebook is looked at only if there is nothing else of the student's."""
    if holding.notebooks or any(item.grave for item in holding.items):
        return False
    return holding.named.text_only or holding.named.platform or not holding.folder


def _key(holding: Holding) -> str:
    return printable("/".join(holding.items[0].parts[: holding.depth + 1]))


def _items(root: Path) -> list[Item]:
    """Return all that is below the root."""
    shown, path = repr(printable(str(root))), os.path.realpath(root)
    if os.path.isdir(path):
        items = list(archives.below(path))
        if items and not items[0].parts:  # the folder itself
            raise NotFoundError(f"root is {shown}; it must be a folder that can be read: {items[0].problem}")
        return items
    if not os.path.isfile(path):
        raise NotFoundError(f"root is {shown}; it must be a folder of submissions or a zip archive")
    try:
        return archives.archived(path)
    except UnreadableError as error:
        raise NotFoundError(f"root is {shown}; it must be a folder of submissions or a zip archive: {error}") from None


def _apart(holdings: list[Holding], known: Known) -> dict[tuple[str, str], str]:
    """Return what each student is called, with the platform's number where two have the same name."""
    numbers: dict[str, set[str]] = {}
    for holding in holdings:
        named = holding.named
        met = known.get(named.student, set()) if named.lasting else set()
        numbers.setdefault(named.student, set()).update(filter(None, [named.number]), met)
    return {
        (student, number): numbered(student, number) if number and len(numbers[student]) > 1 else student
        for student, number in ((holding.named.student, holding.named.number) for holding in holdings)
    }


def _found(holding: Holding, names: dict[tuple[str, str], str]) -> Iterator[Found]:
    """Yield what is graded or reported of one student's folder, archive or file."""
    named, reported = holding.named, [item for item in holding.items if item.kind == "notebook" or item.grave]
    if not reported:
        first = holding.items[0]
        kind = "archive" if is_archive(first.parts[holding.depth]) else "folder"
        none = f"no notebook in this student's {kind}" if holding.folder else "not a notebook"
        others = [printable(item.parts[-1]) for item in holding.items if item.kind == "other"]
        held = f"it holds {others[0]}" + (f" and {len(others) - 1} more" if others[1:] else "") if others else ""
        handed = next((told for item in holding.items if (told := instead(item.parts[-1]))), held * holding.folder)
        none = f"{none}: {handed}" if handed else none
        problem = next((item.problem for item in holding.items if item.problem), none)
        size = 0 if holding.folder else first.size
        reported = [Item(first.parts[: holding.depth + 1], "other", first.place, size, problem)]
    for item in reported:
        own = named.file if len(item.parts) == holding.depth + 1 and not holding.folder else bare(item.parts[-1])
        yield Found(
            key=printable("/".join(item.parts)),
            student=names[named.student, named.number],
            name=printable(own),
            attempt=named.attempt,
            late=named.late,
            problem=item.problem,
            size=item.size,
            place=item.place,
            serial=named.serial,
            time=item.time,
            sure=holding.sure,
            lesson=holding.lesson,
            told=holding.told,
            person=named.student,
            number=named.number if named.lasting else "",
        )


def _new(key: str, keys: set[str]) -> str:
    """Return a key, with a number behind it where it is among the keys already; and enter it there."""
    new, times = key, 1
    while new in keys:
        times += 1
        new = f"{key} ({times})"
    keys.add(new)
    return new
