"""Writes files so that they are at no moment half written."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

_PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part", re.DOTALL)


def whole(name: str) -> str:
    """Return the name of the file that a file's name belongs to: another where it was left half written."""
    part = _PART.fullmatch(name)
    return part[1] if part else name


def replace(path: Path, content: str | bytes) -> None:
    """Write a file beside its place, wait until the disk has it, and put it there at once.

    Whoever reads the file meets it whole, as it was or as it is, even where the machine stops in between. Where the
    writing fails, what was there stays, and nothing is left beside it.

    Args:
        path: Where the file belongs; its folder must be there.
        content: What is in it; a text is written in UTF-8.

    Raises:
        OSError: It can't be written.

    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
