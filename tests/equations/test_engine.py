"""The engine knows no course: it imports nothing of this one, and what formulas are to agree with is handed in."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossbook.equations

ENGINE = Path(lossbook.equations.__file__).parent
OWN = "lossbook.equations"


def imported(source: str) -> Iterator[str]:
    """Yield what a module imports, wherever in it, and each text in it that names a module of this package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            called = {part.id if isinstance(part, ast.Name) else getattr(part, "attr", "") for part in [node.func]}
            if called & {"import_module", "__import__"}:
                yield "."


def foreign(source: str) -> list[str]:
    """Return what of this is neither the engine's own nor another package's."""
    names = [name for name in imported(source) if name.startswith(".") or f"{name}.".startswith("lossbook.")]
    return [name for name in names if not f"{name}.".startswith(f"{OWN}.")]


@pytest.mark.parametrize("module", sorted(ENGINE.rglob("*.py")), ids=lambda path: path.name)
def test_the_engine_imports_nothing_of_the_course(module: Path) -> None:
    assert foreign(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from lossbook import losses",
        "import lossbook",
        "import lossbook.losses as l",
        "def f():\n    from lossbook.book.docstrings import functions",
        "from ..losses import mse",
        "from .. import losses",
        "import importlib\nimportlib.import_module('lossbook.losses')",
    ],
)
def test_what_it_must_not_import_is_seen(source: str) -> None:
    assert foreign(source)


PAGE = """# A page of another course

```{symbols}
"x, y": {is: numbers, in: real}
"n": {is: an index, runs: N}
"N": {is: how many there are, size: 3}
"a_n": {is: numbers, in: real}
"L": {is: the loss, code: "square(x, y)"}
"M": {is: their mean, code: "mean(a_n)"}
```

```{math}
:class: definition
:label: loss
L = (x - y)^2
```

```{math}
:label: slope
\\frac{\\partial L}{\\partial x} = 2 (x - y)
```

```{math}
:class: definition
:label: mean
M = \\frac{1}{N} \\sum_n a_n
```
"""
COURSE = """
import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class Wall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("lossbook.") and not f"{name}.".startswith("lossbook.equations."):
            raise ImportError(f"{name} is another course's")


sys.meta_path.insert(0, Wall())
from lossbook.equations import Functions, Library, Scorer, check_page, read

found = {}
page = read(Path("plain.md"))
found["plain"] = [fault for record in check_page(page)[1] for fault in record.faults]
found["caught"] = sorted({outcome.verdict for one in page.displays for outcome in Scorer(page).outcomes(one)})
found["torch"] = "torch" in sys.modules


def square(x, y):
    return (x - y) ** 2


functions = Functions(Library("another.course", {"square": square, "mean": lambda a: a.mean()}))
for name in ("right", "wrong"):
    page = read(Path(f"{name}.md"))
    table, records = check_page(page, functions=functions)
    found[name] = [*page.faults, *table.faults, *(fault for record in records for fault in record.faults)]
    found[f"{name} code"] = [step.how for record in records for step in record.steps if step.code]
page = read(Path("right.md"))
found["no functions"] = check_page(page)[0].faults
twin = Library("a.twin", {"square": lambda x, y: 2 * (x - y) ** 2}, "Twin")
records = check_page(page, functions=Functions(functions.own, (twin,)))[1]
found["twin"] = {record.display.label: record.faults for record in records}
twin = Library("a.twin", {"square": square}, "Twin")
records = check_page(page, {"loss"}, Functions(functions.own, (twin,)))[1]
found["same twin"] = [step.how for record in records for step in record.steps]
json.dump(found, sys.stdout)
"""


def test_another_course_can_use_it_alone(tmp_path: Path) -> None:
    (tmp_path / "plain.md").write_text("```{math}\n:label: sum\n1 + 1 = 2\n```\n")
    (tmp_path / "right.md").write_text(PAGE)
    (tmp_path / "wrong.md").write_text(PAGE.replace("L = (x - y)^2", "L = (x - y)^2 / 2"))
    done = subprocess.run([sys.executable, "-c", COURSE], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["plain"] == []
    assert found["caught"] == ["caught"]
    assert not found["torch"]
    assert found["right"] == []
    assert found["right code"] == [
        "the formula was held against another.course.square",
        "the formula was held against another.course.square",
        "the formula was held against another.course.mean",
    ]
    (first, *_) = found["wrong"]
    assert "is not what code computes" in first
    assert "another.course.square" in first
    assert any("no functions are known" in fault for fault in found["no functions"])
    assert ["a.twin.square" in "".join(found["twin"][label]) for label in ("loss", "slope", "mean")] == [
        True,
        True,
        False,
    ]
    assert found["same twin"] == ["the formula was held against another.course.square and Twin"]


def test_the_public_face_is_all_there() -> None:
    assert sorted(lossbook.equations.__all__) == lossbook.equations.__all__
    assert all(hasattr(lossbook.equations, name) for name in lossbook.equations.__all__)
