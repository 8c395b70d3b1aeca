"""Recordings: one file a machine, saved whole after each case, so that a stopped command goes on where it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lossbook import files
from lossbook.bench.plan import Case
from lossbook.bench.running import MEASURED, STATUSES, Row
from lossbook.timing.circumstances import circumstances

FORMAT = 2  # figures have rounds
READABLE = (1, FORMAT)
PASSING = "gpu"  # of the circumstances, what is another at each moment
# What every recording says of each device it was made on.
PROVENANCE = ("device", "processor", "threads", "driver", "versions", "date")


class RecordingError(Exception):
    """A file can't be gone on with; the message says why, and what to do."""


@dataclass
class Recording:
    """What was measured on one machine, and all that a reader needs to judge it.

    Args:
        kind: ``"cases"``, or ``"limits"`` for the figures of ``lossbook bench --limits``.
        commands: The commands that measured it.
        circumstances: For each device measured: its name, processor, threads, driver, versions and date.
        protocol: How each case was measured.
        rows: What became of each case, as ``Row.as_dict`` or ``Figure.as_dict`` gives it.

    """

    kind: str
    commands: list[str]
    circumstances: dict[str, dict[str, Any]]
    protocol: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def machine(self) -> str:
        """The name of the device that the recording is of: the GPU if one was measured, else the processor."""
        return str(self.circumstances.get("cuda", next(iter(self.circumstances.values())))["device"])

    def cases(self) -> list[Row]:
        """Return the rows of a recording of cases."""
        return [Row.from_dict(row) for row in self.rows]

    def put(self, row: Row) -> None:
        """Add a row, in place of what was known of its case."""
        mine = row.as_dict()
        places = [n for n, old in enumerate(self.rows) if Row.from_dict(old).case == row.case]
        if places:
            self.rows[places[0]] = mine
        else:
            self.rows.append(mine)

    def measured(self) -> set[Case]:
        """Return the cases that need not be measured again."""
        return {row.case for row in self.cases() if row.status == MEASURED}

    def provenance(self) -> str:
        """Return in a few lines what was measured on, when and by which commands."""
        lines = []
        for device, told in self.circumstances.items():
            versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items() if version)
            lines += [
                f"{device}: {told['device']}",
                f"  processor {told['processor']}, {told['threads']} thread{'s' if told['threads'] != 1 else ''}, "
                f"driver {told['driver'] or 'none'}",
                f"  {versions}; {told['date']}",
            ]
            if told.get(PASSING):
                lines.append("  " + ", ".join(f"{name} {value}" for name, value in told[PASSING].items()))
        return "\n".join([*lines, *(f"  {command}" for command in self.commands)])


def new(kind: str, command: str, devices: Iterable[str], protocol: Mapping[str, Any]) -> Recording:
    """Return an empty recording of the devices as they are now."""
    return Recording(kind, [command], {device: circumstances(device) for device in devices}, dict(protocol))


def place(out: Path, recording: Recording) -> Path:
    """Return the file of a recording: ``out`` if it is named ``….json``, else a file named after the device in it."""
    if out.suffix == ".json":
        return out
    name = re.sub(r"[^a-z0-9]+", "-", recording.machine.lower()).strip("-")
    return out / f"{name}{'-limits' if recording.kind == 'limits' else ''}.json"


def save(recording: Recording, path: Path) -> None:
    """Write a recording; the file is at no moment half of it."""
    data = {"format": FORMAT, **vars(recording)}
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Recording:
    """Read a recording.

    Raises:
        RecordingError: The file holds none.

    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") not in READABLE:
            raise ValueError("its format is another")
        recording = Recording(**data)
        if recording.kind not in ("cases", "limits") or not recording.circumstances or not recording.commands:
            raise ValueError("it does not say what it is of")
        missing = [key for told in recording.circumstances.values() for key in PROVENANCE if key not in told]
        if missing:
            raise ValueError(f"it does not say its {missing[0]}")
        if recording.kind == "cases" and any(row.status not in STATUSES for row in recording.cases()):
            raise ValueError("the status of a case is unknown")
    except (AttributeError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise RecordingError(
            f"{path} is no recording of lossbook bench ({error}); give --out another file, or --again to begin it anew"
        ) from error
    return recording


def load_all(folder: Path, kind: str = "cases") -> list[Recording]:
    """Return the recordings of one kind in a folder, in the order of their names."""
    found = [load(path) for path in sorted(folder.glob("*.json"))]
    return [recording for recording in found if recording.kind == kind]


def differences(old: Recording, now: Recording) -> list[str]:
    """Say in which circumstances two recordings differ; the date may."""
    said = []
    for device in sorted(old.circumstances.keys() & now.circumstances.keys()):
        before, after = (
            _flat({key: value for key, value in recording.circumstances[device].items() if key != PASSING})
            for recording in (old, now)
        )
        said += [
            f"{key} was {before.get(key)} and is {after.get(key)}"
            for key in sorted(before.keys() | after.keys())
            if key != "date" and before.get(key) != after.get(key)
        ]
    said += [
        f"{key} was {old.protocol.get(key)} and is {now.protocol.get(key)}"
        for key in sorted(old.protocol.keys() | now.protocol.keys())
        if old.protocol.get(key) != now.protocol.get(key)
    ]
    return list(dict.fromkeys(said))


def _flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key} ")
        else:
            flat[f"{before}{key}"] = value
    return flat


def resume(path: Path, fresh: Recording, *, again: bool) -> Recording:
    """Return the recording to go on with: the one in the file, or the fresh one.

    Raises:
        RecordingError: The file holds something else, or was made in other circumstances, and ``again`` is not given.

    """
    if again or not path.exists():
        return fresh
    old = load(path)
    if old.kind != fresh.kind:
        raise RecordingError(f"{path} holds {old.kind}, not {fresh.kind}; give --out another file, or a folder")
    if changed := differences(old, fresh):
        raise RecordingError(
            f"{path} was made in other circumstances: {'; '.join(changed)}. Give --again to begin it anew, or --out "
            "another file"
        )
    old.commands = merged(old.commands, fresh.commands)
    old.circumstances = fresh.circumstances | old.circumstances
    return old


def merged(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the entries of both without repetition, in order."""
    return list(dict.fromkeys([*first, *second]))
