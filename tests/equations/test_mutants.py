"""The checker names nearly every small mistake in the book's equations, and for each other one it is known why not."""

import os
from math import ceil
from pathlib import Path

import pytest

from lossbook.book import report_cache
from lossbook.book.mutants import DATA, Score, keys, line, load, main, pages_of, reasons, score, tally
from lossbook.book.report_cache import fingerprint
from lossbook.book.verify import DOCSTRINGS, paths
from lossbook.equations.checking import check_display
from lossbook.equations.edits import KINDS, mutants, shape
from lossbook.equations.pages import Display, Page, Row, read
from lossbook.equations.parsing import MathError, parse
from lossbook.equations.scoring import Outcome, Scorer
from lossbook.equations.symbols import Table

ROOT = Path(__file__).parents[2]
LEAST = 0.98
NAMES = [path.stem for path in paths(ROOT) if path.name == DOCSTRINGS or read(path).displays]
RECORD = "run: python -m lossbook.book.mutants --record"
THOROUGH = "LOSSBOOK_THOROUGH" in os.environ
SAMPLED = 40  # one display of so many, and at least one a page

SYMBOLS = {
    "n, m": {"runs": "N"},
    "k": {"runs": "K"},
    "N": {"size": 3},
    "K": {"size": 4},
    "x, z, c": {"in": "real"},
    "p": {"in": "(0, 1)"},
    "p_n, q_n": {"in": "(0, 1)"},
    "y_n": {"in": r"\{0, 1\}"},
    "w_k": {"in": "positive"},
    "a, b": {"in": "positive"},
    "v_n": {"in": "real"},
    r"\sigma(z)": {"equals": r"\frac{1}{1 + e^{-z}}"},
    "s": {"in": "real"},
    "h": {"equals": "z + x"},
    "g": {"equals": "h^2 + z"},
}


def page(displays: dict[str, str], symbols: dict[str, dict] = SYMBOLS) -> Page:
    """Return a page. A display may begin with its class, as in 'definition: '."""
    made = Page("page", Path("page.md"), [Row(symbol, {"is": "a symbol", **row}, 1) for symbol, row in symbols.items()])
    for label, latex in displays.items():
        role, colon, rest = latex.partition(": ")
        made.parts.append(Display("page", label, role if colon else "", rest if colon else latex, 1))
    return made


def changes(latex: str, kind: str) -> set[str]:
    """Return how a display reads with each mistake of a kind."""
    made = page({"shown": latex})
    table = Table(made)
    assert not table.faults
    found = mutants(made.displays[0], table.trees["shown"], table)
    return {" ".join(mutant.text.split()) for mutant in found if mutant.kind == kind}


def tried(displays: dict[str, str], symbols: dict[str, dict] = SYMBOLS, label: str = "shown") -> dict[str, str]:
    """Return the verdict on each mutant of a display, by how its row reads."""
    made = page(displays, symbols)
    for display in made.displays:
        assert not check_display(Table(made), display).faults
    (display,) = (display for display in made.displays if display.label == label)
    return {outcome.row: outcome.verdict for outcome in Scorer(made).outcomes(display)}


def outcomes(latex: str) -> list[Outcome]:
    """Return what becomes of the mutants of a display."""
    return every(page({"shown": latex}))


def every(made: Page) -> list[Outcome]:
    """Return what becomes of the mutants of a page."""
    scorer = Scorer(made)
    return [outcome for display in made.displays for outcome in scorer.outcomes(display)]


# what is generated


