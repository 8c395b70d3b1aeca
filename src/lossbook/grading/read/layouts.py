"""Whose each file is, told from the whole tree that was handed in: which of its levels holds the students.

A folder or archive is looked through, as one of a class, a week or a section, where what it holds are several persons'
files and nothing beside it is a person's. So no name alone, and nobody's own folder, changes how the others are read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import PurePosixPath

from lossbook.grading.read.archives import Item
from lossbook.grading.read.members import is_archive
from lossbook.grading.read.naming import NOTEBOOKS, Named, is_export, is_place, is_together, parse, printable

HIDDEN = "its name begins with a dot, which hides it; take the dot away if it was handed in"
NAMES = ("auto", "folders", "files", "canvas", "moodle", "nbgrader")
_WRAPPERS = 4  # folders and archives around a class: an export in a zip in a folder, and one to spare
_SECOND_CLASS = 3  # students of an archive beside others' files, from which on it is a class's and not a student's
_NBGRADER = {"autograded", "downloaded", "feedback", "release", "source"}  # what its course has beside submitted/
_SLUG = re.compile(r"(.+)-submissions", re.DOTALL)  # GitHub Classroom: SLUG-submissions/SLUG-student
# What people hand in in place of a notebook, and what it is called.
INSTEAD = {
    ".py": "a Python file", ".pdf": "a PDF", ".html": "a web page", ".htm": "a web page", ".doc": "a Word document",
    ".docx": "a Word document", ".odt": "a document", ".rtf": "a document", ".pages": "a document",
    ".rar": "a RAR archive", ".7z": "a 7z archive", ".tar": "a tar archive", ".tgz": "a tar archive",
    ".gz": "a compressed file", ".bz2": "a compressed file", ".xz": "a compressed file", ".png": "a picture",
    ".jpg": "a picture", ".jpeg": "a picture", ".heic": "a picture", ".lnk": "a shortcut", ".webloc": "a link",
    ".url": "a link",
}  # fmt: skip
_ARCHIVES = {".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz"}
_COMPANIONS = {"readme", "grades", "roster", "gradebook", "participants", "submission_metadata", "license"}


class LayoutError(ValueError):
    """It cannot be told whose the files are; the message says why, and how it can be said."""


@dataclass(frozen=True)
class Holding:
    """What one student's folder, archive or single file holds.

    Args:
        named: What its name says.
        items: What is in it.
        depth: The place of its name in the items' parts.
        folder: Whether it is a folder or an archive.
        sure: Whether a platform or the teacher says whose it is.
        told: Whether the teacher does.
        lesson: The lesson that it answers, where the teacher's pattern says so.

    """

    named: Named
    items: list[Item]
    depth: int
    folder: bool
    sure: bool = False
    lesson: str = ""
    told: bool = False

    @property
    def notebooks(self) -> bool:
        """Whether a notebook is in it."""
        return any(item.kind == "notebook" for item in self.items)


@dataclass(frozen=True)
class Aside:
    """A file or folder that nothing is made of, and why."""

    key: str
    why: str


Read = Iterator[Holding | Aside | str]  # a text is for the teacher: how something was read
Parse = Callable[[str, bool], Named]


def read(items: list[Item], root: str, layout: str, pattern: str, lessons: frozenset[str]) -> Read:
    """Yield what each student holds, and what is nobody's.

    Args:
        items: All that was found.
        root: The name of the folder or archive that they lie in.
        layout: One of ``NAMES``; ``folders:2`` where the students' folders lie one level further down.
        pattern: A regular expression with the group ``student``, which is searched for in each path; or nothing.
        lessons: Words of the lessons' names.

    Raises:
        LayoutError: The layout or the pattern is none.

    """
    hidden = (Aside(printable("/".join(item.parts)), HIDDEN) for item in items if item.kind == "hidden")
    return chain(hidden, _read([item for item in items if item.kind != "hidden"], root, layout, pattern, lessons))


def _read(items: list[Item], root: str, layout: str, pattern: str, lessons: frozenset[str]) -> Read:
    if pattern:
        return _by_pattern(items, pattern)
    names = parse if is_canvas(items, lessons) else partial(parse, canvas=False)
    name, _, level = layout.partition(":")
    if name == "folders" and (level.isdecimal() or not level) and level != "0":
        return _folders(items, int(level or 1) - 1, names)
    if name not in NAMES or level:
        raise LayoutError(f"--layout is {layout!r}; it must be one of {', '.join(NAMES)}, or folders:2, folders:3")
    if name == "files":
        return _files(items, names)
    if name in ("canvas", "moodle"):
        return _platform(items, name)
    if name == "nbgrader":
        inside = [item for item in items if item.parts[0] == "submitted"]
        return _folders(inside, 1, names) if inside else _folders(items, 0, names)
    return _Tree(lessons, names).read(items, 0, root)


def is_canvas(items: Sequence[Item], lessons: frozenset[str]) -> bool:
    """Return whether names that may be Canvas's are, as a whole: it gives a number to one file, and names persons.

    Files named by hand, such as ``lab_3_1_ann.ipynb``, would make one student of a class.
    """
    named = {found for item in items if (found := _canvas_name(item))}
    times = Counter((where, each.student, each.number, each.serial) for where, each in named)
    odd = sum(
        times[where, each.student, each.number, each.serial] > 1 or is_place(each.student, lessons)
        for where, each in named
    )
    return 2 * odd <= len(named)


def _canvas_name(item: Item) -> tuple[tuple[str, ...], Named] | None:
    """Return what Canvas's name in a path says, the outermost, and where it lies. Late or not, it is the same file."""
    for depth, part in enumerate(item.parts):
        if (named := parse(part, False)).lasting and not named.text_only:
            return item.parts[:depth], replace(named, late=False, attempt=0)
    return None


