"""Stands in for tqdm.std."""

from tqdm import tqdm, trange  # noqa: F401
