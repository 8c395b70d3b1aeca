"""One book over the weeks: what each folder of submissions does to the grades of those before it."""

import asyncio
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lossbook.grading import grade as grading
from lossbook.grading.grade import Grader, Options, grade, unreadable
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import Waiting
from lossbook.grading.read import reading

ROOT = Path(__file__).parents[2]
BCE, MULTICLASS = "03-bce", "04-multiclass"


def notebook(lesson, points):
    """Return a lesson as handed out, which is worth so many points to the grader below."""
    made = json.loads((ROOT / "lessons" / f"{lesson}.ipynb").read_text())
    return json.dumps({**made, "metadata": {"worth": points}}).encode()


class StoppedError(Exception):
    """The machine stops here."""


class Idle:
    """A worker that nothing is asked of."""

    def __init__(self, *args):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *args):
        pass


async def record(self, found):
    """Return a record of the points that the notebook claims: no code is run."""
    whose = Waiting(found.key, found.student, self.lesson_by_name(found), found.attempt, found.late)
    blank = unreadable(whose, "", "none")
    try:
        data = found.read()
        lesson = reading.read(data, self.given, found.name, self.options.lesson or found.lesson or None).lesson
    except reading.UnreadableError as error:
        return replace(blank, reason=str(error))
    worth = json.loads(data)["metadata"]["worth"]
    return replace(blank, sha256=hashlib.sha256(data).hexdigest(), lesson=lesson, state="graded", points=float(worth))


@pytest.fixture
def week(tmp_path, monkeypatch):
    """Put files into a folder in place of what was there, grade it, and return each student's grades."""
    monkeypatch.setattr(grading, "Worker", Idle)
    monkeypatch.setattr(Grader, "record", record)

    def graded(folder, files, stop=None, **options):
        root = tmp_path / folder
        shutil.rmtree(root, ignore_errors=True)
        for name, data in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (1e9, 1e9))
        notes = []

        def progress(done, of, record):
            if done == stop:
                raise StoppedError

        made = Options(root, tmp_path / "out", ROOT / "lessons", isolation="none", jobs=1, **options)
        if stop:
            with pytest.raises(ExceptionGroup):
                asyncio.run(grade(made, progress))
        else:
            asyncio.run(grade(made, progress, lambda census: notes.extend(census.notes)))
        graded.notes = notes
        with Book(tmp_path / "out") as book:
            return {(kept.record.student, kept.record.lesson): kept.record.points for kept in book.newest()}

    return graded


def test_two_students_of_one_name_never_meet(week):
    assert week("w3", {"leeann_48300_1_x.ipynb": notebook(BCE, 1)}) == {("leeann", BCE): 1}
    both = {("leeann (48300)", BCE): 1, ("leeann (48399)", BCE): 9}
    assert week("w4", {"leeann_48399_2_x.ipynb": notebook(BCE, 9)}) == both
    assert week.notes == ["the platform has several students of one name; what was graded before is of leeann (48300)"]
    both["leeann (48399)", MULTICLASS] = 4
    assert week("w5", {"leeann_48399_3_x.ipynb": notebook(MULTICLASS, 4)}) == both
    assert week.notes == []
    assert week("w3", {"leeann_48300_1_x.ipynb": notebook(BCE, 1)}) == both, "last week's folder again"
    assert week("w6", {"leeann_48300_7_x.ipynb": notebook(BCE, 5)}) == {**both, ("leeann (48300)", BCE): 5}


def test_a_folder_that_is_filled_anew_each_week_keeps_each_weeks_grades(week):
    first = {
        "ann/hw (9).ipynb": notebook(BCE, 1),
        "ann/hw (10).ipynb": notebook(BCE, 10),
        "bo/hw.ipynb": notebook(BCE, 3),
        "cy/hw.py": b"x = 1",
    }
    grades = {("ann", BCE): 10, ("bo", BCE): 3}
    assert week("submissions", first) == {**grades, ("cy", ""): 0}
    second = {f"{who}/hw.ipynb": notebook(MULTICLASS, 4) for who in ("ann", "bo", "cy")}
    grades |= {(who, MULTICLASS): 4 for who in ("ann", "bo", "cy")}
    assert week("submissions", second) == grades
    assert week("submissions", {"bo/hw.ipynb": notebook(BCE, 2)}) == {**grades, ("bo", BCE): 2}


def test_a_class_that_was_read_wrong_is_mended_by_saying_what_it_is(week):
    files = {"CS101/ann.ipynb": notebook(BCE, 1), "CS101/bo.ipynb": notebook(BCE, 2)}
    right = {("ann", BCE): 1, ("bo", BCE): 2}
    assert week("w3", files) == {("CS101", BCE): 2}
    assert week("w3", files, layout="files") == right
    assert week("w3", files, layout="files") == right


def test_a_class_that_was_stopped_because_it_was_read_wrong_is_mended_too(week):
    files = {"CS101/ann.ipynb": notebook(BCE, 1), "CS101/bo.ipynb": notebook(BCE, 2)}
    week("w3", files, stop=1)
    assert week("w3", files, layout="files") == {("ann", BCE): 1, ("bo", BCE): 2}


def test_another_lesson_that_is_given_is_graded(week):
    files = {"ann/x.ipynb": notebook(BCE, 1)}
    assert week("w3", files, lesson=MULTICLASS) == {("ann", MULTICLASS): 1}
    assert week("w3", files, lesson=BCE) == {("ann", BCE): 1}
