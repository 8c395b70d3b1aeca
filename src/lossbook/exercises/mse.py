"""The exercises of lesson 02: mean squared error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from lossbook.checks.exercise import (
    ACTIVATIONS,
    BY_PYTHON,
    BY_TORCH,
    RACED,
    Called,
    Case,
    Curve,
    Exercise,
    Misconception,
    Prediction,
    Score,
    Work,
    exact_sum_for_pythons,
    held_out,
    normal,
    uniform,
)
from lossbook.data import engel
from lossbook.losses import gaussian_nll_loss, huber_loss, mse_loss, smooth_l1_loss


def pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions and labels of one shape."""
    return [
        Case((torch.tensor([3.0]), torch.tensor([1.0])), note="one error of 2"),
        Case((torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.5, 2.5, 3.5])), note="three errors of −½: a mean of ¼"),
        Case((torch.tensor([0.0, 0.0]), torch.tensor([3.0, -3.0])), note="errors that cancel are errors all the same"),
        Case((normal(generator, 9), normal(generator, 9)), note="random"),
        Case((normal(generator, 4, 3), normal(generator, 4, 3)), note="random, two dimensions: 12 elements"),
        Case((normal(generator, 200), normal(generator, 200)), note="200 of them"),
        Case((torch.tensor([1e4, 2e4]), torch.tensor([1e4 + 0.5, 2e4 - 1])), note="errors far smaller than the labels"),
    ]


def steps(start: float, stop: float, count: int = 33) -> tuple[float, ...]:
    """Return evenly spaced numbers, both ends included."""
    return tuple(start + (stop - start) * step / (count - 1) for step in range(count))


LABELS = torch.tensor([1.0, 2.0, 2.0, 3.0, 12.0])
CONSTANT = Curve(
    steps(0, 8),
    lambda x: Case((torch.full((5,), x), LABELS)),
    "c, the same prediction for the labels 1, 2, 2, 3 and 12",
    "loss",
)
ROOT = "The loss is in squared units: the average of the squares is already the answer."
HALF = "The ½ belongs to the negative log-likelihood. The mean squared error goes without it."


# -------------------------------------------------------------------------------------------- mse


FOUR_AWAY = torch.tensor([3.0, 7.0])  # labels of mean 5 and variance 4


