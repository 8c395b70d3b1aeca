"""What crosses from a student's process is data: it comes back as it was sent, and other bytes are refused."""

import contextlib
import math
import random

import msgpack
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbook.checks.trial import DTYPES, LARGEST, Other, Outcome
from lossbook.grading.run.sandbox.wire import (
    OTHER,
    TENSOR,
    Room,
    Stream,
    WireError,
    outcome_from_list,
    outcome_to_list,
    pack,
    within,
)


def through(message):
    (back,) = Stream().feed(pack(message))
    return back


@pytest.mark.parametrize("name", sorted(DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (4, 5)])
def test_a_tensor_comes_back_as_it_was(name, shape):
    tensor = (torch.randn(shape) * 3).to(getattr(torch, name))
    back = through(tensor)
    assert back.dtype == tensor.dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)


def test_what_is_no_number_comes_back_too():
    sent = torch.tensor([math.nan, math.inf, -math.inf, -0.0, 1e-45])
    assert torch.equal(through(sent).view(torch.int32), sent.view(torch.int32))


def test_views_and_strides_are_laid_out():
    sent = torch.arange(12.0).reshape(3, 4).T[::2]
    assert torch.equal(through(sent), sent)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_plain_values_come_back_as_they_were(value):
    assert repr(through(value)) == repr(value)


def test_messages_that_arrive_in_pieces_are_put_together():
    data = pack(["one", torch.ones(3)]) + pack(["two"])
    stream, found = Stream(), []
    for byte in data:
        found += stream.feed(bytes([byte]))
    assert [message[0] for message in found] == ["one", "two"]


def tensor_bytes(name, shape, raw):
    return msgpack.packb(msgpack.ExtType(TENSOR, msgpack.packb([name, shape, raw])))


@pytest.mark.parametrize(
    "data",
    [
        tensor_bytes("float32", [2], b"1234"),
        tensor_bytes("float32", [-1], b""),
        tensor_bytes("float32", [2**40], b""),
        tensor_bytes("float32", [2**20, 2**20, 0], b""),
        tensor_bytes("float32", [LARGEST + 1], b"\0" * 4 * (LARGEST + 1)),
        tensor_bytes("float32", [1.0], b"1234"),
        tensor_bytes("float32", [True], b"1234"),
        tensor_bytes("float32", "11", b"1234"),
        tensor_bytes("float32", [1] * 100, b"1234"),
        tensor_bytes("float32", [1], "1234"),
        tensor_bytes("bool", [2], b"\1\2"),
        tensor_bytes("object", [1], b"12345678"),
        tensor_bytes("Tensor", [1], b"12345678"),
        tensor_bytes(["float32"], [1], b"1234"),
        tensor_bytes(None, None, None),
        msgpack.packb(msgpack.ExtType(TENSOR, b"")),
        msgpack.packb(msgpack.ExtType(TENSOR, b"\xc1")),
        msgpack.packb(msgpack.ExtType(99, b"anything")),
        msgpack.packb({1: 2}),
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\1",
        b"\xa4\xff\xff\xff\xff",
    ],
)
def test_what_is_no_message_is_refused_or_waits_for_more(data):
    found = []
    with contextlib.suppress(WireError):
        found = list(Stream().feed(data))
    assert found == []


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_a_wire_error(data):
    with contextlib.suppress(WireError):
        list(Stream().feed(data))


def test_damaged_messages_are_messages_or_a_wire_error():
    right = pack(["answer", outcome_to_list(Outcome("returned", torch.ones(3), torch.zeros(2), work=3))])
    draw = random.Random(5)
    refused = 0
    for _ in range(3000):
        data = bytearray(right)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            for message in Stream().feed(bytes(data)):
                outcome_from_list(message[1] if isinstance(message, list) and len(message) == 2 else message)
        except WireError:
            refused += 1
    assert refused > 500


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("returned", torch.ones(2), torch.zeros(2)),
        Outcome("returned", [1, 2.5, None, True, torch.ones(())]),
        Outcome("returned", Other("a object")),
        Outcome("raised", error="raised ValueError: no", called=("mse_loss",)),
        Outcome("unwritten", work=12),
        Outcome("raised", error="raised ValueError: no", line="line 3: `while True:`"),
        Outcome("returned", [torch.ones(())], kind="list[Tensor]", changed=("1", "w"), seen=("add", "builtins.sum")),
        Outcome("returned", torch.ones(3), work=3, fetched=(90, 0), largest=-1),
    ],
)
def test_an_outcome_comes_back_as_it_was(outcome):
    assert repr(outcome_from_list(through(outcome_to_list(outcome)))) == repr(outcome)


