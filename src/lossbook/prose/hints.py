"""Hints: an exercise declares them, and a mark in its lesson's source says where they are folded away.

The mark is a directive in a text cell, with the name of the function:

    ```{hints} sigmoid
    ```

The release puts the hints in its place, and what reads a source as prose reads them there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

ANY = re.compile(r"^.*\{hints\}.*$", re.M)
MARK = re.compile(r"^```\{hints\} (\w+)\n```$", re.M)
TYPED = re.compile(r"<summary>\s*Hint\b.*$", re.M)


class Hinted(Protocol):
    """What has hints."""

    @property
    def hints(self) -> tuple[str, ...]:
        """The hints, from the gentlest to the plainest."""

    @property
    def folded(self) -> int | None:
        """How many of them, from the first, the lesson folds away; all if None."""


Lookup = Callable[[str], Hinted]


def declared(function: str) -> Hinted:
    """Return the course's exercise. Only who meets a mark imports the exercises: that is to import PyTorch."""
    from lossbook.exercises import exercise

    return exercise(function)


def of(function: str, lookup: Lookup = declared) -> tuple[str, ...]:
    """Return the hints that a lesson folds away below a function; none where no exercise asks for it."""
    try:
        exercise = lookup(function)
    except LookupError:
        return ()
    return exercise.hints[: exercise.folded]


def fold(hints: tuple[str, ...]) -> str:
    """Return hints as they are written into a notebook."""
    return "\n\n".join(
        f"<details><summary>Hint {number}</summary>\n\n{hint}\n\n</details>" for number, hint in enumerate(hints, 1)
    )


def put_in(text: str, lookup: Lookup = declared) -> str:
    """Return text with the hints in place of each mark."""
    return MARK.sub(lambda mark: fold(of(mark[1], lookup)), text)
