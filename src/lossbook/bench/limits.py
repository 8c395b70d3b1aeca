"""The figures that the course sets itself: each a ratio of times that were measured by turns in one run."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lossbook.bench import memory
from lossbook.bench.implementations import CantRunError, applies, implementation
from lossbook.bench.plan import BOTH, FORWARD, LOSSES, PASSES, make_inputs, shown
from lossbook.bench.running import load, passing
from lossbook.cards import Inputs, Size
from lossbook.timing.measure import measure
from lossbook.timing.texts import seconds_text, three_digits

AT_MOST, AT_LEAST = "≤", "≥"
REACHED, MISSED, UNDECIDED = "reached", "not reached", "not decided"
MARKS = {REACHED: "✓", MISSED: "✗", UNDECIDED: "?"}
ROUNDS = 9
REPEATS = 21  # blocks in a round
LEVEL = 0.95  # the chance, at least, that an interval holds the median of the ratios
NO_GPU = "not measured here: no CUDA device"

CPU_SIZES: dict[str, Size] = {"elements": (1_000_000,), "classes": (4096, 1000)}
FEW = 2  # samples, so that a call costs what calling costs
SMALLEST: dict[str, Size] = {"elements": (FEW,), "classes": (FEW, 2)}
GPU_SIZE: Size = (8192, 131_072)
SUM_SIZE = 1 << 28
BYTES_A_ROW = 64  # what a kernel may keep for each row: its maximum, its sum, its loss, its target, and room to spare

Call = tuple[Callable[..., Any], Inputs]


@dataclass(frozen=True)
class Figure:
    """One figure, and whether it is reached.

    Args:
        name: What is compared with what.
        device: Where.
        relation: ``"≤"`` or ``"≥"``: on which side of the limit the value must be.
        limit: The limit.
        value: The measured value; None where it could not be measured.
        reason: Why it could not.
        numbers: The contestants' medians, fastest times and interquartile ranges, in seconds, their repeats, those that
            were too noisy, the machine's load, and ``rounds``, the median of each in each round; for what is compiled
            ``alone``, the median time of its call on a few samples, in seconds. An older recording has no rounds.

    """

    name: str
    device: str
    relation: str
    limit: float
    value: float | None = None
    reason: str | None = None
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the median of the rounds' ratios lies, by ``interval``; None where the rounds were not kept."""
        rounds = self.numbers.get("rounds")
        return interval(ratios(*rounds.values())) if rounds else None

    @property
    def verdict(self) -> str | None:
        """``REACHED``, ``MISSED`` or ``UNDECIDED``; None where it was not measured.

        It is undecided where a contestant was too noisy, or the limit lies within the interval. A recording without
        rounds has no interval: there the value alone decides. So it does for a figure that is no time.
        """
        if self.value is None:
            return None
        if self.numbers.get("noisy"):
            return UNDECIDED
        low, high = self.interval or (self.value, self.value)
        if self.relation == AT_LEAST:
            return REACHED if low >= self.limit else MISSED if high < self.limit else UNDECIDED
        return REACHED if high <= self.limit else MISSED if low > self.limit else UNDECIDED

    @property
    def passed(self) -> bool | None:
        """Whether the limit is kept; None where it was not measured, or that is not decided."""
        return {REACHED: True, MISSED: False}.get(self.verdict or "")

    @property
    def out_of_reach(self) -> str | None:
        """Why no faster loop could reach the limit: the call alone takes too long already; None if it does not."""
        alone, seconds = self.numbers.get("alone"), self.numbers.get("seconds", {})
        if self.passed is not False or alone is None or alone <= self.limit * seconds["pytorch"]:
            return None
        theirs = seconds_text(seconds["pytorch"])
        return f"a compiled call on {FEW} samples takes {seconds_text(alone)}, PyTorch's on all {theirs}"

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as words and numbers, for JSON."""
        return {**asdict(self), "interval": self.interval, "verdict": self.verdict, "passed": self.passed}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Figure:
        """Return the figure that ``as_dict`` made."""
        return cls(**{each.name: data[each.name] for each in fields(cls)})


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratio of two contestants in each round. Both had their turn in it: what slowed both cancels."""
    return [a / b for a, b in zip(over, under, strict=True)]


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Return two of the values between which the median lies, that of all rounds that might be measured.

    Of n values, the median lies below the k-th smallest with the chance that a fair coin, tossed n times, shows heads
    fewer than k times; and as often above the k-th largest. The largest k is taken at which neither happens with the
    chance ``level``. Nothing is assumed of how the values are spread, but that the rounds are independent.
    Source: David & Nagaraja, Order Statistics (2003), section 7.1.

    Args:
        values: The ratios, one a round.
        level: The chance that the interval holds the median, at least.

    Returns:
        The k-th smallest and the k-th largest; None where there are too few values for the level.

    """
    n, ordered = len(values), sorted(values)
    outside, most = 0.0, 0
    for k in range(1, n // 2 + 1):
        outside += 2 * math.comb(n, k - 1) / 2**n
        if outside > 1 - level:
            break
        most = k
    return (ordered[most - 1], ordered[-most]) if most else None


@dataclass(frozen=True)
class Task:
    """Figures that are measured together.

    Args:
        name: What is measured.
        wanted: The figures, not measured yet, in order.
        run: Measures them: returns the value of each, or the reason why it has none, with the numbers beside it.

    """

    name: str
    wanted: tuple[Figure, ...]
    run: Callable[[float], list[tuple[float | str, dict[str, Any]]]]

    def figures(self, budget: float) -> list[Figure]:
        """Measure, for about so many seconds a contestant. What stands in the way becomes the figures' reason."""
        if self.wanted[0].device == "cuda" and not torch.cuda.is_available():
            return self._without(NO_GPU)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.run(budget)
        except CantRunError as error:
            return self._without(f"not measured here: {error}")
        except Exception as error:
            first = (str(error).splitlines() or [""])[0][:300]
            too_little = memory.is_too_little(error)
            return self._without(f"{'not measured here: too little memory' if too_little else 'failed'}: {first}")
        finally:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return [
            Figure(
                each.name,
                each.device,
                each.relation,
                each.limit,
                value if isinstance(value, float) else None,
                value if isinstance(value, str) else None,
                numbers,
            )
            for each, (value, numbers) in zip(self.wanted, found, strict=True)
        ]

    def _without(self, reason: str) -> list[Figure]:
        return [Figure(each.name, each.device, each.relation, each.limit, reason=reason) for each in self.wanted]


