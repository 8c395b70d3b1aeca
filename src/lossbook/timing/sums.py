"""The race of every lesson: one loss reduced with Python's ``sum`` and with ``torch.sum``, over growing N."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from lossbook.figures import BLUE, VERMILION, figure
from lossbook.timing.measure import devices, machine, measure

SIZES = (100, 1_000, 10_000, 100_000)
NAMES = ("Python's sum", "torch.sum")


@dataclass(frozen=True)
class Row:
    """One contestant at one size on one device: seconds for a call, and how far its result is from float64's."""

    device: str
    n: int
    name: str
    seconds: float
    error: float


@dataclass(frozen=True)
class SumRace:
    """What the race measured. Its text is a table; ``draw()`` gives the two pictures.

    Args:
        rows: One row for each contestant, size and device; empty where no prediction was made.
        prediction: How many times slower the student expects Python's sum to be at the largest N.
        message: What to do first, where the race was not run.

    """

    rows: tuple[Row, ...]
    prediction: float | None
    message: str = ""

    def ratio(self, device: str) -> float:
        """Return how many times longer Python's sum took than torch.sum, at the largest N on a device."""
        largest = max(row.n for row in self.rows if row.device == device)
        seconds = {row.name: row.seconds for row in self.rows if (row.device, row.n) == (device, largest)}
        return seconds[NAMES[0]] / seconds[NAMES[1]]

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
            lines.append(f"{device}: Python's sum took {self.ratio(device):,.0f} times as long at the largest N.")
        lines.append(f"You predicted {self.prediction:,.0f} times.")
        return "\n".join(lines)

    def draw(self) -> Figure | None:
        """Draw time and error against N, on logarithmic axes; draw nothing where the race was not run."""
        if not self.rows:
            return None
        drawn, (left, right) = figure(2, height=3.6, width=8.4)
        for device in dict.fromkeys(row.device for row in self.rows):
            for name, colour, marker in zip(NAMES, (VERMILION, BLUE), ("o", "s"), strict=True):
                mine = [row for row in self.rows if (row.device, row.name) == (device, name)]
                style: dict[str, Any] = {
                    "color": colour,
                    "marker": marker,
                    "linestyle": "-" if device == "cpu" else "--",
                }
                sizes = [row.n for row in mine]
                left.plot(sizes, [row.seconds for row in mine], label=f"{name}, {device.upper()}", **style)
                right.plot(sizes, [max(row.error, 1e-9) for row in mine], **style)
        for axes, title in ((left, "Time of one call (s)"), (right, "Relative error against float64")):
            axes.set(xscale="log", yscale="log", xlabel="N", title=title)
        left.legend()
        return drawn


def predicted(prediction: Callable[[], float] | float) -> float | None:
    """Return the student's prediction, or None where there is none yet or it is no positive number."""
    try:
        value = prediction() if callable(prediction) else prediction
    except NotImplementedError:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value <= sys.float_info.max else None


def race_sums(
    python_sum: Callable[..., Any],
    torch_sum: Callable[..., Any],
    make_inputs: Callable[[int], Sequence[Tensor]],
    prediction: Callable[[], float] | float,
    sizes: Sequence[int] = SIZES,
) -> SumRace:
    """Time one loss reduced in two ways, on the CPU and on the GPU where there is one.

    Args:
        python_sum: The loss, reduced with Python's built-in ``sum``.
        torch_sum: The same loss, reduced with ``torch.sum``.
        make_inputs: Given N, the loss's arguments: tensors on the CPU, the first of float32.
        prediction: How many times longer Python's sum will take at the largest N: a number, or a function returning it.
            Nothing is measured before there is one: the result then says what to do first.
        sizes: The numbers of samples N.

    """
    guess = predicted(prediction)
    if guess is None:
        return SumRace((), None, "Write down your prediction first, a positive number; then the race is run.")
    for loss in (python_sum, torch_sum):
        try:
            loss(*make_inputs(sizes[0]))
        except NotImplementedError:
            return SumRace((), guess, f"Write {loss.__name__} first; then the race is run.")
    rows = []
    for device in devices():
        for n in sizes:
            inputs = make_inputs(n)
            exact = float(torch_sum(*(item.double() if item.is_floating_point() else item for item in inputs)))
            there = [item.to(device) for item in inputs]
            for name, loss in zip(NAMES, (python_sum, torch_sum), strict=True):
                timed = measure(loss, *there, device=device)
                rows.append(Row(device.type, n, name, timed.median, abs(float(timed.value) - exact) / abs(exact)))
    return SumRace(tuple(rows), guess)
