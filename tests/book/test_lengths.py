"""The page of an idea can be read in one sitting: so many words, so many lines of code, and no more.

A chapter is held to it from the day on which it has its second page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin

from lossbook.course import chapters
from lossbook.prose.rules import read, unwrap

ROOT = Path(__file__).parents[2]
IDEAS = [ROOT / "book" / f"{chapter.row}.md" for chapter in chapters()]
BEHIND = [ROOT / "book" / "one-theorem.md", ROOT / "book" / "how-sure.md"]  # ideas that stand behind all chapters
WORDS, LINES = 4_000, 150
FOLDED = {"dropdown", "hide-input", "hide-cell", "hide-output"}
PARSER = MarkdownIt("commonmark").enable("table").use(colon_fence_plugin)


def seen(markdown: str) -> Iterator[str]:
    """Yield the paragraphs, headings and cells of tables that a reader sees before unfolding anything."""
    for token in PARSER.parse(markdown):
        if token.type == "inline":
            yield token.content
        elif token.type in ("fence", "colon_fence"):
            directive = re.match(r"\{([\w:-]+)\}(.*)", token.info)
            if directive and directive[1] in ("admonition", "note", "tip", "warning"):
                options = re.match(r"(?::[\w-]+:.*\n)*", token.content)
                assert options
                if "dropdown" not in options[0]:
                    yield directive[2]
                    yield from seen(token.content[options.end() :])


def words(path: Path) -> int:
    """Count the words of a page; a formula, a number that is glued and a citation are a word each."""
    text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    captions = re.findall(r'caption: "(.*)"', text)
    count = 0
    for piece in [*seen(text), *captions]:
        plain = re.sub(r"\{[\w:]+\}`+[^`]+`+|\$[^$]+\$", "x", unwrap(piece))
        plain = re.sub(r"^\([\w-]+\)=$", "", plain, flags=re.MULTILINE)
        count += len(re.findall(r"[\w’'`-]*\w[\w’'`.-]*", plain))
    return count


def lines(path: Path) -> int:
    """Count the lines of code that a reader sees before unfolding anything; empty ones are none."""
    cells = [cell.source for cell in read(path).cells if cell.shown and not cell.tags & FOLDED]
    included = re.findall(r"^```\{literalinclude\}", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not included, "an idea's page shows its own code"
    return sum(bool(line.strip()) for cell in cells for line in cell.splitlines())


def test_a_chapter_is_held_to_it():
    assert ROOT / "book" / "03-bce.md" in IDEAS


@pytest.mark.parametrize("path", [*IDEAS, *BEHIND], ids=lambda path: path.stem)
def test_an_idea_is_short_enough_to_be_read(path: Path) -> None:
    assert words(path) <= WORDS
    assert lines(path) <= LINES


SMALL = """---
title: not a word
---

# Two words

Five *words* and {eq}`one` role, $x + y$ {claim}`said <by-name>`.

| cell | cell |
|---|---|
| {glue:text}`a number` | don't |

:::{admonition} Title
:class: takeaway

Shown twice.
:::

```{admonition} Answer
:class: dropdown

Folded, so not counted.
```

```{code-cell} python3
:tags: [hide-input]

folded = 1
```

```{code-cell} python3
first = 1

second = 2
```

```{symbols}
x:
  is: no word
```
"""


def test_what_is_folded_or_hidden_is_not_counted(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(SMALL, encoding="utf-8")
    assert words(page) == 2 + 7 + 4 + 1 + 2
    assert lines(page) == 2
    page.write_text(SMALL.replace(":tags: [hide-input]\n\n", "").replace(":class: dropdown\n", ""), encoding="utf-8")
    assert words(page) == 16 + 1 + 4
    assert lines(page) == 3
