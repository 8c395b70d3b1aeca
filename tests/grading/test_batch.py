"""A batch with hostile submissions in it is finished, with each record right.

A hostile one never ends, takes all memory, ends or crashes its process, writes to the grader's channel, or is no
notebook at all. Here each kind stands once between two honest ones. A full batch, in which one of every twenty attacks,
is graded by naming its size::

    BATCH=1000 python -m pytest tests/grading/test_batch.py -s
    BATCH=10000 python -m pytest tests/grading/test_batch.py -s
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from pathlib import Path

from lossbook.grading.grade import Done, Options, grade
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import Record
from lossbook.grading.run.supervisor import Limits

ROOT = Path(__file__).parents[2]
SIZE = int(os.environ.get("BATCH", "0"))
LESSON = "03-bce"
SOLUTION = json.loads((ROOT / "solutions" / f"{LESSON}.ipynb").read_text(encoding="utf-8"))
UNTOUCHED = (ROOT / "lessons" / f"{LESSON}.ipynb").read_bytes()
ALL = 20.0  # points
# Time enough for one endless cell or function, and for the rest to be run again without it.
LIMITS = Limits(total=4.0, cell=1.2, exercise=1.2)


def with_cell(source: str) -> bytes:
    """Return the solution with one more cell at its end."""
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
    return json.dumps({**SOLUTION, "cells": [*SOLUTION["cells"], cell]}).encode()


# The bytes handed in, the state that must be recorded, the points, and words of the reason or of a cell's error.
Kind = tuple[bytes, str, float, str]
HONEST: dict[str, Kind] = {
    "right": (json.dumps(SOLUTION).encode(), "graded", ALL, ""),
    "untouched": (UNTOUCHED, "not attempted", 0.0, ""),
    "wrong": (with_cell("def bce(p, y):\n    return (p - y).mean()"), "graded", ALL - 2, ""),
    "unwritten": (with_cell("def sigmoid(z):\n    raise NotImplementedError"), "graded", ALL - 7, ""),
    "raising": (with_cell("1 / 0"), "graded", ALL, "ZeroDivisionError"),
    "looks the votes up": (
        with_cell(
            "from lossbook import data\n"
            "def voter_logits(x, y, x_new):\n"
            "    table = data.anes96()\n"
            "    rows = torch.stack([column for name, column in table.items() if name in SAID], 1)\n"
            "    return torch.stack([table['vote'][(rows == row).all(1)][0] for row in x_new])"
        ),
        "graded",
        ALL - 3,
        "",
    ),
    "has the data at hand": (with_cell("from lossbook.data import anes96\nanes96()"), "graded", ALL, "are not there"),
}
HOSTILE: dict[str, Kind] = {
    "endless cell": (with_cell("while True:\n    pass"), "timed out", ALL, "it took too long"),
    "endless function": (
        with_cell("def bce(p, y):\n    while True:\n        pass"),
        "timed out",
        ALL - 2,
        "bce: it",
    ),
    "endless output": (
        with_cell("while True:\n    print('all work, no play' * 1000)"),
        "timed out",
        ALL,
        "too long",
    ),
    "exit": (with_cell("import os\nos._exit(0)"), "partial", ALL, "exit code 0"),
    "exit in a function": (with_cell("def bce(p, y):\n    import os\n    os._exit(3)"), "partial", ALL - 2, "code 3"),
    "forks": (with_cell("import os\nwhile True:\n    os.fork()"), "graded", ALL, "PermissionError"),
    "threads": (
        with_cell("import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(9,)).start()"),
        "graded",
        ALL,
        "can't start new thread",
    ),
    "memory": (with_cell("import numpy\nnumpy.ones(2**33)"), "graded", ALL, "MemoryError"),
    "files": (
        with_cell("for name in range(10**6):\n    open(f'/tmp/{name}', 'wb').write(bytes(2**22))"),
        "graded",
        ALL,
        "OSError",
    ),
    "crash": (with_cell("import ctypes\nctypes.string_at(0)"), "killed", ALL, "signal 11"),
    "kills all": (with_cell("import os\nos.kill(-1, 9)"), "graded", ALL, ""),
    "recursion": (with_cell("def down(n):\n    return down(n + 1)\ndown(0)"), "graded", ALL, "RecursionError"),
    "forged answer": (with_cell("import os\nos.write(3, b'\\x91\\xa3ran')"), "killed", ALL, "no answer"),
    "rubbish for an answer": (with_cell("import os\nos.write(3, b'\\xc1' * 999)"), "killed", ALL, "no answer"),
    "closed channel": (with_cell("import os\nos.close(3)"), "partial", ALL, "it ended its own process"),
    "cut off": (UNTOUCHED[: len(UNTOUCHED) // 2], "unreadable", 0.0, "cut off"),
    "empty": (b"", "unreadable", 0.0, "empty"),
    "zeros": (bytes(10**6), "unreadable", 0.0, "zeros"),
    "an archive": (b"PK\3\4" + bytes(99), "unreadable", 0.0, "archive"),
    "nested": (b"[" * 10**5, "unreadable", 0.0, "not a notebook"),
}
KINDS = {**HONEST, **HOSTILE}


def chosen() -> list[str]:
    """Return the kinds of a batch: of the size that was asked for, or small and with each kind in it."""
    honest, hostile = list(HONEST), list(HOSTILE)
    if not SIZE:
        between = itertools.cycle(["right", *honest])
        return [kind for attack in hostile for kind in (next(between), attack, next(between))]

    def kind(number: int) -> str:
        if number % 20 == 7:
            return hostile[number // 20 % len(hostile)]
        return honest[0] if number % 4 else honest[number // 4 % len(honest)]

    return [kind(number) for number in range(SIZE)]


def grade_batch(folder: Path, kinds: list[str], seed: int) -> tuple[Done, float, dict[str, Record]]:
    for number, kind in enumerate(kinds):
        path = folder / "in" / f"{number:05} {kind}" / f"{LESSON}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(KINDS[kind][0])
    started = time.monotonic()
    options = Options(folder / "in", folder / "out", ROOT / "lessons", lesson=LESSON, limits=LIMITS, seed=seed)
    done = asyncio.run(grade(options, lambda done, of, record: None))
    took = time.monotonic() - started
    with Book(folder / "out") as book:
        return done, took, {kept.record.student: kept.record for kept in book.newest()}


def differs(record: Record, kind: str) -> str:
    """Say what of a record is not as it must be; nothing where all is."""
    _, state, points, words = KINDS[kind]
    said = f"{record.reason} {record.cell_errors}"
    if (record.state, record.points) == (state, points) and words in said:
        return ""
    return f"{kind}: {record.state}, {record.points} points, {said}; must be {state}, {points} points, {words!r}"


def test_a_batch_with_hostile_submissions_is_finished_with_each_record_right(tmp_path: Path) -> None:
    kinds = chosen()
    size = len(kinds)
    assert sum(kind in HOSTILE for kind in kinds) >= size // 20
    assert SIZE or set(kinds) == set(KINDS)
    done, took, records = grade_batch(tmp_path, kinds, seed=4)
    assert (done.graded, done.found, len(records)) == (size, size, size)
    states = Counter(record.state for record in records.values())
    print(f"\n{size} submissions in {took:.1f} s, {size / took:.1f} a second: {dict(states)}")
    assert not [text for student, record in records.items() if (text := differs(record, student[6:]))]
