"""The worker: imports PyTorch once, and forks a process for each submission that is handed to it.

``main(control, walls)`` serves a socket. What comes over it, and goes back:

- ``clone ALLOWED TAKEN`` with a socket: fork a worker that serves that socket, in which what is named is taken away
  for good. No code of a student's has run there, so that none can have kept it.
- ``run N SECONDS`` with one end of a job's own socket: fork a process for a submission. Back go ``born N`` with a file
  that stands for the process, or ``fail N REASON``, and at last ``end N STATUS``.
- ``kill N``. And ``ready`` goes back, once, when a worker can be used.

What is in a job is read by the forked process alone, so that nothing of one submission is ever in the memory that the
next one inherits.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

import torch

from lossbook.checks.trial import attempt
from lossbook.grading.run.sandbox import losses, stage, walls
from lossbook.grading.run.sandbox.remarks import Remarks
from lossbook.grading.run.sandbox.wire import Room, Stream, outcome_to_list, pack

ROOM = 2**30  # bytes of address space beyond what the worker itself has
FILES = 16 * 2**20  # bytes that a submission may write
CONTROL = 65536  # bytes of one order
KERNEL_OF = "_dispatch_get_computed_kernel_for_dispatch_key"
CHANNEL = 3  # the forked process's one open file


class Job:
    """One forked process."""

    def __init__(self, number: int, pid: int) -> None:
        self.number, self.pid = number, pid
        self.watch = os.pidfd_open(pid)


class Worker:
    """Forks processes on order and reports their ends."""

    def __init__(self, control: socket.socket, walls_up: bool, found: losses.Found, covered: list[str]) -> None:
        self.found, self.covered = found, covered
        self.control, self.walls_up = control, walls_up
        self.jobs: dict[int, Job] = {}
        self.pid = os.getpid()
        self.home = os.open("/proc/self/ns/pid", os.O_RDONLY) if walls_up else -1
        self.room = walls.address_space() + ROOM
        self.filter = walls.call_filter() if walls_up else None

    def say(self, *words: Any) -> None:
        """Tell the other end."""
        self.control.send(json.dumps(words).encode())

    def serve(self) -> None:
        """Take orders until the other end hangs up."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while True:
            for job in self.jobs.values():
                poll.register(job.watch, select.POLLIN)
            for ready, _ in poll.poll():
                if ready == self.control.fileno():
                    if not self.order():
                        return
                else:
                    poll.unregister(ready)
                    self.reap(ready)

    def order(self) -> bool:
        """Carry out one order; return whether there may be more."""
        data, files, _, _ = socket.recv_fds(self.control, CONTROL, 1)
        if not data:
            return False
        what, number, *rest = json.loads(data)
        if what == "kill" and number in self.jobs:
            os.kill(self.jobs[number].pid, signal.SIGKILL)
        elif what == "clone":
            if os.fork() == 0:
                self.begin_anew(files[0], number, *rest)
            os.close(files[0])
        elif what == "run":
            try:
                self.start(number, files[0], *rest)
            except OSError as error:
                self.say("fail", number, str(error))
            finally:
                os.close(files[0])
        return True

    def begin_anew(self, control: int, allowed: Collection[str], taken: Collection[str]) -> NoReturn:
        """Be a worker of one's own, over another socket, without what is taken away."""
        self.control.close()
        for job in self.jobs.values():
            os.close(job.watch)
        self.jobs.clear()
        self.control, self.pid = socket.socket(fileno=control), os.getpid()
        losses.take_away(self.found, allowed)
        losses.take_operations(taken)
        gc.freeze()
        self.work()

    def work(self) -> NoReturn:
        """Serve until the other end hangs up, and end all that was started."""
        self.say("ready", torch.__version__)
        self.serve()
        for job in self.jobs.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(job.pid, signal.SIGKILL)
        os._exit(0)

    def start(self, number: int, job: int, seconds: int) -> None:
        """Fork a process for a job, given its socket. Raises OSError where that may not be done."""
        if self.walls_up:
            walls.unshare(walls.NEWPID, "unshare of processes")
        try:
            pid = os.fork()
        finally:
            if self.walls_up and os.getpid() == self.pid:
                walls.enter(self.home, walls.NEWPID)
        if pid == 0:
            try:
                self.shut_in(job, seconds)
                perform()
            finally:
                os._exit(0)
        self.jobs[number] = made = Job(number, pid)
        socket.send_fds(self.control, [json.dumps(["born", number]).encode()], [made.watch])

    def reap(self, ready: int) -> None:
        """Note and report the end of a process, given the file that told of it."""
        job = next(job for job in self.jobs.values() if job.watch == ready)
        _, status = os.waitpid(job.pid, 0)
        os.close(job.watch)
        del self.jobs[job.number]
        self.say("end", job.number, os.waitstatus_to_exitcode(status))

    def shut_in(self, job: int, seconds: int) -> None:
        """Raise the walls around this process; say so to the other end, or what stood in the way."""
        os.setsid()  # a group of its own: a signal to the group reaches nobody else
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        if job != CHANNEL:
            os.dup2(job, CHANNEL, inheritable=False)
        channel = socket.socket(fileno=CHANNEL)
        os.closerange(CHANNEL + 1, 1024)
        walls.first_to_go()
        try:
            if self.walls_up:
                walls.own_namespaces()
                walls.cover(self.covered)
                walls.own_files(FILES)
            walls.limits(seconds, self.room, FILES)
            if self.filter is not None:
                walls.no_capabilities()
                self.filter.load()
        except (OSError, ValueError) as error:
            channel.sendall(pack(["walls", str(error)]))
            os._exit(1)
        channel.sendall(pack(["walls", None]))
        channel.detach()


