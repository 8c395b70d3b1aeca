"""The command `lossbook grade` from end to end: what it says, and that neither Ctrl-C nor kill -9 loses anything."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

import lossbook.grading
from lossbook import cli, installing
from lossbook.grading.grade import unreadable
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import Waiting

ROOT = Path(__file__).parents[2]
CLASS = ROOT / "examples" / "class"
LESSON = ROOT / "lessons" / "03-bce.ipynb"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"

pytestmark = pytest.mark.xdist_group("command")
needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None and os.environ.get("CI") != "true", reason="bubblewrap is not installed"
)


def answered(bodies, noise=""):
    """Return a notebook of lesson 3 with some functions written, and a cell that makes noise."""
    notebook = json.loads(LESSON.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell.get("id") in bodies:
            cell["source"] = [*cell["source"][:-1], f"    {bodies[cell['id']]}"]
    if noise:
        notebook["cells"].append({"cell_type": "code", "id": "noise", "metadata": {}, "source": [noise]})
    return json.dumps(notebook)


RIGHT = {
    "sigmoid": "return 1 / (1 + torch.exp(-z))",
    "bce_torch_sum": "return -torch.sum(y * torch.log(p) + (1 - y) * torch.log(1 - p)) / len(p)",
}
NOISE = f"""
import os, sys
for say in (print, sys.stderr.write, sys.__stdout__.write):
    say({ESCAPE!r} + "I was here")
for number in (1, 2):
    os.write(number, {ESCAPE.encode()!r} + b"I was here")
raise ValueError({ESCAPE!r} + "I was here")
"""


@pytest.fixture
def two(tmp_path):
    """A class of two: Ann has three points, Bo one, and Bo's notebook prints what should reach no terminal."""
    root = tmp_path / "two"
    for student, text in {
        "Ann": answered(RIGHT),
        "Bo": answered({**RIGHT, "sigmoid": "return torch.tanh(z)"}, NOISE),
    }.items():
        (root / student).mkdir(parents=True)
        (root / student / "03-bce.ipynb").write_text(text, encoding="utf-8")
    return root


def graded(*argv):
    return cli.main(["grade", *map(str, argv)])


def points(out):
    with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: float(row["points"]) for row in csv.DictReader(file)}


# What is wrong with the command.


