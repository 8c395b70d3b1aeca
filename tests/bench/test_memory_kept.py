"""Freed memory is kept where the C library can be told to, and it is said where not."""

import ctypes
import platform
import subprocess
import sys

import pytest

from lossbook.bench.memory import keep_freed

FAULTS = """
import resource, torch
from lossbook.bench.memory import keep_freed
if {kept}:
    assert keep_freed()
for _ in range(12):  # the first few may each find another place
    torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_pages_are_not_fetched_again():
    faults = {}
    for kept in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, text=True, check=True
        )
        faults[kept] = int(done.stdout)
    assert faults[True] < faults[False] / 5


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert keep_freed() is False
