"""Gives up a call that never ends: after some seconds of processor time, so that a busy machine changes nothing."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from lossbook.checks.trial import LIBRARIES, Stopped

SECONDS = 5.0  # of processor time for one call; a right answer takes a hundredth of a second
AGAIN = 0.02  # seconds after which a call that has not ended is stopped once more
TRIES = 10  # times that it is stopped in the student's own code; from then on wherever it is


class _Left(Stopped):
    """What is raised in a call that is to end. Where that is caught and let go, the call is stopped again."""

    going_on = False

    def __str__(self) -> str:
        return f"given up after {SECONDS:g} seconds of processor time"

    def __del__(self) -> None:
        if _Left.going_on:
            _stop_at_the_next_line(sys._getframe(1))


def _leave(frame: FrameType, event: str, argument: Any) -> Any:
    """Trace a call that is to end: leave it at a line of the student's. Elsewhere half an import could stay behind."""
    if _Left.going_on and event == "line" and not frame.f_code.co_filename.startswith(LIBRARIES):
        raise _Left
    return _leave


def _stop_at_the_next_line(frame: FrameType | None) -> None:
    while frame is not None:
        frame.f_trace = _leave
        frame = frame.f_back
    sys.settrace(_leave)


@contextlib.contextmanager
def limit() -> Iterator[None]:
    """Raise ``Stopped`` in what runs under this where it takes longer than ``SECONDS`` of processor time.

    In another thread than the main one, and on a system without such a timer, it does nothing: a call there ends at an
    interrupt alone.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    tries = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal tries
        tries += 1
        _Left.going_on = True
        signal.setitimer(signal.ITIMER_VIRTUAL, AGAIN)
        if tries > TRIES:
            raise _Left
        _stop_at_the_next_line(frame)

    before, traced = signal.signal(signal.SIGVTALRM, stop), sys.gettrace()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        _Left.going_on = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before if before is not None else signal.SIG_DFL)
        if sys.gettrace() is _leave:
            sys.settrace(traced)
