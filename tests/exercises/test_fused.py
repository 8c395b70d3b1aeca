"""The exercises of lesson 08: its solutions pass, right answers in every style do, and what is to be written is."""

import functools
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lossbook import kernels
from lossbook.exercises import check, exercises, fused
from lossbook.kernels import on_rows, tl
from lossbook.losses import cross_entropy

ROOT = Path(__file__).parents[2]
NAMES = [name for name, declared in exercises().items() if declared.slug == "fused"]


@pytest.fixture(autouse=True)
def triton_for_kernels(request):
    """Skip what runs a kernel where Triton is not installed."""
    if kernels.interpreter is None and "kernel" in request.node.name:
        pytest.skip("Triton is not installed")


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


@on_rows("m_ptr", "d_ptr")
def kernel_in_two_passes(z_ptr, m_ptr, d_ptr, V, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    z_ptr += row * V
    m = float("-inf")
    for start in range(0, V, BLOCK):
        at = start + tl.arange(0, BLOCK)
        m = tl.maximum(m, tl.max(tl.load(z_ptr + at, at < V, float("-inf")), 0))
    d = 0.0
    for start in range(0, V, BLOCK):
        at = start + tl.arange(0, BLOCK)
        d += tl.sum(tl.exp(tl.load(z_ptr + at, at < V, float("-inf")) - m), 0)
    tl.store(m_ptr + row, m)
    tl.store(d_ptr + row, d)


@on_rows("m_ptr", "d_ptr")
def kernel_that_reduces_at_the_end(z_ptr, m_ptr, d_ptr, V, BLOCK: tl.constexpr):
    """Keep a maximum and a sum for each place of the block, as the chapter's kernel does."""
    row = tl.program_id(axis=0)
    m = tl.full((BLOCK,), float("-inf"), tl.float32)
    d = tl.zeros((BLOCK,), tl.float32)
    for i in range(tl.cdiv(V, BLOCK)):
        at = i * BLOCK + tl.arange(0, BLOCK)
        z = tl.load(z_ptr + row * V + at, mask=at < V, other=float("-inf"))
        new = tl.maximum(m, z)
        safe = tl.where(new == float("-inf"), 0.0, new)
        d = d * tl.exp(m - safe) + tl.exp(z - safe)
        m = new
    top = tl.max(m, axis=0)
    tl.store(m_ptr + row, top)
    tl.store(d_ptr + row, tl.sum(d * tl.exp(m - top), axis=0))


@on_rows("m_ptr", "d_ptr")
def kernel_to_base_two(z_ptr, m_ptr, d_ptr, V, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    m = tl.full((), -1e30, tl.float32)
    d = tl.zeros((), tl.float32)
    for start in tl.range(0, V, BLOCK):
        z = tl.load(z_ptr + row * V + start + columns, mask=start + columns < V, other=float("-inf"))
        new = tl.maximum(m, z.max(0))
        d = d * tl.exp2((m - new) * 1.4426950408889634) + tl.exp2((z - new) * 1.4426950408889634).sum(0)
        m = new
    tl.store(m_ptr + row, m)
    tl.store(d_ptr + row, d)


@on_rows("g_ptr")
def gradient_with_the_label_at_the_end(z_ptr, y_ptr, m_ptr, d_ptr, g_ptr, V, kept, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    y = tl.load(y_ptr + row)
    counted = y != -100
    m, d = tl.load(m_ptr + row), tl.load(d_ptr + row)
    scale = tl.where(counted, 1.0 / kept, 0.0)
    for start in range(0, V, BLOCK):
        at = start + tl.arange(0, BLOCK)
        z = tl.load(z_ptr + row * V + at, at < V)
        tl.store(g_ptr + row * V + at, tl.exp(z - m) / d * scale, at < V)
    g = tl.load(g_ptr + row * V + y, mask=counted)
    tl.store(g_ptr + row * V + y, g - scale, mask=counted)


@on_rows("g_ptr")
def gradient_by_an_if(z_ptr, y_ptr, m_ptr, d_ptr, g_ptr, V, kept, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    y = tl.load(y_ptr + row)
    lse = tl.load(m_ptr + row) + tl.log(tl.load(d_ptr + row))
    for start in range(0, V, BLOCK):
        at = start + tl.arange(0, BLOCK)
        g = tl.zeros((BLOCK,), tl.float32)
        if y != -100:
            z = tl.load(z_ptr + row * V + at, mask=at < V, other=0.0)
            g = (tl.exp(z - lse) - (at == y).to(tl.float32)) / kept
        tl.store(g_ptr + row * V + at, g, mask=at < V)


def steps(x, y, V, chunk, *, many=50, of=6.0):
    """Descend without momentum, with PyTorch's own log-sum-exp of each chunk."""
    w = x.new_zeros(V, x.shape[1])
    for _ in range(many):
        lse = torch.stack([(x @ part.T).logsumexp(1) for part in w.split(chunk)]).logsumexp(0)
        w = w - of * vocabulary(x, w, y, lse, chunk)
    return w


def by_an_optimiser(x, y, V, chunk):
    """Hand the gradient to an optimiser of PyTorch's."""
    w = torch.zeros(V, x.shape[1])
    optimiser = torch.optim.SGD([w], lr=6, momentum=0.8)
    for _ in range(20):
        lse = torch.stack([(x @ part.T).logsumexp(1) for part in w.split(chunk)]).logsumexp(0)
        w.grad = vocabulary(x, w, y, lse, chunk)
        optimiser.step()
    return w


RIGHT = {
    "word_vectors": {"plain steps": steps, "an optimiser": by_an_optimiser},
    "max_and_sum_kernel": {
        "two passes": kernel_in_two_passes,
        "reduced at the end": kernel_that_reduces_at_the_end,
        "to base two": kernel_to_base_two,
    },
    "gradient_kernel": {
        "the label at the end": gradient_with_the_label_at_the_end,
        "an if": gradient_by_an_if,
    },
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
}


@pytest.mark.parametrize(("name", "style"), [(name, style) for name, styles in RIGHT.items() for style in styles])
def test_every_right_style_passes(named, name, style):
    report = check(named(name, RIGHT[name][style]))
    assert report.passed, report


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
    def linear_cross_entropy_in_chunks(x, w, y, chunk):
        for _ in range(0, len(w), chunk):
            pass
        return cross_entropy(x @ w.T, y)

    report = check(linear_cross_entropy_in_chunks)
    assert report.state == "failed"
    assert "borrowed" in report.message


# What goes wrong in the solution's kernels when one line is another, and the name that it is to be told by.
WRONG_LINES = {
    "max_and_sum_kernel": {
        (', mask=at < V, other=float("-inf"))', ")"): "the mask forgotten",
        ('at < V, other=float("-inf")', "at < V, other=0.0"): "zeros behind the row",
        ('mask=at < V, other=float("-inf")', "mask=at < V"): "zeros behind the row",
        ("range(0, V, BLOCK)", "range(0, V - BLOCK + 1, BLOCK)"): "the last block left out",
        ("z_ptr + row * V + at", "z_ptr + at"): "the first row, for all",
        ("d = d * tl.exp(m - finite) +", "d = d +"): "the sum not rescaled",
        ('    m = float("-inf")', "    m = 0.0"): "the maximum begins at zero",
        ('finite = tl.where(new == float("-inf"), 0.0, new)', "finite = new"): "a block of −∞ gives nan",
        ('finite = tl.where(new == float("-inf"), 0.0, new)', "finite = m = 0.0"): "no maximum taken off",
        ("tl.store(d_ptr + row, d)", "tl.store(d_ptr + row, tl.log(d))"): "the logarithm of the sum",
        ("tl.store(m_ptr + row, m)", "tl.store(m_ptr + row + 1, m)"): None,
        ("tl.store(m_ptr + row, m)", "tl.store(z_ptr + row, m)"): None,
        ("tl.store(d_ptr + row, d)", "pass"): None,
    },
    "gradient_kernel": {
        ("hot = tl.where(at == y, 1.0, 0.0)", "hot = 0.0"): "the label forgotten",
        ("at == y", "tl.arange(0, BLOCK) == y"): "columns counted from the block's beginning",
        (" / kept", ""): "not divided",
        ("        g = tl.where(y == -100, 0.0, g)\n", ""): "ignored samples pushed",
        ("tl.exp(z - m) / d - hot", "hot - tl.exp(z - m) / d"): "the sign turned",
        ("tl.exp(z - m) / d - hot", "tl.exp(z - m) - hot"): "the sum not divided by",
        ("tl.exp(z - m)", "tl.exp(z)"): "the maximum not taken off",
        ("range(0, V, BLOCK)", "range(0, V - BLOCK + 1, BLOCK)"): "the last block left out",
        (", g, mask=at < V)", ", g)"): "the mask forgotten",
        ("at, mask=at < V)\n        hot", "at)\n        hot"): "the mask forgotten",
        ("row * V + at", "at"): "every program at the first row",
    },
}
LINES = [(name, *change, told) for name, changes in WRONG_LINES.items() for change, told in changes.items()]


@pytest.fixture(scope="module")
def kernel_sources():
    """Return the cells of the solution that define kernels, by name."""
    text = (ROOT / "solutions" / "08-fused.md").read_text(encoding="utf-8")
    cells = re.findall(r"```\{code-cell\} python3\n(@on_rows.*?)```", text, re.S)
    return {re.search(r"def (\w+)", cell)[1]: cell for cell in cells}


@pytest.mark.parametrize(("name", "line", "other", "told"), LINES)
def test_a_kernel_with_a_wrong_line_is_told_what_is_wrong(kernel_sources, name, line, other, told):
    source = kernel_sources[name]
    assert line in source
    scope = {"on_rows": on_rows, "tl": tl, "math": math}
    exec(source.replace(line, other), scope)
    report = check(scope[name])
    assert report.state == "failed"
    assert report.misconception == told, report


def test_the_kernel_is_not_to_be_written_in_pytorch_or_in_python(named):
    def by_pytorch(z_ptr, m_ptr, d_ptr, V, BLOCK):
        m = z_ptr.amax(1)
        return m, torch.exp(z_ptr - m[:, None]).sum(1)

    def by_python(z_ptr, m_ptr, d_ptr, V, BLOCK):
        rows = z_ptr.tolist()
        sums = [sum(math.exp(value - max(row)) for value in row) for row in rows]
        return torch.tensor([max(row) for row in rows]), torch.tensor(sums)

    for wrong in (by_pytorch, by_python):
        report = check(named("max_and_sum_kernel", wrong))
        assert report.state == "failed"
        assert "asks you to write" in repr(report)


def test_the_words_are_learnt_with_room_and_no_lazy_answer_does():
    scores, lazy = [], []
    for seed in range(50):
        (case,) = fused.word_cases(torch.Generator().manual_seed(seed))
        x, *rest = case.args
        ones = x * (torch.arange(x.shape[1]) == x.shape[1] - 1)
        scores.append(fused._words_loss(fused.trained(x, *rest), case.kept))
        lazy.append(fused._words_loss(steps(ones, *rest), case.kept))
    assert max(scores) < fused.WORDS_TO_BEAT - 0.01
    assert min(lazy) > fused.WORDS_TO_BEAT + 0.01


def whole_table(x, y, V, chunk):
    w = torch.zeros(V, x.shape[1])
    for _ in range(50):
        g = torch.exp(x @ w.T - (x @ w.T).logsumexp(1, keepdim=True)) - torch.eye(V)[y]
        w = w - 6 * g.T @ x / len(x)
    return w


def table_by_autograd(x, y, V, chunk):
    w = torch.zeros(V, x.shape[1], requires_grad=True)
    optimiser = torch.optim.SGD([w], lr=6, momentum=0.8)
    for _ in range(20):
        optimiser.zero_grad()
        z = x @ w.T
        (z.logsumexp(1) - z[torch.arange(len(y)), y]).mean().backward()
        optimiser.step()
    return w.detach()


@pytest.mark.parametrize("way", [whole_table, table_by_autograd])
def test_a_vocabulary_trained_through_the_table_of_logits_fails_though_it_beats_the_score(named, way):
    report = check(named("word_vectors", lambda *args: way(*args)))
    assert report.state == "failed"
    assert len(report.failures) == 1
    assert "a tensor of 64 numbers was made, and 32 are enough here" in report.failures[0].reason


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda *args: steps(*args) / 6, "stopped on the way"),
        (lambda *args: steps(*args) * -1, "the sign turned"),
        (lambda x, *rest: steps(x * (torch.arange(x.shape[1]) == x.shape[1] - 1), *rest), "the word before left out"),
        (lambda x, y, V, chunk: steps(x, y, V, chunk) * math.nan, "numbers that are not finite"),
    ],
)
def test_a_vocabulary_that_misses_the_score_is_told_why(named, wrong, told):
    report = check(named("word_vectors", wrong))
    assert report.state == "failed"
    assert report.misconception == told, report
