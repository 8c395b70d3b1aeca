"""The exercises of lesson 03: its solutions pass, what people really write wrong does not."""

import pytest
import torch
import torch.nn.functional as F

from lossbook.exercises import check

NAMES = (
    "sigmoid",
    "bce",
    "bce_gradient",
    "bce_with_logits",
    "bce_pos_weight",
    "bce_python_sum",
    "bce_torch_sum",
    "predict_bce_ratio",
    "pairwise_sum",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("03-bce")[name])
    assert report.passed, report


def each(p, y):
    return -(y * p.log() + (1 - y) * (1 - p).log())


def running_total(x):
    total = x.new_zeros(())
    for item in x[:2000]:
        total = total + item
    return total * (len(x) / min(len(x), 2000))


WRONG = {
    "the exponential of a positive number": ("sigmoid", lambda z: z.exp() / (1 + z.exp())),
    "the minus forgotten": ("sigmoid", lambda z: 1 / (1 + z.exp())),
    "tanh for sigmoid": ("sigmoid", torch.tanh),
    "no minus": ("bce", lambda p, y: -each(p, y).mean()),
    "sum for mean": ("bce", lambda p, y: each(p, y).sum()),
    "the positive term alone": ("bce", lambda p, y: -(y * p.log()).mean()),
    "arguments swapped": ("bce", lambda p, y: each(y.clamp(0.01, 0.99), p).mean()),
    "base two": ("bce", lambda p, y: each(p, y).mean() / 0.6931),
    "labels turned": ("bce", lambda p, y: each(p, 1 - y).mean()),
    "the gradient's sign": ("bce_gradient", lambda z, y: (y - torch.sigmoid(z)) / len(z)),
    "the gradient of the sum": ("bce_gradient", lambda z, y: torch.sigmoid(z) - y),
    "the squared error's gradient": (
        "bce_gradient",
        lambda z, y: 2 * (torch.sigmoid(z) - y) * torch.sigmoid(z) * (1 - torch.sigmoid(z)) / len(z),
    ),
    "probability formed first": ("bce_with_logits", lambda z, y: F.binary_cross_entropy(torch.sigmoid(z), y)),
    "log of one plus exp": ("bce_with_logits", lambda z, y: (torch.log(1 + z.exp()) - y * z).mean()),
    "a small number added inside the log": (
        "bce_with_logits",
        lambda z, y: -(y * (torch.sigmoid(z) + 1e-7).log() + (1 - y) * (1 - torch.sigmoid(z) + 1e-7).log()).mean(),
    ),
    "both terms weighted": ("bce_pos_weight", lambda z, y, c: c * F.binary_cross_entropy_with_logits(z, y)),
    "divided by the weights' sum": (
        "bce_pos_weight",
        lambda z, y, c: (
            F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(c), reduction="sum")
            / (1 + (c - 1) * y).sum()
        ),
    ),
    "the negative term weighted": (
        "bce_pos_weight",
        lambda z, y, c: F.binary_cross_entropy_with_logits(-z, 1 - y, pos_weight=torch.tensor(c)),
    ),
    "the sum not divided": ("bce_torch_sum", lambda p, y: torch.sum(each(p, y))),
    "a mean of positives": ("bce_python_sum", lambda p, y: sum(each(p, y)) / y.sum()),
    "one running total": ("pairwise_sum", running_total),
    "the odd one dropped": ("pairwise_sum", lambda x: x[: len(x) // 2 * 2].sum()),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_people_get_wrong_fails(named, what):
    name, wrong = WRONG[what]
    report = check(named(name, wrong))
    assert report.state == "failed", f"{what}: {report}"


def bce_by_loop(p, y):
    total = 0
    for pn, yn in zip(p.flatten(), y.flatten(), strict=True):
        total = total - yn * pn.log() - (1 - yn) * (1 - pn).log()
    return total / p.numel()


def pairs_by_recursion(x):
    if len(x) == 1:
        return x[0]
    middle = len(x) // 2
    return pairs_by_recursion(x[:middle]) + pairs_by_recursion(x[middle:]) if len(x) < 64 else x.double().sum().float()


RIGHT = {
    "a loop": ("bce", bce_by_loop),
    "einsum": (
        "bce",
        lambda p, y: -(torch.einsum("n,n", y, p.log()) + torch.einsum("n,n", 1 - y, (1 - p).log())) / len(p),
    ),
    "where": ("bce", lambda p, y: torch.where(y == 1, -p.log(), each(p, y)).mean()),
    "float64 inside": ("bce", lambda p, y: each(p.double(), y.double()).mean().float()),
    "softplus": ("bce_with_logits", lambda z, y: (F.softplus(z) - y * z).mean()),
    "logsigmoid": ("bce_with_logits", lambda z, y: -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).mean()),
    "logaddexp": ("bce_with_logits", lambda z, y: (torch.logaddexp(z, torch.zeros_like(z)) - y * z).mean()),
    "clamp and abs": (
        "bce_with_logits",
        lambda z, y: (z.clamp(min=0) - y * z + torch.log1p(torch.exp(-z.abs()))).mean(),
    ),
    "in place": ("bce_gradient", lambda z, y: z.sigmoid_().sub_(y).div_(len(z))),
    "by recursion": ("pairwise_sum", pairs_by_recursion),
}


@pytest.mark.parametrize("what", RIGHT)
def test_every_right_style_passes(named, what):
    name, right = RIGHT[what]
    report = check(named(name, right))
    assert report.passed, f"{what}: {report}"
