"""Lesson 04's checks pass what is right in any style, fail what people really write, and tell a stub from an answer."""

import functools
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.checks.report import run
from lossbook.exercises import check, exercise, exercises
from lossbook.exercises.multiclass import held_back

ROW = "04-multiclass"
NAMES = [name for name, item in exercises().items() if item.slug == "multiclass"]
WRITTEN = [name for name in NAMES if exercise(name).score is None]


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


def test_every_exercise_has_its_misconceptions():
    assert all(len(exercise(name).misconceptions) >= 5 for name in WRITTEN)
    assert all(len(exercise(name).misconceptions) <= 7 for name in NAMES)


def lse(z):
    m = z.amax(1)
    return m + torch.log(torch.exp(z - m[:, None]).sum(1))


def log_p(z):
    return z - lse(z)[:, None]


def p(z):
    e = torch.exp(z - z.amax(1, keepdim=True))
    return e / e.sum(1, keepdim=True)


def at(table, y):
    return table[torch.arange(len(y)), y]


def losses(z, y):
    return -at(log_p(z), y)


def hot(table, y):
    return torch.eye(table.shape[1])[y]


def labels_of(q):
    """Tell by the rows."""
    if ((q.sum(1) - 1).abs() > 1e-4).any():
        return 2
    return 0 if ((q == 0) | (q == 1)).all() else 1


def mean_over_steps(z, y):
    """Average the running average, as in an exponential moving mean."""
    average = torch.zeros(())
    for loss in losses(z, y):
        average = (average + loss) / 2
    return average


