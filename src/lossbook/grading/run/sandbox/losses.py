"""Takes PyTorch's own losses away from a process, below every name that Python has for them."""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import itertools
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch.autograd.variable import Variable

from lossbook.checks.trial import LOSSES

# Keys of the dispatcher that Python's list of them lacks.
UNLISTED = ("Batched", "VmapMode", "BatchedNestedTensor", "MkldnnCPU")
# Kernels at these keys note something or convert, and then call the operation again, at a key further down.
PASSING_ON = ("Autograd", "ADInplaceOrView", "Tracer", "Functionalize", "BackendSelect", "PreDispatch")
ELSEWHERE = ("CUDA", "HIP", "HPU", "MPS", "XPU")  # devices that a submission does not see
# Namespaces of PyTorch's own backends: their operations fuse activations, and no exercise needs one.
BACKENDS = ("mkldnn", "mkldnn_prepacked", "mkl", "onednn", "quantized", "_quantized", "quantization", "static_runtime")
BACKEND = "an operation of a backend"
NO_OPERATIONS = frozenset(["backward", "grad"])  # forbidden functions that are no operation of the dispatcher's
# Forbidden operations that PyTorch calls inside of allowed ones, as for a number beside a tensor: whoever calls one is
# told, but none is taken away, lest an answer fail here that passes its check.
WATCHED = frozenset(["to_copy", "local_scalar_dense"])
# What computes a forbidden function inside, under a name that does not say so.
KINDRED = {
    "sigmoid": ("lstm", "gru", "rnn", "lstm_cell", "gru_cell"),
    "softmax": ("attention", "sdp"),
    "logsumexp": ("attention", "sdp"),
    "scaled_dot_product_attention": ("attention",),
    "linear": ("rnn", "lstm", "gru"),
}


def _refuse(*args: Any, **kwargs: Any) -> Any:
    from lossbook.checks.trial import ForbiddenError

    raise ForbiddenError("a loss of PyTorch's was called; the exercises ask you to write it")


def _refuse_more(*args: Any, **kwargs: Any) -> Any:
    from lossbook.checks.trial import ForbiddenError

    raise ForbiddenError("a function was called that this exercise asks you to write, or does not allow")


def _refuse_backend(*args: Any, **kwargs: Any) -> Any:
    from lossbook.checks.trial import ForbiddenError

    raise ForbiddenError("an operation of one of PyTorch's backends was called; no exercise needs one")


def _base(name: str) -> str:
    return name.partition("::")[2].partition(".")[0].removesuffix("_backward").strip("_")


def _plain(name: str) -> str:
    """Return a Python function's name as an operation's base name would be."""
    return name.removesuffix("_backward").strip("_")


@functools.cache
def kernels() -> dict[str, list[str]]:
    """Return PyTorch's operations with the keys of the dispatcher at which a kernel computes something."""
    found: dict[str, list[str]] = {}
    for key in (*torch._C.DispatchKey.__members__, *UNLISTED):
        if key in PASSING_ON or key.startswith("Autocast") or key.endswith(ELSEWHERE):
            continue
        try:
            registered = torch._C._dispatch_get_registrations_for_dispatch_key(key)
        except RuntimeError:  # a key that marks a place among the others and holds no kernel
            continue
        for name in registered:
            found.setdefault(name, []).append(key)
    return {name: keys for name, keys in found.items() if not all(key.endswith("Meta") for key in keys)}


@functools.cache
def _by_phrase() -> dict[str, list[str]]:
    """Return PyTorch's operations by each word of their base names, and by all words in a row."""
    found: dict[str, list[str]] = {}
    for name in kernels():
        if name.startswith("aten::"):
            words = _base(name).split("_")
            ends = itertools.combinations(range(len(words) + 1), 2)
            for phrase in {"_".join(words[first:last]) for first, last in ends}:
                found.setdefault(phrase, []).append(name)
    return found


def computing(names: Collection[str]) -> list[str]:
    """Return the operations that have one of these names or contain one, as ``log_sigmoid_backward`` does."""
    names = [name for name in names if name not in WATCHED]
    wanted = dict.fromkeys([*names, *(other for name in names for other in KINDRED.get(name, ()))])
    return list(dict.fromkeys(name for phrase in wanted for name in _by_phrase().get(phrase, ())))


Found = tuple[dict[str, list[str]], list[FunctionType]]


def find() -> Found:
    """Return the operations that are losses, by their base name, and PyTorch's Python functions that compute one."""
    importlib.import_module("torch._decomp.decompositions_for_jvp")  # forward mode compiles it, from its source
    operations: dict[str, list[str]] = {}
    for name in kernels():
        if name.startswith("aten::") and (_base(name) in LOSSES or _base(name).endswith("ctc_loss")):
            operations.setdefault(_base(name), []).append(name)
    operations[BACKEND] = [name for name in kernels() if name.partition("::")[0] in BACKENDS]
    _by_phrase()  # once, and not in each process that is forked
    functions = [
        item
        for item in gc.get_objects()
        if type(item) is FunctionType
        and _plain(item.__name__) in LOSSES
        and str(item.__module__).startswith("torch")
        and not item.__code__.co_freevars
    ]
    return operations, functions


def sources(found: Found) -> list[str]:
    """Return the files that PyTorch's Python functions were read from, compiled or not: they could be read again."""
    files = sorted({Path(function.__code__.co_filename) for function in found[1]})
    compiled = [path for file in files for path in file.parent.glob(f"__pycache__/{file.stem}.*.pyc")]
    return [str(path) for path in (*files, *compiled) if path.exists()]


def _override(operations: Collection[str], refuse: Callable[..., Any]) -> None:
    """Give operations kernels that raise, in place of all that compute."""
    places: dict[tuple[str, str], list[str]] = {}
    for name in operations:
        for key in kernels()[name]:
            places.setdefault((name.partition("::")[0], key), []).append(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for (namespace, key), names in places.items():
            library = torch._C._dispatch_library("IMPL", namespace, key, __file__, 1)
            for name in names:
                library.impl(name.partition("::")[2], key, refuse)
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))  # kept for ever, and reachable from nowhere


def take_operations(names: Collection[str]) -> None:
    """Make the operations of these names raise ForbiddenError in this process. There is no way back.

    Args:
        names: What an exercise forbids beyond losses, such as ``sigmoid``: in place, into a given tensor, for many
            tensors at once, and as a part of another operation, too; ``backward`` or ``grad`` for what takes gradients.

    """
    _override(computing(frozenset(names) - NO_OPERATIONS), _refuse_more)
    if NO_OPERATIONS & frozenset(names):
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
    gone = {base: names for base, names in operations.items() if base not in allowed}
    _override(gone.pop(BACKEND, []), _refuse_backend)
    _override([name for names in gone.values() for name in names], _refuse)
    stays = []
    for function in functions:
        if _plain(function.__name__) in allowed:
            stays.append(function)
        else:
            function.__code__ = _refuse.__code__
    return {base: names for base, names in operations.items() if base in allowed}, stays
