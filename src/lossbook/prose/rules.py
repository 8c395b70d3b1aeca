"""Reads the rules of a page: what it claims in words, which cell holds each claim, and which sentences need one.

A rule in words is the role ``{claim}`The rule <its-name>` ``. A code cell of the same page holds it: the cell carries
the option ``:claim: its-name``, or a list of names, and asserts what the sentence says. The build runs the cell.

``book/claims.yaml`` names the texts in which no rule may stand without a claim, and the sentences that only look like
rules, each with the reason. ``python -m lossbook.prose.rules`` says what is wrong, and runs nothing.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from lossbook.prose import assertions, hints

SETTINGS = Path("book") / "claims.yaml"
EXTENSIONS = {"amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath", "substitution", "tasklist"}
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
ROLE = re.compile(r"\{claim\}(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
_NAMED = re.compile(r"(.*\S)\s*<([^<>]*)>\s*", re.S)
_DIRECTIVE = re.compile(r"\{([\w:+-]+)\}")
_OPTION = re.compile(r"[ \t]*:[\w-]+:.*\n?")
_NO_PROSE = {
    "code-cell",
    "raw-cell",
    "code",
    "code-block",
    "literalinclude",
    "bibliography",
    "image",
    "math",
    "symbols",
}
_TITLED = {"figure", "image", "code-cell", "include", "toctree", "glue:figure"}  # whose argument is no text
_WORDS_IN = {"strong", "emphasis", "abbr"}  # roles whose content is words
_STRONG = re.compile(r"<(/)?(?:b|strong)(?:\s[^>]*)?>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->|<(script|style|pre|svg)\b.*?</\1\s*>", re.S | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_NO_RULES = {"Exercises", "Further reading"}  # sections whose sentences ask, or name what others wrote
NOT_RUN = {"skip-execution", "raises-exception"}
_LOOSE = {"execution_mode", "execution_allow_errors", "execution_excludepatterns", "execution_raise_on_error"}

# ------------------------------------------------------------------------------------------------- what needs a claim

UNIVERSAL = re.compile(
    r"\b(?:never|always|only|every|everyone|everybody|everything|everywhere"
    r"|can ?not|can['’]t|must(?:n['’]t)?|invariably"
    r"|nothing|nobody"
    r"|nowhere|none|forever|for ever|no matter|impossible|guarantee[ds]?|without exception|whatever"
    r"|any(?:one|body|thing|where)?|(?<!at )(?<!of )all)\b|\b(?:no|not|nor)\b[^.;:]*\bever\b|^(?:no|neither) (?=\w)",
    re.IGNORECASE,
)
OURS = re.compile(r"\b(?:ours|our|lossbook|the references?)\b", re.IGNORECASE)
WORDS = 4  # a bold run of so many words is a rule, not a term
_END = re.compile(r"(?<=[.!?])[\"”’')\]]*\s+(?=[\"“‘'(\[]*[A-ZÄÖÜ0-9$`])")


@dataclass(frozen=True)
class Claim:
    """A rule in words: its name, its words and the line of the page that it stands on."""

    name: str
    text: str
    line: int


@dataclass(frozen=True)
class Cell:
    """A code cell: its number among all cells, its line on the page, its code, its tags, the claims that it holds."""

    number: int
    line: int
    source: str
    tags: frozenset[str]
    claims: tuple[str, ...]

    @property
    def shown(self) -> bool:
        """Whether a reader finds the code on the page."""
        return not self.tags & {"remove-cell", "remove-input", "remove_cell", "remove_input"}


@dataclass(frozen=True)
class Sentence:
    """A sentence: its words, and those of them that no claim covers.

    Args:
        text: All words, on one line; mathematics and code as in the source.
        line: The line of its paragraph.
        free: The words outside claims, without mathematics and code.
        bold: The bold runs outside claims.
        code: The spans of code, and the names that roles link to, outside claims.

    """

    text: str
    line: int
    free: str
    bold: tuple[str, ...]
    code: tuple[str, ...]

    @property
    def needs(self) -> str:
        """Say why it needs a claim; the empty string if it needs none."""
        if self.text.rstrip("\"”’')").endswith("?"):
            return ""
        for run in self.bold:
            if len(run.split()) >= WORDS and not run.endswith("?"):
                return f"the rule in bold, {run!r}"
        if found := UNIVERSAL.search(self.free):
            return f"the word {found[0].split()[0]!r}"
        if len(self.text.split()) >= WORDS:
            if found := OURS.search(self.free):
                return f"what it says of our code ({found[0]!r})"
            if name := next((code for code in self.code if _is_ours(code)), None):
                return f"what it says of our code ({name!r})"
        return ""


def _is_ours(code: str) -> bool:
    name = code.partition("(")[0].strip("~ ")
    return name.startswith(("lossbook.", "losses.")) or name in _losses()


@cache
def _losses() -> frozenset[str]:
    """Return what ``lossbook.losses`` exports, read from its code: to import it is to import PyTorch."""
    source = Path(__file__).parents[1] / "losses" / "__init__.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=names):
                return frozenset(ast.literal_eval(names))
    raise ValueError(f"{source} has no __all__")


@dataclass
class Page:
    """What a text claims, the cells that hold it, its sentences, and what can't be read."""

    path: Path
    lookup: hints.Lookup = hints.declared
    claims: list[Claim] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def fault(self, line: int, what: str) -> str:
        """Name the page and the line of a fault."""
        return f"{self.path.parent.name}/{self.path.name}, line {line}: {what}"

    def cell_of(self, claim: str) -> Cell | None:
        """Return the cell that holds a claim."""
        return next((cell for cell in self.cells if claim in cell.claims), None)


