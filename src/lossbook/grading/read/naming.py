"""Whose a file is, by the name that a learning platform or a teacher gave it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# Canvas: lastfirst_LATE_12345_678901_03-bce-1.ipynb, with the numbers of the student and of the file, and the number of
# the attempt behind the student's own name for the file. In 03-bce_2025_11_03T10_15.zip the numbers are a date.
_CANVAS = re.compile(
    r"(?P<who>.+?)_(?P<late>LATE_)?(?P<number>\d+)_(?P<serial>\d+)_(?P<file>.+)",
    re.DOTALL,
)
_TYPED = re.compile(r"(?P<who>.+?)_(?P<late>LATE_)?(?P<number>\d+)_(?:text|link)\.html", re.DOTALL)
_DAY = re.compile(r"(?:19|20)\d\d_[01]?\d_[0-3]?\d(?!\d)")
_ATTEMPT = re.compile(r"(?P<stem>.+)-(?P<attempt>\d{1,3})(?P<ending>\.[^.]+)", re.DOTALL)
# Moodle: Ann Lee_123456_assignsubmission_file_03-bce.ipynb, or a folder that ends with file or file_.
_MOODLE = re.compile(
    r"(?P<who>.+?)(?:_(?P<number>\d+))?_assignsubmission_(?P<kind>file|onlinetext)(?:_(?P<file>.*))?", re.DOTALL
)
# Open edX: [1] - alice - 03-bce.ipynb, with the number of the file among the student's.
_EDX = re.compile(r"\[(?P<serial>\d+)\] - (?P<who>.+?) - (?P<file>.+)", re.DOTALL)
# Blackboard: Lesson 3_alee_attempt_2025-11-03-22-10-11_03-bce.ipynb, and a text without a name of its own beside it.
_BLACKBOARD = re.compile(r".+_(?P<who>[^_]+)_attempt_(?P<stamp>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)", re.DOTALL)
# Folders of Brightspace: 1234-567 - Ann Lee - Nov 3, 2025 1022 PM, and of nbgrader's inbound/:
# ann+ps1+2025-11-03 22:10:11 UTC+hash.
_BRIGHTSPACE = re.compile(
    r"\d+-\d+ - (?P<who>.+) - (?P<month>[A-Z][a-z]{2}) (?P<day>\d{1,2}), (?P<year>\d{4}) "
    r"(?P<hour>\d{1,2})(?P<minute>\d\d) (?P<half>[AP])M",
    re.DOTALL,
)
_INBOUND = re.compile(r"(?P<who>[^+]+)\+[^+]+\+(?P<stamp>\d{4}-\d\d-\d\d \d\d.\d\d.\d\d)[^+]*\+\w+", re.DOTALL)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# By hand: alice_03-bce.ipynb or 03-bce_alice.ipynb.
_LESSON_FIRST = re.compile(r"\d{1,2}-[^\W\d_]+(?=[-_ ])")
_LESSON_LAST = re.compile(r"(?<=[-_ ])\d{1,2}-[^\W\d_]+$")
_EXPORT = re.compile(
    r"(?:all[-_ ])?(?:submissions?|submitted|exports?|class(?:es)?|courses?|downloads?|students?|assignments?)"
)
NOTEBOOKS = (".ipynb", ".ipynb.txt", ".ipynb.json")  # browsers and systems add an ending to what they take for text
# Words that the names of weeks, assignments and folders are made of, beside numbers and letters, and no person's is.
_OF_PLACES = """
    all answer answers archive assignment assignments attempt attempts autograded backup blatt chapter class classes
    collected collection copy course courses day download downloads draft drafts due ex exam exercise exercises export
    exported exports feedback file files final first folder folders graded homework homeworks hw hws in inbox index lab
    labs late lecture lektion lesson lessons loss losses module my new notebook notebooks of old on other others part
    problem project ps pset question quiz received release resubmission resubmissions resubmit resubmitted sec second
    section semester session sheet solution solutions source ss students submission submissions submit submitted
    task tasks term test the third time tmp try tutorial ubung ubungen unit unsorted untitled upload uploaded uploads v
    ver version versions week weeks woche work working ws
