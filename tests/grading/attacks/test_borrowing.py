"""PyTorch's own loss, called by every road there is, wins nothing where the loss is to be written."""

import pytest

pytestmark = pytest.mark.xdist_group("attacks")


def body(function, arguments, text, before=""):
    """Return the answer to one exercise: a function with this body, and what stands before it."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return {"answers": {function: f"{before}\ndef {function}({arguments}):\n{lines}"}}


def loss(text, before="", says="a loss of PyTorch's was called"):
    imports = "import torch\nimport torch.nn.functional as F\n"
    return {**body("bce", "p, y", text, imports + before), "says": says}


def logits(text):
    """Return an answer to the exercise on logits, with PyTorch's own operation as ``LOSS``."""
    before = "import torch\nLOSS = lambda z, y: torch.binary_cross_entropy_with_logits(z, y, None, None, 1)\n"
    return {**body("bce_with_logits", "z, y", text, before), "says": "a loss of PyTorch's was called"}


TWO = "torch.stack([(1 - p).log(), p.log()], 1)"
DECOMPOSED = "import torch._decomp.decompositions as D\n"
SOURCE = (
    "import inspect, typing\nspace = {**vars(typing), **vars(F)}\n"
    "exec('from __future__ import annotations\\n' + inspect.getsource(F.binary_cross_entropy), space)\n"
)
SCRIPT = (
    "unit = torch.jit.CompilationUnit('def f(p, y):\\n"
    "    return torch.binary_cross_entropy_with_logits(torch.log(p / (1 - p)), y)\\n')\n"
)
COPIED = """import torch._decomp.decompositions as D
source = open(D.__file__).read()
start = source.index("def binary_cross_entropy(")
space = dict(vars(D))
exec(source[start : source.index("\\n\\n\\n", start)], space)
"""
MODULE = "class M(torch.nn.Module):\n    def forward(self, p, y):\n        return F.binary_cross_entropy(p, y)\n"
FUNCTION = """class Loss(torch.autograd.Function):
    @staticmethod
    def forward(c, p, y):
        c.save_for_backward(p, y)
        return F.binary_cross_entropy(p, y)
    @staticmethod
    def backward(c, g):
        return torch.ops.aten.binary_cross_entropy_backward(g, *c.saved_tensors), None
"""
COMPILED_TESTS = """import marshal, os
found, folder = [], os.path.join(os.path.dirname(torch.__file__), 'testing')
for place, _, names in os.walk(folder):
    for name in names:
        try:
            data = open(os.path.join(place, name), 'rb').read()
        except PermissionError:
            continue
        if b'cross_entropy_loss_prob_target_reference' in data or b'def nllloss_reference' in data:
            found.append(name)
raise ValueError(f'{len(found)} files with a loss')
"""
HIDDEN_NAMES = """from importlib import import_module
losses = import_module('loss' + 'book.grading.run.sandbox.losses')
trial = import_module('loss' + 'book.checks.trial')
"""
ATTACKS = {
    "loss-by-name": loss("return F.binary_cross_entropy(p, y)"),
    "loss-by-module": loss("return torch.nn.BCELoss()(p, y)"),
    "loss-from-import": loss(
        "return binary_cross_entropy(p, y)", "from torch.nn.functional import binary_cross_entropy"
    ),
    "loss-saved": loss("return kept(p, y)", "kept = F.binary_cross_entropy"),
    "loss-by-ops": loss("return torch.ops.aten.binary_cross_entropy(p, y)"),
    "loss-by-overload": loss("return torch.ops.aten.binary_cross_entropy.default(p, y)"),
    "loss-by-c": loss("return torch._C._nn.binary_cross_entropy(p, y)"),
    "loss-by-script": loss("return unit.f(p, y)", SCRIPT, says=""),
    "loss-by-trace": loss("return torch.jit.trace(F.binary_cross_entropy, (p, y))(p, y)"),
    "loss-compiled": loss("return torch.compile(F.binary_cross_entropy)(p, y)"),
    "loss-vmap": loss("return torch.func.vmap(F.binary_cross_entropy)(p[None], y[None])[0]"),
    "loss-functional-call": loss("return torch.func.functional_call(torch.nn.BCELoss(), {}, (p, y))"),
    "loss-decomposition": loss("return D.binary_cross_entropy(p, y)", DECOMPOSED),
    "loss-decomposition-again": loss(
        "return D.binary_cross_entropy(p, y)",
        DECOMPOSED + "import importlib\ntry:\n    importlib.reload(D)\nexcept Exception:\n    pass\n",
    ),
    "loss-decomposition-table": loss(
        "return torch._decomp.decomposition_table[torch.ops.aten.binary_cross_entropy.default](p, y)", DECOMPOSED
    ),
    "loss-decompose": loss("return torch.ops.aten.binary_cross_entropy.default.decompose(p, y)", says=""),
    "loss-decompose-composite": loss("return torch.ops.aten.l1_loss.default.decompose(p, y)"),
    "loss-refs": loss("return refs.l1_loss(p, y)", "import torch._refs.nn.functional as refs\n"),
    "loss-redispatched": loss(
        "keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)\n"
        "return torch.ops.aten.binary_cross_entropy.default.redispatch(keys, p, y)"
    ),
    "loss-kernel": loss(
        "keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)\n"
        "kernel = torch.library.get_kernel('aten::binary_cross_entropy', 'CPU')\n"
        "return kernel.call_boxed(keys, p, y, None, 1)",
        says="",
    ),
    "loss-backward-alone": loss("return torch.ops.aten.binary_cross_entropy_backward(p, p, y)"),
    "loss-copied": loss("return space['binary_cross_entropy'](p, y, None, 1)", COPIED, says=""),
    "loss-reloaded": loss(
        "return F.binary_cross_entropy(p, y)",
        "import importlib\ntry:\n    importlib.reload(F)\nexcept RuntimeError:\n    pass\n",
    ),
    "loss-from-source": loss("return space['binary_cross_entropy'](p, y)", SOURCE),
    "loss-from-file": loss(
        "return space['binary_cross_entropy'](p, y)",
        "space = {'__name__': 'x', '__file__': F.__file__, '__package__': 'torch.nn'}\n"
        "source = open(F.__file__).read().replace('_add_docstr(', '(lambda f, *a: f)(')\nexec(source, space)\n",
        says="",
    ),
    "loss-code-back": loss(
        "return F.binary_cross_entropy(p, y)",
        SOURCE + "F.binary_cross_entropy.__code__ = space['binary_cross_entropy'].__code__\n",
        says="",
    ),
    "loss-from-objects": loss(
        "return [g for g in gc.get_objects() if getattr(g, '__name__', '') == 'binary_cross_entropy'][0](p, y)",
        "import gc\n",
        says="",
    ),
    "loss-unpickled": loss(
        "return f(p, y)", "import pickle\nf = pickle.loads(b'ctorch.nn.functional\\nbinary_cross_entropy\\n.')\n"
    ),
    "loss-distribution": loss("return -torch.distributions.Bernoulli(p).log_prob(y).mean()"),
    "loss-autograd-function": loss("return Loss.apply(p, y)", FUNCTION),
    "loss-exported": loss(
        "return f(p, y)",
        MODULE + "f = torch.export.export(M(), (torch.rand(3), torch.rand(3))).run_decompositions().module()\n",
    ),
    "loss-made-fx": loss(
        "return f(p, y)",
        "from torch.fx.experimental.proxy_tensor import make_fx\n"
        "f = make_fx(F.binary_cross_entropy)(torch.rand(3), torch.rand(3))\n",
    ),
    "loss-other-logits": loss("return F.binary_cross_entropy_with_logits(torch.log(p / (1 - p)), y)"),
    "loss-other-nll": loss(f"return F.nll_loss({TWO}, y.long())"),
    "loss-other-cross-entropy": loss(f"return F.cross_entropy({TWO}, torch.stack([1 - y, y], 1))"),
    "loss-other-kl": loss("return F.kl_div(p.log(), y)"),
    "loss-own-library": loss(
        "return F.binary_cross_entropy(p, y)",
        "library = torch.library.Library('aten', 'IMPL')\n"
        "library.impl('binary_cross_entropy', torch.library.fallthrough_kernel, 'CPU')\n",
        says="",
    ),
    "loss-course": loss(
        "return lossbook.losses.binary_cross_entropy(p, y)",
        "import lossbook.losses\n",
        says="reference implementations are not there",
    ),
    "loss-tests-of-pytorch": loss(
        "return f(p, y)",
        "from torch.testing._internal.common_methods_invocations import op_db\n"
        "f = next(item for item in op_db if 'binary_cross_entropy' in item.name).ref\n",
        says="No module named",
    ),
    "loss-functionalize": logits("return torch.func.functionalize(LOSS)(z, y)"),
    "loss-grad-and-value": logits("return torch.func.grad_and_value(LOSS)(z, y)[1]"),
    "loss-vjp": logits("return torch.func.vjp(LOSS, z, y)[0]"),
    "loss-jvp": logits("return torch.func.jvp(LOSS, (z, y), (z, y))[0]"),
    "loss-linearize": logits("return torch.func.linearize(LOSS, z, y)[0]"),
    "loss-vmap-of-batches": logits("return torch.func.vmap(LOSS)(z[None], y[None])[0]"),
    "loss-vmap-legacy": logits("return torch._vmap_internals._vmap(LOSS)(z[None], y[None])[0]"),
    "loss-vmap-by-c": loss(
        "return torch.vmap(torch.ops.aten.cross_entropy_loss)(TWO[None], ONE[None])[0]".replace(
            "TWO", "torch.stack([(1 - p).log(), p.log()], 1)"
        ).replace("ONE", "torch.stack([1 - y, y], 1)")
    ),
    "loss-transforms-nested": logits(
        "return torch.func.functionalize(torch.func.vmap(torch.func.functionalize(LOSS)))(z[None], y[None])[0]"
    ),
    "loss-in-autocast": logits("with torch.autocast('cpu', dtype=torch.bfloat16):\n    return LOSS(z, y)"),
    "loss-in-inference": logits("with torch.inference_mode():\n    return LOSS(z.clone(), y.clone())"),
    "loss-compiled-tests": loss("return p", COMPILED_TESTS, says="raised ValueError: 0 files with a loss"),
    "loss-pairs-of-tricks": loss(
        "return torch.func.functionalize(kept)(p, y)",
        HIDDEN_NAMES + "losses._override = lambda *a: None\ntrial.Watch.see = lambda s, n: None\n"
        "kept = F.binary_cross_entropy\n",
    ),
    "loss-subprocess": loss(
        "return torch.tensor(float(subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True).stdout))",
        "import subprocess, sys\n",
        says="Operation not permitted",
    ),
}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_a_borrowed_loss_wins_nothing(name, attack, holds):
    holds(name, attack)
