"""A check holds what a task promises: in every exercise, whatever it asks for, and for right answers gone wrong."""

import ast
import functools
import math
import re
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch

import lossbook.losses
import lossbook.losses as course
from lossbook.checks.judging import calls, expected
from lossbook.checks.report import SEED, run
from lossbook.exercises import check, exercise, exercises
from lossbook.losses import mse_loss as saved

ROOT = Path(__file__).parents[2]
NAMES = sorted(exercises())
ROWS = {path.stem.partition("-")[2]: path.stem for path in (ROOT / "solutions").glob("*.md")}


@functools.cache
def docstrings() -> dict[str, str]:
    """Return the docstring of each function that a lesson asks for."""
    found = {}
    for path in (ROOT / "solutions").glob("*.md"):
        for cell in jupytext.read(path, fmt="md:myst").cells:
            if cell.cell_type == "code" and "### BEGIN SOLUTION" in cell.source:
                (function,) = [node for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]
                found[function.name] = ast.get_docstring(function) or ""
    return found


def kinds(name):
    return {outcome.kind for outcome in expected(exercise(name), SEED)}


TENSORS = [name for name in NAMES if kinds(name) == {"Tensor"}]
PAIRS = [name for name in NAMES if kinds(name) == {"tuple[Tensor]"}]
ALONE = [name for name in TENSORS if not exercise(name).number_too]
# Where numbers may not leave PyTorch at all, that is told first.
FREE = [name for name in NAMES if not {"tolist", "numpy"} & exercise(name).forbidden]
LOSSES = [name for name in TENSORS if exercise(name).gradient]
# Arguments that can be written over: tensors, and lists.
GIVEN = [
    name
    for name in NAMES
    if any(isinstance(item, (torch.Tensor, list)) for call in calls(exercise(name), SEED) for item in call.case.args)
]


@pytest.fixture(scope="module")
def answers(solutions):
    """Return the solution's functions, by name."""
    return {name: function for row in ROWS.values() for name, function in solutions(row).items()}


def test_there_is_something_to_test():
    assert len(TENSORS) >= 55
    assert set(PAIRS) == {"online_max_and_sum", "merge_max_and_sum", "max_and_sum_kernel"}
    assert len(LOSSES) >= 30
    assert len(GIVEN) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_what_the_docstring_says_is_what_the_reference_returns(name):
    said = re.search(r"Returns?\b[^.]*?\b(two tensors|(a )?tensor|shape|probabilities)\b", docstrings()[name][20:])
    assert bool(said) == (name in TENSORS + PAIRS), docstrings()[name]


@pytest.mark.parametrize("name", TENSORS)
def test_a_gradient_is_compared_or_there_is_a_reason(name):
    declared = exercise(name)
    assert declared.gradient != bool(declared.no_slope)
    if not declared.gradient:
        assert declared.no_slope.endswith(".")


@pytest.mark.parametrize("name", TENSORS)
def test_the_gradient_of_every_loss_is_compared(name):
    """A loss is what says so in the first line of its docstring; the race's slow side is the one exception."""
    first = docstrings()[name].splitlines()[0]
    loss = re.search(r"squared error of N|cross-entropy|likelihood|NLL|loss|KL|mean of|divergence|−Σ", first)
    not_one = (
        r"gradient|derivative|maximum|best constant|MAP|added up by (Python's|sum)|softmax|log-sum-exp|entropy of each"
    )
    if loss and not re.search(not_one, first):
        assert exercise(name).gradient, first
    if name.endswith("_torch_sum"):
        assert exercise(name).gradient


@pytest.mark.parametrize("name", [name for name in ALONE if name in FREE])
@pytest.mark.parametrize("way", ["numbers", "an array", "a list of it"])
def test_what_is_no_tensor_fails_where_a_tensor_is_promised(answers, named, name, way):
    def turned(*args):
        value = answers[name](*(item.detach() if isinstance(item, torch.Tensor) else item for item in args))
        return {"numbers": value.tolist, "an array": value.float().numpy, "a list of it": lambda: [value]}[way]()

    report = check(named(name, turned))
    assert report.state == "failed"
    reason = report.failures[0].reason
    assert reason.startswith("got a")
    assert "return " in reason


@pytest.mark.parametrize("name", [name for name in PAIRS if name in FREE])
def test_numbers_for_two_tensors_fail(answers, named, name):
    report = check(named(name, lambda *args: tuple(part.tolist() for part in answers[name](*args))))
    assert report.state == "failed"
    assert "return 2 tensors" in report.failures[0].reason
    assert check(named(name, lambda *args: list(answers[name](*args)))).passed


