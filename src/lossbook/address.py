"""Says where the book is published."""

from __future__ import annotations

import re
from pathlib import Path


def published(root: Path) -> str | None:
    """Return the address of the published book, as `CITATION.cff` has it, with a slash behind; None where it has none.

    Args:
        root: The folder of the course.

    """
    path = root / "CITATION.cff"
    found = re.search(r"^url: *(https://\S+)$", path.read_text(encoding="utf-8"), re.M) if path.exists() else None
    return found[1].rstrip("/") + "/" if found else None
