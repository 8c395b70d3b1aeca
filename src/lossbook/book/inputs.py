"""What the code of a page reads of the course, noted while it runs, so that it runs again when that has changed.

``watch`` is called in the kernel of a page, before its first cell. It writes down every file that the kernel opens
below the course or the package, a module that is imported among them, and every folder that it lists. What another
process reads is not seen: a page that starts one depends on everything.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

EVERYTHING = "*"
VERSIONS = "versions"
SHOWN = ("torch", "numpy", "matplotlib", "ipython", "ipykernel")  # packages whose version changes what a page shows
# What runs a page, in the package: no kernel opens it.
RUNS = ("book/breaking.py", "book/inputs.py", "book/sphinx_ext.py", "notebooks/kernels.py", "notebooks/warm_process.py")
# Programs that read nothing of the course.
STRANGERS = {"c++", "cc", "clang", "clang++", "g++", "gcc", "ld", "ldconfig", "lscpu", "nvidia-smi", "openssl", "uname"}
PROCESSES = {"os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.spawn", "subprocess.Popen"}
SPAWNING = {f"multiprocessing.popen_{how}" for how in ("forkserver", "spawn_posix", "spawn_win32")}
NOT_READ = {"_build", "__pycache__", "site-packages"}


class Course:
    """The files that pages may read: those of the package, and those of the course.

    A digest is taken once, and by `everything` before any page runs: what is edited meanwhile counts as changed.

    Args:
        root: The folder of the course.
        patterns: What a page that starts another process depends on there, beside the package.
        package: The folder of the package.

    """

    def __init__(self, root: Path, patterns: Iterable[str], package: Path = Path(__file__).parents[1]) -> None:
        self.root, self.package, self._patterns = root.resolve(), package.resolve(), list(patterns)
        self._digests: dict[str, str] = {}

    def code(self) -> str:
        """Return a digest of the whole package."""
        names = [self.name(path) for path in self.package.rglob("*") if path.is_file()]
        return self._of(name for name in names if name)

    def everything(self) -> str:
        """Return a digest of the package and of every file that a pattern matches."""
        found = {path for pattern in self._patterns for path in self.root.glob(pattern) if path.is_file()}
        return self.code() + self._of(name for path in found if (name := self.name(path)))

    def inputs(self, noted: Iterable[str]) -> dict[str, str]:
        """Return the digests of what was noted of a page, and of what every page depends on."""
        names = {VERSIONS, *(f"package/{name}" for name in RUNS), *noted}
        return {name: self.digest(name) for name in sorted(names)}

    def unchanged(self, inputs: Mapping[str, str] | None) -> bool:
        """Tell whether what a page depends on is as it was."""
        return bool(inputs) and all(self.digest(name) == digest for name, digest in (inputs or {}).items())

    def name(self, path: str | Path) -> str:
        """Return the name of a file or folder of the course; the empty string if it is none that a page may read."""
        for prefix, folder in (("package", self.package), ("course", self.root)):
            with contextlib.suppress(ValueError):
                parts = Path(path).relative_to(folder).parts
                hidden = any(part in NOT_READ or part.startswith(".") for part in parts)
                return "" if hidden else "/".join([prefix, *parts])
        return ""

    def digest(self, name: str) -> str:
        """Return the digest of one file, or of the names in a folder; the empty string if it is not there."""
        if name not in self._digests:
            self._digests[name] = self._digest(name)
        return self._digests[name]

    def _digest(self, name: str) -> str:
        if name == EVERYTHING:
            return self.everything()
        if name == VERSIONS:
            return _short("\n".join([platform.python_version(), *map(version, SHOWN)]).encode())
        prefix, _, rest = name.partition("/")
        path = (self.package if prefix == "package" else self.root) / rest
        with contextlib.suppress(OSError):
            if not path.is_dir():
                return _short(path.read_bytes())
            return _short("\n".join(sorted(filter(None, map(self.name, path.iterdir())))).encode())
        return ""

    def _of(self, names: Iterable[str]) -> str:
        return _short("".join(f"{name} {self.digest(name)}\n" for name in sorted(names)).encode())

    def kernel_argument(self, told: Path) -> str:
        """Return the argument with which a kernel writes into the file ``told`` what it reads."""
        call = f"watch({str(self.root)!r}, {str(self.package)!r}, {str(told)!r})"
        return f"--IPKernelApp.exec_lines=__import__({__name__!r}, fromlist=['watch']).{call}"


def noted(told: Path) -> set[str]:
    """Return what a kernel wrote down; everything if it wrote nothing."""
    try:
        return {json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()}
    except (OSError, ValueError):
        return {EVERYTHING}


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def watch(root: str, package: str, told: str) -> None:
    """Write into the file ``told`` what this process and its forks read of the course from now on."""
    watcher = _Watcher(Course(Path(root), [], Path(package)), told)
    for module in list(sys.modules.values()):
        if os.path.isabs(file := getattr(module, "__file__", None) or ""):  # PyTorch has modules whose file is no file
            watcher.note(file)
    sys.addaudithook(watcher.hear)


class _Watcher:
    """Hears Python's audit events, and writes each name down once."""

    def __init__(self, course: Course, told: str) -> None:
        self._course, self._told, self._known = course, told, set[str]()
        self._folders = (str(course.root) + os.sep, str(course.package) + os.sep)
        self._write(f"package/{RUNS[0]}")  # a file that is there was begun

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what is opened, listed or started. What goes wrong here must not reach the page."""
        try:
            if event == "open":
                if (arguments[2] or 0) & os.O_ACCMODE != os.O_WRONLY:
                    self.note(arguments[0])
            elif event in ("os.listdir", "os.scandir"):
                # To find a module or a package's metadata all folders are listed; what is there is opened then.
                if "importlib" not in sys._getframe(1).f_code.co_filename:
                    self.note(arguments[0] or ".")
            elif _starts(event, arguments) and not _stranger(event, arguments):
                self._write(EVERYTHING)
        except Exception:
            self._write(EVERYTHING)

    def note(self, path: Any) -> None:
        """Write down a file or folder of the course."""
        if isinstance(path, int):  # a file that is open already
            return
        text = os.path.abspath(os.fsdecode(path))
        if not (text + os.sep).startswith(self._folders):
            return
        if text.endswith(".pyc"):
            text = importlib.util.source_from_cache(text)
        if name := self._course.name(text):
            self._write(name)

    def _write(self, name: str) -> None:
        if name in self._known:
            return
        self._known.add(name)
        file = os.open(self._told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, json.dumps(name).encode() + b"\n")
        os.close(file)


def _starts(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether another process is started, or all is there to start one that inherits nothing."""
    return event in PROCESSES or (event == "import" and arguments[0] in SPAWNING)


def _stranger(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether a program that is started reads nothing of the course."""
    if event != "subprocess.Popen":
        return False
    words = [os.fsdecode(word) for word in arguments[1]] if isinstance(arguments[1], list | tuple) else []
    # PyTorch's compiler has helpers in Python, and tries in another process whether what it compiled can be loaded.
    own = ("/torch/_inductor/", "/torchinductor_")
    return bool(words) and (
        Path(words[0]).name in STRANGERS or any(part in word for part in own for word in words[1:3])
    )
