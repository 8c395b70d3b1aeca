"""Counts how often a function fetches the numbers that it was given, and the largest tensor that it makes.

This file knows no right answer and imports nothing of the course: it stands beside ``trial`` where students' code runs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor
from torch.utils._pytree import tree_leaves

COPIES = frozenset(["_to_copy", "clone", "contiguous"])  # what is read of a copy is read of the original
PICKS = frozenset(
    ["gather", "index", "index_select", "take", "embedding", "masked_select"]
)  # these read what they pick
OUTSIDE = frozenset(["numpy", "__array__", "__dlpack__"])  # roads out of PyTorch, behind which nothing is seen


class Reads:
    """Watches the numbers of some arguments, as if they came from a slow memory through a small cache.

    A number is fetched when an operation needs it and it is not in the cache, which keeps those used last. So the
    operations that work on one piece, one after the other, fetch it once, and a second pass fetches everything again.

    Args:
        given: The arguments.
        cache: How many numbers the cache holds.

    """

    def __init__(self, given: Sequence[Any], cache: int) -> None:
        self.capacity = cache
        self.cache: OrderedDict[int, None] = OrderedDict()
        self.fetched = [0] * len(given)
        self.largest = 0
        self.left = False  # whether the function went on outside PyTorch
        self._owner: list[int] = []
        self._known: dict[int, tuple[Any, Any]] = {}  # by address: which number each place of a storage holds
        for number, tensor in enumerate(given):
            if isinstance(tensor, Tensor) and tensor.numel():
                first = len(self._owner)
                count = tensor.untyped_storage().nbytes() // tensor.itemsize
                self._owner += [number] * count
                self._note(tensor, numpy.arange(first, first + count))

    def _note(self, tensor: Tensor, names: Any) -> None:
        storage = tensor.untyped_storage()  # kept, so that its address is given to no other
        self._known[storage.data_ptr()] = storage, names

    def names(self, tensor: Tensor) -> Any:
        """Return which numbers of the arguments a tensor holds, as an array of its shape; None where it holds none."""
        if not tensor.numel() or tensor.layout is not torch.strided:
            return None
        _, names = self._known.get(tensor.untyped_storage().data_ptr(), (None, None))
        if names is None:
            return None
        steps = [names.itemsize * step for step in tensor.stride()]
        return as_strided(names[tensor.storage_offset() :], tuple(tensor.shape), steps)

    def fetch(self, names: Sequence[int]) -> None:
        """Note that an operation needs these numbers."""
        for name in names:
            if name < 0:
                continue
            if name not in self.cache:
                self.fetched[self._owner[name]] += 1
                self.cache[name] = None
            self.cache.move_to_end(name)
        while len(self.cache) > self.capacity:
            self.cache.popitem(last=False)

    def operation(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Note an operation that was dispatched."""
        with torch._C.DisableTorchFunction():  # what is asked here is no step of the function's
            self._operation(func, args, kwargs, result)

    def _operation(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        name = func.overloadpacket.__name__
        given = [item for item in tree_leaves((args, kwargs)) if isinstance(item, Tensor)]
        made = [item for item in tree_leaves(result) if isinstance(item, Tensor)]
        places = {item.untyped_storage().data_ptr() for item in given}
        new = [item for item in made if item.untyped_storage().data_ptr() not in places]
        if not new and made and not func._schema.is_mutable:
            return  # a view: it reads nothing yet
        if name in COPIES and new and (names := self.names(given[0])) is not None:
            copy = new[0]
            held = numpy.full(copy.untyped_storage().nbytes() // copy.itemsize, -1)
            steps = [held.itemsize * step for step in copy.stride()]
            as_strided(held[copy.storage_offset() :], tuple(copy.shape), steps)[...] = names
            self._note(copy, held)
            return
        needed = [self.names(item) for item in given]
        if name in PICKS and needed and needed[0] is not None:
            table = torch.from_numpy(numpy.ascontiguousarray(needed[0]))
            needed[0] = func(table, *args[1:], **(kwargs or {})).numpy()
        if name.startswith("new_") or name.endswith("_like"):
            needed = []  # of their argument these take the shape alone
        self.fetch([int(item) for names in needed if names is not None for item in names.ravel()])
        self.largest = max([self.largest, *(item.numel() for item in new)])

    def function(self, name: str, args: Any, result: Any) -> Any:
        """Note a function that was called by its Python name, and return its result."""
        if name in OUTSIDE:
            self.left = True
        if name == "tolist":
            with torch._C.DisableTorchFunction():
                names = self.names(args[0])
            if names is not None and names.ndim:
                return Numbers.of(result, names, self)
        return result


class Numbers(list[Any]):
    """A list of the numbers of an argument, which notes when they are read."""

    names: Any
    reads: Reads

    @classmethod
    def of(cls, values: Sequence[Any], names: Any, reads: Reads) -> Numbers:
        """Return the list that a tensor's ``tolist`` gave, watched."""
        rows = names.ndim > 1
        found = cls([cls.of(value, name, reads) for value, name in zip(values, names, strict=True)] if rows else values)
        found.names, found.reads = names, reads
        return found

    def _read(self, index: int) -> None:
        if self.names.ndim == 1:
            self.reads.fetch([int(self.names[index])])

    def __iter__(self) -> Iterator[Any]:
        for index, value in enumerate(super().__iter__()):
            self._read(index)
            yield value

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        if isinstance(index, slice):
            return self.of(value, self.names[index], self.reads) if self.names.ndim == 1 else value
        self._read(index)
        return value
