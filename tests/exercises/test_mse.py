"""The exercises of lesson 02: its solutions pass, what people really write wrong does not."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.checks.report import SEED, run
from lossbook.exercises import check, exercise

NAMES = (
    "mse",
    "mse_of_columns",
    "rmse_gradient",
    "gaussian_nll",
    "mae_gradient",
    "constant_for",
    "huber",
    "mse_python_sum",
    "mse_torch_sum",
    "food_forecast",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("02-mse")[name])
    assert report.passed, report


def slope_by_autograd(y_hat, y):
    y_hat = y_hat.requires_grad_()
    ((y_hat - y) ** 2).mean().sqrt().backward()
    return y_hat.grad


def slope_by_autograd_grad(y_hat, y):
    y_hat = y_hat.double().requires_grad_()
    return torch.autograd.grad((y_hat - y).norm() / len(y) ** 0.5, y_hat)[0]


def slope_unscaled(y_hat, y):
    r = y_hat - y
    return r / (len(r) * (r**2).mean().sqrt())


# Wrong functions beyond the declared misconceptions, which tests/exercises/test_declared.py tries one by one.
WRONG = {
    "the square forgotten": ("mse", lambda a, y: (a - y).mean()),
    "N - 1 for N": ("mse", lambda a, y: ((a - y) ** 2).sum() / (y.numel() - 1)),
    "the variance cut off": ("gaussian_nll", lambda m, y, s: 0.5 * (s + (m - y) ** 2 * torch.exp(-s.detach())).mean()),
    "one dimension averaged": ("mse", lambda a, y: ((a - y) ** 2).mean(-1)),
    "a Python float": ("mse", lambda a, y: ((a - y) ** 2).mean().item()),
    "expanded, its middle term added": ("mse", lambda a, y: (a**2 + 2 * a * y + y**2).mean()),
    "expanded, its digits cancelled": ("mse", lambda a, y: (a**2 - 2 * a * y + y**2).mean()),
    "transposed": ("mse_of_columns", lambda a, y: ((a.T - y) ** 2).mean()),
    "the diagonal forgotten": ("mse_of_columns", lambda a, y: ((a.reshape(-1, 1) - y.reshape(1, -1)) ** 2).mean()),
    "columns compared, rows averaged": ("mse_of_columns", lambda a, y: (a.reshape(-1) - y.reshape(-1)).mean() ** 2),
    "the formula with its signs turned": ("rmse_gradient", lambda a, y: slope_unscaled(y, a)),
    "the largest error, not its size": (
        "rmse_gradient",
        lambda a, y: slope_unscaled((a - y) / (a - y).max(), torch.zeros_like(y)),
    ),
    "normalised by PyTorch": ("rmse_gradient", lambda a, y: F.normalize(a - y, dim=0)),
    "normalised, with its floor": ("rmse_gradient", lambda a, y: F.normalize(a - y, dim=0) / len(y) ** 0.5),
    "the half on one term alone": ("gaussian_nll", lambda m, y, s: (s / 2 + (m - y) ** 2 * (-s).exp()).mean()),
    "the total": ("gaussian_nll", lambda m, y, s: 0.5 * (s + (m - y) ** 2 * (-s).exp()).sum()),
    "the error not squared": ("gaussian_nll", lambda m, y, s: 0.5 * (s + (m - y).abs() * (-s).exp()).mean()),
    "a floor under the variance": (
        "gaussian_nll",
        lambda m, y, s: 0.5 * (s.exp().clamp(min=1e-6).log() + (m - y) ** 2 / s.exp().clamp(min=1e-6)).mean(),
    ),
    "the loss itself": ("mae_gradient", lambda c, y: (c - y).abs().mean()),
    "a count, not a share": ("mae_gradient", lambda c, y: (y < c).sum() - (y > c).sum()),
    "two of four": ("constant_for", lambda y, purpose: y.mean() if purpose in ("flats", "ambulance") else y.median()),
    "a sum for the bill": (
        "constant_for",
        lambda y, purpose: y.sum() if purpose == "flats" else constant_by_sorting(y, purpose),
    ),
    "the one in the middle of the list": (
        "constant_for",
        lambda y, purpose: y.mean() if purpose in ("flats", "rubber") else y[len(y) // 2],
    ),
    "the commonest label": ("constant_for", lambda y, purpose: y.mode().values),
    "the length rounded": ("constant_for", lambda y, purpose: constant_by_sorting(y, purpose).round()),
    "the average of the inner half": (
        "constant_for",
        lambda y, purpose: y.sort().values[len(y) // 4 : -(len(y) // 4) or None].mean(),
    ),
    "a number": ("constant_for", lambda y, purpose: constant_by_sorting(y, purpose).item()),
    "the parabola's half forgotten": (
        "huber",
        lambda a, y, d: torch.where((a - y).abs() <= d, (a - y) ** 2, d * ((a - y).abs() - d / 2)).mean(),
    ),
    "the branches swapped": (
        "huber",
        lambda a, y, d: torch.where((a - y).abs() > d, (a - y) ** 2 / 2, d * ((a - y).abs() - d / 2)).mean(),
    ),
    "the loss, clipped": ("huber", lambda a, y, delta: (0.5 * (a - y) ** 2).clamp(max=delta).mean()),
    "N - 1 in Python": ("mse_python_sum", lambda a, y: sum((a - y) ** 2) / max(len(y) - 1, 1)),
    "the rows' mean by NumPy": ("mse_python_sum", lambda a, y: ((a - y) ** 2).numpy().mean()),
    "the last sample left out": ("mse_torch_sum", lambda a, y: torch.sum((a[:-1] - y[:-1]) ** 2) / len(y)),
    "one element at a time": (
        "mse_torch_sum",
        lambda a, y: (
            torch.sum(torch.tensor([(p - q) ** 2 for p, q in zip(a.tolist(), y.tolist(), strict=True)])) / len(y)
        ),
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_function_fails(named, mistake):
    name, function = WRONG[mistake]
    report = check(named(name, function))
    assert report.state == "failed", (mistake, report)
    assert report.failures[0].reason


FORBIDDEN = {
    "PyTorch's loss": ("mse", F.mse_loss),
    "PyTorch's loss, a module": ("mse", torch.nn.MSELoss()),
    "PyTorch's loss, flattened": ("mse_of_columns", lambda a, y: F.mse_loss(a.flatten(), y.flatten())),
    "backward": ("rmse_gradient", slope_by_autograd),
    "autograd's function": ("rmse_gradient", slope_by_autograd_grad),
    "PyTorch's Gaussian loss": ("gaussian_nll", lambda m, y, s: F.gaussian_nll_loss(m, y, s.exp())),
    "PyTorch's distance": ("mse", lambda a, y: F.pairwise_distance(a.flatten(), y.flatten(), eps=0) ** 2 / y.numel()),
    "PyTorch's unit vector": ("rmse_gradient", lambda a, y: F.normalize((a - y).double(), dim=0) / len(y) ** 0.5),
    "PyTorch's Huber loss": ("huber", lambda a, y, delta: F.huber_loss(a, y, delta=delta)),
    "delta times PyTorch's Smooth L1": ("huber", lambda a, y, delta: delta * F.smooth_l1_loss(a, y, beta=delta)),
    "PyTorch's loss, summed": ("mse_torch_sum", lambda a, y: F.mse_loss(a, y, reduction="sum") / len(y)),
    "PyTorch's loss of each, summed in Python": (
        "mse_python_sum",
        lambda a, y: sum(F.mse_loss(a, y, reduction="none")) / len(y),
    ),
}


@pytest.mark.parametrize("shortcut", FORBIDDEN)
def test_what_the_lesson_asks_for_may_not_be_called(named, shortcut):
    name, function = FORBIDDEN[shortcut]
    report = check(named(name, function))
    assert report.state == "failed", (shortcut, report)
    assert "asks you to write" in report.failures[0].reason


def mse_by_a_loop(y_hat, y):
    total = 0.0
    for a, b in zip(y_hat.flatten(), y.flatten(), strict=True):
        total = total + (a - b) * (a - b)
    return total / y.numel()


def mse_in_place(y_hat, y):
    return (y_hat - y).pow_(2).mean()


def columns_by_a_loop(y_hat, y):
    pairs = zip(y_hat.reshape(-1), y.reshape(-1), strict=True)
    return torch.stack([(a - b) ** 2 for a, b in pairs]).mean()


def gaussian_by_a_loop(mu, y, s):
    total = 0.0
    for m, label, log_v in zip(mu.flatten(), y.flatten(), s.flatten(), strict=True):
        total = total + log_v + (m - label) ** 2 / torch.exp(log_v)
    return total / (2 * y.numel())


def median_by_a_loop(c, y):
    return torch.tensor(sum((label < c).item() - (label > c).item() for label in y) / len(y))


def median_by_autograd(c, y):
    c = c.clone().requires_grad_()
    (c - y).abs().mean().backward()
    return c.grad


def median_by_numpy(c, y):
    return torch.tensor(np.sign(c.numpy() - y.numpy()).mean())


def constant_by_sorting(y, purpose):
    if purpose == "flats" or purpose == "rubber":
        return y.sum() / len(y)
    return y.sort().values[len(y) // 2]


def constant_by_descent(y, purpose):
    """Find the constant by looking at the losses of many: the labels, and the mean."""
    loss = {"flats": torch.square, "rubber": torch.square, "ambulance": torch.abs, "typing": torch.abs}[purpose]
    tried = torch.cat([y, y.mean().reshape(1)])
    return tried[loss(tried.unsqueeze(1) - y).mean(1).argmin()]


def huber_by_clamp(y_hat, y, delta):
    r = (y_hat - y).abs()
    inner = r.clamp(max=delta)
    return (inner**2 / 2 + delta * (r - inner)).mean()


def huber_by_masks(y_hat, y, delta):
    r = (y_hat - y).abs()
    near = (r < delta).float()
    return (near * r**2 / 2 + (1 - near) * delta * (r - delta / 2)).mean()


def huber_by_index(y_hat, y, delta):
    r = (y_hat - y).abs()
    each = delta * (r - delta / 2)
    each[r <= delta] = r[r <= delta] ** 2 / 2
    return each.mean()


def huber_by_a_loop(y_hat, y, delta):
    total = 0.0
    for r in (y_hat - y).flatten():
        total = total + (0.5 * r * r if abs(r) <= delta else delta * (abs(r) - 0.5 * delta))
    return total / y.numel()


def smooth_l1_by_hand(y_hat, y, beta):
    r = torch.abs(y_hat - y)
    return torch.where(r < beta, r**2 / (2 * beta), r - beta / 2).mean()


def rmse_gradient_wide(y_hat, y):
    r = (y_hat - y).double()
    norm = r.norm()
    return r * 0 if norm == 0 else r / (norm * len(r) ** 0.5)


def rmse_gradient_by_a_loop(y_hat, y):
    r = [a - b for a, b in zip(y_hat.tolist(), y.tolist(), strict=True)]
    rmse = math.sqrt(sum(x * x for x in r) / len(r))
    return torch.tensor([x / (len(r) * rmse) if rmse else 0.0 for x in r])


def rmse_gradient_by_where(y_hat, y):
    r = y_hat - y
    r = torch.where(r.abs().max() > 0, r / r.abs().max(), 0.0)
    return torch.nan_to_num(r / (len(r) * (r @ r / len(r)).sqrt()))


def rmse_gradient_by_numpy(y_hat, y):
    r = y_hat.double().numpy() - y.double().numpy()
    norm = np.linalg.norm(r)
    return torch.from_numpy(r / norm / np.sqrt(len(r)) if norm else np.zeros_like(r))


def python_sum_of_floats(y_hat, y):
    return sum([(a - b) ** 2 for a, b in zip(y_hat.tolist(), y.tolist(), strict=True)]) / len(y)


def python_sum_by_index(y_hat, y):
    return sum((y_hat[i] - y[i]) ** 2 for i in range(len(y))) / len(y)


def python_loop_on_one_line(y_hat, y):
    total = 0.0
    for square in ((y_hat - y) ** 2).tolist(): total += square  # noqa: E701  # fmt: skip
    return total / len(y)


RIGHT = {
    "a loop": ("mse", mse_by_a_loop),
    "in place": ("mse", mse_in_place),
    "a norm": ("mse", lambda a, y: torch.linalg.vector_norm(a - y) ** 2 / y.numel()),
    "an einsum": (
        "mse",
        lambda a, y: torch.einsum("i,i->", (a - y).flatten(), (a - y).flatten()) / y.numel(),
    ),
    "an einsum of any shape": ("mse", lambda a, y: torch.einsum("...,...->...", a - y, a - y).mean()),
    "float64 inside": ("mse", lambda a, y: ((a.double() - y.double()) ** 2).mean().float()),
    "float64 inside, left": ("mse", lambda a, y: ((a.double() - y) ** 2).mean()),
    "torch's functions": ("mse", lambda a, y: torch.mean(torch.square(torch.sub(a, y)))),
    "shaped like the other": ("mse_of_columns", lambda a, y: ((a - y.view_as(a)) ** 2).mean()),
    "both squeezed": ("mse_of_columns", lambda a, y: ((a.squeeze() - y.squeeze()) ** 2).mean()),
    "both ravelled": ("mse_of_columns", lambda a, y: ((a.ravel() - y.ravel()) ** 2).sum() / y.numel()),
    "two columns": ("mse_of_columns", lambda a, y: ((a.view(-1, 1) - y.view(-1, 1)) ** 2).mean()),
    "a dot product": ("mse_of_columns", lambda a, y: torch.dot(d := a.flatten() - y.flatten(), d) / len(y)),
    "pairs in a loop": ("mse_of_columns", columns_by_a_loop),
    "float64 for the square": ("rmse_gradient", rmse_gradient_wide),
    "a list of floats": ("rmse_gradient", rmse_gradient_by_a_loop),
    "no if": ("rmse_gradient", rmse_gradient_by_where),
    "NumPy inside": ("rmse_gradient", rmse_gradient_by_numpy),
    "divided by the variance": ("gaussian_nll", lambda m, y, s: (s / 2 + (m - y) ** 2 / (2 * s.exp())).mean()),
    "a standardised error": ("gaussian_nll", lambda m, y, s: (((m - y) * (-s / 2).exp()) ** 2 + s).mean() / 2),
    "two means": ("gaussian_nll", lambda m, y, s: s.mean() / 2 + ((y - m).square() * torch.exp(-s)).mean() / 2),
    "the Gaussian in float64": (
        "gaussian_nll",
        lambda m, y, s: 0.5 * (s.double() + (m.double() - y.double()) ** 2 / s.double().exp()).mean(),
    ),
    "the Gaussian in a loop": ("gaussian_nll", gaussian_by_a_loop),
    "a density's logarithm": (
        "gaussian_nll",
        lambda m, y, s: -torch.distributions.Normal(m, (s / 2).exp()).log_prob(y).mean() - 0.9189385332,
    ),
    "counted in a loop": ("mae_gradient", median_by_a_loop),
    "a sign": ("mae_gradient", lambda c, y: torch.sign(c - y).mean()),
    "counts": ("mae_gradient", lambda c, y: ((y < c).sum() - (y > c).sum()) / len(y)),
    "autograd, which nothing forbids here": ("mae_gradient", median_by_autograd),
    "signs by NumPy": ("mae_gradient", median_by_numpy),
    "sorted": ("constant_for", constant_by_sorting),
    "the least of some losses": ("constant_for", constant_by_descent),
    "a table": (
        "constant_for",
        lambda y, purpose: {"flats": y.mean(), "rubber": y.mean()}.get(purpose, torch.quantile(y, 0.5)),
    ),
    "two parts": ("huber", huber_by_clamp),
    "two masks": ("huber", huber_by_masks),
    "an index": ("huber", huber_by_index),
    "Huber in a loop": ("huber", huber_by_a_loop),
    "Huber in float64": ("huber", lambda a, y, delta: huber_by_clamp(a.double(), y.double(), delta)),
    "delta times Smooth L1": ("huber", lambda a, y, delta: delta * smooth_l1_by_hand(a, y, delta)),
    "a generator": ("mse_python_sum", lambda a, y: sum((p - q) ** 2 for p, q in zip(a, y, strict=True)) / len(y)),
    "a sum of floats": ("mse_python_sum", python_sum_of_floats),
    "by index": ("mse_python_sum", python_sum_by_index),
    "a loop on one line": ("mse_python_sum", python_loop_on_one_line),
    "a loop for a sum": ("mse_python_sum", mse_by_a_loop),
    "NumPy's numbers": ("mse_python_sum", lambda a, y: sum(((a - y) ** 2).numpy()) / len(y)),
    "the tensor's own sum": ("mse_torch_sum", lambda a, y: (a - y).square().sum() / y.numel()),
    "summed in float64": ("mse_torch_sum", lambda a, y: torch.sum((a - y) ** 2, dtype=torch.float64) / a.shape[0]),
}


@pytest.mark.parametrize("variant", RIGHT)
def test_a_right_function_in_another_style_passes(named, variant):
    name, function = RIGHT[variant]
    for seed in (SEED, 1, 2):
        report = run(named(name, function), exercise(name), seed)
        assert report.passed, (variant, report)


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(named, name):
    def stub(*args):
        raise NotImplementedError

    assert check(named(name, stub)).state == "not attempted"


@pytest.mark.parametrize("seed", range(30))
def test_no_constant_serves_another_purpose_and_no_number_of_labels_is_even(seed):
    for case in exercise("constant_for").cases(torch.Generator().manual_seed(seed)):
        y, purpose = case.args
        assert len(y) % 2 == 1
        assert abs(y.mean() - y.median()) > 0.1 * y.median().abs().clamp(min=1), (purpose, y)


# The open task.


def line_of(x, y):
    rows = torch.stack([torch.ones_like(x), x], 1)
    return torch.linalg.lstsq(rows, y.unsqueeze(1)).solution[:, 0]


def with_one_variance(x, y, x_new):
    a, b = line_of(x, y)
    return torch.stack([a + b * x_new, (y - a - b * x).var().log().expand(len(x_new))], 1)


def in_proportion(x, y, x_new):
    """Forecast a line, and an error in proportion to the income."""
    a, b = line_of(x, y)
    return torch.stack([a + b * x_new, ((y - a - b * x) / x).var().log() + 2 * torch.log(x_new)], 1)


def by_gradient_descent(x, y, x_new):
    x, y, x_new = x / 1000, y / 1000, x_new / 1000
    w = torch.tensor([0.0, 0.5, -4.0, 1.0], requires_grad=True)
    optimiser = torch.optim.Adam([w], 0.05)
    for _ in range(300):
        optimiser.zero_grad()
        rho = w[2] + w[3] * torch.log(x)
        (rho + (y - w[0] - w[1] * x) ** 2 * torch.exp(-rho)).mean().backward()
        optimiser.step()
    said = torch.stack([w[0] + w[1] * x_new, w[2] + w[3] * torch.log(x_new)], 1).detach()
    return said * torch.tensor([1000.0, 1.0]) + torch.tensor([0.0, 2 * math.log(1000)])


@pytest.mark.parametrize("seed", range(20, 24))
@pytest.mark.parametrize("how", [in_proportion, by_gradient_descent])
def test_forecasts_of_other_kinds_beat_the_score(named, how, seed):
    report = run(named("food_forecast", how), exercise("food_forecast"), seed)
    assert report.passed, report
    assert "; to beat: 5.2000 (3 points)" in report.message


@pytest.mark.parametrize(
    ("how", "about"),
    [(lambda x, y, x_new: torch.stack([y.mean(), y.var().log()]).expand(len(x_new), 2), 6.1), (with_one_variance, 5.4)],
)
def test_scores_that_the_lesson_names_do_not_beat_it(named, how, about):
    report = run(named("food_forecast", how), exercise("food_forecast"), 20)
    assert report.message == "✗ food_forecast: the score to beat is not reached."
    cases = [
        case for seed in range(20) for case in exercise("food_forecast").cases(torch.Generator().manual_seed(seed))
    ]
    score = exercise("food_forecast").score
    scores = [score.of(how(*case.args), case.kept) for case in cases]
    assert abs(sum(scores) / len(scores) - about) < 0.1
