"""What one sees of ``lossbook bench``: a bar while it measures, tables and a summary at the end."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from lossbook.bench import limits, plan, recordings, table
from lossbook.bench.implementations import applies
from lossbook.bench.memory import keep_freed
from lossbook.bench.plan import Case
from lossbook.bench.recordings import Recording, RecordingError
from lossbook.bench.running import FAILED, MEASURED, SKIPPED, Protocol, Row, run

Complain = Callable[[str], None]
BUDGETS = {False: 2.0, True: 0.4}


def main(arguments: argparse.Namespace, complain: Complain) -> int:
    """Measure as the command line says.

    Returns:
        The exit code: 0 done, 1 some case failed, 2 the command was wrong or nothing could be measured, 130 stopped.

    """
    protocol = Protocol(budget=BUDGETS[arguments.quick], memory="kept" if keep_freed() else "given back")
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # its remarks would break the bar
    try:
        wrong = _wrong(arguments)
        if wrong:
            raise plan.WrongCommandError(wrong)
        if arguments.limits:
            return _limits(arguments, protocol, complain)
        return _cases(arguments, protocol, complain)
    except (plan.WrongCommandError, RecordingError) as error:
        complain(str(error))
        return 2
    except OSError as error:
        complain(f"{error}; what was measured before is kept")
        return 1


def _wrong(arguments: argparse.Namespace) -> str | None:
    """Return what no part of the command can do anything with, or None."""
    for name, path in (("--out", arguments.out), ("--draw", arguments.draw)):
        folder = name == "--draw" or path.suffix != ".json"
        if path is not None and folder and path.exists() and not path.is_dir():
            also = "" if name == "--draw" else ", or a file named ….json"
            return f"{name} is {path}, a file; it must be a folder{also}"
    if arguments.out.suffix == ".json" and arguments.out.is_dir():
        return f"--out is {arguments.out}, a folder; a name that ends in .json must be that of a file"
    given = [
        name for name in ("losses", "implementation", "device", "size", "dtype", "draw") if getattr(arguments, name)
    ]
    if arguments.limits and given:
        said = "LOSS" if given[0] == "losses" else f"--{given[0]}"
        return f"{said} is given with --limits, which measures its own losses, sizes and devices; leave it out"
    return None


def _said(arguments: argparse.Namespace) -> str:
    """Return the command that measures the same, from its parsed arguments."""
    words = ["lossbook", "bench", *arguments.losses]
    for name in ("implementation", "device", "size", "dtype"):
        if given := getattr(arguments, name):
            words += [f"--{name}", *given]
    words += [f"--{name}" for name in ("quick", "limits") if getattr(arguments, name)]
    return shlex.join([*words, "--out", arguments.out.as_posix()])


def _here() -> list[str]:
    """Return the devices of this machine."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _cases(arguments: argparse.Namespace, protocol: Protocol, complain: Complain) -> int:
    asked = plan.cases(
        arguments.losses,
        arguments.implementation,
        arguments.device or _here(),
        [plan.parse_size(text) for text in arguments.size],
        arguments.dtype,
        quick=arguments.quick,
        applies=applies,
    )
    devices = [name for name in _here() if any(case.device == name for case in asked)] or ["cpu"]
    fresh = recordings.new("cases", _said(arguments), devices, asdict(protocol))
    path = recordings.place(arguments.out, fresh)
    recording = recordings.resume(path, fresh, again=arguments.again)
    done = recording.measured()
    wanted = [case for case in asked if case not in done]
    if len(wanted) < len(asked):
        complain(f"{len(asked) - len(wanted)} of {len(asked)} cases are in {path} already; --again measures them anew")
    try:
        _measure(wanted, recording, path, protocol, complain)
    except KeyboardInterrupt:
        kept = len(recording.measured() & set(asked))
        complain(f"stopped: {kept} of {len(asked)} cases are kept in {path}; the same command goes on from there")
        return 130
    return _conclude(asked, recording, path, arguments.draw)


def _measure(wanted: Sequence[Case], recording: Recording, path: Path, protocol: Protocol, complain: Complain) -> None:
    """Measure each case and save it at once, under a bar that tells the time left."""
    told: set[str | None] = set()
    with tqdm(total=len(wanted), unit=" cases", dynamic_ncols=True, file=sys.stderr, disable=None) as bar:
        for case in wanted:
            bar.set_postfix_str(f"{case.loss}, {case.implementation}", refresh=True)
            row = run(case, protocol)
            recording.put(row)
            recordings.save(recording, path)
            bar.update()
            if row.status != MEASURED and row.reason not in told:
                told.add(row.reason)
                bar.clear()
                complain(f"{row.status}: {case}: {row.reason}")
                bar.refresh()


def _conclude(asked: Sequence[Case], recording: Recording, path: Path, drawings: Path | None) -> int:
    """Print what was asked for, draw it, and return the exit code."""
    of = {row.case: row for row in recording.cases()}
    rows: list[Row] = [of[case] for case in asked]
    print(f"{recording.provenance()}\n")
    print(table.report(rows))
    counts = {status: sum(row.status == status for row in rows) for status in (MEASURED, SKIPPED, FAILED)}
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    print(f"\n{said}: {path}")
    if drawings is not None and counts[MEASURED]:
        from lossbook.bench.picture import draw_all

        for file in draw_all(rows, drawings):
            print(file)
    return 1 if counts[FAILED] else 0 if counts[MEASURED] else 2


def _limits(arguments: argparse.Namespace, protocol: Protocol, complain: Complain) -> int:
    """Measure the figures, each group saved at once; return 0 if none failed to be measured where it could be."""
    rules = {"rounds": limits.ROUNDS, "repeats": limits.REPEATS, "level": limits.LEVEL}
    fresh = recordings.new("limits", _said(arguments), _here(), asdict(protocol) | rules)
    path = recordings.place(arguments.out, fresh)
    recording = recordings.resume(path, fresh, again=arguments.again)
    done = {row["name"] for row in recording.rows if row["value"] is not None}
    tasks = limits.tasks()
    order = [figure.name for task in tasks for figure in task.wanted]
    try:
        with tqdm(total=len(tasks), unit=" groups", dynamic_ncols=True, file=sys.stderr, disable=None) as bar:
            for task in tasks:
                bar.set_postfix_str(task.name, refresh=True)
                if not done.issuperset(figure.name for figure in task.wanted):
                    found = [figure.as_dict() for figure in task.figures(protocol.budget)]
                    names = {figure["name"] for figure in found}
                    recording.rows = [row for row in recording.rows if row["name"] not in names] + found
                    recording.rows.sort(key=lambda row: order.index(row["name"]))
                    recordings.save(recording, path)
                bar.update()
    except KeyboardInterrupt:
        complain(f"stopped: {len(recording.rows)} figures are kept in {path}; the same command goes on from there")
        return 130
    figures = [limits.Figure.from_dict(row) for row in recording.rows]
    print(f"{recording.provenance()}\n\n{table.text(limits.cells(figures), left=2)}\n\n{path}")
    return 1 if any((figure.reason or "").startswith("failed") for figure in figures) else 0
