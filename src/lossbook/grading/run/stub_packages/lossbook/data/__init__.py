"""Stands in for the course's data: an answer works on what it is given, and what is held out cannot be looked up."""

_MESSAGE = "the course's data are not there when a submission is graded: work on what your function is given"


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def absent(*args, **kwargs):
        raise RuntimeError(_MESSAGE)

    return absent
