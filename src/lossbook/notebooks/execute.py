"""Runs notebooks, two at a time, and measures what each took."""

import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass

import ipykernel.kernelspec
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from lossbook.notebooks import kernels
from lossbook.notebooks.notebook import METADATA, as_node, from_text, place, texts, to_text

SECONDS = 60.0
BYTES = 2 * 2**30
WORKERS = 2
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Run:
    """One executed notebook, its wall time in seconds and its kernel's peak memory in bytes."""

    notebook: NotebookNode
    seconds: float
    peak_bytes: int


class RunError(RuntimeError):
    """A notebook that cannot be released as it ran; the message names the cell and what to do."""


class ThisEnvironment(KernelSpecManager):  # type: ignore[misc, unused-ignore]
    """Finds one kernel, `python3`: the interpreter that runs this process, whatever else is installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the specification of this interpreter's kernel."""
        return KernelSpec(resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict())


def execute(nb: NotebookNode) -> int:
    """Run `nb` in place, in a fresh kernel and an empty folder. Return its peak in bytes. Raises RunError."""
    peak = 0
    for last in (False, True):
        begun: list[int] = []  # the client says which cell it sends; a kernel that dies may never answer
        try:
            peak = _execute(nb, begun)
            break
        except CellExecutionError as error:
            raise RunError(f"{_last(nb, begun)} raised {error.ename}: {error.evalue}") from None
        except CellTimeoutError:
            raise RunError(f"{_last(nb, begun)} ran for more than {SECONDS:.0f} s: make it smaller") from None
        except DeadKernelError:
            raise RunError(f"{_last(nb, begun)} killed the kernel: does it use too much memory?") from None
        except RuntimeError as error:  # rarely, a kernel starts and never answers: nothing was run, so try another
            if begun or last:
                raise RunError(f"the kernel did not start: {error}") from None
    nb.metadata = as_node(METADATA)  # the kernel adds its version
    _check_outputs(nb)
    return peak


def _execute(nb: NotebookNode, begun: list[int]) -> int:
    """Run `nb` in place in one kernel; add the index of each cell that is sent to `begun`. Return its peak in bytes."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as profile:
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisEnvironment())
        client = NotebookClient(nb, km=manager, timeout=int(SECONDS), record_timing=False, coalesce_streams=True)
        client.on_cell_execute = lambda cell, cell_index: begun.append(cell_index)
        env = {**os.environ, **kernels.ENVIRONMENT, "IPYTHONDIR": profile}  # no startup files of the user's
        with _handlers_kept():
            client.execute(cwd=folder, env=env, stderr=subprocess.DEVNULL, cleanup_kc=True)
        return peak_bytes(getattr(manager.provisioner, "peak", 0))


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put back what is done at Ctrl-C: where a kernel does not start, nbclient leaves its own handlers behind.

    So would the loop: it goes on hearing of every signal, and would tell the next notebook of those it had missed.
    """
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler, nbclient neither
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    told = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(told)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(told)


def execute_all(notebooks: Mapping[str, NotebookNode]) -> Iterator[tuple[str, Run | RunError]]:
    """Run each notebook in its own process, and yield its key with its run or its error as it ends."""
    context = multiprocessing.get_context("spawn")
    with kernels.warm(), ProcessPoolExecutor(WORKERS, mp_context=context, max_tasks_per_child=1) as pool:
        jobs = {pool.submit(_job, to_text(nb)): name for name, nb in notebooks.items()}
        for job in as_completed(jobs):
            text, seconds, peak_bytes, error = job.result()
            error = error or over_limits(seconds, peak_bytes)
            if error:
                yield jobs[job], RunError(error)
            else:
                yield jobs[job], Run(from_text(text), seconds, peak_bytes)


def over_limits(seconds: float, peak_bytes: int) -> str:
    """Say which limit a run broke; the empty string if none."""
    if seconds > SECONDS:
        return f"took {seconds:.0f} s; a notebook must run in {SECONDS:.0f} s: make its cells smaller"
    if peak_bytes > BYTES:
        return f"used {peak_bytes / 2**30:.1f} GiB; a notebook must fit in {BYTES / 2**30:.0f} GiB"
    return ""


def _job(text: str) -> tuple[str, float, int, str]:
    """Run one notebook; return it with its seconds, its peak bytes and its error (empty if none)."""
    import matplotlib.font_manager  # noqa: F401  (its first import on a machine warns on stderr)

    nb = from_text(text)
    start, error, peak = time.perf_counter(), "", 0
    try:
        peak = execute(nb)
    except RunError as run_error:
        error = str(run_error)
    return to_text(nb), time.perf_counter() - start, peak, error


def peak_bytes(forked: int) -> int:
    """Return the most memory that a kernel held, given that of a fork, which is no child of this process."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return unit * max(forked, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _last(nb: NotebookNode, begun: list[int]) -> str:
    """Name the cell that was sent last; the first where none was."""
    index = begun[-1] if begun else 0
    return place(index + 1, nb.cells[index])


def _check_outputs(nb: NotebookNode) -> None:
    """Refuse what would differ in the next run, or look like a mistake to a student."""
    count = 0
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type != "code":
            continue
        count += 1
        if cell.execution_count != count:
            raise RunError(f"{place(number, cell)} ran as number {cell.execution_count}, not {count}")
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise RunError(f"{place(number, cell)} wrote to stderr: {_COLOURS.sub('', output.text).strip()}")
            for text in texts(output):
                if _ADDRESS.search(text):
                    raise RunError(f"{place(number, cell)} prints an object's address: {text.strip()[:200]}")
