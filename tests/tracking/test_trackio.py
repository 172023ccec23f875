"""What Trackio keeps in its folder, read back from its own store."""

import shutil

import pytest

from segbench.core.states import RunState
from segbench.runs.folder import RunFolder
from segbench.tracking.sender import Sender, send
from segbench.tracking.trackio import Trackio
from tests.support.tracked import curves_of_rows
from tests.tracking.conftest import curves

trackio = pytest.importorskip("trackio")
TAGS = curves(1).keys()


pytestmark = pytest.mark.usefixtures("trackio_folder")


def rows_of(project):
    """The rows of the only run of a project, and its configuration."""
    (run,) = trackio.Api().runs(project)
    return trackio.SQLiteStorage.get_logs(project, run.name, run_id=run.id), run.config


def test_everything_of_a_run(growing, trackio_folder, capfd):
    growing.train(0, 2)
    growing.finish(2)
    send(growing.folder, Trackio("all"), state=RunState.COMPLETED)
    rows, config = rows_of("all")
    assert curves_of_rows(rows, TAGS) == curves(2)
    assert [(row["step"], row["test/mean_iou"]) for row in rows if "test/mean_iou" in row] == [(4, 0.75)]
    assert (config["model"]["width"], config["run_folder"]) == (32, str(growing.folder.path))
    assert (config["run_tags"], config["run_note"]) == (["paper"], "the second try")
    pictures = {row["step"]: row["panels/val"] for row in rows if "panels/val" in row}
    assert {step: picture["_type"] for step, picture in pictures.items()} == {2: "trackio.image", 4: "trackio.image"}
    kept = trackio_folder / "media" / pictures[4]["file_path"]
    assert kept.read_bytes() == (growing.folder.samples / "epoch-0002.png").read_bytes()
    assert capfd.readouterr().out == ""


def test_a_resumed_curve_has_no_repeats(growing, send_and_die):
    growing.train(0, 2)
    for first, last in ((2, 2), (1, 3)):
        sender = Sender(growing.folder, Trackio("resumed"))
        sender.open()
        growing.train(first, last)
        sender.send()
    growing.train(3, 4)
    send_and_die(sender)
    send(growing.folder, Trackio("resumed"), state=RunState.INTERRUPTED)
    rows, _ = rows_of("resumed")
    assert curves_of_rows(rows, TAGS) == curves(4)


def test_only_the_run_of_this_folder_goes_on(growing, tmp_path):
    """A copied or untrusted folder of the same name, whose run is another's."""
    growing.train(0, 1)
    send(growing.folder, Trackio("copied"), state=RunState.COMPLETED)
    growing.folder = RunFolder(shutil.copytree(growing.folder.path, tmp_path / "other" / "runs" / "one"))
    growing.train(1, 2)
    send(growing.folder, Trackio("copied"), state=RunState.COMPLETED)
    found = {}
    for run in trackio.Api().runs("copied"):
        folder = trackio.SQLiteStorage.get_run_config("copied", run.name, run_id=run.id)["run_folder"]
        found[folder] = curves_of_rows(trackio.SQLiteStorage.get_logs("copied", run.name, run_id=run.id), TAGS)
    assert found == {str(tmp_path / "runs" / "one"): curves(1), str(growing.folder.path): curves(2)}
