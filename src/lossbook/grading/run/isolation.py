"""Builds the place where submissions run: a worker inside bubblewrap that sees PyTorch, and no answer."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import importlib.metadata
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

NAMESPACES, NONE = "namespaces", "none"
HERE = Path(__file__).parent
PACKAGE = HERE.parents[1]
PREFIX = "lossbook-"  # of temporary folders
# What a submission sees of the machine, where it is there.
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/alternatives")
GIVEN = ("torch", "numpy", "matplotlib", "triton", "msgpack", "pyseccomp")  # what lessons import; the worker's own two
TESTS = "torch/testing/_internal"
# PyTorch's own tests carry losses written out in Python: these files are seen empty, and so are these folders.
HIDDEN = tuple(f"{TESTS}/{name}.py" for name in ("common_nn", "common_modules", "common_methods_invocations"))
HIDDEN_FOLDERS = tuple(f"{TESTS}/{name}" for name in ("__pycache__", "opinfo", "generated"))
ENVIRONMENT = {
    "HOME": "/tmp",
    "PATH": "/usr/bin",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class IsolationError(RuntimeError):
    """Submissions can't be shut in on this machine; the message says what is missing and what to do."""


class Folder:
    """A temporary folder. It is removed even where its owner is killed: then the next one that is made removes it."""

    def __init__(self) -> None:
        remove_left()
        while True:
            self.whole = Path(tempfile.mkdtemp(prefix=PREFIX))
            self.lock = os.open(self.whole / "owned", os.O_RDWR | os.O_CREAT, 0o600)
            with contextlib.suppress(OSError):
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.path = self.whole / "folder"
                self.path.mkdir()
                return
            os.close(self.lock)  # another run took it for left, in the moment before it was locked

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.whole, ignore_errors=True)
        os.close(self.lock)


def remove_left() -> None:
    """Remove the temporary folders of this user whose owner is gone."""
    for whole in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if whole.is_symlink() or whole.stat().st_uid != os.geteuid():
                continue
            lock = os.open(whole / "owned", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(whole, ignore_errors=True)
            finally:
                os.close(lock)


def course(lessons: Path) -> list[Path]:
    """Return the folders of this course, in which answers lie or may lie."""
    roots = [root for root in (PACKAGE.parents[1], lessons.resolve().parent) if (root / "pyproject.toml").is_file()]
    return [PACKAGE, lessons, lessons.resolve().parent / "solutions", *roots]


def stage(folder: Path) -> None:
    """Put into a folder what the worker imports: the stand-ins for the course, the sandbox, and what tries a call."""
    course = folder / "lossbook"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE / "stub_packages" / "lossbook", course, ignore=ignored)
    shutil.copytree(HERE / "stub_packages" / "tqdm", folder / "tqdm", ignore=ignored)
    shutil.copytree(HERE / "sandbox", course / "grading" / "run" / "sandbox", ignore=ignored)
    (course / "checks").mkdir()
    for package in (course / "grading", course / "grading" / "run", course / "checks"):
        (package / "__init__.py").write_text('"""Stands in for the grader."""\n', encoding="utf-8")
    for name in ("trial.py", "reads.py"):
        shutil.copy(PACKAGE / "checks" / name, course / "checks" / name)
    shutil.copy(PACKAGE / "kernels.py", course / "kernels.py")  # it holds no answer, and runs a student's kernels


def distributions(names: tuple[str, ...]) -> Iterator[importlib.metadata.Distribution]:
    """Yield installed distributions and all that they require, each once."""
    waiting, seen = list(names), set()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # required on other systems, or by an extra
        yield found
        for line in found.requires or ():
            if "extra ==" not in line and (match := re.match(r"[\w.-]+", line)):
                waiting.append(match[0])


def tops(distribution: importlib.metadata.Distribution) -> dict[str, None]:
    """Return the names at the top of what a distribution installed, each once."""
    record = distribution.read_text("RECORD")
    if record is None:
        return dict.fromkeys(file.parts[0] for file in distribution.files or ())
    # Read here: of PyTorch's ten thousand files ``files`` makes a path each, which takes a second.
    return dict.fromkeys(row[0].partition("/")[0] for row in csv.reader(record.splitlines()) if row)


def packages() -> dict[str, Path]:
    """Return what is to be seen of the installed packages: names at the top, and where they lie."""
    found: dict[str, Path] = {}
    for distribution in distributions(GIVEN):
        for top in tops(distribution):
            if top not in ("", "/", "..", "__pycache__") and not top.endswith((".dist-info", ".pth")):
                found.setdefault(top, Path(str(distribution.locate_file(top))))
    return {top: path for top, path in sorted(found.items()) if path.exists()}