def split(content: str) -> tuple[str, str]:
    """Return the words and the name in the content of a role. Raises ValueError if it has no name, or a wrong one."""
    found = _NAMED.fullmatch(content)
    if not found:
        raise ValueError(f"the claim {content[:60]!r} has no name; write {{claim}}`words <name>`")
    return found[1], found[2]


def unwrap(text: str) -> str:
    """Return Markdown with the words of each claim in place of its role."""
    return ROLE.sub(lambda found: named[1] if (named := _NAMED.fullmatch(found[2])) else found[2], text)


# ------------------------------------------------------------------------------------------------------------ reading


@cache
def _parser() -> MarkdownIt:
    return create_md_parser(MdParserConfig(enable_extensions=EXTENSIONS), RendererHTML)


def read(path: Path, lookup: hints.Lookup = hints.declared) -> Page:
    """Read a page or the source of a lesson, with the hints that its exercises declare.

    What can't be read is listed in ``faults``.
    """
    page = Page(path, lookup)
    text = path.read_text(encoding="utf-8")
    notebook = read_myst_markdown_notebook(text, add_source_map=True, path=path)
    _settings(page, notebook.metadata)
    for number, (cell, line) in enumerate(zip(notebook.cells, notebook.metadata.source_map, strict=True)):
        if cell.cell_type == "code":
            page.cells.append(_cell(page, number, cell, line))
            _pictured(page, cell, line)
    _prose(page, text, 0, [])
    return page


def _settings(page: Page, metadata: dict[str, Any]) -> None:
    """Find settings of a page that keep a failing cell from stopping the build."""
    found = _LOOSE & {*metadata.get("mystnb", {}), *metadata.get("execution", {})} | (
        {"allow_errors"} & {*metadata.get("execution", {})}
    )
    if found:
        page.faults.append(page.fault(1, f"remove the setting {min(found)!r}: a cell that fails must stop the build"))


