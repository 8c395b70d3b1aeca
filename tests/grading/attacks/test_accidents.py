"""What students do in good faith costs no mark."""

import pytest

pytestmark = pytest.mark.xdist_group("attacks")


def body(function, arguments, text, before=""):
    """Return the answer to one exercise: a function with this body, and what stands before it."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return {"answers": {function: f"{before}\ndef {function}({arguments}):\n{lines}"}}


def cell(*texts, says="", **more):
    return {"cells": list(texts), "says": says, **more}


def quiet(*texts, **more):
    return cell(*texts, silent=True, **more)


def below(line, **more):
    """Return an answer that uses a constant, in a cell that first does what can't be done here."""
    answer = (
        f"import torch.nn.functional as F\n{line}\nONE = 1.0\ndef sigmoid(z):\n    return ONE / (ONE + torch.exp(-z))"
    )
    return {"answers": {"sigmoid": answer}, "wins": {"sigmoid"}, **more}


SUM = "each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))\nreturn sum(each) / len(each)"
COMPARED = """import torch.nn.functional as F
p, y = torch.tensor([0.5]), torch.tensor([1.0])
assert torch.allclose(bce(p, y), F.binary_cross_entropy(p, y))

def below():
    return 1
"""
ATTACKS = {
    "warning": quiet("import warnings\nwarnings.warn('x')\nwarnings.simplefilter('error')"),
    "other-folder": quiet("import os\nos.chdir('/')"),
    "input": quiet("name = input('Your name?')\nassert name == ''"),
    "input-after-an-error": {
        "cells": ["1 / 0", "name = input()"],
        **body("sigmoid", "z", "return (name == '') / (1 + torch.exp(-z))"),
        "wins": {"sigmoid"},
        "says": "raised ZeroDivisionError",
    },
    "print": quiet("print(1)\nimport sys\nsys.stderr.write('x')\ndisplay(1)"),
    "plot": quiet("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"),
    "magics": quiet("%matplotlib inline\n%load_ext autoreload\n%time x = 1\nx?\nassert x == 1"),
    "shell": quiet("!pip install torch\nfiles = !ls"),
    "cell-magic": quiet("%%bash\nrm -rf /"),
    "await": quiet("import asyncio\nawait asyncio.sleep(0)"),
    "double": quiet("torch.set_default_dtype(torch.float64)"),
    "device-meta": quiet("torch.set_default_device('meta')"),
    "seeded": quiet("torch.manual_seed(0)\nimport random\nrandom.seed(0)"),
    "threads-set": quiet("torch.set_num_threads(8)\ntorch.set_num_interop_threads(2)"),
    "deterministic": quiet("torch.use_deterministic_algorithms(True)"),
    "no-gradients": quiet("torch.set_grad_enabled(False)"),
    "anomaly": quiet("torch.autograd.set_detect_anomaly(True)\ntorch.set_flush_denormal(True)"),
    "cuda": quiet("device = 'cuda' if torch.cuda.is_available() else 'cpu'\ntorch.ones(3, device=device)"),
    "numpy-strict": quiet("import numpy as np\nnp.seterr(all='raise')"),
    "low-recursion": quiet("import sys\nsys.setrecursionlimit(80)"),
    "traced": quiet("import sys\nsys.settrace(lambda *a: None)"),
    "compared-with-pytorch": {"after": [COMPARED], "says": "a loss of PyTorch's was called"},
    "a-mistake": cell("1 / 0", says="raised ZeroDivisionError"),
    "no-python": cell("this is no Python", says="raised SyntaxError"),
    "torch-for-a-number": {"after": ["torch = 3"], "silent": True},
    "answer-for-a-number": {"after": ["p = torch.tensor([0.5])\nbce = bce(p, torch.tensor([1.0]))"], "silent": True},
    "sum-for-a-number": {
        **body("bce_python_sum", "p, y", SUM),
        "wins": {"bce_python_sum"},
        "after": ["sum = 3\nlen = 4"],
        "silent": True,
    },
    "no-imports": {"no_imports": True, "silent": True},
    "answered-elsewhere": {
        "answers": {"bce": "# my answer is below"},
        "after": ["def bce(p, y):\n    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()"],
        "wins": {"bce"},
        "silent": True,
    },
    "checks-twice": {"after": ["check(bce)", "check(bce).points", "check(bce).hint()"], "silent": True},
    "metadata-gone": {"metadata": {}, "silent": True},
    "other-kernel": {
        "metadata": {"kernelspec": {"name": "julia-1.9", "display_name": "Julia", "language": "julia"}},
        "silent": True,
    },
    "tqdm": {
        **body(
            "bce_python_sum",
            "p, y",
            SUM.replace("sum(each)", "sum(tqdm(each, desc='x', leave=False))"),
            "from tqdm.auto import tqdm, trange\nfor _ in trange(3):\n    tqdm.write('x')\n",
        ),
        "wins": {"bce_python_sum"},
        "silent": True,
    },
    "below-a-module": below("import pandas as pd", says="No module named 'pandas'"),
    "below-colab": below("from google.colab import drive\ndrive.mount('/content')", says="No module named 'google'"),
    "below-a-file": below("text = open('notes.txt').read()", says="No such file"),
    "below-pytorch": below("F.mse_loss(torch.ones(2), torch.ones(2))", says="a loss of PyTorch's was called"),
    "below-a-reference": below("import lossbook.losses\nlossbook.losses.mse_loss(1, 2)", says="write your own"),
    "below-threads": below("import threading\nthreading.Thread(target=print).start()", says="start new thread"),
    "below-gpu": below("torch.ones(2).cuda()", says="CUDA"),
    "below-magics": below("get_ipython().run_line_magic('matplotlib', 'inline')\nhelp(torch.exp)", silent=True),
    "annotations": {
        "cells": ["from __future__ import annotations"],
        **body("sigmoid", "z: Tensor", "return 1 / (1 + torch.exp(-z))"),
        "wins": {"sigmoid"},
        "silent": True,
    },
    "pandas": cell(
        "import pandas as pd", says="there are Python's own modules, torch, numpy, matplotlib, tqdm and triton alone"
    ),
    "einops-within": {
        **body("sigmoid", "z", "from einops import rearrange\nreturn 1 / (1 + torch.exp(-z))"),
        "says": "No module named 'einops'",
    },
    "gpu": {**body("sigmoid", "z", "return 1 / (1 + torch.exp(-z.cuda()))"), "says": "Your function needs a GPU"},
    "forward-mode-used": {
        **body(
            "sigmoid",
            "z",
            "softplus = lambda x: torch.logaddexp(x, torch.zeros_like(x))\n"
            "return torch.func.jvp(softplus, (z,), (torch.ones_like(z),))[1]",
        ),
        "wins": {"sigmoid"},
        "silent": True,
    },
    "alarm-left-on": {
        "cells": ["import signal\nsignal.alarm(1000)"],
        **body("sigmoid", "z", "assert signal.getitimer(signal.ITIMER_REAL)[0] == 0\nreturn 1 / (1 + torch.exp(-z))"),
        "wins": {"sigmoid"},
        "silent": True,
    },
    "a-fraction": {
        **body(
            "bce_diagnosis",
            "train, held, y",
            "from fractions import Fraction\n"
            "faults = {4: train[0] > 1, 2: train[-1] > train[0], 3: held[-1] > 1.2 * held.min()}\n"
            "faults[1] = train[-1] > 0.95 * bce(y.mean().repeat(len(y)), y)\n"
            "return Fraction(next((number for number, seen in faults.items() if seen), 0))",
        ),
        "wins": {"bce_diagnosis"},
        "silent": True,
    },
    "indented": quiet("    x = 1\n    assert x == 1"),
    "prompted": quiet(">>> def f():\n...     return 1\n...\n>>> assert f() == 1"),
    "numbered": quiet("In [1]: def f():\n   ...:     return 1\n   ...: \n   ...: assert f() == 1"),
    "continued": quiet("!pip install \\\n    torch \\\n    numpy\nassert True"),
    "in-a-text-cell": {
        **body("sigmoid", "z", "return 1 / (1 + torch.exp(-z))"),
        "texts": {"sigmoid"},
        "says": "your function sigmoid stands in this cell, which is a text cell",
        "remarked": ["is a text cell: sigmoid, which stands in it, was not graded"],
    },
    "heavy-outputs": {"heavy": True, "silent": True},
    "course-used": quiet("from lossbook.exercises import check, ready\nassert not ready(check)\nprint(check(check))"),
}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_an_accident_costs_nothing(name, attack, holds):
    holds(name, attack)
