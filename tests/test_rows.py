"""A chapter is a row and a folder is a column: no row has a hole."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import lossbook.losses
from lossbook.authoring import tables
from lossbook.authoring.convention import AuthorError
from lossbook.authoring.new import EMPTY
from lossbook.course import Chapter, CourseError, chapters
from lossbook.prose import rules

ROOT = Path(__file__).parent.parent

COURSE = chapters()
ROWS = [chapter.row for chapter in COURSE]
SLUGS = [chapter.slug for chapter in COURSE]
# {row} is the number and the slug, {slug} the slug alone.
COLUMNS = [
    "book/{row}.md",
    "book/{row}-pytorch.md",
    "solutions/{row}.md",
    "lessons/{row}.ipynb",
    "solutions/{row}.ipynb",
    "src/lossbook/losses/{slug}.py",
    "src/lossbook/cards/{slug}.py",
    "src/lossbook/exercises/{slug}.py",
    "tests/losses/test_{slug}.py",
    "tests/exercises/test_{slug}.py",
]
# What serves every row: modules, and tests of the whole folder.
SHARED = {
    "src/lossbook/losses": {
        *("__init__", "arguments", "losses", "weighting"),
        *("fused_chunks", "fused_kernels", "fused_linear", "fused_parts", "fused_triton"),
    },
    "src/lossbook/cards": {"__init__", "card", "lazy_mpmath"},
    "src/lossbook/exercises": {"__init__"},
    "tests/losses": {
        *("arguments", "compiled", "degenerate", "fused_linear", "fused_parts", "losses", "steps", "transforms"),
        *("weighting",),
    },
    "tests/exercises": {"bounds", "checking", "declared", "messages", "predictions", "promises", "showing"},
}


def discovered(root: Path) -> dict[str, set[str]]:
    """Return every slug that some column has a file for, with the rows (number and slug) that claim it."""
    rows: dict[str, set[str]] = {}
    for column in COLUMNS:
        folder, _, name = column.rpartition("/")
        row = r"(\d\d-[\w-]+(?<!-pytorch))"
        pattern = re.escape(name).replace(r"\{row\}", row).replace(r"\{slug\}", r"(\w+)")
        shared = SHARED.get(folder, set())
        for path in (root / folder).glob("*"):
            match = re.fullmatch(pattern, path.name)
            if match and match[1] not in shared:
                claimed = rows.setdefault(re.sub(r"^\d\d-", "", match[1]), set())
                claimed.update({match[1]} if "{row}" in column else ())
    return rows


def holes(root: Path) -> list[str]:
    """Return the files that are missing from rows, and the rows that are not the course's."""
    rows = discovered(root)
    found = [f"course.toml has no chapter {slug!r}" for slug in sorted(rows) if slug not in SLUGS]
    for row in ROWS:
        rows.setdefault(row.partition("-")[2], set()).add(row)
    for slug, claimed in sorted(rows.items()):
        if len(claimed) > 1:
            found.append(f"{slug} is in more than one row: {', '.join(sorted(claimed))}")
        row = min(claimed, default=f"NN-{slug}")
        files = [column.format(row=row, slug=slug) for column in COLUMNS]
        found += [f"{file} is missing" for file in files if not (root / file).is_file()]
    return found


