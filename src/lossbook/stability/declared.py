"""What is tried: each loss in its three forms, its truth, and the inputs that are hard for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbook import losses
from lossbook.losses.multiclass import log_softmax
from lossbook.losses.recipe import negative_log_likelihood
from lossbook.stability import forms, truths

INF = math.inf
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
FORMS = ("on paper", "ours", "PyTorch")

Form = Callable[[Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class Case:
    """One input that is hard for a loss.

    Args:
        label: How the input is called in the table.
        input: The input's entries, before they are rounded to a dtype.
        target: The target's: labels, counts, probabilities, one class index, or an observation and a variance.
        option: The loss's one option, such as β, as a Python float that no dtype rounds.

    """

    label: str
    input: tuple[float, ...]
    target: tuple[float, ...]
    option: float = 0.0


@dataclass(frozen=True)
class Declared:
    """One loss: what it is called, how it is computed in three ways, the truth, and where it is tried.

    Args:
        name: The loss's name in the table.
        chapter: The number and slug of its page.
        paper: The form on paper, as the table's heading shows it.
        on_paper: That form, as a function of input, target and option.
        ours: The form of ``lossbook.losses``.
        pytorch: PyTorch's form.
        truth: The exact loss and its gradient by the input.
        cases: The inputs.
        bound: The size beyond which ours and PyTorch's let no value go, if they have one.
        why: For each case, by label, where ours is not right in every dtype: the reason.

    """

    name: str
    chapter: str
    paper: str
    on_paper: Form
    ours: Form
    pytorch: Form
    truth: truths.Truth
    cases: tuple[Case, ...]
    bound: float | None = None
    why: Mapping[str, str] = field(default_factory=dict)

    def form(self, name: str) -> Form:
        """Return the form of that name, one of ``FORMS``."""
        return dict(zip(FORMS, (self.on_paper, self.ours, self.pytorch), strict=True))[name]


def _plain(name: str) -> tuple[Form, Form]:
    """Return ours and PyTorch's of a loss that takes an input and a target alone."""

    def call(module: object) -> Form:
        loss = getattr(module, name)
        return lambda x, y, option: loss(x, y, reduction="sum")

    return call(losses), call(F)


def _class(y: Tensor) -> Tensor:
    """Return a class index, which every dtype holds exactly."""
    return y[0].long()


def _pairs(z: tuple[float, ...], y: float, name: str = "z") -> tuple[Case, ...]:
    """Return a case for each of several scalar inputs with one label."""
    return tuple(Case(f"{name} = {_shown(v)}, y = {_shown(y)}", (v,), (y,)) for v in z)


def _shown(x: float) -> str:
    """Return a number as a label shows it."""
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    return f"{x:g}".replace("e-0", "e-").replace("-", "−")


_ZERO_TIMES_INFINITY = "0 · ∞, where the term is not there at all"
_HELD = "log p is held at −100 and p (1 − p) at 1e−12, which float16 rounds to 0"
_SURE = "1 + exp(−20) is rounded before its logarithm is taken, and p − y is a difference of neighbours"
_COMPLEMENT = "the sigmoid has rounded: 1 − p keeps few digits or none, and then log(1 − p) is held at −100"
_NO_GUARD = "ε = 1e−8 is 0 in float16"

