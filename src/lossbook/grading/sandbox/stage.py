"""Runs a student's cells and then calls the student's functions, in a process that is thrown away afterwards."""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import dataclasses
import inspect
import io
import linecache
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lossbook.exercises.trial import MISSING, RAISED, STOPPED, Outcome, attempt, describe
from lossbook.grading.sandbox.cells import parsed

OUTPUT = 64 * 1024  # characters of output kept in memory; a student's prints are not shown
HERE = ("lossbook", "torch", "numpy", "matplotlib", "tqdm")  # what a submission can import besides Python's own
THERE = f"Python's own modules, {', '.join(HERE[1:-1])} and {HERE[-1]} alone"
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


def told(error: BaseException) -> str:
    """Return an error in one line, and of a module that is missing what there is instead."""
    said = describe(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "lossbook").partition(".")[0] not in HERE:
        return f"{said}: where submissions are graded there are {THERE}"
    return said


def _execute(body: Sequence[ast.stmt], name: str, scope: dict[str, Any]) -> None:
    tree = ast.Module(list(body), [])
    code = compile(tree, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, scope))
    else:
        exec(code, scope)


def _line_of(error: BaseException, name: str) -> int:
    """Return the line of a cell at which an error came out of it; 0 where it is unknown."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name and trace.tb_frame.f_code.co_name == "<module>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def run_cell(source: str, number: int, scope: dict[str, Any], *, reduced: bool = False) -> str | None:
    """Run one cell as a notebook would. Return its error in one line, or None.

    Args:
        source: The cell's text.
        number: The cell's number in the notebook, for its errors.
        scope: The notebook's namespace.
        reduced: Run its definitions and imports alone: the rest ended or outlasted an earlier run.

    What a cell that raises defines further down is defined all the same: it may have raised at something that is
    forbidden here and fine in a notebook, such as a comparison with PyTorch's own loss.
    """
    name = f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        tree = parsed(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return told(error)
    if reduced:
        _define(tree, name, scope, 0)
        return None
    try:
        _execute(tree.body, name, scope)
    except BaseException as error:
        _define(tree, name, scope, _line_of(error, name))
        return told(error)
    return None


def _define(tree: ast.Module, name: str, scope: dict[str, Any], below: int) -> None:
    """Run the definitions and imports of a cell below a line, each by itself."""
    for statement in tree.body:
        if statement.lineno > below and isinstance(statement, _KEPT):
            with contextlib.suppress(BaseException):
                _execute([statement], name, scope)


def notebook_scope() -> dict[str, Any]:
    """Return the namespace of a fresh notebook, with what a notebook has built in."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    scope = module.__dict__
    scope["__builtins__"] = builtins
    builtins.input = lambda prompt="": ""
    scope["display"] = lambda *objects, **options: None
    scope["exit"] = scope["quit"] = lambda *status: None
    sys.stdout = sys.stderr = Sink()
    sys.stdin = io.StringIO()
    sys.argv = ["notebook"]
    warnings.simplefilter("ignore")
    return scope


def _works(value: Any) -> bool:
    return callable(value) or isinstance(value, types.ModuleType)


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
