"""Turns a notebook's cell into plain Python. What only a notebook can do, such as a shell command, does nothing here.

The rules are IPython's own, written anew: IPython itself would be one more library beside the student's code.
"""

from __future__ import annotations

import ast
import contextlib
import re
import textwrap
from collections.abc import Iterator

BODY_MAGICS = ("time", "timeit", "capture", "prun")  # these run the cell below them
DEEPEST = 1000  # blanks before a line; more are no indentation
LINE_MAGICS = ("time", "timeit", "prun")  # these run the line behind them

# What a logical line of Python is made of, as far as its end and its first = are concerned.
_PIECE = re.compile(
    r'''
    (?P<text> """(?:[^"\\]++|\\.|"(?!""))*+(?:"""|\Z) | \'\'\'(?:[^'\\]++|\\.|'(?!\'\'))*+(?:\'\'\'|\Z)
            | "(?:[^"\\\n]++|\\.)*+"? | '(?:[^'\\\n]++|\\.)*+'? | \#[^\n]*+ | \\\n )
    | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<end>\n)
    | (?P<assign>(?<![=!<>:+\-*/%&|^@])=(?!=)) | [^"'\#\\()\[\]{}\n=]++ | .
    ''',
    re.VERBOSE | re.DOTALL,
)
_CONTINUED = re.compile(r"(?:[^\n]*\\\n)*+[^\n]*+\n?")  # a line, and those that a backslash at its end adds to it
_INDENT = re.compile(r"[ \t]*")
_ESCAPE = re.compile(r"!(?!=)!?|\?{1,2}|%(?!=)%?|[,;]|/(?![/=])")
_HELP = re.compile(r"(?<![\w*])%{0,2}(?!\d)[\w*]+(?:\.(?!\d)[\w*]+|\[-?\d+\])*\?{1,2}$")
_COMMAND = re.compile(r"[ \t]*(!|%(?=[ \t]*[A-Za-z_]))")  # behind the = of an assignment
_CALLS = {  # calls without brackets: every word a text, all of them one text, every word an argument
    ",": lambda words: '"' + '", "'.join(words.split()) + '"',
    ";": lambda words: f'"{words}"',
    "/": lambda words: ", ".join(words.split()),
}
_OPTION = re.compile(r"(?:-\w+(?:[ \t]+\d+)?[ \t]*)*")
# Prompts, as whole blocks are copied with them: of a first line, of the others.
_PYTHON = (re.compile(r"\s*>>>[ \t]?"), re.compile(r"\s*\.\.\.[ \t]?"))
_NUMBERED, _DOTTED = r"(?:(?:\[(?:nav|ins)\])? )?In \[\d+\]: ", r"\s*\.{3,}: ?"
_IPYTHON = (re.compile(_NUMBERED), re.compile(_DOTTED))


def python_of(source: str) -> str:
    """Return a cell as plain Python, line by line: a notebook's own commands do nothing, their lines stay.

    As in IPython, a cell may be indented as a whole, or be pasted with prompts; a backslash continues a command.
    """
    lines = unprompted(source).split("\n")
    first = next((k for k, line in enumerate(lines) if line.strip()), len(lines))
    if first < len(lines) and lines[first].startswith("%%") and not re.match(r"%%\w+\?", lines[first]):
        name, _, rest = lines[first][2:].partition(" ")
        if name not in BODY_MAGICS:
            return ""
        setup = _OPTION.sub("", rest.strip(), count=1) if name == "timeit" else ""
        return "\n" * first + python_of(setup) + "\n" + python_of("\n".join(lines[first + 1 :]))
    return "".join(_plain(line) for line in _logical_lines("\n".join(lines)))


