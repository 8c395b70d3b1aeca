"""The references, written to be read, move no more than a few times the bytes that PyTorch's own losses move.

Time on a busy machine proves nothing; bytes are the same on every machine. A branch for each element, or a gradient
that is computed and thrown away, shows here.
"""

import pytest
import torch

from lossbook import cards, losses
from lossbook.cards import Draw
from lossbook.timing import work_of

SIZES = {"elements": (1000,), "classes": (64, 100)}


def step(loss, input, *others):
    there = input.clone().requires_grad_()

    def call():
        there.grad = None
        loss(there, *others).backward()

    return call


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("name", losses.__all__)
def test_forward_and_backward_move_a_few_times_the_bytes_at_most(name):
    """Of PyTorch's, or of the definition's where PyTorch has none; how many times at most stands on the card."""
    card = cards.of(name)
    args = card.inputs(Draw.seeded(SIZES[card.kind], torch.float32, 0))
    ours, theirs = work_of(step(card.loss, *args)), work_of(step(card.held_against, *args))
    assert ours.bytes == theirs.bytes, "what must move is the problem's, not the implementation's"
    assert ours.moved <= card.limit.times * theirs.moved
