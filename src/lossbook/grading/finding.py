"""Which files are submissions, and whose: told from names and places alone, with no notebook opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossbook.grading import archives
from lossbook.grading.archives import Item, Place
from lossbook.grading.members import is_archive
from lossbook.grading.naming import Named, is_export, parse, printable
from lossbook.grading.reading import LARGEST, UnreadableError

__all__ = ["LARGEST", "Found", "NotFoundError", "UnreadableError", "find"]

_WRAPPERS = 4  # folders and archives around a class: an export in a zip in a folder, and one to spare


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

    """

    key: str
    student: str
    name: str
    attempt: int
    late: bool
    problem: str
    size: int
    place: Place = field(default=Place(""), repr=False)

    def read(self) -> bytes:
        """Return the bytes of the file. Raises UnreadableError with the reason where it cannot be read."""
        if self.problem:
            raise UnreadableError(self.problem)
        return archives.read(self.place)


@dataclass(frozen=True)
class _Holding:
    """What one student's folder, archive or single file holds."""

    named: Named
    items: list[Item]
    depth: int  # of its name in the items' parts
    folder: bool

    @property
    def notebooks(self) -> bool:
        return any(item.kind == "notebook" for item in self.items)


def find(root: Path) -> list[Found]:
    """Return the submissions below a folder or in a zip archive, sorted by key.

    A folder per student, the flat files and archives of Canvas and Moodle, nbgrader's folders, and archives of any of
    these are told apart by their names and places.

    Args:
        root: The folder or archive.

    Raises:
        NotFoundError: There is no such folder or archive, it cannot be opened, or it holds no submission.

    """
    items = _items(Path(root))
    holdings = list(_holdings(items, 0))
    having = {(holding.named.student, holding.named.number) for holding in holdings if holding.notebooks}
    wanted = [
        holding
        for holding in holdings
        if not (holding.named.text_only and (holding.named.student, holding.named.number) in having)
    ]
    if not wanted:
        raise NotFoundError(f"root is {str(root)!r}; it must hold submissions, and no file in it is one")
    names = _apart(wanted)
    found = [each for holding in wanted for each in _found(holding, names)]
    return _unique(sorted(found, key=lambda each: (each.key, each.place.members)))


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


def _holdings(items: list[Item], depth: int) -> Iterator[_Holding]:
    """Yield what each student holds, of items that lie this deep or deeper."""
    tops: dict[str, list[Item]] = {}
    for item in items:
        tops.setdefault(item.parts[depth], []).append(item)
    if "submitted" in tops and depth < _WRAPPERS and (inner := _inner(tops["submitted"], depth)):
        yield from _holdings(inner, depth + 1)  # nbgrader's course, which holds the lessons and the solutions too
        return
    exports = _are_exports(tops, depth)
    for name, group in tops.items():
        folder = any(item.kind == "folder" or len(item.parts) > depth + 1 for item in group)
        wrapper = is_export(name) and (len(tops) == 1 or is_archive(name))
        if not folder or parse(name, True).platform or depth >= _WRAPPERS:
            wraps = False
        else:
            wraps = exports or wrapper or (len(tops) == 1 and _holds_class(group, depth + 1))
        if wraps and (inner := _inner(group, depth)):
            yield from _holdings(inner, depth + 1)
        else:
            yield _Holding(parse(name, folder and not is_archive(name)), group, depth, folder)


def _inner(group: list[Item], depth: int) -> list[Item]:
    return [item for item in group if len(item.parts) > depth + 1]


def _are_exports(tops: dict[str, list[Item]], depth: int) -> bool:
    """Return whether every folder and archive here holds files that a learning platform named.

    Were one enough, a student could hand in an archive that passes for another student's.
    """
    inside = [{item.parts[depth + 1] for item in _inner(group, depth)} for group in tops.values()]
    known = [any(parse(name, True).platform for name in names) for names in inside if names]
    return bool(known) and all(known)


def _holds_class(group: list[Item], depth: int) -> bool:
    """Return whether the only folder or archive there is holds a class, and not one student's files."""
    tops: dict[str, list[Item]] = {}
    for item in group:
        if len(item.parts) > depth:
            tops.setdefault(item.parts[depth], []).append(item)
    if len(tops) == 1:  # a folder in a folder, or in an archive
        return depth < _WRAPPERS and (_are_exports(tops, depth) or _holds_class(group, depth + 1))
    return "submitted" in tops or sum(map(is_archive, tops)) > 1 or _repeats(group, depth)


def _repeats(group: list[Item], depth: int) -> bool:
    """Return whether one notebook is there from two students: two folders, or two names in files' names."""
    seen: dict[str, str] = {}
    for item in group:
        if item.kind != "notebook" or len(item.parts) <= depth:
            continue
        top, name = item.parts[depth], item.parts[-1]
        if len(item.parts) == depth + 1:
            name = parse(top, False).file
            if name == top:  # a file that names no student
                continue
        if seen.setdefault(name, top) != top:
            return True
    return False


def _apart(holdings: list[_Holding]) -> dict[tuple[str, str], str]:
    """Return what each student is called, with the platform's number where two have the same name."""
    numbers: dict[str, set[str]] = {}
    for holding in holdings:
        numbers.setdefault(holding.named.student, set()).update(filter(None, [holding.named.number]))
    return {
        (student, number): f"{student} ({number})" if number and len(numbers[student]) > 1 else student
        for student, number in ((holding.named.student, holding.named.number) for holding in holdings)
    }


def _found(holding: _Holding, names: dict[tuple[str, str], str]) -> Iterator[Found]:
    """Yield what is graded or reported of one student's folder, archive or file."""
    named, reported = holding.named, [item for item in holding.items if item.kind == "notebook" or item.grave]
    if not reported:
        first = holding.items[0]
        kind = "archive" if is_archive(first.parts[holding.depth]) else "folder"
        none = f"no notebook in this student's {kind}" if holding.folder else "not a notebook"
        problem = next((item.problem for item in holding.items if item.problem), none)
        size = 0 if holding.folder else first.size
        reported = [Item(first.parts[: holding.depth + 1], "other", first.place, size, problem)]
    for item in reported:
        own = named.file if len(item.parts) == holding.depth + 1 and not holding.folder else item.parts[-1]
        yield Found(
            key=printable("/".join(item.parts)),
            student=names[named.student, named.number],
            name=printable(own),
            attempt=named.attempt,
            late=named.late,
            problem=item.problem,
            size=item.size,
            place=item.place,
        )


def _unique(found: list[Found]) -> list[Found]:
    """Return the submissions with a number behind every key that an earlier one has."""
    keys: set[str] = set()
    unique = []
    for each in found:
        key, times = each.key, 1
        while key in keys:
            times += 1
            key = f"{each.key} ({times})"
        keys.add(key)
        unique.append(each if key == each.key else replace(each, key=key))
    return sorted(unique, key=lambda each: each.key)
