"""Through the real grader: solutions win all, untouched lessons nothing; mistakes are named, no right style loses.

Misconceptions and right styles are Python objects in modules. Here each goes through the grader as cells of a notebook:
a cell that defines what the object needs of its module, taken from the module's source, and a cell that gives the
object the name that the exercise asks for. One notebook holds one answer to each exercise of a lesson.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import importlib.util
import json
import shutil
import types
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from lossbook.checks.exercise import Exercise
from lossbook.exercises import exercises
from lossbook.grading.grade import Options, grade
from lossbook.grading.keep.records import Mark, Record

ROOT = Path(__file__).parents[2]
ROWS = sorted(path.stem for path in (ROOT / "solutions").glob("*.md"))
PACKAGE = ROOT / "src" / "lossbook"
SEED = 4711

pytestmark = pytest.mark.xdist_group("graded")


def declared(row: str) -> list[Exercise]:
    return [item for item in exercises().values() if item.slug == row.partition("-")[2]]


def bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement at the top of a module binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name.partition(".")[0] for alias in names}
        case ast.Assign(targets=targets):
            return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def used(statement: ast.stmt | ast.expr) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


# What the sandbox has not, and a table of misconceptions is written with.
STAND_IN = (
    "from types import SimpleNamespace\n"
    "def Misconception(name, wrong, advice, **more): return SimpleNamespace(wrong=wrong)\n"
    "def Exercise(*given, misconceptions, **more): return SimpleNamespace(misconceptions=misconceptions)\n"
    "class Case: pass\ndef Curve(*given): pass\n"
)
COPIED = ("lossbook.exercises", "lossbook.checks", "__")


@functools.cache
def prelude(path: Path, *wanted: str) -> str:
    """Return the part of a module that names at its top need, as one cell."""
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    need, kept = {*wanted}, []
    for _ in statements:  # until nothing more is needed
        need |= set().union(*(used(statement) for statement in statements if bound(statement) & need))
    for statement in statements:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(COPIED):
            other = PACKAGE / f"{(statement.module or '').removeprefix('lossbook.').replace('.', '/')}.py"
            names = [alias.name for alias in statement.names if alias.name in need and alias.name not in STAND_IN]
            kept += [prelude(other, name) for name in names if other.parent.name == "checks"]
        elif bound(statement) & need:
            kept.append(ast.unparse(statement))
    return STAND_IN + "\n".join(kept)


def calls(function: Any) -> Iterator[str]:
    """Yield the names that a function's code mentions, and those of all that it reaches in its module."""
    seen: set[int] = set()

    def of(item: Any) -> Iterator[str]:
        if isinstance(item, functools.partial):
            item = item.func
        if not isinstance(item, types.FunctionType) or id(item) in seen:
            return
        seen.add(id(item))
        if item.__module__.startswith(("lossbook.losses", "torch")):
            yield "lossbook.losses" if item.__module__.startswith("lossbook") else item.__name__
            return
        codes = [item.__code__]
        for code in codes:
            codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
            yield from code.co_names
            for name in code.co_names:
                yield from of(item.__globals__.get(name))
        for cell in item.__closure__ or ():
            yield from of(cell.cell_contents)

    return of(function)


def borrows(exercise: Exercise, function: Any) -> bool:
    """Tell whether a function mentions a loss of PyTorch's or of the course's, which it has not where it is graded."""
    return not ({*exercise.barred, "lossbook.losses"} - exercise.forbidden).isdisjoint(calls(function))


def module_of(row: str) -> Path:
    """Return the file that declares a lesson's exercises."""
    return PACKAGE / "exercises" / f"{row.partition('-')[2]}.py"


@functools.cache
def tables(row: str) -> dict[str, ast.expr]:
    """Return, by function, the expression for the misconceptions of each exercise, as it stands in its declaration."""
    found: dict[str, ast.expr] = {}
    for call in ast.walk(ast.parse(module_of(row).read_text(encoding="utf-8"))):
        match call:
            case ast.Call(
                func=ast.Name(id="Exercise" | "bound_exercise" as kind),
                args=[ast.Constant(value=name), *_],
            ):
                exercise = name.partition(".")[2]
                given = {keyword.arg: keyword.value for keyword in call.keywords}
                if kind == "Exercise":
                    found[exercise] = given["misconceptions"]
                else:  # it has others beside its own
                    found[exercise] = ast.Attribute(call, "misconceptions")
    return found


def misconceptions(row: str) -> dict[str, list[tuple[str, Any, str]]]:
    """Return, by function, the name of each misconception, the wrong function, and the expression that makes it."""
    return {
        exercise.function: [
            (item.name, item.wrong, f"MISCONCEPTIONS[{exercise.function!r}][{k}].wrong")
            for k, item in enumerate(exercise.misconceptions)
        ]
        for exercise in declared(row)
    }