# Wrong functions beside the declared misconceptions, which test_declared.py tries.
WRONG = {
    "softmax": {
        "over all elements": lambda z: p(z.reshape(1, -1)).reshape(z.shape),
        "no exponential": lambda z: z / z.sum(1, keepdim=True),
        "exponents clamped": lambda z: torch.exp(z.clamp(max=50)) / torch.exp(z.clamp(max=50)).sum(1, keepdim=True),
        "powers of 2": lambda z: p(z * math.log(2)),
        "overflows, divided along the wrong dimension": lambda z: torch.exp(z) / torch.exp(z).sum(1),
        "nan made 0": lambda z: (torch.exp(z) / torch.exp(z).sum(1, keepdim=True)).nan_to_num(),
        "shifted by the mean": lambda z: torch.exp(z - z.mean(1, keepdim=True)) / torch.exp(z).sum(1, keepdim=True),
        "the first row alone": lambda z: p(z)[0],
    },
    "logsumexp": {
        "the log of the mean": lambda z: lse(z) - math.log(z.shape[1]),
        "over everything": lambda z: lse(z.reshape(1, -1)),
        "base 2": lambda z: lse(z) / math.log(2),
        "shifted by the mean": lambda z: z.mean(1) + torch.log(torch.exp(z - z.mean(1, keepdim=True)).sum(1)),
        "a small number inside the log": lambda z: torch.log(torch.exp(z.clamp(max=80)).sum(1) + 1e-8),
        "log1p": lambda z: z.amax(1) + torch.log1p(torch.exp(z - z.amax(1, keepdim=True)).sum(1)),
        "as numbers": lambda z: torch.tensor(lse(z).tolist()),
    },
    "cross_entropy_index": {
        "a small number inside the log": lambda z, y: -torch.log(at(p(z), y) + 1e-8).mean(),
        "softmax over the samples": lambda z, y: -at(log_p(z.T).T, y).mean(),
        "the probability, no log": lambda z, y: -at(p(z), y).mean(),
        "base 2": lambda z, y: losses(z, y).mean() / math.log(2),
        "classes counted from 1": lambda z, y: losses(z, y - 1).mean(),
        "the last class for every label": lambda z, y: -log_p(z)[:, -1].mean(),
        "the label for what the model says": lambda z, y: losses(z, z.argmax(1)).mean(),
        "the losses of single samples": losses,
        "no gradient": lambda z, y: losses(z, y).mean().item(),
        "a running average": mean_over_steps,
    },
    "cross_entropy_gradient": {
        "of a softmax too many": lambda z, y: (p(p(z)) - hot(z, y)) / len(z),
        "the loss itself": lambda z, y: losses(z, y).mean(),
        "unstable": lambda z, y: (torch.exp(z) / torch.exp(z).sum(1, keepdim=True) - hot(z, y)) / len(z),
        "over K": lambda z, y: (p(z) - hot(z, y)) / z.shape[1],
        "1 taken off whole columns": lambda z, y: (p(z) - hot(z, y).amax(0)) / len(z),
        "the derivative of a softmax": lambda z, y: p(z) * (1 - p(z)) / len(z),
    },
    "cross_entropy_smoothed": {
        "the logits smoothed": lambda z, y, eps: losses((1 - eps) * z + eps / z.shape[1], y).mean(),
        "uniform over the samples": lambda z, y, eps: (1 - eps) * losses(z, y).mean() - eps * log_p(z).sum() / len(z),
        "no gradient": lambda z, y, eps: ((1 - eps) * losses(z, y) - eps * log_p(z).mean(1)).mean().detach(),
        "the probabilities smoothed": lambda z, y, eps: -torch.log((1 - eps) * at(p(z), y) + eps / z.shape[1]).mean(),
    },
    "cross_entropy_weighted": {
        "the missing minus": lambda z, y, w: -(w[y] * losses(z, y)).sum() / w[y].sum(),
        "the weight of the position": lambda z, y, w: (w[: len(y)] * losses(z, y)[: len(w)]).sum() / w[y].sum(),
        "weights squared": lambda z, y, w: (w[y] ** 2 * losses(z, y)).sum() / w[y].sum(),
        "one over the weights": lambda z, y, w: (losses(z, y) / w[y]).sum() / (1 / w[y]).sum(),
        "unstable": lambda z, y, w: (w[y] * -torch.log(at(p(z), y))).sum() / w[y].sum(),
        "weights over their mean": lambda z, y, w: (w[y] / w.mean() * losses(z, y)).mean(),
    },
    "cross_entropy_python_sum": {
        "a mean of PyTorch's": lambda z, y: losses(z, y).mean(),
        "the first left out": lambda z, y: sum(losses(z, y)[1:]) / len(y),
        "a softmax too many": lambda z, y: sum(losses(p(z), y)) / len(y),
    },
    "cross_entropy_torch_sum": {
        "a loop": lambda z, y: torch.stack([losses(z[n : n + 1], y[n : n + 1]) for n in range(len(y))]).sum() / len(y),
        "a list of numbers": lambda z, y: torch.sum(torch.tensor([loss.item() for loss in losses(z, y)])) / len(y),
        "a softmax too many": lambda z, y: torch.sum(losses(p(z), y)) / len(y),
    },
    "label_loss": {
        "always one die": lambda q: 0,
        "the first row alone": lambda q: labels_of(q[:1]),
        "the last row alone": lambda q: labels_of(q[-1:]),
        "no row above 1": lambda q: 2 if (q.sum(1) > 1.01).any() else 0 if ((q == 0) | (q == 1)).all() else 1,
        "the largest of each row is 1": lambda q: 0 if (q.amax(1) == 1).all() else labels_of(q),
        "some row adds up to 1": lambda q: labels_of(q[(q.sum(1) - 1).abs() < 1e-4]),
        "a word": lambda q: "softmax",
        "soft and hard in turn": lambda q: {0: 1, 1: 0, 2: 2}[labels_of(q)],
    },
    "cross_entropy_one_hot": {
        "classes counted from 1": lambda log_p, y: -at(log_p, y - 1).mean(),
        "a softmax too many": lambda log_p, y: losses(torch.exp(log_p), y).mean(),
        "no gradient": lambda log_p, y: -(hot(log_p, y) * log_p).sum(1).mean().detach(),
        "the losses of single samples": lambda log_p, y: -(hot(log_p, y) * log_p).sum(1),
        "as many columns as the largest label": lambda log_p, y: (
            -(torch.eye(int(y.max()) + 1)[y] * log_p).sum(1).mean()
        ),
    },
}


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name in WRONG for mistake in WRONG[name]])
def test_a_wrong_function_fails(named, name, mistake):
    report = check(named(name, WRONG[name][mistake]))
    assert report.state == "failed", f"{name}, {mistake}: {report}"
    assert report.points == 0


def test_every_exercise_has_wrong_functions():
    assert set(WRONG) == set(WRITTEN)


