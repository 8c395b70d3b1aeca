"""The command `lossbook verify`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch.nn.functional as F

from lossbook import losses
from lossbook.book import docstrings
from lossbook.equations.checking import Record, check_page
from lossbook.equations.code_agreement import Functions, Library
from lossbook.equations.pages import Display, Page, read

PAGES = "book"
CLASSES = {"cross_entropy": "target", "nll_loss": "target", "best_constant_cross_entropy": "y"}
DOCSTRINGS = "docstrings"  # what stands for a page's name where the docstrings of the losses are meant


@dataclass
class Report:
    """What was found on one page: its faults, each with its place, and the record of each display."""

    page: Page
    records: list[Record]
    faults: list[str]
    seconds: float
    cpu_seconds: float = 0.0


def paths(root: Path, names: Sequence[str] = ()) -> list[Path]:
    """Return the pages of the book and the docstrings, or those that are named.

    Raises:
        ValueError: A name is no page; the message lists them.
    """
    every = {path.stem: path for path in sorted((root / PAGES).glob("*.md"))}
    if not every:
        raise ValueError(f"{root / PAGES} holds no page: run this in the folder of the course")
    every[DOCSTRINGS] = root / DOCSTRINGS
    wanted = [Path(name).stem for name in names]
    for name in wanted:
        if name not in every:
            raise ValueError(f"no page is called {name!r}; the pages are {', '.join(every)}")
    return [every[name] for name in wanted] if names else [*every.values()]


def references() -> Functions:
    """Return what the formulas are held against: the reference implementations, and PyTorch's own."""
    own = Library("lossbook.losses", docstrings.functions())
    public = {name: getattr(F, name) for name in losses.__all__ if hasattr(F, name)}
    return Functions(own, (Library("torch.nn.functional", public, "PyTorch"),), CLASSES)


def verify(path: Path) -> Report:
    """Check one page, or the docstrings of the losses if that is the path's name."""
    start, used = time.perf_counter(), time.process_time()
    report = Report(Page(path.stem, path), [], [], 0.0)
    for page in docstrings.pages() if path.name == DOCSTRINGS else [read(path)]:
        table, records = check_page(page, functions=references())
        report.records += records
        report.faults += [*page.faults, *table.faults]
        for record in records:
            if record.display.label in table.trees:  # the table has told what can't be read
                report.faults += [f"{place(record.display)}, {fault}" for fault in record.faults]
    report.seconds, report.cpu_seconds = time.perf_counter() - start, time.process_time() - used
    return report


def place(display: Display) -> str:
    """Name a display: its page and its label."""
    return f"{display.page}, {display.label or 'without a label'}"


def verify_all(found: Sequence[Path], workers: int = 2) -> list[Report]:
    """Check pages side by side, and return their reports in the same order."""
    if len(found) < 2:
        return [verify(path) for path in found]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(verify, found))


def run(root: Path, names: Sequence[str], complain: Callable[[str], None], say: Callable[[str], None] = print) -> int:
    """Check pages and print what was found. Return 0 if all holds, 1 if not, 2 if a page is unknown."""
    try:
        found = paths(root, names)
    except ValueError as error:
        complain(str(error))
        return 2
    reports = verify_all(found)
    for report in reports:
        for fault in report.faults:
            complain(fault)
        if report.records or report.faults:
            relations = sum(len(record.steps) for record in report.records)
            points = sum(step.points for record in report.records for step in record.steps)
            verdict = f"{len(report.faults)} faults" if report.faults else "all hold"
            say(
                f"{report.page.name}  {len(report.records)} displays, {relations} relations at {points} points, "
                f"{report.seconds:.1f} s: {verdict}"
            )
    return 1 if any(report.faults for report in reports) else 0
