"""What a call does is counted, by laws that hold for every size."""

import pytest
import torch
from torch.nn import functional as F

from lossbook.timing import Work, work_of
from lossbook.timing.work import TooLong, counted

SIZES = (1, 2, 17, 1000)


@pytest.mark.parametrize("n", SIZES)
def test_an_addition_reads_two_tensors_and_writes_one(n):
    x, y = torch.rand(n), torch.rand(n)
    assert work_of(torch.add, x, y) == Work(bytes=12 * n, moved=12 * n, operations=n, dispatches=1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_bytes_go_with_the_dtype(dtype):
    x = torch.rand(64).to(dtype)
    assert work_of(torch.exp, x).bytes == 2 * 64 * x.element_size()


@pytest.mark.parametrize("n", SIZES)
def test_pythons_sum_dispatches_once_an_element_and_once_for_the_views(n):
    found = work_of(sum, torch.rand(n))
    assert found == Work(bytes=4 * n + 4, moved=12 * n - 4, operations=n, dispatches=n + 1)


@pytest.mark.parametrize("n", SIZES)
def test_a_reduction_takes_one_operation_less_than_it_has_numbers(n):
    assert work_of(torch.sum, torch.rand(n)) == Work(4 * n + 4, 4 * n + 4, n - 1, 1)
    assert work_of(lambda x: x.amax(dim=1), torch.rand(3, n)).operations == 3 * (n - 1)


def test_doing_it_twice_moves_twice_and_must_not_read_twice():
    x = torch.rand(100)
    once, twice = work_of(lambda: x.exp()), work_of(lambda: (x.exp(), x.exp()))
    assert (twice.moved, twice.operations, twice.dispatches) == (2 * once.moved, 2 * once.operations, 2)
    assert twice.bytes == once.bytes + 400


def test_what_is_made_and_dropped_on_the_way_need_not_move():
    x = torch.rand(100)
    found = work_of(lambda: ((x + 1) * 2).sum())
    assert found.bytes == 404
    assert found.moved == 800 + 800 + 404


def test_views_are_dispatched_and_move_nothing():
    x = torch.rand(6, 4)
    found = work_of(lambda: (x.view(24), x.t(), x[1:], x.unbind(), x.expand(2, 6, 4)))
    assert (found.bytes, found.moved, found.operations) == (0, 0, 0)
    assert found.dispatches >= 5


def test_a_broadcast_input_counts_its_real_storage():
    row, x = torch.rand(1, 50), torch.rand(40, 50)
    expected = 4 * (50 + 2000 + 2000)
    assert work_of(torch.add, row, x).bytes == expected
    assert work_of(torch.add, row.expand(40, 50), x).bytes == expected
    assert work_of(torch.add, row.expand(40, 50), x).moved == expected


def test_the_same_memory_counts_once_by_whatever_name():
    x = torch.rand(10, 10)
    assert work_of(torch.add, x, x.t()).bytes == 800
    assert work_of(torch.add, x[:6], x[4:]).bytes == 400 + 240
    assert work_of(torch.add, x[:, 0], x[:, 1]).bytes == 80 + 40
    assert work_of(torch.add, x[::2, ::2], x[::2, ::2]).bytes == 100 + 100


def test_the_columns_of_a_table_add_up_to_the_table():
    x = torch.rand(7, 5)
    total = work_of(lambda: [x[:, k].sum() for k in range(5)])
    assert total.bytes == 4 * 35 + 4 * 5


def test_what_is_written_in_place_is_an_output():
    x, y = torch.rand(100), torch.rand(100)
    assert work_of(x.add_, y).bytes == 1200
    assert work_of(x.copy_, y).bytes == 800
    assert work_of(x.zero_).bytes == 400
    assert work_of(lambda: torch.add(x, y, out=x)).bytes == 1200


def test_of_a_table_only_what_is_picked_counts():
    z, y = torch.rand(64, 1000), torch.randint(1000, (64, 1))
    assert work_of(torch.gather, z, 1, y).bytes == 64 * (4 + 8 + 4)
    assert work_of(F.nll_loss, z, y[:, 0]).bytes < 64 * 13


def test_a_gradient_that_stays_is_an_output():
    x, y = torch.rand(100, requires_grad=True), torch.rand(100)

    def step():
        x.grad = None
        F.mse_loss(x, y).backward()

    assert work_of(step).bytes == 1200
    assert work_of(lambda: torch.autograd.grad(F.mse_loss(x, y), x)).bytes == 1200


@pytest.mark.parametrize(("m", "n", "k"), [(2, 3, 4), (8, 1, 5)])
def test_a_matrix_product_takes_two_operations_an_element_and_step(m, n, k):
    found = work_of(torch.mm, torch.rand(m, k), torch.rand(k, n))
    assert found == Work(4 * (m * k + k * n + m * n), 4 * (m * k + k * n + m * n), 2 * m * n * k, 1)


def test_copies_and_integers_compute_nothing():
    x = torch.rand(100)
    assert work_of(x.clone).operations == 0
    assert work_of(x.double).operations == 0
    assert work_of(torch.add, torch.arange(5), 1).operations == 0
    assert work_of(lambda: x > 0.5).operations == 100


def test_making_a_tensor_like_another_reads_nothing_of_it():
    assert work_of(torch.zeros_like, torch.rand(100)).bytes == 400
    assert work_of(torch.empty_like, torch.rand(100)).moved == 0


def test_nothing_takes_nothing():
    assert work_of(torch.add, torch.rand(0), torch.rand(0)) == Work(0, 0, 0, 1)
    assert work_of(lambda: None) == Work(0, 0, 0, 0)
    assert Work(0, 0, 0, 0).intensity == 0


def test_sparse_tensors_are_counted_by_what_they_hold():
    x = torch.eye(4).to_sparse()
    assert work_of(lambda: x * 2).dispatches >= 1


def test_it_gives_up_at_the_limit():
    with pytest.raises(TooLong):
        counted(sum, torch.rand(1000), limit=0.0)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="function is a Tensor; it must be callable"):
        work_of(torch.rand(2))
