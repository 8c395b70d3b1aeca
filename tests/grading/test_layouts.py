"""Whole classes are read right or refused: no layout, no stray file and no student's name merges or hides anybody."""

import io
import os
import re
import time
import zipfile

import pytest

from lossbook.grading import census
from lossbook.grading.read.finding import LayoutError, NotFoundError, find, look
from lossbook.grading.read.layouts import stem
from lossbook.grading.read.naming import is_place, is_together, numbers, parse

NOTEBOOK = b'{"cells": []}'
LESSONS = frozenset({"recipe", "mse", "bce", "multiclass", "nll", "kl", "summation", "fused"})
TUTORS = ["Kay", "Kay", "Lou", "Lou", "Lou"]
FIVE = ["ann", "bo", "cy", "dee", "eli"]
X = "03-bce.ipynb"
AB = ["Section A", "Section B"]


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fill(root, *names):
    for name in names:
        put(root / name, NOTEBOOK)
    return root


def zipped(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, NOTEBOOK)
    return data.getvalue()


def lesson_of(found):
    known = re.search(r"0\d-[a-z]+", found.name)
    return census.Looked(known[0] if known else "03-bce")


def taken(root, **how):
    return census.take(look(root, lessons=LESSONS, **how), lesson_of, LESSONS)


def students(root, **how):
    """Return whose each file is, by key, where the census is not refused."""
    made = taken(root, **how)
    made.insist("root")
    return {each.key: each.student for each in made.found}


def whose(pattern, *names):
    """Return files of five students, and what each is to be read as."""
    return {name.format(who): who for name in (pattern, *names) for who in FIVE}


READ = {
    "GitHub Classroom": (whose("lesson-3-submissions/lesson-3-{}/" + X), ["grades.csv"]),
    "GitHub Classroom, its table inside": (
        whose("lesson-3-submissions/lesson-3-{}/" + X),
        ["lesson-3-submissions/grades.csv"],
    ),
    "a roster beside the class": (whose("hw3/{}/" + X), ["roster.csv"]),
    "a readme beside the class": (whose("ml101/{}/" + X), ["readme.md"]),
    "strays among the students": (whose("{}/" + X), ["roster.csv", "readme.md", "index.html", "Lesson 3.pdf"]),
    "strays among flat files": (whose("{}_" + X), ["submission_metadata.yml", "grades.csv", "index.html"]),
    "an empty folder beside the class": (whose("hw3/{}/" + X), ["notes/plan.txt"]),
    "weeks": (whose("week3/{}/" + X, "week4/{}/04-multiclass.ipynb"), []),
    "a week in which one handed in": ({**whose("week3/{}/" + X), "week4/ann/04-multiclass.ipynb": "ann"}, []),
    "numbers of weeks": (whose("3/{}/" + X, "4/{}/04-multiclass.ipynb"), []),
    "dates": (whose("2025-11-03/{}/" + X, "2025-11-10/{}/04-multiclass.ipynb"), []),
    "sections": ({"Section A/ann/x.ipynb": "ann", "Section A/bo/y.ipynb": "bo", "Section B/cy/x.ipynb": "cy"}, []),
    "tutors": ({f"{tutor}/{who}/{X}": who for tutor, who in zip(TUTORS, FIVE, strict=True)}, []),
    "lessons, with a file each": (whose("02-mse/{}.ipynb", "03-bce/{}.ipynb"), []),
    "an assignment, with a file each": (whose("hw3/{}.ipynb"), []),
    "no name twice": ({f"hw3/{who}/{n}.ipynb": who for n, who in enumerate(FIVE)}, []),
    "ILIAS": (
        {
            "Lesson_3/Lee_Ann_alee_11/03-bce.ipynb": "Lee_Ann_alee_11",
            "Lesson_3/Kim_Bo_bkim_12/Late Submission - 03-bce.ipynb": "Kim_Bo_bkim_12",
            "Lesson_3/Roe_Cy_croe_13/mine.ipynb": "Roe_Cy_croe_13",
        },
        [],
    ),
    "Open edX": (whose("[1]Sec, [3]Sub, [1]Unit/[1] - {} - " + X), ["submissions.csv"]),
    "Open edX, two units": (whose("[1]S, [1]Unit/[1] - {} - 02-mse.ipynb", "[1]S, [2]Unit/[1] - {} - " + X), []),
    "Teams": (
        whose("Student Work/Submitted files/{}/Lesson 3/" + X),
        [f"Student Work/Working files/{who}/Lesson 3/{X}" for who in FIVE],
    ),
    "submitted and late": ({"submitted/ann/" + X: "ann", "submitted/bo/" + X: "bo", "late/cy/" + X: "cy"}, []),
    "nbgrader's course": (whose("submitted/{}/ps1/" + X), [f"source/ps1/{X}", f"release/ps1/{X}", "gradebook.db"]),
    "students with folders for lessons": (whose("{}/hw3/a.ipynb", "{}/hw4/04-multiclass.ipynb"), []),
    "students with folders of their own names": (whose("{}/first go/a.ipynb", "{}/once more/a.ipynb"), []),
    "groups": ({f"hw3/Team {n}/{X}": f"Team {n}" for n in (1, 2, 3)}, []),
    "by hand, as Canvas does": (
        {f"{lab}_3_{n}_{who}.ipynb": f"{lab}_3_{n}_{who}" for lab in ("lab", "kay") for n in (0, 1) for who in FIVE},
        [],
    ),
    "by hand, with a number each": ({f"hw_3_{n}_{who}.ipynb": f"hw_3_{n}_{who}" for n, who in enumerate(FIVE)}, []),
    "by hand, with one number": ({f"stat101_3_1_{who}.ipynb": f"stat101_3_1_{who}" for who in FIVE}, []),
    "Canvas, with one by hand inside": (
        {f"{who}_{n}_{n}_x.ipynb": who for n, who in enumerate(FIVE, 7)}
        | {f"zed_9_{n}_hw/lab_3_1_{n}.ipynb": "zed" for n in (1, 2, 3)},
        [],
    ),
    "Blackboard": (
        whose("Lesson_3_{}_attempt_2025-11-03-22-10-11_03-bce.ipynb")
        | whose("Lesson_3_{}_attempt_2025-11-04-08-00-00_03-bce.ipynb"),
        [f"Lesson_3_{who}_attempt_2025-11-03-22-10-11.txt" for who in FIVE],
    ),
    "Brightspace": (
        whose("12-34 - {} - Nov 3, 2025 1022 PM/" + X, "12-34 - {} - Nov 3, 2025 922 AM/" + X), ["index.html"]
    ),
    "nbgrader's inbound": (whose("{}+ps1+2025-11-03 22:10:11 UTC+a1b2/" + X), []),
    "a folder in a folder in a folder": (whose("download/hw3/submissions/{}/" + X), []),
}  # fmt: skip


