"""Turns calls, outcomes and tensors into bytes and back. The bytes are data alone: reading them can run nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgpack
import torch
from torch import Tensor

from lossbook.checks.trial import (
    DTYPES,
    LARGEST,
    LONGEST_LIST,
    MISSING,
    RAISED,
    RETURNED,
    UNWRITTEN,
    Other,
    Outcome,
)

TENSOR, OTHER, DTYPE = 1, 2, 3  # msgpack's codes for our own kinds
WORDS = 2**17  # bytes of an answer beside its numbers: names, an error, a line
MESSAGE = 48 * 2**20  # bytes of one message: the largest tensor in float64, and then some
ITEMS = 2**15  # values of one message: a byte of each can cost a hundred in memory
# What a process may say of a call. That an answer is lost is for the grader alone to say.
STATES = frozenset({RETURNED, RAISED, UNWRITTEN, MISSING})
REMARKS = 50  # of one process; more are dropped
NAMES = 400  # names of functions and operations of one outcome
_DTYPES = {name: getattr(torch, name) for name in sorted(DTYPES)}


class WireError(ValueError):
    """Bytes that are no message of ours."""


def _default(value: Any) -> Any:
    if isinstance(value, Tensor):
        raw = (
            value.detach().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8).numpy().tobytes()
        )
        name = str(value.dtype).removeprefix("torch.")
        return msgpack.ExtType(TENSOR, msgpack.packb([name, list(value.shape), raw]))
    if isinstance(value, Other):
        return msgpack.ExtType(OTHER, value.what.encode("utf-8", "replace"))
    if isinstance(value, torch.dtype):
        return msgpack.ExtType(DTYPE, str(value).removeprefix("torch.").encode())
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _tensor(data: bytes) -> Tensor:
    name, shape, raw = msgpack.unpackb(data)
    if name not in _DTYPES or not isinstance(raw, bytes) or len(shape) > 16:
        raise WireError("no tensor of a known kind")
    if not all(type(size) is int and 0 <= size <= LARGEST for size in shape):
        raise WireError("no tensor of a known shape")
    dtype = _DTYPES[name]
    count = math.prod(shape)
    if count > LARGEST or count * dtype.itemsize != len(raw):
        raise WireError("a tensor's bytes do not fit its shape")
    if dtype is torch.bool and raw.strip(b"\0\1"):
        raise WireError("a truth value is 0 or 1")
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    return flat.reshape(shape)


def _extension(code: int, data: bytes) -> Any:
    if code == TENSOR:
        return _tensor(data)
    if code == OTHER:
        return Other(data.decode("utf-8", "replace")[:200])
    if code == DTYPE and (name := data.decode("ascii", "replace")) in _DTYPES:
        return _DTYPES[name]
    raise WireError(f"unknown kind {code}")


def pack(message: Any) -> bytes:
    """Return the bytes of a message: None, numbers, texts, bytes, lists, maps, tensors, dtypes and Others."""
    packed: bytes = msgpack.packb(message, default=_default, strict_types=False, unicode_errors="replace")
    return packed


class Stream:
    """Reads messages from bytes that arrive in pieces. Raises WireError where they are none of ours.

    Remarks may come between any two messages; they are set aside in ``seen``, each with its cell's number.

    Args:
        most: How many values one message may have; may be changed between two messages.

    """

    def __init__(self, most: int = ITEMS) -> None:
        self._items, self.most = 0, most
        self.read = 0  # bytes of the messages that are complete
        self.seen: dict[tuple[int, str], None] = {}
        self._unpacker = msgpack.Unpacker(
            ext_hook=self._extension,
            list_hook=self._list,
            max_buffer_size=MESSAGE,
            max_ext_len=MESSAGE,
            max_str_len=MESSAGE // 8,
            max_array_len=ITEMS,
            max_map_len=ITEMS // 256,
            strict_map_key=True,
            raw=False,
        )

    def _count(self, items: int) -> None:
        self._items += items
        if self._items > self.most:
            raise WireError(f"a message of more than {self.most} values")

    def _list(self, items: list[Any]) -> list[Any]:
        self._count(1 + len(items))
        return items

    def _extension(self, code: int, data: bytes) -> Any:
        self._count(1)
        return _extension(code, data)

    def _set_aside(self, message: Any) -> bool:
        """Keep a remark; return whether a message is one."""
        match message:
            case ["seen", int(number), str(what)]:
                if len(self.seen) < REMARKS:
                    self.seen[max(0, number), _one_line(what, 200)] = None
                return True
        return False

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take in bytes, and yield each message that is complete."""
        try:
            self._unpacker.feed(data)
            for message in self._unpacker:
                self._items, self.read = 0, self._unpacker.tell()
                if not self._set_aside(message):
                    yield message
        except WireError:
            raise
        except Exception as error:  # msgpack has several, and tensors' and texts' own come with them
            raise WireError(f"not a message: {type(error).__name__}") from None


