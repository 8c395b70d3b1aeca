"""The race of every lesson: a loss reduced with Python's ``sum`` and with ``torch.sum``, against the device's bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from lossbook.figures import BLUE, GREY, VERMILION, figure
from lossbook.timing.measure import devices, machine, measure
from lossbook.timing.speed import machine_speed
from lossbook.timing.texts import bytes_text, seconds_text
from lossbook.timing.work import Work

SIZES = (100, 1_000, 10_000, 100_000)
NAMES = ("Python's sum", "torch.sum")
BUDGET = 0.2  # seconds for one contestant at one size, where two calls do not take longer
SCALAR = 8  # bytes of the result, which a prediction may count: float64 at most
BINDS = {"launch": "the launch cost binds", "memory": "the bandwidth binds", "compute": "the arithmetic binds"}


@dataclass(frozen=True)
class Row:
    """One contestant at one size on one device: seconds for a call, and how far its result is from float64's."""

    device: str
    n: int
    name: str
    seconds: float
    error: float


@dataclass(frozen=True)
class Limit:
    """What one device allows at one size.

    Args:
        device: ``cpu`` or ``cuda``.
        n: The number of samples N.
        bytes: What must be moved: every input read once, and the scalar written.
        bandwidth: Bytes a second that the device moves, measured on so many bytes.
        launch: Seconds that the smallest call takes, measured.
        seconds: The bound: no call can be faster by much.
        by: Which of the two is larger: ``launch`` or ``memory``.
        predicted: Seconds that the student's function states for this size and bandwidth.

    """

    device: str
    n: int
    bytes: int
    bandwidth: float
    launch: float
    seconds: float
    by: str
    predicted: float


def times(ratio: float) -> str:
    """Return a ratio as text: two decimals below 10, none above."""
    return f"{ratio:,.2f}" if ratio < 10 else f"{ratio:,.0f}"


@dataclass(frozen=True)
class SumRace:
    """What the race measured. Its text is a table; ``draw()`` gives the two pictures.

    Args:
        rows: One row for each contestant, size and device; empty where the race was not run.
        limits: One for each size and device: the bound and the prediction.
        message: What to do first, where the race was not run.

    """

    rows: tuple[Row, ...]
    limits: tuple[Limit, ...] = ()
    message: str = ""

    def at_largest(self, device: str) -> dict[str, float]:
        """Return the seconds of both contestants at the largest N on a device, by name."""
        largest = max(row.n for row in self.rows if row.device == device)
        return {row.name: row.seconds for row in self.rows if (row.device, row.n) == (device, largest)}

    def ratio(self, device: str) -> float:
        """Return how many times longer Python's sum took than torch.sum, at the largest N on a device."""
        seconds = self.at_largest(device)
        return seconds[NAMES[0]] / seconds[NAMES[1]]

    def limit(self, device: str) -> Limit:
        """Return what a device allows at the largest N."""
        return max((limit for limit in self.limits if limit.device == device), key=lambda limit: limit.n)

    def _against_the_bound(self, device: str) -> list[str]:
        limit, seconds = self.limit(device), self.at_largest(device)
        ladder = {"your prediction": limit.predicted, "the bound": limit.seconds}
        ladder |= {name: seconds[name] for name in reversed(NAMES)}
        binding = [item.n for item in self.limits if (item.device, item.by) == (device, "launch")]
        return [
            "",
            f"{device}, N = {limit.n:,}: {bytes_text(limit.bytes)} at {bytes_text(limit.bandwidth)} a second, and "
            f"{seconds_text(limit.launch)} for the launch",
            f"{'':<18}{'time':>12}{'times the bound':>18}",
            *(
                f"{name:<18}{seconds_text(value):>12}{times(value / limit.seconds):>18}"
                for name, value in ladder.items()
            ),
            f"Here {BINDS[limit.by]}" + (f"; up to N = {max(binding):,} the launch cost does." if binding else "."),
            f"Python's sum took {self.ratio(device):,.0f} times as long as torch.sum.",
        ]

    def __repr__(self) -> str:
        if not self.rows:
            return self.message
        lines = [
            machine(),
            f"{'device':<7}{'N':>10}  {'reduced with':<14}{'seconds':>12}{'relative error':>17}",
        ]
        lines += [
            f"{row.device:<7}{row.n:>10,}  {row.name:<14}{row.seconds:>12.6f}{row.error:>17.1e}" for row in self.rows
        ]
        for device in dict.fromkeys(row.device for row in self.rows):
            lines += self._against_the_bound(device)
        return "\n".join(lines)

    def draw(self) -> Figure | None:
        """Draw time and error against N, on logarithmic axes; draw nothing where the race was not run."""
        if not self.rows:
            return None
        drawn, (left, right) = figure(2, height=3.6, width=8.4)
        for device in dict.fromkeys(row.device for row in self.rows):
            line = "-" if device == "cpu" else "--"
            for name, colour, marker in zip(NAMES, (VERMILION, BLUE), ("o", "s"), strict=True):
                mine = [row for row in self.rows if (row.device, row.name) == (device, name)]
                style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line}
                sizes = [row.n for row in mine]
                left.plot(sizes, [row.seconds for row in mine], label=f"{name}, {device.upper()}", **style)
                right.plot(sizes, [max(row.error, 1e-9) for row in mine], **style)
            bound = sorted((limit.n, limit.seconds) for limit in self.limits if limit.device == device)
            left.plot(*zip(*bound, strict=True), color=GREY, linestyle=line, label=f"bound, {device.upper()}")
        for axes, title in ((left, "Time of one call (s)"), (right, "Relative error against float64")):
            axes.set(xscale="log", yscale="log", xlabel="N", title=title)
        left.legend()
        return drawn


