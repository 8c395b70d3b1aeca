"""Submissions are found in every layout that learning platforms and teachers make, and each trap is one line."""

import io
import os
import unicodedata
import warnings
import zipfile

import pytest

from lossbook.grading.read.finding import NotFoundError, find, look

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


def people(root):
    return [(each.student, each.key, each.name) for each in find(root)]


def one(root):
    (found,) = find(root)
    return found


def test_a_folder_per_student(tmp_path):
    fill(tmp_path, "alice/03-bce.ipynb", "bob/hw/deep/03-bce.ipynb", "bob/02-mse.IPYNB", "Zoë Ångström/03-bce.ipynb")
    assert people(tmp_path) == [
        ("Zoë Ångström", "Zoë Ångström/03-bce.ipynb", "03-bce.ipynb"),
        ("alice", "alice/03-bce.ipynb", "03-bce.ipynb"),
        ("bob", "bob/02-mse.IPYNB", "02-mse.IPYNB"),
        ("bob", "bob/hw/deep/03-bce.ipynb", "03-bce.ipynb"),
    ]
    assert all(each.read() == NOTEBOOK and each.size == len(NOTEBOOK) for each in find(tmp_path))


def test_a_single_student_is_not_a_class(tmp_path):
    fill(tmp_path, "alice/hw/03-bce.ipynb", "alice/old/02-mse.ipynb", "alice/01-recipe.ipynb")
    assert {each.student for each in find(tmp_path)} == {"alice"}


def test_canvas(tmp_path):
    fill(
        tmp_path,
        "leeann_12345_678901_03-bce.ipynb",
        "kimbo_LATE_12346_678902_03-bce-2.ipynb",
        "müllereva_12347_678903_my_own_name-1.ipynb",
        "doejo_1_2_essay.pdf",
    )
    put(tmp_path / "roeal_12348_678904_hw-1.zip", zipped("hw/03-bce.ipynb", "hw/02-mse.ipynb"))
    found = {each.student: each for each in find(tmp_path)}
    assert (found["leeann"].name, found["leeann"].attempt, found["leeann"].late) == ("03-bce.ipynb", 0, False)
    assert (found["kimbo"].name, found["kimbo"].attempt, found["kimbo"].late) == ("03-bce.ipynb", 2, True)
    assert (found["müllereva"].name, found["müllereva"].attempt) == ("my_own_name.ipynb", 1)
    assert found["doejo"].problem == "not a notebook: doejo_1_2_essay.pdf is a PDF; ask for the notebook (.ipynb)"
    assert found["roeal"].attempt == 1
    assert len(find(tmp_path)) == 6


def test_moodle(tmp_path):
    fill(
        tmp_path,
        "Ann Lee_123456_assignsubmission_file_03-bce.ipynb",
        "Bo Kim_123457_assignsubmission_file/03-bce.ipynb",
        "Cy Roe_123458_assignsubmission_file_/hw/03-bce.ipynb",
        "Di Fox_assignsubmission_file_/03-bce.ipynb",
        "Ed O'Neil-Ray_123459_assignsubmission_file_a_b.ipynb",
    )
    assert [(student, name) for student, _, name in people(tmp_path)] == [
        ("Ann Lee", "03-bce.ipynb"),
        ("Bo Kim", "03-bce.ipynb"),
        ("Cy Roe", "03-bce.ipynb"),
        ("Di Fox", "03-bce.ipynb"),
        ("Ed O'Neil-Ray", "a_b.ipynb"),
    ]


def test_a_text_typed_into_moodle_beside_the_file_is_no_submission(tmp_path):
    fill(tmp_path, "Ann Lee_1_assignsubmission_file_/x.ipynb")
    for who in ("Ann Lee_1", "Bo Kim_2"):
        put(tmp_path / f"{who}_assignsubmission_onlinetext_" / "onlinetext.html", b"<p>done</p>")
    assert [(each.student, each.problem) for each in find(tmp_path)] == [
        ("Ann Lee", ""),
        (
            "Bo Kim",
            "no notebook in this student's folder: onlinetext.html is a web page; ask for the notebook (.ipynb)",
        ),
    ]


