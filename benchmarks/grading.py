"""Grades the same submissions with `lossbook grade` and with nbgrader, side by side, and records what each takes.

Run from the project's folder::

    python benchmarks/grading.py                  # 10 submissions with nbgrader; 10, 100 and 1,000 with lossbook
    python benchmarks/grading.py --most 10000     # 10,000 too
    python benchmarks/grading.py --quick --out F  # 2 and 4, without nbgrader: whether the script works

Each measurement is a process of its own. Its memory is the largest sum of PSS (memory shared with others counted in
parts) over it and all that it started, read every half second.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LESSON = "03-bce"
RECORD = ROOT / "data" / "benchmarks" / "grading.json"
PAUSE = 0.5  # seconds between two looks at the memory
JOBS = 2  # submissions that lossbook runs at once, whatever the machine


def notebooks() -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """Return the lesson as handed out, the graded functions, and the answer to each by its cell's id."""
    lesson, solution = (json.loads((ROOT / c / f"{LESSON}.ipynb").read_text("utf-8")) for c in ("lessons", "solutions"))
    answers = {cell["id"]: "".join(cell["source"]) for cell in solution["cells"]}
    stubs = [cell["id"] for cell in lesson["cells"] if cell["metadata"].get("nbgrader", {}).get("solution")]
    return lesson, stubs, answers


def submission(number: int) -> dict[str, Any]:
    """Return what student ``number`` hands in: all answers, or all but one, or one that is wrong."""
    lesson, stubs, answers = notebooks()
    handed_in = copy.deepcopy(lesson)
    odd = stubs[number // 2 % len(stubs)] if number % 2 else None
    for cell in handed_in["cells"]:
        if cell["id"] not in stubs or (cell["id"] == odd and number % 4 == 1):
            continue
        cell["source"] = answers[cell["id"]]
        if cell["id"] == odd:
            cell["source"] = cell["source"].replace("### BEGIN SOLUTION", "return 0.5")
    return handed_in


def hand_in(folder: Path, count: int, *, assignment: str = "") -> None:
    """Write the submissions of so many students, ten different ones over and over."""
    texts = [json.dumps(submission(number)) for number in range(10)]
    for number in range(count):
        path = folder / f"student{number:05}" / assignment / f"{LESSON}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(texts[number % 10], encoding="utf-8")


def grade_ours(folder: Path, count: int) -> dict[str, float]:
    """Grade with lossbook, report included; return the seconds of its parts and the points given."""
    from lossbook.grading.grade import Options, grade
    from lossbook.grading.keep.gradebook import Book
    from lossbook.grading.keep.records import Record
    from lossbook.grading.read.handed_out import releases
    from lossbook.grading.tell import report

    lessons, out = ROOT / "lessons", folder / "out"
    options = Options(folder / "submitted", out, lessons, lesson=LESSON, jobs=JOBS, seed=1)
    begun: list[float] = []
    points = 0.0

    def progress(done: int, of: int, record: Record) -> None:
        nonlocal points
        if record.state != "graded":
            raise RuntimeError(f"{record.student} is {record.state}: {record.reason}")
        begun.append(time.time() - record.seconds)
        points += record.points

    done = asyncio.run(grade(options, progress))
    graded = time.time()
    with Book(out) as book:
        report.write(book, out, {name: release.title for name, release in releases(lessons).items()})
    if done.graded != count:
        raise RuntimeError(f"{done.graded} of {count} were graded")
    return {"ready": min(begun), "graded": graded, "reported": time.time(), "points": points}


def grade_theirs(folder: Path, count: int) -> dict[str, float]:
    """Grade with nbgrader: the assignment is generated, then each student's notebook is graded."""
    import nbformat
    from nbgrader.api import Gradebook
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls alembic
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.ClearSolutions.enabled = False  # the lesson's stubs are written already
    source = folder / "source" / "bce" / f"{LESSON}.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(nbformat.read(ROOT / "lessons" / f"{LESSON}.ipynb", 4), source)
    nbgrader = NbGraderAPI(config=config)
    made = nbgrader.generate_assignment("bce")
    if not made["success"]:
        raise RuntimeError(made["log"])
    ready, points = time.time(), 0.0
    for number in range(count):
        made = nbgrader.autograde("bce", f"student{number:05}")
        if not made["success"]:
            raise RuntimeError(made["log"])
    graded = time.time()
    with Gradebook(nbgrader.coursedir.db_url) as gradebook:
        points = sum(item.score for item in gradebook.assignment_submissions("bce"))
    return {"ready": ready, "graded": graded, "reported": graded, "points": points}


def tree(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(path.name))
    found = [root]
    for process in found:
        found += parents.get(process, [])
    return found


def memory(root: int) -> float:
    """Return the MB that a process and its descendants take."""
    total = 0
    for process in tree(root):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def measure(tool: str, count: int) -> dict[str, Any]:
    """Grade so many submissions in a process of its own; return what it took."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        hand_in(folder / "submitted", count, assignment="bce" if tool == "nbgrader" else "")
        load = os.getloadavg()[0]
        with (folder / "said").open("w+") as said:
            words = [sys.executable, __file__, "--alone", tool, str(count), name]
            started = time.time()
            process = subprocess.Popen(words, stdout=said, stderr=subprocess.DEVNULL)
            most, over = [0.0], threading.Event()

            def watch() -> None:
                while not over.wait(PAUSE):
                    most.append(memory(process.pid))

            watcher = threading.Thread(target=watch)
            watcher.start()
            code = process.wait()
            over.set()
            watcher.join()
            said.seek(0)
            text = said.read()
    if code:
        raise RuntimeError(f"{tool} failed on {count} submissions: {text}")
    at = json.loads(text.splitlines()[-1])
    grading, total = at["graded"] - at["ready"], at["reported"] - started
    return {
        "tool": tool,
        "submissions": count,
        "start_up_s": round(at["ready"] - started, 3),
        "grading_s": round(grading, 3),
        "report_s": round(at["reported"] - at["graded"], 3),
        "total_s": round(total, 3),
        "ms_a_submission": round(1000 * grading / count, 2),
        "a_second": round(count / grading, 3),
        "a_second_all_included": round(count / total, 3),
        "peak_memory_mb": round(max(most)),
        "points": at["points"],
        "load_before": round(load, 2),
    }


def circumstances(command: Sequence[str]) -> dict[str, Any]:
    """Return the machine, the versions, the date and the command."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "machine": named[0] if named else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("lossbook", "torch", "nbgrader")},
        },
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "benchmarks/grading.py", *command]),
        "lesson": LESSON,
        "jobs": JOBS,
    }


