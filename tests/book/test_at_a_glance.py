"""The table of all losses: complete, and each formula equal to what PyTorch computes.

Each formula stands here as it stands on the page, beside its translation into NumPy. The text must be the page's, and
the translation must agree with PyTorch on random inputs, so a formula cannot change without its translation.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
N, K = 6, 4


@pytest.fixture(scope="module")
def page() -> dict:
    """What the page's cells define, up to the table itself."""
    names: dict = {}
    for cell in jupytext.read(ROOT / "book" / "at-a-glance.md", fmt="md:myst").cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "at-a-glance", "exec"), names)
    return names


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def huber(x, y, delta):
    r = x - y
    return np.where(np.abs(r) <= delta, r**2 / 2, delta * (np.abs(r) - delta / 2))


def smooth_l1(x, y, beta):
    r = x - y
    return np.where(np.abs(r) < beta, r**2 / 2 / beta, np.abs(r) - beta / 2)


def cross_entropy(z, y):
    return np.array([-row[k] + np.log(np.exp(row).sum()) for row, k in zip(z, y, strict=True)])


def nll(log_p, y):
    return np.array([-row[k] for row, k in zip(log_p, y, strict=True)])


def multi_margin(z, y, m, p):
    return np.array(
        [sum(max(0, m - row[k] + row[j]) ** p for j in range(K) if j != k) / K for row, k in zip(z, y, strict=True)]
    )


def multi_label_margin(z, y):
    total = []
    for row, labels in zip(z, y, strict=True):
        right = list(itertools.takewhile(lambda label: label >= 0, labels))
        wrong = [k for k in range(K) if k not in right]
        total.append(sum(max(0, 1 - row[j] + row[k]) for j in right for k in wrong) / K)
    return np.array(total)


def cosine(a, b, y, m):
    cos = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.where(y == 1, 1 - cos, np.maximum(0, cos - m))


def distance(a, b, p=2.0, eps=1e-6):
    return (np.abs(a - b + eps) ** p).sum(1) ** (1 / p)


def triplet(a, b, c, m, p):
    return np.maximum(0, distance(a, b, p) - distance(a, c, p) + m)


def collapse(path):
    """Merge repeats and drop blanks (class 0): what an alignment spells."""
    return tuple(k for k, _ in itertools.groupby(path) if k != 0)


def ctc(log_p, y):
    """Sum the probabilities of all alignments that spell the target, by trying them all."""
    T, batch, classes = log_p.shape
    losses = []
    for n in range(batch):
        paths = (path for path in itertools.product(range(classes), repeat=T) if collapse(path) == tuple(y[n]))
        losses.append(-math.log(sum(math.exp(sum(log_p[t, n, k] for t, k in enumerate(path))) for path in paths)))
    return np.array(losses)


def logits() -> Tensor:
    return 2 * torch.randn(N, K, dtype=torch.float64)


def signs(*shape: int) -> Tensor:
    return torch.randint(0, 2, shape).double() * 2 - 1


def indices() -> Tensor:
    return torch.randint(0, K, (N,))


def vectors(count: int) -> list[Tensor]:
    return list(torch.randn(count, N, 3, dtype=torch.float64))


LABELS = torch.tensor([[0, 2, -1, 1], [3, -1, 0, 1], [0, 1, 2, -1], [1, 0, 3, -1], [2, -1, -1, -1], [-1, 0, 0, 0]])