def holds(group: Sequence[Item]) -> bool:
    """Return whether something in it is graded, or reported whatever else there is."""
    return any(item.kind == "notebook" or item.grave for item in group)


def _tops(items: Sequence[Item], depth: int) -> dict[str, list[Item]]:
    """Return the items by the name that they have at a depth."""
    tops: dict[str, list[Item]] = {}
    for item in items:
        if len(item.parts) > depth:
            tops.setdefault(item.parts[depth], []).append(item)
    return tops


def _is_folder(group: Sequence[Item], depth: int) -> bool:
    return any(item.kind == "folder" or len(item.parts) > depth + 1 for item in group)


def _below(group: Sequence[Item], depth: int) -> list[Item]:
    return [item for item in group if len(item.parts) > depth + 1]


def _key(group: Sequence[Item], depth: int) -> str:
    return printable("/".join(group[0].parts[: depth + 1])) + ("/" if _is_folder(group, depth) else "")


def stem(name: str) -> str:
    """Return a file's name without its ending, ``.ipynb.txt`` and ``.tar.gz`` included."""
    ending = next((end for end in (*NOTEBOOKS[1:], ".tar.gz", ".tar.bz2", ".tar.xz") if name.lower().endswith(end)), "")
    return name[: -len(ending)] if ending else PurePosixPath(name).stem


def instead(name: str) -> str:
    """Return what a file is that was handed in in place of a notebook, and what to ask for, where that is known."""
    ending = PurePosixPath(name).suffix.lower()
    if ending not in INSTEAD:
        return ""
    ask = (
        "ask for the notebook (.ipynb), or for a zip archive"
        if ending in _ARCHIVES
        else "ask for the notebook (.ipynb)"
    )
    return f"{printable(name)} is {INSTEAD[ending]}; {ask}"


