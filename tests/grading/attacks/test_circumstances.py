"""After the batch nothing is left; the command refuses without walls, and says where marks may be forged."""

import json
import os
import re
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbook import cli

pytestmark = pytest.mark.xdist_group("attacks")

ROOT = Path(__file__).parents[3]
BCE = "import torch\ndef bce(p, y):\n    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()"
LOUD = "import os\nprint('TERMINAL')\nos.write(1, b'TERMINAL')\nos.write(2, b'TERMINAL')"
NAMED = "\nimport sys\nsys.stderr.write('TERMINAL')\nraise ValueError('TERMINAL')"


def code(text):
    return {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None}


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Return what runs ``lossbook grade`` on one submission, and tells its exit code and all that was printed."""
    (tmp_path / "submissions" / "ann").mkdir(parents=True)
    made = {"cells": [code(LOUD), code(LOUD + NAMED), code(BCE)], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "submissions" / "ann" / "03-bce.ipynb").write_text(json.dumps(made), encoding="utf-8")

    def run(*options, path=None):
        words = [str(tmp_path / "submissions"), "--out", str(tmp_path / "out"), "--lesson", "03-bce", *options]
        monkeypatch.setenv("PATH", path or os.environ["PATH"])
        monkeypatch.chdir(tmp_path)
        code = cli.main(["grade", *words])
        said = capfd.readouterr()  # of this process and of those that it starts
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run, tmp_path / "out"


def saved(out):
    """Return what is kept of each submission that was graded: isolation, points."""
    if not (out / "grades.sqlite").exists():
        return []
    with sqlite3.connect(out / "grades.sqlite") as file:
        return file.execute("SELECT isolation, points FROM submissions WHERE saved IS NOT NULL").fetchall()


def test_honest_submissions_among_attacks_keep_their_marks(graded):
    assert graded.names == graded.records.keys()
    for place in ("0", "m", "z"):
        record = graded.records[f"{place}-honest"]
        assert (record.state, record.points, record.reason) == ("graded", 4.0, "")


def test_no_process_is_left(graded):
    assert graded.processes, "the worker was seen while it worked"
    assert graded.left == set()


def test_no_file_is_left_or_changed(graded):
    assert not graded.changed
    left = [name for name in graded.temporary if not name.startswith("torchinductor")]  # the grader's own PyTorch
    assert left == []
    assert graded.around == ["out", "submissions", "tmp"]
    assert set(graded.written) <= {
        "grades.sqlite",
        "grades.lock",
        "grades.sqlite-wal",
        "grades.sqlite-shm",
        "files.csv",
    }


def test_every_record_says_that_there_were_walls(graded):
    assert {record.isolation for record in graded.records.values()} == {"namespaces"}


def test_nothing_a_student_prints_reaches_the_terminal(command):
    run, out = command
    done = run()
    assert done.returncode == 0, done.stderr
    assert "TERMINAL" not in done.stdout + done.stderr
    assert saved(out) == [("namespaces", 2.0)]


def test_without_bubblewrap_the_command_refuses(command, tmp_path):
    run, out = command
    (tmp_path / "empty").mkdir()
    done = run(path=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "bubblewrap is not installed; install it with: sudo apt-get install bubblewrap" in done.stderr
    assert "Traceback" not in done.stderr
    assert saved(out) == []


def test_without_isolation_the_record_says_so(command, tmp_path):
    run, out = command
    done = run("--isolation", "none")
    assert done.returncode == 0, done.stderr
    assert "forge their marks" in done.stderr
    assert re.search("graded without isolation: (the|their) marks may be forged", done.stdout)
    assert saved(out) == [("none", 2.0)]
