"""Links, pipes, archives that lie and names that lead elsewhere: each is one submission with a problem, or none."""

import io
import os
import pickle
import socket
import stat
import struct
import warnings
import zipfile

import pytest

from lossbook.grading.read import archives, finding, members
from lossbook.grading.read.finding import NotFoundError, UnreadableError, find

NOTEBOOK = b'{"cells": []}'


def fill(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(NOTEBOOK)
    return root


def zipped(*names, **contents):
    """Return a zip of notebooks, and of other members under the names that ``contents`` gives with ``/`` for ``__``."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for name in names:
            archive.writestr(name, NOTEBOOK)
        for name, content in contents.items():
            archive.writestr(name, content)
    return data.getvalue()


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def one(root):
    (found,) = find(root)
    return found


def test_links_are_not_followed(tmp_path):
    secret = fill(tmp_path / "elsewhere", "x.ipynb") / "x.ipynb"
    root = fill(tmp_path / "root", "alice/x.ipynb")
    put(tmp_path / "real.zip", zipped("x.ipynb"))
    (root / "alice" / "loop").symlink_to(root)
    (root / "alice" / "to.ipynb").symlink_to(secret)
    (root / "alice" / "dangling.ipynb").symlink_to(tmp_path / "nothing")
    (root / "bob").symlink_to(tmp_path / "elsewhere")
    (root / "carl.ipynb").symlink_to(secret)
    (root / "dora.zip").symlink_to(tmp_path / "real.zip")
    (root / "erin").mkdir()
    (root / "erin" / "self").symlink_to(root / "erin" / "self")
    found = {each.key: each for each in find(root)}
    assert found.pop("alice/x.ipynb").problem == ""
    assert set(found) == {"alice/dangling.ipynb", "alice/to.ipynb", "bob", "carl.ipynb", "dora.zip", "erin"}
    assert {each.problem for each in found.values()} == {"it is a symbolic link, which is not followed"}
    (tmp_path / "root link").symlink_to(root)
    assert len(find(tmp_path / "root link")) == 7  # the teacher's own link is


def test_a_file_that_becomes_a_link_after_it_was_found(tmp_path):
    secret = put(tmp_path / "secret", b"secret")
    found = one(fill(tmp_path / "root", "alice/x.ipynb"))
    (tmp_path / "root/alice/x.ipynb").unlink()
    with pytest.raises(UnreadableError, match="No such file"):
        found.read()
    (tmp_path / "root/alice/x.ipynb").symlink_to(secret)
    with pytest.raises(UnreadableError, match="symbolic link"):
        found.read()


def test_pipes_and_sockets(tmp_path):
    root = fill(tmp_path / "r", "alice/x.ipynb")
    (root / "bob").mkdir()
    os.mkfifo(root / "bob" / "x.ipynb")
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind(str(root / "carl.ipynb"))
        except OSError:
            pytest.skip("the folder's path is too long for a socket")
        found = find(root)
    assert [each.problem for each in found] == ["", "it is not a regular file", "it is not a regular file"]
    for name in ("bob/x.ipynb", "carl.ipynb"):
        with pytest.raises(UnreadableError):
            archives.read(archives.Place(str(root / name)))  # as if it had been a file when it was found


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    fill(tmp_path, "alice/x.ipynb", "bob/x.ipynb")
    (tmp_path / "alice/x.ipynb").chmod(0)
    (tmp_path / "bob").chmod(0)
    try:
        alice, bob = find(tmp_path)
        assert "Permission denied" in bob.problem
        with pytest.raises(UnreadableError, match="Permission denied"):
            alice.read()
    finally:
        (tmp_path / "bob").chmod(0o700)


def test_what_cannot_be_opened_by_the_system(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    found = one(fill(tmp_path, "alice/x.ipynb"))
    monkeypatch.setattr(archives.os, "open", refuse)
    with pytest.raises(UnreadableError, match=r"cannot be opened \(Permission denied\)"):
        found.read()
    monkeypatch.setattr(archives.os, "scandir", refuse)
    with pytest.raises(NotFoundError, match="Permission denied"):
        find(tmp_path)


def test_a_large_file(tmp_path):
    (tmp_path / "alice.ipynb").touch()
    os.truncate(tmp_path / "alice.ipynb", finding.LARGEST + 1)
    assert "too large" in one(tmp_path).problem
    with pytest.raises(UnreadableError, match="at most 100 MB"):
        archives.read(archives.Place(str(tmp_path / "alice.ipynb")))  # as if it had grown since
    os.truncate(tmp_path / "alice.ipynb", finding.LARGEST)
    assert len(one(tmp_path).read()) == finding.LARGEST


def test_folders_nested_too_deep(tmp_path):
    fill(tmp_path / "r", "alice/x.ipynb", "bob/" + "d/" * 30 + "x.ipynb")
    put(tmp_path / "class.zip", zipped("alice/x.ipynb", "bob/" + "d/" * 30 + "x.ipynb"))
    assert "nested more than 12 deep" in find(tmp_path / "r")[1].problem
    assert "nested more than 12 deep" in find(tmp_path / "class.zip")[1].problem


@pytest.mark.parametrize(
    "name", ["../x.ipynb", "a/../../x.ipynb", "/etc/x.ipynb", "C:\\x.ipynb", "..\\x.ipynb", "../../etc/passwd"]
)
def test_names_that_lead_out_of_the_archive(tmp_path, name):
    put(tmp_path / "r" / "alice.zip", zipped("x.ipynb", name))
    put(tmp_path / "r" / "bob.zip", zipped("x.ipynb"))
    bad = [each for each in find(tmp_path / "r") if each.problem]
    assert [each.problem for each in bad] == ["its name leads out of the archive"]
    assert bad[0].student == "alice"
    assert ".." not in bad[0].key
    assert not bad[0].key.startswith("/")
    assert {path.name for path in tmp_path.rglob("*")} == {"r", "alice.zip", "bob.zip"}


def test_a_name_with_a_zero_byte_and_one_too_long(tmp_path):
    data = zipped("evilX.ipynb", "a" * 2000 + ".ipynb").replace(b"evilX", b"evil\0")
    put(tmp_path / "alice.zip", data)
    assert sorted(each.problem for each in find(tmp_path)) == [
        "its name has 2006 letters; at most 1000 are read",
        "its name holds a zero byte",
    ]
    assert all(each.key.isprintable() for each in find(tmp_path))


def test_duplicate_names_are_both_reported(tmp_path):
    put(tmp_path / "alice.zip", zipped("x.ipynb", "x.ipynb", "y.ipynb"))
    assert [(each.key, each.problem) for each in find(tmp_path)] == [
        ("alice.zip/x.ipynb", "the archive has 2 members of this name"),
        ("alice.zip/x.ipynb (2)", "the archive has 2 members of this name"),
        ("alice.zip/y.ipynb", ""),
    ]


def patched(data, offset, form, value):
    """Return an archive with a field of the only member changed, in its table of contents."""
    start = data.index(b"PK\x01\x02") + offset
    return data[:start] + struct.pack(form, value) + data[start + struct.calcsize(form) :]


@pytest.mark.parametrize(
    ("offset", "form", "value", "reason"),
    [
        (8, "<H", 1, "encrypted"),
        (10, "<H", 12, "method 12"),
        (10, "<H", 99, "method 99"),
        (38, "<I", (stat.S_IFLNK | 0o777) << 16, "symbolic link"),
        (38, "<I", (stat.S_IFIFO | 0o777) << 16, "not a regular file"),
        (24, "<I", 2**31, "too large"),
        (24, "<I", 10**7, "200 times"),
    ],
)
def test_members_that_are_not_read(tmp_path, offset, form, value, reason):
    put(tmp_path / "alice.zip", patched(zipped("x.ipynb"), offset, form, value))
    assert reason in one(tmp_path).problem
    with pytest.raises(UnreadableError, match=reason):
        one(tmp_path).read()


@pytest.mark.parametrize(
    ("offset", "form", "value"), [(16, "<I", 1), (24, "<I", 5), (20, "<I", 3), (42, "<I", 7), (42, "<I", 10**6)]
)
def test_members_that_are_damaged(tmp_path, offset, form, value):
    put(tmp_path / "alice.zip", patched(zipped("x.ipynb"), offset, form, value))
    found = find(tmp_path)[0]
    with pytest.raises(UnreadableError, match="damaged"):
        found.read()


def test_a_damaged_archive_and_a_file_that_is_none(tmp_path):
    put(tmp_path / "alice.zip", zipped("x.ipynb")[:-30])
    put(tmp_path / "bob.zip", b"Rar!")
    put(tmp_path / "carl.zip", b"")
    put(tmp_path / "dora" / "hw.zip", b"no")
    fill(tmp_path, "dora/x.ipynb")
    found = find(tmp_path)
    assert [each.student for each in found] == ["alice", "bob", "carl", "dora", "dora"]
    assert [each.problem.startswith("the archive is damaged") for each in found] == [True, True, True, True, False]


def test_an_archive_of_zeros_is_not_unpacked(tmp_path):
    zeros = zipped(**{"x.ipynb": bytes(110_000_000)})
    put(tmp_path / "alice.zip", zeros)
    assert len(zeros) < 200_000
    assert "too large" in one(tmp_path).problem
    put(tmp_path / "alice.zip", zipped(**{"deep.zip": zeros + bytes(10**7)}))
    assert "200 times" in one(tmp_path).problem
    # One that lies about its size is read as far as the lie goes, and no further.
    put(tmp_path / "alice.zip", patched(zeros, 24, "<I", 1000))
    with pytest.raises(UnreadableError, match="damaged"):
        one(tmp_path).read()


def test_archives_nested_too_deep(tmp_path):
    third = zipped(**{"c.zip": zipped("x.ipynb"), "y.ipynb": NOTEBOOK})
    put(tmp_path / "alice.zip", zipped(**{"b.zip": third}))
    assert [(each.key, each.problem) for each in find(tmp_path)] == [
        ("alice.zip/b.zip/c.zip", "it is an archive inside an archive inside an archive, which is not opened"),
        ("alice.zip/b.zip/y.ipynb", ""),
    ]


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 5)
    put(tmp_path / "alice.zip", zipped(*(f"{i}.ipynb" for i in range(6))))
    assert one(tmp_path).problem == "the archive has 6 members; at most 5 are read"
    monkeypatch.setattr(archives, "LARGEST_TABLE", 100)
    put(tmp_path / "alice.zip", zipped(*(f"{i}.ipynb" for i in range(4))))
    assert "table of contents" in one(tmp_path).problem
    with pytest.raises(NotFoundError, match="table of contents"):
        find(tmp_path / "alice.zip")


def test_too_much_in_all(tmp_path, monkeypatch):
    put(tmp_path / "class.zip", zipped(**{"a.zip": zipped("1.ipynb", "2.ipynb"), "b.zip": zipped("1.ipynb")}))
    size = len(zipped("1.ipynb", "2.ipynb")) + len(NOTEBOOK)
    monkeypatch.setattr(archives, "MOST_BYTES", size)
    assert [bool(each.problem) for each in find(tmp_path)] == [False, True, True]
    monkeypatch.undo()
    monkeypatch.setattr(archives, "MOST_IN_ALL", 4)
    assert [each.problem for each in find(tmp_path)] == ["", "", "the archives have more than 4 members"]
    monkeypatch.undo()
    monkeypatch.setattr(members, "LARGEST_INNER", 10)
    assert "too large to be in an archive" in find(tmp_path)[0].problem


def test_names_as_windows_and_macs_write_them(tmp_path):
    mac = zipped("Zoe1/x.ipynb").replace(b"Zoe1", "Zoë".encode())
    put(tmp_path / "mac.zip", mac)
    put(tmp_path / "windows.zip", zipped("aliceZhwZx.ipynb").replace(b"aliceZhwZ", b"alice\\hw\\"))
    put(tmp_path / "dots.zip", zipped("./alice/x.ipynb"))
    assert one(tmp_path / "mac.zip").student == "Zoë"
    assert one(tmp_path / "windows.zip").key == "alice/hw/x.ipynb"
    assert one(tmp_path / "dots.zip").student == "alice"
    assert all(one(tmp_path / name).read() == NOTEBOOK for name in ("mac.zip", "windows.zip", "dots.zip"))


def test_an_archive_that_changed_is_opened_again(tmp_path):
    put(tmp_path / "alice.zip", zipped("x.ipynb"))
    found = one(tmp_path)
    assert found.read() == NOTEBOOK
    put(tmp_path / "alice.zip", zipped(**{"x.ipynb": b"another"}))
    assert found.read() == b"another"
    (tmp_path / "alice.zip").unlink()
    with pytest.raises(UnreadableError, match="cannot be opened"):
        found.read()


def test_what_was_found_can_be_sent_to_another_process(tmp_path):
    put(tmp_path / "alice.zip", zipped("x.ipynb"))
    assert pickle.loads(pickle.dumps(one(tmp_path))).read() == NOTEBOOK


def test_names_made_to_be_slow(tmp_path):
    evil = ["a" + "-" * 900 + "!", "_1" * 450, "a_" + "1" * 900, "_assignsubmission_" * 50, "LATE_" * 150]
    evil += ["/".join(["submitted"] * 90)]
    put(tmp_path / "class.zip", zipped(*(f"{name}.ipynb" for name in evil)))
    assert len(find(tmp_path / "class.zip")) >= 1
