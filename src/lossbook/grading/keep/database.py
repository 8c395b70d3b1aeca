"""The file behind the book of grades: its tables, how it is opened, and the lock that keeps a second grader out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lossbook.grading.keep.records import BusyError, RecordsError

MINE, SCHEMA = 0x6C6F7373, 3  # SQLite's application_id, "loss" in ASCII, and the version of the tables below
PATIENCE = 5.0  # seconds that another program's lock on the file is waited for

# What the newest census of each root says of each file there. Its rank is its place among its student's files there,
# from 1, the higher the newer; 0 means that it is not used, and why.
FILES = """
CREATE TABLE files (
    root TEXT NOT NULL, key TEXT NOT NULL, student TEXT NOT NULL, rank INTEGER NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (root, key)
) WITHOUT ROWID;
"""
# The place of each record's file among its student's files in its root, as the last census that found the file with
# this content said: above 0 while it is there, and below once it is gone, the lower the longer ago.
PLACES = """
CREATE TABLE places (
    run INTEGER NOT NULL, key TEXT NOT NULL, rank INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (run, key)
) WITHOUT ROWID;
"""
# What brings a book from each schema to the next one.
CHANGES = {
    1: FILES,
    2: f"""{PLACES}
INSERT INTO places SELECT s.run, s.key, files.rank, files.why
    FROM submissions AS s CROSS JOIN runs ON runs.id = s.run CROSS JOIN files ON files.root = runs.root
    WHERE files.key = s.key AND files.rank > 0 AND s.saved IS NOT NULL;
""",
}
TABLES = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, finished TEXT, seed INTEGER NOT NULL,
    isolation TEXT NOT NULL, lossbook TEXT NOT NULL, torch TEXT NOT NULL, python TEXT NOT NULL,
    root TEXT NOT NULL, lessons TEXT NOT NULL, options TEXT NOT NULL
);
-- A submission of a run waits while saved is NULL. The long columns stand last: reading the others skips their pages.
CREATE TABLE submissions (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, key TEXT NOT NULL, student TEXT NOT NULL,
    lesson TEXT NOT NULL, attempt INTEGER NOT NULL, late INTEGER NOT NULL, sha256 TEXT NOT NULL, saved TEXT,
    state TEXT, points REAL, out_of REAL, seconds REAL, isolation TEXT, reason TEXT,
    cell_errors TEXT, remarks TEXT, marks TEXT,
    UNIQUE (run, key)
);
CREATE INDEX counting ON submissions (student, lesson, attempt, run, key) WHERE saved IS NOT NULL;
CREATE INDEX by_key ON submissions (key, run, sha256) WHERE saved IS NOT NULL;
CREATE INDEX left_over ON submissions (run, id) WHERE saved IS NULL;
{FILES}{PLACES}"""


def raw(name: str) -> bytes:
    """Return a name as bytes, whatever it holds: names of files may hold what is no Unicode."""
    return name.encode("utf-8", "surrogatepass")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


def _connect(path: Path, wait: float) -> sqlite3.Connection:
    made = sqlite3.connect(path, timeout=wait, isolation_level=None)  # transactions begin where this file says so
    made.text_factory = _text
    return made


def lock(path: Path) -> sqlite3.Connection:
    """Hold a lock until it is closed or the process ends, however it ends: SQLite's own, which works on any system."""
    held = None
    try:
        held = _connect(path, 0)
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if held is not None:
            held.close()
        if is_busy(error):
            raise RecordsError(f"{path.parent} is in use by another grader; wait until it has ended") from None
        raise told(path, error) from None
    return held


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another program holds the file."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _is_closed_to_us(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"))


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL")


def told(path: Path, error: sqlite3.Error) -> RecordsError:
    """Return what is said of an error of SQLite's: which file it is, and what can be done."""
    if is_busy(error):
        return BusyError(
            f"{path} is locked by another program; close it there. What was graded is kept, "
            "and the same command goes on from there"
        )
    if _is_closed_to_us(error):
        return RecordsError(f"out is {path.parent}, which cannot be written to; it must be a folder of your own")
    if _is_full(error):
        return RecordsError(
            f"out is {path.parent}, where the disk is full; make room. What was graded is kept, "
            "and the same command goes on from there"
        )
    return RecordsError(f"{path}: {error}")


def opened(path: Path) -> sqlite3.Connection:
    """Open a book after making sure that it is one, or make it. What is no book is left as it was."""
    made = None
    try:
        new = not path.exists() or path.stat().st_size == 0
        made = _connect(path, PATIENCE)
        if not new:
            _inspect(made, path)
        (blank,) = made.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("PRAGMA synchronous = NORMAL")  # the disk is waited for at checkpoints alone
        made.execute("PRAGMA wal_autocheckpoint = 4000")
        if blank:
            made.executescript(
                f"BEGIN; {TABLES} PRAGMA application_id = {MINE}; PRAGMA user_version = {SCHEMA}; COMMIT;"
            )
        elif changes := "".join(CHANGES[old] for old in range(_schema(made), SCHEMA)):
            made.executescript(f"BEGIN IMMEDIATE; {changes} PRAGMA user_version = {SCHEMA}; COMMIT;")
    except (sqlite3.Error, RecordsError, OSError) as error:
        if made is not None:
            made.close()
        if isinstance(error, RecordsError):
            raise
        if isinstance(error, OSError):
            raise RecordsError(f"{path} cannot be opened ({error.strerror})") from None
        if is_busy(error) or _is_closed_to_us(error) or _is_full(error):
            raise told(path, error) from None
        raise RecordsError(f"{path} is damaged or no book of grades ({error}); move it away to begin anew") from None
    return made


def _schema(made: sqlite3.Connection) -> int:
    return int(made.execute("PRAGMA user_version").fetchone()[0])


def _inspect(made: sqlite3.Connection, path: Path) -> None:
    owner, schema = made.execute("PRAGMA application_id").fetchone()[0], _schema(made)
    (tables,) = made.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != MINE and (owner or schema or tables):
        raise RecordsError(f"{path} is a database, but not a book of grades; move it away to begin anew")
    if schema > SCHEMA:
        raise RecordsError(f"{path} has schema {schema}; this lossbook knows up to {SCHEMA}: install a newer one")
    (state,) = made.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise RecordsError(f"{path} is damaged ({state}); move it away, or bring back a copy")
