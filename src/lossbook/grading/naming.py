"""Whose a file is, by the name that a learning platform or a teacher gave it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

# Canvas: lastfirst_LATE_12345_678901_03-bce-1.ipynb, with the numbers of the student and of the submission, and the
# number of the attempt behind the student's own name for the file.
_CANVAS = re.compile(r"(?P<who>.+?)_(?P<late>LATE_)?(?P<number>\d+)_\d+_(?P<file>.+)", re.DOTALL)
_ATTEMPT = re.compile(r"(?P<stem>.+)-(?P<attempt>\d{1,3})(?P<ending>\.[^.]+)", re.DOTALL)
# Moodle: Ann Lee_123456_assignsubmission_file_03-bce.ipynb, or a folder that ends with file or file_.
_MOODLE = re.compile(
    r"(?P<who>.+?)(?:_(?P<number>\d+))?_assignsubmission_(?P<kind>file|onlinetext)(?:_(?P<file>.*))?", re.DOTALL
)
# By hand: alice_03-bce.ipynb or 03-bce_alice.ipynb.
_LESSON_FIRST = re.compile(r"\d{1,2}-[^\W\d_]+(?=[-_ ])")
_LESSON_LAST = re.compile(r"(?<=[-_ ])\d{1,2}-[^\W\d_]+$")
_EXPORT = re.compile(
    r"(?:all[-_ ])?(?:submissions?|submitted|exports?|class(?:es)?|courses?|downloads?|students?|assignments?)"
)


@dataclass(frozen=True)
class Named:
    """What a name says.

    Args:
        student: Who handed it in.
        number: The platform's number of the student, or nothing.
        file: The file's own name.
        attempt: The platform's number of the attempt, or 0.
        late: Whether the platform says that it came late.
        platform: Whether a learning platform gave the name.
        text_only: Whether it is a text typed into the platform, which comes beside the files.

    """

    student: str
    file: str
    number: str = ""
    attempt: int = 0
    late: bool = False
    platform: bool = False
    text_only: bool = False


def parse(name: str, folder: bool) -> Named:
    """Return what the name of a student's file or archive, or of a student's folder, says."""
    if found := _MOODLE.fullmatch(name):
        return Named(
            _person(found["who"]),
            found["file"] or name,
            found["number"] or "",
            platform=True,
            text_only=found["kind"] == "onlinetext",
        )
    if found := _CANVAS.fullmatch(name):
        again = _ATTEMPT.fullmatch(found["file"])
        return Named(
            _person(found["who"]),
            again["stem"] + again["ending"] if again else found["file"],
            found["number"],
            int(again["attempt"]) if again else 0,
            late=found["late"] is not None,
            platform=True,
        )
    if folder:
        return Named(_person(name), name)
    path = PurePosixPath(name)
    if found := _LESSON_FIRST.match(path.stem) or _LESSON_LAST.search(path.stem):
        who = (path.stem[: found.start()] + path.stem[found.end() :]).strip("-_ ")
        if any(map(str.isalpha, who)):
            return Named(_person(who), found[0] + path.suffix)
    return Named(_person(path.stem), name)


def is_export(name: str) -> bool:
    """Return whether a folder or archive of this name holds a whole class, such as ``submissions.zip``."""
    found = _EXPORT.match(name.casefold())
    return found is not None and not name[found.end() : found.end() + 1].isalpha()


def printable(text: str) -> str:
    """Return the text with every character escaped that cannot be seen, such as controls and undecodable bytes."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte of a file's name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _person(name: str) -> str:
    # A Mac decomposes letters with accents: the same name must not make two students.
    return printable(unicodedata.normalize("NFC", name).strip() or name)
