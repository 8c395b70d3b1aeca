"""Small pages, made from a table of symbols and displays, and what the checker finds on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lossbook.book import report_cache
from lossbook.book.verify import Report, paths, references
from lossbook.equations.checking import Record, check_page
from lossbook.equations.pages import read

ROOT = Path(__file__).parents[2]
Found = tuple[list[str], dict[str, Record]]


def write(path: Path, symbols: dict[str, Any], displays: dict[str, str]) -> Path:
    """Write a page. A symbol's meaning may leave out `is`; a display may begin with its class, as in 'definition: '."""
    rows = {}
    for symbol, meaning in symbols.items():
        each = [{"is": "a symbol", **one} for one in (meaning if isinstance(meaning, list) else [meaning])]
        rows[symbol] = each if isinstance(meaning, list) else each[0]
    text = f"# A page\n\n```{{symbols}}\n{yaml.safe_dump(rows, sort_keys=False, width=1000)}```\n"
    for label, latex in displays.items():
        role, colon, rest = latex.partition(": ")
        given = colon and role in ("definition", "assumption")
        option = f":class: {role}\n" if given else ""
        text += f"\n```{{math}}\n:label: {label}\n{option}{rest if given else latex}\n```\n"
    path.write_text(text, encoding="utf-8")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check the whole book first: its build, which another worker begins with, then finds what is known already."""
    items.sort(key=lambda item: item.path.name != "test_whole_book.py")


@pytest.fixture(scope="session")
def reports() -> dict[str, Report]:
    """Check everything once, as the book's build does, or have what it found; return the reports by page."""
    return {report.page.name: report for report in report_cache.reports(paths(ROOT))}


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any], dict[str, str]], Found]:
    """Write a page and check it: return the faults of the page and its table, and each display's record."""

    def run(symbols: dict[str, Any], displays: dict[str, str]) -> Found:
        page = read(write(tmp_path_factory.mktemp("pages") / "page.md", symbols, displays))
        table, records = check_page(page, functions=references())
        return [*page.faults, *table.faults], {record.display.label: record for record in records}

    return run


@pytest.fixture(scope="session")
def faults(checked: Callable[..., Found]) -> Callable[[dict[str, Any], str], list[str]]:
    """Return all that is wrong with one display, of a page of its own."""

    def run(symbols: dict[str, Any], latex: str) -> list[str]:
        wrong, records = checked(symbols, {"shown": latex})
        return [*wrong, *(fault for record in records.values() for fault in record.faults)]

    return run
