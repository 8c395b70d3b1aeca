"""The committed notebooks are what their sources make, run again to the same outputs, and every output is compared."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  (its first import on a machine warns on stderr)
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import IPyNbCell, IPyNbFile

from lossbook.authoring.release import sources, stale
from lossbook.exercises import exercise
from lossbook.notebooks import kernels
from lossbook.notebooks.notebook import METADATA, texts, to_text

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted([*(ROOT / "lessons").glob("*.ipynb"), *(ROOT / "solutions").glob("*.ipynb")])
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")

FORBIDDEN = {"nbval-skip", "raises-exception", "nbval-raises-exception"}
MOST_TIMINGS = 3
LEAST_COMPARED = 1 / 3  # of the code cells: the others define, import or draw


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("source", sorted((ROOT / "solutions").glob("*.md")), ids=lambda path: path.stem)
def test_the_notebooks_are_what_their_source_makes(source: Path) -> None:
    assert source in sources(ROOT)
    assert stale(ROOT, [source.stem], exercise) == []


def test_every_notebook_has_a_source() -> None:
    assert [path.stem for path in NOTEBOOKS if not (ROOT / "solutions" / f"{path.stem}.md").exists()] == []


# Every output is compared


@every_notebook
def test_every_cell_was_run_in_order(path: Path) -> None:
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_notebook
def test_only_timings_are_not_compared(path: Path) -> None:
    tags = [set(cell.metadata.get("tags", [])) for cell in code_cells(path)]
    assert not any(FORBIDDEN & own for own in tags)
    ignored = [own for own in tags if "nbval-ignore-output" in own]
    assert all("timing" in own for own in ignored)
    assert len(ignored) <= MOST_TIMINGS
    assert not any("NBVAL" in cell.source for cell in code_cells(path))


@every_notebook
def test_enough_cells_print_something_to_compare(path: Path) -> None:
    cells = code_cells(path)
    compared = [
        cell
        for cell in cells
        if "nbval-ignore-output" not in cell.metadata.get("tags", [])
        and any(text.strip() and not text.startswith("<Figure") for output in cell.outputs for text in texts(output))
    ]
    assert len(compared) >= LEAST_COMPARED * len(cells), f"{len(compared)} of {len(cells)} cells"


# nbval runs them again


def nbval_command(path: Path, report: Path) -> dict[int, str]:
    """Run nbval on a notebook by its command; return each code cell's outcome: passed, failure, error or skipped."""
    command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval", "--nbval-current-env"]
    command += ["--nbval-cell-timeout=120"]
    command += ["-q", "-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={report}", path.name]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env |= {**kernels.ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, cwd=path.parent, env=env, capture_output=True, check=False)
    outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        number = int(case.attrib["name"].removeprefix("Cell "))
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        outcomes[number] = kinds[0] if kinds else "passed"
        for child in case:
            print(f"cell {number}: {child.text}")
    return outcomes


@pytest.fixture
def nbval(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, warm_kernels: None):
    """Return what runs nbval on a notebook in this process, and returns what `nbval_command` does."""
    monkeypatch.setattr(request.config.option, "nbval_current_env", True)
    monkeypatch.setattr(request.config.option, "nbval_cell_timeout", 120.0)
    for name, value in kernels.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def run(path: Path) -> dict[int, str]:
        notebook = IPyNbFile.from_parent(request.session, path=path)
        cells = list(notebook.collect())
        notebook.setup()
        try:
            return {number: outcome(number, cell) for number, cell in enumerate(cells)}
        finally:
            notebook.teardown()

    return run


def outcome(number: int, cell: IPyNbCell) -> str:
    """Run a cell as nbval does, and say what came of it."""
    if cell.parent.timed_out:  # a cell before this one took too long: nbval marks it, and pytest does not run it
        return "skipped"
    try:
        cell.setup()
        cell.runtest()
    except pytest.skip.Exception:
        return "skipped"
    except Exception as error:
        print(f"cell {number}: {cell.repr_failure(pytest.ExceptionInfo.from_exception(error))}")
        return "failure"
    return "passed"


