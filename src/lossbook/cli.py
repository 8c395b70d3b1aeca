"""The command `lossbook`: a thin face over the rooms."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import lossbook
from lossbook import installing


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 the work failed, 2 the command was wrong."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "lossbook":
            raise
        _complain(f"{error.name} is not installed; install it with: {installing.command(arguments.extra)}")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lossbook", description="Make the course, its lessons and its book, and grade what students hand in."
    )
    parser.add_argument("--version", action="version", version=f"lossbook {lossbook.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    release = commands.add_parser(
        "release", help="make the lessons' notebooks from solutions/*.md, and the lists of chapters"
    )
    release.add_argument("slugs", nargs="*", metavar="SLUG", help="a lesson, such as 03-bce; all unless given")
    release.add_argument("--check", action="store_true", help="only say what is stale; run nothing")
    release.set_defaults(run=_release, extra="author")

    new = commands.add_parser("new", help="begin a chapter: make its files, with a small loss that works")
    new.add_argument("row", metavar="ROW", help="its number and a slug of one word, such as 09-margin")
    new.set_defaults(run=_new, extra="author")

    book = commands.add_parser("book", help="build the book to _build/html")
    book.add_argument("--clean", action="store_true", help="forget the pages that were executed before")
    book.set_defaults(run=_book, extra="book")

    verify = commands.add_parser(
        "verify",
        help="check the displayed equations of the pages",
        description="Check every displayed equation of the book's pages from its own LaTeX. Exit code 0: all hold; "
        "1: one is false, or can't be read or checked.",
    )
    verify.add_argument("pages", nargs="*", metavar="PAGE", help="a page, such as 03-bce; all unless given")
    verify.set_defaults(run=_verify, extra="verify")

    record = commands.add_parser("record", help="time Python's sum against torch.sum here, and keep the result as data")
    record.add_argument("--out", type=Path, default=Path("data/timings"), metavar="DIR", help="default: %(default)s")
    record.set_defaults(run=_record, extra="book")
    bench = commands.add_parser(
        "bench",
        help="measure every loss in every implementation: time and memory",
        description="Measure losses in every implementation, on every device, forward and backward: time and peak "
        "memory. Each case is saved as soon as it is measured; the same command goes on where it was stopped. Exit "
        "code 0: done; 1: a case failed; 2: the command was wrong, or nothing could be measured.",
    )
    bench.add_argument("losses", nargs="*", metavar="LOSS", help="such as mse_loss; all unless given")
    bench.add_argument("--implementation", nargs="+", default=[], metavar="NAME", help="such as compiled; default: all")
    bench.add_argument("--device", nargs="+", default=[], metavar="DEVICE", help="cpu, cuda; default: what is there")
    bench.add_argument("--size", nargs="+", default=[], metavar="SIZE", help="such as 1000000 or 4096x1000")
    bench.add_argument("--dtype", nargs="+", default=[], metavar="DTYPE", help="such as bfloat16; default: float32")
    bench.add_argument(
        "--out", type=Path, default=Path("_build/bench"), metavar="FILE", help="or a folder; default: %(default)s"
    )
    bench.add_argument("--draw", type=Path, metavar="DIR", help="draw what was measured, into this folder")
    bench.add_argument("--again", action="store_true", help="begin the file anew")
    bench.add_argument("--quick", action="store_true", help="one size of each loss, and less time for each")
    bench.add_argument("--limits", action="store_true", help="measure the figures that the course sets itself")
    bench.set_defaults(run=_bench, extra="bench")

    grade = commands.add_parser(
        "grade",
        help="grade a folder or a zip archive of submitted notebooks",
        description="Grade submitted notebooks, each shut in by itself, and write grades.csv, a page for each student "
        "and index.html. The same command goes on where it was stopped, and grades what is new or has changed since.",
    )
    grade.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="a folder or a zip archive")
    grade.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the grades go")
    grade.add_argument(
        "--lessons", type=Path, metavar="DIR", help="the lessons as handed out; default: the course's own"
    )
    grade.add_argument(
        "--lesson", metavar="SLUG", help="the lesson that all answer, such as 03-bce; told from each else"
    )
    grade.add_argument(
        "--layout",
        default="auto",
        metavar="NAME",
        help="whose each file is: folders (one a student; folders:2 one level further down), files (one a student), "
        "canvas, moodle, nbgrader; default: told from the names and places of all",
    )
    grade.add_argument(
        "--pattern",
        default="",
        metavar="REGEX",
        help="finds (?P<student>...) in each notebook's path, and (?P<lesson>...) and (?P<attempt>...) if it has them",
    )
    grade.add_argument("--force", action="store_true", help="grade although it makes no sense whose the files are")
    grade.add_argument("--jobs", type=_positive, metavar="N", help="submissions at once; default: one a core")
    grade.add_argument(
        "--seconds",
        type=_positive,
        default=20,
        metavar="S",
        help="processor time of one submission, whatever else the machine does; asleep it may be twice as long; "
        "default: %(default)s",
    )
    grade.add_argument("--seed", type=int, metavar="N", help="what the random cases are drawn from; default: fresh")
    grade.add_argument("--regrade", action="store_true", help="grade all again; the earlier records are kept")
    grade.add_argument(
        "--isolation",
        choices=("namespaces", "none"),
        default="namespaces",
        help="none: run submissions with your own rights, where they can read, change and send what you can, and forge "
        "their marks; default: %(default)s",
    )
    grade.add_argument("--open", action="store_true", help="open the report in a browser at the end")
    grade.set_defaults(run=_grade, extra="grade")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is {text!r}; it must be a whole number, 1 or more")
    return int(text)


def _release(arguments: argparse.Namespace) -> int:
    from lossbook import exercises
    from lossbook.authoring import release, tables
    from lossbook.authoring.convention import AuthorError
    from lossbook.notebooks.execute import RunError

    root = Path.cwd()
    try:
        release.sources(root, arguments.slugs)
    except AuthorError as error:
        _complain(str(error))
        return 2
    try:
        if arguments.check:
            stale = tables.stale(root) + release.stale(root, arguments.slugs, exercises.exercise)
            for line in stale:
                _complain(f"{line}: run `lossbook release`")
            return 1 if stale else 0
        for path in tables.write(root):
            print(path.relative_to(root))
        release.release(root, arguments.slugs, exercises.exercise, say=print)
    except (AuthorError, RunError) as error:
        _complain(str(error))
        return 1
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from lossbook.authoring import new
    from lossbook.authoring.convention import AuthorError

    root = Path.cwd()
    try:
        for path in new.begin(root, arguments.row):
            print(path.relative_to(root))
    except AuthorError as error:
        _complain(str(error))
        return 2
    return 0


def _book(arguments: argparse.Namespace) -> int:
    from lossbook.book import building

    try:
        return building.build(Path.cwd(), clean=arguments.clean)
    except FileNotFoundError as error:
        _complain(str(error))
        return 2


def _verify(arguments: argparse.Namespace) -> int:
    from lossbook.book import verify

    return verify.run(Path.cwd(), arguments.pages, complain=_complain)


def _record(arguments: argparse.Namespace) -> int:
    from lossbook.timing.record import record

    if arguments.out.exists() and not arguments.out.is_dir():
        _complain(f"--out is {arguments.out}, a file; it must be a folder")
        return 2
    print(record(arguments.out, "lossbook record"))
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from lossbook.bench import command

    return command.main(arguments, complain=_complain)


def _grade(arguments: argparse.Namespace) -> int:
    from lossbook.grading import command

    return command.run(arguments, complain=_complain)


def _complain(text: str) -> None:
    print(f"lossbook: {text}", file=sys.stderr)
