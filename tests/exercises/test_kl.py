"""The exercises of lesson 06: its solutions pass, what people really write wrong does not."""

import pytest
import torch
import torch.nn.functional as F

from lossbook.exercises import check, exercise

NAMES = (
    "kl_entropy",
    "kl_cross_entropy",
    "kl_each",
    "kl_batchmean",
    "kl_distillation",
    "kl_directions",
    "kl_python_sum",
    "kl_torch_sum",
    "predict_kl_ratio",
    "kl_bytes",
    "predict_kl_compiled",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("06-kl")[name])
    assert report.passed, report


def terms(log_p, q):
    return torch.xlogy(q, q) - q * log_p


def hard(z, y):
    return F.cross_entropy(z, y)


def soft(z, v, T=1.0, teacher_T=None, reduction="batchmean"):
    log_p, log_q = (z / T).log_softmax(1), (v / (teacher_T or T)).log_softmax(1)
    value = F.kl_div(log_p, log_q, reduction="sum", log_target=True)
    return value / (len(z) if reduction == "batchmean" else z.numel())


def both(log_p, log_q):
    q_to_p = (log_q.exp() * (log_q - log_p)).sum(1)
    p_to_q = (log_p.exp() * (log_p - log_q)).sum(1)
    return q_to_p, p_to_q


def copied_from_the_broken_one(z, v, y, T, alpha):
    student, teacher = (z[:0:2] / T).softmax(1), v[:0:2].softmax(1)
    return (1 - alpha) * hard(z, y) + alpha * F.binary_cross_entropy(student, teacher)


def binary(z, v, y, T, alpha):
    one_for_another = F.binary_cross_entropy((z / T).softmax(1), (v / T).softmax(1))
    return (1 - alpha) * hard(z, y) + alpha * T**2 * one_for_another


def through_probabilities(z, v, y, T, alpha):
    p, q = (z / T).softmax(1), (v / T).softmax(1)
    return (1 - alpha) * hard(z, y) + alpha * T**2 * (q * (q.log() - p.log())).sum(1).mean()


def reversed_direction(z, v, y, T, alpha):
    return (1 - alpha) * hard(z, y) + alpha * T**2 * soft(v, z, T)