@every_notebook
def test_nbval_finds_the_same_outputs(path: Path, tmp_path: Path, nbval) -> None:
    copy = tmp_path / "elsewhere" / path.name  # a lesson runs from anywhere
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert nbval(copy) == dict.fromkeys(range(len(code_cells(path))), "passed")


# A wrong output is seen


def changed(text: str) -> str:
    """Return `text` with one character changed, in the middle."""
    middle = len(text) // 2
    return f"{text[:middle]}{'#' if text[middle] != '#' else '+'}{text[middle + 1 :]}"


def mutants(cell) -> Iterator[tuple[str, list]]:
    """Yield the kind of each text of a cell's outputs, and the outputs with one character of that text changed."""
    for number, output in enumerate(cell.outputs):
        for kind in ["text"] if output.output_type == "stream" else [k for k in output.data if k.startswith("text/")]:
            outputs = nbformat.from_dict(cell.outputs)
            place = outputs[number] if kind == "text" else outputs[number].data
            if place[kind]:
                place[kind] = changed(place[kind])
                yield kind, outputs


def nbval_cells(path: Path, session: pytest.Session) -> list[IPyNbCell]:
    """Return nbval's own view of a notebook's cells, none of them run."""
    return list(IPyNbFile.from_parent(session, path=path).collect())


def is_compared(cell: IPyNbCell) -> bool:
    return bool(cell.options["check"]) and cell.cell.execution_count is not None


@every_notebook
def test_one_wrong_character_is_seen(path: Path, request: pytest.FixtureRequest) -> None:
    cells = nbval_cells(path, request.session)
    ignored = [cell for cell in cells if not is_compared(cell)]
    assert all("timing" in cell.cell.metadata.tags for cell in ignored)
    for cell in cells:
        assert cell.compare_outputs(cell.cell.outputs, cell.cell.outputs)
        for kind, outputs in mutants(cell.cell):
            assert not cell.compare_outputs(outputs, cell.cell.outputs), f"{cell.name}: {kind}"


KINDS = """\
class Table:
    def __repr__(self): return "loss 0.6931"
    def _repr_html_(self): return "<b>0.6931</b>"
    def _repr_latex_(self): return "$\\\\ln 2$"
Table()
"""


def test_nbval_fails_on_exactly_the_cells_with_a_wrong_character(tmp_path: Path, nbval) -> None:
    cells = [
        new_code_cell("x = 1", execution_count=1),
        new_code_cell("print(x)", execution_count=2, outputs=[new_output("stream", text="1\n")]),
        new_code_cell("x + 1", execution_count=3, outputs=[new_output("execute_result", {"text/plain": "2"})]),
    ]
    data = {"text/plain": "loss 0.6931", "text/html": "<b>0.6931</b>", "text/latex": "$\\ln 2$"}
    cells.append(new_code_cell(KINDS, execution_count=4, outputs=[new_output("execute_result", data)]))
    nb = new_notebook(cells=cells, metadata=METADATA)
    path = tmp_path / "small.ipynb"
    path.write_text(to_text(nb), encoding="utf-8")
    assert nbval(path) == dict.fromkeys(range(4), "passed")

    kinds = [kind for cell in nb.cells for kind, _ in mutants(cell)]
    assert sorted(kinds) == ["text", "text/html", "text/latex", "text/plain", "text/plain"]
    for number in (1, 3):
        nb.cells[number].outputs = [outputs for _, outputs in mutants(nb.cells[number])][-1]
    path.write_text(to_text(nb), encoding="utf-8")
    expected = {0: "passed", 1: "failure", 2: "passed", 3: "failure"}
    assert nbval(path) == expected
    assert nbval_command(path, tmp_path / "report.xml") == expected, "as whoever runs nbval by its command sees it"


def test_a_cell_that_raises_and_one_behind_it_do_not_pass(tmp_path: Path, nbval) -> None:
    path = tmp_path / "raises.ipynb"
    cells = [new_code_cell("1 / 0", execution_count=1), new_code_cell("x = 1", execution_count=2)]
    path.write_text(to_text(new_notebook(cells=cells, metadata=METADATA)), encoding="utf-8")
    outcomes = nbval(path)
    assert outcomes[0] == "failure"
    assert outcomes == nbval_command(path, tmp_path / "report.xml")
