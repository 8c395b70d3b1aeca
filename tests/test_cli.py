"""The command `lossbook`."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path

import pytest

from lossbook import cli, installing
from lossbook.authoring import release
from lossbook.book import building
from lossbook.notebooks.execute import RunError


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "03-bce.md").write_text("# Title\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("lossbook ")


@pytest.mark.parametrize("argv", [[], ["paint"], ["book", "--dirty"]])
def test_a_wrong_command_is_told(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    assert end.value.code == 2
    assert "usage: lossbook" in capsys.readouterr().err


def test_an_unknown_lesson(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["release", "hinge"]) == 2
    assert capsys.readouterr().err == "lossbook: no lesson is called 'hinge'; the lessons are 03-bce\n"


def test_the_wrong_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["release"]) == 2
    assert "run this in the folder of the course" in capsys.readouterr().err
    assert cli.main(["book"]) == 2
    assert "has no _config.yml" in capsys.readouterr().err


def test_a_broken_source(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["release"]) == 1
    assert "solutions/03-bce.md, cell 1" in capsys.readouterr().err


def test_stale_notebooks(course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(release, "stale", lambda root, slugs, lookup: ["lessons/03-bce.ipynb is missing"])
    assert cli.main(["release", "--check"]) == 1
    assert capsys.readouterr().err == "lossbook: lessons/03-bce.ipynb is missing: run `lossbook release`\n"
    monkeypatch.setattr(release, "stale", lambda root, slugs, lookup: [])
    assert cli.main(["release", "--check", "bce"]) == 0


def test_a_release(course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def done(root, slugs, lookup, say):
        assert (root, slugs) == (course, ["bce"])
        say("lessons/03-bce.ipynb")

    def failed(root, slugs, lookup, say):
        raise RunError("lessons/03-bce.ipynb: cell 3 raised")

    monkeypatch.setattr(release, "release", done)
    assert cli.main(["release", "bce"]) == 0
    assert capsys.readouterr().out == "lessons/03-bce.ipynb\n"
    monkeypatch.setattr(release, "release", failed)
    assert cli.main(["release"]) == 1
    assert capsys.readouterr().err == "lossbook: lessons/03-bce.ipynb: cell 3 raised\n"


def test_the_book(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "build", lambda root, clean: 7 if root == course and clean else 0)
    assert cli.main(["book", "--clean"]) == 7


@pytest.mark.parametrize(("command", "extra"), [("release", "author"), ("book", "book")])
def test_a_missing_extra_is_named(
    command: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real_import = builtins.__import__

    def no_authoring(name, *args):
        if name in ("lossbook.authoring", "lossbook.book"):
            raise ModuleNotFoundError("No module named 'nbgrader.utils'", name="nbgrader.utils")
        return real_import(name, *args)

    monkeypatch.setattr(builtins, "__import__", no_authoring)
    assert cli.main([command]) == 2
    assert f"nbgrader.utils is not installed; install it with: {installing.command(extra)}\n" in capsys.readouterr().err


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "lossbook", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("lossbook ")
