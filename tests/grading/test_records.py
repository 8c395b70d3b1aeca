"""The book of grades: what goes in comes out, whatever happens in between."""

import json
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from lossbook.grading.keep import database
from lossbook.grading.keep.counting import CANDIDATES
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import BusyError, Listed, Mark, Record, RecordsError, Waiting
from lossbook.grading.tell import report

DRAWING = {"xlabel": "z", "ylabel": "loss", "x": [0.0, 1.0], "mine": [None, 2.5], "right": [1.0, 2.0]}
FAILED = Mark(
    "sigmoid", "failed", 0.0, 2.0, 9, (("sigmoid([1])", "large z", "got 1\nexpected 2"),), 4, "the minus", "Mind it.",
    "Look at z.", DRAWING,
)  # fmt: skip
RECORD = Record(
    "ann/bce.ipynb", "Ann", "bce", 1, False, "aa", "graded", "", 1.0, 3.0, 2.5, "namespaces",
    (Mark("odds", "passed", 1.0, 1.0, 5), FAILED),
    ((3, "NameError: name 'q' is not defined"),), ("cell 5 names torch._C",),
)  # fmt: skip


def changed(book, files, *root, student="Ann", lesson=""):
    return book.changed([Waiting(key, student, lesson, sha256=sha256) for key, sha256 in files.items()], *root)


def begin(book, *records, **options):
    waiting = [Waiting(record.key, record.student, sha256=record.sha256) for record in records]
    return book.begin(waiting, **{"seed": 7, "isolation": "namespaces", "root": "/submissions", **options})


def test_round_trip(tmp_path):
    with Book(tmp_path / "out") as book:
        run = begin(book, RECORD, lessons=["bce"], options={"jobs": 4})
        book.save(run, RECORD)
        book.finish(run)
    with Book(tmp_path / "out") as book:
        (kept,) = book.newest()
        assert kept.record == RECORD
        assert kept.run == book.runs()[0]
        assert (kept.run.seed, kept.run.isolation, kept.run.lessons) == (7, "namespaces", ("bce",))
        assert kept.run.options == {"jobs": 4}
        assert kept.run.started <= kept.saved <= kept.run.finished
        assert kept.run.python.startswith("3.")


@pytest.mark.parametrize(
    "name", ["a\udcffb", "\ude00\ud83d", "nul\0here", "'; DROP TABLE runs; --", "é/日本", "\u202eAnn"]
)
def test_names_come_out_as_they_went_in(tmp_path, name):
    record = replace(
        RECORD, key=name, student=name, lesson=name, reason=name, remarks=(name,), cell_errors=((1, name),)
    )
    with Book(tmp_path) as book:
        run = begin(book, record, root=f"/s/{name.replace(chr(0), '')}")
        assert book.waiting(run) == [name]
        book.save(run, record)
        assert book.waiting(run) == []
        assert [kept.record for kept in book.newest()] == [record]
        assert [kept.record for kept in book.history(name, name)] == [record]
        assert changed(book, {name: "aa"}, student=name) == []


def test_names_that_look_alike_stay_apart(tmp_path):
    with Book(tmp_path) as book:
        ann, false = RECORD, replace(RECORD, key="other", student="Ann\u200b", points=0.0)
        run = begin(book, ann, false)
        book.save(run, ann)
        book.save(run, false)
        assert len(list(book.newest())) == 2


def test_long_texts_are_cut_and_long_lists_too(tmp_path):
    long = "x" * 1_000_000
    mark = replace(FAILED, failures=((long, long, long),) * 9, advice=long)
    record = replace(RECORD, reason=long, marks=(mark,), cell_errors=((1, long),) * 99, remarks=(long,) * 99)
    with Book(tmp_path) as book:
        book.save(begin(book), record)
        kept = next(book.newest()).record
    assert len(kept.reason) == 4000
    assert len(kept.marks[0].failures) == 3
    assert len(kept.cell_errors) == len(kept.remarks) == 50
    assert (tmp_path / "grades.sqlite").stat().st_size < 2_000_000


