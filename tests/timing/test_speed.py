"""What a device can do, and the bound that follows from it."""

import itertools

import pytest
import torch

from lossbook.timing import Machine, Work, machine_speed
from lossbook.timing import speed as speeds
from lossbook.timing.circumstances import last_level_cache
from lossbook.timing.speed import footprints

MACHINE = Machine("cpu", "made up", 1, ((10**3, 8e9), (10**6, 4e9), (10**9, 1e9)), launch=1e-6, peak=1e10)


def work(count, operations=0):
    return Work(bytes=count, moved=count, operations=operations, dispatches=1)


def test_the_bound_is_the_launch_and_the_longer_of_the_two_others():
    bound = MACHINE.bound(work(10**9, 10**9))
    assert (bound.launch, bound.memory, bound.compute) == pytest.approx((1e-6, 1.0, 0.1))
    assert bound.seconds == pytest.approx(1.000001)
    assert bound.by == "memory"
    assert MACHINE.bound(work(4, 1)).by == "launch"
    assert MACHINE.bound(work(10**6, 10**9)).by == "compute"


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_more_bytes_or_operations_never_take_less_time(cache):
    sizes = [int(1.3**k) for k in range(90)]
    for machine in (MACHINE, machine_speed()):
        bytes_bounds = [machine.bound(work(size), cache=cache).seconds for size in sizes]
        assert bytes_bounds == sorted(bytes_bounds)
        compute_bounds = [machine.bound(work(100, size), cache=cache).seconds for size in sizes]
        assert compute_bounds == sorted(compute_bounds)


def test_a_cold_cache_has_the_memorys_own_bandwidth():
    assert MACHINE.bound(work(1000), cache="cold").memory == pytest.approx(1e-6)
    assert MACHINE.bound(work(1000)).memory == pytest.approx(1000 / 8e9)


def test_bandwidth_is_that_measured_and_between_lies_between():
    assert [MACHINE.bandwidth_at(size) for size, _ in MACHINE.bandwidths] == pytest.approx([8e9, 4e9, 1e9])
    assert 1e9 < MACHINE.bandwidth_at(10**7) < 4e9
    assert (MACHINE.bandwidth_at(0), MACHINE.bandwidth_at(10**12)) == pytest.approx((8e9, 1e9))
    assert MACHINE.bandwidth == 1e9


def test_footprints_grow_from_a_part_of_the_cache_to_well_beyond_it():
    sizes = footprints(torch.device("cpu"))
    assert all(b == 4 * a for a, b in itertools.pairwise(sizes))
    assert sizes[0] < last_level_cache(torch.device("cpu"))
    assert sizes[-1] >= min(4 * last_level_cache(torch.device("cpu")), speeds.memory_free() // 8) / 4


@pytest.mark.wall_clock
def test_this_machine_is_measured_once():
    machine = machine_speed()
    assert machine is machine_speed(torch.device("cpu"))
    assert (machine.device, machine.threads) == ("cpu", torch.get_num_threads())
    assert machine.name
    assert 1e-8 < machine.launch < 1e-3
    assert all(1e7 < speed < 1e14 for _, speed in machine.bandwidths)
    assert 1e7 < machine.peak < 1e15


def test_measuring_leaves_the_threads_alone():
    threads = torch.get_num_threads()
    speeds._fastest(torch.add, (torch.ones(1), torch.ones(1)), torch.device("cpu"))
    assert torch.get_num_threads() == threads


def test_a_larger_copy_is_never_held_to_be_faster():
    held = speeds._monotone([(10, 1.0), (20, 4.0), (40, 4.0)])
    assert held == ((10, 1.0), (20, 2.0), (40, 4.0))


def test_what_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'cuda'; this machine has no CUDA device"):
        machine_speed("cuda")
    with pytest.raises(ValueError, match="device is 'abacus'; it must be 'cpu' or 'cuda'"):
        machine_speed("abacus")
    with pytest.raises(ValueError, match="device is 'meta'; it must be"):
        machine_speed("meta")
    with pytest.raises(ValueError, match="cache is 'lukewarm'; it must be 'warm' or 'cold'"):
        MACHINE.bound(work(1), cache="lukewarm")
