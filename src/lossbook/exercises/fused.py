"""The exercises of lesson 08: cross-entropy at the limit."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor, exp, log, tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lossbook.checks.exercise import (
    ACTIVATIONS,
    BY_PYTHON,
    BY_TORCH,
    RACED,
    Case,
    Curve,
    Exercise,
    Misconception,
    Prediction,
    Score,
    Work,
    exact_sum_for_pythons,
    integers,
    normal,
    uniform,
)
from lossbook.data import prose
from lossbook.losses import cross_entropy

EMPTY = -math.inf


def max_and_sum(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum along the last dimension, and the sum of the exponentials of the differences from it."""
    m = z.amax(-1)
    safe = torch.where(m > EMPTY, m, 0.0)
    return m, torch.exp(z - safe.unsqueeze(-1)).sum(-1)


LOGITS = tuple(0.25 * i for i in range(-16, 17))
RIGHT_LOGIT = "the right logit, the two others 0"
# Pieces of four columns or classes, and eight samples: small beside the table, which is what is not to be made.
PIECE, SAMPLES = 4, 8
# So many pieces that a step for each is more than all the steps of an answer that ignores the argument.
PIECES = (20, 45)


def in_pieces(case: Callable[[Generator, int], Case], largest: int, of: str, table: str, **more: Any) -> Work:
    """Return that there must be a step for each piece, and that nothing larger than some pieces is made.

    Args:
        case: Given a generator and n, a call with n pieces.
        largest: For each piece, how many numbers a tensor may hold: half of what the whole table holds.
        of: What a piece is called.
        table: What is not to be made, in words.
        more: What else the work is limited by.

    """
    return Work(
        case,
        vectorised=False,
        sizes=PIECES,
        of=of,
        cache=64,
        largest=lambda n: largest * n,
        table=table,
        **more,
    )


# The lesson: log-sum-exp and softmax are what is being built.
BY_HAND = ACTIVATIONS | {"logsumexp", "logcumsumexp", "logaddexp", "logaddexp2"}
BY_FORMULA = BY_HAND | {"backward", "grad"}
Pair = tuple[Tensor, Tensor]


