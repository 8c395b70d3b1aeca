"""The project itself: its style, its types, its packaging, its commands."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distribution, distributions, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lossbook.exercises import exercises

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORT_NAMES = {
    "import-linter": "importlinter",
    "jupyter-book": "jupyter_book",
    "markdown-it-py": "markdown_it",
    "mdit-py-plugins": "mdit_py_plugins",
    "myst-nb": "myst_nb",
    "pytest-xdist": "xdist",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


LINT = [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["lint-imports", "--no-cache"]]


@pytest.mark.parametrize("command", LINT, ids=" ".join)
def test_style_types_and_imports(command: list[str]) -> None:
    program = Path(sysconfig.get_path("scripts"), command[0])
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_an_extra_installs_what_it_names(extra: str) -> None:
    for line in PROJECT["optional-dependencies"][extra]:
        name = Requirement(line).name
        importlib.import_module(IMPORT_NAMES.get(name, name))


def closure(names: list[str]) -> set[str]:
    """Return the distributions that these need, themselves included."""
    found: set[str] = set()
    while names:
        name = canonicalize_name(names.pop())
        if name in found:
            continue
        found.add(name)
        requirements = [Requirement(line) for line in distribution(name).requires or []]
        names += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


IMPORT_ALONE = """
import importlib, json, sys
blocked, modules = json.loads(sys.argv[1])

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)

sys.meta_path.insert(0, Block())
for module in modules:
    importlib.import_module(module)
"""


def test_a_lesson_needs_torch_numpy_and_matplotlib_alone() -> None:
    allowed = closure(["torch", "numpy", "matplotlib"]) | {"lossbook"}
    blocked = sorted(
        package
        for package, names in packages_distributions().items()
        if not allowed & {canonicalize_name(name) for name in names}
    )
    assert {"IPython", "nbgrader", "jupytext", "nbclient", "pytest"} <= set(blocked)
    modules = ["lossbook.losses", "lossbook.exercises", "lossbook.timing", "lossbook.figures", "lossbook.kernels"]
    exercises = sorted((ROOT / "src" / "lossbook" / "exercises").glob("[!_]*.py"))
    modules += [f"lossbook.exercises.{path.stem}" for path in exercises]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALONE, json.dumps([blocked, modules])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    released = re.findall(
        r"^## \[?v?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert released[0] == PROJECT["version"]


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make book" in readme
    assert "make test" in readme


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_well_formed(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert True in workflow  # YAML reads the key `on` as true
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_there_are_workflows_to_check() -> None:
    assert [path.name for path in WORKFLOWS] == ["pages.yml", "release.yml", "test.yml", "weekly.yml"]


def workflow(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def test_every_python_that_is_named_is_tried() -> None:
    named = [re.search(r"Python :: (3\.\d+)$", line) for line in PROJECT["classifiers"]]
    tried = workflow("test.yml")["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    assert sorted(match[1] for match in named if match) == sorted(tried)


def test_nothing_is_published_unless_it_is_asked_for() -> None:
    publishing = [
        (path.name, job)
        for path in WORKFLOWS
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
        if any("publish" in step.get("uses", "") for step in job["steps"])
    ]
    ((name, job),) = publishing
    assert name == "release.yml"
    assert "vars.PUBLISH == 'yes'" in job["if"]
    assert job["permissions"] == {"id-token": "write"}
    assert "build" in job["needs"]


def test_what_is_tried_on_other_machines_finds_every_answer() -> None:
    """That each answer is right is tested elsewhere: `portable.py` runs where those tests can't."""
    spec = importlib.util.spec_from_file_location("portable", ROOT / "tests" / "portable.py")
    assert spec
    assert spec.loader
    portable = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(portable)
    found = set().union(*map(portable.functions, portable.SOLUTIONS))
    assert exercises().keys() <= found
    steps = [step.get("run", "") for name in ("test.yml", "release.yml") for job in workflow(name)["jobs"].values()
             for step in job["steps"]]  # fmt: skip
    assert sum("tests/portable.py" in run for run in steps) == 2


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_an_issue_form_is_well_formed(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert (ROOT / "SECURITY.md").is_file()
        return
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert {field["type"] for field in fields} <= {"input", "textarea"}
    assert all(field["attributes"]["label"] for field in fields)


def test_what_runs_at_a_commit_has_the_versions_of_the_tests() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    named = [line for hook in hooks for line in hook.get("additional_dependencies", [])]
    assert named
    assert set(named) <= set(pinned)


def test_updates_leave_alone_what_is_held_back() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "github-actions"}
    (packages,) = (update for update in updates if update["package-ecosystem"] == "pip")
    lines = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    bounded = {Requirement(line).name for line in lines if "<" in line}
    assert bounded - {"pytest", "lossbook"} <= {ignored["dependency-name"] for ignored in packages["ignore"]}


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-C", str(ROOT), *arguments, *(f"{key}={value}" for key, value in variables.items())]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_make_says_what_it_can_do() -> None:
    printed = make("--no-print-directory").stdout
    assert {line.split()[1] for line in printed.splitlines()} >= {"book", "test", "lessons", "lint", "clean"}


def test_make_refuses_an_old_python(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("test", VENV=str(tmp_path / "venv"), PYTHON=str(old))
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr


def test_make_installs_before_it_builds(tmp_path: Path) -> None:
    printed = make("--dry-run", "book", VENV=str(tmp_path / "venv")).stdout
    venv, install, build = (printed.index(part) for part in ("-m venv", "pip install", "lossbook book"))
    assert venv < install < build
    assert "-c constraints.txt" in printed


def test_the_ci_script_is_sound() -> None:
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")


def test_binder_installs_the_pinned_pytorch_for_the_cpu(tmp_path: Path) -> None:
    folder = ROOT / ".binder"
    assert (folder / "runtime.txt").read_text(encoding="utf-8").strip() == "python-3.11"
    assert [Requirement(line).name for line in (folder / "requirements.txt").read_text().splitlines()] == ["uv"]
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    uv.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = subprocess.check_output([folder / "postBuild"], cwd=ROOT, env=environment, text=True).splitlines()
    assert words[:2] == ["pip", "install"]
    assert words[-1] == "."
    assert "--torch-backend=cpu" in words
    assert words[words.index("-c") + 1] == "constraints.txt"


PINS = {
    canonicalize_name(need.name): str(next(iter(need.specifier)).version)
    for need in map(Requirement, (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
}


def test_what_is_pinned_fits_together() -> None:
    installed = [name for name in PINS if any(distributions(name=name))]
    needed = [Requirement(line) for name in installed for line in distribution(name).requires or []]
    wrong = [
        f"{need} is pinned to {PINS[name]}"
        for need in needed
        if (name := canonicalize_name(need.name)) in PINS
        and (need.marker is None or need.marker.evaluate({"extra": ""}))
        and not need.specifier.contains(PINS[name], prereleases=True)
    ]
    assert len(installed) > 50
    assert wrong == []


def test_the_pins_suit_pytorchs_usual_build() -> None:
    """On Linux it requires exactly one Triton; the build for the CPU, with which this may run, says nothing of it."""
    assert PINS["triton"] == {"2.13.0": "3.7.1"}[PINS["torch"]]
