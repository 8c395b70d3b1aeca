"""Calls a student's function on one case and notes what came back, as data that can be compared elsewhere.

This file knows no right answer and imports nothing of the course: a grader can put it, alone, beside a student's code.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import inspect
import io
import linecache
import os
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from types import CodeType, FrameType
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import TorchDispatchMode

from lossbook.checks.reads import Reads

LARGEST = 2**19  # elements of one result; no exercise asks for more
LONGEST_LIST = 2**13  # values of a result that is a list
LONGEST = 500  # characters of one error
LONGEST_LINE = 80  # characters of a line of code that is shown
PRINTED = 1000  # characters kept of what a call prints
RETURNED, RAISED, UNWRITTEN, MISSING, LOST = "returned", "raised", "unwritten", "missing", "lost"
STOPPED = "stopped"
DTYPES = frozenset(["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"])
_HERE = os.path.dirname(__file__)
_OURS = (
    os.path.dirname(torch.__file__),
    os.path.dirname(numpy.__file__),
    contextlib.__file__,  # PyTorch's modes are entered and left with it, at each function
    __file__,
    os.path.join(_HERE, "reads.py"),
)
# Where the course's own answers are.
_COURSE = (*(os.path.join(os.path.dirname(_HERE), room) for room in ("losses", "exercises")), _HERE)
# Files in which no code of a student's stands.
_PACKAGES = os.path.dirname(os.path.dirname(torch.__file__))  # Triton's interpreter lies there too
LIBRARIES = (*_OURS, os.path.dirname(_HERE), os.path.dirname(os.__file__), _PACKAGES, "<frozen")
# Of these, what stands around a call, and what is wrong.
# Where submissions are graded, nothing of the course is there to be called.
_LOOKING = os.path.exists(os.path.join(_COURSE[0], "recipe.py"))
_AROUND = tuple(os.path.join(_HERE, name) for name in ("reads.py", "patience.py"))
# What adds up without PyTorch, by the name that Python's profiler sees: told from a loop where steps are counted.
_ADDING = {
    "fsum": "fsum",
    "sumprod": "sumprod",
    "ndarray.sum": "numpy.sum",
    "ndarray.mean": "numpy.sum",
    "ufunc.reduce": "numpy.sum",
}
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
        kind: What sort of thing was returned, as ``kind_of`` says it.
        changed: The arguments that are no longer as they were, by number from 1 or by name.
        line: Where in the student's code it ended, such as ``line 5: `while total > 0:` ``, where it is known.
        printed: What the call printed, cut.
        seen: Where steps were counted, the names of the functions and operations that were called.
        fetched: Where reading was watched, how many numbers of each argument were fetched.
        largest: Where reading was watched, the numbers in the largest tensor that was made; −1 where PyTorch was left.
        borrowed: The function of the course's own that did the work; empty where the student's did.

    """

    state: str
    value: Any = None
    gradient: Any = None
    error: str = ""
    called: tuple[str, ...] = ()
    work: int | None = None
    kind: str = ""
    changed: tuple[str, ...] = ()
    line: str = ""
    printed: str = ""
    seen: tuple[str, ...] = ()
    fetched: tuple[int, ...] = ()
    largest: int = 0
    borrowed: str = ""


@dataclass(frozen=True)
class Other:
    """A result that is no number, tensor or list of them: what it is, in words."""

    what: str


class ForbiddenError(RuntimeError):
    """A function was called that the exercise does not allow."""


class Stopped(BaseException):
    """A call was stopped before its end. Not an Exception, so that few mistakes swallow it."""


@dataclass
class Watch:
    """What is watched while a function runs: the names that it may not call, and how many steps it takes."""

    forbidden: Collection[str]
    called: list[str] = field(default_factory=list)
    work: int = 0
    seen: dict[str, None] = field(default_factory=dict)
    reads: Reads | None = None
    borrowed: str = ""

    def see(self, name: str) -> None:
        """Note the call of an operation by its name; raise ForbiddenError where it may not be called."""
        plain = name.strip("_")
        self.seen[plain] = None
        if plain in self.forbidden:
            self.called.append(plain)
            raise ForbiddenError(f"{plain} was called, which may not be called here")


