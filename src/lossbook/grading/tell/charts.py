"""The class at a glance: what is counted over the records of a lesson, and the pictures of it, drawn from numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from markupsafe import Markup

from lossbook.grading.keep.records import Mark, Record

UNGRADED = ("partial", "timed out", "killed", "unreadable")
BINS = 10
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 420, 170, 30, 18, 34  # pixels of the histogram, and around its bars
MOST_MISTAKES = 8


@dataclass
class Tally:
    """How a class did in one exercise."""

    function: str
    states: Counter[str] = field(default_factory=Counter)
    mistakes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, mark: Mark) -> None:
        """Count one student's mark."""
        self.states[mark.state] += 1
        if mark.misconception:
            self.mistakes[mark.misconception, mark.advice] += 1

    @property
    def passing(self) -> float:
        """The share of students who passed, of those whose work could be judged."""
        return self.states["passed"] / max(1, self.states.total() - self.states["lost"])

    @property
    def bar(self) -> Markup:
        """The picture of it."""
        return bar([(self.states["passed"], "right"), (self.states["failed"], "wrong"), *self._rest()])

    def _rest(self) -> list[tuple[int, str]]:
        return [(self.states["not attempted"], "blank"), (self.states["lost"], "lost")]


@dataclass(frozen=True)
class Trouble:
    """What a teacher should look at: whose, where their page is, and what it is."""

    student: str
    page: str
    state: str
    text: str


@dataclass
class Group:
    """How a class did in one lesson."""

    slug: str
    title: str
    states: Counter[str] = field(default_factory=Counter)
    shares: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    out_of: float = 0.0
    late: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    remarks: list[Trouble] = field(default_factory=list)
    files: dict[str, list[Trouble]] = field(default_factory=dict)

    def add(self, record: Record, page: str) -> None:
        """Count one student's record.

        Args:
            record: The record that counts.
            page: The address of the student's page.

        """
        self.states[record.state] += 1
        self.late += record.late
        if record.out_of > 0 and record.state != "unreadable":
            self.shares.append(record.points / record.out_of)
            self.points.append(record.points)
            self.out_of = max(self.out_of, record.out_of)
        for mark in record.marks:
            self.tallies.setdefault(mark.function, Tally(mark.function)).add(mark)
        if record.state in UNGRADED:
            self.troubles.append(Trouble(record.student, page, record.state, record.reason))
        self.remarks += [Trouble(record.student, page, record.state, remark) for remark in record.remarks]
        if record.sha256 and record.state not in ("unreadable", "not attempted"):
            self._compare(record, page)

    def _compare(self, record: Record, page: str) -> None:
        """Note where a file is, byte for byte, another student's: with the first, and once with all others."""
        same = self.files.setdefault(record.sha256, [])
        others = {one.student for one in same} - {record.student}
        same.append(Trouble(record.student, page, record.state, ""))
        if others:
            first = same[0]
            self._same(record.student, page, record.state, first.student)
            if len(others) == 1 and record.student not in {one.student for one in same[:-1]}:
                self._same(first.student, first.page, first.state, record.student)

    def _same(self, student: str, page: str, state: str, other: str) -> None:
        self.remarks.append(Trouble(student, page, state, f"the file is, byte for byte, that of {other}"))

    @property
    def handed_in(self) -> int:
        """How many students handed something in."""
        return self.states.total()

    @property
    def perfect(self) -> int:
        """How many have all points."""
        return sum(share >= 1 for share in self.shares)

    @property
    def median(self) -> float:
        """The median share of the points."""
        return median(self.shares) if self.shares else 0.0

    @property
    def median_points(self) -> float:
        """The median of the points."""
        return median(self.points) if self.points else 0.0

    @property
    def hardest_first(self) -> list[Tally]:
        """The exercises, those that fewest passed first."""
        return sorted(self.tallies.values(), key=lambda tally: tally.passing)

    @property
    def mistakes(self) -> list[tuple[int, str, str, str]]:
        """The commonest misconceptions: how many, in which exercise, what, and what would help."""
        found = [
            (count, tally.function, *mistake)
            for tally in self.tallies.values()
            for mistake, count in tally.mistakes.items()
        ]
        return sorted(found, key=lambda one: (-one[0], one[1], one[2]))[:MOST_MISTAKES]

    @property
    def histogram(self) -> Markup:
        """The picture of the scores."""
        return histogram(self.shares)


def bar(parts: Sequence[tuple[int, str]]) -> Markup:
    """Return a bar in parts, as an SVG element that fills its place. Text beside it must say the numbers.

    Args:
        parts: Size and class of each part.

    """
    whole = max(1, sum(size for size, _ in parts))
    start, drawn = 0.0, []
    for size, kind in parts:
        width = 100 * size / whole
        if size:
            drawn.append(f'<rect class="{kind}" x="{start:.2f}" y="0" width="{width:.2f}" height="10"/>')
        start += width
    opening = '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
    return Markup("".join([opening, *drawn, "</svg>"]))


def histogram(shares: Sequence[float]) -> Markup:
    """Return how shares from 0 to 1 are distributed, as an SVG element with a title that says it in numbers."""
    counts = [0] * BINS
    for share in shares:
        counts[min(BINS - 1, max(0, int(share * BINS + 1e-9)))] += 1
    tallest, floor = max(1, *counts), HEIGHT - BOTTOM
    step = (WIDTH - LEFT) / BINS
    said = ", ".join(f"{count} from {10 * place} to {10 * place + 10} percent" for place, count in enumerate(counts))
    parts = [
        f'<svg class="histogram" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Students by score: {said}">'
    ]
    for place, count in enumerate(counts):
        tall = (floor - TOP) * count / tallest
        x = LEFT + step * place
        parts.append(f'<rect class="right" x="{x + 2:.1f}" y="{floor - tall:.1f}" width="{step - 4:.1f}" '
                     f'height="{tall:.1f}" rx="2"/>')  # fmt: skip
        if count:
            parts.append(f'<text x="{x + step / 2:.1f}" y="{floor - tall - 4:.1f}" text-anchor="middle">{count}</text>')
    for place in range(0, BINS + 1, 2):
        anchor = "end" if place == BINS else "middle"
        parts.append(f'<text x="{LEFT + step * place:.1f}" y="{floor + 14}" text-anchor="{anchor}">{10 * place}</text>')
    parts.append(f'<path d="M{LEFT} {floor + 0.5}H{WIDTH}" stroke="currentColor" opacity=".4"/>')
    if shares:
        x = LEFT + (WIDTH - LEFT) * min(1.0, max(0.0, median(shares)))
        line = f'd="M{x:.1f} {TOP - 6}V{floor}"'
        parts.append(f'<path class="halo" {line}/><path class="median" {line} stroke-dasharray="4 3"/>')
    middle = (LEFT + WIDTH) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">percent of the points</text></svg>')
    return Markup("".join(parts))
