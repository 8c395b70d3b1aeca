"""Assertions that could not fail: told from their code, or tried while they run."""

import ast
import math
import random
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbook import losses
from lossbook.book import breaking
from lossbook.prose import assertions

GIVEN = """
x = torch.linspace(-3, 3, 7)
y = x.clone()
z = x
p = torch.sigmoid(x)
n = len(p.unique())
rows = [v for v in x.tolist() if v > 5]
def double(v):
    return v * 2
class Result:
    passed = bool(n)
result = Result()
"""

SOUND = [
    "assert (p < 1).all()",
    "assert double(n) == 14",
    "assert 0 < p[0] < 1",
    "assert p.min() > 0 and p.max() < 1",
    "assert torch.equal(x, y)",
    "assert math.isclose(losses.mse_loss(x, p), F.mse_loss(x, p))",
    "assert losses.l1_loss(x, p) == F.l1_loss(x, p), 'they differ'",
    "assert torch.allclose(double(x), 2 * x)",
    "assert all(v <= 3 for v in x.tolist())",
    "for v in x:\n    assert v.abs() <= 3",
    "for label in (0.0, 1.0):\n    with torch.no_grad():\n        assert F.mse_loss(p, p - 1) > label / 2",
    "assert x.dtype == torch.float32",
    "assert isinstance(double(x), torch.Tensor)",
    "assert result.passed",
    "assert not p.isnan().any()",
    "assert torch.isfinite(p).all()",
    "assert math.isinf(torch.log(p * 0)[0])",
    "assert len(p.unique()) == n",
    "assert p.argmax() == 6",
    "assert str(x.dtype).endswith('float32')",
    "assert double(x).tolist() == [2 * v for v in x.tolist()]",
    "assert p[0].item() in p.tolist()",
    "assert (p.diff() > 0).all()",
    "assert abs(p.sum() - x.sum()) > 1",
    "assert np.isclose(p.numpy().sum(), 3.5)",
    "def gap(v):\n    return abs(v - 1)\nassert gap(p[3]) == 0.5",
    "def near(a, b):\n    return abs(a - b).max() < 1e-6\nassert near(double(x), 2 * x)",
    "ok = (p < 1).all()\nassert ok",
    "ok = n == 7\nn = double(n)\nassert ok and n == 14",
    "def refuses(call):\n    try:\n        call()\n    except TypeError:\n        return True\n"
    "    return False\nassert refuses(lambda: math.sqrt('x'))",
    "assert (p - 0.5).abs().max() < 0.5",
    "assert 2 * n == 14",
    "for k in (1, 2):\n    assert k != 1 or double(n) > 7 * k",
    "last = 3 * p\nassert last.max() < 3\nlast",
]

# What cannot fail, and why; all of it holds.
HOLLOW = {
    "assert True": "constants",
    "assert 1 + 1 == 2": "constants",
    "assert 'a rule'": "constants",
    "assert not False": "constants",
    "assert float(3) == 3.0 and len([1, 2]) == 2": "constants",
    "k = 5\nassert k == 5": "constants",
    "k, m = 5, [6]\nk += 1\nassert k < 7 and m[0] == 6": "constants",
    "k = torch.tensor([1.0, 2.0])\nassert k[0] == 1": "constants",
    "for k in range(3):\n    assert k < 3": "constants",
    "assert all(k < 3 for k in (1, 2))": "constants",
    "assert (x == 0, 'a message')": "tuple",
    "assert x.sum() == x.sum()": "itself",
    "assert torch.equal(x, x)": "itself",
    "assert (p == p).all()": "itself",
    "assert n == n and p.max() < 1": "itself",
    "assert double(n) == float(double(n))": "itself",
    "assert n + 1 == 1 + n": "itself",
    "assert p.equal(p)": "itself",
    "assert math.isclose(p[0], p[0].item())": "itself",
    "assert n == 7 or not n == 7": "itself",
    "def close(a, b):\n    return abs(a - b) < 1\nassert close(n, n)": "itself",
    "assert n == 7 and True": "constants",
    "assert n == 7 or True": "constants",
    "k = 5\nassert n == 7 and k == 5": "constants",
    "ok = n == n\nassert ok": "itself",
    "ok = torch.equal(x, x)\nassert ok": "itself",
    "same = n == n\nok = same and p.max() < 1\nassert ok": "itself",
    "ok = p.max() < 1 or True\nassert ok": "constants",
    "assert n == 3 if n > 100 else n": "chooses",
    "def check():\n    assert n == 3": "function",
    "class Check:\n    assert n == 7": "class",
    "if n > 8:\n    assert n == 3": "under `if`",
    "while n > 8:\n    assert n == 3": "under `while`",
    "try:\n    assert n == 3\nexcept AssertionError:\n    pass": "swallow",
    "try:\n    n / 0\nexcept ZeroDivisionError:\n    assert n == 7": "except",
    "try:\n    assert n == 3\nexcept:\n    pass\nfinally:\n    n": "swallow",
    "from contextlib import suppress\nwith suppress(AssertionError):\n    assert n == 3": "swallow",
    "match n:\n    case 8:\n        assert n == 3": "match",
    "for v in x:\n    pass\nelse:\n    assert n == 7": "else",
    "print(n)": "asserts nothing",
    "n == 7": "asserts nothing",
    "%time assert n == 7": "plain Python",
    "%%capture\nassert n == 7": "plain Python",
    "!false\nassert n == 7": "plain Python",
}

