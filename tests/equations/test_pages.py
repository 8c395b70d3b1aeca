"""Every display of a page is found or refused, and a table of symbols says what is wrong with a row."""

from pathlib import Path

import pytest

from lossbook.book.verify import references
from lossbook.equations.checking import check_page
from lossbook.equations.pages import Page, read

MATH = "```{math}\n:label: a\nx = 1\n```\n"


@pytest.fixture
def page(tmp_path: Path):
    def of(text: str | bytes) -> Page:
        path = tmp_path / "page.md"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(path)

    return of


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (MATH, 3),
        ("---\nkernel: x\n---\n" + MATH, 6),
        ("\ufeff" + MATH, 3),
        (MATH.replace("\n", "\r\n"), 3),
        ("````{note} Title\n" + MATH + "````\n", 4),
        (":::{note}\n" + MATH + ":::\n", 4),
        (":::::{note}\n::::{tip}\n:::{math}\n:label: a\nx = 1\n:::\n::::\n:::::\n", 5),
        ("- item\n\n  " + MATH.replace("\n", "\n  "), 5),
        ("> " + MATH.replace("\n", "\n> "), 3),
        (MATH.replace("```", "````"), 3),
        (MATH.replace("```", "~~~"), 3),
        (MATH.replace("```", ":::"), 3),
        (MATH.replace("{math}", "{MATH}"), 3),
        (MATH.replace("```{", "``` {"), 3),
        ("```{figure} x.png\n" + MATH.replace("```", "~~~") + "```\n", 4),
    ],
)
def test_a_display_is_found_wherever_it_stands(page, text: str, line: int) -> None:
    found = page(text)
    assert not found.faults
    (display,) = found.displays
    assert (display.label, display.text.strip(), display.line) == ("a", "x = 1", line)


@pytest.mark.parametrize("options", [":label: a\n:class: definition", ":class: definition\n:label: a"])
def test_options_stand_in_any_order(page, options: str) -> None:
    (display,) = page(f"```{{math}}\n{options}\nx = 1\n```\n").displays
    assert (display.label, display.role, display.line) == ("a", "definition", 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$$x = 1$$\n", "line 1: a display without a label"),
        ("$$\nx\n$$ (label)\n", "line 1: a display without a label"),
        ("words $$x$$ words\n", "line 1: a display inside a paragraph"),
        ("- $$x$$\n", "without a label"),
        ("> $$x$$\n", "without a label"),
        ("| a |\n|---|\n| $$x$$ |\n", "a display inside a paragraph"),
        ("\\begin{align}\nx &= 1\n\\end{align}\n", "without a label"),
        ("words\n\n\\begin{equation}x\\end{equation}\n", "line 3: a display without a label"),
        ("```{note}\n$$\nx\n$$\n```\n", "line 2: a display without a label"),
        ("```{figure} a.png\n:name: b\n\n$$x$$\n```\n", "without a label"),
        ("```{eval-rst}\n.. math::\n\n   x = 1\n```\n", "a display inside {eval-rst}"),
        ("<div>\n$$x$$\n</div>\n", "a display inside HTML"),
        ("```{include} other.md\n```\n", "not read"),
        ("```{math}\nx = 1\n```\n", "line 2: a display without a label"),
        ("```{math} x = 1\n:label: a\n```\n", "without a label"),
        ("```{math}\n---\nlabel: a\n---\nx = 1\n```\n", "without a label"),
        ("```{math}\n\n:label: a\nx = 1\n```\n", "without a label"),
        ("```{math}\n:label: a\n:class: theorem\nx = 1\n```\n", "the class is 'theorem'; it must be one of"),
        ("```{math}\n:label: a\n:nowrap:\nx = 1\n```\n", "'nowrap' is no option"),
        ("```{math}\n:label: a\n:label: b\nx = 1\n```\n", "'label' is given twice"),
        (MATH + "\n" + MATH, "two displays are labelled 'a'"),
        (b"\n\xff\n" + MATH.encode(), "line 2: the page is not UTF-8"),
    ],
)
def test_no_display_is_skipped_silently(page, text: str | bytes, said: str) -> None:
    faults = page(text).faults
    assert any(said in fault for fault in faults), faults
    assert all(fault.startswith("page") for fault in faults)


def test_a_page_that_is_not_there_is_named(tmp_path: Path) -> None:
    (fault,) = read(tmp_path / "none.md").faults
    assert fault.startswith("none: ")
    assert "No such file" in fault


