"""Loss Functions from First Principles: reference losses, exercises, timing and the tools that make the book.

``lossbook.losses``, ``lossbook.exercises``, ``lossbook.timing`` and
``lossbook.figures`` are imported when they are first asked for:
``import lossbook`` alone imports no PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossbook import exercises, figures, losses, timing

    __version__: str

__all__ = ["__version__", "exercises", "figures", "losses", "timing"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version  # slower than all else here

        try:
            return version("lossbook")
        except PackageNotFoundError as error:
            raise AttributeError("lossbook is not installed, so it has no version") from error
    if name in __all__:
        return importlib.import_module(f"lossbook.{name}")
    raise AttributeError(f"module 'lossbook' has no attribute {name!r}; it has {', '.join(__all__)}", name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
