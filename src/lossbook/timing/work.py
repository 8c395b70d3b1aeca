"""Count what a call does: bytes, operations and dispatches. Nothing is timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lossbook.timing.operations import operations_of
from lossbook.timing.regions import Regions, size_of


@dataclass(frozen=True)
class Work:
    """What one call must do, and what it did.

    Args:
        bytes: Compulsory traffic: every input read once, every output written once.
        moved: Bytes that the dispatched operations read and wrote, one after the other.
        operations: Floating-point additions, multiplications and so on: one for each element and elementary
            operation, 2 m n k for a matrix product.
        dispatches: ATen operations dispatched.

    """

    bytes: int
    moved: int
    operations: int
    dispatches: int

    @property
    def intensity(self) -> float:
        """Operations for each byte that must move."""
        return self.operations / self.bytes if self.bytes else 0.0


class TooLong(Exception):  # noqa: N818 — no error: the count was given up
    """Counting took longer than it was given."""


# Operations whose named argument gives its shape and no values.
UNREAD = {
    "empty_like": ("self",),
    "zeros_like": ("self",),
    "ones_like": ("self",),
    "full_like": ("self",),
    "rand_like": ("self",),
    "randn_like": ("self",),
    "new_empty": ("self",),
    "new_empty_strided": ("self",),
    "new_zeros": ("self",),
    "new_ones": ("self",),
    "new_full": ("self",),
    "nll_loss_backward": ("self",),
    "nll_loss2d_backward": ("self",),
    "fill_": ("self",),
    "zero_": ("self",),
    "copy_": ("self",),
    "uniform_": ("self",),
    "normal_": ("self",),
    "bernoulli_": ("self",),
    "exponential_": ("self",),
    "random_": ("self",),
}

# Operations that pick single elements of the first argument: as many as the second has.
PICKED = {
    "gather": ("self", "index"),
    "take": ("self", "index"),
    "index": ("self", None),
    "index_select": ("self", None),
    "embedding": ("weight", None),
    "nll_loss_forward": ("self", "target"),
    "nll_loss2d_forward": ("self", "target"),
    "scatter_add_": ("self", "index"),
    "scatter_": ("self", "index"),
    "index_put_": ("self", "values"),
    "index_add_": ("self", "source"),
}


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches the operations that a call dispatches."""

    def __init__(self, limit: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moved = self.operations = self.dispatches = 0
        self.made: set[int] = set()
        self.read = Regions()
        self.written = Regions()
        self.outside: dict[int, Tensor] = {}
        self.devices: set[str] = set()
        self.end = None if limit is None else time.perf_counter() + limit

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave out torch.compile's guard, which imports a thousand modules: a counted call is not traced."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.dispatches += 1
        if self.end is not None and time.perf_counter() > self.end:
            raise TooLong
        self._note(func, args, kwargs, result)
        return result

    def _note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Add one operation's bytes and operations."""
        schema = func._schema.arguments
        given = [(argument, value) for argument, value in zip(schema, args, strict=False)]
        given += [(argument, kwargs[argument.name]) for argument in schema if argument.name in kwargs]
        name = func._schema.name.removeprefix("aten::")
        results = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
        sources = {argument.name: value for argument, value in given}
        inside = set()
        for argument, value in given:
            writes = argument.alias_info is not None and argument.alias_info.is_write
            for tensor in _tensors(value):
                inside.add(_key(tensor))
                self.devices.add(tensor.device.type)
                if _key(tensor) not in self.made and tensor.requires_grad:
                    self.outside[id(tensor)] = tensor
                if func.is_view:
                    continue
                count = _picked(name, argument.name, sources, results)
                if not (
                    argument.name in UNREAD.get(name, ()) or argument.name == "out" or (argument.kwarg_only and writes)
                ):
                    self._traffic(self.read, tensor, count)
                if writes:
                    self._traffic(self.written, tensor, count)
        for tensor in results:
            self.devices.add(tensor.device.type)
            if _key(tensor) not in inside:
                self.made.add(_key(tensor))
                if not name.startswith("empty") and not name.startswith("new_empty"):
                    self.moved += size_of(tensor)
        if not func.is_view:
            self.operations += operations_of(func, args, kwargs, result, [t for _, v in given for t in _tensors(v)])

    def _traffic(self, regions: Regions, tensor: Tensor, count: int | None) -> None:
        self.moved += size_of(tensor) if count is None else min(size_of(tensor), count * tensor.element_size())
        if _key(tensor) not in self.made:
            regions.add(_key(tensor), tensor, count)

    def work(self, value: Any) -> Work:
        """Return what was counted, given what the call returned."""
        kept = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
        kept += [tensor.grad for tensor in self.outside.values() if tensor.is_leaf and tensor.grad is not None]
        for tensor in kept:
            if _key(tensor) in self.made:
                self.written.add(_key(tensor), tensor, None)
        return Work(self.read.total() + self.written.total(), self.moved, self.operations, self.dispatches)


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in one argument of an operation: itself, or those in its list."""
    if isinstance(value, Tensor):
        return [value]
    return [item for item in value if isinstance(item, Tensor)] if isinstance(value, list | tuple) else []


def _key(tensor: Tensor) -> int:
    """Return what two tensors have in common that share their memory."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return id(tensor)


def _picked(name: str, argument: str, sources: dict[str, Any], results: list[Tensor]) -> int | None:
    """Return how many elements of an argument the operation touches, or None for all."""
    source, by = PICKED.get(name, (None, None))
    if argument != source:
        return None
    picking = sources.get(by) if by else (results[0] if results else None)
    return picking.numel() if isinstance(picking, Tensor) else None


def counted(function: Callable[..., Any], *args: Any, limit: float | None = None) -> tuple[Work, frozenset[str], Any]:
    """Call ``function(*args)`` once; return its work, the types of the devices that it ran on, and its value.

    Raises:
        TooLong: It took more than ``limit`` seconds.

    """
    compiles = "torch._dynamo" in sys.modules  # if not, nothing is compiled, and it takes a second to import
    with torch.compiler.set_stance("force_eager") if compiles else nullcontext(), _Counter(limit) as counter:
        value = function(*args)
    return counter.work(value), frozenset(counter.devices), value


def work_of(function: Callable[..., Any], *args: Any) -> Work:
    """Count what ``function(*args)`` does, by calling it once and watching what it dispatches.

    An input is memory that was there before the call and is read in it; an output is what the call returns, writes in
    place or leaves as a gradient. Each byte counts once: a broadcast input counts its real storage, and of a table of
    which single elements are picked only those count. Views move nothing, yet they are dispatched.

    A function compiled by ``torch.compile`` is counted as if it were not: the same ``bytes``, but ``moved`` and
    ``dispatches`` of its operations one by one. A kernel that is launched past PyTorch's dispatcher, as Triton's are,
    is not seen: state its ``Work`` yourself.

    Args:
        function: What to count.
        *args: Its arguments.

    Returns:
        The work of one call.

    Raises:
        TypeError: ``function`` is not callable.

    """
    if not callable(function):
        raise TypeError(f"function is a {type(function).__name__}; it must be callable")
    return counted(function, *args)[0]
