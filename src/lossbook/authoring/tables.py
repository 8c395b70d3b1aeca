"""Writes the lists of chapters that the documents have, from `course.toml`.

A document marks the place with two comments, and what stands between them is written::

    <!-- course: the-name-of-a-list -->
    <!-- end of course -->

In YAML the comments begin with ``#``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lossbook import files
from lossbook.authoring.convention import AuthorError
from lossbook.course import NAME, Chapter, CourseError, chapters

Made = Callable[[Sequence[Chapter], Path], str]  # of the chapters, and of the folder of the course
_COLAB = "https://colab.research.google.com/github/lossbook/lossbook/blob/main/lessons"
_REGION = re.compile(
    r"^(?P<indent> *)(?P<open><!-- course: (?P<name>[\w-]+) -->|# course: (?P<yaml>[\w-]+))\n"
    r"(?P<body>(?:.*\n)*?) *(?P<close><!-- end of course -->|# end of course)$",
    re.M,
)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [heads, *rows]]
    lines.insert(1, "|---" * len(heads) + "|")
    return "".join(f"{line.replace('|  |', '| |')}\n" for line in lines)


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def pages(chapter: Chapter, root: Path) -> list[str]:
    """Return the names of a chapter's pages: the idea, and below it what PyTorch does, where that page exists."""
    beside = f"{chapter.row}-pytorch"
    return [chapter.row, *([beside] if (root / "book" / f"{beside}.md").is_file() else [])]


def in_contents(course: Sequence[Chapter], root: Path) -> str:
    """Return the chapters, each with its second page and its lesson below it, for the book's contents."""
    lines = []
    for chapter in course:
        first, *below = [f"book/{page}" for page in pages(chapter, root)]
        lines += [f"- file: {first}", "  sections:"]
        lines += [f"    - file: {file}" for file in (*below, f"lessons/{chapter.row}")]
    return "".join(f"{line}\n" for line in lines)


def solutions_in_contents(course: Sequence[Chapter], root: Path) -> str:
    """Return the solutions, for the book's contents."""
    return "".join(f"- file: solutions/{c.row}\n" for c in course)


def in_readme(course: Sequence[Chapter], root: Path) -> str:
    """Return the chapters with what each assumes and derives, as the README shows them."""
    rows = [[f"[{c.number}. {c.title}](book/{c.row}.md)", c.assumption, _code(c.losses) or c.gives] for c in course]
    return _table(["chapter", "assumption", "losses"], rows)


def in_index(course: Sequence[Chapter], root: Path) -> str:
    """Return the chapters with what each assumes and gives, as the book's first page shows them."""
    heads = ["chapter", "if you assume", "you get", "in PyTorch", "lesson"]
    rows = []
    for c in course:
        first, *below = pages(c, root)
        classes = f"[{_code(c.classes)}]({below[0]}.md)" if below else _code(c.classes)
        rows.append([f"{{doc}}`{first}`", c.assumption, c.gives, classes, f"{{doc}}`{c.number} <../lessons/{c.row}>`"])
    return _table(heads, rows)


def lessons_on_colab(course: Sequence[Chapter], root: Path) -> str:
    """Return the lessons with where to open each, as the page for students shows them."""
    rows = [[f"{c.number}. {c.title}", str(c.minutes), f"[open on Colab]({_COLAB}/{c.row}.ipynb)"] for c in course]
    return _table(["lesson", "minutes", ""], rows)


def equations(course: Sequence[Chapter], root: Path) -> str:
    """Return the cells that list the equations of each chapter, for the page of equations."""
    cell = (
        '```{{code-cell}} python3\n:tags: [remove-input]\n\nMarkdown(equations_page.display_rows(by_name["{}"]))\n```\n'
    )
    parts = [
        f"### Chapter {c.number}: {c.title}\n\n" + "\n".join(cell.format(page) for page in pages(c, root))
        for c in course
    ]
    return "\n".join(["", *parts, ""])


LISTS: dict[str, dict[str, Made]] = {
    "_toc.yml": {"chapters": in_contents, "solutions": solutions_in_contents},
    "README.md": {"chapters": in_readme},
    "book/index.md": {"chapters": in_index},
    "book/equations.md": {"equations": equations},
    "docs/student.md": {"lessons": lessons_on_colab},
}


def made(root: Path) -> dict[Path, str]:
    """Return every document with its lists as they must be; none where the folder has no `course.toml`.

    Raises:
        AuthorError: A document lacks a list's place or has one that nothing is written to, or `course.toml` is wrong.

    """
    if not (root / NAME).exists():
        return {}
    try:
        course = chapters(root / NAME)
    except CourseError as error:
        raise AuthorError(str(error)) from None
    return {root / name: _filled(root, name, lists, course) for name, lists in LISTS.items()}


def _filled(root: Path, document: str, lists: dict[str, Made], course: Sequence[Chapter]) -> str:
    path = root / document
    met: list[str] = []

    def fill(region: re.Match[str]) -> str:
        name, indent = region["name"] or region["yaml"], region["indent"]
        if name not in lists:
            raise AuthorError(f"{path}: there is no list {name!r}; there are {', '.join(lists)}")
        met.append(name)
        body = "".join(f"{indent}{line}".rstrip() + "\n" for line in lists[name](course, root).splitlines())
        return f"{indent}{region['open']}\n{body}{indent}{region['close']}"

    text = _REGION.sub(fill, path.read_text(encoding="utf-8"))
    for name in lists:
        if met.count(name) != 1:
            raise AuthorError(f"{path} has {met.count(name)} places for the list {name!r}; it must have one")
    return text


def stale(root: Path) -> list[str]:
    """Say which documents have lists that are not what `course.toml` makes."""
    return [
        f"{path.relative_to(root)} does not list the chapters as {NAME} has them"
        for path, text in made(root).items()
        if path.read_text(encoding="utf-8") != text
    ]


def write(root: Path) -> list[Path]:
    """Write the lists into the documents; return those that changed."""
    changed = {path: text for path, text in made(root).items() if path.read_text(encoding="utf-8") != text}
    for path, text in changed.items():
        files.replace(path, text)
    return list(changed)
