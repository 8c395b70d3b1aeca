"""Runs a student's cells and then calls the student's functions, in a process that is thrown away afterwards."""

from __future__ import annotations
import __future__

import ast
import asyncio
import builtins
import dataclasses
import inspect
import io
import linecache
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lossbook.checks.trial import MISSING, RAISED, STOPPED, ForbiddenError, Outcome, attempt, describe
from lossbook.grading.run.sandbox.cells import parsed

BUILT_IN = dict(vars(builtins))
# For what is defined below: a cell may replace compile or isinstance between two statements.
globals()["__builtins__"] = BUILT_IN
OUTPUT = 64 * 1024  # characters of output kept in memory; a student's prints are not shown
HERE = ("lossbook", "torch", "numpy", "matplotlib", "tqdm", "triton")  # what submissions import besides Python's own
THERE = f"Python's own modules, {', '.join(HERE[1:-1])} and {HERE[-1]} alone"
FUTURE = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})
# Words of errors that say, without a type of their own, that a notebook's machine would have had what is asked for.
_MISSING = (
    *("start new thread", "temporarily unavailable", "allocate memory", "CUDA", "NVIDIA", "event loop"),
    "when a submission is graded",  # the stand-ins' own
)
_KEPT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


class Sink(io.TextIOBase):
    """Takes any amount of output and keeps none."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Take in a text and forget it."""
        return len(text)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True


class Nothing:
    """Stands in for IPython itself, where its magics are called by name: whatever is asked of it does nothing."""

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *given: Any, **more: Any) -> None:
        """Do nothing."""


def told(error: BaseException) -> str:
    """Return an error in one line, and of a module that is missing what there is instead."""
    said = describe(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "lossbook").partition(".")[0] not in HERE:
        return f"{said}: where submissions are graded there are {THERE}"
    return said


class Lines:
    """Runs statements one by one, as a notebook does: what they await and take from the future goes on in the next."""

    def __init__(self) -> None:
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.loop = asyncio.Runner()
        self.absent: set[str] = set()  # names that would stand for something, were nothing missing here

    def run(self, statement: ast.stmt, name: str, scope: dict[str, Any]) -> None:
        """Run one statement of the cell of this name. Raises what it raises."""
        code = compile(ast.Module([statement], []), name, "exec", flags=self.flags, dont_inherit=True)
        self.flags |= code.co_flags & FUTURE
        if code.co_flags & inspect.CO_COROUTINE:
            self.loop.run(eval(code, scope))
        else:
            exec(code, scope)

    def lacks(self, statement: ast.stmt, scope: dict[str, Any], error: BaseException) -> bool:
        """Tell whether an error may be due to the sandbox. What the statement would have named is missing from now on.

        Args:
            statement: What raised it.
            scope: The notebook's namespace.
            error: The error.

        """
        if not (missing_here(error) or (isinstance(error, NameError) and error.name in self.absent)):
            return False
        self.absent |= bound(statement) - scope.keys()
        return True


def bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives something, or would have given."""
    inside = list(ast.walk(statement))
    imported = (item.asname or item.name.partition(".")[0] for item in inside if isinstance(item, ast.alias))
    return {*imported, *(item.id for item in inside if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store))}


def missing_here(error: BaseException) -> bool:
    """Tell whether an error may be due to the sandbox: something is missing or forbidden here and not in a notebook."""
    return isinstance(error, (ImportError, OSError, MemoryError, ForbiddenError)) or (
        isinstance(error, (RuntimeError, AssertionError)) and any(word in describe(error) for word in _MISSING)
    )


def run_cell(
    source: str, number: int, scope: dict[str, Any], *, reduced: bool = False, lines: Lines | None = None
) -> str | None:
    """Run one cell as a notebook would. Return its first error in one line, or None.

    Args:
        source: The cell's text.
        number: The cell's number in the notebook, for its errors.
        scope: The notebook's namespace.
        reduced: Run its definitions and imports alone: the rest ended or outlasted an earlier run.
        lines: What runs its statements, the same for all cells of a notebook.

    What a cell that raises defines further down is defined all the same. Where the error is one that a notebook would
    not have had, such as a module that is not here, a missing file or a comparison with PyTorch's own loss, all that
    stands below it is run.
    """
    name, lines = f"<cell {number}>", lines or Lines()
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        body = parsed(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return told(error)
    first = None
    for statement in body:
        if reduced and not isinstance(statement, _KEPT):
            continue
        try:
            lines.run(statement, name, scope)
        except BaseException as error:
            vars(builtins).update(BUILT_IN)  # what tells of it needs them
            if not reduced:
                first = first or told(error)
                reduced = not lines.lacks(statement, scope, error)
    return first


def notebook_scope() -> dict[str, Any]:
    """Return the namespace of a fresh notebook, with what a notebook has built in."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    scope = module.__dict__
    scope["__builtins__"] = builtins
    BUILT_IN["input"] = builtins.input = lambda prompt="": ""
    scope["display"] = lambda *objects, **options: None
    scope["exit"] = scope["quit"] = scope["help"] = lambda *asked: None
    scope["get_ipython"] = Nothing
    sys.stdout = sys.stderr = Sink()
    sys.stdin = io.StringIO()
    sys.argv = ["notebook"]
    warnings.simplefilter("ignore")
    return scope


def _works(value: Any) -> bool:
    return callable(value) or issubclass(type(value), types.ModuleType)  # asking it for its class may run its code


def note_functions(scope: dict[str, Any], kept: dict[str, Any]) -> None:
    """Note what functions, classes and modules the notebook's names stand for."""
    kept.update((name, value) for name, value in scope.items() if _works(value))


def give_back_functions(scope: dict[str, Any], kept: dict[str, Any]) -> None:
    """Undo accidents such as ``sum = 3`` or ``bce = bce(p, y)`` further down: a notebook checks before they happen."""
    for name, value in list(scope.items()):
        if not _works(value):
            if name in kept:
                scope[name] = kept[name]
            elif callable(getattr(builtins, name, None)):
                del scope[name]


def answer(call: Sequence[Any], scope: dict[str, Any]) -> Outcome:
    """Make one call of a student's function and return its outcome. Never raises on a student's mistake."""
    name, args, kwargs, gradient, forbidden, count, *more = call
    function: Callable[..., Any] | None = scope.get(name)
    if function is None:
        return Outcome(MISSING)
    if not callable(function):
        return Outcome(RAISED, error=f"{name} is a {type(function).__name__}, not a function")
    try:
        cache = more[0] if more else 0
        given = {"gradient": gradient, "forbidden": frozenset(forbidden), "count": count, "cache": cache}
        outcome = attempt(function, args, kwargs, **given)
        if outcome.state == STOPPED:  # nobody interrupts here: the function did it itself
            return dataclasses.replace(outcome, state=RAISED, error="raised KeyboardInterrupt")
        return outcome
    except BaseException as error:  # KeyboardInterrupt and what else a student can raise
        return Outcome(RAISED, error=describe(error))