def test_students_of_one_name_stay_apart(tmp_path):
    fill(
        tmp_path,
        "Ann Lee_123456_assignsubmission_file_/03-bce.ipynb",
        "Ann Lee_123499_assignsubmission_file_/03-bce.ipynb",
        "Bo Kim_7_assignsubmission_file_/03-bce.ipynb",
        "leeann_1_2_03-bce.ipynb",
        "leeann_1_3_02-mse.ipynb",
        "leeann_9_4_03-bce.ipynb",
    )
    assert [each.student for each in find(tmp_path)] == [
        "Ann Lee (123456)",
        "Ann Lee (123499)",
        "Bo Kim",
        "leeann (1)",
        "leeann (1)",
        "leeann (9)",
    ]


def test_letters_with_accents_are_one_name_however_composed(tmp_path):
    fill(tmp_path, unicodedata.normalize("NFD", "Zoë/02-mse.ipynb"), unicodedata.normalize("NFC", "Zoë/03-bce.ipynb"))
    assert {each.student for each in find(tmp_path)} == {"Zoë"}


@pytest.mark.parametrize(
    ("file", "student", "name"),
    [
        ("alice.ipynb", "alice", "alice.ipynb"),
        ("alice_03-bce.ipynb", "alice", "03-bce.ipynb"),
        ("03-bce_alice.ipynb", "alice", "03-bce.ipynb"),
        ("03-bce-alice b.ipynb", "alice b", "03-bce.ipynb"),
        ("alice_03-bce.zip", "alice", "inside.ipynb"),
        ("03-bce.ipynb", "03-bce", "03-bce.ipynb"),
        ("03-bce (1).ipynb", "03-bce (1)", "03-bce (1).ipynb"),
    ],
)
def test_flat_files_named_by_hand(tmp_path, file, student, name):
    put(tmp_path / file, zipped("inside.ipynb") if file.endswith(".zip") else NOTEBOOK)
    assert (one(tmp_path).student, one(tmp_path).name) == (student, name)


@pytest.mark.parametrize("course", ["", "course"])
def test_nbgrader(tmp_path, course):
    submitted = "submitted/" if course else ""
    fill(tmp_path, f"{submitted}alice/03-bce/03-bce.ipynb", f"{submitted}bob/03-bce/03-bce.ipynb")
    put(tmp_path / submitted / "alice" / "03-bce" / "timestamp.txt", b"2026-01-01")
    if course:
        fill(tmp_path, "source/03-bce/03-bce.ipynb", "release/03-bce/03-bce.ipynb", "autograded/alice/x/x.ipynb")
    assert [each.student for each in find(tmp_path)] == ["alice", "bob"]


LAYOUTS = {
    "students": ["alice/03-bce.ipynb", "bob/03-bce.ipynb"],
    "canvas": ["alice_123_456_03-bce.ipynb", "bob_LATE_124_457_03-bce-1.ipynb"],
    "moodle": ["alice_123_assignsubmission_file_/03-bce.ipynb", "bob_124_assignsubmission_file_/03-bce.ipynb"],
    "flat": ["alice_03-bce.ipynb", "bob_03-bce.ipynb"],
    "nbgrader": ["submitted/alice/03-bce/03-bce.ipynb", "submitted/bob/03-bce/03-bce.ipynb", "source/03-bce/x.ipynb"],
}


