"""What was found is kept until the page, the checker or the code that it is held against changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from lossbook import files
from lossbook.book.verify import DOCSTRINGS, Report, verify_all
from lossbook.equations.pages import Page

PACKAGE = Path(__file__).parents[1]
# Of the package: what a report depends on beside the page.
READ = ("equations/*", "losses/*.py", "cards/*.py", "book/docstrings.py", "book/verify.py")
USED = ("torch", "mpmath", "lark", "numpy")
Kept = TypeVar("Kept")


def reports(found: Sequence[Path]) -> list[Report]:
    """Return the reports on pages of one book, in their order: kept ones, and those that had to be made.

    They are kept in ``_build/equations`` of the book, each in a file named after all that it depends on.

    Args:
        found: The pages, as `lossbook.book.verify.paths` gives them.

    """
    kept = {path: load(_place(path), Report) for path in found}
    missing = [path for path in found if kept[path] is None]
    for path, report in zip(missing, verify_all(missing), strict=True):
        kept[path] = report
        _keep(report, _place(path))
    return [report for report in kept.values() if report is not None]


def fingerprint(pages: Sequence[Page]) -> str:
    """Return a digest of all that the verdicts on some pages' displays depend on; prose is not among it."""
    return digest(
        [
            [
                [page.name],
                *([d.label, d.role, d.text] for d in page.displays),
                *([r.symbol, r.fields] for r in page.rows),
            ]
            for page in pages
        ]
    )


def digest(told: object) -> str:
    """Return a digest of plain data, of the checker and of what it holds formulas against."""
    return hashlib.sha256(_code().encode() + json.dumps(told, default=str).encode()).hexdigest()[:16]


def folder(path: Path) -> Path:
    """Return the folder of the course that a page is of, or that stands for its docstrings."""
    return path.resolve().parents[1 if path.name != DOCSTRINGS else 0]


def _place(path: Path) -> Path:
    text = path.read_bytes().decode("latin-1") if path.name != DOCSTRINGS else ""  # as it is, UTF-8 or not
    return folder(path) / "_build" / "equations" / f"{path.stem}-{digest(text)}.pickle"


@cache
def _code() -> str:
    """Return a digest of the checker, of the losses, and of the versions of what they use."""
    found = hashlib.sha256("".join(f"{name} {version(name).partition('+')[0]}\n" for name in USED).encode())
    for file in sorted(file for pattern in READ for file in PACKAGE.glob(pattern) if file.is_file()):
        found.update(f"\n{file.name}\n".encode() + file.read_bytes())
    return found.hexdigest()


def load(file: Path, kind: type[Kept]) -> Kept | None:
    """Return what was kept in a file; None if there is none, or if it is damaged or something else."""
    try:
        kept = pickle.loads(file.read_bytes())  # made by `save`, in the reader's own folder
    except Exception:  # what a damaged file raises is not told apart
        return None
    return kept if isinstance(kept, kind) else None


def save(kept: object, file: Path) -> None:
    """Keep something in a file. Where nothing can be written, nothing is kept."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, pickle.dumps(kept))


def _keep(report: Report, file: Path) -> None:
    """Keep a report, and drop older ones of its page."""
    with contextlib.suppress(OSError):
        for old in file.parent.glob(f"{file.name.rpartition('-')[0]}-*.pickle"):
            old.unlink(missing_ok=True)
    save(report, file)
