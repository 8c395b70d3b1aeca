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


READING = {
    "binary_cross_entropy": (
        losses.binary_cross_entropy,
        (rates(N), rates(N + 1)[1:]),
        0,
        "input has elements outside",
    ),
    "gaussian_nll_loss": (losses.gaussian_nll_loss, (numbers(N), numbers(N + 1)[1:], rates(N)), 2, "var has negative"),
}


@pytest.mark.parametrize("name", READING)
def test_those_that_read_values_still_refuse_wrong_ones(name):
    loss, args, wrong, message = READING[name]
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager")
    for mine, theirs in zip(value_and_gradient(compiled, args, {}), value_and_gradient(loss, args, {}), strict=True):
        torch.testing.assert_close(mine, theirs)
    with pytest.raises((ValueError, RuntimeError), match=message):
        compiled(*(-arg if place == wrong else arg for place, arg in enumerate(args)))


def test_a_sum_is_kept_in_float64_while_a_cpu_loop_runs():
    torch.compiler.reset()
    x = torch.full((1 << 20,), 0.3)
    compiled = torch.compile(losses.mse_loss, backend="aot_eager", fullgraph=True)
    exact = (x.double() ** 2).float().double().sum()
    assert compiled(x, torch.zeros_like(x), reduction="sum") == exact.float()


def test_the_compilers_own_float32_sum_is_a_cascade_and_ours_is_not():
    if shutil.which("g++") is None and os.environ.get("CI") != "true":
        pytest.skip("there is no C++ compiler")
    from torch._inductor.utils import run_and_get_code  # seconds, which the other tests need not spend

    x, y = numbers(100_000), numbers(100_001)[1:]
    for loss, cascaded in ((lambda x, y: ((x - y) ** 2).mean(), True), (losses.mse_loss, False)):
        torch.compiler.reset()
        _, loops = run_and_get_code(torch.compile(loss), x, y)
        assert any("cascade" in loop.lower() for loop in loops) is cascaded
