"""Small recordings to test with, measured or made up."""

import argparse

import pytest

from lossbook.bench import running
from lossbook.bench.plan import Case
from lossbook.bench.running import MEASURED, Protocol, Row

NUMBERS = {
    "seconds": 2e-3,
    "iqr": 1e-5,
    "fastest": 1.9e-3,
    "slowest": 2.5e-3,
    "repeats": 7,
    "calls": 3,
    "noisy": False,
    "warnings": [],
    "bytes": 8000,
    "moved": 16000,
    "operations": 4000,
    "dispatches": 3,
    "bound": 1e-3,
    "bound_by": "memory",
    "share": 0.5,
    "memory": 4000,
    "first": 0.01,
    "load": 0.1,
}


@pytest.fixture
def made_up():
    """Return a function that makes a row of a case, with other numbers where they are given."""

    def row(case, status=MEASURED, reason=None, **numbers):
        return Row(case, status, reason, {**NUMBERS, **numbers} if status == MEASURED else {})

    return row


@pytest.fixture
def case():
    """Return a function that makes a case, other than the usual one where that is asked for."""

    def make(**other):
        usual = {"loss": "mse_loss", "implementation": "pytorch", "device": "cpu", "size": (9,), "dtype": "float32"}
        return Case(**{**usual, "passes": "forward", **other})

    return make


@pytest.fixture
def quickly(case):
    """Return a function that measures a case for real, for a moment."""
    return lambda **other: running.run(case(**other), Protocol(budget=0.02))


@pytest.fixture
def told():
    """Collect what a command complains of."""
    return []


@pytest.fixture
def words(tmp_path):
    """Return a function that makes the arguments of a command."""

    def make(*losses, **other):
        usual = {"implementation": [], "device": [], "size": [], "dtype": [], "draw": None}
        flags = {"again": False, "quick": True, "limits": False, "out": tmp_path / "out"}
        return argparse.Namespace(**{**usual, **flags, **other}, losses=list(losses))

    return make
