"""Files and members of archives as they were handed in: listed and read with care, and never unpacked to anywhere."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import IO, BinaryIO

from lossbook.grading.read import members
from lossbook.grading.read.members import DEEPEST, LARGEST_INNER, is_archive
from lossbook.grading.read.naming import NOTEBOOKS, printable
from lossbook.grading.read.reading import LARGEST, UnreadableError, too_large

LARGEST_TABLE = 5_000_000  # bytes of an archive's table of contents: 20 000 members with names of 200 letters
MOST_MEMBERS = 20_000  # members of one archive: a class of 500 that hand in 40 files each
MOST_IN_ALL = 500_000  # members of an archive and of those in it: a class of 500 that hand in 1 000 each
MOST_BYTES = 4_000_000_000  # of all notebooks and archives in an archive, unpacked: they are read one at a time
NESTING = 1  # archives inside an archive: an export of the class that holds each student's archive
_BLOCK = 1_000_000  # bytes read at a time
_TOLD = 6  # names of a path down to which files that are no notebooks are told apart: a student's, and two below it
_IGNORED = {"__macosx", "__pycache__", "timestamp.txt", "feedback.html", "thumbs.db", "desktop.ini"}
_COPIES = (".ipynb_checkpoints", ".git", ".trash", ".~", ".#", "._")  # what programs keep, and nobody hands in


@dataclass(frozen=True)
class Place:
    """Where bytes are: in a file, or in a member of the archive that the file is, or of an archive in it."""

    path: str
    members: tuple[int, ...] = ()


@dataclass(frozen=True)
class Item:
    """A file or a folder below the root.

    Args:
        parts: The path from the root; an archive counts as a folder.
        kind: ``notebook``, ``folder`` or ``other``; or ``hidden``, a notebook, or a folder with one, behind a dot.
        place: Where its bytes are.
        size: How many they are, or are said to be.
        problem: Why it cannot be read, or nothing.
        grave: Whether the problem is reported whatever else the student handed in.
        time: When it was last changed, as its folder or archive has it, in seconds; 0 where that is not known.

    """

    parts: tuple[str, ...]
    kind: str
    place: Place
    size: int = 0
    problem: str = ""
    grave: bool = False
    time: float = 0.0


def below(path: str, parts: tuple[str, ...] = ()) -> Iterator[Item]:
    """Yield what a folder holds, at any depth, archives' members included. Symbolic links are not followed.

    Args:
        path: Where the folder is.
        parts: The path to it from the root.

    """
    try:
        with os.scandir(path) as entries:
            inside = sorted((entry for entry in entries if not _is_copy(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        yield Item(parts, "folder", Place(path), 0, f"the folder cannot be opened ({error.strerror})", grave=True)
        return
    for entry in inside:
        item = _entry(entry, (*parts, entry.name))
        if _ignored(entry.name):
            if _hides(item):
                yield replace(item, kind="hidden")
        elif item.kind != "folder":
            yield from opened(item)
        elif len(item.parts) > DEEPEST:
            yield replace(item, problem=f"its folders are nested more than {DEEPEST} deep")
        else:
            yield item
            yield from below(entry.path, item.parts)


def opened(item: Item, budget: Counter[str] | None = None) -> Iterator[Item]:
    """Yield the item; or, where it is an archive, what it holds, or why it cannot be opened.

    Args:
        item: A file.
        budget: How many bytes may still be unpacked of the archive that it is in.

    """
    if item.problem or item.kind != "other" or not is_archive(item.parts[-1]):
        yield item
        return
    try:
        archive = _archive(item.place, _version(item.place.path))
    except UnreadableError as error:
        yield replace(item, problem=str(error), grave=True)
        return
    budget = _budget() if budget is None else budget
    budget["members"] -= len(archive.infolist())
    if budget["members"] < 0:
        yield replace(item, problem=f"the archives have more than {MOST_IN_ALL} members", grave=True)
        return
    yield replace(item, kind="folder")
    yield from _contents(archive, item, budget)


def archived(path: str) -> list[Item]:
    """Return what the archive at this path holds. Raises UnreadableError where it cannot be opened."""
    place = Place(path)
    return list(_contents(_archive(place, _version(path)), Item((), "folder", place), _budget()))


def _budget() -> Counter[str]:
    return Counter(bytes=MOST_BYTES, members=MOST_IN_ALL)


def _contents(archive: zipfile.ZipFile, item: Item, budget: Counter[str]) -> Iterator[Item]:
    """Yield what an archive holds; of many files that are no notebooks, deep inside, one folder."""
    infos = archive.infolist()
    written = [members.name_of(info) for info in infos]
    names = list(map(members.parts, written))
    times = Counter(names)
    seen: set[tuple[str, ...]] = set()
    for number, (info, name) in enumerate(zip(infos, names, strict=True)):
        wrong = members.wrong_name(written[number])
        if not name or (not wrong and any(map(_ignored, name))):
            for parts, hidden in _seen_of_hidden(name):
                if parts not in seen:
                    seen.add(parts)
                    kind = "hidden" if hidden else "folder"
                    yield Item((*item.parts, *parts), kind, Place(item.place.path, (*item.place.members, number)))
            continue
        kind = "folder" if written[number].endswith("/") else _kind(name[-1])
        if kind != "notebook" and not wrong and name[:_TOLD] in seen and not is_archive(name[-1]):
            continue  # of a thousand files that nobody asked for, one is enough to know
        place = Place(item.place.path, (*item.place.members, number))
        found = Item((*item.parts, *name), kind, place, info.file_size, time=members.time(info))
        if wrong or kind == "notebook" or (kind == "other" and is_archive(name[-1])):
            problem = wrong or members.damage(info) or members.excess(info, name)
            if not problem and times[name] > 1:
                problem = f"the archive has {times[name]} members of this name"
            if not problem:
                budget["bytes"] -= info.file_size
                problem = f"the archive unpacks to more than {MOST_BYTES / 1e9:.0f} GB" if budget["bytes"] < 0 else ""
            yield from opened(replace(found, problem=problem, grave=bool(problem)), budget)
        elif name[:_TOLD] not in seen:
            seen.add(name[:_TOLD])
            kind = kind if len(name) <= _TOLD else "folder"
            yield replace(found, parts=(*item.parts, *name[:_TOLD]), kind=kind, problem=members.damage(info))


def read(place: Place, most: int = LARGEST) -> bytes:
    """Return the bytes of a regular file, or of a member of an archive.

    Args:
        place: Where the bytes are.
        most: How many they may be.

    Raises:
        UnreadableError: It is no regular file, cannot be opened, is damaged or too large.

    """
    if not place.members:
        with _open(place.path) as file:
            return _bounded(file, most)
    archive = _archive(Place(place.path, place.members[:-1]), _version(place.path))
    try:
        with archive.open(archive.infolist()[place.members[-1]]) as member:
            return _bounded(member, most)
    except UnreadableError:
        raise
    except Exception as error:  # made by hostile hands, an archive makes zipfile raise nearly anything
        raise UnreadableError(f"it is damaged in the archive ({_line(error)})") from None


class _Careful(io.RawIOBase):
    """A file that gives no more at once than a table of contents may have: zipfile reads that in one go."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 <= size <= LARGEST_TABLE else LARGEST_TABLE + 1)
        if len(data) > LARGEST_TABLE:
            raise UnreadableError("the archive's table of contents is too long")
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def _version(path: str) -> tuple[int, ...]:
    """Return what tells an open archive from one that changed since, and from another process's after a fork.

    Processes that share an open file share the place in it too.
    """
    try:
        status = os.lstat(path)
    except OSError as error:
        raise UnreadableError(f"it cannot be opened ({error.strerror})") from None
    return os.getpid(), status.st_ino, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)  # the members of one archive are read one after the other
