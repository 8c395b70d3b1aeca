"""Compiled, a loss is one graph, and returns what it returns uncompiled."""

import os
import shutil

import pytest
import torch

from lossbook import losses

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


def some_ignored(n):
    return classes(n).masked_fill(torch.arange(n) % 3 == 0, -100)


def class_weights():
    return torch.arange(1.0, K + 1)


CASES = {
    "mse": (losses.mse_loss, lambda n: (numbers(n), numbers(n + 1)[1:]), {}),
    "mse, sum": (losses.mse_loss, lambda n: (numbers(n), numbers(n + 1)[1:]), {"reduction": "sum"}),
    "mse, none": (losses.mse_loss, lambda n: (numbers(n), numbers(n + 1)[1:]), {"reduction": "none"}),
    "mse, mixed": (losses.mse_loss, lambda n: (numbers(n).half(), numbers(n + 1)[1:]), {}),
    "mse, weighted": (lambda x, y, w: losses.mse_loss(x, y, weight=w), lambda n: (*[numbers(n)] * 2, rates(n)), {}),
    "l1": (losses.l1_loss, lambda n: (numbers(n), numbers(n + 1)[1:]), {}),
    "smooth l1": (losses.smooth_l1_loss, lambda n: (numbers(n), numbers(n + 1)[1:]), {"beta": 0.3}),
    "huber": (losses.huber_loss, lambda n: (numbers(n), numbers(n + 1)[1:]), {"delta": 0.3}),
    "huber, half": (losses.huber_loss, lambda n: (numbers(n).half(), numbers(n + 1)[1:].half()), {}),
    "bce of logits": (losses.binary_cross_entropy_with_logits, lambda n: (numbers(n), rates(n)), {}),
    "cross-entropy": (losses.cross_entropy, lambda n: (logits(n), some_ignored(n)), {}),
    "cross-entropy, options": (
        lambda z, y, w: losses.cross_entropy(z, y, w, label_smoothing=0.1, reduction="sum"),
        lambda n: (logits(n), some_ignored(n), class_weights()),
        {},
    ),
    "cross-entropy, probabilities": (losses.cross_entropy, lambda n: (logits(n), logits(n + 1)[1:].softmax(1)), {}),
    "nll": (losses.nll_loss, lambda n: (logits(n).log_softmax(1), some_ignored(n)), {}),
    "nll, weighted": (losses.nll_loss, lambda n: (logits(n).log_softmax(1), some_ignored(n), class_weights()), {}),
    "gaussian": (losses.gaussian_nll_loss, lambda n: (numbers(n), numbers(n + 1)[1:], rates(n) + 0.1), {}),
    "bce": (losses.binary_cross_entropy, lambda n: (rates(n), rates(n + 1)[1:]), {}),
    "bce, certain": (
        losses.binary_cross_entropy,
        lambda n: (rates(n).round(), rates(n).round()),
        {"reduction": "none"},
    ),
    "poisson": (losses.poisson_nll_loss, lambda n: (numbers(n), classes(n).float()), {"full": True}),
    "kl": (
        losses.kl_div,
        lambda n: (logits(n).log_softmax(1), logits(n + 1)[1:].softmax(1)),
        {"reduction": "batchmean"},
    ),
}


def value_and_gradient(loss, args, options):
    input = args[0].clone().requires_grad_()
    value = loss(input, *args[1:], **options)
    (gradient,) = torch.autograd.grad(value.sum(), input)
    return value.detach(), gradient


@pytest.mark.parametrize("case", CASES)
def test_one_graph_of_any_size_with_the_same_values(case):
    loss, make, options = CASES[case]
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=True)
    for n in (N, SPREAD, LATER):
        mine = value_and_gradient(compiled, make(n), options)
        theirs = value_and_gradient(loss, make(n), options)
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
