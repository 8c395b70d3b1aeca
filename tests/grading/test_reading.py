"""Notebooks as students hand them in: what is run of them, which lesson they answer, and why some cannot be read."""

import copy
import json
import random
import time
from pathlib import Path

import pytest

from lossbook.grading.read import reading
from lossbook.grading.read.handed_out import Release, releases
from lossbook.grading.read.reading import UnreadableError, read
from lossbook.grading.read.slimming import slim

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.stem for path in (ROOT / "lessons").glob("*.ipynb"))
RELEASES = releases(ROOT / "lessons")
BCE = json.loads((ROOT / "lessons/03-bce.ipynb").read_text(encoding="utf-8"))
ANSWER = "def sigmoid(z):\n    return 1 / (1 + torch.exp(-z))"


def code(source):
    return {"cell_type": "code", "source": source, "outputs": [], "metadata": {}, "execution_count": None}


def notebook(*cells, **fields):
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | fields).encode()


def answered(source=ANSWER):
    """Return lesson 3 with its first exercise answered."""
    changed = copy.deepcopy(BCE)
    changed["cells"][4]["source"] = source
    return changed


def of_bce(data):
    return read(data if isinstance(data, bytes) else json.dumps(data).encode(), RELEASES, lesson="03-bce")


@pytest.mark.parametrize("name", LESSONS)
def test_an_unchanged_lesson_has_nothing_written(name):
    submission = read((ROOT / f"lessons/{name}.ipynb").read_bytes(), RELEASES)
    assert (submission.lesson, submission.written) == (name, frozenset())
    assert all(cell in RELEASES[name].given.values() for cell in submission.cells)
    assert len(submission.cells) == len(submission.numbers) < 6


@pytest.mark.parametrize("name", LESSONS)
def test_a_solution_has_all_written_and_says_itself_which_it_is(name):
    submission = read((ROOT / f"solutions/{name}.ipynb").read_bytes(), RELEASES, name="my homework.ipynb")
    assert (submission.lesson, submission.written) == (name, frozenset(RELEASES[name].functions))
    misnamed = read(
        (ROOT / f"solutions/{name}.ipynb").read_bytes(), RELEASES, name=f"{LESSONS[name == LESSONS[0]]}.ipynb"
    )
    assert misnamed == submission


def test_reading_is_fast():
    data = (ROOT / "lessons/03-bce.ipynb").read_bytes()
    times = []
    for _ in range(20):
        start = time.process_time()
        read(data, RELEASES)
        times.append(time.process_time() - start)
    assert min(times) < 0.01  # one or two milliseconds on any machine of today


def test_what_a_student_changed_is_kept_as_it_is_and_numbered():
    changed = answered("# mine  \r\n" + ANSWER + "\n\n")
    changed["cells"].insert(0, {"cell_type": "markdown", "source": "My notes"})
    submission = of_bce(changed)
    assert submission.cells[1] == "# mine  \r\n" + ANSWER + "\n\n"
    assert submission.numbers[:2] == (4, 6)
    assert submission.written == {"sigmoid"}


@pytest.mark.parametrize("end", ["\r\n", "\r", "  \n", "\n"])
def test_line_ends_and_blanks_change_nothing(end):
    changed = copy.deepcopy(BCE)
    for cell in changed["cells"]:
        cell["source"] = end + "".join(cell["source"]).replace("\n", end) + end
    assert of_bce(changed).cells == of_bce(BCE).cells


def test_a_duplicated_cell_is_run_twice():
    assert of_bce(notebook(code(ANSWER), code(ANSWER))).cells == (ANSWER, ANSWER)


@pytest.mark.parametrize(
    "source",
    [
        '!pip install -q "lossbook @ git+https://github.com/lossbook/lossbook"',
        "%pip install lossbook\n\n# done",
        "try:\n    import lossbook\nexcept ImportError:  # Colab\n    !python -m pip install git+https://x/lossbook",
        "%%capture\n!pip3 install lossbook\nimport torch",
    ],
)
def test_installing_the_course_in_other_words_is_no_code(source):
    assert of_bce(notebook(code(source))).cells == ()
    assert of_bce(notebook(code(source + "\nx = 1"))).cells == (source + "\nx = 1",)