def foreign_packages() -> Iterator[Path]:
    """Yield the folders of installed packages that lie inside Python's own, and are to be covered."""
    base = Path(sys.base_prefix).resolve()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (
        base / "lib" / version / "site-packages",
        base / "lib" / "python3" / "dist-packages",
        base / "local" / "lib" / version / "dist-packages",
        Path("/usr/lib/python3/dist-packages"),
        Path(f"/usr/local/lib/{version}/site-packages"),
        Path(f"/usr/local/lib/{version}/dist-packages"),
    ):
        if path.is_dir():
            yield path


def python() -> str:
    """Return the interpreter itself, outside any virtual environment."""
    return str(Path(sys.executable).resolve())


def start_code(control: int, walls_up: bool, allowed: Collection[str], *paths: str) -> list[str]:
    """Return the interpreter's arguments that start a worker."""
    code = (
        f"import sys; sys.path[:0] = {list(paths)!r}; "
        f"from lossbook.grading.run.sandbox.worker import main; main({control}, {walls_up}, {sorted(allowed)!r})"
    )
    return ["-I", "-S", "-B", "-c", code]


def covers(secret: Iterable[Path], source: str, place: str, covered: list[str]) -> list[str]:
    """Return bubblewrap's words that cover what is secret in a folder that is shown.

    Args:
        secret: Folders and files.
        source: The folder, outside.
        place: Where it is seen.
        covered: Places that are covered already; those that these words cover are added.

    Raises:
        IsolationError: The folder that is shown is itself secret.

    """
    words: list[str] = []
    shown = Path(source).resolve()
    for path in sorted({item.resolve() for item in secret}):
        if path == shown:
            raise IsolationError(
                f"{path} holds what every submission sees of this machine; the course, the submissions and the grades "
                "must be in a folder of their own"
            )
        if shown not in path.parents or not path.exists():
            continue
        at = str(Path(place, path.relative_to(shown)))
        if any(Path(at).is_relative_to(other) for other in covered):
            continue
        words += ["--tmpfs", at, "--remount-ro", at] if path.is_dir() else ["--ro-bind", "/dev/null", at]
        covered.append(at)
    return words


def shut_in(folder: Path, control: int, allowed: Collection[str], secret: Collection[Path] = ()) -> list[str]:
    """Return the command that starts a worker inside bubblewrap.

    Args:
        folder: What the worker imports.
        control: The number of the open socket.
        allowed: PyTorch's losses that some submission may call.
        secret: Folders and files that no submission may read: they are covered where a folder that is shown holds them.

    Raises:
        IsolationError: There is no bubblewrap, or what is secret can't be covered.

    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise IsolationError("bubblewrap is not installed; install it with: sudo apt-get install bubblewrap")
    base = str(Path(sys.base_prefix).resolve())
    words = [bwrap, "--unshare-all", "--uid", "1000", "--gid", "1000", "--cap-add", "CAP_SYS_ADMIN"]
    words += ["--die-with-parent", "--new-session", "--hostname", "grader", "--clearenv"]
    for key, value in ENVIRONMENT.items():
        words += ["--setenv", key, value]
    covered: list[str] = []
    for place in SYSTEM:
        if os.path.exists(place):
            words += ["--ro-bind", place, place, *covers(secret, place, place, covered)]
    inside = any(Path(base).is_relative_to(place) for place in SYSTEM)
    if not inside or any(Path(base).is_relative_to(place) for place in covered):
        covered = [place for place in covered if not Path(base).is_relative_to(place)]
        words += ["--ro-bind", base, base, *covers(secret, base, base, covered)]
    for path in foreign_packages():
        if not any(path.is_relative_to(place) for place in covered):
            words += ["--tmpfs", str(path), "--remount-ro", str(path)]
    shown = packages()
    for top, path in shown.items():
        words += ["--ro-bind", str(path), f"/packages/{top}"]
        words += covers(secret, str(path), f"/packages/{top}", covered)
    for hidden in HIDDEN:
        words += ["--ro-bind-try", "/dev/null", f"/packages/{hidden}"]
    torch = shown.get("torch", Path())
    for hidden in HIDDEN_FOLDERS:
        if (torch.parent / hidden).is_dir():
            words += ["--tmpfs", f"/packages/{hidden}", "--remount-ro", f"/packages/{hidden}"]
    words += ["--ro-bind", str(folder), "/grader", "--proc", "/proc", "--tmpfs", "/tmp"]
    for device in ("null", "zero", "full", "random", "urandom"):
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    words += ["--remount-ro", "/", "--chdir", "/tmp", "--", python()]
    return words + start_code(control, True, allowed, "/grader", "/packages")


def in_the_open(folder: Path, control: int, allowed: Collection[str]) -> list[str]:
    """Return the command that starts a worker without walls: limits on time and memory alone."""
    return [python(), *start_code(control, False, allowed, str(folder), sysconfig.get_paths()["purelib"])]
