"""The exercises of lesson 02: mean squared error."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.exercises.core import Case, Exercise, normal, prediction, uniform
from lossbook.losses import gaussian_nll_loss, huber_loss, mse_loss


def pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions and labels of one shape."""
    return [
        Case((torch.tensor([3.0]), torch.tensor([1.0])), note="one error of 2"),
        Case((torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.5, 2.5, 3.5])), note="three errors of −½: a mean of ¼"),
        Case((torch.tensor([0.0, 0.0]), torch.tensor([3.0, -3.0])), note="errors that cancel are errors all the same"),
        Case((normal(generator, 9), normal(generator, 9)), note="random"),
        Case((normal(generator, 4, 3), normal(generator, 4, 3)), note="random, two dimensions: 12 elements"),
        Case((normal(generator, 200), normal(generator, 200)), note="200 of them"),
    ]


def flat_pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions and labels of shape (N,)."""
    return [case for case in pair_cases(generator) if case.args[0].ndim == 1]


def column_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions and labels that belong together and of which one, or none, stands in a column."""
    return [
        Case((torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0])), note="a perfect model, (2, 1) and (2,): 0"),
        Case((torch.tensor([1.0, 2.0, 4.0]), torch.tensor([[1.0], [2.0], [3.0]])), note="(3,) and (3, 1)"),
        Case((normal(generator, 6), normal(generator, 6)), note="(6,) twice"),
        Case((normal(generator, 6, 1), normal(generator, 6, 1)), note="(6, 1) twice"),
        Case((normal(generator, 5, 1), normal(generator, 5)), note="random, (5, 1) and (5,)"),
        Case((torch.tensor([[2.0]]), torch.tensor([0.5])), note="one sample, (1, 1) and (1,)"),
    ]


