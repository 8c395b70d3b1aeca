"""What a teacher sees of ``lossbook grade``: a bar while it works, and a summary at the end."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import re
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from lossbook.grading.census import SHOWN, Census
from lossbook.grading.grade import Done, Options, grade
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import Record, RecordsError
from lossbook.grading.read.finding import LayoutError, NotFoundError
from lossbook.grading.read.handed_out import ReleaseError, releases
from lossbook.grading.run.isolation import NONE, IsolationError
from lossbook.grading.run.supervisor import Limits
from lossbook.grading.tell import report
from lossbook.grading.tell.wording import counted

OPEN = """\
Submissions run with your own rights: they can read, change and send what you can, reach the course's answers and
forge their marks. The records are marked so. Use this only for code that you trust as your own."""
INSTEAD = "or, for submissions that you trust as your own code, give --isolation none"


def run(arguments: argparse.Namespace, complain: Callable[[str], None]) -> int:
    """Grade as the command line says; return the exit code: 0 done, 1 it could not be done, 2 the command was wrong."""
    if wrong := _wrong(arguments):
        complain(wrong)
        return 2
    try:
        options = _options(arguments)
        if options.isolation == NONE:
            complain(OPEN)
        done = _with_bar(options)
        with Book(options.out) as book:
            titles = {name: release.title for name, release in releases(options.lessons).items()}
            summary = report.write(book, options.out, titles)
    except (NotFoundError, LayoutError, ReleaseError) as error:
        complain(re.sub("^root is", "SUBMISSIONS is", str(error)))
        return 2
    except IsolationError as error:
        if arguments.isolation == NONE:
            complain(f"submissions can't be run on this machine: {error}")
        else:
            complain(f"submissions can't be shut in on this machine: {error}\n  Install what is missing, {INSTEAD}.")
        return 1
    except RecordsError as error:
        complain(str(error))
        return 1
    except OSError as error:
        complain(f"{error}; what was graded is kept, and the same command goes on from there")
        return 1
    except KeyboardInterrupt:
        complain("stopped; what was graded is kept, and the same command goes on from there")
        return 130
    _say(done, summary, options)
    if arguments.open and not webbrowser.open(summary.index.resolve().as_uri()):
        print("No browser could be opened here: open the report by hand.")
    return 0


def _wrong(arguments: argparse.Namespace) -> str:
    """Return what is wrong with the command line, as far as it shows before anything is read, or nothing."""
    out, submissions = arguments.out.resolve(), arguments.submissions.resolve()
    if out.exists() and not out.is_dir():
        return f"--out is {arguments.out}, a file; it must be a folder"
    if out == submissions or submissions in out.parents:
        return f"--out is {arguments.out}, inside the submissions; it must be a folder elsewhere"
    if arguments.seed is not None and not -(2**63) <= arguments.seed < 2**63:
        return f"--seed is {arguments.seed}; it must fit 64 bits"
    return ""


def _options(arguments: argparse.Namespace) -> Options:
    made = Options(
        submissions=arguments.submissions,
        out=arguments.out,
        lessons=arguments.lessons or _own_lessons(),
        lesson=arguments.lesson,
        limits=Limits(total=arguments.seconds, cell=arguments.seconds / 4, exercise=arguments.seconds / 6),
        isolation=arguments.isolation,
        seed=arguments.seed,
        regrade=arguments.regrade,
        layout=arguments.layout,
        pattern=arguments.pattern,
        force=arguments.force,
    )
    return dataclasses.replace(made, jobs=arguments.jobs) if arguments.jobs else made


def _own_lessons() -> Path:
    """Return the folder of the course's lessons: beside the package when installed, else in the project."""
    package = Path(__file__).parents[1]
    for folder in (package / "lessons", package.parents[1] / "lessons"):
        if folder.is_dir():
            return folder
    raise ReleaseError("the course's lessons are not installed here; give --lessons DIR")


def _with_bar(options: Options) -> Done:
    bar = tqdm(unit=" submissions", dynamic_ncols=True, file=sys.stderr, disable=None)

    def progress(done: int, of: int, record: Record) -> None:
        if bar.total != of:
            bar.reset(of)
        bar.update(done - bar.n)

    def announce(census: Census) -> None:
        for line in census.lines():
            bar.write(line, file=sys.stdout)

    try:
        return asyncio.run(grade(options, progress, announce))
    except BaseExceptionGroup as group:
        raise _first(group) from None
    finally:
        bar.close()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say(done: Done, summary: report.Summary, options: Options) -> None:
    kept = f"{done.found - done.graded} of {done.found} were graded already"
    if done.continued:
        print(f"Went on with the run that had been cut short: {kept}.")
    elif done.graded < done.found:
        print(f"{kept} and have not changed; --regrade grades them again.")
    counts = ", ".join(f"{count} {state}" for state, count in summary.states.items())
    print(f"{counted(summary.students, 'student')}: {counts}.")
    if summary.out_of:
        print(f"Points won: {summary.points:g} of {summary.out_of:g} ({summary.points / summary.out_of:.0%}).")
    if summary.forgeable:
        forgeable = counted(summary.forgeable, "submission was", "submissions were")
        print(f"{forgeable} graded without isolation: the marks may be forged.")
    _say_elsewhere(summary)
    print(f"Report: {summary.index}\nTable:  {summary.grades}\nFiles:  {summary.index.with_name('files.csv')}")


def _say_elsewhere(summary: report.Summary) -> None:
    """Name the files for which one in another folder counts; those of the same folder stand in the census."""
    superseded = [each for each in summary.idle if each.elsewhere]
    for each in superseded[:SHOWN]:
        print(f"  superseded: {each.key} in {each.root} ({each.student}, {each.lesson}); {each.why}")
    if len(superseded) > SHOWN:
        print(f"  and {len(superseded) - SHOWN:,} more: files.csv names all of them")
