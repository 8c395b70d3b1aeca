"""Sphinx extension: the role `claim`, and after each rule in words a small mark that shows what was run for it."""

from __future__ import annotations

import ast
from html import escape
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from lossbook.prose import rules

logger = logging.getLogger(__name__)


class Claim(SphinxRole):
    """The role `claim`: a rule in words, and its name in angle brackets."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the words, marked as a claim; what is wrong with them is told with the page's other faults."""
        try:
            words, name = rules.split(self.text)
        except ValueError:
            words, name = self.text, ""
        inside, messages = self.inliner.parse(words, self.lineno, self.inliner, self.inliner.parent)
        return [nodes.inline("", "", *inside, classes=["claim"], claim=name)], messages


def mark(app: Sphinx, doctree: nodes.document) -> None:
    """Check the page's rules, tell what is wrong, and put a mark after each rule."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".md":
        return
    root = Path(app.srcdir)
    if (root / rules.SETTINGS).is_file():
        app.env.note_dependency(str(root / rules.SETTINGS))
    page = rules.read(path)
    for fault in rules.check_page(page, root):
        logger.warning("%s", fault, location=app.env.docname)
    holders = {cell.number: cell.claims[0] for cell in page.cells if cell.claims}
    for container in doctree.findall(nodes.container):
        if container.get("cell_index") in holders:
            container["ids"].append(f"cell-{holders[container['cell_index']]}")
    for node in list(doctree.findall(nodes.inline)):
        holder = page.cell_of(node.get("claim", ""))
        if holder is not None:
            node += nodes.raw("", _mark(node["claim"], holder), format="html")


def _mark(name: str, cell: rules.Cell) -> str:
    """Return a button that shows what was run. The browser opens it: no script is needed."""
    code = asserted(cell.source) if cell.shown else cell.source.strip()
    shown = highlight(code, PythonLexer(), HtmlFormatter(nowrap=True)).rstrip("\n")
    where = (
        f'<a href="#cell-{cell.claims[0]}">this cell of the page</a>' if cell.shown else "a cell that the page hides"
    )
    target = f"claim-{escape(name)}"
    return (
        f'<span class="claim-mark">&#8288;<button type="button" popovertarget="{target}" title="checked" '
        'aria-label="Checked by the build: show what was run">✓</button>'
        f'<span id="{target}" class="claim-run" popover>'
        f'<span class="claim-said">✓ The build ran {where}, and this held:</span>'
        f'<span class="highlight"><code>{shown}</code></span></span></span>'
    )


def asserted(source: str) -> str:
    """Return the assertions of a cell, as they are written."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
    lines = source.splitlines()
    pieces = ["\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in sorted(found, key=lambda n: n.lineno)]
    return "\n".join(piece[len(piece) - len(piece.lstrip()) :] for piece in pieces)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_role("claim", Claim())
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
