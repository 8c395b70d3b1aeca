"""Reads cells for names that an answer has no use for, and an attack has, by whatever name they go there."""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterator

from lossbook.grading.run.sandbox.cells import parsed

# Modules and names of modules that no answer needs. Whatever of PyTorch's begins with _ counts without being listed.
NAMES = (
    "torch.ops",
    "torch.library",
    "torch.utils._python_dispatch",
    *("ctypes", "marshal", "base64", "subprocess", "socket", "signal"),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents"),
    *("inspect.currentframe", "inspect.stack", "builtins.getattr", "operator.attrgetter"),
    *("types.FunctionType", "types.CodeType"),
    *("sys._getframe", "sys._current_frames", "sys.settrace", "sys.setprofile", "sys.modules"),
    *("os._exit", "os.kill", "os.fork", "os.dup2", "os.exec"),
    *("lossbook.grading", "lossbook.checks.trial", "lossbook.checks.reads"),
)
# Attributes by which code gets at other code, at frames, or at what watches it.
ATTRIBUTES = frozenset(
    [
        *("__code__", "__closure__", "__globals__", "__builtins__", "__subclasses__", "__getattribute__"),
        *("f_back", "f_locals", "f_globals", "tb_frame", "gi_frame", "_getframe"),
        *("__torch_function__", "__torch_dispatch__", "_C", "_engine_run_backward", "_execution_engine"),
    ]
)
PRIVATE = re.compile(r"torch\.(?:\w+\.)*?_(?!_)\w+")
OWN = frozenset(["self", "cls"])  # what a student's own class calls itself: its names are its own
GOING_BY = frozenset(["enumerate", "items", "keys", "list", "reversed", "sorted", "tuple", "values", "zip"])
TOO_DEEP = "is too deep to be looked through"
BUILT_IN = frozenset(["getattr", "hasattr", "__import__", "import_module", "attrgetter", "vars"])


def remarkable(name: str) -> str:
    """Return what is remarkable in a dotted name, as short as it can be said; empty where nothing is."""
    for known in NAMES:
        if name == known or name.startswith(f"{known}."):
            return known
    if private := PRIVATE.match(name):
        return private[0]
    return next((part for part in name.split(".") if part in ATTRIBUTES), "")