@pytest.mark.parametrize("how", ["folder", "zip"])
@pytest.mark.parametrize("layout", READ)
def test_a_class_is_read_right(tmp_path, layout, how):
    files, strays = READ[layout]
    root = fill(tmp_path / "root", *files, *strays)
    if how == "zip":
        with zipfile.ZipFile(tmp_path / "root.zip", "w") as archive:
            for name in (*files, *strays):
                archive.write(root / name, name)
        root = tmp_path / "root.zip"
    assert students(root) == files
    told = [each.key for each in taken(root).aside]
    assert all(any(stray.startswith(key) for key in told) for stray in strays), "what is not used is named"


@pytest.mark.parametrize("number", range(len(FIVE)))
def test_an_archive_without_a_name_twice(tmp_path, number):
    names = ["hw3/ann/hw.ipynb", "hw3/bo/solution.ipynb", "hw3/cy/three.ipynb"][: max(2, number)]
    put(tmp_path / "c.zip", zipped(*names))
    assert students(tmp_path) == {f"c.zip/{name}": name.split("/")[1] for name in names}


OTTER = "03-bce_2025_11_03T22_10_1{}_123456.zip"
REFUSED = {
    "two of one name in two sections": ({f"{where}/{who}/{X}": "" for where in AB for who in ("alex", where)}, {}),
    "two of one name in two groups, with a file each": (
        {f"{where}/week 3/{who}.ipynb": "" for where in ("Gruppe_1", "Gruppe_2") for who in ("alex", f"bo{where}")},
        {},
    ),
    "a class that a platform's names make one student": (
        {f"stat101_3_{n}_{who}.ipynb": "" for n, who in enumerate(FIVE)} | {"zoe_4_9_x.ipynb": ""},
        {},
    ),
    "Otter's archives, which name nobody": ({}, {OTTER.format(n): zipped(X) for n in range(5)}),
    "a class among students": ({f"from mail/{who}.ipynb": who for who in FIVE} | {"zoe/x.ipynb": "zoe"}, {}),
    "an archive of a class among students": (
        {"ann/" + X: "ann"},
        {"group two.zip": zipped(*(f"{n}/{X}" for n in range(5)))},
    ),
    "weeks without names": ({f"week {n}/{X}": "" for n in range(1, 4)}, {}),
    "files without names": ({"03-bce.ipynb": "", "03-bce (1).ipynb": "", "Copy of 03-bce.ipynb": ""}, {}),
    "a week of one student": ({"week3/hw.ipynb": ""}, {}),
}