class _Tree:
    """Reads a tree in which nobody said where the students are."""

    def __init__(self, lessons: frozenset[str], parse: Parse) -> None:
        self.lessons, self.parse = lessons, parse

    def is_place(self, name: str) -> bool:
        return is_place(stem(name) if is_archive(name) else name, self.lessons)

    def is_nobodys(self, name: str) -> bool:
        """Return whether a name is no person's for sure, or may be a part of a class."""
        return self.is_place(name) or is_together(stem(name) if is_archive(name) else name)

    def read(self, items: Sequence[Item], depth: int, above: str) -> Read:
        """Yield what each student holds, of items that lie this deep or deeper, in a folder of this name."""
        tops = _tops(items, depth)
        for name, why in self._drafts(tops, depth).items():
            yield Aside(_key(tops.pop(name), depth), why)
        folders = {name: group for name, group in tops.items() if _is_folder(group, depth) and holds(group)}
        # Below a week's folder, or nbgrader's, each is a student: the only one, too, who may have put in others' names.
        students = above.casefold() == "submitted" or (depth > 0 and self.is_place(above))
        through = self._through(tops, folders, depth, students) if depth < _WRAPPERS else set[str]()
        for name, group in tops.items():
            if name in through:
                if is_archive(name) and len(through) < len(folders):
                    yield f"{_key(group, depth)[:-1]} is read as the export of another group, not as one student's"
                yield from self.read(_below(group, depth), depth + 1, name)
            elif (
                name in folders
                and self.is_place(name)
                and not is_archive(name)
                and self._is_class(name, group, depth, 1)
            ):
                yield from self._under(name, _below(group, depth), depth)
            elif why := self._stray(name, group, depth, bool(folders), bool(through)):
                yield Aside(_key(group, depth), why)
            else:
                folder = _is_folder(group, depth)
                named = self.parse(self._without_slug(name, above) if folder else name, folder and not is_archive(name))
                yield Holding(named, group, depth, folder, sure=named.platform)

    def _under(self, name: str, inner: list[Item], depth: int) -> Read:
        """Yield the students of a class's folder among others' folders: each under its name, lest it be another's."""
        for found in self.read(inner, depth + 1, name):
            if not isinstance(found, Holding):
                yield found
            else:
                named = replace(found.named, student=f"{printable(name)}/{found.named.student}")
                yield replace(found, named=named)

    def _drafts(self, tops: dict[str, list[Item]], depth: int) -> dict[str, str]:
        """Return which folders a platform keeps beside those that were handed in, each with what is said of it."""
        names = {name.casefold(): name for name, group in tops.items() if _is_folder(group, depth)}
        holding = {name for name, top in names.items() if holds(tops[top])}
        if "submitted" in holding and holding <= _NBGRADER | {"submitted"}:
            return {
                top: "a part of nbgrader's course; submitted/ is graded"
                for low, top in names.items()
                if low in _NBGRADER
            }
        if {"submitted files", "working files"} <= set(names):
            return {names["working files"]: "drafts; what was handed in is in Submitted files"}
        return {}

    def _through(
        self, tops: dict[str, list[Item]], folders: dict[str, list[Item]], depth: int, students: bool
    ) -> set[str]:
        """Return which folders and archives hold a class, or a part of one, and are no student's.

        Args:
            tops: All that is there.
            folders: What of it are folders and archives with something to grade.
            depth: The place of their names in the items' parts.
            students: Whether names of persons here are students' for sure.

        """
        files = [name for name in tops if name not in folders and holds(tops[name])]
        named = {name for name in folders if self._names_student(name)}
        persons = named | {name for name in folders if not self.is_nobodys(name)}
        persons |= {name for name in files if self.parse(name, False).platform or not self.is_nobodys(self._who(name))}
        open_to = {name: group for name, group in folders.items() if name not in named}
        if not persons:
            return {name for name, group in open_to.items() if self._is_class(name, group, depth, 1 + is_archive(name))}
        if not students and len(folders) == len(tops.keys() & (folders.keys() | set(files))) == 1:
            return {name for name, group in open_to.items() if self._is_class(name, group, depth, 2)}
        if not students and not files and open_to == folders and self._are_sections(folders, depth):
            return set(folders)
        return {name for name, group in open_to.items() if self._is_second_class(name, group, tops, depth)}

    def _names_student(self, name: str) -> bool:
        """Return whether a folder's or archive's name is a platform's, or an archive's has a lesson and a person."""
        if self.parse(name, True).platform or not is_archive(name):
            return self.parse(name, True).platform
        named = self.parse(name, False)
        return named.file != name and not self.is_nobodys(named.student)

    def _who(self, file: str) -> str:
        """Return whose a file is by its name, without its ending where it names nobody."""
        named = self.parse(file, False)
        return stem(file) if named.file == file and not named.platform else named.student

    def _is_class(self, name: str, group: Sequence[Item], depth: int, least: int) -> bool:
        """Return whether what a folder or archive holds looks like several persons' files.

        Args:
            name: Its name.
            group: What it holds.
            depth: The place of its name in the items' parts.
            least: How many persons there must be, where no platform named them.

        """
        if depth > 2 * _WRAPPERS:
            return False
        inner = {top: held for top, held in _tops(_below(group, depth), depth + 1).items() if holds(held)}
        folders = {top for top, held in inner.items() if _is_folder(held, depth + 1)}
        files = inner.keys() - folders
        platform = {
            self.parse(top, top in folders).student for top in inner if self.parse(top, top in folders).platform
        }
        if platform and len(platform) >= least:
            return True
        own = {top for top in folders if not self.is_nobodys(top)}
        if self.is_nobodys(name):
            whose = {self._who(file) for file in files}
            persons = own | {who for who in whose if not self.is_nobodys(who)}
            if len(persons) >= (least if self.is_place(name) else 2):
                return self.is_place(name) or bool(own) or len(whose) == len(persons) > 1
            if not files and self.is_place(name) and len(folders) > 1 and not all(map(self.is_place, folders)):
                return True  # of groups, or of students that have numbers
        elif not files and len(own) == len(folders) > 1:
            return True
        elif files and not folders:
            named = {self.parse(file, False).student for file in files if self.parse(file, False).file != file}
            return len(named) > 1 and all(self.parse(file, False).file != file for file in files)
        deeper = [top for top in folders if len(inner) == 1 or self.is_nobodys(top)]
        return not files and any(self._is_class(top, inner[top], depth + 1, max(least, 2)) for top in deeper)

    def _are_sections(self, folders: dict[str, list[Item]], depth: int) -> bool:
        """Return whether several folders are a class's parts, such as tutors', though each could be a person's.

        Then all hold what a platform named, or folders of persons, none of them in two, who handed in the same file.
        """
        if len(folders) < 2 or not all(self._is_class(name, group, depth, 2) for name, group in folders.items()):
            return False
        inside = [_tops(_below(group, depth), depth + 1) for group in folders.values()]
        if all(any(self.parse(name, True).platform for name in names) for names in inside):
            return True
        names = [name for inner in inside for name in inner]
        return len(names) == len(set(names)) and all(self._repeats(inner) for inner in inside)

    def _repeats(self, inner: dict[str, list[Item]]) -> bool:
        """Return whether two folders have a notebook of the same name."""
        files = [
            name for group in inner.values() for name in {item.parts[-1] for item in group if item.kind == "notebook"}
        ]
        return len(files) > len(set(files))

    def _is_second_class(self, name: str, group: list[Item], tops: dict[str, list[Item]], depth: int) -> bool:
        """Return whether an archive among students' folders is an export of others: several, and nobody who is here."""
        if not (is_archive(name) and is_export(name)):
            return False
        held = [found for found in self.read(_below(group, depth), depth + 1, name) if isinstance(found, Holding)]
        inside = {found.named.student.casefold() for found in held if found.notebooks}
        folders = {top: _is_folder(items, depth) and not is_archive(top) for top, items in tops.items() if top != name}
        beside = {self.parse(top, folder).student.casefold() for top, folder in folders.items()}
        return len(inside) >= _SECOND_CLASS and inside.isdisjoint(beside)

    def _without_slug(self, name: str, above: str) -> str:
        slug = _SLUG.fullmatch(above)
        prefix = f"{slug[1]}-" if slug else ""
        return name[len(prefix) :] if prefix and name.startswith(prefix) and len(name) > len(prefix) else name

    def _stray(self, name: str, group: Sequence[Item], depth: int, folders: bool, through: bool) -> str:
        """Return why something without a notebook is no student's work, or nothing where it is."""
        if holds(group) or any(item.problem for item in group):
            return ""
        if _is_folder(group, depth):
            return "no notebook is in it" if through or self.is_nobodys(name) else ""
        named = self.parse(name, False)
        if named.platform or (named.file != name and PurePosixPath(name).suffix.lower() in INSTEAD):
            return ""
        companion = stem(name).casefold() in _COMPANIONS or self.is_nobodys(stem(name))
        if companion or folders or PurePosixPath(name).suffix.lower() not in INSTEAD:
            return "it is no notebook, and lies among students' folders" if folders else "it is no notebook"
        return ""


