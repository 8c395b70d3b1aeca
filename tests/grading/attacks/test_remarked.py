"""Where the teacher is told to look: what cells name, under any name, what they do, and what they change."""

import pytest

pytestmark = pytest.mark.xdist_group("attacks")

IMPORT = "from importlib import import_module\n"
SPELT = "bytes([99, 116, 121, 112, 101, 115]).decode()"  # ctypes
RIGHT = "def sigmoid(z):\n    return 1 / (1 + torch.exp(-z))"


def told(source, *remarks, **more):
    return {"cells": [source], "remarked": remarks, **more}


ATTACKS = {
    "told-ctypes": told("import ctypes", "ctypes"),
    "told-ctypes-in-pieces": told("__import__('cty' + 'pes')", "ctypes"),
    "told-ctypes-spelt": told(f"__import__({SPELT}).CDLL(None)", "uses ctypes"),
    "told-ctypes-within": {
        "answers": {
            "sigmoid": f"def sigmoid(z):\n    __import__({SPELT}).CDLL(None)\n    return 1 / (1 + torch.exp(-z))"
        },
        "wins": {"sigmoid"},
        "remarked": ["uses ctypes"],
    },
    "told-private": told("x = getattr(torch, '_' + 'C')", "torch._C"),
    "told-made-up": told("x = getattr(torch, chr(95) + 'C')", "asks torch for a name that is made up while it runs"),
    "told-run-later": told("exec(bytes(b'x = torch._C').decode())", "runs code that names _C"),
    "told-watch-replaced": told(
        IMPORT + "import_module('loss' + 'book.checks.trial').Watch.see = lambda *a: None",
        "lossbook.checks.trial",
        "changed the sandbox's own trial.Watch.see",
    ),
    "told-watch-replaced-unnamed": told(
        "import sys\nm = [m for n, m in vars(sys)['mod' + 'ules'].items() if n.endswith('trial')][0]\n"
        "m.Watch.see = lambda *a: None",
        "changed the sandbox's own trial.Watch.see",
    ),
    "told-code-changed": told(
        IMPORT + "l = import_module('loss' + 'book.grading.run.sandbox.losses')\n"
        "l._override.__code__ = (lambda *a: None).__code__",
        "changes the code of a function, _override",
        "changed the sandbox's own losses._override",
    ),
    "told-frames": {
        "answers": {"sigmoid": "import sys\ndef sigmoid(z):\n    sys._getframe().f_back\n    return z"},
        "remarked": ["sys._getframe", "f_back", "looks at the frames around it"],
    },
    "told-bytes": told("import marshal\nmarshal.loads(marshal.dumps(1))", "marshal", "makes functions of bytes"),
    "told-files": told("import torch, os\nopen(torch.__file__).read()", "reads PyTorch's own files or /proc"),
    "told-objects": told("import gc\ngetattr(gc, 'get_objects')()", "gc.get_objects", "looks through all objects"),
    "told-before-it-ended": told(
        "import ctypes, os\nctypes.CDLL(None)\nos._exit(0)", "ctypes", "uses ctypes", state="partial"
    ),
    "told-and-hook-silenced": told(
        "import gc\nfor item in gc.get_objects():\n    if type(item).__name__ == 'Remarks':\n"
        "        item.sent = {1: 1}\n        item.send = lambda *a: None\nimport ctypes\nctypes.CDLL(None)",
        "ctypes",
        "looks through all objects",
    ),
}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_the_teacher_is_told(name, attack, holds):
    holds(name, attack)


def test_nothing_is_said_of_the_honest(graded):
    for place in ("0", "m", "z"):
        assert graded.records[f"{place}-honest"].remarks == ()
