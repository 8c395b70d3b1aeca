"""The judge is judged: of the wrong functions that one change makes out of a solution, it lets next to none pass.

Whether a mutant is wrong is decided apart from the cases that it is judged by: it is called on many other inputs, drawn
here from all that the lesson's text allows, and compared with the solution. One that raises on all of these is left
out: it tells nothing. What is left must lose its marks at a seed that is used nowhere else.

A sample of the mutants of each exercise is tried, always the same one. All of them are tried by::

    MUTANTS=all python -m pytest tests/grading/test_mutants.py
"""

from __future__ import annotations

import ast
import functools
import math
import os
import re
import runpy
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from lossbook.checks import judging
from lossbook.checks.exercise import Exercise
from lossbook.checks.trial import RETURNED, Outcome, attempt
from lossbook.exercises import exercise, recipe
from lossbook.exercises.kl import COVERING, KEEPING, candidates_that_tell
from lossbook.exercises.nll import curve_case

ROOT = Path(__file__).parents[2]
ROWS = sorted(path.stem for path in (ROOT / "solutions").glob("*.md"))
mutants = runpy.run_path(str(Path(__file__).with_name("mutants.py")))["mutants"]
SEED = 82_461  # used nowhere else
INPUTS = 40  # on which a mutant is compared with the solution
PATIENCE = 0.25  # seconds of processor time that a call may take; a right one takes a hundredth of it
AGAIN = 0.003  # seconds after which a call that can't be stopped where it is, is looked at again
MUTANT = "<mutant>"
MOST = None if os.environ.get("MUTANTS") == "all" else 45  # mutants of one exercise
AT_MOST = 0.02  # of the wrong ones may keep their marks


