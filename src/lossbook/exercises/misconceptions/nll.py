"""What people write instead of the answers of lesson 05."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbook.checks.bounds import for_each_sample
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, Misconception, exact_sum_for_pythons

MINUS = "The logarithm of a probability is negative or 0. What sign should a loss have?"


def picked(log_p: Tensor, y: Tensor) -> Tensor:
    """Return the log-probability of each sample's class."""
    return log_p[torch.arange(len(y)), y]


def kept(log_p: Tensor, y: Tensor, counted: Tensor) -> Tensor:
    """Return the log-probabilities of the targets that count."""
    return picked(log_p[counted], y[counted])


def multiplied_away(log_p: Tensor, y: Tensor, ignore_index: int) -> Tensor:
    """Return the mean in which ignored targets are looked up at class 0 and multiplied by 0."""
    counted = y != ignore_index
    return -(picked(log_p, y * counted) * counted).sum() / counted.sum()


def zero_for_nothing(log_p: Tensor, y: Tensor, ignore_index: int) -> Tensor:
    """Return the mean over what counts, and 0 where nothing does."""
    counted = y != ignore_index
    return -kept(log_p, y, counted).sum() / counted.sum().clamp(min=1)


def stirling(y: Tensor) -> Tensor:
    """Return Stirling's approximation of log y!, used where y > 1."""
    return torch.where(y > 1, y * y.log() - y + 0.5 * (2 * math.pi * y).log(), 0)


def perplexities(batches: Sequence[Tensor]) -> Tensor:
    """Return the perplexity of each batch."""
    return torch.stack([batch.mean().exp() for batch in batches])


NLL_BY_INDEX = (
    Misconception(
        "the minus forgotten",
        lambda log_p, y: picked(log_p, y).mean(),
        MINUS,
    ),
    Misconception(
        "the sum for the mean",
        lambda log_p, y: -picked(log_p, y).sum(),
        "The loss of twice as many samples should not be twice as large: average over the N samples.",
    ),
    Misconception(
        "a logarithm taken again",
        lambda log_p, y: -picked(log_p, y).log().mean(),
        "The input holds logarithms already, and the logarithm of a negative number is nan.",
    ),
    Misconception(
        "whole columns picked",
        lambda log_p, y: -log_p[:, y].mean(),
        "`log_p[:, y]` has the shape (N, N): each sample is scored on everybody's class. Print it and look.",
    ),
    Misconception(
        "a one-hot product, in which 0 meets infinity",
        lambda log_p, y: -(F.one_hot(y, log_p.shape[1]) * log_p).sum(1).mean(),
        "0 times a log-probability of −∞ is nan, not 0. Look up the one number that you need.",
    ),
    Misconception(
        "the mean over all N · K entries",
        lambda log_p, y: -picked(log_p, y).sum() / log_p.numel(),
        "One number is picked for each sample. By how many numbers do you divide?",
    ),
    Misconception(
        "a plain number, without its gradient",
        lambda log_p, y: -picked(log_p, y).mean().item(),
        "The value is right, but no model can be trained with it. Return a tensor, without `.item()` or `detach`.",
    ),
)

NLL_IGNORING = (
    Misconception(
        "nothing ignored",
        lambda log_p, y, ignore_index: -picked(log_p, y).mean(),
        "All targets are scored, those that should not count too. Which line uses `ignore_index`?",
    ),
    Misconception(
        "targets clamped into the classes, and counted",
        lambda log_p, y, ignore_index: -picked(log_p, y.clamp(min=0)).mean(),
        "Clamping makes the look-up possible, but the ignored target is then scored as class 0, and counted.",
    ),
    Misconception(
        "divided by all targets",
        lambda log_p, y, ignore_index: -kept(log_p, y, y != ignore_index).sum() / len(y),
        "The sum is right. How many terms does it have, once the ignored targets are gone?",
    ),
    Misconception(
        "ignored by multiplying with 0",
        multiplied_away,
        "A row that does not count may hold nan, and 0 · nan is nan. Choose what counts before you multiply.",
    ),
    Misconception(
        "−100 taken for granted",
        lambda log_p, y, ignore_index: -kept(log_p, y, y != -100).mean(),
        "−100 is only PyTorch's default. The index that does not count is an argument, and it may be a class.",
    ),
    Misconception(
        "0 where nothing counts",
        zero_for_nothing,
        "The mean of nothing is 0 / 0. A loss of 0 would report a perfect model where nothing was scored.",
    ),
    Misconception(
        "the ignored counted, the counted ignored",
        lambda log_p, y, ignore_index: -kept(log_p, y, y == ignore_index).mean(),
        "The mask is True at the targets that should be left out. Which ones do you want to keep?",
    ),
)

