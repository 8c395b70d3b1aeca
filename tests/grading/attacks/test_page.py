"""The page on grading says nothing that is not tested: each line of its table has attacks, each import was tried."""

import ast
import asyncio
import importlib
import importlib.util
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "book/grading.md").read_text(encoding="utf-8")
FOLDER = Path(__file__).parent
# How each line of the table begins, and what tests it: attacks by name, and tests elsewhere by file and function.
TESTED = {
    "PyTorch's loss, by name, module": [
        *("loss-by-name", "loss-by-module", "loss-by-ops", "loss-by-c", "loss-by-script", "loss-by-trace"),
        *("loss-decompos*", "loss-redispatched", "loss-reloaded", "loss-unpickled", "loss-refs", "loss-saved"),
    ],
    "PyTorch's loss under `vmap`": [
        *("loss-vmap*", "loss-functionalize", "loss-vjp", "loss-jvp", "loss-linearize", "loss-grad-and-value"),
        *("loss-transforms-nested", "loss-in-autocast", "loss-in-inference"),
    ],
    "PyTorch's loss from the text": ["loss-from-file", "loss-from-source", "loss-copied", "loss-compiled-tests"],
    "a forbidden function, also in wrappers": [
        *("sigmoid-by-name", "sigmoid-in-wrapper", "sigmoid-in-trace-hook", "sigmoid-in-signal", "sigmoid-own-op"),
        *("sigmoid-watch-*", "sigmoid-modes-off", "sum-by-name", "sum-unwatched"),
    ],
    "a forbidden function inside another": [
        *("sigmoid-in-lstm", "sigmoid-lstm", "sigmoid-in-attention", "sigmoid-masked-softmax", "sigmoid-fused-*"),
        *("sigmoid-quantized", "sigmoid-slope-by-c", "sigmoid-backward-of-softplus"),
    ],
    "two of these together": ["sigmoid-pair-*", "loss-pairs-of-tricks", "pair-*"],
    "the gradient by `backward`": [
        *("gradient-backward", "gradient-autograd-grad", "gradient-func-grad", "gradient-vjp", "gradient-jacobian"),
        *("gradient-by-script", "gradient-by-engine*"),
    ],
    "an object that equals everything": [
        *("equals-everything", "acts-as-float", "sigmoid-when-read-*", "text", "complex", "quantised", "nested"),
        "endless-list",
    ],
    "a forged or detached gradient": ["slope-*", "arguments-changed", "remembered"],
    "steps hidden from the count": ["steps-few", "steps-hidden-trace", "steps-list"],
    "patched comparisons": ["checks-patched", "oracle-patched", "ast-transformer", "sigmoid-answer-replaced"],
    "bytes on the grader's channel": [
        *("message-garbage", "message-map", "message-nested", "message-length", "message-flood", "message-ahead"),
        *("message-tensor-lies", "message-no-outcome", "message-end", "message-lost"),
    ],
    "answers without end": [
        "test_neighbours.py::test_what_keeps_the_grader_busy_costs_nobody_else",
        "test_neighbours.py::test_who_sends_without_end_pays_for_it_and_the_others_have_their_turn",
    ],
    "the channel closed": ["channel-closed", "channel-shut", "message-half", "message-read"],
    "an endless loop": [
        "loop-*",
        "test_neighbours.py::test_who_sleeps_is_ended_too",
        "test_neighbours.py::test_what_timed_out_counts_as_it_runs_alone",
    ],
    "`os._exit`, a crash": [
        *("end-exit", "end-abort", "end-segfault", "end-exit-in-function", "end-between-cells", "call-of-*"),
    ],
    "`sys.exit`, `KeyboardInterrupt`": ["end-sys-exit", "end-interrupt*", "end-recursion*", "end-own-*"],
    "killing every process": ["kill-everybody", "kill-stop"],
    "memory, prints, files": [
        *("memory-bytes", "memory-tensor", "memory-many", "memory-files", "print-*", "fill-*", "fork", "processes"),
        *("threads", "limits-raised"),
    ],
    "the network": ["net-*"],
    "reading the solution": [
        *("solution", "cases", "memory-own", "memory-parent", "environment-parent", "temporary", "left-in-torch"),
        *("read-other-memory", "module-*", "answer-from-disk"),
    ],
    "the course below a folder": [
        "test_isolation.py::test_nothing_of_a_course_below_a_folder_that_is_shown_can_be_read",
    ],
    "names in pieces": [
        *("told-ctypes-in-pieces", "told-private", "told-run-later", "told-watch-replaced*", "told-code-changed"),
    ],
}
STATES = {"graded": ("graded", "failed"), "partial": ("partial",), "killed": ("killed",), "timed out": ("timed out",)}