def test_code_is_no_display(page) -> None:
    found = page("```{code-cell} python3\ny = '$$x$$'\n```\n\n```python\n'$$x$$'\n```\n\n`$$x$$`\n")
    assert not found.faults
    assert not found.displays


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a: [", "line 5: the table of symbols is no YAML"),
        ("\ta: b", "the table of symbols is no YAML"),
        ("- a\n- b", "line 4: the table of symbols can't be read: it must map each symbol to its fields"),
        ("a: words", "line 4: the table of symbols can't be read: a must have the field 'is'"),
        ("b:\n  is: b\n  in: real\na:\n  in: real", "line 7: the table of symbols can't be read: a must have the"),
        ("a:\n  is: a\n  color: red", "a has the field 'color'; the fields are by, code, constant"),
        ("a:\n  is: a\n  in: [0, 1]", "the field 'in' of a is [0, 1]; it must be one line of text"),
        ("a:\n  is: a\n  in: real\n  equals: 1", "a can have only one of the fields in, equals, size, runs"),
        (
            "a:\n  is: a\n  in: real\na:\n  is: b\n  in: real",
            "line 4: the table of symbols can't be read: a is declared",
        ),
        ("a:\n  is: a\n  in: reals", "line 4: symbol a: 'reals' is not a domain; it must be a set, an interval or one"),
        ("a:\n  is: a\n  in: (0, 1", "line 4: symbol a: it ends too early"),
        ("a:\n  is: a\n  in: probabilities", "line 4: symbol a: 'probabilities' needs an index"),
        ("a(b):\n  is: a\n  in: real", "symbol a(b): 'real' is where numbers come from"),
        ("a:\n  is: a\n  in: function", "symbol a: 'function' is where functions come from"),
        ("a, b:\n  is: a\n  in: joint", "a must name the variables"),
        ("a:\n  is: a\n  size: 0", "size is 0; it must be a whole number from 1 to 20"),
        ("a:\n  is: a\n  size: 1000000000", "it must be a whole number from 1 to 20"),
        ("a:\n  is: a\n  size: many", "size is 'many'; it must be a whole number"),
        ("n:\n  is: a\n  runs: N", "runs is 'N'; it must be a symbol with the field 'size'"),
        ("a:\n  is: a\n  in: real\n  from: b", "from is 'b'; it must be the label of a display of the page"),
        ("a:\n  is: a\n  in: real\n  until: b", "until is 'b'; it must be the label of a display of the page"),
        ("a:\n  is: a\n  in: real\n  from: second\n  until: first", "until is 'first', which stands before 'second'"),
        ("a:\n- is: a\n  in: real\n- is: b\n  in: real", "symbol a: a is declared twice from the same place on"),
        ("a, b:\n  is: a\n  in: real\nb:\n  is: b\n  in: real", "symbol b: b is declared twice from the same place on"),
        (r"a:" "\n  is: a\n  equals: 1 = 1", "symbol a: '1 = 1' must be one formula"),
        ("a:\n  is: a\n  equals: 1, 2", "symbol a: '1, 2' must be one formula"),
        ("a:\n  is: a\n  equals: (1", "symbol a: it ends too early"),
        ("(a:\n  is: a\n  equals: 1", "symbol (a: it ends too early"),
        ("O(x):\n  is: a\n  tends: forever", "tends is 'forever'; it must be as in"),
        ("a:\n  is: a\n  in: real\n  code: print(a)", "symbol a: the code is 'print(a)'; it must be a call"),
        ("a:\n  is: a\n  in: real\n  code: mse_loss(a, b, c, d, e, f, g, h)", "has only"),
        ("a:\n  is: a\n  in: real\n  code: mse_loss(a, b, colour=a)", "no parameter 'colour'"),
    ],
)
def test_a_row_that_says_nothing_is_named_with_its_line(page, rows: str, said: str) -> None:
    displays = "".join(f"```{{math}}\n:label: {label}\n1 = 2 - 1\n```\n\n" for label in ("first", "second"))
    found = page(f"# Title\n\n```{{symbols}}\n{rows}\n```\n\n{displays}")
    table, _ = check_page(found, functions=references())
    faults = [*found.faults, *table.faults]
    assert any(said in fault for fault in faults), faults
    assert all(fault.startswith("page, line ") for fault in faults)
