"""One notation for the whole book: every symbol that a page declares is on the page *Notation*, with its meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from lossbook.equations.pages import Page, read
from lossbook.equations.parsing import MathError, Node, name, parse
from lossbook.equations.symbols import RELATIONS, Pattern, Symbol, Table, formula, pattern

ROOT = Path(__file__).parents[2]
# The pages behind the chapters have tables of their own, headed by their titles.
BEHIND = {"one-theorem": "One theorem behind the gradients", "how-sure": "How sure is the estimate?"}
PAGES = [*sorted((ROOT / "book").glob("[0-9][0-9]-*.md")), *(ROOT / "book" / f"{name}.md" for name in BEHIND)]
NOTATION = ROOT / "book" / "notation.md"
INDICES = set("nkijtmr")
NAME = re.compile(r"\\(?:mathrm|operatorname|text)\{\w\w.*|call.*|" + "|".join(map(re.escape, RELATIONS)))  # no letter
FIXED = {"e", "d", r"\pi", r"\infty", r"\pm", r"\partial", r"\sim", r"\star", r"\mathcal{N}"}  # of all mathematics
LEANING = re.compile(r"the same\b|their\b|its\b|that of\b|the rest of it\b")  # on the row above


@dataclass(frozen=True)
class Entry:
    """One meaning on the page *Notation*: of which symbol, where (in chapter 0: in all), and the words that say it."""

    form: tuple[str, int, bool]  # see the function `form`
    chapter: int
    words: tuple[str, ...]

    @property
    def letter(self) -> str:
        """Its letter, with its accent and without any index."""
        return letter(self.form[0])


def letter(base: str) -> str:
    r"""Return a symbol without its fixed index: `t` for `t_{0}`, `\ell` for `\ell_{\min}`."""
    return re.sub(r"_\{.*\}$", "", plain(base))


def plain(base: str) -> str:
    r"""Return a symbol without its arguments: `P` for `P(\text{data})`."""
    return re.sub(r"\(.*\)$", "", base)


def form(symbol: Symbol | Pattern) -> tuple[str, int, bool]:
    """Return a symbol's name without running indices and arguments, how many indices it has, and whether arguments."""
    return plain(symbol.base), len(symbol.indices), symbol.params is not None or plain(symbol.base) != symbol.base


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the first table under each heading: the Markdown of its cells, without the head."""
    found: dict[str, list[list[str]]] = {}
    heading, tokens = "", MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in pairwise(tokens):
        if before.type == "heading_open" and before.tag in ("h2", "h3"):
            heading = token.content
        elif token.type == "tbody_open" and heading not in found:
            found[heading] = []
        elif token.type == "tr_open" and heading in found and before.type != "thead_open":
            found[heading].append([])
        elif before.type == "td_open":
            found[heading][-1].append(token.content)
    return found


def written(cell: str) -> list[Node]:
    """Return the formulas of a cell."""
    return [formula(latex) for latex in re.findall(r"\$([^$]+)\$", cell)]


def parts(symbols: list[Node], meaning: str) -> list[tuple[Node, str]]:
    """Pair symbols with meanings: one meaning for all, one each in turn, or several of one symbol."""
    said = [part.strip() for part in meaning.split(";")]
    if len(said) == len(symbols):
        return list(zip(symbols, said, strict=True))
    assert 1 in (len(said), len(symbols)), f"{len(symbols)} symbols have {len(said)} meanings: {meaning}"
    return [(symbol, part) for symbol in symbols for part in said]


def entries(notation: str) -> list[Entry]:
    """Return what the two tables of symbols list."""
    listed = tables(notation)
    rows = [(0, row[0], row[1]) for row in listed["Symbols of every chapter"]]
    for heading, table in listed.items():
        if chapter := re.fullmatch(r"Chapter (\d+)", heading):
            rows += [(int(chapter[1]), *row) for row in table]
        elif heading in BEHIND.values():
            rows += [(behind(heading), *row) for row in table]
    found = []
    for chapter, here, meaning in rows:
        for node, part in parts(written(here), meaning):
            symbol = pattern(node.parts[0] if node.kind == "pow" else node, INDICES)
            if symbol and not NAME.match(symbol.base):
                words = tuple(re.findall(r"\*\*([^*]+)\*\*", part))
                assert words, f"{here}: no word of its meaning is bold: {part}"
                found.append(Entry(form(symbol), chapter, words))
    return found


def told_apart(notation: str) -> dict[tuple[str, int], str]:
    """Return the letters that the page tells apart, each with its chapter, or 0 for the whole book."""
    found = {}
    for letters, where, how in tables(notation)["Told apart"]:
        chapters = [0] if where == "everywhere" else [int(one) for one in re.findall(r"\d+", where)]
        chapters += [behind(title) for title in BEHIND.values() if title in where]
        assert chapters, f"{letters} is told apart in {where!r}"
        for node in written(letters):
            symbol = pattern(node, INDICES)
            assert symbol, letters
            for chapter in chapters:
                found[letter(symbol.base), chapter] = how
    return found


def says(text: str, words: tuple[str, ...]) -> bool:
    """Say whether a text has one of the words, in the singular or the plural."""
    forms = [re.escape(word) + "(?:s|es)?" for word in words] + [word[:-1] + "ies" for word in words if word[-1] == "y"]
    return re.search(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)", text, re.IGNORECASE) is not None


def meanings(page: Page) -> dict[int, str]:
    """Return what each row of the page's tables says, by the identity of its fields, with the row that it leans on."""
    found: dict[int, str] = {}
    before = ""
    for row in page.rows:
        said = str(row.fields["is"])
        before = f"{said} ({before})" if LEANING.match(said) else said
        found[id(row.fields)] = before
    return found


