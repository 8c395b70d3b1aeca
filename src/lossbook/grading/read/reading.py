"""From the bytes that a student handed in to the code to run. Nothing the file says of itself is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from lossbook.grading.read.handed_out import Release, heading, normal
from lossbook.grading.read.slimming import TooMuchError, slim
from lossbook.grading.run.sandbox.cells import unprompted

LARGEST = 100_000_000  # bytes of one notebook: plots that can be turned have some million numbers
HEAVIEST = 20_000_000  # bytes of it without outputs: a lesson has 50 thousand
MOST_VALUES = 500_000  # JSON values of one notebook: each costs memory and time, and 20 MB can hold ten million
MOST_CELLS = 5_000  # a lesson has about 60
MOST_CODE = 1_000_000  # characters of code in one notebook: a solution has 10 thousand
_KINDS = {
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed archive",
    b"Rar!": "an archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"<": "a web page",
}
_UNPRINTABLE = re.compile("[\ud800-\udfff\0]")  # half a character, or none: neither can be written in UTF-8 or compiled
# What binds a name, near enough: definitions, imports, and all names left of the last = of a plain assignment.
_DEFINED = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_BOUND = re.compile(
    r"^[ \t]*+(?:(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+(.+)|([\w \t,=:*.\[\]|]+)(?<![=!<>])=(?!=))", re.MULTILINE
)
_WORD = re.compile(r"\w+")
_PIP = re.compile(r"^[ \t]*[%!][ \t]*(?:python3?[ \t]+-m[ \t]+)?pip3?[ \t]+install\b.*lossbook", re.MULTILINE)
_AROUND_PIP = re.compile(r"[ \t]*+(?:try:|import[ \t]+\w+|except\b[^:]*:|pass|%%capture|[%!].*)?[ \t]*+(?:#.*)?")


class UnreadableError(ValueError):
    """A submission that cannot be read; the message is the reason, in one plain sentence for the teacher."""


@dataclass(frozen=True)
class Submission:
    """What a student handed in for one lesson, as code.

    Args:
        lesson: The lesson that it answers.
        cells: The code to run, in the notebook's order, after the release's setup. Cells that were left as they were
            handed out are reduced to their imports and definitions, or dropped.
        numbers: For each of these, the number of the cell in the notebook, from 1.
        written: The graded functions that some of these seem to define.
        misplaced: The graded functions that only a cell which is no code defines: the name, the cell's number, and what
            it is, such as ``text cell``.

    """

    lesson: str
    cells: tuple[str, ...]
    numbers: tuple[int, ...]
    written: frozenset[str]
    misplaced: tuple[tuple[str, int, str], ...] = ()


def read(data: bytes, releases: Mapping[str, Release], name: str = "", lesson: str | None = None) -> Submission:
    """Return the code of a notebook and the lesson that it answers.

    Args:
        data: The file that was handed in: hostile, until shown otherwise.
        releases: The lessons as handed out, by name.
        name: The file's name, which decides only where the content does not.
        lesson: The lesson that it answers, where that is known.

    Raises:
        UnreadableError: The data is no notebook, or too large a one, or it cannot be told which lesson it answers.
        ValueError: ``releases`` is empty, or ``lesson`` is not in it.

    """
    if not releases:
        raise ValueError("releases is empty; it must hold the lessons that were handed out")
    if lesson is not None and lesson not in releases:
        raise ValueError(f"lesson is {lesson!r}; it must be one of {', '.join(releases)}")
    code, others, title = _code(_cells(_parsed(_text(data))))
    if lesson is None:
        lesson = _lesson([source for _, source in code], title, releases, name)
    release = releases[lesson]
    kept = [(number, part) for number, source in code if (part := _kept(source, release))]
    cells = tuple(part for _, part in kept)
    written, numbers = _bound(cells) & frozenset(release.functions), tuple(number for number, _ in kept)
    return Submission(lesson, cells, numbers, written, _misplaced(others, release, written))


def _text(data: bytes) -> str:
    """Return the file as text."""
    if len(data) > LARGEST:
        raise UnreadableError(too_large(len(data)))
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise UnreadableError("the file is empty" + (", or zeros throughout" if b"\0" in data else ""))
    for start, kind in _KINDS.items():
        if data.lstrip().startswith(start):
            raise UnreadableError(f"the file is {kind}, not a notebook")
    encoding = json.detect_encoding(data)  # UTF-8, -16 or -32, with a byte order mark or without
    if encoding.startswith("utf-8") and (len(data) > HEAVIEST or _values(data) > MOST_VALUES):
        try:
            data = slim(data)
        except TooMuchError as error:
            raise UnreadableError(f"the file holds {error}; no notebook comes near that") from None
    if len(data) > HEAVIEST:
        raise UnreadableError(
            f"the file is too large: {len(data) / 1e6:.1f} MB without its outputs, and at most {HEAVIEST / 1e6:.0f} MB "
            "are read"
        )
    if _values(data) > MOST_VALUES:
        raise UnreadableError(f"the file holds more than {MOST_VALUES} values; no lesson comes near that")
    try:
        return data.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} is 0x{data[error.start]:02x}"
        raise UnreadableError(f"the file is damaged or not a notebook: it is not text in UTF-8 ({where})") from None


def _values(data: bytes) -> int:
    """Return how many values a JSON text has, or more."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def too_large(size: int) -> str:
    """Return the reason why a notebook of this many bytes is not read."""
    return f"the file is too large: {size / 1e6:.1f} MB, and at most {LARGEST / 1e6:.0f} MB are read"