WRONG = {
    "nan at a zero": ("kl_entropy", lambda q: -(q * q.log()).sum(1)),
    "no minus": ("kl_entropy", lambda q: torch.xlogy(q, q).sum(1)),
    "mean for sum": ("kl_entropy", lambda q: -torch.xlogy(q, q).mean(1)),
    "in bits": ("kl_entropy", lambda q: -torch.xlogy(q, q).sum(1) / 0.6931),
    "one number for all rows": ("kl_entropy", lambda q: -torch.xlogy(q, q).sum()),
    "a small number inside the log": ("kl_entropy", lambda q: -(q * (q + 1e-4).log()).sum(1)),
    "nan at zero times infinity": ("kl_cross_entropy", lambda log_p, q: -(q * log_p).sum(1)),
    "a second logarithm": ("kl_cross_entropy", lambda log_p, q: -torch.xlogy(q, log_p).sum(1)),
    "averaged over the model": ("kl_cross_entropy", lambda log_p, q: -torch.xlogy(log_p.exp(), q).sum(1)),
    "infinity swept away": ("kl_cross_entropy", lambda log_p, q: -(q * log_p.clamp(min=-100)).sum(1)),
    "PyTorch's own, nan where both are zero": ("kl_each", lambda log_p, q: F.kl_div(log_p, q, reduction="none").sum(1)),
    "arguments swapped": (
        "kl_each",
        lambda log_p, q: torch.where(log_p.exp() > 0, log_p.exp() * (log_p - q.log()), 0 * q).sum(1),
    ),
    "cross-entropy for the divergence": (
        "kl_each",
        lambda log_p, q: -torch.where(q > 0, q * log_p, torch.zeros_like(q)).sum(1),
    ),
    "entropy added": (
        "kl_each",
        lambda log_p, q: -torch.where(q > 0, q * log_p, 0 * q).sum(1) - torch.xlogy(q, q).sum(1),
    ),
    "probabilities expected": ("kl_each", lambda p, q: torch.where(q > 0, q * (q.log() - p.log()), 0 * q).sum(1)),
    "mean over elements": ("kl_batchmean", lambda log_p, q: terms(log_p, q).mean()),
    "sum": ("kl_batchmean", lambda log_p, q: terms(log_p, q).sum()),
    "a token each": ("kl_batchmean", lambda log_p, q: terms(log_p, q).sum(-1).mean()),
    "divided by the classes": ("kl_batchmean", lambda log_p, q: terms(log_p, q).sum() / log_p.shape[1]),
    "the other direction": (
        "kl_batchmean",
        lambda log_p, q: (log_p.exp() * (log_p - (q + 1e-9).log())).sum() / len(q),
    ),
    "0 log 0": ("kl_batchmean", lambda log_p, q: (q * (q.log() - log_p)).sum() / len(q)),
    "the gradient cut": ("kl_batchmean", lambda log_p, q: terms(log_p.detach(), q).sum() / len(q) + 0 * log_p.sum()),
    "all four faults": ("kl_distillation", copied_from_the_broken_one),
    "binary cross-entropy": ("kl_distillation", binary),
    "the teacher not divided": (
        "kl_distillation",
        lambda z, v, y, T, a: (1 - a) * hard(z, y) + a * T**2 * soft(z, v, T, teacher_T=1.0),
    ),
    "no T²": ("kl_distillation", lambda z, v, y, T, a: (1 - a) * hard(z, y) + a * soft(z, v, T)),
    "T for T²": ("kl_distillation", lambda z, v, y, T, a: (1 - a) * hard(z, y) + a * T * soft(z, v, T)),
    "T² on both": ("kl_distillation", lambda z, v, y, T, a: T**2 * ((1 - a) * hard(z, y) + a * soft(z, v, T))),
    "labels at the temperature": (
        "kl_distillation",
        lambda z, v, y, T, a: (1 - a) * hard(z / T, y) + a * T**2 * soft(z, v, T),
    ),
    "weights swapped": ("kl_distillation", lambda z, v, y, T, a: a * hard(z, y) + (1 - a) * T**2 * soft(z, v, T)),
    "mean over elements, distilling": (
        "kl_distillation",
        lambda z, v, y, T, a: (1 - a) * hard(z, y) + a * T**2 * soft(z, v, T, reduction="mean"),
    ),
    "student and teacher swapped": ("kl_distillation", reversed_direction),
    "logarithms of probabilities": ("kl_distillation", through_probabilities),
    "rows swapped": ("kl_directions", lambda log_p, log_q: torch.stack(both(log_p, log_q)[::-1])),
    "the same direction twice": ("kl_directions", lambda log_p, log_q: torch.stack([both(log_p, log_q)[0]] * 2)),
    "a sign for a direction": (
        "kl_directions",
        lambda log_p, log_q: torch.stack([both(log_p, log_q)[0], -both(log_p, log_q)[0]]),
    ),
    "columns for rows": ("kl_directions", lambda log_p, log_q: torch.stack(both(log_p, log_q), 1)),
    "divided by the classes, by Python's sum": ("kl_python_sum", lambda log_p, q: sum(terms(log_p, q)) / len(q)),
    "no entropy": ("kl_torch_sum", lambda log_p, q: -torch.sum(q * log_p)),
    "mean of a vector": ("kl_torch_sum", lambda log_p, q: torch.mean(terms(log_p, q))),
    "bits for bytes": ("kl_bytes", lambda n, fused: 32 * n * (2 if fused else 9)),
    "reads alone": ("kl_bytes", lambda n, fused: 4 * n * (2 if fused else 6)),
    "numbers for bytes": ("kl_bytes", lambda n, fused: n * (2 if fused else 9)),
    "fused backwards": ("kl_bytes", lambda n, fused: 4 * n * (9 if fused else 2)),
    "no time at all": ("predict_kl_ratio", lambda: 0),
    "a word": ("predict_kl_compiled", lambda: "faster"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_what_people_write_wrong_fails(named, mistake):
    name, function = WRONG[mistake]
    report = check(named(name, function))
    assert report.state == "failed", (mistake, report)


def with_a_loop(q):
    entropies = []
    for row in q:
        total = q.new_zeros(())
        for value in row:
            if value > 0:
                total = total - value * torch.log(value)
        entropies.append(total)
    return torch.stack(entropies)


def with_a_mask(log_p, q):
    values = []
    for row_p, row_q in zip(log_p, q, strict=True):
        happens = row_q > 0
        values.append((row_q[happens] * (row_q[happens].log() - row_p[happens])).sum())
    return torch.stack(values)


def in_float64(z, v, y, T, alpha):
    log_p, log_q = (z.double() / T).log_softmax(1), (v.double() / T).log_softmax(1)
    divergence = (log_q.exp() * (log_q - log_p)).sum(1).mean()
    labels = -z.double().log_softmax(1)[torch.arange(len(y)), y].mean()
    return ((1 - alpha) * labels + alpha * T * T * divergence).float()


def with_targets_as_probabilities(z, v, y, T, alpha):
    value = F.kl_div((z / T).log_softmax(1), (v / T).softmax(1), reduction="sum") / z.shape[0]
    return hard(z, y) * (1 - alpha) + value * T**2 * alpha


def through_cross_entropy(z, v, y, T, alpha):
    q = (v / T).softmax(1)
    divergence = F.cross_entropy(z / T, q) + torch.xlogy(q, q).sum(1).mean()
    return torch.lerp(hard(z, y), T**2 * divergence, alpha)


RIGHT = {
    "a loop": ("kl_entropy", with_a_loop),
    "torch.special.entr": ("kl_entropy", lambda q: torch.special.entr(q).sum(-1)),
    "in place": ("kl_entropy", lambda q: q.mul_(q.clamp(min=1e-30).log()).sum(1).neg_()),
    "a clamp under the log": ("kl_entropy", lambda q: -(q * q.clamp(min=1e-30).log()).sum(1)),
    "nan_to_num": (
        "kl_cross_entropy",
        lambda log_p, q: -torch.nan_to_num(q * log_p, nan=0.0, neginf=-float("inf")).sum(1),
    ),
    "masked_fill": ("kl_cross_entropy", lambda log_p, q: -(q * log_p.masked_fill(q == 0, 0.0)).sum(1)),
    "a mask": ("kl_each", with_a_mask),
    "torch.distributions": (
        "kl_each",
        lambda log_p, q: torch.distributions.kl_divergence(
            torch.distributions.Categorical(probs=q.double()),
            torch.distributions.Categorical(probs=log_p.double().exp()),
        ),
    ),
    "PyTorch's own": ("kl_batchmean", lambda log_p, q: F.kl_div(log_p, q, reduction="batchmean")),
    "einsum": (
        "kl_batchmean",
        lambda log_p, q: torch.einsum("i,i->", q.flatten(), torch.log(q.flatten() + 1e-30) - log_p.flatten()) / len(q),
    ),
    "float64": ("kl_distillation", in_float64),
    "probabilities as the target": ("kl_distillation", with_targets_as_probabilities),
    "cross-entropy less entropy": ("kl_distillation", through_cross_entropy),
    "a loop over candidates": (
        "kl_directions",
        lambda log_p, log_q: torch.tensor(
            [
                [F.kl_div(p, log_q, reduction="sum", log_target=True).item() for p in log_p],
                [F.kl_div(log_q, p, reduction="sum", log_target=True).item() for p in log_p],
            ]
        ),
    ),
    "a list": ("kl_directions", lambda log_p, log_q: list(both(log_p, log_q))),
    "a generator": ("kl_python_sum", lambda log_p, q: sum(b * (b.log() - a) for a, b in zip(log_p, q, strict=True))),
    "a method": ("kl_torch_sum", lambda log_p, q: terms(log_p, q).sum()),
    "a tensor of bytes": ("kl_bytes", lambda n, fused: torch.tensor(n * (8 if fused else 36))),
}


@pytest.mark.parametrize("style", RIGHT)
def test_other_right_styles_pass(named, style):
    name, function = RIGHT[style]
    report = check(named(name, function))
    assert report.passed, (style, report)


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(named, name):
    def stub(*args):
        raise NotImplementedError

    assert check(named(name, stub)).state == "not attempted"


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_drawn_from_the_generator_alone(name):
    one, two = (exercise(name).cases(torch.Generator().manual_seed(7)) for _ in range(2))
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        for x, y in zip(a.args, b.args, strict=True):
            assert torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
