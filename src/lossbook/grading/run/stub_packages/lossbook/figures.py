"""Stands in for the figures: nothing is drawn where submissions are run."""

BLUE, ORANGE, GREEN, GREY, PURPLE = "#0072b2", "#d55e00", "#009e73", "#777777", "#cc79a7"


class _Nothing:
    """Takes any call and any attribute, and does nothing."""

    def __call__(self, *args, **kwargs):
        return self

    def __getattr__(self, name):
        return self

    def __iter__(self):
        return iter((self,))

    def __getitem__(self, key):
        return self


def figure(*args, **kwargs):
    """Return a figure on which nothing is drawn, and its axes."""
    nothing = _Nothing()
    return nothing, (nothing,) * 12


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Nothing()