@pytest.mark.parametrize(
    ("kind", "latex", "expected"),
    [
        ("sign", "a - b = c", {"-a - b = c", "a + b = c", "a - b = -c"}),
        ("sign", "-a = c", {"a = c", "-a = -c"}),
        ("sign", "e^x = a", {"-e^x = a", "e^{-x} = a", "e^x = -a"}),
        ("sign", r"\sigma(z) = a", {r"-\sigma(z) = a", r"\sigma(-z) = a", r"\sigma(z) = -a"}),
        ("sign", r"a = 0", {"-a = 0"}),
        ("sign", r"c = \log x", {r"-c = \log x", r"c = -\log x", r"c = \log (-x)"}),
        ("term", "a + b - c = x", {"b - c = x", "a - c = x", "a + b = x"}),
        (
            "term",
            r"\begin{aligned} x &= a \\ &\quad + b, \\ z &= c \end{aligned}",
            {r"\begin{aligned} x &= a, \\ z &= c \end{aligned}", r"\begin{aligned} x &= b, \\ z &= c \end{aligned}"},
        ),
        ("factor", "a b c = x", {"b c = x", "a c = x", "a b = x"}),
        ("factor", r"c = a \cdot b", {"c = b", "c = a"}),
        ("factor", r"c = \frac{1}{N} a", {"c = a", r"c = \frac{1}{N}", r"c = 1 a"}),
        ("factor", r"c = \frac{a}{b}", {"c = a", r"c = \frac{1}{b}"}),
        ("factor", r"c = a / b", {"c = a", "c = 1 / b"}),
        ("factor", r"c = a \sigma(z)", {r"c = \sigma(z)", "c = a"}),
        ("fraction", r"c = \frac{a}{b}", {r"c = \frac{b}{a}"}),
        ("fraction", r"c = a / b", {"c = b / a"}),
        ("number", "c = 2 a + 1", {"c = 3 a + 1", "c = 2 a + 2"}),
        (
            "number",
            r"c = \tfrac19 a + 0.5",
            {r"c = \tfrac2 9 a + 0.5", r"c = \tfrac18 a + 0.5", r"c = \tfrac19 a + 0.51"},
        ),
        ("index", "c = v_n", {"c = v_m", "c = v_k"}),
        (
            "index",
            r"c = \sum_{n=1}^{N} v_n w_k",
            {r"c = \sum_{k=1}^{N} v_n w_k", r"c = \sum_{n=1}^{N} v_k w_k", r"c = \sum_{n=1}^{N} v_n w_n"}
            | {r"c = \sum_{m=1}^{N} v_n w_k", r"c = \sum_{n=1}^{N} v_m w_k"},
        ),
        (
            "bound",
            r"c = \sum_{n=1}^N v_n",
            {r"c = \sum_{n=0}^N v_n", r"c = \sum_{n=2}^N v_n"}
            | {r"c = \sum_{n=1}^{N - 1} v_n", r"c = \sum_{n=1}^{N + 1} v_n"},
        ),
        (
            "exchange",
            "c = p_n - q_n",
            {"c = (1 - p_n) - q_n", "c = p_n - (1 - q_n)", "c = q_n - q_n", "c = p_n - p_n", "c = q_n - p_n"},
        ),
        ("exchange", "a = y_n a + (1 - y_n) v_n", {"a = (1 - y_n) a + (1 - (1 - y_n)) v_n"}),
        ("log", r"c = \log a + e^{-b}", {r"c = a + e^{-b}", r"c = \log a + (-b)"}),
        ("log", r"c = \exp \bigl( a + b \bigr)", {r"c = \bigl( a + b \bigr)"}),
        ("function", r"c = \sigma(z) |x| \sqrt{a}", {r"c = (z) |x| \sqrt{a}", r"c = \sigma(z) (x) \sqrt{a}"}),
        ("exponent", "c = a^2 b^{x}", {"c = a b^{x}", "c = a^3 b^{x}", "c = a^2 b"}),
        ("exponent", r"c = v^{\top} v", {"c = v v"}),
        ("inequality", r"a < b \le c \ge x > z", {r"a > b \le c \ge x > z", r"a < b \ge c \ge x > z"}),
        ("inequality", r"a = b \ne c", set()),
        ("condition", r"c = [\, n = m \,]", {r"c = [\, n \ne m \,]"}),
        ("operator", r"c = \sum_n v_n \max(a, b)", {r"c = \prod_n v_n \max(a, b)", r"c = \sum_n v_n \min(a, b)"}),
        (
            "derivative",
            r"c = \frac{\partial^2 x}{\partial a \, \partial b}",
            {r"c = \frac{\partial x}{\partial a}", r"c = \frac{\partial x}{\partial b}"}
            | {
                r"c = \frac{\partial^2 x}{\partial b \, \partial b}",
                r"c = \frac{\partial^2 x}{\partial a \, \partial a}",
            },
        ),
        ("derivative", r"c = \frac{\partial g}{\partial z}", {r"c = \frac{\partial g}{\partial h}"}),
        (
            "derivative",
            r"c = \frac{d}{d x} x^2 + \sigma'(z)",
            {r"c = x^2 + \sigma'(z)", r"c = \frac{d}{d x} x^2 + \sigma(z)"},
        ),
        (
            "case",
            r"c = \begin{cases} 2 a & x < 0 \\ b & x \ge 0 \end{cases}",
            {r"c = \begin{cases} b & x < 0 \\ 2 a & x \ge 0 \end{cases}"},
        ),
        (
            "argument",
            r"c = \sigma(-z) \bigl( 1 - \sigma(z)^2 \bigr)",
            {r"c = \sigma \bigl( 1 - \sigma(z)^2 \bigr)", r"c = \sigma(-z) \bigl( 1 - \sigma^2 \bigr)"},
        ),
        ("argument", r"c = \sigma'(x)", {r"c = \sigma'"}),
        ("row", r"a = b, \\ c = x, \quad z = s", {r"a = b c = x, \quad z = s", r"a = b, \\ c = x \quad z = s"}),
        ("row", r"a &= b \\ &= c", {r"a &= b \\ &- c"}),
        ("row", r"a = b = c", set()),
        ("factor", r"c = \langle v, w \rangle", {r"c = ((v)^\top (w)^0)", r"c = ((w)^\top (v)^0)"}),
        ("sign", r"c = \langle v, w \rangle", {r"c = \langle -v, w \rangle", r"c = \langle v, -w \rangle"}),
    ],
)
def test_each_kind_of_mistake_is_made(kind, latex, expected):
    found = changes(latex, kind)
    assert expected <= found, found
    if not expected:
        assert found == expected


