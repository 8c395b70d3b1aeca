"""Processor time is the kernel's, time asleep is seen, and what the grader does itself is charged to whom it is for."""

import os
import subprocess
import sys
import time

import pytest

from lossbook.grading.run.clocks import ALTOGETHER, ASLEEP, TICK, Meter, Process, Span


@pytest.fixture
def started():
    """Return what starts a Python program and returns it with what watches it."""
    made = []

    def start(program):
        child = subprocess.Popen([sys.executable, "-S", "-E", "-c", program], stdout=subprocess.PIPE)
        made.append((child, process := Process(os.pidfd_open(child.pid))))
        child.stdout.read(1)  # it says when it has begun
        return child, process

    yield start
    for child, process in made:
        child.kill()
        child.wait()
        child.stdout.close()
        process.close()


SAY = "import sys, time, threading; sys.stdout.write('x'); sys.stdout.flush()\n"


def test_a_process_s_clock_is_its_processor_time(started):
    child, process = started(SAY + "while time.process_time() < 0.6: pass\ntime.sleep(100)")
    assert process.number == child.pid
    until = time.monotonic() + 60
    while process.seconds() < 0.55 and time.monotonic() < until:
        time.sleep(0.01)
    assert process.seconds() >= 0.55
    time.sleep(0.3)
    assert process.seconds() < 0.8


def test_the_time_of_threads_is_counted_too(started):
    loop = "def loop():\n while time.thread_time() < 0.4: pass\n"
    _, process = started(SAY + loop + "[threading.Thread(target=loop).start() for _ in range(2)]\ntime.sleep(100)")
    until = time.monotonic() + 60
    while process.seconds() < 0.75 and time.monotonic() < until:
        time.sleep(0.01)
    assert process.seconds() >= 0.75


def test_who_sleeps_is_seen(started):
    _, busy = started(SAY + "while True: pass")
    child, asleep = started(SAY + "time.sleep(100)")
    until = time.monotonic() + 60
    while not asleep.sleeps() and time.monotonic() < until:  # it has first to come to its sleep
        time.sleep(0.01)
    assert asleep.sleeps()
    assert not busy.sleeps()
    assert not asleep.ended()
    child.kill()
    child.wait()
    assert asleep.ended()
    assert asleep.seconds() >= 0.0  # of one that is gone too


class Clockwork:
    """A process whose time is set by hand."""

    def __init__(self):
        self.now, self.asleep = 0.0, False

    def seconds(self):
        return self.now

    def sleeps(self):
        return self.asleep


@pytest.fixture
def meter():
    made = Meter()
    made.follow(Clockwork())
    return made


def test_a_span_ends_with_processor_time(meter):
    span = Span(meter, 2.0)
    meter.process.now = 1.9
    assert not span.over()
    meter.charge(0.2)  # what the grader did for it counts
    assert span.over()
    span.extend(1.0)
    assert not span.over()


def test_a_span_ends_where_it_is_slept_through(meter):
    span = Span(meter, 1.0)
    for _ in range(round(3 * ASLEEP / TICK)):
        meter.look(TICK)
    assert not span.over()  # it waited for a processor
    meter.process.asleep = True
    for _ in range(round(ASLEEP / TICK) - 1):
        meter.look(TICK)
    assert not span.over()
    meter.look(1.5 * TICK)
    assert span.over()


def test_a_span_ends_in_the_end_where_there_is_no_processor(meter):
    span = Span(meter, 1.0)
    for _ in range(round(ALTOGETHER / TICK) - 1):
        meter.look(TICK)
    assert not span.over()
    meter.look(1.5 * TICK)
    assert span.over()


def test_what_keeps_the_grader_elsewhere_is_nobody_s(meter):
    span = Span(meter, 1.0)
    meter.process.asleep = True
    meter.look(1000.0)
    assert not span.over()


def test_a_span_ends_with_the_one_around_it(meter):
    around = Span(meter, 1.0)
    meter.process.now = 0.9
    inner = Span(meter, 1.0, around)
    meter.process.now = 1.1
    assert inner.over()


def test_time_goes_on_from_process_to_process(meter):
    meter.process.now = 1.5
    meter.leave()
    meter.follow(Clockwork())
    meter.process.now = 0.25
    assert meter.used() == 1.75


def test_what_the_grader_does_is_charged(meter):
    with meter.charged():
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
    assert 0.05 <= meter.used() < 0.2
