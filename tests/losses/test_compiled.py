"""Compiled, a loss is one graph, and returns what it returns uncompiled."""

import os
import shutil

import pytest
import torch

from lossbook import cards, losses
from lossbook.cards import Draw

N, K = 6, 4
SPREAD, LATER = 5000, 7000  # sums long enough for every way that a compiler has to add


def numbers(n):
    return torch.randn(n, generator=torch.Generator().manual_seed(n))


def rates(n):
    return numbers(n).sigmoid()


def logits(n):
    return numbers(n * K).reshape(n, K)


def classes(n):
    return torch.arange(n) % K


# By its card, the trials of each loss that are to be compiled, by their places among all its trials.
SIZES = {"elements": lambda n: (n,), "classes": lambda n: (n, K)}


def trials(name, n):
    """Return a loss's trials with n samples."""
    card = cards.every()[name]
    return list(card.trials(Draw.seeded(SIZES[card.kind](n), torch.float32, n)))


CASES = [
    (name, place)
    for name in losses.__all__
    if name in cards.every()
    for place, trial in enumerate(trials(name, N))
    if trial.compiled
]


def askew(x):
    """Return the same numbers, their memory beginning one element into another's."""
    return torch.cat([x[:1], x])[1:]


def value_and_gradient(loss, args, options):
    input = args[0].clone().requires_grad_()
    value = loss(input, *args[1:], **options)
    (gradient,) = torch.autograd.grad(value.sum(), input)
    return value.detach(), gradient


def test_every_loss_is_compiled():
    assert {name for name, _ in CASES} == set(losses.__all__)
    assert len(CASES) >= 20


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "place"), CASES)
def test_one_graph_of_any_size_with_the_same_values(name, place):
    loss = cards.of(name).loss
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=True)
    for n in (N, SPREAD, LATER):
        trial = trials(name, n)[place]
        args = trial.args[0], *map(askew, trial.args[1:])
        mine = value_and_gradient(compiled, args, trial.options)
        theirs = value_and_gradient(loss, args, trial.options)
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b)


REFUSED = {
    "binary_cross_entropy, input": (
        losses.binary_cross_entropy,
        (rates(N) + 1, rates(N)),
        "input has elements outside",
    ),
    "binary_cross_entropy, target": (losses.binary_cross_entropy, (rates(N), -rates(N)), "target has elements outside"),
    "gaussian_nll_loss": (losses.gaussian_nll_loss, (numbers(N), numbers(N), -rates(N)), "var has negative"),
    "cross_entropy": (losses.cross_entropy, (logits(N), classes(N) + 1), "index|bounds"),
    "nll_loss": (losses.nll_loss, (logits(N), classes(N) - 1), "index|bounds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_graph_still_refuses_wrong_values(name):
    loss, args, message = REFUSED[name]
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    with pytest.raises(RuntimeError, match=message):
        compiled(*args)


def test_a_compiled_gradient_is_never_lost():
    """Whatever computes it: the backward pass, a transform inside the graph, or one outside."""
    z, y = numbers(N), rates(N + 1)[1:]
    eager = torch.func.grad(losses.binary_cross_entropy_with_logits)(z, y)
    assert eager.abs().min() > 0
    for wrapped in (
        lambda loss: torch.compile(torch.func.grad(loss), backend="aot_eager"),
        lambda loss: torch.compile(torch.func.jacrev(loss), backend="aot_eager"),
        lambda loss: lambda z, y: value_and_gradient(torch.compile(loss, backend="aot_eager"), (z, y), {})[1],
    ):
        torch.compiler.reset()
        torch.testing.assert_close(wrapped(losses.binary_cross_entropy_with_logits)(z, y), eager)


def test_a_long_float32_sum_is_compiled_as_a_cascade():
    """As chapter 7 says, whose loss this is: a single running total would round far more."""
    if shutil.which("g++") is None and os.environ.get("CI") != "true":
        pytest.skip("there is no C++ compiler")
    from torch._inductor.utils import run_and_get_code  # seconds, which the other tests need not spend

    x, y = numbers(100_000), numbers(100_001)[1:]
    torch.compiler.reset()
    _, loops = run_and_get_code(torch.compile(losses.mse_loss), x, y)
    assert any("cascade" in loop.lower() for loop in loops)
