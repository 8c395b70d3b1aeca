"""Tries, while the build runs a cell that holds a claim, whether its assertions could fail.

``install`` is called in the kernel of a page. Behind each assertion of such a cell its condition is evaluated again
with one of its values changed: a number made larger, smaller or zero, a tensor likewise, a text longer. Some change of
some value must make the condition false; else it is no evidence, and the cell fails. So does an assertion that the cell
never reaches. An ``and`` and a chain of comparisons are tried part by part.
"""

from __future__ import annotations

import ast
import hashlib
import io
import math
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

from IPython.core.error import InputRejected
from IPython.core.getipython import get_ipython

NAME = "__breaking__"
# What only passes on the truth of what it is given: its own verdict is not changed, what it is given is.
_VERDICTS = {"all", "any", "bool", "equal", "allclose", "isclose", "array_equal", "isfinite", "isnan", "isinf", "eq"}
_VERDICTS |= {"isinstance", "startswith", "endswith", "le", "lt", "ge", "gt", "ne"}
# What it gives has a sign or a range that it cannot leave: what it is given is changed instead.
_BOUND = {"abs", "len", "min", "max", "sorted", "float", "int", "round"}
_GREAT = 10**9
_ARITHMETIC = "= "  # begins the name of what is computed in the assertion itself


class UnbreakableError(AssertionError):
    """An assertion that holds a claim was not run, or would have held whatever was computed."""


@dataclass
class Part:
    """A part of an assertion that must be able to fail: its line, its code, and what became of it."""

    line: int
    code: str
    reached: bool = False
    broken: bool = False


@dataclass
class Breaker:
    """Tries the assertions of one cell."""

    parts: list[Part] = field(default_factory=list)

    def attempt(self, number: int, condition: Callable[[Callable[..., Any]], Any]) -> None:
        """Look for a change under which a condition that holds would not.

        Args:
            number: The part of the cell's assertions.
            condition: The condition, as a function of what each of its values goes through.

        """
        part = self.parts[number]
        part.reached = True
        if part.broken:
            return
        with _unseen():
            part.broken = _breaks(condition, part.code)

    def finish(self) -> None:
        """Raise UnbreakableError if a part was not run, or could not fail."""
        for part in self.parts:
            if not part.reached:
                raise UnbreakableError(f"line {part.line}: the cell never comes to `assert {part.code}`")
            if not part.broken:
                raise UnbreakableError(f"line {part.line}: `{part.code}` would hold whatever is computed")


def _breaks(condition: Callable[[Callable[..., Any]], Any], code: str) -> bool:
    """Say whether a change of some value makes a condition false."""
    seen: dict[str, Any] = {}

    def watch(site: str, value: Any) -> Any:
        seen.setdefault(site, value)
        return value

    condition(watch)
    alike = " is " not in code  # the same tensor under two names is changed under both
    infinite = re.search("nan|inf|finite", code) is not None
    tolerant = re.search(r"tol\b|\babs\(|\.abs\(", code) is not None  # what is told near must not be near to all
    for site, original in seen.items():
        # Of a difference only what it comes to may vanish: x - x == 0 is no finding.
        changes = (
            [partial(_mapped, form=_nothing)]
            if site.startswith(_ARITHMETIC)
            else _changes(original, infinite, far=not tolerant)
        )
        for change in changes:

            def go(
                other: str, value: Any, site: str = site, old: Any = original, change: Callable[[Any], Any] = change
            ) -> Any:
                same = other == site or (alike and value is old and _mutable(value))
                return change(value) if same else value

            try:
                if not condition(go):
                    return True
            except Exception:  # what cannot be evaluated shows nothing
                continue
    return False


def _mutable(value: Any) -> bool:
    return isinstance(value, list | dict | set) or _is_array(value)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "reshape")


