"""A course of one small lesson, in a temporary folder."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbook.authoring.release import release

COURSE = Path(__file__).parent / "course"


@pytest.fixture(scope="session", autouse=True)
def _small_exercises_importable(warm_kernels: None) -> Iterator[None]:
    """Let this process and the kernels import `small_exercises`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(COURSE))
        patch.setenv("PYTHONPATH", str(COURSE))
        yield
    sys.modules.pop("small_exercises", None)


@pytest.fixture(scope="session")
def lookup(_small_exercises_importable):
    return importlib.import_module("small_exercises").EXERCISES.__getitem__


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course with the source alone."""
    (tmp_path / "solutions").mkdir()
    shutil.copy(COURSE / "03-sample.md", tmp_path / "solutions")
    return tmp_path


@pytest.fixture(scope="session")
def released_once(tmp_path_factory: pytest.TempPathFactory, lookup) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("course")
    (root / "solutions").mkdir()
    shutil.copy(COURSE / "03-sample.md", root / "solutions")
    lines: list[str] = []
    written = release(root, [], lookup, lines.append)
    return SimpleNamespace(root=root, written=written, lines=lines)


@pytest.fixture
def released(released_once: SimpleNamespace, tmp_path: Path) -> Path:
    """A course whose notebooks were released: a copy for each test."""
    root = tmp_path / "course"
    shutil.copytree(released_once.root, root)
    return root
