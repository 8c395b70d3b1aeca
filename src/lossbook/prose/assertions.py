"""Says of a cell's assertions, from their code alone, which could not fail whatever is computed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

# Calls whose result is as constant as what they are given: Python's own, and a module's functions or methods.
_BUILTINS = {"bool", "int", "float", "complex", "str", "len", "abs", "round", "repr", "list", "tuple", "set", "dict"}
_BUILTINS |= {"range", "sorted", "min", "max", "sum", "all", "any", "isinstance", "type", "callable", "zip"}
_METHODS = {"tensor", "array", "asarray", "as_tensor", "Tensor", "ones", "zeros", "full", "eye", "double", "item"}
_METHODS |= {"tolist", "clone", "detach", "to", "view", "reshape", "size", "dim", "numel", "copy", "all", "any"}
# Calls that give back the value that they are given.
_SAME_FUNCTIONS = {"bool", "float", "int"}
_SAME_METHODS = {"item", "detach", "clone", "tolist", "double", "copy", "contiguous"}
_COMPARES = {"equal", "allclose", "isclose", "array_equal", "eq", "le", "ge", "is_"}
# Contexts that let an AssertionError pass.
_PASSES = {"no_grad", "enable_grad", "inference_mode", "set_grad_enabled", "catch_warnings", "errstate", "rc_context"}
_PASSES |= {"autocast", "fork_rng", "sdpa_kernel", "printoptions", "localcontext", "TemporaryDirectory", "open"}


@dataclass
class Known:
    """What the cells before have defined: the names whose values are constants that somebody typed."""

    constants: set[str] = field(default_factory=set)
    verdicts: dict[str, ast.expr] = field(default_factory=dict)  # what a name stands for: `ok`, after ok = x == x


def wrong(source: str, known: Known) -> list[tuple[int, str]]:
    """Return the line, from 1, and the fault of each assertion of a cell that proves nothing; one fault if it has none.

    Args:
        source: The cell's code.
        known: What the cells before have defined. What this one defines is added.

    """
    if magic := re.search(r"^\s*[%!].*$", source, re.M):
        _learn_nothing(source, known)
        return [
            (source[: magic.start()].count("\n") + 1, "a cell that holds a claim must be plain Python, without % and !")
        ]
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [(error.lineno or 1, f"the cell is not Python: {error.msg}")]
    faults = []
    counted = dict(_walk(tree.body, known, ""))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            where = counted.get(node, "")
            faults += [(node.lineno, f"the assertion proves nothing: {where}")] if where else []
    if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        faults.append((1, "the cell asserts nothing; it must `assert` what the sentence says"))
    return sorted(faults)


def _learn_nothing(source: str, known: Known) -> None:
    known.constants -= set(re.findall(r"\w+", source))


def _walk(body: list[ast.stmt], known: Known, why: str) -> Iterator[tuple[ast.Assert, str]]:
    """Yield each assertion with the reason why it proves nothing, and follow what is assigned."""
    for node in body:
        match node:
            case ast.Assert(test=test):
                yield node, why or _empty(test, known) or _empty(spoken(test, known.verdicts), known)
            case ast.Assign(targets=targets, value=value):
                _assign(targets, value, known)
                follow(node, known.verdicts)
            case _:
                _learn(node, known)
                yield from _walk_inside(node, known, why)
                known.verdicts.clear()


def _learn(node: ast.stmt, known: Known) -> None:
    """Take note of what a statement without others inside it gives a name to, an assignment aside."""
    match node:
        case ast.AnnAssign(target=target, value=value) if value is not None:
            _assign([target], value, known)
        case ast.AugAssign(target=target, value=value):
            if not _constant(value, known):
                _forget(target, known)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            known.constants -= {(alias.asname or alias.name).partition(".")[0] for alias in names}


def _walk_inside(node: ast.stmt, known: Known, why: str) -> Iterator[tuple[ast.Assert, str]]:
    """Walk the statements that stand inside another."""
    match node:
        case (
            ast.For(target=target, iter=several, body=inner, orelse=last)
            | ast.AsyncFor(target=target, iter=several, body=inner, orelse=last)
        ):
            _assign([target], several, known)
            _forget_all(inner, known)
            yield from _walk(inner, known, why)
            yield from _walk(last, known, why or "it stands in the else of a loop")
        case ast.With(items=items, body=inner) | ast.AsyncWith(items=items, body=inner):
            for item in items:
                if item.optional_vars is not None:
                    _forget(item.optional_vars, known)
            held = all(_name(item.context_expr) in _PASSES for item in items)
            yield from _walk(inner, known, why or ("" if held else "what it stands in may swallow its failure"))
        case ast.Try():
            yield from _walk_try(node, known, why)
        case ast.FunctionDef(body=inner) | ast.AsyncFunctionDef(body=inner) | ast.ClassDef(body=inner):
            known.constants.discard(node.name)
            scope = Known(set(known.constants))
            yield from _walk(inner, scope, "it stands in a function or a class, which need not be run")
        case ast.If(body=inner, orelse=last) | ast.While(body=inner, orelse=last):
            _forget_all([*inner, *last], known)
            word = type(node).__name__.lower()
            yield from _walk([*inner, *last], known, f"it stands under `{word}`, and need not be run")
        case ast.Match(cases=cases):
            for case in cases:
                _forget_all(case.body, known)
                yield from _walk(case.body, known, "it stands under `match`, and need not be run")


def _walk_try(node: ast.Try, known: Known, why: str) -> Iterator[tuple[ast.Assert, str]]:
    _forget_all(node.body, known)
    returns = any(isinstance(inner, ast.Return) for last in node.finalbody for inner in ast.walk(last))
    held = not node.handlers and not returns
    yield from _walk(node.body, known, why or ("" if held else "a `try` may swallow its failure"))
    for handler in node.handlers:
        yield from _walk(handler.body, known, "it stands in an `except`, which may never be run")
    yield from _walk(node.orelse, known, why or "it stands in an `else`, which may never be run")
    yield from _walk(node.finalbody, known, why)


def follow(node: ast.Assign, verdicts: dict[str, ast.expr]) -> None:
    """Take note of an assignment: which names are verdicts now, as `ok = a < b` makes one; others are forgotten."""
    changed = {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    for name in [*verdicts]:
        if name in changed or changed & {n.id for n in ast.walk(verdicts[name]) if isinstance(n, ast.Name)}:
            del verdicts[name]
    verdict = spoken(node.value, verdicts)
    if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and _judges(verdict):
        verdicts[node.targets[0].id] = verdict


def spoken(test: ast.expr, verdicts: dict[str, ast.expr]) -> ast.expr:
    """Return a condition with what its names stand for in their places, where they are the verdict or a part of it."""
    match test:
        case ast.Name(id=name) if name in verdicts:
            return verdicts[name]
        case ast.BoolOp(op=op, values=values):
            return ast.copy_location(ast.BoolOp(op, [spoken(value, verdicts) for value in values]), test)
        case ast.UnaryOp(op=ast.Not() as op, operand=inner):
            return ast.copy_location(ast.UnaryOp(op, spoken(inner, verdicts)), test)
    return test


def _judges(node: ast.expr) -> bool:
    """Say whether an expression is a verdict: a comparison, or what is made of such."""
    match node:
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Call(func=ast.Attribute(value=inner, attr="all" | "any"), args=[]):
            return _judges(inner)
        case ast.Call(func=func):
            return _called(func) in _COMPARES
    return False


def _assign(targets: list[ast.expr], value: ast.expr, known: Known) -> None:
    constant = _constant(value, known)
    for target in targets:
        if constant and all(isinstance(node, ast.Name | ast.Tuple | ast.List) for node in _targets(target)):
            known.constants |= {node.id for node in _targets(target) if isinstance(node, ast.Name)}
        else:
            _forget(target, known)


def _targets(target: ast.expr) -> Iterator[ast.expr]:
    yield target
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _targets(element)


def _forget(target: ast.expr, known: Known) -> None:
    known.constants -= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _forget_all(body: list[ast.stmt], known: Known) -> None:
    """Forget each name that a branch or a loop may change in any way."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.constants.discard(node.id)
            elif isinstance(node, ast.AugAssign):
                _forget(node.target, known)