def _cell(page: Page, number: int, cell: Any, line: int) -> Cell:
    names = cell.metadata.get("claim", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        page.faults.append(page.fault(line, f"the option 'claim' is {names!r}; it must be a name or a list of names"))
        names = []
    return Cell(number, line, cell.source, frozenset(cell.metadata.get("tags", [])), tuple(names))


def _pictured(page: Page, cell: Any, line: int) -> None:
    """Read a picture's words and caption. No claim can stand in them: the cell that draws it asserts what they say."""
    shown = cell.metadata.get("mystnb", {})
    texts = [shown.get("image", {}).get("alt"), shown.get("figure", {}).get("caption")]
    held = any(texts) and not assertions.wrong(cell.source, assertions.Known())
    for text in texts:
        if text and "{claim}" in text:
            page.faults.append(
                page.fault(line, "a claim stands in a picture's words; assert them in the cell that draws it")
            )
        elif text and not held:
            _inline(page, _parser().parseInline(text)[0], line, False)


def _prose(page: Page, text: str, offset: int, titles: list[tuple[int, str]]) -> None:
    """Read a piece of Markdown whose first line is line ``offset`` + 1 of the page."""
    tokens = _parser().parse(text)
    for at, token in enumerate(tokens):
        line = offset + (token.map[0] if token.map else 0) + 1
        if token.type == "inline":
            if at and tokens[at - 1].type == "heading_open":
                level = int(tokens[at - 1].tag[1])
                titles[:] = [*((n, title) for n, title in titles if n < level), (level, token.content)]
                if ROLE.search(token.content):
                    page.faults.append(
                        page.fault(line, "a claim stands in a heading; it must be a sentence of the text")
                    )
                continue
            _inline(page, token, line, any(title in _NO_RULES for _, title in titles))
        elif token.type in ("fence", "colon_fence"):
            directive = _DIRECTIVE.match(token.info.strip())
            inside = token.content
            if (directive is None and token.type == "fence") or (directive and directive[1] in _NO_PROSE):
                continue
            if directive and directive[1] == "include":
                page.faults.append(page.fault(line, "what a page includes is not read; write it on the page"))
            argument = token.info.strip()[directive.end() :].strip() if directive else ""
            if directive and directive[1] == "hints":
                for hint in hints.of(argument, page.lookup):
                    _prose(page, hint, line - 1, titles)
                continue
            if argument and directive and directive[1] not in _TITLED:
                _inline(page, _parser().parseInline(argument)[0], line, any(t in _NO_RULES for _, t in titles))
            while option := _OPTION.match(inside):
                inside, line = inside[option.end() :], line + 1
            _prose(page, inside, line, titles)
        elif token.type == "html_block":
            if "{claim}" in token.content:
                page.faults.append(page.fault(line, "a claim inside HTML is not read"))
            words = _TAG.sub(" ", _STRONG.sub("**", _COMMENT.sub(" ", token.content)))
            _inline(
                page, _parser().parseInline(" ".join(words.split()))[0], line, any(t in _NO_RULES for _, t in titles)
            )


@dataclass
class _Flat:
    """The words of a paragraph, a character of each string for a character of the page as it is read."""

    text: str = ""
    shape: str = ""  # mathematics and code blanked, so that no sentence ends in them
    claimed: list[bool] = field(default_factory=list)
    bold: list[int] = field(default_factory=list)
    code: list[tuple[int, str]] = field(default_factory=list)
    runs: int = 0

    def add(self, text: str, claimed: bool, bold: int, blank: bool = False) -> None:
        self.text += text
        self.shape += "X" * len(text) if blank else text
        self.claimed += [claimed] * len(text)
        self.bold += [bold] * len(text)


def _inline(page: Page, token: Token, line: int, lenient: bool) -> None:
    """Read the claims and the sentences of a paragraph."""
    flat = _Flat()
    lines = [line + token.content[: found.start()].count("\n") for found in re.finditer(r"\{claim\}`", token.content)]
    _flatten(page, token.children or [], flat, iter([*lines]), line, False, 0)
    if lenient:
        return
    start = 0
    for end in [*(found.end() for found in _END.finditer(flat.shape)), len(flat.text)]:
        _sentence(page, flat, start, end, line)
        start = end


def _flatten(
    page: Page, tokens: Iterable[Token], flat: _Flat, lines: Iterator[int], line: int, claimed: bool, bold: int
) -> None:
    for token in tokens:
        bold = _bold_from(token, flat, bold)
        if token.type in ("softbreak", "hardbreak"):
            flat.add(" ", claimed, bold)
        elif token.type == "text":
            flat.add(token.content, claimed, bold)
        elif token.type == "math_inline":
            flat.add(f"${token.content}$", claimed, bold, blank=True)
        elif token.type == "code_inline":
            if not claimed:
                flat.code.append((len(flat.text), token.content))
            flat.add(f"`{token.content}`", claimed, bold, blank=True)
        elif token.type == "myst_role" and token.meta["name"] == "claim":
            at = next(lines, line)
            if claimed:
                page.faults.append(page.fault(at, f"the claim {token.content[:60]!r} stands inside another"))
                continue
            try:
                words, name = split(token.content)
            except ValueError as error:
                page.faults.append(page.fault(at, str(error)))
                continue
            page.claims.append(Claim(name, words, at))
            inside = _parser().parseInline(words)[0].children or []
            _flatten(page, inside, flat, lines, line, True, bold)
        elif token.type == "myst_role" and token.meta["name"] in _WORDS_IN:
            flat.runs += 1
            flat.add(token.content, claimed, flat.runs if token.meta["name"] == "strong" else bold)
        elif token.type == "myst_role":
            target = re.sub(r".*<(.*)>$", r"\1", token.content)
            if not claimed and token.meta["name"].startswith("py:"):
                flat.code.append((len(flat.text), target.strip("~")))
            flat.add(f"({token.content})", claimed, bold, blank=True)


def _bold_from(token: Token, flat: _Flat, bold: int) -> int:
    """Return the number of the bold run that the next token stands in; 0 for none."""
    tag = _STRONG.fullmatch(token.content) if token.type == "html_inline" else None
    if token.type == "strong_open" or (tag and not tag[1]):
        flat.runs += 1
        return flat.runs
    return 0 if tag or token.type == "strong_close" else bold


def _sentence(page: Page, flat: _Flat, start: int, end: int, line: int) -> None:
    text = " ".join(flat.text[start:end].split())
    if not text:
        return
    kept = range(start, end)
    free = "".join(" " if flat.claimed[at] else flat.shape[at] for at in kept)
    runs: dict[int, str] = {}
    for at in kept:
        if flat.bold[at] and not flat.claimed[at]:
            runs[flat.bold[at]] = runs.get(flat.bold[at], "") + flat.text[at]
    code = tuple(code for at, code in flat.code if start <= at < end)
    page.sentences.append(Sentence(text, line, free.strip(), tuple(run.strip() for run in runs.values()), code))


# ----------------------------------------------------------------------------------------------------------- checking


def held(page: Page) -> list[str]:
    """Return what is wrong between a page's claims and its cells."""
    faults = [*page.faults]
    said = [claim.name for claim in page.claims]
    named = [name for cell in page.cells for name in cell.claims]
    for at, claim in enumerate(page.claims):
        if not NAME.fullmatch(claim.name):
            what = f"the claim's name is {claim.name!r}; it must be lower-case words with hyphens between them"
            faults.append(page.fault(claim.line, what))
        elif claim.name in said[:at]:
            first = page.claims[said.index(claim.name)].line
            faults.append(page.fault(claim.line, f"the claim {claim.name!r} stands on line {first} already"))
        elif claim.name not in named:
            what = (
                f"no cell holds the claim {claim.name!r}; give one the option `:claim: {claim.name}` and an assertion"
            )
            faults.append(page.fault(claim.line, what))
    known = assertions.Known()
    for at, cell in enumerate(page.cells):
        before = [name for other in page.cells[:at] for name in other.claims]
        for name in cell.claims:
            if name not in said:
                faults.append(
                    page.fault(cell.line, f"no sentence of the page is the claim {name!r}, which this cell names")
                )
            if name in before or cell.claims.count(name) > 1:
                faults.append(page.fault(cell.line, f"the claim {name!r} is held by another cell already"))
        wrong = assertions.wrong(cell.source, known)
        if not cell.claims:
            continue
        if tags := cell.tags & NOT_RUN:
            what = f"a cell that holds a claim has the tag {min(tags)!r}; it must run and succeed"
            faults.append(page.fault(cell.line, what))
        faults += [page.fault(cell.line + n, f"{what} (for {', '.join(cell.claims)})") for n, what in wrong]
    return faults


@dataclass(frozen=True)
class Exemption:
    """A sentence that needs no claim: how it begins, and why it is no rule or which test holds it."""

    begins: str
    why: str


@dataclass(frozen=True)
class Settings:
    """The texts in which no rule may stand without a claim, such as ``book/03-bce``, and their exemptions."""

    texts: tuple[str, ...] = ()
    exempt: dict[str, tuple[Exemption, ...]] = field(default_factory=dict)


def settings(root: Path) -> Settings:
    """Read ``book/claims.yaml`` of a course. Without it no text is named. Raises ValueError if it can't be read."""
    path = root / SETTINGS
    if not path.is_file():
        return Settings()
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{SETTINGS} is no YAML: {error}") from None
    if not isinstance(data, dict) or set(data) - {"texts", "exempt"}:
        raise ValueError(f"{SETTINGS} must have the keys 'texts' and 'exempt' alone")
    texts, exempt = data.get("texts") or [], data.get("exempt") or {}
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{SETTINGS}: 'texts' is {texts!r}; it must be a list of names such as book/03-bce")
    if gone := [text for text in (*texts, *exempt) if not (root / f"{text}.md").is_file()]:
        raise ValueError(f"{SETTINGS}: there is no text {gone[0]!r}")
    if idle := [text for text in exempt if text not in texts]:
        raise ValueError(f"{SETTINGS}: {idle[0]!r} has exemptions and is not among 'texts'")
    exemptions = {
        text: tuple(_exemption(root, f"{SETTINGS}, {text}", entry) for entry in entries)
        for text, entries in exempt.items()
    }
    return Settings(tuple(texts), exemptions)


def _exemption(root: Path, where: str, entry: Any) -> Exemption:
    """Read an exemption: how the sentence begins, and why it is no rule or which test holds it."""
    if not isinstance(entry, dict) or set(entry) - {"begins"} not in ({"why"}, {"test"}) or not all(entry.values()):
        raise ValueError(f"{where}: an exemption is {entry!r}; it must have 'begins', and 'why' or 'test'")
    begins, test = " ".join(str(entry.pop("begins")).split()), str(entry.get("test", ""))
    if test:
        file, _, function = test.partition("::")
        path = root / file
        if not function or not path.is_file() or f"def {function}(" not in path.read_text(encoding="utf-8"):
            raise ValueError(f"{where}: there is no test {test!r}; name it as tests/book/test_book.py::test_name")
    return Exemption(begins, str(entry.get("why", test)))


def unheld(page: Page, exemptions: Iterable[Exemption]) -> list[str]:
    """Return the sentences that need a claim and have none, and the exemptions that are not needed."""
    faults = []
    exemptions = list(exemptions)
    used: dict[Exemption, int] = dict.fromkeys(exemptions, 0)
    for sentence in page.sentences:
        why = sentence.needs
        matching = [exemption for exemption in exemptions if why and sentence.text.startswith(exemption.begins)]
        for exemption in matching:
            used[exemption] += 1
        if why and not matching:
            what = (
                f"for {why} this needs a {{claim}}, or an exemption in {SETTINGS.as_posix()}: {sentence.text[:100]!r}"
            )
            faults.append(page.fault(sentence.line, what))
    for exemption, times in used.items():
        if times != 1:
            fits = "no sentence that needs it" if not times else f"{times} sentences; say more of its beginning"
            faults.append(page.fault(1, f"the exemption {exemption.begins!r} of {SETTINGS.as_posix()} fits {fits}"))
    return faults


def check(path: Path, root: Path) -> list[str]:
    """Return everything that is wrong with the rules of a page, its sentences included. Nothing is run."""
    return check_page(read(path), root)


def check_page(page: Page, root: Path) -> list[str]:
    """Return what `check` does, of a page that has been read."""
    return held(page) + _sentences(page, root)


def _sentences(page: Page, root: Path) -> list[str]:
    name = f"{page.path.parent.name}/{page.path.stem}"
    try:
        chosen = settings(root)
    except ValueError as error:
        return [str(error)]
    return unheld(page, chosen.exempt.get(name, ())) if name in chosen.texts else []


def check_lesson(path: Path, root: Path, lookup: hints.Lookup = hints.declared) -> list[str]:
    """Return what is wrong with the rules of a lesson's source: each names a claim of a chapter, `NN-slug#name`."""
    page = read(path, lookup)
    faults = page.faults
    for claim in page.claims:
        slug, hash_, name = claim.name.partition("#")
        chapter = root / "book" / f"{slug}.md"
        if not hash_ or not NAME.fullmatch(name) or not re.fullmatch(r"[\w-]+", slug):
            what = f"the claim's name is {claim.name!r}; in a lesson it must name a chapter's claim, as 03-bce#name"
            faults.append(page.fault(claim.line, what))
        elif not chapter.is_file():
            faults.append(page.fault(claim.line, f"the claim {claim.name!r} names no page: there is no book/{slug}.md"))
        else:
            there = read(chapter)
            if name not in [other.name for other in there.claims] or there.cell_of(name) is None:
                faults.append(page.fault(claim.line, f"book/{slug}.md has no claim {name!r} that a cell holds"))
    faults += [
        page.fault(cell.line, "a lesson's cell holds no claim; its page's does") for cell in page.cells if cell.claims
    ]
    return faults + _sentences(page, root)


def main(root: Path) -> int:
    """Print what is wrong with the rules of all pages and lessons."""
    faults = [fault for path in sorted(root.glob("book/*.md")) for fault in check(path, root)]
    faults += [fault for path in sorted(root.glob("solutions/*.md")) for fault in check_lesson(path, root)]
    print(*dict.fromkeys(faults), sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