def unprompted(source: str) -> str:
    """Return a cell without prompts that it was copied with, and without indentation of the whole."""
    lines = source.split("\n")
    first = next((k for k, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines):
        return source
    lines[first:] = _unindented(lines[first:])
    if any(mark in source for mark in (">>>", "...:", "In [")):
        lines[first:] = _without_prompts(lines[first:])
    return "\n".join(lines)


def parsed(source: str) -> ast.Module:
    """Return a cell's syntax tree. Raises SyntaxError where it is not Python, a notebook's own commands apart."""
    if not _IPYTHON[0].match(source.lstrip()):  # which would be Python too: an annotation
        with contextlib.suppress(SyntaxError):
            return ast.parse(source)
    return ast.parse(python_of(source))


def _unindented(lines: list[str]) -> list[str]:
    """Return lines without the indentation that all share, or, as older versions of IPython, without the first's."""
    if not 0 < len(_INDENT.match(lines[0])[0]) < DEEPEST:  # type: ignore[index]
        return lines
    lines = textwrap.dedent("\n".join(lines)).split("\n")
    indent = _INDENT.match(lines[0])[0]  # type: ignore[index]
    return [line.removeprefix(indent) for line in lines]


def _without_prompts(lines: list[str]) -> list[str]:
    """Return lines without the prompts of Python or IPython that they were copied with."""
    inside = _inside_texts(lines)
    if any(number not in inside and _PYTHON[0].match(line) for number, line in enumerate(lines)):
        kept = (number in inside and not _prompted(lines[inside[number]]) for number in range(len(lines)))
        pairs = zip(lines, kept, strict=True)
        lines = _unindented([line if keep else _sub_first(_PYTHON, line) for line, keep in pairs])
    if any(prompt.match(line) for line in lines[:2] for prompt in _IPYTHON):
        lines = [_sub_first(_IPYTHON, line) for line in lines]
    return lines


def _prompted(line: str) -> bool:
    return any(prompt.match(line) for prompt in _PYTHON)


def _sub_first(prompts: tuple[re.Pattern[str], ...], line: str) -> str:
    found = next(filter(None, (prompt.match(line) for prompt in prompts)), None)
    return line[found.end() :] if found else line


def _inside_texts(lines: list[str]) -> dict[int, int]:
    """Return, for each line that begins inside a text, the line on which that text begins."""
    inside: dict[int, int] = {}
    number = 0
    for piece in _pieces("\n".join(lines), 0):
        more = piece[0].count("\n")
        if piece["text"] and piece[0][0] in "\"'":
            inside.update((number + k, number) for k in range(1, more + 1))
        number += more
    return inside


def _logical_lines(text: str) -> Iterator[str]:
    """Yield the logical lines of a cell, each with its end: statements of Python, or commands of the notebook."""
    start = 0
    while start < len(text):
        end = _end_of_command(text, start) or _end_of_statement(text, start)
        yield text[start:end]
        start = end


def _end_of_command(text: str, start: int) -> int | None:
    """Return where a command ends that begins here, or None where none does."""
    after = _INDENT.match(text, start).end()  # type: ignore[union-attr]
    return _CONTINUED.match(text, start).end() if _ESCAPE.match(text, after) else None  # type: ignore[union-attr]


def _pieces(text: str, place: int) -> Iterator[re.Match[str]]:
    """Yield what a statement of Python is made of, from a place on: texts and comments, brackets, ends of lines."""
    while place < len(text):
        piece = _PIECE.match(text, place)
        assert piece, "a piece is at least one character"
        yield piece
        place = piece.end()


def _end_of_statement(text: str, start: int) -> int:
    """Return where a statement of Python ends, brackets and texts over several lines included."""
    depth, assigned = 0, False
    for piece in _pieces(text, start):
        depth += (piece["open"] is not None) - (piece["close"] is not None)
        if piece["end"] and depth <= 0:
            return piece.end()
        if piece["assign"] and depth == 0 and not assigned:
            assigned = True
            if _COMMAND.match(text, piece.end()):
                return _CONTINUED.match(text, piece.start()).end()  # type: ignore[union-attr]
    return len(text)


def _plain(line: str) -> str:
    """Return a logical line as Python, with as many ends of lines as it had."""
    text, ends = line.removesuffix("\n").replace("\\\n", " "), "\n" * line.count("\n")
    indent = _INDENT.match(text)[0]  # type: ignore[index]
    if text.rstrip().endswith("?") and _asks(text):
        return f"{indent}pass{ends}"
    if escape := _ESCAPE.match(text, len(indent)):
        return f"{indent}{_done(escape[0], text[escape.end() :])}{ends}"
    depth = 0
    for piece in _pieces(text, 0):
        depth += (piece["open"] is not None) - (piece["close"] is not None)
        if piece["assign"] and depth == 0:
            if command := _COMMAND.match(text, piece.end()):
                return _assigned(text[: piece.start()], command[1], text[command.end() :]) + ends
            break
    return line


def _asks(text: str) -> bool:
    """Return whether a line asks for help on something: it ends in ?, and not in a comment or a text."""
    *_, last = _pieces(text.rstrip(), 0)
    return bool(not last["text"] and (_HELP.search(text.rstrip()) or text.strip() in ("?", "??")))


def _done(escape: str, rest: str) -> str:
    """Return what is done in place of a command: nothing, or what it times, or the call that it stands for."""
    if escape == "%":
        return _timed(rest) or "pass"
    name, _, arguments = rest.partition(" ")
    if not name or escape not in _CALLS:
        return "pass"
    return f"{name}({_CALLS[escape](arguments)})"


def _timed(rest: str) -> str:
    """Return the statement that a magic runs and times, or nothing where it is no such magic."""
    name, _, statement = rest.rstrip().partition(" ")
    statement = statement.strip()
    return "" if name not in LINE_MAGICS or statement.startswith("-") else python_of(statement)


def _assigned(target: str, escape: str, rest: str) -> str:
    """Return what is done in place of ``target = !command`` or ``target = %magic``."""
    if escape == "%" and (value := _timed(rest)):
        return f"{target}= {value}"
    indent = _INDENT.match(target)[0]  # type: ignore[index]
    nothing = "[]" if escape == "!" else "None"
    return f"{target}= {nothing}" if target.strip().isidentifier() else f"{indent}pass"