"""
_OF_GROUPS = "cohort group groups grp gruppe gruppen kohorte kurs pair team teams"
_PLACES, _GROUPS = frozenset(_OF_PLACES.split()), frozenset(_OF_GROUPS.split())
_BESIDE = _GROUPS | {"student"}  # a place with another word alone: Student Work, but student 12 where names are hidden
_SECTION = re.compile(rf"\b(?:section|sec|{_OF_GROUPS.replace(' ', '|')}) \w+")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
# The numbers of students may look like a date without its signs, such as 20210415.
_DATE = re.compile(r"\W*(?<!\d)(?:19|20)\d\d([-_. ])[01]?\d\1[0-3]?\d(?!\d)(?:[-_ tT][\d:_.hmzZ -]*)?\W*")


@dataclass(frozen=True)
class Named:
    """What a name says.

    Args:
        student: Who handed it in.
        number: The platform's number of the student, or nothing.
        lasting: Whether this number is the student's own in every assignment, as Canvas's is, and Moodle's is not.
        file: The file's own name.
        attempt: The platform's number of the attempt, or 0.
        late: Whether the platform says that it came late.
        platform: Whether a learning platform gave the name.
        serial: The platform's number of the file, or its time as one number; the higher the later, or 0.
        text_only: Whether it is a text typed into the platform, which comes beside the files.

    """

    student: str
    file: str
    number: str = ""
    attempt: int = 0
    late: bool = False
    platform: bool = False
    serial: int = 0
    text_only: bool = False
    lasting: bool = False


def parse(name: str, folder: bool, canvas: bool = True) -> Named:
    """Return what the name of a student's file or archive, or of a student's folder, says.

    Args:
        name: The name.
        folder: Whether it is a folder's.
        canvas: Whether Canvas may have given it. By hand, ``lab_3_1_ann.ipynb`` looks the same.

    """
    name = name if folder else bare(name)
    if found := _MOODLE.fullmatch(name):
        return Named(
            _person(found["who"]),
            found["file"] or name,
            found["number"] or "",
            platform=True,
            text_only=found["kind"] == "onlinetext",
        )
    found = _CANVAS.fullmatch(name) if canvas else None
    if found and not _DAY.match(name, found.start("number")):
        again = _ATTEMPT.fullmatch(found["file"])
        return Named(
            _person(found["who"]),
            again["stem"] + again["ending"] if again else found["file"],
            found["number"],
            int(again["attempt"]) if again else 0,
            late=found["late"] is not None,
            platform=True,
            serial=int(found["serial"]),
            lasting=True,
        )
    if found := _TYPED.fullmatch(name):
        late = found["late"] is not None
        return Named(
            _person(found["who"]), name, found["number"], late=late, platform=True, text_only=True, lasting=True
        )
    if found := _EDX.fullmatch(name):
        return Named(_person(found["who"]), found["file"], platform=True, serial=int(found["serial"]))
    if found := _BLACKBOARD.fullmatch(name):
        typed = found["file"] is None
        file, serial = found["file"] or name, _digits(found["stamp"])
        return Named(_person(found["who"]), file, platform=True, serial=serial, text_only=typed)
    if folder:
        return _attempt(name) or Named(_person(name), name)
    path = PurePosixPath(name)
    if found := _LESSON_FIRST.match(path.stem) or _LESSON_LAST.search(path.stem):
        who = (path.stem[: found.start()] + path.stem[found.end() :]).strip("-_ ")
        if any(map(str.isalpha, who)):
            return Named(_person(who), found[0] + path.suffix)
    return Named(_person(path.stem), name)


def _attempt(folder: str) -> Named | None:
    """Return what the name of a folder says in which a platform keeps one attempt."""
    if found := _INBOUND.fullmatch(folder):
        return Named(_person(found["who"]), folder, platform=True, serial=_digits(found["stamp"]))
    found = _BRIGHTSPACE.fullmatch(folder)
    if found is None or found["month"] not in _MONTHS:
        return None
    hour = int(found["hour"]) % 12 + 12 * (found["half"] == "P")
    parts = int(found["year"]), _MONTHS.index(found["month"]) + 1, int(found["day"]), hour, int(found["minute"])
    return Named(_person(found["who"]), folder, platform=True, serial=int("{:04}{:02}{:02}{:02}{:02}".format(*parts)))


def _digits(stamp: str) -> int:
    return int("".join(filter(str.isdecimal, stamp)))


def numbered(student: str, number: str) -> str:
    """Return what a student is called where another has the same name."""
    return f"{student} ({number})"


def recorded(student: str, key: str) -> Named | None:
    """Return what a file's path says of its student's lasting number; None where it says nothing of this student.

    Args:
        student: Whose the file was said to be, with or without the number.
        key: The path.

    """
    for part in key.split("/"):
        named = parse(part, False)
        if named.lasting and student in (named.student, numbered(named.student, named.number)):
            return named
    return None


def is_export(name: str) -> bool:
    """Return whether a folder or archive of this name holds a whole class, such as ``submissions.zip``."""
    found = _EXPORT.match(name.casefold())
    return found is not None and not name[found.end() : found.end() + 1].isalpha()


def is_place(name: str, lessons: frozenset[str] = frozenset()) -> bool:
    """Return whether a name is a week's, an assignment's or a date, and no person's, such as ``week 3`` or ``03-bce``.

    Args:
        name: The name of a folder or archive, or of a file without its ending.
        lessons: Words of the lessons' names, which are no person's either.

    """
    words = _words(name)
    letters = [word for word in words if not word.isdecimal()]
    known = [word for word in letters if word in _PLACES or word in lessons]
    if known:
        return all(len(word) == 1 or word in known or word in _BESIDE for word in letters)
    return _DATE.fullmatch(name) is not None


def sections(parts: Sequence[str]) -> tuple[str, ...]:
    """Return which parts of a class the names of folders say, such as ``("group a",)`` of ``week 3/Group_A``."""
    found = (_SECTION.search(" ".join(_words(part))) for part in parts)
    return tuple(match[0] for match in found if match)


def is_together(name: str) -> bool:
    """Return whether a name may be a group's that hands in together, or a part's of a class: ``Team 3``, ``7``."""
    words = _words(name)
    letters = [word for word in words if not word.isdecimal() and len(word) > 1]
    if not letters:
        return bool(words) and all(len(word) <= 2 for word in words)
    return all(word in _GROUPS for word in letters)


def _words(name: str) -> list[str]:
    """Return the words and numbers of a name, without accents, and with what is inside a date left out."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return _WORDS.findall(_DATE.sub(" ", bare))


def numbers(name: str) -> tuple[str, tuple[int, ...]]:
    """Return a file's name without its numbers, and these: ``hw (2)`` is later than ``hw``, ``hw 10`` than ``hw 9``."""
    stem = name.casefold()
    for ending in NOTEBOOKS:
        stem = stem.removesuffix(ending)
    found = tuple(int(number) for number in re.findall(r"[0-9]{1,18}", stem))
    return re.sub(r"[\s_.-]*[(\[]?[0-9]+[)\]]?", "", stem), found


def printable(text: str) -> str:
    """Return the text with every character escaped that cannot be seen, such as controls and undecodable bytes."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte of a file's name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def bare(name: str) -> str:
    """Return a notebook's name without the ending that a browser or a system put behind its own."""
    ending = next((end for end in NOTEBOOKS[1:] if name.casefold().endswith(end)), "")
    return name[: len(name) - len(ending) + len(NOTEBOOKS[0])] if ending else name


def _person(name: str) -> str:
    # A Mac decomposes letters with accents: the same name must not make two students.
    return printable(unicodedata.normalize("NFC", name).strip() or name)