def by_autograd(z, y):
    """Let PyTorch differentiate."""
    z = z.clone().requires_grad_()
    return torch.autograd.grad(losses(z, y).mean(), z)[0]


def by_backward(z, y):
    """Let PyTorch differentiate, and read the leaf."""
    z = z.clone().requires_grad_()
    losses(z, y).mean().backward()
    return z.grad


BORROWED = [
    ("softmax", lambda z: torch.softmax(z.double(), 1)),
    ("softmax", lambda z: torch.nn.Softmax(1)(z)),
    ("softmax", lambda z: z.log_softmax(1).exp()),
    ("softmax", lambda z: torch.exp(z - torch.logsumexp(z, 1, keepdim=True))),
    ("softmax", lambda z: F.softmin(-z, 1)),
    ("logsumexp", lambda z: torch.logsumexp(z, dim=-1)),
    ("logsumexp", lambda z: torch.special.logsumexp(z, 1)),
    ("logsumexp", lambda z: z[:, 0] - F.log_softmax(z, 1)[:, 0]),
    ("cross_entropy_index", F.cross_entropy),
    ("cross_entropy_index", lambda z, y: F.nll_loss(log_p(z), y)),
    ("cross_entropy_index", lambda z, y: -at(torch.log_softmax(z, 1), y).mean()),
    ("cross_entropy_gradient", by_autograd),
    ("cross_entropy_gradient", by_backward),
    ("cross_entropy_gradient", lambda z, y: torch.func.grad(lambda z: losses(z, y).mean())(z)),
    ("cross_entropy_gradient", lambda z, y: (torch.softmax(z, 1) - hot(z, y)) / len(y)),
    ("cross_entropy_smoothed", lambda z, y, eps: F.cross_entropy(z, y, label_smoothing=eps)),
    ("cross_entropy_smoothed", lambda z, y, eps: F.cross_entropy(z, (1 - eps) * hot(z, y) + eps / z.shape[1])),
    ("cross_entropy_weighted", F.cross_entropy),
    ("cross_entropy_python_sum", lambda z, y: sum(F.cross_entropy(z, y, reduction="none")) / len(y)),
    ("cross_entropy_torch_sum", lambda z, y: torch.sum(F.cross_entropy(z, y, reduction="none")) / len(y)),
    ("cross_entropy_one_hot", lambda log_p, y: F.cross_entropy(log_p, hot(log_p, y))),
]


@pytest.mark.parametrize("number", range(len(BORROWED)))
def test_what_the_lesson_asks_for_is_not_to_be_called(named, number):
    name, function = BORROWED[number]
    report = check(named(name, function))
    assert report.state == "failed"
    assert report.points == 0
    assert "asks you to write" in repr(report)


def softmax_by_loops(z):
    """Return the softmax, row by row."""
    rows = []
    for row in z:
        powers = [torch.exp(value - max(row)) for value in row]
        rows.append(torch.stack([power / sum(powers) for power in powers]))
    return torch.stack(rows)


def softmax_by_einsum(z):
    """Multiply each row by one over its sum."""
    e = torch.exp(z - z.amax(1, keepdim=True))
    return torch.einsum("nk,n->nk", e, 1 / e.sum(1))


def softmax_in_place(z):
    """Overwrite a copy."""
    z = z - z.amax(1, keepdim=True)
    z.exp_()
    z /= z.sum(1, keepdim=True)
    return z


def softmax_in_numpy(z):
    """Leave PyTorch for a while."""
    e = np.exp(z.numpy() - z.numpy().max(axis=1, keepdims=True))
    return torch.from_numpy(e / e.sum(axis=1, keepdims=True))


def softmax_of_numbers(z):
    """Use Python's numbers alone."""
    rows = []
    for row in z.tolist():
        powers = [math.exp(value - max(row)) for value in row]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def logsumexp_folded(z):
    """Add the classes up two at a time."""
    return functools.reduce(torch.logaddexp, z.unbind(1))


def logsumexp_by_rows(z):
    """Take the rows one at a time."""
    return torch.stack([row.max() + (row - row.max()).exp().sum().log() for row in z])


def cross_entropy_by_loops(z, y):
    """Add the samples up one at a time."""
    total = torch.zeros(())
    for row, k in zip(z, y.tolist(), strict=True):
        total = total + row.max() + torch.log(torch.exp(row - row.max()).sum()) - row[k]
    return total / len(y)


