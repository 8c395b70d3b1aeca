"""The measuring protocol: what is counted, what is not, and what is refused."""

import itertools
import time
from types import SimpleNamespace

import pytest
import torch

from lossbook.timing import Work, clocks, devices, machine, machine_speed, measure


def test_warm_up_is_not_counted_and_every_call_of_every_block_is():
    calls = []
    timed = measure(calls.append, 1, warmup=2, repeats=7, cache="cold", work=False)
    assert (timed.repeats, timed.calls, len(timed.times)) == (7, 1, 7)
    assert len(calls) == 9


@pytest.mark.wall_clock
def test_a_block_is_long_enough_for_the_clock():
    timed = measure(len, [], repeats=5, work=False)
    assert timed.calls > 10
    assert timed.median * timed.calls > 100 * clocks.host_grain()


def test_without_warm_up_nothing_runs_before_the_first_counted_call():
    calls = []
    timed = measure(calls.append, 1, warmup=0, repeats=1, work=False)
    assert (len(calls), timed.repeats, timed.calls) == (1, 1, 1)


@pytest.mark.wall_clock
def test_the_median_is_reported():
    pauses = itertools.chain([0.0, 0.001, 0.05, 0.002], itertools.repeat(0.002))
    timed = measure(lambda: time.sleep(next(pauses)), warmup=0, repeats=4, work=False)
    assert timed.fastest < timed.median < timed.slowest
    assert timed.slowest >= 0.05
    assert timed.median < 0.05


@pytest.mark.parametrize("options", [{}, {"warmup": 0}, {"cache": "cold"}])
def test_the_value_comes_back(options):
    assert measure(sum, [1, 2, 3], repeats=2, work=False, **options).value == 6


@pytest.mark.wall_clock
def test_the_budget_ends_it_but_one_block_is_always_counted():
    start = time.perf_counter()
    timed = measure(time.sleep, 0.05, warmup=0, repeats=1000, budget=0.12, work=False)
    assert time.perf_counter() - start < 2
    assert 1 <= timed.repeats <= 4
    assert measure(time.sleep, 0.02, repeats=5, budget=0.0, work=False).repeats == 1


@pytest.mark.wall_clock
def test_it_stops_when_the_times_agree_and_goes_on_while_they_do_not(monkeypatch):
    monkeypatch.setattr(clocks, "interruptions", lambda: 0)
    steady = measure(time.sleep, 0.004, spread=0.5, most=60, work=False)
    assert 5 <= steady.repeats < 60
    pauses = itertools.cycle([0.001, 0.004])
    uneven = measure(lambda: time.sleep(next(pauses)), spread=0.05, most=30, work=False)
    assert uneven.repeats == 30
    assert uneven.noisy
    assert any("the middle half of the repeats is" in text for text in uneven.warnings)


def test_few_repeats_are_said_not_to_be_enough():
    timed = measure(time.sleep, 0.01, repeats=1, work=False)
    assert timed.noisy
    assert "1 repeat: fewer than 5 do not show how the time varies" in timed.warnings


def test_a_block_too_short_for_the_clock_is_said_to_be():
    timed = measure(len, [], warmup=0, repeats=9, work=False)
    assert any("the clock tells apart" in text for text in timed.warnings)


def test_other_programs_are_noticed(monkeypatch):
    count = itertools.count(step=10**6)
    monkeypatch.setattr(clocks, "interruptions", lambda: next(count))
    timed = measure(len, [], most=8, work=False)
    assert timed.noisy
    assert "other programs took the processor during 8 of 8 repeats" in timed.warnings


def test_the_work_is_counted_and_compared_with_the_bound():
    x = torch.rand(1000)
    timed = measure(torch.exp, x, repeats=3)
    assert timed.work == Work(8000, 8000, 1000, 1)
    assert timed.bound == machine_speed().bound(timed.work)
    assert timed.share == timed.bound.seconds / timed.median
    assert measure(torch.exp, x, repeats=1, work=False).share is None


@pytest.mark.wall_clock
def test_a_time_below_the_bound_is_said_to_be_wrong():
    honest = measure(torch.exp, torch.rand(10), repeats=3)
    assert not any("optimised away" in text for text in honest.warnings)
    wrong = measure(torch.exp, torch.rand(10), repeats=3, work=Work(10**13, 10**13, 0, 1))
    assert any("times as fast as the bound" in text and "optimised away" in text for text in wrong.warnings)


