"""What all tests share: kernels that start at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lossbook.notebooks import kernels


@pytest.fixture(scope="session")
def warm_kernels() -> Iterator[None]:
    """Fork every kernel of the tests that ask for this from one process."""
    with kernels.warm():
        yield