@pytest.mark.parametrize("wrapper", ["", "hw/"])
@pytest.mark.parametrize("where", ["root.zip", "root/hw.zip", "root/submissions.zip", "root/hw"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_exports_of_a_class(tmp_path, layout, where, wrapper):
    names = [wrapper + name for name in LAYOUTS[layout]]
    if where.endswith(".zip"):
        put(tmp_path / where, zipped(*names))
    else:
        fill(tmp_path / where, *names)
    found = find(tmp_path / where.split("/")[0])
    assert [(each.student, each.name) for each in found] == [("alice", "03-bce.ipynb"), ("bob", "03-bce.ipynb")]
    assert all(each.read() == NOTEBOOK for each in found)


@pytest.mark.parametrize("where", ["root.zip", "root/hw.zip", "root/submissions.zip"])
@pytest.mark.parametrize("name", ["{}.zip", "{}_12_34_hw.zip", "{}_12_assignsubmission_file_hw.zip"])
def test_an_export_that_holds_each_students_archive(tmp_path, where, name):
    inner = {name.format(who): zipped("03-bce.ipynb", "x/02-mse.ipynb") for who in ("alice", "bob")}
    put(tmp_path / where, zipped(**inner))
    found = find(tmp_path / where.split("/")[0])
    assert [each.student for each in found] == ["alice", "alice", "bob", "bob"]
    assert found[0].key.endswith(".zip/03-bce.ipynb")
    assert all(each.read() == NOTEBOOK for each in found)


def test_two_exports_side_by_side(tmp_path):
    for slug in ("02-mse", "03-bce"):
        put(tmp_path / f"{slug}.zip", zipped(f"alice_1_2_{slug}.ipynb", f"bob_2_3_{slug}.ipynb"))
    assert [each.student for each in find(tmp_path)] == ["alice", "bob", "alice", "bob"]


def test_an_archive_of_one_student_cannot_pass_for_anothers(tmp_path):
    put(tmp_path / "alice.zip", zipped("03-bce.ipynb"))
    put(tmp_path / "mallory.zip", zipped("alice_123_456_03-bce.ipynb", "bob/03-bce.ipynb"))
    assert {each.student for each in find(tmp_path)} == {"alice", "mallory"}


def test_mixed_layouts(tmp_path):
    fill(tmp_path, "alice/03-bce.ipynb", "bobby_1_2_03-bce.ipynb", "carl.ipynb")
    put(tmp_path / "dora.zip", zipped("hw/03-bce.ipynb"))
    assert [each.student for each in find(tmp_path)] == ["alice", "bobby", "carl", "dora"]


def test_what_is_no_work_is_ignored(tmp_path):
    names = ["alice/.ipynb_checkpoints/x-checkpoint.ipynb", "__MACOSX/alice/._x.ipynb", "alice/._x.ipynb"]
    names += [
        ".git/x.ipynb",
        ".Trash-1000/x.ipynb",
        "alice/.~x.ipynb",
        "alice/__pycache__/x.ipynb",
        ".DS_Store",
        "alice/feedback.html",
        "alice/data.csv",
    ]
    fill(tmp_path / "folder", "alice/x.ipynb", *names)
    put(tmp_path / "class.zip", zipped("alice/x.ipynb", *names))
    for root in (tmp_path / "folder", tmp_path / "class.zip"):
        made = look(root)
        assert [each.key for each in made.found] == ["alice/x.ipynb"]
        assert made.aside == []


@pytest.mark.parametrize("how", ["folder", "zip"])
def test_a_notebook_behind_a_dot_is_named(tmp_path, how):
    hidden = ["..bo/x.ipynb", ".cy/hw/y.ipynb", "alice/.ipynb", "alice/.history/x.ipynb"]
    fill(tmp_path / "root", "alice/x.ipynb", *hidden, ".config/settings.json")
    with zipfile.ZipFile(tmp_path / "root.zip", "w") as archive:
        for path in sorted((tmp_path / "root").rglob("*.*")):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path / "root"))
    made = look(tmp_path / ("root" if how == "folder" else "root.zip"))
    assert [each.key for each in made.found] == ["alice/x.ipynb"]
    assert sorted(each.key for each in made.aside) == ["..bo", ".cy", "alice/.history", "alice/.ipynb"]
    assert all("begins with a dot" in each.why for each in made.aside)


