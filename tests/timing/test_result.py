"""A measurement as a table, a picture and a file; calls under the roof."""

import itertools
import json
import math
from dataclasses import replace
from datetime import date

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.text import Text

from lossbook.timing import Bound, Machine, Measurement, Work, measure, roofline, say_if_busy
from lossbook.timing.texts import bytes_text, seconds_text, share_text

matplotlib.use("Agg")

MACHINE = Machine("cpu", "made up", 2, ((2**18, 2e11), (2**28, 2e10)), launch=1e-6, peak=6e10)
MADE = Measurement(
    median=2e-3,
    fastest=1e-3,
    slowest=4e-3,
    repeats=4,
    value=None,
    iqr=5e-4,
    times=(1e-3, 2e-3, 2e-3, 4e-3),
    calls=10,
    threads=2,
    work=Work(8_000_000, 12_000_000, 3_000_000, 4),
    bound=Bound(1e-3, 1e-6, 0.999e-3, 1e-5, "memory"),
    noisy=True,
    warnings=("too short",),
    name="mse_loss",
)


def test_it_prints_as_an_aligned_table():
    lines = repr(MADE).splitlines()
    assert lines == [
        "measured    mse_loss on cpu, 2 threads",
        "repeats     4 × 10 calls, cache warm",
        "median      2.00 ms",
        "middle half 500 µs wide, 25% of the median",
        "range       1.00 ms to 4.00 ms",
        "must move   8.00 MB",
        "moved       12.0 MB in 4 dispatches",
        "computed    3,000,000 operations",
        "bound       1.00 ms, set by its bytes",
        "share       50% of the bound's speed",
        "warning     too short",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.0, "1.00 s"),
        (0.9996, "1,000 ms"),
        (0.0123, "12.3 ms"),
        (4.5e-6, "4.50 µs"),
        (2e-9, "2.00 ns"),
        (120, "120 s"),
    ],
)
def test_times_have_three_digits_and_a_unit(seconds, text):
    assert seconds_text(seconds) == text


def test_bytes_and_shares_are_readable():
    assert [bytes_text(n) for n in (0, 999, 1500, 2**28)] == ["0 bytes", "999 bytes", "1.50 kB", "268 MB"]
    assert [share_text(s) for s in (0, 1.25, 0.5, 0.0123, 2.2e-5)] == ["0%", "125%", "50%", "1.2%", "0.0022%"]


def test_it_draws_every_repeat_the_median_and_the_bound():
    drawn = MADE.draw()
    axes = drawn.axes[0]
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(dots.get_ydata()) == pytest.approx([1, 2, 2, 4])
    levels = [line.get_ydata()[0] for line in axes.lines if line is not dots]
    assert levels == pytest.approx([2.0, 1.0])
    assert [text.get_text() for text in axes.get_legend().texts] == ["middle half", "median", "one repeat", "bound"]
    low, high = axes.get_ylim()
    assert low <= 1 <= 4 <= high
    plt.close(drawn)


def test_it_is_saved_with_its_circumstances(tmp_path):
    timed = measure(torch.exp, torch.rand(100), repeats=6)
    data = json.loads(timed.save(tmp_path / "new" / "exp.json").read_text())
    assert data == json.loads(json.dumps(timed.as_dict()))
    assert len(data["times"]) == data["repeats"] == 6
    assert data["versions"]["torch"] == torch.__version__
    assert (data["threads"], data["cache"], data["driver"]) == (torch.get_num_threads(), "warm", None)
    assert data["work"]["bytes"] == 800
    assert data["device"]
    assert date.fromisoformat(data["date"]).year >= 2024
    with pytest.raises(IsADirectoryError, match="it must be a file"):
        timed.save(tmp_path)


def points(count):
    n = 10**6
    return {f"rung number {k}": (Work(4 * n, 4 * n, n, 1), 1e-4 * (1 + 0.01 * k)) for k in range(count)}


def boxes(axes):
    axes.figure.canvas.draw()
    # Of a label, its words alone: the line that leads to it may cross others.
    return {text.get_text(): Text.get_window_extent(text) for text in axes.texts}


def test_the_rungs_stand_under_the_roof_with_names_that_do_not_overlap():
    drawn = roofline(MACHINE, points(6))
    (axes,) = drawn.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    found = boxes(axes)
    assert set(points(6)) < set(found)
    frame = axes.get_window_extent()
    for one, other in itertools.combinations(found.values(), 2):
        assert not one.overlaps(other)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 1 for box in found.values())
    plt.close(drawn)


def test_the_roof_is_the_smaller_of_bandwidth_and_peak():
    drawn = roofline(MACHINE, points(1))
    memory = next(line for line in drawn.axes[0].lines if "memory" in str(line.get_label()))
    for intensity, speed in zip(*memory.get_data(), strict=True):
        assert speed == pytest.approx(min(intensity * MACHINE.bandwidth, MACHINE.peak))
    plt.close(drawn)


def test_what_is_computed_from_a_noisy_time_is_no_number(capsys):
    calm = replace(MADE, noisy=False)
    assert calm.trusted == MADE.median
    assert math.isnan(MADE.trusted / calm.trusted)
    say_if_busy(calm.trusted)
    assert capsys.readouterr().out == ""
    say_if_busy(calm.trusted, MADE.trusted)
    assert capsys.readouterr().out == "nan stands where this machine was too busy to measure. Run the cell again.\n"


def test_a_time_that_is_not_trusted_has_no_place_under_the_roof():
    given = {**points(2), "noisy": (Work(4, 4, 1, 1), math.nan)}
    drawn = roofline(MACHINE, given)
    assert "noisy" not in boxes(drawn.axes[0])
    plt.close(drawn)
    alone = roofline(MACHINE, {"noisy": (Work(4, 4, 1, 1), math.nan)})
    low, high = alone.axes[0].get_ylim()
    assert low < MACHINE.peak < high
    plt.close(alone)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="points has no call that moves bytes and computes"):
        roofline(MACHINE, {"copy": (Work(8, 8, 0, 1), 1.0)})
    with pytest.raises(ValueError, match=r"points\['sum'\] took 0 seconds; it must be more than 0"):
        roofline(MACHINE, {"sum": (Work(8, 8, 2, 1), 0)})
