"""Tables in words, and pictures of them."""

import pytest

from lossbook.bench import picture, table
from lossbook.bench.plan import BOTH, FORWARD, LOSSES
from lossbook.bench.running import FAILED, SKIPPED


@pytest.fixture
def rows(case, made_up):
    return [
        made_up(case(implementation="definition"), seconds=4e-3, noisy=True, share=None),
        made_up(case(implementation="pytorch"), seconds=2e-6, share=0.987, memory=12_000_000),
        made_up(case(implementation="compiled"), SKIPPED, "no compiler"),
        made_up(case(implementation="definition", passes=BOTH), FAILED, "ZeroDivisionError: x"),
        made_up(case(implementation="pytorch", passes=BOTH), seconds=1.5),
        made_up(case(implementation="fused", loss="cross_entropy", size=(8, 9)), SKIPPED, "no GPU"),
        made_up(case(implementation="fused", loss="cross_entropy", size=(8, 9), passes=BOTH), SKIPPED, "no GPU"),
    ]


def test_a_line_for_each_pass_and_a_column_for_each_implementation(rows):
    assert table.cells(rows) == [
        ["loss", "device", "size", "dtype", "pass", "definition", "pytorch"],
        ["mse_loss", "cpu", "9", "float32", FORWARD, "~4.00 ms", "2.00 µs"],
        ["mse_loss", "cpu", "9", "float32", BOTH, "failed", "1.50 s"],
    ]


def test_shares_and_memory(rows):
    assert table.cells(rows, table.share_of)[1][-2:] == ["–", "99 %"]
    assert table.cells(rows, table.memory_of)[1][-2:] == ["4.00 kB", "12.0 MB"]
    assert table.cells(rows, table.memory_of)[2][-2:] == ["–", "4.00 kB"]


def test_reasons_are_told_once_with_their_number(rows):
    assert table.reasons(rows, SKIPPED) == [
        "skipped: mse_loss, compiled, cpu, 9, float32, forward: no compiler",
        "skipped: cross_entropy, fused, cpu, 8x9, float32, forward and 1 more: no GPU",
    ]


def test_the_report_lines_up(rows):
    told = table.report(rows)
    assert "Time of one call" in told
    assert "Peak memory beyond the arguments" in told
    assert "failed: mse_loss, definition, cpu, 9, float32, forward + backward: ZeroDivisionError: x" in told
    head, line = told.splitlines()[2:4]
    assert head.index("definition") + len("definition") == line.index("~4.00 ms") + len("~4.00 ms")


def test_nothing_measured_is_no_table(rows):
    assert table.report(rows[-2:]) == ("skipped: cross_entropy, fused, cpu, 8x9, float32, forward and 1 more: no GPU")


def test_columns_that_tell_nothing_are_left_out(rows):
    lines, left = table.telling(table.cells(rows))
    assert lines[0] == ["pass", "definition", "pytorch"]
    assert left == 1
    assert table.telling([["loss", "a"], ["x", "1"]], 1) == ([["loss", "a"], ["x", "1"]], 1)


def test_memory_is_never_hollow(case, made_up):
    drawn = picture.draw_memory([made_up(case(passes=passes), noisy=True) for passes in (FORWARD, BOTH)])
    assert all(axes.lines[0].get_markerfacecolor() != "white" for axes in drawn.axes)


def test_machines_stand_side_by_side_on_one_axis(case, made_up):
    drawn = picture.draw_beside({"there": [made_up(case(), seconds=1.0)], "here": [made_up(case(), seconds=1e-3)]})
    left, right = drawn.axes
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("there", "here")
    assert left.get_xlim() == right.get_xlim()
    low, high = left.get_xlim()
    assert low < 1e-3 < 1.0 < high


def test_markdown(rows):
    lines = table.markdown(table.cells(rows)).splitlines()
    assert lines[1] == "| --- | --- | --- | --- | --- | --: | --: |"
    assert "| ~4.00\N{NO-BREAK SPACE}ms | 2.00\N{NO-BREAK SPACE}µs |" in lines[2]


def test_a_long_size_may_break_after_a_sign():
    told = table.markdown([["size"], ["4,096 × 1,000"]], 1).splitlines()[-1]
    assert told == "| 4,096\N{NO-BREAK SPACE}× 1,000 |"


def test_the_largest_size_is_drawn(rows, case, made_up):
    larger = [made_up(case(size=(100,), passes=passes), seconds=1.0) for passes in (FORWARD, BOTH)]
    assert picture.groups([*rows, *larger]) == {("cpu", "float32"): larger}


def test_every_measured_case_is_a_mark(case, made_up):
    mine = [
        made_up(case(loss=name, size=(5, 6, 7)[: len_of(name)], passes=passes, implementation=which), seconds=seconds)
        for name in LOSSES
        for passes in (FORWARD, BOTH)
        for which, seconds in (("pytorch", 1e-3), ("reference", 2e-3))
    ]
    drawn = picture.draw_times(mine)
    for axes in drawn.axes:
        marks = [line for line in axes.lines if line.get_linestyle() == "None"]
        assert len(marks) == 2 * len(LOSSES)
        assert {float(line.get_xdata()[0]) for line in marks} == {1e-3, 2e-3}
        assert len({float(line.get_ydata()[0]) for line in marks}) == len(marks)
        assert len(axes.lines) - len(marks) == len(marks)  # a bound for each
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["reference", "PyTorch's", "bound"]


def test_noisy_times_are_hollow(case, made_up):
    mine = [made_up(case(passes=passes), noisy=passes == BOTH) for passes in (FORWARD, BOTH)]
    left, right = (axes.lines[0].get_markerfacecolor() for axes in picture.draw_times(mine).axes)
    assert (left == "white", right == "white") == (False, True)


def test_all_pictures_are_files(rows, tmp_path):
    files = picture.draw_all(rows, tmp_path / "new")
    assert [file.name for file in files] == ["cpu-float32-times.png", "cpu-float32-memory.png"]
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in files)


def len_of(name):
    return {"elements": 1, "classes": 2, "vocabulary": 3}[LOSSES[name].kind]


@pytest.mark.parametrize(
    ("timed", "at", "text"),
    [(True, 1e-2, "10 ms"), (True, 1.0, "1 s"), (True, 1e-6, "1 µs"), (False, 1e6, "1 MB"), (False, 10, "10 B")],
)
def test_ticks_are_powers_of_ten_with_their_units(timed, at, text):
    assert picture._tick(timed, at, None) == text
