"""The book of grades: what goes in comes out, whatever happens in between."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from lossbook.grading.book import COUNTING, Book
from lossbook.grading.records import Mark, Record, RecordsError, Waiting

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
        assert book.changed({name: "aa"}) == []


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
        assert book.changed({RECORD.key: "aa", "new": "cc"}) == ["new"]
        assert book.changed({RECORD.key: "bb"}) == [RECORD.key]
        run = begin(book, better)
        assert [kept.record for kept in book.newest()] == [RECORD]  # what waits counts for nothing yet
        assert book.changed({RECORD.key: "bb"}) == [RECORD.key]
        book.save(run, better)
        assert [kept.record for kept in book.newest()] == [better]
        assert [kept.record for kept in book.history("Ann", "bce")] == [better, RECORD]
        assert book.changed({RECORD.key: "bb"}) == []


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


def test_a_file_that_is_mended_leaves_no_unreadable_record_behind(tmp_path):
    broken = replace(RECORD, lesson="", state="unreadable", reason="no JSON", marks=())
    with Book(tmp_path) as book:
        book.save(begin(book, broken), broken)
        book.save(begin(book, RECORD), RECORD)
        assert [kept.record for kept in book.newest()] == [RECORD]
        assert [kept.record for kept in book.history("Ann", "")] == [broken]


WRITER = """
import sys
from dataclasses import replace
sys.path.insert(0, {tests!r})
from pathlib import Path
from lossbook.grading.book import Book
from test_records import RECORD, begin
with Book(Path({out!r})) as book:
    run = book.unfinished("/submissions")
    if run is None:
        run = begin(book, *(replace(RECORD, key=str(n), student=str(n)) for n in range(100000)))
    for key in book.waiting(run):
        book.save(run, replace(RECORD, key=key, student=key))
        print(key, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_saved(tmp_path):
    code = WRITER.format(tests=str(Path(__file__).parent), out=str(tmp_path))
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
            assert kept.isdisjoint(book.waiting(run))
            assert len(kept) + len(book.waiting(run)) == 100000
            assert list(book._file.execute("PRAGMA integrity_check")) == [("ok",)]
    assert len(acknowledged) == len(set(acknowledged)) >= 100


def test_a_second_grader_is_refused_and_a_killed_one_blocks_nobody(tmp_path):
    with Book(tmp_path), pytest.raises(RecordsError, match="is in use by another grader"):
        Book(tmp_path)
    hold = f"from lossbook.grading.book import Book; b = Book({str(tmp_path)!r}); print('held', flush=True); input()"
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
    with pytest.raises(RecordsError, match="has schema 9; this lossbook knows up to 1: install a newer one"):
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


def test_a_closed_book_says_so(tmp_path):
    book = Book(tmp_path)
    run = begin(book)
    book.close()
    with pytest.raises(RecordsError, match="closed"):
        book.save(run, RECORD)


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
        plan = [row[-1] for row in book._file.execute("EXPLAIN QUERY PLAN " + COUNTING)]
    assert not any("TEMP B-TREE" in line for line in plan), plan


def test_the_file_can_be_asked_with_plain_sql(tmp_path):
    with Book(tmp_path) as book:
        book.save(begin(book), RECORD)
    with sqlite3.connect(tmp_path / "grades.sqlite") as file:
        ((student, marks),) = file.execute("SELECT student, marks FROM submissions WHERE key = 'ann/bce.ipynb'")
    file.close()
    assert student == "Ann"
    assert [mark["state"] for mark in json.loads(marks)] == ["passed", "failed"]