@pytest.mark.parametrize("layout", REFUSED)
def test_what_makes_no_sense_is_refused_with_the_way_to_say_what_it_is(tmp_path, layout):
    files, archives = REFUSED[layout]
    fill(tmp_path, *files)
    for name, data in archives.items():
        put(tmp_path / name, data)
    with pytest.raises(
        LayoutError, match=r"it can't be told whose(.|\n)*--layout folders(.|\n)*--pattern(.|\n)*--force"
    ):
        students(tmp_path)


def test_students_folders_stay_when_one_is_called_submitted(tmp_path):
    fill(tmp_path, "ann/" + X, "bo/" + X, "cy/" + X, "submitted/mallory/" + X, "submitted/ann/" + X)
    assert students(tmp_path) == {
        "ann/" + X: "ann",
        "bo/" + X: "bo",
        "cy/" + X: "cy",
        "submitted/ann/" + X: "submitted/ann",
        "submitted/mallory/" + X: "submitted/mallory",
    }
    assert "submitted/ lies among students' folders" in "\n".join(taken(tmp_path).lines())


@pytest.mark.parametrize(
    "name", ["submission.zip", "submissions.zip", "assignment-mallory.zip", "class.zip", "mallory.zip", "export 2.zip"]
)
@pytest.mark.parametrize(
    "inside",
    [
        ["ann_03-bce.ipynb"],
        ["ann_03-bce.ipynb", "bo_03-bce.ipynb"],
        ["ann_1_2_03-bce.ipynb", "bo_2_3_03-bce.ipynb"],
        ["ann/03-bce.ipynb", "bo/03-bce.ipynb", "zed/03-bce.ipynb"],
        ["submitted/ann/03-bce.ipynb", "submitted/bo/03-bce.ipynb"],
        ["Ann_1_assignsubmission_file_/x.ipynb", "Bo_1_assignsubmission_file_/x.ipynb"],
        ["zed_03-bce.ipynb", "zoe_03-bce.ipynb"],
    ],
)
@pytest.mark.parametrize("beside", ["{}/03-bce.ipynb", "{}_03-bce.ipynb", "{}.zip"])
def test_an_archive_beside_students_is_one_students(tmp_path, name, inside, beside):
    for who in ("ann", "bo"):
        file = beside.format(who)
        put(tmp_path / file, zipped(X) if file.endswith(".zip") else NOTEBOOK)
    put(tmp_path / name, zipped(*inside))
    found = find(tmp_path)
    assert {each.student for each in found} == {"ann", "bo", stem(name)}
    assert sum(each.student == stem(name) for each in found) == len(inside), "a record for every file"


@pytest.mark.parametrize("above", ["week4/", "submitted/", "course/submitted/", "week4/late/", "hw.zip/"])
@pytest.mark.parametrize("inside", ["ann/{}", "ann_1_2_{}", "ann_{}"])
def test_the_only_one_who_handed_in_cannot_pass_for_others(tmp_path, above, inside):
    others = [inside.format(X), inside.replace("ann", "bo").replace("_1_", "_2_").format(X)]
    if above.endswith(".zip/"):
        put(tmp_path / "week4" / above[:-1], zipped(*(f"submitted/mallory/{name}" for name in others)))
    else:
        fill(tmp_path, *(f"{above}mallory/{name}" for name in others))
    if above.startswith("course"):
        fill(tmp_path, "course/release/ps1/x.ipynb")
    assert set(students(tmp_path).values()) == {"mallory"}