@pytest.mark.parametrize(
    "source",
    [
        ANSWER,
        "if True:\n\tasync  def sigmoid(z): ...",
        "sigmoid = lambda z: z",
        "other = sigmoid = torch.sigmoid",
        "other, sigmoid = f()",
        "sigmoid: Callable[[int], int] = f",
        "class sigmoid: pass",
        "from mine import other, x as sigmoid",
        "import mine as sigmoid",
        "x = 1\r" + ANSWER,
        ">>> def sigmoid(z):\n...     return z",
        "In [3]: def sigmoid(z):\n   ...:     return z",
        "def sigmoid(z:\n  this is no Python",
    ],
)
def test_what_looks_written(source):
    assert of_bce(notebook(code(source))).written == {"sigmoid"}


@pytest.mark.parametrize(
    "source", ["sigmoid(3)", "x = sigmoid(3)", "sigmoid == 3", "# def sigmoid", "def sigmoids(): ..."]
)
def test_what_does_not_look_written(source):
    assert of_bce(notebook(code(source))).written == set()


def test_marks_of_nbgrader_are_not_believed():
    changed = answered()
    for cell in changed["cells"]:
        marks = cell["metadata"].get("nbgrader", {})
        marks.update(solution=not marks.get("solution"), grade=False, locked=True, points=1e9, grade_id="setup")
        cell["metadata"]["nbgrader"] = marks
    assert of_bce(changed) == of_bce(answered())
    for cell in changed["cells"]:
        cell["metadata"] = cell["id"] = [None]
    assert of_bce(changed) == of_bce(answered())


@pytest.mark.parametrize(
    "fields",
    [
        {"nbformat": 4, "nbformat_minor": 0},
        {"nbformat": 99},
        {"nbformat": -1},
        {"nbformat": "four"},
        {"nbformat": None},
        {"metadata": {"kernelspec": {"name": "ir", "language": "R"}}},
        {"metadata": 3},
        {"metadata": {"colab": {"provenance": []}}, "nbformat_minor": 0},
        {"worksheets": [{"cells": []}]},
    ],
)
def test_what_a_notebook_says_of_itself_changes_nothing(fields):
    assert of_bce(answered() | fields) == of_bce(answered())


def test_nbformat_3():
    cells = [{"cell_type": "heading", "level": 1, "source": "Lesson 3: Binary cross-entropy"}]
    cells += [
        {"cell_type": "code", "input": ["def sigmoid(z):\n", "    return z"], "language": "python", "outputs": []}
    ]
    data = json.dumps({"worksheets": [{"cells": cells}, 3, {}, {"cells": cells[1:]}], "nbformat": 3}).encode()
    submission = read(data, RELEASES)
    assert (submission.lesson, submission.written, submission.numbers) == ("03-bce", {"sigmoid"}, (2, 3))


def test_cells_that_lack_something_are_passed_over():
    bad = [None, 3, "x", [], {}, {"cell_type": "code"}, code(None), code(3), code([1]), code({}), code([]), code(" \n")]
    bad += [{"cell_type": [], "source": "x"}, {"source": "x = 1"}, {"cell_type": "raw", "source": "x"}]
    untyped = {"source": ANSWER, "outputs": []}
    assert of_bce(notebook(*bad, untyped)).cells == (ANSWER,)
    assert of_bce(notebook(*bad, untyped)).numbers == (len(bad) + 1,)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(encoding):
    data = json.dumps(answered("σ = sigmoid = 1"), ensure_ascii=False).encode(encoding)
    assert "σ = sigmoid = 1" in of_bce(data).cells


def test_half_characters_and_zeros_are_replaced():
    (cell,) = of_bce(notebook(code(["x = '\ud800", "\udc00 \0 σ'"]))).cells
    assert cell == "x = '\ufffd\ufffd \ufffd σ'"
    assert "\U0001f600" in of_bce(notebook(code("x = '\U0001f600'"))).cells[0]


def test_numbers_no_computer_likes():
    data = notebook(code(ANSWER), x=1).replace(b'"x": 1', b'"x": [NaN, -Infinity, 1e999999, -0, ' + b"9" * 10**6 + b"]")
    start = time.process_time()
    assert of_bce(data).cells == (ANSWER,)
    assert time.process_time() - start < 1


def test_of_two_equal_keys_the_last_counts():
    data = b'{"cells": 3, "cells": [{"cell_type": "markdown", "cell_type": "code", "source": "x", "source": "y"}]}'
    assert of_bce(data).cells == ("y",)