def _parsed(text: str) -> Any:
    """Return what the JSON text says, its numbers aside."""
    try:
        # No number in a notebook matters here; len, unlike int and float, cannot be made slow or refuse a number.
        return json.loads(text, parse_int=len, parse_float=len)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} ({error.msg})"
        raise UnreadableError(f"the file is cut off or not a notebook: {where}") from None
    except RecursionError:
        raise UnreadableError("the file is not a notebook: its parts are nested too deeply") from None
    except MemoryError:
        raise UnreadableError("the file is not a notebook: it does not fit into memory") from None


def _cells(notebook: Any) -> list[Any]:
    """Return the cells of a notebook, of nbformat 4 or 3, whatever its version says."""
    if not isinstance(notebook, dict):
        raise UnreadableError(f"the file is not a notebook: it holds a {_kind(notebook)} and not a notebook's fields")
    cells, sheets = notebook.get("cells"), notebook.get("worksheets")
    if not isinstance(cells, list) and isinstance(sheets, list):
        lists = [sheet["cells"] for sheet in sheets if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)]
        cells = [cell for sheet in lists for cell in sheet]
    if not isinstance(cells, list):
        raise UnreadableError("the file is not a notebook: it has no list of cells")
    if len(cells) > MOST_CELLS:
        raise UnreadableError(f"the notebook has {len(cells)} cells; at most {MOST_CELLS} are read")
    return cells


def _kind(value: Any) -> str:
    names = {list: "list", str: "text", bool: "truth value", type(None): "null"}
    return names.get(type(value), "number")


def _code(cells: list[Any]) -> tuple[list[tuple[int, str]], list[tuple[int, str, str]], str]:
    """Return the code cells with their numbers from 1; the others, with what they are; and the first heading."""
    code, others, title, size = [], [], "", 0
    for number, cell in enumerate(cells, 1):
        source = _source(cell)
        if source is None:
            continue
        if not _is_code(cell):
            title = title or heading(source)
            others.append((number, "raw cell" if cell.get("cell_type") == "raw" else "text cell", source))
            continue
        size += len(source)
        if size > MOST_CODE:
            raise UnreadableError(f"the notebook has more than {MOST_CODE} characters of code, which is the most read")
        code.append((number, _UNPRINTABLE.sub("\ufffd", source)))
    return code, others, title


def _misplaced(
    others: list[tuple[int, str, str]], release: Release, written: frozenset[str]
) -> tuple[tuple[str, int, str], ...]:
    """Return the functions that are asked for and stand in cells that are no code, and in no other."""
    found: dict[str, tuple[str, int, str]] = {}
    for number, kind, source in others:
        for name in _DEFINED.findall(unprompted(normal(source))):
            if name in release.functions and name not in written:
                found[name] = (name, number, kind)
    return tuple(found.values())


def _source(cell: Any) -> str | None:
    """Return the text of a cell, or None where it has none."""
    if not isinstance(cell, dict):
        return None
    source = cell.get("source", cell.get("input"))  # nbformat 3 calls the source of a code cell its input
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    return source if isinstance(source, str) else None


def _is_code(cell: dict[str, Any]) -> bool:
    kind = cell.get("cell_type")
    return kind == "code" if isinstance(kind, str) else not cell.keys().isdisjoint({"outputs", "input"})


def _kept(source: str, release: Release) -> str:
    """Return what is run of a cell: what the release says of a cell left unchanged, all of any other."""
    known = normal(source)
    if known in release.given:
        return release.given[known]
    return "" if not known.strip() or _installs(known) else source


def _installs(source: str) -> bool:
    """Return whether a cell does no more than install the course, as on Colab, in whatever words."""
    return _PIP.search(source) is not None and all(map(_AROUND_PIP.fullmatch, source.split("\n")))


def _bound(sources: Sequence[str]) -> frozenset[str]:
    """Return the names that code seems to define; code that is no Python included, so by its looks."""
    names: set[str] = set()
    for source in map(unprompted, map(normal, sources)):
        names.update(_DEFINED.findall(source))
        for imported, assigned in _BOUND.findall(source):
            names.update(_WORD.findall(imported or assigned))
    return frozenset(names)


def _lesson(sources: list[str], title: str, releases: Mapping[str, Release], name: str) -> str:
    """Return the lesson with most in common with the notebook; the file's name decides between equals."""
    bound, known = _bound(sources), {normal(source) for source in sources}
    scores = {
        lesson: 2 * len(bound.intersection(release.functions))
        + len(known & release.given.keys())
        + 3 * bool(release.title and release.title.casefold() in title.casefold())
        for lesson, release in releases.items()
    }
    best = max(scores.values())
    equals = [lesson for lesson, score in scores.items() if score == best]
    if best and len(equals) == 1:
        return equals[0]
    named = [lesson for lesson in equals if _says(name, lesson)] or [
        lesson for lesson in equals if _says(name, lesson.partition("-")[2])
    ]
    if len(named) == 1:
        return named[0]
    if len(equals) in (1, len(releases)):  # nothing in common, or no more with one than with another
        raise UnreadableError(f"it matches none of the lessons {', '.join(releases)}")
    raise UnreadableError(f"it cannot be told which lesson it is: it matches {', '.join(equals)} equally well")


def _says(name: str, lesson: str) -> bool:
    """Return whether a file's name has the words of a lesson's name in it, one after the other."""
    words, wanted = ("-".join(re.findall(r"[a-z]+|\d+", text.casefold())) for text in (PurePath(name).stem, lesson))
    return bool(wanted) and f"-{wanted}-" in f"-{words}-"
