"""A pytest plugin: three losses that the course does not have are public in the run that loads it.

``log_cosh_loss`` has no twin in PyTorch, and is right. ``twice_log_cosh_loss`` has none either, and is twice what its
card says. ``soft_margin_loss`` has one, and is twice PyTorch's.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbook import cards, losses
from lossbook.cards import Card, Case, Hard, Trial
from lossbook.cards import lazy_mpmath as mpmath
from lossbook.losses.arguments import require_reduction, tensors
from lossbook.losses.recipe import reduce


def log_cosh_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    r"""Logarithm of the hyperbolic cosine of the error: quadratic near 0, absolute far away.

    .. math::

        \ell = \log \frac{e^{\hat{y} - y} + e^{y - \hat{y}}}{2}

    Args:
        input: Predictions, shape ``(*)``.
        target: Observations, shape ``(*)``.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss.

    Raises:
        TypeError: An argument is not a tensor.

    Source:
        A test.
    """

    require_reduction(reduction)
    y_hat, y = tensors(input, target)
    wide = torch.float64 if y_hat.dtype == torch.float64 else torch.float32
    r = y_hat.to(wide) - y.to(wide)
    far = torch.where(r < 0, -r, r)
    exact = far + torch.log1p(torch.exp(-2 * far)) - math.log(2)
    near = r * r / 2 - r**4 / 12  # where the other cancels
    return reduce(torch.where(far < 1e-3, near, exact).to(y_hat.dtype), reduction)


def twice_log_cosh_loss(input, target, reduction="mean"):
    return 2 * log_cosh_loss(input, target, reduction)


def soft_margin_loss(input, target, reduction="mean"):
    return 2 * reduce(torch.log1p(torch.exp(-target * input)), reduction)


def log_cosh(y_hat: Tensor, y: Tensor) -> Tensor:
    r = y_hat - y
    return torch.log((torch.exp(r) + torch.exp(-r)) / 2)


def soft_margin(z: Tensor, y: Tensor) -> Tensor:
    return torch.log(1 + torch.exp(-y * z))


def _pairs(draw):
    return draw.normal(), draw.normal()


def _trials(draw):
    for reduction in ("none", "mean", "sum"):
        yield Trial(_pairs(draw), {"reduction": reduction}, by=2, compiled=reduction == "mean")


def _exact(x, y, option):
    r = x[0] - y[0]
    return mpmath.log(mpmath.cosh(r)), [mpmath.tanh(r)]


def _margins(draw):
    return draw.normal(), 2 * draw.labels() - 1


def _trials_of_margins(draw):
    for reduction in ("none", "mean", "sum"):
        yield Trial(_margins(draw), {"reduction": reduction}, compiled=reduction == "mean")


def _exact_margin(x, y, option):
    tail = mpmath.exp(-y[0] * x[0])
    return mpmath.log1p(tail), [-y[0] * tail / (1 + tail)]


SYMBOLS = r"""
\ell:
  is: the loss
  code: log_cosh_loss(\hat{y}, y, reduction='none')
\hat{y}, y: {is: prediction and observation, in: real}
"""


def without_a_twin(loss) -> Card:
    """Return the card of the loss without a twin, for one that is right or for one that is not."""
    hard = Hard(
        paper="log(cosh r)",
        exact=_exact,
        cases=(
            Case("r = 1, y = 0", (1.0,), (0.0,)),
            Case("r = 20, y = 0", (20.0,), (0.0,)),
            Case("r = 1000, y = 0", (1000.0,), (0.0,)),
        ),
    )
    return Card(
        name=loss.__name__, loss=loss, definition=log_cosh, twin=None, kind="elements", inputs=_pairs, trials=_trials,
        hard=(hard,), symbols=SYMBOLS,
    )  # fmt: skip


def with_a_twin(loss) -> Card:
    """Return the card of PyTorch's soft margin loss, for one that is right or for one that is not."""
    cases = (Case("z = 1, y = 1", (1.0,), (1.0,)), Case("z = −2, y = 1", (-2.0,), (1.0,)))
    return Card(
        name="soft_margin_loss", loss=loss, definition=soft_margin, twin=F.soft_margin_loss, kind="elements",
        inputs=_margins, trials=_trials_of_margins, hard=(Hard("log(1 + exp(−yz))", _exact_margin, cases),), symbols="",
    )  # fmt: skip


def pytest_configure(config) -> None:
    """Make the three losses public."""
    for card in (without_a_twin(log_cosh_loss), without_a_twin(twice_log_cosh_loss), with_a_twin(soft_margin_loss)):
        setattr(losses, card.name, card.loss)
        losses.__all__.append(card.name)
        cards.every()[card.name] = card
