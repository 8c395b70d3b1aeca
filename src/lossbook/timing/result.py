"""What a measurement found: its numbers, as a table, a picture and a file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lossbook.timing.circumstances import circumstances
from lossbook.timing.drawing import draw_times
from lossbook.timing.speed import Bound
from lossbook.timing.texts import bytes_text, counted_text, seconds_text, share_text
from lossbook.timing.work import Work

# What sets a bound. The bytes may come from a cache as well as from memory.
SET_BY = {"launch": "launch", "memory": "bytes", "compute": "operations"}


@dataclass(frozen=True, repr=False)
class Measurement:
    """The time of one call, and what to make of it. Its text is a table; ``draw()`` gives a picture.

    Args:
        median: Median of the repeats, in seconds for one call.
        fastest: Shortest repeat.
        slowest: Longest repeat.
        repeats: How many blocks of calls were counted.
        value: What a call returned.
        iqr: Interquartile range of the repeats: half of them lie within it.
        times: Every repeat, in seconds for one call, in the order measured.
        calls: Calls in a block.
        device: ``"cpu"`` or ``"cuda"``.
        threads: PyTorch's threads on the CPU.
        cache: ``"warm"`` or ``"cold"``.
        work: Bytes, operations and dispatches of one call; None where they were not counted.
        bound: The time that this device needs for them; None where they were not counted.
        noisy: Whether the median is not to be trusted.
        warnings: Why, and what else looks wrong, in plain words.
        name: What was measured.

    """

    median: float
    fastest: float
    slowest: float
    repeats: int
    value: Any
    iqr: float = 0.0
    times: tuple[float, ...] = ()
    calls: int = 1
    device: str = "cpu"
    threads: int = 1
    cache: str = "warm"
    work: Work | None = None
    bound: Bound | None = None
    noisy: bool = False
    warnings: tuple[str, ...] = ()
    name: str = field(default="call", compare=False)

    @property
    def trusted(self) -> float:
        """The median, or nan where it is noisy. Then nothing that is computed from it is a number either."""
        return math.nan if self.noisy else self.median

    @property
    def share(self) -> float | None:
        """The bound over the median: 1 is as fast as the device allows. None where there is no bound."""
        return None if self.bound is None else self.bound.seconds / self.median

    def rows(self) -> list[tuple[str, str]]:
        """Return the table's rows: a name and a text each."""
        blocks = f"{self.repeats:,} × {self.calls:,} call{'s' if self.calls > 1 else ''}, cache {self.cache}"
        found = [
            ("measured", f"{self.name} on {self.device}, {self.threads} thread{'s' if self.threads > 1 else ''}"),
            ("repeats", blocks),
            ("median", seconds_text(self.median)),
            ("middle half", f"{seconds_text(self.iqr)} wide, {share_text(self.iqr / self.median)} of the median"),
            ("range", f"{seconds_text(self.fastest)} to {seconds_text(self.slowest)}"),
        ]
        if self.work is not None:
            found += [
                ("must move", bytes_text(self.work.bytes)),
                ("moved", f"{bytes_text(self.work.moved)} in {counted_text(self.work.dispatches, 'dispatch', 'es')}"),
                ("computed", counted_text(self.work.operations, "operation", "s")),
            ]
        if self.bound is not None:
            found += [
                ("bound", f"{seconds_text(self.bound.seconds)}, set by its {SET_BY[self.bound.by]}"),
                ("share", f"{share_text(self.share or 0.0)} of the bound's speed"),
            ]
        return found

    def __repr__(self) -> str:
        lines = [f"{name:<12}{text}" for name, text in self.rows()]
        return "\n".join(lines + [f"warning     {text}" for text in self.warnings])

    def draw(self) -> Figure:
        """Draw every repeat as a dot, the median, the interquartile range and the bound."""
        bound = None if self.bound is None else self.bound.seconds
        return draw_times(self.times, bound, f"{self.name} on {self.device}")

    def as_dict(self) -> dict[str, Any]:
        """Return all but the value as plain data, with the circumstances: device, driver, versions, threads, date."""
        data: dict[str, Any] = {"name": self.name, **circumstances(self.device), "threads": self.threads}
        data |= {"on": self.device, "cache": self.cache, "calls": self.calls, "repeats": self.repeats}
        data |= {"median": self.median, "iqr": self.iqr, "fastest": self.fastest, "slowest": self.slowest}
        data |= {"work": self.work and asdict(self.work), "bound": self.bound and asdict(self.bound)}
        data |= {"share": self.share, "noisy": self.noisy, "warnings": list(self.warnings), "times": list(self.times)}
        return data

    def save(self, path: Path | str) -> Path:
        """Write ``as_dict()`` as JSON; return the file.

        Args:
            path: The file; folders on the way to it are made.

        Raises:
            IsADirectoryError: ``path`` is a folder.

        """
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(f"path is {path}, a folder; it must be a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        return path
