"""What the teacher is told of: names in cells, by whatever name they go there; and nothing that an answer uses."""

import ast
import json
import subprocess
import sys
import time

import pytest

from lossbook.grading.exam import remarks
from lossbook.grading.run.sandbox.named import TOO_DEEP, named, of_code, text_of
from lossbook.grading.run.sandbox.remarks import Remarks, own_code
from lossbook.grading.run.sandbox.wire import Stream, pack

MADE_UP = "asks torch for a name that is made up while it runs"
NAMED = {
    "import ctypes": "ctypes",
    "import ctypes as c\nc.CDLL(None)": "ctypes",
    "from ctypes import CDLL": "ctypes",
    "def f(z):\n    import ctypes\n    return z": "ctypes",
    "__import__('cty' + 'pes')": "ctypes",
    "import importlib as i\ni.import_module('cty' 'pes')": "ctypes",
    "x = 'epyc'[::-1]\n__import__('sepytc'[::-1])": "ctypes",
    "__import__(''.join(['cty', 'pes']))": "ctypes",
    "name = 'marshal'\n__import__(name)": "marshal",
    "for name in ['math', 'marshal']:\n    __import__(name)": "marshal",
    "torch._C._nn.binary_cross_entropy(p, y)": "torch._C",
    "getattr(torch, '_' + 'C')": "torch._C",
    "import torch as t\ngetattr(t, f'_{\"C\"}')": "torch._C",
    "t = torch\nt._C": "torch._C",
    "from torch import _C as c": "torch._C",
    "import torch\nlook = torch\ngetattr(look, '_C')": "torch._C",
    "part = '_C'\ngetattr(torch, part)": "torch._C",
    "getattr(torch, chr(95) + 'C')": "asks torch for a name that is made up while it runs",
    "vars(torch)['_' + 'C']": "asks torch for a name that is made up while it runs",
    "torch.__dict__['_C']": "_C",
    "torch.ops.aten.sigmoid(z)": "torch.ops",
    "from torch import ops\nops.aten.sigmoid(z)": "torch.ops",
    "getattr(torch, 'ops')": "torch.ops",
    "import torch._refs": "torch._refs",
    "from torch._refs import sigmoid": "torch._refs",
    "torch._masked_softmax(z, m, 1)": "torch._masked_softmax",
    "import torch.nn.functional as G\nG._Reduction": "torch.nn.functional._Reduction",
    "F._Reduction": "torch.nn.functional._Reduction",
    "torch.autograd.graph._engine_run_backward": "torch.autograd.graph._engine_run_backward",
    "from torch.autograd.graph import _engine_run_backward as run": "torch.autograd.graph._engine_run_backward",
    "from torch.autograd import Variable as V\nV._execution_engine": "torch.autograd.Variable._execution_engine",
    "import gc\ngc.get_objects()": "gc.get_objects",
    "import sys\nsys._getframe()": "sys._getframe",
    "from sys import _getframe as f": "sys._getframe",
    "try:\n    1 / 0\nexcept Exception as e:\n    f = e.__traceback__.tb_frame": "tb_frame",
    "f = frame().f_back": "f_back",
    "trial.Watch.see.__code__ = g.__code__": "__code__",
    "class T(torch.Tensor):\n    def __torch_function__(self): pass": "__torch_function__",
    "L = import_module('loss' + 'book.grading.run.sandbox.losses')": "lossbook.grading",
    "import lossbook.checks.trial as t": "lossbook.checks.trial",
    "import sys\nsys.modules['lossbook.grading']": "sys.modules",
    "import os\nos.kill(1, 9)": "os.kill",
    "open('/proc/self/mem')": "/proc",
    "In [1]: import ctypes": "ctypes",
    ">>> import socket": "socket",
    "%%time\nimport subprocess": "subprocess",
    "import sys\nfor name, module in sys.modules.items():\n    pass": "sys.modules",
    "import torch as t\nprint(t.exp in [t._C])": "torch._C",
    "for name in ['exp', '_C']:\n    getattr(torch, name)": "torch._C",
    "ops = {'a': '_C'}\nfor k, v in ops.items():\n    getattr(torch, v)": "torch._C",
    "names = ['exp', '_C']\nfor number, name in enumerate(names):\n    getattr(torch, name)": "torch._C",
    "names = ['exp', chr(95)]\nfor name in names:\n    getattr(torch, name)": MADE_UP,
    "getattr(torch, f'_{kind}')": MADE_UP,
    "getattr(torch, 'o' + rest)": MADE_UP,  # torch.ops may be meant
    "self.__globals__": "__globals__",
    "import ctypes\nx = 1" + " + 1" * 2000: TOO_DEEP,
}
HONEST = [
    "import torch, math, gc, inspect, types\nimport torch.nn.functional as F\ngc.collect()",
    "def f(z):\n    return torch.exp(z - z.amax(1, keepdim=True)).sum(1)",
    "class M(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n        self._w = 1",
    "for name in ['exp', 'log']:\n    print(getattr(torch, name)(z))",
    "dtypes = [getattr(torch, name) for name in ('float32', 'float16')]",
    "value = getattr(z, 'grad', None)\nhasattr(self, name)",
    "z.detach().clone().requires_grad_()\ntorch.jit.script(f)\ntorch.func.jvp(f, (z,), (z,))",
    "'''The signal is _C, torch._C and ctypes; see /proc.'''\nx = 'signal'",
    "# torch._C, ctypes\nplt.title('signal and noise')",
    "from lossbook.exercises import check, ready\ncheck(sigmoid)",
    "_ = plt.plot(x)\n_loss = loss(z)\nself.__dict__.update(x=1)\nf.__name__, f.__doc__",
    "if __name__ == '__main__':\n    pass",
    "import sys\nIN_COLAB = 'google.colab' in sys.modules\nif 'torch' not in sys.modules:\n    pass",
    "for bits in (16, 32, 64):\n    getattr(torch, f'float{bits}')\n    getattr(torch, 'int' + str(bits))",
    "names = ['exp', 'log']\nfor name in names:\n    getattr(torch, name)",
    "many = {'one': 'exp', 'two': 'log'}\nfor name, what in many.items():\n    getattr(torch, what)",
    "for k, (name, least) in enumerate([('exp', 1), ('log', 2)]):\n    getattr(torch, name)(least)",
    "[getattr(torch, name) for name, _ in zip(('exp', 'log'), (1, 2))]",
    "class Loss:\n    def __init__(self, C):\n        self._C = C\n        _N, _C = 3, self._C",
    "%matplotlib inline\n!pip install torch",
    "this is no Python",
    "(" * 3000,
]


