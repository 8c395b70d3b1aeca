"""Holds a displayed formula, or its derivative, against functions that compute it: they are handed in."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lossbook.equations.evaluating import Env, _index, differential, evaluate, free_letters, parameters
from lossbook.equations.parsing import MathError, Node, name, parse, subscripts
from lossbook.equations.symbols import Symbol, Table, spread

PYTHON: dict[str, Callable[[float], Any]] = {"float": float, "int": int, "bool": bool}
CLOSE = {"torch.float64": 1e-9, "torch.float32": 1e-5}  # relative, by the result's dtype: some ten thousand ulps
TINY = 1e-12  # absolute


@dataclass(frozen=True)
class Library:
    """Functions by their names, and what they are called together: `torch.nn.functional`, in a sentence `PyTorch`."""

    name: str
    functions: Mapping[str, Callable[..., Any]]
    title: str = ""


@dataclass(frozen=True)
class Functions:
    """The functions that the formulas of a page are held against.

    They are called with PyTorch's tensors of float64, and differentiated by automatic differentiation.

    Attributes:
        own: The functions that the field `code` of a symbol may call.
        others: Where there are others of the same names, which must give the same.
        classes: By a function's name, the parameter that may be a class's index: it begins at 0 in code.
    """

    own: Library = field(default_factory=lambda: Library("", {}))
    others: tuple[Library, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)

    def twins(self, name: str) -> list[Library]:
        """Return the other libraries that have a function of this name."""
        return [library for library in self.others if name in library.functions]


NONE = Functions()


@dataclass(frozen=True)
class Code:
    """A call of a function: its name, and its arguments as formulas or as Python's literals."""

    function: str
    arguments: tuple[tuple[str, Node | str], ...]  # the parameter's name and its value
    by: tuple[Node, ...] = ()  # the argument by which its gradient is meant, if it is

    def __str__(self) -> str:
        return self.function


