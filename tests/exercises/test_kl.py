"""The exercises of lesson 06: its solutions pass, what people really write wrong does not."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.checks.report import run
from lossbook.exercises import check, exercise, kl

NAMES = (
    "kl_entropy",
    "kl_cross_entropy",
    "kl_each",
    "kl_batchmean",
    "kl_distillation",
    "kl_directions",
    "kl_python_sum",
    "kl_torch_sum",
    "kl_choice",
    "distilled_logits",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("06-kl")[name])
    assert report.passed, report


def terms(log_p, q):
    return torch.xlogy(q, q) - q * log_p


def hard(z, y):
    return F.cross_entropy(z, y)


def soft(z, v, T=1.0, reduction="batchmean"):
    log_p, log_q = (z / T).log_softmax(1), (v / T).log_softmax(1)
    return F.kl_div(log_p, log_q, reduction=reduction, log_target=True)


def both(log_p, log_q):
    q_to_p = (log_q.exp() * (log_q - log_p)).sum(1)
    p_to_q = (log_p.exp() * (log_p - log_q)).sum(1)
    return q_to_p, p_to_q


def happens(q, x):
    return torch.where(q > 0, q * x, torch.zeros_like(q))


# The commonest mistakes are declared with the exercises (tests/exercises/test_declared.py); these are more of them.
WRONG = {
    "kl_entropy: of logits": lambda q: -torch.xlogy(q.softmax(1), q.softmax(1)).sum(1),
    "kl_entropy: surprises not weighted": lambda q: -q.log().sum(1),
    "kl_entropy: binary": lambda q: -(torch.xlogy(q, q) + torch.xlogy(1 - q, 1 - q)).sum(1),
    "kl_entropy: the dimension kept": lambda q: -torch.xlogy(q, q).sum(1, keepdim=True),
    "kl_entropy: to the base 10": lambda q: -torch.xlogy(q, q).sum(1) / math.log(10),
    "kl_entropy: the largest surprise": lambda q: -torch.xlogy(q, q).amax(1),
    "kl_cross_entropy: one number": lambda log_p, q: -happens(q, log_p).sum(),
    "kl_cross_entropy: columns": lambda log_p, q: -happens(q, log_p).sum(0),
    "kl_cross_entropy: rare outcomes cut off": lambda log_p, q: -torch.where(q > 1e-3, q * log_p, 0 * q).sum(1),
    "kl_cross_entropy: every infinity dropped": lambda log_p, q: -torch.where(log_p > -1e9, q * log_p, 0 * q).sum(1),
    "kl_cross_entropy: less the entropy": lambda log_p, q: -happens(q, log_p - q.log()).sum(1),
    "kl_cross_entropy: the logarithm undone": lambda log_p, q: -happens(q, log_p.exp().log()).sum(1),
    "kl_each: the logarithm undone": lambda log_p, q: happens(q, q.log() - log_p.exp().log()).sum(1),
    "kl_each: the logarithm of a quotient": lambda log_p, q: happens(q, (q / log_p.exp()).log()).sum(1),
    "kl_each: a distribution that divides by its sum again": lambda log_p, q: torch.distributions.kl_divergence(
        torch.distributions.Categorical(probs=q.double()),
        torch.distributions.Categorical(probs=log_p.double().exp()),
    ),
    "kl_batchmean: the logarithm undone": lambda log_p, q: terms(log_p.exp().log(), q).sum() / len(q),
    "kl_python_sum: the logarithm undone": lambda log_p, q: sum(terms(log_p.exp().log(), q)),
    "kl_torch_sum: the logarithm undone": lambda log_p, q: torch.sum(terms(log_p.exp().log(), q)),
    "kl_each: the mean": lambda log_p, q: happens(q, q.log() - log_p).mean(1),
    "kl_each: in bits": lambda log_p, q: happens(q, q.log() - log_p).sum(1) / math.log(2),
    "kl_each: absolute values": lambda log_p, q: happens(q, q.log() - log_p).abs().sum(1),
    "kl_each: both directions": lambda log_p, q: happens(q - log_p.exp(), q.log() - log_p).sum(1),
    "kl_each: the logarithm of the target left out": lambda log_p, q: happens(q, q - log_p).sum(1),
    "kl_batchmean: the entropy left out": lambda log_p, q: -(q * log_p).sum() / len(q),
    "kl_batchmean: the sign": lambda log_p, q: -terms(log_p, q).sum() / len(q),
    "kl_batchmean: divided by the last size": lambda log_p, q: terms(log_p, q).sum() / q.shape[-1],
    "kl_batchmean: a number, no gradient": lambda log_p, q: terms(log_p, q).sum().item() / len(q),
    "kl_batchmean: not summed over samples": lambda log_p, q: terms(log_p, q).flatten(1).sum(1),
    "kl_distillation: no T² and weights exchanged": lambda z, v, y, T, a: a * hard(z, y) + (1 - a) * soft(z, v, T),
    "kl_distillation: T² on both": lambda z, v, y, T, a: T**2 * ((1 - a) * hard(z, y) + a * soft(z, v, T)),
    "kl_distillation: divided by T²": lambda z, v, y, T, a: (1 - a) * hard(z, y) + a / T**2 * soft(z, v, T),
    "kl_distillation: times T": lambda z, v, y, T, a: (1 - a) * hard(z, y) + a * T**2 * soft(z * T * T, v * T * T, T),
    "kl_distillation: the default": lambda z, v, y, T, a: (1 - a) * hard(z, y) + a * T**2 * soft(z, v, T, "mean"),
    "kl_distillation: the teacher's labels": lambda z, v, y, T, a: (1 - a) * hard(v, y) + a * T**2 * soft(z, v, T),
    "kl_distillation: no gradient": lambda z, v, y, T, a: (1 - a) * hard(z, y) + a * T**2 * soft(z, v, T).detach(),
    "kl_distillation: soft targets, their entropy left in": lambda z, v, y, T, a: (
        (1 - a) * hard(z, y) + a * T**2 * F.cross_entropy(z / T, (v / T).softmax(1))
    ),
    "kl_distillation: columns": lambda z, v, y, T, a: (
        (1 - a) * hard(z, y) + a * T**2 * F.kl_div((z / T).log_softmax(0), (v / T).softmax(0), reduction="batchmean")
    ),
    "kl_directions: both averaged over the target": lambda p, q: torch.stack(
        [(q.exp() * (q - p)).sum(1), (q.exp() * (p - q)).sum(1)]
    ),
    "kl_directions: the mean of both": lambda p, q: torch.stack([sum(both(p, q)) / 2] * 2),
    "kl_directions: cross-entropies": lambda p, q: torch.stack([-(q.exp() * p).sum(1), -(p.exp() * q).sum(1)]),
    "kl_directions: one direction": lambda p, q: both(p, q)[0],
    "kl_choice: every aim but one": lambda p, q, aim: int(both(p, q)[int(aim == "publish")].argmin()),
    "kl_choice: the smaller of the two": lambda p, q, aim: int(torch.stack(both(p, q)).amin(0).argmin()),
    "kl_choice: the larger of the two": lambda p, q, aim: int(torch.stack(both(p, q)).amax(0).argmin()),
    "kl_choice: cross-entropy whatever the aim": lambda p, q, aim: int((-(q.exp() * p).sum(1)).argmin()),
    "kl_choice: the likeliest sentence": lambda p, q, aim: int(
        (p.amax(1) if aim in ("publish", "sample") else both(p, q)[0]).argmin()
    ),
    "kl_choice: the first candidate": lambda p, q, aim: 0,
    "kl_python_sum: no logarithm of the target": lambda log_p, q: sum(q * (q - log_p)),
    "kl_python_sum: the terms": lambda log_p, q: terms(log_p, q),
    "kl_torch_sum: a loop": lambda log_p, q: torch.stack([terms(a, b) for a, b in zip(log_p, q, strict=True)]).sum(),
    "kl_torch_sum: the dimension kept": lambda log_p, q: torch.sum(terms(log_p, q), 0, keepdim=True),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_what_people_write_wrong_fails(named, mistake):
    report = check(named(mistake.partition(":")[0], WRONG[mistake]))
    assert (report.state, report.points) == ("failed", 0), (mistake, report)


BORROWED = {
    "kl_entropy: cross-entropy of itself": lambda q: F.cross_entropy((q + 1e-30).log(), q, reduction="none"),
    "kl_cross_entropy: PyTorch's own": lambda log_p, q: F.cross_entropy(log_p, q, reduction="none"),
    "kl_each: PyTorch's own": lambda log_p, q: F.kl_div(log_p, q, reduction="none").sum(1),
    "kl_batchmean: PyTorch's own": lambda log_p, q: F.kl_div(log_p, q, reduction="batchmean"),
    "kl_batchmean: a module": lambda log_p, q: torch.nn.KLDivLoss(reduction="batchmean")(log_p, q),
    "kl_batchmean: the operation": lambda log_p, q: torch.kl_div(log_p, q, 2) / len(q),
    "kl_directions: PyTorch's own": lambda log_p, log_q: torch.stack(
        [F.kl_div(p, log_q, reduction="sum", log_target=True) for p in log_p]
    ),
    "kl_python_sum: PyTorch's own": lambda log_p, q: sum(F.kl_div(log_p, q, reduction="none")),
    "kl_torch_sum: PyTorch's own": lambda log_p, q: F.kl_div(log_p, q, reduction="sum"),
}


@pytest.mark.parametrize("what", BORROWED)
def test_pytorchs_own_losses_are_no_answer(named, what):
    report = check(named(what.partition(":")[0], BORROWED[what]))
    assert report.state == "failed", (what, report)
    assert "asks you to write" in report.failures[0].reason


def one_fault_left(z, z_teacher, y, T, alpha):
    student, teacher = F.softmax(z / T, dim=1), F.softmax(z_teacher / T, dim=1)
    return (1 - alpha) * F.cross_entropy(z, y) + alpha * T**2 * F.binary_cross_entropy(student, teacher)


def test_the_loss_to_be_mended_fails_by_its_numbers(named):
    report = check(named("kl_distillation", one_fault_left))
    assert report.misconception == "binary cross-entropy for the divergence", report
    assert "got" in report.failures[0].reason


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


def by_modules(z, v, y, T, alpha):
    labels, teacher = torch.nn.CrossEntropyLoss(), torch.nn.KLDivLoss(reduction="batchmean", log_target=True)
    scaled = teacher(torch.nn.LogSoftmax(dim=-1)(z / T), torch.nn.LogSoftmax(dim=-1)(v / T))
    return (1 - alpha) * labels(z, y) + alpha * T**2 * scaled


def by_nll_loss(z, v, y, T, alpha):
    q = torch.softmax(v / T, dim=-1)
    with torch.no_grad():
        entropy = torch.special.entr(q).sum(1).mean()
    cross = -(q * F.log_softmax(z / T, dim=-1)).sum(1).mean()
    return torch.add((1 - alpha) * F.nll_loss(F.log_softmax(z, dim=-1), y), cross - entropy, alpha=alpha * T**2)


def by_one_hot(z, v, y, T, alpha):
    labels = -(F.one_hot(y, z.shape[1]) * z.log_softmax(1)).sum() / len(z)
    log_p, log_q = z / T - (z / T).logsumexp(1, keepdim=True), v / T - (v / T).logsumexp(1, keepdim=True)
    return labels + alpha * (T * T * torch.einsum("nk,nk->", log_q.exp(), log_q - log_p) / len(z) - labels)


def sample_by_sample(z, v, y, T, alpha):
    total = 0.0
    for student, teacher, label in zip(z, v, y, strict=True):
        log_p, log_q = (student / T).log_softmax(0), (teacher / T).log_softmax(0)
        total += alpha * T**2 * F.kl_div(log_p, log_q.exp(), reduction="sum")
        total += (1 - alpha) * F.cross_entropy(student, label)
    return total / len(z)


def entropy_by_numpy(q):
    rows = q.numpy().astype(np.float64)
    logs = np.log(rows, where=rows > 0, out=np.zeros_like(rows))
    return torch.from_numpy(-(rows * logs).sum(axis=1))


def cross_entropy_by_loops(log_p, q):
    return torch.stack(
        [-sum(b * a for a, b in zip(row_p, row_q, strict=True) if b) for row_p, row_q in zip(log_p, q, strict=True)]
    )


def in_place(log_p, q):
    never = q == 0
    each = q.log().sub_(log_p).mul_(q)
    each[never] = 0
    return each.sum(1)


def batch_in_a_loop(log_p, q):
    total = 0
    for a, b in zip(log_p, q, strict=True):
        total = total + (b[b > 0] * (b[b > 0].log() - a[b > 0])).sum()
    return total / log_p.size(0)


def candidate_by_candidate(log_p, log_q):
    result = torch.empty(2, len(log_p))
    for i, row in enumerate(log_p):
        result[0, i] = torch.dot(log_q.exp(), log_q - row)
        result[1, i] = torch.dot(row.exp(), row - log_q)
    return result


def added_one_by_one(log_p, q):
    total = 0.0
    for a, b in zip(log_p.tolist(), q.tolist(), strict=True):
        total += b * (math.log(b) - a)
    return total


RIGHT = {
    "kl_entropy: a loop": with_a_loop,
    "kl_entropy: torch.special.entr": lambda q: torch.special.entr(q).sum(-1),
    "kl_entropy: in place": lambda q: q.clamp(min=1e-30).log().mul_(q).sum(1).neg_(),
    "kl_entropy: a clamp under the log": lambda q: -(q * q.clamp(min=1e-30).log()).sum(1),
    "kl_entropy: nansum": lambda q: -(q * q.log()).nansum(1),
    "kl_entropy: nan_to_num": lambda q: -torch.nan_to_num(q * torch.log(q)).sum(dim=1),
    "kl_entropy: where": lambda q: torch.where(q > 0, -q * q.log(), 0.0).sum(1),
    "kl_entropy: where inside": lambda q: -(q * torch.where(q > 0, q, 1).log()).sum(1),
    "kl_entropy: einsum": lambda q: -torch.einsum("nk,nk->n", q, (q + 1e-30).log()),
    "kl_entropy: numpy": entropy_by_numpy,
    "kl_entropy: float64": lambda q: -torch.xlogy(q.double(), q.double()).sum(1),
    "kl_entropy: torch.distributions": lambda q: torch.distributions.Categorical(probs=q.double()).entropy(),
    "kl_cross_entropy: nan_to_num": lambda log_p, q: -torch.nan_to_num(q * log_p, nan=0.0, neginf=-float("inf")).sum(1),
    "kl_cross_entropy: masked_fill": lambda log_p, q: -(q * log_p.masked_fill(q == 0, 0.0)).sum(1),
    "kl_cross_entropy: nansum": lambda log_p, q: -(q * log_p).nansum(dim=-1),
    "kl_cross_entropy: a loop": cross_entropy_by_loops,
    "kl_cross_entropy: einsum": lambda log_p, q: torch.einsum("nk,nk->n", -q, torch.where(q > 0, log_p, 0.0)),
    "kl_cross_entropy: float64 and back": lambda log_p, q: -happens(q.double(), log_p.double()).sum(1).float(),
    "kl_each: a mask": with_a_mask,
    "kl_each: nansum": lambda log_p, q: (q * (q.log() - log_p)).nansum(1),
    "kl_each: in place": in_place,
    "kl_each: two parts": lambda log_p, q: -happens(q, log_p).sum(1) - torch.special.entr(q).sum(1),
    "kl_batchmean: einsum": lambda log_p, q: (
        torch.einsum("i,i->", q.flatten(), torch.log(q.flatten() + 1e-30) - log_p.flatten()) / len(q)
    ),
    "kl_batchmean: a loop": batch_in_a_loop,
    "kl_batchmean: a mean of sums": lambda log_p, q: terms(log_p, q).flatten(1).sum(1).mean(),
    "kl_batchmean: nansum": lambda log_p, q: (q * (q.log() - log_p)).nansum() / q.size(0),
    "kl_batchmean: float64": lambda log_p, q: terms(log_p.double(), q.double()).sum() / log_p.shape[0],
    "kl_batchmean: in place": lambda log_p, q: log_p.mul(-q).add_(torch.xlogy(q, q)).sum().div_(len(q)),
    "kl_distillation: float64": in_float64,
    "kl_distillation: probabilities as the target": with_targets_as_probabilities,
    "kl_distillation: cross-entropy less entropy": through_cross_entropy,
    "kl_distillation: modules": by_modules,
    "kl_distillation: nll_loss": by_nll_loss,
    "kl_distillation: one-hot, einsum": by_one_hot,
    "kl_distillation: sample by sample": sample_by_sample,
    "kl_directions: a loop over candidates": candidate_by_candidate,
    "kl_directions: matrix products": lambda log_p, log_q: torch.stack(
        [
            (log_q.exp() @ log_q) - log_p @ log_q.exp(),
            torch.einsum("ck,ck->c", log_p.exp(), log_p) - log_p.exp() @ log_q,
        ]
    ),
    "kl_directions: float64": lambda log_p, log_q: torch.stack(both(log_p.double(), log_q.double())),
    "kl_choice: two lists of aims": lambda p, q, aim: int(
        both(p, q)[1 if aim in ("publish", "sample") else 0].argmin()
    ),
    "kl_choice: a tensor": lambda p, q, aim: both(p, q)[("forecast", "imitate").count(aim) ^ 1].argmin(),
    "kl_choice: cross-entropy where q is averaged over": lambda p, q, aim: int(
        (-(q.exp() * p).sum(1) if aim in ("forecast", "imitate") else (p.exp() * (p - q)).sum(1)).argmin()
    ),
    "kl_choice: sorted": lambda p, q, aim: both(p, q)[aim in ("publish", "sample")].sort().indices[0].item(),
    "kl_python_sum: a generator": lambda log_p, q: sum(b * (b.log() - a) for a, b in zip(log_p, q, strict=True)),
    "kl_python_sum: of a list": lambda log_p, q: sum((q * (q.log() - log_p)).tolist()),
    "kl_python_sum: of an array": lambda log_p, q: sum((q * (q.log() - log_p)).numpy()),
    "kl_python_sum: from a tensor": lambda log_p, q: sum(terms(log_p, q), torch.tensor(0.0)),
    "kl_python_sum: two sums": lambda log_p, q: sum(q * q.log()) - sum(q * log_p),
    "kl_python_sum: a for loop": added_one_by_one,
    "kl_torch_sum: a method": lambda log_p, q: terms(log_p, q).sum(),
    "kl_torch_sum: a product": lambda log_p, q: q @ (q.log() - log_p),
    "kl_torch_sum: einsum": lambda log_p, q: torch.einsum("k,k->", q, torch.log(q) - log_p),
    "kl_torch_sum: in float64": lambda log_p, q: torch.sum(terms(log_p.double(), q.double())),
    "kl_torch_sum: in place": lambda log_p, q: torch.sum(log_p.neg().add_(q.log()).mul_(q)),
}


@pytest.mark.parametrize("style", RIGHT)
def test_other_right_styles_pass(named, style):
    report = check(named(style.partition(":")[0], RIGHT[style]))
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


# The open task.


def student(targets, steps=100, rate=1.0, clip=True):
    """Return what trains a linear student by gradient descent on target distributions of one's choice."""

    def say(x, z_teacher, y, x_new):
        mean, spread = (x.mean(0), x.std(0).clamp(min=1e-6)) if clip else (0.0, 1.0)
        rows, q = (x - mean) / spread, targets(z_teacher, y)
        w, b = torch.zeros(5, 4), torch.zeros(4)
        for _ in range(steps):
            slope = ((rows @ w + b).softmax(1) - q) / len(x)
            w, b = w - rate * rows.T @ slope, b - rate * slope.sum(0)
        return (x_new - mean) / spread @ w + b

    return say