def _merged(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
    m = torch.maximum(m1, m2)
    safe = torch.where(m > -math.inf, m, 0.0)
    return m, d1 * exp(m1 - safe) + d2 * exp(m2 - safe)


def _sum_of_block(part: Tensor) -> Pair:
    """Return the maxima and the sums of the rows of a block; (−∞, 0) where all of a row is −∞."""
    m = part.amax(1)
    safe = torch.where(m > -math.inf, m, 0.0)
    return m, exp(part - safe[:, None]).sum(1)


def _lse(pairs: Sequence[Pair], merge: Callable[..., Pair] = _merged) -> Tensor:
    """Return the log-sum-exp of blocks whose maxima and sums are given, merged one after the other."""
    m, d = torch.full_like(pairs[0][0], -math.inf), torch.zeros_like(pairs[0][1])
    for own in pairs:
        m, d = merge(m, d, *own)
    return m + log(d)


def _block_forgotten(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
    """Keep the new block's maximum, and add its sum to the old one as it is."""
    return m2, d1 + d2


def _parts(z: Tensor, block: int, *, whole: bool = False) -> list[Tensor]:
    """Return the blocks of columns; if asked for, one of −∞, that adds nothing, in place of a last that is not full."""
    parts = [z[:, start : start + block] for start in range(0, z.shape[1], block)]
    if whole and parts[-1].shape[1] < block:
        parts[-1] = torch.full_like(parts[-1], -math.inf)
    return parts


def _each(z: Tensor, block: int, **how: bool) -> list[Pair]:
    return [_sum_of_block(part) for part in _parts(z, block, **how)]


def _sums_without_a_maximum(z: Tensor, block: int) -> Tensor:
    total = torch.zeros(len(z))
    for part in _parts(z, block):
        total = total + exp(part).sum(1)
    return log(total)


def _lse_added(z: Tensor, block: int) -> Tensor:
    total = torch.zeros(len(z))
    for m, d in _each(z, block):
        total = total + m + log(d)
    return total


def _largest_block(z: Tensor, block: int) -> Tensor:
    best = torch.full((len(z),), -math.inf)
    for m, d in _each(z, block):
        best = torch.maximum(best, m + log(d))
    return best


def _right_lse(z: Tensor, block: int) -> Tensor:
    return _lse(_each(z, block))


DROPPED = "Where the number of columns is no multiple of the size, the last piece is shorter, and it counts as well."
NOT_CARRIED = "The old sum was measured from another maximum. Bring both sums to the larger one before you add them."
ADDED = "The sums of exponentials may be added, once they have one maximum; their logarithms may not."
LARGEST = "Every piece adds to the sum, not the one with the largest log-sum-exp alone."
OVERFLOWS = "e^1000 is no float. Keep a maximum beside each sum, and take exponentials of differences from it alone."
NOT_A_MEAN = "Twice as many samples would cost twice as much. What is asked for is the mean over them."
NO_RIGHT = "A loss that does not look at y can't teach anything: what is taken off the log-sum-exp?"
AT_ONCE = (
    "The number is right, but the whole table stood in memory. Take as many columns at a time as the argument says."
)


# ----------------------------------------------------------------------------- online_max_and_sum


def row_cases(generator: Generator) -> Sequence[Case]:
    """Draw rows of logits."""
    return [
        Case((tensor([1.0, 3.0, 2.0]),), note="the maximum grows once"),
        Case((tensor([-1.0]),), note="one logit: itself, and e^0"),
        Case((tensor([0.0, 1.0, 2.0, 3.0]),), note="the maximum grows at each step"),
        Case((tensor([3.0, 2.0, 1.0, 0.0]),), note="the first is the largest"),
        Case((tensor([-4.0, -4.0, -4.0]),), note="all alike, and negative"),
        Case((tensor([-1000.0, 1000.0, 999.0]),), note="e^1000 overflows"),
        Case((normal(generator, 9, scale=3.0),), note="random"),
        Case((normal(generator, 30, scale=20.0),), note="random, far apart"),
    ]


ROW = "take one logit after the other, and keep two numbers"


def _one_by_one(z: Tensor, step: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Pair:
    """Return maximum and sum; ``step(d, m, new, x)`` gives the sum after the element x."""
    m, d = z[0], torch.ones_like(z[0])
    for x in z[1:]:
        new = torch.maximum(m, x)
        m, d = new, step(d, m, new, x)
    return m, d


def _right_step(d: Tensor, m: Tensor, new: Tensor, x: Tensor) -> Tensor:
    return d * exp(m - new) + exp(x - new)


def _first_twice(z: Tensor) -> Pair:
    m, d = _one_by_one(torch.cat([z[:1], z]), _right_step)
    return m, d


def _from_zero(z: Tensor) -> Pair:
    m, d = torch.zeros(()), torch.zeros(())
    for x in z:
        new = torch.maximum(m, x)
        m, d = new, _right_step(d, m, new, x)
    return m, d


def _logarithm_of_the_sum(z: Tensor) -> Pair:
    m, d = _one_by_one(z, _right_step)
    return m, log(d)


def _without_a_maximum(z: Tensor) -> Pair:
    m, d = z[0], torch.zeros(())
    for x in z:
        m, d = torch.maximum(m, x), d + exp(x)
    return m, d


def _second_pass(z: Tensor) -> Pair:
    m, d = z.amax(), torch.zeros(())
    for x in z:
        d = d + exp(x - m)
    return m, d


ONLINE_MAX_AND_SUM = Exercise(
    "fused.online_max_and_sum",
    points=2,
    reference=max_and_sum,
    cases=row_cases,
    predictions=(
        Prediction(
            "factor",
            "the factor of the old sum",
            lambda: math.exp(2 - 5),
            "Each of its terms was measured from 2, and is now measured from 5.",
        ),
        Prediction(
            "sum",
            "the new sum",
            lambda: 1.5 * math.exp(2 - 5) + math.exp(5 - 5),
            "The new logit is the maximum itself, and adds e^0.",
        ),
    ),
    forbidden=BY_HAND,
    no_slope="The two numbers are parts of a loss; the loss in blocks is what is trained with.",
    work=Work(
        lambda generator, n: Case((normal(generator, n),)),
        vectorised=False,
        sizes=PIECES,
        of="logit",
        once=(1,),
        cache=8,
        largest=lambda n: n // 2,
        table=ROW,
    ),
    hints=(
        "What is the largest of no logits at all? A number below every other: `-math.inf`. And the sum of no terms?",
        r"After each logit, $d$ is to be $\sum_j e^{z_j - m}$ with the *new* $m$. The old sum had the old maximum in "
        "each of its terms: by which one factor do all of them change?",
        r"$d \leftarrow d \, e^{m - m'} + e^{z_j - m'}$, with $m' = \max(m, z_j)$; then $m'$ becomes $m$.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "the sum not rescaled when the maximum grows",
            lambda z: _one_by_one(z, lambda d, m, new, x: d + exp(x - new)),
            "The terms in d were measured from the old maximum. When that changes, all of them change by one factor.",
        ),
        Misconception(
            "rescaled the wrong way",
            lambda z: _one_by_one(z, lambda d, m, new, x: d * exp(new - m) + exp(x - new)),
            "A larger maximum makes the old terms smaller: is your factor above 1 or below it?",
        ),
        Misconception(
            "the new element rescaled as well",
            lambda z: _one_by_one(z, lambda d, m, new, x: (d + exp(x - new)) * exp(m - new)),
            "Your new term is measured from the new maximum already: the factor is for the old sum alone.",
        ),
        Misconception(
            "the new element measured from the old maximum",
            lambda z: _one_by_one(z, lambda d, m, new, x: d * exp(m - new) + exp(x - m)),
            "Both terms of the new sum must be measured from one and the same maximum.",
        ),
        Misconception(
            "the maximum begins at zero",
            _from_zero,
            "Where all logits are negative, zero is larger than each of them. Below what does every number lie?",
        ),
        Misconception(
            "the first element counted twice",
            _first_twice,
            "You begin with the first element in the sum, and meet it again in the loop.",
        ),
        Misconception(
            "no maximum taken off",
            _without_a_maximum,
            "e^1000 is no float. The sum is to be that of the differences from the maximum.",
        ),
        Misconception(
            "the logarithm of the sum",
            _logarithm_of_the_sum,
            "What is asked for is the sum itself, before a logarithm.",
        ),
        Misconception(
            "two passes",
            _second_pass,
            "The numbers are right, but z is read twice: first for the maximum, then for the sum. Do both in one loop.",
        ),
    ),
)


# ------------------------------------------------------------------------------ merge_max_and_sum


def merged(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> tuple[Tensor, Tensor]:
    """Return maximum and sum of two parts together, from their own."""
    m = torch.maximum(m1, m2)
    safe = torch.where(m > EMPTY, m, 0.0)
    return m, d1 * torch.exp(m1 - safe) + d2 * torch.exp(m2 - safe)


def part_cases(generator: Generator) -> Sequence[Case]:
    """Draw maxima and sums of two parts of each row."""

    def sums(n: int) -> Tensor:
        return uniform(generator, n, low=1.0, high=9.0)

    nothing, none = tensor([EMPTY]), tensor([0.0])
    return [
        Case((tensor([2.0]), tensor([1.5]), tensor([1.0]), tensor([3.0])), note="the first maximum is the larger"),
        Case((tensor([0.0]), tensor([2.0]), tensor([3.0]), tensor([1.25])), note="the second maximum is the larger"),
        Case((tensor([1.0]), tensor([1.0]), tensor([1.0]), tensor([2.0])), note="alike: the sums add up"),
        Case((nothing, none, tensor([-3.0]), tensor([2.0])), note="the first part is empty"),
        Case((tensor([5.0]), tensor([4.0]), nothing, none), note="the second part is empty"),
        Case((nothing, none, nothing, none), note="both parts are empty, and so is the whole: (−∞, 0)"),
        Case(
            (tensor([1000.0, -1000.0]), tensor([1.0, 2.0]), tensor([-1000.0, -1001.0]), tensor([7.0, 1.0])),
            note="e^1000 overflows; one maximum a row",
        ),
        Case((normal(generator, 7, scale=3.0), sums(7), normal(generator, 7, scale=3.0), sums(7)), note="random"),
    ]


def _merge(sum_of: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Pair]:
    """Return a merge whose sum is ``sum_of(m, m1, d1, m2, d2)``, with m the larger maximum, 0 where it is −∞."""

    def merge(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
        m = torch.maximum(m1, m2)
        return m, sum_of(torch.where(m > -math.inf, m, 0.0), m1, d1, m2, d2)

    return merge


def _plain_merge(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
    m = torch.maximum(m1, m2)
    return m, d1 * exp(m1 - m) + d2 * exp(m2 - m)


def _one_for_all(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
    m = torch.maximum(m1, m2).max()
    return m.expand_as(m1), d1 * exp(m1 - m) + d2 * exp(m2 - m)


def _order_does_not_matter() -> bool:
    a, b, c = ((tensor(m), tensor(d)) for m, d in ((2.0, 1.5), (5.0, 1.25), (-3.0, 4.0)))
    one, other = merged(*merged(*a, *b), *c), merged(*merged(*c, *b), *a)
    return all(map(torch.allclose, one, other))


MERGE_MAX_AND_SUM = Exercise(
    "fused.merge_max_and_sum",
    points=2,
    reference=merged,
    cases=part_cases,
    predictions=(
        Prediction(
            "alike",
            "the sum of the two together",
            lambda: float(merged(*map(tensor, (2.0, 1.5, 2.0, 1.5)))[1]),
            "Both are measured from the same maximum already.",
        ),
        Prediction(
            "order",
            "the answer on the order",
            lambda: "no" if _order_does_not_matter() else "yes",
            "Whatever the order, the sum is that of all exponentials, measured from the largest maximum of all.",
            ("yes", "no"),
        ),
    ),
    forbidden=BY_HAND,
    no_slope="The two numbers are parts of a loss; the loss in blocks is what is trained with.",
    hints=(
        r"The first part stands for $d_1 e^{m_1}$, the second for $d_2 e^{m_2}$. Write the sum of both as $d \, e^m$, "
        r"with $m$ the larger of $m_1$ and $m_2$.",
        r"$-\infty - (-\infty)$ is `nan`. Only where both parts are empty is $m = -\infty$: there, take off 0 instead.",
    ),
    misconceptions=(
        Misconception("the sums added as they are", _merge(lambda m, m1, d1, m2, d2: d1 + d2), NOT_CARRIED),
        Misconception(
            "the factors exchanged",
            _merge(lambda m, m1, d1, m2, d2: d1 * exp(m2 - m) + d2 * exp(m1 - m)),
            "The part that has the larger maximum keeps its sum as it is. Does yours?",
        ),
        Misconception(
            "the second sum not rescaled",
            _merge(lambda m, m1, d1, m2, d2: d1 * exp(m1 - m) + d2),
            "Either part may have the larger maximum: each sum needs its own factor.",
        ),
        Misconception(
            "the first sum not rescaled",
            _merge(lambda m, m1, d1, m2, d2: d1 + d2 * exp(m2 - m)),
            "Either part may have the larger maximum: each sum, the first too, needs a factor of its own.",
        ),
        Misconception(
            "two empty parts give nan",
            _plain_merge,
            "−∞ − (−∞) is nan. Where both maxima are −∞ nothing is to be rescaled: take off a finite number instead.",
        ),
        Misconception(
            "one maximum for all rows",
            _one_for_all,
            "The maximum of one row has nothing to do with another's: compare the two parts row by row.",
        ),
        Misconception(
            "the exponentials of the maxima themselves",
            lambda m1, d1, m2, d2: (torch.maximum(m1, m2), (d1 * exp(m1) + d2 * exp(m2)) / exp(torch.maximum(m1, m2))),
            "e^1000 is no float. Divide on paper first: a quotient of exponentials is the exponential of a difference.",
        ),
    ),
)


# ---------------------------------------------------------------------------- max_and_sum_kernel


# Without an exponential of PyTorch's, or a road out of it, the work is left to Triton's, which PyTorch does not see.
IN_TRITON = BY_HAND | {"array", "exp", "exp2", "expm1", "numpy", "pow", "sigmoid", "special_expit", "tolist"}
NAN = math.nan
BEYOND = {"zero": 0.0, "minus infinity": EMPTY, "nan": NAN}
ROWS = "A tensor lies in memory row after row: row n begins V numbers behind row n − 1. Which row is this program's?"
READS_ON = "Where the last block is not full, no mask means: on into the next row, and at last behind all of them."
FULL = "The last block is not full where BLOCK does not divide V, and its numbers count as well."


def rows_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, room for what is stored, and the columns that are loaded at once."""

    def case(z: Tensor, block: int, note: str) -> Case:
        n, v = z.shape
        return Case((z, torch.full((n,), NAN), torch.full((n,), NAN), v, block), note=note)

    rising = torch.arange(8.0).expand(2, 8).clone()
    masked = normal(generator, 2, 4)
    masked[0, :2] = EMPTY
    masked[1, 2:] = EMPTY
    return [
        case(tensor([[1.0, 3.0, 2.0, 0.0]]), 4, "one row, one block"),
        case(rising, 2, "the maximum is in the last block"),
        case(rising.flip(1), 4, "the maximum is in the first block"),
        case(normal(generator, 3, 5) - 9, 4, "5 columns, 4 at a time, all far below zero"),
        case(tensor([[-1000.0, 0.0, 1000.0, 999.0]]), 2, "e^1000 overflows"),
        case(masked, 2, "blocks that hold nothing but −∞: masked classes"),
        case(normal(generator, 2, 9, scale=3.0), 16, "random, a block larger than the row"),
        case(normal(generator, 3, 11, scale=3.0), 4, "random"),
    ]


def _blocks(z: Tensor, block: int, beyond: float = EMPTY, *, full: bool = False) -> list[Tensor]:
    """Return the blocks of columns, all of one width: the last is filled up, or left out where only full ones count."""
    short = -z.shape[1] % block
    filled = torch.cat([z, z.new_full((len(z), short), beyond)], 1)
    parts = [filled[:, start : start + block] for start in range(0, filled.shape[1], block)]
    return parts[:-1] if full and short else parts


def _where_it_ends(z: Tensor, block: int) -> Tensor:
    """Return the logits; raise as a load without a mask does, where a block of the last row is not full."""
    if z.shape[1] % block:
        raise IndexError
    return z


def _e(x: Tensor) -> Tensor:
    """Return e^x as cosh and sinh give it: what is forbidden may not be called in a wrong answer either."""
    size = torch.cosh(x.abs()) + torch.sinh(x.abs())
    return torch.where(x < 0, 1 / size, size)


def _joined(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
    m = torch.maximum(m1, m2)
    safe = torch.where(m > EMPTY, m, 0.0)
    return m, d1 * _e(m1 - safe) + d2 * _e(m2 - safe)


def _reduced(part: Tensor) -> Pair:
    """Return the maxima and the sums of the rows of a block; (−∞, 0) where all of a row is −∞."""
    m = part.amax(1)
    safe = torch.where(m > EMPTY, m, 0.0)
    return m, _e(part - safe[:, None]).sum(1)


def _added(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
    """Bring the new sum to the common maximum, and the old one not."""
    return torch.maximum(m1, m2), d1 + _joined(m1, torch.zeros_like(d1), m2, d2)[1]


def _in_a_kernel(blocks: Sequence[Tensor], step: Callable[..., Pair] = _joined, first: float = EMPTY) -> Pair:
    """Take the blocks one after the other, each row from the maximum ``first`` and the sum 0."""
    m = torch.full((len(blocks[0]),), first)
    d = torch.zeros_like(m)
    for part in blocks:
        m, d = step(m, d, *_reduced(part))
    return m, d


def _of_the_first_row(z: Tensor, block: int) -> Pair:
    m, d = _in_a_kernel(_blocks(z[:1], block))
    return m.expand(len(z)), d.expand(len(z))


def _plainly(blocks: Sequence[Tensor]) -> Pair:
    m, d = torch.full((len(blocks[0]),), EMPTY), torch.zeros(len(blocks[0]))
    for part in blocks:
        larger = torch.maximum(m, part.amax(1))
        m, d = larger, d * _e(m - larger) + _e(part - larger[:, None]).sum(1)
    return m, d


def _no_maximum(blocks: Sequence[Tensor]) -> Pair:
    m, d = torch.full((len(blocks[0]),), EMPTY), torch.zeros(len(blocks[0]))
    for part in blocks:
        m, d = torch.maximum(m, part.amax(1)), d + _e(part).sum(1)
    return m, d


def kernel_mistake(wrong: Callable[[Tensor, int], Pair]) -> Callable[..., Pair]:
    """Return a wrong kernel from what it makes of the logits and the width of a block."""

    def max_and_sum_kernel(z_ptr: Tensor, m_ptr: Tensor, d_ptr: Tensor, V: int, BLOCK: int) -> Pair:
        return wrong(z_ptr, BLOCK)

    return max_and_sum_kernel


def rows_reduced(z_ptr: Tensor, m_ptr: Tensor, d_ptr: Tensor, V: int, BLOCK: int) -> Pair:
    """Return what is to be stored: each row's maximum and sum."""
    return max_and_sum(z_ptr)


MAX_AND_SUM_KERNEL = Exercise(
    "fused.max_and_sum_kernel",
    points=3,
    reference=rows_reduced,
    cases=rows_cases,
    forbidden=IN_TRITON,
    no_slope="A kernel stores numbers; the gradient is the next exercise's kernel.",
    predictions=(
        Prediction(
            "turns",
            "the number of turns of the loop, for 1,000 columns in blocks of 256,",
            lambda: math.ceil(1000 / 256),
            "The last block has fewer columns than the others, and it is loaded as well.",
        ),
        Prediction(
            "other",
            "what a masked logit must be taken for",
            lambda: next(word for word, value in BEYOND.items() if _changes_nothing(value)),
            "Of −∞ the maximum takes no notice, and its exponential is 0. A zero would be a logit like any other.",
            ("zero", "minus infinity", "nan"),
        ),
    ),
    hints=(
        "`tl.program_id(0)` is the number of the row. The logits of a block lie at `z_ptr + row * V + at`, where `at` "
        "holds the columns: `start + tl.arange(0, BLOCK)`.",
        "`tl.load(…, mask=at < V, other=…)` does not read where the mask is false and takes `other` instead. Then the "
        "block has a maximum, `tl.max(z, 0)`, and exercise 1 says what becomes of m and d.",
        'Where nothing but −∞ was seen so far, −∞ − (−∞) is nan: `tl.where(new == float("-inf"), 0.0, new)` is what to '
        "take off. Behind the loop, `tl.store(m_ptr + row, m)`.",
    ),
    misconceptions=(
        Misconception(
            "the mask forgotten",
            kernel_mistake(lambda z, block: _in_a_kernel(_blocks(_where_it_ends(z, block), block))),
            READS_ON,
        ),
        Misconception(
            "zeros behind the row",
            kernel_mistake(lambda z, block: _in_a_kernel(_blocks(z, block, 0.0))),
            "What lies behind the row must not count. A 0 does: it may be the largest, and its exponential is added.",
        ),
        Misconception(
            "the last block left out",
            kernel_mistake(lambda z, block: _in_a_kernel(_blocks(z, block, full=True) or [z[:, :1] + EMPTY])),
            FULL,
        ),
        Misconception("the first row, for all", kernel_mistake(_of_the_first_row), ROWS),
        Misconception(
            "the sum not rescaled",
            kernel_mistake(lambda z, block: _in_a_kernel(_blocks(z, block), _added)),
            NOT_CARRIED,
        ),
        Misconception(
            "the maximum begins at zero",
            kernel_mistake(lambda z, block: _in_a_kernel(_blocks(z, block), first=0.0)),
            "Where all logits are negative, zero is larger than each of them. Below what does every number lie?",
        ),
        Misconception(
            "a block of −∞ gives nan",
            kernel_mistake(lambda z, block: _plainly(_blocks(z, block))),
            "Where nothing but −∞ was seen so far the maximum is −∞, and −∞ − (−∞) is nan. Take off a finite number.",
        ),
        Misconception(
            "no maximum taken off", kernel_mistake(lambda z, block: _no_maximum(_blocks(z, block))), OVERFLOWS
        ),
        Misconception(
            "the logarithm of the sum",
            kernel_mistake(lambda z, block: (_reduced(z)[0], log(_reduced(z)[1]))),
            "What is asked for is the sum itself, before a logarithm.",
        ),
    ),
)


def _changes_nothing(beyond: float) -> bool:
    z = tensor([[-1.0, -2.0, -3.0]])
    return all(map(torch.allclose, _in_a_kernel(_blocks(z, 4, beyond)), max_and_sum(z)))


# -------------------------------------------------------------------------------- gradient_kernel


IGNORED = -100


def rows_gradient(
    z_ptr: Tensor, y_ptr: Tensor, m_ptr: Tensor, d_ptr: Tensor, g_ptr: Tensor, V: int, kept: int, BLOCK: int
) -> Tensor:
    """Return what is to be stored: (p − one-hot) / kept, and 0 in the rows that are ignored."""
    return _gradient(z_ptr, y_ptr, m_ptr, d_ptr) / kept


def kept_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, class indices with ignored ones among them, what the forward pass kept, and room for the result."""

    def case(z: Tensor, y: Tensor, block: int, note: str) -> Case:
        kept = max(int((y != IGNORED).sum()), 1)
        return Case((z, y, *max_and_sum(z), torch.full_like(z, NAN), z.shape[1], kept, block), note=note)

    some = integers(generator, 5, 4)
    some[1] = IGNORED
    return [
        case(tensor([[0.0, 0.0]]), tensor([1]), 2, "a coin: ½ and −½"),
        case(tensor([[2.0, 0.0, -1.0, 1.0], [0.0, 1.0, 3.0, 2.0]]), tensor([0, 3]), 2, "two blocks, two samples"),
        case(tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]]), tensor([1, IGNORED]), 2, "the second is ignored: zeros"),
        case(normal(generator, 2, 3), tensor([IGNORED, IGNORED]), 4, "all ignored: zeros everywhere"),
        case(tensor([[1000.0, 999.0, -1000.0]]), tensor([1]), 2, "e^1000 overflows"),
        case(tensor([[0.5, EMPTY, 1.0]]), tensor([2]), 4, "a masked class is not pushed"),
        case(normal(generator, 4, 5, scale=2.0), some, 2, "random, one ignored"),
    ]


def _gradient(z: Tensor, y: Tensor, m: Tensor, d: Tensor, hot: Tensor | None = None) -> Tensor:
    """Return p − one-hot, the ignored rows 0, not yet divided."""
    if hot is None:
        hot = (y[:, None] == torch.arange(z.shape[1])).float()
    return torch.where((y != IGNORED)[:, None], _e(z - m[:, None]) / d[:, None] - hot, 0.0)


def gradient_mistake(wrong: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a wrong kernel from what it makes of logits, labels, maxima, sums, the divisor and the block's width."""

    def gradient_kernel(
        z_ptr: Tensor, y_ptr: Tensor, m_ptr: Tensor, d_ptr: Tensor, g_ptr: Tensor, V: int, kept: int, BLOCK: int
    ) -> Tensor:
        return wrong(z_ptr, y_ptr, m_ptr, d_ptr, kept, BLOCK)

    return gradient_kernel


def _hot_in_each_block(z: Tensor, y: Tensor, m: Tensor, d: Tensor, kept: int, block: int) -> Tensor:
    return _gradient(z, y, m, d, (y[:, None] == torch.arange(z.shape[1]) % block).float()) / kept


def _full_blocks_alone(z: Tensor, y: Tensor, m: Tensor, d: Tensor, kept: int, block: int) -> Tensor:
    found = _gradient(z, y, m, d) / kept
    found[:, z.shape[1] // block * block :] = NAN
    return found


def _first_row_alone(z: Tensor, y: Tensor, m: Tensor, d: Tensor, kept: int, block: int) -> Tensor:
    found = torch.full_like(z, NAN)
    found[0] = _gradient(z[:1], y[-1:], m[-1:], d[-1:]) / kept
    return found


GRADIENT_KERNEL = Exercise(
    "fused.gradient_kernel",
    points=3,
    reference=rows_gradient,
    cases=kept_cases,
    forbidden=IN_TRITON,
    no_slope="The answer is a gradient itself, from its formula.",
    predictions=(
        Prediction(
            "divisor",
            "what the gradient of a sample that is kept is divided by",
            lambda: float((tensor([0, IGNORED, 2, 1, IGNORED]) != IGNORED).sum()),
            "The loss is the mean over the samples that are kept. A program sees its own row alone and can't count "
            "them, so it is given their number.",
        ),
    ),
    hints=(
        "Each program loads three numbers of its own, from `y_ptr + row`, `m_ptr + row` and `d_ptr + row`, and then "
        "goes over its row as in exercise 3.",
        "What the model said minus what happened: where do the columns of this block equal the label? `tl.where` makes "
        "numbers of that.",
        r"A block of the gradient is $(e^{z - m} / d - h) / \text{kept}$, where $h$ is 1 in the label's column, "
        "else 0; `tl.where(y == -100, 0.0, g)` for a row that is ignored. Store it where it was loaded from, but at "
        "`g_ptr`, with the same mask.",
    ),
    misconceptions=(
        Misconception(
            "the label forgotten",
            gradient_mistake(lambda z, y, m, d, kept, block: _gradient(z, y, m, d, torch.zeros_like(z)) / kept),
            "What the model said, minus what happened: the second part is missing.",
        ),
        Misconception(
            "columns counted from the block's beginning",
            gradient_mistake(_hot_in_each_block),
            "A label is a number in the whole row. Which number has the first column of the second block?",
        ),
        Misconception(
            "not divided",
            gradient_mistake(lambda z, y, m, d, kept, block: _gradient(z, y, m, d)),
            "That is the gradient of the sum. What does a mean do to each sample's share?",
        ),
        Misconception(
            "ignored samples pushed",
            gradient_mistake(lambda z, y, m, d, kept, block: _gradient(z, y.clamp(min=-1), m, d) / kept),
            "An ignored sample is not in the loss: no logit of its row can change it.",
        ),
        Misconception(
            "the sign turned",
            gradient_mistake(lambda z, y, m, d, kept, block: -_gradient(z, y, m, d) / kept),
            "Against the gradient the loss falls: the right logit is to rise, so its entry is negative.",
        ),
        Misconception(
            "the sum not divided by",
            gradient_mistake(lambda z, y, m, d, kept, block: _gradient(z, y, m, torch.ones_like(d)) / kept),
            "e^(z − m) is 1 at the largest logit, whatever the others are: a probability needs its divisor.",
        ),
        Misconception("the last block left out", gradient_mistake(_full_blocks_alone), FULL),
        Misconception(
            "the mask forgotten",
            gradient_mistake(lambda z, y, m, d, kept, block: _gradient(_where_it_ends(z, block), y, m, d) / kept),
            READS_ON,
        ),
        Misconception("every program at the first row", gradient_mistake(_first_row_alone), ROWS),
        Misconception(
            "the maximum not taken off",
            gradient_mistake(lambda z, y, m, d, kept, block: _gradient(z, y, torch.zeros_like(m), d) / kept),
            "d is the sum of e^(z − m), and not of e^z: above the line and below it there must be one and the same.",
        ),
    ),
)


# ----------------------------------------------------------------- linear_cross_entropy_in_chunks


def linear(x: Tensor, w: Tensor, y: Tensor, chunk: int) -> Tensor:
    """Return the mean loss of the logits x wᵀ."""
    return cross_entropy(x @ w.T, y)


def hidden_cases(generator: Generator) -> Sequence[Case]:
    """Draw hidden states, a vocabulary, class indices and the number of its rows to take at a time."""

    def drawn(n: int, v: int, d: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        return normal(generator, n, d, scale=scale), normal(generator, v, d), integers(generator, v, n)

    rising = torch.arange(6.0)[:, None]
    far = tensor([[-1000.0], [0.0], [1000.0], [999.0]])
    return [
        Case((torch.zeros(1, 2), normal(generator, 4, 2), tensor([2]), 2), note="all logits are 0"),
        Case(
            (tensor([[1.0], [-1.0]]), rising, tensor([5, 5]), 2), note="the maximum is in the last chunk, or the first"
        ),
        Case((*drawn(3, 7, 2), 3), note="7 classes, 3 at a time: the last chunk has one"),
        Case((*drawn(2, 5, 3), 1), note="one class at a time"),
        Case((*drawn(4, 6, 2), 50), note="a chunk larger than the vocabulary"),
        Case((tensor([[1.0]]), far, tensor([3]), 2), note="e^1000 overflows"),
        Case((*drawn(9, 20, 4), 6), note="random"),
        Case((*drawn(6, 11, 3), 4), note="random; the gradient is that to the vocabulary", slope=2),
        Case((*drawn(5, 5, 3, 3.0), 2), note="random, as many samples as classes"),
    ]


def classes(generator: Generator, n: int) -> Case:
    """Draw a vocabulary, to be taken in n pieces."""
    return Case(
        (
            normal(generator, SAMPLES, 2),
            normal(generator, PIECE * n, 2),
            integers(generator, PIECE * n, SAMPLES),
            PIECE,
        )
    )


LOGITS_TABLE = "that is the table of logits, or near it. Take the logits of one chunk after the other, and let them go"


def _in_chunks(lse: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor, Tensor, Tensor, int], Tensor]:
    """Return the mean loss of a linear layer's logits with the log-sum-exp of another hand."""
    return lambda x, w, y, chunk: (lse(x @ w.T, chunk) - (x * w[y]).sum(1)).mean()


LINEAR_CROSS_ENTROPY_IN_CHUNKS = Exercise(
    "fused.linear_cross_entropy_in_chunks",
    points=3,
    reference=linear,
    cases=hidden_cases,
    predictions=(
        Prediction(
            "at_once",
            "the number of logits that stand in memory at once",
            lambda: (torch.zeros(256, 16) @ torch.zeros(8, 16).T).numel(),
            "Those of one chunk, for every sample.",
        ),
        Prediction(
            "tables",
            "how many times as many the whole table holds",
            lambda: 256 * 8192 / (256 * 8),
            "A chunk is eight classes of 8,192.",
        ),
    ),
    forbidden=BY_HAND,
    gradient=True,
    atol=1e-5,
    why="A loss near 0 is a difference of logits of some tens, each rounded in its own last digit.",
    work=in_pieces(classes, SAMPLES * PIECE // 2, "chunk", LOGITS_TABLE, once=(2,)),
    curve=Curve(
        LOGITS, lambda x: Case((torch.ones(1, 1), tensor([[x], [0.0], [0.0]]), tensor([0]), 2)), RIGHT_LOGIT, "loss"
    ),
    hints=(
        "`x @ w[start : start + chunk].T` has the logits of one chunk of classes, in the shape (N, chunk). Reduce them "
        "to a maximum and a sum before you make the next.",
        "Exercise 2 puts two parts together. What the loop has so far is the first part, the chunk is the second.",
        "The right logit of sample n is the product of `x[n]` with row `y[n]` of the vocabulary: `(x * w[y]).sum(1)`.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "the last chunk dropped", _in_chunks(lambda z, chunk: _lse(_each(z, chunk, whole=True))), DROPPED
        ),
        Misconception(
            "the maximum not carried over",
            _in_chunks(lambda z, chunk: _lse(_each(z, chunk), _block_forgotten)),
            NOT_CARRIED,
        ),
        Misconception("log-sum-exps of the chunks added", _in_chunks(_lse_added), ADDED),
        Misconception("the largest chunk alone", _in_chunks(_largest_block), LARGEST),
        Misconception("no maximum taken off", _in_chunks(_sums_without_a_maximum), OVERFLOWS),
        Misconception(
            "each sample with every target",
            lambda x, w, y, chunk: (_right_lse(x @ w.T, chunk)[:, None] - x @ w[y].T).mean(),
            "`x @ w[y].T` has the shape (N, N): each sample's product with the rows of all the others' targets too.",
        ),
        Misconception(
            "the sum for the mean",
            lambda x, w, y, chunk: (_right_lse(x @ w.T, chunk) - (x * w[y]).sum(1)).sum(),
            NOT_A_MEAN,
        ),
        Misconception("the right logit forgotten", lambda x, w, y, chunk: _right_lse(x @ w.T, chunk).mean(), NO_RIGHT),
        Misconception(
            "all logits at once",
            _in_chunks(lambda z, chunk: _right_lse(z, z.shape[1])),
            AT_ONCE,
        ),
    ),
)


# ------------------------------------------------------------------ vocabulary_gradient_in_chunks


def vocabulary_gradient(x: Tensor, w: Tensor, y: Tensor, lse: Tensor, chunk: int) -> Tensor:
    """Return the gradient of the mean loss by w: (p − one-hot)ᵀ x / N."""
    p = torch.exp(x @ w.T - lse[:, None])
    return (p - torch.nn.functional.one_hot(y, len(w))).T @ x / len(x)


def recomputed_cases(generator: Generator) -> Sequence[Case]:
    """Draw the same, and the log-sum-exps that the forward pass kept."""
    found = []
    for case in hidden_cases(generator):
        x, w, y, chunk = case.args
        found.append(Case((x, w, y, torch.logsumexp(x @ w.T, 1), chunk), note=case.note))
    return found


def recomputed(generator: Generator, n: int) -> Case:
    """Draw the same, and the log-sum-exps."""
    x, w, y, chunk = classes(generator, n).args
    return Case((x, w, y, torch.logsumexp(x @ w.T, 1), chunk))


def _vocabulary(
    x: Tensor, w: Tensor, y: Tensor, lse: Tensor, chunk: int, *, own_sum: bool = False, own_numbers: bool = False
) -> Tensor:
    """Return the sum over the samples of the gradient, chunk by chunk, perhaps with a mistake."""
    found = torch.zeros_like(w)
    for start in range(0, len(w), chunk):
        z = x @ w[start : start + chunk].T
        p = exp(z - (_right_lse(z, chunk) if own_sum else lse)[:, None])
        classes = torch.arange(z.shape[1]) + (0 if own_numbers else start)
        found[start : start + chunk] = (p - (y[:, None] == classes).float()).T @ x
    return found


def _soft_alone(x: Tensor, w: Tensor, y: Tensor, lse: Tensor, chunk: int) -> Tensor:
    nothing = torch.full_like(y, -1)
    return _vocabulary(x, w, nothing, lse, chunk) / len(x)


def _whole_chunks(x: Tensor, w: Tensor, y: Tensor, lse: Tensor, chunk: int) -> Tensor:
    found = _vocabulary(x, w, y, lse, chunk) / len(x)
    found[len(w) - len(w) % chunk :] = 0
    return found


def _divided_afterwards(x: Tensor, w: Tensor, y: Tensor, lse: Tensor, chunk: int) -> Tensor:
    parts = [exp(part) / exp(lse)[:, None] for part in _parts(x @ w.T, chunk)]
    return (torch.cat(parts, 1) - torch.eye(len(w))[y]).T @ x / len(x)


def _vocabulary_at_once(x: Tensor, w: Tensor, y: Tensor, lse: Tensor, chunk: int) -> Tensor:
    return (exp(x @ w.T - lse[:, None]) - torch.eye(len(w))[y]).T @ x / len(x)


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the products of matrices."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ == "mm"
        return func(*args, **(kwargs or {}))


def _products(of: Callable[[Tensor, Tensor, Tensor], Tensor]) -> int:
    """Return how many products of matrices a computation of one chunk makes."""
    products = _Products()  # type: ignore[no-untyped-call]
    with products:
        of(torch.ones(3, 2), torch.ones(4, 2), torch.tensor([0, 1, 2]))
    return int(products.count)


VOCABULARY_GRADIENT_IN_CHUNKS = Exercise(
    "fused.vocabulary_gradient_in_chunks",
    points=3,
    reference=vocabulary_gradient,
    cases=recomputed_cases,
    predictions=(
        Prediction(
            "forward",
            "the number of matrix products of a chunk in the forward pass",
            lambda: _products(lambda x, w, y: linear(x, w, y, len(w))),
            "The logits are the one product.",
        ),
        Prediction(
            "here",
            "their number here",
            lambda: _products(lambda x, w, y: vocabulary_gradient(x, w, y, torch.zeros(len(x)), len(w))),
            "The logits are made once more, and then what the model said minus what happened is multiplied with x.",
        ),
    ),
    forbidden=BY_FORMULA,
    no_slope="The answer is a gradient itself, from its formula.",
    work=in_pieces(recomputed, SAMPLES * PIECE // 2, "chunk", LOGITS_TABLE),
    hints=(
        r"By the chain rule the gradient by row $k$ of the vocabulary is $\sum_n \partial L / \partial z_{nk} \, x_n$, "
        "and you know the first factor from exercise 4.",
        "Make the logits of a chunk once more; `torch.exp(z - lse[:, None])` turns them into probabilities of the "
        "*whole* softmax.",
        "The columns of a chunk are the classes from `start` on: `torch.arange(start, start + len(part))`. Where does "
        "that equal `y[:, None]`?",
        "With the chunk's table `g` of shape (N, chunk), its rows of the answer are `g.T @ x`, over N.",
    ),
    folded=3,
    misconceptions=(
        Misconception(
            "the gradient of the sum",
            _vocabulary,
            "Twice as many samples would push twice as hard. The loss is a mean: what does it divide by?",
        ),
        Misconception(
            "the gradient transposed",
            lambda x, w, y, lse, chunk: _vocabulary(x, w, y, lse, chunk).T / len(x),
            "A gradient has the shape of what it belongs to: here that of w, (V, D).",
        ),
        Misconception(
            "the labels forgotten",
            _soft_alone,
            "What the model said, minus what happened: the second part is missing.",
        ),
        Misconception("the last chunk dropped", _whole_chunks, DROPPED),
        Misconception(
            "a softmax in each chunk",
            lambda x, w, y, lse, chunk: _vocabulary(x, w, y, lse, chunk, own_sum=True) / len(x),
            "The probabilities of a sample sum to 1 over the whole vocabulary, not in each chunk. What is lse for?",
        ),
        Misconception(
            "columns counted from the chunk's beginning",
            lambda x, w, y, lse, chunk: _vocabulary(x, w, y, lse, chunk, own_numbers=True) / len(x),
            "A target is a number in the whole vocabulary. Which number has the first column of the second chunk?",
        ),
        Misconception(
            "divided after the exponential",
            _divided_afterwards,
            "e^1000 over e^1000 is inf / inf. Take the log-sum-exp off before the exponential.",
        ),
        Misconception("all logits at once", _vocabulary_at_once, AT_ONCE),
    ),
)


# ------------------------------------------------------------------------ loss_and_gradient_bytes


def traffic(N: int, V: int, size: int) -> tuple[int, int, int]:
    """Return the bytes of the tables that the three ways read and write."""
    table = N * V * size
    return 6 * table, 3 * table, 2 * table


def table_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers of samples and classes, and bytes of a number."""
    return [
        Case((1, 2, 4), note="one row of two float32"),
        Case((100, 10, 8), note="float64"),
        Case((8192, 131072, 2), note="a language model in bfloat16"),
        Case((int(integers(generator, 1000, 1)) + 1, int(integers(generator, 1000, 1)) + 2, 2), note="random"),
    ]


LOSS_AND_GRADIENT_BYTES = Exercise(
    "fused.loss_and_gradient_bytes",
    points=2,
    reference=traffic,
    cases=table_cases,
    predictions=(
        Prediction(
            "faster",
            "how many times as fast the third can be as the first",
            lambda: traffic(1, 1, 1)[0] / traffic(1, 1, 1)[2],
            "Where the bytes decide, the times are to each other as the bytes are.",
        ),
    ),
    rtol=1e-9,
    why="Bytes are counted: a number of them is right to the last digit.",
    hints=(
        "One table has `N * V * size` bytes. What is left is to count how many tables each way reads, and how many it "
        "writes.",
        "The first way: two for the log-softmax, one for the gradient of the look-up, and three for that of the "
        "log-softmax.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "numbers counted, not bytes",
            lambda N, V, size: (6 * N * V, 3 * N * V, 2 * N * V),
            "You have counted the numbers: how many bytes is each of them?",
        ),
        Misconception(
            "float32 taken for granted",
            lambda N, V, size: (24 * N * V, 12 * N * V, 8 * N * V),
            "A number takes 4 bytes in float32 alone: the argument says how many it takes here.",
        ),
        Misconception(
            "what is written not counted",
            lambda N, V, size: (3 * N * V * size, 2 * N * V * size, N * V * size),
            "Bytes that are written pass the same memory as those that are read.",
        ),
        Misconception(
            "the loss alone",
            lambda N, V, size: (2 * N * V * size, 2 * N * V * size, N * V * size),
            "Each way must also leave the gradient behind, a table as large as the logits.",
        ),
        Misconception(
            "the order turned round",
            lambda N, V, size: (2 * N * V * size, 3 * N * V * size, 6 * N * V * size),
            "The first way, step by step, moves the most, and the last the least.",
        ),
        Misconception(
            "the gradient of the look-up taken for nothing",
            lambda N, V, size: (5 * N * V * size, 3 * N * V * size, 2 * N * V * size),
            "The look-up's gradient has one number a row, but it is written as a whole table, zeros and all.",
        ),
    ),
)


# ------------------------------------------------------------------------------- fused_python_sum


def mean_from(m: Tensor, d: Tensor, right: Tensor) -> Tensor:
    """Return the mean of the rows' losses."""
    return (m + torch.log(d) - right).mean()


def reduced(generator: Generator, n: int) -> Case:
    """Draw what is kept of n rows: maximum, sum and right logit."""
    z = normal(generator, n, 3, scale=2.0)
    return Case((*max_and_sum(z), z[:, 0].contiguous()))


def reduced_cases(generator: Generator) -> Sequence[Case]:
    """Draw what is kept of some rows."""
    return [
        Case((tensor([0.0]), tensor([2.0]), tensor([0.0])), note="a coin: ln 2"),
        Case((tensor([1.0, -2.0]), tensor([1.5, 2.0]), tensor([1.0, -3.0])), note="two rows"),
        Case((tensor([1000.0, -1000.0]), tensor([1.0, 3.0]), tensor([1000.0, -1000.5])), note="e^1000 overflows"),
        Case(reduced(generator, 9).args, note="random"),
        Case(reduced(generator, 200).args, note="200 rows"),
    ]


def _losses(m: Tensor, d: Tensor, right: Tensor) -> Tensor:
    return m + log(d) - right


def both_ways(total: Callable[[Tensor], Any]) -> tuple[Misconception, ...]:
    """Return what goes wrong in the mean of the rows' losses, whoever adds it up."""
    return (
        Misconception("the sum, not divided", lambda m, d, right: total(_losses(m, d, right)), NOT_A_MEAN),
        Misconception(
            "the logarithm forgotten",
            lambda m, d, right: total(m + d - right) / len(m),
            "The log-sum-exp of a row is the logarithm of d · e^m: which of its two factors lost its logarithm?",
        ),
        Misconception(
            "the maximum forgotten",
            lambda m, d, right: total(log(d) - right) / len(m),
            "d is a sum of exponentials from which the maximum was taken off; it belongs back.",
        ),
        Misconception(
            "the sign turned",
            lambda m, d, right: -total(_losses(m, d, right)) / len(m),
            "The right logit never exceeds the log-sum-exp of its row, and a loss is not negative.",
        ),
        Misconception("the right logit forgotten", lambda m, d, right: total(m + log(d)) / len(m), NO_RIGHT),
    )


FUSED_PYTHON_SUM = Exercise(
    "fused.fused_python_sum",
    points=1,
    reference=mean_from,
    cases=reduced_cases,
    forbidden=BY_HAND,
    number_too=RACED,
    no_slope=RACED,
    work=Work(reduced, vectorised=False),
    hints=(
        r"One row costs $m + \log d - z_y$. All rows at once are one line, a tensor of shape $(N,)$.",
        "Python's `sum` takes a tensor of shape $(N,)$ as it takes a list. `len` says how many losses it has.",
    ),
    folded=0,
    misconceptions=(
        *both_ways(sum),
        Misconception(
            "added up by PyTorch",
            lambda m, d, right: _losses(m, d, right).sum() / len(m),
            "The number is right. This answer is to show the slow way: let Python's own `sum` do the addition.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda m, d, right: math.fsum(_losses(m, d, right).tolist()) / len(m)),
    ),
)


# -------------------------------------------------------------------------------- fused_torch_sum


FUSED_TORCH_SUM = Exercise(
    "fused.fused_torch_sum",
    points=1,
    reference=mean_from,
    cases=reduced_cases,
    forbidden=BY_HAND,
    gradient=True,
    work=Work(reduced, vectorised=True),
    hints=(
        "The first line is that of the function with Python's sum: one loss a row, in a tensor of shape $(N,)$.",
        "Only the name of the sum changes: `torch.sum` adds the whole tensor up in one call.",
    ),
    folded=0,
    misconceptions=(
        *both_ways(torch.sum),
        Misconception(
            "added up by Python's sum",
            lambda m, d, right: sum(_losses(m, d, right)) / len(m),
            "The number is right. This answer is to show the fast way: let PyTorch add the tensor up in one call.",
            **BY_PYTHON,
        ),
    ),
)


# ----------------------------------------------------------------------------------- word_vectors


WORDS, BEFORE = 250, 15  # in the vocabulary, and told apart in the word before
LEARNT, ASKED = 800, 10_000  # places in the text, to learn from and held out
SMALL = (1, 2)  # chunks of the small vocabulary on which it is watched what is made


@cache
def words_and_those_before() -> tuple[Tensor, Tensor]:
    """Return, for each word of the prose but the first, what stands before it, and its number in the vocabulary.

    What stands before is one of the commonest words, a column each, or none of these; the last column is 1.
    """
    words = re.findall(r"[a-z'-]+|[.,;:?]", prose())
    known = {word: number for number, (word, _) in enumerate(Counter(words).most_common(WORDS - 1))}
    numbers = torch.tensor([known.get(word, WORDS - 1) for word in words])
    x = torch.nn.functional.one_hot(numbers[:-1].clamp(max=BEFORE), BEFORE + 1).float()
    x[:, BEFORE] = 1
    return x, numbers[1:]


def word_cases(generator: Generator) -> Sequence[Case]:
    """Draw places to learn from, and others that are held out."""
    x, y = words_and_those_before()
    order = torch.randperm(len(y), generator=generator)
    seen, new = order[:LEARNT], order[LEARNT : LEARNT + ASKED]
    return [Case((x[seen], y[seen], WORDS, 125), note="a draw of places in the text", kept=(x[new], y[new]))]


def few_words(generator: Generator, n: int) -> Case:
    """Draw a vocabulary of n chunks, on which nothing is scored."""
    args = (normal(generator, SAMPLES, 2), integers(generator, PIECE * n, SAMPLES), PIECE * n, PIECE)
    return Case(args, note="a small vocabulary, to see what is made")


def trained(x: Tensor, y: Tensor, V: int, chunk: int) -> Tensor:
    """Return a vocabulary trained by gradient descent with momentum, all logits made at once."""
    w = x.new_zeros(V, x.shape[1])
    push = torch.zeros_like(w)
    for _ in range(16):
        g = torch.softmax(x @ w.T, 1)
        g[torch.arange(len(y)), y] -= 1
        push = 0.8 * push - g.T @ x / len(x)
        w = w + 6 * push
    return w


def _words_loss(w: Tensor, kept: Any) -> float:
    """Return how far the loss on what is held out lies above the entropy of its base rate; 0 where nothing is."""
    if kept is None:
        return 0.0
    x, y = kept
    share = torch.bincount(y, minlength=WORDS) / len(y)
    return float(cross_entropy(x @ w.T, y) - torch.special.entr(share).sum())


# There is little chance in it, for both are of the same places. 1.5 knows nothing; some 0.08 is reached without a look
# at the word before, and less than 0.01 with one.
WORDS_TO_BEAT = 0.04


def _any_better(w: Tensor, kept: Any, *factors: float) -> bool:
    return any(_words_loss(factor * w, kept) < WORDS_TO_BEAT for factor in factors)


def _before_ignored(w: Tensor, kept: Any) -> bool:
    return bool((w[:, :-1] - w[:, :-1].mean(0)).abs().max() < 1e-3)


WORD_VECTORS = Exercise(
    "fused.word_vectors",
    points=3,
    reference=trained,
    cases=word_cases,
    score=Score("what the loss on words held out has above the entropy of their base rate", _words_loss, WORDS_TO_BEAT),
    no_slope="What is asked for is a trained vocabulary; nothing is trained through it.",
    work=Work(
        few_words,
        vectorised=False,
        sizes=SMALL,
        of="chunk",
        cache=8,
        largest=lambda n: SAMPLES * PIECE * n // 2,
        table=LOGITS_TABLE,
    ),
    predictions=(
        Prediction(
            "nothing",
            "the loss of a vocabulary of zeros",
            lambda: math.log(WORDS),
            "All its logits are 0, and each of 250 words is as likely as the others: ln 250.",
        ),
    ),
    hints=(
        "One step needs each sample's log-sum-exp, a chunk at a time, and then the gradient of exercise 6. Begin with "
        "zeros, and print the loss of exercise 5 every few steps, on the words that you learn from.",
        "A step of 6 is right for these columns: go on until the loss hardly falls. Momentum, which adds 0.8 of the "
        "last step to each, gets there sooner. Far more steps learn the 800 places by heart.",
    ),
    misconceptions=(
        Misconception(
            "numbers that are not finite",
            lambda x, y, V, chunk: trained(x, y, V, chunk) / 0,
            "Some are infinite or nan: the steps are far too long, or an exponential overflows. Take the maxima off.",
            sign=lambda w, kept: not bool(w.isfinite().all()),
        ),
        Misconception(
            "a vocabulary that knows nothing",
            lambda x, y, V, chunk: x.new_zeros(V, x.shape[1]),
            "All words have the same vector, and so the same probability. Is what you have trained what you return?",
            sign=lambda w, kept: bool((w - w[0]).abs().max() < 1e-6),
        ),
        Misconception(
            "the word before left out",
            lambda x, y, V, chunk: (
                torch.eye(x.shape[1])[-1] * ((y[:, None] == torch.arange(V)).sum(0) + 0.5).log()[:, None]
            ),
            "Only the column of ones is used: that tells common words from rare ones, and no more. The others say "
            "which word stands before.",
            sign=_before_ignored,
        ),
        Misconception(
            "the sign turned",
            lambda x, y, V, chunk: -trained(x, y, V, chunk),
            "With the opposite sign the vocabulary would do: your steps go uphill.",
            sign=lambda w, kept: not kept or _any_better(w, kept, -1),
        ),
        Misconception(
            "too sure",
            lambda x, y, V, chunk: 8 * trained(x, y, V, chunk),
            "Divided by some number it would do: it knows which words are likely and is far too sure of them. Steps "
            "that are too long or far too many do that.",
            sign=lambda w, kept: not kept or _any_better(w, kept, *(1.5**-k for k in range(1, 15))),
        ),
        Misconception(
            "stopped on the way",
            lambda x, y, V, chunk: trained(x, y, V, chunk) / 4,
            "Multiplied by some number it would do: it goes the right way and has not come far enough. Take more "
            "steps, or longer ones.",
            sign=lambda w, kept: not kept or _any_better(w, kept, *(1.5**k for k in range(1, 15))),
        ),
    ),
)
