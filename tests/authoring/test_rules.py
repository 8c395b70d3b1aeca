"""Rules in words: what a page claims, which cell holds it, and which sentences need a claim."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lossbook.authoring.convention import AuthorError
from lossbook.authoring.release import generate
from lossbook.prose import rules

ROOT = Path(__file__).parents[2]
TEXTS = [*sorted((ROOT / "book").glob("*.md")), *sorted((ROOT / "solutions").glob("*.md"))]
HEAD = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# Title\n\n"
CELL = "```{{code-cell}} python3\n{options}\nx = f(2)\n{code}\n```\n\n"
HELD = CELL.format(options=":claim: first\n", code="assert x > 1")


@pytest.fixture
def page(tmp_path):
    """Write a page and read it."""
    (tmp_path / "book").mkdir()

    def write(text, name="page"):
        path = tmp_path / "book" / f"{name}.md"
        path.write_text(HEAD + text, encoding="utf-8")
        return rules.read(path)

    return write


# ------------------------------------------------------------------------------------------------------- all texts


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_rules_of_every_text_are_held(path):
    check = rules.check if path.parent.name == "book" else rules.check_lesson
    assert check(path, ROOT) == []


def test_the_pages_that_must_hold_every_rule_are_named():
    named = rules.settings(ROOT).texts
    assert {"book/03-bce", "solutions/03-bce"} <= set(named)


@pytest.mark.parametrize("text", [text for text in rules.settings(ROOT).texts if text.startswith("book/")])
def test_a_rule_without_its_cell_and_a_cell_without_its_rule_are_told(text, tmp_path):
    """In a page of the book, claim by claim: the role is taken away, then the option of the cell."""
    source = (ROOT / f"{text}.md").read_text(encoding="utf-8")
    path = tmp_path / f"{text}.md"
    path.parent.mkdir()
    claims = rules.read(ROOT / f"{text}.md").claims
    assert claims
    for claim in claims[:: max(1, len(claims) // 3)]:
        roles = [role for role in rules.ROLE.finditer(source) if rules.split(role[2])[1] == claim.name]
        (role,) = roles
        path.write_text(source.replace(role[0], claim.text), encoding="utf-8")
        told = rules.held(rules.read(path))
        assert [fault for fault in told if f"no sentence of the page is the claim '{claim.name}'" in fault]

        unnamed = re.sub(rf"(^:?claim: .*)\b{claim.name}(?![\w-])(.*)$", r"\1gone\2", source, flags=re.M)
        path.write_text(unnamed, encoding="utf-8")
        told = rules.held(rules.read(path))
        assert [f for f in told if f"line {claim.line}: no cell holds the claim '{claim.name}'" in f]


# ----------------------------------------------------------------------------------------------- claims and cells


@pytest.mark.parametrize(
    "text",
    [
        "It {claim}`always holds <first>`.\n\n",
        "It {claim}``holds for `f`, see {eq}`one` <first>``.\n\n",
        "It {claim}`**always\nholds** for $x > 1$\n<first>`.\n\n",
        "**{claim}`It always holds <first>`.** So it does.\n\n",
        "- An item: {claim}`it holds <first>`.\n\n",
        "| a | b |\n|---|---|\n| {claim}`it holds <first>` | c |\n\n",
        ":::{admonition} Takeaway\n:class: takeaway\n\n{claim}`It holds <first>`.\n:::\n\n",
        "```{note}\n{claim}`It holds <first>`.\n```\n\n",
        "> {claim}`It holds <first>`.\n\n",
    ],
)
@pytest.mark.parametrize(
    "options", [":claim: first\n", ":claim: [first]\n:tags: [remove-cell]\n", "---\nclaim: first\n---"]
)
def test_a_claim_that_a_cell_asserts_is_held(page, text, options):
    found = page(text + CELL.format(options=options, code="assert x > 1"))
    assert [claim.name for claim in found.claims] == ["first"]
    assert rules.held(found) == []


BROKEN = {
    "no cell": ("It {claim}`holds <first>`.\n", 9, "no cell holds the claim 'first'"),
    "no sentence": ("Text.\n\n" + HELD, 11, "no sentence of the page is the claim 'first'"),
    "twice in the text": (
        "It {claim}`holds <first>`.\n\nIt\n{claim}`holds <first>`.\n\n" + HELD,
        12,
        "the claim 'first' stands on line 9 already",
    ),
    "twice in cells": ("It {claim}`holds <first>`.\n\n" + HELD + HELD, 18, "is held by another cell already"),
    "a name with capitals": ("It {claim}`holds <First>`.\n\n" + HELD, 9, "the claim's name is 'First'"),
    "no name": ("It {claim}`holds`.\n\n" + HELD, 9, "the claim 'holds' has no name"),
    "in a heading": ("## It {claim}`holds <first>`\n\n" + HELD, 9, "a claim stands in a heading"),
    "in a claim": ("It {claim}``holds, {claim}`too <b>` <first>``.\n\n" + HELD, 9, "stands inside another"),
    "in HTML": ("<div>\n{claim}`It holds <first>`\n</div>\n\n" + HELD, 9, "a claim inside HTML"),
    "a number for a name": (
        "It {claim}`holds <first>`.\n\n" + CELL.format(options="---\nclaim: 3\n---", code="assert x > 1"),
        11,
        "the option 'claim' is 3; it must be a name or a list of names",
    ),
    "nothing asserted": (
        "It {claim}`holds <first>`.\n\n" + CELL.format(options=":claim: first\n", code="print(x)"),
        11,
        "the cell asserts nothing",
    ),
    "a constant asserted": (
        "It {claim}`holds <first>`.\n\n" + CELL.format(options=":claim: first\n", code="assert True"),
        11,
        "nothing but constants in it (for first)",
    ),
    "a cell that is not run": (
        "It {claim}`holds <first>`.\n\n"
        + CELL.format(options=":claim: first\n:tags: [skip-execution]\n", code="assert x > 1"),
        11,
        "has the tag 'skip-execution'; it must run and succeed",
    ),
    "a cell that may fail": (
        "It {claim}`holds <first>`.\n\n"
        + CELL.format(options=":claim: first\n:tags: [raises-exception]\n", code="assert x > 1"),
        11,
        "has the tag 'raises-exception'; it must run and succeed",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_claim_is_told_with_page_and_line(page, case):
    text, line, what = BROKEN[case]
    told = rules.held(page(text))
    assert any(fault.startswith("book/page.md, line ") and what in fault for fault in told), told
    (number,) = {int(re.search(r"line (\d+)", fault)[1]) for fault in told if what in fault}
    assert line <= number <= line + 6


@pytest.mark.parametrize("setting", ["mystnb:\n  execution_allow_errors: true", "execution:\n  allow_errors: true"])
def test_a_page_whose_errors_are_allowed_is_refused(tmp_path, setting):
    path = tmp_path / "page.md"
    path.write_text(HEAD.replace("kernelspec:", f"{setting}\nkernelspec:") + HELD, encoding="utf-8")
    assert "a cell that fails must stop the build" in rules.held(rules.read(path))[0]


# ------------------------------------------------------------------------------------------- sentences that need one

NEED = [
    "It never fades.",
    "This is always so.",
    "Only the last one counts.",
    "The mean is zero for every label.",
    "Everything rounds.",
    "It cannot overflow.",
    "It can’t overflow.",
    "The weight must broadcast.",
    "Nothing is lost.",
    "None of them is negative.",
    "No bound brings it back.",
    "There is no case in which this ever fails.",
    "The loss falls for ever.",
    "All probabilities are positive.",
    "Any loss is at least that.",
    "That is impossible.",
    "**The slow way is also the inaccurate one.**",
    "It is so: **the loss is convex in the logit**.",
    "Ours keeps the small remainder.",
    "Our loss takes half precision, too.",
    "The reference takes both from the right.",
    "`binary_cross_entropy` holds the logarithm at a bound.",
    "`losses.mse_loss(x, y)` gives that too.",
    "{py:func}`~lossbook.losses.mse_loss` refuses shapes that differ.",
    "- An item: it never fades.",
    "| a | it never fades |\n|---|---|\n| b | c |",
    "| a | b |\n|---|---|\n| it never fades | c |",
    ":::{admonition} Takeaway\n:class: takeaway\n\nIt never fades.\n:::",
    "```{note}\nIt never fades.\n```",
    "> It never fades.",
    "It {claim}`holds for large inputs <first>`, and never fades.",
    "Is it so? It never fades.",
    "See $x$. It never fades.",
    "It can not overflow.",
    "It mustn't overflow.",
    "It {strong}`never` fades.",
    "{abbr}`It never (x)` fades.",
    "<b>The slow way is also the inaccurate one.</b>",
    "<strong class='a'>The slow way is also\nthe inaccurate one.</strong>",
    "<p>It never fades.</p>",
    "<div>\n<p><b>The slow way is also inaccurate.</b></p>\n</div>",
    "<details><summary>It never fades.</summary>\n\nSo.\n\n</details>",
    "```{note} It never fades.\n```",
    ":::{admonition} It never fades\nSo.\n:::",
    "```{list-table} It never fades\n* - a\n```",
]
NEED_NONE = [
    "The gradient fades.",
    "Does it never fade?",
    "**What should every answer cost?**",
    "This is **binary cross-entropy**.",
    "**Overflow.** The exponential leaves the range.",
    "## It never fades",
    "`never`, $\\text{always}$ and {eq}`only` are no words.",
    "It is not zero at all.",
    "`F.binary_cross_entropy` is PyTorch's, and takes a weight.",
    "| | ours | PyTorch's |\n|---|---|---|\n| loss | `mse_loss` | `F.mse_loss` |",
    "{claim}`It never fades <first>`.",
    "**{claim}`The slow way is also the inaccurate one <first>`.**",
    "{claim}`**The slow way is also the inaccurate one.** <first>`",
    "{claim}``Ours holds `binary_cross_entropy` at every bound <first>``.",
    "## Exercises\n\n1. Show that the loss is never negative.",
    "## Further reading\n\nEverything is in the books.",
    "```python\n# it never fades\n```",
    "```{math}\n:label: a\n\\text{never}\n```",
    "<!-- it never fades -->",
    "<div>\n<!-- it never fades --><style>never</style><a title='never'>x</a>\n</div>",
    "```{figure} never.png\nA loss.\n```",
    "<b>binary cross-entropy</b> is <i>the negative logarithm of it</i>",
    "The labels are independent, and whoever reads this knows it.",
]


@pytest.mark.parametrize("text", NEED)
def test_a_sentence_that_makes_a_rule_needs_a_claim(page, text):
    (sentence,) = [sentence for sentence in page(text).sentences if sentence.needs]
    told = rules.unheld(page(text), [])
    assert len(told) == 1
    assert told[0].startswith("book/page.md, line ")
    assert repr(sentence.text[:20])[:-1] in told[0]


@pytest.mark.parametrize("text", NEED_NONE)
def test_other_sentences_need_none(page, text):
    assert rules.unheld(page(text), []) == []


PICTURE = (
    '```{{code-cell}} python3\n---\nmystnb:\n  {key}: {{{word}: "It never exceeds one."}}\n---\ndraw(x)\n{code}\n```\n'
)


@pytest.mark.parametrize(("key", "word"), [("image", "alt"), ("figure", "caption")])
def test_a_rule_in_a_pictures_words_is_asserted_where_it_is_drawn(page, key, word):
    assert "'never'" in rules.unheld(page(PICTURE.format(key=key, word=word, code="")), [])[0]
    assert "'never'" in rules.unheld(page(PICTURE.format(key=key, word=word, code="assert True")), [])[0]
    assert rules.unheld(page(PICTURE.format(key=key, word=word, code="assert x.max() <= 1")), []) == []


# ------------------------------------------------------------------------------------------------------- exemptions


def settle(root, text):
    (root / "book").mkdir(exist_ok=True)
    (root / "book" / "claims.yaml").write_text(text, encoding="utf-8")


def test_a_page_is_asked_for_its_rules_where_it_is_named(page, tmp_path):
    path = page("It never fades.\n").path
    assert rules.check(path, tmp_path) == []
    settle(tmp_path, "texts: [book/page]\n")
    assert len(rules.check(path, tmp_path)) == 1
    settle(tmp_path, "texts: [book/page]\nexempt:\n  book/page:\n  - {begins: It never, why: a quotation}\n")
    assert rules.check(path, tmp_path) == []


@pytest.mark.parametrize("begins", ["It always", "The gradient fades", "It"])
def test_an_exemption_fits_one_sentence_that_needs_it(page, begins):
    found = page("The gradient fades. It never fades. It cannot fade.\n")
    told = rules.unheld(found, [rules.Exemption(begins, "why")])
    fits = "2 sentences; say more" if begins == "It" else "no sentence that needs it"
    assert any(f"the exemption {begins!r}" in fault and fits in fault for fault in told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("texts: [book/gone]", "there is no text 'book/gone'"),
        ("texts: page", "'texts' is 'page'; it must be a list"),
        ("pages: [book/page]", "must have the keys 'texts' and 'exempt' alone"),
        ("texts: []\nexempt: {book/page: []}", "has exemptions and is not among 'texts'"),
        ("texts: [book/page]\nexempt: {book/page: [{begins: It}]}", "it must have 'begins', and 'why' or 'test'"),
        (
            "texts: [book/page]\nexempt: {book/page: [{begins: It, why: ''}]}",
            "it must have 'begins', and 'why' or 'test'",
        ),
        ("texts: [book/page]\nexempt: {book/page: [{begins: It, test: 'tests/a.py::b'}]}", "there is no test"),
        ("texts: [book/page]\nexempt: {book/page: [{begins: It, test: tests/a.py}]}", "there is no test"),
        ("texts: [", "claims.yaml is no YAML"),
    ],
)
def test_settings_that_cannot_be_meant_are_told(page, tmp_path, text, told):
    path = page("Text.\n").path
    settle(tmp_path, text)
    assert told in rules.check(path, tmp_path)[0]


# ---------------------------------------------------------------------------------------------------------- lessons


def test_words_are_left_of_a_claim():
    text = "It {claim}``holds for `f` <a-b>``, and {claim}`**always** so, for $x<y$ <03-bce#c>`."
    assert rules.unwrap(text) == "It holds for `f`, and **always** so, for $x<y$."


def test_hints_are_read_where_their_mark_is(tmp_path, lookup):
    def hinting(name):
        return replace(lookup(name), hints=("It never fades.", "Is it always so?", "Not in the lesson: all is well."))

    path = tmp_path / "solutions" / "03-sample.md"
    path.parent.mkdir()
    path.write_text(HEAD + "Before.\n\n```{hints} square\n```\n\nIt always holds.\n", encoding="utf-8")
    told = rules.unheld(rules.read(path, hinting), [])
    first = HEAD.count("\n") + 3
    assert [fault.partition(": for the word")[0] for fault in told] == [
        f"solutions/03-sample.md, line {line}" for line in (first, first + 3)
    ]
    assert "It never fades." in told[0]


def lesson(course, claim):
    """Put a rule into the lesson, and a page with the claim `first` beside it."""
    (course / "book").mkdir()
    (course / "book" / "03-sample.md").write_text(HEAD + "It {claim}`holds <first>`.\n\n" + HELD, encoding="utf-8")
    path = course / "solutions" / "03-sample.md"
    source = path.read_text(encoding="utf-8")
    path.write_text(source + f"\nSo it is: {{claim}}`the rule holds <{claim}>`.\n", encoding="utf-8")
    (course / "CITATION.cff").write_text("url: https://example.org/book\n", encoding="utf-8")


def test_a_lesson_keeps_the_words_of_a_rule_that_its_chapter_holds(course, lookup):
    lesson(course, "03-sample#first")
    notebooks = generate(course, [], lookup)
    assert len(notebooks) == 2
    assert all(nb.cells[-1].source.endswith("So it is: the rule holds.") for nb in notebooks.values())


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("first", "in a lesson it must name a chapter's claim, as 03-bce#name"),
        ("03-sample#second", "book/03-sample.md has no claim 'second' that a cell holds"),
        ("04-gone#first", "there is no book/04-gone.md"),
    ],
)
def test_a_lesson_with_a_rule_that_no_chapter_holds_is_refused(course, lookup, claim, told):
    lesson(course, claim)
    with pytest.raises(AuthorError) as error:
        generate(course, [], lookup)
    assert told in str(error.value)
    assert re.search(r"solutions/03-sample\.md, line \d+: ", str(error.value))
