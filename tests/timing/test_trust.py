"""The race on a busy machine: it tries again, it says so, and it makes no ratio of times that are not to be trusted."""

import dataclasses
import math
import random
import re

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

from lossbook.timing import Measurement, race_sums, sums
from lossbook.timing.race import NAMES, about
from lossbook.timing.trust import NOISY, Tries, falling

matplotlib.use("Agg")

SIZES = (100, 1_000, 10_000)
BUSY = "This machine was busy"
RATIO = re.compile(r"times as long")


def python_sum(x):
    return torch.sum(x) / len(x)  # how long it takes is the made-up processor's affair


def torch_sum(x):
    return torch.sum(x) / len(x)


def predict_seconds(n, bandwidth):
    return 4 * n / bandwidth


def run(sizes=SIZES):
    return race_sums(python_sum, torch_sum, lambda n: (torch.ones(n),), predict_seconds, sizes)


def true_ratio(processor):
    return processor.seconds("python_sum", SIZES[-1]) / processor.seconds("torch_sum", SIZES[-1])


def test_on_a_calm_machine_all_is_measured_twice_and_the_ratio_is_told(processor):
    race = run()
    assert len(processor.measured) == 4 * len(SIZES)
    assert not race.noisy
    assert race.ratio("cpu") == pytest.approx(true_ratio(processor))
    assert f"Python's sum took about {about(race.ratio('cpu'))} times as long" in repr(race)
    assert BUSY not in repr(race)
    assert NOISY not in repr(race)


def test_one_slow_call_spoils_nothing(processor):
    processor.disturbance = lambda name, n, block, now: (40.0 if block == 3 else 1.0, False)
    race = run()
    assert not race.noisy
    assert race.ratio("cpu") == pytest.approx(true_ratio(processor))


def every(period, factor):
    return lambda name, n, block, now: (factor if block % period else 1.0, False)


# What a call takes, block by block, as a multiple of the undisturbed time.
DISTURBED = {
    "stalls in half of the blocks": every(2, 30.0),
    "stalls in two of three blocks": every(3, 40.0),
    "two speeds": lambda name, n, block, now: (1.0 if block % 20 < 10 else 3.0, False),
    "ever slower": lambda name, n, block, now: (1.05**block, False),
    "slower by the hour": lambda name, n, block, now: (1.0 + 20 * now, False),
    "all alike, while others run": lambda name, n, block, now: (3.0, True),
    "only torch.sum stalls": lambda name, n, block, now: (
        every(2, 1e3)(name, n, block, now) if "torch" in name else (1.0, False)
    ),
    "never twice the same": lambda name, n, block, now: (1.0 + (block * 7919 % 101) / 10, False),
}


@pytest.mark.parametrize("kind", DISTURBED)
def test_what_stays_noisy_is_tried_again_marked_and_makes_no_ratio(processor, kind):
    processor.disturbance = DISTURBED[kind]
    race = run()
    assert max(processor.measured.count(key) for key in processor.measured) > 2
    assert all(processor.measured.count(key) <= sums.TRIES for key in processor.measured)
    assert race.ratio("cpu") is None
    assert None in race.at_largest("cpu").values()
    text = repr(race)
    assert f"{BUSY}: do not trust what is marked {NOISY}. No ratio is made of it. Run the cell again." in text
    assert not RATIO.search(text)
    for row in race.rows:
        if row.noisy:
            (line,) = (x for x in text.splitlines() if re.match(rf"cpu +{row.n:,}  {row.name} ", x))
            assert f"{NOISY}{row.seconds:.6f}" in line
    ladder = dict(re.findall(r"^(torch\.sum|Python's sum) +(\S.*)$", text, re.M))
    for name, seconds in race.at_largest("cpu").items():
        if seconds is None:
            assert ladder[name].split() == [NOISY, NOISY]


def test_a_burst_of_other_work_is_waited_out(processor):
    processor.disturbance = lambda name, n, block, now: (1.0 + 50 * (block % 3) if now < 2.0 else 1.0, False)
    race = run()
    assert len(processor.measured) > 4 * len(SIZES)
    assert not race.noisy
    assert race.ratio("cpu") == pytest.approx(true_ratio(processor))
    assert BUSY not in repr(race)


def test_noise_where_no_ratio_is_made_is_told_beside_the_ratio(processor):
    processor.disturbance = lambda name, n, block, now: (1.0 + 50 * (block % 3) * (n == 100), False)
    race = run()
    assert race.noisy
    assert race.ratio("cpu") == pytest.approx(true_ratio(processor))
    text = repr(race)
    assert RATIO.search(text)
    assert f"{BUSY}: do not trust what is marked {NOISY}. Run the cell again." in text


def test_a_time_that_falls_by_far_as_n_grows_is_not_believed(processor):
    processor.disturbance = lambda name, n, block, now: (1e4 if (name, n) == ("torch_sum", 100) else 1.0, False)
    race = run()
    assert {(row.n, row.name) for row in race.rows if row.noisy} == {(100, "torch.sum")}
    assert processor.measured.count(("torch_sum", 100)) == sums.TRIES
    assert race.ratio("cpu") == pytest.approx(true_ratio(processor))


def test_a_slow_try_is_not_believed_beside_a_fast_one(processor):
    """The first try is fast and noisy, the others calm and ten times as slow."""

    def disturbance(name, n, block, now):
        first = processor.measured.count((name, n)) == 1
        return (1.0 + 30 * (block % 3 == 0) if first else 10.0), False

    processor.disturbance = disturbance
    race = run()
    assert all(row.noisy for row in race.rows)
    assert race.ratio("cpu") is None


