"""Recordings are whole at every moment, and are gone on with only where they fit."""

import json
import os

import pytest

from lossbook.bench import recordings
from lossbook.bench.recordings import Recording, RecordingError
from lossbook.bench.running import MEASURED, SKIPPED, Protocol


@pytest.fixture
def recording(case, made_up):
    fresh = recordings.new("cases", "lossbook bench", ["cpu"], vars(Protocol()))
    fresh.put(made_up(case()))
    fresh.put(made_up(case(passes="forward + backward"), SKIPPED, "why"))
    return fresh


def test_what_is_saved_is_loaded(recording, tmp_path):
    path = tmp_path / "new" / "a.json"
    recordings.save(recording, path)
    assert recordings.load(path) == recording
    assert [row.status for row in recordings.load(path).cases()] == [MEASURED, SKIPPED]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_row_is_replaced_by_a_later_one_of_its_case(recording, case, made_up):
    recording.put(made_up(case(), seconds=7.0))
    assert len(recording.rows) == 2
    assert recording.cases()[0].seconds == 7.0


def test_what_was_skipped_is_tried_again(recording, case):
    assert recording.measured() == {case()}


def test_a_save_that_fails_leaves_the_file_as_it_was(recording, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    recordings.save(recording, path)
    before = path.read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        recordings.save(recording, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_save_leaves_the_file_as_it_was(recording, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    recordings.save(recording, path)
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        recordings.save(recording, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_gets_a_file_named_after_the_device(recording, tmp_path):
    recording.circumstances = {"cpu": {"device": "A CPU @ 3 GHz"}, "cuda": {"device": "NVIDIA H100 (HBM3)"}}
    assert recordings.place(tmp_path, recording) == tmp_path / "nvidia-h100-hbm3.json"
    del recording.circumstances["cuda"]
    assert recordings.place(tmp_path, recording) == tmp_path / "a-cpu-3-ghz.json"
    recording.kind = "limits"
    assert recordings.place(tmp_path, recording) == tmp_path / "a-cpu-3-ghz-limits.json"
    assert recordings.place(tmp_path / "b.json", recording) == tmp_path / "b.json"


def fresh(**protocol):
    return recordings.new("cases", "lossbook bench --quick", ["cpu"], vars(Protocol(**protocol)))


def test_the_same_circumstances_are_gone_on_with(recording, tmp_path):
    recording.circumstances["cpu"]["date"] = "2020-01-01"
    recordings.save(recording, tmp_path / "a.json")
    resumed = recordings.resume(tmp_path / "a.json", fresh(), again=False)
    assert resumed.rows == recording.rows
    assert resumed.commands == ["lossbook bench", "lossbook bench --quick"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.update(threads=999), "threads was 999 and is "),
        (lambda told: told.update(device="Another"), "device was Another and is "),
        (lambda told: told["versions"].update(torch="1.0"), "versions torch was 1.0 and is "),
    ],
)
def test_other_circumstances_are_refused(recording, tmp_path, change, said):
    change(recording.circumstances["cpu"])
    recordings.save(recording, tmp_path / "a.json")
    with pytest.raises(RecordingError) as error:
        recordings.resume(tmp_path / "a.json", fresh(), again=False)
    assert said in str(error.value)
    assert "Give --again to begin it anew, or --out another file" in str(error.value)
    assert recordings.resume(tmp_path / "a.json", fresh(), again=True).rows == []


def test_another_protocol_is_refused(recording, tmp_path):
    recordings.save(recording, tmp_path / "a.json")
    with pytest.raises(RecordingError, match=r"budget was 1\.0 and is 9\.0"):
        recordings.resume(tmp_path / "a.json", fresh(budget=9.0), again=False)


def test_figures_and_cases_are_not_mixed(recording, tmp_path):
    recording.kind = "limits"
    recordings.save(recording, tmp_path / "a.json")
    with pytest.raises(RecordingError, match="holds limits, not cases"):
        recordings.resume(tmp_path / "a.json", fresh(), again=False)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"format": 99}', '{"format": 1, "kind": "cases"}', "\udcff"],
)
def test_a_file_that_is_no_recording(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RecordingError, match="is no recording of lossbook bench"):
        recordings.load(path)


@pytest.mark.parametrize("key", recordings.PROVENANCE)
def test_a_recording_without_its_provenance_is_none(recording, tmp_path, key):
    del recording.circumstances["cpu"][key]
    recordings.save(recording, tmp_path / "a.json")
    with pytest.raises(RecordingError, match=f"does not say its {key}"):
        recordings.load(tmp_path / "a.json")


def test_a_row_that_lacks_a_field(recording, tmp_path):
    del recording.rows[0]["dtype"]
    recordings.save(recording, tmp_path / "a.json")
    with pytest.raises(RecordingError, match="dtype"):
        recordings.load(tmp_path / "a.json")


def test_all_of_one_kind_are_loaded(recording, tmp_path):
    recordings.save(recording, tmp_path / "b.json")
    other = Recording("limits", ["x"], recording.circumstances, {}, [])
    recordings.save(other, tmp_path / "a.json")
    assert recordings.load_all(tmp_path) == [recording]
    assert recordings.load_all(tmp_path, "limits") == [other]
    assert recordings.load_all(tmp_path / "none") == []


def test_the_provenance_in_words(recording):
    told = recording.provenance()
    circumstances = recording.circumstances["cpu"]
    for word in (circumstances["device"], circumstances["date"], circumstances["versions"]["torch"], "lossbook bench"):
        assert word in told


def test_the_file_is_json_that_anyone_can_read(recording, tmp_path):
    recordings.save(recording, tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert data["rows"][0]["size"] == [9]
    assert {"format", "kind", "commands", "circumstances", "protocol", "rows"} == data.keys()


def test_a_file_of_the_first_format_is_read(tmp_path):
    recording = recordings.new("limits", "lossbook bench --limits", ["cpu"], {})
    path = tmp_path / "it.json"
    recordings.save(recording, path)
    data = json.loads(path.read_text())
    assert data["format"] == recordings.FORMAT == 2
    for number, right in ((1, True), (3, False)):
        path.write_text(json.dumps({**data, "format": number}))
        if right:
            assert recordings.load(path) == recording
        else:
            with pytest.raises(recordings.RecordingError, match="its format is another"):
                recordings.load(path)


def test_the_state_of_the_gpu_is_told_and_is_no_other_circumstance():
    old, now = (recordings.new("cases", "x", ["cpu"], {}) for _ in range(2))
    for recording, clock in ((old, "1980 MHz"), (now, "1755 MHz")):
        recording.circumstances["cpu"]["gpu"] = {"processor clock": clock, "ECC": "Enabled"}
    assert recordings.differences(old, now) == []
    assert "  processor clock 1980 MHz, ECC Enabled" in old.provenance().splitlines()