def _folders(items: list[Item], depth: int, parse: Parse) -> Read:
    """Yield a holding for each folder, archive or file that lies this deep."""
    for item in items:
        if len(item.parts) <= depth and item.kind == "notebook":
            yield Aside(printable("/".join(item.parts)), "it lies above the students' folders")
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        if len(item.parts) > depth:
            groups.setdefault(item.parts[: depth + 1], []).append(item)
    for parts, group in groups.items():
        folder = _is_folder(group, depth)
        if not folder and not holds(group):
            yield Aside(_key(group, depth), "it is no notebook")
            continue
        yield Holding(
            parse(parts[-1], folder and not is_archive(parts[-1])), group, depth, folder, sure=True, told=True
        )


def _files(items: list[Item], parse: Parse) -> Read:
    """Yield a holding for each notebook, by its own name."""
    for item in items:
        if item.kind == "notebook" or item.grave:
            yield Holding(parse(item.parts[-1], False), [item], len(item.parts) - 1, False, sure=True, told=True)
        elif item.kind == "other":
            yield Aside(printable("/".join(item.parts)), "it is no notebook")


def _platform(items: list[Item], name: str) -> Read:
    """Yield a holding for each file, archive or folder that a platform named, however deep it lies."""
    groups: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        at = next((n for n, part in enumerate(item.parts, 1) if _is_of(part, n < len(item.parts), name)), None)
        if at is not None:
            groups.setdefault(item.parts[:at], []).append(item)
        elif item.kind == "notebook" or item.grave:
            yield Aside(printable("/".join(item.parts)), f"{name.title()} names no file so")
    for parts, group in groups.items():
        depth = len(parts) - 1
        folder = _is_folder(group, depth)
        yield Holding(
            parse(parts[-1], folder and not is_archive(parts[-1])), group, depth, folder, sure=True, told=True
        )


