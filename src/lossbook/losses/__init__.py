"""Reference implementations: PyTorch's losses, each the last line of its derivation.

Names, arguments, defaults and order are those of ``torch.nn.functional``,
without the deprecated ``size_average`` and ``reduce``. PyTorch has those two
among the options, so options that follow them are passed by keyword to both.
"""

from lossbook.losses.bce import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
)
from lossbook.losses.kl import kl_div
from lossbook.losses.mse import (
    gaussian_nll_loss,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from lossbook.losses.multiclass import cross_entropy
from lossbook.losses.nll import nll_loss, poisson_nll_loss

# No losses, so not among PyTorch's names below: chapter 7's sums.
from lossbook.losses.summation import compensated_sum as compensated_sum
from lossbook.losses.summation import pairwise_sum as pairwise_sum
from lossbook.losses.summation import sequential_sum as sequential_sum
from lossbook.losses.summation import sum_error_bound as sum_error_bound
from lossbook.losses.summation import unit_roundoff as unit_roundoff

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]
