"""Reads the LaTeX of a display into a tree whose every node knows its place in the text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken
from lark.lark import PostLex

from lossbook.equations.notation import NOTATIONS, Kind

OPENING = {"LPAR", "LSQB", "LBRACE", "LSET", "LANGLE", "LCEIL"}
CLOSING = {"RPAR", "RSQB", "RBRACE", "RSET", "RANGLE", "RCEIL"}
# What different authors write for one thing.
SAME = {
    r"\operatorname{E}": r"\mathbb{E}",
    r"\operatorname{sgn}": r"\operatorname{sign}",
    r"\mathrm{d}": "d",
    r"\mathrm{e}": "e",
    r"\widehat": r"\hat",
    r"\widetilde": r"\tilde",
}
ENDS = {"$END", "ENDCASES"}
NUMBERS = {"NUMBER", "DIGITS", "FRACDD"}
NAMES = {"SYM", "NAME", "TEXT"}
TAKES = {
    "FRAC": 2,
    "BINOM": 2,
    "SQRT": 1,
    "UNDERBRACE": 1,
    "UNDERSCORE": 1,
    "CIRCUMFLEX": 1,
}  # pieces that belong to it
BARS = {"BAR", "LBAR", "LVERT", "LNORM"}
# What a factor begins with, and what one ends with.
STARTS = {*NUMBERS, *NAMES, *OPENING, *BARS, "COUNT", "FUNC", "BIG", "BEGINCASES", *TAKES} - {
    "UNDERSCORE",
    "CIRCUMFLEX",
}
STOPS = {*NUMBERS, *NAMES, *CLOSING, "RBAR", "RVERT", "RNORM", "PRIME", "FACTORIAL", "TOP", "DOTS", "ENDCASES"}
CARRIES_ON = {"REL", "DOT", "SLASH", "IMPLIES", "IF"}  # what no statement begins with
WIDE = re.compile(r"\\q?quad(?![A-Za-z])|(\\[;: ]|~)\s*(\\[;: ]|~)")
EMPTY = re.compile(r"\{\s*\}")  # before a sign, it makes TeX set this between two terms
SPELLED = re.compile(r"log|exp|max|min|sinh?|cosh?|tanh?|arg(max|min)|ln$|sign?$|sgn$|sum$|det$|diag$|Var$")
INVERTED = (r"\sin", r"\cos", r"\tanh", r"\sinh", r"\cosh", r"\log", r"\ln", r"\exp")
SUM = "put a comma before a new statement, and this sign at the end of the line above if the sum goes on"
PRODUCT = r"put a comma or \\ between two statements, and \cdot between two factors"


class MathError(ValueError):
    """A display that can't be read or evaluated; `position` counts its characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Node:
    """One part of a formula: its kind, its parts, its own text, and where it stands in the display."""

    kind: Kind
    parts: tuple[Node, ...] = ()
    text: str = ""
    start: int = 0
    end: int = 0
    sub: Node | None = None
    sup: Node | None = None
    marks: tuple[Token, ...] = ()  # the signs, relations or separators between the parts

    def walk(self) -> Iterator[Node]:
        """Yield this node and every node in it."""
        yield self
        for part in (*self.parts, self.sub, self.sup):
            if part is not None:
                yield from part.walk()


class _Context(PostLex):
    """Settles what a comma, a bar, a row's end or an ampersand means where it stands."""

    always_accept = ("SPACE", "BAR", "ROWSEP", "AMP", "PERIOD")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        tokens = [*stream]
        _refuse_spelled(tokens)
        yield from _Layout(_pieces(tokens)).tokens()


@dataclass(frozen=True)
class _Piece:
    """A token, and what stands before it: a new `line`, `wide` space, an `amp`ersand, `empty` braces."""

    token: Token
    gap: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        return str(self.token.type)

    @property
    def start(self) -> int:
        return self.token.start_pos or 0


