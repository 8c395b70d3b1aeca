"""Sphinx extension: the book's pages are executed side by side, cached soundly, and a fault is never forgotten."""

from __future__ import annotations

import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from logging import WARNING, getLogger
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pybtex.plugin  # type: ignore[import-untyped]
from docutils import nodes
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from nbformat import NotebookNode
from pygments.lexers import get_lexer_by_name
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util import logging

from lossbook.address import published
from lossbook.book import breaking
from lossbook.book.inputs import Course, noted
from lossbook.notebooks import kernels
from lossbook.notebooks.notebook import was_run

logger = logging.getLogger(__name__)

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class PageError(SphinxError):
    """One or more pages have a cell that does not run."""

    category = "These pages do not run"


@dataclass
class Page:
    """A page with code, as myst-nb is going to read it."""

    docname: str
    path: Path
    notebook: NotebookNode
    config: Any  # myst-nb's configuration of this page


def note_code(app: Sphinx, config: Any) -> None:
    """Have every page read again when any of the package's code is another: what a page shows of it is not only run."""
    app.lossbook_course = Course(Path(app.srcdir), config.lossbook_pages_read)  # type: ignore[attr-defined]
    config.lossbook_code = app.lossbook_course.code()  # type: ignore[attr-defined]
    config.nb_execution_cache_path = str(Path(app.outdir).parent / ".jupyter_cache")


