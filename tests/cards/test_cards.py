"""A card is enough: a loss without a twin passes every general test, and a wrong one fails in its own room."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from lossbook import cards, losses, stability
from lossbook.book import docstrings
from lossbook.book.verify import references
from lossbook.cards import KINDS, Draw
from lossbook.course import chapters
from lossbook.equations.checking import check_page

ROOT = Path(__file__).parents[2]
GENERAL = (
    "losses/test_losses.py",
    "losses/test_transforms.py",
    "losses/test_degenerate.py",
    "losses/test_compiled.py",
    "timing/test_references.py",
)
NAMES = ("twice_log_cosh_loss", "log_cosh_loss", "soft_margin_loss")
# The right one through all of them; the wrong ones through the first, which is to be enough.
CHOSEN = "(log_cosh_loss and not twice) or (test_losses and (twice_log_cosh_loss or soft_margin_loss))"


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, str]]:
    """The outcome of each general test of three losses that are not the course's, by loss."""
    tests = [str(ROOT / "tests" / name) for name in GENERAL]
    plugins = [word for name in ("made_up", "no:xdist", "no:cacheprovider") for word in ("-p", name)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-q", "-rA", "--tb=no", "-k", CHOSEN, *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, dict[str, str]] = {name: {} for name in NAMES}
    for outcome, test in re.findall(r"^(PASSED|FAILED|ERROR) (tests/\S+::[^\]\n]*\]?)", done.stdout, re.M):
        name = next(name for name in NAMES if name in test)
        found[name][test.rpartition("/")[2]] = outcome
    assert all(found.values()), done.stdout + done.stderr
    return found


def test_a_loss_without_a_twin_passes_every_general_test(outcomes):
    """Signature, options, exact value, definition, transforms, compiled, at nothing, its bytes: with no edit."""
    mine = outcomes["log_cosh_loss"]
    rooms = Counter(test.partition("::")[0] for test in mine)
    assert set(rooms) == {Path(name).name for name in GENERAL}
    assert rooms["test_transforms.py"] > 30
    assert {test: outcome for test, outcome in mine.items() if outcome != "PASSED"} == {}


@pytest.mark.parametrize("name", ["twice_log_cosh_loss", "soft_margin_loss"])
def test_a_loss_that_is_twice_what_it_should_be_fails_in_its_own_room(outcomes, name):
    wrong = {test.partition("[")[0] for test, outcome in outcomes[name].items() if outcome == "FAILED"}
    assert wrong >= {
        "test_losses.py::test_equal_on_every_option",
        "test_losses.py::test_equal_to_the_definition",
        "test_losses.py::test_equal_to_the_exact_value",
    }


@pytest.fixture(scope="module")
def made_up():
    spec = importlib.util.spec_from_file_location("made_up", Path(__file__).with_name("made_up.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_a_loss_without_a_twin_has_no_pytorch(made_up):
    entries = stability.entries_of("09-robust", made_up.without_a_twin(made_up.log_cosh_loss))
    rows = stability.table("09-robust", losses=entries)
    assert {row.form for row in rows} == {"on paper", "ours"}
    assert all(row.right for row in rows if row.form == "ours")
    assert not all(row.right for row in rows if row.form == "on paper")
    said = stability.findings(rows)
    assert "PyTorch has no such loss." in said
    counts = str(stability.cells(rows, "ours")), str(stability.wrong(rows, "on paper")), "0", "–"
    assert any(line.split() == ["log_cosh_loss", *counts] for line in said.splitlines())
    plt.close(stability.draw(rows))

    mixed = rows + stability.table("09-robust", losses=stability.entries_of("09-robust", cards.of("l1_loss")))
    assert "PyTorch's verdicts are the same as ours, in every cell." in stability.findings(mixed)
    plt.close(stability.draw(mixed))


def test_the_words_of_a_picture_say_where_pytorch_has_no_such_loss(made_up, monkeypatch):
    entries = tuple(stability.entries_of("09-robust", made_up.without_a_twin(made_up.log_cosh_loss)))
    monkeypatch.setattr(stability.picture, "entries", lambda: entries)
    assert "on paper, ours and PyTorch's, where it has the loss, each in float64" in stability.alternative("09-robust")


def test_the_docstring_of_a_loss_without_a_twin_is_checked(made_up, monkeypatch):
    """What it says is compared with the loss itself; with PyTorch there is nothing to compare."""
    module = types.ModuleType("lossbook.losses.robust")
    loss = made_up.log_cosh_loss
    monkeypatch.setattr(loss, "__module__", module.__name__)
    module.log_cosh_loss = loss
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(docstrings, "MODULES", (*docstrings.MODULES, "robust"))
    monkeypatch.setattr(losses, "log_cosh_loss", loss, raising=False)
    monkeypatch.setattr(losses, "__all__", [*losses.__all__, "log_cosh_loss"])
    monkeypatch.setitem(cards.every(), "log_cosh_loss", made_up.without_a_twin(loss))
    docstrings.functions.cache_clear()
    try:
        for right, wrong in (("", ""), ("} + e^", "} - e^")):
            monkeypatch.setattr(loss, "__doc__", loss.__doc__.replace(right, wrong))
            (page,) = (page for page in docstrings.pages() if page.name == "docstring:log_cosh_loss")
            table, records = check_page(page, functions=references())
            faults = [*page.faults, *table.faults, *(fault for record in records for fault in record.faults)]
            assert bool(faults) == bool(wrong), faults
    finally:
        docstrings.functions.cache_clear()


# What a card is made of


@pytest.mark.parametrize("name", cards.every())
def test_the_same_seed_draws_the_same(name):
    card = cards.every()[name]
    size = (6, 3, 5)[: len(KINDS[card.kind])]
    draws = [Draw.seeded(size, torch.float64, seed) for seed in (1, 1, 2)]
    first, again, other = (card.inputs(draw) for draw in draws)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert {x.dtype for x in first if x.is_floating_point()} == {torch.float64}


def test_float64_is_drawn_as_such_and_not_rounded_before():
    x = Draw.seeded((100,), torch.float64, 0)
    for numbers in (x.normal(), x.uniform()):
        assert not torch.equal(numbers, numbers.float().double())


def test_every_reduction_of_a_definition():
    card = cards.of("kl_div")
    args = card.inputs(Draw.seeded((4, 3), torch.float64, 0))
    terms = card.definition(*args)
    assert torch.equal(card.on_paper(*args, reduction="none"), terms)
    for reduction, count in (("sum", 1), ("mean", 12), ("batchmean", 4)):
        torch.testing.assert_close(card.on_paper(*args, reduction=reduction), terms.sum() / count)


def test_a_chapter_without_cards_is_named_with_its_path(monkeypatch):
    more = (*chapters(), dataclasses.replace(chapters()[0], number=9, slug="margin"))
    monkeypatch.setattr(cards, "chapters", lambda: more)
    cards._modules.cache_clear()
    try:
        with pytest.raises(ModuleNotFoundError, match=r"chapter 9 has no cards: write src/lossbook/cards/margin\.py"):
            cards.by_chapter()
    finally:
        cards._modules.cache_clear()


def printed(*lines):
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_cards_and_benchmark_need_no_mpmath():
    assert printed(
        "import sys",
        "sys.modules['mpmath'] = None",
        "from lossbook.bench import command, implementations",
        "from lossbook.cards import every",
        "print(len(every()), implementations.implementation('kl_div', 'definition', 'cpu').func.__name__)",
    ) == [str(len(cards.every())), "on_paper"]


def test_the_lessons_need_no_cards():
    assert printed(
        "import sys, lossbook.losses, lossbook.exercises, lossbook.timing, lossbook.figures",
        "print('lossbook.cards' in sys.modules)",
    ) == ["False"]


# What the pages show


@pytest.mark.parametrize("name", cards.every())
def test_the_page_shows_the_definition(name):
    """In a few lines of at most 80 columns, and by itself: it needs torch's names alone."""
    card = cards.every()[name]
    (row,) = (chapter.row for chapter, (mine, _) in cards.by_chapter().items() if card in mine)
    assert card.definition.__name__ == name.rpartition(".")[2]
    module = card.definition.__module__.rpartition(".")[2]
    page = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book").glob(f"{row}*.md"))
    shown = f"../src/lossbook/cards/{module}.py\n:language: python\n:pyobject: {card.definition.__name__}\n```"
    assert f"```{{literalinclude}} {shown}" in page, f"book/{row}.md does not show the definition of {name}"
    lines = inspect.getsource(card.definition).splitlines()
    assert len(lines) <= 9
    assert max(map(len, lines)) <= 80
    names = set(card.definition.__code__.co_names) & set(card.definition.__globals__)
    assert all(name == "torch" or hasattr(torch, name) for name in names), names
