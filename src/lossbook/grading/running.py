"""Runs submissions in a worker: hands each a socket of its own, keeps the time, and notes what came back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from lossbook.exercises.trial import LOST, Outcome
from lossbook.grading import isolation
from lossbook.grading.isolation import NAMESPACES, IsolationError
from lossbook.grading.sandbox.wire import Stream, WireError, outcome_from_list, pack

START = 60.0  # seconds that a worker may take to import PyTorch
MOST_BYTES = 64 * 2**20  # that one submission may send back
RESTARTS = 8  # times a submission that ended its process is run again without what ended it
NO_ANSWER = "it wrote to the grader's channel what is no answer"
TIMED_OUT, KILLED, ENDED = "timed out", "killed", "partial"


@dataclass(frozen=True)
class Limits:
    """How long a submission may take, in seconds of wall time.

    Args:
        total: For everything, whatever is run again included.
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
        count: How many outcomes are to come back.
        allowed: PyTorch's losses that the exercise allows.
        taken: PyTorch's operations that are taken away before, and from all that is asked later.

    """

    function: str
    packed: bytes
    count: int
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
        seen: What is remarkable, each with the number of its cell, 0 where that is unknown.

    """

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    curves: dict[str, list[Outcome]] = field(default_factory=dict)
    cell_errors: dict[int, str] = field(default_factory=dict)
    state: str = ""
    reasons: list[str] = field(default_factory=list)
    seen: dict[tuple[int, str], None] = field(default_factory=dict)


Judged = Callable[[str, list[Outcome]], "Questions | None"]


def _no_more(function: str, outcomes: list[Outcome]) -> Questions | None:
    return None


class EndedError(Exception):
    """A submission's process came to an end, or was ended: where, how, and why."""

    def __init__(self, state: str, why: str) -> None:
        super().__init__(why)
        self.state, self.why = state, why


class WorkerError(RuntimeError):
    """The worker itself is gone, or can start no process for a submission."""


class Channel:
    """One submission's socket: what is sent and received, under a deadline."""

    def __init__(self, ours: socket.socket, deadline: float) -> None:
        self.ours, self.deadline = ours, deadline
        self.stream, self.received = Stream(), 0
        self.waiting: deque[Any] = deque()
        self.broken: EndedError | None = None

    async def send(self, data: bytes, until: float) -> None:
        """Send bytes. Raises EndedError at the deadline and where nobody is there to take them."""
        await self._in_time(asyncio.get_running_loop().sock_sendall(self.ours, data), until)

    async def receive(self, until: float) -> Any:
        """Return the next message. Raises EndedError at the deadline, at the end, and at what is no message."""
        while not self.waiting:
            if self.broken is not None:
                raise self.broken
            data = await self._in_time(asyncio.get_running_loop().sock_recv(self.ours, 1 << 18), until)
            if not data:
                raise EndedError(ENDED, "its process ended")
            self.received += len(data)
            if self.received > MOST_BYTES:
                raise EndedError(KILLED, f"it sent back more than {MOST_BYTES // 2**20} MB")
            try:
                for message in self.stream.feed(data):
                    self.waiting.append(message)
            except WireError as error:
                self.broken = EndedError(KILLED, f"{NO_ANSWER} ({error})")  # what came before it counts
        return self.waiting.popleft()

    async def _in_time(self, what: Any, until: float) -> Any:
        left = min(until, self.deadline) - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0.001)):  # before 3.12, wait_for can lose a cancellation
                return await what
        except TimeoutError:
            raise EndedError(TIMED_OUT, "it took too long") from None
        except OSError:
            raise EndedError(ENDED, "its process ended") from None


