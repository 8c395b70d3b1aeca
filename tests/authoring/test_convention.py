"""Every way to break the author's convention is told, with its place and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossbook.authoring.convention import INSTALL, AuthorError, read, unanswered
from lossbook.authoring.release import lesson, solution

DOUBLE = '''\
def double(x):
    """Return 2·x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
'''
CHECK = "check(double).points\n"


def source(*cells: str, title: str = "# Title", install: str = INSTALL, tags: str = "") -> str:
    """Return a lesson with these code cells; `tags` go on the last one."""
    option = f":tags: [{tags}]\n\n" if tags else ""
    code = [install, *cells]
    code[-1] = option + code[-1]
    return f"{title}\n\n" + "\n".join(f"```{{code-cell}} ipython3\n{cell.rstrip()}\n```\n" for cell in code)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "solutions" / "03-bce.md"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


def broken(text: str) -> str:
    return DOUBLE.replace("    ### END SOLUTION\n", "") if text == "end" else DOUBLE.replace("### BEGIN SOLUTION", "#")


@pytest.mark.parametrize(
    ("text", "cell", "message"),
    [
        (source(DOUBLE), 3, "double is never checked: add a cell whose only line is check(double).points"),
        (source(DOUBLE, "check(double)\nprint(1)"), 3, "double is never checked"),
        (source(DOUBLE, DOUBLE.replace("double", "square")), 3, "double is never checked"),
        (source(broken("end"), CHECK), 3, "'### BEGIN SOLUTION' has no '### END SOLUTION'"),
        (source(broken("begin"), CHECK), 3, "line 5: '### END SOLUTION' without '### BEGIN SOLUTION' above"),
        (
            source(DOUBLE.replace("    return", "    ### BEGIN SOLUTION\n    return"), CHECK),
            3,
            "line 4: '### BEGIN SOLUTION' again before '### END SOLUTION'",
        ),
        (source("### BEGIN SOLUTION\nx = 1\n### END SOLUTION"), 3, "defines one function; this one defines none"),
        (source(DOUBLE + "def f(): pass"), 3, "defines one function; this one defines double, f"),
        (source(DOUBLE.replace('    """Return 2·x."""\n', ""), CHECK), 3, "give double a docstring"),
        (source("### BEGIN SOLUTION\n" + DOUBLE.replace("    ### BEGIN SOLUTION\n", "")), 3, "below its docstring"),
        (
            source(DOUBLE.replace("    ### BEGIN", "### BEGIN"), CHECK),
            3,
            "line 3: put '### BEGIN SOLUTION' in the body",
        ),
        (source(DOUBLE, CHECK, DOUBLE), 5, "double is already an exercise"),
        (source(DOUBLE, CHECK, CHECK), 5, "double is already checked above"),
        (source(DOUBLE, "check(dubble).points"), 4, "no cell above solves dubble; not yet checked: double"),
        (source(CHECK), 3, "no cell above solves double; not yet checked: none"),
        (source(*(cell.replace("double", "triple") for cell in (DOUBLE, CHECK))), 4, "no exercise 'triple'"),
        (source("1 +"), 3, "line 1 is not Python"),
        (source("x = 1;"), 3, "drop the last ';'"),
        (source("plt.plot(x);  # no"), 3, "drop the last ';'"),
        (source(""), 3, "the code cell is empty"),
        (source("# NBVAL_SKIP\nx = 1"), 3, "remove the comment for nbval"),
        (source("x = 1", tags="nbval-skip"), 3, "remove the tag 'nbval-skip'"),
        (source("x = 1", tags="raises-exception"), 3, "remove the tag 'raises-exception'"),
        (source("x = 1", tags="nbval-ignore-output"), 3, "add the tag 'timing'"),
        (source("x = 1", tags="lesson-only, solution-only"), 3, "keep one of the tags"),
        (source("x = 1") + "\n### BEGIN SOLUTION\n", 4, "belong in a code cell"),
        (source("x = 1", title="No heading"), 1, "a lesson opens with its title"),
        (source("x = 1", install="import torch"), 1, "the first code cell must install the course on Colab"),
        ("", 1, "a lesson opens with its title"),
    ],
)
def test_a_broken_convention_is_told(tmp_path: Path, lookup, text: str, cell: int, message: str) -> None:
    with pytest.raises(AuthorError) as error:
        read(write(tmp_path, text), lookup)
    assert str(error.value).startswith(f"solutions/03-bce.md, cell {cell}")
    assert message in str(error.value)


SQUARE = [cell.replace("double", "square") for cell in (DOUBLE, CHECK)]
MARK = "```{hints} square\n```\n"


TYPED = "<details><summary>Hint 3</summary>\n\nx\n\n</details>\n"


@pytest.mark.parametrize(
    ("text", "last", "message"),
    [
        (source(*SQUARE), "def square", "the hints of square have no place: add the mark ```{hints} square and ```"),
        (source(*SQUARE) + MARK + "\nSo.\n\n" + MARK, MARK, "the hints of square stand above already"),
        (source(*SQUARE) + MARK + MARK.replace("square", "sqare"), "```{hints}", "no cell above solves sqare"),
        (source() + MARK + source(*SQUARE), MARK, "no cell above solves square"),
        (source(DOUBLE, CHECK) + MARK.replace("square", "double"), "```{hints}", "declares no hint to fold away"),
        (source(*SQUARE) + "```{hints}\n```\n", "```{hints}", "a mark for hints is two lines"),
        (source(*SQUARE) + "```{hints} square\nThink.\n```\n", "```{hints}", "a mark for hints is two lines"),
        (source(*SQUARE) + MARK + TYPED, "<details>", "a hint is typed here"),
        (source(*SQUARE) + TYPED.replace("<sum", "\n<sum").replace("Hint 3", " Hint"), "<summary>", "typed here"),
    ],
    ids=range(9),
)
def test_a_mark_for_hints_that_is_missing_or_wrong_is_told_with_its_line(
    tmp_path: Path, lookup, text: str, last: str, message: str
) -> None:
    """The line is that of the last place where the source has these words."""
    with pytest.raises(AuthorError) as error:
        read(write(tmp_path, text), lookup)
    assert str(error.value).startswith(f"solutions/03-bce.md, line {text[: text.rindex(last)].count(chr(10)) + 1}: ")
    assert message in str(error.value)


@pytest.mark.parametrize("parameters", ["y", "x, y", "x=1", "*x", ""])
def test_a_stub_with_other_parameters_than_the_reference_s_is_refused(tmp_path: Path, lookup, parameters: str) -> None:
    stub = DOUBLE.replace("double(x)", f"double({parameters})")
    with pytest.raises(AuthorError) as error:
        read(write(tmp_path, source(stub, CHECK)), lookup)
    said = f"the stub is double({parameters}), and the exercise's reference takes (x)"
    assert str(error.value) == f"solutions/03-bce.md, line 11: {said}"


def test_hints_stand_where_the_mark_is_and_annotations_are_no_parameters(tmp_path: Path, lookup) -> None:
    stub = SQUARE[0].replace("(x)", "(x: float) -> float")
    nb = read(write(tmp_path, source(stub, SQUARE[1]) + "Before.\n\n" + MARK + "\nAfter.\n"), lookup)
    opening, rest = nb.cells[-1].source.split("\n\n", 1)
    assert opening == "Before."
    assert rest.startswith("<details><summary>Hint 1</summary>\n\nWhich product is $x^2$?\n\n</details>\n\n<details>")
    assert rest.endswith("`x * x`\n\n</details>\n\nAfter.")


def test_typed_metadata_is_refused(tmp_path: Path, lookup) -> None:
    cell = "```{code-cell} ipython3\n:nbgrader: {}\n\nx = 1\n```\n"
    with pytest.raises(AuthorError, match="remove the key `nbgrader`"):
        read(write(tmp_path, source() + cell), lookup)


def test_magics_and_a_semicolon_in_the_middle_are_fine(tmp_path: Path, lookup) -> None:
    nb = read(write(tmp_path, source("%matplotlib inline\na = 1; b = 2\nprint(';')")), lookup)
    assert len(nb.cells) == 3


ANSWERED = '+++ {"tags": ["solution-only"]}\n\n<details><summary>Answer</summary>\n\nTwo.\n\n</details>\n'


def test_an_answer_stands_in_the_solution_alone(tmp_path: Path, lookup) -> None:
    nb = read(write(tmp_path, source() + "\n" + ANSWERED + "\n+++\n\n## 2. What follows\n"), lookup)
    texts = ["".join(cell.source for cell in made(nb).cells) for made in (lesson, solution)]
    assert ["Two." in text for text in texts] == [False, True]
    assert ["## 2. What follows" in text for text in texts] == [True, True]


@pytest.mark.parametrize("more", ["\n## 2. What follows\n", "\nA sentence.\n", "\n" + ANSWERED.partition("\n\n")[2]])
def test_what_stands_behind_an_answer_is_not_lost_to_the_lesson(tmp_path: Path, lookup, more: str) -> None:
    with pytest.raises(AuthorError, match="end the answer with a line"):
        read(write(tmp_path, source() + "\n" + ANSWERED + more), lookup)


HALF = (DOUBLE.replace("double", "half").replace("2 * x", "x / 2"), "check(half).points\n")
ASKED = 'predict("half", at_four=2, sign="that of x")'


def test_predictions_are_answered_in_the_solution_and_open_in_the_lesson(tmp_path: Path, lookup) -> None:
    nb = read(write(tmp_path, source(ASKED + "  # a number, and words", *HALF)), lookup)
    assert ASKED in solution(nb).cells[2].source
    assert lesson(nb).cells[2].source == 'predict("half", at_four=None, sign=None)  # a number, and words'
    assert "nbgrader" not in lesson(nb).cells[2].metadata  # it is the student's to fill in


def test_answers_of_any_form_are_taken_out_of_a_lesson() -> None:
    answers = 'predict(\n    "σ", a=[1,\n 2], b="é",\n    c=2 / 3,  # a\n)'
    assert unanswered(answers) == 'predict(\n    "σ", a=None, b=None,\n    c=None,  # a\n)'


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (HALF, r'the predictions of half are not asked for: add predict\("half", at_four=…, sign=…\)'),
        ((ASKED, ASKED, *HALF), "asked for above already"),
        ((*HALF, ASKED), "half is solved above"),
        ((ASKED,), "no cell below solves half"),
        (('predict("half", sign="that of x", at_four=2)', *HALF), "half declares at_four, sign"),
        (('predict("half", at_four=2)', *HALF), "predict asks for at_four; half declares at_four, sign"),
        (('predict("double", x=1)', DOUBLE, CHECK), "double declares nothing"),
        (("predict(half, at_four=2, sign=1)", *HALF), "the first argument of predict is the name of a function"),
    ],
)
def test_predictions_are_asked_for_where_they_are_declared(tmp_path: Path, lookup, cells, message: str) -> None:
    with pytest.raises(AuthorError, match=message):
        read(write(tmp_path, source(*cells)), lookup)


def test_ids_are_stable_and_unique(tmp_path: Path, lookup) -> None:
    path = write(tmp_path, source(DOUBLE, CHECK, "x = 1", "x = 1"))
    first = [cell.id for cell in read(path, lookup).cells]
    assert first == [cell.id for cell in read(path, lookup).cells]
    assert len(set(first)) == len(first)
    assert first[2:4] == ["double", "double-points"]
    path.write_text(source("y = 1", DOUBLE, CHECK, "x = 1", "x = 1"), encoding="utf-8")
    assert [cell.id for cell in read(path, lookup).cells if cell.source != "y = 1"] == first


def test_a_function_named_in_greek_gets_an_id_that_nbgrader_allows(tmp_path: Path, lookup) -> None:
    cells = (cell.replace("double", "σ") for cell in (DOUBLE, CHECK))
    nb = read(write(tmp_path, source(*cells)), lambda name: lookup("double"))
    assert nb.cells[2].metadata.nbgrader.grade_id == "u3c3"
