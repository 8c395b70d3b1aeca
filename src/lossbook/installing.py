"""How to install the course: from its repository, or from the copy of it that is on this machine.

The course is on no package index. An index may hold another package under its
name, so nothing tells people to install it by name alone.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "lossbook"
REPOSITORY = "https://github.com/lossbook/lossbook"


def requirement(extra: str = "", source: Path | None = None) -> str:
    """Return what pip is to be given.

    Args:
        extra: One of the extras in ``pyproject.toml``, such as ``"grade"``.
        source: The folder of the course; without one, pip gets the repository.
    """
    extras = f"[{extra}]" if extra else ""
    return f"{source}{extras}" if source else f"{NAME}{extras} @ git+{REPOSITORY}"


def command(extra: str = "") -> str:
    """Return the line for a terminal that installs the course, or an extra of it, for the Python that runs now."""
    source, editable = _source()
    words = [sys.executable, "-m", "pip", "install", *(["-e"] if editable else []), requirement(extra, source)]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _source() -> tuple[Path | None, bool]:
    """Return the folder of the course that this package was installed from, and whether it runs from there."""
    here = Path(__file__).resolve().parents[2]
    if _is_course(here):
        return here, True
    folder = _installed_from()
    return (folder, False) if folder and _is_course(folder) else (None, False)


def _installed_from() -> Path | None:
    """Return the folder that pip installed from, as it noted in the package's ``direct_url.json``; None if none."""
    try:
        noted = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    address = urlsplit(str(noted.get("url", "")))
    if address.scheme != "file" or "dir_info" not in noted:
        return None
    return Path(url2pathname(address.path))


def _is_course(folder: Path) -> bool:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(project.get("project", {}).get("name") == NAME)
