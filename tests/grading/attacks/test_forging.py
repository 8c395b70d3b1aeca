"""Results, gradients, step counts and messages that are made up win nothing."""

import pytest

pytestmark = pytest.mark.xdist_group("attacks")


def body(function, arguments, text, before=""):
    """Return the answer to one exercise: a function with this body, and what stands before it."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return {"answers": {function: f"{before}\ndef {function}({arguments}):\n{lines}"}}


RIGHT = "1 / (1 + torch.exp(-z))"
LOSS = "-(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()"
WRITE = "import os, msgpack\nos.write(3, {})\nreturn z"
ANSWER = "msgpack.packb(['answer', ['returned', 1.0, None, '', [], None]])"
SLOPE = """class Fn(torch.autograd.Function):
    @staticmethod
    def forward(c, p, y):
        return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
    @staticmethod
    def backward(c, g):
        return torch.zeros(9), None
"""


def result(value, says, wins=()):
    return {**body("sigmoid", "z", f"right = {RIGHT}\n{value}"), "says": says, "wins": set(wins)}


def right(value):
    return result(value, "", {"sigmoid"})


def loss(text, says, before=""):
    return {**body("bce", "p, y", text, before), "says": says}


def message(data, says="what is no answer"):
    return {**body("sigmoid", "z", WRITE.format(data)), "state": "killed", "says": says}


ATTACKS = {
    "equals-everything": result(
        "class E(float):\n    def __eq__(self, other):\n        return True\nreturn E(1)", "got a E"
    ),
    "object-array": result("import numpy\nreturn numpy.array([object()], dtype=object)", "object"),
    "acts-as-float": result("class E:\n    def __float__(self):\n        return 0.5\nreturn E()", "got a E"),
    "on-meta": result("return right.to('meta')", "holds no numbers"),
    "half": result("return right.half()", "got dtype torch.float16"),
    "truth": result("return right > 0.5", "got dtype torch.bool"),
    "whole": result("return right.int()", "got"),
    "complex": result("return right.to(torch.complex64)", "complex64"),
    "quantised": result("return torch.quantize_per_tensor(right, 1 / 256, 0, torch.quint8)", "quint8"),
    "nested": result("return torch.nested.nested_tensor([right.flatten()])", "got a nested tensor"),
    "nan": result("return right * float('nan')", "got      [nan"),
    "inf": result("return right + float('inf')", "got      [inf"),
    "one-more-dimension": result("return right[None]", "got shape"),
    "text": result("return 'right'", "got a str"),
    "nothing": result("print(right)", "got None"),
    "too-large": result("return torch.zeros(2**19 + 1)", "a tensor of shape"),
    "expanded": result("return torch.zeros(1).expand(10**6, 10**6)", "a tensor of shape"),
    "long-list": result("return [0.0] * 2**19", "a list of 524288 items"),
    "wide-list": result("return [[0.0] * 100] * 100", "a list of more than"),
    "endless-list": result("made = []\nmade.append(made)\nreturn made", "got a list"),
    "a-view": right("return torch.stack([z, right])[1]"),
    "a-parameter": right("return torch.nn.Parameter(right)"),
    "a-plain-subclass": right("class T(torch.Tensor):\n    pass\nreturn right.as_subclass(T)"),
    "sparse": right("return right.to_sparse()"),
    "in-double": right("return right.double()"),
    "numpy": result("return right.numpy()", "got a NumPy array"),
    "a-list": result("return right.tolist()", "got a list"),
    "a-float": result("return float(right.flatten()[0])", "got a float"),
    "its-argument-back": result("return z.copy_(right)", "it changes `z`"),
    "slope-zero": loss("return Fn.apply(p, y)", "gradient", SLOPE),
    "slope-hooked": loss(f"p.register_hook(lambda g: g * 0 + 1)\nreturn {LOSS}", "gradient: got"),
    "slope-none": loss(f"return ({LOSS}).detach()", "gradient: the result does not depend"),
    "slope-of-another": loss(f"value = {LOSS}\nreturn value.detach() + (p - p.detach()).sum()", "gradient: got"),
    "remembered": loss("seen.append((p, y))\np, y = seen[0]\nreturn " + LOSS, "got", "seen = []"),
    "arguments-changed": loss(
        f"value = {LOSS}\nwith torch.no_grad():\n    p.data.fill_(0.5)\n    y.fill_(1)\nreturn value",
        "raised RuntimeError",
    ),
    "steps-few": {
        **body("bce_python_sum", "p, y", f"return {LOSS}"),
        "says": "fewer than one an element",
    },
    "steps-hidden-trace": {
        **body(
            "bce_torch_sum",
            "p, y",
            "import sys\nsys.settrace(None)\neach = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))\n"
            "return sum(each) / len(each)",
        ),
        "says": "the steps grow with the elements",
    },
    "steps-list": {
        **body(
            "bce_torch_sum",
            "p, y",
            "each = -(y * torch.log(p) + (1 - y) * torch.log(1 - p))\n"
            "return torch.tensor(sum(each.tolist()) / len(each))",
        ),
        "says": "gradient: the result does not depend",
    },
    "message-garbage": message("b'\\xc1' * 100"),
    "message-map": message("msgpack.packb({1: 2})"),
    "message-of-another-kind": message("msgpack.packb(msgpack.ExtType(99, b'x'))"),
    "message-nested": message("b'\\x92\\xa6answer' + b'\\x91' * 100000"),
    "message-length": message("b'\\xdd\\xff\\xff\\xff\\xff' + b'\\x90' * 1000"),
    "message-many-lists": message("b'\\xdd\\x00\\x00\\x70\\x00' + b'\\x91\\x90' * 0x7000"),
    "message-tensor-lies": message(
        "msgpack.packb(['answer', ['returned', msgpack.ExtType(1, msgpack.packb(['float32', [9], b''])), None, '',"
        " [], None]])"
    ),
    "message-no-outcome": message("msgpack.packb(['answer', [[], 1.0, None, '', [], None]])"),
    "message-flood": {
        **body("sigmoid", "z", "import os\nwhile True:\n    os.write(3, b'\\x90' * 65536)"),
        "state": "killed",
        "says": "what is no answer",
    },
    "message-half": {
        **body("sigmoid", "z", "import os, time\nos.write(3, b'\\x92\\xa6answer\\x96')\ntime.sleep(100)"),
        "state": "timed out",
        "says": "it took too long",
    },
    "message-ahead": {
        "cells": [f"import os, msgpack\nfor _ in range(100):\n    os.write(3, {ANSWER})"],
        "state": "killed",
        "says": "what is no answer",
    },
    "message-read": {
        **body("sigmoid", "z", "import socket\nsocket.socket(fileno=3).recv(1 << 20)\nreturn z"),
        "state": "timed out",
        "says": "it took too long",
    },
    "message-lost": {
        **body("sigmoid", "z", "return z"),
        "cells": [
            "import lossbook.checks.trial as trial, lossbook.grading.run.sandbox.stage as stage\n"
            "stage.attempt = lambda *a, **k: trial.Outcome('lost', error='no answer: the grader failed')"
        ],
        "loses": {"bce", "pairwise_sum"},
        "state": "killed",
        "says": "what is no answer",
    },
    "message-end": {
        "cells": ["import os, msgpack\nos.write(3, msgpack.packb(['ran']))"],
        "state": "killed",
        "says": "what is no answer",
    },
    "channel-closed": {
        **body("sigmoid", "z", "import os\nos.close(3)"),
        "state": "partial",
        "says": "it ended its own process",
    },
    "channel-shut": {
        **body("sigmoid", "z", "import socket\nsocket.socket(fileno=3).shutdown(2)"),
        "state": "partial",
        "says": "it ended its own process",
    },
    "checks-patched": {
        **body("sigmoid", "z", "return z"),
        "cells": [
            "import builtins\ntorch.allclose = torch.isclose = torch.equal = lambda *a, **k: True\n"
            "builtins.isinstance = lambda *a: True\nbuiltins.sum = lambda *a: 0\nbuiltins.compile = None\n"
            "del builtins.frozenset"
        ],
        "says": "got",
    },
    "checks-patched-and-raised": {
        **body("sigmoid", "z", "return z"),
        "cells": ["import builtins\nfor name in list(vars(builtins)):\n    setattr(builtins, name, None)\n1 / 0"],
        "says": "got",
    },
    "oracle-patched": {
        **body("sigmoid", "z", "return z"),
        "cells": ["import torch.nn.functional as F\nF.binary_cross_entropy = torch.sigmoid = lambda *a: a[0]"],
        "says": "got",
    },
    "ast-transformer": {
        **body("sigmoid", "z", "return z"),
        "cells": ["get_ipython().ast_transformers.append(1)"],
        "says": "got",
    },
}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_what_is_forged_wins_nothing(name, attack, holds):
    holds(name, attack)