def _refuse_spelled(tokens: list[Token]) -> None:
    """Refuse letters in a row that spell a function, and a power of ten as programs write it: both are products here.

    Raises:
        MathError: `log(p)` stands there, or `1e-3`.
    """
    under: list[bool] = []  # whether the open braces are a subscript's: there, letters are a word
    before = ""
    for at, token in enumerate(tokens):
        start = token.start_pos or 0
        if token.type == "LBRACE":
            under.append(before == "UNDERSCORE" or any(under))
        elif token.type == "RBRACE" and under:
            under.pop()
        before = str(token.type)
        run = [token]
        for after in tokens[at + 1 :]:
            if after.start_pos != run[-1].end_pos:
                break
            run.append(after)
        if not (at and _letter(tokens[at - 1]) and tokens[at - 1].end_pos == start):
            word = "".join(itertools.takewhile(str.isalpha, (str(t) if _letter(t) else "." for t in run)))
            if (found := SPELLED.match(word)) and not any(under):
                raise MathError(
                    f"{word} would be a product of letters: write \\{found[0]}, or put spaces between", start
                )
        number = token.type in ("DIGITS", "NUMBER") and [str(t) for t in run[1:2]] in (["e"], ["E"])
        kinds = [str(t.type) for t in run[2:4]]
        if number and (kinds[:1] == ["DIGITS"] or kinds == ["SIGN", "DIGITS"]):
            raise MathError(r"a power of ten is written 10^{-3} here", start)


def _letter(token: Token) -> bool:
    return token.type == "SYM" and len(token) == 1


def _pieces(tokens: list[Token]) -> list[_Piece]:
    """Return the tokens without the space between them, and with what is to be known of it."""
    found: list[_Piece] = []
    gap: set[str] = set()
    space, cases = "", False
    for token in _norms(tokens):
        cases = token.type == "BEGINCASES" or (cases and token.type != "ENDCASES")
        if token.type == "SPACE":
            space += token
            gap |= {"line"} if "\n" in token else set()
            continue
        gap |= {"wide"} if WIDE.search(space) else set()
        gap |= {"empty"} if EMPTY.search(space) else set()
        space = ""
        if token.type == "AMP" and not cases:
            gap |= {"amp"}
            continue
        found.append(_Piece(token, frozenset(gap)))
        gap.clear()
    return [*found, _Piece(Token("$END", ""))]


@dataclass
class _Level:
    """What was read of the statement that stands in a pair of brackets, or outside all of them."""

    related: bool = False  # it has a relation
    conditional: bool = False  # that is a condition's
    takes: int = 0  # how many pieces a \\frac or an exponent still takes
    cases: bool = False  # the brackets are those of cases

    def begin(self, *, conditional: bool = False) -> None:
        """Begin a statement, or the condition of one."""
        self.related, self.conditional = False, conditional