@pytest.mark.parametrize("source", NAMED, ids=range(len(NAMED)))
def test_a_name_is_seen(source):
    what = NAMED[source]
    assert (what if " " in what else f"names {what}") in named(source)


@pytest.mark.parametrize("source", HONEST, ids=range(len(HONEST)))
def test_nothing_is_said_of_honest_code(source):
    assert named(source) == []


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("'a' + 'b'", "ab"),
        ("'a' 'b'", "ab"),
        ("f'{\"a\"}b'", "ab"),
        ("'-'.join(['a', 'b'])", "a-b"),
        ("'ba'[::-1]", "ab"),
        ("'a' + b", None),
        ("f'{a}'", None),
        ("'-'.join(a)", None),
        ("3", None),
    ],
)
def test_texts_are_put_together(source, text):
    assert text_of(ast.parse(source, mode="eval").body) == text


def test_code_made_at_run_time_is_read_too():
    code = compile("def f():\n    return (lambda: torch._C._nn)\ngetattr(torch, '_C')\nx = 'words'", "x", "exec")
    assert set(of_code(code)) == {"_C"}
    assert list(of_code(compile("def f(z): return z.exp()", "x", "exec"))) == []


LISTEN = """
import json, os, sys, types, warnings, torch
from lossbook.grading.run.sandbox.remarks import Remarks
warnings.simplefilter("ignore")
torch.compile(lambda x: x)
for name, codes in json.load(sys.stdin):
    if os.fork() == 0:  # each by itself: what listens can't be told to stop
        compiled = [compile(code, name.format(number), "exec") for number, code in enumerate(codes, 1)]
        told = []
        Remarks(lambda number, what: told.append([number, what])).listen()
        for code in compiled:
            exec(code, {"torch": torch, "types": types, "__name__": "__main__"})
        print("\\ntold:", json.dumps(told), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


@pytest.fixture(scope="module")
def heard():
    """Return what is told of codes that run under a name, as cells do, with the numbers of these from 1."""
    given = {"<cell {}>": list(DEEDS), "<string>": list(DEEDS), "<notebook {}>": HONEST_DEEDS}
    words = [sys.executable, "-c", LISTEN]
    done = subprocess.run(words, input=json.dumps([*given.items()]), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line.removeprefix("told: ")) for line in done.stdout.splitlines() if line.startswith("told: ")]
    return {name: [tuple(item) for item in items] for name, items in zip(given, told, strict=True)}


DEEDS = {
    "import ctypes\nctypes.CDLL(None)": "uses ctypes",
    "import gc\ngetattr(gc, 'get_' + 'objects')()": "looks through all objects",
    "import sys\nsys._getframe()": "looks at the frames around it",
    "def f(): pass\nf.__code__ = (lambda: 1).__code__": "changes the code of a function, f",
    "import marshal\nmarshal.loads(marshal.dumps(1))": "makes functions of bytes",
    "def f(): pass\ntypes.FunctionType(f.__code__, {})": "makes functions of code",
    "exec('torch._C')": "runs code that names _C",
    "eval('torch.' + '_' + 'C')": "runs code that names _C",
    "exec(compile('import ctypes', '/usr/lib/x.py', 'exec'))": "runs code that names ctypes",
    "exec(compile('x = 1', torch.__file__, 'exec'))": "runs code that says it stands elsewhere",
    "exec(compile('x = 1', '<cell 1>', 'exec'))": "runs code that says it stands elsewhere",
    "open(torch.__file__).close()": "reads PyTorch's own files or /proc",
    "from pathlib import Path\nPath(torch.__file__).read_text()": "reads PyTorch's own files or /proc",
}


HONEST_DEEDS = [
    "from collections import namedtuple\nnamedtuple('P', 'x y')(1, 2)",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n",
    "from enum import Enum\nclass E(Enum):\n    A = 1\n",
    "import inspect\ninspect.signature(torch.nn.Linear)",
    "torch.func.vmap(torch.exp)(torch.ones(2))\ntorch.func.jvp(torch.exp, (torch.ones(2),), (torch.ones(2),))",
    "import functools\nfunctools.partial(torch.exp)(torch.ones(2))",
    "import warnings\nwarnings.warn('x', stacklevel=2)",
    "f = torch.jit.script(torch.nn.ReLU())\nf(torch.ones(2))",
    "import typing, re, json\nT = typing.TypeVar('T')\nre.compile('a')\njson.loads('1')",
    "import tempfile\nopen(tempfile.mktemp(), 'w').close()",
    "exec('x = 1')\nassert eval('x + 1') == 2",
    "import numpy, matplotlib.pyplot as plt\nnumpy.linalg.norm(numpy.ones(3))\nplt.plot([1, 2])",
    "opt = torch.optim.SGD([torch.ones(2, requires_grad=True)], 0.1)\nopt.step()",
    "import traceback\ntry:\n    torch.nn.Linear(3, 4)(torch.ones(2))\nexcept Exception:\n    traceback.format_exc()",
    "import logging\ntry:\n    torch.nn.Linear(3, 4)(torch.ones(2))\nexcept Exception:\n    logging.exception('x')",
    "import platform\nplatform.platform()\nplatform.processor()",
    "import copy, pickle\npickle.loads(pickle.dumps(torch.ones(2)))\ncopy.deepcopy(torch.nn.Linear(1, 1))",
]


def test_deeds_are_told_with_their_cells(heard):
    told = heard["<cell {}>"]
    assert {(number, what) for number, what in enumerate(DEEDS.values(), 1)} <= set(told)


def test_deeds_of_code_that_stands_nowhere_are_told_too(heard):
    assert {(0, what) for what in DEEDS.values()} <= set(heard["<string>"])


def test_nothing_is_told_of_honest_deeds(heard):
    assert heard["<notebook {}>"] == []


def test_a_change_of_the_sandboxs_own_functions_is_told(monkeypatch):
    from lossbook.checks import trial
    from lossbook.grading.run.sandbox import losses

    found = []
    told = Remarks(lambda number, what: found.append(what))
    told.compare()
    assert found == []
    monkeypatch.setattr(trial.Watch, "see", lambda self, name: None)
    monkeypatch.setattr(losses, "_override", lambda *given: None)
    told.compare()
    told.compare()
    assert found == [
        "changed the sandbox's own losses._override",
        "changed the sandbox's own trial.Watch.see",
    ] or set(found) == {"changed the sandbox's own losses._override", "changed the sandbox's own trial.Watch.see"}
    assert len(found) == 2
    assert {"trial.attempt", "losses.take_operations", "trial.Watch.see"} <= own_code().keys()


def test_remarks_are_few_and_each_is_sent_once():
    found = []
    told = Remarks(lambda number, what: found.append(what))
    for k in range(100):
        told.tell(1, f"x{k}")
        told.tell(1, f"x{k}")
    assert found == [f"x{k}" for k in range(50)]


def test_what_was_handed_out_is_not_the_students():
    seen = [(2, "names ctypes"), (3, "names ctypes"), (5, "names ctypes"), (0, "uses ctypes"), (4, "names gc")]
    assert remarks(seen, {3, 5}) == ("cells 3, 5 names ctypes", "while it ran, it uses ctypes")


def test_remarks_are_set_aside_wherever_they_come_and_are_few():
    stream = Stream()
    sent = pack(["begin", 1]) + pack(["seen", 2, "names a\nb"]) + pack(["seen", -1, "x"]) + pack(["ran"])
    assert list(stream.feed(sent[:9])) + list(stream.feed(sent[9:])) == [["begin", 1], ["ran"]]
    assert list(stream.seen) == [(2, "names a b"), (0, "x")]
    assert list(stream.feed(b"".join(pack(["seen", 0, "y" * 999 + str(k)]) for k in range(99)))) == []
    assert len(stream.seen) <= 50
    assert all(len(what) <= 200 for _, what in stream.seen)
    odd = [["seen", "1", "x"], ["seen", 1, None], ["seen", 1], ["seen", 1, "x", 1]]
    assert list(stream.feed(b"".join(map(pack, odd)))) == odd


def test_cells_without_end_are_not_looked_through_and_the_others_are():
    found = []
    told = Remarks(lambda number, what: found.append((number, what)))
    short = "import ctypes"
    started = time.process_time()
    told.read([(0, "import math"), (1, "x = 1\n" * 160_000), (2, short), (3, "a = " * 200_000 + "1"), (4, short)])
    assert time.process_time() - started < 1
    too_long = "is too long to be looked through"
    assert found == [(1, too_long), (2, "names ctypes"), (3, too_long), (4, "names ctypes")]


def test_all_cells_together_are_bounded_too():
    found = []
    Remarks(lambda number, what: found.append(number)).read((number, "x = 1\n" * 10_000) for number in range(1, 31))
    assert found == list(range(2, 31))