def test_any_number_of_an_attempt_is_kept_in_bounds(tmp_path):
    with Book(tmp_path) as book:
        book.save(begin(book), replace(RECORD, attempt=10**30))
        assert next(book.newest()).record.attempt == 2**62


def test_states_and_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match="state is 'good'; it must be one of graded, partial"):
        replace(RECORD, state="good")
    with pytest.raises(ValueError, match="state is 'good'; it must be one of passed, failed"):
        replace(FAILED, state="good")
    with Book(tmp_path) as book:
        with pytest.raises(ValueError, match=r"waiting has the key 'ann/bce.ipynb' 2 times"):
            begin(book, RECORD, RECORD)
        with pytest.raises(ValueError, match="seed is 9223372036854775808; it must fit 64 bits"):
            begin(book, seed=2**63)
        assert book.runs() == []


def test_an_unfinished_run_is_found_and_continued(tmp_path):
    second = replace(RECORD, key="bob/bce.ipynb", student="Bob")
    with Book(tmp_path) as book:
        assert book.unfinished("/submissions") is None
        book.save(begin(book, RECORD, second), RECORD)
    with Book(tmp_path) as book:
        run = book.unfinished("/submissions")
        assert book.unfinished() == run
        assert book.unfinished("/others") is None
        assert book.waiting(run) == [second.key]
        assert book.left(run) == [Waiting(second.key, "Bob", sha256="aa")]
        book.save(run, second)
        assert book.finish(run).finished
        assert book.unfinished("/submissions") is None
        assert [kept.record.student for kept in book.newest()] == ["Ann", "Bob"]


def test_a_relative_root_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Book("out") as book:
        begin(book, root="here")
    monkeypatch.chdir("/")
    with Book(tmp_path / "out") as book:
        assert book.unfinished(tmp_path / "here")


def test_a_run_abandoned_before_a_finished_one_is_not_continued(tmp_path):
    with Book(tmp_path) as book:
        begin(book, RECORD)
        book.finish(begin(book, RECORD))
        assert book.unfinished("/submissions") is None


def test_regrading_keeps_the_old_and_counts_the_new(tmp_path):
    better = replace(RECORD, points=3.0, sha256="bb")
    with Book(tmp_path) as book:
        book.save(begin(book, RECORD), RECORD)
        assert changed(book, {RECORD.key: "aa", "new": "cc"}) == ["new"]
        assert changed(book, {RECORD.key: "bb"}) == [RECORD.key]
        run = begin(book, better)
        assert [kept.record for kept in book.newest()] == [RECORD]  # what waits counts for nothing yet
        assert changed(book, {RECORD.key: "bb"}) == [RECORD.key]
        book.save(run, better)
        assert [kept.record for kept in book.newest()] == [better]
        assert [kept.record for kept in book.history("Ann", "bce")] == [better, RECORD]
        assert changed(book, {RECORD.key: "bb"}) == []


def test_the_highest_attempt_counts_before_the_newest_run(tmp_path):
    second = replace(RECORD, key="ann/2.ipynb", attempt=2)
    with Book(tmp_path) as book:
        book.save(begin(book), second)
        book.save(begin(book), RECORD)
        assert [kept.record.attempt for kept in book.newest()] == [2]
        assert [kept.record.attempt for kept in book.history("Ann", "bce")] == [2, 1]


def test_of_two_files_alike_in_all_the_same_one_counts_in_whatever_order_they_were_graded(tmp_path):
    files = [replace(RECORD, key=key) for key in "abc"]
    counted = set()
    for order in (files, files[::-1]):
        with Book(tmp_path / order[0].key) as book:
            run = begin(book, *files)
            for record in order:
                book.save(run, record)
            (kept,) = book.newest()
            counted.add(kept.record.key)
    assert counted == {"c"}


def keep(book, *records, root="/submissions"):
    run = begin(book, *records, root=root)
    for record in records:
        book.save(run, record)
    return book.finish(run)