# class: the formula as on the page; the same in NumPy; options; how to draw the arguments
FORMS: dict[str, list[tuple[str, Callable, dict, Callable]]] = {
    "MSELoss": [(r"(\hat y - y)^2", lambda x, y: (x - y) ** 2, {}, lambda: (logits(), logits()))],
    "L1Loss": [(r"|\hat y - y|", lambda x, y: np.abs(x - y), {}, lambda: (logits(), logits()))],
    "HuberLoss": [
        (
            r"\begin{cases} \frac{1}{2} r^2 & |r| \le \delta \\ \delta (|r| - \frac{1}{2} \delta) & |r| > \delta "
            r"\end{cases}\quad r = \hat y - y",
            lambda x, y, delta=delta: huber(x, y, delta),
            {"delta": delta},
            lambda: (logits(), logits()),
        )
        for delta in (0.5, 1.0, 2.0)
    ],
    "SmoothL1Loss": [
        (
            r"\begin{cases} \frac{1}{2} r^2 / \beta & |r| < \beta \\ |r| - \frac{1}{2} \beta & |r| \ge \beta "
            r"\end{cases}\quad r = \hat y - y",
            lambda x, y, beta=beta: smooth_l1(x, y, beta),
            {"beta": beta},
            lambda: (logits(), logits()),
        )
        for beta in (0.5, 1.0, 2.0)
    ],
    "GaussianNLLLoss": [
        (
            r"\frac{1}{2} \bigl( \log v + (\mu - y)^2 / v \bigr),\quad v = \max(\mathrm{var}, \varepsilon)",
            lambda mu, y, var, eps=eps: (np.log(np.maximum(var, eps)) + (mu - y) ** 2 / np.maximum(var, eps)) / 2,
            {"eps": eps},
            lambda: (logits(), logits(), torch.rand(N, K, dtype=torch.float64)),
        )
        for eps in (1e-6, 0.3)
    ],
    "BCELoss": [
        (
            r"-y \log p - (1 - y) \log (1 - p),\quad \text{logs} \ge -100",
            lambda p, y: -y * np.maximum(np.log(p), -100) - (1 - y) * np.maximum(np.log(1 - p), -100),
            {},
            draw,
        )
        for draw in (
            lambda: (torch.sigmoid(logits()), torch.rand(N, K, dtype=torch.float64)),
            lambda: (torch.tensor([0.0, 0, 1, 1]).double(), torch.tensor([0.0, 1, 0, 1]).double()),
        )
    ],
    "BCEWithLogitsLoss": [
        (
            r"\max(z, 0) - y z + \log (1 + e^{-|z|})",
            lambda z, y: np.maximum(z, 0) - y * z + np.log(1 + np.exp(-np.abs(z))),
            {},
            lambda: (logits(), torch.rand(N, K, dtype=torch.float64)),
        )
    ],
    "SoftMarginLoss": [
        (r"\log (1 + e^{-y z})", lambda z, y: np.log(1 + np.exp(-y * z)), {}, lambda: (logits(), signs(N, K)))
    ],
    "MultiLabelSoftMarginLoss": [
        (
            r"-\frac{1}{K} \sum_k \bigl[ y_k \log \sigma(z_k) + (1 - y_k) \log \sigma(-z_k) \bigr]",
            lambda z, y: -(y * np.log(sigmoid(z)) + (1 - y) * np.log(sigmoid(-z))).sum(1) / K,
            {},
            lambda: (logits(), (signs(N, K) + 1) / 2),
        )
    ],
    "CrossEntropyLoss": [
        (r"-z_y + \log \sum_k e^{z_k}", cross_entropy, {}, lambda: (logits(), indices())),
    ],
    "NLLLoss": [(r"-\log p_y", nll, {}, lambda: (logits().log_softmax(1), indices()))],
    "NLLLoss2d": [(r"-\log p_y", nll, {}, lambda: (logits().log_softmax(1), indices()))],
    "PoissonNLLLoss": [
        (
            r"e^z - y z,\quad\text{or } \lambda - y \log (\lambda + \varepsilon)",
            form,
            {"log_input": log_input},
            draw,
        )
        for log_input, form, draw in (
            (True, lambda z, y: np.exp(z) - y * z, lambda: (logits(), torch.randint(0, 9, (N, K)).double())),
            (
                False,
                lambda rate, y: rate - y * np.log(rate + 1e-8),
                lambda: (logits().exp(), torch.randint(0, 9, (N, K)).double()),
            ),
        )
    ],
    "KLDivLoss": [
        (
            r"q \, (\log q - \log p)",
            lambda log_p, q: q * (np.log(q) - log_p),
            {},
            lambda: (logits().log_softmax(1), logits().softmax(1)),
        )
    ],
    "MarginRankingLoss": [
        (
            r"\max \bigl( 0, -y (x_1 - x_2) + m \bigr)",
            lambda a, b, y, m=m: np.maximum(0, -y * (a - b) + m),
            {"margin": m},
            lambda: (logits(), logits(), signs(N, K)),
        )
        for m in (0.0, 0.7)
    ],
    "HingeEmbeddingLoss": [
        (
            r"\begin{cases} x & y = 1 \\ \max(0, m - x) & y = -1 \end{cases}",
            lambda x, y, m=m: np.where(y == 1, x, np.maximum(0, m - x)),
            {"margin": m},
            lambda: (logits(), signs(N, K)),
        )
        for m in (1.0, 2.5)
    ],
    "MultiMarginLoss": [
        (
            r"\frac{1}{K} \sum_{k \ne y} \max(0, m - z_y + z_k)^p",
            lambda z, y, m=m, p=p: multi_margin(z, y, m, p),
            {"margin": m, "p": p},
            lambda: (logits(), indices()),
        )
        for m, p in ((1.0, 1), (0.3, 2))
    ],
    "MultiLabelMarginLoss": [
        (
            r"\frac{1}{K} \sum_{j \in y} \sum_{k \notin y} \max(0, 1 - z_j + z_k)",
            multi_label_margin,
            {},
            lambda: (logits(), LABELS),
        )
    ],
    "CosineEmbeddingLoss": [
        (
            r"\begin{cases} 1 - \cos(x_1, x_2) & y = 1 \\ \max(0, \cos(x_1, x_2) - m) & y = -1 \end{cases}",
            lambda a, b, y, m=m: cosine(a, b, y, m),
            {"margin": m},
            lambda: (*vectors(2), signs(N)),
        )
        for m in (0.0, 0.4)
    ],
    "TripletMarginLoss": [
        (
            r"\max \bigl( 0, d(a, b) - d(a, c) + m \bigr),\quad d(a, b) = \lVert a - b + \varepsilon \rVert_p",
            lambda a, b, c, m=m, p=p: triplet(a, b, c, m, p),
            {"margin": m, "p": p},
            lambda: vectors(3),
        )
        for m, p in ((1.0, 2), (0.2, 1))
    ],
    "TripletMarginWithDistanceLoss": [
        (
            r"\max \bigl( 0, d(a, b) - d(a, c) + m \bigr),\quad d \text{ given}",
            lambda a, b, c: np.maximum(0, ((a - b) ** 2).sum(1) - ((a - c) ** 2).sum(1) + 1),
            {"distance_function": lambda a, b: ((a - b) ** 2).sum(1)},
            lambda: vectors(3),
        )
    ],
}
# These take more than the arguments above: each has a test of its own.
OWN = {
    "CTCLoss": r"-\log \sum_{\pi \to y} \prod_t p_t(\pi_t)",
    "AdaptiveLogSoftmaxWithLoss": r"-\log p_c - \log p_{y \mid c}",
    "LinearCrossEntropyLoss": r"-z_y + \log \sum_k e^{z_k},\quad z = W x",
}
CASES = [(name, *form) for name, forms in FORMS.items() for form in forms]


