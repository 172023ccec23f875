"""What W&B keeps offline, read back from its files."""

import json
import os
import re

import pytest

from segbench.core.errors import ConfigError
from segbench.core.states import RunState
from segbench.tracking.sender import Sender, send
from segbench.tracking.wandb import Wandb
from tests.support.tracked import curves_of_rows, wandb_parts, wandb_records, wandb_rows
from tests.tracking.conftest import curves

pytest.importorskip("wandb")
TAGS = curves(1).keys()


def test_everything_of_a_resumed_run(growing):
    """One start of W&B takes seconds, so that one test asks for all of it."""
    growing.train(0, 2)
    first = Sender(growing.folder, Wandb(project="mine"))
    first.open()
    first.send()
    first.tracker.close(RunState.FAILED)
    torn = wandb_parts(growing.folder.path)
    wandb_records(growing.folder.path)  # until it is written
    for file in torn:  # W&B's own process is killed with that of the training, before it has written all
        os.truncate(file, file.read_bytes().index(b"val/mean_iou") + 5)
    growing.train(1, 3)
    growing.finish(3)
    send(growing.folder, Wandb(project="mine"), state=RunState.COMPLETED)
    records = wandb_records(growing.folder.path, torn)
    rows = wandb_rows(records)
    assert curves_of_rows(rows, TAGS) == curves(3)
    assert [row["step"] for row in rows if "panels/val" in row] == [2, 4, 6]
    assert [row["step"] for row in rows if "plots/confusion" in row] == [6]
    picture = next(row["panels/val"] for row in rows if "panels/val" in row)
    assert (picture["_type"], picture["width"], picture["height"]) == ("image-file", 30, 20)
    runs = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert {(run.run_id, run.project) for run in runs} == {(runs[0].run_id, "mine")}
    config = {item.key: json.loads(item.value_json) for item in runs[0].config.update}
    assert (config["model"]["width"], config["run_folder"]) == (32, str(growing.folder.path))
    assert (list(runs[0].tags), runs[0].notes) == (["paper"], "the second try")
    summary = [item for record in records for item in record.summary.update]
    assert [json.loads(item.value_json) for item in summary if re.search("test/mean_iou", str(item))] == [0.75]


def test_a_folder_that_leads_elsewhere(growing, tmp_path):
    (tmp_path / "outside").mkdir()
    (growing.folder.path / "wandb").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigError, match="is a symbolic link, but a tracker writes inside the run folder"):
        Sender(growing.folder, Wandb()).open()
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_run_folder_cannot_name_the_run_of_another(growing):
    known = "f" * 32
    part = growing.folder.path / "wandb" / f"offline-run-20200101_000000-{known}" / f"run-{known}.wandb"
    part.parent.mkdir(parents=True)
    part.touch()
    place = Wandb().place
    steps = {"train": 9, "epoch": 9}
    growing.folder.trackers.write_text(json.dumps({place: {"identity": {"id": known, "salt": ""}, "steps": steps}}))
    growing.train(0, 1)
    send(growing.folder, Wandb(), state=RunState.COMPLETED)
    own = json.loads(growing.folder.trackers.read_text())[place]["identity"]["id"]
    assert own != known
    assert curves_of_rows(wandb_rows(wandb_records(growing.folder.path, [part])), TAGS) == curves(1)