UNREADABLE = {
    b"": "the file is empty",
    b" \r\n\t": "the file is empty",
    b"\xef\xbb\xbf": "the file is empty",
    bytes(1000): "the file is empty, or zeros throughout",
    b"{": "the file is cut off or not a notebook: line 1, column 2",
    json.dumps(BCE, indent=1).encode()[:3000]: "the file is cut off or not a notebook: line ",
    b"hello": "cut off or not a notebook",
    b"{}\0\0": "cut off or not a notebook",
    b'{"cells": [],}': "cut off or not a notebook",
    b"[]": "it holds a list",
    b"3": "it holds a number",
    b"1e5": "it holds a number",
    b'"cells"': "it holds a text",
    b"null": "it holds a null",
    b"true": "it holds a truth value",
    b"NaN": "it holds a number",
    b"{}": "it has no list of cells",
    b'{"cells": {"0": []}}': "it has no list of cells",
    b'{"worksheets": {}}': "it has no list of cells",
    b"[" * 100_000: "nested too deeply",
    b'{"cells": ' + b'{"a": ' * 100_000 + b"1" + b"}" * 100_001: "nested too deeply",
    '{"cells": "é"}'.encode("latin-1"): "it is not text in UTF-8 (byte 12 is 0xe9)",
    b"\xff\xfe{": "not text in UTF-8",
    b'{"a": "\xed\xa0\x80"}': "not text in UTF-8",
    b"%PDF-1.7": "the file is a PDF",
    b"PK\x03\x04rest": "the file is a zip archive",
    b"\n<!DOCTYPE html>": "the file is a web page",
    b"\x89PNG\r\n": "the file is a picture",
    notebook(*[3] * 5001): "the notebook has 5001 cells; at most 5000 are read",
    notebook(code("x" * 600_000), code("y" * 400_001)): "more than 1000000 characters of code",
    b"[" + b"0," * 500_001 + b"0]": "more than 500000 values",
    b" " * 20_000_001 + b"{}": "the file is too large: 20.0 MB without its outputs, and at most 20 MB are read",
    b" " * 100_000_001: "the file is too large: 100.0 MB, and at most 100 MB are read",
}


@pytest.mark.parametrize(("data", "reason"), UNREADABLE.items(), ids=range(len(UNREADABLE)))
def test_why_a_file_cannot_be_read(data, reason):
    start = time.process_time()
    with pytest.raises(UnreadableError) as caught:
        of_bce(data)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert time.process_time() - start < 2


HEAVY = {
    "pictures": {"output_type": "display_data", "data": {"image/png": "iVBOR" + "w0KGg/+\\n" * 3_000_000}},
    "numbers": {
        "data": {"application/vnd.plotly.v1+json": {"data": [{"x": [0.5] * 600_000}, {"y": [[1, 2]] * 300_000}]}}
    },
    "brackets": {"text": ['[[[{{"]}' * 3_000_000]},
}


@pytest.mark.parametrize("what", HEAVY)
def test_a_notebook_heavy_with_outputs_is_read(what):
    plain = json.dumps(answered()).encode()
    heavy = answered()
    heavy["cells"][4] |= {"outputs": [HEAVY[what]], "attachments": {"a.png": HEAVY[what]}}
    heavy["metadata"]["widgets"] = HEAVY[what]
    data = json.dumps(heavy).encode()
    assert len(data) > reading.HEAVIEST or data.count(b",") > reading.MOST_VALUES
    start = time.process_time()
    assert of_bce(data) == of_bce(plain)
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    "data",
    [
        b'{"outputs": ' + b"[" * 30_000_000,
        b'{"outputs": [' + b"[]," * 9_000_000 + b"0]}",
        b'{"a": [' + b'{"outputs": []},' * 2_000_000 + b"0]}",
        b'{"outputs": ["' + b"\\" * 30_000_001,
        b'{"outputs": ["' + b'\\"' * 15_000_000,
        b'"outputs":' * 4_000_000,
        b'{"outputs": {' + b'"' * 30_000_001,
        b"[" * 90_000_000,
        b"0," * 45_000_000,
    ],
    ids=range(9),
)
def test_a_hostile_file_is_refused_within_a_moment(data):
    start = time.process_time()
    with pytest.raises(UnreadableError):
        of_bce(data)
    assert time.process_time() - start < 4


