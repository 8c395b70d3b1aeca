"""The figures that the course sets itself are measured by turns, or the reason is told."""

import dataclasses
import json
import math
import random
import statistics

import pytest
import torch

from lossbook.bench import implementations, limits
from lossbook.bench.limits import AT_LEAST, AT_MOST, MISSED, NO_GPU, REACHED, UNDECIDED, Figure, Task, contest
from lossbook.bench.plan import LOSSES
from lossbook.timing import Measurement


def test_all_figures_of_the_course_are_there():
    names = [figure.name for task in limits.tasks() for figure in task.wanted]
    assert len(names) == len(set(names))
    for loss in LOSSES.values():
        if loss.kind != "vocabulary":
            mine = [name for name in names if name.startswith(f"{loss.name}, ") and "float32" in name]
            assert len(mine) == 4
            assert sum("compiled reference" in name for name in mine) == 2
    gpu = [figure for task in limits.tasks() for figure in task.wanted if figure.device == "cuda"]
    assert [(figure.relation, figure.limit) for figure in gpu] == [
        (AT_LEAST, 0.9),
        (AT_MOST, 64.0),
        (AT_MOST, 1.0),
        (AT_MOST, 1.0),
        (AT_MOST, 1.0),
        (AT_MOST, 1.1),
    ]
    assert "8192x131072, bfloat16" in gpu[0].name
    assert str(2**28) in gpu[-1].name


@pytest.mark.parametrize(
    ("relation", "value", "passed"),
    [
        (AT_MOST, 1.0, True),
        (AT_MOST, 1.01, False),
        (AT_LEAST, 1.0, True),
        (AT_LEAST, 0.9, False),
        (AT_MOST, None, None),
    ],
)
def test_a_figure_is_reached_or_not(relation, value, passed):
    figure = Figure("x", "cpu", relation, 1.0, value)
    assert figure.passed is passed
    assert figure.as_dict()["passed"] is passed
    assert Figure.from_dict(figure.as_dict()) == figure


def test_without_a_gpu_its_figures_say_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for task in limits.tasks()[-2:]:
        figures = task.figures(0.1)
        assert [figure.reason for figure in figures] == [NO_GPU] * len(task.wanted)
        assert [dataclasses.replace(figure, reason=None) for figure in figures] == list(task.wanted)


def test_contestants_have_their_turns(monkeypatch):
    order = []
    calls = {name: (lambda x, name=name: order.append(name) or x + 1, (torch.ones(10),)) for name in "ab"}
    told = contest(calls, "cpu", 0.02, rounds=3)
    turns = [name for n, name in enumerate(order) if n == 0 or order[n - 1] != name]
    assert turns == ["a", "b"] * 4  # once each before anything counts, then three rounds
    assert all(told[key].keys() == {"a", "b"} for key in ("seconds", "fastest", "iqr", "repeats"))
    assert told["repeats"]["a"] >= 3
    assert {name: len(each) for name, each in told["rounds"].items()} == {"a": 3, "b": 3}
    assert told["fastest"]["a"] <= told["seconds"]["a"]


def test_no_round_ends_because_its_times_agree(monkeypatch):
    """To stop when they do would make them look calmer than they are."""
    asked = []

    def measure(call, *args, **options):
        asked.append(options)
        return Measurement(1.0, 1.0, 1.0, 3, None, times=(1.0, 1.0, 1.0))

    monkeypatch.setattr(limits, "measure", measure)
    contest({"a": (sum, ([],)), "b": (sum, ([],))}, "cpu", 9.0)
    assert len(asked) == 2 * limits.ROUNDS
    assert {options["repeats"] for options in asked} == {limits.REPEATS}


