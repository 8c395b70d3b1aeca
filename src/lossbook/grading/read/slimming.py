"""Drops from a notebook's bytes what is large and never read: outputs, pasted pictures, the state of widgets."""

from __future__ import annotations

import re

MOST_DROPPED = 20_000  # values; a notebook has at most some thousand cells
MOST_BRACKETS = 4_000_000  # in all of them: two for each pair of a plot's numbers, and half a second of work
# A key, and not the end of a text that says so: there, a quotation mark has a backslash before it.
_KEY = re.compile(rb'(?<!\\)"(?:outputs|attachments|widgets)"[ \t\r\n]*+:[ \t\r\n]*+(?=[\[{])')
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+', re.DOTALL)


class TooMuchError(ValueError):
    """There is more to drop than a notebook ever has."""


def slim(data: bytes) -> bytes:
    """Return a JSON text in which what its keys ``outputs``, ``attachments`` and ``widgets`` hold is empty.

    Nothing else is looked at, so that what is no JSON stays none. The time is bounded by the number of bytes.

    Args:
        data: The text, in UTF-8.

    Raises:
        TooMuchError: There are more such keys, or more brackets in what they hold, than a notebook ever has.

    """
    kept, start, dropped, brackets = [], 0, 0, 0
    while key := _KEY.search(data, start):
        dropped += 1
        end, more = _end(data, key.end(), MOST_BRACKETS - brackets)
        brackets += more
        if dropped > MOST_DROPPED:
            raise TooMuchError(f"more than {MOST_DROPPED} outputs")
        if end is None:
            break
        kept += [data[start : key.end()], b"{}" if data[key.end() : key.end() + 1] == b"{" else b"[]"]
        start = end
    return b"".join([*kept, data[start:]])


def _end(data: bytes, start: int, most: int) -> tuple[int | None, int]:
    """Return where a value in brackets ends, None where it does not, and how many brackets it has."""
    depth, place, count = 0, start, 0
    while (place := _TO_BRACKET.match(data, place).end()) < len(data):  # type: ignore[union-attr]
        if data[place] == 0x22:  # a text without an end
            return None, count
        count += 1
        if count > most:
            raise TooMuchError(f"outputs with more than {MOST_BRACKETS} brackets")
        depth += 1 if data[place] in b"[{" else -1
        place += 1
        if depth == 0:
            return place, count
    return None, count