class _Layout:
    """Tells where statements end, by what stands before and after each end of a row, each new line and wide space."""

    def __init__(self, pieces: list[_Piece]) -> None:
        self.pieces = pieces
        self.levels = [_Level()]
        self.bars: list[int] = []  # the depth of brackets at which each open bar stands
        self.cases = False
        self.before = "_SEP"
        self.filled = self.aligned = False  # whether the row has begun, and whether the statement has an ampersand then

    def tokens(self) -> Iterator[Token]:
        for at, piece in enumerate(self.pieces[:-1]):
            kind = self._kind(at, piece)
            if not kind:
                continue
            if self.before not in ("_SEP", "CASESEP") and piece.gap:
                self._gap(at, kind, piece)
            self._note(kind, piece)
            self.before = kind
            yield Token.new_borrow_pos(kind, piece.token, piece.token)

    def _kind(self, at: int, piece: _Piece) -> str:
        """Return what a token is where it stands; empty if it says nothing there."""
        kind, after = piece.kind, self.pieces[at + 1].kind
        depth = len(self.levels) - 1
        self.cases = kind == "BEGINCASES" or (self.cases and kind != "ENDCASES")
        if kind == "BAR":
            return "RBAR" if self.bars and self.bars[-1] == depth else "LBAR"
        if kind == "ROWSEP":
            return "CASESEP" if self.cases else self._row(at)
        if kind == "AMP":
            return "_AMP"
        if kind == "PERIOD":
            if after not in ENDS:
                raise MathError("a full stop before the end", piece.start)
            return ""
        if kind == "ARGSEP" and piece.token == "," and (depth == 0 or self.levels[-1].cases):
            left_out = self.before == "_SEP" or after in ENDS or (self.cases and after in ("ROWSEP", "AMP"))
            return "" if left_out else "_SEP"
        return kind

    def _note(self, kind: str, piece: _Piece) -> None:
        """Take note of a token that is read."""
        level = self.levels[-1]
        self.aligned |= "amp" in piece.gap and self.filled
        self.filled = True
        if kind == "RBAR":
            self.bars.pop()
        elif kind == "LBAR":
            self.bars.append(len(self.levels) - 1)
        if kind in TAKES:
            level.takes += TAKES[kind]
        elif level.takes and kind in STARTS | {"TOP"}:
            level.takes -= 1
        if kind in ("_SEP", "CASESEP", "_AMP", "ARGSEP", "IMPLIES"):
            level.begin()
            self.aligned &= kind != "_SEP"
        elif kind == "IF":
            level.begin(conditional=True)
        elif kind == "REL":
            level.related = True
        elif kind in OPENING or kind == "BEGINCASES":
            self.levels.append(_Level(cases=kind == "BEGINCASES"))
        elif (kind in CLOSING or kind == "ENDCASES") and len(self.levels) > 1:
            self.levels.pop()

    # rows

    def _row(self, at: int) -> str:
        """Return `_SEP` if a row's end ends a statement; empty if the statement goes on in the next row."""
        self.filled = False
        level, piece = self.levels[-1], self.pieces[at + 1]
        kind, before = piece.kind, self.before
        if before == "_SEP" or kind in ("$END", "ROWSEP") or before not in STOPS:
            return ""
        if level.conditional and level.related and kind in ("REL", "DOT", "SLASH"):
            raise MathError("nothing can go on a condition in the next row: put the condition last", piece.start)
        if kind in CARRIES_ON or kind in CLOSING:
            return ""
        if kind == "SIGN":
            return self._signed(at + 1)
        if len(self.levels) > 1:
            raise MathError(f"a row ends inside brackets, so this would be a product: {PRODUCT}", piece.start)
        if level.related and self.aligned and "amp" in piece.gap:
            raise MathError(f"it cannot be told whether this row goes on the row above: {PRODUCT}", piece.start)
        return "_SEP"

    def _signed(self, at: int) -> str:
        """Return the same of a row's end before a row that begins with a sign."""
        level, piece = self.levels[-1], self.pieces[at]
        if not level.related or (len(self.levels) > 1 and not self._relation(at)):
            return ""  # what stands above claims nothing yet
        if piece.token == "+" and not level.conditional:
            return ""  # no statement begins with a plus
        aside = "amp" in piece.gap and self.aligned  # where the right sides of the rows above stand
        indented = bool(piece.gap & {"wide", "empty"})
        if self._relation(at):
            if aside and indented and not level.conditional:
                return ""
            if piece.token == "-" and not indented and not aside and len(self.levels) == 1:
                return "_SEP"
        elif not level.conditional and (aside or indented or not self._relation(at, further=("ROWSEP",))):
            return ""
        raise MathError(f"it cannot be told whether this row goes on the row above: {SUM}", piece.start)

    def _relation(self, at: int, further: tuple[str, ...] = ()) -> bool:
        """Say whether a relation stands from here on, in the same brackets, before the row ends or the statement does.

        Args:
            at: From which piece on.
            further: `ROWSEP` if it may stand in a row that goes on this one.
        """
        depth = 0
        for number, piece in enumerate(self.pieces[at:], at):
            kind = piece.kind
            if depth == 0 and kind == "REL":
                return True
            if depth == 0 and (kind in ("IMPLIES", "IF", "ARGSEP", "AMP", "$END", "ENDCASES") or kind in CLOSING):
                return False
            if kind == "ROWSEP" and depth == 0:
                after = self.pieces[number + 1].kind
                if self.cases or kind not in further or after not in ("REL", "SIGN", "DOT", "SLASH"):
                    return False
            depth += (kind in OPENING or kind == "BEGINCASES") - (kind in CLOSING or kind == "ENDCASES")
        return False

    # new lines and wide space within a row

    def _gap(self, at: int, kind: str, piece: _Piece) -> None:
        """Refuse what would join two statements that only space, an ampersand or a new line sets apart."""
        level, gap = self.levels[-1], piece.gap
        if level.takes or not level.related or self.before not in STOPS or self.pieces[at - 1].kind == "ROWSEP":
            return
        apart = bool(gap & {"wide", "amp"})
        if kind in STARTS:
            if apart or self._relation(at, further=("ROWSEP",)):
                raise MathError(f"it cannot be told whether a new statement begins here: {PRODUCT}", piece.start)
        elif kind == "SIGN":
            # No statement begins with a plus, and TeX sets the lines as one.
            further = () if apart else ("ROWSEP",)
            if (apart or piece.token == "-") and self._relation(at, further):
                what = (
                    "put a comma before a new statement, and this sign at the end of the line above if the sum goes on"
                )
                raise MathError(f"it cannot be told whether a new statement begins here: {what}", piece.start)
        elif kind == "REL" and level.conditional:
            raise MathError("nothing can go on a condition in the next line: put the condition last", piece.start)


