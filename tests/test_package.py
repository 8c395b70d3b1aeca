"""What is published: the wheel and the sdist, what they say of themselves, and how people are told to install them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import torch
from packaging.requirements import InvalidRequirement, Requirement

import lossbook
from lossbook import installing, losses
from lossbook.course import chapters
from lossbook.grading.run import isolation
from lossbook.prose.typed_numbers import WORDS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory) -> Path:
    """The Python of a virtual environment with the wheel in it; what the course needs is lent by this one."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    done = run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return python


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_licences_of_code_and_of_text_are_named_and_inside(built, wheel, metadata):
    assert metadata["License-Expression"] == "MIT AND CC-BY-4.0"
    assert sorted(metadata.get_all("License-File")) == ["LICENSE", "LICENSE-text"]
    assert not [line for line in metadata.get_all("Classifier") if line.startswith("License ::")]
    (sdist,) = built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive, tarfile.open(sdist) as source:
        in_wheel, in_sdist = archive.namelist(), source.getnames()
    for name in ("LICENSE", "LICENSE-text"):
        assert [path for path in in_wheel if path.endswith(f".dist-info/licenses/{name}")]
        assert [path for path in in_sdist if path.count("/") == 1 and path.endswith(f"/{name}")]
    lessons = sorted(path for path in in_wheel if re.fullmatch(r"lossbook/lessons/\d\d-\w+\.ipynb", path))
    assert lessons == [f"lossbook/lessons/{chapter.row}.ipynb" for chapter in chapters()]
    assert "lossbook/course.toml" in in_wheel


def test_the_metadata_leads_to_the_project(metadata):
    addresses = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL"))
    assert {"Homepage", "Repository", "Issues", "Changelog"} <= set(addresses)
    assert addresses["Repository"] == installing.REPOSITORY
    assert all(address.startswith("https://") for address in addresses.values())


def test_the_classifiers_exist_and_name_no_python_that_is_refused(metadata):
    from trove_classifiers import classifiers

    given = metadata.get_all("Classifier")
    assert set(given) <= classifiers
    versions = [line.rpartition(" ")[2] for line in given if re.search(r"Python :: 3\.\d+$", line)]
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    assert versions
    assert all(tuple(map(int, version.split("."))) >= least for version in versions)


def test_the_description_claims_what_is_true(metadata):
    """It counts those of our losses that are PyTorch's, and does not say that these are all."""
    summary = metadata["Summary"]
    (number,) = re.findall(r"(\w+) of PyTorch's losses", summary)
    ours = [name for name in losses.__all__ if hasattr(torch.nn.functional, name)]
    assert WORDS[number] == len(ours)
    theirs = [name for name in vars(torch.nn) if re.fullmatch(r"\w+Loss", name)]
    assert len(ours) < len(theirs)
    assert not re.search(r"\b(every|all|any|complete)\b", summary)


def test_the_command_and_the_parts_work_from_the_wheel(clean, tmp_path):
    done = run(clean.parent / "lossbook", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"lossbook {PROJECT['version']}\n"), done.stderr
    program = "import lossbook\nprint(lossbook.losses.mse_loss.__name__, lossbook.exercises.check.__name__)\n"
    done = run(
        clean, "-c", program + "print(lossbook.timing.measure.__name__, lossbook.__version__, lossbook.__file__)"
    )
    assert done.returncode == 0, done.stderr
    *words, file = done.stdout.split()
    assert words == ["mse_loss", "check", "measure", PROJECT["version"]]
    assert Path(file).is_relative_to(clean.parent.parent)


def test_without_its_needs_the_installed_command_says_how_to_get_them(clean, tmp_path):
    program = "import sys\nsys.modules['tqdm'] = None\nfrom lossbook.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = run(clean, "-c", program, "grade", tmp_path, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("lossbook: tqdm is not installed; install it with: ")
    assert done.stderr.endswith(f"python -m pip install 'lossbook[grade] @ git+{installing.REPOSITORY}'\n")


USER = """\
import lossbook
from lossbook import losses
from lossbook.exercises import check

def mean(a: object, b: object) -> str:
    return lossbook.__version__ + str(losses.mse_loss(a, b))

reveal_type(lossbook.losses.cross_entropy)
reveal_type(check)
losses.mse_loss(1, 2, reduction=3)
"""
LIGHT = "[mypy]\nstrict = True\n[mypy-torch.*,numpy.*,matplotlib.*]\nfollow_imports = skip\n"  # these take a minute


