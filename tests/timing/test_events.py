"""Timing a GPU by events, tried on a made-up one: its queue and its clock are Python's."""

from types import SimpleNamespace

import pytest
import torch

from lossbook.timing import clocks, measure


class Gpu:
    """A queue of kernels that run one after the other; an event reads the GPU's clock when its turn comes."""

    def __init__(self):
        self.clock, self.queue, self.log = 0.0, [], []

    def launch(self, name, seconds):
        self.queue.append((name, seconds, None))

    def synchronize(self, device=None):
        for name, seconds, event in self.queue:
            self.clock += seconds
            self.log.append(name)
            if event is not None:
                event.at = self.clock
        self.queue.clear()
        self.log.append("wait")


@pytest.fixture
def gpu(monkeypatch):
    made = Gpu()

    class Event:
        def __init__(self, enable_timing=False):
            assert enable_timing
            self.at = None

        def record(self, stream):
            made.queue.append(("event", 0.0, self))

        def elapsed_time(self, end):
            assert None not in (self.at, end.at), "an event was read before the GPU had reached it"
            return (end.at - self.at) * 1e3

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "made up")
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: None)
    monkeypatch.setattr(torch.cuda, "synchronize", made.synchronize)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(clocks, "flusher", lambda device: lambda: made.launch("flush", 1e-3))
    return made


def test_the_time_is_the_gpus_and_not_that_of_queueing(gpu):
    timed = measure(gpu.launch, "kernel", 0.25, device="cuda", repeats=5, work=False)
    assert timed.times == pytest.approx([0.25] * 5)
    assert (timed.device, timed.iqr, timed.noisy) == ("cuda", pytest.approx(0), False)


def test_short_kernels_are_timed_in_blocks(gpu):
    timed = measure(gpu.launch, "kernel", 2e-6, device="cuda", work=False)
    assert timed.median == pytest.approx(2e-6)
    assert timed.median * timed.calls >= 2000 * clocks.EVENT_GRAIN
    assert not timed.noisy


def test_a_cold_cache_is_flushed_before_each_call_outside_the_time(gpu):
    timed = measure(gpu.launch, "kernel", 1e-4, device="cuda", cache="cold", repeats=6, work=False)
    assert timed.median == pytest.approx(1e-4)
    assert (timed.calls, timed.repeats) == (1, 6)
    counted = [name for name in gpu.log if name != "wait"][1:]
    assert counted == ["flush", "event", "kernel", "event"] * 6


def test_blocks_are_queued_together_and_the_gpu_is_waited_for_once(gpu):
    measure(gpu.launch, "kernel", 1e-4, device="cuda", cache="cold", repeats=50, work=False)
    assert gpu.log.count("event") == 100
    assert gpu.log.count("wait") < 12


def test_a_kernel_as_short_as_the_clocks_grain_is_doubted(gpu):
    timed = measure(gpu.launch, "kernel", 2e-6, device="cuda", cache="cold", work=False)
    assert timed.noisy
    assert any("the clock tells apart 500 ns" in text for text in timed.warnings)


def test_work_that_runs_elsewhere_is_noticed(gpu):
    x = torch.rand(10)

    def elsewhere():
        gpu.launch("kernel", 1e-3)
        return x + 1

    timed = measure(elsewhere, device="cuda", repeats=5)
    assert timed.work is None
    assert "the work ran on cpu, and the clock is that of cuda: this is not its time" in timed.warnings


def test_a_tensor_left_on_the_cpu_is_refused_and_a_single_number_is_not(gpu):
    with pytest.raises(ValueError, match="tensor 0 of the arguments is on 'cpu'; it must be on 'cuda'"):
        measure(torch.exp, torch.rand(3), device="cuda")
    assert measure(lambda x: gpu.launch("kernel", 1e-3), torch.tensor(1.0), device="cuda", repeats=1, work=False)


def test_a_gpu_that_is_not_there_is_refused(gpu):
    with pytest.raises(ValueError, match="device is 'cuda:3'; this machine has CUDA devices 0 to 0"):
        measure(print, device="cuda:3")


def test_the_second_level_cache_is_what_a_gpu_is_flushed_of(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(L2_cache_size=50 * 2**20))
    assert clocks.last_level_cache(torch.device("cuda")) == 50 * 2**20
