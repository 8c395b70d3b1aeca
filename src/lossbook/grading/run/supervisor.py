"""Runs submissions in a worker: hands each a socket of its own, keeps the time, and notes what came back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from lossbook.checks.trial import LOST, Outcome
from lossbook.grading.run import isolation
from lossbook.grading.run.clocks import TICK, Meter, Process, Span
from lossbook.grading.run.isolation import NAMESPACES, IsolationError
from lossbook.grading.run.sandbox.wire import NAMES, Room, Stream, WireError, outcome_from_list, pack

START = 60.0  # seconds that a worker may take to import PyTorch
NOTHING = object()
MOST_BYTES = 64 * 2**20  # that one submission may send back
CHUNK = 2**16  # bytes read at once: what comes is decoded in small parts, and others have their turn between them
RESTARTS = 8  # times a submission is run again without the cell that ended its process
LAST = 2  # of these are left where cells that end it one after the other are cut down to their definitions, all of them
FOR_CELLS = 0.75  # of a submission's time, what its cells may take together: the rest is its functions'
HURRY = 0.1  # of a cell's time, what it may take once the cells have taken theirs
NO_ANSWER = "it wrote to the grader's channel what is no answer"
# What stands for a submission before the first: the imports of the lessons, and a function that is watched.
WARM = """
import math
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
def warm(x):
    return (F.relu(x) + torch.log(x.exp())).mean()
