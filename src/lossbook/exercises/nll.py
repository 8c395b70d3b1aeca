"""The exercises of lesson 05: negative log-likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import RACED, Case, Curve, Exercise, Work, integers, normal, prediction, uniform
from lossbook.exercises.misconceptions.nll import MISCONCEPTIONS
from lossbook.losses import cross_entropy, nll_loss, poisson_nll_loss


def log_probabilities(generator: Generator, *shape: int) -> Tensor:
    """Draw log-probabilities of this shape, ``(N, K)`` or ``(N, K, *)``: dimension 1 holds the classes."""
    return torch.log_softmax(normal(generator, *shape, scale=2.0), 1)


def chance(p: float) -> Tensor:
    """Return the log-probabilities of two classes, of which class 0 has the probability p; shape (1, 2)."""
    return torch.tensor([[p, 1 - p]]).log()


THREE = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]]).log()


def index_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities and class indices."""
    return [
        Case((THREE, torch.tensor([0, 1, 2])), note="minus the mean of log 0.7, log 0.8 and log 0.5"),
        Case((torch.full((2, 4), 0.25).log(), torch.tensor([0, 3])), note="a uniform guess: ln 4"),
        Case((THREE, torch.tensor([2, 2, 0])), note="wrong three times"),
        Case((torch.tensor([[-1000.0, 0.0]]), torch.tensor([0])), note="the input is log p already: exp(−1000) is 0"),
        Case(
            (torch.tensor([[0.0, -math.inf]]), torch.tensor([0])),
            note="an impossible class that did not happen: pick, for 0 · ∞ is nan",
        ),
        Case((log_probabilities(generator, 9, 5), integers(generator, 5, 9)), note="random"),
        Case(
            (log_probabilities(generator, 6, 6), integers(generator, 6, 6)), note="random, as many samples as classes"
        ),
    ]


def ignoring_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities, class indices of which some do not count, and the index that says so."""
    nothing = torch.full((1, 3), math.nan)
    padded, holed, rare = (integers(generator, 5, 12) for _ in range(3))
    padded[::3] = 0
    holed[::4] = 255
    rare[1::3] = 2
    return [
        Case((THREE, torch.tensor([0, 1, 2]), -100), note="none is ignored"),
        Case((THREE, torch.tensor([0, -100, 2]), -100), note="two of three count: divide by 2"),
        Case((THREE, torch.tensor([0, 1, 0]), 0), note="class 0 is padding: one of three counts"),
        Case(
            (torch.cat([THREE, nothing]), torch.tensor([0, 1, 2, -100]), -100),
            note="the ignored row is nan, and 0 · nan is nan: leave it out, do not multiply it away",
        ),
        Case((THREE, torch.tensor([-100, -100, -100]), -100), note="nothing counts: 0 / 0 is nan", slope=0),
        Case((THREE, torch.tensor([0, 1, 2]), 1), note="class 1 does not count: it lies between those that do"),
        Case((THREE, torch.tensor([0, 255, 2]), 255), note="the index lies above the classes, as in label maps"),
        Case((THREE[:1], torch.tensor([0]), 255), note="one sample"),
        Case(
            (torch.tensor([[-1000.0, 0.0], [0.0, -math.inf]]), torch.tensor([0, 0]), 255),
            note="exp(−1000) is 0; and an impossible class that did not happen",
        ),
        Case((chance(0.8).expand(3, 2), torch.tensor([1, 0, 0]), 1), note="two classes, of which one does not count"),
        Case((log_probabilities(generator, 12, 5), padded, 0), note="random, padding is 0"),
        Case((log_probabilities(generator, 12, 5), holed, 255), note="random, 255 does not count"),
        Case((log_probabilities(generator, 12, 5), rare, 2), note="random, class 2 does not count"),
    ]


def weighted_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities, class indices and a weight for each class."""
    return [
        Case(
            (-torch.tensor([[0.2, 9.0], [9.0, 0.3], [9.0, 0.4]]), torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0])),
            note="losses 0.2, 0.3, 0.4 with weights 1, 2, 2: 1.6 / 5 = 0.32",
        ),
        Case((THREE, torch.tensor([0, 1, 2]), torch.ones(3)), note="weights of 1 change nothing"),
        Case(
            (torch.tensor([[-1000.0, 0.0], [0.0, -900.0]]), torch.tensor([0, 0]), torch.tensor([0.5, 3.0])),
            note="the input is log p already: exp(−1000) is 0",
        ),
        Case((THREE, torch.tensor([0, 1, 2]), torch.full((3,), 70.0)), note="weights of 70 change nothing either"),
        Case(
            (THREE, torch.tensor([0, 0, 0]), torch.tensor([0.1, 3.0, 5.0])), note="one class alone: its weight cancels"
        ),
        Case((THREE[:1], torch.tensor([1]), torch.tensor([1.0, 5.0, 2.0])), note="one sample: its weight cancels"),
        Case(
            (THREE, torch.tensor([0, 1, 2]), torch.tensor([1.0, 0.0, 2.0])), note="a weight of 0: class 1 is left out"
        ),
        Case(
            (log_probabilities(generator, 10, 4), integers(generator, 4, 10), uniform(generator, 4, low=0.1, high=3.0)),
            note="random",
        ),
        Case(
            (log_probabilities(generator, 4, 4), integers(generator, 4, 4), uniform(generator, 4, low=0.1, high=3.0)),
            note="random, as many samples as classes",
        ),
    ]