class Worker:
    """The process that forks one process a submission; ``async with`` starts and ends it."""

    def __init__(
        self, mode: str = NAMESPACES, limits: Limits | None = None, allowed: frozenset[str] = frozenset()
    ) -> None:
        self.mode, self.limits, self.allowed = mode, limits or Limits(), allowed
        self.numbers = itertools.count()
        self.ends: dict[int, asyncio.Future[int]] = {}
        self.reviving = asyncio.Lock()
        self.gone = False

    async def __aenter__(self) -> Worker:
        self.folder = tempfile.TemporaryDirectory(prefix="lossbook-")
        isolation.stage(Path(self.folder.name))
        try:
            await self.start()
            await self.try_walls()
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    async def start(self) -> None:
        """Start the process and wait until it has imported PyTorch. Raises IsolationError where it can't be."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = Path(self.folder.name)
        build = isolation.shut_in if self.mode == NAMESPACES else isolation.in_the_open
        log = folder / "worker.log"
        with log.open("wb") as file:
            try:
                self.process = subprocess.Popen(
                    build(folder, theirs.fileno(), self.allowed),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=file,
                    cwd=folder,
                    start_new_session=True,  # Ctrl-C is for the grader, which then ends the worker itself
                    env=None if self.mode == NAMESPACES else {**os.environ, **isolation.ENVIRONMENT},
                )
            finally:
                theirs.close()
        self.control, self.gone = ours, False
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[str] = loop.create_future()
        loop.add_reader(ours, self.heard)
        try:
            async with asyncio.timeout(START):
                self.torch = await self.ready
        except (TimeoutError, WorkerError):
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or ["it did not answer"]
            raise IsolationError(f"the worker could not be started: {said[0]}") from None

    async def try_walls(self) -> None:
        """Start and end an empty job. Raises IsolationError where its walls could not be raised."""
        try:
            async with self.job(time.monotonic() + START) as channel:
                await channel.send(pack([[], []]), channel.deadline)
                await channel.receive(channel.deadline)
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
        futures: list[asyncio.Future[Any]] = [self.ready, *self.ends.values()]
        for pending in futures:
            if not pending.done():
                pending.set_exception(gone)

    def hang_up(self) -> None:
        """End the process and close the line to it."""
        if hasattr(self, "control"):
            with contextlib.suppress(Exception):
                asyncio.get_running_loop().remove_reader(self.control)
            self.control.close()
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End the worker and all that it started."""
        self.hang_up()
        self.folder.cleanup()

    def heard(self) -> None:
        """Take in what the worker says."""
        try:
            data = self.control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.control)
            self.lose()
            return
        what, *rest = json.loads(data)
        if what == "ready" and not self.ready.done():
            self.ready.set_result(rest[0])
        elif what == "end" and (future := self.ends.get(rest[0])) and not future.done():
            future.set_result(rest[1])
        elif what == "fail" and (future := self.ends.get(rest[0])) and not future.done():
            future.set_exception(WorkerError(f"a process could not be started: {rest[1]}"))

    @contextlib.asynccontextmanager
    async def job(self, deadline: float) -> Any:
        """Yield the channel of a freshly forked process; kill the process on leaving, whatever happened."""
        number = next(self.numbers)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ends[number] = end
        seconds = int(self.limits.total) + 2
        try:
            with theirs:
                order = json.dumps(["run", number, seconds]).encode()
                try:
                    socket.send_fds(self.control, [order], [theirs.fileno()])
                except OSError:
                    raise WorkerError("the worker is gone") from None
            channel = Channel(ours, deadline)
            what, stood_in_the_way = await channel.receive(deadline)
            if what != "walls" or stood_in_the_way is not None:
                raise WorkerError(f"a submission could not be shut in: {stood_in_the_way}")
            yield channel
        except EndedError as error:
            ours.close()
            with contextlib.suppress(OSError):
                if error.state == TIMED_OUT or not await self._ended(end):
                    self.control.send(json.dumps(["kill", number]).encode())
            code = await end
            raise EndedError(*cause(error, code)) from None
        finally:
            ours.close()
            if not end.done() and not self.gone:  # of a worker that is gone no end is heard
                with contextlib.suppress(OSError):
                    self.control.send(json.dumps(["kill", number]).encode())
                with contextlib.suppress(WorkerError):
                    await end
            elif end.done() and not end.cancelled():
                end.exception()
            del self.ends[number]

    async def _ended(self, end: asyncio.Future[int]) -> bool:
        """Wait a moment for a process that has hung up to end by itself."""
        try:
            async with asyncio.timeout(0.5):
                await asyncio.shield(end)
        except TimeoutError:
            return False
        return True

    async def run(self, cells: Mapping[int, str], questions: Sequence[Questions], judged: Judged = _no_more) -> Run:
        """Run a submission's cells, put the questions to its functions, and return what came of it.

        What ends the process, a cell or a function, is left out and the rest is run again, so that it counts.

        Args:
            cells: The code by the number of its cell, in order.
            questions: What to ask of each function.
            judged: Called with a function's name and its outcomes; may return the questions of its curve.

        Raises:
            WorkerError: The worker itself is gone, or can start no process.

        """
        run, deadline = Run(), time.monotonic() + self.limits.total
        # Those that may call a loss come first; those that may not call what the others may come last.
        # What is taken away is gone for all that is asked later: who loses the fewest functions comes first.
        asked = sorted(questions, key=lambda item: (not item.allowed, len(item.taken)))
        reduced: set[int] = set()
        dropped: set[int] = set()
        for _ in range(RESTARTS + 1):
            at: list[Any] = ["start", None]
            try:
                left = [item for item in asked if item.function not in run.outcomes]
                kept = [
                    [number, source, number in reduced] for number, source in cells.items() if number not in dropped
                ]
                async with self.job(deadline) as channel:
                    try:
                        await self._round(channel, run, kept, left, at, judged)
                    finally:
                        run.seen |= channel.stream.seen
                return run
            except EndedError as error:
                if at[0] == "curve":
                    run.curves[at[1]] = []
                    continue
                self._note(run, at, error)
                if at[0] == "cell":
                    (dropped if at[1] in reduced else reduced).add(at[1])
                elif at[0] == "exercise":
                    lost(run, next(item for item in asked if item.function == at[1]), error.why)
                    judged(at[1], run.outcomes[at[1]])
                if at[0] == "start" or time.monotonic() > deadline - 0.05:
                    break
        for item in asked:
            if item.function not in run.outcomes:
                lost(run, item, "the submission ended, or its time was used up, before its turn")
                judged(item.function, run.outcomes[item.function])
        return run

    @staticmethod
    def _note(run: Run, at: Sequence[Any], error: EndedError) -> None:
        where = {"cell": f"cell {at[1]}", "exercise": f"{at[1]}"}.get(at[0], "the start")
        run.state = run.state or error.state
        run.reasons.append(f"{where}: {error.why}")
        if at[0] == "cell":
            run.cell_errors.setdefault(at[1], error.why)

    async def _round(
        self, channel: Channel, run: Run, cells: list[Any], asked: Sequence[Questions], at: list[Any], judged: Judged
    ) -> None:
        """Run the cells and put the questions, once, in one process. Where it is, is noted in ``at``."""
        may, taken = frozenset[str]().union(*(item.allowed for item in asked)), frozenset[str]()
        await channel.send(pack([cells, sorted(may)]), time.monotonic() + self.limits.cell)
        for number, _, _ in cells:
            at[:] = ["cell", number]
            until = time.monotonic() + self.limits.cell
            begun, done = await channel.receive(until), await channel.receive(until)
            expect(begun, "begin", number)
            expect(done, "cell", number, 3)
            if isinstance(done[2], str):
                run.cell_errors.setdefault(number, " ".join(done[2][:5000].split())[:500])
        at[:] = ["start", None]
        expect(await channel.receive(channel.deadline), "ran")
        for item in asked:
            at[:] = ["exercise", item.function]
            until = time.monotonic() + self.limits.exercise
            if may and not item.allowed:
                may = frozenset()
                await channel.send(pack(["forbid", []]), until)
            if more := item.taken - taken:
                taken |= more
                await channel.send(pack(["take", sorted(more)]), until)
            await channel.send(item.packed, until)
            run.outcomes[item.function] = await answers(channel, item.count, until)
            if (curve := judged(item.function, run.outcomes[item.function])) is not None:
                at[:] = ["curve", item.function]
                until = time.monotonic() + self.limits.exercise
                await channel.send(curve.packed, until)
                run.curves[item.function] = await answers(channel, curve.count, until)


