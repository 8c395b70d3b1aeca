"""What people really write wrong in lesson 08: cross-entropy at the limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, exp, log

from lossbook.checks.bounds import operation_by_operation
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, exact_sum_for_pythons
from lossbook.checks.exercise import Misconception as Wrong

Pair = tuple[Tensor, Tensor]


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


def _lse_in_two_passes(z: Tensor, block: int) -> Tensor:
    parts = [z[:, start : start + block] for start in range(0, z.shape[1], block)]
    m = parts[0].amax(1)
    for part in parts[1:]:
        m = torch.maximum(m, part.amax(1))
    d = torch.zeros_like(m)
    for part in parts:
        d = d + exp(part - m[:, None]).sum(1)
    return m + log(d)


def _merged(m1: Tensor, d1: Tensor, m2: Tensor, d2: Tensor) -> Pair:
    m = torch.maximum(m1, m2)
    safe = torch.where(m > -math.inf, m, 0.0)
    return m, d1 * exp(m1 - safe) + d2 * exp(m2 - safe)


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


def _at(z: Tensor, y: Tensor) -> Tensor:
    return z.gather(1, y[:, None]).squeeze(1)


def _in_blocks(lse: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor, Tensor, int], Tensor]:
    """Return the mean loss with the log-sum-exp of another hand."""
    return lambda z, y, block: (lse(z, block) - _at(z, y)).mean()


def _in_chunks(lse: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor, Tensor, Tensor, int], Tensor]:
    """Return the mean loss of a linear layer's logits with the log-sum-exp of another hand."""
    return lambda x, w, y, chunk: (lse(x @ w.T, chunk) - (x * w[y]).sum(1)).mean()


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


def _gradient(z: Tensor, y: Tensor, m: Tensor, d: Tensor) -> Tensor:
    """Return p − one-hot, the ignored rows 0, not yet divided."""
    kept = y != -100
    hot = torch.zeros_like(z)
    hot[kept, y[kept]] = 1
    return torch.where(kept[:, None], exp(z - m[:, None]) / d[:, None] - hot, 0.0)


def _kept(y: Tensor) -> Tensor:
    return (y != -100).sum().clamp(min=1)


def _ignored_pushed(z: Tensor, y: Tensor, m: Tensor, d: Tensor) -> Tensor:
    p = exp(z - m[:, None]) / d[:, None]
    return torch.where((y == -100)[:, None], p, _gradient(z, y, m, d)) / _kept(y)


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


def _losses(m: Tensor, d: Tensor, right: Tensor) -> Tensor:
    return m + log(d) - right


def both_ways(total: Callable[[Tensor], Any]) -> tuple[Wrong, ...]:
    """Return what goes wrong in the mean of the rows' losses, whoever adds it up."""
    return (
        Wrong("the sum, not divided", lambda m, d, right: total(_losses(m, d, right)), NOT_A_MEAN),
        Wrong(
            "the logarithm forgotten",
            lambda m, d, right: total(m + d - right) / len(m),
            "The log-sum-exp of a row is the logarithm of d · e^m: which of its two factors lost its logarithm?",
        ),
        Wrong(
            "the maximum forgotten",
            lambda m, d, right: total(log(d) - right) / len(m),
            "d is a sum of exponentials from which the maximum was taken off; it belongs back.",
        ),
        Wrong(
            "the sign turned",
            lambda m, d, right: -total(_losses(m, d, right)) / len(m),
            "The right logit never exceeds the log-sum-exp of its row, and a loss is not negative.",
        ),
        Wrong("the right logit forgotten", lambda m, d, right: total(m + log(d)) / len(m), NO_RIGHT),
    )


