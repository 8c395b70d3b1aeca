"""Numbers printed in widely read tutorials, reproduced; and what they leave unsaid, measured."""

import math

import numpy as np
import pytest
import torch

from lossbook.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from lossbook.losses.multiclass import log_softmax

P = torch.tensor([[0.5, 1, 0.8], [0.2, 0.4, 0.6]])
Y = torch.tensor([[0.0, 1, 0], [0, 0, 1]])
Q = torch.tensor([[0.3, 0.4, 0.3], [0.1, 0.5, 0.4]])


def printed(value, digits):
    """Round a loss as it was printed."""
    return round(value.item(), digits)


def test_mse():
    torch.manual_seed(420)
    y_hat, y = torch.randn(50, 1), torch.randn(50, 1)
    assert printed(mse_loss(y_hat, y), 4) == 2.4869
    assert printed(mse_loss(y_hat, y, reduction="sum"), 4) == 124.3458


def test_bce_of_three_million_random_logits():
    torch.manual_seed(420)
    N = 3_000_000
    x, w, y = torch.rand(N, 4), torch.rand(4, 1), torch.randint(0, 2, (N, 1)).float()
    z = x @ w
    sigma = torch.sigmoid(z)
    assert printed(binary_cross_entropy_with_logits(z, y), 4) == 0.8685
    assert printed(binary_cross_entropy(sigma, y), 4) == 0.8685
    log_likelihood = y * torch.log(sigma) + (1 - y) * torch.log(1 - sigma)
    assert printed(-torch.sum(log_likelihood) / N, 4) == 0.8685
    # Python's sum adds one after the other, in float32; so does a cumulative sum, in less than 17 seconds.
    one_by_one = np.cumsum(log_likelihood.numpy().ravel(), dtype=np.float32)[-1]
    assert round(float(-one_by_one) / N, 4) == 0.8692
    assert math.log(2) < 0.8685  # a coin does better


def test_cross_entropy_of_random_logits():
    torch.manual_seed(420)
    x, w, y = torch.rand(300, 4), torch.rand(4, 3), torch.randint(0, 3, (300,))
    assert printed(cross_entropy(x @ w, y), 4) == 1.1591
    assert printed(nll_loss(log_softmax(x @ w, 1), y), 4) == 1.1591


def test_binary_cross_entropy():
    assert printed(binary_cross_entropy(P, Y), 10) == 0.5912299752
    weight = torch.tensor([[0.1, 0.9, 0.1], [0.1, 0.1, 0.9]])
    assert printed(binary_cross_entropy(P, Y, weight=weight), 10) == 0.1272330731
    assert printed(binary_cross_entropy_with_logits(P, Y), 10) == 0.7678468823
    assert printed(binary_cross_entropy(torch.sigmoid(P), Y), 10) == 0.7678468823
    z = torch.tensor([[5.0, 1, 8], [2, 4, 6]])
    assert printed(binary_cross_entropy_with_logits(z, Y), 10) == 3.2446444035


def test_kl_divergence():
    log_p = log_softmax(P, 1)
    assert printed(kl_div(log_p, Q, reduction="batchmean"), 8) == 0.05779625
    rounded = [[round(p, 4) for p in row] for row in log_p.exp().tolist()]
    assert rounded == [[0.2501, 0.4123, 0.3376], [0.2693, 0.3289, 0.4018]]
    with pytest.warns(UserWarning, match="batchmean"):
        assert printed(kl_div(log_p, Q), 4) == 0.0193
    assert printed(kl_div(P.softmax(1), Q, reduction="batchmean"), 4) == -1.3628


def test_weighted_mean_divides_by_the_weights():
    log_p = -torch.tensor([[0.2, 9], [9, 0.3], [9, 0.4]])
    y, weight = torch.tensor([0, 1, 1]), torch.tensor([1.0, 2])
    torch.testing.assert_close(nll_loss(log_p, y, weight, reduction="none"), torch.tensor([0.2, 0.6, 0.8]))
    assert printed(nll_loss(log_p, y, weight), 6) == 0.32
    assert printed(nll_loss(log_p, y, weight, reduction="sum") / 3, 4) == 0.5333


def test_the_weight_of_bce_is_not_one_dimensional_alone():
    ones = torch.ones(2, 3)
    for weight in (ones, ones[0], ones[:, :1]):
        assert torch.equal(binary_cross_entropy(P, Y, weight=weight), binary_cross_entropy(P, Y))


def test_bce_restricts_its_target_and_ignores_nothing():
    with pytest.raises(RuntimeError, match="target has elements outside"):
        binary_cross_entropy(P, Y + 1)
    with pytest.raises(TypeError, match="ignore_index"):
        binary_cross_entropy(P, Y, ignore_index=0)


def test_a_sigmoid_in_front_is_not_the_same():
    z, y = torch.tensor([200.0], requires_grad=True), torch.tensor([0.0])
    stable, clamped = binary_cross_entropy_with_logits(z, y), binary_cross_entropy(torch.sigmoid(z), y)
    assert (stable.item(), clamped.item()) == (200, 100)
    assert torch.autograd.grad(stable, z)[0].item() == 1
    assert torch.autograd.grad(clamped, z)[0].item() == 0


def test_bce_averages_over_elements():
    total = binary_cross_entropy(P, Y, reduction="sum")
    torch.testing.assert_close(binary_cross_entropy(P, Y), total / 6)


def test_huber_is_smooth_l1_only_at_one():
    x, y = torch.tensor([3.0, 0.1]), torch.zeros(2)
    assert huber_loss(x, y) == smooth_l1_loss(x, y)
    for delta in (0.5, 2.0):
        assert huber_loss(x, y, delta=delta) != smooth_l1_loss(x, y, beta=delta)
        torch.testing.assert_close(huber_loss(x, y, delta=delta), delta * smooth_l1_loss(x, y, beta=delta))
