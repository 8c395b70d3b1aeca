"""What a loss is told of its arguments, and what it finds out of them."""

import pytest
import torch

from lossbook.losses import arguments


def test_a_value_is_read_where_there_is_one():
    number, flag = arguments.values_of(torch.tensor(3), torch.tensor(True))
    assert number == 3
    assert flag is True
    assert arguments.values_of(torch.tensor(3, device="meta"), torch.tensor(4)) == (None, 4)
    seen = []
    torch.vmap(lambda x: (seen.append(arguments.values_of(x)), x)[1])(torch.ones(2))
    assert seen == [(None,)]


def test_autocast_widens_halves_alone_and_on_its_own_device():
    half, wide, index = torch.ones(1).half(), torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.int64)
    assert arguments.tensors(half, wide)[0] is half
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = arguments.tensors(half, half.bfloat16(), wide=wide, index=index, meta=half.to("meta"), weight=None)
    assert [x.dtype for x in given[:-1]] == [torch.float32, torch.float32, torch.float64, torch.int64, torch.float16]
    assert given[-1] is None


def test_a_weight_alone_may_be_none():
    x = torch.ones(1)
    for given, weights, said in (
        ((None, x), {}, "input is a NoneType; it must be a Tensor"),
        ((x, 2.0), {}, "target is a float; it must be a Tensor"),
        ((x, x), {"weight": None, "pos_weight": [1.0]}, "pos_weight is a list; it must be a Tensor"),
    ):
        with pytest.raises(TypeError, match=said):
            arguments.tensors(*given, **weights)


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
    indices, all_count = arguments.class_indices(torch.zeros(len(target), 4), target, ignore_index)
    assert all_count is known
    assert torch.equal(indices, target)


def test_indices_are_looked_at_only_if_it_is_said_which_does_not_count():
    input, target = torch.zeros(2, 4), torch.tensor([0, 9])
    assert arguments.class_indices(input, target, None)[1] is False
    with pytest.raises(IndexError, match="target has the class 9"):
        arguments.class_indices(input, target, -100)
    with pytest.raises(ValueError, match=r"it must be \(2,\)"):
        arguments.class_indices(input, target[:1], None)


def test_one_class_may_stand_in_a_dimension_of_its_own():
    indices, _ = arguments.class_indices(torch.zeros(4), torch.tensor([3], dtype=torch.uint8), -100)
    assert indices.shape == ()
    assert indices.dtype == torch.int64


@pytest.mark.parametrize(
    ("value", "part"), [(0.25, 0.25), (1, 1), (-0.5, 0), (float("nan"), 0), (torch.tensor(0.5), 0.5)]
)
def test_a_fraction_is_between_0_and_1(value, part):
    assert arguments.fraction("label_smoothing", value) == part
    with pytest.raises(RuntimeError, match=r"label_smoothing is 1\.5; it must be between 0 and 1"):
        arguments.fraction("label_smoothing", 1.5)