def fitting(symbol: Symbol, chapter: int, listed: list[Entry]) -> list[Entry]:
    """Return the entries that may mean a symbol: its chapter's own, and the book's, of its form if there are any."""
    own = [entry for entry in listed if entry.chapter == chapter and entry.letter == letter(symbol.base)]
    book = [entry for entry in listed if entry.chapter == 0 and entry.letter == letter(symbol.base)]
    exact = [entry for entry in book if entry.form == form(symbol)]
    return own + (exact or [entry for entry in book if entry.form[0] == form(symbol)[0]] or book)


def alike(one: list[Entry], other: list[Entry]) -> bool:
    """Say whether two symbols may have one meaning: one word, at least, of the page stands for both."""
    return bool({word for entry in one for word in entry.words} & {word for entry in other for word in entry.words})


def behind(title: str) -> int:
    """Return the number of a page behind the chapters: below zero."""
    return -1 - [*BEHIND.values()].index(title)


def number(page: Page) -> int:
    return behind(BEHIND[page.name]) if page.name in BEHIND else int(page.name[:2])


def letters_in(formula: str) -> set[str]:
    """Return the letters of a formula; none if it is more, or less, than the equations' reader knows."""
    try:
        tree = parse(formula.replace(r"\bmod", "-"))  # it knows no remainder
        names = {name(node) for node in tree.walk() if node.kind in ("sym", "prime")}
    except MathError:
        return set()
    return {letter(one).rstrip("'") for one in names if not NAME.match(one)}  # a prime is a derivative, or another one


def faults(notation: str, pages: list[Page], inline: dict[str, list[str]]) -> list[str]:
    """Return what of the pages is not on *Notation*, and what of *Notation* is on no page.

    Args:
        notation: The text of the page *Notation*.
        pages: The chapters.
        inline: The formulas in the lines of each chapter and its lesson, by its name.
    """
    listed, apart, found = entries(notation), told_apart(notation), []
    used: set[Entry] = set()
    two: set[tuple[str, int]] = set()
    for page in pages:
        chapter, said = number(page), meanings(page)
        matched: dict[str, list[list[Entry]]] = {}
        for symbol in Table(page).symbols:
            if NAME.match(symbol.base):
                continue
            candidates = fitting(symbol, chapter, listed)
            if not candidates:
                found.append(f"{page.name}: {symbol.base} is not on the page Notation")
                continue
            if symbol.label:  # a display defines it, in no words
                right = [entry for entry in candidates if entry.form == form(symbol)] or candidates
            else:
                text = said[id(symbol.fields)]
                right = [entry for entry in candidates if says(text, entry.words)]
                if not right:
                    wanted = " or ".join(sorted({word for entry in candidates for word in entry.words}))
                    found.append(f"{page.name}: {symbol.base} is {text!r}; the page Notation has: {wanted}")
                    continue
            right = [entry for entry in right if entry.chapter] or right
            used.update(right)
            matched.setdefault(letter(symbol.base), []).append(right)
        shown = set().union(*map(letters_in, inline[page.name]))
        known = {entry.letter for entry in listed if entry.chapter in (0, chapter)}
        found += [
            f"{page.name}: {one}, in a line, is not on the page Notation" for one in sorted(shown - known - FIXED)
        ]
        for entry in listed:  # what no table declares has no words to compare
            if entry.chapter == chapter and entry.letter in shown - matched.keys():
                used.add(entry)
        for key, (first, *others) in matched.items():
            if not all(alike(first, other) for other in others):
                two.add((key, chapter))
    everywhere = {
        one.letter
        for one in listed
        for other in listed
        if one.chapter == other.chapter == 0 and one.letter == other.letter and one.words and other.words
        if not alike([one], [other])
    }
    for key, chapter in sorted(two):
        if (key, chapter) not in apart and not (key in everywhere and (key, 0) in apart):
            found.append(f"chapter {chapter} uses {key} in two ways, which the page Notation does not tell apart")
    found += [f"{key} has two meanings, not told apart" for key in sorted(everywhere) if (key, 0) not in apart]
    needed = two | {(key, 0) for key in everywhere}
    found += [f"{key} is told apart ({chapter or 'all'}) and has one meaning" for key, chapter in apart.keys() - needed]
    unused = (entry for entry in listed if entry not in used)
    return found + [f"{one.form[0]} ({one.chapter or 'all'}): no page says {' or '.join(one.words)}" for one in unused]


