"""There is no answer to be read, and nothing of another submission."""

import pytest

pytestmark = pytest.mark.xdist_group("attacks")


def body(function, arguments, text, before=""):
    """Return the answer to one exercise: a function with this body, and what stands before it."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return {"answers": {function: f"{before}\ndef {function}({arguments}):\n{lines}"}}


def cell(text, says="", state="graded", **more):
    return {"cells": [text], "says": says, "state": state, **more}


def gone(path):
    return cell(f"open({path!r}, 'rb').read(1)", "No such file or directory")


def found(code, nothing):
    """Return a cell that raises with what it found; nothing must be said of it."""
    return cell(f"{code}\nraise ValueError('found', found)", f"('found', {nothing})")


OBJECTS = """import gc
found = [x for x in gc.get_objects() if isinstance(x, dict) and "MARKER" + "-OF-ANOTHER" in x]
found += [name for name in __import__("sys").modules if name.startswith(("lossbook.exercises.", "lossbook.checks."))]
found.remove("lossbook.checks.trial")
found.remove("lossbook.checks.reads")
"""
NUMBERS = """import os
found = []
for number in range(2000):
    try:
        os.fstat(number)
        found.append(number)
    except OSError:
        pass
"""
ATTACKS = {
    "0-marks": cell(
        "import os\nopen('/tmp/marker', 'w').write('x')\nMARKER = {'MARKER-OF-ANOTHER': 1}\ntorch.marker = 1\n"
        "os.environ['MARKER'] = '1'"
    ),
    "solution": gone(__file__.rpartition("/tests/")[0] + "/solutions/03-bce.md"),
    "cases": gone(__file__.rpartition("/tests/")[0] + "/src/lossbook/exercises/bce.py"),
    "this-test": gone(__file__),
    "memory-own": gone("/proc/self/mem"),
    "memory-parent": gone("/proc/1/mem"),
    "environment-parent": gone("/proc/1/environ"),
    "passwords": gone("/etc/passwd"),
    "shared-memory": gone("/dev/shm/x"),
    "module-judging": cell("import lossbook.checks.judging", "No module named"),
    "module-bce": cell("import lossbook.exercises.bce", "No module named"),
    "module-grade": cell("import lossbook.grading.grade", "No module named"),
    "module-nbgrader": cell("import nbgrader", "No module named"),
    "objects": found(OBJECTS, "[]"),
    "files": found(NUMBERS, "[0, 1, 2, 3]"),
    "temporary": found("import os\nfound = os.listdir('/tmp')", "[]"),
    "processes-seen": found("import os\nfound = os.listdir('/proc')", "[]"),
    "who": found("import os\nfound = [os.getpid(), os.getppid(), 'MARKER' in os.environ]", "[1, 0, False]"),
    "host": found("import socket\nfound = socket.gethostname()", "'grader'"),
    "variables": found(
        "import os\nfound = [name for name in os.environ if not name.startswith(('OMP', 'MKL', 'MPL', 'OPENBLAS',"
        " 'TORCH', 'PYTHON', 'LC_'))]",
        "['HOME', 'PATH', 'LANG', 'PWD']",
    ),
    "left-in-torch": found("found = hasattr(torch, 'marker')", "False"),
    "read-other-memory": cell(
        "import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\n"
        "raise ValueError(library.process_vm_readv(1, None, 0, None, 0, 0), ctypes.get_errno())",
        "(-1, 1)",
    ),
    "traced-parent": cell(
        "import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\n"
        "raise ValueError(library.ptrace(16, 1, 0, 0), ctypes.get_errno())",
        "(-1, 1)",
    ),
    "proc-uncovered": cell(
        "import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\n"
        "raise ValueError(library.umount2(b'/proc', 2), ctypes.get_errno())",
        "(-1, 1)",
    ),
    "answer-from-disk": {
        **body("sigmoid", "z", "import lossbook.losses\nreturn lossbook.losses.sigmoid(z)"),
        "says": "reference implementations are not there",
    },
}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_there_is_nothing_to_read(name, attack, holds):
    holds(name, attack)
