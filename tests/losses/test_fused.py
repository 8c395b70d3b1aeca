"""The fused losses: what they do on any machine, the kernels in the interpreter, compiled, and on a GPU."""

import itertools
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from lossbook.losses import cross_entropy, fused

INF = math.inf
HERE = Path(__file__).parent
REDUCTIONS = ("none", "mean", "sum")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def python(*arguments, **environment):
    """Run Python in a process of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


# --- The kernels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["fused_interpreted.py", "fused_interpreted_more.py"])
def test_the_kernels_in_the_interpreter(file):
    pytest.importorskip("triton", reason="Triton is for Linux")
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    printed = python("-m", "pytest", *options, str(HERE / file), TRITON_INTERPRET="1", PYTHONPATH=str(HERE))
    assert re.search(r"\d\d passed", printed)
    assert "skipped" not in printed


COMPILE = """
import itertools, os, re, subprocess, sys
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lossbook.losses import fused_kernels as kernels

TOOLS = os.path.join(os.path.dirname(triton.__file__), "backends", "nvidia", "bin")
NAMES = {torch.bfloat16: "*bf16", torch.float32: "*fp32"}

def compiled(kernel, warps, constants, types, divisible):
    names = kernel.arg_names
    signature = {n: "constexpr" if n in constants else types.get(n, "i32") for n in names}
    attributes = {(names.index(n),): [["tt.divisibility", 16]] for n in divisible}
    source = ASTSource(kernel, signature, {(names.index(n),): v for n, v in constants.items()}, attributes)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})

def tool(path, option):
    return subprocess.run([TOOLS + "/cuobjdump", option, path], capture_output=True, text=True).stdout

def report(name, binary, held):
    path = os.path.join(sys.argv[1], "kernel.cubin")
    open(path, "wb").write(binary.asm["cubin"])
    registers, stack = re.search(r"REG:(\\d+) STACK:(\\d+)", tool(path, "-res-usage")).groups()
    sass = tool(path, "-sass")
    wide = len(re.findall(r"LDG\\.\\S*128", sass)), len(re.findall(r"STG\\.\\S*128", sass))
    # The inner loops: what comes back to an earlier line and has no loop inside.
    lines = [(int(a, 16), what) for a, what in re.findall(r"/\\*([0-9a-f]{4,})\\*/ +(.*?);", sass)]
    jumps = [(int(m[1], 16), at) for at, what in lines if (m := re.search(r"BRA.* (0x[0-9a-f]+)", what))]
    back = [(to, at) for to, at in jumps if to < at]
    inner = [(a, b) for a, b in back if not any(a <= c and d <= b for c, d in back if (c, d) != (a, b))]
    bodies = [[what for at, what in lines if a <= at <= b] for a, b in inner]
    loops = [body for body in bodies if any("EX2" in what for what in body)]
    each = sum(map(len, loops)) / held, sum("EX2" in what for body in loops for what in body) / held
    ones = sum("LDG" in what and ".128" not in what for body in loops for what in body)
    print(name, registers, stack, *wide, *each, ones, sep=",")

def rows(V, dtype=torch.bfloat16):
    x = torch.empty(0, dtype=dtype).as_strided((0, V), (V, 1))
    return x, [n for n in ("z_row", "gradient_row", "V", "row_stride") if V % 16 == 0]