def cross_entropy_in_place(z, y):
    """Shift a copy of the logits, and make it log-probabilities."""
    z = z - z.max(1, keepdim=True).values
    z -= torch.log(torch.exp(z).sum(1, keepdim=True))
    return -z.gather(1, y.unsqueeze(-1)).squeeze(-1).mean()


def gradient_in_numpy(z, y):
    """Scatter the ones with NumPy."""
    gradient = np.array(softmax_in_numpy(z))
    np.subtract.at(gradient, (np.arange(len(y)), y.numpy()), 1)
    return torch.from_numpy(gradient / len(y))


def gradient_by_loops(z, y):
    """Write entry by entry."""
    gradient = torch.empty_like(z)
    for n in range(len(z)):
        for k in range(z.shape[1]):
            gradient[n, k] = (p(z)[n, k] - (1 if y[n] == k else 0)) / len(z)
    return gradient


def smoothed_target(z, y, eps):
    """Build the target and let it meet the log-probabilities, in float64."""
    q = ((1 - eps) * F.one_hot(y, z.shape[1]) + eps / z.shape[1]).double()
    return -torch.einsum("nk,nk->n", q, log_p(z.double())).mean()


def added_in_a_loop(z, y):
    """Add Python's numbers up."""
    total = 0.0
    for loss in losses(z.double(), y).tolist():
        total += loss
    return total / len(y)


def one_hot_by_scatter(log_p, y):
    """Write the ones with scatter_."""
    q = torch.zeros_like(log_p).scatter_(1, y.unsqueeze(1), 1.0)
    return torch.sum(-q * log_p) / log_p.size(0)


def labels_by_loop(q):
    """Look at one row after the other."""
    soft = False
    for row in q.tolist():
        if not math.isclose(sum(row), 1, abs_tol=1e-5):
            return 2
        soft = soft or row.count(0) + row.count(1) < len(row)
    return int(soft)


def labels_in_numpy(q):
    """Count in NumPy."""
    q = q.double().numpy()
    kinds = [not np.isin(q, [0, 1]).all(), not np.allclose(q.sum(1), 1)]
    return 2 if kinds[1] else int(kinds[0])


