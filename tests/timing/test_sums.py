"""The race of Python's sum against torch.sum: what it measures, what it waits for, and the bound beside it."""

import re

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


def predict_seconds(n, bandwidth):
    return 4 * n / bandwidth


@pytest.fixture
def race(processor):
    return race_sums(python_sum, torch_sum, inputs, predict_seconds, sizes=(10, 100, 1000))


def test_every_contestant_runs_at_every_size(race):
    cpu = [(row.n, row.name) for row in race.rows if row.device == "cpu"]
    assert cpu == [(n, name) for n in (10, 100, 1000) for name in ("Python's sum", "torch.sum")]
    assert all(row.seconds > 0 for row in race.rows)


def test_without_a_prediction_the_bound_is_counted_from_the_inputs(race, processor):
    plain = race_sums(python_sum, torch_sum, inputs, sizes=(10, 100, 1000))
    assert [limit.bytes for limit in plain.limits] == [limit.bytes for limit in race.limits]
    assert {limit.predicted for limit in plain.limits} == {None}
    assert "the bound" in repr(plain)
    assert "your prediction" in repr(race)
    assert "your prediction" not in repr(plain)


def test_it_runs_on_a_real_processor_too():
    race = race_sums(python_sum, torch_sum, inputs, predict_seconds, sizes=(10, 100))
    assert all(0 < row.fastest <= row.seconds < 60 for row in race.rows)
    assert "torch.sum" in repr(race)


def test_errors_are_against_float64(processor):
    wrong = race_sums(lambda x: torch_sum(x) * 1.5, torch_sum, inputs, predict_seconds, sizes=(100,))
    errors = {row.name: row.error for row in wrong.rows if row.device == "cpu"}
    assert errors["Python's sum"] == pytest.approx(0.5, rel=1e-5)
    assert errors["torch.sum"] < 1e-6


def test_the_ratio_is_at_the_largest_size(race):
    rows = {row.name: row.seconds for row in race.rows if (row.device, row.n) == ("cpu", 1000)}
    assert race.ratio("cpu") == rows["Python's sum"] / rows["torch.sum"]
    assert race.ratio("cpu") > 1


def test_the_bound_is_the_devices_own_for_the_bytes_of_the_inputs(race, processor):
    speed = processor.speed("cpu")
    cpu = [limit for limit in race.limits if limit.device == "cpu"]
    assert [limit.n for limit in cpu] == [10, 100, 1000]
    for limit in cpu:
        assert limit.bytes == 4 * limit.n + 4  # the scalar is written
        assert limit.bandwidth == pytest.approx(speed.bandwidth_at(limit.bytes))
        assert limit.launch == speed.launch
        assert limit.seconds == pytest.approx(speed.launch + limit.bytes / limit.bandwidth)
        assert limit.predicted == 4 * limit.n / limit.bandwidth  # the student's function, at that bandwidth
        assert limit.by in ("launch", "memory")
    assert race.limit("cpu") == cpu[-1]


def test_the_table_says_how_many_times_the_bound_each_takes(race):
    text = repr(race)
    limit, seconds = race.limit("cpu"), race.at_largest("cpu")
    ladder = dict(
        re.findall(r"^(your prediction|the bound|torch\.sum|Python's sum) +\S+ (?:s|ms|µs|ns) +([\d,.]+)$", text, re.M)
    )
    assert ladder["the bound"] == "1.00"
    for name, value in {**seconds, "your prediction": limit.predicted}.items():
        assert float(ladder[name].replace(",", "")) == pytest.approx(value / limit.seconds, rel=0.05, abs=0.005)
    assert {"launch": "Here the launch cost binds", "memory": "Here the bandwidth binds"}[limit.by] in text
    assert "Python's sum took" in text


def test_a_small_call_is_bound_by_its_launch_and_a_large_one_by_its_bytes(processor):
    small = race_sums(torch_sum, torch_sum, inputs, predict_seconds, sizes=(1,))
    assert small.limit("cpu").by == "launch"
    large = race_sums(torch_sum, torch_sum, inputs, predict_seconds, sizes=(10, 4_000_000))
    assert large.limit("cpu").by == "memory"
    assert "Here the bandwidth binds; up to N = 10 the launch cost does." in repr(large)


def test_the_picture_has_the_bound_as_a_line(race):
    left, right = race.draw().axes
    assert left.get_xscale() == left.get_yscale() == right.get_xscale() == right.get_yscale() == "log"
    (bound,) = (line for line in left.lines if line.get_label() == "bound, CPU")
    expected = [limit.seconds for limit in race.limits if limit.device == "cpu"]
    assert list(bound.get_ydata()) == expected


@pytest.fixture
def unmeasured(monkeypatch):
    """Fail where a device is measured, or a loss timed."""

    def refuse(*args, **kwargs):
        raise AssertionError("measured")

    monkeypatch.setattr("lossbook.timing.sums.measure", refuse)
    monkeypatch.setattr("lossbook.timing.sums.machine_speed", refuse)


def test_nothing_is_measured_before_there_is_a_prediction(unmeasured):
    def prediction(n, bandwidth):
        raise NotImplementedError

    race = race_sums(python_sum, torch_sum, inputs, prediction)
    assert repr(race) == "Write prediction first; then the race is run."
    assert race.rows == race.limits == ()
    assert race.draw() is None


def test_nothing_is_measured_before_both_functions_are_written(unmeasured):
    def stub(x):
        raise NotImplementedError

    for pair in ((stub, torch_sum), (python_sum, stub)):
        race = race_sums(*pair, inputs, predict_seconds, sizes=(10,))
        assert repr(race) == "Write stub first; then the race is run."


WRONG = {
    "zero": lambda n, bandwidth: 0,
    "negative": lambda n, bandwidth: -4 * n / bandwidth,
    "words": lambda n, bandwidth: "many",
    "nothing": lambda n, bandwidth: None,
    "not a number": lambda n, bandwidth: float("nan"),
    "infinite": lambda n, bandwidth: float("inf"),
    "an integer beyond floats": lambda n, bandwidth: 10**400,
    "float64": lambda n, bandwidth: 8 * n / bandwidth,
    "bits": lambda n, bandwidth: 32 * n / bandwidth,
    "luck at one bandwidth": lambda n, bandwidth: 4 * n / 1e9,
    "a number, as it once was": lambda: 1000,
}


@pytest.mark.parametrize("mistake", WRONG)
def test_nothing_is_measured_before_the_prediction_is_the_bound(unmeasured, mistake):
    race = race_sums(python_sum, torch_sum, inputs, WRONG[mistake])
    assert race.rows == ()
    assert repr(race) == "<lambda> is not the bound yet: check it first; then the race is run."


def test_the_scalar_may_be_counted_or_not(processor):
    for extra in (0, 4, 8):
        race = race_sums(torch_sum, torch_sum, inputs, lambda n, b, extra=extra: (4 * n + extra) / b, sizes=(10,))
        assert len(race.rows) >= 2


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match=r"prediction is 50; it must be a function of n and bandwidth"):
        race_sums(python_sum, torch_sum, inputs, 50)
    for sizes in ((), (0, 10)):
        with pytest.raises(ValueError, match="sizes is"):
            race_sums(python_sum, torch_sum, inputs, predict_seconds, sizes=sizes)
