"""The file behind the book of grades: its tables, how it is opened, and the lock that keeps a second grader out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lossbook.grading.records import RecordsError

MINE, SCHEMA = 0x6C6F7373, 1  # SQLite's application_id, "loss" in ASCII, and the version of the tables below

TABLES = """
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
"""


def raw(name: str) -> bytes:
    """Return a name as bytes, whatever it holds: names of files may hold what is no Unicode."""
    return name.encode("utf-8", "surrogatepass")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


def _connect(path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(path, timeout=0, isolation_level=None)  # transactions begin where this file says so
    made.text_factory = _text
    return made


def lock(path: Path) -> sqlite3.Connection:
    """Hold a lock until it is closed or the process ends, however it ends: SQLite's own, which works on any system."""
    held = _connect(path)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        held.close()
        if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
            raise RecordsError(f"{path.parent} is in use by another grader; wait until it has ended") from None
        raise RecordsError(f"{path}: {error}") from None
    return held


def opened(path: Path) -> sqlite3.Connection:
    """Open a book after making sure that it is one, or make it. What is no book is left as it was."""
    new = not path.exists() or path.stat().st_size == 0
    made = None
    try:
        made = _connect(path)
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
    except (sqlite3.Error, RecordsError) as error:
        if made is not None:
            made.close()
        if isinstance(error, RecordsError):
            raise
        raise RecordsError(f"{path} is damaged or no book of grades ({error}); move it away to begin anew") from None
    return made


def _inspect(made: sqlite3.Connection, path: Path) -> None:
    owner, schema = (made.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    (tables,) = made.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != MINE and (owner or schema or tables):
        raise RecordsError(f"{path} is a database, but not a book of grades; move it away to begin anew")
    if schema > SCHEMA:
        raise RecordsError(f"{path} has schema {schema}; this lossbook knows up to {SCHEMA}: install a newer one")
    (state,) = made.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise RecordsError(f"{path} is damaged ({state}); move it away, or bring back a copy")