def outdated(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Return the pages that must be read again because something that their code reads has changed."""
    kept = known_inputs(env)
    course: Course = app.lossbook_course  # type: ignore[attr-defined]
    course.everything()
    app.lossbook_removed = bool(removed)  # type: ignore[attr-defined]
    return [name for name in env.found_docs & kept.keys() if not course.unchanged(kept[name])]


def known_inputs(env: BuildEnvironment) -> dict[str, dict[str, str]]:
    """Return what each page's code read when it ran, by the page's name; it is kept with Sphinx's environment."""
    kept: dict[str, dict[str, str]] = env.__dict__.setdefault("lossbook_inputs", {})
    return kept


def cores() -> int:
    """Return how many pages are worked on side by side."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 8)


def allow_side_by_side(app: Sphinx, config: Any) -> None:
    """Have pages read and written on all cores. Jupyter Book has no option for it.

    Two extensions do not say whether that is safe. It is: one numbers the sections when all pages have been read, the
    other copies files when all have been written.
    """
    if sys.platform.startswith("linux"):
        for name in ("sphinx_multitoc_numbering", "sphinx-mathjax-offline"):
            app.extensions[name].parallel_read_safe = True
        app.parallel = cores()


def keep_numbers(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Leave the figures' numbers alone where no page is read and none is gone.

    Sphinx would load every page to number them anew: half the time of a build in which nothing has changed.
    """
    if not docnames and not app.lossbook_removed:  # type: ignore[attr-defined]
        env.check_dependents = lambda app, already: iter(())  # type: ignore[method-assign]


def execute_pages(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Execute those of the pages to be read that the cache does not hold, a kernel on each core.

    A notebook that was run from top to bottom is shown as it is: the release ran it, and the tests run it again and
    compare its outputs.

    Raises:
        PageError: If a page does not run. The message names each such page, its cell and the traceback.

    """
    cache = get_cache(env.mystnb_config.execution_cache_path)  # type: ignore[attr-defined]
    course: Course = app.lossbook_course  # type: ignore[attr-defined]
    course.everything()  # as it is before any of them runs
    inputs = known_inputs(env)
    pages = []
    for name in sorted(docnames):
        inputs.pop(name, None)
        page = read_page(env, name)
        if page and page.path.suffix == ".ipynb" and was_run(page.notebook):
            keep(cache, page, 0.0, {})  # Sphinx sees when the file changes, and it is read again
        elif page and (kept := cached(cache, page, course)):
            inputs[name] = kept
        elif page:
            pages.append(page)
    if not pages:
        return
    side_by_side = min(len(pages), cores())
    logger.info("executing %d pages with %d kernels", len(pages), side_by_side)
    os.environ.update(kernels.ENVIRONMENT)
    getLogger("traitlets").setLevel(WARNING)
    faults = []
    with kernels.warm(), ThreadPoolExecutor(side_by_side) as pool:
        for page, (fault, seconds, noted) in zip(pages, pool.map(partial(execute, course), pages), strict=True):
            logger.info("  %s: %.1f s%s", page.docname, seconds, ", failed" if fault else "")
            if fault:
                faults.append(fault)
            else:
                inputs[page.docname] = keep(cache, page, seconds, course.inputs(noted))
    if faults:
        raise PageError("\n\n".join(faults))


def keep(cache: Any, page: Page, seconds: float, inputs: dict[str, str]) -> dict[str, str]:
    """Put a page into the cache with the outputs that it has and what they depend on, which is returned."""
    bundle = CacheBundleIn(page.notebook, str(page.path), data={"execution_seconds": seconds, "inputs": inputs})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return inputs


def read_page(env: BuildEnvironment, docname: str) -> Page | None:
    """Read a page as myst-nb does. Return None if it has no code or the cache is not for it."""
    path = Path(env.doc2path(docname))
    config = env.mystnb_config  # type: ignore[attr-defined]
    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), env.myst_config, config, text)  # type: ignore[attr-defined]
    if reader is None or any(path.match(pattern) for pattern in config.execution_excludepatterns):
        return None
    notebook = reader.read(text)
    config = config.copy(**dict(notebook.metadata.get(config.metadata_key, {})))
    has_code = any(cell.cell_type == "code" for cell in notebook.cells)
    return Page(docname, path, notebook, config) if has_code and config.execution_mode == "cache" else None


def cached(cache: Any, page: Page, course: Course) -> dict[str, str]:
    """Return what a page depends on if the cache holds its code with outputs that are still right; else nothing."""
    try:
        inputs: dict[str, str] = cache.match_cache_notebook(page.notebook).data.get("inputs", {})
    except KeyError:
        return {}
    return inputs if course.unchanged(inputs) else {}


def execute(course: Course, page: Page) -> tuple[str, float, set[str]]:
    """Execute a page in place. Return what went wrong, if anything, the seconds it took and what it read.

    A text page runs in its folder. A notebook runs in an empty one, as on Colab, so it can lean on no file beside it.
    """
    started = time.perf_counter()
    holders = [cell.source for cell in page.notebook.cells if cell.metadata.get("claim")]
    try:
        with TemporaryDirectory() as empty, TemporaryDirectory() as aside:
            told = Path(aside) / "told"
            result = single_nb_execution(
                page.notebook,
                cwd=empty if page.path.suffix == ".ipynb" else str(page.path.parent),
                allow_errors=page.config.execution_allow_errors,
                timeout=page.config.execution_timeout,
                extra_arguments=[
                    "--IPKernelApp.log_level=ERROR",
                    course.kernel_argument(told),
                    *breaking.kernel_arguments(holders),
                ],
            )
            read = noted(told)
        error = result.err
        join_streams(page.notebook)
    except Exception as other:  # the kernel died or never started
        error, read = other, set()
    return (describe(page, error) if error else ""), time.perf_counter() - started, read


def join_streams(notebook: NotebookNode) -> None:
    """Make one output of the pieces that a cell printed in a row: the kernel cuts where it likes."""
    for cell in notebook.cells:
        joined: list[NotebookNode] = []
        for output in cell.get("outputs", []):
            last = joined[-1] if joined else None
            if last and last.output_type == output.output_type == "stream" and last.name == output.name:
                last.text += output.text
            else:
                joined.append(output)
        if cell.cell_type == "code":
            cell.outputs = joined


def describe(page: Page, error: Exception) -> str:
    """Name the page, the cell, its line and what it raised."""
    cells = [(index, cell) for index, cell in enumerate(page.notebook.cells) if cell.cell_type == "code"]
    failed = [n for n, (_, cell) in enumerate(cells) if any(out.output_type == "error" for out in cell.outputs)]
    started = [n for n, (_, cell) in enumerate(cells) if cell.get("execution_count") or cell.outputs]
    # An error on purpose (tag raises-exception) can come earlier: the cell that stopped the page is the last one.
    number = (failed or started or [0])[-1]
    lines = page.notebook.metadata.get("source_map")
    where = f", line {lines[cells[number][0]] + 1}" if lines else ""
    return f"{page.path}{where}: code cell {number + 1} of {len(cells)}\n{ANSI.sub('', str(error)).strip()}"


def forget_faulty_build(app: Sphinx, error: Exception | None) -> None:
    """After a warning or an error, make the next build read every page again.

    Sphinx warns while it reads, so a second build that reads nothing would pass with the fault still there.
    Executed pages stay in the cache.
    """
    if error or app._warncount:
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)


def mend_buttons(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Offer each page the buttons that work for it.

    Colab opens notebooks alone, so text pages have no launch button. A notebook is generated, so what its edit button
    opens is its source.
    """
    if doctree is None:
        return
    buttons = context.get("header_buttons", [])
    if str(app.env.doc2path(pagename)).endswith(".ipynb"):
        source = f"/solutions/{Path(pagename).name}.md"
        for button in (inner for outer in buttons for inner in outer.get("buttons", [])):
            if "/edit/" in button.get("url", ""):
                button["url"] = button["url"].replace(f"/{pagename}.ipynb", source)
    else:
        context["header_buttons"] = [b for b in buttons if b.get("label") != "launch-buttons"]


def stay_inside(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn links to the published book's pages, which the lessons have, into links to the pages of this one."""
    address = published(Path(app.srcdir))
    if address is None:
        return  # nobody can link to it
    for link in doctree.findall(nodes.reference):
        target, _, anchor = link.get("refuri", "").partition("#")
        page = target.removeprefix(address).removesuffix(".html")
        if target.startswith(address) and page in app.env.found_docs:
            inside = app.builder.get_relative_uri(docname, page)
            link["refuri"] = f"{inside}#{anchor}" if anchor else inside


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    # These are looked up for each block of code and each reference, among all that any installed package offers.
    app.add_lexer("ipython3", type(get_lexer_by_name("ipython3")))
    pybtex.plugin.entry_points = cache(pybtex.plugin.entry_points)
    app.add_config_value("lossbook_pages_read", [], "env")
    app.add_config_value("lossbook_code", "", "env")
    app.connect("config-inited", note_code)
    app.connect("config-inited", allow_side_by_side)
    app.connect("env-get-outdated", outdated)
    app.connect("env-before-read-docs", execute_pages)
    app.connect("env-before-read-docs", keep_numbers)
    app.connect("build-finished", forget_faulty_build)
    app.connect("doctree-resolved", stay_inside)
    app.connect("html-page-context", mend_buttons, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
