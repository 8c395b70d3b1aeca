"""What an archive's table of contents says of a member, and what of it keeps the member from being read."""

from __future__ import annotations

import contextlib
import re
import stat
import zipfile
from datetime import UTC, datetime

from lossbook.grading.read.reading import LARGEST, too_large

LARGEST_INNER = 100_000_000  # bytes of an archive inside an archive: it is held in memory
MOST_RATIO = 200  # unpacked to packed: pictures and text stay below 20, zeros reach 1 000
DEEPEST = 12  # folders inside folders
LONGEST = 1_000  # letters of a member's whole name
_SMALL = 1_000_000  # bytes: below this, no ratio does harm
_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # zipfile unpacks the others without a bound on one step
_OUT = re.compile(r"^[A-Za-z]:|(?:^|/)\.\.(?:/|\Z)")  # a drive, or a step upwards
_UTF8 = 0x800  # the flag of a member whose name is in UTF-8


def is_archive(name: str) -> bool:
    """Return whether a file of this name is an archive."""
    return name.casefold().endswith(".zip")


def name_of(info: zipfile.ZipInfo) -> str:
    """Return a member's name as it was written: zipfile cuts it at a NUL, and takes a Mac's UTF-8 for DOS letters."""
    name = info.orig_filename
    if not name.isascii() and not info.flag_bits & _UTF8:
        with contextlib.suppress(ValueError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")  # as some programs for Windows write it


def parts(name: str) -> tuple[str, ...]:
    """Return the parts of a member's name, of which none leads anywhere else."""
    split = name[:LONGEST].split("/")
    return tuple("\\x2e\\x2e" if part == ".." else part for part in split if part not in ("", "."))


def special(mode: int) -> str:
    """Return what is wrong with a file whose mode says that it is no regular file."""
    return "it is a symbolic link, which is not followed" if stat.S_ISLNK(mode) else "it is not a regular file"


def wrong_name(name: str) -> str:
    """Return what is wrong with a member's name, or nothing."""
    if name.startswith("/") or _OUT.search(name):
        return "its name leads out of the archive"
    if "\0" in name:
        return "its name holds a zero byte"
    return f"its name has {len(name)} letters; at most {LONGEST} are read" if len(name) > LONGEST else ""


def damage(info: zipfile.ZipInfo) -> str:
    """Return what keeps a member from being unpacked, or nothing."""
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return special(mode)
    if info.flag_bits & 1:
        return "it is encrypted"
    if info.compress_type not in _PACKED:
        return f"it is packed in a way that is not opened (method {info.compress_type}); zip's usual one is deflate"
    return ""


def time(info: zipfile.ZipInfo) -> float:
    """Return when a member was last changed, in seconds; 0 where no such time can be. It has no time zone."""
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp() if info.date_time[0] > 1980 else 0.0
    except ValueError:
        return 0.0


def excess(info: zipfile.ZipInfo, name: tuple[str, ...]) -> str:
    """Return what about a member is more than is read, or nothing."""
    inner = is_archive(name[-1])
    if inner and info.file_size > LARGEST_INNER:
        return f"the archive is too large to be in an archive: {info.file_size / 1e6:.0f} MB"
    if not inner and info.file_size > LARGEST:
        return too_large(info.file_size)
    if info.file_size > max(_SMALL, MOST_RATIO * info.compress_size):
        return f"it unpacks to more than {MOST_RATIO} times its size, as no notebook does"
    return f"its folders are nested more than {DEEPEST} deep" if len(name) > DEEPEST + 1 else ""