@pytest.mark.parametrize(
    ("kind", "latex", "number"),
    [
        ("sign", "a - b = c", 3),
        ("term", "a + b - c = x", 3),
        ("factor", "a b c = x", 3),
        ("inequality", r"a < b \le c", 2),
    ],
)
def test_no_other_mistake_is_made(kind, latex, number):
    assert len(changes(latex, kind)) == number


def test_what_a_definition_defines_is_left_as_it_is():
    assert {text.partition(" = ")[0] for kind in KINDS for text in changes("definition: s_n = a p_n", kind)} == {"s_n"}


@pytest.mark.parametrize(
    ("latex", "kind", "expected"),
    [
        (r"a = b \\ c = x", "sign", r"a = b \\ -c = x"),
        (r"a &= b, \\ & c = x", "sign", r"a &= b, \\ & -c = x"),
        (r"a = b \\ \; \; c = x", "sign", r"a = b \\ \; \; (-c) = x"),  # else it could go on the first row
        (r"a = \log \frac12", "fraction", r"a = \log \frac{2}{1}"),
        (r"c = a^x", "sign", "c = a^{-x}"),
        (r"c = \frac ab", "exchange", r"c = \frac bb"),
        (r"c = \frac a x", "exchange", r"c = \frac x x"),
        (r"c = 2^x", "exponent", "c = 2"),
        (r"c = a \sum_n x", "exchange", r"c = a \sum_n c"),
    ],
)
def test_braces_and_brackets_are_put_where_they_are_needed(latex, kind, expected):
    assert expected in changes(latex, kind)


