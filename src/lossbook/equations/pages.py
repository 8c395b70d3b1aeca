"""Finds the displays and the declared symbols in a page of MyST Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin

ROLES = ("definition", "assumption")
FIELDS = {"is", "in", "equals", "size", "runs", "from", "until", "constant", "tends", "by", "code"}
_DIRECTIVE = re.compile(r"\{([\w:+-]+)\}\s*(.*)")
_MEANINGS = ("in", "equals", "size", "runs")
_HIDDEN = re.compile(r"\.\. math::|\$\$|\\\[|\\begin\{(?:equation|align|gather|multline|eqnarray)|<math")
_OPTION = re.compile(r":([\w-]+):[ \t]*(.*)\n?")
_NO_PROSE = ("code-cell", "code", "code-block", "literalinclude", "bibliography", "image", "mermaid")


@dataclass(frozen=True)
class Display:
    """A displayed formula: its label, whether it is a definition, an assumption or neither (`""`), and its LaTeX."""

    page: str
    label: str
    role: str
    text: str
    line: int  # of the page, where the LaTeX begins

    def place(self, position: int) -> tuple[int, int]:
        """Return the line of the page and the column, both from 1, of a character of `text`."""
        before = self.text[:position]
        return self.line + before.count("\n"), position - (before.rfind("\n") + 1) + 1


@dataclass(frozen=True)
class Row:
    """One declared symbol, as the page's table of symbols gives it."""

    symbol: str
    fields: dict[str, Any]
    line: int


@dataclass
class Page:
    """What a page displays and declares, in the page's order, and what is wrong with either."""

    name: str
    path: Path
    parts: list[Display | Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def displays(self) -> list[Display]:
        """The displays, in the page's order."""
        return [part for part in self.parts if isinstance(part, Display)]

    @property
    def rows(self) -> list[Row]:
        """The rows of the tables of symbols."""
        return [part for part in self.parts if isinstance(part, Row)]


def read(path: Path) -> Page:
    """Read a page. What can't be read is listed in `faults`, each with its line."""
    page = Page(path.stem, path)
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        page.faults.append(f"{page.name}: {path} can't be read: {error.strerror}")
        return page
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        page.faults.append(f"{page.name}, line {line}: the page is not UTF-8 (byte {error.start})")
        return page
    lines = re.findall(r".*\n|.+", text)
    start = 0
    if lines and lines[0].strip() == "---":  # the front matter
        start = next((i + 1 for i in range(1, len(lines)) if lines[i].strip() == "---"), 0)
    _read(page, "".join(lines[start:]), start)
    labels = [display.label for display in page.displays if display.label]
    page.faults += [f"{page.name}: two displays are labelled {label!r}" for label in _twice(labels)]
    return page


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _read(page: Page, text: str, offset: int) -> None:
    """Read a piece of the page's Markdown whose first line is line `offset` + 1 of the page."""
    parser = MarkdownIt("commonmark").use(colon_fence_plugin).use(amsmath_plugin).use(footnote_plugin)
    parser.use(dollarmath_plugin, double_inline=True)
    for token in parser.parse(text):
        line = offset + (token.map[0] if token.map else 0) + 1
        if token.type in ("math_block", "math_block_label", "amsmath"):
            page.faults.append(f"{page.name}, line {line}: a display without a label; use the directive {{math}}")
        if token.type == "inline" and any(child.type == "math_inline_double" for child in token.children or []):
            page.faults.append(f"{page.name}, line {line}: a display inside a paragraph; use the directive {{math}}")
        if token.type == "html_block" and _HIDDEN.search(token.content):
            page.faults.append(f"{page.name}, line {line}: a display inside HTML; use the directive {{math}}")
        if token.type not in ("fence", "colon_fence"):
            continue
        directive = _DIRECTIVE.match(token.info.strip())
        if not directive:
            continue
        name, argument = directive[1].lower(), directive[2]
        if name == "include":
            page.faults.append(f"{page.name}, line {line}: what a page includes is not read; write it on the page")
        if name in ("eval-rst", "raw") and _HIDDEN.search(token.content):
            page.faults.append(f"{page.name}, line {line}: a display inside {{{name}}}; use the directive {{math}}")
        elif name == "math":
            _display(page, argument + "\n" + token.content if argument else token.content, line + (not argument))
        elif name == "symbols":
            _symbols(page, token.content, line + 1)
        elif name not in _NO_PROSE:
            _read(page, token.content, line)


def _display(page: Page, content: str, line: int) -> None:
    options: dict[str, str] = {}
    while match := _OPTION.match(content):
        if match[1] not in ("label", "class") or match[1] in options:
            what = "given twice" if match[1] in options else "no option of a display here; they are label and class"
            page.faults.append(f"{page.name}, line {line}: {match[1]!r} is {what}")
        options[match[1]] = match[2].strip()
        content = content[match.end() :]
        line += 1
    label, role = options.get("label", ""), options.get("class", "")
    if not label:
        page.faults.append(f"{page.name}, line {line}: a display without a label, so nothing can refer to it")
    if role not in ("", *ROLES):
        page.faults.append(f"{page.name}, line {line}: the class is {role!r}; it must be one of {', '.join(ROLES)}")
    page.parts.append(Display(page.name, label, role, content, line))


def _symbols(page: Page, content: str, line: int) -> None:
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
        keys = [key for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
        for key in keys:
            if key.value in _twice([str(other.value) for other in keys]):
                at = line + key.start_mark.line
                raise _RowError(f"{key.value} is declared twice; give it a list of meanings", at)
        page.parts += table_rows(yaml.safe_load(content), line, content)
    except yaml.MarkedYAMLError as error:
        at = line + error.problem_mark.line if error.problem_mark else line
        page.faults.append(f"{page.name}, line {at}: the table of symbols is no YAML: {error.problem}")
    except yaml.YAMLError as error:
        page.faults.append(f"{page.name}, line {line}: the table of symbols is no YAML: {error}")
    except _RowError as error:
        page.faults.append(f"{page.name}, line {error.line}: the table of symbols can't be read: {error}")


class _RowError(ValueError):
    """What is wrong with a row of a table of symbols, and its line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def table_rows(table: Any, line: int, content: str = "") -> list[Row]:
    """Return the rows of a table of symbols: a mapping of each symbol to its fields or to a list of them.

    Raises:
        ValueError: It is no such mapping.
    """
    if not isinstance(table, dict):
        raise _RowError("it must map each symbol to its fields", line)
    rows = []
    for symbol, entries in table.items():
        at = next((n for n, text in enumerate(content.splitlines(), line) if text.startswith(f"{symbol}:")), line)
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, dict) or not isinstance(entry.get("is"), str):
                raise _RowError(f"{symbol} must have the field 'is', which says what it is", at)
            if unknown := sorted({str(field) for field in entry} - FIELDS):
                fields = ", ".join(sorted(FIELDS))
                raise _RowError(f"{symbol} has the field {unknown[0]!r}; the fields are {fields}", at)
            for field_, value in entry.items():
                if not isinstance(value, str) and not (isinstance(value, int) and not isinstance(value, bool)):
                    raise _RowError(f"the field {field_!r} of {symbol} is {value!r}; it must be one line of text", at)
            if sum(meaning in entry for meaning in _MEANINGS) > 1:
                raise _RowError(f"{symbol} can have only one of the fields {', '.join(_MEANINGS)}", at)
            rows.append(Row(str(symbol), entry, at))
    return rows