@functools.cache
def solutions(row: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the names that a lesson's solution defines, and the source of each function that is to be written."""
    names: dict[str, Any] = {"__name__": "solutions"}
    sources = {}
    text = (ROOT / "solutions" / f"{row}.md").read_text(encoding="utf-8")
    for cell in re.findall(r"```\{code-cell\} python3\n(.*?)```", text, re.S):
        if "### BEGIN SOLUTION" in cell:
            sources[ast.parse(cell).body[0].name] = cell  # type: ignore[attr-defined]
            exec(cell, names)
        elif cell.startswith(("import ", "from ")):
            exec(cell, names)
    # A prediction may be any number; and a change of an open task's answer that beats the score is another answer.
    return names, {n: text for n, text in sources.items() if not n.startswith("predict_") and not exercise(n).score}


class Endless(BaseException):
    """A call took longer than it may."""


def patient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, with a limit on each call."""

    def stop(number: int, frame: FrameType | None) -> None:
        if frame is None or frame.f_code.co_filename != MUTANT:  # half an import, or half a mode, would harm later ones
            signal.setitimer(signal.ITIMER_PROF, AGAIN)
            return
        raise Endless

    def limited(*args: Any, **kwargs: Any) -> Any:
        before = signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)
        try:
            return function(*args, **kwargs)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    return limited


def made(source: str, name: str, row: str) -> Callable[..., Any]:
    names = dict(solutions(row)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(source, MUTANT, "exec"), names)
    return patient(names[name])


@pytest.fixture(autouse=True)
def no_mode_is_left():
    yield
    assert torch._C._len_torch_function_stack() == 0
    assert torch._C._len_torch_dispatch_stack() == 0


@functools.cache
def slopes(name: str) -> list[int]:
    """Return the numbers of the arguments to which gradients are compared; 0 where none are."""
    return sorted({call.gradient for call in judging.calls(exercise(name), SEED) if not call.count})


def answers(function: Callable[..., Any], name: str, given: Sequence[Any]) -> list[Outcome]:
    return [attempt(function, given, {}, gradient=slope, forbidden=frozenset()) for slope in slopes(name)]


@functools.cache
def right_answers(name: str, row: str) -> list[tuple[tuple[Any, ...], list[Outcome]]]:
    generator = Generator().manual_seed(len(name))
    drawn = [INPUT[name](Draw(generator, k)) for k in range(INPUTS)]
    return [(given, answers(solutions(row)[0][name], name, given)) for given in drawn]


def differ(given: tuple[Any, ...], mine: Sequence[Outcome], right: Sequence[Outcome], of: Exercise) -> bool:
    pairs = zip(mine, right, strict=True)
    return any(judging.what_is_wrong(one, other, of, judging.Case(given)) is not None for one, other in pairs)


def is_wrong(function: Callable[..., Any], name: str, row: str) -> bool:
    """Tell whether a mutant gives another value or gradient than the solution on some input, and any on some."""
    wrong = returned = False
    for given, right in right_answers(name, row):
        try:
            outcomes = answers(function, name, given)
        except Endless:
            return True
        returned = returned or outcomes[0].state == RETURNED
        wrong = wrong or differ(given, outcomes, right, exercise(name))
        if wrong and returned:
            return True
    return False


def keeps_its_marks(function: Callable[..., Any], name: str) -> bool:
    """Tell whether a mutant wins the points; the first call that is not right decides that it does not."""
    of, outcomes = exercise(name), []
    wanted = judging.calls(of, SEED)
    made = judging.attempts(function, of, wanted, of.barred)
    try:
        for call, outcome, right in zip(wanted, made, judging.expected(of, SEED), strict=True):
            if judging.what_is_wrong(outcome, right, of, call.case) is not None:
                return False
            outcomes.append(outcome)
    except Endless:
        return False
    return judging.judge(of, SEED, outcomes).points > 0


@dataclass
class Score:
    tried: int = 0
    wrong: int = 0
    survivors: list[str] = field(default_factory=list)


def score(row: str) -> Iterator[tuple[str, Score]]:
    for name, source in solutions(row)[1].items():
        found = Score()
        for text in mutants(source, MOST):
            function = made(text, name, row)
            found.tried += 1
            if is_wrong(function, name, row):
                found.wrong += 1
                if keeps_its_marks(function, name):
                    found.survivors.append(text)
        yield name, found


@pytest.mark.parametrize("row", ROWS)
def test_next_to_no_mutant_keeps_its_marks(row: str) -> None:
    """The bounds hold in each lesson, and so over all lessons together."""
    scores = dict(score(row))
    survivors = [text for found in scores.values() for text in found.survivors]
    wrong = sum(found.wrong for found in scores.values())
    told = [f"{name}: {found.tried} tried, {found.wrong} wrong" for name, found in scores.items()]
    print(*told, f"{wrong} wrong mutants, {len(survivors)} keep their marks", *survivors, sep="\n")
    assert sum(found.tried for found in scores.values()) >= 1500 / len(ROWS)
    assert wrong >= 200, told
    assert len(survivors) <= AT_MOST * wrong, "\n\n".join(survivors)
    for name, found in scores.items():
        assert len(found.survivors) <= max(1, AT_MOST * found.wrong), name


@pytest.mark.parametrize("row", ROWS)
def test_the_solution_is_right_on_all_inputs(row: str) -> None:
    for name in solutions(row)[1]:
        for given, mine in right_answers(name, row):
            right = answers(exercise(name).reference, name, given)
            assert not differ(given, mine, right, exercise(name)), (name, given)


class Draw:
    """Draws the k-th input of an exercise: sizes and scales go through all that is usual."""

    def __init__(self, generator: Generator, k: int) -> None:
        self.generator, self.k = generator, k
        self.n = (1, 2, 3, 5, 8, 13, 40)[k % 7]
        self.classes = (2, 3, 5, 7, 11)[k % 5]
        self.scale = (1.0, 0.3, 3.0, 20.0)[k % 4]
        self.shape = ((self.n,), (self.n, 3), (2, self.n, 2))[k % 3]

    def normal(self, *shape: int, scale: float | None = None) -> Tensor:
        return (self.scale if scale is None else scale) * torch.randn(shape, generator=self.generator)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def number(self, low: float, high: float) -> float:
        return float(self.uniform(low=low, high=high))

    def index(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator)

    def labels(self, *shape: int) -> Tensor:
        """Return labels 0 and 1, and every other time soft ones."""
        return self.uniform(*shape) if self.k % 2 else self.index(2, *shape).float()

    def log_p(self, *shape: int, impossible: Tensor | None = None) -> Tensor:
        """Return log-probabilities along dimension 1; with the class given possible, another is not, now and then."""
        z = self.normal(*shape, scale=min(self.scale, 3.0))
        if impossible is not None and self.k % 3 == 0:
            z[torch.arange(len(z)), (impossible + 1) % z.shape[1]] = -math.inf
        return z.log_softmax(1)

    def q(self, *shape: int) -> Tensor:
        """Return probabilities along dimension 1, zeros among them now and then."""
        weights = self.normal(*shape, scale=min(self.scale, 3.0)).exp()
        if self.k % 3:
            weights = weights * (self.uniform(*shape) < 0.7)
            weights[:, 0] += 0.1
        return weights / weights.sum(1, keepdim=True)


def pair(d: Draw) -> tuple[Any, ...]:
    return d.normal(*d.shape), d.normal(*d.shape)


def flat_pair(d: Draw) -> tuple[Any, ...]:
    return d.normal(d.n), d.normal(d.n)


def column(d: Draw) -> tuple[Any, ...]:
    shapes = ((d.n,), (d.n, 1))
    return d.normal(*shapes[d.k % 2]), d.normal(*shapes[d.k // 2 % 2])


def errors(d: Draw) -> tuple[Any, ...]:
    size = 10.0 ** (0, 0, 0, -25, 25, -3, 0)[d.k % 7] * (d.k % 10 != 9)
    return size * d.normal(d.n, scale=1.0), torch.zeros(d.n) if size != 1 else d.normal(d.n)


def constant(d: Draw) -> tuple[Any, ...]:
    y = d.normal(d.n)
    return (y[0].clone() if d.k % 4 == 0 else d.normal()), y


def likely(d: Draw) -> tuple[Any, ...]:
    return d.uniform(*d.shape, low=0.01, high=0.99), d.labels(*d.shape)


def flat_likely(d: Draw) -> tuple[Any, ...]:
    return d.uniform(d.n, low=0.01, high=0.99), d.labels(d.n)


def logits(d: Draw) -> tuple[Any, ...]:
    return d.normal(*d.shape, scale=d.scale * (1 + 40 * (d.k % 5 == 0))), d.labels(*d.shape)


def rows(d: Draw) -> Tensor:
    return d.normal(d.n, d.classes) + d.normal(d.n, 1, scale=300.0 * (d.k % 3 == 0))


def chosen(d: Draw) -> tuple[Any, ...]:
    return rows(d), d.index(d.classes, d.n)


def looked_up(d: Draw) -> tuple[Any, ...]:
    y = d.index(d.classes, d.n)
    return d.log_p(d.n, d.classes, impossible=y), y


def finite(d: Draw) -> tuple[Any, ...]:
    return d.log_p(d.n, d.classes), d.index(d.classes, d.n)


def ignoring(d: Draw) -> tuple[Any, ...]:
    log_p, y = finite(d)
    ignored = (-100, 255, 0, 1)[d.k % 4]
    return log_p, torch.where(d.uniform(d.n) < 0.3, ignored, y), ignored


def dense(d: Draw) -> tuple[Any, ...]:
    places = ((), (d.n,), (4, d.n), (2, 3, 2))[d.k % 4]
    return d.log_p(d.n, d.classes, *places), d.index(d.classes, d.n, *places)


def batches(d: Draw) -> tuple[Any, ...]:
    return ([d.uniform(int(size) + 1, high=6.0) for size in d.index(20, 1 + d.k % 4)],)


def spread(d: Draw) -> tuple[Any, ...]:
    q = d.q(d.n, d.classes)
    log_p = d.log_p(d.n, d.classes)
    if d.k % 4 == 1:
        log_p = log_p.masked_fill(q == 0, -math.inf).log_softmax(1)
    return log_p, q


def vectors(d: Draw) -> tuple[Any, ...]:
    return d.log_p(1, d.n * 3)[0], d.normal(1, d.n * 3, scale=1.0).softmax(1)[0]


def distilled(d: Draw) -> tuple[Any, ...]:
    shape = (d.n, d.classes)
    return (*(d.normal(*shape) for _ in "zv"), d.index(d.classes, d.n), d.number(0.5, 6.0), d.number(0.0, 1.0))


def part(d: Draw, *, empty: bool) -> tuple[Tensor, Tensor]:
    """Return the maxima and sums of a part of some rows; where it may be empty, some rows of it are."""
    m, total = d.normal(d.n), d.uniform(d.n, low=1.0, high=9.0)
    nothing = (d.uniform(d.n) < 0.3) & empty
    return m.masked_fill(nothing, -math.inf), total.masked_fill(nothing, 0.0)


def launched(d: Draw) -> tuple[Any, ...]:
    """Return logits with impossible classes now and then, room for two numbers a row, and the width of a block."""
    z, y = chosen(d)
    if d.k % 2:
        z = z.masked_fill((d.uniform(*z.shape) < 0.4) & (torch.arange(d.classes) != y[:, None]), -math.inf)
    room = torch.full((d.n,), math.nan)
    return z, room, room, d.classes, 2 ** (d.k % 4)


def kept_of(d: Draw) -> tuple[Any, ...]:
    """Return logits, labels with ignored ones among them, maxima and sums, room, and the width of a block."""
    z, y = chosen(d)
    y = torch.where(d.uniform(d.n) < 0.3, -100, y)
    m = z.amax(1)
    total = torch.exp(z - m[:, None]).sum(1)
    kept = max(int((y != -100).sum()), 1)
    return z, y, m, total, torch.full_like(z, math.nan), d.classes, kept, 2 ** (d.k % 4)


def hidden(d: Draw) -> tuple[Any, ...]:
    """Return hidden states, a vocabulary, labels and a number of classes to take at a time."""
    return d.normal(d.n, 3), d.normal(d.classes, 3, scale=1.0), d.index(d.classes, d.n), 1 + d.k % 6


def hidden_and_lse(d: Draw) -> tuple[Any, ...]:
    x, w, y, chunk = hidden(d)
    return x, w, y, (x @ w.T).logsumexp(1), chunk


def reduced(d: Draw) -> tuple[Any, ...]:
    m, total = part(d, empty=False)
    return m, total, m - d.uniform(d.n, high=5.0)


def late(d: Draw) -> tuple[Any, ...]:
    """Return what a device still has to do, the time to queue, the times of kernels, and the waits."""
    kernels = d.uniform(d.k % 6, low=1.0, high=30.0).tolist()
    return d.number(0.0, 40.0) * (d.k % 5 > 0), d.number(1.0, 15.0), kernels, bool(d.k % 2), bool(d.k // 2 % 3)


def swallowed(d: Draw) -> tuple[Any, ...]:
    """Return numbers between two that cancel and are larger now and then."""
    giant = d.normal(1, scale=1.0) * 10.0 ** (0, 8, 30)[d.k % 3]
    return (torch.cat([d.uniform(2), giant, d.uniform(d.n, low=-0.5, high=1.5), -giant]),)


@functools.cache
def trained(seed: int) -> list[tuple[Any, ...]]:
    """Return the losses and the labels of some runs."""
    return [case.args for case in exercise("bce_diagnosis").cases(Generator().manual_seed(1000 + seed))]


@functools.cache
def labels(seed: int) -> list[tuple[Any, ...]]:
    """Return some tables of labels."""
    return [case.args for case in exercise("label_loss").cases(Generator().manual_seed(1000 + seed))]


INPUT: dict[str, Callable[[Draw], tuple[Any, ...]]] = {
    "coin_log_likelihood": lambda d: (d.uniform(*[d.n] * (d.k % 2), low=0.05, high=0.95), d.index(2, d.n).float()),
    "best_constant_squares": lambda d: (d.normal(*d.shape) + d.number(-9, 9),),
    "best_constant_classes": lambda d: (d.index(d.classes, d.n), d.classes + d.k % 2),
    "recipe_sgd_step": lambda d: (d.normal(), d.normal(d.n), d.number(0.01, 1.0), ("mean", "sum")[d.k % 2]),
    "told_by_a_curve": lambda d: recipe.run_of(d.k % 4, d.k % 2, Generator().manual_seed(d.k)),
    "map_of_mean": lambda d: (d.normal(d.n) + 1, d.number(0.2, 3.0), d.number(0.2, 3.0)),
    "decay_for_prior": lambda d: (d.number(0.2, 3.0), d.number(0.2, 3.0), d.n),
    "recipe_python_sum": flat_pair,
    "recipe_torch_sum": flat_pair,
    "tosses_until_zero": lambda d: (
        d.number(0.02, 0.5),
        (torch.float16, torch.bfloat16, torch.float32, torch.float64)[d.k % 4],
    ),
    "mse": pair,
    "mse_of_columns": column,
    "rmse_gradient": errors,
    "gaussian_nll": lambda d: (*pair(d), d.normal(*d.shape, scale=min(d.scale, 3.0))),
    "mae_gradient": constant,
    "constant_for": lambda d: (d.normal(3 + 2 * (d.k % 4)), ("flats", "ambulance", "typing", "rubber")[d.k // 4 % 4]),
    "huber": lambda d: (*pair(d), d.number(0.2, 3.0)),
    "mse_python_sum": flat_pair,
    "mse_torch_sum": flat_pair,
    "sigmoid": lambda d: logits(d)[:1],
    "bce": likely,
    "bce_gradient": lambda d: (d.normal(d.n, scale=d.scale * (1 + 40 * (d.k % 5 == 0))), d.labels(d.n)),
    "bce_diagnosis": lambda d: trained(d.k // 9)[d.k % 9],
    "bce_with_logits": logits,
    "bce_pos_weight": lambda d: (*logits(d), d.number(0.2, 5.0)),
    "bce_python_sum": flat_likely,
    "bce_torch_sum": flat_likely,
    "pairwise_sum": lambda d: (d.uniform(d.n * (1 + d.k), low=-0.5, high=1.5),),
    "softmax": lambda d: (rows(d),),
    "logsumexp": lambda d: (rows(d),),
    "cross_entropy_index": chosen,
    "cross_entropy_gradient": chosen,
    "cross_entropy_smoothed": lambda d: (*chosen(d), (0.0, 0.1, 0.3, 1.0)[d.k % 4]),
    "cross_entropy_weighted": lambda d: (*chosen(d), d.uniform(d.classes, low=0.1, high=3.0)),
    "cross_entropy_python_sum": chosen,
    "cross_entropy_torch_sum": chosen,
    "label_loss": lambda d: labels(d.k // 11)[d.k % 11],
    "cross_entropy_one_hot": finite,
    "nll_by_index": looked_up,
    "nll_ignoring": ignoring,
    "nll_class_weights": lambda d: (*finite(d), d.uniform(d.classes, low=0.1, high=3.0)),
    "nll_dense": dense,
    "corpus_perplexity": batches,
    "poisson_nll": lambda d: (d.normal(*d.shape, scale=min(d.scale, 3.0)), d.index(30, *d.shape).float()),
    "nll_python_sum": looked_up,
    "nll_torch_sum": looked_up,
    "nll_diagnosis": lambda d: curve_case(d.generator, 3 + d.k % 10, "").args,
    "kl_entropy": lambda d: (d.q(d.n, d.classes),),
    "kl_cross_entropy": spread,
    "kl_each": spread,
    "kl_batchmean": lambda d: (shape := (d.n, 4, 3)[: 2 + d.k % 2]) and (d.log_p(*shape), d.q(*shape)),
    "kl_distillation": distilled,
    "kl_directions": lambda d: (d.log_p(d.n, d.classes), d.log_p(1, d.classes)[0]),
    "kl_python_sum": vectors,
    "kl_torch_sum": vectors,
    "kl_choice": lambda d: (
        *candidates_that_tell(d.generator, 5 + d.k % 4, 4 + d.k % 3),
        (*COVERING, *KEEPING)[d.k % 4],
    ),
    "sum_ledger": lambda d: (2 ** (d.k % 13), (2, 4, 8)[d.k % 3], ("python", "pairs", "torch")[d.k // 2 % 3]),
    "least_seconds": lambda d: (
        1 + int(d.index(50)),
        10 ** d.number(3, 9),
        10 ** d.number(3, 10),
        10 ** d.number(-7, -5),
        10 ** d.number(9, 12),
        10 ** d.number(10, 13),
    ),
    "bytes_for_share": lambda d: (d.number(0.0, 0.99), 10 ** d.number(-7, -5), 10 ** d.number(9, 13)),
    "clock_reading": late,
    "lanes_sum": lambda d: (d.uniform(d.n * (1 + d.k % 4), low=-0.5, high=1.5), 2 ** (d.k % 6)),
    "compensated_sum_loop": swallowed,
    "sum_error_limit": lambda d: (
        64 + int(d.index(2000)),
        2 ** (d.k % 7),
        (torch.float32, torch.float16, torch.bfloat16)[d.k % 3],
    ),
    "summation_python_sum": lambda d: (d.uniform(d.n, low=-0.5, high=1.5),),
    "summation_torch_sum": lambda d: (d.uniform(d.n, low=-0.5, high=1.5),),
    "online_max_and_sum": lambda d: (d.normal(d.n) + d.number(-9, 9),),
    "merge_max_and_sum": lambda d: (*part(d, empty=d.k % 3 > 0), *part(d, empty=d.k % 3 > 1)),
    "max_and_sum_kernel": launched,
    "gradient_kernel": kept_of,
    "linear_cross_entropy_in_chunks": hidden,
    "vocabulary_gradient_in_chunks": hidden_and_lse,
    "loss_and_gradient_bytes": lambda d: (int(d.index(999)) + 1, int(d.index(999)) + 2, (2, 4, 8)[d.k % 3]),
    "fused_python_sum": reduced,
    "fused_torch_sum": reduced,
}
