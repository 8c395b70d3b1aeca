"""The references, written to be read, move no more than a few times the bytes that PyTorch's own losses move.

Time on a busy machine proves nothing; bytes are the same on every machine. A branch for each element, or a gradient
that is computed and thrown away, shows here.
"""

import pytest
import torch
from torch.nn import functional as F

import lossbook.losses
from lossbook.timing import work_of

N = 1000
x, y, v = torch.randn(N), torch.randn(N), torch.rand(N) + 0.1
p, b = torch.rand(N) * 0.98 + 0.01, (torch.rand(N) < 0.5).float()
z, c = torch.randn(64, 100), torch.randint(100, (64,))

LOSSES = {
    "mse_loss": (x, y),
    "l1_loss": (x, y),
    "smooth_l1_loss": (x, y),
    "huber_loss": (x, y),
    "gaussian_nll_loss": (x, y, v),
    "binary_cross_entropy": (p, b),
    "binary_cross_entropy_with_logits": (x, b),
    "cross_entropy": (z, c),
    "nll_loss": (z.log_softmax(1), c),
    "poisson_nll_loss": (x, y.exp().round()),
    "kl_div": (z.log_softmax(1), z.flip(0).softmax(1)),
}


def step(loss, input, *others):
    there = input.clone().requires_grad_()

    def call():
        there.grad = None
        loss(there, *others).backward()

    return call


# PyTorch's logarithms of probabilities are so slow that the reference is faster, for all that it moves.
# The backward pass of ``clamp`` compares with each bound in a pass of its own.
LIMITS = dict.fromkeys(LOSSES, 6) | {"binary_cross_entropy": 11, "huber_loss": 7}


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("name", LOSSES)
def test_forward_and_backward_move_a_few_times_the_bytes_at_most(name):
    ours = work_of(step(getattr(lossbook.losses, name), *LOSSES[name]))
    theirs = work_of(step(getattr(F, name), *LOSSES[name]))
    assert ours.bytes == theirs.bytes, "what must move is the problem's, not the implementation's"
    assert ours.moved <= LIMITS[name] * theirs.moved