@pytest.fixture(scope="module")
def inline(formulas_in) -> dict[str, list[str]]:
    """The formulas in the lines of each page and of the lesson that has its name."""
    texts = {path.stem: [path, *ROOT.glob(f"solutions/{path.name}")] for path in PAGES}
    return {
        stem: [formula for path in paths for formula in formulas_in(path.read_text(encoding="utf-8"))]
        for stem, paths in texts.items()
    }


def test_the_pages_and_the_notation_agree(inline):
    assert faults(NOTATION.read_text(encoding="utf-8"), [read(path) for path in PAGES], inline) == []


# Signs that need no explanation in a book whose readers know derivatives and a little probability, and mere layout.
SIGN = re.compile(r"\\operatorname\*?\{[^}]*\}|\\math(?:bb|cal|bf)\{[^}]*\}|\\[A-Za-z]+|\\[#|]")
UNIVERSAL = set(
    SIGN.findall(
        r"""\begin \end \quad \qquad \left \right \bigl \bigr \Bigl \Bigr \biggl \biggr \dots \text \mathrm \underbrace
        \frac \tfrac \dfrac \sqrt \binom \cdot \times \pm \sum \prod \int \partial \infty \max \min \arg \exp \log \ln
        \Big \cos \tanh \in \cup \le \ge \ne \mid \Longrightarrow \Longleftrightarrow \hat \bar \tilde"""
    )
)


def test_every_sign_is_explained(inline):
    explained = set(SIGN.findall(NOTATION.read_text(encoding="utf-8"))) | UNIVERSAL
    missing = {}
    for path in PAGES:
        page = read(path)
        declared = {sign for row in page.rows for sign in SIGN.findall(row.symbol)}
        used = {
            sign for text in [*inline[path.stem], *(one.text for one in page.displays)] for sign in SIGN.findall(text)
        }
        missing[path.stem] = sorted(used - explained - declared)
    assert {stem: signs for stem, signs in missing.items() if signs} == {}


SMALL = r"""
## Symbols of every chapter

| here | meaning |
|---|---|
| $y_n$ | **label**, a **class** |
| $N$ | how many **samples** |
| $N_k$ | **how often** class $k$ occurs |
| $n$, $k$ | the **number** of a sample; the **number** of a class |
| $\lambda$ | **rate**; **strength** of a regulariser |

### Chapter 1

| here | meaning |
|---|---|
| $b$ | **scale** |

### Chapter 2

| here | meaning |
|---|---|
| $b$, $t_0$ | **width**; **time** of nothing |

## Told apart

| letter | where | how |
|---|---|---|
| $N$ | everywhere | with an index it counts a class |
| $\lambda$ | everywhere | in a Poisson it is a rate |
"""
FIRST = {r"n": ["the number of a sample", "runs: N"], "k": ["the number of a class", "runs: N"],
         "N": ["how many samples there are", "size: 3"], "y_n": ["the label of sample n", "in: real"],
         r"\lambda": ["the rate", "in: positive"], "b": ["the scale of a prior", "in: positive"]}  # fmt: skip
