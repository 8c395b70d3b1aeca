"""What an exercise is: a function to write, the cases it must get right, and the reference that says what is right."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import torch
from torch import Generator, Tensor

from lossbook.checks.trial import LOSSES

RTOL, ATOL = 1e-4, 1e-6
# Functions that are an answer, or nearly: those of torch.nn.functional, by their Python names and by those of their
# operations, in lessons which say that these are for checking. PyTorch's losses no lesson's answer may call anyway.
ACTIVATIONS = frozenset(
    [
        "celu",
        "cosine_similarity",
        "elu",
        "gelu",
        "glu",
        "gumbel_softmax",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "log_sigmoid_forward",
        "log_softmax",
        "logsigmoid",
        "mish",
        "normalize",
        "pairwise_distance",
        "safe_softmax",
        "scaled_dot_product_attention",
        "selu",
        "silu",
        "softmax",
        "softmin",
        "softplus",
        "softshrink",
        "softsign",
        "tanhshrink",
    ]
)
# What adds numbers up, where an exercise is to do it with + and slices alone.
ADDING = frozenset(
    [
        "addbmm",
        "addmm",
        "addmv",
        "addr",
        "avg_pool1d",
        "baddbmm",
        "bmm",
        "conv1d",
        "convolution",
        "cumsum",
        "dot",
        "einsum",
        "embedding_bag",
        "index_add",
        "index_put",
        "index_reduce",
        "inner",
        "linear",
        "logcumsumexp",
        "logsumexp",
        "matmul",
        "mean",
        "mm",
        "mv",
        "nanmean",
        "nansum",
        "norm",
        "scatter_add",
        "scatter_reduce",
        "segment_reduce",
        "std_mean",
        "sum",
        "sum_to_size",
        "tensordot",
        "trace",
        "trapezoid",
        "trapz",
        "var_mean",
        "vdot",
    ]
)
# Why the race's slow side may be of Python's numbers, and its gradient is not compared.
RACED = "What is raced is Python's sum, and Python's own numbers are what it adds up best."


@dataclass(frozen=True)
class Case:
    """One call of the student's function.

    Args:
        args: The positional arguments, in order.
        kwargs: The keyword arguments.
        note: What this case is there to catch, in a few words; shown when it fails.
        slope: Where gradients are compared: the number of the argument, from 1, to which this case's is taken; 0 where
            float32 holds no gradient that right answers agree on.
        kept: What a score needs of this case and the function is not given, such as the labels held out.

    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    slope: int = 1
    kept: Any = None


@dataclass(frozen=True)
class Misconception:
    """A wrong function that people really write, and what would help them.

    Args:
        name: What went wrong, in a few words, such as ``the minus forgotten``. Unique within its exercise.
        wrong: The wrong function. A submission that equals it on every case is told so.
        advice: One or two sentences that help without giving the answer away.
        calls: Where numbers alone do not tell what was done and steps are counted: functions and operations of which a
            submission must have called one, to be told so.
        never: Functions and operations of which it must have called none.
        sign: Where answers are scored, and two wrong ones are never the same: given a result and what its case keeps,
            whether this is what went wrong.

    """

    name: str
    wrong: Callable[..., Any]
    advice: str
    calls: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    sign: Callable[[Any, Any], bool] | None = None


@dataclass(frozen=True)
class Curve:
    """A curve of the function to be written, drawn beside the student's own.

    Args:
        x: Where to draw.
        case: Given one x, the call whose result (its first element) is the height there.
        xlabel: What x is.
        ylabel: What the height is.

    """

    x: tuple[float, ...]
    case: Callable[[float], Case]
    xlabel: str
    ylabel: str


@dataclass(frozen=True)
class Work:
    """What a speed exercise may cost: counted, not timed, so that the answer is the same on any machine.

    A step is an operation that reaches PyTorch's dispatcher or a line of Python that runs.

    Args:
        case: Given a generator and n, a call on n elements.
        vectorised: True: the steps must not grow with n. False: there must be one a element or more.
        sizes: The two n to count at.
        of: What is counted with n.
        once: Numbers, from 1, of the arguments that are to be read once. A tenth of their numbers, and one for each
            sample, may be read again; who reads all twice has made two passes.
        cache: How many numbers of the arguments may be kept at hand, and are then not read again: some pieces.
        largest: Given n, how many numbers a tensor that is made may hold.
        table: What is larger than that and not to be made, in words.

    """

    case: Callable[[Generator, int], Case]
    vectorised: bool
    sizes: tuple[int, int] = (50, 500)
    of: str = "element"
    once: tuple[int, ...] = ()
    cache: int = 0
    largest: Callable[[int], int] | None = None
    table: str = ""


@dataclass(frozen=True)
class Score:
    """What an open task is judged by: no answer is the right one, and there is a number to beat.

    Args:
        what: What the number is, in words, such as ``the loss on voters held out``.
        of: Given a result of the reference's shape and what its case keeps, the number; the smaller, the better.
        beat: What the number must stay below, on every case.

    """

    what: str
    of: Callable[[Tensor, Any], float]
    beat: float