def test_the_only_archive_is_its_students_where_it_says_so(tmp_path):
    put(tmp_path / "mallory_03-bce.zip", zipped("ann_03-bce.ipynb", "bo_03-bce.ipynb"))
    assert set(students(tmp_path).values()) == {"mallory"}
    put(tmp_path / "c" / "03-bce_group 2.zip", zipped("ann_03-bce.ipynb", "bo_03-bce.ipynb"))
    assert set(students(tmp_path / "c").values()) == {"ann", "bo"}


def test_an_export_of_another_group_is_opened_and_said_to_be(tmp_path):
    fill(tmp_path, "ann/" + X, "bo/" + X)
    put(tmp_path / "submissions-group-2.zip", zipped(f"cy/{X}", f"dee/{X}", f"eli/{X}"))
    assert sorted(students(tmp_path).values()) == FIVE
    assert "submissions-group-2.zip is read as the export of another group" in "\n".join(taken(tmp_path).lines())


def test_the_census_names_what_is_superseded_and_not_used(tmp_path):
    fill(tmp_path, *(f"{who}/{X}" for who in FIVE), "ann/03-bce (1).ipynb", "ann/02-mse.ipynb", "zed/essay.pdf")
    put(tmp_path / "roster.csv", b"ann\n")
    made = taken(tmp_path)
    assert list(made.lines()) == [
        "7 notebooks: 6 students, 1 superseded, 1 without a notebook, 1 file not used.",
        "  ann, bo, cy, dee, eli, zed",
        "  superseded: ann/03-bce.ipynb (ann); ann/03-bce (1).ipynb counts: its name has the higher number",
        "  not used: roster.csv; it is no notebook, and lies among students' folders",
    ]
    assert list(made.lines(most=1))[-1] == "  and 1 more: files.csv names all of them"
    assert sorted(each.key for each in made.listed) == sorted([*(each.key for each in made.found), "roster.csv"])


NEWER = {
    "a browser's number": (["03-bce.ipynb", "03-bce (1).ipynb", "03-bce (2).ipynb"], "higher number"),
    "more than nine": (["hw (9).ipynb", "hw (10).ipynb"], "higher number"),
    "a number behind a dash": (["hw.ipynb", "hw-1.ipynb", "hw-2.ipynb"], "higher number"),
    "versions": ([f"Version {n}/{X}" for n in (1, 2, 10)], "higher number"),
    "dates": ([f"2025-{month}-{day}/{X}" for month, day in (("09", 30), ("11", 2), ("11", 10))], "higher number"),
    "other names": (["final.ipynb", "a.ipynb"], "name comes last"),
}


@pytest.mark.parametrize("case", NEWER)
def test_the_newer_of_several_files_counts(tmp_path, case):
    names, why = NEWER[case]
    names = sorted(names) if case == "other names" else names
    fill(tmp_path, *(f"ann/{name}" for name in names), "bo/" + X)
    for path in tmp_path.rglob("*.ipynb"):
        os.utime(path, (1e9, 1e9))
    order, told = census.in_order([each for each in find(tmp_path) if each.student == "ann"])
    assert [each.key for each in order] == [f"ann/{name}" for name in names]
    assert told.endswith(why)


def test_what_cannot_be_read_or_is_as_it_was_handed_out_takes_no_others_place(tmp_path):
    fill(tmp_path, "ann/x.ipynb", "ann/x (1).ipynb", "ann/x (2).ipynb")
    for path in tmp_path.rglob("*.ipynb"):
        os.utime(path, (1e9, 1e9))
    files = find(tmp_path)
    first, second, third = (f"ann/x{n}.ipynb" for n in ("", " (1)", " (2)"))
    blank, damaged = census.Looked("03-bce", written=False), census.Looked("03-bce", readable=False, written=False)
    for looked, last, why in (
        ({third: damaged}, second, "its name has the higher number"),
        ({second: damaged, third: damaged}, first, "no other can be read"),
        ({third: blank}, second, "its name has the higher number"),
        ({second: blank, third: blank}, first, "nothing is written in the other"),
        ({first: damaged, second: damaged, third: blank}, third, "no other can be read"),
        (dict.fromkeys((first, second, third), damaged), third, "its name has the higher number"),
    ):
        order, told = census.in_order(files, looked)
        assert (order[-1].key, told) == (last, why)
        assert sorted(each.key for each in order) == sorted((first, second, third))
    os.utime(tmp_path / third, (2e9, 2e9))
    order, told = census.in_order(find(tmp_path), {third: blank})
    assert (order[-1].key, told) == (second, "its name has the higher number"), "the series is as new as its newest"


