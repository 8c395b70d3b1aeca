"""The engine knows no course: it imports nothing of this one, and what formulas are to agree with is handed in."""

import ast
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