def named(source: str) -> list[str]:
    """Return the remarkable names in a cell, by whatever name they go there; none where it is no Python."""
    try:
        tree = parsed(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    reader = _Reader()
    try:
        reader.visit(tree)
    except RecursionError:  # Python runs what is deeper than this
        reader.found[TOO_DEEP] = None
    return list(reader.found)


class _Reader(ast.NodeVisitor):
    """Collects names with what they were imported as resolved, and texts that are such names."""

    def __init__(self) -> None:
        self.found: dict[str, None] = {}
        self.known: dict[str, str] = {"torch": "torch", "F": "torch.nn.functional"}
        self.texts: dict[str, set[str]] = {}

    def note(self, name: str) -> None:
        if what := remarkable(name):
            self.found[f"names {what}"] = None

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.note(alias.name)
            self.known[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = f"{node.module or ''}.{alias.name}"
            self.note(name)
            self.known[alias.asname or alias.name] = name

    def dotted(self, node: ast.expr) -> str:
        """Return the whole name of an expression that is names and dots alone; empty for any other."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            before = self.dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if whole := self.dotted(node):
            own = whole.partition(".")[0] in OWN and not node.attr.startswith("__")
            self.note("" if own else whole)
        else:
            self.note(node.attr if node.attr in ATTRIBUTES else "")
            self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        remarkable_alone = node.id.startswith("__") and node.id in ATTRIBUTES
        self.note(self.known.get(node.id, node.id) if node.id in self.known or remarkable_alone else "")

    def visit_Compare(self, node: ast.Compare) -> None:
        """Visit all but the modules where it is asked alone whether one is among them, as on Colab."""
        self.visit(node.left)
        for how, with_what in zip(node.ops, node.comparators, strict=True):
            if not (isinstance(how, (ast.In, ast.NotIn)) and self.dotted(with_what) == "sys.modules"):
                self.visit(with_what)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.note(node.name if node.name in ATTRIBUTES else "")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._bind(node.targets[0], node.value)
        if isinstance(node.targets[0], ast.Name) and (whole := self.dotted(node.value)):
            self.known[node.targets[0].id] = whole
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._each(node.target, node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._each(node.target, node.iter)
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        """Visit what is inside, where a comprehension draws from before what it makes."""
        for generator in getattr(node, "generators", ()):
            self.visit(generator)
        super().generic_visit(node)

    def _each(self, target: ast.expr, among: ast.expr) -> None:
        """Note what texts the names of a loop stand for, where all of them can be read off."""
        texts = self._among(among) or set()
        for name in ast.walk(target):
            if isinstance(name, ast.Name):
                self.texts[name.id] = texts

    def _among(self, node: ast.expr) -> set[str] | None:
        """Return the texts in what is written out, numbers and collections included; None for anything else."""
        if (text := text_of(node)) is not None:
            return {text}
        match node:
            case ast.Constant():
                inside = []
            case ast.List() | ast.Tuple() | ast.Set():
                inside = node.elts
            case ast.Dict():
                inside = [item for item in (*node.keys, *node.values) if item is not None]
            case ast.Name():
                return self.texts.get(node.id) or None
            case ast.Call(func=ast.Name(id=name), args=inside) if name in GOING_BY:
                pass
            case ast.Call(func=ast.Attribute(value=of, attr=name)) if name in GOING_BY:
                inside = [of]
            case _:
                return None
        found = [self._among(item) for item in inside]
        known = [texts for texts in found if texts is not None]
        return set[str]().union(*known) if len(known) == len(found) else None

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        """Note what texts a name stands for, where all of them can be read off."""
        if isinstance(target, ast.Name):
            self.texts[target.id] = self._among(value) or set()

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._text(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._expression(node)

    def _expression(self, node: ast.expr) -> None:
        if (text := text_of(node)) is not None:
            self._text(text)
        else:
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._expression(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._expression(node)

    def _text(self, text: str) -> None:
        if text.startswith("/proc"):
            self.found["names /proc"] = None
        elif re.fullmatch(r"[\w.]+", text) and (text.startswith("_") or "." in text or text in ("ctypes", "marshal")):
            self.note(text)

    def visit_Call(self, node: ast.Call) -> None:
        called = self.dotted(node.func).rpartition(".")[2]
        if (text := text_of(node)) is not None:
            self._text(text)
        elif called in BUILT_IN and node.args and not isinstance(node.args[-1], ast.Starred):
            wanted = node.args[1] if called in ("getattr", "hasattr") and len(node.args) > 1 else node.args[0]
            self._looked_up(self.dotted(node.args[0]), called, wanted)
        self.generic_visit(node)

    def _looked_up(self, of: str, called: str, wanted: ast.expr) -> None:
        module = of in self.known.values() or of.partition(".")[0] in ("torch", "sys", "os", "builtins")
        if called in ("getattr", "hasattr"):
            if not module:
                return
            if harmless(of, beginning(wanted)):
                return
            texts = self._texts(wanted)
        elif called == "vars":
            texts = set() if module else {""}
        else:
            of, texts = "Python", self._texts(wanted)
        for text in texts:
            self.note(text if of == "Python" else f"{of}.{text}")
        if not texts:
            self.found[f"asks {of} for a name that is made up while it runs"] = None

    def _texts(self, node: ast.expr) -> set[str]:
        if (text := text_of(node)) is not None:
            return {text}
        return self.texts.get(node.id, set()) if isinstance(node, ast.Name) else set()


def beginning(node: ast.AST) -> str:
    """Return the text that a text put together begins with, as far as it is written out."""
    match node:
        case ast.JoinedStr(values=[first, *_]) | ast.BinOp(left=first, op=ast.Add()):
            return text_of(first) or beginning(first)
        case _:
            return ""


def harmless(of: str, start: str) -> bool:
    """Tell whether no name that begins so is remarkable in a module."""
    return start[:1].isalpha() and not any(name.startswith(f"{of}.{start}") for name in NAMES)


def text_of(node: ast.AST) -> str | None:
    """Return the text that an expression of texts alone makes, as ``"cty" + "pes"`` does; None for any other."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [text_of(left), text_of(right)]
        case ast.JoinedStr(values=values):
            parts = [text_of(value.value if isinstance(value, ast.FormattedValue) else value) for value in values]
        case ast.Subscript(value=value, slice=ast.Slice(lower=None, upper=None, step=ast.UnaryOp())):
            found = text_of(value)
            return None if found is None else found[::-1]
        case ast.Call(func=ast.Attribute(value=between, attr="join"), args=[ast.List(elts=items)]):
            parts = [text_of(item) for item in items]
            joint = text_of(between)
            known = [part for part in parts if part is not None]
            return joint.join(known) if joint is not None and len(known) == len(parts) else None
        case _:
            return None
    known = [part for part in parts if part is not None]
    return "".join(known) if len(known) == len(parts) else None


def of_code(code: types.CodeType) -> Iterator[str]:
    """Yield the remarkable names that code made at run time knows."""
    names = set(code.co_names) | set(code.co_varnames)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from of_code(constant)
        elif isinstance(constant, str) and re.fullmatch(r"[\w.]{2,80}", constant) and not constant.isalpha():
            names.add(constant)
    yield from (what for name in sorted(names) if (what := remarkable(name)))