@pytest.mark.parametrize(
    ("submissions", "told"),
    [
        ("missing", "SUBMISSIONS is {at!r}; it must be a folder of submissions or a zip archive"),
        ("empty", "SUBMISSIONS is {at!r}; it must hold submissions, and no file in it is one"),
        ("file.txt", "SUBMISSIONS is {at!r}; it must be a folder of submissions or a zip archive: the archive is"),
    ],
)
def test_no_submissions(tmp_path, capsys, submissions, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("no archive")
    assert graded(tmp_path / submissions, "--out", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert said.err.startswith("lossbook: " + told.format(at=str(tmp_path / submissions)))
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not (tmp_path / "out").exists()


@needs_bwrap
def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(tmp_path, two):
    out = tmp_path / "out"
    out.mkdir()
    read_only = ["bwrap", "--bind", "/", "/", "--dev", "/dev", "--ro-bind", str(out), str(out)]
    argv = [*read_only, sys.executable, "-m", "lossbook", "grade", str(two), "--out", str(out)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    told = f"lossbook: out is {out}, which cannot be written to; it must be a folder of your own\n"
    assert (done.returncode, done.stderr, done.stdout) == (1, told, "")


def test_a_book_that_was_edited_by_hand_is_told_in_one_line(tmp_path, capsys, two, monkeypatch):
    with Book(tmp_path / "out") as book:
        run = book.begin([], seed=1, isolation="none", root=two)
        book.save(run, unreadable(Waiting("Ann/03-bce.ipynb", "Ann"), "no", "none"))
        book.finish(run)
    with closing(sqlite3.connect(tmp_path / "out" / "grades.sqlite")) as file, file:
        file.execute("UPDATE submissions SET state = 'excused'")
    monkeypatch.setattr("lossbook.grading.command._with_bar", lambda options: None)
    assert graded(two, "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "grades.sqlite: the record of Ann/03-bce.ipynb in run 1 is not as it was saved (state is 'excused'" in told
    assert told.count("\n") == 1


def test_a_book_that_another_program_holds_is_told_in_one_line(tmp_path, capsys, two, monkeypatch):
    Book(tmp_path / "out").close()
    monkeypatch.setattr("lossbook.grading.keep.database.PATIENCE", 0.1)
    with closing(sqlite3.connect(tmp_path / "out" / "grades.sqlite", isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        assert graded(two, "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "is locked by another program; close it there" in told
    assert told.count("\n") == 1


def test_out_is_a_file(tmp_path, capsys, two):
    (tmp_path / "out").write_text("mine")
    assert graded(two, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err == f"lossbook: --out is {tmp_path / 'out'}, a file; it must be a folder\n"
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("inside", [".", "grades", "Ann/../grades"])
def test_out_is_inside_the_submissions(capsys, two, inside):
    assert graded(two, "--out", two / inside) == 2
    assert "inside the submissions; it must be a folder elsewhere" in capsys.readouterr().err
    assert sorted(path.name for path in two.iterdir()) == ["Ann", "Bo"]


def test_an_unknown_lesson(tmp_path, capsys, two):
    assert graded(two, "--out", tmp_path / "out", "--lesson", "99-hinge") == 2
    assert capsys.readouterr().err.startswith("lossbook: lesson is '99-hinge'; it must be one of 01-recipe, 02-mse")


def test_no_lessons(tmp_path, capsys, two):
    assert graded(two, "--out", tmp_path / "out", "--lessons", tmp_path / "none") == 2
    assert "it must be the folder of the released lessons" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--jobs", "0"], ["--seconds", "-1"], ["--jobs", "many"], ["--isolation", "some"]])
def test_a_wrong_option(tmp_path, capsys, two, wrong):
    with pytest.raises(SystemExit) as end:
        graded(two, "--out", tmp_path / "out", *wrong)
    assert end.value.code == 2
    assert f"error: argument {wrong[0]}: " in capsys.readouterr().err


def test_a_seed_that_is_too_long(tmp_path, capsys, two):
    assert graded(two, "--out", tmp_path / "out", "--seed", 2**63) == 2
    assert capsys.readouterr().err == f"lossbook: --seed is {2**63}; it must fit 64 bits\n"


# What is missing on the machine.


def test_no_bubblewrap(tmp_path, capsys, two, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert graded(two, "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "bubblewrap is not installed; install it with: sudo apt-get install bubblewrap" in told
    assert "--isolation none" in told
    with Book(tmp_path / "out") as book:
        assert book.runs() == []


def test_a_bubblewrap_that_may_not_work(tmp_path, capsys, two, monkeypatch):
    bwrap = tmp_path / "bin" / "bwrap"
    bwrap.parent.mkdir()
    bwrap.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bwrap.parent}:/usr/bin:/bin")
    assert graded(two, "--out", tmp_path / "out") == 1
    assert "could not be started: bwrap: setting up uid map: Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["tqdm", "jinja2", "msgpack"])
def test_a_missing_extra_is_named(tmp_path, capsys, two, monkeypatch, package):
    for name in [name for name in sys.modules if name.startswith("lossbook.grading.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in vars(lossbook.grading) if not name.startswith("_")]:
        monkeypatch.delattr(lossbook.grading, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert graded(two, "--out", tmp_path / "out") == 2
    told = f"lossbook: {package} is not installed; install it with: {installing.command('grade')}\n"
    assert capsys.readouterr().err == told


def test_a_report_that_cannot_be_written(tmp_path, capsys, two, monkeypatch):
    from lossbook.grading import command
    from lossbook.grading.tell import report

    def full(*rest):
        raise OSError(28, "No space left on device", "grades.csv")

    monkeypatch.setattr(command, "_with_bar", lambda options: None)
    monkeypatch.setattr(report, "write", full)
    assert graded(two, "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "No space left on device: 'grades.csv'; what was graded is kept" in told


def test_the_open_that_does_not_work(tmp_path, capsys, two, monkeypatch):
    from lossbook.grading.run import isolation

    monkeypatch.setattr(isolation, "in_the_open", lambda *rest: ["/bin/sh", "-c", "echo 'no PyTorch' >&2; exit 1"])
    assert graded(two, "--out", tmp_path / "out", "--isolation", "none") == 1
    assert "submissions can't be run on this machine: the worker could not be started: no PyTorch\n" in (
        capsys.readouterr().err
    )


# What it does.


def test_without_isolation(tmp_path, capsys, two):
    out = tmp_path / "out"
    assert graded(two, "--out", out, "--isolation", "none", "--jobs", 1) == 0
    said = capsys.readouterr()
    assert "Submissions run with your own rights" in said.err
    assert "2 submissions were graded without isolation: the marks may be forged." in said.out
    with Book(out) as book:
        assert {kept.record.isolation for kept in book.newest()} == {"none"}
    assert "isolation: none" in (out / "index.html").read_text(encoding="utf-8")


@needs_bwrap
@pytest.mark.usefixtures("warm_worker")
def test_what_is_new_or_changed_is_graded_and_nothing_else(tmp_path, capsys, two, monkeypatch):
    out = tmp_path / "out"
    assert graded(two, "--out", out, "--seed", 5) == 0
    said = capsys.readouterr()
    census = "2 notebooks: 2 students.\n  Ann, Bo\n"
    assert said.out.startswith(census + "2 students: 2 graded.\nPoints won: 4 of 40 (10%).\nReport: ")
    assert points(out) == {"Ann": 3, "Bo": 1}

    with monkeypatch.context() as nothing:
        nothing.setattr("lossbook.grading.grade.Worker", None)  # none is started
        assert graded(two, "--out", out) == 0
    said = capsys.readouterr()
    _, _, first, *_ = said.out.splitlines()
    assert first == "2 of 2 were graded already and have not changed; --regrade grades them again."
    with Book(out) as book:
        assert len(book.runs()) == 1

    (two / "Bo" / "03-bce.ipynb").write_text(answered(RIGHT), encoding="utf-8")
    (two / "Cy").mkdir()
    (two / "Cy" / "03-bce.ipynb").write_text(answered({}), encoding="utf-8")
    assert graded(two, "--out", out) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("1 of 3 were graded already and have not changed;")
    assert points(out) == {"Ann": 3, "Bo": 3, "Cy": 0}

    assert graded(two, "--out", out, "--regrade") == 0
    assert capsys.readouterr().out.splitlines()[2] == "3 students: 2 graded, 1 not attempted."
    with Book(out) as book:
        seeds = [run.seed for run in book.runs()]
        assert seeds[-1] == 5
        assert len(set(seeds)) == 3, "each run draws cases of its own"
        assert [(kept.run.id, kept.record.points) for kept in book.history("Ann", "03-bce")] == [(3, 3.0), (1, 3.0)]
        assert [(kept.run.id, kept.record.points) for kept in book.history("Bo", "03-bce")] == [
            (3, 3.0),
            (2, 3.0),
            (1, 1.0),
        ]


@needs_bwrap
@pytest.mark.usefixtures("warm_worker")
def test_two_weeks_go_to_the_same_folder_and_both_count(tmp_path, capsys, two):
    week4 = tmp_path / "w4" / "Ann"
    week4.mkdir(parents=True)
    shutil.copy(ROOT / "lessons" / "04-multiclass.ipynb", week4 / "03-bce.ipynb")
    again = tmp_path / "again" / "Ann"
    again.mkdir(parents=True)
    (again / "03-bce.ipynb").write_text(answered({"sigmoid": RIGHT["sigmoid"]}), encoding="utf-8")
    out = tmp_path / "out"
    for folder in (two, tmp_path / "w4"):
        assert graded(folder, "--out", out) == 0
    with Book(out) as book:
        counts = {(kept.record.student, kept.record.lesson): kept.record.points for kept in book.newest()}
    assert counts == {("Ann", "03-bce"): 3.0, ("Ann", "04-multiclass"): 0.0, ("Bo", "03-bce"): 1.0}
    capsys.readouterr()
    assert graded(again.parent, "--out", out) == 0
    told = (
        f"  superseded: Ann/03-bce.ipynb in {two} (Ann, 03-bce); Ann/03-bce.ipynb in {again.parent} was handed in later"
    )
    assert told in capsys.readouterr().out
    assert graded(two, "--out", out, "--regrade") == 0
    with Book(out) as book:
        counts = {(kept.record.student, kept.record.lesson): kept.record.points for kept in book.newest()}
    assert counts == {("Ann", "03-bce"): 2.0, ("Ann", "04-multiclass"): 0.0, ("Bo", "03-bce"): 1.0}
    assert (out / "files.csv").read_text(encoding="utf-8-sig").count('"superseded"') == 1


def test_a_class_that_would_be_one_student_is_refused_before_anything_is_made(tmp_path, capsys, two):
    for number in range(5):
        path = tmp_path / "odd" / "from mail" / f"{number}x.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(answered(RIGHT), encoding="utf-8")
    shutil.copytree(two / "Ann", tmp_path / "odd" / "Ann")
    assert graded(tmp_path / "odd", "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert told.startswith(
        f"lossbook: SUBMISSIONS is '{tmp_path / 'odd'}', and it can't be told whose its files are:\n"
    )
    assert "from mail would be one student with 5 notebooks of 03-bce: from mail/0x.ipynb" in told
    assert "--layout folders" in told
    assert not (tmp_path / "out").exists()


@needs_bwrap
@pytest.mark.usefixtures("warm_worker")
def test_what_is_refused_can_be_forced_or_said(tmp_path, capsys):
    for number in (1, 2):
        path = tmp_path / "odd" / f"week {number}" / "03-bce.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(answered(RIGHT), encoding="utf-8")
    assert graded(tmp_path / "odd", "--out", tmp_path / "out") == 2
    assert graded(tmp_path / "odd", "--out", tmp_path / "forced", "--force") == 0
    assert points(tmp_path / "forced") == {"week 1": 3, "week 2": 3}
    assert "Note: no person's name, and graded as one: week 1 (week 1/03-bce.ipynb), week 2" in capsys.readouterr().out
    assert graded(tmp_path / "odd", "--out", tmp_path / "said", "--layout", "folders") == 0
    pattern = r"week (?P<student>\d)/(?P<lesson>\d+)"
    assert graded(tmp_path / "odd", "--out", tmp_path / "found", "--pattern", pattern) == 0
    assert points(tmp_path / "found") == {"1": 3, "2": 3}
    capsys.readouterr()
    assert graded(tmp_path / "odd", "--out", tmp_path / "x", "--pattern", "(?P<lesson>week) (?P<student>.)") == 2
    assert (
        "--pattern finds the lesson 'week' in week 1/03-bce.ipynb; it must be one of 01-recipe"
        in capsys.readouterr().err
    )


# What happens in the middle.


@pytest.fixture(scope="module")
def most(tmp_path_factory):
    """Most submissions of the made-up class, without the two that take seconds, and Bo who makes noise."""
    root = tmp_path_factory.mktemp("most") / "class"
    slow = shutil.ignore_patterns("Idris*", "Amara*", "*.zip")
    shutil.copytree(CLASS, root, ignore=slow)
    (root / "Bo").mkdir()
    (root / "Bo" / "03-bce.ipynb").write_text(answered(RIGHT, NOISE), encoding="utf-8")
    return root


def command(root, out, *rest):
    return [sys.executable, "-m", "lossbook", "grade", str(root), "--out", str(out), "--jobs", "2", *rest]


def ask(out, question):
    with closing(sqlite3.connect(f"file:{out / 'grades.sqlite'}?mode=ro", uri=True)) as file:
        return file.execute(question).fetchall()


def saved(out):
    try:
        return ask(out, "SELECT count(*) FROM submissions WHERE saved IS NOT NULL")[0][0]
    except sqlite3.Error:
        return 0  # not there yet


def until_saved(out, count, process):
    while saved(out) < count and process.poll() is None:
        time.sleep(0.02)


def descendants(pid):
    """Return the processes below one."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in descendants(child)]


def gone(pids):
    """Return whether processes have ended within some seconds; a zombie that nobody has waited for has, too."""

    def alive(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    end = time.monotonic() + 10
    while any(map(alive, pids)):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def on_a_terminal(argv):
    """Start a command as the leader of a session on a pseudo-terminal; return it and the terminal's other end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    environment = {**os.environ, "TERM": "xterm"}

    def lead():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True, preexec_fn=lead
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    return process, ours


def said_on(ours):
    try:
        return os.read(ours, 1 << 20).decode()
    except OSError:  # nothing now, or nobody there
        return ""


def to_the_end(root, out, *rest):
    """Run the command here, where PyTorch is loaded already; return its exit code, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.redirect_stderr(io.StringIO()) as warned:
        code = graded(root, "--out", out, "--jobs", 2, *rest)
    return SimpleNamespace(returncode=code, stdout=told.getvalue(), stderr=warned.getvalue())


@pytest.fixture(scope="module")
def interrupted(most, tmp_path_factory, warm_workers):
    """Grade with seed 7: on a terminal until Ctrl-C, then until kill -9 three times, then to the end.

    On a loaded machine the command may be done before the interrupt comes; then all begins anew.
    """
    for _ in range(4):
        seen = interrupt(most, tmp_path_factory.mktemp("interrupted") / "out")
        if seen["after"] < 26 and all(code == -signal.SIGKILL for code, *_ in seen["kills"]):
            break
    with warm_workers():
        return {**seen, "done": to_the_end(most, seen["out"])}


def interrupt(most, out):
    process, ours = on_a_terminal(command(most, out, "--seed", "7"))
    shown, sent, end = "", False, time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        shown += said_on(ours)
        if not sent and saved(out) >= 4:
            sent = bool(os.write(ours, b"\x03"))
        time.sleep(0.01)
    shown += said_on(ours)
    os.close(ours)
    seen = {"shown": shown, "code": process.wait(10), "after": saved(out), "kills": []}

    chance = random.Random(20)
    for more in (chance.randint(1, 5), 0, chance.randint(1, 8)):
        before = saved(out)
        process = subprocess.Popen(command(most, out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if more:
            until_saved(out, before + more, process)
            time.sleep(chance.random() * 0.1)
        else:
            time.sleep(1 + chance.random())  # while packages are imported, or the worker starts
        below = descendants(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen["kills"].append((process.returncode, gone(below), before, saved(out)))

    return {**seen, "out": out}


@needs_bwrap
def test_a_bar_shows_what_time_is_left(interrupted):
    assert re.search(r"\d+/2\d \[00:\d\d<\d\d:\d\d, ", interrupted["shown"])


@needs_bwrap
def test_ctrl_c(interrupted):
    assert interrupted["code"] == 130
    assert "lossbook: stopped; what was graded is kept, and the same command goes on" in interrupted["shown"]
    assert "Traceback" not in interrupted["shown"]
    assert 4 <= interrupted["after"] < 26


@needs_bwrap
def test_kill(interrupted):
    for code, all_gone, before, after in interrupted["kills"]:
        assert code == -signal.SIGKILL
        assert all_gone, "what the command had started ended with it"
        assert after >= before


@needs_bwrap
def test_the_same_command_goes_on(interrupted, most):
    done, out = interrupted["done"], interrupted["out"]
    assert (done.returncode, done.stderr) == (0, "")
    told = re.search(
        r"^27 notebooks: 26 students, 1 superseded\.\n(?:  .*\n)+"
        r"Went on with the run that had been cut short: (\d+) of 27 were graded already\.\n26 students: ",
        done.stdout,
    )
    assert told, done.stdout
    assert int(told[1]) >= interrupted["kills"][-1][3]
    assert ask(out, "PRAGMA integrity_check") == [("ok",)]
    assert [(seed, finished is not None) for seed, finished in ask(out, "SELECT seed, finished FROM runs")] == [
        (7, True)
    ]
    counts = ask(out, "SELECT key, count(*), count(saved) FROM submissions GROUP BY key")
    files = [path.relative_to(most).as_posix() for path in most.rglob("*") if path.is_file()]
    assert sorted(key for key, _, _ in counts) == sorted(files)
    assert {(times, kept) for _, times, kept in counts} == {(1, 1)}


@needs_bwrap
def test_the_same_seed_gives_the_same_grades(interrupted, most, tmp_path, warm_worker):
    done = to_the_end(most, tmp_path / "out", "--seed", 7)
    assert done.returncode == 0, done.stderr

    def table(out):
        with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
            return [{**row, "graded_at": ""} for row in csv.DictReader(file)]

    assert table(tmp_path / "out") == table(interrupted["out"])
    for said in (done.stdout, done.stderr, interrupted["shown"], interrupted["done"].stdout):
        assert "\x1b" not in said
        assert "\x07" not in said
        assert "I was here" not in said