def _is_of(part: str, folder: bool, platform: str) -> bool:
    named = parse(part, folder and not is_archive(part))
    return named.platform and (platform == "moodle") == ("_assignsubmission_" in part)


def _by_pattern(items: list[Item], pattern: str) -> Read:
    """Yield a holding for each notebook whose path has what the teacher's pattern looks for."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise LayoutError(f"--pattern is {pattern!r}; it must be a regular expression: {error}") from None
    if "student" not in wanted.groupindex:
        raise LayoutError(f"--pattern is {pattern!r}; it must have the group (?P<student>...)")
    return _matching(items, wanted.search, set(wanted.groupindex))


def _matching(items: list[Item], search: Callable[[str], re.Match[str] | None], groups: set[str]) -> Read:
    for item in items:
        if item.kind != "notebook" and not item.grave:
            continue
        key = printable("/".join(item.parts))
        found = search(key)
        if found is None or not found["student"]:
            yield Aside(key, "the pattern finds no student in its path")
            continue
        told = (found["attempt"] or "") if "attempt" in groups else ""
        attempt = int(told) if told.isdecimal() and len(told) < 19 else 0
        named = replace(parse(item.parts[-1], False), student=found["student"].strip() or found["student"], number="")
        named = replace(named, attempt=attempt or named.attempt)
        lesson = (found["lesson"] or "") if "lesson" in groups else ""
        yield Holding(named, [item], len(item.parts) - 1, False, sure=True, told=True, lesson=lesson)