def test_the_census_says_what_a_file_lacks_that_does_not_count(tmp_path):
    fill(tmp_path, "ann/x.ipynb", "ann/x (1).ipynb", "ann/x (2).ipynb")
    seen = {"ann/x (1).ipynb": {"readable": False, "written": False}, "ann/x (2).ipynb": {"written": False}}
    made = census.take(look(tmp_path), lambda found: census.Looked("03-bce", **seen.get(found.key, {})))
    assert [line for line in made.lines() if "superseded: " in line] == [
        "  superseded: ann/x (1).ipynb (ann); it can't be read, and ann/x.ipynb counts",
        "  superseded: ann/x (2).ipynb (ann); nothing is written in it, and ann/x.ipynb counts",
    ]


def test_where_names_tell_nothing_the_time_does(tmp_path):
    fill(tmp_path / "r", "ann/zz.ipynb", "ann/aa.ipynb")
    os.utime(tmp_path / "r/ann/zz.ipynb", (1e9, 1e9))
    order, told = census.in_order(find(tmp_path / "r"))
    assert (order[-1].key, told) == ("ann/aa.ipynb", "it was changed later")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for name, day in (("ann/zz.ipynb", 1), ("ann/aa.ipynb", 2)):
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, day, 0, 0, 0)), NOTEBOOK)
    order, told = census.in_order(find(tmp_path / "c.zip"))
    assert (order[-1].key, told) == ("ann/aa.ipynb", "it was changed later")


def test_canvas_tells_the_newer_file_by_its_own_number(tmp_path):
    fill(tmp_path, "annlee_7_900_lesson-3.ipynb", "annlee_7_901_lesson-3-1.ipynb", "bokim_8_902_x-2.ipynb")
    order, told = census.in_order([each for each in find(tmp_path) if each.student == "annlee"])
    assert (order[-1].key, told) == ("annlee_7_901_lesson-3-1.ipynb", "the platform numbered it later")


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["L_ann_attempt_2025-11-09-22-10-11_z.ipynb", "L_ann_attempt_2025-11-10-01-10-11_a.ipynb"], 1),
        (["1-2 - ann - Oct 30, 2025 1022 PM/x.ipynb", "1-2 - ann - Nov 3, 2025 111 PM/x.ipynb"], 1),
        (["1-2 - ann - Nov 3, 2025 1201 PM/x.ipynb", "1-2 - ann - Nov 3, 2025 1201 AM/x.ipynb"], 0),
        (["ann+ps1+2025-11-03 22:10:11 UTC+ff/x.ipynb", "ann+ps1+2025-11-03 22:10:12 UTC+00/x.ipynb"], 1),
    ],
)
def test_of_a_platforms_attempts_the_last_counts(tmp_path, names, newest):
    fill(tmp_path, *names)
    found = find(tmp_path)
    order, told = census.in_order(found)
    assert {each.student for each in found} == {"ann"}
    assert (order[-1].key, told) == (names[newest], "the platform numbered it later")


def test_a_text_typed_into_blackboard_is_a_students_who_handed_in_nothing_else(tmp_path):
    fill(tmp_path, "L_ann_attempt_2025-11-09-22-10-11_z.ipynb")
    put(tmp_path / "L_bo_attempt_2025-11-09-22-10-11.txt", b"Name: Bo (bo)")
    assert {each.student: bool(each.problem) for each in find(tmp_path)} == {"ann": False, "bo": True}


def test_a_pdf_beside_the_notebook_is_not_graded(tmp_path):
    fill(tmp_path, "foxdi_7_900_03-bce.ipynb", "foxdi_7_901_03-bce.pdf", "kimbo_8_902_03-bce.pdf")
    assert {each.student: each.problem for each in find(tmp_path)} == {
        "foxdi": "",
        "kimbo": "not a notebook: kimbo_8_902_03-bce.pdf is a PDF; ask for the notebook (.ipynb)",
    }
    assert [each.why for each in look(tmp_path).aside] == ["it is no notebook, and foxdi handed in one"]


