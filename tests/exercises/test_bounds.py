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
# The race in full stands in lesson 7. Inputs of other shapes are declared here, as a lesson would.
SUM = "predict_summation_seconds"
MADE = {
    "two columns": bound_exercise("bce.predict_it_seconds", Traffic(Array("p"), Array("y"))),
    "a table and indices": bound_exercise(
        "nll.predict_it_seconds",
        Traffic(Array("log_p", 4), Array("y", width=8)),
        misconceptions=(operation_by_operation(80),),
    ),
}
DECLARED = {"one column": (exercise(SUM), 4), "two columns": (MADE["two columns"], 8)}
DECLARED["a table and indices"] = (MADE["a table and indices"], 24)


def inputs_of(row, n):
    """Return what the lesson's own make_inputs gives to its race."""
    notebook = jupytext.read(ROOT / "solutions" / f"{row}.md", fmt="md:myst")
    (cell,) = (cell.source for cell in notebook.cells if "race_sums(" in cell.source)
    scope = {"torch": torch}
    exec(re.search(r"def make_inputs.*?(?=\n\n\n)", cell, re.S)[0], scope)
    return scope["make_inputs"](n)


def test_the_bound_is_that_of_the_inputs_of_the_race():
    size = sum(item.numel() * item.element_size() for item in inputs_of("07-summation", 1000))
    assert exercise(SUM).reference(1000, 1e9) == size / 1e9


def test_the_bytes_agree_with_those_that_the_sum_moves(solutions):
    work = work_of(solutions("07-summation")["summation_torch_sum"], *inputs_of("07-summation", 1000))
    assert work.bytes == exercise(SUM).reference(1000, 1.0) + 4  # and the scalar written


@pytest.mark.parametrize("declared", [each for each, _ in DECLARED.values()])
def test_it_is_worth_a_point_and_the_hints_are_shared(declared):
    assert declared.points == 1
    assert declared.hints == HINTS
    assert declared.parameters == ("n", "bandwidth")


@pytest.mark.parametrize("declared", MADE.values())
def test_every_mistake_in_other_inputs_is_told(named, declared):
    for item in declared.misconceptions:
        assert run(named("predict_it_seconds", item.wrong), declared).misconception == item.name


RIGHT = {
    "in one line": lambda size: lambda n, bandwidth: size * n / bandwidth,
    "the scalar counted": lambda size: lambda n, bandwidth: (size * n + 4) / bandwidth,
    "the scalar counted in float64": lambda size: lambda n, bandwidth: (size * n + 8) / bandwidth,
    "a tensor": lambda size: lambda n, bandwidth: torch.tensor(float(n)) * size / bandwidth,
    "NumPy": lambda size: lambda n, bandwidth: np.float64(size * n) / np.float64(bandwidth),
    "from the bits": lambda size: lambda n, bandwidth: n * (size * 8) / (8 * bandwidth),
    "one by one": lambda size: lambda n, bandwidth: sum([4 / bandwidth] * (size // 4)) * n,
}


@pytest.mark.parametrize("inputs", DECLARED)
@pytest.mark.parametrize("style", RIGHT)
def test_a_right_time_in_any_style_passes(named, inputs, style):
    declared, size = DECLARED[inputs]
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
    report = run(named("predict_it_seconds", WRONG[mistake]), MADE["two columns"])
    assert (report.state, report.points) == ("failed", 0), report
    assert report.failures[0].reason


def test_every_case_says_what_it_is_and_the_scalar_is_within_the_tolerance():
    cases = exercise(SUM).cases(torch.Generator().manual_seed(3))
    assert len({case.args for case in cases}) == len(cases) == 7
    assert all(case.note for case in cases)
    for n, bandwidth in (case.args for case in cases):
        assert isinstance(n, int)
        assert 8 / (4 * n) < exercise(SUM).rtol / 4  # a scalar of float64 is no mistake
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