def table(measured: Sequence[dict[str, Any]]) -> str:
    """Return the measurements as a table."""
    columns = {
        "tool": "tool",
        "submissions": "submissions",
        "start_up_s": "start-up s",
        "total_s": "total s",
        "ms_a_submission": "ms each",
        "a_second": "a second",
        "a_second_all_included": "all included",
        "peak_memory_mb": "memory MB",
        "load_before": "load",
    }
    lines = [list(columns.values()), *([str(item[key]) for key in columns] for item in measured)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def main(words: Sequence[str]) -> None:
    """Measure, print a table, and write the record."""
    parser = argparse.ArgumentParser(description="Compare lossbook grade with nbgrader.")
    parser.add_argument("--most", type=int, default=1000, metavar="N", help="submissions at most; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="2 and 4 submissions, without nbgrader")
    parser.add_argument("--out", type=Path, default=RECORD, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--alone", nargs=3, metavar=("TOOL", "COUNT", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.alone:
        tool, count, folder = arguments.alone
        print(json.dumps((grade_theirs if tool == "nbgrader" else grade_ours)(Path(folder), int(count))))
        return
    counts = [2, 4] if arguments.quick else [count for count in (10, 100, 1000, 10_000) if count <= arguments.most]
    measured = [] if arguments.quick else [measure("nbgrader", 10)]
    measured += [measure("lossbook", count) for count in counts]
    print(table(measured))
    record = {**circumstances(words), "measured": measured}
    if not arguments.quick:
        theirs, same = measured[0], measured[1]
        if theirs["points"] != same["points"]:
            raise RuntimeError(f"nbgrader gave {theirs['points']} points and lossbook {same['points']}")
        record["times_as_fast"] = {
            str(item["submissions"]): {
                key: round(item[key] / theirs[key], 1) for key in ("a_second", "a_second_all_included")
            }
            for item in measured[1:]
        }
        print(json.dumps(record["times_as_fast"]))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
