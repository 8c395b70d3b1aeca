"""What was found on a page is kept until the page, the checker or the code that it is held against changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lossbook import files
from lossbook.book.verify import DOCSTRINGS, Report, verify_all
from lossbook.equations.pages import Page

PACKAGE = Path(__file__).parents[1]
# Of the package: what a report depends on beside the page.
READ = ("equations/*", "losses/*.py", "cards/*.py", "book/docstrings.py", "book/verify.py")
USED = ("torch", "mpmath", "lark", "numpy")


def reports(found: Sequence[Path]) -> list[Report]:
    """Return the reports on pages of one book, in their order: kept ones, and those that had to be made.

    They are kept in ``_build/equations`` of the book, each in a file named after all that it depends on.

    Args:
        found: The pages, as `lossbook.book.verify.paths` gives them.

    """
    kept = {path: _load(_place(path)) for path in found}
    missing = [path for path in found if kept[path] is None]
    for path, report in zip(missing, verify_all(missing), strict=True):
        kept[path] = report
        _save(report, _place(path))
    return [report for report in kept.values() if report is not None]


def fingerprint(pages: Sequence[Page]) -> str:
    """Return a digest of all that the verdicts on some pages' displays depend on; prose is not among it."""
    digest = hashlib.sha256(_code().encode())
    for page in pages:
        told = [
            [page.name],
            *([d.label, d.role, d.text] for d in page.displays),
            *([r.symbol, r.fields] for r in page.rows),
        ]
        digest.update(json.dumps(told, default=str).encode())
    return digest.hexdigest()[:16]


def _place(path: Path) -> Path:
    digest = hashlib.sha256(_code().encode())
    if path.name != DOCSTRINGS:
        digest.update(path.read_bytes())
    return path.resolve().parents[1 if path.name != DOCSTRINGS else 0] / _name(path, digest.hexdigest())


def _name(path: Path, key: str) -> str:
    return os.path.join("_build", "equations", f"{path.stem}-{key[:16]}.pickle")


@cache
def _code() -> str:
    """Return a digest of the checker, of the losses, and of the versions of what they use."""
    digest = hashlib.sha256("".join(f"{name} {version(name).partition('+')[0]}\n" for name in USED).encode())
    for file in sorted(file for pattern in READ for file in PACKAGE.glob(pattern) if file.is_file()):
        digest.update(f"\n{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _load(file: Path) -> Report | None:
    try:
        report = pickle.loads(file.read_bytes())  # made by `_save`, in the reader's own folder
    except Exception:  # what a damaged file raises is not told apart
        return None
    return report if isinstance(report, Report) else None


def _save(report: Report, file: Path) -> None:
    """Keep a report, and drop older ones of its page. Where nothing can be written, nothing is kept."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for old in file.parent.glob(f"{file.name.rpartition('-')[0]}-*.pickle"):
            old.unlink(missing_ok=True)
        files.replace(file, pickle.dumps(report))
