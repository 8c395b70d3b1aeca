"""Recordings as text: one line for each loss, size and pass, one column for each implementation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from lossbook.bench.plan import IMPLEMENTATIONS, spaced
from lossbook.bench.running import FAILED, MEASURED, SKIPPED, Row
from lossbook.timing.texts import bytes_text, seconds_text

NOISY = "~"
Key = tuple[str, str, tuple[int, ...], str, str]


def grouped(rows: Iterable[Row]) -> dict[Key, dict[str, Row]]:
    """Return the rows by what they have in common, and within it by implementation."""
    groups: dict[Key, dict[str, Row]] = {}
    for row in rows:
        case = row.case
        key = (case.loss, case.device, case.size, case.dtype, case.passes)
        groups.setdefault(key, {})[case.implementation] = row
    return groups


def columns(rows: Sequence[Row]) -> list[str]:
    """Return the implementations that were measured at least once, in their usual order."""
    present = {row.case.implementation for row in rows if row.status == MEASURED}
    return [name for name in IMPLEMENTATIONS if name in present]


def time_of(row: Row | None) -> str:
    """Return a cell of the table of times: the median, marked if it is noisy; a dash for none."""
    if row is None or row.status == SKIPPED:
        return "–"
    if row.status == FAILED:
        return "failed"
    return f"{NOISY if row.numbers['noisy'] else ''}{seconds_text(row.seconds)}"


def memory_of(row: Row | None) -> str:
    """Return a cell of the table of memory."""
    return bytes_text(row.numbers["memory"]) if row is not None and row.status == MEASURED else "–"


def share_of(row: Row | None) -> str:
    """Return a cell of the table of shares: the bound's part of the median."""
    share = row.numbers["share"] if row is not None and row.status == MEASURED else None
    return "–" if share is None else f"{share:.0%}".replace("%", " %")


def cells(rows: Sequence[Row], cell: Callable[[Row | None], str] = time_of) -> list[list[str]]:
    """Return a table as lists of words, its heading first."""
    names = columns(rows)
    lines = [["loss", "device", "size", "dtype", "pass", *names]]
    for (loss, device, dimensions, dtype, passes), mine in grouped(rows).items():
        if any(row.status != SKIPPED for row in mine.values()):
            words = [cell(mine.get(name)) for name in names]
            lines.append([loss, device, spaced(dimensions), dtype, passes, *words])
    return lines


def telling(lines: Sequence[Sequence[str]], left: int = 5) -> tuple[list[list[str]], int]:
    """Return a table without those first columns that say the same on every line, and how many of them are left."""
    columns = list(zip(*lines, strict=True))
    kept = [column for column in columns[:left] if len(set(column[1:])) > 1] or columns[:1]
    return [list(line) for line in zip(*kept, *columns[left:], strict=True)], len(kept)


def markdown(lines: Sequence[Sequence[str]], left: int = 5) -> str:
    """Return a table in Markdown, its first columns flush left; words may break after an underscore or a ×."""
    rule = ["---"] * left + ["--:"] * (len(lines[0]) - left)
    signs = str.maketrans({" ": "\N{NO-BREAK SPACE}", "_": "_\N{ZERO WIDTH SPACE}"})
    told = [[word.translate(signs).replace("×\N{NO-BREAK SPACE}", "× ") for word in line] for line in lines[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *told))


def text(lines: Sequence[Sequence[str]], left: int = 5) -> str:
    """Return a table for a terminal, its first columns flush left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            word.ljust(width) if n < left else word.rjust(width)
            for n, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def report(rows: Sequence[Row]) -> str:
    """Return what a command measured: times, memory, and what was not measured and why."""
    parts = []
    if columns(rows):
        for title, cell in (
            (f"Time of one call, median; {NOISY} marks one that is too noisy to trust", time_of),
            ("Share of the bound: the time that the bytes must take, of the time that was taken", share_of),
            ("Peak memory beyond the arguments", memory_of),
        ):
            parts.append(f"{title}\n\n{text(cells(rows, cell))}")
    for status in (SKIPPED, FAILED):
        if lines := reasons(rows, status):
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def reasons(rows: Iterable[Row], status: str) -> list[str]:
    """Return one line for each reason: how many cases it met, and which came first."""
    mine = [row for row in rows if row.status == status]
    counts = Counter(row.reason for row in mine)
    lines = []
    for reason, count in counts.items():
        first = next(row.case for row in mine if row.reason == reason)
        others = f" and {count - 1} more" if count > 1 else ""
        lines.append(f"{status}: {first}{others}: {reason}")
    return lines
