"""Sphinx extension: the table of a page's symbols, and beside each displayed equation what was checked of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from lossbook.equations.pages import Row, table_rows

if TYPE_CHECKING:
    from lossbook.equations.checking import Record

logger = logging.getLogger(__name__)

WORDS = {
    "real": "any number",
    "non-zero": "any number but 0",
    "positive": "any number above 0",
    "probabilities": "probabilities, which sum to 1",
    "one-hot": "one entry is 1, the others 0",
    "random": "a random variable",
    "function": "any function",
    "positive function": "any positive function",
    "joint": "any joint distribution",
}


class Symbols(SphinxDirective):
    """The directive `symbols`: what each symbol of the page is, as a table that unfolds."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return an admonition that unfolds, with the table."""
        try:
            rows = table_rows(yaml.safe_load("\n".join(self.content)), self.lineno)
        except (yaml.YAMLError, ValueError) as error:
            raise self.error(f"the table of symbols can't be read: {error}") from None
        box = nodes.admonition(classes=["dropdown", "symbols"])
        box += nodes.title("", "The symbols of this page")
        box += self._table(rows)
        return [box]

    def _table(self, rows: list[Row]) -> nodes.Node:
        """Return the rows as a table of three columns."""
        table, group, body = nodes.table(), nodes.tgroup(cols=3), nodes.tbody()
        group += [nodes.colspec(colwidth=width) for width in (2, 4, 4)]
        head = [nodes.entry("", nodes.paragraph("", title)) for title in ("symbol", "what it is", "values")]
        group += nodes.thead("", nodes.row("", *head))
        before = ""
        for row in rows:
            symbol = [] if row.symbol == before else [nodes.paragraph("", "", *_together([_math(row.symbol)]))]
            before = row.symbol
            meaning = nodes.entry()
            self.state.nested_parse(StringList([_meaning(row)], source=""), self.content_offset, meaning)
            values = nodes.entry("", nodes.paragraph("", "", *_values(row)))
            body += nodes.row("", nodes.entry("", *symbol), meaning, values)
        group += body
        table += group
        return table


def _math(latex: object) -> nodes.Node:
    return nodes.math("", str(latex))


def _meaning(row: Row) -> str:
    since, until = row.fields.get("from"), row.fields.get("until")
    if since and since == until:
        return f"{row.fields['is']}, in {{eq}}`{since}`"
    text = str(row.fields["is"])
    text += f", from {{eq}}`{since}` on" if since else ""
    return text + (f", until {{eq}}`{until}`" if until else "")


def _values(row: Row) -> list[nodes.Node]:
    fields, parts = row.fields, []
    if "runs" in fields:
        parts.append(_math(rf"1, \dots, {fields['runs']}"))
    if "size" in fields:
        parts.append(nodes.Text(f"checked with {fields['size']}"))
    if "equals" in fields:
        parts.append(_math(f"= {fields['equals']}"))
    if "in" in fields:
        domain = str(fields["in"])
        parts.append(nodes.Text(WORDS[domain]) if domain in WORDS else _math(rf"\in {domain}"))
    if "tends" in fields:
        parts.append(_math(fields["tends"]))
    if "constant" in fields:
        parts += [nodes.Text("the same for every "), _math(fields["constant"])]
    if "by" in fields:
        parts += [nodes.Text("by "), _math(fields["by"])]
    if "code" in fields:
        code = str(fields["code"]).partition("(")[0]
        parts.append(nodes.literal("", code))
    return _together(parts)


def _together(parts: list[nodes.Node]) -> list[nodes.Node]:
    """Put a comma between values; words that lead to a formula need none."""
    out: list[nodes.Node] = []
    for part in parts:
        if out and not (isinstance(out[-1], nodes.Text) and str(out[-1]).endswith(" ")):
            out.append(nodes.Text(", "))
        out.append(part)
    return out


def mark(app: Sphinx, doctree: nodes.document) -> None:
    """Check the page's displays, tell what is wrong, and put a mark that unfolds after each of them."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".md":
        return
    blocks = {block["label"]: block for block in doctree.findall(nodes.math_block) if block.get("label")}
    if not blocks:
        return
    from lossbook.book.report_cache import reports  # it imports PyTorch: only where there is something to check

    (report,) = reports([path])
    for fault in report.faults:
        logger.warning("%s", fault, location=app.env.docname)
    for record in report.records:
        block = blocks.get(record.display.label)
        if block is not None and record.holds:
            block.parent.insert(block.parent.index(block) + 1, _mark(record))


def _mark(record: Record) -> nodes.Element:
    box = nodes.container(classes=["checked"])
    box += nodes.raw("", f'<details class="checked"><summary>✓ {_summary(record)}</summary>', format="html")
    items = nodes.bullet_list()
    for line in _lines(record):
        items += nodes.list_item("", nodes.paragraph("", "", *line))
    box += items
    box += nodes.raw("", "</details>", format="html")
    return box


def _summary(record: Record) -> str:
    if record.display.role == "assumption":
        return "assumption"
    if not any(not step.code for step in record.steps):
        return "definition, checked" if record.steps else "definition"
    return "checked"


def _lines(record: Record) -> Iterator[list[nodes.Node]]:
    from lossbook.equations.wording import describe

    for defined in record.defines:
        yield [nodes.math("", defined), nodes.Text(" is defined here, and used by what follows.")]
    if record.display.role == "assumption":
        yield [nodes.Text("This is assumed; what follows uses it.")]
    for step in record.steps:
        formula = f"{step.left} {step.relation} {step.right}"
        yield [nodes.math("", formula), nodes.Text(": " + describe(step))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_directive("symbols", Symbols)
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