def _norms(tokens: list[Token]) -> list[Token]:
    r"""Tell norms from separators: \| stands around a norm if there is an even number of them in the same brackets."""
    places: list[list[int]] = [[]]
    found: dict[int, str] = {}
    for at, token in enumerate([*tokens, Token("$END", "")]):
        if token.type in OPENING:
            places.append([])
        elif token.type == "ARGSEP" and token == r"\|":
            places[-1].append(at)
        if token.type in CLOSING or token.type == "$END":
            here = places.pop() if len(places) > 1 or token.type == "$END" else []
            if len(here) % 2 == 0:
                found |= {place: ("LNORM", "RNORM")[turn % 2] for turn, place in enumerate(here)}
    return [Token.new_borrow_pos(found[at], token, token) if at in found else token for at, token in enumerate(tokens)]


@cache
def _parser() -> Lark:
    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="basic", start="display", propagate_positions=True, postlex=_Context())


@lru_cache(maxsize=512)  # a page is read again whenever one of its displays is tried in another form
def parse(text: str) -> Node:
    """Return the tree of a display: a node `display` of `item`s, each a row of `chain`s.

    Args:
        text: The LaTeX between the display's fences.

    Raises:
        MathError: The text is not mathematics that the grammar knows.
    """
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise MathError("it ends too early: something is not closed or not finished", len(text.rstrip())) from None
        raise MathError(f"{str(error.token)!r} cannot stand here", error.token.start_pos or 0) from None
    except UnexpectedCharacters as error:
        at = error.pos_in_stream or 0
        raise MathError(f"{text[at]!r} cannot stand here", at) from None
    except UnexpectedEOF:
        raise MathError("it ends too early", len(text)) from None
    except UnexpectedInput as error:
        raise MathError("it cannot be read", error.pos_in_stream or 0) from None
    try:
        return _Builder(text).build(tree)
    except RecursionError:
        raise MathError("it is nested too deeply", 0) from None


def name(node: Node) -> str:
    r"""Return how a symbol is written, always in one way: `\hat y` and `\hat{y}` are one, `t_0` and `t_{0}` too."""
    written = node.__dict__.get("_name")  # it is asked for at every evaluation
    if written is None:
        written = node.__dict__["_name"] = _name(node)
    return str(written)


def subscripts(parts: Iterable[Node]) -> list[Node]:
    """Return the indices of a subscript, of which `nk` and `n, k` are two each."""
    return [index for part in parts for index in (part.parts if part.kind == "juxt" else (part,))]


