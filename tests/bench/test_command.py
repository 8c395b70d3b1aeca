"""The command: what it measures, keeps, refuses and goes on with."""

import json
import sys

import pytest
import torch

from lossbook import cli, installing
from lossbook.bench import command, limits, recordings
from lossbook.bench.command import main
from lossbook.bench.limits import AT_MOST, Figure, Task
from lossbook.bench.running import FAILED, SKIPPED


@pytest.fixture
def pretended(monkeypatch, made_up):
    """Measure nothing: every case is done at once, and remembered."""
    seen = []

    def run(case, protocol):
        seen.append(case)
        return made_up(case)

    monkeypatch.setattr(command, "run", run)
    return seen


def recorded(words):
    (path,) = words.out.glob("*.json")
    return recordings.load(path)


def test_what_is_asked_for_is_measured_and_kept(words, told, capsys, monkeypatch):
    monkeypatch.setitem(command.BUDGETS, True, 0.02)
    asked = words("mse_loss", "nll_loss", implementation=["reference", "pytorch"], size=["50", "6x5"])
    assert main(asked, told.append) == 0
    rows = recorded(asked).cases()
    assert len(rows) == 8
    assert {row.status for row in rows} == {"measured"}
    said = capsys.readouterr().out
    assert "8 measured: " in said
    assert "mse_loss" in said
    assert told == []
    assert recorded(asked).commands == [
        f"lossbook bench mse_loss nll_loss --implementation reference pytorch --size 50 6x5 --quick --out {asked.out}"
    ]


def test_a_stopped_command_goes_on_where_it_was(words, told, monkeypatch, made_up, pretended):
    asked = words(implementation=["pytorch"])

    def stopped(case, protocol):
        if len(pretended) == 5:
            raise KeyboardInterrupt
        pretended.append(case)
        return made_up(case)

    whole = command.run
    monkeypatch.setattr(command, "run", stopped)
    assert main(asked, told.append) == 130
    assert len(recorded(asked).rows) == 5
    assert told[-1].startswith("stopped: 5 of 24 cases are kept in ")
    assert told[-1].endswith("the same command goes on from there")
    monkeypatch.setattr(command, "run", whole)
    assert main(asked, told.append) == 0
    assert len(pretended) == len(set(pretended)) == 24
    assert told[-1].startswith("5 of 24 cases are in ")
    assert len(recorded(asked).commands) == 1


def test_again_measures_anew(words, told, pretended):
    for again in (False, False, True):
        assert main(words("mse_loss", implementation=["pytorch"], again=again), told.append) == 0
    assert len(pretended) == 4


def test_other_circumstances_are_refused(words, told, pretended, monkeypatch):
    assert main(words("mse_loss"), told.append) == 0
    assert main(words("mse_loss", quick=False), told.append) == 2
    assert "was made in other circumstances: budget was 0.4 and is 2.0. Give --again" in told[-1]


@pytest.mark.parametrize(
    ("losses", "other", "said"),
    [
        (["hinge"], {}, "LOSS is 'hinge'; it must be one of"),
        ([], {"device": ["tpu"]}, "--device is 'tpu'; it must be one of cpu, cuda"),
        ([], {"implementation": ["x"]}, "--implementation is 'x'; it must be one of"),
        ([], {"dtype": ["int8"]}, "--dtype is 'int8'; it must be one of"),
        ([], {"size": ["big"]}, "--size is 'big'; it must be whole numbers, 1 or more"),
        (["kl_div"], {"size": ["7"]}, "--size is 7; one must have the form NxK for kl_div"),
        ([], {"limits": True, "size": ["7"]}, "--size is given with --limits"),
        (["kl_div"], {"limits": True}, "LOSS is given with --limits"),
    ],
)
def test_a_wrong_command_measures_nothing(losses, other, said, words, told, pretended):
    assert main(words(*losses, **other), told.append) == 2
    assert told[0].startswith(said)
    assert pretended == []


def test_a_file_in_the_place_of_a_folder(words, told, tmp_path, pretended):
    (tmp_path / "file").write_text("")
    (tmp_path / "x.json").mkdir()
    assert main(words(out=tmp_path / "file"), told.append) == 2
    assert main(words(draw=tmp_path / "file"), told.append) == 2
    assert main(words(out=tmp_path / "x.json"), told.append) == 2
    assert [line.split(" ")[0] for line in told] == ["--out", "--draw", "--out"]
    assert all("must be" in line for line in told)


def test_a_file_that_is_no_recording_is_left_alone(words, told, tmp_path, pretended):
    path = tmp_path / "mine.json"
    path.write_text("[1, 2]")
    assert main(words(out=path), told.append) == 2
    assert "is no recording of lossbook bench" in told[0]
    assert path.read_text() == "[1, 2]"


