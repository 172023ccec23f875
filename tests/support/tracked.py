"""What trackers keep of a run, read back as curves: step and value by tag."""

import csv
import json
import struct
import time

import pytest

from segbench.runs.metrics_log import read_metrics

BLOCK = 32768
WHOLE = 1
FIRST = 2
LAST = 4
"""How W&B cuts its records into pieces."""


def curves_of_table(run):
    """What the curves must be, by the run's own table."""
    found = {}
    for row in read_metrics(run / "metrics.csv"):
        for name, value in row.items():
            if name in ("split", "step") or (name == "epoch" and row["split"] == "train"):
                continue
            tag = "train/loss_epoch" if (row["split"], name) == ("epoch", "train/loss") else name
            found.setdefault(tag, []).append((row["step"], pytest.approx(value, rel=1e-6)))
    return found


def curves_of_csv(run):
    """Those in `csv/scalars.csv`."""
    found = {}
    with (run / "csv" / "scalars.csv").open() as file:
        for record in csv.DictReader(file):
            found.setdefault(record["tag"], []).append((int(record["step"]), float(record["value"])))
    return found


def curves_of_rows(rows, tags):
    """Those of some tags in rows that each name their step, as W&B and Trackio have them."""
    found = {}
    for row in rows:
        for tag in tags & row.keys():
            found.setdefault(tag, []).append((row["step"], row[tag]))
    return found


def events_of_tensorboard(run):
    """Everything in the run's event files, by TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), {"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def curves_of_tensorboard(events, tags):
    """Those of some tags."""
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags & {*events.Tags()["scalars"]}
    }


def curves_of_mlflow(client, run, tags):
    """Those of some tags, by MLflow's own client."""
    return {
        tag: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, tag)]
        for tag in tags & run.data.metrics.keys()
    }


def wandb_parts(run):
    """The offline files of W&B, the oldest first: a log of protocol buffers in blocks, as LevelDB has it."""
    return sorted((run / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.parent.name)


def wandb_records(run, torn=()):
    """The records of all parts, once W&B's own process has written the last of each that is not torn."""
    found = []
    for file in wandb_parts(run):
        for _ in range(1000):
            part = list(_records_of(file))
            if file in torn or (part and part[-1].WhichOneof("record_type") == "exit"):
                break
            time.sleep(0.1)
        found += part
    return found


def _records_of(file):
    """Yield the records of a file: 7 bytes of header, then blocks of pieces with checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    content = file.read_bytes()
    position, pieces = 7, []
    while position + 7 <= len(content):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        if kind == 0 or position + 7 + length > len(content):  # torn off by a kill
            return
        piece = content[position + 7 : position + 7 + length]
        position += 7 + length
        pieces = [piece] if kind in (WHOLE, FIRST) else [*pieces, piece]
        if kind in (WHOLE, LAST):
            yield Record.FromString(b"".join(pieces))


def wandb_rows(records):
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