SECOND = {"b": ["the width of the noise", "in: positive"], "t_0": ["the time of nothing", "in: positive"],
          "N_k": ["how often class k occurs", "in: positive"], "k": FIRST["k"],
          r"\lambda": ["the strength of a penalty", "in: positive"]}  # fmt: skip


def said(tmp_path: Path, first: dict = {}, second: dict = {}, notation: str = SMALL, line: str = "$y_n$") -> list[str]:  # noqa: B006
    """Return the faults of two small chapters, with these rows in place of theirs; a row that is None is left out."""
    for stem, rows in (("01-one", {**FIRST, **first}), ("02-two", {**SECOND, **second})):
        table = "".join(f"{symbol}:\n  is: {row[0]}\n  {row[1]}\n" for symbol, row in rows.items() if row)
        (tmp_path / f"{stem}.md").write_text(f"# Page\n\n```{{symbols}}\n{table}```\n", encoding="utf-8")
    pages = [read(path) for path in sorted(tmp_path.glob("[0-9][0-9]-*.md"))]
    assert [page.faults for page in pages] == [[], []]
    return faults(notation, pages, {"01-one": [line[1:-1]], "02-two": []})


def test_pages_that_keep_to_the_notation_have_no_fault(tmp_path):
    assert said(tmp_path) == []


REAL = "in: real"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"first": {"x": ["an input", REAL]}}, "01-one: x is not on the page Notation"),
        ({"first": {r"\Delta": ["a step", REAL]}}, r"01-one: \Delta is not on the page Notation"),
        ({"first": {r"\vec{y}": ["a label", REAL]}}, r"01-one: \vec{y} is not on the page Notation"),
        ({"first": {r"\hat{y}_n": ["a label", REAL]}}, r"01-one: \hat{y} is not on the page Notation"),
        ({"first": {"y'": ["a label", REAL]}}, "01-one: y' is not on the page Notation"),
        ({"first": {"y_n": ["the weight of sample n", REAL]}}, "01-one: y is 'the weight of sample n'"),
        ({"first": {"y_n": ["what is unlabelled", REAL]}}, "01-one: y is 'what is unlabelled'"),
        ({"second": {"b": ["the scale of a prior", REAL]}}, "02-two: b is 'the scale of a prior'"),
        ({"second": {"t_0": ["the time of nothing", REAL], "t_n": ["a word", REAL]}}, "02-two: t_{n} is 'a word'"),
        ({"second": {"N_k": ["how many samples there are", REAL]}}, "02-two: N is 'how many samples there are'"),
        ({"second": {"b": None}}, "b (2): no page says width"),
        ({"first": {"y_n": None}}, "y (all): no page says label or class"),
        ({"second": {r"\lambda": None}}, r"\lambda (all): no page says strength"),
        ({"line": "$y_n / T$"}, "01-one: T, in a line, is not on the page Notation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_agree_is_told(tmp_path, rows, told):
    assert [fault for fault in said(tmp_path, **rows) if fault.startswith(told)]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("| $N$ | everywhere | with an index it counts a class |\n", "", "N has two meanings, not told apart"),
        ("| $N$ | everywhere |", "| $y$ | everywhere |", "y is told apart (all) and has one meaning"),
        ("| $N$ | everywhere |", "| $k$ | chapter 1 | so |\n| $N$ | everywhere |",
         "k is told apart (1) and has one meaning"),
        ("| **width**; **time** of nothing |\n", "| **width**; **time** of nothing |\n| $b_1$ | **base** |\n",
         "chapter 2 uses b in two ways, which the page Notation does not tell apart"),
    ],
)  # fmt: skip
def test_two_meanings_are_told_apart(tmp_path, old, new, told):
    assert old in SMALL
    second = {"b_1": ["the base of a logarithm", REAL]} if "base" in new else {}
    assert told in said(tmp_path, second=second, notation=SMALL.replace(old, new))


def test_the_same_leans_on_the_row_above(tmp_path):
    same = ["the same, of sample n", REAL]
    assert said(tmp_path, first={"y_k": ["the label of class k", REAL], "y_{nk}": same}) == []
    (fault,) = said(tmp_path, first={"y_{nk}": same})
    assert fault.startswith("01-one: y is 'the same, of sample n (the scale of a prior)'")
