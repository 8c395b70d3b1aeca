"""One grading run over one notebook an attack, each built from lesson 3, and what must stand in its record."""

import asyncio
import json
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbook.grading.run.supervisor import Limits

ROOT = Path(__file__).parents[3]
LESSON = ROOT / "lessons" / "03-bce.ipynb"
HONEST = {
    "bce": 'def bce(p, y):\n    """Right."""\n    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()',
    "pairwise_sum": (
        "def pairwise_sum(x):\n    while len(x) > 1:\n        if len(x) % 2:\n"
        "            x = torch.cat([x, x.new_zeros(1)])\n        x = x[0::2] + x[1::2]\n    return x[0]"
    ),
}
POINTS = {"bce": 2.0, "pairwise_sum": 2.0, "sigmoid": 2.0, "bce_gradient": 2.0, "bce_python_sum": 1.0}
POINTS |= {"bce_torch_sum": 1.0, "bce_with_logits": 3.0, "bce_diagnosis": 2.0}
# Three times what any attack takes that comes to its end, on a busy machine too.
LIMITS = Limits(total=5.0, cell=1.0, exercise=1.0)


def without_walls():
    """Say why no submission can be shut in here, or nothing."""
    return "" if shutil.which("bwrap") else "bubblewrap is not installed"


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and (why := without_walls()) and os.environ.get("CI") != "true":
            item.add_marker(pytest.mark.skip(reason=why))


def notebook(attack):
    """Return lesson 3 as it is handed in: two honest answers, the attack's own, its cells after the imports."""
    made = json.loads(LESSON.read_text(encoding="utf-8"))
    answers, cells = {**HONEST, **attack.get("answers", {})}, []
    for cell in made["cells"]:
        marks = cell["metadata"].get("nbgrader", {})
        source = "".join(cell["source"])
        if marks.get("solution"):
            name = source.partition("def ")[2].partition("(")[0]
            cell = {**cell, "source": answers.get(name, source)}
            if name in attack.get("texts", ()):
                cell |= {"cell_type": "markdown"}
            if attack.get("heavy"):
                cell |= {"outputs": [{"data": {"image/png": "x" * 5_000_000}}]}
        cells.append(cell)
        if cell["cell_type"] == "code" and source.startswith("import math"):
            if attack.get("no_imports"):
                cells.pop()
            cells += [code(text) for text in attack.get("cells", [])]
    cells += [code(text) for text in attack.get("after", [])]
    return json.dumps({**made, "cells": cells, "metadata": attack.get("metadata", made["metadata"])})


def code(text):
    return {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None}


def descendants():
    """Return the processes below this one, each with the moment of its start."""
    below, found = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(folder.name))
        found[int(folder.name)] = fields[19]
    waiting, seen = list(below.get(os.getpid(), [])), set()
    while waiting:
        process = waiting.pop()
        seen.add((process, found[process]))
        waiting += below.get(process, [])
    return seen


@pytest.fixture(scope="session")
def graded(request, tmp_path_factory):
    """Grade every attack of this folder at once; return the records by the attack's name, and what was left behind."""
    from lossbook.grading.grade import Options, grade
    from lossbook.grading.keep.gradebook import Book

    folder = tmp_path_factory.mktemp("attacks")
    submissions, out, temporary = folder / "submissions", folder / "out", folder / "tmp"
    submissions.mkdir()
    temporary.mkdir()
    asked = [getattr(item, "callspec", None) for item in request.session.items]
    pairs = [(spec.params["name"], spec.params["attack"]) for spec in asked if spec and "attack" in spec.params]
    attacks = dict(pairs)
    assert len(attacks) == len(pairs), "two attacks have one name"
    attacks |= {f"{place}-honest": {} for place in ("0", "m", "z")}
    for name, attack in attacks.items():
        (submissions / f"{name}.ipynb").write_text(notebook(attack), encoding="utf-8")
    before, seen = descendants(), set()
    files = {path.name: path.read_bytes() for path in submissions.iterdir()}
    options = Options(submissions, out, LESSON.parent, jobs=2, limits=LIMITS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(temporary))
        asyncio.run(grade(options, lambda done, of, record: done % 25 or seen.update(descendants())))
    with Book(out) as book:
        records = {Path(kept.record.key).stem: kept.record for kept in book.newest()}
    return SimpleNamespace(
        records=records,
        names=set(attacks),
        processes=seen - before,
        left=descendants() - before,
        changed={path.name: path.read_bytes() for path in submissions.iterdir()} != files,
        temporary=[path.name for path in temporary.iterdir()],
        written=sorted(path.name for path in out.iterdir()),
        around=sorted(path.name for path in folder.iterdir()),
    )


@pytest.fixture
def holds(graded):
    """Return what asserts that an attack left the record that it must."""

    def check(name, attack):
        record = graded.records[name]
        passed = {mark.function: mark.points for mark in record.marks if mark.state == "passed"}
        honest = set(HONEST) - attack.get("answers", {}).keys() - attack.get("loses", set())
        wanted = {function: POINTS[function] for function in honest | attack.get("wins", set())}
        said = [record.reason, *(text for _, text in record.cell_errors)]
        said += [reason for mark in record.marks for _, _, reason in mark.failures]
        assert passed == wanted, said
        assert record.points == sum(wanted.values())
        assert record.state == attack.get("state", "graded"), said
        if says := attack.get("says"):
            assert any(says in text for text in said), said
        for remark in attack.get("remarked", ()):
            wanted = remark if " " in remark else f"names {remark}"
            assert any(text.endswith(wanted) for text in record.remarks), record.remarks
        if attack.get("silent"):
            assert record.reason == ""
            assert record.cell_errors == ()

    return check
