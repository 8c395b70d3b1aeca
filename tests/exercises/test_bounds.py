"""The predictions from bytes and bandwidth: right in any style; no luck, no clock, and every mistake told."""

import math
import re
import time
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch

from lossbook.checks.bounds import HINTS, Array, Traffic, bound_exercise, for_each_sample, operation_by_operation
from lossbook.checks.report import SEED, run
from lossbook.exercises import exercise
from lossbook.timing import work_of

ROOT = Path(__file__).parents[2]
BOUNDS = {
    "predict_recipe_seconds": ("01-recipe", 40),
    "predict_mse_seconds": ("02-mse", 24),
    "predict_nll_seconds": ("05-nll", None),
    "predict_kl_seconds": ("06-kl", 36),
}


def inputs_of(row, n):
    """Return what the lesson's own make_inputs gives to its race."""
    notebook = jupytext.read(ROOT / "solutions" / f"{row}.md", fmt="md:myst")
    (cell,) = (cell.source for cell in notebook.cells if "race_sums(" in cell.source)
    scope = {"torch": torch}
    exec(re.search(r"def make_inputs.*?(?=\n\n\n)", cell, re.S)[0], scope)
    return scope["make_inputs"](n)


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bound_is_that_of_the_inputs_of_the_race(name):
    row, _ = BOUNDS[name]
    size = sum(item.numel() * item.element_size() for item in inputs_of(row, 1000))
    assert exercise(name).reference(1000, 1e9) == size / 1e9


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bytes_agree_with_those_that_the_loss_moves(solutions, name):
    row, chain = BOUNDS[name]
    loss = next(value for key, value in solutions(row).items() if key.endswith("_torch_sum"))
    n = 1000
    work = work_of(loss, *inputs_of(row, n))
    bound = exercise(name).reference(n, 1.0)
    if row == "05-nll":  # elements picked are counted one by one there, and here the lines that hold them
        assert work.bytes < bound
        return
    assert work.bytes == bound + 4  # and the scalar written
    if chain:
        counted = next(item for item in exercise(name).misconceptions if "operation by operation" in item.name)
        assert counted.wrong(n, 1.0) == chain * n == pytest.approx(work.moved, rel=0.05)


def test_lines_of_memory_hold_a_whole_row_wherever_they_begin():
    """The lesson on look-ups says that no line is left out: not even of 32 bytes, as GPUs move them."""
    table, _ = inputs_of("05-nll", 64)
    row, line = table.shape[1] * table.element_size(), 32
    assert line % row == 0  # so that a line holds whole rows, and of each row a number is picked


@pytest.mark.parametrize("name", BOUNDS)
def test_the_race_is_on_the_check_and_the_hints_are_shared(name):
    declared = exercise(name)
    assert declared.points == 1
    assert declared.hints == HINTS
    assert declared.parameters == ("n", "bandwidth")


