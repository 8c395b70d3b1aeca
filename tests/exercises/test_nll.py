"""The exercises of lesson 05: its solutions pass, what people really write wrong does not."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook.checks.report import run
from lossbook.exercises import check, exercise
from lossbook.losses import cross_entropy, nll_loss, poisson_nll_loss

NAMES = (
    "nll_by_index",
    "nll_ignoring",
    "nll_class_weights",
    "nll_dense",
    "corpus_perplexity",
    "poisson_nll",
    "nll_python_sum",
    "nll_torch_sum",
    "nll_diagnosis",
    "next_character",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes(solutions, name):
    report = check(solutions("05-nll")[name])
    assert report.passed, report


def picked(log_p, y):
    return log_p[torch.arange(len(y)), y]


def by_loop(log_p, y):
    return -torch.stack([row[k] for row, k in zip(log_p, y, strict=True)]).mean()


# Beside the misconceptions that the exercises declare, which test_declared.py tests.
DIAGNOSIS = exercise("nll_diagnosis").reference


WRONG = {
    "the exponential": ("nll_by_index", lambda log_p, y: -picked(log_p, y).exp().mean()),
    "the largest and not the right one": ("nll_by_index", lambda log_p, y: -log_p.amax(1).mean()),
    "gathered along the samples": ("nll_by_index", lambda log_p, y: -log_p.gather(0, y[None] % len(y)).mean()),
    "a softmax of its own": ("nll_by_index", lambda log_p, y: -picked(log_p.softmax(1), y).mean()),
    "rows picked by class": ("nll_by_index", lambda log_p, y: -log_p[y].mean()),
    "one class further": ("nll_by_index", lambda log_p, y: -picked(log_p, (y + 1) % log_p.shape[1]).mean()),
    "the last sample forgotten": ("nll_by_index", lambda log_p, y: -picked(log_p, y)[:-1].sum() / len(y)),
    "always 0": ("nll_ignoring", lambda log_p, y, index: -picked(log_p[y != 0], y[y != 0].clamp(min=0)).mean()),
    "what lies above the index": (
        "nll_ignoring",
        lambda log_p, y, index: -picked(log_p[y > index], y[y > index]).mean(),
    ),
    "the sum of what counts": ("nll_ignoring", lambda log_p, y, index: -picked(log_p[y != index], y[y != index]).sum()),
    "weights inside the log": (
        "nll_class_weights",
        lambda log_p, y, w: -(picked(log_p, y) + w[y].log()).mean(),
    ),
    "weights normalised, then the mean": (
        "nll_class_weights",
        lambda log_p, y, w: -(w[y] / w.sum() * picked(log_p, y)).mean(),
    ),
    "weights divided out": ("nll_class_weights", lambda log_p, y, w: -(picked(log_p, y) / w[y]).sum() / w[y].sum()),
    "probabilities of the places": ("nll_dense", lambda log_p, y: -log_p.exp().gather(1, y.unsqueeze(1)).squeeze(1)),
    "flat": ("nll_dense", lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)).flatten()),
    "the last batch alone": ("corpus_perplexity", lambda batches: batches[-1].mean().exp()),
    "the sum of all tokens": ("corpus_perplexity", lambda batches: torch.cat(batches).sum().exp()),
    "one token too many": ("corpus_perplexity", lambda batches: (torch.cat(batches).sum() / 6).exp()),
    "the factorial's sign": ("poisson_nll", lambda z, y: (z.exp() - y * z - torch.lgamma(y + 1)).mean()),
    "the squared error of the rate": ("poisson_nll", lambda z, y: ((z.exp() - y) ** 2).mean()),
    "each count's own loss": ("poisson_nll", lambda z, y: z.exp() - y * z + torch.lgamma(y + 1)),
    "log (y + 1)!": ("poisson_nll", lambda z, y: (z.exp() - y * z + torch.lgamma(y + 2)).mean()),
    "no training has a fault": ("nll_diagnosis", lambda train, held, entropy, K: torch.zeros(len(train)).long()),
    "the verdicts in order": ("nll_diagnosis", lambda train, held, entropy, K: torch.arange(len(train)) % 5),
    "added up taken for blind": (
        "nll_diagnosis",
        lambda *given: torch.where(DIAGNOSIS(*given) == 2, 3, DIAGNOSIS(*given)),
    ),
    "probabilities taken for sound": ("nll_diagnosis", lambda *given: DIAGNOSIS(*given) * (DIAGNOSIS(*given) != 1)),
    "one verdict in all": ("nll_diagnosis", lambda *given: DIAGNOSIS(*given)[0]),
    "averaged in NumPy, not added up": (
        "nll_python_sum",
        lambda log_p, y: float(np.mean(-log_p.numpy()[np.arange(len(y)), y.numpy()])),
    ),
    "a loop": ("nll_torch_sum", lambda log_p, y: by_loop(log_p, y)),
    "a list handed to torch": (
        "nll_torch_sum",
        lambda log_p, y: torch.tensor([-log_p[n, k] for n, k in enumerate(y.tolist())]).sum() / len(y),
    ),
    "by way of the rate": (
        "poisson_nll",
        lambda z, y: (z.exp() - y * z.exp().log() + torch.special.gammaln(y + 1)).mean(),
    ),
    "a distribution of the rate": (
        "poisson_nll",
        lambda z, y: -torch.distributions.Poisson(z.exp()).log_prob(y).mean(),
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_function_fails(named, mistake):
    name, function = WRONG[mistake]
    report = run(named(name, function), exercise(name))
    assert report.state == "failed", report
    assert report.points == 0
    assert all(failure.note for failure in report.failures)


def in_place(log_p, y):
    each = picked(log_p, y).clone()
    return each.neg_().mean()


def permuted(log_p, y):
    rows = log_p.movedim(1, -1)
    return -rows.reshape(-1, rows.shape[-1])[torch.arange(y.numel()), y.reshape(-1)].reshape(y.shape)


def counted_loop(log_p, y, ignore_index):
    each = [-log_p[n, k] for n, k in enumerate(y.tolist()) if k != ignore_index]
    return sum(each) / len(each) if each else torch.tensor(math.nan)


def where_counted(log_p, y, index):
    counted = y != index
    each = torch.where(counted, picked(log_p, y.masked_fill(~counted, 0)), 0)
    return -each.sum() / counted.sum()


def weighted_loop(log_p, y, w):
    above = below = 0.0
    for row, k in zip(log_p, y, strict=True):
        above = above - w[k] * row[k]
        below += w[k].item()
    return above / below


def dense_by_one_hot(log_p, y):
    hot = F.one_hot(y, log_p.shape[1]).movedim(-1, 1)
    return -(hot * log_p).sum(1)


def dense_by_grid(log_p, y):
    places = torch.meshgrid(*[torch.arange(size) for size in y.shape], indexing="ij")
    return -log_p[places[0], y, *places[1:]]


def dense_in_place(log_p, y):
    loss = torch.empty(y.shape)
    for k in range(log_p.shape[1]):
        loss[y == k] = -log_p[:, k][y == k]
    return loss


def running_perplexity(batches):
    mean, tokens = 0.0, 0
    for batch in batches:
        for loss in batch.tolist():
            tokens += 1
            mean += (loss - mean) / tokens
    return torch.tensor(math.exp(mean))


def summed_in_a_loop(log_p, y):
    total = 0
    for loss in -log_p.gather(1, y[:, None]).squeeze(1):
        total += loss
    return total / len(y)


def row_by_row(train, held, entropy, K):
    told = []
    for seen, new, most in zip(train.tolist(), held.tolist(), entropy.tolist(), strict=True):
        if min(seen) < 0:
            told.append(1)
        elif seen[0] > 1.5 * math.log(K):
            told.append(2)
        elif abs(seen[-1] - most) < 0.03 * most:
            told.append(3)
        elif new[-1] > min(new) * 1.1:
            told.append(4)
        else:
            told.append(0)
    return torch.tensor(told)


def by_where(train, held, entropy, K):
    turned = torch.where(held[:, -1] - held.min(dim=1)[0] > 0.1 * held.min(dim=1)[0], 4.0, 0.0)
    blind = torch.where(train[:, -1] >= 0.97 * entropy, 3.0, turned)
    added = torch.where(train[:, 0] > 10 * torch.tensor(float(K)).log(), 2.0, blind)
    return torch.where((train < 0).any(1), 1.0, added)


RIGHT = {
    "row by row": ("nll_diagnosis", row_by_row),
    "torch.where, in float": ("nll_diagnosis", by_where),
    "two index tensors": ("nll_by_index", lambda log_p, y: -picked(log_p, y).mean()),
    "a loop": ("nll_by_index", by_loop),
    "in place": ("nll_by_index", in_place),
    "in float64": ("nll_by_index", lambda log_p, y: -picked(log_p.double(), y).mean()),
    "in float64 and back": ("nll_by_index", lambda log_p, y: -picked(log_p.double(), y).mean().float()),
    "a mask of one-hot": ("nll_by_index", lambda log_p, y: -log_p[F.one_hot(y, log_p.shape[1]).bool()].mean()),
    "einsum with ones": (
        "nll_by_index",
        lambda log_p, y: -torch.einsum("n,n->", torch.ones(len(y)), picked(log_p, y)) / len(y),
    ),
    "take along a dimension": (
        "nll_by_index",
        lambda log_p, y: -torch.take_along_dim(log_p, y[:, None], 1).sum() / y.numel(),
    ),
    "the diagonal": ("nll_by_index", lambda log_p, y: -log_p[:, y].diagonal().mean()),
    "torch.where": ("nll_ignoring", where_counted),
    "the mean of a selection": (
        "nll_ignoring",
        lambda log_p, y, index: -picked(log_p[y != index], y[y != index]).mean(),
    ),
    "a loop over those that count": ("nll_ignoring", counted_loop),
    "in float64, ignoring": ("nll_ignoring", lambda log_p, y, index: where_counted(log_p.double(), y, index)),
    "einsum": (
        "nll_class_weights",
        lambda log_p, y, w: -torch.einsum("n,n->", w[y], picked(log_p, y)) / w[y].sum(),
    ),
    "one-hot weights": (
        "nll_class_weights",
        lambda log_p, y, w: -(F.one_hot(y, len(w)) * w * log_p).sum() / (F.one_hot(y, len(w)) * w).sum(),
    ),
    "weights that add up to 1": (
        "nll_class_weights",
        lambda log_p, y, w: -((w[y] / w[y].sum()) @ picked(log_p, y)),
    ),
    "weights in a loop": ("nll_class_weights", weighted_loop),
    "weights in float64": (
        "nll_class_weights",
        lambda log_p, y, w: weighted_loop(log_p.double(), y, w.double()).float(),
    ),
    "classes moved last": ("nll_dense", permuted),
    "squeezed by indexing": ("nll_dense", lambda log_p, y: -log_p.gather(1, y[:, None])[:, 0]),
    "a dense one-hot": ("nll_dense", dense_by_one_hot),
    "a grid of indices": ("nll_dense", dense_by_grid),
    "class by class, in place": ("nll_dense", dense_in_place),
    "a loop over samples": (
        "nll_dense",
        lambda log_p, y: torch.stack([-row.gather(0, k[None])[0] for row, k in zip(log_p, y, strict=True)]),
    ),
    "all tokens at once": ("corpus_perplexity", lambda batches: torch.cat(batches).mean().exp()),
    "a number": (
        "corpus_perplexity",
        lambda batches: torch.tensor(math.exp(np.concatenate([b.numpy() for b in batches]).mean())),
    ),
    "a running mean": ("corpus_perplexity", running_perplexity),
    "means weighted by their sizes": (
        "corpus_perplexity",
        lambda batches: math.e ** (sum(b.mean() * b.numel() for b in batches) / sum(b.numel() for b in batches)),
    ),
    "a product of powers, in float64": (
        "corpus_perplexity",
        lambda batches: torch.cat(batches).double().div(sum(map(len, batches))).exp().prod(),
    ),
    "in bits": (
        "corpus_perplexity",
        lambda batches: (torch.cat(batches) / math.log(2)).mean().exp2(),
    ),
    "a sum of logs": (
        "poisson_nll",
        lambda z, y: (
            (
                (z.exp() - y * z).sum()
                + sum(math.log(k) for count in y.flatten().tolist() for k in range(2, int(count) + 1))
            )
            / y.numel()
        ),
    ),
    "counts in float64": (
        "poisson_nll",
        lambda z, y: (z.double().exp() - y * z.double() + torch.lgamma(y.double() + 1)).mean(),
    ),
    "counts in float64 and back": (
        "poisson_nll",
        lambda z, y: (z.double().exp() - y * z.double() + torch.lgamma(y.double() + 1)).float().mean(),
    ),
    "powers of e, terms averaged apart": (
        "poisson_nll",
        lambda z, y: (math.e**z).mean() - (y * z).mean() + torch.lgamma(1 + y).mean(),
    ),
    "Python's sum of rows": ("nll_python_sum", lambda log_p, y: sum(-picked(log_p, y)) / len(y)),
    "Python's sum of floats": ("nll_python_sum", lambda log_p, y: -sum(picked(log_p, y).tolist()) / len(y)),
    "Python's sum of NumPy's numbers": (
        "nll_python_sum",
        lambda log_p, y: -sum(log_p.numpy()[np.arange(len(y)), y.numpy()]) / len(y),
    ),
    "Python's sum of a generator": (
        "nll_python_sum",
        lambda log_p, y: sum(-log_p[n, k] for n, k in enumerate(y)) / len(y),
    ),
    "a for loop": ("nll_python_sum", summed_in_a_loop),
    "torch.sum first": ("nll_torch_sum", lambda log_p, y: -torch.sum(picked(log_p, y)) / len(y)),
    "the method": ("nll_torch_sum", lambda log_p, y: log_p.gather(1, y[:, None]).sum().neg() / y.numel()),
    "torch.sum in float64": (
        "nll_torch_sum",
        lambda log_p, y: -torch.sum(picked(log_p, y), dtype=torch.float64) / len(y),
    ),
    "the trace, by einsum": (
        "nll_torch_sum",
        lambda log_p, y: -torch.einsum("nn->", log_p[:, y]) / len(y),
    ),
}


@pytest.mark.parametrize("style", RIGHT)
def test_a_right_function_in_another_style_passes(named, style):
    name, function = RIGHT[style]
    report = check(named(name, function))
    assert report.passed, report


OWN = {
    "nll_loss": ("nll_by_index", F.nll_loss),
    "nll_loss that ignores": ("nll_ignoring", lambda log_p, y, index: F.nll_loss(log_p, y, ignore_index=index)),
    "NLLLoss": ("nll_class_weights", lambda log_p, y, w: torch.nn.NLLLoss(w)(log_p, y)),
    "nll_loss of images": ("nll_dense", lambda log_p, y: F.nll_loss(log_p, y, reduction="none")),
    "poisson_nll_loss": ("poisson_nll", lambda z, y: F.poisson_nll_loss(z, y) + torch.lgamma(y + 1).mean()),
    "nll_loss without a sum": ("nll_torch_sum", F.nll_loss),
    "cross_entropy of log-probabilities": ("nll_by_index", lambda log_p, y: F.cross_entropy(log_p, y)),
    "the operation itself": ("nll_by_index", lambda log_p, y: torch.ops.aten.nll_loss(log_p, y)),
}


@pytest.mark.parametrize("way", OWN)
def test_pytorchs_own_loss_is_no_answer(named, way):
    name, function = OWN[way]
    report = check(named(name, function))
    assert report.state == "failed"
    assert "asks you to write" in repr(report)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("nll_by_index", lambda log_p, y: nll_loss(log_p, y)),
        ("nll_by_index", lambda log_p, y: cross_entropy(log_p, y)),
        ("poisson_nll", lambda z, y: poisson_nll_loss(z, y) + torch.lgamma(y + 1).mean()),
    ],
)
def test_the_courses_own_loss_is_no_answer(name, function):
    function.__name__ = name
    report = check(function)
    assert report.state == "failed"
    assert "asks you to write" in repr(report)


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_not_attempted(named, name):
    def stub(*args):
        raise NotImplementedError

    report = check(named(name, stub))
    assert report.state == "not attempted"
    assert report.points == 0


@pytest.mark.parametrize("name", [name for name in NAMES if not exercise(name).score])
def test_every_exercise_has_a_mistake_and_another_style(name):
    assert name in {wrong for wrong, _ in WRONG.values()}
    assert name in {right for right, _ in RIGHT.values()}


def test_each_diagnosis_is_what_was_wrong_with_the_training():
    """It is found by the curves alone, with room on both sides of what the lesson says."""
    for seed in range(100, 106):
        for case in exercise("nll_diagnosis").cases(torch.Generator().manual_seed(seed)):
            train, held, entropy, K = case.args
            assert torch.equal(DIAGNOSIS(*case.args), case.kept)
            assert set(case.kept.tolist()) == {0, 1, 2, 3, 4}
            plain, lowest = case.kept != 2, held.amin(1)
            torch.testing.assert_close(train[plain & (case.kept != 1), 0], torch.full((4,), math.log(K)))
            assert (held[:, -1] > 1.1 * lowest)[case.kept == 4].all()
            assert (held[:, -1] < 1.03 * lowest)[(case.kept != 4) & (case.kept != 1)].all()
            assert (train[:, -1] < 1.02 * entropy)[case.kept == 3].all()
            assert (train[:, -1] < 0.7 * entropy)[plain & (case.kept != 3)].all()


# The open task.


def counts_of(text, before, n):
    """Return how often each character came after the last n of each place, shape (M, 35)."""
    windows = text.unfold(0, n + 1, 1)
    codes = torch.cat([windows[:, :n], before[:, 6 - n :]]) @ 35 ** torch.arange(n)
    row = torch.unique(codes, return_inverse=True)[1]
    old, new = row[: len(windows)], row[len(windows) :]
    return torch.bincount(old * 35 + windows[:, n], minlength=35 * (int(row.max()) + 1)).reshape(-1, 35)[new].float()


def by_one_table(n, alpha):
    def say(text, before):
        counts = counts_of(text, before, n) + alpha
        return (counts / counts.sum(1, keepdim=True)).log()

    return say


def by_dictionaries(text, before):
    """Count in dictionaries, contexts of up to five, and let the longest that is known speak loudest."""
    seen, places = text.tolist(), before.tolist()
    counts = [{} for _ in range(6)]
    for n in range(6):
        for k in range(n, len(seen)):
            counts[n].setdefault(tuple(seen[k - n : k]), [0] * 35)[seen[k]] += 1
    known, said = {}, []
    for place in places:
        p = torch.full((35,), 1 / 35)
        for n in range(6):
            context = tuple(place[6 - n :])
            if context not in counts[n]:
                break
            if context not in known:
                here = torch.tensor(counts[n][context], dtype=torch.float32)
                known[context] = (here + 10 * p) / (here.sum() + 10)
            p = known[context]
        said.append(p)
    return torch.stack(said).log()


def by_share_of_the_kinds(text, before):
    """Weigh each length by how often it was seen, against how many different characters came after it."""
    p = torch.full((len(before), 35), 1 / 35)
    for n in range(7):
        windows = torch.cat([text.unfold(0, 7, 1)[:, 6 - n : 6], before[:, 6 - n :]])
        rows = torch.unique(windows, dim=0, return_inverse=True)[1] if n else torch.zeros(len(windows)).long()
        old, new = rows[: len(text) - 6], rows[len(text) - 6 :]
        counts = torch.bincount(old * 35 + text[6:], minlength=35 * (int(rows.max()) + 1)).reshape(-1, 35)[new]
        prior = 3 * (counts > 0).sum(1, keepdim=True) + 3
        p = (counts + prior * p) / (counts.sum(1, keepdim=True) + prior)
    return p.log()


@pytest.mark.parametrize("how", [by_dictionaries, by_share_of_the_kinds])
def test_models_of_other_kinds_beat_the_score(named, how):
    for seed in (20, 21) if how is not by_dictionaries else (20,):
        report = run(named("next_character", how), exercise("next_character"), seed)
        assert report.passed, report
        assert "; to beat: 2.0600 (3 points)" in report.message


def test_the_reference_beats_the_score_with_room():
    declared = exercise("next_character")
    for seed in range(200, 210):
        for case in declared.cases(torch.Generator().manual_seed(seed)):
            assert 1.8 < declared.score.of(declared.reference(*case.args), case.kept) < declared.score.beat - 0.02


@pytest.mark.parametrize(
    ("how", "about"),
    [
        (lambda text, before: torch.full((len(before), 35), 1 / 35).log(), 5.13),
        (by_one_table(0, 1.0), 4.2),
        (by_one_table(1, 0.1), 3.35),
        (by_one_table(2, 0.1), 2.6),
        (by_one_table(3, 0.1), 2.19),
        (by_one_table(4, 0.1), 2.35),
        (by_one_table(5, 0.1), 2.78),
        (by_one_table(6, 0.1), 3.24),
        (by_one_table(3, 1.0), 2.66),
    ],
)
def test_one_length_of_context_does_not_beat_it(named, how, about):
    declared = exercise("next_character")
    assert run(named("next_character", how), declared, 20).message == (
        "✗ next_character: the score to beat is not reached."
    )
    scores = [
        declared.score.of(how(*case.args), case.kept)
        for seed in range(8)
        for case in declared.cases(torch.Generator().manual_seed(seed))
    ]
    assert min(scores) > declared.score.beat
    assert abs(sum(scores) / len(scores) - about) < 0.03


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda text, before: torch.zeros(len(before), 35), "bits a character on text held out: inf"),
        (lambda text, before: torch.zeros(len(before)), "got shape (8000,), expected shape (8000, 35)"),
        (lambda text, before: (text.float() / 35).log(), "got shape (60000,), expected shape (8000, 35)"),
        (lambda text, before: by_one_table(2, 0.1)(text, before).tolist(), "values; return a tensor, made by"),
        (lambda text, before: None, "got None"),
    ],
)
def test_what_does_not_reach_the_score_is_told(named, function, says):
    report = run(named("next_character", function), exercise("next_character"), 20)
    assert report.state == "failed"
    assert says in report.failures[0].reason


def test_what_came_cannot_be_known_from_what_is_given():
    """The text that is learnt from ends before the places begin, and none of its paragraphs is among theirs."""
    for case in exercise("next_character").cases(torch.Generator().manual_seed(5)):
        text, before = case.args
        assert text.shape == (60_000,)
        assert before.shape == (8000, 6)
        assert case.kept.shape == (8000,)
        assert before.untyped_storage().nbytes() == before.nbytes  # a view would lead to what comes next