def _size(value: Any) -> int:
    return sum(map(_size, value)) + 1 if isinstance(value, list) else 1


def _numbers(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_numbers, value))
    return value.numel() if isinstance(value, Tensor) else 1


@dataclass(frozen=True)
class Room:
    """What the answer to one call may hold: enough for what people get wrong, and far from what keeps a grader busy.

    Args:
        size: The numbers in the call's largest argument or right result.

    """

    size: int = LARGEST

    @property
    def numbers(self) -> int:
        """Return how many numbers a result may hold: each with each, where a dimension was forgotten."""
        return min(LARGEST, max(2**12, self.size**2))

    @property
    def values(self) -> int:
        """Return how many values a result may have that is a list."""
        return min(LONGEST_LIST, max(2**8, 4 * self.size))

    @property
    def bytes(self) -> int:
        """Return how many bytes an answer may take: value and gradient in float64, and all that it says in words."""
        return 16 * self.numbers + 16 * self.values + WORDS

    def holds(self, value: Any) -> bool:
        """Tell whether a result, plain as it is, has room."""
        return _numbers(value) <= self.numbers and (not isinstance(value, list) or _size(value) <= self.values)


ALL = Room()


def within(value: Any, room: Room) -> Any:
    """Return a result as it is, or in words where it is larger than an answer may be."""
    if room.holds(value):
        return value
    if isinstance(value, Tensor):
        return Other(f"a tensor of shape {tuple(value.shape)}")
    return Other(f"a list of {len(value)} items, which is more than an answer can have")


def outcome_to_list(outcome: Outcome, room: Room = ALL) -> list[Any]:
    """Return an outcome as a list that can be packed; what it printed and whose work it was stays behind.

    Args:
        outcome: What came of a call.
        room: What its value may hold, and its gradient.

    """
    return [
        outcome.state,
        within(outcome.value, room),
        within(outcome.gradient, room),
        outcome.error,
        list(outcome.called),
        outcome.work,
        outcome.kind,
        list(outcome.changed),
        outcome.line,
        list(outcome.seen)[:NAMES],
        list(outcome.fetched),
        outcome.largest,
    ]


def _number_like(value: Any, depth: int = 0) -> bool:
    if isinstance(value, list):
        return depth < 6 and all(_number_like(item, depth + 1) for item in value)
    return value is None or isinstance(value, (bool, int, float, Tensor, Other))


def outcome_from_list(message: Any, room: Room = ALL) -> Outcome:
    """Return the outcome that a list stands for.

    Args:
        message: What came.
        room: What its value may hold, and its gradient.

    Raises:
        WireError: It stands for no outcome, or for a larger one.

    """
    if not isinstance(message, list) or len(message) != 12:
        raise WireError("no outcome")
    state, value, gradient, error, called, work, kind, changed, line, seen, fetched, largest = message
    if not (isinstance(state, str) and state in STATES and isinstance(error, str) and _number_like(value)):
        raise WireError("no outcome")
    if _size(value) > LONGEST_LIST:
        raise WireError(f"a list of more than {LONGEST_LIST} values")
    if not (gradient is None or isinstance(gradient, (Tensor, Other))):
        raise WireError("no gradient")
    if not (room.holds(value) and room.holds(gradient)):
        raise WireError("a larger result than an answer can have")
    for names in (called, changed, seen):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise WireError("no names")
    if not (work is None or type(work) is int):
        raise WireError("no count")
    if not isinstance(fetched, list) or not all(type(count) is int for count in [*fetched, largest]):
        raise WireError("no counts")
    if not (isinstance(kind, str) and isinstance(line, str)):
        raise WireError("no text")
    return Outcome(
        state,
        value,
        gradient,
        _one_line(error, 500),
        tuple(name[:80] for name in called[:10]),
        work,
        _one_line(kind, 200),
        tuple(_one_line(name, 80) for name in changed[:10]),
        _one_line(line, 200),
        seen=tuple(name[:80] for name in seen[:NAMES]),
        fetched=tuple(fetched[:20]),
        largest=largest,
    )


def _one_line(text: str, longest: int) -> str:
    """Return a text as one line, cut."""
    return " ".join(text[:5000].split())[:longest]