def test_a_text_typed_into_canvas_beside_the_file_is_not_graded(tmp_path):
    fill(tmp_path, "foxdi_7_900_03-bce.ipynb")
    put(tmp_path / "foxdi_7_text.html", b"<p>done</p>")
    put(tmp_path / "kimbo_LATE_8_link.html", b"<a>")
    assert {each.student: (each.late, bool(each.problem)) for each in find(tmp_path)} == {
        "foxdi": (False, False),
        "kimbo": (True, True),
    }


def test_thousands_of_students_are_read_in_seconds(tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for number in range(9000):
            archive.writestr(f"week {number % 3}/s{number}/hw/{X}", NOTEBOOK)
    start = time.process_time()
    assert len(set(students(tmp_path).values())) == 9000
    assert time.process_time() - start < 20  # about two seconds on a quiet machine


@pytest.mark.parametrize("ending", [".ipynb.txt", ".ipynb.json", ".IPYNB.TXT"])
@pytest.mark.parametrize("name", ["ann/03-bce", "ann_03-bce", "ann_1_2_03-bce"])
def test_an_ending_too_many_is_no_hindrance(tmp_path, name, ending):
    fill(tmp_path, name + ending, "bo/x.ipynb")
    (found,) = (each for each in find(tmp_path) if each.student == "ann")
    assert found.problem == ""
    assert found.name.lower() == "03-bce.ipynb"
    assert found.read() == NOTEBOOK


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("03_bce.py", "03_bce.py is a Python file; ask for the notebook (.ipynb)"),
        ("hw.rar", "hw.rar is a RAR archive; ask for the notebook (.ipynb), or for a zip archive"),
        ("hw.7z", "hw.7z is a 7z archive; ask for the notebook (.ipynb), or for a zip archive"),
        ("hw.tar.gz", "hw.tar.gz is a compressed file; ask for the notebook (.ipynb), or for a zip archive"),
    ],
)
def test_what_was_handed_in_in_place_of_a_notebook_is_named(tmp_path, name, told):
    put(tmp_path / "ann" / name, b"x")
    fill(tmp_path, "bo/x.ipynb")
    assert find(tmp_path)[0].problem == f"no notebook in this student's folder: {told}"


# What the teacher says.


def test_a_layout_is_believed(tmp_path):
    fill(tmp_path, "week3/hw.ipynb", "week4/deep/hw.ipynb", "x.ipynb")
    assert students(tmp_path, layout="folders") == {
        "week3/hw.ipynb": "week3",
        "week4/deep/hw.ipynb": "week4",
        "x.ipynb": "x",
    }
    assert students(tmp_path, layout="folders:2") == {"week3/hw.ipynb": "hw", "week4/deep/hw.ipynb": "deep"}
    assert [each.key for each in taken(tmp_path, layout="folders:2").aside] == ["x.ipynb"]
    assert students(tmp_path, layout="files")["week4/deep/hw.ipynb"] == "hw"


def test_two_of_one_name_in_two_sections_can_be_told_apart(tmp_path):
    fill(tmp_path, *(f"{where}/alex/{X}" for where in AB))
    assert set(students(tmp_path, pattern="^(?P<student>[^/]+/[^/.]+)").values()) == {f"{where}/alex" for where in AB}


def test_one_of_a_group_is_one_in_all_weeks(tmp_path):
    fill(tmp_path, *(f"week {n}/Group A/{who}/{X}" for n in (3, 4) for who in FIVE))
    assert set(students(tmp_path).values()) == set(FIVE)


def test_whose_name_may_be_a_copys_is_said(tmp_path):
    fill(
        tmp_path,
        "ann.ipynb",
        "Ann (1).ipynb",
        "bo.ipynb",
        "Copy of bo.ipynb",
        "cy - Copy.ipynb",
        "cy.ipynb",
        "dee 2.ipynb",
    )
    assert sorted(taken(tmp_path).notes) == [
        "Ann (1) may be ann, and is graded as another student",
        "Copy of bo may be bo, and is graded as another student",
        "cy - Copy may be cy, and is graded as another student",
    ]