def attacks():
    """Return every attack that is tried, by its name."""
    found = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"attacks_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        if path.stem != "test_page":
            spec.loader.exec_module(module)
            found.update(getattr(module, "ATTACKS", {}))
    return found


def functions(file):
    """Return the names of the tests in a file beside this folder."""
    tree = ast.parse((FOLDER.parent / file).read_text(encoding="utf-8"))
    return {item.name for item in tree.body if isinstance(item, ast.FunctionDef) and item.name.startswith("test_")}


def table(heading):
    """Return the rows of the first table below a heading of the page."""
    below = PAGE.split(f"\n## {heading}\n")[1]
    lines = re.search(r"((?:^\|.*\n)+)", below, re.MULTILINE)[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


ROWS = table("Attacks, and what is recorded")


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_a_line_of_the_table_has_tests_that_end_as_it_says(row):
    tried = attacks()
    (patterns,) = [names for start, names in TESTED.items() if row[0].startswith(start)]
    for file, function in (pattern.split("::") for pattern in patterns if "::" in pattern):
        assert function in functions(file), f"{file} has no {function}"
    for pattern in (pattern for pattern in patterns if "::" not in pattern):
        matched = [name for name in tried if fnmatchcase(name, pattern)]
        assert matched, f"no attack is called {pattern}"
        for name in matched:
            state = tried[name].get("state", "graded")
            assert any(word in row[2] for word in STATES[state]), f"{name} ends as {state}; the page says {row[2]}"


def test_no_line_is_tested_that_the_page_does_not_have():
    starts = [start for start in TESTED if not any(row[0].startswith(start) for row in ROWS)]
    assert starts == []
    assert len(ROWS) == len(TESTED) > 15


IMPORTS = """
import importlib
found = []
for name in {names!r}:
    try:
        importlib.import_module(name)
        found.append(name)
    except ImportError:
        pass
raise ValueError(" ".join(found))
"""


@pytest.mark.xdist_group("attacks")
def test_what_can_be_imported_is_what_the_page_says(tmp_path):
    from lossbook.grading.run.isolation import GIVEN
    from lossbook.grading.run.sandbox.stage import HERE
    from lossbook.grading.run.supervisor import Worker

    below = PAGE.split("\n## What a submission can import\n")[1].split("\n## ")[0]
    rows, after = table("What a submission can import"), below.rpartition("|\n")[2]
    there = [name for row in rows for name in re.findall(r"`([\w.]+)`", row[0])]
    needed = [name for row in rows for name in re.findall(r"`([\w.]+)`", row[1]) if name != "check"]
    gone = re.findall(r"`(\w+)`", after)
    assert set(there) == set(HERE) >= set(GIVEN) - {"msgpack", "pyseccomp"}  # these two are the worker's own
    assert {"pandas", "scipy", "einops"} <= set(gone)
    own = ["math", "json", "random", "collections", "itertools", "fractions", "statistics", "asyncio"]
    source = IMPORTS.format(names=[*there, *needed, *own, *gone])

    async def run():
        async with Worker() as worker:
            return await worker.run({1: source}, [])

    assert asyncio.run(run()).cell_errors == {1: "raised ValueError: " + " ".join([*there, *needed, *own])}