def _archive(place: Place, version: tuple[int, ...]) -> zipfile.ZipFile:
    if len(place.members) > NESTING:
        raise UnreadableError("it is an archive inside an archive inside an archive, which is not opened")
    file = _Careful(io.BytesIO(read(place, LARGEST_INNER)) if place.members else _open(place.path))
    try:
        archive = zipfile.ZipFile(file)
        count = len(archive.infolist())
        if count > MOST_MEMBERS:
            raise UnreadableError(f"the archive has {count} members; at most {MOST_MEMBERS} are read")
    except UnreadableError:
        file.close()
        raise
    except Exception as error:  # as in `read`
        file.close()
        raise UnreadableError(f"the archive is damaged, or is none ({_line(error)})") from None
    return archive


def _open(path: str) -> BinaryIO:
    """Open a regular file, and nothing else: a link could lead out of the folder, a pipe would make us wait."""
    if os.path.islink(path):
        raise UnreadableError(members.special(stat.S_IFLNK))
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise UnreadableError(f"it cannot be opened ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableError(members.special(0))
    return os.fdopen(descriptor, "rb")


def _bounded(file: IO[bytes], most: int) -> bytes:
    """Return all of the file, without believing what it says of its size."""
    data = bytearray()
    try:
        while block := file.read(min(_BLOCK, most + 1 - len(data))):
            data += block
            if len(data) > most:
                raise UnreadableError(f"the file is too large: at most {most / 1e6:.0f} MB are read")
    except OSError as error:
        raise UnreadableError(f"it cannot be read ({error.strerror or _line(error)})") from None
    return bytes(data)


def _seen_of_hidden(name: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield what is seen of a member that is ignored: the folder that it lies in, and what hides a notebook there."""
    at = next(depth for depth, part in enumerate(name) if _ignored(part))
    if at:
        yield name[:at], False
    if name[at].startswith(".") and not any(map(_is_copy, name)) and _kind(name[-1]) == "notebook":
        yield name[: at + 1], True


def _hides(item: Item) -> bool:
    """Return whether something behind a dot is a notebook, or holds one."""
    if item.kind != "folder":
        return item.kind == "notebook"
    return any(inner.kind in ("notebook", "hidden") for inner in below(item.place.path, item.parts))


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _IGNORED


def _is_copy(name: str) -> bool:
    """Return whether a name is one that programs give to copies and to their own files."""
    return name.casefold().startswith(_COPIES) or name.casefold() in _IGNORED


def _kind(name: str) -> str:
    return "notebook" if name.casefold().endswith(NOTEBOOKS) else "other"


def _entry(entry: os.DirEntry[str], parts: tuple[str, ...]) -> Item:
    kind, problem, size, mode, time = _kind(entry.name), "", 0, 0, 0.0
    try:
        status = entry.stat(follow_symlinks=False)
        size, mode, time = status.st_size, status.st_mode, status.st_mtime
    except OSError as error:
        problem = f"it cannot be opened ({error.strerror})"
    if stat.S_ISDIR(mode):
        return Item(parts, "folder", Place(entry.path))
    if mode and not stat.S_ISREG(mode):
        problem = members.special(mode)
    elif kind == "notebook" and size > LARGEST:
        problem = too_large(size)
    grave = bool(problem) and (kind == "notebook" or is_archive(entry.name))
    return Item(parts, kind, Place(entry.path), size, problem, grave, time)


def _line(error: Exception) -> str:
    return printable(str(error))[:200] or type(error).__name__
