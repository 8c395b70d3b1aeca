"""Calls a student's function on one case and notes what came back, as data that can be compared elsewhere.

This file knows no right answer and imports nothing of the course: a grader can put it, alone, beside a student's code.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

LARGEST = 2**19  # elements of one result; no exercise asks for more
LONGEST_LIST = 2**13  # values of a result that is a list
LONGEST = 500  # characters of one error
RETURNED, RAISED, UNWRITTEN, MISSING, LOST = "returned", "raised", "unwritten", "missing", "lost"
DTYPES = frozenset(["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"])
_OURS = (os.path.dirname(torch.__file__), __file__)
# PyTorch's own losses, by the names of its Python functions and of its operations. No exercise is answered by one.
LOSSES = frozenset(
    [
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "cosine_embedding_loss",
        "cross_entropy",
        "cross_entropy_loss",
        "ctc_loss",
        "gaussian_nll_loss",
        "hinge_embedding_loss",
        "huber_loss",
        "kl_div",
        "l1_loss",
        "linear_cross_entropy",
        "margin_ranking_loss",
        "mse_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "multilabel_margin_loss_forward",
        "multilabel_soft_margin_loss",
        "nll_loss",
        "nll_loss_nd",
        "nll_loss_forward",
        "nll_loss2d",
        "nll_loss2d_forward",
        "poisson_nll_loss",
        "smooth_l1_loss",
        "soft_margin_loss",
        "triplet_margin_loss",
        "triplet_margin_with_distance_loss",
    ]
)


@dataclass(frozen=True)
class Outcome:
    """What one call came to.

    Args:
        state: ``returned``, ``raised``, ``unwritten`` (the stub's NotImplementedError), ``missing`` (there is no such
            function) or ``lost`` (the process ended before it answered).
        value: What was returned, as numbers, texts, lists and plain tensors; ``Other`` where it is none of these.
        gradient: The gradient of the result's sum to one argument, or None.
        error: In one line, what was raised or what happened instead.
        called: The forbidden functions that were called.
        work: Steps counted: operations dispatched and lines of Python run; None where they were not counted.

    """

    state: str
    value: Any = None
    gradient: Any = None
    error: str = ""
    called: tuple[str, ...] = ()
    work: int | None = None


@dataclass(frozen=True)
class Other:
    """A result that is no number, tensor or list of them: what it is, in words."""

    what: str


class ForbiddenError(RuntimeError):
    """A function was called that the exercise asks the student to write."""


@dataclass
class Watch:
    """What is watched while a function runs: the names that it may not call, and how many steps it takes."""

    forbidden: Collection[str]
    called: list[str] = field(default_factory=list)
    work: int = 0

    def see(self, name: str) -> None:
        """Note the call of an operation by its name; raise ForbiddenError where it may not be called."""
        plain = name.strip("_")
        if plain in self.forbidden:
            self.called.append(plain)
            raise ForbiddenError(f"{plain} was called; this exercise asks you to write it")


class _Functions(TorchFunctionMode):
    """Sees each PyTorch function called by its Python name."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.watch.see(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operation that reaches PyTorch's dispatcher, whatever Python name it had."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch

    def seen(self, func: Any, args: Any, kwargs: Any) -> Any:
        self.watch.work += 1
        self.watch.see(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.seen(func, args, kwargs)


class _Uncompiled(_Operations):  # type: ignore[no-untyped-call]
    """The same, where nothing is compiled: PyTorch then need not import its compiler, which takes a second."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.seen(func, args, kwargs)


def _operations(watch: Watch) -> _Operations:
    return _Operations(watch) if "torch._dynamo" in sys.modules else _Uncompiled(watch)


@contextlib.contextmanager
def _no_mode_left() -> Iterator[None]:
    """End the modes that are on when this ends: a function may leave one on, and so may a well-timed interrupt."""
    functions, operations = torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()
    try:
        yield
    finally:
        while torch._C._len_torch_function_stack() > functions:
            torch._C._pop_torch_function_stack()
        while torch._C._len_torch_dispatch_stack() > operations:
            torch._C._pop_torch_dispatch_stack(None)


@functools.cache
def _warm_up() -> None:
    """Let PyTorch import what it needs to watch operations, so that no such line is counted."""
    watch = Watch(())
    with _Functions(watch), _operations(watch):
        torch.sum(torch.nn.functional.relu(torch.ones(2)) * 2 + 1)


@contextlib.contextmanager
def _lines_counted(watch: Watch) -> Iterator[None]:
    """Count the lines of Python that run, PyTorch's own and this file's apart, and the items that ``sum`` adds up."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename.startswith(_OURS):
            return None
        if event == "line":
            watch.work += 1
        return trace

    def counting_sum(iterable: Iterable[Any], /, start: Any = 0) -> Any:
        for item in iterable:
            watch.work += 1
            start = start + item
        return start

    before, built_in = sys.gettrace(), builtins.sum
    builtins.sum = counting_sum
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        builtins.sum = built_in


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Hold back what a student's function prints and warns of: it is called many times, and neither is a fault."""
    sink = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        yield


def fresh(value: Any) -> Any:
    """Return a copy that a student's function may overwrite without touching the original.

    Args:
        value: A tensor (copied), a list or tuple (copied element by element), or anything else (returned as it is).

    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, (list, tuple)):
        return type(value)(fresh(item) for item in value)
    return value


def describe(error: BaseException) -> str:
    """Return an error as one line a student can act on. Never raises."""
    try:
        text = str(error).strip().splitlines()
    except BaseException:
        text = []
    said = f"raised {type(error).__name__}" + (f": {text[0]}" if text else "")
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def _plain_tensor(value: Tensor) -> Any:
    """Return a tensor's numbers as a plain tensor on the CPU, whatever kind of tensor it is."""
    with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
        if torch._C._dispatch_keys(value).has(torch._C.DispatchKey.Python):
            return Other(f"a {type(value).__name__}, a tensor that runs code of its own when it is read")
        if value.is_nested:
            return Other("a nested tensor")
        if value.numel() > LARGEST:
            return Other(f"a tensor of shape {tuple(value.shape)}")
        if str(value.dtype).removeprefix("torch.") not in DTYPES:
            return Other(f"a tensor of dtype {value.dtype}")
        if value.device.type == "meta":
            return Other("a tensor on the device 'meta', which holds no numbers")
        dense = value.detach().to_dense() if value.layout is not torch.strided else value.detach()
        copy = dense.cpu().contiguous().resolve_neg().as_subclass(Tensor)
        return copy if type(copy) is Tensor else Other(f"a {type(value).__name__}")


def _values(items: Any) -> int:
    return sum(map(_values, items)) + 1 if isinstance(items, list) else 1


def plain(value: Any, depth: int = 0) -> Any:
    """Return a result as None, numbers, texts, lists and plain tensors; ``Other`` for the rest.

    Raises whatever an object of the student's own raises when it is asked for its numbers.
    """
    if isinstance(value, Tensor):
        return _plain_tensor(value)
    if type(value) is int:
        return value if abs(value) < 2**63 else Other("an integer beyond 64 bits")
    if value is None or type(value) in (bool, float):
        return value
    if isinstance(value, (list, tuple)):
        items = list(tuple.__iter__(value)) if isinstance(value, tuple) else list.copy(value)
        if depth > 4 or len(items) > LONGEST_LIST:
            return Other(f"a {type(value).__name__} of {len(items)} items")
        found = [plain(item, depth + 1) for item in items]
        if depth == 0 and _values(found) > LONGEST_LIST:
            return Other(f"a {type(value).__name__} of more than {LONGEST_LIST} values")
        return found
    if type(value) is str:
        return Other(f"a str, {value[:80]!r}")
    if isinstance(value, (numpy.ndarray, numpy.generic)):  # and nothing that only acts as one: that would be code
        return _plain_tensor(torch.as_tensor(value))
    return Other(f"a {type(value).__name__}")


def _slope(value: Any, leaf: Tensor) -> Any:
    """Return the gradient of the sum of a result to an argument, or None where there is none."""
    if not (isinstance(value, Tensor) and value.requires_grad):
        return None
    (slope,) = torch.autograd.grad(value, leaf, torch.ones_like(value), allow_unused=True)
    return None if slope is None else plain(slope)


def attempt(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    gradient: int = 0,
    forbidden: Collection[str] = LOSSES,
    count: bool = False,
) -> Outcome:
    """Call a function on copies of its arguments and note what came back. Never raises on a student's mistake.

    Args:
        function: What the student wrote.
        args: The positional arguments.
        kwargs: The keyword arguments.
        gradient: The number of the argument, from 1, to which the gradient is taken too; 0 for none.
        forbidden: Names of PyTorch's functions and operations that end the call.
        count: Whether to count the steps that the call takes.

    """
    watch = Watch(forbidden)
    given = [fresh(item) for item in args]
    leaf = None
    if gradient and isinstance(given[gradient - 1], Tensor) and given[gradient - 1].is_floating_point():
        leaf = given[gradient - 1].requires_grad_()
        with torch.enable_grad():
            given[gradient - 1] = leaf.clone()  # no leaf, so that a function may change it in place
    try:
        with quietly(), _no_mode_left(), contextlib.ExitStack() as watching:
            if count:
                _warm_up()
            if forbidden or count:
                watching.enter_context(_Functions(watch))
                watching.enter_context(_operations(watch))
            if count:
                watching.enter_context(_lines_counted(watch))
            watching.enter_context(torch.enable_grad())
            value = function(*given, **{key: fresh(item) for key, item in kwargs.items()})
            work = watch.work if count else None
            numbers = plain(value)  # still watched: reading a result may run code of the student's
        with quietly():  # not watched: PyTorch's derivatives are others there
            slope = None if leaf is None else _slope(value, leaf)
        outcome = Outcome(RETURNED, numbers, slope, work=work)
    except NotImplementedError as error:
        bare = not error.args  # the stub's own; one with a text may come from PyTorch
        outcome = Outcome(UNWRITTEN if bare else RAISED, error=describe(error))
    except (Exception, SystemExit) as error:  # a student's mistake, whatever it is, is reported and never raised
        outcome = Outcome(RAISED, error=describe(error))
    if watch.called:
        called = tuple(dict.fromkeys(watch.called))
        return Outcome(RAISED, error=f"called {called[0]}, which this exercise asks you to write", called=called)
    return outcome
