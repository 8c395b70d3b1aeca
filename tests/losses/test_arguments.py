"""What a loss is told of its arguments, and what it finds out of them."""

import pytest
import torch

from lossbook.losses import arguments


def test_a_value_is_read_where_there_is_one():
    assert arguments.value_of(torch.tensor(3)) == 3
    assert arguments.value_of(torch.tensor(True)) is True
    assert arguments.value_of(torch.tensor(3, device="meta")) is None
    seen = []
    torch.vmap(lambda x: (seen.append(arguments.value_of(x)), x)[1])(torch.ones(2))
    assert seen == [None]


def test_autocast_widens_halves_alone_and_on_its_own_device():
    half, wide, index = torch.ones(1).half(), torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.int64)
    assert arguments.autocasted(half, wide)[0] is half
    with torch.autocast("cpu", dtype=torch.bfloat16):
        dtypes = [x.dtype for x in arguments.autocasted(half, half.bfloat16(), wide, index, half.to("meta"))]
        assert dtypes == [torch.float32, torch.float32, torch.float64, torch.int64, torch.float16]
        assert arguments.autocasted(None, 2.0) == (None, 2.0)


@pytest.mark.parametrize(
    ("target", "ignore_index", "known"),
    [
        ([0, 3, 1], -100, True),
        ([0, 3, 1], 9, True),
        ([1, 3, 3], 0, True),
        ([0, 3, 1], 3, False),
        ([0, 3, 1], 2, False),  # which no target is; the least and the most do not tell
        ([0, -100, 1], -100, False),
        ([], -100, True),
    ],
)
def test_what_the_check_of_the_classes_finds_out(target, ignore_index, known):
    target = torch.tensor(target, dtype=torch.long)
    assert arguments.require_class_indices(torch.zeros(len(target), 4), target, ignore_index) is known