def close(mine, theirs: Tensor) -> bool:
    theirs = theirs.detach().double().numpy()
    return mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=1e-6, atol=1e-9)


def test_the_table_lists_every_loss_class(page):
    found = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and "Loss" in name
    }
    assert found == set(page["CLASSES"]) == set(page["ROWS"]), "pinned PyTorch and page list the same classes"
    assert found == set(FORMS) | set(OWN), "every class has a formula that is tested"
    private = {name for name in nn.modules.loss.__all__ if name not in found}
    assert not private, private


def test_the_page_prints_what_this_test_checks(page):
    printed = {name: row[0] for name, row in page["ROWS"].items()}
    checked = {name: forms[0][0] for name, forms in FORMS.items()} | OWN
    assert printed == checked


@pytest.mark.filterwarnings("ignore:`NLLLoss2d`")
@pytest.mark.parametrize(
    ("name", "latex", "form", "options", "draw"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_formula_is_what_pytorch_computes(name, latex, form, options, draw):
    torch.manual_seed(len(latex))
    for _ in range(5):
        arguments = draw()
        with np.errstate(divide="ignore"):
            mine = form(*(argument.numpy() for argument in arguments))
        assert close(mine, getattr(nn, name)(reduction="none", **options)(*arguments))


@pytest.mark.filterwarnings("ignore:`NLLLoss2d`", "ignore:reduction. 'mean'")
@pytest.mark.parametrize(
    ("name", "latex", "form", "options", "draw"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_mean_and_sum_divide_by_what_the_page_says(page, name, latex, form, options, draw):
    torch.manual_seed(len(latex) + 1)
    arguments = draw()
    losses = getattr(nn, name)(reduction="none", **options)(*arguments)
    column = page["ROWS"][name][4]
    counted = N if column.startswith(("samples", "Σ")) else N * K
    if len(arguments[0]) == N:
        assert losses.numel() == counted, "a loss for each of what the column counts"
    total = getattr(nn, name)(reduction="sum", **options)(*arguments)
    mean = getattr(nn, name)(reduction="mean", **options)(*arguments)
    torch.testing.assert_close(total, losses.sum())
    torch.testing.assert_close(mean, losses.sum() / losses.numel())


@pytest.mark.filterwarnings("ignore:`NLLLoss2d`")
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "NLLLoss2d"])
def test_weights_of_classes_divide_their_mean(page, name):
    assert page["ROWS"][name][4].startswith("Σ of the targets’ weights")
    z, y, weight = logits().log_softmax(1), indices(), torch.rand(K, dtype=torch.float64)
    losses = getattr(nn, name)(weight=weight, reduction="none")(z, y)
    torch.testing.assert_close(getattr(nn, name)(weight=weight)(z, y), losses.sum() / weight[y].sum())


def test_class_probabilities_are_averaged_over_samples():
    z, q, weight = logits(), logits().softmax(1), torch.rand(K, dtype=torch.float64)
    losses = nn.CrossEntropyLoss(weight=weight, reduction="none")(z, q)
    torch.testing.assert_close(nn.CrossEntropyLoss(weight=weight)(z, q), losses.sum() / N)


def test_batchmean_divides_by_the_samples():
    log_p, q = logits().log_softmax(1), logits().softmax(1)
    losses = nn.KLDivLoss(reduction="none")(log_p, q)
    torch.testing.assert_close(nn.KLDivLoss(reduction="batchmean")(log_p, q), losses.sum() / N)


@pytest.mark.parametrize("target", [[[1, 2]], [[1, 1]], [[2, 1], [1, 1]]], ids=str)
def test_ctc_is_the_sum_over_all_alignments(page, target):
    torch.manual_seed(5)
    T, batch, y = 5, len(target), torch.tensor(target)
    log_p = torch.randn(T, batch, 3, dtype=torch.float64).log_softmax(2)
    lengths = torch.full((batch,), T), torch.full((batch,), 2)
    mine = ctc(log_p.numpy(), target)
    assert close(mine, nn.CTCLoss(reduction="none")(log_p, y, *lengths))
    assert page["ROWS"]["CTCLoss"][4] == "length of each target, then samples"
    assert math.isclose(nn.CTCLoss()(log_p, y, *lengths), (mine / 2).mean())


def test_ctc_divides_each_loss_by_its_own_length():
    torch.manual_seed(6)
    log_p = torch.randn(5, 2, 3).double().log_softmax(2)
    arguments = log_p, torch.tensor([[1, 2], [1, 0]]), torch.tensor([5, 5]), torch.tensor([2, 1])
    each = nn.CTCLoss(reduction="none")(*arguments)
    torch.testing.assert_close(nn.CTCLoss()(*arguments), (each / torch.tensor([2, 1])).mean())


def test_the_adaptive_softmax_is_a_cluster_then_a_class(page):
    torch.manual_seed(7)
    layer = nn.AdaptiveLogSoftmaxWithLoss(5, 9, cutoffs=[3, 6], div_value=2.0).double()
    x, y = torch.randn(9, 5).double(), torch.arange(9)
    head = layer.head(x).log_softmax(1).detach().numpy()  # classes 0, 1, 2, then two clusters of three
    mine = []
    for n in range(9):
        cluster, within = divmod(n, 3)
        if cluster == 0:
            mine.append(-head[n, within])
        else:
            tail = layer.tail[cluster - 1](x[n]).log_softmax(0).detach().numpy()
            mine.append(-head[n, 3 + cluster - 1] - tail[within])
    result = layer(x, y)
    assert close(np.array(mine), -result.output)
    assert page["ROWS"]["AdaptiveLogSoftmaxWithLoss"][4] == "samples"
    torch.testing.assert_close(result.loss, -result.output.mean())


def test_linear_cross_entropy_is_a_linear_layer_first(page):
    torch.manual_seed(8)
    layer = nn.LinearCrossEntropyLoss(3, K, reduction="none").double()
    x, y = torch.randn(N, 3).double(), indices()
    W = layer.linear.weight.detach().numpy()
    assert close(cross_entropy(x.numpy() @ W.T, y.numpy()), layer(x, y))


def test_names_of_functions(page):
    for name in page["CLASSES"]:
        function = page["function_of"](name)
        assert function is None or callable(getattr(torch.nn.functional, function)), name
    assert {page["function_of"](name) for name in page["CLASSES"]} - {None} == set(page["FUNCTIONS"])
