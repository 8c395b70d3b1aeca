"""Kernels forked from a warm process: they are what a kernel is, and where one can't be forked another is started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from lossbook.notebooks import kernels, warm_process
from lossbook.notebooks.kernels import Fork, RefusedError, forked

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kernels are forked on Linux alone"),
    pytest.mark.usefixtures("warm_kernels"),
]


def environment(**more: str) -> dict[str, str]:
    """The environment that the book's kernels have."""
    return {**os.environ, **kernels.ENVIRONMENT, **more}


class Kernel:
    """A kernel that runs, and what it answers."""

    def __init__(self, **options: object) -> None:
        options.setdefault("env", environment())
        self.manager, self.client = start_new_kernel(**options)

    def run(self, code: str) -> str:
        """Return what the code prints; a figure counts as its type, an error as its name."""
        told: list[str] = []

        def hear(message: dict) -> None:
            content = message["content"]
            told.append(content.get("text") or content.get("ename") or " ".join(content.get("data", ())))

        self.client.execute_interactive(code, output_hook=hear, timeout=60)
        return "".join(told).strip()

    def end(self) -> None:
        self.manager.shutdown_kernel(now=True)
        self.client.stop_channels()


@pytest.fixture
def start() -> Iterator[Callable[..., Kernel]]:
    """Return what starts a kernel; all are ended behind the test."""
    running: list[Kernel] = []

    def one(**options: object) -> Kernel:
        running.append(Kernel(**options))
        return running[-1]

    yield one
    for kernel in running:
        kernel.end()


def of(kernel: Kernel) -> object:
    return kernel.manager.provisioner.process


