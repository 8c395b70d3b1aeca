"""The losses as they stand on the page: right on paper, written down without a thought for floating point.

Each takes an input and a target in one dtype, and one option, and returns the loss as a tensor of no dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`\hat{y}^2 - 2 \hat{y} y + y^2`, the expanded square."""
    return (x**2 - 2 * x * y + y**2).sum()


def absolute(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`|\hat{y} - y|`."""
    return (x - y).abs().sum()


def smooth(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`r^2 / 2 \beta` or :math:`|r| - \beta / 2`: equation (smooth-l1)."""
    r, beta = x - y, option
    return torch.where(r.abs() < beta, r**2 / (2 * beta), r.abs() - beta / 2).sum()


def huber(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`r^2 / 2` or :math:`\delta (|r| - \delta / 2)`: equation (huber)."""
    r, delta = x - y, option
    return torch.where(r.abs() <= delta, r**2 / 2, delta * (r.abs() - delta / 2)).sum()


def gaussian(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return minus the logarithm of the density: :math:`-\log (e^{-r^2 / 2 v} / \sqrt{v})`."""
    r, v = x - y[:1], y[1:].clamp(min=option)
    return -torch.log(torch.exp(-(r**2) / (2 * v)) / v.sqrt()).sum()


def bernoulli(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`-[y \log p + (1 - y) \log(1 - p)]`: equation (bce)."""
    return -(y * torch.log(x) + (1 - y) * torch.log(1 - x)).sum()


def sigmoid_then_bernoulli(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return the same of :math:`p = 1 / (1 + e^{-z})`."""
    return bernoulli(1 / (1 + torch.exp(-x)), y, option)


def logistic(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`\log(1 + e^z) - y z`: equation (bce-logit)."""
    return (torch.log(1 + torch.exp(x)) - y * x).sum()


def categorical(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`-\log (e^{z_y} / \sum_j e^{z_j})`: equations (multiclass-softmax) and (cross-entropy)."""
    p = torch.exp(x) / torch.exp(x).sum()
    return -torch.log(p[int(y[0])])


def mixed(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`-\sum_k q_k \log p_k` of that p."""
    p = torch.exp(x) / torch.exp(x).sum()
    return -(y * torch.log(p)).sum()


def smoothed(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return the same, with :math:`q = (1 - \varepsilon) [k = y] + \varepsilon / K`."""
    q = torch.full_like(x, option / len(x))
    q[int(y[0])] += 1 - option
    return mixed(x, q, option)


def log_of_softmax(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`-\log p_y` with p from ``torch.softmax``."""
    return -torch.log(torch.softmax(x, 0))[int(y[0])]


def poisson(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`-\log (\lambda^y e^{-\lambda})` with :math:`\lambda = e^z`."""
    return poisson_rate(torch.exp(x), y, 0.0)


def poisson_rate(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`-\log ((\lambda + \varepsilon)^y e^{-\lambda})`."""
    return -torch.log((x + option) ** y * torch.exp(-x)).sum()


def divergence(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`\sum_k q_k (\log q_k - \log p_k)`: equation (kl)."""
    return (y * (torch.log(y) - x)).sum()


def divergence_of_logs(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`\sum_k q_k \log (q_k / p_k)`, both probabilities formed first."""
    p, q = torch.exp(x), torch.exp(y)
    return (q * torch.log(q / p)).sum()


def likelihood(x: Tensor, y: Tensor, option: float) -> Tensor:
    r"""Return :math:`-\log \prod_n p_n`: equation (recipe-likelihood)."""
    return -torch.log(x.prod())
