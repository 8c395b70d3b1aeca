"""Makes wrong functions out of a right one: one change at a time to its syntax tree, as source text."""

from __future__ import annotations

import ast
import random
import warnings
from collections.abc import Iterator
from typing import Any

BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.MatMult, ast.FloorDiv, ast.Mod)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
MODULES = {"torch", "F", "math"}
# What a name of a function, a method or an attribute is changed into.
OTHERS = {
    "abs": ("neg", "square"),
    "amax": ("amin", "mean", "logsumexp"),
    "arange": ("zeros",),
    "bincount": ("unique",),
    "cat": ("hstack",),
    "cross_entropy": ("nll_loss",),
    "exp": ("expm1", "exp2", "log", "sigmoid"),
    "gather": ("take_along_dim", "index_select"),
    "len": ("sum", "max"),
    "lgamma": ("digamma", "exp", "log"),
    "log": ("log1p", "log2", "log10", "exp", "sqrt"),
    "log1p": ("log", "expm1", "log2"),
    "log_softmax": ("softmax", "logsumexp"),
    "kl_div": ("mse_loss",),
    "logsumexp": ("softmax",),
    "max": ("min", "mean"),
    "mean": ("sum", "median", "prod", "amax", "std"),
    "new_zeros": ("new_ones",),
    "ones": ("zeros",),
    "pi": ("e",),
    "reshape": ("expand",),
    "sigmoid": ("tanh", "exp", "log"),
    "softmax": ("log_softmax", "sigmoid"),
    "sqrt": ("square", "rsqrt", "abs"),
    "squeeze": ("unsqueeze",),
    "stack": ("cat", "hstack"),
    "sum": ("mean", "max", "len", "prod", "logsumexp", "cumsum"),
    "unsqueeze": ("squeeze",),
    "xlogy": ("mul", "pow"),
    "zeros_like": ("ones_like",),
}
WORDS = {"mean": "sum", "sum": "mean", "batchmean": "mean"}

Slot = tuple[Any, str, int | None]


def mutants(source: str, most: int | None = None) -> list[str]:
    """Return the sources of the mutants of a function, each once; a fixed sample of them where there are too many.

    Args:
        source: The definition of one function with a docstring.
        most: How many to return at most.

    """
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    function.body = function.body[1:]
    right = ast.unparse(function)
    found = dict.fromkeys(_changed(function))
    found.pop(right, None)
    sources = [text for text in found if _compiles(text)]
    if most is not None and len(sources) > most:
        chosen = random.Random(function.name).sample(range(len(sources)), most)
        sources = [sources[k] for k in sorted(chosen)]
    return sources


def _compiles(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _changed(function: ast.FunctionDef) -> Iterator[str]:
    names = sorted({node.id for node in ast.walk(function) if isinstance(node, ast.Name)} - MODULES)
    own = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    own |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    local = [name for name in names if name in own] + sorted(own - set(names))
    for parent, field, index in list(_slots(function)):
        node = getattr(parent, field) if index is None else getattr(parent, field)[index]
        changes = _statements(node, local) if isinstance(node, ast.stmt) else _expressions(node, local)
        for new in changes:
            _put((parent, field, index), new)
            yield ast.unparse(function)
            _put((parent, field, index), node)


def _put(slot: Slot, node: ast.AST) -> None:
    parent, field, index = slot
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _slots(node: ast.AST) -> Iterator[Slot]:
    """Yield the places of all statements and of all expressions that have a value of their own."""
    for field, value in ast.iter_fields(node):
        if field in ("args", "decorator_list", "returns") and isinstance(node, ast.FunctionDef):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.expr | ast.stmt):
                called = field == "func"
                stored = isinstance(getattr(child, "ctx", None), ast.Store)
                module = isinstance(child, ast.Name) and child.id in MODULES
                if not (called or stored or module):
                    yield node, field, index
                yield from _slots(child)
            elif isinstance(child, ast.AST):
                yield from _slots(child)


def _statements(node: ast.stmt, local: list[str]) -> Iterator[ast.stmt]:
    yield ast.Pass()
    match node:
        case ast.Return():
            for name in local:
                yield ast.Return(ast.Name(name))
        case ast.If(test=test, body=body, orelse=orelse) | ast.While(test=test, body=body, orelse=orelse):
            kind = type(node)
            for new in (ast.UnaryOp(ast.Not(), test), ast.Constant(True), ast.Constant(False)):
                yield kind(new, body, orelse)
            if kind is ast.While:
                yield ast.If(test, body, orelse)
        case ast.AugAssign(target=target, value=value, op=op):
            for other in BINARY:
                if not isinstance(op, other):
                    yield ast.AugAssign(target, other(), value)
            yield ast.Assign([target], value, lineno=0)
        case ast.Assign(targets=targets, value=ast.Tuple(elts=values)) if len(values) > 1:
            yield ast.Assign(targets, ast.Tuple(values[::-1], ast.Load()), lineno=0)


