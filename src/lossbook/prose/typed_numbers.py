"""Finds the numbers that are typed into prose, and says by which rule each may stand there.

A number that a computer measured or computed belongs in a cell, and in the text it is glued from one: then it cannot go
stale. Prose is what a reader reads: paragraphs, lists, tables, headings, admonitions, mathematics in a line and on
display, and the captions and alternative texts of figures. Code, roles such as ``{glue:text}``, addresses and names
(``float32``) are not prose.

A number is written in digits (``12``, ``0.9``, ``5 %``, ``1e-12``, ``10⁻¹²``, ``$10^{-12}$``, ``½``) or in words. Words
up to twelve count things; they are measures in ``three million``, ``two thirds of``, ``ten times as fast`` and ``nine
in ten``. Ordinals, *once*, *twice* and *half* are words and not numbers.

Each number must be let through by one of ``RULES``, asked in turn. ``python -m lossbook.prose.typed_numbers`` says
how many numbers each rule lets through, and which no rule does; ``tests/book/test_prose.py`` fails at the latter, and
has for each rule an example that it lets through and one that it stops.
"""

from __future__ import annotations

import ast
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path

import jupytext
import torch
from nbformat import NotebookNode

from lossbook.course import chapters
from lossbook.exercises import exercises
from lossbook.notebooks.notebook import from_text
from lossbook.prose import hints
from lossbook.prose.rules import unwrap

# Numbers that the course quotes because others print them. Each is reproduced, or computed from, in
# tests/test_printed_numbers.py and on the page of printed numbers.
QUOTED = frozenset({"0.0223", "17.05", "0.8685", "1.1591", "0.0577962585"})

# Numbers of pages and documents that no cell can compute, with the words around them. Each is proved in
# tests/book/test_prose.py, from the code or from a recording.
FACTS = frozenset(
    {
        ("README", "a class of forty made-up students"),
        ("docs/teacher", "a made-up class of forty"),
        ("docs/teacher", "of about 90 minutes"),
        ("docs/student", "with PyTorch 2.14, some 5.8 GB on the disk, and 4 to 13 minutes"),
        ("docs/student", "it is 1.3 GB and about a minute"),
        ("book/grading", "$10^{-6} + 10^{-4} \\cdot |\\text{right}|$"),
        ("book/teachers", "a plan of 90 minutes"),
        ("book/sessions", "# Sessions of 90 minutes"),
        ("book/sessions", "| 10 | the vote"),
        ("book/sessions", "| 20 | the board"),
        ("book/sessions", "| 45 | the lesson"),
        ("book/sessions", "| 10 | one wrong answer"),
        ("book/sessions", "| 5 | the takeaway"),
        ("book/teachers", "Forty notebooks take less than a minute"),
        *((f"solutions/{c.row}", f"Time needed: about {c.minutes} minutes") for c in chapters()),
        *(("docs/student", f"{c.number}. {c.title} | {c.minutes} |") for c in chapters()),
    }
)

NEAR = 2  # cells before a paragraph, and after it, whose literals the paragraph may repeat

_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS = {word: n for n, word in enumerate(["zero", *_ONES, *_TEENS])}
WORDS |= {word: 10 * n for n, word in enumerate(_TENS, 2)}
WORDS |= {f"{ten}-{one}": WORDS[ten] + WORDS[one] for ten in _TENS for one in _ONES[:9]}
SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
PARTS = {
    "third": 3,
    "quarter": 4,
    "fifth": 5,
    "tenth": 10,
    "hundredth": 100,
    "thousandth": 1000,
    "millionth": 1_000_000,
}
GLYPHS = {"½": 0.5, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 0.25, "¾": 0.75, "⅕": 0.2, "⅛": 0.125}