def test_a_forked_kernel_is_what_a_started_one_is(start, tmp_path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'found'\n")
    kernel = start(cwd=str(tmp_path))
    ordinary = start(cwd=str(tmp_path), env=environment(OMP_NUM_THREADS="2"))
    assert isinstance(of(kernel), Fork)
    assert isinstance(of(ordinary), subprocess.Popen)
    for code in ("sys.argv[0]", "sys.path", "sys.flags", "sys.executable", "os.getcwd()", "__name__", "sys.stdin"):
        assert kernel.run(f"import os, sys; print({code})") == ordinary.run(f"import os, sys; print({code})")
    assert kernel.run("import beside; print(beside.WORD)") == "found"
    assert kernel.run("print('lossbook' in sys.modules, 'torch' in sys.modules)") == "False True"
    assert ordinary.run("print('lossbook' in sys.modules, 'torch' in sys.modules)") == "False False"
    both = "import matplotlib.pyplot as plt; plt.plot([1, 2]); print(plt.get_backend())"
    assert kernel.run(both) == ordinary.run(both)
    assert "image/png" in kernel.run(both)


def test_kernels_know_nothing_of_each_other(start) -> None:
    first, second = start(), start()
    first.run("import torch, os; torch.set_default_dtype(torch.float64); os.environ['WORD'] = 'mine'; x = 1")
    assert second.run("import torch, os; print(torch.get_default_dtype(), os.environ.get('WORD'))") == (
        "torch.float32 None"
    )
    assert second.run("x") == "NameError"
    assert first.run("print(torch.initial_seed(), os.getsid(0) == os.getpid())") == (
        second.run("print(torch.initial_seed(), os.getsid(0) == os.getpid())")
    )


def test_a_kernel_has_its_own_environment_and_path(start, tmp_path, monkeypatch) -> None:
    (tmp_path / "told.py").write_text("WORD = 'elsewhere'\n")
    kernel = start(env=environment(PYTHONPATH=str(tmp_path), WORD="given"))
    assert isinstance(of(kernel), Fork)
    assert kernel.run("import os, told; print(told.WORD, os.environ['WORD'])") == "elsewhere given"


def test_how_a_kernel_ends_is_told(start, tmp_path) -> None:
    kernel = start()
    kernel.run("x = b'1' * (300 * 2**20)")
    process = of(kernel)
    kernel.client.execute("import os; os._exit(3)")
    assert process.wait() == process.poll() == process.returncode == 3
    assert 300 * 2**10 < process.peak < 1000 * 2**10
    process.kill()  # it has ended: nothing happens
    other = start()
    process = of(other)
    process.kill()
    assert process.wait() == -9


def test_a_kernel_can_be_interrupted(start) -> None:
    kernel = start()
    kernel.client.execute("import os; os.kill(os.getppid(), 0); print('on')\nwhile True: pass")
    while kernel.client.get_iopub_msg(timeout=60)["content"].get("text") != "on\n":
        pass
    kernel.manager.interrupt_kernel()
    while (message := kernel.client.get_iopub_msg(timeout=60))["msg_type"] != "error":
        pass
    assert message["content"]["ename"] == "KeyboardInterrupt"
    # Behind an error a kernel drops what has been sent to it already, and for a moment what is sent then.
    assert any(kernel.run("print(1)") == "1" for _ in range(100))


@pytest.mark.parametrize(
    ("command", "options", "why"),
    [
        ([sys.executable, "-m", "http.server"], {}, "the command begins with"),
        (["python", "-m", "ipykernel_launcher"], {}, "the command begins with"),
        ([sys.executable, "-m", "ipykernel_launcher"], {"stdout": subprocess.PIPE}, "a pipe is asked for"),
        ([sys.executable, "-m", "ipykernel_launcher"], {"preexec_fn": print}, "knows no preexec_fn"),
        (
            [sys.executable, "-m", "ipykernel_launcher"],
            {"env": environment(OMP_NUM_THREADS="4", MPLBACKEND="agg")},
            "the environment differs in MPLBACKEND, OMP_NUM_THREADS",
        ),
    ],
)
def test_what_cannot_be_forked_is_refused(command, options, why) -> None:
    with pytest.raises(RefusedError, match=why):
        forked(command, **{"env": environment(), **options})


OWNER = """
import os, sys, time
from lossbook.notebooks import kernels
with kernels.warm(), kernels.warm():
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", sys.argv[1]]
    forks = [kernels.forked(command, env={**os.environ, **kernels.ENVIRONMENT}) for _ in range(2)]
    print(*[fork.pid for fork in forks], flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9)
"""


def gone(pid: int) -> bool:
    """Wait until a process is no more. A test that waits for ever is a test that fails."""
    watch = f"import os, select; fd = os.pidfd_open({pid}); select.select([fd], [], [])"
    return subprocess.run([sys.executable, "-c", watch], stderr=subprocess.DEVNULL, timeout=300).returncode in (0, 1)


@pytest.mark.parametrize("how", ["ends", "killed"])
def test_no_kernel_outlives_who_asked_for_it(how, tmp_path) -> None:
    own = {kernels.SOCKET, kernels.PROVISIONER}
    done = subprocess.run(
        [sys.executable, "-c", OWNER, str(tmp_path / "connection.json"), how],
        env={name: value for name, value in os.environ.items() if name not in own},
        capture_output=True,
        text=True,
        timeout=300,
    )
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    assert all(map(gone, pids))


def test_without_the_process_kernels_start_as_always(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(kernels.SOCKET, str(tmp_path / "none"))
    with pytest.raises(OSError, match="No such file"):
        forked([sys.executable, "-m", "ipykernel_launcher"])
    manager = KernelManager()
    manager.start_kernel(env=environment())
    try:
        assert isinstance(manager.provisioner.process, subprocess.Popen)
    finally:
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("command", [["no", "kernel"], [sys.executable, "-m", "ipykernel_launcher", "--version"]])
def test_the_streams_of_a_kernel_are_left_to_it(command) -> None:
    """Whoever reads what a kernel prints meets its end when the kernel ends, also where it was refused."""
    reading, writing = os.pipe()
    with contextlib.suppress(RefusedError):
        forked(command, env=environment(), stdout=writing, stderr=subprocess.DEVNULL).wait()
    os.close(writing)
    with open(reading, "rb", buffering=0) as output:
        read = b"more"
        while read:
            assert select.select([output], [], [], 60)[0], "something holds the stream open"
            read = output.read(1 << 16)


def test_a_message_that_is_no_request_is_refused(tmp_path) -> None:
    for text in (b"no json\n", b"{}\n", json.dumps({"command": []}).encode() + b"\n", b""):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(os.environ[kernels.SOCKET])
            line.sendall(text)
            line.shutdown(socket.SHUT_WR)
            assert "refused" in json.loads(line.makefile().readline())


def test_what_a_library_reads_later_may_differ(start, tmp_path) -> None:
    kernel = start(env=environment(TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache")))
    assert isinstance(of(kernel), Fork)
    code = "from torch._inductor.runtime.cache_dir_utils import cache_dir; print(cache_dir())"
    assert kernel.run(code) == str(tmp_path / "cache")


def test_what_acts_early_is_compared() -> None:
    assert warm_process.early({"OMP_NUM_THREADS": "1", "HOME": "/", "PYTHONPATH": "a", "PYTHONOPTIMIZE": ""}) == {
        "OMP_NUM_THREADS": "1",
        **warm_process.BACKEND,
    }
    assert Path(warm_process.__file__).read_text().count("import lossbook") == 0
