"""Starts kernels from a process that has imported PyTorch and Matplotlib already.

A kernel that imports both takes seconds of processor time before its first cell; a fork of a process that has done so
takes none. Within ``warm()`` every kernel that this process and its children start, by Jupyter Book, nbval or nbclient,
comes from one such process. Where that can't be, as on macOS and Windows, kernels start as they always do.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from lossbook.notebooks import warm_process

# One thread a kernel: kernels that run side by side do not fight for the cores, and a sum is taken in the same
# order, hence printed with the same digits, on every machine.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONOPTIMIZE": "",  # it would leave the assertions out
    "LOSSBOOK_PLAIN_PICTURES": "1",  # figures.PLAIN; to import it is to import Matplotlib
}
NAME = "lossbook-warm"  # of the provisioner, in pyproject.toml
SOCKET = "LOSSBOOK_WARM_KERNELS"
PROVISIONER = "JUPYTER_DEFAULT_PROVISIONER_NAME"  # Jupyter's own variable


@contextlib.contextmanager
def warm() -> Iterator[None]:
    """Start kernels from a warm process that ends with the block; from the one there is, within another such block."""
    if SOCKET in os.environ or PROVISIONER in os.environ or not sys.platform.startswith("linux"):
        yield
        return
    factory = KernelProvisionerFactory.instance()
    before = factory.default_provisioner_name
    with tempfile.TemporaryDirectory(prefix="kernels-") as folder, socket.socket(socket.AF_UNIX) as server:
        path = str(Path(folder) / "socket")
        server.bind(path)
        server.listen(64)
        with subprocess.Popen(
            [sys.executable, warm_process.__file__, str(server.fileno())],
            stdin=subprocess.PIPE,  # its end ends the process, also where this one is killed
            env={**os.environ, **ENVIRONMENT, **warm_process.BACKEND},
            pass_fds=[server.fileno()],
            start_new_session=True,  # an interrupt is for this process, which ends that one
        ):
            server.close()
            os.environ.update({SOCKET: path, PROVISIONER: NAME})
            factory.default_provisioner_name = NAME  # it may have read the variable before
            try:
                yield
            finally:
                del os.environ[SOCKET], os.environ[PROVISIONER]
                factory.default_provisioner_name = before


class RefusedError(Exception):
    """The warm process can't be forked into this kernel."""


class Fork:
    """A kernel forked from the warm process, with what Jupyter uses of ``Popen``.

    Args:
        path: The warm process's socket.
        command: The kernel's command.
        environment: Its environment.
        folder: The folder that it runs in.
        output: The file descriptors of its standard output and error.

    Raises:
        RefusedError: That kernel can't be forked.
        OSError: There is no warm process at ``path``.

    """

    stdin = stdout = stderr = None

    def __init__(
        self, path: str, command: list[str], environment: dict[str, str], folder: str, output: tuple[int, int]
    ) -> None:
        self.returncode: int | None = None
        self.peak = 0
        asked = {"command": command, "environment": environment, "folder": folder}
        self._line = socket.socket(socket.AF_UNIX)
        try:
            self._line.connect(path)
            with open(os.devnull, "rb") as nothing:
                socket.send_fds(self._line, [json.dumps(asked).encode() + b"\n"], [nothing.fileno(), *output])
            self._messages = self._line.makefile("rb")
            answer = json.loads(self._messages.readline() or "{}")
            if "pid" not in answer:
                raise RefusedError(answer.get("refused", "the warm process is gone"))
        except BaseException:
            self._line.close()
            raise
        self.pid: int = answer["pid"]

    def poll(self) -> int | None:
        """Return the exit code; None while the kernel runs."""
        if self.returncode is None and select.select([self._messages], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Return the exit code once the kernel has ended."""
        if self.returncode is None:
            with self._line, self._messages:
                # Without an answer the warm process is gone, and with it its kernels.
                ended = json.loads(self._messages.readline() or '{"code": -9, "peak": 0}')
            self.returncode, self.peak = ended["code"], ended["peak"]
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send the kernel a signal; nothing where it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the kernel."""
        self.send_signal(signal.SIGKILL)


class WarmProvisioner(LocalProvisioner):  # type: ignore[misc, unused-ignore]
    """Has kernels forked from the warm process; starts those itself that can't be."""

    process: Any = None
    peak = 0  # the most memory that a forked kernel held, as getrusage has it, once it has ended

    async def wait(self) -> int | None:
        """Return the exit code once the kernel has ended."""
        fork = self.process
        code: int | None = await super().wait()
        if isinstance(fork, Fork):
            self.peak = fork.peak
        return code

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start a kernel. The arguments are ``Popen``'s, as Jupyter gives them."""
        try:
            self.process = forked(cmd, **self._scrub_kwargs(kwargs))
        except (RefusedError, OSError):
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid  # it leads its session
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info


def forked(
    command: list[str],
    *,
    env: dict[str, str] | None = None,
    cwd: str | None = None,
    stdout: Any = None,
    stderr: Any = None,
    **others: Any,
) -> Fork:
    """Have a kernel forked. Raises RefusedError or OSError where it can't be."""
    if unknown := {name for name, value in others.items() if value is not None} - {"stdin"}:
        raise RefusedError(f"the warm process knows no {', '.join(sorted(unknown))}")
    path = os.environ.get(SOCKET)
    if not path:
        raise RefusedError("there is no warm process")
    with open(os.devnull, "wb") as nothing:
        output = file_number(stdout, 1, nothing.fileno()), file_number(stderr, 2, nothing.fileno())
        return Fork(path, command, dict(os.environ if env is None else env), str(cwd or Path.cwd()), output)


def file_number(given: Any, inherited: int, nothing: int) -> int:
    """Return the file descriptor of a stream as ``Popen`` is given it. Raises RefusedError for a pipe."""
    if given is None:
        return inherited
    if given == subprocess.DEVNULL:
        return nothing
    if isinstance(given, int) and given < 0:
        raise RefusedError("a pipe is asked for")
    return int(given if isinstance(given, int) else given.fileno())