@pytest.mark.parametrize("name", [name for name in TENSORS if exercise(name).number_too])
def test_a_number_is_as_good_where_that_is_declared(answers, named, name):
    assert exercise(name).number_too.endswith(".")
    assert name.endswith("_python_sum")
    assert check(named(name, lambda *args: answers[name](*args).item())).passed


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_detached_fails(answers, named, name):
    report = check(named(name, lambda *args: answers[name](*args).detach()))
    assert report.state == "failed"
    assert "does not depend on the" in report.failures[0].reason


def spoilt(item):
    """Change an argument in place."""
    if isinstance(item, torch.Tensor):
        item.zero_()
        item += 1
    elif isinstance(item, list) and item and isinstance(item[0], torch.Tensor):
        spoilt(item[-1])
    elif isinstance(item, list) and item:
        item.pop(0)


@pytest.mark.parametrize("name", GIVEN)
def test_an_answer_that_writes_over_an_argument_fails(answers, named, name):
    declared = exercise(name)
    most = max(
        (call.case for call in calls(declared, SEED)),
        key=lambda case: sum(isinstance(item, (torch.Tensor, list)) for item in case.args),
    )
    for place, item in enumerate(most.args):
        if not isinstance(item, (torch.Tensor, list)):
            continue

        def spoiling(*args, place=place):
            kept = [
                item.clone() if isinstance(item, torch.Tensor) else [*item] if isinstance(item, list) else item
                for item in args
            ]
            value = answers[name](*kept)
            with torch.no_grad():
                spoilt(args[place])
            return value

        report = check(named(name, spoiling))
        assert report.state == "failed", (name, place)
        assert f"it changes `{declared.parameters[place]}`" in report.failures[0].reason
        assert report.misconception is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bce_gradient", lambda z, y: z.requires_grad_()),
        ("bce_gradient", lambda z, y: y.unsqueeze_(0)),
        ("bce_gradient", lambda z, y: z.numpy().fill(3)),
        ("corpus_perplexity", lambda batches: batches.append(torch.ones(1))),
        ("corpus_perplexity", lambda batches: batches.reverse() or batches[0].neg_()),
    ],
)
def test_any_change_of_an_argument_is_seen(answers, named, name, change):
    def changing(*args):
        value = answers[name](*args).clone()
        change(*args)
        return value

    report = check(named(name, changing))
    assert report.state == "failed"
    assert "it changes `" in report.failures[0].reason


# The course's own answer, by other roads than its name.
kept = [saved]
partly = functools.partial(saved, reduction="mean")


def imported_inside(y_hat, y):
    from lossbook.losses import mse_loss as another_name

    return another_name(y_hat, y)


def imported_by_name(y_hat, y):
    import importlib

    return importlib.import_module("lossbook.losses.mse").mse_loss(y_hat, y)


BORROWED = {
    "an alias of the module": lambda y_hat, y: course.mse_loss(y_hat, y),
    "the whole path": lambda y_hat, y: lossbook.losses.mse_loss(y_hat, y),
    "an alias of the function": lambda y_hat, y: saved(y_hat, y),
    "an import inside": imported_inside,
    "an import by name": imported_by_name,
    "a list": lambda y_hat, y: kept[0](y_hat, y),
    "a partial": lambda y_hat, y: partly(y_hat, y),
    "an attribute by name": lambda y_hat, y: getattr(course, "mse" + "_loss")(y_hat, y),
    "a default": lambda y_hat, y, loss=saved: loss(y_hat, y),
    "the exercise's reference": lambda y_hat, y: exercise("mse").reference(y_hat, y),
    "another of the course's losses": lambda y_hat, y: course.huber_loss(y_hat, y, delta=1e9) * 2,
    "added to one's own": lambda y_hat, y: (course.mse_loss(y_hat, y) + ((y_hat - y) ** 2).mean()) / 2,
}


@pytest.mark.parametrize("way", BORROWED)
def test_the_course_s_own_answer_is_refused_however_it_is_reached(named, way):
    report = check(named("mse", BORROWED[way]))
    assert report.state == "failed"
    assert report.points == 0
    assert report.message == "✗ mse: the answer is borrowed."


@pytest.mark.parametrize("name", ["sigmoid", "bce_gradient", "logsumexp", "merge_max_and_sum"])
def test_an_answer_that_stands_beside_its_exercise_is_refused(named, name):
    report = check(named(name, lambda *args: exercise(name).reference(*args)))
    assert report.message == f"✗ {name}: the answer is borrowed."


