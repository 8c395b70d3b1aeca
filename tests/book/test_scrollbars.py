"""A formula in a line carries no scrollbar, a formula wider than the screen can be scrolled, and both can be heard."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What no page has yet: accents and slants that stick out of their box, and whatever is high.
UNUSUAL = [
    *(r"\widehat{xyz}", r"\tilde W", r"\vec{J}", r"\overline{AB}", r"\hat{\imath}", r"\check{W}", r"\mathring{A}"),
    *(r"\overbrace{a + b}^{n}", r"\underbrace{a + b}_{n}", r"\overrightarrow{AB}", r"\boxed{x}", r"\sqrt[3]{x}"),
    *(r"\mathcal{N}", r"\mathfrak{J}", r"\mathscr{F}", r"f'", r"V^*", r"J^{T}_{f}", r"\bar{f}_{T}", r"\ddot{y}"),
    *(r"\binom{n}{k}", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\displaystyle\sum_{n=1}^{N} x_n"),
]
LONG = " + ".join([r"\log(1 - p)"] * 12)
MEASURE = """() => [...document.querySelectorAll('section > p span.math mjx-container')].map(box => {
    const style = getComputedStyle(box), copy = box.querySelector('mjx-assistive-mml'), heard = getComputedStyle(copy)
    const around = box.parentElement
    const scrolls = e => e.scrollWidth > e.clientWidth && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
    return {
        text: copy.textContent,
        scrolls: scrolls(box) || scrolls(around),
        bar: box.offsetHeight > box.clientHeight && style.display !== 'inline',
        cut: [box, around].some(e => e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === 'hidden'),
        heard: !!copy.querySelector('math') && heard.display !== 'none' && heard.visibility === 'visible'
            && copy.offsetWidth > 1 && !copy.closest('[aria-hidden="true"]'),
    }
})"""


@pytest.fixture(scope="module")
def page(tmp_path_factory, tiny_book, launch, formulas_in):
    """A small book's page with all formulas that stand in a line of the book, in a browser with classic scrollbars."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.md"))]
    formulas = list(dict.fromkeys(formula for text in texts for formula in formulas_in(text)))
    assert len(formulas) > 400
    lines = [f"The formula ${formula}$ stands in a line." for formula in [*formulas, *UNUSUAL, LONG]]
    tiny = tiny_book(tmp_path_factory.mktemp("scrollbars"))
    display = f"```{{math}}\n:label: wide\n:class: definition\ns = {LONG.replace('p', '0.5')}\n```"
    tiny.write("one", "\n\n".join(["# Formulas", *lines, display, f"Call `{'torch.compiler.' * 4}disable`.", ""]))
    built = tiny.build()
    assert built.code == 0, built.log
    browser = launch(ignore_default_args=["--hide-scrollbars"])
    page = browser.new_page()
    page.goto((tiny.root / "_build" / "html" / "book" / "one.html").as_uri())
    page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
    page.evaluate("MathJax.startup.promise.then(() => true)")
    yield page
    browser.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_formula_that_fits_its_line_does_not_scroll(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    *formulas, long = page.evaluate(MEASURE)
    assert len(formulas) > 400
    assert [formula["text"] for formula in formulas if formula["scrolls"] or formula["bar"] or formula["cut"]] == []
    assert long["scrolls"], "a formula wider than its line can be scrolled"
    assert long["bar"], "and then its scrollbar is seen, so one would have been seen above"


@pytest.mark.parametrize("width", [390, 320])
def test_formulas_and_code_do_not_widen_a_telephone_and_a_display_scrolls(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    scrolling = """() => [...document.querySelectorAll('div.math, div.math mjx-container')].filter(
        e => e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === 'auto').length"""
    assert page.evaluate(scrolling) >= 1


def test_a_screen_reader_has_the_mathml_of_every_formula(page):
    formulas = page.evaluate(MEASURE)
    assert [formula["text"] for formula in formulas if not formula["heard"]] == []
