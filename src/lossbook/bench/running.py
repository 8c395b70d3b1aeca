"""One case, measured: a row of numbers, or the reason why there are none."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from lossbook.bench import memory
from lossbook.bench.implementations import CantRunError, implementation
from lossbook.bench.plan import BOTH, LOSSES, Case, make_inputs, shown, traffic
from lossbook.cards import Card, Function, Inputs
from lossbook.timing.measure import measure
from lossbook.timing.work import Work, work_of

MEASURED, SKIPPED, FAILED = STATUSES = ("measured", "skipped", "failed")
# These run as one kernel or out of the dispatcher's sight: there is nothing to count in them.
UNCOUNTED = ("compiled", "pytorch compiled", "fused", "liger")


@dataclass(frozen=True)
class Protocol:
    """How each case is measured.

    Args:
        budget: Seconds of measuring for each case.
        cache: ``"warm"``: a call finds in the caches what the call before it left there.
        memory: ``"kept"``: a call finds the memory that the call before it freed; ``"given back"``: it may not.

    """

    budget: float = 1.0
    cache: str = "warm"
    memory: str = "given back"


@dataclass(frozen=True)
class Row:
    """What became of a case. Times are in seconds for one call, sizes in bytes.

    Args:
        case: What was measured.
        status: One of ``STATUSES``.
        reason: Why it was skipped or failed.
        numbers: ``seconds`` (the median), ``iqr``, ``fastest``, ``slowest``, ``repeats``, ``calls`` (in a repeat),
            ``noisy``, ``warnings``; ``bytes`` that must be moved and ``bound``, the seconds that this takes,
            ``bound_by`` and ``share``, the bound's part of the median; ``moved``, ``operations`` and ``dispatches``
            where they can be counted; ``memory``; ``first``, the seconds of the first call, which compiles what is to
            be compiled; ``load``, how many programs the machine ran on average in the minute before.

    """

    case: Case
    status: str
    reason: str | None = None
    numbers: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as words and numbers, for JSON."""
        return {**asdict(self.case), "size": list(self.case.size), "status": self.status, "reason": self.reason} | (
            self.numbers
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Row:
        """Return the row that ``as_dict`` made.

        Raises:
            KeyError: A field is missing.

        """
        rest = dict(data)
        words = {key: rest.pop(key) for key in ("loss", "implementation", "device", "dtype", "passes")}
        case = Case(**words, size=tuple(rest.pop("size")))
        return cls(case, rest.pop("status"), rest.pop("reason"), rest)

    @property
    def seconds(self) -> float:
        """The median time of one call."""
        return float(self.numbers["seconds"])


def passing(function: Function, inputs: Inputs, loss: Card, passes: str) -> tuple[Callable[..., Any], Inputs]:
    """Return what is timed and its arguments: the loss alone without gradients, or the loss and its gradients."""
    if passes != BOTH:

        def forward(*args: Tensor) -> Tensor:
            with torch.no_grad():
                return function(*args)

        return forward, inputs
    count = loss.differentiated
    wanting = tuple(item.detach().requires_grad_() for item in inputs[:count]) + inputs[count:]

    def both(*args: Tensor) -> tuple[Tensor, ...]:
        value = function(*args)
        return (value.detach(), *torch.autograd.grad(value, args[:count]))

    return both, wanting


def reason_against(case: Case) -> str | None:
    """Return why a case can't be measured here, as far as that is known before it is tried."""
    if min(case.size) < 1:
        return f"the size is {shown(case.size)}; it must be whole numbers, 1 or more"
    if case.device == "cuda" and not torch.cuda.is_available():
        return "the device is cuda, and PyTorch finds no CUDA device here; it must be cpu"
    if case.device == "cuda" and case.dtype == "bfloat16" and not torch.cuda.is_bf16_supported():
        return f"the dtype is bfloat16, which {torch.cuda.get_device_name()} has no arithmetic for"
    need, there = memory.needed(case), memory.available(case.device)
    if there is not None and need > there:
        return (
            f"the size is {shown(case.size)}, which may need {need / 1e9:,.1f} GB; the {case.device} has "
            f"{there / 1e9:,.1f} GB free"
        )
    return None


def run(case: Case, protocol: Protocol) -> Row:
    """Measure a case. What stands in its way becomes the row's reason; an interrupt goes through."""
    try:
        if reason := reason_against(case):
            return Row(case, SKIPPED, reason)
        return Row(case, MEASURED, None, _measured(case, protocol))
    except CantRunError as error:
        return Row(case, SKIPPED, str(error))
    except Exception as error:
        return _told(case, error)
    finally:
        if case.device == "cuda" and torch.cuda.is_available():
            torch.cuda.empty_cache()


def _told(case: Case, error: Exception) -> Row:
    """Turn an exception into a row: skipped if the machine or PyTorch can't, failed if nobody knows why."""
    said = str(error).strip().splitlines()
    first = said[0][:300] if said else ""
    if memory.is_too_little(error):
        return Row(
            case, SKIPPED, f"the size is {shown(case.size)}, too large for the memory of the {case.device}: {first}"
        )
    if isinstance(error, RuntimeError) and "not implemented for" in first:
        return Row(case, SKIPPED, f"the dtype is {case.dtype}, which it does not support on the {case.device}: {first}")
    return Row(case, FAILED, f"{type(error).__name__}: {first}")


def _measured(case: Case, protocol: Protocol) -> dict[str, Any]:
    loss = LOSSES[case.loss]
    function = implementation(case.loss, case.implementation, case.device)
    inputs = make_inputs(loss, case.size, case.dtype, case.device)
    call, args = passing(function, inputs, loss, case.passes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's compiler about itself; what spoils a measurement is in its row
        began = time.perf_counter()
        call(*args)
        if case.device == "cuda":
            torch.cuda.synchronize()
        first = time.perf_counter() - began
        held = memory.peak(lambda: call(*args), case.device)
        work = None if case.implementation in UNCOUNTED else work_of(call, *args)
        least = _least(case, loss, inputs)
        timed = measure(
            call, *args, device=case.device, cache=protocol.cache, budget=protocol.budget, work=least or False
        )
    bound = timed.bound
    return {
        "seconds": timed.median,
        "iqr": timed.iqr,
        "fastest": timed.fastest,
        "slowest": timed.slowest,
        "repeats": timed.repeats,
        "calls": timed.calls,
        "noisy": timed.noisy,
        "warnings": list(timed.warnings),
        "bytes": traffic(loss, inputs, case.passes),
        "moved": work and work.moved,
        "operations": work and work.operations,
        "dispatches": work and work.dispatches,
        "bound": bound and bound.seconds,
        "bound_by": bound and bound.by,
        "share": timed.share,
        "memory": held,
        "first": first,
        "load": load(),
    }


def load() -> float | None:
    """Return how many programs ran or waited for a processor in the last minute, on average; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _least(case: Case, loss: Card, inputs: Inputs) -> Work | None:
    """Return the work that no implementation can do without: the traffic, and the matrix products.

    None where there is no bound to compare with: the speed of products is measured in float32 alone.
    """
    must = traffic(loss, inputs, case.passes)
    if len(case.size) < 3:
        return Work(must, must, 0, 1)
    products = 2 * case.size[0] * case.size[1] * case.size[2] * (3 if case.passes == BOTH else 1)
    return Work(must, must, products, 1) if case.dtype == "float32" else None
