"""Copies are remarked on: of the published solution, whatever is around it, and of another student's file."""

import json
import time
from pathlib import Path

import pytest

from lossbook.grading.copies import answers, copied, published
from lossbook.grading.keep.records import Record
from lossbook.grading.read.handed_out import releases
from lossbook.grading.tell.charts import Group

LESSONS = Path(__file__).parents[2] / "lessons"
RELEASES = releases(LESSONS)
BODY = """    a = torch.log(p) * y + torch.log(1 - p) * (1 - y)
    b = a.sum() / len(a)
    return -b if b < 0 else b.neg().clamp(min=0.0)
"""
SOLUTION = answers([f"def f(p, y):\n{BODY}", f"def g(p, y):\n{BODY}", "def h(p):\n    return p"])


@pytest.mark.parametrize("name", RELEASES)
def test_the_solution_itself_is_known(name):
    cells = json.loads((LESSONS.parent / f"solutions/{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    (remark,) = copied(sources, RELEASES[name].functions, published(LESSONS, name))
    assert remark.startswith("the answers are the published solution's, word for word: ")


@pytest.mark.parametrize("name", RELEASES)
def test_a_lesson_as_handed_out_is_no_copy(name):
    cells = json.loads((LESSONS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert copied(sources, RELEASES[name].functions, published(LESSONS, name)) == ()


@pytest.mark.parametrize(
    "dressed",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(":\n", ':\n    """Mine."""\n', 1),
        lambda text: text.replace("\n", "  # by me\n"),
        lambda text: text.replace(" * ", "*"),
        lambda text: ">>> " + text.rstrip("\n").replace("\n", "\n... "),
        lambda text: "import torch\n\n" + text + "\nprint(1)",
    ],
)
def test_what_is_around_the_words_hides_nothing(dressed):
    sources = [dressed(f"def {name}(p, y):\n{BODY}") for name in "fg"]
    assert copied(sources, "fgh", SOLUTION) == ("the answers are the published solution's, word for word: f, g",)


def test_one_equal_answer_and_short_ones_are_no_copy():
    assert copied([f"def f(p, y):\n{BODY}", "def h(p):\n    return p"], "fgh", SOLUTION) == ()
    assert copied([f"def f(p, y):\n{BODY}", f"def g(p, y):\n{BODY}".replace("a", "c")], "fgh", SOLUTION) == ()


def test_where_no_solution_lies_nothing_is_said(tmp_path):
    assert published(tmp_path / "lessons", "03-bce") == {}


def record(student, sha256, state="graded"):
    return Record(
        student, student, "03-bce", 0, False, sha256, state, "", 1.0, 2.0, seconds=0.1, isolation="namespaces"
    )


def test_a_file_of_another_students_is_told_on_both_pages():
    group = Group("03-bce", "")
    for student, sha256 in [("ann", "a"), ("bo", "b"), ("cy", "a"), ("di", "a"), ("bo", "b")]:
        group.add(record(student, sha256), f"{student}.html")
    told = {(one.student, one.page, one.text) for one in group.remarks}
    assert told == {
        (student, f"{student}.html", f"the file is, byte for byte, that of {other}")
        for student, other in [("ann", "cy"), ("cy", "ann"), ("di", "ann")]
    }
    assert len(group.remarks) == 3


@pytest.mark.parametrize("state", ["unreadable", "not attempted"])
def test_files_without_answers_are_compared_with_none(state):
    group = Group("03-bce", "")
    for student in ("ann", "bo"):
        group.add(record(student, "a", state), "page")
    assert group.remarks == []


@pytest.mark.parametrize("text", ['"""', "'''"])
def test_texts_that_never_end_are_read_in_time(text):
    hostile = f"def f(p, y):\n    {text}" + f"\\{text}" * 100_000
    started = time.process_time()
    assert answers([hostile]) == {"f": ""}
    assert answers([hostile + "\\"]) == {"f": ""}
    assert time.process_time() - started < 2
