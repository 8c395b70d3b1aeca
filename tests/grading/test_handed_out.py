"""What a release says of the lessons that are handed out."""

import ast
import json
import pickle
from pathlib import Path

import pytest

from lossbook.grading.read.handed_out import ReleaseError, normal, releases

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.stem for path in (ROOT / "lessons").glob("*.ipynb"))


@pytest.fixture(scope="module")
def released():
    return releases(ROOT / "lessons")


def lesson(folder, *cells, name="01-a.ipynb"):
    """Write a lesson whose code cells are pairs of a source and nbgrader's marks."""
    notebook = {"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# Lesson 1: A\n", "Text."]}]}
    for source, marks in cells:
        notebook["cells"].append({"cell_type": "code", "metadata": {"nbgrader": marks}, "source": source})
    (folder / name).write_text(json.dumps(notebook), encoding="utf-8")
    return folder


STUB = ('def f(x):\n    """Return x."""\n    raise NotImplementedError', {"solution": True, "grade_id": "f"})
POINTS = ("check(f).points", {"grade": True, "grade_id": "f-points"})


def test_every_lesson_is_there(released):
    assert list(released) == LESSONS
    assert released["03-bce"].title == "Lesson 3: Binary cross-entropy"
    assert released["03-bce"].functions == (
        "sigmoid",
        "bce",
        "bce_gradient",
        "bce_diagnosis",
        "bce_with_logits",
        "bce_pos_weight",
        "bce_python_sum",
        "bce_torch_sum",
        "pairwise_sum",
        "voter_logits",
    )


@pytest.mark.parametrize("name", LESSONS)
def test_what_is_run_of_an_unchanged_lesson(released, name):
    release = released[name]
    assert len(release.setup) == 1
    assert release.setup[0].splitlines()[0].startswith("import")
    assert "pip" not in "".join((*release.setup, *release.given.values()))
    for source, kept in release.given.items():
        nodes = ast.parse(kept).body
        assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) for node in nodes), (
            source
        )
        assert not {node.name for node in nodes if isinstance(node, ast.FunctionDef)} & set(release.functions)
        assert normal(source) == source


def test_definitions_of_a_cell_are_kept_and_the_rest_is_not(tmp_path):
    cell = (
        "import os; x = 1\n@staticmethod\ndef g(a=(1,\n 2)): return a\nclass C: pass\nprint(g())\nasync def h(): pass"
    )
    release = releases(lesson(tmp_path, STUB, (cell, {}), ("1 +", {}), ("x = 2", {})))["01-a"]
    assert release.given[STUB[0]] == release.given["1 +"] == release.given["x = 2"] == ""
    kept = release.given[normal(cell)]
    assert [type(node).__name__ for node in ast.parse(kept).body] == [
        "Import",
        "FunctionDef",
        "ClassDef",
        "AsyncFunctionDef",
    ]
    assert "@staticmethod" in kept


def test_functions_are_those_of_stubs_and_of_graded_cells(tmp_path):
    prediction = ("def predict_it():\n    raise NotImplementedError", {"solution": True})
    release = releases(lesson(tmp_path, STUB, POINTS, prediction, ("check(g).points", {"grade": True})))["01-a"]
    assert release.functions == ("f", "predict_it", "g")
    assert release.title == "Lesson 1: A"


def test_setup_is_the_cells_marked_so_or_else_those_that_only_import(tmp_path):
    marked = ("import math\nx = 1", {"grade_id": "setup-2"})
    plain = ("import math\nfrom os import path", {})
    assert releases(lesson(tmp_path, marked, plain, STUB))["01-a"].setup == (marked[0],)
    assert releases(lesson(tmp_path, plain, STUB))["01-a"].setup == (plain[0],)


def test_a_release_can_be_sent_to_another_process(released):
    assert pickle.loads(pickle.dumps(released)) == released


def test_normal_forgets_what_editors_change():
    assert normal("\r\n\n  x = 1  \r\n\ty\t\r z \n \n") == "  x = 1\n\ty\n z"
    assert normal("") == normal(" \n\t\r\n") == ""


def test_folders_without_lessons(tmp_path):
    with pytest.raises(ReleaseError, match=r"^folder is '.*nothing'; it must be"):
        releases(tmp_path / "nothing")
    with pytest.raises(ReleaseError, match=r"^folder is '.*'; it must hold lessons"):
        releases(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "null",
        "{}",
        '{"cells": 1}',
        '{"cells": [1]}',
        '{"cells": [{"cell_type": "code"}]}',
        "[" * 9**6,
        '{"cells": [{"cell_type": "code", "source": "", "metadata": []}]}',
    ],
)
def test_broken_lessons_are_named(tmp_path, text):
    (tmp_path / "02-b.ipynb").write_text(text)
    with pytest.raises(ReleaseError, match=r"02-b\.ipynb cannot be read"):
        releases(tmp_path)


def test_a_notebook_that_asks_for_nothing_is_no_lesson(tmp_path):
    with pytest.raises(ReleaseError, match=r"01-a\.ipynb asks for no function"):
        releases(lesson(tmp_path, ("x = 1", {})))
