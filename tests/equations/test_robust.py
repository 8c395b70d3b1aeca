"""Whatever a display says, it is read or refused with its place: never a traceback, never for long."""

import re
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossbook.book.verify import references
from lossbook.equations.checking import check_page
from lossbook.equations.pages import Display, Page, read
from lossbook.equations.parsing import MathError, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.stem for path in (ROOT / "book").glob("[0-9][0-9]-*.md"))
TOKENS = re.compile(r"\\[A-Za-z]+|\\.|\d+|\s+|.", re.S)
JUNK = [
    *(
        r"\foo",
        r"{",
        r"}",
        r"(",
        r")",
        r"[",
        r"]",
        r"^",
        r"_",
        r"!",
        r"\\",
        r"&",
        r"|",
        r"\|",
        r"\left(",
    ),
    *(
        r"\{",
        r"\}",
        r"\begin{cases}",
        r"\end{cases}",
        r"\text{",
        r"\text{if}",
        r"\partial",
        r"é",
    ),
    *(
        r"∑",
        "'",
        "''",
        r"\in",
        r"\to",
        r"\approx",
        r"\propto",
        r"=",
        r"<",
        r"\iff",
        r"\dots",
        r",",
    ),
    *(
        r".",
        r"\int_0^1",
        r"\log",
        r"\exp",
        r"0",
        r"-1",
        r"1/0",
        r"N",
        r"K",
        r"n",
        r"k",
        r"d",
        r"x",
    ),
    *(
        r"\top",
        r"\nabla",
        r"\mathbb{E}",
        r"\operatorname{Var}",
        r"\max",
        r"\min",
        r"\operatorname*{arg\,min}_z",
    ),
    *(
        r"\sqrt{-1}",
        r"\binom{3}{9^9}",
        r"\mid",
        r"/",
        r"\#\{n\}",
        r"\langle",
        r"^{10^{10}}",
        r"10^{10^{10^{10}}}",
    ),
    *(
        r"(10^9)!",
        r"\sum_{n=1}^{10^9}",
        r"e^{e^{e^{e^{9}}}}",
        r"\sum_{n=1}^{999}\sum_{m=1}^{999}",
    ),
    *(
        r"\prod_{n}",
        r"\odot",
        r"\lvert",
        r"\underbrace",
    ),
]
SECONDS = 10  # of one core: far more than any takes


@cache
def page(name: str) -> Page:
    return read(ROOT / "book" / f"{name}.md")


def broken(text: str, rng: Random) -> str:
    tokens = TOKENS.findall(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(tokens))
        kind = rng.randrange(5)
        if kind == 0 and len(tokens) > 1:
            del tokens[at]
        elif kind == 1:
            tokens.insert(at, rng.choice(JUNK))
        elif kind == 2:
            tokens[at] = rng.choice(JUNK)
        elif kind == 3:
            tokens[at] = rng.choice(tokens)
        else:
            tokens = tokens[: at + 1] if rng.random() < 0.5 else tokens[at:]
    return "".join(tokens)


def refused(text: str) -> int:
    """Return where a text is refused; 0 if it is read."""
    try:
        parse(text)
    except MathError as error:
        return error.position
    return 0


def verdict(name: str, number: int, text: str) -> list[str]:
    """Return the faults of a page of the book with one display changed; each must have its place."""
    own = page(name)
    display = own.displays[number % len(own.displays)]
    parts = [replace(display, text=text) if part is display else part for part in own.parts]
    start = time.process_time()
    table, records = check_page(Page(own.name, own.path, parts), {display.label}, references())
    assert time.process_time() - start < SECONDS, text
    faults = [*table.faults, *(f"{own.name}, {display.label}, {f}" for record in records for f in record.faults)]
    for fault in faults:
        assert re.match(rf"{name}, .*line \d+", fault) or "claims nothing" in fault, fault
    return faults


@pytest.mark.parametrize("name", PAGES)
def test_broken_displays_of_the_book_are_named_with_their_place(name: str) -> None:
    rng = Random(name)
    displays = page(name).displays
    for _ in range(10):
        number = rng.randrange(len(displays))
        verdict(name, number, broken(displays[number].text, rng))


@pytest.mark.parametrize("name", PAGES)
def test_every_display_cut_anywhere_is_read_or_refused(name: str) -> None:
    for display in page(name).displays:
        for end in range(0, len(display.text), 7):
            for text in (display.text[:end], display.text[end:]):
                assert 0 <= refused(text) <= len(text)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([*JUNK, *"abnkxyz012+-*/=<>,;: "]), max_size=25), st.integers(0, 40))
def test_any_tokens_are_read_or_refused(tokens: list[str], number: int) -> None:
    verdict("03-bce", number, " ".join(tokens))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert 0 <= refused(text) <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        r"\\",
        "&",
        r"1 = 10^{10^{10}}",
        r"1 = 10^{10^{10^{10}}}",
        r"1 = 0.1^{10^{10^{10}}}",
        r"1 = (10^{10})!",
        r"1 = \binom{10^{10}}{10^9}",
        r"1 = e^{e^{e^{e^{e}}}}",
        r"1 = \sum_{n=1}^{10^9} n",
        r"1 = \sum_{n=1}^{9999} \sum_{m=1}^{9999} n m",
        r"1 = \prod_{n=1}^{10^{10^{10}}} 2",
        r"1 \in \{1, \dots, 10^9\}",
        r"1 = \frac{d^{99}}{dz^{99}} z^{100}",
        r"1 = \sigma'''''''''''''''''(z)",
        r"1 = \log^{10^{99}} 2",
        "1 = " + "(" * 400 + "1" + ")" * 400,
        "1 = " + r"\frac{1}{" * 300 + "2" + "}" * 300,
        "1 = " + "9" * 5000,
        "1 = " + "1 + " * 3000 + "1",
        "\x00",
        "１ = ２",
        "1 = \u2028 2 \\foo",
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_extremes_are_refused_in_time(text: str) -> None:
    assert verdict("03-bce", 0, text)


def test_a_page_of_nothing() -> None:
    table, records = check_page(Page("empty", Path("empty.md")))
    assert not table.faults
    assert not records


def test_a_display_without_a_label_is_checked_too() -> None:
    _, records = check_page(Page("page", Path("page.md"), [Display("page", "", "", "1 = 2", 1)]))
    assert records[0].faults