def test_a_mutant_is_its_display_with_one_change_and_none_is_made_twice():
    text = "\n\\begin{aligned}\na + b &= a b \\\\ \n&\\le x \\log p_n, \\\\ \nc^2 &= \\sum_k w_k .\n\\end{aligned}\n"
    made = page({"shown": text})
    table = Table(made)
    tree = table.trees["shown"]
    found = mutants(made.displays[0], tree, table)
    assert len(found) > 40
    said = {shape(mutant.tree) if mutant.tree else mutant.text for mutant in found}
    assert len({shape(tree), *said}) == len(found) + 1
    for mutant in found:
        assert mutant.text == text[: mutant.start] + mutant.replacement + text[mutant.end :]
        if mutant.kind == "row":
            continue
        for at, (one, two) in enumerate(zip(tree.parts, mutant.tree.parts, strict=True)):
            assert (shape(one) == shape(two)) == (at != mutant.item)


# what becomes of them


def test_mistakes_are_caught():
    verdicts = tried({"shown": r"\log a b = \log a + \log b"})
    assert verdicts[r"\log a b = \log a - \log b"] == "caught"
    assert verdicts[r"\log a = \log a + \log b"] == "caught"
    assert set(verdicts.values()) == {"caught", "equal"}


@pytest.mark.parametrize(
    ("latex", "kind", "row"),
    [
        (r"2 a = a + a \\ c = c + 0", "row", r"2 a = a + a c = c + 0"),  # refused
        (r"2 a = a + a, \qquad c = c + 0", "row", r"2 a = a + a \qquad c = c + 0"),
        (r"2 a &= a + a \\ &= a \cdot 2", "row", r"2 a = a + a - a \cdot 2"),  # false
        (r"2 a = a + a \\ 2 c = c + c", "sign", r"-2 c = c + c"),
        (r"\sigma(-z) = 1 - \sigma(z)", "argument", r"\sigma = 1 - \sigma(z)"),
        (r"\sigma'(z) = \sigma(z) (1 - \sigma(z))", "argument", r"\sigma'(z) = \sigma (1 - \sigma(z))"),
        (r"\frac{\partial g}{\partial z} = 2 h + 1", "derivative", r"\frac{\partial g}{\partial h} = 2 h + 1"),
    ],
)
def test_mistakes_that_are_refused_or_false_are_caught(latex, kind, row):
    assert row in {outcome.row for outcome in outcomes(latex) if outcome.kind == kind}
    assert {outcome.verdict for outcome in outcomes(latex) if outcome.kind == kind} <= {"caught", "equal"}
    assert next(outcome.verdict for outcome in outcomes(latex) if outcome.row == row) == "caught"


def test_an_argument_that_goes_without_saying_is_no_mistake():
    assert tried({"shown": r"\sigma(z) + \sigma(-z) = 1"})[r"\sigma + \sigma(-z) = 1"] == "equal"


@pytest.mark.parametrize(
    ("displays", "row"),
    [
        ({"shown": r"(a - b)^2 = a^2 - 2 a b + b^2"}, r"(b - a)^2 = a^2 - 2 a b + b^2"),  # the same function
        ({"shown": r"\sigma'(z) = \sigma(z) \sigma(-z)"}, r"\sigma'(-z) = \sigma(z) \sigma(-z)"),
        ({"shown": r"a^2 = a b \quad \text{if } a = b"}, r"a b = a b \quad \text{if } a = b"),
        ({"shown": r"-\log p > 0"}, r"-\log p > -1"),
        ({"shown": r"p_n < 1"}, r"p_n < 2"),  # a weaker inequality
        ({"shown": r"p_n < 1"}, r"p_m < 1"),  # another letter
        ({"shown": r"|x| = \max(x, -x)"}, r"|-x| = \max(x, -x)"),
    ],
)
def test_what_says_the_same_or_less_is_no_mistake(displays, row):
    found = tried(displays)
    assert found.get(row, "equal") == "equal"


