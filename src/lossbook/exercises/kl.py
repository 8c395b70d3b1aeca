"""The exercises of lesson 06: the Kullback-Leibler divergence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import RACED, Case, Curve, Exercise, Work, integers, normal, prediction, uniform
from lossbook.exercises.misconceptions.kl import MISCONCEPTIONS
from lossbook.losses import cross_entropy, kl_div

INF = float("inf")
FLOAT32 = 4  # bytes of one number


def rows(*values: Sequence[float]) -> Tensor:
    """Return rows of numbers as a float32 tensor, shape (N, K)."""
    return torch.tensor(values, dtype=torch.float32)


def entropy_cases(generator: Generator) -> Sequence[Case]:
    """Draw distributions: by hand, with zeros, and at random."""
    return [
        Case((rows([0.25, 0.25, 0.25, 0.25]),), note="uniform over four outcomes: log 4"),
        Case((rows([0.1, 0.5, 0.4], [0.8, 0.1, 0.1]),), note="one entropy for each row"),
        Case((rows([0.5, 0.5, 0.0]),), note="0 log 0 is 0, not nan"),
        Case((rows([0.0, 1.0, 0.0]),), note="sure: no surprise at all"),
        Case((rows([0.5, 0.5, 0.0], [0.0, 0.2, 0.8], [1.0, 0.0, 0.0]),), note="zeros in other places in each row"),
        Case((rows([1e-4, 0.9999, 0.0]),), note="a rare outcome counts a little"),
        Case((normal(generator, 4, 6).softmax(1),), note="random"),
        Case((normal(generator, 3, 50, scale=3.0).softmax(1),), note="random, 50 outcomes"),
    ]


def pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities of a model and target distributions, zeros on either side among them."""
    even = rows([0.25, 0.25, 0.5])
    p = rows([0.05, 0.95, 0.0], [0.0, 0.3, 0.7], [0.0, 1.0, 0.0], [0.0, 0.4, 0.6])
    q = rows([0.96, 0.04, 0.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [1e-8, 0.5, 0.5])
    return [
        Case((even.log(), rows([0.1, 0.5, 0.4])), note="the average is over q, the second argument"),
        Case((even.log(), even), note="the model is right"),
        Case((even.log(), rows([0.5, 0.5, 0.0])), note="q = 0: the outcome costs nothing"),
        Case((rows([0.5, 0.5, 0.0]).log(), rows([0.3, 0.7, 0.0])), note="q = 0 and log p = −inf: still nothing"),
        Case((rows([1.0, 0.0]).log(), rows([0.5, 0.5])), note="the model ruled out what happens: inf", slope=0),
        Case((rows([-200.0, 0.0]), rows([0.5, 0.5])), note="e^−200 is 0 in float32, its logarithm is −200"),
        Case((rows([-30.0, 0.0]), rows([1e-4, 0.9999])), note="a rare outcome, to the model far rarer: it counts"),
        Case((p.log(), q), note="zeros in other places in each row; the last: impossible, and it happens", slope=0),
        Case((normal(generator, 5, 4).log_softmax(1), normal(generator, 5, 4).softmax(1)), note="random"),
        Case((normal(generator, 2, 60).log_softmax(1), normal(generator, 2, 60).softmax(1)), note="60 outcomes"),
    ]


def times(q: Tensor, x: Tensor) -> Tensor:
    """Return q · x where q is positive, and 0 where q is 0, whatever x is."""
    return torch.where(q > 0, q * x, torch.zeros_like(q))


def entropy(q: Tensor) -> Tensor:
    """Return the entropy of each row: −Σ q log q."""
    return 0.0 - times(q, q.log()).sum(1)  # 0 − 0 is 0, where −0 would be shown as −0


def cross_entropy_of_rows(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the cross-entropy of each row: −Σ q log p."""
    return -times(q, log_p).sum(1)


def divergence_of_rows(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the divergence of each row: Σ q (log q − log p)."""
    return times(q, q.log() - log_p).sum(1)


def batch_cases(generator: Generator) -> Sequence[Case]:
    """Draw batches: the example that tutorials print, sequences, and a target with a zero."""
    z = rows([0.5, 1.0, 0.8], [0.2, 0.4, 0.6])
    q = rows([0.3, 0.4, 0.3], [0.1, 0.5, 0.4])
    sure = rows([-50.0, 0.0, -60.0], [0.0, -45.0, -30.0]), rows([0.96, 0.0395, 0.0005], [0.0, 0.02, 0.98])
    sequences = normal(generator, 3, 4, 5).log_softmax(2), normal(generator, 3, 4, 5).softmax(2)
    return [
        Case((z.log_softmax(1), q), note="two samples, three classes: divide by 2, not by 6"),
        Case((z[:1].log_softmax(1), rows([0.5, 0.5, 0.0])), note="0 log 0 is 0"),
        Case((q.log(), q), note="the model is right: 0"),
        Case(sure, note="a model that is sure, and wrong"),
        Case((rows([-200.0, 0.0]), rows([0.5, 0.5])), note="e^−200 is 0 in float32, its logarithm is −200"),
        Case((normal(generator, 7, 3).log_softmax(1), normal(generator, 7, 3).softmax(1)), note="random"),
        Case(sequences, note="shape (N, L, K): divide by N alone"),
    ]


def distillation(z: Tensor, z_teacher: Tensor, y: Tensor, T: float, alpha: float) -> Tensor:
    """Return (1 − α) · CE(z, y) + α · T² · KL(softmax(teacher / T) ‖ softmax(student / T)), averaged over samples."""
    log_p = (z / T).log_softmax(1)
    log_q = (z_teacher / T).log_softmax(1)
    soft = kl_div(log_p, log_q, reduction="batchmean", log_target=True)
    return (1 - alpha) * cross_entropy(z, y) + alpha * T**2 * soft


def distillation_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits of a student and of a teacher, labels, a temperature and a weight."""
    T, alpha = round(float(uniform(generator, 1, low=0.4, high=5.0)), 2), round(float(uniform(generator, 1)), 2)
    z, z_teacher = rows([1.0, -0.5, 0.2], [0.3, 0.9, -1.0]), rows([2.0, 1.0, 0.0], [-1.0, 0.5, 3.0])
    y = torch.tensor([0, 2])
    low = rows([-80.0, -81.5, -83.25], [-90.0, -84.0, -90.5]), rows([-62.0, -60.5, -61.0], [-70.0, -70.25, -65.0])
    student, teacher = normal(generator, 6, 5), normal(generator, 6, 5, scale=3.0)
    return [
        Case((z, z_teacher, y, 1.0, 0.0), note="α = 0: the labels alone"),
        Case((rows([0.0, 40.0]), rows([1.0, 0.5]), y[:1] + 1, 2.0, 0.0), note="α = 0, sure and right: 0"),
        Case((*low, y, 2.0, 0.5), note="logits far below 0: only differences count"),
        Case((z, z_teacher, y, 1.0, 1.0), note="T = 1, α = 1: KL alone, every sample used"),
        Case((z_teacher, z_teacher, y, 4.0, 1.0), note="the student equals the teacher: 0"),
        Case((z, z_teacher, y, 4.0, 1.0), note="T = 4: both divided by T, and the factor T²"),
        Case((student, teacher, integers(generator, 5, 6), 2.0, 0.5), note="random"),
        Case((student, 100 * teacher, integers(generator, 5, 6), 3.0, 0.7), note="a very sure teacher: 0 log 0"),
        Case((100 * student, teacher, integers(generator, 5, 6), 0.5, 0.4), note="a very sure student, and T below 1"),
        Case((*(2 * normal(generator, 2, 3, 4)), integers(generator, 4, 3), T, alpha), note="random T and α"),
    ]


def both_directions(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(q ‖ p) and KL(p ‖ q) of one target and C candidates, shape (2, C)."""
    q_to_p = (log_q.exp() * (log_q - log_p)).sum(1)
    p_to_q = (log_p.exp() * (log_p - log_q)).sum(1)
    return torch.stack([q_to_p, p_to_q])


def direction_cases(generator: Generator) -> Sequence[Case]:
    """Draw candidates, shape (C, K), and one target, shape (K,), as log-probabilities."""
    peaks = torch.tensor([0.49, 0.01, 0.01, 0.49]).log()
    wide, narrow = rows([0.25, 0.25, 0.25, 0.25]).log(), rows([0.97, 0.01, 0.01, 0.01]).log()
    far = rows([0.0, -200.0, -150.0], [-200.0, 0.0, -1.0]).log_softmax(1)
    return [
        Case((torch.cat([wide, narrow]), peaks), note="row 0 averages over q, row 1 over p"),
        Case((torch.cat([wide, peaks[None]]), narrow[0]), note="a narrow target"),
        Case((peaks[None], peaks), note="one candidate, the target itself: zeros, shape (2, 1)"),
        Case((far, torch.tensor([-120.0, 0.5, 0.0]).log_softmax(0)), note="exp underflows to 0, the logarithms do not"),
        Case((normal(generator, 4, 5).log_softmax(1), normal(generator, 5).log_softmax(0)), note="random"),
        Case((normal(generator, 4, 4).log_softmax(1), normal(generator, 4).log_softmax(0)), note="as many as outcomes"),
    ]


def vector_cases(generator: Generator) -> Sequence[Case]:
    """Draw one distribution over n classes, and a target over them."""
    return [
        Case((torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor([0.1, 0.5, 0.4])), note="three classes"),
        Case((torch.tensor([0.5, 0.5]).log(), torch.tensor([0.5, 0.5])), note="the model is right: 0"),
        Case((torch.tensor([-50.0, 0.0]), torch.tensor([0.97, 0.03])), note="a model that is sure, and wrong"),
        Case((torch.tensor([-200.0, 0.0]), torch.tensor([0.5, 0.5])), note="e^−200 is 0, its logarithm is −200"),
        Case((normal(generator, 40).log_softmax(0), normal(generator, 40).softmax(0)), note="random"),
        Case((normal(generator, 300).log_softmax(0), normal(generator, 300).softmax(0)), note="300 classes"),
    ]


def divergence_of_vectors(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the divergence of one target over n classes, shape ()."""
    return kl_div(log_p, q, reduction="sum")


def bytes_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers of classes, each with the chain run step by step and in one pass."""
    drawn = 1 + int(integers(generator, 100_000, 1))
    return [
        Case((1, False), note="one class"),
        Case((1000, True), note="one pass reads log p and q"),
        Case((1000, False), note="four steps: log, −, ·, sum"),
        Case((drawn, True), note="random n"),
        Case((drawn, False), note="random n"),
    ]


def bytes_moved(n: int, fused: bool) -> int:
    """Return the bytes read and written by (q · (log q − log p)).sum(): 2 numbers a class in one pass, else 9."""
    return (2 if fused else 9) * FLOAT32 * n


def coin(heads: float) -> Tensor:
    """Return a coin's two probabilities, shape (1, 2)."""
    return rows([heads, 1 - heads])


def between(low: float, high: float, count: int = 41) -> tuple[float, ...]:
    """Return evenly spaced numbers, both ends among them."""
    return tuple(low + (high - low) * i / (count - 1) for i in range(count))


HEADS = "the model's probability of heads"
PAIR = Curve(between(0.02, 0.98), lambda x: Case((coin(x).log(), coin(0.7))), HEADS, "the coin shows heads with 0.7")
VECTOR = Curve(between(0.02, 0.98), lambda x: Case((coin(x).log()[0], coin(0.7)[0])), HEADS, PAIR.ylabel)
BATCH = Curve(
    between(0.02, 0.98),
    lambda x: Case((coin(x).log().repeat(3, 1), coin(0.7).repeat(3, 1))),
    HEADS,
    "three coins, each with heads 0.7",
)
TEMPERATURE = Curve(
    between(0.5, 8.0, 31),
    lambda x: Case((rows([1.0, -0.5, 0.2]), rows([4.0, 1.0, 0.0]), torch.tensor([1]), x, 0.5)),
    "the temperature T",
    "the loss at α = 0.5",
)
TARGET = Curve(
    between(0.02, 0.98),
    lambda x: Case((coin(x).log(), coin(0.7).log()[0])),
    "the candidate's probability of heads",
    "KL(q ‖ p), q with heads 0.7",
)
SIZES = Curve(between(1000.0, 25_000.0, 25), lambda x: Case((int(x), False)), "n", "bytes moved in four steps")
# The names that F.cross_entropy, F.nll_loss and F.kl_div pass through, and that of the loss to be mended: an answer
# that still calls it is wrong by its numbers.
DISTILLING = frozenset(["binary_cross_entropy", "cross_entropy", "cross_entropy_loss", "kl_div"])
DISTILLING |= frozenset(["nll_loss", "nll_loss_nd", "nll_loss_forward"])


def vector_work(generator: Generator, n: int) -> Case:
    """Draw a model and a target over n classes."""
    return Case((normal(generator, n).log_softmax(0), normal(generator, n).softmax(0)))


EXERCISES = (
    Exercise(
        "kl.kl_entropy",
        2,
        entropy,
        entropy_cases,
        signature="(q)",
        no_slope="The entropy is the target's own, which is not learnt; at 0 its slope is infinite.",
        misconceptions=MISCONCEPTIONS["kl_entropy"],
        curve=Curve(between(0.0, 1.0), lambda x: Case((coin(x),)), "probability of heads", "entropy of a coin"),
        hints=(
            r"$H(q) = - \sum_k q_k \log q_k$. The sum is along the last dimension, one number for each row.",
            "`torch.xlogy(x, y)` is $x \\log y$, and 0 where $x = 0$. `torch.where(q > 0, …, 0)` does it too.",
        ),
    ),
    Exercise(
        "kl.kl_cross_entropy",
        2,
        cross_entropy_of_rows,
        pair_cases,
        signature="(log_p, q)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["kl_cross_entropy"],
        curve=PAIR,
        hints=(
            "`0 * -inf` is `nan` in floating point, so the product alone will not do. Choose the terms with "
            "`torch.where`.",
            "The model is already in logarithms. If you take a log of the first argument, you take it twice.",
            "`torch.where(condition, a, b)` is $a$ where the condition holds, else $b$. Ask about $q$ alone: an "
            "infinite price must stay.",
        ),
    ),
    Exercise(
        "kl.kl_each",
        2,
        divergence_of_rows,
        pair_cases,
        signature="(log_p, q)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["kl_each"],
        curve=PAIR,
        hints=(
            r"You have both parts. Or write $\sum_k q_k (\log q_k - \log p_k)$ and choose the terms with "
            "`torch.where`.",
            "If a model that is right does not score 0, the wrong distribution stands in front of the logarithm.",
        ),
    ),
    Exercise(
        "kl.kl_batchmean",
        2,
        lambda log_p, q: kl_div(log_p, q, reduction="batchmean"),
        batch_cases,
        signature="(log_p, q)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["kl_batchmean"],
        curve=BATCH,
        hints=(
            "`.mean()` divides by the number of elements, $N K$. Sum, then divide by `len(log_p)`.",
            r"The terms are those of exercise 3. `torch.xlogy` minds the zeros in $q \log q$; $\log p$ is finite here.",
        ),
    ),
    Exercise(
        "kl.kl_distillation",
        3,
        distillation,
        distillation_cases,
        signature="(z, z_teacher, y, T, alpha)",
        gradient=True,
        atol=1e-5,
        why="The factor T² multiplies the rounding of a divergence whose terms cancel.",
        allowed=DISTILLING,
        misconceptions=MISCONCEPTIONS["kl_distillation"],
        curve=TEMPERATURE,
        hints=(
            "Print `z[:0:2].shape`. What is the mean of nothing?",
            "A student that equals its teacher should be charged nothing by the second part. Is it?",
            r"At $\alpha = 1$ the best student has softmax($z / T$) equal to the teacher's side. Solve for $z$: is it "
            "the teacher's logits?",
            "The gradient of the second part shrinks as $1 / T^2$. What restores it?",
            'For the second part take `F.kl_div` with `reduction="batchmean"`. It wants log-probabilities first, and '
            "the target as probabilities, unless `log_target=True`.",
        ),
    ),
    Exercise(
        "kl.kl_directions",
        2,
        both_directions,
        direction_cases,
        signature="(log_p, log_q)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["kl_directions"],
        curve=TARGET,
        hints=(
            "The distribution that stands first is the one you average over: it stands in front of the logarithms.",
            "`log_q` of shape (K,) broadcasts against `log_p` of shape (C, K). Sum over the last dimension, then "
            "`torch.stack` the two.",
        ),
    ),
    Exercise(
        "kl.kl_python_sum",
        1,
        divergence_of_vectors,
        vector_cases,
        signature="(log_p, q)",
        number_too=RACED,
        no_slope=RACED,
        misconceptions=MISCONCEPTIONS["kl_python_sum"],
        curve=VECTOR,
        work=Work(vector_work, vectorised=False),
        hints=(
            r"The terms are $q_k (\log q_k - \log p_k)$. They may all be computed at once; only their sum is Python's.",
            "`sum(x)` walks through a tensor of shape (n,) and adds up its elements, one after another.",
        ),
    ),
    Exercise(
        "kl.kl_torch_sum",
        1,
        divergence_of_vectors,
        vector_cases,
        signature="(log_p, q)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["kl_torch_sum"],
        curve=VECTOR,
        work=Work(vector_work, vectorised=True),
        hints=(
            "The terms are those of Python's sum. No probability is zero here, so there is nothing to choose.",
            "`torch.sum` of a whole tensor gives one of shape ().",
        ),
    ),
    bound_exercise(
        "kl.predict_kl_seconds",
        Traffic(Array("log_p"), Array("q")),
        misconceptions=MISCONCEPTIONS["predict_kl_seconds"],
    ),
    Exercise(
        "kl.kl_bytes",
        1,
        bytes_moved,
        bytes_cases,
        signature="(n, fused)",
        misconceptions=MISCONCEPTIONS["kl_bytes"],
        curve=SIZES,
        hints=(
            "The logarithm reads $n$ numbers and writes $n$. The difference reads $2n$ and writes $n$. Go on.",
            "The sum reads what the product wrote; the one number that it writes is not worth counting. One pass over "
            "both arguments reads each of them once and writes nothing of length $n$.",
        ),
    ),
    prediction("kl.predict_kl_compiled", 0.001, 1000, "a ratio of times"),
)
