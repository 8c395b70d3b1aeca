"""What every exercise declares is complete and true: its hints, tolerances, misconceptions and limits."""

import os
import time
from pathlib import Path

import pytest
import torch

from lossbook.checks.exercise import ATOL, RTOL
from lossbook.checks.judging import calls, expected
from lossbook.checks.report import SEED, run
from lossbook.exercises import check, exercise, exercises

SOURCES = {path.stem.partition("-")[2]: path for path in (Path(__file__).parents[2] / "solutions").glob("*.md")}
NAMES = sorted(exercises())
WRITTEN = [name for name in NAMES if exercise(name).judge is None]
THOROUGH = "LOSSBOOK_THOROUGH" in os.environ
PAIRS = [(name, wrong.name) for name in NAMES for wrong in exercise(name).misconceptions]


@pytest.mark.parametrize("name", WRITTEN)
def test_an_answer_that_is_not_obvious_has_a_hint(name):
    assert exercise(name).hints


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_folds_away_hints_that_are_there(name):
    declared = exercise(name)
    assert declared.folded is None or 0 <= declared.folded < len(declared.hints)


@pytest.mark.parametrize("name", NAMES)
def test_tolerances_have_a_reason(name):
    declared = exercise(name)
    assert (declared.rtol, declared.atol) == (RTOL, ATOL) or declared.why


def test_there_are_five_misconceptions_an_exercise():
    assert len(PAIRS) >= 5 * len(NAMES)
    assert all(len(exercise(name).misconceptions) >= 3 for name in NAMES)


@pytest.mark.parametrize(("name", "wrong"), PAIRS)
def test_a_misconception_fails_and_is_named(named, name, wrong):
    declared = exercise(name)
    assert [item.name for item in declared.misconceptions].count(wrong) == 1
    misconception = next(item for item in declared.misconceptions if item.name == wrong)
    for seed in (SEED, 1, 2) if THOROUGH else (SEED,):
        report = run(named(name, misconception.wrong), declared, seed)
        assert report.state == "failed"
        assert report.points == 0
        assert report.misconception == wrong
    assert misconception.advice in repr(report)
    assert misconception.advice.endswith((".", "?"))


def small_operations():
    """Do two thousand small operations of PyTorch's: a few milliseconds on a machine that does nothing else."""
    x = torch.ones(100)
    for _ in range(1000):
        x = x * 0.5 + 0.5


@pytest.mark.parametrize("name", WRITTEN)
def test_the_right_answer_is_checked_in_a_moment(solutions, name):
    """It takes less than 100,000 small operations, some fifth of a second; a slow or busy machine is slow at both."""
    declared = exercise(name)
    right = solutions(SOURCES[declared.slug].stem)[name]
    assert (report := check(right)).passed, report

    def seconds(work):
        start = time.process_time()  # of this process alone, whatever else the machine does
        work()
        return time.process_time() - start

    took = []
    while len(took) < 10 and not any(each < 50 for each in took):  # a shared cache only ever adds to it
        took.append(seconds(lambda: check(right)) / seconds(small_operations))
    assert min(took) < 50, took


@pytest.mark.parametrize("name", NAMES)
def test_speed_exercises_count_steps(name):
    declared = exercise(name)
    if name.endswith("_torch_sum"):
        assert declared.work
        assert declared.work.vectorised
    if name.endswith("_python_sum"):
        assert declared.work
        assert not declared.work.vectorised


@pytest.mark.parametrize("name", WRITTEN)
def test_the_cases_change_with_the_seed_and_are_the_same_with_the_same(name):
    declared = exercise(name)

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        return repr([(case.args, dict(case.kwargs)) for case in declared.cases(generator)])

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("name", [name for name in NAMES if exercise(name).curve])
def test_a_wrong_answer_is_drawn_beside_the_right_one(named, name):
    declared = exercise(name)
    slope = 0.0

    def wrong(*args, **kwargs):
        value = declared.reference(*args, **kwargs)
        return value * 0.5 + slope

    report = run(named(name, wrong), declared)
    assert report.drawing is not None
    assert len({height for height in report.drawing.right if height is not None}) > 5
    assert '<img src="data:image/svg+xml;base64,' in report._repr_html_()


def test_the_expected_outcomes_match_the_calls():
    for name in NAMES:
        declared = exercise(name)
        assert len(expected(declared, 3)) == len(calls(declared, 3))