def mse_of_pairs(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error of predictions and labels paired in order, whatever their shapes."""
    return mse_loss(y_hat.flatten(), y.flatten())


def slope_of_rmse(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the root mean squared error, in float64 inside; 0 where no error is left."""
    r = (y_hat - y).double()
    rmse = (r**2).mean().sqrt()
    return (r / (len(r) * rmse) if rmse > 0 else r).float()


def rmse_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions and labels; some errors have squares outside float32, and one batch has none."""
    zero = torch.zeros(3)
    return [
        Case((torch.tensor([3.0, 4.0]), torch.zeros(2)), note="RMSE is √12.5"),
        Case((torch.tensor([1.0]), torch.tensor([5.0])), note="one sample: the gradient is a sign"),
        Case((normal(generator, 7), normal(generator, 7)), note="random"),
        Case((torch.full((3,), 2.0), torch.full((3,), 2.0)), note="a perfect batch: 0, not nan"),
        Case((torch.tensor([1e-25, -2e-25, 2e-25]), zero), note="the squares underflow to 0, the errors do not"),
        Case((torch.tensor([1e25, -2e25, 2e25]), zero), note="the squares overflow"),
    ]


def nll_by_log_variance(mu: Tensor, y: Tensor, s: Tensor) -> Tensor:
    """Return the mean Gaussian negative log-likelihood of means and log-variances, without its constant."""
    return gaussian_nll_loss(mu, y, torch.exp(s), eps=0.0)


def log_variance_cases(generator: Generator) -> Sequence[Case]:
    """Draw means, labels and log-variances."""
    return [
        Case((torch.tensor([2.0]), torch.tensor([0.0]), torch.tensor([0.0])), note="variance 1: half its square"),
        Case((torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([-3.0])), note="no error: the loss is negative"),
        Case((torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]), torch.tensor([2.0, -2.0])), note="two variances"),
        Case((torch.tensor([1e-6]), torch.zeros(1), torch.tensor([-20.0])), note="variance e^−20: no floor is needed"),
        Case((normal(generator, 9), normal(generator, 9), normal(generator, 9)), note="random"),
        Case((normal(generator, 4, 2), normal(generator, 4, 2), normal(generator, 4, 2)), note="two dimensions"),
    ]


def slope_of_constant_mae(c: Tensor, y: Tensor) -> Tensor:
    """Return the derivative of the mean absolute error of one constant prediction."""
    return torch.sign(c - y).mean()


def constant_cases(generator: Generator) -> Sequence[Case]:
    """Draw one constant prediction and labels, with constants on a label and at the median."""
    y = torch.tensor([1.0, 2.0, 2.0, 3.0, 12.0])
    return [
        Case((torch.tensor(0.0), y), note="all labels lie above: −1"),
        Case((torch.tensor(20.0), y), note="all labels lie below: +1"),
        Case((torch.tensor(2.5), y), note="three below, two above"),
        Case((torch.tensor(3.0), y), note="a label equal to c counts on neither side"),
        Case((torch.tensor(2.5), torch.tensor([1.0, 2.0, 3.0, 1000.0])), note="at the median of an even number: 0"),
        Case((torch.tensor(0.3), normal(generator, 11)), note="random"),
    ]


def huber_of(y_hat: Tensor, y: Tensor, delta: float) -> Tensor:
    """Return the mean Huber loss."""
    return huber_loss(y_hat, y, delta=delta)


def huber_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions, labels and where the parabola ends. No error is 0 or δ: slopes are compared."""
    x = normal(generator, 9, scale=3.0)
    return [
        Case((torch.tensor([0.5]), torch.tensor([0.0]), 1.0), note="a small error: half its square"),
        Case((torch.tensor([5.0]), torch.tensor([0.0]), 1.0), note="a large error: δ(|r| − δ/2)"),
        Case((torch.tensor([-5.0]), torch.tensor([0.0]), 1.0), note="a large error downwards: a loss is not negative"),
        Case((torch.tensor([1.0, 5.0]), torch.zeros(2), 2.0), note="δ = 2, where Smooth L1 is half as large"),
        Case((torch.tensor([0.1, 5.0]), torch.zeros(2), 0.5), note="δ = ½, where Smooth L1 is twice as large"),
        Case((x, normal(generator, 9), 1.5), note="random"),
    ]


def slope_of_loglog(sizes: Tensor, seconds: Tensor) -> Tensor:
    """Return the least-squares slope of log seconds against log sizes."""
    x, y = torch.log(sizes.double()), torch.log(seconds.double())
    x, y = x - x.mean(), y - y.mean()
    return ((x * y).sum() / (x * x).sum()).float()


def scaling_cases(generator: Generator) -> Sequence[Case]:
    """Draw sizes and times: proportional, flat, quadratic, and noisy."""
    n = torch.tensor([1e2, 1e3, 1e4, 1e5])
    noise = torch.exp(0.1 * normal(generator, 4))
    return [
        Case((n, 3e-9 * n), note="proportional: 1, whatever the constant"),
        Case((n, torch.full((4,), 5e-6)), note="flat: 0"),
        Case((n, 1e-12 * n**2), note="quadratic: 2"),
        Case((torch.tensor([10.0, 1000.0]), torch.tensor([1.0, 10.0])), note="two points: half a decade a decade"),
        Case((n, 4e-6 + 4e-10 * n), note="overhead, then bandwidth"),
        Case((n * (1 + uniform(generator, 4)), 1e-8 * n * noise), note="random"),
    ]


EXERCISES = (
    Exercise("mse.mse", 1, mse_loss, pair_cases, gradient=True),
    Exercise("mse.mse_of_columns", 2, mse_of_pairs, column_cases, gradient=True),
    Exercise("mse.rmse_gradient", 3, slope_of_rmse, rmse_cases),
    Exercise("mse.gaussian_nll", 2, nll_by_log_variance, log_variance_cases, gradient=True),
    Exercise("mse.mae_gradient", 2, slope_of_constant_mae, constant_cases),
    Exercise("mse.huber", 2, huber_of, huber_cases, gradient=True),
    Exercise("mse.mse_python_sum", 1, mse_loss, flat_pair_cases),
    Exercise("mse.mse_torch_sum", 1, mse_loss, flat_pair_cases),
    prediction("mse.predict_mse_ratio"),
    prediction("mse.predict_mse_bend"),
    Exercise("mse.mse_scaling_slope", 2, slope_of_loglog, scaling_cases, rtol=1e-3, atol=1e-4),
)
