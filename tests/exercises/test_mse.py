"""The exercises of lesson 02: its solutions pass, what people really write wrong does not."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.exercises import check

NAMES = (
    "mse",
    "mse_of_columns",
    "rmse_gradient",
    "gaussian_nll",
    "mae_gradient",
    "huber",
    "mse_python_sum",
    "mse_torch_sum",
    "predict_mse_ratio",
    "mse_scaling_slope",
    "predict_mse_bend",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("02-mse")[name])
    assert report.passed, report


def slope_by_autograd(y_hat, y):
    y_hat = y_hat.requires_grad_()
    ((y_hat - y) ** 2).mean().sqrt().backward()
    return y_hat.grad


def slope_from_formula(y_hat, y, floor=0.0):
    r = y_hat - y
    return r / (len(r) * ((r**2).mean() + floor).sqrt())


def smooth_l1(y_hat, y, delta):
    return F.smooth_l1_loss(y_hat, y, beta=delta)


def huber_without_offset(y_hat, y, delta):
    r = (y_hat - y).abs()
    return torch.where(r <= delta, r**2 / 2, delta * r).mean()


def huber_of_signed_errors(y_hat, y, delta):
    r = y_hat - y
    return torch.where(r <= delta, r**2 / 2, delta * (r - delta / 2)).mean()


WRONG = {
    "sum for mean": ("mse", lambda a, y: ((a - y) ** 2).sum()),
    "the square forgotten": ("mse", lambda a, y: (a - y).mean()),
    "averaged, then squared": ("mse", lambda a, y: (a - y).mean() ** 2),
    "absolute for squared": ("mse", lambda a, y: (a - y).abs().mean()),
    "the root taken": ("mse", lambda a, y: ((a - y) ** 2).mean().sqrt()),
    "the half kept": ("mse", lambda a, y: ((a - y) ** 2).mean() / 2),
    "divided by the rows": ("mse", lambda a, y: ((a - y) ** 2).sum() / len(y)),
    "expanded, its middle term added": ("mse", lambda a, y: (a**2 + 2 * a * y + y**2).mean()),
    "left to broadcasting": ("mse_of_columns", lambda a, y: ((a - y) ** 2).mean()),
    "the prediction alone squeezed": ("mse_of_columns", lambda a, y: ((a.squeeze() - y) ** 2).mean()),
    "the label put into a column": ("mse_of_columns", lambda a, y: ((a - y.unsqueeze(-1)) ** 2).mean()),
    "transposed": ("mse_of_columns", lambda a, y: ((a.T - y) ** 2).mean()),
    "autograd's nan": ("rmse_gradient", slope_by_autograd),
    "the formula, unscaled": ("rmse_gradient", slope_from_formula),
    "a small number under the root": ("rmse_gradient", lambda a, y: slope_from_formula(a, y, 1e-8)),
    "the gradient of the MSE": ("rmse_gradient", lambda a, y: 2 * (a - y) / len(y)),
    "the gradient's sign": ("rmse_gradient", lambda a, y: slope_from_formula(y, a)),
    "normalised to length one": ("rmse_gradient", lambda a, y: F.normalize(a - y, dim=0)),
    "s taken for the variance": ("gaussian_nll", lambda m, y, s: 0.5 * (s.log() + (m - y) ** 2 / s).mean()),
    "s taken for log σ": ("gaussian_nll", lambda m, y, s: (s + 0.5 * (m - y) ** 2 * torch.exp(-2 * s)).mean()),
    "the price of the variance forgotten": ("gaussian_nll", lambda m, y, s: 0.5 * ((m - y) ** 2 * (-s).exp()).mean()),
    "the constant kept": ("gaussian_nll", lambda m, y, s: F.gaussian_nll_loss(m, y, s.exp(), full=True, eps=1e-12)),
    "PyTorch's floor": ("gaussian_nll", lambda m, y, s: F.gaussian_nll_loss(m, y, s.exp())),
    "a log-likelihood, not negative": (
        "gaussian_nll",
        lambda m, y, s: -F.gaussian_nll_loss(m, y, s.exp(), eps=1e-12),
    ),
    "above for below": ("mae_gradient", lambda c, y: torch.sign(y - c).mean()),
    "the gradient of the sum": ("mae_gradient", lambda c, y: torch.sign(c - y).sum()),
    "an equal label counted below": ("mae_gradient", lambda c, y: (2 * (y <= c).float() - 1).mean()),
    "the squared error's gradient": ("mae_gradient", lambda c, y: 2 * (c - y).mean()),
    "the share below": ("mae_gradient", lambda c, y: (y < c).float().mean()),
    "Smooth L1 for Huber": ("huber", smooth_l1),
    "no offset": ("huber", huber_without_offset),
    "no absolute value": ("huber", huber_of_signed_errors),
    "delta left at 1": ("huber", lambda a, y, delta: F.huber_loss(a, y)),
    "the squared error, clipped": ("huber", lambda a, y, delta: (0.5 * (a - y) ** 2).clamp(max=delta).mean()),
    "Huber, summed": ("huber", lambda a, y, delta: F.huber_loss(a, y, delta=delta, reduction="sum")),
    "never divided": ("mse_python_sum", lambda a, y: sum((a - y) ** 2)),
    "the last sample left out": ("mse_torch_sum", lambda a, y: torch.sum((a[:-1] - y[:-1]) ** 2) / len(y)),
    "no logarithm": ("mse_scaling_slope", lambda n, t: np.polyfit(n, t, 1)[0]),
    "one axis alone": ("mse_scaling_slope", lambda n, t: np.polyfit(n, t.log(), 1)[0]),
    "the axes swapped": ("mse_scaling_slope", lambda n, t: np.polyfit(t.log(), n.log(), 1)[0]),
    "through the origin": ("mse_scaling_slope", lambda n, t: (n.log() * t.log()).sum() / (n.log() ** 2).sum()),
    "the two ends alone": ("mse_scaling_slope", lambda n, t: (t[-1] / t[0]).log() / (n[-1] / n[0]).log()),
    "the intercept": ("mse_scaling_slope", lambda n, t: np.polyfit(n.log(), t.log(), 1)[1]),
    "nothing predicted": ("predict_mse_ratio", lambda: None),
    "a prediction of nothing": ("predict_mse_bend", lambda: 0),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_function_fails(named, mistake):
    name, function = WRONG[mistake]
    report = check(named(name, function))
    assert report.state == "failed", (mistake, report)
    assert report.failures[0].reason


def mse_by_a_loop(y_hat, y):
    total = 0.0
    for a, b in zip(y_hat.flatten(), y.flatten(), strict=True):
        total = total + (a - b) * (a - b)
    return total / y.numel()


def mse_in_place(y_hat, y):
    return (y_hat - y).pow_(2).mean()


def median_by_a_loop(c, y):
    return sum((label < c).item() - (label > c).item() for label in y) / len(y)


def huber_by_clamp(y_hat, y, delta):
    r = (y_hat - y).abs()
    inner = r.clamp(max=delta)
    return (inner**2 / 2 + delta * (r - inner)).mean()


def rmse_gradient_wide(y_hat, y):
    r = (y_hat - y).double()
    norm = r.norm()
    return r * 0 if norm == 0 else r / (norm * len(r) ** 0.5)


def slope_by_lstsq(n, t):
    table = torch.stack([torch.ones_like(n), n.log()], 1)
    return torch.linalg.lstsq(table, t.log()[:, None]).solution[1, 0]


RIGHT = {
    "a loop": ("mse", mse_by_a_loop),
    "in place": ("mse", mse_in_place),
    "an einsum": (
        "mse",
        lambda a, y: torch.einsum("i,i->", (a - y).flatten(), (a - y).flatten()) / y.numel(),
    ),
    "float64 inside": ("mse", lambda a, y: ((a.double() - y.double()) ** 2).mean().float()),
    "PyTorch's own": ("mse", F.mse_loss),
    "flattened": ("mse_of_columns", lambda a, y: F.mse_loss(a.flatten(), y.flatten())),
    "shaped like the other": ("mse_of_columns", lambda a, y: ((a - y.view_as(a)) ** 2).mean()),
    "float64 for the square": ("rmse_gradient", rmse_gradient_wide),
    "divided by the variance": ("gaussian_nll", lambda m, y, s: (s / 2 + (m - y) ** 2 / (2 * s.exp())).mean()),
    "a density's logarithm": (
        "gaussian_nll",
        lambda m, y, s: -torch.distributions.Normal(m, (s / 2).exp()).log_prob(y).mean() - 0.9189385332,
    ),
    "counted in a loop": ("mae_gradient", median_by_a_loop),
    "a sign": ("mae_gradient", lambda c, y: torch.sign(c - y).mean()),
    "two parts": ("huber", huber_by_clamp),
    "delta times Smooth L1": ("huber", lambda a, y, delta: delta * smooth_l1(a, y, delta)),
    "a generator": ("mse_python_sum", lambda a, y: sum((p - q) ** 2 for p, q in zip(a, y, strict=True)) / len(y)),
    "numpy": ("mse_scaling_slope", lambda n, t: np.polyfit(n.log().numpy(), t.log().numpy(), 1)[0]),
    "a table": ("mse_scaling_slope", slope_by_lstsq),
    "decades": (
        "mse_scaling_slope",
        lambda n, t: np.cov(n.log10(), t.log10())[0, 1] / np.var(n.log10().numpy(), ddof=1),
    ),
    "half a time": ("predict_mse_ratio", lambda: 0.5),
}


@pytest.mark.parametrize("variant", RIGHT)
def test_a_right_function_in_another_style_passes(named, variant):
    name, function = RIGHT[variant]
    report = check(named(name, function))
    assert report.passed, (variant, report)


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(named, name):
    def stub(*args):
        raise NotImplementedError

    assert check(named(name, stub)).state == "not attempted"
