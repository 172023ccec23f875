"""What is shown while an epoch goes on: a bar on a terminal, else a line a minute."""

import io
import logging
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from segbench.training.callbacks import progress
from segbench.training.callbacks.progress import ProgressReport

RECORDER = SimpleNamespace(monitor=SimpleNamespace(key="val/mean_iou", label="IoU"), last={"val/mean_iou": 0.5})


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now.seconds)
    return now


def trained(console, clock, seconds, caplog):
    """Return the lines of an epoch of 100 steps of 8 images, each of which takes some seconds."""
    report = ProgressReport(console, RECORDER, steps=400)
    trainer = SimpleNamespace(global_step=0, current_epoch=0, max_epochs=4, world_size=2)
    report.on_train_start(trainer, None)
    with caplog.at_level(logging.INFO, "segbench"):
        for step in range(1, 101):
            trainer.global_step = step
            clock.seconds += seconds
            report.on_train_batch_end(trainer, None, {"value": torch.tensor(0.25)}, {"image": torch.zeros(4, 3)}, 0)
    report.close()
    return [record.getMessage() for record in caplog.records]


def test_a_long_epoch_says_once_a_minute_where_it_is(clock, caplog):
    lines = trained(Console(file=io.StringIO()), clock, 2, caplog)
    assert lines[0] == "epoch 1/4  step 30/400  loss 0.2500  val IoU 0.5000  4 images/s  12 min 20 s left"
    assert [line.split("  ")[1] for line in lines] == ["step 30/400", "step 60/400", "step 90/400"]


def test_a_short_one_says_nothing(clock, caplog):
    assert trained(Console(file=io.StringIO()), clock, 0.5, caplog) == []


@pytest.mark.parametrize(("width", "rate"), [(80, False), (120, True)])
def test_a_bar_says_the_same_as_far_as_there_is_room(clock, caplog, width, rate):
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    assert trained(console, clock, 2, caplog) == []
    shown = console.file.getvalue()
    assert "step 100/400" in shown
    assert "10 min 0 s left" in shown
    assert ("4 images/s" in shown) == rate