@pytest.mark.parametrize("how", ["folder", "zip"])
@pytest.mark.parametrize("above", ["", "a/", "a/b/", "a/b/hw3/"])
@pytest.mark.parametrize(
    "handed", ["essay.pdf", ".ipynb_checkpoints/x-checkpoint.ipynb", "__MACOSX/._x.ipynb", "1/2/3/4.c"]
)
def test_a_student_without_a_notebook_is_found_however_deep(tmp_path, how, above, handed):
    names = [f"{above}{who}/x.ipynb" for who in ("ann", "bo")] + [f"{above}zed/{handed}", f"{above}yan/{handed}"]
    root = fill(tmp_path / "root", *names) and tmp_path / "root"
    if how == "zip":
        root = put(tmp_path / "root.zip", zipped(*names))
    assert {each.student for each in find(root)} == {"ann", "bo", "yan", "zed"}


def test_files_of_the_same_visible_name_are_each_named(tmp_path):
    fill(tmp_path / "root", "ann/x.ipynb", "bo/x.ipynb", "a\x01.csv", "a\\x01.csv", "c\x02/x.ipynb", "c\\x02/x.ipynb")
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for name in ("ann/x.ipynb", "zz.ipynb", "zz.ipynb"):
            archive.writestr(name, NOTEBOOK)
    for made in (look(tmp_path / "root"), look(tmp_path / "class.zip", pattern="^(?P<student>ann)/")):
        keys = [each.key for each in (*made.found, *made.aside)]
        assert len(set(keys)) == len(keys) in (6, 3)


def test_a_student_without_a_notebook_is_reported_once(tmp_path):
    fill(tmp_path, "alice/x.ipynb", "bob/essay.pdf", "bob/deep/data.csv", "dave/feedback.html")
    fill(tmp_path, "gus/03-bce.json", "gus/data.csv", "hal/03-bce.ipynb.bak")
    (tmp_path / "carl").mkdir()
    put(tmp_path / "erin.zip", zipped(**{"a/essay.pdf": b"", "a/b/c/d/e.txt": b"", "a/b/c/d/f.txt": b""}))
    put(tmp_path / "finn.zip", zipped())
    assert [(each.key, each.problem) for each in find(tmp_path)[1:]] == [
        ("bob", "no notebook in this student's folder: essay.pdf is a PDF; ask for the notebook (.ipynb)"),
        ("carl", "no notebook in this student's folder"),
        ("dave", "no notebook in this student's folder"),
        ("erin.zip", "no notebook in this student's archive: essay.pdf is a PDF; ask for the notebook (.ipynb)"),
        ("finn.zip", "no notebook in this student's archive"),
        ("gus", "no notebook in this student's folder: it holds 03-bce.json and 1 more"),
        ("hal", "no notebook in this student's folder: it holds 03-bce.ipynb.bak"),
    ]


@pytest.mark.parametrize("make", ["missing", "empty", "only hidden", "pipe", "text"])
def test_a_root_without_submissions(tmp_path, make):
    root = tmp_path / "root\n"
    if make == "pipe":
        os.mkfifo(root)
    elif make == "text":
        root.write_text("hello")
    elif make != "missing":
        root.mkdir()
    if make == "only hidden":
        fill(root, ".ipynb_checkpoints/x.ipynb")
    with pytest.raises(NotFoundError, match=r"^root is '.*; it must"):
        find(root)


def test_names_that_cannot_be_printed(tmp_path):
    names = [b"al\xffice.ipynb", b"bob\n\x1b[31m.ipynb", "carl\u202e.ipynb".encode()]
    for name in names:
        try:
            put(tmp_path / os.fsdecode(name), NOTEBOOK)
        except OSError:
            pytest.skip("this file system takes no such names")
    assert [each.key for each in find(tmp_path)] == ["al\\xffice.ipynb", "bob\\n\\x1b[31m.ipynb", "carl\\u202e.ipynb"]
    for each in find(tmp_path):
        assert (each.key + each.student + each.name).isprintable()
        assert each.read() == NOTEBOOK


def test_names_that_look_alike_once_printed_have_keys_of_their_own(tmp_path):
    try:
        fill(tmp_path, "a\\n.ipynb", "a\n.ipynb", "a\\n.ipynb (2)/x.ipynb")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert len({each.key for each in find(tmp_path)}) == 3
