"""The data that the book's pages read."""

import torch

from lossbook.data import digits


def test_the_digits_are_what_the_page_says():
    x, digit = digits()
    assert (x.shape, x.dtype, digit.dtype) == ((1797, 64), torch.float64, torch.int64)
    assert (x.min(), x.max()) == (0, 1)
    assert torch.bincount(digit).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits()[0].equal(x)