def by_the_course_s_loss(T, alpha):
    """Return what trains a student by the loss of the lesson, with Adam."""

    def say(x, z_teacher, y, x_new):
        torch.manual_seed(0)
        norm = torch.nn.BatchNorm1d(5, affine=False)
        net = torch.nn.Sequential(norm, torch.nn.Linear(5, 4))
        optimiser = torch.optim.Adam(net.parameters(), 0.1)
        for _ in range(150):
            optimiser.zero_grad()
            by_modules(net(x), z_teacher, y, T, alpha).backward()
            optimiser.step()
        return net.eval()(x_new)

    return say


def by_regression_of_logits(x, z_teacher, y, x_new):
    rows = torch.cat([x, torch.ones(len(x), 1)], 1)
    w = torch.linalg.lstsq(rows, z_teacher - z_teacher.mean(1, keepdim=True), driver="gelsd").solution
    return torch.cat([x_new, torch.ones(len(x_new), 1)], 1) @ w


SOFT = student(lambda z, y: z.softmax(1))
BEATEN = {
    "the teacher's distributions": SOFT,
    "a short training": student(lambda z, y: z.softmax(1), steps=20),
    "at a temperature of 4": by_the_course_s_loss(4.0, 1.0),
    "a little of the labels": by_the_course_s_loss(1.0, 0.95),
    "a regression of the logits": by_regression_of_logits,
}


