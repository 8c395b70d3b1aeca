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
    assert data["race_threads"] == 1
    assert all(isinstance(row["noisy"], bool) and row["fastest"] <= row["seconds"] for row in data["rows"])
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


SAID = "1980 MHz, 1980 MHz, 2619 MHz, 700.00 W, 41, Enabled, [N/A]\n"
TOLD = {
    "processor clock": "1980 MHz",
    "processor clock at most": "1980 MHz",
    "memory clock": "2619 MHz",
    "power limit": "700.00 W",
    "temperature in °C": "41",
    "ECC": "Enabled",
}


@pytest.fixture
def gpu(monkeypatch):
    """A made-up GPU, and what is asked of nvidia-smi."""
    asked = []

    def run(command, **options):
        asked.append(command)
        return SimpleNamespace(stdout="570.86.10\n" if "--query-gpu=driver_version" in command else SAID)

    monkeypatch.setattr(circumstances.subprocess, "run", run)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="12-34"))
    return asked


def test_the_state_of_a_gpu_is_kept(gpu):
    told = circumstances.circumstances("cuda")
    assert told["gpu"] == TOLD
    assert gpu[-1][1] == "--id=GPU-12-34"  # its own, wherever it stands among others
    assert told["driver"] == "570.86.10"
    json.dumps(told)


@pytest.mark.parametrize("error", [FileNotFoundError(), circumstances.subprocess.TimeoutExpired("nvidia-smi", 30)])
def test_where_nobody_tells_the_state_it_is_empty(gpu, monkeypatch, error):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr(circumstances.subprocess, "run", refuse)
    assert circumstances.circumstances("cuda")["gpu"] == {}
    monkeypatch.undo()
    assert circumstances.circumstances("cpu")["gpu"] is None


def test_the_versions_of_what_makes_kernels_are_kept(monkeypatch):
    def version(package):
        if package != "triton":
            raise circumstances.PackageNotFoundError(package)
        return "3.7.0"

    monkeypatch.setattr(circumstances, "version", version)
    versions = circumstances.circumstances("cpu")["versions"]
    assert (versions["triton"], versions["liger-kernel"]) == ("3.7.0", None)