NLL_CLASS_WEIGHTS = (
    Misconception(
        "the weighted losses averaged by N",
        lambda log_p, y, w: -(w[y] * picked(log_p, y)).mean(),
        "If all weights were 7, this would be 7 times as large. A weighted mean divides by weights, not by N.",
    ),
    Misconception(
        "divided by the weights of all classes",
        lambda log_p, y, w: -(w[y] * picked(log_p, y)).sum() / w.sum(),
        "The denominator has one weight for each sample: a class that came twice counts twice in it.",
    ),
    Misconception(
        "the weights in the order of the samples",
        lambda log_p, y, w: -(w * picked(log_p, y)).sum() / w.sum(),
        "`w` has one weight for each class, and there are N losses. First look up the weight of each sample.",
    ),
    Misconception(
        "the weighted sum, not divided",
        lambda log_p, y, w: -(w[y] * picked(log_p, y)).sum(),
        "A mean is asked for: something is still to be divided by.",
    ),
    Misconception(
        "the weights not used",
        lambda log_p, y, w: -picked(log_p, y).mean(),
        "This is the plain mean, whatever the weights are. Multiply each loss by the weight of its class.",
    ),
    Misconception(
        "the minus forgotten",
        lambda log_p, y, w: (w[y] * picked(log_p, y)).sum() / w[y].sum(),
        MINUS,
    ),
    Misconception(
        "the average of the averages of the classes",
        lambda log_p, y, w: (
            -sum(w[k] * picked(log_p, y)[y == k].mean() for k in y.unique()) / sum(w[k] for k in y.unique())
        ),
        "Here a class with many samples weighs no more than a class with one. Each sample brings its weight.",
    ),
)

NLL_DENSE = (
    Misconception(
        "the mean of the places",
        lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)).mean(),
        "Each place keeps its own loss here: the result has the shape of `y`.",
    ),
    Misconception(
        "the classes taken for the last dimension",
        lambda log_p, y: -log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1),
        "In the shape (N, K, H, W) the classes are dimension 1, not the last one.",
    ),
    Misconception(
        "the dimension of size 1 kept",
        lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)),
        "`gather` returns the shape of its index, (N, 1, *). One dimension has still to go.",
    ),
    Misconception(
        "every dimension of size 1 squeezed away",
        lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)).squeeze(),
        "A `squeeze` without a dimension removes the batch too where N is 1. Say which dimension is to go.",
    ),
    Misconception(
        "flattened without moving the classes",
        lambda log_p, y: -picked(log_p.reshape(-1, log_p.shape[1]), y.reshape(-1)).reshape(y.shape),
        "`reshape` moves no number: its rows of K are neighbouring places. Move the classes to the end first.",
    ),
    Misconception(
        "the minus forgotten",
        lambda log_p, y: log_p.gather(1, y.unsqueeze(1)).squeeze(1),
        MINUS,
    ),
    Misconception(
        "indexed as if there were one label a sample",
        lambda log_p, y: -log_p[torch.arange(len(y)), y],
        "This pairs N samples with N labels, as in exercise 1. With more dimensions `gather` is easier.",
    ),
)