@pytest.mark.parametrize("seed", [20, 21])
@pytest.mark.parametrize("how", BEATEN)
def test_students_of_other_kinds_beat_the_score(named, how, seed):
    report = run(named("distilled_logits", BEATEN[how]), exercise("distilled_logits"), seed)
    assert report.passed, report
    assert "; to beat: 1.3300 (3 points)" in report.message


def test_the_reference_beats_the_score_with_room():
    declared = exercise("distilled_logits")
    for seed in range(200, 250):
        for case in declared.cases(torch.Generator().manual_seed(seed)):
            assert 1.29 < declared.score.of(declared.reference(*case.args), case.kept) < declared.score.beat - 0.003


UNBEATEN = {
    "a constant": (lambda x, z, y, x_new: torch.tensor([0.31, 0.33, 0.21, 0.15]).log().expand(len(x_new), 4), 1.343),
    "the labels alone": (student(lambda z, y: F.one_hot(y, 4).float()), 1.60),
    "both by halves": (student(lambda z, y: (F.one_hot(y, 4) + z.softmax(1)) / 2), 1.36),
    "the classes that the teacher would choose": (student(lambda z, y: F.one_hot(z.argmax(1), 4).float()), 2.9),
    "unscaled inputs": (student(lambda z, y: z.softmax(1), rate=1e-4, clip=False), 1.35),
}