@pytest.mark.parametrize(
    ("count", "at"), [(5, None), (6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (20, 5), (1, None), (0, None)]
)
def test_an_interval_lies_between_the_ordered_ratios(count, at):
    """The places are those of the sign test's tables."""
    values = [float((7 * n) % count) for n in range(count)] if count % 7 else [float(n) for n in range(count)]
    assert limits.interval(values) == (None if at is None else (at, count - 1 - at))


def test_an_interval_holds_the_median_as_often_as_it_says():
    chance = random.Random(420)
    held = 0
    for _ in range(2000):
        low, high = limits.interval([chance.expovariate(math.log(2)) for _ in range(limits.ROUNDS)])
        held += low <= 1.0 <= high
    assert held / 2000 >= limits.LEVEL


def timed(values, noisy=(), relation=AT_MOST, limit=1.0):
    rounds = {"compiled": list(values), "pytorch": [1.0] * len(values)}
    numbers = {"rounds": rounds, "noisy": list(noisy)}
    return Figure("mse, 10, float32, forward: x", "cpu", relation, limit, statistics.median(values), numbers=numbers)


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (timed([0.9] * 9), REACHED),
        (timed([1.1] * 9), MISSED),
        (timed([0.9] * 7 + [1.1] * 2), UNDECIDED),
        (timed([0.9] * 8 + [1.1]), REACHED),
        (timed([1.0] * 9), REACHED),
        (timed([0.9] * 9, ["pytorch"]), UNDECIDED),
        (timed([1.1] * 9, ["compiled"]), UNDECIDED),
        (timed([0.95] * 9, relation=AT_LEAST, limit=0.9), REACHED),
        (timed([0.8] * 9, relation=AT_LEAST, limit=0.9), MISSED),
        (timed([0.8] * 2 + [0.95] * 7, relation=AT_LEAST, limit=0.9), UNDECIDED),
        (Figure("x", "cpu", AT_MOST, 1.0, 0.5, numbers={"noisy": ["pytorch"], "seconds": {}}), UNDECIDED),  # an old one
        (Figure("x", "cpu", AT_MOST, 1.0, 0.5, numbers={"noisy": [], "seconds": {}}), REACHED),
        (Figure("x", "cuda", AT_MOST, 64.0, 70.0, numbers={"memory": 1, "gradient": 1, "rows": 1}), MISSED),
        (Figure("x", "cuda", AT_MOST, 64.0, reason="why"), None),
    ],
)  # fmt: skip
def test_a_figure_is_reached_missed_or_not_decided(figure, verdict):
    assert figure.verdict == verdict
    assert figure.passed is {REACHED: True, MISSED: False}.get(verdict)
    assert Figure.from_dict(json.loads(json.dumps(figure.as_dict()))) == figure


def test_the_slower_is_found_slower():
    x = torch.ones(200_000)
    told = contest({"one": (torch.sum, (x,)), "many": (lambda x: [x.sum() for _ in range(20)], (x,))}, "cpu", 0.1)
    assert told["fastest"]["many"] > told["fastest"]["one"]


def test_the_references_are_compared(monkeypatch):
    monkeypatch.setattr(implementations, "compiler", lambda: None)
    monkeypatch.setitem(limits.CPU_SIZES, "elements", (500,))
    task = next(task for task in limits.tasks() if task.name.startswith("mse_loss"))
    compiled, eager = task.figures(0.02)
    assert compiled.passed is None
    assert compiled.reason.startswith("not measured here: torch.compile needs a C++ compiler")
    assert eager.value > 0
    rounds = eager.numbers["rounds"]
    assert list(rounds) == ["reference", "pytorch"]
    assert {len(each) for each in rounds.values()} == {limits.ROUNDS}
    assert eager.value == statistics.median(limits.ratios(*rounds.values()))
    low, high = eager.interval
    assert low <= eager.value <= high


def test_contestants_that_disagree_are_not_timed(monkeypatch):
    monkeypatch.setattr(implementations, "compiler", lambda: None)
    monkeypatch.setattr(limits, "contest", lambda *_: pytest.fail("they were timed"))
    monkeypatch.setattr(implementations, "_reference", lambda loss: lambda x, y: (x + y).mean())
    figures = limits.tasks()[0].figures(0.02)
    assert all(figure.reason.startswith("failed: reference returns ") for figure in figures)


