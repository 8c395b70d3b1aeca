"""Every part of a display knows where it stands: a mistake is made, and a fault is shown, at that place."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossbook.book import docstrings
from lossbook.equations.edits import shape
from lossbook.equations.pages import read
from lossbook.equations.parsing import Node, parse

BOOK = Path(__file__).parents[2] / "book"
NO_FORMULAS = {"display", "item", "chain", "args", "case", "dots", "top"}  # what is no formula that can be read alone

LATEX = [
    r"- a + b - c",
    r"x_n^2 + x^2_n",
    r"p^{\,y} (1 - p)^{1 - y}",
    r"\bigl[ y \log p \bigr]^2 / \left( 2 N \right)",
    r"\frac12 \cdot \tfrac{a}{b} \times c",
    r"\sum_{n=1}^{N} \bigl( x_n - c \bigr)^2 w_n",
    r"\log \bigl( 1 + e^{-|z|} \bigr) f'(x)",
    r"\max(\log p, -100) + \operatorname*{arg\,min}_c g(c)",
    r"\underbrace{a + b}_{\text{both}} n! \binom{n}{k} \sqrt{x}",
    r"\Bigl\lVert v \Bigr\rVert^2 + \#\{ y_n < c \} + \bigl\{ x \bigr\}",
    r"x_n^{\top} v'",
    r"\mathbb{E}_q \bigl[ \log p \bigr]",
    r"\frac{\partial^2 \ell}{\partial z^2} + \int_0^1 x \, d x",
]


def parts(node: Node, *, index: bool = False) -> Iterator[tuple[Node, Node | None, bool]]:
    """Yield each node with its parts, and whether it is in a subscript."""
    inner = [part for part in (*node.parts, node.sub, node.sup) if part is not None]
    for part in inner:
        yield node, part, index
        yield from parts(part, index=index or node.kind == "sub")
    if not inner:
        yield node, None, index


def check(text: str) -> None:
    for node, part, index in parts(parse(text)):
        source = text[node.start : node.end]
        assert source.strip() == source
        assert source
        if part is not None:
            assert node.start <= part.start <= part.end <= node.end
        if node.kind not in NO_FORMULAS and not index and r"x^2_n" not in source:
            again = parse(source).parts[0].parts[0]
            assert shape(again) == shape(node), source


@pytest.mark.parametrize("latex", LATEX)
def test_a_part_reads_alone_as_it_does_in_its_display(latex):
    check(f"  {latex} = \n {latex} ,")


def test_the_parts_of_the_book_s_displays_read_alone_as_they_do_there():
    pages = [*map(read, sorted(BOOK.glob("*.md"))), *docstrings.pages()]
    displays = [display for page in pages for display in page.displays]
    assert len(displays) > 100
    for display in displays:
        check(display.text)


@pytest.mark.parametrize(
    ("latex", "kind", "span"),
    [
        (r"a - \bigl( b + c \bigr)", "group", r"\bigl( b + c \bigr)"),
        (r"a - \bigl( b + c \bigr)", "neg", r"- \bigl( b + c \bigr)"),
        (r"\left[ b + c \right]^2 d", "pow", r"\left[ b + c \right]^2"),
        (r"\left[ b + c \right]^2 d", "juxt", r"\left[ b + c \right]^2 d"),
        (r"\Bigl| z \Bigr|", "abs", r"\Bigl| z \Bigr|"),
        (r"x_{n} ^{2} y", "pow", r"x_{n} ^{2}"),
        (r"\frac{a}{b} c", "frac", r"\frac{a}{b}"),
        (r"a b / c d", "frac", r"a b / c d"),
        (r"2 \log (x) y", "call", r"\log (x)"),
        (r"2 \log x y", "call", r"\log x y"),
        (r"2 \sum_n a_n b", "big", r"\sum_n a_n b"),
        (r"A x^{\top} y", "transpose", r"x^{\top}"),
    ],
)
def test_a_part_holds_all_its_text(latex, kind, span):
    node = next(node for node in parse(latex).walk() if node.kind == kind)
    assert latex[node.start : node.end] == span


def test_the_signs_between_parts_know_their_places():
    latex = r"a \le b = c \quad \Longrightarrow \quad d < e"
    item = parse(latex).parts[0]
    for mark in itertools.chain(item.marks, *(part.marks for part in item.parts)):
        assert latex[mark.start_pos : mark.end_pos] == mark