def course_function() -> str:
    """Return the name of the course's own function that is running, the one called first; empty where none is.

    Whatever name it was called by and however it was imported, its code stands in one of the course's files.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        if frame.f_code is attempt.__code__:
            return ""
        frame = frame.f_back
    found = ""
    while frame is not None and frame.f_code is not attempt.__code__:
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        if path.startswith(_COURSE) and not path.startswith(_AROUND):
            found = name if not name.startswith("<") else found or "the reference"
        elif not found:  # the nearest code that is not PyTorch's decides
            break
        frame = frame.f_back
    return found


class _Functions(TorchFunctionMode):
    """Sees each PyTorch function called by its Python name."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self.watch.see(name)
        if _LOOKING and not self.watch.borrowed:
            self.watch.borrowed = course_function()
        result = func(*args, **(kwargs or {}))
        return result if self.watch.reads is None else self.watch.reads.function(name, args, result)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operation that reaches PyTorch's dispatcher, whatever Python name it had."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch

    def seen(self, func: Any, args: Any, kwargs: Any) -> Any:
        self.watch.work += 1
        self.watch.see(func.overloadpacket.__name__)
        result = func(*args, **(kwargs or {}))
        if self.watch.reads is not None:
            self.watch.reads.operation(func, args, kwargs, result)
        return result

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
def _no_backward(watch: Watch) -> Iterator[None]:
    """See each derivative that PyTorch's engine takes of what is computed here, whoever asks for it.

    Scripts, and code that calls the engine itself, bypass every Python function. But the engine asks for the tensors
    that an operation has saved, and this is where it asks.
    """
    names = [name for name in ("backward", "grad") if name in watch.forbidden]
    if not names:
        yield
        return

    def unpack(saved: Any) -> Any:
        watch.see(names[0])
        return saved

    try:
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
            yield
    except RuntimeError as error:
        if "saved tensor hooks" in str(error):  # torch.func refuses to take a derivative at all under such hooks
            watch.see(names[-1])
        raise


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
        if threading.get_ident() != here:
            return built_in(iterable, start)
        watch.seen["builtins.sum"] = None
        for item in iterable:
            watch.work += 1
            start = start + item
        return start

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and (name := getattr(argument, "__qualname__", "")) in _ADDING:
            watch.seen[_ADDING[name]] = None

    before, profiled, built_in, here = sys.gettrace(), sys.getprofile(), builtins.sum, threading.get_ident()
    builtins.sum = counting_sum
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        sys.setprofile(profiled)
        builtins.sum = built_in


class Printed(io.StringIO):
    """Keeps the beginning of what is printed."""

    def write(self, text: str) -> int:
        """Take in a text; keep it while there is room."""
        if self.tell() <= PRINTED:
            super().write(text[: PRINTED + 1])
        return len(text)

    def text(self) -> str:
        """Return what was printed, cut, with nothing in it that could do something to a screen."""
        kept = self.getvalue()
        cut = kept[:PRINTED] + ("…" if len(kept) > PRINTED else "")
        return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in cut).rstrip("\n")


@contextlib.contextmanager
def quietly() -> Iterator[Printed]:
    """Hold back what a student's function prints and warns of: it is called many times, and neither is a fault."""
    sink = Printed()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        yield sink


@contextlib.contextmanager
def course_defaults() -> Iterator[None]:
    """Run under the defaults that the course is written for, float32 on the CPU, and give back those that were set."""
    dtype = torch.get_default_dtype()
    with contextlib.ExitStack() as under:
        # Asked for its default device, PyTorch makes a tensor there, which a machine without that device refuses.
        context = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
        if context is not None:
            torch.set_default_device(None)
            under.callback(torch.set_default_device, context.device)
        if any(isinstance(mode, DeviceContext) for mode in _get_current_function_mode_stack()):  # type: ignore[no-untyped-call]
            under.enter_context(torch.device("cpu"))  # within a `with torch.device(…)` that is still open
        under.enter_context(torch.inference_mode(False))
        torch.set_default_dtype(torch.float32)
        under.callback(torch.set_default_dtype, dtype)
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


