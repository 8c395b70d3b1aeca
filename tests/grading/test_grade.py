"""Whatever befalls the grader itself, each submission has its record and the others go on."""

import asyncio
import os
import shutil
import signal
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbook.grading.grade import Grader, Options, grade
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.read import reading
from lossbook.grading.run.clocks import Meter
from lossbook.grading.run.isolation import NONE, IsolationError
from lossbook.grading.run.supervisor import Worker, WorkerError

ROOT = Path(__file__).parents[2]
LESSON = "03-bce"

pytestmark = [
    pytest.mark.xdist_group("grade"),
    pytest.mark.skipif(
        shutil.which("bwrap") is None and os.environ.get("CI") != "true", reason="bubblewrap is not installed"
    ),
]


@pytest.fixture
def options(tmp_path):
    for student in ("ada", "bo", "cy", "dee"):
        folder = tmp_path / "submitted" / student
        folder.mkdir(parents=True)
        shutil.copy(ROOT / "solutions" / f"{LESSON}.ipynb", folder)
    return Options(tmp_path / "submitted", tmp_path / "out", ROOT / "lessons", lesson=LESSON, jobs=2)


def graded(options):
    """Grade, and return the state, points and reason of each student."""
    asyncio.run(grade(options, lambda done, of, record: None))
    with Book(options.out) as book:
        records = [kept.record for kept in book.newest()]
    return {record.student: (record.state, record.points, record.reason) for record in records}


RIGHT = ("graded", 20.0, "")


def test_a_worker_that_dies_is_started_again_and_nobody_loses(options, monkeypatch):
    run, killed = Worker.run, []

    async def run_and_kill(self, *args):
        if not killed:
            killed.append(self.process.pid)
            os.kill(self.process.pid, signal.SIGKILL)
        return await run(self, *args)

    monkeypatch.setattr(Worker, "run", run_and_kill)
    assert graded(options) == dict.fromkeys(("ada", "bo", "cy", "dee"), RIGHT)
    assert killed


@pytest.mark.usefixtures("warm_worker")
def test_a_submission_that_no_process_can_be_started_for_is_told_as_killed(options, monkeypatch):
    run = Grader.run_twice

    async def worker_run(self, cells, questions, judged):
        raise WorkerError("a process could not be started: no memory")

    async def run_twice(self, exam, cells, sitting):
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "run", worker_run)
            return await run(self, exam, cells, sitting)

    monkeypatch.setattr(Grader, "run_twice", run_twice)
    said = "twice, a process could not be started: no memory"
    assert graded(options) == dict.fromkeys(("ada", "bo", "cy", "dee"), ("killed", 0.0, said))


@pytest.mark.usefixtures("warm_worker")
def test_a_book_that_another_program_holds_is_waited_for_and_nobody_loses(options):
    held = []

    def hold(done, of, record):
        if done == 1:
            other = sqlite3.connect(options.out / "grades.sqlite", isolation_level=None, check_same_thread=False)
            other.execute("BEGIN IMMEDIATE")
            held.append(other)
            threading.Timer(1, other.close).start()

    asyncio.run(grade(options, hold))
    assert held
    with Book(options.out) as book:
        assert {kept.record.points for kept in book.newest()} == {20.0}
        assert len(list(book.newest())) == 4


@pytest.mark.usefixtures("warm_worker")
def test_a_fault_of_the_grader_costs_the_others_nothing(options, monkeypatch):
    read, seen = reading.read, []

    def read_and_fail(*args):
        seen.append(args)
        if len(seen) == 2:
            raise ZeroDivisionError("of our own")
        return read(*args)

    monkeypatch.setattr(reading, "read", read_and_fail)
    records = graded(options)
    assert len(records) == 4
    assert sorted(records.values())[:3] == [RIGHT] * 3
    (state, points, reason) = max(records.values())
    assert (state, points) == ("killed", 0.0)
    assert reason.endswith("a fault to report: ZeroDivisionError: of our own")


@pytest.mark.parametrize("program", ["#!/bin/sh\necho no namespaces here >&2\nexit 1\n", "#!/bin/sh\nsleep 0\n"])
def test_a_machine_that_can_not_shut_in_is_told_at_once(options, monkeypatch, tmp_path, program):
    fake = tmp_path / "bin" / "bwrap"
    fake.parent.mkdir()
    fake.write_text(program)
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises((IsolationError, BaseExceptionGroup), match="could not be started"):
        graded(options)
    with Book(options.out) as book:
        assert book.runs() == []


@pytest.mark.usefixtures("warm_worker")
def test_who_lost_the_worker_twice_runs_once_more_alone(options, monkeypatch):
    """What ends the worker may be a neighbour, which used up the machine's memory."""
    run, lost = Worker.run, []

    async def run_or_lose(self, *args):
        if len(lost) < 2:
            lost.append(args)
            raise WorkerError("the worker is gone")
        return await run(self, *args)

    monkeypatch.setattr(Worker, "run", run_or_lose)
    assert sorted(graded(replace(options, jobs=1)).values()) == [RIGHT] * 4


@pytest.fixture(scope="module")
def in_the_open():
    """Start a worker without walls, and one process; return its PyTorch's version, and what is seen of the two."""

    async def look():
        async with Worker(NONE) as worker:
            meter, own = Meter(), worker.process.pid
            async with worker.job(meter):
                numbers = meter.process.number, own
                scores = [int(Path(f"/proc/{number}/oom_score_adj").read_text()) for number in numbers]
            return SimpleNamespace(torch=worker.torch, scores=scores, session=os.getsid(own))

    return asyncio.run(look())


def test_without_walls_a_worker_starts_too(in_the_open):
    assert in_the_open.torch


def test_where_memory_is_used_up_a_submission_goes_first(in_the_open):
    submission, worker = in_the_open.scores
    assert submission == 1000 > worker


def test_the_worker_does_not_hear_a_terminal_s_interrupt(in_the_open):
    assert in_the_open.session != os.getsid(0)


def test_a_worker_that_is_gone_keeps_nobody_waiting():
    async def lose_and_revive():
        states = []
        async with Worker(NONE) as worker:
            for told in (True, False):
                os.kill(worker.process.pid, signal.SIGKILL)
                worker.process.wait()
                if told:
                    await asyncio.sleep(0.1)
                    with pytest.raises(WorkerError, match="the worker is gone"):
                        async with worker.job(Meter()):
                            pass
                await worker.revive()
                states.append((await worker.run({0: "1"}, [])).state)
        return states

    assert asyncio.run(asyncio.wait_for(lose_and_revive(), 240)) == ["", ""]