"""
TIMED_OUT, KILLED, ENDED = "timed out", "killed", "partial"


@dataclass(frozen=True)
class Limits:
    """How long a submission may take, in seconds of processor time: a busy machine changes nothing.

    Twice as long it may sleep; and thirty times as long it may take altogether, where it gets no processor.

    Args:
        total: For everything, what is run again included, and the grader's own work on the answers.
        cell: For one cell.
        exercise: For all calls of one function.

    """

    total: float = 20.0
    cell: float = 5.0
    exercise: float = 3.0


@dataclass(frozen=True)
class Questions:
    """The calls of one function, ready to be sent.

    Args:
        function: Its name.
        packed: The message.
        rooms: For each call, how large its answer may be.
        allowed: PyTorch's losses that the exercise allows.
        taken: What else is taken away before the first cell runs.

    """

    function: str
    packed: bytes
    rooms: tuple[Room, ...]
    allowed: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()


@dataclass
class Run:
    """What came of running a submission.

    Args:
        outcomes: For each function, the outcome of each call; ``lost`` where there was no answer.
        curves: For functions whose curve was asked for, the outcome of each of its calls; none where they failed.
        cell_errors: The number of each cell that raised, and what, in one line.
        state: Empty where all went to its end; else ``timed out``, ``killed`` or ``partial``, the first that happened.
        reasons: What happened, in words, and where.
        again: Whether something happened that another submission, or a busy machine, may have had a part in.
        seen: What is remarkable, each with the number of its cell, 0 where that is unknown.

    """

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    curves: dict[str, list[Outcome]] = field(default_factory=dict)
    cell_errors: dict[int, str] = field(default_factory=dict)
    state: str = ""
    reasons: list[str] = field(default_factory=list)
    again: bool = False
    seen: dict[tuple[int, str], None] = field(default_factory=dict)


Judged = Callable[[str, list[Outcome]], "Questions | None"]


def _no_more(function: str, outcomes: list[Outcome]) -> Questions | None:
    return None


class EndedError(Exception):
    """A submission's process came to an end, or was ended: where, how, and why."""

    def __init__(self, state: str, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.state, self.why, self.again = state, why, again


class WorkerError(RuntimeError):
    """The worker itself is gone, or can start no process for a submission."""


class Channel:
    """One submission's socket: what is sent and received, and the time that it takes.

    Between two messages, and between two parts of one, the clock is looked at and the others have their turn: nothing
    that is sent keeps the grader from them, or from the end of the sender's own time.
    """

    def __init__(self, ours: socket.socket, meter: Meter) -> None:
        self.ours, self.meter = ours, meter
        self.stream, self.received, self.room = Stream(), 0, Room(0)
        self.messages: Iterator[Any] = iter(())

    async def send(self, data: bytes, span: Span) -> None:
        """Send bytes. Raises EndedError where the time is over, and where nobody is there to take them."""
        rest = memoryview(data)
        while rest:
            self._in_time(span)
            try:
                rest = rest[self.ours.send(rest) :]
            except BlockingIOError:
                await self._wait(writing=True)
            except OSError:
                raise EndedError(ENDED, "its process ended") from None

    async def receive(self, span: Span, room: Room | None = None) -> Any:
        """Return the next message.

        Args:
            span: The time there is for it.
            room: How large it may be, where it is an answer.

        Raises:
            EndedError: The time is over, the process has ended, or what came is no message or too large a one.

        """
        self.room = room or Room(0)
        while True:
            await asyncio.sleep(0)
            self._in_time(span)
            with self.meter.charged():
                found = self._next()
            if found is not NOTHING:
                return found
            await self._wait()

    def _next(self) -> Any:
        """Return the next message that is there; ``NOTHING`` where there is none yet."""
        try:
            if (found := next(self.messages, NOTHING)) is NOTHING:
                self._take_in(self.ours.recv(CHUNK))
                found = next(self.messages, NOTHING)
            return found
        except BlockingIOError:
            return NOTHING
        except WireError as error:
            raise EndedError(KILLED, f"{NO_ANSWER} ({error})") from None
        except OSError:
            raise EndedError(ENDED, "its process ended") from None

    def _take_in(self, data: bytes) -> None:
        if not data:
            raise EndedError(ENDED, "its process ended")
        self.received += len(data)
        if self.received > MOST_BYTES:
            raise EndedError(KILLED, f"it sent back more than {MOST_BYTES // 2**20} MB")
        if self.received - self.stream.read > self.room.bytes + CHUNK:
            raise EndedError(KILLED, f"it sent back more than {self.room.bytes} bytes for one answer")
        self.stream.most = self.room.values + 4 * NAMES
        self.messages = self.stream.feed(data)

    @staticmethod
    def _in_time(span: Span) -> None:
        if span.over():
            raise EndedError(TIMED_OUT, "it took too long", again=True)

    async def _wait(self, *, writing: bool = False) -> None:
        """Wait until the socket can be read from, or written to, for a moment at most."""
        loop, started = asyncio.get_running_loop(), time.monotonic()
        ready: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
        add(self.ours, lambda: None if ready.done() else ready.set_result(None))
        try:
            async with asyncio.timeout(TICK):
                await ready
        except TimeoutError:
            pass
        finally:
            remove(self.ours)
            self.meter.look(time.monotonic() - started)


Taken = tuple[frozenset[str], frozenset[str]]  # PyTorch's losses that stay, and what else goes
NOTHING_TAKEN: Taken = (frozenset(), frozenset())


class Line:
    """The socket to a worker that serves one set of exercises, and whether it can be used."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Hang up: the worker then ends, and all that it started."""
        with contextlib.suppress(Exception):
            asyncio.get_running_loop().remove_reader(self.ours)
        self.ours.close()
        self.theirs.close()


@dataclass
class Job:
    """What the worker tells of one process: that it has begun, and how it ended."""

    born: asyncio.Future[Process]
    end: asyncio.Future[int]


class Worker:
    """The process that forks one process a submission; ``async with`` starts and ends it.

    What an exercise forbids is taken away in a fork of the worker, before any submission is there; each submission runs
    in a fork of that one. So it costs little, and no code of a student's comes before it.
    """

    def __init__(
        self,
        mode: str = NAMESPACES,
        limits: Limits | None = None,
        allowed: frozenset[str] = frozenset(),
        secret: Sequence[Path] = (),
    ) -> None:
        self.mode, self.limits, self.allowed, self.secret = mode, limits or Limits(), allowed, secret
        self.numbers = itertools.count()
        self.jobs: dict[int, Job] = {}
        self.lines: dict[Taken | None, Line] = {}
        self.reviving = asyncio.Lock()
        self.gone = False
        # One thread for all: what judges is Python, so that more would only wait for each other.
        self.judge = ThreadPoolExecutor(1, "judge")

    async def __aenter__(self) -> Worker:
        self.folder = isolation.Folder()
        isolation.stage(self.folder.path)
        try:
            await self.start()
            await self.warm_up()
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    async def start(self) -> None:
        """Start the process and wait until it has imported PyTorch. Raises IsolationError where it can't be."""
        folder = self.folder.path
        log = folder / "worker.log"
        self.lines[None] = main = Line()
        control = main.theirs.fileno()
        if self.mode == NAMESPACES:
            words = isolation.shut_in(folder, control, self.allowed, self.secret)
        else:
            words = isolation.in_the_open(folder, control, self.allowed)
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                words,
                pass_fds=[control],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                cwd=folder,
                start_new_session=True,  # Ctrl-C is for the grader, which then ends the worker itself
                env=None if self.mode == NAMESPACES else {**os.environ, **isolation.ENVIRONMENT},
            )
        self.gone = False
        try:
            self.torch = await self.use(main)
        except WorkerError:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["it did not answer"]
            raise IsolationError(f"the worker could not be started: {said[0]}") from None

    async def use(self, line: Line) -> str:
        """Wait until what is at the other end of a line can be used. Raises WorkerError where that takes too long."""
        line.theirs.close()
        asyncio.get_running_loop().add_reader(line.ours, self.heard, line)
        try:
            async with asyncio.timeout(START):
                return await asyncio.shield(line.ready)
        except TimeoutError:
            raise WorkerError("the worker could not be started in time") from None

    async def line(self, taken: Taken) -> Line:
        """Return the line to a worker in which so much is taken away. Raises WorkerError where there is none."""
        if self.gone:
            raise WorkerError("the worker is gone")
        if taken not in self.lines:
            self.lines[taken] = made = Line()
            order = json.dumps(["clone", *map(sorted, taken)]).encode()
            try:
                socket.send_fds(self.lines[None].ours, [order], [made.theirs.fileno()])
            except (OSError, KeyError):
                raise WorkerError("the worker is gone") from None
            await self.use(made)
        await asyncio.shield(self.lines[taken].ready)
        return self.lines[taken]

    async def warm_up(self) -> None:
        """Run a submission of our own, so that nobody is the first. Raises IsolationError where it can't be shut in."""
        meter = Meter()
        span = Span(meter, START)
        cell, call = [0, WARM, False], ["warm", [torch.ones(3)], {}, 1, ["sigmoid"], True]
        try:
            async with self.job(meter) as channel:
                await channel.send(pack([cell]), span)
                await channel.send(pack([[1, call]]), span)
                for _ in ("read", "begin", "cell", "ran", "answer"):
                    await channel.receive(span, Room())
        except (EndedError, WorkerError) as error:
            raise IsolationError(str(error)) from None

    async def revive(self) -> None:
        """Start the worker again where it is gone."""
        async with self.reviving:
            if self.process.poll() is None and not self.gone:
                return
            self.lose()
            self.hang_up()
            await self.start()

    def lose(self) -> None:
        """Tell all who wait for the worker that it is gone."""
        self.gone = True
        gone = WorkerError("the worker is gone")
        futures: list[asyncio.Future[Any]] = [line.ready for line in self.lines.values()]
        for job in self.jobs.values():
            futures += [job.born, job.end]
        for pending in futures:
            if not pending.done():
                pending.set_exception(gone)

    def hang_up(self) -> None:
        """End the process and close the lines to it."""
        for line in self.lines.values():
            line.close()
        self.lines.clear()
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End the worker and all that it started."""
        self.hang_up()
        self.judge.shutdown(cancel_futures=True)
        self.folder.remove()

    def heard(self, line: Line) -> None:
        """Take in what the worker says."""
        files: list[int] = []
        try:
            data, files, _, _ = socket.recv_fds(line.ours, 65536, 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(line.ours)
            self.lose()
            return
        what, *rest = json.loads(data)
        if what == "ready":
            if not line.ready.done():
                line.ready.set_result(rest[0])
            return
        job = self.jobs.get(rest[0])
        if what == "born":
            process = Process(files.pop())
            if job is None or job.born.done():
                process.close()
            else:
                job.born.set_result(process)
        elif job is not None and what == "end" and not job.end.done():
            job.end.set_result(rest[1])
        elif job is not None and what == "fail" and not job.born.done():
            job.born.set_exception(WorkerError(f"a process could not be started: {rest[1]}"))

    @contextlib.asynccontextmanager
    async def job(self, meter: Meter, taken: Taken = NOTHING_TAKEN) -> AsyncIterator[Channel]:
        """Yield the channel of a freshly forked process, once it is shut in; kill the process on leaving.

        Args:
            meter: What counts the process's time.
            taken: What is taken away there.

        """
        line = await self.line(taken)
        number, loop = next(self.numbers), asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.jobs[number] = job = Job(loop.create_future(), loop.create_future())
        process: Process | None = None
        try:
            with theirs:
                # Should the grader itself hang, the kernel ends the process all the same.
                order = json.dumps(["run", number, int(2 * self.limits.total) + 2]).encode()
                try:
                    socket.send_fds(line.ours, [order], [theirs.fileno()])
                except OSError:
                    raise WorkerError("the worker is gone") from None
            try:
                async with asyncio.timeout(START):
                    process = await job.born
            except TimeoutError:
                raise WorkerError("a process could not be started in time") from None
            channel = Channel(ours, meter)
            what, stood_in_the_way = await channel.receive(Span(Meter(), START))
            if what != "walls" or stood_in_the_way is not None:
                raise WorkerError(f"a submission could not be shut in: {stood_in_the_way}")
            meter.follow(process)
            yield channel
        except EndedError as error:
            ours.close()
            if error.state == TIMED_OUT or not await self._ended(job.end):
                self._kill(line, number)
            code = await job.end
            raise cause(error, code) from None
        finally:
            meter.leave()
            ours.close()
            if process is not None:
                process.close()
                if not job.end.done() and not self.gone:  # of a worker that is gone no end is heard
                    self._kill(line, number)
                    with contextlib.suppress(WorkerError):
                        await job.end
            for future in (job.born, job.end):
                if future.done() and not future.cancelled():
                    future.exception()  # it is known
            del self.jobs[number]

    @staticmethod
    def _kill(line: Line, number: int) -> None:
        with contextlib.suppress(OSError):
            line.ours.send(json.dumps(["kill", number]).encode())

    async def _ended(self, end: asyncio.Future[int]) -> bool:
        """Wait a moment for a process that has hung up to end by itself."""
        try:
            async with asyncio.timeout(0.5):
                await asyncio.shield(end)
        except TimeoutError:
            return False
        return True

    async def aside(self, meter: Meter, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function where nobody waits for it but the submission that it is for, which pays for its time."""

        def timed() -> tuple[Any, float]:
            started = time.thread_time()
            return function(*args), time.thread_time() - started

        found, took = await asyncio.get_running_loop().run_in_executor(self.judge, timed)
        meter.charge(took)
        return found

    async def run(self, cells: Mapping[int, str], questions: Sequence[Questions], judged: Judged = _no_more) -> Run:
        """Run a submission's cells, put the questions to its functions, and return what came of it.

        Exercises that forbid the same share a process, in which that is gone before the first cell runs. What ends a
        process, a cell or a function, is left out and the rest is run again, so that it counts.

        Args:
            cells: The code by the number of its cell, in order.
            questions: What to ask of each function.
            judged: Called with a function's name and its outcomes; may return the questions of its curve.

        Raises:
            WorkerError: The worker itself is gone, or can start no process.

        """
        return await _Running(self, cells, judged).all(questions)