MISCONCEPTIONS: dict[str, tuple[Wrong, ...]] = {
    "online_max_and_sum": (
        Wrong(
            "the sum not rescaled when the maximum grows",
            lambda z: _one_by_one(z, lambda d, m, new, x: d + exp(x - new)),
            "The terms in d were measured from the old maximum. When that changes, all of them change by one factor.",
        ),
        Wrong(
            "rescaled the wrong way",
            lambda z: _one_by_one(z, lambda d, m, new, x: d * exp(new - m) + exp(x - new)),
            "A larger maximum makes the old terms smaller: is your factor above 1 or below it?",
        ),
        Wrong(
            "the new element rescaled as well",
            lambda z: _one_by_one(z, lambda d, m, new, x: (d + exp(x - new)) * exp(m - new)),
            "Your new term is measured from the new maximum already: the factor is for the old sum alone.",
        ),
        Wrong(
            "the new element measured from the old maximum",
            lambda z: _one_by_one(z, lambda d, m, new, x: d * exp(m - new) + exp(x - m)),
            "Both terms of the new sum must be measured from one and the same maximum.",
        ),
        Wrong(
            "the maximum begins at zero",
            _from_zero,
            "Where all logits are negative, zero is larger than each of them. Below what does every number lie?",
        ),
        Wrong(
            "the first element counted twice",
            _first_twice,
            "You begin with the first element in the sum, and meet it again in the loop.",
        ),
        Wrong(
            "no maximum taken off",
            _without_a_maximum,
            "e^1000 is no float. The sum is to be that of the differences from the maximum.",
        ),
        Wrong(
            "the logarithm of the sum",
            _logarithm_of_the_sum,
            "What is asked for is the sum itself, before a logarithm.",
        ),
        Wrong(
            "two passes",
            _second_pass,
            "The numbers are right, but z is read twice: first for the maximum, then for the sum. Do both in one loop.",
        ),
    ),
    "merge_max_and_sum": (
        Wrong("the sums added as they are", _merge(lambda m, m1, d1, m2, d2: d1 + d2), NOT_CARRIED),
        Wrong(
            "the factors exchanged",
            _merge(lambda m, m1, d1, m2, d2: d1 * exp(m2 - m) + d2 * exp(m1 - m)),
            "The part that has the larger maximum keeps its sum as it is. Does yours?",
        ),
        Wrong(
            "the second sum not rescaled",
            _merge(lambda m, m1, d1, m2, d2: d1 * exp(m1 - m) + d2),
            "Either part may have the larger maximum: each sum needs its own factor.",
        ),
        Wrong(
            "the first sum not rescaled",
            _merge(lambda m, m1, d1, m2, d2: d1 + d2 * exp(m2 - m)),
            "Either part may have the larger maximum: each sum, the first too, needs a factor of its own.",
        ),
        Wrong(
            "two empty parts give nan",
            _plain_merge,
            "−∞ − (−∞) is nan. Where both maxima are −∞ nothing is to be rescaled: take off a finite number instead.",
        ),
        Wrong(
            "one maximum for all rows",
            _one_for_all,
            "The maximum of one row has nothing to do with another's: compare the two parts row by row.",
        ),
        Wrong(
            "the exponentials of the maxima themselves",
            lambda m1, d1, m2, d2: (torch.maximum(m1, m2), (d1 * exp(m1) + d2 * exp(m2)) / exp(torch.maximum(m1, m2))),
            "e^1000 is no float. Divide on paper first: a quotient of exponentials is the exponential of a difference.",
        ),
    ),
    "cross_entropy_in_blocks": (
        Wrong("the last block dropped", _in_blocks(lambda z, block: _lse(_each(z, block, whole=True))), DROPPED),
        Wrong(
            "the maximum not carried over",
            _in_blocks(lambda z, block: _lse(_each(z, block), _block_forgotten)),
            NOT_CARRIED,
        ),
        Wrong("log-sum-exps of the blocks added", _in_blocks(_lse_added), ADDED),
        Wrong("the largest block alone", _in_blocks(_largest_block), LARGEST),
        Wrong("no maximum taken off", _in_blocks(_sums_without_a_maximum), OVERFLOWS),
        Wrong(
            "a block of −∞ gives nan",
            _in_blocks(
                lambda z, block: _lse(
                    [(p.amax(1), exp(p - p.amax(1, keepdim=True)).sum(1)) for p in _parts(z, block)], _plain_merge
                )
            ),
            "Where a block holds nothing but −∞ in some row, its maximum is −∞, and −∞ − (−∞) is nan.",
        ),
        Wrong(
            "the sum for the mean",
            lambda z, y, block: (_right_lse(z, block) - _at(z, y)).sum(),
            NOT_A_MEAN,
        ),
        Wrong("the right logit forgotten", lambda z, y, block: _right_lse(z, block).mean(), NO_RIGHT),
        Wrong("all columns at once", _in_blocks(lambda z, block: _right_lse(z, z.shape[1])), AT_ONCE),
        Wrong(
            "two passes over the blocks",
            _in_blocks(_lse_in_two_passes),
            "The number is right, but each block is read twice: first for the maximum, then for the sum. Take the "
            "maximum and the sum of a block while you have it, and bring the old sum to the new maximum.",
        ),
    ),
    "cross_entropy_gradient_from": (
        Wrong(
            "divided by all samples",
            lambda z, y, m, d: _gradient(z, y, m, d) / len(y),
            "The loss is the mean over the samples that are kept: an ignored one counts neither above nor below.",
        ),
        Wrong(
            "not divided",
            lambda z, y, m, d: _gradient(z, y, m, d),
            "That is the gradient of the sum. What does a mean do to each sample's share?",
        ),
        Wrong(
            "ignored samples pushed",
            _ignored_pushed,
            "An ignored sample is not in the loss: no logit of its row can change it.",
        ),
        Wrong(
            "nan where all are ignored",
            lambda z, y, m, d: _gradient(z, y, m, d) / (y != -100).sum(),
            "0 / 0 is nan. Where no sample is kept nothing is pushed: see to it that the divisor is not 0.",
        ),
        Wrong(
            "the sum not divided by",
            lambda z, y, m, d: (
                torch.where((y != -100)[:, None], _gradient(z, y, m, d) + exp(z - m[:, None]) * (1 - 1 / d)[:, None], 0)
                / _kept(y)
            ),
            "e^(z − m) is 1 at the largest logit, whatever the others are: a probability needs its divisor.",
        ),
        Wrong(
            "the sign turned",
            lambda z, y, m, d: -_gradient(z, y, m, d) / _kept(y),
            "Against the gradient the loss falls: the right logit is to rise, so its entry is negative.",
        ),
        Wrong(
            "the maximum not taken off",
            lambda z, y, m, d: (
                torch.where(
                    (y != -100)[:, None],
                    _gradient(z, y, m, d) + exp(z) / d[:, None] - exp(z - m[:, None]) / d[:, None],
                    0,
                )
                / _kept(y)
            ),
            "d is the sum of e^(z − m), and not of e^z: above the line and below it there must be one and the same.",
        ),
    ),
    "linear_cross_entropy_in_chunks": (
        Wrong("the last chunk dropped", _in_chunks(lambda z, chunk: _lse(_each(z, chunk, whole=True))), DROPPED),
        Wrong(
            "the maximum not carried over",
            _in_chunks(lambda z, chunk: _lse(_each(z, chunk), _block_forgotten)),
            NOT_CARRIED,
        ),
        Wrong("log-sum-exps of the chunks added", _in_chunks(_lse_added), ADDED),
        Wrong("the largest chunk alone", _in_chunks(_largest_block), LARGEST),
        Wrong("no maximum taken off", _in_chunks(_sums_without_a_maximum), OVERFLOWS),
        Wrong(
            "each sample with every target",
            lambda x, w, y, chunk: (_right_lse(x @ w.T, chunk)[:, None] - x @ w[y].T).mean(),
            "`x @ w[y].T` has the shape (N, N): each sample's product with the rows of all the others' targets too.",
        ),
        Wrong(
            "the sum for the mean",
            lambda x, w, y, chunk: (_right_lse(x @ w.T, chunk) - (x * w[y]).sum(1)).sum(),
            NOT_A_MEAN,
        ),
        Wrong("the right logit forgotten", lambda x, w, y, chunk: _right_lse(x @ w.T, chunk).mean(), NO_RIGHT),
        Wrong(
            "all logits at once",
            _in_chunks(lambda z, chunk: _right_lse(z, z.shape[1])),
            AT_ONCE,
        ),
    ),
    "vocabulary_gradient_in_chunks": (
        Wrong(
            "the gradient of the sum",
            _vocabulary,
            "Twice as many samples would push twice as hard. The loss is a mean: what does it divide by?",
        ),
        Wrong(
            "the gradient transposed",
            lambda x, w, y, lse, chunk: _vocabulary(x, w, y, lse, chunk).T / len(x),
            "A gradient has the shape of what it belongs to: here that of w, (V, D).",
        ),
        Wrong(
            "the labels forgotten",
            _soft_alone,
            "What the model said, minus what happened: the second part is missing.",
        ),
        Wrong("the last chunk dropped", _whole_chunks, DROPPED),
        Wrong(
            "a softmax in each chunk",
            lambda x, w, y, lse, chunk: _vocabulary(x, w, y, lse, chunk, own_sum=True) / len(x),
            "The probabilities of a sample sum to 1 over the whole vocabulary, not in each chunk. What is lse for?",
        ),
        Wrong(
            "columns counted from the chunk's beginning",
            lambda x, w, y, lse, chunk: _vocabulary(x, w, y, lse, chunk, own_numbers=True) / len(x),
            "A target is a number in the whole vocabulary. Which number has the first column of the second chunk?",
        ),
        Wrong(
            "divided after the exponential",
            _divided_afterwards,
            "e^1000 over e^1000 is inf / inf. Take the log-sum-exp off before the exponential.",
        ),
        Wrong("all logits at once", _vocabulary_at_once, AT_ONCE),
    ),
    "loss_and_gradient_bytes": (
        Wrong(
            "numbers counted, not bytes",
            lambda N, V, size: (6 * N * V, 3 * N * V, 2 * N * V),
            "You have counted the numbers: how many bytes is each of them?",
        ),
        Wrong(
            "float32 taken for granted",
            lambda N, V, size: (24 * N * V, 12 * N * V, 8 * N * V),
            "A number takes 4 bytes in float32 alone: the argument says how many it takes here.",
        ),
        Wrong(
            "what is written not counted",
            lambda N, V, size: (3 * N * V * size, 2 * N * V * size, N * V * size),
            "Bytes that are written pass the same memory as those that are read.",
        ),
        Wrong(
            "the loss alone",
            lambda N, V, size: (2 * N * V * size, 2 * N * V * size, N * V * size),
            "Each way must also leave the gradient behind, a table as large as the logits.",
        ),
        Wrong(
            "the order turned round",
            lambda N, V, size: (2 * N * V * size, 3 * N * V * size, 6 * N * V * size),
            "The first way, step by step, moves the most, and the last the least.",
        ),
        Wrong(
            "the gradient of the look-up taken for nothing",
            lambda N, V, size: (5 * N * V * size, 3 * N * V * size, 2 * N * V * size),
            "The look-up's gradient has one number a row, but it is written as a whole table, zeros and all.",
        ),
    ),
    "fused_python_sum": (
        *both_ways(sum),
        Wrong(
            "added up by PyTorch",
            lambda m, d, right: _losses(m, d, right).sum() / len(m),
            "The number is right. This answer is to show the slow way: let Python's own `sum` do the addition.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda m, d, right: math.fsum(_losses(m, d, right).tolist()) / len(m)),
    ),
    "fused_torch_sum": (
        *both_ways(torch.sum),
        Wrong(
            "added up by Python's sum",
            lambda m, d, right: sum(_losses(m, d, right)) / len(m),
            "The number is right. This answer is to show the fast way: let PyTorch add the tensor up in one call.",
            **BY_PYTHON,
        ),
    ),
    "predict_fused_seconds": (operation_by_operation(36),),
}
