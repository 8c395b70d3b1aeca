"""Weights, and targets that are ignored."""

import pytest
import torch

from lossbook.losses import weighting


def test_ignored_targets_weigh_nothing():
    y = torch.tensor([0, -100, 2])
    indices, counted, w = weighting.counted_targets(y, -100, torch.tensor([2.0, 3, 5]))
    assert indices.tolist() == [0, 0, 2]
    assert counted.tolist() == [True, False, True]
    assert w.tolist() == [2, 0, 5]
    assert weighting.counted_targets(y, -100, None)[2] is None
    assert weighting.counted_targets(y, -100, torch.tensor([2.0, 3, float("inf")]))[2].tolist() == [2, 0, float("inf")]
    assert weighting.counted_targets(y, -100, torch.tensor([float("inf"), 3, 5]))[2].tolist() == [float("inf"), 0, 5]
    losses, total = weighting.counted_losses(torch.tensor([1.0, float("nan"), 3]), counted, w)
    assert (losses.tolist(), total.item()) == ([2, 0, 15], 7)
    losses, total = weighting.counted_losses(torch.tensor([1.0, float("nan"), 3]), counted, None)
    assert (losses.tolist(), total.item()) == ([1, 0, 3], 2)


@pytest.mark.parametrize("weight", [None, torch.tensor([2.0, 3, 5])])
def test_where_all_targets_are_known_to_count_the_losses_are_the_same(weight):
    y, each = torch.tensor([0, 1, 2, 2]), torch.tensor([1.0, 2, 3, 4])
    known = weighting.counted_targets(y, -100, weight, all_count=True)
    assert known[1] is None
    found = weighting.counted_targets(y, -100, weight)
    assert found[1].all()
    mine, theirs = weighting.counted_losses(each, *known[1:]), weighting.counted_losses(each, *found[1:])
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a, b)
