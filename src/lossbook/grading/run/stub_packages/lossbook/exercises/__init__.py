"""Stands in for the exercises: nothing is checked here, because the grader checks elsewhere."""


class Report:
    """What ``check`` returns where submissions are run: it says nothing."""

    exercise, state, points, out_of, cases, failures, message, passed = None, "unknown", 0.0, 0.0, 0, (), "", False

    def hint(self):
        """Return this report: there are no hints here."""
        return self

    def __repr__(self):
        return ""


def check(function):
    """Say nothing of a function."""
    return Report()


def predict(function, **said):
    """Keep nothing: a prediction wins no points."""


def ready(*functions):
    """Leave the pictures out."""
    return False