MSE = Exercise(
    "mse.mse",
    points=1,
    reference=lambda y_hat, y: mse_loss(y_hat, y),
    cases=pair_cases,
    gradient=True,
    forbidden=ACTIVATIONS,
    curve=CONSTANT,
    predictions=(
        Prediction(
            "constant",
            "the score of the best constant for labels of mean 5 and variance 4",
            lambda: float(mse_loss(FOUR_AWAY.mean().expand(2), FOUR_AWAY)),
            "The best constant is their mean, and the mean squared distance from it is what variance means.",
        ),
        Prediction(
            "six",
            "the score of always saying 6",
            lambda: float(mse_loss(torch.full((2,), 6.0), FOUR_AWAY)),
            "It is the variance and the square of how far the constant lies from the mean.",
        ),
    ),
    hints=(
        "Errors of opposite sign must not cancel. What has to be done to each of them before they are averaged?",
        "Subtract, square, average: each of the three is one operation on whole tensors: `-`, `** 2` and `.mean()`.",
    ),
    folded=1,
    misconceptions=(
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
)


# --------------------------------------------------------------------------------- mse_of_columns


def column_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions and labels that belong together and of which one, or none, stands in a column."""
    return [
        Case((torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0])), note="a perfect model, (2, 1) and (2,): 0"),
        Case((torch.tensor([1.0, 2.0, 4.0]), torch.tensor([[1.0], [2.0], [3.0]])), note="(3,) and (3, 1)"),
        Case((normal(generator, 6), normal(generator, 6)), note="(6,) twice"),
        Case((normal(generator, 6, 1), normal(generator, 6, 1)), note="(6, 1) twice"),
        Case((normal(generator, 5, 1), normal(generator, 5)), note="random, (5, 1) and (5,)"),
        Case((normal(generator, 5), normal(generator, 5, 1)), note="random, (5,) and (5, 1)"),
        Case((torch.tensor([[2.0]]), torch.tensor([0.5])), note="one sample, (1, 1) and (1,)"),
    ]


def mse_of_pairs(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error of predictions and labels paired in order, whatever their shapes."""
    return mse_loss(y_hat.flatten(), y.flatten())


def mean_of_equal_shapes(y_hat: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error, and refuse shapes that differ."""
    assert y_hat.shape == y.shape, "shapes differ"
    return ((y_hat - y) ** 2).mean()


def of_a_perfect_model() -> float:
    """Return what broadcast shapes make of a perfect model, for labels of variance 1."""
    y = torch.tensor([-1.0, 1.0])
    return float(((y.unsqueeze(1) - y) ** 2).mean())


MSE_OF_COLUMNS = Exercise(
    "mse.mse_of_columns",
    points=2,
    reference=mse_of_pairs,
    cases=column_cases,
    gradient=True,
    forbidden=ACTIVATIONS,
    curve=Curve(
        steps(-2, 6),
        lambda x: Case((torch.tensor([[x], [2.0], [6.0]]), torch.tensor([1.0, 2.0, 6.0]))),
        "the first of three predictions, in a column; the others are right, and its label is 1",
        "loss",
    ),
    predictions=(
        Prediction(
            "score",
            "the score of the perfect model, shapes left alone,",
            of_a_perfect_model,
            "Each prediction meets each label, and the squared difference of two labels that are drawn at random "
            "is on average twice the variance.",
        ),
    ),
    hints=(
        "How many differences should two samples have? Count those of `y_hat - y` for the shapes (2, 1) and (2,).",
        "Bring both to the shape $(N,)$ before you subtract.",
        "`x.reshape(-1)` has one dimension whatever the shape of `x`. `x.squeeze()` does too, except that of one "
        "sample it leaves none.",
    ),
    misconceptions=(
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
)


# ---------------------------------------------------------------------------------- rmse_gradient


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
        Case((torch.tensor([5.0, 1.0, 6.0]), torch.tensor([5.0, 4.0, 2.0])), note="one error of 0 beside −3 and 4"),
        Case((torch.tensor([1e-5, -1e-5]), torch.zeros(2)), note="small errors: the gradient is ±½"),
        Case((torch.tensor([1e-25, -1e15]), torch.zeros(2)), note="a tiny error beside a huge one"),
    ]


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


def length_when_halved(slope: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Return the factor that a gradient is multiplied by when all errors are halved."""
    r = torch.tensor([3.0, -4.0])
    return float(slope(r / 2, torch.zeros(2)).norm() / slope(r, torch.zeros(2)).norm())


RMSE_GRADIENT = Exercise(
    "mse.rmse_gradient",
    points=3,
    reference=slope_of_rmse,
    cases=rmse_cases,
    forbidden=ACTIVATIONS | {"backward", "grad"},
    no_slope="The answer is a gradient itself, from its formula.",
    curve=Curve(
        steps(-4, 4),
        lambda x: Case((torch.tensor([x, 1.0]), torch.zeros(2))),
        "the first of two errors; the other is 1",
        "gradient to the first prediction",
    ),
    predictions=(
        Prediction(
            "mse",
            "the factor of the MSE's gradient",
            lambda: length_when_halved(lambda a, y: 2 * (a - y) / len(y)),
            "It is in proportion to the errors.",
        ),
        Prediction(
            "rmse",
            "the factor of the RMSE's gradient",
            lambda: length_when_halved(slope_of_rmse),
            "The root halves as well, and it stands below the line: the gradient keeps its length however near the "
            "predictions are.",
        ),
    ),
    hints=(
        r"The chain rule: the derivative of $\sqrt{x}$ is $1 / (2 \sqrt{x})$, and that of the MSE is "
        r"$\frac{2}{N} (\hat y - y)$.",
        r"With $r = \hat y - y$ the gradient is $r / (N \cdot \mathrm{RMSE})$. Multiply all errors by the same "
        "number: it does not change.",
        "So divide the errors by the largest of them, in absolute value, before you square anything.",
    ),
    misconceptions=(
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
)


# ----------------------------------------------------------------------------------- gaussian_nll


def nll_by_log_variance(mu: Tensor, y: Tensor, rho: Tensor) -> Tensor:
    """Return the mean Gaussian negative log-likelihood of means and log-variances, in float64 inside."""
    return gaussian_nll_loss(mu.double(), y.double(), torch.exp(rho.double()), eps=0.0).float()


def log_variance_cases(generator: Generator) -> Sequence[Case]:
    """Draw means, labels and log-variances."""
    return [
        Case((torch.tensor([2.0]), torch.tensor([0.0]), torch.tensor([0.0])), note="variance 1: half its square"),
        Case((torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([-3.0])), note="no error: the loss is negative"),
        Case((torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]), torch.tensor([2.0, -2.0])), note="two variances"),
        Case((torch.tensor([1e-6]), torch.zeros(1), torch.tensor([-20.0])), note="variance e^−20: no floor is needed"),
        Case(
            (torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([100.0])),
            note="ρ = 100: the variance leaves float32",
        ),
        Case((normal(generator, 9), normal(generator, 9), normal(generator, 9)), note="random"),
        Case(
            (normal(generator, 4, 2), normal(generator, 4, 2), normal(generator, 4, 2)),
            note="two dimensions; the gradient is that to ρ, which is learnt too",
            slope=3,
        ),
    ]


VARIANCES = [10 ** (step / 100) for step in range(-400, 101)]


def loss_of_a_tenth(v: float) -> float:
    """Return the loss of an error of 0.1 under a variance."""
    return 0.5 * (math.log(v) + 0.1**2 / v)


GAUSSIAN_NLL = Exercise(
    "mse.gaussian_nll",
    points=2,
    reference=nll_by_log_variance,
    cases=log_variance_cases,
    gradient=True,
    forbidden=ACTIVATIONS,
    curve=Curve(
        steps(-3, 5),
        lambda x: Case((torch.tensor([2.0]), torch.tensor([0.5]), torch.tensor([x]))),
        "ρ, the logarithm of the variance, for an error of 1.5",
        "loss",
    ),
    predictions=(
        Prediction(
            "variance",
            "the variance that makes the loss least for an error of 0.1",
            lambda: float(min(VARIANCES, key=lambda v: float(loss_of_a_tenth(v)))),
            "The derivative by v is zero where v is the squared error.",
        ),
        Prediction(
            "sign",
            "the sign of the loss there",
            lambda: "negative" if min(loss_of_a_tenth(v) for v in VARIANCES) < 0 else "positive",
            "A density may be larger than 1, and then its logarithm is above 0: this loss has no floor at 0.",
            ("positive", "negative"),
        ),
    ),
    hints=(
        r"Two things are needed in terms of $\rho$: $\log v$ and $1 / v$. Neither needs $v$ itself.",
        r"Dividing by $v = e^{\rho}$ is multiplying by $e^{-\rho}$.",
        r"If you are off by a constant, you have added $\frac{1}{2} \log 2 \pi$. If you are off only where "
        r"$\rho \ne 0$, you may have taken $\rho$ for the logarithm of the standard deviation.",
    ),
    misconceptions=(
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
)


# ----------------------------------------------------------------------------------- mae_gradient


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
        Case((torch.tensor(2.0), y), note="two labels equal to c: one below, two above"),
        Case((torch.tensor(7.0), torch.full((3,), 7.0)), note="all labels equal to c: 0"),
        Case((torch.tensor(2.5), torch.tensor([1.0, 2.0, 3.0, 1000.0])), note="at the median of an even number: 0"),
        Case((torch.tensor(0.3), normal(generator, 11)), note="random"),
    ]


SPREAD = torch.tensor([1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 20.0])


def change_of_sign(*labels: float) -> tuple[float, bool]:
    """Return the least c at which the slope is not negative any more, of a fine grid, and whether it is 0 anywhere."""
    grid = torch.arange(0, 13, 0.25)
    slopes = torch.stack([slope_of_constant_mae(c, torch.tensor(labels)) for c in grid])
    first = int((slopes >= 0).nonzero()[0])
    return float(grid[first] if slopes[first] == 0 else grid[first] - 0.25), bool((slopes == 0).any())


MAE_GRADIENT = Exercise(
    "mse.mae_gradient",
    points=2,
    reference=slope_of_constant_mae,
    cases=constant_cases,
    forbidden=ACTIVATIONS,
    no_slope="The answer is a derivative itself, from its formula.",
    curve=Curve(
        steps(0.25, 10, 40),
        lambda x: Case((torch.tensor(x + 0.1), SPREAD)),
        "c, the same prediction for the labels 1, 2, 4, 5, 7, 8 and 20",
        "derivative",
    ),
    predictions=(
        Prediction(
            "zero_of_five",
            "the answer whether it is 0 anywhere, for 1, 2, 2, 3 and 12,",
            lambda: "yes" if change_of_sign(1, 2, 2, 3, 12)[1] else "no",
            "Five labels never balance, and at 2, where two count on neither side, one lies below and two above.",
            ("yes", "no"),
        ),
        Prediction(
            "turns",
            "the c at which it changes its sign",
            lambda: change_of_sign(1, 2, 2, 3, 12)[0],
            "It is the median: up to there the larger part lies above, beyond it below.",
        ),
        Prediction(
            "moves",
            "how far this c moves if the largest label is multiplied by 1000",
            lambda: change_of_sign(1, 2, 2, 3, 12000)[0] - change_of_sign(1, 2, 2, 3, 12)[0],
            "Only the side counts on which a label lies.",
        ),
        Prediction(
            "zero_of_four",
            "the answer whether it is 0 anywhere, for 1, 2, 3 and 12,",
            lambda: "yes" if change_of_sign(1, 2, 3, 12)[1] else "no",
            "Everywhere between the two labels in the middle: each of these is a median.",
            ("yes", "no"),
        ),
    ),
    hints=(
        "What is the slope of $|c - y|$ where $y$ lies below $c$, and where it lies above? Does it matter how far?",
        "Each label below $c$ pulls with $+1$, each above with $-1$. Their sizes do not matter.",
        "`(y < c).float()` has a 1 for each label below. `torch.sign(c - y)` does it in one step.",
    ),
    misconceptions=(
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
)


# ----------------------------------------------------------------------------------- constant_for


MEAN_OF, MEDIAN_OF = ("flats", "rubber"), ("ambulance", "typing")  # who pays the squared error, and who the absolute


def constant_of(y: Tensor, purpose: str) -> Tensor:
    """Return the best constant under the loss that fits a purpose."""
    return y.mean() if purpose in MEAN_OF else y.median()


def skewed(generator: Generator, n: int) -> Tensor:
    """Draw labels of which a few are far larger than the others: their mean lies far from their median."""
    return 1.6 ** torch.randperm(n, generator=generator) * uniform(generator, n, low=0.8, high=1.2)


def mistyped(generator: Generator, n: int) -> Tensor:
    """Draw measurements of one length, two of them written down with the point in the wrong place."""
    y = 5 + uniform(generator, 1) + 0.05 * normal(generator, n)
    return torch.where(torch.arange(n) % 4 == 1, 10 * y, y)


def purpose_cases(generator: Generator) -> Sequence[Case]:
    """Draw two sets of labels for each purpose."""
    return [
        Case((torch.tensor([2.0, 3.0, 10.0]), "flats"), note="the bill is 15: 5 from each of three"),
        Case((skewed(generator, 9), "flats"), note="what all pay together must cover the bill"),
        Case((torch.tensor([-11.0, 0.0, -1.0]), "ambulance"), note="from −1 the ways add up to 11, from −4 to 14"),
        Case((skewed(generator, 11), "ambulance"), note="a few places lie far out on the road"),
        Case((mistyped(generator, 7), "typing"), note="the point in the wrong place, twice"),
        Case((mistyped(generator, 9), "typing"), note="the same, with other labels"),
        Case((torch.tensor([0.0, -9.0, 0.0]), "rubber"), note="at −3 the one band pulls as hard as the two"),
        Case((skewed(generator, 7), "rubber"), note="a band that is twice as long pulls twice as hard"),
    ]


CONSTANT_FOR = Exercise(
    "mse.constant_for",
    points=2,
    reference=constant_of,
    cases=purpose_cases,
    no_slope="The constant is one of labels, which are not learnt.",
    hints=(
        "Move the number a little to one side, and ask for each of the four what changes: does a label that is far "
        "away matter more than one that is near?",
        "Where each label matters in proportion to how far away it is, the cost is a square. Where only the side "
        "counts, it is the absolute error. Of the labels 0, 1 and 11, which number would each of the four want?",
    ),
    misconceptions=(
        Misconception(
            "the mean for everyone",
            lambda y, purpose: y.mean(),
            "A kilometre is a kilometre, wherever on the road it is driven; and a point in the wrong place makes a "
            "label ten times too large. Does the mean know?",
        ),
        Misconception(
            "the median for everyone",
            lambda y, purpose: y.median(),
            "What a large label asks for must not be lost where all pay together, or where a label pulls harder the "
            "farther away it is.",
        ),
        Misconception(
            "the two losses the wrong way round",
            lambda y, purpose: y.median() if purpose in MEAN_OF else y.mean(),
            "Each of the four got what another one needs. Add up, for three labels, what each constant costs them.",
        ),
        Misconception(
            "the mean for the ambulance",
            lambda y, purpose: y.median() if purpose == "typing" else y.mean(),
            "The mean is not where the ways are shortest. Let it stand at the mean of 0, 1 and 11 and move it towards "
            "1: how many ways get shorter?",
        ),
        Misconception(
            "labels that were mistyped taken at their word",
            lambda y, purpose: y.median() if purpose == "ambulance" else y.mean(),
            "One label that is ten times too large carries the mean away with it. Which constant hardly notices?",
        ),
        Misconception(
            "the median for the bill of the flats",
            lambda y, purpose: y.mean() if purpose == "rubber" else y.median(),
            "N times the median is not what all used together, and then somebody has to pay the rest.",
        ),
        Misconception(
            "the median for the rubber bands",
            lambda y, purpose: y.mean() if purpose == "flats" else y.median(),
            "A band that is twice as long pulls twice as hard, so how far away a peg is does matter.",
        ),
        Misconception(
            "the middle between the least and the largest",
            lambda y, purpose: (y.min() + y.max()) / 2,
            "That listens to two labels alone. It is the best constant under the largest error, which none of the four "
            "pays.",
        ),
    ),
)


# ------------------------------------------------------------------------------------------ huber


def huber_of(y_hat: Tensor, y: Tensor, delta: float) -> Tensor:
    """Return the mean Huber loss."""
    return huber_loss(y_hat, y, delta=delta)


def huber_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions, labels and where the parabola ends. No error is 0 or δ: slopes are compared."""
    x = normal(generator, 9, scale=3.0)
    near = torch.tensor([1.4, -1.4, 1.6, -1.6])
    return [
        Case((torch.tensor([0.5]), torch.tensor([0.0]), 1.0), note="a small error: half its square"),
        Case((torch.tensor([5.0]), torch.tensor([0.0]), 1.0), note="a large error: δ(|r| − δ/2)"),
        Case((torch.tensor([1e15]), torch.tensor([0.0]), 1.0), note="an error of 1e15"),
        Case((torch.tensor([-5.0]), torch.tensor([0.0]), 1.0), note="a large error downwards: a loss is not negative"),
        Case((torch.tensor([1.0, 5.0]), torch.zeros(2), 2.0), note="δ = 2, where Smooth L1 is half as large"),
        Case((torch.tensor([0.1, 5.0]), torch.zeros(2), 0.5), note="δ = ½, where Smooth L1 is twice as large"),
        Case((near, torch.zeros(4), 1.5), note="just inside δ and just outside"),
        Case((x, normal(generator, 9), 1.5), note="random"),
        Case((normal(generator, 4, 3, scale=3.0), normal(generator, 4, 3), 0.8), note="two dimensions: 12 elements"),
    ]


def two_branches(r: Tensor, delta: float, offset: float) -> Tensor:
    """Return the mean of a parabola up to δ and of a line beyond it, which begins at this offset."""
    return torch.where(r <= delta, 0.5 * r**2, delta * (r - offset)).mean()


HUBER = Exercise(
    "mse.huber",
    points=2,
    reference=huber_of,
    cases=huber_cases,
    gradient=True,
    forbidden=ACTIVATIONS,
    curve=Curve(
        steps(-4.1, 4.1, 34),
        lambda x: Case((torch.tensor([x]), torch.zeros(1), 1.5)),
        "error r, with δ = 1.5",
        "loss",
    ),
    predictions=(
        Prediction(
            "ratio",
            "Huber(δ = 2) divided by SmoothL1(β = 2)",
            lambda: float(
                huber_loss(torch.tensor(5.0), torch.tensor(0.0), delta=2.0)
                / smooth_l1_loss(torch.tensor(5.0), torch.tensor(0.0), beta=2.0)
            ),
            "Smooth L1 divides the parabola by β, and Huber does not: they differ by that factor, everywhere.",
        ),
    ),
    hints=(
        r"Where the parabola ends, at $|r| = \delta$: what is its slope there, and how high is it?",
        r"A line of slope $\delta$ that is $\frac{1}{2} \delta^2$ high at $|r| = \delta$. "
        "`torch.where(condition, here, there)` picks element by element.",
        r"If you are right at $\delta = 1$ only, you have written Smooth L1. The two differ by the factor "
        r"$\delta$.",
    ),
    misconceptions=(
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
)


# --------------------------------------------------------------------------------- mse_python_sum


def flat_pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw predictions and labels of shape (N,)."""
    return [case for case in pair_cases(generator) if case.args[0].ndim == 1]


def many_pairs(generator: Generator, n: int) -> Case:
    """Draw n predictions and labels, to count steps with."""
    return Case((normal(generator, n), normal(generator, n)))


def one_by_one(x: Tensor) -> Any:
    """Add up by the built-in sum of the moment of the call: its steps are counted."""
    return sum(x)


def within(
    add: Callable[[Tensor], Any],
    other: Callable[[Tensor], Any],
    name: str,
    advice: str,
    how: Called,
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


MSE_PYTHON_SUM = Exercise(
    "mse.mse_python_sum",
    points=1,
    reference=lambda y_hat, y: mse_loss(y_hat, y),
    cases=flat_pair_cases,
    forbidden=ACTIVATIONS,
    number_too=RACED,
    no_slope=RACED,
    curve=CONSTANT,
    work=Work(many_pairs, vectorised=False),
    hints=(
        "Python's `sum` walks through anything that a `for` loop walks through: a list, a generator, a tensor of "
        "shape $(N,)$.",
        "It gives the total of the squared errors: what is left is to divide by their number.",
    ),
    folded=0,
    misconceptions=(
        *within(
            one_by_one,
            torch.sum,
            "torch.sum for Python's sum",
            "The number is right; here Python is to add, one element at a time: `sum`, without `torch` before it.",
            BY_TORCH,
        ),
        exact_sum_for_pythons(lambda a, y: math.fsum(((a - y) ** 2).tolist()) / len(y)),
    ),
)


# ---------------------------------------------------------------------------------- mse_torch_sum


MSE_TORCH_SUM = Exercise(
    "mse.mse_torch_sum",
    points=1,
    reference=lambda y_hat, y: mse_loss(y_hat, y),
    cases=flat_pair_cases,
    forbidden=ACTIVATIONS,
    gradient=True,
    curve=CONSTANT,
    work=Work(many_pairs, vectorised=True),
    hints=(
        "`torch.sum` takes a whole tensor and needs no loop around it.",
        "Subtract and square whole tensors as well, and divide the total by the number of elements.",
    ),
    folded=0,
    misconceptions=within(
        torch.sum,
        one_by_one,
        "Python's sum for torch.sum",
        "The number is right; here one call is to add up all elements: `torch.sum`, or a tensor's own `.sum()`.",
        BY_PYTHON,
    ),
)


# ---------------------------------------------------------------------------------- food_forecast


HOUSEHOLDS = 160  # to learn from; the others are held out


def household_cases(generator: Generator) -> Sequence[Case]:
    """Draw, three times, who of the 235 households is learnt from, and who is held out."""
    table = engel()
    income, food = table["income"].float(), table["food"].float()
    return held_out(generator, income, food, HOUSEHOLDS, "households")


def line_and_spread(x: Tensor, y: Tensor, x_new: Tensor) -> Tensor:
    """Return the means of a line and variances that grow as a power of x, fitted in turns by weighted least squares."""

    def rows(x: Tensor) -> Tensor:
        return torch.stack([torch.ones_like(x), x / 1000], 1).double()

    def powers(x: Tensor) -> Tensor:
        return torch.stack([torch.ones_like(x), torch.log(x / 1000)], 1).double()

    line, power = torch.zeros(2).double(), torch.zeros(2).double()
    for _ in range(20):
        weight = torch.exp(-powers(x) @ power)
        line = torch.linalg.solve((rows(x).T * weight) @ rows(x), (rows(x).T * weight) @ y.double())
        ratio = (y - rows(x) @ line) ** 2 * torch.exp(-powers(x) @ power)
        power = power + torch.linalg.lstsq(powers(x), ratio.unsqueeze(1) - 1).solution[:, 0].clamp(-2, 2)
    return torch.stack([rows(x_new) @ line, powers(x_new) @ power], 1).float()


def _households_loss(said: Tensor, y: Tensor) -> float:
    return float(nll_by_log_variance(said[:, 0], y, said[:, 1]))


FOOD_TO_BEAT = (
    5.2  # 6.1 is the best constant's; 5.4 a line's with one variance for all, 4.85 with a variance that grows
)


def _changed(said: Tensor, factor: float = 1.0, shift: float = 0.0) -> Tensor:
    """Return a forecast with its log-variances multiplied, or shifted."""
    return torch.stack([said[:, 0], factor * said[:, 1] + shift], 1)


def _as_variance(said: Tensor) -> Tensor:
    return torch.stack([said[:, 0], torch.exp(said[:, 1])], 1)


def _variance_given(said: Tensor, y: Tensor) -> bool:
    logs = torch.stack([said[:, 0], torch.log(said[:, 1].clamp(min=1e-30))], 1)
    return bool(said[:, 1].min() > 30) and _households_loss(logs, y) < FOOD_TO_BEAT


def _too_narrow(said: Tensor, y: Tensor) -> bool:
    return any(_households_loss(_changed(said, shift=shift), y) < FOOD_TO_BEAT for shift in (1, 2, 4, 8, 16))


def who_differs_more() -> str:
    """Say which half of the households, the poor or the rich, lies farther from a line through all of them."""
    table = engel()
    income, food = table["income"], table["food"]
    off = (food - line_and_spread(income, food, income)[:, 0]).abs()
    rich = income > income.median()
    return "the rich" if off[rich].mean() > off[~rich].mean() else "the poor"


FOOD_FORECAST = Exercise(
    "mse.food_forecast",
    points=3,
    reference=line_and_spread,
    cases=household_cases,
    score=Score("the loss on households held out", _households_loss, FOOD_TO_BEAT),
    no_slope="What is asked for is what a trained model says; nothing is trained through it.",
    predictions=(
        Prediction(
            "who",
            "who differs more from the line",
            who_differs_more,
            "The poorer a household is, the less choice it has: food comes first. The rich can choose.",
            ("the poor", "the rich"),
        ),
    ),
    hints=(
        r"Take $\mu = w_0 + w_1 x$ and $\rho = w_2 + w_3 \log x$: a line, and a variance that grows as a power of the"
        " income. All four numbers are learnt by your loss of exercise 4.",
        "Large numbers are hard to learn, and variances in francs are very large. Divide both columns by the mean"
        " income first. At the end go back to francs: a mean is multiplied by the unit, and a variance by its square.",
    ),
    misconceptions=(
        Misconception(
            "numbers that are not finite",
            lambda x, y, x_new: line_and_spread(x, y, x_new) / 0,
            "Some are infinite or nan: training has run away. Divide the columns by a typical value first, or take "
            "smaller steps.",
            sign=lambda said, y: not bool(said.isfinite().all()),
        ),
        Misconception(
            "the same mean for all households",
            lambda x, y, x_new: torch.stack([y.mean(), y.var().log()]).expand(len(x_new), 2),
            "The income has no part in your means. That is the best constant at most.",
            sign=lambda said, y: bool((said[:, 0] == said[0, 0]).all()),
        ),
        Misconception(
            "one variance for all households",
            lambda x, y, x_new: torch.stack(
                [line_and_spread(x, y, x_new)[:, 0], torch.full_like(x_new, 11.0)],
                1,
            ),
            "The rich differ more among themselves than the poor: let the variance depend on the income too.",
            sign=lambda said, y: bool((said[:, 1] == said[0, 1]).all()),
        ),
        Misconception(
            "the variance in place of its logarithm",
            lambda x, y, x_new: _as_variance(line_and_spread(x, y, x_new)),
            "Your second column is the variance itself. What is asked for is its logarithm.",
            sign=_variance_given,
        ),
        Misconception(
            "the logarithm of the standard deviation",
            lambda x, y, x_new: _changed(line_and_spread(x, y, x_new), 0.5),
            "Twice your second column would do it: the logarithm of a square is twice that of what is squared.",
            sign=lambda said, y: _households_loss(_changed(said, 2), y) < FOOD_TO_BEAT,
        ),
        Misconception(
            "variances that are far too small",
            lambda x, y, x_new: _changed(line_and_spread(x, y, x_new), shift=-8.0),
            "With larger variances your means would do it. If you learnt in other units, the variance has to come back "
            "to francs with the unit squared; and errors on households that were seen are smaller than on others.",
            sign=_too_narrow,
        ),
    ),
)
