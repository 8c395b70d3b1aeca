"""One submission costs no other a point: not what keeps the grader busy, and not what keeps the machine busy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from socket import socketpair
from typing import Any

import pytest
import torch

from lossbook.grading.grade import Grader, Options, grade
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import Record
from lossbook.grading.run.clocks import Meter, Span
from lossbook.grading.run.sandbox.wire import Room, outcome_from_list, pack
from lossbook.grading.run.supervisor import Channel, EndedError, Limits

ROOT = Path(__file__).parents[2]
LESSON = "03-bce"
ALL = 20.0  # points
RIGHT = ("graded", ALL, "")
LIMITS = Limits(total=6.0, cell=1.5, exercise=1.0)

pytestmark = [
    pytest.mark.xdist_group("neighbours"),
    pytest.mark.usefixtures("warm_worker"),
    pytest.mark.skipif(
        shutil.which("bwrap") is None and os.environ.get("CI") != "true", reason="bubblewrap is not installed"
    ),
]


def solution(*cells: str) -> str:
    """Return the solution with more cells at its end."""
    made = json.loads((ROOT / "solutions" / f"{LESSON}.ipynb").read_text(encoding="utf-8"))
    more = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell} for cell in cells
    ]
    return json.dumps({**made, "cells": [*made["cells"], *more]})


def graded(folder: Path, submissions: dict[str, str], **options: object) -> dict[str, Record]:
    for name, text in submissions.items():
        (folder / "in" / name).mkdir(parents=True)
        (folder / "in" / name / f"{LESSON}.ipynb").write_text(text, encoding="utf-8")
    given: dict[str, object] = {"lesson": LESSON, "seed": 5, "limits": LIMITS, **options}
    asyncio.run(grade(Options(folder / "in", folder / "out", ROOT / "lessons", **given), lambda *_: None))  # type: ignore[arg-type]
    with Book(folder / "out") as book:
        return {kept.record.student: kept.record for kept in book.newest()}


def answering(message: str, before: str = "") -> str:
    """Return a cell whose ``bce`` writes well-formed answers of its own, for as long as it is let."""
    return (
        "import os, msgpack, struct\n"
        "def answer(value):\n"
        "    return msgpack.packb(['answer', ['returned', value, None, '', [], None, 'list', [], '', [], [], 0]])\n"
        f"{before}"
        f"message = {message}\n"
        "def bce(p, y):\n    while True:\n        rest = memoryview(message)\n"
        "        while rest:\n            rest = rest[os.write(3, rest):]\n"
    )


BYTE = "msgpack.ExtType(1, msgpack.packb(['uint8', [1], b'x']))"
HOGS = {
    "many tensors": answering(f"answer([{BYTE}] * 8180)"),
    "many tensors, each list within bounds": answering(f"answer([{BYTE}] * 200) * 20"),
    "many numbers": answering("answer([0.5] * 8180)"),
    "small answers": answering("answer(0.5) * 2000"),
    "large tensors": answering("answer(msgpack.ExtType(1, msgpack.packb(['uint8', [2**19], bytes(2**19)])))"),
    "one answer without end": answering(
        "bytes(2**16)", "os.write(3, b'\\x92\\xa6answer' + b'\\xc6' + struct.pack('>I', 2**25))\n"
    ),
    "byte by byte": answering("b'\\x92'") + "        __import__('time').sleep(0)\n",
    "slow to judge": "def bce(p, y):\n    return [torch.ones(1) for _ in range(250)]",
    "a million characters": "x = 1\n" * 160_000,
    "a million names": "a = " * 200_000 + "1",
    "a cell without end": "while True:\n    pass",
}


@pytest.mark.parametrize("jobs", [2, 4])
def test_what_keeps_the_grader_busy_costs_nobody_else(tmp_path: Path, jobs: int) -> None:
    files = {}
    for place, (name, cell) in enumerate(HOGS.items()):
        files[f"{place:02} hog {name}"] = solution(cell)
        if place % 2:
            files[f"{place:02} honest"] = solution()
    records = graded(tmp_path, files, jobs=jobs)
    honest = {name: (item.state, item.points, item.reason) for name, item in records.items() if "honest" in name}
    assert honest == dict.fromkeys(honest, RIGHT)
    ends = {name[7:]: (item.state, item.points) for name, item in records.items() if "hog" in name}
    assert ends["slow to judge"] == ("graded", ALL - 2)
    assert ends["a million names"] == ("graded", ALL)
    assert ends["a million characters"][1] == ALL  # Python itself takes seconds to read them
    assert ends["a cell without end"] == ("timed out", ALL)
    for name in HOGS:  # what a hog writes may stand for its own later answers too
        assert name.startswith("a ") or ends[name][1] <= ALL - 2, ends


@pytest.mark.wall_clock
def test_who_sends_without_end_pays_for_it_and_the_others_have_their_turn() -> None:
    answer = ["answer", ["returned", [torch.ones(1)] * 200, None, "", [], None, "list", [], "", [], [], 0]]

    def flood(socket: Any, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                socket.sendall(data)

    async def receive() -> tuple[int, float]:
        ours, theirs = socketpair()
        ours.setblocking(False)
        sender = threading.Thread(target=flood, args=(theirs, pack(answer) * 20), daemon=True)
        sender.start()
        meter, longest, going = Meter(), 0.0, True
        channel, span = Channel(ours, meter), Span(meter, 0.5)

        async def neighbour() -> None:
            nonlocal longest
            while going:
                started = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - started)

        other, read = asyncio.create_task(neighbour()), 0
        why = ""
        while not why:
            try:
                outcome_from_list((await channel.receive(span, Room(2**10)))[1])
                read += 1
            except EndedError as error:
                why = error.why
        assert why == "it took too long"
        going = False
        await other
        assert 0.5 <= meter.used() < 0.7
        ours.close()
        sender.join(10)
        return read, longest

    read, longest = asyncio.run(receive())
    assert read > 10
    assert longest < 0.2


# Machines that are busy.

SLOW_CELL = "import time\nstarted = time.process_time()\nwhile time.process_time() - started < {}: pass"
SLOW = """
def pairwise_sum(x):
    started = __import__("time").process_time()
    while __import__("time").process_time() - started < {}:
        pass
    while len(x) > 1:
        x = torch.cat([x, x.new_zeros(len(x) % 2)])
        x = x[0::2] + x[1::2]
    return x[0]
