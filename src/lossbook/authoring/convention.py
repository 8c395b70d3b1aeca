"""Reads a solution, `solutions/NN-slug.md`, and derives nbgrader's metadata from what the author wrote.

The author types no metadata: a cell with a solution region is an exercise, a cell that is `check(f).points` grades
it, a cell that imports `check` sets up both. Nor are hints typed: they stand where the exercise is declared, and a
mark says where the lesson folds them away. A cell that is `predict("f", name=answer)` asks for predictions: the
solution keeps the answers, the lesson has None for each.
"""

import ast
import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import jupytext
from IPython.core.displayhook import DisplayHook
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from lossbook.installing import requirement
from lossbook.notebooks.notebook import METADATA, as_node, place
from lossbook.prose import hints

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
NEWLINE = "\n"
LESSON_ONLY, SOLUTION_ONLY = "lesson-only", "solution-only"
INSTALL = f"""\
try:
    import lossbook
except ModuleNotFoundError:  # on Colab: install the course's package
    %pip install -q "{requirement()}"
"""
# In a text that the solution alone shows: what the lesson would lose by it.
LOST = re.compile(r"^#{1,6} |</details>\s*\S", re.M)
_plain_python: Callable[[str], str] = TransformerManager().transform_cell  # type: ignore[no-untyped-call, unused-ignore]
_ends_with_semicolon: Callable[[str], bool] = DisplayHook.semicolon_at_end_of_expression
_FORBIDDEN = {"nbval-skip", "raises-exception", "nbval-raises-exception"}


class Predicted(Protocol):
    """What the release needs to know of a prediction."""

    @property
    def name(self) -> str:
        """The keyword under which the lesson asks for it."""


class Exercise(hints.Hinted, Protocol):
    """What the release needs to know of an exercise."""

    @property
    def points(self) -> float:
        """The most points a submission can get."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters."""

    @property
    def predictions(self) -> Sequence[Predicted]:
        """What is asked before the function is written."""


Lookup = Callable[[str], Exercise]


class AuthorError(ValueError):
    """A source that breaks the convention; the message names the file, the cell and what to do."""


