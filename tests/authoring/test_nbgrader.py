"""A released lesson goes through nbgrader: validated, assigned, handed in, graded."""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.validator import Validator
from traitlets.config import Config

pytestmark = [
    pytest.mark.xdist_group("release"),
    pytest.mark.filterwarnings("ignore:Object of type"),  # SQLAlchemy, about nbgrader's own queries
]

# student: the functions that were answered, and the points that they are worth
SUBMISSIONS = {"right": ({"double", "square"}, 5.0), "part": ({"square"}, 3.0), "untouched": (set(), 0.0)}


def test_nbgrader_validate(released: Path) -> None:
    assert Validator().validate(str(released / "solutions" / "03-sample.ipynb")) == {}
    results = Validator().validate(str(released / "lessons" / "03-sample.ipynb"))
    assert [*results] == ["failed"]  # not 'changed' nor 'type_changed': it is as the release left it
    assert [cell["source"] for cell in results["failed"]] == ["check(double).points", "check(square).points"]


def submission(lesson, solution, answered: set[str]):
    """Return the lesson as a student hands it in."""
    nb = copy.deepcopy(lesson)
    answers = {cell.id: cell.source for cell in solution.cells}
    for cell in nb.cells:
        if cell.id in answered:
            cell.source = answers[cell.id]
    return nb


@pytest.mark.parametrize(("column", "clear"), [("solutions", True), ("lessons", False)])
def test_a_course_is_assigned_and_graded(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, clear: bool
) -> None:
    # nbgrader calls `alembic`, which lies beside this interpreter.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    lesson, solution = (nbformat.read(released / c / "03-sample.ipynb", 4) for c in ("lessons", "solutions"))
    root = tmp_path / "classroom"
    config = Config()
    config.CourseDirectory.root = str(root)
    # A lesson's stubs are written already; nbgrader would put its own in place of the whole cell.
    config.ClearSolutions.enabled = clear

    def write(nb, *parts: str) -> None:
        path = root.joinpath(*parts, "03-sample.ipynb")
        path.parent.mkdir(parents=True)
        nbformat.write(nb, path)

    write(lesson if column == "lessons" else solution, "source", "bce")
    for student, (answered, _) in SUBMISSIONS.items():
        write(submission(lesson, solution, answered), "submitted", student, "bce")

    nbgrader = NbGraderAPI(config=config)
    done = nbgrader.generate_assignment("bce")
    assert done["success"], done
    given = nbformat.read(root / "release" / "bce" / "03-sample.ipynb", 4)
    assert [cell.id for cell in given.cells if "nbgrader" in cell.metadata] == [
        cell.id for cell in lesson.cells if "nbgrader" in cell.metadata
    ]
    assert not any("twice = x + x" in cell.source for cell in given.cells)
    assert all("Return 2·x." in cell.source for cell in given.cells if cell.id == "double")
    for student, (_, points) in SUBMISSIONS.items():
        done = nbgrader.autograde("bce", student)
        assert done["success"], done
        with Gradebook(nbgrader.coursedir.db_url) as gradebook:
            graded = gradebook.find_submission("bce", student)
            assert (graded.score, graded.max_score) == (points, 5.0)