UNITS = {"%": 1e-2, "\\%": 1e-2, "per cent": 1e-2, "percent": 1e-2, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
UNITS |= dict.fromkeys(("gigabyte", "gigabytes"), 1e9) | dict.fromkeys(("megabyte", "megabytes"), 1e6)
UNITS |= dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3)
UNITS |= dict.fromkeys(("µs", "microsecond", "microseconds"), 1e-6)
UNITS |= dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9)
UNITS |= dict.fromkeys(("s", "second", "seconds", "byte", "bytes", "bit", "bits", "nat", "nats"), 1.0)
UNITS |= {"minute": 60.0, "minutes": 60.0, "hour": 3600.0, "hours": 3600.0}
_UNIT = re.compile(rf"[ \N{{NO-BREAK SPACE}}]?({'|'.join(map(re.escape, sorted(UNITS, key=len, reverse=True)))})(?!\w)")
_FACTOR = r"times (?:as|the|more|less|too|slower|faster|larger|smaller|longer|in)\b|-?fold\b|orders of"
_MEASURE = re.compile(rf"{_UNIT.pattern}|[ ](?:{_FACTOR}|parts? in\b|in ten\b|digits|decimals|significant|degrees)")

_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_CARDINAL = "|".join(sorted(WORDS, key=len, reverse=True))
_SCALE = "|".join(SCALES)
_NUMBER = re.compile(
    rf"""
    (?<![\w.])(?:(?P<mantissa>\d+(?:\.\d+)?)\s*(?:\\cdot|\\times|·|×)\s*)?
        10(?:\^\{{?(?P<exponent>[-−]?\d+)\}}?|(?P<super>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))
    | (?P<digits>(?<![\w.])(?:\.\d+|\d+(?:(?:,|\{{,\}}|\\,|\ )\d{{3}}(?!\d))*(?:\.\d+)*)(?:e[-+]?\d+)?)(?![A-Za-z]\w)
        (?:\s(?P<scaled>{_SCALE})\b)?
    | (?P<glyph>[{"".join(GLYPHS)}])
    | (?i:\b(?:(?P<parts>an?|{_CARDINAL})[ -](?P<part>{"|".join(PARTS)})s?\b(?=\ of|\ as|\ the)
        | (?P<several>two|three|four|five|nine)[ -](?P<divided>{"|".join(PARTS)})s\b
        | (?P<vague>ten|{_SCALE})s\ (?:of|to)\b
        | (?P<count>an?|{_CARDINAL})\ (?P<scale>{_SCALE})\b
        | (?P<word>{_CARDINAL})\b))
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Passage:
    """A piece of prose, and what the code near it says.

    Args:
        file: The file, without its ending, such as ``book/03-bce``.
        headings: The headings that it stands under, from the title on.
        kind: ``prose``, ``heading``, ``display`` or ``picture`` (a caption or an alternative text).
        text: The words.
        inputs: The numbers of the cells nearest to it in its section.
        asserted: For a picture, the numbers that assertions in the cell that draws it compare with.
        printed: In a lesson, the numbers that those nearest cells printed.
        cases: In a lesson, the numbers and sizes in the cases of the section's exercises.

    """

    file: str
    headings: tuple[str, ...]
    kind: str
    text: str
    inputs: frozenset[float] = frozenset()
    asserted: frozenset[float] = frozenset()
    printed: frozenset[float] = frozenset()
    cases: frozenset[float] = frozenset()

    @property
    def lesson(self) -> bool:
        """Whether it is the source of a lesson, which cannot glue."""
        return self.file.startswith("solutions/")


@dataclass(frozen=True)
class Number:
    """A number in a passage. It may stand for more than one value: 5 % for 5 and for 0.05."""

    text: str
    values: frozenset[float]
    start: int
    math: bool
    passage: Passage

    @property
    def before(self) -> str:
        """What stands before it."""
        return self.passage.text[: self.start]

    @property
    def after(self) -> str:
        """What stands after it."""
        return self.passage.text[self.start + len(self.text) :]

    @property
    def measured(self) -> bool:
        """Whether a unit follows, or words that make it a measure."""
        return bool(_MEASURE.match(self.after))

    def among(self, known: frozenset[float]) -> bool:
        """Whether it is one of these, but for the sign."""
        return any(math.isclose(abs(a), abs(b), rel_tol=1e-12) for a in self.values for b in known)

    def __str__(self) -> str:
        return f"{self.passage.file}: …{self.before[-50:]}[{self.text}]{self.after[:30]}…"


def _value(found: re.Match[str]) -> float:
    """Return what a number stands for; nan for what has no one value, such as ``tens of``."""
    group = {name: text.lower() for name, text in found.groupdict().items() if text is not None}
    if "digits" in group:
        text = re.sub(r",|\{,\}|\\,| ", "", group["digits"])
        return float(text) * SCALES.get(group.get("scaled", ""), 1) if text.count(".") < 2 else math.nan
    if "glyph" in group:
        return GLYPHS[group["glyph"]]
    if "part" in group:
        return WORDS.get(group["parts"], 1) / PARTS[group["part"]]
    if "several" in group:
        return WORDS[group["several"]] / PARTS[group["divided"]]
    if "vague" in group:
        return math.nan
    if "scale" in group:
        return WORDS.get(group["count"], 1) * SCALES[group["scale"]]
    if "word" in group:
        return float(WORDS[group["word"]])
    exponent = group.get("exponent") or group["super"].translate(_SUPER)
    return float(f"{group.get('mantissa', '1')}e{exponent.replace('−', '-')}")


def numbers(passage: Passage) -> Iterator[Number]:
    """Yield the numbers of a passage."""
    spans = [match.span() for match in re.finditer(r"(?<![\\$])\$(?!\$)[^$]+?(?<!\\)\$", passage.text)]
    for found in _NUMBER.finditer(passage.text):
        values, unit = {_value(found)}, _UNIT.match(passage.text[found.end() :])
        if unit:
            values |= {value * UNITS[unit[1]] for value in values}
        in_math = passage.kind == "display" or any(a < found.start() < b for a, b in spans)
        yield Number(found[0], frozenset(values), found.start(), in_math, passage)


# ---------------------------------------------------------------------------------------------------- reading


def _cleaned(source: str) -> str:
    """Return text without code, roles and addresses. A span of code that is only a number stays: it is a number."""
    keep = r"(?!\{(?:admonition|note|warning|tip|figure|dropdown|table|list-table|margin)\})"
    source = re.sub(rf"^([ ]*)(`{{3,}}|~{{3,}}){keep}.*?^\1\2[ ]*$", "", source, flags=re.S | re.M)
    source = re.sub(
        r"^[ ]*(?:`{3,}|:{3,})(?:\{(?!admonition|note)[\w-]+\}.*|\{[\w-]+\})?", "", source, flags=re.M
    )  # the fences of prose
    source = re.sub(r"^[ ]*:(?!alt|caption)[\w-]+:.*$", "", source, flags=re.M)  # options of a directive
    source = re.sub(r"\{[\w:]+\}`[^`]*`", "…", source)
    source = re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", _span, source, flags=re.S)
    source = re.sub(r"\]\([^)\s]*\)|<https?://[^>]*>|https?://\S+|</?\w+[^>]*>", "]", source)
    return re.sub(r"^\([\w-]+\)=$", "", source, flags=re.M)


def _span(found: re.Match[str]) -> str:
    return found[2] if re.fullmatch(r"[-−+]?\d[\d.,]*(e[-+]?\d+)?", found[2].strip()) else "…"


def _blocks(source: str) -> Iterator[tuple[str, str]]:
    """Split a text cell into headings, paragraphs, items, table rows and displays."""
    source = re.sub(r"<!--.*?-->", "", source, flags=re.S)
    for piece in re.split(r"(^```\{math\}.*?^```[ ]*$|^\$\$.*?\$\$[ ]*$)", source, flags=re.S | re.M):
        if piece.startswith(("```{math}", "$$")):
            yield "display", re.sub(r"^:[\w-]+:.*$", "", piece, flags=re.M)
            continue
        for paragraph in re.split(r"\n\s*\n|\n(?=#|\||\s*(?:[-*]|\d+\.) )", _cleaned(piece)):
            text = re.sub(r"\s*\n\s*", " ", paragraph.strip())
            if text and not re.fullmatch(r"[|:\- ]+", text):
                yield ("heading" if text.startswith("#") else "prose"), text


def _literals(source: str) -> tuple[set[float], set[float]]:
    """Return the numbers of a code cell: those that it works with, and those that it asserts."""
    inputs: set[float] = set()
    asserted: set[float] = set()

    def walk(node: ast.AST, found: set[float], strings: bool) -> None:
        if isinstance(node, ast.Assert):
            found, strings = asserted, True
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Pow):  # 2 / 3 is a literal too
            sides = node.left, node.right
            if all(isinstance(side, ast.Constant) and isinstance(side.value, int | float) for side in sides):
                a, b = (float(side.value) for side in sides)  # type: ignore[attr-defined]
                found.add(a / b if isinstance(node.op, ast.Div) else a**b)
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool):
            if isinstance(node.value, int | float):
                found.add(float(node.value))
            elif strings and isinstance(node.value, str):
                found.update(_in(node.value))
        for child in ast.iter_child_nodes(node):
            walk(child, found, strings)

    walk(ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M)), inputs, False)
    return inputs, asserted


def _in(text: str) -> Iterator[float]:
    yield from (value for number in numbers(Passage("", (), "prose", text)) for value in number.values)


def _printed(cell: NotebookNode) -> set[float]:
    """Return the numbers that an executed cell printed; timings are none, since they differ each time."""
    if "timing" in cell.metadata.get("tags", []):
        return set()
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", [])]
    return {value for text in texts for value in _in(text)}


@cache
def _cases(function: str) -> frozenset[float]:
    """Return the numbers that the cases of an exercise hold, their sizes, and the score to beat."""
    exercise = exercises().get(function)
    if exercise is None:
        return frozenset()
    arguments = [a for case in exercise.cases(torch.Generator().manual_seed(0)) for a in case.args]
    tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
    sizes = {float(size) for tensor in tensors for size in tensor.shape}
    sizes |= {exercise.score.beat} if exercise.score else set()
    return frozenset(sizes.union(*(tensor.flatten().tolist() for tensor in tensors)))


@dataclass(frozen=True)
class _Cell:
    headings: tuple[str, ...]
    source: str
    inputs: set[float]
    asserted: set[float]
    printed: set[float]


def passages(path: Path, file: str, outputs: Path | None = None) -> list[Passage]:
    """Return the prose of a page, a document or a lesson.

    Args:
        path: The text.
        file: What to call it.
        outputs: A lesson's notebook, with what its cells printed.

    """
    ran = from_text(outputs.read_text(encoding="utf-8")).cells if outputs else []
    executed = iter([cell for cell in ran if cell.cell_type == "code"])
    titles: list[tuple[int, str]] = []
    found: list[Passage | _Cell] = []
    notebook: NotebookNode = jupytext.read(path, fmt="md:myst")
    for cell in notebook.cells:
        if cell.cell_type != "code":
            for kind, text in _blocks(unwrap(hints.put_in(cell.source))):
                if kind == "heading":
                    level = len(text) - len(text.lstrip("#"))
                    titles = [*((n, title) for n, title in titles if n < level), (level, text.strip("# "))]
                found.append(Passage(file, tuple(title for _, title in titles), kind, text))
            continue
        here = tuple(title for _, title in titles)
        inputs, asserted = _literals(cell.source)
        found.append(_Cell(here, cell.source, inputs, asserted, _printed(next(executed)) if outputs else set()))
        shown = cell.metadata.get("mystnb", {})
        for text in (shown.get("image", {}).get("alt"), shown.get("figure", {}).get("caption")):
            if text:
                found.append(Passage(file, here, "picture", _cleaned(unwrap(text)), asserted=frozenset(asserted)))
    return [_beside(at, found) for at, item in enumerate(found) if isinstance(item, Passage)]


def _beside(at: int, found: list[Passage | _Cell]) -> Passage:
    """Return a passage with the numbers of the cells nearest to it in its section (below a second-level heading)."""
    passage = found[at]
    assert isinstance(passage, Passage)

    def cells(items: Iterable[Passage | _Cell]) -> Iterator[_Cell]:
        for item in items:
            if isinstance(item, _Cell) and item.headings[:2] == passage.headings[:2]:
                yield item

    def nearest(items: Iterable[Passage | _Cell]) -> list[_Cell]:
        return list(islice((cell for cell in cells(items) if not cell.source.startswith("check(")), NEAR))

    near = nearest(reversed(found[:at])) + nearest(found[at + 1 :])
    asked = {name for cell in cells(found) for name in re.findall(r"^check\((\w+)\)", cell.source)}
    return replace(
        passage,
        inputs=frozenset().union(*(cell.inputs for cell in near)),
        printed=frozenset().union(*(cell.printed for cell in near)),
        cases=frozenset().union(*map(_cases, asked)) if passage.lesson else frozenset(),
    )


# ---------------------------------------------------------------------------------------------------- rules


@dataclass(frozen=True)
class Rule:
    """Which numbers may be typed, and why.

    Args:
        name: What it is called.
        why: Why such a number cannot go stale.
        lets: Whether it lets a number through.

    """

    name: str
    why: str
    lets: Callable[[Number], object]


def _display(n: Number) -> bool:
    return n.passage.kind == "display"


def _fact(n: Number) -> bool:
    phrases = [words for file, words in FACTS if file == n.passage.file]
    spans = [m.span() for words in phrases for m in re.finditer(re.escape(words), n.passage.text)]
    return any(a <= n.start < b for a, b in spans)


def _quoted(n: Number) -> bool:
    return n.text in QUOTED


def _place(n: Number) -> object:
    if not re.fullmatch(r"\d\d?(?:\.\d+)*", n.text):
        return False
    if n.passage.kind == "heading" and re.fullmatch(r"#+ (?:Lesson )?", n.before) and re.match(r"[.:] ", n.after):
        return True
    if re.fullmatch(r"(?:\| )?\[?", n.before) and re.match(r"\. \S", n.after):  # an item, or the name of a chapter
        return True
    if re.fullmatch(r"\| ", n.before) and re.match(r' \| "', n.after):  # sessions, and what is said in them
        return True
    listed = r"(?:\d+(?:,| and|, and) )*"
    return re.search(rf"\b(?:chapter|lesson|session|exercise|hint|section|dimension)s? {listed}$", n.before, re.I)


def _name(n: Number) -> object:
    return re.match(r"-bit\b", n.after) or re.search(r"(?:Python|PyTorch before|Ubuntu does so from|CC BY) $", n.before)


def _plan(n: Number) -> object:
    return re.match(r"(?:\d+\. )?\*?★", n.passage.text) and re.match(r" (?:min\)|minutes\b|points?\b)", n.after)


def _asked(n: Number) -> object:
    if n.passage.headings[1:2] == ("Exercises",) or (re.match(r"\*\*Predict[ .]", n.passage.text) and n.passage.lesson):
        return True
    if "?**" in n.passage.text:
        return True
    sentence = re.split(r"(?<=[.!])(?:\*\*)? (?=[A-Z*(])", n.after)[0]
    return "?" in sentence


def _index(n: Number) -> object:
    return n.math and re.fullmatch(r"\d\d?", n.text) and re.search(r"(?:_\{?|\^\{?[-−]?|\^\{?\\top )$", n.before)


def _small(n: Number) -> object:
    if re.fullmatch(r"(?i)one", n.text) and re.match(r" (?:nat|bit)\b", n.after):
        return True
    return re.fullmatch(r"[012]|½", n.text) and not n.measured


def _counting(n: Number) -> object:
    return WORDS.get(n.text.lower(), 99) <= 12 and not n.measured


def _rough(n: Number) -> object:
    timing = ("Predict, then measure", "GPU timing", "How does the time grow", "Eager or compiled")
    titles = (re.sub(r"^\d+\. ", "", title) for title in n.passage.headings)
    return re.fullmatch(r"(?i)(?:ten|hundred|thousand)s (?:of|to)", n.text) and any(
        t.startswith(timing) for t in titles
    )


def _drawn(n: Number) -> object:
    return n.passage.kind == "picture" and n.among(n.passage.asserted)


def _input(n: Number) -> object:
    return n.among(n.passage.inputs)


def _case(n: Number) -> object:
    return n.passage.lesson and n.passage.kind == "prose" and n.among(n.passage.cases)


def _shown(n: Number) -> object:
    return n.passage.lesson and n.among(n.passage.printed)


RULES = (
    Rule("display", "part of a displayed equation, which is checked as a whole", _display),
    Rule("fact", "one of FACTS: proved by a test, from the code or from a recording", _fact),
    Rule("quoted", "one of QUOTED: printed by others, and reproduced by a test", _quoted),
    Rule("place", "says where: a chapter, lesson, session, exercise, section, dimension, or an item of a list", _place),
    Rule("name", "part of a name: a version, a licence, a 16-bit format", _name),
    Rule("plan", "the minutes or points of an exercise, on its line of stars", _plan),
    Rule("index", "an index or an exponent in a formula", _index),
    Rule("small", "0, 1, 2 or ½ without a unit; one nat, one bit: the structure of a formula", _small),
    Rule("counting", "a word up to twelve that counts things, and does not measure", _counting),
    Rule("rough", "an order of magnitude (tens of), where a time is predicted before it is measured", _rough),
    Rule("drawn", "in a picture's words, and asserted in the cell that draws it", _drawn),
    Rule("input", f"a literal in one of the {NEAR} cells before or after, in the same section", _input),
    Rule("case", "in a lesson, a number or a size in the cases of its exercises, or a score to beat", _case),
    Rule("shown", f"in a lesson, printed by one of the {NEAR} cells before or after", _shown),
    Rule("asked", "given by a question: in Exercises, a prediction, or a sentence or a paragraph that asks", _asked),
)


def rule_of(number: Number) -> str | None:
    """Return the name of the first rule that lets a number through."""
    return next((rule.name for rule in RULES if rule.lets(number)), None)


def texts(root: Path) -> list[Path]:
    """Return the pages, the sources of lessons and the documents of the course."""
    found = (sorted(root.glob(pattern)) for pattern in ("book/*.md", "solutions/*.md", "README.md", "docs/*.md"))
    return [path for paths in found for path in paths]


def typed(root: Path, path: Path) -> list[Number]:
    """Return the numbers of one of the course's texts."""
    outputs = path.with_suffix(".ipynb") if path.parent.name == "solutions" else None
    file = path.relative_to(root).with_suffix("").as_posix()
    return [number for passage in passages(path, file, outputs) for number in numbers(passage)]


def main(root: Path) -> int:
    """Print how many numbers each rule lets through, and those that none does."""
    found = [(rule_of(number), number) for path in texts(root) for number in typed(root, path)]
    counts = Counter(name for name, _ in found)
    for rule in RULES:
        print(f"{counts[rule.name]:5d}  {rule.name:<9} {rule.why}")
    stopped = [number for name, number in found if name is None]
    print(*(f"no rule: {number}" for number in stopped), sep="\n")
    return bool(stopped)


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
