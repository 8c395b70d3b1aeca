"""A function that one exercise forbids wins nothing there, by name or with the watch switched off."""

import itertools

import pytest

pytestmark = pytest.mark.xdist_group("attacks")


def body(function, arguments, text, before=""):
    """Return the answer to one exercise: a function with this body, and what stands before it."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return {"answers": {function: f"{before}\ndef {function}({arguments}):\n{lines}"}}


def sigmoid(text, before="", says="called sigmoid"):
    return {**body("sigmoid", "z", text, "import torch\nimport torch.nn.functional as F\n" + before), "says": says}


def gradient(text, says, more=""):
    before = "import torch\ndef loss(z, y):\n    return (torch.log(1 + torch.exp(z)) - y * z).mean()\n"
    return {
        **body("bce_gradient", "z, y", "x = z.detach().clone().requires_grad_()\n" + text, before + more),
        "says": says,
    }


def pairs(text, says="called sum"):
    return {**body("pairwise_sum", "x", text, "import torch\n"), "says": says}


REFUSED = "a function was called that this exercise asks you to write"
MODES = "from torch.utils._python_dispatch import _disable_current_modes\n"
HANDLER = """class M(Mode):
    def {}(self, func, types, args=(), kwargs=None):
        return torch.sigmoid(args[0])
