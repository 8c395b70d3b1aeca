"""The timing cells of the lessons on a busy machine: they say so, and tell nothing that rests on a noisy time."""

import contextlib
import io
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import jupytext
import matplotlib
import matplotlib.pyplot as plt
import pytest

import lossbook.timing
from lossbook.timing import Machine, sums

matplotlib.use("Agg")

SOLUTIONS = sorted((Path(__file__).parents[2] / "solutions").glob("*.md"))
measured = import_module("lossbook.timing.measure").measure  # the package has a function of that name


MADE_UP = Machine("cpu", "made up", 1, ((2**18, 1e11), (2**28, 2e10)), launch=1e-9, peak=1e11)
RATIO = re.compile(r"\d times|times as long|ratio +\d|[\d.]+ ?% of the bound|slope -?\d|need [\d.]+ %")


def printed_by(path, monkeypatch, *, noisy):
    """Run a lesson whose measurements are all noisy, or all calm; return what each of its timing cells printed."""

    def measure(function, *args, **options):
        kept = {key: value for key, value in options.items() if key in ("device", "own")}
        return replace(measured(function, *args, warmup=0, repeats=1, work=False, **kept), noisy=noisy)

    for module in (lossbook.timing, sums):
        monkeypatch.setattr(module, "measure", measure)
        monkeypatch.setattr(module, "machine_speed", lambda device="cpu": MADE_UP)
    monkeypatch.setattr(sums, "measure_anew", lambda device="cpu": MADE_UP)
    monkeypatch.setattr(sums, "TRIES", 2)
    monkeypatch.setattr("torch.compile", lambda function, **options: function)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    space, printed = {"__name__": "lesson"}, []
    for cell in jupytext.read(path).cells:
        timing = "timing" in cell.metadata.get("tags", [])
        needed = timing or re.search(r"^(def|class|from|import) ", cell.source, re.M)  # the rest trains and draws
        if cell.cell_type == "code" and needed and "pip" not in cell.source:
            with contextlib.redirect_stdout(io.StringIO()) as told:
                exec(compile(cell.source, path.name, "exec"), space)
            for number in plt.get_fignums():
                plt.figure(number).canvas.draw()
            plt.close("all")
            if timing:
                printed.append(told.getvalue())
    return printed


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_a_busy_machine_is_named_and_no_ratio_is_told(path, monkeypatch):
    printed = printed_by(path, monkeypatch, noisy=True)
    assert printed
    for text in printed:
        assert "Run the cell again." in text
        assert [line for line in text.splitlines() if RATIO.search(line) and "predicted" not in line] == []


def test_on_a_calm_one_they_are_told(monkeypatch):
    (path,) = (path for path in SOLUTIONS if path.stem == "02-mse")
    (race,) = printed_by(path, monkeypatch, noisy=False)
    assert RATIO.search(race)
    assert "too busy" not in race
