"""Kernels run in Triton's interpreter: nothing outside their arguments is touched, and Triton is left as it was."""

from __future__ import annotations

import re

import pytest
import torch

from lossbook import kernels
from lossbook.checks.trial import attempt
from lossbook.kernels import available, on_rows, tl

needs_triton = pytest.mark.skipif(kernels.interpreter is None, reason="Triton is not installed")


@on_rows("out_ptr")
def doubled(x_ptr, out_ptr, V, BLOCK: tl.constexpr):
    """Store twice what is loaded."""
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * V + at, mask=at < V)
    tl.store(out_ptr + row * V + at, x + x, mask=at < V)


@on_rows("out_ptr")
def without_a_mask(x_ptr, out_ptr, V, BLOCK: tl.constexpr):
    """Read on behind the row."""
    at = tl.program_id(0) * V + tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(x_ptr + at), mask=at < V)


@on_rows("out_ptr")
def far_away(x_ptr, out_ptr, V, BLOCK: tl.constexpr):
    """Store where nothing is."""
    tl.store(out_ptr + 10**9 + tl.arange(0, BLOCK), 1.0)


@on_rows("out_ptr")
def into_its_input(x_ptr, out_ptr, V, BLOCK: tl.constexpr):
    """Store where it should only read."""
    tl.store(x_ptr + tl.program_id(0), 1.0)


@needs_triton
def test_a_program_runs_for_each_row_and_the_arguments_stay_as_they_are() -> None:
    x, out = torch.arange(6.0).view(2, 3), torch.zeros(2, 3)
    assert torch.equal(doubled(x, out, 3, 4), 2 * x)
    assert torch.equal(doubled(x.T.contiguous().T, out, V=3, BLOCK=4), 2 * x)
    assert torch.equal(out, torch.zeros(2, 3))
    assert torch.equal(x, torch.arange(6.0).view(2, 3))


@needs_triton
@pytest.mark.parametrize(
    ("kernel", "error", "said"),
    [
        (without_a_mask, IndexError, "reads where none"),
        (far_away, IndexError, "stores where none"),
        (into_its_input, RuntimeError, "stores elsewhere than behind out_ptr"),
    ],
)
def test_what_lies_outside_is_not_touched(kernel, error, said) -> None:
    with pytest.raises(error, match=said):
        kernel(torch.zeros(2, 3), torch.zeros(2, 3), 3, 4)


@needs_triton
@pytest.mark.parametrize("kernel", [without_a_mask, far_away])
def test_an_error_names_the_line_of_the_kernel_and_none_of_triton_s(kernel) -> None:
    done = attempt(kernel, (torch.ones(2, 3), torch.zeros(2, 3), 3, 4), {})
    assert done.error.startswith("raised IndexError")
    assert re.fullmatch(r"line \d+: `.*tl\.(load|store)\(.*`", done.line)


@needs_triton
def test_what_is_to_be_stored_into_is_a_tensor() -> None:
    with pytest.raises(TypeError, match="out_ptr is None"):
        doubled(torch.zeros(2, 3), None, 3, 4)


@needs_triton
def test_triton_is_left_as_it_was_whether_a_kernel_fails_or_not() -> None:
    doubled(torch.zeros(2, 3), torch.zeros(2, 3), 3, 4)  # the interpreter adds names to modules, once
    places = (tl, tl.core, tl.math, tl.standard, tl.tensor, tl.dtype, kernels.interpreter)
    before = [dict(vars(place)) for place in places]
    doubled(torch.zeros(2, 3), torch.zeros(2, 3), 3, 4)
    with pytest.raises(IndexError):
        far_away(torch.zeros(2, 3), torch.zeros(2, 3), 3, 4)
    for place, names in zip(places, before, strict=True):
        assert {name for name, value in vars(place).items() if value is not names.get(name)} == set()


def test_where_triton_is_missing_it_is_said_in_words(monkeypatch) -> None:
    monkeypatch.setattr(kernels, "interpreter", None)
    assert "Triton is not installed here" in available()
    with pytest.raises(RuntimeError, match="a kernel can be written, but not run"):
        doubled(torch.zeros(2, 3), torch.zeros(2, 3), 3, 4)
