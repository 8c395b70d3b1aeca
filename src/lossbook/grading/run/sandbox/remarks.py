"""Sees what an answer has no use for and an attack has: named in a cell, or done while it runs. It prevents nothing.

The cells are read before the first of them runs. What they do later is told by Python itself: its audit hooks can't be
taken away, and they are called before the deed is done. Each remark is sent at once, and can't be called back.
"""

from __future__ import annotations

import os
import re
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import torch

from lossbook.grading.run.sandbox.named import named, of_code

MOST = 50  # remarks that are sent
LONGEST = 100_000  # characters of all cells that are read: a second or so, which the submission pays for
OWN = ("trial", "reads", "stage", "losses", "wire", "worker", "cells", "named", "remarks")
_CELL = re.compile(r"<cell (\d+)>")


# What Python tells of, and how it is said: this where a student's code does it through Python's own library too …
THROUGH_LIBRARY = {
    "ctypes.dlopen": "uses ctypes",
    "ctypes.dlsym": "uses ctypes",
    "ctypes.dlsym/handle": "uses ctypes",
    "ctypes.cdata": "uses ctypes",
    "ctypes.string_at": "uses ctypes",
    "subprocess.Popen": "starts a program",
    "exec": "runs code that names",
    "open": "reads PyTorch's own files or /proc",
}
# … and this where that code does it itself, for the library does it all the time.
ITSELF = {
    "gc.get_objects": "looks through all objects",
    "gc.get_referrers": "looks through all objects",
    "sys._getframe": "looks at the frames around it",
    "sys._current_frames": "looks at the frames around it",
    "sys.settrace": "has its lines traced",
    "sys.setprofile": "has its calls traced",
    "sys.addaudithook": "listens to Python's audit events",
    "marshal.loads": "makes functions of bytes",
    "marshal.load": "makes functions of bytes",
    "code.__new__": "makes functions of bytes",
    "function.__new__": "makes functions of code",
    "object.__setattr__": "changes the code of a function",
    "os.fork": "starts a process",
    "os.exec": "starts a program",
    "os.system": "starts a program",
    "os.posix_spawn": "starts a program",
    "socket.__new__": "opens a socket",
}
# What of the library reads files and starts programs by itself: to show the lines of an error, to name the machine.
_BY_ITSELF = tuple(os.path.join(os.path.dirname(os.__file__), f"{name}.py") for name in ("traceback", "platform"))
_LIBRARY = (os.path.dirname(os.__file__), "<frozen")
_COURSE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
_PACKAGES = (os.path.dirname(os.path.dirname(torch.__file__)), _COURSE)


class Remarks:
    """What is remarkable about one submission, sent as it is seen.

    Args:
        send: Sends a cell's number, 0 where it is unknown, and what is remarkable.

    """

    def __init__(self, send: Callable[[int, str], None]) -> None:
        self.send, self.sent, self.busy = send, set[tuple[int, str]](), False
        self.before = own_code()

    def tell(self, number: int, what: str) -> None:
        """Send a remark, once."""
        if (number, what) not in self.sent and len(self.sent) < MOST:
            self.sent.add((number, what))
            self.send(number, what)

    def read(self, cells: Iterable[tuple[int, str]]) -> None:
        """Tell what cells name, and which are too long to be read. To be called before any of them runs."""
        left = LONGEST
        for number, source in cells:
            if number > 0:
                fits = len(source) <= left
                left -= len(source) if fits else 0
                for what in named(source) if fits else ["is too long to be looked through"]:
                    self.tell(number, what)

    def listen(self) -> None:
        """Tell from now on what is done. There is no way back."""
        sys.addaudithook(self.heard)

    def heard(self, event: str, given: tuple[Any, ...]) -> None:
        """Take in one of Python's audit events."""
        what = ITSELF.get(event) or THROUGH_LIBRARY.get(event)
        if what is None or self.busy:
            return
        self.busy = True  # what is asked here is an event itself
        try:
            frame = sys._getframe(1)
            if event == "exec" and frame.f_code.co_filename.startswith("<frozen importlib") and _ours(given[0]):
                return  # an import
            number = self.whose(frame, through=event in THROUGH_LIBRARY)
            if number is not None:
                for said in self.said(event, what, given):
                    self.tell(number, said)
        except Exception:  # whatever is done to this file: an error here would be an error of the student's
            return
        finally:
            self.busy = False

    @staticmethod
    def said(event: str, what: str, given: tuple[Any, ...]) -> list[str]:
        """Return what is to be said of an event; nothing where it is harmless."""
        if event == "exec":
            false = _ours(given[0]) or _CELL.fullmatch(given[0].co_filename)
            named = [f"{what} {name}" for name in of_code(given[0])]
            return [*named, *(["runs code that says it stands elsewhere"] if false else [])]
        if event == "open":
            path = os.fsdecode(given[0]) if isinstance(given[0], (str, bytes)) else ""
            return [what] if path.startswith(("/proc", os.path.dirname(torch.__file__))) else []
        if event == "object.__setattr__":
            return [f"{what}, {getattr(given[0], '__name__', '?')}"] if given[1] == "__code__" else []
        return [what]

    @staticmethod
    def whose(frame: types.FrameType | None, *, through: bool) -> int | None:
        """Return the number of the student's cell that code stands in, 0 where it stands in none; None if it is ours.

        Args:
            frame: Where it runs.
            through: Whether Python's own library is passed over.

        """
        while through and frame is not None and frame.f_code.co_filename.startswith(_LIBRARY):
            if frame.f_code.co_filename in _BY_ITSELF:
                return None
            frame = frame.f_back
        if frame is None or _ours(frame.f_code):
            return None
        found = _CELL.fullmatch(frame.f_code.co_filename)
        return int(found[1]) if found else 0

    def compare(self) -> None:
        """Tell which functions of the sandbox's own were changed or replaced meanwhile."""
        now = own_code()
        for name, code in self.before.items():
            if now.get(name) is not code:
                self.tell(0, f"changed the sandbox's own {name}")


def _ours(code: types.CodeType) -> bool:
    return code.co_filename.startswith((*_LIBRARY, *_PACKAGES))


def own_code() -> dict[str, Any]:
    """Return the code of the sandbox's own functions, by name."""
    found: dict[str, Any] = {}
    for name in OWN:
        room = "checks" if name in ("trial", "reads") else "grading.run.sandbox"
        module = sys.modules.get(f"lossbook.{room}.{name}")
        if module is None:
            continue
        for key, item in list(vars(module).items()):
            if isinstance(item, type) and item.__module__ == module.__name__:
                found.update((f"{name}.{key}.{inner}", _code(function)) for inner, function in vars(item).items())
            elif callable(item) and not key.startswith("__"):
                found[f"{name}.{key}"] = _code(item)
    return {name: code for name, code in found.items() if code is not None}


def _code(item: Any) -> Any:
    """Return the code of a function, or what else stands for it."""
    item = getattr(item, "__func__", item)
    return getattr(item, "__code__", item) if callable(item) else None
