"""The exercises of lesson 05: its solutions pass, what people really write wrong does not."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.exercises import check

NAMES = (
    "nll_by_index",
    "nll_ignoring",
    "nll_class_weights",
    "nll_dense",
    "corpus_perplexity",
    "poisson_nll",
    "nll_python_sum",
    "nll_torch_sum",
    "predict_nll_ratio",
    "nll_apart",
    "predict_nll_operations",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("05-nll")[name])
    assert report.passed, report


def picked(log_p, y):
    return log_p[torch.arange(len(y)), y]


def masked(log_p, y, index):
    return picked(log_p, y.where(y != index, 0)) * (y != index)


def stirling(y):
    return torch.where(y > 1, y * y.log() - y + 0.5 * (2 * math.pi * y).log(), 0)


WRONG = {
    "no minus": ("nll_by_index", lambda log_p, y: picked(log_p, y).mean()),
    "sum for mean": ("nll_by_index", lambda log_p, y: -picked(log_p, y).sum()),
    "a second logarithm": ("nll_by_index", lambda log_p, y: -picked(log_p, y).exp().add(1e-9).log().mean()),
    "the exponential": ("nll_by_index", lambda log_p, y: -picked(log_p, y).exp().mean()),
    "whole columns picked": ("nll_by_index", lambda log_p, y: -log_p[:, y].mean()),
    "the largest and not the right one": ("nll_by_index", lambda log_p, y: -log_p.amax(1).mean()),
    "gathered along the samples": ("nll_by_index", lambda log_p, y: -log_p.gather(0, y[None] % len(y)).mean()),
    "divided by the number of entries": ("nll_by_index", lambda log_p, y: -picked(log_p, y).sum() / log_p.numel()),
    "one-hot product": (
        "nll_by_index",
        lambda log_p, y: -(F.one_hot(y, log_p.shape[1]) * log_p).sum(1).mean(),
    ),
    "a softmax of its own": ("nll_by_index", lambda log_p, y: -picked(log_p.softmax(1), y).mean()),
    "nothing ignored": ("nll_ignoring", lambda log_p, y, index: -picked(log_p, y.clamp(min=0)).mean()),
    "divided by all": ("nll_ignoring", lambda log_p, y, index: -masked(log_p.nan_to_num(), y, index).mean()),
    "nan times 0": (
        "nll_ignoring",
        lambda log_p, y, index: -masked(log_p, y, index).sum() / (y != index).sum(),
    ),
    "always −100": ("nll_ignoring", lambda log_p, y, index: F.nll_loss(log_p, y)),
    "always 0": ("nll_ignoring", lambda log_p, y, index: F.nll_loss(log_p, y.clamp(min=0), ignore_index=0)),
    "0 where nothing counts": (
        "nll_ignoring",
        lambda log_p, y, index: F.nll_loss(log_p, y, ignore_index=index).nan_to_num(),
    ),
    "ignored and counted exchanged": (
        "nll_ignoring",
        lambda log_p, y, index: -picked(log_p[y == index], y[y == index].clamp(min=0)).mean(),
    ),
    "weights averaged by N": ("nll_class_weights", lambda log_p, y, w: -(w[y] * picked(log_p, y)).mean()),
    "divided by the sum of all weights": (
        "nll_class_weights",
        lambda log_p, y, w: -(w[y] * picked(log_p, y)).sum() / w.sum(),
    ),
    "weights of samples, not classes": (
        "nll_class_weights",
        lambda log_p, y, w: -(w[: len(y)] * picked(log_p, y)[: len(w)]).sum() / w.sum(),
    ),
    "the sum": ("nll_class_weights", lambda log_p, y, w: -(w[y] * picked(log_p, y)).sum()),
    "not weighted": ("nll_class_weights", lambda log_p, y, w: -picked(log_p, y).mean()),
    "weights inside the log": (
        "nll_class_weights",
        lambda log_p, y, w: -(picked(log_p, y) + w[y].log()).mean(),
    ),
    "the mean of the places": ("nll_dense", lambda log_p, y: F.nll_loss(log_p, y)),
    "classes last": ("nll_dense", lambda log_p, y: -log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1)),
    "the dimension of 1 kept": ("nll_dense", lambda log_p, y: -log_p.gather(1, y.unsqueeze(1))),
    "every 1 squeezed away": ("nll_dense", lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)).squeeze()),
    "flattened without a permutation": (
        "nll_dense",
        lambda log_p, y: -picked(log_p.reshape(-1, log_p.shape[1]), y.reshape(-1)).reshape(y.shape),
    ),
    "no minus in the picture": ("nll_dense", lambda log_p, y: log_p.gather(1, y.unsqueeze(1)).squeeze(1)),
    "the mean of batch perplexities": (
        "corpus_perplexity",
        lambda batches: sum(b.mean().exp() for b in batches) / len(batches),
    ),
    "the mean of batch means": (
        "corpus_perplexity",
        lambda batches: torch.exp(sum(b.mean() for b in batches) / len(batches)),
    ),
    "the mean of exponentials": ("corpus_perplexity", lambda batches: torch.cat(batches).exp().mean()),
    "base two for nats": ("corpus_perplexity", lambda batches: torch.cat(batches).mean().exp2()),
    "no exponential": ("corpus_perplexity", lambda batches: torch.cat(batches).mean()),
    "divided by batches": (
        "corpus_perplexity",
        lambda batches: torch.exp(sum(b.sum() for b in batches) / len(batches)),
    ),
    "the probability": ("corpus_perplexity", lambda batches: torch.exp(-torch.cat(batches).mean())),
    "PyTorch's default": ("poisson_nll", lambda z, y: F.poisson_nll_loss(z, y)),
    "Stirling": ("poisson_nll", lambda z, y: (z.exp() - y * z + stirling(y)).mean()),
    "log (y − 1)!": ("poisson_nll", lambda z, y: (z.exp() - y * z + torch.lgamma(y.clamp(min=0.5))).mean()),
    "the log-rate taken for a rate": ("poisson_nll", lambda z, y: (z - y * z.log() + torch.lgamma(y + 1)).mean()),
    "the factorial's sign": ("poisson_nll", lambda z, y: (z.exp() - y * z - torch.lgamma(y + 1)).mean()),
    "the factorial without a log": ("poisson_nll", lambda z, y: (z.exp() - y * z + torch.lgamma(y + 1).exp()).mean()),
    "the log-likelihood": ("poisson_nll", lambda z, y: (y * z - z.exp() - torch.lgamma(y + 1)).mean()),
    "the sum of the counts": ("poisson_nll", lambda z, y: (z.exp() - y * z + torch.lgamma(y + 1)).sum()),
    "the squared error of the rate": ("poisson_nll", lambda z, y: ((z.exp() - y) ** 2).mean()),
    "a running sum, not divided": ("nll_python_sum", lambda log_p, y: sum(-picked(log_p, y))),
    "divided by the entries": ("nll_torch_sum", lambda log_p, y: -picked(log_p, y).sum() / log_p.numel()),
    "the log of a softmax": ("nll_apart", lambda z, y: F.nll_loss(z.softmax(1).log(), y)),
    "a small number inside the log": ("nll_apart", lambda z, y: F.nll_loss((z.softmax(1) + 1e-9).log(), y)),
    "no log-softmax": ("nll_apart", lambda z, y: F.nll_loss(z, y)),
    "no log": ("nll_apart", lambda z, y: F.nll_loss(z.softmax(1), y)),
    "softmax along the samples": ("nll_apart", lambda z, y: F.nll_loss(z.log_softmax(0), y)),
    "log-sum-exp as on paper": ("nll_apart", lambda z, y: (z.exp().sum(1).log() - picked(z, y)).mean()),
    "softmax first": ("nll_apart", lambda z, y: F.cross_entropy(z.softmax(1), y)),
    "a prediction of nothing": ("predict_nll_ratio", lambda: 0),
    "a prediction in words": ("predict_nll_operations", lambda: "two"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_function_fails(named, mistake):
    name, function = WRONG[mistake]
    report = check(named(name, function))
    assert report.state == "failed", report
    assert report.points == 0
    assert all(failure.note or name.startswith("predict_") for failure in report.failures)


def by_loop(log_p, y):
    return -torch.stack([row[k] for row, k in zip(log_p, y, strict=True)]).mean()


def in_place(log_p, y):
    each = picked(log_p, y).clone()
    return each.neg_().mean()


def permuted(log_p, y):
    rows = log_p.movedim(1, -1)
    return -rows.reshape(-1, rows.shape[-1])[torch.arange(y.numel()), y.reshape(-1)].reshape(y.shape)


def counted_loop(log_p, y, ignore_index):
    each = [-log_p[n, k] for n, k in enumerate(y.tolist()) if k != ignore_index]
    return sum(each) / len(each) if each else torch.tensor(math.nan)


def own_log_softmax(z, y):
    shifted = z - z.max(1, keepdim=True).values.detach()
    return (shifted.exp().sum(1).log() - picked(shifted, y)).mean()


RIGHT = {
    "two index tensors": ("nll_by_index", lambda log_p, y: -picked(log_p, y).mean()),
    "a loop": ("nll_by_index", by_loop),
    "in place": ("nll_by_index", in_place),
    "in float64": ("nll_by_index", lambda log_p, y: -picked(log_p.double(), y).mean()),
    "take along a dimension": (
        "nll_by_index",
        lambda log_p, y: -torch.take_along_dim(log_p, y[:, None], 1).sum() / y.numel(),
    ),
    "the diagonal": ("nll_by_index", lambda log_p, y: -log_p[:, y].diagonal().mean()),
    "torch.where": (
        "nll_ignoring",
        lambda log_p, y, index: (
            -torch.where(y != index, picked(log_p, y.masked_fill(y == index, 0)), 0).sum() / (y != index).sum()
        ),
    ),
    "a loop over those that count": ("nll_ignoring", counted_loop),
    "PyTorch's": ("nll_ignoring", lambda log_p, y, index: F.nll_loss(log_p, y, ignore_index=index)),
    "einsum": (
        "nll_class_weights",
        lambda log_p, y, w: -torch.einsum("n,n->", w[y], picked(log_p, y)) / w[y].sum(),
    ),
    "average of numpy": (
        "nll_python_sum",
        lambda log_p, y: float(np.mean(-log_p.numpy()[np.arange(len(y)), y.numpy()])),
    ),
    "classes moved last": ("nll_dense", permuted),
    "squeezed by indexing": ("nll_dense", lambda log_p, y: -log_p.gather(1, y[:, None])[:, 0]),
    "all tokens at once": ("corpus_perplexity", lambda batches: torch.cat(batches).mean().exp()),
    "a number": ("corpus_perplexity", lambda batches: math.exp(np.concatenate([b.numpy() for b in batches]).mean())),
    "in bits": (
        "corpus_perplexity",
        lambda batches: (torch.cat(batches) / math.log(2)).mean().exp2(),
    ),
    "the library's distribution": (
        "poisson_nll",
        lambda z, y: -torch.distributions.Poisson(z.exp()).log_prob(y).mean(),
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
    "log-sum-exp": ("nll_apart", lambda z, y: (torch.logsumexp(z, 1) - picked(z, y)).mean()),
    "a log-softmax of one's own": ("nll_apart", own_log_softmax),
    "log-softmax twice": ("nll_apart", lambda z, y: F.cross_entropy(z.log_softmax(1), y)),
    "Python's sum of rows": ("nll_python_sum", lambda log_p, y: sum(-picked(log_p, y)) / len(y)),
    "torch.sum first": ("nll_torch_sum", lambda log_p, y: -torch.sum(picked(log_p, y)) / len(y)),
    "a whole number": ("predict_nll_ratio", lambda: 800),
    "half an operation": ("predict_nll_operations", lambda: 1.5),
}


@pytest.mark.parametrize("style", RIGHT)
def test_a_right_function_in_another_style_passes(named, style):
    name, function = RIGHT[style]
    report = check(named(name, function))
    assert report.passed, report


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(named, name):
    def stub(*args):
        raise NotImplementedError

    report = check(named(name, stub))
    assert report.state == "not attempted"
    assert report.points == 0


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("predict_")])
def test_every_exercise_has_a_mistake_and_another_style(name):
    assert name in {wrong for wrong, _ in WRONG.values()}
    assert name in {right for right, _ in RIGHT.values()}
