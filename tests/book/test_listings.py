"""A listing shows the code: of its docstring the first line, and a link to the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lossbook import losses
from lossbook.book.listings import exported, shortened

ROOT = Path(__file__).parents[2]
LISTED = re.compile(r"^```\{literalinclude\} \.\./src/lossbook/losses/\S+\n(?::[^\n]*\n)*?:pyobject: (\w+)$", re.M)
LONG = '''def loss(p, y):
    r"""The loss, by \\ell.

    Args:
        p: Probabilities.

    """
    return -(y * p)  # "quoted"
'''


def test_of_a_docstring_the_first_line_is_left_and_the_code_is_as_it_was():
    code, name = shortened(LONG)
    assert name == "loss"
    assert code == 'def loss(p, y):\n    r"""The loss, by \\ell."""\n    return -(y * p)  # "quoted"\n'


@pytest.mark.parametrize(
    "code",
    [
        'def f():\n    """One line."""\n    return 1\n',
        "def f():\n    return 1\n",
        "def f(:\n",
        "x = 1\n",
        "a = 1\nb = 2\n",
        "",
    ],
)
def test_what_has_no_long_docstring_stays_as_it_is(code):
    assert shortened(code) == (code, "")


def test_the_losses_are_known_without_importing_them():
    assert exported(ROOT / "src" / "lossbook") == set(losses.__all__)


@pytest.mark.parametrize("page", sorted(path.stem for path in ROOT.glob("book/[0-9][0-9]-*-pytorch.md")))
def test_each_loss_that_a_page_lists_leads_to_its_documentation(book, page):
    shown = set(LISTED.findall((ROOT / "book" / f"{page}.md").read_text(encoding="utf-8"))) & set(losses.__all__)
    article = book.article(f"book/{page}")
    links = {link["href"] for link in article.select(".listing-more a")}
    assert links == {f"api.html#lossbook.losses.{name}" for name in shown}
    assert not any("Returns:" in block.text for block in article.select("div.highlight-python"))