def test_counting_that_fails_or_takes_too_long_says_so():
    answers = itertools.chain([1] * 4, itertools.repeat(0))
    timed = measure(lambda: 1 / next(answers), warmup=1, cache="cold", repeats=3)
    assert timed.work is None
    assert any("not counted: ZeroDivisionError" in text for text in timed.warnings)
    slow = measure(sum, torch.rand(20_000), warmup=0, repeats=1, budget=0.01)
    assert "the work was not counted: that would have taken longer than the budget" in slow.warnings


def test_cold_finds_the_caches_flushed_and_warm_does_not(monkeypatch):
    events = []
    monkeypatch.setattr(clocks, "flusher", lambda device: lambda: events.append("flush"))
    measure(lambda: events.append("call"), cache="cold", warmup=1, repeats=3, work=False)
    assert events == ["call"] + ["flush", "call"] * 3
    events.clear()
    assert measure(lambda: events.append("call"), cache="warm", repeats=3, work=False).cache == "warm"
    assert set(events) == {"call"}


def test_what_flushes_the_cpu_is_larger_than_its_caches():
    device = torch.device("cpu")
    written = clocks.flusher(device)()
    assert written.numel() * written.element_size() >= 2 * clocks.last_level_cache(device)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("warmup", -1),
        ("repeats", 0),
        ("budget", -0.1),
        ("budget", float("nan")),
        ("spread", -1),
        ("least", 0),
        ("tries", 0),
    ],
)
def test_bad_counts_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} is {value}; it must be at least"):
        measure(sum, [1], **{option: value})


def test_bad_arguments_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TypeError, match="function is a list; it must be callable"):
        measure([1])
    with pytest.raises(ValueError, match="cache is 'hot'; it must be 'warm' or 'cold'"):
        measure(sum, [1], cache="hot")
    with pytest.raises(ValueError, match="device is 'cuda'; this machine has no CUDA device"):
        measure(sum, [1], device="cuda")
    with pytest.raises(ValueError, match="tensor 1 of the arguments is on 'meta'; it must be on 'cpu'"):
        measure(torch.add, torch.rand(2), torch.rand(2, device="meta"))
    with pytest.raises(ValueError, match="most is 3; it must be at least 5"):
        measure(sum, [1], most=3)


def test_the_devices_are_the_cpu_and_a_gpu_where_there_is_one():
    kinds = [device.type for device in devices()]
    assert kinds == ["cpu", "cuda"] if torch.cuda.is_available() else kinds == ["cpu"]


def test_the_machine_is_named():
    assert torch.__version__ in machine()


def test_a_threads_own_time_leaves_out_what_it_waits_for():
    timed = measure(time.sleep, 0.01, repeats=3, work=False, own=True)
    assert timed.median < 0.005
    assert measure(time.sleep, 0.01, repeats=3, work=False).median >= 0.01


def test_interruptions_are_no_part_of_a_threads_own_time(monkeypatch):
    count = itertools.count(step=10**6)
    monkeypatch.setattr(clocks, "interruptions", lambda: next(count))
    timed = measure(sum, [1, 2, 3], most=8, work=False, own=True)
    assert not any("other programs" in text for text in timed.warnings)


@pytest.mark.parametrize("told", [15.6e-3, None], ids=["coarse", "none"])
def test_the_wall_counts_where_a_threads_time_is_coarse_or_not_kept(monkeypatch, told):
    def info(name):
        if told is None:
            raise ValueError("unknown clock")
        return SimpleNamespace(resolution=told)

    monkeypatch.setattr(clocks.time, "get_clock_info", info)
    assert clocks.thread_clock() is None
    assert measure(time.sleep, 0.01, repeats=1, work=False, own=True).median >= 0.01


def test_a_noisy_measurement_is_made_again_and_the_calm_one_counts(processor):
    def disturbance(name, n, block, now):
        return 1.0 + 9 * (block % 2) * (len(processor.measured) < 3), False

    processor.disturbance = disturbance
    ones, options = torch.ones(10), {"work": False, "own": True}
    calm = measure(torch.sum, ones, tries=5, **options)
    assert len(processor.measured) == 3
    assert not calm.noisy
    assert calm.median == pytest.approx(processor.seconds("sum", 10))
    processor.measured.clear()
    assert measure(torch.sum, ones, tries=2, **options).noisy
    assert len(processor.measured) == 2
    processor.measured.clear()
    assert measure(torch.sum, ones, **options).noisy
    assert len(processor.measured) == 1