"""


@pytest.fixture
def busy():
    """Keep the machine busy: four loops for each two of its processors."""
    loops = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(2 * len(os.sched_getaffinity(0)))]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.wall_clock
def test_grades_are_the_same_on_a_busy_machine(tmp_path: Path, busy: None) -> None:
    cells = {
        "in time": SLOW.format(0.04),  # ten calls or so: half of what there is
        "too slow": SLOW.format(0.5),
        "asleep a little": "import time\ntime.sleep(0.5)",
        "endless": "while True:\n    pass",
        "right": "pass",
    }
    records = graded(tmp_path, {name: solution(cell) for name, cell in cells.items()}, jobs=2)
    found = {name: (record.state, record.points, record.reason) for name, record in records.items()}
    number = len(json.loads(solution("pass"))["cells"])
    assert found == {
        "in time": RIGHT,
        "too slow": ("timed out", ALL - 2, "pairwise_sum: it took too long"),
        "asleep a little": RIGHT,
        "endless": ("timed out", ALL, f"cell {number}: it took too long"),
        "right": RIGHT,
    }


def test_who_sleeps_is_ended_too(tmp_path: Path) -> None:
    sleepers = {
        "in a cell": solution("import time\ntime.sleep(1000)"),
        "in a function": solution("import time\ndef bce(p, y):\n    time.sleep(1000)"),
        "now and then awake": solution(
            "import time\nwhile True:\n    time.sleep(0.02)\n    for _ in range(1000): pass"
        ),
        "on the channel": solution("import socket\nsocket.socket(fileno=3).recv(1 << 20, socket.MSG_PEEK)"),
    }
    records = graded(tmp_path, sleepers, jobs=4)
    assert {name: record.state for name, record in records.items()} == dict.fromkeys(sleepers, "timed out")
    assert records["in a cell"].points == ALL
    assert records["in a function"].points == ALL - 2


# Cells that take all the time there is.


def test_cells_leave_the_functions_their_time(tmp_path: Path) -> None:
    slow = SLOW_CELL.format(1.0)
    kinds = {
        "endless": ["while True:\n    input()"] * 12,
        "slow, each in time": [slow] * 8,
        "slow, one imported for all": ["import math as one", f"{slow}\ndef bce(p, y):\n    return bad", *[slow] * 8],
        "asleep": ["import time\ntime.sleep(2.5)"] * 8,
        "ending": ["import os\nos._exit(0)"] * 12,
    }
    records = graded(tmp_path, {name: solution(*cells) for name, cells in kinds.items()}, jobs=2)
    assert {name: (item.state, item.points) for name, item in records.items()} == {
        "endless": ("timed out", ALL),
        "slow, each in time": ("timed out", ALL),
        "slow, one imported for all": ("timed out", ALL - 2),
        "asleep": ("timed out", ALL),
        "ending": ("partial", ALL),
    }


def test_that_cells_run_again_for_what_is_forbidden_costs_nothing(tmp_path: Path) -> None:
    cells = {"asleep": "import time\ntime.sleep(2.7)", "in time": SLOW_CELL.format(1.3)}
    records = graded(tmp_path, {name: solution(cell) for name, cell in cells.items()}, jobs=2)
    assert {name: (item.state, item.points, item.reason) for name, item in records.items()} == dict.fromkeys(
        cells, RIGHT
    )


def test_functions_that_end_the_process_one_after_the_other_cost_no_other(tmp_path: Path) -> None:
    from lossbook.grading.read.handed_out import releases

    names = releases(ROOT / "lessons")[LESSON].functions
    ended = "\n".join(f"def {name}(*given):\n    __import__('os')._exit(0)" for name in names if name != "pairwise_sum")
    record = graded(tmp_path, {"a": solution(ended)})["a"]
    assert (record.state, record.points) == ("partial", 2.0)


# What timed out runs again, alone.


def test_what_timed_out_counts_as_it_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, running, alone = Grader.answer, set(), []

    async def watched(self, exam, cells):  # type: ignore[no-untyped-def]
        running.add(me := object())
        alone.append((cells[-1][1], len(running)))
        try:
            found = await answer(self, exam, cells)
            if len(alone) <= 4 and cells[-1][1] == "'unlucky'":  # as where a neighbour took all there was
                found = {**found, "state": "timed out", "points": 0.0, "reason": "it took too long", "again": True}
            return found
        finally:
            running.discard(me)

    monkeypatch.setattr(Grader, "answer", watched)
    files = {"a": "'lucky'", "b": "'unlucky'", "c": "'lucky'", "d": "while True:\n    pass"}
    records = graded(tmp_path, {name: solution(cell) for name, cell in files.items()}, jobs=2)
    assert {name: (record.state, record.points) for name, record in records.items()} == {
        "a": ("graded", ALL),
        "b": ("graded", ALL),
        "c": ("graded", ALL),
        "d": ("timed out", ALL),
    }
    again = alone[4:]
    assert sorted(again) == sorted([("'unlucky'", 1), ("while True:\n    pass", 1)])
    with Book(tmp_path / "out") as book:
        (run,) = book.runs()
        assert run.options["load"] >= 0


def test_the_second_run_has_the_same_cases(tmp_path: Path) -> None:
    """A function that gives up in time the first time gains nothing: what it sees is what it saw."""
    from lossbook.grading.exam import Exam
    from lossbook.grading.read.handed_out import releases

    release = releases(ROOT / "lessons")[LESSON]
    assert [item.packed for item in Exam(release, 7).questions] == [item.packed for item in Exam(release, 7).questions]
    assert [item.packed for item in Exam(release, 7).questions] != [item.packed for item in Exam(release, 8).questions]
