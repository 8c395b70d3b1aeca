"""What all tests share: kernels that start at once, and what is collected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lossbook.notebooks import kernels


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no other file where the tests that measure time are asked for, and they alone."""
    if config.option.markexpr != "wall_clock" or collection_path.suffix != ".py":
        return None
    return True if "wall_clock" not in collection_path.read_text(encoding="utf-8") else None


@pytest.fixture(scope="session")
def warm_kernels() -> Iterator[None]:
    """Fork every kernel of the tests that ask for this from one process."""
    with kernels.warm():
        yield