def _changes(value: Any, infinite: bool, *, far: bool) -> Iterator[Callable[[Any], Any]]:
    """Yield ways to change a value; a module has none."""
    if isinstance(value, ModuleType):
        return
    if isinstance(value, bool) or (_is_array(value) and "bool" in str(value.dtype)):
        yield lambda v: ~v if _is_array(v) else not v
        return
    other = _Other()
    yield lambda v: other
    if callable(value) and not _is_array(value):
        return
    yield lambda v: v[:-1]
    for form in (
        _more,
        _less,
        *((_great, _small) if far else ()),
        _nothing,
        *((_endless, _undefined) if infinite else ()),
    ):
        yield partial(_mapped, form=form)


class _Other:
    """Is nothing but itself."""


def _more(x: Any) -> Any:
    return 3 * x + 7


def _less(x: Any) -> Any:
    return -3 * x - 7


def _great(x: Any) -> Any:
    return abs(x) * _GREAT + _GREAT


def _small(x: Any) -> Any:
    return -abs(x) * _GREAT - _GREAT


def _nothing(x: Any) -> Any:
    return x * 0


def _endless(x: Any) -> Any:
    return x * 0 + math.inf


def _undefined(x: Any) -> Any:
    return x * 0 + math.nan


def _mapped(value: Any, form: Callable[[Any], Any]) -> Any:
    """Apply a change to a number, and to the numbers in a container; lengthen a text."""
    if isinstance(value, str):
        return value + "?"
    if isinstance(value, dict):
        return {key: _mapped(inner, form) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)([_mapped(inner, form) for inner in value])
    return not value if isinstance(value, bool) else form(value)


@contextmanager
def _unseen() -> Iterator[None]:
    """Leave the random generators as they are, and let nothing be printed."""
    state = random.getstate()
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    torch_state = torch.get_rng_state() if torch else None
    numpy_state = numpy.random.get_state() if numpy else None
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(state)
        if torch:
            torch.set_rng_state(torch_state)
        if numpy:
            numpy.random.set_state(numpy_state)


# ------------------------------------------------------------------------------------------------------- the rewriting


class _Sites(ast.NodeTransformer):
    """Sends each value of a condition through the function ``go``, with a name that is the same for the same code."""

    def judged(self, node: ast.expr) -> ast.expr:
        """Return a condition with its values sent through; the verdict of a function of the page is no value of it."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node.operand = self.judged(node.operand)
            return node
        own = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        tries = any(isinstance(part, ast.Lambda) for part in ast.walk(node))  # what is called there is no value
        return self._inside(node) if own and not tries else self.visit(node)

    def _site(self, node: ast.expr) -> ast.expr:
        name = ast.Constant(ast.dump(node))
        return ast.Call(ast.Name("__go__", ast.Load()), [name, self._inside(node)], [])

    def _inside(self, node: ast.expr) -> ast.expr:
        """Return an expression whose parts are sites, and which is none itself."""
        if isinstance(node, ast.Call):  # what is called stays; what a method belongs to is a value
            if isinstance(node.func, ast.Attribute):
                node.func.value = self.visit(node.func.value)
            node.args = [self.visit(argument) for argument in node.args]
            node.keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
            return node
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._site(node) if isinstance(node.ctx, ast.Load) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self._site(node) if isinstance(node.ctx, ast.Load) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return self._site(node) if isinstance(node.ctx, ast.Load) else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        if not isinstance(node.op, ast.Sub):
            return self._inside(node)
        name = ast.Constant(_ARITHMETIC + ast.dump(node))
        return ast.Call(ast.Name("__go__", ast.Load()), [name, self._inside(node)], [])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        return self._inside(node) if _called(node) in _VERDICTS | _BOUND else self._site(node)


def _called(node: ast.Call) -> str:
    func = node.func
    return func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""


class _Asserts(ast.NodeTransformer):
    """Puts the attempts behind each assertion."""

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        added: list[ast.stmt] = [node]
        for part in _parts(node.test):
            self.breaker.parts.append(Part(node.lineno, ast.unparse(part)))
            copied = ast.parse(ast.unparse(part), mode="eval").body
            arguments = ast.arguments([], [ast.arg("__go__")], None, [], [], None, [])
            condition = ast.Lambda(arguments, _Sites().judged(copied))
            call = ast.parse(f"{NAME}.attempt({len(self.breaker.parts) - 1})", mode="eval").body
            assert isinstance(call, ast.Call)
            call.args.append(condition)
            added.append(ast.Expr(call))
        return [_placed(statement, node) for statement in added]


def _placed(statement: ast.stmt, node: ast.stmt) -> ast.stmt:
    """Give what was added the assertion's place, so that an error names its line."""
    if statement is not node:
        for inner in ast.walk(statement):
            if hasattr(inner, "lineno") or isinstance(inner, ast.expr | ast.stmt | ast.arg | ast.keyword):
                ast.copy_location(inner, node)
    return statement


