"""Tells which answers are those of the published solution, word for word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from lossbook.grading.run.sandbox.cells import unprompted

LONG = 80  # characters of an answer without blanks: what is shorter may be found twice
FEWEST = 2  # long answers that are the same before it is worth a remark
_FUNCTION = re.compile(r"^def[ \t]+(\w+)[ \t]*\([^\n]*\n((?:[ \t]+[^\n]*\n|[ \t]*\n)*)", re.MULTILINE)
_TEXT = re.compile(  # one that does not end goes to the end of all
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:"""|\\?\Z)|\'\'\'(?:[^\'\\]++|\\.|\'(?!\'\'))*+(?:\'\'\'|\\?\Z)', re.DOTALL
)
_COMMENT = re.compile(r"#[^\n]*")
_BLANK = re.compile(r"\s+")


def answers(sources: Iterable[str]) -> dict[str, str]:
    """Return the functions that cells define at their top: of each, what it does, without comments and blanks."""
    found = {}
    for source in sources:
        plain = unprompted(source.replace("\r\n", "\n").replace("\r", "\n")) + "\n"
        for name, body in _FUNCTION.findall(plain):
            found[name] = _BLANK.sub("", _COMMENT.sub("", _TEXT.sub("", body)))
    return found


def published(lessons: Path, lesson: str) -> dict[str, str]:
    """Return the answers of a lesson's published solution; none where it is not beside the folder of the lessons."""
    path = Path(lessons).resolve().parent / "solutions" / f"{lesson}.ipynb"
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return answers("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def copied(sources: Iterable[str], asked: Iterable[str], solution: Mapping[str, str]) -> tuple[str, ...]:
    """Return a remark where several answers are the solution's, word for word, comments and blanks apart.

    Args:
        sources: The student's cells.
        asked: The functions that the lesson asks for.
        solution: What ``published`` returned.

    """
    given = answers(sources)
    same = [name for name in asked if len(given.get(name, "")) >= LONG and given[name] == solution.get(name)]
    return (
        (f"the answers are the published solution's, word for word: {', '.join(same)}",) if len(same) >= FEWEST else ()
    )
