"""Wrong answers to the exercises of lesson 04 that people really write, and what would help with each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbook.checks.bounds import for_each_sample
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, Misconception


def lse(z: Tensor) -> Tensor:
    """Return the log-sum-exp of each row, shape (N,)."""
    m = z.amax(1)
    return m + torch.log(torch.exp(z - m[:, None]).sum(1))


def log_p(z: Tensor) -> Tensor:
    """Return the log-probabilities, shape (N, K)."""
    return z - lse(z)[:, None]


def p(z: Tensor) -> Tensor:
    """Return the probabilities, shape (N, K)."""
    e = torch.exp(z - z.amax(1, keepdim=True))
    return e / e.sum(1, keepdim=True)


def at(table: Tensor, y: Tensor) -> Tensor:
    """Return one entry of each row, shape (N,)."""
    return table[torch.arange(len(y)), y]


def losses(z: Tensor, y: Tensor) -> Tensor:
    """Return the losses of single samples, shape (N,)."""
    return -at(log_p(z), y)


def hot(table: Tensor, y: Tensor) -> Tensor:
    """Return the labels as rows of floats, shape (N, K)."""
    return torch.eye(table.shape[1])[y]


def over(e: Tensor) -> Tensor:
    """Return each row over its sum."""
    return e / e.sum(1, keepdim=True)


def without_keepdim(z: Tensor) -> Tensor:
    """Divide by a sum whose shape is (N,)."""
    e = torch.exp(z - z.amax(1, keepdim=True))
    return e / e.sum(1)


def spread_over_the_others(z: Tensor, y: Tensor, eps: float) -> Tensor:
    """Give ε to the K − 1 wrong classes."""
    q = eps / (z.shape[1] - 1) * (1 - hot(z, y)) + (1 - eps) * hot(z, y)
    return -(q * log_p(z)).sum(1).mean()


def smoothed_on_paper(z: Tensor, y: Tensor, eps: float) -> Tensor:
    """Take the logarithm of a softmax that overflows."""
    log = torch.log(over(torch.exp(z)))
    return (-(1 - eps) * at(log, y) - eps * log.mean(1)).mean()


def with_its_absence(log_p: Tensor, y: Tensor) -> Tensor:
    """Add the binary cross-entropies of K classes."""
    q = hot(log_p, y)
    return -(q * log_p + (1 - q) * torch.log1p(-torch.exp(log_p))).sum(1).mean()


def both_ways(total: Callable[[Tensor], Any]) -> tuple[Misconception, ...]:
    """Return what goes wrong in the sum over the samples, whoever adds it up."""
    return (
        Misconception(
            "the minus forgotten",
            lambda z, y: -total(losses(z, y)) / len(y),
            "A logarithm of a probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "the sum, not divided",
            lambda z, y: total(losses(z, y)),
            "The loss of twice as many samples would be twice as large. Divide by how many there are.",
        ),
        Misconception(
            "divided by N·K",
            lambda z, y: total(losses(z, y)) / z.numel(),
            "Each sample has one loss, however many classes there are: count the losses you added, not the logits.",
        ),
        Misconception(
            "divided by the number of classes",
            lambda z, y: total(losses(z, y)) / z.shape[1],
            "`z` has a row for each sample: its first size is N and its second K. The mean is over the samples.",
        ),
        Misconception(
            "the logits taken for log-probabilities",
            lambda z, y: -total(at(z, y)) / len(y),
            "The log-probability of the right class is its logit minus the log-sum-exp of the row.",
        ),
        Misconception(
            "the exponentials overflow",
            lambda z, y: total(torch.log(torch.exp(z).sum(1)) - at(z, y)) / len(y),
            "e^1000 is no float. Use the log-sum-exp of exercise 2, which takes the largest logit out first.",
        ),
    )


MISCONCEPTIONS: dict[str, tuple[Misconception, ...]] = {
    "softmax": (
        Misconception(
            "the formula as on paper, which overflows",
            lambda z: over(torch.exp(z)),
            "e^1000 is no float. The answer stays the same when a constant is added to a row: choose one that helps.",
        ),
        Misconception(
            "a softmax down the columns",
            lambda z: p(z.T).T,
            "A sample is a row, and its probabilities sum to 1. Look at what `dim` your sum and maximum run over.",
        ),
        Misconception(
            "one maximum for all rows",
            lambda z: over(torch.exp(z - z.max())),
            "A row far below the largest logit of the batch becomes 0 / 0. Give each row a maximum of its own.",
        ),
        Misconception(
            "the sum has lost its dimension",
            without_keepdim,
            "A sum of shape (N,) is laid along the columns, not the rows. What does `keepdim=True` change?",
        ),
        Misconception(
            "a sigmoid for each class",
            torch.sigmoid,
            "The classes share one unit of probability, so each divides by the sum over all of them.",
        ),
        Misconception(
            "the logarithm of the softmax",
            log_p,
            "What is asked for are the probabilities themselves: positive, and with a sum of 1.",
        ),
        Misconception(
            "the softmax applied twice",
            lambda z: p(p(z)),
            "Probabilities went through the softmax again, as if they were logits. Once is enough.",
        ),
    ),
    "logsumexp": (
        Misconception(
            "the formula as on paper, which overflows",
            lambda z: torch.log(torch.exp(z).sum(1)),
            "e^1000 is no float. Take the largest factor out of the sum before anything is exponentiated.",
        ),
        Misconception(
            "the maximum taken off and not added back",
            lambda z: lse(z) - z.amax(1),
            "Adding 5 to all logits of a row must add 5 to its log-sum-exp. What you took out of the sum belongs back.",
        ),
        Misconception(
            "the maximum alone",
            lambda z: z.amax(1),
            "Two equal logits of 0 give log 2, not 0. The other terms of the sum count too.",
        ),
        Misconception(
            "a dimension too many",
            lambda z: lse(z)[:, None],
            "The result has one number a row, in the shape (N,); a column has the shape (N, 1).",
        ),
        Misconception(
            "summed down the columns",
            lambda z: lse(z.T),
            "A sample is a row. Look at what `dim` your sum and maximum run over.",
        ),
        Misconception(
            "one maximum for all rows",
            lambda z: z.max() + torch.log(torch.exp(z - z.max()).sum(1)),
            "A row far below the largest logit of the batch becomes log 0. Give each row a maximum of its own.",
        ),
        Misconception(
            "the gradient cut off",
            lambda z: lse(z.detach()),
            "The numbers are right, but nothing flows back to the logits: stay with tensors, no `detach`, no `item`.",
        ),
    ),
    "cross_entropy_index": (
        Misconception(
            "the minus forgotten",
            lambda z, y: -losses(z, y).mean(),
            "A logarithm of a probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "the sum for the mean",
            lambda z, y: losses(z, y).sum(),
            "The loss of twice as many samples would be twice as large. What is asked for is the mean.",
        ),
        Misconception(
            "a mean over N·K numbers",
            lambda z, y: -(hot(z, y) * log_p(z)).mean(),
            "Each sample has one loss, however many classes there are. The zeros of a one-hot row are no samples.",
        ),
        Misconception(
            "the logits taken for log-probabilities",
            lambda z, y: -at(z, y).mean(),
            "Logits are not normalised. The log-probability of a class is its logit minus something of the whole row.",
        ),
        Misconception(
            "a softmax too many",
            lambda z, y: losses(p(z), y).mean(),
            "The probabilities went through another softmax, as if they were logits. The loss starts from `z`.",
        ),
        Misconception(
            "the logarithm of a probability that has become 0",
            lambda z, y: -torch.log(at(p(z), y)).mean(),
            "A probability of e^−200 is 0 in float32, and its logarithm infinite. Subtract logarithms: never divide.",
        ),
        Misconception(
            "every column, not one entry a row",
            lambda z, y: -log_p(z)[:, y].mean(),
            "`[:, y]` takes N whole columns, an N by N table. Each row needs one entry, in a column of its own.",
        ),
    ),
    "cross_entropy_gradient": (
        Misconception(
            "the other sign",
            lambda z, y: (hot(z, y) - p(z)) / len(z),
            "A step *against* the gradient must raise the right logit, so its entry in the gradient is negative.",
        ),
        Misconception(
            "the gradient of the sum",
            lambda z, y: p(z) - hot(z, y),
            "The loss is a mean over the samples. What does that do to each of its gradients?",
        ),
        Misconception(
            "divided by N·K",
            lambda z, y: (p(z) - hot(z, y)) / z.numel(),
            "The mean is over the samples alone: the number of classes is no part of it.",
        ),
        Misconception(
            "the logits taken for probabilities",
            lambda z, y: (z - hot(z, y)) / len(z),
            "What happened is compared with a *probability*. A row of the gradient sums to 0; does yours?",
        ),
        Misconception(
            "the number of the class for its indicator",
            lambda z, y: (p(z) - y[:, None]) / len(z),
            "`y` holds names of classes, not amounts: 1 is taken off in one column, and nothing in the others.",
        ),
        Misconception(
            "a softmax down the columns",
            lambda z, y: (p(z.T).T - hot(z, y)) / len(z),
            "A sample is a row, and its probabilities sum to 1. Look at what `dim` the softmax runs over.",
        ),
        Misconception(
            "the right class alone",
            lambda z, y: (p(z) - 1) * hot(z, y) / len(z),
            "The other logits are in the log-sum-exp too: each of them is pushed down by its probability.",
        ),
    ),
    "cross_entropy_smoothed": (
        Misconception(
            "spread over the K − 1 wrong classes",
            spread_over_the_others,
            "The uniform distribution has all K classes in it: the right one gets its share back.",
        ),
        Misconception(
            "nothing taken off the label",
            lambda z, y, eps: (losses(z, y) - eps * log_p(z).mean(1)).mean(),
            "The mixture's probabilities must sum to 1. What is given to all classes is taken from the label.",
        ),
        Misconception(
            "no smoothing",
            lambda z, y, eps: losses(z, y).mean(),
            "This is the loss of exercise 3: `eps` makes no difference to it.",
        ),
        Misconception(
            "ε and 1 − ε swapped",
            lambda z, y, eps: (eps * losses(z, y) - (1 - eps) * log_p(z).mean(1)).mean(),
            "With ε = 0 the loss is that of exercise 3. Which of the two parts is left in yours?",
        ),
        Misconception(
            "ε for every class, not ε / K",
            lambda z, y, eps: ((1 - eps) * losses(z, y) - eps * log_p(z).sum(1)).mean(),
            "The K classes share ε between them. Count how much probability your target has in all.",
        ),
        Misconception(
            "the formula as on paper, which overflows",
            smoothed_on_paper,
            "Build it on the log-sum-exp of exercise 2: a probability that has become 0 has no logarithm.",
        ),
    ),
    "cross_entropy_weighted": (
        Misconception(
            "divided by N",
            lambda z, y, w: (w[y] * losses(z, y)).mean(),
            "Weights of 5 for every class would multiply your result by 5. Divide by the weights that were used.",
        ),
        Misconception(
            "divided by the sum over the classes",
            lambda z, y, w: (w[y] * losses(z, y)).sum() / w.sum(),
            "A class with many samples counts many times above, and so it must below: add the weights of the samples.",
        ),
        Misconception(
            "not divided",
            lambda z, y, w: (w[y] * losses(z, y)).sum(),
            "This is a weighted sum. In a weighted mean the weights add up to 1.",
        ),
        Misconception(
            "not weighted",
            lambda z, y, w: losses(z, y).mean(),
            "This is the loss of exercise 3: `w` makes no difference to it.",
        ),
        Misconception(
            "the logits weighted",
            lambda z, y, w: losses(z * w, y).mean(),
            "A weight multiplies the *loss* of a sample. The probabilities stay those of exercise 1.",
        ),
        Misconception(
            "the weights inside the logarithm",
            lambda z, y, w: (losses(z, y) - torch.log(w[y])).mean(),
            "A weight inside the logarithm only adds a constant. It belongs in front of it.",
        ),
        Misconception(
            "divided twice",
            lambda z, y, w: (w[y] * losses(z, y)).mean() / w[y].sum(),
            "The sum of the weights of the samples already stands for N. One division is enough.",
        ),
    ),
    "cross_entropy_python_sum": (
        Misconception(
            "torch.sum for Python's sum",
            lambda z, y: losses(z, y).sum() / len(y),
            "The number is right. Here it is to be added up one sample at a time, by Python's built-in `sum`.",
            **BY_TORCH,
        ),
        *both_ways(lambda each: sum(each)),
    ),
    "cross_entropy_torch_sum": (
        Misconception(
            "Python's sum for torch.sum",
            lambda z, y: sum(losses(z, y)) / len(y),
            "The number is right. Here one call of PyTorch is to add up all samples, with no step of Python for each.",
            **BY_PYTHON,
        ),
        *both_ways(torch.sum),
    ),
    "predict_cross_entropy_seconds": (
        for_each_sample(
            12,
            "one logit of each row, and its index",
            "The right class's logit is looked up. And what does the log-sum-exp look at?",
        ),
    ),
    "one_hot_bytes": (
        Misconception(
            "the two swapped",
            lambda N, K: (4 * N * K, 8 * N),
            "The docstring gives the order: indices first, one-hot rows second.",
        ),
        Misconception(
            "8 bytes for a number of a one-hot row",
            lambda N, K: (8 * N, 8 * N * K),
            "The rows are float32: 32 bits a number. How many bytes are that?",
        ),
        Misconception(
            "4 bytes for an index",
            lambda N, K: (4 * N, 4 * N * K),
            "The indices are int64: 64 bits each. How many bytes are that?",
        ),
        Misconception(
            "the numbers counted, not their bytes",
            lambda N, K: (N, N * K),
            "Each count is right. Multiply it by the bytes of one number of its type.",
        ),
        Misconception(
            "bits for bytes",
            lambda N, K: (64 * N, 32 * N * K),
            "The 64 of int64 and the 32 of float32 are bits: a byte has 8 of them.",
        ),
        Misconception(
            "one byte for a number of a one-hot row",
            lambda N, K: (8 * N, N * K),
            "A 0 or a 1 would fit a byte, but these rows are float32: what does one number take there?",
        ),
        Misconception(
            "the one-hot rows alone",
            lambda N, K: 4 * N * K,
            "Two numbers are asked for: return a pair, as in `return a, b`.",
        ),
    ),
    "cross_entropy_one_hot": (
        Misconception(
            "the minus forgotten",
            lambda log_p, y: (hot(log_p, y) * log_p).sum(1).mean(),
            "A log-probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "a mean over N·K numbers",
            lambda log_p, y: -(hot(log_p, y) * log_p).mean(),
            "The products of a row are added up; the mean is over the samples alone.",
        ),
        Misconception(
            "the sum for the mean",
            lambda log_p, y: -(hot(log_p, y) * log_p).sum(),
            "The loss of twice as many samples would be twice as large. What is asked for is the mean.",
        ),
        Misconception(
            "the number of the class for its one-hot row",
            lambda log_p, y: -(y[:, None] * log_p).sum(1).mean(),
            "`y` holds names of classes, not amounts. Its row has a single 1, in that column.",
        ),
        Misconception(
            "a second logarithm",
            lambda log_p, y: -(hot(log_p, y) * torch.log(log_p)).sum(1).mean(),
            "Log-probabilities are given: the logarithm has been taken already, and they have none of their own.",
        ),
        Misconception(
            "the absence of the other classes counted too",
            with_its_absence,
            "This is the loss of K separate yes-or-no questions. Here the zeros of the row cost nothing.",
        ),
        Misconception(
            "a product of matrices for one of entries",
            lambda log_p, y: -(hot(log_p, y).T @ log_p).mean(),
            "`@` mixes the samples. Entry meets entry with `*`, and then each row is added up.",
        ),
    ),
    "cross_entropy_gather": (
        Misconception(
            "multiplied after all",
            lambda log_p, y: -(hot(log_p, y) * log_p).sum(1).mean(),
            "0 · (−∞) is `nan`. Pick the entry that counts and leave the others untouched.",
        ),
        Misconception(
            "the minus forgotten",
            lambda log_p, y: at(log_p, y).mean(),
            "A log-probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "the sum for the mean",
            lambda log_p, y: -at(log_p, y).sum(),
            "The loss of twice as many samples would be twice as large. What is asked for is the mean.",
        ),
        Misconception(
            "every column, not one entry a row",
            lambda log_p, y: -log_p[:, y].mean(),
            "`[:, y]` takes N whole columns, an N by N table. Each row needs one entry, in a column of its own.",
        ),
        Misconception(
            "looked up down the columns",
            lambda log_p, y: -log_p.gather(0, y[:, None]).mean(),
            "The classes lie along dimension 1. An index into dimension 0 is the number of a sample.",
        ),
        Misconception(
            "a dimension too many",
            lambda log_p, y: -log_p.gather(1, y[:, None]).mean(0),
            "The looked-up entries form a column of shape (N, 1). Its mean is to be a single number, of shape ().",
        ),
        Misconception(
            "classes counted from 1",
            lambda log_p, y: -at(log_p, y - 1).mean(),
            "The indices start at 0, as Python's do: class 0 is the first column.",
        ),
    ),
}