SOUND = ["returned", None, None, "", [], None, "", [], "", [], [], 0]


def but(place, value):
    """Return an outcome that is sound in all places but one."""
    return [*SOUND[:place], value, *SOUND[place + 1 :]]


def test_an_outcome_that_is_sound_is_taken():
    assert outcome_from_list(SOUND) == Outcome("returned")


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        ["returned"],
        SOUND[:6],
        [*SOUND, 0],
        [SOUND],
        but(0, "perfect"),
        but(0, "lost"),
        but(0, "stopped"),
        but(1, {"a": 1}),
        but(1, "a text"),
        but(1, [[[[[[[[1]]]]]]]]),
        but(2, 1.0),
        but(3, None),
        but(4, "mse"),
        but(4, [1]),
        but(5, "few"),
        but(5, True),
        but(6, None),
        but(6, ["Tensor"]),
        but(7, "w"),
        but(7, [1]),
        but(8, 5),
        but(9, [None]),
        but(10, 3),
        but(10, ["1"]),
        but(10, [True]),
        but(11, None),
        but(11, 1.5),
    ],
)
def test_what_is_no_outcome_is_refused(message):
    with pytest.raises(WireError):
        outcome_from_list(message)


def test_an_error_is_one_short_line():
    long, names = "a\n" * 10_000, ["x" * 1000] * 100
    outcome = outcome_from_list(["raised", None, None, long, names, None, long, names, long, names, [1] * 100, 1])
    for text in (outcome.error, outcome.kind, outcome.line, *outcome.changed, *outcome.seen):
        assert len(text) <= 500
        assert "\n" not in text
    assert len(outcome.changed) <= 10
    assert len(outcome.fetched) <= 20
    assert len(outcome.called) <= 10
    assert all(len(name) <= 80 for name in outcome.called)


def test_what_is_not_data_can_not_be_sent():
    with pytest.raises(TypeError, match="object cannot be sent"):
        pack([object()])
    assert msgpack.ExtType(OTHER, b"x") != Other("x")


def test_a_result_has_the_room_that_its_call_needs():
    room = Room(100)
    for fits in (torch.ones(10_000), [torch.ones(25)] * 399, [0.5] * 399, 1.0, None):
        assert room.holds(fits)
        assert within(fits, room) is fits
    for large, words in (
        (torch.ones(10_001), "a tensor of shape (10001,)"),
        ([torch.ones(51)] * 200, "a list of 200 items, which is more than an answer can have"),
        ([0.5] * 400, "a list of 400 items, which is more than an answer can have"),
        ([[0.5] * 100] * 100, "a list of 100 items, which is more than an answer can have"),
    ):
        assert within(large, room) == Other(words)
        with pytest.raises(WireError, match=r"a larger result|a list of more than"):
            outcome_from_list(but(1, large), room)
    with pytest.raises(WireError, match="a larger result"):
        outcome_from_list(but(2, torch.ones(10_001)), room)
    assert Room(2**15).numbers == LARGEST


def test_an_outcome_that_is_too_large_is_sent_in_words():
    sent = outcome_to_list(Outcome("returned", torch.ones(5000), torch.ones(5000)), Room(9))
    back = outcome_from_list(through(sent), Room(9))
    assert back.value == back.gradient == Other("a tensor of shape (5000,)")


def test_a_message_has_so_many_values_and_no_more():
    stream = Stream(most=10)
    assert list(stream.feed(pack([0] * 9))) == [[0] * 9]
    with pytest.raises(WireError, match="more than 10 values"):
        list(stream.feed(pack([0] * 10)))


def test_a_stream_knows_what_it_has_read():
    data = pack(["one"]) + pack(["two"])
    stream = Stream()
    messages = stream.feed(data + b"\x92")
    assert next(messages) == ["one"]
    assert stream.read == len(data) // 2
    assert list(messages) == [["two"]]
    assert stream.read == len(data)


def test_remarks_are_set_aside_and_count_as_read():
    data = pack(["seen", 3, "names\nctypes"]) + pack(["ran"]) + pack(["seen", -1, "y" * 300])
    stream = Stream()
    assert list(stream.feed(data)) == [["ran"]]
    assert stream.seen == {(3, "names ctypes"): None, (0, "y" * 200): None}
    assert stream.read == len(data)
    assert list(stream.feed(b"".join(pack(["seen", number, "x"]) for number in range(100)))) == []
    assert len(stream.seen) == 50
    assert list(stream.feed(pack(["seen", "x", 3]))) == [["seen", "x", 3]]