def counting(book):
    return {(kept.record.student, kept.record.lesson): kept.record.points for kept in book.newest()}


def test_last_weeks_grade_stays_when_another_folder_has_a_file_of_the_same_path(tmp_path):
    with Book(tmp_path) as book:
        keep(book, RECORD, root="/w3")
        keep(book, replace(RECORD, lesson="ce", sha256="bb", points=2.0), root="/w4")
        assert counting(book) == {("Ann", "bce"): 1.0, ("Ann", "ce"): 2.0}
        assert changed(book, {RECORD.key: "aa"}, "/w3") == changed(book, {RECORD.key: "bb"}, "/w4") == []
        assert changed(book, {RECORD.key: "aa"}, "/w4") == [RECORD.key]


def test_last_weeks_grade_stays_when_the_same_folder_holds_this_weeks_files(tmp_path):
    with Book(tmp_path) as book:
        keep(book, RECORD)
        keep(book, replace(RECORD, lesson="ce", sha256="bb", points=2.0))
        assert counting(book) == {("Ann", "bce"): 1.0, ("Ann", "ce"): 2.0}


def test_the_same_file_that_turns_out_to_be_of_another_lesson_or_student_counts_once(tmp_path):
    with Book(tmp_path) as book:
        keep(book, RECORD)
        keep(book, replace(RECORD, lesson="ce"))
        assert counting(book) == {("Ann", "ce"): 1.0}
        keep(book, replace(RECORD, lesson="ce", student="Ann Lee"))
        assert counting(book) == {("Ann Lee", "ce"): 1.0}


def test_what_no_longer_counts_takes_no_other_record_with_it(tmp_path):
    other = replace(RECORD, key="ann/other.ipynb", points=2.0)
    with Book(tmp_path) as book:
        keep(book, other)
        keep(book, RECORD)
        keep(book, replace(RECORD, lesson="ce"))  # the same file: it is no record of bce any more
        assert counting(book) == {("Ann", "bce"): 2.0, ("Ann", "ce"): 1.0}


def test_of_two_folders_the_file_handed_in_later_counts_and_regrading_makes_none_newer(tmp_path):
    first, again = replace(RECORD, attempt=2), replace(RECORD, key="ann.ipynb", sha256="bb", points=2.0)
    with Book(tmp_path) as book:
        keep(book, first, root="/first")
        keep(book, again, root="/again")
        assert counting(book) == {("Ann", "bce"): 2.0}
        keep(book, replace(first, points=1.5), root="/first")  # graded again, the same file
        assert counting(book) == {("Ann", "bce"): 2.0}
        told = {(each.root, each.standing): each.why for each in book.standings()}
        assert told == {
            ("/again", "counts"): "",
            ("/first", "superseded"): "ann.ipynb in /again was handed in later and counts",
        }
        keep(book, replace(first, sha256="cc", points=3.0), root="/first")  # a new file
        assert counting(book) == {("Ann", "bce"): 3.0}


def test_what_cannot_be_read_takes_no_other_files_place(tmp_path):
    broken = replace(RECORD, state="unreadable", reason="no JSON", points=0.0, marks=(), sha256="bb", attempt=5)
    with Book(tmp_path) as book:
        keep(book, RECORD, root="/first")
        keep(book, broken, root="/again")
        assert counting(book) == {("Ann", "bce"): 1.0}
        assert [(each.standing, each.why) for each in book.standings()][1] == (
            "superseded", f"it could not be read, and {RECORD.key} in /first counts"
        )  # fmt: skip
        keep(book, replace(broken, key="ann/z.ipynb"), root="/first")
        assert counting(book) == {("Ann", "bce"): 1.0}
        keep(book, broken, root="/first")  # the same file, overwritten
        assert counting(book) == {("Ann", "bce"): 0.0}
        keep(book, replace(RECORD, sha256="cc", points=2.0), root="/first")
        assert counting(book) == {("Ann", "bce"): 2.0}