def test_a_size_of_zero_is_skipped_and_the_rest_goes_on(words, told, monkeypatch):
    monkeypatch.setitem(command.BUDGETS, True, 0.02)
    asked = words("mse_loss", implementation=["pytorch"], size=["0", "-4", "10"])
    assert main(asked, told.append) == 0
    assert [(row.case.size[0], row.status) for row in recorded(asked).cases()] == [
        (0, SKIPPED),
        (0, SKIPPED),
        (-4, SKIPPED),
        (-4, SKIPPED),
        (10, "measured"),
        (10, "measured"),
    ]
    assert [line.rpartition(": ")[2] for line in told] == [
        "the size is 0; it must be whole numbers, 1 or more",
        "the size is -4; it must be whole numbers, 1 or more",
    ]


def test_an_absent_device_is_skipped_and_the_rest_goes_on(words, told, monkeypatch):
    monkeypatch.setitem(command.BUDGETS, True, 0.02)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = words("mse_loss", implementation=["pytorch"], size=["10"], device=["cuda", "cpu"], dtype=["float32"])
    assert main(asked, told.append) == 0
    assert [row.status for row in recorded(asked).cases()] == [SKIPPED] * 2 + ["measured"] * 2
    assert "PyTorch finds no CUDA device here" in told[0]


def test_nothing_that_could_be_measured_is_a_wrong_command(words, told, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(words("mse_loss", device=["cuda"]), told.append) == 2
    assert main(words("mse_loss", size=["0"], again=True), told.append) == 2


def test_a_failure_is_told_and_the_rest_goes_on(words, told, monkeypatch, made_up, capsys):
    def run(case, protocol):
        return made_up(case, FAILED, "Oh: no") if case.implementation == "reference" else made_up(case)

    monkeypatch.setattr(command, "run", run)
    assert main(words("mse_loss", implementation=["reference", "pytorch"]), told.append) == 1
    assert told == ["failed: mse_loss, reference, cpu, 1000000, float32, forward: Oh: no"]
    assert "2 measured, 2 failed" in capsys.readouterr().out


def test_a_full_disk_is_told(words, told, pretended, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordings, "save", full)
    assert main(words("mse_loss"), told.append) == 1
    assert told == ["[Errno 28] No space left on device; what was measured before is kept"]


def test_pictures(words, told, pretended, tmp_path, capsys):
    assert main(words("mse_loss", draw=tmp_path / "pictures"), told.append) == 0
    assert (tmp_path / "pictures" / "cpu-float32-times.png").is_file()
    assert "cpu-float32-memory.png" in capsys.readouterr().out


def a_task(name, value, seen):
    def run(budget):
        seen.append(name)
        if value == "stop":
            raise KeyboardInterrupt
        return [(value, {})]

    return Task(name, (Figure(name, "cpu", AT_MOST, 1.0),), run)


def test_the_figures_are_kept_and_gone_on_with(words, told, monkeypatch, capsys):
    seen = []
    tasks = [a_task("a", 0.5, seen), a_task("b", "stop", seen), a_task("c", 2.0, seen)]
    monkeypatch.setattr(limits, "tasks", lambda: tasks)
    asked = words(limits=True)
    assert main(asked, told.append) == 130
    assert told[-1].startswith("stopped: 1 figures are kept in ")
    tasks[1] = a_task("b", "not measured here: no reason", seen)
    assert main(asked, told.append) == 0
    assert seen == ["a", "b", "b", "c"]
    assert [row["passed"] for row in recorded(asked).rows] == [True, None, False]
    said = capsys.readouterr().out
    assert "not measured here: no reason" in said
    assert recorded(asked).kind == "limits"


def test_a_figure_that_failed_is_told(words, told, monkeypatch):
    def broken(budget):
        raise ZeroDivisionError("oh")

    task = Task("a", (Figure("a", "cpu", AT_MOST, 1.0),), broken)
    monkeypatch.setattr(limits, "tasks", lambda: [task])
    assert main(words(limits=True), told.append) == 1


def test_from_the_command_line(tmp_path, pretended, capfd):
    """Without the bar, as no terminal is there; into the file that was named."""
    path = tmp_path / "mine.json"
    words = ["bench", "l1_loss", "--implementation", "pytorch", "--size", "20", "-1", "--dtype", "float32", "float64"]
    assert cli.main([*words, "--device", "cpu", "--quick", "--out", str(path)]) == 0
    assert len(pretended) == len(json.loads(path.read_text(encoding="utf-8"))["rows"]) == 8
    assert {case.size for case in pretended} == {(20,), (-1,)}
    said = capfd.readouterr()
    assert f"8 measured: {path}" in said.out
    assert said.err == ""
    assert cli.main(["bench", "--size", "big", "--out", str(path)]) == 2
    assert capfd.readouterr().err.startswith("lossbook: --size is 'big'; it must be whole numbers")


def test_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "lossbook.bench.command", raising=False)
    monkeypatch.delattr("lossbook.bench.command", raising=False)
    assert cli.main(["bench", "mse_loss"]) == 2
    assert f"tqdm is not installed; install it with: {installing.command('bench')}\n" in capsys.readouterr().err