@pytest.mark.parametrize("seed", range(3))
def test_only_outputs_are_dropped(seed):
    drawn = random.Random(seed)

    def made(depth):
        kind = drawn.randrange(6 if depth < 5 else 4)
        if kind == 0:
            return drawn.choice(['"outputs": [', "\\", 'a\\"outputs":', "}]", "[{", "\u20ac\n", '"'])
        if kind in (1, 2, 3):
            return drawn.choice([None, True, 3, -0.5, "x"])
        if kind == 4:
            return [made(depth + 1) for _ in range(drawn.randrange(4))]
        keys = ["outputs", "attachments", "widgets", "source", 'say "outputs', "outputs\\", "x"]
        return {drawn.choice(keys): made(depth + 1) for _ in range(drawn.randrange(4))}

    def emptied(value):
        if isinstance(value, list):
            return [emptied(item) for item in value]
        if isinstance(value, dict):
            dropped = ("outputs", "attachments", "widgets")
            return {
                key: type(item)() if key in dropped and isinstance(item, (list, dict)) else emptied(item)
                for key, item in value.items()
            }
        return value

    for _ in range(2000):
        value = [made(0), made(0)]
        text = json.dumps(value, indent=drawn.choice([None, 1]), ensure_ascii=drawn.choice([True, False])).encode()
        assert json.loads(slim(text)) == emptied(value)


@pytest.mark.parametrize(("cell_type", "kind"), [("markdown", "text cell"), ("raw", "raw cell"), ("html", "text cell")])
@pytest.mark.parametrize("source", [ANSWER, f"```python\n{ANSWER}\n```", f">>> {ANSWER}", [ANSWER]])
def test_a_function_in_a_cell_that_is_no_code_is_told(cell_type, kind, source):
    changed = copy.deepcopy(BCE)
    changed["cells"][4] = {"cell_type": cell_type, "source": source, "metadata": {}}
    submission = of_bce(changed)
    assert submission.misplaced == (("sigmoid", 5, kind),)
    assert submission.written == frozenset()
    changed["cells"].append(code(ANSWER))
    assert of_bce(changed).misplaced == ()


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_and_its_solution_have_no_function_in_a_text(name):
    for folder in ("lessons", "solutions"):
        assert read((ROOT / f"{folder}/{name}.ipynb").read_bytes(), RELEASES).misplaced == ()


def test_memory_that_is_not_there(monkeypatch):
    def loads(*_, **__):
        raise MemoryError

    monkeypatch.setattr(reading.json, "loads", loads)
    with pytest.raises(UnreadableError, match="memory"):
        of_bce(b"{}")


def test_the_lesson_is_told_by_the_functions_then_by_what_was_handed_out_then_by_the_title():
    assert read(notebook(code(ANSWER)), RELEASES).lesson == "03-bce"
    assert read(notebook(code("check(sigmoid)")), RELEASES).lesson == "03-bce"
    title = {"cell_type": "markdown", "source": ["Ann Lee\n", "# lesson 3: binary cross-entropy (mine)"]}
    assert read(notebook(title), RELEASES).lesson == "03-bce"
    assert read(notebook(title, code("def mse(y): ..."), code("def huber(y): ...")), RELEASES).lesson == "02-mse"


@pytest.mark.parametrize("name", ["03-bce.ipynb", "Copy of 03_BCE (1).ipynb", "hw/bce.ipynb", "03bce-final.ipynb"])
def test_the_files_name_decides_where_nothing_else_does(name):
    assert read(notebook(), RELEASES, name=name).lesson == "03-bce"


@pytest.mark.parametrize("name", ["", "homework.ipynb", "abce.ipynb", "02-mse and 03-bce.ipynb"])
def test_a_notebook_that_matches_no_lesson(name):
    installs = code("".join(BCE["cells"][1]["source"]))
    for data in (notebook(), notebook(code("x = 1")), notebook(installs)):
        with pytest.raises(UnreadableError, match=r"^it matches none of the lessons 01-recipe, 02-mse"):
            read(data, RELEASES, name=name)


def test_a_tie_is_told_by_the_name_or_not_at_all():
    data = notebook(code(ANSWER), code("def mse(y): ..."))
    assert read(data, RELEASES, name="02-mse.ipynb").lesson == "02-mse"
    with pytest.raises(UnreadableError, match="it matches 02-mse, 03-bce equally well"):
        read(data, RELEASES, name="06-kl.ipynb")


def test_a_given_lesson_is_not_doubted():
    assert read((ROOT / "lessons/02-mse.ipynb").read_bytes(), RELEASES, lesson="03-bce").lesson == "03-bce"


def test_arguments_that_are_the_callers_fault():
    with pytest.raises(ValueError, match=r"^lesson is '09-x'; it must be one of 01-recipe, ") as caught:
        read(b"", RELEASES, lesson="09-x")
    assert not isinstance(caught.value, UnreadableError)
    with pytest.raises(ValueError, match=r"^releases is empty"):
        read(b"", {})
    alone = {"only": Release("only", "", ("f",), (), {})}
    with pytest.raises(UnreadableError, match="none of the lessons only"):
        read(notebook(), alone)
