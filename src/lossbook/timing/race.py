"""What the race of every lesson found: as a table and as a picture, with no ratio that is not to be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from lossbook.figures import BLUE, GREY, VERMILION, figure
from lossbook.timing.circumstances import machine
from lossbook.timing.texts import bytes_text, seconds_text
from lossbook.timing.trust import NOISY

NAMES = ("Python's sum", "torch.sum")
BINDS = {"launch": "the launch cost binds", "memory": "the bandwidth binds", "compute": "the arithmetic binds"}


@dataclass(frozen=True)
class Row:
    """One contestant at one size on one device.

    Args:
        device: ``cpu`` or ``cuda``.
        n: The number of samples N.
        name: The contestant's.
        seconds: The median time of a call.
        error: How far its result is from float64's, relative to that.
        fastest: The time of a call in the fastest repeat; None in a recording that did not keep it.
        noisy: Whether the time is not to be trusted.

    """

    device: str
    n: int
    name: str
    seconds: float
    error: float
    fastest: float | None = None
    noisy: bool = False


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
        predicted: Seconds that the student's function states for this size and bandwidth; None where it was not asked.
        noisy: Whether the bound is not to be trusted, because a call was far faster.

    """

    device: str
    n: int
    bytes: int
    bandwidth: float
    launch: float
    seconds: float
    by: str
    predicted: float | None
    noisy: bool = False


def times(ratio: float) -> str:
    """Return a ratio as text: two decimals below 10, none above."""
    return f"{ratio:,.2f}" if ratio < 10 else f"{ratio:,.0f}"


def about(ratio: float) -> str:
    """Return a ratio as text with the two digits that a calm race is sure of."""
    rounded = float(f"{ratio:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.1f}"


@dataclass(frozen=True)
class SumRace:
    """What the race measured. Its text is a table; ``draw()`` gives the two pictures.

    A time that is not to be trusted is marked, and no ratio is made of it.

    Args:
        rows: One row for each contestant, size and device; empty where the race was not run.
        limits: One for each size and device: the bound and the prediction.
        message: What to do first, where the race was not run.

    """

    rows: tuple[Row, ...]
    limits: tuple[Limit, ...] = ()
    message: str = ""

    @property
    def noisy(self) -> bool:
        """Whether there is a time or a bound that is not to be trusted."""
        return any(row.noisy for row in self.rows) or any(limit.noisy for limit in self.limits)

    def at_largest(self, device: str) -> dict[str, float | None]:
        """Return the seconds of both contestants at the largest N on a device, by name; None for what is noisy."""
        largest = max(row.n for row in self.rows if row.device == device)
        mine = [row for row in self.rows if (row.device, row.n) == (device, largest)]
        return {row.name: None if row.noisy else row.seconds for row in mine}

    def ratio(self, device: str) -> float | None:
        """Return how many times longer Python's sum took than torch.sum, at the largest N on a device.

        It is None where one of the two times is not to be trusted.
        """
        seconds = self.at_largest(device)
        slow, fast = (seconds[name] for name in NAMES)
        return None if slow is None or fast is None else slow / fast

    def limit(self, device: str) -> Limit:
        """Return what a device allows at the largest N."""
        return max((limit for limit in self.limits if limit.device == device), key=lambda limit: limit.n)

    def _against_the_bound(self, device: str) -> list[str]:
        limit, seconds, ratio = self.limit(device), self.at_largest(device), self.ratio(device)
        ladder: dict[str, float | None] = {} if limit.predicted is None else {"your prediction": limit.predicted}
        ladder |= {"the bound": limit.seconds}
        ladder |= {name: seconds[name] for name in reversed(NAMES)}
        if limit.noisy:
            return ["", f"{device}, N = {limit.n:,}: a call was far faster than the bound, so the bound is wrong."]
        binding = [item.n for item in self.limits if (item.device, item.by) == (device, "launch")]
        lines = [
            "",
            f"{device}, N = {limit.n:,}: {bytes_text(limit.bytes)} at {bytes_text(limit.bandwidth)} a second, and "
            f"{seconds_text(limit.launch)} for the launch",
            f"{'':<18}{'time':>12}{'times the bound':>18}",
            *(
                f"{name:<18}{NOISY if value is None else seconds_text(value):>12}"
                f"{NOISY if value is None else times(value / limit.seconds):>18}"
                for name, value in ladder.items()
            ),
            f"Here {BINDS[limit.by]}" + (f"; up to N = {max(binding):,} the launch cost does." if binding else "."),
        ]
        if ratio is not None:
            lines.append(f"Python's sum took about {about(ratio)} times as long as torch.sum.")
        return lines

    def _warning(self) -> list[str]:
        """Return what to do where something is noisy; nothing where all is calm."""
        if not self.noisy:
            return []
        where = list(dict.fromkeys(row.device for row in self.rows))
        untold = [device for device in where if self.limit(device).noisy or self.ratio(device) is None]
        said = f"This machine was busy: do not trust what is marked {NOISY}."
        return ["", f"{said}{' No ratio is made of it.' if untold else ''} Run the cell again."]

    def __repr__(self) -> str:
        if not self.rows:
            return self.message
        lines = [
            f"{machine()}; the race is run on 1 thread",
            f"{'device':<7}{'N':>10}  {'reduced with':<14}{'median, s':>12}{'fastest, s':>12}{'relative error':>17}",
        ]
        lines += [
            f"{row.device:<7}{row.n:>10,}  {row.name:<14}{f'{NOISY if row.noisy else str()}{row.seconds:.6f}':>12}"
            f"{row.seconds if row.fastest is None else row.fastest:>12.6f}{row.error:>17.1e}"
            for row in self.rows
        ]
        for device in dict.fromkeys(row.device for row in self.rows):
            lines += self._against_the_bound(device)
        return "\n".join(lines + self._warning())

    def draw(self) -> Figure | None:
        """Draw time and error against N, on logarithmic axes; draw nothing where the race was not run.

        A time that is not to be trusted is hollow, and no line leads to it.
        """
        if not self.rows:
            return None
        drawn, (left, right) = figure(2, height=3.6, width=8.4)
        for device in dict.fromkeys(row.device for row in self.rows):
            line = "-" if device == "cpu" else "--"
            for name, colour, marker in zip(NAMES, (VERMILION, BLUE), ("o", "s"), strict=True):
                mine = [row for row in self.rows if (row.device, row.name) == (device, name)]
                style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line}
                sizes = [row.n for row in mine]
                calm = [math.nan if row.noisy else row.seconds for row in mine]
                left.plot(sizes, calm, label=f"{name}, {device.upper()}", **style)
                noisy = [(row.n, row.seconds) for row in mine if row.noisy]
                if noisy:
                    hollow = {**style, "linestyle": "none", "markerfacecolor": "white"}
                    left.plot(*zip(*noisy, strict=True), label=f"{name}, {device.upper()}: too noisy", **hollow)
                right.plot(sizes, [max(row.error, 1e-9) for row in mine], **style)
            bound = sorted((limit.n, limit.seconds) for limit in self.limits if limit.device == device)
            if not any(limit.noisy for limit in self.limits if limit.device == device):
                left.plot(*zip(*bound, strict=True), color=GREY, linestyle=line, label=f"bound, {device.upper()}")
        for axes, title in ((left, "Time of one call (s)"), (right, "Relative error against float64")):
            axes.set(xscale="log", yscale="log", xlabel="N", title=title)
        left.legend()
        return drawn