LOSSES = (
    Declared(
        "likelihood",
        "01-recipe",
        "−log Π p, of N = 1000",
        forms.likelihood,
        lambda x, y, option: negative_log_likelihood(torch.log(x), "sum"),
        lambda x, y, option: F.nll_loss(torch.log(x)[:, None], torch.zeros(len(x), dtype=torch.long), reduction="sum"),
        truths.likelihood,
        tuple(Case(f"every p = {_shown(p)}", (p,) * 1000, (0.0,)) for p in (1.0, 0.9, 0.5, 0.1)),
    ),
    Declared(
        "mse_loss",
        "02-mse",
        "ŷ² − 2ŷy + y²",
        forms.squared,
        *_plain("mse_loss"),
        truths.squared,
        (
            Case("ŷ = 1, y = 0", (1.0,), (0.0,)),
            Case("ŷ = 1001, y = 1000", (1001.0,), (1000.0,)),
            Case("ŷ = 60000.1, y = 60000", (60000.1,), (60000.0,)),
            Case("ŷ = 300, y = 0", (300.0,), (0.0,)),
            Case("ŷ = 1e−4, y = 0", (1e-4,), (0.0,)),
        ),
    ),
    Declared(
        "l1_loss",
        "02-mse",
        "|ŷ − y|",
        forms.absolute,
        *_plain("l1_loss"),
        truths.absolute,
        (
            Case("ŷ = 1001, y = 1000", (1001.0,), (1000.0,)),
            Case("ŷ = 60000, y = −60000", (60000.0,), (-60000.0,)),
            Case("ŷ = 1e−7, y = 0", (1e-7,), (0.0,)),
        ),
    ),
    Declared(
        "smooth_l1_loss",
        "02-mse",
        "r²/2β, |r| − β/2",
        forms.smooth,
        lambda x, y, option: losses.smooth_l1_loss(x, y, reduction="sum", beta=option),
        lambda x, y, option: F.smooth_l1_loss(x, y, reduction="sum", beta=option),
        truths.smooth,
        (
            Case("r = 300, β = 1", (300.0,), (0.0,), 1.0),
            Case("r = 300, β = 1000", (300.0,), (0.0,), 1000.0),
            Case("r = 1e−4, β = 1e−3", (1e-4,), (0.0,), 1e-3),
            Case("r = 1e30, β = 1e35", (1e30,), (0.0,), 1e35),
        ),
    ),
    Declared(
        "huber_loss",
        "02-mse",
        "r²/2, δ(|r| − δ/2)",
        forms.huber,
        lambda x, y, option: losses.huber_loss(x, y, reduction="sum", delta=option),
        lambda x, y, option: F.huber_loss(x, y, reduction="sum", delta=option),
        truths.huber,
        (
            Case("r = 300, δ = 1", (300.0,), (0.0,), 1.0),
            Case("r = 300, δ = 1000", (300.0,), (0.0,), 1000.0),
            Case("r = 4e−4, δ = 1", (4e-4,), (0.0,), 1.0),
        ),
    ),
    Declared(
        "gaussian_nll_loss",
        "02-mse",
        "−log(exp(−r²/2v) / √v)",
        forms.gaussian,
        lambda x, y, option: losses.gaussian_nll_loss(x, y[:1], y[1:], eps=option, reduction="sum"),
        lambda x, y, option: F.gaussian_nll_loss(x, y[:1], y[1:], eps=option, reduction="sum"),
        truths.gaussian,
        (
            Case("r = 1, v = 1", (1.0,), (0.0, 1.0), 1e-6),
            Case("r = 10, v = 1", (10.0,), (0.0, 1.0), 1e-6),
            Case("r = 100, v = 1", (100.0,), (0.0, 1.0), 1e-6),
            Case("r = 300, v = 1000", (300.0,), (0.0, 1000.0), 1e-6),
            Case("r = 0.5, v = 0", (0.5,), (0.0, 0.0), 1e-6),
            Case("r = 0.01, v = 0", (0.01,), (0.0, 0.0), 1e-6),
        ),
        why={
            "r = 300, v = 1000": "r² leaves the range of float16 before v divides it",
            "r = 0.01, v = 0": "the floor ε = 1e−6 is rounded by more than 1 % in float16, and 1/2ε is infinite there",
        },
    ),
    Declared(
        "binary_cross_entropy",
        "03-bce",
        "−y log p − (1 − y) log(1 − p)",
        forms.bernoulli,
        *_plain("binary_cross_entropy"),
        truths.bernoulli,
        (
            *_pairs((0.5, 1e-7, 1e-30, 0.0), 1.0, "p"),
            *_pairs((1e-7, 1e-30, 0.0, 1.0), 0.0, "p"),
        ),
        bound=100.0,
        why={
            "p = 1e−30, y = 1": _HELD,
            "p = 0, y = 1": _HELD,
            "p = 1, y = 0": _HELD,
            "p = 1e−30, y = 0": _HELD,
            "p = 0, y = 0": "the gradient is (p − y) / (p (1 − p)), its denominator held: 0 / 1e−12",
        },
    ),
    Declared(
        "binary_cross_entropy(sigmoid(z))",
        "03-bce",
        "the same of p = 1/(1 + exp(−z))",
        forms.sigmoid_then_bernoulli,
        lambda x, y, option: losses.binary_cross_entropy(torch.sigmoid(x), y, reduction="sum"),
        lambda x, y, option: F.binary_cross_entropy(torch.sigmoid(x), y, reduction="sum"),
        truths.logistic,
        _pairs((-1000.0, -20.0, 0.0, 12.0, 20.0, 200.0), 0.0),
        bound=100.0,
        why={
            "z = 12, y = 0": _COMPLEMENT,
            "z = 20, y = 0": _COMPLEMENT,
            "z = 200, y = 0": _COMPLEMENT,
        },
    ),
    Declared(
        "binary_cross_entropy_with_logits",
        "03-bce",
        "log(1 + exp(z)) − y z",
        forms.logistic,
        *_plain("binary_cross_entropy_with_logits"),
        truths.logistic,
        (
            *_pairs((-1000.0, -20.0, 0.0, 12.0, 20.0, 200.0, 1000.0, INF, -INF), 0.0),
            *_pairs((-1000.0, 20.0, 1000.0, INF), 1.0),
        ),
        why={
            "z = −∞, y = 0": _ZERO_TIMES_INFINITY,
            "z = ∞, y = 1": _ZERO_TIMES_INFINITY,
        },
    ),
    Declared(
        "cross_entropy",
        "04-multiclass",
        "−log(exp(z_y) / Σ exp(z))",
        forms.categorical,
        lambda x, y, option: losses.cross_entropy(x, _class(y), reduction="sum"),
        lambda x, y, option: F.cross_entropy(x, _class(y), reduction="sum"),
        truths.categorical,
        (
            Case("z = (0, 0), y = 0", (0.0, 0.0), (0.0,)),
            Case("z = (20, 0), y = 0", (20.0, 0.0), (0.0,)),
            Case("z = (20, 0), y = 1", (20.0, 0.0), (1.0,)),
            Case("z = (200, 0), y = 1", (200.0, 0.0), (1.0,)),
            Case("z = (1000, 0), y = 1", (1000.0, 0.0), (1.0,)),
            Case("z = (1000, 1001), y = 0", (1000.0, 1001.0), (0.0,)),
            Case("z = (−1000, −1001), y = 0", (-1000.0, -1001.0), (0.0,)),
            Case("z = (0, −∞), y = 0", (0.0, -INF), (0.0,)),
            Case("z = (∞, 0), y = 0", (INF, 0.0), (0.0,)),
        ),
        why={"z = (20, 0), y = 0": _SURE, "z = (∞, 0), y = 0": "∞ − ∞"},
    ),
    Declared(
        "cross_entropy, target q",
        "04-multiclass",
        "−Σ q log(exp(z) / Σ exp(z))",
        forms.mixed,
        lambda x, y, option: losses.cross_entropy(x[None], y[None], reduction="sum"),
        lambda x, y, option: F.cross_entropy(x[None], y[None], reduction="sum"),
        truths.mixed,
        (
            Case("z = (20, 0), q = (1, 0)", (20.0, 0.0), (1.0, 0.0)),
            Case("z = (200, 0), q = (¾, ¼)", (200.0, 0.0), (0.75, 0.25)),
            Case("z = (1000, 0), q = (1, 0)", (1000.0, 0.0), (1.0, 0.0)),
            Case("z = (0, −∞), q = (1, 0)", (0.0, -INF), (1.0, 0.0)),
        ),
        why={"z = (20, 0), q = (1, 0)": _SURE, "z = (0, −∞), q = (1, 0)": _ZERO_TIMES_INFINITY},
    ),
    Declared(
        "cross_entropy, label_smoothing",
        "04-multiclass",
        "the same of the smoothed q, ε = 0.2",
        forms.smoothed,
        lambda x, y, option: losses.cross_entropy(x, _class(y), reduction="sum", label_smoothing=option),
        lambda x, y, option: F.cross_entropy(x, _class(y), reduction="sum", label_smoothing=option),
        truths.smoothed,
        (
            Case("z = (20, 0), y = 0", (20.0, 0.0), (0.0,), 0.2),
            Case("z = (200, 0), y = 1", (200.0, 0.0), (1.0,), 0.2),
            Case("z = (1000, 0), y = 0", (1000.0, 0.0), (0.0,), 0.2),
            Case("z = (0, −∞), y = 0", (0.0, -INF), (0.0,), 0.2),
        ),
    ),
    Declared(
        "log_softmax, nll_loss",
        "05-nll",
        "−log softmax(z)_y",
        forms.log_of_softmax,
        lambda x, y, option: losses.nll_loss(log_softmax(x, 0), _class(y), reduction="sum"),
        lambda x, y, option: F.nll_loss(F.log_softmax(x, 0), _class(y), reduction="sum"),
        truths.categorical,
        (
            Case("z = (0, 0), y = 0", (0.0, 0.0), (0.0,)),
            Case("z = (0, 20), y = 0", (0.0, 20.0), (0.0,)),
            Case("z = (0, 20), y = 1", (0.0, 20.0), (1.0,)),
            Case("z = (0, 200), y = 0", (0.0, 200.0), (0.0,)),
            Case("z = (0, 200), y = 1", (0.0, 200.0), (1.0,)),
            Case("z = (0, 1000), y = 0", (0.0, 1000.0), (0.0,)),
            Case("z = (−∞, 0), y = 1", (-INF, 0.0), (1.0,)),
        ),
        why={
            "z = (0, 20), y = 1": _SURE,
            "z = (0, 200), y = 1": "1 + exp(−200) is 1, in float64 too",
        },
    ),
    Declared(
        "poisson_nll_loss",
        "05-nll",
        "−log(λʸ exp(−λ)), λ = exp(z)",
        forms.poisson,
        lambda x, y, option: losses.poisson_nll_loss(x, y, reduction="sum"),
        lambda x, y, option: F.poisson_nll_loss(x, y, reduction="sum"),
        truths.poisson,
        _pairs((0.0, -20.0, 5.0, 12.0, 200.0, 1000.0), 3.0) + _pairs((-1000.0, -INF), 0.0) + _pairs((6.0,), 1000.0),
        why={"z = −∞, y = 0": _ZERO_TIMES_INFINITY},
    ),
    Declared(
        "poisson_nll_loss, log_input=False",
        "05-nll",
        "−log((λ + ε)ʸ exp(−λ))",
        forms.poisson_rate,
        lambda x, y, option: losses.poisson_nll_loss(x, y, log_input=False, eps=option, reduction="sum"),
        lambda x, y, option: F.poisson_nll_loss(x, y, log_input=False, eps=option, reduction="sum"),
        truths.poisson_rate,
        tuple(
            Case(f"λ = {_shown(rate)}, y = {_shown(y)}", (rate,), (y,), 1e-8)
            for rate, y in ((1.0, 3.0), (200.0, 100.0), (2000.0, 0.0), (1e-30, 3.0), (0.0, 1.0), (0.0, 0.0))
        ),
        why={"λ = 1e−30, y = 3": _NO_GUARD, "λ = 0, y = 1": _NO_GUARD, "λ = 0, y = 0": _NO_GUARD + ": 0 · ∞"},
    ),
    Declared(
        "kl_div",
        "06-kl",
        "Σ q (log q − log p)",
        forms.divergence,
        *_plain("kl_div"),
        truths.divergence,
        (
            Case("q = ½, log p = −1", (-1.0,), (0.5,)),
            Case("q = 0, log p = −1", (-1.0,), (0.0,)),
            Case("q = 0, log p = −1e4", (-1e4,), (0.0,)),
            Case("q = 0, log p = −∞", (-INF,), (0.0,)),
            Case("q = ½, log p = −1000", (-1000.0,), (0.5,)),
            Case("q = ½, log p = −∞", (-INF,), (0.5,)),
            Case("q = 1e−30, log p = −1", (-1.0,), (1e-30,)),
            Case("q = (0.3, 0.7), p 1e−3 off", (math.log(0.301), math.log(0.699)), (0.3, 0.7)),
        ),
        why={
            "q = 0, log p = −∞": _ZERO_TIMES_INFINITY,
            "q = (0.3, 0.7), p 1e−3 off": "terms of both signs cancel",
        },
    ),
    Declared(
        "kl_div, log_target=True",
        "06-kl",
        "Σ q log(q/p), q = exp(log q), p = exp(log p)",
        forms.divergence_of_logs,
        lambda x, y, option: losses.kl_div(x, y, reduction="sum", log_target=True),
        lambda x, y, option: F.kl_div(x, y, reduction="sum", log_target=True),
        truths.divergence_of_logs,
        (
            Case("log q = −1, log p = −1000", (-1000.0,), (-1.0,)),
            Case("log q = −1000, log p = −1", (-1.0,), (-1000.0,)),
            Case("log q = −∞, log p = −1", (-1.0,), (-INF,)),
            Case("q = (0.3, 0.7), p 1e−3 off", (math.log(0.301), math.log(0.699)), (math.log(0.3), math.log(0.7))),
        ),
        why={
            "log q = −∞, log p = −1": _ZERO_TIMES_INFINITY,
            "q = (0.3, 0.7), p 1e−3 off": "terms of both signs cancel",
        },
    ),
)
