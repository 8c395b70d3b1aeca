"""The measuring protocol: what is counted, what is not, and what is refused."""

import time

import pytest
import torch

from lossbook.timing import devices, machine, measure


def test_warm_up_is_not_counted_and_every_repeat_is():
    calls = []
    timed = measure(calls.append, 1, warmup=2, repeats=7)
    assert (len(calls), timed.repeats) == (9, 7)


def test_the_median_is_reported():
    pauses = iter([0.0, 0.001, 0.05, 0.002])
    timed = measure(lambda: time.sleep(next(pauses)), warmup=1, repeats=3)
    assert 0.002 <= timed.median < 0.05
    assert timed.fastest < timed.median < timed.slowest


def test_the_value_comes_back():
    assert measure(sum, [1, 2, 3]).value == 6


def test_the_budget_ends_it_but_one_call_is_always_counted():
    start = time.perf_counter()
    timed = measure(time.sleep, 0.05, warmup=0, repeats=1000, budget=0.12)
    assert time.perf_counter() - start < 1
    assert 1 <= timed.repeats <= 4
    assert measure(time.sleep, 0.02, repeats=5, budget=0.0).repeats == 1


@pytest.mark.parametrize(("option", "value"), [("warmup", -1), ("repeats", 0)])
def test_bad_counts_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} is {value}; it must be at least"):
        measure(sum, [1], **{option: value})


def test_the_devices_are_the_cpu_and_a_gpu_where_there_is_one():
    kinds = [device.type for device in devices()]
    assert kinds == ["cpu", "cuda"] if torch.cuda.is_available() else kinds == ["cpu"]


def test_the_machine_is_named():
    assert torch.__version__ in machine()


def test_a_gpu_is_waited_for_before_each_reading_of_the_clock(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("wait"))
    measure(lambda: events.append("call"), device="cuda", warmup=1, repeats=2)
    assert events == ["call", "wait"] + ["wait", "call", "wait"] * 2
