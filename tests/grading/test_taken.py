"""After PyTorch's losses and an exercise's forbidden operations are taken away, no kernel that computes one is left."""

import itertools
import json
import subprocess
import sys

import pytest

from lossbook.checks.trial import LOSSES
from lossbook.exercises import exercises

# Prints, for each taken operation, the kernels that are reached by some key and are not the one that refuses.
LEFT = """
import json, sys, torch
from lossbook.grading.run.sandbox import losses

forbidden = json.load(sys.stdin)
found = losses.find()
taken = {name for names in found[0].values() for name in names}
taken |= set(losses.computing(set(forbidden) - {"grad", "backward"}))
losses.take_away(found, ())
losses.take_operations(forbidden)
left = {}
for name in sorted(taken):
    for line in torch._C._dispatch_dump_table(name).splitlines():
        key, _, kernel = line.partition(": ")
        if "backend fallback" in kernel or "losses.py" in kernel:
            continue
        left.setdefault(key, []).append(name)
print(json.dumps([len(taken), left]))
"""
# Kernels at these keys call the operation again, further down; the rest are devices that a submission does not see.
PASSING_ON = ("Autograd", "Autocast", "Tracer", "ADInplaceOrView", "Functionalize", "BackendSelect")
ELSEWHERE = ("CUDA", "HIP", "XLA", "MPS", "IPU", "XPU", "HPU", "VE", "Lazy", "MTIA", "MAIA", "PrivateUse", "FPGA")
ELSEWHERE += ("Vulkan", "Metal", "Meta")


# Imports PyTorch once, and runs each code in a fork: what is taken away there is gone for good.
FORKS = """
import io, json, os, sys, traceback, torch
from lossbook.checks import trial
from lossbook.grading.run.sandbox import losses

for line in sys.stdin:
    code, given = json.loads(line)
    if os.fork() == 0:
        try:
            sys.stdin = io.StringIO(given)
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
        except BaseException:
            print(json.dumps({"raised": traceback.format_exc()}))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
    print("ended", flush=True)
"""


@pytest.fixture(scope="module")
def after_taking():
    """Return what runs code in a process of its own, with the names that are forbidden, and tells what it printed."""
    words = [sys.executable, "-c", FORKS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def run(code, forbidden=()):
            process.stdin.write(json.dumps([code, json.dumps(sorted(forbidden))]) + "\n")
            said = list(itertools.takewhile(lambda line: line not in ("ended\n", ""), process.stdout))
            found = json.loads(said[-1])
            assert not (isinstance(found, dict) and "raised" in found), found["raised"]
            return found

        yield run
        process.stdin.close()


@pytest.mark.parametrize("function", ["sigmoid", "pairwise_sum"])
def test_no_kernel_is_left_at_any_key(after_taking, function):
    count, left = after_taking(LEFT, exercises()[function].forbidden)
    computing = {
        key: names
        for key, names in left.items()
        if not key.startswith(PASSING_ON) and not any(device in key for device in ELSEWHERE)
    }
    assert count > 100
    assert not computing


def test_every_loss_has_its_operation_or_its_function(after_taking):
    code = (
        "import json, torch\nfrom lossbook.grading.run.sandbox import losses\nfound = losses.find()\n"
        "print(json.dumps(sorted({*found[0], *(losses._plain(f.__name__) for f in found[1])})))"
    )
    names = set(after_taking(code))
    assert {name for name in LOSSES if name not in names} <= {"linear_cross_entropy"}  # PyTorch has it from 2.14 on


CALLS = """
import json, sys, torch
from lossbook.checks.trial import ForbiddenError
from lossbook.grading.run.sandbox import losses

aten, z = torch.ops.aten, torch.tensor([0.5, -1.0, 2.0])
losses.take_away(losses.find(), ())
losses.take_operations(json.load(sys.stdin))
both = torch.stack([z, -z])
CALLS = {
    "log_sigmoid_backward": lambda z: aten.log_sigmoid_backward(torch.ones_like(z), z, torch.empty(0)),
    "masked_softmax": lambda z: torch._masked_softmax(z[None], torch.zeros(1, 3, dtype=torch.bool), 1),
    "flash_attention": lambda z: aten._scaled_dot_product_flash_attention_for_cpu(*[z[None, None, None]] * 3),
    "sigmoid": torch.sigmoid, "expit": torch.special.expit, "into": lambda z: torch.sigmoid(z, out=torch.empty(3)),
    "foreach": lambda z: torch._foreach_sigmoid([z]), "lstm": lambda z: torch.nn.LSTM(3, 3)(z[None]),
    "bce": lambda z: torch.binary_cross_entropy_with_logits(z, z, None, None, 1),
    "cross_entropy": lambda z: aten.cross_entropy_loss(z, z), "mse": lambda z: aten.mse_loss(z, z),
    "pointwise": lambda z: torch.ops.mkldnn._linear_pointwise(z[:, None], torch.eye(1), None, "sigmoid", [], ""),
}
WAYS = {
    "plainly": lambda f: f(z), "functionalize": lambda f: torch.func.functionalize(f)(z),
    "vmap": lambda f: torch.func.vmap(f)(both), "jvp": lambda f: torch.func.jvp(f, (z,), (z,)),
    "vjp": lambda f: torch.func.vjp(f, z), "vmap of vmap": lambda f: torch.vmap(torch.vmap(f))(both[None]),
    "functionalize of vmap": lambda f: torch.func.functionalize(torch.vmap(f))(both),
    "jacfwd": lambda f: torch.func.jacfwd(f)(z), "autocast": lambda f: autocast(f),
    "no mode": lambda f: off(f), "a leaf": lambda f: f(z.clone().requires_grad_()),
    "inference": lambda f: torch.inference_mode()(f)(z), "double": lambda f: f(z.double()),
    "sparse": lambda f: f(z.to_sparse()),
}
def autocast(f):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return f(z)
def off(f):
    from torch.utils._python_dispatch import _disable_current_modes
    with _disable_current_modes():
        return f(z)
passed = []
for name, call in CALLS.items():
    for way, made in WAYS.items():
        try:
            made(call)
            passed.append([name, way])
        except ForbiddenError:
            continue
        except Exception as error:  # other tensors may be refused for other reasons, before
            if "automatic differentiation" in str(error):
                continue
            if way not in ("sparse", "double", "vmap of vmap", "vmap", "functionalize of vmap", "jacfwd", "jvp", "vjp"):
                passed.append([name, way, f"{type(error).__name__}: {error}"])
print(json.dumps(passed))
"""


def test_no_transform_leads_past_what_is_taken(after_taking):
    assert after_taking(CALLS, exercises()["sigmoid"].forbidden) == []


def test_forward_mode_works_where_the_sources_are_gone(after_taking):
    code = (
        "import json, torch\nfrom lossbook.grading.run.sandbox import losses\nfound = losses.find()\n"
        "import torch._sources\ntorch._sources.get_source_lines_and_file = None\n"
        "losses.take_away(found, ())\nz = torch.tensor([0.5])\n"
        "print(json.dumps(torch.func.jvp(torch.exp, (z,), (z,))[1].tolist()))"
    )
    assert after_taking(code) == pytest.approx([0.5 * 2.718281828**0.5])
