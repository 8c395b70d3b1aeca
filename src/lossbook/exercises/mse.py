"""The exercises of lesson 02: mean squared error."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import ACTIVATIONS, RACED, Case, Curve, Exercise, Work, normal, prediction, uniform
from lossbook.exercises.misconceptions.mse import MISCONCEPTIONS
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
        Case((torch.tensor([1e4, 2e4]), torch.tensor([1e4 + 0.5, 2e4 - 1])), note="errors far smaller than the labels"),
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
        Case((normal(generator, 5), normal(generator, 5, 1)), note="random, (5,) and (5, 1)"),
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
        Case((torch.tensor([5.0, 1.0, 6.0]), torch.tensor([5.0, 4.0, 2.0])), note="one error of 0 beside −3 and 4"),
        Case((torch.tensor([1e-5, -1e-5]), torch.zeros(2)), note="small errors: the gradient is ±½"),
        Case((torch.tensor([1e-25, -1e15]), torch.zeros(2)), note="a tiny error beside a huge one"),
    ]


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
        Case((torch.tensor([10.0, 1000.0]), torch.tensor([10.0, 1.0])), note="two points: half a decade down a decade"),
        Case((n, 4e-6 + 4e-10 * n), note="overhead, then bandwidth"),
        Case((n * (1 + uniform(generator, 4)), 1e-8 * n * noise), note="random"),
    ]


def steps(start: float, stop: float, count: int = 33) -> tuple[float, ...]:
    """Return evenly spaced numbers, both ends included."""
    return tuple(start + (stop - start) * step / (count - 1) for step in range(count))


LABELS = torch.tensor([1.0, 2.0, 2.0, 3.0, 12.0])
SPREAD = torch.tensor([1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 20.0])
N = torch.tensor([1e2, 1e3, 1e4, 1e5])

CONSTANT = Curve(
    steps(0, 8),
    lambda x: Case((torch.full((5,), x), LABELS)),
    "c, the same prediction for the labels 1, 2, 2, 3 and 12",
    "loss",
)
COLUMN = Curve(
    steps(-2, 6),
    lambda x: Case((torch.tensor([[x], [2.0], [6.0]]), torch.tensor([1.0, 2.0, 6.0]))),
    "the first of three predictions, in a column; the others are right, and its label is 1",
    "loss",
)
PULL = Curve(
    steps(-4, 4),
    lambda x: Case((torch.tensor([x, 1.0]), torch.zeros(2))),
    "the first of two errors; the other is 1",
    "gradient to the first prediction",
)
WIDTH = Curve(
    steps(-3, 5),
    lambda x: Case((torch.tensor([2.0]), torch.tensor([0.5]), torch.tensor([x]))),
    "ρ, the logarithm of the variance, for an error of 1.5",
    "loss",
)
STAIRS = Curve(
    steps(0.25, 10, 40),
    lambda x: Case((torch.tensor(x + 0.1), SPREAD)),
    "c, the same prediction for the labels 1, 2, 4, 5, 7, 8 and 20",
    "derivative",
)
BEND = Curve(
    steps(-4.1, 4.1, 34),
    lambda x: Case((torch.tensor([x]), torch.zeros(1), 1.5)),
    "error r, with δ = 1.5",
    "loss",
)
OVERHEAD = Curve(
    steps(-9, -2, 36),
    lambda x: Case((N, 10**x + 1e-8 * N)),
    "log₁₀ of the overhead in seconds; each element takes 10 ns",
    "slope for N from 100 to 100,000",
)


def many_pairs(generator: Generator, n: int) -> Case:
    """Draw n predictions and labels, to count steps with."""
    return Case((normal(generator, n), normal(generator, n)))


EXERCISES = (
    Exercise(
        "mse.mse",
        1,
        mse_loss,
        pair_cases,
        "(y_hat, y)",
        gradient=True,
        forbidden=ACTIVATIONS,
        misconceptions=MISCONCEPTIONS["mse"],
        curve=CONSTANT,
        hints=(
            "Subtract, square, average. Averaging before squaring lets errors of opposite sign cancel.",
            "Each of the three is one operation on whole tensors: `-`, `** 2` and `.mean()`.",
        ),
    ),
    Exercise(
        "mse.mse_of_columns",
        2,
        mse_of_pairs,
        column_cases,
        "(y_hat, y)",
        gradient=True,
        forbidden=ACTIVATIONS,
        misconceptions=MISCONCEPTIONS["mse_of_columns"],
        curve=COLUMN,
        hints=(
            "Bring both to the shape $(N,)$ before you subtract.",
            "`x.reshape(-1)` has one dimension whatever the shape of `x`. `x.squeeze()` does too, except that of one "
            "sample it leaves none.",
        ),
    ),
    Exercise(
        "mse.rmse_gradient",
        3,
        slope_of_rmse,
        rmse_cases,
        "(y_hat, y)",
        forbidden=ACTIVATIONS | {"backward", "grad"},
        no_slope="The answer is a gradient itself, from its formula.",
        misconceptions=MISCONCEPTIONS["rmse_gradient"],
        curve=PULL,
        hints=(
            r"The chain rule: the derivative of $\sqrt{x}$ is $1 / (2 \sqrt{x})$, and that of the MSE is "
            r"$\frac{2}{N} (\hat y - y)$.",
            r"With $r = \hat y - y$ the gradient is $r / (N \cdot \mathrm{RMSE})$. Multiply all errors by the same "
            "number: it does not change.",
            "So divide the errors by the largest of them, in absolute value, before you square anything.",
        ),
    ),
    Exercise(
        "mse.gaussian_nll",
        2,
        nll_by_log_variance,
        log_variance_cases,
        "(mu, y, rho)",
        gradient=True,
        forbidden=ACTIVATIONS,
        misconceptions=MISCONCEPTIONS["gaussian_nll"],
        curve=WIDTH,
        hints=(
            r"Dividing by $v = e^{\rho}$ is multiplying by $e^{-\rho}$.",
            r"If you are off by a constant, you have added $\frac{1}{2} \log 2 \pi$. If you are off only where "
            r"$\rho \ne 0$, you may have taken $\rho$ for the logarithm of the standard deviation.",
        ),
    ),
    Exercise(
        "mse.mae_gradient",
        2,
        slope_of_constant_mae,
        constant_cases,
        "(c, y)",
        forbidden=ACTIVATIONS,
        no_slope="The answer is a derivative itself, from its formula.",
        misconceptions=MISCONCEPTIONS["mae_gradient"],
        curve=STAIRS,
        hints=(
            "Each label below $c$ pulls with $+1$, each above with $-1$. Their sizes do not matter.",
            "`(y < c).float()` has a 1 for each label below. `torch.sign(c - y)` does it in one step.",
        ),
    ),
    Exercise(
        "mse.huber",
        2,
        huber_of,
        huber_cases,
        "(y_hat, y, delta)",
        gradient=True,
        forbidden=ACTIVATIONS,
        misconceptions=MISCONCEPTIONS["huber"],
        curve=BEND,
        hints=(
            "`torch.where(condition, here, there)` picks element by element.",
            r"If you are right at $\delta = 1$ only, you have written Smooth L1. The two differ by the factor "
            r"$\delta$.",
        ),
    ),
    Exercise(
        "mse.mse_python_sum",
        1,
        mse_loss,
        flat_pair_cases,
        "(y_hat, y)",
        forbidden=ACTIVATIONS,
        number_too=RACED,
        no_slope=RACED,
        misconceptions=MISCONCEPTIONS["mse_python_sum"],
        curve=CONSTANT,
        work=Work(many_pairs, vectorised=False),
        hints=(
            "Python's `sum` walks through anything that a `for` loop walks through: a list, a generator, a tensor of "
            "shape $(N,)$.",
            "It gives the total of the squared errors: what is left is to divide by their number.",
        ),
    ),
    Exercise(
        "mse.mse_torch_sum",
        1,
        mse_loss,
        flat_pair_cases,
        "(y_hat, y)",
        forbidden=ACTIVATIONS,
        gradient=True,
        misconceptions=MISCONCEPTIONS["mse_torch_sum"],
        curve=CONSTANT,
        work=Work(many_pairs, vectorised=True),
        hints=(
            "`torch.sum` takes a whole tensor and needs no loop around it.",
            "Subtract and square whole tensors as well, and divide the total by the number of elements.",
        ),
    ),
    bound_exercise(
        "mse.predict_mse_seconds",
        Traffic(Array("y_hat"), Array("y")),
        misconceptions=MISCONCEPTIONS["predict_mse_seconds"],
    ),
    prediction("mse.predict_mse_bend", 2, 1e12, "a number of elements"),
    Exercise(
        "mse.mse_scaling_slope",
        2,
        slope_of_loglog,
        scaling_cases,
        "(sizes, seconds)",
        rtol=1e-3,
        atol=1e-4,
        why="A fit that solves for slope and intercept together in float32 loses some digits, and is right.",
        no_slope="The slope is of measured times, which are not learnt.",
        misconceptions=MISCONCEPTIONS["mse_scaling_slope"],
        curve=OVERHEAD,
        hints=(
            r"The squared error again: minimise $\sum_m (a_0 + a x_m - y_m)^2$ over $a_0$ and $a$, with $x = \log N$ "
            r"and $y = \log t$.",
            r"$a_0$ takes the means away. What is left is $a = \sum_m (x_m - \bar x)(y_m - \bar y) / "
            r"\sum_m (x_m - \bar x)^2$.",
        ),
    ),
)
