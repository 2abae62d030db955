import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from eva.errors import RecordError
from eva.recipe import Recipe, Rotation
from eva.record import RECORD_SCHEMA, DataInfo, DeviceInfo, EpochRow, Run, write_atomically


def row(epoch: int, accuracy: float) -> EpochRow:
    return EpochRow(
        epoch=epoch,
        lr=0.01,
        train_loss=0.1,
        train_accuracy=98.0,
        test_loss=0.05,
        test_accuracy=accuracy,
        wrong=(3, 5),
        images_per_second=1000.0,
        seconds_train=60.0,
        seconds_data=10.0,
        seconds_compute=50.0,
        seconds_test=1.0,
    )


def make_run(*accuracies: float) -> Run:
    return Run(
        submission="eva.experiments.exp5",
        recipe=Recipe(augment=(Rotation(degrees=7),)),
        seed=3,
        parameters=7753,
        data=DataInfo(name="mnist", checksum="ab", train_size=60000, test_size=10000),
        device=DeviceInfo(
            type="cpu", name="some CPU", threads=1, precision="float32", compiled=False
        ),
        versions={"torch": "2.11"},
        started="2026-01-01T00:00:00+00:00",
        status="finished",
        rows=tuple(row(epoch, accuracy) for epoch, accuracy in enumerate(accuracies)),
        confusion=((9, 1), (0, 10)),
        seconds=61.0,
    )


def test_json_both_ways(tmp_path: Path) -> None:
    run = make_run(99.1, 99.4)
    path = run.save(tmp_path / "deep" / "record.json")
    assert Run.load(path) == run
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


def test_a_run_without_rows_is_valid_json() -> None:
    run = make_run()
    assert Run.from_json(json.loads(run.to_json())) == run
    assert run.best is None


def test_csv_has_a_header_and_a_row_an_epoch() -> None:
    lines = make_run(99.1, 99.4).to_csv().splitlines()
    assert lines[0].startswith("epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,images")
    assert len(lines) == 3
    assert lines[2].startswith("1,0.01,0.1,98.0,0.05,99.4")


def test_held_wants_each_of_the_last_four() -> None:
    assert make_run(99.0, 99.4, 99.4, 99.41, 99.5).held()
    assert not make_run(99.5, 99.5, 99.39, 99.5, 99.5).held()
    assert not make_run(99.5, 99.5, 99.5).held()
    assert make_run(99.3, 99.5, 99.5).best == row(1, 99.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "not a run record"),
        (lambda text: "[]", "not a run record"),
        (lambda text: text.replace('"seed": 3', '"seed": "three"'), "seed"),
        (lambda text: text.replace('"seed": 3', '"sead": 3'), "sead|seed"),
        (lambda text: text.replace('"momentum"', '"momentun"'), "momentun"),
        (
            lambda text: text.replace(
                f'"schema_version": {RECORD_SCHEMA}', f'"schema_version": {RECORD_SCHEMA + 1}'
            ),
            rf"schema version {RECORD_SCHEMA + 1}; this eva reads up to {RECORD_SCHEMA}",
        ),
    ],
)
def test_a_damaged_record_is_a_clear_error(tmp_path: Path, change, words: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(change(make_run(99.0).to_json()))
    with pytest.raises(RecordError, match=words) as caught:
        Run.load(path)
    assert "record.json" in str(caught.value)


def test_a_missing_record_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="can't be read"):
        Run.load(tmp_path / "none.json")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = write_atomically(tmp_path / "file", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_run_is_three_lines_and_in_a_notebook_curves_and_a_table() -> None:
    run = make_run(*[98.0] * 12, 99.5)
    assert str(run) == repr(run)
    which, size, verdict = repr(run).splitlines()
    assert which == "Run of eva.experiments.exp5, seed 3: finished"
    assert size == "7,753 parameters, 13 of 15 epochs of mnist on some CPU, 61 s"
    assert verdict == run.verdict()
    assert repr(make_run()).count("\n") == 2 and "<svg" not in make_run()._repr_html_()
    page = run._repr_html_()
    assert page.count("<polyline") == 2 and page.count("<tr>") == 11
    assert "99.50" in page and run.verdict() in page
    named = run.model_copy(update={"submission": "<script>"})._repr_html_()
    assert "<script>" not in named and "&lt;script&gt;" in named
    ElementTree.fromstring(f"<div>{make_run(99.0)._repr_html_().replace('<br>', '<br/>')}</div>")
