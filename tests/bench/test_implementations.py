"""What is timed is right: every implementation returns PyTorch's loss and gradients."""

from dataclasses import replace

import pytest
import torch

from lossbook.bench import implementations, running
from lossbook.bench.implementations import CantRunError, applies, implementation
from lossbook.bench.plan import BOTH, FORWARD, IMPLEMENTATIONS, KINDS, LOSSES, cases, make_inputs

EAGER = [
    (loss, name)
    for loss in LOSSES
    for name in ("definition", "reference", "fused")
    if applies(loss, name) and (loss, name) != ("cross_entropy", "fused")
]


def both(name, which, device="cpu", dtype="float32"):
    loss = LOSSES[name]
    inputs = make_inputs(loss, (12, 5, 7)[: len(KINDS[loss.kind])], dtype, device)
    call, args = running.passing(implementation(name, which, device), inputs, loss, BOTH)
    return call(*args)


def agree(name, which, device="cpu"):
    against = "pytorch" if applies(name, "pytorch") else "definition"
    mine, theirs = both(name, which, device), both(name, against, device)
    assert len(mine) == 1 + LOSSES[name].differentiated
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "which"), EAGER)
def test_it_equals_pytorchs(name, which):
    agree(name, which)


@pytest.mark.parametrize("name", LOSSES)
def test_the_compiled_reference_equals_pytorchs(name, monkeypatch):
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend="aot_eager", **options))
    monkeypatch.setattr(implementations, "compiler", lambda: "g++")
    agree(name, "compiled")


def test_the_kernel_of_the_fused_cross_entropy_equals_pytorchs_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU; tests/losses/test_fused.py runs the kernel without one")
    agree("cross_entropy", "fused", "cuda")


def test_forward_alone_holds_no_gradient():
    loss = LOSSES["mse_loss"]
    inputs = make_inputs(loss, (4,), "float32", "cpu")
    call, args = running.passing(implementation("mse_loss", "pytorch", "cpu"), inputs, loss, FORWARD)
    assert not call(*args).requires_grad


def test_the_fused_form_says_what_it_lacks_on_a_cpu():
    with pytest.raises(CantRunError) as error:
        implementation("cross_entropy", "fused", "cpu")
    assert "cpu" in str(error.value).lower() or "gpu" in str(error.value).lower()
    with pytest.raises(CantRunError, match="mse_loss has no fused form; those that have are cross_entropy"):
        implementation("mse_loss", "fused", "cpu")


def test_no_triton(monkeypatch):
    monkeypatch.setattr(implementations.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CantRunError, match="Triton on a GPU, and it is not installed"):
        implementation("mse_loss", "compiled", "cuda")


@pytest.mark.parametrize("which", ["compiled", "pytorch compiled"])
def test_no_compiler(which, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CantRunError, match=r"needs a C\+\+ compiler on the CPU, and 'no-such-compiler' was not found"):
        implementation("mse_loss", which, "cpu")


def test_liger_is_used_where_it_is_installed_and_on_a_gpu_alone(monkeypatch):
    assert not applies("mse_loss", "liger")
    with pytest.raises(CantRunError, match="Liger Kernel has no mse_loss"):
        implementation("mse_loss", "liger", "cuda")
    with pytest.raises(CantRunError, match="needs a GPU; the device is cpu"):
        implementation("cross_entropy", "liger", "cpu")
    monkeypatch.setitem(implementations.importlib.import_module("sys").modules, "liger_kernel", None)
    with pytest.raises(CantRunError, match="Liger Kernel is not installed"):
        implementation("cross_entropy", "liger", "cuda")


def test_liger_takes_its_own_order_of_arguments(monkeypatch):
    import sys
    from types import ModuleType

    fake = ModuleType("liger_kernel.transformers")
    fake.LigerCrossEntropyLoss = torch.nn.CrossEntropyLoss
    fake.LigerFusedLinearCrossEntropyLoss = lambda: lambda w, h, y: torch.nn.functional.cross_entropy(h @ w.T, y)
    monkeypatch.setitem(sys.modules, "liger_kernel", ModuleType("liger_kernel"))
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", fake)
    for name in ("cross_entropy", "linear_cross_entropy"):
        loss = LOSSES[name]
        inputs = make_inputs(loss, (6, 4, 5)[: len(KINDS[loss.kind])], "float32", "cpu")
        call = implementation(name, "liger", "cuda")
        torch.testing.assert_close(call(*inputs), implementation(name, "pytorch", "cpu")(*inputs))


def test_what_is_compared_is_among_the_implementations():
    assert {"definition", "reference", "compiled", "fused", "pytorch"} < set(IMPLEMENTATIONS)


@pytest.fixture
def without_a_twin(monkeypatch):
    """A loss that PyTorch does not have, among those that are measured."""
    monkeypatch.setitem(LOSSES, "mine", replace(LOSSES["mse_loss"], name="mine", twin=None))
    return "mine"


def test_a_loss_without_a_twin_has_every_implementation_but_pytorchs(without_a_twin):
    which = [name for name in IMPLEMENTATIONS if applies(without_a_twin, name)]
    assert which == ["definition", "reference", "compiled"]
    for name in ("pytorch", "pytorch compiled"):
        with pytest.raises(CantRunError, match="PyTorch has no mine"):
            implementation(without_a_twin, name, "cpu")
    agree(without_a_twin, "reference")
    rows = [
        running.run(case, running.Protocol(budget=0.01)) for case in cases([without_a_twin], which[:2], sizes=[(9,)])
    ]
    assert {row.status for row in rows} == {running.MEASURED}
