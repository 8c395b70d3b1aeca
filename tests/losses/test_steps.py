"""Who steps into a loss with a debugger meets its mathematics soon: few frames before it, and few in all.

A frame is a Python function of the package that is entered, counted each time. The mathematics begins with the first
arithmetic operation that the loss depends on. A check computes too, but nothing of the loss comes of it.
"""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import lossbook.losses

OURS = str(Path(lossbook.losses.__file__).parents[1])
BEFORE = 10  # the frame in which the mathematics begins included
IN_ALL = 20

# By their names in ATen. What is missing here is taken for no arithmetic, which can only make a count larger.
ARITHMETIC = frozenset(
    [
        *("abs", "add", "amax", "clamp", "div", "exp", "gather", "hardtanh", "log", "log1p", "logaddexp", "mean"),
        *("mul", "neg", "pow", "rsub", "sub", "sum", "xlogy"),
    ]
)


def tensors_in(*values):
    return [x for x in tree_leaves(values) if isinstance(x, torch.Tensor)]


class Operations(TorchDispatchMode):
    """Notes of every operation how many frames had been entered, its name, what it read and what it made."""

    def __init__(self, entered):
        super().__init__()
        self.entered = entered
        self.notes = []  # it holds the tensors, lest two have one identity

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.rstrip("_")
        self.notes.append((len(self.entered), name, tensors_in(args, kwargs), tensors_in(made)))
        return made


def steps(function, args, kwargs, folder=OURS):
    """Return the names of the frames entered when the mathematics begins, and of all."""
    entered = []

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            entered.append(frame.f_code.co_name)

    watched = Operations(entered)
    before = sys.getprofile()
    with watched:
        sys.setprofile(note)
        try:
            loss = function(*args, **kwargs)
        finally:
            sys.setprofile(before)

    # From the last operation to the first: what the loss depends on, and where the earliest of it is computed.
    wanted, first = {id(loss)}, None
    for count, name, read, made in reversed(watched.notes):
        if any(id(x) in wanted for x in made):
            wanted.update(map(id, read))
            first = count if name in ARITHMETIC else first
    assert first is not None, "no arithmetic leads to the loss"
    return entered[:first], entered


def with_and_without_options(cases):
    """Yield ``(name, args, kwargs)``: the losses of the cases, and each also with its required arguments alone."""
    seen = set()
    for name, args, _, kwargs in cases:
        yield name, args, kwargs
        required = name != "gaussian_nll_loss" or "var" not in kwargs
        if required and name not in seen:
            seen.add(name)
            yield name, args, {}
    assert seen == set(lossbook.losses.__all__)


@pytest.fixture(scope="module")
def stepped(cases):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            (f"{name} {sorted(kwargs)}", *steps(getattr(lossbook.losses, name), args, kwargs))
            for name, args, kwargs in with_and_without_options(cases)
        ]


def test_the_mathematics_is_met_soon(stepped):
    assert not [(call, len(before), before) for call, before, _ in stepped if len(before) > BEFORE]


def test_a_whole_call_is_short(stepped):
    assert not [(call, len(each), each) for call, _, each in stepped if len(each) > IN_ALL]


# --- The count itself ---------------------------------------------------------------------------------------------

# Losses in a file of their own, as far as Python is told.
TOYS = """
def check(x, depth):
    return check(x, depth - 1) if depth > 1 else bool((x * x).sum() > -1)  # arithmetic that the loss does not need

def core(x):
    return -x.detach()

def checked_first(x, depth):
    check(x, depth)
    return core(x.double())

def checked_later(x, depth):
    y = x - 1
    check(x, depth)
    return core(y)

def copied(x):
    return x.clone()
"""
toys = {}
exec(compile(TOYS, "toys.py", "exec"), toys)


@pytest.mark.parametrize("depth", [1, 2, 8, 9, 20])
def test_frames_are_counted_up_to_the_arithmetic_of_the_loss(depth):
    before, each = steps(toys["checked_first"], (torch.ones(3), depth), {}, folder="toys.py")
    assert before == each == ["checked_first", *["check"] * depth, "core"]


def test_what_comes_after_it_is_counted_in_all():
    before, each = steps(toys["checked_later"], (torch.ones(3), 3), {}, folder="toys.py")
    assert before == ["checked_later"]
    assert each == ["checked_later", *["check"] * 3, "core"]


def test_a_loss_without_arithmetic_is_none():
    with pytest.raises(AssertionError, match="no arithmetic"):
        steps(toys["copied"], (torch.ones(3),), {}, folder="toys.py")
