"""The exercises of lesson 05: its solutions pass, what people really write wrong does not."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.checks.report import run
from lossbook.exercises import check, exercise
from lossbook.losses import cross_entropy, nll_loss, poisson_nll_loss

NAMES = (
    "nll_by_index",
    "nll_ignoring",
    "nll_class_weights",
    "nll_dense",
    "corpus_perplexity",
    "poisson_nll",
    "nll_python_sum",
    "nll_torch_sum",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("05-nll")[name])
    assert report.passed, report


def picked(log_p, y):
    return log_p[torch.arange(len(y)), y]


def by_loop(log_p, y):
    return -torch.stack([row[k] for row, k in zip(log_p, y, strict=True)]).mean()


# Beside the misconceptions that the exercises declare, which test_declared.py tests.
WRONG = {
    "the exponential": ("nll_by_index", lambda log_p, y: -picked(log_p, y).exp().mean()),
    "the largest and not the right one": ("nll_by_index", lambda log_p, y: -log_p.amax(1).mean()),
    "gathered along the samples": ("nll_by_index", lambda log_p, y: -log_p.gather(0, y[None] % len(y)).mean()),
    "a softmax of its own": ("nll_by_index", lambda log_p, y: -picked(log_p.softmax(1), y).mean()),
    "rows picked by class": ("nll_by_index", lambda log_p, y: -log_p[y].mean()),
    "one class further": ("nll_by_index", lambda log_p, y: -picked(log_p, (y + 1) % log_p.shape[1]).mean()),
    "the last sample forgotten": ("nll_by_index", lambda log_p, y: -picked(log_p, y)[:-1].sum() / len(y)),
    "always 0": ("nll_ignoring", lambda log_p, y, index: -picked(log_p[y != 0], y[y != 0].clamp(min=0)).mean()),
    "what lies above the index": (
        "nll_ignoring",
        lambda log_p, y, index: -picked(log_p[y > index], y[y > index]).mean(),
    ),
    "the sum of what counts": ("nll_ignoring", lambda log_p, y, index: -picked(log_p[y != index], y[y != index]).sum()),
    "weights inside the log": (
        "nll_class_weights",
        lambda log_p, y, w: -(picked(log_p, y) + w[y].log()).mean(),
    ),
    "weights normalised, then the mean": (
        "nll_class_weights",
        lambda log_p, y, w: -(w[y] / w.sum() * picked(log_p, y)).mean(),
    ),
    "weights divided out": ("nll_class_weights", lambda log_p, y, w: -(picked(log_p, y) / w[y]).sum() / w[y].sum()),
    "probabilities of the places": ("nll_dense", lambda log_p, y: -log_p.exp().gather(1, y.unsqueeze(1)).squeeze(1)),
    "flat": ("nll_dense", lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)).flatten()),
    "the last batch alone": ("corpus_perplexity", lambda batches: batches[-1].mean().exp()),
    "the sum of all tokens": ("corpus_perplexity", lambda batches: torch.cat(batches).sum().exp()),
    "one token too many": ("corpus_perplexity", lambda batches: (torch.cat(batches).sum() / 6).exp()),
    "the factorial's sign": ("poisson_nll", lambda z, y: (z.exp() - y * z - torch.lgamma(y + 1)).mean()),
    "the squared error of the rate": ("poisson_nll", lambda z, y: ((z.exp() - y) ** 2).mean()),
    "each count's own loss": ("poisson_nll", lambda z, y: z.exp() - y * z + torch.lgamma(y + 1)),
    "log (y + 1)!": ("poisson_nll", lambda z, y: (z.exp() - y * z + torch.lgamma(y + 2)).mean()),
    "averaged in NumPy, not added up": (
        "nll_python_sum",
        lambda log_p, y: float(np.mean(-log_p.numpy()[np.arange(len(y)), y.numpy()])),
    ),
    "a loop": ("nll_torch_sum", lambda log_p, y: by_loop(log_p, y)),
    "a list handed to torch": (
        "nll_torch_sum",
        lambda log_p, y: torch.tensor([-log_p[n, k] for n, k in enumerate(y.tolist())]).sum() / len(y),
    ),
    "by way of the rate": (
        "poisson_nll",
        lambda z, y: (z.exp() - y * z.exp().log() + torch.special.gammaln(y + 1)).mean(),
    ),
    "a distribution of the rate": (
        "poisson_nll",
        lambda z, y: -torch.distributions.Poisson(z.exp()).log_prob(y).mean(),
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_function_fails(named, mistake):
    name, function = WRONG[mistake]
    report = run(named(name, function), exercise(name))
    assert report.state == "failed", report
    assert report.points == 0
    assert all(failure.note for failure in report.failures)


def in_place(log_p, y):
    each = picked(log_p, y).clone()
    return each.neg_().mean()


def permuted(log_p, y):
    rows = log_p.movedim(1, -1)
    return -rows.reshape(-1, rows.shape[-1])[torch.arange(y.numel()), y.reshape(-1)].reshape(y.shape)


def counted_loop(log_p, y, ignore_index):
    each = [-log_p[n, k] for n, k in enumerate(y.tolist()) if k != ignore_index]
    return sum(each) / len(each) if each else torch.tensor(math.nan)


def where_counted(log_p, y, index):
    counted = y != index
    each = torch.where(counted, picked(log_p, y.masked_fill(~counted, 0)), 0)
    return -each.sum() / counted.sum()


def weighted_loop(log_p, y, w):
    above = below = 0.0
    for row, k in zip(log_p, y, strict=True):
        above = above - w[k] * row[k]
        below += w[k].item()
    return above / below


def dense_by_one_hot(log_p, y):
    hot = F.one_hot(y, log_p.shape[1]).movedim(-1, 1)
    return -(hot * log_p).sum(1)


def dense_by_grid(log_p, y):
    places = torch.meshgrid(*[torch.arange(size) for size in y.shape], indexing="ij")
    return -log_p[places[0], y, *places[1:]]


def dense_in_place(log_p, y):
    loss = torch.empty(y.shape)
    for k in range(log_p.shape[1]):
        loss[y == k] = -log_p[:, k][y == k]
    return loss


def running_perplexity(batches):
    mean, tokens = 0.0, 0
    for batch in batches:
        for loss in batch.tolist():
            tokens += 1
            mean += (loss - mean) / tokens
    return torch.tensor(math.exp(mean))


def summed_in_a_loop(log_p, y):
    total = 0
    for loss in -log_p.gather(1, y[:, None]).squeeze(1):
        total += loss
    return total / len(y)


RIGHT = {
    "two index tensors": ("nll_by_index", lambda log_p, y: -picked(log_p, y).mean()),
    "a loop": ("nll_by_index", by_loop),
    "in place": ("nll_by_index", in_place),
    "in float64": ("nll_by_index", lambda log_p, y: -picked(log_p.double(), y).mean()),
    "in float64 and back": ("nll_by_index", lambda log_p, y: -picked(log_p.double(), y).mean().float()),
    "a mask of one-hot": ("nll_by_index", lambda log_p, y: -log_p[F.one_hot(y, log_p.shape[1]).bool()].mean()),
    "einsum with ones": (
        "nll_by_index",
        lambda log_p, y: -torch.einsum("n,n->", torch.ones(len(y)), picked(log_p, y)) / len(y),
    ),
    "take along a dimension": (
        "nll_by_index",
        lambda log_p, y: -torch.take_along_dim(log_p, y[:, None], 1).sum() / y.numel(),
    ),
    "the diagonal": ("nll_by_index", lambda log_p, y: -log_p[:, y].diagonal().mean()),
    "torch.where": ("nll_ignoring", where_counted),
    "the mean of a selection": (
        "nll_ignoring",
        lambda log_p, y, index: -picked(log_p[y != index], y[y != index]).mean(),
    ),
    "a loop over those that count": ("nll_ignoring", counted_loop),
    "in float64, ignoring": ("nll_ignoring", lambda log_p, y, index: where_counted(log_p.double(), y, index)),
    "einsum": (
        "nll_class_weights",
        lambda log_p, y, w: -torch.einsum("n,n->", w[y], picked(log_p, y)) / w[y].sum(),
    ),
    "one-hot weights": (
        "nll_class_weights",
        lambda log_p, y, w: -(F.one_hot(y, len(w)) * w * log_p).sum() / (F.one_hot(y, len(w)) * w).sum(),
    ),
    "weights that add up to 1": (
        "nll_class_weights",
        lambda log_p, y, w: -((w[y] / w[y].sum()) @ picked(log_p, y)),
    ),
    "weights in a loop": ("nll_class_weights", weighted_loop),
    "weights in float64": (
        "nll_class_weights",
        lambda log_p, y, w: weighted_loop(log_p.double(), y, w.double()).float(),
    ),
    "classes moved last": ("nll_dense", permuted),
    "squeezed by indexing": ("nll_dense", lambda log_p, y: -log_p.gather(1, y[:, None])[:, 0]),
    "a dense one-hot": ("nll_dense", dense_by_one_hot),
    "a grid of indices": ("nll_dense", dense_by_grid),
    "class by class, in place": ("nll_dense", dense_in_place),
    "a loop over samples": (
        "nll_dense",
        lambda log_p, y: torch.stack([-row.gather(0, k[None])[0] for row, k in zip(log_p, y, strict=True)]),
    ),
    "all tokens at once": ("corpus_perplexity", lambda batches: torch.cat(batches).mean().exp()),
    "a number": (
        "corpus_perplexity",
        lambda batches: torch.tensor(math.exp(np.concatenate([b.numpy() for b in batches]).mean())),
    ),
    "a running mean": ("corpus_perplexity", running_perplexity),
    "means weighted by their sizes": (
        "corpus_perplexity",
        lambda batches: math.e ** (sum(b.mean() * b.numel() for b in batches) / sum(b.numel() for b in batches)),
    ),
    "a product of powers, in float64": (
        "corpus_perplexity",
        lambda batches: torch.cat(batches).double().div(sum(map(len, batches))).exp().prod(),
    ),
    "in bits": (
        "corpus_perplexity",
        lambda batches: (torch.cat(batches) / math.log(2)).mean().exp2(),
    ),
    "a sum of logs": (
        "poisson_nll",
        lambda z, y: (
            (
                (z.exp() - y * z).sum()
                + sum(math.log(k) for count in y.flatten().tolist() for k in range(2, int(count) + 1))
            )
            / y.numel()
        ),
    ),
    "counts in float64": (
        "poisson_nll",
        lambda z, y: (z.double().exp() - y * z.double() + torch.lgamma(y.double() + 1)).mean(),
    ),
    "counts in float64 and back": (
        "poisson_nll",
        lambda z, y: (z.double().exp() - y * z.double() + torch.lgamma(y.double() + 1)).float().mean(),
    ),
    "powers of e, terms averaged apart": (
        "poisson_nll",
        lambda z, y: (math.e**z).mean() - (y * z).mean() + torch.lgamma(1 + y).mean(),
    ),
    "Python's sum of rows": ("nll_python_sum", lambda log_p, y: sum(-picked(log_p, y)) / len(y)),
    "Python's sum of floats": ("nll_python_sum", lambda log_p, y: -sum(picked(log_p, y).tolist()) / len(y)),
    "Python's sum of NumPy's numbers": (
        "nll_python_sum",
        lambda log_p, y: -sum(log_p.numpy()[np.arange(len(y)), y.numpy()]) / len(y),
    ),
    "Python's sum of a generator": (
        "nll_python_sum",
        lambda log_p, y: sum(-log_p[n, k] for n, k in enumerate(y)) / len(y),
    ),
    "a for loop": ("nll_python_sum", summed_in_a_loop),
    "torch.sum first": ("nll_torch_sum", lambda log_p, y: -torch.sum(picked(log_p, y)) / len(y)),
    "the method": ("nll_torch_sum", lambda log_p, y: log_p.gather(1, y[:, None]).sum().neg() / y.numel()),
    "torch.sum in float64": (
        "nll_torch_sum",
        lambda log_p, y: -torch.sum(picked(log_p, y), dtype=torch.float64) / len(y),
    ),
    "the trace, by einsum": (
        "nll_torch_sum",
        lambda log_p, y: -torch.einsum("nn->", log_p[:, y]) / len(y),
    ),
}


@pytest.mark.parametrize("style", RIGHT)
def test_a_right_function_in_another_style_passes(named, style):
    name, function = RIGHT[style]
    report = check(named(name, function))
    assert report.passed, report


OWN = {
    "nll_loss": ("nll_by_index", F.nll_loss),
    "nll_loss that ignores": ("nll_ignoring", lambda log_p, y, index: F.nll_loss(log_p, y, ignore_index=index)),
    "NLLLoss": ("nll_class_weights", lambda log_p, y, w: torch.nn.NLLLoss(w)(log_p, y)),
    "nll_loss of images": ("nll_dense", lambda log_p, y: F.nll_loss(log_p, y, reduction="none")),
    "poisson_nll_loss": ("poisson_nll", lambda z, y: F.poisson_nll_loss(z, y) + torch.lgamma(y + 1).mean()),
    "nll_loss without a sum": ("nll_torch_sum", F.nll_loss),
    "cross_entropy of log-probabilities": ("nll_by_index", lambda log_p, y: F.cross_entropy(log_p, y)),
    "the operation itself": ("nll_by_index", lambda log_p, y: torch.ops.aten.nll_loss(log_p, y)),
}


@pytest.mark.parametrize("way", OWN)
def test_pytorchs_own_loss_is_no_answer(named, way):
    name, function = OWN[way]
    report = check(named(name, function))
    assert report.state == "failed"
    assert "asks you to write" in repr(report)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("nll_by_index", lambda log_p, y: nll_loss(log_p, y)),
        ("nll_by_index", lambda log_p, y: cross_entropy(log_p, y)),
        ("poisson_nll", lambda z, y: poisson_nll_loss(z, y) + torch.lgamma(y + 1).mean()),
    ],
)
def test_the_courses_own_loss_is_no_answer(name, function):
    function.__name__ = name
    report = check(function)
    assert report.state == "failed"
    assert "asks you to write" in repr(report)


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(named, name):
    def stub(*args):
        raise NotImplementedError

    report = check(named(name, stub))
    assert report.state == "not attempted"
    assert report.points == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_a_mistake_and_another_style(name):
    assert name in {wrong for wrong, _ in WRONG.values()}
    assert name in {right for right, _ in RIGHT.values()}
