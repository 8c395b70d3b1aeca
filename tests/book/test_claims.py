"""Rules in words as a reader sees them, and what stops the build: a rule that is false, not run, or cannot be false."""

import hashlib
import math
import os
import random
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from myst_nb.core.read import read_myst_markdown_notebook

from lossbook.book import breaking
from lossbook.book.inputs import Course
from lossbook.book.sphinx_ext import ANSI, Page, execute
from lossbook.notebooks import kernels
from lossbook.prose import rules

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("warm_kernels")
HEAD = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# Two\n\n"
WORDS = r"""
Here {claim}``the logarithm **never** exceeds $x - 1$, as `math.log` and {doc}`one` say <log-bound>``. A list:

- {claim}`an item, too <item>`.

| a | b |
|---|---|
| {claim}`and a table <table>` | $x$ |

```{code-cell} python3
:tags: [remove-cell]
:claim: [log-bound, item]

import math
for x in (0.5, 2.0, 3.0):
    assert math.log(x) < x - 1
```

```{code-cell} python3
:claim: table
y = math.exp(2.0)
assert y > 7, "<b>&"
y
```
"""


def test_a_reader_sees_a_mark_that_shows_what_was_run(tiny):
    tiny.write("one", "# One\n")
    tiny.write("two", HEAD + WORDS)
    built = tiny.build()
    assert built.code == 0, built.log
    page = BeautifulSoup(tiny.text("two"), "html.parser").select_one("article")
    marks = {mark.select_one("[popover]")["id"]: mark for mark in page.select(".claim-mark")}
    assert set(marks) == {"claim-log-bound", "claim-item", "claim-table"}
    for name, mark in marks.items():
        button, shown = mark.select_one("button"), mark.select_one("[popover]")
        assert button["popovertarget"] == name
        assert button.text == "✓"
        assert "Checked" in button["aria-label"]
        assert shown.find_parent("span", class_="claim") is not None
    hidden, visible = marks["claim-log-bound"].text, marks["claim-table"].text
    assert "import math" in hidden, "all of a cell that the page hides"
    assert "assert math.log(x) < x - 1" in hidden
    assert "y = math" not in visible, "of a cell that the page shows, what it asserts"
    assert 'assert y > 7, "<b>&"' in visible
    link = marks["claim-table"].select_one("a")["href"]
    assert "assert y > 7" in page.select_one(link).text
    rule = page.select_one(".claim")
    assert rule.select_one("strong").text == "never"
    assert rule.select_one(".math") is not None
    assert rule.select_one("a[href^='one']") is not None
    assert "7.38905609893065" in page.text, "what a cell shows at its end is shown"


def test_rules_without_what_holds_them_fail_the_build_and_are_all_named(tiny):
    (tiny.root / "book" / "claims.yaml").write_text("texts: [book/two]\n")
    wrong = {
        "It {claim}`holds <nowhere>`.": "no cell holds the claim 'nowhere'",
        "It never fades.": "for the word 'never' this needs a {claim}",
        "```{code-cell} python3\n:claim: unsaid\nx = abs(id(0))\nassert x > 1\n```": "no sentence of the page is the",
    }
    tiny.write("one", "# One\n")
    tiny.write("two", HEAD + "\n\n".join(wrong) + "\n")
    built = tiny.build()
    assert built.code != 0
    for told in wrong.values():
        (line,) = [line for line in built.log.splitlines() if "WARNING: book/two.md, line" in line and told in line]
        assert re.search(r"line \d+: ", line)


# ------------------------------------------------------------------------------------------------ what a kernel says


def run(*cells, allow=True):
    """Execute cells as the build does. Return the last line of each one's error, empty if it ran."""
    os.environ.update(kernels.ENVIRONMENT)
    sources = [nbformat.v4.new_code_cell(code, metadata={"claim": "a"} if held else {}) for code, held in cells]
    notebook = nbformat.v4.new_notebook(cells=sources)
    config = SimpleNamespace(execution_allow_errors=allow, execution_timeout=120)
    fault, _, _ = execute(Course(ROOT, []), Page("book/page", ROOT / "book" / "page.md", notebook, config))
    if not allow:
        return fault
    errors = [[o for o in cell.outputs if o.output_type == "error"] for cell in notebook.cells]
    return [f"{found[0].ename}: {found[0].evalue}" if found else "" for found in errors]


@pytest.mark.parametrize("optimised", ["", "1"])
def test_the_kernel_of_a_page_holds_every_assertion_to_its_word(monkeypatch, optimised):
    monkeypatch.setenv("PYTHONOPTIMIZE", optimised)
    told = run(
        ("import math\nx = math.exp(1)\nrows = []", False),
        ("assert x > 2\nx", True),
        ("assert x < 2", True),
        ("for row in rows:\n    assert row > 1", True),
        ("assert all(row > 1 for row in rows)", True),
        ("assert x - x == 0", True),
        ("assert x - x == 0", False),  # the same code, and so held to the same
        ("assert x - x == 0 # what holds no claim is left alone", False),
        ("%matplotlib inline\nassert x > 2", False),
    )
    never, whatever = "the cell never comes to", "would hold whatever is computed"
    expected = ["", "", "AssertionError: ", never, whatever, whatever, whatever, "", ""]
    assert [bool(a) for a in told] == [bool(b) for b in expected]
    assert all(part in said for part, said in zip(expected, told, strict=True))


def test_a_false_rule_fails_the_build_of_its_page():
    fault = run(("import math\nx = math.exp(1)", False), ("assert x > 3", True), allow=False)
    assert "code cell 2 of 2" in fault
    assert "AssertionError" in fault


# ------------------------------------------------------------------------------------------------------ the real pages


def chosen_pages():
    """Return the pages to try: all where LOSSBOOK_THOROUGH is set, else a fifth, by the hash of what they say.

    The build itself tries every assertion of every page, each with its values changed. This runs what was turned round.
    """
    pages = [text for text in rules.settings(ROOT).texts if text.startswith("book/")]
    if "LOSSBOOK_THOROUGH" in os.environ:
        return pages
    content = {text: (ROOT / f"{text}.md").read_bytes() for text in pages}
    return sorted(pages, key=lambda text: hashlib.sha256(content[text]).hexdigest())[: math.ceil(len(pages) / 5)]


@pytest.mark.parametrize("text", chosen_pages())
def test_a_broken_assertion_fails_its_cell(text):
    """Run the page once. Before a cell that holds a claim stand copies, each with one assertion turned round."""
    path = ROOT / f"{text}.md"
    notebook = read_myst_markdown_notebook(path.read_text(encoding="utf-8"), path=path)
    holders = [n for n, cell in enumerate(notebook.cells) if cell.metadata.get("claim")]
    chosen = {n: random.Random(n).choice([*breaking.broken(notebook.cells[n].source)]) for n in holders}
    sampled = set(random.Random(text).sample(holders, min(8, len(holders))))
    cells = []
    for n, cell in enumerate(notebook.cells[: max(sampled) + 1]):
        if n in sampled:
            cells.append((chosen[n], False))
        if cell.cell_type == "code":
            cells.append((cell.source, False))
    told = run(*cells)
    failed = [said for (code, _), said in zip(cells, told, strict=True) if code in chosen.values()]
    assert [ANSI.sub("", said).split(":")[0] for said in failed] == ["AssertionError"] * len(sampled)
    assert [said for (code, _), said in zip(cells, told, strict=True) if code not in chosen.values() and said] == []