@functools.cache
def styles_module(row: str) -> Any:
    path = ROOT / "tests" / "exercises" / f"test_{row.partition('-')[2]}.py"
    spec = importlib.util.spec_from_file_location(f"styles_of_{row.partition('-')[2]}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def styles(row: str) -> dict[str, list[tuple[str, Any, str]]]:
    """Return, by function, the right functions that the exercise's own tests try; each module has its own table."""
    found: dict[str, list[tuple[str, Any, str]]] = {item.function: [] for item in declared(row)}
    for key, value in styles_module(row).RIGHT.items():
        match value:
            case (str() as name, function):  # style: (name, function)
                found[name].append((key, function, f"RIGHT[{key!r}][1]"))
            case dict() | list():  # name: the functions
                pairs = value.items() if isinstance(value, dict) else enumerate(value)
                found[key] += [(f"{key} {k}", function, f"RIGHT[{key!r}][{k!r}]") for k, function in pairs]
            case function:  # "name: style": function
                found[key.partition(":")[0]].append((key, function, f"RIGHT[{key!r}]"))
    return found


def notebook(row: str, cells: list[str]) -> str:
    """Return a notebook of a lesson with these cells."""
    title = f"# Lesson {int(row[:2])}"
    code = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell} for cell in cells]
    head = {"cell_type": "markdown", "metadata": {}, "source": title}
    return json.dumps({"cells": [head, *code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def answered(opening: str, answers: dict[str, str]) -> list[str]:
    """Return the cells of one notebook: what its answers need, in a namespace of its own, then each answer."""
    needed = f"given = {{'__name__': 'given'}}\nexec({opening!r}, given)"
    return [needed, *(f"{name} = eval({code!r}, given)" for name, code in answers.items())]


def batches(table: dict[str, list[tuple[str, Any, str]]]) -> Iterator[dict[str, tuple[str, Any, str]]]:
    """Yield the k-th of each function together, for every k."""
    for row in zip_longest(*table.values()):
        yield {name: item for name, item in zip(table, row, strict=True) if item is not None}


def openings(row: str) -> tuple[str, str]:
    slug = row.partition("-")[2]
    needed = set().union(*(used(table) for table in tables(row).values()))
    wrong = prelude(module_of(row), *sorted(needed))
    wrong += "\n" + prelude(PACKAGE / "checks" / "bounds.py", "bound_exercise", "Array", "Traffic")
    rows = ", ".join(f"{name!r}: {ast.unparse(table)}" for name, table in tables(row).items())
    return f"{wrong}\nMISCONCEPTIONS = {{{rows}}}", prelude(ROOT / "tests" / "exercises" / f"test_{slug}.py", "RIGHT")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """Grade all in one batch; return the records by student: ``ROW wrong K``, ``ROW right K``, ``ROW solution`` …"""
    folder = tmp_path_factory.mktemp("graded")
    for row in ROWS:
        for column in ("solutions", "lessons"):
            (folder / "in" / f"{row} {column}").mkdir(parents=True)
            shutil.copy(ROOT / column / f"{row}.ipynb", folder / "in" / f"{row} {column}")
        for what, opening, table in zip(
            ("wrong", "right"), openings(row), (misconceptions(row), styles(row)), strict=True
        ):
            for k, batch in enumerate(batches(table)):
                path = folder / "in" / f"{row} {what} {k}" / f"{row}.ipynb"
                path.parent.mkdir(parents=True)
                cells = answered(opening, {name: code for name, (_, _, code) in batch.items()})
                path.write_text(notebook(row, cells), encoding="utf-8")
    found: dict[str, Record] = {}

    def keep(done: int, of: int, record: Record) -> None:
        found[record.student] = record

    asyncio.run(grade(Options(folder / "in", folder / "out", ROOT / "lessons", seed=SEED), keep))
    return found


def marks(record: Record) -> dict[str, Mark]:
    return {mark.function: mark for mark in record.marks}


@pytest.mark.parametrize("row", ROWS)
def test_the_solution_wins_all(records: dict[str, Record], row: str) -> None:
    record = records[f"{row} solutions"]
    assert (record.state, record.lesson, record.reason, record.cell_errors) == ("graded", row, "", ())
    assert record.points == record.out_of == sum(item.points for item in declared(row))
    assert all(mark.state == "passed" for mark in record.marks)
    assert [remark for remark in record.remarks if not remark.startswith("the answers are the published")] == []


@pytest.mark.parametrize("row", ROWS)
def test_the_lesson_as_handed_out_wins_nothing(records: dict[str, Record], row: str) -> None:
    record = records[f"{row} lessons"]
    assert (record.state, record.lesson, record.points) == ("not attempted", row, 0)
    assert record.out_of == sum(item.points for item in declared(row))
    assert all(mark.state == "not attempted" for mark in record.marks)


@pytest.mark.parametrize("row", ROWS)
def test_every_misconception_fails_and_is_named(records: dict[str, Record], row: str) -> None:
    tried, unnamed = 0, []
    for k, batch in enumerate(batches(misconceptions(row))):
        record = records[f"{row} wrong {k}"]
        assert (record.state, record.cell_errors) == ("graded", ()), record.reason
        for name, (mistake, function, _) in batch.items():
            mark = marks(record)[name]
            assert (mark.state, mark.points) == ("failed", 0), f"{name}: {mistake}"
            tried += 1
            if not borrows(exercises()[name], function) and mark.misconception != mistake:
                unnamed.append((name, mistake, mark.misconception, mark.failures[:1]))
    assert tried == sum(len(item.misconceptions) for item in declared(row))
    assert not unnamed


def test_few_misconceptions_borrow_a_loss() -> None:
    pairs = [(item, wrong.wrong) for item in exercises().values() for wrong in item.misconceptions]
    assert len(pairs) >= 300
    assert sum(borrows(*pair) for pair in pairs) <= len(pairs) / 20


@pytest.mark.parametrize("row", ROWS)
def test_no_right_style_loses(records: dict[str, Record], row: str) -> None:
    tried, lost = 0, []
    for k, batch in enumerate(batches(styles(row))):
        record = records[f"{row} right {k}"]
        assert (record.state, record.cell_errors, record.remarks) == ("graded", (), ()), record.reason
        for name, (style, _, _) in batch.items():
            mark = marks(record)[name]
            tried += 1
            if (mark.state, mark.points) != ("passed", exercises()[name].points):
                lost.append((name, style, mark.failures[:1]))
    assert tried >= 30
    assert not lost
