"""Every notation has a row and all its handlers: a kind of formula that one table lacks fails here, by its name."""

from pathlib import Path
from typing import get_args

import mpmath
import pytest

from lossbook.equations import parsing
from lossbook.equations.checking import breaks
from lossbook.equations.edits import EDITS, mutants
from lossbook.equations.evaluating import HANDLERS, Env, World, evaluate, free_letters
from lossbook.equations.notation import NOTATIONS, Kind
from lossbook.equations.pages import Display, Page, Row
from lossbook.equations.parsing import Node, parse
from lossbook.equations.symbols import Table

# What has no value of its own: parts of a display, and what may stand beside formulas in brackets.
NO_VALUE = {"display", "item", "chain", "args", "case", "dots", "top", "factors"}
BESIDE = {"args", "chain", "dots", "top"}
SYMBOLS = {
    "n, m": {"runs": "N"},
    "N": {"size": 3},
    "x, t": {"in": "real"},
    "s": {"in": "positive"},
    "v_n, w_n": {"in": "real"},
    "f(x)": {"equals": "x^2 + 1"},
}


def page(latex: str) -> tuple[Display, Node, Table]:
    made = Page("page", Path("page.md"), [Row(symbol, {"is": "a symbol", **row}, 1) for symbol, row in SYMBOLS.items()])
    made.parts.append(Display("page", "shown", "", latex, 1))
    table = Table(made)
    assert not table.faults
    return made.displays[0], table.trees["shown"], table


def kinds(latex: str) -> set[str]:
    return {node.kind for node in parse(latex).walk()}


def test_each_kind_is_in_each_table() -> None:
    values = set(get_args(Kind)) - NO_VALUE
    assert set(NOTATIONS) == values
    assert set(HANDLERS) == values
    assert set(EDITS) == values | BESIDE


def test_each_rule_of_the_grammar_makes_a_node() -> None:
    every = [rule for rule in parsing._parser().rules if rule.alias or not rule.options.expand1]
    rules = {str(rule.alias or rule.origin.name) for rule in every}
    scripts = {"sub", "sup"}  # a factor's
    assert {rule for rule in rules if not rule.startswith("_")} - scripts == {*parsing.PLAIN, *parsing.RULES}
    assert {*parsing.PLAIN.values(), *parsing.BRACKETS.values(), *parsing.LEAVES.values()} <= set(get_args(Kind))


@pytest.mark.parametrize("kind", NOTATIONS)
def test_each_example_is_read_evaluated_and_changed(kind: Kind) -> None:
    notation = NOTATIONS[kind]
    display, tree, table = page(f"{notation.example} = x")
    shown = tree.parts[0].parts[0].parts[0]
    assert shown.kind == kind
    with mpmath.workdps(50):
        evaluate(shown, Env(World(table.at("shown"), "seed", 0), dict.fromkeys(free_letters(shown, table.letters), 1)))
    inside = [part for part in (*shown.parts, shown.sub, shown.sup) if part is not None]
    found = [
        mutant for mutant in mutants(display, tree, table) if shown.start <= mutant.start < mutant.end <= shown.end
    ]
    own = [m for m in found if not any(part.start <= m.start and m.end <= part.end for part in inside)]
    assert found
    assert own or kind in ("underbrace", "count", "set", "sub"), f"no mistake is made of {notation.example} itself"


@pytest.mark.parametrize("kind", NOTATIONS)
def test_what_a_row_says_is_so(kind: Kind) -> None:
    notation = NOTATIONS[kind]
    _, tree, table = page(f"{notation.example} = x")
    shown = tree.parts[0].parts[0].parts[0]
    if notation.breaks != "always":
        assert not breaks(shown)
    else:
        assert breaks(shown)
    bound = {"what is under it", "all"}
    inner = {part.text for part in shown.walk() if part.kind == "sym" and part.text in table.letters}
    assert free_letters(shown, table.letters) == ([] if notation.binds in bound else sorted(inner))
    sized = f"\\bigl{notation.example}"
    if notation.sized:
        wrapped = parse(f"{sized} = x").parts[0].parts[0].parts[0]
        assert (wrapped.kind, wrapped.start) == (kind, 0)
