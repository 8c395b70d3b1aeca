"""A made-up processor: what a call takes is told, and no real clock is read."""

from importlib import import_module
from types import SimpleNamespace

import pytest

from lossbook.timing import Machine, sums

measuring = import_module("lossbook.timing.measure")  # the package has a function of that name
SPEED = Machine("cpu", "made up", 1, ((2**18, 1e11), (2**28, 2e10)), launch=1e-6, peak=1e11)


class Processor:
    """Calls take ``seconds(name, n)``, and what ``disturbance`` adds to it.

    ``disturbance(name, n, block, now)`` returns what a call takes in that block, as a multiple of the undisturbed time,
    and whether the system tells of an interruption. ``now`` is the made-up time.
    """

    grain = 1e-7

    def __init__(self):
        self.now, self.measured = 0.0, []
        self.disturbance = lambda name, n, block, now: (1.0, False)
        self.speeds = []  # what a measurement of the machine finds, in turn; then always SPEED

    def seconds(self, name, n):
        return 1e-6 * n if "python" in name else 2e-6 + 1e-9 * n

    def speed(self, device):
        return self.speeds.pop(0) if self.speeds else SPEED

    def clock(self, function, args, device, *, cold, own=False):
        assert own, "other programs' time would count"
        name, n = function.__name__, len(args[0])
        self.measured.append((name, n))
        made = SimpleNamespace(grain=self.grain, interrupted=0)
        block = iter(range(10**9))

        def blocks(calls, count):
            times = []
            for _ in range(count):
                factor, interrupted = self.disturbance(name, n, next(block), self.now)
                times.append(factor * self.seconds(name, n))
                made.interrupted += interrupted
                self.now += times[-1] * calls
            return times

        made.blocks = blocks
        return made


@pytest.fixture
def processor(monkeypatch):
    made = Processor()
    clock = SimpleNamespace(perf_counter=lambda: made.now)
    monkeypatch.setattr(measuring, "clock_for", made.clock)
    monkeypatch.setattr(measuring, "time", clock)
    monkeypatch.setattr(sums, "time", clock)
    monkeypatch.setattr(sums, "machine_speed", made.speed)
    monkeypatch.setattr(sums, "measure_anew", made.speed)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    return made
