"""The book, built once from clean for all tests of this folder, and a tiny book to break."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if "book" in getattr(item, "fixturenames", ()):  # the tests of one build share a worker
            item.add_marker(pytest.mark.xdist_group("book"))


@dataclass
class Build:
    """A finished build."""

    code: int
    log: str

    @property
    def executed(self) -> set[str]:
        """The pages that were executed, from the lines of the log such as ``  book/03-bce: 4.1 s``."""
        lines = (line.strip().removesuffix(", failed") for line in self.log.splitlines() if line.startswith("  "))
        return {line.split(":")[0] for line in lines if line.endswith(" s") and line.count(":") == 1}


@dataclass
class Book(Build):
    """The built book."""

    folder: Path
    html: Path
    docnames: list[str]
    pages: dict[str, BeautifulSoup] = field(default_factory=dict)

    def page(self, docname: str) -> BeautifulSoup:
        if docname not in self.pages:
            text = (self.html / f"{docname}.html").read_text(encoding="utf-8")
            self.pages[docname] = BeautifulSoup(text, "html.parser")
        return self.pages[docname]

    def article(self, docname: str):
        return self.page(docname).select_one("article.bd-article")


def run_build(root: Path, output: Path, *options: str, source: Path | None = None) -> Build:
    """Build as ``make book`` does, in a process of its own. ``source`` takes the place of the package's ``src``."""
    environment = {**os.environ}
    if source:
        environment["PYTHONPATH"] = str(source)
    command = [sys.executable, "-m", "lossbook.book.building", str(root), "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, timeout=900)
    return Build(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def book(tmp_path_factory, warm_kernels) -> Book:
    """The real book, built from clean. Workers of pytest-xdist share one build.

    It shows the notebooks as committed: `tests/test_notebooks.py` runs each of them and compares what comes out.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "book"
    result = folder / "result.json"
    try:
        folder.mkdir()
    except FileExistsError:  # another worker builds it
        for _ in range(900):
            if result.exists():
                break
            time.sleep(1)
    else:
        built = run_build(ROOT, folder, "--clean")
        result.with_suffix(".part").write_text(json.dumps([built.code, built.log]))
        result.with_suffix(".part").rename(result)
    code, log = json.loads(result.read_text())
    docnames = [name.removesuffix(".md").removesuffix(".ipynb") for name in parse_toc_yaml(ROOT / "_toc.yml")]
    return Book(code, log, folder, folder / "_build" / "html", docnames)


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Return a function that starts Chromium, with the options of Playwright's ``launch``; skip where there is none."""
    reason = None if CHROMIUM else f"there is none of the browsers {', '.join(BROWSERS)}"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        reason = "playwright is not installed"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with sync_playwright() as player:
        yield lambda **options: player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, **options)


PARSER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin).use(colon_fence_plugin)


def inline_formulas(text: str) -> list[str]:
    """Return the formulas in the lines of a page, those in its boxes, tables and claims included."""
    found, tokens = [], PARSER.parse(text)
    while tokens:
        token = tokens.pop(0)
        tokens[:0] = token.children or []
        if token.type == "math_inline":
            found.append(token.content)
        if token.type == "text" and token.content.endswith("{claim}"):
            tokens[:1] = PARSER.parse(tokens[0].content)
        directive = token.info if token.type in ("fence", "colon_fence") else ""
        if directive.startswith("{") and not directive.startswith(("{code", "{symbols", "{math")):
            tokens[:0] = PARSER.parse(token.content)
    return found


@pytest.fixture(scope="session")
def formulas_in() -> Callable[[str], list[str]]:
    """What reads the formulas in the lines of a page."""
    return inline_formulas


PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
---

# {title}

```{{code-cell}} ipython3
{code}
```
"""


class TinyBook:
    """A book of two pages with the real configuration, and a copy of the package for it to import."""

    def __init__(self, root: Path):
        self.root = root
        self.source = root / "source"
        (root / "book").mkdir(parents=True)
        shutil.copy(ROOT / "_config.yml", root)
        shutil.copy(ROOT / "book" / "references.bib", root / "book")
        shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "lossbook", self.source / "lossbook", ignore=ignore)
        shutil.copy(ROOT / "course.toml", self.source / "lossbook")  # as where it is installed
        (self.source / "lossbook" / "told.py").write_text("WORD = 'first'\n")
        (root / "_toc.yml").write_text(
            "format: jb-book\nroot: book/index\nchapters:\n- file: book/one\n- file: book/two\n"
        )
        self.write("index", "# Tiny\n")
        self.write("one", PAGE.format(title="One", code="from lossbook import told\nprint(told.WORD)"))
        self.write("two", PAGE.format(title="Two", code="print(1 + 1)"))

    def add(self, name: str, text: str) -> None:
        """Write a page more, and put it into the contents."""
        with (self.root / "_toc.yml").open("a") as contents:
            contents.write(f"- file: book/{name}\n")
        self.write(name, text)

    def write(self, name: str, text: str) -> None:
        (self.root / "book" / f"{name}.md").write_text(text)

    def text(self, name: str) -> str:
        return (self.root / "_build" / "html" / "book" / f"{name}.html").read_text()

    def build(self) -> Build:
        return run_build(self.root, self.root, source=self.source)

    def build_leniently(self) -> Build:
        """Build as someone does who knows Jupyter Book alone."""
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(self.root)]
        environment = {**os.environ, "PYTHONPATH": str(self.source)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        return Build(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def tiny_book(warm_kernels) -> type[TinyBook]:
    """What makes a tiny book in a folder, for tests that share one."""
    return TinyBook


@pytest.fixture
def tiny(tmp_path, warm_kernels) -> TinyBook:
    return TinyBook(tmp_path / "tiny")


@pytest.fixture
def page_with():
    """The text of a page with one code cell."""
    return lambda code, title="Two": PAGE.format(title=title, code=code)
