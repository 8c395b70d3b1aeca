"""What a kernel notes of what a page reads, and when that counts as changed."""

import subprocess
import sys
from pathlib import Path

import pytest

from lossbook.book import inputs
from lossbook.book.inputs import EVERYTHING, Course, noted

RUNS = {f"package/{inputs.RUNS[0]}"}  # says that noting has begun


@pytest.fixture
def course(tmp_path):
    """A course of three files, with a package of two modules in it."""
    package = tmp_path / "course" / "src" / "parts"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from parts import two\n")
    (package / "two.py").write_text("WORD = 'two'\n")
    (package / "table.yaml").write_text("a: 1\n")
    for name in ("data/a.txt", "data/b.txt", "_build/made.txt", ".hidden/h.txt"):
        (tmp_path / "course" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "course" / name).write_text(name)
    return Course(tmp_path / "course", ["data/*"], package)


def notes(course: Course, code: str, *, before: str = "") -> set[str]:
    """Return what is noted in a process that runs some code in the course's folder."""
    told = course.root.parent / "told"
    told.unlink(missing_ok=True)
    script = f"""\
import importlib.util, sys
{before}
spec = importlib.util.spec_from_file_location("watching", {inputs.__file__!r})
watching = sys.modules["watching"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(watching)
watching.watch({str(course.root)!r}, {str(course.package)!r}, {str(told)!r})
{code}
"""
    subprocess.run([sys.executable, "-c", script], cwd=course.root, env={"PYTHONPATH": "src"}, check=True)
    return noted(told) - RUNS


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", set()),
        ("open('data/a.txt').read()", {"course/data/a.txt"}),
        ("import pathlib; pathlib.Path('data', 'b.txt').read_bytes()", {"course/data/b.txt"}),
        ("import os; os.read(os.open('data/a.txt', os.O_RDONLY), 9)", {"course/data/a.txt"}),
        ("open('data/new.txt', 'w').write('x')", set()),
        ("open('data/a.txt', 'r+').read()", {"course/data/a.txt"}),
        ("try: open('data/none.txt')\nexcept OSError: pass", {"course/data/none.txt"}),
        ("open('_build/made.txt'), open('.hidden/h.txt'), open('/dev/null')", set()),
        ("import os; os.listdir('data')", {"course/data"}),
        ("import pathlib; list(pathlib.Path('data').glob('*.txt'))", {"course/data"}),
        ("import os; os.listdir()", {"course"}),
        ("import parts.two", {"package/__init__.py", "package/two.py"}),
        ("import parts.one", {"package/__init__.py", "package/one.py", "package/two.py"}),
        ("import importlib; importlib.import_module('parts.' + 't' + 'wo')", {"package/__init__.py", "package/two.py"}),
        ("open('src/parts/table.yaml').read()", {"package/table.yaml"}),
        ("import os\nif os.fork() == 0: open('data/a.txt'); os._exit(0)\nos.wait()", {"course/data/a.txt"}),
        ("import subprocess; subprocess.run(['uname'], capture_output=True)", set()),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', '# /torchinductor_me/x.so'])", set()),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', ''])", {EVERYTHING}),
        ("import sys; sys.path.insert(0, '')\nimport importlib.metadata; importlib.metadata.version('pytest')", set()),
        ("import subprocess; subprocess.run('true', shell=True)", {EVERYTHING}),
        ("import os; os.system('true')", {EVERYTHING}),
        ("import multiprocessing.popen_spawn_posix", {EVERYTHING}),
    ],
)  # fmt: skip
def test_what_is_read_is_noted(course, code, expected):
    for _ in range(2):  # the second time modules are compiled already
        assert notes(course, code) == expected


def test_a_module_that_was_imported_before_is_noted(course):
    assert notes(course, "pass", before="import parts.one") == {
        *("package/__init__.py", "package/one.py", "package/two.py")
    }


def test_what_was_never_noted_is_everything(tmp_path):
    assert noted(tmp_path / "absent") == {EVERYTHING}
    (tmp_path / "torn").write_text('"course/a"\n"cour')
    assert noted(tmp_path / "torn") == {EVERYTHING}


CHANGES = {
    "course/data/a.txt": lambda root: (root / "data/a.txt").write_text("other"),
    "course/data/b.txt": lambda root: (root / "data/b.txt").unlink(),
    "course/data/none.txt": lambda root: (root / "data/none.txt").write_text(""),
    "course/data": lambda root: (root / "data/c.txt").write_text(""),
    "package/two.py": lambda root: (root / "src/parts/two.py").write_text(""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_read_counts_and_nothing_else(course, name):
    root, package = course.root, course.package
    kept = {noted: course.inputs([noted]) for noted in CHANGES}
    everything, code = course.inputs([EVERYTHING]), course.code()
    again = Course(root, ["data/*"], package)
    assert all(again.unchanged(inputs) for inputs in [*kept.values(), everything])
    CHANGES[name](root)
    again = Course(root, ["data/*"], package)
    changed = {noted for noted, inputs in kept.items() if not again.unchanged(inputs)}
    appears = {"course/data"} if name in ("course/data/b.txt", "course/data/none.txt") else set()
    assert changed == {name} | appears
    assert not again.unchanged(everything)
    assert (again.code() == code) == name.startswith("course/")


def test_versions_and_what_runs_a_page_count_for_every_page(course, monkeypatch):
    real = Course(course.root, [])
    kept = real.inputs([])
    assert set(kept) == {inputs.VERSIONS, *(f"package/{name}" for name in inputs.RUNS)}
    assert all(kept.values()), "each of these files is there"
    monkeypatch.setattr(inputs, "version", lambda name: "another")
    assert not Course(course.root, []).unchanged(kept)


def test_what_is_edited_while_pages_run_counts_as_changed(course):
    course.everything()
    (course.root / "data/a.txt").write_text("edited meanwhile")
    kept = course.inputs(["course/data/a.txt"])
    assert not Course(course.root, ["data/*"], course.package).unchanged(kept)


def test_nothing_known_is_not_unchanged(course):
    assert not course.unchanged({})
    assert not course.unchanged(None)
    assert Path(inputs.__file__).is_relative_to(Course(course.root, []).package)