@dataclass(frozen=True)
class Prediction:
    """What a lesson asks before a function is written: a number, or one of some words.

    Args:
        name: The keyword under which ``predict`` takes the answer. Unique within its exercise.
        what: What is predicted, in words that fit before "is", such as ``σ(0)``.
        truth: Computes the right answer; it is not typed where it can be computed.
        why: One or two sentences: why it is so.
        among: The words to choose from; none where a number is asked for.
        rtol: How far a number may be off, of the right one.
        atol: How far beside that, where the right one may be 0.

    """

    name: str
    what: str
    truth: Callable[[], float | str]
    why: str
    among: tuple[str, ...] = ()
    rtol: float = 0.02
    atol: float = 1e-6


@dataclass(frozen=True)
class Exercise:
    """One function that a lesson asks for.

    Args:
        name: ``slug.function``, such as ``bce.sigmoid``.
        points: What a full answer is worth.
        reference: The right function. Its parameters are those that the lesson gives: a release refuses a stub with
            others.
        cases: Given a seeded generator, the cases: fixed ones, edges, and random ones drawn from the generator.
        gradient: Whether the gradient is compared too, to the first argument unless a case names another.
        rtol: Relative tolerance. The default allows any order of summation of a few thousand float32 terms.
        atol: Absolute tolerance, for results near zero.
        why: Where the tolerances are not the default ones, the reason.
        forbidden: Names of PyTorch's functions that the answer may not call, beyond its losses, such as ``sigmoid``.
        allowed: Names of PyTorch's losses that the answer may call, where the exercise is about using them.
        misconceptions: Wrong functions that people really write.
        curve: A curve to draw where the answer is wrong, if there is one to see.
        work: For a speed exercise, how many steps it may take.
        predictions: What the lesson asks before the function is written, and shows when it is right.
        hints: From the gentlest to the plainest; shown one at a time.
        folded: How many of them, from the first, the lesson folds away: all unless given. The others are for whoever
            asks ``check`` for them.
        judge: Where many answers are right: given a result, what is wrong with it in words, or None. It takes the
            reference's place.
        score: Where the task is open: the number to beat. The reference gives the shape of a result, and beats it.
        number_too: Where a tensor is right and a plain number as well: the reason.
        no_slope: Where a tensor is wanted and its gradient is not compared: the reason.

    """

    name: str
    points: int
    reference: Callable[..., Any]
    cases: Callable[[Generator], Sequence[Case]]
    gradient: bool = False
    rtol: float = RTOL
    atol: float = ATOL
    why: str = ""
    forbidden: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    misconceptions: tuple[Misconception, ...] = ()
    curve: Curve | None = None
    work: Work | None = None
    predictions: tuple[Prediction, ...] = ()
    hints: tuple[str, ...] = ()
    folded: int | None = None
    judge: Callable[[Any], str | None] | None = None
    score: Score | None = None
    number_too: str = ""
    no_slope: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters."""
        return tuple(inspect.signature(self.reference).parameters)

    @property
    def function(self) -> str:
        """The name of the function that the student writes."""
        return self.name.partition(".")[2]

    @property
    def barred(self) -> frozenset[str]:
        """The names of all functions that the answer may not call."""
        return LOSSES - self.allowed | self.forbidden

    @property
    def slug(self) -> str:
        """The chapter's slug."""
        return self.name.partition(".")[0]


def number_in(value: Any) -> float | int | None:
    """Return the number that a result is, a tensor of one number included; None where it is none."""
    if isinstance(value, Tensor) and value.numel() == 1 and value.ndim <= 1 and not value.is_complex():
        value = value.item()
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


class Called(TypedDict, total=False):
    """What a misconception says of functions and operations: that one of these was called, and none of those."""

    calls: frozenset[str]
    never: frozenset[str]


# What was called where PyTorch, and nothing else, added up; and where Python's own sum did.
BY_TORCH: Called = {"calls": frozenset(["sum"]), "never": frozenset(["fsum", "numpy.sum", "sumprod", "builtins.sum"])}
BY_PYTHON: Called = {"calls": frozenset(["builtins.sum"])}


def exact_sum_for_pythons(wrong: Callable[..., float]) -> Misconception:
    """Return the misconception of adding up by ``math.fsum`` where Python's sum is asked for."""
    return Misconception(
        "`math.fsum` for Python's sum",
        wrong,
        "The number is right, and more exact than is asked for: `math.fsum` keeps what each addition loses. The race "
        "is about Python's built-in `sum`, which is a name of its own, without `math`.",
        calls=frozenset(["fsum"]),
    )


def uniform(generator: Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw a float32 tensor of this shape, uniform on [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def normal(generator: Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Draw a float32 tensor of this shape from a Gaussian of mean 0 and standard deviation ``scale``."""
    return scale * torch.randn(shape, generator=generator)


def held_out(generator: Generator, x: Tensor, y: Tensor, learnt: int, of: str) -> list[Case]:
    """Return three cases of an open task: each gives some rows with their labels and the others' inputs alone.

    Args:
        generator: Draws which rows are learnt from.
        x: The inputs, a row a sample.
        y: The labels, which a case keeps of the rows that are held out.
        learnt: How many rows are learnt from.
        of: What is drawn, such as ``voters``.

    """
    cases = []
    for number in ("first", "second", "third"):
        order = torch.randperm(len(y), generator=generator)
        seen, new = order[:learnt], order[learnt:]
        cases.append(Case((x[seen], y[seen], x[new]), note=f"the {number} draw of {of}", kept=y[new]))
    return cases


def integers(generator: Generator, high: int, *shape: int) -> Tensor:
    """Draw an int64 tensor of this shape, uniform on 0, …, high − 1."""
    return torch.randint(high, shape, generator=generator)
