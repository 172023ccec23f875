"""What W&B keeps offline, read back from its files: a log of protocol buffers in blocks, as LevelDB has it."""

import json
import re
import struct
import time

import pytest

from segbench.core.errors import ConfigError
from segbench.core.states import RunState
from segbench.tracking.sender import Sender, send
from segbench.tracking.wandb import Wandb
from tests.tracking.conftest import curves

pytest.importorskip("wandb")
BLOCK = 32768
WHOLE, FIRST, LAST = 1, 2, 4


def records_of(file):
    """Yield the records of a .wandb file: 7 bytes of header, then blocks of parts with checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    content = file.read_bytes()
    position, pieces = 7, []
    while position + 7 <= len(content):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        if kind == 0:
            return
        piece = content[position + 7 : position + 7 + length]
        position += 7 + length
        pieces = [piece] if kind in (WHOLE, FIRST) else [*pieces, piece]
        if kind in (WHOLE, LAST):
            yield Record.FromString(b"".join(pieces))


def all_records(run):
    """The records of all parts of the run, once W&B's own process has written the last of each."""
    found = []
    for file in sorted((run.path / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.parent.name):
        for _ in range(100):
            part = list(records_of(file))
            if part and part[-1].WhichOneof("record_type") == "exit":
                break
            time.sleep(0.1)
        found += part
    return found


def rows_in(records):
    """All rows that were logged, in order."""
    found = []
    for record in records:
        if record.WhichOneof("record_type") == "history":
            row = {}
            for item in record.history.item:
                name, *inner = item.nested_key or [item.key]
                value = json.loads(item.value_json)
                row[name] = {**row.get(name, {}), inner[0]: value} if inner else value
            found.append(row)
    return found


def curves_in(rows):
    found = {}
    for row in rows:
        for tag in curves(1).keys() & row.keys():
            found.setdefault(tag, []).append((row["step"], row[tag]))
    return found


def test_everything_of_a_resumed_run(growing):
    """One start of W&B takes seconds, so that one test asks for all of it."""
    growing.train(0, 2)
    first = Sender(growing.folder, Wandb(project="mine"))
    first.open()
    first.send()
    first.tracker.close(RunState.FAILED)  # as W&B's own process does when that of the training is killed
    growing.train(1, 3)
    growing.finish(3)
    send(growing.folder, Wandb(project="mine"), state=RunState.COMPLETED)
    records = all_records(growing.folder)
    rows = rows_in(records)
    assert curves_in(rows) == curves(3)
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
