"""Tells what became of the mutants of the book's displays: tables, the reasons of survivors, a record, a command."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import yaml

from lossbook import files
from lossbook.book import docstrings, report_cache
from lossbook.book.report_cache import digest, fingerprint, folder
from lossbook.book.verify import DOCSTRINGS, paths, references
from lossbook.equations.edits import KINDS
from lossbook.equations.pages import Page, read
from lossbook.equations.scoring import Outcome, Scorer, basis

DATA = Path("data") / "equations" / "mutants.json"
REASONS = Path(__file__).with_name("survivors.yaml")
Tried = tuple[str, list[Outcome] | None]  # a display's mutants: a digest, and what became of them; None if it is false


@dataclass(frozen=True)
class Score:
    """What became of the mutants of a page.

    Attributes:
        page: The page's name.
        outcomes: One for each mutant.
        failing: The displays that don't hold as they stand, so that nothing can be said of their mutants.
        seconds: How long it took.
        fingerprint: A digest of all that this depends on.
    """

    page: str
    outcomes: list[Outcome]
    failing: list[str]
    seconds: float
    fingerprint: str = ""

    @property
    def displays(self) -> list[Line]:
        """How many mistakes were caught in each display."""
        labels = dict.fromkeys(outcome.display.label for outcome in self.outcomes)
        return [line(label, [o for o in self.outcomes if o.display.label == label]) for label in labels]

    @property
    def survivors(self) -> list[Outcome]:
        """The mutants that nothing named and that were not shown to be no mistakes."""
        return [outcome for outcome in self.outcomes if outcome.verdict == "survived"]


def score(path: Path, labels: Collection[str] = ()) -> Score:
    """Try every mutant of a page's displays (of all, or of those labelled so), or of the docstrings' formulas.

    What became of a display's mutants is kept in ``_build/mutants`` of the book until something changes that it
    depends on.
    """
    start = time.perf_counter()
    pages, outcomes, failing = pages_of(path), list[Outcome](), list[str]()
    place = folder(path) / "_build" / "mutants" / f"{path.stem}.pickle"
    before: dict[str, Tried] = report_cache.load(place, dict) or {}
    after: dict[str, Tried] = {}
    for page in pages:
        scorer = None
        for display in page.displays:
            key, tried = digest(basis(page, display)), before.get(display.label)
            if labels and display.label not in labels:
                after |= {display.label: tried} if tried else {}
                continue
            if tried is None or tried[0] != key:
                scorer = scorer or Scorer(page, references())
                tried = key, [*scorer.outcomes(display)] if scorer.holds(display) else None
            after[display.label] = tried
            if tried[1] is None:
                failing.append(display.label or "a display without a label")
            outcomes += [replace(each, display=display) for each in tried[1] or []]  # it may stand on another line now
    if after != before:
        report_cache.save(after, place)
    return Score(path.stem, outcomes, failing, time.perf_counter() - start, fingerprint(pages))


def keys(path: Path) -> dict[str, str]:
    """Return, for each display, a digest of all that what becomes of its mutants depends on."""
    return {display.label: digest(basis(page, display)) for page in pages_of(path) for display in page.displays}


def pages_of(path: Path) -> list[Page]:
    """Return a page, or the docstrings' pages."""
    return docstrings.pages() if path.name == DOCSTRINGS else [read(path)]