def perform() -> None:
    """Do what comes over a job's socket: run the cells, then answer the calls, until the other end hangs up."""
    channel = socket.socket(fileno=CHANNEL)
    requests = incoming(channel)
    send, packed, listed, answer, room_of = channel.sendall, pack, outcome_to_list, stage.answer, Room
    stop, timers = signal.setitimer, (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    cells = next(requests)
    random.seed(os.urandom(16))
    remarks = Remarks(lambda number, what: send(packed(["seen", number, what])))
    remarks.read((number, source) for number, source, _ in cells)
    send(packed(["read"]))
    remarks.listen()
    scope = stage.notebook_scope()
    names, built_in = vars(builtins), dict(vars(builtins))
    kept: dict[str, Any] = {}
    lines = stage.Lines()
    for number, source, reduced in cells:
        send(packed(["begin", number]))
        error = stage.run_cell(source, number, scope, reduced=reduced, lines=lines)
        names.update(built_in)  # a cell that replaces compile or isinstance harms itself alone
        for timer in timers:  # an alarm that was left on rings in what the cell did, and in nothing else
            stop(timer, 0)
        stage.note_functions(scope, kept)
        send(packed(["cell", number, error]))  # only now: what it has left behind may end the process up to here
    stage.give_back_functions(scope, kept)
    remarks.compare()
    send(packed(["ran"]))
    for calls in requests:
        for left, (size, call) in zip(range(len(calls), 0, -1), calls, strict=True):
            outcome = answer(call, scope)
            if left == 1:
                remarks.compare()
            send(packed(["answer", listed(outcome, room_of(size))]))


def incoming(channel: socket.socket) -> Iterator[Any]:
    """Yield the messages that arrive over a socket until the other end hangs up."""
    stream = Stream()
    while data := channel.recv(1 << 20):
        yield from stream.feed(data)


def no_more_threads(count: int) -> None:
    """Stand in for ``torch.set_num_threads``: one thread is all that can be had."""


def main(control: int, walls_up: bool, allowed: Collection[str]) -> NoReturn:
    """Warm PyTorch up and serve until the other end of the socket hangs up.

    Args:
        control: The number of the open socket.
        walls_up: Whether each forked process is shut in.
        allowed: PyTorch's losses that some submission may call; the others are taken away here, once for all.

    """
    channel = socket.socket(fileno=control)
    torch.set_num_threads(1)
    leaf = torch.ones(3, requires_grad=True)
    torch.autograd.grad((leaf * 2).sigmoid().log().sum(), leaf)  # what is set up at a first use is set up once, here
    importlib.import_module("torch._dynamo")  # optimisers need it, and what submissions compile is watched with it
    attempt(lambda x: x.exp().mean(), (torch.ones(3),), {}, gradient=True, count=True)
    with contextlib.suppress(ImportError):  # looking for the machine's fonts takes a second: once, and not in each cell
        import matplotlib.pyplot  # noqa: F401
    for name in ("set_num_threads", "set_num_interop_threads"):
        setattr(torch, name, no_more_threads)
    found = losses.find()
    covered = losses.sources(found)
    if hasattr(torch._C, KERNEL_OF):  # a kernel kept from before would outlast its being taken away
        delattr(torch._C, KERNEL_OF)
    worker = Worker(channel, walls_up, losses.take_away(found, allowed), covered)
    gc.collect()
    gc.freeze()  # what is there now is never looked at again, so forked processes go on sharing its memory
    worker.work()