def _name(node: Node) -> str:
    if node.kind == "group":
        return "(" + "".join(name(p) + m for p, m in zip(node.parts, (*node.marks, ""), strict=True)) + ")"
    if node.kind == "sub":
        return f"{name(node.parts[0])}_{{{','.join(name(part) for part in node.parts[1:])}}}"
    if node.kind == "prime":
        return name(node.parts[0]) + node.text
    if node.kind in ("juxt", "args"):
        return "".join(name(part) for part in node.parts)
    if node.parts:  # no name but a formula: written so that two formulas are written alike only if they are alike
        inner = (*node.parts, *(script for script in (node.sub, node.sup) if script))
        marks = "".join(str(mark) for mark in node.marks)
        return f"{node.kind}{node.text}{marks}({';'.join(name(part) for part in inner)})"
    return node.text


def _symbol(text: str) -> str:
    accent = re.fullmatch(r"\\(hat|bar|tilde|vec|widehat|widetilde|overline)\s*\{?\s*(\\?[A-Za-z]+)\s*\}?", text)
    if accent:
        return rf"{SAME.get(chr(92) + accent[1], chr(92) + accent[1])}{{{accent[2]}}}"
    font = re.fullmatch(r"(\\(?:math[a-z]+|boldsymbol|bm))\s*\{?\s*(\\?[A-Za-z0-9]+)\s*\}?", text)
    if font:
        text = f"{font[1]}{{{font[2]}}}"
    text = re.sub(r"^(\\\w+)\s+", r"\1", text)
    return SAME.get(text, text)


def _number_of(node: Node) -> bool:
    """Say whether a factor begins with a number: after another one, it would be read as its digits or its fraction."""
    while node.kind in ("pow", "sub", "fact"):
        node = node.parts[0]
    return node.kind == "num" or (node.kind == "frac" and all(part.kind == "num" for part in node.parts))


_SIZE = re.compile(r"\\(?:[bB]igg?[lrm]?|left)\s*\Z")


