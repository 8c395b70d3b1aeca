"""The benchmark's script runs, and what it recorded is complete."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "grading.py"
RECORD = ROOT / "data" / "benchmarks" / "grading.json"
SECONDS = ("start_up_s", "grading_s", "report_s", "total_s", "ms_a_submission")
RATES = ("a_second", "a_second_all_included")


def complete(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the measurements of a record that has all fields and hangs together."""
    assert {"machine", "cores", "system", "versions", "date", "command", "lesson", "jobs", "measured"} <= record.keys()
    assert {"python", "lossbook", "torch", "nbgrader"} == record["versions"].keys()
    for item in record["measured"]:
        assert item["tool"] in ("lossbook", "nbgrader")
        assert all(item[key] >= 0 for key in SECONDS)
        assert all(item[key] > 0 for key in RATES)
        assert item["total_s"] >= item["grading_s"] > 0
        assert item["a_second"] == pytest.approx(item["submissions"] / item["grading_s"], rel=0.01, abs=0.001)
        assert 100 < item["peak_memory_mb"] < 20_000
        assert item["points"] > 0
        assert item["load_before"] >= 0
    return list(record["measured"])


@pytest.mark.xdist_group("release")
def test_the_script_runs(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path / "grading.json")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    measured = complete(json.loads((tmp_path / "grading.json").read_text(encoding="utf-8")))
    assert [(item["tool"], item["submissions"]) for item in measured] == [("lossbook", 2), ("lossbook", 4)]
    assert done.stdout.count("lossbook") == 2


def test_the_record_is_complete() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    measured = complete(record)
    assert [(item["tool"], item["submissions"]) for item in measured][:4] == [
        ("nbgrader", 10),
        ("lossbook", 10),
        ("lossbook", 100),
        ("lossbook", 1000),
    ]
    assert measured[0]["points"] == measured[1]["points"]
    assert set(record["times_as_fast"]) == {str(item["submissions"]) for item in measured[1:]}
    assert all(item["peak_memory_mb"] < 1000 for item in measured if item["tool"] == "lossbook")


def test_no_table_of_fields_lacks_one() -> None:
    told = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
    for key in (*SECONDS, *RATES, "peak_memory_mb", "load_before", "times_as_fast"):
        assert f"`{key}`" in told
