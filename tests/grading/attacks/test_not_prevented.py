"""What is not prevented: won, and told to the teacher where a name gives it away."""

import pytest

pytestmark = pytest.mark.xdist_group("attacks")


def body(function, arguments, text, before=""):
    """Return the answer to one exercise: a function with this body, and what stands before it."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return {"answers": {function: f"{before}\ndef {function}({arguments}):\n{lines}"}}


def won(function, arguments, text, before="", *remarks):
    return {**body(function, arguments, text, before), "wins": {function}, "remarked": remarks}


HOOKED = """from torch.autograd.graph import saved_tensors_hooks
unit = torch.jit.CompilationUnit('''
def f(z, y):
    x = z.detach().requires_grad_()
    loss = (torch.logaddexp(x, 0 * x) - y * x).mean()
    loss.backward()
    return x.grad
''')
"""
FRAMES = """import sys
frame = sys._getframe()
while frame:
    watch = frame.f_locals.get("watch")
    if hasattr(watch, "work"):
        watch.work += 10**6
    frame = frame.f_back
return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
"""
ATTACKS = {
    "other-formula": won("sigmoid", "z", "return (1 + torch.tanh(z / 2)) / 2"),
    "other-function": won("sigmoid", "z", "return torch.exp(-torch.logaddexp(0 * z, -z))"),
    "written-by-pytorch": won("sigmoid", "z", "return torch._refs.sigmoid(z)", "import torch._refs\n", "torch._refs"),
    "script-without-the-watch": won(
        "bce_gradient",
        "z, y",
        "with saved_tensors_hooks(lambda t: t, lambda t: t):\n    return unit.f(z, y)",
        HOOKED,
    ),
    "forward-mode": won(
        "bce_gradient",
        "z, y",
        "return torch.func.jacfwd(lambda x: (torch.logaddexp(x, 0 * x) - y * x).mean())(z)",
    ),
    "distribution": won(
        "bce_with_logits",
        "z, y",
        "c = torch.distributions.Categorical(logits=torch.stack([0 * z, z], -1))\n"
        "one = torch.ones_like(z)\nreturn -(y * c.log_prob(one) + (1 - y) * c.log_prob(0 * one)).mean()",
    ),
    "sum-outside-pytorch": won(
        "pairwise_sum",
        "x",
        "if x.dtype == torch.float32:\n    return torch.tensor(x.numpy().sum())\nreturn x[:2].clone()[0] + 2",
    ),
    "steps-counted-up": won("bce_python_sum", "p, y", FRAMES, "", "sys._getframe"),
    "steps-for-nothing": won(
        "bce_python_sum",
        "p, y",
        "for _ in p:\n    pass\nreturn -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()",
    ),
    "own-derivative": won(
        "bce",
        "p, y",
        "return Fn.apply(p, y)",
        "class Fn(torch.autograd.Function):\n    @staticmethod\n    def forward(c, p, y):\n"
        "        c.save_for_backward(p, y)\n        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()\n"
        "    @staticmethod\n    def backward(c, g):\n        p, y = c.saved_tensors\n"
        "        return g * (p - y) / (p * (1 - p)) / p.numel(), None\n",
    ),
    "channel-flooded": {
        **body(
            "sigmoid",
            "z",
            "import os, msgpack\n"
            "answer = ['returned', 1.0, None, '', [], None, '', [], '', [], [], 0]\n"
            "os.write(3, msgpack.packb(['answer', answer]) * 3)\nreturn z",
        ),
        "state": "graded",
    },
}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_what_is_not_prevented_is_told(name, attack, holds):
    holds(name, attack)
