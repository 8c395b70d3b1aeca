"""Lesson 04's checks pass what is right in any style, fail what people really write, and tell a stub from an answer."""

import math

import pytest
import torch
import torch.nn.functional as F

from lossbook.exercises import check, exercises

ROW = "04-multiclass"
NAMES = [name for name, item in exercises().items() if item.slug == "multiclass"]


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions(ROW)[name])
    assert report.passed, report
    assert report.points == report.out_of


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(named, name):
    def stub(*args):
        raise NotImplementedError

    report = check(named(name, stub))
    assert report.state == "not attempted"
    assert report.points == 0


def test_the_solution_asks_for_every_exercise(solutions):
    assert set(NAMES) <= set(solutions(ROW))


def picked(z, y):
    """Return the losses of single samples, shape (N,)."""
    return F.cross_entropy(z, y, reduction="none")


def one_hot(z, y):
    """Return the labels as rows of floats."""
    return F.one_hot(y, z.shape[1]).float()


def smoothed_over_the_others(z, y, eps):
    """Give ε to the K − 1 wrong classes."""
    q = torch.full_like(z, eps / (z.shape[1] - 1))
    q[torch.arange(len(y)), y] = 1 - eps
    return F.cross_entropy(z, q)


def smoothed_too_much(z, y, eps):
    """Add the uniform part without taking it off the label."""
    return (picked(z, y) - eps * F.log_softmax(z, 1).mean(1)).mean()


def one_hot_from_int(log_p, y):
    """Give the one-hot rows the wrong orientation."""
    return -(F.one_hot(y, log_p.shape[1]).float().T @ log_p).mean()