def contents(root: Path) -> set[str]:
    """Return the files that the table of contents lists."""

    def listed(node: object) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(listed, node))
        if isinstance(node, dict):
            own = {node[key] for key in ("file", "root") if key in node}
            return own.union(*(listed(value) for value in node.values()))
        return set()

    return listed(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


def test_no_row_has_a_hole() -> None:
    assert holes(ROOT) == []


def test_the_contents_list_the_rows_and_no_other() -> None:
    listed = {file for file in contents(ROOT) if re.match(r"\d\d-", Path(file).name)}
    rows = {f"{folder}/{row}" for folder in ("book", "lessons", "solutions") for row in ROWS}
    assert listed == rows | {f"book/{row}-pytorch" for row in ROWS}


def test_every_rule_of_every_chapter_is_held_by_a_claim() -> None:
    held = rules.settings(ROOT).texts
    assert [page for row in ROWS for page in (f"book/{row}", f"book/{row}-pytorch") if page not in held] == []


LISTED = ["course.toml", *(column.format(row=c.row, slug=c.slug) for c in COURSE for column in COLUMNS)]


@pytest.mark.parametrize("file", LISTED)
def test_nothing_is_left_to_be_written(file: str) -> None:
    """What `lossbook new` leaves to the author; `assert` names the file and the lines."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert [f"{file}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if EMPTY in line] == []


FILES = [column.format(row=row, slug=row.partition("-")[2]) for row in ROWS for column in COLUMNS]


def empty_tree(root: Path) -> None:
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@pytest.mark.parametrize("file", FILES)
def test_a_removed_file_is_missed(tmp_path: Path, file: str) -> None:
    empty_tree(tmp_path)
    assert holes(tmp_path) == []
    (tmp_path / file).unlink()
    assert holes(tmp_path) == [f"{file} is missing"]


def test_a_whole_row_that_the_course_does_not_list_is_named(tmp_path: Path) -> None:
    empty_tree(tmp_path)
    for column in COLUMNS:
        (tmp_path / column.format(row="09-hinge", slug="hinge")).touch()
    assert holes(tmp_path) == ["course.toml has no chapter 'hinge'"]


def test_an_added_file_opens_a_row(tmp_path: Path) -> None:
    empty_tree(tmp_path)
    (tmp_path / "book" / "09-hinge.md").touch()
    assert {"course.toml has no chapter 'hinge'", "src/lossbook/losses/hinge.py is missing"} <= set(holes(tmp_path))
    (tmp_path / "book" / "09-hinge.md").unlink()
    (tmp_path / "src/lossbook/losses/hinge.py").touch()
    assert {"tests/losses/test_hinge.py is missing", "book/NN-hinge.md is missing"} <= set(holes(tmp_path))


def test_a_second_page_without_a_first_is_missed(tmp_path: Path) -> None:
    empty_tree(tmp_path)
    (tmp_path / "book" / "03-bce-pytorch.md").rename(tmp_path / "book" / "09-bce-pytorch.md")
    assert holes(tmp_path)[0] == "bce is in more than one row: 03-bce, 09-bce"
    (tmp_path / "book" / "09-bce-pytorch.md").rename(tmp_path / "book" / "09-hinge-pytorch.md")
    assert "book/09-hinge.md is missing" in holes(tmp_path)


def test_a_second_number_is_seen(tmp_path: Path) -> None:
    empty_tree(tmp_path)
    (tmp_path / "lessons" / "09-bce.ipynb").touch()
    assert holes(tmp_path) == ["bce is in more than one row: 03-bce, 09-bce"]


# What course.toml says is what the files say


def faults(root: Path, chapter: Chapter) -> list[str]:
    """Return what a chapter's files say that `course.toml` does not."""
    page = (root / f"book/{chapter.row}.md").read_text(encoding="utf-8")
    lesson = (root / f"solutions/{chapter.row}.md").read_text(encoding="utf-8")
    wanted = {
        f"book/{chapter.row}.md": (page, f"# {chapter.title}"),
        f"solutions/{chapter.row}.md": (lesson, f"# Lesson {chapter.number}: {chapter.title}"),
    }
    found = [
        f"{file} is headed {heading[0]!r}, not {right!r}"
        for file, (text, right) in wanted.items()
        if (heading := re.findall(r"^# .*$", text, re.M)[:1]) != [right]
    ]
    minutes = re.findall(r"Time needed: about (\d+) minutes", lesson)
    if minutes != [str(chapter.minutes)]:
        right = f"Time needed: about {chapter.minutes} minutes"
        found.append(f"solutions/{chapter.row}.md says {minutes or 'nothing'}, not {right!r}")
    return found


@pytest.mark.parametrize("chapter", COURSE, ids=ROWS)
def test_titles_and_minutes_are_those_of_the_course(chapter: Chapter) -> None:
    assert faults(ROOT, chapter) == []


def test_another_title_or_time_is_named(tmp_path: Path) -> None:
    for folder in ("book", "solutions"):
        (tmp_path / folder).mkdir()
    (tmp_path / "book/03-bce.md").write_text("# Coins\n")
    (tmp_path / "solutions/03-bce.md").write_text("# Lesson 4: Coins\n\nTime needed: about 3 minutes.\n")
    found = faults(tmp_path, COURSE[2])
    assert [line.split(" ")[0] for line in found] == ["book/03-bce.md", "solutions/03-bce.md", "solutions/03-bce.md"]


def test_every_loss_is_derived_in_one_chapter() -> None:
    named = [name for chapter in COURSE for name in chapter.losses]
    assert len(set(named)) == len(named)
    assert set(lossbook.losses.__all__) <= set(named), "course.toml: losses"
    for name in named:
        module, _, function = f"lossbook.losses.{name}".rpartition(".")
        assert callable(getattr(import_module(module), function)), name


# The lists of chapters


def test_the_documents_list_the_chapters_of_the_course() -> None:
    assert tables.stale(ROOT) == []


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """The documents that list the chapters, in a folder of their own."""
    for name in ("course.toml", *tables.LISTS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for page in (ROOT / "book").glob("*-pytorch.md"):
        (tmp_path / "book" / page.name).touch()
    return tmp_path


STALE = "{} does not list the chapters as course.toml has them"
NEW = """
[[chapters]]
slug = "hinge"
title = "The hinge"
minutes = 70
assumption = "a margin"
gives = "the hinge loss"
losses = ["hinge"]
classes = ["HingeLoss"]
"""


def test_a_new_chapter_is_listed_everywhere(course: Path) -> None:
    with (course / "course.toml").open("a") as file:
        file.write(NEW)
    assert tables.stale(course) == [STALE.format(name) for name in tables.LISTS]
    assert tables.write(course) == [course / name for name in tables.LISTS]
    assert tables.stale(course) == tables.write(course) == []
    row = f"{len(COURSE) + 1:02d}-hinge"
    assert all(row in (course / name).read_text() for name in tables.LISTS)
    assert {f"book/{row}", f"lessons/{row}", f"solutions/{row}"} <= contents(course)


def test_a_second_page_is_listed_below_the_first_and_beside_its_equations(course: Path) -> None:
    beside = course / "book" / "05-nll-pytorch.md"
    beside.unlink(missing_ok=True)
    tables.write(course)
    beside.touch()
    changed = ["_toc.yml", "book/index.md", "book/equations.md"]
    assert tables.stale(course) == [STALE.format(name) for name in changed]
    assert tables.write(course) == [course / name for name in changed]
    assert all("05-nll-pytorch" in (course / name).read_text() for name in changed)
    toc = yaml.safe_load((course / "_toc.yml").read_text())
    (chapter,) = [c for part in toc["parts"] for c in part["chapters"] if c["file"] == "book/05-nll"]
    assert [entry["file"] for entry in chapter["sections"]] == ["book/05-nll-pytorch", "lessons/05-nll"]


@pytest.mark.parametrize("name", tables.LISTS)
def test_a_list_changed_by_hand_is_named(course: Path, name: str) -> None:
    path = course / name
    path.write_text(path.read_text().replace("03-bce", "03-abc"))
    assert tables.stale(course) == [STALE.format(name)]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("<!-- course: chapters -->", "", "has 0 places for the list 'chapters'"),
        ("<!-- course: chapters -->", "<!-- course: losses -->", "there is no list 'losses'"),
    ],
)
def test_a_place_that_is_missing_or_unknown_is_told(course: Path, old: str, new: str, told: str) -> None:
    path = course / "README.md"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(AuthorError, match=f"README.md.*{told}"):
        tables.stale(course)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[[chapters]]", "[[chapter]]", "chapters'; it must list"),
        ('slug = "mse"', 'slug = "bce"', "chapters 2 and 3 have the slug 'bce'"),
        ('slug = "mse"', 'slug = "mean squares"', "chapter 2: slug is 'mean squares'; it must be one word"),
        ("minutes = 85", 'minutes = "85"', "chapter 2: minutes is '85'; it must be a number of minutes"),
        ("minutes = 85", "", "chapter 2 lacks, or has beside its keys: minutes"),
        ("minutes = 85", "minutes = 85\nlength = 3", "chapter 2 lacks, or has beside its keys: length"),
        ('classes = ["KLDivLoss"]', 'classes = "KLDivLoss"', "chapter 6: classes is 'KLDivLoss'; it must be a list"),
        ('title = "Mean squared error"', 'title = ""', "chapter 2: title is ''; it must be some words"),
        ('title = "Mean squared error"', "title = Mean", "Invalid value"),
    ],
)
def test_a_course_that_is_none_is_told(course: Path, old: str, new: str, told: str) -> None:
    path = course / "course.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(CourseError, match=re.escape(told)) as error:
        chapters(path)
    assert str(error.value).startswith(str(path))
    with pytest.raises(AuthorError):
        tables.stale(course)


def test_a_course_without_a_list_of_chapters_has_no_lists(tmp_path: Path) -> None:
    assert tables.stale(tmp_path) == tables.write(tmp_path) == []