class _Reader:
    """One pass over the cells of one source, in order."""

    def __init__(self, name: str, text: str, lookup: Lookup) -> None:
        self.name, self.text, self.lookup = name, text, lookup
        self.unchecked: dict[str, str] = {}  # the exercises not yet checked, and where each is
        self.checked: set[str] = set()
        self.hinted: set[str] = set()
        self.predicted: dict[str, str] = {}  # the exercises whose predictions were asked for, and where
        self.marks = (self._line(mark.start()) for mark in hints.MARK.finditer(text))
        self.where = ""

    def fail(self, what: str) -> AuthorError:
        return AuthorError(f"{self.name}, {self.where}: {what}")

    def read(self, cells: list[NotebookNode]) -> None:
        self._opening(cells)
        for number, cell in enumerate(cells, 1):
            self.where = place(number, cell)
            self._tags(cell)
            if cell.cell_type == "code":
                self._code(cell)
            elif BEGIN in cell.source or END in cell.source:
                raise self.fail(f"{BEGIN!r} and {END!r} belong in a code cell")
            else:
                cell.source = hints.MARK.sub(self._hints, cell.source)
        for function, where in self.unchecked.items():
            self.where = where
            raise self.fail(f"{function} is never checked: add a cell whose only line is check({function}).points")
        for function in sorted({*self.checked, *self.unchecked} - self.hinted):
            if hints.of(function, self.lookup):
                self.where = self._stub(function)
                raise self.fail(f"the hints of {function} have no place: add the mark ```{{hints}} {function} and ```")
        self._all_predicted()

    def _all_predicted(self) -> None:
        """Check that what exercises of this lesson declare to be predicted is asked for, and nothing else."""
        here = {*self.checked, *self.unchecked}
        for function, where in self.predicted.items():
            self.where = where
            if function not in here:
                raise self.fail(f"no cell below solves {function}: predictions are asked for in its lesson")
        for function in sorted(here - {*self.predicted}):
            if asked := _asked(function, self.lookup):
                self.where = self._stub(function)
                answers = ", ".join(f"{name}=…" for name in asked)
                raise self.fail(
                    f'the predictions of {function} are not asked for: add predict("{function}", {answers})'
                )

    def _predictions(self, call: ast.Call) -> None:
        """Check a cell that asks for predictions: above its function, and once, with the names that are declared."""
        match call.args:
            case [ast.Constant(value=str(function))]:
                pass
            case _:
                raise self.fail('the first argument of predict is the name of a function: predict("f", …)')
        if function in self.predicted:
            raise self.fail(f"the predictions of {function} are asked for above already: keep one cell")
        if function in {*self.checked, *self.unchecked}:
            raise self.fail(f"{function} is solved above: its predictions are asked for before")
        asked, given = _asked(function, self.lookup), [str(keyword.arg) for keyword in call.keywords]
        if not asked or given != list(asked):
            wanted = ", ".join(asked) or "nothing"
            raise self.fail(f"predict asks for {', '.join(given) or 'nothing'}; {function} declares {wanted}")
        self.predicted[function] = self.where

    def _line(self, offset: int) -> str:
        """Name a line of the source by where in its text it begins."""
        return f"line {self.text.count(NEWLINE, 0, offset) + 1}"

    def _stub(self, function: str) -> str:
        """Name the line in which a function is defined."""
        found = re.search(rf"^def {function}\b", self.text, re.M)
        return self._line(found.start() if found else 0)

    def _hints(self, mark: re.Match[str]) -> str:
        """Return the hints that belong where a mark is."""
        function, self.where = mark[1], next(self.marks)
        if function not in {*self.checked, *self.unchecked}:
            raise self.fail(f"no cell above solves {function}: its hints belong below it")
        if function in self.hinted:
            raise self.fail(f"the hints of {function} stand above already: keep one mark")
        self.hinted.add(function)
        if not (found := hints.of(function, self.lookup)):
            raise self.fail(f"the exercise {function} declares no hint to fold away: remove the mark")
        return hints.fold(found)

    def _opening(self, cells: list[NotebookNode]) -> None:
        self.where = "cell 1"
        if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
            raise self.fail("a lesson opens with its title: a text cell that starts with '# '")
        self._typed_hints()
        code = [cell for cell in cells if cell.cell_type == "code"]
        if not code or code[0].source.strip() != INSTALL.strip():
            raise self.fail(f"the first code cell must install the course on Colab; make it\n{INSTALL}")

    def _typed_hints(self) -> None:
        """Refuse hints that are typed into the source, and marks that are not written as they must be."""
        if typed := hints.TYPED.search(self.text):
            self.where = self._line(typed.start())
            raise self.fail("a hint is typed here: declare it with its exercise, and put the mark in its place")
        marks = {mark.start() for mark in hints.MARK.finditer(self.text)}
        for found in hints.ANY.finditer(self.text):
            if found.start() not in marks:
                self.where = self._line(found.start())
                raise self.fail("a mark for hints is two lines: ```{hints} and the function's name, then ```")

    def _tags(self, cell: NotebookNode) -> None:
        if "nbgrader" in cell.metadata:
            raise self.fail("remove the key `nbgrader`: the release derives it")
        tags = set(cell.metadata.get("tags", []))
        if tags & _FORBIDDEN:
            raise self.fail(f"remove the tag {min(tags & _FORBIDDEN)!r}: every cell is run and must succeed")
        if "nbval-ignore-output" in tags and "timing" not in tags:
            raise self.fail("only timings may go uncompared: add the tag 'timing' or drop 'nbval-ignore-output'")
        if {LESSON_ONLY, SOLUTION_ONLY} <= tags:
            raise self.fail(f"keep one of the tags {LESSON_ONLY!r} and {SOLUTION_ONLY!r}")
        if SOLUTION_ONLY in tags and cell.cell_type == "markdown" and LOST.search(cell.source):
            raise self.fail("what the solution alone shows goes on behind its answer: end the answer with a line +++")

    def _code(self, cell: NotebookNode) -> None:
        tree = self._parse(cell.source)
        if BEGIN in cell.source or END in cell.source:
            self._solution(cell, tree)
        elif (function := _graded_function(tree)) is not None:
            self._graded(cell, function)
        elif (call := predicting(tree)) is not None:
            self._predictions(call)
        elif _imports_check(tree):
            _mark(cell, "setup", locked=True)

    def _parse(self, source: str) -> ast.Module:
        if not source.strip():
            raise self.fail("the code cell is empty: remove it")
        if "NBVAL_" in source:
            raise self.fail("remove the comment for nbval: use tags")
        try:
            tree = ast.parse(_plain_python(source))
        except SyntaxError as error:
            raise self.fail(f"line {error.lineno} is not Python ({error.msg})") from None
        if _ends_with_semicolon(source):
            raise self.fail("drop the last ';': assign the value to `_`, or end the cell with plt.show()")
        return tree

    def _solution(self, cell: NotebookNode, tree: ast.Module) -> None:
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        if len(functions) != 1:
            found = ", ".join(node.name for node in functions) or "none"
            raise self.fail(f"a cell with a solution defines one function; this one defines {found}")
        function = functions[0]
        self._regions(cell.source, function)
        name = function.name
        if name in self.unchecked or name in self.checked:
            raise self.fail(f"{name} is already an exercise of this lesson: rename one of the two")
        self._parameters(function)
        self.unchecked[name] = self.where
        _mark(cell, _grade_id(name), solution=True)

    def _parameters(self, function: ast.FunctionDef) -> None:
        """Check that the stub takes what the exercise's reference takes."""
        try:
            wanted = ", ".join(self.lookup(function.name).parameters)
        except LookupError:  # its check will say so
            return
        given = copy.deepcopy(function.args)
        for argument in ast.walk(given):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        if (own := ast.unparse(given)) != wanted:
            self.where = self._stub(function.name)
            raise self.fail(f"the stub is {function.name}({own}), and the exercise's reference takes ({wanted})")

    def _regions(self, source: str, function: ast.FunctionDef) -> None:
        """Check that the markers come in pairs inside the function, below its docstring."""
        if ast.get_docstring(function) is None:
            raise self.fail(f"give {function.name} a docstring above {BEGIN!r}: it is what the student sees")
        docstring_end = function.body[0].end_lineno or 0
        inside = False
        for number, line in enumerate(source.split("\n"), 1):
            if BEGIN in line and inside:
                raise self.fail(f"line {number}: {BEGIN!r} again before {END!r}")
            if END in line and not inside:
                raise self.fail(f"line {number}: {END!r} without {BEGIN!r} above it")
            if BEGIN in line:
                inside = True
                indent = len(line) - len(line.lstrip())
                if number <= docstring_end or indent != function.body[0].col_offset:
                    raise self.fail(
                        f"line {number}: put {BEGIN!r} in the body of {function.name}, below its docstring, "
                        "indented as the docstring"
                    )
            elif END in line:
                inside = False
        if inside:
            raise self.fail(f"{BEGIN!r} has no {END!r}")

    def _graded(self, cell: NotebookNode, function: str) -> None:
        if function in self.checked:
            raise self.fail(f"{function} is already checked above: keep one check({function}).points")
        if function not in self.unchecked:
            above = ", ".join(self.unchecked) or "none"
            raise self.fail(f"no cell above solves {function}; not yet checked: {above}. Correct the name")
        try:
            points = self.lookup(function).points
        except LookupError:
            raise self.fail(
                f"lossbook.exercises knows no exercise {function!r}: declare it, or correct the name"
            ) from None
        self.checked.add(function)
        del self.unchecked[function]
        _mark(cell, f"{_grade_id(function)}-points", locked=True, points=points)


