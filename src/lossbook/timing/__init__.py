"""The measuring protocol: warm up, wait for the device, repeat, take the median."""

from lossbook.timing.measure import Measurement, devices, machine, measure
from lossbook.timing.sums import SumRace, race_sums

__all__ = ["Measurement", "SumRace", "devices", "machine", "measure", "race_sums"]
