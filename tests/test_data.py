"""The data that the book's pages read: what each docstring says of it."""

import math

import pytest
import torch

from lossbook import data


def test_the_digits_are_what_the_page_says():
    x, digit = data.digits()
    assert (x.shape, x.dtype, digit.dtype) == ((1797, 64), torch.float64, torch.int64)
    assert (x.min(), x.max()) == (0, 1)
    assert torch.bincount(digit).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.digits()[0].equal(x)


# Of each column: its least, its mean and its most.
COLUMNS = {
    "engel": (235, {"income": (377.06, 982.47, 4957.81), "food": (242.32, 624.15, 2032.68)}),
    "stackloss": (
        21,
        {"loss": (7, 17.52, 42), "air": (50, 60.43, 80), "temperature": (17, 21.10, 27), "acid": (72, 86.29, 93)},
    ),
    "randhie": (
        20190,
        {
            "visits": (0, 2.860, 77),
            "coinsurance": (0, 26.31, 100),
            "deductible": (0, 0.260, 1),
            "limited": (0, 0.1235, 1),
            "diseases": (0, 11.244, 58.6),
            "health": (0, 0.561, 3),
        },
    ),
    "anes96": (
        944,
        {
            "population": (0, 306.38, 7300),
            "news": (0, 3.728, 7),
            "leaning": (1, 4.325, 7),
            "clinton": (1, 2.940, 7),
            "dole": (1, 5.395, 7),
            "party": (0, 2.842, 6),
            "age": (19, 47.04, 91),
            "education": (1, 4.565, 7),
            "income": (1, 16.33, 24),
            "vote": (0, 0.4163, 1),
        },
    ),
    "modechoice": (
        840,
        {
            "traveller": (1, 105.5, 210),
            "mode": (1, 2.5, 4),
            "chosen": (0, 0.25, 1),
            "wait": (0, 34.59, 99),
            "cost": (2, 47.76, 180),
            "time": (63, 486.17, 1440),
            "generalised": (30, 110.88, 269),
            "income": (2, 34.55, 72),
            "people": (1, 1.743, 6),
        },
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_is_whole(name: str) -> None:
    table = getattr(data, name)()
    length, columns = COLUMNS[name]
    assert list(table) == list(columns)
    for column, (least, mean, most) in columns.items():
        values = table[column]
        assert (values.shape, values.dtype) == ((length,), torch.float64)
        found = [values.min().item(), values.mean().item(), values.max().item()]
        for value, expected in zip(found, (least, mean, most), strict=True):
            assert math.isclose(value, expected, rel_tol=2e-3, abs_tol=1e-9), (column, found)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_is_read_anew(name: str) -> None:
    read = getattr(data, name)
    for values in read().values():
        values.zero_()
    assert any(values.any() for values in read().values())


def test_the_prose_is_what_its_docstring_says():
    text = data.prose()
    assert set(text) == set("abcdefghijklmnopqrstuvwxyz .,:;?'-\n")
    assert len(text) == len(text.encode()) == 121_065
    paragraphs = text.splitlines(keepends=True)
    assert len(paragraphs) == 885
    assert all(len(paragraph) > 40 for paragraph in paragraphs)
    assert all(paragraph == paragraph.strip() + "\n" for paragraph in paragraphs)


def test_any_part_of_the_prose_is_like_any_other():
    text = data.prose()
    parts = [text[start : start + 20_000] for start in range(0, 120_000, 20_000)]
    for letter in "etaosn ":
        shares = [part.count(letter) / len(part) for part in parts]
        assert max(shares) < 1.12 * min(shares), letter


def test_every_traveller_takes_one_way():
    travel = data.modechoice()
    assert travel["chosen"].view(210, 4).sum(1).eq(1).all()
    assert travel["mode"].view(210, 4).eq(torch.arange(1, 5)).all()
    assert travel["chosen"].view(210, 4).sum(0).tolist() == [58, 63, 30, 59]
    assert travel["wait"].view(210, 4)[:, 3].eq(0).all()


def test_the_visits_are_spread_wider_than_poisson_has_it():
    visits = data.randhie()["visits"]
    assert visits.eq(visits.round()).all()
    assert 7.0 < visits.var() / visits.mean() < 7.2