def test_patience_ends(processor):
    processor.seconds = lambda name, n: 0.5
    processor.disturbance = every(2, 3.0)
    race = run()
    assert processor.now < 4 * len(SIZES) * 8 * 0.75 + 2 * sums.PATIENCE
    assert max(processor.measured.count(key) for key in processor.measured) < sums.TRIES
    assert race.ratio("cpu") is None


def test_a_slow_call_gets_the_time_for_enough_repeats(processor):
    processor.seconds = lambda name, n: 0.8 if "python" in name else 1e-4
    race = run(sizes=(100,))
    assert not race.noisy
    assert race.ratio("cpu") == pytest.approx(8000)


def test_a_bound_that_is_beaten_by_far_is_measured_again(processor):
    usual = processor.speed(None)
    slow = dataclasses.replace(usual, launch=1e-2)
    processor.speeds = [slow]
    race = run()
    assert not race.noisy
    assert race.limit("cpu").launch == usual.launch
    processor.speeds = [slow, slow]
    race = run()
    assert race.limit("cpu").noisy
    text = repr(race)
    assert "times the bound" not in text
    assert "a call was far faster than the bound, so the bound is wrong" in text
    assert BUSY in text
    labels = [line.get_label() for line in race.draw().axes[0].lines]
    assert "bound, CPU" not in labels
    plt.close("all")


def test_no_ratio_that_is_told_is_far_from_the_truth(processor):
    """Whatever share of the calls is disturbed, and however much, so long as some calls of a try are not."""
    told = 0
    for seed in range(60):
        chance = random.Random(seed)
        share, scale = chance.uniform(0, 0.95), 10 ** chance.uniform(0, 4)

        def disturbance(name, n, block, now, chance=chance, share=share, scale=scale):
            return 1.0 + scale * chance.random() * (chance.random() < share), False

        processor.now, processor.measured, processor.disturbance = 0.0, [], disturbance
        ratio = run().ratio("cpu")
        told += ratio is not None
        assert ratio is None or 1 / 1.6 < ratio / true_ratio(processor) < 1.6, f"seed {seed}: {ratio}"
    assert 5 <= told <= 55


def test_the_picture_marks_what_is_noisy(processor):
    processor.disturbance = lambda name, n, block, now: (1.0 + 50 * (block % 3) * (n == 100), False)
    race = run()
    left = race.draw().axes[0]
    (hollow,) = (line for line in left.lines if line.get_label() == "torch.sum, CPU: too noisy")
    assert hollow.get_markerfacecolor() == "white"
    assert list(hollow.get_xdata()) == [100]
    (calm,) = (line for line in left.lines if line.get_label() == "torch.sum, CPU")
    assert math.isnan(calm.get_ydata()[0])
    assert list(calm.get_ydata()[1:]) == [row.seconds for row in race.rows if row.name == NAMES[1]][1:]
    plt.close("all")


def test_both_run_on_one_thread_and_the_threads_are_given_back(processor):
    seen = set()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        processor.disturbance = lambda *_: (seen.add(torch.get_num_threads()) or 1.0, False)
        assert "the race is run on 1 thread" in repr(run())
        assert seen == {1}
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError):
            race_sums(
                python_sum,
                lambda x: x.sum() / (1 // (len(x) < 20)),
                lambda n: (torch.ones(n),),
                predict_seconds,
                (10, 20),
            )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def made(*times, noisy=False):
    ordered = sorted(times)
    return Measurement(ordered[len(times) // 2], ordered[0], ordered[-1], len(times), None, times=times, noisy=noisy)


@pytest.mark.parametrize(
    ("tries", "median", "noisy"),
    [
        ([made(1, 1, 1)], 1, True),  # once is not enough
        ([made(1, 1, 1), made(1.2, 1.2, 1.2)], 1, False),
        ([made(1, 1, 1), made(2, 2, 2)], 1, True),  # which of the two is it?
        ([made(1, 1, 1), made(2, 2, 2), made(1.1, 1.1, 1.1)], 1, False),
        ([made(1, 1, 1, noisy=True), made(1, 1, 1, noisy=True)], 1, True),
        ([made(9, 9, 9, noisy=True), made(1, 1, 1), made(1, 1, 1)], 1, False),
        ([made(1, 1, 9, noisy=True), made(4, 4, 4), made(4, 4, 4)], 4, True),  # calm, and yet slowed down throughout
        ([made(0.1, 1, 1, 1, 1, 1, 1), made(1, 1, 1)], 1, False),  # one call that was fast by luck
    ],
)
def test_the_measurement_that_counts(tries, median, noisy):
    mine = Tries(tries)
    assert (mine.best.median, mine.noisy) == (median, noisy)


@pytest.mark.parametrize(
    ("times", "wrong"),
    [
        ((1, 2, 3), set()),
        ((1, 0.6, 3), set()),
        ((24, 0.06, 112), {10}),
        ((5, 1, 2, 0.1), {10, 100, 1000}),
        ((1,), set()),
        ((), set()),
    ],
)
def test_a_smaller_size_that_takes_far_longer_is_found(times, wrong):
    sizes = [10 ** (k + 1) for k in range(len(times))]
    assert falling(dict(zip(sizes, times, strict=True))) == wrong
    assert falling(dict(reversed(list(zip(sizes, times, strict=True))))) == wrong


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.04, "1.0"), (9.87, "9.9"), (9.96, "10"), (123.4, "120"), (59_876, "60,000"), (0.34, "0.3")]
)
def test_a_ratio_is_told_with_two_digits_at_most(ratio, text):
    assert about(ratio) == text
