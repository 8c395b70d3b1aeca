"""A chapter begun from the templates is whole: only what is still to be written fails, and is named by its path."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lossbook.authoring import new
from lossbook.authoring.convention import AuthorError
from lossbook.course import chapters

ROOT = Path(__file__).parents[2]
ROW, SLUG = f"{len(chapters()) + 1:02d}-sample", "sample"
# What the chapter's loss, card, page, lesson and exercises meet, and all that lists chapters.
MET = [
    *("test_rows.py", "test_documents.py", "test_package.py", "losses", "exercises", "cards", "stability"),
    *("timing/test_references.py", "book/test_prose.py", "book/test_notation.py", "book/test_lengths.py"),
    *("book/test_at_a_glance.py", "equations/test_docstrings.py", "authoring/test_rules.py", "bench/test_plan.py"),
]
WHICH = "sample or row or course or export or chapter or document or description or notation or session or glance"


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return f"{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def begun(tmp_path_factory, warm_kernels) -> Path:
    """A copy of the course in which a chapter has been begun, and its notebooks made."""
    folder = tmp_path_factory.mktemp("begun") / "course"
    left_out = shutil.ignore_patterns(".*", "_build", "__pycache__", "examples", "benchmarks")
    shutil.copytree(ROOT, folder, ignore=left_out)
    shutil.copytree(ROOT / ".github", folder / ".github")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)  # some tests ask git for the files
    said = run(folder, "lossbook", "new", ROW)
    assert f"book/{ROW}.md" in said.splitlines(), said
    said = run(folder, "lossbook", "release", ROW)
    assert f"lessons/{ROW}.ipynb" in said, said
    return folder


def test_only_what_is_to_be_written_fails_and_is_named(begun):
    tests = [f"tests/{name}" for name in MET]
    said = run(begun, "pytest", "-q", "-p", "no:cacheprovider", "-m", "not wall_clock", "-k", WHICH, *tests)
    failed = set(re.findall(r"^FAILED (\S+)", said, re.M))
    written = [name.format(row=ROW, slug=SLUG) for name in new.MADE.values()]
    waiting = [name for name in written if new.EMPTY in (begun / name).read_text(encoding="utf-8")]
    assert {f"book/{ROW}.md", f"solutions/{ROW}.md", f"src/lossbook/cards/{SLUG}.py"} <= set(waiting)
    waiting += ["course.toml", f"lessons/{ROW}.ipynb", f"solutions/{ROW}.ipynb"]
    left = "tests/test_rows.py::test_nothing_is_left_to_be_written"
    # Besides, a lesson of one exercise and a page without its table; what is said names the file.
    also = {
        f"tests/exercises/test_checking.py::test_every_lesson_has_four_to_seven_exercises_the_timing_exercise_and_an_open_task[{ROW}]",
        f"tests/stability/test_picture.py::test_the_page_shows_its_table_with_the_words_of_its_layout[{ROW}]",
    }
    assert failed == {f"{left}[{name}]" for name in waiting} | also, said
    assert {f"solutions/{ROW}.md has 0 exercises headed", f"book/{ROW}.md and its second page"} <= set(
        re.findall(rf"solutions/{ROW}.md has 0 exercises headed|book/{ROW}.md and its second page", said)
    )
    assert int(re.search(r"(\d+) passed", said)[1]) > 400, said


def test_the_equation_of_the_template_is_checked(begun):
    assert "all hold" in run(begun, "lossbook", "verify", ROW)
    page = begun / "book" / f"{ROW}.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace(r"\ell = (\hat{y} - y)^2", r"\ell = (\hat{y} + y)^2"), encoding="utf-8")
    assert ": 1 faults" in run(begun, "lossbook", "verify", ROW)
    page.write_text(text, encoding="utf-8")


LATER, AGAIN = f"{len(chapters()) + 2:02d}-sample", f"{ROW[:2]}-bce"


@pytest.mark.parametrize("row", ["9-sample", "09-Sample", "09-two-words", "sample", LATER, "01-sample", AGAIN])
def test_a_row_that_cannot_be_begun_is_refused_and_nothing_is_written(tmp_path, row):
    shutil.copy(ROOT / "course.toml", tmp_path)
    with pytest.raises(AuthorError, match=row):
        new.begin(tmp_path, row)
    assert [path.name for path in tmp_path.iterdir()] == ["course.toml"]


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    shutil.copy(ROOT / "course.toml", tmp_path)
    there = tmp_path / "tests" / "losses" / f"test_{SLUG}.py"
    there.parent.mkdir(parents=True)
    there.write_text("mine", encoding="utf-8")
    with pytest.raises(AuthorError, match=there.name):
        new.begin(tmp_path, ROW)
    assert there.read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course.toml", "tests"]