def _empty(test: ast.expr, known: Known) -> str:
    """Say why an assertion could not fail; the empty string if it could."""
    if isinstance(test, ast.Tuple) and test.elts:
        return "it asserts a tuple, which is always true; drop the parentheses"
    either = isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or)
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    # In `k != 1 or f(k) == 0` a constant says of which k the rule is; a literal says nothing.
    if any(isinstance(part, ast.Constant) if either else _constant(part, known) for part in parts):
        return "it has nothing but constants in it" + (", in a part of it" if len(parts) > 1 else "")
    if any(isinstance(part, ast.IfExp) for part in parts):
        return "it chooses with `if` what it asserts, and the other need not hold"
    return "it compares a value with itself" if _itself(test) else ""


def _itself(test: ast.expr) -> bool:
    """Whether every way to be false is closed, since what is compared is the same twice."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return any(map(_itself, values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(map(_itself, values)) or any(
                _dump(a) == _dump(b.operand) or _dump(b) == _dump(a.operand if isinstance(a, ast.UnaryOp) else a)
                for a in values
                for b in values
                if isinstance(b, ast.UnaryOp) and isinstance(b.op, ast.Not)
            )
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _itself(operand)
        case ast.Compare(left=left, comparators=others):
            sides = [_dump(side) for side in (left, *others)]
            return any(a == b for a, b in pairwise(sides))
        case ast.Call(func=func, args=[ast.GeneratorExp(elt=inner) | ast.ListComp(elt=inner)]) if _called(func) in (
            "all",
            "any",
        ):
            return _itself(inner)
        case ast.Call(func=ast.Attribute(value=ast.Compare() as inner), args=[]):  # (a == b).all()
            return _itself(inner)
        case ast.Call(args=[first, second, *_]):  # equal(a, a), or a helper of the page
            return _dump(first) == _dump(second) and not isinstance(first, ast.Constant)
        case ast.Call(func=ast.Attribute(value=first, attr=name), args=[second, *_]) if name in _COMPARES:
            return _dump(first) == _dump(second)
        case ast.Call(func=ast.Name(id=name), args=[inner]) if name in _SAME_FUNCTIONS:
            return _itself(inner)
    return False


def _dump(node: ast.expr) -> str:
    """Write an expression so that two that are the same value at sight are the same text."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _SAME_FUNCTIONS:
            return _dump(inner)
        case ast.Call(func=ast.Attribute(value=inner, attr=name), args=[], keywords=[]) if name in _SAME_METHODS:
            return _dump(inner)
        case ast.BinOp(left=left, op=ast.Add() | ast.Mult() as op, right=right):
            return f"({type(op).__name__} {' '.join(sorted((_dump(left), _dump(right))))})"
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _dump(inner)
    return ast.dump(node)