def score_all(found: Sequence[Path], workers: int = 2) -> list[Score]:
    """Score pages side by side, and return what was found in the same order."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(score, found))


# what is told


@dataclass(frozen=True)
class Line:
    """How many mistakes were caught on a page, of a kind, or in all.

    Attributes:
        name: The page, or the kind in words.
        caught: How many mistakes the checker named.
        survived: How many it did not name.
        equal: How many more changes were shown to be no mistakes.
    """

    name: str
    caught: int
    survived: int
    equal: int

    @property
    def mistakes(self) -> int:
        """How many changes were not shown to be no mistakes."""
        return self.caught + self.survived

    @property
    def share(self) -> float:
        """The share of the mistakes that were caught."""
        return self.caught / self.mistakes if self.mistakes else 1.0

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.caught} of {self.mistakes} mistakes caught ({100 * self.share:.2f} %), "
            f"{self.equal} more changes are no mistakes"
        )


@dataclass(frozen=True)
class Survivor:
    """A change that the checker did not name: where it is, what the row reads with it, and why that is true too."""

    page: str
    label: str
    kind: str
    row: str
    why: str


@dataclass(frozen=True)
class Tally:
    """What there is to tell of the mutants: each page, each kind, all of them, and the survivors.

    Attributes:
        pages: A line for each page.
        kinds: A line for each kind of mistake.
        whole: A line for all.
        survivors: The mistakes that were not caught.
        displays: By page, a line for each display.
        fingerprints: By page, a digest of all that its lines depend on.
    """

    pages: list[Line]
    kinds: list[Line]
    whole: Line
    survivors: list[Survivor]
    displays: dict[str, list[Line]]
    fingerprints: dict[str, str]


def line(name: str, outcomes: Collection[Outcome]) -> Line:
    """Count outcomes."""
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    return Line(name, verdicts["caught"], verdicts["survived"], verdicts["equal"])


def tally(scores: Sequence[Score]) -> Tally:
    """Return what there is to tell of the mutants of some pages."""
    every = [outcome for score in scores for outcome in score.outcomes]
    kinds = [line(words, [o for o in every if o.kind == kind]) for kind, words in KINDS.items()]
    why = reasons()
    survivors = [
        Survivor(score.page, o.display.label, o.kind, o.row, why.get((score.page, o.display.label, o.row), ""))
        for score in scores
        for o in score.survivors
    ]
    pages = [line(score.page, score.outcomes) for score in scores if score.outcomes]
    displays = {score.page: score.displays for score in scores if score.outcomes}
    fingerprints = {score.page: score.fingerprint for score in scores if score.outcomes}
    return Tally(pages, kinds, line("all", every), survivors, displays, fingerprints)


def reasons() -> dict[tuple[str, str, str], str]:
    """Return why each survivor is true too, by its page, its label and its row, as `survivors.yaml` has it."""
    table = yaml.safe_load(REASONS.read_text(encoding="utf-8")) or {}
    return {
        (page, label, " ".join(entry["row"].split())): entry["why"]
        for page, labels in table.items()
        for label, entries in labels.items()
        for entry in entries
    }


def save(found: Tally, path: Path) -> None:
    """Write what became of the mutants."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Tally:
    """Read what `save` wrote."""
    data = json.loads(path.read_text(encoding="utf-8"))
    pages, kinds = ([Line(**line) for line in data[name]] for name in ("pages", "kinds"))
    survivors = [Survivor(**survivor) for survivor in data["survivors"]]
    displays = {page: [Line(**line) for line in lines] for page, lines in data["displays"].items()}
    return Tally(pages, kinds, Line(**data["whole"]), survivors, displays, data["fingerprints"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the score of pages, and the mutants that survive."""
    parser = argparse.ArgumentParser(
        prog="python -m lossbook.book.mutants",
        description="Make every small mistake in the displays of pages, and list those that the checker does not name.",
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="a page, such as 03-bce; all unless given")
    parser.add_argument("--label", action="append", default=[], help="only this display; may be repeated")
    parser.add_argument("--equal", action="store_true", help="also list the changes that are no mistakes")
    parser.add_argument("--record", action="store_true", help="try all pages, and write what the book shows")
    options = parser.parse_args(arguments)
    if options.record:
        found = tally(score_all(paths(Path.cwd())))
        save(found, DATA)
        print(found.whole)
        return 0
    why = reasons()
    for path in paths(Path.cwd(), options.pages):
        scored = score(path, options.label)
        if not scored.outcomes and not scored.failing:
            continue
        for outcome in scored.outcomes:
            if outcome.verdict == "survived" or (options.equal and outcome.verdict == "equal"):
                print(f"  {outcome.display.label} [{outcome.kind}] {outcome.change}:  {outcome.row}")
                reason = outcome.reason or why.get((scored.page, outcome.display.label, outcome.row))
                print(f"      {reason or 'NOT CAUGHT, and survivors.yaml does not say why'}")
        for label in scored.failing:
            print(f"  {label} does not hold as it stands, so it has no mutants")
        print(f"{line(scored.page, scored.outcomes)}, {scored.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
