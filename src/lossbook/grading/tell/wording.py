"""Words for people: whatever a student wrote made fit to show, and numbers, states and times in plain language."""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

from lossbook.grading.keep.records import Record
from lossbook.grading.tell.mathematics import formula

CODE, FORMULA, STRESS = r"`([^`\n]+)`", r"\$([^$\n]+)\$", r"\*(\w[^*\n]*)\*"
SET = re.compile(f"{CODE}|{FORMULA}|{STRESS}")
JOINERS = "\u200c\u200d"  # invisible, and part of how Persian, Hindi and others are written
MARKS_IN_A_ROW = 4  # combining marks beyond these would pile up over the lines above

REASONS = {
    "partial": "The run ended early or lost something, so a part could not be judged. What was judged counts.",
    "timed out": "The notebook ran longer than is allowed and was stopped; a loop that never ends is the usual cause. "
    "What was judged before counts.",
    "killed": "The notebook was stopped by force; it may have used too much memory or ended Python itself. "
    "What was judged before counts.",
    "unreadable": "No notebook could be read from what was handed in.",
}


def plain(text: str, most: int = 200, *, lines: bool = False) -> str:
    """Return a text fit to show: cut to so many characters, with control and direction characters made visible.

    Args:
        text: Anything.
        most: How many of its characters to keep.
        lines: Whether it may have several lines; else a line's end becomes a space.

    """
    if len(text) > most:
        text = text[: most - 1] + "…"
    text = text.replace("\r\n", "\n").replace("\t", "    " if lines else " ")
    text = text if lines else text.replace("\n", " ")
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    shown, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        if marks <= MARKS_IN_A_ROW:
            shown.append(_visible(character))
    return "".join(shown)


def _visible(character: str) -> str:
    if character.isprintable() or character == "\n" or character in JOINERS:
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")


def named(student: str) -> str:
    """Return a student's name fit to show."""
    return plain(student, 80).strip() or "(no name)"


def several(text: str, most: int = 1500) -> str:
    """Return a text of several lines fit to show."""
    return plain(text, most, lines=True)


def told(text: str, most: int = 1500) -> Markup:
    """Return a text of the course fit to show, with its code in backticks, formulas in dollars and stress in stars."""
    parts = SET.split(plain(text, most, lines=True))
    shown = [escape(parts[0])]
    for code, tex, stress, after in zip(*(parts[first::4] for first in (1, 2, 3, 4)), strict=True):
        tag = "em" if stress else "code"
        shown += [formula(tex) if tex else Markup(f"<{tag}>{{}}</{tag}>").format(stress or code), escape(after)]
    return Markup("").join(shown)


def number(value: float) -> str:
    """Return a number of points: whole ones without a fraction."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def percent(points: float, out_of: float, digits: int = 0) -> str:
    """Return a share in percent; empty where there was nothing to win."""
    return f"{100 * points / out_of:.{digits}f}" if out_of > 0 else ""


def stamp(time: str | None) -> str:
    """Return a kept time as people read it."""
    return f"{time[:10]} {time[11:16]} UTC" if time else "not finished"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun, as in ``1 student`` or ``2 students``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def why(record: Record) -> str:
    """Return in words why a record was not graded, or not wholly; empty where it was."""
    return REASONS.get(record.state, "")


def encouragement(record: Record) -> str:
    """Return the sentence that a student reads first."""
    states = [mark.state for mark in record.marks]
    passed, failed = states.count("passed"), states.count("failed")
    if not states:
        return ""
    if passed == len(states):
        return "Everything is right. Well done!"
    if passed and failed:
        right = "is right" if passed == 1 else "are right"
        return f"{passed} of {len(states)} exercises {right}. For the others, see below where the answers part."
    if passed:
        return f"What was judged is right: {passed} of {len(states)} exercises. Go on with the rest!"
    if failed:
        return "None is right yet, but you have made a start. See below where your answers and the right ones part."
    if "lost" in states:
        return "Nothing could be judged this time."
    return "Nothing is attempted yet. Write the first function, run its check, and go on from there."
