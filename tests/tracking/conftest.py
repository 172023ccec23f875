"""A run folder as a training leaves it, written without one, and read back from what trackers keep."""

import json

import pytest
from PIL import Image

from segbench.runs.folder import RunFolder
from segbench.runs.metrics_log import MetricsLog
from segbench.tracking import sender as sending
from tests.support.fake_runs import write_run

COLUMNS = ["lr", "train/loss", "val/loss", "val/mean_iou"]


class GrowingRun:
    """A run folder whose table grows epoch by epoch."""

    def __init__(self, path):
        self.folder = RunFolder(write_run(path, state="running", score=None))
        for room in (self.folder.samples, self.folder.plots):
            room.mkdir(exist_ok=True)
        config = self.folder.config
        config.write_text(config.read_text() + "tags: [paper]\nnote: the second try\n")

    def train(self, first, last):
        """Add the rows of epochs from 0, two steps each, as a session does that goes on from a checkpoint."""
        table = MetricsLog(self.folder.metrics, COLUMNS)
        for epoch in range(first, last):
            for step in (2 * epoch + 1, 2 * epoch + 2):
                table.add("train", epoch, step=step, values={"lr": 0.1, "train/loss": 1 / step})
            score = {"train/loss": 0.5 / (epoch + 1), "val/loss": 0.25, "val/mean_iou": 0.1 * epoch}
            table.add("epoch", epoch, step=2 * epoch + 2, values=score)
            Image.new("RGB", (30, 20), (epoch, 0, 0)).save(self.folder.samples / f"epoch-{epoch + 1:04d}.png")

    def finish(self, epochs):
        """Write what a run leaves at its end."""
        Image.new("RGB", (40, 20)).save(self.folder.samples / "test.png")
        Image.new("RGB", (50, 50)).save(self.folder.plots / "confusion.png")
        metrics = {name: {"best": 0.75, "last": 0.5, "best_epoch": 1} for name in ("test/mean_iou", "val/mean_iou")}
        results = {"metrics": metrics, "monitor": "val/mean_iou", "steps": 2 * epochs, "seconds": 3.5}
        self.folder.results.write_text(json.dumps(results))


@pytest.fixture
def growing(tmp_path):
    """A run folder to which epochs can be added."""
    return GrowingRun(tmp_path / "runs" / "one")


@pytest.fixture
def trackio_folder(tmp_path, monkeypatch):
    """The folder of Trackio, else the user's."""
    pytest.importorskip("trackio")
    folder = tmp_path / "trackio"
    for module in ("utils", "sqlite_storage", "media.utils"):
        monkeypatch.setattr(f"trackio.{module}.TRACKIO_DIR", folder, raising=False)
        monkeypatch.setattr(f"trackio.{module}.MEDIA_DIR", folder / "media", raising=False)
    return folder


@pytest.fixture
def send_and_die(monkeypatch):
    """Have a sender end when it has sent, before it remembers that."""

    def die(*arguments, **named):
        raise KeyboardInterrupt

    def send(sender):
        with monkeypatch.context() as context:
            context.setattr(sending, "write_sent", die)
            with pytest.raises(KeyboardInterrupt):
                sender.send()

    return send


def curves(epochs):
    """What the curves of a `GrowingRun` must be: step and value by tag."""
    steps = range(1, 2 * epochs + 1)
    ends = [(2 * epoch + 2, epoch) for epoch in range(epochs)]
    return {
        "lr": [(step, pytest.approx(0.1)) for step in steps],
        "train/loss": [(step, pytest.approx(1 / step, rel=1e-6)) for step in steps],
        "train/loss_epoch": [(step, pytest.approx(0.5 / (epoch + 1), rel=1e-6)) for step, epoch in ends],
        "val/loss": [(step, 0.25) for step, _ in ends],
        "val/mean_iou": [(step, pytest.approx(0.1 * epoch, rel=1e-6)) for step, epoch in ends],
        "epoch": [(step, epoch) for step, epoch in ends],
    }