RIGHT = {
    "softmax": [
        lambda z: p(z.double()),
        lambda z: p(z.double()).float(),
        lambda z: torch.exp(z - logsumexp_folded(z)[:, None]),
        softmax_by_einsum,
        softmax_by_loops,
        softmax_in_place,
        softmax_in_numpy,
        softmax_of_numbers,
    ],
    "logsumexp": [
        lambda z: lse(z.double()),
        lambda z: lse(z.double()).float(),
        lambda z: z.max(1).values + torch.log(torch.exp(z - z.max(1, keepdim=True).values).sum(1)),
        lambda z: (z.amax(1, keepdim=True) + (z - z.amax(1, keepdim=True)).exp().sum(1, keepdim=True).log()).squeeze(1),
        lambda z: z.detach().amax(1) + torch.log(torch.exp(z - z.detach().amax(1, keepdim=True)).sum(1)),
        lambda z: z[:, 0] + lse(z - z[:, :1]),
        logsumexp_folded,
        logsumexp_by_rows,
    ],
    "cross_entropy_index": [
        lambda z, y: losses(z.double(), y).mean(),
        lambda z, y: -torch.einsum("nk,nk->", F.one_hot(y, z.shape[1]).float(), log_p(z)) / len(y),
        lambda z, y: (lse(z) - z[torch.arange(len(z)), y]).sum() / z.shape[0],
        lambda z, y: lse(z - at(z, y)[:, None]).mean(),
        cross_entropy_by_loops,
        cross_entropy_in_place,
    ],
    "cross_entropy_gradient": [
        lambda z, y: (p(z) - hot(z, y)) / len(y),
        lambda z, y: (p(z.double()) - F.one_hot(y, z.shape[1])) / z.size(0),
        lambda z, y: (p(z) - (torch.arange(z.shape[1]) == y[:, None]).float()).div(len(z)),
        lambda z, y: p(z).scatter_add_(1, y[:, None], -torch.ones(len(y), 1)) / len(y),
        gradient_in_numpy,
        gradient_by_loops,
    ],
    "cross_entropy_smoothed": [
        smoothed_target,
        lambda z, y, eps: (1 - eps) * losses(z, y).mean() - eps * log_p(z).mean(),
        lambda z, y, eps: (lse(z) - (1 - eps) * at(z, y) - eps * z.mean(1)).mean(),
        lambda z, y, eps: -(((1 - eps) * hot(z, y) + eps / z.shape[1]) * log_p(z)).sum() / len(z),
        lambda z, y, eps: (
            -sum(((1 - eps) * row[k] + eps / len(row) * sum(row)) for row, k in zip(log_p(z), y.tolist(), strict=True))
            / len(y)
        ),
    ],
    "cross_entropy_weighted": [
        lambda z, y, w: torch.einsum("n,n->", w[y] / w[y].sum(), losses(z, y)),
        lambda z, y, w: (w.double()[y] * losses(z.double(), y)).sum() / w.double()[y].sum(),
        lambda z, y, w: -(hot(z, y) * w * log_p(z)).sum() / (hot(z, y) * w).sum(),
        lambda z, y, w: (w[y] * losses(z, y)).mean() / w[y].mean(),
        lambda z, y, w: sum(w[k] * loss for k, loss in zip(y, losses(z, y), strict=True)) / sum(w[k] for k in y),
        lambda z, y, w: w.gather(0, y) @ losses(z, y) / w.gather(0, y).sum(),
    ],
    "cross_entropy_python_sum": [
        lambda z, y: sum(losses(z, y)) / len(y),
        lambda z, y: sum(losses(z, y).tolist()) / len(y),
        lambda z, y: sum([loss.item() for loss in losses(z, y)]) / z.shape[0],
        lambda z, y: sum(losses(z, y).double()) / len(y),
        lambda z, y: sum(losses(z, y).numpy()) / len(y),
        lambda z, y: torch.tensor(sum(loss / len(y) for loss in losses(z, y).tolist())),
        lambda z, y: -sum(log_p(z)[n, y[n]] for n in range(len(y))) / len(y),
        added_in_a_loop,
        cross_entropy_by_loops,
    ],
    "cross_entropy_torch_sum": [
        lambda z, y: losses(z, y).sum() / len(y),
        lambda z, y: torch.sum(losses(z.double(), y), dim=0).float() / y.numel(),
        lambda z, y: torch.sum(-F.one_hot(y, z.shape[1]) * log_p(z)) / len(z),
        lambda z, y: torch.einsum("n->", losses(z, y)) / len(y),
        cross_entropy_in_place,
    ],
    "cross_entropy_one_hot": [
        lambda log_p, y: -(torch.eye(log_p.shape[1])[y] * log_p).sum() / len(y),
        lambda log_p, y: -torch.einsum("nk,nk->n", F.one_hot(y, log_p.shape[1]).float(), log_p).mean(),
        lambda log_p, y: -(hot(log_p, y).double() * log_p.double()).sum(1).mean(),
        lambda log_p, y: -torch.trace(hot(log_p, y) @ log_p.T) / len(y),
        lambda log_p, y: -torch.where(torch.arange(log_p.shape[1]) == y[:, None], log_p, 0).sum(1).mean(),
        one_hot_by_scatter,
    ],
    "label_loss": [
        labels_of,
        lambda q: 0 if sorted(set(q.flatten().tolist())) == [0, 1] and (q.sum(1) == 1).all() else labels_of(q),
        lambda q: torch.tensor(2) if not torch.allclose(q.sum(1), torch.ones(len(q))) else int((q.amax(1) < 1).any()),
        labels_by_loop,
        labels_in_numpy,
        lambda q: 2 if round(float((q.sum(1) - 1).abs().max()), 2) else 1 - int((q * (1 - q) == 0).all()),
    ],
}


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in RIGHT for number in range(len(RIGHT[name]))])
def test_a_right_function_in_another_style_passes(named, name, number):
    report = check(named(name, RIGHT[name][number]))
    assert report.passed, report


def test_every_exercise_has_other_styles():
    assert set(RIGHT) == set(WRITTEN)


# The open task.


def scaled(x, x_new):
    mean, spread = x.mean(0), x.std(0)
    return (x - mean) / spread, (x_new - mean) / spread