def _alike(value: Any, other: Any) -> bool:
    if isinstance(other, Tensor):
        if not isinstance(value, Tensor) or (value.shape, value.dtype) != (other.shape, other.dtype):
            return False
        return torch.equal(value, other) or bool(((value == other) | ((value != value) & (other != other))).all())
    if isinstance(other, (list, tuple)):
        return len(value) == len(other) and all(map(_alike, value, other))
    return True  # a number can't be changed


def _no_longer(given: Mapping[str, Any], before: Mapping[str, Any], flags: Mapping[str, bool]) -> tuple[str, ...]:
    """Return the names of the arguments that a call has changed: their values, or whether they require a gradient."""
    with contextlib.suppress(Exception), torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
        return tuple(
            name
            for name, value in given.items()
            if not _alike(value, before[name]) or (name in flags and value.requires_grad != flags[name])
        )
    return ()


def kind_of(value: Any, depth: int = 0) -> str:
    """Return what sort of thing a result is: ``Tensor``, ``float``, or in brackets what a list or tuple holds."""
    if isinstance(value, Tensor):
        return "Tensor"
    if isinstance(value, (list, tuple)) and depth < 3:
        inside = tuple.__iter__(value) if isinstance(value, tuple) else list.__iter__(value)
        names = list(dict.fromkeys(kind_of(item, depth + 1) for _, item in zip(range(50), inside, strict=False)))
        return f"{'tuple' if isinstance(value, tuple) else 'list'}[{', '.join(names)}]"[:200]
    return str(type(value).__name__)[:40]


def line_of(error: BaseException, function: Any) -> str:
    """Return where in the student's code an error came from, with the line itself; empty where that is unknown."""
    try:
        code, own = getattr(getattr(function, "__wrapped__", function), "__code__", None), None
        for frame, number in traceback.walk_tb(error.__traceback__):
            if not frame.f_code.co_filename.startswith(LIBRARIES):
                own = frame.f_code, number
        if own is None:
            return ""
        where, number = own
        text = linecache.getline(where.co_filename, number).strip()
        if len(text) > LONGEST_LINE:
            text = text[: LONGEST_LINE - 1] + "…"
        named = getattr(code, "co_name", None), getattr(code, "co_filename", None)
        itself = where is code or (where.co_name, where.co_filename) == named  # Triton's interpreter compiles it anew
        inside = "" if itself or not where.co_name.isidentifier() else f"in `{where.co_name}`, "
        return f"{inside}line {number}" + (f": `{text}`" if text else "")
    except Exception:  # whatever a student's own error or file may do
        return ""


def _is_stub(code: CodeType, function: Any) -> bool:
    """Tell whether a function is nothing but a docstring and a ``raise``, as the lesson gave it."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(code))).body
        assert isinstance(tree, ast.FunctionDef)
        body = [item for item in tree.body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
        return len(body) == 1 and isinstance(body[0], ast.Raise)
    except Exception:  # no source, or it stands inside an expression: go by the names that its code knows
        return code.co_names in ((), ("NotImplementedError",)) and code.co_nlocals <= code.co_argcount + 2


def not_written(error: BaseException, function: Any) -> str | None:
    """Say what a bare NotImplementedError means where it is no untouched stub of this function; None where it is one.

    Args:
        error: What was raised.
        function: The function that was called.

    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__]
    if not frames:
        return None
    last = frames[-1]
    code, name = last.f_code, last.f_code.co_name
    if code.co_filename.startswith(LIBRARIES):
        return describe(error)
    mine = getattr(function, "__code__", None)
    known = getattr(last.f_globals.get(name), "__code__", None) is code
    if code is not mine and known and name != getattr(function, "__name__", ""):
        if _is_stub(code, None):
            return f"it calls `{name}`, which is not written yet"
        return f"it calls `{name}`, in which `raise NotImplementedError` still stands"
    if _is_stub(code, function):
        return None
    return "written, but `raise NotImplementedError` still stands in it: delete that line"


