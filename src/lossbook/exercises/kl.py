"""The exercises of lesson 06: the Kullback-Leibler divergence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.exercises.core import Case, Exercise, integers, normal, prediction
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
        Case((normal(generator, 4, 6).softmax(1),), note="random"),
        Case((normal(generator, 3, 50, scale=3.0).softmax(1),), note="random, 50 outcomes"),
    ]


def pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities of a model and target distributions, zeros on either side among them."""
    even = rows([0.25, 0.25, 0.5])
    return [
        Case((even.log(), rows([0.1, 0.5, 0.4])), note="the average is over q, the second argument"),
        Case((even.log(), even), note="the model is right"),
        Case((even.log(), rows([0.5, 0.5, 0.0])), note="q = 0: the outcome costs nothing"),
        Case((rows([0.5, 0.5, 0.0]).log(), rows([0.3, 0.7, 0.0])), note="q = 0 and log p = −inf: still nothing"),
        Case((rows([1.0, 0.0]).log(), rows([0.5, 0.5])), note="the model ruled out what happens: inf"),
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
    sequences = normal(generator, 3, 4, 5).log_softmax(2), normal(generator, 3, 4, 5).softmax(2)
    return [
        Case((z.log_softmax(1), q), note="two samples, three classes: divide by 2, not by 6"),
        Case((z[:1].log_softmax(1), rows([0.5, 0.5, 0.0])), note="0 log 0 is 0"),
        Case((q.log(), q), note="the model is right: 0"),
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
    z, z_teacher = rows([1.0, -0.5, 0.2], [0.3, 0.9, -1.0]), rows([2.0, 1.0, 0.0], [-1.0, 0.5, 3.0])
    y = torch.tensor([0, 2])
    student, teacher = normal(generator, 6, 5), normal(generator, 6, 5, scale=3.0)
    return [
        Case((z, z_teacher, y, 1.0, 0.0), note="α = 0: the labels alone"),
        Case((z, z_teacher, y, 1.0, 1.0), note="T = 1, α = 1: KL alone, every sample used"),
        Case((z_teacher, z_teacher, y, 4.0, 1.0), note="the student equals the teacher: 0"),
        Case((z, z_teacher, y, 4.0, 1.0), note="T = 4: both divided by T, and the factor T²"),
        Case((student, teacher, integers(generator, 5, 6), 2.0, 0.5), note="random"),
        Case((student, 100 * teacher, integers(generator, 5, 6), 3.0, 0.7), note="a very sure teacher: 0 log 0"),
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
    return [
        Case((torch.cat([wide, narrow]), peaks), note="row 0 averages over q, row 1 over p"),
        Case((peaks[None], peaks), note="one candidate, the target itself: zeros, shape (2, 1)"),
        Case((normal(generator, 4, 5).log_softmax(1), normal(generator, 5).log_softmax(0)), note="random"),
        Case((normal(generator, 4, 4).log_softmax(1), normal(generator, 4).log_softmax(0)), note="as many as outcomes"),
    ]


def vector_cases(generator: Generator) -> Sequence[Case]:
    """Draw one distribution over n classes, and a target over them."""
    return [
        Case((torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor([0.1, 0.5, 0.4])), note="three classes"),
        Case((torch.tensor([0.5, 0.5]).log(), torch.tensor([0.5, 0.5])), note="the model is right: 0"),
        Case((normal(generator, 40).log_softmax(0), normal(generator, 40).softmax(0)), note="random"),
        Case((normal(generator, 300).log_softmax(0), normal(generator, 300).softmax(0)), note="300 classes"),
    ]


def divergence_of_vectors(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the divergence of one target over n classes, shape ()."""
    return kl_div(log_p, q, reduction="sum")


def bytes_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers of classes, each with the chain run step by step and in one pass."""
    drawn = 1000 * (1 + int(integers(generator, 50, 1)))
    return [
        Case((1000, True), note="one pass reads log p and q"),
        Case((1000, False), note="four steps: log, −, ·, sum"),
        Case((drawn, True), note="random n"),
        Case((drawn, False), note="random n"),
    ]


def bytes_moved(n: int, fused: bool) -> int:
    """Return the bytes read and written by (q · (log q − log p)).sum(): 2 numbers a class in one pass, else 9."""
    return (2 if fused else 9) * FLOAT32 * n


EXERCISES = (
    Exercise("kl.kl_entropy", 2, entropy, entropy_cases),
    Exercise("kl.kl_cross_entropy", 2, cross_entropy_of_rows, pair_cases),
    Exercise("kl.kl_each", 2, divergence_of_rows, pair_cases),
    Exercise(
        "kl.kl_batchmean", 2, lambda log_p, q: kl_div(log_p, q, reduction="batchmean"), batch_cases, gradient=True
    ),
    Exercise("kl.kl_distillation", 3, distillation, distillation_cases, gradient=True, atol=1e-5),
    Exercise("kl.kl_directions", 2, both_directions, direction_cases),
    Exercise("kl.kl_python_sum", 1, divergence_of_vectors, vector_cases),
    Exercise("kl.kl_torch_sum", 1, divergence_of_vectors, vector_cases),
    prediction("kl.predict_kl_ratio"),
    Exercise("kl.kl_bytes", 1, bytes_moved, bytes_cases),
    prediction("kl.predict_kl_compiled"),
)
