"""What was handed out: the lessons as released, against which a submission is read."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+)$", re.MULTILINE)


class ReleaseError(ValueError):
    """A folder of lessons that cannot be used; the message names the folder or the file."""


@dataclass(frozen=True)
class Release:
    """One lesson as it was handed out.

    Args:
        lesson: The file's name without its ending, such as ``03-bce``.
        title: The first heading.
        functions: The functions that are graded, in the lesson's order, predictions included.
        setup: The sources of the cells that only import, to run first for every submission.
        given: For each code cell, by its normal source, what is still run of it where a student left it as it was:
            its imports and definitions, or nothing. Of a stub, nothing: an unchanged stub is not written.

    """

    lesson: str
    title: str
    functions: tuple[str, ...]
    setup: tuple[str, ...]
    given: Mapping[str, str]


@dataclass(frozen=True)
class _Cell:
    """A code cell of a lesson, and what nbgrader's metadata say of it."""

    source: str
    grade_id: str
    solution: bool
    grade: bool
    tree: ast.Module | None  # None where the cell is not plain Python, as the installation cell is not


def normal(source: str) -> str:
    """Return the source with LF for line ends and without trailing blanks and blank lines at its ends."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip(" \t") for line in lines).strip("\n")


def heading(text: str) -> str:
    """Return the first heading of a text cell, or nothing."""
    found = _HEADING.search(text)
    return found[1].strip() if found else ""


def releases(folder: Path) -> dict[str, Release]:
    """Return every lesson of a folder, by its name.

    Args:
        folder: The folder that holds the lessons as they were handed out, ``NN-slug.ipynb``.

    Raises:
        ReleaseError: There is no such folder, it holds no notebook, or one of them is broken or asks for nothing.

    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReleaseError(f"folder is {str(folder)!r}; it must be the folder of the released lessons")
    paths = sorted(path for path in folder.glob("*.ipynb") if not path.name.startswith("."))
    if not paths:
        raise ReleaseError(f"folder is {str(folder)!r}; it must hold lessons, and has no .ipynb file")
    return {path.stem: _release(path) for path in paths}


def _release(path: Path) -> Release:
    code, title = _cells(path)
    functions: dict[str, None] = {}  # a set that keeps the order
    for cell in code:
        if (name := _stub(cell) if cell.solution else _graded(cell)) is not None:
            functions[name] = None
    if not functions:
        raise ReleaseError(f"{path} asks for no function: no cell is a stub or a graded `check(f).points`")
    setup = [cell.source for cell in code if cell.grade_id.startswith("setup")]
    return Release(
        lesson=path.stem,
        title=title,
        functions=tuple(functions),
        setup=tuple(setup or [cell.source for cell in code if _only_imports(cell)]),
        given={normal(cell.source): "" if cell.solution else _reduced(cell) for cell in code},
    )


def _cells(path: Path) -> tuple[list[_Cell], str]:
    """Return the code cells of a lesson and its title. Raises ReleaseError where the file is no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [_text(cell) for cell in cells if cell["cell_type"] == "markdown"]
        code = [_cell(cell) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ReleaseError(f"{path} cannot be read as a notebook ({type(error).__name__}: {error})") from error
    return code, next(filter(None, map(heading, texts)), "")


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _cell(cell: dict[str, Any]) -> _Cell:
    marks = cell.get("metadata", {}).get("nbgrader", {})
    source = _text(cell)
    try:
        tree = ast.parse(source)
    except SyntaxError:
        tree = None
    return _Cell(source, str(marks.get("grade_id", "")), bool(marks.get("solution")), bool(marks.get("grade")), tree)


def _stub(cell: _Cell) -> str | None:
    """Return the name of the function that a stub asks for."""
    body = cell.tree.body if cell.tree else []
    return next((node.name for node in body if isinstance(node, ast.FunctionDef)), None)


def _graded(cell: _Cell) -> str | None:
    """Return ``f`` where the cell is graded and is ``check(f).points``, and nothing else."""
    match cell.tree.body if cell.tree and cell.grade else []:
        case [
            ast.Expr(
                value=ast.Attribute(
                    attr="points", value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=function)], keywords=[])
                )
            )
        ]:
            return function
    return None


def _only_imports(cell: _Cell) -> bool:
    body = cell.tree.body if cell.tree else []
    return bool(body) and all(isinstance(node, ast.Import | ast.ImportFrom) for node in body)


def _reduced(cell: _Cell) -> str:
    """Return the cell's imports, functions and classes alone: a picture or a race is not run again to grade."""
    nodes: list[ast.stmt] = cell.tree.body if cell.tree else []
    body = [node for node in nodes if isinstance(node, _DEFINITIONS)]
    return ast.unparse(ast.Module(list[ast.stmt](body), type_ignores=[])) if body else ""
