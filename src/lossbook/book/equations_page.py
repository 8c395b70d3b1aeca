"""What the book's page on its equations shows: every display with what was checked of it, and the mutants' score."""

from __future__ import annotations

from collections.abc import Sequence

from lossbook.book.docstrings import NAME
from lossbook.book.mutants import Line, Survivor
from lossbook.book.verify import Report
from lossbook.equations.checking import Record
from lossbook.equations.wording import power


def display_rows(report: Report) -> str:
    """Return a table in Markdown: each display of a page, its relations, its points, how far its sides were apart."""
    lines = ["| equation | relations | points | apart | held against | label |", "|---|--:|--:|--:|---|---|"]
    for record in report.records:
        label, of_page = record.display.label, not record.display.page.startswith(NAME)
        own = [step for step in record.steps if not step.code]
        equal = [step.worst for step in own if step.relation == "="]
        cells = [
            f"{{eq}}`{label}`" if of_page else "docstring",
            str(len(own)) if own else role(record),
            str(sum(step.points for step in record.steps)),
            power(max(equal)) if equal else "",
            ", ".join(dict.fromkeys(_code(step.code, step.derivative) for step in record.steps if step.code)),
            f"`{label}`",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def role(record: Record) -> str:
    """Say in a word what a display without a checked relation of its own is."""
    return "assumption" if record.display.role == "assumption" else "definition"


def _code(name: str, derivative: bool) -> str:
    return f"gradient of `{name}`" if derivative else f"`{name}`"


def score_rows(lines: Sequence[Line], what: str) -> str:
    """Return a table in Markdown: how many mistakes were made and caught, on each page or of each kind."""
    rows = [f"| {what} | mistakes | caught | share | not caught | no mistakes |", "|---|--:|--:|--:|--:|--:|"]
    for line in lines:
        if line.mistakes or line.equal:
            share = f"{100 * line.share:.2f}\N{NO-BREAK SPACE}%"
            rows.append(f"| {line.name} | {line.mistakes} | {line.caught} | {share} | {line.survived} | {line.equal} |")
    return "\n".join(rows)


def survivor_rows(survivors: Sequence[Survivor]) -> str:
    """Return a table in Markdown: each change that was not caught, as the row then reads, and why it is true."""
    rows = ["| equation | with the change it reads | which is true as well |", "|---|---|---|"]
    for survivor in survivors:
        where = f"`{survivor.label}`" if survivor.page.startswith(NAME) else f"{{eq}}`{survivor.label}`"
        formula = survivor.row.rstrip(" .,").replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        rows.append(f"| {where} | ${formula}$ | {survivor.why} |")
    return "\n".join(rows)