def describe(error: BaseException) -> str:
    """Return an error as one line a student can act on. Never raises."""
    try:
        text = str(error).strip().splitlines()
    except BaseException:
        text = []
    first = text[0].removesuffix(", but expected one of:") if text else ""  # what follows is PyTorch's list of calls
    said = f"raised {type(error).__name__}" + (f": {first}" if first else "")
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
    if type(value) in (Fraction, Decimal):
        try:
            return float(value)
        except (OverflowError, ValueError):
            return Other(f"a {type(value).__name__} that no float comes near")
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
    cache: int = 0,
    limit: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> Outcome:
    """Call a function on copies of its arguments and note what came back. Never raises on a student's mistake.

    Args:
        function: What the student wrote.
        args: The positional arguments.
        kwargs: The keyword arguments.
        gradient: The number of the argument, from 1, to which the gradient is taken too; 0 for none.
        forbidden: Names of PyTorch's functions and operations that end the call.
        count: Whether to count the steps that the call takes.
        cache: How many numbers of the arguments can be at hand, where it is watched what is fetched; 0 for no watching.
        limit: What raises ``Stopped`` under it where the call takes too long.

    """
    watch = Watch(forbidden)
    given = [fresh(item) for item in args]
    named = {key: fresh(item) for key, item in kwargs.items()}
    leaf = None
    if gradient and isinstance(given[gradient - 1], Tensor) and given[gradient - 1].is_floating_point():
        leaf = given[gradient - 1].requires_grad_()
        with torch.enable_grad():
            given[gradient - 1] = leaf.clone()  # no leaf, so that a function that changes it is told so by name
    held = {**{str(number): item for number, item in enumerate(given, 1)}, **named}
    before = {**{str(number): item for number, item in enumerate(args, 1)}, **kwargs}
    flags = {name: item.requires_grad for name, item in held.items() if isinstance(item, Tensor)}
    printed, line = "", ""
    try:
        with quietly() as sink, _no_mode_left(), contextlib.ExitStack() as watching:
            watching.enter_context(limit())
            if count or cache:
                _warm_up()
            if cache:
                watch.reads = Reads(given, cache)
            watching.enter_context(_Functions(watch))
            if forbidden or count or cache:
                watching.enter_context(_operations(watch))
            if count:
                watching.enter_context(_lines_counted(watch))
            watching.enter_context(torch.enable_grad())
            watching.enter_context(_no_backward(watch))
            watching.enter_context(_no_mode_left())  # the function's own: before ours end, which they would disturb
            try:
                value = function(*given, **named)
            finally:
                printed = sink.text()
            work = watch.work if count else None
            kind = kind_of(value)
            numbers = plain(value)  # still watched: reading a result may run code of the student's
        with quietly():  # not watched: PyTorch's derivatives are others there
            slope = None if leaf is None else _slope(value, leaf)
        changed = _no_longer(held, before, flags)
        outcome = Outcome(RETURNED, numbers, slope, work=work, kind=kind, changed=changed)
    except NotImplementedError as error:
        said = describe(error) if error.args else not_written(error, function)  # with a text it is PyTorch's, not ours
        line = line_of(error, function)
        outcome = Outcome(UNWRITTEN, error=describe(error)) if said is None else Outcome(RAISED, error=said)
    except (Exception, SystemExit) as error:  # a student's mistake, whatever it is, is reported and never raised
        line = line_of(error, function)
        outcome = Outcome(RAISED, error=describe(error))
    except (KeyboardInterrupt, Stopped) as error:
        line = line_of(error, function)
        why = str(error) if isinstance(error, Stopped) else "stopped by an interrupt"
        outcome = Outcome(STOPPED, error=why)
    if watch.called:
        called = tuple(dict.fromkeys(watch.called))
        said = (
            f"called {called[0]}, which may not be called here: this exercise asks you to write the answer without it"
        )
        return Outcome(RAISED, error=said, called=called, line=line, printed=printed, borrowed=watch.borrowed)
    reads = watch.reads
    return replace(
        outcome,
        line=line,
        printed=printed,
        seen=tuple(watch.seen) if count else (),
        fetched=tuple(reads.fetched) if reads else (),
        largest=0 if reads is None else -1 if reads.left else reads.largest,
        borrowed=watch.borrowed,
    )
