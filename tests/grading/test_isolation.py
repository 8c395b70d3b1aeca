"""What is secret is covered wherever it would be seen; temporary folders do not outlast their owners."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbook import cli
from lossbook.grading.grade import Options, grade
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.run import isolation
from lossbook.grading.run.isolation import Folder, IsolationError, course, covers, shut_in

ROOT = Path(__file__).parents[2]
LESSON = "03-bce"
needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None and os.environ.get("CI") != "true", reason="bubblewrap is not installed"
)

pytestmark = pytest.mark.xdist_group("isolation")


def test_a_folder_that_lies_where_nothing_is_shown_needs_no_cover(tmp_path):
    assert covers([tmp_path], "/usr", "/usr", []) == []


def test_a_folder_is_covered_where_it_is_seen(tmp_path):
    (tmp_path / "shown" / "course").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "shown")
    covered = []
    for secret in (tmp_path / "shown" / "course", tmp_path / "link" / "course"):  # whatever it is called by
        covered.clear()
        words = covers([secret], str(tmp_path / "link"), "/seen", covered)  # and whatever it is shown as
        assert words == ["--tmpfs", "/seen/course", "--remount-ro", "/seen/course"]
        assert covered == ["/seen/course"]


def test_a_file_is_covered_and_what_is_covered_needs_no_second_cover(tmp_path):
    (tmp_path / "course" / "inner").mkdir(parents=True)
    (tmp_path / "class.zip").write_bytes(b"")
    secret = [tmp_path / "course" / "inner", tmp_path / "course", tmp_path / "class.zip", tmp_path / "not there"]
    assert covers(secret, str(tmp_path), "/x", []) == [
        "--ro-bind", "/dev/null", "/x/class.zip", "--tmpfs", "/x/course", "--remount-ro", "/x/course",
    ]  # fmt: skip


def test_what_is_shown_can_not_be_secret(tmp_path):
    with pytest.raises(IsolationError, match=f"{tmp_path} holds what every submission sees of this machine"):
        covers([tmp_path], str(tmp_path), "/x", [])


def test_the_course_is_the_package_the_lessons_and_all_of_a_checkout(tmp_path):
    assert {ROOT, ROOT / "src" / "lossbook", ROOT / "lessons", ROOT / "solutions"} <= set(course(ROOT / "lessons"))
    (tmp_path / "lessons").mkdir()
    assert tmp_path not in course(tmp_path / "lessons")
    (tmp_path / "pyproject.toml").touch()
    assert tmp_path in course(tmp_path / "lessons")


@needs_bwrap
def test_an_interpreter_inside_the_course_is_seen_and_the_course_is_not(tmp_path, monkeypatch):
    base = Path(sys.base_prefix).resolve()
    monkeypatch.setattr(isolation, "SYSTEM", (str(base.parent.parent),))
    words = " ".join(shut_in(tmp_path, 9, [], [base.parent]))
    cover = words.index(f"--tmpfs {base.parent} --remount-ro {base.parent}")
    assert cover < words.index(f"--ro-bind {base} {base}")


def test_what_is_at_the_top_of_a_package_is_found_without_looking_at_its_files():
    for distribution in isolation.distributions(("matplotlib", "msgpack")):
        assert list(isolation.tops(distribution)) == list(dict.fromkeys(file.parts[0] for file in distribution.files))
        unlisted = SimpleNamespace(read_text=lambda name: None, files=distribution.files)
        assert list(isolation.tops(unlisted)) == list(isolation.tops(distribution))


def test_what_a_package_has_installed_elsewhere_is_not_shown(tmp_path, monkeypatch):
    record = '/etc/passwd,,\n../../bin/tool,,\n"odd,name/__init__.py",,\nplain.py,,\n'
    made = SimpleNamespace(read_text=lambda name: record, locate_file=lambda name: tmp_path / name)
    monkeypatch.setattr(isolation, "distributions", lambda names: [made])
    (tmp_path / "odd,name").mkdir()
    (tmp_path / "plain.py").touch()
    assert isolation.packages() == {name: tmp_path / name for name in ("odd,name", "plain.py")}


LOOKS = """
import os
found = []
for top in {tops!r}:
    for folder, _, files in os.walk(top):
        found += [os.path.join(folder, name) for name in files]
