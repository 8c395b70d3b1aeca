"""Build the book: every page executed, every warning an error."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

# Jupyter Book adds its own traceback to what Sphinx has said already.
JUPYTER_BOOK = """
import sys
from jupyter_book.cli.main import main
try:
    main()
except RuntimeError as error:
    sys.exit(str(error))
"""


def build(root: Path | str = ".", output: Path | str | None = None, *, clean: bool = False) -> int:
    """Build the book of a repository to ``<output>/_build/html`` and return the exit code.

    Args:
        root: The folder with ``_config.yml`` and ``_toc.yml``.
        output: The folder to put ``_build`` in; ``root`` unless given.
        clean: Remove ``_build`` first, the cache of executed pages included.

    """
    root = Path(root).resolve()
    for name in ("_config.yml", "_toc.yml"):
        if not (root / name).is_file():
            raise FileNotFoundError(f"root: {root} has no {name}, so it is not the root of a book")
    output = Path(output).resolve() if output else root
    if clean:
        shutil.rmtree(output / "_build", ignore_errors=True)
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(root), "--path-output", str(output)]
    return subprocess.run([*command, "-W", "-n", "--keep-going"], check=False).returncode


def main() -> int:
    """Build the book from the command line."""
    parser = argparse.ArgumentParser(prog="python -m lossbook.book.building", description=__doc__)
    parser.add_argument("root", nargs="?", default=".", help="the folder with _config.yml (default: this one)")
    parser.add_argument("--output", help="the folder to put _build in (default: root)")
    parser.add_argument("--clean", action="store_true", help="build from nothing")
    arguments = parser.parse_args()
    return build(arguments.root, arguments.output, clean=arguments.clean)


if __name__ == "__main__":
    sys.exit(main())
