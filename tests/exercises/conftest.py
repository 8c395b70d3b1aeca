"""What the tests of every lesson's exercises share: the functions of its solution, and functions under another name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import pytest
import torch

torch.set_num_threads(1)  # tests run side by side: more threads than cores only wait for each other

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def solutions() -> Callable[[str], dict[str, Callable[..., Any]]]:
    """Return what gives, for a lesson such as ``03-bce``, the functions that its solution defines, by name."""

    def defined(row: str) -> dict[str, Callable[..., Any]]:
        notebook = jupytext.read(ROOT / "solutions" / f"{row}.md", fmt="md:myst")
        names: dict[str, Any] = {"__name__": row}
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            if "### BEGIN SOLUTION" in cell.source or cell.source.startswith(("import ", "from ")):
                exec(compile(cell.source, row, "exec"), names)
        return {name: value for name, value in names.items() if getattr(value, "__module__", "") == row}

    return defined


@pytest.fixture(scope="session")
def named() -> Callable[[str, Callable[..., Any]], Callable[..., Any]]:
    """Return what gives a function the name that an exercise asks for, and leaves the function itself alone."""

    def give(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        stand_in.__name__ = name
        return stand_in

    return give