raise ValueError("found", found[:5])
"""


@pytest.fixture
def elsewhere():
    """Return a folder outside of /tmp, which no submission sees anyway."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@needs_bwrap
@pytest.mark.parametrize("shown", ["parent", "link"])
def test_nothing_of_a_course_below_a_folder_that_is_shown_can_be_read(elsewhere, monkeypatch, shown):
    parent = elsewhere / "shown"
    for name in ("lessons", "solutions", "book"):
        (parent / "course" / name).mkdir(parents=True)
    (parent / "course" / "pyproject.toml").touch()
    shutil.copy(ROOT / "lessons" / f"{LESSON}.ipynb", parent / "course" / "lessons")
    shutil.copy(ROOT / "solutions" / f"{LESSON}.md", parent / "course" / "solutions")
    (parent / "others").mkdir()
    (parent / "others" / "seen.txt").write_text("what is no secret is there")
    (elsewhere / "link").symlink_to(parent)
    tops = [str(parent), str(elsewhere / "link")]
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    made = {"cells": [{**cell, "source": LOOKS.format(tops=tops)}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    for student in ("ann", "bo"):
        (parent / "class" / student).mkdir(parents=True)
        (parent / "class" / student / f"{LESSON}.ipynb").write_text(json.dumps(made), encoding="utf-8")
    monkeypatch.setattr(
        isolation, "SYSTEM", (*isolation.SYSTEM, str(parent if shown == "parent" else elsewhere / "link"))
    )
    options = Options(parent / "class", parent / "out", parent / "course" / "lessons", lesson=LESSON)
    asyncio.run(grade(options, lambda *_: None))
    with Book(parent / "out") as book:
        said = {kept.record.student: kept.record.cell_errors[0][1] for kept in book.newest()}
    at = parent if shown == "parent" else elsewhere / "link"
    assert said == dict.fromkeys(("ann", "bo"), f"raised ValueError: ('found', ['{at}/others/seen.txt'])")


# Temporary folders.


OWNER = (
    "import time\nfrom lossbook.grading.run.isolation import Folder\nprint(Folder().whole, flush=True)\ntime.sleep(100)"
)


def test_a_folder_of_a_killed_owner_is_removed_by_the_next_one_and_no_other_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    owners = [
        subprocess.Popen(
            [sys.executable, "-c", OWNER],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        for _ in range(2)
    ]
    gone, living = (Path(owner.stdout.readline().strip()) for owner in owners)
    (tmp_path / "lossbook-of-mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "owned").touch()
    (tmp_path / "lossbook-link").symlink_to(tmp_path / "elsewhere")
    owners[0].send_signal(signal.SIGKILL)
    owners[0].wait()
    made = Folder()
    assert not gone.exists()
    assert living.exists()
    assert (tmp_path / "lossbook-of-mine").exists()
    assert (tmp_path / "elsewhere" / "owned").exists()
    assert list(made.path.iterdir()) == []
    made.remove()
    assert not made.whole.exists()
    owners[1].kill()
    for owner in owners:
        owner.wait()
        owner.stdout.close()


@needs_bwrap
def test_a_run_that_is_killed_leaves_nothing_to_the_next(tmp_path, monkeypatch, warm_worker):
    for student in range(6):
        (tmp_path / "in" / str(student)).mkdir(parents=True)
        shutil.copy(ROOT / "solutions" / f"{LESSON}.ipynb", tmp_path / "in" / str(student))
    (tmp_path / "tmp").mkdir()
    words = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}

    def left():
        return list((tmp_path / "tmp").glob("lossbook-*"))

    running = subprocess.Popen(
        [sys.executable, "-m", "lossbook", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while not left() and time.monotonic() < until:
        time.sleep(0.05)
    running.kill()
    running.wait()
    assert len(left()) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    assert cli.main(words) == 0
    assert left() == []