def dense_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities with the classes second, and a class index for each place."""
    return [
        Case((THREE, torch.tensor([0, 1, 2])), note="no further dimension"),
        Case(
            (torch.tensor([[[-1000.0, 0.0], [0.0, -900.0]]]), torch.tensor([[0, 0]])),
            note="the input is log p already: exp(−1000) is 0",
        ),
        Case((log_probabilities(generator, 2, 3, 5), integers(generator, 3, 2, 5)), note="sequences, (N, K, T)"),
        Case((log_probabilities(generator, 1, 3, 1), integers(generator, 3, 1, 1)), note="one sequence of one place"),
        Case((log_probabilities(generator, 2, 3, 5, 6), integers(generator, 3, 2, 5, 6)), note="images, (N, K, H, W)"),
        Case(
            (log_probabilities(generator, 4, 4, 4), integers(generator, 4, 4, 4)),
            note="N = K = T = 4: the classes are still dimension 1",
        ),
        Case((log_probabilities(generator, 1, 2, 2, 2, 2), integers(generator, 2, 1, 2, 2, 2)), note="volumes"),
    ]


def corpus_cases(generator: Generator) -> Sequence[Case]:
    """Draw batches of the losses of single tokens, of different sizes."""
    short, long = uniform(generator, 3, low=4.0, high=6.0), uniform(generator, 40, low=1.0, high=3.0)
    return [
        Case(([torch.full((5,), math.log(50.0))],), note="a uniform guess among 50 words: 50"),
        Case(([torch.zeros(4)],), note="a model that knows the text by heart: 1"),
        Case(([torch.tensor([1.0]), torch.tensor([3.0])],), note="two batches of one token: e^2"),
        Case(([torch.tensor([1.0, 1.0, 1.0]), torch.tensor([5.0])],), note="every token weighs the same: e^2"),
        Case(([torch.full((3,), 7.0)],), note="e^7: as good as a guess among 1097 words"),
        Case(([torch.tensor([0.0, 160.0])],), note="one token of loss 160: e^160 is no float32, e^80 is"),
        Case(([short, long],), note="random, of very different sizes"),
    ]


def corpus_reference(batches: Sequence[Tensor]) -> Tensor:
    """Return the perplexity of all tokens together."""
    return torch.cat(list(batches)).double().mean().exp().float()


def count_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-rates and counts."""
    return [
        Case((torch.tensor([0.0]), torch.tensor([0.0])), note="rate 1, count 0: the loss is 1"),
        Case((torch.tensor([0.5, 0.5]), torch.tensor([1.0, 2.0])), note="small counts: Stirling would be off by 0.04"),
        Case((torch.tensor([5.0]), torch.tensor([200.0])), note="200! overflows"),
        Case((torch.tensor([5.0]), torch.tensor([0.0])), note="nothing happened: the loss is the rate, e^5"),
        Case((torch.tensor([-30.0]), torch.tensor([0.0])), note="a rate near 0, and nothing happened"),
        Case((torch.tensor([-200.0]), torch.tensor([2.0])), note="a rate of e^−200, which is 0, and two events"),
        Case((torch.tensor([60.0]), torch.tensor([3.0])), note="a rate of e^60"),
        Case((normal(generator, 8), integers(generator, 12, 8).float()), note="random"),
        Case((normal(generator, 3, 4), integers(generator, 5, 3, 4).float()), note="random, two dimensions"),
    ]


