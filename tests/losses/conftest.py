"""What the tests of the losses share: how to compare one with PyTorch's, and the trials of the cards to compare on."""

import re
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import lossbook.losses
from lossbook import cards
from lossbook.cards import Draw

torch.set_num_threads(1)

NAMES = lossbook.losses.__all__
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
ULPS = 3.0
FLOOR = 4.0  # what PyTorch's loss of logits rounds, of terms as large as this that cancel; ours are more precise
FORBIDDEN = re.compile(r"loss|cross_entropy|kl_div|nll|log_softmax|log_?sigmoid|softplus")


@pytest.fixture(params=DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def dtype(request):
    return request.param


def ulps(mine, theirs, floor):
    """Largest difference, in units of the last place of ``theirs`` (of ``floor`` where that is larger).

    Below ``floor`` lie differences of larger terms: rounded there, not here.
    """
    same = (mine == theirs) | (mine.isnan() & theirs.isnan())
    if same.all():
        return 0.0
    info = torch.finfo(theirs.dtype)
    spacing = (theirs.double().abs().clamp(min=floor) * info.eps).clamp(min=info.tiny * info.eps)
    difference = ((mine.double() - theirs.double()).abs() / spacing).masked_fill(same, 0)
    return difference.nan_to_num(nan=float("inf")).max().item()


@pytest.fixture
def last_digits():
    return ulps


def outcome(function, args, grads, kwargs):
    """What a loss returns: its value, and its gradients by the arguments marked in ``grads``; or what it raises."""
    leaves = [arg.detach().clone().requires_grad_() if g else arg for arg, g in zip(args, grads, strict=True)]
    try:
        loss = function(*leaves, **kwargs)
        wanted = [leaf for leaf, g in zip(leaves, grads, strict=True) if g]
        if not wanted:
            return loss, ()
        incoming = torch.linspace(0.5, 1.5, loss.numel(), dtype=torch.float64).reshape(loss.shape).to(loss.dtype)
        return loss.detach(), torch.autograd.grad(loss, wanted, incoming, allow_unused=True)
    except Exception as error:
        return error, ()


def difference(mine, theirs, floor):
    """Say how two outcomes differ, or nothing."""
    (value, gradients), (expected, expected_gradients) = mine, theirs
    if isinstance(value, Exception) or isinstance(expected, Exception):
        agree = isinstance(expected, Exception) and isinstance(value, type(expected))
        return "" if agree else f"{value!r}, not {expected!r}"
    if len(gradients) != len(expected_gradients):
        return f"{len(gradients)} gradients, not {len(expected_gradients)}"
    pairs = zip((value, *gradients), (expected, *expected_gradients), strict=True)
    for n, (a, b) in enumerate(pairs):
        what = f"gradient {n}" if n else "value"
        if a is None or b is None:
            if a is not b:
                return f"{what} {a}, not {b}"
        elif (a.shape, a.dtype) != (b.shape, b.dtype):
            return f"{what} of {tuple(a.shape)} {a.dtype}, not {tuple(b.shape)} {b.dtype}"
        elif ulps(a, b, floor) > ULPS:
            return f"{what} {a.tolist()}, not {b.tolist()}: {ulps(a, b, floor):.1f} ulps"
    return ""


def compare(name, *args, grads=None, floor=0.0, namespace=lossbook.losses, **kwargs):
    """Say how a loss of ours differs from PyTorch's, or from its definition if PyTorch has none; or nothing."""
    grads = grads or (True,) + (False,) * (len(args) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = outcome(getattr(namespace, name), args, grads, kwargs)
        theirs = outcome(cards.of(name).held_against, args, grads, kwargs)
    return difference(mine, theirs, floor)


@pytest.fixture
def agrees():
    """Fail unless a loss of ours equals PyTorch's: value, gradients, shape, dtype; or both refuse."""

    def check(name, *args, **options):
        problem = compare(name, *args, **options)
        assert not problem, f"{name}{tuple(args)} {options}: {problem}"

    return check


@pytest.fixture
def both_refuse():
    """Fail unless PyTorch refuses, and ours raises the same class, naming the argument."""

    def check(name, argument, *args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs, _ = outcome(getattr(F, name), args, (False,) * len(args), kwargs)
            mine, _ = outcome(getattr(lossbook.losses, name), args, (False,) * len(args), kwargs)
        assert isinstance(theirs, Exception), f"PyTorch accepts {name}{args} {kwargs}"
        # A thing that is no tensor fails in PyTorch by the way, for want of an attribute; ours says so.
        expected = TypeError if isinstance(theirs, AttributeError) else type(theirs)
        assert isinstance(mine, expected), f"{name}{args} {kwargs}: {mine!r}, not {theirs!r}"
        assert argument in str(mine)

    return check


class Watcher:
    """Records every PyTorch function and operation called inside it whose name is that of a loss."""

    def __init__(self):
        self.seen = []
        watcher = self

        class Functions(TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                watcher.note(getattr(func, "__name__", str(func)))
                return func(*args, **(kwargs or {}))

        class Operations(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                watcher.note(str(func))
                return func(*args, **(kwargs or {}))

        self.modes = (Functions(), Operations())

    def note(self, name):
        if FORBIDDEN.search(name):
            self.seen.append(name)

    def __enter__(self):
        for mode in self.modes:
            mode.__enter__()
        return self

    def __exit__(self, *error):
        for mode in reversed(self.modes):
            mode.__exit__(*error)


@pytest.fixture
def watcher():
    return Watcher


# The sizes at which a card's trials are made, by the kind of the loss.
SIZES = {"elements": (6, 3), "classes": (6, 3), "vocabulary": (6, 2, 5)}


def trials_of(card):
    """Return a card's trials, in float64."""
    return list(card.trials(Draw.seeded(SIZES[card.kind], torch.float64, 0)))


def unlike(card):
    """Return how a card's loss differs from its twin on the trials, or from its definition if it has no twin."""
    found = []
    for trial in trials_of(card):
        grads = tuple(place < trial.by for place in range(len(trial.args)))
        mine, theirs = (outcome(loss, trial.args, grads, trial.options) for loss in (card.loss, card.held_against))
        if problem := difference(mine, theirs, FLOOR):
            found.append(f"{card.name} {trial.options}: {problem}")
    return found


@pytest.fixture(scope="session")
def unlike_twin():
    return unlike


@pytest.fixture(scope="session")
def cases():
    """Every loss through every option: ``(name, args, grads, kwargs)``."""
    return [
        (name, trial.args, tuple(place < trial.by for place in range(len(trial.args))), trial.options)
        for name in NAMES
        for trial in trials_of(cards.of(name))
    ]


@pytest.fixture(scope="session")
def compare_with_torch():
    return compare