def _parts(test: ast.expr) -> Iterator[ast.expr]:
    """Yield what must hold each by itself: the sides of an ``and``, the pairs of a chain."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for value in test.values:
            yield from _parts(value)
    elif isinstance(test, ast.Compare) and len(test.ops) > 1:
        sides = [test.left, *test.comparators]
        for at, op in enumerate(test.ops):
            yield ast.Compare(sides[at], [op], [sides[at + 1]])
    else:
        yield test


def rewritten(tree: ast.Module, breaker: Breaker) -> ast.Module:
    """Return a cell's code with the attempts in it. What the cell shows at its end stays last."""
    shown = tree.body[-1:] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
    body = tree.body[: len(tree.body) - len(shown)]
    tree.body = [*(statement for node in body for statement in _listed(_Asserts(breaker).visit(node)))]
    finish = ast.parse(f"{NAME}.finish()").body
    tree.body += [_placed(statement, body[-1]) if body else statement for statement in finish] + shown
    return ast.fix_missing_locations(tree)


def _listed(visited: ast.stmt | list[ast.stmt]) -> list[ast.stmt]:
    return visited if isinstance(visited, list) else [visited]


def digest(source: str) -> str:
    """Return a short name for a cell's code."""
    return hashlib.sha256(source.strip().encode()).hexdigest()[:16]


class _Watcher(ast.NodeTransformer):
    """What IPython hands each cell's code to."""

    def __init__(self, shell: Any, digests: Iterable[str]) -> None:
        self.shell, self.digests = shell, frozenset(digests)
        self.now = False

    def begin(self, info: Any) -> None:
        """Note which cell comes."""
        self.now = digest(info.raw_cell) in self.digests

    def visit(self, node: Any) -> Any:
        """Rewrite the code of a cell that holds a claim."""
        if not self.now or not isinstance(node, ast.Module):
            return node
        self.now = False
        self.shell.user_ns[NAME] = breaker = Breaker()
        try:
            return rewritten(node, breaker)
        except Exception as error:  # any other error would only switch the attempts off
            raise InputRejected(f"the assertions can't be tried: {error!r}") from error


def install(digests: Iterable[str]) -> None:
    """Try the assertions of the cells with these digests, in the kernel that calls this."""
    shell: Any = get_ipython()
    watcher = _Watcher(shell, digests)
    shell.events.register("pre_run_cell", watcher.begin)
    shell.ast_transformers.append(watcher)


def kernel_arguments(sources: Iterable[str]) -> list[str]:
    """Return the arguments with which a kernel tries the cells of these sources."""
    digests = sorted({digest(source) for source in sources})
    if not digests:
        return []
    return [f"--IPKernelApp.exec_lines=__import__({__name__!r}, fromlist=['install']).install({digests})"]


def broken(source: str) -> Iterator[str]:
    """Yield the cell once for each of its assertions, with that one turned into its opposite."""
    lines = source.splitlines(keepends=True)
    starts = [sum(map(len, lines[:n])) for n in range(len(lines) + 1)]

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            test = node.test
            start = offset(test.lineno, test.col_offset)
            end = offset(test.end_lineno or test.lineno, test.end_col_offset or 0)
            whole = offset(node.lineno, node.col_offset), offset(node.end_lineno or 0, node.end_col_offset or 0)
            yield source[: whole[0]] + f"assert not ({source[start:end]})" + source[whole[1] :]