def contest(contestants: Mapping[str, Call], device: str, budget: float, rounds: int = ROUNDS) -> dict[str, Any]:
    """Time several calls by turns, so that a machine that slows down slows all of them.

    Each round has the same number of repeats, whatever their spread. To stop when they happen to agree would make them
    look calmer than they are. Only where the budget ends are there fewer.

    Args:
        contestants: By name, what is called and its arguments.
        device: Where they compute.
        budget: Seconds for each contestant, all rounds together.
        rounds: How often each has its turn.

    Returns:
        For each ``seconds``, the median, ``fastest``, ``iqr`` and ``repeats``, of all rounds together, and ``rounds``,
        the median of each; ``noisy``, the names whose spread is too large; ``load``, what else the machine did.

    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    told: dict[str, Any] = {"seconds": {}, "fastest": {}, "iqr": {}, "repeats": {}, "noisy": [], "load": load()}
    told["rounds"] = {name: [] for name in contestants}
    for call, args in contestants.values():
        call(*args)
    for _ in range(rounds):
        for name, (call, args) in contestants.items():
            timed = measure(call, *args, device=device, budget=budget / rounds, repeats=REPEATS, work=False)
            times[name] += timed.times
            told["rounds"][name].append(timed.median)
    for name, mine in times.items():
        low, middle, high = statistics.quantiles(mine, n=4, method="inclusive")
        told["seconds"][name], told["iqr"][name], told["repeats"][name] = middle, high - low, len(mine)
        told["fastest"][name] = min(mine)
        if high - low > 0.05 * middle:
            told["noisy"].append(name)
    return told


def _ratio(told: Mapping[str, Any], over: str, under: str) -> tuple[float, dict[str, Any]]:
    """Return the median of the rounds' ratios, and the numbers of the two."""
    numbers = {key: _only(value, (over, under)) for key, value in told.items()}
    return statistics.median(ratios(*numbers["rounds"].values())), numbers


