"""The formulas in the docstrings of the losses are read where they stand, and a wrong one is named."""

from collections.abc import Iterator

import pytest

from lossbook import losses
from lossbook.book import docstrings
from lossbook.book.verify import references
from lossbook.equations.checking import check_page


@pytest.fixture(autouse=True)
def _own_functions() -> Iterator[None]:
    docstrings.functions.cache_clear()
    yield
    docstrings.functions.cache_clear()


def faults(name: str) -> list[str]:
    (page,) = (page for page in docstrings.pages() if page.name == f"docstring:{name}")
    table, records = check_page(page, functions=references())
    return [*page.faults, *table.faults, *(fault for record in records for fault in record.faults)]


def test_every_public_loss_shows_a_formula() -> None:
    shown = {page.name.partition(":")[2] for page in docstrings.pages() if page.displays}
    assert set(losses.__all__) <= shown


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("mse_loss", ")^2", ")"),
        ("binary_cross_entropy", r"\log p", r"\log (1 + p)"),
        ("l1_loss", "|", "2 |"),
        ("kl_div", r"\log", "2 \\log"),
    ],
)
def test_a_wrong_formula_is_named(monkeypatch: pytest.MonkeyPatch, name: str, right: str, wrong: str) -> None:
    function = docstrings.functions()[name]
    text = function.__doc__ or ""
    assert faults(name) == []
    start = text.index(".. math::")
    assert right in text[start:]
    monkeypatch.setattr(function, "__doc__", text[:start] + text[start:].replace(right, wrong, 1))
    assert faults(name)


def test_a_public_loss_without_a_formula_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docstrings.functions()["mse_loss"], "__doc__", "No formula.")
    assert faults("mse_loss") == ["docstring:mse_loss: the docstring of a public loss must give its formula"]


@pytest.mark.parametrize(
    "lines",
    [
        [".. math:: x = 1"],
        ["- .. math::", "", "      x = 1"],
        [".. math::", "    x = 1"],
        [".. math::", "   :label: a", "", "   x"],
    ],
)
def test_a_formula_that_is_not_read_is_named(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    function = docstrings.functions()["mse_loss"]
    text = "\n    ".join([function.__doc__ or "", "", *lines])
    monkeypatch.setattr(function, "__doc__", text)
    assert any("a formula that is not read" in fault for fault in faults("mse_loss"))