def read(path: Path, lookup: Lookup) -> NotebookNode:
    """Return the notebook that `path` writes down, with nbgrader's metadata, cell ids and no outputs.

    Raises AuthorError where the source breaks the convention.
    """
    text = path.read_text(encoding="utf-8")
    nb: NotebookNode = jupytext.reads(text, fmt="md:myst")
    nb.metadata = as_node(METADATA)
    _Reader(f"{path.parent.name}/{path.name}", text, lookup).read(nb.cells)
    _name_cells(nb.cells)
    return nb


def _name_cells(cells: list[NotebookNode]) -> None:
    """Give each cell an id that changes only when the cell does: its grade_id, or a hash of its source."""
    seen: dict[str, int] = {}
    for cell in cells:
        content = f"{cell.cell_type}\0{cell.source}".encode()
        identity = cell.metadata.get("nbgrader", {}).get("grade_id") or hashlib.sha256(content).hexdigest()[:12]
        seen[identity] = seen.get(identity, 0) + 1
        cell.id = identity if seen[identity] == 1 else f"{identity}-{seen[identity]}"


def _grade_id(function: str) -> str:
    """Return `function` in the letters nbgrader allows: ASCII letters, digits, _ and -."""
    return "".join(c if c.isascii() else f"u{ord(c):x}" for c in function)


def _mark(
    cell: NotebookNode, grade_id: str, *, solution: bool = False, locked: bool = False, points: float | None = None
) -> None:
    nbgrader = {
        "schema_version": 3,
        "grade": points is not None,
        "grade_id": grade_id,
        "locked": locked,
        "solution": solution,
        "task": False,
    }
    if points is not None:
        nbgrader["points"] = points
    cell.metadata["nbgrader"] = nbgrader


def _graded_function(tree: ast.Module) -> str | None:
    """Return `f` if the cell is `check(f).points` and nothing else."""
    match tree.body:
        case [
            ast.Expr(
                value=ast.Attribute(
                    attr="points",
                    value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=function)], keywords=[]),
                )
            )
        ]:
            return function
    return None


def _asked(function: str, lookup: Lookup) -> tuple[str, ...]:
    """Return the names of what is predicted before a function is written."""
    try:
        return tuple(prediction.name for prediction in lookup(function).predictions)
    except LookupError:
        return ()


def predicting(tree: ast.Module) -> ast.Call | None:
    """Return the call if the cell is `predict(…)` and nothing else."""
    match tree.body:
        case [ast.Expr(value=ast.Call(func=ast.Name(id="predict")) as call)]:
            return call
    return None


def unanswered(source: str) -> str:
    """Return a cell that asks for predictions with None for each answer."""
    call = predicting(ast.parse(source))
    if call is None:
        return source
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for value in reversed([keyword.value for keyword in call.keywords]):
        first, last = value.lineno - 1, (value.end_lineno or value.lineno) - 1
        end = lines[last][value.end_col_offset :]
        lines[first : last + 1] = [lines[first][: value.col_offset] + b"None" + end]
    return b"".join(lines).decode()


def _imports_check(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and any((a.asname or a.name) == "check" for a in node.names)
        for node in tree.body
    )
