"""What is sent of a run folder, and that nothing is sent twice: with the tracker of plain files."""

import json
import os

import pytest

from segbench.core.reading import UnreadableError
from segbench.core.states import RunState
from segbench.runs.metrics_log import MetricsLog
from segbench.tracking.csv_files import CsvFiles
from segbench.tracking.rows import NewRows
from segbench.tracking.sender import Sender, send
from tests.support.tracked import curves_of_csv
from tests.tracking.conftest import COLUMNS, curves


def sender_of(growing):
    sender = Sender(growing.folder, CsvFiles())
    sender.open()
    return sender


def test_everything_of_a_run(growing):
    growing.train(0, 3)
    growing.finish(3)
    send(growing.folder, CsvFiles(), state=RunState.COMPLETED)
    folder = growing.folder.path / "csv"
    assert curves_of_csv(growing.folder.path) == curves(3)
    config = json.loads((folder / "config.json").read_text())
    assert (config["model"]["width"], config["folder"]) == (32, str(growing.folder.path))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary == {"test/mean_iou": 0.75, "best/val/mean_iou": 0.75, "steps": 6, "seconds": 3.5}
    pictures = {file.relative_to(folder / "images").as_posix() for file in folder.rglob("*.png")}
    assert pictures == {
        *(f"panels/val/0000000{step}.png" for step in (2, 4, 6)),
        "panels/test/00000006.png",
        "plots/confusion/00000006.png",
    }
    panel = (folder / "images/panels/val/00000004.png").read_bytes()
    assert panel == (growing.folder.samples / "epoch-0002.png").read_bytes()


def test_a_run_is_sent_as_it_grows(growing):
    sender = sender_of(growing)
    for epoch in range(3):
        growing.train(epoch, epoch + 1)
        sender.send()
        assert curves_of_csv(growing.folder.path) == curves(epoch + 1)
    assert not (growing.folder.path / "csv" / "summary.json").exists()


def test_rows_that_a_resume_writes_again_are_not_sent_again(growing):
    growing.train(0, 2)
    sender_of(growing).send()  # killed: it was never closed
    growing.train(1, 3)  # the checkpoint is that of the first epoch
    sender_of(growing).send()
    growing.finish(3)
    send(growing.folder, CsvFiles(), state=RunState.COMPLETED)
    send(growing.folder, CsvFiles(), state=RunState.COMPLETED)
    assert curves_of_csv(growing.folder.path) == curves(3)


def test_a_kill_before_it_was_remembered_what_was_sent(growing, send_and_die):
    growing.train(0, 1)
    sender = sender_of(growing)
    sender.send()
    growing.train(1, 3)
    send_and_die(sender)
    table = growing.folder.path / "csv" / "scalars.csv"
    os.truncate(table, table.stat().st_size - 3)  # and half a line was written
    sender_of(growing).send()
    assert curves_of_csv(growing.folder.path) == curves(3)


def test_half_a_row_is_not_taken_for_a_whole_one(growing):
    growing.train(0, 1)
    rows = NewRows(growing.folder.metrics)
    rows.take()
    with growing.folder.metrics.open("a") as file:
        file.write("train,1,3,0.1,0.3")
    assert rows.take() == []
    with growing.folder.metrics.open("a") as file:
        file.write("25,,\n")
    (row,) = rows.take()
    assert row.values == {"lr": 0.1, "train/loss": 0.325}


def test_further_columns_of_a_table(growing):
    growing.train(0, 1)
    sender = sender_of(growing)
    sender.send()
    table = MetricsLog(growing.folder.metrics, [*COLUMNS, "val/own"])
    table.add("epoch", 1, step=4, values={"val/own": 2.0})
    sender.send()
    found = curves_of_csv(growing.folder.path)
    assert found.pop("val/own") == [(4, 2.0)]
    assert found.pop("epoch") == [(2, 0.0), (4, 1.0)]
    assert found == {tag: points for tag, points in curves(1).items() if tag != "epoch"}


def test_a_tracker_that_lost_the_run_gets_all_of_it(growing):
    growing.train(0, 2)
    sender_of(growing).send()
    (growing.folder.path / "csv" / "scalars.csv").unlink()
    sender_of(growing).send()
    assert curves_of_csv(growing.folder.path) == curves(2)


@pytest.mark.parametrize("content", ["", "[]", '{"csv": 3}', '{"csv": {"identity": {"id": 1}}}', "{"])
def test_what_was_sent_cannot_be_read(growing, content):
    growing.train(0, 1)
    sender_of(growing).send()
    growing.folder.trackers.write_text(content)
    sender_of(growing).send()
    assert curves_of_csv(growing.folder.path) == curves(1)


def test_a_picture_that_is_a_link_is_not_followed(growing, tmp_path):
    growing.train(0, 1)
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    panel = growing.folder.samples / "epoch-0001.png"
    panel.unlink()
    panel.symlink_to(secret)
    with pytest.raises(UnreadableError, match="is a link, which is not followed"):
        sender_of(growing).send()
    assert not list((growing.folder.path / "csv").rglob("*.png"))


def test_a_run_without_anything(growing):
    growing.folder.config.unlink()
    send(growing.folder, CsvFiles(), state=RunState.FAILED)
    assert curves_of_csv(growing.folder.path) == {}