def _called(func: ast.expr) -> str:
    match func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _name(node: ast.expr) -> str:
    return _called(node.func) if isinstance(node, ast.Call) else _called(node)


def _constant(node: ast.expr, known: Known) -> bool:
    """Whether the value is one that somebody typed, and nothing has computed."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in known.constants
        case ast.Attribute(value=inner):
            return _constant(inner, known) or (isinstance(inner, ast.Name) and inner.id in ("math", "torch", "np"))
        case ast.Call(func=func, args=args, keywords=keywords):
            if _called(func) not in (_METHODS if isinstance(func, ast.Attribute) else _BUILTINS):
                return False
            owner = [func.value] if isinstance(func, ast.Attribute) else []
            return all(_constant(a, known) or _is_module(a) for a in [*owner, *args, *(k.value for k in keywords)])
        case ast.Starred(value=inner):
            return _constant(inner, known)
        case ast.GeneratorExp(elt=inner, generators=loops) | ast.ListComp(elt=inner, generators=loops):
            scope = Known(set(known.constants))
            for loop in loops:
                _assign([loop.target], loop.iter, scope)
            return _constant(inner, scope)
        case ast.Lambda():
            return False
    parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return bool(parts) and all(_constant(child, known) for child in parts)


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("math", "torch", "np")