def exact_poisson(z: Tensor, y: Tensor) -> Tensor:
    """Return the mean of e^z − y z + log y!, the last term exact."""
    return poisson_nll_loss(z, y) + torch.lgamma(y + 1).mean()


def logit_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits and class indices, far from zero too."""
    return [
        Case((torch.zeros(2, 3), torch.tensor([0, 2])), note="a uniform guess: ln 3"),
        Case((torch.tensor([[0.0, 200.0]]), torch.tensor([0])), note="sure and wrong: the loss is 200"),
        Case((torch.tensor([[0.0, 200.0]]), torch.tensor([1])), note="sure and right: the gradient must not be nan"),
        Case((torch.tensor([[1000.0, 999.0]]), torch.tensor([0])), note="e^1000 overflows"),
        Case((torch.tensor([[-1000.0, -999.0]]), torch.tensor([0])), note="e^−1000 and e^−999 are both 0"),
        Case((torch.tensor([[0.0, 1.0], [1000.0, 999.0]]), torch.tensor([0, 1])), note="two rows that lie far apart"),
        Case((normal(generator, 9, 4, scale=3.0), integers(generator, 4, 9)), note="random"),
    ]


CHANCES = tuple(k / 40 for k in range(2, 40))
BY_CHANCE = Curve(
    CHANCES,
    lambda p: Case((chance(p), torch.tensor([0]))),
    "probability of the class that came",
    "loss",
)


def many(generator: Generator, n: int) -> Case:
    """Draw log-probabilities of three classes and indices, for n samples."""
    return Case((log_probabilities(generator, n, 3), integers(generator, 3, n)), note="random, many samples")


EXERCISES = (
    Exercise(
        "nll.nll_by_index",
        2,
        nll_loss,
        index_cases,
        signature="(log_p, y)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["nll_by_index"],
        curve=BY_CHANCE,
        hints=(
            "`log_p[n, y[n]]`, for every $n$ at once. `log_p[:, y]` is not that: it picks whole columns, and has the "
            "shape $(N, N)$.",
            "`log_p[torch.arange(N), y]` pairs the two index tensors. `log_p.gather(1, y[:, None])` does the same and "
            "has the shape $(N, 1)$.",
        ),
    ),
    Exercise(
        "nll.nll_ignoring",
        2,
        lambda log_p, y, ignore_index: nll_loss(log_p, y, ignore_index=ignore_index),
        ignoring_cases,
        signature="(log_p, y, ignore_index)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["nll_ignoring"],
        curve=Curve(
            CHANCES,
            lambda p: Case((torch.cat([chance(p), chance(0.5), chance(0.5)]), torch.tensor([0, 1, -100]), -100)),
            "probability of the first of two classes that count",
            "loss; a third target is ignored",
        ),
        hints=(
            "`y != ignore_index` says which targets count. An index of −100 cannot be looked up: choose the rows "
            "before you look, or look up a class that exists and discard it.",
            "Multiplying an ignored loss by 0 is not ignoring it: $0 \\cdot$ `nan` is `nan`. Select with a mask, "
            "`log_p[mask]`, or with `torch.where`.",
        ),
    ),
    Exercise(
        "nll.nll_class_weights",
        2,
        nll_loss,
        weighted_cases,
        signature="(log_p, y, w)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["nll_class_weights"],
        curve=Curve(
            tuple(k / 4 for k in range(33)),
            lambda weight: Case(
                (-torch.tensor([[0.2, 9.0], [9.0, 1.0]]), torch.arange(2), torch.tensor([1.0, weight]))
            ),
            "weight of class 1; class 0 has 1",
            "mean of the losses 0.2 and 1",
        ),
        hints=(
            "`w[y]` is the weight of each sample, of shape $(N,)$.",
            "The same $N$ weights are used twice: above the fraction line they multiply the losses, below it they are "
            "added up.",
        ),
    ),
    Exercise(
        "nll.nll_dense",
        3,
        lambda log_p, y: nll_loss(log_p, y, reduction="none"),
        dense_cases,
        signature="(log_p, y)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["nll_dense"],
        curve=Curve(
            CHANCES,
            lambda p: Case((chance(p)[:, :, None, None].expand(1, 2, 1, 2), torch.tensor([[[0, 1]]]))),
            "probability of the first pixel’s class",
            "loss of that pixel",
        ),
        hints=(
            "`gather(1, index)` wants an index with as many dimensions as the input. The labels lack one: which, and "
            "where?",
            "`y.unsqueeze(1)` has the shape $(N, 1, *)$. What comes out has it too: take the 1 away again, and only "
            "that one.",
        ),
    ),
    Exercise(
        "nll.corpus_perplexity",
        2,
        corpus_reference,
        corpus_cases,
        signature="(batches)",
        no_slope="A perplexity is reported; what is trained with is the loss.",
        misconceptions=MISCONCEPTIONS["corpus_perplexity"],
        curve=Curve(
            tuple(k / 4 for k in range(29)),
            lambda loss: Case(([torch.tensor([loss]), torch.ones(3)],)),
            "loss of a batch of one token; three others have 1",
            "perplexity",
        ),
        hints=(
            "Add up two things over the batches: the losses and the number of tokens. Divide once. Exponentiate last.",
            "`batch.sum()` and `len(batch)` are what one batch adds to the two.",
        ),
    ),
    Exercise(
        "nll.poisson_nll",
        3,
        exact_poisson,
        count_cases,
        signature="(z, y)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["poisson_nll"],
        curve=Curve(
            tuple(k / 10 for k in range(-4, 33)),
            lambda z: Case((torch.tensor([z]), torch.tensor([8.0]))),
            "log-rate z, where 8 events were counted",
            "loss",
        ),
        hints=(
            r"$\log \bigl( \lambda^{y} e^{-\lambda} / y! \bigr) = y \log \lambda - \lambda - \log y!$, and "
            r"$\log \lambda$ is what you were given.",
            "Too large by about 115 at $y = 5$? You have written $y!$ where its logarithm belongs. Too large or small "
            r"by little? `lgamma(y)` is $\log (y - 1)!$.",
        ),
    ),
    Exercise(
        "nll.nll_python_sum",
        1,
        nll_loss,
        index_cases,
        signature="(log_p, y)",
        number_too=RACED,
        no_slope=RACED,
        misconceptions=MISCONCEPTIONS["nll_python_sum"],
        curve=BY_CHANCE,
        work=Work(many, vectorised=False),
        hints=(
            "Pick as in exercise 1: you need $N$ numbers, in a tensor of shape $(N,)$. Only then add them up.",
            "`sum` goes along the first dimension, one element after the other. What comes out of `gather` has a "
            "second one, of size 1: take it away first.",
        ),
    ),
    Exercise(
        "nll.nll_torch_sum",
        1,
        nll_loss,
        index_cases,
        signature="(log_p, y)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["nll_torch_sum"],
        curve=BY_CHANCE,
        work=Work(many, vectorised=True),
        hints=("Only the adding up differs from the function before: `torch.sum` takes the whole tensor at once.",),
    ),
    bound_exercise(
        "nll.predict_nll_seconds",
        Traffic(Array("log_p", columns=4), Array("y", width=8)),
        misconceptions=MISCONCEPTIONS["predict_nll_seconds"],
    ),
    Exercise(
        "nll.nll_apart",
        2,
        cross_entropy,
        logit_cases,
        signature="(z, y)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["nll_apart"],
        curve=Curve(
            tuple(float(gap) for gap in range(-50, 205, 10)),
            lambda gap: Case((torch.tensor([[0.0, gap]]), torch.tensor([0]))),
            "logit of the wrong class; the right one has 0",
            "loss",
        ),
        hints=(
            r"A probability that has rounded to 0 has the logarithm $-\infty$ and, on the way back, $0 / 0$. Never "
            r"form it: $\log p_k = z_k - \log \sum_j e^{z_j}$, after subtracting the largest logit.",
            "`torch.log_softmax` does this along the dimension that you name: that of the classes. The second step is "
            "exercise 1.",
        ),
    ),
    prediction("nll.predict_nll_operations", 1, 1000, "a count of operations"),
)