WRONG = {
    "softmax": {
        "on paper, overflows": lambda z: torch.exp(z) / torch.exp(z).sum(1, keepdim=True),
        "over all elements": lambda z: torch.softmax(z.flatten(), 0).reshape(z.shape),
        "over the samples": lambda z: torch.softmax(z, 0),
        "one maximum for all rows": lambda z: torch.exp(z - z.max()) / torch.exp(z - z.max()).sum(1, keepdim=True),
        "divided along the wrong dimension": lambda z: torch.exp(z) / torch.exp(z).sum(1),
        "each by itself": torch.sigmoid,
        "no exponential": lambda z: z / z.sum(1, keepdim=True),
        "the logarithm": lambda z: torch.log_softmax(z, 1),
        "exponents clamped": lambda z: torch.exp(z.clamp(max=50)) / torch.exp(z.clamp(max=50)).sum(1, keepdim=True),
    },
    "logsumexp": {
        "on paper, overflows": lambda z: torch.log(torch.exp(z).sum(1)),
        "the maximum forgotten": lambda z: torch.log(torch.exp(z - z.amax(1, keepdim=True)).sum(1)),
        "the maximum alone": lambda z: z.amax(1),
        "keeps the dimension": lambda z: torch.logsumexp(z, 1, keepdim=True),
        "over the samples": lambda z: torch.logsumexp(z, 0),
        "the log of the mean": lambda z: torch.logsumexp(z, 1) - math.log(z.shape[1]),
        "not differentiable": lambda z: torch.logsumexp(z.detach(), 1),
        "one maximum for all rows": lambda z: z.max() + torch.log(torch.exp(z - z.max()).sum(1)),
    },
    "cross_entropy_index": {
        "missing minus": lambda z, y: -F.cross_entropy(z, y),
        "sum for mean": lambda z, y: F.cross_entropy(z, y, reduction="sum"),
        "mean over N K": lambda z, y: -(one_hot(z, y) * F.log_softmax(z, 1)).mean(),
        "logits taken for log-probabilities": F.nll_loss,
        "two softmaxes": lambda z, y: F.cross_entropy(torch.softmax(z, 1), y),
        "log of the softmax, unstable": lambda z, y: F.nll_loss(torch.log(torch.softmax(z, 1)), y),
        "a small number inside the log": lambda z, y: F.nll_loss(torch.log(torch.softmax(z, 1) + 1e-8), y),
        "softmax over the samples": lambda z, y: F.nll_loss(torch.log_softmax(z, 0), y),
        "the probability, no log": lambda z, y: F.nll_loss(torch.softmax(z, 1), y),
        "every column, not one entry a row": lambda z, y: -F.log_softmax(z, 1)[:, y].mean(),
        "a sigmoid for each class": lambda z, y: F.binary_cross_entropy_with_logits(z, one_hot(z, y)),
        "base 2": lambda z, y: F.cross_entropy(z, y) / math.log(2),
    },
    "cross_entropy_gradient": {
        "the other sign": lambda z, y: (one_hot(z, y) - torch.softmax(z, 1)) / len(z),
        "of the sum": lambda z, y: torch.softmax(z, 1) - one_hot(z, y),
        "over N K": lambda z, y: (torch.softmax(z, 1) - one_hot(z, y)) / z.numel(),
        "logits for probabilities": lambda z, y: (z - one_hot(z, y)) / len(z),
        "the class number for its indicator": lambda z, y: (torch.softmax(z, 1) - y[:, None]) / len(z),
        "softmax over the samples": lambda z, y: (torch.softmax(z, 0) - one_hot(z, y)) / len(z),
        "the right class alone": lambda z, y: (torch.softmax(z, 1) - 1) * one_hot(z, y) / len(z),
    },
    "cross_entropy_smoothed": {
        "spread over the wrong classes": smoothed_over_the_others,
        "nothing taken off the label": smoothed_too_much,
        "no smoothing": lambda z, y, eps: F.cross_entropy(z, y),
        "eps and 1 − eps swapped": lambda z, y, eps: F.cross_entropy(z, y, label_smoothing=1 - eps),
        "the uniform part summed": lambda z, y, eps: (
            (1 - eps) * picked(z, y) - eps * F.log_softmax(z, 1).sum(1)
        ).mean(),
        "unstable": lambda z, y, eps: (
            -(
                ((1 - eps) * one_hot(z, y) + eps / z.shape[1])
                * torch.log(torch.exp(z) / torch.exp(z).sum(1, keepdim=True))
            )
            .sum(1)
            .mean()
        ),
        "the logits smoothed": lambda z, y, eps: F.cross_entropy((1 - eps) * z + eps / z.shape[1], y),
    },
    "cross_entropy_weighted": {
        "divided by N": lambda z, y, w: (w[y] * picked(z, y)).mean(),
        "divided by the sum of the class weights": lambda z, y, w: (w[y] * picked(z, y)).sum() / w.sum(),
        "not divided": lambda z, y, w: (w[y] * picked(z, y)).sum(),
        "not weighted": lambda z, y, w: F.cross_entropy(z, y),
        "weights on the logits": lambda z, y, w: F.cross_entropy(z * w, y),
        "weights inside the log": lambda z, y, w: -torch.log(w[y] * torch.exp(-picked(z, y))).mean(),
        "PyTorch with probabilities": lambda z, y, w: F.cross_entropy(z, one_hot(z, y), w),
        "divided twice": lambda z, y, w: F.cross_entropy(z, y, w) / len(y),
    },
    "cross_entropy_python_sum": {
        "not divided": lambda z, y: sum(picked(z, y)),
        "missing minus": lambda z, y: sum(-picked(z, y)) / len(y),
        "divided by N K": lambda z, y: sum(picked(z, y)) / z.numel(),
    },
    "cross_entropy_torch_sum": {
        "not divided": lambda z, y: torch.sum(picked(z, y)),
        "missing minus": lambda z, y: torch.sum(-picked(z, y)) / len(y),
        "divided by N K": lambda z, y: torch.sum(picked(z, y)) / z.numel(),
    },
    "one_hot_bytes": {
        "swapped": lambda N, K: (4 * N * K, 8 * N),
        "int64 rows": lambda N, K: (8 * N, 8 * N * K),
        "elements, not bytes": lambda N, K: (N, N * K),
        "one number": lambda N, K: 4 * N * K,
        "bits": lambda N, K: (64 * N, 32 * N * K),
    },
    "cross_entropy_one_hot": {
        "missing minus": lambda log_p, y: (one_hot(log_p, y) * log_p).sum(1).mean(),
        "mean over N K": lambda log_p, y: -(one_hot(log_p, y) * log_p).mean(),
        "sum for mean": lambda log_p, y: -(one_hot(log_p, y) * log_p).sum(),
        "the matrix product": one_hot_from_int,
        "a second log": lambda log_p, y: -(one_hot(log_p, y) * torch.log(log_p)).sum(1).mean(),
        "the class number for its indicator": lambda log_p, y: -(y[:, None] * log_p).sum(1).mean(),
        "both the label and its absence": lambda log_p, y: F.binary_cross_entropy(log_p.exp(), one_hot(log_p, y)),
    },
    "cross_entropy_gather": {
        "multiplied after all": lambda log_p, y: -(one_hot(log_p, y) * log_p).sum(1).mean(),
        "missing minus": lambda log_p, y: log_p.gather(1, y[:, None]).mean(),
        "sum for mean": lambda log_p, y: -log_p.gather(1, y[:, None]).sum(),
        "every column": lambda log_p, y: -log_p[:, y].mean(),
        "along the samples": lambda log_p, y: -log_p.gather(0, y[:, None]).mean(),
        "a column too many": lambda log_p, y: -log_p.gather(1, y[:, None]).mean(0),
    },
    "predict_cross_entropy_ratio": {"zero": lambda: 0, "in words": lambda: "many", "nothing": lambda: None},
    "predict_one_hot_ratio": {"negative": lambda: -3, "infinite": lambda: math.inf},
}


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name in WRONG for mistake in WRONG[name]])
def test_a_wrong_function_fails(named, name, mistake):
    report = check(named(name, WRONG[name][mistake]))
    assert report.state == "failed", f"{name}, {mistake}: {report}"
    assert report.points == 0