@pytest.mark.parametrize(
    ("latex", "row", "verdict"),
    [
        (r"p_n > 0", r"p_n > -1", "caught"),
        (r"-\log p > -7", r"-\log p > -8", "equal"),
        (r"1 - p > 0", r"2 - p > 0", "equal"),
        (r"2 - p > 0", r"2 - p > 1", "survived"),  # it says more, and it is true: a person must say why
        (r"y_n = y_n^2", r"y_n = y_n^3", "survived"),  # true of 0 and 1 alone
        (r"a^2 + a = a b + b \quad \text{if } a = b", r"b^2 + a = a b + b \quad \text{if } a = b", "equal"),  # by it
    ],
)
def test_what_is_true_by_chance_or_says_more_survives(latex, row, verdict):
    found = tried({"shown": latex})
    if verdict == "caught":
        assert found.get(row, verdict) == verdict
    else:
        assert found[row] == verdict


def test_a_definition_is_pinned_by_what_is_said_of_it_later():
    symbols = {name: row for name, row in SYMBOLS.items() if name != "s"}
    pinned = tried({"shown": "definition: s = a b", "later": r"\log s = \log a + \log b"}, symbols)
    assert pinned["s = a"] == pinned["s = -a b"] == "caught"
    loose = tried({"shown": "definition: s = a b", "later": r"(a + b) s = a s + b s"}, symbols)
    assert loose["s = a"] == loose["s = -a b"] == "survived"
    assert {loose["s = b a"]} == {pinned["s = b a"]} == {"equal"}


def test_a_display_that_does_not_hold_has_no_mutants():
    made = page({"wrong": "a = 2 a", "right": "a + a = 2 a"})
    assert [Scorer(made).holds(display) for display in made.displays] == [False, True]
    assert {outcome.display.label for outcome in every(made)} == {"right"}


def test_the_numbers_add_up():
    made = page({"shown": r"(a - b)^2 = a^2 - 2 a b + b^2", "more": r"2 - p > 0"})
    outcomes = every(made)
    told = tally([Score("page", outcomes, [], 0.0)])
    assert told.whole.caught + told.whole.survived + told.whole.equal == len(outcomes)
    assert told.whole.mistakes == sum(one.mistakes for one in told.kinds) == told.pages[0].mistakes
    assert 0 < told.whole.share < 1
    assert {(one.label, one.why) for one in told.survivors} == {("more", "")}
    assert line("page", []).share == 1


def test_the_command_names_what_is_not_caught(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["03-bce", "--label", "bce-bernoulli", "--equal"]) == 0
    shown = capsys.readouterr().out
    assert r"bce-bernoulli [exchange] y -> 1 - y:  1 - y \in \{0, 1\}" in shown
    assert "True as well" in shown
    assert "03-bce: " in shown


# the book


def told(text: str) -> object:
    """Return what a display says; the text itself if it cannot be read."""
    try:
        return shape(parse(text))
    except MathError:
        return text


@pytest.mark.parametrize("name", NAMES)
def test_the_record_of_a_page_is_of_the_page_as_it_is(name):
    """What the book shows was measured on these very displays, with this very checker."""
    recorded = load(ROOT / DATA).fingerprints[name]
    assert fingerprint(pages_of(paths(ROOT, [name])[0])) == recorded, RECORD


@pytest.mark.parametrize("name", NAMES)
def test_of_a_page_s_mutants_nearly_all_are_caught_and_each_other_one_is_explained(name):
    """All of them on the page; a sample of its displays is tried again, or all where LOSSBOOK_THOROUGH is set.

    Which are sampled changes with all that their mutants depend on. What was tried in this folder, of the same displays
    with the same checker, is kept.
    """
    recorded = load(ROOT / DATA)
    lines = {one.name: one for one in recorded.displays[name]}
    total = next(one for one in recorded.pages if one.name == name)
    for count in ("caught", "survived", "equal"):
        assert sum(getattr(one, count) for one in lines.values()) == getattr(total, count)
    assert total.share >= LEAST

    path = paths(ROOT, [name])[0]
    order = sorted((key, label) for label, key in keys(path).items() if label in lines)
    sample = [] if THOROUGH else [label for _, label in order[: ceil(len(order) / SAMPLED)]]
    found = score(path, sample)
    assert found.failing == []
    assert {one.name: one for one in found.displays} == {label: lines[label] for label in sample or lines}, RECORD
    said = {(outcome.display.label, told(outcome.text)) for outcome in found.outcomes}
    assert len(said) == len(found.outcomes)
    listed = {(label, row) for page_name, label, row in reasons() if page_name == name}
    survived = {(outcome.display.label, outcome.row) for outcome in found.survivors}
    assert survived == {each for each in listed if each[0] in (sample or lines)}