CORPUS_PERPLEXITY = (
    Misconception(
        "the mean of the perplexities of the batches",
        lambda batches: perplexities(batches).mean(),
        "The exponential of a mean is not the mean of exponentials: exponentiate once, at the end.",
    ),
    Misconception(
        "the mean of the means of the batches",
        lambda batches: torch.stack([batch.mean() for batch in batches]).mean().exp(),
        "Here a batch of one token weighs as much as a batch of forty. Every token should weigh the same.",
    ),
    Misconception(
        "the exponential of each token averaged",
        lambda batches: torch.cat(batches).exp().mean(),
        "The mean of exponentials is larger, and the largest losses rule it. Which of the two is done first?",
    ),
    Misconception(
        "base 2 for losses in nats",
        lambda batches: torch.cat(batches).mean().exp2(),
        "2 to the mean is the perplexity of losses in bits. These are in nats: natural logarithms were taken.",
    ),
    Misconception(
        "the mean loss, without the exponential",
        lambda batches: torch.cat(batches).mean(),
        "This is the loss of a token. A guess among 50 words has the loss ln 50 and the perplexity 50.",
    ),
    Misconception(
        "divided by the number of batches",
        lambda batches: (torch.cat(batches).sum() / len(batches)).exp(),
        "The sum goes over tokens, so divide by the number of tokens: `len(batches)` counts batches.",
    ),
    Misconception(
        "the probability of a token",
        lambda batches: (-torch.cat(batches).mean()).exp(),
        "The losses have their minus already. A perplexity is 1 or more: yours is its reciprocal.",
    ),
)

POISSON_NLL = (
    Misconception(
        "log y! left out",
        lambda z, y: (z.exp() - y * z).mean(),
        "This is PyTorch's default: it drops the term without z. Here it is to be kept.",
    ),
    Misconception(
        "Stirling's approximation for log y!",
        lambda z, y: (z.exp() - y * z + stirling(y)).mean(),
        "Stirling's formula is off at small counts, and left out by PyTorch at 0 and 1. Take the exact term.",
    ),
    Misconception(
        "log (y − 1)! for log y!",
        lambda z, y: (z.exp() - y * z + torch.lgamma(y)).mean(),
        "Γ(n) is (n − 1)!. Which argument gives n!?",
    ),
    Misconception(
        "the log-rate taken for the rate",
        lambda z, y: (z - y * z.log() + torch.lgamma(y + 1)).mean(),
        "z is the logarithm of the rate and may be negative. Which term needs the rate itself?",
    ),
    Misconception(
        "y! for its logarithm",
        lambda z, y: (z.exp() - y * z + torch.lgamma(y + 1).exp()).mean(),
        "The logarithm goes over the whole fraction, y! included. It also keeps 200! from overflowing.",
    ),
    Misconception(
        "the minus forgotten",
        lambda z, y: (y * z - z.exp() - torch.lgamma(y + 1)).mean(),
        "This is the log-likelihood, which is to be large. A loss is to be small: turn the sign of the whole.",
    ),
    Misconception(
        "the logarithm of the rate taken again",
        lambda z, y: (z.exp() - y * z.exp().log() + torch.lgamma(y + 1)).mean(),
        "A very small rate is 0 in float32, and its logarithm −∞. The logarithm of the rate is what you were given.",
    ),
    Misconception(
        "the sum for the mean",
        lambda z, y: (z.exp() - y * z + torch.lgamma(y + 1)).sum(),
        "Each term is right. Average over the counts instead of adding them up.",
    ),
)

NLL_PYTHON_SUM = (
    Misconception(
        "torch.sum where Python's sum is asked for",
        lambda log_p, y: -torch.sum(picked(log_p, y)) / len(y),
        "The value is right, but this one is to add the numbers up one at a time, so that it can be timed.",
        **BY_TORCH,
    ),
    exact_sum_for_pythons(lambda log_p, y: -math.fsum(picked(log_p, y).tolist()) / len(y)),
    Misconception(
        "the sum, not divided",
        lambda log_p, y: -sum(picked(log_p, y)),
        "The sum is right. A mean is asked for: divide it by the number of samples.",
    ),
    Misconception(
        "the minus forgotten",
        lambda log_p, y: sum(picked(log_p, y)) / len(y),
        MINUS,
    ),
    Misconception(
        "a dimension of size 1 left over",
        lambda log_p, y: sum(-log_p.gather(1, y[:, None])) / len(y),
        "`gather` gave the shape (N, 1), and `sum` added N tensors of shape (1,). Take the 1 away first.",
    ),
    Misconception(
        "whole rows added up",
        lambda log_p, y: sum(-log_p) / len(y),
        "The labels are not used: pick one number from each row before adding up.",
    ),
    Misconception(
        "divided by the number of classes",
        lambda log_p, y: -sum(picked(log_p, y)) / log_p.shape[1],
        "There is one term for each sample: divide by how many samples there are.",
    ),
)