def _expressions(node: ast.expr, local: list[str]) -> Iterator[ast.expr]:
    yield from _operations(node)
    yield from _values(node, local)
    yield from _wrapped(node)


def _operations(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            for other in BINARY:
                if not isinstance(op, other):
                    yield ast.BinOp(left, other(), right)
            yield from (left, right, ast.BinOp(right, op, left))
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            for kind in COMPARISONS:
                if not isinstance(op, kind):
                    yield ast.Compare(left, [kind()], [right])
        case ast.BoolOp(values=values):
            yield from values
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield from (body, orelse, ast.IfExp(test, orelse, body))


def _values(node: ast.expr, local: list[str]) -> Iterator[ast.expr]:
    match node:
        case ast.Constant(value=value):
            yield from _constants(value)
        case ast.Tuple(elts=elements) | ast.List(elts=elements) if len(elements) > 1:
            yield type(node)(elements[::-1], ast.Load())
        case ast.Subscript(value=value, slice=index):
            yield value
            yield from _indices(value, index)
        case ast.Name(id=name):
            yield from (ast.Name(other) for other in local if other != name)
        case ast.Attribute(value=value, attr=name):
            yield from (ast.Attribute(value, other, ast.Load()) for other in OTHERS.get(name, ()))
        case ast.Call():
            yield from _calls(node)


def _wrapped(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp | ast.Call | ast.Subscript | ast.Name):
        yield ast.UnaryOp(ast.USub(), node)
        yield ast.Call(ast.Attribute(node, "detach", ast.Load()), [], [])
        yield ast.BinOp(node, ast.Add(), ast.Constant(1))
    if isinstance(node, ast.BinOp | ast.Call):
        yield ast.Call(ast.Attribute(node, "abs", ast.Load()), [], [])


def _constants(value: Any) -> Iterator[ast.expr]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        changed = [0, 1, value + 1, value - 1, -value, value / 2, 2 * value]
        yield from (ast.Constant(new) for new in dict.fromkeys(changed) if new != value)
    elif value in WORDS:
        yield ast.Constant(WORDS[value])


def _indices(value: ast.expr, index: ast.expr) -> Iterator[ast.expr]:
    def at(new: ast.expr) -> ast.Subscript:
        return ast.Subscript(value, new, ast.Load())

    whole, axis, one = ast.Slice(), ast.Constant(None), ast.Constant(1)
    match index:
        case ast.Slice(lower=lower, upper=upper, step=step):
            yield at(ast.Slice(ast.BinOp(lower, ast.Add(), one) if lower else one, upper, step))
            yield at(ast.Slice(lower, ast.BinOp(upper, ast.Sub(), one) if upper else ast.Constant(-1), step))
            yield at(ast.Slice(lower, upper, None if step else ast.Constant(2)))
        case ast.Tuple(elts=parts):
            yield at(ast.Tuple(parts[::-1], ast.Load()))
            yield from (at(part) for part in parts)
            yield at(ast.Tuple([axis if isinstance(part, ast.Slice) else part for part in parts], ast.Load()))
        case _:
            yield at(ast.Tuple([whole, index], ast.Load()))
            yield at(ast.BinOp(index, ast.Sub(), one))


def _calls(node: ast.Call) -> Iterator[ast.expr]:
    function, arguments, keywords = node.func, node.args, node.keywords
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    for other in OTHERS.get(name, ()):
        if isinstance(function, ast.Attribute):
            yield ast.Call(ast.Attribute(function.value, other, ast.Load()), arguments, keywords)
        else:
            yield ast.Call(ast.Name(other), arguments, keywords)
    for k in range(len(arguments)):
        yield ast.Call(function, arguments[:k] + arguments[k + 1 :], keywords)
    for k in range(len(keywords)):
        yield ast.Call(function, arguments, keywords[:k] + keywords[k + 1 :])
    for k in range(len(arguments) - 1):  # torch.where's branches among them
        swapped = [*arguments[:k], arguments[k + 1], arguments[k], *arguments[k + 2 :]]
        yield ast.Call(function, swapped, keywords)
    if not arguments and isinstance(function, ast.Attribute):  # over one dimension, or over another
        yield from (ast.Call(function, [ast.Constant(dim)], keywords) for dim in (0, -1))
    yield from (argument for argument in arguments if not isinstance(argument, ast.Starred | ast.GeneratorExp))
    is_module = isinstance(function, ast.Attribute) and getattr(function.value, "id", "") in MODULES
    if isinstance(function, ast.Attribute) and not is_module:
        yield function.value  # the method is not called: .abs() is dropped
