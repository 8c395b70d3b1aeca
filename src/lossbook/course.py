"""The chapters of the course, as `course.toml` has them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

NAME = "course.toml"


class CourseError(ValueError):
    """A `course.toml` that cannot be used; the message names the file, the chapter and the key."""


@dataclass(frozen=True)
class Chapter:
    """One chapter.

    Args:
        number: Its number, from 1.
        slug: What its files are called by, such as ``bce``.
        title: The heading of its page.
        minutes: What its lesson takes.
        assumption: What its loss follows from, in a few words.
        gives: What follows, in a few words.
        losses: The functions of ``lossbook.losses`` that it derives.
        classes: What of PyTorch it is about.

    """

    number: int
    slug: str
    title: str
    minutes: int
    assumption: str
    gives: str
    losses: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def row(self) -> str:
        """The name of its files, such as ``03-bce``."""
        return f"{self.number:02d}-{self.slug}"


KINDS: dict[str, type] = {"minutes": int, "losses": list, "classes": list}


def find() -> Path:
    """Return where `course.toml` is: in the package when installed, else at the root of the project."""
    package = Path(__file__).parent
    beside = package / NAME
    return beside if beside.exists() else package.parents[1] / NAME


@cache
def chapters(path: Path | None = None) -> tuple[Chapter, ...]:
    """Return the chapters of the course, in order.

    Args:
        path: A `course.toml`; the course's own unless given.

    Raises:
        CourseError: The file is missing, or not what it must be.

    """
    path = path or find()
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))["chapters"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise CourseError(f"{path}: {error}; it must list [[chapters]]") from None
    found = [_read(f"{path}: chapter {number}", number, entry) for number, entry in enumerate(listed, 1)]
    for chapter in found:
        first = next(other for other in found if other.slug == chapter.slug)
        if first is not chapter:
            raise CourseError(f"{path}: chapters {first.number} and {chapter.number} have the slug {chapter.slug!r}")
    return tuple(found)


def _read(place: str, number: int, entry: dict[str, Any]) -> Chapter:
    keys = {field.name for field in fields(Chapter)} - {"number"}
    if wrong := keys ^ entry.keys():
        raise CourseError(f"{place} lacks, or has beside its keys: {', '.join(sorted(wrong))}")
    for key, value in entry.items():
        kind = KINDS.get(key, str)
        parts = value if isinstance(value, list) else [value]
        if type(value) is not kind or not all(parts) or (kind is list and not all(isinstance(p, str) for p in parts)):
            raise CourseError(f"{place}: {key} is {value!r}; it must be {_WANTED[kind]}")
    if not entry["slug"].isidentifier() or entry["slug"] != entry["slug"].lower():
        raise CourseError(f"{place}: slug is {entry['slug']!r}; it must be one word in small letters, a module's name")
    values: dict[str, Any] = {key: tuple(value) if type(value) is list else value for key, value in entry.items()}
    return Chapter(number, **values)


_WANTED = {int: "a number of minutes", list: "a list of names", str: "some words"}