@pytest.mark.parametrize("what", UNBEATEN)
def test_what_the_lesson_warns_of_does_not_beat_it(named, what):
    how, about = UNBEATEN[what]
    declared = exercise("distilled_logits")
    for seed in range(20, 24):
        assert run(named("distilled_logits", how), declared, seed).message == (
            "✗ distilled_logits: the score to beat is not reached."
        )
    scores = [
        declared.score.of(how(*case.args), case.kept)
        for seed in range(10)
        for case in declared.cases(torch.Generator().manual_seed(seed))
    ]
    assert abs(sum(scores) / len(scores) - about) < 0.05 * about


def test_the_teacher_is_a_little_better_than_those_it_teaches_on_people_whom_it_has_not_seen():
    declared = exercise("distilled_logits")
    others, said = kl.teacher()
    _, y = kl.people()
    assert len(others) == len(others.unique()) == len(y) - 333 * 30
    its = torch.ones(len(y)).bool()
    its[others] = False
    own = F.cross_entropy(said[others], y[others])
    assert F.cross_entropy(said[its], y[its]) < own  # it has learnt from these
    cases = [case for seed in range(5) for case in declared.cases(torch.Generator().manual_seed(seed))]
    taught = [declared.score.of(declared.reference(*case.args), case.kept) for case in cases]
    assert 0 < sum(taught) / len(taught) - own < 0.01


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, z, y, x_new: z, "got shape (60, 4), expected shape (8000, 4)"),
        (lambda x, z, y, x_new: SOFT(x, z, y, x_new).argmax(1), "got shape (8000,), expected shape (8000, 4)"),
        (lambda x, z, y, x_new: SOFT(x, z, y, x_new) * math.nan, "the loss on people held out: inf"),
        (lambda x, z, y, x_new: None, "got None"),
    ],
)
def test_what_does_not_reach_the_score_is_told(named, function, says):
    report = run(named("distilled_logits", function), exercise("distilled_logits"), 20)
    assert report.state == "failed"
    assert says in report.failures[0].reason
