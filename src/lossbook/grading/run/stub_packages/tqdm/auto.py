"""Stands in for tqdm.auto."""

from tqdm import tqdm, trange  # noqa: F401
