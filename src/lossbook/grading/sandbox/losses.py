"""Takes PyTorch's own losses away from a process, below every name that Python has for them."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import warnings
from collections.abc import Callable, Collection
from importlib.util import cache_from_source
from types import FunctionType
from typing import Any

import torch
from torch.autograd.variable import Variable

from lossbook.exercises.trial import LOSSES

KEYS = ("CPU", "Meta", "CompositeImplicitAutograd", "CompositeExplicitAutograd")
# Other kinds of tensors, for which some operations have kernels of their own.
MORE_KEYS = ("MkldnnCPU", "QuantizedCPU", "SparseCPU", "SparseCsrCPU", "NestedTensorCPU", "ZeroTensor")

BACKWARD = frozenset(["backward", "grad"])  # forbidden functions that are no operation of the dispatcher's


def _refuse(*args: Any, **kwargs: Any) -> Any:
    from lossbook.exercises.trial import ForbiddenError

    raise ForbiddenError("a loss of PyTorch's was called; the exercises ask you to write it")


def _refuse_more(*args: Any, **kwargs: Any) -> Any:
    from lossbook.exercises.trial import ForbiddenError

    raise ForbiddenError("a function was called that this exercise asks you to write, or does not allow")


def _base(name: str) -> str:
    return name.removeprefix("aten::").partition(".")[0].removesuffix("_backward").strip("_")


@functools.cache
def _operations() -> list[str]:
    return [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]


@functools.cache
def by_base() -> dict[str, list[str]]:
    """Return the operations by their base name; those for many tensors at once have the name of the one for one."""
    found: dict[str, list[str]] = {}
    for name in _operations():
        found.setdefault(_base(name).removeprefix("foreach_"), []).append(name)
    return found


Found = tuple[dict[str, list[str]], list[FunctionType]]


def find() -> Found:
    """Return the operations that are losses, by their base name, and PyTorch's Python functions that compute one."""
    operations: dict[str, list[str]] = {}
    for name in _operations():
        if _base(name) in LOSSES or _base(name).endswith("ctc_loss"):
            operations.setdefault(_base(name), []).append(name)
    functions = [
        item
        for item in gc.get_objects()
        if type(item) is FunctionType
        and _base(item.__name__) in LOSSES
        and str(item.__module__).startswith("torch")
        and not item.__code__.co_freevars
    ]
    return operations, functions


def sources(found: Found) -> list[str]:
    """Return the files that PyTorch's Python functions were read from, compiled or not: they could be read again."""
    files = sorted({function.__code__.co_filename for function in found[1]})
    return [path for file in files for path in (file, cache_from_source(file)) if os.path.exists(path)]


def _override(operations: Collection[str], refuse: Callable[..., Any]) -> None:
    """Give operations a kernel that raises, in place of all that they have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for key in (*KEYS, *MORE_KEYS) if operations else ():
            library = torch._C._dispatch_library("IMPL", "aten", key, __file__, 1)
            for name in operations:
                if key in KEYS or torch._C._dispatch_has_kernel_for_dispatch_key(name, key):
                    library.impl(name, key, refuse)
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))  # kept for ever, and reachable from nowhere


def take_operations(names: Collection[str]) -> None:
    """Make the operations of these names raise ForbiddenError in this process. There is no way back.

    Args:
        names: What an exercise forbids beyond losses, such as ``sigmoid``: in place, into a given tensor and for many
            tensors at once too; ``backward`` or ``grad`` for PyTorch's functions that take gradients.

    """
    _override([name for base in sorted(names) for name in by_base().get(base, ())], _refuse_more)
    if BACKWARD & frozenset(names):
        _take_engine()


def _take_engine() -> None:
    """Make PyTorch's engine refuse, in which whatever takes gradients ends. Python itself may not change its type."""
    for kind in type(Variable._execution_engine).__mro__:
        if "run_backward" in kind.__dict__:
            (names,) = (item for item in gc.get_referents(kind.__dict__) if type(item) is dict)
            names["run_backward"] = _refuse_more
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def take_away(found: Found, allowed: Collection[str]) -> Found:
    """Make losses raise ForbiddenError in this process and in all that it forks. There is no way back.

    Args:
        found: What is to go. Each operation gets a kernel that raises, so that the dispatcher, which every road to an
            operation leads through (functions, methods, torch.ops, torch._C, TorchScript), finds nothing else. Python
            functions get other code, so that a name kept from before does not help.
        allowed: Names that stay.

    Returns:
        What has stayed.

    """
    operations, functions = found
    _override([name for base, names in operations.items() if base not in allowed for name in names], _refuse)
    stays = []
    for function in functions:
        if _base(function.__name__) in allowed:
            stays.append(function)
        else:
            function.__code__ = _refuse.__code__
    return {base: names for base, names in operations.items() if base in allowed}, stays