def test_mypy_sees_the_types_in_a_users_file(clean, tmp_path):
    (tmp_path / "mine.py").write_text(USER, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(LIGHT, encoding="utf-8")
    done = run(sys.executable, "-m", "mypy", "--python-executable", clean, "mine.py", cwd=tmp_path)
    assert "py.typed" not in done.stdout
    loss, check, wrong, last = done.stdout.splitlines()
    assert re.match(r'mine.py:8: note: Revealed type is "def \(input: .*reduction: (builtins\.)?str\b', loss)
    assert re.match(r'mine.py:9: note: Revealed type is "def .* -> .*report\.Report"', check)
    assert re.match(r'mine.py:10: error: Argument "reduction" .* incompatible type "int"; expected "str"', wrong)
    assert last.startswith("Found 1 error")


def test_importing_the_package_imports_no_pytorch_until_a_part_is_asked_for():
    program = "import sys, lossbook\nprint('torch' in sys.modules)\nlossbook.losses\nprint('torch' in sys.modules)"
    assert run(sys.executable, "-c", program).stdout.split() == ["False", "True"]
    assert {"losses", "exercises", "timing", "figures", "__version__"} <= set(dir(lossbook))


def test_an_unknown_part_is_refused_by_name():
    with pytest.raises(AttributeError, match=r"no attribute 'loses'; it has .*losses"):
        lossbook.loses  # noqa: B018


def test_what_stands_in_for_the_package_where_submissions_run_has_the_same_parts(tmp_path):
    isolation.stage(tmp_path)
    parts = [name for name in lossbook.__all__ if not name.startswith("_")]
    program = f"import lossbook\nprint([getattr(lossbook, part).__name__ for part in {parts}])"
    done = run(sys.executable, "-c", program, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    assert done.stdout.strip() == str([f"lossbook.{part}" for part in parts]), done.stderr


# ---- how people are told to install the course ----


def test_from_a_clone_the_clone_is_installed():
    words = [sys.executable, "-m", "pip", "install", "-e", f"{ROOT}[grade]"]
    assert installing.command("grade").replace("'", "").split() == words


def noted(monkeypatch, tmp_path, **direct_url) -> None:
    """Let the package lie in a folder of its own, with what pip noted of where it came from."""
    text = json.dumps(direct_url) if direct_url else None
    distribution = type("Distribution", (), {"read_text": lambda self, name: text})
    monkeypatch.setattr(installing, "distribution", lambda name: distribution())
    monkeypatch.setattr(installing, "__file__", str(tmp_path / "site-packages" / "lossbook" / "installing.py"))


@pytest.mark.parametrize("direct_url", [{}, {"url": "https://example.org/x.whl", "archive_info": {}}])
def test_from_elsewhere_the_repository_is_named(monkeypatch, tmp_path, direct_url):
    noted(monkeypatch, tmp_path, **direct_url)
    wanted = "'lossbook[book] @ git+https://github.com/lossbook/lossbook'"
    assert installing.command("book").endswith(f" -m pip install {wanted}")


def test_a_folder_that_pip_installed_from_is_named_while_it_is_there(monkeypatch, tmp_path):
    course = tmp_path / "my course"
    course.mkdir()
    noted(monkeypatch, tmp_path, url=course.as_uri(), dir_info={})
    assert "git+https" in installing.command("grade")
    (course / "pyproject.toml").write_text('[project]\nname = "other"\n')
    assert "git+https" in installing.command("grade")
    (course / "pyproject.toml").write_text('[project]\nname = "lossbook"\n')
    assert installing.command("grade").endswith(f" -m pip install '{course}[grade]'")


# A line that installs, by whatever program, and in it a bare name, which is looked up on an index.
INSTALLER = re.compile(
    r"\b(?:pip[x3]?|uv|conda|mamba|micromamba|poetry|pdm|rye)\b[^\n`]*?\b(?:install|add|wheel|download|run|sync)\b([^\n`]*)"
)
WORD = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s\"'`]+")
TEXTS = [".md", ".py", ".ipynb", ".yml", ".yaml", ".toml", ".txt", ".cff", ".j2", ".html", ""]


def by_name_alone(text: str) -> list[str]:
    """Return the lines that tell to install the course by its name alone, as an index would be asked for it."""
    found = []
    for match in INSTALLER.finditer(text.replace('\\"', '"').replace("\\n", "\n")):
        words = [word.strip("\"'").rstrip(".,;:)") for word in WORD.findall(match[1])]
        if "--no-index" not in words and any(map(is_name, words)):
            found.append(match[0])
    return found


def is_name(word: str) -> bool:
    try:
        needed = Requirement(re.sub(r"\{[^}]*\}", "extra", word))
    except InvalidRequirement:
        return False
    return needed.name.lower() == installing.NAME and needed.url is None


def test_no_text_tells_to_install_the_course_by_name_alone():
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    told = {}
    for name in listed:
        path = ROOT / name
        if path.suffix in TEXTS and path.is_file() and not name.startswith("tests/"):
            told[name] = by_name_alone(path.read_text(encoding="utf-8"))
    assert len(told) > 100
    assert {name: lines for name, lines in told.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "pip install lossbook",
        "pip install 'lossbook[grade]'",
        'pip install -U "lossbook>=0.1"',
        "%pip install -q lossbook",
        '"    !python -m pip install jupyterlab \\"lossbook[grade]\\"\\n",',
        "uv pip install lossbook",
        "uv add lossbook",
        "pipx install lossbook.",
        "pip install 'lossbook[{extra}]'",
        "then run `pip3 install lossbook`, and",
    ],
)
def test_a_line_that_installs_by_name_alone_is_seen(line):
    assert by_name_alone(line)


@pytest.mark.parametrize(
    "line",
    [
        'pip install "lossbook @ git+https://github.com/lossbook/lossbook"',
        "pip install jupyterlab .",
        'pip install -e ".[grade]"',
        "pip install --no-index --find-links wheels lossbook jupyterlab",
        "git clone https://github.com/lossbook/lossbook",
    ],
)
def test_a_line_that_does_not_is_let_through(line):
    assert by_name_alone(line) == []