def test_whatever_the_order_one_record_of_each_student_and_lesson_counts(tmp_path):
    chance = random.Random(11)
    for turn in range(20):
        with Book(tmp_path / str(turn)) as book:
            for _ in range(6):
                root = chance.choice(["/a", "/b", "/c"])
                keys = chance.sample("xyz", chance.randint(1, 3))
                files = [
                    replace(RECORD, key=key, attempt=chance.randint(0, 2), sha256=chance.choice("pq")) for key in keys
                ]
                book.census(root, [Listed(file.key, "Ann", rank) for rank, file in enumerate(files, 1)])
                keep(book, *files, root=root)
            assert list(counting(book)) == [("Ann", "bce")]
            told = list(book.standings())
            assert [each.standing for each in told].count("counts") == 1
            assert len({(each.root, each.key) for each in told}) == len(told)


def test_the_census_says_which_of_two_files_is_newer_and_what_is_not_used(tmp_path):
    files = [replace(RECORD, key=key, points=float(number)) for number, key in enumerate(("v10", "v2"))]
    listed = [Listed("v10", "Ann", 2, "it has the higher number"), Listed("v2", "Ann", 1), Listed("r.csv", "", 0, "no")]
    with Book(tmp_path) as book:
        keep(book, *files)
        assert counting(book) == {("Ann", "bce"): 1.0}  # the last name of the alphabet, as far as is known
        book.census("/submissions", listed)
        assert counting(book) == {("Ann", "bce"): 0.0}
        assert [(each.key, each.standing, each.why) for each in book.standings()] == [
            ("v10", "counts", ""),
            ("v2", "superseded", "v10 counts: it has the higher number"),
            ("r.csv", "not used", "no"),
        ]
        book.census("/submissions", listed[:2])
        assert len(list(book.standings())) == 2


def test_students_of_one_name_are_told_apart_by_their_numbers_whenever_they_came(tmp_path):
    files = [replace(RECORD, key=f"{way}leeann{late}_{n}_9_x.ipynb", student="leeann") for way, late, n in (
        ("", "", 1), ("old/", "_LATE", 1), ("c.zip/", "", 2),
    )]  # fmt: skip
    others = [replace(RECORD, key="leeann/x.ipynb", student="leeann"), replace(files[0], student="Ann Lee")]
    with Book(tmp_path) as book:
        keep(book, *files, root="/w3")
        keep(book, *others, root="/w4")
        assert book.numbers() == {"leeann": {"1", "2"}}
        assert book.tell_apart(["leeann"]) == ["leeann (1)", "leeann (2)"]
        assert book.tell_apart(["leeann"]) == []
        assert sorted(student for student, _ in counting(book)) == ["Ann Lee", "leeann", "leeann (1)", "leeann (2)"]
        assert book.numbers() == {"leeann": {"1", "2"}}
        moodle = replace(RECORD, key="Bo Kim_7_assignsubmission_file_/x.ipynb", student="Bo Kim")
        keep(book, moodle, root="/w5")
        assert "Bo Kim" not in book.numbers(), "Moodle's number is one assignment's"


@pytest.mark.parametrize("way", ["relative", "link", "dots"])
def test_a_folder_is_the_same_by_whatever_way_it_is_reached(tmp_path, monkeypatch, way):
    (tmp_path / "class").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "class")
    monkeypatch.chdir(tmp_path)
    root = {"relative": "class", "link": tmp_path / "link", "dots": tmp_path / "class/../class"}[way]
    with Book(tmp_path / "out") as book:
        keep(book, RECORD, root=tmp_path / "class")
        assert changed(book, {RECORD.key: "aa"}, root) == []
        begin(book, RECORD, root=root)
        assert book.unfinished(tmp_path / "class")