def test_a_platform_is_believed_where_the_teacher_names_it(tmp_path):
    fill(tmp_path, *(f"lab_3_{n}_{who}.ipynb" for n, who in enumerate(FIVE)))
    assert set(students(tmp_path, layout="canvas").values()) == {"lab"}


def test_a_platform_is_believed_and_nothing_else(tmp_path):
    fill(tmp_path, "a/annlee_1_2_x.ipynb", "a/bo.ipynb", "Cy Roe_3_assignsubmission_file_/x.ipynb")
    assert students(tmp_path, layout="canvas") == {"a/annlee_1_2_x.ipynb": "annlee"}
    assert students(tmp_path, layout="moodle") == {"Cy Roe_3_assignsubmission_file_/x.ipynb": "Cy Roe"}
    assert len(taken(tmp_path, layout="moodle").aside) == 2
    fill(tmp_path / "c", "submitted/week3/ps1/x.ipynb", "other/x.ipynb")
    assert students(tmp_path / "c", layout="nbgrader") == {"submitted/week3/ps1/x.ipynb": "week3"}


def test_a_pattern_finds_student_lesson_and_attempt(tmp_path):
    fill(tmp_path, "3/u7@x.ipynb", "3/u7@x-try2.ipynb", "3/none.ipynb")
    pattern = r"^(?P<lesson>\d)/(?P<student>[^@/]+)@[^-]*(?:-try(?P<attempt>\d+))?\.ipynb"
    made = taken(tmp_path, pattern=pattern)
    assert [(each.student, each.lesson, each.attempt) for each in made.found] == [("u7", "3", 2), ("u7", "3", 0)]
    assert [(each.key, each.why) for each in made.aside] == [
        ("3/none.ipynb", "the pattern finds no student in its path")
    ]
    with pytest.raises(NotFoundError, match="no file in it is one"):
        taken(tmp_path, pattern="(?P<student>nobody)")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"layout": "piles"}, "--layout is 'piles'; it must be one of auto, folders, files, canvas, moodle, nbgrader"),
        ({"layout": "folders:0"}, "--layout is 'folders:0'; it must be"),
        ({"layout": "files:2"}, "--layout is 'files:2'; it must be"),
        ({"pattern": "(x"}, r"--pattern is '\(x'; it must be a regular expression: missing \)"),
        ({"pattern": "x"}, r"--pattern is 'x'; it must have the group \(\?P<student>"),
    ],
)
def test_a_wrong_layout_or_pattern_is_told(tmp_path, how, told):
    fill(tmp_path, "ann/x.ipynb")
    with pytest.raises(LayoutError, match=told):
        taken(tmp_path, **how)


# Names.


PLACES = """
    week3; Week 3; hw_03; HW3b; Lesson_3; Submitted files; submission; 03-bce; 03-bce (1); Copy of; 2025-11-03;
    03-bce_2025_11_03T22_10_11_123456; final version; Übung 4; late; Section A; group 2 hw
"""
PERSONS = """
    ann; Ann Lee; week end-smith; lesson-3-ann; assignment-mallory; s1234567; 20210415; K; Ann Lee 3; 李雷; x.y@z.org;
    Workman; Team 3; 7; Lee_Ann_alee_11; student00012; Student 7; Student_A
"""


@pytest.mark.parametrize("name", [name.strip() for name in PLACES.split(";")])
def test_names_of_places(name):
    assert is_place(name, LESSONS)


@pytest.mark.parametrize("name", ["", *(name.strip() for name in PERSONS.split(";"))])
def test_names_of_persons(name):
    assert not is_place(name, LESSONS)


def test_names_of_groups():
    assert [name for name in ("Team 3", "7", "Group A", "ann", "1234567", "") if is_together(name)] == [
        "Team 3",
        "7",
        "Group A",
    ]


def test_numbers_in_names():
    assert numbers("hw (2).ipynb") == ("hw", (2,))
    assert numbers("hw.ipynb.txt") == ("hw", ())
    assert numbers("a/Version 10/03-bce-2.ipynb") == ("a/version/-bce", (10, 3, 2))


def test_a_date_is_no_number_of_canvas():
    assert not parse("03-bce_2025_11_03T22_10_11_123456.zip", False).platform
    assert parse("leeann_2025_11_hw_2025_11_03.ipynb", False).number == "2025"
