"""Stands in for the timing: nothing is timed where submissions are run."""

from lossbook.figures import _Nothing


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Nothing()
