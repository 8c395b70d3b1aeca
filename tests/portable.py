"""Tries, with what the package itself needs and nothing else, what a lesson does on a student's machine.

It runs every function of the solutions' notebooks and checks it, and checks one wrong answer and one stub. CI runs it
on macOS and Windows, and on what a release would publish: ``python tests/portable.py``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lossbook
from lossbook import losses
from lossbook.exercises import check, exercises
from lossbook.timing import measure

SOLUTIONS = sorted((Path(__file__).parents[1] / "solutions").glob("*.ipynb"))
IMPORTS = ("import ", "from ")


def functions(path: Path) -> dict:
    """Return what the cells of a notebook define that hold imports or an exercise's function."""
    names: dict = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        installs = "%pip" in source or "subprocess" in source
        wanted = source.startswith(IMPORTS) or "### BEGIN SOLUTION" in source
        if cell["cell_type"] == "code" and wanted and not installs:
            exec(compile(source, f"{path.stem}: {source.strip().splitlines()[0]}", "exec"), names)
    return names


def main() -> int:
    """Return how many answers were not told right."""
    faults = []
    met: set[str] = set()
    for path in SOLUTIONS:
        names = functions(path)
        for name in sorted(exercises().keys() & names.keys()):
            met.add(name)
            report = check(names[name])
            if not report.passed:
                faults.append(f"{path.stem}, {name}: {report!r}")
    faults += [f"no solution of {name} was found" for name in sorted(exercises().keys() - met)]

    def bce(p, y):  # the minus is missing
        return (y * p.log() + (1 - y) * (1 - p).log()).mean()

    def sigmoid(z):
        raise NotImplementedError

    for wrong in (bce, sigmoid):
        if check(wrong).passed:
            faults.append(f"{wrong.__name__}: accepted, and wrong")
    if not measure(lambda: None).median >= 0:
        faults.append("measure gave no time")
    assert losses.__all__
    print(f"lossbook {lossbook.__version__}: {len(met)} answers checked, {len(faults)} faults", *faults, sep="\n")
    return len(faults)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