NLL_TORCH_SUM = (
    Misconception(
        "Python's sum where torch.sum is asked for",
        lambda log_p, y: -sum(picked(log_p, y)) / len(y),
        "The value is right, but the numbers are added one at a time. Hand the whole tensor to `torch.sum`.",
        **BY_PYTHON,
    ),
    Misconception(
        "the sum, not divided",
        lambda log_p, y: -torch.sum(picked(log_p, y)),
        "The sum is right. A mean is asked for: divide it by the number of samples.",
    ),
    Misconception(
        "the minus forgotten",
        lambda log_p, y: torch.sum(picked(log_p, y)) / len(y),
        MINUS,
    ),
    Misconception(
        "all entries added up, none picked",
        lambda log_p, y: -torch.sum(log_p) / len(y),
        "The labels are not used: pick one number from each row before adding up.",
    ),
    Misconception(
        "divided by all N · K entries",
        lambda log_p, y: -torch.sum(picked(log_p, y)) / log_p.numel(),
        "One number is picked for each sample. By how many numbers do you divide?",
    ),
    Misconception(
        "whole columns picked",
        lambda log_p, y: -torch.sum(log_p[:, y]) / len(y),
        "`log_p[:, y]` has the shape (N, N): each sample is scored on everybody's class. Print it and look.",
    ),
)

NLL_APART = (
    Misconception(
        "the logarithm of a softmax",
        lambda z, y: -picked(z.softmax(1).log(), y).mean(),
        "At a gap of 200 a probability rounds to 0, whose logarithm is −∞. Is there a way that never forms it?",
    ),
    Misconception(
        "a small number added inside the logarithm",
        lambda z, y: -picked((z.softmax(1) + 1e-9).log(), y).mean(),
        "The small number caps the loss near 21, and its gradient is lost. Avoid the tiny probability altogether.",
    ),
    Misconception(
        "no log-softmax",
        lambda z, y: -picked(z, y).mean(),
        "The exponentials of logits do not add up to 1. The first of the two steps is missing.",
    ),
    Misconception(
        "log-softmax along the samples",
        lambda z, y: -picked(z.log_softmax(0), y).mean(),
        "Each row should be a distribution over the classes. Along which dimension do they lie?",
    ),
    Misconception(
        "log-sum-exp as on paper",
        lambda z, y: (z.exp().sum(1).log() - picked(z, y)).mean(),
        "The exponential of 1000 overflows. First subtract something that leaves the result unchanged.",
    ),
    Misconception(
        "a softmax before the log-softmax",
        lambda z, y: -picked(z.softmax(1).log_softmax(1), y).mean(),
        "A log-softmax takes logits. Given probabilities, the loss can no longer come near 0.",
    ),
    Misconception(
        "the largest logit of the whole batch subtracted",
        lambda z, y: ((z - z.max()).exp().sum(1).log() - picked(z - z.max(), y)).mean(),
        "A row far below that largest logit underflows to 0. What should be subtracted differs from row to row.",
    ),
)

MISCONCEPTIONS: dict[str, tuple[Misconception, ...]] = {
    "nll_by_index": NLL_BY_INDEX,
    "nll_ignoring": NLL_IGNORING,
    "nll_class_weights": NLL_CLASS_WEIGHTS,
    "nll_dense": NLL_DENSE,
    "corpus_perplexity": CORPUS_PERPLEXITY,
    "poisson_nll": POISSON_NLL,
    "nll_python_sum": NLL_PYTHON_SUM,
    "nll_torch_sum": NLL_TORCH_SUM,
    "nll_apart": NLL_APART,
    "predict_nll_seconds": (
        for_each_sample(
            12,
            "the picked numbers and their indices alone",
            "Memory is handed out in lines, of 64 bytes on most processors. Picking one number of a line brings its "
            "neighbours along: how much of the table can be left out?",
        ),
    ),
}