def test_every_exercise_has_wrong_functions():
    assert set(WRONG) == set(NAMES)


def softmax_by_loops(z):
    """Return the softmax, row by row."""
    rows = []
    for row in z:
        powers = [torch.exp(value - max(row)) for value in row]
        rows.append(torch.stack([power / sum(powers) for power in powers]))
    return torch.stack(rows)


def softmax_in_place(z):
    """Overwrite the argument."""
    z -= z.amax(1, keepdim=True)
    z.exp_()
    z /= z.sum(1, keepdim=True)
    return z


def logsumexp_folded(z):
    """Add the classes up two at a time."""
    total = z[:, 0]
    for k in range(1, z.shape[1]):
        total = torch.logaddexp(total, z[:, k])
    return total


def cross_entropy_by_loops(z, y):
    """Add the samples up one at a time."""
    total = torch.zeros(())
    for row, k in zip(z, y.tolist(), strict=True):
        total = total + row.max() + torch.log(torch.exp(row - row.max()).sum()) - row[k]
    return total / len(y)


def gradient_by_autograd(z, y):
    """Let PyTorch differentiate."""
    z = z.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(z, y), z)[0]


def smoothed_target(z, y, eps):
    """Build the target and let it meet the log-probabilities, in float64."""
    q = ((1 - eps) * F.one_hot(y, z.shape[1]) + eps / z.shape[1]).double()
    return -torch.einsum("nk,nk->n", q, F.log_softmax(z.double(), 1)).mean()


RIGHT = {
    "softmax": [
        lambda z: torch.softmax(z.double(), 1),
        lambda z: torch.exp(z - torch.logsumexp(z, 1, keepdim=True)),
        softmax_by_loops,
        softmax_in_place,
    ],
    "logsumexp": [
        lambda z: torch.logsumexp(z, dim=-1),
        lambda z: torch.logsumexp(z.double(), 1),
        lambda z: z.max(1).values + torch.log(torch.exp(z - z.max(1, keepdim=True).values).sum(1)),
        logsumexp_folded,
    ],
    "cross_entropy_index": [
        F.cross_entropy,
        lambda z, y: -torch.log_softmax(z.double(), 1)[torch.arange(len(y)), y].mean(),
        lambda z, y: -torch.einsum("nk,nk->", F.one_hot(y, z.shape[1]).float(), torch.log_softmax(z, 1)) / len(y),
        cross_entropy_by_loops,
    ],
    "cross_entropy_gradient": [
        lambda z, y: (torch.softmax(z, 1) - one_hot(z, y)) / len(y),
        gradient_by_autograd,
    ],
    "cross_entropy_smoothed": [
        lambda z, y, eps: F.cross_entropy(z, y, label_smoothing=eps),
        smoothed_target,
    ],
    "cross_entropy_weighted": [
        F.cross_entropy,
        lambda z, y, w: torch.einsum("n,n->", w[y] / w[y].sum(), picked(z, y)),
        lambda z, y, w: (w.double()[y] * picked(z.double(), y)).sum() / w.double()[y].sum(),
    ],
    "cross_entropy_one_hot": [
        lambda log_p, y: -(torch.eye(log_p.shape[1])[y] * log_p).sum() / len(y),
        lambda log_p, y: -torch.einsum("nk,nk->n", one_hot(log_p, y), log_p).mean(),
    ],
    "cross_entropy_gather": [
        F.nll_loss,
        lambda log_p, y: -log_p[torch.arange(len(y)), y].mean(),
        lambda log_p, y: -torch.stack([row[k] for row, k in zip(log_p, y, strict=True)]).mean(),
    ],
    "one_hot_bytes": [lambda N, K: [N * 8, N * K * 4], lambda N, K: torch.tensor([8 * N, 4 * N * K])],
}


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in RIGHT for number in range(len(RIGHT[name]))])
def test_a_right_function_in_another_style_passes(named, name, number):
    report = check(named(name, RIGHT[name][number]))
    assert report.passed, report
