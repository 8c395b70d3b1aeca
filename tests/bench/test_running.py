"""A case becomes numbers, or a reason in words; memory is counted, and asked for beforehand."""

import pytest
import torch

from lossbook.bench import memory, running
from lossbook.bench.plan import BOTH, IMPLEMENTATIONS, KINDS, LOSSES, PASSES, Case, make_inputs
from lossbook.bench.running import FAILED, MEASURED, SKIPPED, Protocol, Row, reason_against, run


def test_a_case_is_measured(quickly):
    row = quickly(size=(1000,), passes=BOTH)
    assert (row.status, row.reason) == (MEASURED, None)
    n = row.numbers
    assert 0 < n["fastest"] <= n["seconds"] <= n["slowest"] < 1
    assert n["bytes"] == 3 * 4000 + 4
    assert n["moved"] >= n["bytes"]
    assert n["dispatches"] > 0
    assert n["share"] == pytest.approx(n["bound"] / n["seconds"])
    assert n["memory"] >= 4000
    assert n["first"] > 0
    assert isinstance(n["noisy"], bool)
    assert n["load"] >= 0


def test_a_row_survives_being_kept(quickly, case):
    for row in (quickly(), Row(case(), SKIPPED, "why")):
        assert Row.from_dict(row.as_dict()) == row


@pytest.mark.parametrize("size", [(0,), (-3,)])
def test_a_size_of_zero_or_less(size, quickly):
    row = quickly(size=size)
    assert row.status == SKIPPED
    assert row.reason == f"the size is {size[0]}; it must be whole numbers, 1 or more"


def test_one_zero_among_sizes(quickly):
    row = quickly(loss="cross_entropy", size=(5, 0))
    assert (row.status, row.reason) == (SKIPPED, "the size is 5x0; it must be whole numbers, 1 or more")


def test_a_device_that_is_absent(quickly, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    row = quickly(device="cuda")
    assert row.status == SKIPPED
    assert row.reason == "the device is cuda, and PyTorch finds no CUDA device here; it must be cpu"


def test_too_little_memory_is_known_before(quickly, monkeypatch):
    monkeypatch.setattr(running, "make_inputs", lambda *_: pytest.fail("it was tried"))
    row = quickly(size=(10**12,))
    assert row.status == SKIPPED
    assert "the size is 1000000000000, which may need " in row.reason
    assert " GB; the cpu has " in row.reason


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_is_caught(error, quickly, monkeypatch):
    def out(*_):
        raise error

    monkeypatch.setattr(running, "make_inputs", out)
    row = quickly()
    assert row.status == SKIPPED
    assert "the size is 9, too large for the memory of the cpu" in row.reason


def test_a_dtype_that_is_not_supported(quickly, monkeypatch):
    def no(*_):
        raise NotImplementedError("\"mse_cpu\" not implemented for 'Half'")

    monkeypatch.setattr(running, "implementation", lambda *_: no)
    row = quickly(dtype="float16")
    assert row.status == SKIPPED
    assert "the dtype is float16, which it does not support on the cpu" in row.reason


def test_a_gpu_without_bfloat16(case, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    assert reason_against(case(device="cuda", dtype="bfloat16")) == (
        "the dtype is bfloat16, which Old GPU has no arithmetic for"
    )


def test_what_nobody_foresaw_is_a_failure(quickly, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(running, "implementation", lambda *_: broken)
    assert quickly().reason == "ZeroDivisionError: first line"
    assert quickly().status == FAILED


def test_an_interrupt_goes_through(case, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "make_inputs", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(case(), Protocol())


def test_what_can_not_run_is_skipped_with_its_reason(quickly):
    row = quickly(implementation="fused")
    assert row.status == SKIPPED
    assert row.reason.startswith("mse_loss has no fused form")


def test_peak_memory_is_that_of_what_is_alive_at_once():
    x = torch.ones(1000)

    def three():
        doubled = x * 2
        return (doubled * 2) * 2  # the product in the brackets is gone before the next call, doubled is not

    assert 3 * 4000 <= memory.peak(three, "cpu") <= 3 * 4000 + 64
    assert 4000 <= memory.peak(lambda: x * 2, "cpu") <= 4064
    assert memory.peak(lambda: x[:10], "cpu") == 0


def test_what_was_there_before_and_goes_does_not_count():
    kept = [torch.ones(100_000)]

    def call():
        kept.clear()
        return torch.ones(1000)

    assert 4000 <= memory.peak(call, "cpu") <= 4064


@pytest.mark.parametrize("name", LOSSES)
def test_the_estimate_of_memory_is_never_too_small(name):
    loss = LOSSES[name]
    size = {1: (20_000,), 2: (200, 100), 3: (100, 60, 200)}[len(KINDS[loss.kind])]
    for dtype in ("float32", "bfloat16"):
        inputs = make_inputs(loss, size, dtype, "cpu")
        held = sum(item.numel() * item.element_size() for item in inputs)
        for which in ("definition", "reference", "pytorch"):
            for passes in PASSES:
                call, args = running.passing(running.implementation(name, which, "cpu"), inputs, loss, passes)
                call(*args)
                used = held + memory.peak(lambda call=call, args=args: call(*args), "cpu")
                assert used <= memory.needed(Case(name, which, "cpu", size, dtype, passes))


def test_there_is_memory():
    assert memory.available("cpu") > 10**8


def test_what_a_gpu_is_asked_for_is_what_all_need(case):
    one, both = (
        memory.needed(case(loss="cross_entropy", device="cuda", size=(8192, 131_072), dtype="bfloat16", passes=passes))
        for passes in PASSES
    )
    assert (one, both) == (2 * 8192 * 131_072, 4 * 8192 * 131_072)


def test_uncounted_implementations_are_known():
    assert set(running.UNCOUNTED) < set(IMPLEMENTATIONS)