def called(function: Callable[..., Any]) -> str:
    """Return a function's name, as it is called in a message."""
    return str(getattr(function, "__name__", "your prediction"))


def what_is_missing(prediction: Callable[[int, float], float], n: int, size: int) -> str | None:
    """Say what keeps a prediction from being the bound of moving ``size`` bytes; None where it is that."""
    name = called(prediction)
    try:
        moved = [prediction(n, bandwidth) * bandwidth for bandwidth in (1e9, 1e12)]
        right = all(size * 0.999 <= float(amount) <= (size + SCALAR) * 1.001 for amount in moved)
    except NotImplementedError:
        return f"Write {name} first; then the race is run."
    except Exception:  # whatever is wrong with it, its check says it better
        right = False
    return None if right else f"{name} is not the bound yet: check it first; then the race is run."


def race_sums(
    python_sum: Callable[..., Any],
    torch_sum: Callable[..., Any],
    make_inputs: Callable[[int], Sequence[Tensor]],
    prediction: Callable[[int, float], float],
    sizes: Sequence[int] = SIZES,
) -> SumRace:
    """Time one loss reduced in two ways, on the CPU and on the GPU where there is one, and compare with the bound.

    The bound is the launch cost and the time that the inputs' bytes take, each read once, at the bandwidth measured on
    the device. Results on the way are no part of it: they could stay in registers.

    Args:
        python_sum: The loss, reduced with Python's built-in ``sum``.
        torch_sum: The same loss, reduced with ``torch.sum``.
        make_inputs: Given N, the loss's arguments: tensors on the CPU, the first of float32.
        prediction: Given N and a bandwidth in bytes a second, the shortest time in seconds that moving the inputs can
            take. Nothing is measured before it is right: the result then says what to do first.
        sizes: The numbers of samples N.

    Raises:
        TypeError: The prediction is no function.
        ValueError: There is no size, or one is less than 1.

    """
    if not callable(prediction):
        raise TypeError(f"prediction is {prediction!r}; it must be a function of n and bandwidth")
    if not sizes or min(sizes) < 1:
        raise ValueError(f"sizes is {tuple(sizes)}; it must hold numbers of samples, each at least 1")
    moved = {n: sum(item.numel() * item.element_size() for item in make_inputs(n)) for n in sizes}
    missing = what_is_missing(prediction, max(sizes), moved[max(sizes)])
    if missing:
        return SumRace((), message=missing)
    for loss in (python_sum, torch_sum):
        try:
            scalar = loss(*make_inputs(sizes[0]))
        except NotImplementedError:
            return SumRace((), message=f"Write {called(loss)} first; then the race is run.")
    rows, limits = [], []
    for device in devices():
        speed = machine_speed(device)
        for n in sizes:
            inputs = make_inputs(n)
            size = moved[n] + scalar.element_size()
            bound = speed.bound(Work(bytes=size, moved=size, operations=0, dispatches=1))
            bandwidth = size / bound.memory
            stated = float(prediction(n, bandwidth))
            limits.append(Limit(device.type, n, size, bandwidth, bound.launch, bound.seconds, bound.by, stated))
            exact = float(torch_sum(*(item.double() if item.is_floating_point() else item for item in inputs)))
            there = [item.to(device) for item in inputs]
            for name, loss in zip(NAMES, (python_sum, torch_sum), strict=True):
                timed = measure(loss, *there, device=device, warmup=1, budget=BUDGET, least=2, work=False)
                error = abs(float(timed.value) - exact) / abs(exact) if exact else math.nan
                rows.append(Row(device.type, n, name, timed.median, error))
    return SumRace(tuple(rows), tuple(limits))