# What only a trial shows.
VACUOUS = {
    "assert torch.equal(x, z)": "would hold",
    "assert (x - x == 0).all()": "would hold",
    "assert all(v > 0 for v in rows)": "would hold",
    "assert (x[:0] > 0).all()": "would hold",
    "assert len(rows) >= 0": "would hold",
    "assert abs(p[0]) >= 0": "would hold",
    "assert n <= n + 1": "would hold",
    "assert 2 * n == n + n": "would hold",
    "for v in x:\n    assert v <= v + 1": "would hold",
    "assert torch.allclose(x, p, atol=1e9)": "would hold",
    "assert math.isclose(x[0], 5, abs_tol=1e6)": "would hold",
    "assert (x - p).abs().max() < 1e6": "would hold",
    "def check(v):\n    return True\nassert check(n)": "would hold",
    "def check(v):\n    return v == v\nassert not not check(n)": "would hold",
    "assert (x * 0 == 0).all() and p.max() < 1": "would hold",
    "for v in rows:\n    assert v > 0": "never comes to",
    "for v in x:\n    continue\n    assert v > 0": "never comes to",
    "for v in x:\n    break\n    assert v > 0": "never comes to",
}


def names():
    given = {"torch": torch, "F": F, "losses": losses, "math": math, "np": np}
    exec(GIVEN, given)
    return given


def known():
    """What is known of the names after the cell before."""
    before = assertions.Known()
    assertions.wrong(GIVEN, before)
    return before


def attempt(code):
    """Run a cell as a page's kernel does, and return what it says."""
    breaker, given = breaking.Breaker(), names()
    given[breaking.NAME] = breaker
    try:
        exec(compile(breaking.rewritten(ast.parse(code), breaker), "<cell>", "exec"), given)
    except breaking.UnbreakableError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("code", SOUND)
def test_an_assertion_that_can_fail_counts(code):
    assert assertions.wrong(code, known()) == []
    assert attempt(code) == ""


@pytest.mark.parametrize("code", HOLLOW)
def test_an_assertion_that_proves_nothing_is_told_from_its_code(code):
    if "%" not in code and "!f" not in code:
        with warnings.catch_warnings(action="ignore"):  # Python itself warns of a tuple
            exec(code, names())  # it holds
    ((line, what), *_) = assertions.wrong(code, known())
    assert HOLLOW[code] in what
    lines = code.splitlines()
    assert "asserts nothing" in what or re_asserts(lines[line - 1])


def re_asserts(line):
    return "assert" in line or line.startswith(("%", "!"))


@pytest.mark.parametrize("code", VACUOUS)
def test_an_assertion_that_would_hold_whatever_is_computed_is_found_as_it_runs(code):
    exec(code, names())  # it holds
    told = attempt(code)
    assert VACUOUS[code] in told
    assert told.startswith(f"line {[('assert' in line) for line in code.splitlines()].index(True) + 1}: ")


def test_a_name_that_is_computed_again_is_no_constant():
    assert assertions.wrong("k = 5\nk = double(k)\nassert k == 10", known()) == []
    assert assertions.wrong("k = 5\nfor v in x:\n    k += v\nassert k == 5", known()) == []
    before = known()
    assert assertions.wrong("k = 5\nassert n == 7", before) == []
    assert "constants" in assertions.wrong("assert k == 5", before)[0][1]
    assertions.wrong("if n:\n    k = n", before)
    assert assertions.wrong("assert k == 7", before) == []


def test_trying_leaves_the_random_numbers_and_says_nothing(capsys):
    code = "assert shown(torch.rand(1)) < 1\nafter = torch.rand(1), random.random(), np.random.rand()"

    def run(rewrite):
        breaker, given = breaking.Breaker(), names()
        given |= {breaking.NAME: breaker, "random": random, "shown": lambda v: (print("said"), v)[1]}
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        tree = breaking.rewritten(ast.parse(code), breaker) if rewrite else ast.parse(code)
        exec(compile(tree, "<cell>", "exec"), given)
        return given["after"], capsys.readouterr().out

    assert run(True) == run(False)


def test_each_assertion_is_turned_into_its_opposite():
    code = "é = 1\nassert (é ==\n   1), 'a, message'\nfor v in [1]:\n    assert v == 1 and v < 2  # so it is\n"
    first, second = breaking.broken(code)
    assert "assert not (é ==\n   1)\n" in first or "assert not ((é ==\n   1))\n" in first
    assert "    assert not (v == 1 and v < 2)  # so it is\n" in second
    for broken in (first, second):
        with pytest.raises(AssertionError):
            exec(broken, {})
