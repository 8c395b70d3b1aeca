"""The page of printed numbers: every number and every claim is on it, and a number that is wrong stops it."""

from __future__ import annotations

from pathlib import Path

import jupytext
import pytest
import torch

PAGE = Path(__file__).parents[2] / "book" / "printed-numbers.md"

PRINTED = [
    *("2.4869", "124.3458", "0.8685", "0.8692", "0.0223", "17.05", "1.1591"),
    *("0.5912299752", "0.1272330731", "0.7678468823", "3.2446444035"),
    *("0.05779625", "0.0577962585", "0.2501", "0.4123", "0.3376", "0.2693", "0.3289", "0.4018", "0.32"),
]
CLAIMS = [
    "must be one-dimensional and as long as the input",
    "no restriction on the target",
    "takes `ignore_index`",
    "with a sigmoid in front",
    "averages over samples",
    "takes two probability distributions",
    "By default it averages over samples",
    "`SmoothL1Loss` is the Huber loss",
    "is positive when the distance exceeds the margin",
    "sum of squared errors",
    "attends to edges",
    "Answering ½ every time",
    "divides by N",
    "knowledge distillation",
]


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", PRINTED)
def test_a_printed_number_is_answered(text, number):
    assert number in text


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_is_answered(text, claim):
    assert claim in text


def cells() -> list[str]:
    return [cell.source for cell in jupytext.read(PAGE, fmt="md:myst").cells if cell.cell_type == "code"]


def helpers() -> dict:
    names: dict = {}
    source = next(source for source in cells() if "def row(" in source)
    exec(compile(source, PAGE.name, "exec"), names)
    return names


def test_a_row_shows_the_digits_printed():
    names = helpers()
    names["row"]("a coin", "0.6931", torch.tensor(2.0).log(), 0.69314718)
    assert names["ROWS"] == [("a coin", "0.6931", "0.6931", "0.6931", "yes")]


@pytest.mark.parametrize(("ours", "theirs"), [(0.6932, 0.6931), (0.6931, 0.6932), (float("nan"), 0.6931)])
def test_a_number_that_differs_stops_the_page(ours, theirs):
    with pytest.raises(AssertionError, match="a coin"):
        helpers()["row"]("a coin", "0.6931", ours, theirs)


def test_an_exception_that_is_none_stops_the_page():
    with pytest.raises(AssertionError, match="a coin"):
        helpers()["row"]("a coin", "0.6931", 0.6931, 0.6931, agrees=False)


def test_the_page_has_one_exception(text):
    assert text.count("agrees=False") == 1


@pytest.mark.parametrize(
    "printed",
    ["2.4869", "124.3458", "0.5912299752", "0.1272330731", "3.2446444035", "1.1591", "0.32", "0.4018"],
)
def test_another_printed_number_would_stop_the_page(printed):
    """The quick cells run as they are, and fail once a digit of a printed number is changed."""
    quick = [source for source in cells() if "3_000_000" not in source and "3,000,000" not in source]
    last = "8" if printed[-1] != "8" else "7"
    changed = [source.replace(f'"{printed}"', f'"{printed[:-1]}{last}"') for source in quick]
    assert quick != changed

    def run(sources: list[str]) -> None:
        names: dict = {}
        for source in sources:
            if not any(word in source for word in ("each.numpy()", "each.double()", "torch.sum(each)")):
                exec(compile(source, PAGE.name, "exec"), names)

    run(quick)
    with pytest.raises(AssertionError, match="but"):
        run(changed)
