"""Begins a chapter: makes the files of its row, with a small loss that works in place of what is to be written."""

from __future__ import annotations

import re
from importlib.resources import files as resources
from pathlib import Path

from lossbook import files
from lossbook.authoring import tables
from lossbook.authoring.convention import AuthorError
from lossbook.course import NAME, CourseError, chapters

EMPTY = "TO BE WRITTEN"  # what a test looks for in the files of every row

# What is made: the template, and the file.
MADE = {
    "page.md": "book/{row}.md",
    "page-pytorch.md": "book/{row}-pytorch.md",
    "solution.md": "solutions/{row}.md",
    "loss.txt": "src/lossbook/losses/{slug}.py",
    "cards.txt": "src/lossbook/cards/{slug}.py",
    "exercises.txt": "src/lossbook/exercises/{slug}.py",
    "test_losses.txt": "tests/losses/test_{slug}.py",
    "test_exercises.txt": "tests/exercises/test_{slug}.py",
}
EXPORTS = Path("src/lossbook/losses/__init__.py")
REFERENCE = Path("book/api.md")
CLAIMS = Path("book/claims.yaml")

_ENTRY = """
[[chapters]]
slug = "{slug}"
title = "{title}"
minutes = 60
assumption = "TO BE WRITTEN"
gives = "TO BE WRITTEN"
losses = ["{slug}_loss"]
classes = ["TO BE WRITTEN"]
"""


_SECTION = """### {title}

Derived in {{doc}}`chapter {number} <{row}>`.

```{{eval-rst}}
.. automodule:: lossbook.losses.{slug}
   :no-members:

.. currentmodule:: lossbook.losses

.. autofunction:: {slug}_loss
```

"""


def begin(root: Path, row: str) -> list[Path]:
    """Make the files of a row, export its loss, and list them in `course.toml` and in the documents.

    The loss that the templates hold works, and every test of a loss, a page, a lesson or an exercise passes on it:
    what fails then is what still says `EMPTY`, and names the file.

    Args:
        root: The folder of the course.
        row: The number and the slug of the chapter, such as ``09-margin``.

    Returns:
        The files that were made or changed.

    Raises:
        AuthorError: The name is none of a row, its number is not the next, or a file is there already.

    """
    slug = _slug(root, row)
    made = {root / name.format(row=row, slug=slug): _filled(template, row, slug) for template, name in MADE.items()}
    for path in made:
        if path.exists():
            raise AuthorError(f"{path} is there already; no file is written")
    exports, reference, claims, course = root / EXPORTS, root / REFERENCE, root / CLAIMS, root / NAME
    held = f"- book/{row}\n- book/{row}-pytorch\n- book/which-loss\n"
    section = _SECTION.format(title=slug.capitalize(), number=int(row[:2]), row=row, slug=slug)
    changed = {
        course: course.read_text(encoding="utf-8") + _ENTRY.format(slug=slug, title=slug.capitalize()),
        exports: _exported(exports.read_text(encoding="utf-8"), slug),
        reference: reference.read_text(encoding="utf-8").replace("### Sums\n", f"{section}### Sums\n"),
        claims: claims.read_text(encoding="utf-8").replace("- book/which-loss\n", held),
    }
    for path, text in (made | changed).items():
        files.replace(path, text)
    chapters.cache_clear()
    return [*made, *changed, *tables.write(root)]


def _slug(root: Path, row: str) -> str:
    """Return the slug of a row that can be begun."""
    match = re.fullmatch(r"(\d\d)-([a-z][a-z0-9]*)", row)
    if not match:
        raise AuthorError(f"ROW is {row!r}; it must be a number and one word in small letters, such as 09-margin")
    try:
        there = chapters(root / NAME)
    except CourseError as error:
        raise AuthorError(str(error)) from None
    if int(match[1]) != len(there) + 1:
        raise AuthorError(f"ROW is {row!r}; the next chapter is {len(there) + 1:02d}-{match[2]}")
    if match[2] in (chapter.slug for chapter in there):
        raise AuthorError(f"ROW is {row!r}; there is a chapter with the slug {match[2]!r}")
    return match[2]


def _filled(template: str, row: str, slug: str) -> str:
    text = resources("lossbook.authoring").joinpath("chapter", template).read_text(encoding="utf-8")
    values = {"row": row, "slug": slug, "number": str(int(row[:2])), "two": row[:2], "title": slug.capitalize()}
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], text)


def _exported(text: str, slug: str) -> str:
    """Return `losses/__init__.py` with the loss of a new chapter among its exports."""
    text = re.sub(r"\n# No losses", f"from lossbook.losses.{slug} import {slug}_loss\n\\g<0>", text, count=1)
    start, end = text.index("__all__ = [") + len("__all__ = [\n"), text.rindex("]")
    names = sorted([*re.findall(r'"(\w+)"', text[start:end]), f"{slug}_loss"])
    return text[:start] + "".join(f'    "{name}",\n' for name in names) + text[end:]