class _Builder:
    """Turns lark's tree into nodes."""

    def __init__(self, text: str) -> None:
        self.source = text

    def build(self, item: Tree[Token] | Token) -> Node:
        if isinstance(item, Token):
            return self._leaf(item)
        rule, meta = str(item.data), item.meta
        start, end = getattr(meta, "start_pos", 0), getattr(meta, "end_pos", 0)
        if rule in PLAIN:
            return self._whole(self._plain(PLAIN[rule], item.children, start, end))
        return self._whole(RULES[rule](self, rule, item.children, start, end))

    def _whole(self, node: Node) -> Node:
        r"""Return a node that holds all its text: the \bigl before its bracket, and its parts."""
        start = min((node.start, *(part.start for part in node.parts)))
        notation = NOTATIONS.get(node.kind)
        if notation and notation.sized and (size := _SIZE.search(self.source, 0, node.start)):
            start = size.start()
        return node if start == node.start else replace(node, start=start)

    def _leaf(self, token: Token) -> Node:
        return Node(LEAVES.get(token.type, "sym"), (), _symbol(str(token)), token.start_pos or 0, token.end_pos or 0)

    def _plain(self, kind: Kind, children: list[Any], start: int, end: int) -> Node:
        parts = tuple(self.build(c) for c in children if not (isinstance(c, Token) and c.type in _SILENT))
        return Node(kind, parts, "", start, end)

    def _marked(self, kind: Kind, children: list[Any], start: int, end: int, types: set[str]) -> Node:
        marks = tuple(c for c in children if isinstance(c, Token) and c.type in types)
        parts = tuple(self.build(c) for c in children if not (isinstance(c, Token) and c.type in types))
        return Node(kind, parts, "", start, end, marks=marks)

    def _item(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        return self._marked("item", children, start, end, {"IMPLIES", "IF"})

    def _chain(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        if isinstance(children[0], Token) and children[0].type == "REL":
            raise MathError(f"nothing stands before {str(children[0])!r}", start)
        node = self._marked("chain", children, start, end, {"REL"})
        return node if node.marks else node.parts[0]

    def _expr(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        signed = isinstance(children[0], Token)
        signs = [Token("SIGN", "+"), *children] if not signed else children
        parts = []
        for sign, term in zip(signs[::2], signs[1::2], strict=True):
            node = self.build(term)
            negative = str(sign) == "-"
            at = sign.start_pos if sign.start_pos is not None else node.start
            parts.append(Node("neg", (node,), "-", at, node.end) if negative else node)
        return parts[0] if len(parts) == 1 else Node("add", tuple(parts), "", start, end)

    def _term(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        node = self._marked("mul", children, start, end, {"DOT"})
        return node.parts[0] if len(node.parts) == 1 else node

    def _quotient(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        parts = [self.build(c) for c in children if not isinstance(c, Token)]
        node = parts[0]
        for part in parts[1:]:
            node = Node("frac", (node, part), "/", node.start, part.end)
        return node

    def _juxt(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        factors: list[Node] = []
        for child in children:
            node = self.build(child)
            factors.extend(node.parts if node.kind == "factors" else (node,))
        for one, other in itertools.pairwise(factors):
            if one.kind == "num" and _number_of(other):
                raise MathError(f"two numbers beside each other: {PRODUCT}; a number has no space in it", other.start)
        return factors[0] if len(factors) == 1 else Node("juxt", tuple(factors), "", start, end)

    def _call(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        head, scripts, body = children[0], children[1:-1], self.build(children[-1])
        sub, sup = self._scripts(scripts)
        if head in INVERTED and sup is not None and (sup.kind == "neg" and sup.parts[0].text == "1"):
            raise MathError(
                f"{head}^{{-1}} can be read in two ways: write 1 / {head}, or the inverse by its name", start
            )
        # A bracket right after the function holds its whole argument; what follows it is a factor.
        factors = body.parts if body.kind == "juxt" else (body,)
        first = factors[0]
        if first.kind == "pow" and first.parts[0].kind in ("group", "set"):
            raise MathError(f"{head} of a bracket with an exponent can be read in two ways: bracket it all", start)
        if first.kind not in ("group", "set"):
            if head in INVERTED and (late := next((f for f in factors[1:] if f.kind in ("call", "big")), None)):
                raise MathError(f"what {head} is of can be read in two ways: bracket it", late.start)
            return Node("call", (body,), _symbol(str(head)), start, end, sub, sup)
        called = Node("call", (first,), _symbol(str(head)), start, first.end, sub, sup)
        return Node("factors", (called, *factors[1:]), "", start, end) if len(factors) > 1 else called

    def _big(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        head, scripts, body = children[0], children[1:-1], self.build(children[-1])
        sub, sup = self._scripts(scripts)
        factors = body.parts if body.kind == "juxt" else (body,)
        if sub is None and sup is None and head in (r"\max", r"\min") and factors[0].kind in ("group", "set"):
            called = Node("call", (factors[0],), str(head), start, factors[0].end)
            return Node("factors", (called, *factors[1:]), "", start, end) if len(factors) > 1 else called
        return Node("big", (body,), str(head), start, end, sub, sup)

    def _scripts(self, scripts: list[Any]) -> tuple[Node | None, Node | None]:
        sub = sup = None
        for script in scripts:
            inner = self.build(script.children[0])
            if (sub if script.data == "sub" else sup) is not None:
                raise MathError("two subscripts or two exponents of one sign", script.meta.start_pos)
            if script.data == "sub":
                sub = inner
            else:
                sup = inner
        return sub, sup

    def _factor(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        node = self.build(children[0])
        scripts = [c if isinstance(c, Token) else c.data for c in children[1:]]
        for before, after in itertools.pairwise(scripts):
            if before == after:
                raise MathError("two subscripts or two exponents of one sign", start)
        if scripts == ["sup", "sub"]:  # x^2_n is x_n^2
            children = [children[0], children[2], children[1]]
        for child in children[1:]:
            if isinstance(child, Token):
                node = Node(
                    "prime" if child.type == "PRIME" else "fact", (node,), str(child), node.start, child.end_pos or end
                )
                continue
            inner = self.build(child.children[0])
            start, stop = node.start, max(node.end, child.meta.end_pos)
            if child.data == "sub":
                indices = inner.parts if inner.kind == "args" else (inner,)
                node = Node("sub", (node, *indices), "", start, stop)
            elif inner.kind == "top":
                node = Node("transpose", (node,), "", start, stop)
            else:
                node = Node("pow", (node, inner), "", start, stop)
        return node

    def _one(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        only = next(c for c in children if not (isinstance(c, Token) and c.type in _SILENT))
        if isinstance(only, Token) and only.type == "DIGITS" and len(only) > 1 and len(children) == 1:
            raise MathError(f"LaTeX takes only the {only[0]} of {only}: put it in braces", start)
        return self.build(only)

    def _inner(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        return self.build(children[0])

    def _args(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        node = self._marked("args", children, start, end, {"ARGSEP"})
        return node.parts[0] if len(node.parts) == 1 else node

    def _number(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        return self._leaf(children[0])

    def _brackets(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        inner = next(self.build(c) for c in children if isinstance(c, Tree))
        parts, marks = (inner.parts, inner.marks) if inner.kind == "args" else ((inner,), ())
        return Node(BRACKETS[rule], parts, str(self.source[start]), start, end, marks=marks)

    def _inner_product(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        args = next(self.build(c) for c in children if isinstance(c, Tree))
        if args.kind != "args" or len(args.parts) != 2:
            raise MathError("an inner product has two vectors, with a comma between", start)
        return Node("inner", args.parts, "", start, end)

    def _fracdd(self, rule: str, children: list[Any], start: int, end: int) -> Node:
        digits = [(m.group(), start + m.start()) for m in re.finditer(r"\d", str(children[0]))]
        above, below = (Node("num", (), d, at, at + 1) for d, at in digits)
        return Node("frac", (above, below), "", start, end)


LEAVES: dict[str, Kind] = {"DIGITS": "num", "NUMBER": "num", "DOTS": "dots", "TOP": "top"}  # by the kind of token
BRACKETS: dict[str, Kind] = {"round": "group", "square": "group", "braces": "group", "set": "set", "count": "count"}
# The rules of the grammar: those whose parts are their node's parts, and those that are more.
PLAIN: dict[str, Kind] = {
    "display": "display",
    "abs": "abs",
    "norm": "norm",
    "ceil": "ceil",
    "frac": "frac",
    "binom": "binom",
    "sqrt": "sqrt",
    "underbrace": "underbrace",
    "cases": "cases",
    "case": "case",
}
RULES: dict[str, Callable[[_Builder, str, list[Any], int, int], Node]] = {
    "item": _Builder._item,
    "chain": _Builder._chain,
    "expr": _Builder._expr,
    "term": _Builder._term,
    "quotient": _Builder._quotient,
    "juxt": _Builder._juxt,
    "call": _Builder._call,
    "big": _Builder._big,
    "factor": _Builder._factor,
    "one": _Builder._one,
    "inner": _Builder._inner,
    "args": _Builder._args,
    "number": _Builder._number,
    "symbol": _Builder._number,
    **dict.fromkeys(BRACKETS, _Builder._brackets),
    "inner_product": _Builder._inner_product,
    "fracdd": _Builder._fracdd,
}
_SILENT = {
    *("LPAR", "RPAR", "LSQB", "RSQB", "LBRACE", "RBRACE", "LSET", "RSET", "LBAR", "RBAR", "LNORM", "RNORM", "COUNT"),
    *("LVERT", "RVERT", "LANGLE", "RANGLE", "LCEIL", "RCEIL", "IF"),
    *("FRAC", "BINOM", "SQRT", "UNDERBRACE", "BEGINCASES", "ENDCASES", "CASESEP"),
}