def two_passes_of_numbers(z):
    numbers = z.tolist()
    m = max(numbers)
    return torch.tensor(m), torch.tensor(math.fsum(math.exp(value - m) for value in numbers))


def one_pass_of_numbers(z):
    m, d = -math.inf, 0.0
    for value in z.tolist():
        d, m = d * math.exp(m - max(m, value)) + math.exp(value - max(m, value)), max(m, value)
    return torch.tensor(m), torch.tensor(d)


def loop_twice(z):
    m = z[0]
    for value in z:
        m = torch.maximum(m, value)
    d = torch.zeros(())
    for value in z:
        d = d + torch.exp(value - m)
    return m, d


def a_copy_read_twice(z):
    z = z.double().clone()
    m = z.max()
    d = m * 0
    for value in z:
        d = d + torch.exp(value - m)
    return m, d


def in_numpy(z):
    m, d = -np.inf, 0.0
    for value in z.numpy():
        new = max(m, value)
        m, d = new, d * np.exp(m - new) + np.exp(value - new)
    return torch.tensor(m), torch.tensor(d)


def merged(m1, d1, m2, d2):
    m = torch.maximum(m1, m2)
    safe = torch.where(m == -math.inf, 0.0, m)
    return m, d1 * torch.exp(m1 - safe) + d2 * torch.exp(m2 - safe)


def of_part(part):
    m = part.amax(1)
    safe = torch.where(m == -math.inf, 0.0, m)
    return m, torch.exp(part - safe[:, None]).sum(1)


def chunks(x, w, y, parts):
    m, d = functools.reduce(lambda a, b: merged(*a, *b), [of_part(part) for part in parts])
    return (m + d.log() - (x * w[y]).sum(1)).mean()


def vocabulary(x, w, y, lse, chunk):
    table = x @ w.T
    found = []
    for at in range(0, len(w), chunk):
        p = torch.exp(table[:, at : at + chunk] - lse[:, None])
        hot = y[:, None] == torch.arange(at, at + p.shape[1])
        found.append((p - hot.float()).T @ x / len(x))
    return torch.cat(found)


MADE = {
    "two passes, the second a loop": ("online_max_and_sum", lambda z: loop_twice(z), "each is to be read once"),
    "two passes over a copy": ("online_max_and_sum", a_copy_read_twice, "each is to be read once"),
    "two passes over a list": ("online_max_and_sum", two_passes_of_numbers, "each is to be read once"),
    "NumPy": ("online_max_and_sum", in_numpy, "it goes on in NumPy"),
    "the table of logits": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, (x @ w.T).split(chunk, 1)),
        "a tensor of 1,440 numbers was made",
    ),
    "the table of logits, by einsum": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, torch.einsum("nd,vd->nv", x, w).split(chunk, 1)),
        "a tensor of 1,440 numbers was made",
    ),
    "all chunks' logits in a list, joined": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, torch.cat([x @ part.T for part in w.split(chunk)], 1).split(chunk, 1)),
        "a tensor of 1,440 numbers was made",
    ),
    "the gradient from the table": ("vocabulary_gradient_in_chunks", vocabulary, "a tensor of 1,440 numbers was made"),
}


@pytest.mark.parametrize("what", MADE)
def test_lesson_8_sees_what_is_read_twice_and_what_is_made(named, what):
    name, function, said = MADE[what]
    report = check(named(name, function))
    assert report.state == "failed"
    assert len(report.failures) == 1, "the numbers are right"
    assert said in report.failures[0].reason


RIGHT = {
    "Python's numbers, once": ("online_max_and_sum", one_pass_of_numbers),
    "views": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, [x @ w[at : at + chunk].T for at in range(0, len(w), chunk)]),
    ),
    "copies of chunks": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, [x @ part.clone().T for part in w.split(chunk)]),
    ),
    "transposed": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, [x @ part.contiguous() for part in w.T.split(chunk, 1)]),
    ),
    "a wider format": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, [x.double() @ part.double().T for part in w.split(chunk)]).float(),
    ),
    "einsum by chunks": (
        "linear_cross_entropy_in_chunks",
        lambda x, w, y, chunk: chunks(x, w, y, [torch.einsum("nd,vd->nv", x, part) for part in w.split(chunk)]),
    ),
}


