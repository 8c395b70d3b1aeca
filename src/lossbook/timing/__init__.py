"""The measuring protocol: warm up, wait for the device, repeat until the times agree, compare with what is possible."""

from lossbook.timing.circumstances import devices, machine
from lossbook.timing.drawing import roofline
from lossbook.timing.measure import measure
from lossbook.timing.race import SumRace
from lossbook.timing.result import Measurement
from lossbook.timing.speed import Bound, Machine, machine_speed
from lossbook.timing.sums import race_sums
from lossbook.timing.trust import say_if_busy
from lossbook.timing.work import Work, work_of

__all__ = [
    "Bound",
    "Machine",
    "Measurement",
    "SumRace",
    "Work",
    "devices",
    "machine",
    "machine_speed",
    "measure",
    "race_sums",
    "roofline",
    "say_if_busy",
    "work_of",
]
