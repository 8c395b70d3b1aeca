"""Keeps the time of submissions: what they compute, as the kernel counts it, what they sleep and how long they take."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator

TICK = 0.05  # seconds between two looks at a submission that does not answer
ASLEEP = 2.0  # what a submission may sleep, in times of what it may compute
ALTOGETHER = 30.0  # what it may take by the clock on the wall, likewise: a busy machine gives it a share alone


class Process:
    """A process, known by a file that stands for it, and the clock that the kernel keeps for it.

    Args:
        watch: The file (``pidfd_open``). It becomes this object's own.

    """

    def __init__(self, watch: int) -> None:
        self.watch, self.last = watch, 0.0
        with open(f"/proc/self/fdinfo/{watch}", encoding="ascii") as file:
            found = [line.split()[1] for line in file if line.startswith("Pid:")]
        self.number = int(found[0]) if found else -1  # as it is called here; −1 where it has ended already
        self.clock = (~self.number << 3) | 2  # CPUCLOCK_SCHED of <linux/posix-timers.h>: all threads of a process
        self.poll = select.poll()
        self.poll.register(watch, select.POLLIN)

    def ended(self) -> bool:
        """Tell whether the process has ended; its number may then be another's."""
        return self.number <= 0 or bool(self.poll.poll(0))

    def seconds(self) -> float:
        """Return the processor time that the process has used, in seconds; the last one known where it has ended."""
        if not self.ended():
            with contextlib.suppress(OSError):  # it may end at this moment
                self.last = time.clock_gettime(self.clock)
        return self.last

    def sleeps(self) -> bool:
        """Tell whether the process waits for something other than a processor."""
        try:
            with open(f"/proc/{self.number}/stat", "rb") as file:
                return not file.read().rpartition(b") ")[2].startswith(b"R")
        except OSError:
            return True

    def close(self) -> None:
        """Close the file."""
        os.close(self.watch)


class Meter:
    """What one submission has spent, over all the processes that it ran in.

    Its processor time is what the kernel counts for its processes, and the grader's own while it reads and judges what
    they sent. Time asleep and time altogether count only while the grader looks: what keeps the grader elsewhere is
    nobody's.
    """

    def __init__(self) -> None:
        self.before = self.asleep = self.altogether = 0.0
        self.process: Process | None = None

    def follow(self, process: Process) -> None:
        """Count a process from now on. A process starts with nothing on its clock."""
        self.process = process

    def leave(self) -> None:
        """Keep what the process has used, and follow it no longer."""
        if self.process is not None:
            self.before += self.process.seconds()
            self.process = None

    def charge(self, seconds: float) -> None:
        """Add processor time that the grader has spent for this submission."""
        self.before += seconds

    @contextlib.contextmanager
    def charged(self) -> Iterator[None]:
        """Charge what the grader does under this. It may not wait there: what others do meanwhile would be charged."""
        started = time.thread_time()
        try:
            yield
        finally:
            self.charge(time.thread_time() - started)

    def used(self) -> float:
        """Return the processor time spent, in seconds."""
        return self.before + (self.process.seconds() if self.process is not None else 0.0)

    def look(self, passed: float) -> None:
        """Note that so many seconds have passed since the last look."""
        passed = min(passed, 2 * TICK)
        self.altogether += passed
        if self.process is not None and self.process.sleeps():
            self.asleep += passed


class Span:
    """What may be spent from now on.

    Args:
        meter: What has been spent.
        seconds: Of processor time; ``ASLEEP`` times that may be slept, and ``ALTOGETHER`` times that may pass.
        within: A span that this one is a part of.

    """

    def __init__(self, meter: Meter, seconds: float, within: Span | None = None) -> None:
        self.meter, self.seconds, self.within = meter, seconds, within
        self.began = meter.used(), meter.asleep, meter.altogether

    def spent(self) -> float:
        """Return what has been spent since then, in seconds of processor time: of the three limits, the nearest."""
        used, asleep, altogether = self.began
        return max(
            self.meter.used() - used,
            (self.meter.asleep - asleep) / ASLEEP,
            (self.meter.altogether - altogether) / ALTOGETHER,
        )

    def extend(self, seconds: float) -> None:
        """Allow so much more."""
        self.seconds += seconds

    def over(self) -> bool:
        """Tell whether all is spent, here or in the span around."""
        return self.spent() >= self.seconds or (self.within is not None and self.within.over())
