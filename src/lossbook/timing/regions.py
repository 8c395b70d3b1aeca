"""Which bytes of memory were touched, each counted once."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

# A region in more pieces than this counts as the whole stretch from its first byte to its last.
MOST_PIECES = 2**20


def steps(tensor: Tensor) -> list[tuple[int, int]]:
    """Return size and stride of each dimension that reaches new elements, the longest stride first.

    A broadcast dimension, of stride 0, reaches none. Dimensions that follow one another without a gap are one.
    """
    found = sorted(
        ((stride, size) for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size != 1 and stride),
        reverse=True,
    )
    merged: list[tuple[int, int]] = []
    for stride, size in found:
        if merged and merged[-1][1] == stride * size:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return merged


def size_of(tensor: Tensor) -> int:
    """Return the bytes of a tensor's distinct elements: an expanded tensor has fewer than its shape says."""
    if tensor.numel() == 0:
        return 0
    if tensor.layout != torch.strided or tensor.is_contiguous():
        return tensor.numel() * tensor.element_size()
    count = 1
    for size, _ in steps(tensor):
        count *= size
    return count * tensor.element_size()


class Regions:
    """Stretches of memory, by the storage that they lie in."""

    def __init__(self) -> None:
        self._spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._pieces: dict[int, list[tuple[np.ndarray, int]]] = defaultdict(list)
        self._picked: dict[int, int] = defaultdict(int)
        self._sizes: dict[int, int] = {}

    def add(self, key: int, tensor: Tensor, picked: int | None = None) -> None:
        """Add a tensor's region, or ``picked`` elements of it, which lie nobody knows where."""
        item, numel = tensor.element_size(), tensor.numel()
        if numel == 0:
            return
        if tensor.layout != torch.strided:
            self._picked[key] += numel * item
            self._sizes[key] = self._picked[key]
            return
        self._sizes[key] = tensor.untyped_storage().nbytes()
        start = int(tensor.storage_offset()) * item
        if picked is not None:
            self._picked[key] += min(picked * item, size_of(tensor))
        elif tensor.is_contiguous():
            self._spans[key].append((start, start + int(numel) * item))
        else:
            *outer, (size, stride) = steps(tensor) or [(1, 1)]
            if stride != 1:
                outer, size = [*outer, (size, stride)], 1
            if math.prod(count for count, _ in outer) > MOST_PIECES:
                size += sum((count - 1) * step for count, step in outer)
                outer = []
            starts = np.array([start], dtype=np.int64)
            for count, step in outer:
                starts = (starts[:, None] + np.arange(count) * step * item).ravel()
            self._pieces[key].append((starts, size * item))

    def total(self) -> int:
        """Return how many bytes were touched."""
        return sum(min(self._covered(key) + self._picked[key], size) for key, size in self._sizes.items())

    def _covered(self, key: int) -> int:
        """Return the length of the union of the stretches in one storage."""
        spans = np.array(self._spans[key], dtype=np.int64).reshape(-1, 2)
        starts = np.concatenate([spans[:, 0], *(starts for starts, _ in self._pieces[key])])
        ends = np.concatenate([spans[:, 1], *(starts + size for starts, size in self._pieces[key])])
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
        reached = np.concatenate([starts[:1], np.maximum.accumulate(ends)[:-1]])
        return int(np.maximum(ends - np.maximum(starts, reached), 0).sum())
