"""A recording holds the measurements and all that a reader needs to judge them."""

import json
from datetime import date
from types import SimpleNamespace

import pytest
import torch

from lossbook.cli import main
from lossbook.timing import circumstances
from lossbook.timing import record as recorder


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return recorder.record(tmp_path_factory.mktemp("timings") / "new", "lossbook record", sizes=(10, 100))


def test_the_circumstances_are_kept(path):
    data = json.loads(path.read_text())
    assert data["versions"]["torch"] == torch.__version__
    assert data["command"] == "lossbook record"
    assert date.fromisoformat(data["date"]).year >= 2024
    assert data["device"]
    assert data["threads"] == torch.get_num_threads()
    assert (data["driver"] is not None) == torch.cuda.is_available()


def test_every_measurement_is_kept(path):
    rows = [row for row in json.loads(path.read_text())["rows"] if row["device"] == "cpu"]
    assert [(row["n"], row["name"]) for row in rows] == [
        (n, name) for n in (10, 100) for name in ("Python's sum", "torch.sum")
    ]
    assert all(0 < row["seconds"] < 1 and row["error"] < 1e-5 for row in rows)


def test_the_file_is_named_after_the_device(path, monkeypatch):
    monkeypatch.setattr(recorder, "recording", lambda command, sizes: {"device": "NVIDIA H100 80GB (HBM3)"})
    assert recorder.record(path.parent, "x").name == "nvidia-h100-80gb-hbm3.json"


def test_the_driver_is_asked_for(monkeypatch):
    monkeypatch.setattr(circumstances.subprocess, "run", lambda *args, **kwargs: SimpleNamespace(stdout="570.86.10\n"))
    assert circumstances.driver() == "570.86.10"
    monkeypatch.setattr(circumstances.subprocess, "run", lambda *args, **kwargs: SimpleNamespace(stdout=""))
    assert circumstances.driver() is None


def test_the_command_writes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recorder.record, "__defaults__", ((10,),))
    assert main(["record", "--out", str(tmp_path)]) == 0
    written = capsys.readouterr().out.strip()
    assert json.loads((tmp_path / written).read_text())["rows"]


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["record", "--out", str(tmp_path / "file")]) == 2
    assert "it must be a folder" in capsys.readouterr().err
