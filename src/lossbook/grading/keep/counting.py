"""Which record counts where a student has several of one lesson, and what becomes of the others.

Within a root, which is a folder or an archive of submissions, files are compared as the root's census compared them. A
file that is there counts before one that is gone; of those that are gone, the one that counted last still does.
Between roots, the file that was handed in later counts: the one whose content was graded first in the later run. So
grading a root again makes none of its files newer, and no root takes another's records away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lossbook.grading.keep.records import Standing

GONE = 2**32  # by how much a census lowers the rank of what it does not find: more than there can be files
LESS = {"unreadable": "it could not be read", "not attempted": "nothing was written in it"}  # than in other files
# What is needed to compare the records, in the order of an index. A record is left out where the same file of the same
# root was graded again, and its content is the same, or could not be read before, or is another student's: it is then
# that file's newest record that tells. It is left out, too, where the file is one that is not used, as it is read now.
CANDIDATES = """
    SELECT s.id, s.run, runs.root, s.key, s.student, s.lesson, s.attempt, s.state,
        (SELECT coalesce(max(places.rank), 0) FROM places WHERE places.run = s.run AND places.key = s.key),
        (SELECT coalesce(max(places.why), '') FROM places WHERE places.run = s.run AND places.key = s.key),
        (SELECT min(first.run) FROM submissions AS first CROSS JOIN runs AS r ON r.id = first.run
            WHERE first.saved IS NOT NULL AND first.key = s.key AND first.sha256 = s.sha256 AND r.root = runs.root)
    FROM submissions AS s CROSS JOIN runs ON runs.id = s.run
    WHERE s.saved IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM submissions AS again CROSS JOIN runs AS r ON r.id = again.run
        WHERE again.saved IS NOT NULL AND again.key = s.key AND again.run > s.run AND r.root = runs.root
        AND (again.sha256 = s.sha256 OR again.student <> s.student OR s.state = 'unreadable'))
    AND NOT EXISTS (SELECT 1 FROM files WHERE files.root = runs.root AND files.key = s.key AND files.rank = 0)
    ORDER BY s.student, s.lesson
"""


@dataclass(frozen=True)
class Candidate:
    """A record, as far as it matters here.

    Args:
        id: Its number in the book.
        run: The run that made it.
        root: The folder or archive that its file lies in.
        key: The file.
        student: Whose it is.
        lesson: The lesson that it answers.
        attempt: The attempt that the platform numbers.
        state: What became of it, as in ``Record``.
        rank: The place of its file among the student's files in the root; below 0 once it is gone, 0 where unknown.
        why: What this place rests on.
        since: The run that first graded the file with this content.

    """

    id: int
    run: int
    root: str
    key: str
    student: str
    lesson: str
    attempt: int
    state: str
    rank: int
    why: str
    since: int


def ordered(records: Iterable[Candidate]) -> list[Candidate]:
    """Return the records of one student and lesson: the one that counts, then those it stands for, the newest first.

    What could not be read takes the place of no other file; only of what the same file held before.
    """
    every = list(records)
    broken = {(each.root, each.key): each.run for each in every if each.state == "unreadable"}

    def readable(each: Candidate) -> bool:
        return broken.get((each.root, each.key), -1) < each.run

    def place(each: Candidate) -> tuple[bool, int, int, int, str]:
        return readable(each), each.rank, each.attempt, each.run, each.key

    roots: dict[str, list[Candidate]] = {}
    for record in sorted(every, key=place, reverse=True):
        roots.setdefault(record.root, []).append(record)

    def age(own: list[Candidate]) -> tuple[bool, int, int, str]:
        return readable(own[0]), own[0].since, own[0].run, own[0].root

    return [record for own in sorted(roots.values(), key=age, reverse=True) for record in own]


def settled(lessons: Iterable[list[Candidate]]) -> list[list[Candidate]]:
    """Return one student's records of each lesson, in their order, with what could not be read put where it belongs.

    A file that was no notebook, so that its lesson is unknown, and that is gone from its root, stands back for a file
    that was there longer: this was put in its place.

    Args:
        lessons: The records of each lesson, the one that counts first.

    """
    known: list[list[Candidate]] = []
    unknown: list[list[Candidate]] = []
    for own in lessons:
        (known if own[0].lesson else unknown).append(own)
    left = []
    for record in (each for own in unknown for each in own):
        gone = record.rank // GONE
        instead = [own for own in known if own[0].root == record.root and own[0].rank // GONE > gone]
        if record.state == "unreadable" and gone < 0 and instead:
            max(instead, key=lambda own: own[0].run).append(record)
        else:
            left.append(record)
    return [*([left] if left else []), *known]


def standings(records: Sequence[Candidate]) -> Iterator[Standing]:
    """Yield what becomes of each file that the records of one student and lesson, in their order, were made from."""
    counts, seen = records[0], set()
    for record in records:
        if (record.root, record.key) in seen:
            continue
        seen.add((record.root, record.key))
        standing, why = "counts", ""
        lacks = LESS.get(record.state, "") if counts.state not in LESS else ""
        if lacks:
            where = "" if record.root == counts.root else f" in {counts.root}"
            standing, why = "superseded", f"{lacks}, and {counts.key}{where} counts"
        elif record.root != counts.root:
            standing, why = "superseded", f"{counts.key} in {counts.root} was handed in later and counts"
        elif record.key != counts.key:
            standing, why = "superseded", f"{counts.key} counts" + (f": {counts.why}" if counts.why else "")
        elsewhere = record.root != counts.root
        yield Standing(record.root, record.key, record.student, record.lesson, standing, why, elsewhere)
