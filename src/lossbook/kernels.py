"""Runs a kernel that is written in Triton's language on the CPU, by Triton's own interpreter: one program a row.

Triton is there on Linux alone, and not everywhere. Where it is missing a kernel can be written, and says when it is
called why it does not run.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from types import SimpleNamespace
from typing import Any

from torch import Tensor

try:
    import triton.language as tl
    from triton.runtime import interpreter
    from triton.runtime.jit import JITFunction, mangle_type
except ImportError:

    class tl:  # type: ignore[no-redef]  # noqa: N801  # it stands for a module
        """Stands in for Triton's language: a kernel can be defined, and not run."""

        constexpr = int

    interpreter = None

__all__ = ["available", "on_rows", "tl"]

MISSING = (
    "Triton is not installed here: a kernel can be written, but not run. On Linux `pip install triton` brings it; for "
    "macOS and Windows there is none. All else in this lesson runs without it."
)
OUTSIDE = "where none of its arguments lies: the mask is what keeps a block inside"


def available() -> str:
    """Return, in words, whether a kernel can be run here."""
    return MISSING if interpreter is None else "Triton's interpreter runs your kernels here."


def on_rows(*stored: str) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Return a decorator that makes of a kernel a function: it runs it, and returns what it has stored.

    There is a program for each row of the first argument. Tensors are copied before the programs see them, so that the
    arguments stay as they are; whoever reads outside them, or stores elsewhere than is said here, gets an error.

    Args:
        stored: The parameters through which the kernel stores. What is given for them has the shape and dtype of what
            is returned: one tensor, or a tuple of them.

    """

    def decorate(kernel: Callable[..., None]) -> Callable[..., Any]:
        @functools.wraps(kernel)
        def run(*args: Any, **kwargs: Any) -> Any:
            if interpreter is None:
                raise RuntimeError(MISSING)
            given = inspect.signature(kernel).bind(*args, **kwargs).arguments
            if missing := [name for name in stored if not _is(given.get(name))]:
                raise TypeError(f"{missing[0]} is {given.get(missing[0])!r}; it must be a tensor to store into")
            inside = {name: value.detach().clone().contiguous() for name, value in given.items() if _is(value)}
            rows = next((len(value) for value in inside.values() if value.ndim), 1)
            _interpret(kernel, rows, {**given, **inside}, stored)
            found = tuple(inside[name] for name in stored)
            return found[0] if len(found) == 1 else found

        return run

    return decorate


def _is(value: Any) -> bool:
    return isinstance(value, Tensor)


class _Guarded:
    """The interpreter's way to the memory, with a look at each place before it is read or written."""

    def __init__(self, memory: Any, tensors: dict[str, Tensor], stored: Collection[str]) -> None:
        self.load_from, self.store_to = memory.load, memory.store
        self.places = {
            name: (value.data_ptr(), value.data_ptr() + value.numel() * value.element_size())
            for name, value in tensors.items()
        }
        self.stored = stored

    def load(self, pointers: Any, mask: Any, *rest: Any) -> Any:
        """Read from the places where the mask is true."""
        if not self._inside(pointers, mask, self.places).all():
            raise IndexError(f"the kernel reads {OUTSIDE}")
        return self.load_from(pointers, mask, *rest)

    def store(self, pointers: Any, values: Any, mask: Any) -> None:
        """Write to the places where the mask is true."""
        if not self._inside(pointers, mask, self.places).all():
            raise IndexError(f"the kernel stores {OUTSIDE}")
        if not self._inside(pointers, mask, self.stored).all():
            raise RuntimeError(f"the kernel stores elsewhere than behind {' and '.join(self.stored)}")
        self.store_to(pointers, values, mask)

    def _inside(self, pointers: Any, mask: Any, names: Collection[str]) -> Any:
        """Return of each place whether it is masked out or lies in one of these tensors."""
        found = ~mask
        for low, high in (self.places[name] for name in names):
            found = found | ((pointers >= low) & (pointers < high))
        return found


def _interpret(kernel: Callable[..., None], rows: int, given: dict[str, Any], stored: Collection[str]) -> None:
    """Run a program for each row, one after the other. Raises what the kernel raises."""
    with _language():
        tensors = {name: value for name, value in given.items() if _is(value)}
        interpreter._interpreter = _Guarded(interpreter._interpreter, tensors, stored)
        function = interpreter.InterpretedFunction(kernel)
        try:
            function[(rows,)](**given)
        except interpreter.InterpreterError as error:
            inner: BaseException = error
            while isinstance(inner, interpreter.InterpreterError) and inner.__cause__ is not None:
                inner = inner.__cause__
            raise inner from None


@contextlib.contextmanager
def _language() -> Iterator[None]:
    """Have Triton's interpreter run its language's own functions too, and leave the language as it was.

    The interpreter expects to be asked for before Triton is first imported. Here it may be asked for later, and what
    it changes in the language does not stay: who compiles kernels in the same process finds them unchanged.
    """
    mangle_type(1)  # imports what must find the language as it is
    places = (tl, tl.standard, tl.core, tl.math, tl.tensor, tl.dtype, interpreter)
    before = [(place, dict(vars(place))) for place in places]
    try:
        for place, names in before:
            for name, value in names.items():
                if isinstance(value, JITFunction):
                    runs = interpreter.InterpretedFunction(value.fn)
                    setattr(place, name, _method(runs) if place is tl.tensor else runs)
        interpreter._patch_lang(_sees_all)
        interpreter._patch_lang = lambda function: SimpleNamespace(restore=lambda: None)  # all is done
        yield
    finally:
        for place, names in before:
            for name, value in vars(place).copy().items():
                if name not in names and isinstance(place, type):
                    delattr(place, name)
                elif name in names and value is not names[name]:
                    setattr(place, name, names[name])


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


core = getattr(tl, "core", None)


def _sees_all() -> tuple[Any, ...]:
    """Stand for a kernel that sees the whole language: the interpreter looks at the names of its module."""
    return tl, core