def _only(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {name: value[name] for name in names}
    return [name for name in value if name in names] if isinstance(value, list) else value


def _agree(calls: Mapping[str, Call]) -> None:
    """Refuse to time contestants that do not compute the same loss."""
    values = {name: _first(call(*args)) for name, (call, args) in calls.items()}
    expected = values["pytorch"]
    for name, value in values.items():
        if abs(value - expected) > 0.02 * abs(expected):
            raise ArithmeticError(f"{name} returns {value}, and PyTorch's own {expected}")


def _first(result: Any) -> float:
    return float(result[0] if isinstance(result, tuple) else result)


def _against_pytorch(name: str, size: Size, passes: str, budget: float) -> list[tuple[float | str, dict[str, Any]]]:
    loss = LOSSES[name]
    inputs = make_inputs(loss, size, "float32", "cpu")
    calls: dict[str, Call] = {
        each: passing(implementation(name, each, "cpu"), inputs, loss, passes) for each in ("pytorch", "reference")
    }
    eager = None
    try:
        calls["compiled"] = passing(implementation(name, "compiled", "cpu"), inputs, loss, passes)
    except CantRunError as error:
        eager = f"not measured here: {error}"
    _agree(calls)
    told = contest(calls, "cpu", budget)
    reference = _ratio(told, "reference", "pytorch")
    if eager:
        return [(eager, {}), reference]
    ratio, numbers = _ratio(told, "compiled", "pytorch")
    return [(ratio, numbers | {"alone": _compiled_call(name, passes, budget)}), reference]


def _compiled_call(name: str, passes: str, budget: float) -> float:
    """Return the median seconds that a compiled loss takes on a few samples: what calling it costs."""
    loss = LOSSES[name]
    inputs = make_inputs(loss, SMALLEST[loss.kind], "float32", "cpu")
    call, args = passing(implementation(name, "compiled", "cpu"), inputs, loss, passes)
    call(*args)
    return measure(call, *args, device="cpu", budget=budget / ROUNDS, work=False).median


def _on_the_cpu(name: str, passes: str) -> Task:
    size = CPU_SIZES[LOSSES[name].kind]
    where = f"{name}, {shown(size)}, float32, {passes}"
    wanted = (
        Figure(f"{where}: compiled reference / PyTorch's", "cpu", AT_MOST, 1.0),
        Figure(f"{where}: eager reference / PyTorch's", "cpu", AT_MOST, 6.0),
    )
    return Task(where, wanted, partial(_against_pytorch, name, size, passes))


def _copying(source: Tensor, target: Tensor) -> Call:
    return lambda x, y: y.copy_(x), (source, target)


def _fused_cross_entropy(
    size: Size, device: str, dtype: str, budget: float
) -> list[tuple[float | str, dict[str, Any]]]:
    """Time the fused kernel, a copy of as many bytes, and the others, by turns; and ask for its memory."""
    loss = LOSSES["cross_entropy"]
    inputs = make_inputs(loss, size, dtype, device)
    logits = inputs[0]
    calls = {"fused": passing(implementation(loss.name, "fused", device), inputs, loss, BOTH)}
    calls["pytorch"] = passing(implementation(loss.name, "pytorch", device), inputs, loss, BOTH)
    calls["pytorch compiled"] = passing(implementation(loss.name, "pytorch compiled", device), inputs, loss, BOTH)
    no_liger = "not measured here: Liger Kernel is not installed"
    if applies(loss.name, "liger"):
        try:  # it writes its gradient over the logits: it gets its own
            own = (logits.clone(), *inputs[1:])
            calls["liger"] = passing(implementation(loss.name, "liger", device), own, loss, BOTH)
        except CantRunError as error:
            no_liger = f"not measured here: {error}"
    _agree(calls)
    fused, args = calls["fused"]
    held = memory.peak(lambda: fused(*args), device)
    gradient = logits.numel() * logits.element_size()
    calls["copy"] = _copying(logits, torch.empty_like(logits))
    told = contest(calls, device, budget)
    return [
        _ratio(told, "copy", "fused"),
        (max(held - gradient, 0) / size[0], {"memory": held, "gradient": gradient, "rows": size[0]}),
        _ratio(told, "fused", "pytorch"),
        _ratio(told, "fused", "pytorch compiled"),
        _ratio(told, "fused", "liger") if "liger" in calls else (no_liger, {}),
    ]


def _sum(n: int, device: str, budget: float) -> list[tuple[float | str, dict[str, Any]]]:
    """Time ``torch.sum`` and a copy that moves as many bytes: half of the numbers read, and written once."""
    x = torch.ones(n, device=device)
    calls: dict[str, Call] = {"torch.sum": (torch.sum, (x,)), "copy": _copying(x[: n // 2], x[n // 2 :])}
    return [_ratio(contest(calls, device, budget), "torch.sum", "copy")]


def _on_the_gpu() -> list[Task]:
    where = f"cross_entropy, {shown(GPU_SIZE)}, bfloat16, {BOTH}"
    figures = (
        Figure(f"{where}: share of the copy bandwidth", "cuda", AT_LEAST, 0.9),
        Figure(f"{where}: bytes a row beyond logits and gradient", "cuda", AT_MOST, float(BYTES_A_ROW)),
        Figure(f"{where}: fused / PyTorch's", "cuda", AT_MOST, 1.0),
        Figure(f"{where}: fused / PyTorch's compiled", "cuda", AT_MOST, 1.0),
        Figure(f"{where}: fused / Liger Kernel's", "cuda", AT_MOST, 1.0),
    )
    total = f"torch.sum, {SUM_SIZE}, float32, {FORWARD}"
    bound = (Figure(f"{total}: time / time of a copy that moves as many bytes", "cuda", AT_MOST, 1.1),)
    return [
        Task(where, figures, partial(_fused_cross_entropy, GPU_SIZE, "cuda", "bfloat16")),
        Task(total, bound, partial(_sum, SUM_SIZE, "cuda")),
    ]


def tasks() -> list[Task]:
    """Return all figures, in the groups in which they are measured."""
    compared = [name for name, loss in LOSSES.items() if loss.kind in CPU_SIZES]
    return [_on_the_cpu(name, passes) for name in compared for passes in PASSES] + _on_the_gpu()


def by_loss(figures: Sequence[Figure]) -> list[list[str]]:
    """Return a table with a line for each loss and a column for each comparison in each pass, its heading first.

    A figure's name is that of its loss, then its size, its dtype and its passes, and what is compared.
    """
    found: dict[tuple[str, str], Figure] = {}
    for each in figures:
        measured, _, compared = each.name.partition(": ")
        loss, *_, passes = measured.split(", ")
        found[loss, f"{compared}, {passes}, {each.relation} {each.limit:g}"] = each
    columns = list(dict.fromkeys(column for _, column in found))
    lines = [["loss", *columns]]
    for loss in dict.fromkeys(loss for loss, _ in found):
        mine = [found.get((loss, column)) for column in columns]
        lines.append([loss, *("–" if each is None else _reached(each) for each in mine)])
    return lines


def _reached(figure: Figure) -> str:
    if figure.verdict is None:
        return "–"
    between = f" ({_interval(figure)})" if figure.interval else ""
    return f"{_value(figure)}{between} {MARKS[figure.verdict]}"


def _value(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    return f"{'~' if figure.numbers.get('noisy') else ''}{_digits(figure.value)}"


def _interval(figure: Figure) -> str:
    return " to ".join(map(_digits, figure.interval)) if figure.interval else "–"


def _digits(value: float) -> str:
    return three_digits(value) if value >= 0.1 else f"{value:.2g}"


def cells(figures: Sequence[Figure]) -> list[list[str]]:
    """Return a table of figures as lists of words, its heading first."""
    lines = [["figure", "device", "value", "interval", "limit", "reached"]]
    words = {REACHED: "yes", MISSED: "no", UNDECIDED: UNDECIDED}
    for each in figures:
        reached = words[each.verdict] if each.verdict else each.reason or "–"
        if each.numbers.get("noisy"):
            reached += f": {' and '.join(each.numbers['noisy'])} too noisy"
        reached += f": {each.out_of_reach}" if each.out_of_reach else ""
        lines.append(
            [each.name, each.device, _value(each), _interval(each), f"{each.relation} {each.limit:g}", reached]
        )
    return lines
