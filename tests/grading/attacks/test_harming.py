"""What loops, crashes, fills or kills costs what it is in, and nothing else: no other answer, no other submission."""

import pytest

pytestmark = pytest.mark.xdist_group("attacks")


def body(function, arguments, text, before=""):
    """Return the answer to one exercise: a function with this body, and what stands before it."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return {"answers": {function: f"{before}\ndef {function}({arguments}):\n{lines}"}}


def cell(text, says="", state="graded"):
    return {"cells": [text], "says": says, "state": state}


def slow(text):
    return cell(text, "it took too long", "timed out")


def within(text, says, state):
    return {**body("sigmoid", "z", text), "says": says, "state": state}


def call(number, *arguments):
    """Return a cell that makes a system call and raises with what came of it."""
    return (
        "import ctypes\nlibrary = ctypes.CDLL(None, use_errno=True)\n"
        f"raise ValueError(library.syscall({', '.join(map(str, (number, *arguments)))}), ctypes.get_errno())"
    )


IGNORING = """import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
"""
KILLS = """import os
for target in (-1, 0, 1, os.getppid()):
    try:
        os.kill(target, 9)
    except OSError:
        pass
try:
    os.killpg(0, 9)
except OSError:
    pass
"""
MACHINE = """import ctypes, mmap
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(bytes.fromhex("b802000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
"""
DENIED = "(-1, 1)"
ATTACKS = {
    "loop-in-cell": slow("while True: pass"),
    "loop-ignoring-signals": slow(IGNORING),
    "loop-catching-all": slow("while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
    "loop-asleep": slow("import time\ntime.sleep(1000)"),
    "loop-in-del": slow("class D:\n    def __del__(self):\n        while True: pass\nd = D()\ndel d"),
    "loop-in-c": slow("x = 10**10**10"),
    "loop-in-re": slow("import re\nre.match('(a+)+$', 'a' * 60 + 'b')"),
    "loop-in-function": within("while True:\n    pass", "sigmoid: it took too long", "timed out"),
    "end-exit": cell("import os\nos._exit(0)", "it ended its own process (exit code 0)", "partial"),
    "end-abort": cell("import os\nos.abort()", "it crashed", "killed"),
    "end-segfault": cell("import ctypes\nctypes.string_at(0)", "it crashed (signal 11)", "killed"),
    "end-sys-exit": cell("import sys\nsys.exit(3)", "raised SystemExit"),
    "end-interrupt": cell("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    "end-own-exit": cell("class E(SystemExit):\n    def __str__(self):\n        raise E\nraise E", "raised E"),
    "end-own-error": cell("class E(BaseException):\n    def __str__(self):\n        return 1\nraise E", "raised E"),
    "end-recursion": cell("def f():\n    f()\nf()", "raised RecursionError"),
    "end-exit-in-function": within("import os\nos._exit(7)", "exit code 7", "partial"),
    "end-interrupt-in-function": within("raise KeyboardInterrupt", "raised KeyboardInterrupt", "graded"),
    "end-recursion-in-function": within("return sigmoid(z)", "raised RecursionError", "graded"),
    "end-between-cells": cell(
        "import os\nclass D:\n    def __del__(self):\n        os._exit(0)\nmax = D()", "the start: it ended", "partial"
    ),
    "end-when-looked-at": cell("class W:\n    @property\n    def __class__(self):\n        raise SystemExit\nw = W()"),
    "kill-everybody": cell(KILLS),
    "kill-stop": cell("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"),
    "memory-bytes": cell("x = bytearray(8 * 2**30)", "raised MemoryError"),
    "memory-tensor": cell("x = torch.empty(2**31).fill_(1)", "can't allocate memory"),
    "memory-many": cell("x = [torch.ones(1)]\nwhile True:\n    x.append(torch.empty(2**26))", "can't allocate memory"),
    "memory-files": cell(
        "import os\nwhile True:\n    os.write(os.memfd_create('x'), b'0' * 2**16)", "raised PermissionError: [Errno 1]"
    ),
    "print-much": cell("print('x' * 50_000_000)"),
    "print-often": cell("for number in range(300_000): print(number)"),
    "fork": cell("import os\nwhile True: os.fork()", "Operation not permitted"),
    "processes": cell("import multiprocessing as m\nm.Process(target=print).start()", "Operation not permitted"),
    "threads": cell(
        "import threading, time\nfor _ in range(1000): threading.Thread(target=time.sleep, args=(100,)).start()",
        "can't start new thread",
    ),
    "program": cell("import os\nos.execv('/bin/sh', ['sh'])", "Operation not permitted"),
    "fill-file": cell("f = open('/tmp/x', 'wb')\nwhile True: f.write(b'0' * 2**20)", "File too large"),
    "fill-names": cell("for n in range(10**5): open(f'/tmp/{n}', 'w').close()", "No space left on device"),
    "write-grader": cell("open('/grader/x', 'w')", "Read-only file system"),
    "write-packages": cell("open('/packages/torch/x', 'w')", "Read-only file system"),
    "write-root": cell("open('/x', 'w')", "Read-only file system"),
    "net-loopback": cell("import socket\nsocket.create_connection(('127.0.0.1', 22), 1)", "Operation not permitted"),
    "net-datagram": cell("import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "Operation not permitted"),
    "net-names": cell("import socket\nsocket.getaddrinfo('example.org', 80)", "raised gaierror"),
    "net-unix": cell("import socket\nsocket.socket(socket.AF_UNIX).bind('\\0x')", "Operation not permitted"),
    "net-abstract": cell(
        "import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0x')", "Connection refused"
    ),
    "call-clone": cell(call(56, 17, 0, 0, 0, 0), DENIED),
    "call-unshare": cell(call(272, 0x10000000), DENIED),
    "call-mount": cell(call(165, 0, 0, 0, 0, 0), DENIED),
    "call-shared-memory": cell(call(29, 1, 4096, 0o1600), DENIED),
    "call-message-queue": cell(call(68, 1, 0o1600), DENIED),
    "call-io-uring": cell(call(425, 8, 0), DENIED),
    "call-sync": cell(call(162), DENIED),  # it would keep whoever writes a file waiting
    "call-of-another-machine": cell(call(0x40000000 | 57), "it crashed (signal 31)", "killed"),
    "call-of-32-bits": cell(MACHINE, "it crashed (signal 31)", "killed"),
    "limits-raised": cell(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "not allowed to raise maximum limit"
    ),
}


@pytest.mark.parametrize(("name", "attack"), ATTACKS.items(), ids=ATTACKS)
def test_harm_costs_its_own_part_alone(name, attack, holds):
    holds(name, attack)
