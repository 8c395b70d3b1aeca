"""What is said of a loss, once: its card. A chapter's cards stand in the module of its slug, in ``CARDS``.

Benchmarks, the stability tables, the check of the docstrings, the general tests
and the chapters' pages read the cards. A card is enough for all of them: a new
loss is its reference implementation and its card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

Size = tuple[int, ...]
Inputs = tuple[Tensor, ...]
Function = Callable[..., Tensor]
Options = dict[str, Any]

Number: TypeAlias = Any  # an mpmath.mpf: mpmath has no types
Numbers = Sequence[Number]
Exact = Callable[[Numbers, Numbers, Number], tuple[Number, list[Number]]]
Form = Callable[[Tensor, Tensor, float], Tensor]
Call = Callable[[Function, Tensor, Tensor, float], Tensor]

# What the size of a loss's inputs counts, by the loss's kind.
KINDS = {
    "elements": ("N",),
    "classes": ("N", "K"),
    "vocabulary": ("N", "D", "V"),
}
REDUCTIONS = ("none", "mean", "sum")

# Why ours is not right where a weight of 0 meets an infinity.
ZERO_TIMES_INFINITY = "0 · ∞, where the term is not there at all"


@dataclass(frozen=True)
class Draw:
    """Draws inputs of one size and dtype: the same numbers again for the same seed.

    Args:
        size: What ``KINDS`` names: ``(N,)``, ``(N, K)`` or ``(N, D, V)``. Where elements are counted, any shape.
        dtype: The dtype of what is drawn, but for class indices.
        generator: Where the numbers come from, on the CPU.

    """

    size: Size
    dtype: torch.dtype
    generator: torch.Generator

    @classmethod
    def seeded(cls, size: Size, dtype: torch.dtype, seed: int) -> Draw:
        """Return a draw with a generator of its own."""
        return cls(size, dtype, torch.Generator().manual_seed(seed))

    def normal(self, *size: int) -> Tensor:
        """Return normal numbers, in the draw's own size unless another is given."""
        return torch.randn(
            size or self.size, generator=self.generator, dtype=self._drawn
        ).to(self.dtype)

    def uniform(self, *size: int) -> Tensor:
        """Return numbers in [0.05, 0.95]: probabilities that are 0 or 1 in no dtype."""
        numbers = torch.rand(
            size or self.size, generator=self.generator, dtype=self._drawn
        )
        return (numbers * 0.9 + 0.05).to(self.dtype)

    def integers(self, end: int, *size: int) -> Tensor:
        """Return whole numbers from 0, below ``end``, as int64."""
        return torch.randint(
            0, end, size or self.size, generator=self.generator
        )

    def labels(self) -> Tensor:
        """Return labels, 0 or 1."""
        return self.integers(2).to(self.dtype)

    def classes(self) -> Tensor:
        """Return an index of one of K classes, the draw's last size, for each of N samples, its first."""
        return self.integers(self.size[-1], self.size[0])

    @property
    def _drawn(self) -> torch.dtype:
        """The dtype in which is drawn, before rounding: no float64 is drawn that a float32 could hold."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32


@dataclass(frozen=True)
class Trial:
    """A call to try: ours and its twin, or the definition, must give the same.

    Args:
        args: Its arguments.
        options: Its options.
        by: By how many of its arguments, from the first, the gradient is taken.
        compiled: Whether it is also tried compiled, at several sizes, which takes a second each.

    """

    args: Inputs
    options: Options = field(default_factory=dict)
    by: int = 1
    compiled: bool = False


@dataclass(frozen=True)
class Case:
    """One input that is hard for a loss.

    Args:
        label: How the input is called in the table.
        input: The input's entries, before they are rounded to a dtype.
        target: The target's: labels, counts, probabilities, one class index, or an observation and a variance.
        option: The loss's one option, such as β, as a Python float that no dtype rounds.
        misses: Where ours is not right in every dtype, its verdicts as the table marks them: for each dtype one of
            the value and one of the gradient, such as ``"∙∙ ∙∙ ∞∙ ∙∙"``.
        why: The reason for that.
        twin_differs: Whether PyTorch's verdicts may be others there; none has ever been better.

    """

    label: str
    input: tuple[float, ...]
    target: tuple[float, ...]
    option: float = 0.0
    misses: str = ""
    why: str = ""
    twin_differs: bool = False


@dataclass(frozen=True)
class Hard:
    """An entry of the stability table: a loss in its three forms, at inputs that are hard for it.

    Args:
        paper: The form on paper, as the table's heading shows it.
        exact: The exact value and its slopes by the input, of a case's input, target and option.
        cases: The inputs.
        name: The entry's name, that of the loss unless another is given.
        call: Calls the loss, given first, with a case's input, target and option. It serves all three forms.
        on_paper: The form on paper, if it is not the card's definition; then of a case's input, target and option.
        ours: The form of ``lossbook.losses`` in the same way, where there is no card.
        pytorch: PyTorch's form, where there is no card.
        bound: The size beyond which ours and PyTorch's let no value go, if they have one.

    """

    paper: str
    exact: Exact
    cases: tuple[Case, ...]
    name: str = ""
    call: Call = lambda loss, x, y, option: loss(x, y)
    on_paper: Form | None = None
    ours: Form | None = None
    pytorch: Form | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Limit:
    """How many times the bytes of its twin a loss may move, forwards and backwards together.

    Args:
        times: How many times.
        why: Why it is more than simplicity costs as a rule; empty for the rule.

    """

    times: int = 6
    why: str = ""


@dataclass(frozen=True)
class Card:
    """All that is said of one loss.

    Args:
        name: Its name in ``lossbook.losses``, such as ``mse_loss`` or ``fused.cross_entropy``.
        loss: The reference implementation.
        definition: The loss on paper, in the page's symbols and without a thought for floating point. It takes the
            arguments of ``inputs``, and options by keyword, and returns the loss of each sample or element. The
            chapter's page shows it as it stands.
        twin: PyTorch's own function, or None where PyTorch has none. Without a twin, the definition takes every
            option that ``trials`` tries, the general tests compare with it instead, and neither the table of
            stability nor the benchmark has a PyTorch.
        kind: One of ``KINDS``: what the size of its inputs counts.
        inputs: Given a draw, its usual arguments.
        trials: Given a draw, every option that is tried, with every kind of target.
        hard: Its entries in the stability table.
        symbols: The symbols of its docstring's formulas, in YAML, as a page declares its own.
        differentiated: By how many of its usual arguments, from the first, training needs a gradient.
        options: Options of the usual call, where the defaults are not meant.
        limit: What it may move.
        picks: Whether it reads one entry of each row of its input alone.
        unfused: What a fused loss is a faster form of: the same by the reference implementations.

    """

    name: str
    loss: Function
    definition: Function
    twin: Function | None
    kind: str
    inputs: Callable[[Draw], Inputs]
    trials: Callable[[Draw], Iterator[Trial]]
    hard: tuple[Hard, ...]
    symbols: str
    differentiated: int = 1
    options: Options = field(default_factory=dict)
    limit: Limit = Limit()
    picks: bool = False
    unfused: Function | None = None

    def on_paper(
        self, *args: Tensor, reduction: str = "mean", **options: Any
    ) -> Tensor:
        """Return the definition of some arguments, reduced.

        Args:
            args: The loss's arguments.
            reduction: ``"none"``, ``"mean"``, ``"sum"``, or ``"batchmean"``, which divides by the first size.
            options: Those that the definition takes.

        """
        terms = self.definition(*args, **options)
        if reduction == "none":
            return terms
        if reduction == "mean":
            return terms.mean()
        return terms.sum() / (len(args[0]) if reduction == "batchmean" else 1)

    @property
    def held_against(self) -> Function:
        """What the loss must equal: its twin, or without one its definition."""
        return self.twin or self.on_paper