def test_a_folder_that_was_moved_is_the_same(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    with Book(tmp_path / "out") as book:
        keep(book, RECORD, root=there)
        assert book.follow(here, lambda: {RECORD.key: "aa"}) == "", "the other is still there"
        there.rmdir()
        here.mkdir()
        assert book.follow(here, lambda: {RECORD.key: "bb"}) == "", "another file"
        assert book.follow(here, dict) == ""
        assert book.follow(here, lambda: {RECORD.key: "aa", "new": "cc"}) == str(there)
        assert changed(book, {RECORD.key: "aa", "new": "cc"}, here) == ["new"]
        assert [kept.run.root for kept in book.newest()] == [str(here)]
        assert book.follow(here, lambda: {RECORD.key: "aa"}) == "", "it is known by now"


@pytest.mark.parametrize("schema", [1, 2])
def test_a_book_of_an_earlier_schema_is_read_and_kept(tmp_path, schema):
    other = replace(RECORD, key="ann/a.ipynb", points=2.0)
    listed = [Listed(RECORD.key, "Ann", 1), Listed(other.key, "Ann", 2, "it was changed later")]
    with Book(tmp_path) as book:
        book.census("/submissions", listed)
        keep(book, RECORD, other)
    with sqlite3.connect(tmp_path / "grades.sqlite") as file:
        for table in ("places", "files")[: 3 - schema]:
            file.execute(f"DROP TABLE {table}")
        file.execute(f"PRAGMA user_version = {schema}")
    file.close()
    with Book(tmp_path) as book:
        assert [kept.record for kept in book.newest()] == [other if schema == 2 else RECORD]
        book.census("/submissions", listed)
        assert [kept.record for kept in book.newest()] == [other]


@pytest.mark.parametrize("names", [("hw (9)", "hw (10)"), ("hw (10)", "hw (9)"), ("a", "z"), ("z", "a")])
def test_what_counted_still_does_when_the_folder_holds_next_weeks_files(tmp_path, names):
    first, newer = (replace(RECORD, key=name, points=float(n), sha256=name) for n, name in enumerate(names))
    later = replace(RECORD, key="a", lesson="ce", sha256="cc", points=7.0)
    with Book(tmp_path) as book:
        book.census("/submissions", [Listed(newer.key, "Ann", 2), Listed(first.key, "Ann", 1)])
        keep(book, first, newer)
        for _ in range(2):  # the second time, all is as it was
            book.census("/submissions", [Listed("a", "Ann", 1)], {"a": "cc"})
            keep(book, later)
            assert counting(book) == {("Ann", "bce"): 1.0, ("Ann", "ce"): 7.0}
        again = replace(RECORD, key="again", sha256="dd", points=9.0)
        book.census("/submissions", [Listed("again", "Ann", 1)], {"again": "dd"})
        keep(book, again)
        assert counting(book)["Ann", "bce"] == 9.0
        book.census("/submissions", [Listed("x", "Bo", 1)])
        assert counting(book) == {("Ann", "bce"): 9.0, ("Ann", "ce"): 7.0}, "of what is gone, what counted last"
        book.census("/submissions", [Listed(newer.key, "Ann", 1)], {newer.key: newer.sha256})
        assert counting(book)["Ann", "bce"] == 1.0, "what is there counts before what is gone"


def test_a_newer_file_that_is_taken_away_counts_no_more(tmp_path):
    files = [replace(RECORD, key=key, sha256=key, points=float(n)) for n, key in enumerate("ab")]
    with Book(tmp_path) as book:
        book.census("/submissions", [Listed("b", "Ann", 2), Listed("a", "Ann", 1)])
        keep(book, *files)
        assert counting(book) == {("Ann", "bce"): 1.0}
        book.census("/submissions", [Listed("a", "Ann", 1)], {"a": "a"})
        assert counting(book) == {("Ann", "bce"): 0.0}
        book.census("/submissions", [])
        assert counting(book) == {("Ann", "bce"): 0.0}


def test_a_file_that_is_read_as_another_students_or_lessons_is_graded_again(tmp_path):
    with Book(tmp_path) as book:
        keep(book, replace(RECORD, student="CS101"))
        assert changed(book, {RECORD.key: "aa"}) == [RECORD.key]
        keep(book, RECORD)
        assert changed(book, {RECORD.key: "aa"}) == []
        assert changed(book, {RECORD.key: "aa"}, lesson="bce") == []
        assert changed(book, {RECORD.key: "aa"}, lesson="ce") == [RECORD.key]
        assert counting(book) == {("Ann", "bce"): 1.0}


def test_a_file_that_is_not_used_any_more_counts_no_more(tmp_path):
    with Book(tmp_path) as book:
        keep(book, RECORD)
        book.census("/submissions", [Listed(RECORD.key, "", 0, "it lies above the students' folders")])
        assert counting(book) == {}
        assert [(each.key, each.standing) for each in book.standings()] == [(RECORD.key, "not used")]


EDITS = {
    "marks no JSON": "UPDATE submissions SET marks = 'all'",
    "marks of another kind": "UPDATE submissions SET marks = '[1]'",
    "a mark without its points": """UPDATE submissions SET marks = '[{"function": "f"}]'""",
    "a mark that says more": "UPDATE submissions SET marks = replace(marks, '\"wrong\"', '\"wrongs\"')",
    "points in words": "UPDATE submissions SET points = 'all'",
    "points without an end": "UPDATE submissions SET points = 9e999",
    "no points": "UPDATE submissions SET points = NULL",
    "a state of its own": "UPDATE submissions SET state = 'excused'",
    "a cell that is no number": """UPDATE submissions SET cell_errors = '[["x", "y"]]'""",
    "options no JSON": "UPDATE runs SET options = '{'",
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_edited_by_hand_is_told_in_one_line_and_nothing_is_lost(tmp_path, edit):
    with Book(tmp_path) as book:
        keep(book, RECORD)
    with sqlite3.connect(tmp_path / "grades.sqlite") as file:
        file.execute(EDITS[edit])
    file.close()
    with Book(tmp_path) as book, pytest.raises(RecordsError, match="is not as it was saved") as told:
        report.write(book)
    assert "\n" not in str(told.value)
    if "options" not in edit:
        with Book(tmp_path) as book:
            keep(book, RECORD)  # as --regrade does
            assert [kept.record for kept in book.newest()] == [RECORD]


def test_a_lock_of_another_program_is_waited_for_and_then_told(tmp_path, monkeypatch):
    with Book(tmp_path) as book:
        run = begin(book, RECORD)
        with sqlite3.connect(tmp_path / "grades.sqlite", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            start = time.monotonic()
            with pytest.raises(
                BusyError, match=r"grades\.sqlite is locked by another program; close it there\. What was"
            ):
                book.save(run, RECORD, wait=0.3)
            assert 0.25 < time.monotonic() - start < 20
            other.execute("ROLLBACK")
        other.close()
        book.save(run, RECORD, wait=0)
        assert len(list(book.newest())) == 1
    with sqlite3.connect(tmp_path / "grades.sqlite", isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(database, "PATIENCE", 0.1)
        with pytest.raises(RecordsError, match="is locked by another program"), Book(tmp_path) as book:
            begin(book, RECORD)
    other.close()


@pytest.mark.parametrize("made", ["before", "never"])
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path, made):
    out = tmp_path / "out"
    out.mkdir()
    if made == "before":
        with Book(out) as book:
            keep(book, RECORD)
    for path in (*out.iterdir(), out):
        path.chmod(0o444 if path.is_file() else 0o555)
    code = f"""
import os, sys
from lossbook.grading.keep.gradebook import Book, RecordsError
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Book({str(out)!r})
except RecordsError as error:
    print(error)
"""
    temporary = Path(tempfile.gettempdir())
    for parent in out.parents:
        ours = parent.is_relative_to(tmp_path.parent.parent) or temporary in parent.parents
        if ours and parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o055)
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        out.chmod(0o755)
    assert done.stdout == f"out is {out}, which cannot be written to; it must be a folder of your own\n", done.stderr


def test_a_file_that_is_mended_leaves_no_unreadable_record_behind(tmp_path):
    broken = replace(RECORD, lesson="", state="unreadable", reason="no JSON", marks=())
    with Book(tmp_path) as book:
        book.save(begin(book, broken), broken)
        book.save(begin(book, RECORD), RECORD)
        assert [kept.record for kept in book.newest()] == [RECORD]
        assert [kept.record for kept in book.history("Ann", "")] == [broken]


def test_a_notebook_in_the_place_of_what_was_none_leaves_no_unreadable_record_behind(tmp_path):
    broken = replace(RECORD, key="ann", lesson="", state="unreadable", reason="no notebook", marks=())
    with Book(tmp_path) as book:
        book.census("/submissions", [Listed("ann", "Ann", 1)])
        keep(book, broken)
        book.census("/submissions", [Listed(RECORD.key, "Ann", 1)])
        keep(book, RECORD)
        assert [kept.record for kept in book.newest()] == [RECORD]
        assert [(each.key, each.standing, each.why) for each in book.standings()] == [
            (RECORD.key, "counts", ""),
            ("ann", "superseded", f"it could not be read, and {RECORD.key} counts"),
        ]
        listed = [Listed(RECORD.key, "Ann", 1), Listed("other", "Ann", 1)]
        book.census("/submissions", listed)
        keep(book, replace(broken, key="other"))
        assert len(list(book.newest())) == 2, "it is there, and nobody knows of which lesson it is"


WRITER = """
import pickle
from dataclasses import replace
from pathlib import Path
from lossbook.grading.keep.gradebook import Book
from lossbook.grading.keep.records import Waiting
record = pickle.loads({record!r})
with Book(Path({out!r})) as book:
    run = book.unfinished("/submissions")
    if run is None:
        waiting = [Waiting(str(n), str(n), sha256=record.sha256) for n in range(100000)]
        run = book.begin(waiting, seed=7, isolation="namespaces", root="/submissions")
    for key in book.waiting(run):
        book.save(run, replace(record, key=key, student=key))
        print(key, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_saved(tmp_path):
    code = WRITER.format(record=pickle.dumps(RECORD), out=str(tmp_path))
    acknowledged: list[str] = []
    for moment in range(5):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        acknowledged += [line.strip() for line in islice(writer.stdout, 20)]
        time.sleep(random.uniform(0, 0.2))  # at no moment in particular
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
        writer.wait()
        acknowledged += [line for line in rest[:-1] if line]
        with Book(tmp_path) as book:
            run = book.unfinished("/submissions")
            kept = {entry.record.key for entry in book.newest()}
            assert kept >= set(acknowledged)
            assert len(kept) <= len(acknowledged) + moment + 1  # each kill may come between a save and its word
            left = book.waiting(run)
            assert kept.isdisjoint(left)
            assert len(kept) + len(left) == 100000
            assert list(book._file.execute("PRAGMA integrity_check")) == [("ok",)]
    assert len(acknowledged) == len(set(acknowledged)) >= 100


def test_a_second_grader_is_refused_and_a_killed_one_blocks_nobody(tmp_path):
    with Book(tmp_path), pytest.raises(RecordsError, match="is in use by another grader"):
        Book(tmp_path)
    code = "from lossbook.grading.keep.gradebook import Book\nb = Book({!r})\nprint('held', flush=True)\ninput()"
    hold = code.format(str(tmp_path))
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RecordsError, match="is in use by another grader"):
        Book(tmp_path)
    holder.kill()
    holder.wait()
    Book(tmp_path).close()


def test_what_is_no_book_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "grades.sqlite"
    path.write_text("student,points\n" * 500)
    before = path.read_bytes()
    with pytest.raises(RecordsError, match=r"grades\.sqlite is damaged or no book of grades"):
        Book(tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE diary (day)")
    before = path.read_bytes()
    with pytest.raises(RecordsError, match="not a book of grades"):
        Book(tmp_path)
    assert path.read_bytes() == before


def test_a_damaged_book_is_refused(tmp_path):
    with Book(tmp_path) as book:
        run = begin(book)
        for n in range(200):
            book.save(run, replace(RECORD, key=str(n), student=str(n)))
    path = tmp_path / "grades.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[:20000] + b"\xa5" * 30000 + whole[50000:])
    before = path.read_bytes()
    with pytest.raises(RecordsError, match="damaged"):
        Book(tmp_path)
    assert path.read_bytes() == before
    path.write_bytes(whole[:50000])
    with pytest.raises(RecordsError, match="damaged"):
        Book(tmp_path)


def test_a_newer_schema_is_refused(tmp_path):
    Book(tmp_path).close()
    with sqlite3.connect(tmp_path / "grades.sqlite") as file:
        file.execute("PRAGMA user_version = 9")
    file.close()
    with pytest.raises(RecordsError, match="has schema 9; this lossbook knows up to 3: install a newer one"):
        Book(tmp_path)
    with pytest.raises(RecordsError, match="has schema 9"):  # the first refusal let the lock go
        Book(tmp_path)


def test_a_beginning_that_was_killed_is_begun_again(tmp_path):
    with sqlite3.connect(tmp_path / "grades.sqlite") as file:  # the mode is set before the tables are made
        file.execute("PRAGMA journal_mode = WAL")
    file.close()
    with Book(tmp_path) as book:
        book.save(begin(book), RECORD)


def test_out_must_be_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordsError, match=r"out is .*file, a file; it must be a folder"):
        Book(tmp_path / "file")


def test_a_full_disk_is_told(tmp_path):
    with Book(tmp_path) as book:
        run = begin(book)
        (pages,) = book._file.execute("PRAGMA page_count").fetchone()
        book._file.execute(f"PRAGMA max_page_count = {pages}")

        def fill():
            for n in range(1000):
                book.save(run, replace(RECORD, key=str(n), student=str(n)))
                saved.append(str(n))

        saved = []
        with pytest.raises(RecordsError, match=r"where the disk is full; make room\. What was graded is kept"):
            fill()
        assert {kept.record.student for kept in book.newest()} == set(saved)


def test_a_closed_book_says_so(tmp_path):
    book = Book(tmp_path)
    run = begin(book)
    book.close()
    with pytest.raises(RecordsError, match="closed"):
        book.save(run, RECORD)


@pytest.mark.wall_clock
def test_a_record_costs_the_same_however_many_there_are(tmp_path):
    def cost(book, run, first):
        best = float("inf")
        for round in range(3):
            start = time.perf_counter()
            for n in range(first + 200 * round, first + 200 * (round + 1)):
                book.save(run, replace(RECORD, key=f"{n}.ipynb", student=f"student {n * 7919 % 10007}"))
            best = min(best, time.perf_counter() - start)
        return best

    with Book(tmp_path) as book:
        run = begin(book)
        empty = cost(book, run, 0)
        for n in range(600, 5600):
            book.save(run, replace(RECORD, key=f"{n}.ipynb", student=f"student {n * 7919 % 10007}"))
        full = cost(book, run, 5600)
        assert full < 3 * empty
        assert full / 200 < 0.005  # generous: it is far less than a millisecond on a quiet machine


def test_reading_streams(tmp_path):
    with Book(tmp_path) as book:
        run = begin(book)
        for n in range(50):
            book.save(run, replace(RECORD, key=str(n), student=f"{n:02}"))
        plan = [row[-1] for row in book._file.execute("EXPLAIN QUERY PLAN " + CANDIDATES)]
    assert not any("TEMP B-TREE" in line for line in plan), plan


def test_the_file_can_be_asked_with_plain_sql(tmp_path):
    with Book(tmp_path) as book:
        book.save(begin(book), RECORD)
    with sqlite3.connect(tmp_path / "grades.sqlite") as file:
        ((student, marks),) = file.execute("SELECT student, marks FROM submissions WHERE key = 'ann/bce.ipynb'")
    file.close()
    assert student == "Ann"
    assert [mark["state"] for mark in json.loads(marks)] == ["passed", "failed"]