def test_each_reason_is_a_sentence_about_a_display_of_the_book():
    for (name, _, _), why in reasons().items():
        assert name in NAMES
        assert why.endswith(".")


def test_what_the_book_shows_adds_up():
    shown = load(ROOT / DATA)
    assert {one.name for one in shown.pages if one.mistakes} == set(NAMES)
    assert sum(one.mistakes > 0 for one in shown.kinds) >= 12
    for lines in (shown.pages, shown.kinds):
        for count in ("caught", "survived", "equal"):
            assert sum(getattr(one, count) for one in lines) == getattr(shown.whole, count)
    assert shown.whole.share >= LEAST
    told = {(one.page, one.label, one.row): one.why for one in shown.survivors}
    assert told == reasons()
    assert len(shown.survivors) == shown.whole.survived


# what is kept

COURSE = """# A page

```{symbols}
"a, b": {is: a number, in: positive}
```

```{math}
:label: first
a + a = 2 a
```

```{math}
:class: definition
:label: product
c = a b
```

```{math}
:label: last
c^2 = a^2 b^2
```
"""


@pytest.fixture
def course(tmp_path: Path) -> Path:
    path = tmp_path / "book" / "page.md"
    path.parent.mkdir()
    path.write_text(COURSE)
    return path


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The displays whose mutants were tried anew."""
    labels = []

    class Noting(Scorer):
        def outcomes(self, display):
            labels.append(display.label)
            return super().outcomes(display)

    monkeypatch.setattr("lossbook.book.mutants.Scorer", Noting)
    return labels


def test_what_was_tried_is_not_tried_again(course, seen):
    first, again = score(course), score(course)
    assert seen == ["first", "product", "last"]
    assert len(first.outcomes) > 10
    assert (again.outcomes, again.failing, again.fingerprint) == (first.outcomes, first.failing, first.fingerprint)
    score(course, ["last"])
    assert seen == ["first", "product", "last"]


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("# A page", "# Another title", []),
        ("a + a = 2 a", "a + a = a 2", ["first", "product"]),  # a mistake in a definition may be named anywhere
        ("c^2 = a^2 b^2", "c^2 = b^2 a^2", ["product", "last"]),
        ("c = a b", "c = b a", ["first", "product", "last"]),
        ("in: positive", "in: real", ["first", "product", "last"]),
        (":label: last", ":label: end", ["product", "end"]),
    ],
)
def test_only_what_depends_on_a_change_is_tried_again(course, seen, old, new, again):
    score(course)
    seen.clear()
    course.write_text(COURSE.replace(old, new))
    found = score(course)
    assert seen == again
    assert {outcome.display for outcome in found.outcomes} == set(read(course).displays)


def test_a_display_that_does_not_hold_is_told_each_time(course, seen):
    course.write_text(COURSE.replace("2 a", "3 a"))
    assert score(course).failing == score(course).failing == ["first"]
    assert seen == ["product", "last"]


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x05N."])
def test_a_file_that_holds_no_scores_is_made_again(course, seen, content):
    first = score(course, ["first"])
    (file,) = (course.parents[1] / "_build" / "mutants").iterdir()
    file.write_bytes(content)
    assert score(course, ["first"]).outcomes == first.outcomes
    assert seen == ["first", "first"]


def test_a_change_of_the_checker_is_seen(course, seen, monkeypatch, tmp_path):
    score(course, ["first"])
    (tmp_path / "package" / "equations").mkdir(parents=True)
    (tmp_path / "package" / "equations" / "one.py").write_text("")
    monkeypatch.setattr(report_cache, "PACKAGE", tmp_path / "package")
    report_cache._code.cache_clear()
    score(course, ["first"])
    report_cache._code.cache_clear()
    assert seen == ["first", "first"]