def read_code(text: str, functions: Functions) -> Code:
    r"""Read the field `code` of a symbol, such as `cross_entropy(z, y, label_smoothing=\varepsilon)`.

    `grad(mse_loss(\hat{y}, y), \hat{y})` means the gradient of a call by one of its arguments.

    Raises:
        MathError: It is no call of one of the functions.
    """
    match = re.fullmatch(r"\s*(\w+)\((.*)\)\s*", text, re.S)
    if match and match[1] == "grad" and len(parts := _split(match[2])) == 2:
        code = replace(read_code(parts[0], functions), by=(parse(parts[1]).parts[0].parts[0],))
        if _argument(code.by[0], code) is None:
            raise MathError(f"the code is {text!r}; it must be a gradient by one of the call's arguments", 0)
        return code
    if not match or match[1] not in functions.own.functions:
        what = (
            f"a call of a function of {functions.own.name}"
            if functions.own.name
            else "left out: no functions are known"
        )
        raise MathError(f"the code is {text!r}; it must be {what}", 0)
    names = list(inspect.signature(functions.own.functions[match[1]]).parameters)
    arguments: list[tuple[str, Node | str]] = []
    for place, argument in enumerate(_split(match[2])):
        keyword = re.match(r"([a-z_]+)\s*=(?!=)", argument)
        if not keyword and place >= len(names):
            raise MathError(f"the code is {text!r}; {match[1]} has only {len(names)} parameters", 0)
        parameter = keyword[1] if keyword else names[place]
        if parameter not in names:
            raise MathError(f"the code is {text!r}; {match[1]} has no parameter {parameter!r}", 0)
        value = argument[keyword.end() :].strip() if keyword else argument
        literal = value[:1] in "'\"" or value in ("True", "False") or re.fullmatch(r"-?\d+", value) is not None
        arguments.append((parameter, value if literal else parse(value).parts[0].parts[0]))
    return Code(match[1], tuple(arguments))


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets and braces."""
    parts, depth, current = [], 0, ""
    for char in text:
        depth += (char in "({[") - (char in ")}]")
        if char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [part for part in (*parts, current.strip()) if part]


@dataclass(frozen=True)
class Coded:
    """A side of a relation that a function computes: the symbol, or a derivative of it."""

    symbol: Symbol
    code: Code
    indices: tuple[Node, ...]
    arguments: tuple[Node, ...]  # of the symbol, if it is a function
    by: tuple[Node, ...] = ()  # the variables of the derivative


def coded(node: Node, table: Table, label: str, functions: Functions) -> Coded | None:
    """Return how code computes a side of a relation; None if the table of symbols names no code for it."""
    if node.kind == "frac":
        operator = differential(node)
        if operator is None or operator.body is None:
            return None
        body = coded(operator.body, table, label, functions)
        return replace(body, by=operator.variables) if body and not body.by else None
    if node.kind == "juxt" and node.parts[0].kind == "frac" and len(node.parts) > 1:
        operator = differential(node.parts[0])
        if operator is None or operator.body is not None:
            return None
        rest = node.parts[1:]
        body = coded(rest[0] if len(rest) == 1 else replace(node, parts=rest), table, label, functions)
        return replace(body, by=operator.variables) if body and not body.by else None
    arguments: tuple[Node, ...] = ()
    outer: tuple[Node, ...] = ()
    head = node
    if node.kind == "juxt" and len(node.parts) == 2:
        group = node.parts[1]
        if group.kind == "sub":  # f(x)_k
            group, outer = group.parts[0], group.parts[1:]
        if group.kind == "group":
            head, arguments = node.parts[0], spread(group.parts)
    position = table.positions[label]
    rows = [s for s in table.symbols if not s.label and s.first <= position <= s.last]
    if any(s.base == name(node) and s.params is None for s in rows):  # a call that is itself a symbol
        head, arguments, outer = node, (), ()
    inner = head.parts[1:] if head.kind == "sub" else ()
    for base, indices in ((name(head), outer), (name(head.parts[0]) if inner else "", (*inner, *outer))):
        own = [
            s
            for s in rows
            if s.base == base
            and len(s.indices) == len(indices)
            and (len(s.params or ()) == len(arguments) if arguments else True)
        ]
        named = tuple(name(argument) for argument in arguments)
        own = [s for s in own if s.params == named] or own
        own.sort(key=lambda s: s.first)
        if own and "code" in own[-1].fields:
            if head.kind not in ("sym", "sub"):  # a formula: its free indices are the code's
                letters = free_letters(head, table.letters)
                indices = tuple(Node("sym", (), letter, head.start, head.end) for letter in letters)
            code = read_code(str(own[-1].fields["code"]), functions)
            return Coded(own[-1], code, tuple(indices), arguments)
    return None


def computed(side: Coded, env: Env, functions: Functions) -> dict[str, tuple[float, float]] | None:
    """Return what each library's function gives at a point, with the relative difference that is allowed.

    None if the derivative is not by an argument.
    """
    import torch  # a page without code needs none

    if side.arguments:
        given = [evaluate(argument, env) for argument in side.arguments]
        env = replace(env, params={**env.params, **parameters(side.symbol, given, side.arguments[0])})
    tensors = {
        parameter: _tensor(side.code, parameter, value, env, functions) for parameter, value in side.code.arguments
    }
    by = (*side.code.by, *side.by)
    targets = [_argument(variable, side.code) for variable in by]
    if any(target is None for target in targets):
        return None
    found = {}
    for library in (functions.own, *functions.twins(side.code.function)):
        function = library.functions[side.code.function]
        own = {
            key: value.clone().requires_grad_() if isinstance(value, torch.Tensor) and key in targets else value
            for key, value in tensors.items()
        }
        result = _pick(function(**own), side.indices, env) if not by else function(**own).sum()
        for order, (variable, target) in enumerate(zip(by, targets, strict=True), 1):
            leaf, more = own[str(target)], order < len(targets)
            (slope,) = torch.autograd.grad(result, leaf, create_graph=more, materialize_grads=True)
            result = _pick(slope, variable.parts[1:] if variable.kind == "sub" else _inner(variable), env)
        result = torch.as_tensor(result, dtype=None if isinstance(result, torch.Tensor) else torch.float64)
        found[library.name] = float(result.detach()), CLOSE[str(result.dtype)]
    return found


def close(a: float, b: float, relative: float) -> bool:
    """Say whether a result is as near to the truth as its dtype can be asked to be."""
    return math.isclose(a, b, rel_tol=relative, abs_tol=TINY)


def difference(a: float, b: float) -> float:
    """Return the relative difference of two numbers; 0 if they are equal."""
    return 0.0 if a == b else abs(a - b) / max(abs(a), abs(b))


def _inner(variable: Node) -> Sequence[Node]:
    r"""Return the indices of a variable such as `\log p_{n,k}`."""
    for part in variable.walk():
        if part.kind == "sub":
            return part.parts[1:]
    return ()


def _bare(node: Node) -> str:
    """Return how a formula is written without its indices."""
    if node.kind == "sub":
        return _bare(node.parts[0])
    if node.kind == "call":
        return node.text + _bare(node.parts[0])
    return name(node)


def _argument(variable: Node, code: Code) -> str | None:
    """Return the parameter that a variable is passed as."""
    for parameter, value in code.arguments:
        if isinstance(value, Node) and _bare(value) == _bare(variable):
            return parameter
    return None


def _tensor(code: Code, parameter: str, value: Node | str, env: Env, functions: Functions) -> Any:
    import torch

    if isinstance(value, str):
        return ast.literal_eval(value)
    array = _whole(value, env)
    if functions.classes.get(code.function) == parameter and _is_class(value, env):
        return torch.tensor(array, dtype=torch.float64).long() - 1
    wanted = str(inspect.signature(functions.own.functions[code.function]).parameters[parameter].annotation)
    if wanted in PYTHON:
        return PYTHON[wanted](float(array))
    return torch.tensor(array, dtype=torch.float64)


def _whole(value: Node, env: Env) -> Any:
    """Return an argument's numbers: `p_n`, with an index that nothing binds, means all of them."""
    letters = free_letters(value, env.world.ranges)
    lengths = [env.world.length(letter) for letter in letters]
    if not letters:
        return np.asarray(evaluate(value, replace(env, bound={})), dtype=object).astype(float)
    out = np.empty(lengths)
    for place in np.ndindex(*lengths):
        bound = {letter: i + 1 for letter, i in zip(letters, place, strict=True)}
        out[place] = float(evaluate(value, replace(env, bound=bound)))
    return out


def _is_class(value: Node, env: Env) -> bool:
    own = env.world.by_base.get(_bare(value), [])
    return any(s.domain.replace(" ", "").startswith(r"\{1,\dots") for s in own)


def _pick(result: Any, indices: Sequence[Node], env: Env) -> Any:
    for part in subscripts(indices):
        if getattr(result, "ndim", 0) == 0:
            return result
        result = result[_index(part, env) - 1]
    return result
