"""What is typed into prose: no number that a cell should have computed, no line of code too wide for the page."""

import ast
import re
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[2]
TEXTS = sorted([*(ROOT / "book").glob("*.md"), *(ROOT / "solutions").glob("*.md")])
WIDTH = 80

# Numbers that the course quotes because others print them. Each is reproduced, or computed from, in
# tests/test_printed_numbers.py and on the page of printed numbers.
QUOTED = {
    "0.0223",
    "17.05",
    "0.8685",
    "0.8692",
    "2.4869",
    "124.3458",
    "1.1591",
    "0.5912299752",
    "0.1272330731",
    "0.7678468823",
    "3.2446444035",
    "0.05779625",
    "0.0577962585",
    "0.0577",
    "0.0193",
    "0.0578",
    "1.3628",
    "0.32",
}
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d{2,}(?![\w.]*\w)")
INCLUDE = re.compile(r"^```\{literalinclude\} (\S+)\n(?::[^\n]*\n)*?:pyobject: (\w+)$", re.M)


def cells(path):
    """Yield each cell of a page or lesson."""
    yield from jupytext.read(path, fmt="md:myst").cells


def prose(source):
    """Return a text cell without its code spans, addresses, and fenced blocks other than mathematics."""
    source = re.sub(r"^(`{3,}|~{3,})(?!\{math\}).*?^\1", "", source, flags=re.S | re.M)
    return re.sub(r"`[^`\n]*`|https?://\S+|<!--.*?-->|(Python|PyTorch|torch) \d+\.\d+", "", source)


def typed_numbers(source):
    """Return the decimals of a text cell that are neither computed nor quoted."""
    return [number for number in DECIMAL.findall(prose(source)) if number not in QUOTED]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_number_is_typed_into_prose(path):
    typed = {n for cell in cells(path) if cell.cell_type == "markdown" for n in typed_numbers(cell.source)}
    assert not typed, f"computed numbers belong in a cell, or glued from one: {sorted(typed)}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_code_fits_the_page(path):
    wide = [
        line
        for cell in cells(path)
        if cell.cell_type == "code" and not {"remove-cell", "remove-input"} & set(cell.metadata.get("tags", []))
        for line in cell.source.splitlines()
        if len(line) > WIDTH
    ]
    assert not wide, f"longer than {WIDTH} columns: {wide}"


def included(path):
    """Yield each piece of source that a page includes: its name and its lines."""
    for target, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        source = (path.parent / target).read_text(encoding="utf-8")
        node = next(n for n in ast.walk(ast.parse(source)) if getattr(n, "name", None) == name)
        yield name, source.splitlines()[node.lineno - 1 : node.end_lineno]


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("0*.md")), ids=lambda path: path.stem)
def test_included_code_fits_the_page(path):
    pieces = dict(included(path))
    assert pieces, "a chapter includes its reference implementation"
    wide = [(name, line) for name, lines in pieces.items() for line in lines if len(line) > WIDTH + 4]
    assert not wide


def test_a_typed_number_is_seen():
    assert typed_numbers("It is $\\ln 2 = 0.6932$.") == ["0.6932"]
    assert typed_numbers("It prints 0.8685; `x = 0.123`; {glue:text}`a` Python 3.11, version 2.13.0.") == []