class _Running:
    """One submission while it runs."""

    def __init__(self, worker: Worker, cells: Mapping[int, str], judged: Judged) -> None:
        self.worker, self.limits, self.cells, self.judged = worker, worker.limits, cells, judged
        self.run, self.meter = Run(), Meter()
        self.total = Span(self.meter, self.limits.total)
        self.reduced: set[int] = set()
        self.dropped: set[int] = set()
        self.restarts = RESTARTS
        self.cells_took: float | None = None  # what they took the first time that they ran to their end
        self.for_cells = FOR_CELLS * self.limits.total  # what they may take yet; that they run again is free
        self.cell = self.limits.cell  # what each may take
        self.took: dict[int, float] = {}  # what each took the last time that it ran to its end
        self.at: tuple[str, Any] = ("start", None)  # where it is

    async def all(self, questions: Sequence[Questions]) -> Run:
        """Run the cells and ask all questions; what is left out is lost."""
        for asked in groups(questions):
            if not await self.group(asked):
                break
        for item in questions:
            if item.function not in self.run.outcomes:
                await self.lose(item, "the submission ended, or its time was used up, before its turn")
        return self.run

    async def group(self, asked: Sequence[Questions]) -> bool:
        """Run the cells and ask the questions that may share a process; return whether there is time for more."""
        first = self.cells_took is None
        while True:
            try:
                self.at = ("start", None)
                left = [item for item in asked if item.function not in self.run.outcomes]
                taken = (asked[0].allowed, asked[0].taken) if asked else NOTHING_TAKEN
                async with self.worker.job(self.meter, taken) as channel:
                    try:
                        await self.round(channel, left, note=first)
                    finally:
                        self.run.seen |= channel.stream.seen
                return True
            except EndedError as error:
                kind, what = self.at
                if kind == "curve":
                    self.run.curves[what] = []
                else:
                    self.note(error)
                if kind == "cell":
                    (self.dropped if what in self.reduced else self.reduced).add(what)
                    self.restarts -= 1
                elif kind == "exercise":
                    await self.lose(next(item for item in asked if item.function == what), error.why)
                if kind == "start":  # what a cell has left behind ended it, and there is no telling which
                    if self.reduced >= self.cells.keys():
                        return False
                    self.reduced |= self.cells.keys()
                if self.restarts < 0 or self.total.over():
                    return False

    def note(self, error: EndedError) -> None:
        """Note that the process ended, and where."""
        kind, what = self.at
        where = {"cell": f"cell {what}", "exercise": f"{what}"}.get(kind, "the start")
        self.run.state = self.run.state or error.state
        self.run.again = self.run.again or error.again
        self.run.reasons.append(f"{where}: {error.why}")
        if kind == "cell":
            self.run.cell_errors.setdefault(what, error.why)

    async def lose(self, item: Questions, why: str) -> None:
        """Note that a function gave no answer, and why."""
        self.run.outcomes[item.function] = [Outcome(LOST, error=f"no answer: {why}")] * len(item.rooms)
        await self.judge(item.function)

    async def judge(self, function: str) -> Questions | None:
        """Have a function judged; return the questions of its curve, if there are any."""
        outcomes = self.run.outcomes[function]
        curve: Questions | None = await self.worker.aside(self.meter, self.judged, function, outcomes)
        return curve

    async def round(self, channel: Channel, asked: Sequence[Questions], *, note: bool) -> None:
        """Run the cells and put the questions, once, in one process.

        Args:
            channel: The line to the process.
            asked: The questions.
            note: Whether the errors of the cells are noted. Where more is taken away than the cells were written for,
                they may raise, and that is no fault.

        """
        if self.for_cells <= 0 or self.restarts <= LAST:
            self.hurry()
        cells: list[list[Any]] = [
            [at, source, at in self.reduced] for at, source in self.cells.items() if at not in self.dropped
        ]
        await channel.send(pack(cells), Span(self.meter, self.limits.cell, self.total))
        expect(await channel.receive(Span(self.meter, self.limits.cell, self.total)), "read")
        free = self.cells_took or 0.0  # that they run once more is the grader's wish
        self.total.extend(free)
        cells_time = Span(self.meter, self.for_cells + 2 * free, self.total)
        try:
            await self.run_cells(channel, cells, cells_time, note=note)
        finally:
            took = cells_time.spent()
            self.total.extend(min(took, free) - free)
            self.for_cells -= max(0.0, took - free)
        if self.cells_took is None:
            self.cells_took = took
        for item in asked:
            self.at = ("exercise", item.function)
            self.run.outcomes[item.function] = await self.answers(channel, item)
            if (curve := await self.judge(item.function)) is not None:
                self.at = ("curve", item.function)
                self.run.curves[item.function] = await self.answers(channel, curve)

    async def run_cells(self, channel: Channel, cells: Sequence[Sequence[Any]], time: Span, *, note: bool) -> None:
        """Follow the cells that a process runs, each in its own time and all within a time.

        What has come to its end once may take twice as long the next time: no clock is that exact.
        """
        for number, _, _ in cells:
            self.at = ("cell", number)
            span = Span(self.meter, max(self.cell, 2 * self.took.get(number, 0.0)), time)
            expect(await channel.receive(span), "begin", number)
            done = await channel.receive(span)
            expect(done, "cell", number, 3)
            self.took[number] = span.spent()
            if note and isinstance(done[2], str):
                self.run.cell_errors.setdefault(number, " ".join(done[2][:5000].split())[:500])
        self.at = ("start", None)
        expect(await channel.receive(Span(self.meter, self.limits.cell, self.total)), "ran")

    def hurry(self) -> None:
        """Leave the functions their time, now that the cells have taken theirs: of slow cells the definitions stay.

        The cells get half of the rest; where that is not enough, or one after the other ends the process, definitions
        alone are run.
        """
        last = self.cell < self.limits.cell or self.restarts <= LAST
        self.cell = HURRY * self.limits.cell
        self.reduced |= {number for number in self.cells if last or self.took.get(number, 0.0) > self.cell / 2}
        self.for_cells = (1 - FOR_CELLS) / 2 * self.limits.total

    async def answers(self, channel: Channel, item: Questions) -> list[Outcome]:
        """Ask a function's questions; return the outcomes of all calls."""
        span = Span(self.meter, self.limits.exercise, self.total)
        await channel.send(item.packed, span)
        found = []
        for room in item.rooms:
            message = await channel.receive(span, room)
            expect(message, "answer", length=2)
            try:
                with self.meter.charged():
                    found.append(outcome_from_list(message[1], room))
            except WireError as error:
                raise EndedError(KILLED, f"{NO_ANSWER} ({error})") from None
        return found