async def answers(channel: Channel, count: int, until: float) -> list[Outcome]:
    """Return the outcomes of so many calls, as they come."""
    found = []
    for _ in range(count):
        message = await channel.receive(until)
        expect(message, "answer", length=2)
        try:
            found.append(outcome_from_list(message[1]))
        except WireError as error:
            raise EndedError(KILLED, f"{NO_ANSWER} ({error})") from None
    return found


def expect(message: Any, kind: str, number: int | None = None, length: int | None = None) -> None:
    """Raise EndedError where a message is not of the kind that must come now."""
    right = isinstance(message, list) and len(message) == (length or (1 if number is None else 2))
    right = right and type(message[0]) is str and message[0] == kind
    if not right or (number is not None and not (type(message[1]) is int and message[1] == number)):
        raise EndedError(KILLED, NO_ANSWER)


def lost(run: Run, item: Questions, why: str) -> None:
    """Note that a function gave no answer, and why."""
    run.outcomes[item.function] = [Outcome(LOST, error=f"no answer: {why}")] * item.count


def cause(error: EndedError, code: int) -> tuple[str, str]:
    """Return the state and the reason of an end, given the exit code of the process."""
    if error.state != ENDED:
        return error.state, error.why
    if code == -9:
        return KILLED, "it was killed: too much memory or processor time"
    if code < 0:
        return KILLED, f"it crashed (signal {-code})"
    return ENDED, f"it ended its own process (exit code {code})"
