"""Every notation has a row and all its handlers: a kind of formula that one table lacks fails here, by its name."""

from pathlib import Path
from typing import get_args

import mpmath
import numpy as np
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
NO_MISTAKE = {"set", "count", "sub", "underbrace"}  # of which only the parts can be wrong
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
    display, tree, table = page(f"{notation.example} = t + x")
    shown = tree.parts[0].parts[0].parts[0]
    assert shown.kind == kind
    with mpmath.workdps(50):
        evaluate(shown, Env(World(table.at("shown"), "seed", 0), dict.fromkeys(free_letters(shown, table.letters), 1)))
    inside = [part for part in (*shown.parts, shown.sub, shown.sup) if part is not None]
    found = [m for m in mutants(display, tree, table) if shown.start <= m.start < m.end <= shown.end]
    own = [m for m in found if not any(part.start <= m.start and m.end <= part.end for part in inside)]
    negated = {f"-{notation.example}", f"(-{notation.example})"}  # as every side of a relation is
    assert found
    assert {m.replacement for m in own} - negated or kind in NO_MISTAKE


@pytest.mark.parametrize("kind", NOTATIONS)
def test_what_a_row_says_is_so(kind: Kind) -> None:
    notation = NOTATIONS[kind]
    _, tree, table = page(f"{notation.example} = x")
    shown = tree.parts[0].parts[0].parts[0]
    bound = {"what is under it", "all"}
    inner = {part.text for part in shown.walk() if part.kind == "sym" and part.text in table.letters}
    assert free_letters(shown, table.letters) == ([] if notation.binds in bound else sorted(inner))
    sized = f"\\bigl{notation.example}"
    if notation.sized:
        wrapped = parse(f"{sized} = x").parts[0].parts[0].parts[0]
        assert (wrapped.kind, wrapped.start) == (kind, 0)


def kinked(shown: Node, table: Table) -> bool:
    """Say whether a formula has a jump or a kink between x = -3 and 3: its second difference does not vanish there."""
    world = World(table.at("shown"), "seed", 0)
    bound = dict.fromkeys(free_letters(shown, table.letters), 1)

    def value(x: float) -> float:
        here = world.changed(("x", (), None), mpmath.mpf(x))
        return float(sum(np.ravel(np.asarray(evaluate(shown, Env(here, bound)), dtype=object))))

    low, step, size = -3.0, 0.02, 300
    for _ in range(4):  # look closer where it is largest
        values = [value(low + at * step) for at in range(size + 2)]
        bends = [abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:], strict=False)]
        largest = max(bends) / step
        low, step, size = low + bends.index(max(bends)) * step - step, step / 10, 40
    return largest > 0.1


BREAKING = [r"\max(x, t)", r"\min \{ x, t, 0 \}", r"\operatorname{sign}(x)", r"\operatorname{round}(x)", "s [x < t]"]
SMOOTH = [r"\sin x + \exp(x)", r"\frac{d}{dx} x^3", r"\prod_n (v_n + x)", "f(x)"]


@pytest.mark.parametrize("latex", [*(row.example for row in NOTATIONS.values()), *BREAKING, *SMOOTH])
def test_what_breaks_is_known(latex: str) -> None:
    _, tree, table = page(f"{latex} = x")
    shown = tree.parts[0].parts[0].parts[0]
    with mpmath.workdps(30):
        assert any(breaks(part) for part in shown.walk()) == kinked(shown, table)