@pytest.mark.parametrize("style", RIGHT)
def test_lesson_8_lets_other_right_ways_pass(named, style):
    name, function = RIGHT[style]
    report = check(named(name, function))
    assert report.passed, report


# A value at each end of the domain that a docstring states.
ENDS = {
    "coin_log_likelihood": lambda theta, y: bool(theta.min() < 1e-20),
    "best_constant_classes": lambda y, K: K == 1,
    "recipe_torch_sum": lambda mu, y: bool((mu - y).abs().max() >= 15),
    "recipe_python_sum": lambda mu, y: bool((mu - y).abs().max() >= 15),
    "tosses_until_zero": lambda p, dtype: p < 1e-8,
    "huber": lambda y_hat, y, delta: bool((y_hat - y).abs().max() >= 1e12),
    "sigmoid": lambda z: bool(z.abs().max() >= 1000),
    "bce": lambda p, y: bool(p.min() < 1e-20),
    "bce_torch_sum": lambda p, y: bool(p.min() < 1e-20),
    "bce_python_sum": lambda p, y: bool(p.min() < 1e-20),
    "bce_gradient": lambda z, y: bool(z.abs().max() >= 1000),
    "bce_with_logits": lambda z, y: bool(z.abs().max() >= 1000),
    "bce_pos_weight": lambda z, y, c: bool(z.abs().max() >= 1000),
    "softmax": lambda z: bool(z.abs().max() >= 1000),
    "logsumexp": lambda z: bool(z.abs().max() >= 1000),
    **{
        f"cross_entropy_{name}": lambda z, *rest: bool(z.abs().max() >= 1000)
        for name in ("index", "gradient", "smoothed", "weighted", "python_sum", "torch_sum")
    },
    "cross_entropy_one_hot": lambda log_p, y: bool(log_p.min() <= -200),
    **{
        f"nll_{name}": lambda log_p, *rest: bool(log_p[log_p.isfinite()].min() <= -200)
        for name in ("by_index", "ignoring", "class_weights", "dense", "python_sum", "torch_sum")
    },
    "corpus_perplexity": lambda batches: bool(torch.cat(batches).max() > 100),
    "poisson_nll": lambda z, y: bool(z.min() <= -200),
    "kl_entropy": lambda q: bool((q == 1).any()),
    **{
        name: lambda log_p, q: bool(((log_p == -200) & (q > 0)).any())
        for name in ("kl_cross_entropy", "kl_each", "kl_batchmean", "kl_python_sum", "kl_torch_sum")
    },
    "kl_directions": lambda log_p, log_q: bool(log_p.min() <= -150),
    "online_max_and_sum": lambda z: bool(z.abs().max() >= 1000),
    "merge_max_and_sum": lambda m1, d1, m2, d2: bool(m1.min() == -math.inf),
    "max_and_sum_kernel": lambda z, m, d, V, BLOCK: bool(z.min() == -math.inf),
    "gradient_kernel": lambda z, *rest: bool(z.abs().max() >= 1000),
    "linear_cross_entropy_in_chunks": lambda x, w, y, chunk: bool(w.abs().max() >= 1000),
    "vocabulary_gradient_in_chunks": lambda x, w, y, lse, chunk: bool(w.abs().max() >= 1000),
    "fused_torch_sum": lambda m, d, right: bool(m.abs().max() >= 1000),
    "fused_python_sum": lambda m, d, right: bool(m.abs().max() >= 1000),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_case_lies_at_the_end_of_the_domain(name, seed):
    drawn = [case.args for case in exercise(name).cases(torch.Generator().manual_seed(seed))]
    assert any(ENDS[name](*args) for args in drawn)


def test_a_reference_keeps_its_own_promise(named):
    """Whatever is drawn: what is right is of the right kind, and leaves its arguments alone."""
    for name in TENSORS + PAIRS:
        for seed in (3, 4):
            for outcome in expected(exercise(name), seed):
                assert outcome.changed == ()
                assert outcome.kind in ("Tensor", "tuple[Tensor]")


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("predict_") and exercise(name).judge])
def test_a_prediction_lies_where_it_could_be_measured(named, name):
    for absurd in (1e-300, 1e300, torch.tensor(1e-30), np.float64(1e290)):
        report = run(named(name, lambda value=absurd: value), exercise(name))
        assert report.state == "failed"
        assert "positive number from" in report.failures[0].reason
    for sensible in (50, 2.5, torch.tensor(40), np.float32(7), np.array(3.0)):
        assert run(named(name, lambda value=sensible: value), exercise(name)).passed
