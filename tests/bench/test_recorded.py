"""What is committed is whole: each recording says what it is of, and holds nothing that the code does not know."""

import statistics
from datetime import date
from pathlib import Path

import pytest

from lossbook.bench import limits, recordings, table
from lossbook.bench.plan import DEVICES, DTYPES, IMPLEMENTATIONS, KINDS, LOSSES, PASSES
from lossbook.bench.running import FAILED, MEASURED

DATA = Path(__file__).parents[2] / "data" / "bench"
FILES = sorted(DATA.glob("*.json"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def recording(request):
    return recordings.load(request.param)


def test_there_are_recordings_of_both_kinds():
    assert recordings.load_all(DATA)
    assert recordings.load_all(DATA, "limits")


def test_the_provenance_is_whole(recording):
    for device, told in recording.circumstances.items():
        assert device in DEVICES
        assert told["device"]
        assert told["processor"]
        assert told["threads"] >= 1
        assert told["versions"]["torch"]
        assert told["versions"]["python"]
        assert date.fromisoformat(told["date"]).year >= 2024
        assert (told["driver"] is not None) == (device == "cuda")
    assert all(command.startswith("lossbook bench") for command in recording.commands)
    assert recording.protocol["budget"] > 0


def test_the_commands_can_be_given_anywhere(recording):
    assert all("--out data/bench" in command for command in recording.commands)


def test_the_file_is_named_after_its_device(recording):
    assert recordings.place(DATA, recording) in FILES


def test_every_case_is_of_a_known_loss_and_has_its_numbers(recording):
    if recording.kind != "cases":
        pytest.skip("it holds figures")
    rows = recording.cases()
    assert len({row.case for row in rows}) == len(rows)
    for row in rows:
        case = row.case
        assert len(case.size) == len(KINDS[LOSSES[case.loss].kind])
        assert case.implementation in IMPLEMENTATIONS
        assert case.device in recording.circumstances
        assert case.dtype in DTYPES
        assert case.passes in PASSES
        assert row.status != FAILED
        if row.status == MEASURED:
            n = row.numbers
            assert 0 < n["fastest"] <= n["seconds"] <= n["slowest"]
            assert n["memory"] > 0
            assert n["load"] is None or n["load"] >= 0
            assert isinstance(n["noisy"], bool)
        else:
            assert row.reason
    assert {row.case.loss for row in rows if row.status == MEASURED} == LOSSES.keys()
    assert len(table.columns(rows)) >= 4


def test_every_figure_is_the_one_that_is_asked_for(recording):
    if recording.kind != "limits":
        pytest.skip("it holds cases")
    asked = {figure.name: figure for task in limits.tasks() for figure in task.wanted}
    assert [row["name"] for row in recording.rows] == list(asked)
    for row in recording.rows:
        figure = limits.Figure.from_dict(row)
        wanted = asked[figure.name]
        assert (figure.device, figure.relation, figure.limit) == (wanted.device, wanted.relation, wanted.limit)
        assert (figure.value is None) == bool(figure.reason)
        assert not (figure.reason or "").startswith("failed")
        assert figure.passed is None or not figure.numbers.get("noisy")  # no verdict rests on a noisy time
        seconds, rounds = (figure.numbers.get(key) for key in ("seconds", "rounds"))
        if rounds:
            assert row["verdict"] == figure.verdict
            assert figure.value == pytest.approx(statistics.median(limits.ratios(*rounds.values())))
        elif seconds:  # a recording of the first format
            over, under = seconds
            assert figure.value == pytest.approx(seconds[over] / seconds[under])