def loss(V, dtype=torch.bfloat16, SMOOTHING=0.0, WEIGHTED=False, CAP=0.0, Z_LOSS=0.0):
    x, divisible = rows(V, dtype)
    R, T, E, PEELED, _ = kernels.plan(x, heavy=WEIGHTED and SMOOTHING > 0)
    constants = dict(SMOOTHING=SMOOTHING, WEIGHTED=WEIGHTED, CAP=CAP, Z_LOSS=Z_LOSS, DIVIDED=True, LSE=True,
                     GRADIENT=True, EVEN=not PEELED and V % (R * T * E) == 0, PEELED=PEELED, R=R, T=T, E=E,
                     z_column=1, gradient_column=1)
    if V == 1:
        constants.update(V=1, z_row=1, gradient_row=1)
    pointers = dict(z_ptr=NAMES[dtype], gradient_ptr=NAMES[dtype], target_ptr="*i64", weight_ptr=NAMES[dtype],
                    weight_sum_ptr="*fp32", divisor_ptr="*fp32", losses_ptr="*fp32", lse_ptr="*fp32")
    divisible = [*pointers, *(n for n in divisible if n in kernels.loss_and_gradient.arg_names)]
    name = f"{V} {dtype} smoothing {SMOOTHING} weighted {WEIGHTED} cap {CAP}"
    report(name, compiled(kernels.loss_and_gradient, T // 32, constants, pointers, divisible), R * E)

def scale(V):
    x, divisible = rows(V)
    R, T, E, PEELED, _ = kernels.plan(x)
    constants = dict(REAL=kernels.tl.float32, EVEN=not PEELED and V % (R * T * E) == 0, PEELED=PEELED, R=R, T=T, E=E,
                     column_stride=1)
    pointers = dict(gradient_ptr="*bf16", factor_ptr="*fp32", target_ptr="*i64")
    divisible = [*pointers, *(n for n in divisible if n in kernels.scale.arg_names)]
    report(f"{V} scale", compiled(kernels.scale, T // 32, constants, pointers, divisible), R * E)

for V in (131072, 50257):
    loss(V)
    loss(V, torch.float32)
    loss(V, SMOOTHING=0.1)
    loss(V, CAP=30.0, Z_LOSS=1e-4)
    loss(V, SMOOTHING=0.1, WEIGHTED=True)
    loss(V, SMOOTHING=0.1, WEIGHTED=True, CAP=30.0, Z_LOSS=1e-4)
    scale(V)
loss(1, SMOOTHING=0.1, WEIGHTED=True)
"""


def test_the_kernels_compile_for_hopper(tmp_path):
    triton = pytest.importorskip("triton", reason="Triton is for Linux")
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    if not (tools / "cuobjdump").exists():
        pytest.skip("this Triton brings no tools of NVIDIA's")
    printed = python("-W", "ignore", "-c", COMPILE, str(tmp_path), TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    *large, single = [line.split(",") for line in printed.splitlines()]
    assert len(large) == 14
    for name, *numbers in large:
        registers, stack, loads, stores, instructions, exponentials, single_loads = map(float, numbers)
        # 1024 threads have 64 registers each; and nothing may be spilled to memory.
        assert registers <= 64, name
        assert stack == 0, name
        assert loads >= 2, f"{name}: logits are loaded 16 bytes at a time"
        assert stores >= 2, f"{name}: gradients are stored 16 bytes at a time"
        if "scale" not in name and "weighted True" not in name:
            assert single_loads == 0, f"{name}: and no logit alone, inside a row"
        if "cap 0.0" in name and "smoothing 0.0" in name:
            # Chapter 8 counts with these.
            assert 2 <= exponentials <= 2.2, name
            assert 15 <= instructions <= 18, name
        if "cap 30.0" in name:
            assert 4 <= exponentials <= 4.2, name
            assert "smoothing 0.1" in name or 2.5 * 17 <= instructions <= 3.3 * 17, name
    assert single[0].startswith("1 ")


needs_gpu = pytest.mark.skipif(not fused.available("cuda")[0], reason=fused.available("cuda")[1])


@needs_gpu
class TestOnAGPU:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("V", [1, 7, 1000, 50257, 131072])
    def test_equals_the_reference(self, dtype, V):
        torch.manual_seed(0)
        z = (torch.randn(300, V, device="cuda") * 3).to(dtype)
        w = torch.rand(V, device="cuda").to(dtype)
        y = torch.randint(0, V, (300,), device="cuda").masked_fill(torch.arange(300, device="cuda") % 7 == 1, -100)
        eps = torch.finfo(dtype).eps
        for weight, smoothing, reduction in itertools.product((None, w), (0.0, 0.1), REDUCTIONS):
            options = {"reduction": reduction, "label_smoothing": smoothing}
            a, b = z.clone().requires_grad_(), z.double().requires_grad_()
            mine = fused.cross_entropy(a, y, weight, **options)
            theirs = F.cross_entropy(b, y, None if weight is None else weight.double(), **options)
            torch.testing.assert_close(mine.double(), theirs, rtol=4 * eps + 1e-6 * (eps > 1e-9), atol=4 * eps)
            g = torch.rand_like(mine)
            mine.backward(g)
            theirs.backward(g.double())
            scale = b.grad.abs().max().item()
            torch.testing.assert_close(
                a.grad.double(), b.grad, rtol=4 * eps + 1e-5 * (eps > 1e-9), atol=4 * eps * scale
            )

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("V", [7, 50257, 131072])
    def test_the_extras_equal_a_few_plain_lines(self, dtype, V):
        torch.manual_seed(0)
        z = (torch.randn(300, V, device="cuda") * 3).to(dtype)
        y = torch.randint(0, V, (300,), device="cuda")
        a, b = z.clone().requires_grad_(), z.double().clone().requires_grad_()
        count = (y != -100).sum()
        extras = {"softcap": 30.0, "z_loss": 1e-3, "divisor": count, "return_lse": True}
        mine, lse = fused.cross_entropy(a, y, reduction="sum", **extras)
        capped = 30 * torch.tanh(b / 30)
        plain = (F.cross_entropy(capped, y, reduction="sum") + 1e-3 * capped.logsumexp(1).pow(2).sum()) / count
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(mine.double(), plain, rtol=4 * eps + 1e-6 * (eps > 1e-9), atol=0)
        torch.testing.assert_close(lse.double(), capped.logsumexp(1), rtol=1e-6, atol=0)
        mine.backward()
        plain.backward()
        scale = b.grad.abs().max().item()
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=4 * eps + 1e-5 * (eps > 1e-9), atol=4 * eps * scale)

    def test_needs_no_more_memory_than_logits_and_gradient(self):
        N, V = 1024, 32768
        z = torch.randn(N, V, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        y = torch.randint(0, V, (N,), device="cuda")
        fused.cross_entropy(z, y).backward()
        z.grad = None
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        fused.cross_entropy(z, y).backward()
        more = torch.cuda.max_memory_allocated() - before - z.numel() * 2
        assert more <= 64 * N + 65536

    def test_elements_beyond_32_bits(self):
        N, V = 17_000, 131_072
        if torch.cuda.mem_get_info()[0] < 3 * 2 * N * V:
            pytest.skip("the GPU has too little memory free for 2.2e9 logits and their gradient")
        z = torch.zeros(N, V, device="cuda", dtype=torch.bfloat16)
        z[-1, 3] = 5.0
        y = torch.full((N,), 3, device="cuda")
        (g,) = torch.autograd.grad(fused.cross_entropy(z.requires_grad_(), y, reduction="sum"), z)
        expected = z.detach()[-1].double().softmax(0)
        expected[3] -= 1
        torch.testing.assert_close(g[-1].double(), expected, rtol=1e-2, atol=1e-8)


# --- Without a GPU ------------------------------------------------------------------------------------------------


def test_importing_it_does_not_import_triton():
    code = (
        "import sys, torch; from lossbook.losses import fused; fused.available('cpu'); print('triton' in sys.modules)"
    )
    assert python("-c", code, TRITON_INTERPRET="0").strip() == "False"


def test_the_reference_stands_in_and_says_why_once(monkeypatch, recwarn):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(fused, "_told", set())
    z, y = torch.randn(4, 3), torch.tensor([0, 1, 2, -100])
    for _ in range(2):
        assert torch.equal(fused.cross_entropy(z, y), cross_entropy(z, y))
    assert [str(w.message) for w in recwarn if w.category is fused.FusedFallback] == [
        "the reference computes this cross-entropy: the input is on the cpu; it must be on a GPU"
    ]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.warns(fused.FusedFallback, match="Triton is not installed"):
        fused.cross_entropy(z, y)
    with pytest.raises(TypeError, match="input is a list"):
        fused.cross_entropy([1.0], y)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.filterwarnings("ignore::lossbook.losses.fused.FusedFallback")
def test_without_the_kernel_what_weighs_nothing_has_pytorchs_gradient(dtype, reduction, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    z = torch.tensor([[1.0, 2, 3], [3, 1, 0], [0, 0, 2]]).to(dtype)
    absent, zero = torch.tensor([INF, 2, 1]), torch.tensor([0.0, 0, 1])
    for y, weight in (
        ((-100, -100, -100), None),
        ((-100, -100, -100), zero),
        ((0, -100, 1), zero),
        ((0, -100, 2), zero),
        ((1, -100, 2), absent),
    ):
        mine, theirs = z.clone().requires_grad_(), z.double().clone().requires_grad_()
        options = {"reduction": reduction}
        a = fused.cross_entropy(mine, torch.tensor(y), None if weight is None else weight.to(dtype), **options)
        b = F.cross_entropy(theirs, torch.tensor(y), None if weight is None else weight.double(), **options)
        half = reduction == "none" and dtype in (torch.bfloat16, torch.float16)
        assert a.dtype == (torch.float32 if half else dtype)
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(a.double(), b, rtol=2 * eps, atol=2 * eps, equal_nan=True)
        a.sum().backward()
        b.sum().backward()
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=2 * eps, atol=2 * eps, equal_nan=True)


@pytest.mark.filterwarnings("ignore::lossbook.losses.fused.FusedFallback")
def test_losses_of_probabilities_are_float32_each_and_under_autocast():
    torch.manual_seed(0)
    z, q, w = torch.randn(4, 3).bfloat16(), torch.randn(4, 3).softmax(1).bfloat16(), torch.rand(3).bfloat16()
    assert fused.cross_entropy(z, q).dtype == torch.bfloat16
    each = fused.cross_entropy(z, q, w, reduction="none")
    assert each.dtype == torch.float32
    torch.testing.assert_close(each, F.cross_entropy(z.float(), q.float(), w.float(), reduction="none"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for reduction in REDUCTIONS:
            mine = fused.cross_entropy(z, q, w, reduction=reduction)
            torch.testing.assert_close(mine, F.cross_entropy(z, q, w, reduction=reduction))


@pytest.mark.filterwarnings("ignore::lossbook.losses.fused.FusedFallback")
def test_without_the_kernel_the_extras_are_there_as_well(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    torch.manual_seed(0)
    z, y = torch.randn(4, 5, dtype=torch.float64) * 3, torch.tensor([0, -100, 4, 2])
    z[1, 0] = math.nan  # in a row that does not count

    def loss(z):
        return fused.cross_entropy(z, y, reduction="sum", softcap=5.0, z_loss=0.1, divisor=3)

    leaf = z.clone().requires_grad_()
    value, lse = fused.cross_entropy(leaf, y, reduction="sum", softcap=5.0, z_loss=0.1, divisor=3, return_lse=True)
    counted = y != -100
    capped = 5 * torch.tanh(z[counted] / 5)
    expected = torch.zeros(4, dtype=torch.float64)
    expected[counted] = capped.logsumexp(1)
    torch.testing.assert_close(lse, expected)
    assert not lse.requires_grad
    plain = F.cross_entropy(capped, y[counted], reduction="sum") + 0.1 * capped.logsumexp(1).pow(2).sum()
    torch.testing.assert_close(value.detach(), plain / 3)
    (g,) = torch.autograd.grad(value, leaf)
    assert g[1].eq(0).all()
    finite = z.nan_to_num().requires_grad_()
    assert gradcheck(loss, finite)
    assert gradgradcheck(loss, finite)


def test_available_says_why_not(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert fused.available("cpu") == (False, "the input is on the cpu; it must be on a GPU")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.version, "hip", None)
    for capability, possible in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, c=capability: c)
        assert fused.available()[0] == possible
        assert "a GPU" in fused.available()[1]
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert "AMD" in fused.available()[1]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100])
def test_online_softmax_finds_the_largest_and_the_sum(block):
    torch.manual_seed(0)
    z = torch.randn(2, 5, 7, dtype=torch.float64) * 3
    z[0, 0] = torch.tensor([-INF, -INF, 1, 2, -INF, 3, -INF])
    z[0, 1] += 1000
    z[0, 2] = -INF
    m, d = fused.online_softmax(z, block)
    assert torch.equal(m, z.amax(-1))
    torch.testing.assert_close(m + d.log(), z.logsumexp(-1))
    assert d[0, 2] == 0


def test_online_softmax_of_nothing_and_refusals():
    m, d = fused.online_softmax(torch.zeros(2, 0))
    assert m.tolist() == [-INF, -INF]
    assert d.tolist() == [0, 0]
    for block, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="block"):
            fused.online_softmax(torch.zeros(3), block)


def test_bytes_moved():
    assert fused.bytes_moved(8192, 131072, torch.bfloat16) == 2**32
    assert fused.bytes_moved(2, 3, torch.float64) == 96
