"""What MLflow keeps in a local file, read back by its own client."""

import json
import shutil
from pathlib import Path

import pytest

from segbench.core.states import RunState
from segbench.runs.folder import RunFolder
from segbench.tracking.mlflow import Mlflow
from segbench.tracking.sender import Sender, send
from tests.support.tracked import curves_of_mlflow
from tests.tracking.conftest import curves

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
TAGS = curves(1).keys()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A file that tests share, as making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'runs.db'}"


@pytest.fixture
def client(store, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts of a local file
    return MlflowClient(store)


def runs_of(client, experiment):
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_everything_of_a_run(growing, store, client):
    growing.train(0, 2)
    growing.finish(2)
    send(growing.folder, Mlflow(store, "all"), state=RunState.COMPLETED)
    (run,) = runs_of(client, "all")
    assert (run.info.run_name, run.info.status) == ("runs/one", "FINISHED")
    assert curves_of_mlflow(client, run, TAGS) == curves(2)
    assert (run.data.metrics["test/mean_iou"], run.data.params["model.width"]) == (0.75, "32")
    tags = run.data.tags
    assert (tags["segbench.run"], tags["segbench.tags"]) == (str(growing.folder.path), "paper")
    assert tags["mlflow.note.content"] == "the second try"
    places = {file.path for file in client.list_artifacts(run.info.run_id, "panels/val")}
    assert places == {"panels/val/00000002.png", "panels/val/00000004.png"}
    copy = client.download_artifacts(run.info.run_id, "panels/val/00000004.png", str(growing.folder.path))
    assert Path(copy).read_bytes() == (growing.folder.samples / "epoch-0002.png").read_bytes()
    config = client.download_artifacts(run.info.run_id, "config.json", str(growing.folder.path))
    assert json.loads(Path(config).read_text())["model"]["width"] == 32


def test_a_resumed_curve_has_no_repeats(growing, store, client, send_and_die):
    growing.train(0, 2)
    for first, last in ((2, 2), (1, 3)):
        sender = Sender(growing.folder, Mlflow(store, "resumed"))
        sender.open()
        growing.train(first, last)
        sender.send()
    growing.train(3, 4)
    send_and_die(sender)
    send(growing.folder, Mlflow(store, "resumed"), state=RunState.INTERRUPTED)
    (run,) = runs_of(client, "resumed")
    assert run.info.status == "KILLED"
    assert curves_of_mlflow(client, run, TAGS) == curves(4)


def test_a_run_that_is_gone_begins_anew(growing, store, client):
    growing.train(0, 1)
    send(growing.folder, Mlflow(store, "gone"), state=RunState.FAILED)
    growing.folder.trackers.write_text(growing.folder.trackers.read_text().replace('"id": "', '"id": "0'))
    send(growing.folder, Mlflow(store, "gone"), state=RunState.FAILED)
    assert [curves_of_mlflow(client, run, TAGS) for run in runs_of(client, "gone")] == [curves(1)] * 2


@pytest.mark.parametrize("kind", ["copied", "deleted"])
def test_only_the_run_of_this_folder_goes_on(growing, store, client, tmp_path, kind):
    """A copied or untrusted folder names a run that is not its own."""
    growing.train(0, 1)
    send(growing.folder, Mlflow(store, kind), state=RunState.COMPLETED)
    (first,) = runs_of(client, kind)
    if kind == "deleted":
        client.delete_run(first.info.run_id)
    else:
        growing.folder = RunFolder(shutil.copytree(growing.folder.path, tmp_path / "other" / "one"))
    growing.train(1, 2)
    send(growing.folder, Mlflow(store, kind), state=RunState.FAILED)
    (second,) = [run for run in runs_of(client, kind) if run.info.run_id != first.info.run_id]
    assert curves_of_mlflow(client, second, TAGS) == curves(2)
    assert curves_of_mlflow(client, first, TAGS) == curves(1)
    assert client.get_run(first.info.run_id).info.status == "FINISHED"


def test_names_that_mlflow_does_not_allow(growing, store, client):
    sender = Sender(growing.folder, Mlflow(store, "names"))
    sender.open()
    sender.tracker.scalars(1, {"val/iou/bus, tram": 0.5, "x" * 300: 1.0, **{f"many/{n}": 0.0 for n in range(1200)}})
    sender.tracker.flush()
    (run,) = runs_of(client, "names")
    assert run.data.metrics["val/iou/bus_ tram"] == 0.5
    assert len(run.data.metrics) == 1202


def test_a_password_is_not_written_into_the_run_folder():
    assert Mlflow("https://me:secret@server/x").place == "mlflow https://server/x segbench"
