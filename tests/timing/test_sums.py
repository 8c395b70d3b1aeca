"""The race of Python's sum against torch.sum: what it measures, and what it waits for."""

import pytest
import torch

from lossbook.timing import race_sums


def python_sum(x):
    return sum(x) / len(x)


def torch_sum(x):
    return torch.sum(x) / len(x)


def inputs(n):
    torch.manual_seed(0)
    return (torch.rand(n),)


@pytest.fixture(scope="module")
def race():
    return race_sums(python_sum, torch_sum, inputs, 50, sizes=(10, 100, 1000))


def test_every_contestant_runs_at_every_size(race):
    cpu = [(row.n, row.name) for row in race.rows if row.device == "cpu"]
    assert cpu == [(n, name) for n in (10, 100, 1000) for name in ("Python's sum", "torch.sum")]
    assert all(row.seconds > 0 for row in race.rows)


def test_errors_are_against_float64():
    wrong = race_sums(lambda x: torch_sum(x) * 1.5, torch_sum, inputs, 1, sizes=(100,))
    errors = {row.name: row.error for row in wrong.rows if row.device == "cpu"}
    assert errors["Python's sum"] == pytest.approx(0.5, rel=1e-5)
    assert errors["torch.sum"] < 1e-6


def test_the_ratio_is_at_the_largest_size(race):
    rows = {row.name: row.seconds for row in race.rows if (row.device, row.n) == ("cpu", 1000)}
    assert race.ratio("cpu") == rows["Python's sum"] / rows["torch.sum"]
    assert race.ratio("cpu") > 1


def test_the_table_and_the_picture(race):
    assert "You predicted 50 times." in repr(race)
    left, right = race.draw().axes
    assert left.get_xscale() == left.get_yscale() == right.get_xscale() == right.get_yscale() == "log"


def test_nothing_is_measured_before_there_is_a_prediction():
    def prediction():
        raise NotImplementedError

    race = race_sums(python_sum, torch_sum, inputs, prediction)
    assert repr(race) == "Write down your prediction first, a positive number; then the race is run."
    assert race.rows == ()
    assert race.draw() is None


def test_nothing_is_measured_before_both_functions_are_written():
    def stub(x):
        raise NotImplementedError

    for pair in ((stub, torch_sum), (python_sum, stub)):
        race = race_sums(*pair, inputs, 50, sizes=(10,))
        assert repr(race) == "Write stub first; then the race is run."


@pytest.mark.parametrize("value", [0, -2, "many", None, float("nan"), float("inf"), True, 10**400])
def test_a_prediction_that_is_no_number_of_times_is_no_prediction(value):
    race = race_sums(python_sum, torch_sum, inputs, lambda: value)
    assert race.rows == ()
    assert "a positive number" in repr(race)
