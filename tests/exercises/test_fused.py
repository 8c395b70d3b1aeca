"""The exercises of lesson 08: its solutions pass, right answers in every style do, and what is to be written is."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F

from lossbook.exercises import check, exercises
from lossbook.losses import cross_entropy

NAMES = [name for name, declared in exercises().items() if declared.slug == "fused"]


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("08-fused")[name])
    assert report.passed, report


def merge(m1, d1, m2, d2):
    m = torch.maximum(m1, m2)
    safe = torch.where(m == -math.inf, 0.0, m)
    return m, d1 * torch.exp(m1 - safe) + d2 * torch.exp(m2 - safe)


def max_and_sum(z):
    m = z.amax(1)
    safe = torch.where(m == -math.inf, 0.0, m)
    return m, torch.exp(z - safe[:, None]).sum(1)


def mean_loss(z, y, block):
    m, d = z.new_full((len(z),), -math.inf), z.new_zeros(len(z))
    for start in range(0, z.shape[1], block):
        m, d = merge(m, d, *max_and_sum(z[:, start : start + block]))
    return (m + d.log() - z[torch.arange(len(z)), y]).mean()


def gradient(z, y, m, d):
    kept = y != -100
    p = torch.exp(z - m[:, None]) / d[:, None]
    hot = (y[:, None] == torch.arange(z.shape[1])).float()
    return (p - hot) * kept[:, None] / max(int(kept.sum()), 1)


def vocabulary(x, w, y, lse, chunk):
    found = []
    for start in range(0, len(w), chunk):
        part = w[start : start + chunk]
        p = torch.exp(x @ part.T - lse[:, None])
        found.append((p - (y[:, None] == torch.arange(start, start + len(part))).float()).T @ x)
    return torch.cat(found) / len(x)


def each(m, d, right):
    return m + d.log() - right


# Beside the misconceptions that the exercises declare, which test_declared.py tests.
WRONG = {
    "the sum and then the maximum": ("online_max_and_sum", lambda z: max_and_sum(z[None])[::-1]),
    "the log-sum-exp alone": ("online_max_and_sum", lambda z: torch.stack(max_and_sum(z[None])).log().sum()),
    "a row of one number": ("online_max_and_sum", lambda z: max_and_sum(z[None])),
    "the smaller maximum": (
        "merge_max_and_sum",
        lambda m1, d1, m2, d2: (torch.minimum(m1, m2), merge(m1, d1, m2, d2)[1]),
    ),
    "the log-sum-exp of both": (
        "merge_max_and_sum",
        lambda m1, d1, m2, d2: torch.logaddexp(m1 + d1.log(), m2 + d2.log()),
    ),
    "a mean over all logits": ("cross_entropy_in_blocks", lambda z, y, block: mean_loss(z, y, block) / z.shape[1]),
    "the first block alone": ("cross_entropy_in_blocks", lambda z, y, block: mean_loss(z, y % block, block)),
    "the blocks' losses averaged": (
        "cross_entropy_in_blocks",
        lambda z, y, block: torch.stack(
            [mean_loss(z[:, a : a + block], 0 * y, block) for a in range(0, z.shape[1], block)]
        ).mean(),
    ),
    "one loss a sample": (
        "cross_entropy_in_blocks",
        lambda z, y, block: torch.stack([mean_loss(row[None], k[None], block) for row, k in zip(z, y, strict=True)]),
    ),
    "the last class for an ignored one": (
        "cross_entropy_gradient_from",
        lambda z, y, m, d: gradient(z, torch.where(y < 0, z.shape[1] - 1, y), m, d),
    ),
    "the first class for an ignored one": (
        "cross_entropy_gradient_from",
        lambda z, y, m, d: gradient(z, y.clamp(min=0), m, d),
    ),
    "the softmax": ("cross_entropy_gradient_from", lambda z, y, m, d: torch.exp(z - m[:, None]) / d[:, None]),
    "the mean over all numbers": (
        "cross_entropy_gradient_from",
        lambda z, y, m, d: gradient(z, y, m, d) / z.shape[1],
    ),
    "hidden states for logits": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: mean_loss(x, y % x.shape[1], chunk),
    ),
    "the vocabulary in chunks of samples": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: mean_loss((x @ w.T)[:chunk], y[:chunk], chunk),
    ),
    "the gradient of the hidden states": (
        "vocabulary_gradient_in_chunks",
        lambda x, w, y, lse, chunk: (torch.exp(x @ w.T - lse[:, None]) - F.one_hot(y, len(w))) @ w / len(x),
    ),
    "the gradient over the classes": (
        "vocabulary_gradient_in_chunks",
        lambda x, w, y, lse, chunk: vocabulary(x, w, y, lse, chunk) * len(x) / len(w),
    ),
    "bits": ("loss_and_gradient_bytes", lambda N, V, size: tuple(8 * k * N * V * size for k in (6, 3, 2))),
    "bytes to a thousandth": (
        "loss_and_gradient_bytes",
        lambda N, V, size: tuple(1.001 * k * N * V * size for k in (6, 3, 2)),
    ),
    "seven tables": ("loss_and_gradient_bytes", lambda N, V, size: tuple(k * N * V * size for k in (7, 3, 2))),
    "divided by one less": ("fused_torch_sum", lambda m, d, right: each(m, d, right).sum() / (len(m) - 1)),
    "a loop for torch.sum": ("fused_torch_sum", lambda m, d, right: sum(each(m, d, right).tolist()) / len(m)),
    "the mean for Python's sum": ("fused_python_sum", lambda m, d, right: each(m, d, right).mean()),
    "a time in milliseconds": ("predict_fused_seconds", lambda n, bandwidth: 12e3 * n / bandwidth),
    "float64": ("predict_fused_seconds", lambda n, bandwidth: 24 * n / bandwidth),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_people_get_wrong_fails(named, what):
    name, wrong = WRONG[what]
    report = check(named(name, wrong))
    assert report.state == "failed", f"{what}: {report}"


def online_with_numbers(z):
    m, d = -math.inf, 0.0
    for value in z.tolist():
        if value > m:
            d *= math.exp(m - value)
            m = value
        d += math.exp(value - m)
    return torch.tensor(m), torch.tensor(d)


def online_from_the_first(z):
    m, d = z[0], torch.tensor(1.0)
    for value in z[1:]:
        if value > m:
            m, d = value, d * torch.exp(m - value) + 1
        else:
            d = d + torch.exp(value - m)
    return torch.stack([m, d])


def online_by_merging(z):
    parts = [(value, torch.ones(())) for value in z]
    return functools.reduce(lambda a, b: merge(*a, *b), parts)


def online_in_halves(z):
    if len(z) == 1:
        return z[0], torch.ones_like(z[0])
    half = len(z) // 2
    return merge(*online_in_halves(z[:half]), *online_in_halves(z[half:]))


def merged_by_difference(m1, d1, m2, d2):
    """Rescale by the difference of the maxima, which is 0 where both are −∞."""
    gap = torch.where(m1 == m2, torch.zeros_like(m1), m1 - m2)
    larger = gap >= 0
    kept, other = torch.where(larger, d1, d2), torch.where(larger, d2, d1)
    return torch.where(larger, m1, m2), kept + other * torch.exp(-gap.abs())


def merged_with_zeros_put_in(m1, d1, m2, d2):
    m = torch.maximum(m1, m2)
    first, second = (torch.nan_to_num(torch.exp(own - m), nan=0.0) for own in (m1, m2))
    return torch.stack([m, d1 * first + d2 * second])


def merged_by_loop(m1, d1, m2, d2):
    found = []
    for a, da, b, db in zip(m1.tolist(), d1.tolist(), m2.tolist(), d2.tolist(), strict=True):
        m = max(a, b)
        found.append((m, 0.0) if m == -math.inf else (m, da * math.exp(a - m) + db * math.exp(b - m)))
    return torch.tensor(found).T


def blocks_split(z, y, block):
    m, d = torch.full((len(z),), -torch.inf), torch.zeros(len(z))
    for part in torch.split(z, block, dim=1):
        m, d = merge(m, d, *max_and_sum(part))
    return (m + torch.log(d) - z.gather(1, y[:, None])[:, 0]).mean()


def blocks_with_the_right_logit_found_inside(z, y, block):
    m, d, right = torch.full((len(z),), -torch.inf), torch.zeros(len(z)), torch.zeros(len(z))
    for start in range(0, z.shape[1], block):
        part = z[:, start : start + block]
        inside = (y >= start) & (y < start + part.shape[1])
        right[inside] = part[inside, y[inside] - start]
        m, d = merge(m, d, *max_and_sum(part))
    return torch.sum(m + torch.log(d) - right) / len(z)


def blocks_by_rows(z, y, block):
    losses = []
    for row, label in zip(z, y, strict=True):
        pieces = [max_and_sum(row[None, a : a + block]) for a in range(0, len(row), block)]
        m, d = functools.reduce(lambda a, b: merge(*a, *b), pieces)
        losses.append(m + d.log() - row[label])
    return torch.cat(losses).mean()


def gradient_of_the_kept(z, y, m, d):
    found = torch.zeros_like(z)
    kept = (y != -100).nonzero().squeeze(1)
    p = torch.exp(z[kept] - (m + d.log())[kept, None])
    p[torch.arange(len(kept)), y[kept]] -= 1
    found[kept] = p / max(len(kept), 1)
    return found


def gradient_by_loop(z, y, m, d):
    found, kept = torch.zeros_like(z), sum(int(label) != -100 for label in y)
    for n, label in enumerate(y.tolist()):
        if label == -100:
            continue
        found[n] = torch.exp(z[n] - m[n]) / d[n]
        found[n, label] -= 1
        found[n] /= kept
    return found


def gradient_in_place(z, y, m, d):
    """Write the gradient over a copy of the logits."""
    kept = y.ne(-100)
    z = z.sub(m[:, None]).exp_().div_(d[:, None])
    z.scatter_add_(1, y.clamp(min=0)[:, None], -torch.ones(len(z), 1))
    return z.mul_(kept[:, None]).div_(kept.sum().clamp(min=1))


def chunks_split(x, w, y, chunk):
    m, d = torch.full((len(x),), -torch.inf), torch.zeros(len(x))
    for part in w.split(chunk):
        m, d = merge(m, d, *max_and_sum(x @ part.T))
    return (m + d.log() - torch.einsum("nd,nd->n", x, w[y])).mean()


def chunks_of_log_sum_exps(x, w, y, chunk):
    """Reduce each chunk to one number a row, and these at the end."""
    parts = []
    for start in range(0, len(w), chunk):
        m, d = max_and_sum(F.linear(x, w[start : start + chunk]))
        parts.append(m + d.log())
    m, d = max_and_sum(torch.stack(parts, 1))
    return (m + d.log()).mean() - (x * w[y]).sum() / len(x)


def vocabulary_outer_products(x, w, y, lse, chunk):
    found = torch.zeros_like(w)
    for start in range(0, len(w), chunk):
        z = torch.einsum("nd,vd->nv", x, w[start : start + chunk])
        found[start : start + chunk] = torch.einsum("nv,nd->vd", torch.exp(z - lse[:, None]), x)
    found.index_add_(0, y, -x)
    return found / len(x)


RIGHT = {
    "online_max_and_sum": {
        "Python's numbers": online_with_numbers,
        "from the first": online_from_the_first,
        "one merge after the other": online_by_merging,
        "halves": online_in_halves,
        "float64 inside": lambda z: [number.float() for number in online_by_merging(z.double())],
    },
    "merge_max_and_sum": {
        "by the difference": merged_by_difference,
        "nan replaced": merged_with_zeros_put_in,
        "a loop": merged_by_loop,
        "a list": lambda *parts: list(merge(*parts)),
        "float64": lambda *parts: merge(*(part.double() for part in parts)),
    },
    "cross_entropy_in_blocks": {
        "split": blocks_split,
        "the right logit found inside": blocks_with_the_right_logit_found_inside,
        "row by row": blocks_by_rows,
        "float64": lambda z, y, block: mean_loss(z.double(), y, block),
    },
    "cross_entropy_gradient_from": {
        "one-hot": gradient,
        "the kept alone": gradient_of_the_kept,
        "a loop": gradient_by_loop,
        "in place": gradient_in_place,
        "float64": lambda z, y, m, d: gradient(z.double(), y, m.double(), d.double()),
    },
    "linear_cross_entropy_in_chunks": {
        "split": chunks_split,
        "log-sum-exps of chunks": chunks_of_log_sum_exps,
        "float64": lambda x, w, y, chunk: chunks_split(x.double(), w.double(), y, chunk).float(),
    },
    "vocabulary_gradient_in_chunks": {
        "a list of parts": vocabulary,
        "labels at the end": vocabulary_outer_products,
        "float64": lambda x, w, y, lse, chunk: vocabulary(x.double(), w.double(), y, lse.double(), chunk),
    },
    "loss_and_gradient_bytes": {
        "one by one": lambda N, V, size: [N * V * size * k for k in (2 + 1 + 3, 1 + 1 + 1, 1 + 1)],
        "a tensor": lambda N, V, size: torch.tensor([6, 3, 2]) * N * V * size,
        "numbers with a point": lambda N, V, size: (6.0 * N * V * size, 3.0 * N * V * size, 2.0 * N * V * size),
    },
    "fused_python_sum": {
        "a list of floats": lambda m, d, right: sum(each(m, d, right).tolist()) / len(m),
        "a generator": lambda m, d, right: sum(each(*row) for row in zip(m, d, right, strict=True)) / len(m),
        "a range": lambda m, d, right: sum(m[n] + torch.log(d[n]) - right[n] for n in range(len(m))) / len(m),
        "each divided first": lambda m, d, right: sum(each(m, d, right) / len(m)),
    },
    "fused_torch_sum": {
        "a method": lambda m, d, right: each(m, d, right).sum() / len(m),
        "the mean": lambda m, d, right: each(m, d, right).mean(),
        "three sums": lambda m, d, right: ((m - right).sum() + d.log().sum()) / len(m),
        "float64": lambda m, d, right: each(m.double(), d.double(), right.double()).sum() / len(m),
    },
    "predict_fused_seconds": {
        "the scalar counted": lambda n, bandwidth: (12 * n + 4) / bandwidth,
        "bytes first": lambda n, bandwidth: (3 * n * 4) * (1 / bandwidth),
    },
}


@pytest.mark.parametrize(("name", "style"), [(name, style) for name, styles in RIGHT.items() for style in styles])
def test_every_right_style_passes(named, name, style):
    report = check(named(name, RIGHT[name][style]))
    assert report.passed, report


def gradient_by_backward(z, y, m, d):
    z = z.detach().requires_grad_()
    kept = y != -100
    ((torch.exp(z - m[:, None]).sum(1).log() + m)[kept] - z[kept, y[kept]]).mean().backward()
    return z.grad


def vocabulary_by_autograd(x, w, y, lse, chunk):
    w = w.detach().requires_grad_()
    return torch.autograd.grad(mean_loss(x @ w.T, y, chunk), w)[0]


FORBIDDEN = {
    "PyTorch's log-sum-exp": ("online_max_and_sum", lambda z: (z.max(), torch.exp(z.logsumexp(0) - z.max()))),
    "a running log-sum-exp": (
        "online_max_and_sum",
        lambda z: (z.max(), torch.exp(z.logcumsumexp(0)[-1] - z.max())),
    ),
    "logaddexp": (
        "merge_max_and_sum",
        lambda m1, d1, m2, d2: (
            torch.maximum(m1, m2),
            torch.exp(torch.logaddexp(m1 + d1.log(), m2 + d2.log()) - torch.maximum(m1, m2)),
        ),
    ),
    "PyTorch's loss": ("cross_entropy_in_blocks", lambda z, y, block: F.cross_entropy(z, y)),
    "PyTorch's log-softmax": (
        "cross_entropy_in_blocks",
        lambda z, y, block: -z.log_softmax(1).gather(1, y[:, None]).mean(),
    ),
    "backward": ("cross_entropy_gradient_from", gradient_by_backward),
    "PyTorch's softmax": ("cross_entropy_gradient_from", lambda z, y, m, d: z.softmax(1)),
    "PyTorch's loss of a product": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: torch.nn.CrossEntropyLoss()(x @ w.T, y),
    ),
    "autograd": ("vocabulary_gradient_in_chunks", vocabulary_by_autograd),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_is_to_be_written_may_not_be_called(named, what):
    name, borrowed = FORBIDDEN[what]
    report = check(named(name, borrowed))
    assert report.state == "failed"
    assert "asks you to write" in repr(report)


def test_the_course_s_own_loss_is_not_an_answer():
    def cross_entropy_in_blocks(z, y, block):
        for _ in range(0, z.shape[1], block):
            pass
        return cross_entropy(z, y)

    report = check(cross_entropy_in_blocks)
    assert report.state == "failed"
    assert "borrowed" in report.message
