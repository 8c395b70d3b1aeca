"""Files are replaced whole, or stay as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lossbook import files


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.replace(path, "½\n")
    assert path.read_bytes() == "½\n".encode()
    files.replace(path, b"\xff")
    assert path.read_bytes() == b"\xff"
    assert list(tmp_path.iterdir()) == [path]
    other = tmp_path / "b.txt"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode, "it may be read by whom any other file may be"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_was_there_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call, error) -> None:
    path = tmp_path / "a.txt"
    files.replace(path, "before")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        files.replace(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_disk_has_it_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a)))
    files.replace(tmp_path / "a.txt", "x")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        (".a.html.0123abcd.part", "a.html"),
        ("a.html", "a.html"),
        (".a.html.part", ".a.html.part"),
        (".a.0123abcd.part", "a"),
    ],
)
def test_what_was_left_half_written_is_told(name: str, whole: str) -> None:
    assert files.whole(name) == whole


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.replace(tmp_path / "none" / "a.txt", "x")