# Two columns of float32; and four log-probabilities a row, with an index.
PAIRS = bound_exercise(
    "x.predict_pairs_seconds", Traffic(Array("p"), Array("y")), misconceptions=(operation_by_operation(80),)
)
ROWS = bound_exercise("x.predict_rows_seconds", Traffic(Array("log_p", columns=4), Array("y", width=8)))
BYTES = {"pairs": (PAIRS, 8), "rows": (ROWS, 24)}
RIGHT = {
    "in one line": lambda size: lambda n, bandwidth: size * n / bandwidth,
    "the scalar counted": lambda size: lambda n, bandwidth: (size * n + 4) / bandwidth,
    "the scalar counted in float64": lambda size: lambda n, bandwidth: (size * n + 8) / bandwidth,
    "a tensor": lambda size: lambda n, bandwidth: torch.tensor(float(n)) * size / bandwidth,
    "NumPy": lambda size: lambda n, bandwidth: np.float64(size * n) / np.float64(bandwidth),
    "from the bits": lambda size: lambda n, bandwidth: n * (size * 8) / (8 * bandwidth),
    "one by one": lambda size: lambda n, bandwidth: sum([4 / bandwidth] * (size // 4)) * n,
}


@pytest.mark.parametrize("name", BYTES)
@pytest.mark.parametrize("style", RIGHT)
def test_a_right_time_in_any_style_passes(named, name, style):
    declared, size = BYTES[name]
    for seed in (SEED, 1, 2):
        report = run(named(declared.function, RIGHT[style](size)), declared, seed)
        assert report.passed, report


def by_the_clock(n, bandwidth):
    start = time.perf_counter()
    torch.zeros(1000).sum()
    return time.perf_counter() - start


WRONG = {
    "a number that is luck": lambda n, bandwidth: 8e-5,
    "zero": lambda n, bandwidth: 0.0,
    "a clock": by_the_clock,
    "right for the race's size alone": lambda n, bandwidth: 8 * 100_000 / bandwidth,
    "right for one bandwidth alone": lambda n, bandwidth: 8 * n / 1e10,
    "right for the fixed cases alone": lambda n, bandwidth: (
        8 * n / bandwidth if n in (10_000, 100_000, 1_000_000, 2**28) else 0.0
    ),
    "one part in a hundred more": lambda n, bandwidth: 8.08 * n / bandwidth,
    "twice": lambda n, bandwidth: 16 * n / bandwidth,
    "a launch besides": lambda n, bandwidth: 5e-6 + 8 * n / bandwidth,
    "the shape of the inputs": lambda n, bandwidth: [8 * n / bandwidth],
    "words": lambda n, bandwidth: "about 80 microseconds",
    "no argument": lambda: 1e-4,
    "an infinite time": lambda n, bandwidth: math.inf,
    "not a number": lambda n, bandwidth: math.nan,
    "a ratio, as it was": lambda n, bandwidth: 1000,
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_time_fails(named, mistake):
    report = run(named(PAIRS.function, WRONG[mistake]), PAIRS)
    assert (report.state, report.points) == ("failed", 0), report
    assert report.failures[0].reason


def test_every_case_says_what_it_is_and_the_scalar_is_within_the_tolerance():
    cases = PAIRS.cases(torch.Generator().manual_seed(3))
    assert len({case.args for case in cases}) == len(cases) == 7
    assert all(case.note for case in cases)
    for n, bandwidth in (case.args for case in cases):
        assert isinstance(n, int)
        assert 8 / (8 * n) < PAIRS.rtol / 5  # a scalar of float64 is no mistake
        assert 1e9 <= bandwidth <= 4e12


def test_sizes_of_more_than_one_kind():
    """A loss of n rows and v columns: the function takes both, and the random sizes lie between the given ones."""
    declared = bound_exercise(
        "fused.predict_it_seconds",
        lambda n, v: 4 * n * v,
        sizes=((8192, 131_072), (4096, 1000)),
    )
    assert declared.parameters == ("n", "v", "bandwidth")
    for case in declared.cases(torch.Generator().manual_seed(0)):
        n, v, bandwidth = case.args
        assert 4096 <= n <= 8192
        assert 1000 <= v <= 131_072
        assert declared.reference(*case.args) == 4 * n * v / bandwidth
    assert run(lambda n, v, bandwidth: 4 * n * v / bandwidth, declared).passed
    for item in declared.misconceptions:
        assert run(item.wrong, declared).misconception == item.name


def test_a_misconception_that_equals_the_bound_or_another_is_left_out():
    same = for_each_sample(8, "no mistake", "None.")
    twice = for_each_sample(16, "everything twice", "Why?")
    declared = bound_exercise("x.f", Traffic(Array("a"), Array("b")), misconceptions=(same, twice))
    names = [item.name for item in declared.misconceptions]
    assert "no mistake" not in names
    assert "everything twice" in names
    assert "eight bytes for a float32" not in names  # it is 16 bytes, too
