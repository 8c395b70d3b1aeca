"""The wrong functions that people write in lesson 02: mean squared error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lossbook.checks.bounds import operation_by_operation
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, Misconception, exact_sum_for_pythons
from lossbook.losses import gaussian_nll_loss, huber_loss

ROOT = "The loss is in squared units: the average of the squares is already the answer."
HALF = "The ½ belongs to the negative log-likelihood. The mean squared error goes without it."


def mean_of_equal_shapes(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error, and refuse shapes that differ."""
    assert y_hat.shape == y.shape, "shapes differ"
    return ((y_hat - y) ** 2).mean()


def unscaled(y_hat: Tensor, y: Tensor, floor: float = 0.0) -> Tensor:
    """Return the formula of the RMSE's gradient, its squares taken in float32."""
    r = y_hat - y
    return r / (len(r) * ((r**2).mean() + floor).sqrt())


def unscaled_but_for_zero(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the same, and zeros where the mean of the squares is zero."""
    return torch.zeros_like(y) if ((y_hat - y) ** 2).mean() == 0 else unscaled(y_hat, y)


def direction(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the errors divided by the root of their mean square; zeros where all are zero."""
    r = y_hat - y
    largest = r.abs().max()
    if largest == 0:
        return torch.zeros_like(r)
    return r / largest / ((r / largest) ** 2).mean().sqrt()


def two_branches(r: Tensor, delta: float, offset: float) -> Tensor:
    """Return the mean of a parabola up to δ and of a line beyond it, which begins at this offset."""
    return torch.where(r <= delta, 0.5 * r**2, delta * (r - offset)).mean()


def slope(x: Tensor, y: Tensor) -> Tensor:
    """Return the least-squares slope of y against x."""
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / (x * x).sum()


def one_by_one(x: Tensor) -> Any:
    """Add up by the built-in sum of the moment of the call: its steps are counted."""
    return sum(x)


def within(
    add: Callable[[Tensor], Any],
    other: Callable[[Tensor], Any],
    name: str,
    advice: str,
    how: Mapping[str, frozenset[str]],
) -> tuple[Misconception, ...]:
    """Return the misconceptions of a sum made with ``add``; the first adds with the other."""
    return (
        Misconception(name, lambda a, y: other((a - y) ** 2) / len(y), advice, **how),
        Misconception(
            "never divided by N",
            lambda a, y: add((a - y) ** 2),
            "That is the total. The loss is the mean.",
        ),
        Misconception(
            "the square forgotten",
            lambda a, y: add(a - y) / len(y),
            "Without the square, errors of opposite sign cancel.",
        ),
        Misconception(
            "squared after adding up",
            lambda a, y: (add(a - y) / len(y)) ** 2,
            "Each error is squared before it is added: otherwise errors of opposite sign cancel.",
        ),
        Misconception(
            "the absolute error for the squared one",
            lambda a, y: add((a - y).abs()) / len(y),
            "What is added up are squares: `** 2`, not `abs`.",
        ),
        Misconception("the half of the likelihood kept", lambda a, y: add((a - y) ** 2) / (2 * len(y)), HALF),
        Misconception("the root taken, which gives the RMSE", lambda a, y: (add((a - y) ** 2) / len(y)) ** 0.5, ROOT),
    )


MISCONCEPTIONS: dict[str, tuple[Misconception, ...]] = {
    "mse": (
        Misconception(
            "the sum, not the mean",
            lambda a, y: ((a - y) ** 2).sum(),
            "The loss should not grow with the number of samples. Average the squared errors.",
        ),
        Misconception(
            "the errors averaged before they are squared",
            lambda a, y: (a - y).mean() ** 2,
            "Errors of opposite sign cancel in that average. What is averaged is the square of each error.",
        ),
        Misconception(
            "the absolute error for the squared one",
            lambda a, y: (a - y).abs().mean(),
            "That is the loss of Laplace noise. Gaussian noise squares each error.",
        ),
        Misconception("the root taken, which gives the RMSE", lambda a, y: ((a - y) ** 2).mean().sqrt(), ROOT),
        Misconception("the half of the likelihood kept", lambda a, y: ((a - y) ** 2).mean() / 2, HALF),
        Misconception(
            "divided by the number of rows, not of elements",
            lambda a, y: ((a - y) ** 2).sum() / len(y),
            "`len` counts the first dimension alone. With two dimensions there are more elements than rows.",
        ),
        Misconception(
            "the gradient cut off",
            lambda a, y: ((a.detach() - y) ** 2).mean(),
            "The value is right, but a model cannot learn from it. Stay with tensors: no `.item()`, `.detach()`, "
            "`float` or NumPy on the way.",
        ),
    ),
    "mse_of_columns": (
        Misconception(
            "shapes left to broadcasting",
            lambda a, y: ((a - y) ** 2).mean(),
            "Print the shape of `y_hat - y` for the shapes (2, 1) and (2,). How many differences should there be?",
        ),
        Misconception(
            "only the predictions made flat",
            lambda a, y: ((a.reshape(-1) - y) ** 2).mean(),
            "Now it goes wrong where the labels stand in a column. Either of the two may.",
        ),
        Misconception(
            "only the labels made flat",
            lambda a, y: ((a - y.reshape(-1)) ** 2).mean(),
            "Now it goes wrong where the predictions stand in a column. Either of the two may.",
        ),
        Misconception(
            "a dimension added to the labels, whatever their shape",
            lambda a, y: ((a - y.unsqueeze(-1)) ** 2).mean(),
            "`unsqueeze` adds a dimension even where one too many is there already. Bring both to one known shape.",
        ),
        Misconception(
            "the labels expanded to the predictions' shape",
            lambda a, y: ((a - y.expand_as(a)) ** 2).mean(),
            "`expand` is broadcasting by another name: it repeats values and cannot turn (N,) into (N, 1). "
            "What changes the shape and keeps the order of the elements?",
        ),
        Misconception(
            "other shapes refused",
            mean_of_equal_shapes,
            "To refuse is safe, and often wise; here the function is to cope with both shapes.",
        ),
        Misconception(
            "the sum, not the mean",
            lambda a, y: ((a.reshape(-1) - y.reshape(-1)) ** 2).sum(),
            "The pairs are right. Average over the N of them.",
        ),
    ),
    "rmse_gradient": (
        Misconception(
            "the formula as it stands, squares and all",
            unscaled,
            "The formula is right, and the squares leave float32. Does the gradient change when all errors are "
            "multiplied by the same number?",
        ),
        Misconception(
            "zeros wherever the mean square is zero",
            unscaled_but_for_zero,
            "An error of 1e-25 is not zero, though its square is, in float32. Ask the errors themselves, and give "
            "them a better size before you square.",
        ),
        Misconception(
            "a small number added under the root",
            lambda a, y: unscaled(a, y, 1e-8),
            "That keeps nan away, but it makes the gradient too small wherever the errors are small. Divide them by "
            "something of their own size instead.",
        ),
        Misconception(
            "the gradient of the MSE",
            lambda a, y: 2 * (a - y) / len(y),
            "The chain rule has one more factor: the derivative of the root.",
        ),
        Misconception(
            "label minus prediction",
            lambda a, y: direction(y, a) / len(y),
            "A prediction that is too high must get a positive gradient: which of the two is subtracted?",
        ),
        Misconception(
            "not divided by N",
            direction,
            "Each prediction enters the mean with the weight 1/N. Where is it in your result?",
        ),
        Misconception(
            "twice too large: the root's ½ forgotten",
            lambda a, y: 2 * direction(a, y) / len(y),
            "The derivative of √u is 1/(2√u): its 2 meets the 2 that comes from the square.",
        ),
    ),
    "gaussian_nll": (
        Misconception(
            "ρ taken for the variance",
            lambda m, y, rho: 0.5 * (rho.log() + (m - y) ** 2 / rho).mean(),
            "ρ may be negative, a variance may not. ρ is the logarithm of v: what then is log v?",
        ),
        Misconception(
            "ρ taken for the logarithm of σ",
            lambda m, y, rho: (rho + 0.5 * (m - y) ** 2 * torch.exp(-2 * rho)).mean(),
            "ρ is the logarithm of the variance v = σ², not of σ.",
        ),
        Misconception(
            "no price for a large variance",
            lambda m, y, rho: 0.5 * ((m - y) ** 2 * torch.exp(-rho)).mean(),
            "With this loss a model could claim any error to be noise, free of charge. The term log v is missing.",
        ),
        Misconception(
            "the constant ½ log 2π added",
            lambda m, y, rho: gaussian_nll_loss(m, y, rho.exp(), full=True, eps=0.0),
            "The constant is to be left out: it has no gradient.",
        ),
        Misconception(
            "the log-likelihood, without its minus",
            lambda m, y, rho: -0.5 * (rho + (m - y) ** 2 * torch.exp(-rho)).mean(),
            "A larger error must give a larger loss. Yours gets smaller.",
        ),
        Misconception(
            "the logarithm of an exponential",
            lambda m, y, rho: 0.5 * (torch.log(torch.exp(rho)) + (m - y) ** 2 / torch.exp(rho)).mean(),
            "e^100 is infinite in float32, and so is its logarithm. You were given log v: use it as it is.",
        ),
        Misconception(
            "the squared error multiplied by the variance",
            lambda m, y, rho: 0.5 * (rho + (m - y) ** 2 * torch.exp(rho)).mean(),
            "A large variance makes an error cheaper, not dearer. Look at the sign of the exponent.",
        ),
    ),
    "mae_gradient": (
        Misconception(
            "the signs the wrong way round",
            lambda c, y: torch.sign(y - c).mean(),
            "If all labels lie above c, raising c lowers the loss: the derivative is negative.",
        ),
        Misconception(
            "the derivative of the sum",
            lambda c, y: torch.sign(c - y).sum(),
            "The loss is a mean: divide by the number of labels.",
        ),
        Misconception(
            "a label equal to c counted as above",
            lambda c, y: (2 * (y < c).float() - 1).mean(),
            "What is not below need not be above. Try a constant that is one of the labels.",
        ),
        Misconception(
            "a label equal to c counted as below",
            lambda c, y: (2 * (y <= c).float() - 1).mean(),
            "A label equal to c pulls neither up nor down. Look at which comparison you use.",
        ),
        Misconception(
            "the derivative of the squared error",
            lambda c, y: 2 * (c - y).mean(),
            "With the absolute error, how far away a label lies does not matter, only on which side.",
        ),
        Misconception(
            "only the labels below counted",
            lambda c, y: (y < c).float().mean(),
            "The labels above pull as well, the other way.",
        ),
        Misconception(
            "the sign of the mean error",
            lambda c, y: torch.sign((c - y).mean()),
            "One far label can decide that sign alone. Each label has its own sign: average those.",
        ),
    ),
    "huber": (
        Misconception(
            "Smooth L1 for Huber",
            lambda a, y, delta: huber_loss(a, y, delta=delta) / delta,
            "It is right at δ = 1 only. The parabola of Huber is ½ r² for every δ.",
        ),
        Misconception(
            "a line that does not meet the parabola",
            lambda a, y, delta: two_branches((a - y).abs(), delta, 0.0),
            "At |r| = δ both branches must give the same. What does yours give just above δ, and just below?",
        ),
        Misconception(
            "errors that kept their sign",
            lambda a, y, delta: two_branches(a - y, delta, delta / 2),
            "An error of −5 is as large as one of +5. Which branch does yours take for it?",
        ),
        Misconception(
            "δ left at 1",
            lambda a, y, delta: huber_loss(a, y),
            "It does not change with `delta`: use the argument everywhere the formula has δ.",
        ),
        Misconception(
            "the smaller of the two branches everywhere",
            lambda a, y, delta: (delta * ((a - y).abs() - delta / 2)).mean(),
            "The line touches the parabola and lies below it everywhere else, so the smaller of the two is always "
            "the line. Let the size of |r| decide.",
        ),
        Misconception(
            "the error cut off at δ",
            lambda a, y, delta: 0.5 * ((a - y).clamp(-delta, delta) ** 2).mean(),
            "It is the pull that is limited, not the loss: beyond δ the loss goes on rising, along a line.",
        ),
        Misconception(
            "the sum, not the mean",
            lambda a, y, delta: huber_loss(a, y, reduction="sum", delta=delta),
            "Each element's loss is right. Average them.",
        ),
    ),
    "mse_python_sum": (
        *within(
            one_by_one,
            torch.sum,
            "torch.sum for Python's sum",
            "The number is right; here Python is to add, one element at a time: `sum`, without `torch` before it.",
            BY_TORCH,
        ),
        exact_sum_for_pythons(lambda a, y: math.fsum(((a - y) ** 2).tolist()) / len(y)),
    ),
    "mse_torch_sum": within(
        torch.sum,
        one_by_one,
        "Python's sum for torch.sum",
        "The number is right; here one call is to add up all elements: `torch.sum`, or a tensor's own `.sum()`.",
        BY_PYTHON,
    ),
    "predict_mse_seconds": (operation_by_operation(24),),
    "mse_scaling_slope": (
        Misconception(
            "no logarithm",
            slope,
            "That is seconds an element, which depends on the unit. Fit the logarithm of one against the logarithm of "
            "the other.",
        ),
        Misconception(
            "only the times' logarithm taken",
            lambda n, t: slope(n, t.log()),
            "Both axes are logarithmic: the sizes too.",
        ),
        Misconception(
            "the axes swapped",
            lambda n, t: slope(t.log(), n.log()),
            "Time is fitted against size: the sum of squares to divide by is that of the sizes' logarithms.",
        ),
        Misconception(
            "a line through the origin",
            lambda n, t: (n.log() * t.log()).sum() / (n.log() ** 2).sum(),
            "The line has an intercept as well: doubling all times must not change the slope. Take the means away.",
        ),
        Misconception(
            "only the two ends used",
            lambda n, t: (t[-1] / t[0]).log() / (n[-1] / n[0]).log(),
            "The points between count too: the line is the one of least squares over all of them.",
        ),
        Misconception(
            "the intercept for the slope",
            lambda n, t: t.log().mean() - slope(n.log(), t.log()) * n.log().mean(),
            "That is the line's height at N = 1. `polyfit(x, y, 1)` gives the slope first.",
        ),
        Misconception(
            "the mean not taken away below the line",
            lambda n, t: ((n.log() - n.log().mean()) * t.log()).sum() / (n.log() ** 2).sum(),
            "The products are of deviations from the means. So must the squares in the denominator be.",
        ),
    ),
}