def groups(questions: Sequence[Questions]) -> list[list[Questions]]:
    """Return questions by what is taken away for them: those that forbid the least first, so that cells run as meant.

    There is one group at least, so that cells run even where nothing is asked.
    """
    found: dict[tuple[frozenset[str], frozenset[str]], list[Questions]] = {}
    for item in questions:
        found.setdefault((item.allowed, item.taken), []).append(item)
    return sorted(found.values(), key=lambda items: (not items[0].allowed, len(items[0].taken))) or [[]]


def expect(message: Any, kind: str, number: int | None = None, length: int | None = None) -> None:
    """Raise EndedError where a message is not of the kind that must come now."""
    right = isinstance(message, list) and len(message) == (length or (1 if number is None else 2))
    right = right and type(message[0]) is str and message[0] == kind
    if not right or (number is not None and not (type(message[1]) is int and message[1] == number)):
        raise EndedError(KILLED, NO_ANSWER)


def cause(error: EndedError, code: int) -> EndedError:
    """Return an end with its state and its reason, given the exit code of the process."""
    if error.state != ENDED:
        return error
    if code == -9:
        return EndedError(KILLED, "it was killed: too much memory or processor time", again=True)
    if code < 0:
        return EndedError(KILLED, f"it crashed (signal {-code})")
    return EndedError(ENDED, f"it ended its own process (exit code {code})")