"""
WRAPPER = """class W(torch.Tensor):
    @staticmethod
    def __new__(cls, z):
        made = torch.Tensor._make_wrapper_subclass(cls, z.shape, dtype=z.dtype)
        made.z = z
        return made
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return torch.sigmoid(args[0].z)
"""
FUNCTION = """class T(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            return torch.sigmoid(args[0].as_subclass(torch.Tensor))
"""
FRAMES = """frame = sys._getframe()
while frame:
    if (watch := frame.f_locals.get("watch")) is not None:
        watch.forbidden = ()
    frame = frame.f_back
return torch.sigmoid(z)
"""
TRIAL = "import lossbook.checks.trial as trial, lossbook.grading.run.sandbox.stage as stage\n"
PYTHON_KEY = "torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.Python))"
CPU = "torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)"
PAIR = (
    "from importlib import import_module\nlosses = import_module('loss' + 'book.grading.run.sandbox.losses')\n"
    "trial = import_module('loss' + 'book.checks.trial')\n"
)
SCRIPT = """def f(z, y):
    x = z.detach().clone()
    x.requires_grad_()
    (torch.log(1 + torch.exp(x)) - y * x).mean().backward()
    g = x.grad
    assert g is not None
    return g
"""
ATTACKS = {
    "sigmoid-by-name": sigmoid("return torch.sigmoid(z)"),
    "sigmoid-expit": sigmoid("return torch.special.expit(z)", says="called special_expit"),
    "sigmoid-method": sigmoid("return z.sigmoid()"),
    "sigmoid-in-place": sigmoid("return z.clone().sigmoid_()"),
    "sigmoid-out": sigmoid("return torch.sigmoid(z, out=torch.empty_like(z))"),
    "sigmoid-module": sigmoid("return torch.nn.Sigmoid()(z)"),
    "sigmoid-logsigmoid": sigmoid("return F.logsigmoid(z).exp()", says=REFUSED),
    "sigmoid-ops": sigmoid("return torch.ops.aten.sigmoid(z)"),
    "sigmoid-script": sigmoid(
        "return unit.f(z)", "unit = torch.jit.CompilationUnit('def f(z):\\n    return torch.sigmoid(z)\\n')\n"
    ),
    "sigmoid-trace": sigmoid(
        "return f(z)", "f = torch.jit.trace(torch.sigmoid, torch.ones(3))\n", says="name 'f' is not defined"
    ),
    "sigmoid-foreach": sigmoid("return torch._foreach_sigmoid([z])[0]", says=REFUSED),
    "sigmoid-lstm": sigmoid(
        "n = z.numel()\ngates = torch.stack([z.flatten(), 0 * z.flatten(), z.flatten(), z.flatten()], 1)\n"
        "return torch.lstm_cell(gates, (torch.zeros(n, 1), torch.ones(n, 1)), torch.eye(4), torch.zeros(4, 1))[0]",
        says=REFUSED,
    ),
    "sigmoid-silu": sigmoid("return F.silu(z) / z", says="called silu"),
    "sigmoid-softmax": sigmoid("return torch.softmax(torch.stack([z, 0 * z]), 0)[0]", says="called softmax"),
    "sigmoid-glu": sigmoid("return F.glu(torch.stack([torch.ones_like(z), z]), 0)[0]", says="called glu"),
    "sigmoid-transform": sigmoid("return torch.distributions.transforms.SigmoidTransform()(z)"),
    "sigmoid-slope-of-softplus": sigmoid(
        "x = z.detach().requires_grad_()\nF.softplus(x).sum().backward()\nreturn x.grad", says="called softplus"
    ),
    "sigmoid-backward-of-softplus": sigmoid(
        "return 1 - torch.ops.aten.softplus_backward(torch.ones_like(z), -z, 1.0, 20.0)", says=REFUSED
    ),
    "sigmoid-modes-off": sigmoid(f"{MODES}with _disable_current_modes():\n    return torch.sigmoid(z)"),
    "sigmoid-dispatch-off": sigmoid("with torch._C._DisableTorchDispatch():\n    return torch.sigmoid(z)"),
    "sigmoid-function-off": sigmoid("with torch._C.DisableTorchFunction():\n    return torch.sigmoid(z)"),
    "sigmoid-key-excluded": sigmoid(f"with {PYTHON_KEY}:\n    return torch.ops.aten.sigmoid.default(z)", says=REFUSED),
    "sigmoid-redispatched": sigmoid(f"return torch.ops.aten.sigmoid.default.redispatch({CPU}, z)", says=REFUSED),
    "sigmoid-kernel-kept": sigmoid(
        f"return kernel.call_boxed({CPU}, z)", "kernel = torch.library.get_kernel('aten::sigmoid', 'CPU')\n", says=""
    ),
    "sigmoid-mkldnn": sigmoid(f"with {PYTHON_KEY}:\n    return z.to_mkldnn().sigmoid().to_dense()", says=""),
    "sigmoid-own-op": sigmoid(
        "return op(z)",
        "@torch.library.custom_op('me::op', mutates_args=())\n"
        "def op(z: torch.Tensor) -> torch.Tensor:\n    return torch.sigmoid(z)\n",
        says=REFUSED,
    ),
    "sigmoid-own-dispatch-mode": sigmoid(
        "with M():\n    return torch.exp(z)",
        "from torch.utils._python_dispatch import TorchDispatchMode as Mode\n" + HANDLER.format("__torch_dispatch__"),
    ),
    "sigmoid-own-function-mode": sigmoid(
        "with M():\n    return torch.exp(z)",
        "from torch.overrides import TorchFunctionMode as Mode\n" + HANDLER.format("__torch_function__"),
    ),
    "sigmoid-in-wrapper": sigmoid("return torch.exp(W(z))", WRAPPER, says=REFUSED),
    "sigmoid-in-subclass": sigmoid("return torch.exp(z.as_subclass(T))", FUNCTION),
    "sigmoid-when-read-wrapper": sigmoid("return W(z)", WRAPPER, says="runs code of its own when it is read"),
    "sigmoid-when-read-array": sigmoid(
        "return L(z)",
        "class L:\n    def __init__(self, z):\n        self.z = z\n"
        "    def __array__(self, dtype=None, copy=None):\n        return torch.sigmoid(self.z).numpy()\n",
        says="got a L",
    ),
    "sigmoid-when-read-list": sigmoid(
        "made = L()\nmade.z = z\nreturn made",
        "class L(list):\n    def __len__(self):\n        return len(self.z)\n"
        "    def __iter__(self):\n        return iter(torch.sigmoid(self.z))\n",
        says="got a list",
    ),
    "sigmoid-in-del": sigmoid(
        "found = []\nclass D:\n    def __del__(self):\n        found.append(torch.sigmoid(z))\n"
        "d = D()\ndel d\nreturn found[0]"
    ),
    "sigmoid-suspended": sigmoid(
        "return g.send(z)",
        f"{MODES}def made():\n    z = yield\n    with _disable_current_modes():\n        while True:\n"
        "            z = yield torch.sigmoid(z)\ng = made()\nnext(g)\n",
    ),
    "sigmoid-in-signal": sigmoid(
        "found[:] = [z]\nsignal.raise_signal(signal.SIGUSR1)\nreturn found[0]",
        "import signal\nfound = []\ndef handle(*_):\n    found[0] = torch.sigmoid(found[0])\n"
        "signal.signal(signal.SIGUSR1, handle)\n",
    ),
    "sigmoid-in-trace-hook": sigmoid(
        "found = []\ndef hook(*_):\n    sys.settrace(None)\n    found.append(torch.sigmoid(z))\nsys.settrace(hook)\n"
        "called()\nreturn found[0]",
        "import sys\ndef called():\n    pass\n",
    ),
    "sigmoid-in-autograd": sigmoid(
        "return Fn.apply(z)",
        "class Fn(torch.autograd.Function):\n    @staticmethod\n"
        "    def forward(c, z):\n        return torch.sigmoid(z)\n",
    ),
    "sigmoid-attempt-replaced": sigmoid(
        "return torch.sigmoid(z)",
        TRIAL + "real = stage.attempt\ndef attempt(f, a, k, **o):\n    if f.__name__ != 'sigmoid':\n"
        "        return real(f, a, k, **o)\n    return trial.Outcome('returned', f(*a))\nstage.attempt = attempt\n",
        says=REFUSED,
    ),
    "sigmoid-watch-replaced": sigmoid(
        "return torch.sigmoid(z)", TRIAL + "trial.Watch.see = lambda self, name: None\n", says=REFUSED
    ),
    "sigmoid-watch-code": sigmoid(
        "return torch.sigmoid(z)",
        TRIAL + "trial.Watch.see.__code__ = (lambda self, name: None).__code__\n",
        says=REFUSED,
    ),
    "sigmoid-watch-in-frames": sigmoid(FRAMES, "import sys\n", says=REFUSED),
    "sigmoid-answer-replaced": sigmoid("return torch.sigmoid(z)", TRIAL + "stage.answer = lambda *a: None\n"),
    "sigmoid-modules-gone": sigmoid(
        "return torch.sigmoid(z)",
        "import sys\nfor name in [name for name in sys.modules if 'lossbook' in name]:\n    del sys.modules[name]\n",
    ),
    "sigmoid-coarse-table": sigmoid(
        "return table[((z.clamp(-20, 20) + 20) * 1000).round().long()]",
        "table = torch.sigmoid(torch.linspace(-20, 20, 40001))\n",
        says="",
    ),
    "sigmoid-slope-by-c": sigmoid(
        "return torch.ops.aten.log_sigmoid_backward(torch.ones_like(z), -z, torch.empty(0))", says=REFUSED
    ),
    "sigmoid-fused-linear": sigmoid(
        "return torch.ops.mkldnn._linear_pointwise(z.reshape(-1, 1), torch.eye(1), None, 'sigmoid', [], '')"
        ".reshape(z.shape)",
        says="backend",
    ),
    "sigmoid-fused-convolution": sigmoid(
        "x = z.reshape(1, 1, -1, 1)\nreturn torch.ops.mkldnn._convolution_pointwise("
        "x, torch.ones(1, 1, 1, 1), None, [0, 0], [1, 1], [1, 1], 1, 'sigmoid', [], '').reshape(z.shape)",
        says="backend",
    ),
    "sigmoid-quantized": sigmoid(
        "q = torch.quantize_per_tensor(z, 0.001, 0, torch.qint32)\n"
        "return torch.ops.quantized.sigmoid(q, 1e-3, 0).dequantize()",
        says="",
    ),
    "sigmoid-in-lstm": sigmoid(
        "m = torch.nn.LSTM(1, 1)\nwith torch.no_grad():\n    return m(z.reshape(-1, 1, 1))[0].reshape(z.shape)",
        says=REFUSED,
    ),
    "sigmoid-in-attention": sigmoid(
        "q = torch.stack([z.flatten(), 0 * z.flatten()], 1)[None, None]\n"
        "found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, torch.eye(2)[None, None],"
        " torch.eye(2)[None, None], scale=1.0)\nreturn found[0][0, 0, :, 0].reshape(z.shape)",
        says=REFUSED,
    ),
    "sigmoid-masked-softmax": sigmoid(
        "both = torch.stack([z.flatten(), 0 * z.flatten()], 1)\n"
        "return torch._masked_softmax(both, torch.zeros_like(both).bool(), 1)[:, 0].reshape(z.shape)",
        says=REFUSED,
    ),
    "sigmoid-functionalize": sigmoid("return torch.func.functionalize(torch.sigmoid)(z)", says=""),
    "sigmoid-vmap": sigmoid("return torch.func.vmap(torch.sigmoid)(z.reshape(-1)).reshape(z.shape)", says=""),
    "sigmoid-pair-functorch-and-watch": sigmoid(
        "return torch.func.functionalize(torch.func.vmap(torch.sigmoid))(z.reshape(1, -1)).reshape(z.shape)",
        PAIR + "trial.Watch.see = lambda s, n: None\n",
        says=REFUSED,
    ),
    "gradient-by-script": gradient(
        "return unit.f(z, y)", "called backward", f"unit = torch.jit.CompilationUnit({SCRIPT!r})\n"
    ),
    "gradient-by-engine": gradient(
        "run = torch.autograd.graph._engine_run_backward\n"
        "return run((loss(x, y),), (torch.ones(()),), False, False, (x,), False, accumulate_grad=False)[0]",
        REFUSED,
    ),
    "gradient-by-engine-without-the-watch": gradient(
        "from torch.autograd.graph import _engine_run_backward as run, saved_tensors_hooks\n"
        "with saved_tensors_hooks(lambda t: t, lambda t: t):\n    found = loss(x, y)\n"
        "return run((found,), (torch.ones(()),), False, False, (x,), False, accumulate_grad=False)[0]",
        REFUSED,
    ),
    "gradient-backward": gradient("loss(x, y).backward()\nreturn x.grad", "called backward"),
    "gradient-autograd-backward": gradient("torch.autograd.backward(loss(x, y))\nreturn x.grad", "called backward"),
    "gradient-autograd-grad": gradient("return torch.autograd.grad(loss(x, y), x)[0]", "called grad"),
    "gradient-func-grad": gradient("return torch.func.grad(loss)(z, y)", "called grad"),
    "gradient-jacobian": gradient("return torch.autograd.functional.jacobian(lambda x: loss(x, y), z)", "called grad"),
    "gradient-vjp": gradient("return torch.func.vjp(lambda x: loss(x, y), z)[1](torch.tensor(1.0))[0]", "called grad"),
    "sum-by-name": pairs("return torch.sum(x)"),
    "sum-double": pairs("return x.double().sum().float()"),
    "sum-einsum": pairs("return torch.einsum('i->', x)"),
    "sum-by-numpy": pairs("return torch.tensor(x.numpy().sum())", "raised TypeError"),
    "sum-exact": pairs("import math\nreturn torch.tensor(math.fsum(x.tolist()), dtype=x.dtype)", "got      260"),
    "sum-mean": pairs("return x.mean() * len(x)", "called mean"),
    "sum-cumsum": pairs("return x.cumsum(0)[-1]", "called cumsum"),
    "sum-unwatched": pairs("import sys\n" + FRAMES.replace("torch.sigmoid(z)", "torch.sum(x)"), REFUSED),
    "sum-one-by-one": pairs("total = x[0]\nfor item in x[1:]:\n    total = total + item\nreturn total", "got"),
}

# What switches the watch off, and what would undo or prevent the taking away, by names that no search finds: in pairs.
HIDDEN = (
    "from importlib import import_module\n"
    "trial = import_module('lossbook.checks.' + 'trial')\n"
    "stage = import_module('lossbook.grading.' + 'run.sandbox.stage')\n"
    "losses = import_module('lossbook.grading.' + 'run.sandbox.losses')\n"
    "worker = import_module('lossbook.grading.' + 'run.sandbox.worker')\n"
)
UNWATCHED = {
    "see": "trial.Watch.see = lambda self, name: None\n",
    "see-code": "trial.Watch.see.__code__ = (lambda self, name: None).__code__\n",
    "modes": "import contextlib\ntrial._Functions = trial._operations = lambda watch: contextlib.nullcontext()\n",
    "attempt": "real = stage.attempt\n"
    "stage.attempt = lambda f, a, k, **o: (\n"
    "    real(f, a, k, **o) if o['gradient'] else trial.Outcome('returned', f(*a), kind='Tensor'))\n",
}
NOT_TAKEN = {
    "override": "losses._override = lambda *a: None\n",
    "override-code": "losses._override.__code__ = (lambda *a: None).__code__\n",
    "take": "losses.take_operations = worker.losses.take_operations = lambda names: None\n",
    "names": "losses._by_phrase.cache_clear()\nlosses._by_phrase = losses.kernels = lambda: {}\n",
    "refuse": "losses._refuse_more.__code__ = (lambda *a, **k: None).__code__\n",
    "keys": "losses.kernels.cache_clear()\nlosses._by_phrase.cache_clear()\nlosses.ELSEWHERE = ('',)\n",
}
BORROWED = {
    "sigmoid": sigmoid("return torch.sigmoid(z)"),
    "sum": pairs("return torch.sum(x)"),
    "func-grad": gradient("return torch.func.grad(loss)(z, y)", ""),
    "backward": gradient("loss(x, y).backward()\nreturn x.grad", ""),
    "engine": gradient(
        "from torch.autograd.variable import Variable\n"
        "run = Variable._execution_engine.run_backward\n"
        "return run((loss(x, y),), (torch.ones(()),), False, False, (x,), False, accumulate_grad=False)[0]",
        "",
    ),
}
for number, (off, kept) in enumerate(itertools.product(UNWATCHED, NOT_TAKEN)):
    trick = HIDDEN + UNWATCHED[off] + NOT_TAKEN[kept]
    for what in ("sigmoid", list(BORROWED)[1 + number % (len(BORROWED) - 1)]):
        ATTACKS[f"pair-{off}-{kept}-{what}"] = {**BORROWED[what], "cells": [trick], "says": ""}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_a_forbidden_function_wins_nothing(name, attack, holds):
    holds(name, attack)
