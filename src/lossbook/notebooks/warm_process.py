"""The process that has imported PyTorch and Matplotlib and is forked into kernels. Started by ``kernels.warm``.

It is run as a script and imports nothing of this package, so that a kernel finds the package as it is by then. It has
one thread, and computes nothing: what a fork inherits is what importing gives.

    python warm_process.py FD

``FD`` is a listening socket. A client sends one line of JSON (``command``, ``environment``, ``folder``) with its three
standard streams. It gets ``{"pid": …}`` when the kernel starts, and ``{"code": …, "peak": …}`` when it has ended, where
``peak`` is the most memory that it held, as ``getrusage`` has it; or ``{"refused": why}``. A client that hangs up kills
its kernel. The process ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

LAUNCHER = "ipykernel_launcher"
# What a kernel imports before its first cell, and what nearly every cell begins with. Not Matplotlib's inline backend:
# when it is imported it looks for the shell that it is to show figures in.
IMPORTED = ("torch", "numpy", "matplotlib.pyplot", "IPython", "ipykernel.kernelapp", "ipykernel.ipkernel")
LONGEST = 1 << 20  # bytes of a request
SECONDS = 10.0  # to send one in
# What acts when the interpreter starts or a library is imported: too late for a fork.
EARLY = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "PYTHON", "MPL", "LD_", "TORCH_", "CUDA", "LANG", "LC_")
BACKEND = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # what a kernel sets where nothing is


def early(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of an environment's variables that a running interpreter can't be given any more."""
    environment = BACKEND | dict(environment)
    return {k: v for k, v in environment.items() if k.startswith(EARLY) and k != "PYTHONPATH" and v}


@dataclass
class Request:
    """A kernel that is asked for: its command, environment and folder, and its standard streams."""

    command: list[str]
    environment: dict[str, str]
    folder: str
    streams: list[int]

    @classmethod
    def receive(cls, line: socket.socket, streams: list[int]) -> Request:
        """Read a request, and put its streams into a list at once. Raises ValueError, TypeError or OSError."""
        text, received, _, _ = socket.recv_fds(line, LONGEST, 3)
        streams += received
        while text and not text.endswith(b"\n"):
            text += line.recv(LONGEST)
        return cls(**json.loads(text), streams=streams)

    def refused(self) -> str:
        """Say why this process can't be forked into what is asked for; the empty string where it can."""
        if self.command[:3] != [sys.executable, "-m", LAUNCHER]:
            return f"the command begins with {self.command[:3]}"
        own, asked = early(os.environ), early(self.environment)
        others = sorted(name for name in own.keys() | asked.keys() if own.get(name) != asked.get(name))
        return f"the environment differs in {', '.join(others)}" if others else ""

    def become(self) -> None:
        """Turn this fork into the kernel, as if its command had been run."""
        os.setsid()
        os.chdir(self.folder)
        for number, stream in enumerate(self.streams):
            os.dup2(stream, number)
            os.close(stream)
        added = [os.environ.get("PYTHONPATH", ""), self.environment.get("PYTHONPATH", "")]
        before, after = ([path for path in paths.split(os.pathsep) if path] for paths in added)
        sys.path[:] = after + sys.path[len(before) :]
        parent = os.environ["JPY_PARENT_PID"]
        os.environ.clear()
        os.environ.update(self.environment, JPY_PARENT_PID=parent)
        sys.argv = self.command[2:]
        runpy.run_module(LAUNCHER, run_name="__main__", alter_sys=True)


def say(line: socket.socket, **message: Any) -> None:
    """Send a message; whoever has hung up needs none."""
    with contextlib.suppress(OSError):
        line.sendall(json.dumps(message).encode() + b"\n")


class Nursery:
    """The kernels that run, each with the socket of who asked for it."""

    def __init__(self, server: socket.socket) -> None:
        """Wait for requests at ``server``, and for the end of the standard input."""
        self.server, self.pids = server, set[int]()
        self.selector = selectors.DefaultSelector()
        self.selector.register(server, selectors.EVENT_READ, self.begin)
        self.selector.register(0, selectors.EVENT_READ, self.end)

    def run(self) -> Request:
        """Fork kernels until the end, which exits. Return in a fork, with its request."""
        while True:
            for key, _ in self.selector.select():
                request: Request | None = key.data()
                if request is not None:
                    self.selector.close()
                    self.server.close()
                    return request

    def begin(self) -> Request | None:
        """Answer a client; in the fork, return its request."""
        line, _ = self.server.accept()
        line.settimeout(SECONDS)
        streams: list[int] = []  # kept open here, they would keep whoever reads them waiting for the end
        try:
            request = Request.receive(line, streams)
            if why := request.refused():
                raise ValueError(why)
            pid = os.fork()
        except (ValueError, TypeError, OSError) as error:
            say(line, refused=str(error) or "not a request")
            line.close()
            pid = -1
        if pid == 0:
            say(line, pid=os.getpid())
            line.close()
            return request
        for stream in streams:
            os.close(stream)
        if pid < 0:
            return None
        self.pids.add(pid)
        ended = os.pidfd_open(pid)
        self.selector.register(line, selectors.EVENT_READ, partial(self.kill, line, pid))
        self.selector.register(ended, selectors.EVENT_READ, partial(self.reap, line, pid, ended))
        return None

    def kill(self, line: socket.socket, pid: int) -> None:
        """End a kernel whose client has hung up."""
        self.selector.unregister(line)
        os.kill(pid, signal.SIGKILL)

    def reap(self, line: socket.socket, pid: int, ended: int) -> None:
        """Tell a kernel's client how it ended."""
        self.selector.unregister(ended)
        os.close(ended)
        _, status, used = os.wait4(pid, 0)
        self.pids.remove(pid)
        say(line, code=os.waitstatus_to_exitcode(status), peak=used.ru_maxrss)
        with contextlib.suppress(KeyError):
            self.selector.unregister(line)
        line.close()

    def end(self) -> None:
        """End all kernels and this process."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        sys.exit()


def main() -> None:
    """Import, then fork."""
    del sys.path[0]  # this script's folder
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # a kernel ends with its parent; it reads this when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in IMPORTED:
            importlib.import_module(name)
    Nursery(socket.socket(fileno=int(sys.argv[1]))).run().become()


if __name__ == "__main__":
    main()