def trained_for(steps, step=1.0, columns=slice(None), scale=scaled):
    """Return what trains a linear model by the gradient, for so many steps."""

    def trained(x, y, x_new):
        x, x_new = scale(x[:, columns], x_new[:, columns])
        w, b, happened = torch.zeros(x.shape[1], 7), torch.zeros(7), torch.eye(7)[y]
        for _ in range(steps):
            slope = (p(x @ w + b) - happened) / len(y)
            w, b = w - step * x.T @ slope, b - step * slope.sum(0)
        return x_new @ w + b

    return trained


def by_network(x, y, x_new):
    torch.manual_seed(1)
    x, x_new = scaled(x, x_new)
    net = torch.nn.Sequential(torch.nn.Linear(9, 12), torch.nn.Tanh(), torch.nn.Linear(12, 7))
    optimiser = torch.optim.AdamW(net.parameters(), 0.01, weight_decay=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        losses(net(x), y).mean().backward()
        optimiser.step()
    return net(x_new)


def as_log_probabilities(x, y, x_new):
    return log_p(trained_for(60)(x, y, x_new))


VOTERS = {
    "a few dozen steps": trained_for(60),
    "many steps": trained_for(1000),
    "shorter steps": trained_for(200, 0.2),
    "log-probabilities": as_log_probabilities,
    "a network": by_network,
    "the reference": held_back,
}


@pytest.mark.parametrize("seed", range(20, 26))
@pytest.mark.parametrize("how", VOTERS)
def test_models_of_other_kinds_beat_the_score(named, how, seed):
    report = run(named("party_logits", VOTERS[how]), exercise("party_logits"), seed)
    assert report.passed, report
    score = float(re.search(r"held out is (\d\.\d+); to beat: 1\.6", report.message)[1])
    assert 1.3 < score < 1.6


@pytest.mark.parametrize("seed", range(50))
def test_the_score_can_be_beaten_with_every_draw(seed):
    score = exercise("party_logits").score
    for case in exercise("party_logits").cases(torch.Generator().manual_seed(seed)):
        logits = held_back(*case.args)
        assert score.of(logits, case.kept) < score.beat - 0.06
        assert score.of(torch.eye(7)[logits.argmax(1)], case.kept) > score.beat + 0.04
        assert score.of(torch.zeros(344, 7), case.kept) > score.beat + 0.3


UNBEATEN = {
    "a constant": (lambda x, y, x_new: torch.bincount(y).log().expand(len(x_new), 7), 1.86),
    "equal logits": (lambda x, y, x_new: torch.zeros(len(x_new), 7), math.log(7)),
    "leaning alone": (trained_for(100, columns=[0]), 1.62),
    "who they are alone": (trained_for(100, columns=[3, 4, 5, 6, 7]), 1.86),
    "columns as they are": (trained_for(200, 1e-6, scale=lambda x, new: (x, new)), 1.94),
    "one step": (trained_for(1), 1.76),
}


@pytest.mark.parametrize("what", UNBEATEN)
def test_scores_that_the_lesson_names_do_not_beat_it(named, what):
    function, about = UNBEATEN[what]
    report = run(named("party_logits", function), exercise("party_logits"), 20)
    assert report.state == "failed", report
    scores = [
        score
        for case in exercise("party_logits").cases(torch.Generator().manual_seed(20))
        for score in [exercise("party_logits").score.of(function(*case.args), case.kept)]
    ]
    assert abs(sum(scores) / 3 - about) < 0.08, scores


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, y, x_new: held_back(x, y, x_new).argmax(1), "got shape (344,), expected shape (344, 7)"),
        (lambda x, y, x_new: held_back(x, y, x), "got shape (600, 7), expected shape (344, 7)"),
        (lambda x, y, x_new: held_back(x, y, x_new).tolist(), "got a list; return a tensor"),
        (lambda x, y, x_new: held_back(x, y, x_new) * math.nan, "the loss on voters held out: inf"),
        (lambda x, y, x_new: None, "got None"),
    ],
)
def test_what_does_not_reach_the_score_is_told(named, function, says):
    report = run(named("party_logits", function), exercise("party_logits"), 20)
    assert report.state == "failed"
    assert says in report.failures[0].reason
