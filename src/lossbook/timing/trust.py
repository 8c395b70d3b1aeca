"""Which times of a race are to be trusted: a rule that reads no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lossbook.timing.result import Measurement
from lossbook.timing.texts import quartiles

NOISY = "~"  # stands before a time that is not to be trusted
AGREE = 1.5  # times as long as another that a measurement may take
FALL = 2.0  # times the time of a larger size that a smaller one may take


def say_if_busy(*seconds: float) -> None:
    """Print what to do where a time is nan; print nothing where all are numbers.

    Args:
        *seconds: What ``Measurement.trusted`` gave, or what was computed from it.

    """
    if any(math.isnan(each) for each in seconds):
        print("nan stands where this machine was too busy to measure. Run the cell again.")


@dataclass
class Tries:
    """What one contestant took at one size, measured twice or, while that is noisy, several times.

    Args:
        done: The measurements, in the order made.

    """

    done: list[Measurement] = field(default_factory=list)

    @property
    def best(self) -> Measurement:
        """The measurement that counts: the fastest of the calm ones, or of all where none is calm.

        Other programs can only slow a call down.
        """
        return min(self.done, key=lambda each: (each.noisy, each.median))

    @property
    def fastest(self) -> float:
        """The fastest repeat of all, in seconds."""
        return min(each.fastest for each in self.done)

    @property
    def noisy(self) -> bool:
        """Whether the time is not to be trusted: no two calm measurements tell it, or many calls elsewhere were faster.

        One alone may be calm because everything was slow while it was made.
        """
        if len(self.done) < 2:
            return True
        most = AGREE * self.best.median
        agreeing = sum(not each.noisy and each.median <= most for each in self.done)
        quick = min(quartiles(each.times or (each.fastest,))[0] for each in self.done)
        return agreeing < 2 or self.best.median > AGREE * quick


def falling(seconds: Mapping[int, float]) -> set[int]:
    """Return the sizes whose time can't be right: a larger size took far less.

    The smaller one is doubted, and not the larger, because what disturbs a call makes it slower and never faster.

    Args:
        seconds: The time for each size.

    """
    return {n for n, mine in seconds.items() if any(mine > FALL * seconds[m] for m in seconds if m > n)}
