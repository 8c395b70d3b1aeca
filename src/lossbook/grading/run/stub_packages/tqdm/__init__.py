"""Stands in for tqdm where submissions are run: nothing is drawn, and the items go by."""


class tqdm:  # noqa: N801
    """Takes what the real one takes, and yields the items of what it is given."""

    def __init__(self, iterable=None, *args, total=None, **options):
        self.iterable, self.total, self.n, self.disable = iterable, total, 0, True

    def __iter__(self):
        return iter(self.iterable)

    def __len__(self):
        return self.total if self.iterable is None else len(self.iterable)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def update(self, n=1):
        """Note that some more is done."""
        self.n += n

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing

    write = staticmethod(print)


def _nothing(*args, **options):
    return None


def trange(*args, **options):
    """Return the numbers of a range, as ``tqdm(range(...))`` does."""
    return tqdm(range(*args), **options)


tqdm_notebook, tnrange = tqdm, trange