def test_the_gpus_figures_can_be_computed(monkeypatch):
    """Without a GPU, its measurement runs on the CPU with PyTorch's own in the kernel's place."""
    pytorch = implementations.implementation("cross_entropy", "pytorch", "cpu")
    monkeypatch.setattr(limits, "implementation", lambda *_: pytorch)
    share, memory, *ratios, liger = limits._fused_cross_entropy((64, 32), "cpu", "bfloat16", 0.02)
    assert share[1]["seconds"].keys() == {"copy", "fused"}
    assert share[0] == statistics.median(limits.ratios(share[1]["rounds"]["copy"], share[1]["rounds"]["fused"]))
    assert memory[0] == (memory[1]["memory"] - 64 * 32 * 2) / 64
    assert [list(told["seconds"]) for _, told in ratios] == [["fused", "pytorch"], ["fused", "pytorch compiled"]]
    if not implementations.applies("cross_entropy", "liger"):
        assert liger == ("not measured here: Liger Kernel is not installed", {})
    ((value, told),) = limits._sum(1 << 12, "cpu", 0.02)
    assert value == statistics.median(limits.ratios(told["rounds"]["torch.sum"], told["rounds"]["copy"]))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "not measured here: too little memory: CUDA out of memory"),
        (ZeroDivisionError("oh\nno"), "failed: oh"),
        (implementations.CantRunError("no Triton"), "not measured here: no Triton"),
    ],
    ids=["memory", "unforeseen", "lacking"],
)
def test_what_stands_in_the_way_is_the_reason(error, said):
    def run(budget):
        raise error

    (figure,) = Task("x", (Figure("x", "cpu", AT_MOST, 1.0),), run).figures(1.0)
    assert (figure.value, figure.reason, figure.passed) == (None, said, None)


def test_the_table_of_figures():
    figures = [
        Figure("a", "cpu", AT_MOST, 1.0, 0.51234),
        Figure("b", "cpu", AT_MOST, 4.0, 5.0, numbers={"noisy": ["x"]}),
        Figure("c", "cuda", AT_LEAST, 0.9, reason=NO_GPU),
    ]
    assert limits.cells(figures)[1:] == [
        ["a", "cpu", "0.51", "–", "≤ 1", "yes"],
        ["b", "cpu", "~5.00", "–", "≤ 4", "not decided: x too noisy"],
        ["c", "cuda", "–", "–", "≥ 0.9", NO_GPU],
    ]
    assert limits.cells([timed([0.91, 0.9, 0.92, 0.93, 0.94, 0.95])])[1][2:] == ["0.93", "0.90 to 0.95", "≤ 1", "yes"]
    assert limits.by_loss([timed([1.5] * 6), timed([0.9] * 5 + [1.1])])[1][1] == "0.90 (0.90 to 1.10) ?"


def figure_of_a_call(value, alone):
    numbers = {"seconds": {"compiled": value * 1e-5, "pytorch": 1e-5}, "alone": alone}
    return Figure("d", "cpu", AT_MOST, 1.0, value, numbers=numbers)


def test_a_limit_that_the_call_alone_breaks_is_out_of_reach():
    said = "a compiled call on 2 samples takes 15.0 µs, PyTorch's on all 10.0 µs"
    assert limits.cells([figure_of_a_call(2.0, 15e-6)])[1][-1] == f"no: {said}"
    assert limits.cells([figure_of_a_call(2.0, 9e-6)])[1][-1] == "no"
    assert limits.cells([figure_of_a_call(0.9, 15e-6)])[1][-1] == "yes"


def test_the_call_alone_is_measured_beside_what_is_compiled(monkeypatch):
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: real(function, backend="eager"))
    monkeypatch.setattr(implementations, "compiler", lambda: "g++")
    monkeypatch.setitem(limits.CPU_SIZES, "classes", (500, 10))
    task = next(task for task in limits.tasks() if task.name.startswith("nll_loss"))
    compiled, eager = task.figures(0.02)
    assert 0 < compiled.numbers["alone"] < 1
    assert "alone" not in eager.numbers


def test_figures_of_one_loss_stand_on_one_line():
    figures = [
        Figure("mse, 10, float32, forward: compiled", "cpu", AT_MOST, 1.0, 0.5),
        Figure("mse, 10, float32, forward: eager", "cpu", AT_MOST, 4.0, 5.0, numbers={"noisy": ["x"]}),
        Figure("mse, 10, float32, forward + backward: eager", "cpu", AT_MOST, 4.0, 2.0),
        Figure("kl, 4x9, float32, forward: eager", "cpu", AT_MOST, 4.0, reason="why"),
    ]
    assert limits.by_loss(figures) == [
        ["loss", "compiled, forward, ≤ 1", "eager, forward, ≤ 4", "eager, forward + backward, ≤ 4"],
        ["mse", "0.50 ✓", "~5.00 ?", "2.00 ✓"],
        ["kl", "–", "–", "–"],
    ]
