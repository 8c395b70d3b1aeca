"""The made-up class: its files are what the script makes, and the grader makes of them what is expected."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from lossbook import cli
from lossbook.grading.keep.gradebook import Book

ROOT = Path(__file__).parents[2]
CLASS = ROOT / "examples" / "class"

spec = importlib.util.spec_from_file_location("make_class", ROOT / "examples" / "make_class.py")
assert spec is not None
assert spec.loader is not None
make_class = sys.modules["make_class"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_class)

pytestmark = pytest.mark.xdist_group("examples")
needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None and os.environ.get("CI") != "true", reason="bubblewrap is not installed"
)


def contents(files):
    """Return each file, and each member of each archive, by its place."""
    found = {}
    for name, data in files.items():
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                found.update({f"{name}::{member}": archive.read(member) for member in archive.namelist()})
        else:
            found[name] = data
    return found


def committed():
    return {path.relative_to(CLASS).as_posix(): path.read_bytes() for path in CLASS.rglob("*") if path.is_file()}


def test_the_files_are_what_the_script_makes():
    there, made = contents(committed()), contents(make_class.files())
    assert sorted(there) == sorted(made)
    stale = [name for name in made if there[name] != made[name]]
    assert stale == [], "run: python examples/make_class.py"


def test_the_class_is_small_and_can_be_checked_out_anywhere():
    files = committed()
    assert sum(map(len, files.values())) < 1_200_000
    assert [name for name in files if set(name) & set('<>:"\\|?*')] == []


def test_every_known_mistake_is_declared():
    from lossbook.exercises import exercises

    for student, (_, _, mistakes) in make_class.EXPECTED.items():
        for function, name in mistakes.items():
            assert name in [known.name for known in exercises()[function].misconceptions], (student, function)


def test_forty_students():
    assert len(make_class.EXPECTED) == len({student.name for student in make_class.STUDENTS}) == 40


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    out = tmp_path_factory.mktemp("grades")
    assert cli.main(["grade", str(CLASS), "--out", str(out), "--seed", "2026"]) == 0
    return out


@pytest.fixture(scope="module")
def records(grades):
    with Book(grades) as book:
        return {kept.record.student: kept.record for kept in book.newest()}


@needs_bwrap
def test_every_student_has_one_grade(records):
    assert sorted(records) == sorted(make_class.EXPECTED)
    assert {record.lesson for record in records.values()} == {"03-bce"}
    assert {record.out_of for record in records.values()} == {20.0}
    assert {record.isolation for record in records.values()} == {"namespaces"}


@needs_bwrap
@pytest.mark.parametrize("student", make_class.EXPECTED)
def test_the_grade_is_as_expected(records, student):
    record = records[student]
    mistakes = {mark.function: mark.misconception for mark in record.marks if mark.misconception}
    assert (record.state, record.points, mistakes) == make_class.EXPECTED[student], record


@needs_bwrap
def test_reasons_say_what_happened(records):
    said = {
        "Fenna Duinkerk": "the file is cut off",
        "Goran Stipelj": "the file is empty",
        "Hana Mizushiro": "the file is a PDF, not a notebook",
        "Bao Lâmthien": "the notebook is as it was handed out",
        "Idris Wembury": "it took too long",
        "Jolanta Krzewin": "it ended its own process",
    }
    for student, words in said.items():
        assert words in records[student].reason
    assert "can't allocate memory" in records["Marisol Undevane"].cell_errors[0][1]
    assert "was never closed" in records["Xiulan Tengfei"].cell_errors[0][1]
    assert records["Jolanta Krzewin"].remarks == ("cell 21 names os._exit",)


@needs_bwrap
def test_what_may_not_be_called_is_named(records):
    def reasons(student):
        return {
            mark.function: mark.failures[0][2].partition(":")[0]
            for mark in records[student].marks
            if mark.state == "failed"
        }

    assert "raised ForbiddenError" in reasons("Kwabena Asumadu-Lee")["bce"]
    assert reasons("Lucian Vâlcroft") == {
        "sigmoid": "called sigmoid, which may not be called here",
        "bce_gradient": "called backward, which may not be called here",
    }


@needs_bwrap
def test_the_later_attempt_counts_and_is_late(records):
    assert (records["ekströmvega"].attempt, records["ekströmvega"].late) == (2, True)
    assert Counter(record.late for record in records.values()) == {False: 39, True: 1}


@needs_bwrap
def test_no_page_runs_what_a_student_wrote(grades):
    pages = [*grades.glob("*.html"), *grades.glob("students/*.html")]
    assert len(pages) == 41
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "<img src=x" not in text
        assert "\x1b" not in text
