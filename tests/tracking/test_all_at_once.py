"""All trackers beside a real process: it is killed and resumed, and then each tracker breaks while it trains."""

import json
import os
import re
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import killing
from tests.support.tracked import (
    curves_of_csv,
    curves_of_mlflow,
    curves_of_rows,
    curves_of_table,
    curves_of_tensorboard,
    events_of_tensorboard,
    wandb_parts,
    wandb_records,
    wandb_rows,
)

for package in ("mlflow", "sqlalchemy", "alembic", "tensorboard", "trackio", "wandb"):
    pytest.importorskip(package)

WORDS = [
    "trainer=debug",
    "trainer.threads=1",
    "trainer.max_epochs=4",
    "trainer.checkpoint_every=3",
    "data.size=[32,32]",
    "model.width=4",
    "model.depth=2",
    "logger=[csv,tensorboard,wandb,mlflow,trackio]",
]
"""Epochs of two steps, checkpoints after steps 2, 3, 4, 6 and 8."""
ALL = 5
PROCESSES = Path("/proc")


@pytest.mark.skipif(not PROCESSES.is_dir(), reason="W&B's own process is looked up in /proc")
def test_killed_resumed_and_broken(tmp_path, trackio_folder, monkeypatch):
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # W&B's process of another test would outlive the one killed
    run = killing.Run(tmp_path / "here" / "run", WORDS, {"TRACKIO_DIR": str(trackio_folder)})
    with run.start(point="validation is done", count=3) as child:
        assert child.arrives(lambda: steps_sent(run) == [6] * ALL), child.said()
    torn = wandb_parts(run.folder)
    run.finish()
    assert_whole(run, torn)
    with run.start("trainer.max_epochs=5", point="validation is done") as child:
        assert child.arrives(), child.said()
        break_all(run, child)
        child.release()
        assert child.ends() == 0, child.said()
        said = child.log.read_text(errors="replace")
    assert json.loads((run.folder / "status.json").read_text())["state"] == "completed"
    assert (run.folder / "results.json").is_file()
    assert "Traceback" not in said
    left_out = set(re.findall(r"logger\.(\w+) is left out from now on", said))
    assert left_out == {"csv", "mlflow", "trackio", "wandb"}  # a file of TensorBoard's stays open without its name


def steps_sent(run):
    """The last training step that each tracker was sent."""
    file = run.folder / "trackers.json"
    if not file.is_file():
        return []
    return [sent["steps"].get("train") for sent in json.loads(file.read_text()).values()]


def assert_whole(run, torn):
    """Each tracker has each point of the table once, in the order of steps, the test's score, and one run."""
    import trackio
    from mlflow import MlflowClient

    table = curves_of_table(run.folder)
    score = json.loads((run.folder / "results.json").read_text())["metrics"]["test/mean_iou"]["best"]
    points = {**table, "test/mean_iou": [(8, pytest.approx(score))]}
    tags = points.keys()
    written = curves_of_csv(run.folder)
    assert written == table
    assert curves_of_tensorboard(events_of_tensorboard(run.folder), tags) == points
    records = wandb_records(run.folder, torn)
    assert curves_of_rows(wandb_rows(records), tags) == table
    assert len({record.run.run_id for record in records if record.WhichOneof("record_type") == "run"}) == 1
    client = MlflowClient(f"sqlite:///{run.folder.parent / 'mlflow.db'}")
    (tracked,) = client.search_runs([client.get_experiment_by_name("segbench").experiment_id])
    assert curves_of_mlflow(client, tracked, tags) == points
    (logged,) = trackio.Api().runs("segbench")
    rows = trackio.SQLiteStorage.get_logs("segbench", logged.name, run_id=logged.id)
    assert curves_of_rows(rows, tags) == points


def break_all(run, child):
    """Take from each tracker what it writes to; W&B loses its own process."""
    shutil.rmtree(run.folder / "csv")
    shutil.rmtree(run.folder / "tensorboard")
    for file in (run.folder.parent / "mlflow.db", Path(run.environment["TRACKIO_DIR"]) / "segbench.db"):
        file.write_bytes(b"broken" * 1000)
    for status in PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # one that has ended meanwhile
            name, rest = status.read_text().rsplit(")", 1)
            if "wandb-core" in name and int(rest.split()[1]) == child.process.pid:
                os.kill(int(status.parent.name), signal.SIGKILL)
